//! `[context]`: who is asking.

use std::collections::HashSet;

use http::HeaderName;
use ipnet::IpNet;
use toml::de::DeValue;

use crate::config::keys::BUILT_IN_ATTRIBUTES;
use crate::config::read::{At, Table, texts};
use crate::config::{AttributeKind, AttributeSpec, ContextSpec, Source};
use crate::flags::Order;
use crate::names::AttributeName;

/// Reads `[context]`.
pub(super) fn context(root: &Table<'_>) -> ContextSpec {
    let table = root.table("context");
    ContextSpec {
        headers_from: networks(&table),
        targeting_key: sources(&table, "targeting_key", false),
        conversation: sources(&table, "conversation", true),
        attributes: attributes(&table),
    }
}

fn networks(table: &Table<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for at in table.texts("headers_from") {
        let address = || at.value.parse::<std::net::IpAddr>().map(IpNet::from);
        match at.value.parse::<IpNet>().or_else(|_| address()) {
            Ok(network) => networks.push(network.trunc()),
            Err(_) => {
                let message = format!(r#"{:?} is no network: write one such as "10.0.0.0/8""#, at.value);
                table.error_at("headers_from", &at.span, &message);
            }
        }
    }
    networks
}

fn sources(table: &Table<'_>, key: &str, auto: bool) -> Vec<Source> {
    let mut sources = Vec::new();
    for at in table.texts(key) {
        match source(at.value, auto) {
            Ok(source) => sources.push(source),
            Err(message) => table.error_at(key, &at.span, &message),
        }
    }
    sources
}

/// Reads `header:NAME`, `body:a.b`, and `auto` where it is allowed.
fn source(text: &str, auto: bool) -> Result<Source, String> {
    if text == "auto" && auto {
        return Ok(Source::Auto);
    }
    if text.starts_with("jwt:") {
        return Err(format!("{text:?} is not built yet in this version: take it out"));
    }
    if let Some(name) = text.strip_prefix("header:") {
        let header: HeaderName = name
            .parse()
            .map_err(|_| format!("{name:?} is no name of a header: write one such as \"x-user-id\""))?;
        if NOT_FOR_CONTEXT.contains(&header.as_str()) {
            return Err(format!(
                "the header {header} is not for attributes: use one of your own, such as \"x-user-id\""
            ));
        }
        return Ok(Source::Header(header));
    }
    if let Some(path) = text.strip_prefix("body:") {
        let members: Vec<String> = path.split('.').map(str::to_owned).collect();
        if members.iter().all(|member| !member.is_empty()) {
            return Ok(Source::Body(members));
        }
    }
    let auto = if auto { r#" or "auto""# } else { "" };
    Err(format!(r#"{text:?} is no source: write "header:NAME", "body:a.b"{auto}"#))
}

/// Headers that a context takes are taken out of what goes upstream, and their values become known to conditions: not for
/// credentials, nor for what HTTP itself needs.
const NOT_FOR_CONTEXT: &[&str] = &[
    "authorization",
    "x-api-key",
    "api-key",
    "cookie",
    "proxy-authorization",
    "x-dimmer-key",
    "host",
    "connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "content-length",
    "content-type",
    "content-encoding",
    "accept-encoding",
    "expect",
];

fn attributes(table: &Table<'_>) -> Vec<AttributeSpec> {
    let mut specs = Vec::new();
    for (name, entry) in table.named("attributes") {
        check_attribute_name(&entry, &name);
        let kind = kind(&entry);
        let from = entry.text("from").and_then(|at| match source(at.value, false) {
            Ok(source) => Some(source),
            Err(message) => {
                entry.error_at("from", &at.span, &message);
                None
            }
        });
        // A stand-in: the error has been noted, and the indices of the others must not move.
        let from = from.unwrap_or_else(|| Source::Body(vec![name.value.to_owned()]));
        specs.push(AttributeSpec { name: AttributeName::from(name.value), from, kind });
    }
    if specs.len() > usize::from(u16::MAX) {
        table.error_at("attributes", &table.span, "there are more than 65535");
    }
    specs
}

fn check_attribute_name(entry: &Table<'_>, name: &At<&str>) {
    super::check_name(entry, name, "");
    let reserved = ["any", "none", "segment", "request"];
    if BUILT_IN_ATTRIBUTES.contains(&name.value) || reserved.contains(&name.value) {
        entry.error(&name.span, "this name is built in: choose another");
    }
}

fn kind(entry: &Table<'_>) -> AttributeKind {
    if let Some(at) = entry.written("order") {
        if let (true, Some(DeValue::String(kind))) =
            (entry.has("type"), entry.value("type").map(|kind| kind.value))
            && kind != "text"
        {
            entry.error_at("order", &at.span, "only a text has an order: take out `type` or `order`");
        }
        return AttributeKind::Ordered(order(entry, &at));
    }
    match entry.text("type").map(|at| at.value) {
        Some("bool") => AttributeKind::Bool,
        Some("number") => AttributeKind::Number,
        _ => AttributeKind::Text,
    }
}

fn order(entry: &Table<'_>, at: &At<&DeValue<'_>>) -> Order {
    let values = at.value.as_array().map(|list| texts(list, &at.span)).unwrap_or_default();
    let mut seen = HashSet::new();
    for value in &values {
        if !seen.insert(value.value) {
            entry.error_at("order", &value.span, &format!("{:?} stands twice: take one out", value.value));
        }
    }
    if values.len() < 2 {
        entry.error_at("order", &at.span, "an order has two values or more, lowest first");
    }
    values.iter().map(|value| Box::from(value.value)).collect()
}
