//! 6: the answer goes back as it comes. Nothing is held back; nothing is added but to an answer that broke off, and comments to
//! one that is silent where the configuration asks for them.
//!
//! A stream that breaks off gets the dialect's own error event and then a broken transfer: never a clean end.

mod crossed;
mod guard;
mod heartbeat;
mod told;
mod translation;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::clock;
use crate::observe::{CutCause, Outcome};
use crate::proxy::body::{AnswerBody, BodyBroken};
use crate::proxy::dispatch::{Answered, Upstream};
use crate::proxy::exchange::{Exchange, LOOK_FOR_CUTS};
use crate::proxy::identify::Upload;
use crate::proxy::relay::guard::Guard;
use crate::proxy::relay::heartbeat::Heartbeat;
use crate::proxy::relay::told::Told;
use crate::proxy::relay::translation::Translation;
use crate::proxy::rewrite::Back;
use crate::proxy::{fields, holders, pins, respond};
use crate::wire::{
    CutParts, Endpoint, ErrorCode, ErrorParts, Finish, Tap, UsageFilter, cut_events, error_event,
};

/// How long an error event gets to reach the caller before the transfer is broken off: hyper throws away what it has not
/// written by then.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// An answer on its way back.
#[derive(Debug)]
pub struct Relay {
    exchange: Box<Exchange>,
    body: Incoming,
    upstream: Option<Upstream>,
    /// What becomes of a request's body that streams through: until it is done, the connection is not free.
    upload: Option<Rc<Upload>>,
    tap: Tap,
    /// Boxed: few answers need it, and it wants an alignment that every answer would pay for.
    filter: Option<Box<UsageFilter>>,
    /// Says the answer in the caller's words. Boxed, as the filter is.
    translation: Option<Box<Translation>>,
    /// What the filter has let through, or was read before the head went out, and the caller has not taken yet.
    ready: VecDeque<Bytes>,
    state: State,
    /// The last piece was handed over and not taken yet, as far as is known.
    handed: bool,
    /// It is an event stream whose text is readable: an error event can be put into it.
    events: bool,
    /// Its end is told by the connection's end alone.
    ends_with_connection: bool,
    status: u16,
    idle: Option<Duration>,
    total: Option<Instant>,
    /// Since when nothing comes while the caller waits.
    waiting_since: Option<Instant>,
    /// When it was last looked whether an operator has ended the answer.
    looked: Option<Instant>,
    heartbeat: Option<Heartbeat>,
    guard: Option<Guard>,
    /// The answer has grown out of shape: it ends with the event that is open.
    cut: Option<CutCause>,
}

#[derive(Debug)]
enum State {
    Flowing,
    LastWords(Pin<Box<Sleep>>),
    Over,
}

/// What the provider's side said.
enum Piece {
    Data(Bytes),
    /// Nothing; it is our own turn.
    Silence(Bytes),
    End,
    Broken,
    TooSlow,
    /// An operator has ended it.
    ToldToEnd,
}

