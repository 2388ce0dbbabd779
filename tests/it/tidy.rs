//! The house rules that no compiler and no lint holds: who may import whom, who owns which effect, sizes, the list of
//! rooms. Each failure names the file, the line and what to do.
//!
//! A new room is one line in `ROOMS` here and one in `src/README.md`.

mod source;

use std::collections::BTreeSet;
use std::path::Path;

use crate::clients::root;
use source::Source;

/// Every room with its band: a room imports rooms of its own band and of lower ones, never of a higher one.
const ROOMS: &[(&str, u8)] = &[
    ("names", 0),
    ("units", 0),
    ("flags", 1),
    ("rollout", 1),
    ("stats", 1),
    ("wire", 1),
    ("clock", 2),
    ("threads", 2),
    ("config", 2),
    ("observe", 2),
    ("snapshot", 3),
    ("state", 3),
    ("record", 3),
    ("report", 3),
    ("sources", 3),
    ("mock", 3),
    ("proxy", 4),
    ("control", 4),
    ("explain", 5),
    ("app", 5),
    ("cli", 5),
    ("demo", 5),
    ("main", 6),
];

/// The data plane and the control plane meet in the snapshot and in `observe`, never in each other.
const NEVER_TOGETHER: &[(&str, &str)] = &[("proxy", "control"), ("control", "proxy")];

/// The stages of `proxy`, in the order of a request's way.
const STAGES: &[&str] = &["accept", "identify", "decide", "rewrite", "dispatch", "relay", "finish"];

/// Effects and their owners: the text may stand only in these rooms (outside of tests).
const OWNERS: &[(&str, &[&str], &str)] = &[
    ("Instant::now(", &["clock"], "clock is the only reader of time"),
    ("SystemTime::now(", &["clock"], "clock is the only reader of time"),
    ("Zoned::now(", &["clock"], "clock is the only reader of time"),
    ("Timestamp::now(", &["clock"], "clock is the only reader of time"),
    ("prometheus::", &["observe"], "observe names each metric, once"),
];

/// What a pure room (band 1) may not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "tokio::",
    "tracing::",
    "hyper::",
    "getrandom",
    "SystemTime",
    "Instant",
];

const FILE_LINES_MAX: usize = 600;

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = band(&source.room) else { continue };
        for path in source.crate_paths() {
            let Some(target) = path.segments.first() else { continue };
            if *target == source.room {
                continue;
            }
            let line = source.place(path.line);
            if band(target).is_some_and(|other| other > own) {
                wrong.push(format!(
                    "{line}: {} (band {own}) imports {target}, which stands higher",
                    source.room
                ));
            }
            if NEVER_TOGETHER.contains(&(source.room.as_str(), target.as_str())) {
                wrong.push(format!("{line}: {} and {target} never import each other", source.room));
            }
        }
    }
    none(&wrong);
}

