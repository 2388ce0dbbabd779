//! The scenarios, and one measurement of one target.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::load::Tally;
use crate::process::{Cpus, Outcome, Process};
use crate::target::{Running, Target};
use crate::traffic::{EVENTS, Kind, LARGE, SMALL};

/// What is asked of a target, and how often.
pub(crate) struct Scenario {
    /// For people.
    pub(crate) name: &'static str,
    /// What is asked for.
    pub(crate) kind: Kind,
    /// By how many at once.
    pub(crate) connections: usize,
    /// What dimmer may cost with flags on, as a multiple of the bare proxy.
    pub(crate) goal: f64,
    /// Measurements of each target.
    pub(crate) rounds: usize,
    /// The same in a hurry.
    pub(crate) rounds_quick: usize,
}

/// 64 connections keep one thread busy without a queue that hides what a request costs; a thousand streams is what a pod
/// of a busy app holds open.
pub(crate) const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "2 KiB chat",
        kind: Kind::Whole(SMALL),
        connections: 64,
        goal: 1.25,
        rounds: 7,
        rounds_quick: 3,
    },
    Scenario {
        name: "64 KiB chat",
        kind: Kind::Whole(LARGE),
        connections: 64,
        goal: 1.6,
        rounds: 7,
        rounds_quick: 3,
    },
    Scenario {
        name: "event, 100 streams",
        kind: Kind::Stream,
        connections: 100,
        goal: 1.15,
        rounds: 4,
        rounds_quick: 1,
    },
    Scenario {
        name: "event, 1000 streams",
        kind: Kind::Stream,
        connections: 1000,
        goal: 1.15,
        rounds: 4,
        rounds_quick: 1,
    },
];

/// How long one measurement of plain requests takes.
const WHOLE: Duration = Duration::from_millis(1500);
/// The same in a hurry.
const WHOLE_QUICK: Duration = Duration::from_millis(600);
/// Every connection begins a second stream before it is over.
const STREAMS: Duration = Duration::from_millis(1500);
/// Between two looks at the memory in use.
const LOOK: Duration = Duration::from_millis(100);

/// What one measurement found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// CPU time per answer, or per event of streams.
    pub(crate) cpu_us: f64,
    /// From the target's start to its first answer.
    pub(crate) first_answer: Duration,
    /// Resident memory after the first answer.
    pub(crate) idle_kib: u64,
    /// How much the most memory seen was above that, by connection.
    pub(crate) kib_per_connection: f64,
}

impl Scenario {
    /// Measures a target, started anew, so that nothing of an earlier measurement is in it.
    pub(crate) fn take(&self, target: &Target, cpus: &Cpus, quick: bool) -> Outcome<Taken> {
        let running = target.start(cpus)?;
        let number = SCENARIOS.iter().position(|known| known.name == self.name).unwrap_or_default();
        let measured = match (self.kind, quick) {
            (Kind::Stream, _) => STREAMS,
            (Kind::Whole(_), true) => WHOLE_QUICK,
            (Kind::Whole(_), false) => WHOLE,
        };
        let (address, number) = (running.address.to_string(), number.to_string());
        let arguments = ["load", &address, &number, &measured.as_millis().to_string()];
        let (tally, used, peak_kib) = loaded(target, &running, &arguments, cpus)?;
        Ok(taken(self.kind, self.connections, &running, tally, used, peak_kib))
    }
}

/// So many slow streams at once.
pub(crate) fn held(target: &Target, cpus: &Cpus, streams: usize) -> Outcome<Taken> {
    let running = target.start(cpus)?;
    let arguments = ["load", &running.address.to_string(), &format!("streams:{streams}"), "9000"];
    let (tally, used, peak_kib) = loaded(target, &running, &arguments, cpus)?;
    Ok(taken(Kind::Stream, streams, &running, tally, used, peak_kib))
}

/// What the middle request took, and the slowest hundredth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// Microseconds.
    pub(crate) p50_us: f64,
    /// Microseconds.
    pub(crate) p99_us: f64,
}

/// Rounds of latencies at a fixed rate: of the provider itself, then of each target.
pub(crate) fn paced(
    targets: &[Target],
    provider: SocketAddr,
    cpus: &Cpus,
    quick: bool,
) -> Outcome<Vec<Vec<Latency>>> {
    let (rounds, length) = if quick { (1, WHOLE_QUICK) } else { (5, WHOLE) };
    let one = |address: SocketAddr| -> Outcome<Latency> {
        let arguments = ["paced", &address.to_string(), &length.as_millis().to_string()];
        let mut load = Process::start(&std::env::current_exe()?, &arguments, cpus.others)?;
        let said = Tally::parse(&load.line()?)?;
        Ok(Latency { p50_us: said.answers as f64, p99_us: said.failed as f64 })
    };
    let mut all = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut round = vec![one(provider)?];
        for target in targets {
            let running = target.start(cpus)?;
            round.push(one(running.address)?);
            running.process.stop()?;
        }
        all.push(round);
    }
    Ok(all)
}

/// Has the load ask, and reads what the target has used for it: answers, CPU time, the most memory.
fn loaded(
    target: &Target,
    running: &Running,
    arguments: &[&str],
    cpus: &Cpus,
) -> Outcome<(Tally, Duration, u64)> {
    let mut load = Process::start(&std::env::current_exe()?, arguments, cpus.others)?;
    Tally::parse(&load.line()?)?.check(target)?;
    let before = running.process.cpu()?;
    load.say("go")?;
    let (said, peak_kib) = watched(&mut load, running)?;
    let used = running.process.cpu()?.saturating_sub(before);
    let tally = Tally::parse(&said)?;
    tally.check(target)?;
    Ok((tally, used, peak_kib))
}

fn taken(
    kind: Kind,
    connections: usize,
    running: &Running,
    tally: Tally,
    used: Duration,
    peak_kib: u64,
) -> Taken {
    let units = match kind {
        Kind::Stream => tally.answers * EVENTS as u64,
        Kind::Whole(_) => tally.answers,
    };
    Taken {
        cpu_us: used.as_secs_f64() * 1e6 / units as f64,
        first_answer: running.first_answer,
        idle_kib: running.idle_kib,
        kib_per_connection: peak_kib.saturating_sub(running.idle_kib) as f64 / connections as f64,
    }
}

/// Waits for the load's word, and sees meanwhile how much memory the target takes.
fn watched(load: &mut Process, running: &Running) -> Outcome<(String, u64)> {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| load.line().map_err(|error| error.to_string()));
        let mut peak = 0;
        while !waiting.is_finished() {
            peak = running.process.resident()?.max(peak);
            thread::sleep(LOOK);
        }
        match waiting.join() {
            Ok(line) => Ok((line?, peak)),
            Err(_) => Err("the load could not be waited for".into()),
        }
    })
}

impl Tally {
    /// A target that fails requests is not measured.
    fn check(&self, target: &Target) -> Outcome<()> {
        match (self.failed, self.answers) {
            (0, 1..) => Ok(()),
            (failed, answers) => {
                Err(format!("{}: {failed} answers failed, {answers} came", target.name).into())
            }
        }
    }
}
