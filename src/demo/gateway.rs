//! The gateway of the demo: the same as `dimmer serve`'s, in a thread of this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::folder::Folder;
use super::tempo::Tempo;
use super::world;
use crate::app::{self, Ended, StartError, Started};
use crate::mock::Mock;

/// A gateway that serves.
pub(super) struct Gateway {
    /// Where callers connect.
    pub(super) data: SocketAddr,
    /// Where operators connect.
    pub(super) admin: SocketAddr,
    /// The outside world: its simulated providers.
    pub(super) mock: Mock,
    /// What its file says of listeners.
    listen: Listen,
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Result<Ended, StartError>>,
}

/// Where it is to listen.
#[derive(Clone, Copy, Debug)]
struct Listen {
    data: SocketAddr,
    admin: SocketAddr,
}

/// Where `dimmer serve` listens unless its file says otherwise.
const DATA_PORT: u16 = 8080;
/// The same for operators.
const ADMIN_PORT: u16 = 9901;

impl Gateway {
    /// Starts one where it is told to listen; else at the usual ports, or at free ones where somebody has these.
    pub(super) fn start(
        folder: &Folder,
        tempo: &Tempo,
        data: Option<SocketAddr>,
        admin: Option<SocketAddr>,
    ) -> Result<Self, String> {
        let here = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut listen =
            Listen { data: data.unwrap_or(here(DATA_PORT)), admin: admin.unwrap_or(here(ADMIN_PORT)) };
        let started = loop {
            save(folder, tempo, listen, false)?;
            match app::start(&folder.routes()) {
                Ok(started) => break started,
                Err(StartError::Listen { address, .. }) if data.is_none() && address == here(DATA_PORT) => {
                    listen.data = here(0);
                }
                Err(StartError::Listen { address, .. }) if admin.is_none() && address == here(ADMIN_PORT) => {
                    listen.admin = here(0);
                }
                Err(error) => return Err(error.to_string()),
            }
        };
        Self::serve(started, listen)
    }

    fn serve(started: Started, listen: Listen) -> Result<Self, String> {
        let (data, admin) = (started.data, started.admin);
        let mock = started.simulated().ok_or("the demo's configuration has no simulated provider")?;
        // One to stop, one to end at once.
        let (stop, told) = mpsc::channel(2);
        let thread = std::thread::Builder::new()
            .name("gateway".into())
            .spawn(move || started.serve_until(told))
            .map_err(|error| format!("the system refused a thread: {error}"))?;
        Ok(Self { data, admin, mock, listen, stop, thread })
    }

    /// Puts the shadow into its file.
    pub(super) fn add_shadow(&self, folder: &Folder, tempo: &Tempo) -> Result<(), String> {
        save(folder, tempo, self.listen, true)
    }

    /// What tells it to stop: once to drain, again to end at once.
    pub(super) fn stopper(&self) -> mpsc::Sender<()> {
        self.stop.clone()
    }

    /// Drains it.
    pub(super) fn stop(self) -> Result<Ended, String> {
        // It has ended already where nobody hears it.
        let _ = self.stop.try_send(());
        let ended = self.thread.join().map_err(|_| "the gateway's thread ended by a defect".to_owned())?;
        ended.map_err(|error| error.to_string())
    }
}

fn save(folder: &Folder, tempo: &Tempo, listen: Listen, shadow: bool) -> Result<(), String> {
    let text = world::text(tempo, listen.data, listen.admin, shadow);
    folder.save(&text).map_err(|error| format!("{} cannot be written: {error}", folder.routes().display()))
}
