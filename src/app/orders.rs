//! What tells the process to stop or to load again, and how long it waits for what is still in flight.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::{Ended, Room};

/// What the process is told from outside; where it serves for a part of itself, by that.
pub(super) enum Orders {
    /// Of the system.
    Signals { terminate: Signal, interrupt: Signal, reload: Signal },
    /// Of a part of the process.
    Inside(mpsc::Receiver<()>),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Stop,
    Reload,
}

impl Orders {
    /// The signals of the process. To be made inside a runtime.
    pub(super) fn of_signals() -> io::Result<Self> {
        Ok(Self::Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Order {
        match self {
            Self::Signals { terminate, interrupt, reload } => tokio::select! {
                _ = terminate.recv() => Order::Stop,
                _ = interrupt.recv() => Order::Stop,
                _ = reload.recv() => Order::Reload,
            },
            Self::Inside(told) => match told.recv().await {
                Some(()) => Order::Stop,
                // Nobody is left who could say it.
                None => std::future::pending().await,
            },
        }
    }

    /// Waits for the first order to stop; reloads on SIGHUP until then.
    pub(super) async fn stop(&mut self, room: &Room, workers: &[JoinHandle<()>]) -> Stop {
        let mut look = tokio::time::interval(LOOK_FOR_LOST_WORKERS);
        loop {
            tokio::select! {
                order = self.next() => match order {
                    Order::Stop => return Stop::Asked,
                    Order::Reload => drop(room.reload()),
                },
                _ = look.tick() => {
                    if workers.iter().any(JoinHandle::is_finished) {
                        tracing::error!("a worker has ended by itself; the process ends, to be started anew");
                        return Stop::WorkerLost;
                    }
                }
            }
        }
    }

    /// Waits until all workers are done, the time is over, or it is to stop a second time.
    pub(super) async fn wait_for(&mut self, workers: Vec<JoinHandle<()>>, patience: Duration) -> Ended {
        let done = async {
            while workers.iter().any(|worker| !worker.is_finished()) {
                tokio::time::sleep(LOOK_AT_WORKERS).await;
            }
        };
        let again = async {
            // There is nothing to reload for any more.
            while self.next().await != Order::Stop {}
        };
        tokio::select! {
            () = done => Ended::Drained,
            () = tokio::time::sleep(patience) => {
                tracing::warn!("the drain's time is over; what is still in flight is cut");
                Ended::DrainTimedOut
            }
            () = again => Ended::Forced,
        }
    }
}

/// Why serving stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was told to.
    Asked,
    /// A worker has ended by itself.
    WorkerLost,
}

/// A gateway without one of its workers serves part of its connections never: it is better started anew.
const LOOK_FOR_LOST_WORKERS: Duration = Duration::from_secs(1);

/// Threads do not wake a runtime when they end.
const LOOK_AT_WORKERS: Duration = Duration::from_millis(10);
