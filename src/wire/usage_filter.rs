//! Takes out of a chat stream what is in it only because dimmer asked for the usage.
//!
//! Serves the relay, on streams where `stream_options.include_usage` was added for the tap: the extra chunk and each
//! `"usage":null` go, every other byte passes as it came. Holds back one incomplete event at most. Must never hold an
//! event over the cap, and must never be put on an encoded stream.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::sse::{BOM, Boundary, INSPECT_MAX, data_lines};
use super::tap::walk::Walk;

/// The filter of one stream.
#[derive(Debug)]
pub struct UsageFilter {
    boundary: Boundary,
    /// The incomplete last event.
    held: Vec<u8>,
    /// The event that passes now is over [`INSPECT_MAX`]; it goes on unfiltered.
    passing: bool,
    /// The last event was taken out, so the LF of its last CR LF goes too.
    dropped: bool,
    /// The first block has passed, so that a byte order mark may no longer come.
    begun: bool,
    needle: Finder<'static>,
}

impl Default for UsageFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl UsageFilter {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self {
            boundary: Boundary::default(),
            held: Vec::new(),
            passing: false,
            dropped: false,
            begun: false,
            needle: Finder::new(NAME),
        }
    }

    /// Filters the next bytes. `out` is called at most once, with what may go on: the chunk itself where nothing was
    /// taken out.
    pub fn feed(&mut self, chunk: Bytes, out: &mut impl FnMut(Bytes)) {
        let mut kept = Kept::new(&chunk);
        let mut at = 0;
        loop {
            let rest = chunk.get(at..).unwrap_or_default();
            let tail = self.boundary.tail(rest);
            if !self.dropped {
                kept.range(at, at + tail);
            }
            at += tail;
            let rest = rest.get(tail..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let Some(length) = self.boundary.end(rest) else {
                self.hold(rest, at, &mut kept);
                break;
            };
            self.complete(rest.get(..length).unwrap_or_default(), at, &mut kept);
            at += length;
        }
        kept.finish(out);
    }

    /// The stream is over: what is held goes on.
    pub fn finish(&mut self, out: &mut impl FnMut(Bytes)) {
        let held = std::mem::take(&mut self.held);
        let kept = match self.judge(&held) {
            Verdict::Keep => held,
            Verdict::Drop => Vec::new(),
            Verdict::Cut { from, to } => without(&held, from, to).concat(),
        };
        if !kept.is_empty() {
            out(kept.into());
        }
    }

    fn hold(&mut self, rest: &[u8], at: usize, kept: &mut Kept<'_>) {
        let over = self.held.len().saturating_add(rest.len()) > INSPECT_MAX;
        if over && !self.passing {
            self.passing = true;
            kept.copy(&std::mem::take(&mut self.held));
        }
        if self.passing {
            kept.range(at, at + rest.len());
        } else {
            self.held.extend_from_slice(rest);
        }
    }

    /// An event, or its last part, stands at `at` in the chunk.
    fn complete(&mut self, last: &[u8], at: usize, kept: &mut Kept<'_>) {
        let over = self.held.len().saturating_add(last.len()) > INSPECT_MAX;
        self.dropped = false;
        if self.passing || over {
            self.passing = false;
            kept.copy(&std::mem::take(&mut self.held));
            kept.range(at, at + last.len());
        } else if self.held.is_empty() {
            match self.judge(last) {
                Verdict::Keep => kept.range(at, at + last.len()),
                Verdict::Drop => self.dropped = true,
                Verdict::Cut { from, to } => {
                    kept.range(at, at + from);
                    kept.range(at + to, at + last.len());
                }
            }
        } else {
            self.held.extend_from_slice(last);
            match self.judge(&self.held) {
                Verdict::Keep => kept.copy(&self.held),
                Verdict::Drop => self.dropped = true,
                Verdict::Cut { from, to } => {
                    for part in without(&self.held, from, to) {
                        kept.copy(part);
                    }
                }
            }
            self.held.clear();
        }
        self.begun = true;
    }

    fn judge(&self, block: &[u8]) -> Verdict {
        let mark = if !self.begun && block.starts_with(BOM) { BOM.len() } else { 0 };
        let block = block.get(mark..).unwrap_or_default();
        let found = self.needle.find(block);
        let verdict = found.map_or(Verdict::Keep, |found| verdict(block, found, &self.needle));
        verdict.moved(|offset| mark + offset)
    }
}

/// What becomes of one event.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
    /// The bytes from `from` to `to` go.
    Cut {
        from: usize,
        to: usize,
    },
}

