//! A provider for the SDK tests: speaks Chat Completions and Messages, and does what the model's name says.
//!
//! `status-NNN` answers with that error · `breaks` resets the connection in the middle of a stream · `endless` streams
//! until the caller leaves · `silent` never answers · any other model calls the tool that it is offered, and without
//! tools answers with a JSON text that says what arrived. Wants its own key, so that each good answer also shows that
//! the caller's was replaced. `GET /_seen` tells what has happened.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// The credential that this provider wants.
pub(crate) const PROVIDER_KEY: &str = "provider-key-that-callers-never-see";

/// What the requests so far were, for `GET /_seen`.
#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    cancelled: AtomicU64,
    last: Mutex<Value>,
}

/// Starts on a free port of loopback, on a thread and a runtime of its own; lives as long as the test process.
pub(crate) fn start() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(serve(listener));
    });
    address
}

async fn serve(listener: std::net::TcpListener) {
    let listener = TcpListener::from_std(listener).expect("a tokio listener");
    let seen = Arc::new(Seen::default());
    while let Ok((socket, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&seen)));
            // A caller that goes away in the middle is what some tests want: nothing to say about it here.
            let _gone = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<Pieces>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/_seen" {
        let last = seen.last.lock().expect("no panic").clone();
        let text = json!({
            "requests": seen.requests.load(Ordering::SeqCst),
            "cancelled": seen.cancelled.load(Ordering::SeqCst),
            "last": last,
        });
        return Ok(whole(200, &text));
    }
    let dialect = if path.ends_with("/messages") { Dialect::Anthropic } else { Dialect::OpenAi };
    let headers = request.headers().clone();
    let Ok(body) = request.into_body().collect().await else { return Ok(failure(dialect, 400)) };
    let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null);
    seen.requests.fetch_add(1, Ordering::SeqCst);
    *seen.last.lock().expect("no panic") = json!({ "path": path, "headers": shown(&headers), "body": body });
    if !authorised(dialect, &headers) {
        return Ok(failure(dialect, 401));
    }
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    if let Some(status) = model.strip_prefix("status-").and_then(|status| status.parse().ok()) {
        return Ok(failure(dialect, status));
    }
    if model == "silent" {
        let _guard = CountCancel(&seen);
        std::future::pending::<()>().await;
    }
    let said = Said::to(dialect, &body);
    if body["stream"] != json!(true) {
        return Ok(whole(200, &said.whole(dialect, &model)));
    }
    let events = said.events(dialect, &model, body["stream_options"]["include_usage"] == json!(true));
    Ok(streamed(events, &model, seen))
}

#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    OpenAi,
    Anthropic,
}

/// Exactly one credential, and it is this provider's own. Anthropic takes it in either header.
fn authorised(dialect: Dialect, headers: &HeaderMap) -> bool {
    let credential = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (credential("authorization"), credential("x-api-key")) {
        (Some(bearer), None) => bearer.strip_prefix("Bearer ") == Some(PROVIDER_KEY),
        (None, Some(key)) => dialect == Dialect::Anthropic && key == PROVIDER_KEY,
        _ => false,
    }
}

fn shown(headers: &HeaderMap) -> Value {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect()
}

fn failure(dialect: Dialect, status: u16) -> Response<Pieces> {
    let message = format!("the provider says {status}");
    let text = match dialect {
        Dialect::OpenAi => {
            json!({ "error": { "message": message, "type": "provider_error", "param": "n", "code": format!("provider_{status}") } })
        }
        Dialect::Anthropic => json!({
            "type": "error",
            "error": { "type": "provider_error", "message": message, "details": { "error_code": format!("provider_{status}") } },
            "request_id": "req_provider",
        }),
    };
    let mut response = whole(status, &text);
    if status == 429 {
        response.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
    }
    response
}

fn whole(status: u16, text: &Value) -> Response<Pieces> {
    let pieces = Pieces::whole(text.to_string());
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header("content-type", "application/json")
        .header("x-request-id", "req_provider")
        .header("request-id", "req_provider")
        .body(pieces)
        .expect("a response")
}

