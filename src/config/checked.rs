//! A configuration whose values cannot be wrong: every name resolved, every type fitted, every secret read.
//!
//! Built whole by `check` or not at all; shared by `Arc` inside one snapshot.

mod fallback;
mod feedback;
mod flagged;
mod judge;
mod keeping;
mod price;
mod records;
mod shadow;
mod telemetry;
mod unused;
mod upstream;

pub use fallback::{FallbackCauses, FallbackOn};
pub use feedback::{Better, FeedbackSpec};
pub use judge::{Evaluator, Judge};
pub use price::{Price, PriceSource};
pub use shadow::Shadow;
pub use telemetry::TelemetrySpec;
pub use unused::{Unused, UnusedKind};
pub use upstream::{HttpReply, Retries};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use rustls::sign::CertifiedKey;

use crate::config::Watched;
use crate::flags::{AttributeValue, Condition, Flag, Order};
use crate::names::{
    AttributeName, BreakerName, ClientName, ModelName, PromptName, ProviderName, ReplyName, RouteName,
};
use crate::rollout::BreakerSpec;
use crate::units::Secret;
use crate::wire::{Dialect, Endpoint, Fit, Param, ParamValue, PromptMode};

pub use keeping::{EventKind, StateSpec, Webhook, WebhookFormat};
pub use records::{Bodies, PostgresPlace, PostgresTls, RecordsPlace, RecordsSpec, UserIds};

/// A whole checked routes.toml.
#[derive(Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[clients.*]`, in the file's order; empty: the data listener is open, on loopback only.
    pub clients: Vec<Arc<Client>>,
    /// `[context]`
    pub context: ContextSpec,
    /// `[providers.*]`
    pub providers: Vec<Arc<Provider>>,
    /// `[models.*]`
    pub models: Vec<Arc<Model>>,
    /// `[prompts.*]`
    pub prompts: Vec<Arc<Prompt>>,
    /// `[replies.*]`
    pub replies: Vec<Arc<Reply>>,
    /// `[flags.*]`
    pub flags: Vec<Arc<Flag>>,
    /// `[routes.*]`
    pub routes: Vec<Arc<Route>>,
    /// `[state]`
    pub state: StateSpec,
    /// `[feedback.*]`, in the file's order.
    pub feedback: Vec<FeedbackSpec>,
    /// `[judges.*]`, in the file's order.
    pub judges: Vec<Arc<Judge>>,
    /// `[records]`
    pub records: RecordsSpec,
    /// `[[webhooks]]`, in the file's order.
    pub webhooks: Vec<Webhook>,
    /// What is declared and nothing uses.
    pub unused: Vec<Unused>,
    /// `[telemetry]`; `None`: no traces are made.
    pub telemetry: Option<TelemetrySpec>,
    /// What is odd but not wrong, one line each, like errors.
    pub warnings: Vec<String>,
    /// What stands in the file, word by word; references to secrets as they are written, never what they refer to.
    pub written: serde_json::Value,
    /// Files besides the configuration itself whose change means a reload: prompts, `file:` secrets and lists.
    pub watched: Vec<Watched>,
}

/// `[server]`: a change of `listen` or `workers` needs a restart and is said; the rest is reloaded.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where apps connect.
    pub listen: SocketAddr,
    /// How long SIGTERM waits for requests in flight.
    pub drain: Duration,
    /// Which `x-dimmer-*` headers an answer gets.
    pub answer_headers: AnswerHeaders,
    /// Worker threads; `None`: one per core.
    pub workers: Option<usize>,
    /// How often a silent event stream gets a comment line; `None`: never.
    pub heartbeat: Option<Duration>,
    /// TLS on the data listener; `None`: clear text.
    pub tls: Option<Tls>,
    /// `[server.limits]`
    pub limits: Limits,
}

/// `tls`
#[derive(Clone, Debug)]
pub struct Tls {
    /// The chain, the listener's own certificate first, and the key that belongs to it.
    pub certified: Arc<CertifiedKey>,
    /// When the listener's own certificate ends, in seconds since 1970; `None`: it does not say.
    pub not_after_s: Option<i64>,
}

/// `answer_headers`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerHeaders {
    /// All of them.
    All,
    /// Only `x-dimmer-request-id`.
    Id,
    /// None.
    None,
}

