//! What the deltas of one response repeat: they differ only in the text, the number and the padding.
//!
//! Serves the tap, as its short cut for the Responses API. Must give a delta only where the walk would give the same
//! facts.

use smallvec::SmallVec;

use super::walk::{Text, Walk};

/// A delta that was walked, kept without what changes in it.
#[derive(Debug, Default)]
pub(super) struct Stencil {
    /// What stands before each hole and behind the last, one after another.
    fixed: Vec<u8>,
    /// Up to where in `fixed` the bytes before a hole reach, and what is in the hole.
    holes: SmallVec<[(usize, Hole); 3]>,
}

/// What changes from delta to delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// The string that the delta adds.
    Text,
    /// The sequence number.
    Number,
    /// Random text of random length.
    Padding,
}

/// A hole and where it is in the event: from its first byte up to, not including, its last.
pub(super) type Place = (Hole, usize, usize);

impl Stencil {
    /// The text and the number of a delta that has this form.
    pub(super) fn read<'a>(&self, json: &'a [u8]) -> Option<(Text<'a>, Option<u64>)> {
        let (mut text, mut number) = (None, None);
        let (mut rest, mut from) = (json, 0);
        for (to, hole) in &self.holes {
            rest = rest.strip_prefix(self.fixed.get(from..*to)?)?;
            from = *to;
            let length = match hole {
                Hole::Number => {
                    let (told, digits) = leading_number(rest)?;
                    number = Some(told);
                    digits
                }
                Hole::Text | Hole::Padding => {
                    let mut walk = Walk::new(rest);
                    let string = walk.string()?;
                    if *hole == Hole::Text {
                        text = Some(string);
                    }
                    walk.position()
                }
            };
            rest = rest.get(length..)?;
        }
        (rest == self.fixed.get(from..)?).then_some((text?, number))
    }

    /// The event was walked, and what it says besides these places may be told any number of times.
    pub(super) fn learn(&mut self, json: &[u8], places: &mut [Place]) {
        self.holes.clear();
        self.fixed.clear();
        if json.len() > STENCIL_MAX {
            return;
        }
        places.sort_unstable_by_key(|(_, start, _)| *start);
        let mut from = 0;
        for (hole, start, end) in places.iter() {
            let Some(before) = json.get(from..*start) else { return self.holes.clear() };
            self.fixed.extend_from_slice(before);
            self.holes.push((self.fixed.len(), *hole));
            from = *end;
        }
        self.fixed.extend_from_slice(json.get(from..).unwrap_or_default());
    }
}

/// The number at the start and how many digits it has.
pub(super) fn leading_number(json: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    let mut digits = 0;
    while let Some(digit) = json.get(digits).filter(|byte| byte.is_ascii_digit()) {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        digits += 1;
    }
    (digits > 0).then_some((number, digits))
}

/// Deltas are 150 to 400 bytes around their text; a longer one is no common form and not worth holding.
const STENCIL_MAX: usize = 1024;
