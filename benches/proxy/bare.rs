//! The measure of all: the least that a reverse proxy on hyper can be. It parses a head, changes `Host`, picks a kept
//! connection, passes bodies on frame by frame, and does nothing else: no limits, no timeouts, no metrics, no decisions.
//!
//! One thread; each connection to the provider is a task of its own, as hyper's documentation shows it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::process::{Outcome, announce, listener, on_one_thread};

/// The provider and the idle connections to it.
struct Upstream {
    address: SocketAddr,
    host: HeaderValue,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

/// Serves until it is killed.
pub(crate) fn run(provider: SocketAddr) -> Outcome<()> {
    on_one_thread(async move {
        let listener = listener().await?;
        announce(listener.local_addr()?)?;
        let host = HeaderValue::from_str(&provider.to_string())?;
        let upstream = Rc::new(Upstream { address: provider, host, idle: RefCell::default() });
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let upstream = Rc::clone(&upstream);
            let service = service_fn(move |request| relay(Rc::clone(&upstream), request));
            tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn relay(upstream: Rc<Upstream>, mut request: Request<Incoming>) -> Outcome<Response<Relayed>> {
    request.headers_mut().insert(header::HOST, upstream.host.clone());
    let mut sender = upstream.connection().await?;
    let response = sender.send_request(request).await?;
    Ok(response.map(|body| Relayed { body, sender: Some(sender), upstream }))
}

impl Upstream {
    async fn connection(&self) -> Outcome<SendRequest<Incoming>> {
        loop {
            let kept = self.idle.borrow_mut().pop();
            let Some(mut sender) = kept else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

/// The provider's body; gives the connection back when it has come whole.
struct Relayed {
    body: Incoming,
    sender: Option<SendRequest<Incoming>>,
    upstream: Rc<Upstream>,
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take().filter(|_| self.body.is_end_stream()) {
            self.upstream.idle.borrow_mut().push(sender);
        }
    }
}
