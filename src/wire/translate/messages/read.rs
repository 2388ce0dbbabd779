//! A request of Messages becomes the vocabulary's.

use smallvec::SmallVec;

use super::super::Refused;
use super::super::ask::{Ask, Cached, Choice, Effort, Format, Input, Part, Role, Source, Tool, Turn, What};
use super::super::chat::effort;
use super::super::fields::{Losses, refuse, refuse_as};
use super::super::node::{Node, Text};
use super::super::values::{array, flag, number, object, required, text};
use super::{BLOCK, BODY, CHOICE, FORMAT, MESSAGE, METADATA, OUTPUT, SOURCE, SYSTEM, THINKING, TOOL};
use crate::wire::ErrorCode;
use crate::wire::json::Kind;

/// What is dropped of a conversation that another model has thought in.
const REASONING: &str = "reasoning";

type Parts<'a> = SmallVec<[Part<'a>; 1]>;

pub(super) fn read<'a>(body: Node<'a>, losses: &mut Losses) -> Result<Ask<'a>, Refused> {
    // Its streams always end with their usage.
    let mut ask = Ask { include_usage: true, ..Ask::default() };
    let mut prompt = None;
    let mut thought = None;
    BODY.each(body, losses, |name, value, losses| {
        match name {
            "model" => ask.model = Some(text(value, "model")?),
            "max_tokens" => ask.max_output = Some(number(value, "max_tokens")?),
            "system" => prompt = Some(system(value, losses)?),
            "messages" => ask.turns = turns(value, losses)?,
            "temperature" => ask.temperature = Some(number(value, "temperature")?),
            "top_p" => ask.top_p = Some(number(value, "top_p")?),
            "stop_sequences" => {
                let stops = array(value, "stop_sequences")?.items();
                ask.stops = stops.map(|stop| text(stop, "stop_sequences")).collect::<Result<_, _>>()?;
            }
            "stream" => ask.stream = flag(value, "stream")?,
            "tools" => ask.tools = tools(value, losses)?,
            "tool_choice" => choice(value, &mut ask, losses)?,
            "output_config" => output(value, &mut ask, losses)?,
            "thinking" => thought = thinking(value, losses)?,
            "metadata" => METADATA.each(object(value, "metadata")?, losses, |_, value, _| {
                ask.user = Some(text(value, "metadata.user_id")?);
                Ok(())
            })?,
            "thread" => return Err(thread(value)),
            _ => {}
        }
        Ok(())
    })?;
    if let Some(prompt) = prompt.filter(|prompt| !prompt.parts.is_empty()) {
        ask.turns.insert(0, prompt);
    }
    // What it says of thinking at all comes before how much.
    ask.effort = if thought == Some(Effort::None) { thought } else { ask.effort.or(thought) };
    Ok(ask)
}

fn thread(value: Node<'_>) -> Refused {
    let goes_on = value.get("type").is_some_and(|kind| kind.is("continue"));
    let code = if goes_on { ErrorCode::ThreadNotFound } else { ErrorCode::ThreadUnsupported };
    refuse_as(code, "thread", "the conversation is kept by another provider; send it whole, without a thread")
}

fn system<'a>(value: Node<'a>, losses: &mut Losses) -> Result<Turn<'a>, Refused> {
    let mut turn = Turn::new(Role::System);
    match value.kind() {
        Kind::String => turn.parts.extend(value.text().map(Part::text)),
        Kind::Array => {
            for block in value.items() {
                let (mut said, mut cached) = (None, None);
                SYSTEM.each(object(block, "system")?, losses, |name, value, _| {
                    match name {
                        "type" if !value.is("text") => {
                            return Err(refuse("system.type", "a system prompt is made of text"));
                        }
                        "text" => said = Some(text(value, "system.text")?),
                        "cache_control" => cached = Some(cached_of(value)),
                        _ => {}
                    }
                    Ok(())
                })?;
                turn.parts.push(Part { what: What::Text(required(said, "system.text")?), cached });
            }
        }
        _ => return Err(refuse("system", "has to be a string or an array of blocks")),
    }
    Ok(turn)
}

