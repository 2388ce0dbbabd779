//! What another configuration, or another percentage, would change: for whom, from what to what, and what else.
//!
//! Pure: a sample of contexts that were seen, two configurations and the run-time state in, counts out. Who gets what is asked of the
//! function that serves, twice. Must never name a user, and never count what it cannot know: that is said beside the counts.

mod differences;
mod side;
mod tally;
mod warnings;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Errors};
use crate::flags::{Flag, Rule};
use crate::record::Look;
use crate::state::RunState;
use crate::units::Percent;
use side::{Side, SideFlag};
use tally::{Pair, Tally, share};

/// `POST /plan`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The file is right. If not, `errors` says what is wrong with it, and nothing else is said.
    pub ok: bool,
    /// Everything that is wrong with it, as `dimmer check` says it.
    pub errors: Vec<Fault>,
    /// Whom it was counted over.
    pub seen: Seen,
    /// The flags that differ, and those that give somebody something else.
    pub flags: Vec<FlagMoves>,
    /// The flags that are as before, for everybody.
    pub unchanged: Vec<String>,
    /// Everything in the file that differs from what serves, a sentence each.
    pub changes: Vec<Change>,
    /// What to think of before it serves.
    pub warnings: Vec<String>,
    /// What could not be known, and what was not looked at.
    pub notes: Vec<String>,
}

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// From 1; absent: the whole file is meant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u64>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<u64>,
    /// What, what was expected, and how to mend it.
    pub message: String,
}

/// Whom something was counted over: users of this gateway, whose contexts it has in memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Users that were looked at.
    pub users: u64,
    /// Users that there were, about: more than `users` where these are a sample.
    pub of: u64,
    /// These are all: nobody was left out.
    pub whole: bool,
    /// So far back it was asked for: `7d`.
    pub window: String,
    /// From when on it really looks, RFC 3339: the process may be younger than the window.
    pub since: String,
}

/// What becomes of one flag's users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlagMoves {
    /// Its key.
    pub flag: String,
    /// `new`, `gone`, `changed`, or `same`: the flag is as it was, and something that it refers to is not.
    pub change: String,
    /// Users whom it decides for, before or after.
    pub users: u64,
    /// Those who get another variant.
    pub moved: u64,
    /// Their part of `users`, 0 to 1.
    pub share: f64,
    /// From what to what.
    pub moves: Vec<Move>,
    /// Its rules that take others than before, or have another percentage.
    pub rules: Vec<RuleChange>,
    /// Users of whom nobody can tell, and why. They are in `users`, and in no move.
    pub open: Vec<Open>,
}

/// Users who get something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// The variant that they have; null: the flag does not decide for them.
    pub from: Option<String>,
    /// The variant that they would get; null: the flag would not decide for them.
    pub to: Option<String>,
    /// How many.
    pub users: u64,
    /// Their part of all whom the flag decides for, 0 to 1.
    pub share: f64,
    /// What most of them are like, in values that the configuration lists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub example: Option<String>,
}

/// What becomes of whom a rule takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleChange {
    /// Its name.
    pub rule: String,
    /// Its percentage now, as set at run time or in the file; null: there is no such rule.
    pub percent_from: Option<f64>,
    /// Its percentage then.
    pub percent_to: Option<f64>,
    /// Users whom it takes.
    #[serde(flatten)]
    pub users: RuleMoves,
    /// The same in a sentence.
    pub said: String,
}

/// Users of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleMoves {
    /// Whom it takes now.
    pub before: u64,
    /// Whom it would take.
    pub after: u64,
    /// Whom it would take and does not take now.
    pub join: u64,
    /// Whom it takes now and would not take: nobody where only its percentage was raised.
    pub leave: u64,
}

/// Users of whom nobody can tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Open {
    /// How many.
    pub users: u64,
    /// Why.
    pub why: String,
}

/// One difference between the file and what serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// `added`, `removed` or `changed`.
    pub kind: String,
    /// What it belongs to: `route assistant`, `flag temperature`, `server`.
    pub what: String,
    /// Which key there, with dots; empty: all of it.
    pub key: String,
    /// In a sentence.
    pub said: String,
}

