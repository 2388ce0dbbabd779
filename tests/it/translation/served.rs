//! Flags, kills, breakers and shadows on targets of both dialects: who answers is decided as ever, and the caller's API stays its own.

use std::thread;

use super::{PAIRS, World, has_end, streamed_text, text};
use crate::harness::{post_json, request, switch, wait_until};
use crate::upstreams::{Api, answers_status, answers_well};

/// Both arms answer in the caller's dialect, in their shares, with many callers at once.
#[test]
fn a_model_swap_by_percentage_under_load() {
    const USERS: usize = 400;
    for (api, spoken) in PAIRS {
        let (near, far) = (answers_well(api), answers_well(spoken));
        let mut world = World::new(api);
        world.config = world.config.replacen(
            "[replies.sorry]",
            "[context]\ntargeting_key = [\"header:x-user-id\"]\n[replies.sorry]",
            1,
        );
        world.model("near", api, &near, "", "");
        world.model("far", spoken, &far, "", "");
        world.more(
            "[flags.swap]\nowner = \"o\"\npermanent = true\ndefault = \"near\"\n[[flags.swap.rules]]\nname = \"half\"\n\
             percent = 50\nserve = \"far\"\n",
        );
        world.route("r", "model.flag = \"swap\"");
        let dimmer = world.start();
        let served = |user: usize| {
            let stream = user.is_multiple_of(2);
            let answer = world.post(&dimmer, "r", &format!("x-user-id: u{user}\r\n"), &api.ask(stream));
            assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
            match stream {
                true => {
                    assert_eq!(streamed_text(api, &answer.text()), "Hello", "{}", answer.text());
                    assert!(has_end(api, &answer.text()));
                }
                false => assert_eq!(text(api, &answer.json()), "Hello there"),
            }
            answer.header("x-dimmer-model") == Some("far")
        };
        let swapped: usize = thread::scope(|scope| {
            let served = &served;
            let part = |first: usize| {
                scope.spawn(move || (first..USERS).step_by(8).filter(|user| served(*user)).count())
            };
            let parts: Vec<_> = (0..8).map(part).collect();
            parts.into_iter().map(|part| part.join().unwrap()).sum()
        });
        // Six standard deviations of a fair draw.
        assert!(swapped.abs_diff(USERS / 2) < 60, "{api:?}: {swapped} of {USERS}");
        assert_eq!(far.requests().len(), swapped, "{api:?}: one request each");
        assert_eq!(near.requests().len(), USERS - swapped);
    }
}

#[test]
fn kills_and_breakers_hold_on_translated_targets() {
    for (api, spoken) in PAIRS {
        let (near, far, bad) =
            (answers_well(api), answers_well(spoken), answers_status(spoken, "500 Oops", ""));
        let mut world = World::new(api);
        world.model("near", api, &near, "", "");
        world.model("far", spoken, &far, "", "");
        world.model("bad", spoken, &bad, "", "");
        world.more("[breakers.b]\nmin_requests = 5\n");
        world.route("r", "model = \"far\"\nfallback = [\"near\"]");
        world.route("b", "model = \"bad\"\nfallback = [\"near\"]\nbreaker = \"b\"");
        let mut dimmer = world.start();
        dimmer.expect_log("a breaker");
        let model = |route: &str, stream: bool| {
            let answer = world.ask(&dimmer, route, stream);
            assert_eq!(answer.status, 200, "{}", answer.text());
            let told = ["x-dimmer-model", "x-dimmer-fallback"];
            told.map(|name| answer.header(name).unwrap_or_default().to_owned()).join(" ")
        };
        assert_eq!(model("r", true), "far ");
        switch(dimmer.admin, "kill", "model:far");
        assert_eq!(model("r", true), "near killed");
        switch(dimmer.admin, "revive", "model:far");
        assert_eq!(model("r", false), "far ");
        for _ in 0..5 {
            assert_eq!(model("b", false), "near upstream_error");
        }
        let open = [("target", "route:b/model:bad")];
        wait_until("its breaker is open", || dimmer.metrics().metric("dimmer_breaker_state", &open) == 2.0);
        assert_eq!(model("b", true), "near breaker_open");
        assert_eq!(bad.requests().len(), 5);
    }
}

