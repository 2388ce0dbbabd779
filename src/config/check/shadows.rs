//! `shadow` of a route: who gets copies, which of them, and what they may cost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::config::check::attributes::Attributes;
use crate::config::check::params::{self, Part, Said};
use crate::config::check::slots::{SlotKind, Targets};
use crate::config::check::{Room, check_name, flags, judges, resolve};
use crate::config::read::{At, Table};
use crate::config::{Model, Prompt, Route, Shadow, Slot, Target};
use crate::flags::By;
use crate::units::{Percent, PicoUsd};
use crate::wire::ParamEdit;

/// Each costs a look for every request of the route.
const SHADOWS_MAX: usize = 8;
/// More at once would take the file descriptors of callers.
const CONCURRENT_MAX: u64 = 1024;
/// Money is counted in numbers that hold some millions of dollars.
const USD_MAX: f64 = 1_000_000.0;
const TIMEOUT_MAX: Duration = Duration::from_hours(1);

/// Reads the shadows of one route.
pub(super) fn shadows<'d>(
    root: &Table<'d>,
    route: &Table<'d>,
    targets: &Targets<'_>,
    attributes: &Attributes<'_, 'd>,
) -> Vec<Arc<Shadow>> {
    let tables = route.tables("shadow");
    if let Some(one_too_many) = tables.get(SHADOWS_MAX) {
        let message = format!("more than {SHADOWS_MAX}: compare fewer candidates at a time");
        one_too_many.error(&one_too_many.span, &message);
    }
    let mut names = HashSet::new();
    tables
        .iter()
        .map(|table| {
            let name = table.text("name");
            if let Some(name) = &name {
                check_name(table, name, "");
                if !names.insert(name.value) {
                    table.error_at(
                        "name",
                        &name.span,
                        "another shadow of the route has this name: choose another",
                    );
                }
            }
            Arc::new(shadow(root, table, name.map_or("", |at| at.value), targets, attributes))
        })
        .collect()
}

fn shadow<'d>(
    root: &Table<'d>,
    table: &Table<'d>,
    name: &str,
    targets: &Targets<'_>,
    attributes: &Attributes<'_, 'd>,
) -> Shadow {
    let model_room = Room::new(root, "models", "model", |model: &Model| model.name.as_str());
    let prompt_room = Room::new(root, "prompts", "prompt", |prompt: &Prompt| prompt.name.as_str());
    let model = table.text("model").and_then(|at| {
        let is_reply = targets.replies.iter().any(|reply| reply.name.as_str() == at.value);
        if is_reply {
            table.error_at(
                "model",
                &at.span,
                "is a reply, which is the same for everybody: name a model of [models]",
            );
            return None;
        }
        resolve(table, "model", &at, targets.models, &model_room)
    });
    let system_prompt = table
        .text("system_prompt")
        .and_then(|at| resolve(table, "system_prompt", &at, targets.prompts, &prompt_room));
    if !["model", "system_prompt", "params"].iter().any(|key| table.has(key)) {
        let message =
            "names nothing that differs: write model = \"…\", system_prompt = \"…\" or params = { … }";
        table.error(&table.span, message);
    }
    let budget = table.table("budget");
    Shadow {
        name: name.into(),
        model,
        system_prompt,
        params: literals(root, table),
        percent: table.number("percent").and_then(Percent::from_percent).unwrap_or(Percent::ZERO),
        by: flags::by(table, attributes).unwrap_or(By::Request),
        per_day: per_day(&budget, "write dollars, or percent = 0"),
        concurrent: concurrent(&budget),
        server_tools: table.boolean("server_tools").unwrap_or(false),
        timeout: timeout(table),
        judges: judges::of_shadow(root, table, targets),
    }
}

