//! A collector that is away, hangs, fails or talks nonsense: no request notices, and what is lost is counted.

use std::time::Duration;

use super::{model, post, telemetry};
use crate::harness::{Dimmer, listeners, wait_until};
use crate::upstreams::{
    Api, Upstream, answers, answers_well, hangs_before_head, redirects, refuses_connections, speaks_garbage,
};

const SAID: &str = "the collector of traces does not take them";

/// Requests one after the other that have been answered while the collector does what it does.
fn world(collector: &Upstream, lines: &str) -> Dimmer {
    let api = Api::Chat;
    let config = listeners("")
        + &model(api, "good", &answers_well(api), "")
        + &telemetry(&format!("http://{}", collector.address), lines)
        + "[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"good\"\n";
    let mut dimmer = Dimmer::start(&config);
    dimmer.expect_log(SAID);
    dimmer.expect_log("the last traces are lost");
    for _ in 0..50 {
        let answer = post(&dimmer, "/r/v1/chat/completions", "", &api.ask(false));
        assert_eq!((answer.status, answer.text().as_str()), (200, api.whole()));
    }
    dimmer
}

fn counted(dimmer: &Dimmer, result: &str) -> u64 {
    dimmer.metrics().metric("dimmer_spans_total", &[("result", result)]) as u64
}

#[test]
fn no_request_notices_a_collector_in_trouble() {
    let status = |status: &str| answers(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
    let cases = [
        ("away", refuses_connections(), "failed"),
        ("fails", status("500 Oops"), "failed"),
        ("garbage", speaks_garbage(), "failed"),
        ("forbids", status("403 Forbidden"), "refused"),
        ("elsewhere", redirects(&answers_well(Api::Chat)), "refused"),
    ];
    // Beside each other: a collector that may be busy is given some seconds.
    std::thread::scope(|scope| {
        for (name, collector, result) in &cases {
            scope.spawn(move || {
                let mut dimmer = world(collector, "timeout = \"1s\"");
                wait_until(name, || counted(&dimmer, result) >= 2);
                assert_eq!(counted(&dimmer, "sent"), 0, "{name}");
                assert!(dimmer.terminate().success(), "{name}");
                let said = dimmer.logs().iter().filter(|line| line.contains(SAID)).count();
                assert_eq!(said, 1, "{name}: said once, not with each try");
            });
        }
    });
}

#[test]
fn one_that_hangs_holds_up_neither_requests_nor_the_end() {
    let collector = hangs_before_head();
    let mut dimmer = world(&collector, "timeout = \"60s\"");
    collector.wait_requests(1);
    dimmer.assert_alive();
    let begun = std::time::Instant::now();
    assert!(dimmer.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(15), "the last traces have two seconds");
}
