//! Responses and Completions, whole and streamed.

use serde_json::{Value, json};

use super::{call, calm, mock, post, schemas, with};
use crate::config::MockModel;

const RESPONSES: &str = "/sim/v1/responses";
const COMPLETIONS: &str = "/sim/v1/completions";

fn asked(input: Value) -> Value {
    json!({"model": "m-1", "input": input})
}

fn text(response: &Value) -> String {
    response["output"][0]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_response_has_all_its_members() {
    let mock = mock(calm());
    let body = with(
        asked(json!("Why is the sky blue?")),
        json!({"instructions": "Be brief", "metadata": {"a": "b"}, "temperature": 0.5}),
    );
    let answer = post(&mock, RESPONSES, &body).json();
    assert!(text(&answer).contains("m-1, told: Be brief"), "{answer}");
    assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(answer["output"][0]["status"], "completed");
    assert_eq!((&answer["metadata"]["a"], &answer["temperature"]), (&json!("b"), &json!(0.5)));
    assert_eq!((&answer["instructions"], &answer["tools"]), (&json!("Be brief"), &json!([])));
    let usage = &answer["usage"];
    let sum = usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);
    let again = post(&mock, RESPONSES, &body).json();
    assert_eq!(text(&again), text(&answer), "the same words for the same request");
    let items = json!([{"role": "developer", "content": "Be brief"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Why?"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA=="}]}]);
    let by_item = post(&mock, RESPONSES, &asked(items)).json();
    assert!(text(&by_item).contains("told: Be brief) I looked at the image."), "{by_item}");
    let short = post(&mock, RESPONSES, &with(asked(json!("Why?")), json!({"max_output_tokens": 5}))).json();
    assert_eq!(short["status"], "incomplete");
    assert_eq!(short["incomplete_details"], json!({"reason": "max_output_tokens"}));
    let counted = post(&mock, "/sim/v1/responses/input_tokens", &body).json();
    assert_eq!(counted, json!({"object": "response.input_tokens", "input_tokens": usage["input_tokens"]}));
    let compacted = post(&mock, "/sim/v1/responses/compact", &body).json();
    assert_eq!(compacted["object"], "response.compaction");
    assert_eq!(compacted["output"][0]["role"], "user");
    assert_eq!(compacted["output"][1]["type"], "compaction");
}

/// Each event's name, with runs of the same as one; and that what they say adds up.
fn check_stream(model: MockModel, body: &Value, expected: &[&str]) {
    let mock = mock(model);
    let whole = post(&mock, RESPONSES, body).json();
    let streamed = post(&mock, RESPONSES, &with(body.clone(), json!({"stream": true})));
    assert!(streamed.complete && streamed.body.ends_with("\n\n") && !streamed.body.contains("[DONE]"));
    let events = streamed.events();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        let named = format!("event: {}\ndata: {{\"type\":\"", event["type"].as_str().unwrap());
        assert!(streamed.body.contains(&named));
    }
    let mut names: Vec<&str> =
        events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect();
    names.dedup();
    assert_eq!(names, expected);
    let last = &events[events.len() - 1]["response"];
    let kept = |items: &Value| -> Vec<Value> {
        items.as_array().unwrap().iter().map(|item| with(item.clone(), json!({"id": ""}))).collect()
    };
    assert_eq!(kept(&last["output"]), kept(&whole["output"]), "the same as when it comes whole");
    assert_eq!(last["usage"], whole["usage"]);
    let delta = |event: &Value| event.get("delta").and_then(Value::as_str).map(str::to_owned);
    let said: String = events.iter().filter_map(delta).collect();
    let item = &last["output"][0];
    let part = &item["content"][0];
    let meant = [&part["text"], &part["refusal"], &item["arguments"]];
    let meant = meant.iter().find_map(|value| value.as_str()).unwrap();
    assert!(said.starts_with(meant), "{said}");
}

