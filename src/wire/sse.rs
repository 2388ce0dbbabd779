//! Finds the events in an event stream, as bytes, wherever the network cut them.
//!
//! Serves the relay stage through the tap and the usage filter. Ends lines at LF, CR and CR LF only: U+2028 and
//! U+0085 occur inside JSON. Must never buffer an event without a bound, and must never change a byte: it only looks.

#[cfg(test)]
pub(super) mod tests;

use memchr::memchr2;

/// The most of one event that is held for inspection. Text deltas are some hundred bytes, usage chunks under 4 KiB,
/// tool arguments some KiB; what is larger is an image or a repeated whole answer, in which nothing is read. 64 KiB
/// per stream also bounds what a hostile upstream can make us hold: 10,000 streams hold at most 640 MiB, in practice
/// next to nothing, because an event that arrives in one piece is read where it lies.
pub const INSPECT_MAX: usize = 64 * 1024;

/// One event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRef<'a> {
    /// What its `event:` line says; the last, if there are several.
    pub name: Option<&'a [u8]>,
    /// Its `data:` lines, joined with LF.
    pub data: &'a [u8],
}

/// What passes in a stream, for readers that want something even of an event that is too large to be held.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen<'a> {
    /// An event.
    Event(EventRef<'a>),
    /// The next bytes of an event over [`INSPECT_MAX`], from its first line on.
    Large(&'a [u8]),
    /// That event is over.
    LargeEnd,
    /// A block without data, as a comment is: the other side lives.
    Nothing,
}

/// Reads an event stream chunk by chunk and hands out its events.
#[derive(Debug, Default)]
pub struct SseScanner {
    boundary: Boundary,
    /// The event that is not complete yet; empty most of the time.
    partial: Vec<u8>,
    /// Where several data lines are joined.
    joined: Vec<u8>,
    /// The event that passes now is over the limit: its end is awaited, nothing is kept.
    blind: bool,
    /// Whether a byte order mark may no longer come.
    bom_passed: bool,
    blind_events: u64,
    /// The stream ended inside an event.
    open_end: bool,
}

impl SseScanner {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes of the stream; `on_event` sees each event that they complete.
    pub fn feed(&mut self, chunk: &[u8], on_event: &mut impl FnMut(EventRef<'_>)) {
        self.look(chunk, &mut only_events(on_event));
    }

    /// The same, with what passes of events that are too large.
    pub(super) fn look(&mut self, chunk: &[u8], on_seen: &mut impl FnMut(Seen<'_>)) {
        let mut rest = chunk;
        loop {
            rest = rest.get(self.boundary.tail(rest)..).unwrap_or_default();
            if rest.is_empty() {
                return;
            }
            if self.between_events()
                && let Some((event, length)) = quick_event(rest)
            {
                self.bom_passed = true;
                on_seen(Seen::Event(event));
                self.boundary.skipped_block();
                rest = rest.get(length..).unwrap_or_default();
                continue;
            }
            let Some(end) = self.boundary.end(rest) else {
                self.hold(rest, on_seen);
                return;
            };
            let (block, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            self.complete(block, on_seen);
            rest = after;
        }
    }

    /// The stream is over. A last event that lacks only its blank line is handed out, as a careless server means it.
    pub fn finish(&mut self, on_event: &mut impl FnMut(EventRef<'_>)) {
        self.open_end |= !self.between_events();
        if !self.partial.is_empty() {
            self.complete(&[], &mut only_events(on_event));
        }
    }

    /// Whether the bytes so far end where an event ends, so that another event may be put after them.
    pub fn between_events(&self) -> bool {
        self.partial.is_empty() && !self.blind && !self.open_end
    }

    /// How many of the next bytes belong to the event that is open, its end included; none between events. `None`: all of them
    /// and more to come.
    pub(super) fn rest_of_event(&self, next: &[u8]) -> Option<usize> {
        if self.between_events() { Some(0) } else { self.boundary.clone().end(next) }
    }

    /// How many events were over [`INSPECT_MAX`] and were not read, the one that passes now included.
    pub fn blind_events(&self) -> u64 {
        self.blind_events
    }

    fn hold(&mut self, bytes: &[u8], on_seen: &mut impl FnMut(Seen<'_>)) {
        if !self.blind && self.partial.len().saturating_add(bytes.len()) > INSPECT_MAX {
            self.go_blind(on_seen);
        }
        if self.blind {
            on_seen(Seen::Large(bytes));
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn go_blind(&mut self, on_seen: &mut impl FnMut(Seen<'_>)) {
        on_seen(Seen::Large(&self.partial));
        self.blind = true;
        self.bom_passed = true;
        self.blind_events += 1;
        // The buffer goes back to the allocator: a stream with one huge event seldom has a second.
        self.partial = Vec::new();
    }

    /// `last` completes the event that was held.
    fn complete(&mut self, last: &[u8], on_seen: &mut impl FnMut(Seen<'_>)) {
        if !self.blind && self.partial.len().saturating_add(last.len()) > INSPECT_MAX {
            self.go_blind(on_seen);
        }
        if self.blind {
            self.blind = false;
            on_seen(Seen::Large(last));
            on_seen(Seen::LargeEnd);
            return;
        }
        let mut block = last;
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(last);
            block = &self.partial;
        }
        if !self.bom_passed {
            self.bom_passed = true;
            block = block.strip_prefix(BOM).unwrap_or(block);
        }
        match read_block(block, &mut self.joined) {
            Some(event) => on_seen(Seen::Event(event)),
            None if block.trim_ascii().is_empty() => {}
            None => on_seen(Seen::Nothing),
        }
        self.partial.clear();
    }
}

fn only_events(on_event: &mut impl FnMut(EventRef<'_>)) -> impl FnMut(Seen<'_>) {
    |seen| match seen {
        Seen::Event(event) => on_event(event),
        Seen::Large(_) | Seen::LargeEnd | Seen::Nothing => {}
    }
}

/// Where the blocks of an event stream end: a block is an event or a comment with the blank line that ends it.
#[derive(Clone, Debug, Default)]
pub(super) struct Boundary {
    /// Bytes of the present line were seen.
    in_line: bool,
    /// The last byte was a CR; an LF that follows belongs to it.
    after_cr: bool,
    /// A block was just ended and nothing came since.
    ended: bool,
}

impl Boundary {
    /// How many bytes at the start still belong to the block that ended: the LF of its CR LF.
    pub(super) fn tail(&mut self, bytes: &[u8]) -> usize {
        if self.ended && self.after_cr && bytes.first() == Some(&b'\n') {
            self.after_cr = false;
            return 1;
        }
        0
    }

    /// How many bytes belong to the present block, its blank line included; `None`: all of them and more to come.
    /// Ask [`Boundary::tail`] before each block.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            self.ended = false;
            let second_half = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            if second_half {
                at += 1;
            } else if byte == b'\n' || byte == b'\r' {
                at += 1;
                if !self.in_line {
                    self.ended = true;
                    return Some(at);
                }
                self.in_line = false;
            } else {
                self.in_line = true;
                let line = bytes.get(at..).unwrap_or_default();
                at += memchr2(b'\n', b'\r', line).unwrap_or(line.len());
            }
        }
        None
    }

    /// A whole block that ended with LF LF was taken by other means.
    fn skipped_block(&mut self) {
        *self = Self { in_line: false, after_cr: false, ended: true };
    }
}

/// Knows whether the bytes that passed end where an event ends. Keeps none of them.
#[derive(Debug, Default)]
pub struct EventGap {
    boundary: Boundary,
    inside: bool,
}

impl EventGap {
    /// The next bytes of the stream.
    pub fn passes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            rest = rest.get(self.boundary.tail(rest)..).unwrap_or_default();
            if rest.is_empty() {
                return;
            }
            let end = self.boundary.end(rest);
            self.inside = end.is_none();
            rest = end.and_then(|end| rest.get(end..)).unwrap_or_default();
        }
    }

    /// Whether a block of our own may be put after them.
    pub fn is_between_events(&self) -> bool {
        !self.inside
    }
}

/// The `data:` lines of a block: where each one's text starts in the block, and the text.
pub(super) fn data_lines(block: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    fields(block).filter(|field| field.name == b"data").map(|field| (field.at, field.value))
}

/// What nearly every event of every provider looks like: at most one `event: ` line, one `data: ` line, LF, whole in
/// the slice. Everything else goes the long way. Gives the event and its length with the blank line.
fn quick_event(bytes: &[u8]) -> Option<(EventRef<'_>, usize)> {
    let mut at = 0;
    let mut name = None;
    if let Some(named) = bytes.strip_prefix(b"event: ") {
        let end = memchr2(b'\n', b'\r', named)?;
        if named.get(end) != Some(&b'\n') {
            return None;
        }
        name = named.get(..end);
        at = b"event: ".len() + end + 1;
    }
    let line = bytes.get(at..)?.strip_prefix(b"data: ")?;
    let end = memchr2(b'\n', b'\r', line)?;
    let length = at + b"data: ".len() + end + 2;
    let plain = line.get(end..end + 2) == Some(b"\n\n") && length <= INSPECT_MAX;
    plain.then_some((EventRef { name, data: line.get(..end)? }, length))
}

/// The event that a block holds; `None` for a comment and for an event without data.
pub(super) fn read_block<'a>(block: &'a [u8], joined: &'a mut Vec<u8>) -> Option<EventRef<'a>> {
    let mut name = None;
    let mut data: Option<&[u8]> = None;
    let mut several = false;
    for field in fields(block) {
        match (field.name, data) {
            (b"event", _) => name = Some(field.value),
            (b"data", None) => data = Some(field.value),
            (b"data", Some(first)) => {
                if !several {
                    several = true;
                    joined.clear();
                    joined.extend_from_slice(first);
                }
                joined.push(b'\n');
                joined.extend_from_slice(field.value);
            }
            _ => {}
        }
    }
    let data = data?;
    Some(EventRef { name, data: if several { joined } else { data } })
}

struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// Where the value starts in the block.
    at: usize,
}

/// The fields of a block, comments left out. A CR LF reads as two line ends with an empty line between; empty lines
/// are nothing inside a block.
fn fields(block: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut next = 0;
    let lines = std::iter::from_fn(move || {
        let rest = block.get(next..).filter(|rest| !rest.is_empty())?;
        let start = next;
        let line = rest.get(..memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()))?;
        next += line.len() + 1;
        Some((start, line))
    });
    lines.filter_map(|(start, line)| {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at_checked(colon)?;
        let text = value.strip_prefix(b":").unwrap_or(value);
        let text = text.strip_prefix(b" ").unwrap_or(text);
        (!name.is_empty()).then_some(Field { name, value: text, at: start + line.len() - text.len() })
    })
}

/// The byte order mark that a stream may begin with.
pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";
