//! The bounded queue between those who trace requests and the thread that tells the collector.
//!
//! Putting a trace in wakes nobody and never waits: the thread looks by itself. What finds no room is dropped and counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::clock;
use crate::config::TelemetrySpec;
use crate::observe::trace::span::Trace;
use crate::observe::trace::{SpanId, TraceContext, TraceId};
use crate::observe::{SpanResult, SpanSeries};

/// Traces that wait: a second of 4,000 requests, and some 8 MiB.
const PLACES: usize = 4096;

/// Begins traces, and takes what becomes of them. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    shared: Arc<Shared>,
}

/// The queue's other end.
#[derive(Debug)]
pub(super) struct Taken {
    queue: Receiver<Box<Trace>>,
    pub(super) shared: Arc<Shared>,
}

/// What both ends see.
#[derive(Debug)]
pub(super) struct Shared {
    queue: SyncSender<Box<Trace>>,
    /// Ids are hashes under it: nobody can tell one from another.
    seed: u64,
    /// A trace is recorded whose last 56 bits are not below it.
    threshold: u64,
    /// Spans have their conversation's digest.
    conversations: bool,
    /// Until when, on the process's own clock, what waits may still be sent; `u64::MAX`: nothing ends. Written once, in milliseconds.
    deadline_ms: AtomicU64,
    taker: OnceLock<Thread>,
    pub(super) series: SpanSeries,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}

/// The last seven bytes of a trace's id are the ones that are random everywhere.
const RANDOM_BITS: u32 = 56;

impl Tracer {
    /// With a queue that nobody takes from yet.
    pub(super) fn new(spec: &TelemetrySpec, series: SpanSeries, seed: u64) -> (Self, Taken) {
        let (queue, taken) = sync_channel(PLACES);
        let all = (1_u64 << RANDOM_BITS) as f64;
        let shared = Arc::new(Shared {
            queue,
            seed,
            threshold: ((1.0 - spec.sample.clamp(0.0, 1.0)) * all) as u64,
            conversations: spec.conversations,
            deadline_ms: AtomicU64::new(u64::MAX),
            taker: OnceLock::new(),
            series,
        });
        (Self { shared: Arc::clone(&shared) }, Taken { queue: taken, shared })
    }

    /// The place of the span of a request with this id: in its caller's trace, or in one that begins with it. Whether that is recorded
    /// is the caller's word, else it follows from the trace's id.
    pub fn begin(&self, caller: Option<TraceContext>, request: &[u8]) -> TraceContext {
        let seed = self.shared.seed;
        let span = SpanId(xxh3_64_with_seed(request, seed).max(1));
        match caller {
            Some(caller) => caller.with_span(span),
            None => {
                let trace = xxh3_128_with_seed(request, seed).max(1);
                TraceContext::new(TraceId(trace), span, self.draws(trace))
            }
        }
    }

    fn draws(&self, trace: u128) -> bool {
        let random = trace as u64 & ((1 << RANDOM_BITS) - 1);
        random >= self.shared.threshold
    }

    /// The id of a span below `parent`, the one of this number.
    pub fn below(&self, parent: SpanId, number: u32) -> SpanId {
        let seed = self.shared.seed.wrapping_add(u64::from(number)).wrapping_add(1);
        SpanId(xxh3_64_with_seed(&parent.0.to_be_bytes(), seed).max(1))
    }

    /// Whether spans have the digest of their conversation.
    pub fn wants_conversations(&self) -> bool {
        self.shared.conversations
    }

    /// Takes a trace in.
    pub fn put(&self, trace: Box<Trace>) {
        let spans = trace.spans();
        if self.shared.queue.try_send(trace).is_err() {
            self.shared.series.count(SpanResult::QueueFull, spans);
        }
    }

    /// Nothing more comes; what waits may be sent for so long.
    pub(super) fn close(&self, patience: Duration) {
        self.shared.deadline_ms.store(milliseconds(clock::uptime() + patience), Ordering::Release);
        if let Some(taker) = self.shared.taker.get() {
            taker.unpark();
        }
    }
}

impl Taken {
    /// What waits longest, if anything does.
    pub(super) fn take(&self) -> Option<Box<Trace>> {
        self.queue.try_recv().ok()
    }

    /// The thread that calls this is woken at the end.
    pub(super) fn settle(&self) {
        let _ = self.shared.taker.set(std::thread::current());
    }

    /// How much time is left; `None`: nothing ends.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let deadline = self.shared.deadline_ms.load(Ordering::Acquire);
        let left = deadline.saturating_sub(milliseconds(clock::uptime()));
        (deadline != u64::MAX).then(|| Duration::from_millis(left))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1)
}
