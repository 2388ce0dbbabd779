//! Lists of models that the gateway answers itself, and the calls that count instead of answering.

use serde_json::{Value, json};

use crate::harness::{Answer, Dimmer, listeners, request};
use crate::upstreams::{After, Upstream, json as answer};

const VERSION: &str = "anthropic-version: 2023-06-01\r\n";

/// Says which path it was asked for.
fn provider(name: &'static str) -> Upstream {
    Upstream::new(move |peer, request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let said = json!({"provider": name, "line": request.line(), "model": body["model"]});
        peer.then(answer("200 OK", said.to_string()), After::KeepAlive)
    })
}

struct World {
    dimmer: Dimmer,
    openai: Upstream,
    anthropic: Upstream,
}

const ROUTES: &str = r#"
[models.gpt-a]
provider = "openai"
[models.gpt-b]
provider = "openai"
[models.claude-a]
provider = "anthropic"
[replies.sorry]
text = "Closed."
[routes.assistant]
path = "/assistant"
aliases = ["assistant", "helper"]
model = "gpt-a"
[routes.narrow]
path = "/narrow"
aliases = ["narrow one"]
model = "gpt-a"
models = ["gpt-b", "claude-a"]
[routes.bare]
path = "/bare"
"#;

impl World {
    fn start(more: &str, keys: &[(&str, &str)]) -> Self {
        let (openai, anthropic) = (provider("openai"), provider("anthropic"));
        let config = listeners("")
            + &format!(
                "[providers.openai]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n\
                 [providers.anthropic]\ndialect = \"anthropic\"\nbase_url = \"http://{}\"\n",
                openai.address, anthropic.address
            )
            + ROUTES
            + more;
        Self { dimmer: Dimmer::start_with(&config, keys), openai, anthropic }
    }

    fn get(&self, target: &str, headers: &str) -> Answer {
        request(self.dimmer.data, "GET", target, headers, b"")
    }

    fn post(&self, target: &str, body: &Value) -> Answer {
        let headers = "content-type: application/json\r\n";
        request(self.dimmer.data, "POST", target, headers, body.to_string().as_bytes())
    }

