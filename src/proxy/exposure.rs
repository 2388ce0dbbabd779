//! A finished exchange becomes an exposure: who asked, what was decided, who answered, how it went.
//!
//! Serves finish. Made only where exposures are kept. What the context alone knows, and nobody else needs, is noted in a [`Seed`] when
//! the request is decided. Must never wait, and never keep a prompt or an answer.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3;

use crate::clock;
use crate::config::shipped_price;
use crate::flags::{By, Context, FlagState, Reason, draws, evaluate};
use crate::observe::Outcome;
use crate::proxy::decide::{Answerer, Decision, Evaluated, FallbackCause, Guard, Refused};
use crate::proxy::exchange::Exchange;
use crate::proxy::feedback;
use crate::record::{Exposure, Flagged, Record, Tokens, user_hash};
use crate::snapshot::{ModelPlan, SlotPlan};
use crate::units::PicoUsd;
use crate::wire::{Endpoint, Facts, reply_id};

/// What is known of a request's context when it is decided.
#[derive(Debug, Default)]
pub(crate) struct Seed {
    user: Option<Box<str>>,
    conversation: Option<Box<str>>,
    asked: Option<Arc<ModelPlan>>,
    /// In the order of those that were evaluated.
    flags: SmallVec<[FlagSeed; 4]>,
}

#[derive(Debug, Default)]
struct FlagSeed {
    unit: Option<Box<str>>,
    pinned_apart: bool,
    /// Places of rules whose percentage passed the caller over.
    passed: SmallVec<[u16; 2]>,
    /// It chose a model, and another one is asked, since that holds what the request goes on with.
    elsewhere: bool,
}

/// The user as counts know them, put into the sample of those who were seen where records are kept.
pub(crate) fn user(exchange: &Exchange, context: &Context<'_>, kept: bool) -> Option<u64> {
    let hash = context.targeting_key.filter(|_| exchange.endpoint.answers()).map(user_hash)?;
    if kept {
        let gateway = exchange.gateway();
        gateway.recorder.saw(hash, &exchange.snapshot.noted, context, exchange.endpoint);
    }
    Some(hash)
}

const CONVERSATIONS: u64 = 0x6469_6d6d_6572_0002;

/// What a client's conversation is known by, in exposures and in feedback, on every replica.
pub(crate) fn conversation_digest(client: &str, conversation: &str) -> String {
    let mut hash = Xxh3::with_seed(CONVERSATIONS);
    for part in [client, conversation] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    format!("{:032x}", hash.digest128())
}

/// Notes what the context knows.
pub(crate) fn seed(decision: &Decision, guard: &Guard<'_>) -> Box<Seed> {
    let context = guard.context;
    let client = context.client.unwrap_or_default();
    let conversation = context.conversation.map(|text| conversation_digest(client, text).into_boxed_str());
    let flag = |one: &Evaluated| {
        let unit = match one.plan.flag.by(one.evaluation.rule) {
            By::Conversation => conversation.clone(),
            by => context.unit(by).map(|unit| unit.into_owned().into_boxed_str()),
        };
        FlagSeed {
            unit,
            pinned_apart: is_pinned_apart(one, guard),
            passed: passed(one, guard),
            elsewhere: is_elsewhere(one, decision, guard),
        }
    };
    let flags = decision.evaluated.iter().map(flag).collect();
    Box::new(Seed {
        user: context.targeting_key.map(Into::into),
        asked: context.request_model.and_then(|name| guard.view.model(name)).map(Arc::clone),
        flags,
        conversation,
    })
}

/// A conversation keeps the variant, and a fresh decision would give another.
fn is_pinned_apart(one: &Evaluated, guard: &Guard<'_>) -> bool {
    if guard.pin.and_then(|pin| pin.draws(&one.plan.flag)).is_none() {
        return false;
    }
    let live = &guard.view.live;
    let state = if live.quiet { FlagState::default() } else { live.flag(&one.plan) };
    evaluate(&one.plan.flag, guard.context, &state).variant != one.evaluation.variant
}