/// Makes the caller's answer of the provider's.
pub(crate) fn relay(
    mut exchange: Box<Exchange>,
    answered: Box<Answered>,
    back: Back,
) -> Response<AnswerBody> {
    if let Some(memory) = back.translated.as_ref().filter(|_| answered.whole) {
        return crossed::whole(exchange, *answered, memory);
    }
    let Answered { response, upstream, upload, at, first, .. } = *answered;
    let (mut head, body) = response.into_parts();
    let told = Told::of(&head.headers);
    // Neither a length nor chunks: whoever cuts the connection cuts the answer, and nothing tells it from its end.
    let ends_with_connection = head.version <= Version::HTTP_11 && !told.framed && !body.is_end_stream();
    let Told { events, encoding, .. } = told;
    fields::remove(&mut head.headers, |_| false);
    head.version = Version::HTTP_11;
    let translation = back.translated.map(|memory| Box::new(Translation::new(*memory, encoding.as_deref())));
    let readable = translation.is_some() || encoding.as_deref().is_none_or(crate::wire::is_identity);
    let filter = (back.hide_usage && events && readable).then(|| Box::new(UsageFilter::new()));
    if filter.is_some() {
        head.headers.remove(header::CONTENT_LENGTH);
    }
    if translation.is_some() {
        crossed::headers(&mut head.headers, exchange.endpoint);
        exchange.kept = None;
    }
    // Where a length was promised there is no room for comments.
    let roomy = events && readable && (translation.is_some() || body.size_hint().exact().is_none());
    let heartbeat = exchange.snapshot.config.server.heartbeat.filter(|_| roomy).map(Heartbeat::new);
    let guard = Guard::of(&exchange).filter(|_| roomy && head.status.is_success());
    let tap = tap(&exchange, head.status.is_success(), events, guard);
    let tap = match &encoding {
        Some(encoding) => tap.decoding(encoding),
        None => tap,
    };
    respond::answer_headers(&exchange, &mut head.headers);
    respond::no_more_tries(&exchange, head.status, &mut head.headers);
    let timeouts = exchange.provider.as_ref().map(|plan| plan.timeouts);
    let told_encoding = encoding.as_deref().filter(|_| translation.is_none());
    note_head(&mut exchange, head.status, events, told_encoding);
    holders::begun(&mut exchange, head.status);
    if exchange.conversation.is_some() && head.status.is_success() {
        pins::answered(&mut exchange);
    }
    let total = timeouts.and_then(|timeouts| timeouts.total).map(|total| exchange.started + total);
    exchange.connection.cut_at(total);
    exchange.hand_over();
    note_overhead(&exchange, at);
    let mut relay = Relay {
        body,
        upstream: Some(upstream),
        upload,
        tap,
        filter,
        translation,
        ready: VecDeque::new(),
        state: State::Flowing,
        handed: false,
        events: events && readable,
        ends_with_connection,
        status: head.status.as_u16(),
        idle: timeouts.and_then(|timeouts| timeouts.idle),
        total,
        waiting_since: None,
        looked: None,
        heartbeat,
        guard,
        cut: None,
        exchange,
    };
    for bytes in first {
        if let Some(bytes) = relay.pass(bytes) {
            relay.ready.push_back(bytes);
        }
    }
    Response::from_parts(head, AnswerBody::Relayed(Box::new(relay)))
}

/// The provider's answer has come at this time: what of the time until then was dimmer's own.
fn note_overhead(exchange: &Exchange, at: Instant) {
    if let Some(route) = &exchange.route {
        let overhead = at.saturating_duration_since(exchange.started).saturating_sub(exchange.waited);
        route.series.overhead.observe(overhead.as_secs_f64());
    }
}

/// The answer's head is there, and goes out.
fn note_head(exchange: &mut Exchange, status: StatusCode, events: bool, encoding: Option<&str>) {
    exchange.answered = true;
    exchange.status = Some(status.as_u16());
    if let Some(watched) = &mut exchange.watched {
        watched.begins(events, encoding);
    }
}

fn tap(exchange: &Exchange, success: bool, events: bool, guard: Option<Guard>) -> Tap {
    let spoken = exchange.spoken;
    let read = exchange.endpoint.answers() || (exchange.endpoint == Endpoint::Embeddings && !events);
    let tap = match (read && success, events) {
        (false, _) => Tap::blind(),
        (true, true) => Tap::stream(spoken),
        (true, false) => Tap::whole(spoken),
    };
    let tap =
        if guard.is_some_and(|guard| guard.limits.repetition) { tap.watching_repetition() } else { tap };
    let counts = exchange.seed.is_some() && exchange.gateway().recorder.is_on();
    let tap = if counts { tap.counting_words() } else { tap };
    if exchange.wants_json { tap.judging_json() } else { tap }
}

