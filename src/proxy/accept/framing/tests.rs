//! What is in order, what is wrong, and that neither depends on the pieces in which the bytes come.

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::{Index, select};

use fearless_simd::Level;

use super::head::Head;
use super::{Fault, Framing, Look};

const MOST: usize = 128 * 1024;

/// Shows the bytes in these pieces, as the gate does: how many passed in all, and what is wrong behind them.
fn read_in_pieces(bytes: &[u8], cuts: &[usize]) -> (Look, u64) {
    let mut framing = Framing::new(MOST);
    let mut passed = 0;
    let ends = cuts.iter().copied().chain([bytes.len()]);
    for end in ends {
        let look = framing.look(&bytes[passed..end.max(passed)]);
        passed += look.passed;
        if look.fault.is_some() {
            return (Look { passed, fault: look.fault }, framing.heads());
        }
    }
    (Look { passed, fault: None }, framing.heads())
}

fn read(bytes: &[u8]) -> Look {
    let whole = read_in_pieces(bytes, &[]);
    let each: Vec<usize> = (0..bytes.len()).collect();
    if bytes.len() < 4096 {
        assert_eq!(whole, read_in_pieces(bytes, &each), "byte by byte: {}", String::from_utf8_lossy(bytes));
    }
    whole.0
}

#[track_caller]
fn in_order(text: &str) {
    assert_eq!(read(text.as_bytes()), Look { passed: text.len(), fault: None }, "{text:?}");
}

#[track_caller]
fn wrong(text: impl AsRef<[u8]>, fault: Fault) {
    let bytes = text.as_ref();
    assert_eq!(read(bytes).fault, Some(fault), "{:?}", String::from_utf8_lossy(bytes));
}

/// A request with these lines behind its first.
fn with(lines: &str) -> String {
    format!("POST /r/v1/chat/completions HTTP/1.1\r\nhost: x\r\n{lines}\r\n")
}

fn to(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n")
}

fn at(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")
}

fn chunks(body: &str) -> String {
    with("transfer-encoding: chunked\r\n") + body
}

#[test]
fn what_clients_send_is_in_order() {
    in_order(&with("content-length: 2\r\nx-a:\r\nx-b:\t 1 \r\nx-c: \u{e9}\r\n"));
    in_order(&(with("Content-Length: 2\r\n") + "{}" + &with("") + "\r\n" + &with("")));
    in_order("GET / HTTP/1.0\r\n\r\n");
    in_order("\r\nOPTIONS * HTTP/1.1\r\nHost: a.example:8080\r\n\r\n");
    for target in ["/", "/a?b=c?d/e", "/%23", "/a%20b", "/v1/{id}:x", "http://x/", "HTTP://x?y", "http://X"] {
        in_order(&to(target));
    }
    for host in ["127.0.0.1:8080", "[::1]", "[::1]:80", "my_gateway", "a-b.c", "x:"] {
        in_order(&at(host));
    }
    for body in [
        "0\r\n\r\n",
        "2\r\n{}\r\n0\r\n\r\n",
        "02;a=\"b\"\r\n{}\r\n000\r\nx-sum: 1\r\nx-other:\r\n\r\n",
        "A\r\n0123456789\r\n1\r\n\r\r\n0\r\n\r\n",
    ] {
        in_order(&(chunks(body) + &with("")));
    }
}

#[test]
fn lines_end_with_crlf_and_hold_text() {
    wrong("GET / HTTP/1.1\nhost: x\n\n", Fault::LineEnd);
    wrong("GET / HTTP/1.1\r\nhost: x\n\r\n", Fault::LineEnd);
    wrong("GET / HTTP/1.1\r\nhost: x\r\n\n", Fault::LineEnd);
    wrong(with("x-a: 1\rx-b: 2\r\n"), Fault::LineEnd);
    wrong(with("x-a: 1\r\r\n"), Fault::LineEnd);
    wrong(with("x-a: 1\x002\r\n"), Fault::Control);
    wrong(with("x-a: \x7f\r\n"), Fault::Control);
    wrong(with("x-a: \x0b\r\n"), Fault::Control);
    wrong("GET /\t HTTP/1.1\r\n\r\n", Fault::Control);
    wrong("GET /\u{e9} HTTP/1.1\r\n\r\n", Fault::Control);
    wrong("\r\n\r\nGET / HTTP/1.1\r\n", Fault::EmptyLines);
    wrong("\x16\x03\x01\x02\0\x01\0", Fault::RequestLine);
}

