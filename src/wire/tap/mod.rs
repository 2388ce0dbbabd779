//! Learns from an answer while it passes: usage, length, how it ended, errors.
//!
//! Serves the relay stage. The tap is shown the answer's bytes and never holds them back or changes them; what it
//! cannot read stays unknown, and nothing that a provider sends makes it fail. Must never keep an answer's text.

mod chat;
mod cursor;
mod embeddings;
mod messages;
mod responses;
mod shape;
mod skim;
mod stencil;
#[cfg(test)]
mod tests;
pub(super) mod walk;
mod words;

use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;

use self::cursor::{Cursor, Judge, Verdict};
use self::embeddings::Edges;
use self::shape::Shape;
use self::skim::Skim;
use self::walk::{Text, Walk};
pub use self::words::Words;
use super::coding::{self, StreamDecoder};
use super::guard::Repetition;
use super::json::JsonPieces;
use super::sse::{EventRef, Seen, SseScanner};
use super::{Endpoint, Usage};

/// What is known of an answer so far. Where `blind` is true, the rest is only what was known before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The tokens that the provider told; `None` until it does. A message tells its input at the start.
    pub usage: Option<Usage>,
    /// Whether `usage` holds the output too. Only the end of a stream tells it: a stream that was cut leaves it false,
    /// and then `usage.output` is a lower bound.
    pub usage_final: bool,
    /// Unicode scalar values of the text that the model wrote: content and refusals of all choices. Tool arguments and
    /// reasoning are no text. Where `blind_events` is not zero it is a lower bound.
    pub output_chars: u64,
    /// The first content came: text, a refusal, a tool call or reasoning. The empty text of a role chunk is none.
    pub content_started: bool,
    /// A refusal's text came (OpenAI only).
    pub refused: bool,
    /// How the answer ended. With several choices, the last one's end.
    pub finish: Option<Finish>,
    /// The provider's id of the answer (`chatcmpl-…`, `msg_…`, `resp_…`).
    pub answer_id: Option<Box<str>>,
    /// The model that says it answered.
    pub answered_model: Option<Box<str>>,
    /// The answer is an error, or its stream carried an error event.
    pub error: bool,
    /// The error's type, such as `overloaded_error`.
    pub error_type: Option<Box<str>>,
    /// The error's code: OpenAI's `code`, Anthropic's `details.error_code`.
    pub error_code: Option<Box<str>>,
    /// The end was seen: `[DONE]`, `message_stop`, `response.completed` and its like, or a whole JSON text that parses.
    /// What comes after is not read.
    pub complete: bool,
    /// How long the text is, is not known, and `output_chars` says nothing: the provider still works on the answer, or it was
    /// too large for its text to be read.
    pub text_unknown: bool,
    /// Events that were too large to be read. Of a response's large events only those with text are.
    pub blind_events: u64,
    /// The tap does not read this answer: another endpoint, an unknown coding, a broken coding, a body over the cap
    /// (of a response over it all but the text is read).
    pub blind: bool,
    /// The words of the same text, where they are counted.
    pub words: Option<Words>,
    /// Follows the text where it is to be JSON: see [`Facts::json_valid`].
    pub json: Option<Box<JsonPieces>>,
    /// Follows the text where a loop is to be noticed; not where there are several choices.
    pub repetition: Option<Box<Repetition>>,
}

/// How an answer ended, in one form for both dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// By itself, or at a stop sequence.
    Stop,
    /// At a limit of length.
    Length,
    /// It wants tools to be called.
    ToolCalls,
    /// The model or its provider refused; also where the text is a refusal and the end says `stop`.
    Refusal,
    /// A reason that this version does not know.
    Other,
}

/// Is shown an answer's bytes and knows the [`Facts`].
#[derive(Debug)]
pub struct Tap {
    facts: Facts,
    reader: Reader,
    /// Only for an answer with a content coding.
    decoder: Option<Coded>,
    any_bytes: bool,
}

#[derive(Debug)]
enum Reader {
    Stream(Box<Stream>),
    Whole {
        dialect: Api,
        body: Body,
    },
    /// A whole response over the cap.
    Large(Box<Skim>),
    /// Embeddings, of which only the usage is looked at.
    Edges(Box<Edges>),
    Blind,
}

