//! The commands as a person or a script meets them: what they print, where, and with which exit code.

mod command_names;
mod durable;
mod fake;
mod faults;
mod gateway;
mod killed;
mod shown;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::clients::root;
use crate::harness::{DIMMER, post_json};
use crate::upstreams::Api;

/// What a command said and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs a command in a folder, without any key in its environment.
fn run(folder: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(DIMMER)
        .args(arguments)
        .current_dir(folder)
        .env_remove("OPENAI_API_KEY")
        .env("PRESENT", "a-secret-that-nobody-may-see")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with this routes.toml.
fn folder(toml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routes.toml"), toml).unwrap();
    folder
}

/// Runs a command beside this routes.toml: its exit code, and what it must have said on either stream.
fn check(toml: &str, arguments: &[&str], code: i32, parts: &[&str]) -> Said {
    let folder = folder(toml);
    let said = run(folder.path(), arguments);
    assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
    for part in parts {
        assert!(
            said.out.contains(part) || said.err.contains(part),
            "{arguments:?}: no {part:?} in {said:#?}"
        );
    }
    assert!(!said.err.contains("panicked"), "{arguments:?}: {}", said.err);
    said
}

const GOOD: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[context.attributes]
tier = { from = "header:x-user-tier", order = ["free", "pro"] }
beta = { from = "header:x-beta", type = "bool" }
age = { from = "header:x-age", type = "number" }
[providers.sim]
dialect = "mock"
[models.fast]
provider = "sim"
mock = { words = 5, first_token = "0s", per_token = "0s" }
[models.slow]
provider = "sim"
mock = { words = 5, first_token = "0s", per_token = "0s" }
[prompts.short]
text = "Be short."
[replies.sorry]
text = "Resting."
[flags.on]
owner = "o"
permanent = true
default = true
[[flags.on.rules]]
name = "nobody-named-eve"
when = { targeting_key = "eve" }
serve = false
[flags.which]
owner = "o"
permanent = true
variants = { old = "fast", new = "slow" }
default = "old"
[[flags.which.rules]]
name = "pro"
when = { tier = "pro" }
percent = 50
serve = "new"
[[flags.which.rules]]
name = "beta"
when = { beta = true, age = { gte = 30 } }
serve = "new"
[routes.r]
path = "/r"
enabled.flag = "on"
model.flag = "which"
system_prompt = "short"
fallback = ["sorry"]
[routes.free]
path = "/free"
"#;

#[test]
fn check_takes_a_good_file() {
    let said = check(GOOD, &["check"], 0, &["routes.toml: ok", "route r", "flag which"]);
    assert_eq!(said.err, "", "nothing is wrong");
    let said = check(GOOD, &["check", "--json", "routes.toml"], 0, &[]);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["ok"], &json["errors"]), (&true.into(), &Value::Array(Vec::new())));
    check(GOOD, &["check", "--strict"], 0, &["ok"]);
    let own = root().join("routes.toml");
    assert_eq!(run(root(), &["check", "--strict"]).code, Some(0));
    check("", &["check", own.to_str().unwrap()], 0, &["ok"]);
}

/// One mistake in many lines. Behind each: where it is, and what helps.
const BAD: &str = r#"[server]
lisen = "127.0.0.1:0"
drain = 30
[providers.p]
dialect = "opanai"
[providers.q]
dialect = "openai"
api_key = "sk-literally-here"
[providers.s]
dialect = "openai"
api_key = "${NOT_SET_ANYWHERE}"
[models.gpt-4o]
provider = "q"
allow = { any = [] }
[models.n]
provider = "nobody"
[flags.f]
owner = "o"
default = "n"
[[flags.f.rules]]
name = "r"
percent = 101
serve = "gpt-4"
[routes.r]
path = "/r"
provider = "q"
model.flag = "f"
breaker = "standard"
[flag_sources]
"#;

const WRONG: &[(&str, &[&str])] = &[
    ("2:1", &["lisen", "did you mean", "listen"]),
    ("3:9", &["drain", "\"30s\""]),
    ("5:11", &["opanai", "openai"]),
    ("8:11", &["api_key", "${"]),
    ("11:11", &["NOT_SET_ANYWHERE"]),
    ("14:17", &["allow", "any"]),
    ("16:12", &["nobody"]),
    ("17:8", &["expires", "permanent"]),
    ("22:11", &["101", "100"]),
    ("23:9", &["gpt-4", "did you mean \"gpt-4o\"?"]),
    ("28:11", &["breaker", "standard", "no breaker"]),
    ("29:2", &["flag_sources", "not built yet"]),
];

