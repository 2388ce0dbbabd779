//! The story: chapters that each do something and wait for what follows, for as long as that takes.

mod canary;
mod hands;
mod trip;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::asking::Desk;
use super::bell::Bell;
use super::folder::Folder;
use super::gateway::Gateway;
use super::scrape::{Counted, sum};
use super::teller::{Teller, Tone};
use super::tempo::{PATIENCE, Tempo};
use super::world::{CANARY, FLAG, ROUTE};
use crate::clock;

pub(super) use canary::of_all;

/// Who tells, who is asked, and what was noted so far.
pub(super) struct Story<'o, 'g> {
    pub(super) teller: Teller<'o>,
    pub(super) desk: Desk,
    pub(super) gateway: &'g Gateway,
    pub(super) noted: Noted,
    tempo: Tempo,
    folder: &'g Folder,
    bell: Arc<Bell>,
    /// How a breaker stands is told as well.
    watching: bool,
    said: Said,
}

/// When what happened that nobody but the story can know, in milliseconds since 1970; and what it saw come true.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    /// The callers began.
    pub(super) begun_ms: u64,
    /// The shadow was in force.
    pub(super) shadowed_ms: Option<u64>,
    /// The model began to ramble.
    pub(super) turned_ms: Option<u64>,
    /// The kill that the breaker made, by its own time.
    pub(super) tripped_ms: Option<u64>,
    /// Somebody else answered what the canary would have had.
    pub(super) stood_in: bool,
}

/// Why the story does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody wants it to end.
    Interrupted,
    /// What should have happened did not, or the gateway did not say.
    NotTrue(String),
    /// Nobody can be told.
    Unwritten(io::Error),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Unwritten(error)
    }
}

impl From<String> for Halt {
    fn from(what: String) -> Self {
        Self::NotTrue(what)
    }
}

/// What the last line about the traffic said.
struct Said {
    at: Instant,
    counted: Vec<Counted>,
}

/// Between two questions to the gateway.
const LOOK_AGAIN: Duration = Duration::from_millis(400);

impl<'o, 'g> Story<'o, 'g> {
    /// Nothing is told yet.
    pub(super) fn new(
        teller: Teller<'o>,
        desk: Desk,
        tempo: Tempo,
        (gateway, folder): (&'g Gateway, &'g Folder),
        bell: Arc<Bell>,
    ) -> Self {
        let noted = Noted { begun_ms: clock::unix_ms(), ..Noted::default() };
        let said = Said { at: clock::now(), counted: Vec::new() };
        Self { teller, desk, gateway, noted, tempo, folder, bell, watching: false, said }
    }

    /// The folder of all that the gateway has.
    pub(super) fn place(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// All chapters.
    pub(super) fn tell(&mut self) -> Result<(), Halt> {
        self.steady()?;
        self.canary()?;
        self.shadow()?;
        self.goes_wrong()?;
        self.trips()?;
        self.by_hand()
    }

    /// Behind the end: it can be looked at.
    pub(super) fn goes_on(&mut self) -> io::Result<()> {
        let text =
            "The traffic goes on, and the canary stays killed until somebody revives it. Ctrl-C ends all.";
        self.teller.plain("")?;
        self.teller.tell("goes_on", Tone::Plain, text, json!({}))
    }

    /// What a person would type for what is done next.
    fn command(&mut self, command: &str) -> Result<(), Halt> {
        let text = format!("$ dimmer {command}");
        Ok(self.teller.tell("command", Tone::Command, &text, json!({}))?)
    }

    /// Looks again and again until there is what is waited for.
    fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Desk) -> Result<Option<T>, String>,
    ) -> Result<T, Halt> {
        let begun = clock::now();
        loop {
            let last = match look(&self.desk) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => String::new(),
                Err(problem) => format!("; the gateway said: {problem}"),
            };
            if clock::now().saturating_duration_since(begun) > PATIENCE {
                let waited = PATIENCE.as_secs();
                return Err(Halt::NotTrue(format!("{what} was waited for in vain, {waited} s{last}")));
            }
            self.pause()?;
        }
    }

    /// Stays in the chapter for as long as it should last.
    fn stay(&mut self, since: Instant) -> Result<(), Halt> {
        while clock::now().saturating_duration_since(since) < self.tempo.chapter {
            self.pause()?;
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), Halt> {
        if self.bell.wait(LOOK_AGAIN) {
            return Err(Halt::Interrupted);
        }
        if clock::now().saturating_duration_since(self.said.at) >= self.tempo.between_lines {
            self.stands()?;
        }
        Ok(())
    }

    /// How things stand, by the metrics: since the last such line.
    fn stands(&mut self) -> Result<(), Halt> {
        let now = clock::now();
        // A line that does not come is no reason to end: the next one tells more.
        let Ok(counted) = self.desk.counted() else { return Ok(()) };
        let before = std::mem::replace(&mut self.said, Said { at: now, counted: counted.clone() });
        let grown = |counts: &dyn Fn(&Counted) -> bool| {
            sum(&counted, counts).saturating_sub(sum(&before.counted, counts))
        };
        let seconds = now.saturating_duration_since(before.at).as_secs_f64().max(0.001);
        let (all, failed) = (sum(&counted, |_| true), sum(&counted, Counted::failed));
        let rate = grown(&|_| true) as f64 / seconds;
        let assistant = grown(&|one| one.route == ROUTE);
        let mut models: Vec<&str> =
            counted.iter().filter(|one| one.route == ROUTE).map(|one| one.model.as_str()).collect();
        models.sort_unstable();
        models.dedup();
        let shares: Vec<String> = models
            .into_iter()
            .map(|model| (model, grown(&|one| one.route == ROUTE && one.model == model)))
            .filter(|(_, requests)| *requests > 0)
            .map(|(model, requests)| format!("{model} {:.0} %", share(requests, assistant)))
            .collect();
        let text = format!("{all} requests, {rate:.0}/s, {failed} errors; {}", shares.join(", "));
        let data = json!({ "requests": all, "errors": failed, "per_second": rate });
        self.teller.tell("stands", Tone::Quiet, &text, data)?;
        if self.watching { self.how_far() } else { Ok(()) }
    }

    /// How far the canary's breaker is from tripping.
    fn how_far(&mut self) -> Result<(), Halt> {
        let id = format!("route:{ROUTE}/flag:{FLAG}/{CANARY}");
        let Ok(Some(breaker)) = self.desk.breaker(&id) else { return Ok(()) };
        let Some(one) = breaker.measurements.iter().find(|one| one.name == LENGTH) else { return Ok(()) };
        let text = format!("Its breaker: {} {}, {}.", one.name, one.now, one.limit);
        let data =
            json!({ "breaker": breaker.id, "state": breaker.state, "now": one.now, "limit": one.limit });
        Ok(self.teller.tell("breaker", Tone::Quiet, &text, data)?)
    }
}

/// The measurement that the story is about, as `[breakers]` names it.
const LENGTH: &str = "output_vs_control";

/// So many of them.
pub(super) fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

/// In per cent.
fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}