/// `[server.limits]`: sizes in bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body that dimmer reads.
    pub body: u64,
    /// The largest body that streams through unread.
    pub passthrough_body: u64,
    /// All header fields of one request together, names and values.
    pub headers: u64,
    /// From the first byte of a head to its end; also the wait for a new connection's first byte.
    pub header_timeout: Duration,
    /// A body that is read: until its end. A body that streams through: between two of its pieces.
    pub body_timeout: Duration,
    /// A connection without a request.
    pub idle_timeout: Duration,
    /// A caller that takes no bytes of its answer.
    pub write_stall: Duration,
    /// Requests in flight at once.
    pub concurrent: u64,
    /// Held bodies together.
    pub memory: u64,
}

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where `/metrics`, `/healthz`, `/readyz` and the API are.
    pub listen: SocketAddr,
    /// Bearer tokens; never empty off loopback.
    pub tokens: Vec<Token>,
}

/// One of `admin.tokens`.
#[derive(Clone, Debug)]
pub struct Token {
    /// Who.
    pub name: String,
    /// May what.
    pub role: Role,
    /// At least 32 bytes.
    pub token: Secret,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Read.
    Viewer,
    /// Read and change.
    Operator,
}

/// `[clients.NAME]`
#[derive(Debug)]
pub struct Client {
    /// Its name.
    pub name: ClientName,
    /// Its key.
    pub key: Secret,
    /// Which routes it may call; `None`: all.
    pub routes: Option<Vec<RouteName>>,
    /// Attributes that beat headers: index in [`ContextSpec::attributes`] and value.
    pub attributes: Vec<(u16, OwnedAttribute)>,
    /// Its headers and bodies may say who the user is.
    pub trusted: bool,
    /// It may name its route in `x-dimmer-route`.
    pub may_choose_route: bool,
}

/// An attribute's value that the file gives.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedAttribute {
    /// Text or ordered.
    Text(Box<str>),
    /// Number.
    Number(f64),
    /// Bool.
    Bool(bool),
}

impl OwnedAttribute {
    /// As a context holds it.
    pub fn as_value(&self) -> AttributeValue<'_> {
        match self {
            Self::Text(text) => AttributeValue::Text(text),
            Self::Number(number) => AttributeValue::Number(*number),
            Self::Bool(bool) => AttributeValue::Bool(*bool),
        }
    }
}

/// `[context]`
#[derive(Clone, Debug)]
pub struct ContextSpec {
    /// Peers whose headers are believed.
    pub headers_from: Vec<IpNet>,
    /// Where the targeting key comes from; the first that is there.
    pub targeting_key: Vec<Source>,
    /// Where the conversation comes from; the first that is there.
    pub conversation: Vec<Source>,
    /// `[context.attributes]`, in the file's order: the index is `flags::Attribute::Custom`.
    pub attributes: Vec<AttributeSpec>,
}

/// `[context.attributes]`' entry.
#[derive(Clone, Debug)]
pub struct AttributeSpec {
    /// Its name.
    pub name: AttributeName,
    /// Where it comes from.
    pub from: Source,
    /// What it must be.
    pub kind: AttributeKind,
}

/// An attribute's declared type.
#[derive(Clone, Debug)]
pub enum AttributeKind {
    /// `type = "text"`, the default.
    Text,
    /// `order = [...]`: text with an order, lowest first.
    Ordered(Order),
    /// `type = "bool"`: `true` or `false`, nothing else.
    Bool,
    /// `type = "number"`: a finite decimal number.
    Number,
}

/// Where a key or an attribute comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `header:NAME`, taken out of what goes upstream.
    Header(HeaderName),
    /// `body:a.b`: a string or number member of the request's JSON.
    Body(Vec<String>),
    /// `auto` (conversation only): a hash of the incoming system prompt, tools, first user turn and targeting key.
    Auto,
}

/// `[providers.NAME]`
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: ProviderName,
    /// Whose API it speaks.
    pub kind: ProviderKind,
    /// Where it is; `None` for the simulated one.
    pub base_url: Option<BaseUrl>,
    /// What is sent as its credential, one of them for each request; empty: nothing is.
    pub api_keys: Vec<Secret>,
    /// `api_version` of an Azure resource; `None`: its v1 API.
    pub api_version: Option<String>,
    /// Send the caller's own key where no flag chose.
    pub forward_client_key: bool,
    /// `timeouts`
    pub timeouts: Timeouts,
    /// `retries`
    pub retries: Retries,
    /// The simulated provider's seed (`seed`, default 1).
    pub seed: u64,
}

