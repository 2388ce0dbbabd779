//! Who tells the demo to end: rung by Ctrl-C, heard by whoever waits.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::clock;

/// Rings once.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    /// Waits so long, or until it rings; whether it has rung.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let until = clock::now() + patience;
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_duration_since(clock::now());
            if *rung || left.is_zero() {
                return *rung;
            }
            let waited = self.heard.wait_timeout(rung, left);
            rung = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Rings it.
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }
}

/// Rings with the first signal to end; `again` is called for every later one. From a thread of its own, which ends with the process.
pub(super) fn on_signals(bell: Arc<Bell>, again: impl Fn() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    // Here, so that no signal is missed from now on.
    let [interrupt, terminate, hangup] = {
        let _inside = runtime.enter();
        kinds.map(signal)
    };
    let (mut interrupt, mut terminate, mut hangup) = (interrupt?, terminate?, hangup?);
    let listen = async move {
        let mut rung = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if rung {
                again();
            }
            bell.ring();
            rung = true;
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(listen)).map(drop)
}