/// Whose control the unit is. Nobody's where the first rule took it, or where no rule was asked.
fn passed(one: &Evaluated, guard: &Guard<'_>) -> SmallVec<[u16; 2]> {
    if one.evaluation.rule == Some(0)
        || !matches!(
            one.evaluation.reason,
            Reason::Split | Reason::TargetingMatch | Reason::Default | Reason::Cached
        )
    {
        return SmallVec::new();
    }
    let live = &guard.view.live;
    let state = if live.quiet { FlagState::default() } else { live.flag(&one.plan) };
    let pinned = guard.pin.and_then(|pin| pin.draws(&one.plan.flag));
    draws(&one.plan.flag, guard.context, &FlagState { pinned: pinned.as_ref(), ..state }).passed
}

/// The flag chose a target, nothing kept it away, and another one is asked all the same.
fn is_elsewhere(one: &Evaluated, decision: &Decision, guard: &Guard<'_>) -> bool {
    let SlotPlan::Flag { plan, values } = &guard.route.model else { return false };
    if !decision.enabled || one.passed_over.is_some() || !Arc::ptr_eq(&plan.flag, &one.plan.flag) {
        return false;
    }
    let chosen = values.get(usize::from(one.evaluation.variant.0)).and_then(Option::as_ref);
    chosen.is_some_and(|target| target.place() != decision.place(guard.route))
}

/// How the part of the request that a flag's assigned variant had ended, where the whole ended with `whole`. A rescue by another target
/// is a failure of what was chosen.
pub(super) fn own_outcome(exchange: &Exchange, one: &Evaluated, whole: Outcome) -> Outcome {
    one.outcome(exchange.assigned.unwrap_or(whole))
}

/// What the answer costs; `None`: that is not known. A model that the configuration does not know may be a well-known one.
pub(super) fn cost(decision: &Decision, facts: &Facts) -> Option<PicoUsd> {
    // A stream that was cut or left tells its input at most: a cost of half an answer would pass for the whole.
    let usage = facts.usage.as_ref().filter(|_| facts.usage_final)?;
    let price = match &decision.answerer {
        Answerer::Model { plan, .. } => plan.model.price,
        Answerer::Unknown { provider } => {
            let name = facts.answered_model.as_deref()?;
            shipped_price(name, &provider.endpoint.host).map(|(price, _)| price)
        }
        Answerer::Reply(_) | Answerer::Nobody | Answerer::PassThrough { .. } => None,
    };
    price?.of(usage)
}

/// Keeps what became of the exchange, if that is asked for. Takes out of it what nobody needs any more.
pub(super) fn record(exchange: &mut Exchange, outcome: Outcome, ended: Instant) {
    remember(exchange, outcome);
    let kept = exchange.gateway().recorder.is_on() && exchange.endpoint.answers();
    if !kept || exchange.route.is_none() {
        return;
    }
    let exposure = exposure(exchange, outcome, ended);
    exchange.gateway().recorder.put(Record::Exposure(Box::new(exposure)));
}

/// Feedback will name the request, its answer or its conversation.
fn remember(exchange: &Exchange, outcome: Outcome) {
    if !exchange.snapshot.notes_conversation {
        return;
    }
    let answer = exchange.facts.as_ref().and_then(|facts| facts.answer_id.as_deref());
    let conversation = exchange.seed.as_ref().and_then(|seed| seed.conversation.as_deref());
    match answer {
        None if outcome == Outcome::Reply => {
            let id = reply_id(exchange.endpoint, exchange.id.unique());
            feedback::remember(exchange, Some(&id), conversation);
        }
        answer => feedback::remember(exchange, answer, conversation),
    }
}