/// Judges one event with everything that belongs to it. The member's name stands first at `found`.
fn verdict(block: &[u8], found: usize, needle: &Finder<'_>) -> Verdict {
    let mut lines = data_lines(block);
    let Some((at, first)) = lines.next() else { return Verdict::Keep };
    let Some((second_at, second)) = lines.next() else {
        let in_text = found.checked_sub(at).filter(|found| *found < first.len());
        let verdict = in_text.or_else(|| needle.find(first)).and_then(|found| judge_json(first, found));
        return verdict.unwrap_or(Verdict::Keep).moved(|offset| at + offset);
    };
    // Several data lines are one JSON text; `starts` says where each line's text is in the joined text and in the block.
    let mut joined = first.to_vec();
    let mut starts = vec![(0, at)];
    for (line_at, line) in std::iter::once((second_at, second)).chain(lines) {
        joined.push(b'\n');
        starts.push((joined.len(), line_at));
        joined.extend_from_slice(line);
    }
    let verdict = needle.find(&joined).and_then(|found| judge_json(&joined, found));
    verdict.unwrap_or(Verdict::Keep).moved(|offset| {
        let line = starts.iter().rev().find(|(start, _)| *start <= offset);
        line.map_or(offset, |(start, line_at)| line_at + (offset - start))
    })
}

/// Judges the JSON text of one chunk; `None` where it is not one. The member's name stands first at `found`.
fn judge_json(json: &[u8], found: usize) -> Option<Verdict> {
    if let Some((from, to)) = null_near_the_end(json, found) {
        return Some(cut_member(json, from, to));
    }
    let mut no_choices = false;
    let mut told = false;
    let mut null = None;
    Walk::new(json).object(|walk, name| {
        match name.raw {
            b"choices" => {
                let mut items = 0;
                let list = walk.peek()? == b'[';
                walk.array(|walk| {
                    items += 1;
                    walk.skip()
                })?;
                no_choices = list && items == 0;
            }
            b"usage" => match walk.raw()? {
                Some(usage) => told = usage.starts_with(b"{"),
                None => null = Some((name.start, walk.position())),
            },
            _ => walk.skip()?,
        }
        Some(())
    })?;
    if told && no_choices {
        return Some(Verdict::Drop);
    }
    null.map(|(from, to)| cut_member(json, from, to))
}

/// Where a member `usage` that is null stands: nearly always it is the only one and near the end. Between two quotes
/// that are not escaped stands a whole name; if what follows its null closes one level and ends the text, the level is
/// the top. A walk from the start takes several times as long.
fn null_near_the_end(json: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut walk = Walk::standing_at(json, from);
    walk.string()?;
    walk.eat(b':')?;
    if walk.raw()?.is_some() {
        return None;
    }
    let to = walk.position();
    walk.last_members()?.then_some((from, to))
}

/// The member from `from` to `to` goes with one comma: the one before it or, where it is the first, the one behind it.
fn cut_member(json: &[u8], from: usize, to: usize) -> Verdict {
    let before = json.get(..from).unwrap_or_default().trim_ascii_end();
    if let Some(earlier) = before.strip_suffix(b",") {
        // White space before the comma goes with it: what stands behind the member has its own.
        return Verdict::Cut { from: earlier.trim_ascii_end().len(), to };
    }
    let behind = json.get(to..).unwrap_or_default().trim_ascii_start();
    let rest = behind.strip_prefix(b",").map_or(behind, <[u8]>::trim_ascii_start);
    Verdict::Cut { from, to: json.len() - rest.len() }
}

fn without(block: &[u8], from: usize, to: usize) -> [&[u8]; 2] {
    [block.get(..from).unwrap_or_default(), block.get(to..).unwrap_or_default()]
}

impl Verdict {
    /// The same with other offsets.
    fn moved(self, to_block: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Cut { from, to } => Self::Cut { from: to_block(from), to: to_block(to) },
            other => other,
        }
    }
}

/// The member's name as every provider spells it.
const NAME: &[u8] = b"\"usage\"";

/// Collects what goes on of one chunk. As long as that is one part of the chunk, nothing is copied.
struct Kept<'a> {
    chunk: &'a Bytes,
    from: usize,
    to: usize,
    copied: Vec<u8>,
}

impl<'a> Kept<'a> {
    fn new(chunk: &'a Bytes) -> Self {
        Self { chunk, from: 0, to: 0, copied: Vec::new() }
    }

    /// A part of the chunk goes on.
    fn range(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        if from != self.to {
            self.settle();
            self.from = from;
        }
        self.to = to;
    }

    /// Bytes of an earlier chunk go on.
    fn copy(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.settle();
            self.copied.extend_from_slice(bytes);
        }
    }

    fn settle(&mut self) {
        if self.copied.capacity() == 0 {
            self.copied.reserve(self.chunk.len());
        }
        self.copied.extend_from_slice(self.chunk.get(self.from..self.to).unwrap_or_default());
        self.from = self.to;
    }

    fn finish(mut self, out: &mut impl FnMut(Bytes)) {
        if self.copied.is_empty() {
            if self.from < self.to {
                out(self.chunk.slice(self.from..self.to));
            }
            return;
        }
        self.settle();
        out(self.copied.into());
    }
}
