//! The two APIs as the tests speak them: requests, answers and events whose bytes are known.

/// Whose API a test speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Messages,
}

impl Api {
    pub(crate) const BOTH: [Self; 2] = [Self::Chat, Self::Messages];

    /// `dialect` of its provider.
    pub(crate) fn dialect(self) -> &'static str {
        match self {
            Self::Chat => "openai",
            Self::Messages => "anthropic",
        }
    }

    /// The path of its generation call.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }

    /// `base_url` of a provider that listens there.
    pub(crate) fn base_url(self, address: std::net::SocketAddr) -> String {
        match self {
            Self::Chat => format!("http://{address}/v1"),
            Self::Messages => format!("http://{address}"),
        }
    }

    /// A plain request.
    pub(crate) fn ask(self, stream: bool) -> String {
        let system = match self {
            Self::Chat => {
                r#""messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]"#
            }
            Self::Messages => {
                r#""system":"Be brief.","max_tokens":64,"messages":[{"role":"user","content":"Hi"}]"#
            }
        };
        let stream = if stream { r#","stream":true"# } else { "" };
        format!(r#"{{"model":"m-1",{system}{stream}}}"#)
    }

    /// A whole answer.
    pub(crate) fn whole(self) -> &'static str {
        match self {
            Self::Chat => {
                r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#
            }
            Self::Messages => {
                r#"{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"Hello there"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":2}}"#
            }
        }
    }

    /// A whole stream, event by event; the last is its terminal event.
    pub(crate) fn events(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &[
                "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
                "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n",
                "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
                "data: [DONE]\n\n",
            ],
            Self::Messages => &[
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m-1\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
                "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
                "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\n",
                "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            ],
        }
    }

    /// What only a stream that is complete says.
    pub(crate) fn terminal(self) -> &'static str {
        self.events().last().unwrap()
    }

    /// The provider's own error event.
    pub(crate) fn error_event(self) -> &'static str {
        match self {
            Self::Chat => {
                "data: {\"error\":{\"message\":\"too much\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
            }
            Self::Messages => {
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"too much\"}}\n\n"
            }
        }
    }

    /// An error body of the provider's own.
    pub(crate) fn error(self) -> &'static str {
        match self {
            Self::Chat => r#"{"error":{"message":"no","type":"t","param":null,"code":"c"}}"#,
            Self::Messages => r#"{"type":"error","error":{"type":"t","message":"no"},"request_id":"req_1"}"#,
        }
    }

    /// The code of the gateway's error event at the end of a broken stream.
    pub(crate) fn code_of_error_event(self, body: &str) -> Option<String> {
        let last = body.trim_end().rsplit("\n\n").next()?;
        let (named, data) = last.split_once("data: ").unwrap();
        let event: serde_json::Value = serde_json::from_str(data).ok()?;
        let code = match self {
            Self::Chat => event.pointer("/error/code"),
            Self::Messages => {
                assert_eq!(named, "event: error\n");
                assert_eq!(event["type"], "error");
                event.pointer("/error/details/error_code")
            }
        };
        code?.as_str().map(str::to_owned)
    }
}
