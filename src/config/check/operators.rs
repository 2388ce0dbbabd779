//! The operators of `when`, each checked against the type of its attribute.

use std::sync::Arc;

use toml::de::DeValue;

use crate::config::check::attributes::Compared;
use crate::config::keys::OPERATORS;
use crate::config::quantity::did_you_mean;
use crate::config::read::{At, Loading, Span, in_file_order, number};
use crate::config::shape::describe;
use crate::flags::{Attribute, Condition, Literal, Operator, Test};

/// What went wrong and where.
pub(super) type Fault = (Span, String);

/// What is asked of an attribute.
pub(super) enum Asked {
    /// One operator.
    One(Operator),
    /// Not all of these at once.
    NotAll(Vec<Operator>),
}

impl Asked {
    /// The condition that asks it of `attribute`.
    pub(super) fn about(self, attribute: Attribute) -> Condition {
        match self {
            Self::One(operator) => Condition::Test(Test { attribute, operator }),
            Self::NotAll(operators) => {
                let tests =
                    operators.into_iter().map(|operator| Condition::Test(Test { attribute, operator }));
                Condition::NoneOf(vec![Condition::All(tests.collect())])
            }
        }
    }
}

/// What an operator and its operand ask of an attribute.
pub(super) fn operator(
    loading: &Loading<'_>,
    compared: &Compared<'_>,
    key: &At<&str>,
    operand: &At<&DeValue<'_>>,
) -> Result<Asked, Fault> {
    check_operator(compared, key)?;
    let text = || text_operand(key.value, operand);
    let asked = match key.value {
        "in" => one_of(loading, compared, operand)?,
        "not" => return negation(loading, compared, operand),
        "gt" => Operator::Greater(number_operand(key.value, operand)?),
        "gte" => Operator::GreaterOrEqual(number_operand(key.value, operand)?),
        "lt" => Operator::Less(number_operand(key.value, operand)?),
        "lte" => Operator::LessOrEqual(number_operand(key.value, operand)?),
        "at_least" | "at_most" => rank(compared, key.value, operand)?,
        "starts_with" => Operator::StartsWith(text()?.into()),
        "ends_with" => Operator::EndsWith(text()?.into()),
        "contains" => Operator::Contains(text()?.into()),
        "matches" => Operator::Matches(regex_operand(text()?, &operand.span)?),
        "semver" => {
            let requirement = semver::VersionReq::parse(text()?);
            Operator::Semver(requirement.map_err(|error| {
                (
                    operand.span.clone(),
                    format!(
                        "semver is given no version requirement: {error}; write one such as \">=1.2, <2\""
                    ),
                )
            })?)
        }
        _ => {
            let exists = operand.value.as_bool();
            let wrong = || {
                (
                    operand.span.clone(),
                    format!("exists must be true or false, not {}", describe(operand.value)),
                )
            };
            Operator::Exists(exists.ok_or_else(wrong)?)
        }
    };
    Ok(Asked::One(asked))
}

