//! 2: client → route, dialect, evaluation context. Reads the request's body where something may be decided from it.

mod body;
mod client;
mod context;
mod models;
mod path;
mod question;
mod sought;

#[cfg(test)]
mod tests;

pub(crate) use body::{Held, Reservation, Streamed, Upload, discard, hold};
pub(crate) use client::{Caller, CallerKey};
pub(crate) use context::Gathered;
pub(crate) use models::ModelsAsked;
pub(crate) use path::Place;
pub(crate) use question::question;
pub(crate) use sought::Sought;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Version, header};

use crate::proxy::accept::Fault;
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::snapshot::{RoutePlan, Snapshot};
use crate::wire::{Endpoint, ErrorCode, RequestView};

/// What a request's head says.
#[derive(Debug)]
pub(crate) struct Identified {
    /// Who calls.
    pub(crate) caller: Caller,
    /// Where it goes: the call, and its path behind `/v1`.
    pub(crate) place: Place,
    /// The body has to be read before the route is known: it may name an alias.
    pub(crate) route_in_body: bool,
    /// The path or a header names the route.
    pub(crate) route_named: bool,
    /// The request asks for models that dimmer itself knows.
    pub(crate) models: Option<ModelsAsked>,
}

/// Reads the head: limits, client, route, endpoint. Writes `endpoint` and `route` into the exchange.
pub(crate) fn head(exchange: &mut Exchange, parts: &Parts) -> Result<Identified, ProxyError> {
    let snapshot = Arc::clone(&exchange.snapshot);
    let (sought, bytes) = Sought::in_head(&parts.headers);
    exchange.sought = sought;
    let found = match found(exchange, &snapshot, parts, bytes) {
        Ok(found) => found,
        Err(refused) => {
            exchange.endpoint = path::guess(parts);
            return Err(refused);
        }
    };
    let Found { caller, by_header, by_path, place } = found;
    exchange.client.clone_from(&caller.client);
    exchange.endpoint = place.endpoint;
    let route_in_body = by_header.is_none()
        && by_path.is_none()
        && place.endpoint.names_model()
        && !snapshot.by_alias.is_empty();
    let named = by_header.or(by_path);
    let models = models::asked(&snapshot, &caller, parts, &place, named);
    // Without a named route, a list has the aliases of several: whoever has no use of the default one sees it all the same.
    let default = snapshot.default_route.as_ref();
    let route = named.or(default.filter(|route| models.is_none() || caller.may_use(route)));
    match route {
        Some(route) if !route_in_body => take(exchange, &caller, Arc::clone(route))?,
        None if !route_in_body && models.is_none() => {
            // Behind an unknown prefix the end of the path still tells the dialect.
            exchange.endpoint = path::guess(parts);
            return Err(path::no_route(&snapshot, parts.uri.path()));
        }
        _ => {}
    }
    Ok(Identified { caller, place, route_in_body, route_named: named.is_some(), models })
}

/// Reads the head of a question to dimmer itself: limits and client.
pub(crate) fn own_head(exchange: &mut Exchange, parts: &Parts) -> Result<Caller, ProxyError> {
    let snapshot = Arc::clone(&exchange.snapshot);
    let (sought, bytes) = Sought::in_head(&parts.headers);
    exchange.sought = sought;
    check_head(exchange, parts, bytes)?;
    let caller = client::identify(&snapshot, exchange.gateway().on_loopback, parts, exchange)?;
    exchange.client.clone_from(&caller.client);
    Ok(caller)
}

/// What a head says of itself, before it is known which route may take it.
struct Found<'s> {
    caller: Caller,
    by_header: Option<&'s Arc<RoutePlan>>,
    by_path: Option<&'s Arc<RoutePlan>>,
    place: Place,
}

fn found<'s>(
    exchange: &mut Exchange,
    snapshot: &'s Snapshot,
    parts: &Parts,
    bytes: usize,
) -> Result<Found<'s>, ProxyError> {
    if let Some(fault) = exchange.connection.fault_behind(&parts.headers) {
        return Err(ProxyError::caller(fault.code(), Phase::Accept, fault.message()));
    }
    check_head(exchange, parts, bytes)?;
    let caller = client::identify(snapshot, exchange.gateway().on_loopback, parts, exchange)?;
    let chooses = exchange.sought.has(Sought::CHOSEN_ROUTE);
    let by_header = if chooses { client::chosen_route(snapshot, &caller, parts)? } else { None };
    let (by_path, rest) = path::route(snapshot, parts.uri.path());
    let place = path::place(parts, rest)?;
    Ok(Found { caller, by_header, by_path, place })
}

/// The body has been read and names `model`: an alias is a route, anything else goes to the default one.
pub(crate) fn by_alias(
    exchange: &mut Exchange,
    caller: &Caller,
    model: Option<&str>,
    path: &str,
) -> Result<(), ProxyError> {
    let snapshot = Arc::clone(&exchange.snapshot);
    let route = model.and_then(|name| snapshot.by_alias.get(name)).or(snapshot.default_route.as_ref());
    match route {
        Some(route) => take(exchange, caller, Arc::clone(route)),
        None => Err(path::no_route(&snapshot, path)),
    }
}

/// The route is found: may this client call it?
fn take(exchange: &mut Exchange, caller: &Caller, route: Arc<RoutePlan>) -> Result<(), ProxyError> {
    if let Some(client) = caller.client.as_ref().filter(|_| !caller.may_use(&route)) {
        let allowed: Vec<&str> = client.routes.iter().flatten().map(|name| name.as_str()).collect();
        return Err(ProxyError::caller(
            ErrorCode::ClientForbidden,
            Phase::Identify,
            format!(
                "the client `{}` may not call the route `{}`; it may call: {}",
                client.name,
                route.name,
                allowed.join(", ")
            ),
        ));
    }
    exchange.on_route(route);
    Ok(())
}

