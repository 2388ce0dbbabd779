//! TOML values as JSON.

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use crate::config::read::{in_file_order, number};

/// The value as JSON, members in the file's order. A date becomes its text; a number that JSON cannot hold, `null`.
pub(crate) fn value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(integer) => {
            let whole = i64::from_str_radix(integer.as_str(), integer.radix()).map(Value::from);
            let float = || number(value).and_then(Number::from_f64).map_or(Value::Null, Value::Number);
            whole.unwrap_or_else(|_| float())
        }
        DeValue::Float(_) => number(value).and_then(Number::from_f64).map_or(Value::Null, Value::Number),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(datetime) => Value::from(datetime.to_string()),
        DeValue::Array(list) => list.iter().map(|element| self::value(element.get_ref())).collect(),
        DeValue::Table(table) => self::table(table),
    }
}

/// A table as JSON.
pub(crate) fn table(table: &DeTable<'_>) -> Value {
    let members = in_file_order(table).into_iter();
    let members: Map<String, Value> =
        members.map(|(key, member)| (key.value.to_owned(), value(member.value))).collect();
    Value::Object(members)
}

/// The value for people: as JSON, or as the file spells it where JSON has no such number.
pub(crate) fn said(value: &DeValue<'_>) -> String {
    match (self::value(value), value) {
        (Value::Null, DeValue::Float(float)) => float.as_str().to_owned(),
        (Value::Null, DeValue::Integer(integer)) => integer.as_str().to_owned(),
        (json, _) => json.to_string(),
    }
}

/// The value as a JSON text.
pub(crate) fn text(value: &DeValue<'_>) -> String {
    self::value(value).to_string()
}
