//! `dimmer schema`: the JSON Schema of routes.toml for editors, or the page that lists every key.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use crate::config::{json_schema, markdown};

/// Options of `dimmer schema`.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct SchemaArgs {
    /// Print docs/configuration.md instead
    #[arg(long)]
    pub markdown: bool,
}

/// Prints the schema. Exit code 2: nothing could be written.
pub(super) fn run(args: &SchemaArgs, out: &mut dyn Write) -> ExitCode {
    let written = if args.markdown {
        out.write_all(markdown().as_bytes())
    } else {
        writeln!(out, "{:#}", json_schema())
    };
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
