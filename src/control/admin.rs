//! The admin listener: metrics, health, and who may see them. Never on the data listener's socket.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};

use crate::clock;
use crate::observe::Metrics;
use crate::snapshot::{Snapshot, Store};

/// Whether the gateway takes requests. Written by `app`, read by `/readyz`.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    /// From now on it does, or does not.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// What the admin listener tells.
#[derive(Debug)]
pub struct Admin {
    /// Tokens are the snapshot's: a reload changes them.
    pub store: Arc<Store>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether requests are taken.
    pub readiness: Arc<Readiness>,
}

/// A head that takes longer is not an operator's.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// One operator's page, a scraper and a probe need few: the rest waits in the socket's backlog.
const CONNECTIONS: usize = 256;
/// Out of file descriptors, or the like.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

impl Admin {
    /// Serves until the task is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = Arc::clone(&self);
                    tokio::spawn(async move {
                        admin.connection(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "an admin connection was not accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(move |request| {
            let response = self.answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "an admin connection ended early");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
        }
        match path {
            "/healthz" => return text(StatusCode::OK, "ok\n"),
            "/readyz" if self.readiness.0.load(Ordering::Acquire) => return text(StatusCode::OK, "ready\n"),
            "/readyz" => return text(StatusCode::SERVICE_UNAVAILABLE, "draining, or not started yet\n"),
            _ => {}
        }
        let snapshot = self.store.load_full();
        if !may_read(&snapshot, request) {
            let mut refused = text(
                StatusCode::UNAUTHORIZED,
                "send a token of admin.tokens: `Authorization: Bearer TOKEN`\n",
            );
            refused
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            return refused;
        }
        match path {
            "/metrics" => self.metrics(&snapshot),
            "/" => text(StatusCode::OK, &front_page(&snapshot)),
            _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
        }
    }

    fn metrics(&self, snapshot: &Snapshot) -> Response<Full<Bytes>> {
        // A rest ends by itself: nobody is told of it, so it is counted when it is asked for.
        self.metrics.keys_resting(snapshot.resting_keys(clock::uptime()));
        match self.metrics.render() {
            Ok(page) => {
                let mut response = text(StatusCode::OK, &page);
                response.headers_mut().insert(
                    header::CONTENT_TYPE,
                    header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
                );
                response
            }
            Err(error) => {
                tracing::error!(%error, "the metrics could not be written");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written; see the log\n")
            }
        }
    }
}

/// Without tokens everybody who reaches the listener may read: then it is on loopback, `config` and the loader see to that.
fn may_read(snapshot: &Snapshot, request: &Request<Incoming>) -> bool {
    let tokens = &snapshot.config.admin.tokens;
    if tokens.is_empty() {
        return true;
    }
    let sent = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, sent)) = sent else { return false };
    // Every token is compared, each in constant time: how long it takes tells nothing.
    tokens.iter().fold(false, |found, token| {
        found | bool::from(token.token.reveal().as_bytes().ct_eq(sent.trim().as_bytes()))
    })
}

fn front_page(snapshot: &Snapshot) -> String {
    let routes: Vec<&str> = snapshot.config.routes.iter().map(|route| route.name.as_str()).collect();
    format!(
        "dimmer {}\n\nconfiguration {} since the start, routes: {}\n\n/metrics  for Prometheus\n/healthz  is the process \
         alive\n/readyz   does it take requests\n",
        env!("CARGO_PKG_VERSION"),
        snapshot.generation,
        routes.join(", ")
    )
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
