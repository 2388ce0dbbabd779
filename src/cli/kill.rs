//! `dimmer kill`: from the next request on, the target is not used. Also what `revive` shares with it.

use std::io::{self, Write};
use std::process::ExitCode;

use http::{Method, StatusCode};

use crate::cli::client::Gateway;
use crate::cli::complain;
use crate::cli::ended::{Ended, NOT_DURABLE, shown};
use crate::cli::table::clean;
use crate::control::api::shapes::{Aim, Done};
use crate::names::KillTarget;

/// `dimmer kill`'s own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example:\n  dimmer kill flag:inference_model/claude-sonnet-4-6 --reason \"answers are cut off\"\n  \
                  dimmer kill model:gpt-4o\n  dimmer kill all --reason \"legal asked for it\"\n\n\
                  Targets, from the smallest:\n  flag:FLAG/VARIANT   who would get the variant gets the flag's default\n  \
                  flag:FLAG           everybody gets what the flag's `off` says\n  \
                  tool:TOOL           the tool is taken out of every request\n  \
                  shadow:ROUTE/NAME   the shadow gets no copies\n  \
                  model:MODEL         nobody calls it, whoever chose it; the route's fallback answers\n  \
                  provider:PROVIDER   nobody calls any model there\n  \
                  route:ROUTE         the route calls no model: a reply of its fallback answers, else 503\n  \
                  flags               no flag decides: requests go on as the apps sent them\n  \
                  all                 no route calls a model\n\n\
                  A kill holds for the next request, survives restarts, never ends by itself and is not undone by a change of \
                  routes.toml. `dimmer revive TARGET` takes it back, `dimmer kills` lists them.\n\n\
                  Exit codes: 0 killed and stored, 3 killed but stored nowhere yet (the gateway goes on trying), 1 not killed."
)]
pub(super) struct Arguments {
    /// What to kill
    target: KillTarget,
    /// Why, for the audit and for whoever is woken next; nothing waits for it: without it, it says `no reason given`
    #[arg(long, short, value_name = "TEXT", default_value = NO_REASON, hide_default_value = true)]
    reason: String,
    /// Print the gateway's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: Gateway,
}

/// What the audit says of who is in a hurry.
pub(super) const NO_REASON: &str = "no reason given";

/// Kills.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Ended {
    let Arguments { target, reason, gateway, json } = arguments;
    let aim = Aim { target: target.to_string(), reason: reason.clone(), dry_run: false };
    let answer = gateway.client()?.change(&Method::POST, "/kill", &aim).map_err(|problem| {
        format!(
            "{target} is NOT killed: {problem}\nWithout the admin API: set `percent = 0`, another `default` or another \
             `model` in routes.toml and save; `dimmer serve` reloads it."
        )
    })?;
    let done: Done = answer.read()?;
    shown(&answer, *json, out, |done: Done, out| {
        let reached = match done.replicas_reached {
            1 => "1 gateway obeys".to_owned(),
            several => format!("{several} gateways obey"),
        };
        let stored = if done.durable { "stored" } else { "NOT stored" };
        writeln!(out, "{} is killed: {stored}, {reached}", clean(&done.target))?;
        served(&done, out)?;
        writeln!(out, "\nBack again: dimmer revive {}", quoted(&done.target))
    })?;
    // Nobody who acknowledges without storing may look as if it had.
    if done.durable && answer.status != StatusCode::ACCEPTED {
        return Ok(ExitCode::SUCCESS);
    }
    complain(
        "the kill holds on the gateway that was asked, and is not durable: no store took it. It is tried again and again; \
         until then a restart forgets it, and other gateways do not know of it. `dimmer kills` says when it is stored, the \
         gateway's log what is wrong with the store.",
    );
    Ok(ExitCode::from(NOT_DURABLE))
}

/// What is served from now on.
pub(super) fn served(done: &Done, out: &mut dyn Write) -> io::Result<()> {
    if !done.served.is_empty() {
        writeln!(out, "\nFrom now on:")?;
    }
    done.served.iter().try_for_each(|line| writeln!(out, "  {}", clean(line)))
}

/// As a shell takes it.
pub(super) fn quoted(target: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/._-@+".contains(&byte);
    if target.bytes().all(plain) {
        target.to_owned()
    } else {
        format!("'{}'", clean(target).replace('\'', "'\\''"))
    }
}
