//! A service that makes a reply is asked, over dispatch's own connections: in its time, its answer within a bound, no redirects.
//! One that fails several times in a row rests.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body::Body;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::clock;
use crate::proxy::body::RequestBody;
use crate::proxy::dispatch::cut::{told_to_end, unless_cut};
use crate::proxy::dispatch::{Answered, Failure, Patience, exchange_on, oddity};
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::trace;
use crate::snapshot::{HttpPlan, ReplyPlan};
use crate::wire::{ErrorCode, Frames};

/// What a service said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A text, where one fits.
    Text(String),
    /// JSON, as it was written.
    Json(String),
    /// An error for the caller.
    Error(String),
}

/// A reply is a text for a person: more is a mistake.
const ANSWER_MAX: usize = 1024 * 1024;

/// Asks the service of `plan`. `question` is JSON.
pub(crate) async fn ask_service(
    exchange: &mut Exchange,
    plan: &ReplyPlan,
    http: &HttpPlan,
    question: Bytes,
) -> Result<Said, ProxyError> {
    let began = clock::now();
    exchange.target_began = Some(began);
    let failed = |why: &str, detail: &str| {
        let name = &plan.reply.name;
        let message = format!("the service of the reply `{name}` {why} (replies.{name}.http)");
        let error = ProxyError::upstream(ErrorCode::ReplyFailed, Phase::Await, message);
        if detail.is_empty() { error } else { error.detail(detail) }
    };
    if !http.rest.admits(clock::uptime()) {
        return Err(failed("has failed several times and rests", ""));
    }
    exchange.board(None);
    let traced = trace::asks_service(exchange, plan, http);
    let asking = tokio::time::timeout(http.timeout, ask(exchange, request(http, question, traced), http));
    let asked = unless_cut(&exchange.aboard, asking).await;
    let now = clock::now();
    exchange.waited += now.saturating_duration_since(began);
    // The service has no part in that.
    let Some(asked) = asked else { return Err(told_to_end()) };
    let said = match asked {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(trouble)) => Err(failed(trouble.what, &trouble.detail)),
        Err(_) => Err(failed("did not answer in time", "")),
    };
    http.rest.record(said.is_ok(), clock::uptime());
    trace::heard(exchange, said.as_ref().map(|_| 200));
    said
}

/// Why there is no answer; the detail is for the log.
pub(super) struct Trouble {
    what: &'static str,
    detail: String,
}

fn trouble(what: &'static str, detail: impl std::fmt::Display) -> Trouble {
    Trouble { what, detail: detail.to_string() }
}

async fn ask(exchange: &Exchange, request: Request<RequestBody>, http: &HttpPlan) -> Result<Said, Trouble> {
    let answered = send(exchange, http, request).await?;
    let status = answered.response.status();
    if !status.is_success() {
        return Err(trouble("answered with an error", status));
    }
    if let Some(oddity) = oddity(&answered.response) {
        return Err(trouble(oddity, ""));
    }
    if answered.response.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(trouble("encoded its answer, though nobody asked for that", ""));
    }
    let bytes = collect(exchange, *answered).await?;
    read(&bytes)
}

async fn send(
    exchange: &Exchange,
    http: &HttpPlan,
    request: Request<RequestBody>,
) -> Result<Box<Answered>, Trouble> {
    // The time is kept by who asks.
    let patience = Patience { first_byte: None, total: None, upload: None, upload_stall: http.timeout };
    let began = clock::now();
    let mut request = Some(request);
    let idle = exchange.worker.pool.borrow_mut().take(&http.endpoint, began);
    if let Some(upstream) = idle {
        match exchange_on(upstream, &mut request, &patience, began, &[]).await {
            Ok(answered) => return Ok(answered),
            Err(Failure::Unwritten) => {}
            Err(_) => return Err(trouble("broke the connection off", "")),
        }
    }
    let upstream = exchange.gateway().connector.open(&http.endpoint).await;
    let upstream = upstream.map_err(|problem| trouble("cannot be reached", problem.detail()))?;
    let answered = exchange_on(upstream, &mut request, &patience, clock::now(), &[]).await;
    answered.map_err(|_| trouble("broke the connection off, or does not speak HTTP", ""))
}

