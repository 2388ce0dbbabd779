//! What a simulated model does at run time that its configuration does not say: so that it can go wrong while it serves.

use super::MockProvider;
use crate::config::MockModel;
use crate::names::ProviderName;

/// The providers as they are configured, and what was turned since.
#[derive(Debug)]
pub(super) struct Knobs {
    configured: Vec<MockProvider>,
    turned: Vec<Turned>,
}

/// One model that behaves otherwise.
#[derive(Debug)]
struct Turned {
    provider: ProviderName,
    /// As the provider calls it.
    model: String,
    behaviour: MockModel,
}

impl Knobs {
    /// Nothing is turned.
    pub(super) fn new(configured: Vec<MockProvider>) -> Self {
        Self { configured, turned: Vec::new() }
    }

    /// Another configuration.
    pub(super) fn configure(&mut self, providers: Vec<MockProvider>) {
        self.configured = providers;
    }

    /// Turns one model; `false`: there is none of this name.
    pub(super) fn turn(
        &mut self,
        provider: &ProviderName,
        model: &str,
        change: impl FnOnce(&mut MockModel),
    ) -> bool {
        let served = self.served();
        let found = served.iter().find(|one| one.name == *provider);
        let found = found.and_then(|one| one.models.iter().find(|(name, _)| name == model));
        let Some((_, behaviour)) = found else { return false };
        let mut behaviour = behaviour.clone();
        change(&mut behaviour);
        self.turned.retain(|one| one.provider != *provider || one.model != model);
        self.turned.push(Turned { provider: provider.clone(), model: model.to_owned(), behaviour });
        true
    }

    /// Turns everything back.
    pub(super) fn settle(&mut self) {
        self.turned.clear();
    }

    /// What is served.
    pub(super) fn served(&self) -> Vec<MockProvider> {
        let mut served = self.configured.clone();
        for provider in &mut served {
            for (name, model) in &mut provider.models {
                let of_it = |one: &&Turned| one.provider == provider.name && one.model == *name;
                if let Some(turned) = self.turned.iter().find(of_it) {
                    model.clone_from(&turned.behaviour);
                }
            }
        }
        served
    }
}
