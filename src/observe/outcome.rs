//! The closed list of what can become of a request.

/// How a request ended: the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered whole.
    Ok,
    /// The caller's own fault: an upstream's 4xx, or a request that was refused here.
    CallerError,
    /// The provider, or the way to it, failed.
    UpstreamError,
    /// The provider was too slow.
    Timeout,
    /// The answer broke off after it had begun.
    Cut,
    /// The caller went away.
    Cancelled,
    /// Answered without a language model.
    Reply,
    /// The model declined to answer.
    Refused,
    /// Answered or refused before any target was tried.
    NotTried,
}

impl Outcome {
    /// All of them, in the order of their handles.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::CallerError,
        Self::UpstreamError,
        Self::Timeout,
        Self::Cut,
        Self::Cancelled,
        Self::Reply,
        Self::Refused,
        Self::NotTried,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::CallerError => "caller_error",
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::Cancelled => "cancelled",
            Self::Reply => "reply",
            Self::Refused => "refused",
            Self::NotTried => "not_tried",
        }
    }
}