/// `POST /flags/{key}/rules/{rule}/preview`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// The flag.
    pub flag: String,
    /// The rule.
    pub rule: String,
    /// Its percentage now.
    pub percent_from: f64,
    /// The one that was asked about.
    pub percent: f64,
    /// Users who were seen in the window, were looked at, and for whom the flag decides.
    pub seen: u64,
    /// Users that were seen, about: more where those that were looked at are a sample. Of all routes.
    pub of: u64,
    /// How far back it was looked: `1h`.
    pub window: String,
    /// From when on it really looks, RFC 3339: the process may be younger.
    pub since: String,
    /// Users who would get another variant.
    pub moved: u64,
    /// Their part of `seen`, 0 to 1.
    pub share: f64,
    /// From what to what.
    pub moves: Vec<Move>,
    /// Whom the rule takes, and would take.
    pub rule_users: RuleMoves,
    /// Users of whom nobody can tell, and why.
    pub open: Vec<Open>,
    /// What could not be known.
    pub notes: Vec<String>,
}

/// What is asked about a whole file.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// What serves.
    pub now: &'q Config,
    /// What would.
    pub new: &'q Config,
    /// What was set and killed at run time.
    pub state: &'q RunState,
    /// Who was seen; `None`: nobody is noted.
    pub look: Option<&'q Look>,
}

/// A file that is wrong.
pub fn wrong(errors: &Errors) -> Plan {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let faults = errors.faults().iter().map(|fault| Fault {
        file: fault.file.clone(),
        line: fault.position.as_ref().map(|at| number(at.line)),
        column: fault.position.as_ref().map(|at| number(at.column)),
        message: fault.message.clone(),
    });
    Plan { errors: faults.collect(), ..Plan::default() }
}

/// A file that is right.
pub fn plan(question: &Question<'_>, seen: Seen) -> Plan {
    let Question { now, new, state, look, .. } = *question;
    let (now_side, new_side) = (Side::new(now, state), Side::new(new, state));
    let pairs = pairs(&now_side, &new_side);
    let nobody = Look::default();
    let tallies = tally::count((&now_side, now), (&new_side, new), &pairs, look.unwrap_or(&nobody));
    let mut flags = Vec::new();
    let mut unchanged = Vec::new();
    for (pair, tally) in pairs.iter().zip(&tallies) {
        let change = change_of(question, pair);
        let elsewhere = differences::of_users(now, new) && !tally.open().is_empty();
        if change == "same" && tally.moved.count == 0 && !elsewhere {
            unchanged.extend(key_of(pair));
        } else {
            flags.extend(flag_moves(pair, tally, change));
        }
    }
    let warnings = warnings::of(question, &pairs, &tallies);
    let notes = warnings::notes(question, &seen);
    let changes = differences::of(now, new);
    Plan { ok: true, errors: Vec::new(), seen, flags, unchanged, changes, warnings, notes }
}

/// Another percentage of one rule, over those who were seen; `None`: there is no such rule.
pub fn preview(
    config: &Config,
    state: &RunState,
    (key, rule): (&str, &str),
    percent: Percent,
    look: &Look,
    (window, since): (&str, String),
) -> Option<Preview> {
    let now = Side::new(config, state);
    let flag = now.flag(key)?;
    let place = flag.flag.rules.iter().position(|one| one.name.as_str() == rule)?;
    let percent_from = percent_at(flag, place)?;
    let new = Side::new(config, state).with_percent(key, place, percent);
    let pairs = [Pair { now: now.flag(key), new: new.flag(key) }];
    let tallies = tally::count((&now, config), (&new, config), &pairs, look);
    let tally = tallies.first()?;
    Some(Preview {
        flag: key.to_owned(),
        rule: rule.to_owned(),
        percent_from: percent_from.as_percent(),
        percent: percent.as_percent(),
        seen: tally.users.count,
        of: look.of,
        window: window.to_owned(),
        since,
        moved: tally.moved.count,
        share: share(tally.moved.count, tally.users.count),
        moves: tally.moves(),
        rule_users: tally.of_rule(rule),
        open: tally.open(),
        notes: warnings::of_preview(config, state, flag, look),
    })
}

