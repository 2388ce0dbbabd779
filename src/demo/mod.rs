//! `dimmer demo`: a gateway with simulated providers and callers of its own, in a folder of its own, and a story told of it.
//!
//! Whatever is said of the gateway was asked of it, by the admin API, its metrics and its record; only the callers and the models are
//! ours. Must never state a number that the gateway did not give, and must not reach into it: what the story does, an operator could do.

mod asking;
mod bell;
mod caller;
mod crowd;
mod ending;
mod folder;
mod gateway;
mod ledger;
mod scrape;
mod story;
mod teller;
mod tempo;
#[cfg(test)]
mod tests;
mod traffic;
mod world;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use crate::clock;
use crate::observe::log;
use asking::Desk;
use bell::{Bell, on_signals};
use folder::Folder;
use gateway::Gateway;
use story::{Halt, Story};
use teller::{Teller, Tone};
use tempo::{FAST, SLOW, Tempo};
use traffic::Traffic;

/// How the demo is to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// All in a minute, then end; otherwise at a pace that one can watch, and on until it is told to end.
    pub fast: bool,
    /// Leave the folder.
    pub keep: bool,
    /// Events as lines of JSON.
    pub json: bool,
    /// Colours on the terminal.
    pub color: bool,
    /// Where apps connect; absent: the usual port, or a free one.
    pub data: Option<SocketAddr>,
    /// Where operators connect; absent: the same.
    pub admin: Option<SocketAddr>,
}

/// Whether all of the story came true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The breaker tripped, the fallback answered, and no caller got an error.
    True,
    /// Something of it did not, as was said.
    NotTrue,
}

/// Why there was no story.
#[derive(Debug)]
pub enum Failed {
    /// What to tell the person at the terminal.
    Said(String),
    /// What was told could not be written.
    Unwritten(io::Error),
}

impl From<String> for Failed {
    fn from(said: String) -> Self {
        Self::Said(said)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Unwritten(error)
    }
}

/// Until it is told to end, the demo looks so often whether it was.
const LONG: Duration = Duration::from_secs(3600);

/// Runs it from beginning to end.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<Verdict, Failed> {
    let tempo = if options.fast { FAST } else { SLOW };
    let folder = Folder::new(options.keep).map_err(|error| format!("no folder can be made: {error}"))?;
    let filter = std::env::var("DIMMER_LOG").unwrap_or_else(|_| log::DEFAULT_FILTER.to_owned());
    let log =
        folder.log().map_err(|error| format!("{} cannot be written: {error}", folder.path().display()))?;
    let _log = log::start_into(&filter, log);
    // Before there is anything that would have to be ended.
    let (bell, stop) = (Arc::new(Bell::default()), Arc::new(OnceLock::<mpsc::Sender<()>>::new()));
    let stopper = Arc::clone(&stop);
    on_signals(Arc::clone(&bell), move || {
        // Said twice already where there is no place.
        stopper.get().map(|stop| stop.try_send(()));
    })
    .map_err(|error| format!("the system refused to pass signals on: {error}"))?;
    let gateway = Gateway::start(&folder, &tempo, options.data, options.admin)?;
    let _ = stop.set(gateway.stopper());
    let told = story(options, &tempo, &folder, (&gateway, &bell), out);
    let stopped = gateway.stop();
    let verdict = told?;
    stopped?;
    Ok(verdict)
}

/// The traffic, the story, its end, and what goes on behind it.
fn story(
    options: &Options,
    tempo: &Tempo,
    folder: &Folder,
    (gateway, bell): (&Gateway, &Arc<Bell>),
    out: &mut dyn Write,
) -> Result<Verdict, Failed> {
    let mut teller = Teller::new(out, options.json, options.color);
    greet(options, tempo, folder, gateway, &mut teller)?;
    // Before the callers: whatever they ask is later than its beginning.
    let mut story = Story::new(teller, Desk::new(gateway.admin), *tempo, (gateway, folder), Arc::clone(bell));
    let traffic = Traffic::start(gateway.data, tempo.per_second, 0)?;
    let told = story.tell();
    let seen = traffic.stop();
    let halt = match told {
        Ok(()) => None,
        Err(Halt::Unwritten(error)) => return Err(error.into()),
        Err(halt) => Some(halt),
    };
    let calls = seen.answered + seen.failed;
    let whole = halt.is_none();
    let verdict = ending::end(&mut story, &seen, halt, options)?;
    if whole && !options.fast {
        // Where the first ended, so that no question is asked twice.
        let traffic = Traffic::start(gateway.data, tempo.per_second, calls)?;
        story.goes_on()?;
        while !bell.wait(LONG) {}
        traffic.stop();
    }
    Ok(verdict)
}

/// What there is, and where.
fn greet(
    options: &Options,
    tempo: &Tempo,
    folder: &Folder,
    gateway: &Gateway,
    teller: &mut Teller<'_>,
) -> io::Result<()> {
    let (data, admin) = (gateway.data, gateway.admin);
    teller.plain(&format!("dimmer {}: a gateway and its story.", env!("CARGO_PKG_VERSION")))?;
    teller.plain("Models and callers are simulated; the gateway, its API and its numbers are real.\n")?;
    let (users, rate) = (crowd::USERS, tempo.per_second);
    teller.row("  apps", WIDE, &format!("http://{data}, {users} users, {rate} requests a second"))?;
    teller.row("  operators", WIDE, &format!("http://{admin}, /metrics and /api/v1"))?;
    if admin.to_string() != USUAL_ADMIN {
        let text = "in another terminal, so that the commands below find it:";
        teller.row("  commands", WIDE, &format!("{text}\nexport DIMMER_ADMIN_URL=http://{admin}"))?;
    }
    if Desk::new(admin).has_page("/") {
        teller.row("  page", WIDE, &format!("http://{admin}/"))?;
    }
    let left = if options.keep { "it stays (--keep)" } else { "gone at the end; --keep leaves it" };
    teller.row("  folder", WIDE, &format!("{}\n{left}", folder.path().display()))?;
    teller.row(
        "  breakers",
        WIDE,
        &format!(
            "a window of {} and {} attempts at least, so that it is soon over; 15m and 50 unless told otherwise",
            tempo.window, tempo.min_requests
        ),
    )?;
    let ends = if options.fast { "it ends by itself; Ctrl-C ends it earlier" } else { "Ctrl-C ends it" };
    teller.row("  end", WIDE, ends)?;
    if !options.json {
        return Ok(());
    }
    let place = json!({
        "data": format!("http://{data}"), "admin": format!("http://{admin}"), "folder": folder.path(),
        "users": users, "per_second": rate, "fast": options.fast, "at_ms": clock::unix_ms(),
    });
    teller.tell("started", Tone::Plain, "the gateway serves", place)
}

/// Which gateway the commands ask unless told otherwise.
const USUAL_ADMIN: &str = "127.0.0.1:9901";
/// The names of what there is.
const WIDE: usize = 13;
