//! Warnings of what cannot be said to a route's models that speak another API than its apps.

use crate::config::read::Table;
use crate::config::{Model, ProviderKind, Route, Slot, Target};
use crate::wire::{Dialect, Endpoint};

/// Where the route serves models of both makers' APIs, its requests are translated for some of them. A parameter that such a model does
/// not know is dropped each time, or the request is refused.
pub(super) fn check(table: &Table<'_>, route: &Route) {
    let models: Vec<&Model> = models(route).collect();
    let speaks = |dialect| {
        let only = |kind: ProviderKind| kind != ProviderKind::Mock && kind.speaks(dialect);
        models.iter().any(|model| only(model.provider.kind))
            || route.providers.iter().any(|provider| only(provider.kind))
    };
    if !speaks(Dialect::OpenAi) || !speaks(Dialect::Anthropic) {
        return;
    }
    for param in route.params.iter().map(|param| param.param) {
        let lacks = |model: &&&Model| {
            model.provider.kind.asked_in(Endpoint::Chat).is_some_and(|to| !param.has_place(to))
        };
        let Some(model) = models.iter().find(lacks).filter(|_| param.has_place(Endpoint::Chat)) else {
            continue;
        };
        let params = table.table("params");
        let span = params.written(param.name).map_or_else(|| params.span.clone(), |at| at.span);
        let (name, provider) = (model.name.as_str(), model.provider.name.as_str());
        let becomes = match REFUSED.contains(&param.name) {
            true => "requests that are translated for it are refused then, unless its `fit.drop` names it",
            false => "it is dropped from requests that are translated for it, and x-dimmer-dropped says so",
        };
        let message = format!(
            "params.{}: the model {name:?}, served by {provider:?}, has no such parameter: {becomes} (docs/dialects.md)",
            param.name
        );
        table.warn(&span, &message);
    }
}

/// Parameters without which an answer would not be what was asked for.
const REFUSED: [&str; 2] = ["n", "logit_bias"];

/// Everything that can answer: what `model` can serve, and the fallback.
fn models(route: &Route) -> impl Iterator<Item = &Model> {
    let chosen: Vec<&Target> = match &route.model {
        Slot::AsSent => Vec::new(),
        Slot::Fixed(target) => vec![target],
        Slot::Flag { values, .. } => values.iter().flatten().collect(),
    };
    chosen.into_iter().chain(&route.fallback).filter_map(|target| match target {
        Target::Model(model) => Some(&**model),
        Target::Reply(_) => None,
    })
}
