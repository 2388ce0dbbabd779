//! The chain of a route, what leads there, and whom a model's `allow` lets through.

use super::environment::{check, loaded};
use crate::config::{FallbackOn, Target};
use crate::flags::Condition;

/// Keys of a route `r`, behind a model and a reply more.
fn route(lines: &str) -> String {
    format!(
        "[models.g]\nprovider = \"sim\"\nallow = {{ tier = {{ at_least = \"pro\" }} }}\n[replies.off]\nerror = \"x\"\n[providers.an]\ndialect = \"anthropic\"\napi_key = \"${{KEY}}\"\n[models.c]\nprovider = \"an\"\n[routes.r]\npath = \"/r\"\n{lines}\n"
    )
}

/// The warnings about the route's fallback.
fn warned(lines: &str, expected: &[&str]) {
    let text = route(lines).replace("[routes.r]\n", "[routes.r]\nprovider = [\"sim\", \"an\"]\n");
    // The default route cannot guess among two providers.
    let config = loaded(&format!("provider = [\"sim\", \"an\"]\n{text}"));
    let about = config.warnings.iter().filter(|line| line.contains("fallback"));
    let said: Vec<&str> =
        about.filter_map(|line| line.split_once(": route \"r\": ")).map(|(_, end)| end).collect();
    assert_eq!(said, expected, "{lines}");
}

#[test]
fn models_and_replies_in_order_and_what_leads_there() {
    let config = loaded("[routes.r]\npath = \"/r\"\nfallback = [\"b\", \"sorry\", \"a\"]\n");
    let names: Vec<&str> = config.routes[1].fallback.iter().map(Target::name).collect();
    assert_eq!(names, ["b", "sorry", "a"]);
    let causes = |lines: &str| -> Vec<&str> {
        let config = loaded(&format!("[routes.r]\npath = \"/r\"\nfallback = [\"a\"]\n{lines}\n"));
        let on = config.routes[1].fallback_on;
        FallbackOn::ALL.into_iter().filter(|cause| on.has(*cause)).map(FallbackOn::as_str).collect()
    };
    assert_eq!(causes(""), ["killed", "breaker", "denied", "connect", "429", "5xx"]);
    assert_eq!(causes("fallback_on = [\"timeout\", \"killed\"]"), ["killed", "timeout"]);
    assert_eq!(causes("fallback_on = []"), [""; 0]);
}

#[test]
fn a_tier_guard_is_a_condition_like_any_other() {
    let config = loaded(
        "[models.g]\nprovider = \"sim\"\nallow = { any = [{ tier = { at_least = \"pro\" } }, { internal = true }] }\n",
    );
    let allow = |name: &str| &config.models.iter().find(|model| model.name.as_str() == name).unwrap().allow;
    assert!(matches!(allow("g"), Condition::Any(parts) if parts.len() == 2));
    assert!(matches!(allow("a"), Condition::Always));
    check(
        "[models.g]\nprovider = \"sim\"\nallow = { tier = { at_least = \"gold\" }, plan = \"x\", segment = \"s\" }\n",
        &[
            r#"3:31: model "g": allow: tier: "gold" is no value of the attribute's order; known: free, pro, enterprise"#,
            r#"3:41: model "g": allow: "plan" is no attribute: declare it in [context.attributes]"#,
            r#"3:63: model "g": allow: "s" is no segment"#,
        ],
    );
}

#[test]
fn a_segment_that_only_a_tier_guard_uses_is_used() {
    let config = loaded(
        "[segments.s]\nwhen = { tier = \"pro\" }\n[models.g]\nprovider = \"sim\"\nallow = { segment = \"s\" }\n",
    );
    assert!(!config.warnings.iter().any(|line| line.contains("segment")), "{:?}", config.warnings);
}

#[test]
fn what_can_never_answer_is_warned_of() {
    warned("fallback = [\"g\", \"a\", \"sorry\", \"off\"]", &[]);
    warned(
        "fallback = [\"off\", \"a\"]",
        &[
            "fallback: \"a\" can never answer: \"off\" before it fits every request; put it first, or take it out",
        ],
    );
    warned(
        "fallback = [\"a\", \"g\"]",
        &[
            "fallback: the `allow` of model \"g\" refuses some callers, and nothing behind it takes them: they get an error; add a model without `allow`, or a reply",
        ],
    );
    warned("fallback_on = [\"killed\"]", &["fallback_on does nothing: the route has no fallback"]);
    warned(
        "fallback = [\"a\"]\nfallback_on = []",
        &["fallback_on is empty: no model of the fallback is ever tried"],
    );
    warned("model = \"c\"\nfallback = [\"a\", \"c\"]", &[]);
}

#[test]
fn a_model_of_another_api_can_stand_in() {
    let text = route("provider = \"an\"\nmodel = \"c\"\nfallback = [\"o\"]").replace(
        "[routes.r]",
        "[providers.op]\ndialect = \"openai\"\napi_key = \"${KEY}\"\n[models.o]\nprovider = \"op\"\n[routes.r]",
    );
    let config = loaded(&text.replacen("[models.g]", "provider = [\"sim\"]\n[models.g]", 1));
    assert!(!config.warnings.iter().any(|line| line.contains("\"o\"")), "{:?}", config.warnings);
}

#[test]
fn a_fallback_that_takes_less_is_warned_of() {
    let models = "[models.gpt-4o]\nprovider = \"sim\"\n[models.\"gpt-3.5-turbo\"]\nprovider = \"sim\"\n";
    let config = loaded(&format!(
        "{models}[routes.r]\npath = \"/r\"\nmodel = \"gpt-4o\"\nfallback = [\"gpt-3.5-turbo\", \"a\"]\n"
    ));
    let about: Vec<&String> = config.warnings.iter().filter(|line| line.contains("fallback")).collect();
    let said = "route \"r\": fallback: \"gpt-3.5-turbo\" gets requests that are made for \"gpt-4o\": it";
    assert!(about.len() == 1 && about[0].contains(said), "{about:?}");
    assert!(about[0].contains("reads 16385 tokens at most, not 128000"), "{about:?}");
}
