//! PURE. The LLM APIs' wire formats: what we touch in each, byte for byte everything else; SSE; usage; errors.
//!
//! No I/O, no clock, no random numbers, no logs. Bytes from a peer never panic here.

mod endpoint;
mod fit;
mod system_prompt;

pub use endpoint::{Dialect, Endpoint};
pub use fit::Fit;
pub use system_prompt::PromptMode;
