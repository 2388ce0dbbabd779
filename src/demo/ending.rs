//! The end: what happened when, by the audit; what it came to, by the record and the metrics; and what to look at.

use std::time::Duration;

use serde_json::{Value, json};

use super::ledger::{Ledger, Row, Sum};
use super::scrape::{Counted, sum};
use super::story::{Halt, Noted, Story, of_all, requests};
use super::teller::{Tone, minutes};
use super::traffic::Seen;
use super::world::{CANARY, FLAG, ROUTE, SAFE, SHADOW};
use super::{Failed, Options, Verdict};
use crate::clock;
use crate::control::api::shapes::AuditView;

/// The callers have gone: what they saw last is counted and written by then.
const LAST_COUNTS: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What stands left of the times.
const WIDE: usize = 17;
/// What stands left of the numbers.
const NAMES: usize = 23;

/// Tells it, and whether the story came true.
pub(super) fn end(
    story: &mut Story<'_, '_>,
    seen: &Seen,
    halt: Option<Halt>,
    options: &Options,
) -> Result<Verdict, Failed> {
    settle(story, seen);
    story.teller.chapter(7, "What happened when")?;
    let audit = story.desk.audit()?;
    times(story, &audit)?;
    let ledger = story.desk.ledger(story.noted.begun_ms)?;
    let counted = story.desk.counted()?;
    numbers(story, &ledger)?;
    callers(story, &counted, seen)?;
    look(story, options)?;
    let errors = sum(&counted, Counted::failed) + seen.failed;
    verdict(story, halt, errors)
}

