//! How many users a flag gives something else: contexts in, counts out.

use std::collections::BTreeMap;

use super::side::{Assigned, Recalled, Side, SideFlag};
use super::{Move, Open, RuleMoves};
use crate::config::{AttributeKind, Config};
use crate::flags::{AttributeValue, By, VariantIndex};
use crate::record::{Look, NotedContext};

/// Different users, who come one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Users {
    pub(super) count: u64,
    last: Option<u64>,
}

impl Users {
    fn add(&mut self, hash: u64) {
        if self.last != Some(hash) {
            self.count = self.count.saturating_add(1);
            self.last = Some(hash);
        }
    }
}

/// Of one flag.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) users: Users,
    pub(super) moved: Users,
    open: BTreeMap<String, Users>,
    moves: BTreeMap<(Option<String>, Option<String>), Moved>,
    rules: BTreeMap<String, Taken>,
    /// Who has which variant before and after.
    before: BTreeMap<String, Users>,
}

#[derive(Debug, Default)]
struct Moved {
    users: Users,
    like: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Taken {
    before: Users,
    after: Users,
    joins: Users,
    leaves: Users,
}

/// Examples that are told apart: more would be one for each user.
const LIKE_MAX: usize = 256;

/// One flag, in the configuration that serves and in the other; `None`: that one does not have it.
pub(super) struct Pair<'s, 'c> {
    pub(super) now: Option<&'s SideFlag<'c>>,
    pub(super) new: Option<&'s SideFlag<'c>>,
}

/// Counts all flags of both sides. `pairs` are in the order of the result.
pub(super) fn count(
    (now, now_config): (&Side<'_>, &Config),
    (new, new_config): (&Side<'_>, &Config),
    pairs: &[Pair<'_, '_>],
    look: &Look,
) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = pairs.iter().map(|_| Tally::default()).collect();
    for (hash, visit) in &look.visits {
        let noted = &*visit.context;
        let (before, after) = (now.recall(noted), new.recall(noted));
        for (pair, tally) in pairs.iter().zip(&mut tallies) {
            let was = before.assigned(pair.now);
            let is = after.assigned(pair.new);
            if was == Assigned::NotAsked && is == Assigned::NotAsked {
                continue;
            }
            tally.users.add(*hash);
            let open = open(&before, now_config, pair.now, &was);
            if let Some(why) = open.or_else(|| self::open(&after, new_config, pair.new, &is)) {
                tally.open.entry(why).or_default().add(*hash);
                continue;
            }
            tally.take(*hash, named(pair.now, &was), named(pair.new, &is), || like(new_config, noted));
        }
    }
    tallies
}

/// What somebody got: the variant, and the rule that gave it.
#[derive(Default)]
struct Got {
    variant: Option<String>,
    rule: Option<String>,
}

fn named(flag: Option<&SideFlag<'_>>, assigned: &Assigned) -> Got {
    let (Some(flag), Assigned::Is(variant, rule)) = (flag, assigned) else { return Got::default() };
    let rule = rule.and_then(|place| flag.flag.rules.get(usize::from(place)));
    Got { variant: Some(variant_name(flag, *variant)), rule: rule.map(|rule| rule.name.to_string()) }
}

fn variant_name(flag: &SideFlag<'_>, variant: VariantIndex) -> String {
    flag.flag.variant(variant).map_or_else(String::new, |variant| variant.name.to_string())
}

/// Why nobody can tell.
fn open(
    recalled: &Recalled<'_>,
    config: &Config,
    flag: Option<&SideFlag<'_>>,
    assigned: &Assigned,
) -> Option<String> {
    let Assigned::Open(place) = assigned else { return None };
    let rule = flag?.flag.rules.get(*place)?;
    let missing = recalled.missing(config, rule);
    Some(match rule.by {
        By::Request if missing.is_empty() => {
            format!("rule `{}` draws anew for each request: no user keeps a variant", rule.name)
        }
        _ => format!(
            "rule `{}` looks at {}, which was not noted of them: the configuration that served then had no rule that does, or the \
             value was too long to keep",
            rule.name,
            missing.join(", ")
        ),
    })
}

/// What a user is like, in values that the configuration itself lists: nothing that an app made up, and never who they are.
fn like(config: &Config, noted: &NotedContext) -> String {
    let mut said = vec![format!("route {}", noted.route)];
    for (kept, of) in noted.attributes.iter().zip(&noted.shape.attributes) {
        let listed = matches!(of.spec.kind, AttributeKind::Ordered(_) | AttributeKind::Bool);
        let declared = config.context.attributes.iter().any(|spec| of.means(spec));
        if let Some(value) = kept.value().filter(|_| listed && declared) {
            said.push(match value.as_value() {
                AttributeValue::Text(text) => format!("{} {text}", of.spec.name),
                AttributeValue::Bool(bool) => format!("{} {bool}", of.spec.name),
                AttributeValue::Number(_) => continue,
            });
        }
    }
    said.join(", ")
}

impl Tally {
    fn take(&mut self, hash: u64, was: Got, is: Got, like: impl FnOnce() -> String) {
        if let Some(variant) = &was.variant {
            self.before.entry(variant.clone()).or_default().add(hash);
        }
        if was.rule.is_some() || is.rule.is_some() {
            self.rule(hash, &was.rule, &is.rule);
        }
        if was.variant == is.variant {
            return;
        }
        self.moved.add(hash);
        let moved = self.moves.entry((was.variant, is.variant)).or_default();
        let first = moved.users.last != Some(hash);
        moved.users.add(hash);
        let like = like();
        if first && (moved.like.len() < LIKE_MAX || moved.like.contains_key(&like)) {
            *moved.like.entry(like).or_default() += 1;
        }
    }

    fn rule(&mut self, hash: u64, was: &Option<String>, is: &Option<String>) {
        if let Some(rule) = was {
            let taken = self.rules.entry(rule.clone()).or_default();
            taken.before.add(hash);
            if is.as_ref() != Some(rule) {
                taken.leaves.add(hash);
            }
        }
        if let Some(rule) = is {
            let taken = self.rules.entry(rule.clone()).or_default();
            taken.after.add(hash);
            if was.as_ref() != Some(rule) {
                taken.joins.add(hash);
            }
        }
    }

    /// How many have the variant now.
    pub(super) fn has(&self, variant: &str) -> u64 {
        self.before.get(variant).map_or(0, |users| users.count)
    }

    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves: Vec<Move> = self
            .moves
            .iter()
            .map(|((from, to), moved)| Move {
                from: from.clone(),
                to: to.clone(),
                users: moved.users.count,
                share: share(moved.users.count, self.users.count),
                example: moved.like.iter().max_by_key(|(_, users)| **users).map(|(like, _)| like.clone()),
            })
            .collect();
        moves.sort_by_key(|one| std::cmp::Reverse(one.users));
        moves
    }

    pub(super) fn open(&self) -> Vec<Open> {
        self.open.iter().map(|(why, users)| Open { users: users.count, why: why.clone() }).collect()
    }

    pub(super) fn of_rule(&self, name: &str) -> RuleMoves {
        let taken = self.rules.get(name);
        let count = |of: fn(&Taken) -> Users| taken.map_or(0, |taken| of(taken).count);
        RuleMoves {
            before: count(|taken| taken.before),
            after: count(|taken| taken.after),
            join: count(|taken| taken.joins),
            leave: count(|taken| taken.leaves),
        }
    }
}

/// A part of all, 0 to 1; nobody is no part of nobody.
pub(super) fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}
