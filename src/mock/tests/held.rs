//! What the simulated provider holds, and for whom: responses, conversations, threads.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::held::{Held, Owner, Thing};
use super::{Answered, Mock, call, calm, mock, schemas, with};
use crate::config::MockModel;

const RESPONSES: &str = "/sim/v1/responses";

/// A call with a credential and, if it is given, a body.
fn as_user(mock: &Mock, key: &str, method: &str, path: &str, body: Value) -> Answered {
    let sent = if body.is_null() { String::new() } else { body.to_string() };
    call(mock, method, path, &format!("authorization: Bearer {key}\r\n"), sent.as_bytes())
}

fn create(mock: &Mock, key: &str, more: Value) -> Value {
    let body = with(json!({"model": "m-1", "input": "Why is the sky blue?"}), more);
    let answered = as_user(mock, key, "POST", RESPONSES, body);
    assert_eq!(answered.status, 200, "{}", answered.body);
    answered.json()
}

fn at(response: &Value, rest: &str) -> String {
    format!("{RESPONSES}/{}{rest}", response["id"].as_str().unwrap())
}

#[test]
fn a_response_is_stored_for_the_account_that_made_it() {
    let mock = mock(calm());
    let made = create(&mock, "k-1", json!({}));
    let get = |key: &str, path: &str| as_user(&mock, key, "GET", path, Value::Null);
    assert_eq!(get("k-1", &at(&made, "")).json(), made);
    assert_eq!(get("k-2", &at(&made, "")).status, 404, "another key");
    assert_eq!(get("k-1", &at(&made, "").replace("/sim/", "/other/")).status, 404, "another provider");
    let same = call(&mock, "GET", &at(&made, ""), "x-api-key: k-1\r\n", b"");
    assert_eq!(same.status, 200, "the same key in the other header");
    assert_eq!(get("k-1", &at(&made, "?stream=true")).status, 400);

    let items = get("k-1", &at(&made, "/input_items")).json();
    assert_eq!(items["data"][0]["content"][0], json!({"type": "input_text", "text": "Why is the sky blue?"}));
    assert_eq!((&items["object"], &items["has_more"]), (&json!("list"), &json!(false)));
    let three = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}]);
    let talked = create(&mock, "k-1", json!({"input": three}));
    let page = |query: &str| {
        let list = get("k-1", &at(&talked, &format!("/input_items{query}"))).json();
        let texts: Vec<String> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["content"][0]["text"].as_str().unwrap().to_owned())
            .collect();
        (texts.concat(), list)
    };
    assert_eq!(page("").0, "cba");
    let (first, list) = page("?order=asc&limit=2");
    assert_eq!((first.as_str(), &list["has_more"]), ("ab", &json!(true)));
    assert_eq!(page(&format!("?order=asc&after={}", list["last_id"].as_str().unwrap())).0, "c");

    assert_eq!(as_user(&mock, "k-2", "DELETE", &at(&made, ""), Value::Null).status, 404);
    let deleted = as_user(&mock, "k-1", "DELETE", &at(&made, ""), Value::Null).json();
    assert_eq!(deleted["deleted"], true);
    assert_eq!(get("k-1", &at(&made, "")).status, 404);
    let unstored = create(&mock, "k-1", json!({"store": false}));
    assert_eq!(get("k-1", &at(&unstored, "")).status, 404);
    assert_eq!(as_user(&mock, "k-1", "POST", &at(&talked, "/cancel"), json!({})).status, 400);
}

#[test]
fn a_response_follows_on_one_of_its_account() {
    let mock = mock(calm());
    let first = create(&mock, "k-1", json!({"instructions": "Be brief"}));
    let second = create(&mock, "k-1", json!({"input": "And at night?", "previous_response_id": first["id"]}));
    assert!(
        second["usage"]["input_tokens"].as_u64() > first["usage"]["total_tokens"].as_u64(),
        "it reads what was said: {second}"
    );
    assert!(second["output"][0]["content"][0]["text"].as_str().unwrap().contains("told nothing"));
    let follow = |key: &str, more: Value| {
        let body = with(json!({"model": "m-1", "input": "x", "previous_response_id": second["id"]}), more);
        as_user(&mock, key, "POST", RESPONSES, body)
    };
    let streamed = follow("k-1", json!({"stream": true}));
    let events = streamed.events();
    let last = events[events.len() - 1]["response"].clone();
    assert_eq!(as_user(&mock, "k-1", "GET", &at(&last, ""), Value::Null).json(), last);
    for (key, more) in [("k-2", json!({})), ("k-1", json!({"previous_response_id": "resp_none"}))] {
        let lost = follow(key, more);
        let error = &lost.json()["error"];
        assert_eq!((lost.status, &error["code"]), (400, &json!("previous_response_not_found")));
        assert_eq!(error["param"], "previous_response_id");
    }
    let cutting = super::mock(MockModel { cuts: 1.0, ..calm() });
    let body = json!({"model": "m-1", "input": "x", "stream": true});
    let cut = as_user(&cutting, "k-1", "POST", RESPONSES, body).events()[0]["response"].clone();
    assert_eq!(as_user(&cutting, "k-1", "GET", &at(&cut, ""), Value::Null).status, 404, "never finished");
}

