//! The load: so many connections, each asking again as soon as it has its answer (a closed loop). Checks that every answer
//! is whole.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::http1::{Connection, status};
use crate::process::{Outcome, on_one_thread};
use crate::traffic::{EVENTS, Kind, MARK, SLOW, SMALL, request};

/// Long enough to open every connection and to fill every buffer.
const WARM_UP: Duration = Duration::from_millis(300);

/// Streams begin spread over the time that one takes, so that their events do not come all at once.
const SPREAD: Duration = Duration::from_secs(1);
/// More streams than this are to be slow ones: what is looked at is whether they are held, and with how much memory.
const MANY: u32 = 2000;
const SPREAD_SLOW: Duration = Duration::from_secs(8);

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
        let (warmed, open) = phase(open, warm, Length::Time(WARM_UP)).await?;
        say("warm", warmed)?;
        let mut word = String::new();
        std::io::stdin().lock().read_line(&mut word)?;
        let (tally, _) = phase(open, kind, Length::Time(measured)).await?;
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

/// A request each millisecond, whether or not the ones before it have been answered (an open loop); says the middle latency
/// and that of the slowest hundredth, in microseconds. A request that finds no connection free waits, and that counts.
pub(crate) fn paced(target: SocketAddr, measured: Duration) -> Outcome<()> {
    on_one_thread(async move {
        let queue = Rc::new(Due::default());
        let mut running = Vec::with_capacity(PACED_CONNECTIONS);
        for number in 0..PACED_CONNECTIONS {
            let connection = Connection::new(TcpStream::connect(target).await?)?;
            running.push(tokio::task::spawn_local(answer_due(connection, number, Rc::clone(&queue))));
        }
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        let began = Instant::now();
        while began.elapsed() < measured {
            tick.tick().await;
            queue.since.borrow_mut().push_back(Instant::now());
            queue.come.notify_one();
        }
        queue.over.set(true);
        queue.come.notify_waiters();
        let mut taken = Vec::new();
        for one in running {
            taken.extend(one.await??);
        }
        taken.sort_unstable();
        let at = |share: usize| taken.get(taken.len() * share / 100).copied().unwrap_or_default();
        say("paced", Tally { answers: at(50), failed: at(99), millis: taken.len() as u64 })
    })
}

/// As many as a busy app holds open; a request that is late finds others free.
const PACED_CONNECTIONS: usize = 64;

/// Requests whose time has come.
#[derive(Default)]
struct Due {
    since: RefCell<VecDeque<Instant>>,
    come: Notify,
    over: Cell<bool>,
}

/// Sends what is due over one connection; how long each took from the moment when it was due.
async fn answer_due(mut connection: Connection, number: usize, queue: Rc<Due>) -> Outcome<Vec<u64>> {
    let kind = Kind::Whole(SMALL);
    let request = request(kind, number, "");
    let mut taken = Vec::new();
    loop {
        let due = queue.since.borrow_mut().pop_front();
        match due {
            Some(since) if is_whole(&mut connection, kind, &request).await => {
                taken.push(u64::try_from(since.elapsed().as_micros())?);
            }
            Some(_) => return Err("an answer was not whole".into()),
            None if queue.over.get() => return Ok(taken),
            None => queue.come.notified().await,
        }
    }
}

/// Exactly so many requests over so many connections, for who counts and does not clock.
pub(crate) async fn exactly(
    target: SocketAddr,
    kind: Kind,
    connections: usize,
    requests: u64,
) -> Outcome<Tally> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::new(TcpStream::connect(target).await?)?);
    }
    Ok(phase(open, kind, Length::Requests(requests)).await?.0)
}

/// When a phase is over.
#[derive(Clone, Copy, Debug)]
enum Length {
    Time(Duration),
    Requests(u64),
}

/// Every connection asks until it is over, and gets the answer that it then waits for.
async fn phase(
    connections: Vec<Connection>,
    kind: Kind,
    length: Length,
) -> Outcome<(Tally, Vec<Connection>)> {
    let began = Instant::now();
    let asked = Rc::new(Cell::new(0));
    let more = move || match length {
        Length::Time(length) => began.elapsed() < length,
        Length::Requests(requests) => asked.replace(asked.get() + 1) < requests,
    };
    let (answers, failed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let count = u32::try_from(connections.len())?;
    let mut running = Vec::with_capacity(connections.len());
    for (number, mut connection) in (0..count).zip(connections) {
        let (answers, failed) = (Rc::clone(&answers), Rc::clone(&failed));
        let slow = kind == Kind::Stream && count > MANY;
        let request = request(kind, number as usize, if slow { SLOW } else { "" });
        let more = more.clone();
        let spread = if slow { SPREAD_SLOW } else { SPREAD };
        let delay = if kind == Kind::Stream { spread * number / count } else { Duration::ZERO };
        running.push(tokio::task::spawn_local(async move {
            sleep(delay).await;
            while more() {
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
