//! Parameters, tools and the model of embeddings by literals and flags, as the provider sees them.

use std::process::Command;

use super::World;
use crate::harness::{DIMMER, Dimmer, listeners, request};
use crate::upstreams::{Api, Upstream, answers_well};

const CONFIG: &str = r#"
[context.attributes]
tier = { from = "header:x-user-tier", order = ["free", "pro"] }
[models.m-1]
provider = "chat"
[models.o-1]
provider = "chat"
fit = { drop = ["temperature"], rename = { max_tokens = "max_completion_tokens" } }
[models.embed-a]
provider = "chat"
upstream_model = "vendor/embed-a"
[models.embed-b]
provider = "chat"
[flags.temperature]
owner = "o"
permanent = true
default = "as_sent"
[[flags.temperature.rules]]
name = "pros"
when = { tier = "pro" }
serve = 0.2
[flags.cap]
owner = "o"
permanent = true
variants = { small = 100, large = 1000 }
default = "small"
[[flags.cap.rules]]
name = "pros"
when = { tier = "pro" }
serve = "large"
[flags.tools]
owner = "o"
permanent = true
variants = { none = [], careful = ["shell", "web_search"] }
default = "careful"
[[flags.tools.rules]]
name = "pros"
when = { tier = "pro" }
serve = "none"
[flags.vectors]
owner = "o"
permanent = true
default = "embed-a"
[routes.r]
path = "/r"
params.temperature.flag = "temperature"
params.max_tokens = { default = 50, max.flag = "cap" }
params.stop = ["END"]
params.reasoning_effort = "low"
tools.deny.flag = "tools"
[routes.sampling]
path = "/sampling"
params = { temperature = 0.2, top_p.default = 0.9, top_k = 5, seed = 7 }
[routes.vectors]
path = "/vectors"
embeddings.model.flag = "vectors"
model = "m-1"
[routes.free]
path = "/free"
aliases = ["search"]
model = "m-1"
[routes.strict]
path = "/strict"
models = ["embed-b"]
[routes.off]
path = "/off"
enabled = false
"#;

/// What a request becomes at the provider, byte for byte, and what is told as dropped.
#[track_caller]
fn check(world: &World, (path, headers): (&str, &str), sent: &str, expected: &str, dropped: Option<&str>) {
    let api = if path.contains("/messages") { Api::Messages } else { Api::Chat };
    let answer = world.post(path, headers, sent);
    assert_eq!(answer.status, 200, "{path} {sent}: {}", answer.text());
    let found = world.upstream(api).last();
    assert_eq!(String::from_utf8_lossy(&found.body), expected, "{path} {sent}");
    assert_eq!(found.values("content-length"), [expected.len().to_string()], "{path}");
    assert_eq!(answer.header("x-dimmer-dropped"), dropped, "{path} {sent}");
}

const PRO: &str = "x-user-tier: pro\r\n";

#[test]
fn each_api_gets_parameters_where_it_keeps_them() {
    let world = World::start(CONFIG);
    check(
        &world,
        ("/r/v1/chat/completions", PRO),
        r#"{"model": "m-1", "x" : 1e+05, "temperature": 0.70, "max_completion_tokens":4096, "messages":[]}"#,
        r#"{"stop":["END"],"reasoning_effort":"low","model": "m-1", "x" : 1e+05, "temperature": 0.2, "max_completion_tokens":1000, "messages":[]}"#,
        None,
    );
    check(
        &world,
        ("/r/v1/chat/completions", ""),
        r#"{"model": "m-1", "temperature": 0.70, "messages":[]}"#,
        r#"{"max_tokens":50,"stop":["END"],"reasoning_effort":"low","model": "m-1", "temperature": 0.70, "messages":[]}"#,
        None,
    );
    check(
        &world,
        ("/r/v1/completions", PRO),
        r#"{"model": "m-1", "prompt":"p","max_tokens": 7}"#,
        r#"{"temperature":0.2,"stop":["END"],"model": "m-1", "prompt":"p","max_tokens": 7}"#,
        Some("reasoning_effort"),
    );
    check(
        &world,
        ("/r/v1/responses", PRO),
        r#"{"model": "m-1", "input":"i", "reasoning" : { "summary" : "auto" }, "max_output_tokens":9000}"#,
        r#"{"temperature":0.2,"model": "m-1", "input":"i", "reasoning" : {"effort":"low", "summary" : "auto" }, "max_output_tokens":1000}"#,
        Some("stop"),
    );
    check(
        &world,
        ("/r/v1/messages", &format!("{PRO}anthropic-version: 2023-06-01\r\n")),
        r#"{"model": "m-x", "max_tokens":9000 , "messages":[]}"#,
        r#"{"temperature":0.2,"stop_sequences":["END"],"output_config":{"effort":"low"},"model": "m-x", "max_tokens":1000 , "messages":[]}"#,
        None,
    );
    check(
        &world,
        ("/r/v1/messages/count_tokens", PRO),
        r#"{"model": "m-x", "messages":[]}"#,
        r#"{"output_config":{"effort":"low"},"model": "m-x", "messages":[]}"#,
        None,
    );
    let answer = world.post("/r/v1/chat/completions", PRO, &Api::Chat.ask(false));
    assert_eq!(
        answer.header("x-dimmer-flags"),
        Some("temperature=0.2;TARGETING_MATCH, cap=large;TARGETING_MATCH, tools=none;TARGETING_MATCH")
    );
    let labels = [("flag", "temperature"), ("route", "r"), ("variant", "0.2")];
    crate::harness::wait_until("the flag's requests are counted", || {
        world.dimmer.metrics().metric("dimmer_variant_requests_total", &labels) >= 5.0
    });
}

