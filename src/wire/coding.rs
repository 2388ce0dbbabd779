//! Content codings: which ones dimmer can decode, and decoding them under a limit.
//!
//! Serves identify (encoded request bodies), dispatch (`Accept-Encoding`) and the tap (its copy of an encoded answer).
//! Must never decode past a limit: a few KiB can stand for gigabytes.

mod inflate;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::stream::StreamDecoder;

/// Why a body could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodingError {
    /// The coding is none of gzip, deflate, br, identity.
    Unknown(Box<str>),
    /// More codings one over the other than anyone sends.
    TooMany,
    /// The decoded body is over the limit.
    TooLarge,
    /// The bytes are not what the coding says, or they end too early or too late.
    Corrupt,
}

impl fmt::Display for CodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "content coding {name:?} is not one of gzip, deflate, br, identity")
            }
            Self::TooMany => write!(f, "more than {LAYERS_MAX} content codings"),
            Self::TooLarge => f.write_str("the decoded body is over the limit"),
            Self::Corrupt => f.write_str("the body is not valid in its content coding"),
        }
    }
}

impl std::error::Error for CodingError {}

/// One coding that dimmer decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// Whether this `Content-Encoding` changes nothing.
pub fn is_identity(content_encoding: &str) -> bool {
    tokens(content_encoding).all(|token| token.eq_ignore_ascii_case("identity"))
}

/// Decodes a body with this `Content-Encoding` (several codings are undone from the last to the first). No layer may
/// come out longer than `limit`. An empty body is empty in every coding.
pub fn decode_body(content_encoding: &str, body: &[u8], limit: u64) -> Result<Vec<u8>, CodingError> {
    let layers = codings(content_encoding)?;
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let mut decoder = StreamDecoder::of(&layers, limit);
    let mut plain = Vec::new();
    decoder.feed(body, &mut |piece| plain.extend_from_slice(piece))?;
    decoder.finish()?;
    Ok(plain)
}

/// The caller's `Accept-Encoding` cut to what dimmer can decode, its weights kept. `*` becomes those of our codings
/// that are not named; nothing left becomes `identity`, because an empty list would allow any coding.
pub fn decodable(accept_encoding: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut any: Option<&str> = None;
    for item in tokens(accept_encoding) {
        let (name, weight) = item.split_once(';').map_or((item, ""), |(name, weight)| (name, weight.trim()));
        let name = name.trim().to_ascii_lowercase();
        if name == "*" {
            any = Some(weight);
        } else if name == "identity" || Coding::named(&name).is_some() {
            kept.push(weighted(&name, weight));
        }
    }
    match any {
        // Forbids everything that is not named, so it stays as it is.
        Some(weight) if forbids(weight) => kept.push(weighted("*", weight)),
        Some(weight) => {
            for name in ["gzip", "deflate", "br"] {
                if !kept.iter().any(|item| item.split(';').next() == Some(name)) {
                    kept.push(weighted(name, weight));
                }
            }
        }
        None => {}
    }
    if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") }
}

impl Coding {
    fn named(name: &str) -> Option<Self> {
        let named =
            [("gzip", Self::Gzip), ("x-gzip", Self::Gzip), ("deflate", Self::Deflate), ("br", Self::Brotli)];
        named.iter().find(|(token, _)| token.eq_ignore_ascii_case(name)).map(|(_, coding)| *coding)
    }
}

/// The codings in the order in which they are undone; `identity` is none.
fn codings(content_encoding: &str) -> Result<Vec<Coding>, CodingError> {
    let mut layers = Vec::new();
    for token in tokens(content_encoding) {
        if token.eq_ignore_ascii_case("identity") {
            continue;
        }
        if layers.len() == LAYERS_MAX {
            return Err(CodingError::TooMany);
        }
        let named = Coding::named(token);
        layers.push(named.ok_or_else(|| CodingError::Unknown(token.chars().take(TOKEN_MAX).collect()))?);
    }
    layers.reverse();
    Ok(layers)
}

fn tokens(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|token| !token.is_empty())
}

fn weighted(name: &str, weight: &str) -> String {
    if weight.is_empty() { name.to_owned() } else { format!("{name};{weight}") }
}

/// Whether a weight is zero, in any of its spellings (`q=0`, `Q=0.000`).
fn forbids(weight: &str) -> bool {
    let value = weight.split_once('=').map(|(_, value)| value.trim());
    value.is_some_and(|value| value.parse::<f64>() == Ok(0.0))
}

/// Nobody sends more than one; two is a proxy's mistake; a long list only multiplies work.
const LAYERS_MAX: usize = 3;

/// How much of an unknown coding's name an error repeats.
const TOKEN_MAX: usize = 32;
