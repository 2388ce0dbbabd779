//! Requests, field by field.

use serde_json::{Value, json};

use super::*;
use crate::wire::Endpoint::{Chat, Messages, Responses};

/// `body` becomes `wanted`, and `lost` is named.
fn check(from: Endpoint, to: Endpoint, body: &Value, wanted: &Value, lost: &[&str]) {
    let (told, dropped) = said(from, to, body);
    assert_eq!(&told, wanted, "of {body}");
    assert_eq!(dropped, lost, "of {body}");
}

/// The body is refused, and this field is named.
fn refuses(from: Endpoint, to: Endpoint, body: &Value, field: &str) {
    let refused = translated(from, to, body).err().unwrap_or_else(|| panic!("{body} is taken"));
    assert_eq!(refused.field, field, "{refused:?} of {body}");
    assert!(!refused.why.is_empty());
}

/// `more` on top of the least that a request says.
fn with(least: &Value, more: &Value) -> Value {
    let mut body = least.clone();
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn chat(more: Value) -> Value {
    with(&json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] }), &more)
}

fn messages(more: Value) -> Value {
    with(&json!({ "model": "m", "max_tokens": 5, "messages": [{ "role": "user", "content": "hi" }] }), &more)
}

fn responses(more: Value) -> Value {
    with(&json!({ "model": "m", "input": "hi" }), &more)
}

#[test]
fn a_conversation_with_everything_becomes_a_message() {
    let body = json!({
        "model": "claude", "max_completion_tokens": 100, "temperature": 0.5, "stop": "END", "stream": true,
        "stream_options": { "include_usage": true }, "user": "u1", "parallel_tool_calls": false,
        "messages": [
            { "role": "system", "content": "Be \"short\"." },
            { "role": "developer", "content": [{ "type": "text", "text": "Be kind.", "prompt_cache_breakpoint": { "mode": "explicit" } }] },
            { "role": "user", "content": [
                { "type": "text", "text": "Look:" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
                { "type": "image_url", "image_url": { "url": "https://x.test/a.png", "detail": "auto" } },
                { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB" } },
            ] },
            { "role": "assistant", "content": null, "refusal": null, "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{\"a\": 1.50}" } },
                { "id": "call_2", "type": "function", "function": { "name": "g", "arguments": "" } },
            ] },
            { "role": "tool", "tool_call_id": "call_1", "content": "one" },
            { "role": "tool", "tool_call_id": "call_2", "content": [{ "type": "text", "text": "two" }, { "type": "text", "text": "zwei" }] },
            { "role": "user", "content": "Go on." },
        ],
        "tools": [
            { "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object", "properties": { "a": { "type": "number" } } }, "strict": true } },
            { "type": "function", "function": { "name": "g" } },
        ],
        "tool_choice": "required",
    });
    let wanted = json!({
        "model": "claude", "max_tokens": 100, "temperature": 0.5, "stop_sequences": ["END"], "stream": true,
        "metadata": { "user_id": "u1" },
        "system": [
            { "type": "text", "text": "Be \"short\"." },
            { "type": "text", "text": "Be kind.", "cache_control": { "type": "ephemeral" } },
        ],
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "Look:" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
                { "type": "image", "source": { "type": "url", "url": "https://x.test/a.png" } },
                { "type": "document", "title": "a.pdf", "source": { "type": "base64", "media_type": "application/pdf", "data": "BBBB" } },
            ] },
            { "role": "assistant", "content": [
                { "type": "tool_use", "id": "call_1", "name": "f", "input": { "a": 1.50 } },
                { "type": "tool_use", "id": "call_2", "name": "g", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "call_1", "content": "one" },
                { "type": "tool_result", "tool_use_id": "call_2", "content": [{ "type": "text", "text": "two" }, { "type": "text", "text": "zwei" }] },
                { "type": "text", "text": "Go on." },
            ] },
        ],
        "tools": [
            { "name": "f", "description": "d", "input_schema": { "type": "object", "properties": { "a": { "type": "number" } } }, "strict": true },
            { "name": "g", "input_schema": { "type": "object", "properties": {} } },
        ],
        "tool_choice": { "type": "any", "disable_parallel_tool_use": true },
    });
    check(Chat, Messages, &body, &wanted, &[]);
    let bytes = translated(Chat, Messages, &body).expect("a request").body;
    assert!(String::from_utf8_lossy(&bytes).contains("1.50"), "numbers keep their spelling");
}

