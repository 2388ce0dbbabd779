//! The dashboards, the rules, the page that documents the metrics, and what a scrape brings: held together.
//!
//! Each panel and each rule must ask for metrics and labels that docs/metrics.md documents, must parse in the real
//! Prometheus, and must get data from a gateway that serves traffic.

mod live;
mod prometheus;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
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
        let mut text = self.expr.replace("$__rate_interval", "1m").replace("$__range", "1m");
        for variable in variables_of(&self.expr) {
            text = text.replace(&format!("\"${variable}\""), "\".*\"");
        }
        text
    }
}

/// The names behind `"$`.
fn variables_of(expr: &str) -> Vec<String> {
    let named = expr.split("\"$").skip(1).filter_map(|rest| rest.split_once('"'));
    named.map(|(name, _)| name.to_owned()).collect()
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

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is a list: {value}"))
}

/// Those that show something, of folded rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = list(dashboard, "panels").iter();
    all.flat_map(
        |panel| if panel["type"] == "row" { list(panel, "panels").iter().collect() } else { vec![panel] },
    )
    .collect()
}

fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (path, dashboard) in &dashboards() {
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut add = |title: &Value, expr: &Value| {
            let panel = format!("{file}: {}", title.as_str().expect("a title"));
            queries.push(Query { panel, expr: expr.as_str().expect("an expr").to_owned() });
        };
        for panel in panels(dashboard) {
            list(panel, "targets").iter().for_each(|target| add(&panel["title"], &target["expr"]));
        }
        for annotation in list(&dashboard["annotations"], "list") {
            add(&annotation["name"], &annotation["expr"]);
        }
    }
    queries
}

#[test]
fn a_dashboard_keeps_the_rules_of_the_house() {
    let mut uids = BTreeSet::new();
    for (path, dashboard) in dashboards() {
        let path = path.display();
        assert!(dashboard["schemaVersion"].as_u64() >= Some(39), "{path}: schemaVersion");
        let uid = dashboard["uid"].as_str().unwrap_or_default().to_owned();
        assert!(!uid.is_empty() && uids.insert(uid), "{path}: a stable uid of its own");
        assert_eq!(dashboard["graphTooltip"], 1, "{path}: one crosshair over all panels");
        assert_eq!(
            dashboard["templating"]["list"][0]["type"], "datasource",
            "{path}: the data source is a variable"
        );
        assert_eq!(list(&dashboard, "tags")[0], "dimmer", "{path}: the tag by which they are linked");
        assert_eq!(list(&dashboard, "links")[0]["tags"][0], "dimmer", "{path}: links to the others");
        let mut seen = BTreeSet::new();
        for row in list(&dashboard, "panels").iter().filter(|panel| panel["type"] == "row") {
            let title = row["title"].as_str().unwrap_or_default();
            assert!(title.contains('?'), "{path}: a row asks a question: {title:?}");
            assert!(seen.insert(row["id"].as_u64()), "{path}: {title:?}: an id of its own");
        }
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap_or_default();
            let place = format!("{path}: panel {} {title:?}", panel["id"]);
            assert!(!title.is_empty(), "{place}: a title");
            assert!(seen.insert(panel["id"].as_u64()), "{place}: an id of its own");
            keeps_the_rules(panel, &place);
        }
    }
}

fn keeps_the_rules(panel: &Value, place: &str) {
    let described = panel["description"].as_str().is_some_and(|text| text.len() > 10);
    assert!(described, "{place}: a description");
    assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{place}: a unit");
    assert!(
        !list(&panel["fieldConfig"]["defaults"]["thresholds"], "steps").is_empty(),
        "{place}: thresholds"
    );
    assert_eq!(panel["datasource"]["uid"], "${datasource}", "{place}: the data source is the variable");
    let mut references = BTreeSet::new();
    for target in list(panel, "targets") {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}: its queries too");
        assert!(references.insert(target["refId"].as_str()), "{place}: a refId of its own");
        let expr = target["expr"].as_str().unwrap_or_default();
        let moves =
            |window: &str| ["$__rate_interval]", "$__range]"].iter().any(|one| window.starts_with(one));
        let fixed = expr.split('[').skip(1).any(|window| !moves(window));
        assert!(!fixed, "{place}: windows are $__rate_interval: {expr}");
    }
}

