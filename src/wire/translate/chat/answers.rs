//! The vocabulary's events become a whole answer of Chat Completions.

use super::super::Memory;
use super::super::answer::{Answers, Block, Event, Head, Kind, put_usage};
use super::super::node::Text;
use super::super::pen::{Null, Pen, Raw};
use super::super::values::tool_id;
use crate::wire::{Endpoint, Finish, Usage};

pub(super) fn whole(memory: &Memory) -> Box<dyn Answers> {
    Box::new(Whole {
        memory: memory.clone(),
        head: Head::default(),
        text: Vec::new(),
        refusal: Vec::new(),
        calls: Vec::new(),
        said: Vec::new(),
        open: None,
        finish: None,
        usage: None,
    })
}

#[derive(Debug)]
struct Whole {
    memory: Memory,
    head: Head,
    /// As between the quotes of a JSON string; so is the refusal.
    text: Vec<u8>,
    refusal: Vec<u8>,
    /// The elements of `tool_calls`, the last one up to its arguments while it is open.
    calls: Vec<u8>,
    /// The open call's arguments.
    said: Vec<u8>,
    open: Option<Kind>,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl Answers for Whole {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin(begin) => self.head = Head::of(begin, &self.memory),
            Event::Open(block) => self.open(block),
            Event::More(more) => self.more(more),
            Event::Close => self.close(),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(ending) => {
                self.finish = Some(ending.finish);
                if let Some(why) = ending.why.as_ref().filter(|_| self.refusal.is_empty()) {
                    why.inside(&mut self.refusal);
                }
            }
            Event::Alive | Event::Failed(_) | Event::End => {}
        }
    }

    fn body(self: Box<Self>) -> Option<Vec<u8>> {
        let finish = self.finish?;
        let mut out = Vec::with_capacity(self.text.len() + self.calls.len() + 512);
        let mut pen = Pen::new(&mut out);
        pen.open(b'{').field("id", &self.head.id).field("object", "chat.completion");
        pen.field("created", self.head.created_s).field("model", Raw(&self.head.model));
        pen.key("choices").open(b'[').open(b'{').field("index", 0_u64);
        pen.key("message").open(b'{').field("role", "assistant").key("content");
        match self.text.is_empty() && !(self.calls.is_empty() && self.refusal.is_empty()) {
            true => drop(pen.put(Null)),
            false => drop(pen.put(&Text::Json(&self.text))),
        }
        pen.field("refusal", (!self.refusal.is_empty()).then_some(&Text::Json(&self.refusal)));
        if !self.calls.is_empty() {
            pen.key("tool_calls").open(b'[').put(Raw(&self.calls)).close(b']');
        }
        pen.close(b'}').field("logprobs", Null).field("finish_reason", finish_reason(finish));
        pen.close(b'}').close(b']');
        if let Some(usage) = &self.usage {
            put_usage(Endpoint::Chat, usage, pen.key("usage"));
        }
        pen.close(b'}');
        Some(out)
    }
}

impl Whole {
    fn open(&mut self, block: &Block<'_>) {
        self.open = Some(block.kind());
        if let Block::Call { id, name } = block {
            if !self.calls.is_empty() {
                self.calls.push(b',');
            }
            let mut pen = Pen::new(&mut self.calls);
            pen.open(b'{').field("id", &*tool_id(id)).field("type", "function");
            pen.key("function").open(b'{').field("name", name);
        }
    }

    fn more(&mut self, more: &Text<'_>) {
        match self.open {
            Some(Kind::Text) => more.inside(&mut self.text),
            Some(Kind::Refusal) => more.inside(&mut self.refusal),
            Some(Kind::Call) => more.inside(&mut self.said),
            None => {}
        }
    }

    fn close(&mut self) {
        if self.open.take() == Some(Kind::Call) {
            let said = std::mem::take(&mut self.said);
            let said = if said.is_empty() { b"{}".as_slice() } else { &said };
            let mut pen = Pen::new(&mut self.calls);
            pen.field("arguments", &Text::Json(said)).close(b'}').close(b'}');
        }
    }
}

/// As the API says how an answer ended.
pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Other => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Refusal => "content_filter",
    }
}
