//! Chat Completions: how its requests are read and its answers are written.

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
const IMAGE_TOKENS: u64 = 765;

/// Understands a request.
pub(super) fn read(body: &Map<String, Value>, provider_seed: u64) -> Result<Ask, Failure> {
    let model = required_text(body, "model")?;
    let messages = required_messages(body)?;
    if body.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1) {
        return Err(Failure::bad_field("n", "the simulated provider gives one choice"));
    }
    let system_role = |message: &&Value| matches!(role(message), "system" | "developer");
    let system: Vec<String> =
        messages.iter().filter(system_role).map(|message| text_of(message.get("content"))).collect();
    let asked = messages.iter().rev().find(|message| role(message) == "user");
    let last = messages.last().filter(|message| matches!(role(message), "tool" | "function"));
    let asked_content = asked.and_then(|message| message.get("content"));
    let (words_seed, luck) = seeds(body, provider_seed);
    let max_tokens = whole_number(body, "max_completion_tokens")?.or(whole_number(body, "max_tokens")?);
    Ok(Ask {
        model,
        system: (!system.is_empty()).then(|| system.join("\n\n")),
        question: text_of(asked_content),
        images: parts_of(asked_content, &["image_url"]).len(),
        tool_result: last.map(|message| text_of(message.get("content"))),
        tools: functions(body),
        choice: choice(body.get("tool_choice"), "/function/name", "tool_choice.function.name")?,
        parallel: body.get("parallel_tool_calls").and_then(Value::as_bool).unwrap_or(true),
        json: json_asked(body.get("response_format"), "/json_schema/schema"),
        max_tokens,
        stops: stop_texts(body.get("stop")),
        stream: flag(body, "stream"),
        include_usage: usage_asked(body),
        prompt: prompt_tokens(messages, body.get("tools")),
        words_seed,
        luck,
    })
}

/// Whether usage is asked for in the stream.
pub(super) fn usage_asked(body: &Map<String, Value>) -> bool {
    let options = body.get("stream_options").and_then(Value::as_object);
    options.is_some_and(|options| flag(options, "include_usage"))
}

fn functions(body: &Map<String, Value>) -> Vec<Tool> {
    let listed = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(|tool| tool.get("function")).filter_map(function).collect()
}

/// A function that the caller runs.
pub(super) fn function(described: &Value) -> Option<Tool> {
    let name = described.get("name")?.as_str()?.to_owned();
    Some(Tool { name, schema: described.get("parameters").cloned().unwrap_or_else(|| json!({})) })
}

/// Which tool is to be called. `name_at` says where an object has the name, `field` how an error calls that place.
pub(super) fn choice(value: Option<&Value>, name_at: &str, field: &str) -> Result<Choice, Failure> {
    match value {
        None | Some(Value::Null) => Ok(Choice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Ok(Choice::Auto),
            "none" => Ok(Choice::None),
            "required" => Ok(Choice::Any),
            _ => Err(Failure::bad_field("tool_choice", "must be auto, none, required or a function")),
        },
        Some(object) => match object.pointer(name_at).and_then(Value::as_str) {
            Some(name) => Ok(Choice::Named(name.to_owned())),
            None => Err(Failure::bad_field(field, "is required")),
        },
    }
}

/// A prompt of 1024 tokens or more is found in a cache but for its last message, in steps of 128 tokens.
fn prompt_tokens(messages: &[Value], tools: Option<&Value>) -> PromptTokens {
    let size = |message: &Value| {
        let content = message.get("content");
        let images = parts_of(content, &["image_url"]).len() as u64;
        3 + count(&text_of(content)) + images * IMAGE_TOKENS
    };
    let tools = tools.map_or(0, |tools| count(&tools.to_string()));
    let all = 3 + tools + messages.iter().map(size).sum::<u64>();
    let repeated = all - messages.last().map_or(0, size);
    let read = if all >= 1024 { repeated / 128 * 128 } else { 0 };
    PromptTokens { fresh: all - read, read, written: 0 }
}

fn usage(ask: &Ask, answer: &Answer) -> Value {
    let (prompt, completion) = (ask.prompt.all(), answer.output_tokens);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": ask.prompt.read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// `finish_reason`
pub(super) fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopText(_) => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Refusal => "content_filter",
    }
}

