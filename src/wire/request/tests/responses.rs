//! The same questions to requests of the Responses API and of Completions.

use super::{check, view};
use crate::wire::{Endpoint, RequestView};

const RESPONSES: Endpoint = Endpoint::Responses;
const ALL: [Endpoint; 3] = [Endpoint::Responses, Endpoint::InputTokens, Endpoint::Compact];

#[test]
fn fields_that_stand_twice_are_refused() {
    let check = |endpoint, body: &str, field: Option<&str>| {
        let told = RequestView::read(endpoint, body.as_bytes(), &[]).err().map(|error| error.to_string());
        let expected = field.map(|field| format!("the field \"{field}\" stands there twice, at byte"));
        assert_eq!(told.is_some(), expected.is_some(), "{body}: {told:?}");
        assert!(told.unwrap_or_default().starts_with(&expected.unwrap_or_default()), "{body}");
    };
    let top = [
        "model",
        "stream",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "text",
        "stream_options",
        "max_output_tokens",
        "reasoning",
        "previous_response_id",
        "conversation",
        "prompt",
        "store",
        "background",
        "parallel_tool_calls",
    ];
    for endpoint in ALL {
        for name in top {
            check(endpoint, &format!("{{\"{name}\":null,\"x\":1,\"{name}\":null}}"), Some(name));
        }
    }
    assert!(crate::wire::request::responses::KNOWN.len() <= 32, "each has a bit");
    check(RESPONSES, r#"{"input":[1,{"role":"user","r\u006fle":"system"}]}"#, Some("role"));
    check(RESPONSES, r#"{"input":[{"type":"message","type":"reasoning"}]}"#, Some("type"));
    check(RESPONSES, r#"{"input":[{"content":1,"content":2}]}"#, Some("content"));
    let marker = "prompt_cache_breakpoint";
    check(
        RESPONSES,
        &format!(r#"{{"input":[{{"content":[{{"{marker}":1,"{marker}":1}}]}}]}}"#),
        Some(marker),
    );
    check(RESPONSES, r#"{"input":[{"tools":[],"tools":[]}]}"#, Some("tools"));
    check(RESPONSES, r#"{"input":[{"tools":[{"name":1,"name":1}]}]}"#, Some("name"));
    check(RESPONSES, r#"{"conversation":{"id":1,"id":1}}"#, Some("id"));
    check(RESPONSES, r#"{"tools":[{"name":1,"name":1}]}"#, Some("name"));
    check(RESPONSES, r#"{"text":{"format":{"type":1,"type":1}}}"#, Some("type"));
    check(RESPONSES, r#"{"text":{"format":{},"format":{}}}"#, Some("format"));
    check(RESPONSES, r#"{"tool_choice":{"mode":1,"mode":1}}"#, Some("mode"));
    for passes in [
        r#"{"messages":1,"messages":1,"top_p":1,"top_p":1}"#,
        r#"{"input":[{"arguments":1,"arguments":1,"content":[{"text":1,"text":1}]}]}"#,
        r#"{"input":{"role":1,"role":1}}"#,
    ] {
        check(RESPONSES, passes, None);
    }
    for name in ["model", "stream", "prompt", "stream_options", "max_tokens"] {
        check(Endpoint::Completions, &format!("{{\"{name}\":null,\"x\":1,\"{name}\":null}}"), Some(name));
    }
    check(Endpoint::Completions, r#"{"input":1,"input":1,"suffix":1,"suffix":1}"#, None);
    for name in ["thread", "store"] {
        check(Endpoint::Messages, &format!("{{\"{name}\":null,\"{name}\":null}}"), Some(name));
    }
}

#[test]
fn tools_have_a_name_or_a_type() {
    let names = |view: &RequestView, body: &[u8]| view.tool_names(body).join(" ");
    let tools = r#"{"tools":[{"type":"function","name":"a","parameters":{"name":"x"}},{"type":"function"},7,
        {"type":"web_se\u0061rch"},{"name":"b\u0021","type":"custom"},{"type":"mcp","server_label":"s"},{"type":1},
        {"type":"function","function":{"name":"nested"}}]}"#;
    check(RESPONSES, names, tools, "a web_search b! mcp".into());
    let forced = [
        (r#""required""#, true),
        (r#""auto""#, false),
        (r#""none""#, false),
        (r#"{"type":"function","name":"f"}"#, true),
        (r#"{"type":"custom","name":"f"}"#, true),
        (r#"{"type":"file_search"}"#, true),
        (r#"{"type":"mcp","server_label":"s"}"#, true),
        (r#"{"type":"allowed_tools","mode":"auto","tools":[]}"#, false),
        (r#"{"type":"allowed_tools","tools":[],"mode":"required"}"#, true),
        (r#"{"type":"allowed_tools","allowed_tools":{"mode":"required"}}"#, false),
        ("{}", false),
        ("null", false),
    ];
    for (choice, expected) in forced {
        check(RESPONSES, RequestView::forces_tool, &format!("{{\"tool_choice\":{choice}}}"), expected);
    }
}

#[test]
fn wishes() {
    let json = RequestView::wants_json;
    for endpoint in ALL {
        check(endpoint, json, r#"{"text":{"format":{"type":"json_object"}}}"#, true);
    }
    check(
        RESPONSES,
        json,
        r#"{"text":{"verbosity":"low","format":{"schema":{},"type":"json_schema"}}}"#,
        true,
    );
    for text in [r#"{"format":{"type":"text"}}"#, r#"{"format":null}"#, "{}", "null", "\"json_object\""] {
        check(RESPONSES, json, &format!(r#"{{"text":{text}}}"#), false);
    }
    check(RESPONSES, json, r#"{"response_format":{"type":"json_object"}}"#, false);
    check(Endpoint::Completions, json, r#"{"text":{"format":{"type":"json_object"}}}"#, false);
    let usage = RequestView::wants_usage;
    check(Endpoint::Completions, usage, r#"{"stream_options":{"include_usage":true}}"#, true);
    check(Endpoint::Completions, usage, r#"{"stream_options":{}}"#, false);
    let answered = RequestView::has_assistant_turn;
    for (input, expected) in [
        (r#""assistant""#, false),
        (r#"[{"role":"user","content":"assistant"}]"#, false),
        (r#"[{"role":"user","content":"x"},{"content":"y","role":"assistant"}]"#, true),
        (r#"[{"type":"message","role":"assistant","content":[]}]"#, true),
        (r#"[{"type":"function_call","call_id":"c"},{"type":"function_call_output"}]"#, true),
        (r#"[{"type":"reasoning","id":"r"}]"#, true),
        (r#"[{"type":"additional_tools","role":"developer"},{"type":"item_reference","id":"i"}]"#, false),
    ] {
        check(RESPONSES, answered, &format!(r#"{{"input":{input}}}"#), expected);
    }
    check(RESPONSES, answered, r#"{"previous_response_id":"resp_1","input":"x"}"#, true);
    check(RESPONSES, answered, r#"{"previous_response_id":null,"input":"x"}"#, false);
}

#[test]
fn a_conversation_keeps_its_hash_and_shares_it_with_none() {
    let hash = |endpoint, body: &str, key| view(endpoint, body).conversation_hash(body.as_bytes(), key);
    let first = r#"{"model":"a","instructions":"i","input":[{"role":"developer","content":"s"},{"role":"user","content":"u"}],"tools":[1]}"#;
    let later = r#"{"tools":[1],"n":2,"instructions":"i","input":[{"role":"developer","content":"s"},{"role":"user","content":"u"},
        {"type":"function_call","call_id":"c"},{"role":"user","content":"v"}]}"#;
    assert_eq!(hash(RESPONSES, first, Some("k")), hash(RESPONSES, later, Some("k")));
    let others = [
        hash(RESPONSES, first, None),
        hash(RESPONSES, &first.replace("\"s\"", "\"t\""), Some("k")),
        hash(RESPONSES, &first.replace("\"i\"", "\"j\""), Some("k")),
        hash(RESPONSES, &first.replace("\"u\"", "\"v\""), Some("k")),
        hash(RESPONSES, &first.replace("[1]", "[2]"), Some("k")),
        hash(RESPONSES, r#"{"input":"u"}"#, Some("k")),
        hash(RESPONSES, r#"{"input":"v"}"#, Some("k")),
        hash(Endpoint::Completions, r#"{"prompt":"w"}"#, Some("k")),
        hash(Endpoint::Completions, r#"{"prompt":"x"}"#, Some("k")),
        hash(RESPONSES, r#"{"input":[{"type":"item_reference","role":"user","id":"u"}]}"#, Some("k")),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, hash(RESPONSES, first, Some("k")), "{index}");
        assert!(!others.iter().skip(index + 1).any(|another| another == other), "{index}");
    }
}

#[test]
fn a_foreign_body_never_panics() {
    let body = r#"{"model":"m","instructions":"s","input":[{"role":"system"},{"type":"x"}],"tools":[{"name":"n"}],"text":{"format":{}}}"#;
    for endpoint in ALL {
        let view = view(endpoint, body);
        for end in 0..body.len() {
            let other = &body.as_bytes()[..end];
            let _ = (view.model(other), view.stream(other), view.tool_names(other), view.wants_json(other));
            let _ = (view.forces_tool(other), view.has_assistant_turn(other));
            let _ = view.conversation_hash(other, None);
            let mut edits = crate::wire::Edits::new(&view, &other.to_vec().into());
            let _ = edits.system_prompt(crate::wire::PromptMode::Replace, &"t".into());
            let _ = edits.frames();
        }
    }
}
