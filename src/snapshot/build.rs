//! From a checked configuration to a snapshot.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};

use crate::clock;
use crate::config::{
    Admitted, Config, HttpReply, ModelLimits, Provider, ProviderKind, ReplyContent, Route, RouteParam, Slot,
    Source, Target,
};
use crate::flags::{Attribute, By, Condition};
use crate::names::{KillTarget, Pattern, ReplyName};
use crate::observe::{FlagSeries, Metrics, ModelSeries, ProviderSeries, RouteSeries};
use crate::snapshot::{
    Breakers, Endpoint, FlagPlan, Flights, HttpPlan, KeyDigest, KeyRests, Ledgers, ModelIndex, ModelPlan,
    ParamPlan, PromptPlan, ProviderKey, ProviderKeys, ProviderPlan, ReplyPlan, RoutePlan, SlotPlan, Snapshot,
    StreamGuard, TargetPlan, judges, noted, shadows, tls, watch,
};
use crate::units::Secret;
use crate::wire::{Dialect, ParamValue};

/// Why a checked configuration could not be made ready: what `config` should have refused.
#[derive(Debug)]
pub struct BuildError {
    /// Which part of the file.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for BuildError {}

impl Snapshot {
    /// Makes a snapshot ready. `simulated` is where the simulated providers listen in this process, `rests` what is known
    /// of keys that rest.
    pub fn build(
        config: Config,
        generation: u64,
        metrics: &Arc<Metrics>,
        simulated: Option<SocketAddr>,
        rests: &KeyRests,
        breakers: &Breakers,
    ) -> Result<Self, BuildError> {
        let parts = Parts::build(&config, metrics, simulated, rests)?;
        let mut by_path = Vec::new();
        let mut by_name = HashMap::new();
        let mut by_alias = HashMap::new();
        for (place, route) in config.routes.iter().enumerate() {
            let plan = Arc::new(parts.route(place, route, &config, metrics, breakers)?);
            if route.path.is_some() {
                by_path.push(Arc::clone(&plan));
            }
            for alias in &route.aliases {
                by_alias.insert(alias.as_str().into(), Arc::clone(&plan));
            }
            by_name.insert(route.name.as_str().into(), plan);
        }
        by_path.sort_by_key(|plan| std::cmp::Reverse(plan.route.path.as_ref().map_or(0, String::len)));
        let default_route = by_name.get("default").cloned();
        let several_keys = parts.providers.values().any(|provider| provider.keys.several());
        Ok(Self {
            generation,
            at_ms: clock::unix_ms(),
            tls: tls::server_config(&config)?,
            by_path,
            by_name,
            by_alias,
            default_route,
            unrouted: ModelSeries::new(metrics, "none", "none"),
            models: parts.models,
            providers: parts.providers,
            several_keys,
            clients: config
                .clients
                .iter()
                .map(|client| (key_digest(client.key.reveal()), Arc::clone(client)))
                .collect(),
            context_headers: context_headers(&config),
            attribute_names: config
                .context
                .attributes
                .iter()
                .map(|attribute| attribute.name.clone())
                .collect(),
            needs_conversation: several_keys
                || config.routes.iter().any(|route| route.pin)
                || looks_at(&config, Attribute::Conversation, Some(&By::Conversation))
                || config
                    .routes
                    .iter()
                    .flat_map(|route| &route.shadows)
                    .any(|shadow| shadow.by == By::Conversation)
                || config
                    .prompts
                    .iter()
                    .any(|prompt| prompt.template && prompt.source.contains("conversation")),
            notes_conversation: !config.feedback.is_empty(),
            needs_tools: looks_at(&config, Attribute::RequestTools, None),
            noted: Arc::new(noted::shape(&config)),
            touched_members: touched(&config),
            config,
        })
    }
}

/// The digest under which a client's key is found.
pub(super) fn key_digest(key: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

impl Snapshot {
    /// The client whose key this is.
    pub fn client_by_key(&self, key: &str) -> Option<&Arc<crate::config::Client>> {
        self.clients.get(&key_digest(key))
    }
}

pub(super) struct Parts {
    providers: HashMap<Box<str>, Arc<ProviderPlan>>,
    pub(super) models: ModelIndex,
    replies: HashMap<Box<str>, Arc<ReplyPlan>>,
    pub(super) prompts: HashMap<Box<str>, Arc<PromptPlan>>,
    labels: Arc<[Box<str>]>,
    flights: Arc<Flights>,
    pub(super) ledgers: Arc<Ledgers>,
    pub(super) judges: judges::Judges,
}

impl Parts {
    fn build(
        config: &Config,
        metrics: &Arc<Metrics>,
        simulated: Option<SocketAddr>,
        rests: &KeyRests,
    ) -> Result<Self, BuildError> {
        let mut providers = HashMap::new();
        for (place, provider) in config.providers.iter().enumerate() {
            let plan = provider_plan(place, provider, metrics, simulated, rests)?;
            providers.insert(provider.name.as_str().into(), Arc::new(plan));
        }
        let mut labels: Vec<Box<str>> = Vec::new();
        let mut models = ModelIndex::default();
        for model in &config.models {
            let provider = find(&providers, &model.provider.name, "provider")?;
            let header = HeaderValue::from_str(&model.name).ok();
            let place = labels.len();
            let plan = Arc::new(ModelPlan {
                model: Arc::clone(model),
                limits: ModelLimits::of(model),
                provider,
                flight: rests.flights.of(KillTarget::Model(model.name.clone())),
                header,
                place,
            });
            labels.push(model.name.as_str().into());
            models.exact.insert(model.name.as_str().into(), Arc::clone(&plan));
            for name in &model.also {
                if name.contains('*') {
                    models.patterns.push((Pattern::new(name), Arc::clone(&plan)));
                } else {
                    models.exact.entry(name.as_str().into()).or_insert_with(|| Arc::clone(&plan));
                }
            }
        }
        for model in &config.models {
            if let Some(plan) = models.exact.get(model.name.as_str()).cloned() {
                models.exact.entry(model.upstream_model.as_str().into()).or_insert(plan);
            }
        }
        let mut replies = HashMap::new();
        for reply in &config.replies {
            let http = match &reply.content {
                ReplyContent::Http(http) => Some(http_plan(http, &reply.name, rests)?),
                ReplyContent::Answer { .. } | ReplyContent::Error { .. } => None,
            };
            let plan = ReplyPlan { reply: Arc::clone(reply), place: labels.len(), http };
            labels.push(reply.name.as_str().into());
            replies.insert(reply.name.as_str().into(), Arc::new(plan));
        }
        labels.push("none".into());
        labels.push("other".into());
        let mut prompts = HashMap::new();
        for prompt in &config.prompts {
            let plan = PromptPlan::new(prompt)
                .map_err(|error| error_at(&format!("prompts.{}", prompt.name), error.to_string()))?;
            prompts.insert(prompt.name.as_str().into(), Arc::new(plan));
        }
        Ok(Self {
            judges: judges::judges(config, &models, &rests.ledgers, metrics)?,
            providers,
            models,
            replies,
            prompts,
            labels: labels.into(),
            flights: Arc::clone(&rests.flights),
            ledgers: Arc::clone(&rests.ledgers),
        })
    }

    fn route(
        &self,
        place: usize,
        route: &Arc<Route>,
        config: &Config,
        metrics: &Arc<Metrics>,
        breakers: &Breakers,
    ) -> Result<RoutePlan, BuildError> {
        let slots = SlotBuilder { route, config, metrics, breakers, flights: &self.flights };
        let decides = decides(route);
        let fit_somewhere = !config.models.is_empty();
        let header = HeaderValue::from_str(&route.name).map_err(|_| {
            error_at(&format!("routes.{}", route.name), "its name cannot stand in a header".into())
        })?;
        let openai = self.provider_for(route, Dialect::OpenAi)?;
        let anthropic = self.provider_for(route, Dialect::Anthropic)?;
        let model_in_path = openai.as_ref().is_some_and(|provider| provider.version_query.is_some());
        let several_keys = openai.iter().chain(&anthropic).any(|provider| provider.keys.several());
        Ok(RoutePlan {
            place,
            flight: self.flights.of(KillTarget::Route(route.name.clone())),
            model_breakers: watch::models(route, config, breakers),
            answered: config.models.iter().map(|model| breakers.answered(&route.name, &model.name)).collect(),
            name: route.name.clone(),
            header,
            enabled: slots.slot(&route.enabled, |on| Ok(*on))?,
            model: slots.slot(&route.model, |target| self.target(target))?,
            system_prompt: slots
                .slot(&route.system_prompt, |prompt| find(&self.prompts, &prompt.name, "prompt"))?,
            prompt_mode: route.prompt_mode,
            params: route.params.iter().map(|param| slots.param(param)).collect::<Result<_, _>>()?,
            denied_tools: slots.slot(&route.denied_tools, |names| Ok(Arc::clone(names)))?,
            embeddings: slots
                .slot(&route.embeddings, |model| find(&self.models.exact, &model.name, "model"))?,
            models: route.models.clone(),
            openai,
            anthropic,
            fallback: route.fallback.iter().map(|target| self.target(target)).collect::<Result<_, _>>()?,
            fallback_on: route.fallback_on,
            reads: decides || fit_somewhere || model_in_path || several_keys,
            reads_embeddings: fit_somewhere || !matches!(route.models, Admitted::Any),
            model_in_path,
            guard: route.breaker.as_ref().and_then(|breaker| StreamGuard::of(&breaker.spec)),
            judges_json: route.breaker.as_ref().is_some_and(|breaker| breaker.spec.malformed_rate.is_some()),
            decides,
            shadows: shadows::plans(self, route, metrics)?,
            evaluators: judges::evaluators(&self.judges, route)?,
            series: RouteSeries::new(metrics, &route.name),
            per_model: self.labels.iter().map(|_| std::sync::OnceLock::new()).collect(),
            labels: Arc::clone(&self.labels),
            metrics: Arc::clone(metrics),
            route: Arc::clone(route),
        })
    }

    fn target(&self, target: &Target) -> Result<TargetPlan, BuildError> {
        Ok(match target {
            Target::Model(model) => TargetPlan::Model(find(&self.models.exact, &model.name, "model")?),
            Target::Reply(reply) => TargetPlan::Reply(find(&self.replies, &reply.name, "reply")?),
        })
    }

    fn provider_for(&self, route: &Route, dialect: Dialect) -> Result<Option<Arc<ProviderPlan>>, BuildError> {
        route
            .providers
            .iter()
            .find(|provider| provider.kind.speaks(dialect))
            .map(|provider| find(&self.providers, &provider.name, "provider"))
            .transpose()
    }
}

struct SlotBuilder<'a> {
    route: &'a Route,
    config: &'a Config,
    metrics: &'a Arc<Metrics>,
    breakers: &'a Breakers,
    flights: &'a Flights,
}

/// Whether something may be decided of this route's generation requests, or they may be copied, which takes the same reading.
fn decides(route: &Route) -> bool {
    let as_sent =
        (&route.enabled, &route.model, &route.system_prompt, &route.denied_tools, route.params.is_empty());
    !matches!(as_sent, (Slot::AsSent, Slot::AsSent, Slot::AsSent, Slot::AsSent, true))
        || !route.shadows.is_empty()
        || !route.evaluators.is_empty()
}

impl SlotBuilder<'_> {
    fn param(&self, param: &RouteParam) -> Result<ParamPlan, BuildError> {
        let plan = |slot| self.slot(slot, |value: &Arc<ParamValue>| Ok(Arc::clone(value)));
        Ok(ParamPlan {
            param: param.param,
            set: plan(&param.set)?,
            default: plan(&param.default)?,
            max: plan(&param.max)?,
        })
    }

