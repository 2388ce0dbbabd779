//! `POST /dimmer/v1/feedback`: what somebody says of an answer. Asked of dimmer itself, on the data listener, with the app's key.
//!
//! The record joins it with its request when it is read, so that it may come early, twice, or to another replica. Only the client
//! that made the request is heard: what another one says joins nothing. The answer is the same in every case, so that nobody learns
//! which ids there are.

mod rates;
mod recent;

pub(crate) use rates::Rates;
pub(crate) use recent::{Recent, Remembered};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use http::request::Parts;
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::exposure::conversation_digest;
use crate::proxy::worker::Gateway;
use crate::record::{Feedback, FeedbackOf, Flagged, Kept, Record};
use crate::snapshot::Snapshot;
use crate::wire::ErrorCode;

/// Where it is.
const PATH: &str = "/dimmer/v1/feedback";

/// The largest body: two ids and a number.
const BODY_MAX: usize = 4096;
/// Ids of providers are under 100 bytes.
const ID_MAX: usize = 256;
/// The ids that dimmer makes: `req_` and 32 hexadecimal digits.
const OWN_ID: usize = 36;

/// So long a caller waits to hear that it is on disk.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many requests that this process does not remember are looked up in the record at once.
const LOOKUPS: usize = 4;

/// What is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    request_id: Option<String>,
    conversation: Option<String>,
    name: String,
    value: Value,
}

/// Whether a request is feedback.
pub(crate) fn is_meant(parts: &Parts) -> bool {
    parts.uri.path() == PATH
}

/// Whether so much may be said at all: before its body is read.
pub(crate) fn admit(exchange: &Exchange, parts: &Parts) -> Result<(), ProxyError> {
    if parts.method != Method::POST {
        let message = format!("{PATH} takes POST with {EXAMPLE}");
        return Err(ProxyError::caller(ErrorCode::BadRequest, Phase::Identify, message));
    }
    if !exchange.gateway().feedback_rates.admits(exchange.client.as_deref(), clock::uptime()) {
        return Err(too_much());
    }
    let length = parts.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > BODY_MAX) { Err(too_large()) } else { Ok(()) }
}

/// Takes feedback in.
pub(crate) async fn take(exchange: &Exchange, body: &[u8]) -> Result<Kept, ProxyError> {
    if body.len() > BODY_MAX {
        return Err(too_large());
    }
    let feedback = read(exchange, body)?;
    let remembered = count(exchange, &feedback);
    let kept = exchange.gateway().recorder.keep(feedback.clone(), PATIENCE).await;
    if !remembered && kept == Kept::Durable {
        look_up(exchange, feedback);
    }
    if kept == Kept::Lost { Err(lost()) } else { Ok(kept) }
}

