//! Reading a request's body: held under limits where something is decided from it, streamed through where not.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

use crate::clock;
use crate::config::Limits;
use crate::proxy::accept::ConnectionState;
use crate::proxy::body::BodyBroken;
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::identify::Sought;
use crate::proxy::timer::Timer;
use crate::wire::{CodingError, ErrorCode, decode_body};

/// A body that was read whole.
#[derive(Debug)]
pub(crate) struct Held {
    /// As it came, or decoded.
    pub(crate) bytes: Bytes,
    /// It came encoded: what goes upstream is not.
    pub(crate) decoded: bool,
}

/// A held body's share of the memory budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<AtomicU64>,
    bytes: u64,
}

impl Reservation {
    /// A share for something else that is held; `None`: there is no room for it.
    pub(crate) fn of(budget: &Arc<AtomicU64>, bytes: u64, limit: u64) -> Option<Self> {
        let mut reservation = Self { budget: Arc::clone(budget), bytes: 0 };
        reservation.grow(bytes, limit).then_some(reservation)
    }

    /// No share yet.
    pub(crate) fn none(budget: &Arc<AtomicU64>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Takes `more` bytes of `limit`; `false`: there are not so many.
    pub(crate) fn grow(&mut self, more: u64, limit: u64) -> bool {
        let before = self.budget.fetch_add(more, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_add(more);
        before.saturating_add(more) <= limit
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body whole, under `server.limits`. The reservation stays with the exchange.
pub(crate) async fn hold<B>(exchange: &mut Exchange, headers: &HeaderMap, body: B) -> Result<Held, ProxyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limits = &exchange.snapshot.config.server.limits;
    let mut reservation = Reservation { budget: Arc::clone(&exchange.gateway().held_bytes), bytes: 0 };
    let (read, waited) = in_time(collect(body, limits, &mut reservation), limits.body_timeout).await;
    exchange.waited += waited;
    let bytes = read
        .ok_or_else(|| too_slow(limits.body_timeout))?
        .map_err(|error| fault(&exchange.connection).unwrap_or(error))?;
    let held = match exchange.sought.has(Sought::CONTENT_ENCODING) {
        true => decoded(bytes, headers, limits)?,
        false => Held { bytes, decoded: false },
    };
    let growth = (held.bytes.len() as u64).saturating_sub(reservation.bytes);
    if !reservation.grow(growth, limits.memory) {
        return Err(out_of_memory(limits));
    }
    exchange.reservation = Some(reservation);
    Ok(held)
}

/// What comes in so much time, and how long it was waited for. A body that has come with its head is not waited for: no clock is
/// looked at, and no timer made.
async fn in_time<F: Future>(coming: F, patience: Duration) -> (Option<F::Output>, Duration) {
    let mut coming = pin!(coming);
    let mut timer = Timer::default();
    let mut since = None;
    let come = poll_fn(|cx| {
        if let Poll::Ready(come) = coming.as_mut().poll(cx) {
            return Poll::Ready(Some(come));
        }
        let since = *since.get_or_insert_with(clock::now);
        timer.poll_until(cx, since + patience).map(|()| None)
    });
    let come = come.await;
    let waited = since.map(|since: Instant| clock::now().saturating_duration_since(since));
    (come, waited.unwrap_or_default())
}

async fn collect<B>(mut body: B, limits: &Limits, reservation: &mut Reservation) -> Result<Bytes, ProxyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > limits.body) {
        return Err(too_large(limits.body, "server.limits.body"));
    }
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    let mut seen = 0_u64;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame else { return Err(broken()) };
        let Ok(piece) = frame.into_data() else { continue };
        seen = seen.saturating_add(piece.len() as u64);
        if seen > limits.body {
            return Err(too_large(limits.body, "server.limits.body"));
        }
        if !reservation.grow(piece.len() as u64, limits.memory) {
            return Err(out_of_memory(limits));
        }
        match first.take() {
            None if whole.is_empty() => first = Some(piece),
            None => whole.extend_from_slice(&piece),
            Some(begin) => {
                // What is announced is not there yet: a promise reserves little.
                let room = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
                whole.reserve(room.min(PROMISED).max(begin.len() + piece.len()));
                whole.extend_from_slice(&begin);
                whole.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// Memory taken at once for a body whose length is only announced.
const PROMISED: usize = 256 * 1024;

/// How much of a refused body is read, and for how long, before the refusal is sent: a caller that writes first and reads then
/// would else see a broken connection and no reason.
const DISCARDED_BYTES: u64 = 64 * 1024 * 1024;
const DISCARDED_FOR: Duration = Duration::from_secs(5);

/// Reads what is left of a body that nobody wants.
pub(crate) async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    if body.is_end_stream() {
        return;
    }
    let all = async {
        let mut left = DISCARDED_BYTES;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let size = frame.data_ref().map_or(0, Bytes::len) as u64;
            let Some(rest) = left.checked_sub(size) else { return };
            left = rest;
        }
    };
    // What does not end in time is left to the connection's end.
    let _ = tokio::time::timeout(DISCARDED_FOR, all).await;
}

fn decoded(bytes: Bytes, headers: &HeaderMap, limits: &Limits) -> Result<Held, ProxyError> {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let encoding = lines.collect::<SmallVec<[&str; 2]>>().join(", ");
    if encoding.is_empty() {
        return Ok(Held { bytes, decoded: false });
    }
    match decode_body(&encoding, &bytes, limits.body) {
        Ok(bytes) => Ok(Held { bytes: bytes.into(), decoded: true }),
        Err(error @ CodingError::TooLarge) => {
            Err(too_large(limits.body, "server.limits.body, which holds for the decoded body").detail(error))
        }
        Err(error @ CodingError::Unknown { .. }) => Err(ProxyError::caller(
            ErrorCode::UnsupportedEncoding,
            Phase::Body,
            format!("{error}; send the body as gzip, deflate or br, or not encoded"),
        )),
        Err(error) => Err(ProxyError::caller(
            ErrorCode::BadRequest,
            Phase::Body,
            format!("the body is not what content-encoding says: {error}"),
        )),
    }
}

fn too_large(limit: u64, key: &str) -> ProxyError {
    ProxyError::caller(
        ErrorCode::BodyTooLarge,
        Phase::Body,
        format!("the request's body has more than the {limit} bytes that are allowed ({key})"),
    )
}

fn too_slow(limit: Duration) -> ProxyError {
    ProxyError::caller(
        ErrorCode::BodyTimeout,
        Phase::Body,
        format!("the request's body did not come whole within {limit:?} (server.limits.body_timeout)"),
    )
}

fn broken() -> ProxyError {
    ProxyError::caller(ErrorCode::BadRequest, Phase::Body, "the request's body broke off before its end")
}

/// Why the body's framing ends it, where it does.
fn fault(connection: &ConnectionState) -> Option<ProxyError> {
    let fault = connection.fault().filter(|fault| fault.in_body())?;
    Some(ProxyError::caller(fault.code(), Phase::Body, fault.message()))
}

fn out_of_memory(limits: &Limits) -> ProxyError {
    ProxyError::internal(
        ErrorCode::Overloaded,
        Phase::Body,
        format!("the bodies being held would exceed {} bytes (server.limits.memory)", limits.memory),
    )
}

/// What became of a body that streams through: written by the body, read by who waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    /// It was asked for a piece since somebody last looked: the provider takes it.
    pub(crate) moved: Cell<bool>,
    /// When its last byte had been handed on.
    pub(crate) done: Cell<Option<Instant>>,
    /// Why it broke off.
    pub(crate) trouble: Cell<Option<Trouble>>,
}

/// Why a body that streams through broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// More bytes than `passthrough_body`.
    TooLarge,
    /// Silent for longer than `body_timeout`.
    TooSlow,
    /// Less than the least rate, for longer than `body_timeout`.
    TooThin,
    /// The caller broke it off.
    Broken,
}

