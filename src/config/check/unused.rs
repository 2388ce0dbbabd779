//! What is declared and used by nothing: warnings of some of it, and all of it for who tidies up.

use std::collections::HashSet;
use std::sync::Arc;

use toml::de::DeValue;

use crate::config::check::flags::Drafted;
use crate::config::errors::Position;
use crate::config::read::{At, Table, in_file_order};
use crate::config::{Admitted, Model, Route, Slot, Unused, UnusedKind};

/// What was built of the file.
pub(super) struct Built<'b, 'd> {
    pub(super) models: &'b [Arc<Model>],
    pub(super) routes: &'b [Arc<Route>],
    pub(super) flags: &'b [Drafted<'d>],
}

/// Everything that nothing uses, in the order of [`UnusedKind`]. Warns of flags, segments, prompts and replies that nothing uses,
/// and of routes that nothing reaches.
pub(super) fn find(root: &Table<'_>, built: &Built<'_, '_>) -> Vec<Unused> {
    let mut found = Vec::new();
    for name in super::flags::unused(root, built.flags) {
        add(&mut found, root, UnusedKind::Flag, &name);
    }
    let said = said(root, &["flags", "routes", "segments", "models"]);
    for kind in [UnusedKind::Segment, UnusedKind::Prompt, UnusedKind::Reply] {
        for (name, table) in root.named(kind.table()) {
            if !said.contains(name.value) {
                table.warn(&name.span, "nothing uses it");
                add(&mut found, root, kind, &name);
            }
        }
    }
    unnamed_models(&mut found, root, built.routes);
    let used = |kind: UnusedKind, name: &str| used(built, kind, name);
    for kind in [UnusedKind::Provider, UnusedKind::Judge, UnusedKind::Breaker] {
        for (name, _) in root.named(kind.table()) {
            if !used(kind, name.value) {
                add(&mut found, root, kind, &name);
            }
        }
    }
    unreached(&mut found, root, built.routes);
    found
}

fn add(found: &mut Vec<Unused>, root: &Table<'_>, kind: UnusedKind, name: &At<&str>) {
    let line = Position::of(root.loading.text, &name.span).line;
    found.push(Unused { kind, name: name.value.into(), line, askable: false });
}

/// All texts of these tables, and the keys of splits.
fn said<'d>(root: &Table<'d>, tables: &[&'static str]) -> HashSet<&'d str> {
    let mut said = HashSet::new();
    for key in tables {
        for (_, value) in root.table(key).entries() {
            collect(value.value, &mut said);
        }
    }
    said
}

fn collect<'d>(value: &'d DeValue<'d>, said: &mut HashSet<&'d str>) {
    match value {
        DeValue::String(text) => drop(said.insert(text)),
        DeValue::Array(list) => list.iter().for_each(|inner| collect(inner.get_ref(), said)),
        DeValue::Table(table) => {
            for (key, inner) in in_file_order(table) {
                said.insert(key.value);
                collect(inner.value, said);
            }
        }
        _ => {}
    }
}

/// A model's own table says names of its own, such as `upstream_model`: they do not count.
fn unnamed_models(found: &mut Vec<Unused>, root: &Table<'_>, routes: &[Arc<Route>]) {
    let said = said(root, &["flags", "routes", "judges"]);
    let askable = routes.iter().any(|route| takes_names(route));
    for (name, _) in root.named(UnusedKind::Model.table()) {
        if !said.contains(name.value) {
            add(found, root, UnusedKind::Model, &name);
            if let Some(last) = found.last_mut() {
                last.askable = askable;
            }
        }
    }
}

/// Whether a caller of the route may be answered by the model that it asks for, whichever that is.
fn takes_names(route: &Route) -> bool {
    let as_sent = match &route.model {
        Slot::AsSent => true,
        Slot::Fixed(_) => false,
        Slot::Flag { values, .. } => values.iter().any(Option::is_none),
    };
    as_sent && !matches!(route.models, Admitted::Only(_))
}

fn used(built: &Built<'_, '_>, kind: UnusedKind, name: &str) -> bool {
    let of_route = |route: &Arc<Route>| match kind {
        UnusedKind::Provider => route.providers.iter().any(|one| one.name.as_str() == name),
        UnusedKind::Breaker => route.breaker.as_ref().is_some_and(|one| one.name.as_str() == name),
        UnusedKind::Judge => {
            let compares = route.shadows.iter().flat_map(|shadow| &shadow.judges);
            let scores = route.evaluators.iter().map(|evaluator| &evaluator.judge);
            compares.chain(scores).any(|one| &*one.name == name)
        }
        _ => true,
    };
    let of_model = |model: &Arc<Model>| kind == UnusedKind::Provider && model.provider.name.as_str() == name;
    built.routes.iter().any(of_route) || built.models.iter().any(of_model)
}

fn unreached(found: &mut Vec<Unused>, root: &Table<'_>, routes: &[Arc<Route>]) {
    let by_header =
        root.named("clients").iter().any(|(_, client)| client.boolean("may_choose_route") == Some(true));
    for route in routes {
        let reached = route.path.is_some() || !route.aliases.is_empty() || route.name.as_str() == "default";
        if reached || by_header {
            continue;
        }
        let table = root.named("routes").into_iter().find(|(name, _)| name.value == route.name.as_str());
        if let Some((name, table)) = table {
            table.warn(
                &name.span,
                "nothing reaches it: it has no path and no alias, and is not called default",
            );
            add(found, root, UnusedKind::Route, &name);
        }
    }
}
