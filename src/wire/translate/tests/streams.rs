//! Streams: transcripts in the published formats, cut anywhere, broken anywhere.

use serde_json::{Value, json};

use super::*;
use crate::wire::Endpoint::{Chat, Messages, Responses};

/// A message in the published format: text, a call in fragments, one without input, thinking and signs of life between.
pub(super) const MESSAGE: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01AB\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"claude-x\",\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"Let me \\\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"see\\\" \\ud83d\\ude00.\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\": \\\"x\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"y\\\"}\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"g\",\"input\":{}}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":3}\n\n",
    "event: something_new\ndata: {\"type\":\"something_new\"}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// A chat completion in the published format, whose two calls come in turns.
pub(super) const COMPLETION: &str = concat!(
    ": processing\n\n",
    "data: {\"id\":\"\",\"object\":\"\",\"created\":0,\"model\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"object\":\"chat.completion.chunk\",\"created\":1600000000,\"model\":\"gpt-x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"x\"}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"object\":\"chat.completion.chunk\",\"created\":1600000000,\"model\":\"gpt-x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Let \\\"me\\\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" see.\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\\\"{\"}}]},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"call_2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}]},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"}\"}}]},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"}\"}}]},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"id\":\"chatcmpl-9z\",\"choices\":[],\"usage\":{\"prompt_tokens\":15,\"completion_tokens\":7,\"total_tokens\":22,\"prompt_tokens_details\":{\"cached_tokens\":5}}}\n\n",
    "data: [DONE]\n\n",
);

/// What the caller gets of a stream that comes in these pieces, and whether it came to its end.
fn told<'p>(memory: Memory, pieces: impl Iterator<Item = &'p [u8]>) -> (Vec<u8>, bool) {
    let mut stream = Stream::new(memory);
    let mut out = Vec::new();
    for piece in pieces {
        stream.feed(piece, &mut out).expect("a stream");
    }
    // An event that was cut in its middle is no JSON.
    let whole = stream.end(&mut out).unwrap_or(false);
    assert_eq!(whole, stream.is_over());
    (out, whole)
}

fn of(memory: Memory, stream: &str) -> Vec<(Option<String>, String)> {
    let (out, whole) = told(memory, std::iter::once(stream.as_bytes()));
    assert!(whole);
    events(&out)
}

fn data(events: &[(Option<String>, String)]) -> Vec<Value> {
    let json = events.iter().filter(|(_, data)| data != "[DONE]");
    json.map(|(_, data)| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")))
        .collect()
}

#[test]
fn a_message_comes_as_chunks() {
    let events = of(memory(Chat, Messages, true), MESSAGE);
    assert_eq!(events.last().map(|(_, data)| data.as_str()), Some("[DONE]"));
    assert!(events.iter().all(|(name, _)| name.is_none()));
    let chunks = data(&events);
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    let wanted = [
        json!({ "role": "assistant", "content": "", "refusal": null }),
        json!({ "content": "Let me \"" }),
        json!({ "content": "see\" 😀." }),
        json!({ "tool_calls": [{ "index": 0, "id": "toolu_1", "type": "function", "function": { "name": "f", "arguments": "" } }] }),
        json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{\"a\": \"x" } }] }),
        json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "y\"}" } }] }),
        json!({ "tool_calls": [{ "index": 1, "id": "toolu_2", "type": "function", "function": { "name": "g", "arguments": "" } }] }),
        json!({ "tool_calls": [{ "index": 1, "function": { "arguments": "{}" } }] }),
        json!({}),
    ];
    assert_eq!(deltas, wanted.iter().collect::<Vec<_>>());
    for chunk in &chunks {
        assert_eq!(
            (&chunk["id"], &chunk["model"], &chunk["created"]),
            (&json!("chatcmpl-01AB"), &json!("claude-x"), &json!(1_700_000_000))
        );
        assert_eq!(
            (&chunk["object"], chunk.get("usage")),
            (&json!("chat.completion.chunk"), None),
            "usage was not asked for"
        );
    }
    assert_eq!(chunks.last().expect("chunks")["choices"][0]["finish_reason"], "tool_calls");
    assert!(chunks.iter().rev().skip(1).all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
}

