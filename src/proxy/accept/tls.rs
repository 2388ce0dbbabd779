//! A caller's connection under TLS, up to the end of the handshake.
//!
//! Who speaks clear text here is told so and served nothing. What callers do wrong is counted by a fixed list of causes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::observe::HandshakeFailure;
use crate::proxy::accept::listen::refusal;
use crate::proxy::worker::Gateway;
use crate::wire::ErrorCode;

/// Makes the handshake and waits for the first byte of what is said under it, each within `patience`; `None`: the connection is
/// over.
pub(super) async fn session(
    gateway: &Gateway,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    patience: Duration,
) -> Option<TlsStream<TcpStream>> {
    let made = tokio::time::timeout(patience, handshake(gateway, config, stream)).await;
    let mut session = match made.unwrap_or(Err(HandshakeFailure::Timeout)) {
        Ok(session) => session?,
        Err(failure) => {
            gateway.series.handshake_failed(failure);
            return None;
        }
    };
    let first = tokio::time::timeout(patience, session.fill_buf()).await;
    first.is_ok_and(|read| read.is_ok_and(|bytes| !bytes.is_empty())).then_some(session)
}

/// `Ok(None)`: the caller said nothing and went, as a load balancer's probe does.
async fn handshake(
    gateway: &Gateway,
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> Result<Option<TlsStream<TcpStream>>, HandshakeFailure> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Ok(None),
        Ok(_) => {}
    }
    if first != [HANDSHAKE_RECORD] {
        say_that_it_is_tls(stream, first).await;
        return Err(HandshakeFailure::NotTls);
    }
    let Some(_place) = Place::take(&gateway.handshakes, gateway.most_handshakes()) else {
        return Err(HandshakeFailure::Overloaded);
    };
    TlsAcceptor::from(config).accept(stream).await.map(Some).map_err(|error| cause(&error))
}

/// The first byte of every TLS connection: RFC 8446 section 5.1.
const HANDSHAKE_RECORD: u8 = 22;

fn cause(error: &io::Error) -> HandshakeFailure {
    tracing::debug!(%error, "a TLS handshake failed");
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match told {
        Some(rustls::Error::AlertReceived(_)) => HandshakeFailure::RefusedByCaller,
        Some(_) => HandshakeFailure::Protocol,
        None => HandshakeFailure::Closed,
    }
}

/// A handshake that is under way: each holds buffers, and its cryptography is the dearest thing that a stranger can ask for.
struct Place<'a>(&'a AtomicU64);

impl<'a> Place<'a> {
    fn take(count: &'a AtomicU64, most: u64) -> Option<Self> {
        let place = Self(count);
        let before = count.fetch_add(1, Ordering::Relaxed);
        (before < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A wrong base URL is the common mistake; whatever else comes gets no answer.
async fn say_that_it_is_tls(mut stream: TcpStream, first: [u8; 1]) {
    if !first.iter().all(u8::is_ascii_uppercase) {
        return;
    }
    let message =
        "the client sent an HTTP request to an HTTPS server: write https:// in the base URL (server.tls)";
    let answer = refusal(ErrorCode::BadRequest, message, "");
    if stream.write_all(&answer).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    // Closed with bytes unread, the connection would be reset, and the answer lost with it.
    let (mut unread, mut nowhere) = (stream.take(UNREAD_MAX), tokio::io::sink());
    let _ = tokio::time::timeout(DRAIN, tokio::io::copy(&mut unread, &mut nowhere)).await;
}

const UNREAD_MAX: u64 = 64 * 1024;
const DRAIN: Duration = Duration::from_secs(1);
