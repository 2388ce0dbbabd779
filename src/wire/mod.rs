//! PURE. The LLM APIs' wire formats: what we touch in each, byte for byte everything else; SSE; usage; errors.
//!
//! No I/O, no clock, no random numbers, no logs. Bytes from a peer never panic here.

mod edit;
mod endpoint;
mod fit;
mod json;
mod request;
mod system_prompt;

pub use edit::{Edits, Frames};
pub use endpoint::{Dialect, Endpoint};
pub use fit::Fit;
pub use json::{DEPTH_MAX, JsonError, JsonFault, Span};
pub use request::{MEMBERS_MAX, RequestView};
pub use system_prompt::PromptMode;
