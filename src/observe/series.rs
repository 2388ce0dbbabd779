//! Handles to series, found once per configuration and kept: no request looks a label up.
//!
//! A handle's series comes into being with its first use, so that what is never served is never exported.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::core::{AtomicU64, GenericCounter};
use prometheus::{Counter, Histogram, IntCounter, IntGauge};

use crate::flags::Reason;
use crate::observe::exemplars::{Exemplar, Exemplars};
use crate::observe::metrics::{FIRST_TOKEN_SECONDS, REQUEST_SECONDS, SECONDS};
use crate::observe::trace::TraceContext;
use crate::observe::users::UsersOfDay;
use crate::observe::{CutCause, ForeignAction, Metrics, Outcome, PinResult, ServedBy};

type Lazy<T> = OnceLock<T>;

/// What is counted of one route, whatever model answers.
#[derive(Debug)]
pub struct RouteSeries {
    /// Requests being served now.
    pub in_flight: IntGauge,
    /// Time spent in the gateway itself.
    pub overhead: Histogram,
    /// Callers that went away.
    pub disconnects: IntCounter,
    /// Requests whose flags missed a targeting key.
    pub key_missing: Lazy<IntCounter>,
    users: [Lazy<Arc<UsersOfDay>>; ServedBy::COUNT],
    name: Box<str>,
    metrics: Arc<Metrics>,
}

/// What is counted of one route and one model (or reply).
#[derive(Debug)]
pub struct ModelSeries {
    outcomes: [Lazy<IntCounter>; Outcome::ALL.len()],
    duration: Histogram,
    first_token: Lazy<Histogram>,
    output_chars: Lazy<Histogram>,
    cost: Lazy<Counter>,
    unpriced: Lazy<IntCounter>,
    tokens: [Lazy<IntCounter>; TokenKind::ALL.len()],
    /// Of the duration and of the first token.
    traced: Lazy<[Arc<Exemplars>; 2]>,
    labels: [Box<str>; 2],
    metrics: Arc<Metrics>,
}

/// The label `kind` of `dimmer_tokens_total`. Disjoint: input and cached input add up to all input; reasoning is part of
/// output and is counted beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Input that no cache had.
    Input,
    /// Input read from a cache.
    CachedInput,
    /// Input written to a cache.
    CacheWrite,
    /// All output, reasoning included.
    Output,
    /// The part of the output that is reasoning.
    Reasoning,
}

impl TokenKind {
    const ALL: [Self; 5] = [Self::Input, Self::CachedInput, Self::CacheWrite, Self::Output, Self::Reasoning];

    fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CachedInput => "cached_input",
            Self::CacheWrite => "cache_write",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
        }
    }
}

impl RouteSeries {
    /// The series of the route `name`.
    pub fn new(metrics: &Arc<Metrics>, name: &str) -> Self {
        Self {
            in_flight: metrics.routes.in_flight.with_label_values(&[name]),
            overhead: metrics.routes.overhead_seconds.with_label_values(&[name]),
            disconnects: metrics.links.disconnects.with_label_values(&[name]),
            key_missing: OnceLock::new(),
            users: Default::default(),
            name: name.into(),
            metrics: Arc::clone(metrics),
        }
    }

    /// A user was served by this.
    pub fn user(&self, served: ServedBy, hash: u64, uptime: Duration) {
        if let Some(users) = self.users.get(served as usize) {
            users.get_or_init(|| self.metrics.users_of_route(&self.name, served.as_str())).saw(hash, uptime);
        }
    }

    /// Counts a request whose flags missed a targeting key.
    pub fn targeting_key_missing(&self) {
        self.key_missing
            .get_or_init(|| self.metrics.flags.key_missing.with_label_values(&[&self.name]))
            .inc();
    }

    /// An answer is not from what the flags chose: the value of `x-dimmer-fallback` says why.
    pub fn fell_back(&self, cause: &'static str) {
        self.metrics.routes.fallbacks.with_label_values(&[&*self.name, cause]).inc();
    }

    /// The `allow` of `model`, a name of the configuration, kept a request away from it.
    pub fn tier_guarded(&self, model: &str) {
        self.metrics.routes.tier_guard.with_label_values(&[model, &*self.name]).inc();
    }
}

impl ModelSeries {
    /// The series of `route` and `model`.
    pub fn new(metrics: &Arc<Metrics>, route: &str, model: &str) -> Self {
        Self {
            outcomes: Default::default(),
            duration: metrics.routes.request_seconds.with_label_values(&[route, model]),
            first_token: OnceLock::new(),
            output_chars: OnceLock::new(),
            cost: OnceLock::new(),
            unpriced: OnceLock::new(),
            tokens: Default::default(),
            traced: OnceLock::new(),
            labels: [route.into(), model.into()],
            metrics: Arc::clone(metrics),
        }
    }

