//! The commands that only read, through their real entry points.

use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use serde_json::Value;

use crate::cli::Arguments;
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

/// Between what is written by hand and what is made.
const MADE: &str = "<!-- What follows is made: UPDATE_DOCS=1 cargo test --lib docs_ -->\n";

/// The help of every command, as a terminal of a hundred columns shows it.
fn reference() -> String {
    let mut root = Arguments::command().term_width(100);
    root.build();
    let mut page = String::from(MADE);
    help_of(&mut root, &mut page);
    page
}

fn help_of(command: &mut Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or("dimmer").to_owned();
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n")));
    for one in command.get_subcommands_mut().filter(|one| one.get_name() != "help") {
        help_of(one, page);
    }
}

/// `UPDATE_DOCS=1 cargo test --lib docs_` writes the page.
#[test]
fn docs_have_the_help_of_every_command() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (by_hand, _) = page.split_once(MADE).unwrap();
    let made = format!("{by_hand}{}", reference());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == made,
        "docs/cli.md is not what --help says: run UPDATE_DOCS=1 cargo test --lib docs_"
    );
}

/// Every command that reads can be read by a program, and every one that asks a gateway can be told which.
#[test]
fn readers_have_json_and_askers_an_address() {
    let root = Arguments::command();
    let has = |path: &[&str], option: &str| {
        let command = path.iter().fold(&root, |command, name| command.find_subcommand(name).unwrap());
        command.get_arguments().any(|argument| argument.get_long() == Some(option))
    };
    let readers: &[&[&str]] = &[
        &["check"],
        &["explain"],
        &["flags"],
        &["kills"],
        &["rollbacks"],
        &["breakers"],
        &["impact"],
        &["adoption"],
        &["hygiene"],
        &["audit"],
        &["config"],
    ];
    for reader in readers {
        assert!(has(reader, "json"), "{reader:?}");
    }
    let changers: &[&[&str]] = &[
        &["kill"],
        &["revive"],
        &["rollback"],
        &["flags", "set"],
        &["flags", "reset"],
        &["flags", "export"],
        &["breakers", "reset"],
        &["webhooks", "test"],
        &["healthcheck"],
    ];
    for asker in readers.iter().chain(changers).filter(|command| **command != ["check"]) {
        assert!(has(asker, "admin") && has(asker, "token-file") && !has(asker, "token"), "{asker:?}");
    }
}
