//! Requests as the agents on a developer's machine send them: nothing of them changes on a bare route, and with flags exactly
//! the model and the prompt.

use std::fmt::Write;

use crate::harness::{Answer, Dimmer, listeners, request};
use crate::upstreams::{After, Recorded, Upstream};

const CLAUDE_MODEL: &str = "claude-opus-4-6";
const CODEX_MODEL: &str = "gpt-6-codex";

/// Providers of both APIs, and a route that decides nothing: its requests are not even read.
fn bare(upstream: &Upstream) -> String {
    let address = upstream.address;
    listeners("")
        + &format!(
            "[providers.openai]\ndialect = \"openai\"\nbase_url = \"http://{address}/v1\"\napi_key = \"${{TEST_KEY}}\"\n\
             [providers.anthropic]\ndialect = \"anthropic\"\nbase_url = \"http://{address}\"\n\
             api_key = \"${{TEST_KEY}}\"\n[routes.bare]\npath = \"/bare\"\n"
        )
}

const DECIDING: &str = r#"
[models.claude-chosen]
provider = "anthropic"
[models.codex-chosen]
provider = "openai"
[prompts.terse]
text = "One \"word\"."
[flags.claude]
owner = "o"
permanent = true
default = "claude-chosen"
[flags.codex]
owner = "o"
permanent = true
default = "codex-chosen"
[flags.prompt]
owner = "o"
permanent = true
default = "terse"
[flags.effort]
owner = "o"
permanent = true
default = "low"
[flags.leave]
owner = "o"
permanent = true
default = "as_sent"
[routes.as-sent]
path = "/as-sent"
model.flag = "leave"
[routes.claude]
path = "/claude"
model.flag = "claude"
system_prompt.flag = "prompt"
[routes.claude-append]
path = "/claude-append"
model.flag = "claude"
system_prompt = { flag = "prompt", mode = "append" }
[routes.codex]
path = "/codex"
model.flag = "codex"
[routes.codex-append]
path = "/codex-append"
model.flag = "codex"
system_prompt = { flag = "prompt", mode = "append" }
params.reasoning_effort.flag = "effort"
params.verbosity = "low"
params.max_tokens = { max = 4000 }
params.temperature = { default = 0.2 }
params.stop = "END"
tools.deny = ["web_search"]
[routes.codex-replace]
path = "/codex-replace"
model.flag = "codex"
system_prompt.flag = "prompt"
"#;

fn start(upstream: &Upstream) -> Dimmer {
    Dimmer::start(&(bare(upstream) + DECIDING))
}

/// The gateway changes these on any request.
const CREDENTIALS: [&str; 3] = ["host", "authorization", "x-api-key"];

/// What the provider got, but for what every request's head changes.
fn fields(recorded: &Recorded) -> Vec<(String, String)> {
    let head = String::from_utf8(recorded.head.clone()).unwrap();
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let mut fields: Vec<(String, String)> =
        lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    fields.retain(|(name, _)| !CREDENTIALS.contains(&name.as_str()));
    fields.sort();
    fields
}

/// What the agent sent, in the same form, with the one field that dimmer adds.
fn sent(headers: &str, body: &str) -> Vec<(String, String)> {
    let lines = headers.lines().filter_map(|line| line.split_once(": "));
    let mut fields: Vec<(String, String)> =
        lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    fields.push(("content-length".to_owned(), body.len().to_string()));
    fields.push(("x-dimmer-hops".to_owned(), "1".to_owned()));
    fields.retain(|(name, _)| !CREDENTIALS.contains(&name.as_str()));
    fields.sort();
    fields
}

/// A request that an agent makes.
struct Agent {
    target: &'static str,
    headers: String,
    body: String,
    stream: String,
}

impl Agent {
    /// A provider that streams what this agent reads.
    fn provider(&self) -> Upstream {
        let stream = self.stream.clone();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: up-1\r\n";
        Upstream::new(move |peer, _| {
            let length = format!("content-length: {}\r\n\r\n", stream.len());
            peer.then(format!("{head}{length}{stream}"), After::KeepAlive)
        })
    }