#[derive(Debug)]
struct Stream {
    dialect: Api,
    scanner: SseScanner,
    shape: Shape,
    responses: responses::Reader,
    /// The content block of a message that has begun and not ended.
    open_block: Option<u64>,
    events: u64,
}

/// The APIs whose answers are read.
#[derive(Clone, Copy, Debug)]
enum Api {
    /// Chat Completions and Completions, which differ in the place of the text only.
    Chat,
    Messages,
    Responses,
}

#[derive(Debug)]
enum Coded {
    Stream(Box<StreamDecoder>),
    Whole(Box<str>),
}

impl Tap {
    /// For an answer that is an event stream.
    pub fn stream(endpoint: Endpoint) -> Self {
        Self::reading(endpoint, |dialect| {
            let (scanner, shape, responses) =
                (SseScanner::new(), Shape::default(), responses::Reader::default());
            Reader::Stream(Box::new(Stream {
                dialect,
                scanner,
                shape,
                responses,
                open_block: None,
                events: 0,
            }))
        })
    }

    /// For an answer that is one JSON text.
    pub fn whole(endpoint: Endpoint) -> Self {
        if endpoint == Endpoint::Embeddings {
            let facts = Facts { text_unknown: true, ..Facts::default() };
            return Self { facts, reader: Reader::Edges(Box::default()), decoder: None, any_bytes: false };
        }
        Self::reading(endpoint, |dialect| Reader::Whole { dialect, body: Body::default() })
    }

    /// For an answer that is not read.
    pub fn blind() -> Self {
        let facts = Facts { blind: true, ..Facts::default() };
        Self { facts, reader: Reader::Blind, decoder: None, any_bytes: false }
    }

    /// For an answer whose words are counted too.
    pub fn counting_words(mut self) -> Self {
        self.facts.words = Some(Words::default());
        self
    }

    /// For an answer that is to be JSON: `facts().json_valid()` says whether it is.
    pub fn judging_json(mut self) -> Self {
        if !self.facts.blind {
            self.facts.json = Some(Box::default());
        }
        self
    }

    /// For a stream whose text is watched for loops: `facts().repeats()` says whether there is one.
    pub fn watching_repetition(mut self) -> Self {
        if matches!(self.reader, Reader::Stream(_)) {
            self.facts.repetition = Some(Box::default());
        }
        self
    }

    /// For an answer with this `Content-Encoding`: the tap decodes its own copy. It goes blind where it cannot.
    pub fn decoding(mut self, content_encoding: &str) -> Self {
        if coding::is_identity(content_encoding) {
            return self;
        }
        match self.reader {
            Reader::Stream(_) | Reader::Edges(_) => match StreamDecoder::new(content_encoding) {
                Some(decoder) => self.decoder = Some(Coded::Stream(Box::new(decoder))),
                None => self.go_blind(),
            },
            Reader::Whole { .. } => self.decoder = Some(Coded::Whole(content_encoding.into())),
            Reader::Large(_) | Reader::Blind => {}
        }
        self
    }

    /// The next bytes of the answer, as they came.
    pub fn feed(&mut self, chunk: &Bytes) {
        self.any_bytes |= !chunk.is_empty();
        match &mut self.reader {
            Reader::Blind => {}
            Reader::Large(skim) => skim.feed(chunk),
            Reader::Edges(edges) => {
                let Some(Coded::Stream(decoder)) = &mut self.decoder else { return edges.feed(chunk) };
                if decoder.feed(chunk, &mut |piece| edges.feed(piece)).is_err() {
                    self.go_blind();
                }
            }
            Reader::Whole { dialect, body } => {
                if body.push(chunk) {
                    return;
                }
                match (dialect, &self.decoder) {
                    (Api::Responses, None) => {
                        self.reader = Reader::Large(Box::new(responses::large_answer(body, chunk)));
                    }
                    _ => self.go_blind(),
                }
            }
            Reader::Stream(stream) => {
                let Some(Coded::Stream(decoder)) = &mut self.decoder else {
                    return stream.feed(chunk, &mut self.facts);
                };
                let decoded = decoder.feed(chunk, &mut |piece| stream.feed(piece, &mut self.facts));
                if decoded.is_err() {
                    self.go_blind();
                }
            }
        }
    }

