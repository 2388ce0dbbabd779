//! Some three hundred and fifty ways to write a request, right and wrong, over bare sockets: through the gateway where it streams and where
//! it reads, and through a real nginx beside it. Nothing may be forwarded that nginx refuses, nothing may hang, and no byte may be
//! left over for somebody else's request.

mod cases;
mod nginx;
mod recorder;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cases::{BODY, Case, Wanted};
use nginx::Nginx;
use recorder::{Arrived, Recorder};

use crate::harness::{Dimmer, listeners};

/// What became of one case.
#[derive(Debug)]
struct Outcome {
    /// The statuses of the answers, interim ones left out.
    statuses: Vec<u16>,
    /// The other side closed the connection, or was made to.
    closed: bool,
    /// What arrived of the case, and of the request sent behind it.
    arrived: Vec<Arrived>,
    probe: Vec<Arrived>,
    /// All that came back.
    said: String,
}

/// Longer than every limit of the gateway and of nginx here; who is not done by then hangs.
const PATIENCE: Duration = Duration::from_secs(15);

fn start(upstream: SocketAddr) -> Dimmer {
    let limits = "[server.limits]\nheader_timeout = \"2s\"\nbody_timeout = \"2s\"\nidle_timeout = \"2s\"";
    Dimmer::start(
        &(listeners(limits)
            + &format!(
                "[providers.p]\ndialect = \"openai\"\nbase_url = \"http://{upstream}/v1\"\n\
                 [models.m-2]\nprovider = \"p\"\n\
                 [routes.bare]\npath = \"/bare\"\nprovider = [\"p\"]\n\
                 [routes.read]\npath = \"/read\"\nprovider = [\"p\"]\nmodel = \"m-2\"\n"
            )),
    )
}

/// The mark of a case, and its path: the same for every side, so that only who forwards it differs.
fn path(side: &str, route: &str, number: usize) -> String {
    format!("/{route}/v1/chat/completions?/m-{side}{number}z")
}