fn exposure(exchange: &mut Exchange, outcome: Outcome, ended: Instant) -> Exposure {
    let seed = exchange.seed.take().map_or_else(Seed::default, |seed| *seed);
    let facts = exchange.facts.take();
    let decision = exchange.decision.as_ref();
    let took = ended.saturating_duration_since(exchange.started);
    let whole = facts.as_ref().filter(|facts| is_whole(facts));
    let reply = outcome == Outcome::Reply;
    let fresh = exchange.provider.is_some() && !exchange.noted;
    let mut exposure = Exposure {
        request_id: exchange.id.as_str().to_owned(),
        at_us: clock::micros(clock::unix_time().saturating_sub(took)),
        route: exchange.route.as_ref().map(|route| route.name.shared()).unwrap_or_default(),
        client: exchange.client.as_ref().map(|client| client.name.shared()).unwrap_or_default(),
        endpoint: word(exchange.endpoint.as_str()),
        stream: exchange.stream,
        asked: seed.asked.map_or_else(|| word(OTHER), |plan| plan.model.name.shared()),
        served: decision.map_or_else(|| word(NONE), served),
        reply,
        provider: exchange.provider.as_ref().map(|plan| plan.provider.name.shared()).unwrap_or_default(),
        fallback: decision.and_then(|decision| decision.fallback).map(|cause| word(cause.as_str())),
        outcome: word(outcome.as_str()),
        cause: cause(exchange, facts.as_ref()),
        status: status(exchange),
        took_us: clock::micros(took),
        first_token_us: exchange.first_token.map(clock::micros),
        tokens: facts.as_ref().and_then(tokens),
        cost_pico: whole_cost(exchange, facts.as_ref()),
        output_chars: whole.map(|facts| facts.output_chars),
        output_words: whole.and_then(Facts::output_words),
        json_valid: facts.as_ref().and_then(Facts::json_valid),
        refused: outcome == Outcome::Refused,
        tries: exchange.tried + u32::from(fresh),
        user: seed.user,
        conversation: seed.conversation,
        ..Exposure::default()
    };
    if let Some(decision) = decision {
        let seeds = seed.flags.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let flags = decision.evaluated.iter().zip(seeds);
        let whole_answer = (exposure.output_chars, exposure.json_valid);
        exposure.flags = flags
            .map(|(one, seed)| flagged(exchange, one, seed.unwrap_or_default(), outcome, whole_answer))
            .collect();
    }
    if let Some(facts) = facts {
        exposure.answered = facts.answered_model;
        exposure.answer_id = facts.answer_id;
    } else if reply && exchange.failed.is_none() {
        exposure.answer_id = Some(reply_id(exchange.endpoint, exchange.id.unique()).into());
    }
    exposure
}

fn flagged(
    exchange: &Exchange,
    one: &Evaluated,
    seed: FlagSeed,
    whole: Outcome,
    (chars, json): (Option<u64>, Option<bool>),
) -> Flagged {
    let flag = &one.plan.flag;
    let name = |variant| flag.variant(variant).map(|variant| variant.name.shared());
    let assigned = one.evaluation.variant;
    let tried = !seed.elsewhere && matches!(one.passed_over, None | Some(Refused::CannotTake));
    let outcome = if tried { own_outcome(exchange, one, whole) } else { Outcome::NotTried };
    let own = tried && exchange.assigned.is_none() && matches!(outcome, Outcome::Ok | Outcome::Refused);
    let rule = one.evaluation.rule.and_then(|place| flag.rules.get(usize::from(place)));
    let instead =
        (one.served != Some(assigned)).then(|| one.served.and_then(name).unwrap_or_else(|| word(AS_SENT)));
    Flagged {
        flag: flag.key.shared(),
        variant: name(assigned).unwrap_or_default(),
        rule: rule.map(|rule| rule.name.shared()),
        passed: seed
            .passed
            .iter()
            .filter_map(|place| Some(flag.rules.get(usize::from(*place))?.name.shared()))
            .collect(),
        reason: word(one.evaluation.reason.as_str()),
        unit: seed.unit,
        served: instead,
        tried: tried && outcome != Outcome::NotTried,
        pinned_apart: seed.pinned_apart,
        outcome: word(outcome.as_str()),
        output_chars: chars.filter(|_| own),
        json_valid: json.filter(|_| own),
    }
}

