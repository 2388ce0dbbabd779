//! Why a body is refused, and at which byte; never what stands there.

use std::fmt;

use super::{Span, unescape};

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// The bytes are no UTF-8.
    NotUtf8,
    /// The text is a value, but no object.
    NotAnObject,
    /// The text ends inside a value.
    Truncated,
    /// Something else had to stand here.
    Expected(&'static str),
    /// A number that JSON does not know.
    Number,
    /// A backslash with something behind it that is no escape.
    Escape,
    /// A control character inside a string.
    ControlCharacter,
    /// Arrays and objects inside each other, more than [`super::DEPTH_MAX`].
    TooDeep,
    /// An object whose members have to be known has more of them than a request can need.
    TooManyMembers,
    /// Something follows the object.
    TrailingText,
    /// A field that dimmer reads or writes stands there twice: a reader that takes the first and one that takes the
    /// last would see two different requests.
    Duplicate,
    /// A field that dimmer has to change holds no value of the kind that the API defines.
    WrongKind(&'static str),
}

/// A refused body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub what: JsonFault,
    /// At which byte, counted from 0.
    pub at: usize,
    /// In which line, counted from 1.
    pub line: usize,
    /// At which character of the line, counted from 1.
    pub column: usize,
    /// The field that stands there twice. Only names that dimmer or its configuration knows get here.
    pub field: Option<String>,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            JsonFault::NotUtf8 => f.write_str("the body is not UTF-8")?,
            JsonFault::NotAnObject => f.write_str("the body is not a JSON object")?,
            JsonFault::Truncated => f.write_str("the body ends inside a JSON value")?,
            JsonFault::Expected(what) => write!(f, "the body is not JSON: expected {what}")?,
            JsonFault::Number => f.write_str("the body is not JSON: malformed number")?,
            JsonFault::Escape => f.write_str("the body is not JSON: malformed escape in a string")?,
            JsonFault::ControlCharacter => {
                f.write_str("the body is not JSON: control character in a string")?
            }
            JsonFault::TooDeep => write!(f, "the body nests deeper than {} levels", super::DEPTH_MAX)?,
            JsonFault::TooManyMembers => f.write_str("an object has more fields than a request needs")?,
            JsonFault::TrailingText => f.write_str("something follows the JSON object")?,
            JsonFault::Duplicate => {
                write!(f, "the field \"{}\" stands there twice", self.field.as_deref().unwrap_or_default())?;
            }
            JsonFault::WrongKind(what) => f.write_str(what)?,
        }
        write!(f, ", at byte {} (line {}, column {})", self.at, self.line, self.column)
    }
}

impl std::error::Error for JsonError {}

/// What went wrong and where: small, so that the pass carries it cheaply; becomes a [`JsonError`] at the room's door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: JsonFault,
    pub(crate) at: usize,
}

impl From<Box<Fault>> for Fault {
    fn from(fault: Box<Fault>) -> Self {
        *fault
    }
}

impl Fault {
    /// A field twice: `key` is the second one's name, with its quotes.
    pub(crate) fn duplicate(key: Span) -> Self {
        Self { what: JsonFault::Duplicate, at: key.start }
    }

    /// With the place in `body` as people count it.
    #[cold]
    pub(crate) fn in_body(self, body: &[u8], name: Option<Span>) -> JsonError {
        let before = body.get(..self.at).unwrap_or(body);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at.saturating_add(1));
        let in_line = before.get(line_start..).unwrap_or_default();
        let column = in_line.iter().filter(|byte| !is_continuation(**byte)).count();
        JsonError {
            what: self.what,
            at: self.at,
            line: memchr::memchr_iter(b'\n', before).count().saturating_add(1),
            column: column.saturating_add(1),
            field: name.map(|key| unescape(key.inside().of(body)).into_owned()),
        }
    }
}

/// Whether the byte continues a character of UTF-8, so that it is not counted as one.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}
