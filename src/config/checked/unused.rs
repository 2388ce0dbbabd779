//! What the file declares and nothing uses.

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// What it is.
    pub kind: UnusedKind,
    /// Its name.
    pub name: Box<str>,
    /// The line on which it stands.
    pub line: usize,
    /// Of a model: nothing in the file names it, but some route takes the name that its caller asks for.
    pub askable: bool,
}

/// A table of the file whose entries are there to be used by something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnusedKind {
    /// `[flags.NAME]`, on no route.
    Flag,
    /// `[segments.NAME]`
    Segment,
    /// `[prompts.NAME]`
    Prompt,
    /// `[replies.NAME]`
    Reply,
    /// `[models.NAME]`
    Model,
    /// `[providers.NAME]`
    Provider,
    /// `[judges.NAME]`
    Judge,
    /// `[breakers.NAME]`
    Breaker,
    /// `[routes.NAME]` that nobody can reach.
    Route,
}

impl UnusedKind {
    /// Its singular.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Segment => "segment",
            Self::Prompt => "prompt",
            Self::Reply => "reply",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Judge => "judge",
            Self::Breaker => "breaker",
            Self::Route => "route",
        }
    }

    /// The table of the file.
    pub fn table(self) -> &'static str {
        match self {
            Self::Flag => "flags",
            Self::Segment => "segments",
            Self::Prompt => "prompts",
            Self::Reply => "replies",
            Self::Model => "models",
            Self::Provider => "providers",
            Self::Judge => "judges",
            Self::Breaker => "breakers",
            Self::Route => "routes",
        }
    }
}
