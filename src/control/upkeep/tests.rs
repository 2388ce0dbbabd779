//! What is remembered between two looks, over a restart, and of what the records say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Seen, Upkeep};
use crate::config::{Config, ProcessEnvironment, parse};
use crate::names::{FlagKey, RuleName};
use crate::observe::Metrics;
use crate::record::{Reader, StoreError};
use crate::report::hygiene::{Overrides, Quiet};
use crate::snapshot::{Breakers, KeyRests, Snapshot, Store};
use crate::state::{Noted, Override, RunState};
use crate::units::Percent;

const FILE: &str = "
[providers.p]
dialect = \"mock\"
[models.a]
provider = \"p\"
[models.b]
provider = \"p\"
[flags.f]
owner = \"o\"
expires = 2099-01-01
default = \"a\"
[[flags.f.rules]]
name = \"all\"
percent = 10
serve = \"b\"
[routes.default]
model.flag = \"f\"
";

fn config(text: &str) -> Config {
    let parsed = parse(text, "routes.toml", Path::new("."), &ProcessEnvironment { now_s: 0 });
    parsed.unwrap_or_else(|errors| panic!("{}", errors.pretty()))
}

fn counts(count: u64) -> BTreeMap<String, u64> {
    if count == 0 { BTreeMap::new() } else { [("f".to_owned(), count)].into() }
}

/// A look `at_s` seconds after the start, when `evaluations` were counted.
fn look(seen: &mut Seen, at_s: u64, evaluations: u64) -> Quiet {
    let now = (1_000_000 + at_s * 1000, Duration::from_millis(at_s * 1000 + 700));
    seen.look(&config(FILE), &Overrides::new(), (counts(evaluations), BTreeMap::new()), now);
    seen.watched.flags["f"]
}

fn quiet(since_s: u64, asked: bool, quiet_s: u64) -> Quiet {
    Quiet { since_ms: 1_000_000 + since_s * 1000, asked, quiet_s }
}

#[test]
fn quiet_grows_until_somebody_asks() {
    let mut seen = Seen::default();
    assert_eq!(look(&mut seen, 0, 0), quiet(0, false, 0));
    assert_eq!(look(&mut seen, 60, 0), quiet(0, false, 60));
    assert_eq!(look(&mut seen, 60, 0), quiet(0, false, 60), "two looks at once are one");
    assert_eq!(look(&mut seen, 61, 3), quiet(61, true, 0));
    assert_eq!(look(&mut seen, 91, 3), quiet(61, true, 30));
    assert_eq!(look(&mut seen, 95, 4), quiet(95, true, 0));
    assert_eq!(seen.watched.since_ms, 1_000_000);
}

#[test]
fn what_the_configuration_has_not_is_forgotten() {
    let mut seen = Seen::default();
    look(&mut seen, 0, 1);
    let other = FILE.replace("flags.f", "flags.g").replace("\"f\"", "\"g\"");
    let now = (2_000_000, Duration::from_secs(5));
    seen.look(&config(&other), &Overrides::new(), (counts(1), BTreeMap::new()), now);
    let keys: Vec<&String> = seen.watched.flags.keys().collect();
    assert_eq!(keys, ["g"]);
}

#[test]
fn the_records_know_of_other_gateways() {
    let check = |mut seen: Seen, at_ms: u64, expected: Quiet| {
        seen.heard(Ok(vec![("f".to_owned(), at_ms), ("gone".to_owned(), at_ms)]), 1_100_000, Duration::ZERO);
        assert_eq!((seen.watched.flags["f"], seen.watched.record.as_str()), (expected, "read"), "{at_ms}");
    };
    let watched = |evaluations: u64| {
        let mut seen = Seen::default();
        look(&mut seen, 0, evaluations);
        look(&mut seen, 100, evaluations);
        seen
    };
    // Never here, and lately elsewhere.
    check(watched(0), 1_090_000, quiet(90, true, 10));
    // Never here, and elsewhere before this gateway began: nobody was there to see more than it saw.
    check(watched(0), 400_000, Quiet { since_ms: 400_000, asked: true, quiet_s: 100 });
    // Later here.
    check(watched(1), 400_000, quiet(0, true, 100));
    // By a clock that is ahead.
    check(watched(1), 1_200_000, quiet(100, true, 0));
}