impl Relay {
    /// The next piece for the caller.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        if std::mem::take(&mut self.handed) {
            self.exchange.connection.take();
        }
        let polled = self.next_frame(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.handed = true;
            self.exchange.connection.hand();
        }
        polled
    }

    fn next_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(self.frame(bytes))));
            }
            let may_be_cut = self.cut.is_some() && self.is_between_events();
            match &mut self.state {
                State::Over => return Poll::Ready(None),
                State::LastWords(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.state = State::Over;
                    return Poll::Ready(Some(Err(BodyBroken::Answer)));
                }
                // A provider that never pauses is never waited for, and has to end all the same.
                State::Flowing if self.total.is_some_and(|total| clock::now() >= total) => {
                    self.break_off(Outcome::Timeout);
                    continue;
                }
                // Nor is one that pauses no longer than its reader.
                State::Flowing if self.exchange.is_cut() && !self.tap.facts().complete => {
                    self.exchange.cut_off = true;
                    self.break_off(Outcome::Cut);
                    continue;
                }
                State::Flowing if may_be_cut => {
                    self.cut_off();
                    continue;
                }
                // What cannot be read cannot be translated.
                State::Flowing if self.translation.as_ref().is_some_and(|it| it.is_broken()) => {
                    self.break_off(Outcome::Cut);
                    continue;
                }
                State::Flowing => {}
            }
            match ready!(self.next(cx)) {
                Piece::Data(bytes) => {
                    if let Some(bytes) = self.pass(bytes) {
                        return Poll::Ready(Some(Ok(self.frame(bytes))));
                    }
                }
                Piece::Silence(comment) => return Poll::Ready(Some(Ok(Frame::data(comment)))),
                Piece::End if self.ends_too_early() || self.ends_untold() => self.break_off(Outcome::Cut),
                Piece::End => self.end(),
                Piece::Broken => self.break_off(Outcome::Cut),
                Piece::TooSlow => self.break_off(Outcome::Timeout),
                Piece::ToldToEnd => {
                    self.exchange.cut_off = true;
                    self.break_off(Outcome::Cut);
                }
            }
        }
    }

    /// What the caller is given next.
    fn frame(&mut self, bytes: Bytes) -> Frame<Bytes> {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.passes(&bytes);
        }
        Frame::data(bytes)
    }

    /// Nothing more will come.
    pub(crate) fn is_over(&self) -> bool {
        match self.state {
            State::Over => self.ready.is_empty(),
            State::Flowing => {
                self.filter.is_none()
                    && self.translation.is_none()
                    && self.cut.is_none()
                    && self.ready.is_empty()
                    && self.body.is_end_stream()
            }
            State::LastWords(_) => false,
        }
    }

    /// How long the answer is, where that is known and stays true.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match (&self.filter, &self.translation, &self.state) {
            (None, None, State::Flowing) if self.ready.is_empty() => self.body.size_hint(),
            _ => SizeHint::default(),
        }
    }

    /// What the provider says next: what has arrived already needs no look at the connection.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if let Poll::Ready(piece) = self.arrived(cx) {
            return Poll::Ready(piece);
        }
        if let Some(upstream) = &mut self.upstream
            && upstream.connection.as_mut().poll(cx).is_ready()
        {
            self.upstream = None;
        }
        if let Poll::Ready(piece) = self.arrived(cx) {
            return Poll::Ready(piece);
        }
        self.wait(cx)
    }

    fn arrived(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        loop {
            let piece = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // Trailers belong to the connection that they came on.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => Piece::Data(bytes),
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    tracing::debug!(request_id = self.exchange.id.as_str(), %error, "a provider's answer broke off");
                    Piece::Broken
                }
                None => Piece::End,
            };
            self.waiting_since = None;
            return Poll::Ready(piece);
        }
    }

    /// Nothing has come: for how long may that be? The time in which the caller takes nothing does not count.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        let since = *self.waiting_since.get_or_insert_with(clock::now);
        let end = self.idle.map(|limit| since + limit).into_iter().chain(self.total).min();
        // Without a connection nothing is waited for: what there is has come.
        let Some(upstream) = &mut self.upstream else { return Poll::Pending };
        if self.exchange.is_cut() {
            return Poll::Ready(Piece::ToldToEnd);
        }
        loop {
            let look = self.looked.map_or(since, |looked| looked.max(since)) + LOOK_FOR_CUTS;
            let beat = self.heartbeat.as_ref().map(|heartbeat| heartbeat.due(since));
            let next = end.into_iter().chain(beat).fold(look, Instant::min);
            ready!(upstream.timer.poll_until(cx, next));
            let now = clock::now();
            if self.exchange.is_cut() {
                return Poll::Ready(Piece::ToldToEnd);
            }
            if now >= look {
                self.looked = Some(now);
            }
            if end.is_some_and(|end| now >= end) {
                return Poll::Ready(Piece::TooSlow);
            }
            if beat.is_none_or(|beat| now < beat) {
                continue;
            }
            let comment = self.heartbeat.as_mut().and_then(|heartbeat| heartbeat.beat(now));
            if let Some(comment) = comment.filter(|_| !self.tap.facts().complete) {
                return Poll::Ready(Piece::Silence(comment));
            }
        }
    }

    /// A piece on its way: looked at, and given back where nothing has to be cut out of it.
    fn pass(&mut self, mut bytes: Bytes) -> Option<Bytes> {
        if self.translation.is_some() {
            return self.translate(&bytes);
        }
        let behind = self.cut.and_then(|_| self.tap.rest_of_event(&bytes)).map(|rest| bytes.split_off(rest));
        self.tap.feed(&bytes);
        if let Some(watched) = &mut self.exchange.watched {
            watched.see(&bytes);
        }
        if let Some(guard) = &mut self.guard {
            self.cut = guard.judge(self.tap.facts());
        }
        if let Some(behind) = behind.filter(|_| self.cut.is_none()) {
            // The event that was open is the answer's own end.
            self.tap.feed(&behind);
            if let Some(watched) = &mut self.exchange.watched {
                watched.see(&behind);
            }
            bytes = [bytes, behind].concat().into();
        }
        self.learn();
        self.note_first_token();
        let Some(filter) = &mut self.filter else { return Some(bytes) };
        let ready = &mut self.ready;
        filter.feed(bytes, &mut |bytes| ready.push_back(bytes));
        None
    }

    fn note_first_token(&mut self) {
        if self.events && self.exchange.first_token.is_none() && self.tap.facts().content_started {
            self.exchange.first_token = Some(clock::now().saturating_duration_since(self.exchange.started));
        }
    }

    /// Ends an answer out of shape as its API ends one that has reached its limit of length, and leaves the provider.
    fn cut_off(&mut self) {
        let Some(cause) = self.cut.take() else { return };
        if let Some(filter) = &mut self.filter {
            let ready = &mut self.ready;
            filter.finish(&mut |bytes| ready.push_back(bytes));
        }
        let facts = self.tap.facts();
        if !facts.complete && !facts.error {
            let callers = self.callers();
            let parts = CutParts {
                facts: callers.facts(),
                open_block: callers.open_block(),
                sequence: callers.next_sequence(),
                now_s: clock::unix_ms() / 1000,
            };
            let events = cut_events(self.exchange.endpoint, &parts);
            self.ready.push_back(events.into());
            if let (Some(route), Some(decision)) = (&self.exchange.route, &self.exchange.decision)
                && let Some(series) = route.model_series(decision.place(route))
            {
                series.cut(cause);
            }
            self.tap.was_cut();
        }
        self.settle(Outcome::Ok);
        self.upstream = None;
    }

    /// What the provider keeps is known by its name before the caller knows it.
    fn learn(&mut self) {
        if self.exchange.kept.is_some()
            && let Some(id) = &self.tap.facts().answer_id
        {
            holders::named(&mut self.exchange, id);
        }
    }

    /// An answer whose end only the connection tells has to say itself that it is whole.
    fn ends_too_early(&mut self) -> bool {
        if !self.ends_with_connection {
            return false;
        }
        self.tap.finish();
        let facts = self.tap.facts();
        !facts.blind && !facts.complete && !facts.error
    }

    /// The provider has said everything.
    fn end(&mut self) {
        if let Some(filter) = &mut self.filter {
            let ready = &mut self.ready;
            filter.finish(&mut |bytes| ready.push_back(bytes));
        }
        self.tap.finish();
        let outcome = self.outcome();
        self.settle(outcome);
        let uploaded = self.upload.as_ref().is_none_or(|upload| upload.done.get().is_some());
        let now = clock::now();
        self.exchange.ended = Some(now);
        if let Some(upstream) = self.upstream.take().filter(|_| uploaded && !self.ends_with_connection) {
            self.exchange.worker.pool.borrow_mut().put(upstream, now);
        }
    }

    fn outcome(&self) -> Outcome {
        let facts = self.tap.facts();
        match self.status {
            429 | 500.. => Outcome::UpstreamError,
            400..=499 => Outcome::CallerError,
            _ if facts.blind => Outcome::Ok,
            _ if facts.error => Outcome::UpstreamError,
            _ if self.events && !facts.complete => Outcome::Cut,
            _ if facts.refused || facts.finish == Some(Finish::Refusal) => Outcome::Refused,
            _ => Outcome::Ok,
        }
    }

    /// What was learned goes to the exchange. The answer's id is the one that the caller knows it by.
    fn take_facts(&mut self) {
        if self.tap.facts().blind {
            return;
        }
        let mut facts = self.tap.take_facts();
        if let Some(translation) = &self.translation {
            facts.answer_id = translation.callers().facts().answer_id.clone();
        }
        self.exchange.facts = Some(facts);
    }

    fn settle(&mut self, outcome: Outcome) {
        self.learn();
        self.exchange.outcome = Some(outcome);
        self.take_facts();
        self.state = State::Over;
    }

    /// The provider has broken its answer off: the caller must not take it for whole.
    fn break_off(&mut self, outcome: Outcome) {
        self.tap.finish();
        self.settle(outcome);
        self.upstream = None;
        let mut wait = Duration::ZERO;
        if self.events && self.exchange.endpoint.answers() {
            // What is held of half an event stays away: after an error nobody can use it.
            self.ready.push_back(self.error_event(outcome).into());
            wait = LAST_WORDS;
        }
        self.state = State::LastWords(Box::pin(tokio::time::sleep(wait)));
    }

    fn error_event(&self, outcome: Outcome) -> Vec<u8> {
        let (code, message) = match outcome {
            _ if self.exchange.cut_off => {
                (ErrorCode::KillSwitch, "an operator has ended the answers in flight; this one is not whole")
            }
            Outcome::Timeout => {
                (ErrorCode::UpstreamTimeout, "the provider stopped sending; the answer is not whole")
            }
            _ => (ErrorCode::UpstreamReset, "the provider broke the answer off; it is not whole"),
        };
        let parts = ErrorParts {
            status: code.status(),
            code: code.as_str(),
            message,
            param: None,
            request_id: self.exchange.id.as_str(),
        };
        let event = error_event(self.exchange.endpoint, &parts, self.callers().next_sequence());
        if self.is_between_events() {
            return event;
        }
        // Half an event has been sent: an empty line ends it, so that ours is an event of its own.
        [b"\n\n".as_slice(), &event].concat()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.handed {
            self.exchange.connection.take();
        }
        // hyper does not ask for the end of an answer whose length it knows.
        if !matches!(self.state, State::Flowing) {
            return;
        }
        if self.is_over() {
            self.end();
            return;
        }
        if self.total.is_some_and(|total| clock::now() >= total) {
            self.exchange.outcome = Some(Outcome::Timeout);
        }
        if self.exchange.is_cut() {
            self.exchange.cut_off = true;
            self.exchange.outcome = Some(Outcome::Cut);
        }
        if self.tap.facts().complete || self.tap.facts().error {
            // Nobody misses anything who leaves at the last event; SDKs leave at an error.
            self.exchange.outcome = Some(self.outcome());
        }
        // The caller went away; what the provider has told until then is billed.
        self.take_facts();
    }
}
