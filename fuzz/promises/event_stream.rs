//! Any stream, cut anywhere: the same is learned and the same goes out as from the stream in one piece, and nothing is lost
//! that the caller's own request would have brought. Where an event of our own may be put, every reader finds it.
//!
//! The first byte says which API and coding, the second how the rest is cut. From 128 on the first byte makes the first NUL longer
//! than what is held of one event.

use bytes::Bytes;
use dimmer::wire::{
    Endpoint, ErrorCode, ErrorParts, EventGap, Facts, INSPECT_MAX, SseScanner, Tap, UsageFilter, error_event,
};
use serde_json::Value;

const ENDPOINTS: [Endpoint; 4] =
    [Endpoint::Chat, Endpoint::Messages, Endpoint::Responses, Endpoint::Completions];
const CODINGS: [&str; 4] = ["identity", "gzip", "deflate, gzip", "br"];

/// A name and its data.
type Event = (Option<Vec<u8>>, Vec<u8>);

pub(crate) fn hold(data: &[u8]) {
    let [which, cut, stream @ ..] = data else { return };
    let endpoint = ENDPOINTS[usize::from(*which) % ENDPOINTS.len()];
    let coding = CODINGS[usize::from(which >> 2) % CODINGS.len()];
    let stream = &*if *which >= 128 { grown(stream) } else { stream.to_vec() };
    let pieces = pieces(stream, usize::from(*cut));
    let whole = [Bytes::copy_from_slice(stream)];

    assert_eq!(events(&whole), events(&pieces), "events");
    let tap = || Tap::stream(endpoint).decoding(coding);
    assert_eq!(facts(tap(), &whole), facts(tap(), &pieces), "facts of a stream");
    let tap = || Tap::whole(endpoint).decoding(coding);
    assert_eq!(facts(tap(), &whole), facts(tap(), &pieces), "facts of an answer");
    let (one, other) = (filtered(&whole), filtered(&pieces));
    assert_eq!(one, other, "what the filter lets through");
    if memory_of(stream, b"\"usage\"").is_none() {
        assert_eq!(one, stream, "a stream without usage passes as it is");
    }
    filters(&whole, &[Bytes::from(one)]);
    gaps(endpoint, &whole, &pieces);
    ends_in_an_error(endpoint, &pieces);
}

/// Longer than what is held of one event.
fn grown(stream: &[u8]) -> Vec<u8> {
    let Some((before, after)) = memory_of(stream, b"\0").and_then(|at| stream.split_at_checked(at)) else {
        return stream.to_vec();
    };
    [before, &[b'a'; INSPECT_MAX + 1], &after[1..]].concat()
}

/// Between one byte and all of them at a time, by a small generator whose seed is the input's.
fn pieces(stream: &[u8], seed: usize) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = stream;
    let mut state = seed.wrapping_add(1);
    while !rest.is_empty() {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let size = (1 + (state >> 16) % (1 + seed % 64)).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        pieces.push(Bytes::copy_from_slice(piece));
        rest = behind;
    }
    pieces
}

fn events(pieces: &[Bytes]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut scanner = SseScanner::new();
    for piece in pieces {
        scanner.feed(piece, &mut |event| events.push((event.name.map(<[u8]>::to_vec), event.data.to_vec())));
    }
    scanner.finish(&mut |event| events.push((event.name.map(<[u8]>::to_vec), event.data.to_vec())));
    events
}

fn facts(mut tap: Tap, pieces: &[Bytes]) -> Facts {
    for piece in pieces {
        tap.feed(piece);
    }
    tap.finish();
    // How much was decoded before a broken coding was noticed depends on the cuts; that it was noticed does not.
    let facts = tap.facts().clone();
    if facts.blind { Facts { blind: true, ..Facts::default() } } else { facts }
}

fn filtered(pieces: &[Bytes]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut filter = UsageFilter::new();
    for piece in pieces {
        filter.feed(piece.clone(), &mut |bytes| out.extend_from_slice(&bytes));
    }
    filter.finish(&mut |bytes| out.extend_from_slice(&bytes));
    out
}

