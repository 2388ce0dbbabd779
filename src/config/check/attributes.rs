//! The attributes that conditions may ask for, built-in and declared.

use std::rc::Rc;

use crate::config::check::declared;
use crate::config::read::Table;
use crate::config::{AttributeKind, ContextSpec};
use crate::flags::{Attribute, Order};

/// What conditions may ask for.
pub(super) struct Attributes<'c, 'd> {
    context: &'c ContextSpec,
    routes: Rc<Vec<&'d str>>,
    clients: Rc<Vec<&'d str>>,
}

/// What an attribute can be compared with.
#[derive(Clone, Copy)]
pub(super) enum Compared<'c> {
    /// Any text.
    Text,
    /// One of these texts, in no order.
    OneOf(&'c [&'c str]),
    /// One of these texts, lowest first.
    Ordered(&'c Order),
    /// Numbers.
    Number,
    /// `true` and `false`.
    Bool,
}

impl<'c, 'd> Attributes<'c, 'd> {
    /// The built-in ones and those of `context`.
    pub(super) fn new(root: &Table<'d>, context: &'c ContextSpec) -> Self {
        Self { context, routes: declared(root, "routes"), clients: declared(root, "clients") }
    }

    /// The index of a declared attribute.
    pub(super) fn custom(&self, name: &str) -> Option<u16> {
        let index = self.context.attributes.iter().position(|spec| spec.name.as_str() == name)?;
        u16::try_from(index).ok()
    }

    /// The names of all declared attributes.
    pub(super) fn custom_names(&self) -> impl Iterator<Item = &str> {
        self.context.attributes.iter().map(|spec| spec.name.as_str())
    }

    /// The attribute called so, and what it can be compared with.
    pub(super) fn find(&self, name: &str) -> Option<(Attribute, Compared<'_>)> {
        let built_in = match name {
            "targeting_key" => (Attribute::TargetingKey, Compared::Text),
            "conversation" => (Attribute::Conversation, Compared::Text),
            "client" => (Attribute::Client, Compared::OneOf(&self.clients)),
            "route" => (Attribute::Route, Compared::OneOf(&self.routes)),
            "request.model" => (Attribute::RequestModel, Compared::Text),
            "request.dialect" => (Attribute::RequestDialect, Compared::OneOf(DIALECTS)),
            "request.endpoint" => (Attribute::RequestEndpoint, Compared::OneOf(ENDPOINTS)),
            "request.stream" => (Attribute::RequestStream, Compared::Bool),
            "request.tools" => (Attribute::RequestTools, Compared::Text),
            _ => {
                let index = self.custom(name)?;
                let spec = self.context.attributes.get(usize::from(index))?;
                let compared = match &spec.kind {
                    AttributeKind::Text => Compared::Text,
                    AttributeKind::Ordered(order) => Compared::Ordered(order),
                    AttributeKind::Bool => Compared::Bool,
                    AttributeKind::Number => Compared::Number,
                };
                return Some((Attribute::Custom(index), compared));
            }
        };
        Some(built_in)
    }
}

/// The dialects that a request may have.
const DIALECTS: &[&str] = &["openai", "anthropic"];
/// The endpoints on which flags are evaluated.
const ENDPOINTS: &[&str] = &["chat.completions", "messages"];

impl Compared<'_> {
    /// What messages call it.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Text | Self::OneOf(_) => "a text attribute",
            Self::Ordered(_) => "an ordered attribute",
            Self::Number => "a number attribute",
            Self::Bool => "a true-or-false attribute",
        }
    }
}
