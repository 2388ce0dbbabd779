//! Evaluating a flag never touches the heap, nor does seeing a user again. A binary of its own, because it swaps the allocator of the whole process for
//! one that counts; the count is kept per thread, so other tests of this binary cannot disturb it.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built must fail the test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dimmer::config::{AttributeKind, AttributeSpec, Source};
use dimmer::flags::{AttributeValue, Context, FlagState, Reason, evaluate};
use dimmer::record::{Contexts, Limits, Shape, ShapeOf, user_hash};
use dimmer::wire::Endpoint;

#[path = "../benches/fixture/ten_rules.rs"]
mod ten_rules;

/// How many evaluations are counted.
const EVALUATIONS: usize = 1000;

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn a_thousand_evaluations_allocate_nothing() {
    let flag = ten_rules::flag();
    let tools = ten_rules::tools();
    let users: Vec<_> = (0..EVALUATIONS).map(|number| format!("user-{number}")).collect();
    let attributes: Vec<_> =
        (0..EVALUATIONS).map(|place| ten_rules::attributes(place % 40 == 0, place as f64 / 8.0)).collect();
    let contexts: Vec<Context<'_>> = users
        .iter()
        .zip(&attributes)
        .enumerate()
        .map(|(place, (user, attributes))| {
            // Every third of them lacks all attributes, and every 50th the key as well.
            let known = if place % 3 == 0 { &[][..] } else { attributes };
            let whole = ten_rules::context(user, &tools, known);
            if place % 50 == 0 { Context { targeting_key: None, conversation: None, ..whole } } else { whole }
        })
        .collect();

    // A pattern gets its scratch space of this thread with its first search, and never again.
    evaluate(&flag, &contexts[1], &FlagState::default());

    let mut served = Vec::with_capacity(EVALUATIONS);
    let counted = allocation_counter::measure(|| {
        served.extend(contexts.iter().map(|context| evaluate(&flag, context, &FlagState::default())));
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");

    // The count means something only where the evaluations went every way there is.
    let rules: BTreeSet<_> = served.iter().filter_map(|found| found.rule).collect();
    assert_eq!(rules, BTreeSet::from_iter(0..10), "every rule serves somebody");
    for reason in [Reason::TargetingMatch, Reason::Split, Reason::Default, Reason::Error] {
        assert!(served.iter().any(|found| found.reason == reason), "nobody got {reason:?}");
    }
}

/// Of the users who ask a tenth is in the sample; the second time each is as before, and nothing is written.
#[test]
fn who_is_seen_again_allocates_nothing() {
    let limits = Limits { users: EVALUATIONS / 10, bytes: 1 << 20, age: Duration::from_secs(3600) };
    let contexts = Contexts::new(limits);
    let from = Source::Header("x-tier".parse().unwrap());
    let spec = AttributeSpec { name: "tier".into(), from, kind: AttributeKind::Text };
    let shape =
        Shape { attributes: vec![ShapeOf { place: 0, spec }], model: true, tools: true, ..Shape::default() };
    let shape = Arc::new(shape);
    let tools = ten_rules::tools();
    let users: Vec<_> = (0..EVALUATIONS).map(|number| format!("user-{number}")).collect();
    let custom = [Some(AttributeValue::Text("pro"))];
    let see_all = || {
        for user in &users {
            let context = Context {
                targeting_key: Some(user),
                client: Some("web"),
                route: "assistant",
                request_model: Some("gpt-4o"),
                request_stream: Some(true),
                request_tools: Some(&tools),
                custom: &custom,
                ..Context::default()
            };
            contexts.saw(user_hash(user), &shape, &context, Endpoint::Chat);
        }
    };
    let first = allocation_counter::measure(see_all);
    assert!(first.count_total > 100, "they were noted: {first:?}");
    let again = allocation_counter::measure(see_all);
    assert_eq!(again.count_total, 0, "{again:?}");
    let look = contexts.look(Duration::from_secs(60), dimmer::clock::uptime());
    assert_eq!((look.users, look.visits.len()), (100, 100));
}