/// A candidate of the other dialect gets the request in its own words, and its answer is compared with the caller's.
#[test]
fn a_shadow_of_another_dialect_is_compared() {
    for (api, spoken) in PAIRS {
        for (primary, candidate) in [("near", "far"), ("far", "near")] {
            let (near, far) = (answers_well(api), answers_well(spoken));
            let mut world = World::new(api);
            world.model("near", api, &near, "", "price = { input = 1.0, output = 1.0 }");
            world.model("far", spoken, &far, "", "price = { input = 1.0, output = 1.0 }");
            world.more("[records]\nurl = \"sqlite:records.db\"\nbodies = \"shadow\"\n");
            world.route(
                "r",
                &format!("model = \"{primary}\"\n[[routes.r.shadow]]\nname = \"s\"\nmodel = \"{candidate}\"\npercent = 100"),
            );
            let dimmer = world.start();
            for stream in [false, true] {
                assert_eq!(world.ask(&dimmer, "r", stream).status, 200);
            }
            let ok = [("shadow", "s"), ("outcome", "ok")];
            wait_until("both copies are answered", || {
                dimmer.metrics().metric("dimmer_shadow_requests_total", &ok) == 2.0
            });
            let pairs = || {
                let head = format!("host: {}\r\n", dimmer.admin);
                let mut connection = crate::harness::Connection::open(dimmer.admin);
                connection
                    .send(format!("GET /api/v1/shadow/r/s/pairs?limit=10 HTTP/1.1\r\n{head}\r\n").as_bytes());
                connection.answer("GET").json()
            };
            wait_until("the pairs are kept", || {
                pairs()["pairs"].as_array().is_some_and(|pairs| pairs.len() == 2)
            });
            for pair in pairs()["pairs"].as_array().unwrap() {
                assert_eq!(pair["similarity"], 1.0, "{api:?} {primary} {candidate}: {pair}");
                assert_eq!(pair["candidate"]["output_chars"], pair["primary"]["output_chars"], "{pair}");
            }
        }
    }
}

/// A request that is certainly too much for the model that a flag chose goes to the next of the chain, with the reason.
#[test]
fn what_cannot_fit_goes_on() {
    let (near, far) = (answers_well(Api::Chat), answers_well(Api::Messages));
    let mut world = World::new(Api::Chat);
    world.model("near", Api::Chat, &near, "", "");
    world.model("far", Api::Messages, &far, "", "");
    world.config =
        world.config.replacen("upstream_model = \"m-far\"", "upstream_model = \"claude-haiku-4-5\"", 1);
    world.route("r", "model = \"far\"\nfallback = [\"near\"]");
    world.route("alone", "model = \"far\"");
    let dimmer = world.start();
    let long = r#"{"model":"m","max_tokens":900000,"messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = world.post(&dimmer, "r", "", long);
    let told = ["x-dimmer-model", "x-dimmer-fallback"].map(|name| answer.header(name));
    assert_eq!((answer.status, told), (200, [Some("near"), Some("cannot_take")]), "{}", answer.text());
    assert_eq!(world.ask(&dimmer, "r", false).header("x-dimmer-model"), Some("far"));
    // Where there is no other, it is the provider's to say no.
    assert_eq!(world.post(&dimmer, "alone", "", long).header("x-dimmer-model"), Some("far"));
    assert_eq!(far.requests().len(), 2);
}

/// Azure's older style has the model in the path, also of a request that was none of its API's.
#[test]
fn an_azure_resource_is_asked_at_its_own_path() {
    let upstream = answers_well(Api::Chat);
    let mut world = World::new(Api::Messages);
    world.more(&format!(
        "[providers.far]\ndialect = \"azure-openai\"\nbase_url = \"http://{}\"\napi_key = \"${{TEST_KEY}}\"\n\
         api_version = \"2024-10-21\"\n[models.far]\nprovider = \"far\"\nupstream_model = \"my deployment\"\n",
        upstream.address
    ));
    world.route("r", "model = \"far\"");
    let dimmer = world.start();
    let answer = world.ask(&dimmer, "r", false);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(text(Api::Messages, &answer.json()), "Hello there");
    let came = upstream.last();
    assert_eq!(
        came.line(),
        "POST /openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21 HTTP/1.1"
    );
    assert_eq!(came.values("api-key"), [crate::harness::TEST_KEY]);
}

/// The simulated provider speaks every dialect: nothing is translated for it.
#[test]
fn nothing_is_translated_for_the_simulated_provider() {
    let mut world = World::new(Api::Messages);
    world.more(
        "[providers.sim]\ndialect = \"mock\"\n[models.sim]\nprovider = \"sim\"\nmock = { words = 5, first_token = \"1ms\", per_token = \"1ms\" }\n",
    );
    world.route("r", "provider = \"sim\"\nmodel = \"sim\"");
    let dimmer = world.start();
    for api in Api::ALL {
        let answer = post_json(dimmer.data, &format!("/r{}", api.path()), &api.ask(false));
        assert_eq!(answer.status, 200, "{api:?}: {}", answer.text());
    }
    let count = request(
        dimmer.data,
        "POST",
        "/r/v1/messages/count_tokens",
        "content-type: application/json\r\n",
        Api::Messages.ask(false).as_bytes(),
    );
    assert_eq!(count.status, 200, "{}", count.text());
}
