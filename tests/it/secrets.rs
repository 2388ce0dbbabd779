//! What must never be seen: keys, tokens, prompts, answers and raw targeting keys, in logs at any level, in metrics, in
//! errors; and which doors are shut unless the operator opens them.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::{Answer, Connection, DIMMER, Dimmer, PATIENCE, get, listeners, request, wait_until};
use crate::upstreams::{
    After, Api, STREAM_HEAD, Upstream, chunk, cuts_body, json, refuses_connections, wants_stream,
};

/// Every one is somewhere in the configuration, a request or an answer; none may be anywhere else.
const SECRETS: [(&str, &str); 15] = [
    ("the provider's key", "sk-provider-7f3a9c21d4"),
    ("the provider's second key", "sk-second-0d4b86e1f7"),
    ("an id that a provider gave", "resp_5f20c9aa71d3"),
    ("a conversation's id", "conv_77ab03e9d2c4"),
    ("a client's key", "client-key-5be2c07a91"),
    ("an unknown caller's key", "stray-key-c40d11fe82"),
    ("an admin's token", "admin-token-91d7a3c5e8b2f40617c2d9aa"),
    ("a wrong token", "wrong-token-6e2b81f7c0"),
    ("a caller's own key", "sk-app-own-2c9f77ab10"),
    ("a prompt", "Prompt-said-in-confidence"),
    ("the operator's prompt", "System-prompt-of-the-house"),
    ("an answer", "Answer-given-in-confidence"),
    ("a targeting key", "user-ada-4411@example.com"),
    ("an attribute", "attribute-value-in-confidence"),
    ("a cookie", "session-cookie-88aa0d"),
];

fn secret(what: &str) -> &'static str {
    SECRETS.iter().find(|(name, _)| *name == what).unwrap().1
}

/// Fails if a text holds a secret.
fn check_clean(place: &str, text: &str) {
    for (what, secret) in SECRETS {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{what} is in {place}: {}", line.unwrap_or(""));
    }
}

/// A gateway of which every printed byte is kept.
struct Loud {
    data: SocketAddr,
    admin: SocketAddr,
    child: Child,
    folder: tempfile::TempDir,
}

