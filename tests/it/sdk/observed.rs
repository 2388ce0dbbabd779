//! Simulated providers behind a recorder: they answer as the APIs do, and `GET /_seen` tells what came last. The header
//! `x-fault` breaks an answer: `cut` resets the connection in the middle of a stream, `error` ends it there with the API's own
//! error event, `limit-NAME` answers 429 to the first key that came with this name, and to no other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::harness::{Answer, Simulated, request};
use crate::upstreams::{After, Api, Peer, Recorded, Upstream, chunk, json as whole, sized};

/// Ends with the test.
pub(super) struct Observed {
    /// The provider NAME answers under `/NAME`.
    pub(super) address: SocketAddr,
    _simulated: Simulated,
}

/// What came, and which key each limit is on.
struct Seen {
    requests: usize,
    last: Value,
    limited: HashMap<String, String>,
}

impl Observed {
    pub(super) fn start(names: &[&str]) -> Self {
        let simulated = Simulated::start(names);
        let (to, seen) =
            (simulated.address, Mutex::new(Seen { requests: 0, last: Value::Null, limited: HashMap::new() }));
        let upstream = Upstream::new(move |peer, asked| answer(peer, asked, to, &mut seen.lock().unwrap()));
        Self { address: upstream.address, _simulated: simulated }
    }
}

fn answer(peer: &mut Peer, asked: &Recorded, to: SocketAddr, seen: &mut Seen) -> After {
    let line = asked.line();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    if target == "/_seen" {
        let text = json!({"requests": seen.requests, "last": seen.last});
        return peer.then(whole("200 OK", text.to_string()), After::KeepAlive);
    }
    let headers: Value =
        asked.names().into_iter().map(|name| (name.clone(), json!(asked.values(&name).concat()))).collect();
    seen.requests += 1;
    let body = serde_json::from_slice(&asked.body).unwrap_or(Value::Null);
    seen.last = json!({"path": target, "headers": headers, "body": body});
    let fault = asked.values("x-fault").concat();
    let key = asked.values("authorization").concat();
    if fault.starts_with("limit-") && *seen.limited.entry(fault.clone()).or_insert_with(|| key.clone()) == key
    {
        let head = "content-type: application/json\r\nretry-after: 1\r\nretry-after-ms: 20\r\n";
        return peer.then(sized("429 Too Many Requests", head, Api::Chat.error()), After::KeepAlive);
    }
    let kept =
        ["authorization", "x-api-key", "api-key", "content-type", "anthropic-version", "anthropic-beta"];
    let kept: String = kept
        .into_iter()
        .flat_map(|name| asked.values(name).into_iter().map(move |value| format!("{name}: {value}\r\n")))
        .collect();
    let answer = request(to, method, &plain_path(target), &kept, &asked.body);
    relay(peer, &answer, &fault, api_of(target))
}

/// Azure's paths as everybody else writes them.
fn plain_path(target: &str) -> String {
    let Some((provider, path)) = target.split_once("/openai/") else { return target.to_owned() };
    let path = match path.strip_prefix("deployments/") {
        Some(deployment) => deployment.split_once('/').unwrap().1,
        None => path,
    };
    format!("{provider}/{path}")
}

fn api_of(target: &str) -> Api {
    match target.split('?').next().unwrap().rsplit('/').next().unwrap() {
        "messages" => Api::Messages,
        "responses" => Api::Responses,
        _ => Api::Chat,
    }
}

/// Sends an answer on: a stream event by event, as far as the fault lets it come.
fn relay(peer: &mut Peer, answer: &Answer, fault: &str, api: Api) -> After {
    let framing = ["content-length", "transfer-encoding", "connection"];
    let headers = answer.headers.iter().filter(|(name, _)| !framing.contains(&name.as_str()));
    let headers: String = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    if !answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return peer
            .then(sized(&format!("{} Status", answer.status), &headers, &answer.body), After::KeepAlive);
    }
    let text = answer.text();
    let events: Vec<&str> = text.split_inclusive("\n\n").collect();
    let whole = if fault.is_empty() { events.len() } else { events.len() / 2 };
    peer.write(format!("HTTP/1.1 200 OK\r\n{headers}transfer-encoding: chunked\r\n\r\n"));
    for event in &events[..whole] {
        peer.write(chunk(event));
    }
    match fault {
        "cut" => return After::Reset,
        "error" => peer.write(chunk(api.error_event())),
        _ => true,
    };
    peer.then("0\r\n\r\n", After::KeepAlive)
}
