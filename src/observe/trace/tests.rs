//! From plain values to bytes and to a collector: what is said, how often, and what becomes of it when nobody listens.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use http::{Method, Version};
use prost::Message;
use smallvec::{SmallVec, smallvec};

use super::encode::{export, resource};
use super::otlp::{Export, Exported, KeyValue, PartialSuccess, Span, Value};
use super::queue::Tracer as Queue;
use super::{Asked, RequestSpan, SpanId, Telling, Times, Trace, TraceContext, TraceId, Tracer, TrySpan};
use crate::config::{Provider, TelemetrySpec};
use crate::observe::{Metrics, Outcome, SpanSeries};
use crate::units::Secret;
use crate::wire::{Endpoint, Finish, Usage};

fn spec(traces: &str, sample: f64) -> TelemetrySpec {
    TelemetrySpec {
        traces: traces.to_owned(),
        tls: false,
        headers: vec![("x-key".parse().unwrap(), Secret::new("of-the-vendor".to_owned()))],
        sample,
        service_name: "gateway".to_owned(),
        attributes: vec![("deployment.environment.name".to_owned(), "test".to_owned())],
        conversations: false,
        timeout: Duration::from_secs(1),
    }
}

fn tracer(sample: f64) -> Tracer {
    let metrics = Arc::new(Metrics::new().unwrap());
    Queue::new(&spec("http://127.0.0.1:1/v1/traces", sample), SpanSeries::new(&metrics), 7).0
}

fn provider() -> Arc<Provider> {
    static PROVIDER: OnceLock<Arc<Provider>> = OnceLock::new();
    let read = || {
        let text = "[providers.o]\ndialect = \"openai\"\nbase_url = \"https://api.openai.com/v1\"\n[routes.default]\n";
        let env = crate::config::ProcessEnvironment { now_s: 0 };
        Arc::clone(&crate::config::parse(text, "f", std::path::Path::new("."), &env).unwrap().providers[0])
    };
    Arc::clone(PROVIDER.get_or_init(read))
}

fn trace(number: u64) -> Box<Trace> {
    let context = TraceContext { trace: TraceId(u128::from(number)), span: SpanId(number), flags: 1 };
    let request = RequestSpan {
        parent: Some(SpanId(9)),
        times: Times { start_ns: 1, end_ns: 5 },
        id: format!("req_{number}"),
        method: Method::POST,
        version: Version::HTTP_11,
        tls: false,
        route: None,
        client: None,
        asked: None,
        served: "m".into(),
        status: 200,
        outcome: Outcome::Ok,
        error: None,
        fallback: None,
        dropped: Vec::new(),
        generation: 1,
        flags: SmallVec::new(),
    };
    let answer = super::Answered {
        finish: Some(Finish::ToolCalls),
        usage: Some(Usage {
            input: 10,
            cache_read: 30,
            cache_write: 5,
            output: 7,
            reasoning: 2,
            ..Usage::default()
        }),
        first_chunk_ns: Some(250_000_000),
        ..super::Answered::default()
    };
    let asked = Asked::Provider { provider: provider(), model: None, sent: Some("gpt-x".into()) };
    let one = TrySpan {
        span: SpanId(number + 1000),
        times: Times { start_ns: 2, end_ns: 4 },
        asked,
        host: "api.groq.com".into(),
        port: 443,
        before: 1,
        status: Some(200),
        error: None,
        answer: Some(Box::new(answer)),
        shadow: None,
    };
    Box::new(Trace {
        context,
        state: Some("a=1".into()),
        endpoint: Endpoint::Chat,
        stream: true,
        conversation: None,
        request: Some(Box::new(request)),
        tries: smallvec![one],
    })
}

fn shown(attributes: &[KeyValue]) -> Vec<String> {
    let mut all: Vec<String> = attributes
        .iter()
        .map(|one| {
            let value = match one.value.as_ref().unwrap().value.as_ref().unwrap() {
                Value::Text(text) => text.clone(),
                Value::Bool(value) => value.to_string(),
                Value::Int(value) => value.to_string(),
                Value::Double(value) => value.to_string(),
                Value::List(list) => format!("{} values", list.values.len()),
            };
            format!("{}={value}", one.key)
        })
        .collect();
    all.sort();
    all
}

fn spans(message: &[u8]) -> Vec<Span> {
    let export = Export::decode(message).unwrap();
    export.resources.into_iter().flat_map(|one| one.scopes).flat_map(|one| one.spans).collect()
}

