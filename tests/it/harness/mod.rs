//! Runs the real binary with a configuration of the test's own, and talks to it as an app would.
//!
//! Every line that it logs is read: a WARN or an ERROR that the test did not announce fails the test.

mod browser;
mod client;
mod metrics;
mod postgres;
mod simulated;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use browser::{Browser, DESK, Look, PHONE, Page};
pub(crate) use client::{Answer, Connection, Framing, Piece, explained, get, post_json, request, switch};
pub(crate) use metrics::Metrics;
pub(crate) use postgres::Postgres;
pub(crate) use simulated::Simulated;

/// The binary under test.
pub(crate) const DIMMER: &str = env!("CARGO_BIN_EXE_dimmer");

/// What `${TEST_KEY}` says in every configuration.
pub(crate) const TEST_KEY: &str = "sk-of-the-gateway-itself";

/// The longest that anything may take that should be quick; generous, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running gateway. Ends with the test.
pub(crate) struct Dimmer {
    /// The data listener.
    pub(crate) data: SocketAddr,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    child: Child,
    folder: TempDir,
    logs: Arc<Mutex<Vec<String>>>,
    expected: Vec<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Dimmer {
    /// Starts `dimmer serve` with this routes.toml.
    pub(crate) fn start(toml: &str) -> Self {
        Self::start_with(toml, &[])
    }

    /// The same, with more environment variables.
    pub(crate) fn start_with(toml: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routes.toml"), toml).unwrap();
        Self::start_in(folder, environment)
    }

    /// Starts `dimmer serve` with this routes.toml, and so few open files.
    pub(crate) fn start_with_files(toml: &str, files: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routes.toml"), toml).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh", DIMMER]);
        Self::launch(shell, folder, &[])
    }

    /// Starts `dimmer serve` with the routes.toml of this folder, which goes with the gateway.
    pub(crate) fn start_in(folder: TempDir, environment: &[(&str, &str)]) -> Self {
        Self::launch(Command::new(DIMMER), folder, environment)
    }

    /// Starts `dimmer serve` with the routes.toml of this folder by a program that runs the command line that it is given.
    pub(crate) fn start_by(mut program: Command, folder: TempDir) -> Self {
        program.arg(DIMMER);
        Self::launch(program, folder, &[])
    }

    fn launch(mut program: Command, folder: TempDir, environment: &[(&str, &str)]) -> Self {
        let mut child = program
            .args(["serve", "--config"])
            .arg(folder.path().join("routes.toml"))
            .env("TEST_KEY", TEST_KEY)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let logs = Arc::new(Mutex::new(Vec::new()));
        let (found, listeners) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let kept = Arc::clone(&logs);
        let readers = vec![
            thread::spawn(move || read_listeners(stdout, &found)),
            thread::spawn(move || {
                BufReader::new(stderr)
                    .lines()
                    .map_while(Result::ok)
                    .for_each(|line| kept.lock().unwrap().push(line));
            }),
        ];
        let listener = || listeners.recv_timeout(PATIENCE).ok();
        let (Some(data), Some(admin)) = (listener(), listener()) else {
            let _ended = child.kill();
            panic!("dimmer said not where it listens; it logged {:#?}", logs.lock().unwrap());
        };
        Self { data, admin, child, folder, logs, expected: Vec::new(), readers }
    }

    /// Announces a WARN or ERROR line with this text in it.
    pub(crate) fn expect_log(&mut self, part: &str) {
        self.expected.push(part.to_owned());
    }

    /// What it logged so far.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.logs.lock().unwrap().clone()
    }

    /// Where it runs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its configuration lies.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.path().join("routes.toml")
    }

    /// Replaces its configuration at once, as an editor or a deployment does.
    pub(crate) fn write_config(&self, toml: &str) {
        let new = self.folder.path().join("routes.toml.new");
        std::fs::write(&new, toml).unwrap();
        std::fs::rename(new, self.config_path()).unwrap();
    }

    /// Replaces its configuration, with its listeners' lines, and waits until it serves.
    pub(crate) fn reload_and_wait(&self, toml: &str) {
        let generation = || self.metrics().metric("dimmer_config_generation", &[]);
        let before = generation();
        self.write_config(toml);
        wait_until("the new configuration serves", || generation() > before);
    }

    /// Its metrics now.
    pub(crate) fn metrics(&self) -> Metrics {
        let answer = get(self.admin, "/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics::parse(&answer.text())
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many files and sockets it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// The processor time that it has used so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name in brackets: utime and stime are the 12th and 13th, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// Sends it SIGTERM.
    pub(crate) fn send_terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "dimmer does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.send_terminate();
        self.wait_exit()
    }

    /// It still runs and answers: asserted after everything that was done to it.
    pub(crate) fn assert_alive(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "dimmer ended: {:#?}", self.logs());
        assert_eq!(get(self.admin, "/healthz").status, 200);
    }
}

impl Drop for Dimmer {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        for reader in self.readers.drain(..) {
            let _read = reader.join();
        }
        let logs = self.logs();
        if thread::panicking() {
            eprintln!("dimmer logged {logs:#?}");
            return;
        }
        let loud = logs.iter().filter(|line| is_loud(line));
        let unannounced: Vec<&String> =
            loud.filter(|line| !self.expected.iter().any(|part| line.contains(part.as_str()))).collect();
        assert!(unannounced.is_empty(), "dimmer logged what the test did not announce: {unannounced:#?}");
    }
}

/// A panic is no log line, but nothing is louder.
fn is_loud(line: &str) -> bool {
    let level = serde_json::from_str::<serde_json::Value>(line).ok();
    let level = level.and_then(|line| line.get("level")?.as_str().map(str::to_owned));
    matches!(level.as_deref(), Some("WARN" | "ERROR")) || line.contains("panicked at")
}

/// Finds the two lines that say where it listens, data first, and drains the rest.
fn read_listeners(stdout: impl Read, found: &Sender<SocketAddr>) {
    let mut admin = None;
    let mut data_said = false;
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or("");
        let address = words.next().and_then(|url| url.split_once("://")).and_then(|(_, at)| at.parse().ok());
        match (name, address) {
            ("data", Some(address)) => {
                data_said = true;
                let _waiting = found.send(address);
            }
            ("admin", Some(address)) => admin = Some(address),
            _ => {}
        }
        if data_said && let Some(address) = admin.take() {
            let _waiting = found.send(address);
        }
    }
}

/// Looks again and again, without a fixed sleep, until it holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The first lines of a configuration: both listeners on any free port.
pub(crate) fn listeners(server: &str) -> String {
    format!("[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[admin]\nlisten = \"127.0.0.1:0\"\n")
}
