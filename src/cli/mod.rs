//! The command line: one file per command. `--help` is written to teach.

mod adoption;
mod audit;
mod breakers;
mod check;
mod client;
mod config;
mod ended;
mod explain;
mod flags;
mod healthcheck;
mod impact;
mod kill;
mod kills;
mod mock;
mod plan;
mod records;
mod revive;
mod rollback;
mod rollbacks;
mod schema;
mod serve;
mod shadow;
mod table;
mod webhooks;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::clock;
use crate::config::ProcessEnvironment;

use ended::code;

/// A reverse proxy for LLM APIs. Apps point their base URL at it; feature flags decide, for every request, which model
/// answers and with which system prompt.
#[derive(Debug, Parser)]
#[command(
    name = "dimmer",
    version,
    after_help = "Start here:\n  dimmer serve                  serve ./routes.toml; simulated models need no key and no network\n  \
                  dimmer check                  is ./routes.toml right, and what would be served to whom\n  \
                  dimmer explain --route assistant --user 42 --attr tier=pro\n                                why would this user get this model\n  \
                  dimmer kill flag:inference_model/claude-sonnet-4-6 --reason \"answers are cut off\"\n                                \
                  stop it: the next request obeys; `dimmer revive` takes it back\n\n\
                  Commands about a running gateway ask its admin listener: --admin URL or DIMMER_ADMIN_URL, by default \
                  http://127.0.0.1:9901. A token, where it wants one, is read from DIMMER_ADMIN_TOKEN or from the file that \
                  DIMMER_ADMIN_TOKEN_FILE names. `--json` prints what the gateway answered.\n\n\
                  Exit codes: 0 done; 1 wrong, refused or not reached; 2 the command line is wrong; 3 done, but not durable: a \
                  restart may forget it.\n\
                  Logs go to standard error as JSON; DIMMER_LOG=debug shows more, DIMMER_LOG=info,dimmer::access=debug one line per request."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the configuration until told to stop (the default command)
    ///
    /// SIGTERM or Ctrl-C: new connections are refused, requests in flight are finished (server.drain), then exit 0; a second
    /// one ends at once. A changed file is checked whole and swapped whole; SIGHUP asks for it.
    Serve(serve::Arguments),
    /// Say whether a configuration is right, and what would be served to whom
    Check(check::CheckArgs),
    /// Say who would get what, and why, without sending anything
    Explain(explain::Arguments),
    /// Say what a configuration would change before it serves: who moves, and what else
    Plan(plan::Arguments),
    /// Show the flags, set the percentage of a rule
    Flags(flags::Arguments),
    /// Stop using a variant, a flag, a model, a provider, a tool, a route, or everything
    Kill(kill::Arguments),
    /// Take a kill back
    Revive(revive::Arguments),
    /// List what is killed
    Kills(kills::Arguments),
    /// Kill a variant, a flag or a route, and see what becomes of what is in flight
    Rollback(rollback::Arguments),
    /// List what was rolled back
    Rollbacks(rollbacks::Arguments),
    /// Show how far each breaker is from tripping
    Breakers(breakers::Arguments),
    /// Say how a shadow's candidate compares with what callers are served
    Shadow(shadow::Arguments),
    /// Show what a flag's variants did to those who got them, and what of it may be claimed
    Impact(impact::Arguments),
    /// Show who is served by which model
    Adoption(adoption::Arguments),
    /// Show who did what and why, and verify that nobody changed it
    Audit(audit::Arguments),
    /// Show what is kept of requests, export it, forget a user
    Records(records::Arguments),
    /// Test who is told when something happens
    Webhooks(webhooks::Arguments),
    /// Show what the running gateway serves
    Config(config::Arguments),
    /// Say by the exit code whether the gateway takes requests, for containers
    Healthcheck(healthcheck::Arguments),
    /// Run the simulated provider alone, for tests of your own
    Mock(mock::Arguments),
    /// Print the configuration's JSON Schema, for editors
    Schema(schema::SchemaArgs),
    /// Print a shell's completions
    ///
    /// For example: dimmer completions bash > /etc/bash_completion.d/dimmer
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// The configuration, for every command that reads it.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration; paths inside it are relative to it
    #[arg(long, value_name = "FILE", default_value = "routes.toml")]
    config: PathBuf,
}

/// Reads the arguments and runs the command.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    match arguments.command.unwrap_or_else(|| Command::Serve(serve::Arguments::default())) {
        Command::Serve(arguments) => serve::run(&arguments, &mut out),
        Command::Check(arguments) => check::run(&arguments, &environment(), &mut out),
        Command::Schema(arguments) => schema::run(&arguments, &mut out),
        Command::Explain(arguments) => code(explain::run(&arguments, &mut out)),
        Command::Plan(arguments) => code(plan::run(&arguments, &mut out)),
        Command::Flags(arguments) => code(flags::run(&arguments, &mut out)),
        Command::Kill(arguments) => code(kill::run(&arguments, &mut out)),
        Command::Revive(arguments) => code(revive::run(&arguments, &mut out)),
        Command::Kills(arguments) => code(kills::run(&arguments, &mut out)),
        Command::Rollback(arguments) => code(rollback::run(&arguments, &mut out)),
        Command::Rollbacks(arguments) => code(rollbacks::run(&arguments, &mut out)),
        Command::Breakers(arguments) => code(breakers::run(&arguments, &mut out)),
        Command::Shadow(arguments) => code(shadow::run(&arguments, &mut out)),
        Command::Impact(arguments) => code(impact::run(&arguments, &mut out)),
        Command::Adoption(arguments) => code(adoption::run(&arguments, &mut out)),
        Command::Audit(arguments) => code(audit::run(&arguments, &mut out)),
        Command::Records(arguments) => code(records::run(&arguments, &mut out)),
        Command::Webhooks(arguments) => code(webhooks::run(&arguments, &mut out)),
        Command::Config(arguments) => code(config::run(&arguments, &mut out)),
        Command::Healthcheck(arguments) => code(healthcheck::run(&arguments)),
        Command::Mock(arguments) => mock::run(&arguments, &mut out),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "dimmer", &mut out);
            ExitCode::SUCCESS
        }
    }
}

/// The process' environment, now.
pub(crate) fn environment() -> ProcessEnvironment {
    ProcessEnvironment { now_s: i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX) }
}

/// Tells the person at the terminal what went wrong.
#[expect(clippy::print_stderr, reason = "the command line speaks to a person here, not to a log")]
pub(crate) fn complain(message: &str) -> ExitCode {
    eprintln!("dimmer: {message}");
    ExitCode::FAILURE
}