#[test]
fn records_that_cannot_be_read_are_said() {
    let mut seen = Seen::default();
    look(&mut seen, 0, 0);
    seen.heard(
        Err(StoreError { message: "it is away".to_owned(), hopeless: false }),
        1_000_000,
        Duration::ZERO,
    );
    assert_eq!((seen.watched.flags["f"], seen.watched.record.as_str()), (quiet(0, false, 0), "it is away"));
}

#[test]
fn a_rule_is_full_since_it_was_set_or_seen_so() {
    let key = (FlagKey::from("f"), RuleName::from("all"));
    let set = |percent: u32| {
        let percent = Percent::from_ppm(percent).unwrap();
        let replaced = Percent::from_ppm(100_000).unwrap();
        let set = Override { percent, replaced, reason: String::new(), by: String::new(), at_ms: 500 };
        [(key.clone(), set)].into()
    };
    let mut seen = Seen::default();
    let mut since = |config: &Config, overrides: &Overrides, now_ms: u64| {
        seen.look(config, overrides, (BTreeMap::new(), BTreeMap::new()), (now_ms, Duration::ZERO));
        seen.watched.full.get(&key).map(|full| full.since_ms)
    };
    let tenth = config(FILE);
    let all = config(&FILE.replace("percent = 10\n", ""));
    assert_eq!(since(&tenth, &Overrides::new(), 1000), None);
    assert_eq!(since(&tenth, &set(1_000_000), 2000), Some(500), "when it was set is known");
    assert_eq!(since(&all, &Overrides::new(), 3000), Some(500), "the file has caught up");
    let other = config(&FILE.replace("percent = 10\nserve = \"b\"", "serve = \"a\""));
    assert_eq!(since(&other, &Overrides::new(), 4000), Some(4000), "another rollout");
    assert_eq!(since(&tenth, &set(500_000), 5000), None);
    assert_eq!(since(&all, &Overrides::new(), 6000), Some(6000));
}

fn upkeep() -> Upkeep {
    let metrics = Arc::new(Metrics::new().unwrap());
    let breakers = Breakers::new(&metrics, Duration::ZERO);
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let text = FILE.replace("percent = 10\n", "");
    let rests = KeyRests::default();
    let snapshot = Snapshot::build(config(&text), 1, &metrics, Some(nowhere), &rests, &breakers).unwrap();
    let store = Arc::new(Store::new(Arc::new(snapshot), RunState::default()));
    Upkeep::new(store, metrics, Arc::new(Reader::off()))
}

#[test]
fn what_was_watched_outlives_the_process() {
    let (before, after) = (upkeep(), upkeep());
    assert_eq!(before.to_note(), None, "nothing was looked at");
    before.tick();
    before.seen().watched.flags.insert("f".to_owned(), quiet(5, true, 7));
    before.seen().watched.full.values_mut().for_each(|full| full.since_ms = 77);
    let note = before.to_note().unwrap();
    assert_eq!(before.to_note(), None, "nothing is new");
    before.not_kept();
    assert_eq!(before.to_note().as_ref(), Some(&note));
    assert!(after.take_note(&note));
    after.tick();
    assert_eq!(after.seen().watched, before.seen().watched);
    assert_eq!(after.seen().watched.full.values().next().map(|full| full.since_ms), Some(77));
}

#[test]
fn a_note_of_another_version_is_not_taken() {
    let upkeep = upkeep();
    for wrong in ["", "{}", r#"{"version":2,"since_ms":1,"flags":{},"models":{},"full":[]}"#] {
        assert!(!upkeep.take_note(wrong.as_bytes()), "{wrong}");
    }
    assert_eq!(upkeep.seen().watched.since_ms, 0);
}
