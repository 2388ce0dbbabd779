//! `Type=notify`: a service manager is told when dimmer serves, reloads and drains.

use std::os::unix::net::UnixDatagram;

use crate::harness::{Dimmer, PATIENCE, get, listeners};

const CONFIG: &str = "[providers.sim]\ndialect = \"mock\"\n[routes.default]\n";

/// A manager's side of the socket.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    fn start(&self, toml: &str) -> Dimmer {
        let socket = self.folder.path().join("notify");
        Dimmer::start_with(toml, &[("NOTIFY_SOCKET", socket.to_str().unwrap())])
    }

    /// The next message, as lines.
    fn told(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message");
        std::str::from_utf8(&message[..length]).unwrap().lines().map(str::to_owned).collect()
    }
}

fn signal(dimmer: &Dimmer, signal: &str) {
    let sent = std::process::Command::new("kill").args([signal, &dimmer.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn it_is_told_of_start_reload_and_end() {
    let manager = Manager::new();
    let mut dimmer = manager.start(&(listeners("drain = \"90s\"") + CONFIG));
    assert_eq!(manager.told(), ["READY=1", "STATUS=serves configuration 1"]);
    assert_eq!(get(dimmer.admin, "/readyz").status, 200, "ready is what it says");
    signal(&dimmer, "-HUP");
    let reloading = manager.told();
    assert_eq!(reloading[0], "RELOADING=1");
    let at = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap();
    assert!(at.parse::<u64>().unwrap() > 0, "{reloading:?}");
    assert_eq!(manager.told(), ["READY=1", "STATUS=serves configuration 2"]);
    dimmer.send_terminate();
    let stopping = manager.told();
    assert_eq!(stopping[0], "STOPPING=1");
    assert!(stopping[1].starts_with("STATUS=drains until 20"), "{stopping:?}");
    // A drain that is longer than the manager's patience is not cut by it.
    assert_eq!(stopping[2], "EXTEND_TIMEOUT_USEC=120000000");
    assert!(dimmer.wait_exit().success());
}

#[test]
fn a_file_that_is_wrong_ends_the_reload_too() {
    let manager = Manager::new();
    let mut dimmer = manager.start(&(listeners("") + CONFIG));
    dimmer.expect_log("the configuration is wrong");
    assert_eq!(manager.told()[0], "READY=1");
    dimmer.write_config("[server");
    assert_eq!(manager.told()[0], "RELOADING=1");
    assert_eq!(manager.told(), ["READY=1", "STATUS=serves configuration 1"]);
}

#[test]
fn a_manager_that_is_gone_is_no_reason_not_to_serve() {
    let mut dimmer =
        Dimmer::start_with(&(listeners("") + CONFIG), &[("NOTIFY_SOCKET", "/nowhere/of/this/test")]);
    dimmer.expect_log("the service manager was not told");
    assert_eq!(get(dimmer.data, "/v1/models").status, 200);
    assert!(dimmer.terminate().success());
}
