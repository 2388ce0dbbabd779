//! W3C trace context: what comes with a request, and what goes on to its provider.

use super::collector::Collector;
use super::{model, post, telemetry};
use crate::harness::{Dimmer, listeners};
use crate::upstreams::{Api, Recorded, answers_well};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// Asks with these headers; gives what the provider was sent.
fn sent(telemetry: &str, headers: &str) -> Recorded {
    let api = Api::Chat;
    let good = answers_well(api);
    let config = listeners("")
        + &model(api, "good", &good, "")
        + telemetry
        + "[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"good\"\n";
    let mut dimmer = Dimmer::start(&config);
    dimmer.expect_log("the collector of traces");
    dimmer.expect_log("the last traces are lost");
    assert_eq!(post(&dimmer, "/r/v1/chat/completions", headers, &api.ask(false)).status, 200);
    good.last()
}

fn on(sample: &str) -> String {
    telemetry("http://127.0.0.1:9", &format!("sample = \"{sample}\""))
}

#[test]
fn without_telemetry_every_byte_passes() {
    for value in [&format!("00-{TRACE}-{SPAN}-01"), "odd", "00-0-0-0"] {
        let headers = format!(
            "TraceParent: {value}\r\ntracestate: a=1,  b=2\r\ntracestate: odd one\r\nbaggage: k=v\r\n"
        );
        let sent = sent("", &headers);
        assert_eq!(sent.values("traceparent"), [value]);
        assert_eq!(sent.values("tracestate"), ["a=1,  b=2", "odd one"]);
        assert_eq!(sent.values("baggage"), ["k=v"]);
    }
    assert_eq!(sent("", "").values("traceparent"), [""; 0]);
}

#[test]
fn a_callers_trace_goes_on_below_its_span() {
    let headers = format!(
        "traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a=1\r\ntracestate: b=2\r\nbaggage: k=v\r\n"
    );
    let sent = sent(&on("0%"), &headers);
    let [parent] = sent.values("traceparent").try_into().expect("one");
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01"), "{parent}");
    assert!(!parent.contains(SPAN), "the provider's parent is the try");
    assert_eq!(sent.values("tracestate"), ["a=1", "b=2"]);
    assert_eq!(sent.values("baggage"), ["k=v"]);
}

#[test]
fn what_a_caller_does_not_trace_is_not_traced() {
    let headers = format!("traceparent: 00-{TRACE}-{SPAN}-00\r\ntracestate: a=1\r\n");
    let sent = sent(&on("100%"), &headers);
    assert_eq!(sent.values("traceparent"), [format!("00-{TRACE}-{SPAN}-00")], "as it came");
    assert_eq!(sent.values("tracestate"), ["a=1"]);
}

#[test]
fn what_is_absent_or_malformed_begins_anew() {
    for headers in [
        String::new(),
        format!("traceparent: 00-{TRACE}-{SPAN}\r\ntracestate: a=1\r\n"),
        format!("traceparent: 00-{TRACE}-0000000000000000-01\r\ntracestate: a=1\r\n"),
        format!("traceparent: 00-{TRACE}-{SPAN}-01\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n"),
        "tracestate: a=1\r\n".to_owned(),
    ] {
        for (sample, flags) in [("100%", "-01"), ("0%", "-00")] {
            let sent = sent(&on(sample), &headers);
            let [parent] = sent.values("traceparent").try_into().expect("one");
            assert!(!parent.contains(TRACE) && parent.ends_with(flags) && parent.len() == 55, "{parent}");
            assert_eq!(sent.values("tracestate"), [""; 0], "it belongs to another trace");
        }
    }
    // Only the state is odd: the trace goes on without it.
    let sent = sent(&on("100%"), &format!("traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: odd one\r\n"));
    assert!(sent.values("traceparent")[0].contains(TRACE));
    assert_eq!(sent.values("tracestate"), [""; 0]);
}

#[test]
fn a_part_of_all_requests_is_traced() {
    let api = Api::Chat;
    let good = answers_well(api);
    let collector = Collector::start();
    let config = listeners("")
        + &model(api, "good", &good, "")
        + &telemetry(&collector.url(), "sample = \"50%\"")
        + "[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"good\"\n";
    let mut dimmer = Dimmer::start(&config);
    for _ in 0..100 {
        post(&dimmer, "/r/v1/chat/completions", "", &api.ask(false));
    }
    assert!(dimmer.terminate().success());
    let sampled =
        good.requests().iter().filter(|request| request.values("traceparent")[0].ends_with("-01")).count();
    assert!((20..=80).contains(&sampled), "{sampled}");
    assert_eq!(collector.spans(2 * sampled).roots().len(), sampled);
}

#[test]
fn log_lines_have_their_trace() {
    let api = Api::Chat;
    let good = answers_well(api);
    for (telemetry, traced) in [(String::new(), false), (on("0%"), true)] {
        let config = listeners("")
            + &model(api, "good", &good, "")
            + &telemetry
            + "[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"good\"\n";
        let mut dimmer = Dimmer::start_with(&config, &[("DIMMER_LOG", "info,dimmer::access=debug")]);
        let headers = format!("traceparent: 00-{TRACE}-{SPAN}-00\r\n");
        let answer = post(&dimmer, "/r/v1/chat/completions", &headers, &api.ask(false));
        assert_eq!(answer.header("traceparent"), None, "answers do not say it");
        assert!(dimmer.terminate().success());
        let logs = dimmer.logs();
        let line = logs.iter().find(|line| line.contains("dimmer::access")).expect("an access line");
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["trace_id"].as_str(), traced.then_some(TRACE), "{line}");
        assert_eq!(line["span_id"].as_str().map(str::len), traced.then_some(16), "{line}");
    }
}
