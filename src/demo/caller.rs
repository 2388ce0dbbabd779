//! One caller's way to the gateway: real sockets, kept alive, and a look at each answer as an SDK would take it.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use super::crowd::{Api, Call};
use crate::clock;

/// The gateway as its callers have it.
pub(super) struct Door {
    address: SocketAddr,
    /// Connections that nobody uses at the moment. Taken by a call, given back by its end.
    idle: Mutex<Vec<(Instant, SendRequest<Full<Bytes>>)>>,
}

/// An answer that was whole.
#[derive(Debug)]
pub(super) struct Answer {
    /// What feedback names it by.
    pub(super) request_id: Option<String>,
    pub(super) bytes: usize,
}

/// Nothing of the demo is longer.
const ANSWER_MAX: usize = 4 << 20;
/// A caller that waits longer gives up, and counts as one who got an error.
const PATIENCE: Duration = Duration::from_secs(120);
/// Every app lets go of what is idle before the gateway does (75 s), so that no request meets a connection that closes.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// How much of an answer's text a message may show.
const SHOWN: usize = 200;

impl Door {
    /// Nothing is connected yet.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Asks. An error says what the caller saw.
    pub(super) async fn ask(&self, call: &Call) -> Result<Answer, String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/{}{}", call.route, call.api.path()))
            .header("x-user-id", &call.user)
            .header("x-user-tier", call.tier)
            .header("x-user-region", call.region);
        let request = if call.api == Api::Messages {
            request.header("anthropic-version", "2023-06-01")
        } else {
            request
        };
        let (status, request_id, body) = self.sent(request, call.body.clone()).await?;
        let text = String::from_utf8_lossy(&body);
        if status != StatusCode::OK {
            return Err(format!("{}: {status}: {}", call.route, excerpt(&text)));
        }
        if call.stream && !text.contains(call.api.end()) {
            return Err(format!("{}: a stream ended before its end", call.route));
        }
        Ok(Answer { request_id, bytes: body.len() })
    }

    /// Says what a user thinks of an answer.
    pub(super) async fn say(&self, request_id: &str, thumb: f64) -> Result<(), String> {
        let body = json!({"request_id": request_id, "name": "thumbs", "value": thumb}).to_string();
        let request = Request::builder().method(Method::POST).uri("/dimmer/v1/feedback");
        let (status, _, said) = self.sent(request, Bytes::from(body)).await?;
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("feedback: {status}: {}", excerpt(&String::from_utf8_lossy(&said)))),
        }
    }

    async fn sent(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<(StatusCode, Option<String>, Bytes), String> {
        let request = request
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, body.len())
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        tokio::time::timeout(PATIENCE, self.exchange(request))
            .await
            .map_err(|_| format!("no whole answer within {} s", PATIENCE.as_secs()))?
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Option<String>, Bytes), String> {
        let mut sender = self.connection().await?;
        let answer = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
        let status = answer.status();
        let id = answer.headers().get("x-dimmer-request-id");
        let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((clock::now(), sender));
        Ok((status, id, body))
    }

    /// One that is still open, or a new one.
    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((since, mut sender)) = idle else { break };
            let fresh = clock::now().saturating_duration_since(since) < IDLE_MAX;
            if fresh && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream =
            TcpStream::connect(self.address).await.map_err(|error| format!("no connection: {error}"))?;
        // A request is one small packet: it is not to wait for more.
        stream.set_nodelay(true).map_err(|error| format!("no connection: {error}"))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| format!("no connection: {error}"))?;
        // It ends with its sender; what breaks is told to who asks.
        drop(tokio::spawn(connection));
        Ok(sender)
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(SHOWN).map(|one| if one.is_control() { ' ' } else { one }).collect()
}