fn cached_of(marker: Node<'_>) -> Cached {
    match marker.get("ttl") {
        Some(ttl) if ttl.is("1h") => Cached::Hour,
        _ => Cached::Default,
    }
}

fn turns<'a>(messages: Node<'a>, losses: &mut Losses) -> Result<Vec<Turn<'a>>, Refused> {
    // One more for the prompt, which stands first.
    let mut turns = Vec::with_capacity(8);
    for message in array(messages, "messages")?.items() {
        let (mut role, mut content) = (None, None);
        MESSAGE.each(object(message, "messages")?, losses, |name, value, _| {
            match name {
                "role" => role = Some(value),
                "content" => content = Some(value),
                _ => {}
            }
            Ok(())
        })?;
        let role = required(role, "messages.role")?;
        let role = if role.is("user") {
            Role::User
        } else if role.is("assistant") {
            Role::Assistant
        } else if role.is("system") {
            Role::System
        } else {
            return Err(refuse("messages.role", "has to be user, assistant or system"));
        };
        let parts = blocks(required(content, "messages.content")?, LEVELS_MAX, losses)?;
        // Nothing is left of a turn that only thought.
        if !parts.is_empty() {
            turns.push(Turn { role, parts });
        }
    }
    Ok(turns)
}

/// Results hold documents, and these blocks. Each level is read again by the one above it.
const LEVELS_MAX: u32 = 4;

fn blocks<'a>(content: Node<'a>, levels: u32, losses: &mut Losses) -> Result<Parts<'a>, Refused> {
    match content.kind() {
        Kind::String => Ok(content.text().map(Part::text).into_iter().collect()),
        Kind::Array if levels == 0 => {
            Err(refuse("messages.content.content", "holds blocks in blocks too deep"))
        }
        Kind::Array => {
            let mut parts = SmallVec::new();
            for block in content.items() {
                self::block(block, levels, &mut parts, losses)?;
            }
            Ok(parts)
        }
        _ => Err(refuse("messages.content", "has to be a string or an array of blocks")),
    }
}

/// A block's members, as far as they were told.
#[derive(Default)]
struct Block<'a> {
    kind: Option<Node<'a>>,
    text: Option<Text<'a>>,
    source: Option<Node<'a>>,
    title: Option<Text<'a>>,
    content: Option<Node<'a>>,
    id: Option<Text<'a>>,
    name: Option<Text<'a>>,
    input: Option<Node<'a>>,
    result_of: Option<Text<'a>>,
    failed: bool,
    cached: Option<Cached>,
}

fn block<'a>(
    block: Node<'a>,
    levels: u32,
    parts: &mut Parts<'a>,
    losses: &mut Losses,
) -> Result<(), Refused> {
    let mut told = Block::default();
    BLOCK.each(object(block, "messages.content")?, losses, |name, value, _| {
        match name {
            "type" => told.kind = Some(value),
            "text" => told.text = Some(text(value, "messages.content.text")?),
            "source" => told.source = Some(value),
            "title" => told.title = Some(text(value, "messages.content.title")?),
            "content" => told.content = Some(value),
            "id" => told.id = Some(text(value, "messages.content.id")?),
            "name" => told.name = Some(text(value, "messages.content.name")?),
            "input" => told.input = Some(object(value, "messages.content.input")?),
            "tool_use_id" => told.result_of = Some(text(value, "messages.content.tool_use_id")?),
            "is_error" => told.failed = flag(value, "messages.content.is_error")?,
            "cache_control" => told.cached = Some(cached_of(value)),
            _ => {}
        }
        Ok(())
    })?;
    let kind = required(told.kind, "messages.content.type")?;
    let cached = told.cached;
    if kind.is("thinking") || kind.is("redacted_thinking") {
        losses.known(REASONING);
        return Ok(());
    }
    let what = if kind.is("text") {
        What::Text(required(told.text, "messages.content.text")?)
    } else if kind.is("tool_use") {
        What::Call {
            id: required(told.id, "messages.content.id")?,
            name: required(told.name, "messages.content.name")?,
            input: match told.input {
                Some(input) => Input::Object(input),
                None => Input::Said("".into()),
            },
        }
    } else if kind.is("tool_result") {
        let parts = match told.content {
            Some(content) => blocks(content, levels.saturating_sub(1), losses)?,
            None => SmallVec::new(),
        };
        let id = required(told.result_of, "messages.content.tool_use_id")?;
        What::Result { id, parts: parts.into_vec(), failed: told.failed }
    } else {
        return shown(kind, told, levels, parts, losses);
    };
    parts.push(Part { what, cached });
    Ok(())
}

