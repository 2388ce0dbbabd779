//! The systemd unit: systemd takes it, it locks the process in, and it waits longer than a drain takes.

use std::process::Command;

use super::{drain, installed, seconds, there, variables};
use crate::harness::DIMMER;

const UNIT: &str = "deploy/systemd/dimmer.service";
/// Where the unit expects the program.
const PROGRAM: &str = "/usr/local/bin/dimmer";
/// systemd's own measure, from 0 (locked in) to 100: under 20 it says OK.
const EXPOSURE_MAX: &str = "15";

/// The values of a setting, in the unit's order.
fn settings(name: &str) -> Vec<String> {
    let unit = there(UNIT);
    let lines = unit.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| *key == name);
    lines.map(|(_, value)| value.to_owned()).collect()
}

fn one(name: &str) -> String {
    let mut all = settings(name);
    assert_eq!(all.len(), 1, "{name}: {all:?}");
    all.remove(0)
}

/// The unit with the program under test in place of the one that is installed.
fn with_the_program() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dimmer.service"), there(UNIT).replace(PROGRAM, DIMMER)).unwrap();
    folder
}

fn analyze(arguments: &[&str]) {
    if !installed("systemd-analyze") {
        return;
    }
    let folder = with_the_program();
    let unit = folder.path().join("dimmer.service");
    let said = Command::new("systemd-analyze").args(arguments).arg(&unit).output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&text));
    if arguments[0] == "verify" {
        assert!(text.is_empty(), "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn systemd_takes_the_unit() {
    analyze(&["verify", "--man=no", "--recursive-errors=no"]);
}

#[test]
fn the_process_is_locked_in() {
    analyze(&["security", "--offline=yes", "--no-pager", &format!("--threshold={EXPOSURE_MAX}")]);
}

#[test]
fn it_waits_longer_than_a_drain_takes() {
    let patience = seconds(&one("TimeoutStopSec"));
    assert!(patience >= drain(&there("deploy/dimmer/routes.toml")) + super::LAST_WRITES);
    assert_eq!(one("KillSignal"), "SIGTERM");
    assert_eq!(one("Type"), "notify");
}

#[test]
fn the_configuration_beside_it_keeps_what_it_keeps_where_the_unit_lets_it() {
    let routes = there("deploy/dimmer/routes.toml");
    let table: toml::Table = routes.parse().unwrap();
    let folder = format!("/var/lib/{}/", one("StateDirectory"));
    assert!(table["state"]["url"].as_str().unwrap().starts_with(&format!("sqlite:{folder}")), "{routes}");
    let example = there("deploy/systemd/dimmer.env.example");
    let mut named: Vec<&str> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    named.sort_unstable();
    assert_eq!(named, variables(&routes), "dimmer.env.example has what routes.toml wants");
    assert!(example.contains(&format!("DIMMER_RECORDS_URL=sqlite:{folder}")));
}