/// Sends a case and a good request behind it, and reads until the connection is closed.
fn run(to: SocketAddr, recorder: &Recorder, side: &str, route: &str, number: usize, case: &Case) -> Outcome {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = case.bytes.clone();
    if !matches!(case.wanted, Wanted::Waits) {
        bytes.extend_from_slice(cases::probe(&format!("{}probe", path(side, route, number))).as_bytes());
    }
    // Who refuses may close before all of it is sent.
    let _sent = stream.write_all(&bytes);
    let (mut said, mut piece) = (Vec::new(), [0; 16_384]);
    let closed = loop {
        match stream.read(&mut piece) {
            Ok(0) => break true,
            Ok(count) => said.extend_from_slice(&piece[..count]),
            Err(error) => break !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    };
    let _gone = stream.shutdown(Shutdown::Both);
    let said = String::from_utf8_lossy(&said).into_owned();
    let statuses = said.split("HTTP/1.").skip(1).filter_map(|rest| rest.get(2..5)?.parse().ok());
    let (arrived, probe) = recorder
        .of(&format!("{side}{number}z"))
        .into_iter()
        .chain(recorder.of(&format!("{side}{number}zhidden")))
        .chain(recorder.of(&format!("{side}{number}zprobe")))
        .partition(|request| !request.line.ends_with("probe"));
    Outcome { statuses: statuses.filter(|status| *status >= 200).collect(), closed, arrived, probe, said }
}

/// Runs every case, many at a time.
fn run_all(to: SocketAddr, recorder: &Recorder, side: &str, route: &str) -> Vec<(Case, Outcome)> {
    let cases = cases::cases(|number| path(side, route, number));
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let number @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(case) = cases.get(number)
                {
                    let outcome = run(to, recorder, side, route, number, case);
                    outcomes.lock().unwrap().push((number, case.clone(), outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by_key(|(number, ..)| *number);
    outcomes.into_iter().map(|(_, case, outcome)| (case, outcome)).collect()
}

/// What is wrong with what the gateway made of a case.
fn complaint(case: &Case, outcome: &Outcome, reads: bool) -> Option<String> {
    let as_forwarded = |body: &String| match reads && body == BODY {
        true => body.replace("m-1", "m-2"),
        false => body.clone(),
    };
    let (bodies, mut statuses, probed) = match &case.wanted {
        Wanted::Passes(bodies) => (bodies.clone(), vec![200; bodies.len() + 1], true),
        Wanted::PassesAndCloses(bodies) => (bodies.clone(), vec![200; bodies.len()], false),
        Wanted::Refused(bodies, status) => {
            (bodies.clone(), [vec![200; bodies.len()], vec![*status]].concat(), false)
        }
        Wanted::Answered(status) => (Vec::new(), vec![*status, 200], true),
        Wanted::Waits => (Vec::new(), vec![408], false),
    };
    if statuses.last() == Some(&408) && outcome.statuses.is_empty() {
        // Somebody who begins a head and falls silent may be told nothing.
        statuses.clear();
    }
    let arrived: Vec<String> =
        outcome.arrived.iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
    let wanted: Vec<String> = bodies.iter().map(as_forwarded).collect();
    let refused = statuses.last().copied().filter(|status| *status >= 400);
    let complaints = [
        (!outcome.closed, "it hangs"),
        (outcome.arrived.iter().chain(&outcome.probe).any(|one| one.odd.is_some()), "what arrived is odd"),
        (arrived != wanted, "something else arrived"),
        (outcome.probe.len() != usize::from(probed), "the request behind it arrived or did not"),
        (
            outcome.probe.iter().any(|one| one.body != as_forwarded(&BODY.to_owned()).as_bytes()),
            "the request behind it was changed",
        ),
        (outcome.statuses != statuses, "the answers"),
        (refused.is_some() && !outcome.said.contains("\"code\":\"dimmer_"), "the error has no body"),
    ];
    let (_, complaint) = complaints.into_iter().find(|(holds, _)| *holds)?;
    Some(format!("{}: {complaint}\n    wanted {:?}\n    got {outcome:?}", case.name, case.wanted))
}

#[test]
fn what_has_two_readings_goes_nowhere_and_no_worse_than_through_nginx() {
    let recorder = Recorder::start();
    let mut dimmer = start(recorder.address);
    let directory = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(directory.path(), recorder.address);
    let (bare, read, peer) = std::thread::scope(|scope| {
        let bare = scope.spawn(|| run_all(dimmer.data, &recorder, "b", "bare"));
        let read = scope.spawn(|| run_all(dimmer.data, &recorder, "r", "read"));
        let peer = scope.spawn(|| run_all(nginx.address, &recorder, "n", "bare"));
        (bare.join().unwrap(), read.join().unwrap(), peer.join().unwrap())
    });
    assert!(bare.len() >= 200, "{} cases", bare.len());
    let mut complaints: Vec<String> = Vec::new();
    for (reads, outcomes) in [(false, &bare), (true, &read)] {
        complaints.extend(outcomes.iter().filter_map(|(case, outcome)| complaint(case, outcome, reads)));
    }
    // Nothing that nginx does not forward is forwarded here.
    let mut stricter = 0;
    for (number, (case, theirs)) in peer.iter().enumerate() {
        for (_, ours) in [&bare[number], &read[number]] {
            if ours.arrived.len() > theirs.arrived.len() {
                complaints.push(format!("{}: nginx forwards less: {theirs:?}", case.name));
            }
            stricter += usize::from(ours.arrived.len() < theirs.arrived.len());
        }
    }
    eprintln!("{} cases; nginx forwards more in {stricter} of {}", bare.len(), 2 * bare.len());
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), bare.len(), complaints.join("\n"));
    // A fragment is no part of a request's target: nginx sends the request on all the same.
    let fragment = bare.iter().position(|(case, _)| case.name == "a target with a fragment").unwrap();
    assert_eq!((bare[fragment].1.arrived.len(), peer[fragment].1.arrived.len()), (0, 1));
    let unmarked: Vec<Arrived> =
        recorder.unmarked().into_iter().filter(|one| !one.line.contains("/bare/")).collect();
    assert!(unmarked.is_empty(), "somebody else's request: {unmarked:?}");
    dimmer.assert_alive();
}

/// Sends a byte of a body at a time, for so long; what was answered by then.
fn drip(to: SocketAddr, length: Duration) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(b"POST /bare/v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (begun, mut said) = (Instant::now(), Vec::new());
    let mut piece = [0; 4096];
    while begun.elapsed() < length && stream.write_all(b"x").is_ok() {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => said.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn a_body_of_a_few_bytes_a_second_is_ended_here_and_held_by_nginx() {
    let recorder = Recorder::start();
    let dimmer = start(recorder.address);
    let directory = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(directory.path(), recorder.address);
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| drip(dimmer.data, PATIENCE));
        let theirs = scope.spawn(|| drip(nginx.address, Duration::from_secs(6)));
        (ours.join().unwrap(), theirs.join().unwrap())
    });
    assert!(ours.starts_with("HTTP/1.1 408 "), "{ours}");
    assert!(ours.contains("dimmer_body_timeout") && ours.contains("bytes per second"), "{ours}");
    assert_eq!(theirs, "", "nginx waits on");
}
