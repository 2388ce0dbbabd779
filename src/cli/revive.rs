//! `dimmer revive`: takes a kill back.

use std::io::Write;

use http::Method;

use crate::cli::client::Gateway;
use crate::cli::ended::{Ended, shown};
use crate::cli::kill::{NO_REASON, served};
use crate::cli::table::clean;
use crate::control::api::shapes::{Aim, Done};
use crate::names::KillTarget;

/// `dimmer revive`'s own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example:\n  dimmer kills\n  dimmer revive flag:inference_model/claude-sonnet-4-6 --reason \"mended in 1.4.2\"\n\n\
                  What is revived serves as routes.toml and the percentages set at run time say: look at `dimmer flags FLAG` first. \
                  A variant that serves many is better revived at a small percentage: `dimmer flags set`. \
                  A revival that cannot be stored is refused, because after a restart the kill would be back."
)]
pub(super) struct Arguments {
    /// What to revive, as `dimmer kills` lists it
    target: KillTarget,
    /// Why, for the audit
    #[arg(long, short, value_name = "TEXT", default_value = NO_REASON)]
    reason: String,
    /// Print the gateway's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: Gateway,
}

/// Revives.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Ended {
    let aim = Aim { target: arguments.target.to_string(), reason: arguments.reason.clone(), dry_run: false };
    let answer = arguments.gateway.client()?.change(&Method::POST, "/revive", &aim)?;
    shown(&answer, arguments.json, out, |done: Done, out| {
        writeln!(out, "{} is alive again", clean(&done.target))?;
        served(&done, out)
    })
}
