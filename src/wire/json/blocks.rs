//! Where strings stop, found for many bytes at once.
//!
//! The text is looked at in blocks of 64 bytes: comparisons of whole vectors give one bit for each byte, and a few
//! operations on these bits tell which quotes are escaped and whether every escape is one. The arithmetic is that of
//! simdjson (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019, section 3.1.1). Which instructions the
//! processor has is found out at run time.

use fearless_simd::prelude::{SimdBase, SimdMask};
use fearless_simd::{Level, Simd, dispatch, u8x64};

/// So many bytes are looked at together: as many as a number has bits.
pub(super) const BLOCK_LEN: usize = 64;

/// So many blocks are looked at in one go, once the first one was not enough.
const BLOCKS_MAX: usize = 8;

/// A stretch of the text and where a string that comes there stops.
#[derive(Clone, Debug)]
pub(super) struct Window {
    level: Level,
    /// Where the first block begins.
    start: usize,
    /// How many bytes its blocks have together.
    len: usize,
    /// One bit for each byte: set on a quote that no backslash escapes, a control character, a byte behind a backslash
    /// that makes no escape, and behind the end of the text.
    stops: [u64; BLOCKS_MAX],
    /// 1 where the first byte behind the last block is escaped by the last byte of it.
    escape_open: u64,
}

impl Window {
    /// Over nothing yet.
    pub(super) fn new() -> Self {
        Self { level: Level::new(), start: 0, len: 0, stops: [0; BLOCKS_MAX], escape_open: 0 }
    }

    /// The same without what only newer processors have.
    #[cfg(test)]
    pub(super) fn with_least_instructions() -> Self {
        Self { level: Level::baseline(), ..Self::new() }
    }

    /// The first stop of the string whose text begins at `at`.
    #[inline(always)]
    pub(super) fn next_stop(&mut self, bytes: &[u8], at: usize) -> usize {
        let mut offset = at.wrapping_sub(self.start);
        loop {
            if offset >= self.len {
                // Nothing of the string was seen, or all of the window is in it.
                self.move_to(bytes, self.start.wrapping_add(offset));
                offset = 0;
            }
            // The remainder only tells the compiler that there is such a block.
            let stops = self.stops.get(offset / BLOCK_LEN % BLOCKS_MAX).copied().unwrap_or_default();
            let ahead = stops >> (offset % BLOCK_LEN);
            if ahead != 0 {
                return self.start.wrapping_add(offset).wrapping_add(ahead.trailing_zeros() as usize);
            }
            offset = (offset | (BLOCK_LEN - 1)).wrapping_add(1);
        }
    }

    /// Looks at the blocks from `at` on.
    #[inline(never)]
    fn move_to(&mut self, bytes: &[u8], at: usize) {
        // Whether the first byte is escaped tells the block before it; a string that begins is not escaped.
        if at != self.start.wrapping_add(self.len) {
            self.escape_open = 0;
        }
        // A short walk over a few members needs one block only. Behind the end of the text, one is enough.
        let most = if self.len == 0 { 1 } else { BLOCKS_MAX };
        let blocks = most.min(bytes.len().saturating_sub(at) / BLOCK_LEN + 1);
        self.start = at;
        self.len = blocks * BLOCK_LEN;
        let Self { level, stops, escape_open, .. } = self;
        let stops = stops.get_mut(..blocks).unwrap_or_default();
        dispatch!(*level, simd => find_stops(simd, bytes, at, stops, escape_open));
    }
}

/// Fills `stops` for the blocks from `at` on.
#[inline(always)]
fn find_stops<S: Simd>(simd: S, bytes: &[u8], mut at: usize, stops: &mut [u64], escape_open: &mut u64) {
    for stops in stops {
        let rest = bytes.get(at..).unwrap_or_default();
        let mut padded = [0; BLOCK_LEN];
        let block = match rest.first_chunk::<BLOCK_LEN>() {
            Some(block) => block,
            // The zeros behind the end count as control characters.
            None => {
                padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                &padded
            }
        };
        *stops = stops_of(simd, block, bytes, at, escape_open);
        at = at.saturating_add(BLOCK_LEN);
    }
}

/// The stops of one block, which stands at `at`.
#[inline(always)]
fn stops_of<S: Simd>(
    simd: S,
    block: &[u8; BLOCK_LEN],
    bytes: &[u8],
    at: usize,
    escape_open: &mut u64,
) -> u64 {
    let block = u8x64::load_array_ref(simd, block);
    let quotes = block.simd_eq(b'"').to_bitmask();
    let backslashes = block.simd_eq(b'\\').to_bitmask();
    let controls = block.simd_le(0x1f_u8).to_bitmask();
    if backslashes | *escape_open == 0 {
        return quotes | controls;
    }
    let escaped = escaped_by(backslashes, escape_open);
    let common = quotes | backslashes | block.simd_eq(b'n').to_bitmask();
    let others = escaped & !common;
    let broken = if others == 0 { 0 } else { broken_escapes(bytes, at, others) };
    (quotes & !escaped) | controls | broken
}

/// A bit for each byte that a backslash before it escapes. In a run of backslashes each second one is escaped, and the
/// byte behind the run where the run has an odd number of them.
#[inline(always)]
fn escaped_by(backslashes: u64, escape_open: &mut u64) -> u64 {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // A backslash that is escaped itself begins no run.
    let starts = backslashes & !*escape_open;
    // Behind each backslash, and on every odd place: from a run that begins on an even place the subtraction borrows
    // through to its end, from one on an odd place it does not, so that the places come out turned in one of the two.
    let behind = starts << 1;
    let ends = (behind | ODD).wrapping_sub(starts);
    let escapes_and_ends = ends ^ ODD;
    let escaped = escapes_and_ends ^ (backslashes | *escape_open);
    *escape_open = (escapes_and_ends & backslashes) >> (BLOCK_LEN - 1);
    escaped
}

/// Those of the escaped bytes in the block at `at` that do not make an escape.
#[inline(never)]
fn broken_escapes(bytes: &[u8], at: usize, mut escaped: u64) -> u64 {
    let mut broken = 0;
    while escaped != 0 {
        let lowest = escaped & escaped.wrapping_neg();
        let place = at.wrapping_add(escaped.trailing_zeros() as usize);
        if escape_len(bytes.get(place..).unwrap_or_default()).is_none() {
            broken |= lowest;
        }
        escaped ^= lowest;
    }
    broken
}

/// How many bytes behind a backslash belong to it; none where they make no escape. Surrogates need not come in pairs:
/// RFC 8259 lets half a pair through, and so do we, because whoever reads the text decides what it means.
pub(super) fn escape_len(behind: &[u8]) -> Option<usize> {
    match behind {
        [b'n' | b'"' | b'\\' | b'/' | b'b' | b'f' | b'r' | b't', ..] => Some(1),
        [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => Some(5),
        _ => None,
    }
}
