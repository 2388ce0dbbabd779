//! What one evaluation of a flag costs. The goal: at most 0.3 µs for ten rules.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built must end the benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dimmer::flags::{Context, FlagState, bucket, evaluate, salt_seed};

#[path = "fixture/ten_rules.rs"]
mod ten_rules;

/// Enough callers to fall to every rule and to none, few enough to stay in the first cache.
const CALLERS: usize = 256;

fn evaluations(criterion: &mut Criterion) {
    let flag = ten_rules::flag();
    let (tools, attributes) = (ten_rules::tools(), ten_rules::attributes(false, 400.25));
    let users: Vec<_> = (0..CALLERS).map(|number| format!("user-{number}")).collect();
    let contexts: Vec<_> = users.iter().map(|user| ten_rules::context(user, &tools, &attributes)).collect();
    let state = FlagState::default();
    let evaluated = |context: &Context<'_>| evaluate(black_box(&flag), black_box(context), black_box(&state));

    let mut group = criterion.benchmark_group("flags");
    group.bench_function("ten rules, callers fall to all of them", |bencher| {
        let mut callers = contexts.iter().cycle();
        bencher.iter(|| evaluated(callers.next().unwrap()));
    });
    group.bench_function("ten rules, every `when` holds, none takes", |bencher| {
        let left_over: Vec<_> = contexts.iter().filter(|context| evaluated(context).rule.is_none()).collect();
        let mut callers = left_over.iter().cycle();
        bencher.iter(|| evaluated(callers.next().unwrap()));
    });
    group.bench_function("ten rules, a caller of whom only the key is known", |bencher| {
        let unknown = |user| Context { targeting_key: Some(user), ..Context::default() };
        let strangers: Vec<_> = users.iter().map(|user| unknown(user)).collect();
        let mut callers = strangers.iter().cycle();
        bencher.iter(|| evaluated(callers.next().unwrap()));
    });
    group.bench_function("one bucket", |bencher| {
        let seed = salt_seed("inference_model");
        let mut users = users.iter().cycle();
        bencher.iter(|| bucket(seed, black_box(users.next().unwrap())));
    });
    group.finish();
}

criterion_group!(benches, evaluations);
criterion_main!(benches);
