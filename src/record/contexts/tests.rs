//! Who is in the sample, how long, and that it stays within its bounds.

use std::sync::Arc;
use std::time::Duration;

use super::{Contexts, Limits, Shape, ShapeOf, user_hash};
use crate::config::{AttributeKind, AttributeSpec, OwnedAttribute, Source};
use crate::flags::{AttributeValue, Context};
use crate::wire::Endpoint;

const HOUR: Duration = Duration::from_secs(3600);

fn limits(users: usize, bytes: usize) -> Limits {
    Limits { users, bytes, age: HOUR * 24 }
}

fn shape(from: Source) -> Arc<Shape> {
    let spec = AttributeSpec { name: "tier".into(), from, kind: AttributeKind::Text };
    Arc::new(Shape { attributes: vec![ShapeOf { place: 0, spec }], ..Shape::default() })
}

fn header() -> Source {
    Source::Header(http::HeaderName::from_static("x-tier"))
}

fn saw(contexts: &Contexts, shape: &Arc<Shape>, user: &str, tier: Option<&str>, now: Duration) {
    let custom = [tier.map(AttributeValue::Text)];
    let context = Context {
        targeting_key: Some(user),
        route: "r",
        request_stream: Some(false),
        custom: &custom,
        ..Context::default()
    };
    contexts.note(user_hash(user), shape, &context, Endpoint::Chat, now);
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("user-{number}")).collect()
}

/// The users of a look, by their ids.
fn seen(contexts: &Contexts, back: Duration, now: Duration) -> Vec<String> {
    let mut all: Vec<String> =
        contexts.look(back, now).visits.iter().map(|(_, visit)| visit.context.key.to_string()).collect();
    all.sort();
    all
}

#[test]
fn few_are_all_there_and_counted_exactly() {
    let (contexts, shape) = (Contexts::new(limits(1000, 1 << 20)), shape(header()));
    let now = contexts.began + HOUR;
    for user in ids(700).iter().chain(&ids(700)) {
        saw(&contexts, &shape, user, Some("pro"), now);
    }
    let look = contexts.look(HOUR, now);
    assert_eq!((look.users, look.of, look.whole, look.visits.len()), (700, 700, true, 700));
}

#[test]
fn many_are_a_sample_that_tells_how_many_they_are() {
    let (contexts, shape) = (Contexts::new(limits(1000, 1 << 20)), shape(header()));
    let now = contexts.began + HOUR;
    let users = ids(50_000);
    for user in &users {
        saw(&contexts, &shape, user, Some("pro"), now);
    }
    let look = contexts.look(HOUR, now);
    assert_eq!((look.users, look.whole), (1000, false));
    assert!(look.of.abs_diff(50_000) < 5_000, "{}", look.of);
    let mut smaller = look.clone();
    smaller.narrow(100);
    assert_eq!((smaller.users, smaller.whole), (100, false));
    assert!(smaller.of.abs_diff(50_000) < 15_000, "{}", smaller.of);
    // The same whoever comes first: another replica that sees the same users has the same sample.
    let other = Contexts::new(limits(1000, 1 << 20));
    for user in users.iter().rev() {
        saw(&other, &shape, user, Some("pro"), now);
    }
    assert_eq!(seen(&contexts, HOUR, now), seen(&other, HOUR, now));
    let mut hashes: Vec<u64> = users.iter().map(|user| user_hash(user)).collect();
    hashes.sort_unstable();
    let mut kept: Vec<u64> = look.visits.iter().map(|(hash, _)| *hash).collect();
    kept.sort_unstable();
    assert_eq!(kept, hashes[..1000], "those with the smallest hashes");
}

#[test]
fn it_takes_no_more_memory_than_it_may() {
    let (contexts, shape) = (Contexts::new(limits(10_000, 200_000)), shape(header()));
    let now = contexts.began + HOUR;
    let long = "x".repeat(250);
    for user in ids(5000) {
        saw(&contexts, &shape, &user, Some(&long), now);
    }
    let kept = contexts.kept();
    let bytes: usize = kept.users.values().flatten().map(|visit| visit.context.bytes()).sum();
    assert_eq!(kept.bytes, bytes, "what is counted is what is there");
    assert!(bytes <= 200_000 && kept.users.len() > 200, "{bytes} bytes, {} users", kept.users.len());
}

