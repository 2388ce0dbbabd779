//! What a request says about itself: the questions that identify and decide ask. Each looks only at its own field.

use std::borrow::Cow;

use xxhash_rust::xxh3::Xxh3;

use crate::wire::Endpoint;
use crate::wire::json::{Fault, JsonError, Kind, Span, elements, find, members, string_is, unescape};

use super::{RequestView, responses};

impl RequestView {
    /// The model that was asked for; none where `model` is absent or no string.
    pub fn model<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        let value = self.value(body, "model")?;
        (Kind::of(value.of(body)) == Kind::String).then(|| unescape(value.inside().of(body)))
    }

    /// Whether the answer is to come as a stream.
    pub fn stream(&self, body: &[u8]) -> bool {
        self.value(body, "stream").is_some_and(|value| value.of(body) == b"true")
    }

    /// The text at a path of member names, `["metadata", "user_id"]`: a string without its escapes; a number, `true`
    /// and `false` as they are spelled. None where nothing is there, or `null`, an array or an object.
    ///
    /// # Errors
    /// When a name on the way stands twice in its object: the app's reader and ours could then take different values.
    pub fn text_at<'b>(&self, body: &'b [u8], path: &[String]) -> Result<Option<Cow<'b, str>>, JsonError> {
        let Some((first, below)) = path.split_first() else { return Ok(None) };
        let mut value = only(body, self.members.iter().copied(), first)?;
        for name in below {
            let Some(object) = value else { return Ok(None) };
            value = only(body, members(body, object), name)?;
        }
        Ok(value.and_then(|value| match Kind::of(value.of(body)) {
            Kind::String => Some(unescape(value.inside().of(body))),
            Kind::Number | Kind::Bool => Some(String::from_utf8_lossy(value.of(body))),
            Kind::Object | Kind::Array | Kind::Null => None,
        }))
    }

    /// The names of the tools that the model may call, in their order; tools without a name are left out, in Responses
    /// named by their type.
    pub fn tool_names(&self, body: &[u8]) -> Vec<String> {
        let lists = ["tools", "functions"].into_iter().filter_map(|name| self.value(body, name));
        let tools = lists.flat_map(|list| elements(body, list));
        let name = match self.endpoint.takes_items() {
            true => responses::tool_name,
            false => tool_name,
        };
        tools.filter_map(|tool| name(body, tool.value)).map(Cow::into_owned).collect()
    }

    /// Whether the answer is to be JSON: `response_format` of Chat Completions, `output_config.format` of Messages,
    /// `text.format` of Responses.
    pub fn wants_json(&self, body: &[u8]) -> bool {
        match self.endpoint {
            Endpoint::Chat => {
                self.value(body, "response_format").is_some_and(|format| is_json_format(body, format))
            }
            Endpoint::Responses | Endpoint::InputTokens | Endpoint::Compact => {
                let format = self.value(body, "text").and_then(|text| find(body, text, "format"));
                format.is_some_and(|format| is_json_format(body, format))
            }
            Endpoint::Messages => {
                let format =
                    self.value(body, "output_config").and_then(|config| find(body, config, "format"));
                format.is_some_and(|format| Kind::of(format.of(body)) == Kind::Object)
            }
            Endpoint::Completions | Endpoint::CountTokens | Endpoint::Embeddings | Endpoint::Other(_) => {
                false
            }
        }
    }

    /// Whether the answer has to be a call of a tool: one is named, or any is required.
    pub fn forces_tool(&self, body: &[u8]) -> bool {
        let legacy = self.value(body, "function_call").is_some_and(|value| value.of(body).starts_with(b"{"));
        let Some(choice) = self.value(body, "tool_choice") else { return legacy };
        let forced = match (Kind::of(choice.of(body)), find(body, choice, "type")) {
            (Kind::String, _) => string_is(body, choice, "required"),
            (Kind::Object, Some(kind)) if string_is(body, kind, "allowed_tools") => {
                let tools = match self.endpoint.takes_items() {
                    true => Some(choice),
                    false => find(body, choice, "allowed_tools"),
                };
                let mode = tools.and_then(|tools| find(body, tools, "mode"));
                mode.is_some_and(|mode| string_is(body, mode, "required"))
            }
            (Kind::Object, Some(kind)) => !["auto", "none"].iter().any(|free| string_is(body, kind, free)),
            _ => false,
        };
        forced || legacy
    }

    /// Whether a stream is to end with its usage: `stream_options.include_usage`.
    pub fn wants_usage(&self, body: &[u8]) -> bool {
        let options = self.value(body, "stream_options");
        let asked = options.and_then(|options| find(body, options, "include_usage"));
        asked.is_some_and(|asked| asked.of(body) == b"true")
    }

    /// Whether something was answered before: the conversation is under way.
    pub fn has_assistant_turn(&self, body: &[u8]) -> bool {
        if self.endpoint.takes_items() {
            return self.goes_on(body);
        }
        let messages = self.value(body, "messages");
        messages.is_some_and(|messages| {
            elements(body, messages).any(|message| {
                find(body, message.value, "role").is_some_and(|role| string_is(body, role, "assistant"))
            })
        })
    }

    /// Names a conversation that the app does not name: XXH3-128 over the system prompt as it came, the tools, the
    /// first turn of the user and the targeting key. These stay the same while a conversation grows. Raw bytes, each
    /// part preceded by its length.
    pub fn conversation_hash(&self, body: &[u8], targeting_key: Option<&str>) -> u128 {
        let mut hash = Xxh3::new();
        let mut part = |text: &[u8]| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        let field = if self.endpoint.takes_items() { "instructions" } else { "system" };
        part(self.value(body, field).map(|system| system.of(body)).unwrap_or_default());
        let leading = self.leading_system(body);
        let (first, last) = (leading.first().map(|first| first.value), leading.last().map(|last| last.value));
        let messages = first.zip(last).map(|(first, last)| Span { start: first.start, end: last.end });
        part(messages.unwrap_or_default().of(body));
        part(self.value(body, "tools").map(|tools| tools.of(body)).unwrap_or_default());
        part(self.first_user_turn(body).unwrap_or_default().of(body));
        part(targeting_key.unwrap_or_default().as_bytes());
        hash.digest128()
    }
}

/// The one member of this name; twice is an error.
fn only(
    body: &[u8],
    members: impl Iterator<Item = super::Member>,
    name: &str,
) -> Result<Option<Span>, JsonError> {
    let mut found = None;
    for member in members.filter(|member| member.is(body, name)) {
        if found.is_some() {
            return Err(Fault::duplicate(member.key).in_body(body, Some(member.key)));
        }
        found = Some(member.value);
    }
    Ok(found)
}

/// Whether a format of OpenAI's APIs asks for JSON.
fn is_json_format(body: &[u8], format: Span) -> bool {
    find(body, format, "type")
        .is_some_and(|kind| string_is(body, kind, "json_object") || string_is(body, kind, "json_schema"))
}

/// `name` (Messages, legacy functions) or `function.name` (Chat Completions).
fn tool_name(body: &[u8], tool: Span) -> Option<Cow<'_, str>> {
    let flat = find(body, tool, "name");
    let name = flat.or_else(|| find(body, find(body, tool, "function")?, "name"))?;
    (Kind::of(name.of(body)) == Kind::String).then(|| unescape(name.inside().of(body)))
}
