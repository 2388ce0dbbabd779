//! From a request that is about to be sent to copies in the queue: notes by reference, cheap reasons, and never a wait.

use std::sync::Arc;

use http::request::Parts;
use tokio::sync::oneshot;

use crate::clock;
use crate::proxy::decide::{Answerer, Decision, FallbackCause};
use crate::proxy::exchange::Exchange;
use crate::proxy::identify::{Identified, Reservation};
use crate::proxy::rewrite::{Candidate, Original, Payload};
use crate::proxy::shadow::bodies::Keeping;
use crate::proxy::shadow::draw::{Draw, Drawn, NoCopy};
use crate::proxy::shadow::evaluate;
use crate::proxy::shadow::life::Job;
use crate::proxy::shadow::tally::Tally;
use crate::proxy::shadow::thread::Work;
use crate::proxy::shadow::watch::{Primary, Watch};
use crate::proxy::trace;
use crate::record::ShadowOutcome;
use crate::snapshot::{KeyWish, ProviderPlan, RoutePlan, View};

/// A request and its shadows, until it is sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    drawn: Option<Box<Drawn>>,
    /// None where nobody gets a copy.
    original: Option<Arc<Original>>,
    keeping: Option<Keeping>,
}

/// Notes the request as it came: what is rewritten for the caller's provider takes it apart.
pub(crate) fn prepare(
    exchange: &mut Exchange,
    identified: &Identified,
    parts: &Parts,
    payload: &Payload,
) -> Option<Prepared> {
    let keeping = Keeping::of(exchange, payload);
    let drawn = exchange.drawn.take();
    if drawn.is_none() && keeping.is_none() {
        return None;
    }
    let wanted = drawn.as_ref().is_some_and(|drawn| {
        !drawn.evaluators.is_empty() || drawn.draws.iter().any(|draw| draw.result.is_ok())
    });
    let original = match payload {
        Payload::Read(held, view) if wanted => Original::of(exchange, identified, parts, held, view),
        _ => None,
    };
    Some(Prepared { drawn, original: original.map(Arc::new), keeping })
}

/// The request is sent now: each of its shadows has an outcome from here on, or will have one.
pub(crate) fn begin(exchange: &mut Exchange, prepared: Prepared) {
    let Prepared { drawn, original, keeping } = prepared;
    let waiting = drawn.map(|drawn| put(exchange, *drawn, original.as_ref())).unwrap_or_default();
    if !waiting.is_empty() || keeping.is_some() {
        exchange.watched = Some(Box::new(Watch::new(clock::now(), waiting, keeping)));
    }
}

/// Puts what was drawn into the queue. Gives those who are to be told how the caller's request ends.
fn put(
    exchange: &Exchange,
    drawn: Drawn,
    original: Option<&Arc<Original>>,
) -> Vec<oneshot::Sender<Arc<Primary>>> {
    let Some(decision) = &exchange.decision else { return Vec::new() };
    let shadows = &exchange.gateway().shadows;
    if !shadows.is_on() {
        return Vec::new();
    }
    let primary_model: Arc<str> = decision.model_label().into();
    let mut waiting = Vec::new();
    for draw in drawn.draws {
        let model = match (&draw.result, &draw.plan.model) {
            (Ok(candidate), _) => candidate.label(),
            (Err(_), Some(model)) => &model.model.name,
            (Err(_), None) => &primary_model,
        };
        let id = exchange.id.as_str();
        let tally = Tally::new(&draw.plan, shadows.recorder(), id, model, &primary_model);
        match job(exchange, decision, original, draw, tally) {
            Ok((job, primary)) => match shadows.put(Work::Copy(Box::new(job))) {
                Ok(()) => waiting.push(primary),
                Err(Work::Copy(job)) => job.tally.end(ShadowOutcome::OverConcurrency, "queue"),
                Err(Work::Score(_)) => {}
            },
            Err((tally, (outcome, cause))) => tally.end(outcome, cause),
        }
    }
    let told = drawn.evaluators.into_iter().filter_map(|plan| evaluate::begin(exchange, original, plan));
    waiting.extend(told);
    waiting
}

type Queued = (Job, oneshot::Sender<Arc<Primary>>);

