//! The simulated provider over its real socket, and its pure parts by themselves.

mod held;
mod knobs;
mod surfaces;

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use proptest::prelude::{ProptestConfig, any, proptest};
use serde_json::{Value, json};

use super::ask::{first_words, tokens};
use super::dice::{Dice, happens};
use super::fill::fill;
use super::{Mock, MockProvider};
use crate::config::MockModel;

fn calm() -> MockModel {
    MockModel {
        words: 60.0,
        first_token: Duration::ZERO,
        per_token: Duration::ZERO,
        errors: 0.0,
        rate_limited: 0.0,
        cuts: 0.0,
        refusals: 0.0,
        malformed: 0.0,
    }
}

fn mock(model: MockModel) -> Mock {
    let provider = |name: &str, seed| MockProvider {
        name: name.into(),
        seed,
        models: vec![("m-1".to_owned(), model.clone()), ("m-2".to_owned(), model.clone())],
    };
    Mock::start(0, vec![provider("sim", 7), provider("other", 8)]).unwrap()
}

struct Answered {
    status: u16,
    head: String,
    body: String,
    /// The body ended as its head promised.
    complete: bool,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The JSON of each event, and how the stream ended.
    fn events(&self) -> Vec<Value> {
        let data =
            self.body.split("\n\n").filter_map(|event| event.split_once("data: ").map(|(_, data)| data));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

fn call(mock: &Mock, method: &str, path: &str, headers: &str, sent: &[u8]) -> Answered {
    let mut stream = TcpStream::connect(mock.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = sent.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n{headers}").unwrap();
    write!(stream, "content-length: {length}\r\n\r\n").unwrap();
    stream.write_all(sent).unwrap();
    let mut bytes = Vec::new();
    let read = BufReader::new(stream).read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (body, complete) = if head.contains("transfer-encoding: chunked") {
        dechunked(rest)
    } else {
        (rest.to_owned(), read.is_ok())
    };
    Answered { status, head: head.to_owned(), body, complete }
}

fn dechunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let (piece, more) = after.split_at(size);
        body.push_str(piece);
        rest = more.strip_prefix("\r\n").unwrap();
    }
    (body, false)
}

fn post(mock: &Mock, path: &str, body: &Value) -> Answered {
    call(mock, "POST", path, "content-type: application/json\r\n", body.to_string().as_bytes())
}

const CHAT: &str = "/sim/v1/chat/completions";
const MESSAGES: &str = "/sim/v1/messages";

fn asked(question: &str) -> Value {
    json!({"model": "m-1", "max_tokens": 4000, "messages": [{"role": "user", "content": question}]})
}

fn with(mut body: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

fn said(answer: &Value) -> String {
    let chat = answer.pointer("/choices/0/message/content");
    chat.or(answer.pointer("/content/0/text")).and_then(Value::as_str).unwrap().to_owned()
}

/// What a stream's deltas add up to.
fn streamed(answered: &Answered) -> String {
    let part = |event: &Value| {
        let chat = event.pointer("/choices/0/delta/content");
        chat.or(event.pointer("/delta/text")).and_then(Value::as_str).map(str::to_owned)
    };
    answered.events().iter().filter_map(part).collect()
}

#[test]
fn the_first_sentence_names_model_and_prompt() {
    let mock = mock(calm());
    let system = "You are a senior software engineer. Give specific, actionable code examples.";
    let opening = "(m-1, told: You are a senior software engineer. Give specific, actionable code examples.)";
    let chat = json!({"messages": [{"role": "developer", "content": system}, {"role": "user", "content": "Sort a list?"}]});
    let messages = [
        (CHAT, chat),
        (MESSAGES, json!({"system": system})),
        (
            MESSAGES,
            json!({"system": [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]}),
        ),
    ];
    for (path, more) in messages {
        let text = said(&post(&mock, path, &with(asked("Sort a list?"), more)).json());
        assert!(text.starts_with(opening), "{text}");
        assert!(text.contains("Sort list"), "the answer is about the question: {text}");
    }
    assert!(said(&post(&mock, CHAT, &asked("Hm?")).json()).starts_with("(m-1, told nothing)"));
}

#[test]
fn the_same_request_gets_the_same_text_streamed_or_not() {
    let mock = mock(calm());
    for path in [CHAT, MESSAGES] {
        let body = asked("How do tides work?");
        let whole = said(&post(&mock, path, &body).json());
        assert_eq!(whole, said(&post(&mock, path, &body).json()));
        let stream = post(&mock, path, &with(body.clone(), json!({"stream": true})));
        assert!(
            stream.complete && stream.head.contains("content-type: text/event-stream"),
            "{}",
            stream.head
        );
        assert_eq!(streamed(&stream), whole);
        for other in [with(body.clone(), json!({"model": "m-2"})), asked("How do tides move?")] {
            assert_ne!(said(&post(&mock, path, &other).json()), whole);
        }
        let elsewhere = said(&post(&mock, &path.replace("/sim", "/other"), &body).json());
        assert_ne!(elsewhere, whole, "another seed, another answer");
        assert_eq!(
            said(&post(&mock, &path.replace("/sim", ""), &body).json()),
            whole,
            "no prefix: the first"
        );
    }
}

#[test]
fn chat_streams_keep_the_order_and_the_usage_rule() {
    let mock = mock(calm());
    for (options, usage) in [(Value::Null, false), (json!({"include_usage": true}), true)] {
        let body = with(asked("Why is the sky blue?"), json!({"stream": true, "stream_options": options}));
        let stream = post(&mock, CHAT, &body);
        assert!(stream.body.ends_with("data: [DONE]\n\n"));
        let events = stream.events();
        assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
        let finish = events.len() - 1 - usize::from(usage);
        assert_eq!(events[finish]["choices"][0]["finish_reason"], "stop");
        assert_eq!(events[finish]["choices"][0]["delta"], json!({}));
        assert!(events.iter().all(|event| event["id"] == events[0]["id"]), "one id");
        assert!(events[..=finish].iter().all(|event| event.get("usage") == usage.then_some(&Value::Null)));
        if usage {
            let last = events.last().unwrap();
            assert_eq!(last["choices"], json!([]));
            let (prompt, completion) = (&last["usage"]["prompt_tokens"], &last["usage"]["completion_tokens"]);
            assert_eq!(completion.as_u64().unwrap() as usize, finish - 1);
            assert_eq!(last["usage"]["total_tokens"], json!(prompt.as_u64().unwrap() + finish as u64 - 1));
        }
    }
}

#[test]
fn message_streams_keep_the_order() {
    let mock = mock(calm());
    let stream = post(&mock, MESSAGES, &with(asked("Why is the sky blue?"), json!({"stream": true})));
    let named: Vec<&str> = stream.body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let events = stream.events();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(named, types);
    let mut order = types.clone();
    order.dedup();
    assert_eq!(
        order,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let deltas = types.iter().filter(|kind| **kind == "content_block_delta").count();
    assert_eq!(events[types.len() - 2]["usage"]["output_tokens"], json!(deltas));
    assert_eq!(events[types.len() - 2]["delta"]["stop_reason"], "end_turn");
    assert!(events[0]["message"]["usage"]["input_tokens"].as_u64().unwrap() > 3);
}

#[test]
fn the_answer_ends_where_the_request_says() {
    let mock = mock(calm());
    let short = json!({"max_tokens": 5});
    let chat = post(&mock, CHAT, &with(asked("Why?"), short.clone())).json();
    assert_eq!(chat["choices"][0]["finish_reason"], "length");
    assert_eq!(chat["usage"]["completion_tokens"], 5);
    let newer = post(&mock, CHAT, &with(asked("Why?"), json!({"max_completion_tokens": 6}))).json();
    assert_eq!(newer["usage"]["completion_tokens"], 6);
    let message = post(&mock, MESSAGES, &with(asked("Why?"), short)).json();
    assert_eq!(
        (&message["stop_reason"], &message["usage"]["output_tokens"]),
        (&json!("max_tokens"), &json!(5))
    );
    let stopped =
        post(&mock, MESSAGES, &with(asked("Why?"), json!({"stop_sequences": ["zzz", " nothing"]}))).json();
    assert_eq!(
        (&stopped["stop_reason"], &stopped["stop_sequence"]),
        (&json!("stop_sequence"), &json!(" nothing"))
    );
    assert_eq!(said(&stopped), "(m-1, told");
    let chat_stopped = post(&mock, CHAT, &with(asked("Why?"), json!({"stop": " nothing"}))).json();
    assert_eq!(
        (said(&chat_stopped).as_str(), &chat_stopped["choices"][0]["finish_reason"]),
        ("(m-1, told", &json!("stop"))
    );
}

/// One tool that takes a place, one that takes nothing.
fn schemas() -> [(&'static str, Value); 2] {
    let place = json!({
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
        },
        "required": ["city", "unit", "days"],
        "additionalProperties": false,
    });
    [("get_weather", place), ("get_time", json!({"type": "object", "properties": {}}))]
}

#[test]
fn tools_are_called_when_the_question_names_them() {
    let mock = mock(calm());
    let chat_tools: Vec<Value> = schemas()
        .map(|(name, schema)| json!({"type": "function", "function": {"name": name, "parameters": schema}}))
        .to_vec();
    let message_tools: Vec<Value> =
        schemas().map(|(name, schema)| json!({"name": name, "input_schema": schema})).to_vec();
    let none: [&str; 0] = [];
    let cases: [(&str, Value, Value, &[&str]); 6] = [
        ("Hello there", Value::Null, Value::Null, &none),
        ("What is the weather in Paris?", Value::Null, Value::Null, &["get_weather"]),
        ("The weather and the time in Paris?", Value::Null, Value::Null, &["get_weather", "get_time"]),
        ("The weather in Paris?", json!("none"), json!({"type": "none"}), &none),
        ("Hello there", json!("required"), json!({"type": "any"}), &["get_weather"]),
        (
            "Hello there",
            json!({"type": "function", "function": {"name": "get_time"}}),
            json!({"type": "tool", "name": "get_time"}),
            &["get_time"],
        ),
    ];
    for (question, chat_choice, message_choice, expected) in cases {
        let chat = with(asked(question), json!({"tools": chat_tools, "tool_choice": chat_choice}));
        let message = with(asked(question), json!({"tools": message_tools, "tool_choice": message_choice}));
        for (path, body) in [(CHAT, chat), (MESSAGES, message)] {
            let whole = calls(&post(&mock, path, &body).json());
            let names: Vec<&str> = whole.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, expected, "{path} {question}");
            let stream = post(&mock, path, &with(body, json!({"stream": true})));
            assert_eq!(streamed_calls(&stream), whole, "{path} {question}");
            if let Some((_, arguments)) = whole.first().filter(|(name, _)| name == "get_weather") {
                assert!(jsonschema::is_valid(&schemas()[0].1, arguments), "{arguments}");
                assert!(!question.contains("Paris") || arguments["city"] == "Paris", "{arguments}");
            }
        }
    }
}

fn calls(answer: &Value) -> Vec<(String, Value)> {
    let chat = answer.pointer("/choices/0/message/tool_calls").and_then(Value::as_array);
    let of_chat = chat.into_iter().flatten().map(|call| {
        let arguments = call["function"]["arguments"].as_str().unwrap();
        (call["function"]["name"].as_str().unwrap().to_owned(), serde_json::from_str(arguments).unwrap())
    });
    let blocks = answer.get("content").and_then(Value::as_array);
    let of_messages = blocks.into_iter().flatten().filter(|block| block["type"] == "tool_use");
    let of_messages =
        of_messages.map(|block| (block["name"].as_str().unwrap().to_owned(), block["input"].clone()));
    of_chat.chain(of_messages).collect()
}

fn streamed_calls(answered: &Answered) -> Vec<(String, Value)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for event in answered.events() {
        if let Some(call) = event.pointer("/choices/0/delta/tool_calls/0") {
            match call["function"]["name"].as_str() {
                Some(name) => calls.push((name.to_owned(), String::new())),
                None => {
                    let index = call["index"].as_u64().unwrap() as usize;
                    calls[index].1.push_str(call["function"]["arguments"].as_str().unwrap());
                }
            }
        }
        if event["content_block"]["type"] == "tool_use" {
            calls.push((event["content_block"]["name"].as_str().unwrap().to_owned(), String::new()));
        }
        if let Some(part) = event.pointer("/delta/partial_json") {
            calls[event["index"].as_u64().unwrap() as usize].1.push_str(part.as_str().unwrap());
        }
    }
    calls.into_iter().map(|(name, text)| (name, serde_json::from_str(&text).unwrap())).collect()
}

#[test]
fn after_a_tool_result_comes_text() {
    let mock = mock(calm());
    let [weather, _] = schemas();
    let chat = json!({"model": "m-1", "messages": [
        {"role": "user", "content": "The weather in Paris?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain at noon"},
    ], "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": weather.1}}]});
    let message = json!({"model": "m-1", "max_tokens": 999, "messages": [
        {"role": "user", "content": "The weather in Paris?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain at noon"}]},
    ], "tools": [{"name": "get_weather", "input_schema": weather.1}]});
    for (path, body) in [(CHAT, chat), (MESSAGES, message)] {
        let text = said(&post(&mock, path, &body).json());
        assert!(text.contains("The tool says: rain at noon"), "{text}");
    }
}

