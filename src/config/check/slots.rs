//! Slots: what a flag can decide on a route, and which values fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::quantity::did_you_mean;
use crate::config::read::Table;
use crate::config::{Model, Prompt, Reply, Target};
use crate::flags::Value;

/// What a flag can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SlotKind {
    /// `enabled`
    Enabled,
    /// `model`
    Model,
    /// `system_prompt`
    SystemPrompt,
}

/// What slots may name.
pub(super) struct Targets<'c> {
    /// Built models.
    pub(super) models: &'c [Arc<Model>],
    /// Built replies.
    pub(super) replies: &'c [Arc<Reply>],
    /// Built prompts.
    pub(super) prompts: &'c [Arc<Prompt>],
}

/// Which slots use which flag.
pub(super) type Bindings<'d> = BTreeMap<&'d str, Vec<SlotKind>>;

impl SlotKind {
    const ALL: [Self; 3] = [Self::Enabled, Self::Model, Self::SystemPrompt];

    /// The key of the route.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Model => "model",
            Self::SystemPrompt => "system_prompt",
        }
    }

    /// Whether `value` fits; if not, what to say of it.
    pub(super) fn refuses(self, value: &Value, root: &Table<'_>) -> Option<String> {
        let Value::Json(json) = value else { return None };
        let (rooms, what): (&[&'static str], _) = match self {
            Self::Enabled => {
                let message =
                    "which is neither true, false nor as_sent: route slot `enabled` takes nothing else";
                return (!json.is_boolean()).then(|| message.to_owned());
            }
            Self::Model => (&["models", "replies"], "model, reply or as_sent"),
            Self::SystemPrompt => (&["prompts"], "prompt or as_sent"),
        };
        let rooms: Vec<_> = rooms.iter().map(|room| super::declared(root, room)).collect();
        let declared = || rooms.iter().flat_map(|room| room.iter().copied());
        let Some(name) = json.as_str() else { return Some(format!("which is no {what}")) };
        let missing = !declared().any(|known| known == name);
        missing.then(|| format!("which is no {what}{}", did_you_mean(name, declared().chain(["as_sent"]))))
    }
}

impl Targets<'_> {
    /// The model or reply called `name`.
    pub(super) fn target(&self, name: &str) -> Option<Target> {
        let model = self.models.iter().find(|model| model.name.as_str() == name);
        let reply = || self.replies.iter().find(|reply| reply.name.as_str() == name);
        model
            .map(|model| Target::Model(Arc::clone(model)))
            .or_else(|| reply().map(|reply| Target::Reply(Arc::clone(reply))))
    }

    /// The prompt called `name`.
    pub(super) fn prompt(&self, name: &str) -> Option<Arc<Prompt>> {
        self.prompts.iter().find(|prompt| prompt.name.as_str() == name).map(Arc::clone)
    }
}

/// Which slots of the routes use which flag.
pub(super) fn bindings<'d>(root: &Table<'d>) -> Bindings<'d> {
    let mut bindings = Bindings::new();
    for (_, route) in root.named("routes") {
        for kind in SlotKind::ALL {
            if let Some(flag) = route.table(kind.key()).text("flag") {
                let kinds: &mut Vec<SlotKind> = bindings.entry(flag.value).or_default();
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
    }
    bindings
}
