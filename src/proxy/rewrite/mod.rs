//! 4: the Decision is applied to the request: the few bytes that it names, and the headers that must not leave the house.

mod copy;
mod head;
mod own;
mod spare;

pub(crate) use spare::Spare;

pub(crate) use copy::{Candidate, Changes, Original};
pub(crate) use own::OwnRequest;

use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Version, header};
use hyper::body::Incoming;
use std::rc::Rc;
use std::sync::Arc;

use crate::observe::ForeignAction;
use crate::proxy::body::RequestBody;
use crate::proxy::decide::{Answerer, Decision};
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::identify::{Held, Identified, Sought, Streamed, Upload};
use crate::snapshot::ProviderPlan;
use crate::wire::{Edits, ErrorCode, Frames, RequestView};

/// What `x-dimmer-dropped` names where a prompt was decided for a call that has no place for one.
const SYSTEM_PROMPT: &str = "system_prompt";

/// A request's body as far as it was read.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Read whole, and found to be JSON.
    Read(Held, RequestView),
    /// As it comes; none while nobody has taken it, or where there is no body.
    Unread(Option<Incoming>),
}

/// What goes to a provider.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// To whom.
    pub(crate) provider: Arc<ProviderPlan>,
    /// What; none when it has been sent.
    pub(crate) request: Option<Request<RequestBody>>,
    /// What becomes of a body that streams through.
    pub(crate) upload: Option<Rc<Upload>>,
    /// Which of the provider's own keys was put on it, by its place; none: the caller's, or nothing.
    pub(crate) key: Option<usize>,
    /// dimmer asked for usage where the caller had not: it has to be taken out of the answer again.
    pub(crate) hide_usage: bool,
}

/// Applies the exchange's decision. What was read stays, so that another target can be asked; the head goes, and is written down
/// in `spare` where that may come.
pub(crate) fn rewrite(
    exchange: &mut Exchange,
    identified: &Identified,
    parts: &mut Parts,
    payload: &mut Payload,
    spare: &mut Option<Spare>,
) -> Result<Outgoing, ProxyError> {
    let Some(decision) = &exchange.decision else { return Err(undecided()) };
    let provider = match &decision.answerer {
        Answerer::Model { plan, .. } => Arc::clone(&plan.provider),
        Answerer::Unknown { provider } | Answerer::PassThrough { provider } => Arc::clone(provider),
        Answerer::Reply(_) | Answerer::Nobody => return Err(undecided()),
    };
    let in_path = provider.version_query.is_some();
    let model = in_path.then(|| leaving_model(decision, payload)).flatten();
    let target = head::target(&parts.uri, identified, &provider, model.as_deref())?;
    let retries = &provider.provider.retries;
    let tries_left = (retries.limited || retries.unavailable) && exchange.again < retries.attempts;
    let repeatable = matches!(payload, Payload::Read(..)) && (tries_left || !decision.rest.is_empty());
    exchange.repeatable = repeatable;
    let sent = head::credentials(exchange, identified, &parts.headers, &provider);
    exchange.callers_key_sent = sent == head::Credential::Callers;
    let mut hide_usage = false;
    let mut upload = None;
    let mut said = None;
    let body = match payload {
        Payload::Read(held, view) => {
            let sampling = refuses_sampling(exchange, &parts.headers);
            let (frames, hides) = splice(exchange, &held.bytes, view, sampling)?;
            hide_usage = hides;
            said = Some(head::Said { length: frames.len, decoded: held.decoded });
            RequestBody::held(frames)
        }
        Payload::Unread(body) => match body.take().filter(|body| !http_body::Body::is_end_stream(body)) {
            None => RequestBody::empty(),
            Some(body) => {
                let body = Streamed::new(body, &exchange.snapshot.config.server.limits)?;
                upload = Some(body.upload());
                RequestBody::Streamed(Box::new(body))
            }
        },
    };
    *spare = repeatable.then(|| Spare::of(&parts.headers));
    let mut headers = std::mem::take(&mut parts.headers);
    head::headers(exchange, &mut headers, &provider, sent, said);
    if let Some(trace) = &mut exchange.trace {
        trace.send_on(&mut headers);
    }
    if hide_usage || may_be_cut(exchange) {
        // What has to be cut out of the answer again, or to be ended in its middle, must come as it is.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = target;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    let key = match sent {
        head::Credential::Ours(place) => Some(place),
        head::Credential::Callers | head::Credential::None => None,
    };
    Ok(Outgoing { provider, request: Some(request), upload, key, hide_usage })
}

