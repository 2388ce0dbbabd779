//! A condition as people read it: `region in [eu-central, eu-west] and tier at_least pro`. The words are those of the configuration.

use crate::flags::{Attribute, Condition, Literal, Operator, Test};
use crate::names::AttributeName;

/// More of a list than this is counted, not said.
const LISTED_MAX: usize = 8;

impl Condition {
    /// In words; `declared` are the names of `[context.attributes]`, in their order. Empty: everybody.
    pub fn in_words(&self, declared: &[AttributeName]) -> String {
        match self {
            Self::Always => String::new(),
            Self::All(all) => joined(all, " and ", declared),
            Self::Any(any) => format!("any of ({})", joined(any, " or ", declared)),
            Self::NoneOf(none) => format!("none of ({})", joined(none, " or ", declared)),
            Self::Segment(segment) => format!("segment {}", segment.name),
            Self::Test(Test { attribute, operator }) => {
                format!("{} {}", attribute.name(declared), operator.in_words())
            }
        }
    }
}

fn joined(conditions: &[Condition], word: &str, declared: &[AttributeName]) -> String {
    let parts: Vec<String> = conditions.iter().map(|one| one.in_words(declared)).collect();
    parts.iter().map(|part| if part.is_empty() { "everybody" } else { part }).collect::<Vec<_>>().join(word)
}

impl Attribute {
    /// As the configuration spells it.
    fn name(self, declared: &[AttributeName]) -> &str {
        match self {
            Self::TargetingKey => "targeting_key",
            Self::Conversation => "conversation",
            Self::Client => "client",
            Self::Route => "route",
            Self::RequestModel => "request.model",
            Self::RequestDialect => "request.dialect",
            Self::RequestEndpoint => "request.endpoint",
            Self::RequestStream => "request.stream",
            Self::RequestTools => "request.tools",
            Self::Custom(place) => declared.get(usize::from(place)).map_or("?", AttributeName::as_str),
        }
    }
}

impl Operator {
    fn in_words(&self) -> String {
        let named = |order: &[Box<str>], rank: usize| order.get(rank).map_or("?", |one| one).to_owned();
        match self {
            Self::Equals(literal) => format!("= {}", literal.in_words()),
            Self::InTexts(texts) => {
                let mut texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
                texts.sort_unstable();
                format!("in [{}]", listed(texts))
            }
            Self::In(literals) => {
                format!("in [{}]", listed(literals.iter().map(Literal::in_words).collect()))
            }
            Self::Not(inner) => format!("not {}", inner.in_words()),
            Self::Greater(number) => format!("> {number}"),
            Self::GreaterOrEqual(number) => format!("≥ {number}"),
            Self::Less(number) => format!("< {number}"),
            Self::LessOrEqual(number) => format!("≤ {number}"),
            Self::AtLeast { order, rank } => format!("at least {}", named(order, *rank)),
            Self::AtMost { order, rank } => format!("at most {}", named(order, *rank)),
            Self::StartsWith(text) => format!("starts with {text}"),
            Self::EndsWith(text) => format!("ends with {text}"),
            Self::Contains(text) => format!("contains {text}"),
            Self::Matches(regex) => format!("matches {}", regex.as_str()),
            Self::Semver(range) => format!("semver {range}"),
            Self::Exists(true) => "is there".to_owned(),
            Self::Exists(false) => "is not there".to_owned(),
        }
    }
}

impl Literal {
    fn in_words(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
        }
    }
}

fn listed(mut all: Vec<String>) -> String {
    if all.len() > LISTED_MAX {
        let more = all.len() - LISTED_MAX;
        all.truncate(LISTED_MAX);
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::flags::{Attribute, Condition, Literal, Operator, Test};

    #[test]
    fn conditions_are_said_in_the_words_of_the_file() {
        let declared = ["tier".into(), "region".into()];
        let test = |place, operator| Condition::Test(Test { attribute: Attribute::Custom(place), operator });
        let order: Arc<[Box<str>]> = ["free".into(), "pro".into()].into();
        let pro = || test(0, Operator::AtLeast { order: Arc::clone(&order), rank: 1 });
        let texts = ["eu-west", "eu-central"].map(Into::into).into_iter().collect();
        let region = || test(1, Operator::Not(Box::new(Operator::InTexts(Arc::new(texts)))));
        let check = |condition: Condition, words: &str| assert_eq!(condition.in_words(&declared), words);
        check(Condition::Always, "");
        check(Condition::All(vec![pro()]), "tier at least pro");
        check(Condition::Any(vec![pro(), Condition::Always]), "any of (tier at least pro or everybody)");
        check(
            Condition::All(vec![pro(), Condition::NoneOf(vec![region()])]),
            "tier at least pro and none of (region not in [eu-central, eu-west])",
        );
        let numbers = (0..12).map(|number| Literal::Number(f64::from(number))).collect();
        check(test(7, Operator::In(numbers)), "? in [0, 1, 2, 3, 4, 5, 6, 7, and 4 more]");
        check(test(1, Operator::Exists(false)), "region is not there");
    }
}
