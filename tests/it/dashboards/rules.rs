//! The rules of deploy/prometheus: they ask for what there is, each alert fires and has its runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::prometheus::Prometheus;
use super::{asks_for, documented_metrics, files_in, promtool};
use crate::clients::root;
use crate::docs;
use crate::harness::DIMMER;

/// The files with the rules.
pub(super) fn files() -> Vec<PathBuf> {
    files_in(&root().join("deploy/prometheus/rules"), ".yml")
}

/// What the rules record.
pub(super) fn recorded() -> BTreeSet<String> {
    after("- record: ", &files())
}

fn alerts() -> BTreeSet<String> {
    after("- alert: ", &files())
}

/// What stands behind `start` in the lines that have it.
fn after(start: &str, files: &[PathBuf]) -> BTreeSet<String> {
    let texts = files.iter().map(|file| std::fs::read_to_string(file).expect("a file"));
    let found = texts.flat_map(|text| {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(start).map(str::to_owned));
        lines.collect::<Vec<_>>()
    });
    found.collect()
}

/// The file of the clone that an address of its repository means.
pub(super) fn page_of(url: &str) -> PathBuf {
    let start = format!("{}/blob/main/", env!("CARGO_PKG_REPOSITORY"));
    let path = url.strip_prefix(&start).unwrap_or_else(|| panic!("{url} does not begin with {start}"));
    root().join(path.split('#').next().unwrap_or_default())
}

/// As Prometheus itself has read them.
fn loaded() -> Vec<Value> {
    let directory = tempfile::tempdir().expect("a directory");
    let prometheus = Prometheus::start(directory.path(), &[], &files());
    let rules = prometheus.rules();
    assert_eq!(
        rules.iter().filter(|rule| rule["type"] == "recording").count(),
        recorded().len(),
        "each is recorded once"
    );
    rules
}

#[test]
fn promtool_finds_the_rules_right() {
    promtool(&["check", "rules", "--lint-fatal"], &files());
}

/// The rules that compose hands to Prometheus are these.
#[test]
fn what_is_deployed_loads_the_rules() {
    let text = std::fs::read_to_string(root().join("deploy/prometheus/prometheus.yml")).expect("a file");
    assert!(text.lines().any(|line| line == "rule_files: [rules/*.yml]"), "{text}");
}

#[test]
fn rules_ask_for_documented_metrics_and_labels() {
    let (documented, recorded) = (documented_metrics(), recorded());
    for rule in loaded() {
        let (name, query) =
            (rule["name"].as_str().expect("a name"), rule["query"].as_str().expect("a query"));
        asks_for(name, query, &documented, &recorded);
    }
}

#[test]
fn an_alert_says_who_is_woken_and_what_to_do() {
    for rule in loaded().iter().filter(|rule| rule["type"] == "alerting") {
        let name = rule["name"].as_str().expect("a name");
        assert!(name.starts_with("Dimmer"), "{name}");
        assert!(rule["duration"].as_f64() > Some(0.0), "{name}: for");
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["page", "ticket"].contains(&severity), "{name}: severity is {severity:?}");
        for key in ["summary", "description"] {
            let text = rule["annotations"][key].as_str().unwrap_or_default();
            assert!(text.len() > 10, "{name}: {key}");
        }
        let url = rule["annotations"]["runbook_url"].as_str().unwrap_or_default();
        assert_eq!(page_of(url), root().join("docs/runbooks.md"), "{name}");
        assert!(url.ends_with(&format!("#{}", name.to_lowercase())), "{name}: its section: {url}");
    }
}

/// Each alert has a section and each section an alert, and its first step is a command that there is.
#[test]
fn each_alert_has_its_runbook() {
    let page = root().join("docs/runbooks.md");
    let text = std::fs::read_to_string(&page).expect("docs/runbooks.md");
    let mut first: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut section = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ").filter(|title| title.starts_with("Dimmer")) {
            first.insert(title.to_owned(), None);
            section = Some(title);
        } else if line == "```sh" {
            let command = lines.next().unwrap_or_default();
            if let Some(open) = section.and_then(|title| first.get_mut(title)) {
                open.get_or_insert_with(|| command.to_owned());
            }
        }
    }
    assert_eq!(first.keys().cloned().collect::<BTreeSet<_>>(), alerts(), "sections and alerts");
    for (alert, command) in first {
        let command = command.unwrap_or_else(|| panic!("{alert} has a command"));
        let words: Vec<&str> = command.split(" --reason ").next().unwrap_or_default().split(' ').collect();
        assert_eq!(words[0], "dimmer", "{alert}: {command}");
        let output = Command::new(DIMMER).args(&words[1..]).arg("--help").output().expect("dimmer runs");
        let usage = String::from_utf8_lossy(&output.stdout).contains(&format!("Usage: dimmer {}", words[1]));
        assert!(output.status.success() && usage, "{alert}: {command}");
    }
    let linked = docs::blocks_of(&page).len();
    assert!(linked > alerts().len(), "the page begins with what helps always");
}

/// Each alert fires in some test, and in some test does not.
#[test]
fn each_alert_fires_and_does_not_fire_just_below() {
    let tests = files_in(&root().join("deploy/prometheus/tests"), ".yml");
    let (mut fires, mut is_silent) = (BTreeSet::new(), BTreeSet::new());
    for file in &tests {
        let text = std::fs::read_to_string(file).expect("a test of promtool");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let Some(alert) = pair[0].strip_prefix("alertname: ") else { continue };
            let expected = if pair[1] == "exp_alerts: []" { &mut is_silent } else { &mut fires };
            expected.insert(alert.to_owned());
        }
    }
    assert_eq!(fires, alerts(), "those that fire in a test");
    assert_eq!(is_silent, alerts(), "those that do not fire in a test");
    promtool(&["test", "rules"], &tests);
}