    /// The answer is over, by its end or by a break. Nothing is fed behind it.
    pub fn finish(&mut self) {
        match &mut self.reader {
            Reader::Blind => {}
            Reader::Large(skim) => {
                let skim = std::mem::take(skim);
                self.facts.blind = responses::read_large(*skim, &mut self.facts).is_none();
                self.reader = Reader::Blind;
            }
            Reader::Edges(edges) => edges.read(&mut self.facts),
            Reader::Stream(stream) => stream.finish(&mut self.facts),
            Reader::Whole { dialect, body } => {
                let (dialect, body) = (*dialect, std::mem::take(body));
                self.read_whole(dialect, body);
            }
        }
    }

    /// What is known so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The answer was ended here, by its length; what its provider would have told at the end stays unknown.
    pub fn was_cut(&mut self) {
        self.facts.complete = true;
        self.facts.finish = Some(Finish::Length);
    }

    /// What is known at the end; the tap is told nothing more.
    pub fn take_facts(&mut self) -> Facts {
        std::mem::take(&mut self.facts)
    }

    /// Whether the relay may send the status: for a stream, its first event came and `facts().error` says whether it is
    /// an error (comments are no events); for everything else, any byte came.
    pub fn first_event_seen(&self) -> bool {
        match &self.reader {
            Reader::Stream(stream) => stream.events > 0 || stream.scanner.blind_events() > 0,
            Reader::Whole { .. } | Reader::Large(_) | Reader::Edges(_) | Reader::Blind => self.any_bytes,
        }
    }

    /// Whether an event of our own may be put after the bytes so far: never inside an event, in a coded stream, or
    /// where the tap does not know.
    pub fn between_events(&self) -> bool {
        match &self.reader {
            Reader::Stream(stream) => self.decoder.is_none() && stream.scanner.between_events(),
            Reader::Whole { .. } | Reader::Large(_) | Reader::Edges(_) | Reader::Blind => false,
        }
    }

    /// The `sequence_number` of an event of our own behind those that passed; 0 where the API has none.
    pub fn next_sequence(&self) -> u64 {
        match &self.reader {
            Reader::Stream(stream) => stream.responses.next_sequence(),
            Reader::Whole { .. } | Reader::Large(_) | Reader::Edges(_) | Reader::Blind => 0,
        }
    }

    /// How many of the next bytes belong to the event that is open, its end included; `None`: all of them and more to come.
    pub fn rest_of_event(&self, next: &[u8]) -> Option<usize> {
        match &self.reader {
            Reader::Stream(stream) if self.decoder.is_none() => stream.scanner.rest_of_event(next),
            Reader::Stream(_)
            | Reader::Whole { .. }
            | Reader::Large(_)
            | Reader::Edges(_)
            | Reader::Blind => None,
        }
    }

    /// The content block of a message that has begun and not ended.
    pub fn open_block(&self) -> Option<u64> {
        match &self.reader {
            Reader::Stream(stream) => stream.open_block,
            Reader::Whole { .. } | Reader::Large(_) | Reader::Edges(_) | Reader::Blind => None,
        }
    }

    fn reading(endpoint: Endpoint, reader: impl FnOnce(Api) -> Reader) -> Self {
        let api = match endpoint {
            Endpoint::Chat | Endpoint::Completions => Api::Chat,
            Endpoint::Messages => Api::Messages,
            Endpoint::Responses => Api::Responses,
            Endpoint::InputTokens
            | Endpoint::Compact
            | Endpoint::CountTokens
            | Endpoint::Embeddings
            | Endpoint::Other(_) => return Self::blind(),
        };
        Self { facts: Facts::default(), reader: reader(api), decoder: None, any_bytes: false }
    }

    fn go_blind(&mut self) {
        self.facts.blind = true;
        self.reader = Reader::Blind;
        self.decoder = None;
    }

