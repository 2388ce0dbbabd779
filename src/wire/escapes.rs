//! Percent escapes of paths and queries, undone.

use std::borrow::Cow;

/// The text with its escapes undone. What is no whole escape stays as it is.
pub fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        match (first, behind) {
            (b'%', [high, low, after @ ..]) => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    rest = after;
                }
                _ => {
                    out.push(b'%');
                    rest = behind;
                }
            },
            _ => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}

/// A value of a query as it was meant: SDKs write a space as `+`. `None`: it is no text.
pub(super) fn query_value(value: &str) -> Option<Cow<'_, str>> {
    if !value.contains(['%', '+']) {
        return Some(Cow::Borrowed(value));
    }
    String::from_utf8(unescaped(value.replace('+', " ").as_bytes())).ok().map(Cow::Owned)
}
