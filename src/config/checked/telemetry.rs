//! `[telemetry]`: where traces go, and which.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::units::Secret;

/// `[telemetry]` with `otlp`.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetrySpec {
    /// What takes traces: the address with `/v1/traces`.
    pub traces: String,
    /// It is `https`.
    pub tls: bool,
    /// What is sent along. The values may be secrets.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The share of the requests whose callers do not say whether to trace them, between 0 and 1.
    pub sample: f64,
    /// `service.name`
    pub service_name: String,
    /// More of the resource, in the file's order.
    pub attributes: Vec<(String, String)>,
    /// Spans have the digest of their conversation.
    pub conversations: bool,
    /// For one batch.
    pub timeout: Duration,
}

impl TelemetrySpec {
    /// The header fields as they are sent; checked when they were read.
    pub fn fields(&self) -> impl Iterator<Item = (&HeaderName, HeaderValue)> {
        self.headers.iter().filter_map(|(name, secret)| {
            let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        })
    }
}
