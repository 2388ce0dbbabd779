//! Each edit by example; `properties` holds all of them together against a reference.

use bytes::Bytes;

use crate::wire::{Edits, Endpoint, Fit, Frames, PromptMode, RequestView};

mod documented;
mod properties;
mod responses;

const CHAT: Endpoint = Endpoint::Chat;
const MESSAGES: Endpoint = Endpoint::Messages;

/// Applies edits to a body; tells what became of it and which fields were dropped.
fn apply(
    endpoint: Endpoint,
    body: &str,
    edit: impl FnOnce(&mut Edits, &mut Vec<String>),
) -> (String, Vec<String>) {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let view = RequestView::read(endpoint, &bytes, &[]).unwrap_or_else(|error| panic!("{error}: {body}"));
    let mut edits = Edits::new(&view, &bytes);
    let mut dropped = Vec::new();
    edit(&mut edits, &mut dropped);
    let was_empty = edits.is_empty();
    let frames = edits.frames();
    let whole = String::from_utf8(frames.concat().to_vec()).unwrap();
    assert_eq!(frames.len, whole.len() as u64);
    assert!(frames.parts.iter().all(|part| !part.is_empty()));
    assert!(!was_empty || whole == body, "no edit, but {body} became {whole}");
    (whole, dropped)
}

#[track_caller]
fn check(endpoint: Endpoint, body: &str, edit: impl FnOnce(&mut Edits), expected: &str) {
    assert_eq!(apply(endpoint, body, |edits, _| edit(edits)).0, expected, "of {body}");
}

/// `fit` as `drop a, b; rename from to; set name value; cap n`.
fn fit(text: &str) -> Fit {
    let mut fit = Fit::default();
    for step in text.split(';').map(str::trim).filter(|step| !step.is_empty()) {
        let (kind, rest) = step.split_once(' ').unwrap();
        let pair = || rest.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        match kind {
            "drop" => fit.drop = rest.split(", ").map(str::to_owned).collect(),
            "rename" => fit.rename.push(pair()),
            "set" => fit.set.push(pair()),
            "cap" => fit.cap_max_tokens = rest.parse().ok(),
            other => panic!("{other}"),
        }
    }
    fit
}

#[track_caller]
fn check_fit(body: &str, text: &str, expected: &str, dropped: &str) {
    let (result, names) = apply(CHAT, body, |edits, names| edits.fit(&fit(text), names));
    assert_eq!((result.as_str(), names.join(" ").as_str()), (expected, dropped), "{text} of {body}");
}

#[test]
fn the_model() {
    let model = |edits: &mut Edits| edits.model("\"b\"".into());
    check(CHAT, r#"{"model":"a"}"#, model, r#"{"model":"b"}"#);
    check(
        CHAT,
        " { \"x\" : 1e+05 ,\n \"mod\\u0065l\" : null } ",
        model,
        " { \"x\" : 1e+05 ,\n \"mod\\u0065l\" : \"b\" } ",
    );
    check(
        CHAT,
        "{\n  \"x\": {\"model\":\"a\"}\n}",
        model,
        "{\"model\":\"b\",\n  \"x\": {\"model\":\"a\"}\n}",
    );
    check(CHAT, "{ }", model, "{\"model\":\"b\" }");
    check(CHAT, "{}", model, "{\"model\":\"b\"}");
    let twice = |edits: &mut Edits| {
        edits.model("\"b\"".into());
        edits.model("\"c\"".into());
    };
    check(CHAT, "{}", twice, "{\"model\":\"c\"}");
    check(CHAT, r#"{"model":"a","n":1}"#, twice, r#"{"model":"c","n":1}"#);
}

#[test]
fn the_untouched_bytes_are_not_copied() {
    let body = Bytes::from(format!("{{\"messages\":[{}],\"model\":\"a\",\"n\":1}}", "1,".repeat(5000) + "1"));
    let view = RequestView::read(CHAT, &body, &[]).unwrap();
    let untouched = Edits::new(&view, &body).frames();
    assert_eq!((untouched.parts.len(), untouched.parts[0].as_ptr()), (1, body.as_ptr()));
    let mut edits = Edits::new(&view, &body);
    edits.model("\"b\"".into());
    let Frames { parts, .. } = edits.frames();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0].as_ptr(), body.as_ptr());
    assert_eq!(parts[2].as_ptr() as usize + parts[2].len(), body.as_ptr() as usize + body.len());
}

