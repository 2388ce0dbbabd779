//! Providers of the other dialect that fail in every way: the caller is told in its own words, and never that half an answer is whole.

use serde_json::Value;

use super::{PAIRS, World, far, has_end, streamed_text, text};
use crate::harness::{Dimmer, Piece, wait_until};
use crate::upstreams::{
    After, Api, STREAM_HEAD, Upstream, answers, answers_status, answers_well, chunk, closes_before_head,
    cuts_body, ends_stream_without_terminal, hangs_before_head, json, length_and_chunks, refuses_connections,
    resets_before_head, resets_mid_body, resets_on_accept, sends_error_event, speaks_garbage,
    stalls_mid_body,
};

/// A stream that broke off ends with the caller's own error event and a broken transfer.
fn ends_broken(api: Api, dimmer: &Dimmer, world: &World, what: &str) -> String {
    let answer = world.ask(dimmer, "r", true);
    let stream = answer.text();
    assert_eq!(answer.status, 200, "{api:?} {what}: {stream}");
    assert!(!answer.complete, "{api:?} {what}: the transfer is broken off: {stream}");
    assert!(!has_end(api, &stream), "{api:?} {what}: {stream}");
    api.code_of_error_event(&stream).unwrap_or_else(|| panic!("{api:?} {what}: {stream}"))
}

#[test]
fn a_stream_that_breaks_off_never_ends_as_if_it_were_whole() {
    for (api, spoken) in PAIRS {
        for (what, upstream) in [
            ("cut", cuts_body(spoken)),
            ("reset", resets_mid_body(spoken)),
            ("no terminal", ends_stream_without_terminal(spoken)),
            ("garbage", streams("data: {not json\n\nevent: x\ndata: [}\n\n")),
        ] {
            let (world, dimmer) = far((api, spoken), &upstream, "");
            assert_eq!(ends_broken(api, &dimmer, &world, what), "dimmer_upstream_reset", "{api:?} {what}");
            let cut = [("route", "r"), ("outcome", "cut")];
            wait_until("it is counted", || dimmer.metrics().metric("dimmer_requests_total", &cut) == 1.0);
        }
        let (world, dimmer) = far((api, spoken), &stalls_mid_body(spoken), "timeouts.idle = \"200ms\"");
        assert_eq!(ends_broken(api, &dimmer, &world, "stalls"), "dimmer_upstream_timeout");
    }
}

/// A proper stream of these bytes.
fn streams(body: &'static str) -> Upstream {
    Upstream::new(move |peer, _| {
        peer.write(STREAM_HEAD);
        peer.write(chunk(body));
        peer.then("0\r\n\r\n", After::KeepAlive)
    })
}

#[test]
fn an_error_event_becomes_the_callers() {
    for (api, spoken) in PAIRS {
        for before in [0, 2] {
            let (world, dimmer) = far((api, spoken), &sends_error_event(spoken, before), "");
            let answer = world.ask(&dimmer, "r", true);
            let stream = answer.text();
            assert!(!has_end(api, &stream), "{api:?}: {stream}");
            let last = super::events(&stream).pop().unwrap_or_default();
            let message = match api {
                Api::Responses => last.get("message").or(last.pointer("/response/error/message")),
                _ => last.pointer("/error/message"),
            };
            assert_eq!(message.and_then(Value::as_str), Some("too much"), "{api:?} after {before}: {stream}");
            let failed = [("route", "r"), ("outcome", "upstream_error")];
            wait_until("it is counted", || dimmer.metrics().metric("dimmer_requests_total", &failed) == 1.0);
        }
    }
}

#[test]
fn a_whole_answer_that_is_not_there_is_an_error() {
    for (api, spoken) in PAIRS {
        let idle = "timeouts.idle = \"200ms\"";
        for (what, upstream, lines, status, code) in [
            ("cut", cuts_body(spoken), "", 502, "dimmer_upstream_reset"),
            ("reset", resets_mid_body(spoken), "", 502, "dimmer_upstream_reset"),
            ("stalls", stalls_mid_body(spoken), idle, 504, "dimmer_upstream_timeout"),
            ("no json", answers(json("200 OK", "Hello")), "", 502, "dimmer_upstream_protocol"),
            ("another json", answers(json("200 OK", "[1]")), "", 502, "dimmer_upstream_protocol"),
            ("empty", answers(json("200 OK", "")), "", 502, "dimmer_upstream_protocol"),
        ] {
            let (world, dimmer) = far((api, spoken), &upstream, lines);
            let answer = world.ask(&dimmer, "r", false);
            assert_eq!(
                (answer.status, answer.code().as_deref()),
                (status, Some(code)),
                "{api:?} {what}: {}",
                answer.text()
            );
        }
    }
}

