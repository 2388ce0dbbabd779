//! `[routes]`: one feature of one app each, what decides on it, and who serves it.

use std::collections::HashMap;
use std::sync::Arc;

use toml::de::DeValue;

use crate::config::check::attributes::Attributes;
use crate::config::check::flags::Drafted;
use crate::config::check::slots::{SlotKind, TOOL_NAME, Targets, find_flag, flag_slot, tool_names};
use crate::config::check::{
    Room, check_name, declared, dialects, fallback, judges, params, resolve, shadows,
};
use crate::config::read::{At, Span, Table};
use crate::config::{Admitted, Breaker, ForeignReasoning, Model, Prompt, Provider, Route, Slot, Target};
use crate::flags::Value;
use crate::names::RouteName;
use crate::wire::{Dialect, PromptMode};

/// What all routes of a file are read with.
struct Reading<'r, 'd> {
    root: &'r Table<'d>,
    providers: &'r [Arc<Provider>],
    targets: &'r Targets<'r>,
    flags: &'r [Drafted<'d>],
    breakers: &'r [Arc<Breaker>],
    attributes: &'r Attributes<'r, 'd>,
}

/// Reads `[routes]`.
pub(super) fn routes<'d>(
    root: &Table<'d>,
    providers: &[Arc<Provider>],
    targets: &Targets<'_>,
    flags: &[Drafted<'d>],
    breakers: &[Arc<Breaker>],
    attributes: &Attributes<'_, 'd>,
) -> Vec<Arc<Route>> {
    let reading = Reading { root, providers, targets, flags, breakers, attributes };
    let tables = root.named("routes");
    if root.has("routes") && declared(root, "routes").is_empty() {
        let span = root.table("routes").span;
        root.error_at("routes", &span, "there are none: write [routes.default], which takes every request");
    }
    let routes = tables.iter().map(|(name, table)| Arc::new(reading.route(name, table))).collect();
    check_paths(&tables);
    check_aliases(root, &tables);
    routes
}