#[test]
fn a_message_with_everything_becomes_a_conversation() {
    let body = json!({
        "model": "gpt", "max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "stop_sequences": ["A", "B"], "stream": true,
        "metadata": { "user_id": "u1" },
        "system": [{ "type": "text", "text": "Be short." }, { "type": "text", "text": "Be kind.", "cache_control": { "type": "ephemeral" } }],
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "Look:" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
                { "type": "document", "title": "a.pdf", "source": { "type": "base64", "media_type": "application/pdf", "data": "BBBB" } },
                { "type": "document", "source": { "type": "text", "media_type": "text/plain", "data": "plain" } },
            ] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "text", "text": "Let me " }, { "type": "text", "text": "see." },
                { "type": "tool_use", "id": "toolu_1", "name": "f", "input": { "a": 1.50 } },
                { "type": "tool_use", "id": "toolu_2", "name": "g", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "toolu_1", "content": [{ "type": "text", "text": "x" }, { "type": "image", "source": { "type": "url", "url": "https://x.test/b.png" } }] },
                { "type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": "broken" },
                { "type": "text", "text": "Go on." },
            ] },
        ],
        "tools": [{ "name": "f", "input_schema": { "type": "object" }, "strict": false }],
        "tool_choice": { "type": "tool", "name": "f", "disable_parallel_tool_use": true },
        "thinking": { "type": "adaptive" }, "output_config": { "effort": "high" },
    });
    let wanted = json!({
        "model": "gpt", "max_completion_tokens": 100, "temperature": 0.5, "top_p": 0.9, "stop": ["A", "B"],
        "stream": true, "stream_options": { "include_usage": true }, "safety_identifier": "u1", "reasoning_effort": "high",
        "messages": [
            { "role": "system", "content": "Be short.\n\nBe kind." },
            { "role": "user", "content": [
                { "type": "text", "text": "Look:" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
                { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB" } },
                { "type": "text", "text": "plain" },
            ] },
            { "role": "assistant", "content": "Let me see.", "tool_calls": [
                { "id": "toolu_1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1.5}" } },
                { "id": "toolu_2", "type": "function", "function": { "name": "g", "arguments": "{}" } },
            ] },
            { "role": "tool", "tool_call_id": "toolu_1", "content": "x" },
            { "role": "tool", "tool_call_id": "toolu_2", "content": "Error: broken" },
            { "role": "user", "content": [
                { "type": "text", "text": "Result of the tool call toolu_1:" },
                { "type": "image_url", "image_url": { "url": "https://x.test/b.png" } },
                { "type": "text", "text": "Go on." },
            ] },
        ],
        "tools": [{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" }, "strict": false } }],
        "tool_choice": { "type": "function", "function": { "name": "f" } }, "parallel_tool_calls": false,
    });
    check(Messages, Chat, &body, &wanted, &["reasoning", "cache_control"]);
}

#[test]
fn a_response_with_everything_becomes_a_message() {
    let body = json!({
        "model": "claude", "instructions": "Be short.", "max_output_tokens": 100, "stream": true, "store": false,
        "include": ["reasoning.encrypted_content"], "reasoning": { "effort": "minimal", "summary": "auto" },
        "text": { "format": { "type": "json_schema", "name": "n", "schema": { "type": "object" }, "strict": true }, "verbosity": "medium" },
        "input": [
            { "role": "developer", "content": "Be kind." },
            { "type": "message", "role": "user", "content": [
                { "type": "input_text", "text": "Look:" },
                { "type": "input_image", "image_url": "https://x.test/a.png", "detail": "high" },
                { "type": "input_file", "filename": "a.pdf", "file_data": "BBBB" },
            ] },
            { "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x" },
            { "type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{ "type": "output_text", "text": "Let me see.", "annotations": [] }] },
            { "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed" },
            { "type": "function_call", "call_id": "call_2", "name": "g", "arguments": "no object" },
            { "type": "function_call_output", "call_id": "call_1", "output": "one" },
            { "type": "function_call_output", "call_id": "call_2", "output": [{ "type": "input_text", "text": "two" }] },
        ],
        "tools": [{ "type": "function", "name": "f", "parameters": { "properties": {} }, "strict": null }],
        "tool_choice": "auto",
    });
    let wanted = json!({
        "model": "claude", "max_tokens": 100, "stream": true,
        "system": [{ "type": "text", "text": "Be short." }, { "type": "text", "text": "Be kind." }],
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "Look:" },
                { "type": "image", "source": { "type": "url", "url": "https://x.test/a.png" } },
                { "type": "document", "title": "a.pdf", "source": { "type": "base64", "media_type": "application/pdf", "data": "BBBB" } },
            ] },
            { "role": "assistant", "content": [
                { "type": "text", "text": "Let me see." },
                { "type": "tool_use", "id": "call_1", "name": "f", "input": {} },
                { "type": "tool_use", "id": "call_2", "name": "g", "input": { "INVALID_JSON": "no object" } },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "call_1", "content": "one" },
                { "type": "tool_result", "tool_use_id": "call_2", "content": "two" },
            ] },
        ],
        "tools": [{ "name": "f", "input_schema": { "type": "object", "properties": {} } }],
        "tool_choice": { "type": "auto" },
        "thinking": { "type": "adaptive" },
        "output_config": { "effort": "low", "format": { "type": "json_schema", "schema": { "type": "object" } } },
    });
    check(
        Responses,
        Messages,
        &body,
        &wanted,
        &["include", "reasoning.summary", "reasoning", "input.content.detail"],
    );
}

