//! Whole answers and errors.

use serde_json::{Value, json};

use super::*;
use crate::wire::Endpoint::{Chat, Messages, Responses};

fn back(from: Endpoint, to: Endpoint, body: &Value) -> Value {
    let told = answer(&memory(from, to, false), body.to_string().as_bytes()).expect("an answer");
    serde_json::from_slice(&told)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&told)))
}

fn message(content: Value, more: Value) -> Value {
    let mut message = json!({
        "id": "msg_01AB", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": { "input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 7,
            "output_tokens_details": { "thinking_tokens": 3 } },
    });
    more.as_object().expect("an object").iter().for_each(|(name, value)| message[name] = value.clone());
    message
}

fn completion(said: Value, finish: &str) -> Value {
    json!({
        "id": "chatcmpl-9z", "object": "chat.completion", "created": 1_600_000_000, "model": "gpt-x",
        "choices": [{ "index": 0, "message": said, "logprobs": null, "finish_reason": finish }],
        "usage": { "prompt_tokens": 17, "completion_tokens": 7, "total_tokens": 24,
            "prompt_tokens_details": { "cached_tokens": 5, "cache_write_tokens": 2 },
            "completion_tokens_details": { "reasoning_tokens": 3 } },
    })
}

#[test]
fn a_message_becomes_a_completion() {
    let content = json!([
        { "type": "thinking", "thinking": "hm", "signature": "s" },
        { "type": "text", "text": "Let me \"see\"." },
        { "type": "tool_use", "id": "toolu_1", "name": "f", "input": { "a": [1, "x\n"] } },
        { "type": "tool_use", "id": "toolu_2", "name": "g", "input": {} },
    ]);
    let wanted = json!({
        "id": "chatcmpl-01AB", "object": "chat.completion", "created": 1_700_000_000, "model": "claude-x",
        "choices": [{ "index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Let me \"see\".", "refusal": null, "tool_calls": [
                { "id": "toolu_1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":[1,\"x\\n\"]}" } },
                { "id": "toolu_2", "type": "function", "function": { "name": "g", "arguments": "{}" } },
            ],
        } }],
        "usage": { "prompt_tokens": 17, "completion_tokens": 7, "total_tokens": 24,
            "prompt_tokens_details": { "cached_tokens": 5, "cache_write_tokens": 2 },
            "completion_tokens_details": { "reasoning_tokens": 3 } },
    });
    assert_eq!(back(Chat, Messages, &message(content, json!({ "stop_reason": "tool_use" }))), wanted);
}

#[test]
fn a_completion_becomes_a_message() {
    let calls = json!([
        { "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1.50}" } },
        { "id": "call_2", "type": "function", "function": { "name": "g", "arguments": "" } },
        { "id": "call_3", "type": "function", "function": { "name": "h", "arguments": "{\"cut" } },
    ]);
    let body = completion(json!({ "role": "assistant", "content": null, "tool_calls": calls }), "stop");
    let wanted = json!({
        "id": "msg_9z", "type": "message", "role": "assistant", "model": "gpt-x",
        "content": [
            { "type": "tool_use", "id": "call_1", "name": "f", "input": { "a": 1.50 } },
            { "type": "tool_use", "id": "call_2", "name": "g", "input": {} },
            { "type": "tool_use", "id": "call_3", "name": "h", "input": { "INVALID_JSON": "{\"cut" } },
        ],
        "stop_reason": "tool_use", "stop_sequence": null, "stop_details": null,
        "usage": { "input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 7,
            "output_tokens_details": { "thinking_tokens": 3 } },
    });
    assert_eq!(back(Messages, Chat, &body), wanted);
}

#[test]
fn a_message_becomes_a_response() {
    let content = json!([
        { "type": "text", "text": "Let me " }, { "type": "text", "text": "see." },
        { "type": "tool_use", "id": "toolu_1", "name": "f", "input": { "a": 1 } },
    ]);
    let told = back(Responses, Messages, &message(content, json!({ "stop_reason": "tool_use" })));
    let output = json!([
        { "id": "msg_01AB", "type": "message", "status": "completed", "role": "assistant", "content": [
            { "type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": [] },
        ] },
        { "id": "fc_01AB_1", "type": "function_call", "status": "completed", "call_id": "toolu_1", "name": "f", "arguments": "{\"a\":1}" },
    ]);
    assert_eq!(told["output"], output);
    let usage = json!({
        "input_tokens": 17, "input_tokens_details": { "cached_tokens": 5, "cache_write_tokens": 2 },
        "output_tokens": 7, "output_tokens_details": { "reasoning_tokens": 3 }, "total_tokens": 24,
    });
    assert_eq!(told["usage"], usage);
    assert_eq!(
        (&told["id"], &told["object"], &told["status"]),
        (&json!("resp_01AB"), &json!("response"), &json!("completed"))
    );
    assert_eq!(
        (&told["model"], &told["created_at"], &told["store"]),
        (&json!("claude-x"), &json!(1_700_000_000), &json!(false))
    );
    assert_eq!(
        (&told["tools"], &told["tool_choice"], &told["error"]),
        (&json!([]), &json!("auto"), &Value::Null)
    );
    let cut = back(Responses, Messages, &message(json!([]), json!({ "stop_reason": "max_tokens" })));
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
}

