//! Watches what is asked for and what is at 100 %, so that it can be said what may be tidied up. Remembers over restarts.
//!
//! Looks at counters that requests move anyway; no request knows of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::config::Config;
use crate::names::{FlagKey, RuleName};
use crate::observe::Metrics;
use crate::record::{Reader, RecordStore, Span, StoreError};
use crate::report::hygiene::{FullSince, Hygiene, Kind, Overrides, Patience, Quiet, Watched, full, hygiene};
use crate::snapshot::Store;
use crate::state::Noted;

/// Knows what nobody asks for. One per process, shared by reference.
pub struct Upkeep {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    reader: Arc<Reader>,
    /// Locked for a look at a time.
    seen: Mutex<Seen>,
    /// Held while the records are asked: who comes meanwhile waits for that answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Seen {
    watched: Watched,
    /// What the counters of this process said at the last look.
    evaluations: BTreeMap<String, u64>,
    requests: BTreeMap<String, u64>,
    /// When that was, in whole seconds of the process's life; `None`: there was none yet.
    looked_s: Option<u64>,
    /// When the records are to be asked again; `None`: they never were.
    ask_from: Option<Duration>,
    /// Something is to be kept.
    new: bool,
}

/// What outlives the process.
#[derive(Serialize, Deserialize)]
struct Note {
    version: u32,
    since_ms: u64,
    flags: BTreeMap<String, Quiet>,
    models: BTreeMap<String, Quiet>,
    full: Vec<(String, String, FullSince)>,
}

const VERSION: u32 = 1;
/// How often it looks by itself.
const EVERY: Duration = Duration::from_secs(60);
/// The records are asked this often at most: who is on their page looks every few seconds.
const RECORDS_EVERY: Duration = Duration::from_secs(300);
/// Where they could not be read.
const RECORDS_AGAIN: Duration = Duration::from_secs(10);

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upkeep")
    }
}

