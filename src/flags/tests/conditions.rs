//! Every operator, one case a line: the attribute's value, the operator, whether it holds.

use std::collections::HashSet;
use std::sync::Arc;

use crate::flags::tests::with_attributes;
use crate::flags::{Attribute, AttributeValue, Condition, Context, Literal, Operator, Order, Segment, Test};

const MISSING: Option<AttributeValue<'static>> = None;
const EMPTY: Option<AttributeValue<'static>> = text("");

const fn text(text: &str) -> Option<AttributeValue<'_>> {
    Some(AttributeValue::Text(text))
}

const fn number(number: f64) -> Option<AttributeValue<'static>> {
    Some(AttributeValue::Number(number))
}

const fn bool(bool: bool) -> Option<AttributeValue<'static>> {
    Some(AttributeValue::Bool(bool))
}

fn equals(text: &str) -> Operator {
    Operator::Equals(Literal::Text(text.into()))
}

fn not(inner: Operator) -> Operator {
    Operator::Not(Box::new(inner))
}

fn test(attribute: Attribute, operator: Operator) -> Condition {
    Condition::Test(Test { attribute, operator })
}

/// Checks the operator, and that its negation is the opposite, whatever the value.
fn check(value: Option<AttributeValue<'_>>, operator: Operator, holds: bool) {
    let shown = format!("{operator:?} of {value:?}");
    let custom = [MISSING, value];
    let context = with_attributes(&custom);
    assert_eq!(test(Attribute::Custom(1), operator.clone()).holds(&context), holds, "{shown}");
    assert_eq!(test(Attribute::Custom(1), not(operator)).holds(&context), !holds, "not {shown}");
}

#[test]
fn equality_never_coerces() {
    check(text("pro"), equals("pro"), true);
    check(text("Pro"), equals("pro"), false);
    check(text("pro "), equals("pro"), false);
    check(MISSING, equals("pro"), false);
    check(EMPTY, equals(""), false);
    check(number(1.0), equals("1"), false);
    check(bool(true), equals("true"), false);

    let one = || Operator::Equals(Literal::Number(1.0));
    check(number(1.0), one(), true);
    check(number(1.5), one(), false);
    check(text("1"), one(), false);
    check(bool(true), one(), false);
    check(number(f64::NAN), Operator::Equals(Literal::Number(f64::NAN)), false);

    let yes = || Operator::Equals(Literal::Bool(true));
    check(bool(true), yes(), true);
    check(bool(false), yes(), false);
    check(text("true"), yes(), false);
    check(number(1.0), yes(), false);
    check(MISSING, yes(), false);
    check(bool(false), Operator::Equals(Literal::Bool(false)), true);
    check(MISSING, Operator::Equals(Literal::Bool(false)), false);
}

#[test]
fn membership() {
    let texts = |names: &[&str]| Operator::InTexts(Arc::new(names.iter().map(|&name| name.into()).collect()));
    check(text("eu-west"), texts(&["eu-west", "eu-central"]), true);
    check(text("eu-central"), texts(&["eu-west", "eu-central"]), true);
    check(text("us-east"), texts(&["eu-west", "eu-central"]), false);
    check(text("eu"), texts(&["eu-west"]), false);
    check(text("eu-west"), texts(&[]), false);
    check(MISSING, texts(&["eu-west"]), false);
    check(EMPTY, texts(&[""]), false);
    check(number(1.0), texts(&["1"]), false);

    let mixed = || Operator::In(vec![Literal::Number(1.0), Literal::Bool(true), Literal::Text("x".into())]);
    check(number(1.0), mixed(), true);
    check(number(2.0), mixed(), false);
    check(bool(true), mixed(), true);
    check(bool(false), mixed(), false);
    check(text("x"), mixed(), true);
    check(text("1"), mixed(), false);
    check(MISSING, mixed(), false);
    check(number(1.0), Operator::In(Vec::new()), false);
}

#[test]
fn comparison_of_numbers() {
    type Operators = [Operator; 4];
    let against = |bound| -> Operators {
        [
            Operator::Greater(bound),
            Operator::GreaterOrEqual(bound),
            Operator::Less(bound),
            Operator::LessOrEqual(bound),
        ]
    };
    let compare = |value: Option<AttributeValue<'_>>, bound, expected: [bool; 4]| {
        against(bound).into_iter().zip(expected).for_each(|(operator, holds)| check(value, operator, holds));
    };
    compare(number(31.0), 30.0, [true, true, false, false]);
    compare(number(30.0), 30.0, [false, true, false, true]);
    compare(number(29.9), 30.0, [false, false, true, true]);
    compare(number(-0.0), 0.0, [false, true, false, true]);
    compare(number(-1e300), 1e300, [false, false, true, true]);
    compare(MISSING, 30.0, [false; 4]);
    compare(text("31"), 30.0, [false; 4]);
    compare(bool(true), 0.0, [false; 4]);
    compare(number(f64::NAN), 30.0, [false; 4]);
    compare(number(f64::INFINITY), 30.0, [false; 4]);
}