    fn slot<T, U>(
        &self,
        slot: &Slot<T>,
        plan_of: impl Fn(&T) -> Result<U, BuildError>,
    ) -> Result<SlotPlan<U>, BuildError> {
        Ok(match slot {
            Slot::AsSent => SlotPlan::AsSent,
            Slot::Fixed(value) => SlotPlan::Fixed(plan_of(value)?),
            Slot::Flag { flag, values } => {
                let place =
                    self.config.flags.iter().position(|other| other.key == flag.key).unwrap_or(usize::MAX);
                let names = flag.variants.iter().map(|variant| variant.name.as_str());
                let series = FlagSeries::new(self.metrics, &self.route.name, &flag.key, names);
                SlotPlan::Flag {
                    plan: Arc::new(FlagPlan {
                        place,
                        breakers: watch::variants(self.route, flag, self.breakers),
                        flights: flag
                            .variants
                            .iter()
                            .map(|variant| KillTarget::Variant(flag.key.clone(), variant.name.clone()))
                            .map(|target| self.flights.of(target))
                            .collect(),
                        flag: Arc::clone(flag),
                        series,
                    }),
                    values: values
                        .iter()
                        .map(|value| value.as_ref().map(&plan_of).transpose())
                        .collect::<Result<_, _>>()?,
                }
            }
        })
    }
}

