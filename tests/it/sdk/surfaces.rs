//! The SDKs on everything beside Chat Completions and Messages, against the simulated provider: what it answers is what the
//! SDKs' own types expect, whole, streamed and held.

use super::run;

const OPENAI: &[&str] = &[
    "response",
    "response_streamed",
    "response_tools",
    "response_parsed",
    "response_flagged",
    "response_stored",
    "response_follows",
    "response_in_the_background",
    "conversation",
    "input_tokens",
    "compact",
    "completion",
    "embeddings",
    "models",
    "typed_errors",
    "asynchronous",
];

const ANTHROPIC: &[&str] = &["threads", "threads_asynchronous", "thread_errors", "count_tokens", "models"];

#[test]
fn openai_python() {
    run("venv/bin/python", "python/openai_surfaces.py", CONFIG, OPENAI);
}

#[test]
fn openai_node() {
    run("bin/node", "node/openai_surfaces.mjs", CONFIG, OPENAI);
}

#[test]
fn anthropic_python() {
    run("venv/bin/python", "python/anthropic_surfaces.py", CONFIG, ANTHROPIC);
}

#[test]
fn anthropic_node() {
    run("bin/node", "node/anthropic_surfaces.mjs", CONFIG, ANTHROPIC);
}

pub(super) const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"

[providers.sim]
dialect = "mock"

[models.gpt-sim]
provider = "sim"
mock = { words = 20, first_token = "1ms", per_token = "0s" }
[models.gpt-other]
provider = "sim"
mock = { words = 20, first_token = "1ms", per_token = "0s" }
[models.gpt-slow]
provider = "sim"
mock = { words = 20, first_token = "600s", per_token = "0s" }
[models.gpt-failing]
provider = "sim"
mock = { words = 20, first_token = "1ms", per_token = "0s", errors = "100%" }
[models.claude-sim]
provider = "sim"
mock = { words = 20, first_token = "1ms", per_token = "0s" }
[models.claude-other]
provider = "sim"
mock = { words = 20, first_token = "1ms", per_token = "0s" }

[prompts.pirate]
text = "Talk like a pirate."
[replies.sorry]
text = "The assistant is resting."
[replies.disabled]
error = "Feature temporarily disabled"

[flags.model]
owner = "tests"
permanent = true
default = "gpt-other"
[[flags.model.rules]]
name = "anthropic"
when = { "request.dialect" = "anthropic" }
serve = "claude-other"
[flags.prompt]
owner = "tests"
permanent = true
default = "pirate"

[routes.default]
[routes.plain]
path = "/plain"
[routes.flagged]
path = "/flagged"
model.flag = "model"
system_prompt.flag = "prompt"
[routes.named]
path = "/named"
aliases = ["assistant"]
model.flag = "model"
[routes.resting]
path = "/resting"
model = "sorry"
[routes.off]
path = "/off"
enabled = false
fallback = ["disabled"]
"#;
