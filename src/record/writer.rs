//! The thread that writes records: in batches, with patience for a store that fails, and never in the way of a request.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::observe::RecordSeries;
use crate::record::queue::{Answer, Item};
use crate::record::{Record, RecordStore, Recorder, StoreError, Taken};

/// Records of one transaction.
const BATCH: usize = 500;
/// Bytes of bodies in one transaction.
const BATCH_BYTES: usize = 8 << 20;
/// How often the queue is looked into; so much is lost at most when the process is killed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between two tries of a batch: doubled from the first to the last of these.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// A start waits so long for the store: one that is there answers sooner, one that is not keeps nobody from starting.
const FIRST_PATIENCE: Duration = Duration::from_millis(500);
/// How often what is old is looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two steps of deleting: records come first.
const EXPIRE_PAUSE: Duration = Duration::from_millis(200);
/// Records wait for this many places in the queue: some ten seconds of 3,000 requests each second.
const PLACES: usize = 32_768;

/// Records are kept, as long as this lives: the thread and what belongs to it.
#[derive(Debug)]
pub struct Keeping {
    recorder: Recorder,
    done: Mutex<Receiver<()>>,
}

struct Writer {
    store: Box<dyn RecordStore>,
    taken: Taken,
    series: RecordSeries,
    sink: &'static str,
    retention: Duration,
    /// When what is old is looked for next.
    expire_at: Instant,
    /// The store fails, since then.
    failing: Option<Instant>,
    wait: Duration,
}

/// What is written at once.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    /// Who waits, and for which record.
    answers: Vec<(usize, Answer<()>)>,
    bytes: usize,
    /// Comes after the records.
    forget: Option<(Box<str>, Answer<u64>)>,
}

impl Keeping {
    /// Starts the thread. The store is opened there: one that cannot be is tried again, and keeps nothing from starting.
    pub fn start(
        store: Box<dyn RecordStore>,
        series: RecordSeries,
        sink: &'static str,
        retention: Duration,
    ) -> io::Result<Self> {
        let (recorder, taken) = Recorder::counted(PLACES, series.clone(), retention);
        let (say, done) = sync_channel(1);
        let writer = Writer {
            store,
            taken,
            series,
            sink,
            retention,
            expire_at: clock::now(),
            failing: None,
            wait: RETRY_FIRST,
        };
        let (say_opened, opened) = sync_channel(1);
        thread::Builder::new().name("records".to_owned()).spawn(move || {
            writer.run(&say_opened);
            let _ = say.send(());
        })?;
        // Callers come next, and may take every file descriptor that is left. However it went, it is said there.
        let _ = opened.recv_timeout(FIRST_PATIENCE);
        Ok(Self { recorder, done: Mutex::new(done) })
    }

    /// Where records are put.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Writes what is in the queue, and ends; waits for that so long at most.
    pub fn close(&self, patience: Duration) {
        self.recorder.close();
        if self.done.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(patience).is_err() {
            tracing::warn!(
                records = self.recorder.waiting(),
                "records that are not written yet are lost: their store does not take them"
            );
        }
    }
}

impl Writer {
    fn run(mut self, opened: &SyncSender<()>) {
        self.taken.settle();
        // Opens it, so that what is wrong is said before the first record comes.
        if let Err(error) = self.store.write(&[]) {
            self.failed(&error);
        } else {
            self.series.up(true);
        }
        let _ = opened.try_send(());
        loop {
            let closing = self.taken.is_closing();
            let batch = self.collect();
            self.series.waiting(self.taken.waiting().saturating_add(batch.records.len()));
            if batch.is_empty() && closing {
                return;
            }
            let more = batch.is_full();
            if !batch.is_empty() {
                self.write(batch);
                self.series.waiting(self.taken.waiting());
            }
            if !more && !self.taken.is_closing() {
                self.look_after();
                thread::park_timeout(LOOK_EVERY);
            }
        }
    }

    /// What waits, up to a batch.
    fn collect(&self) -> Batch {
        let mut batch = Batch::default();
        while !batch.is_full() {
            batch.bytes = batch.bytes.saturating_add(match self.taken.take() {
                None => break,
                Some(Item::Forget(user, answer)) => {
                    batch.forget = Some((user, answer));
                    break;
                }
                Some(item) => {
                    let bytes = item.body_bytes();
                    batch.add(item);
                    bytes
                }
            });
        }
        batch
    }

    /// Writes a batch, however long that takes: meanwhile the queue fills. Only at the process's end it is given up.
    fn write(&mut self, mut batch: Batch) {
        let mut tries_at_end = TRIES_AT_END;
        while !batch.records.is_empty() {
            match self.store.write(&batch.records) {
                Ok(()) => {
                    self.worked();
                    self.series.written(batch.records.len());
                    batch.answer(&Ok(()));
                    batch.records.clear();
                }
                Err(error) if error.hopeless => {
                    self.one_by_one(&mut batch);
                }
                Err(error) => {
                    self.failed(&error);
                    // Whoever asked for it hears that it cannot be done now.
                    if let Some((_, answer)) = batch.forget.take() {
                        let _ = answer.send(Err(error));
                    }
                    if self.taken.is_closing() {
                        tries_at_end = tries_at_end.saturating_sub(1);
                        if tries_at_end == 0 {
                            self.give_up(&batch);
                            return;
                        }
                    }
                    self.pause();
                }
            }
        }
        if let Some((user, answer)) = batch.forget {
            let forgotten = self.store.forget(&user);
            match &forgotten {
                Ok(_) => self.worked(),
                Err(error) => self.failed(error),
            }
            let _ = answer.send(forgotten);
        }
    }