#[test]
fn panels_do_not_overlap() {
    for (path, dashboard) in dashboards() {
        let top = list(&dashboard, "panels");
        let folded = top.iter().filter(|panel| panel["type"] == "row").map(|row| list(row, "panels"));
        for side_by_side in folded.chain([top]) {
            let mut taken: BTreeMap<(u64, u64), &str> = BTreeMap::new();
            for panel in side_by_side {
                let title = panel["title"].as_str().unwrap_or_default();
                let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| {
                    panel["gridPos"][side].as_u64().unwrap_or_else(|| panic!("{path:?}: {title:?}: {side}"))
                });
                assert!(w > 0 && h > 0 && x + w <= 24, "{path:?}: {title:?} is 24 columns wide at most");
                for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
                    if let Some(other) = taken.insert(cell, title) {
                        panic!("{path:?}: {title:?} lies on {other:?} at {cell:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn variables_are_declared_used_and_have_values() {
    let documented = documented_metrics();
    for (path, dashboard) in dashboards() {
        let path = path.display();
        let variables = &list(&dashboard["templating"], "list")[1..];
        let declared: BTreeSet<&str> = variables.iter().filter_map(|one| one["name"].as_str()).collect();
        let exprs = panels(&dashboard).into_iter().flat_map(|panel| list(panel, "targets"));
        let exprs =
            exprs.chain(list(&dashboard["annotations"], "list")).filter_map(|one| one["expr"].as_str());
        let used: BTreeSet<String> = exprs.flat_map(variables_of).collect();
        assert_eq!(declared, used.iter().map(String::as_str).collect(), "{path}: declared and used");
        for variable in variables {
            let query = variable["definition"].as_str().unwrap_or_default();
            let parts =
                query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')?.split_once(", "));
            let (metric, label) = parts.unwrap_or_else(|| panic!("{path}: {query}"));
            let known = documented.get(metric).unwrap_or_else(|| panic!("{path}: no {metric}"));
            assert!(label == "instance" || known.labels.contains(label), "{path}: {metric} has no {label}");
        }
    }
}

#[test]
fn links_lead_to_dashboards_and_pages() {
    let all = dashboards();
    let uids: BTreeSet<&str> = all.iter().filter_map(|(_, dashboard)| dashboard["uid"].as_str()).collect();
    for (path, dashboard) in &all {
        let path = path.display();
        let of_panels = panels(dashboard).into_iter().filter_map(|panel| panel["links"].as_array()).flatten();
        for link in of_panels.chain(list(dashboard, "links")) {
            let url = link["url"].as_str().unwrap_or_default();
            if let Some(rest) = url.strip_prefix("/d/") {
                let uid = rest.split('?').next().unwrap_or_default();
                assert!(uids.contains(uid), "{path}: no dashboard is called {uid}");
            } else if url.is_empty() {
                assert_eq!(link["type"], "dashboards", "{path}: {link}");
            } else {
                assert!(rules::page_of(url).exists(), "{path}: no such page: {url}");
            }
        }
    }
}

#[test]
fn panels_ask_for_documented_metrics_and_labels() {
    let documented = documented_metrics();
    let recorded = rules::recorded();
    let mut asked = BTreeSet::new();
    for Query { panel, expr } in queries() {
        asked.extend(asks_for(&panel, &expr, &documented, &recorded));
    }
    let forgotten: Vec<&String> = documented.keys().filter(|name| !asked.contains(*name)).collect();
    assert!(forgotten.is_empty(), "no panel shows {forgotten:?}");
}

/// The documented metrics that a query asks for. One that is neither documented nor recorded fails, and so does a label that
/// its metrics do not have.
fn asks_for(
    place: &str,
    expr: &str,
    documented: &BTreeMap<String, Documented>,
    recorded: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    let mut all: BTreeSet<String> = ["le", "instance", "job"].map(str::to_owned).into();
    for name in words(expr) {
        let labels: BTreeSet<String> = if name == "ALERTS" {
            ["alertname", "alertstate", "severity"].map(str::to_owned).into()
        } else if name.contains(':') {
            assert!(recorded.contains(name), "{place:?} asks for {name}, which no rule records: {expr}");
            level_of(name)
        } else if name.starts_with("dimmer_") {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .find(|base| documented.get(*base).is_some_and(|metric| metric.kind == "histogram"))
                .unwrap_or(name);
            let Some(metric) = documented.get(base) else {
                panic!("{place:?} asks for {name}, which docs/metrics.md does not have: {expr}");
            };
            asked.insert(base.to_owned());
            metric.labels.clone()
        } else {
            continue;
        };
        for label in labels_after(expr, name) {
            let known = labels.contains(&label) || label == "instance";
            assert!(known, "{place:?} filters {name} by {label}: {expr}");
        }
        all.extend(labels);
    }
    for label in grouped_by(expr) {
        assert!(all.contains(&label), "{place:?} groups by {label}, which its metrics do not have: {expr}");
    }
    asked
}

/// The labels that are left of what a rule records: `route_flag:metric:operation` has `route` and `flag`.
fn level_of(recorded: &str) -> BTreeSet<String> {
    recorded.split(':').next().unwrap_or_default().split('_').map(str::to_owned).collect()
}

/// The labels within `{…}` directly after `name`.
fn labels_after(expr: &str, name: &str) -> Vec<String> {
    let parts = expr.split(name).skip(1).filter_map(|rest| rest.strip_prefix('{')?.split_once('}'));
    let matchers = parts.flat_map(|(matchers, _)| matchers.split(','));
    matchers.filter_map(|matcher| Some(matcher.split(['=', '!']).next()?.trim().to_owned())).collect()
}

/// The labels of `by (…)`, `on (…)` and `ignoring (…)`.
fn grouped_by(expr: &str) -> Vec<String> {
    let words = ["by", "on", "ignoring"].map(|word| [format!("{word} ("), format!("{word}(")]);
    let parts = words.iter().flatten().flat_map(|word| expr.split(word.as_str()).skip(1));
    let lists = parts.filter_map(|rest| rest.split_once(')'));
    lists.flat_map(|(labels, _)| labels.split(',').map(|label| label.trim().to_owned())).collect()
}

/// Names of metrics have colons where a rule records them.
fn words(expr: &str) -> impl Iterator<Item = &str> {
    expr.split(|sign: char| !sign.is_alphanumeric() && sign != '_' && sign != ':')
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
    promtool(&["check", "rules"], &[file]);
    let deployed = root().join("deploy/prometheus/prometheus.yml");
    promtool(&["check", "config", "--syntax-only"], &[deployed]);
}

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let mut command = Command::new(clients().join("bin/promtool"));
    let output = command.args(arguments).args(files).output().expect("promtool");
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The files of a folder that end so, in order.
fn files_in(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files.sort();
    assert!(!files.is_empty(), "{} has files", folder.display());
    files
}