impl Loud {
    fn start(toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routes.toml"), toml).unwrap();
        let key = |file: &str, what: &str| {
            std::fs::write(folder.path().join(file), format!("{}\n", secret(what))).unwrap();
        };
        key("provider.key", "the provider's key");
        key("second.key", "the provider's second key");
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let child = Command::new(DIMMER)
            .current_dir(folder.path())
            .envs([
                ("DIMMER_LOG", "trace"),
                ("CLIENT_KEY", secret("a client's key")),
                ("TOKEN", secret("an admin's token")),
            ])
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let unknown: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut loud = Self { data: unknown, admin: unknown, child, folder };
        wait_until("it says where it listens", || {
            loud.said("stdout").contains("Try it") || loud.said("stdout").contains("admin ")
        });
        let said = loud.said("stdout");
        let address = |name: &str| {
            let line = said.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
        };
        (loud.data, loud.admin) = (address("data"), address("admin"));
        loud
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// A page of the admin listener, with its token.
    fn admin(&self, target: &str) -> String {
        let headers = format!("authorization: Bearer {}\r\n", secret("an admin's token"));
        request(self.admin, "GET", target, &headers, b"").text()
    }

    /// SIGTERM, and everything that it printed in its life.
    fn end(mut self) -> [String; 2] {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        wait_until("it ends", || self.child.try_wait().unwrap().is_some());
        ["stdout", "stderr"].map(|name| self.said(name))
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Answers in confidence, or in the way that the model's name says, with everything that it got in its error bodies.
fn provider(api: Api) -> Upstream {
    Upstream::new(move |peer, request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let told = |text: &str| {
            text.replace("Hello there", secret("an answer")).replace("Hello", secret("an answer"))
        };
        let echo = |status| {
            let echo = String::from_utf8_lossy(&request.head).replace("\r\n", " ") + &body.to_string();
            json(status, serde_json::json!({"error": {"message": echo}}).to_string())
        };
        match body["model"].as_str().unwrap_or("") {
            "m-400" => peer.then(echo("400 Bad Request"), After::KeepAlive),
            "m-500" => peer.then(echo("500 Internal Server Error"), After::KeepAlive),
            "m-401" => peer.then(echo("401 Unauthorized"), After::KeepAlive),
            "m-403" => peer.then(echo("403 Forbidden"), After::KeepAlive),
            "m-garbage" => peer.then(format!("{}\r\n\r\n", secret("an answer")), After::Close),
            "m-closed" => After::Close,
            "m-cut" => {
                peer.write(STREAM_HEAD);
                peer.then(chunk(told(api.events()[0])), After::Close)
            }
            "m-429" => peer.then(echo("429 Too Many Requests"), After::KeepAlive),
            _ if request.line().contains("/v1/responses") => {
                let response = serde_json::json!({"id": secret("an id that a provider gave"), "status": "completed",
                    "output": [{"type": "message", "content": [{"type": "output_text", "text": secret("an answer")}]}]});
                if !wants_stream(request) {
                    return peer.then(json("200 OK", response.to_string()), After::KeepAlive);
                }
                let event = serde_json::json!({"type": "response.created", "response": response});
                peer.write(STREAM_HEAD);
                peer.then(chunk(format!("event: response.created\ndata: {event}\n\n")), After::Close)
            }
            _ if wants_stream(request) => {
                peer.write(STREAM_HEAD);
                api.events().iter().for_each(|event| {
                    peer.write(chunk(told(event)));
                });
                peer.then("0\r\n\r\n", After::KeepAlive)
            }
            _ => peer.then(json("200 OK", told(api.whole())), After::KeepAlive),
        }
    })
}

const CONFIG: &str = r#"
[clients.app]
key = "${CLIENT_KEY}"
trusted = true
[context.attributes]
plan = { from = "header:x-plan" }
age = { from = "header:x-age", type = "number" }
[models.known]
provider = "chat"
upstream_model = "m-1"
[prompts.house]
text = "System-prompt-of-the-house for {{ targeting_key }}{% if plan %} {{ plan }}{% endif %}"
[prompts.broken]
text = "System-prompt-of-the-house {% if plan %}{{ plan.a.b }}{% endif %}"
[flags.voice]
owner = "o"
permanent = true
default = "house"
[[flags.voice.rules]]
name = "half"
percent = 50
serve = "broken"
[routes.r]
path = "/r"
system_prompt.flag = "voice"
[routes.only]
path = "/only"
models = "declared"
[routes.broken]
path = "/broken"
system_prompt = "broken"
[routes.down]
path = "/down"
provider = ["down", "messages"]
[replies.rest]
text = "Resting."
[routes.keys]
path = "/keys"
provider = "keys"
params.temperature = 0.2
params.response_format = { type = "json_object" }
params.top_k = 3
tools.deny = ["shell"]
[routes.reply]
path = "/reply"
provider = "chat"
model = "rest"
"#;

fn config(chat: &Upstream, messages: &Upstream) -> String {
    let table = |name: &str, api: Api, upstream: &Upstream| {
        let base_url = api.base_url(upstream.address);
        format!(
            "[providers.{name}]\ndialect = \"{}\"\nbase_url = \"{base_url}\"\napi_key = \"file:provider.key\"\n",
            api.dialect()
        )
    };
    let with_providers = CONFIG
        .replace("[routes.r]\n", "[routes.r]\nprovider = [\"chat\", \"messages\"]\n")
        .replace("[routes.only]\n", "[routes.only]\nprovider = [\"chat\", \"messages\"]\n")
        .replace("[routes.broken]\n", "[routes.broken]\nprovider = [\"chat\", \"messages\"]\n");
    listeners("")
        + "tokens = [{ name = \"op\", role = \"operator\", token = \"${TOKEN}\" }]\n"
        + &table("chat", Api::Chat, chat)
        + &table("messages", Api::Messages, messages)
        + &table("down", Api::Chat, &refuses_connections())
        + &table("keys", Api::Chat, chat).replace(
            "api_key = \"file:provider.key\"",
            "api_keys = [\"file:provider.key\", \"file:second.key\"]",
        )
        + &with_providers
}

/// What an app sends: every header that may hold a secret.
fn headers(key: &str) -> String {
    format!(
        "content-type: application/json\r\nx-dimmer-key: {key}\r\nauthorization: Bearer {}\r\nx-user-id: {}\r\n\
         x-plan: {}\r\nx-age: {}\r\ncookie: s={}\r\n",
        secret("a caller's own key"),
        secret("a targeting key"),
        secret("an attribute"),
        secret("an attribute"),
        secret("a cookie"),
    )
}

fn body(api: Api, model: &str, stream: bool) -> String {
    let more = format!("{{\"user\":\"{}\",", secret("a targeting key"));
    let body = api.ask(stream).replace("m-1", model).replace("Be brief.", secret("a prompt"));
    body.replace("Hi", secret("a prompt")).replacen('{', &more, 1)
}

/// Every kind of request that there is, good and bad: those answered with an error of ours are returned.
fn drive(loud: &Loud) -> Vec<(String, Answer)> {
    let mut errors = Vec::new();
    let good = headers(secret("a client's key"));
    let stray = headers(secret("an unknown caller's key"));
    for api in Api::BOTH {
        for (route, model, stream, key) in [
            ("/r", "m-1", false, &good),
            ("/r", "m-1", true, &good),
            ("/broken", "m-1", false, &good),
            ("/r", "m-401", false, &good),
            ("/r", "m-403", true, &good),
            ("/r", "m-garbage", false, &good),
            ("/r", "m-closed", false, &good),
            ("/r", "m-cut", true, &good),
            ("/only", "m-1", false, &good),
            ("/down", "m-1", false, &good),
            ("/r", "m-1", false, &stray),
            ("/nowhere", "m-1", false, &good),
        ] {
            let target = format!("{route}{}", api.path());
            let answer = request(loud.data, "POST", &target, key, body(api, model, stream).as_bytes());
            if answer.status != 200 {
                errors.push((format!("{target} {model}"), answer));
            }
        }
        let whole = body(api, "m-1", false);
        let twice = whole.replacen('{', "{\"model\":\"m-2\",", 1);
        let deep = whole.replacen('{', &format!("{{\"stream\":{}", "[".repeat(200)), 1);
        for broken in [
            whole.trim_end_matches('}'),
            &twice,
            &deep,
            &whole.replace('"', "'"),
            &format!("{whole} {whole}"),
        ] {
            let target = format!("/r{}", api.path());
            let answer = request(loud.data, "POST", &target, &good, broken.as_bytes());
            assert_eq!(answer.status, 400, "{broken}");
            errors.push((target, answer));
        }
        let packed = format!("{good}content-encoding: gzip\r\n");
        let answer = request(loud.data, "POST", &format!("/r{}", api.path()), &packed, whole.as_bytes());
        errors.push(("not gzip".to_owned(), answer));
    }
    errors.extend(drive_other_calls(loud, &good));
    let target = format!("/r/v1/files?key={}", secret("a caller's own key"));
    request(loud.data, "POST", &target, &good, body(Api::Chat, "m-1", false).as_bytes());
    let target = format!("/r/v1/v1/models?key={}", secret("a caller's own key"));
    errors.push(("/v1/v1".to_owned(), request(loud.data, "GET", &target, &good, b"")));
    // A caller that talks no HTTP, and one that goes away in the middle.
    let mut garbage = Connection::open(loud.data);
    garbage.send(format!("{}\r\n\r\n", secret("a prompt")).as_bytes());
    let (_, said) = garbage.wait_closed();
    check_clean("the answer to garbage", &String::from_utf8_lossy(&said));
    let mut gone = Connection::open(loud.data);
    gone.send(
        format!("POST /r/v1/chat/completions HTTP/1.1\r\nhost: x\r\n{good}content-length: 999\r\n\r\n")
            .as_bytes(),
    );
    gone.send(body(Api::Chat, "m-1", false).as_bytes());
    gone.reset();
    errors
}

/// The calls besides the two: what is held by ids, several keys, parameters that cannot be written.
fn drive_other_calls(loud: &Loud, headers: &str) -> Vec<(String, Answer)> {
    let (said, id) = (secret("a prompt"), secret("an id that a provider gave"));
    let conversation = secret("a conversation's id");
    let calls = [
        ("/v1/responses", serde_json::json!({"input": said})),
        ("/v1/responses", serde_json::json!({"input": said, "stream": true, "instructions": said})),
        ("/v1/responses", serde_json::json!({"input": said, "previous_response_id": id, "user": said})),
        ("/v1/responses", serde_json::json!({"input": said, "conversation": {"id": conversation}})),
        (
            "/v1/responses",
            serde_json::json!({"input": said, "text": said, "tools": said, "reasoning": [said]}),
        ),
        ("/v1/responses/input_tokens", serde_json::json!({"input": said, "previous_response_id": id})),
        ("/v1/completions", serde_json::json!({"prompt": said, "temperature": said, "stream": true})),
        (
            "/v1/chat/completions",
            serde_json::json!({"messages": said, "tools": [{"name": said}], "store": true}),
        ),
        ("/v1/embeddings", serde_json::json!({"input": said})),
    ];
    let mut errors = Vec::new();
    for route in ["/keys", "/reply", "/r"] {
        for (path, body) in &calls {
            for model in ["m-1", "m-429", "m-401", "m-401", "m-closed"] {
                let mut body = body.clone();
                body["model"] = model.into();
                let target = format!("{route}{path}");
                let answer = request(loud.data, "POST", &target, headers, body.to_string().as_bytes());
                if answer
                    .code()
                    .is_some_and(|code| code.starts_with("dimmer_") || code.ends_with("_not_found"))
                {
                    errors.push((format!("{target} {model}"), answer));
                }
            }
            let twice = format!(
                "{{\"model\":\"{said}\",\"model\":\"m-1\",{}",
                body.to_string().trim_start_matches('{')
            );
            errors.push((
                "twice".to_owned(),
                request(loud.data, "POST", &format!("{route}{path}"), headers, twice.as_bytes()),
            ));
        }
        for (method, path) in [("GET", "responses"), ("DELETE", "responses"), ("GET", "conversations")] {
            let target = format!("{route}/v1/{path}/{id}");
            request(loud.data, method, &target, headers, b"");
        }
    }
    errors
}

/// The same over HTTP/2, whose library logs for itself.
fn drive_http2(loud: &Loud) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(loud.data).await.unwrap();
        let (mut caller, connection) =
            http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for model in ["m-1", "m-401"] {
            let mut request = Request::post("http://gateway/r/v1/chat/completions");
            for line in headers(secret("a client's key")).lines() {
                let (name, value) = line.split_once(": ").unwrap();
                request = request.header(name, value);
            }
            let request = request.body(Full::from(body(Api::Chat, model, true))).unwrap();
            let answer = tokio::time::timeout(PATIENCE, caller.send_request(request)).await.unwrap().unwrap();
            assert_eq!(answer.status().as_u16(), if model == "m-1" { 200 } else { 502 });
            answer.into_body().collect().await.unwrap();
        }
    });
}

