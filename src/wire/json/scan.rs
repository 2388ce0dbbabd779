//! The pass itself: RFC 8259 to the letter, by a cursor that only moves forward.
//!
//! Values that nobody reads are checked and skipped without recursion; only the few levels named by a [`Watch`] are
//! walked member by member.

use super::{Fault, JsonFault, Span, same_text};

/// How many arrays and objects may stand inside each other, the outermost counted. Enough for every request of an
/// SDK, and little enough for every JSON reader behind us.
pub const DEPTH_MAX: u32 = 128;

/// A name that must not stand twice in one object, and what to look at below it.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) name: &'static str,
    pub(crate) inside: Inside,
}

/// What of a value is looked at, where it is of that kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Inside {
    /// Nothing: checked as JSON and skipped.
    Nothing,
    /// The members of the object. At most 32.
    Object(&'static [Watch]),
    /// The members of each object in the array. At most 32.
    Items(&'static [Watch]),
}

/// A cursor over JSON text. `at` never passes the end of `bytes`.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
    depth: u32,
    /// Where the block begins that `specials` describes.
    block: usize,
    /// One bit for each byte of that block: set where a string cannot simply go on.
    specials: u64,
}

impl<'b> Scanner<'b> {
    /// Over bytes of which it is known that they are UTF-8.
    pub(crate) fn new(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at, depth: 0, block: NO_BLOCK, specials: 0 }
    }

    /// Where the cursor stands.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Past white space.
    #[inline]
    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    fn fail<T>(&self, what: JsonFault) -> Result<T, Fault> {
        let ended = self.at >= self.bytes.len() && matches!(what, JsonFault::Expected(_) | JsonFault::Number);
        let what = if ended { JsonFault::Truncated } else { what };
        Err(Fault { what, at: self.at })
    }

    /// Into an object or array: past its opening byte and the white space behind it. Says whether it holds anything;
    /// where it does not, the cursor is behind the closing byte.
    pub(crate) fn enter(&mut self, close: u8) -> Result<bool, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail(JsonFault::TooDeep);
        }
        self.at += 1;
        self.space();
        if self.peek() == Some(close) {
            self.leave();
            return Ok(false);
        }
        Ok(true)
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// A member's name, the colon and the white space before the value.
    pub(crate) fn key(&mut self) -> Result<Span, Fault> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.fail(JsonFault::Expected("a field name in quotes"));
        }
        self.string()?;
        let end = self.at;
        self.space();
        if self.peek() != Some(b':') {
            return self.fail(JsonFault::Expected("':'"));
        }
        self.at += 1;
        self.space();
        Ok(Span { start, end })
    }

    /// Behind a value, with the white space passed: whether another one follows. The cursor is then on it, else behind
    /// the closing byte.
    pub(crate) fn more(&mut self, close: u8) -> Result<bool, Fault> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.leave();
                Ok(false)
            }
            _ if close == b'}' => self.fail(JsonFault::Expected("',' or '}'")),
            _ => self.fail(JsonFault::Expected("',' or ']'")),
        }
    }

    /// A value, looked into as far as `inside` says.
    pub(crate) fn value(&mut self, inside: Inside) -> Result<Span, Fault> {
        let start = self.at;
        match (self.peek(), inside) {
            (Some(b'{'), Inside::Object(watched)) => self.watched_object(watched)?,
            (Some(b'['), Inside::Items(watched)) => self.watched_items(watched)?,
            _ => self.skip()?,
        }
        Ok(Span { start, end: self.at })
    }

    /// An object in which no watched name may stand twice.
    fn watched_object(&mut self, watched: &'static [Watch]) -> Result<(), Fault> {
        let mut seen = 0_u32;
        let mut open = self.enter(b'}')?;
        while open {
            let key = self.key()?;
            let name = key.inside().of(self.bytes);
            let known = watched.iter().zip(0_u32..).find(|(watch, _)| same_text(name, watch.name));
            let inside = match known {
                Some((watch, index)) => {
                    let bit = 1_u32.checked_shl(index).unwrap_or_default();
                    if seen & bit != 0 {
                        return Err(Fault::duplicate(key));
                    }
                    seen |= bit;
                    watch.inside
                }
                None => Inside::Nothing,
            };
            self.value(inside)?;
            self.space();
            open = self.more(b'}')?;
        }
        Ok(())
    }

    /// An array of such objects; elements of other kinds are skipped.
    fn watched_items(&mut self, watched: &'static [Watch]) -> Result<(), Fault> {
        let mut open = self.enter(b']')?;
        while open {
            self.value(Inside::Object(watched))?;
            self.space();
            open = self.more(b']')?;
        }
        Ok(())
    }

    /// Any value, without recursion: which of the open levels are objects is kept in the bits of one number.
    fn skip(&mut self) -> Result<(), Fault> {
        let outside = self.depth;
        let mut objects = 0_u128;
        loop {
            let opened = match self.peek() {
                Some(b'"') => self.string().map(|()| false)?,
                Some(b'{') => {
                    let open = self.enter(b'}')?;
                    if open {
                        objects = (objects << 1) | 1;
                        self.key()?;
                    }
                    open
                }
                Some(b'[') => {
                    let open = self.enter(b']')?;
                    if open {
                        objects <<= 1;
                    }
                    open
                }
                _ => self.scalar().map(|()| false)?,
            };
            if opened {
                continue;
            }
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let in_object = objects & 1 == 1;
                self.space();
                if self.more(if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.key()?;
                    }
                    break;
                }
                objects >>= 1;
            }
        }
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => self.fail(JsonFault::Expected("a value")),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        for byte in word {
            if self.peek() != Some(*byte) {
                return self.fail(JsonFault::Expected("true, false or null"));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return self.fail(JsonFault::Number);
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit at least.
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.fail(JsonFault::Number) } else { Ok(()) }
    }

    /// A string, from its opening quote to behind the closing one.
    #[inline]
    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.seek_special();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.fail(JsonFault::ControlCharacter),
                None => return self.fail(JsonFault::Truncated),
            }
        }
    }

    /// To the first byte from here on that a string cannot simply hold: a quote, a backslash, a control character; else
    /// to the end. The block's bits outlive the string, so that short strings and escapes share one look at the bytes.
    #[inline]
    fn seek_special(&mut self) {
        loop {
            let offset = self.at % BLOCK_LEN;
            let block = self.at - offset;
            if block != self.block {
                self.block = block;
                self.specials = specials_of(self.bytes, block);
            }
            let ahead = self.specials >> offset;
            if ahead != 0 {
                self.at += ahead.trailing_zeros() as usize;
                return;
            }
            self.at = block + BLOCK_LEN;
        }
    }

    /// A backslash and what belongs to it. Surrogates need not come in pairs: RFC 8259 lets half a pair through, and
    /// so do we, because whoever reads the text decides what it means.
    #[inline]
    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at + 1) {
            Some(b'n' | b'"' | b'\\' | b'/' | b'b' | b'f' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).unwrap_or_default();
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return self.fail(JsonFault::Escape);
                }
                self.at += 6;
            }
            Some(_) => return self.fail(JsonFault::Escape),
            None => {
                self.at = self.bytes.len();
                return self.fail(JsonFault::Truncated);
            }
        }
        Ok(())
    }
}

