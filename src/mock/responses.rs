//! Responses: how its requests are read and its answers are written.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Call, Content, Finish};
use super::ask::{
    Ask, PromptTokens, Tool, count, flag, json_asked, parts_of, required_text, role, seeds_with, text_of,
    tokens, whole_number,
};
use super::chat;
use super::failure::Failure;
use super::script::Pieces;

/// What an image costs in tokens.
const IMAGE_TOKENS: u64 = 765;

/// A request, understood: what is asked, and what has to be remembered of it.
#[derive(Debug)]
pub(super) struct Turn {
    /// What is asked.
    pub(super) ask: Ask,
    /// The body's members: an answer repeats many of them.
    pub(super) body: Map<String, Value>,
    /// The items that it gives.
    pub(super) given: Vec<Value>,
    /// Everything that the model reads: what came before, then `given`.
    pub(super) context: Vec<Value>,
}

/// The items of `input`: one message where it is a text. Those without an id get one from `id`.
pub(super) fn items(input: Option<&Value>, id: &str) -> Result<Vec<Value>, Failure> {
    let given = match input {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![json!({"role": "user", "content": text})],
        Some(Value::Array(items)) if items.iter().all(Value::is_object) => items.clone(),
        Some(_) => return Err(Failure::bad_field("input", "must be a text or a list of items")),
    };
    let whole = given.into_iter().enumerate().map(|(index, item)| spelled_out(item, &format!("{id}{index}")));
    Ok(whole.collect())
}

/// An item as the API lists it: with its type, its id and its content in parts.
fn spelled_out(item: Value, id: &str) -> Value {
    let Value::Object(mut item) = item else { return item };
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let prefix = match kind.as_str() {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "reasoning" => "rs",
        "compaction" => "cmp",
        _ => "item",
    };
    if let (Some(Value::String(text)), "message") = (item.get("content"), kind.as_str()) {
        let said = item.get("role").and_then(Value::as_str) == Some("assistant");
        let part = json!([{"type": if said { "output_text" } else { "input_text" }, "text": text}]);
        item.insert("content".into(), part);
    }
    if !item.get("id").is_some_and(Value::is_string) {
        item.insert("id".into(), json!(format!("{prefix}_{id}")));
    }
    item.insert("type".into(), json!(kind));
    Value::Object(item)
}

/// Understands a request that follows on `before`.
pub(super) fn read(
    body: Map<String, Value>,
    before: Vec<Value>,
    id: &str,
    provider_seed: u64,
) -> Result<Turn, Failure> {
    let given = items(body.get("input"), id)?;
    let mut context = before;
    context.extend(given.iter().cloned());
    if context.is_empty() {
        return Err(Failure::bad_field("input", "is required"));
    }
    let said = |wanted: &[&str]| -> Vec<String> {
        let of_role = context.iter().filter(|item| wanted.contains(&role(item)));
        of_role.map(|item| text_of(item.get("content"))).collect()
    };
    let mut system: Vec<String> =
        body.get("instructions").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
    system.extend(said(&["system", "developer"]));
    let asked = context.iter().rev().find(|item| role(item) == "user").and_then(|item| item.get("content"));
    let last = context.last().filter(|item| kind(item) == "function_call_output");
    let (words_seed, luck) = seeds_with(&body, &context, provider_seed);
    let ask = Ask {
        model: required_text(&body, "model")?,
        system: (!system.is_empty()).then(|| system.join("\n\n")),
        question: text_of(asked),
        images: parts_of(asked, &["input_image"]).len(),
        tool_result: last.map(|item| text_of(item.get("output"))),
        tools: functions(&body),
        choice: chat::choice(body.get("tool_choice"), "/name", "tool_choice.name")?,
        parallel: body.get("parallel_tool_calls").and_then(Value::as_bool).unwrap_or(true),
        json: body.get("text").and_then(|text| json_asked(text.get("format"), "/schema")),
        max_tokens: whole_number(&body, "max_output_tokens")?,
        stops: Vec::new(),
        stream: flag(&body, "stream"),
        include_usage: true,
        prompt: prompt_tokens(&body, &context),
        words_seed,
        luck,
    };
    Ok(Turn { ask, body, given, context })
}

fn kind(item: &Value) -> &str {
    item.get("type").and_then(Value::as_str).unwrap_or("message")
}

/// Only functions are the caller's to run; the others are the provider's own.
fn functions(body: &Map<String, Value>) -> Vec<Tool> {
    let listed = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    listed.filter(|tool| kind(tool) == "function").filter_map(chat::function).collect()
}

