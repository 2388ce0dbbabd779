//! Who reads records does so here: on threads of its own, each with a connection of its own, one question at a time.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::record::{RecordStore, StoreError};
use crate::threads;

/// Reads records. One per process, shared by reference.
pub struct Reader {
    questions: Option<SyncSender<Question>>,
    open: Option<Open>,
    /// Somebody takes all of it just now.
    exporting: Arc<AtomicBool>,
}

/// Makes a store that reads.
type Open = Box<dyn Fn() -> Option<Box<dyn RecordStore>> + Send + Sync>;
type Question = Box<dyn FnOnce(&mut dyn RecordStore) + Send>;

/// Two people may look at once.
const THREADS: usize = 2;
/// More questions than these are not people's.
const QUESTIONS_MAX: usize = 16;
/// A person does not wait longer, and a database has other things to do.
const TIME_MAX: Duration = Duration::from_secs(30);
/// All of it at once may take as long as this.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// Who takes nothing for so long takes no more.
const EXPORT_STALL_MAX: Duration = Duration::from_secs(60);
/// Pieces of an export that wait to be taken.
const PIECES: usize = 4;

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

/// Raised when nobody waits any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What an export gives: pieces, and an error where it broke off.
pub type Pieces = mpsc::Receiver<Result<Bytes, StoreError>>;

/// Takes a piece. False: nobody takes more.
pub type Give<'a> = &'a mut dyn FnMut(Bytes) -> bool;

impl Reader {
    /// Starts the threads. `open` makes a store that opens when it is first asked.
    pub fn start(
        open: impl Fn() -> Option<Box<dyn RecordStore>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let stores = (0..THREADS).filter_map(|_| open()).collect();
        let questions = Self::threads(stores)?;
        Ok(Self { questions: Some(questions), open: Some(Box::new(open)), exporting: Arc::default() })
    }

    /// Reads from this one store.
    pub fn over(store: Box<dyn RecordStore>) -> io::Result<Self> {
        let questions = Self::threads(vec![store])?;
        Ok(Self { questions: Some(questions), open: None, exporting: Arc::default() })
    }

    /// Nothing is kept.
    pub fn off() -> Self {
        Self { questions: None, open: None, exporting: Arc::default() }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.questions.is_some()
    }

    fn threads(stores: Vec<Box<dyn RecordStore>>) -> io::Result<SyncSender<Question>> {
        let (ask, asked) = sync_channel::<Question>(QUESTIONS_MAX);
        let asked = Arc::new(Mutex::new(asked));
        for mut store in stores {
            let asked = Arc::clone(&asked);
            threads::behind("records-read", move || {
                while let Some(question) = next(&asked) {
                    question(&mut *store);
                }
            })?;
        }
        Ok(ask)
    }

    /// Asks the store something, off the threads that serve. Who drops this stops it.
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut dyn RecordStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(questions) = &self.questions else { return Err(off()) };
        let (answer, answered) = oneshot::channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Stop(Arc::clone(&stopped));
        let until = clock::now() + TIME_MAX;
        let question: Question = Box::new(move |store| {
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            store.limit(Some(until), stopped);
            let _ = answer.send(ask(store));
        });
        if let Err(error) = questions.try_send(question) {
            return Err(match error {
                TrySendError::Full(_) => busy("too many questions are asked of the records at once"),
                TrySendError::Disconnected(_) => busy("the process ends"),
            });
        }
        let result = answered.await;
        drop(stop);
        result.unwrap_or_else(|_| Err(busy("reading the records ended by a defect of dimmer; see the log")))
    }

    /// Takes much of it, piece by piece, on a thread and a connection of its own. One at a time.
    pub fn export(
        &self,
        ask: impl FnOnce(&mut dyn RecordStore, Give<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Pieces, StoreError> {
        let Some(open) = &self.open else { return Err(off()) };
        let Some(mut store) = open() else { return Err(off()) };
        if self.exporting.swap(true, Ordering::AcqRel) {
            return Err(busy("another export is under way"));
        }
        let (give, pieces) = mpsc::channel(PIECES);
        let exporting = Exporting(Arc::clone(&self.exporting));
        let runtime = tokio::runtime::Handle::current();
        let spawned = threads::behind("records-export", move || {
            let _exporting = exporting;
            let stopped = Arc::new(AtomicBool::new(false));
            store.limit(Some(clock::now() + EXPORT_TIME_MAX), Arc::clone(&stopped));
            let hand = |piece: Result<Bytes, StoreError>| {
                let handed = runtime
                    .block_on(async { tokio::time::timeout(EXPORT_STALL_MAX, give.send(piece)).await });
                let taken = matches!(handed, Ok(Ok(())));
                stopped.fetch_or(!taken, Ordering::Relaxed);
                taken
            };
            let result = ask(&mut *store, &mut |piece| hand(Ok(piece)));
            if let Err(error) = result {
                hand(Err(error));
            }
        });
        spawned.map_err(|error| busy(&format!("the system refused a thread: {error}")))?;
        Ok(pieces)
    }
}

/// Lowered when the export is over, however it ends.
struct Exporting(Arc<AtomicBool>);

impl Drop for Exporting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn next(asked: &Mutex<Receiver<Question>>) -> Option<Question> {
    asked.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn off() -> StoreError {
    StoreError { message: "records are off: records.url is \"none\"".to_owned(), hopeless: true }
}

fn busy(message: &str) -> StoreError {
    StoreError { message: format!("{message}: ask again later"), hopeless: false }
}

#[cfg(test)]
mod tests;
