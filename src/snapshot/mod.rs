//! One immutable view of what is configured, with everything found that a request would else look for.
//!
//! `control` builds and stores it whole; a request takes it once, in `accept`, and keeps it to its end. Holds no state
//! that changes and opens nothing.

mod breakers;
mod build;
mod flights;
mod judges;
mod keys;
mod ledgers;
mod live;
mod noted;
mod outages;
mod plan;
mod prompt;
mod shadows;
mod tls;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use rustls::ServerConfig;

use crate::config::{Client, Config};
use crate::names::{AttributeName, ModelName};
use crate::observe::ModelSeries;
use crate::record::Shape;

pub use breakers::{Answered, Breaker, BreakerEvent, BreakerId, BreakerReport, Breakers, Measurement, shown};
pub use build::BuildError;
pub use flights::{Aboard, Flight, Flights};
pub use judges::{EvaluatorPlan, JudgePlan};
pub use keys::{KeyDigest, KeyRest, KeyRests, KeyWish, ProviderKey, ProviderKeys};
pub use ledgers::{Aside, Ledger, Ledgers, Place};
pub use live::{Live, Store, View};
pub use outages::{Budget, Outages, ReplyRest};
pub use plan::{
    Endpoint, FlagPlan, HttpPlan, ModelIndex, ModelPlan, ParamPlan, ProviderPlan, ReplyPlan, RoutePlan,
    ShadowPlan, SlotPlan, StreamGuard, TargetPlan,
};
pub use prompt::{NotRendered, PromptPlan};
pub use tls::ALPN_HTTP_2;

/// What serves from one load of the configuration to the next.
#[derive(Debug)]
pub struct Snapshot {
    /// 1 is the first of this process.
    pub generation: u64,
    /// When it was built, in milliseconds since 1970.
    pub at_ms: u64,
    /// The checked file.
    pub config: Config,
    /// The data listener's side of TLS; `None`: it speaks clear text.
    pub tls: Option<Arc<ServerConfig>>,
    /// Routes with a path, the longest path first.
    pub by_path: Vec<Arc<RoutePlan>>,
    /// All routes by name.
    pub by_name: HashMap<Box<str>, Arc<RoutePlan>>,
    /// Routes by the model names that mean them.
    pub by_alias: HashMap<Box<str>, Arc<RoutePlan>>,
    /// The route named `default`.
    pub default_route: Option<Arc<RoutePlan>>,
    /// What is counted of requests that no route took: refused, or lost, before one was found.
    pub unrouted: ModelSeries,
    /// Declared models by every name.
    pub models: ModelIndex,
    /// All providers by name.
    pub providers: HashMap<Box<str>, Arc<ProviderPlan>>,
    /// Some provider has several keys: requests need a subject to keep to one of them.
    pub several_keys: bool,
    /// Clients by the SHA-256 of their key, so that finding one tells nothing about another's.
    pub clients: HashMap<[u8; 32], Arc<Client>>,
    /// The headers that carry context: read here, never sent upstream.
    pub context_headers: Vec<HeaderName>,
    /// The declared attributes' names, in the order of a context's `custom`.
    pub attribute_names: Vec<AttributeName>,
    /// Some flag or template looks at the conversation, or a key is chosen by it.
    pub needs_conversation: bool,
    /// Feedback may name a conversation, so that those with a name are noted.
    pub notes_conversation: bool,
    /// Some flag looks at `request.tools`.
    pub needs_tools: bool,
    /// What is noted of the contexts that are seen.
    pub noted: Arc<Shape>,
    /// Top-level members of requests that some `fit` or `params` may touch.
    pub touched_members: Vec<String>,
}

impl Snapshot {
    /// The declared model that `name` means, by its table's name, its upstream name or one of its other names.
    pub fn model(&self, name: &str) -> Option<&Arc<ModelPlan>> {
        self.models.find(name)
    }

    /// How many keys rest, of each provider that has several.
    pub fn resting_keys(&self, now: Duration) -> impl Iterator<Item = (&str, usize)> {
        let several = self.providers.values().filter(|plan| plan.keys.several());
        several.map(move |plan| (plan.provider.name.as_str(), plan.keys.resting(now)))
    }

    /// The names of all declared models, in the file's order.
    pub fn model_names(&self) -> impl Iterator<Item = &ModelName> {
        self.config.models.iter().map(|model| &model.name)
    }
}
