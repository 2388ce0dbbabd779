//! A stream said in the caller's words while it passes.

use bytes::Bytes;

use crate::proxy::relay::Relay;
use crate::wire::translate::{Broken, Memory, Stream};
use crate::wire::{StreamDecoder, Tap, is_identity};

/// One stream's way between two APIs.
#[derive(Debug)]
pub(super) struct Translation {
    stream: Stream,
    /// A provider may encode its answer though it was asked not to.
    decoder: Option<StreamDecoder>,
    /// Follows what the caller gets: where it stands when something of our own has to follow.
    callers: Tap,
    /// Nothing more can be read of the provider's stream.
    broken: bool,
}

impl Translation {
    /// At the start of a stream with this coding.
    pub(super) fn new(memory: Memory, encoding: Option<&str>) -> Self {
        let encoding = encoding.filter(|encoding| !is_identity(encoding));
        let decoder = encoding.and_then(StreamDecoder::new);
        let broken = encoding.is_some() && decoder.is_none();
        let callers = Tap::stream(memory.from());
        Self { stream: Stream::new(memory), decoder, callers, broken }
    }

    /// What a piece of the provider's stream becomes.
    pub(super) fn feed(&mut self, bytes: &Bytes) -> Bytes {
        let mut out = Vec::new();
        if !self.broken {
            self.broken = self.read(bytes, &mut out).is_err();
        }
        self.said(out)
    }

    fn read(&mut self, bytes: &Bytes, out: &mut Vec<u8>) -> Result<(), Broken> {
        let Some(decoder) = &mut self.decoder else { return self.stream.feed(bytes, out) };
        let (stream, mut fed) = (&mut self.stream, Ok(()));
        let decoded = decoder.feed(bytes, &mut |plain| {
            if fed.is_ok() {
                fed = stream.feed(plain, out);
            }
        });
        decoded.map_err(|_| Broken { why: "its content coding is broken" })?;
        fed
    }

    /// The provider's stream is over: what was still held, and whether the caller was told of an end.
    pub(super) fn end(&mut self) -> (Bytes, bool) {
        let mut out = Vec::new();
        let ended = !self.broken && self.stream.end(&mut out).unwrap_or(false);
        let whole = ended || self.stream.is_over();
        (self.said(out), whole)
    }

    /// The provider's stream cannot be read on.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Who has seen what the caller got.
    pub(super) fn callers(&self) -> &Tap {
        &self.callers
    }

    fn said(&mut self, out: Vec<u8>) -> Bytes {
        let said = Bytes::from(out);
        if !said.is_empty() {
            self.callers.feed(&said);
        }
        said
    }
}

impl Relay {
    /// A piece of an answer that is translated: what the caller gets of it, if that is anything yet.
    pub(super) fn translate(&mut self, bytes: &Bytes) -> Option<Bytes> {
        self.tap.feed(bytes);
        if let Some(guard) = &mut self.guard {
            self.cut = guard.judge(self.tap.facts());
        }
        self.note_first_token();
        let said = self.translation.as_mut()?.feed(bytes);
        if let Some(watched) = &mut self.exchange.watched {
            watched.see(&said);
        }
        (!said.is_empty()).then_some(said)
    }

    /// An event of our own may follow what the caller has got.
    pub(super) fn is_between_events(&self) -> bool {
        self.callers().between_events()
    }

    /// Who has seen what the caller gets.
    pub(super) fn callers(&self) -> &Tap {
        self.translation.as_ref().map_or(&self.tap, |translation| translation.callers())
    }

    /// The answer is over for its provider, and the caller was not told of an end: it must not take the silence for one. What was
    /// still held is said.
    pub(super) fn ends_untold(&mut self) -> bool {
        let Some(translation) = &mut self.translation else { return false };
        let (said, whole) = translation.end();
        if let Some(watched) = &mut self.exchange.watched {
            watched.see(&said);
        }
        if !said.is_empty() {
            self.ready.push_back(said);
        }
        !whole
    }
}
