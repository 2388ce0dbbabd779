//! The parts of a snapshot: routes, models and providers as a request needs them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderValue, Uri};

use crate::config::{Admitted, FallbackCauses, Model, ModelLimits, Provider, Reply, Route, Shadow, Timeouts};
use crate::flags::{Context, Flag, Rule};
use crate::names::{Pattern, RouteName};
use crate::observe::{FlagSeries, Metrics, ModelSeries, ProviderSeries, RouteSeries, ShadowSeries};
use crate::rollout::{BreakerSpec, Mode};
use crate::snapshot::{
    Answered, Breaker, Budget, EvaluatorPlan, Flight, JudgePlan, Ledger, PromptPlan, ProviderKeys, ReplyRest,
};
use crate::units::Percent;
use crate::wire::{self, Dialect, Param, ParamValue, PromptMode};

/// Where a provider listens: the key of connection pools, which outlive a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `https`
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A provider, ready to be sent to.
#[derive(Debug)]
pub struct ProviderPlan {
    /// Its place in the file.
    pub place: usize,
    /// What the file says.
    pub provider: Arc<Provider>,
    /// Where it is.
    pub endpoint: Arc<Endpoint>,
    /// Its `Host`.
    pub host: HeaderValue,
    /// What comes before the path of every call, `/v1` included.
    pub prefix: String,
    /// An Azure resource in its older style: `api-version=…`, which every call has in its query; calls of a model have the
    /// model in their path.
    pub version_query: Option<Box<str>>,
    /// Its keys.
    pub keys: ProviderKeys,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// Who is in flight there.
    pub flight: Arc<Flight>,
    /// How many retries are left.
    pub budget: Arc<Budget>,
    /// What is counted of it.
    pub series: ProviderSeries,
}

/// A declared model.
#[derive(Debug)]
pub struct ModelPlan {
    /// What the file says.
    pub model: Arc<Model>,
    /// Who serves it.
    pub provider: Arc<ProviderPlan>,
    /// Who is in flight there.
    pub flight: Arc<Flight>,
    /// What it cannot take, as far as that is known.
    pub limits: Option<ModelLimits>,
    /// Its name for `x-dimmer-model`; none where it has letters that cannot stand in a header.
    pub header: Option<HeaderValue>,
    /// Its place in the file, and among the routes' [`ModelSeries`].
    pub place: usize,
}

/// A reply.
#[derive(Debug)]
pub struct ReplyPlan {
    /// What the file says.
    pub reply: Arc<Reply>,
    /// Its place among the routes' [`ModelSeries`].
    pub place: usize,
    /// Who makes it; `None`: the file says it.
    pub http: Option<HttpPlan>,
}

/// A service that makes a reply, ready to be asked.
#[derive(Debug)]
pub struct HttpPlan {
    /// Where it is.
    pub endpoint: Arc<Endpoint>,
    /// Its `Host`.
    pub host: HeaderValue,
    /// What is asked for there.
    pub uri: Uri,
    /// From connecting to the answer's last byte.
    pub timeout: Duration,
    /// Whether it rests.
    pub rest: Arc<ReplyRest>,
}

/// What a `model` slot can hold.
#[derive(Clone, Debug)]
pub enum TargetPlan {
    /// A language model.
    Model(Arc<ModelPlan>),
    /// An answer without one.
    Reply(Arc<ReplyPlan>),
}

impl TargetPlan {
    /// Its place among the routes' [`ModelSeries`]: no two targets share one.
    pub fn place(&self) -> usize {
        match self {
            Self::Model(plan) => plan.place,
            Self::Reply(plan) => plan.place,
        }
    }
}

/// A flag where a route's slot uses it.
#[derive(Debug)]
pub struct FlagPlan {
    /// Its place in the file.
    pub place: usize,
    /// Who watches it here, by variant; empty where nobody does. That of the default only measures, and always admits.
    pub breakers: Vec<Option<Arc<Breaker>>>,
    /// Who is in flight with it, by variant.
    pub flights: Vec<Arc<Flight>>,
    /// The flag.
    pub flag: Arc<Flag>,
    /// What is counted of it on this route.
    pub series: FlagSeries,
}

/// What stands on a slot.
#[derive(Debug)]
pub enum SlotPlan<T> {
    /// The request's own value.
    AsSent,
    /// A literal of the file.
    Fixed(T),
    /// What a flag says; `None` is `as_sent`.
    Flag {
        /// The flag.
        plan: Arc<FlagPlan>,
        /// Per variant, by its index.
        values: Vec<Option<T>>,
    },
}

