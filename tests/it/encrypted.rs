//! TLS on the data listener: HTTP/1.1 and HTTP/2 by ALPN, certificates that change while it serves, and callers that do it wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Connection, Dimmer, PATIENCE, listeners, post_json, wait_until};
use crate::upstreams::{After, Api, STREAM_HEAD, Upstream, answers_well, chunk, firehose, hangs_before_head};

/// A certificate for 127.0.0.1 that signed itself, and its key, in PEM.
pub(crate) fn pair() -> (String, String) {
    pair_until(2099)
}

fn pair_until(year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A file that only its owner reads, replaced at once.
fn put(folder: &Path, name: &str, text: &str) {
    let new = folder.join("new.pem");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(new, folder.join(name)).unwrap();
}

pub(crate) const TLS: &str = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";

fn config(limits: &str, upstream: &Upstream) -> String {
    listeners(&format!("{TLS}\n[server.limits]\n{limits}"))
        + &format!(
            "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n[routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n",
            upstream.address
        )
}

/// A gateway with this pair, and what trusts it.
fn start(limits: &str, upstream: &Upstream) -> (Dimmer, String) {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = pair();
    put(folder.path(), "cert.pem", &cert);
    put(folder.path(), "key.pem", &key);
    std::fs::write(folder.path().join("routes.toml"), config(limits, upstream)).unwrap();
    (Dimmer::start_in(folder, &[]), cert)
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("it takes too long") })
}

/// A session with who shows this certificate.
async fn connect(
    to: SocketAddr,
    trusted: &str,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    connect_by(to, trusted, alpn, rustls::ALL_VERSIONS).await
}

