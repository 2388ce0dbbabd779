//! Webhooks against receivers that take, refuse, stall, hang up and lead astray.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Event, EventKind, Patience, QUEUED_MAX, TRIES, TestResult, Webhooks};
use crate::config::{Webhook, WebhookFormat};
use crate::observe::Metrics;
use crate::units::Secret;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

const QUICK: Patience = Patience {
    answer: Duration::from_millis(500),
    wait: Duration::from_millis(10),
    wait_max: Duration::from_millis(300),
};

/// One message as it came.
#[derive(Clone, Debug)]
struct Got {
    head: String,
    body: String,
    at: Instant,
}

/// A receiver that does the next of a list with each message, and its last for ever.
struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    fn start(behaviours: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, got) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<Got>>>::default());
        let seen = Arc::clone(&got);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || take(stream.unwrap(), behaviours, &seen));
            }
        });
        Self { port, got }
    }

    fn webhook(&self, events: &[EventKind], format: WebhookFormat) -> Webhook {
        let url = Secret::new(format!("http://127.0.0.1:{}/hook/a-secret-path?x=1", self.port));
        Webhook { url, events: events.to_vec(), format }
    }

    fn json(&self) -> Webhook {
        self.webhook(&EventKind::ALL, WebhookFormat::Json(Secret::new(SECRET.to_owned())))
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn wait_for(&self, count: usize) -> Vec<Got> {
        until("messages", || self.got().len() >= count);
        self.got()
    }
}

/// `TEXT` is a status line with headers; `hang_up` and `stall` are what they say.
fn take(mut stream: TcpStream, behaviours: &[&str], seen: &Mutex<Vec<Got>>) {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        let place = {
            let mut seen = seen.lock().unwrap();
            seen.push(Got { head, body: String::from_utf8(body).unwrap(), at: Instant::now() });
            seen.len() - 1
        };
        match *behaviours.get(place).or(behaviours.last()).unwrap() {
            "hang_up" => return,
            "stall" => thread::park(),
            answer => write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").unwrap(),
        }
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        kind,
        target: "model:gpt-4o".to_owned(),
        reason: "too slow & <!channel> \"odd\" ☃".to_owned(),
        by: "alice".to_owned(),
        at_ms: 1_800_000_000_123,
        detail: String::new(),
    }
}

fn started(webhooks: &[Webhook]) -> (Webhooks, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    (Webhooks::with(webhooks, &metrics, QUICK).unwrap(), metrics)
}

fn counted(metrics: &Metrics, event: &str, result: &str) -> u64 {
    let start = format!("dimmer_webhooks_total{{event=\"{event}\",result=\"{result}\"}} ");
    let rendered = metrics.render().unwrap();
    rendered.lines().find_map(|line| line.strip_prefix(&start)).map_or(0, |count| count.parse().unwrap())
}

#[test]
fn json_says_what_happened_and_is_signed() {
    let receiver = Receiver::start(&["204 No Content"]);
    let (webhooks, metrics) = started(&[receiver.json()]);
    webhooks.tell(event(EventKind::Killed));
    let got = receiver.wait_for(1).remove(0);
    assert!(got.head.starts_with("post /hook/a-secret-path?x=1 http/1.1\r\n"), "{}", got.head);
    assert!(got.head.contains("\r\ncontent-type: application/json\r\n"), "{}", got.head);
    let mut body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    let id = body.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 32);
    let expected = serde_json::json!({
        "event": "killed",
        "target": "model:gpt-4o",
        "reason": "too slow & <!channel> \"odd\" ☃",
        "by": "alice",
        "at": "2027-01-15T08:00:00.123Z",
        "at_ms": 1_800_000_000_123_u64,
        "detail": "",
    });
    assert_eq!(body, expected);
    until("it is counted", || counted(&metrics, "killed", "ok") == 1);
    check_signature(&got);
}

