//! The translation, held to what each API publishes.

mod answers;
mod honesty;
mod properties;
mod requests;
mod streams;

use serde_json::Value;

use super::*;

const STAMP: Stamp<'_> = Stamp { id: "req1", created_s: 1_700_000_000 };

/// A model of which everything is known and that takes everything.
fn target(endpoint: Endpoint) -> Target {
    Target { max_output: Some(64_000), effort: true, ..Target::new(endpoint) }
}

fn translated(from: Endpoint, to: Endpoint, body: &Value) -> Result<Translated, Refused> {
    request(from, body.to_string().as_bytes(), &target(to), &STAMP)
}

/// The request as the other API says it, and what went lost.
fn said(from: Endpoint, to: Endpoint, body: &Value) -> (Value, Vec<String>) {
    let told = translated(from, to, body).unwrap_or_else(|refused| panic!("{refused:?} of {body}"));
    let value = serde_json::from_slice(&told.body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&told.body)));
    (value, told.dropped.iter().map(|name| name.to_string()).collect())
}

/// What is remembered of a request that says next to nothing.
fn memory(from: Endpoint, to: Endpoint, stream: bool) -> Memory {
    let body = match from {
        Endpoint::Responses => serde_json::json!({ "model": "m", "input": "hi", "stream": stream }),
        _ => serde_json::json!({
            "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }], "stream": stream,
        }),
    };
    translated(from, to, &body).expect("a request").memory
}

/// Each event's name and data.
fn events(stream: &[u8]) -> Vec<(Option<String>, String)> {
    let mut events = Vec::new();
    let mut scanner = crate::wire::SseScanner::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    scanner.feed(stream, &mut |event| events.push((event.name.map(text), text(event.data))));
    assert!(scanner.between_events(), "whole events: {}", String::from_utf8_lossy(stream));
    events
}
