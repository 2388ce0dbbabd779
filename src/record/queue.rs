//! The bounded queue between those who make records and the thread that writes them.
//!
//! Putting a record in wakes nobody: the thread looks by itself, several times a second.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::flags::Context;
use crate::observe::RecordSeries;
use crate::record::{Contexts, Feedback, Limits, Record, Shape, StoreError};
use crate::wire::Endpoint;

/// Where records are put. Cheap to clone; never waits.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Option<Arc<Shared>>,
}

/// The queue's other end.
#[derive(Debug)]
pub struct Taken {
    queue: Receiver<Item>,
    shared: Arc<Shared>,
}

/// What both ends see.
#[derive(Debug)]
struct Shared {
    queue: SyncSender<Item>,
    /// Bytes of the bodies in the queue. Raised by who puts one in, lowered by who takes it.
    body_bytes: AtomicUsize,
    /// What is in the queue. The same.
    waiting: AtomicUsize,
    /// Nobody who made records is left, or the process ends. Written once.
    closing: AtomicBool,
    /// Who takes, once it runs.
    taker: OnceLock<Thread>,
    /// What is lost is counted here.
    series: Option<RecordSeries>,
    /// Who was seen, in memory only. Written by requests.
    contexts: Contexts,
}

/// What is in the queue.
#[derive(Debug)]
pub(super) enum Item {
    /// A record, and who waits for it to be durable.
    Keep(Record, Option<Answer<()>>),
    /// All of one user is to be deleted, after what is in the queue already.
    Forget(Box<str>, Answer<u64>),
}

/// Told when it is done, or why not.
pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What became of something that was to be kept durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is on disk: neither a kill nor a power failure loses it.
    Durable,
    /// It is in the queue, and will be written when the store takes it. A process that is killed before loses it.
    Queued,
    /// It is not kept: the queue is full, or the store will never take it.
    Lost,
    /// Nothing is kept: records are off.
    Off,
}

/// What kind a record is: the label of what is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `exposure`
    Exposure,
    /// `shadow`
    Shadow,
    /// `feedback`
    Feedback,
    /// `verdict`
    Verdict,
    /// `body`
    Body,
}

/// Beyond it bodies are dropped, and the rest goes on: the memory is for callers.
const BODY_BYTES_MAX: usize = 64 << 20;

impl Recorder {
    /// A queue for so many records.
    pub fn new(places: usize) -> (Self, Taken) {
        Self::with(places, None, Duration::MAX)
    }

    /// A queue for so many records, that counts what does not fit. They are kept for so long.
    pub fn counted(places: usize, series: RecordSeries, retention: Duration) -> (Self, Taken) {
        Self::with(places, Some(series), retention)
    }

    fn with(places: usize, series: Option<RecordSeries>, retention: Duration) -> (Self, Taken) {
        let (queue, taken) = sync_channel(places);
        let shared = Arc::new(Shared {
            queue,
            body_bytes: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            taker: OnceLock::new(),
            series,
            contexts: Contexts::new(Limits::within(retention)),
        });
        (Self { shared: Some(Arc::clone(&shared)) }, Taken { queue: taken, shared })
    }

    /// Keeps nothing: records are off.
    pub fn off() -> Self {
        Self { shared: None }
    }

    /// Whether anything is kept: who does not, need not make records.
    pub fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Puts a record in. False: there was no room, and it is lost, which is counted here.
    pub fn put(&self, record: Record) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.put(Item::Keep(record, None)))
    }

    /// Somebody asks: perhaps they are one of the sample. `hash` is their [`crate::record::user_hash`].
    pub fn saw(&self, hash: u64, shape: &Arc<Shape>, context: &Context<'_>, endpoint: Endpoint) {
        if let Some(shared) = &self.shared {
            shared.contexts.saw(hash, shape, context, endpoint);
        }
    }

    /// Who was seen; `None`: records are off.
    pub fn contexts(&self) -> Option<&Contexts> {
        self.shared.as_ref().map(|shared| &shared.contexts)
    }

    /// Keeps feedback, and says when it is on disk. Waits for that so long at most.
    pub async fn keep(&self, feedback: Feedback, patience: Duration) -> Kept {
        let Some(shared) = &self.shared else { return Kept::Off };
        let (answer, answered) = oneshot::channel();
        if !shared.put(Item::Keep(Record::Feedback(feedback), Some(answer))) {
            return Kept::Lost;
        }
        shared.wake();
        match tokio::time::timeout(patience, answered).await {
            Ok(Ok(Ok(()))) => Kept::Durable,
            Ok(_) => Kept::Lost,
            Err(_) => Kept::Queued,
        }
    }

    /// Deletes all that one user left, what is in the queue included. Gives the number of requests.
    pub async fn forget(&self, user: &str) -> Result<u64, StoreError> {
        let refused = |message: &str| StoreError { message: message.to_owned(), hopeless: true };
        let Some(shared) = &self.shared else {
            return Err(refused("records are off: records.url is \"none\""));
        };
        // Out of memory at once, whatever the store says.
        shared.contexts.forget(user);
        let (answer, answered) = oneshot::channel();
        if !shared.put(Item::Forget(user.into(), answer)) {
            return Err(refused(
                "the queue of records is full: the store takes nothing; try again when it does",
            ));
        }
        shared.wake();
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(refused("the process ends: ask again when it is back")),
        }
    }

    /// How much waits to be written.
    pub fn waiting(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| shared.waiting.load(Ordering::Relaxed))
    }

    /// Says that nothing more comes.
    pub(super) fn close(&self) {
        if let Some(shared) = &self.shared {
            shared.closing.store(true, Ordering::Release);
            shared.wake();
        }
    }
}

