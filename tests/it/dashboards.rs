//! The dashboards, the page that documents the metrics, and what a scrape brings: held together.
//!
//! Each panel must ask for metrics and labels that docs/metrics.md documents, must parse in the real Prometheus, and must
//! get data from a gateway that serves traffic.

mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::clients::{clients, root};
use crate::docs;

/// A metric as docs/metrics.md has it.
pub(crate) struct Documented {
    /// `counter`, `gauge` or `histogram`.
    pub(crate) kind: String,
    /// The names of its labels.
    pub(crate) labels: BTreeSet<String>,
}

/// The rows of the tables in docs/metrics.md, by metric.
pub(crate) fn documented_metrics() -> BTreeMap<String, Documented> {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).expect("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `dimmer_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = format!("dimmer_{}", cells[0].trim_end_matches('`'));
        let labels = quoted(cells[2]).map(str::to_owned).collect();
        (name, Documented { kind: cells[1].to_owned(), labels })
    })
    .collect()
}

/// The words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A panel's question, as it stands and as Prometheus can read it.
struct Query {
    panel: String,
    expr: String,
}

impl Query {
    /// With Grafana's variables replaced by what "All" means.
    fn promql(&self) -> String {
        self.expr
            .replace("$__rate_interval", "1m")
            .replace("\"$route\"", "\".*\"")
            .replace("\"$flag\"", "\".*\"")
    }
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("dashboards")).expect("dashboards/") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).expect("a dashboard");
            found.push((path, serde_json::from_str(&text).expect("a dashboard is JSON")));
        }
    }
    assert!(!found.is_empty(), "there are dashboards");
    found
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row").collect()
}

fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (_, dashboard) in &dashboards() {
        for panel in panels(dashboard) {
            for target in panel["targets"].as_array().expect("targets") {
                let panel = panel["title"].as_str().expect("a title").to_owned();
                queries.push(Query { panel, expr: target["expr"].as_str().expect("an expr").to_owned() });
            }
        }
        for annotation in dashboard["annotations"]["list"].as_array().expect("annotations") {
            let panel = annotation["name"].as_str().expect("a name").to_owned();
            queries.push(Query { panel, expr: annotation["expr"].as_str().expect("an expr").to_owned() });
        }
    }
    queries
}

#[test]
fn a_dashboard_keeps_the_rules_of_the_house() {
    for (path, dashboard) in dashboards() {
        let path = path.display();
        assert!(dashboard["schemaVersion"].as_u64() >= Some(39), "{path}: schemaVersion");
        assert!(dashboard["uid"].as_str().is_some_and(|uid| !uid.is_empty()), "{path}: a stable uid");
        assert_eq!(dashboard["graphTooltip"], 1, "{path}: one crosshair over all panels");
        assert_eq!(
            dashboard["templating"]["list"][0]["type"], "datasource",
            "{path}: the data source is a variable"
        );
        let mut seen = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap_or_default();
            let place = format!("{path}: panel {} {title:?}", panel["id"]);
            assert!(!title.is_empty(), "{place}: a title");
            assert!(seen.insert(panel["id"].as_u64()), "{place}: an id of its own");
            assert!(
                panel["description"].as_str().is_some_and(|text| text.len() > 10),
                "{place}: a description"
            );
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{place}: a unit");
            assert_eq!(
                panel["datasource"]["uid"], "${datasource}",
                "{place}: the data source is the variable"
            );
            for target in panel["targets"].as_array().expect("targets") {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}: its queries too");
                let expr = target["expr"].as_str().unwrap_or_default();
                let fixed = expr.split('[').skip(1).any(|window| !window.starts_with("$__rate_interval]"));
                assert!(!fixed, "{place}: windows are $__rate_interval: {expr}");
            }
        }
    }
}

#[test]
fn panels_ask_for_documented_metrics_and_labels() {
    let documented = documented_metrics();
    let mut asked = BTreeSet::new();
    for Query { panel, expr } in queries() {
        for name in words(&expr).filter(|word| word.starts_with("dimmer_")) {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .find(|base| documented.get(*base).is_some_and(|metric| metric.kind == "histogram"))
                .unwrap_or(name);
            let Some(metric) = documented.get(base) else {
                panic!("{panel:?} asks for {name}, which docs/metrics.md does not have: {expr}");
            };
            asked.insert(base.to_owned());
            for label in labels_after(&expr, name) {
                assert!(metric.labels.contains(&label), "{panel:?} filters {name} by {label}: {expr}");
            }
        }
        let all: BTreeSet<&str> = words(&expr)
            .filter_map(|word| documented.get(word.trim_end_matches("_bucket")))
            .flat_map(|metric| metric.labels.iter().map(String::as_str))
            .chain(["le", "instance"])
            .collect();
        for label in grouped_by(&expr) {
            assert!(
                all.contains(label.as_str()),
                "{panel:?} groups by {label}, which its metrics do not have: {expr}"
            );
        }
    }
    let forgotten: Vec<&String> = documented.keys().filter(|name| !asked.contains(*name)).collect();
    assert!(forgotten.is_empty(), "no panel shows {forgotten:?}");
}

/// The labels within `{…}` directly after `name`.
fn labels_after(expr: &str, name: &str) -> Vec<String> {
    let parts = expr.split(name).skip(1).filter_map(|rest| rest.strip_prefix('{')?.split_once('}'));
    parts
        .flat_map(|(matchers, _)| matchers.split(", ").filter_map(|matcher| matcher.split(['=', '!']).next()))
        .map(str::to_owned)
        .collect()
}

fn grouped_by(expr: &str) -> Vec<String> {
    let parts = expr.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    parts.flat_map(|(labels, _)| labels.split(", ").map(str::to_owned)).collect()
}

fn words(expr: &str) -> impl Iterator<Item = &str> {
    expr.split(|sign: char| !sign.is_alphanumeric() && sign != '_')
}

#[test]
fn prometheus_can_read_every_query_and_example() {
    let pages = ["docs/metrics.md", "docs/operations.md"].map(|page| docs::blocks_of(&root().join(page)));
    let examples =
        pages.into_iter().flatten().filter(|block| block.language == "promql").map(|block| block.text);
    let mut rules = "groups:\n  - name: panels\n    rules:\n".to_owned();
    for (number, expr) in queries().iter().map(Query::promql).chain(examples).enumerate() {
        let expr = Value::from(expr);
        writeln!(rules, "      - record: panel:query:{number}\n        expr: {expr}")
            .expect("a string grows");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rules.yml");
    std::fs::write(&file, rules).expect("a file");
    promtool(&["check", "rules"], &file);
    promtool(&["check", "config", "--syntax-only"], &root().join("deploy/prometheus/prometheus.yml"));
}

fn promtool(arguments: &[&str], file: &std::path::Path) {
    let output =
        Command::new(clients().join("bin/promtool")).args(arguments).arg(file).output().expect("promtool");
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
