//! Where strings stop, found for many bytes at once.
//!
//! The text is looked at in blocks of 64 bytes: comparisons of whole vectors give one bit for each byte, and a few
//! operations on these bits tell which quotes are escaped and whether every escape is one. The arithmetic is that of
//! simdjson (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019), with one subtraction for runs of
//! backslashes on odd and even places. Which instructions the processor has is found out at run time.

use fearless_simd::prelude::{SimdBase, SimdMask};
use fearless_simd::{Level, Simd, dispatch, u8x64};

/// So many bytes are looked at together: as many as a number has bits.
pub(super) const BLOCK_LEN: usize = 64;

/// So many blocks are looked at in one go, once the first one was not enough.
const BLOCKS_MAX: usize = 16;

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
fn find_stops<S: Simd>(simd: S, bytes: &[u8], at: usize, stops: &mut [u64], escape_open: &mut u64) {
    let rest = bytes.get(at..).unwrap_or_default();
    let (blocks, tail) = rest.as_chunks::<BLOCK_LEN>();
    let mut unusual = Unusual { others: [0; BLOCKS_MAX], lowest: u8x64::splat(simd, u8::MAX) };
    let mut each = stops.iter_mut().zip(&mut unusual.others);
    for (block, (stops, others)) in blocks.iter().zip(&mut each) {
        let block = u8x64::load_array_ref(simd, block);
        unusual.lowest = unusual.lowest.min(block);
        (*stops, *others) = escapes_resolved(block, escape_open);
    }
    // The zeros behind the end of the text count as control characters.
    if let Some((stops, others)) = each.next() {
        let mut padded = [0; BLOCK_LEN];
        padded.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        let block = u8x64::load_array(simd, padded);
        (*stops, *others) = escapes_resolved(block, escape_open);
        *stops |= block.simd_le(LAST_CONTROL).to_bitmask();
    }
    // Both are rare, and so are looked at for all blocks together.
    if unusual.lowest.simd_le(LAST_CONTROL).any_true() {
        for (stops, block) in stops.iter_mut().zip(blocks) {
            *stops |= u8x64::load_array_ref(simd, block).simd_le(LAST_CONTROL).to_bitmask();
        }
    }
    if unusual.others.iter().any(|others| *others != 0) {
        add_broken_escapes(bytes, at, &unusual.others, stops);
    }
}

/// What a stretch of text need not have.
struct Unusual<S: Simd> {
    /// Escaped bytes that are none of the most common.
    others: [u64; BLOCKS_MAX],
    /// In each lane the lowest byte of all blocks.
    lowest: u8x64<S>,
}

/// The last of the control characters.
const LAST_CONTROL: u8 = 0x1f;

/// The quotes of a block that are not escaped, and the escaped bytes that are no quote, no backslash and no `n`.
#[inline(always)]
fn escapes_resolved<S: Simd>(block: u8x64<S>, escape_open: &mut u64) -> (u64, u64) {
    let quotes = block.simd_eq(b'"').to_bitmask();
    let backslashes = block.simd_eq(b'\\').to_bitmask();
    if backslashes | *escape_open == 0 {
        return (quotes, 0);
    }
    let escaped = escaped_by(backslashes, escape_open);
    let common = quotes | backslashes | block.simd_eq(b'n').to_bitmask();
    (quotes & !escaped, escaped & !common)
}

/// A bit for each byte that a backslash before it escapes. In a run of backslashes each second one is escaped, and the
/// byte behind the run where the run has an odd number of them.
#[inline(always)]
fn escaped_by(backslashes: u64, escape_open: &mut u64) -> u64 {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // A backslash that is escaped itself begins no run.
    let starts = backslashes & !*escape_open;
    let behind = starts << 1;
    // Ones on the backslashes that escape, which are the first, third, fifth of each run, and on the byte that the last of
    // an odd run escapes. The odd places, filled up before and turned back after, make the borrow of the subtraction
    // alternate along a run, whether it begins on an odd place or on an even one. Three on the places 0 to 2:
    // 1110 (behind, and odd) - 0111 = 0111, turned on the odd places 1101: 0 and 2 escape, 3 is behind.
    let escapes_and_ends = (behind | ODD).wrapping_sub(starts) ^ ODD;
    // Without those that escape, and with the other backslashes: what is escaped.
    let escaped = escapes_and_ends ^ (backslashes | *escape_open);
    *escape_open = (escapes_and_ends & backslashes) >> (BLOCK_LEN - 1);
    escaped
}

/// Adds those of the escaped bytes that do not make an escape. The blocks begin at `at`.
#[inline(never)]
fn add_broken_escapes(bytes: &[u8], mut at: usize, escaped: &[u64; BLOCKS_MAX], stops: &mut [u64]) {
    for (escaped, stops) in escaped.iter().zip(stops) {
        let mut left = *escaped;
        while left != 0 {
            let lowest = left & left.wrapping_neg();
            let place = at.wrapping_add(left.trailing_zeros() as usize);
            if escape_len(bytes.get(place..).unwrap_or_default()).is_none() {
                *stops |= lowest;
            }
            left ^= lowest;
        }
        at = at.saturating_add(BLOCK_LEN);
    }
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
