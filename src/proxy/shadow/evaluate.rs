//! Evaluators: a sample of live answers, scored by a judge. The score is feedback like any other.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock;
use crate::observe::{JudgeOutcome, Outcome};
use crate::proxy::exchange::Exchange;
use crate::proxy::feedback;
use crate::proxy::identify::Reservation;
use crate::proxy::rewrite::Original;
use crate::proxy::shadow::judge::{Case, Open, ask, marker, material};
use crate::proxy::shadow::pair;
use crate::proxy::shadow::thread::{Room, Work};
use crate::proxy::shadow::watch::Primary;
use crate::proxy::worker::Gateway;
use crate::record::{Feedback, FeedbackOf};
use crate::snapshot::EvaluatorPlan;
use crate::wire::{read_score, score_question};

/// An answer that is to be scored when it has ended.
pub(super) struct Scoring {
    plan: Arc<EvaluatorPlan>,
    open: Open,
    original: Arc<Original>,
    gateway: Arc<Gateway>,
    request_id: Box<str>,
    client: Arc<str>,
    primary: oneshot::Receiver<Arc<Primary>>,
    /// The body's share of the memory for held bodies.
    reservation: Reservation,
}

/// The request is sent now, and this evaluator has drawn it. Gives who is to be told how it ended.
pub(super) fn begin(
    exchange: &Exchange,
    original: Option<&Arc<Original>>,
    plan: Arc<EvaluatorPlan>,
) -> Option<oneshot::Sender<Arc<Primary>>> {
    let open = Open::new(&plan.judge, 1);
    let Some(original) = original else {
        open.none(JudgeOutcome::NoText);
        return None;
    };
    let gateway = &exchange.worker.gateway;
    let limit = exchange.snapshot.config.server.limits.memory;
    let reservation = Reservation::of(&gateway.held_bytes, original.body.len() as u64, limit);
    let Some(reservation) = reservation.filter(|_| !gateway.is_short_of_files()) else {
        open.none(JudgeOutcome::OverConcurrency);
        return None;
    };
    let (tell, primary) = oneshot::channel();
    let client = exchange.client.as_ref().map(|client| client.name.shared()).unwrap_or_default();
    let scoring = Scoring {
        plan,
        open,
        original: Arc::clone(original),
        gateway: Arc::clone(gateway),
        request_id: exchange.id.as_str().into(),
        client,
        primary,
        reservation,
    };
    match gateway.shadows.put(Work::Score(Box::new(scoring))) {
        Ok(()) => Some(tell),
        Err(Work::Score(scoring)) => {
            scoring.open.none(JudgeOutcome::OverConcurrency);
            None
        }
        Err(Work::Copy(_)) => None,
    }
}

/// Waits for the answer's end and has it scored.
pub(super) async fn score(room: &Room, scoring: Box<Scoring>) {
    let Scoring { plan, open, original, gateway, request_id, client, primary, reservation } = *scoring;
    let Ok(primary) = primary.await else { return open.none(JudgeOutcome::NoText) };
    let case = Case::of(&original, &plan.route);
    let endpoint = original.endpoint;
    drop((original, reservation));
    let answered = matches!(primary.outcome, Outcome::Ok | Outcome::Refused);
    let content = pair::content(endpoint, &primary.answer).filter(|_| answered);
    let shown = content.ok_or(JudgeOutcome::NoText).and_then(|content| material(&content));
    let shown = match shown {
        Ok(shown) => shown,
        Err(outcome) => return open.none(outcome),
    };
    let Some(marker) = marker() else { return open.none(JudgeOutcome::Error) };
    let question = score_question(&plan.judge.judge.rubric, &marker, &case.asked, &shown);
    let said = ask(room, &case, open, vec![question], read_score).await;
    let Some(value) = said.and_then(|(said, _)| said.first().copied().flatten()) else { return };
    let feedback = Feedback {
        of: FeedbackOf::Request(request_id),
        name: Arc::clone(&plan.feedback),
        value,
        client,
        at_us: clock::unix_us(),
        judge: Some(Arc::clone(&plan.judge.name)),
    };
    feedback::by_judge(&gateway, feedback);
}
