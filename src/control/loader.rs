//! Loads the configuration and puts it in force: whole or not at all.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::clock;
use crate::config::{Config, Errors, ProcessEnvironment, ProviderKind, Watched, load};
use crate::flags::Lifetime;
use crate::mock::{self, Mock};
use crate::observe::{GatewaySeries, Loaded, Metrics};
use crate::snapshot::{Breakers, BuildError, Flights, KeyRests, Ledgers, Snapshot, Store};

/// Loads one file again and again.
pub struct Loader {
    path: PathBuf,
    metrics: Arc<Metrics>,
    series: GatewaySeries,
    /// The simulated providers, once a configuration has some. Written by a load; nobody else needs it.
    simulated: Mutex<Option<Mock>>,
    /// What is known of keys that rest, from one load to the next. Read by requests through their snapshot.
    rests: KeyRests,
    /// The breakers, from one load to the next.
    breakers: Arc<Breakers>,
    /// What is listened on beyond loopback: a reload cannot move a listener. Written once, by `app`.
    exposed: OnceLock<Exposed>,
    /// The file in force says otherwise of TLS than the data listener does. Written by a load, so that it is said once.
    tls_kept: AtomicBool,
}

/// What a load came to that was not the first.
#[derive(Debug)]
pub struct Reloaded {
    /// The files whose change matters from now on: also those whose change may mend what is wrong.
    pub watched: Vec<Watched>,
    /// Why the last good configuration goes on serving, if it does.
    pub refused: Option<String>,
}

/// Which listeners strangers can reach.
#[derive(Clone, Copy, Debug)]
pub struct Exposed {
    /// The data listener.
    pub data: bool,
    /// The admin listener.
    pub admin: bool,
}

