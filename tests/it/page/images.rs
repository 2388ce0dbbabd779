//! The pictures of docs/page.md, made of a gateway that has something to show: `UPDATE_DOCS=1 cargo test --test it -- page::images`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dimmer::config::{Bodies, RecordsPlace, RecordsSpec, UserIds};
use dimmer::observe::Metrics;
use dimmer::record::{Exposure, Flagged, Hasher, Record};
use serde_json::json;

use super::drawn;
use crate::admin::call_with;
use crate::clients::root;
use crate::harness::{Browser, DESK, Dimmer, Look, PHONE, Page, listeners, request};
use crate::shadow_report;

/// The pictures, and what is in each: the view, what to wait for, and how it is looked at.
const PICTURES: &[(&str, &str, &str, Look)] = &[
    ("overview", "overview", "", Look { height: 1040, ..DESK }),
    ("overview-dark", "overview", "", Look { dark: true, height: 1040, ..DESK }),
    ("overview-phone", "overview", "", Look { height: 812, ..PHONE }),
    ("flags", "flags", "", Look { height: 1000, ..DESK }),
    ("kills", "kills", "", Look { height: 900, ..DESK }),
    ("breakers", "breakers", "error_rate", Look { height: 760, ..DESK }),
    ("impact", "impact/inference_model", "against", Look { height: 900, ..DESK }),
    ("shadows", "shadows", "against", Look { dark: true, height: 900, ..DESK }),
    ("adoption", "adoption/assistant", "By what answered", Look { height: 760, ..DESK }),
];

const USERS: u64 = 900;
const DAY_US: u64 = 86_400_000_000;

/// A number from 0 to 1 that is the same each time.
fn drawn_of(user: u64, what: u64) -> f64 {
    let mut mixed = (user << 8 | what).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A week of users, a quarter of whom have the candidate, which says more, costs more and fails less.
fn week() -> Vec<Record> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let mut all = Vec::new();
    for user in 0..USERS {
        for day in 0..6_u64 {
            if drawn_of(user, day) > 0.35 + 0.06 * day as f64 {
                continue;
            }
            let at_us = now - (6 - day) * DAY_US + (drawn_of(user, 20 + day) * 8e10) as u64 - 1_200_000_000;
            all.push(exposure(user, day, at_us));
        }
    }
    for record in shadow_report::records() {
        all.push(match record {
            Record::Shadow(mut one) => {
                (one.route, one.shadow) = ("assistant".into(), "opus-candidate".into());
                Record::Shadow(one)
            }
            Record::Verdict(mut one) => {
                (one.route, one.shadow) = ("assistant".into(), "opus-candidate".into());
                Record::Verdict(one)
            }
            Record::Exposure(mut one) => {
                one.route = "replayed".into();
                Record::Exposure(one)
            }
            other => other,
        });
    }
    all
}

fn exposure(user: u64, day: u64, at_us: u64) -> Record {
    let candidate = drawn_of(user, 90) < 0.25;
    let own = 0.6 + drawn_of(user, 91) * 0.9;
    let chars = own * if candidate { 1_150.0 } else { 820.0 };
    let failed = drawn_of(user, 40 + day) < if candidate { 0.01 } else { 0.025 };
    let outcome: Arc<str> = if failed { "upstream_error" } else { "ok" }.into();
    let model: Arc<str> = if candidate { "claude-sonnet-4-6" } else { "gpt-4o" }.into();
    let flag = Flagged {
        flag: "inference_model".into(),
        variant: Arc::clone(&model),
        rule: candidate.then(|| "canary".into()),
        passed: if candidate { Vec::new() } else { vec!["canary".into()] },
        reason: if candidate { "SPLIT" } else { "DEFAULT" }.into(),
        unit: Some(format!("user {user}").into()),
        tried: true,
        outcome: Arc::clone(&outcome),
        output_chars: (!failed).then_some(chars as u64),
        ..Flagged::default()
    };
    Record::Exposure(Box::new(Exposure {
        request_id: format!("req_{user}_{day}"),
        at_us,
        route: "assistant".into(),
        endpoint: "chat".into(),
        user: Some(format!("user {user}").into()),
        asked: "gpt-4o".into(),
        served: model,
        outcome,
        status: if failed { 502 } else { 200 },
        took_us: (own * if candidate { 1_900_000.0 } else { 1_500_000.0 }) as u64,
        cost_pico: (!failed).then_some((chars * if candidate { 3.4e6 } else { 2.4e6 }) as u64),
        output_chars: (!failed).then_some(chars as u64),
        tries: 1,
        flags: vec![flag],
        ..Exposure::default()
    }))
}

