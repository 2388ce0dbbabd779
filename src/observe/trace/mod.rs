//! Traces: requests leave plain values behind, put them into a bounded queue and never wait; a thread of its own makes spans of them and
//! tells a collector, by OTLP. What cannot be told is dropped and counted.

mod context;
mod encode;
mod export;
mod otlp;
mod queue;
mod span;

#[cfg(test)]
mod tests;

pub use context::{SpanId, TraceContext, TraceId, is_state};
pub use export::Telling;
pub use queue::Tracer;
pub use span::{Answered, Asked, FlagEvent, RequestSpan, Times, Trace, TrySpan};
