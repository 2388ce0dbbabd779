//! A request's part in a trace: taken from its head, given to who is asked, and put into the queue when it has ended.
//!
//! Not a stage: `stages` begins it, `rewrite` and `dispatch` tell of tries, `finish` ends it. Costs nothing but one look where no traces
//! are made. Must never wait, and never keep a prompt, an answer, a key or a user.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use smallvec::SmallVec;

use crate::clock;
use crate::flags::Context;
use crate::observe::{
    Answered, Asked, FlagEvent, Outcome, RequestSpan, SpanId, Times, Trace, TraceContext, Tracer, TrySpan,
    is_state,
};
use crate::proxy::decide::{Answerer, Decision};
use crate::proxy::error::ProxyError;
use crate::proxy::exchange::Exchange;
use crate::proxy::exposure;
use crate::snapshot::{Endpoint, HttpPlan, ReplyPlan, shown};
use crate::wire::Facts;

/// What is known of a request's trace, while it is under way.
#[derive(Debug)]
pub(crate) struct Tracing {
    tracer: Tracer,
    context: TraceContext,
    parent: Option<SpanId>,
    /// The caller's `tracestate`, where the trace is recorded.
    state: Option<Box<str>>,
    /// Its `tracestate` belongs to no trace, or is malformed: it does not travel on.
    drops_state: bool,
    method: Method,
    version: Version,
    /// The model that the request names.
    model: Option<Box<str>>,
    conversation: Option<Box<str>>,
    /// How many spans below the request's own have an id.
    made: Cell<u32>,
    /// The span that what is sent next names as its parent.
    next: Option<SpanId>,
    /// The try that is under way.
    current: Option<Draft>,
    tries: SmallVec<[(Draft, Instant); 1]>,
}

/// A try.
#[derive(Debug)]
struct Draft {
    span: SpanId,
    began: Instant,
    asked: Asked,
    endpoint: Arc<Endpoint>,
    status: Option<u16>,
    error: Option<&'static str>,
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The head has come: it belongs to its caller's trace, or to one that begins here.
pub(crate) fn begin(exchange: &mut Exchange, parts: &Parts) {
    let Some(tracer) = exchange.gateway().tracer.clone() else { return };
    let caller = caller(&parts.headers);
    let context = tracer.begin(caller, exchange.id.as_bytes());
    let state = caller.and_then(|_| state(&parts.headers));
    exchange.trace = Some(Box::new(Tracing {
        tracer,
        context,
        parent: caller.map(|caller| caller.span),
        drops_state: state.is_none(),
        state: state.filter(|_| context.is_sampled()),
        method: parts.method.clone(),
        version: parts.version,
        model: None,
        conversation: None,
        made: Cell::new(0),
        next: None,
        current: None,
        tries: SmallVec::new(),
    }));
}

/// The caller's span. None where it says none, several, or something else.
fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let first = values.next()?;
    values.next().is_none().then(|| TraceContext::parse(first.as_bytes())).flatten()
}

fn state(headers: &HeaderMap) -> Option<Box<str>> {
    let mut all = String::new();
    for value in headers.get_all(TRACESTATE) {
        let comma = if all.is_empty() { "" } else { "," };
        all.push_str(comma);
        all.push_str(value.to_str().ok()?);
    }
    is_state(&all).then(|| all.into_boxed_str())
}

/// What a request that is traced has in its context: the model that it names, and its conversation's digest.
pub(crate) type Noted = (Option<Box<str>>, Option<Box<str>>);

/// Of a context that was gathered.
pub(crate) fn noted(exchange: &Exchange, context: &Context<'_>) -> Option<Noted> {
    recorded_context(exchange)?;
    let client = context.client.unwrap_or_default();
    let digest = |text| exposure::conversation_digest(client, text).into_boxed_str();
    let conversation = context.conversation.filter(|_| wants_conversation(exchange)).map(digest);
    Some((context.request_model.map(|name| shown(name).into_boxed_str()), conversation))
}

/// Keeps it.
pub(crate) fn note(exchange: &mut Exchange, (model, conversation): Noted) {
    if let Some(trace) = &mut exchange.trace {
        (trace.model, trace.conversation) = (model, conversation);
    }
}

