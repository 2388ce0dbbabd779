//! The socket: accepts connections, tells the calls apart by their path, and sends what the other files say.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::digest::{Context, SHA256};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::MockProvider;
use super::call::{Answered, Call};
use super::dice::Dice;
use super::failure::Failure;
use super::held::{Held, Owner};
use super::{chat, completions, generate, messages, other, stored};
use crate::clock;
use crate::wire::{Dialect, unescaped};

type Providers = Arc<ArcSwap<Vec<MockProvider>>>;

/// The largest body of a call that is understood: larger than what the gateway reads by default.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// A socket that can not be accepted (no free descriptor, say) is tried again after this, without spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is told to stop.
pub(super) async fn run(listener: StdListener, providers: Providers, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    // What it holds outlives a change of the configuration, not the process.
    let held = Arc::new(Held::default());
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    drop(tokio::spawn(connection(stream, Arc::clone(&providers), Arc::clone(&held))));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, providers: Providers, held: Arc<Held>) {
    // Without it a token would wait for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| handle(request, providers.load_full(), Arc::clone(&held)));
    // A caller that goes away, or a stream that was cut on purpose: nobody is left to be told.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn handle(
    request: Request<Incoming>,
    providers: Arc<Vec<MockProvider>>,
    held: Arc<Held>,
) -> Result<Answered, Infallible> {
    let (head, body) = request.into_parts();
    let (provider, path) = chosen(&providers, head.uri.path());
    let now = clock::unix_time();
    let call = Call {
        provider: &provider,
        dialect: dialect(&head, path),
        begun: clock::now().into(),
        now,
        // An id is the one thing that must differ between two equal requests.
        id: Dice::new(now.as_nanos() as u64 ^ provider.seed, "id").id(24),
        held: &held,
        owner: Owner::of(provider.name.as_str(), &head.headers),
        beta: head.headers.get("anthropic-beta").and_then(|value| value.to_str().ok()),
        query: head.uri.query(),
    };
    let mut answered = answered(&call, &head, path, body).await;
    if let Ok(id) = HeaderValue::from_str(&format!("req_{}", call.id)) {
        let name = match call.dialect {
            Dialect::OpenAi => "x-request-id",
            Dialect::Anthropic => "request-id",
        };
        answered.headers_mut().insert(name, id);
    }
    Ok(answered)
}

/// Tells the calls apart.
async fn answered(call: &Call<'_>, head: &Parts, path: &str, body: Incoming) -> Answered {
    let known = path.strip_prefix("/v1").unwrap_or(path);
    let segments: Vec<&str> = known.split('/').skip(1).collect();
    match (&head.method, segments.as_slice()) {
        (
            &Method::POST,
            ["chat", "completions"]
            | ["completions" | "messages" | "embeddings" | "responses" | "conversations"]
            | ["messages", "count_tokens"]
            | ["responses", "input_tokens" | "compact"],
        ) => understood(call, known, body).await,
        (&Method::GET | &Method::HEAD, ["models"]) => {
            call.json(&other::models(call.provider, call.dialect, call.query))
        }
        (&Method::GET | &Method::HEAD, ["models", ..]) => {
            let name = unescaped(known.strip_prefix("/models/").unwrap_or("").as_bytes());
            call.result(other::model(call.provider, &String::from_utf8_lossy(&name), call.dialect))
        }
        (_, ["responses", id, rest @ ..]) => call.result(stored::response(call, &head.method, id, rest)),
        (_, ["conversations", id, rest @ ..]) => {
            call.result(stored::conversation(call, &head.method, id, rest))
        }
        // An answer of another shape would be worse than none: an SDK would take it for its own.
        _ if ["/responses", "/conversations"].contains(&known) || known.contains("/v1/") => {
            call.result(Err(no_such_path()))
        }
        _ => echo(call, head, path, body).await,
    }
}

/// 404: the API may have it, we do not.
pub(super) fn no_such_path() -> Failure {
    Failure::new(404, "the simulated provider does not have this path")
}

/// The provider that a path's first segment names, and the rest of the path; else the first provider.
fn chosen<'a>(providers: &[MockProvider], path: &'a str) -> (MockProvider, &'a str) {
    let first = path.split('/').nth(1).unwrap_or("");
    match providers.iter().find(|provider| provider.name.as_str() == first) {
        Some(provider) => (provider.clone(), path.get(1 + first.len()..).unwrap_or("")),
        None => {
            let nobody = MockProvider { name: "mock".into(), seed: 1, models: Vec::new() };
            (providers.first().cloned().unwrap_or(nobody), path)
        }
    }
}

/// Whose API a call is of: its path says so, and where both have it, Anthropic's version header.
fn dialect(head: &Parts, path: &str) -> Dialect {
    let messages = path.strip_prefix("/v1").unwrap_or(path).starts_with("/messages");
    if messages || head.headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

/// A call whose JSON body has a meaning here.
async fn understood(call: &Call<'_>, path: &str, body: Incoming) -> Answered {
    let (members, weight) = match members(body).await {
        Ok(read) => read,
        Err(failure) => return call.failure(&failure),
    };
    let seed = call.provider.seed;
    match path {
        "/chat/completions" => generate::chat(call, chat::read(&members, seed)).await,
        "/completions" => generate::completion(call, completions::read(&members, seed)).await,
        "/messages" => generate::message(call, members, weight).await,
        "/responses" => generate::response(call, members, weight).await,
        "/messages/count_tokens" => {
            let ask = messages::read(&members, seed, true);
            call.result(ask.map(|ask| json!({"input_tokens": ask.prompt.all()})))
        }
        "/responses/input_tokens" => call.result(stored::input_tokens(call, members)),
        "/responses/compact" => call.result(stored::compact(call, members)),
        "/conversations" => call.result(stored::converse(call, &members, weight)),
        _ => call.result(other::embeddings(&members, seed)),
    }
}

/// The body's members and its length.
async fn members(body: Incoming) -> Result<(Map<String, Value>, usize), Failure> {
    let collected = Limited::new(body, BODY_MAX).collect().await;
    let bytes = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Failure::new(413, "the body is larger than the simulated provider reads"),
        None => Failure::new(400, "the body broke off"),
    })?;
    let bytes = bytes.to_bytes();
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok((members, bytes.len())),
        Ok(_) => Err(Failure::new(400, "the body must be a JSON object")),
        Err(error) => Err(Failure::new(400, format!("the body is no JSON: {error}"))),
    }
}

/// Reads the body without keeping it: a passed-through upload may be larger than the memory.
async fn echo(call: &Call<'_>, head: &Parts, path: &str, mut body: Incoming) -> Answered {
    let (mut sha256, mut length) = (Context::new(&SHA256), 0_u64);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return call.failure(&Failure::new(400, "the body broke off")) };
        if let Some(data) = frame.data_ref() {
            sha256.update(data);
            length += data.len() as u64;
        }
    }
    call.json(&other::echo(head, path, length, &sha256.finish()))
}
