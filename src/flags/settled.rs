//! Whether an evaluation is certain although not every attribute of the caller is known.
//!
//! Serves those who ask afterwards who would get what (`dimmer plan`), never a request. Must never guess: what depends on an
//! attribute that nobody has noted down is said to be open.

use crate::flags::evaluate::Draw;
use crate::flags::{Attribute, By, Condition, Context, Flag, FlagState, Rule, Serve};
use crate::units::Percent;

/// Which attributes of a context are known; the others count as missing in it, and may be anything.
pub type Knows<'k> = dyn Fn(Attribute) -> bool + 'k;

/// The place of the rule that leaves it open what [`crate::flags::evaluate`] gives; `None`: it gives that for sure. A rule by the
/// request's own id draws anew for each, so that nobody has a variant of it.
pub fn open_rule(
    flag: &Flag,
    context: &Context<'_>,
    state: &FlagState<'_>,
    knows: &Knows<'_>,
) -> Option<usize> {
    if state.killed {
        return None;
    }
    for (place, rule) in flag.rules.iter().enumerate() {
        let percent = state.percents.get(place).copied().flatten().unwrap_or(rule.serve.percent());
        let holds = rule.when.known(context, knows);
        if holds == Some(false) || percent == Percent::ZERO {
            continue;
        }
        let draws = !matches!(rule.serve, Serve::One { .. }) || percent != Percent::FULL;
        if draws && !rule.key_is_known(knows) {
            return Some(place);
        }
        match (rule.draw(percent, context), holds) {
            (Draw::Passes | Draw::KeyMissing, _) => {}
            (Draw::Serves { .. }, Some(_)) => return None,
            (Draw::Serves { .. }, None) => return Some(place),
        }
    }
    None
}

impl Rule {
    fn key_is_known(&self, knows: &Knows<'_>) -> bool {
        match self.by {
            By::TargetingKey => knows(Attribute::TargetingKey),
            By::Conversation => knows(Attribute::Conversation),
            By::Client => knows(Attribute::Client),
            By::Request => false,
            By::Attribute(index) => knows(Attribute::Custom(index)),
        }
    }
}

impl Condition {
    /// Whether the condition holds; `None`: that depends on what is not known.
    pub fn known(&self, context: &Context<'_>, knows: &Knows<'_>) -> Option<bool> {
        let each = |parts: &[Self]| all(parts.iter().map(|part| part.known(context, knows)));
        let none =
            |parts: &[Self]| all(parts.iter().map(|part| part.known(context, knows).map(|holds| !holds)));
        match self {
            Self::Always => Some(true),
            Self::All(parts) => each(parts),
            Self::Any(parts) => none(parts).map(|none| !none),
            Self::NoneOf(parts) => none(parts),
            Self::Segment(segment) => segment.when.known(context, knows),
            Self::Test(test) => knows(test.attribute).then(|| test.holds(context)),
        }
    }

    /// Calls `each` with every attribute that the condition looks at.
    pub fn attributes(&self, each: &mut dyn FnMut(Attribute)) {
        match self {
            Self::Always => {}
            Self::All(parts) | Self::Any(parts) | Self::NoneOf(parts) => {
                parts.iter().for_each(|part| part.attributes(each));
            }
            Self::Segment(segment) => segment.when.attributes(each),
            Self::Test(test) => each(test.attribute),
        }
    }
}

/// One that is false decides, whatever the open ones are.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut together = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            Some(true) => {}
            None => together = None,
        }
    }
    together
}