#[test]
fn check_reports_every_mistake_at_its_place_with_its_remedy() {
    let said = check(BAD, &["check"], 1, &[]);
    for (place, parts) in WRONG {
        let line = said.out.lines().find(|line| line.starts_with(&format!("routes.toml:{place}: ")));
        let line = line.unwrap_or_else(|| panic!("nothing at {place} in {}", said.out));
        for part in *parts {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
    }
    assert!(said.out.contains(&format!("{} errors", WRONG.len())), "{}", said.out);
    assert!(!said.out.contains("sk-literally-here"), "a secret by mistake is one still: {}", said.out);
    let json: Value = serde_json::from_str(&check(BAD, &["check", "--json"], 1, &[]).out).unwrap();
    let places = json["errors"].as_array().unwrap().iter();
    let mut places: Vec<String> =
        places.map(|error| format!("{}:{}", error["line"], error["column"])).collect();
    places.sort();
    let mut expected: Vec<&str> = WRONG.iter().map(|(place, _)| *place).collect();
    expected.sort_unstable();
    assert_eq!(
        (&json["ok"], places),
        (&false.into(), expected.iter().map(|place| (*place).to_owned()).collect())
    );
    assert!(!json.to_string().contains("sk-literally-here"));
}

#[test]
fn check_tells_what_is_no_toml_and_what_is_not_there() {
    check("[server\n", &["check"], 1, &["routes.toml:1:"]);
    check("a = 1\na = 2\n", &["check"], 1, &["routes.toml:2:1"]);
    check("[server]\n[server]\n", &["check"], 1, &["routes.toml:2:"]);
    check("", &["check"], 1, &["routes.toml", "provider"]);
    check(GOOD, &["check", "elsewhere.toml"], 1, &["elsewhere.toml"]);
    check(GOOD, &["check", "."], 1, &["."]);
}

#[test]
fn warnings_fail_only_where_that_is_asked_for() {
    let warned = format!("{GOOD}[flags.idle]\nowner = \"o\"\npermanent = true\ndefault = \"fast\"\n");
    check(&warned, &["check"], 0, &["warning", "idle"]);
    check(&warned, &["check", "--strict"], 1, &["idle"]);
    let json: Value = serde_json::from_str(&check(&warned, &["check", "--json"], 0, &[]).out).unwrap();
    assert!(json["warnings"][0].as_str().unwrap().contains("idle"), "{json}");
    let expired =
        warned.replace("permanent = true\ndefault = \"fast\"", "expires = 2020-01-01\ndefault = \"fast\"");
    check(&expired, &["check"], 0, &["warning", "2020-01-01"]);
}

const COMMANDS: &[&str] = &[
    "serve",
    "check",
    "explain",
    "flags",
    "kill",
    "revive",
    "kills",
    "rollback",
    "rollbacks",
    "breakers",
    "shadow",
    "audit",
    "webhooks",
    "config",
    "healthcheck",
    "mock",
    "schema",
    "completions",
];

#[test]
fn help_names_every_command() {
    let help = check("", &["--help"], 0, &[]);
    for command in COMMANDS.iter().copied() {
        assert!(
            help.out.lines().any(|line| line.trim_start().starts_with(command)),
            "{command}: {}",
            help.out
        );
        let own = check("", &[command, "--help"], 0, &["Usage:", command]);
        assert_eq!(own.err, "");
    }
    check("", &["--version"], 0, &[concat!("dimmer ", env!("CARGO_PKG_VERSION"))]);
    check("", &["help"], 0, &["serve"]);
    for wrong in
        [&["chekc"][..], &["check", "--jsno"], &["serve", "--config"], &["explain"], &["completions"]]
    {
        let said = check(GOOD, wrong, 2, &[]);
        assert_eq!(said.out, "");
        assert!(!said.err.is_empty(), "{wrong:?}");
    }
    check("", &["chekc"], 2, &["check"]);
}

#[test]
fn schema_and_completions_are_for_programs() {
    let schema: Value = serde_json::from_str(&check("", &["schema"], 0, &[]).out).unwrap();
    for table in ["server", "admin", "clients", "context", "providers", "models", "flags", "routes"] {
        assert!(schema["properties"][table].is_object(), "{table}");
    }
    for shell in ["bash", "zsh", "fish"] {
        check("", &["completions", shell], 0, &["dimmer", "explain", "strict"]);
    }
    let bash = check("", &["completions", "bash"], 0, &[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bash.out).unwrap();
    assert!(Command::new("bash").arg("-n").arg(file.path()).status().unwrap().success());
    check("", &["completions", "tcsh"], 2, &["bash"]);
}

/// Explains from the file.
const EXPLAIN: &[&str] = &["explain", "--config", "routes.toml"];

fn explained(arguments: &[&str]) -> Value {
    let said = check(GOOD, &[EXPLAIN, &["--json"], arguments].concat(), 0, &[]);
    assert_eq!(said.err, "");
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn explain_tells_scripts_what_is_served_and_why() {
    // Any user whom the half takes.
    let taken = (0..).map(|n| format!("u{n}")).find(|user| {
        let said = explained(&["--route", "r", "--user", user, "--attr", "tier=pro"]);
        said["flags"][1]["reason"] == "SPLIT"
    });
    let taken = taken.unwrap();
    let said = explained(&["--route", "r", "--user", &taken, "--attr", "tier=pro"]);
    let names = |value: &Value| {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&said), "fallback flags model reply route why");
    assert_eq!(names(&said["flags"][0]), "bucket error flag reason rule value variant");
    assert_eq!((&said["route"], &said["model"], &said["reply"]), (&"r".into(), &"slow".into(), &Value::Null));
    let which = &said["flags"][1];
    assert_eq!(
        (&which["flag"], &which["variant"], &which["value"]),
        (&"which".into(), &"new".into(), &"slow".into())
    );
    assert_eq!((&which["rule"], &which["error"]), (&"pro".into(), &Value::Null));
    assert!(which["bucket"].as_u64().unwrap() < 500_000, "{said}");
    assert!(
        said["why"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("pro")),
        "{said}"
    );

    for (arguments, model, variant, reason, rule) in [
        (&["--user", "x"][..], "fast", "old", "DEFAULT", Value::Null),
        (
            &["--user", "x", "--attr", "beta=true", "--attr", "age=30"],
            "slow",
            "new",
            "TARGETING_MATCH",
            "beta".into(),
        ),
        (&["--attr", "beta=true", "--attr", "age=29.5"], "fast", "old", "DEFAULT", Value::Null),
        (&["--attr", "tier=pro"], "fast", "old", "ERROR", Value::Null),
        (&["--attr", "tier=pro", "--dialect", "anthropic"], "fast", "old", "ERROR", Value::Null),
    ] {
        let said = explained(&[&["--route", "r"], arguments].concat());
        let which = &said["flags"][1];
        assert_eq!(said["model"], model, "{arguments:?}");
        assert_eq!((&which["variant"], &which["reason"]), (&variant.into(), &reason.into()), "{arguments:?}");
        assert_eq!(which["rule"], rule, "{arguments:?}");
        let error = if reason == "ERROR" { "TARGETING_KEY_MISSING".into() } else { Value::Null };
        assert_eq!(which["error"], error, "{arguments:?}");
    }
    let off = explained(&["--route", "r", "--user", "eve"]);
    assert_eq!(
        (&off["model"], &off["reply"], &off["fallback"]),
        (&Value::Null, &"sorry".into(), &"killed".into())
    );
    let own = explained(&["--route", "free", "--user", "x", "--model", "slow"]);
    assert_eq!((&own["model"], &own["flags"]), (&"slow".into(), &Value::Array(Vec::new())));
}

#[test]
fn explain_tells_people_too() {
    let arguments =
        [EXPLAIN, &["--route", "r", "--user", "x", "--attr", "beta=true", "--attr", "age=31"]].concat();
    check(GOOD, &arguments, 0, &["slow", "which = new", "TARGETING_MATCH", "rule beta"]);
    check(GOOD, &[EXPLAIN, &["--route", "r", "--user", "eve"]].concat(), 0, &["sorry", "on = false"]);
    for (arguments, parts) in [
        (&["--route", "nope"][..], &["`nope`", "free, r"][..]),
        (&["--route", "r", "--attr", "teir=pro"], &["teir", "tier"]),
        (&["--route", "r", "--attr", "tier"], &["NAME=VALUE"]),
        (&["--route", "r", "--attr", "tier=gold"], &["free, pro"]),
        (&["--route", "r", "--attr", "beta=yes"], &["true or false"]),
        (&["--route", "r", "--attr", "age=old"], &["a number"]),
    ] {
        let said = check(GOOD, &[EXPLAIN, arguments].concat(), 1, parts);
        assert_eq!(said.out, "", "{arguments:?}");
    }
    check(BAD, &[EXPLAIN, &["--route", "r"]].concat(), 1, &["routes.toml:2:1"]);
}

#[test]
fn explain_needs_no_word_about_a_dialect_where_there_is_only_one() {
    let anthropic = GOOD.replace("dialect = \"mock\"", "dialect = \"anthropic\"");
    let anthropic: Vec<&str> = anthropic.lines().filter(|line| !line.starts_with("mock =")).collect();
    for route in ["r", "free"] {
        let arguments = [EXPLAIN, &["--json", "--route", route, "--user", "x"]].concat();
        let said = check(&anthropic.join("\n"), &arguments, 0, &[]);
        let said: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(said["route"], route, "{said}");
    }
}

#[test]
fn explain_needs_no_model_where_the_app_chooses_one() {
    let declared = GOOD.replace("path = \"/free\"", "path = \"/free\"\nmodels = \"declared\"");
    let said = check(&declared, &[EXPLAIN, &["--json", "--route", "free", "--user", "x"]].concat(), 0, &[]);
    let said: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&said["route"], &said["model"]), (&"free".into(), &Value::Null), "{said}");
}

