//! The only place that picks our own status codes and makes our own answers: errors and replies, in the caller's dialect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tracing::field;

use crate::clock;
use crate::config::{AnswerHeaders, ReplyContent};
use crate::observe::Outcome;
use crate::proxy::body::AnswerBody;
use crate::proxy::decide::Answerer;
use crate::proxy::dispatch::Said;
use crate::proxy::error::{Phase, ProxyError, Source};
use crate::proxy::exchange::Exchange;
use crate::proxy::rewrite::Payload;
use crate::proxy::trace;
use crate::record::Kept;
use crate::snapshot::ReplyPlan;
use crate::wire::{ErrorCode, ErrorParts, ReplyParts, error_body, reply_stream, reply_whole};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-dimmer-request-id");
const ROUTE: HeaderName = HeaderName::from_static("x-dimmer-route");
const MODEL: HeaderName = HeaderName::from_static("x-dimmer-model");
const FLAGS: HeaderName = HeaderName::from_static("x-dimmer-flags");
const FALLBACK: HeaderName = HeaderName::from_static("x-dimmer-fallback");
const DROPPED: HeaderName = HeaderName::from_static("x-dimmer-dropped");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Puts `x-dimmer-*` on an answer, as far as `server.answer_headers` says.
pub(crate) fn answer_headers(exchange: &Exchange, headers: &mut HeaderMap) {
    let wanted = exchange.snapshot.config.server.answer_headers;
    if wanted == AnswerHeaders::None {
        return;
    }
    put(headers, REQUEST_ID, exchange.id.as_bytes());
    if wanted == AnswerHeaders::Id {
        return;
    }
    if let Some(route) = &exchange.route {
        headers.insert(ROUTE, route.header.clone());
    }
    let Some(decision) = &exchange.decision else { return };
    match &decision.answerer {
        Answerer::Model { plan, .. } => {
            if let Some(name) = &plan.header {
                headers.insert(MODEL, name.clone());
            }
        }
        Answerer::Reply(Some(plan)) => put(headers, MODEL, plan.reply.name.as_bytes()),
        Answerer::Unknown { .. }
        | Answerer::Reply(None)
        | Answerer::Nobody
        | Answerer::PassThrough { .. } => {}
    }
    if !decision.evaluated.is_empty() {
        // Its own bytes become the header's.
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(decision.flags_header())) {
            headers.insert(FLAGS, value);
        }
    }
    if let Some(cause) = decision.fallback {
        headers.insert(FALLBACK, HeaderValue::from_static(cause.as_str()));
    }
    if let Some(names) = exchange.dropped.names() {
        put(headers, DROPPED, names.as_bytes());
    }
}

/// A value that cannot stand in a header is left out: names of the configuration may hold any letters.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

