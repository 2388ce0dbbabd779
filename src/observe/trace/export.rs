//! The thread that tells the collector: in batches, with patience for one that is busy or away, and never in the way of a request.

use std::io;
use std::io::Write;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue};
use prost::Message;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::clock;
use crate::config::TelemetrySpec;
use crate::observe::trace::encode;
use crate::observe::trace::otlp::{Exported, Resource};
use crate::observe::trace::queue::{Taken, Tracer};
use crate::observe::trace::span::Trace;
use crate::observe::{Metrics, SpanResult, SpanSeries};

/// Traces of one message: some 500 KiB.
const BATCH: usize = 256;
/// How often the queue is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Tries for one batch. Meanwhile the queue fills, and after that there is nothing to wait for: what is new says more.
const TRIES: u32 = 4;
/// Before the second try; doubled for each that follows.
const WAIT: Duration = Duration::from_secs(1);
/// The longest wait that a collector can ask for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Who has given up still counts what is lost.
const LAST_COUNT: Duration = Duration::from_millis(200);
/// More of an answer says nothing more.
const ANSWER_MAX: u64 = 64 * 1024;

/// Traces are told, as long as this lives.
#[derive(Debug)]
pub struct Telling {
    tracer: Tracer,
    done: Mutex<Receiver<()>>,
}

impl Telling {
    /// Starts the thread. Nothing is connected yet, and nothing can fail for what is there.
    pub fn start(spec: &TelemetrySpec, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let mut random = [0; 16];
        // Without random numbers ids repeat after a restart, which a collector survives.
        let _ = getrandom::fill(&mut random);
        let number = u128::from_le_bytes(random);
        let (tracer, taken) = Tracer::new(spec, SpanSeries::new(metrics), number as u64);
        let (say, done) = sync_channel(1);
        let teller = Teller {
            taken,
            resource: encode::resource(spec, &format!("{number:032x}")),
            collector: Collector::new(spec),
            failing: false,
        };
        thread::Builder::new().name("traces".to_owned()).spawn(move || {
            teller.run();
            let _ = say.send(());
        })?;
        Ok(Self { tracer, done: Mutex::new(done) })
    }

    /// Where traces begin and are put.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Tells what is in the queue, and ends; waits for that so long at most.
    pub fn close(&self, patience: Duration) {
        self.tracer.close(patience);
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.recv_timeout(patience + LAST_COUNT).is_err() {
            tracing::warn!("the last traces are lost: their collector does not take them");
        }
    }
}

struct Teller {
    taken: Taken,
    resource: Resource,
    collector: Collector,
    /// The collector failed when it was last asked.
    failing: bool,
}

impl Teller {
    fn run(mut self) {
        self.taken.settle();
        loop {
            // Looked at first: what is put in before the end is told.
            let ending = self.taken.time_left().is_some();
            let batch: Vec<Box<Trace>> = std::iter::from_fn(|| self.taken.take()).take(BATCH).collect();
            let full = batch.len() == BATCH;
            if !batch.is_empty() {
                self.tell(&batch);
            } else if ending {
                return;
            }
            if !full && !ending {
                thread::park_timeout(LOOK_EVERY);
            }
        }
    }

    fn tell(&mut self, batch: &[Box<Trace>]) {
        let spans = batch.iter().map(|trace| trace.spans()).sum();
        let message = self.collector.written(encode::export(batch, &self.resource).encode_to_vec());
        let series = self.taken.shared.series.clone();
        let mut wait = WAIT;
        for tried in 1..=TRIES {
            let left = self.taken.time_left();
            let patience = left.unwrap_or(self.collector.patience).min(self.collector.patience);
            if patience.is_zero() {
                return series.count(SpanResult::Shutdown, spans);
            }
            match self.collector.send(&message, patience) {
                Verdict::Taken { rejected } => {
                    let rejected = rejected.min(spans);
                    series.count(SpanResult::Sent, spans - rejected);
                    series.count(SpanResult::Rejected, rejected);
                    return self.works();
                }
                Verdict::Refused(status) => {
                    self.fails(&format!("it answered {status}: is telemetry.otlp its address, and telemetry.headers what it wants?"));
                    return series.count(SpanResult::Refused, spans);
                }
                Verdict::Later { after, what } => {
                    self.fails(&what);
                    if tried < TRIES && left.is_none() {
                        let asked = after.unwrap_or_default();
                        thread::park_timeout(clock::jittered(wait).max(asked).min(WAIT_MAX));
                        wait = wait.saturating_mul(2);
                    }
                }
            }
        }
        series.count(SpanResult::Failed, spans);
    }