impl Upkeep {
    /// Over what serves. What it knew before a restart is given to it as a note before it first looks.
    pub fn new(store: Arc<Store>, metrics: Arc<Metrics>, reader: Arc<Reader>) -> Self {
        Self { store, metrics, reader, seen: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Looks again and again.
    pub async fn watch(self: Arc<Self>) {
        loop {
            self.look().await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// What may be tidied up now, with the records of all gateways taken into account.
    pub async fn findings(&self, patience: Patience) -> Hygiene {
        self.look().await;
        self.said(patience)
    }

    /// Says in the metrics how much there is.
    pub fn show(&self) {
        self.tick();
        let found = self.said(Patience::default()).findings;
        for kind in Kind::ALL {
            self.metrics.hygiene(kind.as_str(), found.iter().filter(|finding| finding.kind == kind).count());
        }
    }

    fn said(&self, patience: Patience) -> Hygiene {
        let (view, state) = (self.store.load_full(), self.store.state());
        let watched = self.seen().watched.clone();
        hygiene(&view.config, &state.overrides, Some(&watched), patience, clock::unix_ms())
    }

    async fn look(&self) {
        self.tick();
        let _one_at_a_time = self.asking.lock().await;
        let Some(flags) = self.questions() else { return };
        let answer = self.reader.read(move |store| newest(store, flags)).await;
        self.seen().heard(answer, clock::unix_ms(), clock::uptime());
    }

    fn tick(&self) {
        let (view, state) = (self.store.load_full(), self.store.state());
        let counted = (self.metrics.evaluations(), self.metrics.requests_by_model());
        let mut seen = self.seen();
        seen.look(&view.config, &state.overrides, counted, (clock::unix_ms(), clock::uptime()));
    }

    /// The flags that the records are to be asked about, where that is due.
    fn questions(&self) -> Option<Vec<String>> {
        let now = clock::uptime();
        let mut seen = self.seen();
        if !self.reader.is_on() {
            "off".clone_into(&mut seen.watched.record);
            return None;
        }
        if seen.ask_from.is_some_and(|from| now < from) {
            return None;
        }
        let quiet = seen.watched.flags.iter().filter(|(_, quiet)| !quiet.asked || quiet.quiet_s > 0);
        Some(quiet.map(|(key, _)| key.clone()).collect())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a flag last decided in the records of any gateway, in milliseconds since 1970.
type Newest = Vec<(String, u64)>;

fn newest(store: &mut dyn RecordStore, flags: Vec<String>) -> Result<Newest, StoreError> {
    let mut found = Vec::new();
    for flag in flags {
        let span = Span { flag: Some(flag.clone()), limit: 1, ..Span::default() };
        let mut at_ms = None;
        store.exposures(&span, &mut |seen| at_ms = Some(seen.exposure.at_us / 1000))?;
        found.extend(at_ms.map(|at_ms| (flag, at_ms)));
    }
    Ok(found)
}

impl Seen {
    fn look(
        &mut self,
        config: &Config,
        overrides: &Overrides,
        (evaluations, requests): (BTreeMap<String, u64>, BTreeMap<String, u64>),
        (now_ms, uptime): (u64, Duration),
    ) {
        let before_s = self.looked_s.replace(uptime.as_secs());
        let passed_s = before_s.map_or(0, |before_s| uptime.as_secs().saturating_sub(before_s));
        if self.watched.since_ms == 0 {
            self.watched.since_ms = now_ms;
        }
        let flags = config.flags.iter().map(|flag| flag.key.as_str());
        let models = config.models.iter().map(|model| model.name.as_str());
        let watched = &mut self.watched;
        update(&mut watched.flags, flags, (&self.evaluations, &evaluations), now_ms, passed_s);
        update(&mut watched.models, models, (&self.requests, &requests), now_ms, passed_s);
        (self.evaluations, self.requests) = (evaluations, requests);
        watched.full = still_full(std::mem::take(&mut watched.full), config, overrides, now_ms);
        self.new = true;
    }

    /// What the records said. The gateways' clocks may differ a little: what comes from the future is from now.
    fn heard(&mut self, answer: Result<Newest, StoreError>, now_ms: u64, uptime: Duration) {
        let wait = if answer.is_ok() { RECORDS_EVERY } else { RECORDS_AGAIN };
        self.ask_from = Some(uptime.saturating_add(wait));
        let found = match answer {
            Ok(found) => found,
            Err(error) => {
                self.watched.record = error.message;
                return;
            }
        };
        "read".clone_into(&mut self.watched.record);
        for (flag, at_ms) in found {
            let at_ms = at_ms.min(now_ms);
            let Some(quiet) = self.watched.flags.get_mut(&flag) else { continue };
            if at_ms > quiet.since_ms || !quiet.asked {
                let passed_s = now_ms.saturating_sub(at_ms) / 1000;
                *quiet = Quiet { since_ms: at_ms, asked: true, quiet_s: passed_s.min(quiet.quiet_s) };
            }
        }
    }
}

/// Whatever was counted since the last look is asked for now, and all else is quiet for so much longer.
fn update<'n>(
    quiets: &mut BTreeMap<String, Quiet>,
    names: impl Iterator<Item = &'n str>,
    (before, now): (&BTreeMap<String, u64>, &BTreeMap<String, u64>),
    now_ms: u64,
    passed_s: u64,
) {
    let mut old = std::mem::take(quiets);
    for name in names {
        let counted = now.get(name) > before.get(name);
        let quiet = match old.remove(name) {
            _ if counted => Quiet { since_ms: now_ms, asked: true, quiet_s: 0 },
            Some(quiet) => Quiet { quiet_s: quiet.quiet_s.saturating_add(passed_s), ..quiet },
            None => Quiet { since_ms: now_ms, asked: false, quiet_s: 0 },
        };
        quiets.insert(name.to_owned(), quiet);
    }
}

type FullRules = BTreeMap<(FlagKey, RuleName), FullSince>;

fn still_full(mut before: FullRules, config: &Config, overrides: &Overrides, now_ms: u64) -> FullRules {
    let mut now = FullRules::new();
    for one in full(config, overrides) {
        let variant = one.flag.variant(one.variant).map_or_else(String::new, |value| value.name.to_string());
        let key = (one.flag.key.clone(), one.rule.name.clone());
        let since = match before.remove(&key) {
            Some(since) if since.variant == variant => since,
            // With another variant it is another rollout.
            Some(_) => FullSince { since_ms: now_ms, variant },
            None => FullSince { since_ms: one.set.map_or(now_ms, |set| set.at_ms.min(now_ms)), variant },
        };
        now.insert(key, since);
    }
    now
}

impl Noted for Upkeep {
    const NAME: &'static str = "hygiene";
    const WHAT: &'static str = "since when nobody asked for flags and models, and rules are at 100 %";
    /// Days are counted: minutes that are lost are no matter.
    const EVERY: Duration = Duration::from_secs(300);

    fn to_note(&self) -> Option<Vec<u8>> {
        let mut seen = self.seen();
        if !std::mem::take(&mut seen.new) {
            return None;
        }
        let watched = seen.watched.clone();
        drop(seen);
        let full = watched.full.into_iter();
        let note = Note {
            version: VERSION,
            since_ms: watched.since_ms,
            flags: watched.flags,
            models: watched.models,
            full: full.map(|((flag, rule), since)| (flag.to_string(), rule.to_string(), since)).collect(),
        };
        serde_json::to_vec(&note).ok()
    }

    fn not_kept(&self) {
        self.seen().new = true;
    }

    fn take_note(&self, bytes: &[u8]) -> bool {
        let Ok(note) = serde_json::from_slice::<Note>(bytes) else { return false };
        if note.version != VERSION {
            return false;
        }
        let full = note.full.into_iter();
        let mut seen = self.seen();
        seen.watched = Watched {
            since_ms: note.since_ms,
            flags: note.flags,
            models: note.models,
            full: full
                .map(|(flag, rule, since)| {
                    ((FlagKey::from(flag.as_str()), RuleName::from(rule.as_str())), since)
                })
                .collect(),
            record: String::new(),
        };
        true
    }
}

#[cfg(test)]
mod tests;
