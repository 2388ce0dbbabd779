//! Names and their last good answers; and which connections the pool gives out again.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Connector, NoConnection};
use crate::clock;
use crate::proxy::body::RequestBody;
use crate::proxy::dispatch::{Pool, Upstream};
use crate::snapshot::Endpoint;

fn named(host: &str, port: u16) -> Arc<Endpoint> {
    Arc::new(Endpoint { tls: false, host: host.to_owned(), port })
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() })
}

/// The addresses of a name of which this was known so many seconds ago.
fn asked_again(host: &str, known: &str, seconds: u64) -> Result<Vec<SocketAddr>, NoConnection> {
    let connector = Connector::new();
    let then = clock::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    let known = vec![known.parse().unwrap()];
    connector.names.lock().unwrap().insert(host.to_owned(), (known, then));
    run(connector.addresses(&named(host, 443)))
}

#[test]
fn the_last_good_answer_serves_while_names_cannot_be_asked_for() {
    let known = "192.0.2.7:443".parse().unwrap();
    // RFC 6761: this name has no address, ever.
    for (seconds, serves) in [(0, true), (29, true), (31, true), (290, true), (301, false)] {
        let told = asked_again("provider.invalid", "192.0.2.7:80", seconds);
        assert_eq!(told.ok(), serves.then(|| vec![known]), "after {seconds} s");
    }
}

#[test]
fn a_name_that_moved_is_followed() {
    assert_eq!(
        asked_again("localhost", "192.0.2.7:80", 29).ok(),
        Some(vec!["192.0.2.7:443".parse().unwrap()])
    );
    let now = asked_again("localhost", "192.0.2.7:80", 31).ok().unwrap();
    assert!(now.iter().all(|address| address.ip().is_loopback() && address.port() == 443), "{now:?}");
}

/// A connection to a provider of the test's own, and the provider's end of it.
async fn connected() -> (Upstream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = named("127.0.0.1", listener.local_addr().unwrap().port());
    let connector = Connector::new();
    let upstream = connector.open(&endpoint).await.ok().unwrap();
    upstream.budget.lift();
    (upstream, listener.accept().await.unwrap().0)
}

/// Drives the connection until this is done.
async fn drive<T>(upstream: &mut Upstream, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| {
        let _open = upstream.connection.as_mut().poll(cx);
        work.as_mut().poll(cx)
    })
    .await
}

/// Asks, and has this answered; gives the answer's body, of which nothing has been read.
async fn asked(upstream: &mut Upstream, provider: &mut TcpStream, answer: &str) -> Incoming {
    let request = Request::get("/").header("host", "x").body(RequestBody::empty()).unwrap();
    let sent = upstream.sender.try_send_request(request);
    drive(upstream, async {
        let said = async {
            assert!(provider.read(&mut [0; 1024]).await.unwrap() > 0);
            provider.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::join!(sent, said).0.ok().unwrap().into_body()
    })
    .await
}

/// Whether the pool gives a connection out that came back so.
async fn goes_out_again(upstream: Upstream) -> bool {
    let endpoint = upstream.endpoint();
    let mut pool = Pool::default();
    pool.put(upstream, clock::now());
    // The runtime looks at its sockets when there is nothing else to do.
    tokio::time::sleep(Duration::from_millis(5)).await;
    pool.take(&endpoint, clock::now()).is_some()
}

const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

#[test]
fn a_whole_exchange_gives_its_connection_back() {
    run(async {
        let (mut upstream, mut provider) = connected().await;
        for _ in 0..3 {
            let body = asked(&mut upstream, &mut provider, WHOLE).await;
            assert_eq!(drive(&mut upstream, body.collect()).await.unwrap().to_bytes(), "{}");
        }
        assert!(goes_out_again(upstream).await);
    });
}

#[test]
fn half_an_exchange_does_not() {
    run(async {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
            "HTTP/1.1 200 OK\r\n\r\n{}",
        ] {
            let (mut upstream, mut provider) = connected().await;
            let mut body = asked(&mut upstream, &mut provider, answer).await;
            assert!(drive(&mut upstream, body.frame()).await.unwrap().is_ok());
            assert!(!goes_out_again(upstream).await, "half read, and still held: {answer:?}");
        }
        // Nobody holds the body any more: what is left of it must not be the next caller's.
        let (mut upstream, mut provider) = connected().await;
        drop(asked(&mut upstream, &mut provider, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}").await);
        assert!(!goes_out_again(upstream).await, "half read, and let go");
        // The caller went before the answer came.
        let (mut upstream, mut provider) = connected().await;
        let request = Request::get("/").header("host", "x").body(RequestBody::empty()).unwrap();
        let sent = upstream.sender.try_send_request(request);
        drive(&mut upstream, async { assert!(provider.read(&mut [0; 1024]).await.unwrap() > 0) }).await;
        drop(sent);
        provider.write_all(WHOLE.as_bytes()).await.unwrap();
        assert!(!goes_out_again(upstream).await, "not answered yet");
    });
}

#[test]
fn what_comes_unasked_ends_a_connection() {
    run(async {
        for surplus in ["x", "\r\n", WHOLE, "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"] {
            let (mut upstream, mut provider) = connected().await;
            let body = asked(&mut upstream, &mut provider, &[WHOLE, surplus].concat()).await;
            assert!(drive(&mut upstream, body.collect()).await.is_ok());
            assert!(!goes_out_again(upstream).await, "with the answer: {surplus:?}");

            let (mut upstream, mut provider) = connected().await;
            let body = asked(&mut upstream, &mut provider, WHOLE).await;
            assert!(drive(&mut upstream, body.collect()).await.is_ok());
            provider.write_all(surplus.as_bytes()).await.unwrap();
            assert!(!goes_out_again(upstream).await, "behind the answer: {surplus:?}");
        }
        let (mut upstream, mut provider) = connected().await;
        let body = asked(&mut upstream, &mut provider, WHOLE).await;
        assert!(drive(&mut upstream, body.collect()).await.is_ok());
        drop(provider);
        assert!(!goes_out_again(upstream).await, "closed");
    });
}
