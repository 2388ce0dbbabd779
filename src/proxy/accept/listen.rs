//! One worker's accept loop: all workers share one listening socket, so the idle one takes the next connection.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};

use crate::proxy::accept::connection;
use crate::proxy::worker::Worker;

/// Out of file descriptors, or the like: a pause lets connections end instead of spinning.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Idle provider connections past their time are closed this often.
const SWEEP: Duration = Duration::from_secs(5);

/// Accepts until draining begins, then waits for every connection to end.
pub async fn serve(worker: Rc<Worker>, listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    let mut draining = worker.gateway.draining.clone();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn_local(connection::serve(Rc::clone(&worker), stream, peer));
                }
                Err(error) => {
                    worker.gateway.series.accept_errors.inc();
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            },
            Some(ended) = connections.join_next() => say_panic(ended),
            _ = sweep.tick() => worker.pool.borrow_mut().sweep(crate::clock::now()),
            _ = draining.wait_for(|draining| *draining) => break,
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        say_panic(ended);
    }
    Ok(())
}

/// A defect of ours costs one connection; the worker goes on.
fn say_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended.as_ref().map_err(ToString::to_string) {
        tracing::error!(error, "a connection's task panicked; this is a defect of dimmer");
    }
}
