//! What more than one reader or writer needs: values of the wrong kind, data URLs, ids.

use std::borrow::Cow;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::Refused;
use super::ask::{Input, Source};
use super::fields::refuse;
use super::node::{Node, Text};
use super::pen::Raw;
use crate::wire::json::Kind;

/// A string.
pub(super) fn text<'a>(value: Node<'a>, field: &'static str) -> Result<Text<'a>, Refused> {
    value.text().ok_or_else(|| refuse(field, "has to be a string"))
}

/// `true` or `false`.
pub(super) fn flag(value: Node<'_>, field: &'static str) -> Result<bool, Refused> {
    match value.kind() {
        Kind::Bool => Ok(value.is_true()),
        _ => Err(refuse(field, "has to be true or false")),
    }
}

/// A number.
pub(super) fn number<'a>(value: Node<'a>, field: &'static str) -> Result<Node<'a>, Refused> {
    of_kind(value, Kind::Number, field, "has to be a number")
}

/// An object.
pub(super) fn object<'a>(value: Node<'a>, field: &'static str) -> Result<Node<'a>, Refused> {
    of_kind(value, Kind::Object, field, "has to be an object")
}

/// An array.
pub(super) fn array<'a>(value: Node<'a>, field: &'static str) -> Result<Node<'a>, Refused> {
    of_kind(value, Kind::Array, field, "has to be an array")
}

/// What has to be there.
pub(super) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, Refused> {
    value.ok_or_else(|| refuse(field, "is required"))
}

fn of_kind<'a>(
    value: Node<'a>,
    kind: Kind,
    field: &'static str,
    why: &'static str,
) -> Result<Node<'a>, Refused> {
    if value.kind() == kind { Ok(value) } else { Err(refuse(field, why)) }
}

/// What a URL of an image or a document points at: itself where it is a data URL.
pub(super) fn source<'a>(url: &Text<'a>) -> Source<'a> {
    let parts = match url {
        // Without escapes the parts stand in the body.
        Text::Json(raw) if memchr::memchr(b'\\', raw).is_none() => {
            data_url(raw).map(|(media, data)| (Text::Json(media), Text::Json(data)))
        }
        _ => {
            let plain = url.plain();
            data_url(plain.as_bytes()).map(|(media, data)| {
                let owned = |part: &[u8]| Text::from(String::from_utf8_lossy(part).into_owned());
                (owned(media), owned(data))
            })
        }
    };
    match parts {
        Some((media, data)) if media.is("image/jpg") => Source::Base64 { media: "image/jpeg".into(), data },
        Some((media, data)) => Source::Base64 { media, data },
        None => Source::Url(url.clone()),
    }
}

/// The media type and the data of `data:TYPE;base64,DATA`.
fn data_url(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = url.strip_prefix(b"data:")?;
    let (head, data) = rest.split_at_checked(memchr::memchr(b',', rest)?)?;
    let media = head.strip_suffix(b";base64")?;
    let media = media.get(..memchr::memchr(b';', media).unwrap_or(media.len()))?;
    Some((media, data.get(1..)?))
}

/// Why a choice is refused.
pub(super) const NO_TOOLS: &str = "a tool has to be called, and the request defines none";

/// The most tokens of an answer: what was asked, and no more than the model writes, which is also what is taken where nothing was
/// asked. As JSON.
pub(super) fn limit<'a>(asked: Option<Node<'a>>, most: Option<u64>) -> Option<Cow<'a, [u8]>> {
    match (asked, most) {
        (Some(asked), Some(most)) if asked.number().is_some_and(|asked| asked > most as f64) => Some(most),
        (Some(asked), _) => return Some(Cow::Borrowed(asked.raw())),
        (None, most) => most,
    }
    .map(|most| Cow::Owned(most.to_string().into_bytes()))
}

/// The id of a tool's call as every API takes it: letters, digits, `_` and `-`, at most [`ID_MAX`]. The same id is always the same
/// other one, so that a result finds its call in this request and in the next.
pub(super) fn tool_id<'t>(id: &'t Text<'_>) -> Cow<'t, str> {
    let id = id.plain();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(plain) {
        return id;
    }
    let kept: String =
        id.chars().filter(|letter| plain(u8::try_from(*letter).unwrap_or(b' '))).take(ID_KEPT).collect();
    Cow::Owned(format!("{kept}_{:016x}", xxh3_64(id.as_bytes())))
}

/// OpenAI takes no longer one in Chat Completions.
const ID_MAX: usize = 40;
const ID_KEPT: usize = 20;

/// Who is behind a request, in at most `max` bytes: a longer name is told by its digest, which is as good to tell people apart.
pub(super) fn user<'t>(user: &'t Text<'_>, max: usize) -> Cow<'t, str> {
    let name = user.plain();
    if name.len() <= max { name } else { Cow::Owned(format!("{:032x}", xxh3_128(name.as_bytes()))) }
}

/// What a tool is called with, as an object: nothing is an empty one, and what is none stands in one, so that the model can see
/// what it wrote.
pub(super) fn object_of(said: &str) -> Cow<'_, [u8]> {
    if said.trim().is_empty() {
        return Cow::Borrowed(b"{}");
    }
    match Node::checked(said.as_bytes()) {
        Some(node) if node.kind() == Kind::Object => Cow::Borrowed(node.raw()),
        _ => {
            let mut out = Vec::with_capacity(said.len() + 20);
            super::pen::Pen::new(&mut out).open(b'{').field(INVALID, said).close(b'}');
            Cow::Owned(out)
        }
    }
}

/// The name that Anthropic's documentation gives to it.
const INVALID: &str = "INVALID_JSON";

/// A tool's input as an object.
pub(super) fn put_object(input: &Input<'_>, pen: &mut super::pen::Pen<'_>) {
    match input {
        Input::Object(object) => pen.put(*object),
        Input::Said(text) => pen.put(Raw(&object_of(&text.plain()))),
    };
}

/// A tool's input as the text of one.
pub(super) fn put_said(input: &Input<'_>, pen: &mut super::pen::Pen<'_>) {
    match input {
        Input::Object(object) => {
            let text = std::str::from_utf8(object.raw()).unwrap_or("{}");
            pen.put(text)
        }
        Input::Said(text) if text.is_empty() => pen.put("{}"),
        Input::Said(text) => pen.put(text),
    };
}
