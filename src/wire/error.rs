//! The errors that dimmer makes itself, and their bodies in the caller's dialect.
//!
//! Serves respond and the relay. The official SDKs take an error's class from the status and its message, type and code
//! from the body, so both must have the dialect's shape. `docs/errors.md` explains every code to users; a test holds
//! the two together. Must never put a secret, a prompt or an upstream's body into a message.

#[cfg(test)]
mod tests;

use serde_json::json;

use super::{Dialect, Endpoint};

/// Why dimmer answers with an error of its own. An upstream's error is not here: it passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// No route takes this request, and there is no route `default`.
    NoRoute,
    /// The path has `/v1` twice: the base URL ends in it and the SDK adds its own.
    WrongBaseUrl,
    /// Clients are declared and the key is none of theirs.
    ClientUnknown,
    /// The client may not use this route.
    ClientForbidden,
    /// The body cannot be read: malformed JSON, a field twice, too deep, not UTF-8.
    BadRequest,
    /// The body is over its limit.
    BodyTooLarge,
    /// The headers are over their limit.
    HeadersTooLarge,
    /// The request's target is over its limit.
    TargetTooLong,
    /// The request's transfer coding is none that is taken.
    TransferCoding,
    /// The request speaks another version of HTTP.
    HttpVersion,
    /// The head did not come in time.
    HeaderTimeout,
    /// The body did not come in time.
    BodyTimeout,
    /// The request's content coding is none that dimmer decodes.
    UnsupportedEncoding,
    /// The target speaks another dialect and the request cannot cross.
    CannotTranslate,
    /// The route does not admit the model that the request names.
    ModelNotAdmitted,
    /// Tokens are to be counted, but no language model would read them.
    NothingToCount,
    /// The route is switched off and no reply stands in.
    KillSwitch,
    /// The breaker of what serves the route is open and nothing stands in.
    BreakerOpen,
    /// The `allow` of the model that was chosen does not hold for the caller, and nothing stands in.
    TierGuard,
    /// A reply was chosen that cannot answer this request, and nothing stands behind it.
    ReplyUnfit,
    /// The service that makes a reply failed, and nothing stands behind it.
    ReplyFailed,
    /// A limit of the gateway is reached: concurrency or memory.
    Overloaded,
    /// No connection to the provider.
    UpstreamConnect,
    /// The provider's TLS handshake failed.
    UpstreamTls,
    /// The provider broke the connection.
    UpstreamReset,
    /// The provider's answer is not valid HTTP.
    UpstreamProtocol,
    /// The provider refused dimmer's own key.
    UpstreamCredential,
    /// The provider did not answer in time.
    UpstreamTimeout,
    /// The request has come through dimmer too often.
    Loop,
    /// WebSocket upgrades are not relayed.
    WebsocketUnsupported,
    /// Who holds the previous response cannot be asked.
    PreviousResponseNotFound,
    /// Who holds the conversation cannot be asked.
    ConversationNotFound,
    /// Who holds the thread cannot be asked, or the thread cannot go on as it was.
    ThreadNotFound,
    /// The conversation's thread would be kept by a provider that keeps none.
    ThreadUnsupported,
    /// Who holds the stored answer cannot be asked.
    StoredNotFound,
    /// A defect of dimmer.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of `docs/errors.md`.
    pub const ALL: [Self; 36] = [
        Self::NoRoute,
        Self::WrongBaseUrl,
        Self::ClientUnknown,
        Self::ClientForbidden,
        Self::BadRequest,
        Self::BodyTooLarge,
        Self::HeadersTooLarge,
        Self::TargetTooLong,
        Self::TransferCoding,
        Self::HttpVersion,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::UnsupportedEncoding,
        Self::CannotTranslate,
        Self::ModelNotAdmitted,
        Self::NothingToCount,
        Self::KillSwitch,
        Self::BreakerOpen,
        Self::TierGuard,
        Self::ReplyUnfit,
        Self::ReplyFailed,
        Self::Overloaded,
        Self::UpstreamConnect,
        Self::UpstreamTls,
        Self::UpstreamReset,
        Self::UpstreamProtocol,
        Self::UpstreamCredential,
        Self::UpstreamTimeout,
        Self::Loop,
        Self::WebsocketUnsupported,
        Self::PreviousResponseNotFound,
        Self::ConversationNotFound,
        Self::ThreadNotFound,
        Self::ThreadUnsupported,
        Self::StoredNotFound,
        Self::Internal,
    ];

    /// As the body says it: `code` (OpenAI), `details.error_code` (Anthropic). Never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "dimmer_no_route",
            Self::WrongBaseUrl => "dimmer_wrong_base_url",
            Self::ClientUnknown => "dimmer_client_unknown",
            Self::ClientForbidden => "dimmer_client_forbidden",
            Self::BadRequest => "dimmer_bad_request",
            Self::BodyTooLarge => "dimmer_body_too_large",
            Self::HeadersTooLarge => "dimmer_headers_too_large",
            Self::TargetTooLong => "dimmer_target_too_long",
            Self::TransferCoding => "dimmer_transfer_coding",
            Self::HttpVersion => "dimmer_http_version",
            Self::HeaderTimeout => "dimmer_header_timeout",
            Self::BodyTimeout => "dimmer_body_timeout",
            Self::UnsupportedEncoding => "dimmer_unsupported_encoding",
            Self::CannotTranslate => "dimmer_cannot_translate",
            Self::ModelNotAdmitted => "dimmer_model_not_admitted",
            Self::NothingToCount => "dimmer_nothing_to_count",
            Self::KillSwitch => "dimmer_kill_switch",
            Self::BreakerOpen => "dimmer_breaker_open",
            Self::TierGuard => "dimmer_tier_guard",
            Self::ReplyUnfit => "dimmer_reply_unfit",
            Self::ReplyFailed => "dimmer_reply_failed",
            Self::Overloaded => "dimmer_overloaded",
            Self::UpstreamConnect => "dimmer_upstream_connect",
            Self::UpstreamTls => "dimmer_upstream_tls",
            Self::UpstreamReset => "dimmer_upstream_reset",
            Self::UpstreamProtocol => "dimmer_upstream_protocol",
            Self::UpstreamCredential => "dimmer_upstream_credential",
            Self::UpstreamTimeout => "dimmer_upstream_timeout",
            Self::Loop => "dimmer_loop",
            Self::WebsocketUnsupported => "dimmer_websocket_unsupported",
            // The APIs' own codes: SDKs and agents begin anew when they see them.
            Self::PreviousResponseNotFound => "previous_response_not_found",
            Self::ConversationNotFound => "conversation_not_found",
            Self::ThreadNotFound => "thread_not_found",
            Self::ThreadUnsupported => "thread_unsupported_request",
            Self::StoredNotFound => "not_found",
            Self::Internal => "dimmer_internal",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest
            | Self::CannotTranslate
            | Self::PreviousResponseNotFound
            | Self::ThreadUnsupported => 400,
            Self::ClientUnknown => 401,
            Self::ClientForbidden | Self::TierGuard => 403,
            Self::NoRoute
            | Self::WrongBaseUrl
            | Self::ModelNotAdmitted
            | Self::NothingToCount
            | Self::ConversationNotFound
            | Self::ThreadNotFound
            | Self::StoredNotFound => 404,
            Self::HeaderTimeout | Self::BodyTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::UnsupportedEncoding => 415,
            Self::WebsocketUnsupported => 426,
            Self::HeadersTooLarge => 431,
            Self::Internal => 500,
            Self::TransferCoding | Self::ReplyUnfit => 501,
            Self::UpstreamConnect
            | Self::UpstreamTls
            | Self::UpstreamReset
            | Self::UpstreamProtocol
            | Self::UpstreamCredential
            | Self::ReplyFailed => 502,
            Self::KillSwitch | Self::BreakerOpen | Self::Overloaded => 503,
            Self::UpstreamTimeout => 504,
            Self::HttpVersion => 505,
            Self::Loop => 508,
        }
    }

    /// Whether the same request may succeed a little later. Where it cannot, the answer says `x-should-retry: false`,
    /// which the official SDKs obey; otherwise they would try again by the status alone.
    pub fn retry_helps(self) -> bool {
        match self {
            Self::HeaderTimeout
            | Self::BodyTimeout
            | Self::Overloaded
            | Self::ReplyFailed
            | Self::UpstreamConnect
            | Self::UpstreamReset
            | Self::UpstreamProtocol
            | Self::UpstreamTimeout => true,
            Self::NoRoute
            | Self::WrongBaseUrl
            | Self::ClientUnknown
            | Self::ClientForbidden
            | Self::BadRequest
            | Self::BodyTooLarge
            | Self::HeadersTooLarge
            | Self::TargetTooLong
            | Self::TransferCoding
            | Self::HttpVersion
            | Self::Loop
            | Self::UnsupportedEncoding
            | Self::CannotTranslate
            | Self::ModelNotAdmitted
            | Self::NothingToCount
            | Self::KillSwitch
            | Self::BreakerOpen
            | Self::TierGuard
            | Self::ReplyUnfit
            | Self::UpstreamTls
            | Self::UpstreamCredential
            | Self::WebsocketUnsupported
            | Self::PreviousResponseNotFound
            | Self::ConversationNotFound
            | Self::ThreadNotFound
            | Self::ThreadUnsupported
            | Self::StoredNotFound
            | Self::Internal => false,
        }
    }
}

