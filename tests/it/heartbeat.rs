//! Heartbeats: a stream that is silent gets comments between its events, and nothing else changes.

use std::io::Write;
use std::time::Duration;

use crate::harness::{Answer, Dimmer, listeners, post_json};
use crate::upstreams::{
    After, Api, STREAM_HEAD, Upstream, chunk, json, sized, stalls_after_head, stalls_mid_body,
};

const COMMENT: &str = ": \n\n";
const BEAT: &str = "heartbeat = \"200ms\"";

/// A bare route `/r`, and one `/w` from whose answers usage is taken out.
fn start(server: &str, api: Api, timeouts: &str, upstream: &Upstream) -> Dimmer {
    Dimmer::start(
        &(listeners(server)
            + &format!(
                "[providers.p]\ndialect = \"{}\"\nbase_url = \"{}\"\n{timeouts}\n\
                 [prompts.s]\ntext = \"x\"\n\
                 [routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n\
                 [routes.w]\npath = \"/w\"\nprovider = [\"p\"]\nsystem_prompt = \"s\"\n",
                api.dialect(),
                api.base_url(upstream.address)
            )),
    )
}

fn ask(dimmer: &Dimmer, route: &str, api: Api) -> Answer {
    post_json(dimmer.data, &format!("/{route}{}", api.path()), &api.ask(true))
}

/// Thinks before its first event, and in the middle of its second.
fn thinks(api: Api) -> Upstream {
    Upstream::new(move |peer, _| {
        peer.write(STREAM_HEAD);
        peer.pause(Duration::from_millis(900));
        peer.write(chunk(api.events()[0]));
        let (begin, end) = api.events()[1].split_at(20);
        peer.write(chunk(begin));
        peer.pause(Duration::from_millis(900));
        peer.write(chunk(end));
        peer.write_chunks(&api.events()[2..]);
        peer.then("0\r\n\r\n", After::KeepAlive)
    })
}

#[test]
fn comments_come_while_a_model_thinks_and_only_between_events() {
    for api in Api::BOTH {
        let dimmer = start(BEAT, api, "", &thinks(api));
        for route in ["r", "w"] {
            let answer = ask(&dimmer, route, api);
            let text = answer.text();
            let comments = (text.len() - text.trim_start_matches(COMMENT).len()) / COMMENT.len();
            assert!((2..=5).contains(&comments), "{comments} comments: {text}");
            assert_eq!(
                (text.replace(COMMENT, ""), answer.complete),
                (api.events().concat(), true),
                "{route}"
            );
            // Where usage is taken out, half an event is held back: for the caller it has not begun.
            let whole = api.events().iter().all(|event| text.contains(event));
            assert!(whole, "a comment stands inside of an event: {text}");
        }
    }
}

#[test]
fn an_api_that_is_not_read_has_its_comments_too() {
    let events =
        ["event: response.created\r\ndata: {}\r\n\r\n", "event: response.completed\r\ndata: {}\r\n\r\n"];
    let upstream = Upstream::new(move |peer, _| {
        peer.write(STREAM_HEAD);
        peer.write(chunk(events[0]));
        peer.pause(Duration::from_millis(900));
        peer.write(chunk(events[1]));
        peer.then("0\r\n\r\n", After::KeepAlive)
    });
    let dimmer = start(BEAT, Api::Chat, "", &upstream);
    let answer =
        post_json(dimmer.data, "/r/v1/responses", "{\"model\":\"m-1\",\"stream\":true,\"input\":\"x\"}");
    let text = answer.text();
    let between = text.strip_prefix(events[0]).and_then(|rest| rest.strip_suffix(events[1]));
    let between = between.unwrap_or_else(|| panic!("{text}"));
    assert!(between.len() >= 2 * COMMENT.len() && between.replace(COMMENT, "").is_empty(), "{text}");
}

#[test]
fn a_comment_is_no_sign_of_the_provider_s_life() {
    for api in Api::BOTH {
        let dimmer = start(BEAT, api, "timeouts = { idle = \"900ms\" }", &stalls_after_head(api));
        let answer = ask(&dimmer, "r", api);
        assert!(answer.text().starts_with(&COMMENT.repeat(2)), "{}", answer.text());
        let error = api.code_of_error_event(&answer.text());
        assert_eq!((error.as_deref(), answer.complete), (Some("dimmer_upstream_timeout"), false));
    }
}

#[test]
fn nothing_is_added_where_nobody_asked_or_where_there_is_no_room() {
    let idle = "timeouts = { idle = \"900ms\" }";
    let off = start("", Api::Chat, idle, &stalls_mid_body(Api::Chat));
    let text = ask(&off, "r", Api::Chat).text();
    assert!(!text.contains(COMMENT), "{text}");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(Api::Chat.events().concat().as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let head = STREAM_HEAD.replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n");
    let half = |whole: Vec<u8>, body: usize| {
        Upstream::new(move |peer, _| {
            let (begin, end) = whole.split_at(whole.len() - body);
            peer.write(begin);
            peer.pause(Duration::from_millis(600));
            peer.then(end, After::Close)
        })
    };
    let chunked = [head.as_bytes(), &chunk(&packed), b"0\r\n\r\n"].concat();
    let events = Api::Chat.events().concat();
    let whole = Api::Chat.whole();
    for (what, bytes, after, expected) in [
        ("packed", chunked, packed.len() + 7, packed.clone()),
        (
            "with a length",
            sized("200 OK", "content-type: text/event-stream\r\n", &events),
            events.len(),
            events.clone().into(),
        ),
        ("no stream", json("200 OK", whole), whole.len(), whole.as_bytes().to_vec()),
    ] {
        let dimmer = start(BEAT, Api::Chat, "", &half(bytes, after));
        let answer = ask(&dimmer, "r", Api::Chat);
        assert_eq!((answer.body, answer.complete), (expected, true), "{what}");
    }
}