/// One of a route's parameters.
#[derive(Debug)]
pub struct ParamPlan {
    /// Which.
    pub param: &'static Param,
    /// What is written whatever the request says.
    pub set: SlotPlan<Arc<ParamValue>>,
    /// What is written where the request says nothing.
    pub default: SlotPlan<Arc<ParamValue>>,
    /// What is above becomes it.
    pub max: SlotPlan<Arc<ParamValue>>,
}

/// A candidate that gets copies of a route's requests.
#[derive(Debug)]
pub struct ShadowPlan {
    /// Its place among those of its route.
    pub place: usize,
    /// What the file says.
    pub shadow: Arc<Shadow>,
    /// Its route, as records name it.
    pub route: Arc<str>,
    /// Its name, as records name it.
    pub name: Arc<str>,
    /// Who gets the copies; `None`: the model that the caller's own request goes to.
    pub model: Option<Arc<ModelPlan>>,
    /// In place of the caller's system prompt.
    pub prompt: Option<Arc<PromptPlan>>,
    /// Which requests are copied: a rule for everybody, cut as flags' rules are, with the salt `ROUTE/NAME`.
    pub(super) draw: Rule,
    /// What copies may cost and have cost.
    pub ledger: Arc<Ledger>,
    /// Who compares its answers with the callers'.
    pub judges: Vec<Arc<JudgePlan>>,
    /// What is counted of it.
    pub series: ShadowSeries,
}

impl ShadowPlan {
    /// Whether the request is one of those that are copied. Without a value to hash only everybody is.
    pub fn draws(&self, context: &Context<'_>) -> bool {
        let percent = self.shadow.percent;
        percent == Percent::FULL || self.draw.bucket(context).is_some_and(|bucket| bucket < percent.ppm())
    }
}

/// When a stream is ended in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamGuard {
    /// Above so many characters of text.
    pub output_chars: u64,
    /// When its text repeats itself without end.
    pub repetition: bool,
}

impl StreamGuard {
    /// What a breaker says of it; one that only observes ends nothing.
    pub(super) fn of(spec: &BreakerSpec) -> Option<Self> {
        let asked = spec.max_output_chars.is_some() || spec.repetition;
        let output_chars = spec.max_output_chars.unwrap_or(u64::MAX);
        (asked && spec.mode == Mode::Enforce).then_some(Self { output_chars, repetition: spec.repetition })
    }
}

/// A route, ready to be decided.
#[derive(Debug)]
pub struct RoutePlan {
    /// Its place in the file.
    pub place: usize,
    /// Who is in flight on it.
    pub flight: Arc<Flight>,
    /// Who watches the models that it calls, by their place; empty: nobody.
    pub model_breakers: Vec<Option<Arc<Breaker>>>,
    /// What each declared model last said it was, by its place.
    pub answered: Vec<Arc<Answered>>,
    /// Its name.
    pub name: RouteName,
    /// Its name for `x-dimmer-route`.
    pub header: HeaderValue,
    /// What the file says.
    pub route: Arc<Route>,
    /// `enabled`
    pub enabled: SlotPlan<bool>,
    /// `model`
    pub model: SlotPlan<TargetPlan>,
    /// `system_prompt`
    pub system_prompt: SlotPlan<Arc<PromptPlan>>,
    /// `system_prompt.mode`
    pub prompt_mode: PromptMode,
    /// `params`
    pub params: Vec<ParamPlan>,
    /// `tools.deny`
    pub denied_tools: SlotPlan<Arc<[Box<str>]>>,
    /// `embeddings.model`
    pub embeddings: SlotPlan<Arc<ModelPlan>>,
    /// `models`
    pub models: Admitted,
    /// Who serves what `[models]` does not know, per dialect.
    pub openai: Option<Arc<ProviderPlan>>,
    /// Who serves what `[models]` does not know, per dialect.
    pub anthropic: Option<Arc<ProviderPlan>>,
    /// Who is tried in turn when what was decided cannot be served, or fails.
    pub fallback: Vec<TargetPlan>,
    /// What leads to the fallback.
    pub fallback_on: FallbackCauses,
    /// Generation requests must be read: a slot is bound, some model is declared, or the provider wants to know what is in
    /// them (which model, which conversation).
    pub reads: bool,
    /// The model of a call is a part of its path at the provider of OpenAI's dialect: what names one must be read.
    pub model_in_path: bool,
    /// So must embeddings: some model is declared, or not every model may be asked for.
    pub reads_embeddings: bool,
    /// Its breaker watches whether answers that are to be JSON are.
    pub judges_json: bool,
    /// When a stream is ended in flight; `None`: never.
    pub guard: Option<StreamGuard>,
    /// Something may be decided here: the answers are measured in full.
    pub decides: bool,
    /// Who gets copies of its generation requests.
    pub shadows: Vec<Arc<ShadowPlan>>,
    /// Who scores its answers.
    pub evaluators: Vec<Arc<EvaluatorPlan>>,
    /// What is counted of it.
    pub series: RouteSeries,
    /// Per model or reply, by its place; the last is `other`, the one before `none`.
    pub(super) per_model: Vec<OnceLock<ModelSeries>>,
    pub(super) labels: Arc<[Box<str>]>,
    pub(super) metrics: Arc<Metrics>,
}