impl Trouble {
    /// As the caller is told.
    pub(crate) fn error(self, limits: &Limits, connection: &ConnectionState) -> ProxyError {
        match self {
            Self::TooLarge => too_large(limits.passthrough_body, "server.limits.passthrough_body"),
            Self::TooSlow => too_slow(limits.body_timeout),
            Self::TooThin => ProxyError::caller(
                ErrorCode::BodyTimeout,
                Phase::Body,
                format!("the request's body came with less than {LEAST_RATE} bytes per second"),
            ),
            Self::Broken => fault(connection).unwrap_or_else(broken),
        }
    }
}

/// A body that streams through, under `passthrough_body`, a limit on its silence and one on its thinness.
#[derive(Debug)]
pub(crate) struct Streamed<B> {
    body: B,
    upload: Rc<Upload>,
    left: u64,
    patience: Duration,
    timer: Timer,
    /// Since when the caller is waited for.
    waiting: Option<Instant>,
    /// How long the caller was waited for until then, and what it sent.
    waited: Duration,
    came: u64,
}

/// Bytes per second that a body brings at the least, on average over the time in which its caller was waited for. Apache asks
/// for 500 (mod_reqtimeout); half of that comes over the worst of radio links, and a byte a second, with which a connection to a
/// provider could be held for years, does not.
const LEAST_RATE: u64 = 256;

