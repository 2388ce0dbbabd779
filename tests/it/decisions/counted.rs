//! What is counted of a request: its outcome, tokens, money and length, by labels that the configuration names.

use super::{JSON, World};
use crate::harness::{Dimmer, listeners, request, wait_until};
use crate::upstreams::{Api, answers_well};

const COUNTED: &str = r#"
[models.priced]
provider = "chat"
price = { input = 2.5, output = 10.0 }
upstream_model = "m-1"
[models.refusing]
provider = "chat"
upstream_model = "m-refuses"
[models.silent]
provider = "chat"
upstream_model = "m-without-usage"
price = { input = 2.5, output = 10.0 }
[models.claude]
provider = "messages"
price = { input = 3, output = 15 }
upstream_model = "m-1"
[replies.sorry]
text = "Resting."
[flags.which]
owner = "o"
permanent = true
default = "priced"
[[flags.which.rules]]
name = "by-name"
when = { targeting_key = "refused" }
serve = "refusing"
[[flags.which.rules]]
name = "canary"
percent = 0.0001
serve = "silent"
[routes.r]
path = "/r"
model.flag = "which"
[routes.free]
path = "/free"
[routes.declared]
path = "/declared"
models = "declared"
[routes.off]
path = "/off"
enabled = false
[routes.says]
path = "/says"
model = "sorry"
"#;

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let world = World::start(COUNTED);
    let ask = |route: &str, model: &str| {
        let body = Api::Chat.ask(false).replace("m-1", model);
        world.post(&format!("{route}/v1/chat/completions"), "x-user-id: u\r\n", &body).status
    };
    let cases = [
        ("/free", "priced", 200, "free", "priced", "ok"),
        ("/free", "from-nowhere-1", 200, "free", "other", "ok"),
        ("/free", "from-nowhere-2", 200, "free", "other", "ok"),
        ("/free", "refusing", 200, "free", "refusing", "refused"),
        ("/free", "m-400", 400, "free", "other", "caller_error"),
        ("/free", "m-404", 404, "free", "other", "caller_error"),
        ("/free", "m-500", 500, "free", "other", "upstream_error"),
        ("/declared", "from-nowhere-3", 404, "declared", "none", "caller_error"),
        ("/off", "priced", 503, "off", "none", "not_tried"),
        ("/says", "priced", 200, "says", "sorry", "reply"),
    ];
    for (route, model, status, ..) in cases {
        assert_eq!(ask(route, model), status, "{route} {model}");
    }
    for (.., route, label, outcome) in cases {
        let same = cases.iter().filter(|(.., r, l, o)| (*r, *l, *o) == (route, label, outcome)).count();
        let labels = [("route", route), ("model", label), ("outcome", outcome)];
        world.wait_metric("dimmer_requests_total", &labels, same as f64);
    }
    let total = world.dimmer.metrics().metric("dimmer_requests_total", &[]);
    assert_eq!(total as usize, cases.len(), "each exactly once");
    world.wait_metric("dimmer_in_flight_requests", &[], 0.0);
    let page = request(world.dimmer.admin, "GET", "/metrics", "", b"").text();
    assert!(!page.contains("from-nowhere"), "no label is made by a request");
}

