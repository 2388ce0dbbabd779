//! The vocabulary's request becomes one of Messages.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::super::Refused;
use super::super::ask::{Ask, Cached, Choice, Effort, Format, Part, Role, Source, Tool, Turn, What};
use super::super::fields::{Losses, refuse};
use super::super::form::Writing;
use super::super::node::Text;
use super::super::pen::{Pen, Raw};
use super::super::values::{NO_TOOLS, limit, put_object, tool_id, user};

/// So many places of a request may be marked for the cache.
const MARKERS_MAX: usize = 4;

/// So long may the name of a user be.
const USER_MAX: usize = 256;

pub(super) fn write(
    ask: &Ask<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let names = writing.names;
    let mut pen = Pen::new(out);
    pen.open(b'{').maybe("model", ask.model.as_ref()).key("max_tokens");
    match limit(ask.max_output, writing.target.max_output) {
        Some(limit) => pen.put(Raw(&limit)),
        None => return Err(refuse(names.max_output, NO_LIMIT)),
    };
    let leading = ask.turns.iter().take_while(|turn| turn.role == Role::System).count();
    let (prompt, turns) = ask.turns.split_at_checked(leading).unwrap_or_default();
    let mut markers = Markers::of(ask, names.cached, losses);
    tools(ask, writing, losses, &mut markers, &mut pen)?;
    system(prompt, ask, names.format, losses, &mut markers, &mut pen);
    let turns = groups(turns, writing.target.later_system);
    check_turns(&turns, writing)?;
    pen.key("messages").open(b'[');
    for group in &turns {
        message(group, writing, losses, &mut markers, &mut pen)?;
    }
    pen.close(b']');
    let thinks = effort(ask, writing, losses, &mut pen)?;
    sampling(ask, writing, thinks, losses, &mut pen);
    stops(ask, writing, &mut pen)?;
    if let Some(who) = &ask.user {
        pen.key("metadata").open(b'{').field("user_id", &*user(who, USER_MAX)).close(b'}');
    }
    if ask.stream {
        pen.field("stream", true);
    }
    pen.close(b'}');
    Ok(())
}

const NO_LIMIT: &str = "the model's API requires a limit, and how much the model can write is not known: send one, or give the \
                        model a fit.cap_max_tokens";

/// Which of the request's marks for the cache are written: the last ones.
struct Markers {
    /// So many are passed over first.
    skip: usize,
}

impl Markers {
    fn of(ask: &Ask<'_>, name: &'static str, losses: &mut Losses) -> Self {
        let parts = ask.turns.iter().flat_map(|turn| &turn.parts);
        let marked = parts.filter(|part| part.cached.is_some() && !is_blank(part)).count();
        let marked = marked + ask.tools.iter().filter(|tool| tool.cached.is_some()).count();
        let skip = marked.saturating_sub(MARKERS_MAX);
        if skip > 0 {
            losses.known(name);
        }
        Self { skip }
    }

    fn put(&mut self, cached: Option<Cached>, pen: &mut Pen<'_>) {
        let Some(cached) = cached else { return };
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        pen.key("cache_control").put(Raw(match cached {
            Cached::Default => br#"{"type":"ephemeral"}"#,
            Cached::Hour => br#"{"type":"ephemeral","ttl":"1h"}"#,
        }));
    }
}

/// Text that says nothing is a 400 here.
fn is_blank(part: &Part<'_>) -> bool {
    matches!(&part.what, What::Text(text) | What::Refusal(text) if text.is_blank())
}

