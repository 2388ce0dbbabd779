//! PURE. The LLM APIs' wire formats: what we touch in each, byte for byte everything else; SSE; usage; errors.
//!
//! No I/O, no clock, no random numbers, no logs. Bytes from a peer never panic here.

mod edit;
mod endpoint;
mod escapes;
mod fit;
mod json;
mod model_list;
mod params;
mod reasoning;
mod request;
mod system_prompt;
mod tools;

mod coding;
mod content;
mod error;
mod guard;
mod judge;
mod reply;
mod sse;
mod tap;
pub mod translate;
mod usage;
mod usage_filter;

pub use edit::{Edits, Frames};
pub use endpoint::{Dialect, Endpoint};
pub use escapes::unescaped;
pub use fit::Fit;
pub use json::{DEPTH_MAX, JsonError, JsonFault, JsonPieces, Span};
pub use model_list::{ListPage, ListedModel, model_entry, model_list};
pub use params::{PARAMS, Param, ParamEdit, ParamValue, refuses_sampling};
pub use request::{HeldKind, MEMBERS_MAX, RequestView};
pub use system_prompt::PromptMode;

pub use coding::{CodingError, StreamDecoder, decodable, decode_body, is_identity};
pub use content::{Call, Collector, Content, Wanted, wanted};
pub use error::{ErrorCode, ErrorParts, error_body, error_event, error_type};
pub use guard::{CutParts, REPETITION_WINDOW, REPETITIONS, Repetition, cut_events};
pub use judge::{
    JUDGE_TOKENS_MAX, Question, judge_body, preference_question, read_preference, read_score, score_question,
};
pub use reply::{ReplyParts, reply_id, reply_stream, reply_whole};
pub use sse::{EventGap, EventRef, INSPECT_MAX, SseScanner};
pub use tap::{Facts, Finish, Tap, Words};
pub use usage::Usage;
pub use usage_filter::UsageFilter;
