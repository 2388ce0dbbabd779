//! The command line: one file per command. `--help` is written to teach.

mod check;
mod explain;
mod mock;
mod schema;
mod serve;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::clock;
use crate::config::ProcessEnvironment;

/// A reverse proxy for LLM APIs. Apps point their base URL at it; feature flags decide, for every request, which model
/// answers and with which system prompt.
#[derive(Debug, Parser)]
#[command(
    name = "dimmer",
    version,
    after_help = "Start here:\n  dimmer serve                  serve ./routes.toml; without a key or a network it works with simulated models\n  \
                  dimmer check                  is ./routes.toml right, and what would be served to whom\n  \
                  dimmer explain --route assistant --user 42 --attr tier=pro\n                                why would this user get this model\n\n\
                  Exit codes: 0 done, 1 the configuration or the request is wrong, 2 the command line is wrong.\n\
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
        Command::Explain(arguments) => explain::run(&arguments, &mut out),
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
