//! `[[webhooks]]`: who is told of what.

use crate::config::check::server::{secret, secret_at};
use crate::config::read::{At, Table};
use crate::config::{EventKind, Webhook, WebhookFormat};
use crate::units::Secret;

/// Reads `[[webhooks]]`.
pub(super) fn webhooks(root: &Table<'_>) -> Vec<Webhook> {
    let tables = root.tables("webhooks");
    if let Some(one_too_many) = tables.get(WEBHOOKS_MAX) {
        let message = format!("more than {WEBHOOKS_MAX}: let one receiver tell the others");
        one_too_many.error(&one_too_many.span, &message);
    }
    tables.iter().filter_map(webhook).collect()
}

/// Each is told in turn: with more of them the last would wait for too many slow ones.
const WEBHOOKS_MAX: usize = 16;

fn webhook(table: &Table<'_>) -> Option<Webhook> {
    let events = events(table);
    let slack = table.text("format")?.value == "slack";
    let url = table.text("url").and_then(|at| url(table, &at, slack));
    let format = match (slack, secret(table, "secret")) {
        (true, None) if !table.has("secret") => WebhookFormat::Slack,
        (true, _) => {
            let span = table.written("secret").map(|at| at.span).unwrap_or_default();
            table.error_at(
                "secret",
                &span,
                "Slack checks no signature: take it out, or write format = \"json\"",
            );
            return None;
        }
        (false, Some(secret)) => WebhookFormat::Json(long_enough(table, secret)),
        (false, None) => {
            if !table.has("secret") {
                let message = r#"is missing, and JSON is signed with it: write secret = "${NAME}""#;
                table.error_at("secret", &table.span, message);
            }
            return None;
        }
    };
    Some(Webhook { url: url?, events, format })
}

fn events(table: &Table<'_>) -> Vec<EventKind> {
    let Some(at) = table.written("events") else { return EventKind::ALL.to_vec() };
    let mut events: Vec<EventKind> =
        table.texts("events").iter().filter_map(|at| EventKind::parse(at.value)).collect();
    if events.is_empty() {
        table.error_at(
            "events",
            &at.span,
            "is empty: it would never be told anything; name some, or take it out",
        );
    }
    events.sort_unstable();
    events.dedup();
    events
}

/// The address may be a secret, so that it never gets into a message.
fn url(table: &Table<'_>, at: &At<&str>, slack: bool) -> Option<Secret> {
    let referred = at.value.starts_with("${") || at.value.starts_with("file:");
    let url = if referred { secret_at(table, "url", at)? } else { Secret::new(at.value.to_owned()) };
    if referred && table.loading.env.rehearses() {
        return Some(url);
    }
    let parsed = url.reveal().parse::<http::Uri>().ok();
    let host = parsed.as_ref().and_then(|uri| {
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        uri.host().filter(|host| known && !host.is_empty())
    });
    let message = match host {
        None => r#"is no address such as "https://ops.example/dimmer""#,
        Some(_)
            if parsed.as_ref().and_then(http::Uri::authority).is_some_and(|at| at.as_str().contains('@')) =>
        {
            "has a name and a password in it, which are not sent: take them out"
        }
        Some(host) if !referred && (slack || host.ends_with(".slack.com")) => {
            r#"who knows a Slack URL can write there: put it into an environment variable and write "${NAME}", or into a file and write "file:PATH""#
        }
        Some(_) => return Some(url),
    };
    table.error_at("url", &at.span, message);
    None
}

fn long_enough(table: &Table<'_>, secret: Secret) -> Secret {
    let length = secret.reveal().len();
    if length < SECRET_BYTES_MIN {
        let span = table.written("secret").map(|at| at.span).unwrap_or_default();
        let message = format!(
            "a secret has {SECRET_BYTES_MIN} bytes or more, this one has {length}: try `openssl rand -hex 32`"
        );
        table.error_at("secret", &span, &message);
    }
    secret
}

/// A shorter one could be guessed from a message that was signed with it.
const SECRET_BYTES_MIN: usize = 32;
