//! From a target that failed to the next one of the route's chain: whether it may be, and who it is. Never after a byte of an
//! answer went out, and each target once.

use std::sync::Arc;

use crate::clock;
use crate::config::FallbackOn;
use crate::observe::Outcome;
use crate::proxy::attempts::{self, Fault};
use crate::proxy::decide::{Answerer, Decision, FallbackCause};
use crate::proxy::error::ProxyError;
use crate::proxy::exchange::Exchange;
use crate::rollout::Admission;
use crate::snapshot::{KeyWish, ModelPlan, ReplyPlan, RoutePlan, TargetPlan, View};
use crate::wire::ErrorCode;

/// How a target failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// What `fallback_on` calls it.
    pub(super) on: FallbackOn,
    /// How its try is counted.
    pub(super) outcome: Outcome,
}

impl Failed {
    /// With an error of ours; `None`: it is no failure of the target.
    pub(super) fn by(error: &ProxyError) -> Option<Self> {
        let on = match error.code {
            _ if super::retry::is_unwritten(error) && error.outcome() != Outcome::CallerError => {
                FallbackOn::Connect
            }
            ErrorCode::UpstreamTimeout => FallbackOn::Timeout,
            ErrorCode::UpstreamConnect | ErrorCode::UpstreamTls => FallbackOn::Connect,
            ErrorCode::UpstreamReset | ErrorCode::UpstreamProtocol | ErrorCode::UpstreamCredential => {
                FallbackOn::ServerError
            }
            _ => return None,
        };
        Some(Self { on, outcome: error.outcome() })
    }

    /// With an answer of this status; `None`: it is the caller's to see.
    pub(super) fn with(status: u16) -> Option<Self> {
        let on = match status {
            429 => FallbackOn::TooManyRequests,
            500..=599 => FallbackOn::ServerError,
            _ => return None,
        };
        Some(Self { on, outcome: Outcome::UpstreamError })
    }

    /// Whose fault that is.
    fn fault(self) -> Fault {
        match self.on {
            FallbackOn::Connect => Fault::Unreached,
            FallbackOn::TooManyRequests => Fault::NoRoom,
            _ => Fault::Own,
        }
    }

    fn cause(self) -> FallbackCause {
        match self.on {
            FallbackOn::Timeout => FallbackCause::Timeout,
            _ => FallbackCause::UpstreamError,
        }
    }
}

/// Whether another target may ever be asked: decided before a request is sent, since what is sent is kept only then.
pub(super) fn has_next(exchange: &Exchange) -> bool {
    exchange.decision.as_ref().is_some_and(|decision| !decision.rest.is_empty())
}

/// Whether the first event of a stream is waited for: an error there would lead on.
pub(super) fn waits_for_event(exchange: &Exchange) -> bool {
    let named = |on| exchange.route.as_ref().is_some_and(|route| route.fallback_on.has(on));
    exchange.stream
        && exchange.endpoint.answers()
        && has_next(exchange)
        && (named(FallbackOn::ServerError)
            || named(FallbackOn::TooManyRequests)
            || named(FallbackOn::Timeout))
}

/// Moves the decision to the next target that may be asked. `false`: what failed stays, and is what the caller gets. `fits` says
/// whether a reply can answer this request.
pub(super) fn go_on(
    exchange: &mut Exchange,
    failed: Failed,
    fits: impl Fn(&Exchange, &ReplyPlan) -> bool,
) -> bool {
    let leads = exchange.route.as_ref().is_some_and(|route| route.fallback_on.has(failed.on));
    if !leads {
        return false;
    }
    let Some(next) = take_next(exchange, fits) else { return false };
    attempts::leave(exchange, failed.outcome, failed.fault());
    put(exchange, next, failed.cause());
    true
}

/// Moves the decision on from a reply that does not fit the request.
pub(crate) fn pass_over(exchange: &mut Exchange, fits: impl Fn(&Exchange, &ReplyPlan) -> bool) -> bool {
    let Some(next) = take_next(exchange, fits) else { return false };
    if exchange.decision.as_ref().is_some_and(|decision| decision.fallback.is_none()) {
        attempts::unfit(exchange);
    }
    put(exchange, next, FallbackCause::CannotTake);
    true
}

/// Moves the decision on from a model for which the request cannot be translated.
pub(crate) fn leave_unsaid(exchange: &mut Exchange, fits: impl Fn(&Exchange, &ReplyPlan) -> bool) -> bool {
    let Some(next) = take_next(exchange, fits) else { return false };
    attempts::unsaid(exchange);
    put(exchange, next, FallbackCause::CannotTake);
    true
}

