//! Generated conversations and answers: there and back they mean the same, and streams say what whole answers say.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use proptest::{option, prop_assert, prop_assert_eq};
use serde_json::{Value, json};

use super::*;
use crate::wire::Endpoint::{Chat, Messages, Responses};

/// Text that says something, in several scripts and with what has to be escaped.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9][ a-z\"\\\\/\n\té漢𝄞\u{2028}\u{7f}]{0,20}"
}

fn object() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![text().prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-z]{1,4}", inner), 0..3)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    });
    vec(("[a-z]{1,4}", value), 0..3)
        .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into())
}

/// A call with its input and its result.
#[derive(Clone, Debug)]
struct Called {
    id: String,
    name: String,
    input: Value,
    result: String,
}

#[derive(Clone, Debug)]
enum Said {
    User(Vec<String>, bool),
    Assistant(String),
    Calls(Option<String>, Vec<Called>),
}

fn conversation() -> impl Strategy<Value = (Option<String>, Vec<Said>)> {
    let called = ("[a-zA-Z0-9_-]{1,12}", "[a-z_]{1,8}", object(), text())
        .prop_map(|(id, name, input, result)| Called { id, name, input, result });
    let said = prop_oneof![
        (vec(text(), 1..3), any::<bool>()).prop_map(|(texts, image)| Said::User(texts, image)),
        text().prop_map(Said::Assistant),
        (option::of(text()), vec(called, 1..4)).prop_map(|(text, calls)| Said::Calls(text, calls)),
    ];
    (option::of(text()), vec(said, 0..6)).prop_map(|(system, mut said)| {
        // What is sent ends with the user's words.
        said.push(Said::User(vec!["Go on.".to_owned()], false));
        (system, said)
    })
}

/// As Chat Completions says it, in the form that the writer has.
fn as_chat(system: Option<&String>, all: &[Said]) -> Value {
    let mut messages: Vec<Value> =
        system.iter().map(|text| json!({ "role": "system", "content": text })).collect();
    for said in all {
        match said {
            Said::User(texts, false) if texts.len() == 1 => {
                messages.push(json!({ "role": "user", "content": texts[0] }))
            }
            Said::User(texts, image) => {
                let mut parts: Vec<Value> =
                    texts.iter().map(|text| json!({ "type": "text", "text": text })).collect();
                if *image {
                    parts.push(
                        json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } }),
                    );
                }
                messages.push(json!({ "role": "user", "content": parts }));
            }
            Said::Assistant(text) => messages.push(json!({ "role": "assistant", "content": text })),
            Said::Calls(text, calls) => {
                let told: Vec<Value> = calls
                    .iter()
                    .map(|call| {
                        json!({ "id": call.id, "type": "function",
                    "function": { "name": call.name, "arguments": call.input.to_string() } })
                    })
                    .collect();
                messages.push(json!({ "role": "assistant", "content": text, "tool_calls": told }));
                messages.extend(
                    calls.iter().map(
                        |call| json!({ "role": "tool", "tool_call_id": call.id, "content": call.result }),
                    ),
                );
            }
        }
    }
    json!({ "model": "m", "messages": messages, "max_completion_tokens": 9, "tools": [{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }] })
}