#[test]
fn the_limit_is_the_models_own_where_none_is_sent() {
    let (told, _) = said(Chat, Messages, &chat(json!({})));
    assert_eq!(told["max_tokens"], 64_000);
    let (told, _) = said(Chat, Messages, &chat(json!({ "max_tokens": 7 })));
    assert_eq!(told["max_tokens"], 7);
    let (told, _) = said(Chat, Messages, &chat(json!({ "max_tokens": 7, "max_completion_tokens": 8 })));
    assert_eq!(told["max_tokens"], 8);
    let (told, _) = said(Responses, Chat, &responses(json!({})));
    assert_eq!(told.get("max_completion_tokens"), None);
    // More than the model writes is as much as it writes: agents ask for what another model could.
    let (told, _) = said(Chat, Messages, &chat(json!({ "max_tokens": 128_000 })));
    assert_eq!(told["max_tokens"], 64_000);
    let (told, _) = said(Messages, Chat, &messages(json!({ "max_tokens": 128_000 })));
    assert_eq!(told["max_completion_tokens"], 64_000);
    let unknown = Target::new(Messages);
    let refused = request(Responses, responses(json!({})).to_string().as_bytes(), &unknown, &STAMP);
    assert_eq!(refused.expect_err("no limit").field, "max_output_tokens");
}