impl<'d> Reading<'_, 'd> {
    fn route(&self, name: &At<&str>, table: &Table<'d>) -> Route {
        check_name(table, name, "");
        let providers = self.providers(table);
        let route = Route {
            name: RouteName::from(name.value),
            path: table.text("path").map(|at| at.value.trim_end_matches('/').to_owned()),
            aliases: table.texts("aliases").into_iter().map(|at| at.value.to_owned()).collect(),
            enabled: self.enabled(table),
            model: self.model(table),
            system_prompt: self.system_prompt(table),
            prompt_mode: prompt_mode(table),
            pin: table.text("pin").is_some_and(|at| at.value == "conversation"),
            foreign_reasoning: foreign_reasoning(table),
            params: params::params(self.root, table, self.flags),
            denied_tools: self.denied_tools(table),
            embeddings: self.embeddings(table),
            models: self.admitted(table),
            providers,
            fallback: self.fallback(table),
            fallback_on: fallback::causes(table),
            breaker: self.breaker(table),
            shadows: shadows::shadows(self.root, table, self.targets, self.attributes),
            evaluators: judges::evaluators(self.root, table, self.targets),
        };
        check_alias_model(table, &route);
        fallback::check(table, &route);
        shadows::check(table, &route);
        dialects::check(table, &route);
        route
    }

    fn breaker(&self, table: &Table<'_>) -> Option<Arc<Breaker>> {
        let room = Room::new(self.root, "breakers", "breaker", |breaker: &Breaker| breaker.name.as_str());
        resolve(table, "breaker", &table.text("breaker")?, self.breakers, &room)
    }

    /// The providers of a route.
    fn providers(&self, table: &Table<'_>) -> Vec<Arc<Provider>> {
        let room =
            Room::new(self.root, "providers", "provider", |provider: &Provider| provider.name.as_str());
        if !table.has("provider") {
            return self.providers_by_dialect(table);
        }
        let written = table.texts("provider");
        if written.is_empty() {
            let span = table.written("provider").map(|at| at.span).unwrap_or_default();
            table.error_at("provider", &span, "the list is empty: name a provider, or take the line out");
        }
        let resolved = |at: &At<&str>| resolve(table, "provider", at, self.providers, &room);
        written.iter().filter_map(resolved).collect()
    }

    /// Without a `provider` line: per dialect the only provider that speaks it.
    fn providers_by_dialect(&self, table: &Table<'_>) -> Vec<Arc<Provider>> {
        let mut chosen: Vec<Arc<Provider>> = Vec::new();
        for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
            let candidates: Vec<_> = self.providers.iter().filter(|one| one.kind.speaks(dialect)).collect();
            if let [first, _, ..] = candidates.as_slice() {
                let names: Vec<String> = candidates.iter().map(|one| format!("{:?}", one.name)).collect();
                let message = format!(
                    "several providers speak {} ({}), so the route must say which: write provider = {:?}",
                    dialect.as_str(),
                    names.join(", "),
                    first.name
                );
                table.error(&table.span, &message);
                return chosen;
            }
            let new = candidates.into_iter().filter(|one| chosen.iter().all(|other| other.name != one.name));
            let new: Vec<_> = new.map(Arc::clone).collect();
            chosen.extend(new);
        }
        chosen
    }

    fn flag(&self, table: &Table<'_>, kind: SlotKind) -> Option<&Drafted<'d>> {
        let (outer, key) = kind.place(table);
        let slot = outer.table(key);
        let Some(at) = slot.text("flag") else {
            // An unknown key in there was reported, and is what should have said it.
            let only_known = slot.entries().iter().all(|(key, _)| key.value == "mode");
            if slot.entries.is_some() && only_known {
                let key = kind.key();
                slot.error(&slot.span, &format!("says not which flag: write {key}.flag = \"…\""));
            }
            return None;
        };
        find_flag(self.root, self.flags, &at, &|message| slot.error_at("flag", &at.span, message))
    }

    fn enabled(&self, table: &Table<'_>) -> Slot<bool> {
        if let Some(DeValue::Boolean(fixed)) = table.written("enabled").map(|at| at.value) {
            return Slot::Fixed(*fixed);
        }
        flag_slot(self.flag(table, SlotKind::Enabled), serde_json::Value::as_bool)
    }

    fn model(&self, table: &Table<'_>) -> Slot<Target> {
        let Some(DeValue::String(name)) = table.written("model").map(|at| at.value) else {
            return flag_slot(self.flag(table, SlotKind::Model), |json| self.targets.target(json.as_str()?));
        };
        self.literal(table, SlotKind::Model, name, |name| self.targets.target(name))
    }

    fn system_prompt(&self, table: &Table<'_>) -> Slot<Arc<Prompt>> {
        let Some(DeValue::String(name)) = table.written("system_prompt").map(|at| at.value) else {
            return flag_slot(self.flag(table, SlotKind::SystemPrompt), |json| {
                self.targets.prompt(json.as_str()?)
            });
        };
        self.literal(table, SlotKind::SystemPrompt, name, |name| self.targets.prompt(name))
    }

    fn embeddings(&self, table: &Table<'_>) -> Slot<Arc<Model>> {
        let slot = match table.table("embeddings").written("model").map(|at| at.value) {
            Some(DeValue::String(name)) => {
                self.literal(table, SlotKind::Embeddings, name, |name| self.targets.model(name))
            }
            _ => flag_slot(self.flag(table, SlotKind::Embeddings), |json| self.targets.model(json.as_str()?)),
        };
        self.check_embeddings(table, &slot);
        slot
    }

    fn denied_tools(&self, table: &Table<'_>) -> Slot<Arc<[Box<str>]>> {
        let named = |names: Vec<&str>| names.into_iter().map(Box::from).collect();
        let tools = table.table("tools");
        let Some(at) = tools.written("deny").filter(|at| at.value.as_array().is_some()) else {
            let drafted = self.flag(table, SlotKind::DeniedTools);
            return flag_slot(drafted, |json| tool_names(json).map(named));
        };
        let texts = tools.texts("deny");
        if texts.is_empty() {
            tools.error_at("deny", &at.span, "the list is empty: name a tool, or take the line out");
        }
        for text in &texts {
            if tool_names(&text.value.into()).is_none() {
                let message = format!("{:?} can be no tool's name, which has {TOOL_NAME}", text.value);
                tools.error_at("deny", &text.span, &message);
            }
        }
        Slot::Fixed(named(texts.iter().map(|text| text.value).collect()))
    }

    fn literal<T>(
        &self,
        table: &Table<'_>,
        kind: SlotKind,
        name: &str,
        find: impl Fn(&str) -> Option<T>,
    ) -> Slot<T> {
        let value = Value::Json(serde_json::Value::from(name));
        if name != "as_sent"
            && let Some(why) = kind.refuses(&value, self.root)
        {
            let (outer, key) = kind.place(table);
            let span = outer.written(key).map(|at| at.span).unwrap_or_default();
            table.error(&span, &format!("{} is {name:?}, {why}", kind.key()));
        }
        find(name).map_or(Slot::AsSent, Slot::Fixed)
    }

    fn admitted(&self, table: &Table<'_>) -> Admitted {
        let room = Room::new(self.root, "models", "model", |model: &Model| model.name.as_str());
        match table.value("models").map(|at| at.value) {
            Some(DeValue::String(word)) if &**word == "declared" => Admitted::Declared,
            Some(DeValue::Array(_)) => {
                let named = table.texts("models");
                let models =
                    named.iter().filter_map(|at| resolve(table, "models", at, self.targets.models, &room));
                Admitted::Only(models.collect())
            }
            _ => Admitted::Any,
        }
    }

    /// Models and replies.
    fn fallback(&self, table: &Table<'_>) -> Vec<Target> {
        fallback::targets(self.root, self.targets, table)
    }
}

