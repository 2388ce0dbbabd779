//! The calls on what the Responses API holds: stored responses, their items, conversations; and the two calls that only
//! look at what a response would read.

use http::Method;
use serde_json::{Map, Value, json};

use super::ask::tokens;
use super::call::Call;
use super::failure::Failure;
use super::held::{Stored, Thing};
use super::responses::{self, Turn};
use super::serve::no_such_path;

/// What a response follows on, and what that weighs: another response's items, or a conversation's.
pub(super) fn before(call: &Call<'_>, body: &Map<String, Value>) -> Result<(Vec<Value>, usize), Failure> {
    let previous = body.get("previous_response_id").and_then(Value::as_str);
    match (previous, conversation_id(body)) {
        (Some(_), Some(_)) => {
            let what = "goes not together with conversation: each says what came before";
            Err(Failure::bad_field("previous_response_id", what))
        }
        (Some(id), None) => match call.held.response(&call.owner, id) {
            Some((stored, weight)) => Ok((stored.context, weight)),
            None => Err(Failure {
                param: Some("previous_response_id".into()),
                ..Failure::coded(
                    400,
                    "previous_response_not_found",
                    format!("this account has no response {id} to follow on"),
                )
            }),
        },
        (None, Some(id)) => items_of(call, id),
        (None, None) => Ok((Vec::new(), 0)),
    }
}

/// `conversation`: an id, or an object with it.
fn conversation_id(body: &Map<String, Value>) -> Option<&str> {
    let value = body.get("conversation")?;
    value.as_str().or_else(|| value.get("id")?.as_str())
}

/// Adds a turn to its conversation, where it has one.
pub(super) fn append(call: &Call<'_>, turn: &Turn, answer: &[Value], weight: usize) {
    let Some(id) = conversation_id(&turn.body) else { return };
    let Some((Thing::Conversation { object, mut items }, before)) = call.held.get(&call.owner, id) else {
        return;
    };
    items.extend(turn.given.iter().chain(answer).cloned());
    call.held.put(&call.owner, id, Thing::Conversation { object, items }, before + weight);
}

/// `GET`, `DELETE /v1/responses/ID`, `POST …/cancel`, `GET …/input_items`
pub(super) fn response(call: &Call<'_>, method: &Method, id: &str, rest: &[&str]) -> Result<Value, Failure> {
    let (stored, weight) = call.held.response(&call.owner, id).ok_or_else(|| not_found("response", id))?;
    match (method, rest) {
        (&Method::GET | &Method::HEAD, []) if query(call, "stream") == Some("true") => {
            Err(Failure::bad_field("stream", "the simulated provider takes up no stream again"))
        }
        (&Method::GET | &Method::HEAD, []) => Ok(as_of_now(call, stored)),
        (&Method::DELETE, []) => {
            call.held.forget(&call.owner, id);
            Ok(json!({"id": id, "object": "response.deleted", "deleted": true}))
        }
        (&Method::POST, ["cancel"]) => cancel(call, id, stored, weight),
        (&Method::GET | &Method::HEAD, ["input_items"]) => Ok(listed(call, &stored.given)),
        _ => Err(no_such_path()),
    }
}

/// A response in the background is under way until its time has come.
fn as_of_now(call: &Call<'_>, stored: Stored) -> Value {
    if stored.done_at.is_none_or(|done_at| call.now >= done_at) {
        return stored.object;
    }
    without_answer(stored.object, "in_progress")
}

fn without_answer(mut object: Value, status: &str) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert("status".into(), json!(status));
        members.insert("output".into(), json!([]));
        for field in ["usage", "incomplete_details", "completed_at"] {
            members.insert(field.into(), Value::Null);
        }
    }
    object
}

fn cancel(call: &Call<'_>, id: &str, mut stored: Stored, weight: usize) -> Result<Value, Failure> {
    match stored.done_at {
        None => Err(Failure::new(400, "only a response in the background can be cancelled")),
        // What is done stays done.
        Some(done_at) if call.now >= done_at => Ok(stored.object),
        Some(_) => {
            stored.object = without_answer(stored.object, "cancelled");
            stored.done_at = Some(call.now);
            let object = stored.object.clone();
            call.held.put(&call.owner, id, Thing::Response(stored), weight);
            Ok(object)
        }
    }
}

