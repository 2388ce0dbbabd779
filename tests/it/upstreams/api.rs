//! The APIs as the tests speak them: requests, answers and events whose bytes are known.

/// Whose API a test speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Messages,
    Responses,
    Completions,
}

impl Api {
    /// One of each dialect.
    pub(crate) const BOTH: [Self; 2] = [Self::Chat, Self::Messages];
    pub(crate) const ALL: [Self; 4] = [Self::Chat, Self::Messages, Self::Responses, Self::Completions];

    /// `dialect` of its provider.
    pub(crate) fn dialect(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses | Self::Completions => "openai",
            Self::Messages => "anthropic",
        }
    }

    /// The path of its generation call.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
            Self::Completions => "/v1/completions",
        }
    }

    /// `base_url` of a provider that listens there.
    pub(crate) fn base_url(self, address: std::net::SocketAddr) -> String {
        match self {
            Self::Chat | Self::Responses | Self::Completions => format!("http://{address}/v1"),
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
            Self::Responses => r#""instructions":"Be brief.","input":[{"role":"user","content":"Hi"}]"#,
            Self::Completions => r#""prompt":"Hi""#,
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
            Self::Responses => {
                r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","error":null,"incomplete_details":null,"model":"m-1","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello there","annotations":[]}]}],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":11}}"#
            }
            Self::Completions => {
                r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"m-1","choices":[{"text":"Hello there","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#
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
            Self::Responses => &[
                "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"in_progress\",\"error\":null,\"incomplete_details\":null,\"model\":\"m-1\",\"output\":[],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],\"usage\":null}}\n\n",
                "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n",
                "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hello\",\"logprobs\":[]}\n\n",
                "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":3,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello\",\"annotations\":[]}]}}\n\n",
                "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":4,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"model\":\"m-1\",\"output\":[{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello\",\"annotations\":[]}]}],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":2,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":11}}}\n\n",
            ],
            Self::Completions => &[
                "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"text\":\"Hello\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"text\":\" there\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m-1\",\"choices\":[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n",
                "data: [DONE]\n\n",
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
            Self::Chat | Self::Completions => {
                "data: {\"error\":{\"message\":\"too much\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
            }
            Self::Messages => {
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"too much\"}}\n\n"
            }
            Self::Responses => {
                "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"too much\",\"param\":null,\"sequence_number\":2}\n\n"
            }
        }
    }

    /// An error body of the provider's own.
    pub(crate) fn error(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses | Self::Completions => {
                r#"{"error":{"message":"no","type":"t","param":null,"code":"c"}}"#
            }
            Self::Messages => r#"{"type":"error","error":{"type":"t","message":"no"},"request_id":"req_1"}"#,
        }
    }

    /// The code of the gateway's error event at the end of a broken stream.
    pub(crate) fn code_of_error_event(self, body: &str) -> Option<String> {
        let last = body.trim_end().rsplit("\n\n").next()?;
        let (named, data) = last.split_once("data: ").unwrap();
        let event: serde_json::Value = serde_json::from_str(data).ok()?;
        let code = match self {
            Self::Chat | Self::Completions => event.pointer("/error/code"),
            Self::Responses => {
                assert_eq!(named, "event: error\n");
                assert_eq!(event["type"], "error");
                let numbered = body.matches("event: response.").count();
                assert_eq!(event["sequence_number"], numbered, "the next number: {body}");
                event.get("code")
            }
            Self::Messages => {
                assert_eq!(named, "event: error\n");
                assert_eq!(event["type"], "error");
                event.pointer("/error/details/error_code")
            }
        };
        code?.as_str().map(str::to_owned)
    }
}
