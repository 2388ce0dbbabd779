//! The simulated provider as a process of its own: it stands for real providers, with keys, in the gateway's configuration.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::DIMMER;

/// A running `dimmer mock`. Ends with the test.
pub(crate) struct Simulated {
    /// Where it listens; the provider NAME answers under `/NAME/v1`.
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Simulated {
    /// Starts these providers, each with the models `NAME-model`, which answers at once, and `NAME-slow`, which does not.
    pub(crate) fn start(names: &[&str]) -> Self {
        let part = |name: &&str| {
            format!(
                "[providers.{name}]\ndialect = \"mock\"\n[models.{name}-model]\nprovider = \"{name}\"\n\
                 mock = {{ words = 10, first_token = \"0s\", per_token = \"0s\" }}\n[models.{name}-slow]\n\
                 provider = \"{name}\"\nmock = {{ words = 10, first_token = \"600s\", per_token = \"0s\" }}\n\
                 [routes.{name}]\npath = \"/{name}\"\n\
                 provider = \"{name}\"\n"
            )
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        std::fs::write(&file, names.iter().map(part).collect::<String>()).unwrap();
        let mut child = Command::new(DIMMER)
            .args(["mock", "--port", "0", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let address = said.split_once("http://").and_then(|(_, rest)| rest.split('/').next()).unwrap();
        Self { address: address.parse().unwrap(), child, _folder: folder }
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