#[test]
fn a_request_and_its_tries_are_spans_of_one_tree() {
    let resource = resource(&spec("", 1.0), "abc");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        shown(&resource.attributes),
        [
            "deployment.environment.name=test".to_owned(),
            "service.instance.id=abc".to_owned(),
            "service.name=gateway".to_owned(),
            format!("service.version={version}"),
            "telemetry.sdk.language=rust".to_owned(),
            "telemetry.sdk.name=dimmer".to_owned(),
            format!("telemetry.sdk.version={version}"),
        ]
    );
    let spans = spans(&export(&[trace(1)], &resource).encode_to_vec());
    let [request, one] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((request.kind, one.kind), (2, 3));
    assert_eq!(request.trace_id, one.trace_id);
    assert_eq!(request.parent_span_id, 9_u64.to_be_bytes());
    assert_eq!(one.parent_span_id, request.span_id);
    assert_eq!((request.flags, one.flags), (0x301, 0x101));
    assert_eq!((request.trace_state.as_str(), request.name.as_str()), ("a=1", "POST"));
    assert_eq!(one.name, "chat gpt-x");
    assert_eq!(
        shown(&one.attributes),
        [
            "dimmer.provider=o",
            "gen_ai.operation.name=chat",
            "gen_ai.provider.name=groq",
            "gen_ai.request.model=gpt-x",
            "gen_ai.request.stream=true",
            "gen_ai.response.finish_reasons=1 values",
            "gen_ai.response.time_to_first_chunk=0.25",
            "gen_ai.usage.cache_read.input_tokens=30",
            "gen_ai.usage.cache_write.input_tokens=5",
            "gen_ai.usage.input_tokens=45",
            "gen_ai.usage.output_tokens=7",
            "gen_ai.usage.reasoning.output_tokens=2",
            "http.request.method=POST",
            "http.request.resend_count=1",
            "http.response.status_code=200",
            "server.address=api.groq.com",
            "server.port=443",
        ]
    );
}

#[test]
fn what_went_wrong_is_an_error_of_its_span() {
    let resource = resource(&spec("", 1.0), "abc");
    let check = |change: &dyn Fn(&mut Trace), request_error: Option<&str>, try_error: Option<&str>| {
        let mut changed = trace(1);
        change(&mut changed);
        let spans = spans(&export(&[changed], &resource).encode_to_vec());
        let errors: Vec<Option<String>> = spans
            .iter()
            .map(|span| {
                let error = shown(&span.attributes)
                    .into_iter()
                    .find_map(|one| one.strip_prefix("error.type=").map(str::to_owned));
                assert_eq!(error.is_some(), span.status.as_ref().is_some_and(|status| status.code == 2));
                error
            })
            .collect();
        assert_eq!(errors.iter().map(Option::as_deref).collect::<Vec<_>>(), [request_error, try_error]);
    };
    fn request(trace: &mut Trace) -> &mut RequestSpan {
        trace.request.as_mut().unwrap()
    }
    check(&|_| {}, None, None);
    // The caller's own fault is no error of the gateway, but one of the provider's answer.
    let refused = |trace: &mut Trace| {
        (request(trace).status, request(trace).outcome) = (400, Outcome::CallerError);
        trace.tries[0].status = Some(400);
    };
    check(&refused, None, Some("400"));
    let cut = |trace: &mut Trace| {
        request(trace).outcome = Outcome::Cut;
        trace.tries[0].error = Some("cut".into());
    };
    check(&cut, Some("cut"), Some("cut"));
    let down = |trace: &mut Trace| {
        let request = request(trace);
        (request.status, request.outcome) = (502, Outcome::UpstreamError);
        request.error = Some("dimmer_upstream_connect");
        trace.tries[0].status = None;
        trace.tries[0].error = Some("dimmer_upstream_connect".into());
    };
    check(&down, Some("dimmer_upstream_connect"), Some("dimmer_upstream_connect"));
    let killed =
        |trace: &mut Trace| (request(trace).status, request(trace).outcome) = (503, Outcome::NotTried);
    check(&killed, Some("503"), None);
    let left = |trace: &mut Trace| request(trace).outcome = Outcome::Cancelled;
    check(&left, None, None);
}

#[test]
fn a_trace_follows_its_caller_or_its_own_id() {
    let caller = TraceContext { trace: TraceId(5), span: SpanId(6), flags: 0 };
    for (flags, sampled) in [(0, false), (1, true), (3, true)] {
        let context = tracer(0.5).begin(Some(TraceContext { flags, ..caller }), b"req_1");
        assert_eq!((context.trace, context.is_sampled(), context.flags), (TraceId(5), sampled, flags));
        assert_ne!(context.span, caller.span);
    }
    for (share, least, most) in [(0.0, 0, 0), (0.25, 2_300, 2_700), (1.0, 10_000, 10_000)] {
        let tracer = tracer(share);
        let drawn = (0..10_000).map(|number: u32| tracer.begin(None, &number.to_le_bytes()));
        let sampled = drawn.filter(|context| context.is_sampled()).count();
        assert!((least..=most).contains(&sampled), "{share}: {sampled}");
    }
    // The same id is drawn alike wherever it is drawn, and whoever has a larger share draws it too.
    let (few, many) = (tracer(0.1), tracer(0.4));
    for number in 0..1_000_u32 {
        let [few, many] = [&few, &many].map(|tracer| tracer.begin(None, &number.to_le_bytes()));
        assert_eq!(few.trace, many.trace);
        assert!(!few.is_sampled() || many.is_sampled());
    }
    let below = |number| tracer(1.0).below(SpanId(1), number);
    assert_ne!(below(1), below(2));
}

