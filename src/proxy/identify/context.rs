//! The evaluation context: gathered from headers and body where they are believed, typed as declared, counted where not.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock;
use crate::config::{AttributeKind, AttributeSpec, OwnedAttribute, Source};
use crate::flags::{AttributeValue, Context};
use crate::observe::PinResult;
use crate::proxy::error::ProxyError;
use crate::proxy::exchange::Exchange;
use crate::proxy::identify::Caller;
use crate::proxy::pins::Conversation;
use crate::proxy::trace;
use crate::wire::RequestView;

/// What was gathered of one request. `Context` borrows from it.
#[derive(Debug, Default)]
pub(crate) struct Gathered<'a> {
    targeting_key: Option<Cow<'a, str>>,
    conversation: Option<Cow<'a, str>>,
    /// The conversation is known by its beginning, not by a name of its own.
    by_beginning: bool,
    custom: SmallVec<[Option<Attribute<'a>>; 8]>,
    model: Option<Cow<'a, str>>,
    /// The body was read.
    read: bool,
    tools: Option<Vec<String>>,
}

#[derive(Debug)]
enum Attribute<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Bool(bool),
}

/// A held body and what was found in it.
pub(crate) type Read<'a> = Option<(&'a RequestView, &'a Bytes)>;

impl<'a> Gathered<'a> {
    /// Gathers. `read` is there where the body was read.
    pub(crate) fn of(
        exchange: &'a Exchange,
        caller: &'a Caller,
        headers: &'a HeaderMap,
        read: Read<'a>,
    ) -> Result<Self, ProxyError> {
        Self::from(&From { exchange, caller, headers, read, counts: true })
    }

    /// Gathers once more: what is not believed was counted before.
    pub(super) fn again(
        exchange: &'a Exchange,
        caller: &'a Caller,
        headers: &'a HeaderMap,
        read: Read<'a>,
    ) -> Result<Self, ProxyError> {
        Self::from(&From { exchange, caller, headers, read, counts: false })
    }

    fn from(from: &From<'a>) -> Result<Self, ProxyError> {
        let From { exchange, caller, read, .. } = *from;
        let spec = &exchange.snapshot.config.context;
        let targeting_key = from.first(&spec.targeting_key, None)?;
        let mut by_beginning = false;
        let needed = exchange.snapshot.needs_conversation;
        let noted = exchange.snapshot.notes_conversation || trace::wants_conversation(exchange);
        let conversation = match needed || noted {
            // One without a name cannot be named in feedback: its beginning is not hashed for that alone.
            true => {
                from.conversation(&spec.conversation, targeting_key.as_deref(), needed, &mut by_beginning)?
            }
            false => None,
        };
        let mut custom = spec
            .attributes
            .iter()
            .map(|attribute| from.attribute(attribute))
            .collect::<Result<SmallVec<[Option<Attribute<'a>>; 8]>, ProxyError>>()?;
        for (place, value) in caller.client.iter().flat_map(|client| &client.attributes) {
            if let Some(slot) = custom.get_mut(usize::from(*place)) {
                *slot = Some(match value {
                    OwnedAttribute::Text(text) => Attribute::Text(Cow::Borrowed(text)),
                    OwnedAttribute::Number(number) => Attribute::Number(*number),
                    OwnedAttribute::Bool(bool) => Attribute::Bool(*bool),
                });
            }
        }
        let model = read.and_then(|(view, body)| view.model(body));
        let tools = read.filter(|_| exchange.snapshot.needs_tools).map(|(view, body)| view.tool_names(body));
        Ok(Self { targeting_key, conversation, by_beginning, custom, model, read: read.is_some(), tools })
    }

    /// What keeps a request to one of a provider's keys: its conversation, else its user, else its client. None where no
    /// provider has several.
    pub(crate) fn subject(&self, exchange: &Exchange, caller: &Caller) -> Option<u64> {
        if !exchange.snapshot.several_keys {
            return None;
        }
        let client = caller.client.as_ref().map(|client| client.name.as_str());
        let subject = self.conversation.as_deref().or(self.targeting_key.as_deref()).or(client)?;
        Some(xxh3_64(subject.as_bytes()))
    }

    /// The request's part in its conversation, where the route pins some: by the state that it goes on with, or by its key. One
    /// that is known by its beginning alone begins anew with each request in which nothing was answered yet.
    pub(crate) fn pinned(
        &self,
        exchange: &Exchange,
        caller: &Caller,
        read: Read<'_>,
    ) -> Option<Conversation> {
        let route =
            exchange.route.as_ref().filter(|route| route.route.pin && exchange.endpoint.generation())?;
        let (gateway, client) =
            (exchange.gateway(), caller.client.as_ref().map(|client| client.name.as_str()));
        let continued = read.and_then(|(view, body)| view.continues(body)).and_then(|(_, id)| {
            let holders = &gateway.holders;
            holders.find(holders.state(client, &id))?.pin
        });
        let of_text = || Some(gateway.pins.key(&route.name, client, self.conversation.as_deref()?));
        let Some(key) = continued.or_else(of_text) else {
            gateway.series.pinned(PinResult::NoKey);
            return None;
        };
        let first = continued.is_none()
            && self.by_beginning
            && read.is_some_and(|(view, body)| !view.has_answers(body));
        let found = gateway.pins.find(key, clock::unix_seconds()).filter(|_| !first);
        Some(Conversation { key, begins: found.is_none(), pin: found.unwrap_or_default() })
    }

    /// The declared attributes' values, for [`Gathered::context`].
    pub(crate) fn values(&self) -> SmallVec<[Option<AttributeValue<'_>>; 8]> {
        self.custom
            .iter()
            .map(|value| {
                value.as_ref().map(|value| match value {
                    Attribute::Text(text) => AttributeValue::Text(text),
                    Attribute::Number(number) => AttributeValue::Number(*number),
                    Attribute::Bool(bool) => AttributeValue::Bool(*bool),
                })
            })
            .collect()
    }

    /// The context that flags see.
    pub(crate) fn context<'g>(
        &'g self,
        exchange: &'g Exchange,
        caller: &'g Caller,
        custom: &'g [Option<AttributeValue<'g>>],
    ) -> Context<'g> {
        Context {
            targeting_key: self.targeting_key.as_deref(),
            conversation: self.conversation.as_deref(),
            client: caller.client.as_ref().map(|client| client.name.as_str()),
            request_id: exchange.id.as_str(),
            route: exchange.route.as_ref().map_or("", |route| route.name.as_str()),
            request_model: self.model.as_deref(),
            request_dialect: exchange.endpoint.dialect().as_str(),
            request_endpoint: exchange.endpoint.as_str(),
            request_stream: self.read.then_some(exchange.stream),
            request_tools: self.tools.as_deref(),
            custom,
        }
    }
}

