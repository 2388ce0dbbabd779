//! `dimmer demo`: its story comes true, in its order, and its numbers are those of the audit and of the record.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

use crate::clients::root;
use crate::harness::DIMMER;

/// The demo waits for what happens; a machine with much else to do gets there too.
const PATIENCE: Duration = Duration::from_secs(900);

/// A demo that runs. Its folder is in one of the test's own.
struct Demo {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    place: TempDir,
    events: Vec<Value>,
}

impl Demo {
    fn start(more: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut child = Command::new(DIMMER)
            .args(["demo", "--fast", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(more)
            .env("TMPDIR", place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, place, events: Vec::new() }
    }

    /// Reads up to the first event of this name, or to the end.
    fn read_to(&mut self, name: &str) {
        let begun = Instant::now();
        for line in self.lines.by_ref().map_while(Result::ok) {
            assert!(begun.elapsed() < PATIENCE, "no {name} after {line}");
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let found = event["event"] == name;
            self.events.push(event);
            if found {
                return;
            }
        }
    }

    fn event(&self, name: &str) -> &Value {
        let found = self.events.iter().find(|event| event["event"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {:#?}", self.told()))
    }

    /// The events, with what they say.
    fn told(&self) -> Vec<String> {
        self.events
            .iter()
            .map(|event| format!("{} {}: {}", event["ms"], event["event"], event["text"]))
            .collect()
    }

    fn ended(&mut self) -> ExitStatus {
        self.read_to("nothing has this name");
        self.child.wait().unwrap()
    }

    /// What it left.
    fn folders(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.place.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended, or the test has failed.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn the_story_comes_true_and_its_numbers_are_the_gateways() {
    let mut demo = Demo::start(&["--keep"]);
    let status = demo.ended();
    let told = demo.told();
    assert_eq!(status.code(), Some(0), "{told:#?}");
    in_order(&demo);
    let folders = demo.folders();
    let [folder] = folders.as_slice() else { panic!("--keep leaves one folder: {folders:?}") };
    assert_eq!(demo.event("started")["folder"], folder.to_str().unwrap());
    as_the_audit_has_it(&demo, folder);
    as_the_record_has_it(&demo, folder);
    let callers = demo.event("callers");
    assert_eq!((&callers["failed"], &callers["counted_errors"]), (&0.into(), &0.into()), "{callers}");
    assert_eq!(callers["answered"], callers["counted"], "who counts: {callers}");
    assert!(callers["feedback"].as_u64() > Some(0), "{callers}");
    the_log_is_quiet(folder);
    as_the_page_shows_it(&demo);
}

/// Each of these is told, once, one after the other.
fn in_order(demo: &Demo) {
    let expected = [
        "started",
        "steady",
        "percent_set",
        "percent_set",
        "canary",
        "shadow_on",
        "shadow_report",
        "went_wrong",
        "breaker_tripped",
        "stood_in",
        "killed",
        "kill_obeyed",
        "revived",
        "revival_obeyed",
        "rollback_dry_run",
        "times",
        "numbers",
        "callers",
        "verdict",
    ];
    let besides = ["chapter", "command", "stands", "breaker"];
    let told: Vec<&str> = demo
        .events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .filter(|name| !besides.contains(name))
        .collect();
    assert_eq!(told, expected);
    let times: Vec<u64> = demo.events.iter().filter_map(|event| event["ms"].as_u64()).collect();
    assert!(times.is_sorted() && times.len() == demo.events.len(), "{times:?}");
    let percents: Vec<&Value> = demo
        .events
        .iter()
        .filter(|event| event["event"] == "percent_set")
        .map(|event| &event["percent"])
        .collect();
    assert_eq!(percents, [&Value::from(5.0), &Value::from(20.0)]);
    assert!(demo.event("shadow_report")["units"].as_u64() >= Some(100));
    assert_eq!(demo.event("kill_obeyed")["by_the_killed"], 0);
    assert_eq!(demo.event("rollback_dry_run")["dry_run"], true);
    assert_eq!(demo.event("verdict")["came_true"], true);
}

fn as_the_audit_has_it(demo: &Demo, folder: &Path) {
    let entries = demo.event("times")["audit"].as_array().unwrap();
    let done: Vec<String> = entries
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap();
            format!("{} {} {}", text("who"), text("action"), text("what"))
        })
        .collect();
    let canary = "flag:inference_model/claude-sonnet-4-6";
    assert_eq!(
        done,
        [
            "local set_percent flag:inference_model#canary".to_owned(),
            "local set_percent flag:inference_model#canary".to_owned(),
            format!("breaker kill {canary}"),
            format!("breaker breaker_tripped route:assistant/{canary}"),
            "local kill model:claude-haiku-4-5".to_owned(),
            "local revive model:claude-haiku-4-5".to_owned(),
        ]
    );
    let numbers = demo.event("numbers");
    assert_eq!(entries[2]["at_ms"], numbers["tripped_ms"], "the kill's time is the audit's");
    assert!(entries[2]["why"].as_str().unwrap().contains("times the control arm's"), "{}", entries[2]);
    assert!(numbers["turned_ms"].as_u64() < numbers["tripped_ms"].as_u64());
    // What was told is what is stored: the last entry's hash is made from all of them.
    let file = folder.join("state.db");
    let verified =
        Command::new(DIMMER).args(["audit", "--verify", "--json", "--file"]).arg(file).output().unwrap();
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    let last = entries.last().unwrap();
    assert_eq!(verified["ok"], true);
    assert_eq!(verified["last"]["number"], last["number"]);
    assert_eq!(verified["last"]["hash"], last["hash"]);
}

fn as_the_record_has_it(demo: &Demo, folder: &Path) {
    let numbers = demo.event("numbers");
    let record =
        Connection::open_with_flags(folder.join("records.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let turned_us = numbers["turned_ms"].as_u64().unwrap() * 1000;
    let sum = |of: &str, which: &str| -> (i64, i64, f64) {
        let query = format!(
            "SELECT count(*), count(DISTINCT exposures.user_id), coalesce(sum(cost_pico_usd), 0) / 1e12
             FROM exposures JOIN exposure_flags USING (request_id)
             WHERE flag = 'inference_model' AND variant = 'claude-sonnet-4-6' AND {of} AND {which}"
        );
        record.query_row(&query, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    };
    let after = format!("exposures.at_us >= {turned_us}");
    let before = format!("exposures.at_us < {turned_us}");
    for (name, of, which) in
        [("before", "tried", before.as_str()), ("rambled", "tried", &after), ("after", "NOT tried", "1")]
    {
        let (requests, users, usd) = sum(of, which);
        let told = &numbers[name];
        assert_eq!(
            (told["requests"].as_i64(), told["users"].as_i64()),
            (Some(requests), Some(users)),
            "{name}"
        );
        assert!((told["usd"].as_f64().unwrap() - usd).abs() < 1e-9, "{name}: {told}, {usd}");
        assert!(requests > 0, "{name}");
    }
    let (long, usual) = (numbers["rambled"]["chars"].as_f64(), numbers["before"]["chars"].as_f64());
    assert!(long > usual.map(|usual| usual * 4.0), "{numbers}");
    let all: i64 = record.query_row("SELECT count(*) FROM exposures", [], |row| row.get(0)).unwrap();
    assert_eq!(demo.event("callers")["counted"].as_i64(), Some(all));
}

/// Only what the story is about is out of the ordinary.
fn the_log_is_quiet(folder: &Path) {
    let log = std::fs::read_to_string(folder.join("gateway.log")).unwrap();
    let loud: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\""))
        .filter(|line| !line.contains("a breaker tripped"))
        .collect();
    assert!(loud.is_empty(), "{loud:#?}");
    assert!(log.contains("a breaker tripped"), "{log}");
}

/// The transcript of docs/demo.md is another run's: its headings and its commands are those of this one, in the same order.
fn as_the_page_shows_it(demo: &Demo) {
    let page = std::fs::read_to_string(root().join("docs/demo.md")).unwrap();
    let (_, transcript) =
        page.split_once("$ dimmer demo --fast\n").expect("the transcript begins with its command");
    let (transcript, _) = transcript.split_once("\n```").expect("and ends");
    let shown = transcript.replace(" \\\n", " ");
    let shown: Vec<String> = shown
        .lines()
        .filter_map(|line| {
            let heading = line.strip_prefix("── ").map(|rest| rest.trim_end_matches(['─', ' ']).to_owned());
            heading.or_else(|| {
                line.split_once("  $ dimmer ").map(|(_, rest)| words(&format!("$ dimmer {rest}")))
            })
        })
        .collect();
    let told: Vec<String> = demo
        .events
        .iter()
        .filter_map(|event| match event["event"].as_str()? {
            "chapter" => Some(format!("{}. {}", event["number"], event["text"].as_str()?)),
            "command" => Some(words(event["text"].as_str()?)),
            _ => None,
        })
        .collect();
    assert_eq!(shown, told, "docs/demo.md shows another run: put `dimmer demo --fast` there again");
    assert!(transcript.lines().all(|line| line.chars().count() <= 80), "it is as wide as a terminal");
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_interrupt_ends_it_with_what_happened_so_far() {
    let mut demo = Demo::start(&[]);
    demo.read_to("steady");
    assert_eq!(demo.folders().len(), 1);
    let sent = Command::new("kill").args(["-INT", &demo.child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let status = demo.ended();
    assert_eq!(status.code(), Some(1), "{:#?}", demo.told());
    assert!(demo.events.iter().all(|event| event["event"] != "went_wrong"), "{:#?}", demo.told());
    assert!(!demo.event("times")["times"].as_array().unwrap().is_empty());
    assert_eq!(demo.event("callers")["failed"], 0);
    let missing = demo.event("verdict")["missing"].to_string();
    assert!(missing.contains("it was ended before its end"), "{missing}");
    assert!(demo.folders().is_empty(), "it leaves nothing");
}

#[test]
fn it_listens_on_loopback_only() {
    let output = Command::new(DIMMER).args(["demo", "--admin", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--admin 0.0.0.0:0") && said.contains("loopback only"), "{said}");
}
