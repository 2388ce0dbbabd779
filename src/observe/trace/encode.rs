//! From what a request left behind to spans, in the words of OpenTelemetry's semantic conventions: HTTP, GenAI, feature flags. What they
//! have no word for begins with `dimmer.`.
//!
//! Never a prompt, an answer, a key or a user, and of what a caller wrote only names, cut and cleaned before.

use crate::config::{ProviderKind, Route, TelemetrySpec};
use crate::flags::Reason;
use crate::observe::Outcome;
use crate::observe::trace::otlp::{
    AnyValue, CLIENT, ERROR, Event, Export, KeyValue, List, PARENT_IS_KNOWN, PARENT_IS_REMOTE, Resource,
    ResourceSpans, SERVER, Scope, ScopeSpans, Span, Status, Value,
};
use crate::observe::trace::span::{Answered, Asked, FlagEvent, RequestSpan, Trace, TrySpan};
use crate::wire::{Endpoint, Finish, Usage};

/// All of them, as one message.
pub(super) fn export(traces: &[Box<Trace>], resource: &Resource) -> Export {
    let mut spans = Vec::with_capacity(traces.iter().map(|trace| trace.spans()).sum());
    for trace in traces {
        spans.extend(trace.request.as_ref().map(|request| request_span(trace, request)));
        spans.extend(trace.tries.iter().map(|one| try_span(trace, one)));
    }
    let scope = Scope { name: "dimmer".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let scopes = vec![ScopeSpans { scope: Some(scope), spans }];
    Export { resources: vec![ResourceSpans { resource: Some(resource.clone()), scopes }] }
}

/// Who it is that makes the spans. `instance` is this process's own.
pub(super) fn resource(spec: &TelemetrySpec, instance: &str) -> Resource {
    let mut all = Attributes::default();
    all.text("service.name", &spec.service_name);
    all.text("service.version", env!("CARGO_PKG_VERSION"));
    if !spec.attributes.iter().any(|(key, _)| key == INSTANCE) {
        all.text(INSTANCE, instance);
    }
    all.text("telemetry.sdk.name", "dimmer");
    all.text("telemetry.sdk.language", "rust");
    all.text("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    for (key, value) in &spec.attributes {
        all.text(key, value);
    }
    Resource { attributes: all.0 }
}

const INSTANCE: &str = "service.instance.id";

fn request_span(trace: &Trace, request: &RequestSpan) -> Span {
    let path = request.route.as_ref().and_then(|route| path(route, trace.endpoint));
    let mut all = Attributes::default();
    all.text("http.request.method", request.method.as_str());
    all.text("url.scheme", if request.tls { "https" } else { "http" });
    all.text("network.protocol.version", version(request.version));
    if let Some(path) = &path {
        all.text("http.route", path);
    }
    if request.status > 0 {
        all.int("http.response.status_code", u64::from(request.status));
    }
    dimmers_own(&mut all, trace, request);
    let error = error_of(request);
    if let Some(error) = &error {
        all.text("error.type", error);
    }
    let method = request.method.as_str();
    let remote = request.parent.map_or(0, |_| PARENT_IS_KNOWN | PARENT_IS_REMOTE);
    Span {
        trace_id: trace.context.trace.0.to_be_bytes().to_vec(),
        span_id: trace.context.span.0.to_be_bytes().to_vec(),
        trace_state: state(trace),
        parent_span_id: request.parent.map(|parent| parent.0.to_be_bytes().to_vec()).unwrap_or_default(),
        name: path.map_or_else(|| method.to_owned(), |path| format!("{method} {path}")),
        kind: SERVER,
        start_ns: request.times.start_ns,
        end_ns: request.times.end_ns,
        attributes: all.0,
        events: request.flags.iter().map(|flag| flag_event(request, flag)).collect(),
        status: status(error.is_some()),
        flags: u32::from(trace.context.flags) | remote,
    }
}

/// What only dimmer knows of a request.
fn dimmers_own(all: &mut Attributes, trace: &Trace, request: &RequestSpan) {
    all.text("dimmer.request.id", &request.id);
    all.text("dimmer.endpoint", trace.endpoint.as_str());
    if let Some(route) = &request.route {
        all.text("dimmer.route", &route.name);
    }
    all.some_text("dimmer.client", request.client.as_deref());
    all.some_text("dimmer.request.model", request.asked.as_deref());
    all.text("dimmer.model", &request.served);
    all.text("dimmer.outcome", request.outcome.as_str());
    all.some_text("dimmer.fallback.cause", request.fallback);
    all.int("dimmer.tries", trace.tries.len() as u64);
    all.int("dimmer.config.generation", request.generation);
    if !request.dropped.is_empty() {
        all.list("dimmer.dropped_parameters", &request.dropped);
    }
    all.some_text("gen_ai.conversation.id", trace.conversation.as_deref());
    let answer = trace.tries.last().and_then(|last| last.answer.as_ref());
    if let Some(cost) = answer.and_then(|answer| answer.cost) {
        all.double("dimmer.cost.usd", cost.as_usd());
    }
}

fn try_span(trace: &Trace, one: &TrySpan) -> Span {
    let mut all = Attributes::default();
    all.text("http.request.method", "POST");
    all.text("server.address", &one.host);
    all.int("server.port", u64::from(one.port));
    if let Some(status) = one.status {
        all.int("http.response.status_code", u64::from(status));
    }
    if one.before > 0 {
        all.int("http.request.resend_count", u64::from(one.before));
    }
    if let Some((shadow, outcome)) = &one.shadow {
        all.text("dimmer.shadow", shadow);
        all.text("dimmer.shadow.outcome", outcome);
    }
    let name = asked(&mut all, trace, one);
    if let Some(answer) = &one.answer {
        answered(&mut all, answer);
    }
    let refused = one.status.filter(|status| *status >= 400).map(|status| status.to_string());
    let error = refused.or_else(|| one.error.as_deref().map(str::to_owned));
    if let Some(error) = &error {
        all.text("error.type", error);
    }
    Span {
        trace_id: trace.context.trace.0.to_be_bytes().to_vec(),
        span_id: one.span.0.to_be_bytes().to_vec(),
        trace_state: state(trace),
        parent_span_id: trace.context.span.0.to_be_bytes().to_vec(),
        name,
        kind: CLIENT,
        start_ns: one.times.start_ns,
        end_ns: one.times.end_ns,
        attributes: all.0,
        events: Vec::new(),
        status: status(error.is_some()),
        flags: u32::from(trace.context.flags) | PARENT_IS_KNOWN,
    }
}

/// Who was asked for what. Gives the span's name.
fn asked(all: &mut Attributes, trace: &Trace, one: &TrySpan) -> String {
    let (provider, model, sent) = match &one.asked {
        Asked::Provider { provider, model, sent } => (provider, model, sent),
        Asked::Service(reply) => {
            all.text("dimmer.reply", &reply.name);
            return "POST".to_owned();
        }
    };
    all.text("dimmer.provider", &provider.name);
    let sent = model.as_ref().map(|model| model.upstream_model.as_str()).or(sent.as_deref());
    if let Some(model) = model {
        all.text("dimmer.model", &model.name);
    }
    let Some(operation) = operation(trace.endpoint) else {
        let method = trace.request.as_ref().map_or("POST", |request| request.method.as_str());
        all.text("http.request.method", method);
        return method.to_owned();
    };
    all.text("gen_ai.operation.name", operation);
    all.text("gen_ai.provider.name", provider_name(provider.kind, &one.host));
    all.some_text("gen_ai.request.model", sent);
    if trace.stream {
        all.bool("gen_ai.request.stream", true);
    }
    all.some_text("gen_ai.conversation.id", trace.conversation.as_deref());
    match sent {
        Some(sent) => format!("{operation} {sent}"),
        None => operation.to_owned(),
    }
}

fn answered(all: &mut Attributes, answer: &Answered) {
    all.some_text("gen_ai.response.model", answer.model.as_deref());
    all.some_text("gen_ai.response.id", answer.id.as_deref());
    if let Some(finish) = answer.finish.and_then(finish) {
        all.list("gen_ai.response.finish_reasons", &[finish]);
    }
    if let Some(first) = answer.first_chunk_ns {
        all.double("gen_ai.response.time_to_first_chunk", first as f64 / 1e9);
    }
    if let Some(Usage { input, cache_read, cache_write, output, reasoning, .. }) = answer.usage {
        // The conventions count what a cache held as input too.
        all.int("gen_ai.usage.input_tokens", input.saturating_add(cache_read).saturating_add(cache_write));
        all.int("gen_ai.usage.output_tokens", output);
        for (key, tokens) in [
            ("gen_ai.usage.cache_read.input_tokens", cache_read),
            ("gen_ai.usage.cache_write.input_tokens", cache_write),
            ("gen_ai.usage.reasoning.output_tokens", reasoning),
        ] {
            if tokens > 0 {
                all.int(key, tokens);
            }
        }
    }
    if let Some(cost) = answer.cost {
        all.double("dimmer.cost.usd", cost.as_usd());
    }
    if let Some(chars) = answer.output_chars {
        all.int("dimmer.output_chars", chars);
    }
}

fn flag_event(request: &RequestSpan, event: &FlagEvent) -> Event {
    let FlagEvent { flag, evaluation, served } = event;
    let name = |variant| flag.variant(variant).map(|variant| variant.name.as_str());
    let mut all = Attributes::default();
    all.text("feature_flag.key", &flag.key);
    all.text("feature_flag.provider.name", "dimmer");
    all.some_text("feature_flag.result.variant", name(evaluation.variant));
    all.text("feature_flag.result.reason", reason(evaluation.reason));
    all.text("feature_flag.set.id", "dimmer");
    all.text("feature_flag.version", &request.generation.to_string());
    if let Some(error) = evaluation.error {
        all.text("error.type", &error.as_str().to_ascii_lowercase());
    }
    let rule = evaluation.rule.and_then(|place| flag.rules.get(usize::from(place)));
    all.some_text("dimmer.flag.rule", rule.map(|rule| rule.name.as_str()));
    if *served != Some(evaluation.variant) {
        all.text("dimmer.flag.served", served.and_then(name).unwrap_or("as_sent"));
    }
    Event { at_ns: request.times.start_ns, name: "feature_flag.evaluation".to_owned(), attributes: all.0 }
}

/// What the caller sees as an error of the gateway, or of what stands behind it.
fn error_of(request: &RequestSpan) -> Option<String> {
    let failed = matches!(request.outcome, Outcome::UpstreamError | Outcome::Timeout | Outcome::Cut);
    if request.status < 500 && !failed {
        return None;
    }
    let own = request.error.map(str::to_owned);
    let status = || (request.status >= 400).then(|| request.status.to_string());
    Some(own.or_else(status).unwrap_or_else(|| request.outcome.as_str().to_owned()))
}

fn status(failed: bool) -> Option<Status> {
    failed.then_some(Status { code: ERROR })
}

fn state(trace: &Trace) -> String {
    trace.state.as_deref().unwrap_or_default().to_owned()
}

/// The path as the configuration and the API have it; none for other calls, whose paths are the caller's words. As it was sent, with or
/// without its `/v1`, it is told nowhere.
fn path(route: &Route, endpoint: Endpoint) -> Option<String> {
    let call = match endpoint {
        Endpoint::Chat => "/v1/chat/completions",
        Endpoint::Completions => "/v1/completions",
        Endpoint::Responses => "/v1/responses",
        Endpoint::InputTokens => "/v1/responses/input_tokens",
        Endpoint::Compact => "/v1/responses/compact",
        Endpoint::Messages => "/v1/messages",
        Endpoint::CountTokens => "/v1/messages/count_tokens",
        Endpoint::Embeddings => "/v1/embeddings",
        Endpoint::Other(_) => return None,
    };
    Some(format!("{}{call}", route.path.as_deref().unwrap_or_default()))
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// `gen_ai.operation.name`; none for calls that ask no model for anything.
fn operation(endpoint: Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::Chat | Endpoint::Responses | Endpoint::Messages => Some("chat"),
        Endpoint::Completions => Some("text_completion"),
        Endpoint::Embeddings => Some("embeddings"),
        Endpoint::InputTokens | Endpoint::Compact | Endpoint::CountTokens | Endpoint::Other(_) => None,
    }
}

/// `gen_ai.provider.name`: by its well-known address, else by the API that it speaks.
fn provider_name(kind: ProviderKind, host: &str) -> &'static str {
    let known = KNOWN_HOSTS.iter().find(|(end, _)| {
        host.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    });
    match (known, kind) {
        (_, ProviderKind::Mock) => "dimmer.mock",
        (_, ProviderKind::AzureOpenAi) => "azure.ai.openai",
        (Some((_, name)), _) => name,
        (None, ProviderKind::OpenAi) => "openai",
        (None, ProviderKind::Anthropic) => "anthropic",
    }
}