/// Waits until the gateway has counted and written down what the callers saw.
fn settle(story: &Story<'_, '_>, seen: &Seen) {
    let until = clock::now() + LAST_COUNTS;
    let calls = seen.answered + seen.failed;
    while clock::now() < until {
        let counted = story.desk.counted().map(|counted| sum(&counted, of_a_route));
        let queued = story.desk.records().map(|records| records.queued);
        if counted.is_ok_and(|counted| counted >= calls) && queued == Ok(0) {
            return;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// What callers say of answers is no request of a route.
fn of_a_route(one: &Counted) -> bool {
    one.route != "none"
}

/// A line for each thing that happened.
struct Line {
    at_ms: u64,
    who: String,
    what: String,
}

fn times(story: &mut Story<'_, '_>, audit: &[AuditView]) -> Result<(), Failed> {
    let Noted { begun_ms, shadowed_ms, turned_ms, .. } = story.noted;
    let own = [
        (Some(begun_ms), "callers", format!("begin, at {}", clock::rfc3339(begun_ms))),
        (shadowed_ms, "file", format!("the shadow {SHADOW} is in force")),
        (turned_ms, "provider", format!("{CANARY} begins to ramble")),
    ];
    let own = own
        .into_iter()
        .filter_map(|(at_ms, who, what)| Some(Line { at_ms: at_ms?, who: who.to_owned(), what }));
    let mut lines: Vec<Line> = own.chain(audit.iter().map(line)).collect();
    lines.sort_by_key(|line| line.at_ms);
    for line in &lines {
        let after = minutes(line.at_ms.saturating_sub(begun_ms));
        let left = format!("{after:>5}  {}", line.who);
        story.teller.row(&left, WIDE, &line.what)?;
    }
    let said: Vec<Value> =
        lines.iter().map(|line| json!({ "at_ms": line.at_ms, "who": line.who, "what": line.what })).collect();
    if story.teller.is_json() {
        let text = "what happened when, by the audit and by what the demo did itself";
        story.teller.tell("times", Tone::Plain, text, json!({ "times": said, "audit": audit }))?;
    }
    Ok(())
}

fn line(entry: &AuditView) -> Line {
    let moved = format!("{}, {} → {}", entry.what, entry.from, entry.to);
    let what = match entry.action.as_str() {
        "kill" => format!("kill {}: {}", entry.what, entry.why),
        "revive" => format!("revive {}: {}", entry.what, entry.why),
        action => format!("{action} {moved}"),
    };
    Line { at_ms: entry.at_ms, who: entry.who.clone(), what }
}

fn numbers(story: &mut Story<'_, '_>, ledger: &Ledger) -> Result<(), Failed> {
    let Some(turned_ms) = story.noted.turned_ms else { return Ok(()) };
    let turned_us = turned_ms.saturating_mul(1000);
    let tripped_us = story.noted.tripped_ms.map_or(u64::MAX, |ms| ms.saturating_mul(1000));
    let (well, ill) = (
        ledger.sum(|row| row.saw_canary() && row.at_us < turned_us),
        ledger.sum(|row| row.saw_canary() && row.at_us >= turned_us),
    );
    let meanwhile = ledger.sum(|row| row.route == ROUTE && (turned_us..tripped_us).contains(&row.at_us));
    let spared = |row: &Row| row.chose_canary() && !row.saw_canary();
    let after = ledger.sum(spared);
    let safe = ledger.sum(|row| spared(row) && row.served == SAFE);
    story.teller.plain("")?;
    story.teller.row("  before it", NAMES, &format!("the canary answered {}", of_it(&well)))?;
    let more = format!(
        "the canary answered {} of {} users, {} of all requests of the route meanwhile: {}",
        requests(ill.requests),
        ill.users,
        of_all(ill.requests, meanwhile.requests),
        each(&ill),
    );
    story.teller.row("  while it rambled", NAMES, &more)?;
    let took_s = story.noted.tripped_ms.map(|ms| ms.saturating_sub(turned_ms) as f64 / 1000.0);
    if let Some(took_s) = took_s {
        let extra = ill.usd - well.usd_each * ill.requests as f64;
        let text = format!("after {took_s:.1} s; the long answers cost ${extra:.3} more than usual ones");
        story.teller.row("  the breaker tripped", NAMES, &text)?;
        let text = format!(
            "{} of the canary's share: {SAFE} answered {}, {} each; saved: what {} such answers would have cost more, ${:.3}",
            requests(after.requests),
            safe.requests,
            money(safe.usd_each),
            after.requests,
            (ill.usd_each - safe.usd_each) * after.requests as f64,
        );
        story.teller.row("  since then", NAMES, &text)?;
    }
    if !story.teller.is_json() {
        return Ok(());
    }
    let data = json!({
        "turned_ms": turned_ms, "tripped_ms": story.noted.tripped_ms, "seconds": took_s,
        "before": of_json(&well), "rambled": of_json(&ill), "after": of_json(&after), "by_the_safe": safe.requests,
        "meanwhile": meanwhile.requests,
    });
    Ok(story.teller.tell("numbers", Tone::Plain, "what it came to, by the record", data)?)
}

fn callers(story: &mut Story<'_, '_>, counted: &[Counted], seen: &Seen) -> Result<(), Failed> {
    let (all, failed) = (sum(counted, of_a_route), sum(counted, Counted::failed));
    let mut text = format!(
        "saw {} answers and {} errors; the gateway counted {all} requests and {failed} errors",
        seen.answered, seen.failed
    );
    for failure in &seen.failures {
        text.push_str(&format!("\n{failure}"));
    }
    story.teller.row("  the callers", NAMES, &text)?;
    let impact = story.desk.impact(FLAG)?;
    let thumbs: Vec<String> = impact
        .variants
        .iter()
        .filter_map(|one| {
            let said = one.feedback.first()?;
            Some(format!("{} {:.0} % of {}", one.variant, said.mean? * 100.0, said.count))
        })
        .collect();
    if !thumbs.is_empty() {
        story.teller.row("  thumbs up", NAMES, &thumbs.join(", "))?;
    }
    if !story.teller.is_json() {
        return Ok(());
    }
    let data = json!({
        "answered": seen.answered, "failed": seen.failed, "failures": seen.failures, "feedback": seen.feedback,
        "counted": all, "counted_errors": failed,
    });
    Ok(story.teller.tell(
        "callers",
        Tone::Plain,
        "what the callers saw, and what the gateway counted",
        data,
    )?)
}

/// Where to look, of what there is.
fn look(story: &mut Story<'_, '_>, options: &Options) -> Result<(), Failed> {
    let admin = story.gateway.admin;
    story.teller.plain("")?;
    if !options.fast {
        let pages =
            [("/", "what is on for whom"), ("/shadow/assistant/mini", "the shadow's report, with plots")];
        for (path, what) in pages {
            if story.desk.has_page(path) {
                story.teller.row("  look at", WIDE_LOOK, &format!("http://{admin}{path}  {what}"))?;
            }
        }
        let grafana = format!(
            "let Prometheus scrape {admin} (path /metrics), and import dashboards/ into Grafana: the lengths of both variants part \
             where the canary goes wrong"
        );
        story.teller.row("  Grafana", WIDE_LOOK, &grafana)?;
    } else {
        let text = "dimmer demo, without --fast: slower, and it stays up to be looked at with a browser and with Grafana";
        story.teller.row("  to look around", WIDE_LOOK, text)?;
    }
    if options.keep {
        let folder = story.place();
        let text =
            format!("dimmer audit --verify --file {folder}/state.db, and the tables of {folder}/records.db");
        story.teller.row("  what is left", WIDE_LOOK, &text)?;
    }
    Ok(())
}

/// What stands left of the places.
const WIDE_LOOK: usize = 18;

fn verdict(story: &mut Story<'_, '_>, halt: Option<Halt>, errors: u64) -> Result<Verdict, Failed> {
    let mut missing: Vec<String> = Vec::new();
    match halt {
        None => {}
        Some(Halt::Interrupted) => missing.push("it was ended before its end".to_owned()),
        Some(Halt::NotTrue(what)) => missing.push(what),
        Some(Halt::Unwritten(error)) => return Err(error.into()),
    }
    if story.noted.tripped_ms.is_none() {
        missing.push("no breaker tripped".to_owned());
    }
    if !story.noted.stood_in {
        missing.push("nobody stood in for the canary".to_owned());
    }
    if errors > 0 {
        missing.push(format!("callers got errors: {errors}"));
    }
    story.teller.plain("")?;
    let came_true = missing.is_empty();
    let (tone, text) = if came_true {
        (
            Tone::Good,
            "The story came true: the breaker tripped, another model answered, no caller got an error."
                .to_owned(),
        )
    } else {
        (Tone::Bad, format!("The story did not come true: {}.", missing.join("; ")))
    };
    story.teller.tell("verdict", tone, &text, json!({ "came_true": came_true, "missing": missing }))?;
    Ok(if came_true { Verdict::True } else { Verdict::NotTrue })
}

fn of_it(sum: &Sum) -> String {
    format!("{} of {} users: {}", requests(sum.requests), sum.users, each(sum))
}

fn each(sum: &Sum) -> String {
    format!("{:.0} characters and {} each", sum.chars, money(sum.usd_each))
}

fn money(usd: f64) -> String {
    format!("${usd:.5}")
}

fn of_json(sum: &Sum) -> Value {
    json!({
        "requests": sum.requests, "users": sum.users, "usd": sum.usd, "usd_each": sum.usd_each, "chars": sum.chars,
    })
}
