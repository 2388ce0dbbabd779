//! Answers of Messages, whole and as streams, are read into the vocabulary's events.

use super::super::Broken;
use super::super::answer::{Begin, Block, Ending, Event, Failure, Reads, Tell};
use super::super::error::failure_of;
use super::super::node::{Node, Text};
use crate::wire::sse::EventRef;
use crate::wire::{Finish, Usage};

pub(super) fn reader() -> Box<dyn Reads> {
    Box::new(Reader::default())
}

#[derive(Debug, Default)]
struct Reader {
    usage: Usage,
    /// The open block is one that is told.
    open: bool,
    /// A call's input as its first event has it, until a part of it comes: some servers tell it whole there.
    input: Option<Box<[u8]>>,
}

impl Reads for Reader {
    fn event(&mut self, event: EventRef<'_>, tell: Tell<'_>) -> Result<(), Broken> {
        let Some(data) = Node::checked(event.data) else { return Err(Broken { why: "an event is no JSON" }) };
        let (mut kind, mut inner) = (None, None);
        for (name, value) in data.members() {
            match &*name {
                "type" => kind = Some(value),
                "delta" | "message" | "content_block" | "error" => inner = Some(value),
                _ => {}
            }
        }
        let kind = kind.and_then(Node::plain).unwrap_or_default();
        match (&*kind, inner) {
            ("content_block_delta", Some(delta)) => self.delta(delta, tell),
            ("content_block_start", Some(block)) => self.start(block, tell),
            ("content_block_stop", _) => self.stop(tell),
            ("message_start", Some(message)) => {
                tell(Event::Begin(begin(message)));
                self.usage(message, tell);
            }
            ("message_delta", delta) => {
                self.usage(data, tell);
                if let Some(ending) = delta.and_then(ending) {
                    self.stop(tell);
                    tell(Event::Finish(ending));
                }
            }
            ("message_stop", _) => {
                self.stop(tell);
                tell(Event::End);
            }
            ("error", _) => tell(Event::Failed(failure(data))),
            _ => tell(Event::Alive),
        }
        Ok(())
    }
}

impl Reader {
    fn delta(&mut self, delta: Node<'_>, tell: Tell<'_>) {
        let (mut grows, mut more) = (false, None);
        for (name, value) in delta.members() {
            match &*name {
                "type" => grows = value.is("text_delta") || value.is("input_json_delta"),
                "text" | "partial_json" => more = value.text(),
                _ => {}
            }
        }
        match more.filter(|_| self.open && grows) {
            Some(more) if !more.is_empty() => {
                self.input = None;
                tell(Event::More(more));
            }
            Some(_) => {}
            // Thinking, signatures, citations.
            None => tell(Event::Alive),
        }
    }

    fn start(&mut self, block: Node<'_>, tell: Tell<'_>) {
        self.stop(tell);
        let Some(kind) = block_of(block) else { return tell(Event::Alive) };
        self.open = true;
        match kind {
            Block::Call { .. } => {
                self.input = block.get("input").map(Node::raw).filter(|raw| *raw != b"{}").map(Box::from);
                tell(Event::Open(kind));
            }
            _ => {
                tell(Event::Open(kind));
                if let Some(text) = block.get("text").and_then(Node::text).filter(|text| !text.is_empty()) {
                    tell(Event::More(text));
                }
            }
        }
    }

    fn stop(&mut self, tell: Tell<'_>) {
        if let Some(input) = self.input.take() {
            tell(Event::More(Text::Plain(String::from_utf8_lossy(&input))));
        }
        if std::mem::take(&mut self.open) {
            tell(Event::Close);
        }
    }

    /// What `usage` says beside what it said before.
    fn usage(&mut self, holder: Node<'_>, tell: Tell<'_>) {
        if let Some(usage) = holder.get("usage")
            && self.usage.overlay_message(usage.raw()).is_some()
        {
            tell(Event::Usage(self.usage));
        }
    }
}

/// A whole message.
pub(super) fn read_whole(answer: Node<'_>, tell: Tell<'_>) -> Option<()> {
    let content = answer.get("content")?;
    tell(Event::Begin(begin(answer)));
    for block in content.items() {
        let Some(kind) = block_of(block) else { continue };
        let more = match &kind {
            Block::Call { .. } => {
                block.get("input").map(|input| Text::Plain(String::from_utf8_lossy(input.raw())))
            }
            _ => block.get("text").and_then(Node::text),
        };
        tell(Event::Open(kind));
        more.into_iter().for_each(|more| tell(Event::More(more)));
        tell(Event::Close);
    }
    let mut reader = Reader::default();
    reader.usage(answer, tell);
    tell(Event::Finish(ending(answer)?));
    tell(Event::End);
    Some(())
}

fn begin(message: Node<'_>) -> Begin<'_> {
    let text = |name| message.get(name).and_then(Node::text);
    Begin { id: text("id"), model: text("model"), created_s: None }
}

/// What is told of a block; nothing of thinking and of tools that the provider runs itself.
fn block_of(block: Node<'_>) -> Option<Block<'_>> {
    let kind = block.get("type")?;
    if kind.is("text") {
        return Some(Block::Text);
    }
    let text = |name| block.get(name).and_then(Node::text);
    if kind.is("tool_use") { Some(Block::Call { id: text("id")?, name: text("name")? }) } else { None }
}

/// How it ended; none while it has not.
fn ending(told: Node<'_>) -> Option<Ending<'_>> {
    let reason = told.get("stop_reason")?.plain()?;
    let finish = match &*reason {
        "end_turn" | "stop_sequence" | "pause_turn" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refusal,
        _ => Finish::Other,
    };
    let why = told.get("stop_details").and_then(|details| details.get("explanation")).and_then(Node::text);
    Some(Ending { finish, stop: told.get("stop_sequence").and_then(Node::text), why })
}

fn failure(event: Node<'_>) -> Failure<'_> {
    failure_of(event, 500)
}
