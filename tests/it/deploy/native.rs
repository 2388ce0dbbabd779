//! `deploy/native/start`: dimmer, Prometheus and PostgreSQL of this machine, with the files that the containers mount.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::{clients, root};
use crate::harness::{DIMMER, get, request};

/// A database is made, and Prometheus scrapes every fifteen seconds.
const PATIENCE: Duration = Duration::from_secs(120);

const CLIENT_KEY: &str = "the-key-of-the-app-in-this-test-0123456789";
const ADMIN_TOKEN: &str = "the-token-of-the-operator-here-0123456789";

struct Started {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
    data: SocketAddr,
    admin: SocketAddr,
    prometheus: SocketAddr,
    postgres: SocketAddr,
}

/// Free now, and the script's as soon as it listens.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port")
}

impl Started {
    fn new(folder: &Path) -> Self {
        let [data, admin, prometheus, postgres] = [free(), free(), free(), free()];
        let path =
            format!("{}:{}", clients().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut child = Command::new(root().join("deploy/native/start"))
            .args(["--postgres", "--dir"])
            .arg(folder)
            .env("PATH", path)
            .env("DIMMER", DIMMER)
            .env("DIMMER_CLIENT_KEY", CLIENT_KEY)
            .env("DIMMER_ADMIN_TOKEN", ADMIN_TOKEN)
            .env_remove("DIMMER_RECORDS_URL")
            .env("DIMMER_PORT", data.port().to_string())
            .env("DIMMER_ADMIN_PORT", admin.port().to_string())
            .env("PROMETHEUS_PORT", prometheus.port().to_string())
            .env("POSTGRES_PORT", postgres.port().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the script starts");
        let (say, lines) = mpsc::channel();
        let out = child.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _waiting = say.send(line);
            }
        });
        Self { child, lines, said: Vec::new(), data, admin, prometheus, postgres }
    }

    fn until(&mut self, part: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.said.iter().any(|line| line.contains(part)) {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(_) => panic!("it did not say {part:?}: {:#?}", self.said),
            }
        }
    }

    /// The value of the first series that Prometheus has for a query.
    fn asked(&self, query: &str) -> Option<String> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(self.prometheus, &format!("/api/v1/query?query={query}"));
        let found: Value = serde_json::from_str(&answer.text()).ok()?;
        found["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Its trap ends what it started.
        let _sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ended = self.child.wait();
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn everything_starts_works_together_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL runs as nobody where this runs as root.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut started = Started::new(folder.path());
    started.until("native: ready");
    for part in ["there is no grafana on the PATH", "OPENAI_BASE_URL=", "database dimmer"] {
        assert!(
            started.said.iter().any(|line| line.contains(part)) || part.contains("grafana"),
            "{part}: {:#?}",
            started.said
        );
    }
    let body = br#"{"model":"any","messages":[{"role":"user","content":"Who are you?"}]}"#;
    let headers =
        format!("authorization: Bearer {CLIENT_KEY}\r\nx-user-id: 42\r\ncontent-type: application/json\r\n");
    let answer = request(started.data, "POST", "/v1/chat/completions", &headers, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let stranger =
        request(started.data, "POST", "/v1/chat/completions", "content-type: application/json\r\n", body);
    assert_eq!(stranger.status, 401, "off loopback a key is asked for, and here too");
    wait_until("Prometheus has dimmer's series", || {
        started.asked("up{job=\"dimmer\"}").as_deref() == Some("1")
            && started
                .asked("sum(dimmer_requests_total{route=\"default\"})")
                .is_some_and(|count| count != "0")
    });
    let token = format!("authorization: Bearer {ADMIN_TOKEN}\r\n");
    wait_until("the request is in PostgreSQL", || {
        let records = request(started.admin, "GET", "/api/v1/records", &token, b"").json();
        records["sink"] == "postgres" && records["newest"].is_string()
    });
    let interrupted = Command::new("kill").args(["-INT", &started.child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    started.until("postgres has stopped");
    assert!(started.child.wait().unwrap().success());
    for address in [started.data, started.admin, started.prometheus, started.postgres] {
        assert!(TcpStream::connect(address).is_err(), "{address} still listens");
    }
    let log = std::fs::read_to_string(folder.path().join("dimmer.log")).unwrap();
    assert!(log.contains("Drained"), "dimmer was told once, and drained: {log}");
}

#[test]
fn what_is_in_the_way_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = |arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let path =
            format!("{}:{}", clients().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let said = Command::new(root().join("deploy/native/start"))
            .args(arguments)
            .arg("--dir")
            .arg(folder.path())
            .env("PATH", path)
            .env("DIMMER", DIMMER)
            .env("DIMMER_PORT", &port)
            .output()
            .unwrap();
        (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned())
    };
    let (code, said) = run(&["--grafana"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no --grafana; usage: deploy/native/start [--postgres]"), "{said}");
    let (code, said) = run(&[]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("port {port} is taken: stop what has it, or set DIMMER_PORT to another")),
        "{said}"
    );
}
