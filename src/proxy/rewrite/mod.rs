//! 4: the Decision is applied to the request: the few bytes that it names, and the headers that must not leave the house.

mod copy;
mod cross;
mod head;
mod own;
mod spare;

pub(crate) use copy::{Candidate, Changes, Original};
pub(crate) use cross::Dropped;
pub(crate) use own::OwnRequest;
pub(crate) use spare::Spare;

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
use crate::wire::translate::Memory;
use crate::wire::{Edits, ErrorCode, Frames, RequestView};

use cross::Foreign;

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
    /// What becomes of its answer.
    pub(crate) back: Back,
}

/// What has to be done to an answer on its way back to the caller.
#[derive(Debug, Default)]
pub(crate) struct Back {
    /// dimmer asked for usage where the caller had not: it has to be taken out of the answer again.
    pub(crate) hide_usage: bool,
    /// The request was translated, and so is the answer. Boxed: most are not.
    pub(crate) translated: Option<Box<Memory>>,
}

/// Who is asked.
fn asked(decision: &Decision) -> Result<&Arc<ProviderPlan>, ProxyError> {
    match &decision.answerer {
        Answerer::Model { plan, .. } => Ok(&plan.provider),
        Answerer::Unknown { provider } | Answerer::PassThrough { provider } => Ok(provider),
        Answerer::Reply(_) | Answerer::Nobody => Err(undecided()),
    }
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
    let provider = Arc::clone(asked(decision)?);
    let spoken = cross::spoken(exchange.endpoint, &provider)?;
    let crosses = spoken != exchange.endpoint;
    let in_path = provider.version_query.is_some();
    let model = in_path.then(|| leaving_model(decision, payload)).flatten();
    let target = match crosses {
        false => head::target(&parts.uri, identified, &provider, model.as_deref())?,
        true => cross::target(spoken, &provider, model.as_deref())?,
    };
    exchange.spoken = spoken;
    let retries = &provider.provider.retries;
    let tries_left = (retries.limited || retries.unavailable) && exchange.again < retries.attempts;
    let repeatable = matches!(payload, Payload::Read(..)) && (tries_left || !decision.rest.is_empty());
    exchange.repeatable = repeatable;
    let sent = head::credentials(exchange, identified, &parts.headers, &provider);
    exchange.callers_key_sent = sent == head::Credential::Callers;
    let mut back = Back::default();
    let mut upload = None;
    let mut said = None;
    let body = match payload {
        Payload::Read(held, view) => {
            let sampling = refuses_sampling(exchange, &parts.headers);
            let frames = match crosses {
                false => splice(exchange, &held.bytes, view, sampling, &mut back.hide_usage)?,
                true => translated(exchange, &held.bytes, view, &mut back)?,
            };
            said = Some(head::Said { length: frames.len, decoded: held.decoded });
            RequestBody::held(frames)
        }
        // What nobody could read is nothing that could be translated.
        Payload::Unread(_) if crosses => return Err(undecided()),
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
    let callers =
        (crosses && exchange.callers_key_sent).then(|| cross::callers_key(&headers, provider.provider.kind));
    if crosses {
        cross::headers(&mut headers, spoken, &mut exchange.dropped.known);
    }
    head::headers(exchange, &mut headers, &provider, sent, said);
    if let Some(trace) = &mut exchange.trace {
        trace.send_on(&mut headers);
    }
    if let Some(key) = callers {
        cross::put_key(&mut headers, key);
    }
    if back.hide_usage || crosses || may_be_cut(exchange) {
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
    Ok(Outgoing { provider, request: Some(request), upload, key, back })
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

/// The body with the decision's changes in it. `refuses_sampling` is of [`crate::wire::refuses_sampling`]; `hide_usage` becomes whether
/// usage was asked for that the caller did not ask for.
fn splice(
    exchange: &mut Exchange,
    body: &Bytes,
    view: &RequestView,
    refuses_sampling: bool,
    hide_usage: &mut bool,
) -> Result<Frames, ProxyError> {
    let Some(decision) = &exchange.decision else { return Err(undecided()) };
    let mut dropped = Vec::new();
    let asked = view.model(body);
    let mut edits = decided(decision, (body, view), asked.as_deref(), &mut dropped)?;
    if !decision.params.is_empty() {
        edits.params(&decision.params, refuses_sampling, &mut dropped);
    }
    taken_out(exchange, decision, (body, view), &mut edits, &mut dropped);
    match (fit(exchange, decision, asked.as_deref()), &decision.answerer) {
        (Some(fit), _) => edits.fit(fit, &mut dropped),
        (None, Answerer::Model { plan, .. }) if !decision.params.is_empty() => {
            edits.fit_written(&plan.model.fit, &mut dropped);
        }
        _ => {}
    }
    let decides = exchange.route.as_ref().is_some_and(|route| route.decides);
    let asks = decides && exchange.stream && exchange.endpoint.usage_on_request();
    *hide_usage = asks && !view.wants_usage(body) && edits.include_usage();
    exchange.dropped = Dropped { known: dropped, own: Vec::new() };
    Ok(edits.frames())
}

/// The body as another dialect says it, with the decision's changes in it.
fn translated(
    exchange: &mut Exchange,
    body: &Bytes,
    view: &RequestView,
    back: &mut Back,
) -> Result<Frames, ProxyError> {
    let Some(decision) = &exchange.decision else { return Err(undecided()) };
    let (provider, model, as_sent) = match &decision.answerer {
        Answerer::Model { plan, as_sent } => (&plan.provider, Some(&**plan), *as_sent),
        Answerer::Unknown { provider } => (provider, None, true),
        Answerer::Reply(_) | Answerer::Nobody | Answerer::PassThrough { .. } => return Err(undecided()),
    };
    let foreign = Foreign {
        from: exchange.endpoint,
        to: exchange.spoken,
        provider,
        model,
        as_sent,
        params: &decision.params,
        id: exchange.id.unique(),
        touched: &exchange.snapshot.touched_members,
    };
    let mut dropped = Dropped::default();
    let asked = view.model(body);
    let mut edits = decided(decision, (body, view), asked.as_deref(), &mut dropped.known)?;
    // The version of Anthropic's API that the caller wants refuses nothing at another provider.
    edits.params(&foreign.params_before(), false, &mut dropped.known);
    taken_out(exchange, decision, (body, view), &mut edits, &mut dropped.known);
    let crossed = foreign.write(edits.frames().concat(), &mut dropped)?;
    back.translated = Some(Box::new(crossed.memory));
    exchange.dropped = dropped;
    Ok(crossed.frames)
}

/// The model's name and the system prompt, written.
fn decided<'v>(
    decision: &Decision,
    (body, view): (&Bytes, &'v RequestView),
    asked: Option<&str>,
    dropped: &mut Vec<String>,
) -> Result<Edits<'v>, ProxyError> {
    let mut edits = Edits::new(view, body);
    model(decision, asked, &mut edits);
    if let Some((text, mode)) = &decision.prompt
        && !edits.system_prompt(*mode, text).map_err(ProxyError::bad_json)?
    {
        dropped.push(SYSTEM_PROMPT.to_owned());
    }
    Ok(edits)
}

/// Denied tools and reasoning that another model has signed, taken out.
fn taken_out(
    exchange: &Exchange,
    decision: &Decision,
    (body, view): (&Bytes, &RequestView),
    edits: &mut Edits<'_>,
    dropped: &mut Vec<String>,
) {
    if let Some(names) = &decision.denied_tools {
        edits.deny_tools(names, dropped);
    }
    if let Some(conversation) = &exchange.conversation
        && decision.strips_reasoning(conversation, view, body)
    {
        edits.strip_reasoning(dropped);
        let route = exchange.route.as_ref().map_or("", |route| route.name.as_str());
        exchange.gateway().series.foreign_reasoning(route, ForeignAction::Stripped);
    }
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
