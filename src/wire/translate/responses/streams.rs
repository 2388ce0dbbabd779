//! The vocabulary's events become a response: as a stream of events, or whole, which is what its last event holds.
//!
//! Each part, each item and the whole response are said again when they are complete, so that what came is held until then.

use super::super::answer::{Answers, Begin, Block, Ending, Event, HELD_MAX, Head, Kind, Streams, put_usage};
use super::super::node::Text;
use super::super::pen::{Null, Pen, Raw};
use super::super::values::tool_id;
use super::super::{Broken, Memory};
use crate::wire::{Endpoint, Finish, Usage};

pub(super) fn stream(memory: &Memory) -> Box<dyn Streams> {
    Box::new(Response::new(memory, true))
}

pub(super) fn whole(memory: &Memory) -> Box<dyn Answers> {
    Box::new(Response::new(memory, false))
}

#[derive(Debug)]
struct Response {
    memory: Memory,
    head: Head,
    /// Events are written.
    told: bool,
    sequence: u64,
    /// The items that are complete, with commas between them, and how many.
    items: Vec<u8>,
    count: u64,
    item: Option<Item>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    /// Nothing more can be said.
    over: bool,
}

/// The item that grows.
#[derive(Debug)]
struct Item {
    id: String,
    /// The part of a message that grows, or a call.
    kind: Kind,
    /// What came of it, as between the quotes of a JSON string.
    said: Vec<u8>,
    /// A message's parts that are complete, with commas between them, and how many.
    parts: Vec<u8>,
    count: u64,
    /// A call's `call_id` and `name`, as members.
    call: Vec<u8>,
}

impl Item {
    fn is_call(&self) -> bool {
        self.kind == Kind::Call
    }
}

impl Streams for Response {
    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        match event {
            Event::Begin(begin) => self.begin(begin, out),
            Event::Open(block) => self.open(block, out),
            Event::More(more) => self.more(more, out)?,
            // A message goes on with its next text; what follows a call is another item.
            Event::Close if self.item.as_ref().is_some_and(Item::is_call) => self.end_item("completed", out),
            Event::Close => {}
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish(ending) => self.finish(ending, out)?,
            Event::Alive => out.extend_from_slice(b": ping\n\n"),
            // Written for all APIs alike.
            Event::Failed(_) => {}
            Event::End => self.end(out),
        }
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        self.sequence
    }
}

impl Answers for Response {
    fn take(&mut self, event: &Event<'_>) {
        let mut none = Vec::new();
        self.over |= self.write(event, &mut none).is_err();
    }

    fn body(self: Box<Self>) -> Option<Vec<u8>> {
        self.finish.filter(|_| !self.over)?;
        let mut out = Vec::with_capacity(self.items.len() + self.memory.echo.len() + 512);
        self.response(self.status(), &mut Pen::new(&mut out));
        Some(out)
    }
}

impl Response {
    fn new(memory: &Memory, told: bool) -> Self {
        Self {
            memory: memory.clone(),
            head: Head::default(),
            told,
            sequence: 0,
            items: Vec::new(),
            count: 0,
            item: None,
            finish: None,
            usage: None,
            over: false,
        }
    }

