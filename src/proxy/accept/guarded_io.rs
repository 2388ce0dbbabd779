//! The socket of a caller with time limits: for an idle connection, for a head, and for a caller that takes nothing.
//!
//! hyper has no limit on an idle or a stalled connection. One timer serves all three: it is armed for the earliest that
//! could matter and, when it fires too early, armed again, so that a request costs no timer operation.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::clock;
use crate::proxy::accept::connection::{ConnectionState, Patience};
use crate::proxy::accept::framing::Framing;
use crate::proxy::accept::gate::Gate;
use crate::proxy::exchange::LOOK_FOR_CUTS;
use crate::proxy::timer::Timer;
use crate::wire::{Dialect, ErrorCode, ErrorParts, error_body};

/// What a caller's bytes come over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The connection below.
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A caller's socket.
#[derive(Debug)]
pub(super) struct GuardedIo<S> {
    inner: TokioIo<Gate<S>>,
    state: Rc<ConnectionState>,
    patience: Patience,
    http_1: bool,
    timer: Timer,
    /// When the first byte of the latest head came; it counts only while it is later than the last request's end.
    head_since: Option<Instant>,
    /// Since when the caller takes nothing.
    stalled_since: Option<Instant>,
    /// After a refusal: how long what the caller still sends is read, and how much of it.
    lingers: Option<(Instant, usize)>,
}

/// A caller on the other side of the world has read its answer by then.
const LINGER: Duration = Duration::from_secs(1);
/// More than this is no rest of a request that was under way.
const LINGER_BYTES: usize = 1024 * 1024;

