//! How many user instructions the pure parts of a request take, counted by callgrind.
//!
//! Run with `cargo bench --bench instructions`; it needs `valgrind`. The count is the same to about one per cent on every
//! run, where a time is not. The program runs itself under valgrind, each case once and once more often; the
//! difference is what the repetitions cost, without the start of the process.

#![expect(clippy::unwrap_used, reason = "a bench that cannot set itself up has nothing to measure")]

use std::env;
use std::hint::black_box;
use std::io::{Write, stdout};
use std::process::Command;

use bytes::Bytes;
use dimmer::wire::translate::{self, Memory, Stamp, Stream, Target};
use dimmer::wire::{Edits, Endpoint, PromptMode, RequestView, Tap, UsageFilter};

#[path = "fixture/bodies.rs"]
mod bodies;

/// One more than the repetitions that are counted.
const TIMES: u64 = 101;

/// What is counted: a name, how many units (bytes or events) one repetition handles, and one repetition.
struct Case {
    name: &'static str,
    unit: &'static str,
    units: usize,
    once: Box<dyn Fn()>,
}

fn main() {
    let cases = cases();
    let mut arguments = env::args().skip(1);
    let (name, times) = (arguments.next(), arguments.next().and_then(|times| times.parse::<u64>().ok()));
    if let Some(case) = cases.iter().find(|case| Some(case.name) == name.as_deref()) {
        for _ in 0..times.unwrap_or(1) {
            (case.once)();
        }
        return;
    }
    let mut out = stdout();
    for case in cases {
        let each = collected(case.name, TIMES).abs_diff(collected(case.name, 1)) / (TIMES - 1);
        let by_unit = each as f64 / case.units as f64;
        writeln!(out, "{:24} {each:>9}  {by_unit:8.2} per {}", case.name, case.unit).unwrap();
    }
}

/// What callgrind counts while this program repeats a case.
fn collected(case: &str, times: u64) -> u64 {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(env::current_exe().unwrap());
    let told = valgrind.args([case, &times.to_string()]).output().unwrap().stderr;
    let told = String::from_utf8_lossy(&told);
    told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok()).unwrap()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let bodies = [
        ("read 2 KiB", bodies::chat(2 << 10)),
        ("read 64 KiB", bodies::chat(64 << 10)),
        ("read tools", bodies::tools(16 << 10)),
        ("read prose", bodies::prose(64 << 10)),
        ("read Chinese", bodies::chinese(64 << 10)),
    ];
    for (name, body) in bodies {
        let units = body.len();
        let once = move || drop(black_box(RequestView::read(Endpoint::Chat, black_box(&body), &[]).unwrap()));
        cases.push(Case { name, unit: "byte", units, once: Box::new(once) });
    }
    cases.push(utf8());
    cases.push(rewrite());
    cases.push(translate_request());
    let answer = bodies::answer();
    cases.push(Case {
        name: "tap whole",
        unit: "byte",
        units: answer.len(),
        once: Box::new(move || tap(Tap::whole(Endpoint::Chat), std::slice::from_ref(black_box(&answer)))),
    });
    let events = bodies::events();
    cases.push(Case {
        name: "tap stream",
        unit: "event",
        units: events.len(),
        once: Box::new(move || tap(Tap::stream(Endpoint::Chat), black_box(&events))),
    });
    let events = bodies::events();
    cases.push(Case {
        name: "usage filter",
        unit: "event",
        units: events.len(),
        once: Box::new(move || filter(black_box(&events))),
    });
    let (events, memory) = (bodies::events(), memory());
    cases.push(Case {
        name: "translate stream",
        unit: "event",
        units: events.len(),
        once: Box::new(move || translate_stream(memory.clone(), black_box(&events))),
    });
    cases
}

const STAMP: Stamp<'_> = Stamp { id: "0123456789abcdef", created_s: 1_763_600_000 };

/// A chat said to Messages.
fn translate_request() -> Case {
    let body = bodies::chat(2 << 10);
    let units = body.len();
    let target = Target { max_output: Some(64_000), ..Target::new(Endpoint::Messages) };
    let once = move || {
        drop(black_box(translate::request(Endpoint::Chat, black_box(&body), &target, &STAMP).unwrap()));
    };
    Case { name: "translate 2 KiB", unit: "byte", units, once: Box::new(once) }
}

/// Of a request of Messages that went to Chat Completions.
fn memory() -> Memory {
    let body = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let target = Target::new(Endpoint::Chat);
    translate::request(Endpoint::Messages, body, &target, &STAMP).unwrap().memory
}

fn translate_stream(memory: Memory, pieces: &[Bytes]) {
    let (mut stream, mut out) = (Stream::new(memory), Vec::new());
    for piece in pieces {
        out.clear();
        stream.feed(piece, &mut out).unwrap();
        black_box(&out);
    }
    assert_eq!(stream.end(&mut out), Ok(true));
}

/// What of reading is the check for UTF-8.
fn utf8() -> Case {
    let body = bodies::chat(64 << 10);
    let units = body.len();
    let once = move || assert!(simdutf8::basic::from_utf8(black_box(&body)).is_ok());
    Case { name: "simdutf8 64 KiB", unit: "byte", units, once: Box::new(once) }
}

/// Another model and system prompt.
fn rewrite() -> Case {
    let body = bodies::chat(2 << 10);
    let units = body.len();
    let view = RequestView::read(Endpoint::Chat, &body, &[]).unwrap();
    let prompt = Bytes::from_static(b"You are a senior software engineer.");
    let once = move || {
        let mut edits = Edits::new(&view, black_box(&body));
        edits.model(Bytes::from_static(b"\"gpt-6\""));
        edits.system_prompt(PromptMode::Replace, &prompt).unwrap();
        drop(black_box(edits.frames()));
    };
    Case { name: "rewrite 2 KiB", unit: "byte", units, once: Box::new(once) }
}

fn tap(mut tap: Tap, pieces: &[Bytes]) {
    for piece in pieces {
        tap.feed(piece);
    }
    tap.finish();
    assert!(tap.facts().complete && tap.facts().usage.is_some());
}

fn filter(pieces: &[Bytes]) {
    let mut filter = UsageFilter::new();
    for piece in pieces {
        filter.feed(piece.clone(), &mut |kept| drop(black_box(kept)));
    }
}
