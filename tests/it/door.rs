//! Callers at the door: uploads that go wrong in the middle, and heads that trickle in by the hundred.

use std::time::Duration;

use crate::harness::{Connection, Dimmer, listeners, post_json, wait_until};
use crate::upstreams::{Api, Upstream, answers_well};

const CHAT: &str = "/r/v1/chat/completions";

fn start(limits: &str, upstream: &Upstream) -> Dimmer {
    Dimmer::start(
        &(listeners(&format!("workers = 1\n[server.limits]\n{limits}"))
            + &format!(
                "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n[routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n",
                upstream.address
            )),
    )
}

#[test]
fn a_chunk_that_goes_wrong_ends_the_upload_and_its_connection() {
    for bad in ["zz\r\n", "5\r\nhello0\r\n\r\n", "5;\x01\r\nhello\r\n", "0\r\nx\r\n\r\n"] {
        for at_once in [true, false] {
            let upstream = answers_well(Api::Chat);
            let dimmer = start("", &upstream);
            assert_eq!(post_json(dimmer.data, CHAT, &Api::Chat.ask(false)).status, 200);
            let mut caller = Connection::open(dimmer.data);
            let begun =
                "POST /r/v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
            if at_once {
                caller.send(format!("{begun}{bad}").as_bytes());
            } else {
                let in_flight = || dimmer.metrics().metric("dimmer_in_flight_requests", &[]);
                caller.send(begun.as_bytes());
                wait_until("the upload has begun", || in_flight() > 0.5);
                caller.send(bad.as_bytes());
            }
            let answer = caller.answer("POST");
            assert_eq!(
                (answer.status, answer.code().as_deref()),
                (400, Some("dimmer_bad_request")),
                "{bad:?}"
            );
            assert!(answer.complete, "{bad:?}");
            caller.wait_closed();
            // What the provider has of it is half a request: nobody may write another behind it.
            upstream.wait_closed(1);
            assert_eq!(post_json(dimmer.data, CHAT, &Api::Chat.ask(false)).status, 200);
            assert_eq!((upstream.requests().len(), upstream.connections()), (2, 2), "{bad:?}");
        }
    }
}

#[test]
fn heads_that_trickle_in_are_held_once_and_let_go() {
    const CALLERS: usize = 400;
    let upstream = answers_well(Api::Chat);
    let dimmer = start("header_timeout = \"60s\"", &upstream);
    let (body, value) = (Api::Chat.ask(false), "v".repeat(1000));
    let mut callers: Vec<Connection> = (0..CALLERS).map(|_| Connection::open(dimmer.data)).collect();
    let served = || post_json(dimmer.data, CHAT, &body).status == 200;
    assert!(served());
    let before = dimmer.resident();
    for caller in &mut callers {
        caller.send(
            format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len()).as_bytes(),
        );
    }
    for piece in 0..40 {
        for caller in &mut callers {
            caller.send(format!("x-{piece}: {value}\r\n").as_bytes());
        }
        assert!(served(), "somebody else is not served");
    }
    // 40 KB in a buffer that grows by doubling, and what every connection costs.
    let each = dimmer.resident().saturating_sub(before) / CALLERS as u64;
    assert!(each < 100_000, "{each} bytes for each caller");
    for caller in &mut callers {
        caller.send(format!("\r\n{body}").as_bytes());
    }
    for caller in &mut callers {
        assert_eq!(caller.answer("POST").status, 200);
    }
    // The memory of heads that went through serves the next ones.
    let grown = dimmer.resident();
    for mut caller in callers {
        caller.send_request("POST", CHAT, &format!("x-large: {}\r\n", "v".repeat(40_000)), body.as_bytes());
        assert_eq!(caller.answer("POST").status, 200);
    }
    let more = dimmer.resident().saturating_sub(grown);
    assert!(more < 20_000_000, "{more} bytes more");
}

/// The head's time runs from its first byte, also for one that begins while the request before it is served.
#[test]
fn the_second_of_two_heads_has_its_time_too() {
    let upstream = answers_well(Api::Chat);
    let dimmer = start("header_timeout = \"1s\"\nidle_timeout = \"60s\"", &upstream);
    let mut caller = Connection::open(dimmer.data);
    let body = Api::Chat.ask(false);
    let request = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    caller.send(format!("{request}{}", request.lines().next().unwrap()).as_bytes());
    assert_eq!(caller.answer("POST").status, 200);
    let (after, _) = caller.wait_closed();
    assert!(after < Duration::from_secs(10), "{after:?}");
}