/// What the relay has to say at the end of an exchange's time goes first.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Said to a caller that speaks HTTP/1 and whose head did not come whole in time. Its dialect is not known yet.
fn head_too_slow() -> Vec<u8> {
    let code = ErrorCode::HeaderTimeout;
    let parts = ErrorParts {
        status: code.status(),
        code: code.as_str(),
        message: "the request's head did not come whole in time (server.limits.header_timeout)",
        param: None,
        request_id: "",
    };
    let body = error_body(Dialect::OpenAi, &parts);
    let head = format!(
        "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

impl<S: Stream> GuardedIo<S> {
    pub(super) fn new(
        stream: S,
        state: Rc<ConnectionState>,
        patience: Patience,
        framing: Option<Framing>,
    ) -> Self {
        Self {
            http_1: framing.is_some(),
            inner: TokioIo::new(Gate::new(stream, Rc::clone(&state), framing)),
            state,
            patience,
            timer: Timer::default(),
            head_since: None,
            stalled_since: None,
            lingers: None,
        }
    }

    /// The earliest moment at which the connection has to end as things stand.
    fn deadline(&self) -> Option<Instant> {
        let idle = self.state.idle_since();
        let head = self.in_head(idle).map(|since| since + self.patience.head);
        // In HTTP/2 the connection says goodbye by itself; this is for who does not listen.
        let grace = if self.http_1 { Duration::ZERO } else { LAST_WORDS };
        // Who has begun to speak is not idle, however late: a head has its own limit.
        let idle = idle.filter(|_| head.is_none()).map(|since| since + self.patience.idle + grace);
        // In HTTP/2 a caller stalls by granting no window: the socket itself is never blocked then.
        let stall = self
            .stalled_since
            .or_else(|| self.state.untaken_since())
            .map(|since| since + self.patience.write_stall);
        // The relay ends its answer itself when it is asked for more; a caller that takes nothing never asks.
        let cut = self.state.cut().map(|deadline| deadline + LAST_WORDS);
        [head, idle, stall, cut].into_iter().flatten().min()
    }

    /// Makes sure that the timer fires no later than the deadline; says whether the deadline has passed.
    fn over(&mut self, cx: &mut Context<'_>) -> bool {
        // An HTTP/2 stream can stall without waking this connection: it is looked at again in any case.
        let look_again = (!self.http_1).then(|| clock::now() + self.patience.write_stall);
        let Some(deadline) = self.deadline().or(look_again) else { return false };
        let Some(stalled_since) = self.stalled_since else {
            return self.timer.poll_until(cx, deadline).is_ready();
        };
        // Of an answer of which the caller takes nothing nobody else looks whether an operator has ended it. One that takes it
        // slowly is given the error event.
        let mut look = stalled_since + LOOK_FOR_CUTS;
        while look < deadline {
            if self.timer.poll_until(cx, look).is_pending() {
                return false;
            }
            if self.state.is_cut() {
                return true;
            }
            look += LOOK_FOR_CUTS;
        }
        self.timer.poll_until(cx, deadline).is_ready()
    }

    /// Since when a head is coming in.
    fn in_head(&self, idle_since: Option<Instant>) -> Option<Instant> {
        self.head_since.filter(|since| idle_since.is_some_and(|idle| *since >= idle))
    }

    /// Bytes came: outside of a request they begin a head.
    fn saw_bytes(&mut self) {
        let idle_since = self.state.idle_since();
        if self.http_1 && idle_since.is_some() && self.in_head(idle_since).is_none() {
            self.head_since = Some(clock::now());
        }
    }

    /// Whether the caller has gone, also where hyper does not read because bytes lie unread: half an upload that nobody takes,
    /// or a byte too many behind a request. Asked whenever the connection's task runs.
    fn has_gone(&self, cx: &mut Context<'_>) -> bool {
        let stream = self.inner.inner().stream().tcp();
        if stream.poll_read_ready(cx).is_pending() {
            return false;
        }
        let ready = std::pin::pin!(stream.ready(Interest::READABLE));
        matches!(ready.poll(cx), Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    fn too_slow(&mut self, cx: &mut Context<'_>) -> io::Error {
        if self.in_head(self.state.idle_since()).is_some() && self.stalled_since.is_none() {
            // Best effort: who sends a head byte by byte may not read either.
            let _ = Pin::new(&mut self.inner).poll_write(cx, &head_too_slow());
        }
        io::ErrorKind::TimedOut.into()
    }

    /// The answer is out and the connection half closed: what the caller had sent by then is read, for a while.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (until, mut most) = self.lingers.unwrap_or_else(|| (clock::now() + LINGER, LINGER_BYTES));
        if self.inner.inner_mut().poll_forget(cx, &mut most).is_ready() {
            return Poll::Ready(());
        }
        self.lingers = Some((until, most));
        self.timer.poll_until(cx, until)
    }

    /// Bytes went out: a caller that takes an answer slowly takes it. Less than this is housekeeping of HTTP/2.
    fn wrote_bytes(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if !self.http_1 && matches!(result, Poll::Ready(Ok(1024..))) {
            self.state.moved();
        }
        self.wrote(cx, result)
    }

    /// What a write said decides whether the caller is stalled.
    fn wrote<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled_since = None;
            return result;
        }
        self.stalled_since.get_or_insert_with(clock::now);
        if self.over(cx) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

impl<S: Stream> Read for GuardedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if result.is_ready() || self.inner.inner().in_head() {
            self.saw_bytes();
        }
        match result {
            Poll::Ready(result) => {
                // A head that trickles in is ready often enough never to be pending here.
                if self.state.idle_since().is_some() && self.over(cx) {
                    return Poll::Ready(Err(self.too_slow(cx)));
                }
                Poll::Ready(result)
            }
            Poll::Pending if self.over(cx) => Poll::Ready(Err(self.too_slow(cx))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: Stream> Write for GuardedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.wrote_bytes(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, buffers);
        self.wrote_bytes(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.http_1 && self.state.idle_since().is_none() && self.has_gone(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.wrote(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_shutdown(cx);
        // TLS has a last word, for which there may be no room.
        ready!(self.wrote(cx, result))?;
        if self.state.fault().is_none() {
            return Poll::Ready(Ok(()));
        }
        self.linger(cx).map(Ok)
    }
}
