//! A real Prometheus scrapes a gateway under traffic of every kind, with the rules loaded; a panel or a record without data fails.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::prometheus::{BETWEEN_LOOKS, Prometheus};
use super::{Query, level_of, queries, rules};
use crate::admin;
use crate::clients::clients;
use crate::harness::{Dimmer, get, wait_until};

/// Every panel must have data within this time; scrapes come each second, and a quarter of it is mostly enough.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn every_panel_and_every_record_has_data_of_a_busy_gateway() {
    let mut gateway = Dimmer::start_with(CONFIG, &[("ANOTHER_KEY", "sk-another-of-the-gateway")]);
    for line in ["a breaker", "the configuration is wrong"] {
        gateway.expect_log(line);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let encrypted = encrypted();
    let prometheus = Prometheus::start(directory.path(), &[gateway.admin, encrypted.admin], &rules::files());
    let of_rules =
        rules::recorded().into_iter().map(|name| Query { panel: "recorded".to_owned(), expr: name });
    let mut open: Vec<Query> = queries().into_iter().chain(of_rules).collect();
    admin::kill(&gateway, "route:off");
    let end = Instant::now() + PATIENCE;
    let mut round = 0;
    while !open.is_empty() && Instant::now() < end {
        traffic(gateway.data, round);
        thoughtful(gateway.data, round);
        operators(&gateway, round);
        round += 1;
        // In clear text, so that there are handshakes that fail.
        let _ = get(encrypted.data, "/v1/models");
        std::thread::park_timeout(BETWEEN_LOOKS);
        open.retain(|query| prometheus.series(&query.promql()).is_empty());
    }
    let scrape = get(gateway.admin, "/metrics").text();
    let of_tls = get(encrypted.admin, "/metrics").text();
    let scrape: String = scrape
        .lines()
        .chain(of_tls.lines().filter(|line| line.contains("dimmer_tls_")))
        .flat_map(|line| [line, "\n"])
        .collect();
    let empty: Vec<String> =
        open.iter().map(|query| format!("{}: {}", query.panel, query.promql())).collect();
    assert!(
        empty.is_empty(),
        "no data for {} queries:\n{}\n--- the scrape\n{scrape}",
        empty.len(),
        empty.join("\n")
    );
    the_page_tells_the_truth(&scrape);
    promtool_finds_nothing_to_mend(&scrape);
    rules_are_well(&prometheus);
}

/// None of them fails on real series, and what is recorded has the labels that its name says.
fn rules_are_well(prometheus: &Prometheus) {
    for rule in prometheus.rules() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    for name in rules::recorded() {
        for series in prometheus.series(&name) {
            assert_eq!(series.labels.into_iter().collect::<BTreeSet<_>>(), level_of(&name), "{name}");
        }
    }
}

/// What people do meanwhile: they kill and revive, move a percentage, and save a file with a mistake in it.
fn operators(gateway: &Dimmer, round: u32) {
    let successful = || gateway.metrics().metric("dimmer_config_last_reload_successful", &[]);
    if round.is_multiple_of(2) {
        admin::kill(gateway, "tool:never_sent");
    } else {
        admin::revive(gateway, "tool:never_sent");
    }
    let set = json!({ "percent": 50 + round % 2, "reason": "a test" });
    assert_eq!(admin::call(gateway, "PATCH", "/flags/size/rules/half", &set).status, 200);
    let taken = gateway.metrics().metric("dimmer_flag_rollout_ratio", &[("flag", "size"), ("rule", "half")]);
    assert_eq!(taken, f64::from(50 + round % 2) / 100.0, "the percentage that counts now");
    if round.is_multiple_of(2) {
        gateway.write_config("[routes.a]\nmistake = true\n");
        wait_until("the file is refused", || successful() == 0.0);
        gateway.write_config(CONFIG);
        wait_until("the file is taken", || successful() == 1.0);
    }
}

