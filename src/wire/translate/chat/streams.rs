//! The vocabulary's events become a stream of Chat Completions.

use super::super::answer::{Begin, Block, Ending, Event, Head, Kind, Streams, put_usage};
use super::super::node::Text;
use super::super::pen::{Pen, Put as _, Raw};
use super::super::values::tool_id;
use super::super::{Broken, Memory};
use super::answers::finish_reason;
use crate::wire::{Endpoint, Usage};

pub(super) fn stream(memory: &Memory) -> Box<dyn Streams> {
    Box::new(Stream {
        memory: memory.clone(),
        envelope: Vec::new(),
        calls: 0,
        open: None,
        said: false,
        usage: None,
    })
}

#[derive(Debug)]
struct Stream {
    memory: Memory,
    /// What each chunk begins with, up to its choices; empty before the first.
    envelope: Vec<u8>,
    /// Calls so far: the open one has the number before.
    calls: u64,
    open: Option<Kind>,
    /// Something of the open call's arguments was said.
    said: bool,
    usage: Option<Usage>,
}

impl Streams for Stream {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        match event {
            Event::Begin(begin) => self.begin(begin, out),
            Event::Open(block) => self.open(block, out),
            Event::More(more) => self.more(more, out),
            Event::Close => self.close(out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(ending) => self.finish(ending, out),
            Event::Alive => out.extend_from_slice(b": ping\n\n"),
            // Written for all APIs alike.
            Event::Failed(_) => {}
            Event::End => self.end(out),
        }
        Ok(())
    }
}

impl Stream {
    fn begin(&mut self, begin: &Begin<'_>, out: &mut Vec<u8>) {
        let head = Head::of(begin, &self.memory);
        let mut pen = Pen::new(&mut self.envelope);
        pen.put(Raw(b"data: ")).open(b'{').field("id", &head.id).field("object", "chat.completion.chunk");
        pen.field("created", head.created_s).field("model", Raw(&head.model)).key("choices");
        self.chunk(out, None, |out| {
            out.extend_from_slice(br#""role":"assistant","content":"","refusal":null"#)
        });
    }

    /// A chunk with this delta, of which `members` writes what stands between the braces.
    fn chunk(&self, out: &mut Vec<u8>, finish: Option<&'static str>, members: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.envelope);
        out.extend_from_slice(br#"[{"index":0,"delta":{"#);
        members(out);
        out.extend_from_slice(br#"},"logprobs":null,"finish_reason":"#);
        finish.put(out);
        out.extend_from_slice(b"}]");
        out.extend_from_slice(if self.memory.include_usage { b",\"usage\":null}\n\n" } else { b"}\n\n" });
    }

    fn open(&mut self, block: &Block<'_>, out: &mut Vec<u8>) {
        self.open = Some(block.kind());
        let Block::Call { id, name } = block else { return };
        self.said = false;
        let number = self.calls;
        self.calls += 1;
        self.chunk(out, None, |out| {
            let mut pen = Pen::new(out);
            pen.put(Raw(br#""tool_calls":"#)).open(b'[').open(b'{').field("index", number);
            pen.field("id", &*tool_id(id)).field("type", "function");
            pen.key("function").open(b'{').field("name", name).field("arguments", "");
            pen.close(b'}').close(b'}').close(b']');
        });
    }

    fn more(&mut self, more: &Text<'_>, out: &mut Vec<u8>) {
        let name = match self.open {
            Some(Kind::Text) => br#""content":"#.as_slice(),
            Some(Kind::Refusal) => br#""refusal":"#,
            Some(Kind::Call) => return self.arguments(more, out),
            None => return,
        };
        self.chunk(out, None, |out| {
            out.extend_from_slice(name);
            more.put(out);
        });
    }

    fn arguments(&mut self, more: &Text<'_>, out: &mut Vec<u8>) {
        self.said = true;
        let number = self.calls.saturating_sub(1);
        self.chunk(out, None, |out| {
            out.extend_from_slice(br#""tool_calls":[{"index":"#);
            number.put(out);
            out.extend_from_slice(br#","function":{"arguments":"#);
            more.put(out);
            out.extend_from_slice(b"}}]");
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        // The SDKs read the arguments as JSON, which nothing is none.
        if self.open == Some(Kind::Call) && !self.said {
            self.arguments(&"{}".into(), out);
        }
        self.open = None;
    }

    fn finish(&mut self, ending: &Ending<'_>, out: &mut Vec<u8>) {
        if let Some(why) = &ending.why {
            self.open = Some(Kind::Refusal);
            self.more(why, out);
            self.open = None;
        }
        self.chunk(out, Some(finish_reason(ending.finish)), |_| {});
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.filter(|_| self.memory.include_usage) {
            out.extend_from_slice(&self.envelope);
            let mut pen = Pen::new(out);
            pen.open(b'[').close(b']');
            put_usage(Endpoint::Chat, &usage, pen.key("usage"));
            pen.close(b'}').put(Raw(b"\n\n"));
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