/// The same conversation as Responses says it.
fn as_items(system: Option<&String>, all: &[Said]) -> Value {
    let mut items: Vec<Value> = Vec::new();
    for said in all {
        match said {
            Said::User(texts, image) => {
                let mut parts: Vec<Value> =
                    texts.iter().map(|text| json!({ "type": "input_text", "text": text })).collect();
                if *image {
                    parts.push(json!({ "type": "input_image", "image_url": "data:image/png;base64,AAAA" }));
                }
                items.push(json!({ "role": "user", "content": parts }));
            }
            Said::Assistant(text) => items.push(json!({ "role": "assistant", "content": text })),
            Said::Calls(text, calls) => {
                items.extend(text.iter().map(|text| json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] })));
                items.extend(calls.iter().map(|call| json!({ "type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.input.to_string() })));
                items.extend(calls.iter().map(|call| json!({ "type": "function_call_output", "call_id": call.id, "output": call.result })));
            }
        }
    }
    json!({ "model": "m", "instructions": system, "input": items, "max_output_tokens": 9, "tools": [{ "type": "function", "name": "f", "parameters": { "type": "object" } }] })
}

/// A fraction of the usual number of cases: each goes through several translations.
fn runner() -> TestRunner {
    let cases = Config::default().cases / 8;
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn there_and_back_a_conversation_means_the_same() {
    runner()
        .run(&conversation(), |(system, all)| {
            let chat = as_chat(system.as_ref(), &all);
            let (message, lost) = said(Chat, Messages, &chat);
            prop_assert!(lost.is_empty(), "{:?}", lost);
            let (back, lost) = said(Messages, Chat, &message);
            prop_assert!(lost.is_empty(), "{:?}", lost);
            // Words right behind results belong to the same turn there, and come back as the message that they were.
            prop_assert_eq!(joined(&back), joined(&chat));
            Ok(())
        })
        .expect("the property holds");
}

/// User messages in a row as one: the other API has no border between them behind a result.
fn joined(chat: &Value) -> Value {
    let mut chat = chat.clone();
    let mut all: Vec<Value> = Vec::new();
    for mut message in chat["messages"].as_array().expect("messages").iter().cloned() {
        if message["role"] == "user" {
            if let Value::String(text) = &message["content"] {
                message["content"] = json!([{ "type": "text", "text": text }]);
            }
            if let Some(last) = all.last_mut().filter(|last| last["role"] == "user") {
                let more = message["content"].as_array().expect("parts").clone();
                last["content"].as_array_mut().expect("parts").extend(more);
                continue;
            }
        }
        all.push(message);
    }
    chat["messages"] = all.into();
    chat
}

#[test]
fn both_of_openais_apis_say_the_same_to_the_other_one() {
    runner()
        .run(&conversation(), |(system, all)| {
            // An assistant that speaks right before it calls does so in one turn there, in several here.
            let mut spoken = all.clone();
            spoken.dedup_by(|next, last| {
                matches!((last, next), (Said::Assistant(_), Said::Assistant(_) | Said::Calls(..)))
            });
            let (of_chat, _) = said(Chat, Messages, &as_chat(system.as_ref(), &spoken));
            let (of_items, _) = said(Responses, Messages, &as_items(system.as_ref(), &spoken));
            prop_assert_eq!(of_items, of_chat);
            Ok(())
        })
        .expect("the property holds");
}

/// An answer: its blocks, and how it ended.
fn blocks() -> impl Strategy<Value = (Vec<Value>, &'static str)> {
    let block = prop_oneof![
        text().prop_map(|text| json!({ "type": "text", "text": text })),
        ("[a-z0-9_]{1,10}", "[a-z]{1,6}", object()).prop_map(
            |(id, name, input)| json!({ "type": "tool_use", "id": id, "name": name, "input": input })
        ),
    ];
    vec(block, 0..5).prop_map(|mut blocks| {
        // Text stands first and is one block in the other API.
        blocks.sort_by_key(|block| block["type"] != "text");
        let texts = blocks.iter().filter(|block| block["type"] == "text").count();
        blocks.drain(..texts.saturating_sub(1));
        let mut number = 0;
        for block in blocks.iter_mut().filter(|block| block["type"] == "tool_use") {
            number += 1;
            block["id"] = json!(format!("{}{number}", block["id"].as_str().unwrap_or_default()));
        }
        let end = if number > 0 { "tool_use" } else { "end_turn" };
        (blocks, end)
    })
}

fn usage() -> Value {
    json!({ "input_tokens": 3, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 1, "output_tokens": 4, "output_tokens_details": { "thinking_tokens": 1 } })
}

/// The answer as a stream whose texts come in pieces of `size` letters.
fn stream_of(blocks: &[Value], end: &str, size: usize) -> String {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "msg_1", "model": "m", "content": [], "usage": { "input_tokens": 3, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 1, "output_tokens": 1 } } }),
    ];
    for (index, block) in blocks.iter().enumerate() {
        let is_text = block["type"] == "text";
        let (opened, whole) = match is_text {
            true => (json!({ "type": "text", "text": "" }), block["text"].as_str().expect("text").to_owned()),
            false => (
                json!({ "type": "tool_use", "id": block["id"], "name": block["name"], "input": {} }),
                block["input"].to_string(),
            ),
        };
        events.push(json!({ "type": "content_block_start", "index": index, "content_block": opened }));
        let letters: Vec<char> = whole.chars().collect();
        for piece in letters.chunks(size) {
            let piece: String = piece.iter().collect();
            let delta = match is_text {
                true => json!({ "type": "text_delta", "text": piece }),
                false => json!({ "type": "input_json_delta", "partial_json": piece }),
            };
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    events.push(json!({ "type": "message_delta", "delta": { "stop_reason": end, "stop_sequence": null }, "usage": usage() }));
    events.push(json!({ "type": "message_stop" }));
    events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type")))
        .collect()
}

fn whole_of(blocks: &[Value], end: &str) -> Value {
    json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks,
        "stop_reason": end, "stop_sequence": null, "stop_details": null, "usage": usage() })
}

