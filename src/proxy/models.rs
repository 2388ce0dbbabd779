//! The list of models of a route that has aliases, made from the configuration alone: no provider is asked.

use std::sync::Arc;

use http::request::Parts;

use crate::config::{Admitted, Model};
use crate::proxy::exchange::Exchange;
use crate::proxy::identify::{Identified, ModelsAsked};
use crate::snapshot::RoutePlan;
use crate::wire::{ListPage, ListedModel, model_entry, model_list};

/// The body of the answer, where the question is ours.
pub(crate) fn answer(exchange: &Exchange, identified: &Identified, parts: &Parts) -> Option<String> {
    let dialect = exchange.endpoint.dialect();
    let answer = match identified.models.as_ref()? {
        ModelsAsked::Alias(id) => model_entry(dialect, &alias(id)),
        ModelsAsked::All => {
            let page = ListPage::of(parts.uri.query());
            model_list(dialect, &listed(exchange, identified), page)
        }
    };
    Some(answer.to_string())
}

/// The aliases first, then the declared models that a request may name here.
fn listed<'e>(exchange: &'e Exchange, identified: &Identified) -> Vec<ListedModel<'e>> {
    let snapshot = &exchange.snapshot;
    let route = exchange.route.as_deref();
    let named = route.filter(|_| identified.route_named);
    let routes = snapshot.config.routes.iter().filter_map(|route| snapshot.by_name.get(route.name.as_str()));
    let shown = routes.filter(|plan| match named {
        Some(named) => plan.name == named.name,
        None => identified.caller.may_use(plan),
    });
    let mut listed: Vec<ListedModel<'_>> =
        shown.flat_map(|plan| plan.route.aliases.iter().map(|name| alias(name))).collect();
    // What speaks another API is translated for.
    let declared =
        snapshot.config.models.iter().filter(|model| route.is_some_and(|route| admits(route, model)));
    // No alias is a declared model's name: the configuration refuses it.
    let entry = |model: &'e Arc<Model>| ListedModel {
        id: model.name.as_str(),
        owned_by: model.provider.name.as_str(),
    };
    listed.extend(declared.map(entry));
    listed
}

fn admits(route: &RoutePlan, model: &Arc<Model>) -> bool {
    match &route.models {
        Admitted::Any | Admitted::Declared => true,
        Admitted::Only(models) => models.iter().any(|admitted| admitted.name == model.name),
    }
}

fn alias(name: &str) -> ListedModel<'_> {
    ListedModel { id: name, owned_by: "dimmer" }
}
