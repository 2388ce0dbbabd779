//! Builds the rooms, starts their threads, drains them; the only file that sees every room.

mod manager;
mod orders;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, watch};

use crate::config::{self, RecordsPlace, RecordsSpec, StateSpec, UserIds, Watched};
use crate::control::webhooks::Webhooks;
use crate::control::{
    Admin, Api, Exposed, LoadError, Loader, Pulse, Readiness, Rollbacks, Switchboard, Traffic, Upkeep,
};
use crate::explain::Running;
use crate::mock::Mock;
use crate::names::KillTarget;
use crate::observe::{GatewaySeries, KillSeries, Metrics, StateSeries, Telling, Tracer};
use crate::proxy::{self, Gateway, Pins, ShadowThread, Shadows, Worker};
use crate::record::{self, Hasher, Records};
use crate::snapshot::{Flights, Snapshot, Store};
use crate::state::{self, Keeper, RunState, StoreError, notes};
use orders::{Orders, Stop};

/// Why the gateway does not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration is wrong.
    Load(LoadError),
    /// An address cannot be listened on.
    Listen {
        /// Which key names it.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system refuses a thread, a signal or the like.
    System(io::Error),
    /// Neither the state's store nor its copy can be read.
    State(StoreError),
    /// The metric families clash: a defect.
    Metrics(crate::observe::MetricsError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(LoadError::File(errors)) => write!(f, "{}", errors.pretty()),
            Self::Load(error) => write!(f, "{error}"),
            Self::Listen { key, address, error } => write!(
                f,
                "{key} = \"{address}\" cannot be listened on: {error}; choose another port, or stop what has it"
            ),
            Self::System(error) => write!(f, "the system refused: {error}"),
            Self::State(error) => write!(f, "{error}"),
            Self::Metrics(error) => write!(f, "the metrics cannot be registered: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// A gateway that listens and does not serve yet.
#[derive(Debug)]
pub struct Started {
    /// Where apps connect.
    pub data: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// What serves first.
    pub snapshot: Arc<Snapshot>,
    parts: Parts,
}

struct Parts {
    data: TcpListener,
    admin: TcpListener,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    room: Room,
    changes: Option<Changes>,
}

/// What changes what serves.
#[derive(Clone)]
struct Room {
    loader: Arc<Loader>,
    store: Arc<Store>,
    switchboard: Arc<Switchboard>,
    keeper: Arc<Keeper>,
    /// The configuration's file.
    path: PathBuf,
}

impl Room {
    /// Loads the configuration again. Gives the files whose change matters from now on.
    fn reload(&self) -> Vec<Watched> {
        manager::reloads();
        let reloaded = self.loader.again(&self.store);
        manager::serves(self.store.load().generation);
        let switchboard = Arc::clone(&self.switchboard);
        // On its own: a disk that hangs must keep neither the next change nor a signal to stop waiting.
        tokio::spawn(async move { switchboard.reloaded(reloaded.refused.as_deref()).await });
        reloaded.watched
    }
}

/// Says that a file of the configuration has changed.
struct Changes {
    watch: config::Watch,
    said: mpsc::Receiver<()>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts")
    }
}

/// Loads the configuration and binds both listeners.
pub fn start(path: &Path) -> Result<Started, StartError> {
    // More connections for the asking: the soft limit is often 1,024.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let metrics = Arc::new(Metrics::new().map_err(StartError::Metrics)?);
    let loader = Arc::new(Loader::new(path, &metrics));
    // Watched before it is loaded: a change in between is seen.
    let changes = watch_files(path);
    let snapshot = Arc::new(loader.first().map_err(StartError::Load)?);
    if let Some(changes) = &changes {
        changes.watch.follow(&snapshot.config.watched);
    }
    let data = listen(snapshot.config.server.listen, "server.listen")?;
    let admin = listen(snapshot.config.admin.listen, "admin.listen")?;
    // Before anything is served: what was killed stays killed.
    let (state, keeper) = open_state(&snapshot.config.state, &metrics)?;
    let store = Arc::new(Store::new(Arc::clone(&snapshot), state));
    let webhooks = Arc::new(Webhooks::start(&snapshot.config.webhooks, &metrics)?);
    let switchboard = Arc::new(Switchboard::new(
        Arc::clone(&store),
        Arc::clone(&keeper),
        webhooks,
        KillSeries::new(&metrics),
    ));
    let beyond_loopback =
        |listener: &TcpListener| listener.local_addr().is_ok_and(|at| !at.ip().is_loopback());
    loader.bound(Exposed { data: beyond_loopback(&data), admin: beyond_loopback(&admin) });
    Ok(Started {
        data: data.local_addr()?,
        admin: admin.local_addr()?,
        snapshot,
        parts: Parts {
            data,
            admin,
            store: Arc::clone(&store),
            metrics,
            room: Room { loader, store, switchboard, keeper, path: path.to_owned() },
            changes,
        },
    })
}

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, StartError> {
    let bind = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|error| StartError::Listen { key, address, error })
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request in flight was finished.
    Drained,
    /// The drain's time was over.
    DrainTimedOut,
    /// A second signal said to end now.
    Forced,
    /// A worker ended by itself: a defect, or the system refused it a runtime.
    WorkerLost,
}

impl Started {
    /// Serves until a signal says to stop, then drains.
    pub fn serve(self) -> Result<Ended, StartError> {
        self.serve_by(None)
    }

    /// Serves until `told` says something, then drains; ends at once when it says something again. Signals are the caller's.
    pub fn serve_until(self, told: mpsc::Receiver<()>) -> Result<Ended, StartError> {
        self.serve_by(Some(told))
    }

    /// The simulated providers, where the configuration has some.
    pub fn simulated(&self) -> Option<Mock> {
        self.parts.room.loader.simulated()
    }

    fn serve_by(self, told: Option<mpsc::Receiver<()>>) -> Result<Ended, StartError> {
        let (drain, draining) = watch::channel(false);
        let in_need = Arc::default();
        let mut seed = [0; 8];
        let _ = getrandom::fill(&mut seed);
        let pins = Arc::new(Pins::new(u64::from_le_bytes(seed)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Before anybody is served: whoever is told to stop finishes what it has begun.
        let orders = match told {
            Some(told) => Orders::Inside(told),
            None => {
                let _inside = runtime.enter();
                Orders::of_signals()?
            }
        };
        runtime.block_on(notes::restore(&self.parts.room.keeper, &*pins));
        let spec = &self.snapshot.config.records;
        let hasher = runtime.block_on(hasher(spec, &self.parts.room.keeper));
        let records = Arc::new(record::open(spec, hasher, &self.parts.metrics)?);
        runtime.block_on(notes::restore(&self.parts.room.keeper, &**self.parts.room.loader.ledgers()));
        let (shadows, copies) = Shadows::start(Arc::clone(&self.parts.store), records.recorder.clone())?;
        let telling = self.start_telling()?;
        let tracer = telling.as_ref().map(Telling::tracer);
        let workers = self.start_workers(&pins, &draining, &in_need, &records, (shadows, tracer))?;
        let shared = Shared { in_need, pins, records: Arc::clone(&records), copies };
        let ended = runtime.block_on(self.control(drain, workers, orders, shared));
        records.close(LAST_WRITES);
        if let Some(telling) = telling {
            telling.close(LAST_WRITES);
        }
        tracing::info!(how = ?ended.as_ref().ok(), "stopped");
        ended
    }

    /// Who is told of traces, if anybody is.
    fn start_telling(&self) -> io::Result<Option<Telling>> {
        let spec = self.snapshot.config.telemetry.as_ref();
        spec.map(|spec| Telling::start(spec, &self.parts.metrics)).transpose()
    }

    fn start_workers(
        &self,
        pins: &Arc<Pins>,
        draining: &watch::Receiver<bool>,
        in_need: &Arc<AtomicBool>,
        records: &Records,
        (shadows, tracer): (Shadows, Option<Tracer>),
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let parts = &self.parts;
        let on_loopback = self.data.ip().is_loopback();
        let series = GatewaySeries::new(&parts.metrics);
        let gateway = Gateway::new(
            Arc::clone(&parts.store),
            series,
            draining.clone(),
            on_loopback,
            Arc::clone(in_need),
            Arc::clone(pins),
        );
        let gateway = gateway.with_recorder(records.recorder.clone()).with_shadows(shadows);
        let gateway = gateway.with_tracer(tracer);
        let gateway = Arc::new(gateway.with_reader(Arc::clone(&records.reader)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = self.snapshot.config.server.workers.unwrap_or(cores);
        let mut workers = Vec::with_capacity(count);
        for number in 0..count {
            let listener = parts.data.try_clone()?;
            let gateway = Arc::clone(&gateway);
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            workers.push(thread.spawn(move || work(gateway, listener))?);
        }
        Ok(workers)
    }

    async fn control(
        self,
        drain: watch::Sender<bool>,
        workers: Vec<JoinHandle<()>>,
        mut orders: Orders,
        shared: Shared,
    ) -> Result<Ended, StartError> {
        let Shared { in_need, pins, records, copies } = shared;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %self.data, admin = %self.admin, "serving");
        let readiness = Arc::new(Readiness::default());
        readiness.set(true);
        let Parts { data, admin, store, metrics, room, changes } = self.parts;
        room.switchboard.drop_overrides().await;
        follow_breakers(&room).await;
        tokio::spawn(notes::keep(Arc::clone(&room.keeper), Arc::clone(&pins)));
        tokio::spawn(notes::keep(Arc::clone(&room.keeper), Arc::clone(room.loader.ledgers())));
        let upkeep = keep_up(&room, &metrics, &records).await;
        let api = Arc::new(api(&room, &pins, records, &metrics, &upkeep).await);
        tokio::spawn(Arc::clone(&api).beat());
        let admin_room = Arc::new(Admin {
            store: Arc::clone(&store),
            metrics,
            readiness: Arc::clone(&readiness),
            api,
            in_need,
        });
        let admin_listener = tokio::net::TcpListener::from_std(admin)?;
        tokio::spawn(admin_room.serve(admin_listener));
        if let Some(changes) = changes {
            tokio::spawn(reload_on_change(changes, room.clone()));
        }
        manager::serves(store.load().generation);
        if orders.stop(&room, &workers).await == Stop::WorkerLost {
            readiness.set(false);
            room.keeper.close(LAST_WRITES);
            return Ok(Ended::WorkerLost);
        }
        // The workers hold the socket too: it closes, and refuses, when the last of them lets go.
        drop(data);
        readiness.set(false);
        let patience = store.load().config.server.drain;
        tracing::info!(patience_s = patience.as_secs_f64(), "draining: new connections are refused");
        manager::drains(patience);
        drain.send_replace(true);
        let ended = orders.wait_for(workers, patience).await;
        // No caller's request is left that could be copied.
        end_copies(copies, ended).await;
        let kept = notes::keep_now(&room.keeper, &**room.loader.breakers());
        // A store that is away is no reason to stay.
        let _ = tokio::time::timeout(LAST_WRITES, kept).await;
        let _ = tokio::time::timeout(LAST_WRITES, notes::keep_now(&room.keeper, &*pins)).await;
        let spent = notes::keep_now(&room.keeper, &**room.loader.ledgers());
        let _ = tokio::time::timeout(LAST_WRITES, spent).await;
        let _ = tokio::time::timeout(LAST_WRITES, notes::keep_now(&room.keeper, &*upkeep)).await;
        room.keeper.close(LAST_WRITES);
        Ok(ended)
    }
}

/// What the workers and what controls them share.
struct Shared {
    in_need: Arc<AtomicBool>,
    pins: Arc<Pins>,
    records: Arc<Records>,
    copies: ShadowThread,
}

/// Copies under way get a little time; none where the process is to end now.
async fn end_copies(copies: ShadowThread, ended: Ended) {
    let patience = if ended == Ended::Forced { Duration::ZERO } else { LAST_COPIES };
    let ending = tokio::task::spawn_blocking(move || copies.end(patience));
    // A thread that hangs is no reason to stay.
    let _ = tokio::time::timeout(patience + LAST_WRITES, ending).await;
}

/// How long copies under way have when the process ends.
const LAST_COPIES: Duration = Duration::from_secs(5);

/// One worker's life.
fn work(gateway: Arc<Gateway>, listener: TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let served = runtime.and_then(|runtime| {
        let worker = Worker::new(gateway);
        let served = runtime.block_on(proxy::serve(worker, listener));
        // A name that is still asked for is no reason to stay.
        runtime.shutdown_background();
        served
    });
    if let Err(error) = served {
        tracing::error!(%error, "a worker could not serve");
    }
}

/// Where watching is not possible, SIGHUP still reloads.
fn watch_files(path: &Path) -> Option<Changes> {
    let (say, said) = mpsc::channel(1);
    let watching = config::watch(path, &[], move || {
        // A change that is already waiting to be looked at covers this one too.
        let _ = say.try_send(());
    });
    match watching {
        Ok(watch) => Some(Changes { watch, said }),
        Err(error) => {
            tracing::error!(%error, "files are not watched; send SIGHUP to reload");
            None
        }
    }
}

async fn reload_on_change(mut changes: Changes, room: Room) {
    while changes.said.recv().await.is_some() {
        changes.watch.follow(&room.reload());
    }
}

/// Gives the breakers what was learned before the start, keeps what they learn, and does what follows their trips.
async fn follow_breakers(room: &Room) {
    let breakers = room.loader.breakers();
    notes::restore(&room.keeper, &**breakers).await;
    tokio::spawn(notes::keep(Arc::clone(&room.keeper), Arc::clone(breakers)));
    if let Some(events) = breakers.events() {
        tokio::spawn(Arc::clone(&room.switchboard).follow(events));
    }
}

/// How users are written down. Without a secret in the file it is one of the process's own, which the state keeps.
async fn hasher(spec: &RecordsSpec, keeper: &Keeper) -> Hasher {
    let hasher = Hasher::keyed(&records_secret(spec, keeper).await);
    if spec.user_ids == UserIds::Plain { hasher.plain() } else { hasher }
}

async fn records_secret(spec: &RecordsSpec, keeper: &Keeper) -> Vec<u8> {
    if let Some(secret) = &spec.secret {
        return secret.reveal().as_bytes().to_vec();
    }
    if spec.place == RecordsPlace::None {
        return random_secret();
    }
    match keeper.note(RECORDS_SECRET).await {
        Ok(Some(secret)) => return secret,
        Ok(None) => {}
        Err(error) => {
            tracing::error!(
                "the secret that users are hashed under cannot be read, and this process takes another: it will count known users                  as new ones. Write records.secret = \"${{NAME}}\" into the file, or mend the state: {error}"
            );
            return random_secret();
        }
    }
    let secret = random_secret();
    if let Err(error) = keeper.put_note(RECORDS_SECRET, secret.clone()).await {
        tracing::warn!(
            "the secret that users are hashed under was not stored, and the next start takes another: {error}; write              records.secret = \"${{NAME}}\" into the file, or mend the state"
        );
    }
    secret
}

fn random_secret() -> Vec<u8> {
    let mut secret = vec![0; 32];
    if let Err(error) = getrandom::fill(&mut secret) {
        tracing::error!(%error, "there are no random numbers: users are hashed under a secret that anybody can guess");
    }
    secret
}

/// Under which name the state keeps it.
const RECORDS_SECRET: &str = "records_secret";

/// Watches what nobody asks for, from where the last process left off.
async fn keep_up(room: &Room, metrics: &Arc<Metrics>, records: &Records) -> Arc<Upkeep> {
    let upkeep = Upkeep::new(Arc::clone(&room.store), Arc::clone(metrics), Arc::clone(&records.reader));
    let upkeep = Arc::new(upkeep);
    notes::restore(&room.keeper, &*upkeep).await;
    tokio::spawn(Arc::clone(&upkeep).watch());
    tokio::spawn(notes::keep(Arc::clone(&room.keeper), Arc::clone(&upkeep)));
    upkeep
}

/// What operators ask and do, over what serves.
async fn api(
    room: &Room,
    pins: &Arc<Pins>,
    records: Arc<Records>,
    metrics: &Arc<Metrics>,
    upkeep: &Arc<Upkeep>,
) -> Api {
    let traffic = Arc::new(InFlight(Arc::clone(room.loader.flights())));
    let rollbacks = Arc::new(Rollbacks::new(Arc::clone(&room.switchboard), traffic).await);
    Api {
        store: Arc::clone(&room.store),
        switchboard: Arc::clone(&room.switchboard),
        rollbacks,
        breakers: Arc::clone(room.loader.breakers()),
        explainer: Arc::new(Running::new(Arc::clone(&room.store), Arc::clone(pins))),
        records,
        upkeep: Arc::clone(upkeep),
        pulse: Pulse::new(Arc::clone(metrics)),
        file: room.path.clone(),
    }
}

/// The requests that the data plane has in flight.
struct InFlight(Arc<Flights>);

impl Traffic for InFlight {
    fn in_flight(&self, target: &KillTarget) -> u64 {
        self.0.in_flight(target)
    }

    fn cut(&self, target: &KillTarget) -> u64 {
        self.0.cut(target)
    }
}

/// Reads the run-time state, and starts who keeps it.
fn open_state(spec: &StateSpec, metrics: &Arc<Metrics>) -> Result<(RunState, Arc<Keeper>), StartError> {
    let (store, loaded) = state::open(spec).map_err(StartError::State)?;
    if let Some(why) = loaded.from_copy {
        tracing::error!("the run-time state is from its last copy: {why}");
    }
    let keeper = Keeper::start(store, StateSeries::new(metrics))?;
    Ok((loaded.state, Arc::new(keeper)))
}

/// What could not be stored until now has this long at the end.
const LAST_WRITES: Duration = Duration::from_secs(2);
