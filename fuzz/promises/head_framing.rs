//! Any bytes of a connection, cut anywhere: the same of them passes and the same is found wrong, and what passes is read by the HTTP
//! library as the same requests, line by line.
//!
//! The first byte says how the rest is cut.

use dimmer::proxy::{Framing, Look};
use httparse::{EMPTY_HEADER, Request, Status, parse_chunk_size};

/// Small, so that heads which are too large are found.
const MOST: usize = 16 * 1024;

pub(crate) fn hold(data: &[u8]) {
    let [seed, bytes @ ..] = data else { return };
    let (look, heads) = read(bytes, &[bytes.len()]);
    assert_eq!((look, heads), read(bytes, &ends(bytes.len(), usize::from(*seed))), "in pieces");
    if bytes.len() < 1024 {
        let each: Vec<usize> = (1..=bytes.len()).collect();
        assert_eq!((look, heads), read(bytes, &each), "byte by byte");
    }
    let passed = bytes.get(..look.passed).expect("no more passes than came");
    assert_eq!(heads, requests(passed), "as many requests for the library");
}

/// Where pieces end, by a small generator whose seed is the input's.
fn ends(length: usize, seed: usize) -> Vec<usize> {
    let (mut ends, mut end, mut state) = (Vec::new(), 0, seed.wrapping_add(1));
    while end < length {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        end = (end + 1 + (state >> 16) % (1 + seed % 64)).min(length);
        ends.push(end);
    }
    ends
}

/// Shows the bytes as a connection does: what has not passed is shown again.
fn read(bytes: &[u8], ends: &[usize]) -> (Look, u64) {
    let mut framing = Framing::new(MOST);
    let mut passed = 0;
    for end in ends {
        let look = framing.look(&bytes[passed..*end]);
        passed += look.passed;
        assert!(passed <= *end, "what has not come cannot pass");
        if look.fault.is_some() {
            let more = framing.look(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
            assert_eq!(more, Look { passed: 0, fault: look.fault }, "nothing passes behind a fault");
            return (Look { passed, fault: look.fault }, framing.heads());
        }
    }
    (Look { passed, fault: None }, framing.heads())
}

/// How many requests the library finds, each the same as its lines say. The last one's body may have an end that never came.
fn requests(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while !bytes.is_empty() {
        let mut fields = [EMPTY_HEADER; 100];
        let mut request = Request::new(&mut fields);
        let Ok(Status::Complete(size)) = request.parse(bytes) else {
            panic!("the library takes it for no head: {:?}", String::from_utf8_lossy(bytes));
        };
        count += 1;
        let (head, behind) = bytes.split_at(size);
        bytes = &behind[body(&request, behind).min(behind.len())..];
        assert_eq!(lines(&request), split(head), "the same lines");
    }
    count
}

/// A request as its lines, put together from what the library says.
fn lines(request: &Request<'_, '_>) -> Vec<Vec<u8>> {
    let (method, path, version) = (request.method.unwrap(), request.path.unwrap(), request.version.unwrap());
    let first = format!("{method} {path} HTTP/1.{version}").into_bytes();
    let fields = request.headers.iter().map(|field| [field.name.as_bytes(), b":", field.value].concat());
    std::iter::once(first).chain(fields).collect()
}

/// The same by cutting where CRLF stands, and nowhere else.
fn split(head: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut rest = head.strip_prefix(b"\r\n").unwrap_or(head);
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n").filter(|end| *end > 0) {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        let colon = line.iter().position(|byte| *byte == b':').filter(|_| !lines.is_empty());
        lines.push(match colon {
            Some(colon) => [&line[..=colon], line[colon + 1..].trim_ascii()].concat(),
            None => line.to_vec(),
        });
    }
    assert_eq!(rest, b"\r\n", "an empty line ends it");
    lines
}

/// How long the body is, by its one framing.
fn body(request: &Request<'_, '_>, bytes: &[u8]) -> usize {
    let values = |name: &str| -> Vec<&[u8]> {
        let named = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value).collect()
    };
    let (lengths, codings, hosts) = (values("content-length"), values("transfer-encoding"), values("host"));
    assert!(hosts.len() == 1 || (hosts.is_empty() && request.version == Some(0)), "one host");
    assert!(lengths.len() + codings.len() <= 1, "one framing at most");
    if let Some(length) = lengths.first() {
        let length = std::str::from_utf8(length).unwrap().parse::<u64>().expect("a number");
        return usize::try_from(length).unwrap_or(usize::MAX);
    }
    let Some(coding) = codings.first() else { return 0 };
    assert!(coding.eq_ignore_ascii_case(b"chunked"), "no other coding");
    chunks(bytes)
}

/// The end of a body in chunks with its trailers; all there is, where that is not whole.
fn chunks(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match parse_chunk_size(&bytes[at..]) {
            Ok(Status::Complete((size, 0))) => {
                at += size;
                break;
            }
            Ok(Status::Complete((size, length))) => {
                let end = usize::try_from(length).ok().and_then(|length| (at + size).checked_add(length));
                let Some(end) = end.filter(|end| end + 2 <= bytes.len()) else { return bytes.len() };
                assert_eq!(&bytes[end..end + 2], b"\r\n", "a chunk's end");
                at = end + 2;
            }
            Ok(Status::Partial) => return bytes.len(),
            Err(error) => panic!("the library takes it for no chunk: {error}"),
        }
    }
    loop {
        let Some(end) = bytes[at..].windows(2).position(|window| window == b"\r\n") else {
            return bytes.len();
        };
        at += end + 2;
        if end == 0 {
            return at;
        }
    }
}
