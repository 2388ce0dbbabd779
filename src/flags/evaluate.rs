//! Evaluation: the first rule whose `when` holds and whose percentage takes the key, serves.
//!
//! Serves the `decide` stage. Must never fail, wait, draw at random or depend on anything but its arguments.

use crate::flags::{Context, Flag, Rule, Serve, VariantIndex};
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

/// Evaluates `flag` for `context`. Never fails, and allocates nothing: what it returns is indices.
pub fn evaluate(flag: &Flag, context: &Context<'_>, state: &FlagState<'_>) -> Evaluation {
    if state.killed {
        return Evaluation::without_rule(flag.off, Reason::Disabled);
    }
    let mut key_missing = false;
    for (place, rule) in flag.rules.iter().enumerate() {
        if !rule.when.holds(context) {
            continue;
        }
        let percent = state.percents.get(place).copied().flatten().unwrap_or(rule.serve.percent());
        match rule.draw(percent, context) {
            Draw::Serves { variant, reason, bucket } => {
                return Evaluation { variant, reason, rule: u16::try_from(place).ok(), bucket, error: None };
            }
            Draw::KeyMissing => key_missing = true,
            Draw::Passes => {}
        }
    }
    if key_missing {
        let default = Evaluation::without_rule(flag.default, Reason::Error);
        return Evaluation { error: Some(EvaluationError::TargetingKeyMissing), ..default };
    }
    let reason = if flag.rules.is_empty() { Reason::Static } else { Reason::Default };
    Evaluation::without_rule(flag.default, reason)
}

impl Evaluation {
    fn without_rule(variant: VariantIndex, reason: Reason) -> Self {
        Self { variant, reason, rule: None, bucket: None, error: None }
    }
}

/// What a rule does with a caller for whom its `when` holds.
enum Draw {
    /// Takes it.
    Serves { variant: VariantIndex, reason: Reason, bucket: Option<u32> },
    /// Leaves it to the rules below.
    Passes,
    /// Leaves it to the rules below, because there was nothing to hash. Drawing at random instead would give one person
    /// another answer every time, and one bucket for all of them would move them all at once.
    KeyMissing,
}

impl Rule {
    fn draw(&self, percent: Percent, context: &Context<'_>) -> Draw {
        match &self.serve {
            _ if percent == Percent::ZERO => Draw::Passes,
            Serve::One { variant, .. } if percent == Percent::FULL => {
                Draw::Serves { variant: *variant, reason: Reason::TargetingMatch, bucket: None }
            }
            serve => match self.bucket(context) {
                None => Draw::KeyMissing,
                Some(bucket) => serve.variant_at(bucket, percent).map_or(Draw::Passes, |variant| {
                    Draw::Serves { variant, reason: Reason::Split, bucket: Some(bucket) }
                }),
            },
        }
    }
}
