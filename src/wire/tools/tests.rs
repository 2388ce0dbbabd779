//! What is left of a request when tools are taken out.

use bytes::Bytes;

use crate::wire::{Edits, Endpoint, RequestView};

const CHAT: Endpoint = Endpoint::Chat;
const RESPONSES: Endpoint = Endpoint::Responses;
const MESSAGES: Endpoint = Endpoint::Messages;

fn apply(endpoint: Endpoint, body: &str, names: &[&str]) -> (String, String) {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let view = RequestView::read(endpoint, &bytes, &[]).unwrap_or_else(|error| panic!("{error}: {body}"));
    let mut edits = Edits::new(&view, &bytes);
    let mut dropped = Vec::new();
    let names: Vec<Box<str>> = names.iter().map(|name| Box::from(*name)).collect();
    edits.deny_tools(&names, &mut dropped);
    (String::from_utf8(edits.frames().concat().to_vec()).unwrap(), dropped.join(" "))
}

/// Denies `shell` and `web_search`.
#[track_caller]
fn check(endpoint: Endpoint, body: &str, expected: &str, dropped: &str) {
    let names = ["shell", "web_search"];
    let (result, told) = apply(endpoint, body, &names);
    assert_eq!((result.as_str(), told.as_str()), (expected, dropped), "{body}");
    assert_eq!(apply(endpoint, &result, &names), (result.clone(), String::new()), "a second time");
}

