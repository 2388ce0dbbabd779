//! What a request says, in no API's words: the vocabulary that each API's requests are read into and written from.
//!
//! Texts, numbers and schemas stay where they stand in the body. Only what two APIs have a word for is here; what one of them alone
//! can say is dropped or refused by its reader.

use smallvec::SmallVec;

use super::node::{Node, Text};

/// A request.
#[derive(Debug, Default)]
pub(super) struct Ask<'a> {
    pub(super) model: Option<Text<'a>>,
    pub(super) stream: bool,
    /// A stream is to end with its usage, where that has to be asked for.
    pub(super) include_usage: bool,
    pub(super) turns: Vec<Turn<'a>>,
    pub(super) tools: Vec<Tool<'a>>,
    pub(super) choice: Option<Choice<'a>>,
    /// Whether several tools may be called at once; none: the API's default, which is yes.
    pub(super) parallel: Option<bool>,
    pub(super) max_output: Option<Node<'a>>,
    pub(super) temperature: Option<Node<'a>>,
    pub(super) top_p: Option<Node<'a>>,
    pub(super) stops: SmallVec<[Text<'a>; 4]>,
    pub(super) format: Option<Format<'a>>,
    pub(super) effort: Option<Effort>,
    /// Who is behind the request.
    pub(super) user: Option<Text<'a>>,
    /// Members that the answer's object repeats (Responses): each with a comma before it, ready to be written.
    pub(super) echo: Vec<u8>,
}

/// What one side said.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) role: Role,
    pub(super) parts: SmallVec<[Part<'a>; 1]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
}

/// A piece of a turn.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) what: What<'a>,
    /// A prompt cache may end behind it.
    pub(super) cached: Option<Cached>,
}

/// How long what a cache holds is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cached {
    /// As long as the provider keeps it by itself.
    Default,
    Hour,
}

#[derive(Debug)]
pub(super) enum What<'a> {
    Text(Text<'a>),
    /// The model's own, that it will not.
    Refusal(Text<'a>),
    Image {
        source: Source<'a>,
        detail: Option<Text<'a>>,
    },
    Document {
        source: Source<'a>,
        name: Option<Text<'a>>,
    },
    /// The model calls a tool.
    Call {
        id: Text<'a>,
        name: Text<'a>,
        input: Input<'a>,
    },
    /// What the tool gave.
    Result {
        id: Text<'a>,
        parts: Vec<Part<'a>>,
        failed: bool,
    },
}

/// Where an image or a document is.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// Here.
    Base64 { media: Text<'a>, data: Text<'a> },
    /// There.
    Url(Text<'a>),
    /// A document that is nothing but text.
    Text(Text<'a>),
}

/// What a tool is called with.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// A JSON object.
    Object(Node<'a>),
    /// A text that is to be one, as OpenAI's APIs have it.
    Said(Text<'a>),
}

/// A function that the app runs.
#[derive(Debug)]
pub(super) struct Tool<'a> {
    pub(super) name: Text<'a>,
    pub(super) description: Option<Text<'a>>,
    pub(super) schema: Option<Node<'a>>,
    pub(super) strict: Option<bool>,
    pub(super) cached: Option<Cached>,
}

#[derive(Debug)]
pub(super) enum Choice<'a> {
    Auto,
    /// Some tool.
    Any,
    None,
    Tool(Text<'a>),
}

impl Choice<'_> {
    /// It has to be a call.
    pub(super) fn is_forced(&self) -> bool {
        matches!(self, Self::Any | Self::Tool(_))
    }
}

/// The form that the answer is to have.
#[derive(Debug)]
pub(super) enum Format<'a> {
    /// Any JSON object.
    Json,
    Schema {
        name: Option<Text<'a>>,
        schema: Node<'a>,
        strict: Option<bool>,
    },
}

/// How much it is to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
    /// As much as it finds right.
    Adaptive,
}

impl Effort {
    /// As all three APIs spell it, where they have the word.
    pub(super) fn named(word: Node<'_>) -> Option<Self> {
        let all = [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];
        all.into_iter().find(|effort| word.is(effort.as_str()))
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
            Self::Adaptive => "adaptive",
        }
    }
}

impl<'a> Part<'a> {
    pub(super) fn new(what: What<'a>) -> Self {
        Self { what, cached: None }
    }

    pub(super) fn text(text: Text<'a>) -> Self {
        Self::new(What::Text(text))
    }

    pub(super) fn is_result(&self) -> bool {
        matches!(self.what, What::Result { .. })
    }

    pub(super) fn is_call(&self) -> bool {
        matches!(self.what, What::Call { .. })
    }
}

impl<'a> Turn<'a> {
    pub(super) fn new(role: Role) -> Self {
        Self { role, parts: SmallVec::new() }
    }

    pub(super) fn of(role: Role, part: Part<'a>) -> Self {
        let mut turn = Self::new(role);
        turn.parts.push(part);
        turn
    }
}
