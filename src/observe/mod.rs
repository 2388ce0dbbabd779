//! Metrics, traces and logs; the only room that names a metric.

mod breakers;
mod counts;
mod exemplars;
mod hygiene;
mod judges;
mod keeping;
mod kills;
pub mod log;
mod metrics;
mod open_metrics;
mod outcome;
mod pins;
mod records;
mod series;
mod shadows;
mod spans;
mod standing;
mod trace;
mod users;

pub use breakers::{AnsweredSeries, BreakerSeries, CutCause};
pub use counts::{Counted, Counts, Heights};
pub use judges::{JudgeOutcome, JudgeSeries};
pub use keeping::{StateSeries, Told, WebhookSeries};
pub use kills::KillSeries;
pub use metrics::{Metrics, MetricsError, REQUESTS_TOTAL};
pub use outcome::Outcome;
pub use pins::{ForeignAction, PinResult};
pub use records::RecordSeries;
pub use series::{
    FlagSeries, GatewaySeries, HandshakeFailure, Loaded, ModelSeries, ProviderSeries, RetryCause,
    RetrySkipped, RouteSeries, TokenKind,
};
pub use shadows::ShadowSeries;
pub use spans::{SpanResult, SpanSeries};
pub use standing::ShadowMoney;
pub use trace::{
    Answered, Asked, FlagEvent, RequestSpan, SpanId, Telling, Times, Trace, TraceContext, TraceId, Tracer,
    TrySpan, is_state,
};
pub use users::ServedBy;