#[test]
fn order() {
    let tiers: Order = ["free", "pro", "enterprise"].map(Box::from).into();
    let at_least = |rank| Operator::AtLeast { order: Arc::clone(&tiers), rank };
    let at_most = |rank| Operator::AtMost { order: Arc::clone(&tiers), rank };
    for (value, least, most) in [("free", false, true), ("pro", true, true), ("enterprise", true, false)] {
        check(text(value), at_least(1), least);
        check(text(value), at_most(1), most);
        check(text(value), at_least(0), true);
        check(text(value), at_most(2), true);
    }
    // Out of the alphabet's order, so that comparing the texts themselves would be seen.
    check(text("free"), at_least(2), false);
    check(text("enterprise"), at_most(0), false);
    for unknown in [MISSING, EMPTY, text("platinum"), text("Pro"), number(1.0), bool(true)] {
        check(unknown, at_least(0), false);
        check(unknown, at_most(2), false);
    }
}

#[test]
fn parts_of_texts() {
    check(text("gpt-4o"), Operator::StartsWith("gpt-".into()), true);
    check(text("my-gpt-4o"), Operator::StartsWith("gpt-".into()), false);
    check(text("gpt"), Operator::StartsWith("gpt-".into()), false);
    check(text("a@example.com"), Operator::EndsWith("@example.com".into()), true);
    check(text("a@example.com.evil"), Operator::EndsWith("@example.com".into()), false);
    check(text("a@example.com"), Operator::Contains("@exam".into()), true);
    check(text("a@example.com"), Operator::Contains("EXAM".into()), false);
    for other in [MISSING, EMPTY, number(1.0), bool(true)] {
        check(other, Operator::StartsWith("".into()), false);
        check(other, Operator::EndsWith("".into()), false);
        check(other, Operator::Contains("".into()), false);
    }
}

#[test]
fn patterns() {
    let matches = |pattern| Operator::Matches(regex::Regex::new(pattern).expect("a pattern of this test"));
    check(text("gpt-4o-mini"), matches("4o"), true);
    check(text("gpt-4o-mini"), matches("^4o"), false);
    check(text("gpt-4o-mini"), matches("^gpt-.*mini$"), true);
    check(text("GPT-4o"), matches("^gpt"), false);
    check(text("GPT-4o"), matches("(?i)^gpt"), true);
    check(text("Zoë"), matches(r"^\p{Lu}\w+$"), true);
    for other in [MISSING, EMPTY, number(4.0), bool(true)] {
        check(other, matches(""), false);
    }
}

#[test]
fn semantic_versions() {
    let semver =
        |wanted| Operator::Semver(semver::VersionReq::parse(wanted).expect("a requirement of this test"));
    check(text("1.2.0"), semver(">=1.2, <2"), true);
    check(text("1.10.0"), semver(">=1.2, <2"), true);
    check(text("1.1.9"), semver(">=1.2, <2"), false);
    check(text("2.0.0"), semver(">=1.2, <2"), false);
    check(text("1.2.0+build.7"), semver("=1.2.0"), true);
    check(text("2.0.0-beta.1"), semver(">=1.2"), false);
    check(text("2.0.0-beta.2"), semver(">=2.0.0-beta.1"), true);
    for other in [MISSING, EMPTY, text("1.2"), text("v1.2.0"), text("latest"), number(1.2), bool(true)] {
        check(other, semver(">=0"), false);
    }
}

#[test]
fn existence() {
    for present in [text("x"), number(0.0), bool(false)] {
        check(present, Operator::Exists(true), true);
        check(present, Operator::Exists(false), false);
    }
    for missing in [MISSING, EMPTY, number(f64::NAN), number(f64::NEG_INFINITY)] {
        check(missing, Operator::Exists(true), false);
        check(missing, Operator::Exists(false), true);
    }
}

#[test]
fn negations_nest() {
    check(text("pro"), not(not(equals("pro"))), true);
    check(MISSING, not(not(equals("pro"))), false);
    check(MISSING, not(Operator::Exists(false)), false);
}

