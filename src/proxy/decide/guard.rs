//! Whether a target may be called for this request: kills, tier guards, dialects and breakers, whoever chose it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::FallbackOn;
use crate::flags::Context;
use crate::proxy::decide::FallbackCause;
use crate::proxy::pins::Pin;
use crate::rollout::Admission;
use crate::snapshot::{Breaker, ModelPlan, ProviderPlan, RoutePlan, SlotPlan, TargetPlan, View};
use crate::wire::{Endpoint, RequestView};

/// One request, as its targets are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard<'a> {
    /// What the request sees.
    pub(crate) view: &'a View,
    /// Whose feature it is.
    pub(crate) route: &'a RoutePlan,
    /// Which call.
    pub(crate) endpoint: Endpoint,
    /// Who is asking.
    pub(crate) context: &'a Context<'a>,
    /// What its conversation keeps.
    pub(crate) pin: Option<&'a Pin>,
    /// When, on the process's own clock.
    pub(crate) now: Duration,
    /// The request's body, where it was read.
    pub(crate) read: Option<(&'a RequestView, &'a Bytes)>,
    /// Kills stop the request: it is no `GET`, `HEAD` or `DELETE`, by which an app looks at and cleans up what it has.
    pub(crate) stops: bool,
    /// There is no request: somebody asks what would become of one. Counts nothing, and takes no probe's place.
    pub(crate) asks_only: bool,
}

/// Why a target is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is killed, or its provider is.
    Killed,
    /// Its breaker is open.
    BreakerOpen,
    /// Its `allow` does not hold.
    Denied,
    /// The request cannot be said in its API, or it is known not to take what the request holds.
    CannotTake,
}

impl Refused {
    /// What `fallback_on` must name so that the chain is tried; `None`: it is tried in any case.
    pub(super) fn on(self) -> Option<FallbackOn> {
        match self {
            Self::Killed => Some(FallbackOn::Killed),
            Self::BreakerOpen => Some(FallbackOn::Breaker),
            Self::Denied => Some(FallbackOn::Denied),
            Self::CannotTake => None,
        }
    }

    /// As the caller is told.
    pub(super) fn cause(self) -> FallbackCause {
        match self {
            Self::Killed => FallbackCause::Killed,
            Self::BreakerOpen => FallbackCause::BreakerOpen,
            Self::Denied => FallbackCause::TierGuard,
            Self::CannotTake => FallbackCause::CannotTake,
        }
    }
}

impl Guard<'_> {
    /// Whether the model may be called now. Asks its breaker last: who is let through as a probe has to be the one that calls.
    pub(crate) fn model(&self, plan: &ModelPlan) -> Result<(), Refused> {
        self.but_for_breakers(plan)?;
        let breaker = self.route.model_breakers.get(plan.place).and_then(Option::as_ref);
        match breaker.is_none_or(|breaker| self.admits(breaker)) {
            true => Ok(()),
            false => Err(Refused::BreakerOpen),
        }
    }

    /// Whether the breaker lets this one through, which has to tell it then what came of it.
    pub(super) fn admits(&self, breaker: &Breaker) -> bool {
        match self.tells() {
            true => breaker.admits(self.now) != Admission::No,
            false => breaker.would_admit(self.now),
        }
    }

    /// Breakers are told what comes of it: of a question nothing comes, and calls without an answer say nothing of a model.
    fn tells(&self) -> bool {
        !self.asks_only && self.endpoint.answers()
    }

    /// What the breaker let through is not tried after all: a probe's place is free again.
    pub(super) fn give_back(&self, breaker: Option<&Arc<Breaker>>) {
        if let Some(breaker) = breaker.filter(|_| self.tells()) {
            breaker.dropped(self.now);
        }
    }

    /// The same for a model.
    pub(super) fn give_back_model(&self, plan: &ModelPlan) {
        self.give_back(self.route.model_breakers.get(plan.place).and_then(Option::as_ref));
    }

    /// Whether the target may be tried after another one has failed. Its breaker is asked when that has happened.
    pub(super) fn later(&self, target: &TargetPlan) -> bool {
        match target {
            TargetPlan::Model(plan) => self.can_take(plan) && self.but_for_breakers(plan).is_ok(),
            TargetPlan::Reply(_) => true,
        }
    }

    /// Whether a model that a flag or a literal chose, for which the request has to be translated, is to be left for the fallback: the
    /// app was written for another model, and cannot know what this one takes.
    pub(super) fn leads_on(&self, plan: &ModelPlan) -> bool {
        let translated = plan.provider.provider.kind.is_foreign_to(self.endpoint);
        translated && !self.route.fallback.is_empty() && !self.can_take(plan)
    }

    /// Whether a model of the fallback may take what the request holds. Only what is certain counts: a text of more words than it
    /// reads tokens, an answer that is longer than it writes, tools where it calls none. Of what the app or a flag asks
    /// for itself nobody asks this, unless the request is translated for it.
    pub(super) fn can_take(&self, plan: &ModelPlan) -> bool {
        let (Some(limits), Some((view, body))) = (&plan.limits, self.read) else { return true };
        if !self.endpoint.answers() {
            return true;
        }
        let route = self.route;
        // What is taken out on its way to the model is no reason.
        let keeps_tools = matches!(route.denied_tools, SlotPlan::AsSent) && self.view.live.tools.is_none();
        if keeps_tools && !limits.tools && view.defines_tools(body) {
            return false;
        }
        if keeps_tools && !limits.forced_tools && view.forces_tool(body) {
            return false;
        }
        let sets_length = || route.params.iter().any(|plan| plan.param.name == MAX_TOKENS);
        if let Some(output) = limits.output
            && view.asked_output(body).is_some_and(|asked| asked > output)
            && !sets_length()
        {
            return false;
        }
        // A word and the space before it are two bytes at least: of most requests no word is counted.
        let keeps_system = matches!(route.system_prompt, SlotPlan::AsSent);
        (body.len() as u64) / 2 <= limits.context || view.least_tokens(body, keeps_system) <= limits.context
    }

    fn but_for_breakers(&self, plan: &ModelPlan) -> Result<(), Refused> {
        let live = &self.view.live;
        if !live.quiet && live.model_killed(plan) {
            return Err(Refused::Killed);
        }
        // A count follows its answer, also to a model that nobody can be asked to count for.
        if plan.provider.provider.kind.asked_in(self.endpoint.followed()).is_none() {
            return Err(Refused::CannotTake);
        }
        if !plan.model.allow.holds(self.context) {
            return Err(Refused::Denied);
        }
        Ok(())
    }

    /// Whether the provider may be called with the model that the request names, which `[models]` does not know, or with
    /// something of which dimmer knows no model.
    pub(crate) fn stranger(&self, provider: &ProviderPlan) -> Result<(), Refused> {
        let live = &self.view.live;
        if live.quiet {
            return Ok(());
        }
        let asked = self.context.request_model.unwrap_or_default();
        let model_killed = match self.view.model(asked) {
            Some(plan) => live.model_killed(plan),
            None => live.stranger_killed(asked),
        };
        match model_killed || live.provider_killed(provider) {
            true => Err(Refused::Killed),
            false => Ok(()),
        }
    }
}

/// What `params` calls the most that may be written.
const MAX_TOKENS: &str = "max_tokens";
