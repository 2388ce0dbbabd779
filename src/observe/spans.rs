//! What is counted of spans.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec};

use super::metrics::{Families, Metrics, MetricsError};

/// The family.
#[derive(Debug)]
pub(super) struct Spans {
    total: IntCounterVec,
}

impl Spans {
    pub(super) fn new(make: &Families) -> Result<Self, MetricsError> {
        let total = make.counters(
            "dimmer_spans_total",
            "Spans of traced requests, by what became of them (sent, rejected, refused, failed, queue_full, shutdown)",
            &["result"],
        )?;
        // There from the start: a counter that appears at 1 has not risen.
        for result in SpanResult::ALL {
            total.with_label_values(&[result.as_str()]);
        }
        Ok(Self { total })
    }
}

/// What became of a span: the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanResult {
    /// The collector has it.
    Sent,
    /// The collector took its batch and said that it did not keep this one.
    Rejected,
    /// The collector did not want its batch, now or later.
    Refused,
    /// The collector could not be reached, or was busy, for several tries.
    Failed,
    /// There was no room in the queue.
    QueueFull,
    /// The process ended.
    Shutdown,
}

impl SpanResult {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sent, Self::Rejected, Self::Refused, Self::Failed, Self::QueueFull, Self::Shutdown];

    /// As the metric spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::QueueFull => "queue_full",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What is said of spans.
#[derive(Clone, Debug)]
pub struct SpanSeries {
    results: [IntCounter; SpanResult::ALL.len()],
}

impl SpanSeries {
    /// The process's own.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        let results = SpanResult::ALL.map(|result| metrics.spans.total.with_label_values(&[result.as_str()]));
        Self { results }
    }

    /// So many have ended so.
    pub fn count(&self, result: SpanResult, spans: usize) {
        if let Some(counter) = self.results.get(result as usize) {
            counter.inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
        }
    }
}
