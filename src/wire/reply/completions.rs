//! Replies as Completions answers them.

use serde_json::{Value, json};

use super::{ReplyParts, chat_usage, done, end_with_usage};

pub(super) fn whole(parts: &ReplyParts<'_>) -> Value {
    let mut body = chunk(parts, parts.text, json!("stop"));
    body.as_object_mut().map(|body| body.insert("usage".to_owned(), chat_usage()));
    body
}

pub(super) fn stream(parts: &ReplyParts<'_>) -> Vec<u8> {
    let mut chunks = vec![chunk(parts, parts.text, Value::Null), chunk(parts, "", json!("stop"))];
    if parts.include_usage {
        end_with_usage(&mut chunks, envelope(parts));
    }
    done(&chunks)
}

fn chunk(parts: &ReplyParts<'_>, text: &str, finish_reason: Value) -> Value {
    let mut chunk = envelope(parts);
    let choice = json!({ "text": text, "index": 0, "logprobs": null, "finish_reason": finish_reason });
    chunk.as_object_mut().map(|chunk| chunk.insert("choices".to_owned(), json!([choice])));
    chunk
}

fn envelope(parts: &ReplyParts<'_>) -> Value {
    json!({
        "id": format!("cmpl-{}", parts.id),
        "object": "text_completion",
        "created": parts.created_s,
        "model": parts.model,
    })
}
