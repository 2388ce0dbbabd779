//! Callers that speak HTTP badly, on purpose or not: what two servers could understand in two ways reaches no provider.

use crate::harness::{Answer, Connection, Dimmer, listeners, post_json};
use crate::upstreams::{Api, Upstream, answers_well};

fn start(upstream: &Upstream) -> Dimmer {
    Dimmer::start(
        &(listeners(
            "[server.limits]\nheader_timeout = \"500ms\"\nbody_timeout = \"500ms\"\nidle_timeout = \"500ms\"",
        ) + &format!(
            "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n\
                 [routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n",
            upstream.address
        )),
    )
}

const CHAT: &str = "/r/v1/chat/completions";

/// What came back before the gateway closed or fell silent: the first answer, if there was one.
fn say(dimmer: &Dimmer, bytes: &[u8]) -> Option<Answer> {
    let mut connection = Connection::open(dimmer.data);
    connection.try_send(bytes);
    let head = connection.try_head()?;
    let (body, complete) = connection.body(head.framing("POST"));
    Some(Answer { status: head.status, headers: head.headers, body, complete })
}

#[test]
fn what_is_ambiguous_reaches_no_provider() {
    let upstream = answers_well(Api::Chat);
    let mut dimmer = start(&upstream);
    let start_line = format!("POST {CHAT} HTTP/1.1\r\n");
    // What is right gets through by the same way, or the rest would show nothing.
    let body = Api::Chat.ask(false);
    let right = format!("{start_line}host: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(say(&dimmer, right.as_bytes()).map(|answer| answer.status), Some(200));
    let cases: [(&str, String); 24] = [
        (
            "two lengths",
            format!("{start_line}host: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{{}}    "),
        ),
        ("two lengths in one", format!("{start_line}host: x\r\ncontent-length: 5, 6\r\n\r\n{{}}    ")),
        ("a signed length", format!("{start_line}host: x\r\ncontent-length: +2\r\n\r\n{{}}")),
        ("a negative length", format!("{start_line}host: x\r\ncontent-length: -2\r\n\r\n{{}}")),
        ("a length in hexadecimal", format!("{start_line}host: x\r\ncontent-length: 0x2\r\n\r\n{{}}")),
        ("a huge length", format!("{start_line}host: x\r\ncontent-length: 99999999999999999999\r\n\r\n{{}}")),
        ("an unknown coding", format!("{start_line}host: x\r\ntransfer-encoding: cow\r\n\r\n0\r\n\r\n")),
        (
            "chunked not last",
            format!("{start_line}host: x\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunked and a space",
            format!("{start_line}host: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        ),
        ("two hosts", format!("{start_line}host: x\r\nhost: y\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("no host", format!("{start_line}content-length: 2\r\n\r\n{{}}")),
        ("a folded header", format!("{start_line}host: x\r\nx-a: 1\r\n  2\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("a NUL in a header", format!("{start_line}host: x\r\nx-a: 1\x002\r\ncontent-length: 2\r\n\r\n{{}}")),
        (
            "a bare CR in a header",
            format!("{start_line}host: x\r\nx-a: 1\rx-b: 2\r\ncontent-length: 2\r\n\r\n{{}}"),
        ),
        ("a space in a name", format!("{start_line}host: x\r\nx a: 1\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("no name", format!("{start_line}host: x\r\n: 1\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n".to_owned()),
        ("a trace", format!("TRACE {CHAT} HTTP/1.1\r\nhost: x\r\n\r\n")),
        ("HTTP/3 in words", format!("POST {CHAT} HTTP/3.0\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("no version", format!("POST {CHAT}\r\nhost: x\r\n\r\n")),
        (
            "a space in the path",
            "POST /r/v1/chat completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        ),
        (
            "a chunk size that is no number",
            format!("{start_line}host: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size that overflows",
            format!("{start_line}host: x\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{{}}\r\n"),
        ),
        ("a TLS greeting", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}".to_owned()),
    ];
    let mut wrong = Vec::new();
    let mut seen = 1;
    for (what, bytes) in cases {
        if let Some(answer) = say(&dimmer, bytes.as_bytes())
            && !((400..500).contains(&answer.status) || matches!(answer.status, 501 | 505))
        {
            wrong.push(format!("{what}: {} {}", answer.status, answer.text()));
        }
        if upstream.requests().len() > seen {
            seen = upstream.requests().len();
            wrong.push(format!("{what} reached the provider: {:?}", upstream.last().line()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    dimmer.assert_alive();
    assert_eq!(post_json(dimmer.data, CHAT, &Api::Chat.ask(false)).status, 200);
}

#[test]
fn a_length_beside_chunks_is_gone_before_it_can_confuse() {
    let upstream = answers_well(Api::Chat);
    let dimmer = start(&upstream);
    let body = Api::Chat.ask(false);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let before = upstream.requests().len();
        let bytes = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\n{framing}\r\n{chunks}");
        let status = say(&dimmer, bytes.as_bytes()).map(|answer| answer.status);
        // Refused is best. Passed on, it has one framing, and chunks win (RFC 9112, section 6.3).
        if upstream.requests().len() == before {
            assert!(status.is_none_or(|status| status == 400), "{status:?}");
            continue;
        }
        let seen = upstream.last();
        let framings = [seen.values("content-length"), seen.values("transfer-encoding")].concat();
        assert_eq!((framings.len(), seen.body == body.as_bytes()), (1, true), "{framings:?}");
    }
}

#[test]
fn a_request_inside_of_a_request_is_a_body() {
    let upstream = answers_well(Api::Chat);
    let dimmer = start(&upstream);
    let inner = "GET /r/v1/smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", "/r/v1/files", "", inner.as_bytes());
    assert_eq!(connection.answer("POST").status, 200);
    let seen = upstream.requests();
    assert_eq!((seen.len(), seen[0].line().as_str()), (1, "POST /v1/files HTTP/1.1"));
    assert_eq!(seen[0].body, inner.as_bytes());
}

#[test]
fn no_part_of_a_request_chooses_the_host() {
    let upstream = answers_well(Api::Chat);
    let evil = answers_well(Api::Chat);
    let dimmer = start(&upstream);
    let to = evil.address;
    let body = Api::Chat
        .ask(false)
        .replace("\"m-1\"", &format!("\"m-1\",\"base_url\":\"http://{to}\",\"api_base\":\"http://{to}\""));
    let length = body.len();
    for head in [
        format!("POST http://{to}{CHAT} HTTP/1.1\r\nhost: {to}\r\n"),
        format!("POST {CHAT} HTTP/1.1\r\nhost: {to}\r\n"),
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-forwarded-host: {to}\r\nforwarded: host={to}\r\nx-base-url: http://{to}\r\n"
        ),
        format!("POST {CHAT}?base_url=http://{to} HTTP/1.1\r\nhost: x\r\n"),
        format!("POST /r/v1/@{to}/x HTTP/1.1\r\nhost: x\r\n"),
        format!("POST //{to}/v1/chat/completions HTTP/1.1\r\nhost: x\r\n"),
    ] {
        say(&dimmer, format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes());
        assert_eq!(evil.connections(), 0, "{head}");
        assert!(!upstream.requests().is_empty(), "the first of them is a request as any other");
        assert!(upstream.requests().iter().all(|seen| seen.values("host") == [upstream.address.to_string()]));
    }
}

#[test]
fn requests_sent_without_waiting_are_answered_in_order() {
    let upstream = answers_well(Api::Chat);
    let dimmer = start(&upstream);
    let mut connection = Connection::open(dimmer.data);
    let ask = |stream: bool| {
        let body = Api::Chat.ask(stream);
        format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    connection.send(
        (ask(false) + &ask(true) + "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n" + &ask(false)).as_bytes(),
    );
    assert_eq!(connection.answer("POST").text(), Api::Chat.whole());
    assert_eq!(connection.answer("POST").text(), Api::Chat.events().concat());
    assert_eq!(connection.answer("GET").status, 404);
    assert_eq!(connection.answer("POST").text(), Api::Chat.whole());
}

#[test]
fn a_caller_that_asks_first_is_told_to_go_on() {
    let upstream = answers_well(Api::Chat);
    let dimmer = start(&upstream);
    let body = Api::Chat.ask(false);
    let mut connection = Connection::open(dimmer.data);
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes());
    assert_eq!(connection.head().status, 100);
    connection.send(body.as_bytes());
    assert_eq!(connection.answer("POST").text(), Api::Chat.whole());
}

#[test]
fn an_old_caller_gets_an_answer_that_it_understands() {
    let upstream = answers_well(Api::Chat);
    let dimmer = start(&upstream);
    let body = Api::Chat.ask(true);
    let mut connection = Connection::open(dimmer.data);
    connection.send(
        format!("POST {CHAT} HTTP/1.0\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes(),
    );
    let head = connection.head();
    assert!(!head.headers.iter().any(|(name, _)| name == "transfer-encoding"), "{:?}", head.headers);
    assert_eq!(connection.body(head.framing("POST")), (Api::Chat.events().concat().into_bytes(), true));
}
