//! 3: flags and guards → Decision. Pure but for counters: no I/O, no clock, no waiting; never fails a request because of a
//! flag.

mod answerer;
mod guard;
mod held;
mod own;
mod pinned;
mod slots;

#[cfg(test)]
mod tests;

pub(crate) use guard::Guard;
pub use guard::Refused;
pub(crate) use held::follow;
pub(crate) use pinned::keep;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::flags::{Context, Draws, Evaluation, EvaluationError, Reason, VariantIndex};
use crate::observe::Outcome;
use crate::proxy::error::ProxyError;
use crate::proxy::pins::Pin;
use crate::snapshot::{FlagPlan, KeyWish, ModelPlan, ProviderPlan, ReplyPlan, RoutePlan, TargetPlan, View};
use crate::wire::{Endpoint, ParamEdit, PromptMode};

use slots::Slots;

/// What is served, and why.
#[derive(Debug)]
pub struct Decision {
    /// Every flag that was evaluated, in the order of the slots.
    pub evaluated: SmallVec<[Evaluated; 4]>,
    /// Who answers.
    pub answerer: Answerer,
    /// The system prompt to write, as escaped JSON text, and how.
    pub prompt: Option<(Bytes, PromptMode)>,
    /// Which of the provider's keys is wanted.
    pub key: KeyWish,
    /// What the request continues lives with the caller's own key: that one is sent again, if it may be.
    pub callers_key: bool,
    /// The parameters that apply, in the vocabulary's order.
    pub params: SmallVec<[ParamEdit; 2]>,
    /// The names of the tools to take out.
    pub denied_tools: Option<Arc<[Box<str>]>>,
    /// The route is on.
    pub enabled: bool,
    /// The answer is from the fallback, and why.
    pub fallback: Option<FallbackCause>,
    /// Who is tried next, in order, when whoever answers fails before a byte of an answer went out: nobody who is killed or
    /// whom `allow` refuses. Breakers are asked when it comes to that. Written here, used up by `dispatch`.
    pub rest: SmallVec<[TargetPlan; 2]>,
    /// When that was, on the process's own clock; zero where no breaker is asked.
    pub at: Duration,
    /// What was decided cannot be served: the error that the caller gets. The flags' part in it is counted all the same.
    pub refusal: Option<Box<ProxyError>>,
}

/// One flag's outcome.
#[derive(Debug)]
pub struct Evaluated {
    /// The flag on its slot.
    pub plan: Arc<FlagPlan>,
    /// What came out: the *assigned* variant. Everything that is counted of the flag is counted of this one.
    pub evaluation: Evaluation,
    /// What the slots get: the assigned variant, or what stands in for one that is killed or whose breaker is open; `None`: the
    /// request's own value.
    pub served: Option<VariantIndex>,
    /// What the assigned variant chose was not tried, and why: it is killed, its breaker is open, or no one may call its model.
    pub passed_over: Option<Refused>,
    /// What its percentages gave, where a conversation keeps that.
    pub drawn: Option<Box<Draws>>,
}

impl Evaluated {
    /// How the assigned variant's own part ended, where the whole request ended with `whole`.
    pub(crate) fn outcome(&self, whole: Outcome) -> Outcome {
        match self.passed_over {
            None => whole,
            // Nobody stopped it: its arm must not look healthy, nor like one that was never tried.
            Some(Refused::CannotTake) => Outcome::UpstreamError,
            Some(Refused::Killed | Refused::BreakerOpen | Refused::Denied) => Outcome::NotTried,
        }
    }
}

/// Who answers.
#[derive(Debug)]
pub enum Answerer {
    /// A declared model.
    Model {
        /// Which.
        plan: Arc<ModelPlan>,
        /// The request's own choice: no flag and no literal chose.
        as_sent: bool,
    },
    /// A model that the configuration does not know, at the route's provider.
    Unknown {
        /// Who is asked.
        provider: Arc<ProviderPlan>,
    },
    /// No language model.
    Reply(Option<Arc<ReplyPlan>>),
    /// Nobody: the app asks for a model that it may not have.
    Nobody,
    /// No generation: the route's provider gets the request as it is.
    PassThrough {
        /// Who is asked.
        provider: Arc<ProviderPlan>,
    },
}