    /// Said once, until it works again.
    fn fails(&mut self, what: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!("the collector of traces does not take them: {what}");
        }
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("the collector of traces takes them again");
        }
    }
}

/// Who takes traces.
struct Collector {
    agent: Agent,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Over TLS it is not on this machine: then the way is worth a little of its time.
    compressed: bool,
    patience: Duration,
}

/// What became of a try.
#[derive(Debug)]
enum Verdict {
    /// All but so many spans are taken.
    Taken { rejected: usize },
    /// They are not wanted, now or later.
    Refused(u16),
    /// Another try may help.
    Later { after: Option<Duration>, what: String },
}

impl Collector {
    fn new(spec: &TelemetrySpec) -> Self {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(ring).root_certs(roots()).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect could lead a vendor's key to somebody else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("dimmer/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self {
            agent: config.new_agent(),
            url: spec.traces.clone(),
            headers: spec.fields().map(|(name, value)| (name.clone(), value)).collect(),
            compressed: spec.tls,
            patience: spec.timeout,
        }
    }

    fn written(&self, message: Vec<u8>) -> Vec<u8> {
        if !self.compressed {
            return message;
        }
        let mut writer = GzEncoder::new(Vec::with_capacity(message.len() / 4), Compression::fast());
        // Into memory: it cannot fail.
        let _ = writer.write_all(&message);
        writer.finish().unwrap_or_default()
    }

    fn send(&self, message: &[u8], patience: Duration) -> Verdict {
        let mut request = self.agent.post(&self.url).header(CONTENT_TYPE, PROTOBUF);
        if self.compressed {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.config().timeout_global(Some(patience)).build();
        let mut answer = match request.send(message) {
            Ok(answer) => answer,
            Err(error) => return Verdict::Later { after: None, what: described(&error, patience) },
        };
        let status = answer.status().as_u16();
        match status {
            200..=299 => {
                let body = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
                Verdict::Taken { rejected: rejected(&body.unwrap_or_default()) }
            }
            408 | 425 | 429 | 500..=599 => {
                let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                Verdict::Later { after, what: format!("it answered {status}") }
            }
            _ => Verdict::Refused(status),
        }
    }
}

const PROTOBUF: &str = "application/x-protobuf";

/// How many spans a collector says that it did not keep. What cannot be read says none: the status has said that they are taken.
fn rejected(answer: &[u8]) -> usize {
    let told = Exported::decode(answer).ok().and_then(|answer| answer.partial);
    told.and_then(|partial| usize::try_from(partial.rejected).ok()).unwrap_or(0)
}

/// The library's own words may hold the address.
fn described(error: &ureq::Error, patience: Duration) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {} s", patience.as_secs_f64()),
        ureq::Error::HostNotFound => "the host of telemetry.otlp is not known".to_owned(),
        ureq::Error::Io(error) => format!("the connection failed: {}", error.kind()),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
            "TLS failed: does its certificate come from an authority that this system trusts?".to_owned()
        }
        _ => "it does not answer in HTTP".to_owned(),
    }
}

/// As for providers: what the system trusts.
fn roots() -> RootCerts {
    let loaded = rustls_native_certs::load_native_certs();
    loaded.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).into()
}
