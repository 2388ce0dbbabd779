//! `GET /api/v1/events` by itself: bounded, at once, and over when the tokens may have changed.

use serde_json::{Value, json};

use super::{gateway, served};
use crate::admin::{call, kill, read, revive};
use crate::harness::{Connection, Dimmer, Framing, Piece};

/// One who looks on.
struct Onlooker {
    connection: Connection,
    framing: Framing,
    rest: String,
}

impl Onlooker {
    fn open(dimmer: &Dimmer) -> (u16, Self) {
        let mut connection = Connection::open(dimmer.admin);
        connection.send(format!("GET /api/v1/events HTTP/1.1\r\nhost: {}\r\n\r\n", dimmer.admin).as_bytes());
        let head = connection.head();
        let framing = head.framing("GET");
        let kind =
            head.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
        if head.status == 200 {
            assert_eq!(kind, Some("text/event-stream"));
        }
        (head.status, Self { connection, framing, rest: String::new() })
    }

    /// The next event; `None`: it ended.
    fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.rest = rest;
                let part =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let (Some(name), Some(data)) = (part("event: "), part("data: ")) {
                    return Some((name, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            match self.connection.piece(&mut self.framing) {
                Piece::Data(data) => self.rest.push_str(&String::from_utf8(data).unwrap()),
                Piece::End => return None,
                Piece::Broken => panic!("it broke off"),
            }
        }
    }

    /// The next change.
    fn change(&mut self) -> Value {
        loop {
            let (name, data) = self.next().expect("it goes on");
            if name == "change" {
                return data;
            }
        }
    }

    /// The next numbers for which this holds.
    fn live(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next().expect("it goes on");
            if name == "live" && holds(&data) {
                return data;
            }
        }
    }
}

#[test]
fn changes_come_at_once_and_numbers_each_second() {
    let dimmer = gateway("", &[]);
    let (status, mut onlooker) = Onlooker::open(&dimmer);
    assert_eq!(status, 200);
    let first = onlooker.live(|_| true);
    let document = read(&dimmer, "/openapi.json");
    let mut schema = json!({ "$ref": "#/components/schemas/Live" });
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&first), "{first}");
    assert_eq!(first["routes"][0]["route"], "r");
    for user in 0..20 {
        served(&dimmer, &format!("user-{user}"));
    }
    let live = onlooker.live(|live| live["routes"][0]["now"]["requests"] == 20);
    assert!(validator.is_valid(&live), "{live}");
    let route = &live["routes"][0];
    assert!(route["now"]["rate"].as_f64().is_some_and(|rate| rate > 0.0), "{route}");
    assert_eq!((&route["now"]["error_rate"], &route["models"][0]["model"]), (&json!(0.0), &json!("old")));
    let flag = live["flags"].as_array().unwrap().iter().find(|one| one["flag"] == "model").unwrap();
    assert_eq!(flag["variants"][0]["now"]["requests"], 20, "{flag}");

    kill(&dimmer, "flag:model/new");
    let change = onlooker.change();
    assert_eq!(
        (&change["action"], &change["what"], &change["why"]),
        (&json!("kill"), &json!("flag:model/new"), &json!("a test"))
    );
    assert_eq!(onlooker.live(|_| true)["kills"][0]["target"], "flag:model/new");
    revive(&dimmer, "flag:model/new");
    assert_eq!(onlooker.change()["action"], "revive");
    let set = json!({ "percent": 5, "reason": "some" });
    assert_eq!(call(&dimmer, "PATCH", "/flags/model/rules/canary", &set).status, 200);
    let change = onlooker.change();
    assert_eq!((&change["action"], &change["what"]), (&json!("set_percent"), &json!("flag:model#canary")));
}

/// The tokens may be others then: who has one comes back.
#[test]
fn it_ends_with_the_configuration() {
    let dimmer = gateway("", &[]);
    let (_, mut onlooker) = Onlooker::open(&dimmer);
    onlooker.live(|_| true);
    let file = std::fs::read_to_string(dimmer.config_path()).unwrap();
    dimmer.reload_and_wait(&file.replace("a-team", "b-team"));
    assert_eq!(onlooker.change()["action"], "config_loaded");
    while let Some((name, _)) = onlooker.next() {
        assert_eq!(name, "live", "nothing more is said");
    }
}

#[test]
fn places_are_bounded_and_given_back() {
    let dimmer = gateway("", &[]);
    let mut all: Vec<Onlooker> = (0..64).map(|_| Onlooker::open(&dimmer).1).collect();
    all.iter_mut().for_each(|one| drop(one.live(|_| true)));
    let refused = call(&dimmer, "GET", "/events", &Value::Null);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("unavailable")));
    // The rest of the listener goes on.
    assert_eq!(read(&dimmer, "/kills")["kills"], json!([]));
    drop(all.pop());
    crate::harness::wait_until("the place is given back", || Onlooker::open(&dimmer).0 == 200);
}

#[test]
fn what_would_be_done_is_said_and_not_done() {
    let dimmer = gateway("", &[]);
    let ask = |path: &str, target: &str| {
        call(&dimmer, "POST", path, &json!({ "target": target, "reason": "", "dry_run": true }))
    };
    let would = ask("/kill", "route:r").json();
    assert_eq!(
        (&would["served"][0], &would["durable"]),
        (&json!("r: the reply sorry, without a language model"), &json!(false))
    );
    assert_eq!(served(&dimmer, "ada"), "old");
    assert_eq!(ask("/kill", "route:nothing").status, 404);
    kill(&dimmer, "route:r");
    let would = ask("/revive", "route:r").json();
    assert!(would["served"][0].as_str().unwrap().contains("else old"), "{would}");
    assert_eq!(served(&dimmer, "ada"), "sorry");
    let audit = read(&dimmer, "/audit/verify");
    assert_eq!((&audit["ok"], &audit["entries"], &audit["number"]), (&json!(true), &json!(1), &json!(1)));
    let me = read(&dimmer, "/me");
    assert_eq!(
        (&me["who"], &me["role"], &me["tokens"]),
        (&json!("local"), &json!("operator"), &json!(false))
    );
}