/// Decides one request whose body nobody has read. `now` is on the process's own clock.
pub fn decision(
    view: &View,
    route: &RoutePlan,
    endpoint: Endpoint,
    context: &Context<'_>,
    pin: Option<&Pin>,
    now: Duration,
) -> Result<Decision, ProxyError> {
    decided(Guard { view, route, endpoint, context, pin, now, read: None, stops: true, asks_only: false })
}

/// What would be decided of such a request: counts nothing, and takes no probe's place.
pub fn explained(
    view: &View,
    route: &RoutePlan,
    endpoint: Endpoint,
    context: &Context<'_>,
    pin: Option<&Pin>,
    now: Duration,
) -> Result<Decision, ProxyError> {
    decided(Guard { view, route, endpoint, context, pin, now, read: None, stops: true, asks_only: true })
}

/// The same of a request that is looked at by `guard`.
pub(crate) fn decided(guard: Guard<'_>) -> Result<Decision, ProxyError> {
    let mut slots = Slots { guard, evaluated: SmallVec::new(), fallback: None };
    let decided = decide(&mut slots)?;
    let evaluated = slots.evaluated;
    let key_missing = Some(EvaluationError::TargetingKeyMissing);
    if !guard.asks_only && evaluated.iter().any(|one: &Evaluated| one.evaluation.error == key_missing) {
        guard.route.series.targeting_key_missing();
    }
    // With an error there is no answer to be from elsewhere.
    let fallback = decided.fallback.or(slots.fallback).filter(|_| decided.answers());
    Ok(Decision { evaluated, fallback, at: guard.now, ..decided })
}

/// The decision without what was evaluated, which is kept also when it is an error that ends it.
fn decide(slots: &mut Slots<'_>) -> Result<Decision, ProxyError> {
    let Guard { view, route, endpoint, context, asks_only, .. } = slots.guard;
    // What is killed asks no flag, and shows no variant to anybody.
    let killed = !view.live.quiet && view.live.route_killed(route);
    if killed || !slots.choose(&route.enabled).copied().unwrap_or(true) {
        return Ok(switched_off(route));
    }
    if endpoint == Endpoint::Embeddings && route.reads_embeddings {
        return Ok(answerer::embeddings(slots));
    }
    if !endpoint.generation() {
        let provider = other_provider(route, endpoint)?;
        return Ok(answerer::pass_through(slots, provider));
    }
    let answered = answerer::generation(slots);
    let prompt = slots.choose(&route.system_prompt).and_then(|prompt| {
        match prompt.json_text(context, &view.attribute_names) {
            Ok(text) => Some((text, route.prompt_mode)),
            Err(crate::snapshot::NotRendered) => {
                if !asks_only {
                    route.prompt_not_rendered(&prompt.name);
                }
                None
            }
        }
    });
    let params = params(slots);
    let denied_tools = denied_tools(slots);
    Ok(Decision { prompt, params, denied_tools, ..answered })
}

/// No model is called: the first reply of the fallback stands in, and those behind it where it does not fit.
fn switched_off(route: &RoutePlan) -> Decision {
    let mut replies = route.fallback_replies().cloned();
    let reply = replies.next();
    let fallback = reply.is_some().then_some(FallbackCause::Killed);
    let rest = replies.map(TargetPlan::Reply).collect();
    Decision { enabled: false, fallback, rest, ..Decision::of(Answerer::Reply(reply)) }
}

/// What the route's slots say of parameters; those of which they say nothing are left out.
fn params(slots: &mut Slots<'_>) -> SmallVec<[ParamEdit; 2]> {
    let mut params = SmallVec::new();
    for plan in &slots.guard.route.params {
        let set = slots.choose(&plan.set).cloned();
        let default = slots.choose(&plan.default).cloned();
        let max = slots.choose(&plan.max).cloned();
        if set.is_some() || default.is_some() || max.is_some() {
            params.push(ParamEdit { param: plan.param, set, default, max });
        }
    }
    params
}

/// The killed tools, then those of the route's `tools.deny`.
fn denied_tools(slots: &mut Slots<'_>) -> Option<Arc<[Box<str>]>> {
    let Guard { view, route, .. } = slots.guard;
    let denied = slots.choose(&route.denied_tools);
    match (&view.live.tools, denied) {
        (None, denied) => denied.cloned(),
        (Some(killed), None) => Some(Arc::clone(killed)),
        (Some(killed), Some(denied)) => {
            let new = denied.iter().filter(|name| !killed.contains(name));
            Some(killed.iter().chain(new).cloned().collect())
        }
    }
}