/// What the model is given to look at.
fn shown<'a>(
    kind: Node<'a>,
    told: Block<'a>,
    levels: u32,
    parts: &mut Parts<'a>,
    losses: &mut Losses,
) -> Result<(), Refused> {
    let cached = told.cached;
    if kind.is("image") {
        let source = match source(told.source, losses)? {
            Shown::Source(source) => source,
            Shown::Blocks(_) => return Err(refuse("messages.content.source.type", "an image is no text")),
        };
        parts.push(Part { what: What::Image { source, detail: None }, cached });
    } else if kind.is("document") {
        match source(told.source, losses)? {
            Shown::Source(source) => {
                parts.push(Part { what: What::Document { source, name: told.title }, cached });
            }
            Shown::Blocks(content) => {
                parts.extend(told.title.map(Part::text));
                parts.extend(blocks(content, levels.saturating_sub(1), losses)?);
            }
        }
    } else if kind.is("search_result") {
        parts.extend(told.title.map(Part::text));
        parts.extend(told.source.and_then(Node::text).map(Part::text));
        parts.extend(blocks(
            required(told.content, "messages.content.content")?,
            levels.saturating_sub(1),
            losses,
        )?);
    } else {
        return Err(refuse(
            "messages.content.type",
            "blocks of tools that the provider runs itself cannot cross",
        ));
    }
    Ok(())
}

enum Shown<'a> {
    Source(Source<'a>),
    Blocks(Node<'a>),
}

fn source<'a>(source: Option<Node<'a>>, losses: &mut Losses) -> Result<Shown<'a>, Refused> {
    let source = required(source, "messages.content.source")?;
    let (mut kind, mut media, mut data, mut url, mut content) = (None, None, None, None, None);
    SOURCE.each(object(source, "messages.content.source")?, losses, |name, value, _| {
        match name {
            "type" => kind = Some(value),
            "media_type" => media = Some(text(value, "messages.content.source.media_type")?),
            "data" => data = Some(text(value, "messages.content.source.data")?),
            "url" => url = Some(text(value, "messages.content.source.url")?),
            "content" => content = Some(value),
            _ => {}
        }
        Ok(())
    })?;
    let kind = required(kind, "messages.content.source.type")?;
    let field = "messages.content.source.data";
    Ok(if kind.is("base64") {
        let media = required(media, "messages.content.source.media_type")?;
        Shown::Source(Source::Base64 { media, data: required(data, field)? })
    } else if kind.is("url") {
        Shown::Source(Source::Url(required(url, "messages.content.source.url")?))
    } else if kind.is("text") {
        Shown::Source(Source::Text(required(data, field)?))
    } else if kind.is("content") {
        Shown::Blocks(required(content, "messages.content.source.content")?)
    } else {
        return Err(refuse("messages.content.source.type", "only base64, url, text and content can cross"));
    })
}

