//! Names with stars, hosts in headers, and prompts as requests get them.

use std::sync::Arc;

use crate::config::Prompt;
use crate::flags::{AttributeValue, Context};
use crate::names::AttributeName;
use crate::names::Pattern;
use crate::snapshot::{Endpoint, PromptPlan};

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
