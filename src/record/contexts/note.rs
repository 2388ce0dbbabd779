//! What is noted of a context: what rules look at, and no more.

use std::sync::Arc;

use crate::config::{AttributeKind, AttributeSpec, OwnedAttribute, Source};
use crate::flags::{AttributeValue, Context};
use crate::names::RouteName;
use crate::wire::Endpoint;

/// A longer text is no attribute to bucket by or to compare with, and is not kept.
pub(super) const TEXT_MAX: usize = 256;
/// A request with more tools has them noted as not known.
const TOOLS_MAX: usize = 64;
/// What a context takes besides its texts, about.
const BYTES: usize = 320;

/// What is noted: what some rule of the configuration looks at or is cut by. Of each configuration one; contexts share it.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Declared attributes.
    pub attributes: Vec<ShapeOf>,
    /// The conversation.
    pub conversation: bool,
    /// The model that the app asks for.
    pub model: bool,
    /// The names of the tools that it offers.
    pub tools: bool,
}

/// A declared attribute that is noted.
#[derive(Clone, Debug)]
pub struct ShapeOf {
    /// Its place in a context of this configuration.
    pub place: u16,
    /// What it is there.
    pub spec: AttributeSpec,
}

impl ShapeOf {
    /// Another configuration means the same by it.
    pub fn means(&self, other: &AttributeSpec) -> bool {
        let spec = &self.spec;
        let kind = match (&spec.kind, &other.kind) {
            (AttributeKind::Ordered(one), AttributeKind::Ordered(other)) => one == other,
            (AttributeKind::Text, AttributeKind::Text)
            | (AttributeKind::Bool, AttributeKind::Bool)
            | (AttributeKind::Number, AttributeKind::Number) => true,
            _ => false,
        };
        spec.name == other.name && spec.from == other.from && kind
    }

    fn is_read(&self, body_read: bool) -> bool {
        body_read || matches!(self.spec.from, Source::Header(_))
    }
}

/// What is known of one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Noted<T> {
    /// Nothing: it may have been there or not.
    #[default]
    Unknown,
    /// It was not there.
    Missing,
    /// It was this.
    Is(T),
}

impl<T> Noted<T> {
    /// What it was, where it is known and was there.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Unknown | Self::Missing => None,
        }
    }

    /// Whether it is known.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown)
    }
}

/// A context as it was when the user was last seen on the route.
#[derive(Debug)]
pub struct NotedContext {
    /// What was noted of it.
    pub shape: Arc<Shape>,
    /// The user, as they came.
    pub key: Box<str>,
    /// The route.
    pub route: RouteName,
    /// The call.
    pub endpoint: Endpoint,
    /// The calling app.
    pub client: Option<Box<str>>,
    /// Whether a stream was asked for.
    pub stream: Noted<bool>,
    /// The conversation.
    pub conversation: Noted<Box<str>>,
    /// The model that the app asked for.
    pub model: Noted<Box<str>>,
    /// The tools that it offered.
    pub tools: Noted<Vec<String>>,
    /// As the shape lists them.
    pub attributes: Box<[Noted<OwnedAttribute>]>,
}

impl NotedContext {
    /// Notes it.
    pub(super) fn of(shape: &Arc<Shape>, context: &Context<'_>, endpoint: Endpoint) -> Self {
        let read = context.request_stream.is_some();
        let attribute = |of: &ShapeOf| match value(of, context) {
            Some(AttributeValue::Text(text)) if text.len() > TEXT_MAX => Noted::Unknown,
            Some(value) => Noted::Is(owned(value)),
            None if of.is_read(read) => Noted::Missing,
            None => Noted::Unknown,
        };
        let model = if read && shape.model { text(context.request_model) } else { Noted::Unknown };
        let conversation = if shape.conversation { text(context.conversation) } else { Noted::Unknown };
        Self {
            key: context.targeting_key.unwrap_or_default().into(),
            route: context.route.into(),
            endpoint,
            client: context.client.map(Into::into),
            stream: context.request_stream.map_or(Noted::Unknown, Noted::Is),
            conversation,
            model,
            tools: tools(shape, context),
            attributes: shape.attributes.iter().map(attribute).collect(),
            shape: Arc::clone(shape),
        }
    }

