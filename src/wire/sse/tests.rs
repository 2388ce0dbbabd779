//! The scanner against the grammar of event streams, fed whole and cut at every place.

use proptest::prelude::*;

use super::{EventGap, INSPECT_MAX, SseScanner};

type Seen = Vec<(Option<String>, String)>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the scanner hands out when the stream comes in these pieces, and how many events it could not read.
fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Seen, u64) {
    let mut scanner = SseScanner::new();
    let mut seen = Seen::new();
    for piece in pieces {
        scanner.feed(piece, &mut |event| seen.push((event.name.map(text), text(event.data))));
    }
    scanner.finish(&mut |event| seen.push((event.name.map(text), text(event.data))));
    (seen, scanner.blind_events())
}

/// The stream whole, byte by byte, and cut in two at every place, gives these events.
fn check(stream: &[u8], expected: &[(Option<&str>, &str)]) {
    let expected: Seen =
        expected.iter().map(|(name, data)| (name.map(str::to_owned), (*data).to_owned())).collect();
    assert_eq!(scan([stream]).0, expected, "whole: {}", text(stream));
    assert_eq!(scan(stream.chunks(1)).0, expected, "byte by byte: {}", text(stream));
    for cut in 0..=stream.len() {
        let (left, right) = stream.split_at(cut);
        assert_eq!(scan([left, right]).0, expected, "cut at {cut}: {}", text(stream));
    }
}

#[test]
fn events_are_found() {
    check(b"", &[]);
    check(b"data: a\n\n", &[(None, "a")]);
    check(b"data: a\n\ndata: b\n\n", &[(None, "a"), (None, "b")]);
    check(b"data:a\n\n", &[(None, "a")]);
    check(b"data:  a\n\n", &[(None, " a")]);
    check(b"data\n\n", &[(None, "")]);
    check(b"data:\n\n", &[(None, "")]);
    check(b"event: ping\ndata: {}\n\n", &[(Some("ping"), "{}")]);
    check(b"event:ping\ndata:{}\n\n", &[(Some("ping"), "{}")]);
    check(b"data: {}\nevent: ping\n\n", &[(Some("ping"), "{}")]);
    check(b"event: one\nevent: two\ndata: x\n\n", &[(Some("two"), "x")]);
    check(b"id: 7\nretry: 10\ndata: x\nother: y\n\n", &[(None, "x")]);
}

#[test]
fn lines_end_at_lf_cr_and_crlf_only() {
    check(b"data: a\r\n\r\ndata: b\r\n\r\n", &[(None, "a"), (None, "b")]);
    check(b"data: a\r\rdata: b\r\r", &[(None, "a"), (None, "b")]);
    check(b"data: a\n\r\ndata: b\r\n\n", &[(None, "a"), (None, "b")]);
    check(b"event: e\r\ndata: a\r\n\r\n", &[(Some("e"), "a")]);
    check(
        "data: a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\n\n".as_bytes(),
        &[(None, "a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f")],
    );
}

#[test]
fn several_data_lines_are_joined() {
    check(b"data: a\ndata: b\ndata:\ndata: c\n\n", &[(None, "a\nb\n\nc")]);
    check(b"data: a\r\ndata: b\r\n\r\n", &[(None, "a\nb")]);
    check(b"data: a\nevent: e\n: note\ndata: b\n\ndata: c\n\n", &[(Some("e"), "a\nb"), (None, "c")]);
}

#[test]
fn comments_and_empty_blocks_are_no_events() {
    check(b": heartbeat\n\ndata: a\n\n", &[(None, "a")]);
    check(b":\n\n:\n:\n\n", &[]);
    check(b"\n\n\n\r\n\rdata: a\n\n\n\n\n", &[(None, "a")]);
    check(b"event: lonely\n\ndata: a\n\n", &[(None, "a")]);
    check(b": data: no\ndata: yes\n\n", &[(None, "yes")]);
}

#[test]
fn a_byte_order_mark_may_lead() {
    check(b"\xEF\xBB\xBFdata: a\n\n", &[(None, "a")]);
    check(b"\xEF\xBB\xBF\ndata: a\n\n", &[(None, "a")]);
    check(b"data: a\n\n\xEF\xBB\xBFdata: b\n\n", &[(None, "a")]);
}

#[test]
fn the_last_event_may_lack_its_blank_line() {
    check(b"data: a\n\ndata: [DONE]\n", &[(None, "a"), (None, "[DONE]")]);
    check(b"data: a\n\ndata: [DONE]", &[(None, "a"), (None, "[DONE]")]);
}

#[test]
fn utf8_may_be_cut_anywhere() {
    check("data: größe 😀 漢字\n\n".as_bytes(), &[(None, "größe 😀 漢字")]);
}

