//! The keys of what stands beside the routes: breakers, state, and who is told.

use crate::config::keys::table::ABSENT;
use crate::config::keys::{Key, Kind, Need, default, key, later};

/// The table, behind the routes.
pub(crate) const BESIDE: &[Key] = &[
    key(
        "breakers",
        Kind::Named,
        Need::Absent("none"),
        "What makes a model or a variant be left alone for a while, or for good: docs/breakers.md. Each key has its default where it is not written.",
    ),
    key(
        "breakers.*.window",
        Kind::Duration,
        default(r#""15m""#),
        "What is looked at: attempts of this last while. From 10 s to a day.",
    ),
    key(
        "breakers.*.min_requests",
        Kind::Count,
        default("50"),
        "With fewer attempts in the window nothing trips. From 5 to 1,000.",
    ),
    key(
        "breakers.*.error_rate",
        SHARE_OR_OFF,
        default(r#""5%""#),
        "Attempts that failed: 5xx, a reset, a broken or cut answer, an error event. Trips when the one-sided 99 % lower bound of the rate is over it. What was not reached, and 429, counts apart: it leads to a cooldown, never to a kill.",
    ),
    key(
        "breakers.*.timeout_rate",
        SHARE_OR_OFF,
        default(r#""5%""#),
        "Attempts that were not answered in time.",
    ),
    key(
        "breakers.*.malformed_rate",
        SHARE_OR_OFF,
        default(r#""5%""#),
        "Of the answers to requests that ask for JSON, those that are not valid JSON.",
    ),
    key(
        "breakers.*.refusal_rate",
        SHARE_OR_OFF,
        default(r#""10%""#),
        "Attempts that the model declined to answer.",
    ),
    key(
        "breakers.*.avg_output_chars",
        Kind::Either(&Kind::Count, &OFF),
        default("5000"),
        "The mean length of whole answers, in characters.",
    ),
    key(
        "breakers.*.output_vs_control",
        Kind::Either(&OFF, &Kind::Table),
        ABSENT,
        "A variant's mean length as a multiple of its control arm's in the same window; or `\"off\"`.",
    ),
    key(
        "breakers.*.output_vs_control.min",
        Kind::Number,
        default("0.5"),
        "Trips when it is surely shorter. Under 1.",
    ),
    key(
        "breakers.*.output_vs_control.max",
        Kind::Number,
        default("5.0"),
        "Trips when it is surely longer. Over 1.",
    ),
    key(
        "breakers.*.output_vs_baseline",
        Kind::Either(&OFF, &Kind::Table),
        ABSENT,
        "The mean length as a multiple of what is usual for the same target; or `\"off\"`.",
    ),
    key(
        "breakers.*.output_vs_baseline.min",
        Kind::Number,
        default("0.5"),
        "Trips when it is surely shorter. Under 1.",
    ),
    key(
        "breakers.*.output_vs_baseline.max",
        Kind::Number,
        default("5.0"),
        "Trips when it is surely longer. Over 1.",
    ),
    key(
        "breakers.*.output_vs_baseline.over",
        Kind::Duration,
        default(r#""7d""#),
        "What is usual: the mean of this last while, the present hour left out. From 1 h to 30 d.",
    ),
    key(
        "breakers.*.p95_latency",
        Kind::Limit,
        default(r#""20s""#),
        "Trips when surely more than 5 % of the attempts take longer, from when the target is asked to the end of its answer.",
    ),
    key(
        "breakers.*.max_output_chars",
        Kind::Either(&Kind::Count, &OFF),
        default("40000"),
        "One answer: what is longer is cut in flight.",
    ),
    key(
        "breakers.*.repetition",
        Kind::Bool,
        default("true"),
        "One answer that says the same over and over is cut in flight.",
    ),
    key(
        "breakers.*.then",
        Kind::Choice(&["kill", "cooldown"], &[]),
        Need::Absent("kill for a variant, cooldown for a model"),
        "What follows a trip: the target is left alone until a person revives it, or for a while.",
    ),
    key(
        "breakers.*.cooldown",
        Kind::Duration,
        default(r#""5m""#),
        "For how long, a tenth more or less. Twice as long each time that it trips again, up to eight times. From 1 s to a day.",
    ),
    key(
        "breakers.*.mode",
        Kind::Choice(&["enforce", "observe"], &[]),
        default(r#""enforce""#),
        "`observe`: what would have tripped is logged and counted, and nothing opens.",
    ),
    key("state", Kind::Table, ABSENT, "Where kills, overrides and the audit are kept."),
    key(
        "state.url",
        Kind::Text,
        default(r#""sqlite:state.db""#),
        "A SQLite file, relative to this one; its folder must be writable. A change needs a restart. See docs/state.md.",
    ),
    key(
        "records",
        Kind::Table,
        ABSENT,
        "What is kept of requests: exposures, shadow pairs, feedback. A change needs a restart. See docs/records.md.",
    ),
    key(
        "records.url",
        Kind::Text,
        default(r#""sqlite:records.db""#),
        "A SQLite file, relative to this one; `postgres://…` for a fleet (with a password: as `\"${NAME}\"` or `\"file:PATH\"`); `none`: nothing is kept.",
    ),
    key(
        "records.user_ids",
        Kind::Choice(&["hashed", "plain"], &[]),
        default(r#""hashed""#),
        "How users and other bucketing keys are written down: as an HMAC under `secret`, or as they come.",
    ),
    key(
        "records.secret",
        Kind::Secret,
        Need::Absent("one is made at the first start and kept with the state"),
        "The key of that HMAC, at least 32 bytes. A fleet has the same for all.",
    ),
    key(
        "records.bodies",
        Kind::Choice(&["none", "shadow", "all"], &[]),
        default(r#""none""#),
        "Which prompts and answers are kept: none, those of requests that a shadow has copied, or all.",
    ),
    key(
        "records.body_max",
        Kind::Size,
        default(r#""64KiB""#),
        "So much of each at most; what is longer is cut. From 1 B to 16 MiB.",
    ),
    key(
        "records.retention",
        Kind::Duration,
        default(r#""90d""#),
        "What is older is deleted. From 1 h to 3,660 d.",
    ),
    key(
        "feedback",
        Kind::Named,
        Need::Absent("nothing may be said"),
        "What users and apps may say of an answer: docs/feedback.md.",
    ),
    key(
        "feedback.*.better",
        Kind::Choice(&["higher", "lower"], &[]),
        Need::Required,
        "Which end is the good one of its values, which go from 0 to 1.",
    ),
    key(
        "webhooks",
        Kind::Tables,
        Need::Absent("nobody is told"),
        "Who is told of what happens. See docs/webhooks.md.",
    ),
    key(
        "webhooks[].url",
        Kind::Text,
        Need::Required,
        "Where it is told: `\"${NAME}\"`, `\"file:PATH\"`, or an address that is no secret.",
    ),
    key(
        "webhooks[].events",
        Kind::List(&Kind::Choice(
            &["breaker_tripped", "rolled_back", "ramp_held", "config_rejected", "killed", "revived"],
            &[],
        )),
        Need::Absent("all of them"),
        "What it is told of.",
    ),
    key(
        "webhooks[].format",
        Kind::Choice(&["slack", "json"], &[]),
        Need::Required,
        "As Slack's incoming webhooks take it, or JSON that is signed with `secret`.",
    ),
    key(
        "webhooks[].secret",
        Kind::Secret,
        Need::Absent("for `slack`, which has its own in the URL; `json` needs it"),
        "What the JSON is signed with, HMAC-SHA256 in `x-dimmer-signature`; at least 32 bytes.",
    ),
    later("flag_sources", Kind::Named, "Other places where flags live."),
    later("ramps", Kind::Named, "Reusable ramps."),
];

const OFF: Kind = Kind::Choice(&["off"], &[]);
const SHARE_OR_OFF: Kind = Kind::Either(&Kind::Share, &OFF);