    fn send(&self, dimmer: &Dimmer, route: &str) -> Answer {
        let target = format!("{route}{}", self.target);
        request(dimmer.data, "POST", &target, &self.headers, self.body.as_bytes())
    }

    /// What comes to the provider by this route is `body`, with the agent's own headers; the answer comes back as it was.
    fn check(&self, dimmer: &Dimmer, upstream: &Upstream, route: &str, body: &str) {
        let answer = self.send(dimmer, route);
        assert_eq!((answer.status, answer.complete), (200, true), "{route}: {}", answer.text());
        assert_eq!(answer.text(), self.stream, "{route}");
        let came = upstream.last();
        let text = String::from_utf8(came.body.clone()).unwrap();
        assert!(text == body, "{route}: sent {} bytes, {} came:\n{text}", body.len(), text.len());
        assert_eq!(came.line(), format!("POST {} HTTP/1.1", self.target), "{route}");
        assert_eq!(fields(&came), sent(&self.headers, body), "{route}");
    }
}

/// Three blocks, of which the first says who pays; cache markers on the others.
const CLAUDE_SYSTEM: &str = r#"[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.329; cc_entrypoint=sdk-cli;"},{"type":"text","text":"You are an agent.","cache_control":{"type":"ephemeral"}}, {"type":"text","text":"Environment:\n\tü ☃","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#;

const BETAS: &str = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,\
                     per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,\
                     thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,effort-2025-11-24";

