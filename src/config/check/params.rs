//! `params` of a route: what stands there, and whether it fits the parameter's values.

use std::sync::Arc;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use crate::config::check::flags::Drafted;
use crate::config::check::slots::{SlotKind, find_flag, flag_slot};
use crate::config::quantity::did_you_mean;
use crate::config::read::{At, Table, in_file_order};
use crate::config::{RouteParam, Slot, json};
use crate::wire::{PARAMS, Param, ParamValue};

/// What a route may say of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A bare value, or `flag`.
    Set,
    /// `default`
    Default,
    /// `max`
    Max,
}

/// Where a part's value comes from.
#[derive(Clone)]
pub(super) enum Said<'d> {
    /// The file.
    Value(At<&'d DeValue<'d>>),
    /// A flag.
    Flag(At<&'d str>),
    /// Something that is neither; told by what.
    Wrong(At<String>),
}

/// An entry of `params`.
pub(super) struct Entry<'d> {
    pub(super) name: At<&'d str>,
    /// `None`: there is none of this name.
    pub(super) param: Option<&'static Param>,
    pub(super) parts: Vec<(Part, Said<'d>)>,
}

/// What a route says of parameters, in the file's order. Reports nothing.
pub(super) fn entries<'d>(route: &Table<'d>) -> Vec<Entry<'d>> {
    let written = route.table("params").entries().into_iter();
    let entry = |(name, value): (At<&'d str>, At<&'d DeValue<'d>>)| {
        let param = Param::named(name.value);
        let parts = param.map(|param| parts(param, &value)).unwrap_or_default();
        Entry { name, param, parts }
    };
    written.map(entry).collect()
}

fn parts<'d>(param: &Param, value: &At<&'d DeValue<'d>>) -> Vec<(Part, Said<'d>)> {
    let Some(table) = settings(param, value.value) else {
        return vec![(Part::Set, Said::Value(value.clone()))];
    };
    let part = |(key, inner): (At<&'d str>, At<&'d DeValue<'d>>)| match key.value {
        "flag" => (Part::Set, flag(&inner)),
        "default" => (Part::Default, value_or_flag(&inner)),
        "max" => (Part::Max, value_or_flag(&inner)),
        name => {
            let suggestion = did_you_mean(name, KEYS);
            let value = format!("unknown key {name:?}{suggestion}; known here: default, flag, max");
            (Part::Set, Said::Wrong(At { value, span: key.span }))
        }
    };
    let parts: Vec<_> = in_file_order(table).into_iter().map(part).collect();
    if parts.is_empty() {
        let empty = "says nothing: write a value, default, max or flag".to_owned();
        return vec![(Part::Set, Said::Wrong(At { value: empty, span: value.span.clone() }))];
    }
    parts
}

/// The keys of that table.
const KEYS: [&str; 3] = ["default", "flag", "max"];

/// The table that says how a parameter is decided. Where the values are tables too, it is known by its keys.
fn settings<'d>(param: &Param, value: &'d DeValue<'d>) -> Option<&'d DeTable<'d>> {
    let table = value.as_table()?;
    let is_key = |key: &str| KEYS.contains(&key);
    let is_value = param.is_table() && !table.iter().any(|(key, _)| is_key(key.get_ref()));
    (!is_value).then_some(table)
}

fn value_or_flag<'d>(value: &At<&'d DeValue<'d>>) -> Said<'d> {
    match value.value.as_table() {
        Some(table) if table.len() == 1 && table.contains_key("flag") => {
            let inner = in_file_order(table).into_iter().next();
            inner.map_or_else(|| Said::Value(value.clone()), |(_, inner)| flag(&inner))
        }
        _ => Said::Value(value.clone()),
    }
}

fn flag<'d>(value: &At<&'d DeValue<'d>>) -> Said<'d> {
    let span = value.span.clone();
    match value.value.as_str().filter(|name| !name.is_empty()) {
        Some(name) => Said::Flag(At { value: name, span }),
        None => Said::Wrong(At { value: "flag must be the name of a flag in quotes".to_owned(), span }),
    }
}