/// Every flag of either side: in the order of what serves, then what is new.
fn pairs<'s, 'c>(now: &'s Side<'c>, new: &'s Side<'c>) -> Vec<Pair<'s, 'c>> {
    let kept = now.flags().iter().map(|flag| Pair { now: Some(flag), new: new.flag(&flag.flag.key) });
    let fresh = new.flags().iter().filter(|flag| now.flag(&flag.flag.key).is_none());
    kept.chain(fresh.map(|flag| Pair { now: None, new: Some(flag) })).collect()
}

fn key_of(pair: &Pair<'_, '_>) -> Option<String> {
    pair.now.or(pair.new).map(|flag| flag.flag.key.to_string())
}

fn change_of(question: &Question<'_>, pair: &Pair<'_, '_>) -> &'static str {
    match (pair.now, pair.new) {
        (None, _) => "new",
        (_, None) => "gone",
        (Some(now), Some(new)) => {
            let key = &now.flag.key;
            let written =
                |config: &Config| config.written.get("flags").and_then(|all| all.get(key.as_str())).cloned();
            let same = written(question.now) == written(question.new)
                && now.routes == new.routes
                && now.percents == new.percents;
            if same { "same" } else { "changed" }
        }
    }
}

fn flag_moves(pair: &Pair<'_, '_>, tally: &Tally, change: &str) -> Option<FlagMoves> {
    Some(FlagMoves {
        flag: key_of(pair)?,
        change: change.to_owned(),
        users: tally.users.count,
        moved: tally.moved.count,
        share: share(tally.moved.count, tally.users.count),
        moves: tally.moves(),
        rules: rule_changes(pair, tally),
        open: tally.open(),
    })
}

/// The rules of both, each with what becomes of it.
fn rule_changes(pair: &Pair<'_, '_>, tally: &Tally) -> Vec<RuleChange> {
    let names = |side: Option<&SideFlag<'_>>| -> Vec<String> {
        side.map(|one| one.flag.rules.iter().map(|rule| rule.name.to_string()).collect()).unwrap_or_default()
    };
    let mut all = names(pair.now);
    all.extend(names(pair.new).into_iter().filter(|name| !names(pair.now).contains(name)));
    let change = |name: String| {
        let (was, is) = (rule_of(pair.now, &name), rule_of(pair.new, &name));
        let users = tally.of_rule(&name);
        let moves = users.join + users.leave > 0;
        let percents = (was.map(|(_, percent)| percent), is.map(|(_, percent)| percent));
        let anew = words::is_drawn_anew(was, is);
        if !moves && percents.0 == percents.1 && !anew {
            return None;
        }
        Some(RuleChange {
            said: words::rule(percents, users, anew),
            rule: name,
            percent_from: percents.0.map(Percent::as_percent),
            percent_to: percents.1.map(Percent::as_percent),
            users,
        })
    };
    all.into_iter().filter_map(change).collect()
}

/// A rule by its name, and the percentage that counts.
fn rule_of<'f>(side: Option<&SideFlag<'f>>, name: &str) -> Option<(&'f Rule, Percent)> {
    let side = side?;
    let flag: &'f Flag = side.flag;
    let place = flag.rules.iter().position(|rule| rule.name.as_str() == name)?;
    Some((flag.rules.get(place)?, percent_at(side, place)?))
}

fn percent_at(side: &SideFlag<'_>, place: usize) -> Option<Percent> {
    let rule = side.flag.rules.get(place)?;
    Some(side.percents.get(place).copied().flatten().unwrap_or(rule.serve.percent()))
}

/// A length of time as people write it: `90m`, `7d`.
pub fn window_words(window: Duration) -> String {
    let seconds = window.as_secs();
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}
