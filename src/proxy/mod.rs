//! DATA PLANE. One sub-room per stage, in the order of a request's way; only this file calls stages.

mod accept;
mod attempts;
mod body;
mod decide;
mod dispatch;
mod error;
mod exchange;
mod exposure;
mod feedback;
mod fields;
mod finish;
mod holders;
mod identify;
mod models;
mod pins;
mod relay;
mod respond;
mod rewrite;
mod shadow;
mod timer;
mod trace;
mod worker;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

pub use accept::serve;
#[doc(hidden)]
pub use accept::{Fault, Framing, Look};
pub use body::AnswerBody;
pub use decide::{Answerer, Decision, Evaluated, FallbackCause, Refused, decision, explained};
pub use error::{Phase, ProxyError, Source};
pub use pins::{Pin, Pins};
pub use shadow::{ShadowThread, Shadows};
pub use worker::{Gateway, Worker};

use accept::ConnectionState;
use dispatch::Said;
use exchange::Exchange;
use identify::{Gathered, Identified, Sought};
use rewrite::{Back, Payload, Spare};

use crate::clock;
use crate::record::Kept;
use crate::snapshot::{KeyWish, ReplyPlan};
use crate::wire::{ErrorCode, RequestView};

/// The whole life of a request. What the caller gets is made of the provider's answer, a reply or an error; what is known
/// of the exchange goes with it, and is counted when it has been sent or dropped.
pub(crate) async fn serve_exchange(
    worker: Rc<Worker>,
    connection: Rc<ConnectionState>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let mut exchange = Exchange::begin(worker, connection);
    let (mut parts, body) = request.into_parts();
    let mut body = Some(body);
    let answer = stages(&mut exchange, &mut parts, &mut body).await;
    let waits = exchange.sought.has(Sought::EXPECT);
    let given_up = answer.as_ref().is_err_and(|error| error.code == ErrorCode::BodyTimeout);
    if let Some(rest) = body.filter(|_| !waits && !given_up) {
        identify::discard(rest).await;
    }
    Ok(match answer {
        Ok(Answer::Relayed(answered, back)) => relay::relay(exchange, answered, back),
        Ok(Answer::Reply(payload, said)) => respond::reply(exchange, &payload, said),
        Ok(Answer::Models(list)) => respond::models(exchange, list),
        Ok(Answer::Feedback(kept)) => respond::feedback(exchange, kept),
        Err(error) => respond::error(exchange, &error),
    })
}

/// What the stages came to.
enum Answer {
    /// The provider's answer, and what has to be done to it.
    Relayed(Box<dispatch::Answered>, Back),
    /// No language model is asked: the decision's reply fits, or its service has said this.
    Reply(Payload, Option<Said>),
    /// The models that dimmer itself knows.
    Models(String),
    /// What became of feedback.
    Feedback(Kept),
}

/// Takes the body out where somebody else reads it from then on; what is left in its place was not read to its end.
async fn stages(
    exchange: &mut Exchange,
    parts: &mut Parts,
    body: &mut Option<Incoming>,
) -> Result<Answer, ProxyError> {
    if feedback::is_meant(parts) {
        return said(exchange, parts, body).await;
    }
    trace::begin(exchange, parts);
    let identified = identify::head(exchange, parts)?;
    if let Some(list) = models::answer(exchange, &identified, parts) {
        return Ok(Answer::Models(list));
    }
    let mut payload = read(exchange, &identified, parts, body).await?;
    choose(exchange, &identified, parts, &payload)?;
    if matches!(payload, Payload::Unread(_)) && !answers_itself(exchange) {
        payload = Payload::Unread(body.take());
    }
    ask(exchange, &identified, parts, &mut payload).await
}

/// Something is said of an answer.
async fn said(
    exchange: &mut Exchange,
    parts: &Parts,
    body: &mut Option<Incoming>,
) -> Result<Answer, ProxyError> {
    exchange.own = true;
    identify::own_head(exchange, parts)?;
    feedback::admit(exchange, parts)?;
    let held = match body {
        Some(incoming) => identify::hold(exchange, &parts.headers, incoming).await?,
        None => return Err(feedback::empty()),
    };
    *body = None;
    exchange.reservation = None;
    feedback::take(exchange, &held.bytes).await.map(Answer::Feedback)
}

