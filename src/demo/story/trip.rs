//! Chapters four and five: the canary goes wrong at its provider, the breaker sees it, and who stands in.

use serde_json::json;

use super::canary::variant;
use super::{Halt, Story};
use crate::clock;
use crate::demo::ledger::Row;
use crate::demo::scrape::{Counted, sum};
use crate::demo::teller::Tone;
use crate::demo::world::{CANARY, CANARY_PROVIDER, FLAG, RAMBLING, SAFE};
use crate::names::ProviderName;

impl Story<'_, '_> {
    /// The provider's model begins to ramble. Nobody tells the gateway.
    pub(super) fn goes_wrong(&mut self) -> Result<(), Halt> {
        self.teller.chapter(4, "The canary goes wrong")?;
        self.teller.about("Nobody changes anything at the gateway, and nobody tells it. Every answer is a 200; they are only too long.")?;
        let provider = ProviderName::from(CANARY_PROVIDER);
        let known = self.gateway.mock.turn(&provider, CANARY, |model| model.words *= RAMBLING);
        if !known {
            return Err(Halt::NotTrue(format!("{CANARY_PROVIDER} has no model {CANARY}")));
        }
        self.noted.turned_ms = Some(clock::unix_ms());
        let text = format!(
            "At its provider {CANARY} begins to ramble: the simulation lets it write {RAMBLING} times as much from now on."
        );
        self.teller.tell("went_wrong", Tone::Bad, &text, json!({ "model": CANARY, "times": RAMBLING }))?;
        self.watching = true;
        let target = canary();
        let killed = self.until("the breaker's trip", |desk| desk.killed(&target));
        self.watching = false;
        let kill = killed?;
        self.teller.chapter(5, "The breaker trips, and another model answers")?;
        if kill.origin != "breaker" {
            return Err(Halt::NotTrue(format!("{target} was killed by {}, not by a breaker", kill.by)));
        }
        self.noted.tripped_ms = clock::unix_us_of(&kill.at).map(|us| us / 1000);
        let text = format!("The {} killed {}: {}.", kill.by, kill.target, kill.reason);
        let data =
            json!({ "target": kill.target, "by": kill.by, "killed_at": kill.at, "reason": kill.reason });
        Ok(self.teller.tell("breaker_tripped", Tone::Bad, &text, data)?)
    }

    /// Who would have had the canary gets the default, and no error.
    pub(super) fn trips(&mut self) -> Result<(), Halt> {
        let begun = clock::now();
        let enough = self.tempo.enough;
        self.until("answers of those who stand in", |desk| {
            Ok((desk.impact(FLAG)?.left_out.not_tried >= enough).then_some(()))
        })?;
        self.stay(begun)?;
        let tripped_ms = self.noted.tripped_ms.unwrap_or_default();
        let tripped_us = tripped_ms.saturating_mul(1000);
        let ledger = self.desk.ledger(tripped_ms)?;
        let after = |row: &Row| row.chose_canary() && row.at_us >= tripped_us;
        let rescued = |row: &Row| row.served == SAFE && row.fallback.is_some();
        let stood_in = ledger.sum(|row| after(row) && rescued(row));
        let elsewhere = ledger.sum(|row| after(row) && !rescued(row));
        let counted = self.desk.counted()?;
        let (all, failed) = (sum(&counted, |_| true), sum(&counted, Counted::failed));
        self.noted.stood_in = stood_in.requests > 0 && elsewhere.requests == 0;
        let text = format!(
            "Since then {} requests of {} users were still in the canary's share: {SAFE} answered {}, others {}. Errors so far: \
             {failed} of {all} requests.",
            stood_in.requests + elsewhere.requests,
            stood_in.users,
            stood_in.requests,
            elsewhere.requests,
        );
        let data = json!({
            "stood_in": stood_in.requests, "users": stood_in.users, "elsewhere": elsewhere.requests,
            "errors": failed, "requests": all, "by": SAFE,
        });
        let tone = if self.noted.stood_in && failed == 0 { Tone::Good } else { Tone::Bad };
        self.teller.tell("stood_in", tone, &text, data)?;
        let safe = variant(&self.desk, SAFE)?;
        let text = format!(
            "Answers of {SAFE} have {:.0} characters on average, as before.",
            safe.output_chars.unwrap_or_default()
        );
        Ok(self.teller.more(&text)?)
    }
}

/// As the audit and the kills name it.
pub(super) fn canary() -> String {
    format!("flag:{FLAG}/{CANARY}")
}
