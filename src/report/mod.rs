//! What may be said of the records: the impact of a flag, who adopts what, how a shadow compares. Pure but for what it is given to
//! read: rows in, a report out.

pub mod adoption;
mod explained;
pub mod impact;
pub mod plan;
pub mod shadow;

pub use explained::{FeedbackShown, FlagShown, RequestExplanation, TokensShown, request};
