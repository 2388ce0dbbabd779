//! `dimmer serve`: the gateway.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{self, Ended, Started};
use crate::cli::{ConfigFile, complain};
use crate::observe::log;
use crate::snapshot::{RoutePlan, TargetPlan};

/// `dimmer serve`'s own.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { file: ConfigFile { config: PathBuf::from("routes.toml") } }
    }
}

/// A second signal ended it: 128 + SIGINT, as shells say it.
const FORCED: u8 = 130;

/// Serves until told to stop.
pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> ExitCode {
    let filter = std::env::var("DIMMER_LOG").unwrap_or_else(|_| log::DEFAULT_FILTER.to_owned());
    let _log = log::start(&filter);
    let started = match app::start(&arguments.file.config) {
        Ok(started) => started,
        Err(error) => return complain(&error.to_string()),
    };
    // Who starts it without a terminal may have closed standard output.
    let _ = welcome(&started, arguments, out).and_then(|()| out.flush());
    match started.serve() {
        Ok(Ended::Drained | Ended::DrainTimedOut) => ExitCode::SUCCESS,
        Ok(Ended::Forced) => ExitCode::from(FORCED),
        Ok(Ended::WorkerLost) => ExitCode::FAILURE,
        Err(error) => complain(&error.to_string()),
    }
}

fn welcome(started: &Started, arguments: &Arguments, out: &mut impl Write) -> std::io::Result<()> {
    let scheme = if started.snapshot.tls.is_some() { "https" } else { "http" };
    let (data, admin) = (format!("{scheme}://{}", started.data), started.admin);
    writeln!(out, "dimmer {} serves {}", env!("CARGO_PKG_VERSION"), arguments.file.config.display())?;
    writeln!(out)?;
    writeln!(out, "  data   {data}")?;
    writeln!(out, "  admin  http://{admin}    the page; /metrics /healthz /readyz")?;
    writeln!(out)?;
    writeln!(out, "Base URLs                OpenAI SDKs                              Anthropic SDKs")?;
    for route in &started.snapshot.config.routes {
        let Some(plan) = started.snapshot.by_name.get(route.name.as_str()) else { continue };
        let path = match (&route.path, route.name.as_str()) {
            (Some(path), _) => path.as_str(),
            (None, "default") => "",
            (None, _) => continue,
        };
        let openai = if plan.openai.is_some() { format!("{data}{path}/v1") } else { "-".to_owned() };
        let anthropic = if plan.anthropic.is_some() { format!("{data}{path}") } else { "-".to_owned() };
        writeln!(out, "  {:<22} {openai:<40} {anthropic}", route.name.as_str())?;
    }
    if let Some((path, model)) = example(started) {
        let key =
            if started.snapshot.clients.is_empty() { "" } else { " -H 'authorization: Bearer YOUR_KEY'" };
        writeln!(out)?;
        writeln!(out, "Try it")?;
        writeln!(
            out,
            "  curl -i {data}{path}/v1/chat/completions{key} -H 'content-type: application/json' -H 'x-user-id: 42' -d \
             '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Who are you?\"}}]}}'"
        )?;
    }
    writeln!(out)
}

/// The path of a route that takes OpenAI's dialect, and a model to ask it for.
fn example(started: &Started) -> Option<(&str, String)> {
    let snapshot = &started.snapshot;
    let takes_chat = |plan: &&std::sync::Arc<RoutePlan>| plan.openai.is_some();
    let plan = snapshot
        .config
        .routes
        .iter()
        .filter(|route| route.path.is_some())
        .filter_map(|route| snapshot.by_name.get(route.name.as_str()))
        .find(takes_chat)
        .or_else(|| snapshot.default_route.as_ref().filter(takes_chat))?;
    let model = plan.model_targets().find_map(|target| match target {
        TargetPlan::Model(model) => Some(model.model.name.to_string()),
        TargetPlan::Reply(_) => None,
    });
    let model = model.or_else(|| snapshot.model_names().next().map(ToString::to_string));
    Some((plan.route.path.as_deref().unwrap_or_default(), model.unwrap_or_else(|| "gpt-4o".to_owned())))
}
