//! Where requests begin and end on an HTTP/1 connection, read before hyper reads them, and refused where two servers could
//! read them in two ways.
//!
//! hyper mends what it can: it takes a bare LF for a line's end, forgets a length beside chunks, cuts a fragment off. What it
//! mends somebody in front of dimmer may have read otherwise (request smuggling), and nobody behind it can see it any more.
//! This reader is pure: it takes bytes, keeps a few numbers, and allocates nothing. The verdict does not depend on the
//! pieces in which the bytes come.

mod bytes;
mod chunks;
mod fault;
mod head;
mod lines;

#[cfg(test)]
mod tests;

pub use fault::Fault;

use fearless_simd::Level;

use chunks::Chunks;
use head::{Body, Head};

/// One connection's requests, as far as they have been read.
#[derive(Clone, Debug)]
pub struct Framing {
    /// Bytes of a head, at most.
    most: usize,
    place: Place,
    heads: u64,
    /// What the processor can do.
    level: Level,
}

#[derive(Clone, Debug)]
enum Place {
    /// In a head, or before it.
    Head(Head),
    /// In a body, with so many bytes to come.
    Sized(u64),
    /// In a body of chunks.
    Chunked(Chunks),
    /// Behind something that is wrong. Nothing can be told of what follows.
    Lost(Fault),
}

/// What a look at more bytes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// So many bytes are in order and can go on. What is behind them is part of a head that is not whole: it has to be shown
    /// again, with more behind it.
    pub passed: usize,
    /// What is wrong behind them: with the request that begins there, or with the body that they are part of.
    pub fault: Option<Fault>,
}

impl Framing {
    /// A connection on which nothing has come, whose heads may have so many bytes.
    pub fn new(most: usize) -> Self {
        Self { most, place: Place::Head(Head::default()), heads: 0, level: Level::new() }
    }

    /// Reads on. `bytes` begins where the last look passed to.
    pub fn look(&mut self, bytes: &[u8]) -> Look {
        let mut passed = 0;
        loop {
            let rest = bytes.get(passed..).unwrap_or_default();
            if rest.is_empty() && !matches!(self.place, Place::Lost(_)) {
                return Look { passed, fault: None };
            }
            self.place = match &mut self.place {
                Place::Head(head) => match read_head(head, rest, self.most, self.level) {
                    Ok(None) => return Look { passed, fault: None },
                    Ok(Some((size, body))) => {
                        passed += size;
                        self.heads += 1;
                        Place::of(body)
                    }
                    Err(fault) => Place::Lost(fault),
                },
                Place::Sized(left) => {
                    let here = (*left).min(rest.len() as u64);
                    *left -= here;
                    passed += usize::try_from(here).unwrap_or(0);
                    if *left > 0 {
                        continue;
                    }
                    Place::Head(Head::default())
                }
                Place::Chunked(chunks) => {
                    let (seen, ended) = chunks.read(rest);
                    passed += seen;
                    match ended {
                        Ok(false) => continue,
                        Ok(true) => Place::Head(Head::default()),
                        Err(fault) => Place::Lost(fault),
                    }
                }
                Place::Lost(fault) => return Look { passed, fault: Some(*fault) },
            };
        }
    }

    /// How many heads were whole and in order.
    pub fn heads(&self) -> u64 {
        self.heads
    }
}

/// Almost every head is plain and comes whole.
fn read_head(
    head: &mut Head,
    bytes: &[u8],
    most: usize,
    level: Level,
) -> Result<Option<(usize, Body)>, Fault> {
    let plain = if head.is_new() { Head::read_plain(level, bytes, most) } else { None };
    plain.map_or_else(|| head.read(bytes, most), |whole| Ok(Some(whole)))
}

impl Place {
    fn of(body: Body) -> Self {
        match body {
            Body::Sized(0) => Self::Head(Head::default()),
            Body::Sized(length) => Self::Sized(length),
            Body::Chunked => Self::Chunked(Chunks::new()),
        }
    }
}
