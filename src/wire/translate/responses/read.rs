//! A request of Responses becomes the vocabulary's.

use smallvec::SmallVec;

use super::super::Refused;
use super::super::ask::{Ask, Cached, Choice, Format, Input, Part, Role, Source, Tool, Turn, What};
use super::super::chat::{choice_word, effort, file_source};
use super::super::fields::{Losses, refuse, refuse_as};
use super::super::node::{Node, Text};
use super::super::pen::{Pen, Raw};
use super::super::values::{array, flag, number, object, required, source, text};
use super::{BODY, CHOICE, FORMAT, ITEM, PART, REASONING, STREAM_OPTIONS, TEXT, TOOL};
use crate::wire::ErrorCode;
use crate::wire::json::Kind;

/// What is dropped of a conversation that another model has thought in.
const REASONED: &str = "reasoning";

type Parts<'a> = SmallVec<[Part<'a>; 1]>;

pub(super) fn read<'a>(body: Node<'a>, losses: &mut Losses) -> Result<Ask<'a>, Refused> {
    // Its streams always end with their usage.
    let mut ask = Ask { include_usage: true, ..Ask::default() };
    let (mut instructions, mut users) = (None, (None, None));
    BODY.each(body, losses, |name, value, losses| {
        match name {
            "model" => ask.model = Some(text(value, "model")?),
            "input" => ask.turns = turns(value, losses)?,
            "instructions" => instructions = Some(text(value, "instructions")?),
            "max_output_tokens" => ask.max_output = Some(number(value, "max_output_tokens")?),
            "temperature" => ask.temperature = Some(number(value, "temperature")?),
            "top_p" => ask.top_p = Some(number(value, "top_p")?),
            "stream" => ask.stream = flag(value, "stream")?,
            "stream_options" => {
                STREAM_OPTIONS.each(object(value, "stream_options")?, losses, |_, _, _| Ok(()))?;
            }
            "tools" => ask.tools = tools(value, losses)?,
            "tool_choice" => ask.choice = Some(choice(value, losses)?),
            "parallel_tool_calls" => ask.parallel = Some(flag(value, "parallel_tool_calls")?),
            "text" => ask.format = format(value, losses)?,
            "reasoning" => REASONING.each(object(value, "reasoning")?, losses, |_, value, _| {
                ask.effort = Some(effort(value, "reasoning.effort")?);
                Ok(())
            })?,
            "safety_identifier" => users.0 = Some(text(value, "safety_identifier")?),
            "user" => users.1 = Some(text(value, "user")?),
            "include" => include(value, losses)?,
            "previous_response_id" => {
                return Err(refuse_as(
                    ErrorCode::PreviousResponseNotFound,
                    "previous_response_id",
                    ELSEWHERE,
                ));
            }
            "conversation" => {
                return Err(refuse_as(ErrorCode::ConversationNotFound, "conversation", ELSEWHERE));
            }
            _ => {}
        }
        Ok(())
    })?;
    if let Some(instructions) = instructions {
        ask.turns.insert(0, Turn::of(Role::System, Part::text(instructions)));
    }
    ask.user = users.0.or(users.1);
    ask.echo = echo(body);
    Ok(ask)
}

const ELSEWHERE: &str = "it is kept by another provider; send the whole conversation as input";

fn include(value: Node<'_>, losses: &mut Losses) -> Result<(), Refused> {
    for what in array(value, "include")?.items() {
        if what.is("message.output_text.logprobs") {
            return Err(refuse("include", "another API's models tell no logprobs"));
        }
        losses.known("include");
    }
    Ok(())
}

fn turns<'a>(input: Node<'a>, losses: &mut Losses) -> Result<Vec<Turn<'a>>, Refused> {
    if let Some(said) = input.text() {
        return Ok(vec![Turn::of(Role::User, Part::text(said))]);
    }
    let mut turns = Vec::with_capacity(8);
    for item in array(input, "input")?.items() {
        item_of(item, &mut turns, losses)?;
    }
    Ok(turns)
}

/// An item's members, as far as they were told.
#[derive(Default)]
struct Item<'a> {
    kind: Option<Node<'a>>,
    role: Option<Node<'a>>,
    content: Option<Node<'a>>,
    call: Option<Text<'a>>,
    name: Option<Text<'a>>,
    arguments: Option<Text<'a>>,
    output: Option<Node<'a>>,
}