fn system(
    prompt: &[Turn<'_>],
    ask: &Ask<'_>,
    format: &'static str,
    losses: &mut Losses,
    markers: &mut Markers,
    pen: &mut Pen<'_>,
) {
    let blocks = || prompt.iter().flat_map(|turn| &turn.parts).filter(|part| !is_blank(part));
    let instructs = matches!(ask.format, Some(Format::Json));
    if instructs {
        losses.known(format);
    }
    if blocks().next().is_none() && !instructs {
        return;
    }
    pen.key("system");
    let mut all = blocks();
    if let (false, Some(Part { what: What::Text(text), cached: None }), None) =
        (instructs, all.next(), all.next())
    {
        pen.put(text);
        return;
    }
    pen.open(b'[');
    for part in blocks() {
        if let What::Text(text) | What::Refusal(text) = &part.what {
            pen.next().open(b'{').field("type", "text").field("text", text);
            markers.put(part.cached, pen);
            pen.close(b'}');
        }
    }
    if instructs {
        pen.next().open(b'{').field("type", "text").field("text", JSON_ONLY).close(b'}');
    }
    pen.close(b']');
}

/// What stands for `json_object`, which this API does not have.
const JSON_ONLY: &str =
    "Answer with one JSON object and nothing else: no text before or after it, no code fence.";

/// What becomes one message.
struct Group<'t, 'a> {
    role: Role,
    pieces: SmallVec<[Piece<'t, 'a>; 2]>,
    /// It has results of tools or a system message in it: what the user says next belongs to it.
    joins: bool,
}

#[derive(Clone, Copy)]
enum Piece<'t, 'a> {
    Part(&'t Part<'a>),
    /// Of a system message among the others.
    System(&'t Text<'a>),
}

/// All results of one turn's calls have to stand in one message, and system messages between the others are not taken by all models.
fn groups<'t, 'a>(turns: &'t [Turn<'a>], later_system: bool) -> Vec<Group<'t, 'a>> {
    let mut groups: Vec<Group<'t, 'a>> = Vec::with_capacity(turns.len());
    for turn in turns {
        let folded = turn.role == Role::System && !later_system;
        let role = if folded { Role::User } else { turn.role };
        let pieces = turn.parts.iter().filter(|part| !is_blank(part)).map(|part| match &part.what {
            What::Text(text) if folded => Piece::System(text),
            _ => Piece::Part(part),
        });
        let joins = folded || turn.parts.iter().any(Part::is_result);
        match groups.last_mut() {
            Some(last) if last.role == Role::User && role == Role::User && (last.joins || joins) => {
                last.pieces.extend(pieces);
                last.joins |= joins;
            }
            _ => groups.push(Group { role, pieces: pieces.collect(), joins }),
        }
    }
    // Empty content is a 400.
    groups.retain(|group| !group.pieces.is_empty());
    groups
}

fn check_turns(turns: &[Group<'_, '_>], writing: &Writing<'_>) -> Result<(), Refused> {
    let Some(last) = turns.last() else {
        return Err(refuse(writing.names.turns, "has no message of the user with anything in it"));
    };
    let calls = last.pieces.iter().any(|piece| matches!(piece, Piece::Part(part) if part.is_call()));
    if last.role == Role::Assistant && !calls && !writing.target.prefill {
        return Err(refuse(
            writing.names.turns,
            "the last message is the assistant's, and the model goes on with none",
        ));
    }
    Ok(())
}

fn message(
    group: &Group<'_, '_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    markers: &mut Markers,
    pen: &mut Pen<'_>,
) -> Result<(), Refused> {
    let role = match group.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    pen.next().open(b'{').field("role", role).key("content");
    if let [Piece::Part(Part { what: What::Text(text), cached: None })] = group.pieces.as_slice() {
        pen.put(text).close(b'}');
        return Ok(());
    }
    pen.open(b'[');
    let is_result = |piece: &&Piece<'_, '_>| matches!(piece, Piece::Part(part) if part.is_result());
    let results = group.pieces.iter().filter(is_result);
    for piece in results.chain(group.pieces.iter().filter(|piece| !is_result(piece))) {
        match piece {
            Piece::Part(part) => block(part, writing, losses, markers, pen.next())?,
            Piece::System(text) => marked(text, pen.next()),
        }
    }
    pen.close(b']').close(b'}');
    Ok(())
}

/// A system message in the user's turn, told apart from what the user says.
fn marked(text: &Text<'_>, pen: &mut Pen<'_>) {
    pen.open(b'{').field("type", "text").key("text");
    pen.out.extend_from_slice(b"\"<system>");
    text.inside(pen.out);
    pen.out.extend_from_slice(b"</system>\"");
    pen.close(b'}');
}

