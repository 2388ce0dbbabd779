//! Azure's two ways to call OpenAI's models: paths, queries and the header that carries the key.

use std::process::Command;

use crate::clients::clients;
use crate::harness::{Dimmer, TEST_KEY, listeners, request};
use crate::upstreams::{After, Api, STREAM_HEAD, Upstream, chunk, json, wants_stream};

/// A resource that answers everything well.
fn resource() -> Upstream {
    Upstream::new(|peer, request| {
        let line = request.line();
        if line.contains("/embeddings") {
            let vector = r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":1,"total_tokens":1}}"#;
            return peer.then(json("200 OK", vector), After::KeepAlive);
        }
        if wants_stream(request) {
            return peer.then(stream(), After::KeepAlive);
        }
        peer.then(json("200 OK", Api::Chat.whole()), After::KeepAlive)
    })
}

fn stream() -> Vec<u8> {
    let events: Vec<u8> = Api::Chat.events().iter().flat_map(chunk).collect();
    [STREAM_HEAD.as_bytes(), &events, b"0\r\n\r\n"].concat()
}

/// `version` is a line of the provider's table.
fn start(upstream: &Upstream, version: &str, more: &str) -> Dimmer {
    let provider = format!(
        "[providers.azure]\ndialect = \"azure-openai\"\nbase_url = \"http://{}\"\napi_key = \"${{TEST_KEY}}\"\n{version}\n",
        upstream.address
    );
    Dimmer::start(&(listeners("") + &provider + more))
}

const DATED: &str = "api_version = \"2024-10-21\"";
const ROUTES: &str = r#"
[models.fast]
provider = "azure"
upstream_model = "gpt 4o/mini"
[flags.swap]
owner = "o"
permanent = true
default = "as_sent"
[[flags.swap.rules]]
name = "one"
when = { targeting_key = "user-1" }
serve = "fast"
[routes.default]
[routes.flagged]
path = "/flagged"
model.flag = "swap"
"#;

/// A request in one line, `POST /path model`; a GET has no model.
fn arrives(dimmer: &Dimmer, upstream: &Upstream, line: &str, headers: &str) -> String {
    let mut words = line.split(' ');
    let (method, target, model) = (words.next().unwrap(), words.next().unwrap(), words.next());
    let body = model.map_or(String::new(), |model| {
        format!(r#"{{"model":"{model}","input":"x","messages":[{{"role":"user","content":"Hi"}}]}}"#)
    });
    let headers = format!("content-type: application/json\r\n{headers}");
    let answer = request(dimmer.data, method, target, &headers, body.as_bytes());
    if let Some(code) = answer.code() {
        return format!("{} {code}", answer.status);
    }
    let saw = upstream.last();
    assert_eq!(saw.values("api-key"), [TEST_KEY], "{line}");
    assert_eq!(saw.values("authorization"), Vec::<String>::new(), "{line}");
    assert_eq!(saw.values("x-api-key"), Vec::<String>::new(), "{line}");
    saw.line().trim_end_matches(" HTTP/1.1").to_owned()
}

#[track_caller]
fn check(dimmer: &Dimmer, upstream: &Upstream, headers: &str, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(arrives(dimmer, upstream, line, headers), *expected, "{line}");
    }
}

const CALLERS_KEY: &str = "authorization: Bearer sk-of-the-app\r\n";

#[test]
fn the_v1_api_has_openais_own_paths_below_the_resource() {
    let upstream = resource();
    let dimmer = start(&upstream, "", ROUTES);
    check(
        &dimmer,
        &upstream,
        CALLERS_KEY,
        &[
            ("POST /v1/chat/completions gpt-4o", "POST /openai/v1/chat/completions"),
            ("POST /v1/embeddings text-3", "POST /openai/v1/embeddings"),
            ("POST /v1/responses gpt-4o", "POST /openai/v1/responses"),
            ("GET /v1/responses/resp_1?include=x", "GET /openai/v1/responses/resp_1?include=x"),
            ("GET /v1/models", "GET /openai/v1/models"),
        ],
    );
    check(
        &dimmer,
        &upstream,
        "x-user-id: user-1\r\n",
        &[("POST /flagged/v1/chat/completions x", "POST /openai/v1/chat/completions")],
    );
    let body: serde_json::Value = serde_json::from_slice(&upstream.last().body).unwrap();
    assert_eq!(body["model"], "gpt 4o/mini", "the deployment's name stands in the body");
}

