//! Answers of Chat Completions, whole and as streams, are read into the vocabulary's events.

use super::super::Broken;
use super::super::answer::{Begin, Block, Ending, Event, HELD_MAX, Kind, Reads, Tell};
use super::super::error::failure_of;
use super::super::node::{Node, Text};
use super::depth::Depth;
use crate::wire::json::Kind as Json;
use crate::wire::sse::EventRef;
use crate::wire::{Finish, Usage};

pub(super) fn reader() -> Box<dyn Reads> {
    Box::new(Reader::default())
}

#[derive(Debug, Default)]
struct Reader {
    begun: bool,
    open: Option<Open>,
    /// What came while the open call was not whole: fragments of several calls may come in turns, and blocks do not overlap.
    held: Vec<Held>,
    held_len: usize,
    refused: bool,
    called: bool,
    finished: bool,
}

/// The block that grows.
#[derive(Debug)]
struct Open {
    kind: Kind,
    /// A call's place among the calls, and its id.
    index: u64,
    id: Box<[u8]>,
    depth: Depth,
}

/// A block that waits.
#[derive(Debug)]
struct Held {
    kind: Kind,
    index: u64,
    /// As between the quotes of JSON strings.
    id: Vec<u8>,
    name: Vec<u8>,
    said: Vec<u8>,
}

/// A fragment of a call.
#[derive(Debug, Default)]
struct Fragment<'a> {
    index: u64,
    id: &'a [u8],
    name: &'a [u8],
    said: &'a [u8],
}

impl Reads for Reader {
    fn event(&mut self, event: EventRef<'_>, tell: Tell<'_>) -> Result<(), Broken> {
        if event.data.starts_with(b"[DONE]") {
            self.end_blocks(tell);
            if self.begun && !self.finished {
                self.finish("", tell);
            }
            tell(Event::End);
            return Ok(());
        }
        let Some(chunk) = Node::checked(event.data) else { return Err(Broken { why: "a chunk is no JSON" }) };
        let mut told = Chunk::default();
        for (name, value) in chunk.members() {
            match &*name {
                "id" => told.begin.id = value.text(),
                "model" => told.begin.model = value.text(),
                "created" => told.begin.created_s = value.count(),
                "choices" => told.choice = value.items().next(),
                "usage" => told.usage = Usage::from_chat(value.raw()),
                "error" if !value.is_null() => told.failed = true,
                _ => {}
            }
        }
        if told.failed || event.name == Some(b"error") {
            tell(Event::Failed(failure_of(chunk, 500)));
            return Ok(());
        }
        // Azure's first chunk tells of filters only, and has no id.
        if !self.begun && told.choice.is_some() {
            self.begun = true;
            tell(Event::Begin(told.begin));
        }
        if let Some(choice) = told.choice {
            self.choice(choice, tell)?;
        }
        if let Some(usage) = told.usage {
            tell(Event::Usage(usage));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Chunk<'a> {
    begin: Begin<'a>,
    choice: Option<Node<'a>>,
    usage: Option<Usage>,
    failed: bool,
}

impl Reader {
    fn choice(&mut self, choice: Node<'_>, tell: Tell<'_>) -> Result<(), Broken> {
        let (mut delta, mut reason) = (None, None);
        for (name, value) in choice.members() {
            match &*name {
                "delta" => delta = Some(value),
                "finish_reason" => reason = value.plain(),
                _ => {}
            }
        }
        let mut silent = false;
        for (name, value) in delta.into_iter().flat_map(Node::members) {
            match &*name {
                "content" => self.text(Kind::Text, value, tell)?,
                "refusal" => self.text(Kind::Refusal, value, tell)?,
                "tool_calls" => {
                    for (place, call) in value.items().enumerate() {
                        self.call(&fragment(call, place as u64), tell)?;
                    }
                }
                "reasoning_content" | "reasoning" => silent = !value.is_null(),
                _ => {}
            }
        }
        if silent {
            tell(Event::Alive);
        }
        if let Some(reason) = reason {
            self.finish(&reason, tell);
        }
        Ok(())
    }

    fn finish(&mut self, reason: &str, tell: Tell<'_>) {
        self.end_blocks(tell);
        self.finished = true;
        let finish = finish_of(reason, self.called, self.refused);
        tell(Event::Finish(Ending { finish, stop: None, why: None }));
    }

    fn text(&mut self, kind: Kind, value: Node<'_>, tell: Tell<'_>) -> Result<(), Broken> {
        let Some(Text::Json(raw)) = value.text().filter(|text| !text.is_empty()) else { return Ok(()) };
        self.refused |= kind == Kind::Refusal;
        if self.is_busy() {
            return match self.held.last_mut().filter(|held| held.kind == kind) {
                Some(held) => {
                    held.said.extend_from_slice(raw);
                    self.hold(raw.len())
                }
                None => {
                    let (id, name) = (Vec::new(), Vec::new());
                    self.held.push(Held { kind, index: 0, id, name, said: raw.to_vec() });
                    self.hold(raw.len())
                }
            };
        }
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            self.close(tell);
            self.open(kind, 0, &[], &[], tell);
        }
        tell(Event::More(Text::Json(raw)));
        Ok(())
    }

    /// Whether the open call is not whole yet, as far as that can be told.
    fn is_busy(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.kind == Kind::Call && !open.depth.is_whole())
    }

