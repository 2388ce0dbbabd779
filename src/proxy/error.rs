//! What can go wrong on a request's way. Made anywhere in the data plane, turned into an answer in `respond` only.

use std::fmt;
use std::time::Duration;

use crate::observe::Outcome;
use crate::wire::{ErrorCode, JsonError};

/// An error that the caller is told of.
#[derive(Debug)]
pub struct ProxyError {
    /// The stable code; it gives the status.
    pub code: ErrorCode,
    /// Whose fault it is.
    pub(crate) source: Source,
    /// Where on the way it happened.
    pub(crate) phase: Phase,
    /// For the caller: what, where, what was expected, how to mend it.
    pub(crate) message: String,
    /// For the log only: what a caller must not see, such as an address of the inside.
    pub(crate) detail: Option<String>,
    /// The member of the request that is at fault.
    pub(crate) param: Option<String>,
    /// `Retry-After`, where another try can help.
    pub(crate) retry_after: Option<Duration>,
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The caller, or the way to it.
    Downstream,
    /// The provider, or the way to it.
    Upstream,
    /// The operator's choice, or a defect of ours.
    Internal,
}

/// Where on a request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The bytes of the connection.
    Accept,
    /// Head, limits, client, route.
    Identify,
    /// Reading the request's body.
    Body,
    /// Flags and guards.
    Decide,
    /// Changing the request.
    Rewrite,
    /// Connecting and sending.
    Dispatch,
    /// Waiting for the answer's head.
    Await,
}

impl ProxyError {
    /// The caller's fault.
    pub(crate) fn caller(code: ErrorCode, phase: Phase, message: impl Into<String>) -> Self {
        Self::new(code, Source::Downstream, phase, message.into())
    }

    /// The provider's fault.
    pub(crate) fn upstream(code: ErrorCode, phase: Phase, message: impl Into<String>) -> Self {
        Self::new(code, Source::Upstream, phase, message.into())
    }

    /// The operator's choice, or ours.
    pub(crate) fn internal(code: ErrorCode, phase: Phase, message: impl Into<String>) -> Self {
        Self::new(code, Source::Internal, phase, message.into())
    }

    fn new(code: ErrorCode, source: Source, phase: Phase, message: String) -> Self {
        let retry_after = code.retry_helps().then_some(DEFAULT_RETRY_AFTER);
        Self { code, source, phase, message, detail: None, param: None, retry_after }
    }

    /// A body that must be read is not what it should be. The reason quotes nothing of it.
    pub(crate) fn bad_json(error: JsonError) -> Self {
        let bad =
            Self::caller(ErrorCode::BadRequest, Phase::Identify, format!("the request's body: {error}"));
        match error.field {
            Some(field) => bad.param(field),
            None => bad,
        }
    }

    /// Adds what only the log may see.
    pub(crate) fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// Names the member of the request that is at fault.
    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Something in the request cannot be said in the words of the target's API.
    pub(crate) fn cannot_cross(&self) -> bool {
        self.phase == Phase::Rewrite
            && matches!(self.code, ErrorCode::CannotTranslate | ErrorCode::ThreadUnsupported)
    }

    /// How a request that ends with this error is counted.
    pub(crate) fn outcome(&self) -> Outcome {
        match (self.source, self.code) {
            (_, ErrorCode::UpstreamTimeout) => Outcome::Timeout,
            // A flag chose a model that cannot take the request: its arm must not look healthy.
            (Source::Internal, ErrorCode::CannotTranslate | ErrorCode::ReplyUnfit) => Outcome::UpstreamError,
            (Source::Downstream, _) => Outcome::CallerError,
            (Source::Upstream, _) => Outcome::UpstreamError,
            (Source::Internal, _) => Outcome::NotTried,
        }
    }
}

/// SDKs obey `Retry-After` to the letter, Anthropic's without a cap: a second is long enough to spread callers out.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for ProxyError {}