fn provider_plan(
    place: usize,
    provider: &Arc<Provider>,
    metrics: &Metrics,
    simulated: Option<SocketAddr>,
    rests: &KeyRests,
) -> Result<ProviderPlan, BuildError> {
    let at = format!("providers.{}", provider.name);
    let (endpoint, path) = match (&provider.base_url, simulated) {
        (Some(url), _) => {
            (Endpoint { tls: url.tls, host: url.host.clone(), port: url.port }, url.path.clone())
        }
        (None, Some(address)) => (
            Endpoint { tls: false, host: address.ip().to_string(), port: address.port() },
            format!("/{}/v1", provider.name),
        ),
        (None, None) => return Err(error_at(&at, "no simulated provider runs in this process".into())),
    };
    // What each provider's own SDK takes: OpenAI's base URL ends in `/v1`, Anthropic's does not, Azure's is the resource's.
    let prefix = match (provider.kind, &provider.api_version) {
        (ProviderKind::OpenAi | ProviderKind::Mock, _) => path,
        (ProviderKind::Anthropic, _) => format!("{path}/v1"),
        (ProviderKind::AzureOpenAi, None) => format!("{path}/openai/v1"),
        (ProviderKind::AzureOpenAi, Some(_)) => format!("{path}/openai"),
    };
    let key = |key: &Secret| -> Result<ProviderKey, BuildError> {
        let (header, value) = credential(provider.kind, key, &at)?;
        let digest = KeyDigest::of(key);
        Ok(ProviderKey { header, value, digest, rest: rests.of(&provider.name, digest) })
    };
    let keys = provider.api_keys.iter().map(key).collect::<Result<_, _>>()?;
    let host = HeaderValue::from_str(&authority(&endpoint))
        .map_err(|_| error_at(&at, "its host cannot stand in a header".into()))?;
    Ok(ProviderPlan {
        place,
        host,
        prefix,
        version_query: provider.api_version.as_ref().map(|version| format!("api-version={version}").into()),
        keys: ProviderKeys::new(keys),
        timeouts: provider.timeouts,
        flight: rests.flights.of(KillTarget::Provider(provider.name.clone())),
        budget: rests.outages.budget(&provider.name),
        series: ProviderSeries::new(metrics, &provider.name, provider.api_keys.len() > 1),
        endpoint: Arc::new(endpoint),
        provider: Arc::clone(provider),
    })
}

