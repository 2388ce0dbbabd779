//! `routes.*.fallback` and `fallback_on`: who is tried in turn, and what leads there.

use crate::config::check::declared;
use crate::config::check::slots::Targets;
use crate::config::quantity::did_you_mean;
use crate::config::read::{At, Table};
use crate::config::{FallbackCauses, FallbackOn, Model, ReplyContent, Route, Target};
use crate::flags::Condition;

/// Reads `fallback_on`.
pub(super) fn causes(table: &Table<'_>) -> FallbackCauses {
    table.texts("fallback_on").into_iter().filter_map(|at| FallbackOn::parse(at.value)).collect()
}

/// Reads `fallback`.
pub(super) fn targets(root: &Table<'_>, targets: &Targets<'_>, table: &Table<'_>) -> Vec<Target> {
    let rooms = [declared(root, "models"), declared(root, "replies")];
    let known = || rooms.iter().flat_map(|room| room.iter().copied());
    let mut found: Vec<Target> = Vec::new();
    for at in table.texts("fallback") {
        if !known().any(|name| name == at.value) {
            let suggestion = did_you_mean(at.value, known());
            table.error_at("fallback", &at.span, &format!("{:?} is no model or reply{suggestion}", at.value));
        }
        // What could not be built was reported where it stands.
        let Some(target) = targets.target(at.value) else { continue };
        if found.iter().any(|other| other.name() == at.value) {
            let message =
                format!("{:?} stands here twice, and is tried once: take one of them out", at.value);
            table.error_at("fallback", &at.span, &message);
        }
        found.push(target);
    }
    found
}

/// Warns of what can never answer, or not everybody.
pub(super) fn check(table: &Table<'_>, route: &Route) {
    if let Some(at) = table.written("fallback_on") {
        let models = route.fallback.iter().any(|target| matches!(target, Target::Model(_)));
        if route.fallback.is_empty() {
            table.warn(&at.span, "fallback_on does nothing: the route has no fallback");
        } else if models && route.fallback_on == FallbackCauses::NONE {
            table.warn(&at.span, "fallback_on is empty: no model of the fallback is ever tried");
        }
    }
    let written = table.texts("fallback");
    // A name that is no target was an error, and nothing more is to be said.
    if written.len() != route.fallback.len() {
        return;
    }
    let mut ends: Option<&str> = None;
    for (place, (at, target)) in written.iter().zip(&route.fallback).enumerate() {
        if let Some(before) = ends {
            let message = format!(
                "fallback: {:?} can never answer: {before:?} before it fits every request; put it first, or take it out",
                at.value
            );
            table.warn(&at.span, &message);
            return;
        }
        match target {
            Target::Reply(reply) => {
                ends = matches!(reply.content, ReplyContent::Error { .. }).then_some(at.value);
            }
            Target::Model(model) => {
                let behind = route.fallback.get(place + 1..).unwrap_or_default();
                warn_of_guard(table, at, model, behind);
            }
        }
    }
}

/// Whoever the tier guard refuses needs something behind it.
fn warn_of_guard(table: &Table<'_>, at: &At<&str>, model: &Model, behind: &[Target]) {
    let guarded = |model: &Model| !matches!(model.allow, Condition::Always);
    let open = behind.iter().any(|target| match target {
        Target::Model(model) => !guarded(model),
        Target::Reply(_) => true,
    });
    if guarded(model) && !open {
        let message = format!(
            "fallback: the `allow` of model {:?} refuses some callers, and nothing behind it takes them: they get an error; add a model without `allow`, or a reply",
            at.value
        );
        table.warn(&at.span, &message);
    }
}
