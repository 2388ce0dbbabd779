//! Where secrets come from, and that they never come out again.

use super::environment::{BASE, check, env, loaded, parsed};
use crate::config::parse;

const PROVIDER: &str = "provider = \"sim\"\n[providers.o]\ndialect = \"openai\"\n";

#[test]
fn references_are_followed() {
    let config = loaded(&format!("{PROVIDER}api_key = \"${{KEY}}\"\n"));
    assert_eq!(config.providers[1].api_keys[0].reveal(), "sk-0123456789");
    assert_eq!(loaded(PROVIDER).providers[1].api_keys, []);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key"), "sk-from-file\r\n").unwrap();
    let text = format!("{BASE}{PROVIDER}api_key = \"file:key\"\n");
    let from_file = parse(&text, "f", directory.path(), &env()).unwrap();
    assert_eq!(from_file.providers[1].api_keys[0].reveal(), "sk-from-file");
    assert_eq!(
        from_file.watched.iter().map(|file| file.path()).collect::<Vec<_>>(),
        [directory.path().join("key")]
    );
}

#[test]
fn what_is_wrong_is_named_and_never_shown() {
    let key = |value: &str| format!("{PROVIDER}api_key = \"{value}\"\n");
    let literal = r#"4:11: provider "o": api_key: holds the secret itself: put it into an environment variable and write "${NAME}", or into a file and write "file:PATH""#;
    check(&key("sk-secret"), &[literal]);
    check(&key("Bearer ${KEY}"), &[literal]);
    check(&key("${sk-secret}"), &[literal]);
    check(&key("file:"), &[literal]);
    check(
        &key("${NOT_SET}"),
        &[
            r#"4:11: provider "o": api_key: the environment variable NOT_SET is not set: set it, or take the line out"#,
        ],
    );
    check(
        &key("${EMPTY}"),
        &[
            r#"4:11: provider "o": api_key: the environment variable EMPTY is not set: set it, or take the line out"#,
        ],
    );
    check(
        &key("${SPACED}"),
        &[
            r#"4:11: provider "o": api_key: SPACED has spaces, line ends or other characters that no key has: is it the right one?"#,
        ],
    );
    check(
        &key("file:nowhere"),
        &[
            r#"4:11: provider "o": api_key: the file nowhere cannot be read: No such file or directory (os error 2)"#,
        ],
    );
}

#[test]
fn no_form_of_an_error_shows_a_literal_secret() {
    for line in [
        "api_key = \"sk-secret\"",
        "api_key = 'sk-secret'",
        "api-key = \"sk-secret\"",
        "apikey = \"sk-secret\" x",
        "token = \"sk-secret",
        "base_url = \"https://user:sk-secret@host/v1\"",
        "api_key = [\"sk-secret\"]",
        "forward_client_key = \"sk-secret\"",
    ] {
        let errors = parsed(&format!("{BASE}{PROVIDER}{line}\n")).unwrap_err();
        let shown = format!("{errors}\n{}\n{errors:?}", errors.pretty());
        assert!(!shown.contains("sk-secret"), "{line}\n{shown}");
    }
}

#[test]
fn a_configuration_shown_for_debugging_has_no_secret() {
    let config =
        loaded(&format!("{PROVIDER}api_key = \"${{KEY}}\"\n[clients.c]\nkey = \"${{OTHER_KEY}}\"\n"));
    let shown = format!("{config:?}");
    assert!(shown.contains("[secret]") && !shown.contains("sk-"), "{shown}");
}

#[test]
fn several_keys_stand_instead_of_one() {
    let keys = |lines: &str| format!("{PROVIDER}{lines}\n");
    let config = loaded(&keys("api_keys = [\"${KEY}\", \"${OTHER_KEY}\"]"));
    let told: Vec<&str> = config.providers[1].api_keys.iter().map(|key| key.reveal()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    check(
        &keys("api_key = \"${KEY}\"\napi_keys = [\"${OTHER_KEY}\"]"),
        &[r#"5:12: provider "o": api_keys: stands beside api_key: write one of the two"#],
    );
    check(
        &keys("api_keys = [\"${KEY}\", \"${KEY}\"]"),
        &[r#"4:23: provider "o": api_keys: this is a key that the list has already: take one out"#],
    );
    check(
        &keys("api_keys = []"),
        &[r#"4:12: provider "o": api_keys: is empty: write the keys, or take the line out to send none"#],
    );
}
