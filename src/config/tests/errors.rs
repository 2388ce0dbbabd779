//! Every kind of error, with its exact place and text.

use super::environment::{BASE, check, env, loaded, parsed};
use crate::config::load;

#[test]
fn unknown_keys() {
    check(
        "[server]\nlisten_on = \"x\"\n",
        &[r#"2:1: server: unknown key "listen_on"; did you mean "listen"?"#],
    );
    check("[sever]\n", &[r#"1:2: unknown key "sever"; did you mean "server"?"#]);
    check(
        "[server.limits]\nbodys = \"1MiB\"\n",
        &[r#"2:1: server.limits: unknown key "bodys"; did you mean "body"?"#],
    );
    check(
        "[models.c]\nprovider = \"sim\"\nprise = {}\n",
        &[r#"3:1: model "c": unknown key "prise"; did you mean "price"?"#],
    );
    check("[admin]\ncolour = 1\n", &[r#"2:1: admin: unknown key "colour"; known here: listen, tokens"#]);
}

#[test]
fn all_errors_at_once_in_the_files_order() {
    check(
        "[server]\nlisten = 8080\ndrain = \"soon\"\nworkers = 0\n[models.c]\nprovider = \"simm\"\n",
        &[
            r#"2:10: server.listen: must be an address such as "127.0.0.1:8080", not a number"#,
            r#"3:9: server.drain: "soon" is no duration: write a whole number and ms, s, m, h or d, such as "30s""#,
            "4:11: server.workers: must be a whole number from 1, not a number",
            r#"6:12: model "c": provider: "simm" is no provider; did you mean "sim"?"#,
        ],
    );
}

#[test]
fn wrong_values_come_with_their_remedy() {
    check(
        "[server]\ndrain = 30\n",
        &[
            r#"2:9: server.drain: must be a duration such as "30s", not a number: write it with its unit, such as "30s""#,
        ],
    );
    check(
        "[server.limits]\nbody = 5\n",
        &[
            r#"2:8: server.limits.body: must be a size such as "32MiB", not a number: write it with its unit, such as "5B""#,
        ],
    );
    check(
        "[server.limits]\nbody = \"5MB\"\n",
        &[
            r#"2:8: server.limits.body: "5MB" is no size: write a whole number and B, KiB, MiB or GiB, such as "32MiB""#,
        ],
    );
    check(
        "[server.limits]\nidle_timeout = \"0s\"\n",
        &[r#"2:16: server.limits.idle_timeout: "0s" is no time at all: write more, such as "30s""#],
    );
    check(
        "[server]\nanswer_headers = \"al\"\n",
        &[r#"2:18: server.answer_headers: must be "all", "id" or "none", not "al"; did you mean "all"?"#],
    );
    check(
        "[models.c]\nprovider = \"sim\"\nmock = { errors = 2 }\n",
        &[r#"3:19: model "c": mock.errors: must be a share such as "2%", not a number: write "2%""#],
    );
    check(
        "[models.c]\nprovider = \"sim\"\nmock = { errors = \"200%\" }\n",
        &[
            r#"3:19: model "c": mock.errors: "200%" is no share: write a number from 0 to 100 and a sign, such as "2%""#,
        ],
    );
    check(
        "[models.c]\nprovider = \"sim\"\nprice = { input = -1, output = 1 }\n",
        &[r#"3:19: model "c": price.input: must be a number from 0, not a number below 0"#],
    );
    check(
        "[models.c]\nprovider = \"sim\"\nprice = { input = 1 }\n",
        &[r#"3:9: model "c": price.output is missing: write output = 10"#],
    );
    check("[models.c]\n", &[r#"1:9: model "c": provider is missing: write provider = "…""#]);
    check("[models]\nc = 3\n", &[r#"2:5: model "c": must be a table, not a number"#]);
    check(
        "[providers.o]\ndialect = \"openai\"\nbase_url = \"api.openai.com\"\n[routes.r]\nprovider = \"o\"\npath = \"/r\"\n",
        &[
            r#"base 17:9: route "default": several providers speak openai ("sim", "o"), so the route must say which: write provider = "sim""#,
            r#"3:12: provider "o": base_url: an address starts with http:// or https://: write an address such as "https://api.openai.com/v1""#,
        ],
    );
}

#[test]
fn not_toml_at_all() {
    let errors = parsed("a = [1,\n[b\nc = \"x\n").unwrap_err();
    assert!(errors.faults().len() >= 2, "{errors}");
    assert!(errors.faults().iter().all(|fault| fault.message.starts_with("not TOML: ")), "{errors}");
    assert!(errors.to_string().starts_with("f:"), "{errors}");
}

#[test]
fn a_file_without_anything_says_what_is_needed() {
    let errors = parsed("").unwrap_err();
    assert_eq!(
        errors.to_string(),
        "f:1:1: providers is missing: write [providers.NAME]\nf:1:1: routes is missing: write [routes.NAME]"
    );
}

#[test]
fn the_pretty_form_has_the_line_and_a_caret() {
    let errors =
        parsed("[providers.sim]\ndialect = \"mock\"\n[routes.default]\nmodel = \"gpt\"\n").unwrap_err();
    assert_eq!(
        errors.pretty(),
        "f:4:9: route \"default\": model is \"gpt\", which is no model, reply or as_sent\n  |\n4 | model = \"gpt\"\n  |         ^^^^^\n\n1 error\n"
    );
}

#[test]
fn columns_count_characters_and_a_byte_order_mark_counts_for_nothing() {
    let errors =
        parsed("\u{feff}\"ключ\" = 1\n[providers.sim]\ndialect = \"mock\"\n[routes.default]\n").unwrap_err();
    assert!(errors.to_string().starts_with("f:1:1: unknown key \"ключ\""), "{errors}");
    let inline = parsed("providers = { \"щ\" = { dialect = 1 } }\nroutes.default = {}\n").unwrap_err();
    assert!(inline.to_string().contains("f:1:33: provider \"щ\": dialect"), "{inline}");
}

#[test]
fn listeners_off_loopback_need_keys() {
    check(
        "[server]\nlisten = \"0.0.0.0:8080\"\n",
        &[
            "2:10: server.listen: 0.0.0.0:8080 can be reached from other machines, and no [clients] are declared: declare [clients.NAME] with a key, or listen on 127.0.0.1",
        ],
    );
    check(
        "[admin]\nlisten = \"[::]:9901\"\n",
        &[
            r#"2:10: admin.listen: [::]:9901 can be reached from other machines, and there are no tokens: write tokens = [{ name = "…", role = "operator", token = "${NAME}" }], or listen on 127.0.0.1"#,
        ],
    );
    check(
        "[server]\nlisten = \"0.0.0.0:8080\"\n[clients.web]\nkey = \"${KEY}\"\n[admin]\nlisten = \"[::]:9901\"\ntokens = [{ name = \"a\", role = \"viewer\", token = \"${TOKEN}\" }]\n",
        &[],
    );
    check(
        "[admin]\ntokens = [{ name = \"a\", role = \"viewer\", token = \"${KEY}\" }]\n",
        &[
            r#"2:50: admin.token "a": token: a token has 32 bytes or more, this one has 13: try `openssl rand -hex 32`"#,
        ],
    );
    check(
        "[admin]\nlisten = \"127.0.0.1:8080\"\n",
        &[
            "2:10: admin.listen: 127.0.0.1:8080 cannot be had beside the data listener's 127.0.0.1:8080: choose another port",
        ],
    );
}

#[test]
fn clients() {
    check(
        "[clients.web]\nkey = \"${KEY}\"\nroutes = [\"defualt\"]\nattributes = { teir = \"pro\", tier = \"gold\", internal = \"yes\", age = 3 }\n",
        &[
            r#"3:11: client "web": routes: "defualt" is no route; did you mean "default"?"#,
            r#"4:16: client "web": attributes: "teir" is no attribute of [context.attributes]; did you mean "tier"?"#,
            r#"4:37: client "web": attributes.tier: "gold" is not in the attribute's order"#,
            r#"4:56: client "web": attributes.internal: must be true or false, not a text"#,
        ],
    );
    check(
        "[clients.a]\nkey = \"${KEY}\"\n[clients.b]\nkey = \"${KEY}\"\n",
        &[r#"3:10: client "b": key: client "a" has the same key"#],
    );
}

#[test]
fn context() {
    check(
        "[context]\ntargeting_key = [\"user\", \"auto\", \"jwt:plan\"]\nheaders_from = [\"10.0.0.0/40\"]\n",
        &[
            r#"2:18: context.targeting_key: "user" is no source: write "header:NAME", "body:a.b""#,
            r#"2:26: context.targeting_key: "auto" is no source: write "header:NAME", "body:a.b""#,
            r#"2:34: context.targeting_key: "jwt:plan" is not built yet in this version: take it out"#,
            r#"3:17: context.headers_from: "10.0.0.0/40" is no network: write one such as "10.0.0.0/8""#,
        ],
    );
    check(
        "[context.attributes.key]\nfrom = \"header:authorization\"\n",
        &[
            r#"2:8: attribute "key": from: the header authorization is not for attributes: use one of your own, such as "x-user-id""#,
        ],
    );
    check(
        "[context.attributes.route]\nfrom = \"header:x-r\"\n",
        &[r#"1:21: attribute "route": this name is built in: choose another"#],
    );
    check(
        "[context.attributes.o]\nfrom = \"header:x-r\"\ntype = \"number\"\norder = [\"a\", \"b\", \"a\"]\n",
        &[
            r#"4:9: attribute "o": order: only a text has an order: take out `type` or `order`"#,
            r#"4:20: attribute "o": order: "a" stands twice: take one out"#,
        ],
    );
}

#[test]
fn prompts_and_replies() {
    check(
        "[prompts.q]\ntext = \"Hello {{ name\"\n",
        &[
            r#"2:8: prompt "q": the template fails: syntax error: unexpected end of input, expected end of variable block (line 1 of the template); a prompt must render where nothing is known of the caller"#,
        ],
    );
    check(
        "[prompts.q]\nfile = \"nowhere.md\"\n",
        &[
            r#"2:8: prompt "q": file: the file "nowhere.md" cannot be read: No such file or directory (os error 2)"#,
        ],
    );
    check(
        "[prompts.q]\n[prompts.as_sent]\ntext = \"x\"\n",
        &[
            r#"1:10: prompt "q": has neither text nor file: write text = "…" or file = "…""#,
            r#"2:10: prompt "as_sent": this name is reserved for the request's own value: choose another"#,
        ],
    );
    check(
        "[replies.a]\ntext = \"x\"\n",
        &[r#"1:10: reply "a": a model is called so too, and they share one namespace: rename one"#],
    );
    check(
        "[replies.r]\n[replies.s]\nerror = \"x\"\ntext = \"y\"\n[replies.t]\ntext = \"x\"\nretry_after = \"1s\"\n",
        &[
            r#"1:10: reply "r": says nothing: write text = "…", json = { … }, error = "…" or http = "…""#,
            r#"3:9: reply "s": has both error and an answer: take out `error`, or `text` and `json`"#,
            r#"7:15: reply "t": retry_after: stands beside `error` only: an answer is not retried"#,
        ],
    );
}

#[test]
fn routes() {
    let route = |lines: &str| format!("[routes.r]\npath = \"/r\"\n{lines}\n");
    check(&route("model = \"c\""), &[r#"3:9: route "r": model is "c", which is no model, reply or as_sent"#]);
    check(
        &route("model.flg = \"c\""),
        &[r#"3:7: route "r": model: unknown key "flg"; did you mean "flag"?"#],
    );
    check(&route("model = {}"), &[r#"3:9: route "r": model: says not which flag: write model.flag = "…""#]);
    check(
        &route("model.flag = \"c\""),
        &[r#"3:14: route "r": model.flag: "c" is no flag: write a table [flags.c]"#],
    );
    check(
        &route("aliases = [\"x\"]"),
        &[
            r#"3:11: route "r": aliases: an alias is no model, so the route must say which: write model = "…" or model.flag = "…""#,
        ],
    );
    check(
        &route("aliases = [\"a\"]\nmodel = \"b\""),
        &[r#"3:12: route "r": aliases: "a" means model "a" already"#],
    );
    check(
        &route("fallback = [\"sory\", \"a\", \"a\"]\nfallback_on = [\"kiled\"]"),
        &[
            r#"3:13: route "r": fallback: "sory" is no model or reply; did you mean "sorry"?"#,
            r#"3:26: route "r": fallback: "a" stands here twice, and is tried once: take one of them out"#,
            r#"4:16: route "r": fallback_on: must be "killed", "breaker", "denied", "connect", "429", "5xx" or "timeout", not "kiled"; did you mean "killed"?"#,
        ],
    );
    check(
        &route("models = [\"a\", \"x\"]\nprovider = \"simm\""),
        &[
            r#"3:16: route "r": models: "x" is no model"#,
            r#"4:12: route "r": provider: "simm" is no provider; did you mean "sim"?"#,
        ],
    );
    check(
        &route("models = \"all\""),
        &[r#"3:10: route "r": models: must be "any" or "declared", not "all""#],
    );
    check(
        "[routes.r]\npath = \"r\"\n[routes.s]\npath = \"/s/v1\"\n[routes.t]\npath = \"/a//b\"\n[routes.u]\npath = \"/ofrep\"\n[routes.v]\npath = \"/w\"\n[routes.w]\npath = \"/w/\"\n",
        &[
            r#"2:8: route "r": path: "r" is no path: write it with a / before it"#,
            r#"4:8: route "s": path: /v1 comes after the route's path by itself: write "/s""#,
            r#"6:8: route "t": path: "/a//b" is no path: write segments of A-Z a-z 0-9 - . _ ~, such as "/assistant""#,
            r#"8:8: route "u": path: /ofrep belongs to dimmer itself: choose another"#,
            r#"12:8: route "w": path: route "v" has it already: choose another"#,
        ],
    );
}

#[test]
fn a_route_may_serve_models_of_another_dialect_than_its_provider() {
    let text = "[providers.o]\ndialect = \"openai\"\n[providers.c]\ndialect = \"anthropic\"\n[models.gpt]\nprovider = \"o\"\n[models.claude]\nprovider = \"c\"\n[routes.default]\n";
    let with = |route: &str| match parsed(&format!("{text}{route}")) {
        Ok(config) => config.warnings,
        Err(errors) => panic!("{errors}"),
    };
    let none: [&str; 0] = [];
    assert_eq!(with("provider = \"o\"\nmodel = \"gpt\"\nparams.seed = 7\n"), none);
    assert_eq!(
        with("provider = \"c\"\nmodel = \"claude\"\nparams.seed = 7\n"),
        none,
        "nothing is translated"
    );
    assert_eq!(with("provider = \"o\"\nmodel = \"claude\"\nparams.temperature = 0.5\n"), none);
    assert_eq!(
        with("provider = \"o\"\nmodel = \"claude\"\nparams.seed = 7\n"),
        [
            r#"f:12:15: route "default": params.seed: the model "claude", served by "c", has no such parameter: it is dropped from requests that are translated for it, and x-dimmer-dropped says so (docs/dialects.md)"#
        ]
    );
    assert_eq!(
        with("model = \"gpt\"\nfallback = [\"claude\"]\nparams.n.max = 2\n"),
        [
            r#"f:12:8: route "default": params.n: the model "claude", served by "c", has no such parameter: requests that are translated for it are refused then, unless its `fit.drop` names it (docs/dialects.md)"#
        ]
    );
}

#[test]
fn one_mistake_is_one_error() {
    let rules = |first: &str| {
        format!(
            "[flags.m]\nowner = \"x\"\npermanent = true\ndefault = 1\n[[flags.m.rules]]\nname = \"r\"\nserve = 2\n{first}\n[[flags.m.rules]]\nname = \"s\"\nserve = 3\n"
        )
    };
    check(
        &rules("percent = \"10%\""),
        &[
            r#"8:11: flag "m": rule "r": percent: must be a number from 0 to 100, not a text: write 10 without quotes"#,
        ],
    );
    check(
        &rules("when = { teir = \"pro\" }"),
        &[r#"8:10: flag "m": rule "r": when: "teir" is no attribute; did you mean "tier"?"#],
    );
    check(
        "[flags]\nm = 3\n[routes.r]\npath = \"/r\"\nmodel.flag = \"m\"\n",
        &[r#"2:5: flag "m": must be a table, not a number"#],
    );
    check(
        "[providers.o]\ndialect = \"opnai\"\n[models.c]\nprovider = \"o\"\n",
        &[
            r#"2:11: provider "o": dialect: must be "openai", "anthropic", "azure-openai" or "mock", not "opnai"; did you mean "openai"?"#,
        ],
    );
    check(
        "[models.c]\nprovider = \"sim\"\nprice = 3\n[routes.r]\npath = \"/r\"\nmodel = \"c\"\n",
        &[
            r#"3:9: model "c": price: must be a table, not a number; known in it: cache_write = 10, cache_write_1h = 10, cached_input = 10, input = 10, output = 10"#,
        ],
    );
}

#[test]
fn files_are_read_with_a_bound_and_watched_even_when_they_are_not_there() {
    let errors =
        parsed(&format!("{BASE}[prompts.q]\nfile = \"nowhere.md\"\n[prompts.z]\nfile = \"/dev/zero\"\n"))
            .unwrap_err();
    let shown = errors.to_string();
    assert!(
        shown.ends_with(r#"prompt "z": file: the file "/dev/zero" has more than 1048576 bytes"#),
        "{shown}"
    );
    assert_eq!(errors.watched().len(), 2);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("routes.toml");
    let said = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        load(&path, &env()).unwrap_err().to_string().replace(&path.display().to_string(), "f")
    };
    assert_eq!(said(b"a = 1\n\xff"), "f: is not UTF-8: line 2 has other bytes");
    assert_eq!(said(&vec![b'#'; (16 << 20) + 1]), "f: has more than 16777216 bytes");
    assert!(said(b"").starts_with("f:1:1: providers is missing"));
    assert_eq!(load(directory.path(), &env()).unwrap_err().faults().len(), 1);
}

#[test]
fn listeners_and_tokens_do_not_collide() {
    check("[admin]\nlisten = \"127.0.0.1:0\"\n[server]\nlisten = \"127.0.0.1:0\"\n", &[]);
    check(
        "[clients.c]\nkey = \"${KEY}\"\n[server]\nlisten = \"0.0.0.0:9901\"\n",
        &[
            "4:24: admin.listen: 127.0.0.1:9901 cannot be had beside the data listener's 0.0.0.0:9901: choose another port",
        ],
    );
}

#[test]
fn an_alias_needs_a_model_that_upstream_knows() {
    let route = |model: &str| {
        format!(
            "[routes.r]\naliases = [\"x\"]\n{model}\n[flags.m]\nowner = \"x\"\npermanent = true\ndefault = \"as_sent\"\n"
        )
    };
    let message = r#"2:11: route "r": aliases: an alias is no model, so the route must say which: write model = "…" or model.flag = "…""#;
    check(&route(""), &[message]);
    check(&route("model = \"as_sent\""), &[message]);
    let warnings = loaded(&route("model.flag = \"m\"")).warnings;
    let expected = "route \"r\": flag \"m\" can serve as_sent, and an alias is no model upstream";
    assert!(warnings.iter().any(|line| line.ends_with(expected)), "{warnings:?}");
}

#[test]
fn limits_and_models_that_contradict_themselves() {
    check(
        "[server.limits]\nmemory = \"16MiB\"\n",
        &[
            "2:10: server.limits.body: one body may be larger than `memory`, which all held bodies share: raise `memory` or lower `body`",
        ],
    );
    check(
        "[server]\nworkers = 5000\n",
        &["2:11: server.workers: 5000 threads are too many: write 1024 or less"],
    );
    let model = |lines: &str| format!("[models.c]\nprovider = \"sim\"\n{lines}\n");
    check(
        &model("fit = { drop = [\"x\", \"model\"], rename = { x = \"y\", z = \"z\" } }"),
        &[
            r#"3:7: model "c": fit: rename: "z" is renamed to itself"#,
            r#"3:7: model "c": fit: the member "model" is what the request is about: it cannot be fitted"#,
            r#"3:7: model "c": fit: the member "x" is named twice: dropped, renamed or set, but one of them"#,
        ],
    );
    check(
        &model("also = [\"c\", \"d\", \"a\"]"),
        &[r#"3:19: model "c": also: "a" is a name of model "a" already"#],
    );
    check(
        &model("mock = { errors = \"60%\", rate_limited = \"50%\", words = 1e9 }"),
        &[
            r#"3:8: model "c": mock: errors and rate_limited are more than 100% together"#,
            r#"3:56: model "c": mock.words: write 1000000 or less"#,
        ],
    );
    check(
        "[models.\"a b\"]\nprovider = \"sim\"\n",
        &[r#"1:9: model "a b": a name has 1 to 128 of the characters A-Z a-z 0-9 . _ - / : @ +"#],
    );
    check(
        "[flags.\"a/b\"]\nowner = \"x\"\npermanent = true\ndefault = 1\n",
        &[r#"1:8: flag "a/b": a name has 1 to 128 of the characters A-Z a-z 0-9 . _ -"#],
    );
    check(
        "[flags.m]\nowner = \"x\"\npermanent = true\ndefault = \"two words\"\n",
        &[
            r#"4:11: flag "m": "two words" cannot be a variant's name (ASCII without spaces, at most 128): name it in `variants`"#,
        ],
    );
    check(
        "[admin]\ntokens = [{ name = \"a\", role = \"viewer\", token = \"${TOKEN}\" }, { name = \"b\", role = \"admin\", token = \"${TOKEN}\" }]\n",
        &[
            r#"1:1: admin.tokens: "a" shares its token with another"#,
            r#"2:85: admin.token "b": role: must be "viewer" or "operator", not "admin""#,
        ],
    );
}

#[test]
fn limits_and_names_of_certificates_are_shown_with_their_line() {
    let shown = |line: &str, as_: &str| {
        let pretty = parsed(&format!("{line}\n")).expect_err(line).pretty();
        assert!(pretty.contains(&format!("1 | {as_}\n")), "{pretty}");
    };
    for line in
        ["server.tls = { cert = \"cert.pem\", key = \"key.pem\", ca = 1 }", "models.m.max_tokens = \"512\""]
    {
        shown(line, line);
    }
    shown("models.m.token = \"512\"", "models.m.token = \"***\"");
}
