//! Header fields of one connection, and ids.

use http::{HeaderMap, HeaderValue};

use crate::proxy::fields;
use crate::proxy::worker::RequestId;

#[test]
fn what_belongs_to_one_connection_does_not_travel() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "close, x-secret-hop, content-length"),
        ("keep-alive", "timeout=5"),
        ("x-secret-hop", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "x"),
        ("content-length", "3"),
        ("x-dimmer-key", "1"),
        ("cookie", "1"),
        ("x-kept", "1"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    fields::remove(&mut headers, |name| name == "cookie");
    let mut left: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-length", "x-kept"]);
}

#[test]
fn an_id_is_its_two_numbers() {
    let id = RequestId::new(0x0123_4567_89ab_cdef, 0xff);
    assert_eq!(id.as_str(), "req_0123456789abcdef00000000000000ff");
}