/// The answer as one JSON object.
pub(super) fn whole(ask: &Ask, answer: &Answer, id: &str, created: u64) -> Value {
    let message = match &answer.content {
        Content::Text(pieces) => json!({"role": "assistant", "content": pieces.concat(), "refusal": null}),
        Content::Refusal(pieces) => json!({"role": "assistant", "content": null, "refusal": pieces.concat()}),
        Content::Calls(calls) => json!({
            "role": "assistant",
            "content": null,
            "tool_calls": calls.iter().map(|call| json!({
                "id": format!("call_{}", call.id),
                "type": "function",
                "function": {"name": call.name, "arguments": call.text()},
            })).collect::<Vec<_>>(),
            "refusal": null,
        }),
    };
    json!({
        "id": format!("chatcmpl-{id}"),
        "object": "chat.completion",
        "created": created,
        "model": ask.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(&answer.finish),
        }],
        "usage": usage(ask, answer),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    })
}

/// The answer as a stream of chunks.
pub(super) fn stream(ask: &Ask, answer: &Answer, id: &str, created: u64) -> Pieces {
    let mut stream = Stream { ask, id, created, pieces: Pieces::default(), at: answer.pace.first() };
    stream.deltas(answer);
    if let Some(after) = answer.cut_after {
        // The chunk that opens the message is no token.
        stream.pieces.timed.truncate(after + 1);
        stream.pieces.cut = true;
        return stream.pieces;
    }
    stream.chunk(json!({}), Some(finish_reason(&answer.finish)));
    if ask.include_usage {
        let mut last = stream.envelope();
        last.insert("choices".into(), json!([]));
        last.insert("usage".into(), usage(ask, answer));
        stream.write(&Value::Object(last).to_string());
    }
    stream.write("[DONE]");
    stream.pieces
}

struct Stream<'a> {
    ask: &'a Ask,
    id: &'a str,
    created: u64,
    pieces: Pieces,
    at: Duration,
}

impl Stream<'_> {
    fn deltas(&mut self, answer: &Answer) {
        let mut times = answer.pace.times();
        let mut next = || times.next().unwrap_or_default();
        match &answer.content {
            Content::Text(pieces) => {
                self.chunk(json!({"role": "assistant", "content": "", "refusal": null}), None);
                for piece in pieces {
                    self.at = next();
                    self.chunk(json!({"content": piece}), None);
                }
            }
            Content::Refusal(pieces) => {
                self.chunk(json!({"role": "assistant", "content": null, "refusal": ""}), None);
                for piece in pieces {
                    self.at = next();
                    self.chunk(json!({"refusal": piece}), None);
                }
            }
            Content::Calls(calls) => {
                self.chunk(json!({"role": "assistant", "content": null}), None);
                for (index, call) in calls.iter().enumerate() {
                    self.at = next();
                    let function = json!({"name": call.name, "arguments": ""});
                    let id = format!("call_{}", call.id);
                    let opened = json!({"index": index, "id": id, "type": "function", "function": function});
                    self.chunk(json!({"tool_calls": [opened]}), None);
                    for fragment in tokens(&call.text()) {
                        self.at = next();
                        let more = json!({"index": index, "function": {"arguments": fragment}});
                        self.chunk(json!({"tool_calls": [more]}), None);
                    }
                }
            }
        }
    }

    fn envelope(&self) -> Map<String, Value> {
        let mut chunk = Map::new();
        chunk.insert("id".into(), json!(format!("chatcmpl-{}", self.id)));
        chunk.insert("object".into(), json!("chat.completion.chunk"));
        chunk.insert("created".into(), json!(self.created));
        chunk.insert("model".into(), json!(self.ask.model));
        chunk.insert("service_tier".into(), json!("default"));
        chunk.insert("system_fingerprint".into(), json!("fp_simulated"));
        chunk
    }

    fn chunk(&mut self, delta: Value, finish: Option<&str>) {
        let mut chunk = self.envelope();
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        chunk.insert("choices".into(), json!([choice]));
        if self.ask.include_usage {
            chunk.insert("usage".into(), Value::Null);
        }
        self.write(&Value::Object(chunk).to_string());
    }

    fn write(&mut self, data: &str) {
        self.pieces.timed.push((self.at, Bytes::from(format!("data: {data}\n\n"))));
    }
}