/// What an error's body says.
#[derive(Clone, Copy, Debug)]
pub struct ErrorParts<'a> {
    /// The status of the answer, or the one it would have had before the stream began; it decides the `type`.
    pub status: u16,
    /// See [`ErrorCode::as_str`].
    pub code: &'a str,
    /// For the person who reads it: what is wrong and how to mend it.
    pub message: &'a str,
    /// The field of the request that is meant (OpenAI's dialect only).
    pub param: Option<&'a str>,
    /// Ours; Anthropic's body has a place for it.
    pub request_id: &'a str,
}

/// The body of an error, as `application/json`.
pub fn error_body(dialect: Dialect, parts: &ErrorParts<'_>) -> Vec<u8> {
    error_text(dialect, parts).into_bytes()
}

/// The event that ends a stream with an error. Put it only between events; nothing follows it, no `[DONE]` and no
/// `message_stop`. `sequence_number` is the one that the stream's next event has, in APIs that number theirs.
pub fn error_event(endpoint: Endpoint, parts: &ErrorParts<'_>, sequence_number: u64) -> Vec<u8> {
    if endpoint.takes_items() {
        let event = json!({
            "type": "error",
            "code": parts.code,
            "message": parts.message,
            "param": parts.param,
            "sequence_number": sequence_number,
        });
        return format!("event: error\ndata: {event}\n\n").into_bytes();
    }
    let body = error_text(endpoint.dialect(), parts);
    match endpoint.dialect() {
        Dialect::OpenAi => format!("data: {body}\n\n"),
        Dialect::Anthropic => format!("event: error\ndata: {body}\n\n"),
    }
    .into_bytes()
}

/// The `type` that this status has in the dialect. What is switched off is not "overloaded": agents try that again for minutes,
/// whatever `x-should-retry` says, and show the message of an `api_error` at once.
pub fn error_type(dialect: Dialect, status: u16, code: &str) -> &'static str {
    match dialect {
        Dialect::OpenAi => match status {
            429 => "requests",
            500.. => "server_error",
            _ => "invalid_request_error",
        },
        Dialect::Anthropic => match status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            408 | 504 => "timeout_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 if [ErrorCode::KillSwitch, ErrorCode::BreakerOpen]
                .iter()
                .any(|ours| ours.as_str() == code) =>
            {
                "api_error"
            }
            503 | 529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        },
    }
}

fn error_text(dialect: Dialect, parts: &ErrorParts<'_>) -> String {
    let kind = error_type(dialect, parts.status, parts.code);
    match dialect {
        Dialect::OpenAi => json!({
            "error": { "message": parts.message, "type": kind, "param": parts.param, "code": parts.code },
        }),
        Dialect::Anthropic => json!({
            "type": "error",
            "error": { "type": kind, "message": parts.message, "details": { "error_code": parts.code } },
            "request_id": parts.request_id,
        }),
    }
    .to_string()
}