#[test]
fn no_secret_is_in_logs_metrics_or_errors() {
    let (chat, messages) = (provider(Api::Chat), provider(Api::Messages));
    let loud = Loud::start(&config(&chat, &messages));
    let errors = drive(&loud);
    assert!(errors.len() > 20, "{}", errors.len());
    for (what, answer) in &errors {
        assert!(answer.code().is_some(), "{what}: {}", answer.text());
        check_clean(&format!("the error of {what}"), &format!("{:?} {}", answer.headers, answer.text()));
    }
    drive_http2(&loud);
    let wrong = format!("authorization: Bearer {}\r\n", secret("a wrong token"));
    assert_eq!(request(loud.admin, "GET", "/metrics", &wrong, b"").status, 401);
    for page in ["/metrics", "/", "/readyz", "/nothing"] {
        check_clean(page, &loud.admin(page));
    }
    // What goes to the provider is what it needs, so the tests above had something to find.
    let seen = String::from_utf8_lossy(&chat.last().head).into_owned();
    assert!(seen.contains(secret("the provider's key")), "{seen}");
    assert!(
        chat.requests()
            .iter()
            .any(|request| String::from_utf8_lossy(&request.body).contains(secret("a prompt")))
    );
    let [stdout, stderr] = loud.end();
    assert!(stderr.contains("TRACE") && stderr.contains("dimmer::access"), "everything was logged");
    check_clean("standard output", &stdout);
    check_clean("the log", &stderr);
}

