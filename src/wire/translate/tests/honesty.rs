//! The tables of fields, held to what the readers do, and `docs/dialects.md` made from them.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::wire::Endpoint::{Chat, Messages, Responses};

/// What becomes of a request, or the field that is refused.
fn outcome(from: Endpoint, to: Endpoint, body: &Value) -> Result<(String, Vec<String>, bool), String> {
    let told = translated(from, to, body).map_err(|refused| refused.field.into_owned())?;
    let body = String::from_utf8(told.body).expect("UTF-8");
    Ok((body, told.dropped.iter().map(ToString::to_string).collect(), told.memory.include_usage))
}

/// Does something to each object that stands at a path, through arrays; says how many there were.
fn at(
    value: &mut Value,
    path: &[&str],
    change: &mut dyn FnMut(&mut serde_json::Map<String, Value>),
) -> usize {
    match (value, path) {
        (Value::Array(items), _) => items.iter_mut().map(|item| at(item, path, change)).sum(),
        (Value::Object(members), []) => {
            change(members);
            1
        }
        (Value::Object(members), [first, rest @ ..]) => {
            members.get_mut(*first).map_or(0, |value| at(value, rest, change))
        }
        _ => 0,
    }
}

fn changed(body: &Value, path: &str, change: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) -> Value {
    let mut body = body.clone();
    let path: Vec<&str> = path.split('.').filter(|name| !name.is_empty()).collect();
    assert!(at(&mut body, &path, change) > 0, "the sample has nothing at {path:?}");
    body
}

/// Each field of the tables: one that is mapped matters, one that is dropped is named, one that is refused is refused by name;
/// `null` is none of it, and neither is what asks for nothing.
fn check(from: Endpoint, to: Endpoint, sample: &Value) {
    let usual = outcome(from, to, sample);
    assert!(usual.is_ok(), "{usual:?}");
    let row = form(from).expect("a row");
    for shape in row.shapes {
        for field in shape.fields {
            let name = field.name.strip_prefix(shape.path).expect("a path").trim_start_matches('.');
            let set = |value: Value| {
                let body = changed(sample, shape.path, &mut |members| {
                    members.insert(name.to_owned(), value.clone());
                });
                outcome(from, to, &body)
            };
            for idle in field.idle {
                let idle: Value = serde_json::from_str(idle).expect("JSON");
                assert_eq!(set(idle.clone()), usual, "{} = {idle} asks for nothing", field.name);
            }
            let strange = json!({ "strange": [1] });
            match field.fate {
                Fate::Refused(why) => {
                    assert_eq!(set(strange), Err(field.name.to_owned()));
                    assert_eq!(set(Value::Null), usual, "{why}");
                }
                Fate::Dropped(why) => {
                    let (_, lost, _) =
                        set(strange).unwrap_or_else(|field| panic!("{field} is refused, {why}"));
                    assert!(lost.contains(&field.name.to_owned()), "{} in {lost:?}", field.name);
                    assert_eq!(set(Value::Null), usual, "{why}");
                }
                Fate::Mapped(note) => {
                    let without = changed(sample, shape.path, &mut |members| {
                        members.remove(name);
                    });
                    let spared =
                        ["elsewhere", "named as dropped", "not needed", "the order stays", "always so"];
                    let matters = outcome(from, to, &without) != usual || set(strange) != usual;
                    assert!(
                        matters || spared.iter().any(|word| note.contains(word)),
                        "{} is ignored",
                        field.name
                    );
                }
            }
        }
    }
}

#[test]
fn the_table_of_chat_completions_is_what_happens() {
    let sample = json!({
        "model": "m", "max_completion_tokens": 5, "temperature": 0.5, "stop": ["x"], "stream": true, "stream_options": { "include_usage": true },
        "messages": [
            { "role": "user", "content": [
                { "type": "image_url", "image_url": { "url": "https://x.test", "detail": "high" } },
                { "type": "file", "file": { "file_data": "AAAA", "filename": "f" } },
                { "type": "text", "text": "a", "prompt_cache_breakpoint": { "mode": "explicit" } },
            ] },
            { "role": "assistant", "content": [{ "type": "refusal", "refusal": "no" }], "refusal": "never", "tool_calls": [
                { "index": 0, "id": "c", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } },
            ] },
            { "role": "tool", "tool_call_id": "c", "content": "b" },
        ],
        "tools": [{ "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object", "x": 1 }, "strict": true } }],
        "tool_choice": { "type": "function", "function": { "name": "f" } }, "parallel_tool_calls": false,
        "response_format": { "type": "json_schema", "json_schema": { "name": "n", "strict": true, "schema": { "type": "object" } } },
        "reasoning_effort": "low", "safety_identifier": "u",
    });
    check(Chat, Messages, &sample);
}

