//! Streams: each event on its way before the next one is sent, nothing held, back-pressure, and a caller that goes
//! away is felt by the provider at once.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{Connection, Dimmer, Piece, listeners, wait_until};
use crate::upstreams::{
    After, Api, STREAM_HEAD, Upstream, chunk, cuts_body, firehose, hangs_before_head, sized,
    stalls_after_head, stalls_mid_body,
};

/// A bare route `/r`, a rewriting one `/w` and one with a flag `/f`, whose usage is counted, before one upstream.
fn config(api: Api, upstream: &Upstream) -> String {
    let (dialect, url) = (api.dialect(), api.base_url(upstream.address));
    listeners("")
        + &format!(
            "[providers.p]\ndialect = \"{dialect}\"\nbase_url = \"{url}\"\n\
             [models.m-2]\nprovider = \"p\"\n\
             [routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n\
             [routes.w]\npath = \"/w\"\nprovider = [\"p\"]\nmodel = \"m-2\"\n\
             [flags.which]\nowner = \"o\"\npermanent = true\ndefault = \"m-2\"\n\
             [routes.f]\npath = \"/f\"\nmodel.flag = \"which\"\n"
        )
}

const JSON_HEADERS: &str = "content-type: application/json\r\n";

/// Asks for a stream on this route.
fn ask(dimmer: &Dimmer, route: &str, api: Api, stream: bool) -> Connection {
    let mut connection = Connection::open(dimmer.data);
    let target = format!("/{route}{}", api.path());
    connection.send_request("POST", &target, JSON_HEADERS, api.ask(stream).as_bytes());
    connection
}

/// A provider that writes the next piece only when the test says so.
fn waits_for_a_word(pieces: Vec<Vec<u8>>) -> (Upstream, Sender<()>) {
    let (say, words): (Sender<()>, Receiver<()>) = channel();
    let words = Mutex::new(words);
    let upstream = Upstream::new(move |peer, _| {
        peer.write(STREAM_HEAD);
        for piece in &pieces {
            if words.lock().unwrap().recv().is_err() || !peer.write(chunk(piece)) {
                return After::Close;
            }
        }
        peer.write("0\r\n\r\n");
        After::KeepAlive
    });
    (upstream, say)
}

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    for api in Api::ALL {
        let pieces: Vec<Vec<u8>> = api.events().iter().map(|event| event.as_bytes().to_vec()).collect();
        let (upstream, say) = waits_for_a_word(pieces);
        let dimmer = Dimmer::start(&config(api, &upstream));
        for route in ["r", "w", "f"] {
            let mut connection = ask(&dimmer, route, api, true);
            say.send(()).unwrap();
            let head = connection.head();
            let mut framing = head.framing("POST");
            for (index, event) in api.events().iter().enumerate() {
                if index > 0 {
                    say.send(()).unwrap();
                }
                let mut got = Vec::new();
                while got.len() < event.len() {
                    match connection.piece(&mut framing) {
                        Piece::Data(data) => got.extend_from_slice(&data),
                        other => panic!("{other:?} in the place of event {index}"),
                    }
                }
                assert_eq!(String::from_utf8_lossy(&got), *event);
            }
            assert_eq!(connection.body(framing), (Vec::new(), true));
        }
    }
}

#[test]
fn half_an_event_is_not_held_back() {
    let first = Api::Chat.events()[0].as_bytes().to_vec();
    let (upstream, say) = waits_for_a_word(vec![
        first.clone(),
        b"data: {\"half\":\"\xc3".to_vec(),
        b"\xa9\"}\n\ndata: [DONE]\n\n".to_vec(),
    ]);
    let dimmer = Dimmer::start(&config(Api::Chat, &upstream));
    let mut connection = ask(&dimmer, "r", Api::Chat, true);
    say.send(()).unwrap();
    let mut framing = connection.head().framing("POST");
    assert_eq!(connection.piece(&mut framing), Piece::Data(first));
    say.send(()).unwrap();
    assert_eq!(connection.piece(&mut framing), Piece::Data(b"data: {\"half\":\"\xc3".to_vec()));
    say.send(()).unwrap();
    assert_eq!(connection.body(framing), (b"\xa9\"}\n\ndata: [DONE]\n\n".to_vec(), true));
}