#[test]
fn a_stream_is_asked_for_in_the_same_way() {
    for api in Api::BOTH {
        let upstream: Upstream = answers_well(api);
        let config = format!(
            "{}[providers.p]\ndialect = \"{}\"\nbase_url = \"{}\"\n[routes.r]\npath = \"/r\"\nparams.temperature = 0.2\n",
            listeners(""),
            api.dialect(),
            api.base_url(upstream.address)
        );
        let dimmer = Dimmer::start(&config);
        for stream in [false, true] {
            let sent = api.ask(stream);
            let json = "content-type: application/json\r\n";
            let answer = request(dimmer.data, "POST", &format!("/r{}", api.path()), json, sent.as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            let expected = sent.replacen('{', r#"{"temperature":0.2,"#, 1);
            let asks_usage = r#"{"temperature":0.2,"stream_options":{"include_usage":true},"#;
            let expected = match (api, stream) {
                (Api::Chat, true) => sent.replacen('{', asks_usage, 1),
                _ => expected,
            };
            assert_eq!(String::from_utf8_lossy(&upstream.last().body), expected);
            if stream {
                assert_eq!(answer.text(), api.events().concat(), "the answer is relayed as it comes");
            }
        }
    }
}

#[test]
fn what_an_api_or_its_version_does_not_take_is_dropped_and_said() {
    let world = World::start(CONFIG);
    let sent = r#"{"model": "m-x", "max_tokens":9 , "messages":[]}"#;
    let all = r#"{"temperature":0.2,"top_p":0.9,"top_k":5,"model": "m-x", "max_tokens":9 , "messages":[]}"#;
    for (version, expected, dropped) in [
        ("2023-06-01", all, "seed"),
        ("2026-10-20", all, "seed"),
        ("2026-10-21", sent, "temperature, top_p, top_k, seed"),
        ("2027-01-01", sent, "temperature, top_p, top_k, seed"),
    ] {
        let headers = format!("anthropic-version: {version}\r\n");
        check(&world, ("/sampling/v1/messages", &headers), sent, expected, Some(dropped));
        assert_eq!(world.messages.last().values("anthropic-version"), [version]);
    }
    world.wait_metric("dimmer_dropped_parameters_total", &[("field", "top_k")], 2.0);
    world.wait_metric("dimmer_dropped_parameters_total", &[("field", "seed")], 4.0);
    // What a model does not take is not written for it either, also when the app asked for that model itself.
    check(
        &world,
        ("/sampling/v1/chat/completions", ""),
        r#"{"model": "o-1","top_p":1}"#,
        r#"{"seed":7,"model": "o-1","top_p":1}"#,
        Some("top_k"),
    );
    check(
        &world,
        ("/r/v1/chat/completions", PRO),
        r#"{"model": "o-1"}"#,
        r#"{"max_completion_tokens":50,"stop":["END"],"reasoning_effort":"low","model": "o-1"}"#,
        None,
    );
    let twice = r#"{"model":"m-1","seed":1,"s\u0065ed":2,"messages":[]}"#;
    let refused = world.post("/sampling/v1/chat/completions", "", twice);
    assert_eq!((refused.status, refused.text().contains("seed")), (400, true), "{}", refused.text());
}

#[test]
fn tools_are_taken_out() {
    let world = World::start(CONFIG);
    let route = |call: &str| format!("/r/v1/{call}");
    let rest = r#""stop":["END"],"reasoning_effort":"low","max_tokens":1"#;
    check(
        &world,
        (&route("chat/completions"), ""),
        &format!(
            r#"{{{rest},"tools":[{{"type":"function","function":{{"name":"shell"}}}}, {{"type":"function","function":{{"name":"a"}}}}],"tool_choice":"auto"}}"#
        ),
        &format!(
            r#"{{{rest},"tools":[ {{"type":"function","function":{{"name":"a"}}}}],"tool_choice":"auto"}}"#
        ),
        Some("tools.shell"),
    );
    check(
        &world,
        (&route("messages"), ""),
        r#"{"stop_sequences":["END"],"output_config":{"effort":"low"},"max_tokens":1,"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"any"}}"#,
        r#"{"stop_sequences":["END"],"output_config":{"effort":"low"},"max_tokens":1}"#,
        Some("tool_choice, tools.web_search"),
    );
    check(
        &world,
        (&route("responses"), ""),
        r#"{"reasoning":{"effort":"low"},"max_output_tokens":1,"tools":[{"type":"web_search"},{"type":"function","name":"a"}]}"#,
        r#"{"reasoning":{"effort":"low"},"max_output_tokens":1,"tools":[{"type":"function","name":"a"}]}"#,
        Some("stop, tools.web_search"),
    );
    let all = format!(
        r#"{{"temperature":0.2,{rest},"tools":[{{"type":"function","function":{{"name":"shell"}}}}]}}"#
    );
    check(&world, (&route("chat/completions"), PRO), &all, &all, None);
    world.wait_metric("dimmer_dropped_parameters_total", &[("field", "tools.shell")], 1.0);
    world.wait_metric("dimmer_dropped_parameters_total", &[("field", "tools.web_search")], 2.0);
}

#[test]
fn embeddings_have_a_slot_of_their_own() {
    let world = World::start(CONFIG);
    let body = |model: &str| format!(r#"{{"input" : ["a"], "model": "{model}"}}"#);
    let ask = |route: &str, model: &str| world.post(&format!("{route}/v1/embeddings"), "", &body(model));
    for (route, asked, sent, label) in [
        ("/vectors", "embed-b", "vendor/embed-a", Some("embed-a")),
        ("/vectors", "anything", "vendor/embed-a", Some("embed-a")),
        // The slot of the language model does not concern them.
        ("/free", "embed-a", "vendor/embed-a", Some("embed-a")),
        ("/free", "embed-b", "embed-b", Some("embed-b")),
        ("/free", "unknown", "unknown", None),
        ("/strict", "embed-b", "embed-b", Some("embed-b")),
    ] {
        let answer = ask(route, asked);
        assert_eq!(answer.status, 200, "{route} {asked}: {}", answer.text());
        assert_eq!(String::from_utf8_lossy(&world.chat.last().body), body(sent), "{route} {asked}");
        assert_eq!(answer.header("x-dimmer-model"), label, "{route} {asked}");
        let flags = (route == "/vectors").then_some("vectors=embed-a;STATIC");
        assert_eq!(answer.header("x-dimmer-flags"), flags, "{route} {asked}");
    }
    for (route, asked, status, code) in [
        ("/strict", "embed-a", 404, "dimmer_model_not_admitted"),
        ("/free", "search", 404, "dimmer_model_not_admitted"),
        ("", "search", 404, "dimmer_model_not_admitted"),
        ("/off", "embed-a", 503, "dimmer_kill_switch"),
    ] {
        let before = world.chat.requests().len();
        let answer = ask(route, asked);
        assert_eq!((answer.status, answer.code().as_deref()), (status, Some(code)), "{route} {asked}");
        assert_eq!(world.chat.requests().len(), before);
    }
    let told = ask("", "search").text();
    assert!(told.contains("has no `embeddings.model`"), "{told}");
}

#[test]
fn explain_and_check_tell_of_them() {
    let world = World::start(CONFIG);
    let run = |arguments: &[&str]| {
        let output = Command::new(DIMMER).args(arguments).arg(world.dimmer.config_path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = run(&["explain", "--route", "r", "--attr", "tier=pro", "--config"]);
    for line in [
        "param   temperature = 0.2",
        "param   max_tokens = 50 where absent, at most 1000",
        "param   stop = [\"END\"]",
        "flag    cap = large  TARGETING_MATCH  rule pros",
    ] {
        assert!(told.contains(line), "{line}\n---\n{told}");
    }
    let told = run(&["explain", "--route", "r", "--config"]);
    assert!(
        told.contains("tools   without shell, web_search") && !told.contains("temperature = 0.2"),
        "{told}"
    );
    let told = run(&["explain", "--route", "sampling", "--dialect", "anthropic", "--config"]);
    assert!(told.contains("seed: anthropic's API has no such parameter: it is dropped"), "{told}");
    let json = run(&["explain", "--json", "--route", "r", "--attr", "tier=pro", "--config"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["params"]["max_tokens"], serde_json::json!({ "default": 50, "max": 1000 }));
    let checked = run(&["check"]);
    for line in [
        "  temperature    flag temperature: as_sent | 0.2",
        "  max_tokens     where absent 50, at most flag cap: small | large",
        "  tools          without flag tools: none | careful",
        "  embeddings     flag vectors: embed-a",
    ] {
        assert!(checked.contains(line), "{line}\n---\n{checked}");
    }
}