#[test]
fn the_last_context_counts_and_too_long_values_are_not_known() {
    let (contexts, shape) = (Contexts::new(limits(1000, 1 << 20)), shape(header()));
    let now = contexts.began + HOUR;
    let long = "x".repeat(257);
    for (tier, expected) in [
        (Some("free"), Some(Some("free"))),
        (Some("pro"), Some(Some("pro"))),
        (Some("pro"), Some(Some("pro"))),
        (None, Some(None)),
        (Some(long.as_str()), None),
        (Some(long.as_str()), None),
    ] {
        saw(&contexts, &shape, "olivia", tier, now);
        let look = contexts.look(HOUR, now);
        let [(_, visit)] = look.visits.as_slice() else { panic!("{look:?}") };
        let noted = &visit.context.attributes[0];
        let found = noted.is_known().then(|| match noted.value() {
            Some(OwnedAttribute::Text(text)) => Some(&**text),
            _ => None,
        });
        assert_eq!(found, expected);
    }
    saw(&contexts, &shape, &long, Some("pro"), now);
    let look = contexts.look(HOUR, now);
    assert_eq!((look.users, look.too_long), (1, 1), "an id that is too long is nobody, and counted");
}

#[test]
fn what_stands_in_a_body_that_nobody_read_is_not_known() {
    let contexts = Contexts::new(limits(1000, 1 << 20));
    let body = shape(Source::Body(vec!["tier".to_owned()]));
    let custom = [None];
    let unread = Context { targeting_key: Some("olivia"), route: "r", custom: &custom, ..Context::default() };
    contexts.note(user_hash("olivia"), &body, &unread, Endpoint::Chat, contexts.began);
    let look = contexts.look(HOUR, contexts.began);
    assert!(!look.visits[0].1.context.attributes[0].is_known());
    saw(&contexts, &body, "olivia", None, contexts.began);
    let look = contexts.look(HOUR, contexts.began);
    assert!(look.visits[0].1.context.attributes[0].is_known(), "it was read, and had none");
}

#[test]
fn who_is_forgotten_is_gone() {
    let (contexts, shape) = (Contexts::new(limits(1000, 1 << 20)), shape(header()));
    for user in ids(3) {
        saw(&contexts, &shape, &user, Some("pro"), contexts.began);
    }
    contexts.forget("user-1");
    contexts.forget("nobody");
    assert_eq!(seen(&contexts, HOUR, contexts.began), ["user-0", "user-2"]);
    let bytes: usize = contexts.kept().users.values().flatten().map(|visit| visit.context.bytes()).sum();
    assert_eq!(contexts.kept().bytes, bytes);
}

#[test]
fn a_window_has_only_those_who_asked_in_it() {
    let (contexts, shape) = (Contexts::new(limits(1000, 1 << 20)), shape(header()));
    let at = |hours: u32| contexts.began + HOUR * hours;
    saw(&contexts, &shape, "early", Some("pro"), at(1));
    saw(&contexts, &shape, "late", Some("pro"), at(5));
    assert_eq!(seen(&contexts, HOUR, at(5)), ["late"]);
    assert_eq!(seen(&contexts, HOUR * 24, at(5)), ["early", "late"]);
    assert_eq!(contexts.look(HOUR * 24, at(5)).back, HOUR * 5, "it is no older");
    contexts.sweep(at(26));
    assert_eq!(seen(&contexts, HOUR * 48, at(26)), ["late"], "who was not seen for a day is left out");
    let bytes: usize = contexts.kept().users.values().flatten().map(|visit| visit.context.bytes()).sum();
    assert_eq!(contexts.kept().bytes, bytes);
}

/// Users come and go for weeks: the sample stays of a size that says something, and never counts over users of whom it may have
/// missed some.
#[test]
fn it_has_room_again_when_old_users_are_gone() {
    let (contexts, shape) = (Contexts::new(limits(100, 1 << 20)), shape(header()));
    let mut now = contexts.began;
    for day in 0..30_u32 {
        for user in 0..1000 {
            // Fewer users from the tenth day on.
            if day < 10 || user < 40 {
                saw(&contexts, &shape, &format!("day-{day}-user-{user}"), Some("pro"), now);
            }
        }
        for _ in 0..4 {
            now += HOUR * 6;
            contexts.sweep(now);
        }
        let look = contexts.look(HOUR * 24, now);
        let real = if day < 10 { 1000 } else { 40 };
        let off = look.of.abs_diff(real) as f64 / real as f64;
        assert!(off < 0.5 || look.users < 10, "day {day}: {} of {} of {real}", look.users, look.of);
        assert!(look.users <= 100);
    }
    let look = contexts.look(HOUR * 24, now);
    assert_eq!((look.users, look.of, look.whole), (40, 40, true), "at last all of them are there again");
}
