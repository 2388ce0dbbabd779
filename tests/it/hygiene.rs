//! What may be tidied up, as operators are told of it: by the API, the command line and the metrics, over restarts and gateways.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::admin::{call, problem, read};
use crate::harness::{DIMMER, Dimmer, listeners, post_json, wait_until};
use crate::upstreams::Api;

/// A flag past its date, one whose rollout is over, one that is asked for, one that is not, and a prompt that nothing names.
const CONFIG: &str = r#"
[providers.sim]
dialect = "mock"
[models.small]
provider = "sim"
mock = { words = 5, first_token = "0s", per_token = "0s" }
[models.large]
provider = "sim"
mock = { words = 5, first_token = "0s", per_token = "0s" }
[prompts.plain]
text = "Be plain."
[prompts.forgotten]
text = "Be."
[flags.late]
owner = "search"
expires = 2020-01-31
default = "small"
rules = [{ name = "some", percent = 10, serve = "large" }]
[flags.over]
owner = "assist"
expires = 2099-01-01
default = "as_sent"
rules = [{ name = "all", serve = "plain" }]
[flags.quiet]
owner = "assist"
permanent = true
default = true
[routes.a]
path = "/a"
model.flag = "late"
system_prompt.flag = "over"
[routes.b]
path = "/b"
model = "small"
enabled.flag = "quiet"
"#;

fn config() -> String {
    listeners("") + CONFIG
}

/// With its state and its records where they outlive it.
fn kept(state: &Path, records: &Path) -> String {
    format!(
        "{}[state]\nurl = \"sqlite:{}\"\n[records]\nurl = \"sqlite:{}\"\n",
        config(),
        state.display(),
        records.display()
    )
}