    fn read_whole(&mut self, dialect: Api, body: Body) {
        let mut json = body.joined();
        if let Some(Coded::Whole(encoding)) = &self.decoder {
            match coding::decode_body(encoding, &json, WHOLE_MAX as u64) {
                Ok(plain) => json = plain.into(),
                // It is not whole, as JSON that breaks off is not.
                Err(coding::CodingError::Corrupt) => return,
                Err(_) => return self.go_blind(),
            }
        }
        // A judge of its own: an answer that is too deep is read again.
        let judged = self.facts.json.as_ref().map(|_| Box::default());
        let words = self.facts.words;
        let mut facts = Facts { complete: true, json: judged, words, ..Facts::default() };
        match Judge::read(&json, |judge| dialect.read_answer(judge, &mut facts)) {
            Verdict::Whole(()) => self.facts = facts,
            Verdict::TooDeep => self.read_deep(dialect, &json),
            Verdict::Broken => {}
        }
    }

    /// Callers' bodies are bounded in depth; a provider's answer is as deep as it likes. Judged first: the walk passes over
    /// what is broken behind the members that it looks at.
    #[cold]
    fn read_deep(&mut self, dialect: Api, json: &[u8]) {
        if serde_json::from_slice::<IgnoredAny>(json).is_ok() {
            self.facts.complete = true;
            dialect.read_answer(&mut Walk::new(json), &mut self.facts);
        }
    }
}

impl Api {
    /// A whole answer.
    fn read_answer<'a>(self, json: &mut impl Cursor<'a>, facts: &mut Facts) -> Option<()> {
        match self {
            Self::Chat => chat::read_answer(json, facts),
            Self::Messages => messages::read_answer(json, facts),
            Self::Responses => responses::read_answer(json, facts),
        }
    }
}

impl Stream {
    fn feed(&mut self, chunk: &[u8], facts: &mut Facts) {
        let Self { dialect, scanner, shape, responses, open_block, events } = self;
        scanner.look(chunk, &mut |seen| match (seen, *dialect) {
            (Seen::Event(event), dialect) => {
                *events += 1;
                read_event(dialect, event, (shape, responses, open_block), facts);
            }
            (Seen::Large(piece), Api::Responses) => responses.large(piece),
            (Seen::LargeEnd, Api::Responses) => responses.large_end(facts),
            (Seen::Large(_) | Seen::LargeEnd, Api::Chat | Api::Messages) | (Seen::Nothing, _) => {}
        });
        facts.blind_events = scanner.blind_events().saturating_sub(responses.large_read());
    }

    fn finish(&mut self, facts: &mut Facts) {
        let Self { dialect, scanner, shape, responses, open_block, events } = self;
        scanner.finish(&mut |event| {
            *events += 1;
            read_event(*dialect, event, (shape, responses, open_block), facts);
        });
    }
}

fn read_event(
    api: Api,
    event: EventRef<'_>,
    (shape, responses, open_block): (&mut Shape, &mut responses::Reader, &mut Option<u64>),
    facts: &mut Facts,
) {
    // The SDKs stop reading at the terminal event; what follows it concerns nobody.
    if facts.complete {
        return;
    }
    match api {
        Api::Chat => chat::read_event(event, shape, facts),
        Api::Messages => messages::read_event(event, shape, open_block, facts),
        Api::Responses => responses.read_event(event, facts),
    };
}

impl Facts {
    /// `error` is the member of that name: an object, or from some servers only a text.
    fn learn_error(&mut self, error: &[u8]) {
        self.error = true;
        // An error that is broken or is only a text is an error too.
        Walk::new(error).object(|walk, name| {
            match name.raw {
                b"type" => Self::learn_name(&mut self.error_type, walk.text()?),
                b"code" => match walk.peek()? {
                    b'"' => Self::learn_name(&mut self.error_code, walk.text()?),
                    // Some servers repeat the status here, as a number.
                    _ => {
                        let code = walk.raw()?.and_then(|raw| std::str::from_utf8(raw).ok());
                        self.error_code = code.filter(|code| code.len() <= STATUS_DIGITS).map(Box::from);
                    }
                },
                b"details" => walk.object(|walk, detail| {
                    if detail.raw != b"error_code" {
                        return walk.skip();
                    }
                    Self::learn_name(&mut self.error_code, walk.text()?);
                    Some(())
                })?,
                _ => walk.skip()?,
            }
            Some(())
        });
    }

