//! The candidate's answer, read as it comes and shown to nobody.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};

use crate::clock;
use crate::proxy::body::RequestBody;
use crate::proxy::dispatch::{Answered, Apart, Unanswered};
use crate::proxy::shadow::watch::Passed;
use crate::record::ShadowOutcome;
use crate::snapshot::ProviderPlan;
use crate::wire::{Endpoint, Facts, Tap};

/// More of an error's body says nothing more.
const ERROR_MAX: usize = 16 * 1024;

/// What is known of it so far; what was read stays when the time is over.
#[derive(Debug)]
pub(super) struct Answer {
    /// Which call was made: the candidate may have been asked through another API than the caller's model.
    pub(super) endpoint: Endpoint,
    began: Instant,
    status: Option<StatusCode>,
    tap: Option<Tap>,
    events: bool,
    error: Vec<u8>,
    /// When the first piece of content came.
    pub(super) first_token: Option<Duration>,
    /// Its bytes, to be compared.
    pub(super) passed: Passed,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// `ok`, `error` or `timeout`.
    pub(super) outcome: ShadowOutcome,
    /// Why it did not succeed.
    pub(super) cause: String,
    /// From when it was sent.
    pub(super) took: Duration,
    /// Not a byte of the copy was written: it cost nothing.
    pub(super) unsent: bool,
    /// What was learned from the answer.
    pub(super) facts: Facts,
}

impl Answer {
    /// The copy is sent now.
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            began: clock::now(),
            status: None,
            tap: None,
            events: false,
            error: Vec::new(),
            first_token: None,
            passed: Passed::default(),
        }
    }

    /// Sends the copy and reads the answer to its end, within `limit`.
    pub(super) async fn take(
        mut self,
        apart: &Apart,
        provider: &ProviderPlan,
        request: Request<RequestBody>,
        limit: Duration,
    ) -> (Ended, Self) {
        let result = tokio::time::timeout(limit, self.read(apart, provider, request)).await;
        let took = clock::now().saturating_duration_since(self.began);
        let mut ended = self.judge(result);
        ended.took = took;
        (ended, self)
    }

    async fn read(
        &mut self,
        apart: &Apart,
        provider: &ProviderPlan,
        request: Request<RequestBody>,
    ) -> Result<(), Unanswered> {
        let mut answered = apart.send(provider, request).await?;
        self.begins(&answered);
        while let Some(piece) = apart.next(&mut answered).await? {
            self.see(&piece);
        }
        if let Some(tap) = &mut self.tap {
            tap.finish();
        }
        apart.give_back(answered);
        Ok(())
    }

    fn begins(&mut self, answered: &Answered) {
        let status = answered.response.status();
        let headers = answered.response.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        self.events = text(header::CONTENT_TYPE).is_some_and(is_event_stream);
        let encoding = text(header::CONTENT_ENCODING);
        self.status = Some(status);
        if status.is_success() {
            let tap = if self.events { Tap::stream(self.endpoint) } else { Tap::whole(self.endpoint) };
            self.tap = Some(match encoding {
                Some(encoding) => tap.decoding(encoding),
                None => tap,
            });
        }
        self.passed =
            Passed { events: self.events, encoding: encoding.map(str::to_owned), ..Passed::default() };
    }

    fn see(&mut self, piece: &Bytes) {
        let Some(tap) = &mut self.tap else {
            let room = ERROR_MAX.saturating_sub(self.error.len());
            self.error.extend_from_slice(piece.get(..room).unwrap_or(piece));
            return;
        };
        tap.feed(piece);
        if self.events && self.first_token.is_none() && tap.facts().content_started {
            self.first_token = Some(clock::now().saturating_duration_since(self.began));
        }
        self.passed.see(piece);
    }

    fn judge(&mut self, read: Result<Result<(), Unanswered>, tokio::time::error::Elapsed>) -> Ended {
        let facts = self.tap.as_mut().map(Tap::take_facts).unwrap_or_default();
        let error = |cause: String| (ShadowOutcome::Error, cause);
        let mut unsent = false;
        let (outcome, cause) = match read {
            Err(_) => (ShadowOutcome::Timeout, String::new()),
            Ok(Err(Unanswered::Unsent(word))) => {
                unsent = true;
                error(word.to_owned())
            }
            Ok(Err(Unanswered::Sent(word))) => error(word.to_owned()),
            Ok(Ok(())) => match self.status {
                Some(status) if !status.is_success() => error(self.refusal(status)),
                _ if facts.error => error("error_event".to_owned()),
                _ if self.events && !facts.complete && !facts.blind => error("cut".to_owned()),
                _ => (ShadowOutcome::Ok, String::new()),
            },
        };
        Ended { outcome, cause, took: Duration::ZERO, unsent, facts }
    }

    /// `429`, or `400 temperature` where the provider names the field that it does not take.
    fn refusal(&self, status: StatusCode) -> String {
        let field = (status == StatusCode::BAD_REQUEST).then(|| field(&self.error)).flatten();
        match field {
            Some(field) => format!("{} {field}", status.as_u16()),
            None => status.as_u16().to_string(),
        }
    }

    /// The status, if there was an answer.
    pub(super) fn status(&self) -> Option<u16> {
        self.status.map(|status| status.as_u16())
    }

    /// Whether the provider refused the copy before it did any work: such an answer costs nothing.
    pub(super) fn is_refused(&self) -> bool {
        self.status.is_some_and(|status| status.is_client_error())
    }
}

fn is_event_stream(kind: &str) -> bool {
    const EVENT_STREAM: &str = "text/event-stream";
    kind.get(..EVENT_STREAM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM))
}

/// The top-level field that an error names: OpenAI's `param`, or what stands before the colon of Anthropic's message. Only what
/// could be a field's name, so that nothing of a request gets into a record that way.
fn field(error: &[u8]) -> Option<String> {
    let error: serde_json::Value = serde_json::from_slice(error).ok()?;
    let error = error.get("error")?;
    let param = error.get("param").and_then(serde_json::Value::as_str);
    let before_colon = || error.get("message")?.as_str()?.split_once(':').map(|(field, _)| field);
    let named = param.or_else(before_colon)?;
    let field = named.split(['.', '[']).next()?.trim_matches('`');
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!field.is_empty() && field.len() <= FIELD_MAX && field.chars().all(fine)).then(|| field.to_owned())
}

/// The longest name of a field that an API has, several times over.
const FIELD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn an_error_names_the_field_that_it_is_about() {
        let check = |error: &str, want: Option<&str>| {
            assert_eq!(field(error.as_bytes()).as_deref(), want, "{error}");
        };
        check(r#"{"error":{"message":"x","param":"temperature"}}"#, Some("temperature"));
        check(r#"{"error":{"message":"x","param":"messages[0].content"}}"#, Some("messages"));
        check(r#"{"error":{"message":"x","param":null}}"#, None);
        let anthropic = |message: &str| {
            format!(r#"{{"type":"error","error":{{"type":"invalid_request_error","message":"{message}"}}}}"#)
        };
        check(&anthropic("max_tokens: 100000 > 64000"), Some("max_tokens"));
        check(&anthropic("messages.0.content.0: Invalid `signature` in `thinking` block"), Some("messages"));
        check(&anthropic("`temperature`: not here"), Some("temperature"));
        check(&anthropic("You said: hello"), None);
        check(&anthropic("no colon"), None);
        check("<html>", None);
    }
}
