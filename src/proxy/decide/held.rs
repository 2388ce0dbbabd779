//! State that a provider holds fixes provider, key and model, whatever the flags say now; their other slots still apply. Where
//! that target is killed, or may not be called, the caller gets the error that its SDK recovers from; never another model.

use std::sync::Arc;

use bytes::Bytes;

use crate::flags::Context;
use crate::names::ClientName;
use crate::proxy::decide::guard::Guard;
use crate::proxy::decide::own::as_sent;
use crate::proxy::decide::{Answerer, Decision};
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::holders::{Holder, Kept, ThreadMark};
use crate::proxy::identify::Identified;
use crate::snapshot::{KeyWish, ProviderPlan, SlotPlan};
use crate::wire::{Dialect, ErrorCode, HeldKind, RequestView};

/// A held body and what was found in it.
type Read<'a> = Option<(&'a RequestView, &'a Bytes)>;

/// Sends a request that goes on with something to who holds it, and tells what its own answer will leave behind.
pub(crate) fn follow(
    exchange: &Exchange,
    identified: &Identified,
    path: &str,
    read: Read<'_>,
    decision: &mut Decision,
    guard: &Guard<'_>,
) -> Option<Kept> {
    if !decision.enabled {
        return None;
    }
    let in_body = read.and_then(|(view, body)| view.continues(body));
    let answer = read.is_some_and(|(view, body)| view.is_kept(body, &decision.params));
    // What a path asks for says nothing of the model that a conversation is held with.
    let used = in_body.is_some() && exchange.endpoint.answers();
    let continued = in_body.or_else(|| {
        let stored = identified.place.stored.as_ref()?;
        Some((stored.kind, path.get(stored.id.clone())?.into()))
    });
    if !answer && continued.is_none() {
        return None;
    }
    let client: Option<ClientName> = identified.caller.client.as_ref().map(|client| client.name.clone());
    let threads = exchange.endpoint.dialect() == Dialect::Anthropic;
    let mark = match threads {
        true => {
            ThreadMark::of(decision.prompt.as_ref(), decision.denied_tools.as_deref().unwrap_or_default())
        }
        false => ThreadMark::default(),
    };
    let mut conversation = None;
    if let Some((kind, id)) = continued {
        let holders = &exchange.gateway().holders;
        let state = holders.state(client.as_deref(), &id);
        conversation = (kind == HeldKind::Conversation && used).then_some(state);
        let asked = read.and_then(|(view, body)| view.model(body));
        let place = Place { guard, kind, mark, asked: asked.as_deref() };
        place.fix(decision, holders.find(state));
    }
    let keeps = decision.refusal.is_none() && (answer || conversation.is_some());
    keeps.then_some(Kept { client, answer, conversation, mark, pin: None })
}

/// What is known of a request that goes on with something.
struct Place<'a> {
    guard: &'a Guard<'a>,
    kind: HeldKind,
    mark: ThreadMark,
    /// The model that the request names.
    asked: Option<&'a str>,
}

