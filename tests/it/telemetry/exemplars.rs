//! Traces of a histogram's buckets, and the format that has them, as a real Prometheus reads it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{model, post, telemetry};
use crate::clients::clients;
use crate::harness::{Dimmer, Metrics, get, listeners, request};
use crate::upstreams::{Api, answers_well};

const OPEN_METRICS: &str = "application/openmetrics-text";

fn world() -> Dimmer {
    let api = Api::Chat;
    let config = listeners("")
        + &model(api, "good", &answers_well(api), "")
        + &telemetry("http://127.0.0.1:9", "")
        + "[routes.r]\npath = \"/r\"\nprovider = \"good\"\nmodel = \"good\"\n";
    let mut dimmer = Dimmer::start(&config);
    dimmer.expect_log("the collector of traces does not take them");
    dimmer
}

fn ask(dimmer: &Dimmer) {
    let caller = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    post(dimmer, "/r/v1/chat/completions", caller, &Api::Chat.ask(true));
}

#[test]
fn both_formats_say_the_same_and_one_has_traces() {
    let dimmer = world();
    ask(&dimmer);
    let plain = get(dimmer.admin, "/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!plain.text().contains("trace_id"), "the older format has no place for it");
    let open = request(dimmer.admin, "GET", "/metrics", &format!("accept: {OPEN_METRICS}\r\n"), b"");
    let kind = format!("{OPEN_METRICS}; version=1.0.0; charset=utf-8");
    assert_eq!((open.status, open.header("content-type")), (200, Some(kind.as_str())));
    let text = open.text();
    assert!(text.ends_with("\n# EOF\n"));
    for metric in ["dimmer_request_duration_seconds", "dimmer_time_to_first_token_seconds"] {
        let traced: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with(&format!("{metric}_bucket")) && line.contains(" # "))
            .collect();
        assert_eq!(traced.len(), 1, "{metric}: {traced:#?}");
        assert!(
            traced[0].contains("# {trace_id=\"0af7651916cd43dd8448eb211c80319c\",span_id=\""),
            "{traced:?}"
        );
    }
    // Bounds of buckets apart, every series has one name and one value in both.
    let series = |text: &str| -> std::collections::BTreeSet<String> {
        let lines = text.lines().filter(|line| line.starts_with("dimmer_") && !line.contains("_bucket{"));
        lines.filter_map(|line| line.split_once(' ').map(|(series, _)| series.to_owned())).collect()
    };
    assert_eq!(series(&plain.text()), series(&text));
    let duration = ("dimmer_request_duration_seconds_count", [("route", "r"), ("model", "good")]);
    let untraced: String =
        text.lines().flat_map(|line| [line.split(" # ").next().unwrap_or_default(), "\n"]).collect();
    let (plain, open) = (Metrics::parse(&plain.text()), Metrics::parse(&untraced));
    assert_eq!(plain.metric(duration.0, &duration.1), open.metric(duration.0, &duration.1));
}

#[test]
fn prometheus_keeps_them() {
    let dimmer = world();
    let directory = tempfile::tempdir().expect("a directory");
    let prometheus = Prometheus::start(&dimmer, directory.path());
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        ask(&dimmer);
        let query = "query=dimmer_request_duration_seconds_bucket&start=0&end=4000000000";
        let found = prometheus.ask(&format!("/api/v1/query_exemplars?{query}"));
        let exemplar = &found["data"][0]["exemplars"][0];
        if exemplar["labels"]["trace_id"] == "0af7651916cd43dd8448eb211c80319c" {
            assert_eq!(exemplar["labels"]["span_id"].as_str().map(str::len), Some(16));
            break;
        }
        assert!(Instant::now() < end, "{found:#}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
    // It asks for the newer format by itself, and understands all of it.
    let targets = prometheus.ask("/api/v1/targets");
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "", "{targets:#}");
    let counted = prometheus.ask("/api/v1/query?query=dimmer_requests_total");
    assert_eq!(counted["data"]["result"][0]["metric"]["outcome"], "ok", "{counted:#}");
    let kinds = prometheus.ask("/api/v1/metadata?metric=dimmer_requests");
    assert_eq!(kinds["data"]["dimmer_requests"][0]["type"], "counter", "{kinds:#}");
}

struct Prometheus {
    child: Child,
    address: std::net::SocketAddr,
}

impl Prometheus {
    fn start(dimmer: &Dimmer, directory: &std::path::Path) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = free.expect("a free port");
        let config = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: dimmer\n    static_configs:\n      - targets: [\"{}\"]\n",
            dimmer.admin
        );
        std::fs::write(directory.join("prometheus.yml"), config).expect("a file");
        let child = Command::new(clients().join("bin/prometheus"))
            .args([
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=tsdb",
                "--enable-feature=exemplar-storage",
            ])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus starts");
        let prometheus = Self { child, address };
        crate::harness::wait_until("prometheus listens", || std::net::TcpStream::connect(address).is_ok());
        prometheus
    }

    /// What it says; null while it starts.
    fn ask(&self, path: &str) -> Value {
        let answer = get(self.address, path);
        serde_json::from_str(&answer.text()).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