/// Moves the decision on from a reply whose service failed; what was noted of that.
pub(crate) fn leave_reply(exchange: &mut Exchange, fits: impl Fn(&Exchange, &ReplyPlan) -> bool) -> bool {
    attempts::note(exchange, Outcome::UpstreamError, Fault::Own);
    let Some(next) = take_next(exchange, fits) else { return false };
    attempts::leave(exchange, Outcome::UpstreamError, Fault::Own);
    put(exchange, next, FallbackCause::UpstreamError);
    true
}

fn put(exchange: &mut Exchange, next: TargetPlan, cause: FallbackCause) {
    exchange.again = 0;
    exchange.noted = false;
    exchange.provider = None;
    exchange.aboard.clear();
    exchange.key = None;
    exchange.target_began = Some(clock::now());
    let Some(decision) = &mut exchange.decision else { return };
    decision.answerer = match next {
        TargetPlan::Model(plan) => Answerer::Model { plan, as_sent: false },
        TargetPlan::Reply(plan) => Answerer::Reply(Some(plan)),
    };
    // The first cause is why the answer is not from what the flags chose.
    decision.fallback = decision.fallback.or(Some(cause));
}

/// The next that may be asked at this moment; those before it are used up.
fn take_next(exchange: &mut Exchange, fits: impl Fn(&Exchange, &ReplyPlan) -> bool) -> Option<TargetPlan> {
    if is_fixed(exchange.decision.as_ref()?) {
        return None;
    }
    let rest = std::mem::take(&mut exchange.decision.as_mut()?.rest);
    let view = exchange.newest();
    let mut rest = rest.into_iter();
    let found = rest.by_ref().find(|target| match target {
        TargetPlan::Model(plan) => may_serve(exchange, &view, plan),
        TargetPlan::Reply(plan) => fits(exchange, plan),
    });
    exchange.decision.as_mut()?.rest = rest.collect();
    found
}

/// State that a provider holds fixes the target.
fn is_fixed(decision: &Decision) -> bool {
    decision.callers_key || matches!(decision.key, KeyWish::Held(_))
}

fn may_serve(exchange: &Exchange, view: &View, plan: &ModelPlan) -> bool {
    let Some(route) = &exchange.route else { return false };
    let enabled = exchange.decision.as_ref().is_some_and(|decision| decision.enabled);
    enabled
        && plan.provider.provider.kind.asked_in(exchange.endpoint).is_some()
        && !view.live.route_killed(route)
        && !view.live.model_killed(plan)
        && admitted(exchange, route, plan)
}

fn admitted(exchange: &Exchange, route: &RoutePlan, plan: &ModelPlan) -> bool {
    let breaker = route.model_breakers.get(plan.place).and_then(Option::as_ref);
    breaker.is_none_or(|breaker| match exchange.endpoint.answers() {
        true => breaker.admits(clock::uptime()) != Admission::No,
        // Nobody is told what comes of it: it is no probe.
        false => breaker.would_admit(clock::uptime()),
    })
}

/// Whether who answers was not switched off since: a retry must not be what a kill lets through.
pub(super) fn still_serves(exchange: &Exchange) -> bool {
    if Arc::ptr_eq(&exchange.gateway().store.load(), &exchange.snapshot) {
        return true;
    }
    let view = exchange.newest();
    if view.live.quiet {
        return true;
    }
    let killed = |decision: &Decision| match &decision.answerer {
        Answerer::Model { plan, .. } => view.live.model_killed(plan),
        Answerer::Unknown { provider } | Answerer::PassThrough { provider } => {
            // Which model that was, nobody kept: rather no second try than one of a model that is killed.
            view.live.provider_killed(provider) || view.live.kills_strangers()
        }
        Answerer::Reply(_) | Answerer::Nobody => false,
    };
    !exchange.route.as_ref().is_some_and(|route| view.live.route_killed(route))
        && !exchange.decision.as_ref().is_some_and(killed)
}

/// Its breaker has opened: a probe that failed, or the failure that tripped it, is not tried again.
pub(super) fn is_shut(exchange: &Exchange) -> bool {
    let (Some(route), Some(decision)) = (&exchange.route, &exchange.decision) else { return false };
    let Answerer::Model { plan, .. } = &decision.answerer else { return false };
    let breaker = route.model_breakers.get(plan.place).and_then(Option::as_ref);
    breaker.is_some_and(|breaker| !breaker.would_admit(clock::uptime()))
}