    fn call(&mut self, fragment: &Fragment<'_>, tell: Tell<'_>) -> Result<(), Broken> {
        self.called = true;
        // Some servers number all of them 0: another id is another call.
        let same = |index: u64, id: &[u8]| {
            index == fragment.index && (fragment.id.is_empty() || id.is_empty() || id == fragment.id)
        };
        if let Some(open) =
            self.open.as_mut().filter(|open| open.kind == Kind::Call && same(open.index, &open.id))
        {
            open.depth.feed(fragment.said);
            if !fragment.said.is_empty() {
                tell(Event::More(Text::Json(fragment.said)));
            }
            return self.go_on(tell);
        }
        let others =
            self.open.as_ref().filter(|open| open.kind == Kind::Call && open.index == fragment.index);
        let busy = self.is_busy() && others.is_none();
        let waits = self.held.iter_mut().rfind(|held| held.kind == Kind::Call && same(held.index, &held.id));
        if let Some(held) = waits {
            held.said.extend_from_slice(fragment.said);
            return self.hold(fragment.said.len());
        }
        // More of a call that is closed: nothing that its arguments need.
        if fragment.id.is_empty() && fragment.name.is_empty() {
            return Ok(());
        }
        if busy || !self.held.is_empty() {
            self.held.push(Held {
                kind: Kind::Call,
                index: fragment.index,
                id: fragment.id.to_vec(),
                name: fragment.name.to_vec(),
                said: fragment.said.to_vec(),
            });
            return self.hold(fragment.said.len() + fragment.id.len() + fragment.name.len());
        }
        self.close(tell);
        self.open(Kind::Call, fragment.index, fragment.id, fragment.name, tell);
        self.say(fragment.said, tell);
        Ok(())
    }

    fn hold(&mut self, more: usize) -> Result<(), Broken> {
        self.held_len = self.held_len.saturating_add(more);
        let fits = self.held_len <= HELD_MAX && self.held.len() <= BLOCKS_MAX;
        if fits { Ok(()) } else { Err(Broken { why: "too many calls come in turns" }) }
    }

    /// The open call has grown: where it is whole, what waits goes next.
    fn go_on(&mut self, tell: Tell<'_>) -> Result<(), Broken> {
        while !self.held.is_empty() && !self.is_busy() {
            let held = self.held.remove(0);
            self.held_len = self.held_len.saturating_sub(held.said.len() + held.id.len() + held.name.len());
            self.release(&held, tell);
        }
        Ok(())
    }

    fn release(&mut self, held: &Held, tell: Tell<'_>) {
        self.close(tell);
        self.open(held.kind, held.index, &held.id, &held.name, tell);
        self.say(&held.said, tell);
    }

