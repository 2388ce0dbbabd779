//! The evaluation context: who is asking, and for what.

/// What is known about one request when its flags are evaluated. Borrowed from the request: building it copies nothing.
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    /// The user (or whatever the operator buckets by). `None` when absent or empty; an empty text is missing too.
    pub targeting_key: Option<&'a str>,
    /// The conversation, explicit or derived.
    pub conversation: Option<&'a str>,
    /// The authenticated client's name.
    pub client: Option<&'a str>,
    /// This request's own id.
    pub request_id: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// The model that the app asked for.
    pub request_model: Option<&'a str>,
    /// `openai` | `anthropic`.
    pub request_dialect: &'a str,
    /// `chat.completions` | `messages` | …
    pub request_endpoint: &'a str,
    /// Whether a stream was asked for; `None` where the request was not read.
    pub request_stream: Option<bool>,
    /// The names of the tools that the request offers; `None` where nobody needs them.
    pub request_tools: Option<&'a [String]>,
    /// The declared attributes, in the order of `[context.attributes]`; absent, empty or of the wrong type: `None`.
    pub custom: &'a [Option<AttributeValue<'a>>],
}

/// A declared attribute's value, already of its declared type. No coercion happens after this.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AttributeValue<'a> {
    /// `type = "text"` (the default) and ordered attributes.
    Text(&'a str),
    /// `type = "number"`.
    Number(f64),
    /// `type = "bool"`.
    Bool(bool),
}

/// Which attribute a test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `targeting_key`
    TargetingKey,
    /// `conversation`
    Conversation,
    /// `client`
    Client,
    /// `route`
    Route,
    /// `request.model`
    RequestModel,
    /// `request.dialect`
    RequestDialect,
    /// `request.endpoint`
    RequestEndpoint,
    /// `request.stream`
    RequestStream,
    /// `request.tools`: a list; a positive operator holds when it holds for one element.
    RequestTools,
    /// The attribute at this index of `[context.attributes]`.
    Custom(u16),
}
