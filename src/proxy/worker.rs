//! What the data plane shares: one `Gateway` per process, one `Worker` per thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::config::own_files;
use crate::observe::{GatewaySeries, Tracer};
use crate::proxy::dispatch::{Connector, Pool};
use crate::proxy::feedback::{Rates, Recent};
use crate::proxy::holders::Holders;
use crate::proxy::pins::Pins;
use crate::proxy::shadow::Shadows;
use crate::record::{Reader, Recorder};
use crate::snapshot::{Store, View};

/// Shared by all workers of a process.
#[derive(Debug)]
pub struct Gateway {
    /// Written by `control`, read once per request.
    pub store: Arc<Store>,
    /// Counters of no route.
    pub series: GatewaySeries,
    /// Where exposures, shadow attempts and feedback are put. Never waited for.
    pub recorder: Recorder,
    /// Where they are read; `None`: nowhere. Only off a request's path.
    pub(crate) reader: Option<Arc<Reader>>,
    /// Where traces begin and are put; `None`: none are made. Never waited for.
    pub(crate) tracer: Option<Tracer>,
    /// Requests in flight: raised in `accept`, lowered when the exchange ends.
    pub(crate) in_flight: AtomicU64,
    /// Open connections of callers: raised when one is accepted, lowered when it is over.
    pub(crate) connections: AtomicU64,
    /// TLS handshakes under way. Written by `accept`.
    pub(crate) handshakes: AtomicU64,
    /// Bytes of held bodies: raised while a body is read, lowered when its reservation is dropped.
    pub(crate) held_bytes: Arc<AtomicU64>,
    /// Who holds what. Written by the relay, read by `decide`.
    pub(crate) holders: Holders,
    /// What conversations keep. Written and read by `choose`; kept over a restart by `app`.
    pub(crate) pins: Arc<Pins>,
    /// Who sends copies.
    pub(crate) shadows: Shadows,
    /// Which variants the last requests saw: what is said of them is counted by these. Written by `finish`, read by `feedback`.
    pub(crate) recent: Recent,
    /// How much each client may say. Read and written by `feedback`.
    pub(crate) feedback_rates: Rates,
    /// How many requests that it names are looked up in the record just now. The same.
    pub(crate) feedback_lookups: AtomicUsize,
    /// Opens connections to providers.
    pub(crate) connector: Connector,
    /// Flips once, to true, when draining begins. Written by `app`.
    pub(crate) draining: watch::Receiver<bool>,
    /// How many connections the open-file limit leaves room for, each with one to a provider.
    pub(crate) most_connections: u64,
    /// How many connections there may be in all, callers' and providers'.
    most_files: u64,
    /// The admin listener is left with its last file descriptor: nobody may take it. Written by `control`.
    pub(crate) admin_in_need: Arc<AtomicBool>,
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
        admin_in_need: Arc<AtomicBool>,
        pins: Arc<Pins>,
    ) -> Self {
        let open_files = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX);
        // What is left is for everything else: the admin listener above all, which has to answer when callers have taken all of these.
        let most_files = open_files.saturating_sub(own_files(open_files));
        let (mut seed, mut holders_seed) = ([0; 8], [0; 8]);
        // Without a source of randomness ids are unique within the process all the same.
        let _ = getrandom::fill(&mut seed);
        let _ = getrandom::fill(&mut holders_seed);
        let mut recent_seed = [0; 8];
        let _ = getrandom::fill(&mut recent_seed);
        Self {
            store,
            series,
            recorder: Recorder::off(),
            reader: None,
            tracer: None,
            in_flight: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            held_bytes: Arc::new(AtomicU64::new(0)),
            holders: Holders::new(u64::from_le_bytes(holders_seed)),
            pins,
            shadows: Shadows::off(),
            recent: Recent::new(u64::from_le_bytes(recent_seed)),
            feedback_rates: Rates::default(),
            feedback_lookups: AtomicUsize::new(0),
            connector: Connector::new(),
            draining,
            most_connections: most_files / 2,
            most_files,
            admin_in_need,
            on_loopback,
            id_prefix: RequestId::new(u64::from_le_bytes(seed), 0),
            next_worker: AtomicU64::new(0),
        }
    }

    /// Copies of requests are sent by these.
    #[must_use]
    pub fn with_shadows(self, shadows: Shadows) -> Self {
        Self { shadows, ..self }
    }

    /// Keeps records here.
    pub fn with_recorder(self, recorder: Recorder) -> Self {
        Self { recorder, ..self }
    }

    /// Traces are told to this one.
    #[must_use]
    pub fn with_tracer(self, tracer: Option<Tracer>) -> Self {
        Self { tracer, ..self }
    }

    /// Reads them here.
    pub fn with_reader(self, reader: Arc<Reader>) -> Self {
        Self { reader: Some(reader).filter(|reader| reader.is_on()), ..self }
    }

    /// How many TLS handshakes may be under way at once: a few of the connections, so that sessions that exist keep their place,
    /// and no more than some 40 MiB of buffers.
    pub(crate) fn most_handshakes(&self) -> u64 {
        (self.most_connections / 4).clamp(16, 1024)
    }

    /// Callers and providers together have the file descriptors that are theirs.
    pub(crate) fn is_short_of_files(&self) -> bool {
        let callers = self.connections.load(Ordering::Relaxed);
        let providers = self.connector.connections().saturating_add(self.shadows.connections());
        callers.saturating_add(providers) >= self.most_files
    }

    /// The snapshot in force.
    pub(crate) fn snapshot(&self) -> Arc<View> {
        self.store.load_full()
    }
}

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

    /// As it is written everywhere, to be copied: nobody has to see that it is text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digits alone: what the ids of answers made here have too.
    pub(crate) fn unique(&self) -> &str {
        self.as_str().trim_start_matches("req_")
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
