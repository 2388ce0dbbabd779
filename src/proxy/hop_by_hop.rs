//! Header fields that belong to one connection and never travel on: RFC 9110 section 7.6.1.

use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

static FIELDS: [HeaderName; 9] = [
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

/// Takes them out, and whatever `Connection` names besides.
pub(crate) fn remove(headers: &mut HeaderMap) {
    let named: SmallVec<[HeaderName; 2]> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in FIELDS.iter().chain(&named) {
        headers.remove(name);
    }
}
