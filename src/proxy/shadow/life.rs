//! One copy's life, on the shadows' thread: what the request itself forbids, the budget, the sending, the pair.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::clock;
use crate::config::Bodies;
use crate::observe::{Asked, Outcome};
use crate::proxy::identify::Reservation;
use crate::proxy::rewrite::{Candidate, Changes, Original};
use crate::proxy::shadow::answer::{Answer, Ended};
use crate::proxy::shadow::draw::{NoCopy, is_killed};
use crate::proxy::shadow::judge::{Case, compare};
use crate::proxy::shadow::pair;
use crate::proxy::shadow::tally::Tally;
use crate::proxy::shadow::thread::Room;
use crate::proxy::shadow::watch::Primary;
use crate::proxy::trace::{Copied, CopyEnded};
use crate::record::{ShadowOutcome, Verdict};
use crate::snapshot::{Aside, KeyWish, ShadowPlan};
use crate::units::PicoUsd;
use crate::wire::{Endpoint, PromptMode, wanted};

/// So many tokens are set aside for an answer that nothing bounds.
const OUTPUT_USUAL: u64 = 4096;

/// So many bytes of a request are taken for a token.
pub(super) const BYTES_A_TOKEN: u64 = 4;

/// A copy that is to be sent.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) tally: Tally,
    pub(super) original: Arc<Original>,
    pub(super) plan: Arc<ShadowPlan>,
    pub(super) candidate: Candidate,
    pub(super) prompt: Option<(Bytes, PromptMode)>,
    pub(super) key: KeyWish,
    /// It has the prompt and the parameters that the caller's own request has.
    pub(super) same: bool,
    /// Tells how the caller's request ended.
    pub(super) primary: oneshot::Receiver<Arc<Primary>>,
    /// The body's share of the memory for held bodies.
    pub(super) reservation: Reservation,
    /// The caller's request is traced, and so is the copy.
    pub(super) traced: Option<Copied>,
}

/// Lives it to its end. A tally that is dropped on the way says that the process ended.
pub(super) async fn live(room: &Room, job: Box<Job>) {
    let Job { mut tally, original, plan, candidate, prompt, key, same, primary, reservation, traced } = *job;
    if let Some((outcome, cause)) = forbidden(room, &original, &plan, &candidate) {
        return tally.end(outcome, cause);
    }
    let Some(place) = plan.ledger.place(plan.shadow.concurrent) else {
        return tally.end(ShadowOutcome::OverConcurrency, "");
    };
    let changes = original.changes(prompt.as_ref(), &plan.shadow.params);
    let aside = match set_aside(&original, &plan, &candidate, &changes) {
        Ok(aside) => aside,
        Err(cause) => return tally.end(ShadowOutcome::OverBudget, cause),
    };
    let keys = &candidate.provider.keys;
    let key = keys.choose(key, clock::uptime).and_then(|place| keys.get(place));
    let mut request = match original.request(&candidate, &changes, key) {
        Ok(request) => request,
        Err(error) => {
            aside.cost(PicoUsd::default());
            return tally.end(ShadowOutcome::CannotTranslate, error.param.as_deref().unwrap_or("rewrite"));
        }
    };
    if let Some(traced) = &traced {
        traced.send_on(request.headers_mut());
    }
    let (endpoint, stream) = (original.endpoint, original.stream);
    let wanted = wanted(&original.view, &original.body);
    let kept = Kept::of(&original);
    let case = (!plan.judges.is_empty()).then(|| Case::of(&original, &plan.route));
    // What goes on its way holds what it needs of the body.
    drop(original);
    tally.began(aside.amount());
    let answer = Answer::new(candidate.asked_in(endpoint));
    let (ended, answer) = answer.take(&room.apart, &candidate.provider, request, plan.shadow.timeout).await;
    drop((place, reservation));
    let cost = settle(aside, &plan, &candidate, &ended, &answer);
    if let Some(traced) = traced {
        traced.ends(copy_ended((endpoint, stream), &plan, &candidate, (&ended, &answer, cost)));
    }
    let primary = primary.await.ok();
    let mut outcome = ended.outcome;
    if let Some(primary) = &primary {
        tally.answered_by(&primary.model);
        // It was the fallback's turn.
        if same && primary.place == candidate.model.as_ref().map(|model| model.place) {
            outcome = ShadowOutcome::SameAsPrimary;
        }
    }
    if outcome == ShadowOutcome::Ok {
        plan.series.took(ended.took);
    }
    kept.bodies(&tally, &plan.name, primary.as_deref(), &answer);
    let (request_id, recorder) = tally.of();
    let mut both = None;
    tally.end_with(outcome, &ended.cause, |attempt| {
        both = pair::write(attempt, endpoint, &wanted, primary.as_deref(), (&ended, &answer, cost));
    });
    let replied = primary.as_ref().is_some_and(|primary| primary.outcome == Outcome::Reply);
    drop((primary, answer));
    // A reply is the same for everybody: what it is worth needs no judge.
    let both = both.filter(|_| outcome == ShadowOutcome::Ok && !replied);
    if let (Some(both), Some(case)) = (both, case) {
        let verdict = Verdict {
            request_id,
            route: Arc::clone(&plan.route),
            shadow: Arc::clone(&plan.name),
            ..Verdict::default()
        };
        for judge in &plan.judges {
            compare(room, &case, judge, &both, (&recorder, verdict.clone())).await;
        }
    }
}