#[test]
fn a_response_in_the_background_gets_done_or_cancelled() {
    let slow = MockModel { first_token: Duration::from_secs(3600), ..calm() };
    let held = mock(slow);
    let queued = create(&held, "k", json!({"background": true}));
    assert_eq!((&queued["status"], &queued["output"]), (&json!("queued"), &json!([])));
    let get =
        |mock: &Mock, response: &Value| as_user(mock, "k", "GET", &at(response, ""), Value::Null).json();
    assert_eq!(get(&held, &queued)["status"], "in_progress");
    let cancelled = as_user(&held, "k", "POST", &at(&queued, "/cancel"), Value::Null).json();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(get(&held, &queued), cancelled);
    let quick = mock(calm());
    let queued = create(&quick, "k", json!({"background": true}));
    assert_eq!(queued["status"], "queued");
    let done = get(&quick, &queued);
    assert_eq!(done["status"], "completed");
    let late = as_user(&quick, "k", "POST", &at(&queued, "/cancel"), Value::Null).json();
    assert_eq!(late, done, "what is done stays done");
}

#[test]
fn a_conversation_grows_with_its_responses() {
    let mock = mock(calm());
    let body = json!({"items": [{"role": "developer", "content": "Be brief"}], "metadata": {"a": "b"}});
    let made = as_user(&mock, "k", "POST", "/sim/v1/conversations", body).json();
    assert_eq!((&made["object"], &made["metadata"]["a"]), (&json!("conversation"), &json!("b")));
    let path = format!("/sim/v1/conversations/{}", made["id"].as_str().unwrap());
    let first = create(&mock, "k", json!({"conversation": made["id"]}));
    assert_eq!(first["conversation"], json!({"id": made["id"]}));
    assert!(first["output"][0]["content"][0]["text"].as_str().unwrap().contains("told: Be brief"));
    let second = create(&mock, "k", json!({"conversation": {"id": made["id"]}, "input": "More"}));
    assert!(second["usage"]["input_tokens"].as_u64() > first["usage"]["total_tokens"].as_u64());
    let items = as_user(&mock, "k", "GET", &format!("{path}/items?order=asc"), Value::Null).json();
    assert_eq!(items["data"].as_array().unwrap().len(), 5);
    let both = json!({"model": "m-1", "input": "x", "conversation": "c", "previous_response_id": "r"});
    assert_eq!(as_user(&mock, "k", "POST", RESPONSES, both).status, 400);
    assert_eq!(as_user(&mock, "k", "GET", &path, Value::Null).json(), made);
    assert_eq!(as_user(&mock, "k-2", "GET", &path, Value::Null).status, 404);
    assert_eq!(as_user(&mock, "k", "DELETE", &path, Value::Null).json()["deleted"], true);
    let gone = json!({"model": "m-1", "input": "x", "conversation": made["id"]});
    assert_eq!(as_user(&mock, "k", "POST", RESPONSES, gone).status, 404);
}

#[test]
fn a_thread_goes_on_from_its_last_message() {
    const BETA: &str = "anthropic-beta: other-1, message-threads-2026-08-12\r\n";
    let mock = mock(calm());
    let [weather, _] = schemas();
    let tools = json!([{"name": "get_weather", "input_schema": weather.1}]);
    let send = |headers: &str, more: Value| {
        let plain = json!({"model": "m-1", "max_tokens": 400,
            "messages": [{"role": "user", "content": "The weather in Paris?"}]});
        call(&mock, "POST", "/sim/v1/messages", headers, with(plain, more).to_string().as_bytes())
    };
    let created = json!({"thread": {"type": "create"}, "system": "Be brief", "tools": tools});
    assert_eq!(send("", created.clone()).status, 400, "without the beta there are no threads");
    let first = send(BETA, created).json();
    let call = &first["content"][0];
    assert_eq!(call["type"], "tool_use");
    let thread = json!({"type": "continue", "previous_message_id": first["id"]});
    let result = json!([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"],
        "content": "rain at noon"}]}]);
    let resumed = json!({"thread": thread, "messages": result});
    let refused = |answered: Answered, status: u16, code: &str| {
        let error = &answered.json()["error"];
        assert_eq!((answered.status, &error["details"]["error_code"]), (status, &json!(code)), "{error}");
    };
    for changed in [json!({"system": "Be long"}), json!({"tools": []})] {
        refused(send(BETA, with(resumed.clone(), changed)), 400, "thread_fingerprint_mismatch");
    }
    let other = format!("x-api-key: k-2\r\n{BETA}");
    refused(send(&other, resumed.clone()), 404, "thread_not_found");
    let second = send(BETA, with(resumed.clone(), json!({"system": "Be brief"})));
    let text = second.json()["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("told: Be brief") && text.contains("rain at noon"), "{text}");
    refused(send(BETA, resumed), 400, "thread_already_continued");
    let third =
        json!({"thread": {"type": "continue", "previous_message_id": second.json()["id"]}, "stream": true});
    assert!(send(BETA, third).body.contains("message_stop"));
    assert_eq!(send(BETA, json!({"thread": {"type": "fork"}})).status, 400);
}

#[test]
fn the_oldest_goes_first() {
    let held = Held::default();
    let owner = Owner::of("p", &http::HeaderMap::new());
    let thing = || Thing::Conversation { object: json!({}), items: Vec::new() };
    for number in 0..5000 {
        held.put(&owner, &format!("c-{number}"), thing(), 1);
        held.put(&owner, "again", thing(), 1);
    }
    let known = |id: &str| held.get(&owner, id).is_some();
    assert!(!known("c-0") && !known("c-904") && known("c-905") && known("c-4999") && known("again"));
    held.put(&owner, "heavy", thing(), 60 << 20);
    held.put(&owner, "heavier", thing(), 60 << 20);
    assert!(!known("heavy") && !known("c-4999") && known("heavier"));
    assert!(held.forget(&owner, "heavier") && !held.forget(&owner, "heavier"));
    held.put(&owner, "too-heavy", thing(), 65 << 20);
    assert!(!known("too-heavy"));
}
