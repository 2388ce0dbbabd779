//! HTTP/2 frame by frame, by callers that mean harm: each is ended or bounded, and the others are served meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::{Dimmer, PATIENCE, get, listeners, wait_until};
use crate::upstreams::{Api, Upstream, answers_well, firehose, hangs_before_head};

fn start(limits: &str, upstream: &Upstream) -> Dimmer {
    Dimmer::start(
        &(listeners(&format!("[server.limits]\n{limits}"))
            + &format!(
                "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n\
                 [routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n",
                upstream.address
            )),
    )
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[derive(Debug)]
struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The error code of a reset or a goodbye.
    fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field that the table does not learn: RFC 7541 section 6.2.2.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.extend(length(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A whole number after a prefix of seven bits.
fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(127) else { return vec![length as u8] };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

fn request() -> Vec<u8> {
    let fields =
        [(":method", "POST"), (":scheme", "http"), (":authority", "gateway"), (":path", "/r/v1/files")];
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A connection over which the greetings have been sent.
struct Caller(TcpStream);

impl Caller {
    fn new(dimmer: &Dimmer, settings: &[u8]) -> Self {
        let stream = TcpStream::connect(dimmer.data).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        // Who is not listened to any more is stuck here, not for ever.
        stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
        let mut caller = Self(stream);
        assert!(caller.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        assert!(caller.send(&frame(SETTINGS, 0, 0, settings)));
        caller
    }

    /// Whether it was taken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// What came until the gateway closed the connection (true), or fell silent.
    fn frames(&mut self) -> (Vec<Frame>, bool) {
        let (mut bytes, mut piece, begun) = (Vec::new(), [0; 65_536], Instant::now());
        let closed = loop {
            match self.0.read(&mut piece) {
                Ok(0) => break true,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    break false;
                }
                Err(_) => break true,
            }
            assert!(begun.elapsed() < PATIENCE, "it never falls silent");
        };
        let (mut frames, mut rest) = (Vec::new(), bytes.as_slice());
        while let [a, b, c, kind, _, s, t, u, v, ..] = *rest {
            let end = (9 + u32::from_be_bytes([0, a, b, c]) as usize).min(rest.len());
            let stream = u32::from_be_bytes([s, t, u, v]);
            frames.push(Frame { kind, stream, payload: rest[9..end].to_vec() });
            rest = &rest[end..];
        }
        (frames, closed)
    }
}

/// Others are served, nothing is left in flight, and memory has not grown by more than this many MiB.
fn assert_unharmed(dimmer: &mut Dimmer, resident: u64, mebibytes: u64) {
    let begun = Instant::now();
    assert_eq!(get(dimmer.data, "/nowhere").status, 404);
    assert!(begun.elapsed() < Duration::from_secs(5), "another caller waited for {:?}", begun.elapsed());
    let grown = dimmer.resident().saturating_sub(resident) >> 20;
    assert!(grown <= mebibytes, "it grew by {grown} MiB");
    dimmer.assert_alive();
}

fn assert_nothing_in_flight(dimmer: &Dimmer) {
    wait_until("nothing is in flight", || dimmer.metrics().metric("dimmer_in_flight_requests", &[]) < 0.5);
}

/// CVE-2023-44487: streams that are opened and reset, as fast as the wire takes them.
#[test]
fn streams_reset_as_soon_as_they_are_opened_end_the_connection() {
    let upstream = hangs_before_head();
    let mut dimmer = start("", &upstream);
    let resident = dimmer.resident();
    let mut caller = Caller::new(&dimmer, &[]);
    let mut sent = 0;
    for stream in (1..200_000).step_by(2) {
        let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request());
        if !caller.send(&[open, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()) {
            break;
        }
        sent += 1;
    }
    assert!(sent < 90_000, "nobody stopped it");
    assert_unharmed(&mut dimmer, resident, 48);
    assert_nothing_in_flight(&dimmer);
    let asked = upstream.connections();
    assert!(asked < 5000, "{asked} of {sent} reached the provider");
}

/// CVE-2024-27316: a head that goes on and on.
#[test]
fn a_head_without_an_end_ends_the_connection() {
    let mut dimmer = start("", &answers_well(Api::Chat));
    let resident = dimmer.resident();
    for fields in [field("x-a", &"a".repeat(16_000)), field("x", "y").repeat(2000)] {
        let mut caller = Caller::new(&dimmer, &[]);
        assert!(caller.send(&frame(HEADERS, END_STREAM, 1, &request())));
        let went_on = (0..4000).all(|_| caller.send(&frame(CONTINUATION, 0, 1, &fields)));
        assert!(!went_on, "64 MB of a head were taken");
        assert_unharmed(&mut dimmer, resident, 32);
    }
}

/// Some KB that unpack to a thousand times as much: one field is learnt, then named again and again.
#[test]
fn a_head_that_unpacks_to_much_is_refused() {
    let upstream = answers_well(Api::Chat);
    let mut dimmer = start("", &upstream);
    let resident = dimmer.resident();
    let mut caller = Caller::new(&dimmer, &[]);
    let mut learnt = vec![0x40];
    for text in ["x", &"a".repeat(3900)] {
        learnt.extend(length(text.len()));
        learnt.extend(text.as_bytes());
    }
    let bomb = [request(), learnt, vec![0x80 | 62; 12_000]].concat();
    for stream in [1, 3, 5, 7] {
        caller.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb));
    }
    let (frames, closed) = caller.frames();
    // Without a table of its own the answer's status is one byte, 0x88 for a 200.
    let good = frames.iter().any(|frame| frame.kind == HEADERS && frame.payload.first() == Some(&0x88));
    assert!(
        !good && (closed || frames.iter().any(|frame| [HEADERS, RST_STREAM, GOAWAY].contains(&frame.kind)))
    );
    assert_eq!(upstream.requests().len(), 0, "47 MB of fields reached the provider");
    assert_unharmed(&mut dimmer, resident, 32);
}

#[test]
fn settings_and_pings_without_end_are_not_kept() {
    let mut dimmer = start("write_stall = \"1s\"", &answers_well(Api::Chat));
    let resident = dimmer.resident();
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(1000);
    let pings = frame(PING, 0, 0, b"12345678").repeat(1000);
    let empty = frame(DATA, 0, 1, b"").repeat(1000);
    for flood in [settings, pings, empty] {
        let mut caller = Caller::new(&dimmer, &[]);
        caller.send(&frame(HEADERS, END_HEADERS, 1, &request()));
        let begun = Instant::now();
        // Nobody reads what is answered: there must be an end to it, or to the answers.
        while begun.elapsed() < Duration::from_secs(3) && caller.send(&flood) {}
        assert_unharmed(&mut dimmer, resident, 32);
    }
    assert_nothing_in_flight(&dimmer);
}

#[test]
fn a_window_that_grows_by_nothing_or_too_much_is_an_error() {
    let upstream = hangs_before_head();
    let mut dimmer = start("", &upstream);
    let resident = dimmer.resident();
    for (stream, by) in [(0, 0u32), (1, 0), (0, 0x7fff_ffff), (1, 0x7fff_ffff)] {
        let mut caller = Caller::new(&dimmer, &[]);
        assert!(caller.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request())));
        assert!(caller.send(&frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())));
        let (frames, _) = caller.frames();
        let told = frames.iter().find(|frame| [RST_STREAM, GOAWAY].contains(&frame.kind));
        // PROTOCOL_ERROR or FLOW_CONTROL_ERROR: RFC 9113 sections 6.9 and 6.9.1.
        assert!(told.is_some_and(|told| [1, 3].contains(&told.code())), "{stream}, {by}: {frames:?}");
    }
    assert_unharmed(&mut dimmer, resident, 16);
    assert_nothing_in_flight(&dimmer);
}