#[test]
fn odd_streams_arrive_as_they_are() {
    let huge = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\r\n\r\n",
        "é😀x".repeat(450_000)
    );
    let odd = [
        ": a comment\r\n\r\n".to_owned(),
        huge,
        "data: one\ndata: two\n\n".to_owned(),
        "\u{feff}data: {}\r\r".to_owned(),
        "data: [DONE]\n\n".to_owned(),
        "data: after the end\n\n".to_owned(),
    ]
    .concat();
    let whole = (Api::Chat.events()[0].to_owned() + &odd).into_bytes();
    let sent = whole.clone();
    let upstream = Upstream::new(move |peer, _| {
        peer.write(STREAM_HEAD);
        // 9973 divides no letter's length for long: pieces end inside of letters.
        peer.write_chunks(sent.chunks(9973));
        peer.then("0\r\n\r\n", After::KeepAlive)
    });
    let dimmer = Dimmer::start(&config(Api::Chat, &upstream));
    for route in ["r", "w", "f"] {
        let answer = ask(&dimmer, route, Api::Chat, true).answer("POST");
        assert!(answer.complete, "{route}");
        assert!(answer.body == whole, "{route}: {} bytes of {}", answer.body.len(), whole.len());
    }
}

#[test]
fn a_reader_that_does_not_read_stops_the_provider() {
    for route in ["r", "w", "f"] {
        let upstream = firehose(Api::Chat);
        let dimmer = Dimmer::start(&config(Api::Chat, &upstream));
        // Let one stream warm its buffers up, so that growth is the stream's own.
        drop(ask(&dimmer, route, Api::Chat, true).head());
        upstream.wait_closed(1);
        let before = dimmer.resident();
        let mut connection = ask(&dimmer, route, Api::Chat, true);
        assert_eq!(connection.head().status, 200);
        let mut last = (upstream.written(), Instant::now());
        wait_until("the provider is stopped", || {
            let now = upstream.written();
            if now != last.0 {
                last = (now, Instant::now());
            }
            last.1.elapsed() > Duration::from_millis(700)
        });
        let grown = dimmer.resident().saturating_sub(before);
        eprintln!("{route}: stopped after {} KiB, resident grew by {} KiB", last.0 >> 10, grown >> 10);
        assert!(grown < 32 << 20, "resident grew by {} KiB", grown >> 10);
    }
}

/// How the caller goes.
#[derive(Clone, Copy, Debug)]
enum Goodbye {
    Close,
    Reset,
}

impl Goodbye {
    fn say(self, connection: Connection) {
        match self {
            Self::Close => drop(connection),
            Self::Reset => connection.reset(),
        }
    }
}

/// The provider must feel it within 100 ms; asserted is one second, for a busy machine.
fn felt(what: &str, upstream: &Upstream, goodbye: Goodbye, connection: Connection) {
    let gone = Instant::now();
    goodbye.say(connection);
    let after = upstream.wait_closed(1).saturating_duration_since(gone);
    eprintln!("caller gone {what} ({goodbye:?}): the provider's connection closed after {after:?}");
    assert!(after < Duration::from_secs(1), "{what}: {after:?}");
}

#[test]
fn a_caller_that_goes_away_is_felt_before_the_head() {
    each_goodbye(|api, route, stream, goodbye| {
        let upstream = hangs_before_head();
        let dimmer = Dimmer::start(&config(api, &upstream));
        let connection = ask(&dimmer, route, api, stream);
        upstream.wait_requests(1);
        felt("before the head", &upstream, goodbye, connection);
        counted(&dimmer, route);
    });
}

#[test]
fn a_caller_that_goes_away_is_felt_after_the_head() {
    each_goodbye(|api, route, stream, goodbye| {
        let upstream = stalls_after_head(api);
        let dimmer = Dimmer::start(&config(api, &upstream));
        let connection = ask(&dimmer, route, api, stream);
        wait_until("the head was written", || upstream.written() > 0);
        felt("after the head", &upstream, goodbye, connection);
        counted(&dimmer, route);
    });
}

