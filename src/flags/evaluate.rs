//! Evaluation: the first rule whose `when` holds and whose percentage takes the key, serves.
//!
//! Serves the `decide` stage. Must never fail, wait, draw at random or depend on anything but its arguments.

use smallvec::SmallVec;

use crate::flags::{Context, Flag, Rule, Serve, VariantIndex};
use crate::units::Percent;

/// What happened to a flag at run time, beside the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlagState<'a> {
    /// The flag is killed: `off` is served.
    pub killed: bool,
    /// A percentage per rule that replaces the file's, by the rule's place; shorter is fine.
    pub percents: &'a [Option<Percent>],
    /// What the percentages gave this conversation before, and give it again.
    pub pinned: Option<&'a Draws>,
}

/// What the percentages of a flag gave a caller: the part of an outcome that a conversation keeps. A `when` is no part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draws {
    /// The rule that took the caller by a percentage or a split, and the variant that it gave.
    pub taken: Option<(u16, VariantIndex)>,
    /// The rules whose percentage passed the caller over.
    pub passed: SmallVec<[u16; 2]>,
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
        match rule.draw_or_keep(place, percent, context, state.pinned) {
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

/// What the percentages give this caller now, with what is pinned already: what a conversation keeps from here on. As far as the
/// rules go that [`evaluate`] asks; nothing while the flag is killed.
pub fn draws(flag: &Flag, context: &Context<'_>, state: &FlagState<'_>) -> Draws {
    let mut found = Draws::default();
    let rules = flag.rules.iter().enumerate().filter(|_| !state.killed);
    for (place, rule) in rules.filter(|(_, rule)| rule.when.holds(context)) {
        let percent = state.percents.get(place).copied().flatten().unwrap_or(rule.serve.percent());
        let Ok(number) = u16::try_from(place) else { break };
        match rule.draw_or_keep(place, percent, context, state.pinned) {
            Draw::Serves { variant, reason: Reason::Split | Reason::Cached, .. } => {
                found.taken = Some((number, variant));
                break;
            }
            Draw::Serves { .. } => break,
            Draw::Passes => found.passed.push(number),
            Draw::KeyMissing => {}
        }
    }
    found
}

impl Evaluation {
    fn without_rule(variant: VariantIndex, reason: Reason) -> Self {
        Self { variant, reason, rule: None, bucket: None, error: None }
    }
}

/// What a rule does with a caller for whom its `when` holds.
pub(super) enum Draw {
    /// Takes it.
    Serves { variant: VariantIndex, reason: Reason, bucket: Option<u32> },
    /// Leaves it to the rules below.
    Passes,
    /// Leaves it to the rules below, because there was nothing to hash. Drawing at random instead would give one person
    /// another answer every time, and one bucket for all of them would move them all at once.
    KeyMissing,
}

impl Rule {
    /// What the conversation was given before, else a draw. A variant that the rule gives no more is not kept.
    fn draw_or_keep(
        &self,
        place: usize,
        percent: Percent,
        context: &Context<'_>,
        pinned: Option<&Draws>,
    ) -> Draw {
        let Some(pinned) = pinned else { return self.draw(percent, context) };
        match pinned.taken {
            Some((rule, variant)) if usize::from(rule) == place && self.serve.gives(variant) => {
                Draw::Serves { variant, reason: Reason::Cached, bucket: None }
            }
            _ if pinned.passed.iter().any(|passed| usize::from(*passed) == place) => Draw::Passes,
            _ => self.draw(percent, context),
        }
    }

    pub(super) fn draw(&self, percent: Percent, context: &Context<'_>) -> Draw {
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
