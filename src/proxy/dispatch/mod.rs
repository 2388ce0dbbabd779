//! 5: the request goes to its provider, over a connection that the request's own task drives.
//!
//! No connection has a task of its own: no channel, no wake-up and no task switch lies between provider and caller, and
//! dropping the exchange closes the connection at once. A request is sent a second time only when not a byte of it was
//! written, or when the provider has said that it has no room for it.

mod apart;
mod chain;
mod connect;
mod cut;
mod first;
mod gather;
mod key;
mod pool;
mod question;
mod retry;

pub(crate) use apart::{Apart, Unanswered};
pub(crate) use chain::{leave_reply, leave_unsaid, pass_over};
pub(crate) use connect::Connector;
pub(crate) use gather::gather;
pub(crate) use pool::Pool;
pub(crate) use pool::Upstream;
pub(crate) use question::{Said, ask_service};

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use crate::clock;
use crate::proxy::body::RequestBody;
use crate::proxy::dispatch::chain::Failed;
use crate::proxy::dispatch::cut::{told_to_end, unless_cut};
use crate::proxy::dispatch::first::{Beginning, Waits};
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::{Exchange, LOOK_FOR_CUTS, is_cut};
use crate::proxy::identify::Upload;
use crate::proxy::rewrite::Outgoing;
use crate::proxy::timer::Timer;
use crate::proxy::trace;
use crate::snapshot::{Aboard, ProviderPlan, ReplyPlan};
use crate::wire::ErrorCode;

/// The head of a provider's answer, and the connection that its body comes on.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Head and body.
    pub(crate) response: Response<Incoming>,
    /// What drives the body.
    pub(crate) upstream: Upstream,
    /// What becomes of the request's body, which may still be on its way.
    pub(crate) upload: Option<Rc<Upload>>,
    /// When the head came.
    pub(crate) at: Instant,
    /// What of the body was read to see how it begins.
    pub(crate) first: VecDeque<Bytes>,
    /// That is all of it.
    pub(crate) whole: bool,
}

/// Sends the request and waits for the head of the answer.
pub(crate) async fn send(
    exchange: &mut Exchange,
    outgoing: &mut Outgoing,
) -> Result<Box<Answered>, ProxyError> {
    let provider = Arc::clone(&outgoing.provider);
    exchange.provider = Some(Arc::clone(&provider));
    exchange.key = outgoing.key;
    exchange.board(Some(&provider));
    let began = clock::now();
    exchange.target_began = Some(began);
    exchange.noted = false;
    trace::asks(exchange, began);
    if exchange.again == 0 {
        provider.budget.requested();
    }
    let waited = exchange.waited;
    let mut result = attempt(exchange, &provider, outgoing, began).await;
    let now = clock::now();
    let took = now.saturating_duration_since(began);
    // The waits between its tries lie within it.
    exchange.waited = waited + took;
    if let Ok(answered) = &mut result {
        answered.at = now;
    }
    let status = result.as_ref().ok().map(|answered| answered.response.status());
    provider.series.answered(status.map(|status| status.as_u16()));
    trace::heard(exchange, result.as_ref().map(|answered| answered.response.status().as_u16()));
    if status.is_some() {
        provider.series.duration.observe(took.as_secs_f64());
    }
    if let Some(oddity) = result.as_ref().ok().and_then(|answered| oddity(&answered.response)) {
        return Err(ProxyError::upstream(
            ErrorCode::UpstreamProtocol,
            Phase::Await,
            format!("the provider `{}` {oddity}", provider.provider.name),
        ));
    }
    if let (Some(place), Ok(answered)) = (exchange.key, &result) {
        key::judge(&provider, place, &answered.response)?;
    }
    result
}

/// Whether what was sent is for the caller as it is: nearly always. What is not has to be judged.
pub(crate) fn is_final(exchange: &Exchange, sent: &Result<Box<Answered>, ProxyError>) -> bool {
    let Ok(answered) = sent else { return !exchange.repeatable };
    let passes = Failed::with(answered.response.status().as_u16()).is_none();
    // One that is translated can still break off before anything of it goes out.
    let goes_out = !awaits_event(exchange, answered) && !exchange.crosses();
    !exchange.repeatable || passes && goes_out
}

/// Its first event has to come before it is known what becomes of it.
fn awaits_event(exchange: &Exchange, answered: &Answered) -> bool {
    chain::waits_for_event(exchange)
        && answered.response.status().is_success()
        && is_event_stream(answered.response.headers())
}

