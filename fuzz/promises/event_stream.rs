//! Any stream, cut anywhere: the same is learned and the same goes out as from the stream in one piece, and nothing is lost
//! that the caller's own request would have brought.
//!
//! The first byte says which API, the second how the rest is cut.

use bytes::Bytes;
use dimmer::wire::{Endpoint, Facts, SseScanner, Tap, UsageFilter};

const ENDPOINTS: [Endpoint; 4] =
    [Endpoint::Chat, Endpoint::Messages, Endpoint::Responses, Endpoint::Completions];

pub(crate) fn hold(data: &[u8]) {
    let [which, cut, stream @ ..] = data else { return };
    let endpoint = ENDPOINTS[usize::from(*which) % ENDPOINTS.len()];
    let pieces = pieces(stream, usize::from(*cut));
    let whole = [Bytes::copy_from_slice(stream)];

    assert_eq!(events(&whole), events(&pieces), "events");
    assert_eq!(
        facts(Tap::stream(endpoint), &whole),
        facts(Tap::stream(endpoint), &pieces),
        "facts of a stream"
    );
    assert_eq!(
        facts(Tap::whole(endpoint), &whole),
        facts(Tap::whole(endpoint), &pieces),
        "facts of an answer"
    );
    let (one, other) = (filtered(&whole), filtered(&pieces));
    assert_eq!(one, other, "what the filter lets through");
    if memory_of(stream, b"\"usage\"").is_none() {
        assert_eq!(one, stream, "a stream without usage passes as it is");
    }
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

fn events(pieces: &[Bytes]) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
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
    tap.facts().clone()
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

fn memory_of(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}
