//! Connections to providers are shared by strangers: a storm of callers, a third of whom hang up anywhere, over a provider that
//! misbehaves, and not one gets a byte of another's answer.
//!
//! Each request carries a token of its own, which the provider echoes. `STORM_REQUESTS` says how many requests there are,
//! `STORM_SEED` which.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::{Connection, Dimmer, Framing, Piece, listeners, request, wait_until};
use crate::upstreams::{After, Peer, Recorded, STREAM_HEAD, Upstream, chunk, json, sized, wants_stream};

/// What happens to one request. The provider reads it in `x-plan`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plan {
    /// All is well.
    Well,
    /// The provider sends a second answer with the first.
    Double,
    /// The provider sends some bytes after its answer.
    Trailing,
    /// The provider's answer is longer than it said.
    Short,
    /// The provider's answer is shorter than it said.
    Cut,
    /// The caller hangs up while it sends its body.
    LeavesUploading,
    /// The caller hangs up before the answer begins.
    LeavesWaiting,
    /// The caller hangs up in the middle of the answer.
    LeavesReading,
    /// The caller hangs up just before the answer's end.
    LeavesAtTheEnd,
}

use Plan::{
    Cut, Double, LeavesAtTheEnd, LeavesReading, LeavesUploading, LeavesWaiting, Short, Trailing, Well,
};

/// A third leaves, a sixth meets a provider that misbehaves.
const PLANS: [Plan; 24] = [
    Well,
    Well,
    Well,
    Well,
    Well,
    Well,
    Well,
    Well,
    Well,
    Well,
    Well,
    Well,
    Double,
    Trailing,
    Short,
    Cut,
    LeavesUploading,
    LeavesUploading,
    LeavesWaiting,
    LeavesWaiting,
    LeavesReading,
    LeavesReading,
    LeavesAtTheEnd,
    LeavesAtTheEnd,
];

/// One request of the storm.
#[derive(Clone, Debug)]
struct Case {
    token: String,
    plan: Plan,
    path: &'static str,
    stream: bool,
    body: String,
    dice: u64,
}

/// A bare route, a rewriting one, and calls that nobody reads.
const PATHS: [&str; 4] =
    ["/r/v1/chat/completions", "/w/v1/chat/completions", "/r/v1/files", "/r/v1/responses"];

impl Case {
    fn new(number: u64, seed: u64) -> Self {
        let dice = mix(seed ^ number);
        let pick = |from: usize, shift: u32| (mix(dice ^ u64::from(shift)) % from as u64) as usize;
        let (token, stream) = (format!("tok-{number:08x}"), pick(2, 1) == 0);
        let padding = "x".repeat([0, 50, 3000, 70_000][pick(4, 2)]);
        let body = format!(
            r#"{{"model":"m-1","stream":{stream},"messages":[{{"role":"user","content":"{token} {padding} {token}"}}]}}"#
        );
        Self { token, plan: PLANS[pick(PLANS.len(), 3)], path: PATHS[pick(4, 4)], stream, body, dice }
    }

    fn leaves(&self) -> bool {
        matches!(self.plan, LeavesUploading | LeavesWaiting | LeavesReading | LeavesAtTheEnd)
    }

    /// What the caller must get, if all goes well.
    fn expected(&self) -> String {
        answer(&self.token, self.stream)
    }

    /// Judges what came of the answer.
    fn judge(&self, status: u16, body: &[u8], complete: bool) -> Result<(), String> {
        let text = String::from_utf8_lossy(body);
        let wrong = |what: &str| Err(format!("{what}: {self:?} got {status}, whole: {complete}: {text}"));
        // The last may be cut.
        if tokens(&text).any(|token| !self.token.starts_with(token)) || text.contains("poison") {
            return wrong("another's answer");
        }
        if self.leaves() {
            return Ok(());
        }
        match self.plan {
            Cut if complete && status == 200 => wrong("half an answer with a clean end"),
            Cut => Ok(()),
            Short if !self.stream => match status == 200 && self.expected().starts_with(&*text) {
                true => Ok(()),
                false => wrong("the provider's answer was too long"),
            },
            _ if status == 200 && complete && text == self.expected() => Ok(()),
            _ => wrong("a request that should have gone well"),
        }
    }
}

/// SplitMix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("tok-").map(|(at, _)| text.get(at..text.len().min(at + 12)).unwrap_or("?"))
}

fn answer(token: &str, stream: bool) -> String {
    if stream {
        let delta =
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{token}\"}}}}]}}\n\n");
        return delta.repeat(4) + "data: [DONE]\n\n";
    }
    format!(
        "{{\"choices\":[{{\"index\":0,\"message\":{{\"content\":\"{token} {token} {token} {token}\"}}}}]}}"
    )
}

/// What the provider saw that must not be.
type Wrong = Arc<Mutex<Vec<String>>>;

