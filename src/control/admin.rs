//! The admin listener: metrics, health, and who may see them. Never on the data listener's socket.

use std::convert::Infallible;
use std::fs::File;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::clock;
use crate::control::api::{self, Api, Said};
use crate::control::pages;
use crate::observe::Metrics;
use crate::snapshot::{Store, View};
use crate::units::Percent;

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
    /// `/api/v1`
    pub api: Arc<Api>,
    /// No file descriptor is left but the one that was spared for this listener. Written here, read where callers are accepted.
    pub in_need: Arc<AtomicBool>,
}

/// A head that takes longer is not an operator's.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// One operator's page, a scraper and a probe need few: the rest waits in the socket's backlog.
const CONNECTIONS: usize = 256;
/// Out of file descriptors, or the like.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);
/// Then each connection has one request, and this long for it.
const IN_NEED: Duration = Duration::from_secs(1);
/// Who has taken the descriptor needs this long to see that it is wanted.
const GIVEN_BACK: Duration = Duration::from_millis(2);
/// So many of them before there is a pause.
const AT_A_STRETCH: usize = 8;

/// A descriptor that is given up when there is no other.
fn descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

impl Admin {
    /// Serves until the task is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        let mut spare = descriptor();
        loop {
            if spare.is_none() {
                spare = descriptor();
            }
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = Arc::clone(&self);
                    tokio::spawn(async move {
                        admin.connection(stream, true).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "an admin connection was not accepted");
                    self.in_need.store(true, Ordering::Relaxed);
                    drop(spare.take());
                    Arc::clone(&self).one_after_another(&listener).await;
                    spare = descriptor();
                    self.in_need.store(false, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    /// Serves a few connections with the one descriptor that was spared for it, so that an operator can see what goes on.
    async fn one_after_another(self: Arc<Self>, listener: &TcpListener) {
        for _ in 0..AT_A_STRETCH {
            match poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await {
                Poll::Ready(Ok((stream, _))) => {
                    let served = Arc::clone(&self).connection(stream, false);
                    let _ = tokio::time::timeout(IN_NEED, served).await;
                }
                // Another part of the process was quicker: who accepts callers gives the descriptor back.
                Poll::Ready(Err(_)) => tokio::time::sleep(GIVEN_BACK).await,
                // Nobody is waiting: without a descriptor the system does not even say that.
                Poll::Pending => return,
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, keep_alive: bool) {
        let service = service_fn(move |request: Request<Incoming>| {
            let admin = Arc::clone(&self);
            async move {
                Ok::<_, Infallible>(match api::is_api(request.uri().path()) {
                    true => admin.api.answer(request).await,
                    false => admin.answer(&request).map(Said::from),
                })
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .keep_alive(keep_alive)
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
        // Without data, so for everybody: a browser cannot send a token before a page has asked for it.
        if let Some(page) = pages::at(path) {
            return page;
        }
        let snapshot = self.store.load_full();
        if !api::may_read(&snapshot.config.admin.tokens, request.headers()) {
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
            "/metrics" => self.metrics(&snapshot, request.headers()),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are / (the page), /metrics, /healthz, /readyz, /shadow/ROUTE/NAME and /api/v1\n",
            ),
        }
    }

    fn metrics(&self, view: &View, asked: &HeaderMap) -> Response<Full<Bytes>> {
        // A rest ends by itself, as a day does: nobody is told of it, so it is counted when it is asked for.
        self.metrics.keys_resting(view.resting_keys(clock::uptime()));
        self.metrics.flag_defaults(view.flag_defaults());
        self.metrics.shadow_money(view.shadow_money(clock::unix_seconds()));
        let share = |percent: Percent| percent.as_percent() / 100.0;
        let rollouts = view.rollouts();
        self.metrics.flag_rollouts(
            rollouts.map(|(flag, rule, percent)| (flag.key.as_str(), rule.name.as_str(), share(percent))),
        );
        self.api.upkeep.show();
        let accept = asked.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match self.metrics.render_for(accept) {
            Ok((page, kind)) => {
                let mut response = text(StatusCode::OK, &page);
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
                headers.insert(header::VARY, header::HeaderValue::from_static("accept"));
                response
            }
            Err(error) => {
                tracing::error!(%error, "the metrics could not be written");
                text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written; see the log\n")
            }
        }
    }
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
