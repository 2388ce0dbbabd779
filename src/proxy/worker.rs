//! What the data plane shares: one `Gateway` per process, one `Worker` per thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::observe::GatewaySeries;
use crate::proxy::dispatch::{Connector, Pool};
use crate::snapshot::{Snapshot, Store};

/// Shared by all workers of a process.
#[derive(Debug)]
pub struct Gateway {
    /// Written by `control`, read once per request.
    pub store: Arc<Store>,
    /// Counters of no route.
    pub series: GatewaySeries,
    /// Requests in flight: raised in `accept`, lowered when the exchange ends.
    pub(crate) in_flight: AtomicU64,
    /// Open connections of callers: raised when one is accepted, lowered when it is over.
    pub(crate) connections: AtomicU64,
    /// Bytes of held bodies: raised while a body is read, lowered when its reservation is dropped.
    pub(crate) held_bytes: Arc<AtomicU64>,
    /// Opens connections to providers.
    pub(crate) connector: Connector,
    /// Flips once, to true, when draining begins. Written by `app`.
    pub(crate) draining: watch::Receiver<bool>,
    /// How many connections the open-file limit leaves room for, each with one to a provider.
    pub(crate) most_connections: u64,
    /// The data listener is on loopback: without `[clients]` everybody on it is believed.
    pub(crate) on_loopback: bool,
    /// The high half of every request id of this process, random, and zeros behind it.
    id_prefix: RequestId,
    /// Makes ids unique between workers: each takes its own number.
    next_worker: AtomicU64,
}

/// One thread's part: never shared, so nothing in it is locked.
#[derive(Debug)]
pub struct Worker {
    /// The process's part.
    pub(crate) gateway: Arc<Gateway>,
    /// Idle connections to providers.
    pub(crate) pool: RefCell<Pool>,
    /// Low half of the next request id: the worker's number on top, a count below.
    next_id: Cell<u64>,
}

/// A request's own id: `req_` and 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId([u8; RequestId::LEN]);

impl Gateway {
    /// `draining` flips to true when draining begins.
    pub fn new(
        store: Arc<Store>,
        series: GatewaySeries,
        draining: watch::Receiver<bool>,
        on_loopback: bool,
    ) -> Self {
        let mut seed = [0; 8];
        // Without a source of randomness ids are unique within the process all the same.
        let _ = getrandom::fill(&mut seed);
        Self {
            store,
            series,
            in_flight: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            held_bytes: Arc::new(AtomicU64::new(0)),
            connector: Connector::new(),
            draining,
            most_connections: rlimit::Resource::NOFILE
                .get_soft()
                .unwrap_or(u64::MAX)
                .saturating_sub(RESERVED_FILES)
                / 2,
            on_loopback,
            id_prefix: RequestId::new(u64::from_le_bytes(seed), 0),
            next_worker: AtomicU64::new(0),
        }
    }

    /// The snapshot in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.store.load_full()
    }
}

/// Descriptors for everything but callers and providers: listeners, logs, stores, the admin listener.
const RESERVED_FILES: u64 = 200;

impl Worker {
    /// One per thread.
    pub fn new(gateway: Arc<Gateway>) -> Rc<Self> {
        let number = gateway.next_worker.fetch_add(1, Ordering::Relaxed);
        Rc::new(Self { gateway, pool: RefCell::new(Pool::default()), next_id: Cell::new(number << 48) })
    }

    /// A new id, unlike any other of any process.
    pub(crate) fn request_id(&self) -> RequestId {
        let low = self.next_id.get();
        self.next_id.set(low.wrapping_add(1));
        self.gateway.id_prefix.with_low(low)
    }
}

impl RequestId {
    /// `req_` and 32 hexadecimal digits.
    const LEN: usize = 36;

    pub(super) fn new(high: u64, low: u64) -> Self {
        let mut text = *b"req_00000000000000000000000000000000";
        let number = u128::from(high) << 64 | u128::from(low);
        for (place, byte) in text.iter_mut().skip(4).rev().enumerate() {
            *byte = hexadecimal((number >> (4 * place)) as u8 & 0xf);
        }
        Self(text)
    }

    /// The same process's id with this low half. Half the digits stay as they are, and a word is shifted faster than two.
    fn with_low(self, low: u64) -> Self {
        let mut text = self.0;
        let mut rest = low;
        for byte in text.iter_mut().rev().take(16) {
            *byte = hexadecimal(rest as u8 & 0xf);
            rest >>= 4;
        }
        Self(text)
    }

    /// As it is written everywhere.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn hexadecimal(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