#[test]
fn json_is_answered_where_it_is_asked() {
    let schema = json!({"type": "object", "properties": {
        "mood": {"type": ["string", "null"], "maxLength": 5},
        "when": {"type": "string", "format": "date"},
        "steps": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/step"}},
        "kind": {"anyOf": [{"type": "null"}, {"const": 4}]},
    }, "required": ["mood", "when", "steps", "kind"], "$defs": {"step": {
        "type": "object", "properties": {"cost": {"type": "number", "minimum": 0, "maximum": 1}}, "required": ["cost"],
    }}});
    let chat =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}});
    let messages = json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    for (path, format) in [(CHAT, chat), (MESSAGES, messages)] {
        let text = said(&post(&mock(calm()), path, &with(asked("Plan the day"), format.clone())).json());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(jsonschema::is_valid(&schema, &value), "{text}");
        let broken = mock(MockModel { malformed: 1.0, ..calm() });
        let malformed = said(&post(&broken, path, &with(asked("Plan the day"), format)).json());
        assert!(serde_json::from_str::<Value>(&malformed).is_err(), "{malformed}");
    }
    let free = json!({"response_format": {"type": "json_object"}});
    let text = said(&post(&mock(calm()), CHAT, &with(asked("As JSON"), free)).json());
    assert!(serde_json::from_str::<Value>(&text).unwrap()["answer"].is_string());
}

