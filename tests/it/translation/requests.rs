//! What arrives at a provider of the other dialect, and what cannot.

use serde_json::Value;

use super::{PAIRS, World, body, far, text};
use crate::harness::{TEST_KEY, explained, request, wait_until};
use crate::upstreams::{Api, answers_well};

#[test]
fn the_head_is_one_of_the_providers_dialect() {
    for (api, spoken) in PAIRS {
        let upstream = answers_well(spoken);
        let (_, dimmer) = far((api, spoken), &upstream, "");
        let path = format!("/r{}?beta=true&x=1", api.path());
        let headers = "content-type: application/json; charset=utf-8\r\nauthorization: Bearer callers-own\r\nx-api-key: callers-own\r\n\
                       anthropic-version: 2026-10-21\r\nanthropic-beta: a,b\r\nopenai-beta: c\r\nopenai-organization: o\r\n\
                       accept-encoding: gzip\r\nuser-agent: an-sdk\r\n";
        let answer = request(dimmer.data, "POST", &path, headers, api.ask(false).as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let came = upstream.last();
        assert_eq!(
            came.line(),
            format!("POST {} HTTP/1.1", spoken.path()),
            "the query is the caller's API's"
        );
        let one = |name: &str| {
            let values = came.values(name);
            assert!(values.len() <= 1, "{name}: {values:?}");
            values.first().cloned().unwrap_or_default()
        };
        let (bearer, key, version) = match spoken {
            Api::Messages => (String::new(), TEST_KEY.to_owned(), "2023-06-01"),
            _ => (format!("Bearer {TEST_KEY}"), String::new(), ""),
        };
        assert_eq!([one("authorization"), one("x-api-key")], [bearer, key], "{api:?}");
        assert_eq!(one("anthropic-version"), version);
        let gone =
            ["anthropic-beta", "openai-beta", "openai-organization"].map(|name| came.values(name).len());
        assert_eq!(gone, [0; 3]);
        assert_eq!(one("content-type"), "application/json");
        assert_eq!(one("accept-encoding"), "identity", "what is translated must be readable");
        assert_eq!(one("user-agent"), "an-sdk");
        assert_eq!(one("content-length"), came.body.len().to_string());
        let dropped = answer.header("x-dimmer-dropped").unwrap_or_default();
        assert!(dropped.contains("anthropic-beta") && dropped.contains("openai-beta"), "{dropped}");
        let dropped = [("field", "anthropic-beta")];
        wait_until("it is counted", || {
            dimmer.metrics().metric("dimmer_dropped_parameters_total", &dropped) == 1.0
        });
    }
}

/// Model, prompt, parameters and `fit` apply, each in the words in which it is known.
#[test]
fn what_is_decided_is_said_in_the_providers_words() {
    let upstream = answers_well(Api::Messages);
    let mut world = World::new(Api::Chat);
    world.model("far", Api::Messages, &upstream, "", "fit = { drop = [\"temperature\"], cap_max_tokens = 500, set = { service_tier = \"standard_only\" } }");
    world.more("[prompts.p]\ntext = \"Talk like a pirate.\"\n");
    world.route(
        "r",
        "model = \"far\"\nsystem_prompt = \"p\"\ntools.deny = [\"shell\"]\nparams = { top_k = 7, seed = 3, stop = \"END\" }",
    );
    let dimmer = world.start();
    let asked = r#"{"model":"m-1","temperature":0.5,"max_tokens":9000,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],
        "tools":[{"type":"function","function":{"name":"shell","parameters":{"type":"object"}}},{"type":"function","function":{"name":"ls","parameters":{"type":"object"}}}]}"#;
    let answer = world.post(&dimmer, "r", "", asked);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let came = body(&upstream);
    assert_eq!((came["model"].as_str(), came["max_tokens"].as_u64()), (Some("m-far"), Some(500)), "{came}");
    assert!(came["system"].to_string().contains("pirate") && !came.to_string().contains("brief"), "{came}");
    assert_eq!(came["tools"].as_array().map(Vec::len), Some(1), "{came}");
    assert_eq!(came["tools"][0]["name"], "ls");
    assert_eq!((&came["temperature"], &came["seed"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (came["top_k"].as_u64(), &came["stop_sequences"][0]),
        (Some(7), &Value::from("END")),
        "{came}"
    );
    assert_eq!(came["service_tier"], "standard_only");
    let mut dropped: Vec<&str> = answer.header("x-dimmer-dropped").unwrap().split(", ").collect();
    dropped.sort_unstable();
    assert_eq!(dropped, ["seed", "temperature", "tools.shell"]);
}

/// A field that would change the answer is never left out: the caller is told, or another target takes it.
#[test]
fn what_cannot_be_said_is_refused_by_name_or_goes_on() {
    let (upstream, near) = (answers_well(Api::Messages), answers_well(Api::Chat));
    let mut world = World::new(Api::Chat);
    world.model("far", Api::Messages, &upstream, "", "");
    world.model("mended", Api::Messages, &upstream, "", "fit.drop = [\"n\"]");
    world.model("near", Api::Chat, &near, "", "");
    world.more(
        "[breakers.b]\nmin_requests = 5\n[flags.which]\nowner = \"o\"\npermanent = true\ndefault = \"near\"\n\
                [[flags.which.rules]]\nname = \"all\"\nserve = \"far\"\n",
    );
    world.route("r", "model = \"far\"");
    world.route("own", "provider = [\"near\", \"far\"]");
    world.route("on", "model.flag = \"which\"\nfallback = [\"near\"]\nbreaker = \"b\"");
    world.route("reply", "model = \"far\"\nfallback = [\"sorry\"]");
    world.route("mended", "model = \"mended\"");
    let mut dimmer = world.start();
    dimmer.expect_log("a breaker");
    let two = r#"{"model":"far","n":2,"messages":[{"role":"user","content":"Hi"}]}"#;
    for (route, outcome) in [("r", "upstream_error"), ("own", "caller_error")] {
        let answer = world.post(&dimmer, route, "", two);
        assert_eq!((answer.status, answer.code().as_deref()), (400, Some("dimmer_cannot_translate")));
        assert_eq!(
            (answer.json()["error"]["param"].as_str(), answer.header("x-should-retry")),
            (Some("n"), Some("false"))
        );
        let labels = [("route", route), ("outcome", outcome)];
        wait_until("who chose the model is at fault", || {
            dimmer.metrics().metric("dimmer_requests_total", &labels) == 1.0
        });
    }
    assert!(upstream.requests().is_empty(), "nobody was asked");
    let answer = world.post(&dimmer, "on", "", two);
    let told = ["x-dimmer-model", "x-dimmer-fallback"].map(|name| answer.header(name));
    assert_eq!((answer.status, told), (200, [Some("near"), Some("cannot_take")]), "{}", answer.text());
    assert_eq!(body(&near)["n"], 2, "as it came");
    let variant = [("variant", "far"), ("outcome", "upstream_error")];
    wait_until("its arm must not look healthy", || {
        dimmer.metrics().metric("dimmer_variant_requests_total", &variant) == 1.0
    });
    let answer = world.post(&dimmer, "reply", "", two);
    assert_eq!((answer.status, answer.header("x-dimmer-fallback")), (200, Some("cannot_take")));
    assert_eq!(text(Api::Chat, &answer.json()), "Resting.");
    let answer = world.post(&dimmer, "mended", "", two);
    assert_eq!(
        (answer.status, answer.header("x-dimmer-dropped")),
        (200, Some("n")),
        "the operator says that it may go"
    );
    assert_eq!(body(&upstream)["n"], Value::Null);
}

/// What a provider holds is not at another one: the SDKs begin anew when they are told so.
#[test]
fn state_does_not_cross() {
    let (upstream, near) = (answers_well(Api::Messages), answers_well(Api::Responses));
    let mut world = World::new(Api::Responses);
    world.model("far", Api::Messages, &upstream, "", "");
    world.model("near", Api::Responses, &near, "", "");
    world.route("r", "model = \"far\"");
    world.route("n", "provider = \"near\"\nmodel = \"near\"");
    let dimmer = world.start();
    let first = world.ask(&dimmer, "r", false);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let goes_on = format!(r#"{{"model":"m","input":"Hi","previous_response_id":"{id}"}}"#);
    let answer = world.post(&dimmer, "r", "", &goes_on);
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (400, Some("previous_response_not_found")),
        "{}",
        answer.text()
    );
    assert_eq!(upstream.requests().len(), 1);
    // What another provider holds is gone on with there, whatever the route says now.
    let held = world.ask(&dimmer, "n", false).json()["id"].as_str().unwrap().to_owned();
    let goes_on = goes_on.replace(&id, &held);
    let answer = world.post(&dimmer, "r", "", &goes_on);
    assert_eq!((answer.status, answer.header("x-dimmer-model")), (200, Some("near")), "{}", answer.text());

    let upstream = answers_well(Api::Chat);
    let (world, dimmer) = far((Api::Messages, Api::Chat), &upstream, "");
    let asked = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],"thread":THREAD}"#;
    let begins = world.post(&dimmer, "r", "", &asked.replace("THREAD", r#"{"type":"create"}"#));
    assert_eq!(
        (begins.status, begins.code().as_deref()),
        (400, Some("thread_unsupported_request")),
        "{}",
        begins.text()
    );
    let goes_on = r#"{"type":"continue","previous_message_id":"msg_1"}"#;
    let goes_on = world.post(&dimmer, "r", "", &asked.replace("THREAD", goes_on));
    assert_eq!(goes_on.code().as_deref(), Some("thread_not_found"), "{}", goes_on.text());
    assert!(upstream.requests().is_empty());
}

/// There is nobody who counts as the model does: agents estimate then.
#[test]
fn a_count_follows_its_message_or_is_none() {
    for (api, spoken) in PAIRS {
        let (upstream, near) = (answers_well(spoken), answers_well(api));
        let mut world = World::new(api);
        world.model("far", spoken, &upstream, "", "");
        world.model("near", api, &near, "", "");
        world.route("r", "model = \"far\"\nfallback = [\"near\"]");
        let dimmer = world.start();
        let call = match api {
            Api::Messages => "/r/v1/messages/count_tokens",
            _ => "/r/v1/responses/input_tokens",
        };
        let body = if api == Api::Messages { api.ask(false) } else { Api::Responses.ask(false) };
        let answer =
            request(dimmer.data, "POST", call, "content-type: application/json\r\n", body.as_bytes());
        assert_eq!(
            (answer.status, answer.code().as_deref()),
            (404, Some("dimmer_nothing_to_count")),
            "{}",
            answer.text()
        );
        assert!(near.requests().is_empty(), "another model's tokens are no answer");
    }
}

/// What has no counterpart in the other API cannot be asked.
#[test]
fn other_calls_do_not_cross() {
    let upstream = answers_well(Api::Messages);
    let (_, dimmer) = far((Api::Chat, Api::Messages), &upstream, "");
    let body = Api::Completions.ask(false);
    let headers = "content-type: application/json\r\n";
    let answer = request(dimmer.data, "POST", "/r/v1/completions", headers, body.as_bytes());
    assert_eq!((answer.status, answer.code().as_deref()), (400, Some("dimmer_cannot_translate")));
    assert!(upstream.requests().is_empty());
}

/// A name that the file does not know goes to the route's only provider, whatever it speaks; the caller's own key in its form.
#[test]
fn a_model_that_nobody_declared_is_translated_for_too() {
    for (api, spoken) in PAIRS {
        let upstream = answers_well(spoken);
        let mut world = World::new(api);
        let (dialect, base_url) = (spoken.dialect(), spoken.base_url(upstream.address));
        world.more(&format!(
            "[providers.far]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\nforward_client_key = true\n"
        ));
        world.route("r", "");
        let dimmer = world.start();
        let answer = world.post(&dimmer, "r", "authorization: Bearer callers-own\r\n", &api.ask(false));
        assert_eq!(answer.status, 200, "{api:?}: {}", answer.text());
        assert_eq!(text(api, &answer.json()), "Hello there");
        let came = upstream.last();
        let keys = [came.values("authorization"), came.values("x-api-key")];
        let expected: [&[&str]; 2] = match spoken {
            Api::Messages => [&[], &["callers-own"]],
            _ => [&["Bearer callers-own"], &[]],
        };
        assert_eq!(keys, expected, "{api:?}");
        assert_eq!(body(&upstream)["model"], "m-1", "as the app asked");
    }
}

/// Feedback names the answer by the id that the app has seen, and the record knows it by that.
#[test]
fn an_answer_is_known_by_the_callers_id() {
    for (api, spoken) in PAIRS {
        let upstream = answers_well(spoken);
        let mut world = World::new(api);
        world.model("far", spoken, &upstream, "", "");
        world.route("r", "model = \"far\"");
        world.more("[records]\nurl = \"sqlite:records.db\"\n[feedback.thumbs]\nbetter = \"higher\"\n");
        let dimmer = world.start();
        for stream in [false, true] {
            let answer = world.ask(&dimmer, "r", stream);
            let id = match stream {
                false => answer.json()["id"].as_str().unwrap().to_owned(),
                true => {
                    let first = super::events(&answer.text()).remove(0);
                    let places = ["/id", "/message/id", "/response/id"];
                    places.iter().find_map(|at| first.pointer(at)?.as_str()).unwrap().to_owned()
                }
            };
            let found = || explained(dimmer.admin, &id).status == 200;
            wait_until("the record knows it", found);
        }
    }
}
