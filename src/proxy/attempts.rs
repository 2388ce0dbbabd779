//! What attempts tell the breakers: each is its own model's, and the last one at the target that the flags chose is the variants'. A
//! second try there that succeeds is their success; a rescue by the fallback is none.
//!
//! Each is told once: one that is left is told when it is left, since what is tried next may take minutes, and the last one when
//! the exchange ends. A caller's own fault and its hang-up say nothing of a target, and neither does what was never tried; they
//! give a probe's place back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::observe::Outcome;
use crate::proxy::decide::{Answerer, Decision, Evaluated, Refused};
use crate::proxy::error::Phase;
use crate::proxy::exchange::Exchange;
use crate::proxy::trace;
use crate::rollout::Sample;
use crate::snapshot::{Breaker, RoutePlan, SlotPlan};
use crate::wire::ErrorCode;

/// What an attempt came to.
#[derive(Clone, Debug)]
struct Came {
    /// `None`: it says nothing of the target.
    sample: Option<Sample>,
    /// How long ago it began.
    took: Duration,
}

impl Came {
    fn tell(&self, breaker: &Breaker, now: Duration) {
        match &self.sample {
            Some(sample) => breaker.record(sample, now),
            None => breaker.dropped(now.saturating_sub(self.took)),
        }
    }
}

/// How an attempt failed that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The target was reached, and failed.
    Own,
    /// It was not reached: connect, DNS, TLS.
    Unreached,
    /// It has no room: 429.
    NoRoom,
}

/// Notes an attempt that failed, if that was not done yet: it is not the last one. The next one's time begins when it is sent.
pub(super) fn note(exchange: &mut Exchange, outcome: Outcome, fault: Fault) {
    let (Some(route), Some(decision)) = (&exchange.route, &exchange.decision) else { return };
    if exchange.noted {
        return;
    }
    if is_watched(exchange, route)
        && let Some(breaker) = model_breaker(route, decision.place(route))
    {
        failed(exchange, outcome, fault).tell(breaker, clock::uptime());
    }
    exchange.tried += 1;
    exchange.noted = true;
    trace::leaves(exchange, outcome);
}

/// The target failed and is left for another: where the flags chose it, that is what their variants came to.
pub(super) fn leave(exchange: &mut Exchange, outcome: Outcome, fault: Fault) {
    note(exchange, outcome, fault);
    // Where the route is off nothing was chosen that could fail: one reply stands in for another.
    let chosen = exchange.decision.as_ref().is_some_and(|decision| decision.enabled);
    if exchange.assigned.is_some() || !chosen {
        return;
    }
    exchange.assigned = Some(outcome);
    if let (Some(route), Some(decision)) = (&exchange.route, &exchange.decision)
        && is_watched(exchange, route)
    {
        tell_variants(decision, &failed(exchange, outcome, fault), clock::uptime());
    }
}

/// What the flag of the model chose does not fit the request, and another target answers: nobody stopped the variant, which is at
/// fault.
pub(super) fn unfit(exchange: &mut Exchange) {
    let watched = exchange.route.as_ref().is_some_and(|route| is_watched(exchange, route));
    let (Some(route), Some(decision)) = (&exchange.route, &mut exchange.decision) else { return };
    let SlotPlan::Flag { plan, .. } = &route.model else { return };
    let mut evaluated = decision.evaluated.iter_mut();
    let found = evaluated.find(|one| Arc::ptr_eq(&one.plan.flag, &plan.flag));
    let Some(one) = found.filter(|one| one.passed_over.is_none()) else { return };
    one.passed_over = Some(Refused::CannotTake);
    if watched && let Some(breaker) = breaker_of(one) {
        let sample = Sample { error: true, ..Sample::default() };
        Came { sample: Some(sample), took: Duration::ZERO }.tell(breaker, clock::uptime());
    }
}

/// The request cannot be translated for the model that was decided, and another target answers: nobody was asked.
pub(super) fn unsaid(exchange: &mut Exchange) {
    if let (Some(route), Some(decision)) = (&exchange.route, &exchange.decision)
        && is_watched(exchange, route)
        && let Some(breaker) = model_breaker(route, decision.place(route))
    {
        let now = clock::uptime();
        unasked(exchange, decision, now).tell(breaker, now);
    }
    if exchange.decision.as_ref().is_some_and(|decision| decision.fallback.is_none()) {
        unfit(exchange);
    }
}

/// What the present attempt came to, which failed.
fn failed(exchange: &Exchange, outcome: Outcome, fault: Fault) -> Came {
    let began = exchange.target_began.unwrap_or(exchange.started);
    let took = clock::now().saturating_duration_since(began);
    let sample = Sample { unreachable: fault != Fault::Own, took, ..Sample::default() };
    let own = fault == Fault::NoRoom && exchange.callers_key_sent;
    Came { sample: failing(sample, outcome).filter(|_| !own), took }
}

