//! The vocabulary's request becomes one of Chat Completions.

use std::borrow::Cow;
use std::collections::HashSet;

use super::super::Refused;
use super::super::ask::{Ask, Choice, Effort, Format, Part, Role, Source, Tool, Turn, What};
use super::super::fields::{Losses, refuse};
use super::super::form::Writing;
use super::super::node::{Node, Text};
use super::super::pen::{Null, Pen, Raw, escape};
use super::super::values::{NO_TOOLS, limit, put_said, tool_id, user};
use crate::wire::json::Kind;

/// So many stop sequences are taken.
const STOPS_MAX: usize = 4;

/// So long may the name of a user be.
const USER_MAX: usize = 64;

pub(super) fn write(
    ask: &Ask<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let names = writing.names;
    let mut pen = Pen::new(out);
    pen.open(b'{').maybe("model", ask.model.as_ref());
    pen.key("messages");
    turns(ask, writing, losses, &mut pen)?;
    // Where none is asked, none has to be said.
    if let Some(limit) = ask.max_output.and_then(|asked| limit(Some(asked), writing.target.max_output)) {
        pen.field("max_completion_tokens", Raw(&limit));
    }
    let sampling = writing.target.sampling;
    for (name, value, field) in
        [("temperature", ask.temperature, names.temperature), ("top_p", ask.top_p, names.top_p)]
    {
        match value {
            Some(value) if sampling => drop(pen.field(name, value)),
            Some(value) if value.number() != Some(1.0) => losses.known(field),
            _ => {}
        }
    }
    if ask.stops.len() > STOPS_MAX {
        return Err(refuse(names.stops, "the model takes at most four"));
    }
    if !ask.stops.is_empty() {
        list(&mut pen, "stop", ask.stops.iter(), |pen, stop| {
            pen.put(stop);
        });
    }
    tools(ask, writing, losses, &mut pen)?;
    format(ask, writing, losses, &mut pen)?;
    match ask.effort {
        None | Some(Effort::Adaptive) if writing.target.effort => {}
        Some(effort) if writing.target.effort => drop(pen.field("reasoning_effort", effort.as_str())),
        None | Some(Effort::None) => {}
        Some(Effort::Adaptive) => losses.known(names.thinking),
        Some(_) => losses.known(names.effort),
    }
    if let Some(who) = &ask.user {
        pen.field("safety_identifier", &*user(who, USER_MAX));
    }
    if ask.stream {
        // Of the usage, who asked gets it; dimmer reads it in any case.
        pen.field("stream", true).key("stream_options").open(b'{').field("include_usage", true).close(b'}');
    }
    pen.close(b'}');
    Ok(())
}

fn list<'i, T: 'i>(
    pen: &mut Pen<'_>,
    name: &str,
    items: impl Iterator<Item = &'i T>,
    mut put: impl FnMut(&mut Pen<'_>, &'i T),
) {
    pen.key(name).open(b'[');
    for item in items {
        put(pen.next(), item);
    }
    pen.close(b']');
}

fn turns(
    ask: &Ask<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    pen: &mut Pen<'_>,
) -> Result<(), Refused> {
    if let Some(last) = ask.turns.last()
        && writing.names.prefills
        && last.role == Role::Assistant
        && !last.parts.iter().any(Part::is_call)
    {
        return Err(refuse(writing.names.turns, "the model begins its own answer and goes on with none"));
    }
    let cached = ask.turns.iter().flat_map(|turn| &turn.parts).any(|part| part.cached.is_some());
    if cached || ask.tools.iter().any(|tool| tool.cached.is_some()) {
        losses.known(writing.names.cached);
    }
    pen.open(b'[');
    for turn in &ask.turns {
        match turn.role {
            Role::System => system(turn, pen),
            Role::User => user_turn(turn, writing, pen)?,
            Role::Assistant => assistant(turn, pen),
        }
    }
    pen.close(b']');
    Ok(())
}

fn system(turn: &Turn<'_>, pen: &mut Pen<'_>) {
    pen.next().open(b'{').field("role", "system").key("content");
    joined(turn, "\n\n", pen);
    pen.close(b'}');
}

/// All texts of a turn as one.
fn joined(turn: &Turn<'_>, between: &str, pen: &mut Pen<'_>) {
    pen.out.push(b'"');
    let mut texts = turn.parts.iter().filter_map(|part| match &part.what {
        What::Text(text) => Some(text),
        _ => None,
    });
    if let Some(first) = texts.next() {
        first.inside(pen.out);
    }
    for text in texts {
        escape(between, pen.out);
        text.inside(pen.out);
    }
    pen.out.push(b'"');
}