#[test]
fn the_first_line_is_exact() {
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /",
        "GET / HTTP/1.1 x",
        "GET / http/1.1",
    ] {
        wrong(format!("{line}\r\nhost: x\r\n\r\n"), Fault::RequestLine);
    }
    for line in [
        "get / HTTP/1.1",
        "G@T / HTTP/1.1",
        "/ HTTP/1.1",
        "GET / HTTP/11",
        "GET / HTTPS/1.1",
        "GET / HTTP/1.10",
    ] {
        wrong(format!("{line}\r\nhost: x\r\n\r\n"), Fault::RequestLine);
    }
    for version in ["2.0", "1.2", "0.9", "3.0"] {
        wrong(format!("GET / HTTP/{version}\r\nhost: x\r\n\r\n"), Fault::Version);
    }
    wrong("PRI * HTTP/2.0\r\n\r\n", Fault::Version);
    for line in ["CONNECT x:443 HTTP/1.1", "TRACE / HTTP/1.1"] {
        wrong(format!("{line}\r\nhost: x\r\n\r\n"), Fault::Method);
    }
    for target in [
        "*",
        "x",
        "x:80",
        "ftp://x/",
        "http:///",
        "http://a@x/",
        "//x#",
        "/a#b",
        "/a<b",
        "/?\"",
        "http://x#a",
    ] {
        wrong(to(target), Fault::Target);
    }
    in_order(&to(&format!("/{}", "a".repeat(8191))));
    wrong(to(&format!("/{}", "a".repeat(8192))), Fault::TargetTooLong);
    wrong(to(&format!("/{}", "a".repeat(100_000))), Fault::TargetTooLong);
    wrong(format!("GET /{}", "a".repeat(9000)), Fault::TargetTooLong);
    wrong("A".repeat(40), Fault::RequestLine);
}

#[test]
fn fields_are_what_they_seem() {
    wrong(with(" x-a: 1\r\n"), Fault::Folded);
    wrong(with("x-a: 1\r\n\t2\r\n"), Fault::Folded);
    wrong(with("x-a : 1\r\n"), Fault::SpaceBeforeColon);
    wrong(with("x a: 1\r\n"), Fault::FieldName);
    wrong(with(": 1\r\n"), Fault::FieldName);
    wrong(with("x-a\r\n"), Fault::FieldName);
    wrong(with("x-\u{e9}: 1\r\n"), Fault::FieldName);
    wrong(with("x(a): 1\r\n"), Fault::FieldName);
    wrong(with("content_length: 1\r\n"), Fault::Underscore);
    in_order(&with(&"x: 1\r\n".repeat(99)));
    wrong(with(&"x: 1\r\n".repeat(100)), Fault::TooManyFields);
    wrong(with(&format!("x: {}\r\n", "1".repeat(MOST))), Fault::HeadTooLarge);
    wrong(with(&format!("x: {}", "1".repeat(MOST))), Fault::HeadTooLarge);
}

#[test]
fn there_is_one_host() {
    wrong("GET / HTTP/1.1\r\n\r\n", Fault::Host);
    wrong(with("host: x\r\n"), Fault::Host);
    wrong("GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n", Fault::Host);
    for host in [
        "", "a b", "a/b", "a@b", "a,b", "x:99999", "x:1x", "x:1:2", "[::1", "[]", "[::1]x", "[g::]", "a%20",
        "http://x",
    ] {
        if host == "a,b" {
            // A comma may stand in a name, if nowhere else.
            in_order(&at(host));
            continue;
        }
        wrong(at(host), Fault::Host);
    }
    wrong("GET http://y/ HTTP/1.1\r\nhost: x\r\n\r\n", Fault::OtherHost);
    wrong("GET http://x:81/ HTTP/1.1\r\nhost:   x:80 \r\n\r\n", Fault::OtherHost);
    in_order("GET http://X:81/ HTTP/1.1\r\nx: 1\r\nhost:   x:81 \r\n\r\n");
}

#[test]
fn a_body_has_one_framing() {
    for length in [
        "",
        "+2",
        "-2",
        "0x2",
        "2,2",
        "\t2",
        "2 2",
        "2.0",
        "02",
        "9223372036854775808",
        "99999999999999999999999",
    ] {
        wrong(with(&format!("content-length: {length}\r\n")), Fault::Length);
    }
    wrong(with("content-length: 2\r\nContent-Length: 2\r\n"), Fault::Lengths);
    wrong(with("content-length: 2\r\ntransfer-encoding: chunked\r\n"), Fault::LengthAndCoding);
    wrong(with("transfer-encoding: chunked\r\ncontent-length: 2\r\n"), Fault::LengthAndCoding);
    for coding in [
        "",
        "gzip",
        "identity",
        "chunked, gzip",
        "gzip, chunked",
        "chunked,",
        "xchunked",
        "\"chunked\"",
        "chunked;a",
    ] {
        wrong(with(&format!("transfer-encoding: {coding}\r\n")), Fault::Coding);
    }
    wrong(with("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"), Fault::Codings);
    wrong("POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", Fault::Codings);
}

