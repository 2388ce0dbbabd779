//! Says that the configuration's files have changed; the caller loads them again, whole or not at all.
//!
//! Watches directories, not files, so that renames, symlink swaps (Kubernetes' `..data`) and files that come back are
//! seen; looks at the files themselves every few seconds too, so that a lost event heals. Must never read the clock, hold a
//! file open or keep what it read.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use xxhash_rust::xxh3::xxh3_64;

/// No write for this long: an editor's or a copy's writes belong together.
const QUIET: Duration = Duration::from_millis(100);
/// After this many waits a file that is written all the time is looked at nevertheless: 1 s.
const QUIET_WAITS_MAX: u32 = 10;
/// How long a lost event may stay lost. A look costs one read of small files.
const POLL: Duration = Duration::from_secs(3);
/// Larger files are compared by their metadata, not by their contents.
const COMPARED_BYTES_MAX: u64 = 1 << 20;

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
}

/// What the caller says to the watching thread. The caller writes, the thread reads.
struct Shared {
    /// The watch was dropped.
    stopped: AtomicBool,
    /// Files to follow from now on; the thread takes it.
    follow: Mutex<Option<Vec<Watched>>>,
    /// One pending wake-up is enough, however many events there are.
    wake: SyncSender<()>,
}

/// The watching thread cannot be started.
#[derive(Debug)]
pub struct WatchError(std::io::Error);

/// Calls `on_change` on a thread of its own whenever the contents of `path` or of one of `watched` are others than before,
/// or a file has gone or come. What is there when this returns is the state compared with: start it before loading.
pub fn spawn(
    path: &Path,
    watched: &[Watched],
    on_change: impl Fn() + Send + 'static,
) -> Result<Watch, WatchError> {
    let (wake, woken) = sync_channel(1);
    let shared = Arc::new(Shared { stopped: AtomicBool::new(false), follow: Mutex::new(None), wake });
    let mut watching = Watching {
        path: path.to_owned(),
        files: BTreeSet::new(),
        seen: Vec::new(),
        directories: BTreeSet::new(),
        events: events(&shared),
        shared: Arc::clone(&shared),
        woken,
    };
    watching.follow(watched.to_vec());
    let thread = std::thread::Builder::new().name("config-watch".to_owned());
    thread.spawn(move || watching.run(&on_change)).map_err(WatchError)?;
    Ok(Watch { shared })
}

impl Watch {
    /// Follows these files besides the configuration itself, and no others: `Config::watched` of each successful load.
    pub fn follow(&self, watched: &[Watched]) {
        let mut follow = self.shared.follow.lock().unwrap_or_else(PoisonError::into_inner);
        *follow = Some(watched.to_vec());
        drop(follow);
        self.shared.wake();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.wake();
    }
}

impl Shared {
    fn wake(&self) {
        // A full channel means that the thread has not looked since the last wake-up, so it will see this one's cause too.
        let _full_or_gone = self.wake.try_send(());
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

/// The system's own events. Where it has none left to give (inotify limits) the looks every few seconds must do.
fn events(shared: &Arc<Shared>) -> Option<RecommendedWatcher> {
    let woken = Arc::downgrade(shared);
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too: our own looks must not wake us.
        let only_read = event.is_ok_and(|event| event.kind.is_access());
        if let (false, Some(alive)) = (only_read, woken.upgrade()) {
            alive.wake();
        }
    })
    .ok()
}

/// What the thread holds.
struct Watching {
    path: PathBuf,
    files: BTreeSet<PathBuf>,
    seen: Vec<Fingerprint>,
    directories: BTreeSet<PathBuf>,
    events: Option<RecommendedWatcher>,
    shared: Arc<Shared>,
    woken: Receiver<()>,
}

/// A file of the configuration, and what it looked like before it was read: whatever happens to it from then on is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    path: PathBuf,
    seen: Fingerprint,
}

impl Watched {
    /// The file as it is now. To be called before it is read.
    pub fn now(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: fingerprint(path) }
    }

    /// Which file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What a file looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fingerprint {
    /// It cannot be read.
    Absent,
    /// A small file: its contents.
    Contents(u64),
    /// A large file: length, time of change, and which file it is.
    Metadata(u64, Option<std::time::SystemTime>, u64),
}