#[test]
fn an_undeclared_attribute_is_missing() {
    let exists = test(Attribute::Custom(7), Operator::Exists(true));
    assert!(!exists.holds(&with_attributes(&[text("x")])));
}

/// `request.tools` is a list: a positive operator holds when it holds for one element.
#[test]
fn lists() {
    let check = |tools: Option<&[&str]>, operator: Operator, holds: bool| {
        let shown = format!("{operator:?} of {tools:?}");
        let owned = tools.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        let context = Context { request_tools: owned.as_deref(), ..Context::default() };
        assert_eq!(test(Attribute::RequestTools, operator.clone()).holds(&context), holds, "{shown}");
        assert_eq!(test(Attribute::RequestTools, not(operator)).holds(&context), !holds, "not {shown}");
    };
    let both: Option<&[&str]> = Some(&["search", "shell"]);
    check(both, equals("shell"), true);
    check(both, equals("browser"), false);
    check(both, Operator::InTexts(Arc::new(HashSet::from(["shell".into(), "x".into()]))), true);
    check(both, Operator::StartsWith("sea".into()), true);
    check(both, Operator::Matches(regex::Regex::new("^sh").expect("a pattern")), true);
    check(both, Operator::Exists(true), true);
    check(both, Operator::Exists(false), false);
    check(both, not(equals("shell")), false);
    check(both, not(not(equals("shell"))), true);
    check(both, Operator::Greater(0.0), false);
    for none in [None, Some(&[][..]), Some(&[""][..])] {
        check(none, equals("shell"), false);
        check(none, equals(""), false);
        check(none, not(equals("shell")), true);
        check(none, Operator::Exists(true), false);
        check(none, Operator::Exists(false), true);
    }
}

#[test]
fn built_in_attributes() {
    let context = Context {
        targeting_key: Some("u"),
        conversation: Some("c"),
        client: Some("web"),
        request_id: "id",
        route: "assistant",
        request_model: Some("gpt-4o"),
        request_dialect: "openai",
        request_endpoint: "chat.completions",
        request_stream: Some(true),
        request_tools: None,
        custom: &[],
    };
    let holds = |of: &Context<'_>, attribute, operator| test(attribute, operator).holds(of);
    for (attribute, value) in [
        (Attribute::TargetingKey, "u"),
        (Attribute::Conversation, "c"),
        (Attribute::Client, "web"),
        (Attribute::Route, "assistant"),
        (Attribute::RequestModel, "gpt-4o"),
        (Attribute::RequestDialect, "openai"),
        (Attribute::RequestEndpoint, "chat.completions"),
    ] {
        assert!(holds(&context, attribute, equals(value)), "{attribute:?}");
        assert!(!holds(&context, attribute, equals("other")), "{attribute:?}");
        assert!(holds(&Context::default(), attribute, Operator::Exists(false)), "{attribute:?}");
    }
    assert!(holds(&context, Attribute::RequestStream, Operator::Equals(Literal::Bool(true))));
    assert!(holds(&Context::default(), Attribute::RequestStream, Operator::Exists(false)));
    let empty =
        Context { targeting_key: Some(""), conversation: Some(""), client: Some(""), ..Context::default() };
    for attribute in [Attribute::TargetingKey, Attribute::Conversation, Attribute::Client] {
        assert!(holds(&empty, attribute, Operator::Exists(false)), "{attribute:?}");
    }
}

#[test]
fn conditions_join() {
    let (yes, no) = (|| Condition::Always, || Condition::NoneOf(vec![Condition::Always]));
    let segment = |when| Condition::Segment(Arc::new(Segment { name: "segment".into(), when }));
    for (condition, holds) in [
        (yes(), true),
        (no(), false),
        (Condition::All(vec![]), true),
        (Condition::All(vec![yes(), yes()]), true),
        (Condition::All(vec![yes(), no()]), false),
        (Condition::Any(vec![]), false),
        (Condition::Any(vec![no(), yes()]), true),
        (Condition::Any(vec![no(), no()]), false),
        (Condition::NoneOf(vec![]), true),
        (Condition::NoneOf(vec![no(), no()]), true),
        (Condition::NoneOf(vec![no(), yes()]), false),
        (segment(yes()), true),
        (segment(no()), false),
        (Condition::All(vec![segment(yes()), Condition::Any(vec![no(), Condition::All(vec![yes()])])]), true),
    ] {
        assert_eq!(condition.holds(&Context::default()), holds, "{condition:?}");
    }
}
