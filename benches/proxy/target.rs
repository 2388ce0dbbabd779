//! What is measured: the bare proxy, and dimmer with nothing to decide and with everything.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::http1::{Connection, has, status};
use crate::process::{Cpus, Outcome, Process, on_one_thread};
use crate::traffic::{ECHO, Kind, SENT_PROMPT, SMALL, request};

/// Something to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// For people.
    pub(crate) name: String,
    program: PathBuf,
    arguments: Vec<String>,
    rewrites: bool,
}

/// A target that runs and has answered.
pub(crate) struct Running {
    /// Its process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From its start to its first answer.
    pub(crate) first_answer: Duration,
    /// Resident memory after the first answer, in KiB.
    pub(crate) idle_kib: u64,
}

impl Target {
    /// The bare proxy: this very program in another role.
    pub(crate) fn bare(provider: SocketAddr) -> Outcome<Self> {
        Ok(Self {
            name: "bare hyper".to_owned(),
            program: std::env::current_exe()?,
            arguments: vec!["bare".to_owned(), provider.to_string()],
            rewrites: false,
        })
    }

    /// dimmer, once with a bare route and once with flags; `label` tells builds apart.
    pub(crate) fn dimmers(
        program: &Path,
        label: &str,
        provider: SocketAddr,
        dir: &Path,
    ) -> Outcome<[Self; 2]> {
        let target = |name: &str, config: &str, rewrites: bool| -> Outcome<Self> {
            let file = dir.join(format!("{name}.toml").replace(' ', "-"));
            std::fs::write(&file, filled(config, provider))?;
            Ok(Self {
                name: format!("{label}, {name}"),
                program: program.to_path_buf(),
                arguments: vec!["serve".into(), "--config".into(), file.display().to_string()],
                rewrites,
            })
        };
        Ok([target("bare route", BARE_ROUTE, false)?, target("three flags", FLAGS, true)?])
    }

    /// Starts it, and asks until it answers.
    pub(crate) fn start(&self, cpus: &Cpus) -> Outcome<Running> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let began = Instant::now();
        let mut process = Process::start(&self.program, &arguments, cpus.target)?;
        let address = process.address()?;
        on_one_thread(self.ask(address))?;
        let first_answer = began.elapsed();
        let idle_kib = process.resident()?;
        Ok(Running { process, address, first_answer, idle_kib })
    }

    /// One request, whose echo shows that the target does what it is measured for.
    async fn ask(&self, address: SocketAddr) -> Outcome<()> {
        let mut connection = Connection::new(TcpStream::connect(address).await?)?;
        connection.send(&request(Kind::Whole(SMALL), 0, ECHO)).await?;
        let (head, body) = connection.message().await?.ok_or("the target closed the connection")?;
        if status(&head) != Some(200) {
            return Err(format!("{} answered {}", self.name, String::from_utf8_lossy(&head)).into());
        }
        let body = String::from_utf8(body.to_vec())?;
        let rewritten = has(&head, "x-dimmer-flags") && body.contains(PROMPT) && !body.contains(SENT_PROMPT);
        match self.rewrites == rewritten && self.rewrites != body.contains(SENT_PROMPT) {
            true => Ok(()),
            false => Err(format!("{} did not send what it was to send: {body}", self.name).into()),
        }
    }
}

/// The `routes.toml` of a target, for those who start one by hand to profile it.
pub(crate) fn config(name: &str, provider: SocketAddr) -> Outcome<String> {
    match name {
        "bare-route" => Ok(filled(BARE_ROUTE, provider)),
        "flags" => Ok(filled(FLAGS, provider)),
        "breakers" => Ok(filled(&format!("{FLAGS}{BREAKERS}"), provider)),
        "traces" => Ok(filled(&format!("{FLAGS}{TRACES}"), provider)),
        // The same work, for providers of the other dialect: what the translation costs is the difference.
        "translated" => Ok(filled(
            &TO_MESSAGES.iter().fold(FLAGS.to_owned(), |all, (from, to)| all.replace(from, to)),
            provider,
        )),
        "records" => Ok(FLAGS.replace("PROVIDER", &provider.to_string())),
        _ => Err("there are bare-route, flags, breakers, records, traces and translated".into()),
    }
}

