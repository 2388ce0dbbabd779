//! Whatever the text, the loader gives a configuration or errors with places inside the text; it never panics.

use std::path::Path;

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config as Runs;

use super::environment::env;
use super::spec::FULL;
use crate::config::parse;

fn check(text: &str) {
    let Err(errors) = parse(text, "f", Path::new(env!("CARGO_MANIFEST_DIR")), &env()) else { return };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    assert!(!errors.faults().is_empty());
    for fault in errors.faults() {
        let at = fault.position.as_ref().unwrap();
        let line = text
            .split('\n')
            .nth(at.line - 1)
            .unwrap_or_else(|| panic!("line {} is none of\n{text}", at.line));
        assert!(at.column >= 1 && at.column <= line.chars().count() + 1, "{fault}\n{line:?}");
        assert!(!fault.message.contains('\n'), "{fault}");
    }
    assert!(errors.pretty().ends_with(if errors.faults().len() == 1 { "1 error\n" } else { "errors\n" }));
}

/// One change to the example: a piece is cut out, doubled, or replaced by something else.
fn mutated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(String::new()),
        Just("\"\"".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        Just("-1".to_owned()),
        Just("nan".to_owned()),
        Just("9999999999999999999999".to_owned()),
        Just("\n[flags.x.rules]\n".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("\u{0}щ\"".to_owned()),
        "[a-z_.\"\\[\\]{}=, \n0-9]{0,12}",
    ];
    (any::<proptest::sample::Index>(), 0..40usize, piece).prop_map(|(at, length, piece)| {
        let start = FULL.floor_char_boundary(at.index(FULL.len()));
        let end = FULL.floor_char_boundary((start + length).min(FULL.len()));
        let (before, after) = (FULL.get(..start).unwrap(), FULL.get(end..).unwrap());
        format!("{before}{piece}{after}")
    })
}

/// The value of one key of the example replaced by another value: TOML still, but wrong.
fn retyped() -> impl Strategy<Value = String> {
    let values = prop_oneof![
        Just("true"),
        Just("0"),
        Just("-3.5"),
        Just("\"x\""),
        Just("[]"),
        Just("[1, \"a\", {}]"),
        Just("{}"),
        Just("{ flag = 1 }"),
        Just("2027-03-31"),
        Just("inf"),
        Just("[[]]"),
        Just("{ any = [] }"),
        Just("0xFFFFFFFFFFFFFFFF"),
    ];
    (any::<proptest::sample::Index>(), values).prop_map(|(which, value)| {
        let keys: Vec<usize> = FULL
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(" = "))
            .map(|(number, _)| number)
            .collect();
        let chosen = keys[which.index(keys.len())];
        let lines = FULL.lines().enumerate().map(|(number, line)| match line.split_once('=') {
            Some((key, _)) if number == chosen => format!("{key}= {value}"),
            _ => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

proptest! {
    #![proptest_config(Runs { cases: 300, failure_persistence: None, ..Runs::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,80}") {
        check(&text);
    }

    #[test]
    fn any_toml_like_text_is_answered(text in "([a-z]{1,8}(\\.[a-z*\"]{1,6})? ?= ?(\"[^\"]{0,6}\"|[0-9.-]{1,5}|\\{\\}|\\[\\])\r?\n|\\[\\[?(server|flags|routes|models)(\\.[a-z]{1,4}){0,2}\\]\\]?\n){0,8}") {
        check(&text);
    }

    #[test]
    fn any_change_of_the_example_is_answered(text in mutated()) {
        check(&text);
    }

    #[test]
    fn any_other_value_of_a_key_is_answered(text in retyped()) {
        check(&text);
    }
}

#[test]
fn deep_nesting_is_an_error() {
    check(&format!("a = {}1{}", "[".repeat(5000), "]".repeat(5000)));
    check(&format!("a{} = 1", ".a".repeat(5000)));
    check(&format!("[segments.s]\nwhen = {}{}", "{ any = [".repeat(60), "] }".repeat(60)));
}
