//! An answer's body whose pieces each have their time, and which may break off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep};

use crate::clock;

/// The pieces of a stream, each with its time after the request.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// In order.
    pub(super) timed: Vec<(Duration, Bytes)>,
    /// Break off where the pieces end: no last chunk, the connection is closed.
    pub(super) cut: bool,
}

/// The body that plays them.
pub(super) struct Script {
    pieces: std::vec::IntoIter<(Duration, Bytes)>,
    next: Option<(Duration, Bytes)>,
    cut: bool,
    begun: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Script {
    /// Plays `pieces`, whose times count from `begun`.
    pub(super) fn new(begun: Instant, mut pieces: Pieces) -> Self {
        // What was written must leave the socket before it is closed, or the cut would eat it.
        const BEFORE_CUT: Duration = Duration::from_millis(10);
        if pieces.cut {
            let end = pieces.timed.last().map_or(Duration::ZERO, |(due, _)| *due) + BEFORE_CUT;
            pieces.timed.push((end, Bytes::new()));
        }
        let mut timed = pieces.timed.into_iter();
        let next = timed.next();
        Self { pieces: timed, next, cut: pieces.cut, begun, sleep: Box::pin(tokio::time::sleep_until(begun)) }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((due, _)) = self.next else { return Poll::Ready(None) };
        let when = self.begun + due;
        if clock::now() < when.into_std() {
            if self.sleep.deadline() != when {
                self.sleep.as_mut().reset(when);
            }
            ready!(self.sleep.as_mut().poll(cx));
        }
        let following = self.pieces.next();
        let Some((_, piece)) = std::mem::replace(&mut self.next, following) else {
            return Poll::Ready(None);
        };
        if self.cut && self.next.is_none() {
            return Poll::Ready(Some(Err(io::Error::other("the simulated provider cuts this stream"))));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}
