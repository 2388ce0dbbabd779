//! Writes JSON onto a buffer, straight on.
//!
//! Serves the writers of this room. Whether a comma is due shows in the byte before, so that nothing is remembered; strings that
//! were JSON before go over as they are spelled.

use std::io::Write as _;

use super::node::{Node, Text};

/// Where JSON is written.
#[derive(Debug)]
pub(super) struct Pen<'o> {
    pub(super) out: &'o mut Vec<u8>,
}

/// What can stand as a value.
pub(super) trait Put {
    /// Writes it.
    fn put(&self, out: &mut Vec<u8>);
}

impl<'o> Pen<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Into an object or array: `{` or `[`.
    pub(super) fn open(&mut self, bracket: u8) -> &mut Self {
        self.out.push(bracket);
        self
    }

    /// Out of it.
    pub(super) fn close(&mut self, bracket: u8) -> &mut Self {
        self.out.push(bracket);
        self
    }

    /// Before each element of an array: the comma, where one is due. No value ends in an opening bracket, and none stands before an
    /// empty buffer.
    pub(super) fn next(&mut self) -> &mut Self {
        if !matches!(self.out.last(), None | Some(b'{' | b'[')) {
            self.out.push(b',');
        }
        self
    }

    /// A member's name; its value is to follow.
    pub(super) fn key(&mut self, name: &str) -> &mut Self {
        self.next();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self
    }

    /// A member.
    pub(super) fn field(&mut self, name: &str, value: impl Put) -> &mut Self {
        self.key(name);
        value.put(self.out);
        self
    }

    /// A member, where there is a value.
    pub(super) fn maybe(&mut self, name: &str, value: Option<impl Put>) -> &mut Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// A value.
    pub(super) fn put(&mut self, value: impl Put) -> &mut Self {
        value.put(self.out);
        self
    }
}

/// JSON that is whole already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

/// `null`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Null;

impl Put for Raw<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

impl Put for Null {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }
}

impl Put for &str {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        escape(self, out);
        out.push(b'"');
    }
}

impl Put for &String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().put(out);
    }
}

impl Put for &Text<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.inside(out);
        out.push(b'"');
    }
}

impl Put for Node<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.raw());
    }
}

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Put for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.put(out),
            None => Null.put(out),
        }
    }
}

impl Text<'_> {
    /// Writes what stands between the quotes.
    pub(super) fn inside(&self, out: &mut Vec<u8>) {
        match self {
            Self::Json(raw) => out.extend_from_slice(raw),
            Self::Plain(text) => escape(text, out),
        }
    }
}

/// Writes a text as it stands between the quotes of a JSON string.
pub(super) fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (before, behind) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        let Some((special, after)) = behind.split_first() else { return };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            // Writing to a vector does not fail.
            other => drop(write!(out, "\\u{other:04x}")),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}