/// Sends the events one by one, each cut in two in the middle, so that no reader can count on whole events.
fn streamed(events: Vec<String>, model: &str, seen: Arc<Seen>) -> Response<Pieces> {
    let (sender, receiver) = mpsc::channel(1);
    let model = model.to_owned();
    tokio::spawn(async move {
        let middle = events.len() / 2;
        for (place, event) in events.iter().enumerate() {
            if model == "breaks" && place == middle {
                let _gone = sender.send(Err("reset by the test")).await;
                return;
            }
            if model == "endless" && place == middle {
                think_for_ever(&sender).await;
            }
            let bytes = Bytes::from(event.clone());
            let half = bytes.len() / 2;
            for piece in [bytes.slice(..half), bytes.slice(half..)] {
                if sender.send(Ok(piece)).await.is_err() {
                    seen.cancelled.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    Response::builder()
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("x-request-id", "req_provider")
        .header("request-id", "req_provider")
        .body(Pieces { receiver })
        .expect("a response")
}

/// Sends comments until nobody takes them any more.
async fn think_for_ever(sender: &mpsc::Sender<Result<Bytes, &'static str>>) {
    while sender.send(Ok(Bytes::from_static(b": still thinking\n\n"))).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct CountCancel<'a>(&'a Seen);

impl Drop for CountCancel<'_> {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::SeqCst);
    }
}

/// What is answered: a tool call, or a text.
struct Said {
    tool: Option<String>,
    text: String,
}

impl Said {
    fn to(dialect: Dialect, body: &Value) -> Self {
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        if let Some(result) = tool_result(dialect, &messages) {
            return Self { tool: None, text: format!("The tool says: {result}") };
        }
        let tool = &body["tools"][0];
        let name = if dialect == Dialect::OpenAi { &tool["function"]["name"] } else { &tool["name"] };
        if let Some(name) = name.as_str() {
            return Self { tool: Some(name.to_owned()), text: String::new() };
        }
        let arrived = json!({
            "model": body["model"],
            "system": system_of(dialect, body, &messages),
            "images": images_of(&messages),
            "temperature": body["temperature"],
            "snow": "☃ åäö",
        });
        Self { tool: None, text: arrived.to_string() }
    }

    fn whole(&self, dialect: Dialect, model: &str) -> Value {
        let arguments = r#"{"city": "Oslo"}"#;
        match (dialect, &self.tool) {
            (Dialect::OpenAi, tool) => {
                let message = match tool {
                    Some(name) => json!({ "role": "assistant", "content": null, "tool_calls": [
                        { "id": "call_1", "type": "function", "function": { "name": name, "arguments": arguments } } ] }),
                    None => json!({ "role": "assistant", "content": self.text, "refusal": null }),
                };
                let finish = if tool.is_some() { "tool_calls" } else { "stop" };
                json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": model,
                    "choices": [{ "index": 0, "message": message, "finish_reason": finish, "logprobs": null }],
                    "usage": { "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12 } })
            }
            (Dialect::Anthropic, tool) => {
                let (block, stop) = match tool {
                    Some(name) => (
                        json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": { "city": "Oslo" } }),
                        "tool_use",
                    ),
                    None => (json!({ "type": "text", "text": self.text }), "end_turn"),
                };
                json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [block],
                    "stop_reason": stop, "stop_sequence": null, "usage": { "input_tokens": 7, "output_tokens": 5 } })
            }
        }
    }

    fn events(&self, dialect: Dialect, model: &str, usage: bool) -> Vec<String> {
        match dialect {
            Dialect::OpenAi => self.chat_events(model, usage),
            Dialect::Anthropic => self.message_events(model),
        }
    }

    fn chat_events(&self, model: &str, usage: bool) -> Vec<String> {
        let chunk = |choices: Value, used: Value| {
            let mut chunk = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000,
                "model": model, "choices": choices });
            if usage {
                chunk["usage"] = used;
            }
            format!("data: {chunk}\n\n")
        };
        let delta = |delta: Value, finish: Value| {
            chunk(
                json!([{ "index": 0, "delta": delta, "finish_reason": finish, "logprobs": null }]),
                Value::Null,
            )
        };
        let mut events = vec![delta(json!({ "role": "assistant", "content": "" }), Value::Null)];
        let finish = match &self.tool {
            Some(name) => {
                let head = json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": name, "arguments": "" } });
                events.push(delta(json!({ "tool_calls": [head] }), Value::Null));
                for piece in [r#"{"ci"#, r#"ty": "#, r#""Oslo"}"#] {
                    let part = json!({ "index": 0, "function": { "arguments": piece } });
                    events.push(delta(json!({ "tool_calls": [part] }), Value::Null));
                }
                "tool_calls"
            }
            None => {
                events
                    .extend(pieces(&self.text).map(|piece| delta(json!({ "content": piece }), Value::Null)));
                "stop"
            }
        };
        events.push(delta(json!({}), json!(finish)));
        if usage {
            events.push(chunk(
                json!([]),
                json!({ "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12 }),
            ));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    fn message_events(&self, model: &str) -> Vec<String> {
        let event =
            |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default());
        let mut events =
            vec![event(json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message",
            "role": "assistant", "model": model, "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": 7, "output_tokens": 1 } } }))];
        let (block, deltas, stop): (Value, Vec<Value>, &str) = match &self.tool {
            Some(name) => (
                json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": {} }),
                [r#"{"ci"#, r#"ty": "#, r#""Oslo"}"#]
                    .map(|piece| json!({ "type": "input_json_delta", "partial_json": piece }))
                    .into(),
                "tool_use",
            ),
            None => (
                json!({ "type": "text", "text": "" }),
                pieces(&self.text).map(|piece| json!({ "type": "text_delta", "text": piece })).collect(),
                "end_turn",
            ),
        };
        events.push(event(json!({ "type": "content_block_start", "index": 0, "content_block": block })));
        events.push(event(json!({ "type": "ping" })));
        events.extend(
            deltas
                .into_iter()
                .map(|delta| event(json!({ "type": "content_block_delta", "index": 0, "delta": delta }))),
        );
        events.push(event(json!({ "type": "content_block_stop", "index": 0 })));
        events.push(event(
            json!({ "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null },
            "usage": { "output_tokens": 5 } }),
        ));
        events.push(event(json!({ "type": "message_stop" })));
        events
    }
}