/// Heads and messages, as they came.
type Got = Vec<(String, Vec<u8>)>;

/// A collector that answers in the way that it is told to, again and again.
struct Collector {
    url: String,
    got: Arc<Mutex<Got>>,
}

impl Collector {
    fn start(answers: &'static [&'static str], body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Got>>::default();
        let seen = Arc::clone(&got);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, body) = (Arc::clone(&seen), body.clone());
                thread::spawn(move || take(stream.unwrap(), answers, &body, &seen));
            }
        });
        Self { url, got }
    }

    fn got(&self) -> Got {
        self.got.lock().unwrap().clone()
    }
}

fn take(mut stream: TcpStream, answers: &[&str], body: &[u8], seen: &Mutex<Got>) {
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
        let mut message = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut message).unwrap();
        let place = {
            let mut seen = seen.lock().unwrap();
            seen.push((head, message));
            seen.len() - 1
        };
        match *answers.get(place).or(answers.last()).unwrap() {
            "stall" => thread::park(),
            "hang_up" => return,
            answer => {
                write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
                stream.write_all(body).unwrap();
            }
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

fn started(url: &str) -> (Telling, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    (Telling::start(&spec(url, 1.0), &metrics).unwrap(), metrics)
}

fn counted(metrics: &Metrics, result: &str) -> u64 {
    let start = format!("dimmer_spans_total{{result=\"{result}\"}} ");
    let rendered = metrics.render().unwrap();
    rendered.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
}

#[test]
fn a_collector_is_told_in_batches() {
    let collector = Collector::start(&["200 OK"], Vec::new());
    let (telling, metrics) = started(&collector.url);
    let tracer = telling.tracer();
    for number in 1..=300 {
        tracer.put(trace(number));
    }
    until("all are told", || counted(&metrics, "sent") == 600);
    let got = collector.got();
    assert!(got.len() < 10, "{}", got.len());
    assert_eq!(got.iter().map(|(_, message)| spans(message).len()).sum::<usize>(), 600);
    let (head, _) = &got[0];
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    for line in ["content-type: application/x-protobuf\r\n", "x-key: of-the-vendor\r\n"] {
        assert!(head.contains(line), "{head}");
    }
}

#[test]
fn one_that_keeps_a_part_says_how_much() {
    let partial = Exported { partial: Some(PartialSuccess { rejected: 1 }) };
    let collector = Collector::start(&["200 OK"], partial.encode_to_vec());
    let (telling, metrics) = started(&collector.url);
    telling.tracer().put(trace(1));
    until("it is told", || counted(&metrics, "rejected") == 1 && counted(&metrics, "sent") == 1);
    // What is no answer of OTLP's says nothing.
    let collector = Collector::start(&["200 OK"], b"\xff<html>".to_vec());
    let (telling, metrics) = started(&collector.url);
    telling.tracer().put(trace(1));
    until("it is told", || counted(&metrics, "sent") == 2);
}

#[test]
fn a_busy_one_is_asked_again_and_one_that_refuses_is_not() {
    let collector = Collector::start(&["503 Busy", "hang_up", "200 OK"], Vec::new());
    let (telling, metrics) = started(&collector.url);
    telling.tracer().put(trace(1));
    until("it is told", || counted(&metrics, "sent") == 2);
    assert_eq!(collector.got().len(), 3);
    let collector = Collector::start(&["401 No", "200 OK"], Vec::new());
    let (telling, metrics) = started(&collector.url);
    telling.tracer().put(trace(1));
    until("it is refused", || counted(&metrics, "refused") == 2);
    telling.tracer().put(trace(2));
    until("the next is told", || counted(&metrics, "sent") == 2);
    assert_eq!(collector.got().len(), 2);
}

#[test]
fn one_that_hangs_costs_a_full_queue_and_no_wait() {
    let collector = Collector::start(&["stall"], Vec::new());
    let (telling, metrics) = started(&collector.url);
    let tracer = telling.tracer();
    tracer.put(trace(1));
    until("it is asked", || !collector.got().is_empty());
    for number in 0..5_000 {
        tracer.put(trace(number));
    }
    assert!(
        counted(&metrics, "queue_full") >= 2 * (5_000 - 4_096 - 2 * 256),
        "{}",
        metrics.render().unwrap()
    );
    let began = Instant::now();
    telling.close(Duration::from_millis(500));
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_waits_is_told_at_the_end() {
    let collector = Collector::start(&["200 OK"], Vec::new());
    let (telling, metrics) = started(&collector.url);
    telling.tracer().put(trace(1));
    telling.close(Duration::from_secs(20));
    assert_eq!(counted(&metrics, "sent"), 2);
    let (telling, metrics) = started("http://127.0.0.1:1/v1/traces");
    telling.tracer().put(trace(1));
    telling.close(Duration::from_secs(20));
    assert_eq!(counted(&metrics, "failed"), 2);
}
