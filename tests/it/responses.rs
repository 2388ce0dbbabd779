//! Flags on the Responses API, its counting and compacting calls, and Completions: what the provider sees, what the
//! caller sees, what is counted.

use crate::harness::{Answer, Dimmer, listeners, request, wait_until};
use crate::upstreams::{After, Api, STREAM_HEAD, Upstream, chunk, cuts_body, json, wants_stream};

const ROUTES: &str = r#"
[models.m-1]
provider = "p"
[models.new]
provider = "p"
upstream_model = "vendor/new-1"
price = { input = 2.0, cached_input = 0.5, output = 8.0 }
fit = { drop = ["temperature"], cap_max_tokens = 100 }
[models.claude]
provider = "messages"
[prompts.terse]
text = "One \"word\"."
[flags.which]
owner = "o"
permanent = true
default = "new"
[flags.tone]
owner = "o"
permanent = true
default = "terse"
[routes.bare]
path = "/bare"
provider = ["p", "messages"]
[routes.r]
path = "/r"
aliases = ["writer"]
model.flag = "which"
system_prompt.flag = "tone"
[routes.counts]
path = "/counts"
model = "claude"
system_prompt = "terse"
"#;

struct World {
    dimmer: Dimmer,
    upstream: Upstream,
}

impl World {
    fn start(upstream: Upstream) -> Self {
        let provider = format!(
            "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{0}/v1\"\n\
             [providers.messages]\ndialect = \"anthropic\"\nbase_url = \"http://{0}\"\n",
            upstream.address
        );
        let dimmer = Dimmer::start(&(listeners("") + &provider + ROUTES));
        Self { dimmer, upstream }
    }

    fn post(&self, target: &str, body: &str) -> Answer {
        request(self.dimmer.data, "POST", target, "content-type: application/json\r\n", body.as_bytes())
    }

    fn sent(&self) -> String {
        String::from_utf8_lossy(&self.upstream.last().body).into_owned()
    }

    fn wait_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        wait_until(&format!("{name}{labels:?} is {value}"), || {
            (self.dimmer.metrics().metric(name, labels) - value).abs() < 1e-12
        });
    }
}

/// Answers as the API does that is asked; completions end with their usage where it is asked for.
fn provider() -> Upstream {
    Upstream::new(|peer, request| {
        let completions = request.line().contains("/completions");
        let api = if completions { Api::Completions } else { Api::Responses };
        if !wants_stream(request) {
            return peer.then(json("200 OK", api.whole()), After::KeepAlive);
        }
        let asked = memchr::memmem::find(&request.body, b"\"include_usage\":true").is_some();
        let text = if completions && asked { with_usage() } else { api.events().concat() };
        let mut bytes = STREAM_HEAD.as_bytes().to_vec();
        text.as_bytes().chunks(100).for_each(|piece| bytes.extend(chunk(piece)));
        bytes.extend_from_slice(b"0\r\n\r\n");
        peer.then(bytes, After::KeepAlive)
    })
}

fn with_usage() -> String {
    let (done, chunks) = Api::Completions.events().split_last().unwrap();
    let chunks: String =
        chunks.iter().map(|event| event.replace("}]}\n\n", "}],\"usage\":null}\n\n")).collect();
    let usage = r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"m-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;
    format!("{chunks}data: {usage}\n\n{done}")
}

#[test]
fn without_a_flag_nothing_changes() {
    let world = World::start(provider());
    let odd = r#"{ "input" : [{"role":"developer","content":"d"}],"background" : true ,"x":1.0e5,"mod\u0065l":"any","instructions":""}"#;
    for path in ["/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact", "/responses"] {
        let answer = world.post(&format!("/bare{path}"), odd);
        assert_eq!((answer.status, answer.text().as_str()), (200, Api::Responses.whole()), "{path}");
        assert_eq!(world.sent(), odd, "{path}");
    }
    for api in [Api::Responses, Api::Completions] {
        for stream in [false, true] {
            let answer = world.post(&format!("/bare{}", api.path()), &api.ask(stream));
            let expected = if stream { api.events().concat() } else { api.whole().to_owned() };
            assert_eq!((answer.text(), answer.complete), (expected, true), "{api:?} {stream}");
            assert_eq!(world.sent(), api.ask(stream));
        }
    }
}