#[test]
fn tokens_money_and_length_are_counted_by_model_and_variant() {
    let world = World::start(COUNTED);
    let ask = |user: &str| {
        let headers = if user.is_empty() { String::new() } else { format!("x-user-id: {user}\r\n") };
        assert_eq!(world.ask(Api::Chat, "/r", &headers).status, 200);
    };
    ["ada", "bob", "refused", ""].into_iter().for_each(ask);
    let claude = Api::Messages.ask(false).replace("m-1", "claude");
    assert_eq!(world.post("/free/v1/messages", "", &claude).status, 200);
    for model in ["silent", "from-nowhere"] {
        let body = Api::Chat.ask(false).replace("m-1", model);
        assert_eq!(world.post("/free/v1/chat/completions", "", &body).status, 200);
    }
    let (r, free) = (("route", "r"), ("route", "free"));
    let (priced, refusing) = (("variant", "priced"), ("variant", "refusing"));
    let model = |name| ("model", name);
    let one = (9.0 * 2.5 + 2.0 * 10.0) / 1e6;
    for (name, labels, value) in [
        ("dimmer_tokens_total", vec![r, model("priced"), ("kind", "input")], 27.0),
        ("dimmer_tokens_total", vec![r, model("priced"), ("kind", "output")], 6.0),
        ("dimmer_tokens_total", vec![free, model("claude"), ("kind", "input")], 9.0),
        ("dimmer_tokens_total", vec![free, model("other"), ("kind", "output")], 2.0),
        ("dimmer_cost_usd_total", vec![r, model("priced")], 3.0 * one),
        ("dimmer_cost_usd_total", vec![free, model("claude")], (9.0 * 3.0 + 2.0 * 15.0) / 1e6),
        ("dimmer_cost_usd_total", vec![model("other")], 0.0),
        ("dimmer_cost_usd_total", vec![model("refusing")], 0.0),
        // No price, or no usage: unknown is not nothing.
        ("dimmer_unpriced_requests_total", vec![model("other")], 1.0),
        ("dimmer_unpriced_requests_total", vec![model("refusing")], 1.0),
        ("dimmer_unpriced_requests_total", vec![model("silent")], 1.0),
        ("dimmer_unpriced_requests_total", vec![model("priced")], 0.0),
        ("dimmer_output_chars_count", vec![r, model("priced")], 3.0),
        ("dimmer_output_chars_sum", vec![r, model("priced")], 33.0),
        ("dimmer_request_duration_seconds_count", vec![r, model("priced")], 3.0),
        ("dimmer_overhead_seconds_count", vec![r], 4.0),
        ("dimmer_flag_evaluations_total", vec![("flag", "which"), priced, ("reason", "DEFAULT")], 2.0),
        ("dimmer_flag_evaluations_total", vec![("flag", "which"), priced, ("reason", "ERROR")], 1.0),
        (
            "dimmer_flag_evaluations_total",
            vec![("flag", "which"), refusing, ("reason", "TARGETING_MATCH")],
            1.0,
        ),
        ("dimmer_targeting_key_missing_total", vec![r], 1.0),
        ("dimmer_variant_requests_total", vec![r, ("flag", "which"), priced, ("outcome", "ok")], 3.0),
        ("dimmer_variant_requests_total", vec![r, ("flag", "which"), refusing, ("outcome", "refused")], 1.0),
        ("dimmer_variant_duration_seconds_count", vec![r, ("flag", "which"), priced], 3.0),
        ("dimmer_variant_output_chars_sum", vec![r, ("flag", "which"), priced], 33.0),
        ("dimmer_variant_cost_usd_total", vec![r, ("flag", "which"), priced], 3.0 * one),
        ("dimmer_upstream_requests_total", vec![("provider", "chat"), ("class", "2xx")], 6.0),
        ("dimmer_upstream_requests_total", vec![("provider", "messages"), ("class", "2xx")], 1.0),
    ] {
        world.wait_metric(name, &labels, value);
    }
}

#[test]
fn a_stream_is_counted_as_a_whole_answer_is() {
    let upstream = answers_well(Api::Messages);
    let base_url = Api::Messages.base_url(upstream.address);
    let config = format!(
        "{}[providers.p]\ndialect = \"anthropic\"\nbase_url = \"{base_url}\"\n[models.m-1]\nprovider = \"p\"\n\
         price = {{ input = 1, output = 1 }}\n[routes.r]\npath = \"/r\"\nmodel = \"m-1\"\n",
        listeners("")
    );
    let dimmer = Dimmer::start(&config);
    let answer = request(dimmer.data, "POST", "/r/v1/messages", JSON, Api::Messages.ask(true).as_bytes());
    assert_eq!(answer.text(), Api::Messages.events().concat());
    for (name, label, value) in [
        ("dimmer_tokens_total", ("kind", "input"), 9.0),
        ("dimmer_tokens_total", ("kind", "output"), 2.0),
        ("dimmer_output_chars_sum", ("model", "m-1"), 5.0),
        ("dimmer_time_to_first_token_seconds_count", ("model", "m-1"), 1.0),
        ("dimmer_requests_total", ("outcome", "ok"), 1.0),
    ] {
        wait_until(&format!("{name}{label:?} is {value}"), || {
            (dimmer.metrics().metric(name, &[label]) - value).abs() < 1e-9
        });
    }
}

