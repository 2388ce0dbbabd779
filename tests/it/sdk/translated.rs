//! The SDKs where a model of the other dialect answers: their own accumulators, types and errors on every pair, against the simulated
//! provider as a provider of one dialect.

use std::fmt::Write;
use std::process::Command;

use super::{KEYS, folder, shows};
use crate::clients::clients;
use crate::harness::{Dimmer, listeners};

/// What each of the three APIs must have shown, under its own name.
const CASES: &[&str] = &[
    "plain",
    "streamed",
    "helper",
    "limited",
    "usage",
    "tool",
    "tool_streamed",
    "parallel",
    "forced",
    "schema",
    "image",
    "long",
    "stopped",
    "refusal",
    "error_429",
    "error_500",
    "cut",
    "left_out",
    "refused",
];

#[test]
fn python() {
    run("venv/bin/python", "python/translated.py");
}

#[test]
fn node() {
    run("bin/node", "node/translated.mjs");
}

fn run(interpreter: &str, program: &str) {
    let behind = Dimmer::start_in(folder(&behind()), &[]);
    let gateway = Dimmer::start_in(folder(&before(&behind)), KEYS);
    let data = format!("http://{}", gateway.data);
    let environment = [("DIMMER_URL", data.clone()), ("PROVIDER_URL", data)];
    let cases: Vec<String> = ["chat", "responses", "messages"]
        .into_iter()
        .flat_map(|api| CASES.iter().map(move |case| format!("{api}_{case}")))
        .collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    shows(Command::new(clients().join(interpreter)).envs(environment), program, &[], &cases);
}

/// Models by what they do.
const MODELS: [(&str, &str); 6] = [
    ("sim", "words = 20"),
    ("long", "words = 5000"),
    ("cut", "words = 200, cuts = \"100%\""),
    ("limited", "rate_limited = \"100%\""),
    ("failing", "errors = \"100%\""),
    ("refusing", "refusals = \"100%\""),
];

/// Stands for both makers: the simulated provider, on a route for each model.
fn behind() -> String {
    let mut config = listeners("") + "[providers.mock]\ndialect = \"mock\"\n";
    for (name, lines) in MODELS {
        let _ = write!(
            config,
            "[models.{name}]\nprovider = \"mock\"\nmock = {{ first_token = \"1ms\", per_token = \"0s\", {lines} }}\n\
             [routes.{name}]\npath = \"/{name}\"\nmodel = \"{name}\"\n"
        );
    }
    config
}

/// Asks each of them through the one API and through the other, on `/openai/NAME` and `/anthropic/NAME`.
fn before(behind: &Dimmer) -> String {
    let mut config = listeners("") + "[clients.sdk]\nkey = \"${CLIENT_KEY}\"\n";
    for (name, _) in MODELS {
        for (dialect, version) in [("openai", "/v1"), ("anthropic", "")] {
            let _ = write!(
                config,
                "[providers.{dialect}-{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{}/{name}{version}\"\n\
                 api_key = \"${{PROVIDER_KEY}}\"\nretries.attempts = 0\n[models.{dialect}-{name}]\n\
                 provider = \"{dialect}-{name}\"\nupstream_model = \"{name}\"\n[routes.{dialect}-{name}]\n\
                 path = \"/{dialect}/{name}\"\nprovider = \"{dialect}-{name}\"\nmodel = \"{dialect}-{name}\"\n",
                behind.data
            );
        }
    }
    config
}
