//! The published vectors, which another implementation of XXH3 made: docs/bucketing.md, row by row.

use crate::flags::tests::{A, B, C, DEFAULT, flag, one, rule, split, user};
use crate::flags::{FlagState, Rule, VariantIndex, bucket, evaluate, salt_seed};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const PAGE: &str = include_str!("../../../docs/bucketing.md");

/// The cells of the rows of the table whose head is `head`.
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let rows = PAGE.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '`'])).collect())
        .collect()
}

fn text(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json} is no JSON text: {error}"))
}

#[test]
fn hashes_are_those_of_another_implementation() {
    assert_eq!(xxh3_64(b"flag-a:user-0"), 0xf6db_e2eb_191b_4052);
    assert_eq!(xxh3_64_with_seed(b"user-0", xxh3_64(b"flag-a")), 0x0075_d610_0d30_2162);
}

#[test]
fn every_published_bucket_is_right() {
    let rows = table("| key | salt | hash | bucket | taken from `percent` |");
    assert!(rows.len() >= 20, "the page lost its vectors: {} left", rows.len());
    for row in rows {
        let [key, salt, hash, expected, lowest] = row[..] else { panic!("not five cells: {row:?}") };
        let (key, salt) = (text(key), text(salt));
        assert_eq!(format!("{:016x}", xxh3_64_with_seed(key.as_bytes(), salt_seed(&salt))), hash, "{row:?}");
        assert_eq!(bucket(salt_seed(&salt), &key).to_string(), expected, "{row:?}");

        let first = (lowest.parse::<f64>().expect("a percentage") * 10_000.0).round() as u32;
        let serves_at = |ppm| {
            let rule = Rule { seed: salt_seed(&salt), ..rule(one(A, ppm)) };
            evaluate(&flag([rule]), &user(&key), &FlagState::default()).variant
        };
        assert_eq!((serves_at(first - 1), serves_at(first)), (DEFAULT, A), "{row:?}");
    }
}

#[test]
fn every_published_split_is_right() {
    let rows = table("| key | bucket | at 100 | at 50 | at 10 |");
    assert!(rows.len() >= 15, "the page lost its vectors: {} left", rows.len());
    for row in rows {
        let [key, expected, at_100, at_50, at_10] = row[..] else { panic!("not five cells: {row:?}") };
        let key = text(key);
        for (ppm, name) in [(1_000_000, at_100), (500_000, at_50), (100_000, at_10)] {
            let serve = split(&[(A, 34), (B, 33), (C, 33)], ppm);
            let seed = salt_seed("system_prompt_version");
            assert_eq!(bucket(seed, &key).to_string(), expected, "{row:?}");
            let found = evaluate(&flag([Rule { seed, ..rule(serve) }]), &user(&key), &FlagState::default());
            assert_eq!(found.variant, published(name), "{row:?} at {ppm}");
        }
    }
}

/// The page's names for the variants of these tests.
fn published(name: &str) -> VariantIndex {
    match name {
        "concise" => A,
        "senior" => B,
        "mentor" => C,
        "–" => DEFAULT,
        other => panic!("the page names no such variant: {other}"),
    }
}

/// A list of tests that is not checked becomes a lie.
#[test]
fn every_promise_names_tests_that_exist() {
    let sources = [
        ("vectors.rs", include_str!("vectors.rs")),
        ("promises.rs", include_str!("promises.rs")),
        ("distribution.rs", include_str!("distribution.rs")),
        ("coverage.rs", include_str!("coverage.rs")),
    ];
    let rows = table("| promise | test |");
    assert!(rows.len() >= 8, "the page lost its promises: {} left", rows.len());
    for row in rows {
        let [promise, proof] = row[..] else { panic!("not two cells: {row:?}") };
        let (file, test) = proof.split_once("`: `").unwrap_or((proof, ""));
        let (_, source) =
            sources.iter().find(|(name, _)| *name == file).unwrap_or_else(|| panic!("no {file}"));
        assert!(source.contains(&format!("fn {test}")), "{promise}: {file} has no test {test}");
    }
}
