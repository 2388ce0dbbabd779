//! Completions, the API before Chat Completions: how its requests are read and its answers are written.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Content};
use super::ask::{Ask, Choice, PromptTokens, count, flag, required_text, seeds, stop_texts, whole_number};
use super::chat;
use super::failure::Failure;
use super::script::Pieces;

/// Understands a request.
pub(super) fn read(body: &Map<String, Value>, provider_seed: u64) -> Result<Ask, Failure> {
    let model = required_text(body, "model")?;
    if body.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1) {
        return Err(Failure::bad_field("n", "the simulated provider gives one choice"));
    }
    let prompt = match body.get("prompt") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(texts)) => match texts.as_slice() {
            [Value::String(text)] => text.clone(),
            // Token numbers in place of a text.
            numbers if numbers.iter().all(Value::is_number) => {
                numbers.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")
            }
            _ => return Err(Failure::bad_field("prompt", "the simulated provider takes one prompt")),
        },
        Some(_) => return Err(Failure::bad_field("prompt", "must be a text")),
    };
    let (words_seed, luck) = seeds(body, provider_seed);
    Ok(Ask {
        model,
        prompt: PromptTokens { fresh: count(&prompt), read: 0, written: 0 },
        question: prompt,
        choice: Choice::None,
        max_tokens: whole_number(body, "max_tokens")?,
        stops: stop_texts(body.get("stop")),
        stream: flag(body, "stream"),
        include_usage: chat::usage_asked(body),
        words_seed,
        luck,
        ..Ask::default()
    })
}

fn usage(ask: &Ask, answer: &Answer) -> Value {
    let (prompt, completion) = (ask.prompt.all(), answer.output_tokens);
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

fn envelope(ask: &Ask, id: &str, created: u64, choices: &Value) -> Value {
    json!({
        "id": format!("cmpl-{id}"),
        "object": "text_completion",
        "created": created,
        "model": ask.model,
        "choices": choices,
    })
}

fn choice(text: &str, finish: Option<&str>) -> Value {
    json!([{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}])
}

/// No tool is ever called here.
fn pieces(answer: &Answer) -> &[String] {
    match &answer.content {
        Content::Text(pieces) | Content::Refusal(pieces) => pieces,
        Content::Calls(_) => &[],
    }
}

/// The answer as one JSON object.
pub(super) fn whole(ask: &Ask, answer: &Answer, id: &str, created: u64) -> Value {
    let text = pieces(answer).concat();
    let finish = chat::finish_reason(&answer.finish);
    with_usage(envelope(ask, id, created, &choice(&text, Some(finish))), usage(ask, answer))
}

fn with_usage(mut object: Value, usage: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert("usage".into(), usage);
    }
    object
}

/// The answer as a stream of chunks.
pub(super) fn stream(ask: &Ask, answer: &Answer, id: &str, created: u64) -> Pieces {
    let mut pieces_out = Pieces::default();
    let mut at = answer.pace.first();
    let mut times = answer.pace.times();
    let chunk = |choices: &Value| {
        let chunk = envelope(ask, id, created, choices);
        if ask.include_usage { with_usage(chunk, Value::Null) } else { chunk }
    };
    let mut write = |at, data: String| pieces_out.timed.push((at, Bytes::from(format!("data: {data}\n\n"))));
    for piece in pieces(answer).iter().take(answer.cut_after.unwrap_or(usize::MAX)) {
        at = times.next().unwrap_or(at);
        write(at, chunk(&choice(piece, None)).to_string());
    }
    if answer.cut_after.is_some() {
        pieces_out.cut = true;
        return pieces_out;
    }
    write(at, chunk(&choice("", Some(chat::finish_reason(&answer.finish)))).to_string());
    if ask.include_usage {
        let last = envelope(ask, id, created, &json!([]));
        write(at, with_usage(last, usage(ask, answer)).to_string());
    }
    write(at, "[DONE]".to_owned());
    pieces_out
}