/// Of the events that are left each says what it said, without a usage that is `null`; those that go are usage and no more.
fn filters(before: &[Bytes], after: &[Bytes]) {
    let mut left = events(after).into_iter();
    for (name, data) in events(before) {
        let times = |word: &[u8]| data.windows(word.len()).filter(|window| window == &word).count();
        let wanted = if times(b"\"usage\"") == 0 {
            Some(data.clone())
        } else if times(b"\"usage\"") == 1 && times(b"\"choices\"") <= 1 && !data.contains(&b'\\') {
            // Where the text is no JSON, no reader can say what should be left.
            let Ok(json) = serde_json::from_slice::<Value>(&data) else { return };
            let drop = json["usage"].is_object() && json["choices"].as_array().is_some_and(Vec::is_empty);
            let null = json.get("usage").is_some_and(Value::is_null);
            if !drop && null {
                let Some((_, found)) = left.next() else { panic!("an event is lost") };
                let mut json = json;
                json.as_object_mut().unwrap().remove("usage");
                assert_eq!(
                    serde_json::from_slice::<Value>(&found).ok(),
                    Some(json),
                    "what is cut is the null"
                );
                continue;
            }
            (!drop).then_some(data)
        } else {
            return;
        };
        if let Some(wanted) = wanted {
            assert_eq!(left.next(), Some((name, wanted)), "an event that says more than usage");
        }
    }
    assert_eq!(left.next(), None, "nothing is added");
}

/// Signs of life are put wherever the gap is: readers find the same events, and learn the same.
fn gaps(endpoint: Endpoint, whole: &[Bytes], pieces: &[Bytes]) {
    let (mut gap, mut scanner, mut tap) = (EventGap::default(), SseScanner::new(), Tap::stream(endpoint));
    let mut beaten = Vec::new();
    for piece in pieces {
        gap.passes(piece);
        scanner.feed(piece, &mut |_| {});
        tap.feed(piece);
        assert_eq!(gap.is_between_events(), scanner.between_events(), "the gap and the scanner");
        assert_eq!(tap.between_events(), scanner.between_events(), "the tap and the scanner");
        beaten.push(piece.clone());
        if gap.is_between_events() {
            beaten.push(Bytes::from_static(b": \n\n"));
        }
    }
    assert_eq!(events(whole), events(&beaten), "events between comments");
    let facts_of = |pieces: &[Bytes]| facts(Tap::stream(endpoint), pieces);
    assert_eq!(facts_of(whole), facts_of(&beaten), "facts between comments");
}

/// A stream that breaks between two events ends with ours, under the number that follows.
fn ends_in_an_error(endpoint: Endpoint, pieces: &[Bytes]) {
    let mut tap = Tap::stream(endpoint);
    let mut ends = 0;
    for (at, piece) in pieces.iter().enumerate() {
        if ends < ENDS_MAX && tap.between_events() && !tap.facts().complete {
            ends += 1;
            break_off(endpoint, &tap, &pieces[..at]);
        }
        tap.feed(piece);
    }
    if tap.between_events() && !tap.facts().complete {
        break_off(endpoint, &tap, pieces);
    }
}

/// Each end reads everything before it once more.
const ENDS_MAX: usize = 6;

fn break_off(endpoint: Endpoint, tap: &Tap, given: &[Bytes]) {
    let code = ErrorCode::UpstreamReset.as_str();
    let parts = ErrorParts { status: 502, code, message: "it \"broke\"\r\n", param: None, request_id: "r" };
    let number = tap.next_sequence();
    let ours = Bytes::from(error_event(endpoint, &parts, number));
    let mut before = events(given);
    let all_read = given.iter().map(Bytes::len).sum::<usize>() <= INSPECT_MAX;
    if let (Endpoint::Responses, true, Some((_, last))) = (endpoint, all_read, before.last())
        && let Ok(Value::Object(last)) = serde_json::from_slice(last)
        && let Some(told) = last.get("sequence_number").and_then(Value::as_u64)
    {
        assert_eq!(number, told.saturating_add(1), "the number behind the last one");
    }
    let ended = [given, std::slice::from_ref(&ours)].concat();
    before.extend(events(&[ours]));
    assert_eq!(events(&ended), before, "our event is found behind the others");
    let known = facts(Tap::stream(endpoint), &ended);
    assert!(known.error, "our event is an error");
    assert!(!known.complete, "a broken stream is not complete");
}

fn memory_of(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}