fn tools<'a>(tools: Node<'a>, losses: &mut Losses) -> Result<Vec<Tool<'a>>, Refused> {
    array(tools, "tools")?.items().map(|tool| tool_of(tool, losses)).collect()
}

fn tool_of<'a>(tool: Node<'a>, losses: &mut Losses) -> Result<Tool<'a>, Refused> {
    let kind = object(tool, "tools")?.get("type");
    if kind.is_some_and(|kind| !kind.is("custom")) {
        return Err(refuse("tools.type", "only tools that the app runs itself and describes can cross"));
    }
    let (mut name_of, mut description, mut schema, mut strict, mut cached) = (None, None, None, None, None);
    TOOL.each(tool, losses, |name, value, _| {
        match name {
            "name" => name_of = Some(text(value, "tools.name")?),
            "description" => description = Some(text(value, "tools.description")?),
            "input_schema" => schema = Some(object(value, "tools.input_schema")?),
            "strict" => strict = Some(flag(value, "tools.strict")?),
            "cache_control" => cached = Some(cached_of(value)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(Tool { name: required(name_of, "tools.name")?, description, schema, strict, cached })
}

fn choice<'a>(value: Node<'a>, ask: &mut Ask<'a>, losses: &mut Losses) -> Result<(), Refused> {
    let (mut kind, mut tool) = (None, None);
    CHOICE.each(object(value, "tool_choice")?, losses, |name, value, _| {
        match name {
            "type" => kind = Some(value),
            "name" => tool = Some(text(value, "tool_choice.name")?),
            "disable_parallel_tool_use" => {
                ask.parallel = Some(!flag(value, "tool_choice.disable_parallel_tool_use")?)
            }
            _ => {}
        }
        Ok(())
    })?;
    let kind = required(kind, "tool_choice.type")?;
    ask.choice = Some(if kind.is("auto") {
        Choice::Auto
    } else if kind.is("any") {
        Choice::Any
    } else if kind.is("none") {
        Choice::None
    } else if kind.is("tool") {
        Choice::Tool(required(tool, "tool_choice.name")?)
    } else {
        return Err(refuse("tool_choice.type", "has to be auto, any, tool or none"));
    });
    Ok(())
}

fn output<'a>(value: Node<'a>, ask: &mut Ask<'a>, losses: &mut Losses) -> Result<(), Refused> {
    OUTPUT.each(object(value, "output_config")?, losses, |name, value, losses| {
        match name {
            "effort" => ask.effort = Some(effort(value, "output_config.effort")?),
            "format" => {
                let mut schema = None;
                FORMAT.each(object(value, "output_config.format")?, losses, |name, value, _| {
                    match name {
                        "type" if !value.is("json_schema") => {
                            return Err(refuse("output_config.format.type", "has to be json_schema"));
                        }
                        "schema" => schema = Some(object(value, "output_config.format.schema")?),
                        _ => {}
                    }
                    Ok(())
                })?;
                let schema = required(schema, "output_config.format.schema")?;
                ask.format = Some(Format::Schema { name: None, schema, strict: Some(true) });
            }
            _ => {}
        }
        Ok(())
    })
}

fn thinking(value: Node<'_>, losses: &mut Losses) -> Result<Option<Effort>, Refused> {
    let (mut kind, mut budget) = (None, None);
    THINKING.each(object(value, "thinking")?, losses, |name, value, _| {
        match name {
            "type" => kind = Some(value),
            "budget_tokens" => budget = value.count(),
            _ => {}
        }
        Ok(())
    })?;
    let kind = required(kind, "thinking.type")?;
    Ok(if kind.is("disabled") {
        Some(Effort::None)
    } else if kind.is("enabled") {
        Some(match budget.unwrap_or_default() {
            0..=4096 => Effort::Low,
            4097..=16384 => Effort::Medium,
            _ => Effort::High,
        })
    } else {
        Some(Effort::Adaptive)
    })
}