#[test]
fn a_tool_is_known_by_its_name_label_or_type() {
    for (endpoint, tool, denied) in [
        (CHAT, r#"{"type":"function","function":{"name":"shell"}}"#, "shell"),
        (CHAT, r#"{"type":"function","function":{"parameters":{},"n\u0061me":"sh\u0065ll"}}"#, "shell"),
        (CHAT, r#"{"type":"custom","custom":{"name":"shell"}}"#, "shell"),
        (RESPONSES, r#"{"type":"function","name":"shell"}"#, "shell"),
        (RESPONSES, r#"{"type":"custom","name":"shell"}"#, "shell"),
        (RESPONSES, r#"{"type":"web_search"}"#, "web_search"),
        (RESPONSES, r#"{"type":"mcp","server_label":"shell","server_url":"x"}"#, "shell"),
        (RESPONSES, r#"{"type":"namespace","name":"n","tools":[{"name":"shell"}]}"#, "shell"),
        (MESSAGES, r#"{"name":"shell","input_schema":{}}"#, "shell"),
        (MESSAGES, r#"{"type":"web_search_20250305","name":"web_search"}"#, "web_search"),
        (MESSAGES, r#"{"type":"mcp_toolset","mcp_server_name":"shell"}"#, "shell"),
    ] {
        let other = r#"{ "name" : "safe", "x":1e+05 }"#;
        let body = |tools: &str| format!(r#"{{"a" :1,"tools": [{tools}],"z":[]}}"#);
        let dropped = format!("tools.{denied}");
        check(endpoint, &body(&format!(" {tool} , {other}")), &body(&format!(" {other}")), &dropped);
        check(endpoint, &body(&format!("{other} ,{tool} ")), &body(&format!("{other} ")), &dropped);
        check(endpoint, &body(&format!("{tool},{other},{tool}")), &body(other), &dropped);
        check(endpoint, &body(tool), r#"{"a" :1,"z":[]}"#, &dropped);
    }
}

#[test]
fn other_tools_stay() {
    for tool in [
        r#"{"type":"function","function":{"name":"shell2"}}"#,
        r#"{"type":"function","function":{"name":"Shell"}}"#,
        r#"{"type":"function","function":{"description":"shell","parameters":{"name":"shell"}}}"#,
        r#""shell""#,
        "7",
    ] {
        let body = format!(r#"{{"tools":[{tool}]}}"#);
        check(CHAT, &body, &body, "");
    }
    let kinds = r#"{"tools":[{"type":"function","function":{"name":"a"}}]}"#;
    assert_eq!(apply(CHAT, kinds, &["function"]).0, kinds, "a type that says not which tool");
    check(CHAT, r#"{"tools":[]}"#, r#"{"tools":[]}"#, "");
}

#[test]
fn with_the_last_tool_goes_what_needs_tools() {
    check(
        CHAT,
        r#"{"tools":[{"function":{"name":"shell"}}],"tool_choice":"required","parallel_tool_calls":true,"n":1}"#,
        r#"{"n":1}"#,
        "tool_choice parallel_tool_calls tools.shell",
    );
    check(
        CHAT,
        r#"{"functions":[{"name":"shell"},{"name":"web_search"}],"function_call":"auto","n":1}"#,
        r#"{"n":1}"#,
        "function_call tools.shell tools.web_search",
    );
    check(
        MESSAGES,
        r#"{"mcp_servers":[{"name":"shell","url":"x"}],"tools":[{"name":"a"}],"tool_choice":{"type":"any"}}"#,
        r#"{"tools":[{"name":"a"}],"tool_choice":{"type":"any"}}"#,
        "tools.shell",
    );
}

#[test]
fn a_choice_of_a_denied_tool_goes() {
    let left = r#"{"tools":[{"name":"a"}]}"#;
    for (endpoint, choice) in [
        (CHAT, r#"{"type":"function","function":{"name":"shell"}}"#),
        (CHAT, r#"{"type":"custom","custom":{"name":"shell"}}"#),
        (
            CHAT,
            r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"function":{"name":"shell"}}]}}"#,
        ),
        (RESPONSES, r#"{"type":"function","name":"shell"}"#),
        (RESPONSES, r#"{"type":"web_search"}"#),
        (RESPONSES, r#"{"type":"mcp","server_label":"shell","name":"x"}"#),
        (RESPONSES, r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"web_search"}]}"#),
        (MESSAGES, r#"{"type":"tool","name":"shell"}"#),
    ] {
        let body = format!(r#"{{"tool_choice":{choice},"tools":[{{"name":"a"}}]}}"#);
        check(endpoint, &body, left, "tool_choice");
    }
    check(CHAT, r#"{"function_call":{"name":"shell"},"n":1}"#, r#"{"n":1}"#, "function_call");
    for free in [r#""auto""#, r#""required""#, r#"{"type":"function","function":{"name":"a"}}"#, "null"] {
        let body = format!(r#"{{"tool_choice":{free},"tools":[{{"name":"a"}}]}}"#);
        check(CHAT, &body, &body, "");
    }
    check(
        RESPONSES,
        r#"{"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"name":"shell"}, {"name":"a"}]}}"#,
        r#"{"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[ {"name":"a"}]}}"#,
        "",
    );
    check(
        MESSAGES,
        r#"{"tool_choice":{"type":"tool", "name":"shell", "disable_parallel_tool_use":true},"tools":[{"name":"a"}]}"#,
        r#"{"tool_choice":{"type":"auto", "disable_parallel_tool_use":true},"tools":[{"name":"a"}]}"#,
        "tool_choice",
    );
}

#[test]
fn namespaces_lose_their_own() {
    check(
        RESPONSES,
        r#"{"tools":[{"type":"namespace","name":"n","tools":[{"name":"a"}, {"name":"shell"}]},{"name":"b"}]}"#,
        r#"{"tools":[{"type":"namespace","name":"n","tools":[{"name":"a"}]},{"name":"b"}]}"#,
        "tools.shell",
    );
    assert_eq!(
        apply(RESPONSES, r#"{"tools":[{"type":"namespace","name":"n","tools":[]}]}"#, &["n"]),
        ("{}".to_owned(), "tools.n".to_owned())
    );
}

#[test]
fn tools_that_come_with_an_item_are_taken_out_too() {
    check(
        RESPONSES,
        r#"{"input":[{"type":"additional_tools","role":"developer","tools":[{"name":"shell"}, {"name":"a"}]},{"role":"user","content":"u"}]}"#,
        r#"{"input":[{"type":"additional_tools","role":"developer","tools":[ {"name":"a"}]},{"role":"user","content":"u"}]}"#,
        "tools.shell",
    );
    check(
        RESPONSES,
        r#"{"tools":[{"type":"web_search"}],"input":[{"tools":[ {"name":"shell"} ],"t\u0079pe":"tool_search_output"}]}"#,
        r#"{"input":[{"tools":[],"t\u0079pe":"tool_search_output"}]}"#,
        "tools.web_search tools.shell",
    );
    // What happened stays as it was told.
    for item in [
        r#"{"type":"mcp_list_tools","server_label":"m","tools":[{"name":"shell"}]}"#,
        r#"{"type":"function_call","name":"shell","call_id":"c","arguments":"{}"}"#,
    ] {
        let body = format!(r#"{{"input":[{item}]}}"#);
        check(RESPONSES, &body, &body, "");
    }
}
