//! The calls beside generation: lists of models, embeddings, and an echo for every path that has no meaning here.

use ring::digest::Digest;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::MockProvider;
use super::ask::{count, required_text};
use super::dice::Dice;
use super::failure::Failure;
use crate::wire::{Dialect, ListPage, ListedModel, model_entry, model_list};

/// `GET /v1/models`
pub(super) fn models(provider: &MockProvider, dialect: Dialect, query: Option<&str>) -> Value {
    let listed: Vec<ListedModel<'_>> =
        provider.models.iter().map(|(name, _)| described(name, provider)).collect();
    model_list(dialect, &listed, ListPage::of(query))
}

/// `GET /v1/models/ID`
pub(super) fn model(provider: &MockProvider, name: &str, dialect: Dialect) -> Result<Value, Failure> {
    let known = provider.models.iter().any(|(known, _)| known == name);
    if known { Ok(model_entry(dialect, &described(name, provider))) } else { Err(Failure::no_model(name)) }
}

fn described<'a>(name: &'a str, provider: &'a MockProvider) -> ListedModel<'a> {
    ListedModel { id: name, owned_by: provider.name.as_str() }
}

/// `POST /v1/embeddings`: a unit vector per input, drawn from its text. Any model's name will do.
pub(super) fn embeddings(body: &Map<String, Value>, seed: u64) -> Result<Value, Failure> {
    const DIMENSIONS: u64 = 256;
    const DIMENSIONS_MAX: u64 = 4096;
    let model = required_text(body, "model")?;
    let inputs = inputs(body)?;
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS).min(DIMENSIONS_MAX);
    let base64 = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions, seed);
            let embedding = if base64 { json!(base64_of(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = inputs.iter().map(|input| count(input)).sum();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok(json!({"object": "list", "data": data, "model": model, "usage": usage}))
}

/// A text, several, or token numbers in place of a text.
fn inputs(body: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let as_text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match body.get("input") {
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(numbers)) if numbers.first().is_some_and(Value::is_number) => {
            Ok(vec![numbers.iter().map(Value::to_string).collect::<Vec<_>>().join(" ")])
        }
        Some(Value::Array(several)) if !several.is_empty() => Ok(several.iter().map(as_text).collect()),
        _ => Err(Failure::bad_field("input", "is required: a text or a list of texts")),
    }
}

fn vector(text: &str, dimensions: u64, seed: u64) -> Vec<f32> {
    let mut dice = Dice::new(xxh3_64_with_seed(text.as_bytes(), seed), "embedding");
    let raw: Vec<f64> = (0..dimensions).map(|_| dice.unit() * 2.0 - 1.0).collect();
    let length = raw.iter().map(|part| part * part).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    raw.into_iter().map(|part| (part / length) as f32).collect()
}

/// Little-endian floats in base64, as the SDKs ask for by themselves.
fn base64_of(vector: &[f32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|part| part.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for letter in 0..4 {
            let index = (bits >> (18 - 6 * letter)) & 63;
            let known = LETTERS.get(index as usize).copied().map_or('=', char::from);
            text.push(if letter <= group.len() { known } else { '=' });
        }
    }
    text
}

/// What came, for a path that means nothing here: enough for the caller to see that all of it arrived.
pub(super) fn echo(head: &http::request::Parts, path: &str, body_bytes: u64, sha256: &Digest) -> Value {
    let content_type = head.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let hex: String = sha256.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "method": head.method.as_str(),
        "path": path,
        "query": head.uri.query(),
        "content_type": content_type,
        "body_bytes": body_bytes,
        "body_sha256": hex,
    })
}