#[test]
fn usage_comes_last_where_it_was_asked_for() {
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }], "stream": true, "stream_options": { "include_usage": true } });
    let chunks = data(&of(translated(Chat, Messages, &body).expect("a request").memory, MESSAGE));
    let (last, others) = chunks.split_last().expect("chunks");
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(
        (&last["choices"], &last["usage"]["prompt_tokens"], &last["usage"]["completion_tokens"]),
        (&json!([]), &json!(15), &json!(7))
    );
}

#[test]
fn signs_of_life_are_kept() {
    let (out, _) = told(memory(Chat, Messages, true), std::iter::once(MESSAGE.as_bytes()));
    assert!(String::from_utf8_lossy(&out).matches(": ping\n\n").count() >= 3);
    let (out, _) = told(memory(Messages, Chat, true), std::iter::once(COMPLETION.as_bytes()));
    assert!(out.starts_with(b": ping\n\n"), "before the first event only a comment");
    let alive = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n: still there\n\n";
    let (out, _) = told(memory(Messages, Chat, true), std::iter::once(alive.as_bytes()));
    assert!(String::from_utf8_lossy(&out).ends_with("event: ping\ndata: {\"type\":\"ping\"}\n\n"));
}

#[test]
fn chunks_come_as_a_message_and_calls_that_come_in_turns_one_after_the_other() {
    let events = of(memory(Messages, Chat, true), COMPLETION);
    for (name, data) in &events {
        let data: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(name.as_deref(), data["type"].as_str());
    }
    let all = data(&events);
    let usage = |told: &Value| told["usage"].clone();
    assert_eq!(all[0]["message"]["id"], "msg_9z");
    assert_eq!((&all[0]["message"]["content"], &all[0]["message"]["model"]), (&json!([]), &json!("gpt-x")));
    assert!(usage(&all[0]["message"])["input_tokens"].is_u64());
    let block = |index: u64, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let delta =
        |index: u64, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    let stop = |index: u64| json!({ "type": "content_block_stop", "index": index });
    let input = |text: &str| json!({ "type": "input_json_delta", "partial_json": text });
    let wanted = [
        block(0, json!({ "type": "text", "text": "" })),
        delta(0, json!({ "type": "text_delta", "text": "Let \"me\"" })),
        delta(0, json!({ "type": "text_delta", "text": " see." })),
        stop(0),
        block(1, json!({ "type": "tool_use", "id": "call_1", "name": "f", "input": {} })),
        delta(1, input("{\"a\":\"{")),
        delta(1, input("\"}")),
        stop(1),
        block(2, json!({ "type": "tool_use", "id": "call_2", "name": "g", "input": {} })),
        delta(2, input("{")),
        delta(2, input("}")),
        stop(2),
    ];
    assert_eq!(all[1..13], wanted);
    assert_eq!(all[13]["delta"]["stop_reason"], "tool_use");
    let counted = usage(&all[13]);
    assert_eq!(
        (&counted["input_tokens"], &counted["cache_read_input_tokens"], &counted["output_tokens"]),
        (&json!(10), &json!(5), &json!(7))
    );
    assert_eq!((&all[14], all.len()), (&json!({ "type": "message_stop" }), 15));
}

