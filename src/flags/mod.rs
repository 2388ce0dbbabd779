//! PURE. An evaluation context and a flag give a variant, its value and the reason.
//!
//! Serves the `decide` stage, `dimmer explain` and everything that asks who would get what. No I/O, no clock, no
//! random numbers, no logs, and evaluating never fails: what goes wrong is a reason of the result.

mod bucket;
mod condition;
mod context;
mod coverage;
mod evaluate;
mod flag;
mod holds;
mod key;
mod settled;
mod told;

#[cfg(test)]
mod tests;

pub use bucket::{BUCKETS, bucket, salt_seed};
pub use condition::{Condition, Literal, Operator, Order, Segment, Test};
pub use context::{Attribute, AttributeValue, Context};
pub use coverage::{RuleShare, Takes, coverage};
pub use evaluate::{Draws, Evaluation, EvaluationError, FlagState, Reason, draws, evaluate};
pub use flag::{By, Flag, Lifetime, Rule, Serve, Slice, Value, Variant, VariantIndex};
pub use settled::{Knows, open_rule};
