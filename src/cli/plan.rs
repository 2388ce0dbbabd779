//! `dimmer plan`: what a file would change if it served: who moves, and what else.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::client::Gateway;
use crate::cli::ended::{Ended, write_json};
use crate::cli::table::{Table, clean};
use crate::clock;
use crate::config::gather;
use crate::control::api::shapes::PlanAsk;
use crate::report::plan::{FlagMoves, Plan, wrong};

/// With `--exit-code`: the file differs from what serves, or somebody moves.
pub(super) const DIFFERS: u8 = 4;

/// `dimmer plan`'s own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For example:\n  dimmer plan new.toml\n  dimmer plan routes.toml --window 24h\n  dimmer plan new.toml --exit-code --json\n\n\
                  The file is checked, then compared with what the running gateway serves, percentages and kills of run time included. \
                  Who would move is counted over the users that the gateway saw, by the code that serves; it says how many these are, and \
                  of whom nobody can tell. Nothing is changed. The file goes to the gateway with the prompts and lists that it names, \
                  never with a secret.\n\n\
                  Exit codes: 0 the file is right; 1 it is wrong, or nobody could be asked; with --exit-code 4: right, and something \
                  would change."
)]
pub(super) struct Arguments {
    /// The file that is to serve; paths inside it are relative to it
    file: PathBuf,
    /// How far back to look for users: 7d at most
    #[arg(long, value_name = "TIME")]
    window: Option<String>,
    /// Exit with 4 where something would change
    #[arg(long)]
    exit_code: bool,
    /// Print the gateway's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: Gateway,
}

/// Asks, and shows the answer.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Ended {
    let now_s = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
    let (toml, files) = match gather(&arguments.file, now_s) {
        Ok(gathered) => gathered,
        Err(errors) => {
            match arguments.json {
                true => write_json(&to_json(&wrong(&errors))?, out)?,
                false => out.write_all(errors.pretty().as_bytes())?,
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let name = arguments.file.display().to_string();
    let ask = PlanAsk { toml, name: Some(name.clone()), files, window: arguments.window.clone() };
    let answer = arguments.gateway.client()?.query("/plan", &ask)?;
    let plan: Plan = answer.read()?;
    match arguments.json {
        true => write_json(&answer.json, out)?,
        false => print(&name, &plan, out)?,
    }
    let differs = plan.flags.iter().any(|flag| flag.moved > 0) || !plan.changes.is_empty();
    Ok(match plan.ok {
        false => ExitCode::FAILURE,
        true if arguments.exit_code && differs => ExitCode::from(DIFFERS),
        true => ExitCode::SUCCESS,
    })
}

fn to_json(plan: &Plan) -> Result<serde_json::Value, String> {
    serde_json::to_value(plan).map_err(|error| error.to_string())
}

fn print(name: &str, plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let name = clean(name);
    if !plan.ok {
        for fault in &plan.errors {
            let place = match (fault.line, fault.column) {
                (Some(line), Some(column)) => format!(":{line}:{column}"),
                _ => String::new(),
            };
            writeln!(out, "{}{place}: {}", clean(&fault.file), clean(&fault.message))?;
        }
        return writeln!(
            out,
            "{} wrong; the gateway serves as before",
            counted(plan.errors.len(), "thing is", "things are")
        );
    }
    let moving = plan.flags.iter().filter(|flag| flag.moved > 0).count();
    let differences = match plan.changes.len() {
        0 => "as what serves".to_owned(),
        number => counted(number, "difference", "differences"),
    };
    let moves = match (plan.seen.users, moving) {
        (0, _) => "nobody was seen to be counted".to_owned(),
        (users, 0) => format!("none of {users} users moves"),
        (users, flags) => format!("of {users} users some move in {}", counted(flags, "flag", "flags")),
    };
    writeln!(out, "{name}: right; {differences}; {moves} (seen since {})", plan.seen.since)?;
    for flag in &plan.flags {
        writeln!(out)?;
        print_flag(flag, out)?;
    }
    list("What differs", plan.changes.iter().map(|change| &change.said), out)?;
    list("Think of", plan.warnings.iter(), out)?;
    list("How this was counted", plan.notes.iter(), out)
}

fn counted(number: usize, one: &str, several: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {several}") }
}

fn print_flag(flag: &FlagMoves, out: &mut dyn Write) -> io::Result<()> {
    let moved = match flag.moved {
        0 => "nobody moves".to_owned(),
        moved => format!("{moved} of {} users move ({})", flag.users, percent(flag.share)),
    };
    let change = match flag.change.as_str() {
        "same" => "itself as before",
        change => change,
    };
    writeln!(out, "flag {} ({change}): {moved}", clean(&flag.flag))?;
    if !flag.moves.is_empty() {
        let mut table = Table::new(&["  FROM", "TO", "USERS", "SHARE", "MOST OF THEM"]);
        for one in &flag.moves {
            let variant = |name: &Option<String>| name.clone().unwrap_or_else(|| "(not asked)".to_owned());
            table.row([
                format!("  {}", variant(&one.from)),
                variant(&one.to),
                one.users.to_string(),
                percent(one.share),
                one.example.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        table.write(out)?;
    }
    for rule in &flag.rules {
        writeln!(out, "  rule {}: {}", clean(&rule.rule), clean(&rule.said))?;
    }
    for open in &flag.open {
        writeln!(out, "  of {} users nobody can tell: {}", open.users, clean(&open.why))?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn list<'l>(heading: &str, lines: impl Iterator<Item = &'l String>, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        writeln!(out, "\n{heading}:")?;
    }
    lines.try_for_each(|line| writeln!(out, "  {}", clean(line)))
}
