//! From requests of users who are made up to what is claimed: what was planted is found, and nothing else.
//!
//! A candidate is cheaper, says more, and fails some JSON; of two prompts one makes answers three times as long. All of it goes through
//! the gateway and its record.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Dimmer, listeners, request, wait_until};
use crate::shadow_report::asked;
use crate::upstreams::{After, Upstream, json as whole};

/// So many users ask once each; `make test-long` sends 10,000.
fn users() -> u64 {
    if std::env::var_os("DIMMER_TEST_LONG").is_some() { 10_000 } else { 500 }
}

/// A number that is a user's own, the same in each run.
fn drawn(user: u64, what: u64) -> u64 {
    let mut mixed = (user << 8 | what).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

/// Answers with JSON of some length, which depends on who asks and with which prompt, times `longer`; in one of `fails` requests it
/// is broken off.
fn model(longer: f64, fails: Option<u64>) -> Upstream {
    Upstream::new(move |peer, asked| {
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let user: u64 = body["user"].as_str().unwrap().parse().unwrap();
        let bad = body["messages"][0]["content"] == "Say all that you know.";
        let usual = 20 + drawn(user, 1) % 20;
        let words = (usual * if bad { 3 } else { 1 }) as f64 * longer;
        let mut text = json!({ "answer": "word ".repeat(words as usize) }).to_string();
        if fails.is_some_and(|one_of| drawn(user, 2).is_multiple_of(one_of)) {
            text.pop();
        }
        let output = text.len() / 4;
        let answer = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1",
            "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text } }],
            "usage": { "prompt_tokens": 40, "completion_tokens": output, "total_tokens": 40 + output },
        });
        peer.then(whole("200 OK", answer.to_string()), After::KeepAlive)
    })
}

fn config(more: &str, models: [&Upstream; 2]) -> String {
    let mut config = listeners("workers = 1\ndrain = \"10s\"")
        + "[context]\ntargeting_key = [\"body:user\"]\n\
           [prompts.terse]\ntext = \"Answer in few words.\"\n[prompts.bad]\ntext = \"Say all that you know.\"\n\
           [flags.prompt]\nowner = \"o\"\npermanent = true\ndefault = \"terse\"\n\
           [[flags.prompt.rules]]\nname = \"half\"\npercent = 50\nserve = \"bad\"\n\
           [flags.nothing]\nowner = \"o\"\npermanent = true\ndefault = \"as_sent\"\n\
           [[flags.nothing.rules]]\nname = \"half\"\npercent = 50\nserve = 0.5\n\
           [routes.r]\npath = \"/r\"\nprovider = \"old\"\nmodel = \"old\"\nsystem_prompt.flag = \"prompt\"\nparams.temperature.flag = \"nothing\"\n\
           [[routes.r.shadow]]\nname = \"s\"\nmodel = \"new\"\npercent = 100\nbudget = { concurrent = 400 }\n";
    for ((name, price), upstream) in [("old", 10), ("new", 1)].into_iter().zip(models) {
        let address = upstream.address;
        config += &format!(
            "[providers.{name}]\ndialect = \"openai\"\nbase_url = \"http://{address}/v1\"\n\
             [models.{name}]\nprovider = \"{name}\"\nprice = {{ input = {price}, output = {price} }}\n"
        );
    }
    config + more
}

/// Both models are here, and take what the machine makes them take.
const TIMES: [&str; 4] = ["latency", "first_token", "latency_mean", "slow"];

#[test]
fn what_was_planted_is_found_and_nothing_else() {
    let models = [model(1.0, None), model(1.6, Some(4))];
    let models = [&models[0], &models[1]];
    let mut dimmer = Dimmer::start(&config("", models));
    for user in 0..users() {
        let body = json!({
            "model": "old", "user": user.to_string(), "response_format": { "type": "json_object" },
            "messages": [{ "role": "system", "content": "-" }, { "role": "user", "content": "What is it? As JSON." }],
        });
        let headers = "content-type: application/json\r\n";
        let answer =
            request(dimmer.data, "POST", "/r/v1/chat/completions", headers, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    wait_until("all copies are in the record", || {
        asked(&dimmer, "/api/v1/shadow/r/s", "").json()["coverage"]["answered"] == users()
    });
    let report = asked(&dimmer, "/api/v1/shadow/r/s", "").json();
    let one = &report["comparisons"][0];
    let expected = BTreeSet::from(["cost", "output_chars", "output_words", "json_valid"]);
    let measures = one["measures"].as_array().unwrap().iter();
    let claimed = measures.filter(|one| one["claim"] == true).map(|one| one["measure"].as_str().unwrap());
    let found: BTreeSet<&str> = claimed.filter(|measure| !TIMES.contains(measure)).collect();
    assert_eq!(found, expected, "{one:#}");

    assert!(dimmer.terminate().success());
    let old = an_hour_older(dimmer, &config("", models));
    let measures = |flag: &str| {
        let impact = asked(&old, &format!("/api/v1/impact/{flag}?since=2h"), "").json();
        let compared = impact["compared"].as_array().unwrap().iter();
        let claims = compared.flat_map(|one| one["claims"].as_array().unwrap());
        let claimed: BTreeSet<String> = claims
            .filter(|claim| !["no_difference", "not_enough"].contains(&claim["verdict"].as_str().unwrap()))
            .map(|claim| claim["measure"].as_str().unwrap().to_owned())
            .filter(|measure| !TIMES.contains(&measure.as_str()))
            .collect();
        (claimed, impact)
    };
    let (claimed, impact) = measures("nothing");
    assert_eq!(claimed, BTreeSet::new(), "{impact:#}");
    let (claimed, impact) = measures("prompt");
    let expected = ["cost", "output_chars"].map(str::to_owned);
    assert_eq!(claimed, BTreeSet::from(expected), "{impact:#}");
}

/// The same record an hour later: what is young is not compared.
fn an_hour_older(before: Dimmer, config: &str) -> Dimmer {
    let folder = tempfile::tempdir().unwrap();
    for name in ["records.db", "records.db-wal", "state.db", "state.db-wal"] {
        let _maybe = std::fs::copy(before.folder().join(name), folder.path().join(name));
    }
    let hour = Duration::from_secs(3600).as_micros();
    let file = rusqlite::Connection::open(folder.path().join("records.db")).unwrap();
    for table in ["exposures", "exposure_flags"] {
        file.execute(&format!("UPDATE {table} SET at_us = at_us - {hour}"), []).unwrap();
    }
    drop(file);
    std::fs::write(folder.path().join("routes.toml"), config).unwrap();
    Dimmer::start_in(folder, &[])
}
