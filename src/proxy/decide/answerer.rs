//! Who answers: the first of the candidates that may be called, and who is tried after it.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::ReplyContent;
use crate::proxy::decide::guard::{Guard, Refused};
use crate::proxy::decide::own::{as_sent, cannot_speak, refused};
use crate::proxy::decide::slots::{Chosen, Slots};
use crate::proxy::decide::{Answerer, Decision};
use crate::proxy::error::ProxyError;
use crate::snapshot::{FlagPlan, ModelPlan, ProviderPlan, ReplyPlan, SlotPlan, TargetPlan};

/// The candidates of one request, one after the other.
pub(super) struct Walk<'a> {
    guard: Guard<'a>,
    /// The places of those that were looked at: each is, once.
    seen: SmallVec<[usize; 4]>,
    /// Why none of them may be called, in their order.
    reasons: SmallVec<[(Refused, Option<Arc<ModelPlan>>); 2]>,
}

/// Which part of the route's fallback can stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    /// Models and replies.
    Whole,
    /// `error` replies alone: no other model's vectors can be compared, of other calls no model is known, and a text answers
    /// neither.
    Errors,
}

/// Who generates: what the `model` slot says, then the flag's default where that was refused, then the fallback.
pub(super) fn generation(slots: &mut Slots<'_>) -> Decision {
    let guard = slots.guard;
    let slot = &guard.route.model;
    let chosen = slots.chosen(slot);
    let mut walk = Walk::new(guard);
    let first = walk.value(&chosen, |walk, target| Ok(walk.target(target)));
    let found = match first {
        Ok(None) => walk.default_of(slots, slot, &chosen),
        first => first,
    };
    walk.end(slots, slot, found, Chain::Whole)
}

/// Who makes embeddings: they keep their model unless the route has one for them. The flag of `model` never moves them.
pub(super) fn embeddings(slots: &mut Slots<'_>) -> Decision {
    let guard = slots.guard;
    let slot = &guard.route.embeddings;
    let chosen = slots.chosen(slot);
    let mut walk = Walk::new(guard);
    let found = walk.value(&chosen, |walk, plan| Ok(walk.model(plan, false)));
    walk.end(slots, slot, found, Chain::Errors)
}

/// Who takes what is no generation: the route's provider, as it is.
pub(super) fn pass_through(slots: &mut Slots<'_>, provider: Arc<ProviderPlan>) -> Decision {
    let mut walk = Walk::new(slots.guard);
    let found = walk.provider(Answerer::PassThrough { provider: Arc::clone(&provider) }, &provider);
    walk.end(slots, &SlotPlan::<TargetPlan>::AsSent, Ok(found), Chain::Errors)
}

impl<'a> Walk<'a> {
    fn new(guard: Guard<'a>) -> Self {
        Self { guard, seen: SmallVec::new(), reasons: SmallVec::new() }
    }

    /// The slot's value, or the request's own; an error where the app asks for what it may not have.
    fn value<T>(
        &mut self,
        chosen: &Chosen<'_, T>,
        as_target: impl Fn(&mut Self, &T) -> Result<Option<Answerer>, ProxyError>,
    ) -> Result<Option<Answerer>, ProxyError> {
        match (chosen.value, chosen.instead) {
            (Some(value), _) => as_target(self, value),
            (None, None) => self.own(),
            (None, Some(refused)) => {
                // All of the flag's own are gone, and for a model the chain follows; unless no flag decides at all, or its
                // default or `off` is the request's own model.
                let own = if chosen.spent && !self.guard.view.live.flags { Ok(None) } else { self.own() };
                if own.is_err() || self.reasons.is_empty() && matches!(own, Ok(None)) {
                    self.reasons.push((refused, None));
                }
                Ok(own.ok().flatten())
            }
        }
    }

    /// The flag's default, where the variant or `allow` refused the value.
    fn default_of(
        &mut self,
        slots: &Slots<'_>,
        slot: &SlotPlan<TargetPlan>,
        chosen: &Chosen<'_, TargetPlan>,
    ) -> Result<Option<Answerer>, ProxyError> {
        let denied = self.reasons.last().is_some_and(|(refused, _)| *refused == Refused::Denied);
        let SlotPlan::Flag { plan, values } = slot else { return Ok(None) };
        let default = plan.flag.default;
        let asked = !self.guard.view.live.flags && (denied || chosen.instead.is_some());
        if !asked || slots.refuses_stand_in(plan, default).is_some() {
            return Ok(None);
        }
        match values.get(usize::from(default.0)).and_then(Option::as_ref) {
            Some(target) => Ok(self.target(target)),
            // An app that may not ask for its model was not refused for that.
            None => Ok(self.own().unwrap_or_default()),
        }
    }

    /// The target, if it may be called.
    fn target(&mut self, target: &TargetPlan) -> Option<Answerer> {
        match target {
            TargetPlan::Model(plan) if self.guard.leads_on(plan) => {
                self.cannot_take(plan);
                None
            }
            TargetPlan::Model(plan) => self.model(plan, false),
            TargetPlan::Reply(plan) => {
                self.is_new(plan.place).then(|| Answerer::Reply(Some(Arc::clone(plan))))
            }
        }
    }

