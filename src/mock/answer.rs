//! What a simulated model does with a request: fails, refuses, calls tools, or writes; and at what pace.

use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{Ask, Choice, Tool, tokens};
use super::compose::{compose, content_words, refusal};
use super::dice::{Dice, happens};
use super::failure::Failure;
use super::fill::fill;
use crate::config::MockModel;
use crate::wire::Dialect;

/// An answer, before it is put into a dialect's words.
#[derive(Debug)]
pub(super) struct Answer {
    /// What is said.
    pub(super) content: Content,
    /// Why it ends.
    pub(super) finish: Finish,
    /// Its length.
    pub(super) output_tokens: u64,
    /// Where a stream breaks off, in tokens.
    pub(super) cut_after: Option<usize>,
    /// When its tokens come.
    pub(super) pace: Pace,
}

/// What is said, in tokens.
#[derive(Debug)]
pub(super) enum Content {
    /// Text, JSON included.
    Text(Vec<String>),
    /// Why there is none.
    Refusal(Vec<String>),
    /// Tools to call.
    Calls(Vec<Call>),
}

/// One tool call.
#[derive(Debug)]
pub(super) struct Call {
    /// Of the tool.
    pub(super) name: String,
    /// A JSON object.
    pub(super) arguments: Value,
    /// The tail of its id.
    pub(super) id: String,
}

/// Why an answer ends.
#[derive(Debug, PartialEq)]
pub(super) enum Finish {
    /// All was said.
    Stop,
    /// This text of the request's came up.
    StopText(String),
    /// `max_tokens` was reached.
    Length,
    /// A tool is to be called.
    Calls,
    /// It refuses.
    Refusal,
}

/// When the tokens of an answer come, counted from the request.
#[derive(Debug)]
pub(super) struct Pace {
    seed: u64,
    first_token: Duration,
    per_token: Duration,
}

/// The answer, or the failure and how long it takes to come.
pub(super) fn answer(ask: &Ask, model: &MockModel, dialect: Dialect) -> Result<Answer, (Failure, Duration)> {
    let pace = Pace { seed: ask.luck, first_token: model.first_token, per_token: model.per_token };
    if happens(ask.luck, "rate_limited", model.rate_limited) {
        return Err((Failure::rate_limited(), Duration::ZERO));
    }
    if happens(ask.luck, "errors", model.errors) {
        return Err((provider_error(ask.luck, dialect), pace.first()));
    }
    let (content, finish) = say(ask, model);
    let output_tokens = content.tokens();
    let cut = happens(ask.luck, "cuts", model.cuts);
    let cut_after = cut.then(|| usize::try_from(output_tokens / 2).unwrap_or(usize::MAX));
    Ok(Answer { content, finish, output_tokens, cut_after, pace })
}

/// Anthropic's API has two ways to be at fault; which one it is, luck says.
fn provider_error(luck: u64, dialect: Dialect) -> Failure {
    match dialect {
        Dialect::Anthropic if happens(luck, "overloaded", 0.5) => {
            Failure::new(529, "the simulated provider is overloaded")
        }
        _ => Failure::new(500, "the simulated provider failed"),
    }
}

fn say(ask: &Ask, model: &MockModel) -> (Content, Finish) {
    let mut dice = Dice::new(ask.words_seed, "words");
    if happens(ask.luck, "refusals", model.refusals) {
        return (Content::Refusal(owned(tokens(&refusal(ask)))), Finish::Refusal);
    }
    let wanted = tools_wanted(ask);
    if !wanted.is_empty() {
        let calls = wanted.into_iter().map(|tool| call(tool, ask, &mut dice)).collect();
        return (Content::Calls(calls), Finish::Calls);
    }
    // A wild mean or draw must not become an answer that fills the memory.
    const LONGEST: f64 = 200_000.0;
    let words = dice.around(model.words, 0.35).clamp(1.0, LONGEST) as usize;
    let text = match &ask.json {
        Some(schema) => json_text(schema.as_ref(), ask, model, words, &mut dice),
        None => compose(ask, words, &mut dice),
    };
    shortened(&text, ask)
}

