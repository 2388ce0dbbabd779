//! Values of parameters: which fit, and how each API spells them. Made ready once, when the configuration is loaded.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{FAMILIES, Family, Param};

/// Which values fit.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A number within these bounds.
    Number(i8, i8),
    /// A whole number from 1 to this one.
    Count(u64),
    /// Any whole number.
    Whole,
    /// `true` or `false`
    Bool,
    /// A text. Which ones there are changes with the models, so the provider judges.
    Text,
    /// A text, or up to four.
    Stop,
    /// Numbers by token.
    Bias,
    /// Chat Completions' `response_format`.
    Format,
}

/// How a value is spelled where the APIs spell it differently.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Everywhere alike.
    Plain,
    /// Messages takes none above 1.
    UpToOne,
    /// Messages wants a list, and refuses sequences of white space.
    Stop,
    /// Messages knows neither `none` nor `minimal`.
    Effort,
    /// What OpenAI calls `default` is `standard_only` to Anthropic, which has no others but `auto`.
    Tier,
    /// Messages says the opposite.
    Not,
    /// Responses has it flat; Messages has only schemas.
    Format,
}

/// A value of one parameter, spelled as JSON for each API.
#[derive(Debug, PartialEq)]
pub struct ParamValue {
    /// By [`Family`]; `None`: this API has no such value.
    spelled: [Option<Bytes>; FAMILIES],
    number: Option<f64>,
    json: Value,
}

impl Param {
    /// Reads a value.
    ///
    /// # Errors
    /// What fits, where the value does not: `a number from 0 to 2`.
    pub fn value(&self, json: &Value) -> Result<ParamValue, String> {
        if !self.kind.fits(json) {
            return Err(self.kind.expected());
        }
        let text = |value: Value| Some(Bytes::from(value.to_string()));
        let same = text(json.clone());
        let (openai, responses, messages) = match self.form {
            Form::Format => (same.clone(), text(flat_format(json)), schema_only(json).and_then(text)),
            Form::Tier => {
                let (openai, messages) = tiers(json);
                let openai = text(openai);
                (openai.clone(), openai, messages.and_then(text))
            }
            form => (same.clone(), same, form.in_messages(json).and_then(text)),
        };
        let spelled = [openai.clone(), openai, responses, messages];
        Ok(ParamValue { spelled, number: json.as_f64(), json: json.clone() })
    }
}

impl ParamValue {
    /// As the API of `family` spells it.
    pub(super) fn spelled(&self, family: Family) -> Option<&Bytes> {
        self.spelled.get(family as usize)?.as_ref()
    }

    /// Its number; none where it is something else.
    pub fn number(&self) -> Option<f64> {
        self.number
    }

    /// As the configuration says it.
    pub fn json(&self) -> &Value {
        &self.json
    }
}

impl Kind {
    fn fits(self, json: &Value) -> bool {
        match self {
            Self::Number(low, high) => {
                json.as_f64().is_some_and(|number| number >= f64::from(low) && number <= f64::from(high))
            }
            Self::Count(high) => json.as_u64().is_some_and(|number| (1..=high).contains(&number)),
            Self::Whole => json.is_i64(),
            Self::Bool => json.is_boolean(),
            Self::Text => is_text(json),
            Self::Stop => match json {
                Value::Array(texts) => (1..=STOPS_MAX).contains(&texts.len()) && texts.iter().all(is_text),
                one => is_text(one),
            },
            Self::Bias => json.as_object().is_some_and(|tokens| {
                let within = |bias: &Value| bias.as_i64().is_some_and(|bias| (-100..=100).contains(&bias));
                let is_id = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
                tokens.iter().all(|(id, bias)| is_id(id) && within(bias))
            }),
            Self::Format => json.as_object().is_some_and(is_format),
        }
    }

    /// What fits, for messages and for the documentation.
    pub(super) fn expected(self) -> String {
        let words = match self {
            Self::Number(low, high) => return format!("a number from {low} to {high}"),
            Self::Count(high) => return format!("a whole number from 1 to {high}"),
            Self::Whole => "a whole number",
            Self::Bool => "true or false",
            Self::Text => "a text",
            Self::Stop => "a text or a list of one to four texts",
            Self::Bias => "a table of token ids, each with a whole number from -100 to 100",
            Self::Format => {
                r#"{ type = "text" }, { type = "json_object" } or { type = "json_schema", json_schema = { name = "…", schema = { … } } }"#
            }
        };
        words.to_owned()
    }
}

/// As many as Chat Completions takes.
const STOPS_MAX: usize = 4;

fn is_text(json: &Value) -> bool {
    json.as_str().is_some_and(|text| !text.is_empty())
}

fn is_format(format: &Map<String, Value>) -> bool {
    let only = |count| format.len() == count;
    match format.get("type").and_then(Value::as_str) {
        Some("text" | "json_object") => only(1),
        Some("json_schema") => {
            let inner = format.get("json_schema").and_then(Value::as_object);
            only(2)
                && inner.is_some_and(|inner| {
                    let known = ["name", "schema", "strict", "description"];
                    inner.keys().all(|key| known.contains(&key.as_str()))
                        && inner.get("name").is_some_and(is_text)
                        && inner.get("schema").is_some_and(Value::is_object)
                        && inner.get("strict").is_none_or(Value::is_boolean)
                        && inner.get("description").is_none_or(Value::is_string)
                })
        }
        _ => false,
    }
}

impl Form {
    /// What Messages makes of a value that the other APIs spell alike.
    fn in_messages(self, json: &Value) -> Option<Value> {
        match self {
            Self::UpToOne => json.as_f64().is_some_and(|number| number <= 1.0).then(|| json.clone()),
            Self::Stop => {
                let list = json.as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
                let said = |text: &Value| text.as_str().is_some_and(|text| !text.trim().is_empty());
                list.iter().all(said).then_some(Value::Array(list))
            }
            Self::Effort => (!matches!(json.as_str(), Some("none" | "minimal"))).then(|| json.clone()),
            Self::Not => json.as_bool().map(|parallel| Value::Bool(!parallel)),
            Self::Plain | Self::Tier | Self::Format => Some(json.clone()),
        }
    }
}

/// A service tier as OpenAI and as Anthropic call it.
fn tiers(json: &Value) -> (Value, Option<Value>) {
    match json.as_str() {
        Some("auto") => (json.clone(), Some(json.clone())),
        Some("default" | "standard_only") => (json!("default"), Some(json!("standard_only"))),
        _ => (json.clone(), None),
    }
}

/// `text.format` of Responses: what stands in `json_schema` stands beside `type`.
fn flat_format(json: &Value) -> Value {
    let Some(inner) = json.get("json_schema").and_then(Value::as_object) else { return json.clone() };
    let mut flat = Map::new();
    flat.insert("type".to_owned(), json!("json_schema"));
    flat.extend(inner.clone());
    Value::Object(flat)
}

/// `output_config.format` of Messages: a schema without a name, or nothing.
fn schema_only(json: &Value) -> Option<Value> {
    match json.get("type").and_then(Value::as_str) {
        Some("json_schema") => {
            let schema = json.get("json_schema")?.get("schema")?;
            Some(json!({ "type": "json_schema", "schema": schema }))
        }
        Some("text") => Some(Value::Null),
        _ => None,
    }
}