fn assistant(turn: &Turn<'_>, pen: &mut Pen<'_>) {
    pen.next().open(b'{').field("role", "assistant").key("content");
    match turn.parts.iter().any(|part| matches!(part.what, What::Text(_))) {
        true => joined(turn, "", pen),
        false => drop(pen.put(Null)),
    }
    let refusal = turn.parts.iter().find_map(|part| match &part.what {
        What::Refusal(text) => Some(text),
        _ => None,
    });
    pen.maybe("refusal", refusal);
    if turn.parts.iter().any(Part::is_call) {
        pen.key("tool_calls").open(b'[');
        for part in &turn.parts {
            if let What::Call { id, name, input } = &part.what {
                pen.next().open(b'{').field("id", &*tool_id(id)).field("type", "function");
                pen.key("function").open(b'{').field("name", name).key("arguments");
                put_said(input, pen);
                pen.close(b'}').close(b'}');
            }
        }
        pen.close(b']');
    }
    pen.close(b'}');
}

/// The results of tools are messages of their own and come first; what in them is no text follows as the user's.
fn user_turn(turn: &Turn<'_>, writing: &Writing<'_>, pen: &mut Pen<'_>) -> Result<(), Refused> {
    let mut shown: Vec<Shown<'_, '_>> = Vec::new();
    for part in &turn.parts {
        if let What::Result { id, parts, failed } = &part.what {
            result(id, parts, *failed, pen);
            let others = || parts.iter().filter(|part| !matches!(part.what, What::Text(_)));
            if others().next().is_some() {
                shown.push(Shown::Of(id));
                shown.extend(others().map(Shown::Part));
            }
        }
    }
    shown.extend(turn.parts.iter().filter(|part| !part.is_result()).map(Shown::Part));
    match shown.as_slice() {
        [] => {}
        [Shown::Part(Part { what: What::Text(text), .. })] => {
            pen.next().open(b'{').field("role", "user").field("content", text).close(b'}');
        }
        several => {
            pen.next().open(b'{').field("role", "user").key("content").open(b'[');
            for part in several {
                show(part, writing, pen.next())?;
            }
            pen.close(b']').close(b'}');
        }
    }
    Ok(())
}

/// What stands in a user's message.
enum Shown<'s, 'a> {
    Part(&'s Part<'a>),
    /// What follows was the result of this call.
    Of(&'s Text<'a>),
}

fn result(id: &Text<'_>, parts: &[Part<'_>], failed: bool, pen: &mut Pen<'_>) {
    pen.next().open(b'{').field("role", "tool").field("tool_call_id", &*tool_id(id)).key("content");
    let texts = || {
        parts.iter().filter_map(|part| match &part.what {
            What::Text(text) => Some(text),
            _ => None,
        })
    };
    let several = texts().nth(1).is_some();
    if several {
        pen.open(b'[');
    }
    let mut prefix = if failed { FAILED } else { "" };
    for text in texts() {
        if several {
            pen.next().open(b'{').field("type", "text").key("text");
        }
        pen.out.push(b'"');
        pen.out.extend_from_slice(prefix.as_bytes());
        text.inside(pen.out);
        pen.out.push(b'"');
        prefix = "";
        if several {
            pen.close(b'}');
        }
    }
    if texts().next().is_none() {
        pen.put(prefix.trim_end());
    }
    if several {
        pen.close(b']');
    }
    pen.close(b'}');
}

/// Before what a tool said that failed: there is no field for it.
const FAILED: &str = "Error: ";

fn show(shown: &Shown<'_, '_>, writing: &Writing<'_>, pen: &mut Pen<'_>) -> Result<(), Refused> {
    let part = match shown {
        Shown::Of(id) => {
            let text = format!("Result of the tool call {}:", tool_id(id));
            pen.open(b'{').field("type", "text").field("text", &text).close(b'}');
            return Ok(());
        }
        Shown::Part(part) => part,
    };
    match &part.what {
        What::Text(text) | What::Refusal(text) => {
            pen.open(b'{').field("type", "text").field("text", text).close(b'}');
        }
        What::Image { source, detail } => {
            if !writing.target.images {
                return Err(refuse(writing.names.image, "the model reads no images"));
            }
            pen.open(b'{').field("type", "image_url").key("image_url").open(b'{').key("url");
            url(source, pen);
            pen.maybe("detail", detail.as_ref()).close(b'}').close(b'}');
        }
        What::Document { source: Source::Text(text), name } => {
            if let Some(name) = name {
                pen.open(b'{').field("type", "text").field("text", name).close(b'}').next();
            }
            pen.open(b'{').field("type", "text").field("text", text).close(b'}');
        }
        What::Document { source: Source::Url(_), .. } => {
            return Err(refuse(
                writing.names.document,
                "a document cannot be told by its URL; send its data",
            ));
        }
        What::Document { source, name } => {
            pen.open(b'{').field("type", "file").key("file").open(b'{');
            match name {
                Some(name) => drop(pen.field("filename", name)),
                None => drop(pen.field("filename", "document.pdf")),
            }
            pen.key("file_data");
            url(source, pen);
            pen.close(b'}').close(b'}');
        }
        What::Call { .. } | What::Result { .. } => {
            return Err(refuse(writing.names.turns, "a call of a tool has to stand in an assistant's turn"));
        }
    }
    Ok(())
}

