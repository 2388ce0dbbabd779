//! `when`: conditions compiled, each operator checked against the type of its attribute.

use std::collections::HashSet;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::config::check::declared;
use crate::config::keys::{BUILT_IN_ATTRIBUTES, OPERATORS};
use crate::config::quantity::did_you_mean;
use crate::config::read::{At, Loading, Span, Table, in_file_order, number};
use crate::config::shape::describe;
use crate::config::{AttributeKind, ContextSpec};
use crate::flags::{Attribute, Condition, Literal, Operator, Order, Segment, Test};
use crate::names::SegmentName;

/// What conditions may ask for.
pub(super) struct Attributes<'c> {
    context: &'c ContextSpec,
    routes: Vec<&'c str>,
    clients: Vec<&'c str>,
}

/// What an attribute can be compared with.
enum Compared<'c> {
    /// Any text.
    Text,
    /// One of these texts, in no order.
    OneOf(&'c [&'c str]),
    /// One of these texts, lowest first.
    Ordered(&'c Order),
    /// Numbers.
    Number,
    /// `true` and `false`.
    Bool,
}

/// The segments of a file, each compiled when it is first asked for.
pub(super) struct Segments {
    built: Vec<Arc<Segment>>,
    declared: Vec<String>,
}

/// Where a condition stands: for messages.
struct Place<'d, 's> {
    loading: &'d Loading<'d>,
    /// `flag "x": rule "y": when`
    text: String,
    segments: &'s dyn Lookup,
}

/// How a condition finds a segment.
trait Lookup {
    /// The segment, or what to say about it; an empty message where it was said already.
    fn segment(&self, name: &str) -> Result<Arc<Segment>, String>;
}

impl<'c> Attributes<'c> {
    /// The built-in ones and those of `context`.
    pub(super) fn new(root: &Table<'c>, context: &'c ContextSpec) -> Self {
        Self { context, routes: declared(root, "routes"), clients: declared(root, "clients") }
    }

    /// The index of a declared attribute.
    pub(super) fn custom(&self, name: &str) -> Option<u16> {
        let index = self.context.attributes.iter().position(|spec| spec.name.as_str() == name)?;
        u16::try_from(index).ok()
    }

    /// The names of all declared attributes.
    pub(super) fn custom_names(&self) -> impl Iterator<Item = &str> {
        self.context.attributes.iter().map(|spec| spec.name.as_str())
    }

    fn find(&self, name: &str) -> Option<(Attribute, Compared<'_>)> {
        let built_in = match name {
            "targeting_key" => (Attribute::TargetingKey, Compared::Text),
            "conversation" => (Attribute::Conversation, Compared::Text),
            "client" => (Attribute::Client, Compared::OneOf(&self.clients)),
            "route" => (Attribute::Route, Compared::OneOf(&self.routes)),
            "request.model" => (Attribute::RequestModel, Compared::Text),
            "request.dialect" => (Attribute::RequestDialect, Compared::OneOf(DIALECTS)),
            "request.endpoint" => (Attribute::RequestEndpoint, Compared::OneOf(ENDPOINTS)),
            "request.stream" => (Attribute::RequestStream, Compared::Bool),
            "request.tools" => (Attribute::RequestTools, Compared::Text),
            _ => {
                let index = self.custom(name)?;
                let spec = self.context.attributes.get(usize::from(index))?;
                let compared = match &spec.kind {
                    AttributeKind::Text => Compared::Text,
                    AttributeKind::Ordered(order) => Compared::Ordered(order),
                    AttributeKind::Bool => Compared::Bool,
                    AttributeKind::Number => Compared::Number,
                };
                return Some((Attribute::Custom(index), compared));
            }
        };
        Some(built_in)
    }
}

/// The dialects that a request may have.
const DIALECTS: &[&str] = &["openai", "anthropic"];
/// The endpoints on which flags are evaluated.
const ENDPOINTS: &[&str] = &["chat.completions", "messages"];

/// Compiles all segments. A segment may use others, but not itself.
pub(super) fn segments(root: &Table<'_>, attributes: &Attributes<'_>) -> Segments {
    let tables = root.named("segments");
    for (name, table) in &tables {
        super::check_name(table, name, "");
    }
    let declared: Vec<String> = tables.iter().map(|(name, _)| name.value.to_owned()).collect();
    let mut segments = Segments { built: Vec::new(), declared };
    // Each round builds the segments whose own segments are built. What is left when a round builds none is a cycle,
    // or leans on one.
    let mut waiting = tables;
    while !waiting.is_empty() {
        let (ready, blocked): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, table)| segments.has_all_of(table));
        if ready.is_empty() {
            report_cycles(&blocked);
            break;
        }
        for (name, table) in ready {
            let when = when(&table, attributes, &segments);
            segments.built.push(Arc::new(Segment { name: SegmentName::from(name.value), when }));
        }
        waiting = blocked;
    }
    segments
}

