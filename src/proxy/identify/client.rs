//! Who calls: the client behind a key, and whether its word on users counts.

use std::sync::Arc;

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
        let believed = on_loopback || from_listed_peer(snapshot, exchange);
        return Ok(Caller { client: None, believed, key: CallerKey::Providers });
    }
    let own = parts.headers.get(CLIENT_KEY).and_then(|value| value.to_str().ok());
    let sdk = sdk_key(parts);
    let found = own.and_then(|key| snapshot.client_by_key(key)).map(|client| (client, CallerKey::Providers));
    let found = match own {
        Some(_) => found,
        None => sdk.and_then(|key| snapshot.client_by_key(key)).map(|client| (client, CallerKey::Ours)),
    };
    let Some((client, key)) = found else {
        let what = if own.is_none() && sdk.is_none() { "there is no key" } else { "the key is not known" };
        return Err(ProxyError::caller(
            ErrorCode::ClientUnknown,
            Phase::Identify,
            format!("{what}; send a key of [clients] as the SDK's API key, or in x-dimmer-key"),
        ));
    };
    let believed = client.trusted || from_listed_peer(snapshot, exchange);
    Ok(Caller { client: Some(Arc::clone(client)), believed, key })
}

/// The key in the SDK's own header.
fn sdk_key(parts: &Parts) -> Option<&str> {
    let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| parts.headers.get("x-api-key").and_then(|value| value.to_str().ok()))
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
