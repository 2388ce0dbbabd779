//! How much of the ring each rule of a flag really gets, once the rules above it have taken theirs.
//!
//! Serves `dimmer check`. Works on intervals of buckets, so what it says of one ring is exact; must never sample.

use std::ops::Range;
use std::slice;

use crate::flags::{BUCKETS, By, Condition, Flag, Rule, Serve, Slice};
use crate::units::Percent;

/// What one rule gets of the callers that reach it: those who have every key, for whom its own `when` holds, and of the
/// rules above only those without a `when`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RuleShare {
    /// How many buckets its percentage covers, as if it stood alone; 10,000 are 1 %.
    pub alone: u32,
    /// How many of them the rules above leave to it that cut the same ring: same `by`, same salt. Exact.
    pub left: u32,
    /// Which part of the callers the rules above let through that cut other rings, 0 to 1; 0 below a rule that takes
    /// everybody. Rings are independent of each other, so this is what to expect of many callers.
    pub passed: f64,
    /// Whether it can take anybody at all.
    pub takes: Takes,
}

/// Whether a rule can take anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// There are callers whom it takes; perhaps only those without a key, where [`RuleShare::share`] is 0.
    Somebody,
    /// It covers no bucket as the file stands, but would if its percentage were raised.
    NobodyYet,
    /// Rules above take everybody whom it could take. A mistake in the file.
    Nobody,
}

impl RuleShare {
    /// The effective share of the callers that reach it, 0 to 1.
    pub fn share(&self) -> f64 {
        f64::from(self.left) / f64::from(BUCKETS) * self.passed
    }
}

/// Each rule's share, in the order of the rules.
pub fn coverage(flag: &Flag) -> Vec<RuleShare> {
    let mut above = Above::default();
    flag.rules
        .iter()
        .map(|rule| {
            let share = above.share_left_to(rule);
            above.add(rule);
            share
        })
        .collect()
}

/// What the rules so far take from whoever comes by, whatever is known of the caller.
#[derive(Default)]
struct Above<'a> {
    /// A rule without `when` and percentage stands above: nothing passes it.
    everybody: bool,
    rings: Vec<Ring<'a>>,
}

/// The buckets that are gone on one ring.
struct Ring<'a> {
    by: &'a By,
    seed: u64,
    taken: Vec<Range<u32>>,
}

impl<'a> Above<'a> {
    fn share_left_to(&self, rule: &Rule) -> RuleShare {
        let own = covered(rule);
        let alone = buckets_in(&own);
        if self.everybody {
            return RuleShare { alone, left: 0, passed: 0.0, takes: Takes::Nobody };
        }
        let (same, others): (Vec<_>, Vec<_>) = self.rings.iter().partition(|ring| ring.is_cut_by(rule));
        let taken = same.first().map_or(&[][..], |ring| &ring.taken);
        let left = buckets_in(&union(taken, &own)).saturating_sub(buckets_in(taken));
        let passed =
            others.iter().map(|ring| 1.0 - f64::from(buckets_in(&ring.taken)) / f64::from(BUCKETS)).product();
        let takes = match alone {
            0 => Takes::NobodyYet,
            _ if self.keeps_all_from(rule, left) => Takes::Nobody,
            _ => Takes::Somebody,
        };
        RuleShare { alone, left, passed, takes }
    }

    /// Whether everybody whom `rule` could take is taken already. A whole ring takes only those who have its key; a rule
    /// without a percentage still gets the others. A request id is the one key that nobody lacks.
    fn keeps_all_from(&self, rule: &Rule, left: u32) -> bool {
        let stops_all = |ring: &Ring<'_>| {
            let whole = buckets_in(&ring.taken) == BUCKETS;
            whole && (*ring.by == By::Request || (needs_key(rule) && *ring.by == rule.by))
        };
        (needs_key(rule) && left == 0) || self.rings.iter().any(stops_all)
    }

    fn add(&mut self, rule: &'a Rule) {
        if !matches!(rule.when, Condition::Always) {
            return;
        }
        if !needs_key(rule) {
            self.everybody = true;
            return;
        }
        let own = covered(rule);
        match self.rings.iter_mut().find(|ring| ring.is_cut_by(rule)) {
            Some(ring) => ring.taken = union(&ring.taken, &own),
            None => self.rings.push(Ring { by: &rule.by, seed: rule.seed, taken: union(&own, &[]) }),
        }
    }
}

impl Ring<'_> {
    fn is_cut_by(&self, rule: &Rule) -> bool {
        *self.by == rule.by && self.seed == rule.seed
    }
}

/// Everything but a rule that takes everybody asks for a key.
fn needs_key(rule: &Rule) -> bool {
    !matches!(rule.serve, Serve::One { percent: Percent::FULL, .. })
}

/// The buckets that a rule covers by itself, sorted and disjoint.
fn covered(rule: &Rule) -> Vec<Range<u32>> {
    match &rule.serve {
        Serve::One { percent, .. } => union(slice::from_ref(&(0..percent.ppm())), &[]),
        Serve::Split { slices, percent } => {
            let end = |slot: &Slice| slot.start.saturating_add(slot.covered(*percent));
            union(&slices.iter().map(|slot| slot.start..end(slot)).collect::<Vec<_>>(), &[])
        }
    }
}

fn buckets_in(disjoint: &[Range<u32>]) -> u32 {
    disjoint.iter().map(|range| range.end - range.start).sum()
}

/// All buckets that are in one of the two, sorted and disjoint, within the ring.
fn union(one: &[Range<u32>], other: &[Range<u32>]) -> Vec<Range<u32>> {
    let on_ring = |range: &Range<u32>| range.start..range.end.min(BUCKETS);
    let mut all: Vec<_> = one.iter().chain(other).map(on_ring).filter(|range| !range.is_empty()).collect();
    all.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u32>> = Vec::with_capacity(all.len());
    for range in all {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
