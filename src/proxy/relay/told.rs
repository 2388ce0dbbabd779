//! What the head of an answer says of its body.

use http::{HeaderMap, HeaderValue, header};

/// What the head of an answer says of its body, of each field the first. One walk is cheaper than a look for each.
#[derive(Default)]
pub(super) struct Told {
    /// It is an event stream.
    pub(super) events: bool,
    pub(super) encoding: Option<String>,
    /// It has a length, or comes in chunks.
    pub(super) framed: bool,
}

impl Told {
    /// Reads it.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let (mut kind, mut encoding, mut framed) = (None, None, false);
        for (name, value) in headers {
            if *name == header::CONTENT_TYPE {
                kind.get_or_insert(value);
            } else if *name == header::CONTENT_ENCODING {
                encoding.get_or_insert(value);
            } else {
                framed |= *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING;
            }
        }
        Self {
            events: kind.is_some_and(is_event_stream),
            encoding: encoding.and_then(|value| value.to_str().ok()).map(str::to_owned),
            framed,
        }
    }
}

fn is_event_stream(kind: &HeaderValue) -> bool {
    let begins = |kind: &str| {
        kind.get(..EVENT_STREAM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM))
    };
    kind.to_str().is_ok_and(begins)
}

const EVENT_STREAM: &str = "text/event-stream";

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fields: &[(&'static str, &'static str)]) -> (bool, Option<String>, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let Told { events, encoding, framed } = Told::of(&headers);
        (events, encoding, framed)
    }

    #[test]
    fn a_head_tells_what_the_body_is() {
        assert_eq!(told(&[]), (false, None, false));
        assert_eq!(told(&[("content-type", "Text/Event-Stream; charset=utf-8")]), (true, None, false));
        assert_eq!(told(&[("content-type", "text/event-strea")]), (false, None, false));
        assert_eq!(told(&[("content-length", "3")]), (false, None, true));
        assert_eq!(told(&[("transfer-encoding", "chunked")]), (false, None, true));
        let twice = [
            ("content-encoding", "gzip"),
            ("content-type", "application/json"),
            ("content-encoding", "br"),
            ("content-type", "text/event-stream"),
        ];
        assert_eq!(told(&twice), (false, Some("gzip".to_owned()), false), "the first of each counts");
    }
}
