//! Requests and answers said in another API's words: Chat Completions, Responses and Messages to one another.
//!
//! Serves rewrite and relay where a request goes to a provider that speaks another dialect, and only there: within one dialect
//! bytes are spliced, not translated. Each API reads into one small vocabulary and writes from it, so that
//! another one is one folder here and one row. What an API's fields become is data: each is mapped,
//! dropped with its name in [`Translated::dropped`], or refused by name. Nothing waits for a whole tool call, and a stream that
//! breaks never ends as if it were complete.

mod answer;
mod ask;
mod chat;
mod error;
mod fields;
mod form;
mod messages;
mod node;
mod pen;
mod responses;
mod stream;
#[cfg(test)]
mod tests;
mod values;

use std::borrow::Cow;
use std::sync::Arc;

pub use self::fields::{Fate, Field, Shape};
use self::fields::{Losses, refuse};
use self::form::{FORMS, Form, Writing, form};
use self::node::Node;
pub use self::stream::Stream;
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
    /// The caller's stream ends with its usage.
    include_usage: bool,
    id: Box<str>,
    created_s: u64,
    /// The model that was asked, for answers that name none.
    model: Box<str>,
    /// What the answer repeats of the request (Responses), as members.
    echo: Arc<[u8]>,
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
pub fn translates(from: Endpoint, to: Endpoint) -> bool {
    from != to && form(from).is_some() && form(to).is_some_and(|form| form.provider.is_some())
}

/// The path of a call behind its provider's base URL, where that ends as the provider's own SDK expects: OpenAI's in `/v1`. None of a
/// call that is not translated.
pub fn path(endpoint: Endpoint) -> Option<&'static str> {
    form(endpoint).map(|form| form.path)
}

/// What becomes of each field of each API's requests: the API's name and its shapes.
pub fn field_tables() -> impl Iterator<Item = (&'static str, &'static [Shape])> {
    FORMS.into_iter().map(|form| (form.title, form.shapes))
}

/// The request in the other API's words. The model's name is taken over as it stands; `fit` is for afterwards, on the new body.
///
/// # Errors
/// When a field has no counterpart and cannot be left out.
pub fn request(
    from: Endpoint,
    body: &[u8],
    target: &Target,
    stamp: &Stamp<'_>,
) -> Result<Translated, Refused> {
    let (Some(source), Some(provider)) = (form(from), provider(target.endpoint)) else {
        return Err(refuse(
            "model",
            "the model's provider speaks another API, and this call has no counterpart there",
        ));
    };
    let Some(node) = Node::checked(body).filter(|node| node.kind() == super::json::Kind::Object) else {
        return Err(refuse("model", "the request is no JSON object"));
    };
    let mut losses = Losses::default();
    let ask = (source.read)(node, &mut losses)?;
    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 256);
    let writing = Writing { target, names: source.names };
    (provider.write)(&ask, &writing, &mut losses, &mut out)?;
    let memory = Memory {
        from,
        to: target.endpoint,
        include_usage: ask.include_usage,
        id: stamp.id.into(),
        created_s: stamp.created_s,
        model: ask.model.as_ref().map(|model| model.plain().into()).unwrap_or_default(),
        echo: ask.echo.into(),
    };
    Ok(Translated { body: out, dropped: losses.names, memory })
}

/// A whole answer, back in the caller's words.
///
/// # Errors
/// When it is not an answer of the provider's API. Errors go to [`error`].
pub fn answer(memory: &Memory, body: &[u8]) -> Result<Vec<u8>, Unreadable> {
    const NO_ANSWER: Unreadable = Unreadable { why: "the answer is not what the provider's API defines" };
    let node = Node::checked(body).ok_or(Unreadable { why: "the answer is no JSON" })?;
    let mut writer = (form(memory.from).ok_or(NO_ANSWER)?.answers)(memory);
    let read = provider(memory.to).ok_or(NO_ANSWER)?.read;
    read(node, &mut |event| writer.take(&event)).ok_or(NO_ANSWER)?;
    writer.body().ok_or(NO_ANSWER)
}

/// A provider's error, whatever its shape, back in the caller's words: the status and the body.
pub fn error(memory: &Memory, status: u16, body: &[u8]) -> (u16, Vec<u8>) {
    error::whole(memory, status, body)
}

fn provider(endpoint: Endpoint) -> Option<&'static form::Provider> {
    form(endpoint).and_then(|form: &'static Form| form.provider.as_ref())
}