/// `fields` are what else stands in the head.
fn request(http: &HttpPlan, question: Bytes, fields: HeaderMap) -> Request<RequestBody> {
    let len = question.len() as u64;
    let mut request = Request::new(RequestBody::held(Frames { parts: vec![question], len }));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http.uri.clone();
    let headers = request.headers_mut();
    *headers = fields;
    headers.insert(header::HOST, http.host.clone());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, len.into());
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    request
}

/// The whole answer. Its connection is kept where it can carry another.
async fn collect(exchange: &Exchange, answered: Answered) -> Result<Bytes, Trouble> {
    let Answered { response, mut upstream, .. } = answered;
    let headers = response.headers();
    let framed =
        headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    let mut body = response.into_body();
    let mut pieces: VecDeque<Bytes> = VecDeque::new();
    let mut length = 0_usize;
    while let Some(piece) = next(&mut body, &mut upstream).await? {
        length = length.saturating_add(piece.len());
        if length > ANSWER_MAX {
            return Err(trouble("sent more than 1 MiB", ""));
        }
        pieces.push_back(piece);
    }
    if framed {
        exchange.worker.pool.borrow_mut().put(upstream, clock::now());
    }
    Ok(match pieces.len() {
        0 | 1 => pieces.pop_front().unwrap_or_default(),
        _ => pieces
            .iter()
            .fold(Vec::with_capacity(length), |mut all, piece| {
                all.extend_from_slice(piece);
                all
            })
            .into(),
    })
}

pub(super) async fn next(
    body: &mut Incoming,
    upstream: &mut super::Upstream,
) -> Result<Option<Bytes>, Trouble> {
    poll_fn(|cx| {
        for _ in 0..2 {
            while let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                match frame {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) => return Poll::Ready(Ok(Some(bytes))),
                        Err(_) => continue,
                    },
                    Some(Err(error)) => return Poll::Ready(Err(trouble("broke its answer off", error))),
                    None => return Poll::Ready(Ok(None)),
                }
            }
            let _closed = upstream.connection.as_mut().poll(cx).is_ready();
        }
        Poll::Pending
    })
    .await
}

/// What a service may say: one of these.
#[derive(Deserialize)]
struct Answer<'a> {
    text: Option<String>,
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    error: Option<String>,
}

fn read(bytes: &[u8]) -> Result<Said, Trouble> {
    let wrong = r#"said something else than {"text": …}, {"json": …} or {"error": …}"#;
    // The parser's words would quote what was said.
    let answer: Answer<'_> = serde_json::from_slice(bytes).map_err(|_| trouble(wrong, ""))?;
    match answer {
        Answer { text: Some(text), json: None, error: None } => Ok(Said::Text(text)),
        Answer { text: None, json: Some(json), error: None } => Ok(Said::Json(json.get().to_owned())),
        Answer { text: None, json: None, error: Some(error) } => Ok(Said::Error(error)),
        _ => Err(trouble(wrong, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_one_of_three_things() {
        let said = |text: &str| read(text.as_bytes()).ok();
        assert_eq!(said(r#"{"text":"Hi \"you\""}"#), Some(Said::Text("Hi \"you\"".into())));
        assert_eq!(
            said(r#"{"json": {"a":1.0, "b":[ ]} }"#),
            Some(Said::Json(r#"{"a":1.0, "b":[ ]}"#.into()))
        );
        assert_eq!(said(r#"{"json":null,"text":"x","more":1}"#), Some(Said::Text("x".into())));
        assert_eq!(said(r#"{"error":"No."}"#), Some(Said::Error("No.".into())));
        for wrong in
            ["", "{}", "[]", "null", r#"{"text":1}"#, r#"{"text":"a","json":1}"#, r#"{"text":"a"} x"#, "OK"]
        {
            assert_eq!(said(wrong), None, "{wrong}");
        }
    }
}
