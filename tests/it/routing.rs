//! Which route takes a request, what of its path goes upstream, and to which provider.

use std::process::Command;

use crate::harness::{Answer, DIMMER, Dimmer, listeners, request};
use crate::upstreams::{After, Api, Upstream, sized};

/// A provider that answers with its own name and the request line that it saw.
fn provider(api: Api, name: &'static str) -> Upstream {
    Upstream::new(move |peer, request| {
        let line = request.line();
        let saw = line.trim_end_matches(" HTTP/1.1");
        let headers = format!("content-type: application/json\r\nx-provider: {name}\r\nx-saw: {saw}\r\n");
        peer.then(sized("200 OK", &headers, api.whole()), After::KeepAlive)
    })
}

/// `two` lives below a prefix, as many gateways and proxies do.
fn providers() -> String {
    let table = |name, api: Api, prefix| {
        let upstream = provider(api, name);
        let base_url = api.base_url(upstream.address).replace("/v1", prefix);
        format!("[providers.{name}]\ndialect = \"{}\"\nbase_url = \"{base_url}\"\n", api.dialect())
    };
    table("one", Api::Chat, "/v1")
        + &table("two", Api::Chat, "/below/v1")
        + &table("claude", Api::Messages, "")
        + "[models.gpt]\nprovider = \"one\"\nalso = [\"gpt-*\"]\n[models.gpt-two]\nprovider = \"two\"\n\
           [models.sonnet]\nprovider = \"claude\"\n"
}

const ROUTES: &str = r#"
[flags.leave]
owner = "o"
permanent = true
default = "as_sent"
[routes.a]
path = "/a"
provider = ["one", "claude"]
[routes.nested]
path = "/a/b"
provider = ["two", "claude"]
[routes.deep]
path = "/a/b/c"
provider = ["claude", "two", "one"]
[routes.version]
path = "/v1x"
provider = ["one", "claude"]
[routes.helper]
aliases = ["helper", "help er"]
provider = ["two", "claude"]
model = "gpt"
[routes.own]
aliases = ["own"]
path = "/own"
provider = ["two", "claude"]
model.flag = "leave"
[routes.declared]
path = "/declared"
provider = ["two", "claude"]
models = "declared"
[routes.only]
path = "/only"
provider = ["two", "claude"]
models = ["gpt", "sonnet"]
[routes.chat]
path = "/chat"
provider = "one"
[routes.to-sonnet]
path = "/to-sonnet"
provider = ["one", "claude"]
model = "sonnet"
"#;

const DEFAULT: &str = "[routes.default]\nprovider = [\"two\", \"claude\"]\n";

/// A request in one line, `POST /path model`; a GET has no model.
fn send(dimmer: &Dimmer, line: &str, headers: &str) -> Answer {
    let (method, rest) = line.split_once(' ').unwrap();
    let (target, model) = rest.split_once(' ').unwrap_or((rest, ""));
    let body = match (method, model) {
        ("POST", "-") => r#"{"messages":[{"role":"user","content":"Hi"}]}"#.to_owned(),
        ("POST", model) => {
            format!(r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}]}}"#)
        }
        _ => String::new(),
    };
    let headers = format!("content-type: application/json\r\n{headers}");
    request(dimmer.data, method, target, &headers, body.as_bytes())
}

/// `route provider METHOD /path` of an answer that came from a provider, `status code` of an error made here.
fn outcome(answer: &Answer) -> String {
    let header = |name| answer.header(name).unwrap_or("-").to_owned();
    match answer.code() {
        Some(code) => format!("{} {code}", answer.status),
        None => format!("{} {} {}", header("x-dimmer-route"), header("x-provider"), header("x-saw")),
    }
}

fn check(dimmer: &Dimmer, headers: &str, cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(line, expected)| (line, expected, outcome(&send(dimmer, line, headers))))
        .filter(|(_, expected, found)| found != *expected)
        .map(|(line, expected, found)| format!("{line}\n  expected {expected}\n  found    {found}"))
        .collect();
    assert!(wrong.is_empty(), "with {headers:?}:\n{}", wrong.join("\n"));
}

