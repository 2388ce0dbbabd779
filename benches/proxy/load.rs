//! The load: so many connections, each asking again as soon as it has its answer (a closed loop). Checks that every answer
//! is whole.

use std::cell::Cell;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::http1::{Connection, status};
use crate::process::{Outcome, on_one_thread};
use crate::traffic::{EVENTS, Kind, MARK, SMALL, request};

/// Long enough to open every connection and to fill every buffer.
const WARM_UP: Duration = Duration::from_millis(300);

/// Streams begin spread over the time that one takes, so that their events do not come all at once.
const SPREAD: Duration = Duration::from_secs(1);

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Whole answers.
    pub(crate) answers: u64,
    /// Answers that were not.
    pub(crate) failed: u64,
    /// How long it took.
    pub(crate) millis: u64,
}

/// Warms up, says so, waits for the word, measures, and says what came of it.
pub(crate) fn run(target: SocketAddr, kind: Kind, connections: usize, measured: Duration) -> Outcome<()> {
    on_one_thread(async move {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push(Connection::new(TcpStream::connect(target).await?)?);
        }
        let warm = if kind == Kind::Stream { Kind::Whole(SMALL) } else { kind };
        let (warmed, open) = phase(open, warm, WARM_UP).await?;
        say("warm", warmed)?;
        let mut word = String::new();
        std::io::stdin().lock().read_line(&mut word)?;
        let (tally, _) = phase(open, kind, measured).await?;
        say("done", tally)
    })
}

#[expect(clippy::print_stdout, reason = "standard output is the way to the process that measures")]
fn say(what: &str, tally: Tally) -> Outcome<()> {
    println!("{what} {} {} {}", tally.answers, tally.failed, tally.millis);
    Ok(std::io::stdout().flush()?)
}

impl Tally {
    /// Reads what `run` has said.
    pub(crate) fn parse(line: &str) -> Outcome<Self> {
        let mut numbers = line.split_whitespace().skip(1).map(str::parse);
        let mut next = || numbers.next().ok_or("the load generator said too little");
        Ok(Self { answers: next()??, failed: next()??, millis: next()?? })
    }
}

/// Every connection asks until the time is up, and gets the answer that it then waits for.
async fn phase(
    connections: Vec<Connection>,
    kind: Kind,
    length: Duration,
) -> Outcome<(Tally, Vec<Connection>)> {
    let began = Instant::now();
    let (answers, failed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let count = u32::try_from(connections.len())?;
    let mut running = Vec::with_capacity(connections.len());
    for (number, mut connection) in (0..count).zip(connections) {
        let (answers, failed) = (Rc::clone(&answers), Rc::clone(&failed));
        let request = request(kind, number as usize, "");
        let delay = if kind == Kind::Stream { SPREAD * number / count } else { Duration::ZERO };
        running.push(tokio::task::spawn_local(async move {
            sleep(delay).await;
            while began.elapsed() < length {
                if !is_whole(&mut connection, kind, &request).await {
                    failed.set(failed.get() + 1);
                    return None;
                }
                answers.set(answers.get() + 1);
            }
            Some(connection)
        }));
    }
    let mut open = Vec::with_capacity(running.len());
    for connection in running {
        open.extend(connection.await?);
    }
    let millis = u64::try_from(began.elapsed().as_millis())?;
    Ok((Tally { answers: answers.get(), failed: failed.get(), millis }, open))
}

async fn is_whole(connection: &mut Connection, kind: Kind, request: &[u8]) -> bool {
    let expected = if kind == Kind::Stream { EVENTS } else { 1 };
    if connection.send(request).await.is_err() {
        return false;
    }
    match connection.message().await {
        Ok(Some((head, body))) => {
            status(&head) == Some(200) && memchr::memchr_iter(MARK, &body).count() == expected
        }
        Ok(None) | Err(_) => false,
    }
}
