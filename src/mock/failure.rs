//! What goes wrong, in the error body of the dialect.

use serde_json::{Value, json};

use crate::wire::Dialect;

/// An answer that is an error.
#[derive(Debug, PartialEq)]
pub(super) struct Failure {
    /// The HTTP status.
    pub(super) status: u16,
    /// What the caller reads.
    pub(super) message: String,
    /// The field at fault.
    pub(super) param: Option<String>,
    /// OpenAI's `code`; Anthropic's `details.error_code` where it starts with `thread_`.
    pub(super) code: Option<&'static str>,
    /// `Retry-After` in seconds.
    pub(super) retry_after: Option<u32>,
}

impl Failure {
    /// An error of this status.
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, retry_after: None }
    }

    /// 400: a field is missing or wrong.
    pub(super) fn bad_field(field: &str, what: &str) -> Self {
        Self { param: Some(field.to_owned()), ..Self::new(400, format!("{field}: {what}")) }
    }

    /// 404: no such model here.
    pub(super) fn no_model(model: &str) -> Self {
        let message = format!("the model {model} does not exist at this simulated provider");
        Self { code: Some("model_not_found"), param: Some("model".into()), ..Self::new(404, message) }
    }

    /// An error that callers know by its code.
    pub(super) fn coded(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(status, message) }
    }

    /// 429: come back in two seconds.
    pub(super) fn rate_limited() -> Self {
        let message = "too many requests, says the simulated provider";
        Self { code: Some("rate_limit_exceeded"), retry_after: Some(2), ..Self::new(429, message) }
    }

    /// The error body that this dialect's SDKs read.
    pub(super) fn body(&self, dialect: Dialect, request_id: &str) -> Value {
        match dialect {
            Dialect::OpenAi => json!({"error": {
                "message": self.message,
                "type": self.openai_type(),
                "param": self.param,
                "code": self.code,
            }}),
            Dialect::Anthropic => {
                let mut error = json!({"type": self.anthropic_type(), "message": self.message});
                // Anthropic's API has such a code for few things only.
                if let (Some(code), Some(error)) =
                    (self.code.filter(|code| code.starts_with("thread_")), error.as_object_mut())
                {
                    error.insert("details".into(), json!({"error_code": code}));
                }
                json!({"type": "error", "error": error, "request_id": request_id})
            }
        }
    }

    fn openai_type(&self) -> &'static str {
        match self.status {
            429 => "requests",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status {
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }
}