fn ask(dimmer: &Dimmer, path: &str) {
    let body = r#"{"model":"small","messages":[{"role":"user","content":"q"}]}"#;
    let answer = post_json(dimmer.data, &format!("{path}{}", Api::Chat.path()), body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// What is found, as `kind what`.
fn found(dimmer: &Dimmer, query: &str) -> Vec<String> {
    let hygiene = read(dimmer, &format!("/hygiene{query}"));
    let findings = hygiene["findings"].as_array().unwrap().iter();
    findings.map(|one| format!("{} {}", text(&one["kind"]), text(&one["what"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn of(hygiene: &Value, kind: &str) -> Value {
    let mut findings = hygiene["findings"].as_array().unwrap().iter();
    findings.find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {hygiene}")).clone()
}

/// The flags for which no request ever asked, as far as the gateway knows.
fn never_asked_for(dimmer: &Dimmer) -> Vec<String> {
    let hygiene = read(dimmer, "/hygiene?kind=never_evaluated&quiet_for=0s");
    let findings = hygiene["findings"].as_array().unwrap().iter();
    let never = findings.filter(|one| text(&one["says"]).starts_with("no request has ever asked"));
    never.map(|one| text(&one["what"]).to_owned()).collect()
}

const SURE: [&str; 2] = ["expired flag:late", "unused prompt:forgotten"];

#[test]
fn a_gateway_says_what_may_be_tidied_up() {
    let dimmer = Dimmer::start(&config());
    assert_eq!(found(&dimmer, ""), SURE, "it has watched for moments only");
    assert_eq!(
        found(&dimmer, "?full_for=0s&quiet_for=0s"),
        [
            SURE[0],
            "full_for_long flag:over",
            "never_evaluated flag:late",
            "never_evaluated flag:over",
            "never_evaluated flag:quiet",
            SURE[1],
        ]
    );
    ask(&dimmer, "/a");
    wait_until("the request is counted", || never_asked_for(&dimmer) == ["flag:quiet"]);
    ask(&dimmer, "/b");
    wait_until("the request is counted", || never_asked_for(&dimmer).is_empty());
    assert_eq!(found(&dimmer, "?kind=expired"), [SURE[0]]);
}

#[test]
fn slips_are_refused() {
    let dimmer = Dimmer::start(&config());
    for (query, part) in [
        ("?kind=old", "write one of expired, full_for_long, never_evaluated, unused"),
        ("?full_for=long", "full_for: \"long\" is no duration"),
        ("?quiet_for=7", "quiet_for: \"7\" is no duration"),
        ("?days=7", "the query has \"days\""),
    ] {
        let (status, code, message) =
            problem(&call(&dimmer, "GET", &format!("/hygiene{query}"), &Value::Null));
        assert_eq!((status, code.as_str()), (400, "bad_request"), "{query}");
        assert!(message.contains(part), "{query}: {message}");
    }
}

#[test]
fn the_metric_counts_them_by_kind() {
    let dimmer = Dimmer::start(&config());
    let metrics = dimmer.metrics();
    let count = |kind: &str| metrics.metric("dimmer_hygiene_findings", &[("kind", kind)]);
    assert_eq!(["expired", "full_for_long", "never_evaluated", "unused"].map(count), [1.0, 0.0, 0.0, 1.0]);
    let tidy = config().replace("2020-01-31", "2099-01-31");
    dimmer.reload_and_wait(&tidy.replace("[prompts.forgotten]\ntext = \"Be.\"\n", ""));
    assert_eq!(dimmer.metrics().metric("dimmer_hygiene_findings", &[("kind", "expired")]), 0.0);
    assert_eq!(dimmer.metrics().metric("dimmer_hygiene_findings", &[("kind", "unused")]), 0.0);
}

#[test]
fn what_was_watched_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = kept(&folder.path().join("state.db"), &folder.path().join("records.db"));
    let look = |dimmer: &Dimmer| read(dimmer, "/hygiene?full_for=0s&quiet_for=0s");
    let mut dimmer = Dimmer::start(&config);
    let first = look(&dimmer);
    let never = of(&first, "never_evaluated");
    assert!(dimmer.terminate().success());
    let dimmer = Dimmer::start(&config);
    let second = look(&dimmer);
    assert_eq!(second["looked"]["watched_since"], first["looked"]["watched_since"]);
    assert_eq!(of(&second, "full_for_long"), of(&first, "full_for_long"));
    assert_eq!(of(&second, "never_evaluated")["since"], never["since"]);
}

#[test]
fn the_records_know_what_other_gateways_were_asked() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records.db");
    let mut one = Dimmer::start(&kept(&folder.path().join("one.db"), &records));
    ask(&one, "/a");
    // What it has to write is written when it ends.
    assert!(one.terminate().success());
    let other = Dimmer::start(&kept(&folder.path().join("other.db"), &records));
    wait_until("the records are read", || {
        read(&other, "/hygiene")["looked"]["record"] == "read" && never_asked_for(&other) == ["flag:quiet"]
    });
}

/// What `dimmer hygiene` said, and its exit code.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(DIMMER)
        .arg("hygiene")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn the_exit_code_says_whether_there_is_something() {
    let dimmer = Dimmer::start(&config());
    let (folder, admin) = (dimmer.folder(), format!("http://{}", dimmer.admin));
    let check = |arguments: &[&str], code: i32, parts: &[&str]| {
        let (ended, said) = run(folder, arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
        }
    };
    check(
        &["--admin", &admin],
        4,
        &["expired          flag:late  search  since 2020-01-31", "2 findings", "14 days"],
    );
    check(&["--admin", &admin, "--only", "full_for_long"], 0, &["nothing to tidy up"]);
    check(&["--admin", &admin, "--only", "full_for_long", "--full-for", "0s"], 4, &["`over`", "1 finding\n"]);
    check(&["--config", "routes.toml"], 4, &["[prompts.forgotten] on line", "Only the file was read"]);
    check(
        &["--config", "routes.toml", "--only", "expired", "--json"],
        4,
        &["\"flag:late\"", "\"record\": \"off\""],
    );
    check(&["--admin", "http://127.0.0.1:1"], 1, &["Without a running gateway: dimmer hygiene --config"]);
    check(&["--config", "nowhere.toml"], 1, &["nowhere.toml"]);
    check(&["--only", "old"], 2, &["full_for_long"]);
    check(&["--quiet-for", "7"], 2, &["such as \"30s\""]);
    std::fs::write(folder.join("tidy.toml"), "[providers.p]\ndialect = \"mock\"\n[routes.default]\n")
        .unwrap();
    check(&["--config", "tidy.toml"], 0, &["nothing to tidy up"]);
}
