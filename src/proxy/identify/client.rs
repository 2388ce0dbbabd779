//! Who calls: the client behind a key, and whether its word on users counts.

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::config::Client;
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::identify::{CHOSEN_ROUTE, CLIENT_KEY};
use crate::snapshot::{RoutePlan, Snapshot};
use crate::wire::ErrorCode;

/// Who calls.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The declared client; none where none is declared.
    pub(crate) client: Option<Arc<Client>>,
    /// What the request's own headers and body say about the user is believed.
    pub(crate) believed: bool,
    /// Whose the key in the SDK's own header is.
    pub(crate) key: CallerKey,
}

impl Caller {
    /// Whether it may call this route.
    pub(crate) fn may_use(&self, route: &RoutePlan) -> bool {
        let only = self.client.as_ref().and_then(|client| client.routes.as_ref());
        only.is_none_or(|only| only.contains(&route.name))
    }
}

/// Whose the key in the SDK's own header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallerKey {
    /// It opened our door, and must not leave the house.
    Ours,
    /// It is the caller's own for the provider.
    Providers,
}

/// Finds the client by its key: `x-dimmer-key` first, else the SDK's own header in either form, whatever the dialect.
pub(super) fn identify(
    snapshot: &Snapshot,
    on_loopback: bool,
    parts: &Parts,
    exchange: &Exchange,
) -> Result<Caller, ProxyError> {
    if snapshot.clients.is_empty() {
        if !on_loopback {
            // A reload cannot move the listener: without clients it may only serve loopback.
            return Err(ProxyError::caller(
                ErrorCode::ClientUnknown,
                Phase::Identify,
                "the gateway listens beyond loopback and its configuration declares no [clients]",
            ));
        }
        return Ok(Caller { client: None, believed: true, key: CallerKey::Providers });
    }
    let own = parts.headers.get(CLIENT_KEY).and_then(|value| value.to_str().ok());
    let by_sdk = sdk_keys(parts).find_map(|key| snapshot.client_by_key(key));
    // A key that opens our door stays ours also where another one opened it.
    let key = if by_sdk.is_some() { CallerKey::Ours } else { CallerKey::Providers };
    let found = match own {
        Some(own) => snapshot.client_by_key(own),
        None => by_sdk,
    };
    let Some(client) = found else {
        let none = own.is_none() && sdk_keys(parts).next().is_none();
        let what = if none { "there is no key" } else { "the key is not known" };
        return Err(ProxyError::caller(
            ErrorCode::ClientUnknown,
            Phase::Identify,
            format!("{what}; send a key of [clients] as the SDK's API key, or in x-dimmer-key"),
        ));
    };
    let believed = client.trusted || from_listed_peer(snapshot, exchange);
    Ok(Caller { client: Some(Arc::clone(client)), believed, key })
}

/// The keys in the SDKs' own headers, in either form.
fn sdk_keys(parts: &Parts) -> impl Iterator<Item = &str> {
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.into_iter().chain(text(HeaderName::from_static("x-api-key")))
}

fn from_listed_peer(snapshot: &Snapshot, exchange: &Exchange) -> bool {
    let peer = exchange.connection.peer.ip().to_canonical();
    snapshot.config.context.headers_from.iter().any(|net| net.contains(&peer))
}

/// The route that the client names, where it may.
pub(super) fn chosen_route<'s>(
    snapshot: &'s Snapshot,
    caller: &Caller,
    parts: &Parts,
) -> Result<Option<&'s Arc<RoutePlan>>, ProxyError> {
    let may = caller.client.as_ref().is_some_and(|client| client.may_choose_route);
    let Some(name) = parts.headers.get(CHOSEN_ROUTE).filter(|_| may) else { return Ok(None) };
    let name = String::from_utf8_lossy(name.as_bytes());
    match snapshot.by_name.get(&*name) {
        Some(route) => Ok(Some(route)),
        None => {
            let mut names: Vec<&str> = snapshot.by_name.keys().map(|name| &**name).collect();
            names.sort_unstable();
            Err(ProxyError::caller(
                ErrorCode::NoRoute,
                Phase::Identify,
                format!("x-dimmer-route names no route; there are: {}", names.join(", ")),
            ))
        }
    }
}
