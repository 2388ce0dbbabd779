//! The OpenAPI document is true: every operation in it is asked, and answers as it says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Stage, call, call_with, read};
use crate::harness::{Dimmer, request};
use crate::upstreams::Api;

/// A call of each operation, in an order in which each has something to do: its id, its path, its body, its status.
fn calls() -> Vec<(&'static str, &'static str, Value, u16)> {
    vec![
        ("listFlags", "/flags", Value::Null, 200),
        ("readFlag", "/flags/model", Value::Null, 200),
        ("setPercent", "/flags/model/rules/everyone", json!({ "percent": 12.5, "reason": "r" }), 200),
        (
            "previewPercent",
            "/flags/model/rules/everyone/preview",
            json!({ "percent": 25, "window": "2h" }),
            200,
        ),
        ("listFlags", "/flags", Value::Null, 200),
        ("exportFlags", "/flags/export", Value::Null, 200),
        ("resetPercent", "/flags/model/rules/everyone/override", Value::Null, 200),
        ("kill", "/kill", json!({ "target": "model:new-model", "reason": "r" }), 200),
        ("listKills", "/kills", Value::Null, 200),
        ("readFlag", "/flags/model", Value::Null, 200),
        ("revive", "/revive", json!({ "target": "model:new-model", "reason": "r" }), 200),
        ("rollBack", "/rollback", json!({ "target": "route:r", "reason": "r", "dry_run": true }), 200),
        ("rollBack", "/rollback", json!({ "target": "route:r", "reason": "r" }), 202),
        ("listRollbacks", "/rollbacks", Value::Null, 200),
        ("readRollback", "/rollbacks/1", Value::Null, 200),
        ("listBreakers", "/breakers", Value::Null, 200),
        ("resetBreaker", "/breakers/route:r/model:no-model/reset", json!({ "reason": "r" }), 404),
        ("explain", "/explain", json!({ "route": "r", "targeting_key": "u" }), 200),
        (
            "plan",
            "/plan",
            json!({ "toml": "[providers.sim]\ndialect = \"mock\"\n[routes.default]\n", "window": "1d" }),
            200,
        ),
        ("plan", "/plan", json!({ "toml": "[routes.r]\nmodel = 1\n" }), 200),
        ("readAudit", "/audit?after=0&limit=3", Value::Null, 200),
        // It waits until the store is there.
        ("forgetRecords", "/records/forget", json!({ "user": "u", "reason": "r" }), 200),
        ("readRecords", "/records", Value::Null, 200),
        ("exportRecords", "/records/export?what=feedback&since=1h", Value::Null, 200),
        ("listShadows", "/shadow/r?since=1h", Value::Null, 200),
        ("readShadow", "/shadow/r/sonnet", Value::Null, 200),
        ("readShadowPairs", "/shadow/r/sonnet/pairs?limit=1", Value::Null, 200),
        ("readShadowPage", "/shadow/r/sonnet/report.html", Value::Null, 200),
        ("readImpact", "/impact/model?since=1h", Value::Null, 200),
        ("readAdoption", "/adoption/r", Value::Null, 200),
        ("readConfig", "/config", Value::Null, 200),
        ("testWebhooks", "/webhooks/test", json!({}), 200),
        ("readOpenApi", "/openapi.json", Value::Null, 200),
    ]
}

/// Every operation: method, path, and what it says of itself.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    assert!(all.len() > 15, "{}", all.len());
    all
}

fn fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{place}: {error}"));
    let wrong: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{place}: {wrong:?}\n{value}");
}

#[test]
fn every_operation_does_as_it_says() {
    let stage = Stage::new(Api::Chat);
    let dimmer = stage.start();
    let document = read(&dimmer, "/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    let mut open: BTreeSet<&str> =
        operations.iter().map(|(_, _, operation)| operation["operationId"].as_str().unwrap()).collect();
    for (id, path, body, status) in calls() {
        let (method, _, operation) = operations
            .iter()
            .find(|(_, _, operation)| operation["operationId"] == id)
            .unwrap_or_else(|| panic!("the document has no {id}"));
        open.remove(id);
        if !body.is_null() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            fits(&document, schema, &body, &format!("the body of {id}"));
        }
        let answer = call(&dimmer, method, path, &body);
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{id}");
        let said = &operation["responses"][status.to_string()]["content"];
        let kind = answer.header("content-type").unwrap();
        let schema =
            &said.get(kind).unwrap_or_else(|| panic!("{id} says nothing of {kind}: {operation}"))["schema"];
        let value = if kind == "application/json" { answer.json() } else { json!(answer.text()) };
        fits(&document, schema, &value, id);
    }
    assert!(open.is_empty(), "nothing is asked of {open:?}: add it to `calls`");
}

#[test]
fn other_methods_and_paths_are_refused_as_it_says() {
    let stage = Stage::new(Api::Chat);
    let dimmer = stage.start();
    let document = read(&dimmer, "/openapi.json");
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    for path in document["paths"].as_object().unwrap().keys() {
        let answer = call(&dimmer, "PUT", path, &json!({}));
        assert_eq!(answer.status, 405, "{path}");
        fits(&document, &problem, &answer.json(), path);
        let methods = document["paths"][path].as_object().unwrap();
        let allowed = answer.header("allow").unwrap();
        assert!(methods.keys().all(|method| allowed.contains(&method.to_uppercase())), "{path}: {allowed}");
    }
    for path in ["", "/", "/nothing", "/flags/", "/kill/all"] {
        let answer = call(&dimmer, "GET", path, &Value::Null);
        assert_eq!(answer.status, 404, "{path}");
        fits(&document, &problem, &answer.json(), path);
    }
    let host = format!("host: {}\r\n", dimmer.admin);
    let head = call_with(&dimmer, "HEAD", "/api/v1/flags", &host, "");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn the_data_listener_has_none_of_it() {
    let stage = Stage::new(Api::Chat);
    let dimmer: Dimmer = stage.start();
    let document = read(&dimmer, "/openapi.json");
    for (method, path, _) in operations(&document) {
        let path = format!("/api/v1{}", path.replace(['{', '}'], ""));
        let answer = request(dimmer.data, &method, &path, "content-type: application/json\r\n", b"{}");
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
    }
}