#[test]
fn sampling_goes_as_far_as_the_model_takes_it() {
    let check = |more: Value, temperature: Value, top_p: Value, lost: &[&str]| {
        let (told, dropped) = said(Chat, Messages, &chat(more.clone()));
        assert_eq!((&told["temperature"], &told["top_p"]), (&temperature, &top_p), "{more}");
        assert_eq!(dropped, lost, "{more}");
    };
    check(json!({ "temperature": 0 }), json!(0), Value::Null, &[]);
    check(json!({ "temperature": 1.5 }), json!(1), Value::Null, &["temperature"]);
    check(json!({ "top_p": 0.2 }), Value::Null, json!(0.2), &[]);
    check(json!({ "temperature": 0.1, "top_p": 0.2 }), json!(0.1), Value::Null, &["top_p"]);
    check(json!({ "temperature": 0.1, "top_p": 1 }), json!(0.1), Value::Null, &[]);
    check(
        json!({ "temperature": 0.1, "reasoning_effort": "low" }),
        Value::Null,
        Value::Null,
        &["temperature"],
    );
    for (from, to) in [(Chat, Messages), (Messages, Chat)] {
        let none = Target { sampling: false, ..target(to) };
        let body = if from == Chat {
            chat(json!({ "temperature": 0.3 }))
        } else {
            messages(json!({ "temperature": 0.3 }))
        };
        let told = request(from, body.to_string().as_bytes(), &none, &STAMP).expect("a request");
        assert!(!String::from_utf8_lossy(&told.body).contains("temperature"));
        assert_eq!(told.dropped, ["temperature"]);
    }
}

#[test]
fn system_messages_among_the_others_are_the_users_and_marked() {
    let body = chat(json!({ "messages": [
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "b" },
        { "role": "system", "content": "now \"this\"" },
        { "role": "user", "content": "c" },
    ] }));
    let (told, _) = said(Chat, Messages, &body);
    let last = json!({ "role": "user", "content": [
        { "type": "text", "text": "<system>now \"this\"</system>" }, { "type": "text", "text": "c" },
    ] });
    assert_eq!(told["messages"][2], last);
    assert_eq!(told["messages"].as_array().map(Vec::len), Some(3));
    let takes = Target { later_system: true, ..target(Messages) };
    let told = request(Chat, body.to_string().as_bytes(), &takes, &STAMP).expect("a request");
    let told: Value = serde_json::from_slice(&told.body).expect("JSON");
    assert_eq!(told["messages"][2], json!({ "role": "system", "content": "now \"this\"" }));
}

#[test]
fn what_is_to_be_looked_up_becomes_text_with_its_source() {
    let body = messages(json!({ "messages": [{ "role": "user", "content": [
        { "type": "search_result", "title": "T", "source": "https://x.test", "content": [{ "type": "text", "text": "found" }] },
        { "type": "document", "title": "D", "source": { "type": "text", "media_type": "text/plain", "data": "plain" } },
    ] }] }));
    let (told, _) = said(Messages, Chat, &body);
    let parts = told["messages"][0]["content"].as_array().expect("parts").iter();
    let texts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
    assert_eq!(texts, ["T", "https://x.test", "found", "D", "plain"]);
}

#[test]
fn what_says_nothing_is_left_out() {
    let body = chat(json!({ "messages": [
        { "role": "system", "content": "" },
        { "role": "user", "content": "a" },
        { "role": "assistant", "content": "" },
        { "role": "user", "content": [{ "type": "text", "text": " \n" }, { "type": "text", "text": "b" }] },
    ] }));
    let wanted = json!({ "model": "m", "max_tokens": 64_000, "messages": [
        { "role": "user", "content": "a" },
        { "role": "user", "content": "b" },
    ] });
    check(Chat, Messages, &body, &wanted, &[]);
    refuses(Chat, Messages, &chat(json!({ "messages": [{ "role": "system", "content": "a" }] })), "messages");
    refuses(Chat, Messages, &chat(json!({ "messages": [] })), "messages");
}

