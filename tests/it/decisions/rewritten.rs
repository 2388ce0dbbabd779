//! What a decision changes in a request, byte for byte as the provider sees it.

use super::World;
use crate::upstreams::Api;

/// What a request becomes at the provider, byte for byte.
fn check_rewrite(world: &World, route: &str, api: Api, sent: &str, expected: &str) {
    let answer = world.post(&format!("{route}{}", api.path()), "x-user-id: ada\r\n", sent);
    assert_eq!(answer.status, 200, "{route} {sent}: {}", answer.text());
    let found = world.upstream(api).last();
    assert_eq!(String::from_utf8_lossy(&found.body), expected, "{route} {sent}");
    assert_eq!(found.values("content-length"), [expected.len().to_string()], "{route}");
}

#[test]
fn a_system_prompt_changes_only_its_own_bytes() {
    let modes = ["replace", "prepend", "append", "if_absent"];
    let routes = modes.iter().map(|mode| {
        format!(
            "[routes.{mode}]\npath = \"/{mode}\"\nsystem_prompt.flag = \"prompt\"\nsystem_prompt.mode = \"{mode}\"\n"
        )
    });
    let config = "[prompts.new]\ntext = \"New \\\"one\\\".\\nZażółć\"\n\
                  [flags.prompt]\nowner = \"o\"\npermanent = true\ndefault = \"new\"\n";
    let world = World::start(&(config.to_owned() + &routes.collect::<String>()));
    let new = r#"New \"one\".\nZażółć"#;
    let chat = |system: &str| {
        format!(
            r#"{{ "x" : 1.50e+3, "messages":[{system} {{"role":"user" ,"content":"H\u0069"}}],"model":"m","y":[]}}"#
        )
    };
    let messages = |system: &str| {
        format!(
            r#"{{ "x" : 1.50e+3,{system} "max_tokens":9,"messages":[{{"role":"user" ,"content":"H\u0069"}}],"model":"m"}}"#
        )
    };
    let own = r#"{"role":"system","content":"O\u006cd","name":"n"},"#;
    for (mode, expected) in [
        ("replace", format!(r#"{{"role":"system","content":"{new}","name":"n"}},"#)),
        ("prepend", format!(r#"{{"role":"system","content":"{new}"}},{own}"#)),
        ("append", format!(r#"{own}{{"role":"system","content":"{new}"}},"#)),
        ("if_absent", own.to_owned()),
    ] {
        let route = format!("/{mode}");
        check_rewrite(&world, &route, Api::Chat, &chat(own), &chat(&expected));
        let absent = format!(r#"{{"role":"system","content":"{new}"}},"#);
        check_rewrite(&world, &route, Api::Chat, &chat(""), &chat(&absent));
    }
    let own = r#""system" : "O\u006cd","#;
    for (mode, expected) in [
        ("replace", format!(r#""system" : "{new}","#)),
        ("prepend", format!(r#""system" : "{new}\n\nO\u006cd","#)),
        ("append", format!(r#""system" : "O\u006cd\n\n{new}","#)),
        ("if_absent", own.to_owned()),
    ] {
        check_rewrite(&world, &format!("/{mode}"), Api::Messages, &messages(own), &messages(&expected));
        let absent = messages("").replacen('{', &format!(r#"{{"system":"{new}","#), 1);
        check_rewrite(&world, &format!("/{mode}"), Api::Messages, &messages(""), &absent);
    }
    let own = r#""system":[{"type":"text","text":"Old","cache_control":{"type":"ephemeral"}}],"#;
    for (mode, expected) in [
        (
            "replace",
            format!(r#""system":[{{"type":"text","text":"{new}","cache_control":{{"type":"ephemeral"}}}}],"#),
        ),
        ("prepend", own.replace('[', &format!(r#"[{{"type":"text","text":"{new}"}},"#))),
        ("append", own.replace(']', &format!(r#",{{"type":"text","text":"{new}"}}]"#))),
        ("if_absent", own.to_owned()),
    ] {
        check_rewrite(&world, &format!("/{mode}"), Api::Messages, &messages(own), &messages(&expected));
    }
}

#[test]
fn a_prompt_is_a_template_over_the_context() {
    let config = r#"
[context.attributes]
plan = { from = "header:x-plan" }
beta = { from = "header:x-beta", type = "bool" }
[prompts.told]
text = "You speak to {{ targeting_key }} ({{ plan or 'nobody knows' }}){% if beta %}, who tries {{ request.model }}{% endif %} on {{ route }}."
[prompts.broken]
text = "{% if plan %}{{ plan.a.b }}{% endif %}"
[routes.r]
path = "/r"
system_prompt = "told"
[routes.broken]
path = "/broken"
system_prompt = "broken"
"#;
    let world = World::start(config);
    let prompt = |route: &str, headers: &str| {
        assert_eq!(world.ask(Api::Chat, route, headers).status, 200);
        let body: serde_json::Value = serde_json::from_slice(&world.chat.last().body).unwrap();
        body["messages"][0]["content"].as_str().unwrap().to_owned()
    };
    for (headers, expected) in [
        ("x-user-id: ada\r\n", "You speak to ada (nobody knows) on r."),
        ("x-user-id: ada\r\nx-beta: true\r\n", "You speak to ada (nobody knows), who tries m-1 on r."),
        ("x-user-id: a<b>&c\r\nx-plan: \"q\" \\ '\r\n", "You speak to a<b>&c (\"q\" \\ ') on r."),
        ("x-user-id: {{ route }}\r\n", "You speak to {{ route }} (nobody knows) on r."),
        ("x-user-id: Zoë\r\n", "You speak to Zoë (nobody knows) on r."),
    ] {
        assert_eq!(prompt("/r", headers), expected, "{headers:?}");
    }
    assert_eq!(prompt("/broken", "x-plan: p\r\n"), "Be brief.", "the app's own stays");
    world.wait_metric("dimmer_prompt_render_errors_total", &[("prompt", "broken")], 1.0);
}

const FIT: &str = r#"
[models.plain]
provider = "chat"
[models.strict]
provider = "chat"
upstream_model = "vendor/strict-1"
also = ["strict-*"]
fit = { drop = ["temperature", "top_p"], rename = { max_tokens = "max_completion_tokens" }, set = { effort = "low" }, cap_max_tokens = 100 }
[flags.which]
owner = "o"
permanent = true
default = "strict"
[routes.r]
path = "/r"
model.flag = "which"
[routes.free]
path = "/free"
"#;

#[test]
fn a_request_made_for_another_model_is_made_to_fit() {
    let world = World::start(FIT);
    let cases = [
        (
            r#"{"model":"plain","temperature": 0.70,"max_tokens":1e4, "messages":[], "top_p":1}"#,
            r#"{"effort":"low","model":"vendor/strict-1","max_completion_tokens":100, "messages":[]}"#,
            Some("temperature, top_p"),
        ),
        (
            r#"{"model":"plain","max_tokens":50,"max_completion_tokens":60,"messages":[],"effort":"high"}"#,
            r#"{"model":"vendor/strict-1","max_completion_tokens":60,"messages":[],"effort":"low"}"#,
            Some("max_tokens"),
        ),
        (
            r#"{"model":"plain","max_tokens":50,"messages":[]}"#,
            r#"{"effort":"low","model":"vendor/strict-1","max_completion_tokens":50,"messages":[]}"#,
            None,
        ),
        // A request that was made for this model fits already.
        (
            r#"{"model":"strict","temperature":1,"max_tokens":500,"messages":[]}"#,
            r#"{"model":"vendor/strict-1","temperature":1,"max_tokens":500,"messages":[]}"#,
            None,
        ),
    ];
    for (sent, expected, dropped) in cases {
        let answer = world.post("/r/v1/chat/completions", "", sent);
        let found = world.chat.last();
        assert_eq!(String::from_utf8_lossy(&found.body), expected);
        assert_eq!(answer.header("x-dimmer-dropped"), dropped, "{sent}");
        assert_eq!(answer.header("x-dimmer-model"), Some("strict"), "{sent}");
    }
    for field in ["temperature", "top_p", "max_tokens"] {
        world.wait_metric("dimmer_dropped_parameters_total", &[("field", field)], 1.0);
    }
}

#[test]
fn a_models_other_names_stay_as_they_were_sent() {
    let world = World::start(FIT);
    for (asked, sent, label) in [
        ("strict", "vendor/strict-1", Some("strict")),
        ("strict-2026-01-01", "strict-2026-01-01", Some("strict")),
        ("strict-", "strict-", Some("strict")),
        ("plain", "plain", Some("plain")),
        ("unknown", "unknown", None),
        ("a-strict-1", "a-strict-1", None),
    ] {
        let body = |model: &str| format!(r#"{{"temperature":1, "model": "{model}","messages":[]}}"#);
        let answer = world.post("/free/v1/chat/completions", "", &body(asked));
        assert_eq!(String::from_utf8_lossy(&world.chat.last().body), body(sent), "{asked}");
        assert_eq!(answer.header("x-dimmer-model"), label, "{asked}");
        assert_eq!(answer.header("x-dimmer-dropped"), None, "{asked}");
    }
}