impl Place<'_> {
    fn fix(&self, decision: &mut Decision, holder: Option<Holder>) {
        // Nobody else has what it goes on with.
        decision.rest.clear();
        let code = decision.refusal.as_ref().map(|refusal| refusal.code);
        if matches!(decision.answerer, Answerer::Nobody) && self.app_chooses() && !is_passing(code) {
            // The app asks for a model that it may not have, here or anywhere.
            return;
        }
        let can_be = match &holder {
            _ if self.left_the_apps_model(decision) => false,
            Some(holder) => self.to_holder(decision, holder).is_some(),
            None => self.to_unknown(decision),
        };
        if !can_be {
            decision.refusal = Some(Box::new(not_found(self.kind)));
            decision.fallback = None;
        } else if self.kind == HeldKind::Thread {
            // A thread has its prompt from its first request, and the provider refuses one that comes again.
            decision.prompt = None;
        }
    }

    /// No flag and no literal stands on the route's model.
    fn app_chooses(&self) -> bool {
        matches!(self.guard.route.model, SlotPlan::AsSent)
    }

    /// The app's own choice is killed, or may not be called: another model cannot go on for it.
    fn left_the_apps_model(&self, decision: &Decision) -> bool {
        let left = match &decision.answerer {
            Answerer::Model { as_sent, .. } => !as_sent,
            Answerer::Reply(_) | Answerer::Nobody => true,
            Answerer::Unknown { .. } | Answerer::PassThrough { .. } => false,
        };
        self.guard.endpoint.generation() && self.app_chooses() && left
    }

    /// Whether who holds it may be called.
    fn may_call(&self, answerer: &Answerer) -> bool {
        match answerer {
            _ if !self.guard.stops => true,
            Answerer::Model { plan, .. } => self.guard.model(plan).is_ok(),
            Answerer::Unknown { provider } | Answerer::PassThrough { provider } => {
                self.guard.stranger(provider).is_ok()
            }
            Answerer::Reply(_) | Answerer::Nobody => false,
        }
    }

    /// `None`: the holder is gone, or what it holds cannot be gone on with.
    fn to_holder(&self, decision: &mut Decision, holder: &Holder) -> Option<()> {
        let provider = self.guard.view.providers.get(holder.provider.as_str())?;
        let fits = provider.provider.kind.speaks(self.guard.endpoint.dialect())
            && (self.kind != HeldKind::Thread || holder.mark == self.mark);
        if !fits {
            return None;
        }
        if !self.asks_already(decision, holder, provider) {
            self.leave(decision);
            decision.answerer = self.answerer(holder, provider).filter(|answerer| self.may_call(answerer))?;
            decision.refusal = None;
            // It is where it is because of what it holds, and not because of a kill.
            decision.fallback = None;
        }
        match holder.key {
            Some(key) => decision.key = KeyWish::Held(key),
            None => decision.callers_key = true,
        }
        Some(())
    }

    /// The model that was decided is the one, or one that the app chose itself at the same provider.
    fn asks_already(&self, decision: &Decision, holder: &Holder, provider: &Arc<ProviderPlan>) -> bool {
        match &decision.answerer {
            Answerer::Model { plan, as_sent } => {
                let held = holder.model.as_ref() == Some(&plan.model.name);
                Arc::ptr_eq(&plan.provider, provider) && (held || (*as_sent && self.app_chooses()))
            }
            Answerer::Unknown { provider: asked } => {
                Arc::ptr_eq(asked, provider) && (holder.model.is_none() || self.app_chooses())
            }
            Answerer::Reply(_) | Answerer::Nobody | Answerer::PassThrough { .. } => false,
        }
    }

    /// Who was decided is not asked.
    fn leave(&self, decision: &Decision) {
        if let Answerer::Model { plan, .. } = &decision.answerer {
            self.guard.give_back_model(plan);
        }
    }

    fn answerer(&self, holder: &Holder, provider: &Arc<ProviderPlan>) -> Option<Answerer> {
        let provider = Arc::clone(provider);
        if !self.guard.endpoint.generation() {
            return Some(Answerer::PassThrough { provider });
        }
        let Some(name) = &holder.model else { return Some(Answerer::Unknown { provider }) };
        let plan = self.guard.view.model(name).filter(|plan| plan.model.name == *name)?;
        Arc::ptr_eq(&plan.provider, &provider)
            .then(|| Answerer::Model { plan: Arc::clone(plan), as_sent: false })
    }

    /// Nobody knows who holds it: it was begun before the last start, or on another replica. The provider that is asked says
    /// itself that it does not know it. `false`: there is nobody to ask.
    fn to_unknown(&self, decision: &mut Decision) -> bool {
        match self.kind {
            // The route's provider with its first key, as for every other path.
            HeldKind::Stored => passes(decision),
            HeldKind::Conversation => self.to_home(decision),
            HeldKind::PreviousResponse => !self.astray(decision),
            // With a prompt to write or tools to take out nobody can tell whether the thread began like that.
            HeldKind::Thread => !self.astray(decision) && self.mark.is_none(),
        }
    }

    /// Somebody was chosen who can hold nothing of this API: a reply, or a model for which the request has to be translated.
    fn astray(&self, decision: &Decision) -> bool {
        let foreign = |provider: &ProviderPlan| provider.provider.kind.is_foreign_to(self.guard.endpoint);
        match &decision.answerer {
            Answerer::Reply(_) => true,
            Answerer::Model { plan, as_sent } => {
                foreign(&plan.provider) || (!as_sent && decision.refusal.is_some())
            }
            Answerer::Unknown { provider } => foreign(provider),
            Answerer::Nobody | Answerer::PassThrough { .. } => false,
        }
    }

    /// What was made by another path lies with the route's provider, and its first key.
    fn to_home(&self, decision: &mut Decision) -> bool {
        let Guard { view, route, endpoint, .. } = *self.guard;
        if !endpoint.generation() {
            return passes(decision);
        }
        let Some(home) = route.provider(endpoint.dialect()) else { return false };
        if !is_at(&decision.answerer, home) {
            self.leave(decision);
            let context = Context { request_model: self.asked, ..Context::default() };
            let own = as_sent(view, route, endpoint, &context).ok();
            let Some(own) = own.filter(|own| is_at(own, home) && self.may_call(own)) else { return false };
            decision.answerer = own;
            decision.refusal = None;
            decision.fallback = None;
        }
        decision.key = KeyWish::First;
        true
    }
}

/// The route's provider takes it as it is, and is not killed.
fn passes(decision: &Decision) -> bool {
    matches!(decision.answerer, Answerer::PassThrough { .. })
}

/// The error is no fault of the app's: it passes with a kill, a cooldown or another caller.
fn is_passing(code: Option<ErrorCode>) -> bool {
    matches!(code, Some(ErrorCode::KillSwitch | ErrorCode::BreakerOpen | ErrorCode::TierGuard))
}

fn is_at(answerer: &Answerer, home: &Arc<ProviderPlan>) -> bool {
    match answerer {
        Answerer::Model { plan, .. } => Arc::ptr_eq(&plan.provider, home),
        Answerer::Unknown { provider } | Answerer::PassThrough { provider } => Arc::ptr_eq(provider, home),
        Answerer::Reply(_) | Answerer::Nobody => false,
    }
}

/// What the provider itself would say: the SDKs know it, and begin anew with the whole conversation.
fn not_found(kind: HeldKind) -> ProxyError {
    let refusal = |code, message: &str| ProxyError::internal(code, Phase::Decide, message);
    match kind {
        HeldKind::PreviousResponse => refusal(
            ErrorCode::PreviousResponseNotFound,
            "the previous response cannot be gone on with: who holds it no longer serves this route; send the whole \
             conversation without `previous_response_id`",
        )
        .param("previous_response_id"),
        HeldKind::Conversation => refusal(
            ErrorCode::ConversationNotFound,
            "the conversation cannot be gone on with: who holds it no longer serves this route; begin a new one with its \
             items",
        )
        .param("conversation"),
        HeldKind::Thread => refusal(
            ErrorCode::ThreadNotFound,
            "the thread cannot be gone on with: who holds it no longer serves this route, or its system prompt or \
             its tools have changed; send the whole conversation with `thread: {\"type\": \"create\"}`",
        ),
        HeldKind::Stored => refusal(
            ErrorCode::StoredNotFound,
            "nothing is stored here under this id: who holds it is no longer in the configuration",
        ),
    }
}