#[test]
fn ids_that_the_other_side_does_not_take_become_others_the_same_each_time() {
    let body = chat(json!({ "messages": [
        { "role": "user", "content": "a" },
        { "role": "assistant", "tool_calls": [{ "id": "functions.f:0", "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "functions.f:0", "content": "x" },
    ] }));
    let (told, _) = said(Chat, Messages, &body);
    let id = told["messages"][1]["content"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(told["messages"][2]["content"][0]["tool_use_id"], id);
    assert!(id.starts_with("functionsf0_") && id.len() <= 40, "{id}");
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
    let other = values::tool_id(&"functions.f:1".into()).into_owned();
    assert_ne!(other, id);
}

#[test]
fn calls_without_tools_get_their_tools_back() {
    let body = chat(json!({ "messages": [
        { "role": "user", "content": "a" },
        { "role": "assistant", "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "c", "content": "" },
    ] }));
    let (told, _) = said(Chat, Messages, &body);
    assert_eq!(
        told["tools"],
        json!([{ "name": "f", "input_schema": { "type": "object", "properties": {} } }])
    );
    assert_eq!(told["tool_choice"], json!({ "type": "none" }));
}

#[test]
fn formats_cross_and_json_objects_are_asked_for_in_words() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false });
    let body = chat(
        json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "n", "schema": schema, "strict": true } } }),
    );
    let (told, lost) = said(Chat, Messages, &body);
    assert_eq!(told["output_config"], json!({ "format": { "type": "json_schema", "schema": schema } }));
    assert!(lost.is_empty());
    let (told, lost) = said(Chat, Messages, &chat(json!({ "response_format": { "type": "json_object" } })));
    assert!(told["system"][0]["text"].as_str().is_some_and(|text| text.contains("JSON")));
    assert_eq!(lost, ["response_format"]);
    let (told, _) = said(Chat, Messages, &chat(json!({ "response_format": { "type": "text" } })));
    assert_eq!(told.get("system"), None);
    let body =
        messages(json!({ "output_config": { "format": { "type": "json_schema", "schema": schema } } }));
    let (told, lost) = said(Messages, Chat, &body);
    let wanted = json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } });
    assert_eq!((&told["response_format"], lost.len()), (&wanted, 0));
    // OpenAI's strict schemas have no members that may be absent.
    let loose = json!({ "type": "object", "properties": { "a": { "type": "string" } }, "additionalProperties": false });
    let body = messages(json!({ "output_config": { "format": { "type": "json_schema", "schema": loose } } }));
    let (told, lost) = said(Messages, Chat, &body);
    assert_eq!(told["response_format"]["json_schema"].get("strict"), None);
    assert_eq!(lost, ["output_config.format"]);
    let none = Target { schema: false, ..target(Chat) };
    let refused = request(Messages, body.to_string().as_bytes(), &none, &STAMP).expect_err("no schema");
    assert_eq!(refused.field, "output_config.format");
}

#[test]
fn effort_is_said_in_each_apis_words() {
    let check = |effort: &str, thinking: Value, level: Value| {
        let (told, lost) = said(Chat, Messages, &chat(json!({ "reasoning_effort": effort })));
        assert_eq!((&told["thinking"], &told["output_config"]["effort"]), (&thinking, &level), "{effort}");
        assert!(lost.is_empty());
    };
    let adaptive = json!({ "type": "adaptive" });
    check("none", json!({ "type": "disabled" }), Value::Null);
    check("minimal", adaptive.clone(), json!("low"));
    check("max", adaptive, json!("max"));
    let forced = chat(json!({ "reasoning_effort": "low", "tool_choice": "required",
        "tools": [{ "type": "function", "function": { "name": "f" } }] }));
    let (told, _) = said(Chat, Messages, &forced);
    assert_eq!((told.get("thinking"), &told["output_config"]["effort"]), (None, &json!("low")));
    let back = |more: Value| said(Messages, Chat, &messages(more)).0["reasoning_effort"].clone();
    assert_eq!(
        back(json!({ "thinking": { "type": "disabled" }, "output_config": { "effort": "high" } })),
        json!("none")
    );
    assert_eq!(back(json!({ "thinking": { "type": "enabled", "budget_tokens": 10_000 } })), json!("medium"));
    assert_eq!(back(json!({ "thinking": { "type": "adaptive" } })), Value::Null);
    let none = Target { effort: false, ..target(Messages) };
    let body = chat(json!({ "reasoning_effort": "low" })).to_string();
    assert_eq!(
        request(Chat, body.as_bytes(), &none, &STAMP).expect("a request").dropped,
        ["reasoning_effort"]
    );
    let body = chat(json!({ "reasoning_effort": "none" })).to_string();
    assert!(request(Chat, body.as_bytes(), &none, &STAMP).expect("a request").dropped.is_empty());
}