impl Shared {
    fn put(&self, item: Item) -> bool {
        let bytes = item.body_bytes();
        let kind = item.kind();
        if bytes > 0 && self.body_bytes.fetch_add(bytes, Ordering::Relaxed) >= BODY_BYTES_MAX {
            return self.lost(kind, bytes);
        }
        // Before it is in: who takes it lowers the count.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(item).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return self.lost(kind, bytes);
        }
        true
    }

    fn lost(&self, kind: Option<Kind>, bytes: usize) -> bool {
        if bytes > 0 {
            self.body_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        if let (Some(series), Some(kind)) = (&self.series, kind) {
            series.queue_full(kind.as_str());
        }
        false
    }

    fn wake(&self) {
        if let Some(taker) = self.taker.get() {
            taker.unpark();
        }
    }
}

impl Taken {
    /// The next record. `Ok(None)`: none came in time. An error: nobody is left who could put one in.
    pub fn next(&self, patience: Duration) -> Result<Option<Record>, RecvTimeoutError> {
        // Its own end keeps the queue open: all recorders are gone when nobody else holds what is shared.
        let gone = Arc::strong_count(&self.shared) == 1;
        let received = match self.queue.recv_timeout(if gone { Duration::ZERO } else { patience }) {
            Ok(item) => item,
            Err(RecvTimeoutError::Timeout) if !gone => return Ok(None),
            Err(_) => return Err(RecvTimeoutError::Disconnected),
        };
        self.shared.took(&received);
        match received {
            Item::Keep(record, _) => Ok(Some(record)),
            Item::Forget(..) => Ok(None),
        }
    }

    /// What waits longest, if anything does.
    pub(super) fn take(&self) -> Option<Item> {
        match self.queue.try_recv() {
            Ok(item) => {
                self.shared.took(&item);
                Some(item)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// The thread that calls this is woken when somebody waits for an answer.
    pub(super) fn settle(&self) {
        let _ = self.shared.taker.set(std::thread::current());
    }

    /// Who was seen.
    pub(super) fn contexts(&self) -> &Contexts {
        &self.shared.contexts
    }

    /// Nothing more comes.
    pub(super) fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn took(&self, item: &Item) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let bytes = item.body_bytes();
        if bytes > 0 {
            self.body_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Item {
    pub(super) fn body_bytes(&self) -> usize {
        match self {
            Self::Keep(Record::Body(body), _) => body.bytes.len(),
            _ => 0,
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Keep(record, _) => Some(record.kind()),
            Self::Forget(..) => None,
        }
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Exposure, Self::Shadow, Self::Feedback, Self::Verdict, Self::Body];

    /// As metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exposure => "exposure",
            Self::Shadow => "shadow",
            Self::Feedback => "feedback",
            Self::Verdict => "verdict",
            Self::Body => "body",
        }
    }
}

impl Record {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Exposure(_) => Kind::Exposure,
            Self::Shadow(_) => Kind::Shadow,
            Self::Feedback(_) => Kind::Feedback,
            Self::Verdict(_) => Kind::Verdict,
            Self::Body(_) => Kind::Body,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BODY_BYTES_MAX, Recorder};
    use crate::record::{Body, Feedback, FeedbackOf, Record};

    fn said(value: f64) -> Record {
        Record::Feedback(Feedback {
            of: FeedbackOf::Request("req_1".into()),
            name: "thumbs".into(),
            value,
            client: "".into(),
            at_us: 1,
            judge: None,
        })
    }

    #[test]
    fn a_full_queue_takes_no_more_and_nobody_waits() {
        let (recorder, taken) = Recorder::new(2);
        assert!(recorder.put(said(0.0)) && recorder.put(said(0.5)));
        assert!(!recorder.put(said(1.0)));
        assert_eq!(recorder.waiting(), 2);
        assert_eq!(taken.next(Duration::ZERO), Ok(Some(said(0.0))));
        assert!(recorder.put(said(1.0)));
        drop(recorder);
        assert_eq!(taken.next(Duration::ZERO), Ok(Some(said(0.5))));
        assert_eq!(taken.next(Duration::ZERO), Ok(Some(said(1.0))));
        assert!(taken.next(Duration::ZERO).is_err());
        assert!(Recorder::off().put(said(0.0)), "what is not kept is not lost either");
    }

    #[test]
    fn bodies_take_so_much_memory_and_no_more() {
        let body = |bytes: usize| {
            let body = Body {
                request_id: "req_1".to_owned(),
                part: "answer".into(),
                at_us: 1,
                bytes: vec![0; bytes].into(),
                cut: false,
            };
            Record::Body(Box::new(body))
        };
        let (recorder, taken) = Recorder::new(10);
        assert!(recorder.put(body(BODY_BYTES_MAX)));
        assert!(!recorder.put(body(1)));
        assert!(recorder.put(said(1.0)), "the rest goes on");
        assert!(taken.next(Duration::ZERO).is_ok_and(|taken| taken.is_some()));
        assert!(recorder.put(body(1)));
    }
}