    /// A request ended.
    pub fn ended(&self, outcome: Outcome, took: Duration) {
        if let Some(handle) = self.outcomes.get(outcome as usize) {
            handle
                .get_or_init(|| self.metrics.routes.requests.with_label_values(&self.with(outcome.as_str())))
                .inc();
        }
        self.duration.observe(took.as_secs_f64());
    }

    /// The first piece of a stream's content came.
    pub fn first_token(&self, after: Duration) {
        self.first_token
            .get_or_init(|| self.metrics.routes.first_token_seconds.with_label_values(&self.pair()))
            .observe(after.as_secs_f64());
    }

    /// A request that ended was traced, at this time since 1970.
    pub fn traced(&self, context: TraceContext, took: Duration, first_token: Option<Duration>, at: Duration) {
        let exemplars = &self.metrics.exemplars;
        let of = |metric| exemplars.of(metric, self.pair(), SECONDS);
        let [durations, first_tokens] =
            self.traced.get_or_init(|| [of(REQUEST_SECONDS), of(FIRST_TOKEN_SECONDS)]);
        durations.put(Exemplar { context, value: took.as_secs_f64(), at });
        if let Some(first) = first_token {
            first_tokens.put(Exemplar { context, value: first.as_secs_f64(), at });
        }
    }

    /// An answer's text had so many characters.
    pub fn output_chars(&self, chars: u64) {
        self.output_chars
            .get_or_init(|| self.metrics.routes.output_chars.with_label_values(&self.pair()))
            .observe(chars as f64);
    }

    /// A stream was ended in flight. Rare enough to look its labels up.
    pub fn cut(&self, cause: CutCause) {
        self.metrics.breakers.answers_cut.with_label_values(&self.with(cause.as_str())).inc();
    }

    /// Tokens of one kind were used.
    pub fn tokens(&self, kind: TokenKind, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(handle) = self.tokens.get(kind as usize) {
            handle
                .get_or_init(|| self.metrics.routes.tokens.with_label_values(&self.with(kind.as_str())))
                .inc_by(count);
        }
    }

    /// An answer cost so much.
    pub fn cost_usd(&self, usd: f64) {
        self.cost.get_or_init(|| self.metrics.routes.cost_usd.with_label_values(&self.pair())).inc_by(usd);
    }

    /// An answer's cost is unknown.
    pub fn unpriced(&self) {
        let [_, model] = &self.labels;
        self.unpriced.get_or_init(|| self.metrics.routes.unpriced.with_label_values(&[model])).inc();
    }

    fn pair(&self) -> [&str; 2] {
        let [route, model] = &self.labels;
        [route, model]
    }

    fn with<'a>(&'a self, third: &'a str) -> [&'a str; 3] {
        let [route, model] = self.pair();
        [route, model, third]
    }
}

/// What is counted of one flag on one route, by variant.
#[derive(Debug)]
pub struct FlagSeries {
    variants: Vec<VariantSeries>,
    route: Box<str>,
    flag: Box<str>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct VariantSeries {
    name: Box<str>,
    evaluations: [Lazy<IntCounter>; Reason::ALL.len()],
    outcomes: [Lazy<IntCounter>; Outcome::ALL.len()],
    duration: Lazy<Histogram>,
    first_token: Lazy<Histogram>,
    output_chars: Lazy<Histogram>,
    cost: Lazy<Counter>,
    users: Lazy<Arc<UsersOfDay>>,
}

impl FlagSeries {
    /// The series of `flag`, whose variants are given in their order, on `route`.
    pub fn new<'a>(
        metrics: &Arc<Metrics>,
        route: &str,
        flag: &str,
        variants: impl Iterator<Item = &'a str>,
    ) -> Self {
        let variants = variants
            .map(|name| VariantSeries {
                name: name.into(),
                evaluations: Default::default(),
                outcomes: Default::default(),
                duration: OnceLock::new(),
                first_token: OnceLock::new(),
                output_chars: OnceLock::new(),
                cost: OnceLock::new(),
                users: OnceLock::new(),
            })
            .collect();
        Self { variants, route: route.into(), flag: flag.into(), metrics: Arc::clone(metrics) }
    }

    /// The flag was evaluated.
    pub fn evaluated(&self, variant: u16, reason: Reason) {
        let Some(series) = self.variants.get(usize::from(variant)) else { return };
        let Some(handle) = series.evaluations.get(reason as usize) else { return };
        let labels = [&*self.flag, &*series.name, reason.as_str()];
        handle.get_or_init(|| self.metrics.flags.evaluations.with_label_values(&labels)).inc();
    }

    /// A user was given `variant`.
    pub fn user(&self, variant: u16, hash: u64, uptime: Duration) {
        let Some(series) = self.variants.get(usize::from(variant)) else { return };
        series
            .users
            .get_or_init(|| self.metrics.users_of_variant(&self.flag, &series.name))
            .saw(hash, uptime);
    }