#[test]
fn what_cannot_cross_is_refused_by_name() {
    for (more, field) in [
        (json!({ "n": 2 }), "n"),
        (json!({ "logprobs": true }), "logprobs"),
        (json!({ "logit_bias": { "1": 2 } }), "logit_bias"),
        (json!({ "modalities": ["text", "audio"] }), "modalities"),
        (json!({ "functions": [{ "name": "f" }] }), "functions"),
        (json!({ "stop": ["a", "\n"] }), "stop"),
        (json!({ "tools": [{ "type": "custom", "custom": { "name": "f" } }] }), "tools.type"),
        (
            json!({ "tools": [{ "type": "function", "function": { "name": "f", "parameters": { "type": "string" } } }] }),
            "tools.function.parameters",
        ),
        (json!({ "tool_choice": { "type": "allowed_tools", "allowed_tools": {} } }), "tool_choice.type"),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "input_audio", "input_audio": {} }] }] }),
            "messages.content.input_audio",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "file", "file": { "file_id": "f" } }] }] }),
            "messages.content.file.file_id",
        ),
        (json!({ "messages": "hi" }), "messages"),
        (json!({ "model": 5 }), "model"),
        (json!({ "tool_choice": "required" }), "tool_choice"),
    ] {
        refuses(Chat, Messages, &chat(more), field);
    }
    for (more, field) in [
        (json!({ "stop_sequences": ["a", "b", "c", "d", "e"] }), "stop_sequences"),
        (json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }), "tools.type"),
        (json!({ "mcp_servers": [{ "name": "x" }] }), "mcp_servers"),
        (
            json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }] }),
            "messages",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "server_tool_use", "id": "a", "name": "b", "input": {} }] }] }),
            "messages.content.type",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image", "source": { "type": "file", "file_id": "a" } }] }] }),
            "messages.content.source.file_id",
        ),
    ] {
        refuses(Messages, Chat, &messages(more), field);
    }
    for (more, field) in [
        (json!({ "background": true }), "background"),
        (json!({ "prompt": { "id": "p" } }), "prompt"),
        (json!({ "include": ["message.output_text.logprobs"] }), "include"),
        (json!({ "tools": [{ "type": "web_search" }] }), "tools.type"),
        (json!({ "input": [{ "type": "item_reference", "id": "x" }] }), "input.type"),
        (
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_image", "file_id": "x" }] }] }),
            "input.content.file_id",
        ),
    ] {
        refuses(Responses, Messages, &responses(more), field);
    }
    assert!(translated(Endpoint::Completions, Messages, &json!({ "prompt": "a" })).is_err());
    assert!(translated(Chat, Responses, &chat(json!({}))).is_err(), "no provider is asked by Responses");
    assert!(translates(Chat, Messages) && !translates(Chat, Chat) && !translates(Chat, Responses));
}

