//! Chapters one to three: what is usual, the canary, and the shadow.

use serde_json::json;

use super::{Halt, Story, share};
use crate::clock;
use crate::demo::asking::Desk;
use crate::demo::teller::Tone;
use crate::demo::world::{CANARY, FLAG, ROUTE, RULE, SAFE, SHADOW};
use crate::report::impact::VariantImpact;
use crate::report::shadow::{Compared, Report};

/// The canary begins with so many of the rule's callers.
const FIRST: f64 = 5.0;
/// Then there are so many.
const SECOND: f64 = 20.0;
/// Answers that are enough to see that somebody gets the canary.
const SOME: u64 = 2;

impl Story<'_, '_> {
    /// Everybody is served by the safe model.
    pub(super) fn steady(&mut self) -> Result<(), Halt> {
        let begun = clock::now();
        self.teller.chapter(1, "Steady traffic on the safe model")?;
        self.teller.about("Users of three apps ask. A flag decides which model answers: for now the safe one for everybody.")?;
        let enough = self.tempo.steady;
        self.until("steady traffic", |desk| {
            let total = desk.adoption(ROUTE)?.total;
            Ok((total.requests >= enough).then_some(()))
        })?;
        self.stay(begun)?;
        let adoption = self.desk.adoption(ROUTE)?;
        let usual = variant(&self.desk, SAFE)?;
        let served: Vec<String> = adoption
            .served
            .iter()
            .map(|one| format!("{} {:.0} %", one.by, one.requests_part * 100.0))
            .collect();
        let text = format!(
            "The route {ROUTE} has answered {} requests of {} users: {}. Answers of {SAFE} have {:.0} characters on average.",
            adoption.total.requests,
            adoption.total.users,
            served.join(", "),
            usual.output_chars.unwrap_or_default(),
        );
        let data = json!({
            "requests": adoption.total.requests, "users": adoption.total.users, "served": adoption.served,
            "output_chars": usual.output_chars,
        });
        Ok(self.teller.tell("steady", Tone::Plain, &text, data)?)
    }

    /// A few get another model, by a percentage that is moved at run time.
    pub(super) fn canary(&mut self) -> Result<(), Halt> {
        let begun = clock::now();
        self.teller.chapter(2, "A canary of a few per cent, by a flag")?;
        self.teller.about("A rule of the flag gives some of the callers in Europe another model. The percentage is moved while it serves.")?;
        self.percent(FIRST, "first callers in Europe")?;
        self.until("the canary's first answers", |desk| {
            Ok(variant(desk, CANARY).ok().filter(|one| one.requests >= SOME).map(|_| ()))
        })?;
        self.percent(SECOND, "errors are flat")?;
        let enough = self.tempo.usual;
        self.until("enough answers of the canary", |desk| {
            Ok(variant(desk, CANARY).ok().filter(|one| one.requests >= enough).map(|_| ()))
        })?;
        self.stay(begun)?;
        let (canary, safe) = (variant(&self.desk, CANARY)?, variant(&self.desk, SAFE)?);
        let text = format!(
            "{CANARY} has served {} requests of {} users; its answers have {:.0} characters on average, those of {SAFE} {:.0}.",
            canary.requests,
            canary.users,
            canary.output_chars.unwrap_or_default(),
            safe.output_chars.unwrap_or_default(),
        );
        let data = json!({
            "requests": canary.requests, "users": canary.users, "output_chars": canary.output_chars,
            "control_output_chars": safe.output_chars,
        });
        self.teller.tell("canary", Tone::Plain, &text, data)?;
        self.how_far()
    }

    fn percent(&mut self, percent: f64, reason: &str) -> Result<(), Halt> {
        self.command(&format!("flags set {FLAG} --rule {RULE} --percent {percent} --reason \"{reason}\""))?;
        let flag = self.desk.set_percent(FLAG, RULE, percent, reason)?;
        let rule = flag.rules.iter().find(|rule| rule.rule == RULE);
        let (now, file) = rule.map_or((percent, 0.0), |rule| (rule.percent, rule.file_percent));
        let text =
            format!("{FLAG}: rule {RULE} is at {now} % of the callers in Europe, the file says {file} %.");
        let data = json!({ "flag": FLAG, "rule": RULE, "percent": now, "file_percent": file });
        Ok(self.teller.tell("percent_set", Tone::Plain, &text, data)?)
    }

    /// A candidate answers copies; nobody sees its answers.
    pub(super) fn shadow(&mut self) -> Result<(), Halt> {
        let begun = clock::now();
        self.teller.chapter(3, "A candidate in the shadow")?;
        self.teller.about("Copies of requests go to a cheaper model. No caller sees its answers; they are measured beside the real ones.")?;
        let before = self.desk.config()?.generation;
        self.gateway.add_shadow(self.folder, &self.tempo)?;
        let config = self.until("the saved routes.toml", |desk| {
            Ok(Some(desk.config()?).filter(|config| config.generation > before))
        })?;
        self.noted.shadowed_ms = Some(clock::unix_ms());
        let text = format!(
            "routes.toml was saved with [[routes.{ROUTE}.shadow]], and generation {} of the configuration serves.",
            config.generation
        );
        self.teller.tell("shadow_on", Tone::Plain, &text, json!({ "generation": config.generation }))?;
        self.until("a report that claims something", |desk| {
            Ok(desk.shadow(ROUTE, SHADOW).ok().filter(claims).map(|_| ()))
        })?;
        self.stay(begun)?;
        self.command(&format!("shadow {ROUTE} {SHADOW}"))?;
        let report = self.desk.shadow(ROUTE, SHADOW)?;
        let covered = &report.coverage;
        let text = format!(
            "{} requests could have been copied, {} were sent, {} were answered.",
            covered.eligible, covered.sent, covered.answered
        );
        let first = compared(&report);
        let data = json!({
            "eligible": covered.eligible, "sent": covered.sent, "answered": covered.answered,
            "verdict": first.map(|one| &one.verdict), "pairs": first.map(|one| one.pairs),
            "units": first.map(|one| one.units),
        });
        self.teller.tell("shadow_report", Tone::Plain, &text, data)?;
        let Some(one) = first else { return Ok(()) };
        self.teller.more(&format!("{} against {}, {} users:", one.candidate, one.primary, one.units))?;
        Ok(self.teller.more(&one.verdict)?)
    }
}

/// What one variant did so far.
pub(super) fn variant(desk: &Desk, name: &str) -> Result<VariantImpact, String> {
    let impact = desk.impact(FLAG)?;
    let found = impact.variants.into_iter().find(|one| one.variant == name);
    found.ok_or_else(|| format!("nobody was given {name} yet"))
}

/// The comparison with the safe model.
fn compared(report: &Report) -> Option<&Compared> {
    report.comparisons.iter().find(|one| one.primary == SAFE)
}

fn claims(report: &Report) -> bool {
    compared(report).is_some_and(|one| one.measures.iter().any(|measure| measure.claim))
}

/// A part of all in per cent.
pub(in crate::demo) fn of_all(part: u64, all: u64) -> String {
    format!("{:.1} %", share(part, all))
}