    /// A request that had been given `variant` ended.
    pub fn ended(&self, variant: u16, outcome: Outcome, took: Duration) {
        let Some(series) = self.variants.get(usize::from(variant)) else { return };
        let labels = [&*self.route, &*self.flag, &*series.name, outcome.as_str()];
        if let Some(handle) = series.outcomes.get(outcome as usize) {
            handle.get_or_init(|| self.metrics.flags.variant_requests.with_label_values(&labels)).inc();
        }
        series
            .duration
            .get_or_init(|| self.metrics.flags.variant_seconds.with_label_values(&self.labels(series)))
            .observe(took.as_secs_f64());
    }

    /// The first piece of content came, of a stream that had been given `variant`.
    pub fn first_token(&self, variant: u16, after: Duration) {
        let Some(series) = self.variants.get(usize::from(variant)) else { return };
        let of = || self.metrics.flags.variant_first_token_seconds.with_label_values(&self.labels(series));
        series.first_token.get_or_init(of).observe(after.as_secs_f64());
    }

    /// The answer to a request that had been given `variant` had so many characters.
    pub fn output_chars(&self, variant: u16, chars: u64) {
        let Some(series) = self.variants.get(usize::from(variant)) else { return };
        series
            .output_chars
            .get_or_init(|| self.metrics.flags.variant_output_chars.with_label_values(&self.labels(series)))
            .observe(chars as f64);
    }

    /// The answer to a request that had been given `variant` cost so much.
    pub fn cost_usd(&self, variant: u16, usd: f64) {
        let Some(series) = self.variants.get(usize::from(variant)) else { return };
        series
            .cost
            .get_or_init(|| self.metrics.flags.variant_cost_usd.with_label_values(&self.labels(series)))
            .inc_by(usd);
    }

    fn labels<'a>(&'a self, series: &'a VariantSeries) -> [&'a str; 3] {
        [&self.route, &self.flag, &series.name]
    }
}

/// What is counted of one provider.
#[derive(Debug)]
pub struct ProviderSeries {
    classes: [IntCounter; 6],
    /// From dispatch to the head of the answer.
    pub duration: Histogram,
    /// Keys put to rest, by status; only of a provider that has several.
    key_rests: Option<[IntCounter; 2]>,
    retries: [IntCounter; 3],
    retries_skipped: [IntCounter; 2],
}

/// The label `cause` of `dimmer_upstream_retries_total`: what a request was tried again after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryCause {
    /// No connection.
    Connect,
    /// 429
    Limited,
    /// 503
    Unavailable,
}

/// The label `reason` of `dimmer_upstream_retries_skipped_total`: why a request was not tried again though it might have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetrySkipped {
    /// The provider's budget is used up.
    OverBudget,
    /// The provider asks for a longer wait than a caller should have.
    TooLong,
}

impl ProviderSeries {
    /// The series of the provider `name`.
    pub fn new(metrics: &Metrics, name: &str, several_keys: bool) -> Self {
        let rests = |cause: &str| metrics.links.key_rests.with_label_values(&[name, cause]);
        let class = |class: &str| metrics.links.upstream_requests.with_label_values(&[name, class]);
        Self {
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx", "error"].map(class),
            duration: metrics.links.upstream_seconds.with_label_values(&[name]),
            key_rests: several_keys.then(|| ["401", "429"].map(rests)),
            retries: ["connect", "429", "503"]
                .map(|cause| metrics.links.retries.with_label_values(&[name, cause])),
            retries_skipped: ["over_budget", "too_long"]
                .map(|reason| metrics.links.retries_skipped.with_label_values(&[name, reason])),
        }
    }

    /// A request is tried again.
    pub fn retried(&self, cause: RetryCause) {
        if let Some(counter) = self.retries.get(cause as usize) {
            counter.inc();
        }
    }

    /// A request is not tried again.
    pub fn retry_skipped(&self, reason: RetrySkipped) {
        if let Some(counter) = self.retries_skipped.get(reason as usize) {
            counter.inc();
        }
    }

    /// A key was put to rest: it was `limited` (429), or refused (401).
    pub fn key_rests(&self, limited: bool) {
        if let Some(counter) = self.key_rests.as_ref().and_then(|causes| causes.get(usize::from(limited))) {
            counter.inc();
        }
    }

    /// The provider answered with `status`, or not at all.
    pub fn answered(&self, status: Option<u16>) {
        let place = match status {
            Some(status @ 100..=599) => usize::from(status / 100) - 1,
            _ => 5,
        };
        if let Some(counter) = self.classes.get(place) {
            counter.inc();
        }
    }
}