/// Says it once per cycle's member; a segment that only leans on a cycle is mended with it.
fn report_cycles(blocked: &[(At<&str>, Table<'_>)]) {
    for (name, table) in blocked {
        let mut reached: HashSet<&str> = HashSet::new();
        let mut open: Vec<&str> = used_segments(table);
        while let Some(next) = open.pop() {
            if reached.insert(next)
                && let Some((_, table)) = blocked.iter().find(|(name, _)| name.value == next)
            {
                open.extend(used_segments(table));
            }
        }
        if reached.contains(name.value) {
            table.error(
                &name.span,
                "uses itself, directly or through others: take one of them out of the circle",
            );
        }
    }
}

impl Segments {
    /// All of them, the used before their users.
    pub(super) fn all(&self) -> &[Arc<Segment>] {
        &self.built
    }

    fn has_all_of(&self, table: &Table<'_>) -> bool {
        let missing = |name: &&str| {
            self.declared.iter().any(|declared| declared == name)
                && !self.built.iter().any(|segment| segment.name.as_str() == *name)
        };
        !used_segments(table).iter().any(missing)
    }
}

impl Lookup for Segments {
    fn segment(&self, name: &str) -> Result<Arc<Segment>, String> {
        let built = self.built.iter().find(|segment| segment.name.as_str() == name);
        built.map(Arc::clone).ok_or_else(|| {
            if self.declared.iter().any(|declared| declared == name) {
                return String::new();
            }
            let suggestion = did_you_mean(name, self.declared.iter().map(String::as_str));
            format!("{name:?} is no segment{suggestion}")
        })
    }
}

/// The names of the segments that a table's `when` speaks of.
fn used_segments<'d>(table: &Table<'d>) -> Vec<&'d str> {
    fn collect<'d>(value: &'d DeValue<'d>, names: &mut Vec<&'d str>) {
        match value {
            DeValue::Table(table) => {
                for (key, value) in in_file_order(table) {
                    match (key.value, value.value) {
                        ("segment", DeValue::String(name)) => names.push(name),
                        _ => collect(value.value, names),
                    }
                }
            }
            DeValue::Array(list) => list.iter().for_each(|value| collect(value.get_ref(), names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    if let Some(at) = table.written("when") {
        collect(at.value, &mut names);
    }
    names
}

/// Compiles the `when` of a table; without one it always holds.
pub(super) fn when(table: &Table<'_>, attributes: &Attributes<'_>, segments: &Segments) -> Condition {
    let Some(at) = table.written("when") else { return Condition::Always };
    let Some(entries) = at.value.as_table() else { return Condition::Always };
    let text = crate::config::read::inside_of(&table.place, "when");
    let place = Place { loading: table.loading, text, segments };
    place.table(attributes, entries)
}

impl Place<'_, '_> {
    fn error(&self, span: &Span, message: &str) {
        self.loading.error(span, format!("{}: {message}", self.text));
    }

    /// All keys of a table must hold.
    fn table(&self, attributes: &Attributes<'_>, table: &DeTable<'_>) -> Condition {
        let mut all = Vec::new();
        for (key, value) in in_file_order(table) {
            self.entry(attributes, &key, &value, &mut all);
        }
        if all.len() == 1 { all.pop().unwrap_or(Condition::Always) } else { all_of(all) }
    }

    fn entry(
        &self,
        attributes: &Attributes<'_>,
        key: &At<&str>,
        value: &At<&DeValue<'_>>,
        all: &mut Vec<Condition>,
    ) {
        match (key.value, value.value) {
            ("any", _) => all.extend(self.list(attributes, key, value).map(Condition::Any)),
            ("none", _) => all.extend(self.list(attributes, key, value).map(Condition::NoneOf)),
            ("segment", DeValue::String(name)) => match self.segments.segment(name) {
                Ok(segment) => all.push(Condition::Segment(segment)),
                Err(message) if message.is_empty() => {}
                Err(message) => self.error(&value.span, &message),
            },
            ("segment", other) => {
                let message = format!("segment must be the name of a segment, not {}", describe(other));
                self.error(&value.span, &message);
            }
            ("request", DeValue::Table(members)) => {
                for (member, value) in in_file_order(members) {
                    let name = format!("request.{}", member.value);
                    self.test(attributes, &At { value: &name, span: member.span }, &value, all);
                }
            }
            _ => self.test(attributes, key, value, all),
        }
    }

    fn list(
        &self,
        attributes: &Attributes<'_>,
        key: &At<&str>,
        value: &At<&DeValue<'_>>,
    ) -> Option<Vec<Condition>> {
        let Some(list) = value.value.as_array().filter(|list| !list.is_empty()) else {
            let message =
                format!("{0} must be a list of tables such as {0} = [{{ tier = \"pro\" }}]", key.value);
            self.error(&value.span, &message);
            return None;
        };
        let mut conditions = Vec::new();
        for element in list.iter() {
            match element.get_ref().as_table() {
                Some(table) => conditions.push(self.table(attributes, table)),
                None => {
                    let message = format!("{} holds tables, not {}", key.value, describe(element.get_ref()));
                    self.error(&element.span(), &message);
                }
            }
        }
        Some(conditions)
    }

    /// One attribute: a bare value, or a table of operators.
    fn test(
        &self,
        attributes: &Attributes<'_>,
        name: &At<&str>,
        value: &At<&DeValue<'_>>,
        all: &mut Vec<Condition>,
    ) {
        let Some((attribute, compared)) = attributes.find(name.value) else {
            let known = attributes.custom_names().chain(BUILT_IN_ATTRIBUTES.iter().copied());
            let suggestion = did_you_mean(name.value, known.chain(["any", "none", "segment"]));
            let message = if suggestion.is_empty() {
                format!("{:?} is no attribute: declare it in [context.attributes]", name.value)
            } else {
                format!("{:?} is no attribute{suggestion}", name.value)
            };
            return self.error(&name.span, &message);
        };
        if let Some(operators) = value.value.as_table() {
            if operators.is_empty() {
                self.error(
                    &value.span,
                    &format!("{} asks for nothing: write a value or an operator", name.value),
                );
            }
            for (key, operand) in in_file_order(operators) {
                match self.operator(&compared, &key, &operand) {
                    Ok(condition) => all.push(condition.about(attribute)),
                    Err((span, message)) => self.error(&span, &format!("{}: {message}", name.value)),
                }
            }
            return;
        }
        match literal(&compared, value) {
            Ok(literal) => all.push(Condition::Test(Test { attribute, operator: Operator::Equals(literal) })),
            Err((span, message)) => self.error(&span, &format!("{}: {message}", name.value)),
        }
    }

    fn operator(
        &self,
        compared: &Compared<'_>,
        key: &At<&str>,
        operand: &At<&DeValue<'_>>,
    ) -> Result<Asked, Fault> {
        check_operator(compared, key)?;
        let text = || text_operand(key.value, operand);
        let operator = match key.value {
            "in" => self.one_of(compared, operand)?,
            "not" => return self.negation(compared, operand),
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
        Ok(Asked::One(operator))
    }

    fn one_of(&self, compared: &Compared<'_>, operand: &At<&DeValue<'_>>) -> Result<Operator, Fault> {
        if let Some(reference) = operand.value.as_str() {
            return self.texts_of_file(compared, reference, &operand.span);
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
        &self,
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
        let text = self.loading.read_file(name, LIST_BYTES_MAX).map_err(fault)?;
        let lines = text.lines().filter(|line| !line.is_empty());
        Ok(Operator::InTexts(Arc::new(lines.map(Box::from).collect())))
    }

    fn negation(&self, compared: &Compared<'_>, operand: &At<&DeValue<'_>>) -> Result<Asked, Fault> {
        let inside = match operand.value {
            DeValue::Array(_) => vec![self.one_of(compared, operand)?],
            DeValue::Table(operators) => {
                let mut inside = Vec::new();
                for (key, operand) in in_file_order(operators) {
                    match self.operator(compared, &key, &operand)? {
                        Asked::One(Operator::Not(_)) | Asked::NotAll(_) => {
                            return Err((key.span, "not stands inside not: take both out".to_owned()));
                        }
                        Asked::One(operator) => inside.push(operator),
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
}

/// What went wrong and where.
type Fault = (Span, String);

/// What is asked of an attribute.
enum Asked {
    /// One operator.
    One(Operator),
    /// Not all of these at once.
    NotAll(Vec<Operator>),
}

impl Asked {
    fn about(self, attribute: Attribute) -> Condition {
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

fn all_of(conditions: Vec<Condition>) -> Condition {
    if conditions.is_empty() { Condition::Always } else { Condition::All(conditions) }
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

impl Compared<'_> {
    fn what(&self) -> &'static str {
        match self {
            Self::Text | Self::OneOf(_) => "a text attribute",
            Self::Ordered(_) => "an ordered attribute",
            Self::Number => "a number attribute",
            Self::Bool => "a true-or-false attribute",
        }
    }
}

/// A value that an attribute of this type can equal.
fn literal(compared: &Compared<'_>, value: &At<&DeValue<'_>>) -> Result<Literal, Fault> {
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