    /// Writes an event, of which `members` writes what is its own.
    fn event(&mut self, name: &str, out: &mut Vec<u8>, members: impl FnOnce(&Self, &mut Pen<'_>)) {
        if !self.told {
            return;
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        let mut pen = Pen::new(out);
        pen.put(Raw(b"\ndata: ")).open(b'{').field("type", name).field("sequence_number", self.sequence);
        members(self, &mut pen);
        pen.close(b'}').put(Raw(b"\n\n"));
        self.sequence += 1;
    }

    fn begin(&mut self, begin: &Begin<'_>, out: &mut Vec<u8>) {
        self.head = Head::of(begin, &self.memory);
        for name in ["response.created", "response.in_progress"] {
            self.event(name, out, |this, pen| this.response("in_progress", pen.key("response")));
        }
    }

    /// The whole response.
    fn response(&self, status: &str, pen: &mut Pen<'_>) {
        let done = status != "in_progress";
        pen.open(b'{').field("id", &self.head.id).field("object", "response");
        pen.field("created_at", self.head.created_s);
        pen.field("completed_at", (status == "completed").then_some(self.head.created_s));
        pen.field("status", status).field("background", false).field("error", Null).key("incomplete_details");
        match self.finish.filter(|_| status == "incomplete") {
            None => drop(pen.put(Null)),
            Some(finish) => {
                let reason = if finish == Finish::Length { "max_output_tokens" } else { "content_filter" };
                pen.open(b'{').field("reason", reason).close(b'}');
            }
        }
        pen.field("model", Raw(&self.head.model));
        pen.key("output").open(b'[').put(Raw(if done { &self.items } else { b"" })).close(b']');
        pen.field("previous_response_id", Null).field("store", false);
        pen.next().put(Raw(&self.memory.echo)).key("usage");
        match self.usage.filter(|_| done) {
            Some(usage) => put_usage(Endpoint::Responses, &usage, pen),
            None => drop(pen.put(Null)),
        }
        pen.close(b'}');
    }

    fn status(&self) -> &'static str {
        match self.finish {
            Some(Finish::Length | Finish::Refusal) => "incomplete",
            _ => "completed",
        }
    }

    fn open(&mut self, block: &Block<'_>, out: &mut Vec<u8>) {
        let kind = block.kind();
        match &self.item {
            Some(item) if kind == Kind::Call || item.is_call() => self.end_item("completed", out),
            // One text goes on in the next block.
            Some(item) if item.kind == kind => return,
            Some(_) => {
                self.end_part(out);
                return self.open_part(kind, out);
            }
            None => {}
        }
        let prefix = if kind == Kind::Call { "fc" } else { "msg" };
        let id = match (kind, self.count) {
            (Kind::Text | Kind::Refusal, 0) => format!("{prefix}_{}", self.head.unique),
            (_, number) => format!("{prefix}_{}_{number}", self.head.unique),
        };
        let mut call = Vec::new();
        if let Block::Call { id, name } = block {
            Pen::new(&mut call).field("call_id", &*tool_id(id)).field("name", name);
        }
        self.item = Some(Item { id, kind, said: Vec::new(), parts: Vec::new(), count: 0, call });
        self.event("response.output_item.added", out, |this, pen| {
            pen.field("output_index", this.count).key("item");
            this.put_item("in_progress", pen);
        });
        if kind != Kind::Call {
            self.open_part(kind, out);
        }
    }

    /// The item as it is now.
    fn put_item(&self, status: &str, pen: &mut Pen<'_>) {
        let Some(item) = &self.item else { return };
        pen.open(b'{').field("id", &item.id);
        if item.is_call() {
            pen.field("type", "function_call").field("status", status);
            pen.next().put(Raw(&item.call)).field("arguments", &Text::Json(&item.said));
        } else {
            pen.field("type", "message").field("status", status).field("role", "assistant");
            pen.key("content").open(b'[').put(Raw(&item.parts)).close(b']');
        }
        pen.close(b'}');
    }

    /// Where in the response the growing part stands.
    fn place(&self, pen: &mut Pen<'_>) {
        let Some(item) = &self.item else { return };
        pen.field("item_id", &item.id).field("output_index", self.count);
        if !item.is_call() {
            pen.field("content_index", item.count);
        }
    }

    fn open_part(&mut self, kind: Kind, out: &mut Vec<u8>) {
        if let Some(item) = &mut self.item {
            item.kind = kind;
        }
        self.event("response.content_part.added", out, |this, pen| {
            this.place(pen);
            put_part(kind, b"", pen.key("part"));
        });
    }

    fn more(&mut self, more: &Text<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        let Some(item) = &mut self.item else { return Ok(()) };
        more.inside(&mut item.said);
        if item.said.len() + item.parts.len() + self.items.len() > HELD_MAX {
            return Err(Broken { why: "the answer is longer than what can be said again at its end" });
        }
        let name = match item.kind {
            Kind::Text => "response.output_text.delta",
            Kind::Refusal => "response.refusal.delta",
            Kind::Call => "response.function_call_arguments.delta",
        };
        let is_text = item.kind == Kind::Text;
        self.event(name, out, |this, pen| {
            this.place(pen);
            pen.field("delta", more);
            if is_text {
                pen.field("logprobs", Raw(b"[]"));
            }
        });
        Ok(())
    }

    /// The growing part of a message is complete.
    fn end_part(&mut self, out: &mut Vec<u8>) {
        let Some(item) = &mut self.item else { return };
        let (kind, said) = (item.kind, std::mem::take(&mut item.said));
        let name = if kind == Kind::Text { "response.output_text.done" } else { "response.refusal.done" };
        self.event(name, out, |this, pen| {
            this.place(pen);
            match kind {
                Kind::Text => pen.field("text", &Text::Json(&said)).field("logprobs", Raw(b"[]")),
                _ => pen.field("refusal", &Text::Json(&said)),
            };
        });
        self.event("response.content_part.done", out, |this, pen| {
            this.place(pen);
            put_part(kind, &said, pen.key("part"));
        });
        if let Some(item) = &mut self.item {
            if item.count > 0 {
                item.parts.push(b',');
            }
            put_part(kind, &said, &mut Pen::new(&mut item.parts));
            item.count += 1;
        }
    }

    fn end_item(&mut self, status: &str, out: &mut Vec<u8>) {
        match &mut self.item {
            None => return,
            Some(item) if item.is_call() => {
                if item.said.is_empty() {
                    item.said.extend_from_slice(b"{}");
                }
                self.event("response.function_call_arguments.done", out, |this, pen| {
                    this.place(pen);
                    pen.field("arguments", this.item.as_ref().map(|item| Text::Json(&item.said)).as_ref());
                });
            }
            Some(_) => self.end_part(out),
        }
        self.event("response.output_item.done", out, |this, pen| {
            pen.field("output_index", this.count).key("item");
            this.put_item(status, pen);
        });
        let mut items = std::mem::take(&mut self.items);
        if self.count > 0 {
            items.push(b',');
        }
        self.put_item(status, &mut Pen::new(&mut items));
        self.items = items;
        self.item = None;
        self.count += 1;
    }

    fn finish(&mut self, ending: &Ending<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        if let Some(why) = &ending.why {
            self.open(&Block::Refusal, out);
            self.more(why, out)?;
        }
        self.finish = Some(ending.finish);
        self.end_item(self.status(), out);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.end_item("completed", out);
        let status = self.status();
        let name = if status == "incomplete" { "response.incomplete" } else { "response.completed" };
        self.event(name, out, |this, pen| this.response(status, pen.key("response")));
    }
}

/// A message's part. Its text is as between the quotes of a JSON string.
fn put_part(kind: Kind, said: &[u8], pen: &mut Pen<'_>) {
    pen.open(b'{');
    if kind == Kind::Text {
        pen.field("type", "output_text").field("text", &Text::Json(said));
        pen.field("annotations", Raw(b"[]")).field("logprobs", Raw(b"[]"));
    } else {
        pen.field("type", "refusal").field("refusal", &Text::Json(said));
    }
    pen.close(b'}');
}