/// Whether the digest of the request's conversation is wanted.
pub(crate) fn wants_conversation(exchange: &Exchange) -> bool {
    exchange
        .trace
        .as_ref()
        .is_some_and(|trace| trace.context.is_sampled() && trace.tracer.wants_conversations())
}

/// Its place in a trace, for logs.
pub(crate) fn context(exchange: &Exchange) -> Option<TraceContext> {
    exchange.trace.as_ref().map(|trace| trace.context)
}

/// The same, where it is recorded.
pub(crate) fn recorded_context(exchange: &Exchange) -> Option<TraceContext> {
    context(exchange).filter(|context| context.is_sampled())
}

fn recorded(exchange: &mut Exchange) -> Option<&mut Tracing> {
    exchange.trace.as_deref_mut().filter(|trace| trace.context.is_sampled())
}

impl Tracing {
    fn below(&self) -> SpanId {
        self.made.set(self.made.get() + 1);
        self.tracer.below(self.context.span, self.made.get())
    }

    /// Says in a head that goes out whose work it is.
    pub(crate) fn send_on(&mut self, headers: &mut HeaderMap) {
        let span = match self.context.is_sampled() {
            true => self.below(),
            // Nobody will ever see a span of ours: the caller's own is passed on.
            false => self.parent.unwrap_or(self.context.span),
        };
        self.next = Some(span);
        write(headers, self.context.with_span(span), self.drops_state);
    }

    fn starts(&mut self, draft: Draft) {
        self.current = Some(draft);
    }

    fn ends(&mut self, at: Instant) {
        if let Some(draft) = self.current.take() {
            self.tries.push((draft, at));
        }
    }
}

fn write(headers: &mut HeaderMap, context: TraceContext, drops_state: bool) {
    if let Ok(value) = HeaderValue::from_bytes(&context.header()) {
        headers.insert(TRACEPARENT, value);
    }
    if drops_state {
        headers.remove(TRACESTATE);
    }
}

/// The provider is asked now.
pub(crate) fn asks(exchange: &mut Exchange, began: Instant) {
    if recorded(exchange).is_none() {
        return;
    }
    let Some(provider) = exchange.provider.clone() else { return };
    let model = match exchange.decision.as_ref().map(|decision| &decision.answerer) {
        Some(Answerer::Model { plan, .. }) => Some(Arc::clone(&plan.model)),
        _ => None,
    };
    let Some(trace) = recorded(exchange) else { return };
    // A try that nothing was written of has an id that nobody else has seen.
    let span = trace.next.take().unwrap_or_else(|| trace.below());
    let sent = if model.is_none() { trace.model.clone() } else { None };
    let asked = Asked::Provider { provider: Arc::clone(&provider.provider), model, sent };
    let endpoint = Arc::clone(&provider.endpoint);
    trace.starts(Draft { span, began, asked, endpoint, status: None, error: None });
}

/// A service that makes a reply is asked now. Gives what is put into its head.
pub(crate) fn asks_service(exchange: &mut Exchange, plan: &ReplyPlan, http: &HttpPlan) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(trace) = exchange.trace.as_deref_mut() {
        trace.send_on(&mut headers);
    }
    if let Some(trace) = recorded(exchange) {
        let span = trace.next.take().unwrap_or_else(|| trace.below());
        let (asked, endpoint) = (Asked::Service(Arc::clone(&plan.reply)), Arc::clone(&http.endpoint));
        trace.starts(Draft { span, began: clock::now(), asked, endpoint, status: None, error: None });
    }
    headers
}

/// Nothing was written, and it is tried again: what was sent names the try that follows as its parent.
pub(crate) fn unwritten(exchange: &mut Exchange, error: &ProxyError) {
    heard(exchange, Err(error));
    let Some(trace) = recorded(exchange) else { return };
    let fresh = trace.below();
    trace.next = trace.current.as_mut().map(|draft| std::mem::replace(&mut draft.span, fresh));
}

/// What came of asking: a status, or an error.
pub(crate) fn heard(exchange: &mut Exchange, came: Result<u16, &ProxyError>) {
    let Some(draft) = recorded(exchange).and_then(|trace| trace.current.as_mut()) else { return };
    match came {
        Ok(status) => draft.status = Some(status),
        Err(error) => draft.error = Some(error.code.as_str()),
    }
}

