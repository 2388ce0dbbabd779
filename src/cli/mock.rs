//! `dimmer mock`: the simulated provider alone.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{ConfigFile, complain, environment};
use crate::config::load;
use crate::mock::{Mock, from_config};

/// `dimmer mock`'s own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The provider NAME of the file answers under /NAME/v1, the first one under /v1 as well.\n\
                        Same seed and same request: same answer, same length, same faults."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Where to listen on loopback; 0 takes a free port
    #[arg(long, default_value_t = 9102)]
    port: u16,
}

/// Serves until the process is ended.
pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> ExitCode {
    let config = match load(&arguments.file.config, &environment()) {
        Ok(config) => config,
        Err(errors) => return complain(&errors.pretty()),
    };
    let providers = from_config(&config);
    if providers.is_empty() {
        return complain(
            "the configuration has no provider with dialect = \"mock\"; add [providers.sim] with it",
        );
    }
    let names: Vec<String> = providers.iter().map(|provider| provider.name.to_string()).collect();
    let mock = match Mock::start(arguments.port, providers) {
        Ok(mock) => mock,
        Err(error) => return complain(&format!("port {} cannot be listened on: {error}", arguments.port)),
    };
    for name in names {
        // Standard output may be closed; the provider serves all the same.
        let _ = writeln!(out, "{name}  http://{}/{name}/v1", mock.address());
    }
    let _ = out.flush();
    loop {
        std::thread::park();
    }
}