/// The label `cause` of `dimmer_tls_handshake_failures_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It did not end in time.
    Timeout,
    /// The caller does not speak TLS.
    NotTls,
    /// The caller does not like what it was shown: a certificate that it does not trust, mostly.
    RefusedByCaller,
    /// No version or cipher in common, or something that is no handshake.
    Protocol,
    /// The caller went away.
    Closed,
    /// Too many handshakes were under way.
    Overloaded,
}

impl HandshakeFailure {
    fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotTls => "not_tls",
            Self::RefusedByCaller => "refused_by_caller",
            Self::Protocol => "protocol",
            Self::Closed => "closed",
            Self::Overloaded => "overloaded",
        }
    }
}

/// Counters that belong to no route, with their handles kept.
#[derive(Debug)]
pub struct GatewaySeries {
    /// Answers that the provider broke off.
    pub breaks_upstream: GenericCounter<AtomicU64>,
    /// Answers that the caller broke off.
    pub breaks_client: GenericCounter<AtomicU64>,
    /// Context headers not believed.
    pub ignored_header: GenericCounter<AtomicU64>,
    /// Context from bodies not believed.
    pub ignored_body: GenericCounter<AtomicU64>,
    /// Connections not accepted.
    pub accept_errors: IntCounter,
    metrics: Arc<Metrics>,
}

impl GatewaySeries {
    /// The process's own.
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        // There from the start: a counter that appears at 1 has not risen, and an alert on its rise would sleep through it.
        metrics.configuration.reloads.with_label_values(&["error"]);
        Self {
            breaks_upstream: metrics.links.stream_breaks.with_label_values(&["upstream"]),
            breaks_client: metrics.links.stream_breaks.with_label_values(&["client"]),
            ignored_header: metrics.flags.context_ignored.with_label_values(&["header"]),
            ignored_body: metrics.flags.context_ignored.with_label_values(&["body"]),
            accept_errors: metrics.links.accept_errors.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    /// `field` (a name of the configuration or of the dialects' tables, or `other`) was taken out of a request.
    pub fn dropped_parameter(&self, field: &str) {
        self.metrics.links.dropped_parameters.with_label_values(&[field]).inc();
    }

    /// Somebody said something of an answer that the variant had a part in; all are names of the configuration.
    pub fn feedback(&self, flag: &str, variant: &str, name: &str, value: f64) {
        let labels = [flag, variant, name];
        self.metrics.flags.feedback.with_label_values(&labels).inc();
        self.metrics.flags.feedback_values.with_label_values(&labels).observe(value);
    }

    /// A request on a route that pins conversations.
    pub fn pinned(&self, result: PinResult) {
        self.metrics.pins.pins.with_label_values(&[result.as_str()]).inc();
    }

    /// A request of `route` had reasoning in it that another model had signed.
    pub fn foreign_reasoning(&self, route: &str, action: ForeignAction) {
        self.metrics.pins.foreign_reasoning.with_label_values(&[route, action.as_str()]).inc();
    }

    /// A caller's TLS handshake came to nothing.
    pub fn handshake_failed(&self, failure: HandshakeFailure) {
        self.metrics.links.tls_failures.with_label_values(&[failure.as_str()]).inc();
    }

    /// A configuration was loaded, or refused.
    pub fn config_loaded(&self, result: Result<Loaded<'_>, ()>) {
        match result {
            Ok(loaded) => {
                self.metrics.configuration.reloads.with_label_values(&["ok"]).inc();
                self.metrics.configuration.last_reload.set(loaded.at_unix_seconds);
                self.metrics.configuration.last_successful.set(1);
                self.metrics.configuration.certificate_expires.reset();
                if let Some(at) = loaded.certificate_expires {
                    self.metrics
                        .configuration
                        .certificate_expires
                        .with_label_values(&["data"])
                        .set(at as f64);
                }
                self.metrics
                    .configuration
                    .generation
                    .set(i64::try_from(loaded.generation).unwrap_or(i64::MAX));
                self.metrics.configuration.flag_expires.reset();
                for (flag, at) in loaded.flag_expiries {
                    self.metrics.configuration.flag_expires.with_label_values(&[flag]).set(*at as f64);
                }
            }
            Err(()) => {
                self.metrics.configuration.reloads.with_label_values(&["error"]).inc();
                self.metrics.configuration.last_successful.set(0);
            }
        }
    }
}

/// What is said of a configuration that serves from now on.
#[derive(Debug)]
pub struct Loaded<'a> {
    /// 1 is the first of this process.
    pub generation: u64,
    /// When, in seconds since 1970.
    pub at_unix_seconds: f64,
    /// When the data listener's certificate ends, in seconds since 1970.
    pub certificate_expires: Option<i64>,
    /// Each flag with an expiry, in seconds since 1970.
    pub flag_expiries: &'a [(String, i64)],
}
