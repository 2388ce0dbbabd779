//! What fuzzing has collected keeps every promise also without a fuzzer: each input of `fuzz/corpus` is run once.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "../../fuzz/promises/mod.rs"]
mod promises;

use promises::{body_splice, configuration, event_stream, head_framing, rule_evaluation, translation};

/// Runs a promise on each input that was collected for it.
fn replay(target: &str, hold: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 10, "{} holds next to nothing", folder.display());
    for file in files {
        let input = fs::read(&file).unwrap();
        assert!(catch_unwind(|| hold(&input)).is_ok(), "{} breaks the promise of {target}", file.display());
    }
}

#[test]
fn body_splices() {
    replay("body_splice", body_splice::hold);
}

#[test]
fn event_streams() {
    replay("event_stream", event_stream::hold);
}

#[test]
fn configurations() {
    replay("configuration", configuration::hold);
}

#[test]
fn head_framings() {
    replay("head_framing", head_framing::hold);
}

#[test]
fn rule_evaluations() {
    replay("rule_evaluation", rule_evaluation::hold);
}

#[test]
fn translations() {
    replay("translation", translation::hold);
}
