//! The real SDKs of OpenAI and Anthropic, in Python and Node, against the real binary.
//!
//! Each program in `tests/clients/` runs all cases of one SDK and prints `ok CASE` for each; a case that is missing from
//! the output fails the test as one that went wrong does.

mod cut;
mod encrypted;
mod fallback;
mod flags;
mod killed;
mod observed;
mod provider;
mod surfaces;
mod translated;

use std::process::Command;

use crate::clients::{clients, root};
use crate::docs;
use crate::harness::Dimmer;

/// What every program must have shown.
const CASES: &[&str] = &[
    "plain",
    "streamed",
    "stream_helper",
    "tool_loop",
    "tool_loop_streamed",
    "image",
    "error_400",
    "error_401_from_dimmer",
    "error_401_from_provider",
    "error_404",
    "error_404_wrong_base_url",
    "error_429",
    "error_500",
    "error_529",
    "error_of_a_stream",
    "retries_are_the_clients",
    "should_not_retry",
    "broken_stream",
    "cancelled_stream",
    "cancelled_before_the_answer",
    "route_by_path",
    "route_by_alias",
    "route_by_header",
    "route_unknown",
    "client_key_in_either_header",
    "flags_decide",
    "other_dialects_model",
    "reply_text",
    "reply_streamed",
    "reply_json",
    "reply_error",
    "mock_plain",
    "mock_streamed",
    "mock_tools",
];

#[test]
fn openai_python() {
    run("venv/bin/python", "python/openai_chat.py", CONFIG, CASES);
}

#[test]
fn openai_node() {
    run("bin/node", "node/openai_chat.mjs", CONFIG, CASES);
}

#[test]
fn anthropic_python() {
    run("venv/bin/python", "python/anthropic_messages.py", CONFIG, CASES);
}

#[test]
fn anthropic_node() {
    run("bin/node", "node/anthropic_messages.mjs", CONFIG, CASES);
}

/// The blocks of docs/clients.md, as a reader pastes them, against the routes.toml of the clone.
#[test]
fn the_blocks_to_paste_run() {
    let directory = docs::clone_of_the_configuration();
    let file = directory.path().join("routes.toml");
    let text = std::fs::read_to_string(&file).expect("routes.toml");
    std::fs::write(&file, docs::on_free_ports(&text)).expect("routes.toml");
    let gateway = Dimmer::start_in(directory, &[]);
    let mut shown = 0;
    for block in docs::blocks_of(&root().join("docs/clients.md")) {
        let mut command = match block.language.as_str() {
            "python" => Command::new(clients().join("venv/bin/python")),
            "js" => Command::new(clients().join("bin/node")),
            _ => continue,
        };
        if block.language == "js" {
            command.arg("--input-type=module");
        }
        let print = match block.language.as_str() {
            "js" => "console.log(answer.model ?? answer.response.modelId)",
            _ => "print(answer.model)",
        };
        let base = format!("http://{}/assistant", gateway.data);
        let output = command
            .arg(if block.language == "js" { "-e" } else { "-c" })
            .arg(format!("{}\n{print}\n", block.text.replace("http://127.0.0.1:8080", &base)))
            .current_dir(root().join("tests/clients"))
            .env("OPENAI_BASE_URL", format!("{base}/v1"))
            .env("ANTHROPIC_BASE_URL", &base)
            .envs(["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DIMMER_CLIENT_KEY"].map(|name| (name, CLIENT_KEY)))
            .env("NO_PROXY", "*")
            .output()
            .expect("the interpreter starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains('-'),
            "{}: {said}{}",
            block.place,
            String::from_utf8_lossy(&output.stderr)
        );
        shown += 1;
    }
    assert_eq!(shown, 5, "three blocks in Python, the OpenAI SDK and the AI SDK in Node");
}

/// Runs a program against a gateway with this configuration; it must show all of `cases`.
fn run(interpreter: &str, program: &str, config: &str, cases: &[&str]) {
    let provider = format!("http://{}", provider::start());
    let directory = folder(&config.replace("PROVIDER_URL", &provider));
    let mut gateway = Dimmer::start_in(directory, KEYS);
    gateway.expect_log("refused the gateway's own credential");
    let environment = [("DIMMER_URL", format!("http://{}", gateway.data)), ("PROVIDER_URL", provider)];
    shows(Command::new(clients().join(interpreter)).envs(environment), program, &[], cases);
}