#[test]
fn chunks_are_exact() {
    for size in [
        "",
        "g",
        "-1",
        "+1",
        "0x1",
        " 1",
        "1 ",
        "1\n",
        "\r\n",
        "fffffffffffffffff",
        "8000000000000000",
        "00000000000000001",
    ] {
        wrong(chunks(&format!("{size}\r\n")), Fault::ChunkSize);
    }
    wrong(chunks("1\r\n{}\r\n0\r\n\r\n"), Fault::ChunkEnd);
    wrong(chunks("2\r\n{}0\r\n\r\n"), Fault::ChunkEnd);
    wrong(chunks("2\r\n{}\n0\r\n\r\n"), Fault::ChunkEnd);
    wrong(chunks("2;\x01\r\n"), Fault::ChunkExtension);
    wrong(chunks("2;a\n{}"), Fault::ChunkExtension);
    wrong(chunks(&format!("2;{}\r\n", "a".repeat(5000))), Fault::ChunkExtension);
    wrong(chunks(&"1;a=b\r\nx\r\n".repeat(2000)), Fault::ChunkExtension);
    wrong(chunks("0\r\nx\r\n\r\n"), Fault::Trailers);
    wrong(chunks("0\r\n x: 1\r\n\r\n"), Fault::Trailers);
    wrong(chunks("0\r\nx: 1\n\r\n"), Fault::Trailers);
    wrong(chunks("0\r\n\n"), Fault::Trailers);
    wrong(chunks(&format!("0\r\n{}\r\n", "x: 1\r\n".repeat(1000))), Fault::Trailers);
}

#[test]
fn what_came_before_a_fault_passes() {
    let good = with("content-length: 2\r\n") + "{}";
    let look = read(format!("{good}{good}GET / HTTP/1.1\r\nhost : x\r\n\r\n{good}").as_bytes());
    assert_eq!(look, Look { passed: 2 * good.len(), fault: Some(Fault::SpaceBeforeColon) });
    // Of a body that goes wrong what is in order has passed: its request is known already.
    let begun = chunks("2\r\n{}\r\n");
    let look = read(format!("{begun}zz\r\n").as_bytes());
    assert_eq!(look, Look { passed: begun.len(), fault: Some(Fault::ChunkSize) });
}

/// As the OpenAI SDK for Python sends it.
const USUAL: &str = "POST /app/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\nAccept: application/json\r\nContent-Type: application/json\r\n\
    User-Agent: OpenAI/Python 1.99.1\r\nX-Stainless-Lang: python\r\nX-Stainless-Read-Timeout: 600\r\n\
    Authorization: Bearer sk-proj_a-b\r\nContent-Length: 2\r\n\r\n";

#[test]
fn what_is_usual_is_read_in_one_go() {
    let least = Level::baseline();
    for level in [Level::new(), least] {
        // Whatever comes behind it, and wherever its line ends fall in the blocks.
        for shift in 0..130 {
            let head = USUAL.replace("python\r\n", &format!("python\r\nx-a: {}\r\n", "\u{e9}".repeat(shift)));
            for body in ["", "{}", "\0\x7f\n\r", "\r\n", "\r\n\r\n"] {
                let read = Head::read_plain(level, (head.clone() + body).as_bytes(), MOST);
                assert_eq!(read.map(|(size, _)| size), Some(head.len()));
            }
            assert_eq!(Head::read_plain(level, head.as_bytes(), head.len() - 1), None);
            assert_eq!(Head::read_plain(level, &head.as_bytes()[..head.len() - 1], MOST), None);
        }
        assert_eq!(Head::read_plain(level, with(&"x: 1\r\n".repeat(100)).as_bytes(), MOST), None);
    }
}

