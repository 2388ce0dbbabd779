//! `dimmer hygiene`: what may be tidied up. Asks the running gateway, or reads a file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;

use crate::cli::ended::{Ended, Reading, write_json};
use crate::cli::environment;
use crate::cli::table::clean;
use crate::clock;
use crate::config::{load, parse_duration};
use crate::report::hygiene::{Finding, Hygiene, Kind, Patience, hygiene};

/// `dimmer hygiene`'s own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example:\n  dimmer hygiene\n  dimmer hygiene --only never_evaluated --quiet-for 30d\n  \
                  dimmer hygiene --config routes.toml      in CI: only what the file alone shows, expired and unused\n\n\
                  Exit codes: 0 there is nothing to tidy up; 4 there is. Others as everywhere: 1 wrong, refused or not reached."
)]
pub(super) struct Arguments {
    /// Read this file instead of asking the running gateway; nobody was watched then, so only dates and names count
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only findings of this kind
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)))]
    only: Option<String>,
    /// A rule at 100 % for so long is found; 14d unless given
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "config")]
    full_for: Option<String>,
    /// What nobody asked for in so long is found; 7d unless given
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "config")]
    quiet_for: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

/// There is something to tidy up.
const FOUND: u8 = 4;

fn duration(text: &str) -> Result<String, String> {
    parse_duration(text).map(|_| text.to_owned())
}

/// Looks, and says what there is by the exit code too.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Ended {
    let (found, json) = match &arguments.config {
        Some(file) => {
            let found = offline(file, arguments.only.as_deref().and_then(Kind::parse))?;
            let json = serde_json::to_value(&found).map_err(|error| error.to_string())?;
            (found, json)
        }
        None => {
            let answer = arguments.reading.gateway.client()?.get(&arguments.path()).map_err(|problem| {
                format!("{problem}\nWithout a running gateway: dimmer hygiene --config routes.toml")
            })?;
            (answer.read()?, answer.json)
        }
    };
    match arguments.reading.json {
        true => write_json(&json, out)?,
        false => show(&found, out)?,
    }
    Ok(if found.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

impl Arguments {
    fn path(&self) -> String {
        let asked = [("kind", &self.only), ("full_for", &self.full_for), ("quiet_for", &self.quiet_for)];
        let asked = asked.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        let asked: Vec<String> = asked.collect();
        if asked.is_empty() { "/hygiene".to_owned() } else { format!("/hygiene?{}", asked.join("&")) }
    }
}

/// From the file alone.
fn offline(file: &Path, only: Option<Kind>) -> Result<Hygiene, String> {
    let config = load(file, &environment()).map_err(|errors| errors.pretty())?;
    let mut found = hygiene(&config, &BTreeMap::new(), None, Patience::default(), clock::unix_ms());
    found.findings.retain(|finding| only.is_none_or(|kind| finding.kind == kind));
    Ok(found)
}

fn show(found: &Hygiene, out: &mut dyn Write) -> io::Result<()> {
    for Finding { kind, what, owner, since, says } in &found.findings {
        let owner = owner.as_deref().map(|owner| format!("  {}", clean(owner))).unwrap_or_default();
        let since = since.as_deref().map(|since| format!("  since {}", day(since))).unwrap_or_default();
        writeln!(out, "{:<16} {}{owner}{since}", kind.as_str(), clean(what))?;
        writeln!(out, "    {}", clean(says))?;
    }
    match found.findings.len() {
        0 => writeln!(out, "nothing to tidy up")?,
        1 => writeln!(out, "\n1 finding")?,
        more => writeln!(out, "\n{more} findings")?,
    }
    let looked = &found.looked;
    let Some(since) = &looked.watched_since else {
        return writeln!(
            out,
            "Only the file was read: what nobody asks for, and what is at 100 % for long, a running gateway knows."
        );
    };
    let days = |seconds: u64| match (seconds / 86_400, seconds % 86_400) {
        (days, 0) if days > 0 => format!("{days} days"),
        _ => format!("{seconds} s"),
    };
    let record = match looked.record.as_str() {
        "read" => "the records of all gateways were read".to_owned(),
        "off" => "no records are kept, so that other gateways' requests are not known".to_owned(),
        why => format!("the records could not be read: {}", clean(why)),
    };
    writeln!(
        out,
        "Watched since {}; long is {} at 100 %, and {} without a request; {record}.",
        day(since),
        days(looked.full_for_s),
        days(looked.quiet_for_s)
    )
}

fn day(at: &str) -> &str {
    at.split('T').next().unwrap_or(at)
}
