//! Every metric's name, help, labels and buckets, each written once.
//!
//! Label values come from the configuration only: a series can never be made by what a request says.

use prometheus::{
    CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::keeping::Keeping;
use crate::clock;
use crate::observe::breakers::Breakers;
use crate::observe::exemplars::AllExemplars;
use crate::observe::hygiene::Hygiene;
use crate::observe::judges::Judges;
use crate::observe::open_metrics;
use crate::observe::pins::Pins;
use crate::observe::records::Records;
use crate::observe::shadows::Shadows;
use crate::observe::spans::Spans;
use crate::observe::standing::Standing;
use crate::observe::users::Users;

/// All metric families of the process. Written by every room through handles, read by the admin listener.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) routes: Routes,
    pub(super) flags: Flags,
    pub(super) links: Links,
    pub(super) configuration: Configuration,
    pub(super) keeping: Keeping,
    pub(super) breakers: Breakers,
    pub(super) pins: Pins,
    pub(super) records: Records,
    pub(super) shadows: Shadows,
    pub(super) standing: Standing,
    pub(super) judges: Judges,
    pub(super) users: Users,
    pub(super) hygiene: Hygiene,
    pub(super) spans: Spans,
    pub(super) exemplars: AllExemplars,
}

/// What is counted of requests, by route and model.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) requests: IntCounterVec,
    pub(super) request_seconds: HistogramVec,
    pub(super) first_token_seconds: HistogramVec,
    pub(super) overhead_seconds: HistogramVec,
    pub(super) tokens: IntCounterVec,
    pub(super) cost_usd: CounterVec,
    pub(super) unpriced: IntCounterVec,
    pub(super) output_chars: HistogramVec,
    pub(super) in_flight: IntGaugeVec,
    pub(super) fallbacks: IntCounterVec,
    pub(super) tier_guard: IntCounterVec,
}

/// What is counted of flags and their variants, and of the context they are decided from.
#[derive(Debug)]
pub(super) struct Flags {
    pub(super) evaluations: IntCounterVec,
    pub(super) key_missing: IntCounterVec,
    pub(super) context_ignored: IntCounterVec,
    pub(super) variant_requests: IntCounterVec,
    pub(super) variant_seconds: HistogramVec,
    pub(super) variant_first_token_seconds: HistogramVec,
    pub(super) variant_output_chars: HistogramVec,
    pub(super) variant_cost_usd: CounterVec,
    pub(super) template_errors: IntCounterVec,
    pub(super) kill_switch: IntGaugeVec,
    pub(super) feedback: IntCounterVec,
    pub(super) feedback_values: HistogramVec,
}

/// What is counted of the way to callers and providers.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) upstream_requests: IntCounterVec,
    pub(super) upstream_seconds: HistogramVec,
    pub(super) keys_resting: IntGaugeVec,
    pub(super) key_rests: IntCounterVec,
    pub(super) retries: IntCounterVec,
    pub(super) retries_skipped: IntCounterVec,
    pub(super) disconnects: IntCounterVec,
    pub(super) stream_breaks: IntCounterVec,
    pub(super) dropped_parameters: IntCounterVec,
    pub(super) accept_errors: IntCounter,
    pub(super) tls_failures: IntCounterVec,
}

/// What is known of the configuration that serves.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) reloads: IntCounterVec,
    pub(super) last_reload: Gauge,
    pub(super) last_successful: IntGauge,
    pub(super) certificate_expires: GaugeVec,
    pub(super) flag_expires: GaugeVec,
    pub(super) generation: IntGauge,
}

/// What is counted once for each request that ended, for who reads metrics as they are given out.
pub const REQUESTS_TOTAL: &str = "dimmer_requests_total";

/// Why the metric families could not be made: two of them share a name. A defect, met at start only.
pub type MetricsError = prometheus::Error;

impl Metrics {
    /// Makes and registers every family.
    pub fn new() -> Result<Self, MetricsError> {
        let make = Families { registry: Registry::new() };
        let build =
            make.int_gauges("dimmer_build_info", "1, labelled with the version that runs", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            routes: Routes::new(&make)?,
            flags: Flags::new(&make)?,
            links: Links::new(&make)?,
            configuration: Configuration::new(&make)?,
            keeping: Keeping::new(&make)?,
            breakers: Breakers::new(&make)?,
            pins: Pins::new(&make)?,
            records: Records::new(&make)?,
            shadows: Shadows::new(&make)?,
            standing: Standing::new(&make)?,
            judges: Judges::new(&make)?,
            users: Users::new(&make)?,
            hygiene: Hygiene::new(&make)?,
            spans: Spans::new(&make)?,
            exemplars: AllExemplars::default(),
            registry: make.registry,
        })
    }

    /// The template of `prompt` could not be rendered.
    pub fn prompt_not_rendered(&self, prompt: &str) {
        self.flags.template_errors.with_label_values(&[prompt]).inc();
    }

    /// How many keys rest now, of every provider that has several: all others are forgotten.
    pub fn keys_resting<'a>(&self, providers: impl Iterator<Item = (&'a str, usize)>) {
        self.links.keys_resting.reset();
        for (provider, resting) in providers {
            let resting = i64::try_from(resting).unwrap_or(i64::MAX);
            self.links.keys_resting.with_label_values(&[provider]).set(resting);
        }
    }

    /// Everything in Prometheus' text format 0.0.4.
    pub fn render(&self) -> Result<String, MetricsError> {
        self.refresh();
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Everything for who asks with this `Accept`, and what kind of text that is.
    pub fn render_for(&self, accept: &str) -> Result<(String, &'static str), MetricsError> {
        if !open_metrics::is_wanted(accept) {
            return Ok((self.render()?, "text/plain; version=0.0.4; charset=utf-8"));
        }
        self.refresh();
        Ok((open_metrics::encode(&self.registry.gather(), &self.exemplars), open_metrics::CONTENT_TYPE))
    }

    fn refresh(&self) {
        self.keeping.refresh(clock::uptime());
        self.users.refresh(clock::uptime());
    }
}

