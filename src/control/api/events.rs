//! `GET /events`: the numbers of now about once a second, and every change at once, as server-sent events.
//!
//! One task reads the counters for all who look on, and rests while nobody does. Who looks on takes a place of a bounded number, and one
//! that takes nothing for a while loses it; no change and no request ever waits for any of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::control::api::Api;
use crate::control::api::answers::{Answer, Answered, Content};
use crate::control::api::beat::Readings;
use crate::control::api::refusal::Refusal;
use crate::control::api::shapes::{BreakerView, Happened};
use crate::control::breakers;
use crate::observe::Metrics;

/// Who looks on, and what they are told. One per process, part of the API.
#[derive(Debug)]
pub struct Pulse {
    metrics: Arc<Metrics>,
    /// The latest numbers, as an event. Written by the one task; who is slow misses some.
    live: watch::Sender<Bytes>,
    /// What the task itself found out, beside what the switchboard says.
    found: broadcast::Sender<Happened>,
    /// Somebody looks on.
    wanted: Notify,
    places: Arc<Semaphore>,
}

/// Browsers of one team; the admin listener has 256 connections for everything.
const PLACES: usize = 64;
/// How often the numbers are told.
const EVERY: Duration = Duration::from_secs(1);
/// Who takes nothing for so long has gone, or is of no use to anybody.
const PATIENCE: Duration = Duration::from_secs(20);
/// Events that wait for one who looks on.
const WAITING_MAX: usize = 8;

impl Pulse {
    /// Over these counters.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            live: watch::Sender::new(Bytes::new()),
            found: broadcast::Sender::new(WAITING_MAX),
            wanted: Notify::new(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }
}

impl Api {
    /// Tells the numbers for as long as somebody wants them. Never ends.
    pub async fn beat(self: Arc<Self>) {
        loop {
            if self.pulse.live.receiver_count() == 0 {
                self.pulse.live.send_replace(Bytes::new());
                self.pulse.wanted.notified().await;
            }
            let mut readings = Readings::default();
            let mut stood = BTreeMap::new();
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // A change is seen in the numbers at once, too.
            let mut changes = self.switchboard.changes();
            while self.pulse.live.receiver_count() > 0 {
                tokio::select! {
                    _ = ticks.tick() => readings.take(clock::uptime(), self.pulse.metrics.counts()),
                    // A channel that lost some is a change as well.
                    _ = changes.recv() => {}
                }
                self.tell(&readings, &mut stood);
            }
        }
    }

    fn tell(&self, readings: &Readings, stood: &mut BTreeMap<String, String>) {
        let view = self.store.load_full();
        let standing = self.standing();
        let breakers = breakers::list(&self.breakers);
        self.say_what_moved(&breakers, stood);
        let at_ms = clock::unix_ms();
        let live = readings.live(at_ms, standing.state.version, &view, (&breakers, standing.kills()));
        self.pulse.live.send_replace(event("live", &live));
    }

    /// A breaker that opens, half opens or closes by itself is a change like any other.
    fn say_what_moved(&self, breakers: &[BreakerView], stood: &mut BTreeMap<String, String>) {
        let before = std::mem::take(stood);
        for one in breakers {
            let known = before.get(&one.id);
            if known.is_some_and(|state| *state != one.state) {
                // An error says that nobody looks on.
                let _ = self.pulse.found.send(Happened {
                    action: "breaker".to_owned(),
                    what: one.id.clone(),
                    by: "breaker".to_owned(),
                    why: one.cause.clone().unwrap_or_else(|| one.state.clone()),
                    at_ms: clock::unix_ms(),
                });
            }
            stood.insert(one.id.clone(), one.state.clone());
        }
    }
}

/// `GET /events`
pub(super) fn listen(api: &Arc<Api>) -> Answered {
    let Ok(place) = Arc::clone(&api.pulse.places).try_acquire_owned() else {
        let message = format!("{PLACES} others look on already: close a page, or ask the other operations");
        return Err(Refusal::unavailable("unavailable", message));
    };
    let (say, said) = mpsc::channel(WAITING_MAX);
    let onlooker = Onlooker {
        live: api.pulse.live.subscribe(),
        changes: api.switchboard.changes(),
        found: api.pulse.found.subscribe(),
        say,
    };
    api.pulse.wanted.notify_one();
    tokio::spawn(async move {
        onlooker.tell().await;
        drop(place);
    });
    // A comment first: whoever looks on knows that the line is open.
    let first = Some(Bytes::from_static(b": dimmer\n\n"));
    Ok(Answer { status: StatusCode::OK, content: Content::Events(first, said) })
}

/// One who looks on.
struct Onlooker {
    live: watch::Receiver<Bytes>,
    changes: broadcast::Receiver<Happened>,
    found: broadcast::Receiver<Happened>,
    say: mpsc::Sender<Result<Bytes, crate::record::StoreError>>,
}

impl Onlooker {
    /// Until they leave, or the configuration changes: the tokens may be others then, and who has one comes back.
    async fn tell(mut self) {
        let known = self.live.borrow_and_update().clone();
        if !known.is_empty() && !self.one(known).await {
            return;
        }
        loop {
            let (event, last) = tokio::select! {
                biased;
                () = self.say.closed() => return,
                change = self.changes.recv() => changed(change),
                change = self.found.recv() => changed(change),
                more = self.live.changed() => match more {
                    Ok(()) => (self.live.borrow_and_update().clone(), false),
                    Err(_) => return,
                },
            };
            if event.is_empty() {
                continue;
            }
            if !self.one(event).await || last {
                return;
            }
        }
    }

    async fn one(&self, event: Bytes) -> bool {
        self.say.send_timeout(Ok(event), PATIENCE).await.is_ok()
    }
}

/// The event of a change, and whether it is the last.
fn changed(change: Result<Happened, RecvError>) -> (Bytes, bool) {
    match change {
        Ok(one) => {
            let last = one.action == "config_loaded";
            (event("change", &one), last)
        }
        Err(RecvError::Lagged(missed)) => {
            let several = Happened {
                action: "several".to_owned(),
                what: format!("{missed} changes"),
                by: String::new(),
                why: String::new(),
                at_ms: clock::unix_ms(),
            };
            (event("change", &several), false)
        }
        Err(RecvError::Closed) => (Bytes::new(), true),
    }
}

/// One event. JSON has no line breaks of its own.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let Ok(data) = serde_json::to_string(data) else { return Bytes::new() };
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
