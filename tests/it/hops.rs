//! A provider that is the gateway itself, directly or round a corner: the request ends instead of going round for ever.

use std::net::TcpListener;
use std::process::Command;

use crate::harness::{DIMMER, Dimmer, post_json, request};
use crate::upstreams::{Api, answers_well};

const CHAT: &str = "/r/v1/chat/completions";

fn config(listen: &str, provider: &str) -> String {
    format!(
        "[server]\nlisten = \"{listen}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [providers.p]\ndialect = \"openai\"\nbase_url = \"{provider}\"\n\
         [providers.a]\ndialect = \"anthropic\"\nbase_url = \"{}\"\n\
         [models.m-2]\nprovider = \"p\"\n\
         [routes.r]\npath = \"/r\"\nprovider = [\"p\", \"a\"]\n\
         [routes.w]\npath = \"/w\"\nprovider = [\"p\"]\nmodel = \"m-2\"\n",
        provider.trim_end_matches("/v1")
    )
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_loop_ends_in_the_callers_dialect() {
    let at = format!("127.0.0.1:{}", free_port());
    let mut dimmer = Dimmer::start(&config(&at, &format!("http://{at}/r/v1")));
    dimmer.expect_log("this gateway's own listener");
    let answer = post_json(dimmer.data, CHAT, &Api::Chat.ask(false));
    assert_eq!((answer.status, answer.code().as_deref()), (508, Some("dimmer_loop")), "{}", answer.text());
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let counted = dimmer.metrics().metric("dimmer_requests_total", &[]);
    assert!((counted - 5.0).abs() < 0.1, "four times round, and once more: {counted}");
    let answer = post_json(dimmer.data, "/r/v1/messages", &Api::Messages.ask(false));
    assert_eq!((answer.status, answer.code().as_deref()), (508, Some("dimmer_loop")), "{}", answer.text());
    let answer = post_json(dimmer.data, "/w/v1/chat/completions", &Api::Chat.ask(true));
    assert_eq!(answer.status, 508, "{}", answer.text());
    dimmer.assert_alive();
}

#[test]
fn each_dimmer_on_the_way_counts_itself() {
    let upstream = answers_well(Api::Chat);
    let last = Dimmer::start(&config("127.0.0.1:0", &format!("http://{}/v1", upstream.address)));
    let first = Dimmer::start(&config("127.0.0.1:0", &format!("http://{}/r/v1", last.data)));
    for (dimmer, hops) in [(&last, "1"), (&first, "2")] {
        assert_eq!(post_json(dimmer.data, CHAT, &Api::Chat.ask(false)).status, 200);
        assert_eq!(upstream.last().values("x-dimmer-hops"), [hops]);
    }
    // What a caller says counts too, and what is no number says nothing good.
    for (said, status, hops) in
        [("3", 200, "4"), ("4", 508, "4"), ("255", 508, "4"), ("x", 508, "4"), ("-1", 508, "4")]
    {
        let headers = format!("x-dimmer-hops: {said}\r\n");
        let answer = request(last.data, "POST", CHAT, &headers, Api::Chat.ask(false).as_bytes());
        assert_eq!(answer.status, status, "{said}");
        assert_eq!(upstream.last().values("x-dimmer-hops"), [hops]);
    }
}

#[test]
fn check_warns_of_a_provider_that_is_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.toml");
    let port = free_port();
    for (listen, provider, warns) in [
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "localhost", true),
        ("[::1]", "[::1]", true),
        ("127.0.0.1", "127.0.0.9", true),
        ("127.0.0.1", "10.0.0.1", false),
    ] {
        std::fs::write(&file, config(&format!("{listen}:{port}"), &format!("http://{provider}:{port}/r/v1")))
            .unwrap();
        let checked = Command::new(DIMMER).arg("check").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
        assert_eq!(said.contains("own listener"), warns, "{listen} and {provider}: {said}");
        assert!(checked.status.success(), "{said}");
    }
}