#[test]
fn faults_come_in_the_dialect() {
    let check = |model: MockModel, path: &str, expected: &[(u16, &str)]| {
        let mock = mock(model);
        let answered = post(&mock, path, &asked("Why?"));
        let kind = answered.json()["error"]["type"].as_str().unwrap_or("").to_owned();
        assert!(expected.contains(&(answered.status, kind.as_str())), "{path}: {}", answered.body);
        answered
    };
    let failing = MockModel { errors: 1.0, ..calm() };
    check(failing.clone(), CHAT, &[(500, "server_error")]);
    check(failing, MESSAGES, &[(500, "api_error"), (529, "overloaded_error")]);
    for (path, kind) in [(CHAT, "requests"), (MESSAGES, "rate_limit_error")] {
        let limited = check(MockModel { rate_limited: 1.0, ..calm() }, path, &[(429, kind)]);
        assert!(limited.head.contains("retry-after: 2"), "{}", limited.head);
    }
    let refusing = mock(MockModel { refusals: 1.0, ..calm() });
    let chat = post(&refusing, CHAT, &asked("Why?")).json();
    assert!(chat["choices"][0]["message"]["refusal"].is_string());
    assert_eq!(chat["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(post(&refusing, MESSAGES, &asked("Why?")).json()["stop_reason"], "refusal");
}

#[test]
fn a_cut_stream_breaks_off_after_half_its_tokens() {
    for (path, end) in [(CHAT, "[DONE]"), (MESSAGES, "message_stop")] {
        let body = with(asked("Why is the sky blue?"), json!({"stream": true}));
        let whole = streamed(&post(&mock(calm()), path, &body));
        let cut = post(&mock(MockModel { cuts: 1.0, ..calm() }), path, &body);
        assert!(!cut.complete && !cut.body.contains(end), "{path}");
        let part = streamed(&cut);
        assert!(whole.starts_with(&part) && part.len() > whole.len() / 4, "{path}: {part}");
        assert!(part.len() < whole.len() * 3 / 4, "{path}: {part}");
    }
}

#[test]
fn wrong_requests_are_refused_by_name() {
    let mock = mock(calm());
    let cases: [(&str, &[u8], u16, &str); 9] = [
        (CHAT, b"{", 400, "JSON"),
        (CHAT, b"[]", 400, "object"),
        (CHAT, br#"{"messages":[{"role":"user","content":"x"}]}"#, 400, "model"),
        (CHAT, br#"{"model":"m-1"}"#, 400, "messages"),
        (CHAT, br#"{"model":"m-1","messages":[{"content":"x"}]}"#, 400, "messages[0].role"),
        (CHAT, br#"{"model":"gpt-0","messages":[{"role":"user","content":"x"}]}"#, 404, "gpt-0"),
        (MESSAGES, br#"{"model":"m-1","messages":[{"role":"user","content":"x"}]}"#, 400, "max_tokens"),
        (
            MESSAGES,
            br#"{"model":"m-9","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
            404,
            "m-9",
        ),
        ("/sim/v1/embeddings", br#"{"model":"e"}"#, 400, "input"),
    ];
    for (path, body, status, named) in cases {
        let answered = call(&mock, "POST", path, "", body);
        assert_eq!(answered.status, status, "{}", answered.body);
        let error = &answered.json()["error"];
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
        assert_eq!(
            answered.json().get("type").is_some(),
            path == MESSAGES,
            "in the dialect: {}",
            answered.body
        );
    }
}

#[test]
fn the_other_calls() {
    let mock = mock(calm());
    let get = |path: &str, headers: &str| call(&mock, "GET", path, headers, b"");
    let list = get("/sim/v1/models", "").json();
    assert_eq!((&list["object"], &list["data"][1]["id"]), (&json!("list"), &json!("m-2")));
    let version = "anthropic-version: 2023-06-01\r\n";
    let theirs = get("/sim/v1/models", version).json();
    assert_eq!((&theirs["first_id"], &theirs["data"][0]["type"]), (&json!("m-1"), &json!("model")));
    assert_eq!(get("/sim/v1/models/m-2", version).json()["id"], "m-2");
    assert_eq!(get("/sim/models/m-3", "").status, 404);
    let counted = post(&mock, "/sim/v1/messages/count_tokens", &asked("one two three")).json();
    assert_eq!(counted, json!({"input_tokens": 6}));
    let float =
        post(&mock, "/sim/v1/embeddings", &json!({"model": "e", "input": ["a", "b"], "dimensions": 3}))
            .json();
    let base64 = json!({"model": "e", "input": "a", "dimensions": 3, "encoding_format": "base64"});
    let text = post(&mock, "/sim/v1/embeddings", &base64).json();
    assert_eq!(float["data"].as_array().unwrap().len(), 2);
    let vector: Vec<f64> = serde_json::from_value(float["data"][0]["embedding"].clone()).unwrap();
    assert!((vector.iter().map(|part| part * part).sum::<f64>() - 1.0).abs() < 1e-5);
    assert_eq!(decoded(text["data"][0]["embedding"].as_str().unwrap()), vector);
    let echo = call(&mock, "PUT", "/sim/v1/files/x?a=1&b", "content-type: text/x\r\n", b"abc").json();
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(
        echo,
        json!({"method": "PUT", "path": "/v1/files/x", "query": "a=1&b", "content_type": "text/x", "body_bytes": 3,
            "body_sha256": sha256})
    );
}

/// Base64 of little-endian floats, read the plain way.
fn decoded(text: &str) -> Vec<f64> {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String =
        text.trim_end_matches('=').chars().map(|c| format!("{:06b}", letters.find(c).unwrap())).collect();
    let eight = |eight: &[u8]| eight.iter().fold(0_u8, |byte, bit| byte << 1 | (bit & 1));
    let bytes: Vec<u8> = bits.as_bytes().chunks_exact(8).map(eight).collect();
    bytes.chunks_exact(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap()))).collect()
}

#[test]
fn caches_and_images_are_counted() {
    let mock = mock(calm());
    let long = "word ".repeat(1200);
    let usage = |path: &str, body: &Value| post(&mock, path, body).json()["usage"].clone();
    let turns =
        json!({"messages": [{"role": "system", "content": long}, {"role": "user", "content": "Why?"}]});
    let chat = usage(CHAT, &with(asked(""), turns));
    assert_eq!(chat["prompt_tokens_details"]["cached_tokens"], 1152);
    assert!(chat["prompt_tokens"].as_u64().unwrap() > 1200);
    let block = json!([{"type": "text", "text": "word ".repeat(50), "cache_control": {"type": "ephemeral"}}]);
    let first = usage(MESSAGES, &with(asked("Why?"), json!({"system": block})));
    assert!(first["cache_creation_input_tokens"].as_u64().unwrap() >= 50, "{first}");
    let later = json!({"system": block, "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]});
    let later = usage(MESSAGES, &with(asked(""), later));
    assert_eq!(later["cache_read_input_tokens"], first["cache_creation_input_tokens"]);
    let image = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]});
    assert!(said(&post(&mock, CHAT, &with(asked(""), image)).json()).contains("I looked at the image."));
}

#[test]
fn tokens_take_their_time() {
    let slow = MockModel {
        words: 12.0,
        first_token: Duration::from_millis(60),
        per_token: Duration::from_millis(5),
        ..calm()
    };
    let mock = mock(slow);
    for path in [CHAT, MESSAGES] {
        let begun = Instant::now();
        let answered = post(&mock, path, &asked("Why?"));
        assert!(answered.complete && begun.elapsed() > Duration::from_millis(60));
    }
}

#[test]
fn an_update_holds_for_the_next_request_and_shutdown_ends_it() {
    let mock = mock(calm());
    assert_eq!(post(&mock, CHAT, &asked("Why?")).status, 200);
    mock.update(vec![MockProvider { name: "sim".into(), seed: 7, models: Vec::new() }]);
    assert_eq!(post(&mock, CHAT, &asked("Why?")).status, 404);
    mock.shutdown();
    let begun = Instant::now();
    while TcpStream::connect(mock.address()).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it still listens");
        std::thread::yield_now();
    }
}

#[test]
fn chance_keeps_its_shares_and_raising_one_only_adds() {
    let taken = |share: f64| (0..20_000).filter(|seed| happens(*seed, "errors", share)).collect::<Vec<u64>>();
    let (few, more) = (taken(0.05), taken(0.2));
    assert!((900..1100).contains(&few.len()), "{}", few.len());
    assert!((3800..4200).contains(&more.len()), "{}", more.len());
    assert!(few.iter().all(|seed| more.contains(seed)));
    let mut dice = Dice::new(1, "words");
    let mean = (0..20_000).map(|_| dice.around(60.0, 0.35)).sum::<f64>() / 20_000.0;
    assert!((mean - 60.0).abs() < 1.0, "{mean}");
}

#[test]
fn first_words_say_that_more_follows() {
    for (text, words, expected) in
        [("", 3, ""), ("a b", 3, "a b"), ("a b c d", 3, "a b c…"), (" a\nb ", 1, "a…")]
    {
        assert_eq!(first_words(text, words), expected);
    }
}

#[test]
fn a_schema_that_grows_without_end_is_cut_short() {
    let list = json!({"type": "array", "minItems": 64, "items": {"$ref": "#"}});
    assert!(fill(&list, &[], &mut Dice::new(1, "words")).to_string().len() < 100_000);
    let tree = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}});
    assert!(jsonschema::is_valid(&tree, &fill(&tree, &[], &mut Dice::new(1, "words"))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tokens_lose_nothing(text in any::<String>()) {
        let tokens = tokens(&text);
        assert!(tokens.iter().all(|token| !token.is_empty()));
        assert_eq!(tokens.concat(), text);
    }

    #[test]
    fn no_schema_breaks_it(text in "[a-z0-9{}\\[\\]\":, $#/]{0,60}", seed in any::<u64>()) {
        let odd = json!({"type": "object", "properties": {"x": {"$ref": "#"}, "y": {"type": "array",
            "items": {"enum": [], "minItems": seed}}, "z": {"type": "number", "minimum": 9, "maximum": -1}}});
        let schema = serde_json::from_str(&text).unwrap_or(odd);
        let mut dice = Dice::new(seed, "words");
        fill(&schema, &["Paris"], &mut dice);
    }
}