/// No language model is asked: a reply was decided.
fn answers_itself(exchange: &Exchange) -> bool {
    matches!(exchange.decision.as_ref().map(|decision| &decision.answerer), Some(Answerer::Reply(_)))
}

/// Asks one target after another, until one answers or none is left. Mostly the first one does.
async fn ask(
    exchange: &mut Exchange,
    identified: &Identified,
    parts: &mut Parts,
    payload: &mut Payload,
) -> Result<Answer, ProxyError> {
    let mut copy = shadow::prepare(exchange, identified, parts, payload);
    let mut spare: Option<Spare> = None;
    loop {
        if answers_itself(exchange) {
            // In a box, as is all that few requests come to: the others would be larger for it, and are copied on their way.
            match Box::pin(stand_in(exchange, identified, parts, payload)).await? {
                Stood::Answers(said) => {
                    if let Some(copy) = copy.take() {
                        shadow::begin(exchange, copy);
                    }
                    return Ok(Answer::Reply(std::mem::replace(payload, Payload::Unread(None)), said));
                }
                Stood::PassedOver => continue,
            }
        }
        let mut outgoing = match rewrite::rewrite(exchange, identified, parts, payload, &mut spare) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                // What cannot be said to one target may be said to the next.
                let fits = |exchange: &Exchange, plan: &ReplyPlan| respond::fits(exchange, payload, plan);
                match error.cannot_cross() && dispatch::leave_unsaid(exchange, fits) {
                    true => continue,
                    false => return Err(error),
                }
            }
        };
        let back = std::mem::take(&mut outgoing.back);
        if let Some(copy) = copy.take() {
            shadow::begin(exchange, copy);
        }
        let sent = dispatch::send(exchange, &mut outgoing).await;
        if dispatch::is_final(exchange, &sent) {
            exchange.reservation = None;
            return relayed(exchange, sent, back).await;
        }
        let fits = |exchange: &Exchange, plan: &ReplyPlan| respond::fits(exchange, payload, plan);
        if let Some(result) = Box::pin(dispatch::judge(exchange, sent, fits)).await {
            return relayed(exchange, result, back).await;
        }
        // Only what was written down is ever asked for again.
        parts.headers = spare.take().map(Spare::read_back).unwrap_or_default();
    }
}

/// The provider's answer is the caller's. One that is translated has to be there whole first, unless it is a stream.
async fn relayed(
    exchange: &mut Exchange,
    sent: Result<Box<dispatch::Answered>, ProxyError>,
    back: Back,
) -> Result<Answer, ProxyError> {
    let mut answered = sent?;
    if back.translated.is_some() {
        Box::pin(dispatch::gather(exchange, &mut answered)).await?;
    }
    Ok(Answer::Relayed(answered, back))
}

/// What became of a reply.
enum Stood {
    /// It answers; a service has said this.
    Answers(Option<Said>),
    /// It cannot: the decision says who is next.
    PassedOver,
}

/// Looks whether the reply that was decided can answer, and asks its service where it has one.
async fn stand_in(
    exchange: &mut Exchange,
    identified: &Identified,
    parts: &Parts,
    payload: &Payload,
) -> Result<Stood, ProxyError> {
    let fits = |exchange: &Exchange, plan: &ReplyPlan| respond::fits(exchange, payload, plan);
    let Some(plan) = respond::chosen_reply(exchange)? else {
        let next = dispatch::pass_over(exchange, fits);
        return if next { Ok(Stood::PassedOver) } else { Err(respond::unfit(exchange)) };
    };
    if !fits(exchange, &plan) {
        let next = dispatch::pass_over(exchange, fits);
        return if next { Ok(Stood::PassedOver) } else { Err(respond::unfit(exchange)) };
    }
    let Some(http) = &plan.http else { return Ok(Stood::Answers(None)) };
    let question = identify::question(exchange, identified, &parts.headers, read_of(payload))?;
    let error = match dispatch::ask_service(exchange, &plan, http, question).await {
        Ok(said) if respond::fits_said(payload, &said) => return Ok(Stood::Answers(Some(said))),
        Ok(_) => None,
        Err(error) if exchange.is_cut() => return Err(error),
        Err(error) => Some(error),
    };
    match dispatch::leave_reply(exchange, fits) {
        true => Ok(Stood::PassedOver),
        false => Err(error.unwrap_or_else(|| respond::unfit(exchange))),
    }
}