/// Echoes tokens, and does what the plan says.
fn provider(wrong: &Wrong) -> Upstream {
    let wrong = Arc::clone(wrong);
    Upstream::new(move |peer, request| {
        let (token, plan) = (request.values("x-token").concat(), request.values("x-plan").concat());
        let body = String::from_utf8_lossy(&request.body);
        if tokens(&body).count() != 2 || tokens(&body).any(|found| found != token) {
            wrong.lock().unwrap().push(format!("{token} came with the body {body}"));
        }
        let leave = |peer: &mut Peer| {
            if !peer.hears_nothing_more() {
                wrong.lock().unwrap().push(format!("the connection of {token}, {plan}, was used again"));
            }
            After::Close
        };
        let whole = framed(request, &token);
        let poison = json("200 OK", r#"{"poison":"tok-ffffffff"}"#);
        match plan.as_str() {
            "Double" => peer.then([whole, poison].concat(), After::KeepAlive),
            "Trailing" => peer.then([&whole, b"\r\npoison".as_slice()].concat(), After::KeepAlive),
            "Short" if !wants_stream(request) => {
                let text = answer(&token, false);
                let (told, surplus) = text.split_at(text.len() - 9);
                let answer = sized("200 OK", "content-type: application/json\r\n", told);
                peer.then([&answer, surplus.as_bytes()].concat(), After::KeepAlive)
            }
            "Cut" => peer.then(&whole[..whole.len() - 20], After::Close),
            "LeavesWaiting" => leave(peer),
            "LeavesReading" => {
                peer.write(&whole[..whole.len() - 40]);
                leave(peer)
            }
            _ => peer.then(whole, After::KeepAlive),
        }
    })
}

fn framed(request: &Recorded, token: &str) -> Vec<u8> {
    let stream = wants_stream(request);
    let text = answer(token, stream);
    match stream {
        false => json("200 OK", text),
        true => [STREAM_HEAD.as_bytes(), &chunk(text), b"0\r\n\r\n"].concat(),
    }
}

fn start(upstream: &Upstream) -> Dimmer {
    Dimmer::start(
        &(listeners("")
            + &format!(
                "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{}/v1\"\n\
                 [models.m-2]\nprovider = \"p\"\n\
                 [routes.r]\npath = \"/r\"\nprovider = [\"p\"]\n\
                 [routes.w]\npath = \"/w\"\nprovider = [\"p\"]\nmodel = \"m-2\"\n",
                upstream.address
            )),
    )
}

/// Plays one case over HTTP/1; the connection is used again where that is right.
fn over_http_1(case: &Case, to: SocketAddr, kept: &mut Option<Connection>) -> Result<(), String> {
    let mut connection = kept.take().unwrap_or_else(|| Connection::open(to));
    let (path, token, plan) = (case.path, &case.token, case.plan);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-token: {token}\r\nx-plan: {plan:?}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        case.body.len()
    );
    let whole = [head.as_bytes(), case.body.as_bytes()].concat();
    if plan == LeavesUploading {
        connection.send(&whole[..head.len() + 1 + (case.dice as usize) % (case.body.len() - 1)]);
        pause(case);
        return hang_up(case, connection);
    }
    connection.send(&whole);
    if plan == LeavesWaiting {
        pause(case);
        return hang_up(case, connection);
    }
    let head = connection.head();
    let framing = head.framing("POST");
    if case.leaves() {
        let seen = part(case, &mut connection, framing);
        hang_up(case, connection)?;
        return case.judge(head.status, &seen, false);
    }
    let (body, complete) = connection.body(framing);
    let close = head.headers.iter().any(|(name, value)| name == "connection" && value == "close");
    if complete && !close && !case.dice.is_multiple_of(5) {
        *kept = Some(connection);
    }
    case.judge(head.status, &body, complete)
}

/// A part of an answer: its first piece, or all but its end.
fn part(case: &Case, connection: &mut Connection, mut framing: Framing) -> Vec<u8> {
    let mut seen = Vec::new();
    let enough = if case.plan == LeavesAtTheEnd { case.expected().len() } else { 1 };
    while seen.len() < enough {
        match connection.piece(&mut framing) {
            Piece::Data(data) => seen.extend(data),
            Piece::End | Piece::Broken => break,
        }
    }
    seen
}

fn pause(case: &Case) {
    thread::sleep(Duration::from_micros(case.dice >> 8 & 0xfff));
}

fn hang_up(case: &Case, connection: Connection) -> Result<(), String> {
    match case.dice & 0x80 {
        0 => connection.reset(),
        _ => drop(connection),
    }
    Ok(())
}

