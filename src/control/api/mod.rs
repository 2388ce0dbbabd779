//! The admin API, `/api/v1`: what operators and the command line ask for and do.
//!
//! Who may, what there is and how it is described is one table, [`operations`]; what answers is [`answers`].

mod access;
mod answers;
mod body;
mod openapi;
mod operations;
mod plan;
mod records;
mod refusal;
mod reports;
mod shadow;
pub mod shapes;
mod views;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::config::{Role, Token};
use crate::control::{Explainer, Rollbacks, Switchboard};
use crate::record::Records;
use crate::snapshot::{Breakers, Store};
use access::{Caller, caller, from_here};
use answers::{Answer, Content};
pub(super) use body::Said;
use operations::{Found, Id, Operation, PREFIX, find};
use refusal::Refusal;

/// What the API is about. One per process, shared by reference.
pub struct Api {
    /// Tokens are the snapshot's: a reload changes them.
    pub store: Arc<Store>,
    /// Changes what holds at run time.
    pub switchboard: Arc<Switchboard>,
    /// Makes roll-backs.
    pub rollbacks: Arc<Rollbacks>,
    /// What watches models and variants.
    pub breakers: Arc<Breakers>,
    /// Says who would get what.
    pub explainer: Arc<dyn Explainer>,
    /// What is kept of requests: where it is put, and where it is read.
    pub records: Arc<Records>,
    /// The configuration's file.
    pub file: PathBuf,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A question, read and allowed.
struct Call {
    operation: &'static Operation,
    /// What stands in the braces of its path.
    within: Vec<String>,
    /// What stands behind `?`.
    query: Vec<(String, String)>,
    body: Bytes,
    /// The body is a configuration, not JSON.
    toml: bool,
    who: String,
    role: Role,
}

/// The largest body: a question to it is a few lines.
const BODY_MAX: usize = 1 << 20;
/// The largest with a configuration and the files that it names: lists of customers have some MiB.
const PLAN_BODY_MAX: usize = 16 << 20;
/// A body that takes longer is not an operator's.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a path is the API's.
pub(super) fn is_api(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether who sends these headers may read: everybody without tokens.
pub(super) fn may_read(tokens: &[Token], headers: &HeaderMap) -> bool {
    caller(tokens, headers).is_some()
}

impl Api {
    /// Answers one request whose path is the API's.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Said> {
        let (parts, body) = request.into_parts();
        let answered = match self.call(&parts, body).await {
            Ok(call) => answers::answer(Arc::clone(self), call).await,
            Err(refusal) => Err(refusal),
        };
        match answered {
            Ok(answer) => response(answer),
            Err(refusal) => refused(&refusal).map(Said::from),
        }
    }

    /// Finds out who asks for what, and whether they may. Strangers hear nothing of what there is.
    async fn call(&self, parts: &Parts, body: Incoming) -> Result<Call, Refusal> {
        let view = self.store.load_full();
        let tokens = &view.config.admin.tokens;
        let caller = caller(tokens, &parts.headers).ok_or_else(Refusal::unauthorized)?;
        if tokens.is_empty() {
            from_here(parts)?;
        }
        let path = parts.uri.path();
        let (operation, within) = match find(&parts.method, path.strip_prefix(PREFIX).unwrap_or_default()) {
            Found::Operation(operation, within) => (operation, within),
            Found::Methods(allowed) => return Err(Refusal::method(&allowed)),
            Found::Nothing => {
                let message = format!("nothing is at this path; {PREFIX}/openapi.json lists every operation");
                return Err(Refusal::not_found(message));
            }
        };
        allowed(&caller, operation)?;
        let query = query(operation, parts.uri.query().unwrap_or_default())?;
        let body = match parts.method {
            Method::GET | Method::HEAD => Bytes::new(),
            _ => read(parts, body, operation).await?,
        };
        let toml = is_toml(parts, operation);
        Ok(Call { operation, within, query, body, toml, who: caller.who, role: caller.role })
    }
}

fn allowed(caller: &Caller, operation: &Operation) -> Result<(), Refusal> {
    match (operation.role, caller.role) {
        (Role::Operator, Role::Viewer) => Err(Refusal::forbidden(format!(
            "the token {:?} has the role viewer, which only reads; this takes one whose role is operator",
            caller.who
        ))),
        (Role::Viewer, _) | (Role::Operator, Role::Operator) => Ok(()),
    }
}

/// What stands behind `?`. A name that means nothing here is a slip that would else go unseen.
fn query(operation: &Operation, text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| operations::decoded(&text.replace('+', " "));
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            return Err(Refusal::bad("the query is not UTF-8 in percent-encoding"));
        };
        let known: Vec<&str> = operation.query.iter().map(|(name, ..)| *name).collect();
        if !known.contains(&name.as_str()) {
            let there_are = if known.is_empty() {
                "takes no query".to_owned()
            } else {
                format!("takes {}", known.join(", "))
            };
            return Err(Refusal::bad(format!("the query has {name:?}; this operation {there_are}")));
        }
        if found.iter().any(|(other, _)| *other == name) {
            return Err(Refusal::bad(format!("the query has {name:?} twice")));
        }
        found.push((name, value));
    }
    Ok(found)
}

/// What the body says it is.
fn kind(parts: &Parts) -> &str {
    let kind =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

fn is_toml(parts: &Parts, operation: &Operation) -> bool {
    operation.id == Id::Plan && kind(parts).eq_ignore_ascii_case("application/toml")
}

/// The body of a write. Its content type must be JSON, or where a configuration is asked about TOML: a page of another site can send
/// neither unasked.
async fn read(parts: &Parts, body: Incoming, operation: &Operation) -> Result<Bytes, Refusal> {
    let expected = operation.takes.is_some() && !is_toml(parts, operation);
    let most = if operation.id == Id::Plan { PLAN_BODY_MAX } else { BODY_MAX };
    if expected && !kind(parts).eq_ignore_ascii_case("application/json") {
        let message = "send the body as JSON, with the header `Content-Type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, most).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {most} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message))
        }
        Ok(Err(_)) => Err(Refusal::bad("the body broke off")),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "bad_request",
            "the body did not come within ten seconds",
        )),
    }
}

fn response(answer: Answer) -> Response<Said> {
    let (kind, said) = match answer.content {
        Content::Json(bytes) => ("application/json", Said::Whole(Full::new(bytes.into()))),
        Content::Toml(text) => ("application/toml", Said::Whole(Full::new(text.into()))),
        Content::Lines(first, rest) => ("application/jsonl", Said::Pieces(first, rest)),
        Content::Page(text) => return page(answer.status, text),
    };
    with_headers(answer.status, kind, said)
}

/// A page for a browser. It holds words that came from providers: nothing in it is run, and it loads nothing.
fn page(status: StatusCode, text: String) -> Response<Said> {
    let mut response = with_headers(status, "text/html; charset=utf-8", Said::Whole(Full::new(text.into())));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let mut body = serde_json::to_vec(&refusal.problem()).unwrap_or_default();
    body.push(b'\n');
    let mut response = with_headers(refusal.status, "application/json", Full::new(Bytes::from(body)));
    if let Some((name, value)) = &refusal.header {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

fn with_headers<B>(status: StatusCode, kind: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
