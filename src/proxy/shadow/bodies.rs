//! Prompts and answers of all requests, where the operator wants them kept: `records.bodies = "all"`.

use bytes::Bytes;

use crate::clock;
use crate::config::Bodies;
use crate::proxy::exchange::Exchange;
use crate::proxy::rewrite::Payload;
use crate::proxy::shadow::watch::Passed;
use crate::record::{Body, Record};

/// A request whose body and answer are kept when it has ended.
#[derive(Debug)]
pub(super) struct Keeping {
    /// As much of the body as is kept: the whole one is let go when it was sent.
    request: Bytes,
    cut: bool,
    most: usize,
}

impl Keeping {
    /// `None`: this one is not kept.
    pub(super) fn of(exchange: &Exchange, payload: &Payload) -> Option<Self> {
        let records = &exchange.snapshot.config.records;
        let wanted = records.bodies == Bodies::All && exchange.endpoint.answers();
        let Payload::Read(held, _) = payload else { return None };
        if !wanted || !exchange.gateway().recorder.is_on() {
            return None;
        }
        let most = usize::try_from(records.body_max).unwrap_or(usize::MAX);
        let begin = held.bytes.get(..most).unwrap_or(&held.bytes);
        Some(Self { request: Bytes::copy_from_slice(begin), cut: begin.len() < held.bytes.len(), most })
    }

    /// The request has ended, and this is what passed.
    pub(super) fn end(self, exchange: &Exchange, answer: &Passed) {
        let at_us = clock::unix_us();
        let recorder = &exchange.gateway().recorder;
        let keep = |part: &str, bytes: Bytes, cut: bool| {
            if !bytes.is_empty() || cut {
                let body = Body::of(exchange.id.as_str(), part.into(), at_us, bytes, self.most, cut);
                recorder.put(Record::Body(Box::new(body)));
            }
        };
        keep("request", self.request.clone(), self.cut);
        let (plain, cut) = answer.plain();
        keep("answer", plain, cut);
    }
}
