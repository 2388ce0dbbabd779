//! System prompts of the Responses API, every mode on every place where an app may keep its own, against a reference
//! that works on parsed values; and what Completions gets.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{apply, check, fit};
use crate::wire::{Edits, Endpoint, PromptMode, RequestView};

const MODES: [PromptMode; 4] =
    [PromptMode::Replace, PromptMode::Prepend, PromptMode::Append, PromptMode::IfAbsent];

const INSTRUCTIONS: [&str; 5] =
    ["", r#""instructions" : null,"#, r#""instructions":"","#, r#" "instructions": "Own\n",  "#, "i"];
const INPUTS: [&str; 12] = [
    r#""Hi\u0021""#,
    "[]",
    "null",
    r#"[ {"role":"user", "content":"u"} ]"#,
    r#"[{"role":"developer", "content":"d"} , {"role":"user","content":"u"}]"#,
    r#"[{"type":"message","role":"system","content":[{"type":"input_text","text":"s"}],"status":"completed"}]"#,
    r#"[{"role":"developer","content":"d"},{"role":"sys\u0074em","content":"s"},{"role":"user","content":"u"},{"role":"developer","content":"later"}]"#,
    r#"[{"role":"developer","content":[{"type":"input_text","text":"d","prompt_cache_breakpoint":{ "mode":"explicit" }}]},{"role":"system","content":"s"},{"role":"user","content":"u"}]"#,
    r#"[{"type":"additional_tools","role":"developer","tools":[]},{"role":"developer","content":"d"}]"#,
    r#"[{"type":"function_call","call_id":"c"},{"role":"developer","content":"d"}]"#,
    r#"[7,{"role":"developer","content":"d"}]"#,
    r#"[{"role":"developer","content":"d"},{"type":"reasoning","id":"r","summary":[]}]"#,
];

fn is_leading(item: &Value) -> bool {
    let message = item.get("type").is_none_or(|kind| kind == "message");
    message && matches!(item.get("role").and_then(Value::as_str), Some("system" | "developer"))
}

fn reference(body: &mut Map<String, Value>, mode: PromptMode) {
    let items = body.get("input").and_then(Value::as_array).cloned().unwrap_or_default();
    let count = items.iter().take_while(|item| is_leading(item)).count();
    let (leading, rest) = items.split_at(count);
    let field = body.get("instructions").and_then(Value::as_str).unwrap_or_default().to_owned();
    let set = |body: &mut Map<String, Value>, text: String| body.insert("instructions".into(), text.into());
    let marker = leading.iter().rev().find_map(|item| item.pointer("/content/0/prompt_cache_breakpoint"));
    match mode {
        PromptMode::IfAbsent if !field.is_empty() || count > 0 => {}
        PromptMode::Replace if marker.is_some() || (field.is_empty() && count > 0) => {
            let mut first = leading[0].clone();
            let mut part = json!({"type": "input_text", "text": "new"});
            if let Some(marker) = marker {
                part["prompt_cache_breakpoint"] = marker.clone();
            }
            first["content"] = if first["content"].is_array() { json!([part]) } else { json!("new") };
            if !field.is_empty() {
                body.remove("instructions");
            }
            body.insert("input".into(), [&[first], rest].concat().into());
        }
        PromptMode::Replace => {
            set(body, "new".into());
            if count > 0 {
                body.insert("input".into(), rest.into());
            }
        }
        PromptMode::Append if count > 0 => {
            let new = json!({"role": leading[count - 1]["role"], "content": "new"});
            body.insert("input".into(), [leading, &[new], rest].concat().into());
        }
        _ if field.is_empty() => drop(set(body, "new".into())),
        PromptMode::Prepend => drop(set(body, format!("new\n\n{field}"))),
        PromptMode::Append => drop(set(body, format!("{field}\n\nnew"))),
        PromptMode::IfAbsent => {}
    }
}

#[test]
fn each_mode_on_each_place() {
    for endpoint in [Endpoint::Responses, Endpoint::InputTokens, Endpoint::Compact] {
        for mode in MODES {
            for field in INSTRUCTIONS {
                for input in INPUTS {
                    let field = if field == "i" { r#""instructions":"one","# } else { field };
                    let body = format!(r#"{{ "x" : 1.50e+3,{field}"input": {input} ,"y":[]}}"#);
                    let prompt = |edits: &mut Edits, _: &mut Vec<String>| {
                        assert!(edits.system_prompt(mode, &"new".into()).unwrap());
                    };
                    let (result, _) = apply(endpoint, &body, prompt);
                    let mut expected: Map<String, Value> = serde_json::from_str(&body).unwrap();
                    reference(&mut expected, mode);
                    let parsed: Value = serde_json::from_str(&result).unwrap();
                    assert_eq!(parsed, Value::Object(expected), "{mode:?} of {body}: {result}");
                    assert!(
                        result.contains(r#" "x" : 1.50e+3,"#) && result.ends_with(r#" ,"y":[]}"#),
                        "{result}"
                    );
                    RequestView::read(endpoint, result.as_bytes(), &[]).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_prompt_without_a_place_is_refused() {
    let refused = |body: &str, mode| {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let view = RequestView::read(Endpoint::Responses, &bytes, &[]).unwrap();
        let result = Edits::new(&view, &bytes).system_prompt(mode, &"p".into());
        result.map_err(|error| error.to_string()).err().unwrap_or_default()
    };
    let told = "the field \"instructions\" is no text, at byte 16 (line 1, column 17)";
    for mode in [PromptMode::Prepend, PromptMode::Append] {
        assert_eq!(refused(r#"{"instructions":[1]}"#, mode), told);
    }
    for mode in [PromptMode::Replace, PromptMode::IfAbsent] {
        assert_eq!(refused(r#"{"instructions":[1]}"#, mode), "");
    }
    let members = "\"x\":1,".repeat(1024);
    let crowded = format!(r#"{{"input":[{{{members}"role":"system"}}]}}"#);
    assert!(refused(&crowded, PromptMode::Replace).starts_with("an object has more fields than"));
}

#[test]
fn a_completion_has_no_place_for_a_prompt() {
    for endpoint in [Endpoint::Completions, Endpoint::Embeddings] {
        for mode in MODES {
            let body = r#"{"prompt":"Once","instructions":"i","messages":[]}"#;
            let (result, _) = apply(endpoint, body, |edits, _| {
                assert!(!edits.system_prompt(mode, &"new".into()).unwrap());
            });
            assert_eq!(result, body);
        }
    }
}

#[test]
fn fit_overrules_the_prompt_and_caps_the_output() {
    let body = r#"{"instructions":"s","input":[{"role":"system","content":"t"},1],"max_output_tokens":9,"max_tokens":9}"#;
    let (result, dropped) = apply(Endpoint::Responses, body, |edits, names| {
        edits.system_prompt(PromptMode::Replace, &"p".into()).unwrap();
        edits.fit(&fit("drop instructions; cap 5"), names);
    });
    assert_eq!(result, r#"{"input":[1],"max_output_tokens":5,"max_tokens":9}"#);
    assert_eq!(dropped, ["instructions"]);
}

#[test]
fn usage_is_asked_for_where_it_is_told_only_then() {
    let usage = |edits: &mut Edits| {
        edits.include_usage();
    };
    check(Endpoint::Completions, "{}", usage, r#"{"stream_options":{"include_usage":true}}"#);
    check(Endpoint::Responses, r#"{"stream_options":{}}"#, usage, r#"{"stream_options":{}}"#);
}