/// What becomes of what was sent: `Some` is for the caller. `None`: the decision now says who is asked next, which may be the same
/// target once more. `fits` says whether a reply can answer the request.
pub(crate) async fn judge(
    exchange: &mut Exchange,
    sent: Result<Box<Answered>, ProxyError>,
    fits: impl Fn(&Exchange, &ReplyPlan) -> bool,
) -> Option<Result<Box<Answered>, ProxyError>> {
    let (failed, sent) = match sent {
        Ok(answered) => look(exchange, answered).await?,
        Err(error) => (Failed::by(&error), Err(error)),
    };
    if let Some(failed) = failed
        && chain::has_next(exchange)
        && chain::go_on(exchange, failed, fits)
    {
        return None;
    }
    // A whole answer that is held has its share until it is sent.
    if !sent.as_ref().is_ok_and(|answered| answered.whole) {
        exchange.reservation = None;
    }
    Some(sent)
}

type Looked = (Option<Failed>, Result<Box<Answered>, ProxyError>);

/// Whether an answer is a failure of who gave it. `None`: the same target is asked again.
async fn look(exchange: &mut Exchange, mut answered: Box<Answered>) -> Option<Looked> {
    let Some(provider) = exchange.provider.clone() else { return Some((None, Ok(answered))) };
    let status = answered.response.status();
    if retry::refused(exchange, &provider, status, answered.response.headers()).await {
        return None;
    }
    if exchange.is_cut() {
        return Some((None, Err(told_to_end())));
    }
    let failed = Failed::with(status.as_u16());
    if failed.is_some() || !awaits_event(exchange, &answered) {
        if failed.is_none()
            && exchange.crosses()
            && let Err(error) = gather(exchange, &mut answered).await
        {
            return Some((Failed::by(&error), Err(error)));
        }
        return Some((failed, Ok(answered)));
    }
    let timeouts = provider.timeouts;
    let total = timeouts.total.map(|total| exchange.started + total);
    let began = clock::now();
    let waits = Waits { idle: timeouts.idle, total, aboard: &exchange.aboard };
    let beginning = first::first_event(&mut answered, exchange.spoken, waits).await;
    exchange.waited += clock::now().saturating_duration_since(began);
    let name = &provider.provider.name;
    let error = match beginning {
        Beginning::Good => return Some((None, Ok(answered))),
        Beginning::Error(failed) => return Some((Some(failed), Ok(answered))),
        Beginning::ToldToEnd => told_to_end(),
        Beginning::Broken => ProxyError::upstream(
            ErrorCode::UpstreamReset,
            Phase::Await,
            format!("the provider `{name}` broke its stream off before the first event"),
        ),
        Beginning::TooSlow => ProxyError::upstream(
            ErrorCode::UpstreamTimeout,
            Phase::Await,
            format!(
                "the provider `{name}` did not send its stream's first event in time (providers.{name}.timeouts)"
            ),
        ),
    };
    Some((Failed::by(&error), Err(error)))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..EVENT_STREAM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM))
}

const EVENT_STREAM: &[u8] = b"text/event-stream";

async fn attempt(
    exchange: &mut Exchange,
    provider: &ProviderPlan,
    outgoing: &mut Outgoing,
    began: Instant,
) -> Result<Box<Answered>, ProxyError> {
    let patience = Patience {
        first_byte: match exchange.stream {
            true => provider.timeouts.first_byte_stream,
            false => provider.timeouts.first_byte_whole,
        },
        total: provider.timeouts.total.map(|total| exchange.started + total),
        upload: outgoing.upload.take(),
        upload_stall: exchange.snapshot.config.server.limits.body_timeout,
    };
    let request = &mut outgoing.request;
    let idle = exchange.worker.pool.borrow_mut().take(&provider.endpoint, began);
    if let Some(upstream) = idle {
        match exchange_on(upstream, request, &patience, began, &exchange.aboard).await {
            Ok(answered) => return Ok(answered),
            // The provider had closed the connection: not a byte was written, so nothing can happen twice.
            Err(Failure::Unwritten) => {}
            Err(failure) => return Err(failure.error(exchange, patience.upload.as_deref())),
        }
    }
    // In a box: nearly every request goes over a connection that is there, and would be larger for what opens one.
    Box::pin(on_new_ones(exchange, provider, request, &patience)).await
}

