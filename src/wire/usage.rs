//! How many tokens an answer took, in one form for both dialects.
//!
//! Serves the relay through the tap. OpenAI's prompt count includes what came from the cache, Anthropic's does not;
//! mixing the two is the most common error in the cost of an answer, so they are made equal here and nowhere else.

mod responses;
#[cfg(test)]
mod tests;

use serde::Deserialize;

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
        let told: ChatUsage = serde_json::from_slice(json).ok()?;
        let details = told.prompt_tokens_details.unwrap_or_default();
        let cache_read = details.cached_tokens.unwrap_or(0);
        let cache_write = details.cache_write_tokens.unwrap_or(0);
        let cached = cache_read.saturating_add(cache_write);
        let reasoning = told.completion_tokens_details.and_then(|output| output.reasoning_tokens);
        Some(Self {
            input: told.prompt_tokens?.saturating_sub(cached),
            cache_read,
            cache_write,
            output: told.completion_tokens?,
            reasoning: reasoning.unwrap_or(0),
        })
    }

    /// Lays the `usage` of a message over what is known: in a stream it comes at the start and again at the end, where
    /// the numbers are totals and may correct earlier ones. Says whether the output was told; broken JSON changes
    /// nothing.
    pub fn overlay_message(&mut self, json: &[u8]) -> Option<bool> {
        let told: MessageUsage = serde_json::from_slice(json).ok()?;
        let overlay = |known: &mut u64, new: Option<u64>| *known = new.unwrap_or(*known);
        overlay(&mut self.input, told.input_tokens);
        overlay(&mut self.cache_read, told.cache_read_input_tokens);
        overlay(&mut self.cache_write, told.cache_creation_input_tokens);
        overlay(&mut self.output, told.output_tokens);
        overlay(&mut self.reasoning, told.output_tokens_details.and_then(|details| details.thinking_tokens));
        Some(told.output_tokens.is_some())
    }
}

// Every member may be absent or null: compatible servers send what they count.

#[derive(Deserialize)]
struct ChatUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct MessageUsage {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}
