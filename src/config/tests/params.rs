//! `params`, `tools.deny` and `embeddings.model`: what is built, and what is refused.

use super::environment::{check, loaded};
use crate::config::{Config, Slot};
use crate::flags::Value;

/// A flag called `m` with these lines.
fn flag(lines: &str) -> String {
    format!("[flags.m]\nowner = \"x\"\npermanent = true\n{lines}\n")
}

fn names(config: &Config) -> Vec<&str> {
    config.routes[0].params.iter().map(|param| param.param.name).collect()
}

#[test]
fn a_parameter_is_set_defaulted_or_capped() {
    let config = loaded(
        "params = { stop = \"END\", temperature = 0.2, max_tokens = { default = 512, max = 1024 }, n = \"as_sent\" }\n",
    );
    assert_eq!(names(&config), ["temperature", "max_tokens", "stop", "n"], "the vocabulary's order");
    let [temperature, max_tokens, stop, n] = config.routes[0].params.as_slice() else { panic!() };
    let fixed = |slot: &Slot<_>| match slot {
        Slot::Fixed(value) => {
            let value: &std::sync::Arc<crate::wire::ParamValue> = value;
            value.json().to_string()
        }
        Slot::AsSent => "-".to_owned(),
        Slot::Flag { .. } => "flag".to_owned(),
    };
    let parts =
        |param: &crate::config::RouteParam| [&param.set, &param.default, &param.max].map(fixed).join(" ");
    assert_eq!(parts(temperature), "0.2 - -");
    assert_eq!(parts(max_tokens), "- 512 1024");
    assert_eq!(parts(stop), "\"END\" - -");
    assert_eq!(parts(n), "- - -");
    let each = "params.temperature = { flag = \"m\", default.flag = \"m\", max = { flag = \"m\" } }\n";
    let config = loaded(&format!("{each}{}", flag("default = \"as_sent\"\noff = 1")));
    assert_eq!(parts(&config.routes[0].params[0]), "flag flag flag");
    // Where values are tables too, the keys tell what is meant.
    let format =
        "params.response_format = { type = \"json_object\" }\nparams.logit_bias.default = { 50256 = -100 }\n";
    let config = loaded(format);
    let [bias, format] = config.routes[0].params.as_slice() else { panic!() };
    assert_eq!(parts(bias), "- {\"50256\":-100} -");
    assert_eq!(parts(format), "{\"type\":\"json_object\"} - -");
}

#[test]
fn unknown_parameters_are_named_with_a_remedy() {
    let known = "known: temperature, top_p, top_k, max_tokens, stop, seed, frequency_penalty, presence_penalty, logit_bias, n, reasoning_effort, verbosity, service_tier, parallel_tool_calls, response_format, prompt_cache_key, store; members that only one provider knows are set by `fit.set` of a model";
    check(
        "params.temprature = 0.2\nparams.colour = \"red\"\n",
        &[
            &format!(
                "1:8: route \"default\": params: \"temprature\" is no parameter; did you mean \"temperature\"?; {known}"
            ),
            &format!("2:8: route \"default\": params: \"colour\" is no parameter; {known}"),
        ],
    );
}

#[test]
fn literals_must_fit() {
    let takes = "takes nothing else";
    check(
        "params = { temperature = 3, max_tokens = { default = 0, max = \"9\" }, stop = { max = \"x\" }, n = { cap = 1 }, seed = {}, store = { flag = 1 } }\n",
        &[
            &format!(
                "1:26: route \"default\": params.temperature is 3, which is not a number from 0 to 2 or as_sent: `params.temperature` {takes}"
            ),
            &format!(
                "1:54: route \"default\": params.max_tokens.default is 0, which is not a whole number from 1 to 1000000000 or as_sent: `params.max_tokens.default` {takes}"
            ),
            &format!(
                "1:63: route \"default\": params.max_tokens.max is \"9\", which is not a whole number from 1 to 1000000000 or as_sent: `params.max_tokens.max` {takes}: write it without quotes; a split names it in `variants`"
            ),
            "1:85: route \"default\": params.stop.max is \"x\", but `params.stop.max` can hold nothing back: only numbers have a maximum",
            "1:98: route \"default\": params.n: unknown key \"cap\"; known here: default, flag, max",
            "1:116: route \"default\": params.seed: says nothing: write a value, default, max or flag",
            "1:137: route \"default\": params.store: flag must be the name of a flag in quotes",
        ],
    );
    check(
        "params = { temperature = nan, seed = 18446744073709551616 }\n",
        &[
            &format!(
                "1:26: route \"default\": params.temperature is nan, which is not a number from 0 to 2 or as_sent: `params.temperature` {takes}"
            ),
            &format!(
                "1:38: route \"default\": params.seed is 18446744073709551616, which is not a whole number or as_sent: `params.seed` {takes}"
            ),
        ],
    );
    check(
        "tools = [\"shell\"]\nembeddings = \"m\"\n",
        &[
            "1:9: route \"default\": tools: must be a table, not a list; known in it: deny = [\"…\"]",
            "2:14: route \"default\": embeddings: must be a table, not a text; known in it: model = \"…\"",
        ],
    );
    check(
        "params.max_tokens = { default = 2000, max = 1024 }\n",
        &[
            "1:8: route \"default\": params.max_tokens: the default 2000 is above the max 1024: lower the one or raise the other",
        ],
    );
    check(
        "params = 3\ntools.deny = \"shell\"\n",
        &[
            "1:10: route \"default\": params: must be a table such as { temperature = 0.2, max_tokens = { max = 1024 } }, not a number",
            "2:14: route \"default\": tools.deny: must be a list of texts such as [\"a\", \"b\"] or a table, not a text",
        ],
    );
}

