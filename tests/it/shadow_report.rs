//! What the records say of a shadow, by the API, the command line, and the page in a real browser.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dimmer::config::{Bodies, RecordsPlace, RecordsSpec, UserIds};
use dimmer::observe::Metrics;
use dimmer::record::{
    Attempt, Body, Comparison, Exposure, Feedback, FeedbackOf, Hasher, Record, ShadowOutcome, Side, Verdict,
};
use serde_json::Value;

use crate::clients::{clients, root};
use crate::harness::{Answer, Connection, DIMMER, Dimmer, listeners};

const PAIRS: u64 = 812;

/// SplitMix64: numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn about(&mut self, middle: f64, spread: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.next()).sum();
        middle * ((sum - 6.0) * spread).exp()
    }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

fn attempt(id: &str, at_us: u64, outcome: ShadowOutcome) -> Attempt {
    Attempt {
        request_id: id.to_owned(),
        route: "r".into(),
        shadow: "sonnet".into(),
        at_us,
        outcome: Some(outcome),
        model: "claude-sonnet-4-6".into(),
        primary_model: "gpt-4o".into(),
        ..Attempt::default()
    }
}

fn side(dice: &mut Dice, chars: f64, usd: f64, json: bool) -> Box<Side> {
    Box::new(Side {
        ok: true,
        took_us: dice.about(1_400_000.0, 0.3) as u64,
        first_token_us: Some(dice.about(350_000.0, 0.2) as u64),
        cost_pico: Some((usd * 1e12) as u64),
        output_chars: Some(chars as u64),
        output_words: Some((chars / 6.0) as u64),
        json_valid: Some(json),
        ..Side::default()
    })
}

/// A candidate that is 38 % cheaper, 21 % longer, fails some JSON, and is liked by its judge.
pub(crate) fn records() -> Vec<Record> {
    let mut dice = Dice(42);
    let start = now_us() - 3_600_000_000;
    let mut all: Vec<Record> = (0..PAIRS).flat_map(|at| pair(&mut dice, at, start + at)).collect();
    let others = [
        (ShadowOutcome::SampledOut, 7000, None),
        (ShadowOutcome::Stateful, 60, None),
        (ShadowOutcome::Error, 9, Some("<script>alert('x')</script>")),
        (ShadowOutcome::CannotTranslate, 41, Some("logit_bias")),
    ];
    for (outcome, number, cause) in others {
        all.extend((0..number).map(|at| {
            let one = attempt(&format!("req_{outcome:?}_{at}"), start + 1000 + at, outcome);
            let primary = (outcome == ShadowOutcome::Error)
                .then(|| Box::new(Side { ok: true, took_us: 1_400_000, ..Side::default() }));
            Record::Shadow(Box::new(Attempt { cause: cause.map(Box::from), primary, ..one }))
        }));
    }
    let last = format!("req_{}", PAIRS - 1);
    for (part, text) in [("answer", "The caller reads this."), ("shadow:sonnet", "The candidate said that.")]
    {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}]}}"#);
        all.push(Record::Body(Box::new(Body {
            request_id: last.clone(),
            part: part.into(),
            at_us: start + PAIRS,
            bytes: body.into(),
            cut: false,
        })));
    }
    all
}

/// A pair of one of 500 users, what the judge says of it, and sometimes what the user says.
fn pair(dice: &mut Dice, at: u64, at_us: u64) -> Vec<Record> {
    let id = format!("req_{at}");
    let chars = dice.about(900.0, 0.4);
    let longer = chars * dice.about(1.21, 0.15);
    let primary = side(dice, chars, chars * 2e-6, true);
    let fails = dice.next() < 0.1;
    let cheaper = dice.about(0.615, 0.1) * chars * 2e-6;
    let candidate = side(dice, longer, cheaper, !fails);
    let shadow = Record::Shadow(Box::new(Attempt {
        cost_pico: candidate.cost_pico,
        primary: Some(primary),
        candidate: Some(candidate),
        comparison: Some(Box::new(Comparison { similarity: Some(0.2 + 0.6 * dice.next()), tools: None })),
        ..attempt(&id, at_us, ShadowOutcome::Ok)
    }));
    let exposure = Record::Exposure(Box::new(Exposure {
        request_id: id.clone(),
        at_us,
        route: "r".into(),
        endpoint: "chat.completions".into(),
        user: Some(format!("user {}", at % 500).into()),
        served: "gpt-4o".into(),
        outcome: "ok".into(),
        ..Exposure::default()
    }));
    let score = match dice.next() {
        better if better < 0.6 => 1.0,
        equal if equal < 0.88 => 0.5,
        _ => 0.0,
    };
    let verdict = Record::Verdict(Box::new(Verdict {
        request_id: id.clone(),
        route: "r".into(),
        shadow: "sonnet".into(),
        judge: "fair".into(),
        at_us,
        caller_first: Some(score),
        candidate_first: Some(score),
        cost_pico: Some(2_000_000_000),
    }));
    let feedback = at.is_multiple_of(8).then(|| {
        Record::Feedback(Feedback {
            of: FeedbackOf::Request(id.into()),
            name: "thumbs".into(),
            value: f64::from(u8::from(!at.is_multiple_of(3))),
            client: "".into(),
            at_us,
            judge: None,
        })
    });
    [shadow, exposure, verdict].into_iter().chain(feedback).collect()
}