#[test]
fn a_caller_that_goes_away_is_felt_in_the_middle() {
    each_goodbye(|api, route, stream, goodbye| {
        let upstream = stalls_mid_body(api);
        let dimmer = Dimmer::start(&config(api, &upstream));
        let mut connection = ask(&dimmer, route, api, stream);
        let mut framing = connection.head().framing("POST");
        assert!(matches!(connection.piece(&mut framing), Piece::Data(_)));
        felt("in the middle", &upstream, goodbye, connection);
        counted(&dimmer, route);
    });
}

#[test]
fn a_caller_that_goes_away_while_it_uploads_is_felt() {
    for goodbye in [Goodbye::Close, Goodbye::Reset] {
        let upstream = hangs_before_head();
        let dimmer = Dimmer::start(&config(Api::Chat, &upstream));
        let mut connection = Connection::open(dimmer.data);
        connection.send(b"POST /r/v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n");
        connection.send(&[b'x'; 500_000]);
        wait_until("the upload reaches the provider", || upstream.connections() == 1);
        felt("while it uploads", &upstream, goodbye, connection);
    }
}

#[test]
fn a_caller_that_closes_only_its_sending_half_is_not_left_hanging() {
    let (upstream, say) =
        waits_for_a_word(Api::Chat.events().iter().map(|event| event.as_bytes().to_vec()).collect());
    let dimmer = Dimmer::start(&config(Api::Chat, &upstream));
    let mut connection = ask(&dimmer, "r", Api::Chat, true);
    connection.half_close();
    Api::Chat.events().iter().for_each(|_| say.send(()).unwrap());
    // Either it is served to the end or it counts as gone; both end, and nothing in between is passed off as whole.
    if let Some(head) = connection.try_head() {
        let (body, complete) = connection.body(head.framing("POST"));
        assert_eq!(complete, body == Api::Chat.events().concat().into_bytes());
    }
}

#[test]
fn an_answer_that_comes_before_the_upload_ends_is_passed_on_at_once() {
    // The provider has seen enough: it answers and reads no more, so the upload can never end.
    let upstream = Upstream::on_accept(|peer| {
        if peer.request_head().is_some() {
            peer.write(sized("413 Too Large", "content-type: application/json\r\n", Api::Chat.error()));
        }
        peer.pause(Duration::from_secs(10));
        After::Close
    });
    let dimmer = Dimmer::start(&config(Api::Chat, &upstream));
    let mut connection = Connection::open(dimmer.data);
    connection.send(b"POST /r/v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n\r\n");
    let mut reader = connection.twin();
    let begun = Instant::now();
    let writer = std::thread::spawn(move || while connection.try_send(&[b'x'; 65_536]) {});
    let answer = reader.answer("POST");
    assert_eq!((answer.status, answer.text().as_str()), (413, Api::Chat.error()));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    reader.reset();
    drop(dimmer);
    writer.join().unwrap();
}

#[test]
fn a_caller_that_does_not_read_and_goes_away_is_felt() {
    let upstream = firehose(Api::Chat);
    let dimmer = Dimmer::start(&config(Api::Chat, &upstream));
    let mut connection = ask(&dimmer, "r", Api::Chat, true);
    assert_eq!(connection.head().status, 200);
    let mut last = (0, Instant::now());
    wait_until("the provider is stopped", || {
        let now = upstream.written();
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(300)
    });
    felt("without reading", &upstream, Goodbye::Reset, connection);
}

fn each_goodbye(check: impl Fn(Api, &str, bool, Goodbye)) {
    for api in Api::ALL {
        for (route, stream, goodbye) in [
            ("r", true, Goodbye::Close),
            ("w", true, Goodbye::Reset),
            ("w", false, Goodbye::Close),
            ("f", true, Goodbye::Close),
            ("r", false, Goodbye::Reset),
        ] {
            check(api, route, stream, goodbye);
        }
    }
}

