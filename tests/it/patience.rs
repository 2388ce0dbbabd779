//! Patience: healthy callers are not cut, those that stall are, and what is refused is told why.

use std::future::Future;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::{Connection, Dimmer, PATIENCE, Piece, listeners, wait_until};
use crate::upstreams::{After, Api, STREAM_HEAD, Upstream, chunk, firehose, json};

const CHAT: &str = "/r/v1/chat/completions";
const JSON: &str = "content-type: application/json\r\n";

fn start(limits: &str, upstream: &Upstream) -> Dimmer {
    Dimmer::start(
        &(listeners(&format!("[server.limits]\n{limits}"))
            + &format!(
                "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n\
                 [flags.on]\nowner = \"o\"\npermanent = true\ndefault = false\n\
                 [routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n\
                 [routes.off]\npath = \"/off\"\nprovider = [\"p\"]\nenabled.flag = \"on\"\n",
                upstream.address
            )),
    )
}

fn good() -> Upstream {
    Upstream::new(|peer, _| peer.then(json("200 OK", Api::Chat.whole()), After::KeepAlive))
}

/// Thinks for this long before each answer.
fn thinks(pause: Duration) -> Upstream {
    Upstream::new(move |peer, _| {
        peer.pause(pause);
        peer.then(json("200 OK", Api::Chat.whole()), After::KeepAlive)
    })
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("it takes too long") })
}

type Caller = SendRequest<Full<Bytes>>;

/// With the windows that the protocol begins with.
const WINDOW: u32 = 65_535;

async fn connect(dimmer: &Dimmer) -> Caller {
    let stream = tokio::net::TcpStream::connect(dimmer.data).await.unwrap();
    let mut settings = http2::Builder::new(TokioExecutor::new());
    settings.initial_stream_window_size(WINDOW).initial_connection_window_size(16 * WINDOW);
    let (caller, connection) = settings.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        // Its end is seen by the requests on it.
        let _ended = connection.await;
    });
    caller
}

fn asked(stream: bool) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://gateway{CHAT}")).header("content-type", "application/json");
    request.body(Full::from(Api::Chat.ask(stream))).unwrap()
}

#[test]
fn a_slow_model_is_waited_for_over_http_2() {
    let upstream = thinks(Duration::from_millis(1500));
    let dimmer =
        start("write_stall = \"300ms\"\nidle_timeout = \"300ms\"\nheader_timeout = \"300ms\"", &upstream);
    run(async {
        let response = connect(&dimmer).await.send_request(asked(false)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), Api::Chat.whole());
    });
}

#[test]
fn a_stream_that_pauses_is_waited_for_over_http_2() {
    let upstream = Upstream::new(|peer, _| {
        peer.write(STREAM_HEAD);
        for event in Api::Chat.events() {
            peer.write(chunk(event));
            peer.pause(Duration::from_millis(500));
        }
        peer.then("0\r\n\r\n", After::KeepAlive)
    });
    let dimmer = start("write_stall = \"300ms\"\nidle_timeout = \"300ms\"", &upstream);
    run(async {
        let response = connect(&dimmer).await.send_request(asked(true)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), Api::Chat.events().concat());
    });
}

#[test]
fn a_reader_that_pauses_does_not_cut_the_others_on_its_connection() {
    let upstream = Upstream::new(|peer, request| {
        if request.body == Api::Chat.ask(false).as_bytes() {
            peer.pause(Duration::from_secs(2));
            return peer.then(json("200 OK", Api::Chat.whole()), After::KeepAlive);
        }
        peer.write(STREAM_HEAD);
        let many: Vec<u8> = std::iter::repeat_n(chunk(Api::Chat.events()[1]), 256).flatten().collect();
        while peer.write(&many) {}
        After::Close
    });
    let dimmer = start("write_stall = \"700ms\"", &upstream);
    run(async {
        let mut caller = connect(&dimmer).await;
        // Its reader is busy elsewhere.
        let unread = caller.send_request(asked(true)).await.unwrap();
        let answer = caller.send_request(asked(false)).await;
        let answer = answer.expect("cut because of another stream's reader");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), Api::Chat.whole());
        drop(unread);
    });
}

