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

impl<'a> Context<'a> {
    /// One attribute that is no list; `None` where it is missing. An empty text is missing, and so is `request.tools`,
    /// which is a list.
    pub(super) fn scalar(&self, attribute: Attribute) -> Option<AttributeValue<'a>> {
        let text = match attribute {
            Attribute::TargetingKey => self.targeting_key?,
            Attribute::Conversation => self.conversation?,
            Attribute::Client => self.client?,
            Attribute::Route => self.route,
            Attribute::RequestModel => self.request_model?,
            Attribute::RequestDialect => self.request_dialect,
            Attribute::RequestEndpoint => self.request_endpoint,
            Attribute::RequestStream => return self.request_stream.map(AttributeValue::Bool),
            Attribute::RequestTools => return None,
            Attribute::Custom(index) => return self.declared(index),
        };
        AttributeValue::Text(text).present()
    }

    /// The declared attribute at this index.
    pub(super) fn declared(&self, index: u16) -> Option<AttributeValue<'a>> {
        (*self.custom.get(usize::from(index))?)?.present()
    }
}

impl AttributeValue<'_> {
    /// `None` for what counts as missing: an empty text, and a number that is not finite, which no comparison could
    /// answer and which would put all its bearers into one bucket.
    pub(super) fn present(self) -> Option<Self> {
        match self {
            Self::Text("") => None,
            Self::Number(number) if !number.is_finite() => None,
            value => Some(value),
        }
    }
}