#[test]
fn only_the_proxy_calls_its_stages() {
    let mut wrong = Vec::new();
    for source in sources() {
        let own_stage = source.stage();
        if source.file == "src/proxy/mod.rs" {
            continue;
        }
        for path in source.crate_paths() {
            let [room, stage, rest @ ..] = path.segments.as_slice() else { continue };
            let Some(rank) = STAGES.iter().position(|known| known == stage) else { continue };
            if room != "proxy" || own_stage.as_deref() == Some(stage.as_str()) {
                continue;
            }
            let line = source.place(path.line);
            if source.room != "proxy" {
                wrong.push(format!(
                    "{line}: only src/proxy/mod.rs calls stages; re-export from proxy what {} needs",
                    source.room
                ));
            } else if !rest.first().is_some_and(|name| name.starts_with(char::is_uppercase)) || rest.len() > 1
            {
                wrong.push(format!(
                    "{line}: only src/proxy/mod.rs calls stages; of {stage} only its types may be named"
                ));
            } else if let Some(own) =
                own_stage.as_deref().and_then(|own| STAGES.iter().position(|known| *known == own))
                && rank > own
            {
                wrong.push(format!(
                    "{line}: {stage} comes later on a request's way; only an earlier stage's result is known"
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn each_effect_has_one_owner() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.code_lines() {
            for (text, owners, why) in OWNERS {
                if line.contains(text) && !owners.contains(&source.room.as_str()) {
                    wrong.push(format!("{}: `{text}` outside of {owners:?}: {why}", source.place(number)));
                }
            }
            if band(&source.room) == Some(1)
                && let Some(text) = IMPURE.iter().find(|text| line.contains(*text))
            {
                wrong.push(format!(
                    "{}: `{text}` in {}, which is pure: pass it in",
                    source.place(number),
                    source.room
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn metrics_are_named_in_observe() {
    let mut names: BTreeSet<String> = crate::dashboards::documented_metrics().into_keys().collect();
    // The code of an error too: what the app is told and what the operator sees have one name.
    names.remove("dimmer_kill_switch");
    assert!(!names.is_empty(), "docs/metrics.md lists the metrics");
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.room != "observe") {
        for (number, text) in &source.literals {
            if names.iter().any(|name| text.contains(name.as_str())) {
                wrong.push(format!("{}: {text:?} names a metric; only observe does", source.place(*number)));
            }
        }
    }
    none(&wrong);
}

#[test]
fn files_are_short_and_say_what_they_hold() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX && !source.is_test {
            wrong.push(format!(
                "{}:{lines}: longer than {FILE_LINES_MAX} lines; split it by responsibility",
                source.file
            ));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!(
                "{}:1: a file starts with `//!`: what it holds, which stage it serves, what it must never do",
                source.file
            ));
        }
    }
    none(&wrong);
}

#[test]
fn nothing_is_silenced_or_unwrapped() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        for (number, line) in source.code_lines() {
            let place = source.place(number);
            if line.contains("#[allow") || line.contains("#![allow") {
                wrong.push(format!("{place}: say #[expect(…, reason = \"…\")]"));
            }
            if !source.is_test && line.contains(".unwrap()") {
                wrong.push(format!("{place}: handle it, or `expect` with a reason"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn unfinished_work_says_its_consequence() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        for (number, line) in source.text.lines().enumerate() {
            let place = format!("{}:{}", source.file, number + 1);
            let marked =
                ["TODO-hardening", "TODO-correctness", "TODO-cleanup"].iter().any(|mark| line.contains(mark));
            if line.contains("TODO") && !marked {
                wrong.push(format!(
                    "{place}: TODO-hardening, TODO-correctness or TODO-cleanup, with the consequence"
                ));
            }
            if line.contains("FIXME") || line.contains("XXX:") {
                wrong.push(format!("{place}: mend it, or mark it as TODO-… with the consequence"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let homes = [["/ho", "me/"].concat(), ["/Us", "ers/"].concat(), ["/ro", "ot/"].concat()];
    let mut wrong = Vec::new();
    source::walk(root(), &mut |path, text| {
        for (number, line) in text.lines().enumerate() {
            if homes.iter().any(|home| line.contains(home.as_str())) {
                wrong.push(format!("{}:{}: a path of somebody's machine", path.display(), number + 1));
            }
        }
    });
    none(&wrong);
}

#[test]
fn the_readme_of_src_lists_every_room() {
    let readme = std::fs::read_to_string(root().join("src/README.md")).expect("src/README.md");
    let listed: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`'))
        .map(|(name, _)| name.trim_end_matches('/').trim_end_matches(".rs").to_owned())
        .collect();
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src")).expect("src") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if (path.is_dir() || is_rust) && name != "lib" {
            there.insert(name);
        }
    }
    let mut wrong: Vec<String> =
        there.difference(&listed).map(|room| format!("src/README.md: no row for `{room}`")).collect();
    wrong.extend(listed.difference(&there).map(|room| format!("src/README.md: `{room}` is no room of src")));
    wrong.extend(
        there
            .iter()
            .filter(|room| band(room).is_none())
            .map(|room| format!("tests/it/tidy.rs: give `{room}` a band in ROOMS")),
    );
    none(&wrong);
}

fn band(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, band)| *band)
}

/// The sources of `src/` without unit tests, which may import whatever they need.
fn sources() -> Vec<Source> {
    all_sources().into_iter().filter(|source| !source.is_test).collect()
}

fn all_sources() -> Vec<Source> {
    let mut sources = Vec::new();
    source::walk(&root().join("src"), &mut |path: &Path, text: &str| {
        if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source::read(path, text));
        }
    });
    assert!(sources.len() > 5, "the sources are found");
    source::mark_tests(&mut sources);
    sources
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} to mend:\n{}", wrong.len(), wrong.join("\n"));
}
