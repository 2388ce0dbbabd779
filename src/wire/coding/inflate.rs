//! The deflate format and its gzip wrapping, as a push decoder.
//!
//! Serves the stream decoder. The wrapping is read here because the library offers it only for readers and writers,
//! which either hold decoded bytes back or collect them without a bound.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::CodingError;
use super::stream::{Emit, PIECE};

/// Raw deflate or zlib.
pub(super) struct Inflate {
    state: Decompress,
    piece: Vec<u8>,
    ended: bool,
}

impl Inflate {
    pub(super) fn new(zlib: bool) -> Self {
        Self { state: Decompress::new(zlib), piece: vec![0; PIECE], ended: false }
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Like [`Inflate::push`], where nothing may follow the end.
    pub(super) fn push_all(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), CodingError> {
        let used = self.push(bytes, emit)?;
        if used == bytes.len() { Ok(()) } else { Err(CodingError::Corrupt) }
    }

    /// Says how many bytes belong to the deflate data: all, unless it ended.
    fn push(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<usize, CodingError> {
        let mut at = 0;
        while !self.ended {
            let input = bytes.get(at..).unwrap_or_default();
            let before = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(input, &mut self.piece, FlushDecompress::Sync);
            let status = status.map_err(|_| CodingError::Corrupt)?;
            let used = (self.state.total_in() - before.0) as usize;
            let made = (self.state.total_out() - before.1) as usize;
            at += used;
            emit(self.piece.get(..made).unwrap_or_default())?;
            self.ended = status == Status::StreamEnd;
            if used == 0 && made == 0 {
                break;
            }
        }
        Ok(at)
    }
}

/// A gzip body: one member after the other.
pub(super) struct Gzip {
    part: Part,
    /// A header or a trailer that is not complete yet.
    held: Vec<u8>,
    members: u64,
}

enum Part {
    Header,
    Data(Inflate, Crc),
    /// The checksum and the length that the trailer must say.
    Trailer(u32, u32),
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { part: Part::Header, held: Vec::new(), members: 0 }
    }

    pub(super) fn ended(&self) -> bool {
        matches!(self.part, Part::Header) && self.held.is_empty() && self.members > 0
    }

    pub(super) fn push(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), CodingError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = match &mut self.part {
                Part::Header => self.push_header(rest)?,
                Part::Data(inflate, crc) => {
                    let used = inflate.push(rest, &mut |piece| {
                        crc.update(piece);
                        emit(piece)
                    })?;
                    if inflate.ended() {
                        self.part = Part::Trailer(crc.sum(), crc.amount());
                    }
                    used
                }
                Part::Trailer(sum, amount) => {
                    let expected = (*sum, *amount);
                    self.push_trailer(rest, expected)?
                }
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    fn push_header(&mut self, bytes: &[u8]) -> Result<usize, CodingError> {
        let known = self.held.len();
        let taken = bytes.get(..HEADER_MAX).unwrap_or(bytes);
        self.held.extend_from_slice(taken);
        let Some(length) = header_length(&self.held)? else {
            return if self.held.len() > HEADER_MAX { Err(CodingError::Corrupt) } else { Ok(taken.len()) };
        };
        self.held.clear();
        self.part = Part::Data(Inflate::new(false), Crc::new());
        // The header was not complete before these bytes came, so it ends in them.
        Ok(length.saturating_sub(known))
    }

    fn push_trailer(&mut self, bytes: &[u8], expected: (u32, u32)) -> Result<usize, CodingError> {
        let missing = TRAILER - self.held.len().min(TRAILER);
        let taken = bytes.get(..missing).unwrap_or(bytes);
        self.held.extend_from_slice(taken);
        if let Some((told, _)) = self.held.split_first_chunk::<TRAILER>() {
            let (sum, amount) = expected;
            let [a, b, c, d, e, f, g, h] = *told;
            if u32::from_le_bytes([a, b, c, d]) != sum || u32::from_le_bytes([e, f, g, h]) != amount {
                return Err(CodingError::Corrupt);
            }
            self.held.clear();
            self.members += 1;
            self.part = Part::Header;
        }
        Ok(taken.len())
    }
}

/// How long the gzip header at the start is (RFC 1952, section 2.3); `None`: longer than these bytes.
fn header_length(bytes: &[u8]) -> Result<Option<usize>, CodingError> {
    let fixed: &[u8] = &[0x1F, 0x8B, 8];
    if bytes.iter().zip(fixed).any(|(byte, expected)| byte != expected) {
        return Err(CodingError::Corrupt);
    }
    let Some((head, _)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(None);
    };
    let [_, _, _, flags, ..] = *head;
    let mut length = FIXED;
    if flags & EXTRA != 0 {
        let Some(&[low, high]) = bytes.get(length..length + 2) else {
            return Ok(None);
        };
        length += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let Some(zero) = bytes.get(length..).and_then(|rest| memchr::memchr(0, rest)) else {
                return Ok(None);
            };
            length += zero + 1;
        }
    }
    if flags & HEADER_CRC != 0 {
        length += 2;
    }
    Ok((length <= bytes.len()).then_some(length))
}

/// The part of a gzip header that is always there.
const FIXED: usize = 10;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const HEADER_CRC: u8 = 1 << 1;

/// Checksum and length, four bytes each.
const TRAILER: usize = 8;

/// Web servers send the ten fixed bytes; a file's name may follow. More is not held.
const HEADER_MAX: usize = 4 * 1024;