/// Plays one case over HTTP/2: who leaves resets its stream, and the connection lives on.
async fn over_http_2(case: &Case, mut caller: SendRequest<Full<Bytes>>) -> Result<(), String> {
    let request = Request::post(format!("http://x{}", case.path))
        .header("x-token", &case.token)
        .header("x-plan", format!("{:?}", case.plan))
        .header("content-type", "application/json")
        .body(Full::from(case.body.clone()))
        .unwrap();
    let answer = caller.send_request(request);
    if matches!(case.plan, LeavesUploading | LeavesWaiting) {
        let patience = Duration::from_micros(case.dice >> 8 & 0xfff);
        let _left = tokio::time::timeout(patience, answer).await;
        return Ok(());
    }
    let mut answer = answer.await.map_err(|error| format!("{case:?}: {error}"))?;
    let (status, mut body, mut complete) = (answer.status().as_u16(), Vec::new(), true);
    while let Some(frame) = answer.body_mut().frame().await {
        match frame {
            Ok(frame) => body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Err(_) => {
                complete = false;
                break;
            }
        }
        if case.leaves() {
            break;
        }
    }
    case.judge(status, &body, complete)
}

async fn connect(to: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(to).await.unwrap();
    let (caller, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    caller
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Callers over HTTP/1, each a thread; half of as many again share connections of HTTP/2.
const CALLERS: usize = 8;
const STREAMS: usize = 12;

#[test]
fn nobody_gets_another_s_answer() {
    let requests = number("STORM_REQUESTS").unwrap_or(3000);
    let seed = number("STORM_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("STORM_SEED={seed} STORM_REQUESTS={requests}");
    let wrong = Wrong::default();
    let upstream = provider(&wrong);
    let mut dimmer = start(&upstream);
    // Once every worker has begun.
    wait_until("both workers serve", || {
        (0..50).all(|_| crate::harness::get(dimmer.data, "/nowhere").status == 404)
    });
    let files = dimmer.open_files();
    let (next, done, data) = (AtomicU64::new(0), AtomicUsize::new(0), dimmer.data);
    let case = || {
        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < requests).map(|at| Case::new(at, seed))
    };
    let judged = |result: Result<(), String>| {
        done.fetch_add(1, Ordering::Relaxed);
        if let Err(problem) = result {
            wrong.lock().unwrap().push(problem);
        }
    };
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut kept = None;
                while let Some(case) = case() {
                    judged(over_http_1(&case, data, &mut kept));
                }
            });
        }
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let connections = [connect(data).await, connect(data).await];
                let stream = |at: usize| {
                    let caller = connections[at % 2].clone();
                    async move {
                        while let Some(case) = case() {
                            judged(over_http_2(&case, caller.clone()).await);
                        }
                    }
                };
                futures(&(0..STREAMS).map(stream).map(Box::pin).map(Mutex::new).collect::<Vec<_>>()).await;
            });
        });
    });
    let wrong = wrong.lock().unwrap();
    assert!(wrong.is_empty(), "STORM_SEED={seed}: {} wrong, such as\n{}", wrong.len(), wrong[0]);
    drop(wrong);
    assert_eq!(done.load(Ordering::Relaxed) as u64, requests);
    wait_until("no request is in flight", || {
        dimmer.metrics().metric("dimmer_in_flight_requests", &[]).abs() < 0.5
    });
    // What is left are idle connections to the provider, and a scrape's.
    let left = || dimmer.open_files().saturating_sub(files + upstream.open());
    eprintln!("left at first: {}", left());
    wait_until("no connection is left behind", || left() <= 2);
    dimmer.assert_alive();
}

/// Drives them all on this task.
async fn futures<F: Future<Output = ()> + Unpin>(all: &[Mutex<F>]) {
    let mut over = vec![false; all.len()];
    std::future::poll_fn(|cx| {
        for (one, over) in all.iter().zip(&mut over).filter(|(_, over)| !**over) {
            *over = std::pin::Pin::new(&mut *one.lock().unwrap()).poll(cx).is_ready();
        }
        if over.iter().all(|over| *over) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[test]
fn an_answer_that_comes_while_a_connection_is_idle_is_nobody_s() {
    let (say, said) = std::sync::mpsc::channel();
    let say = Mutex::new(say);
    let upstream = Upstream::new(move |peer, request| {
        peer.write(framed(request, &request.values("x-token").concat()));
        peer.pause(Duration::from_millis(20));
        peer.write(json("200 OK", r#"{"poison":"tok-ffffffff"}"#));
        say.lock().unwrap().send(()).unwrap();
        After::KeepAlive
    });
    let dimmer = start(&upstream);
    for turn in 0..20 {
        let case = Case { plan: Well, ..Case::new(turn, 7) };
        let headers = format!("x-token: {}\r\ncontent-type: application/json\r\n", case.token);
        let answer = request(dimmer.data, "POST", case.path, &headers, case.body.as_bytes());
        assert_eq!(case.judge(answer.status, &answer.body, answer.complete), Ok(()));
        said.recv().unwrap();
    }
    assert_eq!(upstream.connections(), 20, "a connection with an answer too many was used again");
}
