//! The load: calls at a steady rate from a thread of their own, until it is told to stop. Knows nothing of the story.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

use super::caller::Door;
use super::crowd;

/// Calls that are made.
pub(super) struct Traffic {
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What the callers saw. Written by each call, read by the story.
#[derive(Debug, Default)]
pub(super) struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    feedback: AtomicU64,
    /// What went wrong, the first few.
    failures: Mutex<Vec<String>>,
}

/// What the callers saw so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Calls that were answered whole.
    pub(super) answered: u64,
    /// Calls that were not.
    pub(super) failed: u64,
    /// What they said of answers.
    pub(super) feedback: u64,
    /// What went wrong, the first few.
    pub(super) failures: Vec<String>,
}

/// A machine that cannot keep up gets no more than this at once.
const AT_ONCE: u32 = 48;
/// How many failures are told in words.
const FAILURES: usize = 5;
/// What is under way when the traffic stops has this long to end.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// Nobody likes an answer of more bytes; in a stream each word has an event around it.
const TOO_LONG: usize = 2_500;
/// The same of a stream.
const TOO_LONG_STREAM: usize = 60_000;

impl Traffic {
    /// Begins with the call of this number.
    pub(super) fn start(data: SocketAddr, per_second: u32, first: u64) -> Result<Self, String> {
        let refused = |error: std::io::Error| format!("the system refused a thread: {error}");
        let tally = Arc::new(Tally::default());
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let counted = Arc::clone(&tally);
        let load = run(Arc::new(Door::new(data)), counted, (per_second, first), stopped);
        let thread = std::thread::Builder::new()
            .name("callers".into())
            .spawn(move || runtime.block_on(load))
            .map_err(refused)?;
        Ok(Self { tally, stop, thread })
    }

    /// No new calls; waits for those that are under way.
    pub(super) fn stop(self) -> Seen {
        self.stop.send_replace(true);
        // A defect of the load is no reason to hide what was seen.
        let _ = self.thread.join();
        self.tally.seen()
    }
}

impl Tally {
    fn failed(&self, what: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES {
            failures.push(what);
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            answered: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            feedback: self.feedback.load(Ordering::Relaxed),
            failures: self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

async fn run(
    door: Arc<Door>,
    tally: Arc<Tally>,
    (per_second, first): (u32, u64),
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE as usize));
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = first;
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            _ = tick.tick() => {}
        }
        // Who cannot get through now comes later: the rate is a wish.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (door, tally) = (Arc::clone(&door), Arc::clone(&tally));
        tokio::spawn(async move {
            one(&door, &tally, number).await;
            drop(place);
        });
        number += 1;
    }
    let all = places.acquire_many(AT_ONCE);
    // What has not ended by then is cut with the thread.
    let _ = tokio::time::timeout(LAST_ANSWERS, all).await;
}

async fn one(door: &Door, tally: &Tally, number: u64) {
    let call = crowd::call(number);
    let answer = match door.ask(&call).await {
        Ok(answer) => answer,
        Err(what) => return tally.failed(what),
    };
    tally.answered.fetch_add(1, Ordering::Relaxed);
    let Some(id) = answer.request_id.filter(|_| call.says) else { return };
    let too_long = if call.stream { TOO_LONG_STREAM } else { TOO_LONG };
    let good = answer.bytes < too_long && !number.is_multiple_of(5);
    match door.say(&id, f64::from(u8::from(good))).await {
        Ok(()) => drop(tally.feedback.fetch_add(1, Ordering::Relaxed)),
        Err(what) => tally.failed(what),
    }
}