/// `claude -p` at its second request of a turn: a tool was called, and a system message stands among the messages.
fn claude(system: &str, model: &str) -> Agent {
    let mut tools = String::new();
    for number in 0..12 {
        let comma = if number == 0 { "" } else { "," };
        let defer = if number % 3 == 2 { r#","defer_loading":true"# } else { "" };
        let text = "What it does, at length. ".repeat(120);
        write!(tools, r#"{comma}{{"name":"Tool{number}","description":"{text}","input_schema":{{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{{"path":{{"type":"string"}}}},"required":["path"],"additionalProperties":false}}{defer}}}"#)
            .unwrap();
    }
    let user = r#"{\"device_id\":\"0f3a\",\"account_uuid\":\"\",\"session_id\":\"7b1c-44\"}"#;
    let messages = concat!(
        r#"[{"role":"user","content":[{"type":"text","text":"<system-reminder>\nToday.\n</system-reminder>"},"#,
        r#"{"type":"text","text":"List the files","cache_control":{"type":"ephemeral"}}]},"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"EqQBCkYIB+/=="},"#,
        r#"{"type":"tool_use","id":"toolu_01","name":"Tool0","input":{"path":"."}}]},"#,
        r#"{"role":"user","content":[{"tool_use_id":"toolu_01","type":"tool_result","content":"a.rs\nb.rs","is_error":false}]},"#,
        r#"{"role":"system","content":[{"type":"text","text":"Tools changed."},{"type":"tool_addition","tool":{"name":"Tool2"}}]}]"#,
    );
    let body = format!(
        r#"{{"model":"{model}","messages":{messages},"system":{system},"tools":[{tools}],"metadata":{{"user_id":"{user}"}},"max_tokens":128000,"thinking":{{"type":"adaptive","display":"omitted"}},"context_management":{{"edits":[{{"type":"clear_thinking_20251015","keep":"all"}}]}},"output_config":{{"effort":"high"}},"stream":true}}"#
    );
    let headers = format!(
        "accept: application/json\r\naccept-encoding: gzip, deflate, br, zstd\r\n\
         anthropic-beta: {BETAS}\r\nanthropic-dangerous-direct-browser-access: true\r\n\
         anthropic-version: 2023-06-01\r\nauthorization: Bearer sk-user\r\ncontent-type: application/json\r\n\
         user-agent: claude-cli/2.1.329 (external, sdk-cli)\r\nx-app: cli\r\n\
         x-claude-code-session-id: 7b1c-44\r\nx-stainless-arch: x64\r\nx-stainless-lang: js\r\n\
         x-stainless-retry-count: 0\r\nx-stainless-timeout: 600\r\n"
    );
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":9000,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Two.\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"context_management\":{\"applied_edits\":[]},\"usage\":{\"output_tokens\":2}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    Agent { target: "/v1/messages?beta=true", headers, body, stream: stream.to_owned() }
}

/// `codex exec` after its WebSocket was refused.
fn codex(model: &str) -> Agent {
    let mut tools = String::from(
        r#"{"type":"function","name":"shell","description":"Runs","strict":false,"parameters":{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}}},"required":["command"],"additionalProperties":false}}"#,
    );
    tools.push_str(r#",{"type":"custom","name":"apply_patch","description":"Patches","format":{"type":"grammar","syntax":"lark","definition":"start: begin"}},{"type":"web_search","external_web_access":false}"#);
    let input = concat!(
        r#"[{"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions instructions>ü</permissions instructions>"}]},"#,
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"List the files"}]},"#,
        r#"{"type":"reasoning","summary":[],"encrypted_content":"gAAAAABo+/=="},"#,
        r#"{"type":"function_call","name":"shell","arguments":"{\"command\":[\"ls\"]}","call_id":"call_1"},"#,
        r#"{"type":"function_call_output","call_id":"call_1","output":"a.rs\nb.rs\n"}]"#,
    );
    let told = "You are a coding agent. ".repeat(400);
    let body = format!(
        r#"{{"model":"{model}","instructions":"{told}","input":{input},"tools":[{tools}],"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{{"effort":"medium","summary":"auto"}},"store":false,"stream":true,"include":["reasoning.encrypted_content"],"prompt_cache_key":"0199-aa","client_metadata":{{"x-codex-installation-id":"inst-1"}}}}"#
    );
    let metadata =
        format!(r#"{{"turn_id":"1","workspaces":{{"/project":{{"git":"{}"}}}}}}"#, "9f".repeat(1500));
    let headers = format!(
        "accept: text/event-stream\r\nauthorization: Bearer sk-user\r\ncontent-type: application/json\r\n\
         originator: codex_exec\r\nsession-id: 0199-aa\r\nthread-id: 0199-aa\r\n\
         user-agent: codex_exec/0.169.0 (Debian 12; x86_64) dumb\r\nx-client-request-id: 0199-aa\r\n\
         x-codex-beta-features: memories\r\nx-codex-turn-metadata: {metadata}\r\nx-codex-window-id: 0199-aa:0\r\n"
    );
    let stream = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"in_progress\",\"output\":[]}}\n\n",
        "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Two.\"}\n\n",
        "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":3,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Two.\",\"annotations\":[]}]}}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":4,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Two.\",\"annotations\":[]}]}],\"usage\":{\"input_tokens\":9,\"output_tokens\":2,\"total_tokens\":11}}}\n\n",
    );
    Agent { target: "/v1/responses", headers, body, stream: stream.to_owned() }
}

#[test]
fn claude_code_passes_byte_for_byte() {
    let agent = claude(CLAUDE_SYSTEM, CLAUDE_MODEL);
    assert!(agent.body.len() > 30_000);
    let upstream = agent.provider();
    let dimmer = Dimmer::start(&bare(&upstream));
    agent.check(&dimmer, &upstream, "/bare", &agent.body);
    let keys = [upstream.last().values("x-api-key"), upstream.last().values("authorization")].concat();
    assert_eq!(keys, ["sk-of-the-gateway-itself"], "one credential, the provider's own");
}