#[test]
fn an_event_over_the_limit_is_passed_over() {
    let lengths = [(INSPECT_MAX - 9, 0), (INSPECT_MAX - 8, 0), (INSPECT_MAX - 7, 1), (3_000_000, 1)];
    for (length, blind) in lengths {
        // Six bytes before and two behind, so that INSPECT_MAX - 8 fits just.
        let stream = format!("data: a\n\ndata: {}\n\ndata: b\n\n", "x".repeat(length));
        for size in [1 << 30, 100_000, 65_536, 1000, 7] {
            let (seen, passed_over) = scan(stream.as_bytes().chunks(size));
            assert_eq!(passed_over, blind, "{length} bytes in pieces of {size}");
            assert_eq!(seen.len() as u64, 3 - blind, "{length} bytes in pieces of {size}");
            assert_eq!(seen.last().map(|event| event.1.as_str()), Some("b"));
        }
    }
}

#[test]
fn a_huge_event_is_not_held() {
    let mut scanner = SseScanner::new();
    for _ in 0..100 {
        scanner.feed(&[b'x'; 10_000], &mut |_| unreachable!("no event ends"));
        assert!(scanner.partial.capacity() <= 2 * INSPECT_MAX);
    }
    assert_eq!(scanner.blind_events(), 1);
    assert_eq!(scanner.partial.capacity(), 0);
    assert!(!scanner.between_events());
}

#[test]
fn it_knows_whether_it_is_between_events() {
    let mut scanner = SseScanner::new();
    let steps: [(&[u8], bool); 8] = [
        (b"", true),
        (b"data: a", false),
        (b"\n", false),
        (b"\n", true),
        (b"data: b\r\n\r", true),
        (b"\n", true),
        (b": comment\n", false),
        (b"\n", true),
    ];
    for (piece, between) in steps {
        scanner.feed(piece, &mut |_| {});
        assert_eq!(scanner.between_events(), between, "after {}", text(piece));
    }
    scanner.finish(&mut |_| {});
    assert!(scanner.between_events());
    scanner.feed(b"data: a\n", &mut |_| {});
    scanner.finish(&mut |_| {});
    assert!(!scanner.between_events(), "the last event was never ended");
}

/// Bytes that look like event streams, with everything that makes them hard.
pub(in crate::wire) fn stream_bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => Just(b"data: ".to_vec()),
        2 => Just(b"data:".to_vec()),
        2 => Just(b"event: error".to_vec()),
        6 => Just(b"\n".to_vec()),
        4 => Just(b"\n\n".to_vec()),
        2 => Just(b"\r".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\xEF\xBB\xBF".to_vec()),
        1 => Just(b": ".to_vec()),
        3 => "[a-z\u{2028}é😀{}\\[\\]\",:\\\\]{0,8}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn cuts_change_nothing(stream in stream_bytes(), size in 1usize..12) {
        prop_assert_eq!(scan([stream.as_slice()]), scan(stream.chunks(size)));
    }

    #[test]
    fn agrees_with_a_slow_reader(stream in stream_bytes()) {
        prop_assert_eq!(scan([stream.as_slice()]).0, slow(&stream));
    }
}

/// The grammar again, without any care for speed: line by line over the whole stream.
fn slow(stream: &[u8]) -> Seen {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut unified = Vec::new();
    for (at, byte) in stream.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && stream[at - 1] == b'\r' => {}
            b'\r' => unified.push(b'\n'),
            other => unified.push(*other),
        }
    }
    unified.extend_from_slice(b"\n\n");
    let mut seen = Seen::new();
    let (mut name, mut data) = (None, Vec::new());
    for line in unified.split(|byte| *byte == b'\n') {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let field = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => name = Some(text(value)),
            b"data" => data.push(value),
            b"" if line.is_empty() => {
                let ended: Vec<_> = std::mem::take(&mut data);
                let event_name = name.take();
                if !ended.is_empty() {
                    seen.push((event_name, text(&ended.join(&b'\n'))));
                }
            }
            _ => {}
        }
    }
    seen
}

#[test]
fn the_gap_between_events_is_found_wherever_the_network_cuts() {
    for (stream, gaps) in [
        ("data: a\n\ndata: b\n\n", &[0, 9, 18][..]),
        ("data: a\r\n\r\n: c\r\n\r\n", &[0, 10, 11, 17, 18]),
        ("data: a\r\rx", &[0, 9]),
        ("\u{feff}data: \u{2028}\n\n", &[0, 14]),
    ] {
        let mut one_by_one = EventGap::default();
        let mut found = vec![0];
        for (at, byte) in stream.as_bytes().iter().enumerate() {
            one_by_one.passes(&[*byte]);
            let mut at_once = EventGap::default();
            at_once.passes(&stream.as_bytes()[..=at]);
            assert_eq!(one_by_one.is_between_events(), at_once.is_between_events(), "{stream:?} at {at}");
            if one_by_one.is_between_events() {
                found.push(at + 1);
            }
        }
        assert_eq!(found, gaps, "{stream:?}");
    }
}
