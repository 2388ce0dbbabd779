//! Who may: tokens and roles; and without tokens nobody's web page.

use serde_json::{Value, json};

use super::{Stage, call_with, problem};
use crate::harness::{Answer, Dimmer};
use crate::upstreams::Api;

const OPERATOR: &str = "an-operators-token-of-32-bytes-or-more";
const VIEWER: &str = "a-viewers-token-which-is-long-enough-too";
const KILL: &str = r#"{"target":"all","reason":"a test"}"#;
const JSON: &str = "content-type: application/json\r\n";

fn guarded() -> Dimmer {
    let stage = Stage::new(Api::Chat);
    let config = stage.config("100", "").replacen(
        "[admin]\n",
        "[admin]\ntokens = [{ name = \"alice\", role = \"operator\", token = \"${OPERATOR}\" }, \
         { name = \"bob\", role = \"viewer\", token = \"${VIEWER}\" }]\n",
        1,
    );
    Dimmer::start_with(&config, &[("OPERATOR", OPERATOR), ("VIEWER", VIEWER)])
}

fn as_who(dimmer: &Dimmer, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let headers = format!("host: gateway.example\r\nauthorization: Bearer {token}\r\n{JSON}");
    call_with(dimmer, method, path, &headers, body)
}

#[test]
fn a_viewer_reads_and_an_operator_writes() {
    let dimmer = guarded();
    for path in
        ["/flags", "/kills", "/audit", "/config", "/rollbacks", "/breakers", "/flags/export", "/openapi.json"]
    {
        let path = format!("/api/v1{path}");
        assert_eq!(as_who(&dimmer, VIEWER, "GET", &path, "").status, 200, "{path}");
        assert_eq!(as_who(&dimmer, OPERATOR, "GET", &path, "").status, 200, "{path}");
    }
    let writes = [
        ("POST", "/kill", KILL),
        ("POST", "/revive", KILL),
        ("POST", "/rollback", r#"{"target":"route:r","reason":"","dry_run":true}"#),
        ("PATCH", "/flags/model/rules/everyone", r#"{"percent":1,"reason":""}"#),
        ("DELETE", "/flags/model/rules/everyone/override", ""),
        ("POST", "/breakers/route:r/model:m/reset", r#"{"reason":""}"#),
        ("POST", "/webhooks/test", "{}"),
    ];
    for (method, path, body) in writes {
        let answer = as_who(&dimmer, VIEWER, method, &format!("/api/v1{path}"), body);
        let (status, code, message) = problem(&answer);
        assert_eq!((status, code.as_str()), (403, "forbidden"), "{path}");
        assert!(message.contains("\"bob\" has the role viewer"), "{message}");
    }
    // It asks and changes nothing: a viewer may.
    assert_eq!(as_who(&dimmer, VIEWER, "POST", "/api/v1/explain", r#"{"route":"r"}"#).status, 200);
    let preview = "/api/v1/flags/model/rules/everyone/preview";
    assert_eq!(as_who(&dimmer, VIEWER, "POST", preview, r#"{"percent":25}"#).status, 200);
    assert_eq!(as_who(&dimmer, OPERATOR, "POST", "/api/v1/kill", KILL).status, 200);
    let audit: Value = as_who(&dimmer, VIEWER, "GET", "/api/v1/audit", "").json();
    assert_eq!(audit["entries"][0]["who"], "alice");
}

#[test]
fn strangers_hear_nothing() {
    let dimmer = guarded();
    let wrong = [
        String::new(),
        "authorization: Bearer \r\n".to_owned(),
        format!("authorization: Bearer {}\r\n", "x".repeat(OPERATOR.len())),
        format!("authorization: Bearer {OPERATOR}x\r\n"),
        format!("authorization: Basic {OPERATOR}\r\n"),
        format!("x-api-key: {OPERATOR}\r\n"),
        format!("authorization: Bearer {VIEWER}\r\nauthorization: Bearer {OPERATOR}\r\n"),
    ];
    for headers in wrong {
        for (method, path) in [("GET", "/flags"), ("POST", "/kill"), ("GET", "/nothing"), ("PUT", "/flags")] {
            let headers = format!("host: {}\r\n{JSON}{headers}", dimmer.admin);
            let answer = call_with(&dimmer, method, &format!("/api/v1{path}"), &headers, KILL);
            assert_eq!(problem(&answer).1, "unauthorized", "{headers}");
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
        }
    }
}

#[test]
fn without_tokens_a_web_page_cannot_reach_it() {
    let stage = Stage::new(Api::Chat);
    let dimmer = stage.start();
    let own = dimmer.admin.to_string();
    let port = dimmer.admin.port();
    let check = |headers: &str, status: u16| {
        for (method, path, body) in [("POST", "/api/v1/kill", KILL), ("GET", "/api/v1/flags", "")] {
            let answer = call_with(&dimmer, method, path, &format!("{headers}{JSON}"), body);
            assert_eq!(answer.status, status, "{method} {headers}: {}", answer.text());
        }
    };
    check(&format!("host: {own}\r\n"), 200);
    check(&format!("host: localhost:{port}\r\n"), 200);
    check(&format!("host: [::1]:{port}\r\n"), 200);
    check(&format!("host: {own}\r\norigin: http://{own}\r\n"), 200);
    // A name of theirs that resolves to loopback.
    check(&format!("host: rebound.example:{port}\r\n"), 403);
    check(&format!("host: 127.0.0.1.rebound.example:{port}\r\n"), 403);
    check(&format!("host: 169.254.169.254:{port}\r\n"), 403);
    // A page of another site, or of another program on this machine.
    check(&format!("host: {own}\r\norigin: https://evil.example\r\n"), 403);
    check(&format!("host: {own}\r\norigin: http://localhost:3000\r\n"), 403);
    check(&format!("host: {own}\r\norigin: null\r\n"), 403);
    let absolute =
        call_with(&dimmer, "GET", "http://rebound.example/api/v1/flags", &format!("host: {own}\r\n"), "");
    assert_eq!(absolute.status, 403, "{}", absolute.text());
}

#[test]
fn a_write_is_json_and_not_larger_than_it_need_be() {
    let stage = Stage::new(Api::Chat);
    let dimmer = stage.start();
    let host = format!("host: {}\r\n", dimmer.admin);
    let check = |headers: &str, body: &str, status: u16, says: &str| {
        let (seen, _, message) =
            problem(&call_with(&dimmer, "POST", "/api/v1/kill", &format!("{host}{headers}"), body));
        assert_eq!(seen, status, "{message}");
        assert!(message.contains(says), "{message}");
    };
    check("", KILL, 415, "Content-Type: application/json");
    // What a form of another site's page can send.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        check(&format!("content-type: {kind}\r\n"), KILL, 415, "Content-Type: application/json");
    }
    check(JSON, r#"{"target":"all","reason":"x","force":true}"#, 400, "unknown field `force`");
    check(JSON, r#"{"target":"all","target":"flags","reason":"x"}"#, 400, "duplicate field `target`");
    check(JSON, r#"{"target":"all"}"#, 400, "missing field `reason`");
    check(JSON, r#"{"target":"all","reason":"x"} {}"#, 400, "trailing characters");
    check(JSON, "", 400, "EOF");
    check(
        JSON,
        &json!({ "target": "all", "reason": "x".repeat(3000) }).to_string(),
        400,
        "2000 characters at most",
    );
    check(JSON, &json!({ "target": "all", "reason": "x".repeat(2 << 20) }).to_string(), 413, "larger than");
    let query = call_with(&dimmer, "GET", "/api/v1/audit?aftre=1", &host, "");
    assert!(problem(&query).2.contains("takes after, limit"), "{}", query.text());
    assert_eq!(super::read(&dimmer, "/kills"), json!({ "kills": [] }));
}