/// The status means the same in the caller's API, the message is the provider's, and when to come back is said.
#[test]
fn a_providers_error_is_said_in_the_callers_words() {
    for (api, spoken) in PAIRS {
        for (status, expected) in [
            ("400 Bad Request", 400),
            ("404 Not Found", 404),
            ("413 Too Large", 413),
            ("429 Too Many Requests", 429),
            ("500 Oops", 500),
            ("503 Unavailable", if api == Api::Messages { 529 } else { 503 }),
            ("529 Overloaded", if api == Api::Messages { 529 } else { 503 }),
        ] {
            let upstream =
                answers_status(spoken, status, "retry-after: 7\r\nx-ratelimit-limit-tokens: 1\r\n");
            let (world, dimmer) = far((api, spoken), &upstream, "");
            for stream in [false, true] {
                let answer = world.ask(&dimmer, "r", stream);
                assert_eq!(answer.status, expected, "{api:?} {status}: {}", answer.text());
                assert_eq!(answer.header("content-type"), Some("application/json"));
                assert_eq!(answer.header("retry-after"), Some("7"));
                assert_eq!(answer.header("x-ratelimit-limit-tokens"), None, "a limit of another's key");
                let error = answer.json();
                assert_eq!(error.pointer("/error/message").and_then(Value::as_str), Some("no"), "{error}");
                assert_eq!(error["type"] == "error", api == Api::Messages, "{error}");
                assert!(error.pointer("/error/type").is_some_and(Value::is_string), "{error}");
            }
        }
        // No JSON at all: a proxy's page.
        let upstream = answers(json("502 Bad Gateway", "<html>"));
        let (world, dimmer) = far((api, spoken), &upstream, "");
        let answer = world.ask(&dimmer, "r", false);
        let error = answer.json();
        assert!((500..600).contains(&answer.status) && error.pointer("/error/message").is_some(), "{error}");
    }
}