/// Reads the body where something is decided from it; finds the route that it names.
async fn read(
    exchange: &mut Exchange,
    identified: &Identified,
    parts: &Parts,
    body: &mut Option<Incoming>,
) -> Result<Payload, ProxyError> {
    if !identify::must_read(identified, exchange) {
        return Ok(Payload::Unread(None));
    }
    let waited = exchange.waited;
    let held = match body {
        Some(incoming) => identify::hold(exchange, &parts.headers, incoming).await?,
        None => return Ok(Payload::Unread(None)),
    };
    if exchange.waited != waited {
        exchange.catch_up();
    }
    *body = None;
    let view = identify::view(exchange, &held)?;
    if identified.route_in_body {
        let model = view.model(&held.bytes);
        identify::by_alias(exchange, &identified.caller, model.as_deref(), parts.uri.path())?;
    }
    Ok(Payload::Read(held, view))
}

fn read_of(payload: &Payload) -> Option<(&RequestView, &Bytes)> {
    match payload {
        Payload::Read(held, view) => Some((view, &held.bytes)),
        Payload::Unread(_) => None,
    }
}

/// Gathers the context and evaluates the route's flags; writes the decision into the exchange.
fn choose(
    exchange: &mut Exchange,
    identified: &Identified,
    parts: &Parts,
    payload: &Payload,
) -> Result<(), ProxyError> {
    let Some(route) = exchange.route.clone() else { return Ok(()) };
    let read = read_of(payload);
    let kept_at_end = exchange.gateway().recorder.is_on() && exchange.endpoint.answers();
    exchange.wants_json =
        (route.judges_json || kept_at_end) && read.is_some_and(|(view, body)| view.wants_json(body));
    let (decided, kept, conversation, user, seed, drawn, traced) = {
        let gathered = Gathered::of(exchange, &identified.caller, &parts.headers, read)?;
        let custom = gathered.values();
        let context = gathered.context(exchange, &identified.caller, &custom);
        let endpoint = exchange.endpoint;
        let stops = stoppable(&parts.method) || endpoint.generation();
        // Without breakers nothing that is decided here depends on the time.
        let now = if route.model_breakers.is_empty() { Duration::ZERO } else { clock::uptime() };
        let mut conversation = gathered.pinned(exchange, &identified.caller, read);
        let pin = conversation.as_ref().map(|conversation| Arc::clone(&conversation.pin));
        let pin = pin.as_deref();
        let guard = decide::Guard {
            view: &exchange.snapshot,
            route: &route,
            endpoint,
            context: &context,
            pin,
            now,
            read,
            stops,
            asks_only: false,
        };
        let mut fresh = if stops { decide::decided(guard)? } else { decide::pass_through(&route, endpoint)? };
        if endpoint.names_model() {
            fresh.key = KeyWish::Sticky(gathered.subject(exchange, &identified.caller));
        }
        let mut kept = decide::follow(exchange, identified, parts.uri.path(), read, &mut fresh, &guard);
        if let Some(conversation) = &mut conversation {
            decide::keep(exchange, conversation, read, &mut fresh, &guard);
            if let Some(kept) = &mut kept {
                kept.pin = Some(conversation.key);
            }
        }
        let user = exposure::user(exchange, &context, kept_at_end);
        let noted = kept_at_end || (exchange.snapshot.notes_conversation && endpoint.answers());
        let seed = noted.then(|| exposure::seed(&fresh, &guard));
        let drawn = shadow::draw(&exchange.snapshot, &route, endpoint, &context, &fresh);
        let traced = trace::noted(exchange, &context);
        (fresh, kept, conversation, user, seed, drawn, traced)
    };
    exchange.drawn = drawn;
    if let Some(traced) = traced {
        trace::note(exchange, traced);
    }
    exchange.user = user;
    exchange.seed = seed;
    exchange.kept = kept.map(Box::new);
    exchange.conversation = conversation.map(Box::new);
    let decided = exchange.decision.insert(decided);
    decided.refusal.take().map_or(Ok(()), |refusal| Err(*refusal))
}

/// A feature that is switched off still lets its app look at and clean up what it has.
fn stoppable(method: &http::Method) -> bool {
    !matches!(*method, http::Method::GET | http::Method::HEAD | http::Method::DELETE)
}
