//! The JSON Schema of routes.toml, made from the table of keys. Serves editors and `dimmer schema`.

use serde_json::{Map, Value, json};

use crate::config::keys::{self, Kind, Need, Node};
use crate::wire::PARAMS;

/// The schema, draft 2020-12.
pub fn json_schema() -> Value {
    let mut schema = table(keys::root());
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("dimmer's routes.toml"));
    schema.insert("$defs".to_owned(), json!({ "when": when() }));
    Value::Object(schema)
}

fn table(node: &'static Node) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, child) in &node.children {
        let Some(key) = child.key.filter(|key| key.built()) else { continue };
        let mut property = value(&key.kind, child);
        property.insert("description".to_owned(), json!(key.doc));
        if let Some(default) = &child.default {
            property.insert("default".to_owned(), crate::config::json::value(default));
        }
        if key.need == Need::Required {
            required.push(*name);
        }
        properties.insert((*name).to_owned(), Value::Object(property));
    }
    let mut schema = object(&json!({ "type": "object", "additionalProperties": false }));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn value(kind: &'static Kind, node: &'static Node) -> Map<String, Value> {
    let inside = |name: &str| node.children.get(name).map(table).unwrap_or_default();
    let schema = match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::Whole => json!({ "type": "integer", "minimum": 0 }),
        Kind::Number => json!({ "type": "number", "minimum": 0 }),
        Kind::Percent => json!({ "type": "number", "minimum": 0, "maximum": 100 }),
        Kind::Share => json!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$" }),
        Kind::Duration | Kind::Wait => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
        Kind::Limit => json!({ "type": "string", "pattern": "^(off|[0-9]+(ms|s|m|h|d))$" }),
        Kind::Size => json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" }),
        Kind::Address => json!({ "type": "string", "pattern": "^.+:[0-9]+$" }),
        Kind::Url => json!({ "type": "string", "pattern": "^https?://[^?#@]+$" }),
        Kind::Secret => json!({ "type": "string", "pattern": r"^(\$\{[A-Za-z_][A-Za-z0-9_]*\}|file:.+)$" }),
        Kind::Date => json!({ "type": "string", "format": "date" }),
        Kind::Choice(choices, _) => json!({ "enum": choices }),
        Kind::Any => json!({}),
        Kind::When => json!({ "$ref": "#/$defs/when" }),
        Kind::List(inner) => json!({ "type": "array", "items": value(inner, node) }),
        Kind::Map(inner) => json!({ "type": "object", "additionalProperties": value(inner, node) }),
        Kind::Params => params(),
        Kind::Table => return table(node),
        Kind::Named => json!({ "type": "object", "additionalProperties": inside("*") }),
        Kind::Tables => json!({ "type": "array", "items": inside("[]") }),
        Kind::Either(one, other) => json!({ "anyOf": [value(one, node), value(other, node)] }),
    };
    object(&schema)
}

/// The vocabulary of parameters. What fits depends on flags too: an editor is told the names.
fn params() -> Value {
    let named = PARAMS.iter().map(|param| (param.name.to_owned(), json!({})));
    let properties: Map<String, Value> = named.collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// A condition: attributes are of the file's own choice, so an editor can only be told of the fixed keys.
fn when() -> Value {
    let operators: Map<String, Value> =
        keys::OPERATORS.iter().map(|one| (one.name.to_owned(), json!({ "description": one.doc }))).collect();
    let conditions = json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/when" } });
    json!({
        "type": "object",
        "properties": {
            "any": conditions,
            "none": conditions,
            "segment": { "type": "string" },
            "request": { "type": "object" },
        },
        "additionalProperties": {
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                { "type": "object", "additionalProperties": false, "minProperties": 1, "properties": operators },
            ],
        },
    })
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
