//! `[telemetry]`: where traces go, and which.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::check::server::secret_at;
use crate::config::quantity;
use crate::config::read::{At, Table};
use crate::config::{BaseUrl, TelemetrySpec};
use crate::units::Secret;

/// Reads `[telemetry]`. `None`: no traces are made.
pub(super) fn telemetry(root: &Table<'_>) -> Option<TelemetrySpec> {
    let table = root.table("telemetry");
    let (headers, attributes, timeout) = (headers(&table), attributes(&table), timeout(&table));
    let sample = table.share("sample").unwrap_or(1.0);
    let service_name = table.text("service_name").map(|at| at.value.to_owned()).unwrap_or_default();
    let conversations = table.text("conversations").is_some_and(|at| at.value == "hashed");
    let at = table.text("otlp")?;
    let url = quantity::base_url(at.value).ok()?;
    if !url.tls && !headers.is_empty() && !is_here(&url.host) {
        table.warn(&at.span, "otlp: the headers go over the network in clear text: write https://");
    }
    let traces = traces(&url);
    Some(TelemetrySpec {
        traces,
        tls: url.tls,
        headers,
        sample,
        service_name,
        attributes,
        conversations,
        timeout,
    })
}

fn traces(url: &BaseUrl) -> String {
    let (scheme, path) = (if url.tls { "https" } else { "http" }, url.path.trim_end_matches('/'));
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let path = path.strip_suffix(TRACES).unwrap_or(path);
    format!("{scheme}://{host}:{}{path}{TRACES}", url.port)
}

/// What OTLP calls it.
const TRACES: &str = "/v1/traces";

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|at| at.is_loopback())
}

fn headers(table: &Table<'_>) -> Vec<(HeaderName, Secret)> {
    let inside = table.table("headers");
    let header = |(name, value): (At<&str>, At<&toml::de::DeValue<'_>>)| {
        let text = At { value: value.value.as_str()?, span: value.span };
        let Ok(field) = name.value.parse::<HeaderName>() else {
            inside.error(&name.span, &format!("{:?} is no name of a header field", name.value));
            return None;
        };
        if OWN.contains(&field.as_str()) {
            inside.error(&name.span, &format!("{field} is dimmer's own: take it out"));
            return None;
        }
        let referred = text.value.starts_with("${") || text.value.starts_with("file:");
        let value = match referred {
            true => secret_at(&inside, name.value, &text)?,
            false => Secret::new(text.value.to_owned()),
        };
        if HeaderValue::from_str(value.reveal()).is_err() {
            inside.error_at(name.value, &text.span, "has characters that cannot stand in a header field");
            return None;
        }
        Some((field, value))
    };
    inside.entries().into_iter().filter_map(header).collect()
}

/// They say what is sent, and how.
const OWN: [&str; 6] =
    ["host", "content-type", "content-length", "content-encoding", "transfer-encoding", "connection"];

fn attributes(table: &Table<'_>) -> Vec<(String, String)> {
    let inside = table.table("attributes");
    let text = |(name, value): (At<&str>, At<&toml::de::DeValue<'_>>)| {
        if name.value == "service.name" {
            inside.error(&name.span, "service.name has a key of its own: write service_name = \"…\"");
        }
        Some((name.value.to_owned(), value.value.as_str()?.to_owned()))
    };
    inside.entries().into_iter().filter_map(text).collect()
}

/// Shorter, and a busy collector is given up; longer, and one that hangs keeps a batch for ever.
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

fn timeout(table: &Table<'_>) -> Duration {
    let timeout = table.duration("timeout").unwrap_or(*TIMEOUTS.start());
    if !TIMEOUTS.contains(&timeout) {
        let span = table.written("timeout").map(|at| at.span).unwrap_or_default();
        table.error_at("timeout", &span, "must be from \"1s\" to \"60s\"");
    }
    timeout
}