/// A gateway whose records hold them.
fn recorded(admin: &str, environment: &[(&str, &str)]) -> Dimmer {
    let folder = tempfile::tempdir().unwrap();
    let spec = RecordsSpec {
        place: RecordsPlace::Sqlite(folder.path().join("records.db")),
        user_ids: UserIds::Plain,
        bodies: Bodies::Shadow,
        body_max: 65536,
        retention: Duration::from_secs(30 * 24 * 3600),
        secret: None,
    };
    let metrics = Arc::new(Metrics::new().unwrap());
    let kept = dimmer::record::open(&spec, Hasher::keyed(b"not used").plain(), &metrics).unwrap();
    for record in records() {
        // The writing thread is slower than this one: when the queue is full, it is asked again.
        while !kept.recorder.put(record.clone()) {
            std::thread::yield_now();
        }
    }
    kept.close(Duration::from_secs(60));
    let config = listeners("")
        + admin
        + "[records]\nurl = \"sqlite:records.db\"\nuser_ids = \"plain\"\nbodies = \"shadow\"\n\
           [providers.mock]\ndialect = \"mock\"\n[models.m]\nprovider = \"mock\"\n[routes.r]\nmodel = \"m\"\n";
    std::fs::write(folder.path().join("routes.toml"), config).unwrap();
    Dimmer::start_in(folder, environment)
}

pub(crate) fn asked(dimmer: &Dimmer, path: &str, token: &str) -> Answer {
    let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{token}connection: close\r\n\r\n", dimmer.admin);
    let mut connection = Connection::open(dimmer.admin);
    connection.send(head.as_bytes());
    connection.answer("GET")
}

