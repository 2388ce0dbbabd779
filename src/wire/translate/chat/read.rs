//! A request of Chat Completions becomes the vocabulary's.

use smallvec::SmallVec;

use super::super::Refused;
use super::super::ask::{Ask, Cached, Choice, Effort, Format, Input, Part, Role, Source, Tool, Turn, What};
use super::super::fields::{Losses, refuse};
use super::super::node::{Node, Text};
use super::super::values::{array, flag, number, object, required, source, text};
use super::{
    BODY, CALL, CALLED, CHOICE, FILE, FORMAT, FUNCTION, IMAGE, MESSAGE, PART, SCHEMA, STREAM_OPTIONS, TOOL,
};
use crate::wire::json::Kind;

pub(super) fn read<'a>(body: Node<'a>, losses: &mut Losses) -> Result<Ask<'a>, Refused> {
    let mut ask = Ask::default();
    let mut users = (None, None);
    let mut limits = (None, None);
    BODY.each(body, losses, |name, value, losses| {
        match name {
            "model" => ask.model = Some(text(value, "model")?),
            "messages" => ask.turns = turns(value, losses)?,
            "max_completion_tokens" => limits.0 = Some(number(value, "max_completion_tokens")?),
            "max_tokens" => limits.1 = Some(number(value, "max_tokens")?),
            "temperature" => ask.temperature = Some(number(value, "temperature")?),
            "top_p" => ask.top_p = Some(number(value, "top_p")?),
            "stop" => ask.stops = stops(value)?,
            "stream" => ask.stream = flag(value, "stream")?,
            "stream_options" => ask.include_usage = include_usage(value, losses)?,
            "tools" => ask.tools = tools(value, losses)?,
            "tool_choice" => ask.choice = Some(choice(value, losses)?),
            "parallel_tool_calls" => ask.parallel = Some(flag(value, "parallel_tool_calls")?),
            "response_format" => ask.format = format(value, losses)?,
            "reasoning_effort" => ask.effort = Some(effort(value, "reasoning_effort")?),
            "safety_identifier" => users.0 = Some(text(value, "safety_identifier")?),
            "user" => users.1 = Some(text(value, "user")?),
            _ => {}
        }
        Ok(())
    })?;
    ask.user = users.0.or(users.1);
    ask.max_output = limits.0.or(limits.1);
    Ok(ask)
}

fn turns<'a>(messages: Node<'a>, losses: &mut Losses) -> Result<Vec<Turn<'a>>, Refused> {
    array(messages, "messages")?.items().map(|message| turn(message, losses)).collect()
}

fn turn<'a>(message: Node<'a>, losses: &mut Losses) -> Result<Turn<'a>, Refused> {
    let (mut role, mut content, mut calls, mut refusal, mut id) = (None, None, None, None, None);
    MESSAGE.each(object(message, "messages")?, losses, |name, value, _| {
        match name {
            "role" => role = Some(value),
            "content" => content = Some(value),
            "tool_calls" => calls = Some(array(value, "messages.tool_calls")?),
            "refusal" => refusal = Some(text(value, "messages.refusal")?),
            "tool_call_id" => id = Some(text(value, "messages.tool_call_id")?),
            _ => {}
        }
        Ok(())
    })?;
    let role = required(role, "messages.role")?;
    let parts = match content {
        Some(content) => parts(content, losses)?,
        None => SmallVec::new(),
    };
    if role.is("tool") {
        let id = required(id, "messages.tool_call_id")?;
        return Ok(Turn::of(
            Role::User,
            Part::new(What::Result { id, parts: parts.into_vec(), failed: false }),
        ));
    }
    let mut turn = Turn { role: role_of(role)?, parts };
    turn.parts.extend(refusal.filter(|text| !text.is_empty()).map(|text| Part::new(What::Refusal(text))));
    for call in calls.into_iter().flat_map(Node::items) {
        turn.parts.push(call_of(call, losses)?);
    }
    Ok(turn)
}

fn role_of(role: Node<'_>) -> Result<Role, Refused> {
    if role.is("user") {
        Ok(Role::User)
    } else if role.is("assistant") {
        Ok(Role::Assistant)
    } else if role.is("system") || role.is("developer") {
        Ok(Role::System)
    } else {
        Err(refuse("messages.role", "only system, developer, user, assistant and tool can cross"))
    }
}

