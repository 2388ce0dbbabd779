//! The configuration and what holds beside it, as the admin API shows them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::clock;
use crate::config::{AttributeKind, AttributeSpec, Config, Slot, Target};
use crate::control::api::shapes::{
    AttributeView, AuditView, ConfigView, FlagView, KillView, ModelView, OverrideView, RouteView, RuleView,
    SlotView, VariantView,
};
use crate::control::switchboard::Switchboard;
use crate::flags::{Flag, Lifetime, Rule, Serve, Value, VariantIndex};
use crate::names::{AttributeName, KillTarget};
use crate::snapshot::View;
use crate::state::{AuditEntry, Kill, Override, RunState};

/// What holds beside the configuration.
pub(super) struct Standing {
    pub(super) state: RunState,
    /// Kills that are not stored yet.
    pub(super) unstored: BTreeSet<KillTarget>,
}

impl Standing {
    pub(super) fn kills(&self) -> Vec<KillView> {
        self.state.kills.iter().map(|(target, kill)| self.kill(target, kill)).collect()
    }

    fn kill(&self, target: &KillTarget, kill: &Kill) -> KillView {
        KillView {
            target: target.to_string(),
            reason: kill.reason.clone(),
            by: kill.by.clone(),
            at: clock::rfc3339(kill.at_ms),
            origin: kill.origin.as_str().to_owned(),
            durable: !self.unstored.contains(target),
        }
    }

    fn killed(&self, target: &KillTarget) -> Option<KillView> {
        self.state.kills.get(target).map(|kill| self.kill(target, kill))
    }

    pub(super) fn flag(&self, config: &Config, flag: &Flag) -> FlagView {
        let name =
            |index: VariantIndex| flag.variant(index).map_or_else(String::new, |one| one.name.to_string());
        let used = config.routes.iter().flat_map(|route| {
            let slots = route.flagged_slots().into_iter().filter(|(_, one)| one.key == flag.key);
            slots.map(|(slot, _)| format!("{}.{slot}", route.name))
        });
        let declared: Vec<AttributeName> =
            config.context.attributes.iter().map(|attribute| attribute.name.clone()).collect();
        FlagView {
            flag: flag.key.to_string(),
            description: flag.description.clone(),
            owner: flag.owner.clone(),
            expires: match flag.lifetime {
                Lifetime::Permanent => None,
                Lifetime::Expires(at_s) => Some(day(at_s)),
            },
            default: name(flag.default),
            off: name(flag.off),
            killed: self.killed(&KillTarget::Flag(flag.key.clone())),
            variants: flag
                .variants
                .iter()
                .map(|variant| VariantView {
                    variant: variant.name.to_string(),
                    value: match &variant.value {
                        Value::AsSent => serde_json::Value::Null,
                        Value::Json(value) => value.clone(),
                    },
                    killed: self.killed(&KillTarget::Variant(flag.key.clone(), variant.name.clone())),
                })
                .collect(),
            rules: flag.rules.iter().map(|rule| self.rule(flag, rule, &declared)).collect(),
            used_by: used.collect(),
        }
    }

    fn rule(&self, flag: &Flag, rule: &Rule, declared: &[AttributeName]) -> RuleView {
        let file = rule.serve.percent();
        let set = self.state.overrides.get(&(flag.key.clone(), rule.name.clone()));
        // What was set against another percentage of the file counts no more.
        let set = set.filter(|set| set.replaced == file);
        RuleView {
            rule: rule.name.to_string(),
            serves: serves(flag, &rule.serve),
            when: rule.when.in_words(declared),
            percent: set.map_or(file, |set| set.percent).as_percent(),
            file_percent: file.as_percent(),
            overridden: set.map(overridden),
        }
    }
}

fn overridden(set: &Override) -> OverrideView {
    OverrideView {
        percent: set.percent.as_percent(),
        replaced: set.replaced.as_percent(),
        reason: set.reason.clone(),
        by: set.by.clone(),
        at: clock::rfc3339(set.at_ms),
    }
}