#[test]
fn a_slow_reader_of_a_large_answer_is_not_stalled_over_http_2() {
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(1_500_000));
    let length = body.len();
    let upstream = Upstream::new(move |peer, _| peer.then(json("200 OK", &body), After::KeepAlive));
    let dimmer = start("write_stall = \"700ms\"", &upstream);
    run(async {
        let mut response = connect(&dimmer).await.send_request(asked(false)).await.unwrap();
        let (mut seen, begun) = (0, Instant::now());
        while begun.elapsed() < Duration::from_millis(2500) {
            let frame = response.body_mut().frame().await.expect("it is larger than that");
            let frame = frame.unwrap_or_else(|error| panic!("cut after {seen} of {length} bytes: {error}"));
            seen += frame.data_ref().map_or(0, Bytes::len);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_slow_reader_is_not_stalled_over_http_1() {
    let upstream = firehose(Api::Chat);
    let dimmer = start("write_stall = \"1s\"", &upstream);
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", CHAT, JSON, Api::Chat.ask(true).as_bytes());
    let mut stream = connection.into_stream();
    let begun = Instant::now();
    let mut piece = [0; 16_384];
    while begun.elapsed() < Duration::from_millis(2500) {
        assert!(stream.read(&mut piece).is_ok_and(|count| count > 0), "cut after {:?}", begun.elapsed());
        let cut = dimmer.metrics().metric("dimmer_requests_total", &[("outcome", "cancelled")]);
        assert!(cut < 0.5, "let go after {:?}, though it reads all the time", begun.elapsed());
        std::thread::sleep(Duration::from_millis(40));
    }
}

#[test]
fn requests_sent_early_are_served_in_turn() {
    let upstream = thinks(Duration::from_millis(300));
    let dimmer = start("", &upstream);
    let mut connection = Connection::open(dimmer.data);
    for _ in 0..3 {
        connection.send_request("POST", CHAT, JSON, Api::Chat.ask(false).as_bytes());
    }
    // The next comes in the middle of an answer, in two halves.
    std::thread::sleep(Duration::from_millis(100));
    connection.send(b"GET /r/v1/models HTTP/1.1\r\nho");
    for _ in 0..3 {
        let answer = connection.answer("POST");
        assert_eq!((answer.status, answer.text().as_str()), (200, Api::Chat.whole()));
    }
    connection.send(b"st: x\r\n\r\n");
    assert_eq!(connection.answer("GET").status, 200);
}

#[test]
fn a_reply_to_an_upload_that_nobody_reads_reaches_its_caller() {
    let dimmer = start("", &good());
    let mut connection = Connection::open(dimmer.data);
    connection.send(b"POST /off/v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 30000000\r\n\r\n");
    for _ in 0..300 {
        assert!(connection.try_send(&[b'x'; 100_000]), "the connection broke before the answer was read");
    }
    let answer = connection.answer("POST");
    assert_eq!((answer.status, answer.code().as_deref()), (503, Some("dimmer_kill_switch")));
}

#[test]
fn an_upload_whose_provider_is_away_is_told_so() {
    let dimmer = start("", &Upstream::nowhere());
    let mut connection = Connection::open(dimmer.data);
    connection.send(b"POST /r/v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 30000000\r\n\r\n");
    for _ in 0..300 {
        assert!(connection.try_send(&[b'x'; 100_000]), "the connection broke before the answer was read");
    }
    let answer = connection.answer("POST");
    assert_eq!((answer.status, answer.code().as_deref()), (502, Some("dimmer_upstream_connect")));
}

#[test]
fn an_app_that_closes_at_the_terminal_event_had_its_whole_answer() {
    let upstream = Upstream::new(|peer, _| {
        peer.write(STREAM_HEAD);
        peer.write_chunks(Api::Chat.events());
        // The transfer's own end comes a moment later.
        peer.pause(Duration::from_millis(500));
        peer.then("0\r\n\r\n", After::KeepAlive)
    });
    let dimmer = start("", &upstream);
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", CHAT, JSON, Api::Chat.ask(true).as_bytes());
    let mut framing = connection.head().framing("POST");
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: [DONE]\n\n") {
        let Piece::Data(data) = connection.piece(&mut framing) else { panic!("it broke off") };
        seen.extend_from_slice(&data);
    }
    drop(connection);
    let ended = |outcome| dimmer.metrics().metric("dimmer_requests_total", &[("outcome", outcome)]);
    wait_until("it is counted", || ended("ok") + ended("cancelled") > 0.5);
    assert_eq!(ended("ok").to_string(), "1");
}

#[test]
fn connections_that_ask_nothing_do_not_count_as_requests_in_flight() {
    let dimmer = start("concurrent = 2", &good());
    let ask = |connection: &mut Connection| {
        connection.send_request("POST", CHAT, JSON, Api::Chat.ask(false).as_bytes());
        connection.answer("POST").status
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut connection = Connection::open(dimmer.data);
        assert_eq!(ask(&mut connection), 200, "nothing else is in flight");
        kept.push(connection);
    }
}

#[test]
fn an_idle_http_2_connection_is_said_goodbye_to() {
    let dimmer = start("idle_timeout = \"400ms\"", &good());
    let mut stream = std::net::TcpStream::connect(dimmer.data).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The preface, and settings without any.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut said = Vec::new();
    let _closed = stream.read_to_end(&mut said);
    let mut kinds = Vec::new();
    let mut rest = said.as_slice();
    while let [a, b, c, kind, ..] = *rest {
        kinds.push(kind);
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    // Without it a client may not send again what it had just sent: RFC 9113 section 6.8.
    assert!(kinds.contains(&7), "no GOAWAY among the frames {kinds:?}");
}

#[test]
fn a_stall_that_begins_between_two_pieces_ends_too() {
    let upstream = Upstream::new(|peer, _| {
        peer.write(STREAM_HEAD);
        // The first just fills the caller's window; the next comes when the connection has long been quiet.
        peer.write(chunk(format!(": {}\n\n", "x".repeat(WINDOW as usize + 20))));
        peer.pause(Duration::from_millis(800));
        peer.write(chunk(Api::Chat.events()[1]));
        After::Hang
    });
    let dimmer = start("write_stall = \"700ms\"\nheader_timeout = \"300ms\"", &upstream);
    run(async {
        let unread = connect(&dimmer).await.send_request(asked(true)).await.unwrap();
        let begun = Instant::now();
        let in_flight = || dimmer.metrics().metric("dimmer_in_flight_requests", &[("route", "r")]) > 0.5;
        while begun.elapsed() < Duration::from_secs(6) && in_flight() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(!in_flight(), "a caller that takes nothing is held still");
        drop(unread);
    });
}

fn packed() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(Api::Chat.whole().as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// One packed answer whose end only the connection tells.
fn packed_until_close(body: Vec<u8>) -> Upstream {
    Upstream::new(move |peer, _| {
        peer.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\r\n");
        peer.then(&body, After::Close)
    })
}

#[test]
fn tokens_of_a_packed_answer_that_ends_with_its_connection_are_counted() {
    let dimmer = start("", &packed_until_close(packed()));
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", CHAT, JSON, Api::Chat.ask(false).as_bytes());
    let answer = connection.answer("POST");
    assert!(answer.complete && answer.body == packed());
    let metric = |name: &str, labels: &[(&str, &str)]| dimmer.metrics().metric(name, labels);
    wait_until("it is counted", || metric("dimmer_requests_total", &[("outcome", "ok")]) > 0.5);
    assert_eq!(metric("dimmer_tokens_total", &[("kind", "input")]).to_string(), "9");
}

#[test]
fn half_a_packed_answer_that_ends_with_its_connection_is_not_whole() {
    let mut half = packed();
    half.truncate(half.len() / 2);
    let dimmer = start("", &packed_until_close(half));
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", CHAT, JSON, Api::Chat.ask(false).as_bytes());
    assert!(!connection.answer("POST").complete, "half a packed text came with a clean end");
}

#[test]
fn a_connection_whose_upload_was_answered_early_is_not_used_again() {
    let upstream = Upstream::on_accept(|peer| {
        while peer.request_head().is_some() {
            peer.write(json("200 OK", "{}"));
        }
        After::Close
    });
    let dimmer = start("", &upstream);
    let mut connection = Connection::open(dimmer.data);
    connection.send(
        b"POST /r/v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    );
    assert_eq!(connection.answer("POST").status, 200);
    connection.reset();
    let mut next = Connection::open(dimmer.data);
    next.send_request("GET", "/r/v1/models", "", b"");
    assert_eq!(next.answer("GET").status, 200);
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn callers_that_go_away_leave_nothing_reserved() {
    let dimmer = start("concurrent = 3\nbody = \"1MiB\"\nmemory = \"1MiB\"", &good());
    let toml = std::fs::read_to_string(dimmer.config_path()).unwrap();
    let reads = "[models.m-1]\nprovider = \"p\"\n[routes.w]\npath = \"/w\"\nmodel = \"m-1\"\n";
    dimmer.reload_and_wait(&(toml + reads));
    let in_flight = || dimmer.metrics().metric("dimmer_in_flight_requests", &[("route", "w")]);
    for _ in 0..4 {
        let mut connection = Connection::open(dimmer.data);
        connection
            .send(b"POST /w/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n");
        connection.send(&[b' '; 900_000]);
        wait_until("it is in flight", || in_flight() > 0.5);
        connection.reset();
        wait_until("its going is felt", || in_flight() < 0.5);
    }
    let mut connection = Connection::open(dimmer.data);
    let ask = Api::Chat.ask(false) + &" ".repeat(900_000);
    connection.send_request("POST", "/w/v1/chat/completions", JSON, ask.as_bytes());
    assert_eq!(connection.answer("POST").status, 200);
}

#[test]
fn a_long_answer_does_not_make_the_gateway_forget_the_time() {
    let upstream = thinks(Duration::from_millis(1500));
    let dimmer = start("idle_timeout = \"400ms\"\nheader_timeout = \"400ms\"", &upstream);
    // Silent behind its answer, or with half of another head that came while it waited.
    for (more, status) in [("", None), ("POST /r", Some(408))] {
        let mut connection = Connection::open(dimmer.data);
        connection.send_request("POST", CHAT, JSON, Api::Chat.ask(false).as_bytes());
        connection.send(more.as_bytes());
        assert_eq!(connection.answer("POST").status, 200);
        let (after, said) = connection.wait_closed();
        assert!(after < Duration::from_secs(10), "{more:?}: {after:?}");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(said.get(9..12).and_then(|status| status.parse::<u16>().ok()), status, "{said}");
    }
}