#[test]
fn paths_choose_by_whole_segments_and_the_longest_wins() {
    let dimmer = Dimmer::start(&(listeners("") + &providers() + ROUTES + DEFAULT));
    check(
        &dimmer,
        "",
        &[
            ("POST /a/v1/chat/completions x", "a one POST /v1/chat/completions"),
            ("POST /a/chat/completions x", "a one POST /v1/chat/completions"),
            ("POST /a/v1/messages x", "a claude POST /v1/messages"),
            ("POST /a/messages x", "a claude POST /v1/messages"),
            ("POST /a/b/v1/chat/completions x", "nested two POST /below/v1/chat/completions"),
            ("POST /a/b/chat/completions x", "nested two POST /below/v1/chat/completions"),
            ("POST /a/b/c/v1/chat/completions x", "deep two POST /below/v1/chat/completions"),
            ("POST /a/b/c/v1/messages x", "deep claude POST /v1/messages"),
            ("POST /v1x/v1/chat/completions x", "version one POST /v1/chat/completions"),
            // Half a segment is another segment, and so is another case.
            ("POST /ab/v1/chat/completions x", "default two POST /below/v1/ab/v1/chat/completions"),
            ("POST /a/bc/v1/chat/completions x", "a one POST /v1/bc/v1/chat/completions"),
            ("GET /A/v1/models", "default two GET /below/v1/A/v1/models"),
            ("POST /v1/chat/completions x", "default two POST /below/v1/chat/completions"),
            ("POST /chat/completions x", "chat one POST /v1/completions"),
            ("POST /v1/messages x", "default claude POST /v1/messages"),
            // The query belongs to the request.
            ("POST /a/v1/chat/completions?b=%20&a=1 x", "a one POST /v1/chat/completions?b=%20&a=1"),
            ("GET /a/v1/models?limit=2&after=%2F", "a one GET /v1/models?limit=2&after=%2F"),
            ("GET /a/b?x=1", "nested two GET /below/v1?x=1"),
        ],
    );
}

#[test]
fn other_paths_go_to_the_first_provider_of_their_dialect() {
    let dimmer = Dimmer::start(&(listeners("") + &providers() + ROUTES + DEFAULT));
    check(
        &dimmer,
        "",
        &[
            ("GET /a/v1/models", "a one GET /v1/models"),
            ("GET /a/models", "a one GET /v1/models"),
            ("POST /a/v1/embeddings text-embedding-3", "a one POST /v1/embeddings"),
            ("DELETE /a/b/v1/files/file-1", "nested two DELETE /below/v1/files/file-1"),
            ("POST /a/v1/messages/count_tokens x", "a claude POST /v1/messages/count_tokens"),
            ("GET /a/v1/messages/batches", "a claude GET /v1/messages/batches"),
            ("GET /chat/v1/models", "chat one GET /v1/models"),
            ("GET /chat/v1/messages/batches", "400 dimmer_cannot_translate"),
        ],
    );
    check(
        &dimmer,
        "anthropic-version: 2023-06-01\r\n",
        &[
            ("GET /a/v1/models", "a claude GET /v1/models"),
            ("GET /a/b/c/v1/files/file-1/content", "deep claude GET /v1/files/file-1/content"),
            ("GET /chat/v1/models", "400 dimmer_cannot_translate"),
        ],
    );
}

#[test]
fn names_of_models_choose_routes_and_providers() {
    let dimmer = Dimmer::start(&(listeners("") + &providers() + ROUTES + DEFAULT));
    check(
        &dimmer,
        "",
        &[
            // An alias chooses where no path did.
            ("POST /v1/chat/completions helper", "helper one POST /v1/chat/completions"),
            ("POST /v1/chat/completions help er", "helper one POST /v1/chat/completions"),
            (r"POST /v1/chat/completions h\u0065lper", "helper one POST /v1/chat/completions"),
            ("POST /v1/chat/completions Helper", "default two POST /below/v1/chat/completions"),
            ("POST /a/v1/chat/completions helper", "404 dimmer_model_not_admitted"),
            ("POST /v1/messages helper", "helper one POST /v1/chat/completions"),
            // An alias is no model: where the route leaves the choice to the app, there is none.
            ("POST /v1/chat/completions own", "404 dimmer_model_not_admitted"),
            ("POST /own/v1/chat/completions own", "404 dimmer_model_not_admitted"),
            ("POST /own/v1/chat/completions x", "own two POST /below/v1/chat/completions"),
            // A declared model goes to its own provider, an unknown one to the route's first.
            ("POST /a/v1/chat/completions gpt-two", "a two POST /below/v1/chat/completions"),
            ("POST /a/b/v1/chat/completions gpt", "nested one POST /v1/chat/completions"),
            ("POST /a/b/v1/chat/completions gpt-4o-2024", "nested one POST /v1/chat/completions"),
            ("POST /a/b/v1/messages sonnet", "nested claude POST /v1/messages"),
            ("POST /a/v1/chat/completions -", "a one POST /v1/chat/completions"),
            // One that speaks the other API is asked in that, and a call that has no counterpart there is refused.
            ("POST /a/v1/chat/completions sonnet", "a claude POST /v1/messages"),
            ("POST /a/v1/messages gpt", "a one POST /v1/chat/completions"),
            ("POST /chat/v1/messages x", "chat one POST /v1/chat/completions"),
            ("POST /to-sonnet/v1/chat/completions gpt", "to-sonnet claude POST /v1/messages"),
            ("POST /a/v1/completions sonnet", "400 dimmer_cannot_translate"),
            ("POST /to-sonnet/v1/messages gpt", "to-sonnet claude POST /v1/messages"),
            // What a route admits.
            ("POST /declared/v1/chat/completions gpt", "declared one POST /v1/chat/completions"),
            ("POST /declared/v1/chat/completions gpt-5", "declared one POST /v1/chat/completions"),
            ("POST /declared/v1/chat/completions x", "404 dimmer_model_not_admitted"),
            ("POST /declared/v1/chat/completions -", "404 dimmer_model_not_admitted"),
            ("POST /only/v1/chat/completions gpt", "only one POST /v1/chat/completions"),
            ("POST /only/v1/messages sonnet", "only claude POST /v1/messages"),
            ("POST /only/v1/chat/completions gpt-two", "404 dimmer_model_not_admitted"),
            ("POST /only/v1/messages x", "404 dimmer_model_not_admitted"),
            // What a caller asks for does not matter where the route says the model.
            ("POST /v1/messages x", "default claude POST /v1/messages"),
        ],
    );
}