    /// The same of one of the fallback: it must also be able to take what the request holds.
    fn stand_in(&mut self, target: &TargetPlan) -> Option<Answerer> {
        if let TargetPlan::Model(plan) = target
            && !self.guard.can_take(plan)
        {
            self.cannot_take(plan);
            return None;
        }
        self.target(target)
    }

    fn cannot_take(&mut self, plan: &Arc<ModelPlan>) {
        if self.is_new(plan.place) {
            self.reasons.push((Refused::CannotTake, Some(Arc::clone(plan))));
        }
    }

    /// The model, if it may be called.
    fn model(&mut self, plan: &Arc<ModelPlan>, as_sent: bool) -> Option<Answerer> {
        if !self.is_new(plan.place) {
            return None;
        }
        match self.guard.model(plan) {
            Ok(()) => Some(Answerer::Model { plan: Arc::clone(plan), as_sent }),
            Err(refused) => {
                if refused == Refused::Denied && !self.guard.asks_only {
                    self.guard.route.series.tier_guarded(&plan.model.name);
                }
                self.reasons.push((refused, Some(Arc::clone(plan))));
                None
            }
        }
    }

    /// The provider of something whose model the configuration does not know, if it may be called.
    fn provider(&mut self, answerer: Answerer, provider: &ProviderPlan) -> Option<Answerer> {
        match self.guard.stranger(provider) {
            Ok(()) => Some(answerer),
            Err(refused) => {
                self.reasons.push((refused, None));
                None
            }
        }
    }

    /// The request's own model, if it may be called; an error where the app may not ask for it.
    fn own(&mut self) -> Result<Option<Answerer>, ProxyError> {
        let Guard { view, route, endpoint, context, .. } = self.guard;
        match as_sent(view, route, endpoint, context)? {
            Answerer::Model { plan, .. } => match cannot_speak(&plan, true, endpoint) {
                Some(refusal) => Err(refusal),
                None => Ok(self.model(&plan, true)),
            },
            Answerer::Unknown { provider } => {
                Ok(self.provider(Answerer::Unknown { provider: Arc::clone(&provider) }, &provider))
            }
            other => Ok(Some(other)),
        }
    }

    fn is_new(&mut self, place: usize) -> bool {
        let new = !self.seen.contains(&place);
        if new {
            self.seen.push(place);
        }
        new
    }

    /// What the candidates came to: one of them answers, or one of the fallback, or nobody.
    fn end<T>(
        mut self,
        slots: &mut Slots<'_>,
        slot: &SlotPlan<T>,
        found: Result<Option<Answerer>, ProxyError>,
        chain: Chain,
    ) -> Decision {
        let found = match found {
            Ok(found) => found,
            Err(refusal) => {
                return Decision { refusal: Some(Box::new(refusal)), ..Decision::of(Answerer::Nobody) };
            }
        };
        let first = self.reasons.first().map(|(refused, _)| *refused);
        if let (Some(refused), SlotPlan::Flag { plan, .. }) = (first, slot) {
            pass_over(slots, plan, refused);
        }
        let answerer = found.or_else(|| self.fallback(first, chain));
        let Some(answerer) = answerer else {
            let refusal = refused(self.guard.route, self.guard.endpoint, &self.reasons);
            return Decision { refusal: Some(Box::new(refusal)), ..Decision::of(Answerer::Nobody) };
        };
        if let Some(refused) = first {
            slots.note(refused.cause());
        }
        let rest = self.rest(chain);
        Decision { rest, ..Decision::of(answerer) }
    }

    /// The first of the fallback that may be called, where what kept the value away leads there.
    fn fallback(&mut self, first: Option<Refused>, chain: Chain) -> Option<Answerer> {
        let route = self.guard.route;
        let leads = first.and_then(Refused::on).is_none_or(|on| route.fallback_on.has(on));
        let mut targets = route.fallback.iter().filter(|target| chain.has(target));
        leads.then(|| targets.find_map(|target| self.stand_in(target))).flatten()
    }

    /// Those of the fallback that were not looked at, without those that may not be called anyway.
    fn rest(&self, chain: Chain) -> SmallVec<[TargetPlan; 2]> {
        let new = |target: &&TargetPlan| !self.seen.contains(&target.place());
        let fallback = self.guard.route.fallback.iter();
        fallback
            .filter(|target| chain.has(target))
            .filter(new)
            .filter(|target| self.guard.later(target))
            .cloned()
            .collect()
    }
}

impl Chain {
    fn has(self, target: &TargetPlan) -> bool {
        let is_error = |plan: &ReplyPlan| matches!(plan.reply.content, ReplyContent::Error { .. });
        self == Self::Whole || matches!(target, TargetPlan::Reply(plan) if is_error(plan))
    }
}

/// The flag's variant was not tried: what it chose may not be called. Its breaker had let it through.
fn pass_over(slots: &mut Slots<'_>, plan: &FlagPlan, refused: Refused) {
    let mut evaluated = slots.evaluated.iter_mut();
    if let Some(one) = evaluated.find(|one| Arc::ptr_eq(&one.plan.flag, &plan.flag))
        && one.passed_over.is_none()
    {
        one.passed_over = Some(refused);
        let variant = usize::from(one.evaluation.variant.0);
        slots.guard.give_back(one.plan.breakers.get(variant).and_then(Option::as_ref));
    }
}