impl Routes {
    fn new(make: &Families) -> Result<Self, MetricsError> {
        Ok(Self {
            requests: make.counters(
                REQUESTS_TOTAL,
                "Requests that ended, by outcome",
                ROUTE_MODEL_OUTCOME,
            )?,
            request_seconds: make.histograms(
                REQUEST_SECONDS,
                "From a request's head to its answer's last byte",
                ROUTE_MODEL,
                SECONDS,
            )?,
            first_token_seconds: make.histograms(
                FIRST_TOKEN_SECONDS,
                "From a request's head to the first piece of content, streams only",
                ROUTE_MODEL,
                SECONDS,
            )?,
            overhead_seconds: make.histograms(
                "dimmer_overhead_seconds",
                "Time spent in the gateway itself, waiting for caller and provider left out",
                &["route"],
                OVERHEAD_SECONDS,
            )?,
            tokens: make.counters("dimmer_tokens_total", "Tokens, by kind", &["route", "model", "kind"])?,
            cost_usd: make.float_counters(
                "dimmer_cost_usd_total",
                "What answers cost, in US dollars",
                ROUTE_MODEL,
            )?,
            unpriced: make.counters(
                "dimmer_unpriced_requests_total",
                "Answers whose cost is unknown: no price, or no usage in the answer",
                &["model"],
            )?,
            output_chars: make.histograms(
                "dimmer_output_chars",
                "Characters of text in an answer",
                ROUTE_MODEL,
                CHARACTERS,
            )?,
            in_flight: make.int_gauges("dimmer_in_flight_requests", "Requests being served", &["route"])?,
            fallbacks: make.counters(
                "dimmer_fallbacks_total",
                "Answers that are not from what the flags chose, by why",
                &["route", "cause"],
            )?,
            tier_guard: make.counters(
                "dimmer_tier_guard_total",
                "Requests that a model's `allow` kept away from it",
                &["model", "route"],
            )?,
        })
    }
}

impl Flags {
    fn new(make: &Families) -> Result<Self, MetricsError> {
        Ok(Self {
            evaluations: make.counters(
                "dimmer_flag_evaluations_total",
                "Flag evaluations, by variant and reason",
                &["flag", "variant", "reason"],
            )?,
            key_missing: make.counters(
                "dimmer_targeting_key_missing_total",
                "Requests whose flags needed a targeting key that the caller did not send",
                &["route"],
            )?,
            context_ignored: make.counters(
                "dimmer_context_ignored_total",
                "Context that a caller sent and that was not believed or not of its declared type, by source",
                &["source"],
            )?,
            variant_requests: make.counters(
                "dimmer_variant_requests_total",
                "Requests that ended, by the variant that a flag gave them",
                &["route", "flag", "variant", "outcome"],
            )?,
            variant_seconds: make.histograms(
                "dimmer_variant_duration_seconds",
                "From a request's head to its answer's last byte, by variant",
                ROUTE_FLAG_VARIANT,
                SECONDS,
            )?,
            variant_first_token_seconds: make.histograms(
                "dimmer_variant_time_to_first_token_seconds",
                "From a request's head to the first piece of content, streams only, by variant",
                ROUTE_FLAG_VARIANT,
                SECONDS,
            )?,
            variant_output_chars: make.histograms(
                "dimmer_variant_output_chars",
                "Characters of text in an answer, by variant",
                ROUTE_FLAG_VARIANT,
                CHARACTERS,
            )?,
            variant_cost_usd: make.float_counters(
                "dimmer_variant_cost_usd_total",
                "What answers cost, in US dollars, by variant",
                ROUTE_FLAG_VARIANT,
            )?,
            template_errors: make.counters(
                "dimmer_prompt_render_errors_total",
                "Prompt templates that could not be rendered for a request, which kept the app's own prompt",
                &["prompt"],
            )?,
            kill_switch: make.int_gauges(
                "dimmer_kill_switch",
                "1 while the target is killed; targets that never were since the start have no series",
                &["target"],
            )?,
            feedback: make.counters(
                "dimmer_feedback_total",
                "What was said of answers, by the variants that their requests saw; each request and name once",
                FLAG_VARIANT_NAME,
            )?,
            feedback_values: make.histograms(
                "dimmer_feedback",
                "The values of what was said of answers, each from 0 to 1",
                FLAG_VARIANT_NAME,
                ZERO_TO_ONE,
            )?,
        })
    }
}