#[test]
fn usage_is_asked_for() {
    let usage = |edits: &mut Edits| {
        edits.include_usage();
    };
    let check = |body, expected| check(CHAT, body, usage, expected);
    check("{}", r#"{"stream_options":{"include_usage":true}}"#);
    check(r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#);
    check(r#"{"stream_options":null,"a":1}"#, r#"{"stream_options":{"include_usage":true},"a":1}"#);
    check(r#"{"stream_options":{}}"#, r#"{"stream_options":{"include_usage":true}}"#);
    check(r#"{"stream_options":{ "x" : 1 }}"#, r#"{"stream_options":{"include_usage":true, "x" : 1 }}"#);
    check(
        r#"{"stream_options":{"x":1,"include_usage" : false}}"#,
        r#"{"stream_options":{"x":1,"include_usage" : true}}"#,
    );
    check(r#"{"stream_options":{"include_usage":true}}"#, r#"{"stream_options":{"include_usage":true}}"#);
    check(r#"{"stream_options":[]}"#, r#"{"stream_options":[]}"#);
    super::tests::check(MESSAGES, "{}", usage, "{}");
    let twice = |edits: &mut Edits| {
        edits.include_usage();
        edits.include_usage();
    };
    super::tests::check(
        CHAT,
        r#"{"stream_options":{}}"#,
        twice,
        r#"{"stream_options":{"include_usage":true}}"#,
    );
    super::tests::check(CHAT, "{}", twice, r#"{"stream_options":{"include_usage":true}}"#);
}

#[test]
fn usage_is_hidden_only_where_the_app_did_not_ask_for_it_and_somebody_did() {
    let asks = |endpoint, body: &str, fit_text: &str| {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let view = RequestView::read(endpoint, &body, &[]).unwrap();
        let mut edits = Edits::new(&view, &body);
        edits.fit(&fit(fit_text), &mut Vec::new());
        edits.include_usage()
    };
    for body in ["{}", r#"{"stream_options":null}"#, r#"{"stream_options":{"include_usage":false}}"#] {
        assert!(asks(CHAT, body, "") && asks(Endpoint::Completions, body, ""), "{body}");
        assert!(!asks(CHAT, body, "drop stream_options"), "{body}");
        assert!(!asks(Endpoint::Responses, body, ""), "{body}");
    }
    assert!(!asks(CHAT, r#"{"stream_options":[]}"#, ""), "the provider refuses it");
    assert!(!asks(CHAT, r#"{"stream_options":{"include_usage":true}}"#, ""), "the app's own wish");
    assert!(asks(CHAT, "{}", r#"set stream_options {"include_usage":true}"#));
}

#[test]
fn what_fit_decides_over_usage_holds_in_either_order() {
    let cases = [
        ("{}", "drop stream_options", "{}"),
        (r#"{"a":1,"stream_options":{}}"#, "drop stream_options", r#"{"a":1}"#),
        (r#"{"stream_options":{}}"#, "set stream_options {\"x\":1}", r#"{"stream_options":{"x":1}}"#),
        (r#"{"stream_options":{}}"#, "set a 1", r#"{"a":1,"stream_options":{"include_usage":true}}"#),
    ];
    for (body, text, expected) in cases {
        let before = apply(CHAT, body, |edits, dropped| {
            edits.include_usage();
            edits.fit(&fit(text), dropped);
        });
        let after = apply(CHAT, body, |edits, dropped| {
            edits.fit(&fit(text), dropped);
            edits.include_usage();
        });
        assert_eq!((before.0.as_str(), after.0.as_str()), (expected, expected), "{text} of {body}");
    }
}

#[test]
fn fit_drops() {
    let body = r#"{"a":1, "b":2 ,"c":3}"#;
    check_fit(body, "drop a", r#"{ "b":2 ,"c":3}"#, "a");
    check_fit(body, "drop b", r#"{"a":1,"c":3}"#, "b");
    check_fit(body, "drop c", r#"{"a":1, "b":2 }"#, "c");
    check_fit(body, "drop a, b", r#"{"c":3}"#, "a b");
    check_fit(body, "drop c, b", r#"{"a":1}"#, "c b");
    check_fit(body, "drop a, c", r#"{ "b":2 }"#, "a c");
    check_fit(body, "drop a, b, c", "{}", "a b c");
    check_fit(body, "drop x", body, "");
    check_fit(r#"{"\u0061":1}"#, "drop a, a", "{}", "a");
    check_fit("{\n \"a\": 1\n}", "drop a", "{}", "a");
}

#[test]
fn fit_renames() {
    check_fit(r#"{"a" : 1,"b":2}"#, "rename a z", r#"{"z" : 1,"b":2}"#, "");
    check_fit(r#"{"a":1,"b":2}"#, "rename a b", r#"{"b":2}"#, "a");
    // Nothing is said by `null`: what is said elsewhere takes its place.
    check_fit(r#"{"a":1, "b":null}"#, "rename a b", r#"{"b":1}"#, "");
    check_fit(r#"{"b" : null , "a":1}"#, "rename a b", r#"{ "b":1}"#, "");
    check_fit(r#"{"a":null,"b":null}"#, "rename a b", r#"{"b":null}"#, "");
    check_fit(r#"{"a":1,"b":2}"#, "rename x b", r#"{"a":1,"b":2}"#, "");
    check_fit(r#"{"a":1,"b":2}"#, "rename a a", r#"{"a":1,"b":2}"#, "");
    check_fit(r#"{"a":1,"\u0062":2}"#, "rename a b", r#"{"\u0062":2}"#, "a");
    check_fit(r#"{"a":1,"b":2}"#, "drop b; rename a b", r#"{"b":1}"#, "b");
    check_fit(r#"{"a":1,"b":2}"#, "drop a; rename a b", r#"{"b":2}"#, "a");
    check_fit(r#"{"a":1,"b":2}"#, "rename a c; rename b c", r#"{"c":1}"#, "b");
    check_fit(r#"{"a":1}"#, "rename a b; rename b c", r#"{"c":1}"#, "");
    check_fit(r#"{"a":1}"#, "rename a q\"é", "{\"q\\\"é\":1}", "");
}

#[test]
fn fit_sets() {
    check_fit(r#"{"a":1,"b":2}"#, "set a [1, 2]", r#"{"a":[1, 2],"b":2}"#, "");
    check_fit(r#"{"b":2}"#, "set a 1; set c 3", r#"{"a":1,"c":3,"b":2}"#, "");
    check_fit(r#"{"a":1,"b":2}"#, "drop a; set a 3", r#"{"a":3,"b":2}"#, "a");
    check_fit(r#"{"a":1}"#, "drop a; set a 3", r#"{"a":3}"#, "a");
    check_fit(r#"{"a":1}"#, "rename a b; set b 3", r#"{"b":3}"#, "");
    check_fit(r#"{"a":1}"#, "rename a b; set a 3", r#"{"a":3,"b":1}"#, "");
    check_fit("{}", "set a 1; set a 2", r#"{"a":2}"#, "");
}

#[test]
fn fit_caps() {
    for (value, expected) in [
        ("65", "64"),
        ("64", "64"),
        ("63.5e1", "64"),
        ("64.0", "64.0"),
        ("64.1", "64"),
        ("1e999", "64"),
        ("99999999999999999999999", "64"),
        ("-5", "-5"),
        ("-1e9", "-1e9"),
        ("null", "null"),
        ("\"900\"", "\"900\""),
        ("[900]", "[900]"),
    ] {
        for name in ["max_tokens", "max_completion_tokens"] {
            let body = |limit: &str| format!("{{\"n\":900,\"{name}\": {limit} }}");
            check_fit(&body(value), "cap 64", &body(expected), "");
        }
    }
    check_fit(
        r#"{"max_tokens":9,"max_completion_tokens":8}"#,
        "cap 5",
        r#"{"max_tokens":5,"max_completion_tokens":5}"#,
        "",
    );
    check_fit("{}", "cap 5", "{}", "");
    check_fit(r#"{"max_tokens":9}"#, "drop max_tokens; cap 5", "{}", "max_tokens");
    check_fit(
        r#"{"max_tokens":9}"#,
        "rename max_tokens max_completion_tokens; cap 5",
        r#"{"max_completion_tokens":5}"#,
        "",
    );
    check_fit(r#"{"max_tokens":1}"#, "set max_tokens 9; cap 5", r#"{"max_tokens":5}"#, "");
    check_fit(r#"{"limit":9}"#, "rename limit max_tokens; cap 5", r#"{"max_tokens":5}"#, "");
    check_fit(r#"{"max_tokens":9}"#, "rename max_tokens limit; cap 5", r#"{"limit":9}"#, "");
}

#[test]
fn fit_overrules_the_prompt() {
    let body = r#"{"system":"s","messages":[{"role":"system","content":"t"},1],"n":1}"#;
    let prompt = |edits: &mut Edits| assert!(edits.system_prompt(PromptMode::Prepend, &"p".into()).unwrap());
    let (result, dropped) = apply(MESSAGES, body, |edits, names| {
        prompt(edits);
        edits.fit(&fit("drop system"), names);
    });
    assert_eq!(result, r#"{"messages":[{"role":"system","content":"t"},1],"n":1}"#);
    assert_eq!(dropped, ["system"]);
    let (renamed, _) = apply(MESSAGES, body, |edits, names| {
        edits.system_prompt(PromptMode::Replace, &"p".into()).unwrap();
        edits.fit(&fit("set messages []; rename system sys"), names);
    });
    assert_eq!(renamed, r#"{"sys":"p","messages":[],"n":1}"#);
}

#[test]
fn prompts_that_have_no_place_are_refused() {
    let refused = |endpoint, body: &str, mode| {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let view = RequestView::read(endpoint, &bytes, &[]).unwrap();
        let result = Edits::new(&view, &bytes).system_prompt(mode, &"p".into());
        result.map_err(|error| error.to_string()).err().unwrap_or_default()
    };
    let no_array = "the field \"messages\" is not an array, at byte";
    assert_eq!(refused(CHAT, "{}", PromptMode::Replace), format!("{no_array} 2 (line 1, column 3)"));
    assert_eq!(
        refused(CHAT, r#"{"messages":{}}"#, PromptMode::Append),
        format!("{no_array} 12 (line 1, column 13)")
    );
    let members = "\"x\":1,".repeat(1024);
    let crowded = format!(r#"{{"messages":[{{{members}"role":"system"}}]}}"#);
    let told = "an object has more fields than a request needs, at byte 13 (line 1, column 14)";
    assert_eq!(refused(CHAT, &crowded, PromptMode::Replace), told);
    let no_text = "the field \"system\" is neither text nor an array, at byte 10 (line 1, column 11)";
    for mode in [PromptMode::Prepend, PromptMode::Append] {
        assert_eq!(refused(MESSAGES, r#"{"system":7}"#, mode), no_text);
    }
    for mode in [PromptMode::Replace, PromptMode::IfAbsent] {
        assert_eq!(refused(MESSAGES, r#"{"system":7}"#, mode), "");
    }
}

#[test]
fn the_last_cache_marker_stays() {
    let replace = |edits: &mut Edits| assert!(edits.system_prompt(PromptMode::Replace, &"p".into()).unwrap());
    let field = r#""system":[{"text":"a","cache_control":{"n":1}},{"text":"b","cache_control":{"n":2}},{"text":"c"}]"#;
    let new = |n: u8| format!(r#""system":[{{"type":"text","text":"p","cache_control":{{"n":{n}}}}}]"#);
    check(MESSAGES, &format!("{{{field}}}"), replace, &format!("{{{}}}", new(2)));
    let later = r#"{"role":"system","content":[{"text":"d","cache_control":{"n":3}},{"text":"e","cache_control":null}]}"#;
    let unmarked = r#"{"role":"system","content":"f"}"#;
    let both = format!(r#"{{{field},"messages":[{later},{unmarked}]}}"#);
    check(MESSAGES, &both, replace, &format!(r#"{{{},"messages":[]}}"#, new(3)));
    let chat = format!(r#"{{"messages":[{later},{unmarked},1]}}"#);
    let part = r#"{"type":"text","text":"p","cache_control":{"n":3}}"#;
    check(CHAT, &chat, replace, &format!(r#"{{"messages":[{{"role":"system","content":[{part}]}},1]}}"#));
    let on_message =
        r#"{"role":"system","cache_control":{"n":4},"content":[{"text":"g","cache_control":{"n":5}}]}"#;
    let ends_on_message = format!(r#"{{"messages":[{later},{on_message}]}}"#);
    let expected = concat!(
        r#"{"messages":[{"cache_control":{"n":4},"role":"system","#,
        r#""content":[{"type":"text","text":"p"}]}]}"#
    );
    check(CHAT, &ends_on_message, replace, expected);
    let mixed = r#"{"messages":[{"role":"system","content":"h","prompt_cache_breakpoint":{"m":1},"cache_control":1}]}"#;
    let kept = r#"{"messages":[{"role":"system","content":"p","prompt_cache_breakpoint":{"m":1},"cache_control":1}]}"#;
    check(CHAT, mixed, replace, kept);
}