    /// One of them can never be written: the others are, and it is counted.
    fn one_by_one(&mut self, batch: &mut Batch) {
        let mut later = Batch::default();
        let mut answers = std::mem::take(&mut batch.answers).into_iter().peekable();
        for (place, record) in std::mem::take(&mut batch.records).into_iter().enumerate() {
            let answer = answers.next_if(|(of, _)| *of == place).map(|(_, answer)| answer);
            match self.store.write(std::slice::from_ref(&record)) {
                Ok(()) => {
                    self.series.written(1);
                    let _ = answer.map(|answer| answer.send(Ok(())));
                }
                Err(error) if error.hopeless => {
                    tracing::error!(
                        sink = self.sink,
                        kind = record.kind().as_str(),
                        "a record is lost: {error}"
                    );
                    self.series.refused(record.kind().as_str());
                    let _ = answer.map(|answer| answer.send(Err(error)));
                }
                Err(_) => later.add(Item::Keep(record, answer)),
            }
        }
        later.forget = batch.forget.take();
        *batch = later;
    }

    fn give_up(&mut self, batch: &Batch) {
        for record in &batch.records {
            self.series.refused(record.kind().as_str());
        }
        tracing::error!(
            sink = self.sink,
            records = batch.records.len(),
            "records are lost: their store does not take them"
        );
    }

    fn worked(&mut self) {
        self.wait = RETRY_FIRST;
        self.series.up(true);
        if let Some(since) = self.failing.take() {
            tracing::info!(
                sink = self.sink,
                failed_for_s = since.elapsed().as_secs_f64(),
                waiting = self.taken.waiting(),
                "records are kept again"
            );
        }
    }

    fn failed(&mut self, error: &StoreError) {
        self.series.up(false);
        if self.failing.is_none() {
            self.failing = Some(clock::now());
            tracing::error!(
                sink = self.sink,
                places = PLACES,
                "{error}; requests go on, records wait in memory until they are more than there are places"
            );
        } else {
            tracing::debug!(sink = self.sink, "{error}");
        }
    }

    fn pause(&mut self) {
        let until = clock::now() + clock::jittered(self.wait);
        self.wait = self.wait.saturating_mul(2).min(RETRY_LAST);
        loop {
            let left = until.saturating_duration_since(clock::now());
            if left.is_zero() || self.taken.is_closing() {
                // At the end there is no time for long waits.
                thread::sleep(left.min(RETRY_FIRST));
                return;
            }
            thread::park_timeout(left);
            self.series.waiting(self.taken.waiting());
        }
    }

    /// What is to be done besides writing: one step, since records come first.
    fn look_after(&mut self) {
        self.taken.contexts().sweep(clock::uptime());
        match self.failing {
            Some(_) => self.probe(),
            None => self.expire(),
        }
    }

    /// Deletes some of what is old.
    fn expire(&mut self) {
        let now = clock::now();
        if now < self.expire_at {
            return;
        }
        let age = clock::unix_time().saturating_sub(self.retention);
        let before_us = u64::try_from(age.as_micros()).unwrap_or_default();
        match self.store.expire(before_us) {
            Ok(0) => self.expire_at = now + clock::jittered(EXPIRE_EVERY.saturating_mul(2)),
            Ok(_) => self.expire_at = now + EXPIRE_PAUSE,
            Err(error) => {
                tracing::warn!(sink = self.sink, "what is old is not deleted now: {error}");
                self.expire_at = now + EXPIRE_EVERY;
            }
        }
    }

    /// Nothing waits, and it failed: whether it still does.
    fn probe(&mut self) {
        match self.store.write(&[]) {
            Ok(()) => self.worked(),
            Err(error) => {
                self.failed(&error);
                self.pause();
            }
        }
    }
}

/// At the process's end a store that fails is asked so often for each batch.
const TRIES_AT_END: u32 = 5;

impl Batch {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.forget.is_none()
    }

    /// More of it comes with the next.
    fn is_full(&self) -> bool {
        self.records.len() >= BATCH || self.bytes >= BATCH_BYTES || self.forget.is_some()
    }

    fn add(&mut self, item: Item) {
        match item {
            Item::Keep(record, answer) => {
                let place = self.records.len();
                self.answers.extend(answer.map(|answer| (place, answer)));
                self.records.push(record);
            }
            Item::Forget(user, answer) => self.forget = Some((user, answer)),
        }
    }

    fn answer(&mut self, result: &Result<(), StoreError>) {
        for (_, answer) in self.answers.drain(..) {
            let _ = answer.send(result.clone());
        }
    }
}

#[cfg(test)]
mod tests;