/// `bytes` are those of its fields.
fn check_head(exchange: &mut Exchange, parts: &Parts, bytes: usize) -> Result<(), ProxyError> {
    check_host(parts)?;
    check_fields(parts)?;
    exchange.hops = if exchange.sought.has(Sought::HOPS) { hops(parts)? } else { 0 };
    let limits = &exchange.snapshot.config.server.limits;
    if bytes as u64 > limits.headers {
        return Err(ProxyError::caller(
            ErrorCode::HeadersTooLarge,
            Phase::Identify,
            format!(
                "the request's header fields have {bytes} bytes, {} are allowed (server.limits.headers)",
                limits.headers
            ),
        ));
    }
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(ProxyError::caller(
            ErrorCode::BadRequest,
            Phase::Identify,
            format!("the method {} is not served; LLM APIs use GET, POST and DELETE", parts.method),
        ));
    }
    if exchange.sought.has(Sought::UPGRADE) && asks_for_websocket(parts) {
        return Err(ProxyError::caller(
            ErrorCode::WebsocketUnsupported,
            Phase::Identify,
            "WebSocket connections are not relayed; send the request by POST",
        ));
    }
    let in_flight = exchange.gateway().in_flight.load(std::sync::atomic::Ordering::Relaxed);
    if in_flight > limits.concurrent {
        return Err(ProxyError::internal(
            ErrorCode::Overloaded,
            Phase::Identify,
            format!(
                "{} requests are in flight, the most allowed (server.limits.concurrent)",
                limits.concurrent
            ),
        ));
    }
    Ok(())
}

/// RFC 9113 section 8.3.1: `:authority`, or Host in its place, or both and the same. It never chooses a target here, but what
/// stands in front may have read the other one. In HTTP/1 the framing was looked at before.
fn check_host(parts: &Parts) -> Result<(), ProxyError> {
    if parts.version != Version::HTTP_2 {
        return Ok(());
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = parts.headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let message = match (authority, hosts.next(), hosts.next()) {
        (None, None, _) => "the request names no host, neither as :authority nor as Host",
        (_, _, Some(_)) => "the request has more than one Host field",
        (Some(authority), Some(host), None) if !authority.eq_ignore_ascii_case(host) => {
            "the request names one host as :authority and another as Host"
        }
        _ => return Ok(()),
    };
    Err(ProxyError::caller(ErrorCode::BadRequest, Phase::Identify, message))
}

/// What the framing of HTTP/1 would have refused, and HTTP/2 lets through to become HTTP/1 upstream.
fn check_fields(parts: &Parts) -> Result<(), ProxyError> {
    if parts.version != Version::HTTP_2 {
        return Ok(());
    }
    let underscore = parts.headers.keys().any(|name| name.as_str().contains('_'));
    let lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter().count();
    let fault = match lengths {
        _ if underscore => Fault::Underscore,
        0 | 1 => return Ok(()),
        _ => Fault::Lengths,
    };
    Err(ProxyError::caller(fault.code(), Phase::Identify, fault.message()))
}

/// How often the request has come through a dimmer. A provider that is dimmer itself would send it round and round.
fn hops(parts: &Parts) -> Result<u8, ProxyError> {
    let Some(hops) = parts.headers.get(HOPS) else { return Ok(0) };
    let hops = hops.to_str().ok().and_then(|hops| hops.parse().ok()).unwrap_or(HOPS_MAX);
    if hops < HOPS_MAX {
        return Ok(hops);
    }
    Err(ProxyError::caller(
        ErrorCode::Loop,
        Phase::Identify,
        format!(
            "the request has come through dimmer {HOPS_MAX} times already: a provider's base_url leads back to dimmer"
        ),
    ))
}

/// `x-dimmer-hops`: put on what goes upstream.
pub(crate) const HOPS: HeaderName = HeaderName::from_static("x-dimmer-hops");
/// A gateway of a team behind the company's behind the region's, and one to spare.
const HOPS_MAX: u8 = 4;

fn asks_for_websocket(parts: &Parts) -> bool {
    parts
        .headers
        .get_all(header::UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket")))
}

/// `x-dimmer-key`: the client's key where the SDK's own header carries the provider's.
pub(crate) const CLIENT_KEY: HeaderName = HeaderName::from_static("x-dimmer-key");
/// `x-dimmer-route`: for clients that may choose their route.
pub(crate) const CHOSEN_ROUTE: HeaderName = HeaderName::from_static("x-dimmer-route");

/// Whether something of this request can be decided only after its body was read.
pub(crate) fn must_read(identified: &Identified, exchange: &Exchange) -> bool {
    let endpoint = identified.place.endpoint;
    let Some(route) = &exchange.route else { return identified.route_in_body };
    if exchange.snapshot.live.reads && endpoint.names_model() {
        // A tool that is killed is taken out of the body, and a model that is killed is named there, on every route.
        return true;
    }
    let by_slots = match endpoint {
        Endpoint::Embeddings => route.reads_embeddings,
        _ => endpoint.generation() && (route.reads || route.translates_strangers(endpoint)),
    };
    by_slots || (endpoint.names_model() && route.model_in_path)
}

/// Reads what was held: one strict pass, and whether a stream was asked for.
pub(crate) fn view(exchange: &mut Exchange, held: &Held) -> Result<RequestView, ProxyError> {
    let view = RequestView::read(exchange.endpoint, &held.bytes, &exchange.snapshot.touched_members)
        .map_err(ProxyError::bad_json)?;
    exchange.stream = view.stream(&held.bytes);
    Ok(view)
}
