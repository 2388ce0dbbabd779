//! The one that changes what holds at run time: kills, overrides, and the audit of both.
//!
//! A kill works in memory first, then is stored, then acknowledged: no store can refuse it. Everything that gives traffic back or
//! moves a percentage is stored first, so that what was acknowledged is still so after a restart.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, broadcast};

use crate::clock;
use crate::config::Route;
use crate::control::api::shapes::Happened;
use crate::control::served::{Moment, Stands};
use crate::control::targets;
use crate::control::webhooks::{Event, EventKind, Webhooks};
use crate::names::{FlagKey, KillTarget, RuleName};
use crate::observe::KillSeries;
use crate::snapshot::{Live, Store, View};
use crate::state::{AuditDraft, AuditEntry, Change, Keeper, Kill, Origin, Override, RunState, StoreError};
use crate::units::Percent;

/// Changes what holds at run time. One per process, shared by reference.
#[derive(Debug)]
pub struct Switchboard {
    store: Arc<Store>,
    keeper: Arc<Keeper>,
    webhooks: Arc<Webhooks>,
    series: KillSeries,
    /// Held while a change is stored and made: what the store has and what memory has are the same changes in the same order.
    order: Mutex<()>,
    /// Kills that hold and wait for their place in that order. Written by each kill, read by who asks what is stored.
    waiting: std::sync::Mutex<Vec<KillTarget>>,
    /// Says at once what was changed, to whoever looks on. Nobody waits for them.
    said: broadcast::Sender<Happened>,
}

/// Who looks on and is slower than so many changes hears that there were several.
const SAID_MAX: usize = 256;

/// A kill is acknowledged by then, as stored or as not yet: the keeper's own two seconds, and what it waits for others.
const KILL_PATIENCE: Duration = Duration::from_millis(2500);

/// Who changes something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The token's name, or what of dimmer it is.
    pub who: String,
    /// Of what kind.
    pub origin: Origin,
    /// Why.
    pub why: String,
}

/// What a kill came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    /// It was stored before it was acknowledged. Otherwise it holds, and is stored as soon as the store takes it.
    pub durable: bool,
    /// When it worked in memory, and when it was stored, on the process's own clock.
    pub at: Duration,
    /// When storing ended, well or not.
    pub stored_at: Duration,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// There is no such thing; what there is.
    Unknown(String),
    /// No store takes it.
    NotStored(StoreError),
}

impl Switchboard {
    /// Over what the store has loaded.
    pub fn new(store: Arc<Store>, keeper: Arc<Keeper>, webhooks: Arc<Webhooks>, series: KillSeries) -> Self {
        series.show(store.state().kills.keys());
        let (said, _) = broadcast::channel(SAID_MAX);
        let waiting = std::sync::Mutex::default();
        Self { store, keeper, webhooks, series, order: Mutex::new(()), waiting, said }
    }

    /// Kills the target: the next request obeys. Only a name that can be none is refused.
    pub async fn kill(self: &Arc<Self>, target: &KillTarget, actor: &Actor) -> Result<Killed, Unchanged> {
        targets::known(&self.store.load().snapshot, target).map_err(Unchanged::Unknown)?;
        Ok(self.kill_known(target, actor).await)
    }

    async fn kill_known(self: &Arc<Self>, target: &KillTarget, actor: &Actor) -> Killed {
        let at_ms = clock::unix_ms();
        let kill = Kill { reason: actor.why.clone(), by: actor.who.clone(), at_ms, origin: actor.origin };
        let change = Change::Kill(target.clone(), kill);
        // Before it holds: a revival that is being stored meanwhile must not take it back.
        self.waiting().push(target.clone());
        let before = self.store.change(|state| {
            let before = state.kills.contains_key(target);
            state.apply(&change);
            before
        });
        self.series.show([target]);
        let at = clock::uptime();
        tracing::info!(what = %target, by = actor.who, origin = actor.origin.as_str(), "killed");
        self.say("kill", target.to_string(), actor);
        let draft = AuditDraft {
            from: if before { "killed" } else { "live" }.to_owned(),
            ..AuditDraft::kill(target, &actor.who, &actor.why, at_ms)
        };
        // On its own: whoever waits for it may go away.
        let storing = tokio::spawn(Arc::clone(self).store_kill(target.clone(), change, draft));
        let stored = tokio::time::timeout(KILL_PATIENCE, storing).await;
        let durable = matches!(stored, Ok(Ok(true)));
        self.tell(EventKind::Killed, target.to_string(), actor, at_ms);
        Killed { durable, at, stored_at: clock::uptime() }
    }