#[test]
fn a_response_repeats_what_its_request_said() {
    let body = json!({ "model": "m", "input": "hi", "instructions": "Be \"kind\".", "temperature": 0.30,
        "tools": [{ "type": "function", "name": "f" }], "metadata": { "a": "b" }, "user": null });
    let memory = translated(Responses, Messages, &body).expect("a request").memory;
    let told = answer(&memory, message(json!([]), json!({})).to_string().as_bytes()).expect("an answer");
    assert!(String::from_utf8_lossy(&told).contains("0.3"));
    let told: Value = serde_json::from_slice(&told).expect("JSON");
    for name in ["instructions", "temperature", "tools", "metadata", "user"] {
        assert_eq!(told[name], body[name], "{name}");
    }
}

#[test]
fn endings_have_each_apis_name() {
    let chat = |reason: &str| {
        back(Chat, Messages, &message(json!([]), json!({ "stop_reason": reason })))["choices"][0]["finish_reason"].clone()
    };
    for (reason, wanted) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ] {
        assert_eq!(chat(reason), wanted, "{reason}");
    }
    let message_of = |reason: &str| {
        back(Messages, Chat, &completion(json!({ "role": "assistant", "content": "a" }), reason))["stop_reason"].clone()
    };
    for (reason, wanted) in
        [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("new", "end_turn")]
    {
        assert_eq!(message_of(reason), wanted, "{reason}");
    }
}

#[test]
fn refusals_stay_refusals() {
    let details = json!({ "stop_reason": "refusal", "stop_details": { "type": "refusal", "category": "bio", "explanation": "No." } });
    let told = back(Chat, Messages, &message(json!([]), details.clone()));
    assert_eq!(
        told["choices"][0]["message"],
        json!({ "role": "assistant", "content": null, "refusal": "No." })
    );
    let told = back(Responses, Messages, &message(json!([]), details));
    assert_eq!(told["output"][0]["content"], json!([{ "type": "refusal", "refusal": "No." }]));
    assert_eq!(told["incomplete_details"]["reason"], "content_filter");
    let told = back(
        Messages,
        Chat,
        &completion(json!({ "role": "assistant", "content": null, "refusal": "I cannot." }), "stop"),
    );
    assert_eq!(told["content"], json!([{ "type": "text", "text": "I cannot." }]));
    assert_eq!((&told["stop_reason"], &told["stop_details"]["type"]), (&json!("refusal"), &json!("refusal")));
}

#[test]
fn what_is_no_answer_is_said_to_be_none() {
    for body in [
        "",
        "<html>",
        "{}",
        "[]",
        "{\"choices\":[]}",
        "{\"content\":[],\"stop_reason\":null}",
        "{\"error\":{}}",
    ] {
        for (from, to) in [(Chat, Messages), (Messages, Chat), (Responses, Messages), (Responses, Chat)] {
            assert!(answer(&memory(from, to, false), body.as_bytes()).is_err(), "{from:?} {body}");
        }
    }
}

#[test]
fn an_id_that_tells_nothing_is_the_requests() {
    for id in [json!(null), json!(""), json!("a b"), json!("msg_")] {
        let told = back(Chat, Messages, &message(json!([]), json!({ "id": id })));
        assert_eq!(told["id"], "chatcmpl-req1");
    }
    let told = back(Chat, Messages, &message(json!([]), json!({ "model": null })));
    assert_eq!(told["model"], "m");
}

#[test]
fn errors_have_the_callers_shape_status_and_code() {
    let anthropic = |kind: &str| json!({ "type": "error", "error": { "type": kind, "message": "why" }, "request_id": "r" });
    let check = |status: u16, kind: &str, wanted: u16, code: &str| {
        let (told, body) =
            error(&memory(Chat, Messages, false), status, anthropic(kind).to_string().as_bytes());
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            (told, &body["error"]["code"], &body["error"]["message"]),
            (wanted, &json!(code), &json!("why")),
            "{kind}"
        );
    };
    check(400, "invalid_request_error", 400, "invalid_request_error");
    check(401, "authentication_error", 401, "invalid_api_key");
    check(402, "billing_error", 429, "insufficient_quota");
    check(404, "not_found_error", 404, "model_not_found");
    check(429, "rate_limit_error", 429, "rate_limit_exceeded");
    check(500, "api_error", 500, "server_error");
    check(529, "overloaded_error", 503, "overloaded");
    let openai =
        |code: &str| json!({ "error": { "type": "t", "message": "why", "code": code, "param": "messages" } });
    let check = |status: u16, code: &str, wanted: u16, kind: &str| {
        let (told, body) = error(&memory(Messages, Chat, false), status, openai(code).to_string().as_bytes());
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let error = &body["error"];
        assert_eq!(
            (told, &error["type"], &error["details"]["error_code"]),
            (wanted, &json!(kind), &json!(code)),
            "{code}"
        );
        assert_eq!((&body["type"], &body["request_id"]), (&json!("error"), &json!("req1")));
    };
    check(400, "context_length_exceeded", 400, "invalid_request_error");
    check(401, "invalid_api_key", 401, "authentication_error");
    check(429, "insufficient_quota", 402, "billing_error");
    check(429, "rate_limit_exceeded", 429, "rate_limit_error");
    check(503, "server_error", 529, "overloaded_error");
    for body in ["", "<html>no</html>", "\u{7f}", "null", "{\"error\":\"why\"}", "why"] {
        let (status, told) = error(&memory(Responses, Messages, false), 502, body.as_bytes());
        let told: Value = serde_json::from_slice(&told).expect("JSON");
        let said = told["error"]["message"].as_str().expect("a message");
        assert_eq!(status, 502);
        assert!(!said.is_empty() && !said.contains('<'), "{said}");
    }
}
