//! Any body: what is read as JSON is JSON, and a change leaves JSON in which everything else is byte for byte what it was.
//!
//! The first byte says which API, the second which changes; the rest is the body.

use std::fmt;

use bytes::Bytes;
use dimmer::wire::{DEPTH_MAX, Edits, Endpoint, Fit, JsonFault, PromptMode, RequestView};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

const ENDPOINTS: [Endpoint; 7] = [
    Endpoint::Chat,
    Endpoint::Messages,
    Endpoint::Responses,
    Endpoint::Completions,
    Endpoint::CountTokens,
    Endpoint::Embeddings,
    Endpoint::Compact,
];
const MODES: [PromptMode; 4] =
    [PromptMode::Replace, PromptMode::Prepend, PromptMode::Append, PromptMode::IfAbsent];

pub(crate) fn hold(data: &[u8]) {
    let [which, changes, body @ ..] = data else { return };
    let endpoint = ENDPOINTS[usize::from(*which) % ENDPOINTS.len()];
    let fit = fit();
    let touched = ["temperature", "max_tokens", "max_completion_tokens", "seed"].map(str::to_owned);
    let judged = serde_json::from_slice::<Json>(body);
    let view = match RequestView::read(endpoint, body, &touched) {
        Ok(view) => view,
        Err(error) => {
            assert!(error.at <= body.len());
            let ours = [JsonFault::TooDeep, JsonFault::Duplicate, JsonFault::TooManyMembers];
            let strict = ours.contains(&error.what) || body.first() == Some(&b'[');
            assert!(judged.is_err() || strict, "refused though it is JSON: {error}");
            return;
        }
    };
    // serde_json stops at a depth of its own, which is one less than ours.
    let too_deep = judged.as_ref().is_err_and(|error| error.to_string().contains("recursion limit"));
    assert!(judged.is_ok() || too_deep, "taken though it is no JSON; {DEPTH_MAX} levels");
    let bytes = Bytes::copy_from_slice(body);
    ask(&view, body);

    let mut edits = Edits::new(&view, &bytes);
    assert_eq!(Edits::new(&view, &bytes).frames().concat(), bytes, "no change changes nothing");
    if changes & 1 != 0 {
        edits.model(Bytes::from_static(b"\"gpt\\\\4\""));
    }
    if changes & 2 != 0 {
        let mode = MODES[usize::from(changes >> 6)];
        if edits.system_prompt(mode, &Bytes::from_static(b"Be \\\"brief\\\".")).is_err() {
            return;
        }
    }
    if changes & 4 != 0 {
        edits.include_usage();
    }
    if changes & 8 != 0 {
        edits.fit(&fit, &mut Vec::new());
    }
    let frames = edits.frames();
    let length = frames.len;
    let result = frames.concat();
    assert_eq!(length, result.len() as u64);
    assert!(RequestView::read(endpoint, &result, &touched).is_ok(), "{}", String::from_utf8_lossy(&result));
    let (Ok(before), Ok(after)) = (members(body), members(&result)) else { return };
    let free = |(name, _): &&(String, Box<RawValue>)| !WRITTEN.contains(&name.as_str());
    let texts = |all: &[(String, Box<RawValue>)]| -> Vec<(String, String)> {
        all.iter().filter(free).map(|(name, value)| (name.clone(), value.get().to_owned())).collect()
    };
    assert_eq!(texts(&before), texts(&after), "a member that nothing names");
}

fn fit() -> Fit {
    Fit {
        drop: vec!["temperature".into()],
        rename: vec![("max_tokens".into(), "max_completion_tokens".into())],
        set: vec![("seed".into(), "7".into())],
        cap_max_tokens: Some(1000),
    }
}

/// What the changes above may write.
const WRITTEN: [&str; 12] = [
    "model",
    "messages",
    "system",
    "instructions",
    "input",
    "prompt",
    "stream_options",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "seed",
];

/// Every question may be asked of any body.
fn ask(view: &RequestView, body: &[u8]) {
    let _ = (view.model(body), view.stream(body), view.wants_json(body), view.forces_tool(body));
    let _ = (view.tool_names(body), view.text_at(body, &["metadata".to_owned(), "user_id".to_owned()]));
}

/// One JSON text, judged and forgotten.
struct Json;

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

fn members(body: &[u8]) -> serde_json::Result<Vec<(String, Box<RawValue>)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(entry) = map.next_entry()? {
                all.push(entry);
            }
            Ok(all)
        }
    }
    serde_json::Deserializer::from_slice(body).deserialize_map(Members)
}
