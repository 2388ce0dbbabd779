//! What an answer says: its text, the tools it calls, how it ended; read from a whole answer or from a stream.
//!
//! Serves comparisons (shadows, judges), which need the content itself; what every request needs is found by the cheaper
//! [`Tap`](super::Tap). Never holds more than its cap, and says nothing of an answer that it could not read to its end: half a
//! text must not be compared as if it were all.

mod chat;
mod draft;
mod messages;
mod responses;
mod schema;
#[cfg(test)]
mod tests;
mod wanted;

use serde_json::Value;

use self::draft::Draft;
pub use self::wanted::{Wanted, wanted};
use super::sse::{self, EventRef, Seen};
use super::{Endpoint, Finish, SseScanner};

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The text of the first choice, a refusal's included; without reasoning.
    pub text: String,
    /// The tools that the app is asked to call, in their order; not those that the provider runs.
    pub calls: Vec<Call>,
    /// The model or its provider declined.
    pub refused: bool,
    /// It ended at a limit of length.
    pub length: bool,
    /// How it ended, where that was told.
    pub finish: Option<Finish>,
}

/// A tool that is to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Its name; of a built-in tool that the app runs its type.
    pub name: String,
    /// Its arguments as text: JSON, or a custom tool's free text.
    pub arguments: String,
}

impl Content {
    /// Characters of the text: Unicode scalar values.
    pub fn chars(&self) -> u64 {
        self.text.chars().count() as u64
    }

    /// Words of the text: what stands between white space.
    pub fn words(&self) -> u64 {
        self.text.split_whitespace().count() as u64
    }
}

/// Is shown an answer's bytes, without their content coding, and gives its [`Content`].
#[derive(Debug)]
pub struct Collector {
    api: Option<Api>,
    cap: usize,
    reader: Reader,
}

/// The APIs whose answers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    /// Chat Completions and Completions, which differ in the place of the text only.
    Chat,
    Messages,
    Responses,
}

#[derive(Debug)]
enum Reader {
    /// A body of one JSON text.
    Whole(Vec<u8>),
    Stream(Box<Stream>),
    /// It is over the cap, or of no API that is read.
    Nothing,
}

#[derive(Debug)]
struct Stream {
    scanner: SseScanner,
    /// An event that the scanner is too small for.
    large: Large,
    draft: Draft,
}

/// The event over the scanner's limit that passes now.
#[derive(Debug, Default)]
struct Large {
    held: Vec<u8>,
    /// There was more than the cap; what is held is its beginning.
    over: bool,
}

impl Collector {
    /// For an answer of this endpoint: a stream of events or one JSON text. At most about `cap` bytes are held, and an answer
    /// with more content is not read.
    pub fn new(endpoint: Endpoint, stream: bool, cap: usize) -> Self {
        let api = match endpoint {
            Endpoint::Chat | Endpoint::Completions => Some(Api::Chat),
            Endpoint::Messages => Some(Api::Messages),
            Endpoint::Responses => Some(Api::Responses),
            Endpoint::InputTokens
            | Endpoint::Compact
            | Endpoint::CountTokens
            | Endpoint::Embeddings
            | Endpoint::Other(_) => None,
        };
        let reader = match (api, stream) {
            (None, _) => Reader::Nothing,
            (Some(_), false) => Reader::Whole(Vec::new()),
            (Some(_), true) => Reader::Stream(Box::new(Stream {
                scanner: SseScanner::new(),
                large: Large::default(),
                draft: Draft::new(cap),
            })),
        };
        Self { api, cap, reader }
    }

    /// The next bytes of the answer, cut anywhere.
    pub fn see(&mut self, piece: &[u8]) {
        let Some(api) = self.api else { return };
        let fits = match &mut self.reader {
            Reader::Nothing => return,
            Reader::Whole(body) => {
                let fits = body.len().saturating_add(piece.len()) <= self.cap;
                if fits {
                    body.extend_from_slice(piece);
                }
                fits
            }
            Reader::Stream(stream) => {
                stream.see(api, piece, self.cap);
                !stream.draft.is_over()
            }
        };
        if !fits {
            self.reader = Reader::Nothing;
        }
    }

    /// The answer is over. `None`: it was not read to its end, is an error, is over the cap, or is of no API that is read.
    pub fn end(self) -> Option<Content> {
        let api = self.api?;
        match self.reader {
            Reader::Nothing => None,
            Reader::Whole(body) => {
                let answer = serde_json::from_slice::<Value>(&body).ok()?;
                let mut draft = Draft::new(self.cap);
                match api {
                    Api::Chat => chat::read_answer(&answer, &mut draft),
                    Api::Messages => messages::read_answer(&answer, &mut draft),
                    Api::Responses => responses::read_answer(&answer, &mut draft),
                }
                draft.content()
            }
            Reader::Stream(stream) => stream.end(api),
        }
    }
}

impl Stream {
    fn see(&mut self, api: Api, piece: &[u8], cap: usize) {
        let Self { scanner, large, draft } = self;
        scanner.look(piece, &mut |seen| match seen {
            Seen::Event(event) => read_event(api, event, draft),
            Seen::Large(bytes) => large.hold(bytes, cap),
            Seen::LargeEnd => std::mem::take(large).read(api, draft),
            Seen::Nothing => {}
        });
    }

    fn end(mut self, api: Api) -> Option<Content> {
        let draft = &mut self.draft;
        self.scanner.finish(&mut |event| read_event(api, event, draft));
        self.draft.content()
    }
}

impl Large {
    fn hold(&mut self, bytes: &[u8], cap: usize) {
        let room = cap.max(HEAD).saturating_sub(self.held.len());
        self.over |= bytes.len() > room;
        self.held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn read(self, api: Api, draft: &mut Draft) {
        if !self.over {
            let mut joined = Vec::new();
            if let Some(event) = sse::read_block(&self.held, &mut joined) {
                read_event(api, event, draft);
            }
            return;
        }
        match api {
            // The last event of a response repeats all of it, the request's tools included: what it says was seen before.
            Api::Responses => responses::read_head(self.held.get(..HEAD).unwrap_or(&self.held), draft),
            Api::Chat | Api::Messages => draft.give_up(),
        }
    }
}

fn read_event(api: Api, event: EventRef<'_>, draft: &mut Draft) {
    // The SDKs stop reading at the terminal event; what follows it concerns nobody.
    if draft.is_closed() || event.data.is_empty() {
        return;
    }
    if api == Api::Chat && event.data.starts_with(b"[DONE]") {
        return draft.close();
    }
    let Ok(data) = serde_json::from_slice::<Value>(event.data) else { return draft.give_up() };
    let named = event.name.and_then(|name| std::str::from_utf8(name).ok());
    let kind = data.get("type").and_then(Value::as_str).or(named).unwrap_or_default();
    match api {
        Api::Chat if named == Some("error") => draft.give_up(),
        Api::Chat => chat::read_chunk(&data, draft),
        Api::Messages => messages::read_event(kind, &data, draft),
        Api::Responses => responses::read_event(kind, &data, draft),
    }
}

/// A member that is a text, or nothing.
fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of a member that is an array, or none.
fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Where a member says that something went wrong; APIs write `null` where nothing did.
fn has_error(value: &Value) -> bool {
    value.get("error").is_some_and(|error| !error.is_null())
}

/// An event's type stands in its first bytes: `event: `, a name under 60 bytes, or `data: {"type":"`, or both.
const HEAD: usize = 256;