impl RoutePlan {
    /// Who serves what is no generation. OpenAI's dialect is only guessed there, of paths that both APIs have: a route that has
    /// no provider of it sends them to the one that it has.
    pub fn other_provider(&self, dialect: Dialect) -> Option<&Arc<ProviderPlan>> {
        match dialect {
            Dialect::OpenAi => self.openai.as_ref().or(self.anthropic.as_ref()),
            Dialect::Anthropic => self.anthropic.as_ref(),
        }
    }

    /// Who serves what `[models]` does not know, in `dialect`.
    pub fn provider(&self, dialect: Dialect) -> Option<&Arc<ProviderPlan>> {
        match dialect {
            Dialect::OpenAi => self.openai.as_ref(),
            Dialect::Anthropic => self.anthropic.as_ref(),
        }
    }

    /// Who serves what `[models]` does not know, for a call: whoever speaks its API, else whoever it can be translated for.
    pub fn provider_for(&self, endpoint: wire::Endpoint) -> Option<&Arc<ProviderPlan>> {
        let followed = endpoint.followed();
        let takes = |plan: &&Arc<ProviderPlan>| plan.provider.kind.asked_in(followed).is_some();
        self.provider(endpoint.dialect()).or_else(|| self.openai.iter().chain(&self.anthropic).find(takes))
    }

    /// Nobody speaks the API of such a call here: what asks for a model that `[models]` does not know is translated, and so it is read.
    pub fn translates_strangers(&self, endpoint: wire::Endpoint) -> bool {
        endpoint.answers() && self.provider(endpoint.dialect()).is_none()
    }

    /// The replies of the fallback, in order: what stands in where no model may be called.
    pub fn fallback_replies(&self) -> impl Iterator<Item = &Arc<ReplyPlan>> {
        self.fallback.iter().filter_map(|target| match target {
            TargetPlan::Reply(plan) => Some(plan),
            TargetPlan::Model(_) => None,
        })
    }

    /// Everything that the `model` slot can hold.
    pub fn model_targets(&self) -> impl Iterator<Item = &TargetPlan> {
        let (fixed, values) = match &self.model {
            SlotPlan::AsSent => (None, &[][..]),
            SlotPlan::Fixed(target) => (Some(target), &[][..]),
            SlotPlan::Flag { values, .. } => (None, values.as_slice()),
        };
        fixed.into_iter().chain(values.iter().flatten())
    }

    /// What is counted of the model or reply at `place`.
    pub fn model_series(&self, place: usize) -> Option<&ModelSeries> {
        let label = self.labels.get(place)?;
        Some(self.per_model.get(place)?.get_or_init(|| ModelSeries::new(&self.metrics, &self.name, label)))
    }

    /// Counts a prompt whose template could not be rendered.
    pub fn prompt_not_rendered(&self, prompt: &str) {
        self.metrics.prompt_not_rendered(prompt);
    }

    /// The place of names that the configuration does not know.
    pub fn other_place(&self) -> usize {
        self.labels.len().saturating_sub(1)
    }

    /// The place of requests that name no model.
    pub fn none_place(&self) -> usize {
        self.labels.len().saturating_sub(2)
    }
}

/// Finds a declared model by any of its names.
#[derive(Debug, Default)]
pub struct ModelIndex {
    pub(super) exact: HashMap<Box<str>, Arc<ModelPlan>>,
    pub(super) patterns: Vec<(Pattern, Arc<ModelPlan>)>,
}

impl ModelIndex {
    pub(super) fn find(&self, name: &str) -> Option<&Arc<ModelPlan>> {
        self.exact
            .get(name)
            .or_else(|| self.patterns.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, plan)| plan))
    }
}
