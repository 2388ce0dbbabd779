//! Threads of the Messages API: the provider holds a conversation, a request sends only what is new.

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::held::{Held, Owner, Thing};

/// The beta that has them.
const BETA: &str = "message-threads-2026-08-12";

/// What one thread's turns must all say alike, where they say it.
const FIXED: [&str; 2] = ["system", "tools"];

/// A turn of a thread: what to keep under the answer's id.
#[derive(Debug)]
pub(super) struct Turn {
    fixed: [Value; 2],
    messages: Vec<Value>,
    /// The answer that it follows.
    follows: Option<String>,
    weight: usize,
}

/// Looks at `thread`; a turn that goes on gets into `body` what the thread holds. `None`: the request is in no thread.
pub(super) fn open(
    body: &mut Map<String, Value>,
    beta: Option<&str>,
    held: &Held,
    owner: &Owner,
) -> Result<Option<Turn>, Failure> {
    let Some(thread) = body.remove("thread").filter(|thread| !thread.is_null()) else { return Ok(None) };
    if !beta.is_some_and(|list| list.split(',').any(|one| one.trim() == BETA)) {
        return Err(Failure::bad_field("thread", &format!("needs the header anthropic-beta: {BETA}")));
    }
    let new = body.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
    match thread.get("type").and_then(Value::as_str) {
        Some("create") => {
            let fixed = FIXED.map(|field| body.get(field).cloned().unwrap_or_default());
            Ok(Some(Turn { fixed, messages: new, follows: None, weight: 0 }))
        }
        Some("continue") => resume(body, &thread, new, held, owner).map(Some),
        _ => Err(Failure::bad_field("thread.type", "must be create or continue")),
    }
}

fn resume(
    body: &mut Map<String, Value>,
    thread: &Value,
    new: Vec<Value>,
    held: &Held,
    owner: &Owner,
) -> Result<Turn, Failure> {
    let Some(id) = thread.get("previous_message_id").and_then(Value::as_str) else {
        return Err(Failure::bad_field("thread.previous_message_id", "is required"));
    };
    let Some((Thing::Thread { fixed, mut messages, continued }, weight)) = held.get(owner, id) else {
        let message = format!("no thread of this account ends in the message {id}");
        return Err(Failure::coded(404, "thread_not_found", message));
    };
    if continued {
        let message = format!("the message {id} was gone on with already");
        return Err(Failure::coded(400, "thread_already_continued", message));
    }
    let differs = |(field, first): &(&str, &Value)| body.get(*field).is_some_and(|now| now != *first);
    let changed: Vec<&str> = FIXED.into_iter().zip(&fixed).filter(differs).map(|(field, _)| field).collect();
    if !changed.is_empty() {
        let message = format!("the thread was begun with other values of: {}", changed.join(", "));
        return Err(Failure::coded(400, "thread_fingerprint_mismatch", message));
    }
    messages.extend(new);
    for (field, first) in FIXED.into_iter().zip(&fixed).filter(|(_, first)| !first.is_null()) {
        body.insert(field.to_owned(), first.clone());
    }
    body.insert("messages".to_owned(), Value::Array(messages.clone()));
    Ok(Turn { fixed, messages, follows: Some(id.to_owned()), weight })
}

impl Turn {
    /// Keeps the thread with this answer at its end. `weight`: of what this turn brought.
    pub(super) fn keep(self, answer: &Value, weight: usize, held: &Held, owner: &Owner) {
        let Some(id) = answer.get("id").and_then(Value::as_str) else { return };
        if let Some(last) = &self.follows {
            let used = Thing::Thread { fixed: Default::default(), messages: Vec::new(), continued: true };
            held.put(owner, last, used, 0);
        }
        let mut messages = self.messages;
        messages.push(json!({"role": "assistant", "content": answer.get("content")}));
        let thing = Thing::Thread { fixed: self.fixed, messages, continued: false };
        held.put(owner, id, thing, self.weight + weight);
    }
}
