//! Each API's spelling by example, and the table of the page.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{COUNTS, Family, PARAMS, Param, ParamEdit, Place, refuses_sampling};
use crate::wire::{Edits, Endpoint, Fit, RequestView};

const FOUR: [Endpoint; 4] = [Endpoint::Chat, Endpoint::Completions, Endpoint::Responses, Endpoint::Messages];

/// An edit of one parameter; `null` is a part that is not given.
fn edit(name: &str, set: Value, default: Value, max: Value) -> ParamEdit {
    let param = Param::named(name).unwrap();
    let part = |json: Value| (!json.is_null()).then(|| Arc::new(param.value(&json).unwrap()));
    ParamEdit { param, set: part(set), default: part(default), max: part(max) }
}

fn set(name: &str, value: Value) -> ParamEdit {
    edit(name, value, Value::Null, Value::Null)
}

fn apply(endpoint: Endpoint, body: &str, edits: &[ParamEdit], refuses_sampling: bool) -> (String, String) {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let view = RequestView::read(endpoint, &bytes, &[]).unwrap_or_else(|error| panic!("{error}: {body}"));
    let mut changes = Edits::new(&view, &bytes);
    let mut dropped = Vec::new();
    changes.params(edits, refuses_sampling, &mut dropped);
    let result = String::from_utf8(changes.frames().concat().to_vec()).unwrap();
    (result, dropped.join(" "))
}

#[track_caller]
fn check(endpoint: Endpoint, body: &str, edits: &[ParamEdit], expected: &str, dropped: &str) {
    let (result, names) = apply(endpoint, body, edits, false);
    assert_eq!((result.as_str(), names.as_str()), (expected, dropped), "{endpoint:?} {body}");
    assert_eq!(apply(endpoint, &result, edits, false).0, result, "a second time");
}

