//! The request's own model, and what the caller is told where neither it nor anything else may be called.

use std::sync::Arc;

use crate::config::Admitted;
use crate::flags::Context;
use crate::proxy::decide::Answerer;
use crate::proxy::decide::guard::Refused;
use crate::proxy::error::{Phase, ProxyError};
use crate::snapshot::{ModelPlan, ProviderPlan, RoutePlan, SlotPlan, Snapshot};
use crate::wire::{Endpoint, ErrorCode};

/// The model that the app asked for, if the route lets it.
pub(super) fn as_sent(
    snapshot: &Snapshot,
    route: &RoutePlan,
    endpoint: Endpoint,
    context: &Context<'_>,
) -> Result<Answerer, ProxyError> {
    let asked = context.request_model.unwrap_or_default();
    let known = snapshot.model(asked);
    let admitted = match (&route.models, known) {
        (Admitted::Any, _) | (Admitted::Declared, Some(_)) => true,
        (Admitted::Declared, None) | (Admitted::Only(_), None) => false,
        (Admitted::Only(models), Some(plan)) => models.iter().any(|model| model.name == plan.model.name),
    };
    let means_route = snapshot.by_alias.contains_key(asked) && known.is_none();
    if !admitted || means_route {
        return Err(not_admitted(snapshot, route, endpoint, asked, means_route));
    }
    Ok(match known {
        Some(plan) => Answerer::Model { plan: Arc::clone(plan), as_sent: true },
        None if endpoint == Endpoint::Embeddings => match route.other_provider(endpoint.dialect()) {
            Some(provider) => Answerer::Unknown { provider: Arc::clone(provider) },
            None => Answerer::Unknown { provider: provider(route, endpoint)? },
        },
        None => Answerer::Unknown { provider: provider(route, endpoint)? },
    })
}

fn not_admitted(
    snapshot: &Snapshot,
    route: &RoutePlan,
    endpoint: Endpoint,
    asked: &str,
    means_route: bool,
) -> ProxyError {
    let names: Vec<&str> = match &route.models {
        Admitted::Only(models) => models.iter().map(|model| model.name.as_str()).collect(),
        Admitted::Any | Admitted::Declared => snapshot.model_names().map(|name| name.as_str()).collect(),
    };
    let why =
        if means_route && matches!(route.embeddings, SlotPlan::AsSent) && endpoint == Endpoint::Embeddings {
            format!("`{asked}` means the route `{}`, which has no `embeddings.model`", route.name)
        } else if means_route {
            format!("`{asked}` means the route `{}`, whose flags leave the model to the app", route.name)
        } else {
            format!("the route `{}` does not take the model `{asked}`", route.name)
        };
    ProxyError::caller(
        ErrorCode::ModelNotAdmitted,
        Phase::Decide,
        format!("{why}; ask for one of: {}", names.join(", ")),
    )
    .param("model")
}

pub(super) fn provider(route: &RoutePlan, endpoint: Endpoint) -> Result<Arc<ProviderPlan>, ProxyError> {
    let dialect = endpoint.dialect();
    route.provider_for(endpoint).cloned().ok_or_else(|| {
        ProxyError::caller(
            ErrorCode::CannotTranslate,
            Phase::Decide,
            format!(
                "the route `{}` has no provider that speaks {}'s API, and such a call cannot be translated; call it in \
                 the other dialect, or name such a provider in `provider` of [routes.{}]",
                route.name,
                dialect.as_str(),
                route.name
            ),
        )
    })
}

/// A declared model's provider must speak the request's dialect, where nothing of its own means the same.
pub(super) fn cannot_speak(plan: &ModelPlan, as_sent: bool, endpoint: Endpoint) -> Option<ProxyError> {
    if plan.provider.provider.kind.asked_in(endpoint.followed()).is_some() {
        return None;
    }
    // Who chose the model is at fault: the app, or the operator.
    let blame = if as_sent { ProxyError::caller } else { ProxyError::internal };
    let refusal = blame(
        ErrorCode::CannotTranslate,
        Phase::Decide,
        format!(
            "the model `{}` is served by a provider that does not speak {}'s API, in which this request is written, and such \
             a call cannot be translated; call it through the other API",
            plan.model.name,
            endpoint.dialect().as_str()
        ),
    );
    Some(refusal.param("model"))
}

/// No candidate may be called: the error that names the cause best.
pub(super) fn refused(
    route: &RoutePlan,
    endpoint: Endpoint,
    reasons: &[(Refused, Option<Arc<ModelPlan>>)],
) -> ProxyError {
    let any = |what: Refused| reasons.iter().any(|(refused, _)| *refused == what);
    let name = &route.name;
    let (code, message) = if any(Refused::Killed) {
        let message = format!(
            "the route `{name}` has nobody left to answer: what serves it is switched off, and nothing in its `fallback` \
             can stand in"
        );
        (ErrorCode::KillSwitch, message)
    } else if any(Refused::BreakerOpen) {
        let message = format!(
            "the route `{name}` has nobody left to answer: what serves it failed too often and is left alone for a while, \
             and nothing in its `fallback` can stand in"
        );
        (ErrorCode::BreakerOpen, message)
    } else {
        if let Some((Refused::CannotTake, Some(plan))) = reasons.first() {
            return cannot_speak(plan, false, endpoint).unwrap_or_else(|| cannot_fit(route, plan));
        }
        let model = reasons.first().and_then(|(_, plan)| plan.as_ref()).map_or("", |plan| &plan.model.name);
        let message = format!(
            "this caller may not be served by the model `{model}` (`allow` of [models.{model}]), and nothing in the \
             `fallback` of the route `{name}` can stand in"
        );
        (ErrorCode::TierGuard, message)
    };
    ProxyError::internal(code, Phase::Decide, message)
}

/// The request has to be translated for the model, which is known not to take what it holds; so is everything behind it.
fn cannot_fit(route: &RoutePlan, plan: &ModelPlan) -> ProxyError {
    ProxyError::internal(
        ErrorCode::CannotTranslate,
        Phase::Decide,
        format!(
            "the model `{}` cannot take this request: it is longer than the model reads, asks for a longer answer than it \
             writes, or brings tools where it calls none; nothing in the `fallback` of the route `{}` can either",
            plan.model.name, route.name
        ),
    )
    .param("model")
}
