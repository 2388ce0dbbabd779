//! What happened at run time, as requests of one snapshot need it: an index where the state has names.
//!
//! A request takes snapshot and run-time state in one load, so that both are of one moment.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::config::Route;
use crate::flags::{Flag, FlagState, Rule};
use crate::names::{KillTarget, ModelName};
use crate::snapshot::{FlagPlan, ModelPlan, ProviderPlan, RoutePlan, ShadowPlan, Snapshot};
use crate::state::RunState;
use crate::units::Percent;

/// What a request sees, from start to end.
#[derive(Debug)]
pub struct View {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// What happened beside it.
    pub live: Live,
}

impl View {
    /// Every rule, and the percentage that counts now: what was set at run time, else what the file says.
    pub fn rollouts(&self) -> impl Iterator<Item = (&Flag, &Rule, Percent)> {
        self.config.flags.iter().zip(&self.live.per_flag).flat_map(|(flag, live)| {
            let rules = flag.rules.iter().zip(&live.percents);
            rules.map(|(rule, set)| (&**flag, rule, set.unwrap_or_else(|| rule.serve.percent())))
        })
    }
}

impl Deref for View {
    type Target = Snapshot;
    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// Where the view in force lies. Written by `control`, read by every request.
#[derive(Debug)]
pub struct Store {
    current: ArcSwap<View>,
    /// What the current view was made of. Locked by writers only, so that none of their changes is lost.
    state: Mutex<RunState>,
}

impl Store {
    /// The first view.
    pub fn new(snapshot: Arc<Snapshot>, state: RunState) -> Self {
        let live = Live::of(&snapshot, &state);
        Self { current: ArcSwap::from_pointee(View { snapshot, live }), state: Mutex::new(state) }
    }

    /// The view in force, for a look.
    pub fn load(&self) -> Guard<Arc<View>> {
        self.current.load()
    }

    /// The view in force, to keep.
    pub fn load_full(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Puts another configuration in force.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let live = Live::of(&snapshot, &state);
        self.current.store(Arc::new(View { snapshot, live }));
    }

    /// Changes the run-time state: the next request obeys.
    pub fn change<T>(&self, change: impl FnOnce(&mut RunState) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        let snapshot = Arc::clone(&self.current.load().snapshot);
        let live = Live::of(&snapshot, &state);
        self.current.store(Arc::new(View { snapshot, live }));
        result
    }

    /// A copy of the run-time state.
    pub fn state(&self) -> RunState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Kills and overrides, by the places of a snapshot's parts.
#[derive(Debug, Default)]
pub struct Live {
    /// Nothing is killed and nothing overridden: there is nothing to ask.
    pub quiet: bool,
    /// A model or a tool is killed: every request that can name one is read.
    pub reads: bool,
    /// No language model is called.
    pub all: bool,
    /// No flag decides.
    pub flags: bool,
    routes: Vec<bool>,
    models: Vec<bool>,
    /// By route, then by shadow.
    shadows: Vec<Vec<bool>>,
    providers: Vec<bool>,
    /// Killed models that `[models]` does not know.
    strangers: HashSet<ModelName>,
    per_flag: Vec<FlagLive>,
    /// Killed tools.
    pub tools: Option<Arc<[Box<str>]>>,
}

#[derive(Debug, Default)]
struct FlagLive {
    killed: bool,
    variants: Vec<bool>,
    percents: Vec<Option<Percent>>,
}

impl Live {
    /// Of a snapshot and the run-time state.
    pub fn of(snapshot: &Snapshot, state: &RunState) -> Self {
        let config = &snapshot.config;
        let killed = |target: KillTarget| state.kills.contains_key(&target);
        let providers: Vec<bool> = config
            .providers
            .iter()
            .map(|provider| killed(KillTarget::Provider(provider.name.clone())))
            .collect();
        let mut models: Vec<bool> = config
            .models
            .iter()
            .map(|model| killed(KillTarget::Provider(model.provider.name.clone())))
            .collect();
        let (mut strangers, mut tools) = (HashSet::new(), Vec::new());
        for target in state.kills.keys() {
            match target {
                KillTarget::Model(name) => match snapshot.model(name) {
                    Some(plan) => models.iter_mut().skip(plan.place).take(1).for_each(|dead| *dead = true),
                    None => drop(strangers.insert(name.clone())),
                },
                KillTarget::Tool(name) => tools.push(name.clone()),
                _ => {}
            }
        }
        let in_body = |target: &KillTarget| matches!(target, KillTarget::Model(_) | KillTarget::Tool(_));
        Self {
            reads: state.kills.keys().any(in_body),
            quiet: state.kills.is_empty() && state.overrides.is_empty(),
            all: killed(KillTarget::All),
            flags: killed(KillTarget::Flags),
            routes: config.routes.iter().map(|route| killed(KillTarget::Route(route.name.clone()))).collect(),
            models,
            shadows: config.routes.iter().map(|route| killed_shadows(route, state)).collect(),
            providers,
            strangers,
            per_flag: config.flags.iter().map(|flag| FlagLive::of(flag, state)).collect(),
            tools: (!tools.is_empty()).then(|| tools.into()),
        }
    }