/// Why a configuration does not serve.
#[derive(Debug)]
pub enum LoadError {
    /// The file is wrong.
    File(Errors),
    /// What the file says cannot be made ready.
    Build(BuildError),
    /// The simulated providers do not start.
    Simulated(std::io::Error),
    /// It would open a listener, bound beyond loopback, to everybody.
    Opens(&'static str),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(errors) => write!(f, "{errors}"),
            Self::Build(error) => write!(f, "{error}"),
            Self::Opens(key) => write!(
                f,
                "it declares no {key}, and that listener is bound beyond loopback until the next start; declare some, or \
                 restart with the new address"
            ),
            Self::Simulated(error) => write!(f, "the simulated providers cannot listen on loopback: {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl Loader {
    /// A loader of the file at `path`.
    pub fn new(path: &Path, metrics: &Arc<Metrics>) -> Self {
        Self {
            path: path.to_owned(),
            metrics: Arc::clone(metrics),
            series: GatewaySeries::new(metrics),
            simulated: Mutex::new(None),
            rests: KeyRests::default(),
            breakers: Arc::new(Breakers::new(metrics, clock::unix_time().saturating_sub(clock::uptime()))),
            exposed: OnceLock::new(),
            tls_kept: AtomicBool::new(false),
        }
    }

    /// The simulated providers, if a configuration had some.
    pub fn simulated(&self) -> Option<Mock> {
        self.simulated.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The breakers of the process.
    pub fn breakers(&self) -> &Arc<Breakers> {
        &self.breakers
    }

    /// The listeners are bound.
    pub fn bound(&self, exposed: Exposed) {
        // Bound once per process.
        let _ = self.exposed.set(exposed);
    }

    /// What shadows' copies may cost and have cost.
    pub fn ledgers(&self) -> &Arc<Ledgers> {
        &self.rests.ledgers
    }

    /// Who is in flight.
    pub fn flights(&self) -> &Arc<Flights> {
        &self.rests.flights
    }

    /// The first load. What is wrong is the caller's to tell.
    pub fn first(&self) -> Result<Snapshot, LoadError> {
        let snapshot = self.build(1, None)?;
        self.say_loaded(&snapshot);
        Ok(snapshot)
    }

    /// Loads again. A file that is wrong leaves the last good one serving, is counted, and said once.
    pub fn again(&self, store: &Store) -> Reloaded {
        let before = store.load_full();
        match self.build(before.generation.saturating_add(1), Some(&before.config)) {
            Ok(snapshot) => {
                warn_of_what_needs_a_restart(&before.config, &snapshot.config);
                self.say_loaded(&snapshot);
                let snapshot = Arc::new(snapshot);
                store.replace(Arc::clone(&snapshot));
                // After the snapshot, so that a load that fails changes nothing.
                if let Some(mock) = self.simulated.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                    mock.update(mock::from_config(&snapshot.config));
                }
                tracing::info!(generation = snapshot.generation, "the configuration was reloaded");
                Reloaded { watched: snapshot.config.watched.clone(), refused: None }
            }
            Err(error) => {
                self.series.config_loaded(Err(()));
                tracing::error!(
                    serving_generation = before.generation,
                    "the configuration is wrong; the last good one goes on serving: {error}"
                );
                let refused = Some(error.to_string());
                let watched = match error {
                    LoadError::File(errors) => errors.watched().to_vec(),
                    LoadError::Build(_) | LoadError::Simulated(_) | LoadError::Opens(_) => {
                        before.config.watched.clone()
                    }
                };
                Reloaded { watched, refused }
            }
        }
    }

    fn build(&self, generation: u64, before: Option<&Config>) -> Result<Snapshot, LoadError> {
        let now_s = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
        let mut config = load(&self.path, &ProcessEnvironment { now_s }).map_err(LoadError::File)?;
        self.keeps_closed(&config)?;
        let tls_kept = before.is_some_and(|before| keep_tls(before, &mut config));
        let simulated = self.simulate(&config).map_err(LoadError::Simulated)?;
        let built =
            Snapshot::build(config, generation, &self.metrics, simulated, &self.rests, &self.breakers);
        self.rests.forget_strangers(clock::uptime());
        self.breakers.forget_strangers();
        let snapshot = built.map_err(LoadError::Build)?;
        let said = self.tls_kept.swap(tls_kept, Ordering::Relaxed);
        if tls_kept && !said {
            say_it_needs_a_restart("server.tls");
        }
        Ok(snapshot)
    }

    fn keeps_closed(&self, config: &Config) -> Result<(), LoadError> {
        let Some(exposed) = self.exposed.get() else { return Ok(()) };
        if exposed.data && config.clients.is_empty() {
            return Err(LoadError::Opens("[clients]"));
        }
        if exposed.admin && config.admin.tokens.is_empty() {
            return Err(LoadError::Opens("admin.tokens"));
        }
        Ok(())
    }

    /// Starts the simulated providers with the first configuration that has some.
    fn simulate(&self, config: &Config) -> std::io::Result<Option<std::net::SocketAddr>> {
        let wanted = config.providers.iter().any(|provider| provider.kind == ProviderKind::Mock);
        let mut simulated = self.simulated.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted && simulated.is_none() {
            *simulated = Some(Mock::start(0, mock::from_config(config))?);
        }
        Ok(simulated.as_ref().map(Mock::address))
    }

    fn say_loaded(&self, snapshot: &Snapshot) {
        for warning in &snapshot.config.warnings {
            tracing::info!("{warning}");
        }
        let expiries: Vec<(String, i64)> = snapshot
            .config
            .flags
            .iter()
            .filter_map(|flag| match flag.lifetime {
                Lifetime::Expires(at) => Some((flag.key.to_string(), at)),
                Lifetime::Permanent => None,
            })
            .collect();
        self.series.config_loaded(Ok(Loaded {
            generation: snapshot.generation,
            at_unix_seconds: clock::unix_time().as_secs_f64(),
            certificate_expires: snapshot.config.server.tls.as_ref().and_then(|tls| tls.not_after_s),
            flag_expiries: &expiries,
        }));
    }
}

fn warn_of_what_needs_a_restart(before: &Config, after: &Config) {
    let changed = [
        ("server.listen", before.server.listen != after.server.listen),
        ("server.workers", before.server.workers != after.server.workers),
        ("admin.listen", before.admin.listen != after.admin.listen),
        ("records", before.records != after.records),
        ("telemetry", before.telemetry != after.telemetry),
    ];
    for (key, _) in changed.iter().filter(|(_, changed)| *changed) {
        say_it_needs_a_restart(key);
    }
}

fn say_it_needs_a_restart(key: &str) {
    tracing::warn!(key, "this key was changed; it takes effect with the next start");
}

/// A listener goes on as it began: callers that speak TLS to it must not be heard in clear text for a line that was lost. With the
/// line still there, a new pair is taken. Whether the new file says otherwise.
fn keep_tls(before: &Config, after: &mut Config) -> bool {
    if before.server.tls.is_some() == after.server.tls.is_some() {
        return false;
    }
    after.server.tls.clone_from(&before.server.tls);
    true
}
