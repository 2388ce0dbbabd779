//! Every request that could be copied ends in exactly one outcome.

use super::{ALL, JSON, World, config, of, outcomes};
use crate::harness::{Dimmer, request, switch, wait_until};
use crate::upstreams::{Api, answers_status, answers_well, hangs_before_head};

#[test]
fn what_leans_on_a_provider_is_not_copied() {
    let world = World::new(Api::Responses, answers_well(Api::Responses), ALL);
    let bodies = [
        r#"{"model":"m-1","input":"x","background":true}"#,
        r#"{"model":"m-1","input":"x","prompt":{"id":"pmpt_1"}}"#,
        r#"{"model":"m-1","input":[{"type":"item_reference","id":"msg_1"}]}"#,
    ];
    for body in bodies {
        assert_eq!(world.post(body).status, 200, "{body}");
    }
    assert_eq!(world.settled(3), of(&[("stateful", 3)]));
    assert_eq!(world.candidate.requests().len(), 0);
}

#[test]
fn tools_that_the_provider_runs_are_run_twice_only_where_that_is_allowed() {
    let search = r#"{"model":"m-1","input":"x","tools":[{"type":"web_search"}]}"#;
    for (more, outcome) in [("", "server_tools"), ("\nserver_tools = true", "ok")] {
        let world = World::new(Api::Responses, answers_well(Api::Responses), &format!("{ALL}{more}"));
        assert_eq!(world.post(search).status, 200);
        world.came_to(outcome);
    }
}

#[test]
fn who_may_not_be_served_by_the_candidate_is_not_copied_to_it() {
    let more = "allow = { tier = \"pro\" }\n[context.attributes]\ntier = { from = \"header:x-tier\" }";
    let world = World::with(Api::Chat, answers_well(Api::Chat), ALL, "", more);
    let ask = |tier: &str| world.post_as(&format!("x-tier: {tier}\r\n"), &world.api.ask(false)).status;
    assert_eq!((ask("free"), ask("pro")), (200, 200));
    assert_eq!(world.settled(2), of(&[("not_allowed", 1), ("ok", 1)]));
}