fn block(
    part: &Part<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    markers: &mut Markers,
    pen: &mut Pen<'_>,
) -> Result<(), Refused> {
    pen.open(b'{');
    match &part.what {
        What::Text(text) | What::Refusal(text) => {
            pen.field("type", "text").field("text", text);
        }
        What::Image { source, detail } => {
            if !writing.target.images {
                return Err(refuse(writing.names.image, "the model reads no images"));
            }
            if detail.as_ref().is_some_and(|detail| !detail.is("auto")) {
                losses.known(writing.names.detail);
            }
            pen.field("type", "image");
            put_source(source, pen);
        }
        What::Document { source, name } => {
            if let Source::Base64 { media, .. } = source
                && !media.is("application/pdf")
            {
                return Err(refuse(writing.names.document, "only PDF documents can cross"));
            }
            pen.field("type", "document").maybe("title", name.as_ref());
            put_source(source, pen);
        }
        What::Call { id, name, input } => {
            pen.field("type", "tool_use").field("id", &*tool_id(id)).field("name", name).key("input");
            put_object(input, pen);
        }
        What::Result { id, parts, failed } => {
            pen.field("type", "tool_result").field("tool_use_id", &*tool_id(id));
            result(parts, writing, losses, markers, pen)?;
            if *failed {
                pen.field("is_error", true);
            }
        }
    }
    markers.put(part.cached, pen);
    pen.close(b'}');
    Ok(())
}

