//! Any flags, any callers: the evaluation never panics, always gives a variant of the flag, gives the same one again, and a
//! raised percentage of the first rule only adds users to it.
//!
//! Up to the first NUL the text of `[flags]` and `[segments]`, behind it what is known of the callers, one text each.

use std::path::Path;

use dimmer::config::parse;
use dimmer::flags::{AttributeValue, Context, Flag, FlagState, coverage, evaluate};
use dimmer::units::Percent;

use super::environment::Fixed;

/// Enough around the flags for a file to be loaded.
const BEFORE: &str = "
[providers.sim]
dialect = \"mock\"
[models.a]
provider = \"sim\"
[models.b]
provider = \"sim\"
[context.attributes]
tier = { from = \"header:x-tier\", order = [\"free\", \"pro\", \"enterprise\"] }
region = { from = \"header:x-region\" }
internal = { from = \"header:x-internal\", type = \"bool\" }
age = { from = \"header:x-age\", type = \"number\" }
[routes.default]
";

pub(crate) fn hold(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (flags, callers) = text.split_once('\0').unwrap_or((text, "u1\0pro"));
    if flags.contains("file:") {
        return;
    }
    let text = format!("{BEFORE}{flags}");
    let Ok(config) = parse(&text, "routes.toml", Path::new("/nonexistent"), &Fixed) else {
        return;
    };
    let words: Vec<&str> = callers.split('\0').collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let number = word(3).parse().unwrap_or(f64::NAN);
    let custom = [
        Some(AttributeValue::Text(word(1))),
        Some(AttributeValue::Text(word(2))),
        (word(0).len() % 3 != 0).then_some(AttributeValue::Bool(word(0).len() % 3 == 1)),
        Some(AttributeValue::Number(number)),
    ];
    let context = Context {
        targeting_key: Some(word(0)).filter(|key| !key.is_empty()),
        conversation: words.get(4).copied(),
        request_id: word(5),
        route: "default",
        request_model: words.get(6).copied(),
        request_dialect: "openai",
        request_endpoint: "chat.completions",
        custom: &custom,
        ..Context::default()
    };
    for flag in &config.flags {
        check(flag, &context);
    }
}

fn check(flag: &Flag, context: &Context<'_>) {
    assert_eq!(coverage(flag).len(), flag.rules.len());
    let found = evaluate(flag, context, &FlagState::default());
    assert!(flag.variant(found.variant).is_some());
    assert_eq!(found, evaluate(flag, context, &FlagState::default()), "the same caller, the same variant");
    let killed = FlagState { killed: true, ..FlagState::default() };
    assert_eq!(evaluate(flag, context, &killed).variant, flag.off);

    let mut taken = None;
    for percent in [0.0, 0.0001, 1.0, 33.3333, 50.0, 99.9999, 100.0] {
        let percents = [Percent::from_percent(percent)];
        let state = FlagState { percents: &percents, ..FlagState::default() };
        let now = evaluate(flag, context, &state);
        let by_first = (now.rule == Some(0)).then_some(now.variant);
        assert!(taken.is_none() || by_first == taken, "a raised percentage moves nobody out, nor elsewhere");
        taken = by_first;
    }
}
