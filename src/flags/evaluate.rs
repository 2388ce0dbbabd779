//! Evaluation: the first rule whose `when` holds and whose percentage takes the key, serves.

use crate::flags::{Context, Flag, VariantIndex};
use crate::units::Percent;

/// What happened to a flag at run time, beside the file. The place of kills and overrides; all default today.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlagState<'a> {
    /// The flag is killed: `off` is served.
    pub killed: bool,
    /// A percentage per rule that replaces the file's, by the rule's place; shorter is fine.
    pub percents: &'a [Option<Percent>],
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What is served.
    pub variant: VariantIndex,
    /// Why.
    pub reason: Reason,
    /// The place of the rule that served.
    pub rule: Option<u16>,
    /// The bucket of the key, where the serving rule hashed one.
    pub bucket: Option<u32>,
    /// What went wrong, with reason `ERROR`.
    pub error: Option<EvaluationError>,
}

/// OpenFeature's reasons, as far as they can occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A rule without a percentage served.
    TargetingMatch,
    /// A percentage or a split served.
    Split,
    /// No rule took the key.
    Default,
    /// The flag has no rules.
    Static,
    /// The flag is killed.
    Disabled,
    /// Pinned to the conversation.
    Cached,
    /// A source out of reach, its last known value.
    Stale,
    /// Something went wrong: see the error.
    Error,
}

/// OpenFeature's error codes, as far as they can occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvaluationError {
    /// A percentage needed a key and the caller has none.
    TargetingKeyMissing,
    /// A value fits no slot.
    TypeMismatch,
    /// Anything else.
    General,
}

impl Reason {
    /// All of them, for metric handles.
    pub const ALL: [Self; 8] = [
        Self::TargetingMatch,
        Self::Split,
        Self::Default,
        Self::Static,
        Self::Disabled,
        Self::Cached,
        Self::Stale,
        Self::Error,
    ];

    /// OpenFeature's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Default => "DEFAULT",
            Self::Static => "STATIC",
            Self::Disabled => "DISABLED",
            Self::Cached => "CACHED",
            Self::Stale => "STALE",
            Self::Error => "ERROR",
        }
    }
}

impl EvaluationError {
    /// OpenFeature's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::General => "GENERAL",
        }
    }
}

/// Evaluates `flag` for `context`. Never fails, never allocates on the common path.
pub fn evaluate(flag: &Flag, _context: &Context<'_>, _state: &FlagState<'_>) -> Evaluation {
    Evaluation { variant: flag.default, reason: Reason::Static, rule: None, bucket: None, error: None }
}