/// Who serves others' models, or speaks others' APIs, by the end of the host's name.
const KNOWN_HOSTS: [(&str, &str); 10] = [
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("amazonaws.com", "aws.bedrock"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("mistral.ai", "mistral_ai"),
    ("groq.com", "groq"),
    ("deepseek.com", "deepseek"),
    ("x.ai", "x_ai"),
    ("perplexity.ai", "perplexity"),
];

/// As OpenAI's APIs name it, whatever API it came by; none where that is not known.
fn finish(finish: Finish) -> Option<&'static str> {
    match finish {
        Finish::Stop => Some("stop"),
        Finish::Length => Some("length"),
        Finish::ToolCalls => Some("tool_calls"),
        Finish::Refusal => Some("content_filter"),
        Finish::Other => None,
    }
}

/// `feature_flag.result.reason`
fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::TargetingMatch => "targeting_match",
        Reason::Split => "split",
        Reason::Default => "default",
        Reason::Static => "static",
        Reason::Disabled => "disabled",
        Reason::Cached => "cached",
        Reason::Stale => "stale",
        Reason::Error => "error",
    }
}

/// Attributes as they are written; a key that comes again takes the first one's place.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, key: &str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        match self.0.iter_mut().find(|known| known.key == key) {
            Some(known) => known.value = value,
            None => self.0.push(KeyValue { key: key.to_owned(), value }),
        }
    }

    fn text(&mut self, key: &str, value: &str) {
        self.put(key, Value::Text(value.to_owned()));
    }

    fn some_text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn int(&mut self, key: &str, value: u64) {
        self.put(key, Value::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn double(&mut self, key: &str, value: f64) {
        self.put(key, Value::Double(value));
    }

    fn bool(&mut self, key: &str, value: bool) {
        self.put(key, Value::Bool(value));
    }

    fn list(&mut self, key: &str, values: &[impl AsRef<str>]) {
        let text = |value: &str| AnyValue { value: Some(Value::Text(value.to_owned())) };
        let values = values.iter().map(|value| text(value.as_ref())).collect();
        self.put(key, Value::List(List { values }));
    }
}
