//! Whether a `when` holds for an evaluation context.
//!
//! Serves evaluation, and later the tier guards' `allow`. Must never coerce one type into another, and never guess on a
//! missing attribute: what is positive is then false and its negation true.

use crate::flags::{Attribute, AttributeValue, Condition, Context, Literal, Operator, Order, Test};

impl Condition {
    /// Whether the condition holds for `context`.
    pub fn holds(&self, context: &Context<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::All(parts) => parts.iter().all(|part| part.holds(context)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(context)),
            Self::NoneOf(parts) => !parts.iter().any(|part| part.holds(context)),
            Self::Segment(segment) => segment.when.holds(context),
            Self::Test(test) => test.holds(context),
        }
    }
}

impl Test {
    /// Whether the attribute is as the operator wants it.
    pub fn holds(&self, context: &Context<'_>) -> bool {
        match self.attribute {
            Attribute::RequestTools => {
                self.operator.holds_for_list(context.request_tools.unwrap_or_default())
            }
            scalar => self.operator.holds_for(context.scalar(scalar)),
        }
    }
}

impl Operator {
    /// A list: a positive operator wants one element, so a negation wants that there is none. An empty list is missing.
    fn holds_for_list(&self, elements: &[String]) -> bool {
        match self {
            Self::Not(inner) => !inner.holds_for_list(elements),
            Self::Exists(false) => !Self::Exists(true).holds_for_list(elements),
            positive => {
                elements.iter().any(|element| positive.holds_for(AttributeValue::Text(element).present()))
            }
        }
    }

    /// One value, or `None` where it is missing.
    fn holds_for(&self, value: Option<AttributeValue<'_>>) -> bool {
        match (self, value) {
            (Self::Not(inner), _) => !inner.holds_for(value),
            (Self::Exists(wanted), _) => value.is_some() == *wanted,
            (Self::Equals(literal), Some(found)) => literal.equals(found),
            (Self::In(literals), Some(found)) => literals.iter().any(|literal| literal.equals(found)),
            (_, Some(AttributeValue::Text(text))) => self.holds_for_text(text),
            (_, Some(AttributeValue::Number(number))) => self.holds_for_number(number),
            (_, Some(AttributeValue::Bool(_)) | None) => false,
        }
    }

    /// The operators that only texts have.
    fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Self::InTexts(texts) => texts.contains(text),
            Self::AtLeast { order, rank } => rank_of(text, order).is_some_and(|found| found >= *rank),
            Self::AtMost { order, rank } => rank_of(text, order).is_some_and(|found| found <= *rank),
            Self::StartsWith(prefix) => text.starts_with(&**prefix),
            Self::EndsWith(suffix) => text.ends_with(&**suffix),
            Self::Contains(part) => text.contains(&**part),
            Self::Matches(pattern) => pattern.is_match(text),
            Self::Semver(wanted) => {
                semver::Version::parse(text).is_ok_and(|version| wanted.matches(&version))
            }
            _ => false,
        }
    }

    /// The operators that only numbers have.
    fn holds_for_number(&self, number: f64) -> bool {
        match self {
            Self::Greater(bound) => number > *bound,
            Self::GreaterOrEqual(bound) => number >= *bound,
            Self::Less(bound) => number < *bound,
            Self::LessOrEqual(bound) => number <= *bound,
            _ => false,
        }
    }
}

impl Literal {
    /// Same type and same value.
    fn equals(&self, found: AttributeValue<'_>) -> bool {
        match (self, found) {
            (Self::Text(wanted), AttributeValue::Text(text)) => **wanted == *text,
            (Self::Number(wanted), AttributeValue::Number(number)) => *wanted == number,
            (Self::Bool(wanted), AttributeValue::Bool(bool)) => *wanted == bool,
            _ => false,
        }
    }
}

/// The place of a value in its order; orders are a handful of names, so a scan beats a map.
fn rank_of(text: &str, order: &Order) -> Option<usize> {
    order.iter().position(|name| **name == *text)
}
