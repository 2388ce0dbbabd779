//! A fake provider: answers at once, or streams events at a fixed pace. It parses nothing that it does not need.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::http1::{Connection, has};
use crate::process::{Outcome, announce, listener, on_one_thread};
use crate::traffic::{
    ECHO, SLOW, STREAM_HEAD, answer, message_writes, stream_writes, whole_answer, whole_message,
};

/// Between two events of a stream: 50 a second, a fast model.
const PACE: Duration = Duration::from_millis(20);
/// The same where thousands of streams are to be held rather than to be fast.
const PACE_SLOW: Duration = Duration::from_millis(400);

/// Made once.
struct Answers {
    whole: Bytes,
    stream: Vec<Bytes>,
    stream_with_usage: Vec<Bytes>,
    whole_message: Bytes,
    stream_of_message: Vec<Bytes>,
}

/// Serves until it is killed.
pub(crate) fn run() -> Outcome<()> {
    on_one_thread(async {
        let listener = listener().await?;
        announce(listener.local_addr()?)?;
        accept(listener).await
    })
}

/// Serves whoever connects.
pub(crate) async fn accept(listener: TcpListener) -> Outcome<()> {
    let answers = Rc::new(Answers {
        whole: whole_answer(),
        stream: stream_writes(false),
        stream_with_usage: stream_writes(true),
        whole_message: whole_message(),
        stream_of_message: message_writes(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::task::spawn_local(serve(stream, Rc::clone(&answers)));
    }
}

/// Errors end the connection; who waits for an answer counts it as failed.
async fn serve(stream: TcpStream, answers: Rc<Answers>) -> io::Result<()> {
    let mut connection = Connection::new(stream)?;
    while let Some((head, body)) = connection.message().await? {
        let is_message = head.starts_with(b"POST /v1/messages ");
        if memmem::find(&body, b"\"stream\":true").is_some() {
            let with_usage = memmem::find(&body, b"\"include_usage\":true").is_some();
            let writes = match (is_message, with_usage) {
                (true, _) => &answers.stream_of_message,
                (false, true) => &answers.stream_with_usage,
                (false, false) => &answers.stream,
            };
            stream_out(&mut connection, writes, if has(&head, SLOW) { PACE_SLOW } else { PACE }).await?;
        } else if has(&head, ECHO) {
            connection.send(&answer(&body)).await?;
        } else {
            connection.send(if is_message { &answers.whole_message } else { &answers.whole }).await?;
        }
    }
    Ok(())
}

async fn stream_out(connection: &mut Connection, writes: &[Bytes], pace: Duration) -> io::Result<()> {
    connection.send(STREAM_HEAD).await?;
    let mut due = Instant::now();
    for write in writes {
        due += pace;
        sleep_until(due).await;
        connection.send(write).await?;
    }
    Ok(())
}
