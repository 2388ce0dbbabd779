//! The vocabulary's events become a stream of Messages.

use super::super::answer::{Begin, Block, Event, Head, Streams, put_usage};
use super::super::pen::{Pen, Put as _, Raw};
use super::super::values::tool_id;
use super::super::{Broken, Memory};
use super::answers::{Told, put_ending};
use crate::wire::{Endpoint, Usage};

pub(super) fn stream(memory: &Memory) -> Box<dyn Streams> {
    Box::new(Stream {
        memory: memory.clone(),
        begun: false,
        blocks: 0,
        is_call: false,
        usage: Usage::default(),
        ending: None,
    })
}

#[derive(Debug)]
struct Stream {
    memory: Memory,
    begun: bool,
    /// Blocks so far: the open one has the number before.
    blocks: u64,
    is_call: bool,
    usage: Usage,
    /// Said together with the usage, which may come after it.
    ending: Option<Told>,
}

impl Streams for Stream {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        match event {
            Event::Begin(begin) => self.begin(begin, out),
            Event::Open(block) => self.open(block, out),
            Event::More(more) => {
                out.extend_from_slice(DELTA);
                self.number().put(out);
                out.extend_from_slice(if self.is_call { JSON_DELTA } else { TEXT_DELTA });
                more.put(out);
                out.extend_from_slice(b"}}\n\n");
            }
            Event::Close => {
                out.extend_from_slice(
                    b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":",
                );
                self.number().put(out);
                out.extend_from_slice(b"}\n\n");
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish(ending) => self.ending = Some(Told::of(ending)),
            // Nothing of the API comes before its first event.
            Event::Alive if !self.begun => out.extend_from_slice(b": ping\n\n"),
            Event::Alive => out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n"),
            // Written for all APIs alike.
            Event::Failed(_) => {}
            Event::End => self.end(out),
        }
        Ok(())
    }
}

const DELTA: &[u8] = b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":";
const TEXT_DELTA: &[u8] = b",\"delta\":{\"type\":\"text_delta\",\"text\":";
const JSON_DELTA: &[u8] = b",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":";

impl Stream {
    fn number(&self) -> u64 {
        self.blocks.saturating_sub(1)
    }

    fn begin(&mut self, begin: &Begin<'_>, out: &mut Vec<u8>) {
        self.begun = true;
        let head = Head::of(begin, &self.memory);
        let mut pen = Pen::new(out);
        pen.put(Raw(b"event: message_start\ndata: ")).open(b'{').field("type", "message_start");
        pen.key("message").open(b'{').field("id", &head.id).field("type", "message");
        pen.field("role", "assistant").field("model", Raw(&head.model)).field("content", Raw(b"[]"));
        put_ending(None, &mut pen);
        // How much was read is known at the end only.
        put_usage(Endpoint::Messages, &self.usage, pen.key("usage"));
        pen.close(b'}').close(b'}').put(Raw(b"\n\n"));
    }

    fn open(&mut self, block: &Block<'_>, out: &mut Vec<u8>) {
        let number = self.blocks;
        self.blocks += 1;
        let mut pen = Pen::new(out);
        pen.put(Raw(b"event: content_block_start\ndata: ")).open(b'{').field("type", "content_block_start");
        pen.field("index", number).key("content_block").open(b'{');
        self.is_call = match block {
            Block::Text | Block::Refusal => {
                pen.field("type", "text").field("text", "");
                false
            }
            Block::Call { id, name } => {
                pen.field("type", "tool_use").field("id", &*tool_id(id)).field("name", name);
                pen.field("input", Raw(b"{}"));
                true
            }
        };
        pen.close(b'}').close(b'}').put(Raw(b"\n\n"));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let mut pen = Pen::new(out);
        pen.put(Raw(b"event: message_delta\ndata: ")).open(b'{').field("type", "message_delta");
        pen.key("delta").open(b'{');
        put_ending(self.ending.as_ref(), &mut pen);
        pen.close(b'}');
        put_usage(Endpoint::Messages, &self.usage, pen.key("usage"));
        pen.close(b'}').put(Raw(b"\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    }
}
