//! The keys of `[telemetry]`: where traces go, and which.

use crate::config::keys::table::ABSENT;
use crate::config::keys::{Key, Kind, Need, default, key};

/// The table, behind what stands beside the routes.
pub(super) const TELEMETRY: &[Key] = &[
    key(
        "telemetry",
        Kind::Table,
        ABSENT,
        "Traces of requests. A change needs a restart. See docs/telemetry.md.",
    ),
    key(
        "telemetry.otlp",
        Kind::Url,
        Need::Absent("no traces are made, and `traceparent` passes through like any header"),
        "Who takes them, by OTLP over HTTP in protobuf: a collector's base address. `/v1/traces` is put behind it where it is not there.",
    ),
    key(
        "telemetry.headers",
        Kind::Map(&Kind::Text),
        Need::Absent("none"),
        "What is sent with them, such as a vendor's key: `\"${NAME}\"` or `\"file:PATH\"`, or a text that is no secret.",
    ),
    key(
        "telemetry.sample",
        Kind::Share,
        default(r#""100%""#),
        "Of the requests that come without a `traceparent`, so many are traced. One that comes with it is traced if its caller traces it.",
    ),
    key("telemetry.service_name", Kind::Text, default(r#""dimmer""#), "`service.name` of this gateway."),
    key(
        "telemetry.attributes",
        Kind::Map(&Kind::Text),
        Need::Absent("none"),
        "More attributes of this gateway, such as `\"deployment.environment.name\" = \"production\"`.",
    ),
    key(
        "telemetry.conversations",
        Kind::Choice(&["none", "hashed"], &[]),
        default(r#""none""#),
        "Whether spans have `gen_ai.conversation.id`, as a digest: the one of the records.",
    ),
    key(
        "telemetry.timeout",
        Kind::Duration,
        default(r#""10s""#),
        "How long the collector may take for a batch. From 1 s to 60 s. No request waits for it.",
    ),
];