#[test]
fn state_of_another_provider_is_refused_by_codes_that_sdks_recover_from() {
    let code = |from, to, body| translated(from, to, &body).expect_err("state").code;
    let previous = responses(json!({ "previous_response_id": "resp_1" }));
    assert_eq!(code(Responses, Messages, previous), ErrorCode::PreviousResponseNotFound);
    let conversation = responses(json!({ "conversation": { "id": "conv_1" } }));
    assert_eq!(code(Responses, Messages, conversation), ErrorCode::ConversationNotFound);
    assert_eq!(
        code(Messages, Chat, messages(json!({ "thread": { "type": "create" } }))),
        ErrorCode::ThreadUnsupported
    );
    let follow = messages(json!({ "thread": { "type": "continue", "previous_message_id": "msg_1" } }));
    assert_eq!(code(Messages, Chat, follow), ErrorCode::ThreadNotFound);
    assert_eq!(code(Chat, Messages, chat(json!({ "n": 2 }))), ErrorCode::CannotTranslate);
}

#[test]
fn what_is_dropped_is_named_once_and_what_asks_for_nothing_is_not() {
    let body = chat(json!({
        "seed": 7, "frequency_penalty": 0, "presence_penalty": 0.5, "store": false, "service_tier": "auto", "n": 1,
        "logprobs": false, "metadata": null, "verbosity": "high", "brand_new": 1, "über": 2, "nothing": null,
        "messages": [
            { "role": "user", "name": "ann", "content": "a" }, { "role": "user", "name": "bob", "content": "b", "mood": 1 },
        ],
    }));
    let (_, lost) = said(Chat, Messages, &body);
    let mut lost = lost;
    lost.sort();
    let wanted =
        ["brand_new", "messages.mood", "messages.name", "other", "presence_penalty", "seed", "verbosity"];
    assert_eq!(lost, wanted);
    let many: Value =
        (0..100).map(|number| (format!("x{number}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    assert!(said(Chat, Messages, &chat(many)).1.len() < 40);
}

#[test]
fn long_names_of_users_are_told_by_their_digest() {
    let long = "x".repeat(300);
    let (told, _) = said(Messages, Chat, &messages(json!({ "metadata": { "user_id": long } })));
    let told = told["safety_identifier"].as_str().expect("a name");
    assert!(told.len() == 32 && told != long);
    let (again, _) = said(Chat, Messages, &chat(json!({ "user": long })));
    assert_eq!(again["metadata"]["user_id"], told);
}

#[test]
fn the_last_four_marks_for_the_cache_are_kept() {
    let part = json!({ "type": "text", "text": "a", "prompt_cache_breakpoint": { "mode": "explicit", "ttl": "12h" } });
    let body = chat(json!({ "messages": [{ "role": "user", "content": [part, part, part, part, part] }] }));
    let (told, lost) = said(Chat, Messages, &body);
    let blocks = told["messages"][0]["content"].as_array().expect("blocks").clone();
    assert_eq!(blocks[0].get("cache_control"), None);
    assert!(
        blocks[1..].iter().all(|block| block["cache_control"] == json!({ "type": "ephemeral", "ttl": "1h" }))
    );
    assert_eq!(lost, ["messages.content.prompt_cache_breakpoint"]);
}

#[test]
fn models_that_cannot_are_not_asked() {
    let refused = |change: fn(Target) -> Target, from, to, body: Value| {
        request(from, body.to_string().as_bytes(), &change(target(to)), &STAMP).expect_err("cannot").field
    };
    let image = chat(
        json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "https://x" } }] }] }),
    );
    assert_eq!(
        refused(|known| Target { images: false, ..known }, Chat, Messages, image),
        "messages.content.image_url"
    );
    let forced = chat(
        json!({ "tool_choice": "required", "tools": [{ "type": "function", "function": { "name": "f" } }] }),
    );
    assert_eq!(
        refused(|known| Target { forced_tools: false, ..known }, Chat, Messages, forced),
        "tool_choice"
    );
    let begun = chat(
        json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }] }),
    );
    assert_eq!(refused(|known| Target { prefill: false, ..known }, Chat, Messages, begun), "messages");
}
