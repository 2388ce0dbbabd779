//! The shares that `dimmer check` prints.

use proptest::prelude::{Strategy, prop_oneof, proptest};
use proptest::{collection, prop_assert_eq};

use crate::flags::tests::{A, B, C, flag, one, rule, split};
use crate::flags::{By, Condition, Rule, Serve, Takes, coverage, salt_seed};

const ALL: u32 = 1_000_000;

/// Each rule as `alone/left`, in buckets, with `*passed` where other rings stand above, and whom it takes.
fn check<const N: usize>(rules: [Rule; N], expected: &str) {
    let shares: Vec<_> = coverage(&flag(rules))
        .iter()
        .map(|share| {
            let passed = if share.passed == 1.0 { String::new() } else { format!("*{}", share.passed) };
            let takes = match share.takes {
                Takes::Somebody => "",
                Takes::NobodyYet => " nobody yet",
                Takes::Nobody => " nobody",
            };
            format!("{}/{}{passed}{takes}", share.alone, share.left)
        })
        .collect();
    assert_eq!(shares.join(", "), expected);
}

fn conditional(inner: Rule) -> Rule {
    Rule { when: Condition::Any(Vec::new()), ..inner }
}

fn salted(inner: Rule) -> Rule {
    Rule { seed: salt_seed("other"), ..inner }
}

fn by(by: By, inner: Rule) -> Rule {
    Rule { by, ..inner }
}

#[test]
fn rules_of_one_ring_take_what_is_left() {
    check([], "");
    check([rule(one(A, ALL))], "1000000/1000000");
    check(
        [rule(one(A, 100_000)), rule(one(B, 300_000)), rule(one(C, ALL))],
        "100000/100000, 300000/200000, 1000000/700000",
    );
    check([rule(one(A, 300_000)), rule(one(B, 300_000))], "300000/300000, 300000/0 nobody");
    check([rule(one(A, 300_000)), rule(one(B, 200_000))], "300000/300000, 200000/0 nobody");
    check([rule(one(A, 300_000)), rule(one(B, 300_001))], "300000/300000, 300001/1");
    check([rule(one(A, 0)), rule(one(B, 10_000))], "0/0 nobody yet, 10000/10000");
}

#[test]
fn rules_with_a_when_take_nothing_from_those_below() {
    check([conditional(rule(one(A, 300_000))), rule(one(B, 200_000))], "300000/300000, 200000/200000");
    check([conditional(rule(one(A, ALL))), rule(one(B, ALL))], "1000000/1000000, 1000000/1000000");
    check([rule(one(A, ALL)), conditional(rule(one(B, ALL)))], "1000000/1000000, 1000000/0*0 nobody");
    check([rule(one(A, 300_000)), conditional(rule(one(B, 400_000)))], "300000/300000, 400000/100000");
}

#[test]
fn splits_leave_the_ends_of_their_slots() {
    let halves = |ppm| rule(split(&[(A, 50), (B, 50)], ppm));
    // Half of each half: 0 to 25 and 50 to 75.
    check([halves(500_000), rule(one(C, 600_000))], "500000/500000, 600000/250000");
    check([halves(500_000), rule(one(C, 250_000))], "500000/500000, 250000/0 nobody");
    check([rule(one(C, 600_000)), halves(500_000)], "600000/600000, 500000/150000");
    check([halves(500_000), halves(600_000)], "500000/500000, 600000/100000");
    check([halves(500_000), halves(500_000)], "500000/500000, 500000/0 nobody");
    // Thirds of a ring do not meet halves: 0-17, 34-50.5, 67-83.5 against 0-25, 50-75.
    let thirds = rule(split(&[(A, 34), (B, 33), (C, 33)], 500_000));
    check([halves(500_000), thirds], "500000/500000, 500000/245000");
}

#[test]
fn whoever_lacks_the_key_passes_a_whole_ring() {
    let whole = || rule(split(&[(A, 50), (B, 50)], ALL));
    check([whole(), rule(one(C, ALL))], "1000000/1000000, 1000000/0");
    check([whole(), rule(one(C, ALL)), rule(one(A, ALL))], "1000000/1000000, 1000000/0, 1000000/0*0 nobody");
    check([whole(), rule(one(C, 999_999))], "1000000/1000000, 999999/0 nobody");
    check([whole(), salted(rule(one(C, 500_000)))], "1000000/1000000, 500000/500000*0 nobody");
    check([whole(), by(By::Conversation, rule(one(C, 500_000)))], "1000000/1000000, 500000/500000*0");
    // Every request has an id.
    check([by(By::Request, whole()), rule(one(C, ALL))], "1000000/1000000, 1000000/1000000*0 nobody");
    check([by(By::Request, whole()), rule(one(C, 500_000))], "1000000/1000000, 500000/500000*0 nobody");
}

#[test]
fn other_rings_are_independent() {
    let tenth = rule(one(A, 100_000));
    check([tenth.clone(), salted(rule(one(B, 300_000)))], "100000/100000, 300000/300000*0.9");
    check([tenth.clone(), by(By::Client, rule(one(B, 300_000)))], "100000/100000, 300000/300000*0.9");
    check(
        [tenth.clone(), salted(rule(one(B, 500_000))), rule(one(C, 300_000))],
        "100000/100000, 500000/500000*0.9, 300000/200000*0.5",
    );
    let shares = coverage(&flag([tenth, salted(rule(one(B, 300_000)))]));
    assert!((shares[1].share() - 0.27).abs() < 1e-12, "{}", shares[1].share());
}

/// The step at which every edge of the property below lies.
const STEP: u32 = 1000;

/// A tenth of anything here is a multiple of the step: weights are tens of percent, percentages too.
fn any_rule() -> impl Strategy<Value = Rule> {
    let tenths = 0..=10_u32;
    let single = tenths.clone().prop_map(|tenth| one(A, tenth * 100_000));
    let halves = (tenths.clone(), tenths)
        .prop_map(|(weight, tenth)| split(&[(A, weight * 10), (B, 100 - weight * 10)], tenth * 100_000));
    (prop_oneof![single, halves], proptest::bool::ANY).prop_map(|(serve, always)| {
        let whole = rule(serve);
        if always { whole } else { conditional(whole) }
    })
}

proptest! {
    /// The reference asks every bucket (or rather, one of each step) which rule takes it.
    #[test]
    fn shares_are_those_of_the_buckets(rules in collection::vec(any_rule(), 1..6)) {
        let takes = |rule: &Rule, bucket| rule.serve.variant_at(bucket, rule.serve.percent()).is_some();
        let always = |rule: &&Rule| matches!(rule.when, Condition::Always);
        let shares = coverage(&flag(rules.clone()));
        for (place, share) in shares.iter().enumerate() {
            let reaches = |bucket: &u32| !rules[..place].iter().filter(always).any(|above| takes(above, *bucket));
            let buckets = || (0..ALL).step_by(STEP as usize).filter(|&bucket| takes(&rules[place], bucket));
            let takes_all = |above: &Rule| matches!(above.serve, Serve::One { .. }) && takes(above, ALL - 1);
            let everybody = rules[..place].iter().filter(always).any(takes_all);
            prop_assert_eq!(share.alone, buckets().count() as u32 * STEP);
            prop_assert_eq!(share.left, buckets().filter(reaches).count() as u32 * STEP);
            prop_assert_eq!(share.passed, if everybody { 0.0 } else { 1.0 });
        }
    }
}