#[test]
fn a_message_comes_as_a_responses_events() {
    let events = of(memory(Responses, Messages, true), MESSAGE);
    let all = data(&events);
    for (number, ((name, _), event)) in events.iter().zip(&all).enumerate() {
        assert_eq!((name.as_deref(), &event["sequence_number"]), (event["type"].as_str(), &json!(number)));
    }
    let kinds: Vec<&str> =
        all.iter().filter_map(|event| event["type"].as_str()?.strip_prefix("response.")).collect();
    let wanted = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds, wanted);
    let last = &all.last().expect("events")["response"];
    assert_eq!(last["output"][0]["content"][0]["text"], "Let me \"see\" 😀.");
    assert_eq!(
        (&last["output"][1]["arguments"], &last["output"][2]["arguments"]),
        (&json!("{\"a\": \"xy\"}"), &json!("{}"))
    );
    let done: Vec<&Value> = all
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    assert_eq!(json!(done), last["output"]);
    for event in all.iter().filter(|event| event.get("item_id").is_some()) {
        let place = event["output_index"].as_u64().expect("a place") as usize;
        assert_eq!(event["item_id"], last["output"][place]["id"]);
    }
    assert_eq!((&last["usage"]["input_tokens"], &last["status"]), (&json!(15), &json!("completed")));
    assert_eq!((&all[0]["response"]["usage"], &all[0]["response"]["output"]), (&Value::Null, &json!([])));
}

#[test]
fn cut_anywhere_the_same_comes_out() {
    for (from, to, stream) in [
        (Chat, Messages, MESSAGE),
        (Responses, Messages, MESSAGE),
        (Messages, Chat, COMPLETION),
        (Responses, Chat, COMPLETION),
    ] {
        let whole = told(memory(from, to, true), std::iter::once(stream.as_bytes())).0;
        for at in (0..stream.len()).step_by(11) {
            let (one, other) = stream.as_bytes().split_at(at);
            assert!(told(memory(from, to, true), [one, other].into_iter()).0 == whole, "{from:?} at {at}");
        }
        assert!(
            told(memory(from, to, true), stream.as_bytes().chunks(1)).0 == whole,
            "{from:?} byte by byte"
        );
        let crlf = stream.replace('\n', "\r\n");
        assert!(told(memory(from, to, true), crlf.as_bytes().chunks(7)).0 == whole, "{from:?} with CR LF");
    }
}

#[test]
fn what_breaks_never_ends_as_whole() {
    for (from, to, stream, terminal) in [
        (Chat, Messages, MESSAGE, "[DONE]"),
        (Responses, Messages, MESSAGE, "response.completed"),
        (Messages, Chat, COMPLETION, "message_stop"),
        (Responses, Chat, COMPLETION, "response.completed"),
    ] {
        // The last event is the one that ends it; without its last line it still says so.
        let last = stream.trim_end().rfind("\n\n").expect("events") + 2;
        let ends = stream.match_indices('\n').map(|(at, _)| at);
        for at in (0..=last).step_by(13).chain(ends.filter(|at| *at <= last)) {
            let (out, whole) = told(memory(from, to, true), std::iter::once(&stream.as_bytes()[..at]));
            assert!(!whole && !String::from_utf8_lossy(&out).contains(terminal), "{from:?} at {at}");
            events(&out);
        }
    }
}

#[test]
fn errors_in_a_stream_are_the_callers() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    let at = MESSAGE.find("event: content_block_stop").expect("events");
    let (before, after) = MESSAGE.split_at(at);
    let stream = format!("{before}{error}{after}");
    let all = data(&of(memory(Chat, Messages, true), &stream));
    let last = all.last().expect("events");
    assert_eq!((&last["error"]["code"], &last["error"]["message"]), (&json!("overloaded"), &json!("busy")));
    let all = data(&of(memory(Responses, Messages, true), &stream));
    let last = all.last().expect("events");
    assert_eq!(
        (&last["type"], &last["message"], &last["sequence_number"]),
        (&json!("error"), &json!("busy"), &json!(all.len() - 1))
    );
    let at = COMPLETION.find("data: {\"id\":\"chatcmpl-9z\",\"choices\"").expect("chunks");
    let (before, after) = COMPLETION.split_at(at);
    let error = "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":null}}\n\n";
    let stream = format!("{before}{error}{after}");
    let told = of(memory(Messages, Chat, true), &stream);
    assert_eq!(told.last().and_then(|(name, _)| name.as_deref()), Some("error"));
    assert_eq!(data(&told).last().expect("events")["error"]["type"], "api_error");
}

