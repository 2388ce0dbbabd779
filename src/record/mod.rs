//! What happened, one record a request: exposures, shadow attempts, feedback, verdicts of judges.
//!
//! Requests put records into a bounded queue and never wait; a thread of its own writes them in batches. What does not fit is
//! dropped and counted. Knows nothing of requests: who makes a record fills it in, who reads one draws the conclusions.

mod contexts;
mod export;
mod hash;
mod postgres;
mod queue;
mod reader;
mod shadow;
mod sql;
mod sqlite;
mod store;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{RecordsPlace, RecordsSpec};
use crate::observe::{Metrics, RecordSeries};
use sql::SqlStore;

pub use contexts::{Contexts, Limits, Look, Noted, NotedContext, Shape, ShapeOf, Visit, user_hash};
pub use export::{What, export};
pub use hash::Hasher;
pub use queue::{Kept, Kind, Recorder, Taken};
pub use reader::{Give, Pieces, Reader};
pub use shadow::{Attempt, Comparison, ShadowOutcome, Side, Tools};
pub use store::{RecordStore, Seen, Span, Status, StoreError};
pub use writer::Keeping;

/// What the process keeps records with.
#[derive(Debug)]
pub struct Records {
    /// Where they are put.
    pub recorder: Recorder,
    /// Where they are read.
    pub reader: Arc<Reader>,
    /// How users are written down.
    pub hasher: Hasher,
    /// What was asked for when the process started.
    pub spec: RecordsSpec,
    series: RecordSeries,
    keeping: Option<Keeping>,
}

/// Opens what `[records]` names. Nothing is connected yet, and nothing can fail for what lies there: who writes tries again and
/// again, who reads hears why not.
pub fn open(spec: &RecordsSpec, hasher: Hasher, metrics: &Arc<Metrics>) -> io::Result<Records> {
    let sink = spec.place.sink();
    let series = RecordSeries::new(metrics, sink, Kind::ALL.map(Kind::as_str));
    let stores = match store(&spec.place, &hasher) {
        None => None,
        Some(writes) => {
            let (place, hasher) = (spec.place.clone(), hasher.clone());
            Some((writes, Reader::start(move || reading(&place, &hasher))?))
        }
    };
    let (keeping, reader) = match stores {
        Some((store, reader)) => (Some(Keeping::start(store, series.clone(), sink, spec.retention)?), reader),
        None => (None, Reader::off()),
    };
    let recorder = keeping.as_ref().map_or_else(Recorder::off, Keeping::recorder);
    Ok(Records { recorder, reader: Arc::new(reader), hasher, spec: spec.clone(), series, keeping })
}

/// What writes to a place, and reads what it wrote; `None`: nothing is kept there.
pub fn store(place: &RecordsPlace, hasher: &Hasher) -> Option<Box<dyn RecordStore>> {
    let hasher = hasher.clone();
    match place {
        RecordsPlace::None => None,
        RecordsPlace::Sqlite(path) => Some(Box::new(SqlStore::new(sqlite::File::to_write(path), hasher))),
        RecordsPlace::Postgres(place) => {
            Some(Box::new(SqlStore::new(postgres::Server::to_write(place), hasher)))
        }
    }
}

/// What only reads.
fn reading(place: &RecordsPlace, hasher: &Hasher) -> Option<Box<dyn RecordStore>> {
    let hasher = hasher.clone();
    match place {
        RecordsPlace::None => None,
        RecordsPlace::Sqlite(path) => Some(Box::new(SqlStore::new(sqlite::File::to_read(path), hasher))),
        RecordsPlace::Postgres(place) => {
            Some(Box::new(SqlStore::new(postgres::Server::to_read(place), hasher)))
        }
    }
}

impl Records {
    /// How many of a kind were lost since the start.
    pub fn lost(&self, kind: Kind) -> u64 {
        self.series.lost(kind.as_str())
    }

    /// Writes what is in the queue; waits for that so long at most.
    pub fn close(&self, patience: Duration) {
        if let Some(keeping) = &self.keeping {
            keeping.close(patience);
        }
    }
}

/// One thing to keep.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A generation request and what became of it. Each ends in exactly one.
    Exposure(Box<Exposure>),
    /// A step of a shadow's copy. Only ever added.
    Shadow(Box<Attempt>),
    /// What somebody says of an answer.
    Feedback(Feedback),
    /// What a judge says of two answers.
    Verdict(Box<Verdict>),
    /// A prompt or an answer, where the operator asked for it.
    Body(Box<Body>),
}

