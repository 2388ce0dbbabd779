//! What is served from now on, in sentences: what a kill, a revival or a roll-back says back. Of rules with percentages the shares are
//! told, since nobody in particular is asked about.
//!
//! Follows the same order as the data plane: a variant that is killed gives way to the flag's default, that to its `off`, that to
//! the request's own value; a model that is killed gives way to the route's fallback.

use crate::config::{Model, Route, Slot, Target};
use crate::flags::{Flag, Value, VariantIndex};
use crate::names::KillTarget;
use crate::snapshot::{Live, Snapshot};
use crate::state::RunState;

/// A moment: the configuration and what happened beside it.
pub(super) struct Moment<'m> {
    pub(super) snapshot: &'m Snapshot,
    pub(super) live: &'m Live,
    pub(super) state: &'m RunState,
}

/// More sentences than this are not read.
const SENTENCES_MAX: usize = 100;

impl Moment<'_> {
    /// What is served where the target is used.
    pub(super) fn served(&self, target: &KillTarget) -> Vec<String> {
        let mut said = self.sentences(target);
        if said.is_empty() {
            said.push(format!("no route of the configuration uses {target}"));
        }
        if said.len() > SENTENCES_MAX {
            let more = said.len() - SENTENCES_MAX;
            said.truncate(SENTENCES_MAX);
            said.push(format!("and {more} more"));
        }
        said
    }

    fn sentences(&self, target: &KillTarget) -> Vec<String> {
        let routes = &self.snapshot.config.routes;
        let each = |one: &dyn Fn(&Route) -> Vec<String>| routes.iter().flat_map(|route| one(route)).collect();
        match target {
            KillTarget::All => each(&|route| vec![self.whole(route)]),
            KillTarget::Route(name) => {
                each(&|route| if route.name == *name { vec![self.whole(route)] } else { Vec::new() })
            }
            KillTarget::Flags => each(&|route| self.slots(route, &|_| true)),
            KillTarget::Flag(key) | KillTarget::Variant(key, _) => {
                each(&|route| self.slots(route, &|flag| flag.key == *key))
            }
            KillTarget::Model(name) => match self.snapshot.model(name) {
                Some(plan) => {
                    let model = &plan.model;
                    let mut said = Vec::new();
                    if model.name != *name {
                        said.push(format!(
                            "{name} is another name of the model {}: all its names are meant",
                            model.name
                        ));
                    }
                    said.extend(
                        routes.iter().flat_map(|route| self.of_model(route, &|one| one.name == model.name)),
                    );
                    said
                }
                None => vec![match self.killed(target) {
                    true => format!(
                        "[models] does not know {name}; a request that asks for it by that name is not sent"
                    ),
                    false => format!(
                        "[models] does not know {name}; a request that asks for it by that name is sent again"
                    ),
                }],
            },
            KillTarget::Provider(name) => {
                each(&|route| self.of_model(route, &|one| one.provider.name == *name))
            }
            KillTarget::Tool(name) => vec![match self.killed(target) {
                true => format!(
                    "every route: {name} is taken out of the tools of every request; no file names tools, so its \
                                 spelling was not checked"
                ),
                false => {
                    format!("every route: {name} reaches the models again, where tools.deny does not name it")
                }
            }],
            KillTarget::Shadow(route, name) => vec![match self.killed(target) {
                true => format!("{route}: the shadow {name} gets no copies"),
                false => format!("{route}: the shadow {name} gets its copies again"),
            }],
        }
    }

    /// What is decided on a route, by which flag, and what is served to whom.
    pub(super) fn slots_of(&self, route: &Route) -> Vec<Stands> {
        let own = format!("{}: ", route.name);
        let bare = |said: String| said.strip_prefix(&own).map_or_else(|| said.clone(), str::to_owned);
        let flagged = route.flagged_slots();
        let mut all = Vec::with_capacity(flagged.len() + 1);
        if !flagged.iter().any(|(slot, _)| slot == "model") {
            all.push(Stands { slot: "model".to_owned(), flag: None, says: bare(self.whole(route)) });
        }
        for (slot, flag) in flagged {
            let says = match slot.as_str() {
                "model" => bare(self.whole(route)),
                "enabled" => bare(self.enabled(route, flag)),
                _ => self.slot(flag),
            };
            all.push(Stands { slot, flag: Some(flag.key.to_string()), says });
        }
        all
    }

    pub(super) fn killed(&self, target: &KillTarget) -> bool {
        self.state.kills.contains_key(target)
    }

    fn route_killed(&self, route: &Route) -> bool {
        self.live.all || self.killed(&KillTarget::Route(route.name.clone()))
    }

    fn model_killed(&self, model: &Model) -> bool {
        self.snapshot.model(&model.name).is_some_and(|plan| self.live.model_killed(plan))
    }

    /// What a route serves as a whole.
    fn whole(&self, route: &Route) -> String {
        match self.route_killed(route) {
            true => Self::resting(route),
            false => format!("{}: {}", route.name, self.model(route)),
        }
    }

    /// What a route serves while no language model is called on it.
    fn resting(route: &Route) -> String {
        let reply = route.fallback.iter().find_map(|one| match one {
            Target::Reply(reply) => Some(reply),
            Target::Model(_) => None,
        });
        match reply {
            Some(reply) => format!("{}: the reply {}, without a language model", route.name, reply.name),
            None => format!("{}: 503 dimmer_kill_switch, without a language model", route.name),
        }
    }

    /// What the route's slots serve that a flag of this kind decides.
    fn slots(&self, route: &Route, wanted: &dyn Fn(&Flag) -> bool) -> Vec<String> {
        let mut said = Vec::new();
        for (slot, flag) in route.flagged_slots() {
            if !wanted(flag) {
                continue;
            }
            said.push(match slot.as_str() {
                _ if self.route_killed(route) => Self::resting(route),
                "model" => format!("{}: {}", route.name, self.model(route)),
                "enabled" => self.enabled(route, flag),
                _ => format!("{}: {slot} {}", route.name, self.slot(flag)),
            });
        }
        said.dedup();
        said
    }

    fn enabled(&self, route: &Route, flag: &Flag) -> String {
        let Some(Standing { variant, why }) = self.standing(flag) else {
            return format!("{}: enabled, for nothing says otherwise", route.name);
        };
        let is_off = |variant: VariantIndex| {
            let value = flag.variant(variant).map(|variant| &variant.value);
            matches!(value, Some(Value::Json(serde_json::Value::Bool(false))))
        };
        let resting = Self::resting(route);
        let resting = resting.strip_prefix(&format!("{}: ", route.name)).unwrap_or(&resting);
        let rest = match is_off(variant) {
            true => format!("{resting} ({why})"),
            false => format!("enabled ({why})"),
        };
        let shares = self
            .shares(flag, &|variant| if is_off(variant) { resting.to_owned() } else { "enabled".to_owned() });
        format!("{}: {}", route.name, shares.before(&rest))
    }

    fn slot(&self, flag: &Flag) -> String {
        let named = |variant: VariantIndex| match flag.variant(variant) {
            Some(variant) if variant.value != Value::AsSent => variant.name.to_string(),
            Some(_) | None => "as the app sends it".to_owned(),
        };
        let rest = match self.standing(flag) {
            None => "as the app sends it".to_owned(),
            Some(Standing { variant, why }) => format!("{} ({why})", named(variant)),
        };
        self.shares(flag, &named).before(&rest)
    }

    /// What the flag serves to those whom no rule takes, such as callers without a key, or to everybody while it is killed; `None`: the request's own value.
    fn standing(&self, flag: &Flag) -> Option<Standing> {
        if self.live.flags {
            return None;
        }
        let of_default = (flag.default, format!("flag {}'s default", flag.key));
        let of_off = (flag.off, format!("flag {}'s off", flag.key));
        let first = if self.killed(&KillTarget::Flag(flag.key.clone())) {
            of_off.clone()
        } else {
            of_default.clone()
        };
        let found = [first, of_default, of_off].into_iter().find(|(variant, _)| self.alive(flag, *variant));
        found.map(|(variant, why)| Standing { variant, why })
    }

    /// The variant is not killed.
    pub(super) fn alive(&self, flag: &Flag, variant: VariantIndex) -> bool {
        let one = flag.variant(variant);
        one.is_some_and(|one| !self.killed(&KillTarget::Variant(flag.key.clone(), one.name.clone())))
    }

    /// Who answers on a route.
    fn model(&self, route: &Route) -> String {
        match &route.model {
            Slot::AsSent => "the model that the app asks for".to_owned(),
            Slot::Fixed(target) => {
                self.first_alive(route, vec![(target.clone(), "the file's model".to_owned())])
            }
            Slot::Flag { flag, values } => {
                let value = |variant: VariantIndex| values.get(usize::from(variant.0)).cloned().flatten();
                let standing = self.standing(flag);
                let own = || "the model that the app asks for".to_owned();
                let rest = match standing.and_then(|one| Some((value(one.variant)?, one.why))) {
                    Some(target) => self.first_alive(route, vec![target]),
                    None => own(),
                };
                let named = |variant: VariantIndex| match value(variant) {
                    Some(Target::Model(model)) if !self.model_killed(&model) => model.name.to_string(),
                    Some(Target::Reply(reply)) => format!("the reply {}", reply.name),
                    Some(Target::Model(_)) => self.first_alive(route, Vec::new()),
                    None => own(),
                };
                self.shares(flag, &named).before(&rest)
            }
        }
    }

    fn first_alive(&self, route: &Route, mut candidates: Vec<(Target, String)>) -> String {
        candidates.extend(route.fallback.iter().map(|target| (target.clone(), "fallback".to_owned())));
        let alive = candidates.iter().find(|(target, _)| match target {
            Target::Model(model) => !self.model_killed(model),
            Target::Reply(_) => true,
        });
        match alive {
            Some((Target::Model(model), why)) => format!("{} ({why})", model.name),
            Some((Target::Reply(reply), why)) => format!("the reply {} ({why})", reply.name),
            None => "503 dimmer_kill_switch".to_owned(),
        }
    }

    /// What happens on a route where a model of this kind would answer.
    fn of_model(&self, route: &Route, wanted: &dyn Fn(&Model) -> bool) -> Vec<String> {
        let is_meant = |target: &Target| matches!(target, Target::Model(model) if wanted(model));
        let chosen = match &route.model {
            // Whoever asks for it.
            Slot::AsSent => true,
            Slot::Fixed(target) => is_meant(target),
            Slot::Flag { values, .. } => values.iter().flatten().any(is_meant),
        };
        let meant = self.snapshot.config.models.iter().filter(|model| wanted(model));
        let killed: Vec<&str> =
            meant.filter(|model| self.model_killed(model)).map(|model| model.name.as_str()).collect();
        let mut said = Vec::new();
        if chosen && !killed.is_empty() {
            let instead = self.first_alive(route, Vec::new());
            said.push(format!("{}: instead of {}: {instead}", route.name, killed.join(", ")));
        } else if chosen {
            said.push(format!("{}: as its flags, literals and apps say", route.name));
        } else if !killed.is_empty() && route.fallback.iter().any(is_meant) {
            said.push(format!("{}: passed over in fallback", route.name));
        }
        said
    }
}

/// How a slot of a route stands.
pub(super) struct Stands {
    pub(super) slot: String,
    /// Who decides it.
    pub(super) flag: Option<String>,
    /// What is served, and to whom.
    pub(super) says: String,
}

/// Which variant stands, and by which words of the file.
struct Standing {
    variant: VariantIndex,
    why: String,
}