#[test]
fn no_secret_is_in_the_log_of_a_bad_reload() {
    let (chat, messages) = (provider(Api::Chat), provider(Api::Messages));
    let good = config(&chat, &messages);
    let loud = Loud::start(&good);
    let rejected = || loud.admin("/metrics").contains("dimmer_config_reloads_total{result=\"error\"} 1");
    assert!(!rejected(), "it has begun well");
    let literal = good.replacen("file:provider.key", secret("the provider's key"), 1);
    let new = loud.folder.path().join("new.toml");
    std::fs::write(&new, format!("{literal}\n[routes.x]\npath = 5\n")).unwrap();
    std::fs::rename(new, loud.folder.path().join("routes.toml")).unwrap();
    wait_until("the bad file is refused", rejected);
    let [stdout, stderr] = loud.end();
    assert!(stderr.contains("routes.toml:"), "{stderr}");
    check_clean("standard output", &stdout);
    check_clean("the log", &stderr);
}

#[test]
fn no_secret_is_in_what_commands_print() {
    let (chat, messages) = (provider(Api::Chat), provider(Api::Messages));
    let folder = tempfile::tempdir().unwrap();
    for (file, what) in [("provider.key", "the provider's key"), ("second.key", "the provider's second key")]
    {
        std::fs::write(folder.path().join(file), secret(what)).unwrap();
    }
    let check = |toml: &str, arguments: &[&str], code: i32| {
        std::fs::write(folder.path().join("routes.toml"), toml).unwrap();
        let output = Command::new(DIMMER)
            .args(arguments)
            .current_dir(folder.path())
            .env("CLIENT_KEY", secret("a client's key"))
            .env("TOKEN", secret("an admin's token"))
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        check_clean(&format!("{arguments:?}"), &said);
    };
    let good = config(&chat, &messages);
    for arguments in
        [&["check"][..], &["check", "--json"], &["explain", "--config", "routes.toml", "--route", "r"]]
    {
        check(&good, arguments, 0);
    }
    let bad = [
        // A secret where its reference belongs, an unknown key beside it, two with the same, one too short.
        good.replace("file:provider.key", secret("the provider's key")),
        good.replace("${CLIENT_KEY}", secret("a client's key")),
        good.replace("${TOKEN}", secret("an admin's token")),
        good.replace("api_key", "apikey").replace("file:provider.key", secret("the provider's key")),
        good.clone() + "[clients.two]\nkey = \"${CLIENT_KEY}\"\n",
        good.replace("${TOKEN}", "${CLIENT_KEY}"),
        good.replace("\"file:provider.key\"", &format!("[\"{}\"]", secret("the provider's key"))),
        good.replace("\"${CLIENT_KEY}\"", &format!("\"{}", secret("a client's key"))),
    ];
    for toml in &bad {
        for arguments in [
            &["check"][..],
            &["check", "--json"],
            &["serve"],
            &["explain", "--config", "routes.toml", "--route", "r"],
        ] {
            check(toml, arguments, 1);
        }
    }
}