    /// The route calls no language model: it is killed, or everything is.
    pub fn route_killed(&self, route: &RoutePlan) -> bool {
        self.all || at(&self.routes, route.place)
    }

    /// Nobody calls the model: it is killed, or its provider is.
    pub fn model_killed(&self, model: &ModelPlan) -> bool {
        at(&self.models, model.place)
    }

    /// Nobody calls this name, which `[models]` does not know.
    pub fn stranger_killed(&self, name: &str) -> bool {
        !self.strangers.is_empty() && self.strangers.contains(name)
    }

    /// The shadow gets no copies.
    pub fn shadow_killed(&self, route: &RoutePlan, shadow: &ShadowPlan) -> bool {
        self.shadows.get(route.place).is_some_and(|shadows| at(shadows, shadow.place))
    }

    /// Some name that `[models]` does not know is killed.
    pub fn kills_strangers(&self) -> bool {
        !self.strangers.is_empty()
    }

    /// Nobody calls the provider.
    pub fn provider_killed(&self, provider: &ProviderPlan) -> bool {
        at(&self.providers, provider.place)
    }

    /// What the flag's evaluation has to know.
    pub fn flag(&self, flag: &FlagPlan) -> FlagState<'_> {
        self.per_flag.get(flag.place).map_or_else(FlagState::default, |live| FlagState {
            killed: live.killed,
            percents: &live.percents,
            pinned: None,
        })
    }

    /// The flag's variant is killed.
    pub fn variant_killed(&self, flag: &FlagPlan, variant: u16) -> bool {
        self.per_flag.get(flag.place).is_some_and(|live| at(&live.variants, usize::from(variant)))
    }
}

fn killed_shadows(route: &Route, state: &RunState) -> Vec<bool> {
    let target = |name: &str| KillTarget::Shadow(route.name.clone(), name.into());
    route.shadows.iter().map(|shadow| state.kills.contains_key(&target(&shadow.name))).collect()
}

fn at(list: &[bool], place: usize) -> bool {
    list.get(place).copied().unwrap_or(false)
}

impl FlagLive {
    fn of(flag: &Flag, state: &RunState) -> Self {
        let killed = |target: &KillTarget| state.kills.contains_key(target);
        let variant =
            |name: &crate::names::VariantName| killed(&KillTarget::Variant(flag.key.clone(), name.clone()));
        Self {
            killed: killed(&KillTarget::Flag(flag.key.clone())),
            variants: flag.variants.iter().map(|one| variant(&one.name)).collect(),
            percents: flag
                .rules
                .iter()
                .map(|rule| {
                    let set = state.overrides.get(&(flag.key.clone(), rule.name.clone()))?;
                    // The file has moved on: what was set against its older value counts no more.
                    (set.replaced == rule.serve.percent()).then_some(set.percent)
                })
                .collect(),
        }
    }
}
