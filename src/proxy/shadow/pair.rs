//! Two answers to one request, read and compared. Takes some milliseconds for long ones: not for a thread that serves requests.

use crate::clock;
use crate::config::Price;
use crate::observe::Outcome;
use crate::proxy::shadow::answer::{Answer, Ended};
use crate::proxy::shadow::watch::{ANSWER_MAX, Passed, Primary, length};
use crate::record::{Attempt, ShadowOutcome, Side, Tokens};
use crate::report::shadow::compare;
use crate::units::PicoUsd;
use crate::wire::{Collector, Content, Endpoint, Finish, Usage, Wanted};

/// Writes both sides into the record of their end; `endpoint` is the caller's. Gives what the caller's answer and the candidate's say, where both are all there.
pub(super) fn write(
    attempt: &mut Attempt,
    endpoint: Endpoint,
    wanted: &Wanted,
    primary: Option<&Primary>,
    candidate: (&Ended, &Answer, Option<PicoUsd>),
) -> Option<(Content, Content)> {
    let (ended, answer, cost) = candidate;
    attempt.cost_pico = cost.map(|cost| cost.0);
    let own = content(answer.endpoint, &answer.passed).filter(|_| ended.outcome == ShadowOutcome::Ok);
    let mut side = Side {
        ok: ended.outcome == ShadowOutcome::Ok,
        took_us: clock::micros(ended.took),
        first_token_us: answer.first_token.map(clock::micros),
        tokens: ended.facts.usage.filter(|_| ended.facts.usage_final).map(tokens),
        cost_pico: cost.map(|cost| cost.0),
        output_chars: length(&ended.facts),
        refused: ended.facts.refused || ended.facts.finish == Some(Finish::Refusal),
        cut_by_length: ended.facts.finish == Some(Finish::Length),
        ..Side::default()
    };
    describe(&mut side, own.as_ref(), wanted);
    attempt.candidate = Some(Box::new(side));
    let primary = primary?;
    let ok = matches!(primary.outcome, Outcome::Ok | Outcome::Refused | Outcome::Reply);
    let callers = content(endpoint, &primary.answer).filter(|_| ok);
    let mut side = Side {
        ok,
        took_us: clock::micros(primary.took),
        first_token_us: primary.first_token.map(clock::micros),
        tokens: primary.usage.map(tokens),
        cost_pico: primary.cost.map(|cost| cost.0),
        output_chars: primary.output_chars,
        refused: primary.outcome == Outcome::Refused,
        ..Side::default()
    };
    describe(&mut side, callers.as_ref(), wanted);
    attempt.primary = Some(Box::new(side));
    let (callers, own) = callers.zip(own)?;
    attempt.comparison = Some(Box::new(compare(&callers, &own)));
    Some((callers, own))
}

/// What an answer has cost; `None`: nobody knows.
pub(super) fn cost_of(price: Option<Price>, ended: &Ended, answer: &Answer) -> Option<PicoUsd> {
    let usage = ended.facts.usage.filter(|_| ended.facts.usage_final);
    match (price, usage) {
        _ if ended.unsent || answer.is_refused() => Some(PicoUsd::default()),
        (Some(price), Some(usage)) => price.of(&usage),
        _ => None,
    }
}

/// What only the content itself tells.
fn describe(side: &mut Side, content: Option<&Content>, wanted: &Wanted) {
    let Some(content) = content else { return };
    let (json_valid, schema_valid) = wanted.judge(content);
    side.json_valid = json_valid;
    side.schema_valid = schema_valid;
    side.output_chars = side.output_chars.or_else(|| Some(content.chars()));
    side.output_words = Some(content.words());
    side.tool_calls = u32::try_from(content.calls.len()).unwrap_or(u32::MAX);
    side.cut_by_length |= content.length;
    side.refused |= content.refused;
}

/// What an answer says; `None` where it is not all there.
pub(super) fn content(endpoint: Endpoint, passed: &Passed) -> Option<Content> {
    if passed.over {
        return None;
    }
    let mut collector = Collector::new(endpoint, passed.events, ANSWER_MAX);
    match &passed.encoding {
        Some(_) => collector.see(&passed.plain().0),
        None => collector.see(&passed.bytes),
    }
    collector.end()
}

fn tokens(usage: Usage) -> Tokens {
    Tokens {
        input: usage.input,
        cached: usage.cache_read,
        cache_write: usage.cache_write,
        output: usage.output,
        reasoning: usage.reasoning,
    }
}
