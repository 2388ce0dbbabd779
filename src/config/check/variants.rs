//! A flag's variants: declared ones, or what the flag serves, which is then both name and value.

use serde_json::Value as Json;
use toml::de::DeValue;

use crate::config::check::providers::check_not_reserved;
use crate::config::check::slots::tool_names;
use crate::config::json;
use crate::config::quantity::did_you_mean;
use crate::config::read::{At, Span, Table};
use crate::config::shape::describe;
use crate::flags::{Value, Variant, VariantIndex};
use crate::names::VariantName;

/// A flag's variants while they are collected.
pub(super) struct Variants<'d> {
    table: Table<'d>,
    declared: bool,
    list: Vec<Variant>,
    uses: Vec<Use>,
}

/// A place where the file names a value.
pub(super) struct Use {
    /// Which.
    pub(super) variant: VariantIndex,
    /// Where.
    pub(super) span: Span,
    /// What the file says there, such as `rule "canary" serves "gpt-4o"`.
    pub(super) said: String,
}

/// The reserved variant of every slot.
const AS_SENT: &str = "as_sent";

/// Names stand in headers and in metrics' labels.
const NAME_BYTES_MAX: usize = 128;

impl<'d> Variants<'d> {
    /// Those that the flag's table declares.
    pub(super) fn declared(table: &Table<'d>) -> Self {
        let declared = table.has("variants");
        let mut variants = Self { table: table.clone(), declared, list: Vec::new(), uses: Vec::new() };
        for (name, value) in table.table("variants").entries() {
            check_not_reserved(table, &name);
            variants.check_name(name.value, &name.span);
            let json = variants.json(value.value, &value.span);
            let said = format!("variant {:?} is {}", name.value, shown(&json));
            let variant = variants.push(name.value, Value::Json(json));
            variants.uses.push(Use { variant, span: value.span, said });
        }
        variants
    }

    /// The variant that the value at a place means; `said` is what the place says, such as `rule "canary" serves`.
    pub(super) fn serve(&mut self, at: &At<&DeValue<'_>>, said: &str) -> VariantIndex {
        self.serve_owned(at.value, &at.span, said)
    }

    /// The same for a value that does not stand in the file by itself.
    pub(super) fn serve_owned(&mut self, value: &DeValue<'_>, span: &Span, said: &str) -> VariantIndex {
        if value.as_str() == Some(AS_SENT) {
            return self.find(AS_SENT).unwrap_or_else(|| self.push(AS_SENT, Value::AsSent));
        }
        if self.declared {
            return self.declared_variant(value, span, said);
        }
        if matches!(value, DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_)) {
            let what = describe(value);
            self.table.error(span, &format!("{said} {what}, which has no name: name it in `variants`"));
            return VariantIndex(0);
        }
        let json = self.json(value, span);
        let name = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
        let said = format!("{said} {}", shown(&json));
        let variant = match self.find(&name) {
            Some(found) => {
                self.check_same(found, &json, span, &said);
                found
            }
            None => {
                self.check_name(&name, span);
                self.push(&name, Value::Json(json))
            }
        };
        self.uses.push(Use { variant, span: span.clone(), said });
        variant
    }

    /// What a flag bound to `enabled` serves when it is killed: false, whether a rule serves it or not.
    pub(super) fn off_of_enabled(&mut self, flag: &At<&str>) -> Option<VariantIndex> {
        let off = Value::Json(Json::Bool(false));
        if let Some(found) = self.list.iter().position(|variant| variant.value == off) {
            return u16::try_from(found).ok().map(VariantIndex);
        }
        if self.find("false").is_some() {
            self.table.error(&flag.span, "says not what is served when it is killed: write off = …");
            return None;
        }
        Some(self.push("false", off))
    }

    /// What a flag bound to `tools.deny` serves when it is killed: every tool that one of its variants takes out.
    pub(super) fn off_of_tools(&mut self, flag: &At<&str>) -> Option<VariantIndex> {
        let names_of = |variant: &Variant| match &variant.value {
            Value::Json(json) => tool_names(json).map(|names| names.into_iter().map(str::to_owned).collect()),
            Value::AsSent => None,
        };
        let lists: Vec<Option<Vec<String>>> = self.list.iter().map(names_of).collect();
        let mut union: Vec<String> = Vec::new();
        for name in lists.iter().flatten().flatten() {
            if !union.contains(name) {
                union.push(name.clone());
            }
        }
        let covers = |list: &Vec<String>| union.iter().all(|name| list.contains(name));
        if let Some(found) = lists.iter().position(|list| list.as_ref().is_some_and(covers)) {
            return u16::try_from(found).ok().map(VariantIndex);
        }
        if union.is_empty() {
            return None;
        }
        let name = union.join("+");
        if name.len() > NAME_BYTES_MAX || self.find(&name).is_some() {
            self.table.error(&flag.span, "says not what is served when it is killed: write off = …");
            return None;
        }
        Some(self.push(&name, Value::Json(union.into())))
    }

    /// The variants, and where each was named.
    pub(super) fn finish(self) -> (Vec<Variant>, Vec<Use>) {
        (self.list, self.uses)
    }

    fn declared_variant(&self, value: &DeValue<'_>, span: &Span, said: &str) -> VariantIndex {
        let Some(name) = value.as_str() else {
            let what = describe(value);
            self.table
                .error(span, &format!("{said} {what}: the flag has `variants`, so write the name of one"));
            return VariantIndex(0);
        };
        self.find(name).unwrap_or_else(|| {
            let known = self.list.iter().map(|variant| variant.name.as_str()).chain([AS_SENT]);
            let suggestion = did_you_mean(name, known);
            self.table.error(
                span,
                &format!("{said} {name:?}, which is no variant of the flag or as_sent{suggestion}"),
            );
            VariantIndex(0)
        })
    }

    fn check_same(&self, found: VariantIndex, json: &Json, span: &Span, said: &str) {
        let other = self.list.get(usize::from(found.0));
        if other.is_some_and(|other| other.value != Value::Json(json.clone())) {
            self.table.error(
                span,
                &format!(
                    "{said}, and elsewhere a value of another type that is spelled so: spell both alike"
                ),
            );
        }
    }

    fn check_name(&self, name: &str, span: &Span) {
        let fine = |c: char| c.is_ascii_graphic() && !",;=\"\\".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(fine) {
            let message = format!(
                "{name:?} cannot be a variant's name (ASCII without spaces, at most {NAME_BYTES_MAX}): name it in `variants`"
            );
            self.table.error(span, &message);
        }
    }

    /// A value as JSON. What JSON cannot hold is an error.
    fn json(&self, value: &DeValue<'_>, span: &Span) -> Json {
        let json = json::value(value);
        if json.is_null() {
            self.table.error(span, "is no number that a request can carry");
        }
        json
    }

    fn find(&self, name: &str) -> Option<VariantIndex> {
        let index = self.list.iter().position(|variant| variant.name.as_str() == name)?;
        u16::try_from(index).ok().map(VariantIndex)
    }

    fn push(&mut self, name: &str, value: Value) -> VariantIndex {
        let index = u16::try_from(self.list.len()).unwrap_or(u16::MAX);
        self.list.push(Variant { name: VariantName::from(name), value });
        VariantIndex(index)
    }
}

/// A value in a message: short, on one line.
fn shown(json: &Json) -> String {
    let text = json.to_string();
    if text.chars().count() <= SHOWN_CHARACTERS_MAX {
        return text;
    }
    text.chars().take(SHOWN_CHARACTERS_MAX).chain(['…']).collect()
}

/// Enough to find it again.
const SHOWN_CHARACTERS_MAX: usize = 60;