    /// Stores a kill that holds in memory already; whether that is done. If not, the keeper goes on trying.
    async fn store_kill(self: Arc<Self>, target: KillTarget, change: Change, draft: AuditDraft) -> bool {
        let order = self.order.lock().await;
        let stored = self.keeper.write(change.clone(), draft).await;
        {
            let mut waiting = self.waiting();
            if let Some(place) = waiting.iter().position(|one| *one == target) {
                waiting.swap_remove(place);
            }
        }
        drop(order);
        stored.is_ok()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<KillTarget>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a kill back, once that is stored.
    pub async fn revive(&self, target: &KillTarget, actor: &Actor) -> Result<(), Unchanged> {
        let _order = self.order.lock().await;
        let kills = self.store.state().kills;
        let Some(kill) = kills.get(target) else {
            let killed: Vec<String> = kills.keys().map(ToString::to_string).collect();
            let name = target.to_string();
            return Err(Unchanged::Unknown(targets::unknown(
                &name,
                killed.iter().map(String::as_str),
                "kill that stands",
            )));
        };
        let from = format!("killed by {}: {}", kill.by, kill.reason);
        let draft = actor.draft("revive", target.to_string(), from, "live");
        let at_ms = draft.at_ms;
        let change = Change::Revive(target.clone());
        self.keeper.write(change.clone(), draft).await.map_err(Unchanged::NotStored)?;
        {
            // One that came meanwhile is later, and holds already: it goes on without a gap, and is stored next.
            let waiting = self.waiting();
            if waiting.contains(target) {
                tracing::warn!(what = %target, by = actor.who, "it was killed again while it was revived, and stays killed");
                return Ok(());
            }
            self.store.change(|state| state.apply(&change));
            self.series.alive(target);
        }
        tracing::info!(what = %target, by = actor.who, "revived");
        self.say("revive", target.to_string(), actor);
        self.tell(EventKind::Revived, target.to_string(), actor, at_ms);
        Ok(())
    }

    /// Sets a rule's percentage until the file says something newer.
    pub async fn set_percent(
        &self,
        key: &str,
        rule: &str,
        percent: Percent,
        actor: &Actor,
    ) -> Result<(), Unchanged> {
        let _order = self.order.lock().await;
        let (key, rule, file) = self.rule(key, rule)?;
        let state = self.store.state();
        let before = standing(&state, &key, &rule, file);
        let draft = actor.draft("set_percent", place(&key, &rule), shown(before, file), percent.to_string());
        let new = Override {
            percent,
            replaced: file,
            reason: actor.why.clone(),
            by: actor.who.clone(),
            at_ms: draft.at_ms,
        };
        tracing::info!(flag = %key, rule = %rule, %percent, by = actor.who, "a percentage was set");
        self.write(Change::Override(key, rule, new), draft).await
    }

    /// Lets the file's percentage count again.
    pub async fn reset(&self, key: &str, rule: &str, actor: &Actor) -> Result<(), Unchanged> {
        let _order = self.order.lock().await;
        let (key, rule, file) = self.rule(key, rule)?;
        let Some(set) = self.store.state().overrides.get(&(key.clone(), rule.clone())).cloned() else {
            return Err(Unchanged::Unknown(format!(
                "{} stands as the file says: nothing to reset",
                place(&key, &rule)
            )));
        };
        let draft =
            actor.draft("reset", place(&key, &rule), shown(Some(set.percent), file), file.to_string());
        tracing::info!(flag = %key, rule = %rule, by = actor.who, "a percentage is the file's again");
        self.write(Change::Reset(key, rule), draft).await
    }

    /// Drops the overrides whose rule the file has given a newer percentage, or taken away. To be called after every load.
    pub async fn drop_overrides(&self) {
        let _order = self.order.lock().await;
        let view = self.store.load_full();
        for ((key, rule), set) in self.store.state().overrides {
            let file = targets::flag(&view.config, &key)
                .ok()
                .and_then(|flag| Some(flag.rule(&rule)?.serve.percent()));
            if file == Some(set.replaced) {
                continue;
            }
            let now = file.map_or_else(|| "no such rule".to_owned(), |percent| percent.to_string());
            let why = format!("the file said {} when it was set, and says {now} now", set.replaced);
            let actor = Actor { who: "file".to_owned(), origin: Origin::File, why };
            let draft = actor.draft("override_dropped", place(&key, &rule), set.percent.to_string(), now);
            match self.write(Change::Reset(key.clone(), rule.clone()), draft).await {
                Ok(()) => tracing::warn!(flag = %key, rule = %rule, "an override was dropped: {}", actor.why),
                Err(Unchanged::NotStored(error)) => {
                    tracing::error!(flag = %key, rule = %rule, %error, "an override that counts no more is still stored");
                }
                Err(Unchanged::Unknown(_)) => {}
            }
        }
    }

    /// The configuration was loaded again, or refused: overrides that count no more are dropped, and others are told.
    pub async fn reloaded(&self, refused: Option<&str>) {
        match refused {
            None => {
                let actor = Actor { who: "file".to_owned(), origin: Origin::File, why: String::new() };
                self.say("config_loaded", "routes.toml".to_owned(), &actor);
                self.webhooks.update(&self.view().config.webhooks);
                self.drop_overrides().await;
            }
            Some(why) => {
                let actor = Actor { who: "file".to_owned(), origin: Origin::File, why: why.to_owned() };
                self.say("config_rejected", "routes.toml".to_owned(), &actor);
                self.tell(EventKind::ConfigRejected, "routes.toml".to_owned(), &actor, clock::unix_ms());
            }
        }
    }

    /// Puts something into the audit that changes nothing that is kept.
    pub async fn note(
        &self,
        action: &str,
        what: String,
        actor: &Actor,
        from: &str,
        to: &str,
    ) -> Result<AuditEntry, StoreError> {
        // First: a disk that takes its time keeps nobody from seeing it.
        self.say(action, what.clone(), actor);
        let _order = self.order.lock().await;
        self.keeper.write(Change::Note, actor.draft(action, what, from.to_owned(), to)).await
    }

    /// What is served where the target is used, as it stands now.
    pub fn served(&self, target: &KillTarget) -> Vec<String> {
        let view = self.store.load_full();
        let state = self.store.state();
        Moment { snapshot: &view.snapshot, live: &view.live, state: &state }.served(target)
    }

    /// What would be served if the target were killed.
    pub fn would_serve(&self, target: &KillTarget) -> Vec<String> {
        let kill = Kill { reason: String::new(), by: String::new(), at_ms: 0, origin: Origin::Person };
        self.served_if(target, |state| drop(state.kills.insert(target.clone(), kill)))
    }

    /// What would be served if the target were revived.
    pub fn would_serve_again(&self, target: &KillTarget) -> Vec<String> {
        self.served_if(target, |state| drop(state.kills.remove(target)))
    }

    fn served_if(&self, target: &KillTarget, change: impl FnOnce(&mut RunState)) -> Vec<String> {
        let view = self.store.load_full();
        let mut state = self.store.state();
        change(&mut state);
        let live = Live::of(&view.snapshot, &state);
        Moment { snapshot: &view.snapshot, live: &live, state: &state }.served(target)
    }

    /// What is decided on a route, by what, and what is served to whom, as it stands now.
    pub(super) fn slots_of(&self, view: &View, route: &Route) -> Vec<Stands> {
        let state = self.store.state();
        Moment { snapshot: &view.snapshot, live: &view.live, state: &state }.slots_of(route)
    }

    /// What is changed from now on.
    pub fn changes(&self) -> broadcast::Receiver<Happened> {
        self.said.subscribe()
    }

    /// Says to whoever looks on what was changed.
    fn say(&self, action: &str, what: String, actor: &Actor) {
        let (by, why, at_ms) = (actor.who.clone(), actor.why.clone(), clock::unix_ms());
        // An error says that nobody looks on.
        let _ = self.said.send(Happened { action: action.to_owned(), what, by, why, at_ms });
    }

    /// What holds now, beside the configuration.
    pub fn state(&self) -> RunState {
        self.store.state()
    }

    /// The view in force.
    pub fn view(&self) -> Arc<View> {
        self.store.load_full()
    }

    /// Kills that hold and are not stored yet.
    pub fn unstored(&self) -> BTreeSet<KillTarget> {
        self.keeper.pending().into_iter().chain(self.waiting().iter().cloned()).collect()
    }

    /// Who keeps what is changed.
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Who tells others.
    pub(super) fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Tells others.
    pub(super) fn tell(&self, kind: EventKind, target: String, actor: &Actor, at_ms: u64) {
        let (reason, by) = (actor.why.clone(), actor.who.clone());
        self.webhooks.tell(Event { kind, target, reason, by, at_ms, detail: String::new() });
    }

    /// Stores a change, then makes it.
    async fn write(&self, change: Change, draft: AuditDraft) -> Result<(), Unchanged> {
        let AuditDraft { at_ms, who: by, action, what, why, .. } = draft.clone();
        self.keeper.write(change.clone(), draft).await.map_err(Unchanged::NotStored)?;
        self.store.change(|state| state.apply(&change));
        // An error says that nobody looks on.
        let _ = self.said.send(Happened { action, what, by, why, at_ms });
        Ok(())
    }

    fn rule(&self, key: &str, rule: &str) -> Result<(FlagKey, RuleName, Percent), Unchanged> {
        let view = self.store.load_full();
        let flag = targets::flag(&view.config, key).map_err(Unchanged::Unknown)?;
        let rule = targets::rule(flag, rule).map_err(Unchanged::Unknown)?;
        Ok((flag.key.clone(), rule.name.clone(), rule.serve.percent()))
    }
}

impl Actor {
    fn draft(&self, action: &str, what: String, from: String, to: impl Into<String>) -> AuditDraft {
        AuditDraft {
            at_ms: clock::unix_ms(),
            who: self.who.clone(),
            action: action.to_owned(),
            what,
            from,
            to: to.into(),
            why: self.why.clone(),
        }
    }
}

/// The override that counts, if one does.
fn standing(state: &RunState, key: &FlagKey, rule: &RuleName, file: Percent) -> Option<Percent> {
    let set = state.overrides.get(&(key.clone(), rule.clone()))?;
    (set.replaced == file).then_some(set.percent)
}

fn shown(set: Option<Percent>, file: Percent) -> String {
    set.map_or_else(|| format!("{file} (the file's)"), |percent| percent.to_string())
}

fn place(key: &FlagKey, rule: &RuleName) -> String {
    format!("flag:{key}#{rule}")
}