impl Reading<'_, '_> {
    /// Embeddings are a call of OpenAI's API. Vectors of two models cannot be compared, so a flag between them is for the
    /// day on which the index is made anew.
    fn check_embeddings(&self, table: &Table<'_>, slot: &Slot<Arc<Model>>) {
        let wrong = |model: &Model| !model.provider.kind.speaks(Dialect::OpenAi);
        let message = |model: &Model| {
            format!(
                "model {:?} is served by {:?}, which does not speak openai, the API of embeddings",
                model.name, model.provider.name
            )
        };
        let span = || table.table("embeddings").written("model").map(|at| at.span).unwrap_or_default();
        match slot {
            Slot::Fixed(model) if wrong(model) => {
                table.error(&span(), &format!("embeddings.model: {}", message(model)));
            }
            Slot::Flag { flag, values } => {
                let models = || values.iter().flatten();
                if let Some(model) = models().find(|model| wrong(model)) {
                    table.error(
                        &span(),
                        &format!("embeddings.model: flag {:?}: {}", flag.key, message(model)),
                    );
                }
                if values.len() > 1 {
                    let warning = format!(
                        "flag {:?} moves embeddings from model to model, and vectors of different models cannot be compared: each needs an index of its own",
                        flag.key
                    );
                    table.warn(&span(), &warning);
                }
            }
            _ => {}
        }
    }
}

/// An alias is no model: upstream nobody knows it, so something else must say which model is meant.
fn check_alias_model(table: &Table<'_>, route: &Route) {
    let Some(at) = table.written("aliases").filter(|_| !route.aliases.is_empty()) else { return };
    let as_sent = table.text("model").is_some_and(|model| model.value == "as_sent");
    if as_sent || !table.has("model") {
        let message =
            "an alias is no model, so the route must say which: write model = \"…\" or model.flag = \"…\"";
        table.error_at("aliases", &at.span, message);
    }
    if let Slot::Flag { flag, .. } = &route.model
        && flag.variants.iter().any(|variant| variant.value == Value::AsSent)
    {
        let message = format!("flag {:?} can serve as_sent, and an alias is no model upstream", flag.key);
        table.warn(&at.span, &message);
    }
}

fn foreign_reasoning(table: &Table<'_>) -> ForeignReasoning {
    match table.text("foreign_reasoning").map(|at| at.value) {
        Some("strip") => ForeignReasoning::Strip,
        _ => ForeignReasoning::Stay,
    }
}

fn prompt_mode(table: &Table<'_>) -> PromptMode {
    match table.table("system_prompt").text("mode").map(|at| at.value) {
        Some("prepend") => PromptMode::Prepend,
        Some("append") => PromptMode::Append,
        Some("if_absent") => PromptMode::IfAbsent,
        _ => PromptMode::Replace,
    }
}

fn check_paths(tables: &[(At<&str>, Table<'_>)]) {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for (name, table) in tables {
        let Some(at) = table.text("path") else { continue };
        if let Err(message) = path(at.value) {
            table.error_at("path", &at.span, &message);
        } else if let Some(owner) = owners.insert(at.value.trim_end_matches('/'), name.value) {
            table.error_at("path", &at.span, &format!("route {owner:?} has it already: choose another"));
        }
    }
}

/// A path that requests can start with.
fn path(text: &str) -> Result<(), String> {
    let trimmed = text.trim_end_matches('/');
    let Some(rest) = trimmed.strip_prefix('/') else {
        let remedy = if trimmed.is_empty() {
            "call the route `default` instead"
        } else {
            "write it with a / before it"
        };
        return Err(format!("{text:?} is no path: {remedy}"));
    };
    let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    for segment in rest.split('/') {
        if segment.is_empty() || segment == "." || segment == ".." || !segment.chars().all(unreserved) {
            return Err(format!(
                "{text:?} is no path: write segments of A-Z a-z 0-9 - . _ ~, such as \"/assistant\""
            ));
        }
    }
    let first = rest.split('/').next().unwrap_or_default();
    if ["dimmer", "ofrep"].contains(&first) {
        return Err(format!("/{first} belongs to dimmer itself: choose another"));
    }
    if let Some(base) = trimmed.strip_suffix("/v1") {
        let remedy = if base.is_empty() {
            "call the route `default` instead".to_owned()
        } else {
            format!("write {base:?}")
        };
        return Err(format!("/v1 comes after the route's path by itself: {remedy}"));
    }
    Ok(())
}

fn check_aliases(root: &Table<'_>, tables: &[(At<&str>, Table<'_>)]) {
    let mut owners: HashMap<&str, String> = HashMap::new();
    for (name, table) in root.named("models") {
        let also = table.texts("also").into_iter().map(|at| at.value);
        owners.extend(also.chain([name.value]).map(|known| (known, format!("model {:?}", name.value))));
    }
    for (name, table) in tables {
        for at in table.texts("aliases") {
            let span: &Span = &at.span;
            match owners.get(at.value) {
                Some(owner) => {
                    table.error_at("aliases", span, &format!("{:?} means {owner} already", at.value))
                }
                None => drop(owners.insert(at.value, format!("route {:?}", name.value))),
            }
        }
    }
}