/// Ends the text where the request says so.
fn shortened(text: &str, ask: &Ask) -> (Content, Finish) {
    let stops = ask.stops.iter().filter(|stop| !stop.is_empty());
    let first = stops.filter_map(|stop| Some((text.find(stop.as_str())?, stop))).min();
    let (kept, mut finish) = match first {
        Some((at, stop)) => (text.get(..at).unwrap_or(text), Finish::StopText(stop.clone())),
        None => (text, Finish::Stop),
    };
    let mut pieces = tokens(kept);
    let most = ask.max_tokens.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    if pieces.len() > most {
        pieces.truncate(most);
        finish = Finish::Length;
    }
    (Content::Text(owned(pieces)), finish)
}

fn json_text(schema: Option<&Value>, ask: &Ask, model: &MockModel, words: usize, dice: &mut Dice) -> String {
    let value = match schema {
        Some(schema) => fill(schema, &content_words(&ask.question), dice),
        None => json!({"model": ask.model, "answer": compose(ask, words, dice)}),
    };
    let mut text = value.to_string();
    if happens(ask.luck, "malformed", model.malformed) {
        // An object without its end is what a real model's broken JSON mostly looks like.
        text.pop();
    }
    text
}

/// The tools to call now: the one that is forced, or those that the question names.
fn tools_wanted(ask: &Ask) -> Vec<&Tool> {
    let most = if ask.parallel { usize::MAX } else { 1 };
    match &ask.choice {
        Choice::None => Vec::new(),
        Choice::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).take(1).collect(),
        Choice::Auto if ask.tool_result.is_some() => Vec::new(),
        Choice::Auto => named_in(&ask.tools, &ask.question).into_iter().take(most).collect(),
        Choice::Any => {
            let named = named_in(&ask.tools, &ask.question);
            let forced = if named.is_empty() { ask.tools.iter().take(1).collect() } else { named };
            forced.into_iter().take(most).collect()
        }
    }
}

/// Tools that a text asks for: by their name, by a telling word of it, or just as "the tool".
fn named_in<'a>(tools: &'a [Tool], text: &str) -> Vec<&'a Tool> {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let telling = |part: &str| part.len() >= 4 && !["tool", "make", "call", "find"].contains(&part);
    let names = |tool: &&Tool| {
        let name = tool.name.to_lowercase();
        text.contains(&name) || name.split(['_', '-', '.']).any(|part| telling(part) && words.contains(&part))
    };
    let named: Vec<&Tool> = tools.iter().filter(names).collect();
    let any = named.is_empty() && words.iter().any(|word| ["tool", "tools", "function"].contains(word));
    if any { tools.iter().take(1).collect() } else { named }
}

fn call(tool: &Tool, ask: &Ask, dice: &mut Dice) -> Call {
    let arguments = fill(&tool.schema, &content_words(&ask.question), dice);
    let arguments = if arguments.is_object() { arguments } else { json!({}) };
    Call { name: tool.name.clone(), arguments, id: dice.id(24) }
}

fn owned(pieces: Vec<&str>) -> Vec<String> {
    pieces.into_iter().map(str::to_owned).collect()
}

impl Content {
    fn tokens(&self) -> u64 {
        match self {
            Self::Text(pieces) | Self::Refusal(pieces) => pieces.len() as u64,
            Self::Calls(calls) => calls.iter().map(|call| 4 + tokens(&call.text()).len() as u64).sum(),
        }
    }
}

impl Call {
    /// Its arguments as JSON text.
    pub(super) fn text(&self) -> String {
        self.arguments.to_string()
    }
}

impl Pace {
    /// When the first token comes.
    pub(super) fn first(&self) -> Duration {
        Dice::new(self.seed, "first_token").wait(self.first_token, 0.3)
    }

    /// When each token comes, in order, without end.
    pub(super) fn times(&self) -> impl Iterator<Item = Duration> + use<> {
        let mut dice = Dice::new(self.seed, "per_token");
        let (mut at, per_token) = (self.first(), self.per_token);
        std::iter::from_fn(move || {
            let now = at;
            at += dice.wait(per_token, 0.5);
            Some(now)
        })
    }

    /// When an answer that is not streamed comes: after its last token.
    pub(super) fn whole(&self, output_tokens: u64) -> Duration {
        let last = usize::try_from(output_tokens.saturating_sub(1)).unwrap_or(usize::MAX);
        self.times().nth(last).unwrap_or_default()
    }
}