/// A gateway whose callers have to speak TLS.
fn encrypted() -> Dimmer {
    let folder = tempfile::tempdir().expect("a directory");
    let (cert, key) = crate::encrypted::pair();
    let listen = "listen = \"127.0.0.1:0\"\n";
    let config = CONFIG.replacen(listen, &format!("{listen}{}\n", crate::encrypted::TLS), 1);
    for (name, text) in [("cert.pem", cert), ("key.pem", key), ("routes.toml", config)] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    Dimmer::start_in(folder, &[("ANOTHER_KEY", "sk-another-of-the-gateway")])
}

/// docs/metrics.md and a busy gateway have the same metrics, of the same types, with the same labels.
fn the_page_tells_the_truth(scrape: &str) {
    let mut documented = super::documented_metrics();
    for line in scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        if !name.starts_with("dimmer_") {
            continue;
        }
        let metric = documented.remove(name).unwrap_or_else(|| panic!("docs/metrics.md has no {name}"));
        assert_eq!(metric.kind, kind, "the type of {name}");
        let suffix = if kind == "histogram" { "_sum" } else { "" };
        let series = format!("{name}{suffix}");
        let first = scrape
            .lines()
            .filter_map(|line| line.strip_prefix(&series))
            .find(|rest| rest.starts_with(['{', ' ']));
        let labels =
            first.and_then(|rest| rest.strip_prefix('{')?.split_once('}')).map_or("", |(labels, _)| labels);
        let labels =
            labels.split(',').filter_map(|label| label.split_once('=')).map(|(label, _)| label.to_owned());
        assert_eq!(metric.labels, labels.collect(), "the labels of {name}");
    }
    let never: Vec<&String> = documented.keys().collect();
    assert!(never.is_empty(), "a busy gateway never shows {never:?}");
}

