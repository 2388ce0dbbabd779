//! Messages: how its requests are read and its answers are written.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Content, Finish};
use super::ask::{
    Ask, Choice, PromptTokens, Tool, count, flag, json_asked, parts_of, required_messages, required_text,
    role, seeds, stop_texts, text_of, tokens, whole_number,
};
use super::failure::Failure;
use super::script::Pieces;

/// What an image costs in tokens.
const IMAGE_TOKENS: u64 = 1600;

/// Understands a request. `counting`: for `count_tokens`, which needs no `max_tokens`.
pub(super) fn read(body: &Map<String, Value>, provider_seed: u64, counting: bool) -> Result<Ask, Failure> {
    let model = required_text(body, "model")?;
    let max_tokens = whole_number(body, "max_tokens")?;
    if max_tokens.is_none() && !counting {
        return Err(Failure::bad_field("max_tokens", "is required"));
    }
    let messages = required_messages(body)?;
    let odd = messages.iter().find(|message| !matches!(role(message), "user" | "assistant" | "system"));
    if let Some(message) = odd {
        let what = format!("must be user or assistant, not {:?}", role(message));
        return Err(Failure::bad_field("messages.role", &what));
    }
    let mut system: Vec<String> =
        body.get("system").map(|system| text_of(Some(system))).into_iter().collect();
    let inner = messages.iter().filter(|message| role(message) == "system");
    system.extend(inner.map(|message| text_of(message.get("content"))));
    let asked = messages.iter().rev().find(|message| role(message) == "user");
    let content = asked.and_then(|message| message.get("content"));
    let (words_seed, luck) = seeds(body, provider_seed);
    let (choice, parallel) = choice(body.get("tool_choice"))?;
    Ok(Ask {
        model,
        system: (!system.is_empty()).then(|| system.join("\n\n")),
        question: text_of(content),
        images: parts_of(content, &["image"]).len(),
        tool_result: tool_result(content),
        tools: client_tools(body),
        choice,
        parallel,
        json: body.get("output_config").and_then(|config| json_asked(config.get("format"), "/schema")),
        max_tokens,
        stops: stop_texts(body.get("stop_sequences")),
        stream: flag(body, "stream"),
        include_usage: true,
        prompt: prompt_tokens(body, messages),
        words_seed,
        luck,
    })
}

/// Only tools with a schema are the caller's to run; the others are the provider's own.
fn client_tools(body: &Map<String, Value>) -> Vec<Tool> {
    let listed = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    listed
        .filter_map(|tool| {
            let name = tool.get("name")?.as_str()?.to_owned();
            Some(Tool { name, schema: tool.get("input_schema")?.clone() })
        })
        .collect()
}

fn choice(value: Option<&Value>) -> Result<(Choice, bool), Failure> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok((Choice::Auto, true)) };
    let parallel = !value.get("disable_parallel_tool_use").and_then(Value::as_bool).unwrap_or(false);
    let choice = match value.get("type").and_then(Value::as_str) {
        Some("auto") => Choice::Auto,
        Some("none") => Choice::None,
        Some("any") => Choice::Any,
        Some("tool") => match value.get("name").and_then(Value::as_str) {
            Some(name) => Choice::Named(name.to_owned()),
            None => return Err(Failure::bad_field("tool_choice.name", "is required")),
        },
        _ => return Err(Failure::bad_field("tool_choice.type", "must be auto, any, tool or none")),
    };
    Ok((choice, parallel))
}

fn tool_result(content: Option<&Value>) -> Option<String> {
    let results = parts_of(content, &["tool_result"]);
    let texts: Vec<String> = results.iter().map(|result| text_of(result.get("content"))).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// With a cache marker anywhere, system prompt and tools are written to the cache by a conversation's first turn and
/// read from it by later ones.
fn prompt_tokens(body: &Map<String, Value>, messages: &[Value]) -> PromptTokens {
    let size = |message: &Value| {
        let content = message.get("content");
        let images = parts_of(content, &["image"]).len() as u64;
        let results = tool_result(content).map_or(0, |text| count(&text));
        3 + count(&text_of(content)) + results + images * IMAGE_TOKENS
    };
    let turns = messages.iter().map(size).sum::<u64>();
    let stable = body.get("system").map_or(0, |system| count(&text_of(Some(system))))
        + body.get("tools").map_or(0, |tools| count(&tools.to_string()));
    let marked = has_marker(body);
    let later_turn = messages.iter().any(|message| role(message) == "assistant");
    match (marked, later_turn) {
        (false, _) => PromptTokens { fresh: turns + stable, read: 0, written: 0 },
        (true, false) => PromptTokens { fresh: turns, read: 0, written: stable },
        (true, true) => PromptTokens { fresh: turns, read: stable, written: 0 },
    }
}

fn has_marker(members: &Map<String, Value>) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            Value::Object(members) => has_marker(members),
            Value::Array(values) => values.iter().any(within),
            _ => false,
        }
    }
    members.get("cache_control").is_some_and(Value::is_object) || members.values().any(within)
}

