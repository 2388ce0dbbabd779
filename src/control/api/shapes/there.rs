//! What there is, for who draws it: the parts of the configuration, who asks, whether the audit is whole, and what happens now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KillView;

/// `GET /me`: who asks, and what they may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// The token's name; `local` where there are no tokens.
    pub who: String,
    /// `viewer` or `operator`.
    pub role: String,
    /// `admin.tokens` has some: who has none is a stranger.
    pub tokens: bool,
    /// The gateway's version.
    pub version: String,
}

/// What of a route is decided, and how that stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlotView {
    /// `enabled`, `model`, `system_prompt`, `params.temperature`, …
    pub slot: String,
    /// The flag that decides it; absent: the file or the app does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flag: Option<String>,
    /// What is served, and to whom, in a sentence.
    pub says: String,
}

/// A declared model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelView {
    /// Its name.
    pub model: String,
    /// Who serves it.
    pub provider: String,
}

/// A declared attribute of the evaluation context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttributeView {
    /// Its name.
    pub attribute: String,
    /// `text`, `bool` or `number`.
    pub kind: String,
    /// What it can be, lowest first, where the file says that.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub order: Vec<String>,
}

/// `GET /audit/verify`: whether the audit is as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditVerified {
    /// Every hash fits, and no entry is missing between the first and the last.
    pub ok: bool,
    /// Entries that were looked at.
    pub entries: u64,
    /// The last good one's number.
    pub number: u64,
    /// Its hash: who notes it can say later that nothing was cut off.
    pub hash: String,
    /// The first place that does not fit, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// `event: change` of `GET /events`: something was changed just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Happened {
    /// As the audit says it: `kill`, `revive`, `set_percent`, `reset`, `override_dropped`, `breaker_tripped`, `breaker_reset`, …; and
    /// `config_loaded`, `config_rejected`, `breaker` (it stands otherwise than before), `several` (some went by unsaid).
    pub action: String,
    /// To what.
    pub what: String,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// `event: live` of `GET /events`: the numbers of now, about once a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Which configuration of this process serves.
    pub generation: u64,
    /// Rises with every change of kills and percentages.
    pub version: u64,
    /// Every route of the configuration.
    pub routes: Vec<RouteLive>,
    /// Every flag that decided something in the last minute.
    pub flags: Vec<FlagLive>,
    /// Every breaker that has seen a request.
    pub breakers: Vec<BreakerLive>,
    /// Everything that is killed.
    pub kills: Vec<KillView>,
}

/// What happens, in numbers: the rate of the last ten seconds, and everything else of the last minute. Null: nothing is known yet, or
/// nothing came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Numbers {
    /// Requests that ended, per second.
    pub rate: Option<f64>,
    /// Requests that ended.
    pub requests: u64,
    /// Part of them that the provider failed, was too slow for, or broke off.
    pub error_rate: Option<f64>,
    /// Half of them took at most about so long, in milliseconds.
    pub p50_ms: Option<f64>,
    /// Of a hundred 95.
    pub p95_ms: Option<f64>,
    /// Characters of an answer, on average.
    pub output_chars: Option<f64>,
}

/// One route, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteLive {
    /// Its name.
    pub route: String,
    /// No language model is called on it.
    pub killed: bool,
    /// Requests being served.
    pub in_flight: u64,
    /// All of its requests.
    pub now: Numbers,
    /// By what answered: declared models and replies.
    pub models: Vec<ModelLive>,
}

/// What one model answers on a route, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelLive {
    /// The model or the reply.
    pub model: String,
    /// Its requests.
    pub now: Numbers,
}

/// One flag on one route, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlagLive {
    /// Its key.
    pub flag: String,
    /// The route.
    pub route: String,
    /// What it gave.
    pub variants: Vec<VariantLive>,
}

/// One variant, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VariantLive {
    /// Its name.
    pub variant: String,
    /// Requests that it was given to.
    pub now: Numbers,
}

/// How a breaker stands, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakerLive {
    /// `route:R/model:M` or `route:R/flag:K/VARIANT`.
    pub id: String,
    /// `closed`, `half_open`, `open`.
    pub state: String,
}
