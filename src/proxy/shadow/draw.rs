//! Which shadows get a copy of a request, as far as that is known when it is decided: what the context alone knows is asked here.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::flags::Context;
use crate::proxy::decide::{Answerer, Decision};
use crate::proxy::rewrite::Candidate;
use crate::record::ShadowOutcome;
use crate::snapshot::{EvaluatorPlan, Live, RoutePlan, ShadowPlan, View};
use crate::wire::{Endpoint, PromptMode};

/// What was drawn for one request.
#[derive(Debug)]
pub(crate) struct Drawn {
    pub(super) draws: SmallVec<[Draw; 1]>,
    /// Who scores the answer.
    pub(super) evaluators: SmallVec<[Arc<EvaluatorPlan>; 1]>,
}

/// One shadow's part.
#[derive(Debug)]
pub(super) struct Draw {
    pub(super) plan: Arc<ShadowPlan>,
    /// Who gets the copy, or why nobody does, with a word for records.
    pub(super) result: Result<Candidate, NoCopy>,
    /// The system prompt, as escaped JSON text, where it is not the caller's.
    pub(super) prompt: Option<(Bytes, PromptMode)>,
}

/// Why there is no copy, and a word for records where the outcome alone does not say.
pub(super) type NoCopy = (ShadowOutcome, &'static str);

/// Draws for a request that is about to be asked of somebody. `None`: no shadow could get a copy of such a one, and nobody scores it.
pub(crate) fn draw(
    view: &View,
    route: &RoutePlan,
    endpoint: Endpoint,
    context: &Context<'_>,
    decision: &Decision,
) -> Option<Box<Drawn>> {
    let nobody = route.shadows.is_empty() && route.evaluators.is_empty();
    if nobody || !endpoint.answers() || !is_eligible(decision) {
        return None;
    }
    let one = |plan: &Arc<ShadowPlan>| {
        let mut prompt = None;
        let result = candidate(view, route, endpoint, context, decision, plan).and_then(|candidate| {
            if let Some(own) = &plan.prompt {
                let text = own.json_text(context, &view.attribute_names);
                let text = text.map_err(|_| (ShadowOutcome::CannotTranslate, "system_prompt"))?;
                prompt = Some((text, route.prompt_mode));
            }
            Ok(candidate)
        });
        Draw { plan: Arc::clone(plan), result, prompt }
    };
    let asked = matches!(decision.answerer, Answerer::Model { .. } | Answerer::Unknown { .. });
    let evaluators = route.evaluators.iter().filter(|plan| asked && plan.draws(context)).map(Arc::clone);
    let drawn = Drawn { draws: route.shadows.iter().map(one).collect(), evaluators: evaluators.collect() };
    (!drawn.draws.is_empty() || !drawn.evaluators.is_empty()).then(|| Box::new(drawn))
}

/// A language model is asked, or the route's own word is that a reply answers. Where a reply stands in for something that is switched
/// off, nobody is to be asked.
fn is_eligible(decision: &Decision) -> bool {
    match &decision.answerer {
        Answerer::Model { .. } | Answerer::Unknown { .. } => true,
        Answerer::Reply(Some(_)) => decision.enabled && decision.fallback.is_none(),
        Answerer::Reply(None) | Answerer::Nobody | Answerer::PassThrough { .. } => false,
    }
}

fn candidate(
    view: &View,
    route: &RoutePlan,
    endpoint: Endpoint,
    context: &Context<'_>,
    decision: &Decision,
    plan: &Arc<ShadowPlan>,
) -> Result<Candidate, NoCopy> {
    if !view.live.quiet && view.live.shadow_killed(route, plan) {
        return Err((ShadowOutcome::Killed, ""));
    }
    if !plan.draws(context) {
        return Err((ShadowOutcome::SampledOut, ""));
    }
    let candidate = Candidate::of(plan.model.as_ref(), decision);
    let candidate = candidate.ok_or((ShadowOutcome::CannotTranslate, "no_model"))?;
    if is_killed(&view.live, &candidate) {
        return Err((ShadowOutcome::Killed, "candidate"));
    }
    if candidate.provider.provider.kind.asked_in(endpoint).is_none() {
        return Err((ShadowOutcome::CannotTranslate, "dialect"));
    }
    if candidate.model.as_ref().is_some_and(|model| !model.model.allow.holds(context)) {
        return Err((ShadowOutcome::NotAllowed, ""));
    }
    // A candidate that hangs costs its callers' thread no more than this look.
    if plan.ledger.is_full(plan.shadow.concurrent) {
        return Err((ShadowOutcome::OverConcurrency, ""));
    }
    Ok(candidate)
}

/// Whether nobody calls the candidate.
pub(super) fn is_killed(live: &Live, candidate: &Candidate) -> bool {
    !live.quiet
        && (live.all
            || live.provider_killed(&candidate.provider)
            || candidate.model.as_ref().is_some_and(|model| live.model_killed(model)))
}
