//! Names with stars, hosts in headers, and prompts as requests get them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};

use crate::config::Prompt;
use crate::flags::{AttributeValue, Context};
use crate::names::{AttributeName, Pattern, ProviderName};
use crate::snapshot::{Endpoint, KeyDigest, KeyRests, KeyWish, PromptPlan, ProviderKey, ProviderKeys};
use crate::units::Secret;

#[test]
fn a_star_stands_for_any_run_of_characters() {
    let check = |pattern: &str, name: &str, want: bool| {
        assert_eq!(Pattern::new(pattern).matches(name), want, "{pattern} against {name}");
    };
    check("claude-sonnet-4-6-*", "claude-sonnet-4-6-20260101", true);
    check("claude-sonnet-4-6-*", "claude-sonnet-4-6-", true);
    check("claude-sonnet-4-6-*", "claude-sonnet-4-6", false);
    check("*-latest", "gpt-4o-latest", true);
    check("*-latest", "gpt-4o-latest-2", false);
    check("gpt-*-mini*", "gpt-4o-mini-2026", true);
    check("gpt-*-mini*", "gpt-4o-maxi", false);
    check("a*a", "a", false);
    check("*", "", true);
    check("exact", "exact", true);
    check("exact", "exactly", false);
}

#[test]
fn a_host_header_has_the_port_only_where_it_is_not_the_schemes_own() {
    let check = |tls: bool, host: &str, port: u16, want: &str| {
        let endpoint = Endpoint { tls, host: host.to_owned(), port };
        assert_eq!(super::build::authority(&endpoint), want);
    };
    check(true, "api.openai.com", 443, "api.openai.com");
    check(true, "api.openai.com", 8443, "api.openai.com:8443");
    check(false, "127.0.0.1", 80, "127.0.0.1");
    check(false, "127.0.0.1", 443, "127.0.0.1:443");
    check(false, "::1", 9000, "[::1]:9000");
}

#[test]
fn prompts_are_escaped_once_and_templates_see_the_context() {
    let names = [AttributeName::from("tier"), AttributeName::from("beta")];
    let custom = [Some(AttributeValue::Text("pro \"x\"")), None];
    let context =
        Context { targeting_key: Some("u\n1"), route: "assistant", custom: &custom, ..Context::default() };
    let check = |source: &str, want: &str| {
        let template = source.contains("{{") || source.contains("{%");
        let prompt = Arc::new(Prompt { name: "p".into(), source: source.to_owned(), template });
        let plan = PromptPlan::new(&prompt).expect("the template parses");
        let text = plan.json_text(&context, &names).expect("the template renders");
        assert_eq!(std::str::from_utf8(&text).expect("JSON is UTF-8"), want);
    };
    check("plain \"quoted\"\n", r#"plain \"quoted\"\n"#);
    check("{{ tier }} on {{ route }}", r#"pro \"x\" on assistant"#);
    check("{{ targeting_key }}", r"u\n1");
    check("[{{ beta }}][{{ nobody }}]", "[][]");
    check("{% if tier %}yes{% else %}no{% endif %}", "yes");
}

/// The keys of a provider, `K0` and on.
fn keys(rests: &KeyRests, names: &[&str]) -> ProviderKeys {
    let key = |name: &&str| {
        let digest = KeyDigest::of(&Secret::new((*name).to_owned()));
        let rest = rests.of(&ProviderName::from("p"), digest);
        let value = HeaderValue::from_str(name).expect("a header");
        ProviderKey { header: header::AUTHORIZATION, value, digest, rest }
    };
    ProviderKeys::new(names.iter().map(key).collect())
}

fn chosen(keys: &ProviderKeys, wish: KeyWish, now: Duration) -> &str {
    let place = keys.choose(wish, || now).expect("there are keys");
    keys.get(place).and_then(|key| key.value.to_str().ok()).expect("a key")
}

const NOW: Duration = Duration::from_secs(1000);

#[test]
fn one_key_or_none_needs_no_choice_and_no_clock() {
    let no_clock = || unreachable!("there is nothing to choose");
    let rests = KeyRests::default();
    for wish in [KeyWish::First, KeyWish::Sticky(Some(1)), KeyWish::Sticky(None)] {
        assert_eq!(keys(&rests, &["a"]).choose(wish, no_clock), Some(0));
        assert_eq!(keys(&rests, &[]).choose(wish, no_clock), None);
    }
}

#[test]
fn a_key_that_is_added_takes_its_share_and_moves_nobody_else() {
    let rests = KeyRests::default();
    let (three, four) = (keys(&rests, &["a", "b", "c"]), keys(&rests, &["a", "b", "new", "c"]));
    let mut shares = std::collections::HashMap::<&str, u32>::new();
    for subject in 0..4000 {
        let wish = KeyWish::Sticky(Some(subject));
        let (before, after) = (chosen(&three, wish, NOW), chosen(&four, wish, NOW));
        assert!(before == after || after == "new", "{subject} went from {before} to {after}");
        *shares.entry(after).or_default() += 1;
    }
    assert!(shares.len() == 4 && shares.values().all(|share| (850..1150).contains(share)), "{shares:?}");
}

#[test]
fn what_rests_is_passed_over_until_it_wakes() {
    let rests = KeyRests::default();
    let three = keys(&rests, &["a", "b", "c"]);
    let rest = |place: usize, until: Duration| three.get(place).expect("a key").rest.rest_until(until);
    assert_eq!(chosen(&three, KeyWish::Sticky(None), NOW), "a");
    let subject = (0..).find(|one| chosen(&three, KeyWish::Sticky(Some(*one)), NOW) == "a");
    let sticky = KeyWish::Sticky(subject);
    rest(0, NOW + Duration::from_secs(10));
    assert_eq!(chosen(&three, KeyWish::Sticky(None), NOW), "b");
    let second = chosen(&three, sticky, NOW).to_owned();
    assert_ne!(second, "a");
    assert_eq!(chosen(&three, KeyWish::First, NOW), "a", "what lives in the first account is only there");
    assert_eq!(chosen(&three, sticky, NOW + Duration::from_secs(10)), "a");
    // All rest: the one that wakes first. A shorter rest never ends a longer one.
    rest(1, NOW + Duration::from_secs(30));
    rest(1, NOW + Duration::from_secs(1));
    rest(2, NOW + Duration::from_secs(20));
    assert_eq!(three.resting(NOW), 3);
    assert_eq!(chosen(&three, sticky, NOW), "a");
    assert_eq!(
        chosen(&three, sticky, NOW + Duration::from_secs(25)),
        if second == "b" { "a" } else { second.as_str() }
    );
}

#[test]
fn a_rest_outlives_the_configuration_that_it_began_in() {
    let rests = KeyRests::default();
    let before = keys(&rests, &["a", "b"]);
    before.get(0).expect("a key").rest.rest_until(NOW + Duration::from_secs(9));
    drop(before);
    rests.forget_strangers(NOW);
    let after = keys(&rests, &["b", "a"]);
    assert_eq!(after.resting(NOW), 1);
    assert_eq!(chosen(&after, KeyWish::First, NOW), "b");
    let held = KeyWish::Held(KeyDigest::of(&Secret::new("a".to_owned())));
    assert_eq!(chosen(&after, held, NOW), "a", "held state is only where it is, rest or not");
    let gone = KeyWish::Held(KeyDigest::of(&Secret::new("gone".to_owned())));
    assert_eq!(chosen(&after, gone, NOW), "b");
    drop(after);
    rests.forget_strangers(NOW + Duration::from_secs(9));
    assert_eq!(keys(&rests, &["a"]).resting(NOW), 0);
}
