//! The one table of all keys: it drives the unknown-key errors, the JSON Schema and docs/configuration.md.
//!
//! A test proves that the readers in `check` ask for every key of the table that is built and for no other.

mod beside;
mod judge;
mod models;
mod shadow;
mod table;
mod telemetry;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use toml::de::DeValue;

use beside::BESIDE;
use judge::JUDGE;
use models::MODELS;
use shadow::SHADOW;
use table::{BEHIND_MODELS, KEYS};
use telemetry::TELEMETRY;

/// One key, or one table.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its dotted path. `*` stands for a name that the file chooses, `[]` for an element of a list of tables.
    pub(crate) path: &'static str,
    /// What it may hold.
    pub(crate) kind: Kind,
    /// Whether it must be there, and what its absence means.
    pub(crate) need: Need,
    /// What it means, in one or two sentences.
    pub(crate) doc: &'static str,
}

/// Whether a key must be there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Its absence is an error.
    Required,
    /// Its absence means this TOML value.
    Default(&'static str),
    /// Its absence means this, in words.
    Absent(&'static str),
    /// It belongs to a part that is not built yet: its presence is an error.
    NotBuilt,
}

/// What a key may hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text but an empty one.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number from 1.
    Count,
    /// A whole number from 0.
    Whole,
    /// A number from 0.
    Number,
    /// A number from 0 to 100 in steps of 0.0001.
    Percent,
    /// `"2%"`
    Share,
    /// `"30s"`, more than nothing.
    Duration,
    /// `"30s"` or `"0s"`.
    Wait,
    /// `"30s"` or `"off"`.
    Limit,
    /// `"32MiB"`
    Size,
    /// `"127.0.0.1:8080"`
    Address,
    /// `"https://…"`
    Url,
    /// `"${NAME}"` or `"file:PATH"`
    Secret,
    /// `2027-03-31`
    Date,
    /// One of these texts; the second list is not built yet.
    Choice(&'static [&'static str], &'static [&'static str]),
    /// Any TOML value.
    Any,
    /// A condition: see "Conditions".
    When,
    /// A list.
    List(&'static Kind),
    /// A table of names that the file chooses, each with a value of this kind.
    Map(&'static Kind),
    /// A table of parameters: see `wire::PARAMS`.
    Params,
    /// A table whose keys the table of keys lists.
    Table,
    /// A table of tables whose names the file chooses.
    Named,
    /// A list of tables.
    Tables,
    /// One of two.
    Either(&'static Kind, &'static Kind),
}

const fn key(path: &'static str, kind: Kind, need: Need, doc: &'static str) -> Key {
    Key { path, kind, need, doc }
}

const fn default(value: &'static str) -> Need {
    Need::Default(value)
}

const fn later(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, need: Need::NotBuilt, doc }
}

/// The table of keys as a tree.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// `None` only for the root, and for `*` and `[]`.
    pub(crate) key: Option<&'static Key>,
    /// The value that its absence means, where there is one.
    pub(crate) default: Option<DeValue<'static>>,
    /// By name; `*` and `[]` stand alone.
    pub(crate) children: BTreeMap<&'static str, Node>,
}

/// Every key, in the order of the documentation.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(MODELS).chain(BEHIND_MODELS).chain(SHADOW).chain(JUDGE).chain(BESIDE).chain(TELEMETRY)
}

/// The root of the tree of keys.
pub(crate) fn root() -> &'static Node {
    static ROOT: OnceLock<Node> = OnceLock::new();
    ROOT.get_or_init(|| {
        let mut root = Node::default();
        for key in keys() {
            let mut node = &mut root;
            for part in segments(key.path) {
                node = node.children.entry(part).or_default();
            }
            node.key = Some(key);
            if let Need::Default(text) = key.need {
                node.default = DeValue::parse(text).ok().map(toml::Spanned::into_inner);
            }
        }
        root
    })
}

/// `flags.*.rules[].name` → `flags`, `*`, `rules`, `[]`, `name`.
pub(crate) fn segments(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('.')
        .flat_map(|part| match part.strip_suffix("[]") {
            Some(name) => [Some(name), Some("[]")],
            None => [Some(part), None],
        })
        .flatten()
}

impl Key {
    /// Whether this version knows what to do with it.
    pub(crate) fn built(&self) -> bool {
        self.need != Need::NotBuilt
    }
}

