//! Header fields that do not travel on: those of one connection (RFC 9110 section 7.6.1), and dimmer's own.

use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Takes out what belongs to the connection, what `Connection` names besides, `x-dimmer-*`, and what `also` says. One walk
/// over the fields that are there is cheaper than a look for each that might be.
pub(crate) fn remove(headers: &mut HeaderMap, also: impl Fn(&HeaderName) -> bool) {
    let named: SmallVec<[HeaderName; 2]> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    let stays_here = |name: &&HeaderName| {
        HOP_BY_HOP.contains(name)
            || named.contains(name)
            || name.as_str().starts_with("x-dimmer-")
            || also(name)
    };
    let out: SmallVec<[HeaderName; 8]> = headers.keys().filter(stays_here).cloned().collect();
    for name in &out {
        headers.remove(name);
    }
}
