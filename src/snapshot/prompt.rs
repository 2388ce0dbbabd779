//! A system prompt, escaped once when it is constant, rendered per request when it is a template.

use std::sync::Arc;

use bytes::Bytes;
use minijinja::Environment;
use serde::Serialize;

use crate::config::Prompt;
use crate::flags::{AttributeValue, Context};
use crate::names::{AttributeName, PromptName};

/// A prompt as requests need it.
#[derive(Debug)]
pub struct PromptPlan {
    /// Its name.
    pub name: PromptName,
    text: Text,
}

#[derive(Debug)]
enum Text {
    /// The JSON text without its quotes.
    Constant(Bytes),
    Template(Box<Environment<'static>>),
}

/// A template gave no text, or an empty one. The reason may quote the context, so it is not kept.
#[derive(Debug, PartialEq, Eq)]
pub struct NotRendered;

/// The template's variables: the evaluation context's built-in attributes and the declared ones, by their names.
#[derive(Serialize)]
struct Variables<'a> {
    targeting_key: Option<&'a str>,
    conversation: Option<&'a str>,
    client: Option<&'a str>,
    route: &'a str,
    request: RequestVariables<'a>,
    #[serde(flatten)]
    custom: std::collections::BTreeMap<&'a str, serde_json::Value>,
}

#[derive(Serialize)]
struct RequestVariables<'a> {
    model: Option<&'a str>,
    dialect: &'a str,
    endpoint: &'a str,
    stream: Option<bool>,
}

impl PromptPlan {
    /// Takes a checked prompt; `config` has parsed its template once already.
    pub fn new(prompt: &Arc<Prompt>) -> Result<Self, minijinja::Error> {
        let text = if prompt.template {
            let mut environment = Environment::new();
            environment.add_template_owned(TEMPLATE, prompt.source.clone())?;
            Text::Template(Box::new(environment))
        } else {
            Text::Constant(escaped(&prompt.source))
        };
        Ok(Self { name: prompt.name.clone(), text })
    }

    /// The prompt for one request, as escaped JSON text without its quotes.
    pub fn json_text(&self, context: &Context<'_>, names: &[AttributeName]) -> Result<Bytes, NotRendered> {
        match &self.text {
            Text::Constant(text) => Ok(text.clone()),
            Text::Template(environment) => {
                let template = environment.get_template(TEMPLATE).map_err(|_| NotRendered)?;
                let text = template
                    .render(minijinja::value::Serde(variables(context, names)))
                    .map_err(|_| NotRendered)?;
                // Providers refuse an empty system block.
                if text.is_empty() { Err(NotRendered) } else { Ok(escaped(&text)) }
            }
        }
    }
}

const TEMPLATE: &str = "prompt";

/// `text` as JSON, without the quotes around it.
fn escaped(text: &str) -> Bytes {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.len().saturating_sub(1);
    Bytes::from(quoted).slice(1.min(inner)..inner)
}

fn variables<'a>(context: &Context<'a>, names: &'a [AttributeName]) -> Variables<'a> {
    let custom = names
        .iter()
        .zip(context.custom)
        .filter_map(|(name, value)| {
            let value = match (*value)? {
                AttributeValue::Text(text) => text.into(),
                AttributeValue::Number(number) => number.into(),
                AttributeValue::Bool(bool) => bool.into(),
            };
            Some((name.as_str(), value))
        })
        .collect();
    Variables {
        targeting_key: context.targeting_key,
        conversation: context.conversation,
        client: context.client,
        route: context.route,
        request: RequestVariables {
            model: context.request_model,
            dialect: context.request_dialect,
            endpoint: context.request_endpoint,
            stream: context.request_stream,
        },
        custom,
    }
}