fn one_of(
    loading: &Loading<'_>,
    compared: &Compared<'_>,
    operand: &At<&DeValue<'_>>,
) -> Result<Operator, Fault> {
    if let Some(reference) = operand.value.as_str() {
        return texts_of_file(loading, compared, reference, &operand.span);
    }
    let expected = || (operand.span.clone(), r#"in must be a list, or "file:PATH""#.to_owned());
    let list = operand.value.as_array().ok_or_else(expected)?;
    if list.is_empty() {
        return Err((
            operand.span.clone(),
            "in is given nothing, so nobody is in it: name someone".to_owned(),
        ));
    }
    let mut literals = Vec::new();
    for element in list.iter() {
        literals.push(literal(compared, &At { value: element.get_ref(), span: element.span() })?);
    }
    if literals.iter().any(|literal| !matches!(literal, Literal::Text(_))) {
        return Ok(Operator::In(literals));
    }
    let texts = literals.into_iter().filter_map(|literal| match literal {
        Literal::Text(text) => Some(text),
        _ => None,
    });
    Ok(Operator::InTexts(Arc::new(texts.collect())))
}

fn texts_of_file(
    loading: &Loading<'_>,
    compared: &Compared<'_>,
    reference: &str,
    span: &Span,
) -> Result<Operator, Fault> {
    let fault = |message: String| (span.clone(), message);
    let name = reference.strip_prefix("file:").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        fault(format!(r#"in must be a list, or "file:PATH"; write ["{reference}"] for one text"#))
    })?;
    if matches!(compared, Compared::Number | Compared::Bool) {
        return Err(fault("a file holds texts, and the attribute is none".to_owned()));
    }
    let text = loading.read_file(name, LIST_BYTES_MAX).map_err(fault)?;
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(Operator::InTexts(Arc::new(lines.map(Box::from).collect())))
}

fn negation(
    loading: &Loading<'_>,
    compared: &Compared<'_>,
    operand: &At<&DeValue<'_>>,
) -> Result<Asked, Fault> {
    let inside = match operand.value {
        DeValue::Array(_) => vec![one_of(loading, compared, operand)?],
        DeValue::Table(operators) => {
            let mut inside = Vec::new();
            for (key, inner) in in_file_order(operators) {
                match operator(loading, compared, &key, &inner)? {
                    Asked::One(Operator::Not(_)) | Asked::NotAll(_) => {
                        return Err((key.span, "not stands inside not: take both out".to_owned()));
                    }
                    Asked::One(one) => inside.push(one),
                }
            }
            inside
        }
        _ => vec![Operator::Equals(literal(compared, operand)?)],
    };
    match <[Operator; 1]>::try_from(inside) {
        Ok([one]) => Ok(Asked::One(Operator::Not(Box::new(one)))),
        Err(none) if none.is_empty() => Err((operand.span.clone(), "not is given nothing".to_owned())),
        Err(several) => Ok(Asked::NotAll(several)),
    }
}

/// A list of more customers belongs into a flag service.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// An operator must exist, and suit the attribute's type.
fn check_operator(compared: &Compared<'_>, key: &At<&str>) -> Result<(), Fault> {
    let known = OPERATORS.iter().map(|operator| operator.name);
    if !known.clone().any(|name| name == key.value) {
        let suggestion = did_you_mean(key.value, known.clone());
        let all = if suggestion.is_empty() {
            format!("; known: {}", known.collect::<Vec<_>>().join(", "))
        } else {
            suggestion
        };
        return Err((key.span.clone(), format!("{:?} is no operator{all}", key.value)));
    }
    let suits = match key.value {
        "not" | "exists" => true,
        "in" => !matches!(compared, Compared::Bool),
        "gt" | "gte" | "lt" | "lte" => matches!(compared, Compared::Number),
        "at_least" | "at_most" => matches!(compared, Compared::Ordered(_)),
        _ => matches!(compared, Compared::Text | Compared::OneOf(_) | Compared::Ordered(_)),
    };
    if suits {
        return Ok(());
    }
    let remedy = match key.value {
        "gt" | "gte" | "lt" | "lte" => r#"declare it with type = "number""#,
        "at_least" | "at_most" => r#"declare it with order = ["lowest", …, "highest"]"#,
        "in" => "write the value itself",
        _ => "use another operator",
    };
    Err((key.span.clone(), format!("{} does not suit {}: {remedy}", key.value, compared.what())))
}

/// A value that an attribute of this type can equal.
pub(super) fn literal(compared: &Compared<'_>, value: &At<&DeValue<'_>>) -> Result<Literal, Fault> {
    let fault = |message: String| (value.span.clone(), message);
    let wrong = |expected: &str| fault(format!("must be {expected}, not {}", describe(value.value)));
    let listed = |text: &str, known: &mut dyn Iterator<Item = &str>, what: &str| {
        let known: Vec<&str> = known.collect();
        if known.contains(&text) {
            return Ok(Literal::Text(text.into()));
        }
        let suggestion = did_you_mean(text, known.iter().copied());
        let all = if suggestion.is_empty() { format!("; known: {}", known.join(", ")) } else { suggestion };
        Err(fault(format!("{text:?} is no {what}{all}")))
    };
    match (compared, value.value) {
        (_, DeValue::Array(_)) => Err(fault("a list needs an operator: write { in = […] }".to_owned())),
        (Compared::Text, DeValue::String(text)) => Ok(Literal::Text(Box::from(&**text))),
        (Compared::OneOf(known), DeValue::String(text)) => {
            listed(text, &mut known.iter().copied(), "value that this attribute can have")
        }
        (Compared::Ordered(order), DeValue::String(text)) => {
            listed(text, &mut order.iter().map(|known| &**known), "value of the attribute's order")
        }
        (Compared::Number, other) => number(other).map(Literal::Number).ok_or_else(|| wrong("a number")),
        (Compared::Bool, DeValue::Boolean(flag)) => Ok(Literal::Bool(*flag)),
        (Compared::Bool, DeValue::String(text)) if matches!(&**text, "true" | "false") => {
            Err(fault(format!("must be true or false, not a text: write {text} without quotes")))
        }
        (Compared::Bool, _) => Err(wrong("true or false")),
        _ => Err(wrong("a text")),
    }
}

fn text_operand<'v>(key: &str, operand: &At<&'v DeValue<'_>>) -> Result<&'v str, Fault> {
    let text = operand.value.as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| (operand.span.clone(), format!("{key} must be given a text that is not empty")))
}

fn number_operand(key: &str, operand: &At<&DeValue<'_>>) -> Result<f64, Fault> {
    let wrong =
        || (operand.span.clone(), format!("{key} must be given a number, not {}", describe(operand.value)));
    number(operand.value).ok_or_else(wrong)
}

fn rank(compared: &Compared<'_>, key: &str, operand: &At<&DeValue<'_>>) -> Result<Operator, Fault> {
    let Literal::Text(text) = literal(compared, operand)? else {
        return Err((operand.span.clone(), format!("{key} must be given a text")));
    };
    let Compared::Ordered(order) = compared else {
        return Err((operand.span.clone(), format!("{key} needs an order")));
    };
    let rank = order.iter().position(|value| *value == text).unwrap_or_default();
    let order = Arc::clone(order);
    Ok(if key == "at_least" { Operator::AtLeast { order, rank } } else { Operator::AtMost { order, rank } })
}

fn regex_operand(text: &str, span: &Span) -> Result<regex::Regex, Fault> {
    let compiled = regex::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
    compiled.map_err(|error| {
        let shown = error.to_string();
        let last = shown.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned();
        (span.clone(), format!("matches is given no regular expression: {last}"))
    })
}

/// A larger automaton would cost more than a request may.
const REGEX_BYTES_MAX: usize = 1 << 20;
