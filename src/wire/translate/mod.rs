//! Requests and answers said in another API's words: Chat Completions, Responses and Messages to one another.
//!
//! Serves rewrite and relay where a request goes to a provider that speaks another dialect, and only there: within one dialect
//! bytes are spliced, not translated. Each API reads into one small vocabulary and writes from it, so that
//! another one is one folder here and one row. What an API's fields become is data: each is mapped,
//! dropped with its name in [`Translated::dropped`], or refused by name. Nothing waits for a whole tool call, and a stream that
//! breaks never ends as if it were complete.

use std::borrow::Cow;

use super::{Endpoint, ErrorCode};

/// Whom the request is for, as far as that changes how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which call of its provider's API it becomes.
    pub endpoint: Endpoint,
    /// The most tokens that the model writes, where that is known: what a request without a limit gets at an API that requires one.
    pub max_output: Option<u64>,
    /// It takes `temperature` and `top_p`.
    pub sampling: bool,
    /// It takes a level of effort, and thinks.
    pub effort: bool,
    /// It goes on with a last message of the assistant.
    pub prefill: bool,
    /// It can be made to call a tool.
    pub forced_tools: bool,
    /// It answers by a JSON schema.
    pub schema: bool,
    /// It reads images.
    pub images: bool,
    /// It takes system messages between the others.
    pub later_system: bool,
}

impl Target {
    /// A model of which nothing is known: it takes what nearly all take. An effort is a hint, and not worth a refused request.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            max_output: None,
            sampling: true,
            effort: false,
            prefill: true,
            forced_tools: true,
            schema: true,
            images: true,
            later_system: false,
        }
    }
}

/// What the answer says of the request where its provider says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The request's id: the unique part of the answer's where the provider gives none; errors of Messages name it.
    pub id: &'a str,
    /// Seconds since 1970.
    pub created_s: u64,
}

/// A request as another API says it.
#[derive(Clone, Debug)]
pub struct Translated {
    /// The body.
    pub body: Vec<u8>,
    /// Fields that have no counterpart and went lost, for `x-dimmer-dropped` and its counter. Borrowed names are those of
    /// the tables; an owned one came with the request, is short and of letters, digits, `_`, `-` and `.`, and is no label.
    pub dropped: Vec<Cow<'static, str>>,
    /// For the answer's way back.
    pub memory: Memory,
}

/// What the answer's translation needs to know of the request.
#[derive(Clone, Debug)]
pub struct Memory {
    from: Endpoint,
    to: Endpoint,
    include_usage: bool,
    id: Box<str>,
    created_s: u64,
}

impl Memory {
    /// Whose words the caller speaks.
    pub fn from(&self) -> Endpoint {
        self.from
    }

    /// Whose words the provider speaks.
    pub fn to(&self) -> Endpoint {
        self.to
    }
}

/// The request cannot be said in the other API's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The field, as the caller's API names it: `n`, `messages.content`.
    pub field: Cow<'static, str>,
    /// For people: what of it cannot cross, and what would.
    pub why: Cow<'static, str>,
    /// Nearly always [`ErrorCode::CannotTranslate`]; for state that another provider holds what the SDKs recover from.
    pub code: ErrorCode,
}

/// A whole answer that cannot be read: no JSON, or not what its API defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// For the log; nothing of the answer.
    pub why: &'static str,
}

/// A stream that cannot be read on. What was written stays written; an error event of the caller's API may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// For the log; nothing of the stream.
    pub why: &'static str,
}

/// Whether a request of `from` can become one of `to`.
pub fn translates(_from: Endpoint, _to: Endpoint) -> bool {
    false
}

/// The path of a call behind its provider's base URL, where that ends as the provider's own SDK expects: OpenAI's in `/v1`.
pub fn path(endpoint: Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::Chat => Some("/chat/completions"),
        Endpoint::Responses => Some("/responses"),
        Endpoint::Messages => Some("/messages"),
        _ => None,
    }
}

/// The request in the other API's words. The model's name is taken over as it stands; `fit` is for afterwards, on the new body.
///
/// # Errors
/// When a field has no counterpart and cannot be left out.
pub fn request(
    from: Endpoint,
    _body: &[u8],
    target: &Target,
    _stamp: &Stamp<'_>,
) -> Result<Translated, Refused> {
    let _ = (from, target);
    Err(Refused { field: "model".into(), why: "not built yet".into(), code: ErrorCode::CannotTranslate })
}

/// A whole answer, back in the caller's words.
///
/// # Errors
/// When it is not an answer of the provider's API. Errors go to [`error`].
pub fn answer(_memory: &Memory, _body: &[u8]) -> Result<Vec<u8>, Unreadable> {
    Err(Unreadable { why: "not built yet" })
}

/// A provider's error, whatever its shape, back in the caller's words: the status and the body.
pub fn error(_memory: &Memory, status: u16, _body: &[u8]) -> (u16, Vec<u8>) {
    (status, Vec::new())
}

/// An answer's event stream, back in the caller's words: bytes go in cut anywhere, whole events come out as soon as they can be
/// said.
#[derive(Debug)]
pub struct Stream {
    memory: Memory,
}

impl Stream {
    /// At the start of a stream.
    pub fn new(memory: Memory) -> Self {
        Self { memory }
    }

    /// The provider's next bytes. What the caller gets is appended to `out`: always whole events.
    ///
    /// # Errors
    /// When the stream cannot be read on. Nothing more may be fed.
    pub fn feed(&mut self, _bytes: &[u8], _out: &mut Vec<u8>) -> Result<(), Broken> {
        let _ = &self.memory;
        Err(Broken { why: "not built yet" })
    }

    /// The provider's body is over. Says whether the answer was whole: where it was not, nothing was written that ends it, and the
    /// caller's API's error event is to follow.
    ///
    /// # Errors
    /// As [`Stream::feed`], of what was still held.
    pub fn end(&mut self, _out: &mut Vec<u8>) -> Result<bool, Broken> {
        Ok(false)
    }

    /// The end was written: by the provider's own terminal event, or by its error event. What is fed afterwards is ignored.
    pub fn is_over(&self) -> bool {
        false
    }

    /// The `sequence_number` that the next event has, where the caller's API numbers its events: for
    /// [`error_event`](super::error_event).
    pub fn next_sequence(&self) -> u64 {
        0
    }
}
