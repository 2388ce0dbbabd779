//! Traces: what a collector is told of requests, in which tree, and what goes on to providers. The collector decodes with OpenTelemetry's
//! own definitions; real ones refuse what those refuse.

mod collector;
mod exemplars;
mod passed_on;
mod trouble;

use std::process::Command;

use serde_json::{Value, json};

use crate::clients::{clients, root};
use crate::harness::{Answer, Connection, Dimmer, TEST_KEY, listeners, request};
use crate::upstreams::{
    After, Api, STREAM_HEAD, Upstream, answers, answers_status, answers_well, chunk, cuts_body,
    hangs_before_head, json as whole, refuses_connections,
};
use collector::{Collector, Spans};

const JSON: &str = "content-type: application/json\r\n";

/// A provider of this name, and a model of the same name.
fn model(api: Api, name: &str, upstream: &Upstream, lines: &str) -> String {
    let (dialect, base_url) = (api.dialect(), api.base_url(upstream.address));
    format!(
        "[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"{base_url}\"\napi_key = \"${{TEST_KEY}}\"\n{lines}\n\
         [models.{name}]\nprovider = \"{name}\"\nupstream_model = \"m-{name}\"\nprice = {{ input = 1.0, output = 2.0 }}\n"
    )
}

fn telemetry(collector: &str, lines: &str) -> String {
    format!("[telemetry]\notlp = \"{collector}\"\n{lines}\n")
}

fn post(dimmer: &Dimmer, path: &str, headers: &str, body: &str) -> Answer {
    request(dimmer.data, "POST", path, &format!("{JSON}{headers}"), body.as_bytes())
}

/// The fields of a span that a test names, and nothing else.
#[track_caller]
fn has(span: &Value, expected: &Value) {
    let attributes = &span["attributes"];
    for (key, value) in expected.as_object().expect("fields") {
        assert_eq!(attributes[key], *value, "{key} of {span:#}");
    }
}

