//! Over whom it is counted: what was not noted is said, and what was is nowhere but in memory.

use std::path::Path;

use dimmer::flags::{bucket, salt_seed};
use serde_json::{Value, json};

use super::{CONFIG, USERS, ask, flag, lines, plan, start, user};
use crate::admin::call;
use crate::harness::{Dimmer, listeners, request};

fn config() -> String {
    listeners("workers = 1") + CONFIG
}

/// A rule that looks at what no rule looked at before.
fn at_the_company() -> String {
    config().replace(
        "[[flags.heat.rules]]",
        "[[flags.heat.rules]]\nname = \"acme\"\nwhen = { company = \"company-1\" }\npercent = 40\nserve = 0.9\n[[flags.heat.rules]]",
    )
}

#[test]
fn what_was_not_noted_is_open_and_nothing_is_guessed() {
    let dimmer = start();
    ask(&dimmer, USERS);
    let planned = plan(&dimmer, &at_the_company());
    // Whoever is in the first 40 % may be at the company or not; the others get what they had.
    let within = |number: &usize| bucket(salt_seed("heat"), &user(*number)) < 400_000;
    let open = (0..USERS).filter(within).count();
    let of = flag(&planned, "heat");
    assert_eq!((&of["users"], &of["moved"]), (&json!(USERS), &json!(0)), "{of:#}");
    assert_eq!(of["open"][0]["users"], open, "{of:#}");
    let why = of["open"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("rule `acme` looks at company, which was not noted"), "{why}");
    assert!(lines(&planned, "notes").contains("looks at company: it was noted of nobody"), "{planned:#}");
    // Once it serves it is noted, of those who ask from then on.
    dimmer.reload_and_wait(&at_the_company());
    let given = ask(&dimmer, USERS);
    let planned = plan(&dimmer, &config());
    let of = flag(&planned, "heat");
    assert_eq!(of["open"], json!([]), "{of:#}");
    let taken =
        given.iter().filter(|given| given.get("heat").is_some_and(|variant| variant == "0.9")).count();
    let moved: u64 = of["moves"].as_array().unwrap().iter().map(|one| one["users"].as_u64().unwrap()).sum();
    assert_eq!(moved, taken as u64, "{of:#}");
}

#[test]
fn a_rule_by_the_request_gives_no_user_a_variant() {
    let dimmer = start();
    ask(&dimmer, 50);
    let toml = config().replace("percent = 25\n", "percent = 25\nby = \"request\"\n");
    let planned = plan(&dimmer, &toml);
    let of = flag(&planned, "heat");
    // Testers are not asked by the rule: they keep what they have.
    assert_eq!((&of["moved"], &of["open"][0]["users"]), (&json!(0), &json!(40)), "{of:#}");
    assert!(of["open"][0]["why"].as_str().unwrap().contains("draws anew for each request"), "{of:#}");
}

#[test]
fn no_answer_names_anybody() {
    let dimmer = start();
    ask(&dimmer, 60);
    let plans = [
        plan(&dimmer, &config().replace("percent = 20\n", "percent = 90\n")),
        plan(&dimmer, &at_the_company()),
        call(&dimmer, "POST", "/flags/prompt/rules/abc/preview", &json!({ "percent": 100 })).json(),
    ];
    for plan in plans {
        let text = plan.to_string();
        for of_a_user in ["someone", "example.com", "company-0"] {
            assert!(!text.contains(of_a_user), "{of_a_user} in {text}");
        }
    }
    let moved = plan(&dimmer, &config().replace("percent = 20\n", "percent = 90\n"));
    let example = flag(&moved, "model")["moves"][0]["example"].as_str().unwrap().to_owned();
    assert!(example.starts_with("route r, tier "), "{example}");
}

#[test]
fn who_is_forgotten_is_not_counted() {
    let dimmer = start();
    ask(&dimmer, 10);
    let seen = |toml: &str| plan(&dimmer, toml)["seen"]["users"].clone();
    assert_eq!(seen(&config()), 10);
    let forgotten =
        call(&dimmer, "POST", "/records/forget", &json!({ "user": user(3), "reason": "asked to" }));
    assert_eq!(forgotten.status, 200, "{}", forgotten.text());
    assert_eq!(seen(&config()), 9);
}

/// Every file below a folder that has these bytes in it.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        if memchr::memmem::find(&bytes, text.as_bytes()).is_some() {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

#[test]
fn it_is_in_memory_only_and_ends_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let state = format!(
        "[state]\nurl = \"sqlite:{0}/state.db\"\n[records]\nurl = \"sqlite:{0}/records.db\"\n",
        folder.path().display()
    );
    let mut dimmer = Dimmer::start(&(config() + &state));
    ask(&dimmer, 20);
    let first = plan(&dimmer, &(config() + &state));
    assert_eq!(first["seen"]["users"], 20);
    assert!(dimmer.terminate().success());
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert!(left >= 2, "the state and the records are there");
    assert_eq!(holding(folder.path(), "someone-1"), Vec::<String>::new(), "no id came to the disk");
    assert_eq!(holding(folder.path(), "company-1"), Vec::<String>::new());
    drop(dimmer);
    let dimmer = Dimmer::start(&(config() + &state));
    let second = plan(&dimmer, &(config() + &state).replace("percent = 20\n", "percent = 90\n"));
    assert_eq!(second["seen"]["users"], 0);
    assert!(second["seen"]["since"].as_str() > first["seen"]["since"].as_str(), "{second:#}");
    let notes = lines(&second, "notes");
    assert!(notes.contains("nobody was counted: no user with a targeting key was seen since"), "{notes}");
    assert!(lines(&second, "changes").contains("was 20, is 90"), "the files are compared all the same");
}

#[test]
fn without_records_nobody_is_noted() {
    let dimmer = Dimmer::start(&(config() + "[records]\nurl = \"none\"\n"));
    ask(&dimmer, 5);
    let planned = plan(
        &dimmer,
        &(config().replace("percent = 20\n", "percent = 90\n") + "[records]\nurl = \"none\"\n"),
    );
    assert_eq!((&planned["ok"], &planned["seen"]["users"]), (&json!(true), &json!(0)));
    assert!(lines(&planned, "notes").contains("without records"), "{planned:#}");
    let preview =
        call(&dimmer, "POST", "/flags/model/rules/canary/preview", &json!({ "percent": 25 })).json();
    assert_eq!((&preview["seen"], &preview["moves"]), (&json!(0), &json!([])));
    assert!(preview["notes"][0].as_str().unwrap().contains("without records"), "{preview:#}");
}

#[test]
fn who_has_no_key_is_no_user() {
    let dimmer = start();
    let body = r#"{"model":"old","messages":[{"role":"user","content":"Hello."}]}"#;
    let headers = "content-type: application/json\r\nx-user-tier: pro\r\n";
    for _ in 0..3 {
        let answer = request(dimmer.data, "POST", "/r/v1/chat/completions", headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let lists = request(dimmer.data, "GET", "/r/v1/models", "x-user-id: someone\r\n", b"");
    assert_ne!(lists.status, 0);
    let planned: Value = plan(&dimmer, &config());
    assert_eq!(planned["seen"]["users"], 0, "neither they nor calls that generate nothing");
}
