//! Signs of life for a caller whose stream is silent while the model thinks: comments, which every reader of event streams skips.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::wire::EventGap;

/// When the next comment is due, and whether there is a place for it.
#[derive(Debug)]
pub(super) struct Heartbeat {
    every: Duration,
    last: Option<Instant>,
    /// Follows what the caller was given.
    gap: EventGap,
}

/// A comment and the end of its block.
const COMMENT: &[u8] = b": \n\n";

impl Heartbeat {
    /// Nothing has been handed over yet.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, last: None, gap: EventGap::default() }
    }

    /// The caller is given this.
    pub(super) fn passes(&mut self, bytes: &[u8]) {
        self.gap.passes(bytes);
    }

    /// When it is due in a silence that began then.
    pub(super) fn due(&self, silent_since: Instant) -> Instant {
        self.last.map_or(silent_since, |last| last.max(silent_since)) + self.every
    }

    /// It is due: the comment, unless half an event has passed. Then it is not tried again before its next time.
    pub(super) fn beat(&mut self, now: Instant) -> Option<Bytes> {
        self.last = Some(now);
        self.gap.is_between_events().then(|| Bytes::from_static(COMMENT))
    }
}
