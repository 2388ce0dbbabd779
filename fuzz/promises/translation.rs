//! Any request, answer, error or stream in another API's words: what comes out is whole JSON and whole events, however the bytes were
//! cut, and nothing ends as if complete that its provider did not end.
//!
//! The first byte says between which APIs, the second what it is and how it is cut; from 128 on it is a stream.

use dimmer::wire::translate::{self, Memory, Stamp, Stream, Target, Translated};
use dimmer::wire::{Endpoint, SseScanner};
use serde_json::Value;

const PAIRS: [(Endpoint, Endpoint); 4] = [
    (Endpoint::Chat, Endpoint::Messages),
    (Endpoint::Messages, Endpoint::Chat),
    (Endpoint::Responses, Endpoint::Messages),
    (Endpoint::Responses, Endpoint::Chat),
];
const STAMP: Stamp<'_> = Stamp { id: "r", created_s: 1 };

pub(crate) fn hold(data: &[u8]) {
    let [which, what, text @ ..] = data else { return };
    let (from, to) = PAIRS[usize::from(*which) % PAIRS.len()];
    let target = Target {
        max_output: Some(9),
        effort: which & 4 == 0,
        sampling: which & 8 == 0,
        later_system: which & 16 == 0,
        ..Target::new(to)
    };
    let memory = memory(from, &target);
    match what {
        128.. => stream(&memory, text, usize::from(what % 64) + 1),
        what => match what % 3 {
            0 => request(from, &target, text),
            1 => answer(&memory, text),
            _ => error(&memory, u16::from(*what) * 4 + 100, text),
        },
    }
}

/// Of a request that says little.
fn memory(from: Endpoint, target: &Target) -> Memory {
    let body: &[u8] = match from {
        Endpoint::Responses => br#"{"model":"m","input":"hi"}"#,
        _ => br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream_options":{"include_usage":true}}"#,
    };
    translate::request(from, body, target, &STAMP).expect("it can be said").memory
}

fn request(from: Endpoint, target: &Target, body: &[u8]) {
    let Translated { body: said, dropped, memory } = match translate::request(from, body, target, &STAMP) {
        Ok(translated) => translated,
        Err(refused) => {
            assert!(!refused.field.is_empty() && !refused.why.is_empty(), "a refusal says what and why");
            return;
        }
    };
    let value = json(&said);
    assert!(value.is_none_or(|value| value["messages"].is_array()), "both APIs want messages");
    for name in &dropped {
        assert!(
            name.len() < 200 && name.bytes().all(|byte| byte.is_ascii_graphic()),
            "names go into a header"
        );
    }
    let again = translate::request(from, body, target, &STAMP).expect("the same request");
    assert_eq!(again.body, said, "the same each time");
    // What was remembered serves for an answer.
    let answer: &[u8] = match target.endpoint {
        Endpoint::Messages => {
            br#"{"id":"msg_1","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}"#
        }
        _ => br#"{"id":"c","choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#,
    };
    json(&translate::answer(&memory, answer).expect("an answer"));
}

fn answer(memory: &Memory, body: &[u8]) {
    if let Ok(said) = translate::answer(memory, body)
        && let Some(said) = json(&said)
    {
        assert!(said["id"].is_string() && said["model"].is_string(), "strict clients want both");
    }
}

fn error(memory: &Memory, status: u16, body: &[u8]) {
    let (status, said) = translate::error(memory, status, body);
    assert!(status >= 100, "a status");
    if let Some(said) = json(&said) {
        let message = said["error"]["message"].as_str();
        assert!(message.is_some_and(|message| !message.is_empty()), "an error says why");
    }
}

fn stream(memory: &Memory, stream: &[u8], size: usize) {
    let (one, whole) = said(memory, stream, stream.len().max(1));
    let (other, also) = said(memory, stream, size);
    if whole.is_ok() {
        assert_eq!(one, other, "cut anywhere the same comes out");
    }
    assert_eq!(whole, also, "and it ends alike");
    let terminal = ends(memory.from(), &one);
    assert_eq!(terminal, whole == Ok(true), "an end is told where there was one");
}

/// What the caller gets, and whether the answer came to an end; `Err`: the stream is broken.
fn said(memory: &Memory, stream: &[u8], size: usize) -> (Vec<u8>, Result<bool, ()>) {
    let (mut translation, mut out) = (Stream::new(memory.clone()), Vec::new());
    let fed = stream.chunks(size).try_for_each(|piece| translation.feed(piece, &mut out).map_err(drop));
    let over = translation.is_over();
    let end = if over { Ok(true) } else { fed.and_then(|()| translation.end(&mut out).map_err(drop)) };
    (out, end)
}

/// Whether a stream of whole events has one that ends it; it is then the last.
fn ends(endpoint: Endpoint, stream: &[u8]) -> bool {
    let mut ended = false;
    let mut scanner = SseScanner::new();
    scanner.feed(stream, &mut |event| {
        assert!(!ended, "nothing follows the end");
        let named = event.name.unwrap_or_default();
        ended = match endpoint {
            Endpoint::Chat => event.data == b"[DONE]" || event.data.starts_with(b"{\"error\""),
            _ => ENDS.iter().any(|end| end.as_bytes() == named),
        };
        assert_eq!(
            endpoint == Endpoint::Chat,
            named.is_empty(),
            "events have names where the API gives them"
        );
        if event.data != b"[DONE]" {
            json(event.data);
        }
    });
    assert!(scanner.between_events() || scanner.blind_events() > 0, "whole events");
    ended
}

/// What the text says; none where only a reader's own limits are in the way: numbers, depths and halves of surrogate pairs that the
/// sender wrote.
fn json(text: &[u8]) -> Option<Value> {
    match serde_json::from_slice(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let why = error.to_string();
            let limits = ["number", "recursion", "surrogate", "hex escape"];
            let own = limits.iter().any(|limit| why.contains(limit));
            assert!(own, "{why} in {}", String::from_utf8_lossy(text));
            None
        }
    }
}

/// The events that end a stream, where they have names.
const ENDS: [&str; 4] = ["error", "message_stop", "response.completed", "response.incomplete"];