    fn learn_name(known: &mut Option<Box<str>>, told: Option<Text<'_>>) {
        if known.is_none() {
            // Azure's first chunk has an empty id and model.
            *known = told.filter(|text| !text.raw.is_empty()).and_then(|text| text.decoded(NAME_MAX));
        }
    }

    /// Whether the text is JSON, where JSON was asked for and the model has written an answer: not a refusal, no call of a tool,
    /// and nothing that could not be read to its end.
    pub fn json_valid(&self) -> Option<bool> {
        let answers = !self.refused && !matches!(self.finish, Some(Finish::Refusal | Finish::ToolCalls));
        let known = self.complete && !self.error && !self.text_unknown && self.blind_events == 0;
        self.json.as_ref().filter(|_| answers && known && !self.blind)?.valid()
    }

    /// Whether the text is the same span over and over by now; false where nobody watches.
    pub fn repeats(&self) -> bool {
        self.repetition.as_ref().is_some_and(|repetition| repetition.found())
    }

    /// How many words the text has; `None`: nobody counted them.
    pub fn output_words(&self) -> Option<u64> {
        self.words.map(Words::count)
    }

    fn count_words(&mut self, text: Text<'_>) {
        if let Some(words) = &mut self.words {
            words.feed(text);
        }
    }

    /// What is written next begins a text of its own.
    fn new_text(&mut self) {
        if let Some(words) = &mut self.words {
            words.new_text();
        }
    }

    /// These texts belong to the answer, or to several answers at once.
    fn follow(&mut self, text: Option<Text<'_>>, several: bool) {
        if several {
            self.repetition = None;
        }
        if let (Some(repetition), Some(text)) = (&mut self.repetition, text) {
            repetition.feed(text.raw);
        }
        let Some(json) = &mut self.json else { return };
        match text {
            _ if several => json.give_up(),
            Some(text) => json.feed_escaped(text.raw),
            None => {}
        }
    }

    fn wrote(&mut self, text: Text<'_>) {
        if self.json.is_some() || self.repetition.is_some() {
            self.follow(Some(text), false);
        }
        self.count_words(text);
        self.output_chars += text.scalars();
        self.content_started |= !text.raw.is_empty();
    }
}

/// The handles of a whole answer's bytes.
#[derive(Debug, Default)]
struct Body {
    handles: Vec<Bytes>,
    /// Filled instead of `handles` once those are too many.
    copied: BytesMut,
    length: usize,
}

impl Body {
    /// False where the body is over the cap.
    fn push(&mut self, chunk: &Bytes) -> bool {
        self.length = self.length.saturating_add(chunk.len());
        if self.length > WHOLE_MAX {
            return false;
        }
        if self.copied.is_empty() && self.handles.len() < HANDLES_MAX {
            self.handles.push(chunk.clone());
            return true;
        }
        for handle in self.handles.drain(..) {
            self.copied.extend_from_slice(&handle);
        }
        self.copied.extend_from_slice(chunk);
        true
    }

    /// Its parts so far, in order.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.handles.iter().map(AsRef::as_ref).chain(std::iter::once(&*self.copied))
    }

    fn joined(self) -> Bytes {
        match self.handles.as_slice() {
            [] => self.copied.freeze(),
            [only] => only.clone(),
            several => several.concat().into(),
        }
    }
}

/// The largest whole answer that is read. A model's longest output (128,000 tokens) is about 600 KB of JSON; more is
/// images, which tell nothing.
const WHOLE_MAX: usize = 1024 * 1024;

/// Each handle keeps a read buffer alive that may be larger than its part of it; 128 buffers of 8 KiB hold a whole
/// answer of the cap. A body in smaller pieces is copied together instead.
const HANDLES_MAX: usize = 128;

/// An error's code as a number is an HTTP status or a short number like it.
const STATUS_DIGITS: usize = 6;

/// Ids and model names are under 100 bytes everywhere; longer ones are not worth their memory.
const NAME_MAX: usize = 256;
