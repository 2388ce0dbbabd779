//! A body in chunks, byte by byte where its framing is and in one step where its data is. RFC 9112 section 7.1.

use super::bytes::{is_text, is_token};
use super::fault::Fault;

/// Where a body in chunks is.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    at: At,
    /// Of the chunk: its size while that is read, then what is still to come.
    left: u64,
    digits: u8,
    extensions: u16,
    trailers: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
}

/// No chunk is longer than what 16 digits say; more of them are zeros that somebody else may read otherwise.
const DIGITS: u8 = 16;
/// Of one body: nobody uses them, and one for each byte of data is a way to make work.
const EXTENSIONS: u16 = 4096;
/// Of one body, with names and line ends: enough for a checksum and a signature.
const TRAILERS: u16 = 4096;

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size, left: 0, digits: 0, extensions: 0, trailers: 0 }
    }

    /// Reads on: how many bytes are in order, and whether the body is over with them, or what is wrong with the next.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Result<bool, Fault>) {
        let mut seen = 0;
        while let Some(byte) = bytes.get(seen) {
            if self.at == At::Data {
                let here = u64::try_from(bytes.len() - seen).unwrap_or(u64::MAX).min(self.left);
                self.left -= here;
                seen += usize::try_from(here).unwrap_or(0);
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            match self.step(*byte) {
                Ok(true) => return (seen + 1, Ok(true)),
                Ok(false) => seen += 1,
                Err(fault) => return (seen, Err(fault)),
            }
        }
        (seen, Ok(false))
    }

    /// One byte of framing; whether it was the last.
    fn step(&mut self, byte: u8) -> Result<bool, Fault> {
        self.at = match (self.at, byte) {
            (At::Size, b'\r') if self.digits > 0 => At::SizeLf,
            (At::Size, b';') if self.digits > 0 => At::Extension,
            (At::Size, digit) => self.digit(digit)?,
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, byte) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS || !is_text(byte) {
                    return Err(Fault::ChunkExtension);
                }
                At::Extension
            }
            (At::SizeLf, b'\n') if self.left == 0 => At::Trailer,
            (At::SizeLf, b'\n') => At::Data,
            (At::SizeLf, _) => return Err(Fault::ChunkSize),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                self.digits = 0;
                At::Size
            }
            (At::LastLf, b'\n') => return Ok(true),
            (At::Data | At::DataCr | At::DataLf, _) => return Err(Fault::ChunkEnd),
            (at, byte) => self.trailer(at, byte)?,
        };
        Ok(false)
    }

    fn digit(&mut self, byte: u8) -> Result<At, Fault> {
        let digit = char::from(byte).to_digit(16).ok_or(Fault::ChunkSize)?;
        self.digits += 1;
        // The size is a signed number elsewhere.
        if self.digits > DIGITS || self.left >> 59 != 0 {
            return Err(Fault::ChunkSize);
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(At::Size)
    }

    fn trailer(&mut self, at: At, byte: u8) -> Result<At, Fault> {
        self.trailers += 1;
        if self.trailers > TRAILERS {
            return Err(Fault::Trailers);
        }
        match (at, byte) {
            (At::Trailer, b'\r') => Ok(At::LastLf),
            (At::Trailer | At::TrailerName, byte) if is_token(byte) => Ok(At::TrailerName),
            (At::TrailerName, b':') => Ok(At::TrailerValue),
            (At::TrailerValue, b'\r') => Ok(At::TrailerLf),
            (At::TrailerValue, byte) if is_text(byte) => Ok(At::TrailerValue),
            (At::TrailerLf, b'\n') => Ok(At::Trailer),
            _ => Err(Fault::Trailers),
        }
    }
}
