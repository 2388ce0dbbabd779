//! `when`: conditions over the evaluation context, compiled once per configuration.

use std::collections::HashSet;
use std::sync::Arc;

use crate::flags::Attribute;
use crate::names::SegmentName;

/// A compiled `when`.
#[derive(Clone, Debug)]
pub enum Condition {
    /// No `when`, or an empty one.
    Always,
    /// Keys of one table: all must hold.
    All(Vec<Condition>),
    /// `any = [{…}, {…}]`: one must hold.
    Any(Vec<Condition>),
    /// `none = [{…}]`: none may hold.
    NoneOf(Vec<Condition>),
    /// `segment = "NAME"`.
    Segment(Arc<Segment>),
    /// One attribute, one operator.
    Test(Test),
}

/// `[segments.NAME]`.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its name.
    pub name: SegmentName,
    /// Who is in it.
    pub when: Condition,
}

/// One attribute, one operator.
#[derive(Clone, Debug)]
pub struct Test {
    /// What is looked at.
    pub attribute: Attribute,
    /// What must hold of it.
    pub operator: Operator,
}

/// A value to compare with; never coerced: a text never equals a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A TOML string.
    Text(Box<str>),
    /// A TOML integer or float.
    Number(f64),
    /// A TOML boolean.
    Bool(bool),
}

/// The order of an ordered attribute's values, lowest first.
pub type Order = Arc<[Box<str>]>;

/// What may be asked of an attribute. All but `Not` and `Exists(false)` are positive: false on a missing attribute or one
/// of another type.
#[derive(Clone, Debug)]
pub enum Operator {
    /// A bare value.
    Equals(Literal),
    /// `in = […]` of texts, or `in = "file:…"`.
    InTexts(Arc<HashSet<Box<str>>>),
    /// `in = […]` of numbers or booleans.
    In(Vec<Literal>),
    /// `not = …`: the negation of what stands inside; true on a missing attribute.
    Not(Box<Operator>),
    /// `gt`
    Greater(f64),
    /// `gte`
    GreaterOrEqual(f64),
    /// `lt`
    Less(f64),
    /// `lte`
    LessOrEqual(f64),
    /// `at_least`: the value's place in the order is `rank` or higher. A value that the order does not name is missing.
    AtLeast {
        /// The attribute's order.
        order: Order,
        /// The place of the operand.
        rank: usize,
    },
    /// `at_most`
    AtMost {
        /// The attribute's order.
        order: Order,
        /// The place of the operand.
        rank: usize,
    },
    /// `starts_with`
    StartsWith(Box<str>),
    /// `ends_with`
    EndsWith(Box<str>),
    /// `contains`
    Contains(Box<str>),
    /// `matches`: anywhere in the text unless anchored.
    Matches(regex::Regex),
    /// `semver = ">=1.2, <2"`: a text that is a semantic version within the requirement.
    Semver(semver::VersionReq),
    /// `exists = true | false`
    Exists(bool),
}
