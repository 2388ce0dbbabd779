//! As much of HTTP/1.1 as the provider and the load generator need of each other, by hand: what is not measured must cost
//! little, and must not share the code of what is.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One side of a kept-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

const CHUNKED: &[u8] = b"transfer-encoding: chunked";
const LENGTH: &[u8] = b"content-length:";
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

impl Connection {
    /// Takes over an open socket.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(32 * 1024) })
    }

    /// Sends what is given, whole.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message: head, and body with its chunk framing if it has one. None: the other side has gone.
    pub(crate) async fn message(&mut self) -> io::Result<Option<(Bytes, Bytes)>> {
        let end = loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.more().await? {
                return Ok(None);
            }
        };
        let head = self.buffer.split_to(end).freeze();
        let body = match framing(&head) {
            Framing::Length(length) => {
                self.buffer.reserve(length.saturating_sub(self.buffer.len()));
                while self.buffer.len() < length {
                    self.more_or_broken().await?;
                }
                self.buffer.split_to(length)
            }
            Framing::Chunked => {
                // Nothing follows on a connection whose answer is awaited: its end is the end of what has come.
                while !self.buffer.ends_with(LAST_CHUNK) {
                    self.more_or_broken().await?;
                }
                self.buffer.split()
            }
        };
        Ok(Some((head, body.freeze())))
    }

    async fn more(&mut self) -> io::Result<bool> {
        if self.buffer.capacity() - self.buffer.len() < 4096 {
            self.buffer.reserve(32 * 1024);
        }
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    async fn more_or_broken(&mut self) -> io::Result<()> {
        match self.more().await? {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The status of an answer's head.
pub(crate) fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

/// Whether the head has this field, name and value as hyper writes them.
pub(crate) fn has(head: &[u8], field: &str) -> bool {
    memmem::find(head, field.as_bytes()).is_some()
}

fn framing(head: &[u8]) -> Framing {
    let mut rest = head;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, below) = rest.split_at(end);
        if line.get(..CHUNKED.len()).is_some_and(|start| start.eq_ignore_ascii_case(CHUNKED)) {
            return Framing::Chunked;
        }
        if let Some((name, value)) = line.split_at_checked(LENGTH.len())
            && name.eq_ignore_ascii_case(LENGTH)
        {
            let value = std::str::from_utf8(value).unwrap_or_default();
            return Framing::Length(value.trim().parse().unwrap_or_default());
        }
        rest = below;
        rest.advance(1);
    }
    Framing::Length(0)
}
