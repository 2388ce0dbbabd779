//! The socket: accepts connections, tells the calls apart by their path, and sends what the other files say.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::digest::{Context, SHA256};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::MockProvider;
use super::answer::answer;
use super::ask::Ask;
use super::dice::Dice;
use super::failure::Failure;
use super::script::Script;
use super::{chat, messages, other};
use crate::clock;
use crate::config::MockModel;
use crate::wire::Dialect;

type Providers = Arc<ArcSwap<Vec<MockProvider>>>;
type Answered = Response<Either<Full<Bytes>, Script>>;

/// The largest body of a call that is understood: larger than what the gateway reads by default.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// A socket that can not be accepted (no free descriptor, say) is tried again after this, without spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is told to stop.
pub(super) async fn run(listener: StdListener, providers: Providers, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&providers)))),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, providers: Providers) {
    // Without it a token would wait for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| handle(request, providers.load_full()));
    // A caller that goes away, or a stream that was cut on purpose: nobody is left to be told.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// One request, as far as every kind of answer needs it.
struct Call<'a> {
    provider: &'a MockProvider,
    dialect: Dialect,
    begun: Instant,
    now: Duration,
    id: String,
}

async fn handle(
    request: Request<Incoming>,
    providers: Arc<Vec<MockProvider>>,
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
    };
    let known = path.strip_prefix("/v1").unwrap_or(path);
    let mut answered = match (&head.method, known) {
        (&Method::POST, "/chat/completions" | "/messages" | "/messages/count_tokens" | "/embeddings") => {
            understood(&call, known, body).await
        }
        (&Method::GET | &Method::HEAD, "/models") => call.json(&other::models(&provider, call.dialect)),
        (&Method::GET | &Method::HEAD, _) if known.starts_with("/models/") => {
            let name = known.strip_prefix("/models/").unwrap_or("");
            call.result(other::model(&provider, name, call.dialect))
        }
        // An answer of another shape would be worse than none: an SDK would take it for its own.
        _ if known.starts_with("/responses") || known.contains("/v1/") => {
            call.result(Err(Failure::new(404, "the simulated provider does not have this path")))
        }
        _ => echo(&call, &head, path, body).await,
    };
    if let Ok(id) = HeaderValue::from_str(&format!("req_{}", call.id)) {
        let name = match call.dialect {
            Dialect::OpenAi => "x-request-id",
            Dialect::Anthropic => "request-id",
        };
        answered.headers_mut().insert(name, id);
    }
    Ok(answered)
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
fn dialect(head: &http::request::Parts, path: &str) -> Dialect {
    let messages = path.strip_prefix("/v1").unwrap_or(path).starts_with("/messages");
    if messages || head.headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    }
}

/// A call whose JSON body has a meaning here.
async fn understood(call: &Call<'_>, path: &str, body: Incoming) -> Answered {
    let members = match members(body).await {
        Ok(members) => members,
        Err(failure) => return call.failure(&failure),
    };
    let seed = call.provider.seed;
    match path {
        "/chat/completions" => generate(call, chat::read(&members, seed)).await,
        "/messages" => generate(call, messages::read(&members, seed, false)).await,
        "/embeddings" => call.result(other::embeddings(&members, seed)),
        _ => call.result(
            messages::read(&members, seed, true).map(|ask| json!({"input_tokens": ask.prompt.all()})),
        ),
    }
}

async fn members(body: Incoming) -> Result<Map<String, Value>, Failure> {
    let collected = Limited::new(body, BODY_MAX).collect().await;
    let bytes = collected.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Failure::new(413, "the body is larger than the simulated provider reads"),
        None => Failure::new(400, "the body broke off"),
    })?;
    match serde_json::from_slice(&bytes.to_bytes()) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Failure::new(400, "the body must be a JSON object")),
        Err(error) => Err(Failure::new(400, format!("the body is no JSON: {error}"))),
    }
}

async fn generate(call: &Call<'_>, read: Result<Ask, Failure>) -> Answered {
    let found = read.and_then(|ask| Ok((call.model(&ask.model)?, ask)));
    let (model, ask) = match found {
        Ok(found) => found,
        Err(failure) => return call.failure(&failure),
    };
    let answer = match answer(&ask, model, call.dialect) {
        Ok(answer) => answer,
        Err((failure, after)) => {
            sleep_until(call.begun + after).await;
            return call.failure(&failure);
        }
    };
    if ask.stream {
        let pieces = match call.dialect {
            Dialect::OpenAi => chat::stream(&ask, &answer, &call.id, call.now.as_secs()),
            Dialect::Anthropic => messages::stream(&ask, &answer, &call.id),
        };
        // A real provider's status comes with its first event.
        sleep_until(call.begun + answer.pace.first()).await;
        let body = Either::Right(Script::new(call.begun, pieces));
        return typed(Response::new(body), "text/event-stream; charset=utf-8");
    }
    sleep_until(call.begun + answer.pace.whole(answer.output_tokens)).await;
    call.json(&match call.dialect {
        Dialect::OpenAi => chat::whole(&ask, &answer, &call.id, call.now.as_secs()),
        Dialect::Anthropic => messages::whole(&ask, &answer, &call.id),
    })
}

/// Reads the body without keeping it: a passed-through upload may be larger than the memory.
async fn echo(call: &Call<'_>, head: &http::request::Parts, path: &str, mut body: Incoming) -> Answered {
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

impl Call<'_> {
    fn model(&self, name: &str) -> Result<&MockModel, Failure> {
        let found = self.provider.models.iter().find(|(known, _)| known == name);
        found.map(|(_, model)| model).ok_or_else(|| Failure::no_model(name))
    }

    fn json(&self, value: &Value) -> Answered {
        typed(Response::new(Either::Left(Full::from(value.to_string()))), "application/json")
    }

    fn result(&self, result: Result<Value, Failure>) -> Answered {
        result.map_or_else(|failure| self.failure(&failure), |value| self.json(&value))
    }

    fn failure(&self, failure: &Failure) -> Answered {
        let mut answered = self.json(&failure.body(self.dialect, &format!("req_{}", self.id)));
        *answered.status_mut() = StatusCode::from_u16(failure.status).unwrap_or_default();
        if let Some(seconds) = failure.retry_after {
            answered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answered
    }
}

fn typed(mut answered: Answered, content_type: &'static str) -> Answered {
    answered.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answered
}