/// What a trace says of it. What it is compared with may still be under way.
fn copy_ended<'e>(
    (endpoint, stream): (Endpoint, bool),
    plan: &ShadowPlan,
    candidate: &'e Candidate,
    (ended, answer, cost): (&'e Ended, &Answer, Option<PicoUsd>),
) -> CopyEnded<'e> {
    let provider = &candidate.provider;
    let model = candidate.model.as_ref().map(|plan| Arc::clone(&plan.model));
    CopyEnded {
        endpoint,
        stream,
        asked: Asked::Provider { provider: Arc::clone(&provider.provider), model, sent: None },
        at: &provider.endpoint,
        status: answer.status(),
        cause: &ended.cause,
        took: ended.took,
        first_token: answer.first_token,
        facts: &ended.facts,
        cost,
        shadow: (Arc::clone(&plan.name), ended.outcome.as_str()),
    }
}

/// The bodies that the operator wants to be kept, and how much of each.
struct Kept {
    /// The caller's, where only those are kept that have a copy.
    request: Option<Bytes>,
    /// The candidate's answer.
    answer: bool,
    most: usize,
}

impl Kept {
    fn of(original: &Original) -> Self {
        let records = &original.snapshot.config.records;
        let request = (records.bodies == Bodies::Shadow).then(|| original.body.clone());
        let answer = records.bodies != Bodies::None;
        Self { request, answer, most: usize::try_from(records.body_max).unwrap_or(usize::MAX) }
    }

    fn bodies(self, tally: &Tally, shadow: &str, primary: Option<&Primary>, answer: &Answer) {
        if let Some(request) = self.request {
            tally.body("request".into(), request, self.most, false);
            if let Some(primary) = primary {
                let (plain, cut) = primary.answer.plain();
                tally.body("answer".into(), plain, self.most, cut);
            }
        }
        if self.answer {
            let (plain, cut) = answer.passed.plain();
            tally.body(format!("shadow:{shadow}").into(), plain, self.most, cut);
        }
    }
}

/// What the request itself, or somebody since then, says against a copy.
fn forbidden(room: &Room, original: &Original, plan: &ShadowPlan, candidate: &Candidate) -> Option<NoCopy> {
    let killed = room.live_for(&original.snapshot, |live, snapshot| {
        let route = snapshot.by_name.get(&*plan.route);
        is_killed(live, candidate)
            || route.is_some_and(|route| live.route_killed(route) || live.shadow_killed(route, plan))
    });
    if killed {
        return Some((ShadowOutcome::Killed, ""));
    }
    let (view, body) = (&original.view, &original.body);
    if view.leans_on_state(body) {
        return Some((ShadowOutcome::Stateful, ""));
    }
    (!plan.shadow.server_tools && view.has_server_tools(body)).then_some((ShadowOutcome::ServerTools, ""))
}

/// Sets aside what the copy may cost at most, as far as that can be known; an error says why it cannot be sent.
fn set_aside(
    original: &Original,
    plan: &ShadowPlan,
    candidate: &Candidate,
    changes: &Changes,
) -> Result<Aside, &'static str> {
    let limit = plan.shadow.per_day;
    let price = candidate.model.as_ref().and_then(|model| model.model.price);
    let amount = match price {
        Some(price) => {
            let input = original.body.len() as u64 / BYTES_A_TOKEN + 1;
            let limit = original.view.output_limit(&original.body, &changes.params);
            price.input.times(input) + price.output.times(limit.unwrap_or(OUTPUT_USUAL))
        }
        None if limit.is_some() => return Err("no_price"),
        None => PicoUsd::default(),
    };
    plan.ledger.set_aside(amount, limit, clock::unix_seconds()).ok_or("")
}

/// Writes down what the copy cost. What nobody knows is what was set aside: an answer that was cut or came too late is billed.
fn settle(
    aside: Aside,
    plan: &ShadowPlan,
    candidate: &Candidate,
    ended: &Ended,
    answer: &Answer,
) -> Option<PicoUsd> {
    let cost = pair::cost_of(candidate.model.as_ref().and_then(|model| model.model.price), ended, answer);
    match cost {
        Some(cost) => {
            plan.series.cost_usd(cost.as_usd());
            aside.cost(cost);
        }
        None => drop(aside),
    }
    cost
}