#[test]
fn a_streamed_response_has_its_events_in_order() {
    let around = |part: [&'static str; 2], end: &'static str| {
        vec![
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            part[0],
            part[1],
            "content_part.done",
            "output_item.done",
            end,
        ]
    };
    let text = around(["output_text.delta", "output_text.done"], "completed");
    check_stream(calm(), &asked(json!("Why?")), &text);
    let cut_short = around(["output_text.delta", "output_text.done"], "incomplete");
    check_stream(calm(), &with(asked(json!("Why?")), json!({"max_output_tokens": 3})), &cut_short);
    let refusing = MockModel { refusals: 1.0, ..calm() };
    let refusal = around(["refusal.delta", "refusal.done"], "completed");
    check_stream(refusing, &asked(json!("Why?")), &refusal);
    let [weather, _] = schemas();
    let tools = json!({"tools": [{"type": "function", "name": "get_weather", "parameters": weather.1},
        {"type": "web_search"}], "tool_choice": "required"});
    let calls = [
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    check_stream(calm(), &with(asked(json!("Hello")), tools), &calls);
}

#[test]
fn responses_call_tools_and_write_json() {
    let mock = mock(calm());
    let [weather, _] = schemas();
    let tools = json!([{"type": "function", "name": "get_weather", "parameters": weather.1}]);
    let named = json!({"type": "function", "name": "get_weather"});
    let first = post(
        &mock,
        RESPONSES,
        &with(asked(json!("In Paris?")), json!({"tools": tools, "tool_choice": named})),
    )
    .json();
    let call = &first["output"][0];
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")));
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert!(jsonschema::is_valid(&weather.1, &arguments), "{arguments}");
    let result =
        json!([{"type": "function_call_output", "call_id": call["call_id"], "output": "rain at noon"}]);
    let follows = json!({"previous_response_id": first["id"], "tools": tools});
    let second = post(&mock, RESPONSES, &with(asked(result), follows)).json();
    assert!(text(&second).contains("The tool says: rain at noon"), "{second}");

    let schema =
        json!({"type": "object", "properties": {"steps": {"type": "integer"}}, "required": ["steps"]});
    let format = json!({"text": {"format": {"type": "json_schema", "name": "plan", "schema": schema}}});
    let planned = post(&mock, RESPONSES, &with(asked(json!("Plan")), format)).json();
    let value: Value = serde_json::from_str(&text(&planned)).unwrap();
    assert!(jsonschema::is_valid(&schema, &value), "{value}");
    let free = json!({"text": {"format": {"type": "json_object"}}});
    let object = post(&mock, RESPONSES, &with(asked(json!("Plan as JSON")), free)).json();
    assert!(serde_json::from_str::<Value>(&text(&object)).unwrap()["answer"].is_string());
}

#[test]
fn faults_come_on_every_surface() {
    let ask = |path: &str| match path {
        RESPONSES => asked(json!("Why?")),
        _ => json!({"model": "m-1", "prompt": "Why?"}),
    };
    for path in [RESPONSES, COMPLETIONS] {
        let failing = mock(MockModel { errors: 1.0, ..calm() });
        let failed = post(&failing, path, &ask(path));
        assert_eq!((failed.status, &failed.json()["error"]["type"]), (500, &json!("server_error")));
        let limited = post(&mock(MockModel { rate_limited: 1.0, ..calm() }), path, &ask(path));
        assert_eq!((limited.status, &limited.json()["error"]["type"]), (429, &json!("requests")));
        let streamed = with(ask(path), json!({"stream": true}));
        let cut = post(&mock(MockModel { cuts: 1.0, ..calm() }), path, &streamed);
        assert!(!cut.complete && !cut.body.contains("completed\"") && !cut.body.contains("[DONE]"));
        assert!(cut.body.matches("data: ").count() > 4, "{}", cut.body);
        let unknown = post(&mock(calm()), path, &with(ask(path), json!({"model": "m-9"})));
        assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("model_not_found")));
    }
    let mock = mock(calm());
    for (path, body, named) in [
        (RESPONSES, json!({"input": "x"}), "model"),
        (RESPONSES, json!({"model": "m-1"}), "input"),
        (RESPONSES, json!({"model": "m-1", "input": 5}), "input"),
        (RESPONSES, json!({"model": "m-1", "input": "x", "background": true, "store": false}), "background"),
        (RESPONSES, json!({"model": "m-1", "input": "x", "tool_choice": "soon"}), "tool_choice"),
        (COMPLETIONS, json!({"prompt": "x"}), "model"),
        (COMPLETIONS, json!({"model": "m-1", "prompt": ["a", "b"]}), "prompt"),
        (COMPLETIONS, json!({"model": "m-1", "prompt": "a", "n": 2}), "n"),
    ] {
        let refused = post(&mock, path, &body);
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(named)), "{body}");
    }
    assert_eq!(call(&mock, "GET", RESPONSES, "", b"").status, 404);
}

#[test]
fn completions_come_whole_and_streamed() {
    let mock = mock(calm());
    let body = json!({"model": "m-1", "prompt": "Why is the sky blue?", "max_tokens": 400});
    let whole = post(&mock, COMPLETIONS, &body).json();
    assert_eq!(
        (&whole["object"], &whole["choices"][0]["finish_reason"]),
        (&json!("text_completion"), &json!("stop"))
    );
    let said = whole["choices"][0]["text"].as_str().unwrap();
    let joined = |options: Value| {
        let streamed = post(&mock, COMPLETIONS, &with(with(body.clone(), json!({"stream": true})), options));
        assert!(streamed.complete && streamed.body.ends_with("data: [DONE]\n\n"), "{}", streamed.body);
        let events = streamed.events();
        let text: String = events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
        assert_eq!(text, said);
        events
    };
    assert!(joined(json!({})).iter().all(|event| event.get("usage").is_none()));
    let counted = joined(json!({"stream_options": {"include_usage": true}}));
    let last = &counted[counted.len() - 1];
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
    assert_eq!(counted[0]["usage"], Value::Null);
    let short = post(&mock, COMPLETIONS, &with(body, json!({"max_tokens": 3}))).json();
    assert_eq!(short["choices"][0]["finish_reason"], "length");
}