/// A stream of Messages read as its SDKs do.
fn gathered(stream: &[u8]) -> Value {
    let mut message = Value::Null;
    let mut blocks: Vec<(Value, String)> = Vec::new();
    for (_, data) in events(stream) {
        let event: Value = serde_json::from_str(&data).expect("JSON");
        match event["type"].as_str().expect("a type") {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                assert_eq!(event["index"], blocks.len());
                blocks.push((event["content_block"].clone(), String::new()));
            }
            "content_block_delta" => {
                assert_eq!(event["index"], blocks.len() - 1);
                let said = event["delta"]["text"].as_str().or(event["delta"]["partial_json"].as_str());
                blocks.last_mut().expect("a block").1.push_str(said.expect("a delta"));
            }
            "message_delta" => {
                for name in ["stop_reason", "stop_sequence", "stop_details"] {
                    message[name] = event["delta"][name].clone();
                }
                message["usage"] = event["usage"].clone();
            }
            _ => {}
        }
    }
    let content = blocks.into_iter().map(|(mut block, said)| {
        match block["type"] == "text" {
            true => block["text"] = said.into(),
            false if said.is_empty() => {}
            false => block["input"] = serde_json::from_str(&said).expect("the input"),
        }
        block
    });
    message["content"] = content.collect::<Vec<_>>().into();
    message
}

fn through(memory: &Memory, stream: &[u8], cut: usize) -> Vec<u8> {
    let (mut translation, mut out) = (Stream::new(memory.clone()), Vec::new());
    for piece in stream.chunks(cut) {
        translation.feed(piece, &mut out).expect("a stream");
    }
    assert_eq!(translation.end(&mut out), Ok(true));
    out
}

#[test]
fn there_and_back_an_answer_says_the_same_whole_and_as_a_stream() {
    let asked = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }], "stream": true, "stream_options": { "include_usage": true } });
    let there = translated(Chat, Messages, &asked).expect("a request").memory;
    let back = memory(Messages, Chat, true);
    let items = memory(Responses, Messages, true);
    runner()
        .run(&(blocks(), 1_usize..9, 1_usize..40), |((blocks, end), size, cut)| {
            let whole = whole_of(&blocks, end);
            let stream = stream_of(&blocks, end, size);
            let chat = answer(&there, whole.to_string().as_bytes()).expect("an answer");
            let again: Value =
                serde_json::from_slice(&answer(&back, &chat).expect("an answer")).expect("JSON");
            // Nothing said is an empty text in the other API, and none here.
            prop_assert_eq!(&again, &whole);
            let chunks = through(&there, stream.as_bytes(), cut);
            prop_assert_eq!(gathered(&through(&back, &chunks, size)), whole.clone());
            let told = events(&through(&items, stream.as_bytes(), cut));
            let last: Value = serde_json::from_str(&told.last().expect("events").1).expect("JSON");
            let one: Value =
                serde_json::from_slice(&answer(&items, whole.to_string().as_bytes()).expect("an answer"))
                    .expect("JSON");
            prop_assert_eq!(&last["response"], &one);
            Ok(())
        })
        .expect("the property holds");
}