#[test]
fn the_table_of_messages_is_what_happens() {
    let cached = json!({ "type": "ephemeral" });
    let sample = json!({
        "model": "m", "max_tokens": 5, "temperature": 0.5, "top_p": 0.5, "stop_sequences": ["x"], "stream": true,
        "system": [{ "type": "text", "text": "s", "cache_control": cached }],
        "messages": [
            { "role": "user", "content": [
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
                { "type": "image", "source": { "type": "url", "url": "https://x.test" } },
                { "type": "document", "title": "t", "source": { "type": "content", "content": "text" } },
                { "type": "text", "text": "a", "cache_control": cached },
            ] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "redacted_thinking", "data": "x" },
                { "type": "tool_use", "id": "c", "name": "f", "input": { "a": 1 } },
            ] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c", "content": "b", "is_error": true }] },
        ],
        "tools": [{ "type": "custom", "name": "f", "description": "d", "input_schema": { "type": "object", "x": 1 }, "strict": false, "cache_control": cached }],
        "tool_choice": { "type": "tool", "name": "f", "disable_parallel_tool_use": true },
        "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } },
        "thinking": { "type": "enabled", "budget_tokens": 20000 },
        "metadata": { "user_id": "u" },
    });
    check(Messages, Chat, &sample);
    // How much it thinks counts where no effort is named.
    let budget = |budget: u64| {
        let body = json!({ "model": "m", "max_tokens": 5, "messages": [{ "role": "user", "content": "a" }], "thinking": { "type": "enabled", "budget_tokens": budget } });
        said(Messages, Chat, &body).0["reasoning_effort"].clone()
    };
    assert_eq!(
        [budget(1024), budget(10_000), budget(30_000)],
        [json!("low"), json!("medium"), json!("high")]
    );
}

#[test]
fn the_table_of_responses_is_what_happens() {
    let sample = json!({
        "model": "m", "instructions": "i", "max_output_tokens": 5, "temperature": 0.5, "stream": true, "stream_options": {},
        "input": [
            { "type": "message", "id": "m", "status": "completed", "role": "user", "content": [
                { "type": "input_image", "image_url": "https://x.test", "detail": "high" },
                { "type": "input_file", "file_data": "AAAA", "filename": "f" },
                { "type": "input_file", "file_url": "https://x.test" },
                { "type": "input_text", "text": "a", "prompt_cache_breakpoint": { "mode": "explicit" } },
            ] },
            { "type": "message", "role": "assistant", "content": [{ "type": "refusal", "refusal": "no" }] },
            { "type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x" },
            { "type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{\"a\":1}" },
            { "type": "function_call_output", "call_id": "c", "output": "b" },
        ],
        "tools": [{ "type": "function", "name": "f", "description": "d", "parameters": { "type": "object", "x": 1 }, "strict": true }],
        "tool_choice": { "type": "function", "name": "f" }, "parallel_tool_calls": false,
        "text": { "format": { "type": "json_schema", "name": "n", "strict": true, "schema": { "type": "object" } } },
        "reasoning": { "effort": "low" }, "safety_identifier": "u",
    });
    check(Responses, Messages, &sample);
}

#[test]
fn no_field_stands_twice_and_none_is_without_a_reason() {
    for (title, shapes) in field_tables() {
        let mut names: Vec<&str> =
            shapes.iter().flat_map(|shape| shape.fields).map(|field| field.name).collect();
        for field in shapes.iter().flat_map(|shape| shape.fields) {
            let (Fate::Mapped(why) | Fate::Dropped(why) | Fate::Refused(why)) = field.fate;
            assert!(why.len() >= 4, "{title}: {}", field.name);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{title}");
    }
}

/// The tables as the page has them.
fn tables() -> String {
    let mut page = String::new();
    for (title, shapes) in field_tables() {
        page.push_str(&format!(
            "\n### Requests of {title}\n\n| field | fate | what becomes of it, or why |\n|---|---|---|\n"
        ));
        for field in shapes.iter().flat_map(|shape| shape.fields) {
            let (fate, why) = match field.fate {
                Fate::Mapped(to) => ("mapped", to),
                Fate::Dropped(why) => ("dropped", why),
                Fate::Refused(why) => ("**refused**", why),
            };
            let idle: Vec<String> = field.idle.iter().map(|idle| format!("`{idle}`")).collect();
            let unless =
                if idle.is_empty() { String::new() } else { format!(", unless {}", idle.join(" or ")) };
            page.push_str(&format!("| `{}` | {fate}{unless} | {why} |\n", field.name));
        }
    }
    page
}

/// `UPDATE_DOCS=1 cargo test --lib docs_` writes the tables.
#[test]
fn docs_have_every_field() {
    const MARK: &str = "<!-- fields -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dialects.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, _) = page.split_once(MARK).expect("the mark");
    let made = format!("{before}{MARK}{}", tables());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).expect("the page is written");
    }
    let written = std::fs::read_to_string(&path).expect("the page");
    assert!(written == made, "docs/dialects.md has other tables: run UPDATE_DOCS=1 cargo test --lib docs_");
}
