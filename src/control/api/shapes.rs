//! What the admin API takes and gives, as JSON. The command line reads and writes the same types.
//!
//! Points in time are RFC 3339 texts in UTC; percentages are numbers from 0 to 100.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of every error: `{"error": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What went wrong.
    pub error: ProblemDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDetail {
    /// For programs: `unauthorized`, `forbidden`, `bad_request`, `not_found`, `method_not_allowed`, `too_large`,
    /// `unsupported_media_type`, `conflict`, `not_stored`, `unavailable`, `internal`.
    pub code: String,
    /// For people: what, where, what was expected and how to mend it.
    pub message: String,
}

/// `GET /flags`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flags {
    /// All flags, in the file's order.
    pub flags: Vec<FlagView>,
}

/// `GET /flags/{key}`, and the answer to every change of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlagView {
    /// Its key.
    pub flag: String,
    /// What it is for.
    pub description: String,
    /// Who answers for it.
    pub owner: String,
    /// `2027-03-31`; absent: permanent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<String>,
    /// The variant served when no rule takes the caller.
    pub default: String,
    /// The variant served while the flag is killed.
    pub off: String,
    /// Why it is killed, if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub killed: Option<KillView>,
    /// Its variants.
    pub variants: Vec<VariantView>,
    /// Its rules, from the top.
    pub rules: Vec<RuleView>,
    /// Where it is used: `assistant.model`.
    pub used_by: Vec<String>,
}

/// One variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VariantView {
    /// Its name.
    pub variant: String,
    /// Its value; null: the request's own.
    pub value: serde_json::Value,
    /// Why it is killed, if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub killed: Option<KillView>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleView {
    /// Its name.
    pub rule: String,
    /// What it serves: a variant, or `a=34, b=66`.
    pub serves: String,
    /// What counts now.
    pub percent: f64,
    /// What the file says.
    pub file_percent: f64,
    /// Who set it otherwise, if somebody did.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none", default)]
    pub overridden: Option<OverrideView>,
}

/// A percentage set at run time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverrideView {
    /// What counts.
    pub percent: f64,
    /// What the file said then.
    pub replaced: f64,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: String,
}

/// `PATCH /flags/{key}/rules/{rule}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPercent {
    /// From 0 to 100 in steps of 0.0001.
    pub percent: f64,
    /// Why.
    pub reason: String,
}

/// `POST /flags/{key}/rules/{rule}/preview`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewAsk {
    /// From 0 to 100 in steps of 0.0001.
    pub percent: f64,
    /// How far back to look, such as `24h`; an hour unless given, and seven days at most.
    #[serde(default)]
    pub window: Option<String>,
}

/// `POST /kill`, `POST /revive`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// `all`, `flags`, `route:R`, `flag:K`, `flag:K/VARIANT`, `model:M`, `provider:P`, `tool:T`, `shadow:R/NAME`.
    pub target: String,
    /// Why.
    pub reason: String,
}

/// What a kill or a revival did. 202 when `durable` is false.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// Of what.
    pub target: String,
    /// It was stored before it was acknowledged.
    pub durable: bool,
    /// How many gateways are known to obey.
    pub replicas_reached: u32,
    /// What is served from now on, a sentence each.
    pub served: Vec<String>,
}

/// `GET /kills`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kills {
    /// Everything that is killed.
    pub kills: Vec<KillView>,
}

/// One kill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KillView {
    /// Of what.
    pub target: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: String,
    /// `person`, `breaker`, `rollback`, `ramp`.
    pub origin: String,
    /// It is stored: it survives a restart.
    pub durable: bool,
}

/// `GET /breakers`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Breakers {
    /// Every breaker that has seen a request, or is not closed.
    pub breakers: Vec<BreakerView>,
}

/// One breaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerView {
    /// `route:R/model:M` or `route:R/flag:K/VARIANT`.
    pub id: String,
    /// `closed`, `half_open`, `open`.
    pub state: String,
    /// `enforce`, `observe`.
    pub mode: String,
    /// Why it is open or half open: the measurement and its numbers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// When it lets the next request try, while it is open and cools down.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_at: Option<String>,
    /// Requests in the window.
    pub requests: u64,
    /// How far each watched measurement is from tripping.
    pub measurements: Vec<MeasurementView>,
}

/// One measurement of a breaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeasurementView {
    /// As `[breakers]` names it: `error_rate`.
    pub name: String,
    /// What it is now, for people: `7.0 % (14/200)`.
    pub now: String,
    /// When it would trip, for people: `trips at 19`.
    pub limit: String,
    /// It is over the limit now.
    pub over: bool,
}

/// `POST /rollback`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackAsk {
    /// `route:R`, `flag:K` or `flag:K/VARIANT`.
    pub target: String,
    /// Why.
    pub reason: String,
    /// End what is still in flight after five seconds.
    #[serde(default)]
    pub cut: bool,
    /// Say what would be done, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// `GET /rollbacks`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rollbacks {
    /// The latest first.
    pub rollbacks: Vec<RollbackView>,
}

/// One roll-back, done, under way or only thought of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackView {
    /// Its number; 0 of a dry run.
    pub id: u64,
    /// Of what.
    pub target: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Nothing was done.
    pub dry_run: bool,
    /// Every step is done.
    pub done: bool,
    /// Its kill is stored; false of a dry run.
    #[serde(default)]
    pub durable: bool,
    /// Requests in flight with the target when it began.
    pub in_flight: u64,
    /// Its steps, in their order.
    pub steps: Vec<RollbackStep>,
}

