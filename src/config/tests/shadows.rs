//! Who gets copies of a route's requests.

use std::time::Duration;

use super::environment::{check, loaded};
use crate::config::Shadow;
use crate::flags::By;
use crate::units::{Percent, PicoUsd};

/// A shadow of the route `r`, behind a prompt, a reply and a model with a price.
fn text(lines: &str) -> String {
    format!(
        "[models.dear]\nprovider = \"sim\"\nprice = {{ input = 1.0, output = 2.0 }}\n[replies.later]\ntext = \"x\"\n[routes.r]\npath = \"/r\"\n[[routes.r.shadow]]\n{lines}\n"
    )
}

fn shadow(lines: &str) -> Shadow {
    let config = loaded(&text(lines));
    let route = config.routes.iter().find(|route| route.name.as_str() == "r").unwrap();
    Shadow::clone(&route.shadows[0])
}

fn warned(lines: &str) -> Vec<String> {
    let about = loaded(&text(lines)).warnings.into_iter().filter(|line| line.contains("shadow \""));
    about.map(|line| line.split_once("shadow \"").unwrap().1.to_owned()).collect()
}

#[test]
fn what_is_not_written_has_its_default() {
    let usual = shadow("name = \"s\"\nmodel = \"dear\"");
    assert_eq!(usual.percent, Percent::from_percent(5.0).unwrap());
    assert_eq!((usual.by, usual.per_day, usual.concurrent), (By::Request, None, 16));
    assert_eq!((usual.server_tools, usual.timeout), (false, Duration::from_secs(120)));
    assert!(usual.params.is_empty() && usual.system_prompt.is_none());
}

#[test]
fn all_that_can_be_written() {
    let all = shadow(
        "name = \"s\"\nmodel = \"dear\"\nsystem_prompt = \"p\"\nparams = { temperature = 0.2, max_tokens = { max = 10 } }\npercent = 0.5\nby = \"tier\"\nbudget = { usd_per_day = 2.5, concurrent = 3 }\nserver_tools = true\ntimeout = \"5s\"",
    );
    assert_eq!(all.system_prompt.unwrap().name.as_str(), "p");
    let edits: Vec<_> =
        all.params.iter().map(|edit| (edit.param.name, edit.set.is_some(), edit.max.is_some())).collect();
    assert_eq!(edits, [("temperature", true, false), ("max_tokens", false, true)]);
    assert_eq!(all.by, By::Attribute(0));
    assert_eq!((all.per_day, all.concurrent), (Some(PicoUsd(2_500_000_000_000)), 3));
    assert_eq!((all.server_tools, all.timeout), (true, Duration::from_secs(5)));
}

#[test]
fn what_cannot_be_a_candidate_is_refused() {
    let wrong = |lines: &str, expected: &str| {
        let errors = super::environment::parsed(&format!("{}{}", super::environment::BASE, text(lines)));
        let errors = errors.err().unwrap_or_else(|| panic!("{lines} was taken"));
        let said: Vec<&str> = errors.faults().iter().map(|fault| fault.message.as_str()).collect();
        assert!(said.iter().any(|message| message.contains(expected)), "{lines}: {said:?}");
    };
    wrong("model = \"dear\"", "name is missing");
    wrong("name = \"s\"", "names nothing that differs");
    wrong("name = \"s\"\nmodel = \"deer\"", "\"deer\" is no model; did you mean \"dear\"?");
    wrong("name = \"s\"\nmodel = \"later\"", "is a reply, which is the same for everybody");
    wrong("name = \"s\"\nsystem_prompt = \"q\"", "\"q\" is no prompt");
    wrong("name = \"s\"\nparams = { temperature.flag = \"f\" }", "no flag decides on it");
    wrong("name = \"s\"\nparams = { store = true }", "copies never say store");
    wrong("name = \"s\"\nmodel = \"dear\"\nby = \"user\"", "nor a declared attribute");
    wrong("name = \"s\"\nmodel = \"dear\"\nbudget = { usd_per_day = 0 }", "nothing would ever be sent");
    wrong("name = \"s\"\nmodel = \"dear\"\nbudget = { usd_per_day = 1e9 }", "write at most 1000000");
    wrong("name = \"s\"\nmodel = \"dear\"\nbudget = { concurrent = 2000 }", "write at most 1024");
    wrong("name = \"s\"\nmodel = \"dear\"\ntimeout = \"2h\"", "write at most \"1h\"");
    wrong(
        "name = \"s\"\nmodel = \"dear\"\n[[routes.r.shadow]]\nname = \"s\"\nmodel = \"dear\"",
        "another shadow of the route has this name",
    );
    let nine: String =
        (0..9).map(|n| format!("\n[[routes.r.shadow]]\nname = \"s{n}\"\nmodel = \"dear\"")).collect();
    wrong(&format!("name = \"s\"\nmodel = \"dear\"{nine}"), "more than 8");
}

#[test]
fn a_reply_needs_somebody_to_be_compared_with() {
    let route = |shadow: &str| {
        format!("[routes.r]\npath = \"/r\"\nmodel = \"sorry\"\n[[routes.r.shadow]]\nname = \"s\"\n{shadow}\n")
    };
    assert_eq!(loaded(&route("model = \"a\"")).routes[1].shadows.len(), 1);
    check(
        &route("system_prompt = \"p\""),
        &[
            r#"4:1: route "r": shadow "s": the route's own model is a reply, so the shadow must say who gets the copies: write model = "…""#,
        ],
    );
}

#[test]
fn a_price_that_nobody_knows_is_said() {
    assert_eq!(warned("name = \"s\"\nmodel = \"dear\""), [""; 0]);
    let [unbounded] = warned("name = \"s\"\nmodel = \"a\"").try_into().unwrap();
    assert!(unbounded.contains("no budget bounds what its copies cost: write models.a.price"), "{unbounded}");
    let [none] = warned("name = \"s\"\nmodel = \"a\"\nbudget = { usd_per_day = 1 }").try_into().unwrap();
    assert!(none.contains("and it gets no copies"), "{none}");
}

#[test]
fn a_candidate_of_another_api_gets_copies() {
    let text = "[providers.an]\ndialect = \"anthropic\"\napi_key = \"${KEY}\"\n[providers.oa]\ndialect = \"openai\"\n\
                api_key = \"${KEY}\"\nbase_url = \"http://127.0.0.1:1/v1\"\n[models.c]\nprovider = \"an\"\n[routes.r]\npath = \"/r\"\n\
                provider = \"oa\"\n[[routes.r.shadow]]\nname = \"s\"\nmodel = \"c\"\n";
    let config = super::environment::parsed(&format!(
        "{}{text}",
        super::environment::BASE.replace("[routes.default]\n", "[routes.default]\nprovider = \"sim\"\n")
    ));
    assert_eq!(config.unwrap().routes[1].shadows.len(), 1);
}
