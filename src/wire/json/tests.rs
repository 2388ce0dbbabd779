//! Which texts pass, which are refused and with which words; the rest is held against `serde_json`.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use serde::de::IgnoredAny;

use super::generate::{escaped, space, text, value};
use super::scan::{BLOCK_LEN, special_bits};
use super::{DEPTH_MAX, JsonError, JsonFault, Kind, Span, elements, find, members, same_text, unescape};
use crate::wire::{Endpoint, MEMBERS_MAX, RequestView};

fn read(body: &[u8]) -> Result<(), JsonError> {
    RequestView::read(Endpoint::Other(crate::wire::Dialect::OpenAi), body, &[]).map(|_| ())
}

/// Reads `body` and compares what the caller would be told; "" means that it passes.
#[track_caller]
fn check(body: impl AsRef<[u8]>, expected: &str) {
    let told = read(body.as_ref()).map_or_else(|error| error.to_string(), |()| String::new());
    assert_eq!(told, expected, "of {}", String::from_utf8_lossy(body.as_ref()));
}

#[test]
fn texts_that_pass() {
    check("{}", "");
    check(" \t\r\n{ \t\r\n} \t\r\n", "");
    check(r#"{"a":[],"b":{},"c":[[],[{}]],"":""}"#, "");
    check(r#"{"a":[0,-0,10,1.50,1e+05,1E-5,-0.0e0,123456789012345678901234567890,1e999]}"#, "");
    check(r#"{"a":[true,false,null]}"#, "");
    check(r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\uD834\uDD1E"}"#, "");
    check("{\"a\":\"é漢𝄞\u{7f}\u{85}\u{2028}\"}", "");
    check(r#"{"a":"\ud834","b":"\udd1e","c":"\udd1e\ud834"}"#, "");
    check(r#"{"unknown":1,"unknown":2,"a":{"model":1,"model":2}}"#, "");
}

#[test]
fn texts_that_are_refused() {
    let expected = "the body is not JSON: expected";
    check("", "the body ends inside a JSON value, at byte 0 (line 1, column 1)");
    check(" \n ", "the body ends inside a JSON value, at byte 3 (line 2, column 2)");
    check("[]", "the body is not a JSON object, at byte 0 (line 1, column 1)");
    check("\u{feff}{}", "the body is not a JSON object, at byte 0 (line 1, column 1)");
    check("{", "the body ends inside a JSON value, at byte 1 (line 1, column 2)");
    check("{\"a", "the body ends inside a JSON value, at byte 3 (line 1, column 4)");
    check("{\"a\\", "the body ends inside a JSON value, at byte 4 (line 1, column 5)");
    check("{\"a\":-", "the body ends inside a JSON value, at byte 6 (line 1, column 7)");
    check("{\"a\":tru", "the body ends inside a JSON value, at byte 8 (line 1, column 9)");
    check("{\"a\":1", "the body ends inside a JSON value, at byte 6 (line 1, column 7)");
    check("{a:1}", &format!("{expected} a field name in quotes, at byte 1 (line 1, column 2)"));
    check("{\"é\":1,}", &format!("{expected} a field name in quotes, at byte 8 (line 1, column 8)"));
    check("{\"a\" 1}", &format!("{expected} ':', at byte 5 (line 1, column 6)"));
    check("{\"a\":1 2}", &format!("{expected} ',' or '}}', at byte 7 (line 1, column 8)"));
    check("{\"a\":[1 2]}", &format!("{expected} ',' or ']', at byte 8 (line 1, column 9)"));
    check("{\"a\":[1}}", &format!("{expected} ',' or ']', at byte 7 (line 1, column 8)"));
    check("{\"a\":[1,]}", &format!("{expected} a value, at byte 8 (line 1, column 9)"));
    check("{\"a\":NaN}", &format!("{expected} a value, at byte 5 (line 1, column 6)"));
    check("{\"a\":/**/1}", &format!("{expected} a value, at byte 5 (line 1, column 6)"));
    check("{\"a\":nul}", &format!("{expected} true, false or null, at byte 8 (line 1, column 9)"));
    for number in ["01", "-", "1.", ".5", "1e", "1e+", "-a", "+1", "--1"] {
        assert!(read(format!("{{\"a\":{number}}}").as_bytes()).is_err(), "{number}");
    }
    check("{\"a\":01}", "the body is not JSON: malformed number, at byte 6 (line 1, column 7)");
    for escape in ["\\x", "\\u12", "\\u12g4", "\\U0041", "\\'"] {
        let told =
            format!("{} escape in a string, at byte 6 (line 1, column 7)", "the body is not JSON: malformed");
        check(format!("{{\"a\":\"{escape}\"}}"), &told);
    }
    for control in ["\0", "\n", "\t", "\u{1f}"] {
        let told = "the body is not JSON: control character in a string, at byte 14 (line 1, column 15)";
        check(format!("{{\"a\":\"12345678{control}\"}}"), told);
    }
    check("{} {}", "something follows the JSON object, at byte 3 (line 1, column 4)");
    check("{}\0", "something follows the JSON object, at byte 2 (line 1, column 3)");
    check(b"{\"a\":\n\"\xff\"}", "the body is not UTF-8, at byte 7 (line 2, column 2)");
    check(b"{\"a\":\"\xed\xa0\x80\"}", "the body is not UTF-8, at byte 6 (line 1, column 7)");
    check(b"{\"a\":\"\xc0\x80\"}", "the body is not UTF-8, at byte 6 (line 1, column 7)");
}

#[test]
fn depth_has_an_edge() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("{{\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels))
    };
    let below_top = DEPTH_MAX as usize - 1;
    for (open, close) in [("[", "]"), ("{\"x\":", "}"), ("{\"model\":1,\"x\":[", "]}")] {
        let levels = below_top / open.matches(['[', '{']).count();
        check(nested(open, close, levels), "");
        let error = read(nested(open, close, levels + 1).as_bytes()).unwrap_err();
        assert_eq!(error.what, JsonFault::TooDeep);
    }
    let error = read("{\"a\":".repeat(1_000_000).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "the body nests deeper than 128 levels, at byte 640 (line 1, column 641)");
    // Levels that were closed do not count.
    check(format!("{{\"a\":[{}1]}}", "[[]],{\"x\":[]},".repeat(1000)), "");
}

#[test]
fn members_have_a_bound() {
    let body = |count: usize| {
        let members: Vec<String> = (0..count).map(|index| format!("\"m{index}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    check(body(MEMBERS_MAX), "");
    assert_eq!(read(body(MEMBERS_MAX + 1).as_bytes()).unwrap_err().what, JsonFault::TooManyMembers);
}

#[test]
fn errors_never_show_the_body() {
    for body in
        ["{\"sk-secret\" \"sk-secret\"}", "{\"a\":sk-secret}", "{} sk-secret", "{\"a\":\"\\sk-secret\"}"]
    {
        let error = read(body.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains("sk-"), "{error}");
        assert!(!format!("{error:?}").contains("sk-"), "{error:?}");
    }
}

#[test]
fn strings_end_wherever_they_end() {
    // Every alignment to the blocks that are looked at together.
    for len in 0..140 {
        let plain = "x".repeat(len);
        check(format!("{{\"{plain}\":\"{plain}\"}}"), "");
        check(format!("{{\"a\":\"{plain}\\\"{plain}\\\\\"}}"), "");
        check(format!("{{\"a\":\"{plain}é{plain}\"}}"), "");
        let error = read(format!("{{\"a\":\"{plain}\u{1}{plain}\"}}").as_bytes()).unwrap_err();
        assert_eq!((error.what, error.at), (JsonFault::ControlCharacter, 6 + len));
    }
}

#[test]
fn every_byte_is_judged_at_every_place_of_a_block() {
    for byte in 0..=u8::MAX {
        for at in 0..BLOCK_LEN {
            let mut block = [b'x'; BLOCK_LEN];
            block[at] = byte;
            block[BLOCK_LEN - 1 - at] = byte;
            let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
            let expected = if is_special { 1 << at | 1 << (BLOCK_LEN - 1 - at) } else { 0 };
            assert_eq!(special_bits(&block), expected, "byte {byte} at {at}");
        }
    }
}

#[test]
fn text_is_taken_out_of_its_escapes() {
    let cases = [
        ("", ""),
        ("plain é", "plain é"),
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"mod\u0065l", "model"),
        (r"\u00e9\uD834\udd1e.", "é𝄞."),
        (r"\ud834", "\u{fffd}"),
        (r"\ud834x\udd1e", "\u{fffd}x\u{fffd}"),
        (r"\ud834\u0041", "\u{fffd}A"),
        (r"\ud834\ud834\udd1e", "\u{fffd}𝄞"),
        (r"\ud834\n", "\u{fffd}\n"),
    ];
    for (raw, expected) in cases {
        assert_eq!(unescape(raw.as_bytes()), expected, "{raw}");
        assert!(same_text(raw.as_bytes(), expected), "{raw}");
    }
    assert!(!same_text(br"mod\u0065l", "mode"));
    assert!(!same_text(b"model", "models"));
    assert!(!same_text(br"\\u006dodel", "model"));
}

#[test]
fn values_are_found_where_they_are() {
    let body = br#" { "a" : [ 1 , "x" ] , "\u0062" : {"c":null} } "#;
    let whole = Span { start: 1, end: body.len() - 1 };
    let shown = |span: Span| String::from_utf8_lossy(span.of(body)).into_owned();
    let pairs: Vec<_> = members(body, whole).map(|member| (shown(member.key), shown(member.value))).collect();
    assert_eq!(
        pairs,
        [("\"a\"".into(), "[ 1 , \"x\" ]".into()), ("\"\\u0062\"".into(), "{\"c\":null}".to_owned())]
    );
    let inner = find(body, whole, "b").and_then(|b| find(body, b, "c")).unwrap();
    assert_eq!(Kind::of(inner.of(body)), Kind::Null);
    let array: Vec<_> = elements(body, find(body, whole, "a").unwrap()).map(|element| element.end).collect();
    assert_eq!(array.iter().map(|end| char::from(body[*end])).collect::<String>(), ",]");
    assert_eq!(members(body, Span { start: 40, end: 900 }).count(), 0);
    assert_eq!(elements(body, whole).count(), 0);
}

/// Whether the reference reads the text, apart from the top level, which it does not fix.
fn reference(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok() && text.trim_start().starts_with('{')
}

/// The differences that are meant: what we refuse although it is JSON.
fn refused_on_purpose(error: &JsonError) -> bool {
    matches!(error.what, JsonFault::TooDeep | JsonFault::TooManyMembers | JsonFault::Duplicate)
}

proptest! {
    #[test]
    fn generated_texts_pass(before in space(), value in value(), after in space()) {
        let body = format!("{before}{{\"a\":{value}}}{after}");
        prop_assert!(reference(&body));
        prop_assert_eq!(read(body.as_bytes()), Ok(()));
    }

    #[test]
    fn mutated_texts_are_judged_as_by_the_reference(
        value in value(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u8..4, any::<u8>()), 1..4),
    ) {
        let mut body = format!("{{\"a\":{value},\"b\":[1,{{}}]}}").into_bytes();
        for (index, kind, byte) in changes {
            if body.is_empty() { break }
            let at = index.index(body.len());
            let structural = b"{}[]\",:\\ue+-.0 1tn\n"[usize::from(byte) % 19];
            match kind {
                0 => body[at] = byte,
                1 => body[at] = structural,
                2 => body.insert(at, structural),
                _ if byte < 40 => body.truncate(at),
                _ => { body.remove(at); }
            }
        }
        let ours = read(&body);
        let theirs = std::str::from_utf8(&body).is_ok_and(reference);
        match ours {
            Err(error) if refused_on_purpose(&error) => {}
            ours => prop_assert_eq!(ours.is_ok(), theirs, "{:?}: {}", ours, String::from_utf8_lossy(&body)),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200), lead in "[{]{0,3}") {
        let _ = read(&body);
        let _ = read(&[lead.as_bytes(), &body].concat());
        let _ = unescape(&body);
        let whole = Span { start: 0, end: body.len() };
        let _ = members(&body, whole).count() + elements(&body, whole).count();
    }

    #[test]
    fn unescaping_agrees_with_the_reference(text in text()) {
        let expected: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        prop_assert_eq!(unescape(text.as_bytes()), expected);
    }

    #[test]
    fn any_character_survives_its_escape(letter in any::<char>()) {
        let raw = escaped(letter);
        prop_assert_eq!(unescape(raw.as_bytes()), letter.to_string());
        prop_assert!(same_text(raw.as_bytes(), &letter.to_string()));
    }
}