/// A request that is refused here: its code, what its message says, and that all is said in the caller's dialect.
fn check_refusals(dimmer: &Dimmer, cases: &[(&str, &str, &[&str])]) {
    for (line, code, parts) in cases {
        let answer = send(dimmer, line, "");
        let body = answer.json();
        assert_eq!(answer.code().as_deref(), Some(*code), "{line}: {body}");
        let anthropic = line.contains("/messages");
        assert_eq!(body["type"] == "error", anthropic, "{line}: {body}");
        if answer.status == 404 {
            let kind = if anthropic { "not_found_error" } else { "invalid_request_error" };
            assert_eq!(body["error"]["type"], kind, "{line}");
        }
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{line}");
        let message = body["error"]["message"].as_str().unwrap();
        for part in *parts {
            assert!(message.contains(part), "{line}: no {part:?} in {message:?}");
        }
    }
}

/// What a 404 lists.
const ALL: &[&str] = &["`a`", "/a/v1", "`nested`", "/a/b/v1", "`own`", "`helper`", "model `helper`"];

#[test]
fn refusals_say_what_there_is() {
    let dimmer = Dimmer::start(&(listeners("") + &providers() + ROUTES));
    check_refusals(
        &dimmer,
        &[
            ("POST /v1/chat/completions x", "dimmer_no_route", ALL),
            ("POST /v1/messages x", "dimmer_no_route", ALL),
            ("GET /v1/messages/batches", "dimmer_no_route", ALL),
            ("GET /nowhere/at/all", "dimmer_no_route", ALL),
            ("POST /nowhere/v1/chat/completions x", "dimmer_no_route", ALL),
            ("POST /a/v1/v1/chat/completions x", "dimmer_wrong_base_url", &["/a/v1"]),
            ("POST /a/v1/v1/messages x", "dimmer_wrong_base_url", &["Anthropic's one that ends in /a"]),
            ("GET /a/b/v1/v1/models", "dimmer_wrong_base_url", &["/a/b/v1"]),
            ("GET /a/v1/v1", "dimmer_wrong_base_url", &["/a/v1"]),
            ("POST /declared/v1/chat/completions x", "dimmer_model_not_admitted", &["gpt", "sonnet"]),
            ("POST /only/v1/messages x", "dimmer_model_not_admitted", &["gpt, sonnet"]),
            ("POST /a/v1/completions sonnet", "dimmer_cannot_translate", &["sonnet"]),
            ("GET /chat/v1/messages/batches", "dimmer_cannot_translate", &["`chat`"]),
        ],
    );
}

/// The commonest mistake of all: an SDK whose base URL names a route that is not there.
#[test]
fn a_base_url_of_no_route_is_refused_in_the_callers_dialect() {
    let dimmer = Dimmer::start(&(listeners("") + &providers() + ROUTES));
    check_refusals(
        &dimmer,
        &[
            ("POST /nowhere/v1/messages x", "dimmer_no_route", ALL),
            ("POST /nowhere/messages x", "dimmer_no_route", ALL),
            ("GET /nowhere/v1/messages/batches", "dimmer_no_route", ALL),
            ("POST /nowhere/v1/v1/messages x", "dimmer_no_route", ALL),
        ],
    );
}