/// One step of a roll-back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackStep {
    /// `kill`, `store`, `fall_back`, `drain`, `cut`, `notify`, `audit`.
    pub step: String,
    /// When it was done; absent: not yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<String>,
    /// How long it took, in milliseconds; of a dry run, the last time that it was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub took_ms: Option<f64>,
    /// What happened, or would, in a sentence.
    pub detail: String,
}

/// `GET /audit?after=N&limit=N`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Oldest first.
    pub entries: Vec<AuditView>,
}

/// One entry of the audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// Its number, from 1 without gaps.
    pub number: u64,
    /// When.
    pub at: String,
    /// The same in milliseconds since 1970, which is what is hashed.
    pub at_ms: u64,
    /// Who.
    pub who: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub what: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
    /// Why.
    pub why: String,
    /// The chain's hash, hexadecimal.
    pub hash: String,
}

/// `POST /explain`: who would get what now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainAsk {
    /// Which route.
    #[serde(default)]
    pub route: String,
    /// Who asks.
    #[serde(default)]
    pub targeting_key: Option<String>,
    /// Declared attributes, as text.
    #[serde(default)]
    pub attributes: std::collections::BTreeMap<String, String>,
    /// The conversation.
    #[serde(default)]
    pub conversation: Option<String>,
    /// The calling app.
    #[serde(default)]
    pub client: Option<String>,
    /// The model that the app asks for.
    #[serde(default)]
    pub model: Option<String>,
    /// `openai` or `anthropic`; absent: the one that the route's models speak.
    #[serde(default)]
    pub dialect: Option<String>,
    /// The app asks for a stream.
    #[serde(default)]
    pub stream: bool,
    /// The call: `chat`, `responses`, `messages`, `completions`, `embeddings`, `count_tokens`; absent: the one of the dialect.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// A request that was answered, instead of all the rest: by dimmer's id or the answer's. From the record.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// `POST /plan`. As `application/toml` the body is the file itself, which then names no other files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanAsk {
    /// The text of a routes.toml.
    pub toml: String,
    /// What messages call it; `routes.toml` unless given.
    #[serde(default)]
    pub name: Option<String>,
    /// The texts of the files that it names, such as prompts and lists, by these names: none is read from the gateway's disk. Files of
    /// secrets are not wanted.
    #[serde(default)]
    pub files: std::collections::BTreeMap<String, String>,
    /// How far back to look for users, such as `24h`; seven days unless given, and at most.
    #[serde(default)]
    pub window: Option<String>,
}

/// `POST /breakers/{id}/reset`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Why.
    pub reason: String,
}

/// A body that says nothing: `{}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// `GET /records`: what is kept of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordsView {
    /// Where, without a password; `none`: nothing is kept.
    pub url: String,
    /// `sqlite`, `postgres` or `none`: the label of the metrics.
    pub sink: String,
    /// Why what is kept cannot be read now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trouble: Option<String>,
    /// Its tables.
    pub tables: Vec<TableView>,
    /// When the oldest request was, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest: Option<String>,
    /// When the newest was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub newest: Option<String>,
    /// What it has of the disk.
    pub bytes: u64,
    /// What this gateway has in memory, to be written.
    pub queued: u64,
    /// What this gateway lost since it started.
    pub lost: Vec<LostView>,
}

/// A table of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TableView {
    /// Its name.
    pub table: String,
    /// Its rows.
    pub rows: u64,
}

/// Records that were lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostView {
    /// `exposure`, `shadow`, `feedback`, `verdict` or `body`.
    pub kind: String,
    /// How many.
    pub records: u64,
}

/// `POST /records/forget`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetAsk {
    /// The targeting key, as the app sends it.
    pub user: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// What was forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forgotten {
    /// The user as the audit names them: their hash.
    pub user: String,
    /// How many requests of theirs there were.
    pub requests: u64,
}

/// `GET /config`: what serves. No secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigView {
    /// The gateway's version.
    pub version: String,
    /// Which configuration of this process serves; 1 is the one it started with.
    pub generation: u64,
    /// Where it was read from.
    pub file: String,
    /// Its routes, in the file's order.
    pub routes: Vec<RouteView>,
    /// What is odd but not wrong, with file, line and column.
    pub warnings: Vec<String>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteView {
    /// Its name.
    pub route: String,
    /// What stands before `/v1` in the app's base URL.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    /// The model names that mean it.
    pub aliases: Vec<String>,
    /// The flags that decide on it.
    pub flags: Vec<String>,
    /// No language model is called on it: it is killed, or everything is.
    pub killed: bool,
}

/// What became of the webhooks' test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhooksTested {
    /// Each declared webhook, in the file's order.
    pub webhooks: Vec<WebhookTested>,
}

/// What became of the test message to one webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookTested {
    /// Its place in the file, from 1. Its URL is not said: it may be a secret.
    pub webhook: usize,
    /// `slack` or `json`.
    pub format: String,
    /// It was taken.
    pub ok: bool,
    /// The receiver's status, if it answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// What happened, in a sentence.
    pub detail: String,
}

/// The shadows of a route that left records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shadows {
    /// By name.
    pub shadows: Vec<ShadowView>,
}

/// A shadow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShadowView {
    /// Its name.
    pub shadow: String,
    /// Requests that could have been copied.
    pub eligible: u64,
    /// Those that a candidate answered.
    pub answered: u64,
}
