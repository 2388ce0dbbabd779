//! What the chunks of one stream repeat: most differ from the one before only in the text.
//!
//! Serves the tap, as its short cut: comparing with the last chunk costs a tenth of walking through it. Must give a text
//! only where the walk would give the same facts.

use super::walk::{Text, Walk};

/// A chunk that was walked and told nothing but one text, kept without that text.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Up to the text's first quote.
    before: Vec<u8>,
    /// From behind the text's last quote to the end, or to the padding's first quote.
    behind: Vec<u8>,
    /// From behind the padding's last quote to the end.
    last: Vec<u8>,
    known: bool,
    padded: bool,
}

impl Shape {
    /// The text of a chunk that has this shape.
    pub(super) fn text_of<'a>(&self, json: &'a [u8]) -> Option<Text<'a>> {
        if !self.known || !json.starts_with(&self.before) {
            return None;
        }
        let mut walk = Walk::standing_at(json, self.before.len());
        let text = walk.string()?;
        let mut rest = json.get(walk.position()..)?;
        if self.padded {
            rest = rest.strip_prefix(self.behind.as_slice())?;
            let mut padding = Walk::new(rest);
            padding.string()?;
            rest = rest.get(padding.position()..)?;
            return (rest == self.last).then_some(text);
        }
        (rest == self.behind).then_some(text)
    }

    /// The chunk was walked, and the only thing it says that the next one like it does not say again is `text`.
    pub(super) fn learn(&mut self, json: &[u8], text: Text<'_>) {
        // The text is a part of `json`, seen through other slices.
        let start = (text.raw.as_ptr() as usize).wrapping_sub(json.as_ptr() as usize);
        let (Some(quote), end) = (start.checked_sub(1), start.wrapping_add(text.raw.len()).wrapping_add(1))
        else {
            return;
        };
        let (Some(before), Some(behind)) = (json.get(..quote), json.get(end..)) else { return };
        if json.len() > SHAPE_MAX {
            return;
        }
        // An unescaped quote before a name and a colon behind it: this is a member, never the inside of a string.
        let padding = memchr::memmem::find(behind, PADDING).map(|at| at + PADDING.len() - 1);
        let parted = padding.and_then(|at| {
            let mut walk = Walk::standing_at(behind, at);
            walk.string()?;
            Some((behind.get(..at)?, behind.get(walk.position()..)?))
        });
        let (behind, last) = parted.unwrap_or((behind, &[]));
        fill(&mut self.before, before);
        fill(&mut self.behind, behind);
        fill(&mut self.last, last);
        self.padded = parted.is_some();
        self.known = true;
    }
}

fn fill(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.clear();
    kept.extend_from_slice(bytes);
}

/// OpenAI pads chunks with random text of random length.
const PADDING: &[u8] = b"\"obfuscation\":\"";

/// Chunks of text are 130 to 400 bytes around their text; a longer one is no common shape and not worth holding.
const SHAPE_MAX: usize = 1024;