fn serves(flag: &Flag, serve: &Serve) -> String {
    let name = |index: VariantIndex| flag.variant(index).map_or("", |one| one.name.as_str());
    match serve {
        Serve::One { variant, .. } => name(*variant).to_owned(),
        Serve::Split { slices, .. } => {
            let share = |width: u32| f64::from(width) / 10_000.0;
            let parts: Vec<String> = slices
                .iter()
                .map(|slice| format!("{}={}", name(slice.variant), share(slice.width)))
                .collect();
            parts.join(", ")
        }
    }
}

fn day(at_s: i64) -> String {
    let ms = u64::try_from(at_s).unwrap_or(0).saturating_mul(1000);
    clock::rfc3339(ms).chars().take_while(|sign| *sign != 'T').collect()
}

/// What serves.
pub(super) fn config(view: &View, switchboard: &Switchboard, file: &Path) -> ConfigView {
    let routes = view.config.routes.iter().map(|route| {
        let mut flags: Vec<String> =
            route.flagged_slots().iter().map(|(_, flag)| flag.key.to_string()).collect();
        flags.dedup();
        RouteView {
            route: route.name.to_string(),
            path: route.path.clone(),
            aliases: route.aliases.clone(),
            flags,
            slots: switchboard
                .slots_of(view, route)
                .into_iter()
                .map(|one| SlotView { slot: one.slot, flag: one.flag, says: one.says })
                .collect(),
            fallback: route.fallback.iter().map(target).collect(),
            shadows: route.shadows.iter().map(|shadow| shadow.name.to_string()).collect(),
            killed: view.by_name.get(route.name.as_str()).is_some_and(|plan| view.live.route_killed(plan)),
        }
    });
    ConfigView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: view.generation,
        file: file.display().to_string(),
        routes: routes.collect(),
        models: view
            .config
            .models
            .iter()
            .map(|model| ModelView {
                model: model.name.to_string(),
                provider: model.provider.name.to_string(),
            })
            .collect(),
        providers: view.config.providers.iter().map(|provider| provider.name.to_string()).collect(),
        tools: tools(&view.config),
        attributes: view.config.context.attributes.iter().map(attribute).collect(),
        warnings: view.config.warnings.clone(),
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Model(model) => model.name.to_string(),
        Target::Reply(reply) => reply.name.to_string(),
    }
}

/// The tools that the file names, each once.
fn tools(config: &Config) -> Vec<String> {
    let mut all = BTreeSet::new();
    for route in &config.routes {
        match &route.denied_tools {
            Slot::AsSent => {}
            Slot::Fixed(names) => all.extend(names.iter().map(ToString::to_string)),
            Slot::Flag { values, .. } => {
                all.extend(values.iter().flatten().flat_map(|names| names.iter().map(ToString::to_string)));
            }
        }
    }
    all.into_iter().collect()
}

fn attribute(attribute: &AttributeSpec) -> AttributeView {
    let (kind, order) = match &attribute.kind {
        AttributeKind::Text => ("text", Vec::new()),
        AttributeKind::Ordered(order) => ("text", order.iter().map(ToString::to_string).collect()),
        AttributeKind::Bool => ("bool", Vec::new()),
        AttributeKind::Number => ("number", Vec::new()),
    };
    AttributeView { attribute: attribute.name.to_string(), kind: kind.to_owned(), order }
}

/// One entry of the audit.
pub(super) fn audit(entry: AuditEntry) -> AuditView {
    let draft = entry.draft;
    AuditView {
        number: entry.number,
        at: clock::rfc3339(draft.at_ms),
        at_ms: draft.at_ms,
        who: draft.who,
        action: draft.action,
        what: draft.what,
        from: draft.from,
        to: draft.to,
        why: draft.why,
        hash: entry.hash,
    }
}