#[test]
fn a_request_is_a_span_and_so_is_each_try_in_every_api() {
    for api in Api::ALL {
        let upstream = answers_well(api);
        let collector = Collector::start();
        let config = listeners("")
            + &model(api, "good", &upstream, "")
            + &telemetry(&collector.url(), "service_name = \"gateway\"\nattributes = { team = \"ai\" }")
            + "[routes.assistant]\npath = \"/a\"\nprovider = \"good\"\nmodel = \"good\"\n";
        let mut dimmer = Dimmer::start(&config);
        for stream in [false, true] {
            let path = format!("/a{}", api.path());
            assert_eq!(post(&dimmer, &path, "", &api.ask(stream)).status, 200);
        }
        assert!(dimmer.terminate().success(), "what waits is told at the end");
        let spans = collector.spans(4);
        for (place, request) in spans.roots().into_iter().enumerate() {
            let [one] = spans.below(request).try_into().unwrap_or_else(|all| panic!("{api:?}: {all:#?}"));
            assert_eq!(request["name"], format!("POST /a{}", api.path()));
            assert_eq!(
                (&request["kind"], &one["kind"]),
                (&json!("SPAN_KIND_SERVER"), &json!("SPAN_KIND_CLIENT"))
            );
            assert_eq!(
                (&request["status"], &one["status"]),
                (&json!("STATUS_CODE_UNSET"), &json!("STATUS_CODE_UNSET"))
            );
            assert!(
                request["start"].as_u64() <= one["start"].as_u64()
                    && one["end"].as_u64() <= request["end"].as_u64()
            );
            assert_eq!(
                (&request["resource"]["service.name"], &request["resource"]["team"]),
                (&json!("gateway"), &json!("ai"))
            );
            has(
                request,
                &json!({
                    "http.request.method": "POST", "http.response.status_code": 200, "url.scheme": "http",
                    "http.route": format!("/a{}", api.path()), "dimmer.route": "assistant", "dimmer.model": "good",
                    "dimmer.request.model": "m-1", "dimmer.outcome": "ok", "dimmer.tries": 1, "error.type": null,
                }),
            );
            let operation = if api == Api::Completions { "text_completion" } else { "chat" };
            let provider = if api == Api::Messages { "anthropic" } else { "openai" };
            assert_eq!(one["name"], format!("{operation} m-good"));
            has(
                one,
                &json!({
                    "gen_ai.operation.name": operation, "gen_ai.provider.name": provider,
                    "gen_ai.request.model": "m-good", "gen_ai.response.model": "m-1",
                    "gen_ai.response.finish_reasons": ["stop"], "http.response.status_code": 200,
                    "server.address": "127.0.0.1", "server.port": upstream.address.port(), "dimmer.provider": "good",
                    "gen_ai.request.stream": if place == 1 { json!(true) } else { Value::Null },
                }),
            );
            let streamed = place == 1;
            assert_eq!(
                one["attributes"]["gen_ai.response.time_to_first_chunk"].is_number(),
                streamed,
                "{one:#}"
            );
            if !streamed {
                has(
                    one,
                    &json!({ "gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 2, "dimmer.cost.usd": 13e-6 }),
                );
                let id: Value = serde_json::from_str(api.whole()).expect("JSON");
                assert_eq!(one["attributes"]["gen_ai.response.id"], id["id"]);
            }
        }
    }
}

#[test]
fn cached_input_is_input_and_said_beside_it() {
    let api = Api::Messages;
    let usage = r#""usage":{"input_tokens":9,"cache_read_input_tokens":30,"cache_creation_input_tokens":4,"output_tokens":2}"#;
    let answer = api.whole().replace(r#""usage":{"input_tokens":9,"output_tokens":2}"#, usage);
    let upstream = answers(whole("200 OK", answer));
    let collector = Collector::start();
    let config = listeners("")
        + &model(api, "good", &upstream, "")
        + &telemetry(&collector.url(), "")
        + "[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"good\"\n";
    let dimmer = Dimmer::start(&config);
    post(&dimmer, "/r/v1/messages", "", &api.ask(false));
    let spans = collector.spans(2);
    has(
        spans.clients()[0],
        &json!({
            "gen_ai.usage.input_tokens": 43, "gen_ai.usage.cache_read.input_tokens": 30,
            "gen_ai.usage.cache_write.input_tokens": 4, "gen_ai.usage.output_tokens": 2,
        }),
    );
}

#[test]
fn retries_and_fallbacks_are_spans_of_their_own() {
    let api = Api::Chat;
    let (limited, down) =
        (answers_status(api, "429 Too Many Requests", "retry-after: 0\r\n"), refuses_connections());
    let good = answers_well(api);
    let collector = Collector::start();
    let config = listeners("")
        + &model(api, "limited", &limited, "retries.attempts = 1")
        + &model(api, "down", &down, "retries.attempts = 1")
        + &model(api, "good", &good, "")
        + &telemetry(&collector.url(), "")
        + "[flags.f]\nowner = \"o\"\npermanent = true\ndefault = \"good\"\n[[flags.f.rules]]\nname = \"all\"\nserve = \"limited\"\n\
           [routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel.flag = \"f\"\nfallback = [\"down\", \"good\"]\n";
    let dimmer = Dimmer::start(&config);
    let answer = post(&dimmer, "/r/v1/chat/completions", "", &api.ask(false));
    assert_eq!(answer.header("x-dimmer-fallback"), Some("upstream_error"));
    let spans = collector.spans(6);
    let request = spans.roots()[0];
    has(
        request,
        &json!({ "dimmer.fallback.cause": "upstream_error", "dimmer.tries": 5, "dimmer.model": "good", "dimmer.outcome": "ok" }),
    );
    assert_eq!(request["status"], "STATUS_CODE_UNSET", "the caller was served");
    let tries = spans.below(request);
    let told: Vec<Value> = tries
        .iter()
        .map(|one| {
            let at = |key: &str| one["attributes"][key].clone();
            json!([at("dimmer.provider"), at("error.type"), at("http.request.resend_count"), one["status"]])
        })
        .collect();
    let (failed, fine) = ("STATUS_CODE_ERROR", "STATUS_CODE_UNSET");
    assert_eq!(
        Value::from(told),
        json!([
            ["limited", "429", null, failed],
            ["limited", "429", 1, failed],
            ["down", "dimmer_upstream_connect", 2, failed],
            ["down", "dimmer_upstream_connect", 3, failed],
            ["good", null, 4, fine],
        ])
    );
    // Each has told its provider whose work it is.
    for (upstream, places) in [(&limited, [0, 1].as_slice()), (&good, &[4])] {
        let sent: Vec<String> =
            upstream.requests().iter().flat_map(|request| request.values("traceparent")).collect();
        let expected: Vec<String> =
            places.iter().map(|place| collector::traceparent(tries[*place])).collect();
        assert_eq!(sent, expected);
    }
    assert_eq!(
        request["events"],
        json!([{ "name": "feature_flag.evaluation", "attributes": {
            "feature_flag.key": "f", "feature_flag.provider.name": "dimmer", "feature_flag.result.variant": "limited",
            "feature_flag.result.reason": "targeting_match", "feature_flag.set.id": "dimmer", "feature_flag.version": "1",
            "dimmer.flag.rule": "all",
        } }])
    );
}

#[test]
fn what_ends_badly_says_how() {
    let api = Api::Chat;
    let refused = answers_status(api, "400 Bad Request", "");
    let (down, cut) = (refuses_connections(), cuts_body(api));
    let collector = Collector::start();
    let route = |name: &str| {
        format!("[routes.{name}]\npath = \"/{name}\"\nprovider = \"{name}\"\nmodel = \"{name}\"\n")
    };
    let mut config = listeners("") + &telemetry(&collector.url(), "");
    for (name, upstream) in [("refused", &refused), ("down", &down), ("cut", &cut)] {
        config += &(model(api, name, upstream, "retries.attempts = 0") + &route(name));
    }
    config += "[routes.off]\npath = \"/off\"\nprovider = \"cut\"\nenabled = false\n";
    let dimmer = Dimmer::start(&config);
    let ask = |route: &str, stream: bool| {
        let path = format!("/{route}/v1/chat/completions");
        let mut connection = Connection::open(dimmer.data);
        connection.send_request("POST", &path, JSON, api.ask(stream).as_bytes());
        connection.answer("POST");
    };
    let cases = [
        ("refused", json!([400, "caller_error", null]), Some(json!("400"))),
        (
            "down",
            json!([502, "upstream_error", "dimmer_upstream_connect"]),
            Some(json!("dimmer_upstream_connect")),
        ),
        ("cut", json!([200, "cut", "cut"]), Some(json!("cut"))),
        ("off", json!([503, "not_tried", "dimmer_kill_switch"]), None),
    ];
    let mut count = 0;
    for (route, own, theirs) in cases {
        ask(route, true);
        count += 1 + usize::from(theirs.is_some());
        let spans = collector.spans(count);
        let request = spans.of("dimmer.route", route);
        let at = |key: &str| request["attributes"][key].clone();
        assert_eq!(
            json!([at("http.response.status_code"), at("dimmer.outcome"), at("error.type")]),
            own,
            "{request:#}"
        );
        assert_eq!(request["status"] == "STATUS_CODE_ERROR", !own[2].is_null());
        let errors: Vec<Value> =
            spans.below(request).iter().map(|one| one["attributes"]["error.type"].clone()).collect();
        assert_eq!(errors, Vec::from_iter(theirs), "{route}");
    }
}

#[test]
fn who_leaves_and_who_is_refused_is_told_too() {
    let api = Api::Chat;
    let hangs = hangs_before_head();
    let collector = Collector::start();
    let config = listeners("")
        + &model(api, "hangs", &hangs, "")
        + &telemetry(&collector.url(), "")
        + "[routes.r]\npath = \"/r\"\nprovider = \"hangs\"\nmodel = \"hangs\"\n";
    let dimmer = Dimmer::start(&config);
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", "/r/v1/chat/completions", JSON, api.ask(false).as_bytes());
    hangs.wait_requests(1);
    drop(connection);
    let spans = collector.spans(2);
    has(spans.roots()[0], &json!({ "dimmer.outcome": "cancelled", "error.type": null }));
    assert_eq!(post(&dimmer, "/nowhere/v1/chat/completions", "", "{}").status, 404);
    let spans = collector.spans(3);
    let refused = spans.of("http.response.status_code", 404);
    assert_eq!(refused["name"], "POST", "a path that nobody has declared is the caller's own word");
    has(
        refused,
        &json!({ "dimmer.route": null, "dimmer.outcome": "caller_error", "url.path": null, "error.type": null }),
    );
}

#[test]
fn a_copy_is_a_span_of_its_requests_trace() {
    let api = Api::Chat;
    let (good, candidate) = (answers_well(api), answers_well(api));
    let collector = Collector::start();
    let config = listeners("")
        + &model(api, "good", &good, "")
        + &model(api, "candidate", &candidate, "")
        + &telemetry(&collector.url(), "")
        + "[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"good\"\n\
           [[routes.r.shadow]]\nname = \"next\"\nmodel = \"candidate\"\npercent = 100\n";
    let dimmer = Dimmer::start(&config);
    let caller = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    post(&dimmer, "/r/v1/chat/completions", caller, &api.ask(false));
    let spans = collector.spans(3);
    let request = spans.of("dimmer.route", "r");
    let copy = spans.of("dimmer.shadow", "next");
    assert_eq!((&copy["trace"], &copy["parent"]), (&request["trace"], &request["span"]));
    has(
        copy,
        &json!({
            "dimmer.shadow.outcome": "ok", "gen_ai.request.model": "m-candidate", "gen_ai.usage.output_tokens": 2,
            "dimmer.provider": "candidate", "http.request.resend_count": null,
        }),
    );
    assert_eq!(candidate.last().values("traceparent"), [collector::traceparent(copy)]);
    assert_eq!(request["attributes"]["dimmer.tries"], 1, "it is no try of the caller's");
}

#[test]
fn a_service_that_makes_a_reply_is_told_whose_work_it_is() {
    let service = answers(whole("200 OK", r#"{"text":"By the rules."}"#));
    let collector = Collector::start();
    let config = listeners("")
        + &model(Api::Chat, "good", &answers_well(Api::Chat), "")
        + &telemetry(&collector.url(), "")
        + &format!(
            "[replies.rules]\nhttp = \"http://{}/answer\"\n[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"rules\"\n",
            service.address
        );
    let dimmer = Dimmer::start(&config);
    assert_eq!(post(&dimmer, "/r/v1/chat/completions", "", &Api::Chat.ask(false)).status, 200);
    let spans = collector.spans(2);
    let [one] = spans.below(spans.roots()[0]).try_into().expect("one try");
    has(
        one,
        &json!({ "dimmer.reply": "rules", "gen_ai.operation.name": null, "http.response.status_code": 200 }),
    );
    has(spans.roots()[0], &json!({ "dimmer.outcome": "reply", "dimmer.model": "rules" }));
    assert_eq!(service.last().values("traceparent"), [collector::traceparent(one)]);
}

#[test]
fn conversations_are_told_only_where_that_is_asked_for() {
    let api = Api::Chat;
    let good = answers_well(api);
    for (lines, told) in [("", false), ("conversations = \"hashed\"", true)] {
        let collector = Collector::start();
        let config = listeners("")
            + &model(api, "good", &good, "")
            + &telemetry(&collector.url(), lines)
            + "[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"good\"\n";
        let dimmer = Dimmer::start(&config);
        post(&dimmer, "/r/v1/chat/completions", "x-session-id: session-of-olivia\r\n", &api.ask(false));
        let spans = collector.spans(2);
        let digest = spans.roots()[0]["attributes"]["gen_ai.conversation.id"].as_str().map(str::len);
        assert_eq!(digest, told.then_some(32));
    }
}

/// Everything that nobody but the provider may see, planted where it could get out.
#[test]
fn nothing_that_is_secret_is_told() {
    const PLANTED: [&str; 7] = [
        "prompt-planted",
        "answer-planted",
        "user-planted",
        "session-planted",
        "query-planted",
        "key-planted",
        "path-planted",
    ];
    let api = Api::Chat;
    let answer = api.whole().replace("Hello there", "answer-planted");
    let upstream = Upstream::new(move |peer, request| match request.head.starts_with(b"GET") {
        true => peer.then(whole("200 OK", "{}"), After::KeepAlive),
        false => peer.then(whole("200 OK", &answer), After::KeepAlive),
    });
    let broken = Upstream::new(|peer, _| {
        let error =
            "data: {\"error\":{\"message\":\"answer-planted\",\"type\":\"server_error\",\"code\":null}}\n\n";
        peer.then([STREAM_HEAD.as_bytes(), &chunk(error), b"0\r\n\r\n"].concat(), After::KeepAlive)
    });
    // It keeps the very bytes.
    let collector = answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let lines = "headers = { authorization = \"${TEST_KEY}\" }\nconversations = \"hashed\"";
    let config = listeners("")
        + &model(api, "good", &upstream, "")
        + &model(api, "broken", &broken, "")
        + &telemetry(&format!("http://{}", collector.address), lines)
        + "[clients.app]\nkey = \"${CLIENT_KEY}\"\ntrusted = true\n[context]\ntargeting_key = [\"header:x-user-id\"]\n\
           [flags.f]\nowner = \"o\"\npermanent = true\ndefault = \"good\"\n[[flags.f.rules]]\nname = \"half\"\npercent = 50\nserve = \"good\"\n\
           [routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel.flag = \"f\"\n\
           [routes.b]\npath = \"/b\"\nprovider = \"broken\"\nmodel = \"broken\"\n";
    let mut dimmer = Dimmer::start_with(&config, &[("CLIENT_KEY", "key-planted")]);
    let headers = "authorization: Bearer key-planted\r\nx-user-id: user-planted\r\nx-session-id: session-planted\r\n\
                   baggage: user=user-planted\r\nuser-agent: user-planted\r\n";
    let body = api.ask(false).replace("Hi", "prompt-planted").replacen('{', r#"{"user":"user-planted","#, 1);
    assert_eq!(post(&dimmer, "/r/v1/chat/completions?key=query-planted", headers, &body).status, 200);
    post(&dimmer, "/b/v1/chat/completions", headers, &body.replacen('{', r#"{"stream":true,"#, 1));
    let got = request(dimmer.data, "GET", "/r/v1/files/path-planted", headers, b"");
    assert_eq!(got.status, 200);
    assert!(dimmer.terminate().success());
    let requests = collector.requests();
    let told = requests.iter().flat_map(|request| request.body.clone()).collect::<Vec<u8>>();
    for known in [
        "/r/v1/chat/completions",
        "feature_flag.evaluation",
        "gen_ai.conversation.id",
        "server_error",
        "m-good",
        "app",
    ] {
        assert!(memchr::memmem::find(&told, known.as_bytes()).is_some(), "{known}");
    }
    for secret in PLANTED.into_iter().chain([TEST_KEY, "Be brief."]) {
        assert!(memchr::memmem::find(&told, secret.as_bytes()).is_none(), "{secret} got out");
    }
    assert_eq!(requests[0].values("authorization"), [TEST_KEY]);
    let logs = dimmer.logs().join("\n");
    assert!(!logs.contains(TEST_KEY) && !PLANTED.iter().any(|secret| logs.contains(secret)), "{logs}");
}

#[test]
fn the_sdk_of_opentelemetry_is_joined() {
    let api = Api::Chat;
    let good = answers_well(api);
    let collector = Collector::start();
    let config = listeners("")
        + &model(api, "good", &good, "")
        + &telemetry(&collector.url(), "sample = \"0%\"")
        + "[routes.default]\nprovider = \"good\"\nmodel = \"good\"\n";
    let dimmer = Dimmer::start(&config);
    let output = Command::new(clients().join("venv/bin/python"))
        .arg(root().join("tests/clients/python/otel_app.py"))
        .env("OPENAI_BASE_URL", format!("http://{}/v1", dimmer.data))
        .env("NO_PROXY", "*")
        .output()
        .expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (trace, span) = said.trim().split_once(' ').expect("two ids");
    let spans: Spans = collector.spans(2);
    let request = spans.of("dimmer.route", "default");
    assert_eq!((&request["trace"], &request["parent"]), (&json!(trace), &json!(span)));
    assert_eq!(request["flags"].as_u64().map(|flags| flags & 0x300), Some(0x300), "its parent is elsewhere");
}