    fn open(&mut self, kind: Kind, index: u64, id: &[u8], name: &[u8], tell: Tell<'_>) {
        tell(Event::Open(match kind {
            Kind::Text => Block::Text,
            Kind::Refusal => Block::Refusal,
            Kind::Call => Block::Call { id: id_of(id, index), name: Text::Json(name) },
        }));
        self.open = Some(Open { kind, index, id: id.into(), depth: Depth::default() });
    }

    fn say(&mut self, said: &[u8], tell: Tell<'_>) {
        if let Some(open) = self.open.as_mut().filter(|_| !said.is_empty()) {
            open.depth.feed(said);
            tell(Event::More(Text::Json(said)));
        }
    }

    fn close(&mut self, tell: Tell<'_>) {
        if self.open.take().is_some() {
            tell(Event::Close);
        }
    }

    /// No fragment follows: what waits is as whole as it gets.
    fn end_blocks(&mut self, tell: Tell<'_>) {
        for held in std::mem::take(&mut self.held) {
            self.release(&held, tell);
        }
        self.close(tell);
    }
}

/// More blocks than any answer has.
const BLOCKS_MAX: usize = 1024;

/// `place` is where it stands in its chunk: some servers give no index.
fn fragment(call: Node<'_>, place: u64) -> Fragment<'_> {
    let mut told = Fragment { index: place, ..Fragment::default() };
    for (name, value) in call.members() {
        match &*name {
            "index" => told.index = value.count().unwrap_or(place),
            "id" => told.id = inside(value),
            "function" => {
                for (name, value) in value.members() {
                    match &*name {
                        "name" => told.name = inside(value),
                        "arguments" => told.said = inside(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    told
}

/// Some servers give calls no ids, by which their results could be told apart.
fn id_of(id: &[u8], place: u64) -> Text<'_> {
    if id.is_empty() { format!("call_{place}").into() } else { Text::Json(id) }
}

/// What stands between the quotes of a string.
fn inside(value: Node<'_>) -> &[u8] {
    match value.text() {
        Some(Text::Json(raw)) => raw,
        _ => &[],
    }
}

/// A whole chat completion.
pub(super) fn read_whole(answer: Node<'_>, tell: Tell<'_>) -> Option<()> {
    let choice = answer.get("choices")?.items().next()?;
    let message = choice.get("message")?;
    let text = |name| answer.get(name).and_then(Node::text);
    let created_s = answer.get("created").and_then(Node::count);
    tell(Event::Begin(Begin { id: text("id"), model: text("model"), created_s }));
    let mut refused = false;
    for (name, block) in [("content", Block::Text), ("refusal", Block::Refusal)] {
        if let Some(said) = message.get(name).and_then(Node::text).filter(|said| !said.is_empty()) {
            refused |= name == "refusal";
            tell(Event::Open(block));
            tell(Event::More(said));
            tell(Event::Close);
        }
    }
    let calls = message.get("tool_calls").filter(|calls| calls.kind() == Json::Array);
    let mut called = false;
    for (place, call) in calls.into_iter().flat_map(Node::items).enumerate() {
        called = true;
        let told = fragment(call, place as u64);
        let id = id_of(told.id, place as u64);
        tell(Event::Open(Block::Call { id, name: Text::Json(told.name) }));
        tell(Event::More(Text::Json(told.said)));
        tell(Event::Close);
    }
    if let Some(usage) = answer.get("usage").and_then(|usage| Usage::from_chat(usage.raw())) {
        tell(Event::Usage(usage));
    }
    let reason = choice.get("finish_reason").and_then(Node::plain).unwrap_or_default();
    tell(Event::Finish(Ending { finish: finish_of(&reason, called, refused), stop: None, why: None }));
    tell(Event::End);
    Some(())
}

/// A forced call ends by `stop`, and so does a refusal.
fn finish_of(reason: &str, called: bool, refused: bool) -> Finish {
    match reason {
        "length" => Finish::Length,
        "content_filter" => Finish::Refusal,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        _ if called => Finish::ToolCalls,
        _ if refused => Finish::Refusal,
        "stop" | "" => Finish::Stop,
        _ => Finish::Other,
    }
}