impl Links {
    fn new(make: &Families) -> Result<Self, MetricsError> {
        Ok(Self {
            upstream_requests: make.counters(
                "dimmer_upstream_requests_total",
                "Requests sent to a provider, by the class of its answer (2xx … 5xx, error)",
                &["provider", "class"],
            )?,
            upstream_seconds: make.histograms(
                "dimmer_upstream_duration_seconds",
                "From a request's dispatch to the head of the provider's answer",
                &["provider"],
                SECONDS,
            )?,
            keys_resting: make.int_gauges(
                "dimmer_provider_keys_resting",
                "Keys that rest now, of providers that have several",
                &["provider"],
            )?,
            key_rests: make.counters(
                "dimmer_provider_key_rests_total",
                "Keys that were put to rest, by what the provider had answered (401, 429)",
                &["provider", "cause"],
            )?,
            retries: make.counters(
                "dimmer_upstream_retries_total",
                "Requests tried again at the same target, by what the last try met (connect, 429, 503)",
                &["provider", "cause"],
            )?,
            retries_skipped: make.counters(
                "dimmer_upstream_retries_skipped_total",
                "Requests not tried again though they might have been (over_budget, too_long)",
                &["provider", "reason"],
            )?,
            disconnects: make.counters(
                "dimmer_client_disconnects_total",
                "Callers that went away before their answer was whole",
                &["route"],
            )?,
            stream_breaks: make.counters(
                "dimmer_stream_breaks_total",
                "Answers that broke off after they had begun, by the side that broke them (upstream, client)",
                &["side"],
            )?,
            dropped_parameters: make.counters(
                "dimmer_dropped_parameters_total",
                "Parameters taken out of requests because the target does not take them",
                &["field"],
            )?,
            accept_errors: make.counter(
                "dimmer_accept_errors_total",
                "Connections that could not be accepted, for example because no file descriptor was left",
            )?,
            tls_failures: make.counters(
                "dimmer_tls_handshake_failures_total",
                "TLS handshakes of callers that came to nothing, by cause",
                &["cause"],
            )?,
        })
    }
}

impl Configuration {
    fn new(make: &Families) -> Result<Self, MetricsError> {
        Ok(Self {
            reloads: make.counters(
                "dimmer_config_reloads_total",
                "Attempts to load the configuration",
                &["result"],
            )?,
            last_reload: make.gauge(
                "dimmer_config_last_reload_success_timestamp_seconds",
                "When the configuration that serves was loaded, in seconds since 1970",
            )?,
            last_successful: make.int_gauge(
                "dimmer_config_last_reload_successful",
                "1: the configuration as it lies there is the one that serves; 0: it was refused",
            )?,
            certificate_expires: make.gauges(
                "dimmer_tls_certificate_expires_timestamp_seconds",
                "When the certificate of a listener ends, in seconds since 1970",
                &["listener"],
            )?,
            flag_expires: make.gauges(
                "dimmer_flag_expires_timestamp_seconds",
                "When a flag should be gone, in seconds since 1970",
                &["flag"],
            )?,
            generation: make.int_gauge(
                "dimmer_config_generation",
                "Which configuration of this process serves: 1 is the one it started with",
            )?,
        })
    }
}

/// Two histograms have traces.
pub(super) const REQUEST_SECONDS: &str = "dimmer_request_duration_seconds";
pub(super) const FIRST_TOKEN_SECONDS: &str = "dimmer_time_to_first_token_seconds";

const ROUTE_MODEL: &[&str] = &["route", "model"];
const ROUTE_MODEL_OUTCOME: &[&str] = &["route", "model", "outcome"];
const FLAG_VARIANT_NAME: &[&str] = &["flag", "variant", "name"];
const ROUTE_FLAG_VARIANT: &[&str] = &["route", "flag", "variant"];

/// The OpenTelemetry GenAI conventions' buckets, with three more for models that think for minutes.
pub(super) const SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 160.0, 320.0,
    600.0,
];
/// From a hash and a copy to what would be a fault of ours.
const OVERHEAD_SECONDS: &[f64] =
    &[0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0];
/// Thumbs are at the ends, judgements between them.
const ZERO_TO_ONE: &[f64] = &[0.0, 0.25, 0.5, 0.75, 1.0];
/// From one line to a runaway answer.
const CHARACTERS: &[f64] =
    &[100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 25_000.0, 50_000.0, 100_000.0, 250_000.0];

/// Makes families and registers them.
pub(super) struct Families {
    registry: Registry,
}

impl Families {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, family: C) -> Result<C, MetricsError> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        self.add(IntCounter::new(name, help)?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, MetricsError> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn float_counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, MetricsError> {
        self.add(CounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<Gauge, MetricsError> {
        self.add(Gauge::new(name, help)?)
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, MetricsError> {
        self.add(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn int_gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        self.add(IntGauge::new(name, help)?)
    }

    pub(super) fn int_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, MetricsError> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, MetricsError> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}