fn json(dimmer: &Dimmer, path: &str) -> Value {
    let answer = asked(dimmer, path, "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

pub(crate) fn command(dimmer: &Dimmer, arguments: &[&str]) -> String {
    let output = Command::new(DIMMER)
        .args(arguments)
        .env("DIMMER_ADMIN_URL", format!("http://{}", dimmer.admin))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The document as Chromium has it after its scripts have run.
fn browsed(dimmer: &Dimmer, path: &str) -> String {
    let prepared = clients().join("bin/chromium");
    let program = if prepared.exists() { prepared } else { PathBuf::from("chromium") };
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("http://{}{path}", dimmer.admin))
        .output()
        .expect("Chromium, which `make prepare` installs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_report_says_what_was_planted() {
    let dimmer = recorded("", &[]);
    let report = json(&dimmer, "/api/v1/shadow/r/sonnet?since=7d");
    let coverage = &report["coverage"];
    assert_eq!(
        (&coverage["eligible"], &coverage["sent"]),
        (&Value::from(PAIRS + 7110), &Value::from(PAIRS + 9))
    );
    assert_eq!(coverage["would_be_400"][0]["cause"], "logit_bias");
    let one = &report["comparisons"][0];
    assert_eq!(one["pairs"], PAIRS);
    // Of 500 users some share a bucket.
    assert!(one["units"].as_u64().is_some_and(|units| (440..=500).contains(&units)), "{}", one["units"]);
    let claims: Vec<&str> = one["measures"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["claim"] == true)
        .map(|one| one["measure"].as_str().unwrap())
        .collect();
    assert_eq!(claims, ["cost", "output_chars", "output_words", "json_valid", "preferred"]);
    let list = json(&dimmer, "/api/v1/shadow/r");
    assert_eq!(list["shadows"][0]["shadow"], "sonnet");

    let pairs = json(&dimmer, "/api/v1/shadow/r/sonnet/pairs?limit=2");
    assert_eq!(pairs["pairs"].as_array().unwrap().len(), 2);
    assert_eq!(pairs["pairs"][0]["primary"]["text"], "The caller reads this.");
    assert_eq!(pairs["pairs"][0]["candidate"]["text"], "The candidate said that.");
    assert_eq!(pairs["pairs"][1]["primary"].get("text"), None, "of this one no body is kept");

    let said = command(&dimmer, &["shadow", "r"]);
    assert!(said.contains("% cheaper ["), "{said}");
    shown_in_the_docs(&said);
    let said = command(&dimmer, &["shadow", "r", "sonnet", "--pairs", "--limit", "1"]);
    assert!(
        said.contains("│ The caller reads this.") && said.contains("│ The candidate said that."),
        "{said}"
    );
    let said = command(&dimmer, &["shadow", "r", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["shadow"], "sonnet");
}

/// The page's example is what is printed, but for the times.
fn shown_in_the_docs(said: &str) {
    let page = std::fs::read_to_string(root().join("docs/shadow-report.md")).unwrap();
    let block = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let missing: Vec<&str> =
        block.lines().filter(|line| !line.contains('…') && !said.lines().any(|told| told == *line)).collect();
    assert!(missing.is_empty(), "docs/shadow-report.md shows {missing:#?}, the command printed\n{said}");
}

#[test]
fn slips_are_told() {
    let dimmer = recorded("", &[]);
    let check = |path: &str, status: u16, part: &str| {
        let answer = asked(&dimmer, path, "");
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
    };
    check("/api/v1/shadow/nothing/sonnet", 404, "there are r");
    check("/api/v1/shadow/r/sonnet?since=yesterday", 400, "such as 7d");
    check("/api/v1/shadow/r/sonnet/pairs?limit=x", 400, "whole number");
    check("/api/v1/shadow/r/other", 200, "no request could have been copied");
    check("/api/v1/shadow/r/sonnet?since=2099-01-01T00:00:00Z", 200, "no request could have been copied");
    check("/shadow/r", 404, "/shadow/ROUTE/NAME");
}

#[test]
fn a_browser_shows_it() {
    let dimmer = recorded("", &[]);
    for page in ["/api/v1/shadow/r/sonnet/report.html", "/shadow/r/sonnet"] {
        let shown = browsed(&dimmer, page);
        for part in
            ["claude-sonnet-4-6", "% cheaper [", "% longer [", "Coverage", "logit_bias", "<svg", "812"]
        {
            // The frame's content stands escaped in its attribute.
            let escaped = part.replace('<', "&lt;");
            assert!(shown.contains(part) || shown.contains(&escaped), "{page} lacks {part}: {shown}");
        }
        assert!(!shown.contains("<script>alert"), "{page}");
    }
    let head = asked(&dimmer, "/api/v1/shadow/r/sonnet/report.html", "");
    let policy = head.header("content-security-policy").unwrap_or_default().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
}

#[test]
fn where_tokens_are_wanted_the_page_asks_for_one() {
    let admin = "tokens = [{ name = \"eve\", role = \"viewer\", token = \"${VIEWER}\" }]\n";
    let dimmer = recorded(admin, &[("VIEWER", "a-viewer-token-that-is-long-enough")]);
    assert_eq!(asked(&dimmer, "/api/v1/shadow/r/sonnet/report.html", "").status, 401);
    let shown = browsed(&dimmer, "/shadow/r/sonnet");
    assert!(shown.contains("wants a token of admin.tokens") && !shown.contains("cheaper"), "{shown}");
    // Texts are for operators.
    let token = "authorization: Bearer a-viewer-token-that-is-long-enough\r\n";
    let pairs = asked(&dimmer, "/api/v1/shadow/r/sonnet/pairs?limit=1", token).text();
    assert!(pairs.contains("role operator only") && !pairs.contains("The caller reads"), "{pairs}");
    assert_eq!(asked(&dimmer, "/api/v1/shadow/r/sonnet/report.html", token).status, 200);
}

/// Where a screenshot is wanted: `SCREENSHOT=/tmp/report.png cargo test --test it -- shadow_report::screenshot`.
#[test]
fn screenshot() {
    let Some(file) = std::env::var_os("SCREENSHOT") else { return };
    let dimmer = recorded("", &[]);
    let mut chromium = Command::new("chromium");
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1100,2600",
        "--virtual-time-budget=20000",
    ]);
    chromium.arg(format!("--screenshot={}", Path::new(&file).display()));
    assert!(chromium.arg(format!("http://{}/shadow/r/sonnet", dimmer.admin)).status().unwrap().success());
    std::fs::write(Path::new(&file).with_extension("txt"), command(&dimmer, &["shadow", "r"])).unwrap();
    std::fs::write(
        Path::new(&file).with_extension("html"),
        asked(&dimmer, "/api/v1/shadow/r/sonnet/report.html", "").text(),
    )
    .unwrap();
}
