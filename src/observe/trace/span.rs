//! What a request leaves behind for its trace: plain values, written into spans elsewhere.

use std::sync::Arc;

use http::{Method, Version};
use smallvec::SmallVec;

use crate::config::{Model, Provider, Reply, Route};
use crate::flags::{Evaluation, Flag, VariantIndex};
use crate::observe::Outcome;
use crate::observe::trace::{SpanId, TraceContext};
use crate::units::PicoUsd;
use crate::wire::{Endpoint, Finish, Usage};

/// Spans of one trace.
#[derive(Debug)]
pub struct Trace {
    /// The place of the request's own span: the parent of all tries.
    pub context: TraceContext,
    /// The caller's `tracestate`.
    pub state: Option<Box<str>>,
    /// Which call it is.
    pub endpoint: Endpoint,
    /// A stream was asked for.
    pub stream: bool,
    /// The conversation's digest, where the operator wants it.
    pub conversation: Option<Box<str>>,
    /// The request itself; `None`: what follows here belongs to one that is told of elsewhere.
    pub request: Option<Box<RequestSpan>>,
    /// Each try at a provider, in order.
    pub tries: SmallVec<[TrySpan; 1]>,
}

/// From when to when, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The beginning.
    pub start_ns: u64,
    /// The end.
    pub end_ns: u64,
}

/// The caller's request: all of it.
#[derive(Debug)]
pub struct RequestSpan {
    /// The caller's span.
    pub parent: Option<SpanId>,
    /// From its head to its answer's end.
    pub times: Times,
    /// dimmer's own id, `req_…`.
    pub id: String,
    /// Its method.
    pub method: Method,
    /// HTTP's version.
    pub version: Version,
    /// It came over TLS.
    pub tls: bool,
    /// Whose feature; `None`: no route took it.
    pub route: Option<Arc<Route>>,
    /// `[clients.NAME]`
    pub client: Option<Arc<str>>,
    /// The model that the app asked for, cut and cleaned.
    pub asked: Option<Box<str>>,
    /// The label `model` of the metrics.
    pub served: Arc<str>,
    /// The status that the caller got; 0: none.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// dimmer's own error.
    pub error: Option<&'static str>,
    /// Why it is from the fallback.
    pub fallback: Option<&'static str>,
    /// Names of the parameters that were taken out.
    pub dropped: Vec<String>,
    /// Which configuration decided.
    pub generation: u64,
    /// Each flag that was evaluated, in the order of the slots.
    pub flags: SmallVec<[FlagEvent; 4]>,
}

/// A flag's part.
#[derive(Debug)]
pub struct FlagEvent {
    /// The flag.
    pub flag: Arc<Flag>,
    /// What came out.
    pub evaluation: Evaluation,
    /// What the slots got; `None`: the request's own value.
    pub served: Option<VariantIndex>,
}

/// One try at a provider, or at a service that makes a reply.
#[derive(Debug)]
pub struct TrySpan {
    /// Its own id.
    pub span: SpanId,
    /// From asking to the answer's end.
    pub times: Times,
    /// Who was asked.
    pub asked: Asked,
    /// Where that is.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// How many tries the request had before this one.
    pub before: u32,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What went wrong: an error of ours, or a word for how the answer broke off.
    pub error: Option<Box<str>>,
    /// What was learned of the answer.
    pub answer: Option<Box<Answered>>,
    /// It is a shadow's copy: the shadow, and what became of it.
    pub shadow: Option<(Arc<str>, &'static str)>,
}

/// Who was asked.
#[derive(Debug)]
pub enum Asked {
    /// A provider.
    Provider {
        /// Which.
        provider: Arc<Provider>,
        /// For which declared model.
        model: Option<Arc<Model>>,
        /// The model's name as it was sent, where it is not a declared one.
        sent: Option<Box<str>>,
    },
    /// A service that makes a reply.
    Service(Arc<Reply>),
}

/// What an answer said of itself.
#[derive(Debug, Default)]
pub struct Answered {
    /// The model that says it answered.
    pub model: Option<Box<str>>,
    /// The provider's id of it.
    pub id: Option<Box<str>>,
    /// How it ended.
    pub finish: Option<Finish>,
    /// Tokens, where the answer told all of them.
    pub usage: Option<Usage>,
    /// From asking to the first piece of content, streams only.
    pub first_chunk_ns: Option<u64>,
    /// What it cost.
    pub cost: Option<PicoUsd>,
    /// Characters of its text.
    pub output_chars: Option<u64>,
}

impl Trace {
    /// How many spans it has.
    pub fn spans(&self) -> usize {
        usize::from(self.request.is_some()) + self.tries.len()
    }
}