async fn connect_by(
    to: SocketAddr,
    trusted: &str,
    alpn: &[&[u8]],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(crypto).with_protocol_versions(versions).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let tcp = tokio::net::TcpStream::connect(to).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

fn asked(stream: bool) -> Request<Full<Bytes>> {
    let request = Request::post("https://gateway/r/v1/chat/completions")
        .header("host", "gateway")
        .header("content-type", "application/json");
    request.body(Full::from(Api::Chat.ask(stream))).unwrap()
}

async fn over_http_1(session: TlsStream<tokio::net::TcpStream>, stream: bool) -> String {
    let (mut caller, connection) = http1::handshake(TokioIo::new(session)).await.unwrap();
    tokio::spawn(connection);
    let answer = caller.send_request(asked(stream)).await.unwrap();
    assert_eq!(answer.status(), 200);
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn over_http_2(session: TlsStream<tokio::net::TcpStream>, stream: bool) -> String {
    let (mut caller, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(session)).await.unwrap();
    tokio::spawn(connection);
    let answer = caller.send_request(asked(stream)).await.unwrap();
    assert_eq!(answer.status(), 200);
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[test]
fn the_handshake_chooses_the_protocol() {
    let (dimmer, cert) = start("", &answers_well(Api::Chat));
    run(async {
        for stream in [false, true] {
            let expected = if stream { Api::Chat.events().concat() } else { Api::Chat.whole().to_owned() };
            let both = connect(dimmer.data, &cert, &[b"h2", b"http/1.1"]).await.unwrap();
            assert_eq!(both.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
            assert_eq!(over_http_2(both, stream).await, expected);
            let old = connect(dimmer.data, &cert, &[b"http/1.1"]).await.unwrap();
            assert_eq!(old.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
            assert_eq!(over_http_1(old, stream).await, expected);
            let none = connect(dimmer.data, &cert, &[]).await.unwrap();
            assert_eq!(over_http_1(none, stream).await, expected);
        }
    });
}

/// The same with the library that the Python SDKs use, and with Node's own: they have a say in what a good session is.
#[test]
fn python_and_node_are_served() {
    let (dimmer, _) = start("", &answers_well(Api::Chat));
    let url = format!("https://{}/r/v1/chat/completions", dimmer.data);
    let ca = dimmer.folder().join("cert.pem");
    let python = "import json,ssl,sys,urllib.request\n\
        context = ssl.create_default_context(cafile=sys.argv[2])\n\
        request = urllib.request.Request(sys.argv[1], sys.argv[3].encode(), {'content-type': 'application/json'})\n\
        print(urllib.request.urlopen(request, context=context).read().decode(), end='')\n";
    let node = "const [url, ca, body] = process.argv.slice(1);\n\
        const request = require('https').request(url, {method: 'POST', ca: require('fs').readFileSync(ca), \
        headers: {'content-type': 'application/json', 'content-length': body.length}}, \
        answer => answer.pipe(process.stdout));\n\
        request.end(body);\n";
    for (program, flag, script) in [("python3", "-c", python), ("node", "-e", node)] {
        let output = std::process::Command::new(program)
            .args([flag, script, &url, ca.to_str().unwrap(), &Api::Chat.ask(false)])
            .output();
        let Ok(output) = output else {
            eprintln!("{program} is not here");
            continue;
        };
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            Api::Chat.whole(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn clear_text_is_told_so_and_served_nothing() {
    let upstream = answers_well(Api::Chat);
    let (dimmer, _) = start("", &upstream);
    let mut connection = Connection::open(dimmer.data);
    connection.send_request("POST", "/r/v1/chat/completions", "", Api::Chat.ask(false).as_bytes());
    let answer = connection.answer("POST");
    assert_eq!((answer.status, answer.complete), (400, true));
    assert!(answer.text().contains("https://"), "{}", answer.text());
    for said in
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), b"\x16\x03\x01\x00\x02hi", b"\0\0\0\0", b"{}"]
    {
        let mut connection = Connection::open(dimmer.data);
        connection.send(said);
        connection.half_close();
        connection.wait_closed();
    }
    assert_eq!(upstream.connections(), 0);
    let failed = |cause| dimmer.metrics().metric("dimmer_tls_handshake_failures_total", &[("cause", cause)]);
    wait_until("all are counted", || failed("not_tls") > 3.5 && failed("protocol") + failed("closed") > 0.5);
}

#[test]
fn a_handshake_has_the_time_of_a_head() {
    let (mut dimmer, cert) = start("header_timeout = \"500ms\"", &answers_well(Api::Chat));
    for said in [b"".as_slice(), b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut connection = Connection::open(dimmer.data);
        connection.send(said);
        let (after, _) = connection.wait_closed();
        assert!(after < Duration::from_secs(5), "{after:?}");
    }
    run(async {
        // The session is there, and nothing comes over it.
        let mut session = connect(dimmer.data, &cert, &[b"http/1.1"]).await.unwrap();
        let begun = Instant::now();
        let _closed = tokio::io::AsyncReadExt::read(&mut session, &mut [0; 100]).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    });
    dimmer.assert_alive();
}

#[test]
fn old_versions_and_distrust_are_refused_and_counted() {
    let (dimmer, _) = start("", &answers_well(Api::Chat));
    let (another, _) = pair();
    run(async {
        assert!(connect(dimmer.data, &another, &[]).await.is_err(), "another certificate was trusted");
    });
    // A greeting of TLS 1.0, with one cipher of its time.
    let hello = [&[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    let mut stream = TcpStream::connect(dimmer.data).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&hello).unwrap();
    let mut said = Vec::new();
    let _closed = stream.read_to_end(&mut said);
    assert_eq!(said.first(), Some(&21), "an alert, and no greeting: {said:?}");
    let failed = |cause| dimmer.metrics().metric("dimmer_tls_handshake_failures_total", &[("cause", cause)]);
    wait_until("both are counted", || failed("refused_by_caller") > 0.5 && failed("protocol") > 0.5);
}

#[test]
fn a_new_certificate_is_shown_to_new_callers_and_old_sessions_live_on() {
    let slow = Upstream::new(|peer, _| {
        peer.write(STREAM_HEAD);
        for event in Api::Chat.events() {
            peer.write(chunk(event));
            peer.pause(Duration::from_millis(400));
        }
        peer.then("0\r\n\r\n", After::KeepAlive)
    });
    let (mut dimmer, first) = start("", &slow);
    dimmer.expect_log("is not the key of the certificate");
    let reloads = |dimmer: &Dimmer, result: &str| {
        dimmer.metrics().metric("dimmer_config_reloads_total", &[("result", result)])
    };
    let (second, key) = pair();
    run(async {
        let session = connect(dimmer.data, &first, &[b"http/1.1"]).await.unwrap();
        let (mut caller, connection) = http1::handshake(TokioIo::new(session)).await.unwrap();
        tokio::spawn(connection);
        let mut answer = caller.send_request(asked(true)).await.unwrap();
        let begun = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        // Half a pair is no pair: the old one serves on, and the log says what does not fit.
        let (failed, taken) = (reloads(&dimmer, "error"), reloads(&dimmer, "ok"));
        put(dimmer.folder(), "cert.pem", &second);
        wait_until("half a pair is refused", || reloads(&dimmer, "error") > failed);
        assert!(connect(dimmer.data, &first, &[]).await.is_ok(), "the old one is gone");
        put(dimmer.folder(), "key.pem", &key);
        wait_until("the new pair is taken", || reloads(&dimmer, "ok") > taken);
        assert!(connect(dimmer.data, &first, &[]).await.is_err(), "the old one is shown still");
        let session = connect(dimmer.data, &second, &[b"h2"]).await.unwrap();
        assert_eq!(over_http_2(session, true).await, Api::Chat.events().concat());
        let rest = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!([begun, rest].concat(), Api::Chat.events().concat().as_bytes());
    });
    let said = dimmer.logs().iter().filter(|line| line.contains("is not the key of")).count();
    assert_eq!(said, 1, "{:#?}", dimmer.logs());
}

#[test]
fn every_byte_may_be_a_record_of_its_own() {
    let upstream = answers_well(Api::Chat);
    let (dimmer, cert) = start("", &upstream);
    let body = Api::Chat.ask(false);
    let good = format!(
        "POST /r/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let said = run(async {
        let mut session = connect(dimmer.data, &cert, &[b"http/1.1"]).await.unwrap();
        // Three at once, of which the second is wrong: the first is answered, the third is nobody's.
        for byte in [&good, &good.replace("host:", "host :"), &good].into_iter().flat_map(|text| text.bytes())
        {
            // Who refuses may close before all of it is sent.
            let _sent = tokio::io::AsyncWriteExt::write_all(&mut session, &[byte]).await;
            let _sent = tokio::io::AsyncWriteExt::flush(&mut session).await;
        }
        let mut said = Vec::new();
        let _closed = tokio::io::AsyncReadExt::read_to_end(&mut session, &mut said).await;
        String::from_utf8(said).unwrap()
    });
    let statuses: Vec<&str> = said.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    assert_eq!(statuses, ["200", "400"], "{said}");
    assert!(said.contains(Api::Chat.whole()), "{said}");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_lost_tls_line_does_not_turn_the_listener_to_clear_text() {
    let upstream = answers_well(Api::Chat);
    let (mut dimmer, first) = start("", &upstream);
    dimmer.expect_log("server.tls");
    let said = |dimmer: &Dimmer| {
        dimmer.logs().iter().filter(|line| line.contains("server.tls") && line.contains("next start")).count()
    };
    let clear = config("", &upstream).replace(TLS, "");
    dimmer.reload_and_wait(&clear);
    dimmer.reload_and_wait(&(clear + "[routes.s]\npath = \"/s\"\nprovider = [\"p\"]\n"));
    assert_eq!(said(&dimmer), 1, "{:#?}", dimmer.logs());
    let mut plain = Connection::open(dimmer.data);
    plain.send_request("POST", "/r/v1/chat/completions", "", Api::Chat.ask(false).as_bytes());
    assert_eq!(plain.answer("POST").status, 400);
    let ends = dimmer.metrics().metric("dimmer_tls_certificate_expires_timestamp_seconds", &[]);
    assert!(ends > 4e9, "{ends}");
    run(async {
        let session = connect(dimmer.data, &first, &[b"h2"]).await.unwrap();
        assert_eq!(over_http_2(session, false).await, Api::Chat.whole());
        // The line is back, and with it the way to a new pair.
        let (second, key) = pair();
        dimmer.reload_and_wait(&config("", &upstream));
        dimmer.expect_log("is not the key of the certificate");
        put(dimmer.folder(), "key.pem", &key);
        put(dimmer.folder(), "cert.pem", &second);
        let begun = Instant::now();
        while connect(dimmer.data, &second, &[]).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "the new pair is not taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(upstream.requests().len(), 1);
}

/// As Kubernetes mounts a secret: the files are links through `..data`, itself a link to a folder that is replaced as a whole.
#[test]
fn a_mounted_secret_is_swapped_whole() {
    let upstream = answers_well(Api::Chat);
    let folder = tempfile::tempdir().unwrap();
    let mounted = |name: &str| {
        let (cert, key) = pair();
        std::fs::create_dir(folder.path().join(name)).unwrap();
        put(&folder.path().join(name), "cert.pem", &cert);
        put(&folder.path().join(name), "key.pem", &key);
        cert
    };
    let (first, second) = (mounted("..1"), mounted("..2"));
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    link("..1", "..data");
    link("..data/cert.pem", "cert.pem");
    link("..data/key.pem", "key.pem");
    link("..2", "..data_new");
    let path = folder.path().to_owned();
    std::fs::write(path.join("routes.toml"), config("", &upstream)).unwrap();
    let dimmer = Dimmer::start_in(folder, &[]);
    run(async {
        assert!(connect(dimmer.data, &first, &[]).await.is_ok());
        std::fs::rename(path.join("..data_new"), path.join("..data")).unwrap();
        std::fs::remove_dir_all(path.join("..1")).unwrap();
        while connect(dimmer.data, &second, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    // The files are gone altogether: what was read serves on.
    let mut dimmer = dimmer;
    dimmer.expect_log("server.tls");
    std::fs::remove_dir_all(path.join("..2")).unwrap();
    let failed = || dimmer.metrics().metric("dimmer_config_reloads_total", &[("result", "error")]);
    wait_until("the loss is said", || failed() > 0.5);
    run(async {
        let session = connect(dimmer.data, &second, &[b"h2"]).await.unwrap();
        assert_eq!(over_http_2(session, false).await, Api::Chat.whole());
    });
}

/// What certificates are signed with differs: keys of each kind serve, RSA also for callers that know TLS 1.2 only.
#[test]
fn keys_of_every_kind_serve() {
    let upstream = answers_well(Api::Chat);
    for kind in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519"] {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("openssl")
            .args("req -x509 -nodes -days 30 -subj /CN=x -addext subjectAltName=IP:127.0.0.1".split(' '))
            .args(
                "-addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem -newkey".split(' '),
            )
            .args(kind.split(' '))
            .current_dir(folder.path())
            .output();
        let Ok(made) = made else { return eprintln!("openssl is not here") };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let cert = std::fs::read_to_string(folder.path().join("cert.pem")).unwrap();
        std::fs::write(folder.path().join("routes.toml"), config("", &upstream)).unwrap();
        let dimmer = Dimmer::start_in(folder, &[]);
        run(async {
            let session = connect(dimmer.data, &cert, &[b"h2"]).await.unwrap();
            assert_eq!(over_http_2(session, false).await, Api::Chat.whole(), "{kind}");
            let old =
                connect_by(dimmer.data, &cert, &[b"http/1.1"], &[&rustls::version::TLS12]).await.unwrap();
            assert_eq!(over_http_1(old, false).await, Api::Chat.whole(), "{kind}");
            // Nothing in common by ALPN: an alert, and no guess.
            let none = connect(dimmer.data, &cert, &[b"spdy/3"]).await;
            assert!(none.is_err_and(|error| error.to_string().contains("NoApplicationProtocol")), "{kind}");
        });
    }
}

#[test]
fn a_listener_in_clear_text_stays_so_until_the_next_start() {
    let upstream = answers_well(Api::Chat);
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = pair();
    put(folder.path(), "cert.pem", &cert);
    put(folder.path(), "key.pem", &key);
    std::fs::write(folder.path().join("routes.toml"), config("", &upstream).replace(TLS, "")).unwrap();
    let mut dimmer = Dimmer::start_in(folder, &[]);
    dimmer.expect_log("server.tls");
    dimmer.reload_and_wait(&config("", &upstream));
    assert_eq!(post_json(dimmer.data, "/r/v1/chat/completions", &Api::Chat.ask(false)).status, 200);
}

#[test]
fn callers_that_go_away_and_callers_that_take_nothing_are_felt_under_tls() {
    let (hanging, pouring) = (hangs_before_head(), firehose(Api::Chat));
    let (dimmer, cert) = start("write_stall = \"700ms\"", &hanging);
    run(async {
        let mut session = connect(dimmer.data, &cert, &[b"http/1.1"]).await.unwrap();
        let body = Api::Chat.ask(true);
        let head = format!(
            "POST /r/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        tokio::io::AsyncWriteExt::write_all(&mut session, format!("{head}{body}").as_bytes()).await.unwrap();
        hanging.wait_requests(1);
        drop(session);
        hanging.wait_closed(1);
        dimmer.reload_and_wait(&config("write_stall = \"700ms\"", &pouring));
        for alpn in [b"http/1.1".as_slice(), b"h2"] {
            let closed = pouring.closed();
            let session = connect(dimmer.data, &cert, &[alpn]).await.unwrap();
            let answer = match alpn {
                b"h2" => {
                    let (mut caller, connection) =
                        http2::handshake(TokioExecutor::new(), TokioIo::new(session)).await.unwrap();
                    tokio::spawn(connection);
                    caller.send_request(asked(true)).await.unwrap()
                }
                _ => {
                    let (mut caller, connection) = http1::handshake(TokioIo::new(session)).await.unwrap();
                    tokio::spawn(connection);
                    caller.send_request(asked(true)).await.unwrap()
                }
            };
            let begun = Instant::now();
            while pouring.closed() == closed {
                assert!(begun.elapsed() < PATIENCE, "a caller that takes nothing is held still");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            drop(answer);
        }
    });
}

/// What `dimmer check` says of a pair.
fn checked(cert: &str, key: &str, mode: u32) -> String {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "cert.pem", cert);
    put(folder.path(), "key.pem", key);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(folder.path().join("key.pem"), mode).unwrap();
    let file = folder.path().join("routes.toml");
    std::fs::write(&file, config("", &Upstream::nowhere())).unwrap();
    let output =
        std::process::Command::new(crate::harness::DIMMER).args(["check"]).arg(file).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn what_is_wrong_with_a_pair_is_said() {
    let (cert, key) = pair();
    let (_, other) = pair();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (cert, key, said) in [
        (key.as_str(), key.as_str(), "server.tls.cert: the file \"cert.pem\" has no certificate in it"),
        ("", &key, "server.tls.cert: the file \"cert.pem\" has no certificate in it"),
        (&cert, &cert, "server.tls.key: the file \"key.pem\" has no private key in it"),
        (&cert, encrypted, "it is encrypted; openssl pkey"),
        (&cert, &other, "\"key.pem\" is not the key of the certificate in \"cert.pem\""),
    ] {
        let told = checked(cert, key, 0o600);
        assert!(told.contains(said), "{said:?} is not in:\n{told}");
        assert!(!told.contains("MII"), "{told}");
    }
    assert!(!checked(&cert, &key, 0o600).contains("server.tls"));
    assert!(checked(&cert, &key, 0o644).contains("every user of this machine can read \"key.pem\""));
    let (cert, key) = pair_until(2021);
    assert!(checked(&cert, &key, 0o600).contains("the certificate in \"cert.pem\" has expired"));
}
