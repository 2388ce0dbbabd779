//! Arguments → command → exit code; no logic.

use std::process::ExitCode;

fn main() -> ExitCode {
    dimmer::cli::run()
}
