//! How keys spread over the ring: evenly, in the size that was asked for, and independently of other flags.

use crate::flags::tests::{A, flag, one, rule, user};
use crate::flags::{BUCKETS, FlagState, Rule, bucket, evaluate, salt_seed};

/// Calls `each` with `user-0`, `user-1`, …
fn sequential_ids(count: u32, mut each: impl FnMut(&str)) {
    let mut id = String::from("user-");
    for number in 0..count {
        id.truncate("user-".len());
        id.push_str(itoa::Buffer::new().format(number));
        each(&id);
    }
}

#[test]
fn sequential_ids_spread_evenly() {
    const IDS: u32 = 1_000_000;
    const CELLS: u32 = 10_000;
    let mut cells = vec![0_u32; CELLS as usize];
    let seed = salt_seed("inference_model");
    sequential_ids(IDS, |id| cells[(bucket(seed, id) / (BUCKETS / CELLS)) as usize] += 1);

    let expected = f64::from(IDS) / f64::from(CELLS);
    let chi_square: f64 = cells.iter().map(|&found| (f64::from(found) - expected).powi(2) / expected).sum();
    // Chi-square has as mean its degrees of freedom and twice them as variance. Too even is as suspicious as too uneven.
    let freedom = f64::from(CELLS - 1);
    let sigmas = (chi_square - freedom) / (2.0 * freedom).sqrt();
    assert!(sigmas.abs() < 4.0, "chi-square is {chi_square}, {sigmas} sigma from {freedom}");
}

#[test]
fn shares_hit_their_size() {
    const IDS: u32 = 1_000_000;
    for (salt, ppm) in [("one percent", 10_000), ("a hundredth", 100), ("a third", 333_330)] {
        let flag = flag([Rule { seed: salt_seed(salt), ..rule(one(A, ppm)) }]);
        let mut taken = 0_u32;
        sequential_ids(IDS, |id| {
            taken += u32::from(evaluate(&flag, &user(id), &FlagState::default()).variant == A);
        });
        let share = f64::from(ppm) / f64::from(BUCKETS);
        let expected = f64::from(IDS) * share;
        let sigmas = (f64::from(taken) - expected) / (expected * (1.0 - share)).sqrt();
        assert!(sigmas.abs() < 4.0, "{salt}: {taken} of {expected} expected, {sigmas} sigma");
    }
}

#[test]
fn flags_are_independent() {
    const IDS: u32 = 20_000;
    const FLAGS: usize = 20;
    // Names as like each other as operators make them.
    let seeds: Vec<_> = (0..FLAGS).map(|number| salt_seed(&format!("flag-{number}"))).collect();
    let mut buckets = vec![Vec::new(); FLAGS];
    sequential_ids(IDS, |id| {
        for (column, &seed) in buckets.iter_mut().zip(&seeds) {
            column.push(f64::from(bucket(seed, id)));
        }
    });
    let columns: Vec<_> = buckets.iter().map(|column| standardised(column)).collect();
    let bound = 4.0 / f64::from(IDS).sqrt();
    for (first, one) in columns.iter().enumerate() {
        for (second, other) in columns.iter().enumerate().skip(first + 1) {
            let products: f64 = one.iter().zip(other).map(|(x, y)| x * y).sum();
            let correlation = products / f64::from(IDS);
            assert!(correlation.abs() < bound, "flags {first} and {second} correlate by {correlation}");
        }
    }
}

/// Shifted and scaled to a mean of 0 and a variance of 1.
fn standardised(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    values.iter().map(|value| (value - mean) / variance.sqrt()).collect()
}
