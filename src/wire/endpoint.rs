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
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/responses/input_tokens`: counts what a response would read.
    InputTokens,
    /// `POST /v1/responses/compact`: shortens a conversation for the model that goes on with it.
    Compact,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`: counts what a message would read.
    CountTokens,
    /// `POST /v1/embeddings`
    Embeddings,
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
    /// The call that `method` and the path behind `/v1` name; `None` where it is none that dimmer tells apart.
    pub fn of(is_post: bool, rest: &str) -> Option<Self> {
        let endpoint = match rest {
            "/chat/completions" => Self::Chat,
            "/completions" => Self::Completions,
            "/responses" => Self::Responses,
            "/responses/input_tokens" => Self::InputTokens,
            "/responses/compact" => Self::Compact,
            "/messages" => Self::Messages,
            "/messages/count_tokens" => Self::CountTokens,
            "/embeddings" => Self::Embeddings,
            _ => return None,
        };
        is_post.then_some(endpoint)
    }

    /// Whose call it is.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Chat
            | Self::Completions
            | Self::Responses
            | Self::InputTokens
            | Self::Compact
            | Self::Embeddings => Dialect::OpenAi,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::Other(dialect) => dialect,
        }
    }

    /// The call in which `dialect` is asked for the same answer: this one in its own, one of another name where the request can
    /// be translated; `None` where nothing of the other API means the same.
    pub fn in_dialect(self, dialect: Dialect) -> Option<Self> {
        match (self, dialect) {
            _ if self.dialect() == dialect => Some(self),
            (Self::Chat | Self::Responses, Dialect::Anthropic) => Some(Self::Messages),
            (Self::Messages, Dialect::OpenAi) => Some(Self::Chat),
            _ => None,
        }
    }

    /// The call whose decision this one follows: of one that counts or shortens, the one that it is made for.
    pub fn followed(self) -> Self {
        match self {
            Self::CountTokens => Self::Messages,
            Self::InputTokens | Self::Compact => Self::Responses,
            other => other,
        }
    }

    /// Whether the slots of a language model apply: one is asked to generate, or to count or shorten what it would read,
    /// which follows the same decision.
    pub fn generation(self) -> bool {
        self.answers() || self.counts()
    }

    /// Whether it only counts or shortens what a language model would read.
    pub fn counts(self) -> bool {
        matches!(self, Self::CountTokens | Self::InputTokens | Self::Compact)
    }

    /// Whether a language model's answer comes back: text with usage, whole or as a stream.
    pub fn answers(self) -> bool {
        matches!(self, Self::Chat | Self::Completions | Self::Responses | Self::Messages)
    }

    /// Whether its request is written as the Responses API writes it: `instructions` and `input`.
    pub fn takes_items(self) -> bool {
        matches!(self, Self::Responses | Self::InputTokens | Self::Compact)
    }

    /// Whether a stream tells its usage only where `stream_options.include_usage` asks for it.
    pub fn usage_on_request(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }

    /// Whether its body says which model is meant, so that it may be an alias.
    pub fn names_model(self) -> bool {
        self.generation() || self == Self::Embeddings
    }

    /// As the attribute `request.endpoint` and the OpenTelemetry conventions' readers spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat.completions",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::InputTokens => "responses.input_tokens",
            Self::Compact => "responses.compact",
            Self::Messages => "messages",
            Self::CountTokens => "messages.count_tokens",
            Self::Embeddings => "embeddings",
            Self::Other(_) => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_a_language_model_can_be_asked_for_in_both_dialects() {
        let check = |endpoint: Endpoint, openai: Option<Endpoint>, anthropic: Option<Endpoint>| {
            let found = [Dialect::OpenAi, Dialect::Anthropic].map(|dialect| endpoint.in_dialect(dialect));
            assert_eq!(found, [openai, anthropic], "{endpoint:?}");
        };
        use Endpoint::{Chat, CountTokens, Embeddings, InputTokens, Messages, Responses};
        check(Chat, Some(Chat), Some(Messages));
        check(Responses, Some(Responses), Some(Messages));
        check(Messages, Some(Chat), Some(Messages));
        for alone in [Endpoint::Completions, Embeddings, InputTokens, Endpoint::Compact] {
            check(alone, Some(alone), None);
        }
        check(CountTokens, None, Some(CountTokens));
        assert_eq!([CountTokens, InputTokens, Chat].map(Endpoint::followed), [Messages, Responses, Chat]);
    }
}
