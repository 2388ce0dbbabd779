//! The first event of a stream, waited for where its being an error leads to another target. What was read until then is kept in
//! order, and goes to the caller as it came.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header;
use http_body::Body;

use crate::clock;
use crate::config::FallbackOn;
use crate::observe::Outcome;
use crate::proxy::dispatch::Answered;
use crate::proxy::dispatch::chain::Failed;
use crate::proxy::exchange::{LOOK_FOR_CUTS, is_cut};
use crate::snapshot::Aboard;
use crate::wire::{Endpoint, Facts, Tap};

/// A provider may talk in comments for as long as it likes, but not without end: beyond this the answer goes on its way.
const HELD_MAX: usize = 256 * 1024;

/// How a stream begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// With something for the caller.
    Good,
    /// With an error before any content: the stream is there, and may still be passed on.
    Error(Failed),
    /// With nothing: it broke off, or ended.
    Broken,
    /// With nothing for too long.
    TooSlow,
    /// With nothing until an operator ended it.
    ToldToEnd,
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits<'a> {
    /// Between two pieces.
    pub(super) idle: Option<Duration>,
    /// For everything.
    pub(super) total: Option<Instant>,
    /// What the request is in flight with.
    pub(super) aboard: &'a [Aboard],
}

/// What comes of an answer's body.
pub(super) enum Piece {
    Data(Bytes),
    End,
    Broken,
    TooSlow,
    ToldToEnd,
}

/// Reads until the first event is there.
pub(super) async fn first_event(answered: &mut Answered, endpoint: Endpoint, waits: Waits<'_>) -> Beginning {
    let encoding = answered.response.headers().get(header::CONTENT_ENCODING);
    let mut tap = Tap::stream(endpoint);
    if let Some(encoding) = encoding.and_then(|value| value.to_str().ok()) {
        tap = tap.decoding(encoding);
    }
    let mut held = 0_usize;
    loop {
        match piece(answered, waits).await {
            Piece::Data(bytes) => {
                held = held.saturating_add(bytes.len());
                tap.feed(&bytes);
                answered.first.push_back(bytes);
            }
            Piece::End => {
                tap.finish();
                let whole = tap.first_event_seen() && !tap.facts().blind;
                let facts = tap.facts();
                return match failed(facts) {
                    Some(failed) => Beginning::Error(failed),
                    None if whole || (facts.blind && held > 0) => Beginning::Good,
                    None => Beginning::Broken,
                };
            }
            // What came is no event yet, so nothing of it is lost.
            Piece::Broken => return Beginning::Broken,
            Piece::TooSlow => return Beginning::TooSlow,
            Piece::ToldToEnd => return Beginning::ToldToEnd,
        }
        if let Some(failed) = failed(tap.facts()) {
            return Beginning::Error(failed);
        }
        if tap.first_event_seen() || held > HELD_MAX {
            return Beginning::Good;
        }
    }
}

/// The next piece, or why there is none.
pub(super) async fn piece(answered: &mut Answered, waits: Waits<'_>) -> Piece {
    let since = clock::now();
    let deadline = waits.idle.map(|idle| since + idle).into_iter().chain(waits.total).min();
    let mut look = since + LOOK_FOR_CUTS;
    let Answered { response, upstream, .. } = answered;
    poll_fn(|cx| {
        let mut open = true;
        loop {
            if let Poll::Ready(piece) = arrived(Pin::new(response.body_mut()), cx) {
                return Poll::Ready(piece);
            }
            if !open {
                break;
            }
            // The connection moves the bytes; what it brings is looked for once more.
            let _closed = upstream.connection.as_mut().poll(cx).is_ready();
            open = false;
        }
        loop {
            ready!(upstream.timer.poll_until(cx, deadline.map_or(look, |deadline| deadline.min(look))));
            if is_cut(waits.aboard) {
                return Poll::Ready(Piece::ToldToEnd);
            }
            if deadline.is_some_and(|deadline| deadline <= look) {
                return Poll::Ready(Piece::TooSlow);
            }
            look += LOOK_FOR_CUTS;
        }
    })
    .await
}

fn arrived(mut body: Pin<&mut hyper::body::Incoming>, cx: &mut Context<'_>) -> Poll<Piece> {
    loop {
        return match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => Poll::Ready(Piece::Data(bytes)),
                Err(_) => continue,
            },
            Poll::Ready(Some(Err(_))) => Poll::Ready(Piece::Broken),
            Poll::Ready(None) => Poll::Ready(Piece::End),
            Poll::Pending => Poll::Pending,
        };
    }
}

/// An error that came before any content, unless it tells the caller what is wrong with its request.
fn failed(facts: &Facts) -> Option<Failed> {
    if !facts.error || facts.content_started {
        return None;
    }
    let is =
        |told: &Option<Box<str>>, known: &[&str]| told.as_deref().is_some_and(|told| known.contains(&told));
    if is(&facts.error_type, &CALLERS) || is(&facts.error_code, &CALLERS) {
        return None;
    }
    let limited = is(&facts.error_type, &LIMITS) || is(&facts.error_code, &LIMITS);
    let on = if limited { FallbackOn::TooManyRequests } else { FallbackOn::ServerError };
    Some(Failed { on, outcome: Outcome::UpstreamError })
}

/// What another target would say too.
const CALLERS: [&str; 6] = [
    "invalid_request_error",
    "request_too_large",
    "invalid_prompt",
    "context_length_exceeded",
    "content_filter",
    "content_policy_violation",
];

/// What a 429 says.
const LIMITS: [&str; 4] = ["rate_limit_error", "rate_limit_exceeded", "insufficient_quota", "requests"];