#[test]
fn what_a_cache_had_is_counted_and_priced_by_itself() {
    let world = World::start(
        "[models.gpt]\nprovider = \"chat\"\nupstream_model = \"m-cached\"\n\
         price = { input = 2.0, cached_input = 0.5, output = 8.0 }\n\
         [models.claude]\nprovider = \"messages\"\nupstream_model = \"m-cached\"\n\
         price = { input = 3.0, cached_input = 0.25, output = 15.0 }\n\
         [models.uncached]\nprovider = \"chat\"\nupstream_model = \"m-cached\"\n\
         price = { input = 2.0, output = 8.0 }\n[routes.r]\npath = \"/r\"\n",
    );
    for (api, model) in [(Api::Chat, "gpt"), (Api::Messages, "claude"), (Api::Chat, "uncached")] {
        let body = api.ask(false).replace("m-1", model);
        assert_eq!(world.post(&format!("/r{}", api.path()), "", &body).status, 200, "{model}");
    }
    // OpenAI's 9 hold the 4 of the cache, Anthropic's do not.
    for (model, input, usd) in [
        ("gpt", 5.0, (5.0 * 2.0 + 4.0 * 0.5 + 2.0 * 8.0) / 1e6),
        ("claude", 9.0, (9.0 * 3.0 + 4.0 * 0.25 + 2.0 * 15.0) / 1e6),
        ("uncached", 5.0, (9.0 * 2.0 + 2.0 * 8.0) / 1e6),
    ] {
        world.wait_metric("dimmer_cost_usd_total", &[("model", model)], usd);
        world.wait_metric("dimmer_tokens_total", &[("model", model), ("kind", "input")], input);
        world.wait_metric("dimmer_tokens_total", &[("model", model), ("kind", "cached_input")], 4.0);
    }
}

const HALF: &str = r#"
[flags.half]
owner = "o"
permanent = true
default = false
[[flags.half.rules]]
name = "half"
percent = 50
serve = true
[routes.r]
path = "/r"
enabled.flag = "half"
"#;

#[test]
fn a_missing_key_is_counted_on_every_slot() {
    let world = World::start(HALF);
    let answer = world.ask(Api::Chat, "/r", "");
    assert_eq!((answer.status, answer.header("x-dimmer-flags")), (503, Some("half=false;ERROR")));
    let labels = [("flag", "half"), ("variant", "false"), ("reason", "ERROR")];
    world.wait_metric("dimmer_flag_evaluations_total", &labels, 1.0);
    let labels = [("route", "r"), ("flag", "half"), ("variant", "false"), ("outcome", "not_tried")];
    world.wait_metric("dimmer_variant_requests_total", &labels, 1.0);
    // By now the request has ended, and everything of it is counted.
    let missing = world.dimmer.metrics().metric("dimmer_targeting_key_missing_total", &[("route", "r")]);
    assert_eq!(missing as u32, 1);
}

/// A flag that sends callers to a model of which their call can ask nothing fails all of its users: nobody may have to guess why.
#[test]
fn a_variant_that_cannot_be_reached_is_told_and_counted() {
    let world = World::start(
        "[models.gpt]\nprovider = \"chat\"\n[models.claude]\nprovider = \"messages\"\n\
         [flags.which]\nowner = \"o\"\npermanent = true\ndefault = \"gpt\"\n[[flags.which.rules]]\nname = \"ada\"\n\
         when = { targeting_key = \"ada\" }\nserve = \"claude\"\n[routes.r]\npath = \"/r\"\nmodel.flag = \"which\"\n",
    );
    let answer = world.ask(Api::Completions, "/r", "x-user-id: ada\r\n");
    assert_eq!((answer.status, answer.code().as_deref()), (400, Some("dimmer_cannot_translate")));
    wait_until("the request has ended", || {
        world.dimmer.metrics().metric("dimmer_requests_total", &[("route", "r")]) as u32 == 1
    });
    let labels = [("route", "r"), ("flag", "which"), ("variant", "claude")];
    let counted = world.dimmer.metrics().metric("dimmer_variant_requests_total", &labels);
    assert_eq!((answer.header("x-dimmer-flags"), counted as u32), (Some("which=claude;TARGETING_MATCH"), 1));
}