fn parts<'a>(content: Node<'a>, losses: &mut Losses) -> Result<SmallVec<[Part<'a>; 1]>, Refused> {
    match content.kind() {
        Kind::String => Ok(content.text().map(Part::text).into_iter().collect()),
        Kind::Array => content.items().map(|part| part_of(part, losses)).collect(),
        _ => Err(refuse("messages.content", "has to be a string or an array of parts")),
    }
}

fn part_of<'a>(part: Node<'a>, losses: &mut Losses) -> Result<Part<'a>, Refused> {
    let (mut kind, mut said, mut image, mut file, mut cached) = (None, None, None, None, None);
    PART.each(object(part, "messages.content")?, losses, |name, value, _| {
        match name {
            "type" => kind = Some(value),
            "text" | "refusal" => said = Some(text(value, "messages.content.text")?),
            "image_url" => image = Some(value),
            "file" => file = Some(value),
            "prompt_cache_breakpoint" | "cache_control" => cached = Some(cached_of(value)),
            _ => {}
        }
        Ok(())
    })?;
    let kind = required(kind, "messages.content.type")?;
    let what = if kind.is("text") {
        What::Text(required(said, "messages.content.text")?)
    } else if kind.is("refusal") {
        What::Refusal(required(said, "messages.content.refusal")?)
    } else if kind.is("image_url") {
        image_of(required(image, "messages.content.image_url")?, losses)?
    } else if kind.is("file") {
        file_of(required(file, "messages.content.file")?, losses)?
    } else {
        return Err(refuse("messages.content.type", "only text, image_url, file and refusal can cross"));
    };
    Ok(Part { what, cached })
}

/// `{"mode": "explicit", "ttl": "12h"}`, or as Anthropic writes it.
fn cached_of(marker: Node<'_>) -> Cached {
    match marker.get("ttl") {
        Some(ttl) if ttl.is("12h") || ttl.is("1h") => Cached::Hour,
        _ => Cached::Default,
    }
}

fn image_of<'a>(image: Node<'a>, losses: &mut Losses) -> Result<What<'a>, Refused> {
    let (mut url, mut detail) = (None, None);
    IMAGE.each(object(image, "messages.content.image_url")?, losses, |name, value, _| {
        match name {
            "url" => url = Some(text(value, "messages.content.image_url.url")?),
            "detail" => detail = Some(text(value, "messages.content.image_url.detail")?),
            _ => {}
        }
        Ok(())
    })?;
    let url = required(url, "messages.content.image_url.url")?;
    Ok(What::Image { source: source(&url), detail })
}

fn file_of<'a>(file: Node<'a>, losses: &mut Losses) -> Result<What<'a>, Refused> {
    let (mut data, mut name_of) = (None, None);
    FILE.each(object(file, "messages.content.file")?, losses, |name, value, _| {
        match name {
            "file_data" => data = Some(text(value, "messages.content.file.file_data")?),
            "filename" => name_of = Some(text(value, "messages.content.file.filename")?),
            _ => {}
        }
        Ok(())
    })?;
    let data = required(data, "messages.content.file.file_data")?;
    Ok(What::Document { source: file_source(&data), name: name_of })
}

/// What is no URL is a PDF's bytes.
pub(in super::super) fn file_source<'a>(data: &Text<'a>) -> Source<'a> {
    match source(data) {
        Source::Url(data) => Source::Base64 { media: "application/pdf".into(), data },
        source => source,
    }
}

