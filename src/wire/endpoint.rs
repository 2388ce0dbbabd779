//! Whose API a request speaks, and which of its calls it is.

/// An API's wire format, as a caller speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

/// Which call of the API it is, as far as dimmer tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/messages`
    Messages,
    /// Anything else: passes through, evaluates no flag.
    Other(Dialect),
}

impl Dialect {
    /// As configuration, attributes and records spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

impl Endpoint {
    /// Whose call it is.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Chat => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
            Self::Other(dialect) => dialect,
        }
    }

    /// Whether flags apply: a language model is asked to generate.
    pub fn generation(self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// As the attribute `request.endpoint` and the OpenTelemetry conventions' readers spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat.completions",
            Self::Messages => "messages",
            Self::Other(_) => "other",
        }
    }
}