impl Watching {
    fn run(mut self, on_change: &dyn Fn()) {
        loop {
            match self.woken.recv_timeout(POLL) {
                Ok(()) => self.wait_for_quiet(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.shared.stopped.load(Ordering::Acquire) {
                return;
            }
            let wanted = self.shared.follow.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Those that are new are compared with what was read of them.
            if let Some(wanted) = wanted {
                self.follow(wanted);
            }
            let changed = self.look();
            self.watch_directories();
            if changed {
                on_change();
            }
        }
    }

    fn wait_for_quiet(&self) {
        for _ in 0..QUIET_WAITS_MAX {
            std::thread::sleep(QUIET);
            let quiet = self.woken.try_recv().is_err();
            if quiet || self.shared.stopped.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Whether a file looks other than before.
    fn look(&mut self) -> bool {
        let before = self.seen.iter();
        let now = self
            .files
            .iter()
            .zip(before)
            .map(|(file, before)| look_at(file).unwrap_or_else(|| before.clone()));
        let now: Vec<Fingerprint> = now.collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }

    /// Takes other files; those followed already keep what they looked like.
    fn follow(&mut self, watched: Vec<Watched>) {
        let before: Vec<(PathBuf, Fingerprint)> =
            std::mem::take(&mut self.files).into_iter().zip(std::mem::take(&mut self.seen)).collect();
        let of = |file: &PathBuf| {
            let known = before.iter().find(|(path, _)| path == file).map(|(_, seen)| seen);
            let read = watched.iter().find(|one| one.path == *file).map(|one| &one.seen);
            known.or(read).cloned().unwrap_or_else(|| fingerprint(file))
        };
        self.files = watched.iter().map(|one| one.path.clone()).chain([self.path.clone()]).collect();
        self.seen = self.files.iter().map(of).collect();
        self.watch_directories();
    }

    /// Watches the directory that names each file and the one that holds it; they differ behind a symlink. Called after
    /// every look, because a swap changes the latter and a directory may go and come back.
    fn watch_directories(&mut self) {
        let Some(events) = &mut self.events else { return };
        let mut wanted = BTreeSet::new();
        for file in &self.files {
            wanted.extend(directory(file));
            wanted.extend(file.canonicalize().ok().and_then(|real| directory(&real)));
        }
        for gone in self.directories.difference(&wanted) {
            let _not_watched_any_more = events.unwatch(gone);
        }
        // A directory that was replaced by another of the same name is watched anew only by asking again; asking for one
        // that is watched already changes nothing.
        self.directories =
            wanted.into_iter().filter(|one| events.watch(one, RecursiveMode::NonRecursive).is_ok()).collect();
    }
}

fn directory(file: &Path) -> Option<PathBuf> {
    let parent = file.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

fn fingerprint(file: &Path) -> Fingerprint {
    look_at(file).unwrap_or(Fingerprint::Absent)
}

/// `None`: nothing can be said of it now, because no file can be opened.
fn look_at(file: &Path) -> Option<Fingerprint> {
    let Ok(metadata) = std::fs::metadata(file) else { return Some(Fingerprint::Absent) };
    if !metadata.is_file() {
        return Some(Fingerprint::Absent);
    }
    if metadata.len() <= COMPARED_BYTES_MAX {
        match std::fs::read(file) {
            Ok(contents) => return Some(Fingerprint::Contents(xxh3_64(&contents))),
            Err(error) if error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code)) => {
                return None;
            }
            Err(_) => {}
        }
    }
    Some(Fingerprint::Metadata(metadata.len(), metadata.modified().ok(), identity(&metadata)))
}

/// `ENFILE` and `EMFILE`, on every Unix.
const TOO_MANY_FILES: [i32; 2] = [23, 24];

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn identity(_metadata: &std::fs::Metadata) -> u64 {
    0
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be watched")
    }
}

impl std::error::Error for WatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
