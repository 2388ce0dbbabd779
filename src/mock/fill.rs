//! A JSON value that fits a JSON Schema, roughly: types, enums, bounds, formats, references, what is required.

use serde_json::{Map, Value, json};

use super::dice::Dice;

/// A value for `schema`. Texts are taken from `words`, the content words of what was asked.
pub(super) fn fill(schema: &Value, words: &[&str], dice: &mut Dice) -> Value {
    Filler { root: schema, words, dice, left: VALUES_MAX }.value(schema, 0)
}

/// Schemas may refer to themselves and ask for long lists of long lists; no honest one needs more values than this.
const VALUES_MAX: usize = 5_000;

/// What is deeper than this no request means.
const DEPTH_MAX: usize = 12;

/// Below this, only what is required is filled in, so that a tree's children end.
const OPTIONAL_DEPTH_MAX: usize = 4;

struct Filler<'a> {
    root: &'a Value,
    words: &'a [&'a str],
    dice: &'a mut Dice,
    /// Values that may still be made.
    left: usize,
}

impl Filler<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        let out_of_values = self.left == 0;
        self.left = self.left.saturating_sub(1);
        if depth > DEPTH_MAX || out_of_values {
            return Value::Null;
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return values.get(self.dice.below(values.len())).cloned().unwrap_or_default();
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let found = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)).cloned();
            return found.map_or(Value::Null, |target| self.value(&target, depth + 1));
        }
        if let Some(one) = ["anyOf", "oneOf"].iter().find_map(|key| first_not_null(schema.get(*key)?)) {
            return self.value(&one, depth + 1);
        }
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            return self.value(&merged(all), depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => json!(self.number(schema).ceil() as i64),
            "number" => json!(self.number(schema)),
            "boolean" => json!(self.dice.unit() < 0.5),
            "null" => Value::Null,
            _ => json!(self.text(schema)),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut members = Map::new();
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if depth <= OPTIONAL_DEPTH_MAX || required.iter().any(|needed| needed == name) {
                members.insert(name.clone(), self.value(member, depth + 1));
            }
        }
        Value::Object(members)
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let least = size(schema, "minItems", 1).max(1);
        let length = (least + self.dice.below(2)).min(size(schema, "maxItems", least + 1)).min(64);
        let free = json!({"type": "string"});
        let item = schema.get("items").unwrap_or(&free);
        (0..length.min(self.left)).map(|_| self.value(item, depth + 1)).collect()
    }

    fn number(&mut self, schema: &Value) -> f64 {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let low = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|low| low + 1.0));
        let high = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|high| high - 1.0));
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) => (low, high.max(low)),
            (Some(low), None) => (low, low + 20.0),
            (None, Some(high)) => (high - 20.0, high),
            (None, None) => (1.0, 20.0),
        };
        (low + (high - low) * self.dice.unit()).floor().max(low)
    }

    fn text(&mut self, schema: &Value) -> String {
        match schema.get("format").and_then(Value::as_str).unwrap_or("") {
            "date" => return "2026-11-20".into(),
            "date-time" => return "2026-11-20T12:00:00Z".into(),
            "time" => return "12:00:00Z".into(),
            "email" => return "someone@example.com".into(),
            "uri" | "url" => return "https://example.com/".into(),
            "uuid" => return "6ba7b810-9dad-41d1-80b4-00c04fd430c8".into(),
            _ => {}
        }
        // A name in the question ("Paris") is what an argument most likely wants.
        let named: Vec<&str> = self.words.iter().copied().filter(|word| starts_upper(word)).collect();
        let from = if named.is_empty() { self.words } else { &named };
        let mut text = match self.dice.pick(from) {
            "" => "example".to_owned(),
            word => word.to_owned(),
        };
        while text.chars().count() < size(schema, "minLength", 0).min(10_000) {
            text.push('x');
        }
        text.chars().take(size(schema, "maxLength", usize::MAX)).collect()
    }
}

/// A schema's type; of several, the first that is not null.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

fn first_not_null(schemas: &Value) -> Option<Value> {
    let schemas = schemas.as_array()?;
    schemas.iter().find(|schema| kind(schema) != "null").or(schemas.first()).cloned()
}

/// The schemas of an `allOf` as one: properties together, the rest as the first says it.
fn merged(all: &[Value]) -> Value {
    let mut properties = Map::new();
    let mut rest = Map::new();
    for (key, value) in all.iter().filter_map(Value::as_object).flatten() {
        match (key.as_str(), value) {
            ("properties", Value::Object(more)) => properties.extend(more.clone()),
            _ => drop(rest.entry(key.clone()).or_insert_with(|| value.clone())),
        }
    }
    if !properties.is_empty() {
        rest.insert("properties".into(), Value::Object(properties));
    }
    Value::Object(rest)
}

fn size(schema: &Value, key: &str, otherwise: usize) -> usize {
    let given = schema.get(key).and_then(Value::as_u64);
    given.and_then(|number| usize::try_from(number).ok()).unwrap_or(otherwise)
}

fn starts_upper(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}