/// The answer that tells an error.
pub(crate) fn error(mut exchange: Box<Exchange>, error: &ProxyError) -> Response<AnswerBody> {
    log(&exchange, error);
    exchange.outcome = Some(error.outcome());
    exchange.failed = Some((error.code, error.phase));
    let parts = ErrorParts {
        status: error.code.status(),
        code: error.code.as_str(),
        message: &error.message,
        param: error.param.as_deref(),
        request_id: exchange.id.as_str(),
    };
    let body = error_body(exchange.endpoint.dialect(), &parts);
    let helps = error.code.retry_helps() && !tried_enough(&exchange);
    let mut response = made(exchange, body.into(), JSON);
    *response.status_mut() =
        StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    retry(headers, helps, error.retry_after);
    if matches!(error.phase, Phase::Accept | Phase::Body) {
        // What is left of the body is not read: the connection cannot carry another request.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request that was tried again here already, or at another target, is not to be tried three times more by the caller's SDK.
fn tried_enough(exchange: &Exchange) -> bool {
    exchange.retried || exchange.tried > 0
}

/// Says so on a provider's error that is passed on.
pub(crate) fn no_more_tries(exchange: &Exchange, status: StatusCode, headers: &mut HeaderMap) {
    if tried_enough(exchange) && (status.is_client_error() || status.is_server_error()) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

fn retry(headers: &mut HeaderMap, helps: bool, after: Option<Duration>) {
    if let Some(after) = after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if !helps {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
}

/// An error is logged once, here; the caller's own at a level that is off in production.
fn log(exchange: &Exchange, error: &ProxyError) {
    let id = exchange.id.as_str();
    let trace = trace::context(exchange);
    let (trace_id, span_id) =
        (trace.map(|trace| field::display(trace.trace)), trace.map(|trace| field::display(trace.span)));
    let route = exchange.route.as_ref().map_or("none", |route| route.name.as_str());
    let (code, phase) = (error.code.as_str(), error.phase);
    let detail = error.detail.as_deref().unwrap_or_default();
    if error.code == ErrorCode::Internal || error.code == ErrorCode::UpstreamCredential {
        tracing::error!(request_id = id, trace_id, span_id, route, code, ?phase, detail, "{}", error.message);
    } else if error.source == Source::Upstream {
        tracing::info!(request_id = id, trace_id, span_id, route, code, ?phase, detail, "{}", error.message);
    } else {
        tracing::debug!(request_id = id, trace_id, span_id, route, code, ?phase, detail, "request refused");
    }
}

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

fn made(mut exchange: Box<Exchange>, body: Bytes, kind: &'static str) -> Response<AnswerBody> {
    if let Some(watched) = &mut exchange.watched {
        watched.begins(kind == EVENT_STREAM, None);
        watched.see(&body);
    }
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, (body.len() as u64).into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer_headers(&exchange, &mut headers);
    let mut response = Response::new(AnswerBody::made(body, exchange));
    *response.headers_mut() = headers;
    response
}

/// A provider's answer in the caller's words; `headers` are what is left of its own.
pub(crate) fn translated(
    mut exchange: Box<Exchange>,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<AnswerBody> {
    exchange.answered = true;
    if let Some(watched) = &mut exchange.watched {
        watched.begins(false, None);
        watched.see(&body);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(header::CONTENT_LENGTH, (body.len() as u64).into());
    answer_headers(&exchange, &mut headers);
    let mut response = Response::new(AnswerBody::made(body, exchange));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The models that dimmer itself knows.
pub(crate) fn models(mut exchange: Box<Exchange>, list: String) -> Response<AnswerBody> {
    exchange.outcome = Some(Outcome::Ok);
    made(exchange, list.into(), JSON)
}

/// What became of feedback: 200 where nothing can lose it any more, 202 where it waits to be written.
pub(crate) fn feedback(mut exchange: Box<Exchange>, kept: Kept) -> Response<AnswerBody> {
    exchange.outcome = Some(Outcome::Ok);
    let (status, body) = match kept {
        Kept::Durable => (StatusCode::OK, r#"{"durable":true}"#),
        Kept::Queued | Kept::Lost | Kept::Off => (StatusCode::ACCEPTED, r#"{"durable":false}"#),
    };
    let mut response = made(exchange, Bytes::from_static(body.as_bytes()), JSON);
    *response.status_mut() = status;
    response
}

/// The reply that was decided. Where only something is to be counted none can answer.
pub(crate) fn chosen_reply(exchange: &mut Exchange) -> Result<Option<Arc<ReplyPlan>>, ProxyError> {
    let Some(decision) = &mut exchange.decision else { return Ok(None) };
    if exchange.endpoint.counts() && decision.enabled {
        decision.fallback = None;
        return Err(nothing_to_count());
    }
    Ok(match &decision.answerer {
        Answerer::Reply(plan) => plan.clone(),
        Answerer::Model { .. }
        | Answerer::Unknown { .. }
        | Answerer::Nobody
        | Answerer::PassThrough { .. } => None,
    })
}

/// A text where JSON or a tool call must come is worse than an error: the app would take it for an answer.
pub(crate) fn fits(exchange: &Exchange, payload: &Payload, plan: &ReplyPlan) -> bool {
    let answers = || exchange.endpoint.answers() && !forces_tool(payload);
    match &plan.reply.content {
        ReplyContent::Error { .. } => true,
        ReplyContent::Answer { json, .. } => answers() && (json.is_some() || !wants_json(payload)),
        ReplyContent::Http(_) => answers(),
    }
}

/// Whether what a service said can answer this request.
pub(crate) fn fits_said(payload: &Payload, said: &Said) -> bool {
    match said {
        Said::Text(_) => !wants_json(payload),
        Said::Json(_) | Said::Error(_) => true,
    }
}

fn wants_json(payload: &Payload) -> bool {
    matches!(payload, Payload::Read(held, view) if view.wants_json(&held.bytes))
}

fn forces_tool(payload: &Payload) -> bool {
    matches!(payload, Payload::Read(held, view) if view.forces_tool(&held.bytes))
}

/// No reply can answer, and nothing stands behind: nobody stands in, so that the answer names no fallback.
pub(crate) fn unfit(exchange: &mut Exchange) -> ProxyError {
    let enabled = exchange.decision.as_ref().is_some_and(|decision| decision.enabled);
    if let Some(decision) = &mut exchange.decision {
        decision.answerer = Answerer::Reply(None);
        decision.fallback = None;
    }
    if !enabled {
        let what = "this feature is switched off, and no reply stands in that fits the request";
        return ProxyError::internal(ErrorCode::KillSwitch, Phase::Decide, what);
    }
    ProxyError::internal(
        ErrorCode::ReplyUnfit,
        Phase::Decide,
        "this feature answers with a reply that does not fit the request: it asks for JSON or for a call of a tool, and the reply \
         has only a text; give the reply `json`, or put a model or an `error` behind it in the route's `fallback`",
    )
}

/// The answer without a language model: the reply that was decided, which fits, or what its service `said`.
pub(crate) fn reply(
    mut exchange: Box<Exchange>,
    payload: &Payload,
    said: Option<Said>,
) -> Response<AnswerBody> {
    let chosen = exchange.decision.as_ref().map(|decision| &decision.answerer);
    let Some(Answerer::Reply(Some(plan))) = chosen else {
        let stopped = unfit(&mut exchange);
        return error(exchange, &stopped);
    };
    let plan = Arc::clone(plan);
    exchange.outcome = Some(Outcome::Reply);
    let asked = Asked::of(payload);
    match (&plan.reply.content, said) {
        (_, Some(Said::Error(message))) => error_reply(exchange, &message, None),
        (_, Some(Said::Text(text) | Said::Json(text))) => answer_reply(exchange, &asked, &text),
        (ReplyContent::Error { message, retry_after }, None) => error_reply(exchange, message, *retry_after),
        (ReplyContent::Answer { text, json }, None) => {
            let json_first = wants_json(payload);
            let chosen = if json_first { json.as_ref() } else { text.as_ref().or(json.as_ref()) };
            answer_reply(exchange, &asked, chosen.map_or("", String::as_str))
        }
        // Its service was asked before.
        (ReplyContent::Http(_), None) => {
            let stopped = unfit(&mut exchange);
            error(exchange, &stopped)
        }
    }
}

fn nothing_to_count() -> ProxyError {
    ProxyError::internal(
        ErrorCode::NothingToCount,
        Phase::Decide,
        "this feature answers without a language model: there is nothing to count or to shorten for; estimate the tokens \
         yourself",
    )
}

/// What a reply repeats of the request.
#[derive(Debug, Default)]
struct Asked {
    model: String,
    wants_usage: bool,
}

impl Asked {
    fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Unread(_) => Self::default(),
            Payload::Read(held, view) => Self {
                model: view.model(&held.bytes).unwrap_or_default().into_owned(),
                wants_usage: view.wants_usage(&held.bytes),
            },
        }
    }
}

fn answer_reply(mut exchange: Box<Exchange>, asked: &Asked, text: &str) -> Response<AnswerBody> {
    let id = exchange.id;
    exchange.status = Some(200);
    let parts = ReplyParts {
        text,
        model: &asked.model,
        id: id.unique(),
        created_s: clock::unix_seconds(),
        include_usage: asked.wants_usage,
    };
    let endpoint = exchange.endpoint;
    if exchange.stream {
        made(exchange, reply_stream(endpoint, &parts).into(), EVENT_STREAM)
    } else {
        made(exchange, reply_whole(endpoint, &parts).into(), JSON)
    }
}

/// An error that the operator wrote: 503, and no retry, since it would say the same.
fn error_reply(
    mut exchange: Box<Exchange>,
    message: &str,
    retry_after: Option<Duration>,
) -> Response<AnswerBody> {
    let code = ErrorCode::KillSwitch;
    exchange.failed = Some((code, Phase::Decide));
    let parts = ErrorParts {
        status: code.status(),
        code: code.as_str(),
        message,
        param: None,
        request_id: exchange.id.as_str(),
    };
    let body = error_body(exchange.endpoint.dialect(), &parts);
    let mut response = made(exchange, body.into(), JSON);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    retry(response.headers_mut(), false, retry_after);
    response
}
