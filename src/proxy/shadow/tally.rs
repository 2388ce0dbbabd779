//! One shadow's account of one request: it ends in exactly one outcome, also when nobody says which.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock;
use crate::record::{Attempt, Body, Record, Recorder, ShadowOutcome};
use crate::snapshot::ShadowPlan;
use crate::units::PicoUsd;

/// Counted and recorded when it is ended; as `shutdown` when it is dropped before.
#[derive(Debug)]
pub(super) struct Tally {
    plan: Arc<ShadowPlan>,
    recorder: Recorder,
    request_id: String,
    model: Arc<str>,
    primary_model: Arc<str>,
    ended: bool,
}

impl Tally {
    /// For one request that could be copied.
    pub(super) fn new(
        plan: &Arc<ShadowPlan>,
        recorder: &Recorder,
        request_id: &str,
        model: &str,
        primary_model: &Arc<str>,
    ) -> Self {
        let kept = recorder.is_on();
        Self {
            plan: Arc::clone(plan),
            recorder: recorder.clone(),
            request_id: if kept { request_id.to_owned() } else { String::new() },
            model: if kept { model.into() } else { Arc::from("") },
            primary_model: Arc::clone(primary_model),
            ended: false,
        }
    }

    /// Keeps a body of the request or of one of its answers, `most` bytes of it; `cut`: there was more.
    pub(super) fn body(&self, part: Arc<str>, bytes: Bytes, most: usize, cut: bool) {
        if !self.recorder.is_on() || (bytes.is_empty() && !cut) {
            return;
        }
        let body = Body::of(&self.request_id, part, clock::unix_us(), bytes, most, cut);
        self.recorder.put(Record::Body(Box::new(body)));
    }

    /// The request's own id, and where records are put.
    pub(super) fn of(&self) -> (String, Recorder) {
        (self.request_id.clone(), self.recorder.clone())
    }

    /// The model that answered the caller, where that is not the one that was decided.
    pub(super) fn answered_by(&mut self, model: &Arc<str>) {
        self.primary_model = Arc::clone(model);
    }

    /// The copy is about to be sent; so much was set aside for it.
    pub(super) fn began(&self, aside: PicoUsd) {
        self.record(|attempt| attempt.cost_pico = Some(aside.0));
    }

    /// It has ended without an answer to compare.
    pub(super) fn end(self, outcome: ShadowOutcome, cause: &str) {
        self.end_with(outcome, cause, |_| {});
    }

    /// It has ended; `fill` says what else is known of it.
    pub(super) fn end_with(mut self, outcome: ShadowOutcome, cause: &str, fill: impl FnOnce(&mut Attempt)) {
        self.settle(outcome, cause, fill);
    }

    fn settle(&mut self, outcome: ShadowOutcome, cause: &str, fill: impl FnOnce(&mut Attempt)) {
        self.ended = true;
        self.plan.series.ended(outcome.as_str());
        self.record(|attempt| {
            attempt.outcome = Some(outcome);
            attempt.cause = (!cause.is_empty()).then(|| cause.into());
            fill(attempt);
        });
    }

    fn record(&self, fill: impl FnOnce(&mut Attempt)) {
        if !self.recorder.is_on() {
            return;
        }
        let mut attempt = Attempt {
            request_id: self.request_id.clone(),
            route: Arc::clone(&self.plan.route),
            shadow: Arc::clone(&self.plan.name),
            at_us: clock::unix_us(),
            model: Arc::clone(&self.model),
            primary_model: Arc::clone(&self.primary_model),
            ..Attempt::default()
        };
        fill(&mut attempt);
        self.recorder.put(Record::Shadow(Box::new(attempt)));
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !self.ended {
            self.settle(ShadowOutcome::Shutdown, "", |_| {});
        }
    }
}