#[test]
fn each_api_has_its_own_place() {
    let schema =
        json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": {}, "strict": true } });
    let cases: &[(ParamEdit, [&str; 4])] = &[
        (set("temperature", json!(0.2)), [r#"{"temperature":0.2}"#; 4]),
        (set("top_p", json!(1)), [r#"{"top_p":1}"#; 4]),
        (set("top_k", json!(5)), ["-", "-", "-", r#"{"top_k":5}"#]),
        (
            set("max_tokens", json!(9)),
            [
                r#"{"max_tokens":9}"#,
                r#"{"max_tokens":9}"#,
                r#"{"max_output_tokens":9}"#,
                r#"{"max_tokens":9}"#,
            ],
        ),
        (set("stop", json!("x")), [r#"{"stop":"x"}"#, r#"{"stop":"x"}"#, "-", r#"{"stop_sequences":["x"]}"#]),
        (set("seed", json!(-1)), [r#"{"seed":-1}"#, r#"{"seed":-1}"#, "-", "-"]),
        (set("n", json!(2)), [r#"{"n":2}"#, r#"{"n":2}"#, "-", "-"]),
        (
            set("logit_bias", json!({ "7": -100 })),
            [r#"{"logit_bias":{"7":-100}}"#, r#"{"logit_bias":{"7":-100}}"#, "-", "-"],
        ),
        (
            set("reasoning_effort", json!("low")),
            [
                r#"{"reasoning_effort":"low"}"#,
                "-",
                r#"{"reasoning":{"effort":"low"}}"#,
                r#"{"output_config":{"effort":"low"}}"#,
            ],
        ),
        (
            set("verbosity", json!("low")),
            [r#"{"verbosity":"low"}"#, "-", r#"{"text":{"verbosity":"low"}}"#, "-"],
        ),
        (
            set("service_tier", json!("default")),
            [
                r#"{"service_tier":"default"}"#,
                "-",
                r#"{"service_tier":"default"}"#,
                r#"{"service_tier":"standard_only"}"#,
            ],
        ),
        (
            set("response_format", schema),
            [
                r#"{"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{},"strict":true}}}"#,
                "-",
                r#"{"text":{"format":{"type":"json_schema","name":"n","schema":{},"strict":true}}}"#,
                r#"{"output_config":{"format":{"type":"json_schema","schema":{}}}}"#,
            ],
        ),
        (set("store", json!(false)), [r#"{"store":false}"#, "-", r#"{"store":false}"#, "-"]),
    ];
    for (edit, expected) in cases {
        for (endpoint, expected) in FOUR.into_iter().zip(expected) {
            let (expected, dropped) =
                if *expected == "-" { ("{}", edit.param.name) } else { (*expected, "") };
            check(endpoint, "{}", std::slice::from_ref(edit), expected, dropped);
        }
    }
}

#[test]
fn a_value_that_an_api_does_not_have_is_dropped() {
    let messages = |edit: ParamEdit| {
        let name = edit.param.name;
        check(Endpoint::Messages, r#"{"a":1}"#, &[edit], r#"{"a":1}"#, name);
    };
    messages(set("temperature", json!(1.5)));
    messages(set("reasoning_effort", json!("minimal")));
    messages(set("reasoning_effort", json!("none")));
    messages(set("service_tier", json!("flex")));
    messages(set("stop", json!(["a", "\n"])));
    messages(set("response_format", json!({ "type": "json_object" })));
    let text = [set("response_format", json!({ "type": "text" }))];
    check(Endpoint::Messages, "{}", &text, "{}", "");
    let body = r#"{"output_config":{"format":{"type":"json_schema"},"effort":"low"}}"#;
    check(Endpoint::Messages, body, &text, r#"{"output_config":{"format":null,"effort":"low"}}"#, "");
    check(Endpoint::Responses, "{}", &text, r#"{"text":{"format":{"type":"text"}}}"#, "");
}

#[test]
fn defaults_and_caps() {
    let null = Value::Null;
    let chat = |body: &str, edit: &ParamEdit, expected: &str| {
        check(Endpoint::Chat, body, std::slice::from_ref(edit), expected, "");
    };
    let both = edit("max_tokens", null.clone(), json!(512), json!(1024));
    chat("{}", &both, r#"{"max_tokens":512}"#);
    chat(r#"{"max_tokens": null}"#, &both, r#"{"max_tokens": 512}"#);
    chat(r#"{"max_completion_tokens": null}"#, &both, r#"{"max_completion_tokens": 512}"#);
    chat(r#"{"max_completion_tokens":7}"#, &both, r#"{"max_completion_tokens":7}"#);
    chat(r#"{"max_completion_tokens":2e3}"#, &both, r#"{"max_completion_tokens":1024}"#);
    let sent = r#"{"max_tokens":4096,"max_completion_tokens":1e9}"#;
    chat(sent, &both, r#"{"max_tokens":1024,"max_completion_tokens":1024}"#);
    chat(r#"{"max_tokens":"9999"}"#, &both, r#"{"max_tokens":"9999"}"#);
    let cap = edit("max_tokens", null.clone(), null.clone(), json!(1024));
    chat("{}", &cap, "{}");
    chat(r#"{"max_tokens":1024.0}"#, &cap, r#"{"max_tokens":1024.0}"#);
    // What a flag sets is held to the maximum too.
    chat("{}", &edit("temperature", json!(1.5), null.clone(), json!(0.7)), r#"{"temperature":0.7}"#);
    let max = edit("temperature", null.clone(), null.clone(), json!(0.7));
    chat(r#"{"temperature":1}"#, &max, r#"{"temperature":0.7}"#);
    chat(r#"{"temperature":0.70}"#, &max, r#"{"temperature":0.70}"#);
    // Where there is no place, a default is dropped, and a maximum has nothing to hold.
    check(Endpoint::Responses, "{}", &[edit("n", null.clone(), json!(2), null.clone())], "{}", "n");
    check(Endpoint::Responses, "{}", &[edit("n", null.clone(), null, json!(2))], "{}", "");
}

#[test]
fn members_of_members_leave_the_rest() {
    let edits = [set("verbosity", json!("low")), set("response_format", json!({ "type": "json_object" }))];
    let responses = |body: &str, expected: &str| check(Endpoint::Responses, body, &edits, expected, "");
    responses(
        r#"{ "text" : { "x" : 1e+05 , "verbos\u0069ty": "high"} }"#,
        r#"{ "text" : {"format":{"type":"json_object"}, "x" : 1e+05 , "verbos\u0069ty": "low"} }"#,
    );
    responses(r#"{"text":{}}"#, r#"{"text":{"verbosity":"low","format":{"type":"json_object"}}}"#);
    responses(r#"{"text":null}"#, r#"{"text":{"verbosity":"low","format":{"type":"json_object"}}}"#);
    responses(r#"{"text":"odd"}"#, r#"{"text":"odd"}"#);
    let right = r#"{"text":{"verbosity":"low","format":{"type":"json_object"}}}"#;
    responses(right, right);
}

#[test]
fn parallel_tool_calls_need_tools() {
    let no = [set("parallel_tool_calls", json!(false))];
    let yes = [set("parallel_tool_calls", json!(true))];
    let tools = |rest: &str| format!(r#"{{"tools":[{{"name":"t"}}]{rest}}}"#);
    for endpoint in FOUR {
        if endpoint != Endpoint::Completions {
            check(endpoint, r#"{"tools":[]}"#, &no, r#"{"tools":[]}"#, "");
        }
    }
    let with = |member: &str| tools("").replacen('{', &format!("{{{member},"), 1);
    check(Endpoint::Chat, &tools(""), &no, &with(r#""parallel_tool_calls":false"#), "");
    let messages = |edits: &[ParamEdit], rest: &str, expected: &str| {
        check(Endpoint::Messages, &tools(rest), edits, expected, "");
    };
    messages(&no, "", &with(r#""tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#));
    messages(&yes, "", &tools(""));
    messages(
        &no,
        r#","tool_choice":{"type":"any"}"#,
        &tools(r#","tool_choice":{"disable_parallel_tool_use":true,"type":"any"}"#),
    );
    messages(
        &yes,
        r#","tool_choice":{"type":"any","disable_parallel_tool_use":true}"#,
        &tools(r#","tool_choice":{"type":"any","disable_parallel_tool_use":false}"#),
    );
    messages(&yes, r#","tool_choice":{"type":"any"}"#, &tools(r#","tool_choice":{"type":"any"}"#));
    messages(&no, r#","tool_choice":{"type":"none"}"#, &tools(r#","tool_choice":{"type":"none"}"#));
}

#[test]
fn a_version_that_refuses_sampling() {
    for (version, refuses) in [
        ("2023-06-01", false),
        ("2026-10-20", false),
        ("2026-10-21", true),
        (" 2026-10-21 ", true),
        ("2026-11-01", true),
        ("2027-01-01", true),
        ("10000-01-01", false),
        ("2026-10-21-beta", false),
        ("next", false),
        ("", false),
    ] {
        assert_eq!(refuses_sampling(version), refuses, "{version:?}");
    }
    let edits = ["temperature", "top_p", "top_k"].map(|name| set(name, json!(1)));
    let all = "temperature top_p top_k";
    let sent = r#"{"max_tokens":1}"#;
    assert_eq!(apply(Endpoint::Messages, sent, &edits, true), (sent.to_owned(), all.to_owned()));
    let cap = [edit("temperature", Value::Null, Value::Null, json!(0.5))];
    let app = r#"{"temperature":1}"#;
    assert_eq!(apply(Endpoint::Messages, app, &cap, true), (app.to_owned(), "temperature".to_owned()));
    assert_eq!(apply(Endpoint::Messages, sent, &cap, true), (sent.to_owned(), String::new()));
    // The version is Anthropic's affair.
    assert_eq!(apply(Endpoint::Chat, "{}", &cap[..0], true), ("{}".to_owned(), String::new()));
    assert_eq!(apply(Endpoint::Chat, "{}", &edits[..1], true).0, r#"{"temperature":1}"#);
}

#[test]
fn calls_that_count_take_their_part() {
    let edits = ["temperature", "max_tokens"].map(|name| set(name, json!(1))).into_iter().chain([
        set("reasoning_effort", json!("low")),
        set("service_tier", json!("auto")),
        set("verbosity", json!("low")),
    ]);
    let edits: Vec<ParamEdit> = edits.collect();
    let counted = |endpoint, expected: &str| check(endpoint, "{}", &edits, expected, "");
    counted(Endpoint::CountTokens, r#"{"output_config":{"effort":"low"}}"#);
    counted(Endpoint::InputTokens, r#"{"reasoning":{"effort":"low"},"text":{"verbosity":"low"}}"#);
    counted(Endpoint::Compact, r#"{"service_tier":"auto"}"#);
    counted(Endpoint::Embeddings, "{}");
}

#[test]
fn what_was_written_has_to_fit_its_model_too() {
    let fit = Fit {
        drop: vec!["temperature".into(), "top_p".into()],
        rename: vec![("max_tokens".into(), "max_completion_tokens".into())],
        set: vec![("x".into(), "1".into())],
        cap_max_tokens: Some(100),
    };
    let fitted = |body: &str, edits: &[ParamEdit]| {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let view = RequestView::read(Endpoint::Chat, &bytes, &[]).unwrap();
        let mut changes = Edits::new(&view, &bytes);
        changes.params(edits, false, &mut Vec::new());
        let mut dropped = Vec::new();
        changes.fit_written(&fit, &mut dropped);
        (String::from_utf8(changes.frames().concat().to_vec()).unwrap(), dropped.join(" "))
    };
    let edits = [set("temperature", json!(1)), set("max_tokens", json!(500))];
    assert_eq!(fitted("{}", &edits), (r#"{"max_completion_tokens":100}"#.to_owned(), String::new()));
    let own = r#"{"top_p":1,"max_completion_tokens":9000}"#;
    assert_eq!(fitted(own, &edits[..1]), (own.to_owned(), String::new()), "what the app sent fits");
    let sent = r#"{"temperature":0.5,"a":1}"#;
    assert_eq!(fitted(sent, &edits[..1]), (r#"{"a":1}"#.to_owned(), "temperature".to_owned()));
}

#[test]
fn values_are_checked() {
    for (name, value, expected) in [
        ("temperature", json!(2.1), "a number from 0 to 2"),
        ("temperature", json!(-0.1), "a number from 0 to 2"),
        ("temperature", json!("0.2"), "a number from 0 to 2"),
        ("top_p", json!(1.01), "a number from 0 to 1"),
        ("presence_penalty", json!(-2.5), "a number from -2 to 2"),
        ("max_tokens", json!(0), "a whole number from 1 to 1000000000"),
        ("max_tokens", json!(1.5), "a whole number from 1 to 1000000000"),
        ("n", json!(129), "a whole number from 1 to 128"),
        ("seed", json!(1.0), "a whole number"),
        ("store", json!("false"), "true or false"),
        ("reasoning_effort", json!(""), "a text"),
        ("stop", json!([]), "a text or a list of one to four texts"),
        ("stop", json!(["a", "b", "c", "d", "e"]), "a text or a list of one to four texts"),
        ("logit_bias", json!({ "x": 1 }), "a table of token ids, each with a whole number from -100 to 100"),
        (
            "logit_bias",
            json!({ "1": 101 }),
            "a table of token ids, each with a whole number from -100 to 100",
        ),
    ] {
        assert_eq!(Param::named(name).unwrap().value(&value).unwrap_err(), expected, "{name} {value}");
    }
    let format = Param::named("response_format").unwrap();
    for wrong in [
        json!({}),
        json!({ "type": "xml" }),
        json!({ "type": "json_schema" }),
        json!({ "type": "json_schema", "json_schema": { "name": "n" } }),
        json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": {}, "strickt": true } }),
        json!({ "type": "text", "schema": {} }),
    ] {
        assert!(format.value(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_member_that_may_be_written_may_not_stand_twice() {
    let touched: Vec<String> = PARAMS.iter().flat_map(Param::members).map(str::to_owned).collect();
    for param in PARAMS {
        for (place, endpoint) in FOUR.map(|endpoint| (param.place(endpoint), endpoint)) {
            let body = match place {
                Place::Same => format!(r#"{{"{0}":1,"{0}":2}}"#, param.name),
                Place::Member(name) | Place::EitherOf(name, _) => format!(r#"{{"{name}":1,"{name}":2}}"#),
                Place::Inside(object, field) => format!(r#"{{"{object}":{{"{field}":1,"{field}":2}}}}"#),
                Place::Nowhere | Place::Idle => continue,
            };
            assert!(RequestView::read(endpoint, body.as_bytes(), &touched).is_err(), "{body}");
        }
    }
}

/// The table of the page, a row for each parameter.
fn table() -> String {
    let mut table = String::from(
        "| parameter | values | Chat Completions | Completions | Responses | Messages |\n|---|---|---|---|---|---|\n",
    );
    for param in PARAMS {
        let cell = |endpoint| match param.place(endpoint) {
            Place::Same => format!("`{}`", param.name),
            Place::Member(name) => format!("`{name}`"),
            Place::EitherOf(one, other) => format!("`{one}` or `{other}`"),
            Place::Inside(object, field) => format!("`{object}.{field}`"),
            Place::Nowhere | Place::Idle => "·".to_owned(),
        };
        let expected =
            if param.name == "response_format" { "as below".to_owned() } else { param.kind.expected() };
        let counted = if param.counting == COUNTS { " ²" } else { "" };
        let sampling = if param.sampling { " ¹" } else { "" };
        let cells = FOUR.map(cell);
        let [chat, completions, responses, messages] = cells;
        table.push_str(&format!(
            "| `{}`{counted} | {expected} | {chat} | {completions} | {responses} | {messages}{sampling} |\n",
            param.name
        ));
    }
    table
}

/// `UPDATE_DOCS=1 cargo test docs_` writes the table.
#[test]
fn docs_have_the_vocabulary() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/parameters.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("| parameter | values |").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let made = format!("{before}{}\n{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == made,
        "docs/parameters.md has another table: run UPDATE_DOCS=1 cargo test --lib docs_"
    );
    assert_eq!(Family::of(Endpoint::Embeddings), None);
}
