//! Chapter six: a kill by hand and its revival, and a roll-back that is only thought of.

use serde_json::json;

use super::{Halt, Story, requests};
use crate::clock;
use crate::demo::asking::Desk;
use crate::demo::ledger::Row;
use crate::demo::scrape::sum;
use crate::demo::teller::Tone;
use crate::demo::world::{DESK, DESK_MODEL, FLAG};

/// Why it is killed.
const REASON: &str = "the provider announced maintenance";
/// Why it lives again.
const OVER: &str = "the maintenance is over";

impl Story<'_, '_> {
    /// What an operator does.
    pub(super) fn by_hand(&mut self) -> Result<(), Halt> {
        let begun = clock::now();
        self.teller.chapter(6, "By hand: a kill, its revival, a roll-back as a dry run")?;
        self.teller.about(
            "Another route, another model: its provider wants to close for maintenance, says the story.",
        )?;
        let target = format!("model:{DESK_MODEL}");
        self.kill(&target)?;
        self.stay(begun)?;
        self.revive(&target)?;
        self.dry_run()
    }

    fn kill(&mut self, target: &str) -> Result<(), Halt> {
        self.command(&format!("kill {target} --reason \"{REASON}\""))?;
        let done = self.desk.kill(target, REASON)?;
        let told_us = clock::unix_us();
        let stored = if done.durable { "stored" } else { "not stored yet" };
        let text =
            format!("{} is killed: {stored}; gateways that obey: {}.", done.target, done.replicas_reached);
        let data = json!({ "target": done.target, "durable": done.durable, "served": done.served });
        self.teller.tell("killed", Tone::Plain, &text, data)?;
        for line in &done.served {
            self.teller.more(line)?;
        }
        let (before, enough) = (others(&self.desk)?, self.tempo.enough / 2);
        self.until("answers without what was killed", |desk| {
            Ok((others(desk)? >= before + enough).then_some(()))
        })?;
        let ledger = self.desk.ledger(told_us / 1000)?;
        let later = |row: &Row| row.route == DESK && row.at_us > told_us;
        let (all, wrong) = (ledger.sum(later), ledger.sum(|row| later(row) && row.served == DESK_MODEL));
        let text = format!(
            "{} came to the route {DESK} after that was said; {DESK_MODEL} answered {} of them.",
            requests(all.requests),
            wrong.requests
        );
        let data = json!({ "requests": all.requests, "by_the_killed": wrong.requests });
        let tone = if wrong.requests == 0 { Tone::Good } else { Tone::Bad };
        self.teller.tell("kill_obeyed", tone, &text, data)?;
        match wrong.requests {
            0 => Ok(()),
            some => Err(Halt::NotTrue(format!("{some} requests were answered by what was killed"))),
        }
    }

    fn revive(&mut self, target: &str) -> Result<(), Halt> {
        let before = own(&self.desk)?;
        self.command(&format!("revive {target} --reason \"{OVER}\""))?;
        let done = self.desk.revive(target, OVER)?;
        let text = format!("{} is alive again.", done.target);
        self.teller.tell("revived", Tone::Plain, &text, json!({ "target": done.target }))?;
        let now = self.until("an answer of what was revived", |desk| {
            Ok(Some(own(desk)?).filter(|now| *now > before))
        })?;
        let since = now.saturating_sub(before);
        let text = format!("{DESK_MODEL} has answered {} since.", requests(since));
        Ok(self.teller.tell("revival_obeyed", Tone::Good, &text, json!({ "requests": since }))?)
    }

    fn dry_run(&mut self) -> Result<(), Halt> {
        let target = format!("flag:{FLAG}");
        self.command(&format!("rollback {target} --dry-run"))?;
        let thought = self.desk.would_roll_back(&target)?;
        let text = format!(
            "{} would be rolled back, with {} in flight:",
            thought.target,
            requests(thought.in_flight)
        );
        let data = json!({
            "target": thought.target, "dry_run": thought.dry_run, "in_flight": thought.in_flight,
            "steps": thought.steps,
        });
        self.teller.tell("rollback_dry_run", Tone::Plain, &text, data)?;
        for step in &thought.steps {
            self.teller.row(&format!("       {}", step.step), 18, &step.detail)?;
        }
        let killed = self.desk.killed(&target)?.is_some();
        if killed {
            return Err(Halt::NotTrue(format!("the dry run has killed {target}")));
        }
        Ok(self.teller.more("It was a dry run: nothing was done.")?)
    }
}

/// Requests of the route that somebody else answered.
fn others(desk: &Desk) -> Result<u64, String> {
    Ok(sum(&desk.counted()?, |one| one.route == DESK && one.model != DESK_MODEL))
}

/// Requests of the route that its own model answered.
fn own(desk: &Desk) -> Result<u64, String> {
    Ok(sum(&desk.counted()?, |one| one.route == DESK && one.model == DESK_MODEL))
}
