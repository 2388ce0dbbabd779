//! The vocabulary's events become a whole answer of Messages.

use super::super::Memory;
use super::super::answer::{Answers, Block, Ending, Event, Head, Kind, put_usage};
use super::super::node::Text;
use super::super::pen::{Null, Pen, Raw};
use super::super::values::{object_of, tool_id};
use crate::wire::{Endpoint, Finish, Usage};

pub(super) fn whole(memory: &Memory) -> Box<dyn Answers> {
    Box::new(Whole {
        memory: memory.clone(),
        head: Head::default(),
        content: Vec::new(),
        said: Vec::new(),
        open: None,
        ending: None,
        usage: Usage::default(),
    })
}

#[derive(Debug)]
struct Whole {
    memory: Memory,
    head: Head,
    /// The elements of `content`, the last one up to its text or input while it is open.
    content: Vec<u8>,
    /// The open block's text, as between the quotes of a JSON string.
    said: Vec<u8>,
    open: Option<Kind>,
    /// The members that say how it ended.
    ending: Option<Vec<u8>>,
    usage: Usage,
}

impl Answers for Whole {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin(begin) => self.head = Head::of(begin, &self.memory),
            Event::Open(block) => self.open(block),
            Event::More(more) => more.inside(&mut self.said),
            Event::Close => self.close(),
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish(ending) => {
                let mut members = Vec::new();
                put_ending(Some(&Told::of(ending)), &mut Pen::new(&mut members));
                self.ending = Some(members);
            }
            Event::Alive | Event::Failed(_) | Event::End => {}
        }
    }

    fn body(self: Box<Self>) -> Option<Vec<u8>> {
        let ending = self.ending?;
        let mut out = Vec::with_capacity(self.content.len() + 512);
        let mut pen = Pen::new(&mut out);
        pen.open(b'{').field("id", &self.head.id).field("type", "message").field("role", "assistant");
        pen.field("model", Raw(&self.head.model));
        pen.key("content").open(b'[').put(Raw(&self.content)).close(b']').next().put(Raw(&ending));
        put_usage(Endpoint::Messages, &self.usage, pen.key("usage"));
        pen.close(b'}');
        Some(out)
    }
}

impl Whole {
    fn open(&mut self, block: &Block<'_>) {
        self.open = Some(block.kind());
        self.said.clear();
        if !self.content.is_empty() {
            self.content.push(b',');
        }
        let mut pen = Pen::new(&mut self.content);
        pen.open(b'{');
        match block {
            Block::Text | Block::Refusal => drop(pen.field("type", "text")),
            Block::Call { id, name } => {
                pen.field("type", "tool_use").field("id", &*tool_id(id)).field("name", name);
            }
        }
    }

    fn close(&mut self) {
        let said = std::mem::take(&mut self.said);
        let said = Text::Json(&said);
        let mut pen = Pen::new(&mut self.content);
        match self.open.take() {
            Some(Kind::Text | Kind::Refusal) => drop(pen.field("text", &said).close(b'}')),
            Some(Kind::Call) => drop(pen.field("input", Raw(&object_of(&said.plain()))).close(b'}')),
            None => {}
        }
    }
}

/// How an answer ended, kept until it is said.
#[derive(Debug)]
pub(super) struct Told {
    reason: &'static str,
    stop: Option<String>,
    why: Option<String>,
}

impl Told {
    pub(super) fn of(ending: &Ending<'_>) -> Self {
        let owned = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.plain().into_owned());
        let stop = owned(&ending.stop);
        let reason = match ending.finish {
            Finish::Stop | Finish::Other if stop.is_some() => "stop_sequence",
            Finish::Stop | Finish::Other => "end_turn",
            Finish::Length => "max_tokens",
            Finish::ToolCalls => "tool_use",
            Finish::Refusal => "refusal",
        };
        Self { reason, stop, why: owned(&ending.why) }
    }
}

/// The members `stop_reason` and what belongs to it; without an ending those of an answer that has not ended.
pub(super) fn put_ending(told: Option<&Told>, pen: &mut Pen<'_>) {
    pen.field("stop_reason", told.map(|told| told.reason));
    pen.field("stop_sequence", told.and_then(|told| told.stop.as_ref()));
    match told.filter(|told| told.reason == "refusal") {
        None => drop(pen.field("stop_details", Null)),
        Some(told) => {
            pen.key("stop_details").open(b'{').field("type", "refusal").field("category", Null);
            pen.field("explanation", told.why.as_ref()).close(b'}');
        }
    }
}