/// What makes [`FLAGS`] ask through Messages; the models are named as the provider names its own, so that their answers are priced.
const TO_MESSAGES: [(&str, &str); 2] =
    [("dialect  = \"openai\"", "dialect  = \"anthropic\""), ("http://PROVIDER/v1", "http://PROVIDER")];

/// Nothing is kept: what a record costs is measured by itself.
fn filled(config: &str, provider: SocketAddr) -> String {
    format!("records.url = \"none\"\n{}", config.replace("PROVIDER", &provider.to_string()))
}

/// What watches each model that is called and each variant, behind [`FLAGS`], which ends with its route.
const BREAKERS: &str = r#"breaker = "standard"
[breakers.standard]
error_rate         = "5%"
timeout_rate       = "5%"
malformed_rate     = "5%"
refusal_rate       = "10%"
avg_output_chars   = 5000
output_vs_control  = { min = 0.5, max = 5.0 }
output_vs_baseline = { min = 0.5, max = 5.0, over = "7d" }
p95_latency        = "20s"
max_output_chars   = 40000
repetition         = true
"#;

/// Every request is traced, and the provider takes the spans for one request more.
const TRACES: &str = r#"
[telemetry]
otlp = "http://PROVIDER"
"#;

/// Stands in each of the prompts below.
const PROMPT: &str = "You answer as an engineer";

/// Nothing is declared that could decide: bodies stream through unread.
const BARE_ROUTE: &str = r#"
[server]
listen  = "127.0.0.1:0"
workers = 1
[admin]
listen = "127.0.0.1:0"
[providers.openai]
dialect  = "openai"
base_url = "http://PROVIDER/v1"
[routes.app]
path = "/app"
"#;

/// Whether the route is on, model and system prompt from flags with rules: every body is read, three flags are evaluated, every
/// system prompt is replaced, every answer is read for its usage and priced, usage is asked for in streams and taken out again.
const FLAGS: &str = r#"
[server]
listen  = "127.0.0.1:0"
workers = 1
[admin]
listen = "127.0.0.1:0"
[providers.openai]
dialect  = "openai"
base_url = "http://PROVIDER/v1"
[models.gpt-4o]
provider = "openai"
price    = { input = 2.5, cached_input = 1.25, output = 10.0 }
[models.gpt-4o-mini]
provider = "openai"
price    = { input = 0.15, cached_input = 0.075, output = 0.6 }
[context]
targeting_key = ["header:x-user-id", "body:safety_identifier", "body:user"]
[context.attributes]
tier     = { from = "header:x-user-tier", order = ["free", "pro", "enterprise"] }
internal = { from = "header:x-user-internal", type = "bool" }
[prompts.short]
text = "You answer as an engineer does: in few words, with the one example that shows it."
[prompts.long]
text = "You answer as an engineer who teaches: say what happens, say why, then give an example that can be run as it stands."
[flags.enabled]
owner     = "bench"
permanent = true
default   = true
[[flags.enabled.rules]]
name  = "paused"
when  = { tier = "free", internal = true }
serve = false
[flags.model]
owner     = "bench"
permanent = true
default   = "gpt-4o"
[[flags.model.rules]]
name  = "internal"
when  = { internal = true }
serve = "gpt-4o-mini"
[[flags.model.rules]]
name  = "pro"
when  = { tier = { at_least = "pro" } }
serve = "gpt-4o-mini"
[[flags.model.rules]]
name    = "canary"
percent = 50
serve   = "gpt-4o-mini"
[flags.prompt]
owner     = "bench"
permanent = true
default   = "short"
[[flags.prompt.rules]]
name  = "half"
split = { short = 50, long = 50 }
[routes.app]
path = "/app"
enabled.flag       = "enabled"
model.flag         = "model"
system_prompt.flag = "prompt"
system_prompt.mode = "replace"
"#;