fn item_of<'a>(item: Node<'a>, turns: &mut Vec<Turn<'a>>, losses: &mut Losses) -> Result<(), Refused> {
    let mut told = Item::default();
    ITEM.each(object(item, "input")?, losses, |name, value, _| {
        match name {
            "type" => told.kind = Some(value),
            "role" => told.role = Some(value),
            "content" => told.content = Some(value),
            "call_id" => told.call = Some(text(value, "input.call_id")?),
            "name" => told.name = Some(text(value, "input.name")?),
            "arguments" => told.arguments = Some(text(value, "input.arguments")?),
            "output" => told.output = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    let is = |kind: &str| told.kind.is_some_and(|told| told.is(kind));
    if told.kind.is_none() || is("message") {
        return message(&told, turns, losses);
    }
    if is("reasoning") {
        losses.known(REASONED);
    } else if is("function_call") {
        let call = Part::new(What::Call {
            id: required(told.call, "input.call_id")?,
            name: required(told.name, "input.name")?,
            input: Input::Said(told.arguments.unwrap_or_else(|| "".into())),
        });
        // What the assistant says and calls in one go is one turn.
        match turns.last_mut().filter(|turn| turn.role == Role::Assistant) {
            Some(turn) => turn.parts.push(call),
            None => turns.push(Turn::of(Role::Assistant, call)),
        }
    } else if is("function_call_output") {
        let parts = parts(required(told.output, "input.output")?, losses)?;
        let id = required(told.call, "input.call_id")?;
        turns.push(Turn::of(
            Role::User,
            Part::new(What::Result { id, parts: parts.into_vec(), failed: false }),
        ));
    } else {
        return Err(refuse("input.type", "only messages, calls of functions and their outputs can cross"));
    }
    Ok(())
}

fn message<'a>(told: &Item<'a>, turns: &mut Vec<Turn<'a>>, losses: &mut Losses) -> Result<(), Refused> {
    let role = required(told.role, "input.role")?;
    let parts = parts(required(told.content, "input.content")?, losses)?;
    let role = if role.is("user") {
        Role::User
    } else if role.is("assistant") {
        Role::Assistant
    } else if role.is("system") || role.is("developer") {
        Role::System
    } else {
        return Err(refuse("input.role", "has to be system, developer, user or assistant"));
    };
    match turns.last_mut() {
        // Nothing may stand between a call and its result.
        Some(last)
            if role == Role::Assistant && last.role == role && last.parts.iter().any(Part::is_call) =>
        {
            last.parts.extend(parts);
        }
        _ => turns.push(Turn { role, parts }),
    }
    Ok(())
}

fn parts<'a>(content: Node<'a>, losses: &mut Losses) -> Result<Parts<'a>, Refused> {
    match content.kind() {
        Kind::String => Ok(content.text().map(Part::text).into_iter().collect()),
        Kind::Array => content.items().map(|part| part_of(part, losses)).collect(),
        _ => Err(refuse("input.content", "has to be a string or an array of parts")),
    }
}

fn part_of<'a>(part: Node<'a>, losses: &mut Losses) -> Result<Part<'a>, Refused> {
    let (mut kind, mut said, mut image, mut detail, mut cached) = (None, None, None, None, None);
    let (mut data, mut url, mut name_of) = (None, None, None);
    PART.each(object(part, "input.content")?, losses, |name, value, _| {
        match name {
            "type" => kind = Some(value),
            "text" | "refusal" => said = Some(text(value, "input.content.text")?),
            "image_url" => image = Some(text(value, "input.content.image_url")?),
            "detail" => detail = Some(text(value, "input.content.detail")?),
            "file_data" => data = Some(text(value, "input.content.file_data")?),
            "file_url" => url = Some(text(value, "input.content.file_url")?),
            "filename" => name_of = Some(text(value, "input.content.filename")?),
            "prompt_cache_breakpoint" => {
                let hour = value.get("ttl").is_some_and(|ttl| ttl.is("12h"));
                cached = Some(if hour { Cached::Hour } else { Cached::Default });
            }
            _ => {}
        }
        Ok(())
    })?;
    let kind = required(kind, "input.content.type")?;
    let is = |wanted: &str| kind.is(wanted);
    let what = if is("input_text") || is("output_text") || is("text") {
        What::Text(required(said, "input.content.text")?)
    } else if is("refusal") {
        What::Refusal(required(said, "input.content.refusal")?)
    } else if is("input_image") {
        What::Image { source: source(&required(image, "input.content.image_url")?), detail }
    } else if is("input_file") {
        let source = match url {
            Some(url) => Source::Url(url),
            None => file_source(&required(data, "input.content.file_data")?),
        };
        What::Document { source, name: name_of }
    } else {
        return Err(refuse("input.content.type", "only text, images, files and refusals can cross"));
    };
    Ok(Part { what, cached })
}