fn usage(ask: &Ask, output_tokens: u64) -> Value {
    json!({
        "input_tokens": ask.prompt.fresh,
        "cache_creation_input_tokens": ask.prompt.written,
        "cache_read_input_tokens": ask.prompt.read,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    })
}

/// `stop_reason`, `stop_sequence` and `stop_details`.
fn stop(finish: &Finish) -> (&'static str, Option<&str>, Value) {
    match finish {
        Finish::Stop => ("end_turn", None, Value::Null),
        Finish::StopText(text) => ("stop_sequence", Some(text), Value::Null),
        Finish::Length => ("max_tokens", None, Value::Null),
        Finish::Calls => ("tool_use", None, Value::Null),
        Finish::Refusal => {
            ("refusal", None, json!({"type": "refusal", "category": null, "explanation": null}))
        }
    }
}

/// The answer as one JSON object.
pub(super) fn whole(ask: &Ask, answer: &Answer, id: &str) -> Value {
    let content = match &answer.content {
        Content::Text(pieces) | Content::Refusal(pieces) => {
            vec![json!({"type": "text", "text": pieces.concat()})]
        }
        Content::Calls(calls) => calls
            .iter()
            .map(|call| {
                let call_id = format!("toolu_{}", call.id);
                json!({"type": "tool_use", "id": call_id, "name": call.name, "input": call.arguments})
            })
            .collect(),
    };
    let (reason, sequence, details) = stop(&answer.finish);
    json!({
        "id": format!("msg_{id}"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "stop_details": details,
        "usage": usage(ask, answer.output_tokens),
    })
}

/// The answer as a stream of events.
pub(super) fn stream(ask: &Ask, answer: &Answer, id: &str) -> Pieces {
    let mut stream = Stream { pieces: Pieces::default(), at: answer.pace.first() };
    stream.event(&json!({"type": "message_start", "message": {
        "id": format!("msg_{id}"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "stop_details": null,
        "usage": usage(ask, 1),
    }}));
    stream.blocks(answer);
    if let Some(after) = answer.cut_after {
        // The start of the message, the start of its first block and the ping are no tokens.
        stream.pieces.timed.truncate(after + 3);
        stream.pieces.cut = true;
        return stream.pieces;
    }
    let (reason, sequence, details) = stop(&answer.finish);
    stream.event(&json!({
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": sequence, "stop_details": details},
        "usage": {"output_tokens": answer.output_tokens},
    }));
    stream.event(&json!({"type": "message_stop"}));
    stream.pieces
}

struct Stream {
    pieces: Pieces,
    at: Duration,
}

impl Stream {
    fn blocks(&mut self, answer: &Answer) {
        let mut times = answer.pace.times();
        match &answer.content {
            Content::Text(pieces) | Content::Refusal(pieces) => {
                let deltas = pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece}));
                self.block(0, &json!({"type": "text", "text": ""}), deltas, &mut times);
            }
            Content::Calls(calls) => {
                for (index, call) in calls.iter().enumerate() {
                    let id = format!("toolu_{}", call.id);
                    let opened = json!({"type": "tool_use", "id": id, "name": call.name, "input": {}});
                    let text = call.text();
                    // The first fragment of the real API is empty, too.
                    let fragments = [""].into_iter().chain(tokens(&text));
                    let deltas =
                        fragments.map(|part| json!({"type": "input_json_delta", "partial_json": part}));
                    self.block(index, &opened, deltas, &mut times);
                }
            }
        }
    }

    fn block(
        &mut self,
        index: usize,
        opened: &Value,
        deltas: impl Iterator<Item = Value>,
        times: &mut impl Iterator<Item = Duration>,
    ) {
        self.event(&json!({"type": "content_block_start", "index": index, "content_block": opened}));
        if index == 0 {
            self.event(&json!({"type": "ping"}));
        }
        for delta in deltas {
            self.at = times.next().unwrap_or(self.at);
            self.event(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        self.event(&json!({"type": "content_block_stop", "index": index}));
    }

    fn event(&mut self, event: &Value) {
        let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        self.pieces.timed.push((self.at, Bytes::from(format!("event: {name}\ndata: {event}\n\n"))));
    }
}
