//! Asking a judge: what two answers are worth against each other, or what one is worth. On the shadows' thread, over its
//! connections. Each question ends in exactly one outcome, and none is asked twice.

use std::sync::Arc;

use crate::clock;
use crate::observe::JudgeOutcome;
use crate::proxy::rewrite::{Original, OwnRequest};
use crate::proxy::shadow::answer::{Answer, Ended};
use crate::proxy::shadow::begin::is_troubled;
use crate::proxy::shadow::life::BYTES_A_TOKEN;
use crate::proxy::shadow::pair;
use crate::proxy::shadow::thread::Room;
use crate::record::{Record, Recorder, ShadowOutcome, Verdict};
use crate::snapshot::{Aside, JudgePlan, View};
use crate::units::PicoUsd;
use crate::wire::{
    Content, Dialect, Endpoint, JUDGE_TOKENS_MAX, Question, judge_body, preference_question, read_preference,
};

/// So much of what the user asked is shown: the rest of a long conversation costs more than it tells.
const ASKED_MAX: usize = 16 * 1024;
/// Longer answers are not judged: half of one must not pass for the whole.
const ANSWER_MAX: usize = 64 * 1024;

/// A request as judges see it.
#[derive(Debug)]
pub(super) struct Case {
    /// What the request saw.
    view: Arc<View>,
    route: Arc<str>,
    /// Gateways that it has passed: where a judge is asked through this one again, somebody must notice.
    hops: u8,
    /// What the user asked last.
    pub(super) asked: String,
}

impl Case {
    pub(super) fn of(original: &Original, route: &Arc<str>) -> Self {
        Self {
            view: Arc::clone(&original.snapshot),
            route: Arc::clone(route),
            hops: original.hops(),
            asked: original.view.last_turns(&original.body, ASKED_MAX),
        }
    }
}

/// Questions that have no outcome yet. What is left when it is dropped was interrupted.
#[derive(Debug)]
pub(super) struct Open {
    judge: Arc<JudgePlan>,
    left: u64,
}

impl Open {
    /// So many questions.
    pub(super) fn new(judge: &Arc<JudgePlan>, questions: u64) -> Self {
        Self { judge: Arc::clone(judge), left: questions }
    }

    /// One has ended.
    fn ended(&mut self, outcome: JudgeOutcome) {
        self.judge.series.ended(outcome, 1);
        self.left = self.left.saturating_sub(1);
    }

    /// None of those that are left is asked.
    pub(super) fn none(mut self, outcome: JudgeOutcome) {
        self.judge.series.ended(outcome, self.left);
        self.left = 0;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.left > 0 {
            self.judge.series.ended(JudgeOutcome::Shutdown, self.left);
        }
    }
}

/// What a judge is shown of an answer.
pub(super) fn material(content: &Content) -> Result<String, JudgeOutcome> {
    let shown = content.as_material().ok_or(JudgeOutcome::NoText)?;
    if shown.len() > ANSWER_MAX { Err(JudgeOutcome::TooLong) } else { Ok(shown) }
}

/// What nobody who writes an answer can know: 128 random bits. `None`: the system has none, and nothing is asked without.
pub(super) fn marker() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// The judge's words about a caller's answer and a candidate's, in both orders.
pub(super) async fn compare(
    room: &Room,
    case: &Case,
    judge: &Arc<JudgePlan>,
    answers: &(Content, Content),
    record: (&Recorder, Verdict),
) {
    let open = Open::new(judge, 2);
    let shown = material(&answers.0).and_then(|callers| Ok((callers, material(&answers.1)?)));
    let (callers, candidates) = match shown {
        Ok(shown) => shown,
        Err(outcome) => return open.none(outcome),
    };
    let question =
        |answers: [&str; 2]| Some(preference_question(&judge.judge.rubric, &marker()?, &case.asked, answers));
    let both = question([&callers, &candidates]).zip(question([&candidates, &callers]));
    let Some((caller_first, candidate_first)) = both else { return open.none(JudgeOutcome::Error) };
    let said = ask(room, case, open, vec![caller_first, candidate_first], read_preference).await;
    let Some((said, cost)) = said else { return };
    let (recorder, verdict) = record;
    recorder.put(Record::Verdict(Box::new(Verdict {
        judge: Arc::clone(&judge.name),
        at_us: clock::unix_us(),
        caller_first: said.first().copied().flatten(),
        // What is better there is the second one, which is the caller's.
        candidate_first: said.get(1).copied().flatten().map(|second| 1.0 - second),
        cost_pico: cost.map(|cost| cost.0),
        ..verdict
    })));
}

