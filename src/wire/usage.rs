//! How many tokens an answer took, in one form for both dialects.
//!
//! Serves the relay through the tap. OpenAI's prompt count includes what came from the cache, Anthropic's does not;
//! mixing the two is the most common error in the cost of an answer, so they are made equal here and nowhere else.

mod responses;
#[cfg(test)]
mod tests;

use super::json::{Inside, Scanner};

/// The tokens of one answer. No token is in two of the first four numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input that no cache held.
    pub input: u64,
    /// Input that a cache held.
    pub cache_read: u64,
    /// Input that was written into a cache.
    pub cache_write: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The part of `output` that is reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// From the `usage` of a chat completion or of its last chunk. `None` where it does not say both input and output.
    pub fn from_chat(json: &[u8]) -> Option<Self> {
        let (mut input, mut output) = (None, None);
        let (mut cache_read, mut cache_write, mut reasoning) = (None, None, None);
        each_member(json, |name, value| match name {
            b"prompt_tokens" => count(&mut input, value),
            b"completion_tokens" => count(&mut output, value),
            b"prompt_tokens_details" => each_detail(value, |name, value| match name {
                b"cached_tokens" => count(&mut cache_read, value),
                b"cache_write_tokens" => count(&mut cache_write, value),
                _ => Some(()),
            }),
            b"completion_tokens_details" => each_detail(value, |name, value| match name {
                b"reasoning_tokens" => count(&mut reasoning, value),
                _ => Some(()),
            }),
            _ => Some(()),
        })?;
        let (cache_read, cache_write) = (cache_read.unwrap_or(0), cache_write.unwrap_or(0));
        Some(Self {
            input: input?.saturating_sub(cache_read.saturating_add(cache_write)),
            cache_read,
            cache_write,
            output: output?,
            reasoning: reasoning.unwrap_or(0),
        })
    }

    /// Lays the `usage` of a message over what is known: in a stream it comes at the start and again at the end, where
    /// the numbers are totals and may correct earlier ones. Says whether the output was told; broken JSON changes
    /// nothing.
    pub fn overlay_message(&mut self, json: &[u8]) -> Option<bool> {
        let (mut input, mut output) = (None, None);
        let (mut cache_read, mut cache_write, mut reasoning) = (None, None, None);
        each_member(json, |name, value| match name {
            b"input_tokens" => count(&mut input, value),
            b"output_tokens" => count(&mut output, value),
            b"cache_read_input_tokens" => count(&mut cache_read, value),
            b"cache_creation_input_tokens" => count(&mut cache_write, value),
            b"output_tokens_details" => each_detail(value, |name, value| match name {
                b"thinking_tokens" => count(&mut reasoning, value),
                _ => Some(()),
            }),
            _ => Some(()),
        })?;
        let overlay = |known: &mut u64, new: Option<u64>| *known = new.unwrap_or(*known);
        overlay(&mut self.input, input);
        overlay(&mut self.cache_read, cache_read);
        overlay(&mut self.cache_write, cache_write);
        overlay(&mut self.output, output);
        overlay(&mut self.reasoning, reasoning);
        Some(output.is_some())
    }
}

/// The number in a slot that was not filled before. Every one may be absent or null: compatible servers send what they
/// count.
fn count(slot: &mut Option<u64>, value: &[u8]) -> Option<()> {
    if value == b"null" {
        return Some(());
    }
    let counted = std::str::from_utf8(value).ok()?.parse().ok();
    (slot.is_none() && counted.is_some()).then(|| *slot = counted)
}

/// Shows each member of an object, the name without its quotes; none where the text is not one object or `each` does
/// not take a member.
fn each_member<'j>(json: &'j [u8], mut each: impl FnMut(&'j [u8], &'j [u8]) -> Option<()>) -> Option<()> {
    let mut scanner = Scanner::new(json, 0);
    scanner.space();
    if json.get(scanner.at()) != Some(&b'{') {
        return None;
    }
    let mut more = scanner.enter(b'}').ok()?;
    while more {
        let key = scanner.key().ok()?;
        let value = scanner.value(&Inside::Nothing).ok()?;
        each(key.inside().of(json), value.of(json))?;
        more = scanner.more(b'}').ok()?;
    }
    scanner.space();
    (scanner.at() == json.len()).then_some(())
}

/// The same for details, which may be null.
fn each_detail<'j>(json: &'j [u8], each: impl FnMut(&'j [u8], &'j [u8]) -> Option<()>) -> Option<()> {
    if json == b"null" { Some(()) } else { each_member(json, each) }
}
