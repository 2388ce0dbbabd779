//! Questions about models that dimmer answers itself: where aliases stand for models, the provider's list would not have
//! them.

use std::sync::Arc;

use http::Method;
use http::request::Parts;

use crate::proxy::identify::{Caller, Place};
use crate::snapshot::{RoutePlan, Snapshot};
use crate::wire::unescaped;

/// Which models are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelsAsked {
    /// `GET /v1/models`
    All,
    /// `GET /v1/models/ALIAS`
    Alias(String),
}

/// The question, where it is ours: the route that the request names has aliases or, where it names none, some route does that
/// this client may use. An id that is no alias is the provider's to explain.
pub(super) fn asked(
    snapshot: &Snapshot,
    caller: &Caller,
    parts: &Parts,
    place: &Place,
    named: Option<&Arc<RoutePlan>>,
) -> Option<ModelsAsked> {
    if snapshot.by_alias.is_empty() || !matches!(parts.method, Method::GET | Method::HEAD) {
        return None;
    }
    let rest = parts.uri.path().get(place.rest.clone())?;
    let behind = rest.strip_prefix("/models")?;
    let has = |alias: &str| {
        let route = snapshot.by_alias.get(alias).filter(|route| caller.may_use(route));
        route.is_some_and(|route| named.is_none_or(|named| Arc::ptr_eq(named, route)))
    };
    if behind.is_empty() {
        let any = match named {
            Some(route) => !route.route.aliases.is_empty(),
            None => snapshot.by_alias.keys().any(|alias| has(alias)),
        };
        return any.then_some(ModelsAsked::All);
    }
    let id = unescaped(behind.strip_prefix('/')?.as_bytes());
    let id = String::from_utf8(id).ok()?;
    has(&id).then_some(ModelsAsked::Alias(id))
}
