//! What an answer says, in no API's words: events in the order in which it grows. A whole answer is told as the same events.
//!
//! Blocks do not overlap: one is opened, grows and is closed before the next. What models think is not among them: it is signed or
//! sealed for its own model, and another one that gets it back refuses the request.

use std::fmt::Debug;

use super::node::Text;
use super::pen::{Pen, Put};
use super::{Broken, Memory};
use crate::wire::sse::EventRef;
use crate::wire::{Endpoint, Finish, Usage, reply_id};

/// One thing that an answer says.
#[derive(Debug)]
pub(super) enum Event<'a> {
    Begin(Begin<'a>),
    Open(Block<'a>),
    /// The open block grows: its text, or the text of a call's input.
    More(Text<'a>),
    Close,
    /// Tokens so far: totals, of which the last ones hold.
    Usage(Usage),
    Finish(Ending<'a>),
    /// It is still worked on.
    Alive,
    /// It went wrong; nothing follows.
    Failed(Failure<'a>),
    /// The provider's own terminal event; nothing follows.
    End,
}

#[derive(Debug, Default)]
pub(super) struct Begin<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) model: Option<Text<'a>>,
    pub(super) created_s: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Block<'a> {
    Text,
    Refusal,
    Call { id: Text<'a>, name: Text<'a> },
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Refusal,
    Call,
}

impl Block<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Text => Kind::Text,
            Self::Refusal => Kind::Refusal,
            Self::Call { .. } => Kind::Call,
        }
    }
}

/// How an answer ended.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    pub(super) finish: Finish,
    /// The stop sequence that it ended at, where that is told.
    pub(super) stop: Option<Text<'a>>,
    /// Why it was refused, where that is told.
    pub(super) why: Option<Text<'a>>,
}

/// What went wrong.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    /// As an answer's status; of an error in a stream the one that its type has.
    pub(super) status: u16,
    pub(super) code: Option<Text<'a>>,
    pub(super) message: Option<Text<'a>>,
    pub(super) param: Option<Text<'a>>,
}

/// Where a reader tells what it read.
pub(super) type Tell<'t> = &'t mut dyn FnMut(Event<'_>);

/// Reads an API's stream.
pub(super) trait Reads: Debug + Send {
    /// The next event.
    fn event(&mut self, event: EventRef<'_>, tell: Tell<'_>) -> Result<(), Broken>;
}

/// Writes a stream of an API.
pub(super) trait Streams: Debug + Send {
    /// What the caller gets of it, as whole events; nothing where it has no word for it.
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Broken>;

    /// The number of the next event, where they are numbered.
    fn next_sequence(&self) -> u64 {
        0
    }
}

/// Writes a whole answer of an API.
pub(super) trait Answers {
    fn take(&mut self, event: &Event<'_>);

    /// The body; none where too much of it is missing.
    fn body(self: Box<Self>) -> Option<Vec<u8>>;
}

/// More of an answer than any model writes; it bounds what is held of one to be said again at its end.
pub(super) const HELD_MAX: usize = 64 * 1024 * 1024;

/// Prefixes of answers' ids.
const PREFIXES: [&str; 6] = ["chatcmpl-", "msg_", "resp_", "cmpl-", "gen-", "chatcmpl_"];

/// What comes out of `Begin`: the answer's id in the caller's form, around the provider's own, its model and its time.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The unique part of the id: letters, digits, `_` and `-`.
    pub(super) unique: String,
    pub(super) id: String,
    /// As JSON, with its quotes.
    pub(super) model: Vec<u8>,
    pub(super) created_s: u64,
}

impl Head {
    pub(super) fn of(begin: &Begin<'_>, memory: &Memory) -> Self {
        let told = begin.id.as_ref().map(Text::plain).unwrap_or_default();
        let bare = PREFIXES.iter().find_map(|prefix| told.strip_prefix(prefix)).unwrap_or(&told);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let fits = !bare.is_empty() && bare.len() <= UNIQUE_MAX && bare.bytes().all(plain);
        let unique = if fits { bare } else { &*memory.id }.to_owned();
        let mut model = Vec::new();
        match begin.model.as_ref().filter(|model| !model.is_empty()) {
            Some(told) => told.put(&mut model),
            None => (&*memory.model).put(&mut model),
        }
        Self {
            id: reply_id(memory.from, &unique),
            unique,
            model,
            created_s: begin.created_s.unwrap_or(memory.created_s),
        }
    }
}

/// Longer than any provider's.
const UNIQUE_MAX: usize = 200;

/// Writes `usage` as an API says it.
pub(super) fn put_usage(endpoint: Endpoint, usage: &Usage, pen: &mut Pen<'_>) {
    let input = usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_write);
    let total = input.saturating_add(usage.output);
    pen.open(b'{');
    if endpoint == Endpoint::Messages {
        pen.field("input_tokens", usage.input).field("cache_creation_input_tokens", usage.cache_write);
        pen.field("cache_read_input_tokens", usage.cache_read).field("output_tokens", usage.output);
        pen.key("output_tokens_details").open(b'{').field("thinking_tokens", usage.reasoning).close(b'}');
        pen.close(b'}');
        return;
    }
    let [of_input, of_output] = match endpoint {
        Endpoint::Responses => ["input_tokens", "output_tokens"],
        _ => ["prompt_tokens", "completion_tokens"],
    };
    pen.field(of_input, input).key(&format!("{of_input}_details")).open(b'{');
    pen.field("cached_tokens", usage.cache_read).field("cache_write_tokens", usage.cache_write).close(b'}');
    pen.field(of_output, usage.output).key(&format!("{of_output}_details")).open(b'{');
    pen.field("reasoning_tokens", usage.reasoning).close(b'}');
    pen.field("total_tokens", total).close(b'}');
}
