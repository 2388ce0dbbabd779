//! Any body: what is read as JSON is JSON, every question has the answer that a reader of the whole JSON would give, and a change
//! leaves JSON in which everything else is byte for byte what it was.
//!
//! The first byte says which API, the second which changes, the third and the fourth which parameters and tools; the rest is the body.

use std::fmt;

use bytes::Bytes;
use dimmer::wire::{DEPTH_MAX, Dialect, Edits, Endpoint, Fit, JsonFault, PromptMode, RequestView};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::asked;
use super::parameters::{self, Wishes};

const ENDPOINTS: [Endpoint; 10] = [
    Endpoint::Chat,
    Endpoint::Messages,
    Endpoint::Responses,
    Endpoint::Completions,
    Endpoint::CountTokens,
    Endpoint::Embeddings,
    Endpoint::Compact,
    Endpoint::InputTokens,
    Endpoint::Other(Dialect::OpenAi),
    Endpoint::Other(Dialect::Anthropic),
];
const MODES: [PromptMode; 4] =
    [PromptMode::Replace, PromptMode::Prepend, PromptMode::Append, PromptMode::IfAbsent];

/// The changes, by their bits in the second byte. The two highest are the mode of the prompt.
const MODEL: u8 = 1;
const PROMPT: u8 = 2;
const USAGE: u8 = 4;
const FIT: u8 = 8;
const PARAMETERS: u8 = 16;
const TOOLS: u8 = 32;

pub(crate) fn hold(data: &[u8]) {
    let [which, changes, parameters, tools, body @ ..] = data else { return };
    let endpoint = ENDPOINTS[usize::from(*which) % ENDPOINTS.len()];
    let wishes = Wishes::of(*parameters, *tools);
    let touched = touched(*changes, &wishes);
    let Some(view) = read(endpoint, body, &touched) else { return };
    let bytes = Bytes::copy_from_slice(body);
    assert_eq!(Edits::new(&view, &bytes).frames().concat(), bytes, "no change changes nothing");
    asked::hold(&view, body);
    if changes & PARAMETERS != 0 {
        parameters::hold(&view, &bytes, &touched, &wishes);
    }
    if changes & TOOLS != 0 {
        parameters::hold_tools(&view, &bytes, &touched, &wishes);
    }

    let Some(result) = changed(&view, &bytes, *changes, &wishes) else { return };
    let again = RequestView::read(endpoint, &result, &touched);
    assert!(again.is_ok(), "{again:?}: {}", String::from_utf8_lossy(&result));
    if changes & MODEL != 0 {
        assert_eq!(
            again.ok().and_then(|again| again.model(&result).map(String::from)),
            Some(NEW_MODEL.into())
        );
    }
    let written = written(endpoint, *changes, &wishes);
    assert_eq!(others(body, &written), others(&result, &written), "a member that nothing names");
}

/// The members that a configuration with these changes may write.
fn touched(changes: u8, wishes: &Wishes) -> Vec<String> {
    let params = wishes.edits.iter().filter(|_| changes & PARAMETERS != 0);
    let fitted = FITTED.into_iter().filter(|_| changes & FIT != 0);
    params.flat_map(|edit| edit.param.members()).chain(fitted).map(str::to_owned).collect()
}

/// The body's view; none where it is refused, which it has to be for a reason.
fn read(endpoint: Endpoint, body: &[u8], touched: &[String]) -> Option<RequestView> {
    // serde_json reads no string that it is not asked for, so bytes that are not UTF-8 are to be found beforehand.
    let judged = std::str::from_utf8(body)
        .map_err(|_| None)
        .and_then(|text| serde_json::from_str::<Json>(text).map_err(Some));
    match RequestView::read(endpoint, body, touched) {
        Ok(view) => {
            // serde_json stops at a depth of its own, which is one less than ours.
            let deep = |error: &serde_json::Error| error.to_string().contains("recursion limit");
            let too_deep = judged.as_ref().is_err_and(|error| error.as_ref().is_some_and(deep));
            assert!(judged.is_ok() || too_deep, "taken though it is no JSON; {DEPTH_MAX} levels");
            Some(view)
        }
        Err(error) => {
            assert!(error.at <= body.len());
            let ours = [JsonFault::TooDeep, JsonFault::Duplicate, JsonFault::TooManyMembers];
            let strict = ours.contains(&error.what) || error.what == JsonFault::NotAnObject;
            assert!(judged.is_err() || strict, "refused though it is JSON: {error}");
            None
        }
    }
}

/// The changes in the order of the stage rewrite. None where the prompt finds no place, which is an error to the caller.
fn changed(view: &RequestView, body: &Bytes, changes: u8, wishes: &Wishes) -> Option<Bytes> {
    let mut edits = Edits::new(view, body);
    let mut dropped = Vec::new();
    if changes & MODEL != 0 {
        edits.model(Bytes::from_static(b"\"gpt\\\\4\""));
    }
    if changes & PROMPT != 0 {
        edits.system_prompt(mode(changes), &Bytes::from_static(b"Be \\\"brief\\\".")).ok()?;
    }
    if changes & PARAMETERS != 0 {
        edits.params(&wishes.edits, wishes.refuses_sampling, &mut dropped);
    }
    if changes & TOOLS != 0 {
        edits.deny_tools(&wishes.denied, &mut dropped);
    }
    if changes & FIT != 0 {
        match wishes.fits_written {
            true => edits.fit_written(&fit(), &mut dropped),
            false => edits.fit(&fit(), &mut dropped),
        }
    }
    if changes & USAGE != 0 {
        edits.include_usage();
    }
    let frames = edits.frames();
    let length = frames.len;
    let result = frames.concat();
    assert_eq!(length, result.len() as u64);
    Some(result)
}

fn mode(changes: u8) -> PromptMode {
    MODES[usize::from(changes >> 6)]
}

const NEW_MODEL: &str = "gpt\\4";

fn fit() -> Fit {
    Fit {
        drop: vec!["temperature".into()],
        rename: vec![("max_tokens".into(), "max_completion_tokens".into())],
        set: vec![("seed".into(), "7".into())],
        cap_max_tokens: Some(1000),
    }
}

/// What `fit` may write.
const FITTED: [&str; 5] = ["temperature", "max_tokens", "max_completion_tokens", "max_output_tokens", "seed"];

/// The top-level members that the changes may write.
fn written(endpoint: Endpoint, changes: u8, wishes: &Wishes) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut also = |bit: u8, more: &[&'static str]| {
        if changes & bit != 0 {
            names.extend_from_slice(more);
        }
    };
    also(MODEL, &["model"]);
    also(PROMPT, if endpoint.takes_items() { &["instructions", "input"] } else { &["messages", "system"] });
    also(USAGE, &["stream_options"]);
    also(FIT, &FITTED);
    also(TOOLS, &parameters::OF_TOOLS);
    for edit in &wishes.edits {
        also(PARAMETERS, &edit.param.members().collect::<Vec<_>>());
    }
    names
}

/// The members that nothing names, in their order and as they are spelled; none where another reader cannot tell.
fn others(body: &[u8], written: &[&str]) -> Option<Vec<(String, String)>> {
    let free = |(name, _): &(String, Box<RawValue>)| !written.contains(&name.as_str());
    let all = members(body).ok()?;
    Some(all.into_iter().filter(free).map(|(name, value)| (name, value.get().to_owned())).collect())
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

/// The whole body as another reader has it; none where it cannot: half a surrogate pair, or one level too many.
pub(super) fn whole(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}