/// A candidate is one thing: what a flag decides for each request cannot be compared with it.
fn literals<'d>(root: &Table<'d>, table: &Table<'d>) -> Vec<ParamEdit> {
    for entry in params::entries(table) {
        for (part, said) in &entry.parts {
            if let (Some(param), Said::Flag(at)) = (entry.param, said) {
                let key = SlotKind::key_of(param, *part);
                table.error_at(
                    &key,
                    &at.span,
                    "a candidate is one thing, and no flag decides on it: write a value",
                );
                return Vec::new();
            }
            if let (Some(param), Part::Set, Said::Value(at)) = (entry.param, part, said)
                && param.name == "store"
            {
                let message =
                    "what a copy leaves at its provider nobody asks for: copies never say store = true";
                table.error_at("params.store", &at.span, message);
            }
        }
    }
    let fixed = |slot: Slot<_>| match slot {
        Slot::Fixed(value) => Some(value),
        Slot::AsSent | Slot::Flag { .. } => None,
    };
    params::params(root, table, &[])
        .into_iter()
        .map(|one| ParamEdit {
            param: one.param,
            set: fixed(one.set),
            default: fixed(one.default),
            max: fixed(one.max),
        })
        .collect()
}

/// `budget.usd_per_day`; `instead` of none at all.
pub(super) fn per_day(budget: &Table<'_>, instead: &str) -> Option<PicoUsd> {
    let usd = budget.number("usd_per_day")?;
    let At { span, .. } = budget.written("usd_per_day")?;
    if usd > USD_MAX {
        let message = format!("write at most {USD_MAX}, or take it out where nothing limits it");
        budget.error_at("usd_per_day", &span, &message);
    }
    if usd == 0.0 {
        let message = format!("nothing would ever be sent: {instead}");
        budget.error_at("usd_per_day", &span, &message);
    }
    Some(PicoUsd((usd * 1e12) as u64))
}

/// `budget.concurrent`
pub(super) fn concurrent(budget: &Table<'_>) -> u64 {
    let count = budget.whole("concurrent").unwrap_or(1);
    if count > CONCURRENT_MAX
        && let Some(At { span, .. }) = budget.written("concurrent")
    {
        budget.error_at("concurrent", &span, &format!("write at most {CONCURRENT_MAX}"));
    }
    count
}

/// `timeout`
pub(super) fn timeout(table: &Table<'_>) -> Duration {
    let timeout = table.duration("timeout").unwrap_or(TIMEOUT_MAX);
    if timeout > TIMEOUT_MAX
        && let Some(At { span, .. }) = table.written("timeout")
    {
        table.error_at("timeout", &span, "write at most \"1h\"");
    }
    timeout
}

/// What only the whole route shows: whether the candidate can be asked at all, and whether anybody knows what that costs.
pub(super) fn check(table: &Table<'_>, route: &Route) {
    for (table, shadow) in table.tables("shadow").iter().zip(&route.shadows) {
        check_one(table, shadow, route);
    }
}

fn check_one(table: &Table<'_>, shadow: &Shadow, route: &Route) {
    let replies = matches!(&route.model, Slot::Fixed(Target::Reply(_)));
    if replies && shadow.model.is_none() && !table.has("model") {
        let message = "the route's own model is a reply, so the shadow must say who gets the copies: write model = \"…\"";
        table.error(&table.span, message);
    }
    warn_of_price(table, shadow, route);
}

/// A price that nobody knows is no price of nothing.
fn warn_of_price(table: &Table<'_>, shadow: &Shadow, route: &Route) {
    let own = match &route.model {
        Slot::Fixed(Target::Model(model)) => Some(model),
        _ => None,
    };
    let Some(model) = shadow.model.as_ref().or(own).filter(|model| model.price.is_none()) else { return };
    let span = table.written("model").map_or_else(|| table.span.clone(), |at| at.span);
    let message = match shadow.per_day {
        Some(_) => format!(
            "the price of model {:?} is not known, so its budget cannot be kept, and it gets no copies: write \
             models.{}.price, or take usd_per_day out",
            model.name, model.name
        ),
        None => format!(
            "the price of model {:?} is not known, and no budget bounds what its copies cost: write models.{}.price \
             and budget.usd_per_day",
            model.name, model.name
        ),
    };
    table.warn(&span, &message);
}