fn http_plan(http: &HttpReply, name: &ReplyName, rests: &KeyRests) -> Result<HttpPlan, BuildError> {
    let at = format!("replies.{name}");
    let endpoint = Endpoint { tls: http.url.tls, host: http.url.host.clone(), port: http.url.port };
    let path = if http.url.path.is_empty() { "/" } else { &http.url.path };
    Ok(HttpPlan {
        host: HeaderValue::from_str(&authority(&endpoint))
            .map_err(|_| error_at(&at, "its host cannot stand in a header".into()))?,
        uri: path.parse().map_err(|_| error_at(&at, "its path cannot be asked for".into()))?,
        timeout: http.timeout,
        rest: rests.outages.reply(name),
        endpoint: Arc::new(endpoint),
    })
}

/// `host:port`, without the port where it is the scheme's own, with brackets around an IPv6 address.
pub(super) fn authority(endpoint: &Endpoint) -> String {
    let host =
        if endpoint.host.contains(':') { format!("[{}]", endpoint.host) } else { endpoint.host.clone() };
    match (endpoint.tls, endpoint.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

/// Exactly one header: OpenAI's `Authorization`, Anthropic's `x-api-key`, Azure's `api-key`.
fn credential(
    kind: ProviderKind,
    key: &Secret,
    place: &str,
) -> Result<(HeaderName, HeaderValue), BuildError> {
    let (name, value) = match kind {
        ProviderKind::Anthropic => {
            (HeaderName::from_static("x-api-key"), HeaderValue::from_str(key.reveal()))
        }
        ProviderKind::AzureOpenAi => {
            (HeaderName::from_static("api-key"), HeaderValue::from_str(key.reveal()))
        }
        ProviderKind::OpenAi | ProviderKind::Mock => {
            (header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", key.reveal())))
        }
    };
    let mut value = value.map_err(|_| error_at(place, "its key cannot stand in a header".into()))?;
    value.set_sensitive(true);
    Ok((name, value))
}

pub(super) fn find<T: Clone>(map: &HashMap<Box<str>, T>, name: &str, what: &str) -> Result<T, BuildError> {
    map.get(name).cloned().ok_or_else(|| error_at(name, format!("is no {what} of this configuration")))
}

fn error_at(place: &str, problem: String) -> BuildError {
    BuildError { place: place.to_owned(), problem }
}

fn context_headers(config: &Config) -> Vec<HeaderName> {
    let context = &config.context;
    let sources = context.targeting_key.iter().chain(&context.conversation);
    let named: HashSet<HeaderName> = sources
        .chain(context.attributes.iter().map(|attribute| &attribute.from))
        .filter_map(|source| match source {
            Source::Header(name) => Some(name.clone()),
            Source::Body(_) | Source::Auto => None,
        })
        .collect();
    named.into_iter().collect()
}

fn touched(config: &Config) -> Vec<String> {
    let mut names = BTreeSet::new();
    for model in &config.models {
        names.extend(model.fit.drop.iter().cloned());
        names.extend(model.fit.set.iter().map(|(name, _)| name.clone()));
        names.extend(model.fit.rename.iter().flat_map(|(from, to)| [from.clone(), to.clone()]));
    }
    let params = config.routes.iter().flat_map(|route| &route.params);
    names.extend(params.flat_map(|param| param.param.members()).map(str::to_owned));
    let shadows = config.routes.iter().flat_map(|route| &route.shadows).flat_map(|shadow| &shadow.params);
    names.extend(shadows.flat_map(|edit| edit.param.members()).map(str::to_owned));
    names.into_iter().collect()
}

/// Whether any rule of any flag looks at `attribute` or is cut by `by`, or any tier guard looks at it.
fn looks_at(config: &Config, attribute: Attribute, by: Option<&By>) -> bool {
    let guarded = config.models.iter().any(|model| condition_looks_at(&model.allow, attribute));
    guarded
        || config
            .flags
            .iter()
            .flat_map(|flag| &flag.rules)
            .any(|rule| by.is_some_and(|by| rule.by == *by) || condition_looks_at(&rule.when, attribute))
}

fn condition_looks_at(condition: &Condition, attribute: Attribute) -> bool {
    match condition {
        Condition::Always => false,
        Condition::All(parts) | Condition::Any(parts) | Condition::NoneOf(parts) => {
            parts.iter().any(|part| condition_looks_at(part, attribute))
        }
        Condition::Segment(segment) => condition_looks_at(&segment.when, attribute),
        Condition::Test(test) => test.attribute == attribute,
    }
}
