//! Each kind of finding, and what looks like one and is none.

use std::path::Path;
use std::time::Duration;

use super::{FullSince, Hygiene, Kind, Overrides, Patience, Quiet, Watched, full, hygiene};
use crate::config::{Config, ProcessEnvironment, parse};
use crate::names::{FlagKey, RuleName};
use crate::state::Override;
use crate::units::Percent;

/// 2026-11-21T00:00:00Z
const NOW_MS: u64 = 1_795_219_200_000;
const DAY_MS: u64 = 86_400_000;

const FILE: &str = r#"
[providers.p]
dialect = "mock"
[providers.idle]
dialect = "openai"
base_url = "http://127.0.0.1:1/v1"
[models.small]
provider = "p"
[models.large]
provider = "p"
[models.spare]
provider = "p"
upstream_model = "spare"
[models.graded]
provider = "p"
[prompts.plain]
text = "Be plain."
[prompts.forgotten]
text = "Be."
[replies.sorry]
text = "Sorry."
[replies.lost]
text = "Lost."
[segments.used]
when = { "request.stream" = true }
[segments.loose]
when = { "request.stream" = false }
[judges.reads]
model = "graded"
rubric = "Which?"
[judges.idle]
model = "graded"
rubric = "Which?"
[breakers.on]
[breakers.off]
[flags.old]
owner = "a"
expires = 2026-11-20
default = "small"
[flags.young]
owner = "b"
expires = 2026-11-22
default = "small"
rules = [
    { name = "some", when = { segment = "used" }, serve = "large" },
    { name = "half", percent = 50, serve = "large" },
    { name = "all", serve = "small" },
]
[flags.stays]
owner = "d"
permanent = true
default = true
rules = [{ name = "all", serve = true }]
[flags.loose]
owner = "c"
permanent = true
default = "small"
[routes.r]
path = "/r"
provider = "p"
enabled.flag = "stays"
model.flag = "young"
system_prompt = "plain"
fallback = ["sorry"]
breaker = "on"
[[routes.r.shadow]]
name = "s"
model = "small"
percent = 1
judges = ["reads"]
[routes.nobody]
provider = "p"
model.flag = "old"
"#;

fn config(text: &str) -> Config {
    let env = ProcessEnvironment { now_s: i64::try_from(NOW_MS / 1000).unwrap() };
    parse(text, "routes.toml", Path::new("."), &env).unwrap_or_else(|errors| panic!("{}", errors.pretty()))
}

fn found(hygiene: &Hygiene, kind: Kind) -> Vec<&str> {
    let of_kind = hygiene.findings.iter().filter(|finding| finding.kind == kind);
    of_kind.map(|finding| finding.what.as_str()).collect()
}

fn says<'h>(hygiene: &'h Hygiene, kind: Kind, what: &str) -> &'h str {
    let finding = hygiene.findings.iter().find(|finding| finding.kind == kind && finding.what == what);
    finding.map(|finding| finding.says.as_str()).unwrap_or_else(|| panic!("{what}: {hygiene:?}"))
}

fn key(flag: &str, rule: &str) -> (FlagKey, RuleName) {
    (FlagKey::from(flag), RuleName::from(rule))
}

fn offline(config: &Config) -> Hygiene {
    hygiene(config, &Overrides::new(), None, Patience::default(), NOW_MS)
}

#[test]
fn a_file_alone_shows_dates_and_names() {
    let hygiene = offline(&config(FILE));
    assert_eq!(found(&hygiene, Kind::Expired), ["flag:old"]);
    assert_eq!(
        found(&hygiene, Kind::Unused),
        [
            "flag:loose",
            "segment:loose",
            "prompt:forgotten",
            "reply:lost",
            "model:spare",
            "provider:idle",
            "judge:idle",
            "breaker:off",
            "route:nobody",
        ]
    );
    assert_eq!(hygiene.findings.len(), 10, "nobody was watched: {hygiene:?}");
    let old = &hygiene.findings[0];
    assert_eq!((old.owner.as_deref(), old.since.as_deref()), (Some("a"), Some("2026-11-20T00:00:00.000Z")));
    assert_eq!(
        old.says,
        "`old` was to be gone on 2026-11-20 and still decides on nobody.model: write there what it serves and delete \
         [flags.old], or give it a new `expires`"
    );
    assert_eq!(
        says(&hygiene, Kind::Unused, "prompt:forgotten"),
        "nothing uses prompt `forgotten`: delete [prompts.forgotten] on line 18"
    );
    assert_eq!((hygiene.looked.watched_since, hygiene.looked.record.as_str()), (None, "off"));
}

#[test]
fn a_tidy_file_shows_nothing() {
    let text =
        "[providers.p]\ndialect = \"mock\"\n[models.m]\nprovider = \"p\"\n[routes.default]\nmodel = \"m\"\n";
    assert_eq!(offline(&config(text)).findings, []);
}

