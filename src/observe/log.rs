//! Structured logs: one JSON line per event on standard error, never a prompt, an answer, a key or a raw targeting key.
//!
//! Written by a thread of their own through a bounded queue: a blocked pipe never blocks a request. What does not fit in
//! is dropped and counted in the next line that gets through.

use std::io::Write;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines kept while standard error is blocked: about 16 MiB of them at the most.
const QUEUED_LINES: usize = 32_768;

/// Without `DIMMER_LOG`: our own state changes, and of the libraries below only what is broken. Their warnings are about
/// callers that misbehave, which we count.
pub const DEFAULT_FILTER: &str = "info,h2=error,hyper=error,rustls=error";

/// Starts logging. `filter` is `DIMMER_LOG`'s syntax (`info`, `dimmer=debug`, …); a bad one falls back to the default. Dropping
/// the guard writes out what is queued.
pub fn start(filter: &str) -> WorkerGuard {
    start_into(filter, std::io::stderr())
}

/// The same into `place`, such as a file, for who shows something else on the terminal.
pub fn start_into(filter: &str, place: impl Write + Send + 'static) -> WorkerGuard {
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES).finish(place);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish();
    // A second call in one process keeps the first subscriber: tests start several gateways.
    let _ = tracing::subscriber::set_global_default(subscriber);
    guard
}