/// Prometheus' own linter: base units, `_total`, help texts.
fn promtool_finds_nothing_to_mend(scrape: &str) {
    let mut child = Command::new(clients().join("bin/promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    child.stdin.take().expect("a pipe").write_all(scrape.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// One round: plain and streamed, with and without a user, one caller that leaves; each path by a caller of its own.
fn traffic(data: SocketAddr, round: u32) {
    let paths = [
        ("/a", false),
        ("/a", true),
        ("/b", false),
        ("/b", true),
        ("/c", false),
        ("/d", true),
        ("/e", true),
        ("/g", true),
        ("/h", false),
        ("/off", false),
    ];
    std::thread::scope(|callers| {
        for (path, stream) in paths {
            callers.spawn(move || (0..4).for_each(|user| ask(data, path, stream, round, user)));
        }
    });
}

fn ask(data: SocketAddr, path: &str, stream: bool, round: u32, user: u32) {
    // Simulated models answer the same request the same way: each question is another one.
    let question = format!("question {round} of {user}");
    let user =
        (user > 0).then(|| format!("x-user-id: user-{round}-{user}\r\nx-age: many\r\nx-shape: round\r\n"));
    let body = format!(
        r#"{{"model":"small","temperature":0.5,"stream":{stream},"messages":[{{"role":"user","content":"{question}"}}]}}"#
    );
    let head = format!(
        "POST {path}/v1/chat/completions HTTP/1.1\r\nhost: dimmer\r\nconnection: close\r\n{}content-type: \
         application/json\r\ncontent-length: {}\r\n\r\n",
        user.unwrap_or_default(),
        body.len()
    );
    let leaves = stream && path == "/b";
    send(data, &format!("{head}{body}"), leaves.then_some(200));
}

/// A conversation that begins with one model, and that the flags then give to another, with that one's thoughts in it.
fn thoughtful(data: SocketAddr, round: u32) {
    let thought = r#"{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"text","text":"a"}"#;
    for (shape, more) in [
        ("square", String::new()),
        (
            "round",
            format!(r#",{{"role":"assistant","content":[{thought}]}},{{"role":"user","content":"r"}}"#),
        ),
    ] {
        let body = format!(
            r#"{{"model":"small","max_tokens":64,"messages":[{{"role":"user","content":"q {round}"}}{more}]}}"#
        );
        let head = format!(
            "POST /f/v1/messages HTTP/1.1\r\nhost: dimmer\r\nconnection: close\r\nx-session-id: s-{round}\r\nx-shape: \
             {shape}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        send(data, &format!("{head}{body}"), None);
    }
    let said = format!(r#"{{"conversation":"s-{round}","name":"thumbs","value":0.5}}"#);
    let head = format!(
        "POST /dimmer/v1/feedback HTTP/1.1\r\nhost: dimmer\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        said.len()
    );
    send(data, &format!("{head}{said}"), None);
}

/// Sends a request and reads its answer: whole, or at most `bytes` of it before it hangs up.
fn send(to: SocketAddr, request: &str, bytes: Option<u64>) -> String {
    let mut socket = TcpStream::connect(to).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    // A simulated provider that breaks its streams resets the connection: what came until then counts.
    let _reset = socket.take(bytes.unwrap_or(u64::MAX)).read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"

[feedback.thumbs]
better = "higher"
[context]
targeting_key = ["header:x-user-id"]
[context.attributes]
age = { from = "header:x-age", type = "number" }
shape = { from = "header:x-shape" }

[providers.sim]
dialect = "mock"
[providers.keyed]
dialect = "openai"
base_url = "http://127.0.0.1:9/v1"
api_keys = ["${TEST_KEY}", "${ANOTHER_KEY}"]

[models.small]
provider = "sim"
price = { input = 1.0, output = 2.0 }
mock = { words = 20, first_token = "1ms", per_token = "1ms", errors = "20%", cuts = "30%" }
[models.large]
provider = "sim"
fit = { drop = ["temperature"] }
mock = { words = 200, first_token = "1ms", per_token = "2ms" }
[models.guarded]
provider = "sim"
allow = { shape = "square" }

[prompts.plain]
text = "Be plain."
[prompts.broken]
text = "{% if shape %}{{ shape.of.what }}{% endif %}"

[flags.size]
owner = "tests"
expires = 2099-01-01
default = "small"
[[flags.size.rules]]
name = "half"
percent = 50
serve = "large"

[flags.tone]
owner = "tests"
permanent = true
default = "plain"
[[flags.tone.rules]]
name = "half"
percent = 50
serve = "broken"

[routes.a]
path = "/a"
provider = "sim"
model.flag = "size"
system_prompt.flag = "tone"
[[routes.a.shadow]]
name = "cheap"
model = "small"
params = { max_tokens = 100 }
percent = 50
budget = { usd_per_day = 1000.0 }
[[routes.a.shadow]]
name = "broke"
model = "small"
params = { max_tokens = 90 }
percent = 50
budget = { usd_per_day = 0.000001 }
[judges.never_reads]
model = "small"
rubric = "Which is better?"
[routes.b]
path = "/b"
provider = "sim"
model = "large"
system_prompt = "broken"
[routes.c]
path = "/c"
provider = "sim"
model = "guarded"
fallback = ["large"]
[breakers.quick]
min_requests = 5
cooldown = "1s"
[breakers.quiet]
min_requests = 5
mode = "observe"
cooldown = "1s"
[routes.d]
path = "/d"
provider = "sim"
model = "small"
breaker = "quick"
[routes.e]
path = "/e"
provider = "sim"
model = "small"
breaker = "quiet"
[flags.swap]
owner = "tests"
permanent = true
default = "small"
rules = [{ name = "round", when = { shape = "round" }, serve = "large" }]
[routes.f]
path = "/f"
provider = "sim"
model.flag = "swap"
pin = "conversation"
[breakers.short]
max_output_chars = 100
[routes.g]
path = "/g"
provider = "sim"
model = "large"
breaker = "short"
[models.unreachable]
provider = "keyed"
[routes.h]
path = "/h"
provider = "sim"
model = "unreachable"
fallback = ["large"]
[routes.off]
path = "/off"
provider = "sim"
model = "small"
"#;