#[test]
fn a_refused_key_of_ours_is_never_shown_to_the_caller() {
    let (chat, messages) = (provider(Api::Chat), provider(Api::Messages));
    let loud = Loud::start(&config(&chat, &messages));
    let good = headers(secret("a client's key"));
    for api in Api::BOTH {
        for (model, stream) in [("m-401", false), ("m-401", true), ("m-403", false)] {
            let body = body(api, model, stream);
            let answer = request(loud.data, "POST", &format!("/r{}", api.path()), &good, body.as_bytes());
            let found = (answer.status, answer.code());
            assert_eq!(found, (502, Some("dimmer_upstream_credential".to_owned())), "{model}");
            assert_eq!(answer.header("x-should-retry"), Some("false"), "{model}");
            check_clean(model, &format!("{:?} {}", answer.headers, answer.text()));
        }
    }
    assert!(loud.end()[1].contains("dimmer_upstream_credential"), "the operator is told");
}

/// An upstream's other errors are the caller's, byte for byte: a provider that quotes the request quotes the key too. The
/// operator's own pages hold none of it.
#[test]
fn what_a_provider_quotes_is_in_no_log_and_no_metric() {
    let (chat, messages) = (provider(Api::Chat), provider(Api::Messages));
    let loud = Loud::start(&config(&chat, &messages));
    for (model, status) in [("m-400", 400), ("m-500", 500)] {
        for api in Api::BOTH {
            let target = format!("/r{}", api.path());
            let headers = headers(secret("a client's key"));
            let answer = request(loud.data, "POST", &target, &headers, body(api, model, false).as_bytes());
            assert_eq!((answer.status, answer.code()), (status, None), "{model}");
            assert!(
                !answer.text().contains(secret("a client's key")),
                "not even the provider knows this one"
            );
            assert!(!answer.text().contains(secret("a caller's own key")), "{model}");
        }
    }
    check_clean("/metrics", &loud.admin("/metrics"));
    let [stdout, stderr] = loud.end();
    check_clean("standard output", &stdout);
    check_clean("the log", &stderr);
}