    /// Whether nothing that is noted is another: then there is nothing to write.
    pub(super) fn is(&self, shape: &Arc<Shape>, context: &Context<'_>, endpoint: Endpoint) -> bool {
        let read = context.request_stream.is_some();
        let same_text = |noted: &Noted<Box<str>>, noting: bool, now: Option<&str>| match noted {
            Noted::Unknown => !noting || now.is_some_and(|now| now.len() > TEXT_MAX),
            Noted::Missing => noting && now.is_none(),
            Noted::Is(noted) => noting && now == Some(noted),
        };
        let same = |(noted, of): (&Noted<OwnedAttribute>, &ShapeOf)| match (noted, value(of, context)) {
            (Noted::Is(noted), Some(now)) => noted.as_value() == now,
            (Noted::Missing, None) => of.is_read(read),
            (Noted::Unknown, Some(AttributeValue::Text(now))) => now.len() > TEXT_MAX,
            (Noted::Unknown, None) => !of.is_read(read),
            _ => false,
        };
        Arc::ptr_eq(&self.shape, shape)
            && self.endpoint == endpoint
            && Some(&*self.key) == context.targeting_key
            && self.client.as_deref() == context.client
            && self.stream.value().copied() == context.request_stream
            && same_text(&self.conversation, shape.conversation, context.conversation)
            && same_text(&self.model, read && shape.model, context.request_model)
            && self.has_tools_of(shape, context)
            && self.attributes.iter().zip(&shape.attributes).all(same)
    }

    fn has_tools_of(&self, shape: &Shape, context: &Context<'_>) -> bool {
        let now = context.request_tools.filter(|tools| shape.tools && are_kept(tools));
        match (&self.tools, now) {
            (Noted::Is(noted), Some(now)) => noted == now,
            (Noted::Unknown, None) => true,
            _ => false,
        }
    }

    /// What it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let text = |noted: &Noted<Box<str>>| noted.value().map_or(0, |text| text.len());
        let attribute = |noted: &Noted<OwnedAttribute>| match noted {
            Noted::Is(OwnedAttribute::Text(text)) => text.len() + size_of::<Noted<OwnedAttribute>>(),
            _ => size_of::<Noted<OwnedAttribute>>(),
        };
        let tools = self
            .tools
            .value()
            .map_or(0, |tools| tools.iter().map(|tool| tool.len() + size_of::<String>()).sum());
        BYTES
            + self.key.len()
            + self.client.as_deref().map_or(0, str::len)
            + text(&self.conversation)
            + text(&self.model)
            + tools
            + self.attributes.iter().map(attribute).sum::<usize>()
    }
}

/// What counts as missing where flags are evaluated is missing here.
fn value<'a>(of: &ShapeOf, context: &Context<'a>) -> Option<AttributeValue<'a>> {
    *context.custom.get(usize::from(of.place))?
}

fn owned(value: AttributeValue<'_>) -> OwnedAttribute {
    match value {
        AttributeValue::Text(text) => OwnedAttribute::Text(text.into()),
        AttributeValue::Number(number) => OwnedAttribute::Number(number),
        AttributeValue::Bool(bool) => OwnedAttribute::Bool(bool),
    }
}

fn text(now: Option<&str>) -> Noted<Box<str>> {
    match now {
        None => Noted::Missing,
        Some(text) if text.len() > TEXT_MAX => Noted::Unknown,
        Some(text) => Noted::Is(text.into()),
    }
}

/// All of them, or none: a list with holes would answer wrongly.
fn tools(shape: &Shape, context: &Context<'_>) -> Noted<Vec<String>> {
    match context.request_tools.filter(|tools| shape.tools && are_kept(tools)) {
        Some(tools) => Noted::Is(tools.to_vec()),
        None => Noted::Unknown,
    }
}

fn are_kept(tools: &[String]) -> bool {
    tools.len() <= TOOLS_MAX && tools.iter().all(|tool| tool.len() <= TEXT_MAX)
}