/// A folder with this routes.toml.
fn folder(config: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("routes.toml"), config).expect("a configuration");
    directory
}

/// Runs a program with this interpreter, all of it or `only` these cases; it must show all of `cases`.
fn shows(interpreter: &mut Command, program: &str, only: &[&str], cases: &[&str]) {
    let output = interpreter
        .arg(root().join("tests/clients").join(program))
        .args(only)
        .env("CLIENT_KEY", CLIENT_KEY)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("OPENAI_API_KEY")
        .env_remove("ANTHROPIC_API_KEY")
        .env("NO_PROXY", "*")
        .output()
        .expect("the client program starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let shown: Vec<&str> = stdout.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    let missing: Vec<&&str> = cases.iter().filter(|case| !shown.contains(*case)).collect();
    assert!(
        output.status.success() && missing.is_empty(),
        "{program}: {}, not shown: {missing:?}\n--- its output\n{stdout}\n--- its errors\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

const CLIENT_KEY: &str = "dk-the-key-of-the-sdk-tests-0000000001";
const OTHER_KEY: &str = "dk-the-key-of-another-client-0000000002";

const KEYS: &[(&str, &str)] =
    &[("CLIENT_KEY", CLIENT_KEY), ("OTHER_KEY", OTHER_KEY), ("PROVIDER_KEY", provider::PROVIDER_KEY)];

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"

[clients.sdk]
key = "${CLIENT_KEY}"
trusted = true
may_choose_route = true
[clients.other]
key = "${OTHER_KEY}"
routes = ["chat"]

[context.attributes]
tier = { from = "header:x-user-tier", order = ["free", "pro"] }

[providers.openai]
retries.attempts = 0
dialect = "openai"
base_url = "PROVIDER_URL/v1"
api_key = "${PROVIDER_KEY}"
[providers.anthropic]
retries.attempts = 0
dialect = "anthropic"
base_url = "PROVIDER_URL"
api_key = "${PROVIDER_KEY}"
[providers.wrong_openai]
dialect = "openai"
base_url = "PROVIDER_URL/v1"
api_key = "${OTHER_KEY}"
[providers.wrong_anthropic]
dialect = "anthropic"
base_url = "PROVIDER_URL"
api_key = "${OTHER_KEY}"
[providers.sim]
dialect = "mock"

[models.gpt-plain]
provider = "openai"
[models.gpt-fancy]
provider = "openai"
upstream_model = "gpt-fancy-2"
[models.claude-plain]
provider = "anthropic"
[models.claude-fancy]
provider = "anthropic"
upstream_model = "claude-fancy-2"
[models.sim]
provider = "sim"
mock = { words = 20, first_token = "1ms", per_token = "1ms" }

[prompts.pirate]
text = "Talk like a pirate."

[replies.sorry]
text = "The assistant is resting. ☃"
json = { status = "resting" }
[replies.disabled]
error = "Feature temporarily disabled"
retry_after = "300s"

[flags.chat_model]
owner = "tests"
permanent = true
default = "gpt-plain"
[[flags.chat_model.rules]]
name = "pro"
when = { tier = { at_least = "pro" } }
serve = "gpt-fancy"

[flags.talk_model]
owner = "tests"
permanent = true
default = "claude-plain"
[[flags.talk_model.rules]]
name = "pro"
when = { tier = { at_least = "pro" } }
serve = "claude-fancy"

[flags.prompt]
owner = "tests"
permanent = true
default = "as_sent"
[[flags.prompt.rules]]
name = "one"
when = { targeting_key = "user-1" }
serve = "pirate"

[routes.default]
provider = ["openai", "anthropic"]

[routes.wrong_key]
path = "/wrong-key"
provider = ["wrong_openai", "wrong_anthropic"]

[routes.chat]
path = "/chat"
aliases = ["chat"]
provider = "openai"
model.flag = "chat_model"
system_prompt.flag = "prompt"

[routes.talk]
path = "/talk"
aliases = ["talk"]
provider = "anthropic"
model.flag = "talk_model"
system_prompt.flag = "prompt"

[routes.resting]
path = "/resting"
provider = ["openai", "anthropic"]
model = "sorry"

[routes.off]
path = "/off"
provider = ["openai", "anthropic"]
enabled = false
fallback = ["disabled"]

[routes.sim]
path = "/sim"
provider = "sim"
model = "sim"
"#;
