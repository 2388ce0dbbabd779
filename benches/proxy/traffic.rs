//! What is sent: chat requests as the OpenAI SDK for Python writes them, and answers as the API gives them.

use bytes::Bytes;

/// Stands exactly once in every event and in every plain answer, and nowhere else in them: who counts it knows that
/// everything has come, whatever was cut or joined on the way.
pub(crate) const MARK: u8 = b'~';

/// Events of one stream.
pub(crate) const EVENTS: usize = 50;

/// The path below every target's base URL.
pub(crate) const PATH: &str = "/app/v1/chat/completions";

/// Asks the provider to answer with the body that it was sent.
pub(crate) const ECHO: &str = "x-bench-echo: 1";

/// Asks the provider to stream slowly.
pub(crate) const SLOW: &str = "x-bench-slow: 1";

/// The system prompt that the requests carry.
pub(crate) const SENT_PROMPT: &str = "You are a helpful coding assistant.";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole answer to a request of about so many bytes.
    Whole(usize),
    /// A stream.
    Stream,
}

/// One request, head and body. `user` tells callers apart, so that flags decide differently for them.
pub(crate) fn request(kind: Kind, user: usize, extra: &str) -> Vec<u8> {
    let (length, stream) = match kind {
        Kind::Whole(length) => (length, ""),
        Kind::Stream => (SMALL, r#","stream":true"#),
    };
    let body = chat(length, stream);
    let extra = if extra.is_empty() { String::new() } else { format!("{extra}\r\n") };
    let mut request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\
         Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.8.1\r\n\
         X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.1\r\nX-Stainless-OS: Linux\r\n\
         X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.12.3\r\n\
         X-Stainless-Async: false\r\nx-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\n\
         Authorization: Bearer not-a-key\r\nx-user-id: user-{user}\r\n{extra}Content-Length: {}\r\n\r\n",
        body.len()
    );
    request.push_str(&body);
    request.into_bytes()
}

/// The size of a short conversation.
pub(crate) const SMALL: usize = 2 * 1024;
/// The size of a long one.
pub(crate) const LARGE: usize = 64 * 1024;

/// `messages` first, `model` after, with escapes and text that is not ASCII.
fn chat(length: usize, stream: &str) -> String {
    let begin = format!(r#"{{"messages":[{{"role":"system","content":"{SENT_PROMPT}"}}"#);
    let end = format!(
        r#",{{"role":"user","content":"And now?"}}],"model":"gpt-4o","max_tokens":1024,"temperature":0.2{stream}}}"#
    );
    let turns = [
        r#",{"role":"user","content":"Why does this not compile?\n```rust\nfn main() {\n    println!(\"grüße, 世界\");\n}\n```\nThe reference says otherwise."}"#,
        r#",{"role":"assistant","content":"The temporary ends with its statement. Bind it first:\n\n```rust\nlet name = \"Ada\";\n```\nThen the reference stays valid — and the compiler is content."}"#,
    ];
    let mut body = begin;
    for turn in turns.iter().cycle() {
        if body.len() + end.len() >= length {
            break;
        }
        body.push_str(turn);
    }
    body + &end
}

/// A whole answer of about 1.1 KB, head and body.
pub(crate) fn whole_answer() -> Bytes {
    let text = "The temporary value lives until the end of the enclosing statement, so the borrow does too. "
        .repeat(7);
    let body = format!(
        r#"{{"id":"chatcmpl-CZ1w4nT","object":"chat.completion","created":1763600000,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}~","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":512,"completion_tokens":128,"total_tokens":640,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_b2a1c0"}}"#
    );
    answer(body.as_bytes())
}

/// A whole answer with this body.
pub(crate) fn answer(body: &[u8]) -> Bytes {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nopenai-processing-ms: 41\r\nopenai-version: 2020-10-01\r\n\
         x-ratelimit-remaining-requests: 9999\r\nx-request-id: req_5f1c9a7b\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}

/// The same answer as Messages gives it.
pub(crate) fn whole_message() -> Bytes {
    let text = "The temporary value lives until the end of the enclosing statement, so the borrow does too. "
        .repeat(7);
    let body = format!(
        r#"{{"id":"msg_01CZ1w4nT","type":"message","role":"assistant","model":"gpt-4o","content":[{{"type":"text","text":"{text}~"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":512,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":128,"service_tier":"standard"}}}}"#
    );
    answer(body.as_bytes())
}

/// The head of a stream.
pub(crate) const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nopenai-processing-ms: 41\r\n\
openai-version: 2020-10-01\r\nx-request-id: req_5f1c9a7b\r\ntransfer-encoding: chunked\r\n\r\n";

/// What a stream sends, one write each: its events of about 330 bytes, the last together with the end.
pub(crate) fn stream_writes(with_usage: bool) -> Vec<Bytes> {
    let usage = if with_usage { r#","usage":null"# } else { "" };
    let last = EVENTS - 1;
    (0..EVENTS)
        .map(|number| {
            let (delta, finish) = match number {
                0 => (r#"{"role":"assistant","content":"~","refusal":null}"#, "null"),
                _ if number == last => (r#"{"content":"~"}"#, r#""stop""#),
                _ => (r#"{"content":" borrow~"}"#, "null"),
            };
            let padding = "k".repeat(72 - usage.len());
            let event = format!(
                "data: {{\"id\":\"chatcmpl-CZ1w4nT\",\"object\":\"chat.completion.chunk\",\"created\":1763600000,\
                 \"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_b2a1c0\",\"choices\":\
                 [{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]{usage},\
                 \"obfuscation\":\"{padding}\"}}\n\n"
            );
            let mut bytes = chunk(&event);
            if number == last {
                if with_usage {
                    bytes.push_str(&chunk(USAGE_EVENT));
                }
                bytes.push_str(&chunk("data: [DONE]\n\n"));
                bytes.push_str("0\r\n\r\n");
            }
            bytes.into()
        })
        .collect()
}

/// The same of Messages: what comes before the first text and after the last one goes with them.
pub(crate) fn message_writes() -> Vec<Bytes> {
    let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
    let delta = |text: &str| {
        event(
            "content_block_delta",
            &format!(r#","index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#),
        )
    };
    let start = r#","message":{"id":"msg_01CZ1w4nT","type":"message","role":"assistant","model":"gpt-4o","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":512,"output_tokens":1}}"#;
    let open = r#","index":0,"content_block":{"type":"text","text":""}"#;
    let end = r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":50}"#;
    let last = EVENTS - 1;
    let write = |number: usize| {
        let text = match number {
            0 => event("message_start", start) + &event("content_block_start", open) + &delta("~"),
            _ if number == last => {
                delta("~")
                    + &event("content_block_stop", r#","index":0"#)
                    + &event("message_delta", end)
                    + &event("message_stop", "")
            }
            _ => delta(" borrow~"),
        };
        let end = if number == last { "0\r\n\r\n" } else { "" };
        Bytes::from(chunk(&text) + end)
    };
    (0..EVENTS).map(write).collect()
}

const USAGE_EVENT: &str = "data: {\"id\":\"chatcmpl-CZ1w4nT\",\"object\":\"chat.completion.chunk\",\"created\":1763600000,\
\"model\":\"gpt-4o-2024-08-06\",\"choices\":[],\"usage\":{\"prompt_tokens\":512,\"completion_tokens\":50,\"total_tokens\":562}}\n\n";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}