#[test]
fn only_a_client_that_may_names_its_route() {
    let clients = "[clients.may]\nkey = \"${MAY}\"\nmay_choose_route = true\n\
                   [clients.bound]\nkey = \"${BOUND}\"\nmay_choose_route = true\nroutes = [\"a\"]\n\
                   [clients.plain]\nkey = \"${PLAIN}\"\n";
    let keys = [("MAY", "key-of-may"), ("BOUND", "key-of-bound"), ("PLAIN", "key-of-plain")];
    let toml = listeners("") + clients + &providers() + ROUTES;
    let dimmer = Dimmer::start_with(&toml, &keys);
    let headers =
        |key: &str, route: &str| format!("authorization: Bearer {key}\r\nx-dimmer-route: {route}\r\n");
    check(
        &dimmer,
        &headers("key-of-may", "nested"),
        &[
            ("POST /v1/chat/completions x", "nested two POST /below/v1/chat/completions"),
            ("POST /chat/completions x", "nested two POST /below/v1/completions"),
            ("POST /a/v1/chat/completions x", "nested two POST /below/v1/chat/completions"),
            ("POST /v1/chat/completions helper", "404 dimmer_model_not_admitted"),
            ("GET /v1/models", "nested two GET /below/v1/models"),
        ],
    );
    check(
        &dimmer,
        &headers("key-of-may", "nothing"),
        &[
            ("POST /a/v1/chat/completions x", "404 dimmer_no_route"),
            ("GET /v1/models", "404 dimmer_no_route"),
        ],
    );
    check(
        &dimmer,
        &headers("key-of-bound", "nested"),
        &[("POST /a/v1/chat/completions x", "403 dimmer_client_forbidden")],
    );
    check(
        &dimmer,
        &headers("key-of-bound", "a"),
        &[("POST /v1/chat/completions x", "a one POST /v1/chat/completions")],
    );
    check(
        &dimmer,
        &headers("key-of-plain", "nested"),
        &[
            ("POST /a/v1/chat/completions x", "a one POST /v1/chat/completions"),
            ("POST /v1/chat/completions x", "404 dimmer_no_route"),
        ],
    );
}

#[test]
fn nobody_names_a_route_where_no_client_is_declared() {
    let dimmer = Dimmer::start(&(listeners("") + &providers() + ROUTES));
    check(
        &dimmer,
        "x-dimmer-route: nested\r\n",
        &[("POST /a/v1/chat/completions x", "a one POST /v1/chat/completions")],
    );
}

#[test]
fn what_can_never_be_routed_is_refused_at_load() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |routes: &str, part: &str| {
        let providers = "[providers.one]\ndialect = \"openai\"\n[providers.two]\ndialect = \"openai\"\n\
                         [providers.claude]\ndialect = \"anthropic\"\n[models.sonnet]\nprovider = \"claude\"\n\
                         [models.gpt]\nprovider = \"one\"\n[flags.f]\nowner = \"o\"\npermanent = true\n\
                         default = \"gpt\"\noff = \"sonnet\"\n";
        let file = folder.path().join("routes.toml");
        std::fs::write(&file, format!("{providers}{routes}")).unwrap();
        let output = Command::new(DIMMER).arg("check").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{routes}: {said}");
        assert!(said.contains(part), "{routes}: no {part:?} in {said}");
    };
    // Two that speak the dialect, and none is named.
    refused("[routes.r]\npath = \"/r\"\n", "provider");
    // Embeddings are a call of one API alone.
    refused("[routes.r]\npath = \"/r\"\nprovider = \"one\"\nembeddings.model = \"sonnet\"\n", "sonnet");
    // Two routes in one place.
    refused(
        "[routes.r]\npath = \"/r\"\nprovider = \"one\"\n[routes.s]\npath = \"/r\"\nprovider = \"one\"\n",
        "/r",
    );
    refused(
        "[routes.r]\naliases = [\"x\"]\nmodel = \"gpt\"\nprovider = \"one\"\n\
         [routes.s]\naliases = [\"x\"]\nmodel = \"gpt\"\nprovider = \"one\"\n",
        "x",
    );
    // An alias is no model, and nothing says which it means.
    refused("[routes.r]\naliases = [\"x\"]\nprovider = \"one\"\n", "alias");
    refused("[routes.r]\npath = \"r\"\nprovider = \"one\"\n", "path");
    refused("[routes.r]\npath = \"/r\"\nprovider = \"three\"\n", "three");
    refused("[routes.r]\npath = \"/r\"\nprovider = \"one\"\nmodels = [\"gtp\"]\n", "did you mean \"gpt\"");
}