#[test]
fn what_is_no_json_breaks_the_stream() {
    for (from, to) in [(Chat, Messages), (Messages, Chat), (Responses, Messages)] {
        let mut stream = Stream::new(memory(from, to, true));
        let mut out = Vec::new();
        assert!(stream.feed(b"data: {\"type\":\n\n", &mut out).is_err());
        assert!(stream.feed(MESSAGE.as_bytes(), &mut out).is_err(), "and stays broken");
        assert!(stream.end(&mut out).is_err() && out.is_empty());
    }
}

#[test]
fn large_events_cross() {
    let long = "x".repeat(300_000);
    let stream = COMPLETION.replace("Let \\\"me\\\"", &long);
    let (whole, ended) = told(memory(Messages, Chat, true), std::iter::once(stream.as_bytes()));
    assert!(
        ended && String::from_utf8_lossy(&whole).contains(&format!("\"text_delta\",\"text\":\"{long}\""))
    );
    assert!(told(memory(Messages, Chat, true), stream.as_bytes().chunks(1000)).0 == whole);
}

#[test]
fn calls_are_told_apart_however_they_are_numbered() {
    let chunk = |calls: Value| {
        format!(
            "data: {}\n\n",
            json!({ "id": "c", "choices": [{ "index": 0, "delta": { "tool_calls": calls } }] })
        )
    };
    let call = |index: Value, id: &str, said: &str| json!({ "index": index, "id": id, "type": "function", "function": { "name": "f", "arguments": said } });
    let end =
        "data: {\"id\":\"c\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let inputs = |chunks: &[Value]| -> Vec<(String, String)> {
        let stream: String =
            chunks.iter().map(|calls| chunk(calls.clone())).chain([end.to_owned()]).collect();
        let mut calls: Vec<(String, String)> = Vec::new();
        for event in data(&of(memory(Messages, Chat, true), &stream)) {
            if event["type"] == "content_block_start" {
                calls.push((event["content_block"]["id"].as_str().expect("an id").to_owned(), String::new()));
            }
            if let (Some(said), Some(call)) = (event["delta"]["partial_json"].as_str(), calls.last_mut()) {
                call.1.push_str(said);
            }
        }
        calls
    };
    let wanted = [("a".to_owned(), "{}".to_owned()), ("b".to_owned(), "{\"x\":1}".to_owned())];
    // Numbered, whole in one chunk; all numbered 0; not numbered at all.
    assert_eq!(inputs(&[json!([call(json!(0), "a", "{}"), call(json!(1), "b", "{\"x\":1}")])]), wanted);
    assert_eq!(
        inputs(&[json!([call(json!(0), "a", "{}")]), json!([call(json!(0), "b", "{\"x\":1}")])]),
        wanted
    );
    assert_eq!(inputs(&[json!([call(Value::Null, "a", "{}"), call(Value::Null, "b", "{\"x\":1}")])]), wanted);
    // The first says nothing until the second is over.
    let late = [
        json!([call(json!(0), "a", "")]),
        json!([call(json!(1), "b", "{\"x\"")]),
        json!([{ "index": 1, "function": { "arguments": ":1}" } }]),
        json!([{ "index": 0, "function": { "arguments": "{}" } }]),
    ];
    assert_eq!(inputs(&late), wanted);
}

#[test]
fn deltas_do_not_wait() {
    let mut stream = Stream::new(memory(Chat, Messages, true));
    let mut deltas = 0;
    for event in MESSAGE.split_inclusive("\n\n") {
        let mut out = Vec::new();
        stream.feed(event.as_bytes(), &mut out).expect("a stream");
        let says = event.contains("text_delta")
            || event.contains("partial_json\":\"{")
            || event.contains("partial_json\":\"y");
        if says {
            deltas += 1;
            assert!(out.starts_with(b"data: {"), "{event}");
        }
    }
    assert_eq!(deltas, 4);
}