/// A prompt of 1024 tokens or more is found in a cache but for its last item, in steps of 128 tokens.
fn prompt_tokens(body: &Map<String, Value>, context: &[Value]) -> PromptTokens {
    let size = |item: &Value| {
        let content = item.get("content");
        let images = parts_of(content, &["input_image"]).len() as u64;
        let parts = [content, item.get("output"), item.get("arguments")];
        3 + parts.iter().map(|part| count(&text_of(*part))).sum::<u64>() + images * IMAGE_TOKENS
    };
    let told = count(&text_of(body.get("instructions")));
    let tools = body.get("tools").map_or(0, |tools| count(&tools.to_string()));
    let all = 3 + told + tools + context.iter().map(size).sum::<u64>();
    let repeated = all - context.last().map_or(0, size);
    let read = if all >= 1024 { repeated / 128 * 128 } else { 0 };
    PromptTokens { fresh: all - read, read, written: 0 }
}

/// `usage`
pub(super) fn usage(prompt: PromptTokens, output_tokens: u64) -> Value {
    json!({
        "input_tokens": prompt.all(),
        "input_tokens_details": {"cached_tokens": prompt.read, "cache_write_tokens": prompt.written},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt.all() + output_tokens,
    })
}

/// The response while it has nothing yet: `queued`, `in_progress`.
pub(super) fn unfinished(turn: &Turn, id: &str, created: u64, status: &str) -> Value {
    object(turn, id, created, status, Vec::new())
}

/// The answer as one JSON object.
pub(super) fn whole(turn: &Turn, answer: &Answer, id: &str, created: u64) -> Value {
    let (status, details) = ending(&answer.finish);
    let mut whole = object(turn, id, created, status, output(answer, id));
    if let Some(members) = whole.as_object_mut() {
        members.insert("incomplete_details".into(), details);
        members.insert("completed_at".into(), json!(created));
        members.insert("usage".into(), usage(turn.ask.prompt, answer.output_tokens));
    }
    whole
}

fn ending(finish: &Finish) -> (&'static str, Value) {
    match finish {
        Finish::Length => ("incomplete", json!({"reason": "max_output_tokens"})),
        Finish::Stop | Finish::StopText(_) | Finish::Calls | Finish::Refusal => ("completed", Value::Null),
    }
}