fn tools<'a>(tools: Node<'a>, losses: &mut Losses) -> Result<Vec<Tool<'a>>, Refused> {
    array(tools, "tools")?.items().map(|tool| tool_of(tool, losses)).collect()
}

fn tool_of<'a>(tool: Node<'a>, losses: &mut Losses) -> Result<Tool<'a>, Refused> {
    if !object(tool, "tools")?.get("type").is_some_and(|kind| kind.is("function")) {
        return Err(refuse("tools.type", "only functions, which the app runs itself, can cross"));
    }
    let (mut name_of, mut description, mut schema, mut strict) = (None, None, None, None);
    TOOL.each(tool, losses, |name, value, _| {
        match name {
            "name" => name_of = Some(text(value, "tools.name")?),
            "description" => description = Some(text(value, "tools.description")?),
            "parameters" => schema = Some(object(value, "tools.parameters")?),
            "strict" => strict = Some(flag(value, "tools.strict")?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Tool { name: required(name_of, "tools.name")?, description, schema, strict, cached: None })
}

fn choice<'a>(value: Node<'a>, losses: &mut Losses) -> Result<Choice<'a>, Refused> {
    if value.kind() == Kind::String {
        return choice_word(value);
    }
    if !object(value, "tool_choice")?.get("type").is_some_and(|kind| kind.is("function")) {
        return Err(refuse("tool_choice.type", "only a function can be chosen"));
    }
    let mut tool = None;
    CHOICE.each(value, losses, |name, value, _| {
        if name == "name" {
            tool = Some(text(value, "tool_choice.name")?);
        }
        Ok(())
    })?;
    Ok(Choice::Tool(required(tool, "tool_choice.name")?))
}

fn format<'a>(value: Node<'a>, losses: &mut Losses) -> Result<Option<Format<'a>>, Refused> {
    let (mut kind, mut name_of, mut schema, mut strict) = (None, None, None, None);
    TEXT.each(object(value, "text")?, losses, |_, value, losses| {
        FORMAT.each(object(value, "text.format")?, losses, |name, value, _| {
            match name {
                "type" => kind = Some(value),
                "name" => name_of = Some(text(value, "text.format.name")?),
                "schema" => schema = Some(object(value, "text.format.schema")?),
                "strict" => strict = Some(flag(value, "text.format.strict")?),
                _ => {}
            }
            Ok(())
        })
    })?;
    match kind {
        None => Ok(None),
        Some(kind) if kind.is("text") => Ok(None),
        Some(kind) if kind.is("json_object") => Ok(Some(Format::Json)),
        Some(kind) if kind.is("json_schema") => {
            let schema = required(schema, "text.format.schema")?;
            Ok(Some(Format::Schema { name: name_of, schema, strict }))
        }
        Some(_) => Err(refuse("text.format.type", "has to be text, json_object or json_schema")),
    }
}

/// What a response repeats of its request, and what it says where the request says nothing.
const REPEATED: [(&str, &[u8]); 14] = [
    ("instructions", b"null"),
    ("max_output_tokens", b"null"),
    ("metadata", b"{}"),
    ("parallel_tool_calls", b"true"),
    ("prompt_cache_key", b"null"),
    ("reasoning", br#"{"effort":null,"summary":null}"#),
    ("safety_identifier", b"null"),
    ("temperature", b"null"),
    ("text", br#"{"format":{"type":"text"}}"#),
    ("tool_choice", br#""auto""#),
    ("tools", b"[]"),
    ("top_p", b"null"),
    ("truncation", br#""disabled""#),
    ("user", b"null"),
];

fn echo(body: Node<'_>) -> Vec<u8> {
    let mut said = [None; REPEATED.len()];
    for (name, value) in body.members().filter(|(_, value)| !value.is_null()) {
        let place = REPEATED.iter().position(|(repeated, _)| *repeated == name);
        if let Some(slot) = place.and_then(|place| said.get_mut(place)) {
            *slot = Some(value);
        }
    }
    let size: usize = said.iter().flatten().map(|value| value.raw().len()).sum();
    let mut echo = Vec::with_capacity(size + 400);
    let mut pen = Pen::new(&mut echo);
    for ((name, default), said) in REPEATED.iter().zip(said) {
        pen.field(name, Raw(said.map_or(*default, Node::raw)));
    }
    echo
}