/// The request is counted, once, as what it was.
fn counted(dimmer: &Dimmer, route: &str) {
    let outcome = |labels: &[(&str, &str)]| dimmer.metrics().metric("dimmer_requests_total", labels);
    wait_until("the request is counted", || outcome(&[("route", route)]) > 0.5);
    assert_eq!(outcome(&[("route", route), ("outcome", "cancelled")]).to_string(), "1");
    assert_eq!(dimmer.metrics().metric("dimmer_in_flight_requests", &[("route", route)]).to_string(), "0");
    assert_eq!(
        dimmer.metrics().metric("dimmer_client_disconnects_total", &[("route", route)]).to_string(),
        "1"
    );
}

#[test]
fn callers_that_go_away_never_leave_their_answer_to_another() {
    // Every provider's answer says to which request it belongs; a third of the callers hang up in the middle.
    let upstream = Upstream::new(|peer, request| {
        let text = String::from_utf8_lossy(&request.body);
        let mark =
            text.split("mark-").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("?").to_owned();
        let body = Api::Chat.whole().replace("Hello there", &format!("mark-{mark}"));
        peer.pause(Duration::from_millis(3));
        if peer.write(crate::upstreams::json("200 OK", body)) { After::KeepAlive } else { After::Close }
    });
    let dimmer = Dimmer::start(&config(Api::Chat, &upstream));
    let failed = Arc::new(Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let (failed, dimmer) = (Arc::clone(&failed), &dimmer);
            scope.spawn(move || {
                for turn in 0..40 {
                    let mark = format!("mark-{caller}-{turn}");
                    let body = Api::Chat.ask(false).replace("Hi", &mark);
                    let mut connection = Connection::open(dimmer.data);
                    connection.send_request("POST", "/r/v1/chat/completions", JSON_HEADERS, body.as_bytes());
                    if turn % 3 == 0 {
                        connection.reset();
                        continue;
                    }
                    let answer = connection.answer("POST");
                    if answer.status != 200 || !answer.text().contains(&format!("\"{mark}\"")) {
                        failed.lock().unwrap().push(format!("{mark}: {} {}", answer.status, answer.text()));
                    }
                }
            });
        }
    });
    assert!(failed.lock().unwrap().is_empty(), "{:#?}", failed.lock().unwrap());
}

#[test]
fn a_cut_stream_does_not_end_politely() {
    for api in Api::ALL {
        for route in ["r", "w", "f"] {
            let upstream = cuts_body(api);
            let dimmer = Dimmer::start(&config(api, &upstream));
            let answer = ask(&dimmer, route, api, true).answer("POST");
            assert!(api.code_of_error_event(&answer.text()).is_some(), "{}", answer.text());
            assert!(!answer.text().contains(api.terminal()), "{}", answer.text());
            assert!(!answer.complete, "the body of a broken stream has no clean end");
        }
    }
}

#[test]
fn a_caller_that_leaves_at_an_error_event_has_seen_the_providers_error() {
    for (api, error) in [
        (Api::Chat, "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"code\":null}}\n\n"),
        (
            Api::Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
        ),
    ] {
        let pieces = [api.events()[0], error, ": open\n\n"].map(|piece| piece.as_bytes().to_vec());
        let (upstream, say) = waits_for_a_word(pieces.to_vec());
        let dimmer = Dimmer::start(&config(api, &upstream));
        let mut connection = ask(&dimmer, "w", api, true);
        say.send(()).unwrap();
        say.send(()).unwrap();
        let mut framing = connection.head().framing("POST");
        let mut got = Vec::new();
        while !got.ends_with(error.as_bytes()) {
            match connection.piece(&mut framing) {
                Piece::Data(data) => got.extend_from_slice(&data),
                other => panic!("{other:?} before the error"),
            }
        }
        connection.reset();
        let count = |outcome| {
            let labels = [("route", "w"), ("model", "m-2"), ("outcome", outcome)];
            dimmer.metrics().metric("dimmer_requests_total", &labels) as u64
        };
        wait_until("it is counted", || count("upstream_error") + count("cancelled") == 1);
        assert_eq!(count("upstream_error"), 1, "{api:?}");
    }
}