#[test]
fn a_dated_version_has_the_deployment_in_the_path_and_the_version_in_the_query() {
    let upstream = resource();
    let dimmer = start(&upstream, DATED, ROUTES);
    let deployed = "POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    check(
        &dimmer,
        &upstream,
        CALLERS_KEY,
        &[
            ("POST /v1/chat/completions gpt-4o", deployed),
            ("POST /chat/completions gpt-4o", deployed),
            (
                "POST /v1/completions a.b_c",
                "POST /openai/deployments/a.b_c/completions?api-version=2024-10-21",
            ),
            (
                "POST /v1/embeddings é~1",
                "POST /openai/deployments/%C3%A9~1/embeddings?api-version=2024-10-21",
            ),
            ("POST /v1/embeddings a/b", "POST /openai/deployments/a%2Fb/embeddings?api-version=2024-10-21"),
            ("POST /v1/responses gpt-4o", "POST /openai/responses?api-version=2024-10-21"),
            ("GET /v1/responses/resp_1", "GET /openai/responses/resp_1?api-version=2024-10-21"),
            ("GET /v1/models?limit=2", "GET /openai/models?limit=2&api-version=2024-10-21"),
            ("GET /v1/models?api-version=preview", "GET /openai/models?api-version=preview"),
            ("GET /v1/models?xapi-version=1", "GET /openai/models?xapi-version=1&api-version=2024-10-21"),
            (
                "POST /v1/chat/completions?api-version=2025-01-01&a=%20 gpt-4o",
                "POST /openai/deployments/gpt-4o/chat/completions?api-version=2025-01-01&a=%20",
            ),
            // What would lead out of the resource's own paths is no deployment.
            ("POST /v1/chat/completions ..", "400 dimmer_bad_request"),
            ("POST /v1/chat/completions a/../b", "400 dimmer_bad_request"),
            ("POST /v1/embeddings ", "400 dimmer_bad_request"),
        ],
    );
    check(
        &dimmer,
        &upstream,
        "x-user-id: user-1\r\n",
        &[(
            "POST /flagged/v1/chat/completions x",
            "POST /openai/deployments/gpt%204o%2Fmini/chat/completions?api-version=2024-10-21",
        )],
    );
}

/// Nothing is decided there and no model is declared: the body is read all the same, because the path is made of it.
#[test]
fn a_bare_route_finds_the_deployment_too() {
    let upstream = resource();
    let dimmer = start(&upstream, DATED, "[routes.default]\n");
    let ask = r#"{ "model" :"gpt-4o", "n":1.0e0 }"#;
    for (path, line) in [
        ("/v1/chat/completions", "/openai/deployments/gpt-4o/chat/completions"),
        ("/v1/embeddings", "/openai/deployments/gpt-4o/embeddings"),
    ] {
        let answer = request(dimmer.data, "POST", path, "content-type: application/json\r\n", ask.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(upstream.last().line(), format!("POST {line}?api-version=2024-10-21 HTTP/1.1"));
        assert_eq!(upstream.last().body, ask.as_bytes(), "byte for byte");
    }
}

#[test]
fn openais_sdk_needs_nothing_but_the_base_url() {
    const PROGRAM: &str = "import openai, sys\n\
        client = openai.OpenAI(base_url=sys.argv[1], api_key='sk-of-the-app', max_retries=0)\n\
        ask = dict(model='gpt-4o', messages=[{'role': 'user', 'content': 'Hi'}])\n\
        print(client.chat.completions.create(**ask).choices[0].message.content)\n\
        print(''.join(c.choices[0].delta.content or '' for c in client.chat.completions.create(stream=True, **ask)))\n\
        print(client.embeddings.create(model='text-3', input='x', encoding_format='float').data[0].embedding)\n";
    for (version, lines) in [
        ("", ["/openai/v1/chat/completions", "/openai/v1/chat/completions", "/openai/v1/embeddings"]),
        (
            DATED,
            [
                "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
                "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
                "/openai/deployments/text-3/embeddings?api-version=2024-10-21",
            ],
        ),
    ] {
        let upstream = resource();
        let dimmer = start(&upstream, version, "[routes.default]\n");
        let output = Command::new(clients().join("venv/bin/python"))
            .args(["-c", PROGRAM, &format!("http://{}/v1", dimmer.data)])
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "Hello there\nHello\n[0.5]\n", "{}", String::from_utf8_lossy(&output.stderr));
        let seen: Vec<String> = upstream.requests().iter().map(|request| request.line()).collect();
        assert_eq!(seen, lines.map(|line| format!("POST {line} HTTP/1.1")));
        assert!(upstream.requests().iter().all(|request| request.values("api-key") == [TEST_KEY]));
    }
}
