//! What becomes of each field that an API has: data that the readers go by, and from which the tables of `docs/dialects.md` are made.
//!
//! A field that is mapped reaches the vocabulary. One that is dropped is named to the caller, one that is refused stops the request;
//! neither where its value asks for nothing. A field that no table knows is dropped by its name.

use std::borrow::Cow;

use super::Refused;
use super::node::Node;
use crate::wire::ErrorCode;

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The other APIs have a word for it: what becomes of it there.
    Mapped(&'static str),
    /// It goes lost and is named; why it may.
    Dropped(&'static str),
    /// The request goes no further; why, and what would.
    Refused(&'static str),
}

/// A field of an API's requests.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Where it stands: `messages.content.image_url.detail`.
    pub name: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// Values that ask for nothing, as JSON: with one of them, and with `null`, it counts as absent where it would be dropped or refused.
    pub idle: &'static [&'static str],
}

/// The fields of one kind of object.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Where such objects stand: `messages.content`; empty for the body.
    pub path: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

pub(super) const fn mapped(name: &'static str, to: &'static str) -> Field {
    Field { name, fate: Fate::Mapped(to), idle: &[] }
}

pub(super) const fn dropped(name: &'static str, why: &'static str) -> Field {
    Field { name, fate: Fate::Dropped(why), idle: &[] }
}

pub(super) const fn refused(name: &'static str, why: &'static str) -> Field {
    Field { name, fate: Fate::Refused(why), idle: &[] }
}

impl Field {
    /// With values that ask for nothing.
    pub(super) const fn idle(self, idle: &'static [&'static str]) -> Self {
        Self { idle, ..self }
    }

    /// Whether the value asks for nothing.
    fn is_idle(&self, value: Node<'_>) -> bool {
        value.is_null() || self.idle.iter().any(|idle| value.raw() == idle.as_bytes())
    }
}

impl Shape {
    /// Visits the members of an object: those that are mapped go to `take`, under their last name, the others where the table says.
    pub(super) fn each<'a>(
        &self,
        object: Node<'a>,
        losses: &mut Losses,
        mut take: impl FnMut(&'static str, Node<'a>, &mut Losses) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        for (name, value) in object.members() {
            let Some((field, short)) = self.field(&name) else {
                if !value.is_null() {
                    losses.unknown(self.path, &name);
                }
                continue;
            };
            match field.fate {
                Fate::Mapped(_) if value.is_null() => {}
                Fate::Mapped(_) => take(short, value, losses)?,
                _ if field.is_idle(value) => {}
                Fate::Dropped(_) => losses.known(field.name),
                Fate::Refused(why) => return Err(refuse(field.name, why)),
            }
        }
        Ok(())
    }

    /// The field of this name, and the name as the table owns it.
    fn field(&self, name: &str) -> Option<(&'static Field, &'static str)> {
        let start = if self.path.is_empty() { 0 } else { self.path.len() + 1 };
        self.fields.iter().find_map(|field| {
            let short = field.name.get(start..)?;
            (short == name).then_some((field, short))
        })
    }
}

/// The names of what went lost, each once.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pub(super) names: Vec<Cow<'static, str>>,
}

impl Losses {
    pub(super) fn known(&mut self, name: &'static str) {
        self.add(Cow::Borrowed(name));
    }

    /// A name that came with the request: it goes into a header.
    fn unknown(&mut self, path: &str, name: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let fits = !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(plain);
        let dot = if path.is_empty() { "" } else { "." };
        if fits && self.names.len() < NAMES_MAX {
            self.add(Cow::Owned(format!("{path}{dot}{name}")));
        } else {
            self.add(Cow::Borrowed(OTHER));
        }
    }

    fn add(&mut self, name: Cow<'static, str>) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

/// Longer than any name that an API has.
const NAME_MAX: usize = 64;

/// So many names that no table knows; further ones are one together.
const NAMES_MAX: usize = 32;

/// What a name is called that cannot be told.
const OTHER: &str = "other";

/// A refusal that names the field.
#[cold]
pub(super) fn refuse(field: &'static str, why: &'static str) -> Refused {
    Refused { field: Cow::Borrowed(field), why: Cow::Borrowed(why), code: ErrorCode::CannotTranslate }
}

/// The same under a code that the SDKs recover from.
#[cold]
pub(super) fn refuse_as(code: ErrorCode, field: &'static str, why: &'static str) -> Refused {
    Refused { code, ..refuse(field, why) }
}