/// What is sent, as it is kept.
fn read(exchange: &Exchange, body: &[u8]) -> Result<Feedback, ProxyError> {
    // serde's own words may quote what was sent.
    let sent: Sent = serde_json::from_slice(body).map_err(|error| {
        bad(&format!("is not as expected at line {}, column {}", error.line(), error.column()))
    })?;
    let client = exchange.client.as_ref().map(|client| client.name.shared()).unwrap_or_default();
    let of = match (sent.request_id, sent.conversation) {
        (Some(id), None) if is_id(&id) && is_own(&id) => FeedbackOf::Request(id.into()),
        (Some(id), None) if is_id(&id) => FeedbackOf::Answer(id.into()),
        (None, Some(name)) if !name.is_empty() => {
            FeedbackOf::Conversation(conversation_digest(&client, &name).into())
        }
        (Some(_), Some(_)) => return Err(bad("names both `request_id` and `conversation`: leave one out")),
        (Some(_), None) => {
            return Err(bad(
                "has a `request_id` that is no id: send x-dimmer-request-id, or the answer's `id`",
            ));
        }
        (None, _) => return Err(bad("names no `request_id` and no `conversation`")),
    };
    let specs = &exchange.snapshot.config.feedback;
    let spec = specs.iter().find(|spec| spec.name.as_str() == sent.name);
    let spec = spec.ok_or_else(|| unknown_name(&exchange.snapshot.snapshot))?;
    let value = match &sent.value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::Number(number) => number.as_f64().filter(|value| (0.0..=1.0).contains(value)),
        _ => None,
    };
    let value = value
        .ok_or_else(|| bad("has a `value` that is no number from 0 to 1, and neither true nor false"))?;
    let at_us = clock::unix_us();
    Ok(Feedback { of, name: spec.name.shared(), value, client, at_us, judge: None })
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_own(id: &str) -> bool {
    id.len() == OWN_ID
        && id.strip_prefix("req_").is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Counts it for the variants that the request saw, where the client is its own. False: this process does not remember the request.
fn count(exchange: &Exchange, feedback: &Feedback) -> bool {
    let gateway = exchange.gateway();
    let Some(remembered) = gateway.recent.find(&feedback.of) else { return false };
    add(gateway, &remembered, feedback);
    true
}

fn add(gateway: &Gateway, remembered: &Remembered, feedback: &Feedback) {
    if remembered.client != feedback.client || !remembered.is_news(&feedback.name) {
        return;
    }
    for (flag, variant) in &remembered.variants {
        gateway.series.feedback(flag, variant, &feedback.name, feedback.value);
    }
}

/// What a judge says of a live answer of this process: kept and counted like what anybody says.
pub(crate) fn by_judge(gateway: &Gateway, feedback: Feedback) {
    if let Some(remembered) = gateway.recent.find(&feedback.of) {
        add(gateway, &remembered, &feedback);
    }
    gateway.recorder.put(Record::Feedback(feedback));
}

/// Counts it for a request that another replica served, or that this process has forgotten. Nobody waits for it: where too much is
/// looked up already, or the store is away, it is not counted.
fn look_up(exchange: &Exchange, feedback: Feedback) {
    let (FeedbackOf::Request(id) | FeedbackOf::Answer(id)) = feedback.of.clone() else { return };
    let gateway = Arc::clone(&exchange.worker.gateway);
    let Some(reader) = gateway.reader.clone() else { return };
    if gateway.feedback_lookups.fetch_add(1, Ordering::Relaxed) >= LOOKUPS {
        gateway.feedback_lookups.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let view = Arc::clone(&exchange.snapshot);
    tokio::task::spawn_local(async move {
        let asked = id.clone();
        let found = reader.read(move |store| store.exposure(&asked)).await;
        gateway.feedback_lookups.fetch_sub(1, Ordering::Relaxed);
        let Ok(Some(seen)) = found else { return };
        let exposure = seen.exposure;
        // Labels are names of this configuration: the record may be of another one.
        let known = |flag: &Flagged| {
            let flags = &view.config.flags;
            let found = flags.iter().find(|known| *known.key == *flag.flag)?;
            let variant = found.variants.iter().find(|known| *known.name == *flag.variant)?;
            flag.tried.then(|| (found.key.shared(), variant.name.shared()))
        };
        let variants = exposure.flags.iter().filter_map(known).collect();
        let remembered = Arc::new(Remembered::new(exposure.client, variants));
        gateway.recent.keep(&exposure.request_id, exposure.answer_id.as_deref(), None, &remembered);
        add(&gateway, &remembered, &feedback);
    });
}

/// The exchange has ended: what is said of it will be counted for the variants that it saw.
pub(crate) fn remember(exchange: &Exchange, answer_id: Option<&str>, conversation: Option<&str>) {
    if !exchange.snapshot.notes_conversation || !exchange.endpoint.answers() {
        return;
    }
    let Some(decision) = exchange.decision.as_ref().filter(|decision| !decision.evaluated.is_empty()) else {
        return;
    };
    let variants = decision.evaluated.iter().filter(|one| one.passed_over.is_none()).filter_map(|one| {
        let variant = one.plan.flag.variant(one.evaluation.variant)?;
        Some((one.plan.flag.key.shared(), variant.name.shared()))
    });
    let client = exchange.client.as_ref().map(|client| client.name.shared()).unwrap_or_default();
    let remembered = Arc::new(Remembered::new(client, variants.collect()));
    exchange.gateway().recent.keep(exchange.id.as_str(), answer_id, conversation, &remembered);
}

fn unknown_name(snapshot: &Snapshot) -> ProxyError {
    let names: Vec<&str> = snapshot.config.feedback.iter().map(|spec| spec.name.as_str()).collect();
    match names.is_empty() {
        true => bad(
            "names a feedback, and the configuration declares none: add [feedback.NAME] with better = \"higher\"",
        ),
        false => {
            bad(&format!("has a `name` that no [feedback.NAME] declares; there are: {}", names.join(", ")))
        }
    }
}

fn bad(what: &str) -> ProxyError {
    let message = format!("the feedback {what}; expected {EXAMPLE}");
    ProxyError::caller(ErrorCode::BadRequest, Phase::Identify, message)
}

const EXAMPLE: &str = r#"{"request_id": "chatcmpl-…", "name": "thumbs", "value": 1}"#;

/// There is no body.
pub(crate) fn empty() -> ProxyError {
    bad("has no body")
}

fn too_large() -> ProxyError {
    let message = format!("feedback has {BODY_MAX} bytes at most: an id, a name and a number");
    ProxyError::caller(ErrorCode::BodyTooLarge, Phase::Identify, message)
}

fn too_much() -> ProxyError {
    let message = "too much feedback at once from this client; send it again a little later";
    ProxyError::internal(ErrorCode::Overloaded, Phase::Identify, message)
}

fn lost() -> ProxyError {
    let message = "the feedback could not be kept: the store of records takes nothing, and the queue before it is full; send it again";
    ProxyError::internal(ErrorCode::Overloaded, Phase::Identify, message)
}

#[cfg(test)]
mod tests {
    use super::{is_id, is_own};

    #[test]
    fn ids_of_ours_and_of_providers() {
        let own = "req_0123456789abcdef0123456789abcdef";
        assert!(is_id(own) && is_own(own), "{own}");
        for other in ["chatcmpl-1", "req_1", "req_0123456789abcdef0123456789abcdeg", "resp_0123", "msg_01"] {
            assert!(is_id(other) && !is_own(other), "{other}");
        }
        for none in ["", "a b", "a\n", "é", &"a".repeat(257)] {
            assert!(!is_id(none), "{none}");
        }
    }
}
