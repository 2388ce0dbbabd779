//! What the demo is made of, without a gateway.

use std::net::SocketAddr;

use super::crowd::{USERS, call};
use super::ledger::Ledger;
use super::scrape::{Counted, counted, sum};
use super::teller::{Teller, Tone, minutes, wrapped};
use super::tempo::{FAST, SLOW};
use super::world;
use crate::config::{ProcessEnvironment, load};

const ENV: ProcessEnvironment = ProcessEnvironment { now_s: 1_795_132_800 };

fn loaded(text: &str) -> crate::config::Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.toml");
    std::fs::write(&path, text).unwrap();
    load(&path, &ENV).unwrap_or_else(|errors| panic!("{}\n{text}", errors.pretty()))
}

#[test]
fn its_configuration_is_right_at_every_pace() {
    let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
    for tempo in [FAST, SLOW] {
        for shadow in [false, true] {
            let text = world::text(&tempo, here, here, shadow);
            assert!(!text.contains('@'), "a mark is left:\n{text}");
            let config = loaded(&text);
            // The canary begins with nobody, and who stands in at the support desk reads less than its model.
            let known = ["takes nobody as it stands", "reads 128000 tokens at most"];
            let is_known = |warning: &&String| known.iter().any(|part| warning.contains(part));
            let unexpected: Vec<&String> = config.warnings.iter().filter(|one| !is_known(one)).collect();
            assert!(unexpected.is_empty(), "{unexpected:?}");
            let route = config.routes.iter().find(|route| route.name.as_str() == world::ROUTE).unwrap();
            assert_eq!(route.shadows.len(), usize::from(shadow));
            let flag = config.flags.iter().find(|flag| flag.key.as_str() == world::FLAG).unwrap();
            assert!(flag.rule(world::RULE).is_some());
            for model in [world::CANARY, world::SAFE, world::DESK_MODEL] {
                assert!(config.models.iter().any(|one| one.name.as_str() == model), "{model}");
            }
        }
    }
}

#[test]
fn the_crowd_has_every_tier_region_and_api() {
    let calls: Vec<_> = (0..2000).map(call).collect();
    let mut kinds: Vec<String> = calls
        .iter()
        .flat_map(|call| {
            [
                call.tier.to_owned(),
                call.region.to_owned(),
                format!("{} {:?} {}", call.route, call.api, call.stream),
            ]
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 3 + 4 + 4 + 2 + 1, "{kinds:?}");
    let mut users: Vec<&str> = calls.iter().map(|call| call.user.as_str()).collect();
    users.sort_unstable();
    users.dedup();
    assert!(users.len() as u64 > USERS * 9 / 10 && users.len() as u64 <= USERS, "{}", users.len());
    let mut bodies: Vec<_> = calls.iter().map(|call| call.body.clone()).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), calls.len(), "each question is another one");
    let one = calls.iter().find(|call| call.user == "user-007").unwrap();
    let same = calls.iter().filter(|call| call.user == one.user);
    assert!(same.clone().count() > 1);
    assert!(same.into_iter().all(|call| (call.tier, call.region) == (one.tier, one.region)));
}

#[test]
fn metrics_are_read_as_they_are_given_out() {
    let text = "# TYPE dimmer_requests_total counter\n\
                dimmer_requests_total{model=\"a\",outcome=\"ok\",route=\"r\"} 12\n\
                dimmer_requests_total{model=\"b\",outcome=\"reply\",route=\"r\"} 2\n\
                dimmer_requests_total{model=\"b\",outcome=\"cut\",route=\"none\"} 1\n\
                dimmer_requests_total_of_others 7\n";
    let counted = counted(text);
    assert_eq!(counted.len(), 3, "{counted:?}");
    assert_eq!((sum(&counted, |_| true), sum(&counted, Counted::failed)), (15, 1));
    assert_eq!(sum(&counted, |one| one.route == "r" && one.model == "a"), 12);
}

#[test]
fn the_record_adds_up() {
    let row = |at: u64, user: &str, tried: bool, served: &str, chars: u64| {
        format!(
            "{{\"at_us\":{at},\"route\":\"assistant\",\"served\":\"{served}\",\"user_id\":\"{user}\",\"cost_pico_usd\":2000000000,\
             \"output_chars\":{chars},\"fallback\":null,\"flags\":[{{\"flag\":\"inference_model\",\"variant\":\"claude-sonnet-4-6\",\
             \"tried\":{tried}}}]}}"
        )
    };
    let lines = [
        row(1, "u", true, "claude-sonnet-4-6", 100),
        row(2, "u", true, "claude-sonnet-4-6", 300),
        row(3, "v", false, "gpt-4o", 50),
    ];
    let ledger = Ledger::read(&lines.join("\n")).unwrap();
    let saw = ledger.sum(|row| row.saw_canary());
    assert_eq!((saw.requests, saw.users), (2, 1));
    assert!((saw.chars - 200.0).abs() < 1e-9 && (saw.usd - 0.004).abs() < 1e-9, "{saw:?}");
    assert_eq!(ledger.sum(|row| row.chose_canary() && !row.saw_canary()).requests, 1);
    assert!(Ledger::read("no json").is_err());
}

#[test]
fn lines_are_no_wider_than_a_terminal() {
    let mut out = Vec::new();
    let mut teller = Teller::new(&mut out, false, false);
    let long =
        "a breaker tripped, and its cause is told in more words than one line has, twice as many ".repeat(3);
    teller.chapter(1, "A heading").unwrap();
    teller.tell("event", Tone::Bad, &long, serde_json::json!({})).unwrap();
    teller.more(&long).unwrap();
    teller.row("  left", 20, &long).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 79), "{text}");
    assert!(text.lines().count() > 10 && !text.contains('\u{1b}'), "{text}");
    assert_eq!(wrapped("one two", 3), ["one", "two"]);
    assert_eq!(minutes(65_000), "1:05");
}

#[test]
fn programs_get_a_line_of_json_for_each_event() {
    let mut out = Vec::new();
    let mut teller = Teller::new(&mut out, true, true);
    teller.chapter(2, "A heading").unwrap();
    teller.tell("event", Tone::Good, "text", serde_json::json!({"number": 3})).unwrap();
    teller.plain("for people").unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["event"], &lines[1]["number"]), (&"chapter".into(), &3.into()));
}
