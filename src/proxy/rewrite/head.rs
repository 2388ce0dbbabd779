//! The head of what goes upstream: its path under the provider's base URL, and which header fields go along.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use smallvec::SmallVec;

use crate::proxy::decide::Answerer;
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::fields;
use crate::proxy::identify::{CallerKey, Identified};
use crate::snapshot::ProviderPlan;
use crate::wire::{ErrorCode, decodable};

/// Whose credential goes upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// The provider's own, from the configuration.
    Ours,
    /// The caller's, because the operator said so.
    Callers,
    /// None.
    None,
}

/// Where the request goes: the provider's prefix, then the path and query as they were sent.
pub(super) fn target(uri: &Uri, identified: &Identified, provider: &ProviderPlan) -> Result<Uri, ProxyError> {
    let rest = uri.path().get(identified.place.rest.clone()).unwrap_or_default();
    let prefix = &provider.prefix;
    let mut text =
        String::with_capacity(prefix.len() + rest.len() + 1 + uri.query().map_or(0, |query| query.len() + 1));
    text.push_str(prefix);
    text.push_str(rest);
    if text.is_empty() {
        text.push('/');
    }
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    PathAndQuery::try_from(text).map(Uri::from).map_err(|error| {
        ProxyError::caller(ErrorCode::BadRequest, Phase::Rewrite, "the path cannot be sent on").detail(error)
    })
}

/// The caller's own key goes only to the provider that was reached without a flag.
pub(super) fn credentials(
    exchange: &Exchange,
    identified: &Identified,
    headers: &HeaderMap,
    provider: &ProviderPlan,
) -> Credential {
    let chosen = match exchange.decision.as_ref().map(|decision| &decision.answerer) {
        Some(Answerer::Model { as_sent, .. }) => !as_sent,
        Some(Answerer::Unknown { .. } | Answerer::PassThrough { .. }) => false,
        Some(Answerer::Reply(_) | Answerer::Nobody) | None => true,
    };
    let has_one = || KEYS.iter().any(|name| headers.contains_key(name));
    let callers =
        provider.provider.forward_client_key && identified.caller.key == CallerKey::Providers && has_one();
    match &provider.credential {
        _ if callers && !chosen => Credential::Callers,
        Some(_) => Credential::Ours,
        None => Credential::None,
    }
}

/// Where a caller's own key stands.
static KEYS: [HeaderName; 3] =
    [header::AUTHORIZATION, HeaderName::from_static("x-api-key"), HeaderName::from_static("api-key")];

/// Never sent on, unless the caller's own credential is.
fn is_credential(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'a') => matches!(name, "authorization" | "api-key"),
        Some(b'c') => name == "cookie",
        Some(b'o') => matches!(name, "openai-organization" | "openai-project"),
        Some(b'x') => name == "x-api-key",
        _ => false,
    }
}

/// All fields but those that belong to the connection, to dimmer, to the context, or that are credentials.
pub(super) fn headers(
    exchange: &Exchange,
    mut headers: HeaderMap,
    provider: &ProviderPlan,
    sent: Credential,
    read: bool,
) -> HeaderMap {
    fields::remove(&mut headers, |name| {
        is_credential(name) && (sent != Credential::Callers || name == header::COOKIE.as_str())
    });
    for name in &exchange.snapshot.context_headers {
        headers.remove(name);
    }
    if let (Credential::Ours, Some((name, value))) = (sent, &provider.credential) {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert(header::HOST, provider.host.clone());
    if read {
        narrow_accept_encoding(&mut headers);
        // The body is there whole: a provider need not be asked whether it wants it.
        headers.remove(header::EXPECT);
    }
    headers
}

/// What SDKs send, all of which dimmer can decode.
const ALL_DECODABLE: [&str; 5] = ["gzip, deflate", "gzip, deflate, br", "gzip,deflate", "gzip", "identity"];

/// The answer must be one that the tap can read: what dimmer cannot decode is taken off the list.
fn narrow_accept_encoding(headers: &mut HeaderMap) {
    let mut all = headers.get_all(header::ACCEPT_ENCODING).iter();
    if let (Some(only), None) = (all.next(), all.next())
        && ALL_DECODABLE.iter().any(|known| only == known)
    {
        return;
    }
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let accepted = lines.collect::<SmallVec<[&str; 2]>>().join(", ");
    if accepted.is_empty() {
        return;
    }
    let narrowed = decodable(&accepted);
    if narrowed != accepted {
        let value = HeaderValue::from_str(&narrowed).unwrap_or(HeaderValue::from_static("identity"));
        headers.insert(header::ACCEPT_ENCODING, value);
    }
}