impl Kind {
    /// What is expected, for a message: "… must be X".
    pub(crate) fn expected(&self) -> String {
        let words = match self {
            Self::Text => r#"a text in quotes"#,
            Self::Bool => "true or false",
            Self::Count => "a whole number from 1",
            Self::Whole => "a whole number from 0",
            Self::Number => "a number from 0",
            Self::Percent => "a number from 0 to 100",
            Self::Share => r#"a share such as "2%""#,
            Self::Duration | Self::Wait => r#"a duration such as "30s""#,
            Self::Limit => r#"a duration such as "30s", or "off""#,
            Self::Size => r#"a size such as "32MiB""#,
            Self::Address => r#"an address such as "127.0.0.1:8080""#,
            Self::Url => r#"an address such as "https://api.openai.com/v1""#,
            Self::Secret => r#""${NAME}" or "file:PATH""#,
            Self::Date => "a date without quotes such as 2027-03-31",
            Self::Choice(choices, _) => return quoted_choices(choices),
            Self::Any => "a value",
            Self::When => r#"a table such as { tier = "pro" }"#,
            Self::List(Self::Text) => r#"a list of texts such as ["a", "b"]"#,
            Self::List(inner) => return format!("a list, each of it {}", inner.expected()),
            Self::Map(_) => r#"a table such as { a = …, b = … }"#,
            Self::Params => "a table such as { temperature = 0.2, max_tokens = { max = 1024 } }",
            Self::Table | Self::Named => "a table",
            Self::Tables => "a list of tables, each written [[…]]",
            Self::Either(one, other) => return format!("{} or {}", one.expected(), other.expected()),
        };
        words.to_owned()
    }

    /// A value as it could stand in the file, for remedies.
    pub(crate) fn sample(&self) -> String {
        let sample = match self {
            Self::Text => r#""…""#,
            Self::Bool => "true",
            Self::Count | Self::Whole | Self::Number | Self::Percent => "10",
            Self::Share => r#""2%""#,
            Self::Duration | Self::Wait | Self::Limit => r#""30s""#,
            Self::Size => r#""32MiB""#,
            Self::Address => r#""127.0.0.1:8080""#,
            Self::Url => r#""https://…""#,
            Self::Secret => r#""${NAME}""#,
            Self::Date => "2027-03-31",
            Self::Choice(choices, _) => return format!("{:?}", choices.first().unwrap_or(&"…")),
            Self::Any => "…",
            Self::When => r#"{ tier = "pro" }"#,
            Self::List(inner) => return format!("[{}]", inner.sample()),
            Self::Map(_) | Self::Params | Self::Table | Self::Named | Self::Tables => "{ … }",
            Self::Either(one, _) => return one.sample(),
        };
        sample.to_owned()
    }
}

/// `"a", "b" or "c"`
pub(crate) fn quoted_choices(choices: &[&str]) -> String {
    match choices {
        [] => String::new(),
        [only] => format!("{only:?}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|choice| format!("{choice:?}")).collect();
            format!("{} or {last:?}", first.join(", "))
        }
    }
}

/// An operator of `when`: its name, what it is given, what it means.
#[derive(Debug)]
pub(crate) struct OperatorKey {
    /// As the file spells it.
    pub(crate) name: &'static str,
    /// What stands after it, for people.
    pub(crate) operand: &'static str,
    /// What must hold.
    pub(crate) doc: &'static str,
}

/// All operators of `when`.
pub(crate) const OPERATORS: &[OperatorKey] = &[
    operator("in", "a list, or `\"file:PATH\"` with one text per line", "equals one of them"),
    operator("not", "a value, a list, or a table of operators", "the negation; true on a missing attribute"),
    operator("gt", "a number", "greater than it"),
    operator("gte", "a number", "greater than it, or equal"),
    operator("lt", "a number", "less than it"),
    operator("lte", "a number", "less than it, or equal"),
    operator("at_least", "a value of the attribute's `order`", "that high in the order, or higher"),
    operator("at_most", "a value of the attribute's `order`", "that high in the order, or lower"),
    operator("starts_with", "a text", "starts with it"),
    operator("ends_with", "a text", "ends with it"),
    operator("contains", "a text", "has it somewhere"),
    operator("matches", "a regular expression", "matches it somewhere, unless `^` and `$` anchor it"),
    operator(
        "semver",
        "a version requirement such as `\">=1.2, <2\"`",
        "is a semantic version that meets it",
    ),
    operator("exists", "true or false", "the attribute is there, or is not"),
];

/// Attributes that need no declaration.
pub(crate) const BUILT_IN_ATTRIBUTES: &[&str] = &[
    "targeting_key",
    "conversation",
    "client",
    "route",
    "request.model",
    "request.dialect",
    "request.endpoint",
    "request.stream",
    "request.tools",
];

const fn operator(name: &'static str, operand: &'static str, doc: &'static str) -> OperatorKey {
    OperatorKey { name, operand, doc }
}