/// Asks one question after the other; what was read of each answer, and what all of them cost. `None`: nothing was asked.
pub(super) async fn ask(
    room: &Room,
    case: &Case,
    mut open: Open,
    questions: Vec<Question>,
    read: fn(&str) -> Option<f64>,
) -> Option<(Vec<Option<f64>>, Option<PicoUsd>)> {
    let judge = Arc::clone(&open.judge);
    let dialect = [Dialect::OpenAi, Dialect::Anthropic]
        .into_iter()
        .find(|it| judge.model.provider.provider.kind.speaks(*it));
    let endpoint = if dialect == Some(Dialect::Anthropic) { Endpoint::Messages } else { Endpoint::Chat };
    if let Some(outcome) = against(room, case, &judge) {
        open.none(outcome);
        return None;
    }
    let Some(_place) = judge.ledger.place(judge.judge.concurrent) else {
        open.none(JudgeOutcome::OverConcurrency);
        return None;
    };
    let bodies: Vec<Vec<u8>> = questions
        .iter()
        .map(|question| judge_body(endpoint, &judge.model.model.upstream_model, question))
        .collect();
    // The one order without the other would be paid for nothing.
    let Some(asides) = all_aside(&judge, &bodies) else {
        open.none(JudgeOutcome::OverBudget);
        return None;
    };
    let own = OwnRequest { plan: &judge.model, endpoint, hops: case.hops };
    let (mut said, mut total) = (Vec::new(), Some(PicoUsd::default()));
    for (body, aside) in bodies.into_iter().zip(asides) {
        let killed = if said.is_empty() { None } else { against(room, case, &judge) };
        let (outcome, value, cost) = match (killed, own.with(body)) {
            (Some(outcome), _) => (outcome, None, Some(PicoUsd::default())),
            (None, Err(_)) => (JudgeOutcome::Error, None, Some(PicoUsd::default())),
            (None, Ok(request)) => {
                let answer = Answer::new(endpoint);
                let limit = judge.judge.timeout;
                let (ended, answer) = answer.take(&room.apart, &judge.model.provider, request, limit).await;
                let (outcome, value) = heard(endpoint, &ended, &answer, read);
                (outcome, value, pair::cost_of(judge.model.model.price, &ended, &answer))
            }
        };
        match cost {
            Some(cost) => {
                judge.series.cost_usd(cost.as_usd());
                aside.cost(cost);
            }
            None => drop(aside),
        }
        total = total.zip(cost).map(|(total, cost)| total + cost);
        open.ended(outcome);
        said.push(value);
    }
    Some((said, total))
}

fn heard(
    endpoint: Endpoint,
    ended: &Ended,
    answer: &Answer,
    read: fn(&str) -> Option<f64>,
) -> (JudgeOutcome, Option<f64>) {
    match ended.outcome {
        ShadowOutcome::Ok => {
            let content = pair::content(endpoint, &answer.passed);
            match content.and_then(|content| read(&content.text)) {
                Some(value) => (JudgeOutcome::Ok, Some(value)),
                None => (JudgeOutcome::Unreadable, None),
            }
        }
        ShadowOutcome::Timeout => (JudgeOutcome::Timeout, None),
        _ => (JudgeOutcome::Error, None),
    }
}

/// What this moment says against a question.
fn against(room: &Room, case: &Case, judge: &JudgePlan) -> Option<JudgeOutcome> {
    let killed = room.live_for(&case.view, |live, _| {
        !live.quiet
            && (live.all || live.provider_killed(&judge.model.provider) || live.model_killed(&judge.model))
    });
    if killed {
        return Some(JudgeOutcome::Killed);
    }
    let route = case.view.by_name.get(&*case.route)?;
    let troubled = is_troubled(&case.view, route, &judge.model.provider, Some(judge.model.place));
    troubled.then_some(JudgeOutcome::InTrouble)
}

/// Sets aside what all questions may cost; nothing where that is too much.
fn all_aside(judge: &JudgePlan, bodies: &[Vec<u8>]) -> Option<Vec<Aside>> {
    let mut asides = Vec::new();
    for body in bodies {
        let Some(aside) = set_aside(judge, body.len() as u64) else {
            asides.into_iter().for_each(|aside: Aside| aside.cost(PicoUsd::default()));
            return None;
        };
        asides.push(aside);
    }
    Some(asides)
}

/// Sets aside what a question may cost at most, as far as that can be known.
fn set_aside(judge: &JudgePlan, bytes: u64) -> Option<Aside> {
    let limit = judge.judge.per_day;
    let amount = match judge.model.model.price {
        Some(price) => price.input.times(bytes / BYTES_A_TOKEN + 1) + price.output.times(JUDGE_TOKENS_MAX),
        None if limit.is_some() => return None,
        None => PicoUsd::default(),
    };
    judge.ledger.set_aside(amount, limit, clock::unix_seconds())
}