/// The answer is a stream that may be ended in flight.
fn may_be_cut(exchange: &Exchange) -> bool {
    let guarded = exchange.route.as_ref().is_some_and(|route| route.guard.is_some());
    guarded && exchange.stream && exchange.endpoint.generation()
}

/// The model that the body names when it leaves.
fn leaving_model<'p>(decision: &'p Decision, payload: &'p Payload) -> Option<Cow<'p, str>> {
    let Payload::Read(held, view) = payload else { return None };
    let asked = view.model(&held.bytes);
    match head::written_model(decision, asked.as_deref().unwrap_or_default()) {
        Some(plan) => Some(Cow::Borrowed(&plan.model.upstream_model)),
        None => asked,
    }
}

/// The body with the decision's changes in it, and whether usage was asked for that the caller did not ask for.
/// `refuses_sampling` is of [`crate::wire::refuses_sampling`].
fn splice(
    exchange: &mut Exchange,
    body: &Bytes,
    view: &RequestView,
    refuses_sampling: bool,
) -> Result<(Frames, bool), ProxyError> {
    let Some(decision) = &exchange.decision else { return Err(undecided()) };
    let mut edits = Edits::new(view, body);
    let mut dropped = Vec::new();
    let asked = view.model(body);
    model(decision, asked.as_deref(), &mut edits);
    if let Some((text, mode)) = &decision.prompt
        && !edits.system_prompt(*mode, text).map_err(ProxyError::bad_json)?
    {
        dropped.push(SYSTEM_PROMPT.to_owned());
    }
    if !decision.params.is_empty() {
        edits.params(&decision.params, refuses_sampling, &mut dropped);
    }
    if let Some(names) = &decision.denied_tools {
        edits.deny_tools(names, &mut dropped);
    }
    if let Some(conversation) = &exchange.conversation
        && decision.strips_reasoning(conversation, view, body)
    {
        edits.strip_reasoning(&mut dropped);
        let route = exchange.route.as_ref().map_or("", |route| route.name.as_str());
        exchange.gateway().series.foreign_reasoning(route, ForeignAction::Stripped);
    }
    match (fit(exchange, decision, asked.as_deref()), &decision.answerer) {
        (Some(fit), _) => edits.fit(fit, &mut dropped),
        (None, Answerer::Model { plan, .. }) if !decision.params.is_empty() => {
            edits.fit_written(&plan.model.fit, &mut dropped);
        }
        _ => {}
    }
    let decides = exchange.route.as_ref().is_some_and(|route| route.decides);
    let asks = decides && exchange.stream && exchange.endpoint.usage_on_request();
    let hide_usage = asks && !view.wants_usage(body) && edits.include_usage();
    exchange.dropped = dropped;
    Ok((edits.frames(), hide_usage))
}

/// Whether the version of Anthropic's API that the request asks for refuses sampling parameters.
fn refuses_sampling(exchange: &Exchange, headers: &HeaderMap) -> bool {
    let decides = exchange.decision.as_ref().is_some_and(|decision| !decision.params.is_empty());
    if !decides || !exchange.sought.has(Sought::ANTHROPIC_VERSION) {
        return false;
    }
    let mut versions = headers.get_all("anthropic-version").iter().filter_map(|value| value.to_str().ok());
    versions.any(crate::wire::refuses_sampling)
}

/// The provider's name of the model, where it is not what the request says already.
fn model(decision: &Decision, asked: Option<&str>, edits: &mut Edits<'_>) {
    if let Some(plan) = head::written_model(decision, asked.unwrap_or_default()) {
        edits.model(plan.model.upstream_json.clone());
    }
}

/// What the target needs, when the request was made for another model.
fn fit<'e>(
    exchange: &'e Exchange,
    decision: &'e Decision,
    asked: Option<&str>,
) -> Option<&'e crate::wire::Fit> {
    let Answerer::Model { plan, as_sent: false } = &decision.answerer else { return None };
    let is_asked = |name: &str| {
        // Its own name needs no look into the index.
        name == plan.model.name.as_str()
            || exchange.snapshot.model(name).is_some_and(|own| Arc::ptr_eq(own, plan))
    };
    (!asked.is_some_and(is_asked)).then_some(&plan.model.fit)
}

fn undecided() -> ProxyError {
    ProxyError::internal(
        ErrorCode::Internal,
        Phase::Rewrite,
        "the request was not decided; this is a defect of dimmer",
    )
}
