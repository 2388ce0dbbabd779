//! Errors of providers, in whatever shape they come, and the caller's API's words for them.

use super::Memory;
use super::answer::Failure;
use super::node::{Node, Text};
use crate::wire::{Dialect, ErrorParts, error_body, error_event};

/// Said where a provider says nothing that can be read.
const NO_MESSAGE: &str = "the provider answered with an error that says nothing more";

/// So much of a message is told.
const MESSAGE_MAX: usize = 16 * 1024;

/// A provider's error, whole: the status and the body that the caller gets.
pub(super) fn whole(memory: &Memory, status: u16, body: &[u8]) -> (u16, Vec<u8>) {
    let failure = match Node::checked(body) {
        Some(node) => failure_of(node, status),
        None => {
            let plain = std::str::from_utf8(body).ok().map(str::trim);
            // A page of markup helps nobody.
            let plain = plain.filter(|text| !text.is_empty() && !text.starts_with('<'));
            let message = plain.map(|text| Text::Plain(text.into()));
            Failure { status, code: None, message, param: None }
        }
    };
    // The answer's own status says more than a type does.
    let failure = Failure { status, ..failure };
    let mut body = Vec::new();
    let status = said(memory, &failure, &mut |parts| {
        body = error_body(memory.from.dialect(), parts);
        parts.status
    });
    (status, body)
}

/// An error in a stream, as the caller's event.
pub(super) fn event(memory: &Memory, failure: &Failure<'_>, sequence: u64) -> Vec<u8> {
    let mut event = Vec::new();
    said(memory, failure, &mut |parts| {
        event = error_event(memory.from, parts, sequence);
        parts.status
    });
    event
}

fn said(memory: &Memory, failure: &Failure<'_>, say: &mut dyn FnMut(&ErrorParts<'_>) -> u16) -> u16 {
    let message = failure.message.as_ref().map(Text::plain).filter(|text| !text.trim().is_empty());
    let message = message.as_deref().unwrap_or(NO_MESSAGE);
    let message = message.get(..message.floor_char_boundary(MESSAGE_MAX)).unwrap_or(message);
    let told = failure.code.as_ref().map(Text::plain);
    let (status, code) =
        translated(memory.from.dialect(), failure.status, told.as_deref().unwrap_or_default());
    let param = failure.param.as_ref().map(Text::plain);
    say(&ErrorParts { status, code, message, param: param.as_deref(), request_id: &memory.id })
}

/// The caller's status and code for a provider's: what each API's SDK makes its classes of.
fn translated(caller: Dialect, status: u16, code: &str) -> (u16, &str) {
    match (caller, status, code) {
        (Dialect::OpenAi, 402, _) | (Dialect::OpenAi, _, "billing_error") => (429, "insufficient_quota"),
        (Dialect::OpenAi, 529, _) => (503, "overloaded"),
        (Dialect::OpenAi, _, "authentication_error") => (status, "invalid_api_key"),
        (Dialect::OpenAi, 404, "not_found_error") => (status, "model_not_found"),
        (Dialect::OpenAi, _, "rate_limit_error") => (status, "rate_limit_exceeded"),
        (Dialect::OpenAi, 500.., "api_error") => (status, "server_error"),
        (Dialect::Anthropic, 429, "insufficient_quota") => (402, code),
        (Dialect::Anthropic, 503, _) => (529, code),
        _ => (status, code),
    }
}

/// What a body or an event says of an error: `{"error": {…}}` of either dialect, a flat one, or a text. `status` is taken where the
/// type tells none.
pub(super) fn failure_of(told: Node<'_>, status: u16) -> Failure<'_> {
    let error = told.get("error").unwrap_or(told);
    if let Some(message) = error.text() {
        return Failure { status, code: None, message: Some(message), param: None };
    }
    let text = |name| error.get(name).and_then(Node::text);
    let details = error.get("details").and_then(|details| details.get("error_code")).and_then(Node::text);
    let kind = text("type");
    // Compatible servers write the status there.
    let number = error.get("code").and_then(Node::count).and_then(|code| u16::try_from(code).ok());
    let of_type = kind.as_ref().or(text("code").as_ref()).and_then(|kind| status_of(&kind.plain()));
    Failure {
        status: number.filter(|number| (400..600).contains(number)).or(of_type).unwrap_or(status),
        code: details.or(text("code")).or(kind),
        message: text("message"),
        param: text("param"),
    }
}

/// The status of an error's type, where a stream tells nothing else.
fn status_of(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" | "requests" | "tokens" | "insufficient_quota" | "rate_limit_exceeded" => 429,
        "api_error" | "server_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}
