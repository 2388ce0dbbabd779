//! The gate before hyper: bytes of a caller go through when the framing reader has found them in order.
//!
//! A head goes through whole or not at all. In place of one that is wrong goes a request of the gate's own, which asks for the
//! error's answer: so the answer has the form of all others, is counted like all others, and comes after those to the requests
//! before it. Nothing that comes behind it goes through.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::accept::connection::ConnectionState;
use crate::proxy::accept::framing::{Fault, Framing};

/// A caller's stream behind the gate.
#[derive(Debug)]
pub(super) struct Gate<S> {
    stream: S,
    /// None: the connection speaks HTTP/2, which frames by itself.
    framing: Option<Framing>,
    /// Bytes that came and have not gone through, the first `passed` of which may.
    held: BytesMut,
    passed: usize,
    /// Why nothing that comes from now on goes through.
    fault: Option<Fault>,
    state: Rc<ConnectionState>,
}

/// Marks the gate's own request. No caller can send it: a name with an underscore does not pass the gate.
pub(super) const MARK: &str = "dimmer_fault";

impl<S> Gate<S> {
    pub(super) fn new(stream: S, state: Rc<ConnectionState>, framing: Option<Framing>) -> Self {
        Self { stream, framing, held: BytesMut::new(), passed: 0, fault: None, state }
    }

    /// The stream itself.
    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    /// Part of a head has come.
    pub(super) fn in_head(&self) -> bool {
        self.held.len() > self.passed
    }

    /// Looks at what was just read into `buffer`, behind `before`. What may not go on yet is taken back out of it.
    fn judge(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let Some(framing) = &mut self.framing else { return };
        let new = buffer.filled().get(before..).unwrap_or_default();
        if self.held.is_empty() {
            // The common case: what came is whole, and nothing is copied.
            let look = framing.look(new);
            self.fault = look.fault;
            let rest = new.get(look.passed..).unwrap_or_default();
            if let Some(fault) = look.fault {
                self.refuse(fault, first_line(rest));
            } else {
                self.held.extend_from_slice(rest);
            }
            buffer.set_filled(before + look.passed);
            return;
        }
        self.held.extend_from_slice(new);
        buffer.set_filled(before);
        let look = framing.look(&self.held);
        self.passed = look.passed;
        self.fault = look.fault;
        if let Some(fault) = look.fault {
            let rest = self.held.split_off(look.passed);
            self.refuse(fault, first_line(&rest));
        }
    }

    /// What has passed still goes through, then a request that asks for the error's answer.
    fn refuse(&mut self, fault: Fault, line: &[u8]) {
        self.state.refuse(fault);
        if fault.in_body() {
            return;
        }
        let method = if line.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        // The dialect of the answer is told by the path.
        let messages = memmem::find(line, b"/messages").is_some();
        let path = if messages { "/v1/messages" } else { "/v1/chat/completions" };
        let own =
            format!("{method} {path} HTTP/1.1\r\nhost: dimmer\r\nconnection: close\r\n{MARK}: 1\r\n\r\n");
        self.held.extend_from_slice(own.as_bytes());
        self.passed = self.held.len();
    }

    /// Hands on what may go, as much as there is room for; whether there was any.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let size = self.passed.min(buffer.remaining());
        buffer.put_slice(self.held.get(..size).unwrap_or_default());
        self.held.advance(size);
        self.passed -= size;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
        size > 0
    }
}

/// The first line of a head, as far as a path is looked for in it.
fn first_line(head: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', head).unwrap_or(head.len()).min(LOOKED_AT);
    head.get(..end).unwrap_or_default()
}

/// A path that tells the dialect is shorter.
const LOOKED_AT: usize = 512;

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        loop {
            if this.hand_on(buffer) {
                return Poll::Ready(Ok(()));
            }
            match this.fault {
                Some(fault) if fault.in_body() => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                // The answer is under way; what the caller says besides is read when it has gone out.
                Some(_) => return Poll::Pending,
                None => {}
            }
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            this.judge(buffer, before);
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Reads and forgets, until the caller has closed too or `most` bytes were read. A connection that closes with bytes unread
    /// is reset, and the reset would take the answer with it.
    pub(super) fn poll_forget(&mut self, cx: &mut Context<'_>, most: &mut usize) -> Poll<()> {
        let mut piece = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut piece);
            if ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).is_err() {
                return Poll::Ready(());
            }
            let size = buffer.filled().len();
            *most = most.saturating_sub(size);
            if size == 0 || *most == 0 {
                return Poll::Ready(());
            }
        }
    }
}
