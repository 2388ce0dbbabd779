//! How two files differ, in words. Who moves is held against the gateway itself, in `tests/it/plan.rs`.

use std::path::Path;

use super::{differences, words};
use crate::config::{Config, ProcessEnvironment, parse};
use crate::report::plan::{RuleMoves, window_words};
use crate::units::Percent;

const BASE: &str = r#"
[server]
drain = "30s"
[providers.sim]
dialect = "mock"
[models.m]
provider = "sim"
price = { input = 1, output = 2 }
[prompts.p]
text = "Be brief."
[flags.f]
owner = "o"
permanent = true
default = "m"
[[flags.f.rules]]
name = "one"
percent = 10
serve = "m"
[[flags.f.rules]]
name = "two"
split = { m = 50, as_sent = 50 }
percent = 12
[routes.r]
path = "/r"
model.flag = "f"
system_prompt = "p"
fallback = ["m"]
provider = "sim"
"#;

fn config(toml: &str) -> Config {
    let env = ProcessEnvironment { now_s: 0 };
    parse(toml, "f", Path::new("."), &env).unwrap_or_else(|errors| panic!("{errors}"))
}

fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(BASE.contains(from), "{from}");
    let changes = differences::of(&config(BASE), &config(&BASE.replacen(from, to, 1)));
    let said: Vec<&str> = changes.iter().map(|change| change.said.as_str()).collect();
    assert_eq!(said, expected, "{from} → {to}");
}

#[test]
fn differences_are_said_key_by_key() {
    check("drain = \"30s\"", "drain = \"60s\"", &["server: drain was \"30s\", is \"60s\""]);
    check("drain = \"30s\"", "", &["server: drain was \"30s\", and is not said any more"]);
    check("input = 1,", "input = 2.5,", &["model `m`: price.input was 1, is 2.5"]);
    check("input = 1,", "input = 1.0,", &[]);
    check("[models.m]", "# a comment\n\n[models.m]", &[]);
    check("percent = 10\n", "percent = 20\n", &["flag `f`: rules.one.percent was 10, is 20"]);
    check(
        "split = { m = 50, as_sent = 50 }",
        "split = { as_sent = 50, m = 50 }",
        &["flag `f`: rules.two.split was {\"m\":50,\"as_sent\":50}, is {\"as_sent\":50,\"m\":50}"],
    );
    check("fallback = [\"m\"]", "fallback = []", &["route `r`: fallback was [\"m\"], is []"]);
    check("[routes.r]", "[models.n]\nprovider = \"sim\"\n[routes.r]", &["model `n` is new"]);
    check("system_prompt = \"p\"", "", &["route `r`: system_prompt was \"p\", and is not said any more"]);
    check(
        "[[flags.f.rules]]\nname = \"one\"\npercent = 10\nserve = \"m\"\n",
        "[[flags.f.rules]]\nname = \"zero\"\npercent = 10\nserve = \"m\"\n",
        &[
            "flag `f`: rules.one was {\"percent\":10,\"serve\":\"m\"}, and is not said any more",
            "flag `f`: rules.zero is {\"percent\":10,\"serve\":\"m\"}, and was not said",
        ],
    );
}

#[test]
fn the_order_of_rules_and_long_texts_are_said() {
    let rules = "[[flags.f.rules]]\nname = \"one\"\npercent = 10\nserve = \"m\"\n";
    let turned = BASE.replace(rules, "").replace("[routes.r]", &format!("{rules}[routes.r]"));
    let changes = differences::of(&config(BASE), &config(&turned));
    assert_eq!(changes[0].said, "flag `f`: the order of rules was one, two, is two, one");
    let long = "Be brief.\n".repeat(40);
    let text = |text: &str| config(&BASE.replace("\"Be brief.\"", &format!("'''{text}'''")));
    let changes = differences::of(&text(&long), &text(&format!("{long}And kind.")));
    assert_eq!(
        changes[0].said,
        "prompt `p`: text differs: 400 characters before, 409 now, from line 41 of the text on"
    );
}

#[test]
fn what_a_rule_does_is_a_sentence() {
    let percent = |number: f64| Percent::from_percent(number);
    let check = |was: Option<Percent>,
                 is: Option<Percent>,
                 [before, after, join, leave]: [u64; 4],
                 expected: &str| {
        assert_eq!(words::rule((was, is), RuleMoves { before, after, join, leave }, false), expected);
    };
    check(
        percent(10.0),
        percent(25.0),
        [10, 25, 15, 0],
        "raised from 10 % to 25 %: 15 users join, nobody leaves",
    );
    check(
        percent(10.0),
        percent(25.0),
        [1, 2, 1, 0],
        "raised from 10 % to 25 %: 1 user joins, nobody leaves",
    );
    check(percent(25.0), percent(10.0), [25, 10, 0, 15], "lowered from 25 % to 10 %: nobody joins, 15 leave");
    check(percent(25.0), percent(25.0), [2, 2, 1, 1], "at 25 % as before: 1 user joins, 1 leaves");
    check(
        percent(10.0),
        percent(25.0),
        [10, 5, 0, 5],
        "raised from 10 % to 25 %: nobody joins, 5 leave (not for its percentage: what it serves or asks for differs, or a rule \
         above takes them)",
    );
    check(None, percent(5.0), [0, 7, 7, 0], "new, at 5 %: it takes 7 users");
    check(percent(5.0), None, [7, 0, 0, 7], "gone; at 5 % it took 7 users");
}

#[test]
fn a_window_is_said_as_people_write_it() {
    let said = |seconds| window_words(std::time::Duration::from_secs(seconds));
    assert_eq!([604_800, 3600, 600, 90, 0].map(said), ["7d", "1h", "10m", "90s", "0s"]);
}