/// Where things are gathered from.
struct From<'a> {
    exchange: &'a Exchange,
    caller: &'a Caller,
    headers: &'a HeaderMap,
    read: Read<'a>,
    counts: bool,
}

impl<'a> From<'a> {
    /// The first source that has something.
    fn first(&self, sources: &'a [Source], targeting_key: Option<&str>) -> Found<'a> {
        for source in sources {
            if let Some(found) = self.one(source, targeting_key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The conversation, and whether its beginning is all that it is known by.
    fn conversation(
        &self,
        sources: &'a [Source],
        targeting_key: Option<&str>,
        by_beginning_too: bool,
        by_beginning: &mut bool,
    ) -> Found<'a> {
        for source in sources.iter().filter(|source| by_beginning_too || **source != Source::Auto) {
            if let Some(found) = self.one(source, targeting_key)? {
                *by_beginning = *source == Source::Auto;
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A declared attribute, of its declared type.
    fn attribute(&self, spec: &'a AttributeSpec) -> Result<Option<Attribute<'a>>, ProxyError> {
        let Some(text) = self.one(&spec.from, None)? else { return Ok(None) };
        let typed = typed(&spec.kind, text);
        if typed.is_none() {
            self.ignored(&spec.from);
        }
        Ok(typed)
    }

    /// What one source has: never empty, and nothing where it is not believed.
    fn one(&self, source: &'a Source, targeting_key: Option<&str>) -> Found<'a> {
        let found = match source {
            Source::Header(name) => {
                let mut values = self.headers.get_all(name).iter();
                let Some(value) = values.next() else { return Ok(None) };
                let text = std::str::from_utf8(value.as_bytes());
                // Two values leave open which one the app meant: neither is believed.
                let (Ok(text), None) = (text, values.next()) else {
                    self.ignored(source);
                    return Ok(None);
                };
                Some(Cow::Borrowed(text))
            }
            Source::Body(path) => match self.read {
                Some((view, body)) => view.text_at(body, path).map_err(ProxyError::bad_json)?,
                None => None,
            },
            Source::Auto => {
                let hash = |(view, body): (&RequestView, &Bytes)| view.conversation_hash(body, targeting_key);
                return Ok(self.read.map(hash).map(|hash| Cow::Owned(format!("{hash:032x}"))));
            }
        };
        let Some(found) = found.filter(|text| !text.is_empty()) else { return Ok(None) };
        if !self.caller.believed {
            self.ignored(source);
            return Ok(None);
        }
        Ok(Some(found))
    }

    fn ignored(&self, source: &Source) {
        if !self.counts {
            return;
        }
        let series = &self.exchange.gateway().series;
        match source {
            Source::Header(_) => series.ignored_header.inc(),
            Source::Body(_) | Source::Auto => series.ignored_body.inc(),
        }
    }
}

type Found<'a> = Result<Option<Cow<'a, str>>, ProxyError>;

/// A text as its declared type; no coercion beyond it.
fn typed<'a>(kind: &AttributeKind, text: Cow<'a, str>) -> Option<Attribute<'a>> {
    match kind {
        AttributeKind::Text => Some(Attribute::Text(text)),
        AttributeKind::Ordered(order) => {
            order.iter().any(|known| **known == *text).then_some(Attribute::Text(text))
        }
        AttributeKind::Bool => match &*text {
            "true" => Some(Attribute::Bool(true)),
            "false" => Some(Attribute::Bool(false)),
            _ => None,
        },
        AttributeKind::Number => {
            text.parse().ok().filter(|number: &f64| number.is_finite()).map(Attribute::Number)
        }
    }
}