/// The clone's own configuration, quicker, with a shadow, a second feature and tokens.
fn config() -> String {
    let file = std::fs::read_to_string(root().join("routes.toml")).unwrap();
    let file = file.replace("first_token = \"900ms\"", "first_token = \"90ms\"");
    listeners("")
        + "tokens = [{ name = \"alice\", role = \"operator\", token = \"${ALICE}\" }, { name = \"bob\", role = \"operator\", token = \"${BOB}\" }]\n\
           [records]\nurl = \"sqlite:records.db\"\nuser_ids = \"plain\"\n"
        + &file
        + "\n[[routes.assistant.shadow]]\nname = \"opus-candidate\"\nmodel = \"o4-mini\"\npercent = 5\n\
           [flags.search_model]\nowner = \"search-team\"\nexpires = 2027-02-28\ndefault = \"gpt-4o-mini\"\n\
           [[flags.search_model.rules]]\nname = \"half\"\npercent = 50\nserve = \"claude-haiku-4-5\"\n\
           [routes.search]\npath = \"/search\"\nprovider = [\"openai\", \"anthropic\"]\nmodel.flag = \"search_model\"\nbreaker = \"standard\"\n"
}

fn recorded() -> Dimmer {
    let folder = tempfile::tempdir().unwrap();
    let spec = RecordsSpec {
        place: RecordsPlace::Sqlite(folder.path().join("records.db")),
        user_ids: UserIds::Plain,
        bodies: Bodies::None,
        body_max: 65_536,
        retention: Duration::from_secs(30 * 24 * 3600),
        secret: None,
    };
    let metrics = Arc::new(Metrics::new().unwrap());
    let kept = dimmer::record::open(&spec, Hasher::keyed(b"not used").plain(), &metrics).unwrap();
    for record in week() {
        while !kept.recorder.put(record.clone()) {
            thread::yield_now();
        }
    }
    kept.close(Duration::from_secs(60));
    std::fs::create_dir(folder.path().join("prompts")).unwrap();
    std::fs::copy(root().join("prompts/mentor.md"), folder.path().join("prompts/mentor.md")).unwrap();
    std::fs::write(folder.path().join("routes.toml"), config()).unwrap();
    Dimmer::start_in(folder, &[("ALICE", ALICE), ("BOB", "a-token-of-bob-that-is-long-enough")])
}

const ALICE: &str = "a-token-of-alice-that-is-long-enough";

/// Asks as users do, until it is told to stop.
fn traffic(dimmer: &Dimmer, stop: &Arc<AtomicBool>) -> Vec<thread::JoinHandle<()>> {
    let data = dimmer.data;
    let asks = move |place: u64, stop: &AtomicBool| {
        let mut at = place * 1000;
        while !stop.load(Ordering::Relaxed) {
            at += 1;
            let route = if at % 4 == 3 { "search" } else { "assistant" };
            let headers = format!("content-type: application/json\r\nx-user-id: user {}\r\n", at % 300);
            let body = json!({ "model": "gpt-4o", "max_tokens": 200, "messages": [{ "role": "user", "content": "How do I do that?" }] });
            let _answer = request(
                data,
                "POST",
                &format!("/{route}/v1/chat/completions"),
                &headers,
                body.to_string().as_bytes(),
            );
        }
    };
    let start = |place: u64| {
        let stop = Arc::clone(stop);
        thread::spawn(move || asks(place, &stop))
    };
    (0..9).map(start).collect()
}