fn call_of<'a>(call: Node<'a>, losses: &mut Losses) -> Result<Part<'a>, Refused> {
    let (mut id, mut called) = (None, None);
    CALL.each(object(call, "messages.tool_calls")?, losses, |name, value, _| {
        match name {
            "id" => id = Some(text(value, "messages.tool_calls.id")?),
            "type" if !value.is("function") => {
                return Err(refuse("messages.tool_calls.type", "only calls of functions can cross"));
            }
            "function" => called = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    let (mut name_of, mut arguments) = (None, None);
    let called = required(called, "messages.tool_calls.function")?;
    CALLED.each(object(called, "messages.tool_calls.function")?, losses, |name, value, _| {
        match name {
            "name" => name_of = Some(text(value, "messages.tool_calls.function.name")?),
            "arguments" => arguments = Some(text(value, "messages.tool_calls.function.arguments")?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Part::new(What::Call {
        id: required(id, "messages.tool_calls.id")?,
        name: required(name_of, "messages.tool_calls.function.name")?,
        input: Input::Said(arguments.unwrap_or_else(|| "".into())),
    }))
}

fn stops(value: Node<'_>) -> Result<SmallVec<[Text<'_>; 4]>, Refused> {
    match value.kind() {
        Kind::String => Ok(value.text().into_iter().collect()),
        Kind::Array => value.items().map(|stop| text(stop, "stop")).collect(),
        _ => Err(refuse("stop", "has to be a string or an array of strings")),
    }
}

fn include_usage(options: Node<'_>, losses: &mut Losses) -> Result<bool, Refused> {
    let mut include = false;
    STREAM_OPTIONS.each(object(options, "stream_options")?, losses, |name, value, _| {
        if name == "include_usage" {
            include = flag(value, "stream_options.include_usage")?;
        }
        Ok(())
    })?;
    Ok(include)
}

fn tools<'a>(tools: Node<'a>, losses: &mut Losses) -> Result<Vec<Tool<'a>>, Refused> {
    array(tools, "tools")?.items().map(|tool| tool_of(tool, losses)).collect()
}

fn tool_of<'a>(tool: Node<'a>, losses: &mut Losses) -> Result<Tool<'a>, Refused> {
    let mut function = None;
    TOOL.each(object(tool, "tools")?, losses, |name, value, _| {
        match name {
            "type" if !value.is("function") => {
                return Err(refuse("tools.type", "only functions, which the app runs itself, can cross"));
            }
            "function" => function = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    let function = required(function, "tools.function")?;
    let (mut name_of, mut description, mut schema, mut strict) = (None, None, None, None);
    FUNCTION.each(object(function, "tools.function")?, losses, |name, value, _| {
        match name {
            "name" => name_of = Some(text(value, "tools.function.name")?),
            "description" => description = Some(text(value, "tools.function.description")?),
            "parameters" => schema = Some(object(value, "tools.function.parameters")?),
            "strict" => strict = Some(flag(value, "tools.function.strict")?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Tool { name: required(name_of, "tools.function.name")?, description, schema, strict, cached: None })
}

fn choice<'a>(value: Node<'a>, losses: &mut Losses) -> Result<Choice<'a>, Refused> {
    if value.kind() == Kind::String {
        return choice_word(value);
    }
    let mut tool = None;
    CHOICE.each(object(value, "tool_choice")?, losses, |name, value, _| {
        match name {
            "type" if !value.is("function") => {
                return Err(refuse("tool_choice.type", "only a function can be chosen"));
            }
            "function" => tool = value.get("name").and_then(Node::text),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Choice::Tool(required(tool, "tool_choice.function")?))
}

/// `auto`, `required` or `none`, in both of OpenAI's APIs.
pub(in super::super) fn choice_word(value: Node<'_>) -> Result<Choice<'_>, Refused> {
    if value.is("auto") {
        Ok(Choice::Auto)
    } else if value.is("required") {
        Ok(Choice::Any)
    } else if value.is("none") {
        Ok(Choice::None)
    } else {
        Err(refuse("tool_choice", "has to be auto, required, none or a function"))
    }
}

/// The words for an effort, in all APIs.
pub(in super::super) fn effort(value: Node<'_>, field: &'static str) -> Result<Effort, Refused> {
    Effort::named(value)
        .ok_or_else(|| refuse(field, "has to be none, minimal, low, medium, high, xhigh or max"))
}

fn format<'a>(value: Node<'a>, losses: &mut Losses) -> Result<Option<Format<'a>>, Refused> {
    let (mut kind, mut named) = (None, None);
    FORMAT.each(object(value, "response_format")?, losses, |name, value, _| {
        match name {
            "type" => kind = Some(value),
            "json_schema" => named = Some(object(value, "response_format.json_schema")?),
            _ => {}
        }
        Ok(())
    })?;
    let kind = required(kind, "response_format.type")?;
    if kind.is("text") {
        return Ok(None);
    }
    if kind.is("json_object") {
        return Ok(Some(Format::Json));
    }
    if !kind.is("json_schema") {
        return Err(refuse("response_format.type", "has to be text, json_object or json_schema"));
    }
    let (mut name_of, mut schema, mut strict) = (None, None, None);
    SCHEMA.each(required(named, "response_format.json_schema")?, losses, |name, value, _| {
        match name {
            "name" => name_of = Some(text(value, "response_format.json_schema.name")?),
            "schema" => schema = Some(object(value, "response_format.json_schema.schema")?),
            "strict" => strict = Some(flag(value, "response_format.json_schema.strict")?),
            _ => {}
        }
        Ok(())
    })?;
    let schema = required(schema, "response_format.json_schema.schema")?;
    Ok(Some(Format::Schema { name: name_of, schema, strict }))
}
