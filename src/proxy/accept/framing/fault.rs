//! What can be wrong with the bytes of an HTTP/1 connection, and what its caller is told.

use crate::wire::ErrorCode;

/// The first thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A control character, or in the request line anything but printable ASCII.
    Control,
    /// A CR or LF that is not half of a CRLF.
    LineEnd,
    /// More than one empty line before a request.
    EmptyLines,
    /// Not `METHOD SP target SP HTTP/x.y`.
    RequestLine,
    /// No method that is served.
    Method,
    /// A target that is no path, or has a byte in it that must be escaped.
    Target,
    /// A target of more than 8 KiB.
    TargetTooLong,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// A line that begins with white space.
    Folded,
    /// A line without a name, or with a byte in it that no name has.
    FieldName,
    /// White space between a name and its colon.
    SpaceBeforeColon,
    /// An underscore in a name.
    Underscore,
    /// Too many fields.
    TooManyFields,
    /// Too many bytes of fields.
    HeadTooLarge,
    /// Not exactly one valid Host.
    Host,
    /// The target names another host than Host.
    OtherHost,
    /// A Content-Length that is no plain number.
    Length,
    /// More than one Content-Length.
    Lengths,
    /// A Transfer-Encoding that is not `chunked`.
    Coding,
    /// More than one Transfer-Encoding, or one in HTTP/1.0.
    Codings,
    /// Content-Length and Transfer-Encoding.
    LengthAndCoding,
    /// A chunk's size is no number, or too large.
    ChunkSize,
    /// A chunk's extensions are too long or no text.
    ChunkExtension,
    /// A chunk does not end where it should.
    ChunkEnd,
    /// Trailers that are no fields, or too many.
    Trailers,
}

impl Fault {
    /// The body began well: the request is known already, and breaks off.
    pub fn in_body(self) -> bool {
        matches!(self, Self::ChunkSize | Self::ChunkExtension | Self::ChunkEnd | Self::Trailers)
    }

    /// As the caller is told.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::TargetTooLong => ErrorCode::TargetTooLong,
            Self::TooManyFields | Self::HeadTooLarge => ErrorCode::HeadersTooLarge,
            Self::Coding => ErrorCode::TransferCoding,
            Self::Version => ErrorCode::HttpVersion,
            _ => ErrorCode::BadRequest,
        }
    }

    /// What is wrong and what is expected. Repeats nothing of what was sent.
    pub fn message(self) -> &'static str {
        match self {
            Self::Control => {
                "the request's head has a control character or, in its first line, a byte that is not ASCII; escape it (%XX)"
            }
            Self::LineEnd => "a line of the request's head ends with CR or LF alone; lines end with CRLF",
            Self::EmptyLines => "there is more than one empty line before the request",
            Self::RequestLine => "the first line is not `METHOD target HTTP/1.1`",
            Self::Method => "the method is none that is served; LLM APIs use GET, POST and DELETE",
            Self::Target => {
                "the request's target is no path, or has a byte in it that must be escaped (%23 for #); it begins with / or with http://host/"
            }
            Self::TargetTooLong => "the request's target is longer than 8 KiB; send what is long in the body",
            Self::Version => "the request is neither HTTP/1.1 nor HTTP/1.0; HTTP/2 begins with its preface",
            Self::Folded => "a header line begins with white space; put the field's value on one line",
            Self::FieldName => {
                "a header line is not `name: value`, or its name has a byte that no name may have"
            }
            Self::SpaceBeforeColon => "a header field has white space before its colon",
            Self::Underscore => {
                "the name of a header field has an underscore, which many servers read as a hyphen; write a hyphen"
            }
            Self::TooManyFields => "the request has more than 100 header fields",
            Self::HeadTooLarge => "the request's header fields are too large (server.limits.headers)",
            Self::Host => "HTTP/1.1 wants exactly one Host field, `host` or `host:port`",
            Self::OtherHost => "the request's target names another host than its Host field",
            Self::Length => "the Content-Length is no plain decimal number",
            Self::Lengths => "the request has more than one Content-Length",
            Self::Coding => {
                "the Transfer-Encoding is not `chunked`; encode the body with Content-Encoding instead"
            }
            Self::Codings => "the request has more than one Transfer-Encoding, or has one in HTTP/1.0",
            Self::LengthAndCoding => {
                "the request has both Content-Length and Transfer-Encoding; send one of them"
            }
            Self::ChunkSize => "the body broke off: a chunk's size is no hexadecimal number",
            Self::ChunkExtension => "the body broke off: a chunk's extensions are too long or no text",
            Self::ChunkEnd => "the body broke off: a chunk is longer or shorter than its size says",
            Self::Trailers => "the body broke off: its trailers are no header fields, or are too many",
        }
    }
}
