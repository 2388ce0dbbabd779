//! One worker's accept loop: all workers share one listening socket, so the idle one takes the next connection.

use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};

use crate::proxy::accept::connection;
use crate::proxy::worker::Worker;
use crate::wire::{Dialect, ErrorCode, ErrorParts, error_body};

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
                Ok((stream, _)) if is_full(&worker) => refuse(&worker, &stream),
                Ok((stream, peer)) => {
                    let open = connection::Open::new(&worker);
                    connections.spawn_local(connection::serve(Rc::clone(&worker), open, stream, peer));
                }
                Err(error) => {
                    worker.gateway.series.accept_errors.inc();
                    tracing::debug!(%error, "a connection was not accepted");
                    worker.pool.borrow_mut().shed();
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            },
            Some(ended) = connections.join_next() => say_panic(ended),
            _ = sweep.tick() => sweep_pool(&worker),
            _ = draining.wait_for(|draining| *draining) => break,
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        say_panic(ended);
    }
    Ok(())
}

/// What is idle for too long is closed; where file descriptors run short, all that is idle.
fn sweep_pool(worker: &Worker) {
    let mut pool = worker.pool.borrow_mut();
    match worker.gateway.is_short_of_files() {
        true => pool.shed(),
        false => pool.sweep(crate::clock::now()),
    }
}

/// Idle connections cost a descriptor each, and are only worth refusing when those run out.
fn is_full(worker: &Worker) -> bool {
    let gateway = &worker.gateway;
    if gateway.admin_in_need.load(Ordering::Relaxed) {
        return true;
    }
    if gateway.is_short_of_files() {
        // Idle connections to providers are kept to be quick; a caller is worth more.
        worker.pool.borrow_mut().shed();
        if gateway.is_short_of_files() {
            return true;
        }
    }
    let concurrent = gateway.store.load().config.server.limits.concurrent;
    gateway.connections.load(Ordering::Relaxed) >= concurrent.max(gateway.most_connections)
}

/// Said without waiting: who does not take it at once finds a closed connection.
fn refuse(worker: &Worker, stream: &TcpStream) {
    worker.gateway.series.accept_errors.inc();
    if worker.gateway.store.load().tls.is_some() {
        return;
    }
    let message = "too many connections are open (server.limits.concurrent, and the open-file limit)";
    let _ = stream.try_write(&refusal(ErrorCode::Overloaded, message, "retry-after: 1\r\n"));
}

/// An answer to a caller of whom nothing is known, not even its dialect. The connection ends with it.
pub(super) fn refusal(code: ErrorCode, message: &str, headers: &str) -> Vec<u8> {
    let (status, code) = (code.status(), code.as_str());
    let body =
        error_body(Dialect::OpenAi, &ErrorParts { status, code, message, param: None, request_id: "" });
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let head = format!(
        "HTTP/1.1 {status} {}\r\nconnection: close\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        reason.unwrap_or_default(),
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// A defect of ours costs one connection; the worker goes on.
fn say_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended.as_ref().map_err(ToString::to_string) {
        tracing::error!(error, "a connection's task panicked; this is a defect of dimmer");
    }
}