/// Three characters at a time.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(3).map(|piece| piece.iter().collect()).collect::<Vec<String>>().into_iter()
}

fn tool_result(dialect: Dialect, messages: &[Value]) -> Option<String> {
    let last = messages.last()?;
    match dialect {
        Dialect::OpenAi if last["role"] == "tool" => last["content"].as_str().map(str::to_owned),
        Dialect::OpenAi => None,
        Dialect::Anthropic => {
            let block = last["content"].as_array()?.iter().find(|block| block["type"] == "tool_result")?;
            Some(text_of(&block["content"]))
        }
    }
}

fn system_of(dialect: Dialect, body: &Value, messages: &[Value]) -> String {
    match dialect {
        Dialect::Anthropic => text_of(&body["system"]),
        Dialect::OpenAi => {
            let texts: Vec<String> = messages
                .iter()
                .filter(|message| message["role"] == "system" || message["role"] == "developer")
                .map(|message| text_of(&message["content"]))
                .collect();
            texts.join("|")
        }
    }
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("|")
        }
        _ => String::new(),
    }
}

/// The images as they arrived: a chat's data URL, or media type and data of a message's block.
fn images_of(messages: &[Value]) -> Vec<String> {
    let blocks = messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    blocks
        .filter_map(|block| match block["type"].as_str()? {
            "image_url" => block["image_url"]["url"].as_str().map(str::to_owned),
            "image" => {
                let source = &block["source"];
                Some(format!("data:{};base64,{}", source["media_type"].as_str()?, source["data"].as_str()?))
            }
            _ => None,
        })
        .collect()
}

/// A body that arrives in pieces; an error in it resets the connection.
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, &'static str>>,
}

impl Pieces {
    fn whole(text: String) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(Ok(Bytes::from(text))).expect("room for one");
        Self { receiver }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.receiver.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