fn change(dimmer: &Dimmer, method: &str, path: &str, body: &str) {
    let token = if path.contains("flags") { ALICE } else { "a-token-of-bob-that-is-long-enough" };
    let headers = format!(
        "host: {}\r\ncontent-type: application/json\r\nauthorization: Bearer {token}\r\n",
        dimmer.admin
    );
    let answer = call_with(dimmer, method, &format!("/api/v1{path}"), &headers, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn picture(page: &Page, name: &str) {
    let folder = std::env::var_os("PICTURES").map_or_else(|| root().join("docs/images"), Into::into);
    std::fs::create_dir_all(&folder).unwrap();
    page.screenshot(&Path::new(&folder).join(format!("page-{name}.png")));
}

#[test]
fn pictures() {
    if std::env::var_os("UPDATE_DOCS").is_none() {
        return;
    }
    let dimmer = recorded();
    let stop = Arc::default();
    let users = traffic(&dimmer, &stop);
    change(
        &dimmer,
        "PATCH",
        "/flags/inference_model/rules/canary",
        r#"{"percent":25,"reason":"errors are flat for two days"}"#,
    );
    change(
        &dimmer,
        "POST",
        "/kill",
        r#"{"target":"tool:web_search","reason":"quota of the search provider is used up"}"#,
    );
    let browser = Browser::start();
    let page = browser.open(&format!("http://{}/", dimmer.admin), DESK);
    page.expect_error("401");
    page.wait_text("With a token of admin.tokens");
    page.write(ALICE);
    page.press("Enter");
    drawn(&page, "overview");
    // A minute has to pass before the lines have something to show.
    page.wait(
        "there is something to show",
        "document.querySelector('.spark path').getAttribute('d').split('L').length > 30",
    );
    for (name, view, text, look) in PICTURES {
        page.look(*look);
        page.eval(&format!("location.hash = '#/{view}'"));
        drawn(&page, view);
        page.wait_text(text);
        page.wait("what was told is gone", "!document.querySelector('.told')");
        page.eval("document.activeElement.blur()");
        picture(&page, name);
    }
    asked(&page);
    stop.store(true, Ordering::Relaxed);
    users.into_iter().for_each(|user| user.join().unwrap());
}

/// A slider that was moved, and a kill that is asked about.
fn asked(page: &Page) {
    page.look(Look { height: 640, ..DESK });
    page.eval("location.hash = '#/flags/inference_model'");
    drawn(page, "flags");
    page.eval("(() => { const s = document.querySelector('#slide-inference_5Fmodel-canary, #slide-inference_model-canary'); s.value = 40; s.dispatchEvent(new Event('input', { bubbles: true })); s.scrollIntoView({ block: 'center' }); })()");
    page.wait_text("of users seen this hour");
    page.wait(
        "it has said who moves",
        "!document.querySelector('.rule.changed .says').innerText.endsWith('…')",
    );
    picture(page, "slider");
    page.eval("location.hash = '#/kills'");
    drawn(page, "kills");
    page.click("[data-target='flag:inference_model/claude-sonnet-4-6'] button");
    page.wait("it says what is served", "document.querySelector('dialog .after') && !document.querySelector('dialog .after').innerText.includes('asking what')");
    page.write("answers grow too long since 14:10");
    picture(page, "kill");
    page.press("Escape");
    // The same in a hand.
    page.look(Look { height: 812, ..PHONE });
    page.click("[data-target='flag:inference_model/claude-sonnet-4-6'] button");
    page.wait("it says what is served", "document.querySelector('dialog .after') && !document.querySelector('dialog .after').innerText.includes('asking what')");
    page.write("answers grow too long since 14:10");
    picture(page, "kill-phone");
    page.press("Escape");
}