/// The exchange has ended: tells the route's breakers what its last attempt came to.
pub(super) fn record(exchange: &Exchange, route: &RoutePlan, outcome: Outcome, ended: Instant) {
    let Some(decision) = exchange.decision.as_ref().filter(|_| exchange.endpoint.answers()) else { return };
    if let (Answerer::Model { plan, .. }, Some(facts)) = (&decision.answerer, &exchange.facts)
        && let (Some(name), Some(answered)) = (&facts.answered_model, route.answered.get(plan.place))
    {
        answered.says(name);
    }
    if !is_watched(exchange, route) {
        return;
    }
    let now = clock::uptime();
    let last = last(exchange, decision, outcome, ended);
    if let Answerer::Model { plan, .. } = &decision.answerer
        && let Some(breaker) = model_breaker(route, plan.place).filter(|_| !exchange.noted)
    {
        last.clone().unwrap_or_else(|| unasked(exchange, decision, now)).tell(breaker, now);
    }
    if exchange.assigned.is_none() {
        let came = match last {
            Some(last) => last,
            // What the flags chose cannot take the request: nobody was asked, and the variant is at fault all the same.
            None if outcome == Outcome::UpstreamError => {
                Came { sample: Some(Sample { error: true, ..Sample::default() }), took: Duration::ZERO }
            }
            None => unasked(exchange, decision, now),
        };
        tell_variants(decision, &came, now);
    }
}

fn is_watched(exchange: &Exchange, route: &RoutePlan) -> bool {
    route.route.breaker.is_some() && exchange.endpoint.answers()
}

/// A request that was answered because of a kill, an open breaker or a tier guard says nothing of the variant.
fn tell_variants(decision: &Decision, came: &Came, now: Duration) {
    let was_tried = |one: &&Evaluated| one.passed_over.is_none();
    for breaker in decision.evaluated.iter().filter(was_tried).filter_map(breaker_of) {
        came.tell(breaker, now);
    }
}

/// Who watches the assigned variant.
fn breaker_of(evaluated: &Evaluated) -> Option<&Arc<Breaker>> {
    evaluated.plan.breakers.get(usize::from(evaluated.evaluation.variant.0))?.as_ref()
}

fn model_breaker(route: &RoutePlan, place: usize) -> Option<&Arc<Breaker>> {
    route.model_breakers.get(place)?.as_ref()
}

/// Nobody was asked. Who was let through as a probe was that when it was decided, or when the chain went on.
fn unasked(exchange: &Exchange, decision: &Decision, now: Duration) -> Came {
    let took = match exchange.target_began.filter(|_| exchange.provider.is_none()) {
        Some(began) => clock::now().saturating_duration_since(began),
        None => now.saturating_sub(decision.at),
    };
    Came { sample: None, took }
}

/// What the last attempt came to. `None`: nobody was asked.
fn last(exchange: &Exchange, decision: &Decision, outcome: Outcome, ended: Instant) -> Option<Came> {
    let asked = exchange.provider.as_ref().and(exchange.target_began)?;
    if matches!(decision.answerer, Answerer::Reply(_)) {
        return None;
    }
    let took = ended.saturating_duration_since(asked);
    let facts = exchange.facts.as_ref();
    let whole = facts.filter(|facts| facts.complete && !facts.text_unknown && !facts.error);
    let sample = Sample {
        unreachable: unreachable(exchange),
        refused: outcome == Outcome::Refused,
        malformed: facts.and_then(|facts| facts.json_valid()).map(|valid| !valid),
        output_chars: whole.map(|facts| facts.output_chars),
        took,
        ..Sample::default()
    };
    let sample = match outcome {
        Outcome::Ok | Outcome::Refused => Some(sample),
        // An operator's own doing.
        _ if exchange.cut_off => None,
        // The limit of the caller's own key is the caller's: nobody else must be kept from the target by it.
        _ if exchange.status == Some(429) && exchange.callers_key_sent => None,
        _ => failing(sample, outcome),
    };
    Some(Came { sample, took })
}

/// Whose fault a failure is: 5xx, resets and cuts are the target's, time is counted apart, and what is the caller's is none.
fn failing(sample: Sample, outcome: Outcome) -> Option<Sample> {
    match outcome {
        Outcome::UpstreamError | Outcome::Cut if sample.unreachable => Some(sample),
        Outcome::UpstreamError | Outcome::Cut => Some(Sample { error: true, ..sample }),
        Outcome::Timeout if sample.unreachable => Some(sample),
        Outcome::Timeout => Some(Sample { timeout: true, ..sample }),
        Outcome::Ok
        | Outcome::Refused
        | Outcome::CallerError
        | Outcome::Cancelled
        | Outcome::Reply
        | Outcome::NotTried => None,
    }
}

/// The target was not reached, or had no room.
fn unreachable(exchange: &Exchange) -> bool {
    let connecting = match exchange.failed {
        Some((ErrorCode::UpstreamConnect | ErrorCode::UpstreamTls, _)) => true,
        Some((ErrorCode::UpstreamTimeout, phase)) => phase == Phase::Dispatch,
        _ => false,
    };
    connecting || exchange.status == Some(429)
}
