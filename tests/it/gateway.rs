//! The real binary, serving a configuration of one test's own, for as long as the value lives.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The binary under test.
pub(crate) const DIMMER: &str = env!("CARGO_BIN_EXE_dimmer");

/// The clone's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A started `dimmer serve`; ends with the value.
pub(crate) struct Gateway {
    child: Child,
    /// Its directory, with `routes.toml` and `log`.
    pub(crate) directory: PathBuf,
    /// `http://127.0.0.1:PORT` of the data listener.
    pub(crate) data: String,
    /// `http://127.0.0.1:PORT` of the admin listener.
    pub(crate) admin: String,
}

impl Gateway {
    /// Serves `directory/routes.toml`, whose listeners must have port 0, and waits until it says where it listens.
    pub(crate) fn start(directory: &Path, environment: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(directory.join("log")).expect("a log file");
        let mut child = Command::new(DIMMER)
            .args(["serve", "--config", "routes.toml"])
            .current_dir(directory)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("dimmer starts");
        let stdout = child.stdout.take().expect("a pipe");
        let (sender, receiver) = mpsc::channel();
        // Reads on to the end, so that the gateway never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _nobody_waits_any_more = sender.send(line);
            }
        });
        let mut gateway =
            Self { child, directory: directory.to_owned(), data: String::new(), admin: String::new() };
        let mut said = String::new();
        while gateway.data.is_empty() || gateway.admin.is_empty() {
            let Ok(line) = receiver.recv_timeout(Duration::from_secs(30)) else {
                panic!(
                    "dimmer did not say where it listens; it said:\n{said}\nand logged:\n{}",
                    gateway.log()
                );
            };
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("data"), Some(url)) if url.starts_with("http") => gateway.data = url.to_owned(),
                (Some("admin"), Some(url)) if url.starts_with("http") => gateway.admin = url.to_owned(),
                _ => {}
            }
            said.push_str(&line);
            said.push('\n');
        }
        gateway
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself; both calls are then without effect.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The directory that `tests/clients/prepare` filled: `DIMMER_TEST_CLIENTS`, else `target/clients`. Fails the test when
/// it is not there, because a test that skips itself proves nothing.
pub(crate) fn clients() -> PathBuf {
    let directory =
        std::env::var_os("DIMMER_TEST_CLIENTS").map_or_else(|| root().join("target/clients"), PathBuf::from);
    assert!(
        directory.join("bin/promtool").exists() && directory.join("venv/bin/python").exists(),
        "{} is not prepared: run `make prepare` (it needs the network once), then this test again",
        directory.display()
    );
    directory
}