#[test]
fn with_flags_exactly_the_model_and_the_prompt_of_claude_code_change() {
    let agent = claude(CLAUDE_SYSTEM, CLAUDE_MODEL);
    let upstream = agent.provider();
    let dimmer = start(&upstream);
    // The billing block goes with the others; the last marker stays, so that what the user pays to cache is cached.
    let replaced =
        r#"[{"type":"text","text":"One \"word\".","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#;
    let appended = CLAUDE_SYSTEM.replace("\"1h\"}}]", r#""1h"}},{"type":"text","text":"One \"word\"."}]"#);
    for (route, system) in [("/claude", replaced), ("/claude-append", appended.as_str())] {
        let answer = agent.send(&dimmer, route);
        assert_eq!((answer.status, answer.text()), (200, agent.stream.clone()), "{route}");
        let came = String::from_utf8(upstream.last().body).unwrap();
        assert!(came == claude(system, "claude-chosen").body, "{route}: {came}");
        assert_eq!(upstream.last().values("anthropic-beta"), [BETAS]);
        assert_eq!(answer.header("x-dimmer-model"), Some("claude-chosen"));
    }
}

#[test]
fn codex_passes_byte_for_byte_once_its_websocket_is_refused() {
    let agent = codex(CODEX_MODEL);
    let upstream = agent.provider();
    let dimmer = Dimmer::start(&bare(&upstream));
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nopenai-beta: responses_websockets=2026-02-06\r\n\
                   sec-websocket-extensions: permessage-deflate\r\n";
    let refused = request(dimmer.data, "GET", "/bare/v1/responses", upgrade, b"");
    assert_eq!((refused.status, upstream.requests().len()), (426, 0));
    agent.check(&dimmer, &upstream, "/bare", &agent.body);
}

#[test]
fn with_a_flag_exactly_the_model_of_codex_changes() {
    let agent = codex(CODEX_MODEL);
    let upstream = agent.provider();
    let dimmer = start(&upstream);
    let answer = agent.send(&dimmer, "/codex");
    assert_eq!((answer.status, answer.text()), (200, agent.stream.clone()));
    let came = String::from_utf8(upstream.last().body).unwrap();
    assert!(came == codex("codex-chosen").body, "{came}");
    assert_eq!(upstream.last().values("x-codex-turn-metadata").len(), 1);
    let kept = agent.send(&dimmer, "/as-sent");
    assert_eq!((kept.status, kept.text()), (200, agent.stream.clone()));
    assert_eq!(upstream.last().body, agent.body.as_bytes());
}

#[test]
fn with_flags_exactly_prompt_parameters_and_tools_of_codex_change() {
    let agent = codex(CODEX_MODEL);
    let upstream = agent.provider();
    let dimmer = start(&upstream);
    let sent = codex("codex-chosen").body;
    let permissions = "<permissions instructions>ü</permissions instructions>\"}]}";
    let appended = sent
        .replacen('{', r#"{"temperature":0.2,"text":{"verbosity":"low"},"#, 1)
        .replace(
            permissions,
            &format!("{permissions},{}", r#"{"role":"developer","content":"One \"word\"."}"#),
        )
        .replace(r#""effort":"medium""#, r#""effort":"low""#)
        .replace(r#",{"type":"web_search","external_web_access":false}"#, "");
    // What leads, the developer's message among it, goes.
    let (told, asked) =
        (sent.find(r#""instructions":""#).unwrap(), sent.find(r#"{"type":"message","role":"user""#).unwrap());
    let mut replaced = sent.clone();
    replaced.replace_range(told..asked, r#""instructions":"One \"word\".","input":["#);
    for (route, dropped, body) in
        [("/codex-append", Some("stop, tools.web_search"), appended), ("/codex-replace", None, replaced)]
    {
        let answer = agent.send(&dimmer, route);
        assert_eq!((answer.status, answer.text()), (200, agent.stream.clone()), "{route}");
        let came = String::from_utf8(upstream.last().body).unwrap();
        assert!(came == body, "{route}:\n{came}\n{body}");
        assert_eq!(answer.header("x-dimmer-dropped"), dropped, "{route}");
    }
}