/// `POST /v1/conversations`
pub(super) fn converse(call: &Call<'_>, body: &Map<String, Value>, weight: usize) -> Result<Value, Failure> {
    let items = responses::items(body.get("items"), &call.id)?;
    let metadata = body.get("metadata").filter(|value| value.is_object()).cloned();
    let id = format!("conv_{}", call.id);
    let object = json!({
        "id": id,
        "object": "conversation",
        "created_at": call.now.as_secs(),
        "metadata": metadata.unwrap_or_else(|| json!({})),
    });
    let thing = Thing::Conversation { object: object.clone(), items };
    call.held.put(&call.owner, &id, thing, weight);
    Ok(object)
}

/// `GET`, `DELETE /v1/conversations/ID`, `GET …/items`
pub(super) fn conversation(
    call: &Call<'_>,
    method: &Method,
    id: &str,
    rest: &[&str],
) -> Result<Value, Failure> {
    let (items, _) = items_of(call, id)?;
    match (method, rest) {
        (&Method::GET | &Method::HEAD, []) => match call.held.get(&call.owner, id) {
            Some((Thing::Conversation { object, .. }, _)) => Ok(object),
            _ => Err(not_found("conversation", id)),
        },
        (&Method::DELETE, []) => {
            call.held.forget(&call.owner, id);
            Ok(json!({"id": id, "object": "conversation.deleted", "deleted": true}))
        }
        (&Method::GET | &Method::HEAD, ["items"]) => Ok(listed(call, &items)),
        _ => Err(no_such_path()),
    }
}

fn items_of(call: &Call<'_>, id: &str) -> Result<(Vec<Value>, usize), Failure> {
    match call.held.get(&call.owner, id) {
        Some((Thing::Conversation { items, .. }, weight)) => Ok((items, weight)),
        _ => Err(not_found("conversation", id)),
    }
}

fn not_found(what: &str, id: &str) -> Failure {
    Failure::new(404, format!("this account has no {what} {id}"))
}

fn query<'a>(call: &Call<'a>, name: &str) -> Option<&'a str> {
    let pairs = call.query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).next()
}

/// A list of items by `order`, `after` and `limit`: the newest first unless it says otherwise.
fn listed(call: &Call<'_>, items: &[Value]) -> Value {
    let id = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
    let mut items = items.to_vec();
    if query(call, "order") != Some("asc") {
        items.reverse();
    }
    if let Some(after) = query(call, "after") {
        let from =
            items.iter().position(|item| id(item).as_deref() == Some(after)).map_or(items.len(), |at| at + 1);
        items.drain(..from);
    }
    let limit = query(call, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(20_usize).clamp(1, 100);
    let more = items.len() > limit;
    items.truncate(limit);
    let (first, last) = (items.first().and_then(id), items.last().and_then(id));
    json!({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": more})
}

/// `POST /v1/responses/input_tokens`
pub(super) fn input_tokens(call: &Call<'_>, body: Map<String, Value>) -> Result<Value, Failure> {
    let turn = read(call, body)?;
    Ok(json!({"object": "response.input_tokens", "input_tokens": turn.ask.prompt.all()}))
}

/// `POST /v1/responses/compact`: what the user said, and one item that stands for the rest.
pub(super) fn compact(call: &Call<'_>, body: Map<String, Value>) -> Result<Value, Failure> {
    let turn = read(call, body)?;
    call.model(&turn.ask.model)?;
    let of_user = turn.context.iter().filter(|item| super::ask::role(item) == "user");
    let mut output: Vec<Value> = of_user.cloned().collect();
    let sealed = format!("{}-{:016x}", turn.ask.model, turn.ask.words_seed);
    let size = tokens(&sealed).len() as u64;
    output.push(json!({"id": format!("cmp_{}", call.id), "type": "compaction", "encrypted_content": sealed}));
    Ok(json!({
        "id": format!("resp_{}", call.id),
        "object": "response.compaction",
        "created_at": call.now.as_secs(),
        "output": output,
        "usage": responses::usage(turn.ask.prompt, size),
    }))
}

fn read(call: &Call<'_>, body: Map<String, Value>) -> Result<Turn, Failure> {
    let (before, _) = before(call, &body)?;
    responses::read(body, before, &call.id, call.provider.seed)
}