/// The try has failed and is left, for another one.
pub(crate) fn leaves(exchange: &mut Exchange, outcome: Outcome) {
    let Some(trace) = recorded(exchange) else { return };
    if let Some(draft) = trace.current.as_mut() {
        draft.error = draft.error.or(Some(outcome.as_str()));
    }
    trace.ends(clock::now());
}

/// A copy of a request, whose trace it belongs to.
#[derive(Debug)]
pub(crate) struct Copied {
    tracer: Tracer,
    context: TraceContext,
    span: SpanId,
    state: Option<Box<str>>,
    drops_state: bool,
}

/// For a copy that is about to be made. None where the request is not traced.
pub(crate) fn copied(exchange: &Exchange) -> Option<Copied> {
    let trace = exchange.trace.as_ref().filter(|trace| trace.context.is_sampled())?;
    Some(Copied {
        span: trace.below(),
        tracer: trace.tracer.clone(),
        context: trace.context,
        state: trace.state.clone(),
        drops_state: trace.drops_state,
    })
}

/// A copy that was answered, or not.
#[derive(Debug)]
pub(crate) struct CopyEnded<'a> {
    /// Which call it is.
    pub(crate) endpoint: crate::wire::Endpoint,
    /// A stream was asked for.
    pub(crate) stream: bool,
    /// Who was asked.
    pub(crate) asked: Asked,
    /// Where that is.
    pub(crate) at: &'a Endpoint,
    /// The answer's status.
    pub(crate) status: Option<u16>,
    /// Why there is no good answer; empty: there is one.
    pub(crate) cause: &'a str,
    /// From when it was sent to its end.
    pub(crate) took: Duration,
    /// From when it was sent.
    pub(crate) first_token: Option<Duration>,
    /// What was learned of the answer.
    pub(crate) facts: &'a Facts,
    /// What it has cost.
    pub(crate) cost: Option<crate::units::PicoUsd>,
    /// The shadow, and what became of the copy.
    pub(crate) shadow: (Arc<str>, &'static str),
}

impl Copied {
    /// Says in the copy's head whose work it is.
    pub(crate) fn send_on(&self, headers: &mut HeaderMap) {
        write(headers, self.context.with_span(self.span), self.drops_state);
    }

    /// The copy's own answer has ended, just now.
    pub(crate) fn ends(self, ended: CopyEnded<'_>) {
        let end = clock::unix_time();
        let times = Times { start_ns: nanos(end.saturating_sub(ended.took)), end_ns: nanos(end) };
        let (_, outcome) = ended.shadow;
        let error = match ended.cause {
            "" if outcome == "ok" => None,
            "" => Some(outcome.into()),
            cause => Some(cause.into()),
        };
        let answer = answered(ended.facts, ended.first_token, ended.cost);
        let copy = TrySpan {
            span: self.span,
            times,
            asked: ended.asked,
            host: ended.at.host.as_str().into(),
            port: ended.at.port,
            before: 0,
            status: ended.status,
            error,
            answer: Some(Box::new(answer)),
            shadow: Some(ended.shadow),
        };
        self.tracer.put(Box::new(Trace {
            context: self.context,
            state: self.state,
            endpoint: ended.endpoint,
            stream: ended.stream,
            conversation: None,
            request: None,
            tries: SmallVec::from_buf([copy]),
        }));
    }
}

