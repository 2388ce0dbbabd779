//! A real Prometheus: what it scrapes, which rules it reads, and what it answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::clients;

/// Leaves the machine to the tests beside this one.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Ends with the test.
pub(super) struct Prometheus {
    child: Child,
    address: SocketAddr,
}

/// One series of an answer.
pub(super) struct Series {
    /// Without the name.
    pub(super) labels: Vec<String>,
    pub(super) value: f64,
}

impl Prometheus {
    /// Scrapes these as the job `dimmer` and evaluates these rules, both once a second.
    pub(super) fn start(directory: &Path, admins: &[SocketAddr], rules: &[PathBuf]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let targets: Vec<String> = admins.iter().map(|admin| format!("\"{admin}\"")).collect();
        let rules: Vec<String> = rules.iter().map(|file| format!("\"{}\"", file.display())).collect();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [{}]\nscrape_configs:\n  - job_name: \
             dimmer\n    static_configs:\n      - targets: [{}]\n",
            rules.join(", "),
            targets.join(", "),
        );
        std::fs::write(directory.join("prometheus.yml"), config).expect("a file");
        let log = std::fs::File::create(directory.join("prometheus.log")).expect("a log file");
        let child = Command::new(clients().join("bin/prometheus"))
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=tsdb")
            .arg(format!("--web.listen-address={port}"))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus starts");
        let prometheus = Self { child, address: port };
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(port).is_err() || prometheus.get("/-/ready").is_none() {
            let said = std::fs::read_to_string(directory.join("prometheus.log")).unwrap_or_default();
            assert!(Instant::now() < end, "prometheus is not ready:\n{said}");
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
        prometheus
    }

    /// The series that a query gives now.
    pub(super) fn series(&self, expr: &str) -> Vec<Series> {
        let query: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let Some(answer) = self.json(&format!("/api/v1/query?query={query}")) else { return Vec::new() };
        assert_ne!(answer["status"], "error", "{expr}: {answer}");
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let series = series.iter().filter_map(|one| {
            let labels =
                one["metric"].as_object()?.keys().filter(|name| *name != "__name__").cloned().collect();
            Some(Series { labels, value: one["value"][1].as_str()?.parse().ok()? })
        });
        series.filter(|one| !one.value.is_nan()).collect()
    }

    /// The rules that it evaluates: one group after the other.
    pub(super) fn rules(&self) -> Vec<Value> {
        let answer = self.json("/api/v1/rules").expect("prometheus lists its rules");
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
    }

    fn json(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.get(path)?).ok()
    }

    /// The body of a 200.
    fn get(&self, path: &str) -> Option<String> {
        let mut socket = TcpStream::connect(self.address).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        // HTTP/1.0, so that the answer comes unchunked.
        write!(socket, "GET {path} HTTP/1.0\r\nhost: prometheus\r\n\r\n").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?;
        // A query that cannot be read is told in the body, too.
        (status == "200" || body.starts_with('{')).then(|| body.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; both calls are then without effect.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
