//! An answer's event stream, back in the caller's words.
//!
//! Serves the relay. Bytes go in cut anywhere, whole events come out as soon as they can be said. What ends a stream is written only
//! where the provider ended its own.

use super::answer::{Ending, Event, Reads, Streams};
use super::form::form;
use super::{Broken, Memory, error, provider};
use crate::wire::Finish;
use crate::wire::sse::{EventRef, Seen, SseScanner, read_block};

/// A translation under way.
#[derive(Debug)]
pub struct Stream {
    scanner: SseScanner,
    /// An event that the scanner is too small for.
    large: Vec<u8>,
    inner: Option<Inner>,
    over: bool,
    broken: Option<Broken>,
}

#[derive(Debug)]
struct Inner {
    memory: Memory,
    reader: Box<dyn Reads>,
    writer: Box<dyn Streams>,
    stage: Stage,
}

/// How far the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    Begun,
    Finished,
}

/// The largest event that is read: a call that writes a file, in one piece.
const EVENT_MAX: usize = 32 * 1024 * 1024;

impl Stream {
    /// At the start of a stream.
    pub fn new(memory: Memory) -> Self {
        let reader = provider(memory.to).map(|provider| (provider.events)());
        let writer = form(memory.from).map(|form| (form.streams)(&memory));
        let inner =
            reader.zip(writer).map(|(reader, writer)| Inner { memory, reader, writer, stage: Stage::Before });
        Self { scanner: SseScanner::new(), large: Vec::new(), inner, over: false, broken: None }
    }

    /// The provider's next bytes. What the caller gets is appended to `out`: always whole events.
    ///
    /// # Errors
    /// When the stream cannot be read on. Nothing more comes of what is fed afterwards.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let Self { scanner, large, inner, over, broken } = self;
        let Some(inner) = inner else { return Err(UNKNOWN) };
        scanner.look(bytes, &mut |seen| {
            if *over || broken.is_some() {
                return;
            }
            let read = match seen {
                Seen::Event(event) => inner.event(event, over, out),
                Seen::Nothing => inner.say(&Event::Alive, out),
                Seen::Large(bytes) if large.len() + bytes.len() > EVENT_MAX => {
                    Err(Broken { why: "an event is too large" })
                }
                Seen::Large(bytes) => {
                    large.extend_from_slice(bytes);
                    Ok(())
                }
                Seen::LargeEnd => {
                    let block = std::mem::take(large);
                    let mut joined = Vec::new();
                    read_block(&block, &mut joined).map_or(Ok(()), |event| inner.event(event, over, out))
                }
            };
            *broken = read.err();
        });
        self.broken.map_or(Ok(()), Err)
    }

    /// The provider's body is over. Says whether the answer came to its end, or to an error that was told: where it did not, nothing
    /// was written that ends it, and the error event of the caller's API is to follow.
    ///
    /// # Errors
    /// As [`Stream::feed`], of an event that lacked only its last line.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<bool, Broken> {
        let Self { scanner, inner, over, broken, .. } = self;
        let Some(inner) = inner else { return Err(UNKNOWN) };
        scanner.finish(&mut |event| {
            if !*over && broken.is_none() {
                *broken = inner.event(event, over, out).err();
            }
        });
        self.broken.map_or(Ok(self.over), Err)
    }

    /// The end was written: by the provider's own terminal event, or by its error event. What is fed afterwards is ignored.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The `sequence_number` that the next event has, where the caller's API numbers its events: for
    /// [`error_event`](crate::wire::error_event).
    pub fn next_sequence(&self) -> u64 {
        self.inner.as_ref().map_or(0, |inner| inner.writer.next_sequence())
    }
}

const UNKNOWN: Broken = Broken { why: "the call has no counterpart" };

impl Inner {
    fn event(&mut self, event: EventRef<'_>, over: &mut bool, out: &mut Vec<u8>) -> Result<(), Broken> {
        if event.data.is_empty() {
            return Ok(());
        }
        let Self { memory, reader, writer, stage } = self;
        let mut written = Ok(());
        let read = reader.event(event, &mut |told| {
            if *over || written.is_err() {
                return;
            }
            match (&told, *stage) {
                (Event::Failed(failure), _) => {
                    *over = true;
                    out.extend_from_slice(&error::event(memory, failure, writer.next_sequence()));
                    return;
                }
                (Event::Begin(_), Stage::Before) => *stage = Stage::Begun,
                (Event::Alive | Event::Usage(_), _) => {}
                (_, Stage::Before) => {
                    written = Err(Broken { why: "an answer goes on that has not begun" });
                    return;
                }
                (Event::End, Stage::Begun) => {
                    let finish = Ending { finish: Finish::Stop, stop: None, why: None };
                    written = writer.write(&Event::Finish(finish), out);
                    *over = true;
                }
                (Event::End, Stage::Finished) => *over = true,
                // Some servers say again that it ended.
                (_, Stage::Finished) | (Event::Begin(_), _) => return,
                (Event::Finish(_), _) => *stage = Stage::Finished,
                _ => {}
            }
            written = written.and_then(|()| writer.write(&told, out));
        });
        read.and(written)
    }

    fn say(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.writer.write(event, out)
    }
}