/// The request on a new connection, and on another one where nothing was written and that may be tried.
async fn on_new_ones(
    exchange: &mut Exchange,
    provider: &ProviderPlan,
    request: &mut Option<Request<RequestBody>>,
    patience: &Patience,
) -> Result<Box<Answered>, ProxyError> {
    loop {
        let error = match on_new(exchange, provider, request, patience).await {
            Ok(answered) => return Ok(answered),
            Err(error) => error,
        };
        if request.is_some() && retry::unwritten(exchange, provider, &error).await {
            continue;
        }
        let error = if exchange.is_cut() { told_to_end() } else { error };
        if let Some(RequestBody::Streamed(body)) = request.take().map(Request::into_body) {
            body.discard().await;
        }
        return Err(error);
    }
}

/// One request on a connection of its own. It is still there where nothing of it was written.
async fn on_new(
    exchange: &Exchange,
    provider: &ProviderPlan,
    request: &mut Option<Request<RequestBody>>,
    patience: &Patience,
) -> Result<Box<Answered>, ProxyError> {
    if exchange.gateway().is_short_of_files() {
        exchange.worker.pool.borrow_mut().shed();
    }
    let connecting = exchange.gateway().connector.connect(provider);
    let upstream = unless_cut(&exchange.aboard, connecting).await.unwrap_or_else(|| Err(told_to_end()))?;
    match exchange_on(upstream, request, patience, clock::now(), &exchange.aboard).await {
        Ok(answered) => Ok(answered),
        Err(Failure::Unwritten) => {
            let name = &provider.provider.name;
            Err(ProxyError::upstream(
                ErrorCode::UpstreamReset,
                Phase::Dispatch,
                format!("the provider `{name}` closed the connection before the request was written"),
            ))
        }
        Err(failure) => {
            *request = None;
            Err(failure.error(exchange, patience.upload.as_deref()))
        }
    }
}

/// How long one try may take.
struct Patience {
    first_byte: Option<Duration>,
    total: Option<Instant>,
    upload: Option<Rc<Upload>>,
    /// For a provider that takes no more of a body that streams through.
    upload_stall: Duration,
}

/// While a body streams through, this often is looked at whether it moves, and whether the caller is still there: a connection
/// whose bytes nobody takes tells nothing by itself.
const LOOK_AT_UPLOAD: Duration = Duration::from_millis(50);

/// How one try's time goes by.
struct Waited {
    /// When it began.
    began: Instant,
    /// When a body that streams through was last seen to move.
    moved: Instant,
    /// When to look at it again.
    look: Instant,
    /// When to look whether the request was told to end.
    look_for_cut: Instant,
}

impl Waited {
    fn new(began: Instant) -> Self {
        Self { began, moved: began, look: began + LOOK_AT_UPLOAD, look_for_cut: began + LOOK_FOR_CUTS }
    }
}

impl Patience {
    /// Ready when it is used up, or the request is told to end. A body that is still coming in counts only while the provider does not take it.
    fn poll(
        &self,
        waited: &mut Waited,
        timer: &mut Timer,
        cx: &mut Context<'_>,
        aboard: &[Aboard],
    ) -> Poll<Failure> {
        loop {
            let sent = self.sent(waited);
            let deadline = self.deadline(waited, sent);
            let next = deadline.map_or(waited.look_for_cut, |deadline| deadline.min(waited.look_for_cut));
            ready!(timer.poll_until(cx, next));
            if is_cut(aboard) {
                return Poll::Ready(Failure::ToldToEnd);
            }
            if next == waited.look_for_cut {
                waited.look_for_cut += LOOK_FOR_CUTS;
            }
            if self.is_used_up(waited, next) {
                return Poll::Ready(Failure::TimedOut);
            }
        }
    }

    /// When the request had been sent whole.
    fn sent(&self, waited: &Waited) -> Option<Instant> {
        self.upload.as_ref().map_or(Some(waited.began), |upload| upload.done.get())
    }

    /// When it is used up, or has to be looked at again.
    fn deadline(&self, waited: &Waited, sent: Option<Instant>) -> Option<Instant> {
        let first_byte = match sent {
            Some(sent) => self.first_byte.map(|limit| sent + limit),
            None => Some(waited.look),
        };
        first_byte.into_iter().chain(self.total).min()
    }

    /// `now` has come: is it over, or is there only a body to be looked at?
    fn is_used_up(&self, waited: &mut Waited, now: Instant) -> bool {
        let Some(upload) = self.upload.as_ref().filter(|upload| upload.done.get().is_none()) else {
            let deadline = self.deadline(waited, self.sent(waited));
            return deadline.is_some_and(|deadline| deadline <= now);
        };
        if upload.moved.take() {
            waited.moved = now;
        }
        waited.look = now + LOOK_AT_UPLOAD;
        let stalled = now.saturating_duration_since(waited.moved) >= self.upload_stall;
        stalled || self.total.is_some_and(|total| now >= total)
    }
}