#[test]
fn model_prompt_and_fit_reach_a_response() {
    let world = World::start(provider());
    let cases = [
        (
            r#"{"model":"m-1","instructions" : "Be kind.","temperature":1, "input":[{"role":"developer","content":"d"}, {"role":"user","content":"H\u0069"}],"max_output_tokens": 1e4}"#,
            r#"{"model":"vendor/new-1","instructions" : "One \"word\".", "input":[ {"role":"user","content":"H\u0069"}],"max_output_tokens": 100}"#,
        ),
        (
            r#"{"model":"m-1","input":[{"type":"message","role":"developer","content":"d","id":"i"},{"type":"reasoning","id":"r"}]}"#,
            r#"{"model":"vendor/new-1","input":[{"type":"message","role":"developer","content":"One \"word\".","id":"i"},{"type":"reasoning","id":"r"}]}"#,
        ),
        (
            r#"{"model":"m-1","input":"Hi","previous_response_id":"resp_0"}"#,
            r#"{"instructions":"One \"word\".","model":"vendor/new-1","input":"Hi","previous_response_id":"resp_0"}"#,
        ),
    ];
    for (sent, expected) in cases {
        for path in ["/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact"] {
            let answer = world.post(&format!("/r{path}"), sent);
            assert_eq!((answer.status, answer.text().as_str()), (200, Api::Responses.whole()));
            assert_eq!(world.sent(), expected, "{path}");
            assert!(world.upstream.last().line().contains(path), "{}", world.upstream.last().line());
            assert_eq!(answer.header("x-dimmer-model"), Some("new"));
            let flags = answer.header("x-dimmer-flags");
            assert_eq!(flags, Some("which=new;STATIC, tone=terse;STATIC"), "{path}");
            let dropped = sent.contains("temperature").then_some("temperature");
            assert_eq!(answer.header("x-dimmer-dropped"), dropped, "{path}");
        }
    }
    let by_alias = world.post("/v1/responses", r#"{"model":"writer","input":"Hi"}"#);
    assert_eq!((by_alias.status, by_alias.header("x-dimmer-route")), (200, Some("r")));
    let twice = world.post("/r/v1/responses", r#"{"input":"a","input":"b"}"#);
    assert_eq!((twice.status, twice.code().as_deref()), (400, Some("dimmer_bad_request")));
    assert!(twice.text().contains("\\\"input\\\" stands there twice"), "{}", twice.text());
    let counted =
        world.post("/counts/v1/messages/count_tokens", r#"{"model":"m","messages":[],"system":"s"}"#);
    assert_eq!(counted.status, 200);
    assert_eq!(world.sent(), r#"{"model":"claude","messages":[],"system":"One \"word\"."}"#);
}

#[test]
fn a_completion_gets_its_model_and_says_that_it_has_no_place_for_a_prompt() {
    let world = World::start(provider());
    let answer = world.post("/r/v1/completions", r#"{"model":"m-1","prompt":["Once"],"max_tokens":500}"#);
    assert_eq!((answer.status, answer.text().as_str()), (200, Api::Completions.whole()));
    assert_eq!(world.sent(), r#"{"model":"vendor/new-1","prompt":["Once"],"max_tokens":100}"#);
    assert_eq!(answer.header("x-dimmer-dropped"), Some("system_prompt"));
    world.wait_metric("dimmer_dropped_parameters_total", &[("field", "system_prompt")], 1.0);
}

#[test]
fn usage_of_a_completion_is_asked_for_and_never_seen_by_a_caller_that_did_not_ask() {
    let world = World::start(provider());
    let api = Api::Completions;
    let answer = world.post("/r/v1/completions", &api.ask(true));
    assert_eq!((answer.text(), answer.complete), (api.events().concat(), true));
    assert!(world.sent().contains(r#""stream_options":{"include_usage":true}"#), "{}", world.sent());
    let asking = api.ask(true).replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1);
    let answer = world.post("/r/v1/completions", &asking);
    assert_eq!((answer.text(), answer.complete), (with_usage(), true));
    world.wait_metric("dimmer_tokens_total", &[("model", "new"), ("kind", "input")], 18.0);
    world.wait_metric("dimmer_tokens_total", &[("model", "new"), ("kind", "output")], 4.0);
}

#[test]
fn tokens_money_and_length_of_a_response_are_counted() {
    let world = World::start(provider());
    for stream in [false, true] {
        let answer = world.post("/r/v1/responses", &Api::Responses.ask(stream));
        assert!(answer.complete && answer.status == 200, "{}", answer.text());
    }
    let of = [("model", "new")];
    world.wait_metric("dimmer_tokens_total", &[("model", "new"), ("kind", "input")], 18.0);
    world.wait_metric("dimmer_tokens_total", &[("model", "new"), ("kind", "output")], 4.0);
    world.wait_metric("dimmer_cost_usd_total", &of, 2.0 * (9.0 * 2.0 + 2.0 * 8.0) / 1e6);
    // "Hello there" and "Hello".
    world.wait_metric("dimmer_output_chars_sum", &of, 16.0);
    world.wait_metric("dimmer_time_to_first_token_seconds_count", &of, 1.0);
    world.wait_metric("dimmer_requests_total", &[("model", "new"), ("outcome", "ok")], 2.0);
}

/// An agent's request with long instructions and many tools comes back whole in the event that tells the usage.
#[test]
fn usage_is_found_at_the_end_of_a_very_large_event() {
    let long = format!("\"instructions\":\"{}\",\"usage\":{{", "usage é \\\"} ".repeat(40_000));
    let upstream = Upstream::new(move |peer, _| {
        let text = Api::Responses.events().concat().replace("\"usage\":{", &long);
        let mut bytes = STREAM_HEAD.as_bytes().to_vec();
        text.as_bytes().chunks(10_000).for_each(|piece| bytes.extend(chunk(piece)));
        bytes.extend_from_slice(b"0\r\n\r\n");
        peer.then(bytes, After::KeepAlive)
    });
    let world = World::start(upstream);
    let answer = world.post("/r/v1/responses", &Api::Responses.ask(true));
    assert!(answer.complete && answer.body.len() > 400_000);
    world.wait_metric("dimmer_tokens_total", &[("model", "new"), ("kind", "input")], 9.0);
    world.wait_metric("dimmer_requests_total", &[("model", "new"), ("outcome", "ok")], 1.0);
}

#[test]
fn a_response_that_is_still_to_come_is_counted_without_usage() {
    let queued = r#"{"id":"resp_1","object":"response","status":"queued","background":true,"model":"m-1","output":[],"usage":null}"#;
    let world =
        World::start(Upstream::new(move |peer, _| peer.then(json("200 OK", queued), After::KeepAlive)));
    let answer = world.post("/r/v1/responses", r#"{"model":"m-1","input":"Hi","background":true}"#);
    assert_eq!(answer.text(), queued);
    world.wait_metric("dimmer_unpriced_requests_total", &[("model", "new")], 1.0);
    world.wait_metric("dimmer_requests_total", &[("model", "new"), ("outcome", "ok")], 1.0);
    assert!(world.dimmer.metrics().metric("dimmer_tokens_total", &[]) < 1.0);
}

#[test]
fn a_cut_stream_ends_with_an_error_event_and_a_broken_transfer() {
    for api in [Api::Responses, Api::Completions] {
        let world = World::start(cuts_body(api));
        let answer = world.post(&format!("/r{}", api.path()), &api.ask(true));
        assert!(!answer.complete, "{api:?}: the transfer ends as if it were whole");
        let text = answer.text();
        assert!(text.starts_with(&api.events()[..2].concat()) && !text.contains(api.terminal()), "{text}");
        let code = api.code_of_error_event(&text).expect("an error event");
        assert!(["dimmer_upstream_reset", "dimmer_upstream_protocol"].contains(&code.as_str()), "{code}");
        world.wait_metric("dimmer_requests_total", &[("model", "new"), ("outcome", "cut")], 1.0);
        world.wait_metric("dimmer_unpriced_requests_total", &[("model", "new")], 1.0);
    }
}

#[test]
fn an_answer_that_failed_is_the_providers_error() {
    let failed = r#"{"id":"resp_1","object":"response","status":"failed","error":{"code":"server_error","message":"m"},"model":"m-1","output":[],"usage":null}"#;
    for stream in [false, true] {
        let event = format!(
            "event: response.failed\ndata: {{\"type\":\"response.failed\",\"sequence_number\":0,\"response\":{failed}}}\n\n"
        );
        let world = World::start(Upstream::new(move |peer, _| match stream {
            false => peer.then(json("200 OK", failed), After::KeepAlive),
            true => {
                let mut bytes = STREAM_HEAD.as_bytes().to_vec();
                bytes.extend(chunk(&event));
                bytes.extend_from_slice(b"0\r\n\r\n");
                peer.then(bytes, After::KeepAlive)
            }
        }));
        let answer = world.post("/r/v1/responses", &Api::Responses.ask(stream));
        assert!(answer.text().contains(failed) && answer.complete, "{}", answer.text());
        let labels = [("model", "new"), ("outcome", "upstream_error")];
        world.wait_metric("dimmer_requests_total", &labels, 1.0);
    }
}
