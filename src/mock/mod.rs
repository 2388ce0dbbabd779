//! The simulated provider behind `dialect = "mock"`: a real HTTP/1.1 server on a loopback socket of this process.
//!
//! The data path reaches it like any other provider, so that nothing in the proxy knows it. It speaks Chat Completions,
//! Completions, Responses and Messages, streamed or not, and everything it does is drawn from the provider's seed and the
//! request's body: same seed, same body, same text, length and faults. What the APIs hold for their callers (responses,
//! conversations, threads) it holds per provider and credential. It must never share a thread with the proxy, nor import it.

mod answer;
mod ask;
mod call;
mod chat;
mod completions;
mod compose;
mod dice;
mod failure;
mod fill;
mod generate;
mod held;
mod knobs;
mod messages;
mod other;
mod responses;
mod script;
mod serve;
mod stored;
mod threads;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::config::{Config, MockModel, ProviderKind};
use crate::names::ProviderName;
use knobs::Knobs;

/// A running simulated provider. Cheap to clone; the server ends with the last handle, or with [`Mock::shutdown`].
#[derive(Clone)]
pub struct Mock {
    inner: Arc<Inner>,
}

/// What the handles share with the server's thread.
struct Inner {
    address: SocketAddr,
    /// Written by [`Mock::update`] and [`Mock::turn`], read once per request.
    providers: Arc<ArcSwap<Vec<MockProvider>>>,
    /// What the providers are made from. Locked only to change them.
    knobs: Mutex<Knobs>,
    /// The server ends when this says `true` or is dropped.
    stop: watch::Sender<bool>,
}

/// One `[providers.NAME]` with `dialect = "mock"`, met under the path prefix `/NAME`.
#[derive(Clone, Debug, PartialEq)]
pub struct MockProvider {
    /// Its name.
    pub name: ProviderName,
    /// Where all its chance comes from.
    pub seed: u64,
    /// Its models, by the name that the provider calls them.
    pub models: Vec<(String, MockModel)>,
}

impl Mock {
    /// Binds `127.0.0.1:port` (0: any) and serves from a thread of its own until the last handle is gone.
    pub fn start(port: u16, providers: Vec<MockProvider>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let knobs = Mutex::new(Knobs::new(providers.clone()));
        let providers = Arc::new(ArcSwap::from_pointee(providers));
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&providers);
        thread::Builder::new()
            .name("mock".into())
            .spawn(move || runtime.block_on(serve::run(listener, served, stopped)))?;
        Ok(Self { inner: Arc::new(Inner { address, providers, knobs, stop }) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Serves these providers from the next request on. What was turned stays turned.
    pub fn update(&self, providers: Vec<MockProvider>) {
        let mut knobs = self.knobs();
        knobs.configure(providers);
        self.inner.providers.store(Arc::new(knobs.served()));
    }

    /// From the next request on a model behaves otherwise than its configuration says, as a real one may at any time without telling
    /// anybody. What was turned before stays; [`Mock::settle`] ends it. `false`: the provider has no such model.
    pub fn turn(&self, provider: &ProviderName, model: &str, change: impl FnOnce(&mut MockModel)) -> bool {
        let mut knobs = self.knobs();
        let known = knobs.turn(provider, model, change);
        self.inner.providers.store(Arc::new(knobs.served()));
        known
    }

    /// From the next request on every model behaves as its configuration says.
    pub fn settle(&self) {
        let mut knobs = self.knobs();
        knobs.settle();
        self.inner.providers.store(Arc::new(knobs.served()));
    }

    fn knobs(&self) -> MutexGuard<'_, Knobs> {
        self.inner.knobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the server and every connection at once.
    pub fn shutdown(&self) {
        self.inner.stop.send_replace(true);
    }
}

/// The simulated providers of a configuration, each with its models.
pub fn from_config(config: &Config) -> Vec<MockProvider> {
    let simulated = config.providers.iter().filter(|provider| provider.kind == ProviderKind::Mock);
    simulated
        .map(|provider| MockProvider {
            name: provider.name.clone(),
            seed: provider.seed,
            models: config
                .models
                .iter()
                .filter(|model| model.provider.name == provider.name)
                .filter_map(|model| Some((model.upstream_model.clone(), model.mock.clone()?)))
                .collect(),
        })
        .collect()
}
