//! Idle connections to providers: one worker's own, so nothing is locked.
//!
//! A connection comes back only after a complete, well-framed exchange with nothing left unread, and goes out again only
//! if it is still open, silent and ready.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;

use crate::proxy::body::RequestBody;
use crate::proxy::dispatch::connect::{HeadBudget, Socket};
use crate::proxy::timer::Timer;
use crate::snapshot::Endpoint;

/// Below the idle time after which providers' load balancers close a connection (60 s is common): the shorter, the fewer
/// requests meet a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(25);

/// Idle connections kept to one provider by one worker; beyond it they are closed.
const KEPT: usize = 1024;

/// A connection to a provider that no task owns: whoever uses it polls it.
pub(crate) struct Upstream {
    /// Takes requests in.
    pub(crate) sender: SendRequest<RequestBody>,
    /// Moves bytes; has to be polled.
    pub(crate) connection: Pin<Box<Connection<TokioIo<Socket>, RequestBody>>>,
    /// How much it may say before an answer's head is whole.
    pub(super) budget: HeadBudget,
    /// For whoever waits for something on it. Kept with it: what it was set for is nearly always early enough for the next.
    pub(crate) timer: Timer,
    endpoint: Arc<Endpoint>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Upstream {
    pub(super) fn new(
        sender: SendRequest<RequestBody>,
        connection: Connection<TokioIo<Socket>, RequestBody>,
        budget: HeadBudget,
        endpoint: Arc<Endpoint>,
    ) -> Self {
        Self { sender, connection: Box::pin(connection), budget, timer: Timer::default(), endpoint }
    }

    /// Where it leads.
    #[cfg(test)]
    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.endpoint)
    }

    /// Whether it is open, has said nothing unasked, and takes a request now.
    fn is_fresh(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // The first look lets it settle what the last exchange left to be done, the second sees the result.
        for _ in 0..2 {
            if self.connection.as_mut().poll(&mut cx).is_ready() {
                return false;
            }
            if self.sender.is_ready() {
                return true;
            }
        }
        false
    }
}

/// A connection, and since when nobody uses it.
type Idle = (Upstream, Instant);

/// The idle connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// By provider: there are few, so that looking at each is cheaper than to hash. The latest connection at the end, so that
    /// the others grow old and are closed.
    idle: Vec<(Arc<Endpoint>, Vec<Idle>)>,
}

impl Pool {
    /// The connection used last that is still fresh.
    pub(crate) fn take(&mut self, endpoint: &Arc<Endpoint>, now: Instant) -> Option<Upstream> {
        let kept = self.kept(endpoint)?;
        while let Some((mut upstream, since)) = kept.pop() {
            let young = now.saturating_duration_since(since) < IDLE;
            if young && upstream.is_fresh() {
                return Some(upstream);
            }
        }
        None
    }

    /// Takes a connection back whose exchange is complete.
    pub(crate) fn put(&mut self, upstream: Upstream, now: Instant) {
        if upstream.sender.is_closed() {
            return;
        }
        match self.kept(&upstream.endpoint) {
            Some(kept) if kept.len() < KEPT => kept.push((upstream, now)),
            Some(_) => {}
            None => self.idle.push((Arc::clone(&upstream.endpoint), vec![(upstream, now)])),
        }
    }

    /// What is kept to one provider. Another snapshot may name the same one by another `Arc`.
    fn kept(&mut self, endpoint: &Arc<Endpoint>) -> Option<&mut Vec<Idle>> {
        let same = |known: &Arc<Endpoint>| Arc::ptr_eq(known, endpoint) || known == endpoint;
        self.idle.iter_mut().find(|(known, _)| same(known)).map(|(_, kept)| kept)
    }

    /// Closes all that is idle: file descriptors run short, and these are only kept to be quick.
    pub(crate) fn shed(&mut self) {
        self.idle.clear();
    }

    /// Closes what has been idle for too long, and what the provider has closed or broken meanwhile.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.idle.retain_mut(|(_, kept)| {
            kept.retain_mut(|(upstream, since)| {
                now.saturating_duration_since(*since) < IDLE && upstream.is_fresh()
            });
            !kept.is_empty()
        });
    }
}
