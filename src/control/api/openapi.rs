//! The OpenAPI document, made of the table that the router reads and of the types that bodies are read into.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::config::Role;
use crate::control::api::operations::{Also, Gives, Id, OPERATIONS, Operation, PREFIX};
use crate::control::api::shapes::{Happened, Live, Problem};

/// The document.
pub(super) fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    // What the events of `/events` carry.
    for event in [generator.subschema_for::<Live>(), generator.subschema_for::<Happened>()] {
        drop(event);
    }
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = operation.path.replace("{+", "{");
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = entry.as_object_mut() {
            methods.insert(
                operation.method.to_ascii_lowercase(),
                described(operation, &problem, &mut generator),
            );
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "dimmer admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Flags, kill switches, roll-backs, breakers and the audit of one gateway. On loopback without \
                            tokens everybody who reaches it may do everything.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": PREFIX }],
        "security": [{ "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "A token of admin.tokens." },
            },
        },
    })
}

fn described(operation: &Operation, problem: &Value, generator: &mut SchemaGenerator) -> Value {
    let content = |kind: &str, schema: Value| json!({ kind: { "schema": schema } });
    let gives = match operation.gives {
        Gives::Json(schema) => content("application/json", schema(generator).to_value()),
        Gives::Object => content("application/json", json!({ "type": "object" })),
        Gives::Page => content("text/html; charset=utf-8", json!({ "type": "string" })),
        Gives::Events => content("text/event-stream", json!({ "type": "string" })),
        Gives::Lines => content("application/jsonl", json!({ "type": "string" })),
        Gives::Toml => content("application/toml", json!({ "type": "string" })),
    };
    let mut answers = Map::new();
    answers.insert("200".to_owned(), json!({ "description": "Done.", "content": gives }));
    if operation.also.contains(&Also::Accepted) {
        let description = "It holds, and the rest is still to come: not stored yet, or under way.";
        answers.insert("202".to_owned(), json!({ "description": description, "content": gives }));
    }
    let mut refused = |status: &str, description: &str| {
        let content = content("application/json", problem.clone());
        answers.insert(status.to_owned(), json!({ "description": description, "content": content }));
    };
    refused("401", "No token of admin.tokens.");
    refused("403", "The token's role does not allow it, or a browser sent it for another site.");
    if operation.also.contains(&Also::NotFound) {
        refused("404", "The configuration has no such thing; the message lists what there is.");
    }
    if operation.also.contains(&Also::NotStored) {
        refused("503", "No store takes it; nothing was changed.");
    }
    if operation.also.contains(&Also::NotRead) {
        refused("503", "The records cannot be read, or none are kept.");
    }
    refused("default", "Anything else that is wrong, such as a body that is not what was expected.");
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "description": match operation.role {
            Role::Viewer => "For every token.",
            Role::Operator => "For tokens of the role operator.",
        },
        "parameters": parameters(operation),
        "responses": answers,
    });
    if let (Some(takes), Some(members)) = (operation.takes, described.as_object_mut()) {
        let mut content = content("application/json", takes(generator).to_value());
        if let (Id::Plan, Some(kinds)) = (operation.id, content.as_object_mut()) {
            kinds.insert("application/toml".to_owned(), json!({ "schema": { "type": "string" } }));
        }
        members.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    described
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let named = operation.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let in_path = named.map(|name| {
        json!({ "name": name.trim_start_matches('+'), "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = operation.query.iter().map(|(name, number, description)| {
        let schema = match number {
            true => json!({ "type": "integer", "minimum": 0 }),
            false => json!({ "type": "string" }),
        };
        json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema })
    });
    in_path.chain(in_query).collect()
}
