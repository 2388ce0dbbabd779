//! Every timeout and limit of the contract, each with its clear error; and how the gateway ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::{Answer, Connection, Dimmer, Piece, listeners, post_json, request, wait_until};
use crate::upstreams::{
    After, Api, STREAM_HEAD, Upstream, answers_well, chunk, drips_bytes, firehose, hangs_before_head, json,
    stalls_mid_body,
};

/// A bare route `/r` and a rewriting one `/w`; `server` stands in `[server]`, `provider` in the provider's table.
fn config(server: &str, provider: &str, to: SocketAddr) -> String {
    listeners(server)
        + &format!(
            "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{to}/v1\"\n{provider}\n\
             [models.m-2]\nprovider = \"p\"\n\
             [routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n\
             [routes.w]\npath = \"/w\"\nprovider = [\"p\"]\nmodel = \"m-2\"\n"
        )
}

fn start(limits: &str, upstream: &Upstream) -> Dimmer {
    Dimmer::start(&config(&format!("[server.limits]\n{limits}"), "", upstream.address))
}

const CHAT: &str = "/v1/chat/completions";
const JSON_HEADERS: &str = "content-type: application/json\r\n";

fn good() -> Upstream {
    answers_well(Api::Chat)
}

/// An error made by the gateway, with an OpenAI body.
fn assert_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_deref()), (status, Some(code)), "{}", answer.text());
    assert!(answer.json()["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
}

/// The connection is closed by the gateway not before and not long after its time.
fn assert_closed_after(connection: &mut Connection, at_least: Duration, what: &str) -> Vec<u8> {
    let (after, said) = connection.wait_closed();
    assert!(after + Duration::from_millis(50) >= at_least, "{what}: closed after {after:?}");
    assert!(after < at_least + Duration::from_secs(5), "{what}: closed after {after:?}");
    said
}

#[test]
fn a_connection_that_says_nothing_or_half_a_greeting_is_not_held() {
    let limits = "header_timeout = \"400ms\"\nidle_timeout = \"400ms\"";
    let dimmer = start(limits, &good());
    for (what, said) in [
        ("silence", &b""[..]),
        ("half an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nS"),
        ("one letter", b"P"),
        ("a whole HTTP/2 preface and no settings", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("half a request line", b"POST /r/v1/chat"),
        ("half a head", b"POST /r/v1/chat/completions HTTP/1.1\r\nhost: x\r\n"),
    ] {
        let mut connection = Connection::open(dimmer.data);
        connection.send(said);
        assert_closed_after(&mut connection, Duration::from_millis(350), what);
    }
}

#[test]
fn half_a_head_is_told_why_it_was_closed() {
    let dimmer = start("header_timeout = \"300ms\"", &good());
    let mut connection = Connection::open(dimmer.data);
    connection.send(b"POST /r/v1/chat/completions HTTP/1.1\r\nhost: x\r\n");
    let answer = connection.answer("POST");
    assert_eq!((answer.status, answer.complete), (408, true));
    assert!(answer.json()["error"]["code"].as_str().is_some_and(|code| code.starts_with("dimmer_")));
    assert!(connection.wait_closed().1.is_empty(), "nothing after it");
}

#[test]
fn a_head_that_drips_is_cut_off_when_its_time_is_up() {
    let dimmer = start("header_timeout = \"600ms\"", &good());
    let mut connection = Connection::open(dimmer.data);
    let begun = Instant::now();
    let mut sent = 0;
    for letter in b"POST /r/v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: ".iter().chain([&b'x'; 400]) {
        if !connection.try_send(&[*letter]) {
            break;
        }
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(sent < 400, "nobody stopped it");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let dimmer = start("body_timeout = \"400ms\"", &good());
    for route in ["r", "w"] {
        let mut connection = Connection::open(dimmer.data);
        connection.send(
            format!("POST /{route}{CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{").as_bytes(),
        );
        let begun = Instant::now();
        assert_error(&connection.answer("POST"), 408, "dimmer_body_timeout");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_body_that_is_read_has_one_time_for_all_of_it() {
    let dimmer = start("body_timeout = \"600ms\"", &good());
    let mut connection = Connection::open(dimmer.data);
    connection.send(format!("POST /w{CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").as_bytes());
    let begun = Instant::now();
    let mut reader = connection.twin();
    let writer = std::thread::spawn(move || {
        while connection.try_send(b" ") && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    assert_error(&reader.answer("POST"), 408, "dimmer_body_timeout");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(reader);
    writer.join().unwrap();
}

#[test]
fn an_upload_that_keeps_coming_has_its_time_anew_with_each_piece() {
    let dimmer = start("body_timeout = \"500ms\"", &good());
    let mut connection = Connection::open(dimmer.data);
    connection.send(b"POST /r/v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(120));
        connection.send(&[b'x'; 100]);
    }
    assert_eq!(connection.answer("POST").status, 200);
}

#[test]
fn a_request_that_begins_before_the_idle_limit_may_end_after_it() {
    let dimmer = start("idle_timeout = \"4s\"", &good());
    let mut connection = Connection::open(dimmer.data);
    let body = Api::Chat.ask(false);
    connection.send_request("POST", &format!("/r{CHAT}"), JSON_HEADERS, body.as_bytes());
    assert_eq!(connection.answer("POST").status, 200);
    std::thread::sleep(Duration::from_secs(1));
    connection.send(format!("POST /r{CHAT} HTTP/1.1\r\nhost: x\r\n").as_bytes());
    std::thread::sleep(Duration::from_secs(4));
    connection.send(format!("{JSON_HEADERS}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    assert_eq!(connection.answer("POST").status, 200);
}

#[test]
fn an_idle_connection_is_closed() {
    let dimmer = start("idle_timeout = \"400ms\"", &good());
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", &format!("/r{CHAT}"), JSON_HEADERS, Api::Chat.ask(false).as_bytes());
    assert_eq!(connection.answer("POST").status, 200);
    let said = assert_closed_after(&mut connection, Duration::from_millis(350), "idle");
    assert!(said.is_empty(), "{:?}", String::from_utf8_lossy(&said));
}

#[test]
fn a_caller_that_takes_nothing_is_let_go() {
    let upstream = firehose(Api::Chat);
    let mut dimmer = start("write_stall = \"500ms\"", &upstream);
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", &format!("/r{CHAT}"), JSON_HEADERS, Api::Chat.ask(true).as_bytes());
    assert_eq!(connection.head().status, 200);
    let begun = Instant::now();
    upstream.wait_closed(1);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    dimmer.assert_alive();
}

#[test]
fn a_body_that_is_too_large_is_413() {
    let upstream = good();
    let mut dimmer = start("body = \"64KiB\"\npassthrough_body = \"256KiB\"", &upstream);
    let ask = |target: &str, length: usize| {
        let mut connection = Connection::open(dimmer.data);
        connection.send(
            format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n").as_bytes(),
        );
        connection.answer("POST")
    };
    // Said by its length: refused before one byte of it came.
    assert_error(&ask(&format!("/w{CHAT}"), 70_000), 413, "dimmer_body_too_large");
    assert_error(&ask("/r/v1/files", 300_000), 413, "dimmer_body_too_large");
    assert_eq!(upstream.requests().len(), 0);
    // Not said: refused when it grows too large.
    for (target, chunks) in [(format!("/w{CHAT}"), 5), ("/r/v1/files".to_owned(), 20)] {
        let mut connection = Connection::open(dimmer.data);
        connection.send(
            format!("POST {target} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes(),
        );
        for _ in 0..chunks {
            // The gateway may answer and close before all of it is sent.
            connection.try_send(&chunk([b' '; 16_384]));
        }
        assert_error(&connection.answer("POST"), 413, "dimmer_body_too_large");
    }
    dimmer.assert_alive();
    assert_eq!(request(dimmer.data, "POST", "/r/v1/files", "", &[b'x'; 200_000]).status, 200);
}

#[test]
fn a_packed_body_is_limited_by_what_it_unpacks_to() {
    let packed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![b' '; 8 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    let mut dimmer = start("body = \"64KiB\"", &good());
    assert!(packed.len() < 60_000);
    // The same 8 MiB of spaces as Brotli packs them.
    let brotli = b"\x9b\xff\xff\x7f\xf8\x25\x40\xe2\xb1\x40\x20\xf7\xfe\x0f".to_vec();
    let resident = dimmer.resident();
    for (coding, packed) in [("gzip", packed), ("br", brotli)] {
        let headers = format!("{JSON_HEADERS}content-encoding: {coding}\r\n");
        let answer = request(dimmer.data, "POST", &format!("/w{CHAT}"), &headers, &packed);
        assert_error(&answer, 413, "dimmer_body_too_large");
    }
    assert!(dimmer.resident().saturating_sub(resident) < 16 << 20, "it was unpacked whole");
    let headers = format!("{JSON_HEADERS}content-encoding: snappy\r\n");
    let answer = request(dimmer.data, "POST", &format!("/w{CHAT}"), &headers, b"xxxx");
    assert_error(&answer, 415, "dimmer_unsupported_encoding");
    dimmer.assert_alive();
}

#[test]
fn headers_that_are_too_large_are_431() {
    let upstream = good();
    let mut dimmer = start("headers = \"8KiB\"", &upstream);
    let one_large = format!("x-large: {}\r\n", "x".repeat(9_000));
    let many: String = (0..90).map(|n| format!("x-many-{n}: {}\r\n", "x".repeat(100))).collect();
    let huge = format!("x-large: {}\r\n", "x".repeat(2_000_000));
    for headers in [one_large, many, huge] {
        let mut connection = Connection::open(dimmer.data);
        let head = format!("POST /r{CHAT} HTTP/1.1\r\nhost: x\r\n{headers}content-length: 0\r\n\r\n");
        connection.try_send(head.as_bytes());
        assert_error(&connection.answer("POST"), 431, "dimmer_headers_too_large");
    }
    assert_eq!(upstream.requests().len(), 0);
    dimmer.assert_alive();
}

#[test]
fn what_cannot_be_read_is_400() {
    let upstream = good();
    let dimmer = start("", &upstream);
    let deep = format!(r#"{{"model":"m","messages":[],"x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let cases: [(&str, &[u8]); 6] = [
        ("no JSON", b"{\"model\": \"m\", "),
        ("no object", b"[1]"),
        ("the model twice", br#"{"model":"a","messages":[],"mod\u0065l":"b"}"#),
        ("no UTF-8", b"{\"model\":\"m\",\"x\":\"\xff\",\"messages\":[]}"),
        ("nested too deep", deep.as_bytes()),
        ("the messages twice", br#"{"model":"a","messages":[],"messages":[]}"#),
    ];
    for (what, body) in cases {
        let answer = request(dimmer.data, "POST", &format!("/w{CHAT}"), JSON_HEADERS, body);
        if what == "the messages twice" && answer.status == 200 {
            // A route that touches only the model has no need of the messages.
            continue;
        }
        assert_error(&answer, 400, "dimmer_bad_request");
    }
    assert!(upstream.requests().len() <= 1);
}

#[test]
fn requests_in_flight_are_limited() {
    let upstream = hangs_before_head();
    let mut dimmer = start("concurrent = 2", &upstream);
    let ask = Api::Chat.ask(false);
    let held: Vec<Connection> = (1..=2)
        .map(|count| {
            let mut connection = Connection::open(dimmer.data);
            connection.send_request("POST", &format!("/r{CHAT}"), JSON_HEADERS, ask.as_bytes());
            upstream.wait_requests(count);
            connection
        })
        .collect();
    let answer = post_json(dimmer.data, &format!("/r{CHAT}"), &ask);
    assert_error(&answer, 503, "dimmer_overloaded");
    let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&retry_after), "{retry_after}");
    dimmer.assert_alive();
    drop(held);
    upstream.wait_closed(2);
    let mut again = Connection::open(dimmer.data);
    again.send_request("POST", &format!("/r{CHAT}"), JSON_HEADERS, ask.as_bytes());
    upstream.wait_requests(3);
}

#[test]
fn held_bodies_are_limited_together() {
    let dimmer = start("body = \"2MiB\"\nmemory = \"3MiB\"", &good());
    let begin = |dimmer: &Dimmer| {
        let mut connection = Connection::open(dimmer.data);
        connection
            .send(format!("POST /w{CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n").as_bytes());
        connection
    };
    let mut first = begin(&dimmer);
    first.send(&vec![b' '; 1_990_000]);
    let mut second = begin(&dimmer);
    second.try_send(&vec![b' '; 1_990_000]);
    let answer = second.answer("POST");
    assert_error(&answer, 503, "dimmer_overloaded");
    assert!(answer.header("retry-after").is_some());
    drop(first);
    wait_until("the memory is free again", || {
        post_json(dimmer.data, &format!("/w{CHAT}"), &Api::Chat.ask(false)).status == 200
    });
}

/// A listener whose queue is full: a connection to it hangs.
fn never_connects() -> (Socket, Vec<Socket>, SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let fill = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _under_way = socket.connect(&address.into());
        socket
    });
    let fill = fill.collect();
    (listener, fill, address)
}

#[test]
fn connecting_has_its_time() {
    let (_listener, _fill, address) = never_connects();
    let dimmer = Dimmer::start(&config("", "timeouts = { connect = \"500ms\" }", address));
    let begun = Instant::now();
    let answer = post_json(dimmer.data, &format!("/r{CHAT}"), &Api::Chat.ask(false));
    assert_error(&answer, 504, "dimmer_upstream_timeout");
    let took = begun.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

#[test]
fn the_first_byte_has_its_time_by_what_was_asked_for() {
    let upstream = hangs_before_head();
    let timeouts = "timeouts = { first_byte = { stream = \"300ms\", whole = \"1200ms\" } }";
    let dimmer = Dimmer::start(&config("", timeouts, upstream.address));
    for (stream, least, most) in [(true, 250, 1100), (false, 1150, 6000)] {
        let begun = Instant::now();
        let answer = post_json(dimmer.data, &format!("/r{CHAT}"), &Api::Chat.ask(stream));
        assert_error(&answer, 504, "dimmer_upstream_timeout");
        let took = begun.elapsed();
        assert!(
            (Duration::from_millis(least)..Duration::from_millis(most)).contains(&took),
            "{stream}: {took:?}"
        );
    }
}

#[test]
fn a_drip_is_served_to_the_end_unless_the_whole_has_its_time() {
    // The pieces come every 5 ms, each well within the idle time; all of them take longer than the total.
    let upstream = drips_bytes(Api::Chat);
    let patient =
        Dimmer::start(&config("", "timeouts = { idle = \"1s\", total = \"off\" }", upstream.address));
    let answer = post_json(patient.data, &format!("/r{CHAT}"), &Api::Chat.ask(true));
    assert_eq!((answer.text(), answer.complete), (Api::Chat.events().concat(), true));
    let hurried = Dimmer::start(&config("", "timeouts = { total = \"300ms\" }", firehose_slow().address));
    let begun = Instant::now();
    let answer = post_json(hurried.data, &format!("/r{CHAT}"), &Api::Chat.ask(true));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(Api::Chat.code_of_error_event(&answer.text()).as_deref(), Some("dimmer_upstream_timeout"));
}

/// An event every 50 ms, without end.
fn firehose_slow() -> Upstream {
    Upstream::new(|peer, _| {
        peer.write(STREAM_HEAD);
        while peer.write(chunk(Api::Chat.events()[1])) {
            peer.pause(Duration::from_millis(50));
        }
        After::Close
    })
}

#[test]
fn comments_are_a_sign_of_life() {
    let upstream = Upstream::new(|peer, _| {
        peer.write(STREAM_HEAD);
        for _ in 0..12 {
            peer.pause(Duration::from_millis(100));
            peer.write(chunk(": still thinking\n\n"));
        }
        peer.write_chunks(Api::Chat.events());
        peer.then("0\r\n\r\n", After::KeepAlive)
    });
    let timeouts = "timeouts = { idle = \"500ms\", first_byte = { stream = \"500ms\" } }";
    let dimmer = Dimmer::start(&config("", timeouts, upstream.address));
    let answer = post_json(dimmer.data, &format!("/r{CHAT}"), &Api::Chat.ask(true));
    assert!(answer.complete && answer.text().ends_with(&Api::Chat.events().concat()), "{}", answer.text());
}

/// A provider that sends its answer when the test says so.
pub(crate) fn waits() -> (Upstream, std::sync::mpsc::Sender<()>) {
    let (say, word) = std::sync::mpsc::channel::<()>();
    let word = std::sync::Mutex::new(word);
    let upstream = Upstream::new(move |peer, request| {
        let stream = crate::upstreams::wants_stream(request);
        if stream {
            peer.write(STREAM_HEAD);
            peer.write(chunk(Api::Chat.events()[0]));
        }
        let _said = word.lock().unwrap().recv();
        if stream {
            peer.write_chunks(&Api::Chat.events()[1..]);
            peer.write("0\r\n\r\n");
        } else {
            peer.write(json("200 OK", Api::Chat.whole()));
        }
        After::KeepAlive
    });
    (upstream, say)
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    for stream in [true, false] {
        let (upstream, say) = waits();
        let mut dimmer = start("", &upstream);
        let mut connection = Connection::open(dimmer.data);
        connection.send_request("POST", &format!("/r{CHAT}"), JSON_HEADERS, Api::Chat.ask(stream).as_bytes());
        upstream.wait_requests(1);
        let (mut silent, mut idle) = (Connection::open(dimmer.data), Connection::open(dimmer.data));
        idle.send(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(idle.answer("GET").status, 404);
        let (data, admin) = (dimmer.data, dimmer.admin);
        dimmer.send_terminate();
        wait_until("new callers are refused", || refused(data));
        // A balancer that asks is told, or finds nobody.
        let ready = std::panic::catch_unwind(|| crate::harness::get(admin, "/readyz").status);
        assert!(ready.is_err() || ready.is_ok_and(|status| status == 503));
        for (what, quiet) in [("silent", &mut silent), ("idle", &mut idle)] {
            let (after, said) = quiet.wait_closed();
            assert!(said.is_empty(), "{what}: {:?}", String::from_utf8_lossy(&said));
            assert!(after < Duration::from_secs(3), "{what}: held for {after:?}");
        }
        say.send(()).unwrap();
        let answer = connection.answer("POST");
        let expected = if stream { Api::Chat.events().concat() } else { Api::Chat.whole().to_owned() };
        assert_eq!((answer.text(), answer.complete), (expected, true));
        assert_eq!(dimmer.wait_exit().code(), Some(0));
    }
}

/// Nobody accepts, or whoever does says 503 `dimmer_draining`.
pub(crate) fn refused(data: SocketAddr) -> bool {
    let Some(mut connection) = Connection::try_open(data) else { return true };
    connection.try_send(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n");
    match connection.try_head() {
        None => true,
        Some(head) => {
            let (body, complete) = connection.body(head.framing("GET"));
            let answer = Answer { status: head.status, headers: head.headers, body, complete };
            answer.status == 503 && answer.code().as_deref() == Some("dimmer_draining")
        }
    }
}

#[test]
fn an_idle_gateway_ends_at_once() {
    let mut dimmer = start("", &good());
    assert_eq!(post_json(dimmer.data, &format!("/r{CHAT}"), &Api::Chat.ask(false)).status, 200);
    let begun = Instant::now();
    assert_eq!(dimmer.terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_drain_ends_when_its_time_is_up() {
    let upstream = stalls_mid_body(Api::Chat);
    let mut dimmer = Dimmer::start(&config("drain = \"500ms\"", "", upstream.address));
    dimmer.expect_log("drain");
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", &format!("/r{CHAT}"), JSON_HEADERS, Api::Chat.ask(true).as_bytes());
    let mut framing = connection.head().framing("POST");
    assert!(matches!(connection.piece(&mut framing), Piece::Data(_)));
    let begun = Instant::now();
    assert_eq!(dimmer.terminate().code(), Some(0));
    let took = begun.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(6)).contains(&took), "{took:?}");
    let (body, complete) = connection.body(framing);
    assert!(!complete, "{}", String::from_utf8_lossy(&body));
}

#[test]
fn a_second_signal_ends_it_now() {
    let upstream = stalls_mid_body(Api::Chat);
    let mut dimmer = start("", &upstream);
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", &format!("/r{CHAT}"), JSON_HEADERS, Api::Chat.ask(true).as_bytes());
    assert_eq!(connection.head().status, 200);
    dimmer.send_terminate();
    let data = dimmer.data;
    wait_until("new callers are refused", || refused(data));
    let begun = Instant::now();
    let _status = dimmer.terminate();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
