//! `dimmer demo`: the gateway with a story of its own.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::cli::ended::{Ended, Failed};
use crate::demo::{self, Options, Verdict};

/// `dimmer demo`'s own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example:\n  dimmer demo --fast\n  dimmer demo\n  dimmer demo --fast --json | jq -r .event\n\n\
                  Models and callers are simulated inside the process; the gateway is the one of `dimmer serve`, on real sockets, and \
                  every number comes from its API, its metrics and its record. Without --fast it takes about five minutes and then \
                  goes on until Ctrl-C, to be looked at with a browser, with Prometheus and with the other commands. Ctrl-C ends it at \
                  any time with what happened so far. docs/demo.md shows what to expect.\n\n\
                  Exit codes: 0 the breaker tripped, another model answered, and no caller got an error; 1 not so, as it says."
)]
pub(super) struct Arguments {
    /// All of it in a minute, then end
    #[arg(long)]
    fast: bool,
    /// Where apps connect; without it 127.0.0.1:8080, or a free port where somebody has that
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where operators connect; without it 127.0.0.1:9901, or a free port
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Leave the folder with its configuration, audit, records and log
    #[arg(long)]
    keep: bool,
    /// No colours; so does the variable NO_COLOR
    #[arg(long)]
    no_color: bool,
    /// Print what happens as lines of JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Ended {
    for (name, given) in [("--listen", arguments.listen), ("--admin", arguments.admin)] {
        if let Some(beyond) = given.filter(|address| !address.ip().is_loopback()) {
            return Err(Failed::Said(format!(
                "{name} {beyond}: the demo knows no keys and no tokens, so it listens on loopback only; write 127.0.0.1:{} or \
                 [::1]:{}",
                beyond.port(),
                beyond.port()
            )));
        }
    }
    let bare = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let options = Options {
        fast: arguments.fast,
        keep: arguments.keep,
        json: arguments.json,
        color: !arguments.no_color && !bare && std::io::stdout().is_terminal(),
        data: arguments.listen,
        admin: arguments.admin,
    };
    match demo::run(&options, out) {
        Ok(Verdict::True) => Ok(ExitCode::SUCCESS),
        Ok(Verdict::NotTrue) => Ok(ExitCode::FAILURE),
        Err(demo::Failed::Said(said)) => Err(Failed::Said(said)),
        Err(demo::Failed::Unwritten(error)) => Err(Failed::Unwritten(error)),
    }
}