/// A generation request: who asked, what was decided, who answered, how it went. Everything is of the caller's whole request,
/// except where a field of a flag says that it is of the assigned target's own attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposure {
    /// dimmer's own id, `req_…`.
    pub request_id: String,
    /// When its head had come, in microseconds since 1970.
    pub at_us: u64,
    /// Whose feature.
    pub route: Arc<str>,
    /// Who called: `[clients.NAME]`; empty where none are declared.
    pub client: Arc<str>,
    /// `chat`, `completions`, `responses`, `messages`, as `wire::Endpoint` spells it.
    pub endpoint: Arc<str>,
    /// A stream was asked for.
    pub stream: bool,
    /// The targeting key. Plain here; the store hashes it unless `records.user_ids = "plain"`, and what is read back is hashed.
    pub user: Option<Box<str>>,
    /// The conversation, as a digest that says nothing of its content.
    pub conversation: Option<Box<str>>,
    /// The model that the app asked for, where the configuration knows it; else `other`.
    pub asked: Arc<str>,
    /// The declared model or the reply that answered (or was asked last): the label `model` of the metrics.
    pub served: Arc<str>,
    /// It was answered by a reply.
    pub reply: bool,
    /// The model that says it answered.
    pub answered: Option<Box<str>>,
    /// The provider's id of the answer (`chatcmpl-…`, `resp_…`, `msg_…`): feedback may name it.
    pub answer_id: Option<Box<str>>,
    /// The provider that was asked last.
    pub provider: Arc<str>,
    /// Why it is from the fallback: as in `x-dimmer-fallback`.
    pub fallback: Option<Arc<str>>,
    /// `observe::Outcome` as metrics spell it.
    pub outcome: Arc<str>,
    /// The error's code (`dimmer_…`, or the provider's type of error), where it failed.
    pub cause: Option<Box<str>>,
    /// The status that the caller got; 0: none.
    pub status: u16,
    /// From the head to the end, in microseconds.
    pub took_us: u64,
    /// From the head to the first piece of content.
    pub first_token_us: Option<u64>,
    /// Tokens, as far as the provider told them.
    pub tokens: Option<Tokens>,
    /// What it cost, in 10^-12 USD. `None`: the price or the tokens are not known.
    pub cost_pico: Option<u64>,
    /// Characters (Unicode scalar values) of the answer's text.
    pub output_chars: Option<u64>,
    /// Its words: runs of characters that are no white space.
    pub output_words: Option<u64>,
    /// JSON was asked for: whether the text is JSON.
    pub json_valid: Option<bool>,
    /// The model declined.
    pub refused: bool,
    /// Tries at the provider, 0 where none was asked.
    pub tries: u32,
    /// Each flag that was evaluated, in the order of the slots.
    pub flags: Vec<Flagged>,
}

/// A flag's part in a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flagged {
    /// The flag.
    pub flag: Arc<str>,
    /// The *assigned* variant.
    pub variant: Arc<str>,
    /// The rule that gave it; `None`: the default.
    pub rule: Option<Arc<str>>,
    /// The rules whose `when` held and whose percentage passed the caller over: its unit is one of their control, whatever it got
    /// instead.
    pub passed: Vec<Arc<str>>,
    /// The reason, as OpenFeature spells it.
    pub reason: Arc<str>,
    /// The bucketing key: the unit of everything that is claimed of the flag. Plain here, hashed like `Exposure::user`.
    pub unit: Option<Box<str>>,
    /// What the slots got, where that is not the assigned variant.
    pub served: Option<Arc<str>>,
    /// Whether the assigned target was tried at all. Where not (killed, its breaker open, a tier guard), the request is left out of
    /// gates and of impact.
    pub tried: bool,
    /// A pin gave the variant, and a fresh decision would have given another: left out of gates.
    pub pinned_apart: bool,
    /// The outcome of the assigned target's own attempt, as `Exposure::outcome`: a rescue by the fallback is an error here.
    pub outcome: Arc<str>,
    /// Its answer's length; `None` where it did not answer to the end.
    pub output_chars: Option<u64>,
    /// Its answer was to be JSON, and whether it is.
    pub json_valid: Option<bool>,
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input that was not cached.
    pub input: u64,
    /// Input read from a cache.
    pub cached: u64,
    /// Input written to a cache.
    pub cache_write: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Of which reasoning.
    pub reasoning: u64,
}

/// What somebody says of an answer. One value for each (what it names, name): the last one wins.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// Which answer.
    pub of: FeedbackOf,
    /// `[feedback.NAME]`.
    pub name: Arc<str>,
    /// 0 to 1.
    pub value: f64,
    /// Who says so: it counts only for requests of the same client.
    pub client: Arc<str>,
    /// When, in microseconds since 1970.
    pub at_us: u64,
    /// The judge that gave it, where an evaluator did.
    pub judge: Option<Arc<str>>,
}

/// What feedback names. It may come before the exposure is kept: both are joined when they are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FeedbackOf {
    /// dimmer's own id of the request.
    Request(Box<str>),
    /// The provider's id of the answer.
    Answer(Box<str>),
    /// All requests of a conversation, by its digest.
    Conversation(Box<str>),
}

/// What a judge says of the caller's answer and a candidate's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// The request that both answer.
    pub request_id: String,
    /// The route.
    pub route: Arc<str>,
    /// The shadow.
    pub shadow: Arc<str>,
    /// `[judges.NAME]`.
    pub judge: Arc<str>,
    /// When, in microseconds since 1970.
    pub at_us: u64,
    /// With the caller's answer shown first: 1 the candidate is better, 0 the caller's is, 0.5 neither. `None`: no verdict came.
    pub caller_first: Option<f64>,
    /// The same with the candidate's shown first.
    pub candidate_first: Option<f64>,
    /// What both cost, in 10^-12 USD.
    pub cost_pico: Option<u64>,
}

/// A prompt or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The request.
    pub request_id: String,
    /// `request`, `answer`, or `shadow:NAME` for a candidate's answer.
    pub part: Arc<str>,
    /// When, in microseconds since 1970.
    pub at_us: u64,
    /// The bytes, cut at the cap.
    pub bytes: bytes::Bytes,
    /// There was more.
    pub cut: bool,
}

impl Body {
    /// `most` bytes of it at most; `cut`: these are not all already.
    pub fn of(
        request_id: &str,
        part: Arc<str>,
        at_us: u64,
        bytes: bytes::Bytes,
        most: usize,
        cut: bool,
    ) -> Self {
        let cut = cut || bytes.len() > most;
        let bytes = bytes.slice(..bytes.len().min(most));
        Self { request_id: request_id.to_owned(), part, at_us, bytes, cut }
    }
}