/// Why a try gave no answer.
enum Failure {
    /// Nothing was written: the request is where it was taken from.
    Unwritten,
    /// Something of it may have been.
    Sent(hyper::Error),
    /// The provider closed the connection.
    Closed,
    /// The provider talked on and on without an answer's head.
    TooMuch,
    TimedOut,
    /// An operator has ended it.
    ToldToEnd,
}

/// A connection that was polled so often for one answer's head is one that talks without pause: it would use up this task's
/// turn each time, and no timer would be heard. From then on the clock is asked first.
const PATIENT_POLLS: u32 = 8;

/// One request on one connection, driven from here. It is taken out, and put back where nothing of it was written.
async fn exchange_on(
    mut upstream: Upstream,
    request: &mut Option<Request<RequestBody>>,
    patience: &Patience,
    began: Instant,
    aboard: &[Aboard],
) -> Result<Box<Answered>, Failure> {
    let Some(whole) = request.take() else { return Err(Failure::Unwritten) };
    upstream.budget.set();
    let result = {
        let mut answer = std::pin::pin!(upstream.sender.try_send_request(whole));
        let Upstream { connection, timer, .. } = &mut upstream;
        let mut waited = Waited::new(began);
        let mut polls = 0_u32;
        poll_fn(|cx| {
            polls = polls.saturating_add(1);
            if polls > PATIENT_POLLS && patience.is_used_up(&mut waited, clock::now()) {
                return Poll::Ready(Err(Failure::TimedOut));
            }
            let closed = connection.as_mut().poll(cx).is_ready();
            match answer.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(result.map_err(|error| failure(error, request))),
                Poll::Pending if closed => Poll::Ready(Err(Failure::Closed)),
                Poll::Pending => patience.poll(&mut waited, timer, cx, aboard).map(Err),
            }
        })
        .await
    };
    if result.is_err() && upstream.budget.is_spent() {
        return Err(Failure::TooMuch);
    }
    upstream.budget.lift();
    result.map(|response| {
        let upload = patience.upload.clone();
        Box::new(Answered { response, upstream, upload, at: began, first: VecDeque::new(), whole: false })
    })
}

fn failure(
    mut error: TrySendError<Request<RequestBody>>,
    request: &mut Option<Request<RequestBody>>,
) -> Failure {
    *request = error.take_message();
    if request.is_some() { Failure::Unwritten } else { Failure::Sent(error.into_error()) }
}

impl Failure {
    /// As the caller is told; the provider's own words stay in the log.
    fn error(self, exchange: &Exchange, upload: Option<&Upload>) -> ProxyError {
        let name = exchange.provider.as_ref().map_or("", |plan| plan.provider.name.as_str());
        let limits = &exchange.snapshot.config.server.limits;
        if let Some(trouble) = upload.and_then(|upload| upload.trouble.get()) {
            return trouble.error(limits, &exchange.connection);
        }
        match self {
            Self::TimedOut => ProxyError::upstream(
                ErrorCode::UpstreamTimeout,
                Phase::Await,
                format!("the provider `{name}` did not begin its answer in time (providers.{name}.timeouts)"),
            ),
            Self::ToldToEnd => told_to_end(),
            Self::TooMuch => ProxyError::upstream(
                ErrorCode::UpstreamProtocol,
                Phase::Await,
                format!("the provider `{name}` sent interim answers without end"),
            ),
            Self::Sent(error) if error.is_parse() => ProxyError::upstream(
                ErrorCode::UpstreamProtocol,
                Phase::Await,
                format!("the provider `{name}` answered with something that is not HTTP"),
            )
            .detail(error),
            Self::Sent(error) => closed(name).detail(error),
            Self::Unwritten | Self::Closed => closed(name),
        }
    }
}

/// What makes an answer one that nobody can trust, though its head could be read.
fn oddity(response: &Response<Incoming>) -> Option<&'static str> {
    let headers = response.headers();
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Some("switched protocols without being asked to");
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    // RFC 9112 section 6.3: it may be an attempt at response splitting, and is an error in any case.
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Some("framed its answer both by length and by chunks");
    }
    let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    (!chunked).then_some("used a transfer coding that nobody asked for")
}

fn closed(name: &str) -> ProxyError {
    ProxyError::upstream(
        ErrorCode::UpstreamReset,
        Phase::Await,
        format!(
            "the provider `{name}` closed the connection before it answered; the request may have been billed and was \
             not sent again"
        ),
    )
}
