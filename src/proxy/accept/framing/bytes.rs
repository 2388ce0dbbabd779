//! Which bytes may stand where in a head: RFC 9110 section 5.6.2, RFC 3986.

/// A byte's rights, as bits.
static RIGHTS: [u8; 256] = rights();

const TOKEN: u8 = 1;
const PATH: u8 = 2;
const QUERY: u8 = 4;
const HOST: u8 = 8;

#[expect(
    clippy::indexing_slicing,
    reason = "the place is below 256, and a const fn has no other way to write there"
)]
const fn rights() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let it = byte as u8;
        let plain = it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_' | b'~');
        let delimiter =
            matches!(it, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        let token = plain
            || matches!(it, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'^' | b'`' | b'|');
        let shown = it.is_ascii_graphic() && it != b'#';
        let mut rights = 0;
        // An underscore is a token's byte, but not one of a field's name here.
        if token && it != b'_' {
            rights |= TOKEN;
        }
        if plain || delimiter {
            rights |= HOST;
        }
        // What cannot be sent on without being escaped is not taken: two readers would escape it differently.
        if shown && !matches!(it, b'<' | b'>' | b'`' | b'?') {
            rights |= PATH;
        }
        if shown && !matches!(it, b'<' | b'>' | b'"') {
            rights |= QUERY;
        }
        table[byte] = rights;
        byte += 1;
    }
    table
}

fn all(bytes: &[u8], right: u8) -> bool {
    bytes.iter().fold(right, |rights, byte| rights & RIGHTS.get(usize::from(*byte)).copied().unwrap_or(0))
        != 0
}

/// A field's name, with no underscore in it.
pub(super) fn is_name(bytes: &[u8]) -> bool {
    all(bytes, TOKEN)
}

/// A byte of a field's name, or an underscore.
pub(super) fn is_token(byte: u8) -> bool {
    byte == b'_' || all(&[byte], TOKEN)
}

/// A byte of a field's value.
pub(super) fn is_text(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

/// The first byte that is not text. The common case looks at all bytes at once.
pub(super) fn not_text(bytes: &[u8]) -> Option<u8> {
    let wrong = bytes.iter().fold(false, |wrong, byte| wrong | !is_text(*byte));
    if !wrong {
        return None;
    }
    bytes.iter().copied().find(|byte| !is_text(*byte))
}

/// The first byte that is neither a space nor printable ASCII.
pub(super) fn not_shown(bytes: &[u8]) -> Option<u8> {
    let wrong = bytes.iter().fold(false, |wrong, byte| wrong | !(b' '..=b'~').contains(byte));
    if !wrong {
        return None;
    }
    bytes.iter().copied().find(|byte| !(b' '..=b'~').contains(byte))
}

/// A path and what may follow it: `/a/b?c`.
pub(super) fn is_path_and_query(bytes: &[u8]) -> bool {
    let (path, query) = match memchr::memchr(b'?', bytes).and_then(|at| bytes.split_at_checked(at)) {
        Some((path, query)) => (path, query.get(1..).unwrap_or_default()),
        None => (bytes, &b""[..]),
    };
    all(path, PATH) && all(query, QUERY)
}

/// `host` or `host:port`, RFC 9110 section 7.2.
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    let (host, port) = match bytes {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            let Some((inside, behind)) = rest.split_at_checked(end) else { return false };
            let address = inside.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
            if !address || inside.len() < 2 {
                return false;
            }
            (inside, behind.get(1..).unwrap_or_default())
        }
        _ => {
            let end = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
            let Some((host, port)) = bytes.split_at_checked(end) else { return false };
            if !all(host, HOST) {
                return false;
            }
            (host, port)
        }
    };
    !host.is_empty() && is_port(port)
}

fn is_port(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [b':', digits @ ..] => {
            digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && digits.iter().fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
        }
        _ => false,
    }
}
