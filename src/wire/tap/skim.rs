//! Makes an event that is too large to be held small, while it passes: only the members that are looked at are kept.
//!
//! Serves the tap, for the Responses API: the last event of a stream is the only one that tells the usage, and it repeats
//! the whole request and answer. Must never keep more than [`KEPT_MAX`] bytes.

use memchr::memchr2;

/// One event on its way. Judges no JSON: of a broken event something is kept that tells nothing.
#[derive(Debug, Default)]
pub(super) struct Skim {
    /// The small event.
    kept: Vec<u8>,
    depth: usize,
    /// Inside `response` or `item`, whose members are looked at too.
    inside: bool,
    in_string: bool,
    escaped: bool,
    taking: Taking,
    /// A member's name comes next.
    at_name: bool,
    /// The object that the last name belongs to is looked into.
    enters: bool,
    /// The event's own closing brace came.
    closed: bool,
}

/// What becomes of the bytes that pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Taking {
    #[default]
    Nothing,
    /// A name, which begins at this place in `kept`.
    Name(usize),
    /// A value; its member begins at this place in `kept`, at this depth.
    Value(usize, usize),
}

impl Skim {
    /// The next bytes of the event, its lines included: none before the JSON's brace has another one.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.closed {
                return;
            }
            if self.in_string && !self.escaped {
                let plain = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                let (text, after) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
                self.take(text);
                rest = after;
                let Some((&byte, after)) = rest.split_first() else { return };
                self.in_text(byte);
                rest = after;
                continue;
            }
            rest = after;
            if self.escaped {
                self.escaped = false;
                self.take(&[byte]);
            } else {
                self.between(byte);
            }
        }
    }

    /// The small event, where the large one came to its end.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        self.closed.then_some(self.kept)
    }

    /// A quote or a backslash inside a string.
    fn in_text(&mut self, byte: u8) {
        self.take(&[byte]);
        self.escaped = byte == b'\\';
        self.in_string = self.escaped;
        if let (Taking::Name(start), false) = (self.taking, self.in_string) {
            let name = self.kept.get(start..).unwrap_or_default();
            self.enters = self.depth == 1 && ENTERED.contains(&name);
            let wanted = self.enters || if self.inside { INNER } else { OUTER }.contains(&name);
            self.at_name = false;
            self.taking = match wanted {
                true => Taking::Value(start, self.depth),
                false => self.give_back(start),
            };
        }
    }

    /// A byte that is in no string.
    fn between(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.in_string = true;
                if self.at_name && self.looked_at() {
                    if !self.kept.ends_with(b"{") {
                        self.kept.push(b',');
                    }
                    self.taking = Taking::Name(self.kept.len());
                }
                self.take(b"\"");
            }
            b'{' | b'[' => {
                self.take_opening(byte);
                self.depth += 1;
            }
            b'}' | b']' => self.close(byte),
            b',' => {
                self.end_value();
                self.take(b",");
                self.at_name = self.looked_at();
                self.enters = false;
            }
            _ if self.depth > 0 => self.take(&[byte]),
            _ => {}
        }
    }

    fn take_opening(&mut self, byte: u8) {
        match (self.depth, byte) {
            (0, b'{') => self.at_name = true,
            (1, b'{') if self.enters => {
                // Its members are chosen one by one.
                self.inside = true;
                self.at_name = true;
                self.kept.push(byte);
                self.taking = Taking::Nothing;
                return;
            }
            _ => {}
        }
        if self.depth == 0 {
            self.kept.push(byte);
        } else {
            self.take(&[byte]);
        }
    }

    fn close(&mut self, byte: u8) {
        self.end_value();
        let ends_inside = self.inside && self.depth == 2;
        self.depth = self.depth.saturating_sub(1);
        if ends_inside {
            self.inside = false;
        }
        if self.depth == 0 {
            self.closed = true;
        }
        match ends_inside || self.closed {
            true => self.kept.push(byte),
            false => self.take(&[byte]),
        }
    }

    /// Whether members of the object that is open are looked at.
    fn looked_at(&self) -> bool {
        self.depth == 1 || (self.inside && self.depth == 2)
    }

    /// A comma or a closing bracket: at the value's own depth it ends it.
    fn end_value(&mut self) {
        if let Taking::Value(_, depth) = self.taking
            && depth == self.depth
        {
            self.taking = Taking::Nothing;
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let (Taking::Name(start) | Taking::Value(start, _)) = self.taking else { return };
        let most = if matches!(self.taking, Taking::Name(_)) { NAME_MAX } else { VALUE_MAX };
        let length = self.kept.len().saturating_sub(start).saturating_add(bytes.len());
        if length > most || self.kept.len().saturating_add(bytes.len()) > KEPT_MAX {
            self.taking = self.give_back(start);
            self.at_name = false;
            return;
        }
        self.kept.extend_from_slice(bytes);
    }

    /// The member from `start` is not kept, nor the comma before it.
    fn give_back(&mut self, start: usize) -> Taking {
        self.kept.truncate(start);
        if self.kept.ends_with(b",") {
            self.kept.pop();
        }
        Taking::Nothing
    }
}

/// The members of an event that are kept, as they are spelled.
const OUTER: &[&[u8]] = &[b"\"type\"", b"\"sequence_number\"", b"\"code\"", b"\"error\""];
/// The members that are looked into.
const ENTERED: &[&[u8]] = &[b"\"response\"", b"\"item\""];
/// The members of those that are kept.
const INNER: &[&[u8]] = &[
    b"\"type\"",
    b"\"id\"",
    b"\"model\"",
    b"\"status\"",
    b"\"usage\"",
    b"\"error\"",
    b"\"incomplete_details\"",
];

/// Names that are kept are shorter.
const NAME_MAX: usize = 32;

/// A usage with all its details is under 1 KiB; an error's message may be longer.
const VALUE_MAX: usize = 8 * 1024;

/// More than all kept members together; it bounds what a hostile event makes us hold.
const KEPT_MAX: usize = 32 * 1024;