impl<B: Body> Streamed<B> {
    /// Refuses what announces itself as too large.
    pub(crate) fn new(body: B, limits: &Limits) -> Result<Self, ProxyError> {
        if body.size_hint().lower() > limits.passthrough_body {
            return Err(too_large(limits.passthrough_body, "server.limits.passthrough_body"));
        }
        let patience = limits.body_timeout;
        let upload = Rc::new(Upload::default());
        if body.is_end_stream() {
            upload.done.set(Some(clock::now()));
        }
        let (left, timer) = (limits.passthrough_body, Timer::default());
        Ok(Self { body, upload, left, patience, timer, waiting: None, waited: Duration::ZERO, came: 0 })
    }

    /// Nobody takes it: read to its end, so that the caller reads the answer.
    pub(crate) async fn discard(self)
    where
        B: Body<Data = Bytes> + Unpin,
    {
        discard(self).await;
    }

    /// What becomes of it.
    pub(crate) fn upload(&self) -> Rc<Upload> {
        Rc::clone(&self.upload)
    }

    /// When the caller has been waited for too long, and what that is called. A body that comes thinly has the patience's time
    /// in all, and more only for what it brought.
    fn deadline(&self, since: Instant) -> (Instant, Trouble) {
        let earned = Duration::from_millis(self.came.saturating_mul(1000) / LEAST_RATE);
        let left = self.patience.max(earned).saturating_sub(self.waited);
        if left < self.patience {
            (since + left, Trouble::TooThin)
        } else {
            (since + self.patience, Trouble::TooSlow)
        }
    }

    /// The caller is no longer waited for.
    fn came(&mut self, size: u64) {
        self.came = self.came.saturating_add(size);
        if let Some(since) = self.waiting.take() {
            self.waited += clock::now().saturating_duration_since(since);
        }
    }

    fn over(&self, trouble: Trouble) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        self.upload.trouble.set(Some(trouble));
        Poll::Ready(Some(Err(BodyBroken::Request)))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Streamed<B> {
    type Data = Bytes;
    type Error = BodyBroken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        let this = self.get_mut();
        this.upload.moved.set(true);
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.came(size);
                match this.left.checked_sub(size) {
                    Some(left) => {
                        this.left = left;
                        if this.body.is_end_stream() {
                            this.upload.done.set(Some(clock::now()));
                        }
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => this.over(Trouble::TooLarge),
                }
            }
            Poll::Ready(Some(Err(_))) => this.over(Trouble::Broken),
            Poll::Ready(None) => {
                this.upload.done.set(Some(clock::now()));
                Poll::Ready(None)
            }
            Poll::Pending => {
                let since = *this.waiting.get_or_insert_with(clock::now);
                let (deadline, trouble) = this.deadline(since);
                ready!(this.timer.poll_until(cx, deadline));
                this.over(trouble)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