type Fault = (&'static str, fn(Api) -> Upstream);

const FAULTS: [Fault; 9] = [
    ("refuses", |_| refuses_connections()),
    ("resets-on-accept", |_| resets_on_accept()),
    ("resets", |_| resets_before_head()),
    ("closes", |_| closes_before_head()),
    ("limited", |api| answers_status(api, "429 Too Many Requests", "retry-after: 600\r\n")),
    ("fails", |api| answers_status(api, "500 Internal Server Error", "")),
    ("overloaded", |api| answers_status(api, "529 Overloaded", "")),
    ("garbage", |_| speaks_garbage()),
    ("two-framings", length_and_chunks),
];

/// What leads on where a stream was asked for, and where none was.
const OF_STREAMS: [Fault; 2] = [
    ("error-event", |api| sends_error_event(api, 0)),
    ("cut-stream", |_| Upstream::new(|peer, _| peer.then(STREAM_HEAD, After::Close))),
];
const OF_WHOLE: [Fault; 1] = [("cut-answer", cuts_body)];

/// The chain leads from one dialect to the other and back; each target gets the request in its own words, and nothing of a failure is
/// seen.
#[test]
fn whatever_fails_before_an_answer_leads_to_the_next_of_either_dialect() {
    for (api, spoken) in PAIRS {
        let (near, far) = (answers_well(api), answers_well(spoken));
        let mut world = World::new(api);
        world.model("near", api, &near, "", "");
        world.model("far", spoken, &far, "", "");
        world.route("direct-near", "model = \"near\"");
        world.route("direct-far", "model = \"far\"");
        let all = || FAULTS.into_iter().chain(OF_STREAMS).chain(OF_WHOLE);
        for (name, fault) in all() {
            world.model(&format!("f-{name}"), spoken, &fault(spoken), "", "");
            world.model(&format!("n-{name}"), api, &fault(api), "", "");
            world.route(&format!("f-{name}"), &format!("model = \"f-{name}\"\nfallback = [\"near\"]"));
            world.route(&format!("n-{name}"), &format!("model = \"n-{name}\"\nfallback = [\"far\"]"));
        }
        let dimmer = world.start();
        for stream in [false, true] {
            for (from, to, good) in [("f", "near", &near), ("n", "far", &far)] {
                let direct = world.ask(&dimmer, &format!("direct-{to}"), stream);
                let sent: Value = super::body(good);
                for (name, _) in all() {
                    let of = |faults: &[Fault]| faults.iter().any(|(known, _)| *known == name);
                    // What breaks off within a whole answer of the caller's own dialect was on its way to it already.
                    if (!stream && of(&OF_STREAMS)) || (of(&OF_WHOLE) && (stream || from == "n")) {
                        continue;
                    }
                    let what = format!("{api:?} {from}-{name} stream: {stream}");
                    let answer = world.ask(&dimmer, &format!("{from}-{name}"), stream);
                    assert_eq!((answer.status, answer.complete), (200, true), "{what}: {}", answer.text());
                    assert_eq!(answer.header("x-dimmer-model"), Some(to), "{what}");
                    assert_eq!(answer.header("x-dimmer-fallback"), Some("upstream_error"), "{what}");
                    match stream {
                        false => assert_eq!(text(api, &answer.json()), text(api, &direct.json()), "{what}"),
                        true => {
                            assert_eq!(streamed_text(api, &answer.text()), "Hello", "{what}");
                            assert!(has_end(api, &answer.text()), "{what}");
                        }
                    }
                    assert_eq!(
                        super::body(good),
                        sent,
                        "{what}: the request is translated anew for its target"
                    );
                }
            }
        }
    }
}

/// What is told to end, and what is waited for too long, while a whole answer is gathered.
#[test]
fn a_caller_that_leaves_while_an_answer_is_gathered_ends_it() {
    for (api, spoken) in PAIRS {
        let upstream = stalls_mid_body(spoken);
        let (world, dimmer) = far((api, spoken), &upstream, "");
        let connection = world.open(&dimmer, "r", false);
        upstream.wait_requests(1);
        drop(connection);
        upstream.wait_closed(1);
        let (world, dimmer) =
            far((api, spoken), &hangs_before_head(), "timeouts.first_byte = { whole = \"100ms\" }");
        let answer = world.ask(&dimmer, "r", false);
        assert_eq!((answer.status, answer.code().as_deref()), (504, Some("dimmer_upstream_timeout")));
    }
}

/// An answer that is larger than what may be held is not gathered without end.
#[test]
fn an_answer_that_is_too_large_is_refused() {
    let big = format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{}"}}]}}"#,
        "x".repeat(200_000)
    );
    let upstream = answers(json("200 OK", big));
    let mut world = World::new(Api::Chat);
    world.config = world.config.replacen("[admin]", "limits = { body = \"100KiB\" }\n[admin]", 1);
    world.model("far", Api::Messages, &upstream, "", "");
    world.route("r", "model = \"far\"");
    let dimmer = world.start();
    let answer = world.ask(&dimmer, "r", false);
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (502, Some("dimmer_upstream_protocol")),
        "{}",
        answer.text()
    );
}

/// Half an event of the provider's is none of the caller's.
#[test]
fn a_break_within_an_event_is_told_between_events() {
    for (api, spoken) in PAIRS {
        let upstream = Upstream::new(move |peer, _| {
            let events = spoken.events().concat();
            let half = events.find("Hello").unwrap() + 3;
            peer.write(STREAM_HEAD);
            peer.then(chunk(events.split_at(half).0), After::Close)
        });
        let (world, dimmer) = far((api, spoken), &upstream, "");
        assert_eq!(ends_broken(api, &dimmer, &world, "half an event"), "dimmer_upstream_reset");
        let mut connection = world.open(&dimmer, "r", true);
        let head = connection.head();
        let mut framing = head.framing("POST");
        while let Piece::Data(data) = connection.piece(&mut framing) {
            assert!(data.ends_with(b"\n\n"), "only whole events: {}", String::from_utf8_lossy(&data));
        }
    }
}