fn job(
    exchange: &Exchange,
    decision: &Decision,
    original: Option<&Arc<Original>>,
    draw: Draw,
    tally: Tally,
) -> Result<Queued, (Tally, NoCopy)> {
    let Draw { plan, result, prompt } = draw;
    let candidate = match result {
        Ok(candidate) => candidate,
        Err(why) => return Err((tally, why)),
    };
    let Some(original) = original else {
        return Err((tally, (ShadowOutcome::CannotTranslate, "unread")));
    };
    let same = original.same(prompt.as_ref(), &plan.shadow.params);
    if let Some(why) = against(exchange, decision, &candidate, same) {
        return Err((tally, why));
    }
    let limit = exchange.snapshot.config.server.limits.memory;
    let held = &exchange.gateway().held_bytes;
    let Some(reservation) = Reservation::of(held, original.body.len() as u64, limit) else {
        return Err((tally, (ShadowOutcome::OverConcurrency, "memory")));
    };
    let (tell, primary) = oneshot::channel();
    let key = match decision.key {
        KeyWish::Sticky(subject) => KeyWish::Sticky(subject),
        KeyWish::First | KeyWish::Held(_) => KeyWish::Sticky(None),
    };
    let original = Arc::clone(original);
    let traced = trace::copied(exchange);
    Ok((Job { tally, original, plan, candidate, prompt, key, same, primary, reservation, traced }, tell))
}

/// What this moment says against a copy.
fn against(exchange: &Exchange, decision: &Decision, candidate: &Candidate, same: bool) -> Option<NoCopy> {
    let gateway = exchange.gateway();
    if *gateway.draining.borrow() {
        return Some((ShadowOutcome::Shutdown, ""));
    }
    if same && is_chosen(decision, candidate) {
        return Some((ShadowOutcome::SameAsPrimary, ""));
    }
    if exchange.route.as_ref().is_some_and(|route| in_trouble(exchange, route, decision, candidate)) {
        return Some((ShadowOutcome::PrimaryInTrouble, ""));
    }
    // Callers come first.
    gateway.is_short_of_files().then_some((ShadowOutcome::OverConcurrency, "files"))
}

/// The candidate is who was chosen for the caller.
fn is_chosen(decision: &Decision, candidate: &Candidate) -> bool {
    match (&decision.answerer, &candidate.model) {
        (Answerer::Model { plan, .. }, Some(model)) => Arc::ptr_eq(plan, model),
        (Answerer::Unknown { .. }, None) => true,
        _ => false,
    }
}

/// The provider of the caller's request, or the candidate itself, has trouble with callers' requests: a breaker of this route is open
/// there, all of its keys rest, or the present request is a fallback already.
fn in_trouble(exchange: &Exchange, route: &RoutePlan, decision: &Decision, candidate: &Candidate) -> bool {
    let fell = [FallbackCause::BreakerOpen, FallbackCause::UpstreamError, FallbackCause::Timeout];
    if decision.fallback.is_some_and(|cause| fell.contains(&cause)) {
        return true;
    }
    let provider = match &decision.answerer {
        Answerer::Model { plan, .. } => &plan.provider,
        Answerer::Unknown { provider } => provider,
        Answerer::Reply(_) | Answerer::Nobody | Answerer::PassThrough { .. } => &candidate.provider,
    };
    is_troubled(&exchange.snapshot, route, provider, candidate.model.as_ref().map(|model| model.place))
}

/// A breaker of the route is open at this provider, or for the model at `own` place; or all of the provider's keys rest.
pub(super) fn is_troubled(
    view: &View,
    route: &RoutePlan,
    provider: &ProviderPlan,
    own: Option<usize>,
) -> bool {
    let watched = route.model_breakers.iter().any(Option::is_some);
    if !watched && !provider.keys.several() {
        return false;
    }
    let now = clock::uptime();
    if provider.keys.several() && provider.keys.resting(now) == provider.keys.count() {
        return true;
    }
    let models = view.config.models.iter().enumerate();
    let mut near = models
        .filter(|(place, model)| model.provider.name == provider.provider.name || Some(*place) == own)
        .filter_map(|(place, _)| route.model_breakers.get(place)?.as_ref());
    near.any(|breaker| !breaker.would_admit(now))
}