#[test]
fn streams_over_the_limit_are_refused_and_those_below_live_on() {
    let upstream = hangs_before_head();
    let mut dimmer = start("", &upstream);
    let resident = dimmer.resident();
    let mut caller = Caller::new(&dimmer, &[]);
    for stream in (1..=239).step_by(2) {
        assert!(caller.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &request())));
    }
    let (frames, closed) = caller.frames();
    assert!(!closed);
    let refused: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == RST_STREAM).collect();
    // REFUSED_STREAM: it may be sent again, nothing was done.
    assert!(refused.iter().all(|frame| frame.code() == 7 && frame.stream > 200), "{refused:?}");
    assert_eq!(refused.len(), 20);
    upstream.wait_requests(100);
    assert_unharmed(&mut dimmer, resident, 32);
    drop(caller);
    assert_nothing_in_flight(&dimmer);
    upstream.wait_closed(100);
}

#[test]
fn a_caller_that_grants_no_window_holds_nothing_up_and_is_let_go() {
    let upstream = firehose(Api::Chat);
    let mut dimmer = start("write_stall = \"3s\"", &upstream);
    let resident = dimmer.resident();
    // SETTINGS_INITIAL_WINDOW_SIZE is nothing.
    let mut caller = Caller::new(&dimmer, &[0, 4, 0, 0, 0, 0]);
    for stream in (1..=199).step_by(2) {
        assert!(caller.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &request())));
    }
    upstream.wait_requests(100);
    let (frames, _) = caller.frames();
    assert!(frames.iter().all(|frame| frame.kind != DATA || frame.payload.is_empty()), "there was no window");
    assert_unharmed(&mut dimmer, resident, 96);
    wait_until("it is let go", || dimmer.metrics().metric("dimmer_in_flight_requests", &[]) < 0.5);
    upstream.wait_closed(100);
}