/// No flag applies and no kill: the route's provider gets the request as it is.
pub(crate) fn pass_through(route: &RoutePlan, endpoint: Endpoint) -> Result<Decision, ProxyError> {
    Ok(Decision::of(Answerer::PassThrough { provider: other_provider(route, endpoint)? }))
}

fn other_provider(route: &RoutePlan, endpoint: Endpoint) -> Result<Arc<ProviderPlan>, ProxyError> {
    match route.other_provider(endpoint.dialect()) {
        Some(provider) => Ok(Arc::clone(provider)),
        None => own::provider(route, endpoint),
    }
}

impl Decision {
    /// This one answers, and nothing else is to be said.
    fn of(answerer: Answerer) -> Self {
        let evaluated = SmallVec::new();
        let params = SmallVec::new();
        let (prompt, denied_tools, fallback, refusal) = (None, None, None, None);
        Self {
            evaluated,
            answerer,
            prompt,
            key: KeyWish::First,
            callers_key: false,
            params,
            denied_tools,
            enabled: true,
            fallback,
            rest: SmallVec::new(),
            at: Duration::ZERO,
            refusal,
        }
    }

    /// Whether anybody answers, and no error does.
    fn answers(&self) -> bool {
        self.refusal.is_none() && !matches!(self.answerer, Answerer::Reply(None) | Answerer::Nobody)
    }

    /// The place of what answers among the route's series.
    pub(crate) fn place(&self, route: &RoutePlan) -> usize {
        match &self.answerer {
            Answerer::Model { plan, .. } => plan.place,
            Answerer::Reply(Some(plan)) => plan.place,
            Answerer::Unknown { .. } => route.other_place(),
            Answerer::Reply(None) | Answerer::Nobody | Answerer::PassThrough { .. } => route.none_place(),
        }
    }

    /// The name of what answers, for people: the configuration's, or `other` or `none`.
    pub fn model_label(&self) -> &str {
        match &self.answerer {
            Answerer::Model { plan, .. } => &plan.model.name,
            Answerer::Reply(Some(plan)) => &plan.reply.name,
            Answerer::Unknown { .. } => "other",
            Answerer::Reply(None) | Answerer::Nobody | Answerer::PassThrough { .. } => "none",
        }
    }

    /// The value of `x-dimmer-flags`: `KEY=VARIANT;REASON, …`, empty without flags. The variant is the assigned one; where another
    /// is served, `;served=VARIANT` follows, with `as_sent` for the request's own value.
    pub fn flags_header(&self) -> String {
        let mut text = String::with_capacity(FLAGS_HEADER);
        for evaluated in &self.evaluated {
            let flag = &evaluated.plan.flag;
            let variant = flag.variant(evaluated.evaluation.variant).map_or("", |variant| &variant.name);
            let comma = if text.is_empty() { "" } else { ", " };
            let reason: Reason = evaluated.evaluation.reason;
            for part in [comma, &flag.key, "=", variant, ";", reason.as_str()] {
                text.push_str(part);
            }
            if evaluated.served != Some(evaluated.evaluation.variant) {
                let served = evaluated.served.and_then(|variant| flag.variant(variant));
                text.push_str(";served=");
                text.push_str(served.map_or("as_sent", |variant| &variant.name));
            }
        }
        text
    }
}

/// Three flags with long names fit without growing.
const FLAGS_HEADER: usize = 192;

/// Why an answer is not from what the flags chose: the value of `x-dimmer-fallback` and the label of `dimmer_fallbacks_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FallbackCause {
    /// A kill switch.
    Killed,
    /// An open breaker.
    BreakerOpen,
    /// `allow` of the model that was chosen.
    TierGuard,
    /// The model that was chosen cannot take the request: something in it cannot be translated, or is too much for the model. Or the
    /// reply that was does not fit it.
    CannotTake,
    /// The provider failed, or could not be reached.
    UpstreamError,
    /// The provider was too slow.
    Timeout,
}

impl FallbackCause {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Killed,
        Self::BreakerOpen,
        Self::TierGuard,
        Self::CannotTake,
        Self::UpstreamError,
        Self::Timeout,
    ];

    /// As header and label spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::BreakerOpen => "breaker_open",
            Self::TierGuard => "tier_guard",
            Self::CannotTake => "cannot_take",
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
        }
    }
}