fn object(turn: &Turn, id: &str, created: u64, status: &str, output: Vec<Value>) -> Value {
    let mut object = Map::new();
    let given = |field: &str| turn.body.get(field).filter(|value| !value.is_null()).cloned();
    let conversation = given("conversation").map(|value| match value {
        Value::String(id) => json!({"id": id}),
        other => other,
    });
    for (field, value) in [
        ("id", json!(format!("resp_{id}"))),
        ("object", json!("response")),
        ("created_at", json!(created)),
        ("status", json!(status)),
        ("error", Value::Null),
        ("incomplete_details", Value::Null),
        ("model", json!(turn.ask.model)),
        ("output", Value::Array(output)),
        ("conversation", conversation.unwrap_or_default()),
        ("usage", Value::Null),
    ] {
        object.insert(field.into(), value);
    }
    for (field, default) in [
        ("background", json!(false)),
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", json!(true)),
        ("previous_response_id", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("safety_identifier", Value::Null),
        ("service_tier", json!("default")),
        ("store", json!(true)),
        ("temperature", json!(1.0)),
        ("text", json!({"format": {"type": "text"}})),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_p", json!(1.0)),
        ("truncation", json!("disabled")),
        ("user", Value::Null),
    ] {
        object.insert(field.into(), given(field).unwrap_or(default));
    }
    Value::Object(object)
}

/// The output's items, whole.
fn output(answer: &Answer, id: &str) -> Vec<Value> {
    let status = ending(&answer.finish).0;
    match &answer.content {
        Content::Text(pieces) => vec![message(id, status, &[text_part(&pieces.concat())])],
        Content::Refusal(pieces) => vec![message(id, status, &[refusal_part(&pieces.concat())])],
        Content::Calls(calls) => {
            calls.iter().map(|call| function_call(call, "completed", &call.text())).collect()
        }
    }
}

fn message(id: &str, status: &str, content: &[Value]) -> Value {
    json!({"id": format!("msg_{id}"), "type": "message", "status": status, "role": "assistant", "content": content})
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn refusal_part(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

fn function_call(call: &Call, status: &str, arguments: &str) -> Value {
    json!({
        "id": format!("fc_{}", call.id),
        "type": "function_call",
        "status": status,
        "call_id": format!("call_{}", call.id),
        "name": call.name,
        "arguments": arguments,
    })
}

/// The answer as a stream of events. What comes as deltas comes again as a whole, up to the last event.
pub(super) fn stream(turn: &Turn, answer: &Answer, id: &str, created: u64) -> Pieces {
    let mut stream = Stream { pieces: Pieces::default(), at: answer.pace.first(), sequence: 0 };
    let begun = unfinished(turn, id, created, "in_progress");
    stream.event("response.created", &[("response", begun.clone())]);
    stream.event("response.in_progress", &[("response", begun)]);
    stream.items(answer, id);
    if let Some(after) = answer.cut_after {
        // Two events open the response, two its first item's first part: they are no tokens.
        stream.pieces.timed.truncate(after + 4);
        stream.pieces.cut = true;
        return stream.pieces;
    }
    let whole = whole(turn, answer, id, created);
    let last = match answer.finish {
        Finish::Length => "response.incomplete",
        _ => "response.completed",
    };
    stream.event(last, &[("response", whole)]);
    stream.pieces
}

struct Stream {
    pieces: Pieces,
    at: Duration,
    sequence: u64,
}

/// What a message's one part is made of.
struct Part<'a> {
    pieces: &'a [String],
    /// The member that holds it whole: `text` or `refusal`.
    member: &'static str,
    /// Its events, but for `.delta` and `.done`.
    events: &'static str,
    whole: fn(&str) -> Value,
}

impl Stream {
    fn items(&mut self, answer: &Answer, id: &str) {
        let mut times = answer.pace.times();
        let status = ending(&answer.finish).0;
        match &answer.content {
            Content::Text(pieces) => {
                let part = Part { pieces, member: "text", events: "response.output_text", whole: text_part };
                self.message(id, status, &part, &mut times);
            }
            Content::Refusal(pieces) => {
                let part =
                    Part { pieces, member: "refusal", events: "response.refusal", whole: refusal_part };
                self.message(id, status, &part, &mut times);
            }
            Content::Calls(calls) => {
                for (index, call) in calls.iter().enumerate() {
                    self.call(index, call, &mut times);
                }
            }
        }
    }

    fn message(
        &mut self,
        id: &str,
        status: &str,
        part: &Part<'_>,
        times: &mut impl Iterator<Item = Duration>,
    ) {
        let item_id = json!(format!("msg_{id}"));
        let place = [("item_id", item_id), ("output_index", json!(0)), ("content_index", json!(0))];
        let with = |more: &[(&'static str, Value)]| -> Vec<(&'static str, Value)> {
            place.iter().cloned().chain(more.iter().cloned()).collect()
        };
        let opened = message(id, "in_progress", &[]);
        self.event("response.output_item.added", &[("output_index", json!(0)), ("item", opened)]);
        self.event("response.content_part.added", &with(&[("part", (part.whole)(""))]));
        for piece in part.pieces {
            self.at = times.next().unwrap_or(self.at);
            let delta = with(&[("delta", json!(piece)), ("logprobs", json!([]))]);
            self.event(&format!("{}.delta", part.events), &delta);
        }
        let text = part.pieces.concat();
        let done = with(&[(part.member, json!(text)), ("logprobs", json!([]))]);
        self.event(&format!("{}.done", part.events), &done);
        let whole = (part.whole)(&text);
        self.event("response.content_part.done", &with(&[("part", whole.clone())]));
        let item = message(id, status, &[whole]);
        self.event("response.output_item.done", &[("output_index", json!(0)), ("item", item)]);
    }

    fn call(&mut self, index: usize, call: &Call, times: &mut impl Iterator<Item = Duration>) {
        let place = [("item_id", json!(format!("fc_{}", call.id))), ("output_index", json!(index))];
        let text = call.text();
        let item = |status: &str, arguments: &str| {
            [("output_index", json!(index)), ("item", function_call(call, status, arguments))]
        };
        self.event("response.output_item.added", &item("in_progress", ""));
        for fragment in tokens(&text) {
            self.at = times.next().unwrap_or(self.at);
            let [id, place] = place.clone();
            self.event("response.function_call_arguments.delta", &[id, place, ("delta", json!(fragment))]);
        }
        let [id, place] = place;
        self.event("response.function_call_arguments.done", &[id, place, ("arguments", json!(text))]);
        self.event("response.output_item.done", &item("completed", &text));
    }

    fn event(&mut self, name: &str, members: &[(&str, Value)]) {
        let mut event = Map::new();
        event.insert("type".into(), json!(name));
        event.insert("sequence_number".into(), json!(self.sequence));
        self.sequence += 1;
        event.extend(members.iter().map(|(field, value)| ((*field).to_owned(), value.clone())));
        let data = Value::Object(event);
        self.pieces.timed.push((self.at, Bytes::from(format!("event: {name}\ndata: {data}\n\n"))));
    }
}