#[test]
fn a_model_that_callers_may_ask_for_is_unused_when_nobody_does() {
    let file = "[providers.p]\ndialect = \"mock\"\n[models.m]\nprovider = \"p\"\n[routes.default]\n";
    let check = |more: &str, quiet: Option<u64>, expected: bool| {
        let config = config(&format!("{file}{more}"));
        let quiet = quiet.map(|days| Quiet {
            quiet_s: days * 86_400,
            since_ms: NOW_MS - days * DAY_MS,
            asked: false,
        });
        let models = quiet.map(|quiet| ("m".to_owned(), quiet)).into_iter().collect();
        let watched = Watched { models, ..Watched::default() };
        let hygiene = hygiene(&config, &Overrides::new(), Some(&watched), Patience::default(), NOW_MS);
        assert_eq!(found(&hygiene, Kind::Unused) == ["model:m"], expected, "{more} {quiet:?}");
    };
    check("", None, false);
    check("", Some(6), false);
    check("", Some(7), true);
    check("models = \"declared\"\n", Some(6), false);
    // It is named.
    check("models = [\"m\"]\n", Some(30), false);
    assert_eq!(offline(&config(file)).findings, [], "the file does not say who asks");
}

#[test]
fn only_a_rollout_that_ended_is_full() {
    let config = config(FILE);
    let rules = |overrides: &Overrides| -> Vec<String> {
        full(&config, overrides).iter().map(|one| format!("{}/{}", one.flag.key, one.rule.name)).collect()
    };
    let set = |percent: u32, replaced: u32| Override {
        percent: Percent::from_ppm(percent).unwrap(),
        replaced: Percent::from_ppm(replaced).unwrap(),
        reason: String::new(),
        by: "alice".to_owned(),
        at_ms: NOW_MS - 20 * DAY_MS,
    };
    assert_eq!(
        rules(&Overrides::new()),
        ["young/all"],
        "conditions are no rollouts, and permanent flags stay"
    );
    let mut overrides = Overrides::new();
    overrides.insert(key("young", "half"), set(1_000_000, 500_000));
    assert_eq!(rules(&overrides), ["young/half"], "nobody gets to what stands below");
    overrides.insert(key("young", "some"), set(1_000_000, 100_000));
    assert_eq!(rules(&overrides), ["young/half"], "the file has moved on");
    overrides.insert(key("young", "some"), set(1_000_000, 1_000_000));
    assert_eq!(rules(&overrides), ["young/some", "young/half"], "somebody said so at run time");
}

#[test]
fn a_split_is_full_where_one_variant_has_all_of_it() {
    let check = |split: &str, expected: usize| {
        let text = format!(
            "[providers.p]\ndialect = \"mock\"\n[models.a]\nprovider = \"p\"\n[models.b]\nprovider = \"p\"\n[flags.f]\nowner = \"o\"\n\
             expires = 2027-01-01\ndefault = \"a\"\nrules = [{{ name = \"r\", split = {split} }}]\n[routes.default]\nmodel.flag = \"f\"\n"
        );
        assert_eq!(full(&config(&text), &Overrides::new()).len(), expected, "{split}");
    };
    check("{ a = 50, b = 50 }", 0);
    check("{ a = 0, b = 100 }", 1);
    check("{ b = 100 }, percent = 50", 0);
}

#[test]
fn full_counts_from_when_it_was_seen() {
    let config = config(FILE);
    let check = |days: u64, patience: Duration, expected: &[&str]| {
        let since = FullSince { since_ms: NOW_MS - days * DAY_MS, variant: "small".to_owned() };
        let watched = Watched { full: [(key("young", "all"), since)].into(), ..Watched::default() };
        let patience = Patience { full_for: patience, ..Patience::default() };
        let hygiene = hygiene(&config, &Overrides::new(), Some(&watched), patience, NOW_MS);
        assert_eq!(found(&hygiene, Kind::FullForLong), expected, "{days}");
        hygiene
    };
    let patience = Patience::default().full_for;
    check(13, patience, &[]);
    check(0, Duration::ZERO, &["flag:young"]);
    let hygiene = check(14, patience, &["flag:young"]);
    assert_eq!(
        says(&hygiene, Kind::FullForLong, "flag:young"),
        "rule `all` of `young` has given `small` to everybody since 2026-11-07 or longer: write it on r.model and delete \
         [flags.young]"
    );
}

#[test]
fn quiet_is_who_was_watched_and_not_asked_for() {
    let config = config(FILE);
    let quiet = |asked, days: u64| Quiet { since_ms: NOW_MS - days * DAY_MS, asked, quiet_s: days * 86_400 };
    let flags = [
        ("young".to_owned(), quiet(true, 8)),
        ("stays".to_owned(), quiet(false, 7)),
        ("old".to_owned(), quiet(true, 6)),
        ("loose".to_owned(), quiet(false, 90)),
    ];
    let watched = Watched { flags: flags.into(), since_ms: NOW_MS - 90 * DAY_MS, ..Watched::default() };
    let hygiene = hygiene(&config, &Overrides::new(), Some(&watched), Patience::default(), NOW_MS);
    assert_eq!(found(&hygiene, Kind::NeverEvaluated), ["flag:young", "flag:stays"]);
    assert_eq!(
        says(&hygiene, Kind::NeverEvaluated, "flag:young"),
        "no request has asked for `young` since 2026-11-13: does an app still call r.model? Else delete [flags.young]"
    );
    assert_eq!(
        says(&hygiene, Kind::NeverEvaluated, "flag:stays"),
        "no request has ever asked for `stays`, watched since 2026-11-14: does an app call r.enabled? Else delete [flags.stays]"
    );
    assert_eq!(hygiene.looked.watched_since.as_deref(), Some("2026-08-23T00:00:00.000Z"));
}