/// Reads `params` of a route; reports what is wrong with them.
pub(super) fn params<'d>(root: &Table<'d>, route: &Table<'d>, flags: &[Drafted<'d>]) -> Vec<RouteParam> {
    let mut params = Vec::new();
    for Entry { name, param, parts } in entries(route) {
        let Some(param) = param else {
            unknown(route, &name);
            continue;
        };
        let reading = Reading { root, route, flags, param };
        let mut built = RouteParam { param, set: Slot::AsSent, default: Slot::AsSent, max: Slot::AsSent };
        for (part, said) in &parts {
            let slot = match part {
                Part::Set => &mut built.set,
                Part::Default => &mut built.default,
                Part::Max => &mut built.max,
            };
            *slot = reading.slot(*part, said);
        }
        reading.check_together(&built, &name);
        params.push(built);
    }
    params.sort_by_key(|built| PARAMS.iter().position(|param| param == built.param));
    params
}

/// One parameter of one route.
struct Reading<'r, 'd> {
    root: &'r Table<'d>,
    route: &'r Table<'d>,
    flags: &'r [Drafted<'d>],
    param: &'static Param,
}

impl Reading<'_, '_> {
    fn slot(&self, part: Part, said: &Said<'_>) -> Slot<Arc<ParamValue>> {
        let kind = SlotKind::Param(self.param, part);
        match said {
            Said::Wrong(why) => {
                self.route.error_at(&kind.key(), &why.span, &why.value);
                Slot::AsSent
            }
            Said::Flag(name) => {
                let drafted = find_flag(self.root, self.flags, name, &|message| {
                    self.route.error_at(&format!("{}.flag", kind.key()), &name.span, message);
                });
                flag_slot(drafted, |json| self.param.value(json).ok().map(Arc::new))
            }
            Said::Value(value) if value.value.as_str() == Some("as_sent") => Slot::AsSent,
            Said::Value(value) => self.literal(&kind, value),
        }
    }

    fn literal(&self, kind: &SlotKind, value: &At<&DeValue<'_>>) -> Slot<Arc<ParamValue>> {
        let json = json::value(value.value);
        match kind.refuses_value(&json) {
            Some(why) => {
                let said = json::said(value.value);
                self.route.error(&value.span, &format!("{} is {said}, {why}", kind.key()));
                Slot::AsSent
            }
            None => self.param.value(&json).map_or(Slot::AsSent, |value| Slot::Fixed(Arc::new(value))),
        }
    }

    fn check_together(&self, built: &RouteParam, name: &At<&str>) {
        let fixed = |slot: &Slot<Arc<ParamValue>>| match slot {
            Slot::Fixed(value) => value.number(),
            _ => None,
        };
        if let (Some(default), Some(max)) = (fixed(&built.default), fixed(&built.max))
            && default > max
        {
            let message = format!(
                "params.{}: the default {default} is above the max {max}: lower the one or raise the other",
                name.value
            );
            self.route.error(&name.span, &message);
        }
    }
}

fn unknown(route: &Table<'_>, name: &At<&str>) {
    let names: Vec<&str> = PARAMS.iter().map(|param| param.name).collect();
    let suggestion = did_you_mean(name.value, names.iter().copied());
    let message = format!(
        "{:?} is no parameter{suggestion}; known: {}; members that only one provider knows are set by `fit.set` of a model",
        name.value,
        names.join(", ")
    );
    route.error_at("params", &name.span, &message);
}

/// Whether a flag's value fits; if not, what to say of it.
pub(super) fn refuses(param: &Param, part: Part, json: &Json) -> Option<String> {
    let place = SlotKind::key_of(param, part);
    if part == Part::Max && !param.has_order() {
        return Some(format!("but `{place}` can hold nothing back: only numbers have a maximum"));
    }
    let expected = param.value(json).err()?;
    let is_number = json.as_str().is_some_and(|text| text.parse::<f64>().is_ok());
    let remedy = if is_number && param.has_order() {
        ": write it without quotes; a split names it in `variants`"
    } else {
        ""
    };
    Some(format!("which is not {expected} or as_sent: `{place}` takes nothing else{remedy}"))
}