/// A command that runs until the test ends, and the lines that it prints.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(DIMMER)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The first line that holds this, and all before it; it must come.
    fn until(&mut self, part: &str) -> Vec<String> {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            seen.push(line.unwrap());
            if seen.last().unwrap().contains(part) {
                return seen;
            }
        }
        panic!("no {part:?} in {seen:#?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The address in `http://ADDRESS/…`.
fn address(line: &str) -> SocketAddr {
    line.split("http://").nth(1).unwrap().split(['/', ' ']).next().unwrap().parse().unwrap()
}

#[test]
fn the_simulated_provider_runs_alone() {
    let folder = folder(GOOD);
    let mut mock = Running::start(folder.path(), &["mock", "--port", "0"]);
    let at = address(mock.until("sim").last().unwrap());
    for api in Api::BOTH {
        for prefix in ["/sim", ""] {
            let body = api.ask(false).replace("m-1", "fast");
            let answer = post_json(at, &format!("{prefix}{}", api.path()), &body);
            assert_eq!(answer.status, 200, "{prefix} {}", answer.text());
            let text = match api {
                Api::Chat => answer.json()["choices"][0]["message"]["content"].clone(),
                Api::Messages => answer.json()["content"][0]["text"].clone(),
                Api::Responses | Api::Completions => continue,
            };
            assert!(!text.as_str().unwrap().is_empty(), "{}", answer.text());
        }
    }
    let none = GOOD.replace("dialect = \"mock\"", "dialect = \"openai\"");
    let none: Vec<&str> = none.lines().filter(|line| !line.starts_with("mock =")).collect();
    check(&none.join("\n"), &["mock"], 1, &["mock"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(GOOD, &["mock", "--port", &port], 1, &[&port]);
}

#[test]
fn without_arguments_it_serves_the_folders_routes() {
    let folder = folder(GOOD);
    let mut dimmer = Running::start(folder.path(), &[]);
    let said = dimmer.until("curl");
    let line = |name: &str| said.iter().find(|line| line.trim_start().starts_with(name)).unwrap();
    let (data, admin) = (address(line("data")), address(line("admin")));
    assert_eq!(crate::harness::get(admin, "/readyz").status, 200);
    assert!(said.iter().any(|line| line.contains("/r/v1")), "the base URLs are told: {said:#?}");
    // The line to paste works.
    let curl = said.last().unwrap();
    assert_eq!(address(curl), data);
    let target = curl.split(&format!("http://{data}")).nth(1).unwrap().split(' ').next().unwrap();
    let body = curl.split("-d '").nth(1).unwrap().trim_end().trim_end_matches('\'');
    let answer = post_json(data, target, body);
    assert_eq!((answer.status, answer.header("x-dimmer-route")), (200, Some("r")), "{}", answer.text());
}

#[test]
fn what_cannot_be_served_ends_with_a_clear_word() {
    let said = check(BAD, &["serve"], 1, &["routes.toml:2:1: ", "routes.toml:28:11: ", "did you mean"]);
    assert_eq!(said.out, "", "it serves nothing");
    assert!(!said.err.contains("sk-literally-here"));
    check(BAD, &[], 1, &["routes.toml:2:1: "]);
    check(GOOD, &["serve", "--config", "elsewhere.toml"], 1, &["elsewhere.toml"]);
    check("", &["serve"], 1, &["routes.toml"]);
    let empty = tempfile::tempdir().unwrap();
    let said = run(empty.path(), &[]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("routes.toml"), "{said:?}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("listen = \"{}\"", taken.local_addr().unwrap());
    let in_use = |table: &str| {
        GOOD.replace(&format!("[{table}]\nlisten = \"127.0.0.1:0\""), &format!("[{table}]\n{address}"))
    };
    for table in ["server", "admin"] {
        let port = taken.local_addr().unwrap().to_string();
        let said = check(&in_use(table), &["serve"], 1, &[&format!("{table}.listen"), &port, "in use"]);
        assert_eq!(said.out, "", "it says not that it listens");
    }
}
