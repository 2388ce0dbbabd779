//! Usage in chat streams: asked for where the gateway counts, and never seen by a caller that did not ask.

use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{Answer, Connection, Dimmer, listeners, request, wait_until};
use crate::upstreams::{After, Api, STREAM_HEAD, Upstream, chunk, json};

const CHAT: &str = "/r/v1/chat/completions";
const USAGE: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";

fn with_nulls() -> String {
    let events = Api::Chat.events();
    let chunks = events[..3].iter().map(|event| event.replace("}]}\n\n", "}],\"usage\":null}\n\n"));
    chunks.collect::<String>() + USAGE + events[3]
}

/// Behaves as OpenAI does: usage only where it is asked for. Writes in pieces that end at `cuts`.
fn provider(cuts: Arc<Mutex<Vec<Index>>>) -> Upstream {
    Upstream::new(move |peer, request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        if body["stream"] != true {
            return peer.then(json("200 OK", Api::Chat.whole()), After::KeepAlive);
        }
        let asked = body["stream_options"]["include_usage"] == true;
        let text = if asked { with_nulls() } else { Api::Chat.events().concat() };
        let mut ends: Vec<usize> = cuts.lock().unwrap().iter().map(|cut| cut.index(text.len())).collect();
        ends.extend([0, text.len()]);
        ends.sort_unstable();
        ends.dedup();
        peer.write(STREAM_HEAD);
        for pair in ends.windows(2) {
            peer.write(chunk(&text.as_bytes()[pair[0]..pair[1]]));
        }
        peer.then("0\r\n\r\n", After::KeepAlive)
    })
}

fn start(upstream: &Upstream) -> Dimmer {
    Dimmer::start(
        &(listeners("")
            + &format!(
                "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n\
                 [models.m-1]\nprovider = \"p\"\n[models.m-2]\nprovider = \"p\"\n\
                 [flags.which]\nowner = \"o\"\npermanent = true\ndefault = \"m-1\"\n\
                 [routes.r]\npath = \"/r\"\nmodel.flag = \"which\"\n\
                 [routes.bare]\npath = \"/bare\"\nprovider = [\"p\"]\n",
                upstream.address
            )),
    )
}

fn ask(dimmer: &Dimmer, path: &str, options: &str, headers: &str) -> Answer {
    let body = Api::Chat.ask(true).replace(",\"stream\":true", &format!(",\"stream\":true{options}"));
    let headers = format!("content-type: application/json\r\n{headers}");
    request(dimmer.data, "POST", path, &headers, body.as_bytes())
}

#[test]
fn a_caller_that_did_not_ask_sees_no_usage() {
    let cuts: Arc<Mutex<Vec<Index>>> = Arc::default();
    let upstream = provider(Arc::clone(&cuts));
    let dimmer = start(&upstream);
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(any::<Index>(), 0..12).no_shrink(), |places| {
        *cuts.lock().unwrap() = places;
        for options in
            ["", ",\"stream_options\":{\"include_usage\":false}", ",\"stream_options\":{\"other\":1}"]
        {
            let answer = ask(&dimmer, CHAT, options, "");
            assert_eq!((answer.text(), answer.complete), (Api::Chat.events().concat(), true), "{options}");
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let sent: serde_json::Value = serde_json::from_slice(&upstream.last().body).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    assert_eq!(sent["stream_options"]["other"], 1);
    let tokens = |kind: &str| dimmer.metrics().metric("dimmer_tokens_total", &[("kind", kind)]);
    wait_until("all tokens are counted", || tokens("output") > 599.0);
}

#[test]
fn a_caller_that_asked_sees_all_of_it() {
    let upstream = provider(Arc::default());
    let dimmer = start(&upstream);
    for path in [CHAT, "/bare/v1/chat/completions"] {
        let answer = ask(&dimmer, path, ",\"stream_options\":{\"include_usage\":true}", "");
        assert_eq!((answer.text(), answer.complete), (with_nulls(), true));
    }
}

#[test]
fn a_bare_route_asks_for_nothing() {
    let upstream = provider(Arc::default());
    let dimmer = start(&upstream);
    let answer = ask(&dimmer, "/bare/v1/chat/completions", "", "");
    assert_eq!(answer.text(), Api::Chat.events().concat());
    assert_eq!(String::from_utf8_lossy(&upstream.last().body), Api::Chat.ask(true));
}

#[test]
fn what_has_to_be_cut_out_is_not_asked_for_packed() {
    let upstream = provider(Arc::default());
    let dimmer = start(&upstream);
    let answer = ask(&dimmer, CHAT, "", "accept-encoding: gzip, deflate, br, zstd\r\n");
    assert_eq!(answer.text(), Api::Chat.events().concat());
    let accepted = upstream.last().values("accept-encoding").concat();
    let packed = ["gzip", "deflate", "br", "zstd", "*"].iter().any(|coding| accepted.contains(coding));
    assert!(!packed, "an answer in {accepted:?} could not have its usage cut out");
}

#[test]
fn an_answer_that_is_not_streamed_needs_no_asking() {
    let upstream = provider(Arc::default());
    let dimmer = start(&upstream);
    let mut connection = Connection::open(dimmer.data);
    connection.send_request(
        "POST",
        CHAT,
        "content-type: application/json\r\n",
        Api::Chat.ask(false).as_bytes(),
    );
    assert_eq!(connection.answer("POST").text(), Api::Chat.whole());
    assert_eq!(String::from_utf8_lossy(&upstream.last().body), Api::Chat.ask(false));
}
