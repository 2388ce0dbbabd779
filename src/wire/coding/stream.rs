//! Decodes content codings piece by piece, as the bytes come.
//!
//! Serves the tap, whose copy of an encoded stream must give each event as soon as its bytes are there, and
//! `decode_body`. Memory is bounded by the codings' windows: decoded bytes are handed on in small pieces and never
//! collected here.

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::inflate::{Gzip, Inflate};
use super::{Coding, CodingError, codings};

/// Decodes one body with one `Content-Encoding`. After an error it gives no more.
pub struct StreamDecoder {
    layers: Vec<Layer>,
    broken: bool,
}

/// Takes decoded bytes.
pub(super) type Emit<'a> = dyn FnMut(&[u8]) -> Result<(), CodingError> + 'a;

impl StreamDecoder {
    /// `None` where a coding is unknown or there are too many.
    pub fn new(content_encoding: &str) -> Option<Self> {
        codings(content_encoding).ok().map(|layers| Self::of(&layers, STREAM_PLAIN_MAX))
    }

    pub(super) fn of(codings: &[Coding], limit: u64) -> Self {
        let layers = codings.iter().map(|coding| Layer::new(*coding, limit)).collect();
        Self { layers, broken: false }
    }

    /// Decodes the next bytes; `on_plain` gets everything that they make known, in pieces.
    pub fn feed(&mut self, chunk: &[u8], on_plain: &mut impl FnMut(&[u8])) -> Result<(), CodingError> {
        if self.broken {
            return Err(CodingError::Corrupt);
        }
        let fed = feed_layers(&mut self.layers, chunk, &mut |piece| {
            on_plain(piece);
            Ok(())
        });
        self.broken = fed.is_err();
        fed
    }

    /// Whether the body ended where its codings end.
    pub fn finish(&self) -> Result<(), CodingError> {
        let ended = !self.broken && self.layers.iter().all(|layer| layer.kind.ended());
        if ended { Ok(()) } else { Err(CodingError::Corrupt) }
    }
}

impl fmt::Debug for StreamDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamDecoder").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

/// Each layer's output is the next one's input; the list is at most three long.
fn feed_layers(layers: &mut [Layer], bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), CodingError> {
    let Some((layer, inner)) = layers.split_first_mut() else {
        return emit(bytes);
    };
    let room = &mut layer.room;
    layer.kind.push(bytes, &mut |piece| {
        *room = room.checked_sub(piece.len() as u64).ok_or(CodingError::TooLarge)?;
        feed_layers(inner, piece, emit)
    })
}

struct Layer {
    kind: Kind,
    /// How many decoded bytes this layer may still give.
    room: u64,
}

enum Kind {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Box<Brotli>),
}

impl Layer {
    fn new(coding: Coding, limit: u64) -> Self {
        let kind = match coding {
            Coding::Gzip => Kind::Gzip(Gzip::new()),
            Coding::Deflate => Kind::Deflate(Deflate::Undecided(None)),
            Coding::Brotli => Kind::Brotli(Box::new(Brotli::new())),
        };
        Self { kind, room: limit }
    }
}

impl Kind {
    fn push(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), CodingError> {
        match self {
            Self::Gzip(gzip) => gzip.push(bytes, emit),
            Self::Deflate(deflate) => deflate.push(bytes, emit),
            Self::Brotli(brotli) => brotli.push(bytes, emit),
        }
    }

    fn ended(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.ended(),
            Self::Deflate(Deflate::Decided(inflate)) => inflate.ended(),
            Self::Deflate(Deflate::Undecided(_)) => false,
            Self::Brotli(brotli) => brotli.ended,
        }
    }
}

/// `deflate` means zlib's format; some servers send the raw one. The first two bytes tell.
enum Deflate {
    Undecided(Option<u8>),
    Decided(Inflate),
}

impl Deflate {
    fn push(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), CodingError> {
        if let Self::Decided(inflate) = self {
            return inflate.push_all(bytes, emit);
        }
        let Self::Undecided(held) = *self else { return Ok(()) };
        let head: Vec<u8> = held.into_iter().chain(bytes.iter().copied()).take(2).collect();
        let &[first, second] = head.as_slice() else {
            *self = Self::Undecided(head.first().copied());
            return Ok(());
        };
        let header = u16::from_be_bytes([first, second]);
        let zlib = first & 0x0F == 8 && header % 31 == 0;
        let mut inflate = Inflate::new(zlib);
        inflate.push_all(held.as_slice(), emit)?;
        let pushed = inflate.push_all(bytes, emit);
        *self = Self::Decided(inflate);
        pushed
    }
}

struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    piece: Vec<u8>,
    ended: bool,
}

impl Brotli {
    fn new() -> Self {
        let alloc = StandardAlloc::default;
        let state = BrotliState::new_strict(alloc(), alloc(), alloc());
        Self { state, piece: vec![0; PIECE], ended: false }
    }

    fn push(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), CodingError> {
        if self.ended {
            return if bytes.is_empty() { Ok(()) } else { Err(CodingError::Corrupt) };
        }
        let (mut available_in, mut read) = (bytes.len(), 0);
        loop {
            let (mut available_out, mut written, mut total) = (self.piece.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut available_in,
                &mut read,
                bytes,
                &mut available_out,
                &mut written,
                &mut self.piece,
                &mut total,
                &mut self.state,
            );
            emit(self.piece.get(..written).unwrap_or_default())?;
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultSuccess => {
                    self.ended = true;
                    return if available_in == 0 { Ok(()) } else { Err(CodingError::Corrupt) };
                }
                BrotliResult::ResultFailure => return Err(CodingError::Corrupt),
            }
        }
    }
}

/// The size of a decoded piece: some events of a stream, and small beside the codings' own windows (32 KiB and more).
pub(super) const PIECE: usize = 8 * 1024;

/// The most that the tap decodes of one stream: far more than any model writes, so that a hostile upstream cannot
/// make the copy cost more than the answer.
const STREAM_PLAIN_MAX: u64 = 64 * 1024 * 1024;
