//! `routes.toml` → raw → checked; every error with line, column and remedy.
//!
//! The only reader of configuration files, secret files and the environment.

mod checked;
mod environment;
mod errors;
mod export;
mod load;
mod watch;

mod check;
mod facts;
mod files;
mod json;
mod keys;
mod quantity;
mod read;
mod reference;
mod rehearsal;
mod schema;
mod secrets;
mod shape;

#[cfg(test)]
mod tests;

pub use check::own_files;
pub use checked::{
    Admin, Admitted, AnswerHeaders, AttributeKind, AttributeSpec, BaseUrl, Better, Bodies, Breaker, Client,
    Config, ContextSpec, Evaluator, EventKind, FallbackCauses, FallbackOn, FeedbackSpec, ForeignReasoning,
    HttpReply, Judge, Limits, MockModel, Model, OwnedAttribute, PostgresPlace, PostgresTls, Price,
    PriceSource, Prompt, Provider, ProviderKind, RecordsPlace, RecordsSpec, Reply, ReplyContent, Retries,
    Role, Route, RouteParam, Server, Shadow, Slot, Source, StateSpec, Target, Timeouts, Tls, Token, UserIds,
    Webhook, WebhookFormat,
};
pub use environment::{Environment, ProcessEnvironment};
pub use errors::{Errors, Fault, Position};
pub use export::with_percents;
pub use facts::{ModelLimits, shipped_price};
pub use load::{load, parse};
pub(crate) use quantity::{did_you_mean, duration as parse_duration};
pub use reference::markdown;
pub use rehearsal::{Files, gather, rehearse};
pub use schema::json_schema;
pub use watch::{Watch, WatchError, Watched, spawn as watch};