/// It came to its end, and its length is known.
fn is_whole(facts: &Facts) -> bool {
    facts.complete && !facts.text_unknown && !facts.error && !facts.blind && facts.blind_events == 0
}

fn tokens(facts: &Facts) -> Option<Tokens> {
    let usage = facts.usage.filter(|_| facts.usage_final)?;
    Some(Tokens {
        input: usage.input,
        cached: usage.cache_read,
        cache_write: usage.cache_write,
        output: usage.output,
        reasoning: usage.reasoning,
    })
}

/// What the request cost, all targets together as far as that is known: nobody bills what was refused, and nothing what was not asked.
fn whole_cost(exchange: &Exchange, facts: Option<&Facts>) -> Option<u64> {
    let free = exchange.provider.is_none() || exchange.status.is_some_and(|status| status >= 400);
    if free {
        return Some(0);
    }
    let decision = exchange.decision.as_ref()?;
    cost(decision, facts?).map(|cost| cost.0)
}

/// The error's code: ours, or the provider's type of it.
fn cause(exchange: &Exchange, facts: Option<&Facts>) -> Option<Box<str>> {
    let ours = exchange.failed.map(|(code, _)| code.as_str().into());
    ours.or_else(|| facts.and_then(|facts| facts.error_type.clone().or_else(|| facts.error_code.clone())))
}

/// What the caller got; 0: nothing.
fn status(exchange: &Exchange) -> u16 {
    match exchange.failed {
        Some((code, _)) => code.status(),
        None => exchange.status.unwrap_or(0),
    }
}

fn served(decision: &Decision) -> Arc<str> {
    match &decision.answerer {
        Answerer::Model { plan, .. } => plan.model.name.shared(),
        Answerer::Reply(Some(plan)) => plan.reply.name.shared(),
        Answerer::Unknown { .. } => word(OTHER),
        Answerer::Reply(None) | Answerer::Nobody | Answerer::PassThrough { .. } => word(NONE),
    }
}

const OTHER: &str = "other";
const NONE: &str = "none";
const AS_SENT: &str = "as_sent";

/// A word of the fixed lists: shared by all exposures.
fn word(text: &'static str) -> Arc<str> {
    static WORDS: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| {
        let endpoints = [Endpoint::Chat, Endpoint::Messages, Endpoint::Responses, Endpoint::Completions];
        let own = Outcome::ALL.into_iter().map(Outcome::as_str);
        own.chain(Reason::ALL.into_iter().map(Reason::as_str))
            .chain(endpoints.into_iter().map(Endpoint::as_str))
            .chain(FallbackCause::ALL.into_iter().map(FallbackCause::as_str))
            .chain([OTHER, NONE, AS_SENT])
            .map(Arc::from)
            .collect()
    });
    WORDS.iter().find(|word| ***word == *text).map_or_else(|| text.into(), Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::{conversation_digest, word};

    #[test]
    fn a_conversation_is_its_clients_own() {
        let digest = conversation_digest("web", "session-1");
        assert_eq!(digest.len(), 32);
        assert_eq!(digest, conversation_digest("web", "session-1"));
        for (client, conversation) in
            [("app", "session-1"), ("web", "session-2"), ("webs", "ession-1"), ("", "")]
        {
            assert_ne!(digest, conversation_digest(client, conversation));
        }
    }

    #[test]
    fn words_are_shared() {
        assert!(std::sync::Arc::ptr_eq(&word("ok"), &word("ok")));
        assert_eq!(&*word("not in the list"), "not in the list");
    }
}
