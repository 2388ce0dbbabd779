//! The commands that only read, through their real entry points.

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::check::{self, CheckArgs};
use crate::cli::schema::{self, SchemaArgs};
use crate::config::ProcessEnvironment;

const ENV: ProcessEnvironment = ProcessEnvironment { now_s: 1_795_132_800 };

fn check(file: &Path, strict: bool, json: bool) -> (ExitCode, String) {
    let mut out = Vec::new();
    let code = check::run(&CheckArgs { file: file.to_owned(), strict, json }, &ENV, &mut out);
    (code, String::from_utf8(out).unwrap())
}

fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("routes.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

const WARNED: &str = r#"
[providers.sim]
dialect = "mock"
[models.a]
provider = "sim"
[flags.unused]
owner = "me"
permanent = true
default = "x"
[routes.default]
"#;

#[test]
fn a_good_file_is_summed_up() {
    let (code, out) = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.toml"), true, false);
    assert_eq!(code, ExitCode::SUCCESS);
    for line in [
        "routes.toml: ok",
        "route assistant: http://127.0.0.1:8080/assistant/v1, model \"assistant\"",
        "  model          flag inference_model: gpt-4o | claude-sonnet-4-6",
        "  canary           10 % of callers: claude-sonnet-4-6",
        "  beta             50 % of callers for whom its `when` holds: claude-sonnet-4-6",
        "  abc              100 % of callers: concise 34 % | senior 33 % | mentor 33 %",
        "flag inference_model: assist-team, expires 2027-03-31",
    ] {
        assert!(out.contains(line), "{line}\n---\n{out}");
    }
}

#[test]
fn warnings_fail_only_under_strict() {
    let (_directory, path) = file(WARNED);
    assert_eq!(check(&path, false, false).0, ExitCode::SUCCESS);
    let (code, out) = check(&path, true, false);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(out.contains("routes.toml:6:8: flag \"unused\": no route uses it"), "{out}");
}

#[test]
fn errors_are_shown_with_their_lines() {
    let (_directory, path) = file(&WARNED.replace("provider = \"sim\"", "provider = \"sin\""));
    let (code, out) = check(&path, false, false);
    assert_eq!(code, ExitCode::FAILURE);
    let expected = "5 | provider = \"sin\"\n  |            ^^^^^\n\n1 error\n";
    assert!(out.ends_with(expected), "{out}");
}

#[test]
fn json_says_the_same() {
    let (_directory, path) = file(&WARNED.replace("provider = \"sim\"", "provider = \"sin\""));
    let errors: Value = serde_json::from_str(&check(&path, false, true).1).unwrap();
    assert_eq!(errors["ok"], false);
    assert_eq!(errors["errors"][0]["line"], 5);
    assert_eq!(errors["errors"][0]["column"], 12);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.toml");
    let good: Value = serde_json::from_str(&check(&root, false, true).1).unwrap();
    assert_eq!(good["ok"], true);
    let canary = &good["flags"][1]["rules"][2];
    assert_eq!(canary["rule"], "canary");
    assert_eq!(canary["effective_percent"], 10.0);
    assert_eq!(canary["serves"]["claude-sonnet-4-6"], 100.0);
}

#[test]
fn a_missing_file_is_an_error_and_no_panic() {
    let (code, out) = check(Path::new("/nowhere/routes.toml"), false, false);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(out.starts_with("/nowhere/routes.toml: cannot be read: "), "{out}");
}

#[test]
fn the_schema_is_printed_as_json_or_as_a_page() {
    let mut out = Vec::new();
    assert_eq!(schema::run(&SchemaArgs { markdown: false }, &mut out), ExitCode::SUCCESS);
    let schema: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    out.clear();
    assert_eq!(schema::run(&SchemaArgs { markdown: true }, &mut out), ExitCode::SUCCESS);
    assert!(out.starts_with(b"# Every key of routes.toml"));
}