#[test]
fn what_others_could_reach_needs_keys_and_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let check = |server: &str, admin: &str, more: &str, refused: Option<&str>| {
        let toml = format!(
            "[server]\nlisten = \"{server}\"\n[admin]\nlisten = \"{admin}\"\n{more}\n[providers.sim]\ndialect = \"mock\"\n\
             [routes.default]\n"
        );
        std::fs::write(folder.path().join("routes.toml"), &toml).unwrap();
        for command in if refused.is_some() { &["check", "serve"][..] } else { &["check"] } {
            let output = Command::new(DIMMER)
                .arg(command)
                .current_dir(folder.path())
                .env("TOKEN", secret("an admin's token"))
                .env("CLIENT_KEY", secret("a client's key"))
                .env("SHORT", "short")
                .env("EMPTY", "")
                .output()
                .unwrap();
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(output.status.success(), refused.is_none(), "{command} {toml}\n{said}");
            assert!(said.contains(refused.unwrap_or("")), "{command} {toml}\n{said}");
        }
    };
    let client = "[clients.app]\nkey = \"${CLIENT_KEY}\"\n";
    let token =
        |name: &str| format!("tokens = [{{ name = \"op\", role = \"viewer\", token = \"${{{name}}}\" }}]\n");
    let home = "127.0.0.1:0";
    for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        check(open, home, "", Some("[clients"));
        check(open, home, client, None);
        check(home, open, "", Some("tokens"));
        check(home, open, client, Some("tokens"));
        check(home, open, &token("TOKEN"), None);
        check(home, open, &token("SHORT"), Some("32 bytes"));
        check(home, open, &token("EMPTY"), Some("token"));
        check(open, home, "[clients.app]\nkey = \"${EMPTY}\"\n", Some("key"));
    }
    for home in ["127.0.0.1:0", "127.8.8.8:0", "[::1]:0"] {
        check(home, "127.0.0.1:0", "", None);
        check("127.0.0.1:0", home, "", None);
    }
}