/// By somebody else's HMAC.
fn check_signature(got: &Got) {
    let start = "x-dimmer-signature: t=";
    let signature = got.head.lines().find_map(|line| line.strip_prefix(start)).unwrap();
    let (at, hex) = signature.split_once(",v1=").unwrap();
    let program = "import hmac, sys\n\
                   print(hmac.new(sys.argv[1].encode(), sys.argv[2].encode() + b'.' + sys.stdin.buffer.read(), 'sha256').hexdigest())";
    let mut python = Command::new("python3")
        .args(["-c", program, SECRET, at])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(got.body.as_bytes()).unwrap();
    let said = python.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap().trim(), hex);
}

#[test]
fn slack_gets_its_shape_and_nothing_that_it_would_act_on() {
    let receiver = Receiver::start(&["200 OK"]);
    let (webhooks, _) = started(&[receiver.webhook(&EventKind::ALL, WebhookFormat::Slack)]);
    let detail = "x".repeat(10_000);
    webhooks.tell(Event { detail, ..event(EventKind::BreakerTripped) });
    let got = receiver.wait_for(1).remove(0);
    assert!(!got.head.contains("x-dimmer-signature"), "{}", got.head);
    let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    let escaped = "too slow &amp; &lt;!channel&gt; \"odd\" ☃";
    assert_eq!(body["text"], format!("dimmer: Breaker tripped: model:gpt-4o: {escaped}"));
    let section = body["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(section.starts_with(&format!("*Breaker tripped*: `model:gpt-4o`\n{escaped}\nxxx")), "{section}");
    assert!(section.chars().count() < 3000 && section.ends_with('…'));
    let context = &body["blocks"][1]["elements"][0]["text"];
    assert_eq!(context, "dimmer · by alice · 2027-01-15T08:00:00.123Z");
}

#[test]
fn only_who_asked_is_told() {
    let (asked, others) = (Receiver::start(&["200 OK"]), Receiver::start(&["200 OK"]));
    let secret = || WebhookFormat::Json(Secret::new(SECRET.to_owned()));
    let (webhooks, metrics) = started(&[
        others.webhook(&[EventKind::RampHeld], secret()),
        asked.webhook(&[EventKind::RolledBack], secret()),
    ]);
    webhooks.tell(event(EventKind::RolledBack));
    webhooks.tell(event(EventKind::Revived));
    until("it is counted", || counted(&metrics, "rolled_back", "ok") == 1);
    assert_eq!((asked.got().len(), others.got().len()), (1, 0));
}

#[test]
fn trouble_is_tried_again_with_the_same_message() {
    let receiver = Receiver::start(&["500 Internal Server Error", "hang_up", "stall", "200 OK"]);
    let (webhooks, metrics) = started(&[receiver.json()]);
    webhooks.tell(event(EventKind::Revived));
    until("it is told", || counted(&metrics, "revived", "ok") == 1);
    let got = receiver.got();
    assert_eq!(got.len(), 4);
    assert!(got.iter().all(|one| one.body == got[0].body));
    got.iter().for_each(check_signature);
    assert_eq!(counted(&metrics, "revived", "failed"), 0);
}

#[test]
fn tries_end() {
    let receiver = Receiver::start(&["503 Service Unavailable"]);
    let (webhooks, metrics) = started(&[receiver.json()]);
    webhooks.tell(event(EventKind::Killed));
    until("it is given up", || counted(&metrics, "killed", "failed") == 1);
    assert_eq!(receiver.got().len(), TRIES as usize);
}

#[test]
fn retry_after_is_obeyed_and_clamped() {
    let receiver = Receiver::start(&["429 Too Many Requests\r\nretry-after: 86400", "200 OK"]);
    let (webhooks, metrics) = started(&[receiver.json()]);
    webhooks.tell(event(EventKind::Killed));
    until("it is told", || counted(&metrics, "killed", "ok") == 1);
    let got = receiver.got();
    assert!(got[1].at - got[0].at >= QUICK.wait_max, "longer than the wait before a second try");
}

#[test]
fn redirects_are_not_followed_and_refusals_are_final() {
    let elsewhere = Receiver::start(&["200 OK"]);
    let location = format!("307 Temporary Redirect\r\nlocation: http://127.0.0.1:{}/", elsewhere.port);
    for answer in [&*location.leak(), "404 Not Found", "302 Found"] {
        let receiver = Receiver::start(vec![answer].leak());
        let (webhooks, metrics) = started(&[receiver.json()]);
        webhooks.tell(event(EventKind::Killed));
        until("it is given up", || counted(&metrics, "killed", "failed") == 1);
        assert_eq!((receiver.got().len(), elsewhere.got().len()), (1, 0), "{answer}");
    }
}

#[test]
fn a_full_queue_drops_counts_and_keeps_nobody() {
    let (stuck, well) = (Receiver::start(&["stall"]), Receiver::start(&["200 OK"]));
    let (webhooks, metrics) = started(&[stuck.json(), well.json()]);
    webhooks.tell(event(EventKind::Killed));
    stuck.wait_for(1);
    let mut telling = Duration::ZERO;
    for told in 2..QUEUED_MAX + 52 {
        let began = Instant::now();
        webhooks.tell(event(EventKind::Killed));
        telling += began.elapsed();
        // The other's queue never fills.
        well.wait_for(told);
    }
    assert!(telling < Duration::from_secs(10), "{telling:?}");
    let dropped = counted(&metrics, "killed", "dropped");
    assert!((1..=50).contains(&dropped), "{dropped}");
}

#[test]
fn a_reload_keeps_who_stays_and_lets_the_others_finish() {
    let (stays, goes, comes) =
        (Receiver::start(&["200 OK"]), Receiver::start(&["200 OK"]), Receiver::start(&["200 OK"]));
    let (webhooks, _) = started(&[goes.json(), stays.json()]);
    webhooks.tell(event(EventKind::Killed));
    webhooks.update(&[stays.json(), comes.json()]);
    webhooks.tell(event(EventKind::Revived));
    assert_eq!((stays.wait_for(2).len(), goes.wait_for(1).len(), comes.wait_for(1).len()), (2, 1, 1));
    webhooks.update(&[]);
    webhooks.tell(event(EventKind::Killed));
    webhooks.update(&[comes.json()]);
    webhooks.tell(event(EventKind::RampHeld));
    assert!(comes.wait_for(2)[1].body.contains("ramp_held"));
    assert_eq!((stays.got().len(), goes.got().len()), (2, 1));
}

#[tokio::test]
async fn a_test_says_what_became_of_each() {
    let (well, bad) = (Receiver::start(&["200 OK"]), Receiver::start(&["403 Forbidden"]));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = Webhook {
        url: Secret::new(format!("http://127.0.0.1:{closed}/hook/a-secret-path")),
        events: vec![EventKind::RampHeld],
        format: WebhookFormat::Json(Secret::new(SECRET.to_owned())),
    };
    let slow = Receiver::start(&["stall"]);
    let (webhooks, metrics) = started(&[
        well.webhook(&[EventKind::RampHeld], WebhookFormat::Slack),
        bad.json(),
        nobody,
        slow.json(),
    ]);
    let results = webhooks.test().await;
    let facts: Vec<(usize, &str, bool, Option<u16>)> = results
        .iter()
        .map(|TestResult { webhook, format, ok, status, .. }| (*webhook, &**format, *ok, *status))
        .collect();
    assert_eq!(
        facts,
        [
            (1, "slack", true, Some(200)),
            (2, "json", false, Some(403)),
            (3, "json", false, None),
            (4, "json", false, None)
        ]
    );
    assert!(
        results[1].detail.contains("is the secret in url, or in secret, the one that it knows?"),
        "{results:?}"
    );
    assert_eq!(results[2].detail, "the connection failed: connection refused");
    assert_eq!(results[3].detail, "no answer within 0.5 s");
    let said = format!("{results:?}{webhooks:?}");
    assert!(!said.contains("secret-path") && !said.contains(SECRET), "{said}");
    assert!(well.got()[0].body.contains("a test of this webhook; nothing happened"));
    let json: serde_json::Value = serde_json::from_str(&bad.got()[0].body).unwrap();
    assert_eq!(json["event"], "test");
    assert_eq!(counted(&metrics, "killed", "ok"), 0);
    assert_eq!(bad.got().len(), 1);
}