    /// The ids of a list that no provider was asked for.
    fn listed(&self, target: &str, headers: &str) -> Vec<String> {
        let before = self.asked();
        let answer = self.get(target, headers);
        assert_eq!((answer.status, self.asked()), (200, before), "{target}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let list = answer.json();
        let ids = list["data"].as_array().unwrap_or_else(|| panic!("{target}: {list}")).iter();
        ids.map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
    }

    fn asked(&self) -> usize {
        self.openai.requests().len() + self.anthropic.requests().len()
    }
}

#[test]
fn a_route_with_aliases_lists_them_first() {
    let world = World::start("[routes.default]\n", &[]);
    for prefix in ["/v1", ""] {
        let target = format!("/assistant{prefix}/models");
        assert_eq!(
            world.listed(&target, ""),
            ["assistant", "helper", "gpt-a", "gpt-b", "claude-a"],
            "{target}"
        );
    }
    // In either API: what speaks the other is translated for.
    assert_eq!(
        world.listed("/assistant/v1/models", VERSION),
        ["assistant", "helper", "gpt-a", "gpt-b", "claude-a"]
    );
    assert_eq!(world.listed("/narrow/v1/models", ""), ["narrow one", "gpt-b", "claude-a"]);
    assert_eq!(world.listed("/narrow/v1/models", VERSION), ["narrow one", "gpt-b", "claude-a"]);
    let all = ["assistant", "helper", "narrow one", "gpt-a", "gpt-b", "claude-a"];
    assert_eq!(
        world.listed("/v1/models", ""),
        all,
        "without a route: every alias, and the default route's models"
    );
    let page = world.get("/v1/models?limit=2&after_id=assistant", VERSION).json();
    assert_eq!(
        (&page["first_id"], &page["last_id"], &page["has_more"]),
        (&json!("helper"), &json!("narrow one"), &json!(true))
    );
    let head = request(world.dimmer.data, "HEAD", "/assistant/v1/models", "", b"");
    assert_eq!((head.status, head.body.len(), world.asked()), (200, 0, 0));
    let shape = world.get("/assistant/v1/models", "").json();
    assert_eq!(shape["object"], "list");
    assert_eq!(
        shape["data"][0],
        json!({"id": "assistant", "object": "model", "created": 1_767_225_600, "owned_by": "dimmer"})
    );
    assert_eq!(shape["data"][2]["owned_by"], "openai");
    let answered = world.get("/assistant/v1/models", "");
    assert_eq!(answered.header("x-dimmer-route"), Some("assistant"));
}

#[test]
fn an_alias_is_an_entry_and_other_ids_are_the_providers() {
    let world = World::start("[routes.default]\n", &[]);
    for (target, id) in [
        ("/assistant/v1/models/assistant", "assistant"),
        ("/v1/models/assistant", "assistant"),
        ("/narrow/v1/models/narrow%20one", "narrow one"),
        ("/models/narrow%20one", "narrow one"),
    ] {
        let entry = world.get(target, VERSION).json();
        assert_eq!((&entry["type"], &entry["id"]), (&json!("model"), &json!(id)), "{target}");
    }
    assert_eq!(world.asked(), 0);
    for (target, headers, provider, line) in [
        ("/assistant/v1/models/gpt-a", "", "openai", "GET /v1/models/gpt-a HTTP/1.1"),
        ("/narrow/v1/models/assistant", VERSION, "anthropic", "GET /v1/models/assistant HTTP/1.1"),
        ("/v1/models/unknown", "", "openai", "GET /v1/models/unknown HTTP/1.1"),
        ("/bare/v1/models", "", "openai", "GET /v1/models HTTP/1.1"),
        ("/bare/v1/models?limit=1000", VERSION, "anthropic", "GET /v1/models?limit=1000 HTTP/1.1"),
    ] {
        let said = world.get(target, headers).json();
        assert_eq!((&said["provider"], &said["line"]), (&json!(provider), &json!(line)), "{target}");
    }
    // Only reading is answered here.
    let deleted = request(world.dimmer.data, "DELETE", "/v1/models/assistant", "", b"").json();
    assert_eq!(deleted["line"], "DELETE /v1/models/assistant HTTP/1.1");
}

#[test]
fn without_a_default_route_the_aliases_are_all_there_is() {
    let world = World::start("", &[]);
    assert_eq!(world.listed("/v1/models", ""), ["assistant", "helper", "narrow one"]);
    let unknown = world.get("/v1/models/gpt-a", "");
    assert_eq!((unknown.status, unknown.code().as_deref()), (404, Some("dimmer_no_route")));
}

#[test]
fn a_client_sees_the_routes_that_it_may_call() {
    const CLIENTS: &str = r#"
[clients.all]
key = "${ALL_KEY}"
may_choose_route = true
[clients.one]
key = "${ONE_KEY}"
routes = ["narrow"]
[clients.none]
key = "${NONE_KEY}"
routes = ["bare"]
[routes.default]
"#;
    let names = ["ALL_KEY", "ONE_KEY", "NONE_KEY"];
    let values =
        ["dk-all-00000000000000000001", "dk-one-00000000000000000002", "dk-none-0000000000000000003"];
    let keys: Vec<(&str, &str)> = names.into_iter().zip(values).collect();
    let world = World::start(CLIENTS, &keys);
    let [all, one, none] = values.map(|key| format!("authorization: Bearer {key}\r\n"));
    assert_eq!(
        world.listed("/v1/models", &all),
        ["assistant", "helper", "narrow one", "gpt-a", "gpt-b", "claude-a"]
    );
    assert_eq!(world.listed("/v1/models", &one), ["narrow one"], "nor the default route's models");
    assert_eq!(world.listed("/narrow/v1/models", &one), ["narrow one", "gpt-b", "claude-a"]);
    let chosen = format!("{all}x-dimmer-route: narrow\r\n");
    assert_eq!(world.listed("/v1/models", &chosen), ["narrow one", "gpt-b", "claude-a"]);
    for (target, headers, status) in [
        ("/v1/models", &none, 403),
        ("/v1/models/assistant", &one, 403),
        ("/assistant/v1/models", &one, 403),
        ("/v1/models/narrow%20one", &one, 200),
        ("/v1/models", &String::new(), 401),
    ] {
        let answer = world.get(target, headers);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(status == 200 || !answer.text().contains("assistant\""), "{}", answer.text());
    }
}

const COUNTED: &str = r#"
[flags.which]
owner = "o"
permanent = true
default = "claude-a"
[flags.which_gpt]
owner = "o"
permanent = true
default = "gpt-a"
[flags.on]
owner = "o"
permanent = true
default = false
[routes.claude]
path = "/claude"
model.flag = "which"
[routes.gpt]
path = "/gpt"
model.flag = "which_gpt"
[routes.resting]
path = "/resting"
model = "sorry"
[routes.off]
path = "/off"
enabled.flag = "on"
fallback = ["sorry"]
"#;

#[test]
fn counts_follow_the_decision_of_their_message() {
    let world = World::start(COUNTED, &[]);
    let body = json!({"model": "whatever", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi"});
    let calls = [
        ("/claude", "/v1/messages/count_tokens", "claude-a", "which"),
        ("/gpt", "/v1/responses/input_tokens", "gpt-a", "which_gpt"),
        ("/gpt", "/v1/responses/compact", "gpt-a", "which_gpt"),
    ];
    for (route, call, model, flag) in calls {
        let answer = world.post(&format!("{route}{call}"), &body);
        assert_eq!(answer.json()["model"], model, "{call}");
        assert_eq!(answer.header("x-dimmer-model"), Some(model));
        assert!(answer.header("x-dimmer-flags").unwrap().starts_with(&format!("{flag}=")), "{call}");
        let resting = world.post(&format!("/resting{call}"), &body);
        assert_eq!((resting.status, resting.code().as_deref()), (404, Some("dimmer_nothing_to_count")));
        assert_eq!(resting.header("x-should-retry"), Some("false"));
        assert_eq!(resting.json().get("type").is_some(), call.contains("messages"), "in the dialect");
        let off = world.post(&format!("/off{call}"), &body);
        assert_eq!((off.status, off.code().as_deref()), (503, Some("dimmer_kill_switch")), "{call}");
    }
    let metrics = world.dimmer.metrics();
    for (flag, evaluations) in [("which", 1.0), ("which_gpt", 2.0), ("on", 3.0)] {
        let of_flag = [("flag", flag)];
        let counted = metrics.metric("dimmer_flag_evaluations_total", &of_flag);
        assert!((counted - evaluations).abs() < 0.1, "{flag}: {counted}");
        for series in ["dimmer_variant_requests_total", "dimmer_variant_output_chars_count"] {
            assert!(metrics.metric(series, &of_flag).abs() < 0.1, "{series} of {flag}");
        }
    }
    for series in ["dimmer_unpriced_requests_total", "dimmer_output_chars_count"] {
        assert!(metrics.metric(series, &[]).abs() < 0.1, "{series}");
    }
    let asked =
        metrics.metric("dimmer_requests_total", &[("route", "gpt"), ("model", "gpt-a"), ("outcome", "ok")]);
    assert!((asked - 2.0).abs() < 0.1, "{asked}");
}
