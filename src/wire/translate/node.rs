//! A value of checked JSON, looked into where it stands; and text as it is spelled there.
//!
//! Serves the readers of this room. Nothing is copied and no tree is built: what crosses from one API to another is mostly strings,
//! and a JSON string is spelled alike on both sides.

use std::borrow::Cow;

use crate::wire::json::{Inside, Kind, Scanner, Span, elements, members, same_text, unescape};

/// A value in a text that was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    body: &'a [u8],
    at: Span,
}

impl<'a> Node<'a> {
    /// The one value that `text` is; none where it is no JSON or no UTF-8.
    pub(super) fn checked(text: &'a [u8]) -> Option<Self> {
        simdutf8::basic::from_utf8(text).ok()?;
        let mut scanner = Scanner::new(text, 0);
        scanner.space();
        let at = scanner.value(&Inside::Nothing).ok()?;
        scanner.space();
        (scanner.at() == text.len()).then_some(Self { body: text, at })
    }

    /// As it is spelled.
    pub(super) fn raw(self) -> &'a [u8] {
        self.at.of(self.body)
    }

    pub(super) fn kind(self) -> Kind {
        Kind::of(self.raw())
    }

    pub(super) fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    pub(super) fn is_true(self) -> bool {
        self.raw() == b"true"
    }

    /// Whether it is the string `text`.
    pub(super) fn is(self, text: &str) -> bool {
        self.kind() == Kind::String && same_text(self.at.inside().of(self.body), text)
    }

    /// The members of an object; none of anything else.
    pub(super) fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        let body = self.body;
        members(body, self.at)
            .map(move |member| (unescape(member.key.inside().of(body)), Self { body, at: member.value }))
    }

    /// The elements of an array; none of anything else.
    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        let body = self.body;
        elements(body, self.at).map(move |element| Self { body, at: element.value })
    }

    /// The member of this name, where it is not `null`.
    pub(super) fn get(self, name: &str) -> Option<Self> {
        let body = self.body;
        let found = members(body, self.at).find(|member| member.is(body, name))?;
        Some(Self { body, at: found.value }).filter(|value| !value.is_null())
    }

    /// What a string says.
    pub(super) fn text(self) -> Option<Text<'a>> {
        (self.kind() == Kind::String).then(|| Text::Json(self.at.inside().of(self.body)))
    }

    /// What a string says, without its escapes.
    pub(super) fn plain(self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| unescape(self.at.inside().of(self.body)))
    }

    /// A whole number that is not negative.
    pub(super) fn count(self) -> Option<u64> {
        std::str::from_utf8(self.raw()).ok()?.parse().ok()
    }

    /// A number.
    pub(super) fn number(self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.raw()).ok()?.parse().ok()
    }
}

/// A text, as it is spelled in JSON or as it is.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    /// The inside of a checked JSON string, its escapes kept.
    Json(&'a [u8]),
    /// Without escapes.
    Plain(Cow<'a, str>),
}

impl<'a> Text<'a> {
    /// What it says.
    pub(super) fn plain(&self) -> Cow<'_, str> {
        match self {
            Self::Json(raw) => unescape(raw),
            Self::Plain(text) => Cow::Borrowed(text),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Json(raw) => raw.is_empty(),
            Self::Plain(text) => text.is_empty(),
        }
    }

    /// Whether it says nothing, or white space only.
    pub(super) fn is_blank(&self) -> bool {
        // The first letter tells nearly always.
        let first = match self {
            Self::Json(raw) => raw.first().copied(),
            Self::Plain(text) => text.as_bytes().first().copied(),
        };
        match first {
            Some(b'!'..=b'[' | b']'..=b'~') => false,
            _ => self.plain().trim().is_empty(),
        }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        match self {
            Self::Json(raw) => same_text(raw, text),
            Self::Plain(own) => own == text,
        }
    }
}

impl From<&'static str> for Text<'_> {
    fn from(text: &'static str) -> Self {
        Self::Plain(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Plain(Cow::Owned(text))
    }
}