#[test]
fn a_candidate_of_the_other_api_gets_what_can_be_said_there() {
    let (primary, candidate) = (answers_well(Api::Chat), answers_well(Api::Messages));
    let text = config(Api::Chat, &primary, &candidate, ALL, "", "").replacen(
        &format!("[providers.c]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"", candidate.address),
        &format!("[providers.c]\ndialect = \"anthropic\"\nbase_url = \"http://{}\"", candidate.address),
        1,
    );
    let text = text.replacen("provider = \"p\"\n\n[[routes", "provider = [\"p\", \"c\"]\n[[routes", 1);
    let dimmer = Dimmer::start(&text);
    let ask = |path: &str, body: &str| {
        let answer = request(dimmer.data, "POST", path, JSON, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let two = Api::Chat.ask(false).replacen('{', r#"{"n":2,"#, 1);
    ask("/r/v1/chat/completions", &two);
    wait_until("it is counted", || outcomes(&dimmer) == of(&[("cannot_translate", 1)]));
    ask("/r/v1/chat/completions", &Api::Chat.ask(false));
    wait_until("it is counted", || outcomes(&dimmer) == of(&[("cannot_translate", 1), ("ok", 1)]));
    assert_eq!(candidate.last().line(), "POST /v1/messages HTTP/1.1");
    // A model that nobody knows goes to whoever speaks the API.
    ask("/r/v1/messages", &Api::Messages.ask(false).replacen("m-1", "x-1", 1));
    wait_until("it is counted", || outcomes(&dimmer) == of(&[("cannot_translate", 1), ("ok", 2)]));
}

#[test]
fn the_callers_own_model_is_nobody_to_compare_with() {
    let world = World::new(Api::Chat, answers_well(Api::Chat), "model = \"m\"\npercent = 100");
    assert_eq!(world.ask(false).status, 200);
    world.came_to("same_as_primary");
    assert_eq!(world.primary.requests().len(), 1);
}

#[test]
fn the_fallback_may_be_the_candidate() {
    let failing = answers_status(Api::Chat, "500 Internal Server Error", "");
    let candidate = answers_well(Api::Chat);
    let route = "fallback = [\"new\"]";
    let dimmer = Dimmer::start(&config(Api::Chat, &failing, &candidate, ALL, route, ""));
    let answer =
        request(dimmer.data, "POST", "/r/v1/chat/completions", JSON, Api::Chat.ask(false).as_bytes());
    assert_eq!((answer.status, answer.header("x-dimmer-model")), (200, Some("new")));
    wait_until("it is counted", || outcomes(&dimmer) == of(&[("same_as_primary", 1)]));
}

#[test]
fn as_many_copies_as_may_be_under_way_are() {
    let shadow = "model = \"new\"\npercent = 100\ntimeout = \"2s\"\nbudget = { concurrent = 2 }";
    let world = World::new(Api::Chat, hangs_before_head(), shadow);
    for _ in 0..7 {
        assert_eq!(world.ask(false).status, 200);
    }
    wait_until("five are turned away", || world.outcomes() == of(&[("over_concurrency", 5)]));
    assert_eq!(world.settled(7), of(&[("over_concurrency", 5), ("timeout", 2)]));
    assert_eq!(world.candidate.requests().len(), 2);
}

/// Sets aside so many dollars for each request that asks for a million tokens at 2 dollars.
const MILLION: &str = r#"{"model":"m-1","max_tokens":1000000,"messages":[{"role":"user","content":"Hi"}]}"#;

#[test]
fn dollars_are_set_aside_before_a_copy_is_sent_and_reconciled_after_it() {
    let shadow = "model = \"new\"\npercent = 100\nbudget = { usd_per_day = 2.5 }";
    let world = World::new(Api::Chat, answers_well(Api::Chat), shadow);
    for asked in 1..=5 {
        assert_eq!(world.post(MILLION).status, 200);
        // Each sets two dollars aside and costs next to nothing.
        assert_eq!(world.settled(asked), of(&[("ok", asked)]));
    }
    let two = MILLION.replacen("1000000", "2000000", 1);
    assert_eq!(world.post(&two).status, 200);
    assert_eq!(world.settled(6), of(&[("ok", 5), ("over_budget", 1)]));
}

#[test]
fn without_a_price_a_budget_cannot_be_kept() {
    let shadow = "model = \"free\"\npercent = 100\nbudget = { usd_per_day = 2.5 }";
    let world =
        World::with(Api::Chat, answers_well(Api::Chat), shadow, "", "[models.free]\nprovider = \"c\"");
    assert_eq!(world.ask(false).status, 200);
    world.came_to("over_budget");
}

#[test]
fn what_was_spent_today_is_spent_after_a_restart() {
    let shadow = "model = \"new\"\npercent = 100\ntimeout = \"200ms\"\nbudget = { usd_per_day = 2.5 }";
    let folder = tempfile::tempdir().unwrap();
    let state = format!("[state]\nurl = \"sqlite:{}/state.db\"", folder.path().display());
    let (primary, candidate) = (answers_well(Api::Chat), hangs_before_head());
    let text = config(Api::Chat, &primary, &candidate, shadow, "", &state);
    let ask = |dimmer: &Dimmer| {
        let answer = request(dimmer.data, "POST", "/r/v1/chat/completions", JSON, MILLION.as_bytes());
        assert_eq!(answer.status, 200);
    };
    let mut dimmer = Dimmer::start(&text);
    ask(&dimmer);
    // Nobody knows what it cost: what was set aside is spent.
    wait_until("it was too slow", || outcomes(&dimmer) == of(&[("timeout", 1)]));
    ask(&dimmer);
    wait_until("nothing is left", || outcomes(&dimmer) == of(&[("timeout", 1), ("over_budget", 1)]));
    assert!(dimmer.terminate().success());
    let dimmer = Dimmer::start(&text);
    ask(&dimmer);
    wait_until("nothing is left", || outcomes(&dimmer) == of(&[("over_budget", 1)]));
}

#[test]
fn a_kill_switch_of_its_own_and_those_of_others() {
    let world = World::new(Api::Chat, answers_well(Api::Chat), ALL);
    let mut asked = 0;
    for target in ["shadow:r/s", "model:new", "provider:c"] {
        switch(world.dimmer.admin, "kill", target);
        assert_eq!(world.ask(false).status, 200);
        asked += 1;
        assert_eq!(world.settled(asked), of(&[("killed", asked)]), "{target}");
        switch(world.dimmer.admin, "revive", target);
    }
    assert_eq!(world.candidate.requests().len(), 0);
    assert_eq!(world.ask(false).status, 200);
    assert_eq!(world.settled(4), of(&[("killed", 3), ("ok", 1)]));
}

#[test]
fn a_breaker_that_is_open_ends_the_copies_too() {
    let failing = answers_status(Api::Chat, "500 Internal Server Error", "");
    let candidate = answers_well(Api::Chat);
    let route = "fallback = [\"other\"]\nbreaker = \"b\"";
    let more = "[models.other]\nprovider = \"c\"\n[breakers.b]\nmin_requests = 5\ncooldown = \"1h\"";
    let mut dimmer = Dimmer::start(&config(Api::Chat, &failing, &candidate, ALL, route, more));
    dimmer.expect_log("breaker");
    let mut asked = 0;
    wait_until("the breaker is open", || {
        let answer =
            request(dimmer.data, "POST", "/r/v1/chat/completions", JSON, Api::Chat.ask(false).as_bytes());
        asked += 1;
        assert_eq!(answer.status, 200);
        answer.header("x-dimmer-fallback") == Some("breaker_open")
    });
    wait_until("all are counted", || outcomes(&dimmer).values().sum::<u64>() == asked);
    let outcomes = outcomes(&dimmer);
    assert!(outcomes["primary_in_trouble"] >= 1, "{outcomes:?}");
    assert_eq!(outcomes.values().sum::<u64>(), asked);
}

#[test]
fn a_share_of_none_is_counted_all_the_same() {
    let world = World::new(Api::Chat, answers_well(Api::Chat), "model = \"new\"\npercent = 0");
    for stream in [false, true, false] {
        assert_eq!(world.ask(stream).status, 200);
    }
    assert_eq!(world.settled(3), of(&[("sampled_out", 3)]));
}

#[test]
fn a_count_of_tokens_is_not_copied() {
    let world = World::new(Api::Messages, answers_well(Api::Messages), ALL);
    let headers = JSON;
    let body = Api::Messages.ask(false);
    let counted = request(world.dimmer.data, "POST", "/r/v1/messages/count_tokens", headers, body.as_bytes());
    assert_eq!(counted.status, 200);
    assert_eq!(world.ask(false).status, 200);
    world.came_to("ok");
}