#[test]
fn every_byte_in_every_place_is_read_alike_in_one_go_and_in_lines() {
    for at in 0..USUAL.len() {
        for byte in [0, 9, 10, 13, 31, 32, b'-', b':', b'/', b'@', b'[', b'_', b'`', b'{', 127, 128, 255] {
            let mut bytes = USUAL.as_bytes().to_vec();
            bytes[at] = byte;
            let plain = Head::read_plain(Level::new(), &bytes, MOST);
            let slow = Head::default().read(&bytes, MOST);
            assert!(plain.is_none() || slow == Ok(plain), "{byte} at {at}: {plain:?} {slow:?}");
            assert_eq!(plain, Head::read_plain(Level::baseline(), &bytes, MOST));
        }
    }
}

/// Pieces of requests, right and wrong, so that what is generated is deep enough to be odd.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 40] = [
        "GET ",
        "POST ",
        "HEAD ",
        "/",
        "/a?b",
        "*",
        "http://x/",
        " ",
        "HTTP/1.1",
        "HTTP/1.0",
        "\r\n",
        "\r\n\r\n",
        "\r",
        "\n",
        "host: x\r\n",
        "Host: x:1\r\n",
        "content-length: 3\r\n",
        "content-length: 0\r\n",
        "transfer-encoding: chunked\r\n",
        "x-a: b\r\n",
        "x_a: b\r\n",
        ": ",
        ":",
        "\t",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nx: y\r\n\r\n",
        "3;x\r\nabc\r\n",
        "abc",
        "GET / HTTP/1.1\r\nhost: x\r\n",
        "POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "#",
        "\0",
        "é",
        "ffffffffffffffffff",
        "1",
        "expect: 100-continue\r\n",
        "connection: close\r\n",
    ];
    prop_oneof![
        12 => select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..14).prop_map(|pieces| pieces.concat())
}

/// A request that is in order, and where its body begins.
fn request() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let method = select(&["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"][..]);
    let target = "/[!$-;=@-_a-z{|}~\"]{0,20}(\\?[!$-;=?-~]{0,20})?";
    let name = "[a-zA-Z0-9!#$%&'*+.^`|~-]{1,20}".prop_filter("is told by itself", |name| {
        !["host", "content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str())
    });
    let field = (name, "[ \t]{0,2}[ -~é]{0,30}").prop_map(|(name, value)| format!("{name}:{value}\r\n"));
    let body = prop_oneof![
        Just((String::new(), Vec::new())),
        vec(any::<u8>(), 0..40).prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body)),
        vec(vec(any::<u8>(), 1..20), 0..4).prop_map(|chunks| {
            let mut body = Vec::new();
            for chunk in chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(&chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            ("Transfer-Encoding: chunked\r\n".to_owned(), body)
        }),
    ];
    (method, target, vec(field, 0..6), body).prop_map(|(method, target, fields, (framing, body))| {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{}{framing}\r\n", fields.concat());
        ([head.as_bytes(), &body].concat(), head.len())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pieces_do_not_matter(bytes in bytes(), cuts in vec(any::<Index>(), 0..6)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = read_in_pieces(&bytes, &[]);
        assert_eq!(whole, read_in_pieces(&bytes, &cuts));
        assert_eq!(whole, read_in_pieces(&bytes, &(0..bytes.len()).collect::<Vec<_>>()));
        assert!(whole.0.passed <= bytes.len());
    }

    #[test]
    fn anything_at_all_is_read(bytes in vec(any::<u8>(), 0..300)) {
        assert!(read_in_pieces(&bytes, &[]).0.passed <= bytes.len());
    }

    #[test]
    fn what_is_right_passes_whole(requests in vec(request(), 1..4)) {
        let all: Vec<u8> = requests.iter().flat_map(|(request, _)| request.clone()).collect();
        let (look, heads) = read_in_pieces(&all, &[]);
        assert_eq!((look.passed, look.fault, heads), (all.len(), None, requests.len() as u64));
        // What passes is what the HTTP library reads as well, to the same end.
        for (request, body) in &requests {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let mut parsed = httparse::Request::new(&mut fields);
            assert_eq!(parsed.parse(request), Ok(httparse::Status::Complete(*body)));
            let target = parsed.path.unwrap();
            assert!(target.parse::<http::Uri>().is_ok_and(|uri| uri.path_and_query().unwrap() == target), "{target}");
        }
    }

    /// Of anything that passes, the library must find the same ends of heads.
    #[test]
    fn what_passes_is_read_alike(bytes in bytes()) {
        let (look, heads) = read_in_pieces(&bytes, &[]);
        if heads > 0 {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let mut parsed = httparse::Request::new(&mut fields);
            let status = parsed.parse(&bytes[..look.passed]);
            assert!(matches!(status, Ok(httparse::Status::Complete(_))), "{status:?} {}", String::from_utf8_lossy(&bytes));
        }
    }
}