/// `dialect` of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// `openai`
    OpenAi,
    /// `anthropic`
    Anthropic,
    /// `azure-openai`: OpenAI's API at other paths, with a header of its own for the key.
    AzureOpenAi,
    /// `mock`: built in, speaks every dialect.
    Mock,
}

impl ProviderKind {
    /// Whether it takes requests in `dialect`.
    pub fn speaks(self, dialect: Dialect) -> bool {
        match self {
            Self::OpenAi | Self::AzureOpenAi => dialect == Dialect::OpenAi,
            Self::Anthropic => dialect == Dialect::Anthropic,
            Self::Mock => true,
        }
    }

    /// The call in which it is asked what a request to `endpoint` asks: the same where it speaks the request's API, another one where
    /// the request can be translated. `None`: it cannot be asked that.
    pub fn asked_in(self, endpoint: Endpoint) -> Option<Endpoint> {
        match self {
            Self::OpenAi | Self::AzureOpenAi => endpoint.in_dialect(Dialect::OpenAi),
            Self::Anthropic => endpoint.in_dialect(Dialect::Anthropic),
            Self::Mock => Some(endpoint),
        }
    }

    /// Whether a request to `endpoint` has to be translated for it, if that can be done.
    pub fn is_foreign_to(self, endpoint: Endpoint) -> bool {
        !self.speaks(endpoint.dialect())
    }
}

/// An `http` or `https` address with an optional path, without query, fragment or credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https`
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, 80 or 443 by default.
    pub port: u16,
    /// `""` or `/…` without a slash at its end.
    pub path: String,
}

/// `timeouts` of a provider; `None` is `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS, TCP and TLS together.
    pub connect: Option<Duration>,
    /// From the request's last byte to the answer's first, when a stream was asked for.
    pub first_byte_stream: Option<Duration>,
    /// The same when it was not.
    pub first_byte_whole: Option<Duration>,
    /// Between two pieces of an answer.
    pub idle: Option<Duration>,
    /// The whole exchange.
    pub total: Option<Duration>,
}

/// `[models.NAME]`
#[derive(Debug)]
pub struct Model {
    /// The table's name: what flags and metrics call it.
    pub name: ModelName,
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// What the provider calls it, as a quoted and escaped JSON text.
    pub upstream_json: bytes::Bytes,
    /// What the provider calls it.
    pub upstream_model: String,
    /// Other names it is known by: exact, or with `*` for any run of characters.
    pub also: Vec<String>,
    /// `price`, or the shipped table's, and where it is from. `None`: unknown, never zero.
    pub price: Option<Price>,
    /// Where `price` is from.
    pub price_source: Option<PriceSource>,
    /// What a request made for another model needs before this one takes it.
    pub fit: Fit,
    /// `allow`: who may be served by it, whoever chose it; without it everybody.
    pub allow: Condition,
    /// How a simulated model behaves; `None` unless its provider is simulated.
    pub mock: Option<MockModel>,
}

/// `mock = { … }` of a model at a simulated provider. Same seed, same answers.
#[derive(Clone, Debug, PartialEq)]
pub struct MockModel {
    /// Mean length of an answer in words (default 60).
    pub words: f64,
    /// Mean wait before the first token (default 150 ms).
    pub first_token: Duration,
    /// Mean wait between two tokens (default 12 ms).
    pub per_token: Duration,
    /// Share of requests answered with a 500, or a 529 (default 0 %).
    pub errors: f64,
    /// Share of requests answered with a 429 (default 0 %).
    pub rate_limited: f64,
    /// Share of streams cut in the middle (default 0 %).
    pub cuts: f64,
    /// Share of answers that refuse (default 0 %).
    pub refusals: f64,
    /// Share of JSON answers that are not valid JSON (default 0 %).
    pub malformed: f64,
}

/// `[prompts.NAME]`
#[derive(Debug)]
pub struct Prompt {
    /// Its name.
    pub name: PromptName,
    /// The minijinja template's source: `text`, or the contents of `file`.
    pub source: String,
    /// The source has template syntax; without it the text is used as it stands.
    pub template: bool,
}

