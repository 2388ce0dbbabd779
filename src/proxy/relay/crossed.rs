//! A whole answer of another dialect, and its head.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};

use crate::clock;
use crate::observe::Outcome;
use crate::proxy::body::AnswerBody;
use crate::proxy::dispatch::Answered;
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::relay::told::Told;
use crate::proxy::{fields, pins, respond};
use crate::wire::translate::{self, Memory};
use crate::wire::{Dialect, Endpoint, ErrorCode, Finish, Tap, decode_body, is_identity};

/// Makes the caller's answer of a provider's that is there to its end.
pub(super) fn whole(
    mut exchange: Box<Exchange>,
    answered: Answered,
    memory: &Memory,
) -> Response<AnswerBody> {
    let Answered { response, upstream, at, first, .. } = answered;
    let (head, _) = response.into_parts();
    let told = Told::of(&head.headers);
    if told.framed {
        exchange.worker.pool.borrow_mut().put(upstream, at);
    }
    let pieces: Vec<Bytes> = first.into();
    let body = match pieces.as_slice() {
        [one] => one.clone(),
        many => many.concat().into(),
    };
    let success = head.status.is_success();
    exchange.status = Some(head.status.as_u16());
    exchange.kept = None;
    super::note_overhead(&exchange, at);
    let plain = match plain(&exchange, &body, told.encoding.as_deref()) {
        Ok(plain) => plain,
        Err(error) => return respond::error(exchange, &error),
    };
    let (status, text) = match success {
        true => match succeeded(&mut exchange, &plain, memory) {
            Ok(text) => (head.status, text),
            Err(error) => return respond::error(exchange, &error),
        },
        false => {
            let status = head.status.as_u16();
            exchange.outcome = Some(match status {
                429 | 500.. => Outcome::UpstreamError,
                _ => Outcome::CallerError,
            });
            let (status, text) = translate::error(memory, status, &plain);
            (StatusCode::from_u16(status).unwrap_or(head.status), text)
        }
    };
    let mut kept = head.headers;
    fields::remove(&mut kept, |_| false);
    headers(&mut kept, exchange.endpoint);
    respond::no_more_tries(&exchange, status, &mut kept);
    respond::translated(exchange, status, kept, text.into())
}

/// What was learned of the answer, and the answer in the caller's words.
fn succeeded(exchange: &mut Exchange, plain: &Bytes, memory: &Memory) -> Result<Vec<u8>, ProxyError> {
    let mut tap = super::tap(exchange, true, false, None);
    tap.feed(plain);
    tap.finish();
    let mut facts = tap.take_facts();
    let answer = translate::answer(memory, plain);
    if let Ok(text) = &answer {
        let mut callers = Tap::whole(exchange.endpoint);
        callers.feed(&Bytes::copy_from_slice(text));
        callers.finish();
        // The one that the caller knows it by.
        facts.answer_id = callers.take_facts().answer_id;
    }
    exchange.outcome = Some(match () {
        () if facts.error => Outcome::UpstreamError,
        () if facts.refused || facts.finish == Some(Finish::Refusal) => Outcome::Refused,
        () => Outcome::Ok,
    });
    exchange.facts = (!facts.blind).then_some(facts);
    let text = answer.map_err(|unreadable| unreadable_answer(exchange).detail(unreadable.why))?;
    if exchange.conversation.is_some() {
        pins::answered(exchange);
    }
    exchange.ended = Some(clock::now());
    Ok(text)
}

/// The answer without its coding: a provider may use one though it was asked not to.
fn plain(exchange: &Exchange, body: &Bytes, encoding: Option<&str>) -> Result<Bytes, ProxyError> {
    let Some(encoding) = encoding.filter(|encoding| !is_identity(encoding)) else { return Ok(body.clone()) };
    let limit = exchange.snapshot.config.server.limits.body;
    let plain = decode_body(encoding, body, limit);
    plain.map(Bytes::from).map_err(|_| unreadable_answer(exchange).detail("its content coding"))
}

fn unreadable_answer(exchange: &Exchange) -> ProxyError {
    let name = exchange.provider.as_ref().map_or("", |plan| plan.provider.name.as_str());
    let api = exchange.spoken.as_str();
    let message = format!(
        "the provider `{name}` sent an answer that is none of its API ({api}), so that it cannot be translated"
    );
    ProxyError::upstream(ErrorCode::UpstreamProtocol, Phase::Await, message)
}

/// What a head says of another dialect's body stays behind; the answer's id at its provider gets the name that the caller's SDK looks for.
pub(super) fn headers(headers: &mut HeaderMap, endpoint: Endpoint) {
    let foreign: Vec<HeaderName> =
        headers.keys().filter(|name| stays_behind(name.as_str())).cloned().collect();
    for name in &foreign {
        headers.remove(name);
    }
    let (own, other) = match endpoint.dialect() {
        Dialect::OpenAi => (OPENAI_ID, ANTHROPIC_ID),
        Dialect::Anthropic => (ANTHROPIC_ID, OPENAI_ID),
    };
    if let Some(id) = headers.remove(other) {
        headers.entry(own).or_insert(id);
    }
}

/// Limits of a key that is not the caller's, and what is said of bytes that it does not get.
fn stays_behind(name: &str) -> bool {
    let of_dialect = ["anthropic-", "openai-", "x-ratelimit-"];
    of_dialect.iter().any(|prefix| name.starts_with(prefix))
        || name == header::CONTENT_LENGTH.as_str()
        || name == header::CONTENT_ENCODING.as_str()
}

const OPENAI_ID: HeaderName = HeaderName::from_static("x-request-id");
const ANTHROPIC_ID: HeaderName = HeaderName::from_static("request-id");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_head_says_nothing_of_the_other_dialect() {
        let fields = [
            ("content-type", "application/json"),
            ("content-length", "7"),
            ("content-encoding", "gzip"),
            ("request-id", "req_1"),
            ("anthropic-ratelimit-tokens-limit", "9"),
            ("anthropic-organization-id", "o"),
            ("retry-after", "3"),
        ];
        let mut head: HeaderMap = fields
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        headers(&mut head, Endpoint::Responses);
        let mut left: Vec<String> = head
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
            .collect();
        left.sort();
        assert_eq!(left, ["content-type: application/json", "retry-after: 3", "x-request-id: req_1"]);
        headers(&mut head, Endpoint::Messages);
        assert_eq!(head.get("request-id").map(HeaderValue::as_bytes), Some(b"req_1".as_slice()));
    }
}