#[test]
fn an_admin_page_wants_a_token_where_there_are_tokens() {
    let (chat, messages) = (provider(Api::Chat), provider(Api::Messages));
    let loud = Loud::start(&config(&chat, &messages));
    let token = secret("an admin's token");
    let status = |target: &str, headers: &str| request(loud.admin, "GET", target, headers, b"").status;
    // The page has no data: it asks for the token itself.
    for page in ["/healthz", "/readyz", "/"] {
        assert_eq!((status(page, ""), status(page, "authorization: Bearer x\r\n")), (200, 200), "{page}");
    }
    for page in ["/metrics", "/api/v1/config", "/metrics?x=1"] {
        for headers in ["Bearer", "bearer"].map(|scheme| format!("authorization: {scheme} {token}\r\n")) {
            assert_eq!(status(page, &headers), 200, "{page} {headers}");
        }
        for headers in [
            String::new(),
            "authorization: Bearer \r\n".to_owned(),
            format!("authorization: Bearer {}\r\n", token.trim_start_matches('a')),
            format!("authorization: Bearer {token}x\r\n"),
            format!("authorization: Basic {token}\r\n"),
            format!("x-api-key: {token}\r\n"),
            format!("authorization: Bearer {}\r\n", secret("a client's key")),
        ] {
            assert_eq!(status(page, &headers), 401, "{page} {headers}");
        }
    }
    assert_eq!(status(&format!("/metrics?token={token}"), ""), 401, "an address ends up in logs");
    for target in ["/v1/chat/completions", "/r/v1/models", "/api/v1/nothing", "/metrics/", "//metrics"] {
        assert_eq!(status(target, &format!("authorization: Bearer {token}\r\n")), 404, "{target}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer =
            request(loud.admin, method, "/metrics", &format!("authorization: Bearer {token}\r\n"), b"");
        assert_eq!(answer.status, 405, "{method}");
    }
}

#[test]
fn the_data_listener_knows_nothing_of_the_admins_pages() {
    let (chat, messages) = (provider(Api::Chat), provider(Api::Messages));
    let config = config(&chat, &messages);
    let open: Vec<&str> = config.lines().filter(|line| !line.starts_with("tokens")).collect();
    let open = open.join("\n").replace("[clients.app]\nkey = \"${CLIENT_KEY}\"\ntrusted = true\n", "");
    let open = open.replace(", \"file:second.key\"", "").replace("file:provider.key", "${TEST_KEY}");
    let dimmer = Dimmer::start(&open);
    for page in ["/metrics", "/healthz", "/readyz", "/", "/api/v1/flags", "/api/v1/kill", "/openapi.json"] {
        for method in ["GET", "POST"] {
            let answer = request(dimmer.data, method, page, "content-type: application/json\r\n", b"{}");
            assert_eq!(
                (answer.status, answer.code().as_deref()),
                (404, Some("dimmer_no_route")),
                "{method} {page}"
            );
        }
    }
    assert_eq!(get(dimmer.admin, "/metrics").status, 200, "on loopback, without tokens, everybody may look");
    assert!(chat.requests().is_empty() && messages.requests().is_empty());
}

#[test]
fn a_broken_streams_own_event_says_nothing_of_the_inside() {
    let upstream = cuts_body(Api::Chat);
    let (chat, messages) = (upstream, provider(Api::Messages));
    let loud = Loud::start(&config(&chat, &messages));
    let good = headers(secret("a client's key"));
    let answer =
        request(loud.data, "POST", "/r/v1/chat/completions", &good, body(Api::Chat, "m-1", true).as_bytes());
    assert_eq!(Api::Chat.code_of_error_event(&answer.text()).as_deref(), Some("dimmer_upstream_reset"));
    check_clean("the error event", &answer.text());
    assert!(!answer.text().contains(&chat.address.to_string()), "{}", answer.text());
}