#[test]
fn values_of_flags_must_fit_their_part() {
    let lines = "variants = { cool = 0.2, hot = 2.5 }\ndefault = \"cool\"";
    check(
        &format!("params.temperature.flag = \"m\"\n{}", flag(lines)),
        &[
            "5:32: flag \"m\": variant \"hot\" is 2.5, which is not a number from 0 to 2 or as_sent: `params.temperature` takes nothing else",
        ],
    );
    check(
        &format!("params.temperature.max.flag = \"m\"\nparams.n.flag = \"n\"\n{}", flag("default = \"0.5\"")),
        &[
            "2:17: route \"default\": params.n.flag: \"n\" is no flag: write a table [flags.n]",
            "6:11: flag \"m\": default is \"0.5\", which is not a number from 0 to 2 or as_sent: `params.temperature.max` takes nothing else: write it without quotes; a split names it in `variants`",
        ],
    );
}

#[test]
fn tools_are_denied_by_name() {
    let config = loaded("tools.deny = [\"shell\", \"web_search\"]\n");
    assert!(
        matches!(&config.routes[0].denied_tools, Slot::Fixed(names) if **names == ["shell".into(), "web_search".into()])
    );
    let lines = "variants = { few = [\"a\", \"b\"], other = \"c\", none = [] }\ndefault = \"none\"";
    let config = loaded(&format!("tools.deny.flag = \"m\"\n{}", flag(lines)));
    let one = &config.flags[0];
    let off = one.variant(one.off).unwrap();
    assert_eq!((off.name.as_str(), &off.value), ("a+b+c", &Value::Json(serde_json::json!(["a", "b", "c"]))));
    let Slot::Flag { values, .. } = &config.routes[0].denied_tools else { panic!("no flag") };
    assert_eq!(values.iter().map(|value| value.as_ref().map_or(0, |names| names.len())).sum::<usize>(), 6);
    // A variant that has them all is what is served; and what the file says holds.
    let all = "variants = { few = [\"a\"], all = [\"b\", \"a\"] }\ndefault = \"as_sent\"";
    let config = loaded(&format!("tools.deny.flag = \"m\"\n{}", flag(all)));
    assert_eq!(config.flags[0].variant(config.flags[0].off).unwrap().name.as_str(), "all");
    let config = loaded(&format!("tools.deny.flag = \"m\"\n{}", flag(&format!("{all}\noff = \"few\""))));
    assert_eq!(config.flags[0].variant(config.flags[0].off).unwrap().name.as_str(), "few");
    let name = "1 to 128 ASCII characters without spaces, commas, quotes and backslashes";
    check(
        "tools.deny = [\"she ll\"]\n",
        &[&format!(
            "1:15: route \"default\": tools.deny: \"she ll\" can be no tool's name, which has {name}"
        )],
    );
    check(
        "tools.deny = []\n",
        &["1:14: route \"default\": tools.deny: the list is empty: name a tool, or take the line out"],
    );
    check(
        &format!("tools.deny.flag = \"m\"\n{}", flag("default = true")),
        &[&format!(
            "5:11: flag \"m\": default is true, which is not the name of a tool, a list of such names or as_sent: a name has {name}"
        )],
    );
    check(
        "tools.deny = {}\n",
        &["1:14: route \"default\": tools.deny: says not which flag: write tools.deny.flag = \"…\""],
    );
}

#[test]
fn embeddings_have_models_only() {
    let config = loaded("embeddings.model = \"a\"\n");
    assert!(matches!(&config.routes[0].embeddings, Slot::Fixed(model) if model.name.as_str() == "a"));
    check(
        "embeddings.model = \"sorry\"\n",
        &["1:20: route \"default\": embeddings.model is \"sorry\", which is no model or as_sent"],
    );
    check(
        &format!("embeddings.model.flag = \"m\"\n{}", flag("default = \"aa\"")),
        &["5:11: flag \"m\": default is \"aa\", which is no model or as_sent"],
    );
    let anthropic = "[providers.claude]\ndialect = \"anthropic\"\napi_key = \"${KEY}\"\n[models.c]\nprovider = \"claude\"\n";
    check(
        &format!("provider = \"sim\"\nembeddings.model = \"c\"\n{anthropic}"),
        &[
            "2:20: route \"default\": embeddings.model: model \"c\" is served by \"claude\", which does not speak openai, the API of embeddings",
        ],
    );
    let two = "default = \"a\"\n[[flags.m.rules]]\nname = \"r\"\npercent = 5\nserve = \"b\"";
    let config = loaded(&format!("embeddings.model.flag = \"m\"\n{}", flag(two)));
    let warned = config.warnings.iter().filter(|line| line.contains("vectors of different models"));
    assert_eq!(warned.count(), 1, "{:?}", config.warnings);
}