fn result(
    parts: &[Part<'_>],
    writing: &Writing<'_>,
    losses: &mut Losses,
    markers: &mut Markers,
    pen: &mut Pen<'_>,
) -> Result<(), Refused> {
    if let [Part { what: What::Text(text), cached: None }] = parts {
        pen.field("content", text);
        return Ok(());
    }
    if parts.iter().all(is_blank) {
        return Ok(());
    }
    pen.key("content").open(b'[');
    for part in parts.iter().filter(|part| !is_blank(part)) {
        if part.is_result() || part.is_call() {
            return Err(refuse(writing.names.turns, "a result of a tool holds no other one"));
        }
        block(part, writing, losses, markers, pen.next())?;
    }
    pen.close(b']');
    Ok(())
}

fn put_source(source: &Source<'_>, pen: &mut Pen<'_>) {
    pen.key("source").open(b'{');
    match source {
        Source::Base64 { media, data } => {
            pen.field("type", "base64").field("media_type", media).field("data", data);
        }
        Source::Url(url) => drop(pen.field("type", "url").field("url", url)),
        Source::Text(text) => {
            pen.field("type", "text").field("media_type", "text/plain").field("data", text);
        }
    }
    pen.close(b'}');
}

fn tools(
    ask: &Ask<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    markers: &mut Markers,
    pen: &mut Pen<'_>,
) -> Result<(), Refused> {
    if ask.tools.is_empty() {
        if ask.choice.as_ref().is_some_and(Choice::is_forced) {
            return Err(refuse(writing.names.choice, NO_TOOLS));
        }
        former_tools(ask, pen);
        return Ok(());
    }
    pen.key("tools").open(b'[');
    for tool in &ask.tools {
        tool_of(tool, writing, losses, pen.next())?;
        markers.put(tool.cached, pen);
        pen.close(b'}');
    }
    pen.close(b']');
    let choice = ask.choice.as_ref();
    if choice.is_some_and(Choice::is_forced) && !writing.target.forced_tools {
        return Err(refuse(writing.names.choice, "the model cannot be made to call a tool; send auto"));
    }
    if choice.is_none() && ask.parallel != Some(false) {
        return Ok(());
    }
    pen.key("tool_choice").open(b'{');
    match choice {
        None | Some(Choice::Auto) => drop(pen.field("type", "auto")),
        Some(Choice::Any) => drop(pen.field("type", "any")),
        Some(Choice::None) => drop(pen.field("type", "none")),
        Some(Choice::Tool(name)) => drop(pen.field("type", "tool").field("name", name)),
    }
    if ask.parallel == Some(false) && !matches!(choice, Some(Choice::None)) {
        pen.field("disable_parallel_tool_use", true);
    }
    pen.close(b'}');
    Ok(())
}

/// A conversation with calls in it is refused where the request defines no tools: those that were called are defined by their
/// names, and none is to be called.
fn former_tools(ask: &Ask<'_>, pen: &mut Pen<'_>) {
    let mut names = HashSet::new();
    let calls = ask.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.what {
        What::Call { name, .. } => Some(name),
        _ => None,
    });
    let mut called = calls.filter(|name| names.insert(name.plain())).peekable();
    if called.peek().is_none() {
        return;
    }
    pen.key("tools").open(b'[');
    for name in called {
        pen.next().open(b'{').field("name", name).field("input_schema", Raw(NO_PARAMETERS)).close(b'}');
    }
    pen.close(b']').key("tool_choice").put(Raw(br#"{"type":"none"}"#));
}

const NO_PARAMETERS: &[u8] = br#"{"type":"object","properties":{}}"#;

/// A tool, up to its closing brace.
fn tool_of(
    tool: &Tool<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    pen: &mut Pen<'_>,
) -> Result<(), Refused> {
    pen.open(b'{').field("name", &tool.name).maybe("description", tool.description.as_ref());
    pen.key("input_schema");
    match tool.schema.map(|schema| (schema, schema.get("type"))) {
        None => drop(pen.put(Raw(NO_PARAMETERS))),
        Some((schema, Some(kind))) if kind.is("object") => drop(pen.put(schema)),
        Some((_, Some(_))) => return Err(refuse(writing.names.schema, "has to be of type object")),
        Some((schema, None)) => {
            pen.open(b'{').field("type", "object");
            for (name, value) in schema.members().filter(|(name, _)| name != "type") {
                pen.next().put(&*name).out.push(b':');
                pen.put(value);
            }
            pen.close(b'}');
        }
    }
    if tool.strict == Some(true) {
        match writing.target.schema {
            true => drop(pen.field("strict", true)),
            false => losses.known(writing.names.strict),
        }
    }
    Ok(())
}

/// Says whether the model was told to think.
fn effort(
    ask: &Ask<'_>,
    writing: &Writing<'_>,
    losses: &mut Losses,
    pen: &mut Pen<'_>,
) -> Result<bool, Refused> {
    let takes = writing.target.effort;
    let asked = ask.effort.filter(|_| takes);
    if !takes && !matches!(ask.effort, None | Some(Effort::None)) {
        losses.known(writing.names.effort);
    }
    let forced = ask.choice.as_ref().is_some_and(Choice::is_forced);
    // A model that thinks cannot be made to call a tool.
    let thinks = !forced && !matches!(asked, None | Some(Effort::None));
    match asked {
        Some(Effort::None) => drop(pen.key("thinking").put(Raw(br#"{"type":"disabled"}"#))),
        Some(_) if thinks => drop(pen.key("thinking").put(Raw(br#"{"type":"adaptive"}"#))),
        _ => {}
    }
    let level = match asked {
        None | Some(Effort::None | Effort::Adaptive) => None,
        Some(Effort::Minimal) => Some(Effort::Low.as_str()),
        Some(level) => Some(level.as_str()),
    };
    let schema = match &ask.format {
        Some(Format::Schema { .. }) if !writing.target.schema => {
            return Err(refuse(writing.names.format, "the model does not answer by a schema"));
        }
        Some(Format::Schema { schema, .. }) => Some(*schema),
        _ => None,
    };
    if level.is_some() || schema.is_some() {
        pen.key("output_config").open(b'{').maybe("effort", level);
        if let Some(schema) = schema {
            pen.key("format").open(b'{').field("type", "json_schema").field("schema", schema).close(b'}');
        }
        pen.close(b'}');
    }
    Ok(thinks)
}

/// A temperature goes up to 1 here, and only one of both is taken.
fn sampling(ask: &Ask<'_>, writing: &Writing<'_>, thinks: bool, losses: &mut Losses, pen: &mut Pen<'_>) {
    let names = writing.names;
    let takes = writing.target.sampling && !thinks;
    let is_default = |value: Option<f64>| value == Some(1.0);
    if let Some(temperature) = ask.temperature {
        let asked = temperature.number();
        if takes && asked.is_some_and(|asked| asked <= 1.0) {
            pen.field("temperature", temperature);
        } else if !is_default(asked) {
            losses.known(names.temperature);
            if takes {
                pen.field("temperature", 1_u64);
            }
        }
    }
    if let Some(top_p) = ask.top_p {
        if takes && ask.temperature.is_none() {
            pen.field("top_p", top_p);
        } else if !is_default(top_p.number()) {
            losses.known(names.top_p);
        }
    }
}

fn stops(ask: &Ask<'_>, writing: &Writing<'_>, pen: &mut Pen<'_>) -> Result<(), Refused> {
    if ask.stops.is_empty() {
        return Ok(());
    }
    pen.key("stop_sequences").open(b'[');
    for stop in &ask.stops {
        if stop.is_blank() {
            return Err(refuse(writing.names.stops, "the model takes no stop sequence of white space only"));
        }
        pen.next().put(stop);
    }
    pen.close(b']');
    Ok(())
}
