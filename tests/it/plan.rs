//! What another file or another percentage would change: held against what it does change, user by user, through the gateway.

mod files;
mod seen;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::admin::{call, kill, problem};
use crate::harness::{Connection, Dimmer, listeners};

/// So many users ask once each.
const USERS: usize = 240;

/// Everything that a user is given: flag → variant.
type Given = BTreeMap<String, String>;

pub(crate) const CONFIG: &str = r#"
[context]
targeting_key = ["header:x-user-id"]
[context.attributes]
tier = { from = "header:x-user-tier", order = ["free", "pro", "enterprise"] }
beta = { from = "header:x-user-beta", type = "bool" }
company = { from = "header:x-user-company" }
[providers.sim]
dialect = "mock"
[models.old]
provider = "sim"
mock = { words = 1, first_token = "0s", per_token = "0s" }
[models.new]
provider = "sim"
mock = { words = 1, first_token = "0s", per_token = "0s" }
[prompts.a]
text = "Be brief."
[prompts.b]
text = "Be kind."
[prompts.c]
text = "Be exact."
[segments.testers]
when = { beta = true }
[flags.model]
owner = "o"
permanent = true
default = "old"
[[flags.model.rules]]
name = "canary"
when = { tier = { at_least = "pro" } }
percent = 20
serve = "new"
[flags.prompt]
owner = "o"
permanent = true
default = "as_sent"
[[flags.prompt.rules]]
name = "abc"
split = { a = 34, b = 33, c = 33 }
percent = 50
[flags.heat]
owner = "o"
permanent = true
default = "as_sent"
[[flags.heat.rules]]
name = "cooler"
when = { none = [{ segment = "testers" }] }
percent = 25
serve = 0.2
[routes.r]
path = "/r"
model.flag = "model"
system_prompt.flag = "prompt"
params.temperature.flag = "heat"
provider = "sim"
"#;

pub(crate) fn start() -> Dimmer {
    Dimmer::start(&(listeners("workers = 1") + CONFIG))
}

pub(crate) fn user(number: usize) -> String {
    format!("someone-{number}@example.com")
}

/// Who they are: a third of each tier, one in five tests.
fn attributes(number: usize) -> [(&'static str, &'static str); 2] {
    let tier = ["free", "pro", "enterprise"][number % 3];
    [("tier", tier), ("beta", if number.is_multiple_of(5) { "true" } else { "false" })]
}

/// Asks once for each, over one connection; what each was given.
pub(crate) fn ask(dimmer: &Dimmer, users: usize) -> Vec<Given> {
    let mut connection = Connection::open(dimmer.data);
    let body = r#"{"model":"old","messages":[{"role":"user","content":"Hello."}]}"#;
    let given = (0..users).map(|number| {
        let [(_, tier), (_, beta)] = attributes(number);
        let headers = format!(
            "content-type: application/json\r\nx-user-id: {}\r\nx-user-tier: {tier}\r\nx-user-beta: {beta}\r\n\
             x-user-company: company-{}\r\n",
            user(number),
            number % 2
        );
        connection.send_request("POST", "/r/v1/chat/completions", &headers, body.as_bytes());
        let answer = connection.answer("POST");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let flags = answer.header("x-dimmer-flags").unwrap_or_default();
        flags.split(", ").filter(|one| !one.is_empty()).map(parse).collect()
    });
    given.collect()
}

/// `model=new;SPLIT`
fn parse(flag: &str) -> (String, String) {
    let (key, rest) = flag.split_once('=').unwrap();
    (key.to_owned(), rest.split(';').next().unwrap().to_owned())
}