/// The exchange has ended: what it leaves behind goes into the queue.
pub(super) fn end(exchange: &mut Exchange, outcome: Outcome, ended: Instant) {
    let Some(mut trace) = exchange.trace.take().filter(|trace| trace.context.is_sampled()) else { return };
    let unix_end = clock::unix_time();
    let at = |instant: Instant| nanos(unix_end.saturating_sub(ended.saturating_duration_since(instant)));
    let decision = exchange.decision.as_ref();
    let facts = exchange.facts.as_ref();
    // Others were left before: their answers went to nobody.
    let answers = trace.current.is_some();
    trace.ends(ended);
    let last = trace.tries.len().saturating_sub(1);
    let tries = std::mem::take(&mut trace.tries).into_iter().enumerate().map(|(place, (draft, until))| {
        let is_it = answers && place == last;
        let facts = facts.filter(|_| is_it);
        let theirs = || if is_it { broken(exchange, facts, outcome) } else { None };
        let first = exchange.first_token.filter(|_| is_it).map(|first| exchange.started + first);
        let first = first.map(|first| first.saturating_duration_since(draft.began));
        let cost = facts.zip(decision).and_then(|(facts, decision)| exposure::cost(decision, facts));
        TrySpan {
            span: draft.span,
            times: Times { start_ns: at(draft.began), end_ns: at(until) },
            asked: draft.asked,
            host: draft.endpoint.host.as_str().into(),
            port: draft.endpoint.port,
            before: u32::try_from(place).unwrap_or(u32::MAX),
            status: draft.status,
            error: draft.error.map(Box::from).or_else(theirs),
            answer: facts.map(|facts| Box::new(answered(facts, first, cost))),
            shadow: None,
        }
    });
    let tries = tries.collect();
    let times = Times { start_ns: at(exchange.started), end_ns: nanos(unix_end) };
    let request = request_span(exchange, &mut trace, outcome, times);
    trace.tracer.put(Box::new(Trace {
        context: trace.context,
        state: trace.state,
        endpoint: exchange.endpoint,
        stream: exchange.stream,
        conversation: trace.conversation,
        request: Some(Box::new(request)),
        tries,
    }));
}

/// How the last try's answer broke off.
fn broken(exchange: &Exchange, facts: Option<&Facts>, outcome: Outcome) -> Option<Box<str>> {
    if !matches!(outcome, Outcome::UpstreamError | Outcome::Timeout | Outcome::Cut) {
        return None;
    }
    let own = exchange.failed.map(|(code, _)| code.as_str().into());
    let theirs =
        || facts.and_then(|facts| facts.error_type.as_deref()).map(|kind| shown(kind).into_boxed_str());
    own.or_else(theirs).or_else(|| Some(outcome.as_str().into()))
}

fn request_span(exchange: &Exchange, trace: &mut Tracing, outcome: Outcome, times: Times) -> RequestSpan {
    let decision = exchange.decision.as_ref();
    RequestSpan {
        parent: trace.parent,
        times,
        id: exchange.id.as_str().to_owned(),
        method: std::mem::take(&mut trace.method),
        version: trace.version,
        tls: exchange.snapshot.tls.is_some(),
        route: exchange.route.as_ref().map(|route| Arc::clone(&route.route)),
        client: exchange.client.as_ref().map(|client| client.name.shared()),
        asked: trace.model.take(),
        served: decision.map_or("none", Decision::model_label).into(),
        status: exposure::status(exchange),
        outcome,
        error: exchange.failed.map(|(code, _)| code.as_str()),
        fallback: decision.and_then(|decision| decision.fallback).map(|cause| cause.as_str()),
        dropped: exchange.dropped.known.clone(),
        generation: exchange.snapshot.generation,
        flags: decision.into_iter().flat_map(|decision| &decision.evaluated).map(flag_event).collect(),
    }
}

fn flag_event(one: &crate::proxy::decide::Evaluated) -> FlagEvent {
    FlagEvent { flag: Arc::clone(&one.plan.flag), evaluation: one.evaluation, served: one.served }
}

fn answered(facts: &Facts, first_token: Option<Duration>, cost: Option<crate::units::PicoUsd>) -> Answered {
    Answered {
        model: facts.answered_model.as_deref().map(|name| shown(name).into_boxed_str()),
        id: facts.answer_id.clone().filter(|id| is_id(id)),
        finish: facts.finish,
        usage: facts.usage.filter(|_| facts.usage_final),
        first_chunk_ns: first_token.map(nanos),
        cost,
        output_chars: (facts.complete && !facts.text_unknown).then_some(facts.output_chars),
    }
}

/// What looks like no id is none: half of one would find nothing.
fn is_id(id: &str) -> bool {
    id.len() <= ID_MAX && id.bytes().all(|sign| sign.is_ascii_graphic())
}

/// Several times the longest that providers make.
const ID_MAX: usize = 256;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
