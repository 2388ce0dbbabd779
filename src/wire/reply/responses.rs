//! Replies as the Responses API answers them. The provider does not know them: `store` is false, and a request that goes
//! on from one by its id is the provider's to refuse.

use serde_json::{Value, json};

use super::{ReplyParts, named};

/// Where in a response an answer stands.
enum Stage {
    InProgress,
    Completed,
}

pub(super) fn whole(parts: &ReplyParts<'_>) -> Value {
    response(parts, &Stage::Completed)
}

pub(super) fn stream(parts: &ReplyParts<'_>) -> Vec<u8> {
    let item = item_id(parts);
    let mut events = [
        json!({ "type": "response.created", "response": response(parts, &Stage::InProgress) }),
        json!({ "type": "response.in_progress", "response": response(parts, &Stage::InProgress) }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": message(parts, &Stage::InProgress) }),
        json!({
            "type": "response.content_part.added",
            "item_id": item,
            "output_index": 0,
            "content_index": 0,
            "part": part(""),
        }),
        json!({
            "type": "response.output_text.delta",
            "item_id": item,
            "output_index": 0,
            "content_index": 0,
            "delta": parts.text,
            "logprobs": [],
        }),
        json!({
            "type": "response.output_text.done",
            "item_id": item,
            "output_index": 0,
            "content_index": 0,
            "text": parts.text,
            "logprobs": [],
        }),
        json!({
            "type": "response.content_part.done",
            "item_id": item,
            "output_index": 0,
            "content_index": 0,
            "part": part(parts.text),
        }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": message(parts, &Stage::Completed) }),
        json!({ "type": "response.completed", "response": response(parts, &Stage::Completed) }),
    ];
    for (event, number) in events.iter_mut().zip(0_u64..) {
        event.as_object_mut().map(|event| event.insert("sequence_number".to_owned(), json!(number)));
    }
    named(&events)
}

fn response(parts: &ReplyParts<'_>, stage: &Stage) -> Value {
    let (output, usage, completed_at) = match stage {
        Stage::InProgress => (json!([]), Value::Null, Value::Null),
        Stage::Completed => (json!([message(parts, stage)]), usage(), json!(parts.created_s)),
    };
    json!({
        "id": format!("resp_{}", parts.id),
        "object": "response",
        "created_at": parts.created_s,
        "completed_at": completed_at,
        "status": stage.as_str(),
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "metadata": {},
        "model": parts.model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null },
        "store": false,
        "temperature": null,
        "text": { "format": { "type": "text" } },
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "truncation": "disabled",
        "usage": usage,
    })
}

fn message(parts: &ReplyParts<'_>, stage: &Stage) -> Value {
    let content = match stage {
        Stage::InProgress => json!([]),
        Stage::Completed => json!([part(parts.text)]),
    };
    json!({
        "id": item_id(parts),
        "type": "message",
        "status": stage.as_str(),
        "role": "assistant",
        "content": content,
    })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn item_id(parts: &ReplyParts<'_>) -> String {
    format!("msg_{}", parts.id)
}

fn usage() -> Value {
    json!({
        "input_tokens": 0,
        "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
        "output_tokens": 0,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": 0,
    })
}

impl Stage {
    fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}
