//! The filter: what is left is what the provider would have sent without `include_usage`.

use proptest::prelude::*;

use super::*;
use crate::wire::sse::tests::stream_bytes;

/// What goes on when the stream comes in these pieces.
fn filtered<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut filter = UsageFilter::new();
    let mut left = Vec::new();
    for piece in pieces {
        filter.feed(Bytes::copy_from_slice(piece), &mut |bytes| left.extend_from_slice(&bytes));
    }
    filter.finish(&mut |bytes| left.extend_from_slice(&bytes));
    left
}

/// The stream whole, byte by byte, and cut in two at every place leaves this.
fn check(stream: &str, expected: &str) {
    let show = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8 comes out as it went in");
    let bytes = stream.as_bytes();
    assert_eq!(show(filtered([bytes])), expected, "whole");
    assert_eq!(show(filtered(bytes.chunks(1))), expected, "byte by byte");
    for cut in 0..=bytes.len() {
        let (left, right) = bytes.split_at(cut);
        assert_eq!(show(filtered([left, right])), expected, "cut at {cut}");
    }
}

#[test]
fn the_null_member_goes_with_one_comma() {
    let cases = [
        (r#"{"id":"1","usage":null}"#, r#"{"id":"1"}"#),
        (r#"{"id":"1","usage":null,"obfuscation":"x"}"#, r#"{"id":"1","obfuscation":"x"}"#),
        (r#"{"usage":null,"id":"1"}"#, r#"{"id":"1"}"#),
        (r#"{"id": "1", "usage": null, "model": "m"}"#, r#"{"id": "1", "model": "m"}"#),
        (r#"{"id": "1", "usage": null}"#, r#"{"id": "1"}"#),
        (r#"{"usage": null, "id": "1"}"#, r#"{"id": "1"}"#),
        (r#"{ "usage" : null , "id": "1"}"#, r#"{ "id": "1"}"#),
        (r#"{"usage":null}"#, r#"{}"#),
        (
            r#"{"choices":[],"prompt_filter_results":[],"usage":null}"#,
            r#"{"choices":[],"prompt_filter_results":[]}"#,
        ),
    ];
    for (with, without) in cases {
        for end in ["\n\n", "\r\n\r\n", "\r\r"] {
            check(
                &format!("data: {with}{end}data: [DONE]{end}"),
                &format!("data: {without}{end}data: [DONE]{end}"),
            );
        }
    }
}

#[test]
fn a_byte_order_mark_hides_nothing() {
    let usage = "data: {\"choices\":[],\"usage\":{}}\n\n";
    check("\u{FEFF}data: {\"id\":1,\"usage\":null}\n\n", "\u{FEFF}data: {\"id\":1}\n\n");
    check(&format!("\u{FEFF}{usage}data: [DONE]\n\n"), "data: [DONE]\n\n");
    // Further on it is a part of a field's name, which nobody knows.
    check(&format!("\n\u{FEFF}{usage}"), &format!("\n\u{FEFF}{usage}"));
}

#[test]
fn the_extra_chunk_goes_whole() {
    let usage = r#"{"id":"1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    for end in ["\n\n", "\r\n\r\n", "\r\r"] {
        let stream = format!("data: {{\"id\":\"1\"}}{end}data: {usage}{end}data: [DONE]{end}");
        check(&stream, &format!("data: {{\"id\":\"1\"}}{end}data: [DONE]{end}"));
        check(&format!("data: {usage}{end}"), "");
    }
    check(&format!("data: {usage}\n"), "");
}

#[test]
fn everything_else_stays() {
    for stay in [
        "",
        "\n\n\r\n",
        ": usage\n\n",
        "data: [DONE]\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}\n\n",
        "data: {\"choices\":[{\"usage\":null}]}\n\n",
        "data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"choices\":null,\"usage\":{\"prompt_tokens\":1}}\n\n",
        "data: {\"choices\":[],\"usage\":[1]}\n\n",
        "data: {\"choices\":[],\"Usage\":null}\n\n",
        "data: {\"broken\":,\"usage\":null\n\n",
        "data: {\"error\":{\"usage\":null}}\n\n",
        "event: x\nid: 1\ndata: {\"a\":1.0e5}\n\n",
        "data: {\"id\":\"1\",\"usa",
    ] {
        check(stay, stay);
    }
}

#[test]
fn other_lines_of_an_event_stay() {
    check(
        ": note\nid: 5\ndata: {\"a\":1,\"usage\":null}\nretry: 1\n\n",
        ": note\nid: 5\ndata: {\"a\":1}\nretry: 1\n\n",
    );
    check(
        "data: {\"a\":1,\ndata: \"usage\":null,\r\ndata:\"b\":2}\n\n",
        "data: {\"a\":1,\r\ndata:\"b\":2}\n\n",
    );
    check("data: {\"choices\":[],\ndata: \"usage\":{}}\n\ndata: x\n\n", "data: x\n\n");
    check("\u{feff}data: {\"a\":1}\n\n", "\u{feff}data: {\"a\":1}\n\n");
}

#[test]
fn complete_events_are_not_held_back() {
    let mut filter = UsageFilter::new();
    let steps = [
        ("data: {\"a\":1}\n\ndata: {\"b\"", "data: {\"a\":1}\n\n"),
        (":2,\"usage\":null}\n", ""),
        ("\ndata: x", "data: {\"b\":2}\n\n"),
        ("\n\n", "data: x\n\n"),
    ];
    for (piece, expected) in steps {
        let mut left = Vec::new();
        filter.feed(Bytes::from_static(piece.as_bytes()), &mut |bytes| left.extend_from_slice(&bytes));
        assert_eq!(String::from_utf8_lossy(&left), expected);
    }
}

#[test]
fn an_unchanged_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: {\"a\":1}\n\ndata: {\"b\":\"usage\"}\n\n");
    let mut calls = 0;
    UsageFilter::new().feed(chunk.clone(), &mut |bytes| {
        calls += 1;
        assert_eq!(bytes.as_ptr(), chunk.as_ptr());
        assert_eq!(bytes.len(), chunk.len());
    });
    assert_eq!(calls, 1);
}

#[test]
fn an_event_over_the_cap_goes_on_unfiltered_and_is_not_held() {
    let huge = format!("data: {{\"a\":\"{}\",\"usage\":null}}\n\n", "x".repeat(INSPECT_MAX));
    let stream = format!("{huge}data: {{\"b\":1,\"usage\":null}}\n\n");
    let expected = format!("{huge}data: {{\"b\":1}}\n\n");
    for size in [1 << 30, 70_000, 65_536, 4096, 11] {
        let left = filtered(stream.as_bytes().chunks(size));
        assert!(left == expected.as_bytes(), "pieces of {size}");
    }
    let mut filter = UsageFilter::new();
    let mut passed = 0;
    for _ in 0..100 {
        filter.feed(vec![b'x'; 10_000].into(), &mut |bytes| passed += bytes.len());
        assert!(filter.held.len() <= INSPECT_MAX);
    }
    assert_eq!(passed, 1_000_000);
}

/// How a provider writes its stream.
#[derive(Clone, Debug)]
struct Provider {
    comma: &'static str,
    colon: &'static str,
    end: &'static str,
    /// Where `usage` stands among a chunk's members.
    place: usize,
    done: bool,
    heartbeats: bool,
}

impl Provider {
    fn stream(&self, texts: &[String], include_usage: bool) -> String {
        let mut stream = String::new();
        for (at, text) in texts.iter().enumerate() {
            if self.heartbeats && at % 2 == 1 {
                stream += &format!(": \"usage\"{}", self.end);
            }
            let content = serde_json::to_string(text).expect("a string");
            let choices = format!("[{{\"delta\"{}{{\"content\"{}{content}}}}}]", self.colon, self.colon);
            stream += &self.event(&choices, include_usage.then_some("null"));
        }
        if include_usage {
            stream += &self.event("[]", Some("{\"prompt_tokens\":1,\"completion_tokens\":{\"a\":[]}}"));
        }
        if self.done {
            stream += &format!("data: [DONE]{}", self.end);
        }
        stream
    }

    fn event(&self, choices: &str, usage: Option<&str>) -> String {
        let mut members = vec![("id", "\"chatcmpl-1\""), ("choices", choices), ("created", "1.50E2")];
        if let Some(usage) = usage {
            members.insert(self.place, ("usage", usage));
        }
        let written: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\"{}{value}", self.colon)).collect();
        format!("data: {{{}}}{}", written.join(self.comma), self.end)
    }
}

fn provider() -> impl Strategy<Value = Provider> {
    let spaces = prop_oneof![Just((",", ":")), Just((", ", ": ")), Just((" ,", " : "))];
    let ends = prop_oneof![Just("\n\n"), Just("\r\n\r\n"), Just("\r\r")];
    (spaces, ends, 1usize..=3, any::<bool>(), any::<bool>()).prop_map(
        |((comma, colon), end, place, done, heartbeats)| Provider {
            comma,
            colon,
            end,
            place,
            done,
            heartbeats,
        },
    )
}

proptest! {
    #[test]
    fn the_result_is_what_would_have_been_sent(
        provider in provider(),
        texts in proptest::collection::vec("[a\"\\\\{},:\u{2028}é😀]{0,6}|\"usage\":null", 0..6),
        cuts in proptest::collection::vec(1usize..50, 1..20),
    ) {
        let stream = provider.stream(&texts, true);
        let mut rest = stream.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let left = filtered(pieces);
        prop_assert_eq!(String::from_utf8(left).expect("UTF-8"), provider.stream(&texts, false));
    }

    #[test]
    fn a_stream_without_usage_passes_byte_for_byte(
        bytes in prop_oneof![stream_bytes(), proptest::collection::vec(any::<u8>(), 0..300)],
        size in 1usize..30,
    ) {
        prop_assert_eq!(filtered(bytes.chunks(size)), bytes);
    }
}