pub(crate) fn plan(dimmer: &Dimmer, toml: &str) -> Value {
    let answer = call(dimmer, "POST", "/plan", &json!({ "toml": toml, "name": "new.toml" }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// From what to what: how many users.
type Moves = BTreeMap<(Option<String>, Option<String>), u64>;

fn moves(of: &Value) -> Moves {
    let variant = |value: &Value| value.as_str().map(str::to_owned);
    let moves = of["moves"].as_array().unwrap().iter();
    moves.map(|one| ((variant(&one["from"]), variant(&one["to"])), one["users"].as_u64().unwrap())).collect()
}

/// What happened to one flag's users.
fn really(before: &[Given], after: &[Given], flag: &str) -> Moves {
    let mut moves = Moves::new();
    for (was, is) in before.iter().zip(after) {
        let (was, is) = (was.get(flag).cloned(), is.get(flag).cloned());
        if was != is {
            *moves.entry((was, is)).or_default() += 1;
        }
    }
    moves
}

pub(crate) fn flag<'p>(plan: &'p Value, key: &str) -> &'p Value {
    let flags = plan["flags"].as_array().unwrap();
    flags.iter().find(|flag| flag["flag"] == key).unwrap_or(&Value::Null)
}

pub(crate) fn lines(plan: &Value, what: &str) -> String {
    let lines = plan[what].as_array().unwrap().iter();
    let said = lines.map(|line| line["said"].as_str().or(line.as_str()).unwrap());
    said.collect::<Vec<_>>().join("\n")
}

/// What explain says of one user, for each flag.
fn explained(dimmer: &Dimmer, number: usize) -> Given {
    let [tier, beta] = attributes(number);
    let attributes: BTreeMap<_, _> = [tier, beta].into();
    let question =
        json!({ "route": "r", "targeting_key": user(number), "attributes": attributes, "model": "old" });
    let answer = call(dimmer, "POST", "/explain", &question);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let flags = told["flags"].as_array().unwrap().iter();
    flags
        .map(|flag| (flag["flag"].as_str().unwrap().to_owned(), flag["variant"].as_str().unwrap().to_owned()))
        .collect()
}

/// One edit after the other: what to look for, what stands in its place, and what the plan says besides.
const EDITS: &[(&str, &[(&str, &str)], &str)] = &[
    ("a percentage is raised", &[("percent = 20\n", "percent = 45\n")], "rules.canary.percent was 20, is 45"),
    ("a split's is raised", &[("percent = 50\n", "percent = 80\n")], "rules.abc.percent was 50, is 80"),
    (
        "other weights",
        &[("{ a = 34, b = 33, c = 33 }", "{ a = 20, b = 40, c = 40 }")],
        "flag `prompt`: rule `abc` splits otherwise",
    ),
    ("another order", &[("{ a = 20, b = 40, c = 40 }", "{ c = 40, a = 20, b = 40 }")], "splits otherwise"),
    (
        "another salt",
        &[("[flags.heat]\n", "[flags.heat]\nsalt = \"again\"\n")],
        "flag `heat`: rule `cooler` has another salt: everybody is drawn anew",
    ),
    (
        "a new segment and a rule for it",
        &[
            (
                "[segments.testers]",
                "[segments.insiders]\nwhen = { beta = true, tier = \"enterprise\" }\n[segments.testers]",
            ),
            (
                "[[flags.model.rules]]",
                "[[flags.model.rules]]\nname = \"insiders\"\nwhen = { segment = \"insiders\" }\nserve = \"new\"\n[[flags.model.rules]]",
            ),
        ],
        "segment `insiders` is new",
    ),
    (
        "another segment",
        &[("when = { beta = true }", "when = { beta = false }")],
        "segment `testers`: when.beta was true, is false",
    ),
    (
        "another default",
        &[(
            "[flags.heat]\nsalt = \"again\"\nowner = \"o\"\npermanent = true\ndefault = \"as_sent\"",
            "[flags.heat]\nsalt = \"again\"\nowner = \"o\"\npermanent = true\ndefault = 0.7",
        )],
        "flag `heat`: its default was `as_sent`, is `0.7`",
    ),
    (
        "a percentage is lowered",
        &[("percent = 45\n", "percent = 10\n")],
        "rules.canary.percent was 45, is 10",
    ),
    (
        "hardly any control",
        &[("percent = 10\n", "percent = 96\n")],
        "flag `model`: rule `canary` leaves less than 5 %",
    ),
    (
        "a flag goes, another comes",
        &[
            ("params.temperature.flag = \"heat\"", "params.top_p.flag = \"width\""),
            (
                "[routes.r]",
                "[flags.width]\nowner = \"o\"\nexpires = 2020-01-01\ndefault = \"as_sent\"\n\
                 rules = [{ name = \"half\", percent = 50, serve = 0.5 }]\n[routes.r]",
            ),
        ],
        "flag \"width\": has expired: it still decides",
    ),
];

#[test]
fn a_plan_names_exactly_who_moves() {
    let mut dimmer = start();
    let mut config = listeners("workers = 1") + CONFIG;
    let mut before = ask(&dimmer, USERS);
    for (what, edits, says) in EDITS {
        for (from, to) in *edits {
            assert!(config.contains(from), "{what}: {from}");
            config = config.replacen(from, to, 1);
        }
        let planned = plan(&dimmer, &config);
        assert_eq!(planned["ok"], true, "{what}: {planned:#}");
        assert_eq!(planned["seen"]["users"], USERS, "{what}");
        assert_eq!(
            (&planned["seen"]["of"], &planned["seen"]["whole"]),
            (&json!(USERS), &json!(true)),
            "{what}"
        );
        let said = [lines(&planned, "changes"), lines(&planned, "warnings")].join("\n");
        assert!(said.contains(says), "{what}: {said}");
        for number in [0, 1, 2, 7, 15] {
            assert_eq!(explained(&dimmer, number), before[number], "{what}: before");
        }
        dimmer.reload_and_wait(&config);
        let after = ask(&dimmer, USERS);
        for number in [0, 1, 2, 7, 15] {
            assert_eq!(explained(&dimmer, number), after[number], "{what}: after");
        }
        let mut somebody = false;
        for key in ["model", "prompt", "heat", "width"] {
            let of = flag(&planned, key);
            let (really, planned) =
                (really(&before, &after, key), if of.is_null() { Moves::new() } else { moves(of) });
            assert_eq!(planned, really, "{what}: {key}");
            somebody |= !really.is_empty();
            if !of.is_null() {
                let users: u64 = really.values().sum();
                assert_eq!((of["moved"].as_u64(), &of["open"]), (Some(users), &json!([])), "{what}: {key}");
            }
        }
        assert!(somebody, "{what}: the edit moves somebody, or it proves nothing");
        before = after;
    }
    dimmer.assert_alive();
}

#[test]
fn a_raised_percentage_moves_nobody_out() {
    let dimmer = start();
    ask(&dimmer, USERS);
    let config = listeners("workers = 1") + CONFIG;
    let rule = |toml: &str, key: &str| flag(&plan(&dimmer, toml), key)["rules"][0].clone();
    let raised = rule(&config.replace("percent = 20\n", "percent = 60\n"), "model");
    assert!(raised["before"].as_u64().unwrap() > 10, "{raised}");
    assert_eq!(raised["leave"], 0, "{raised}");
    let join = raised["join"].as_u64().unwrap();
    assert!(join > 20, "{raised}");
    assert_eq!(raised["said"], format!("raised from 20 % to 60 %: {join} users join, nobody leaves"));
    let raised = rule(&config.replace("percent = 50\n", "percent = 90\n"), "prompt");
    assert_eq!(
        (&raised["leave"], &raised["percent_from"], &raised["percent_to"]),
        (&json!(0), &json!(50.0), &json!(90.0))
    );
    let lowered = rule(&config.replace("percent = 50\n", "percent = 10\n"), "prompt");
    assert_eq!(lowered["join"], 0, "{lowered}");
    assert!(lowered["leave"].as_u64().unwrap() > 50, "{lowered}");
    let as_it_is = plan(&dimmer, &config);
    assert_eq!(
        (&as_it_is["flags"], &as_it_is["changes"], &as_it_is["warnings"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert_eq!(as_it_is["unchanged"], json!(["model", "prompt", "heat"]));
}

#[test]
fn a_preview_says_what_setting_it_does() {
    let dimmer = start();
    let before = ask(&dimmer, USERS);
    for (key, rule, percent) in [("model", "canary", 37.5), ("prompt", "abc", 99.0), ("heat", "cooler", 0.0)]
    {
        let path = format!("/flags/{key}/rules/{rule}/preview");
        let answer = call(&dimmer, "POST", &path, &json!({ "percent": percent }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json();
        assert_eq!(
            (&told["seen"], &told["window"], &told["percent"]),
            (&json!(USERS), &json!("1h"), &json!(percent))
        );
        let set = json!({ "percent": percent, "reason": "a test" });
        assert_eq!(call(&dimmer, "PATCH", &format!("/flags/{key}/rules/{rule}"), &set).status, 200);
        let after = ask(&dimmer, USERS);
        let really = really(&before, &after, key);
        assert!(!really.is_empty() && moves(&told) == really, "{told:#} {really:?}");
        let moved: u64 = really.values().sum();
        assert_eq!(told["moved"], moved);
        assert!((told["share"].as_f64().unwrap() - moved as f64 / USERS as f64).abs() < 1e-9);
        // It is set now: nobody moves any more.
        let again = call(&dimmer, "POST", &path, &json!({ "percent": percent, "window": "10m" })).json();
        assert_eq!(
            (&again["moves"], &again["window"], &again["moved"]),
            (&json!([]), &json!("10m"), &json!(0))
        );
        assert_eq!(again["percent_from"], percent);
    }
    let refused = |path: &str, body: Value| problem(&call(&dimmer, "POST", path, &body));
    let path = "/flags/model/rules/canary/preview";
    assert!(refused(path, json!({ "percent": 101 })).2.contains("from 0 to 100"));
    assert!(refused(path, json!({ "percent": 1, "window": "soon" })).2.starts_with("window: "));
    assert!(refused(path, json!({ "percent": 1, "reason": "x" })).2.contains("unknown field"));
    let (status, _, message) = refused("/flags/model/rules/cannary/preview", json!({ "percent": 1 }));
    assert!(status == 404 && message.contains("did you mean \"canary\""), "{message}");
}

#[test]
fn what_was_set_and_killed_is_a_part_of_it() {
    let mut dimmer = start();
    dimmer.expect_log("an override was dropped");
    let config = listeners("workers = 1") + CONFIG;
    let set = json!({ "percent": 80, "reason": "a test" });
    assert_eq!(call(&dimmer, "PATCH", "/flags/model/rules/canary", &set).status, 200);
    let before = ask(&dimmer, USERS);
    // The file says what it said: what was set goes on.
    let same = plan(&dimmer, &config);
    assert_eq!((&same["flags"], &same["warnings"]), (&json!([]), &json!([])), "{same:#}");
    // The file says something newer: what was set is dropped, and users move from there.
    let newer = config.replace("percent = 20\n", "percent = 30\n");
    let planned = plan(&dimmer, &newer);
    let said = lines(&planned, "warnings");
    assert!(
        said.contains(
            "rule `canary` was set to 80 % by local when the file said 20 %; the new file says 30 %"
        ),
        "{said}"
    );
    assert_eq!(flag(&planned, "model")["rules"][0]["percent_from"], 80.0);
    dimmer.reload_and_wait(&newer);
    let after = ask(&dimmer, USERS);
    assert_eq!(moves(flag(&planned, "model")), really(&before, &after, "model"));
    kill(&dimmer, "flag:heat");
    kill(&dimmer, "flag:prompt/b");
    let edited = newer
        .replace("percent = 25\n", "percent = 75\n")
        .replace("split = { a = 34, b = 33, c = 33 }", "serve = \"a\"");
    let planned = plan(&dimmer, &edited);
    assert_eq!(flag(&planned, "heat")["moved"], 0, "{planned:#}");
    let said = lines(&planned, "warnings");
    for part in [
        "flag `heat` is killed, and stays so",
        "flag:prompt/b is killed, and the new file has no such thing",
        "flag `prompt`: its variant `b` is gone:",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