/// So many bytes are looked at together: as many as a number has bits.
pub(super) const BLOCK_LEN: usize = 64;

/// No block begins here.
const NO_BLOCK: usize = usize::MAX;

/// The bits of the block that begins at `start`. The end of the text counts as special too.
#[inline]
fn specials_of(bytes: &[u8], start: usize) -> u64 {
    let rest = bytes.get(start..).unwrap_or_default();
    match rest.first_chunk::<BLOCK_LEN>() {
        Some(block) => special_bits(block),
        None => {
            let mut padded = [0; BLOCK_LEN];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            special_bits(&padded)
        }
    }
}

/// A bit for each byte that is a quote, a backslash or a control character.
pub(super) fn special_bits(block: &[u8; BLOCK_LEN]) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().rev().fold(0, |bits, word| (bits << 8) | special_bits_of_word(u64::from_le_bytes(*word)))
}

/// The same for eight bytes, each a lane of one number; no lane ever carries into the next.
#[inline(always)]
fn special_bits_of_word(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = ONES * 0x7f;
    // Each sum leaves the top bit of a lane clear exactly where the seven bits below say what is looked for. With its
    // second bit turned, a quote (0x22) becomes 0x20 and no other byte from 0x20 on falls below 0x21: one comparison
    // finds it together with the control characters.
    let low = word & LOW;
    let no_quote_no_control = (low ^ (ONES * 0x02)) + ONES * (0x80 - 0x21);
    let no_backslash = (low ^ (ONES * b'\\' as u64)) + LOW;
    let plain = (no_quote_no_control & no_backslash) | word;
    let lanes = !plain & !LOW;
    // Gathers the top bits of the lanes, each shifted to a place of its own, into the highest byte.
    lanes.wrapping_mul(0x0002_0408_1020_4081) >> 56
}