/// A URL, or a data URL.
fn url(source: &Source<'_>, pen: &mut Pen<'_>) {
    match source {
        Source::Url(url) | Source::Text(url) => drop(pen.put(url)),
        Source::Base64 { media, data } => {
            pen.out.extend_from_slice(b"\"data:");
            media.inside(pen.out);
            pen.out.extend_from_slice(b";base64,");
            data.inside(pen.out);
            pen.out.push(b'"');
        }
    }
}

fn tools(
    ask: &Ask<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    pen: &mut Pen<'_>,
) -> Result<(), Refused> {
    if ask.tools.is_empty() {
        return match &ask.choice {
            Some(choice) if choice.is_forced() => Err(refuse(writing.names.choice, NO_TOOLS)),
            _ => Ok(()),
        };
    }
    let field = writing.names.strict;
    list(pen, "tools", ask.tools.iter(), |pen, tool| tool_of(tool, field, losses, pen));
    match &ask.choice {
        None => {}
        Some(Choice::Auto) => drop(pen.field("tool_choice", "auto")),
        Some(Choice::Any) => drop(pen.field("tool_choice", "required")),
        Some(Choice::None) => drop(pen.field("tool_choice", "none")),
        Some(Choice::Tool(name)) => {
            pen.key("tool_choice").open(b'{').field("type", "function").key("function").open(b'{');
            pen.field("name", name).close(b'}').close(b'}');
        }
    }
    if ask.parallel == Some(false) {
        pen.field("parallel_tool_calls", false);
    }
    Ok(())
}

fn tool_of(tool: &Tool<'_>, field: &'static str, losses: &mut Losses, pen: &mut Pen<'_>) {
    pen.open(b'{').field("type", "function").key("function").open(b'{').field("name", &tool.name);
    pen.maybe("description", tool.description.as_ref());
    pen.maybe("parameters", tool.schema);
    pen.maybe("strict", strict(tool.strict, tool.schema, field, losses));
    pen.close(b'}').close(b'}');
}

/// A schema that is to be kept strictly has no members that may be absent, and none that it does not name; for others there is no
/// such promise here.
fn strict(
    asked: Option<bool>,
    schema: Option<Node<'_>>,
    field: &'static str,
    losses: &mut Losses,
) -> Option<bool> {
    if asked == Some(true) && !schema.is_some_and(|schema| is_strict(schema, LEVELS_MAX)) {
        losses.known(field);
        return None;
    }
    asked
}

fn is_strict(schema: Node<'_>, levels: u32) -> bool {
    let properties = schema.get("properties").filter(|properties| properties.kind() == Kind::Object);
    let names_all = |properties: Node<'_>| {
        let closed = schema.get("additionalProperties").is_some_and(|more| more.raw() == b"false");
        let required = schema.get("required").into_iter().flat_map(Node::items);
        let required: HashSet<Cow<'_, str>> = required.filter_map(Node::plain).collect();
        closed && properties.members().all(|(name, _)| required.contains(&name))
    };
    let inner = schema.members().map(|(_, value)| value).chain(schema.items());
    let mut inner = inner.filter(|value| matches!(value.kind(), Kind::Object | Kind::Array));
    levels > 0 && properties.is_none_or(names_all) && inner.all(|value| is_strict(value, levels - 1))
}

/// More than OpenAI takes of a strict schema. Each level is read again by the one above it.
const LEVELS_MAX: u32 = 24;

fn format(
    ask: &Ask<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    pen: &mut Pen<'_>,
) -> Result<(), Refused> {
    match &ask.format {
        None => {}
        Some(Format::Json) => {
            pen.key("response_format").put(Raw(br#"{"type":"json_object"}"#));
        }
        Some(Format::Schema { .. }) if !writing.target.schema => {
            return Err(refuse(writing.names.format, "the model does not answer by a schema"));
        }
        Some(Format::Schema { name, schema, strict: asked }) => {
            let strictly = strict(*asked, Some(*schema), writing.names.format, losses);
            pen.key("response_format").open(b'{').field("type", "json_schema").key("json_schema").open(b'{');
            match name {
                Some(name) => drop(pen.field("name", name)),
                None => drop(pen.field("name", "answer")),
            }
            pen.field("schema", *schema).maybe("strict", strictly).close(b'}').close(b'}');
        }
    }
    Ok(())
}