/// `[replies.NAME]`: what is answered without a language model.
#[derive(Debug)]
pub struct Reply {
    /// Its name.
    pub name: ReplyName,
    /// What it says.
    pub content: ReplyContent,
}

/// What a reply says.
#[derive(Debug)]
pub enum ReplyContent {
    /// `text`, and `json` given instead where the request asks for JSON.
    Answer {
        /// Plain text.
        text: Option<String>,
        /// The JSON text of `json`.
        json: Option<String>,
    },
    /// `error`: 503 in the dialect's error body.
    Error {
        /// The message.
        message: String,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// `http`: somebody else says it, for each request.
    Http(HttpReply),
}

/// What stands on a route's slot: nothing, a literal, or a flag with its variants resolved.
#[derive(Clone, Debug)]
pub enum Slot<T> {
    /// The request's own value.
    AsSent,
    /// A literal of the file.
    Fixed(T),
    /// What a flag says.
    Flag {
        /// The flag.
        flag: Arc<Flag>,
        /// Per variant, by its index; `None` is `as_sent`.
        values: Vec<Option<T>>,
    },
}

/// What a `model` slot can hold: models and replies share one namespace.
#[derive(Clone, Debug)]
pub enum Target {
    /// A language model.
    Model(Arc<Model>),
    /// An answer without one.
    Reply(Arc<Reply>),
}

/// One of `params`.
#[derive(Clone, Debug)]
pub struct RouteParam {
    /// Which.
    pub param: &'static Param,
    /// A bare value, or `flag`.
    pub set: Slot<Arc<ParamValue>>,
    /// `default`
    pub default: Slot<Arc<ParamValue>>,
    /// `max`
    pub max: Slot<Arc<ParamValue>>,
}

impl Target {
    /// Its name: models and replies share one namespace.
    pub fn name(&self) -> &str {
        match self {
            Self::Model(model) => &model.name,
            Self::Reply(reply) => &reply.name,
        }
    }
}

/// `models`: what the caller may ask for itself.
#[derive(Clone, Debug)]
pub enum Admitted {
    /// Any name.
    Any,
    /// What `[models]` knows.
    Declared,
    /// These.
    Only(Vec<Arc<Model>>),
}

/// `foreign_reasoning`: what becomes of a conversation whose reasoning another model has signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignReasoning {
    /// It stays with the model that answered last.
    #[default]
    Stay,
    /// The reasoning is taken out.
    Strip,
}

/// `[routes.NAME]`. The route named `default` takes what no other does.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: RouteName,
    /// `path`: whole segments, `/a/b`, without a slash at its end.
    pub path: Option<String>,
    /// Model names that mean this route.
    pub aliases: Vec<String>,
    /// `enabled`; absent: `Slot::AsSent`, which is on.
    pub enabled: Slot<bool>,
    /// `model`
    pub model: Slot<Target>,
    /// `system_prompt`
    pub system_prompt: Slot<Arc<Prompt>>,
    /// `system_prompt.mode`
    pub prompt_mode: PromptMode,
    /// `params`, in the vocabulary's order.
    pub params: Vec<RouteParam>,
    /// `tools.deny`
    pub denied_tools: Slot<Arc<[Box<str>]>>,
    /// `embeddings.model`
    pub embeddings: Slot<Arc<Model>>,
    /// `models`
    pub models: Admitted,
    /// `provider`, or the providers that it means when absent; the first that speaks the request's dialect serves names that
    /// `[models]` does not know, and other paths.
    pub providers: Vec<Arc<Provider>>,
    /// `pin = "conversation"`: a conversation keeps what percentages gave it.
    pub pin: bool,
    /// `foreign_reasoning`
    pub foreign_reasoning: ForeignReasoning,
    /// `fallback`: who is tried in turn, each once. While the route is not enabled, the first of the replies stands in.
    pub fallback: Vec<Target>,
    /// `fallback_on`: what leads to it.
    pub fallback_on: FallbackCauses,
    /// `breaker`
    pub breaker: Option<Arc<Breaker>>,
    /// `shadow`, in the file's order.
    pub shadows: Vec<Arc<Shadow>>,
    /// `evaluate`, in the file's order.
    pub evaluators: Vec<Arc<Evaluator>>,
}

/// `[breakers.NAME]`
#[derive(Debug)]
pub struct Breaker {
    /// Its name.
    pub name: BreakerName,
    /// What it says.
    pub spec: Arc<BreakerSpec>,
}
