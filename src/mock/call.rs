//! One request to the simulated provider, and the answers that every kind of call can give.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};
use serde_json::Value;
use tokio::time::Instant;

use super::MockProvider;
use super::failure::Failure;
use super::held::{Held, Owner};
use super::script::Script;
use crate::config::MockModel;
use crate::wire::Dialect;

/// An answer: whole, or pieces that have their time.
pub(super) type Answered = Response<Either<Full<Bytes>, Script>>;

/// One request, as far as every kind of answer needs it.
pub(super) struct Call<'a> {
    /// Whom it is for.
    pub(super) provider: &'a MockProvider,
    /// Whose API it speaks.
    pub(super) dialect: Dialect,
    /// When it came.
    pub(super) begun: Instant,
    /// The same, since the epoch.
    pub(super) now: Duration,
    /// The tail of all ids that it makes.
    pub(super) id: String,
    /// What is held for callers.
    pub(super) held: &'a Held,
    /// Whose it is.
    pub(super) owner: Owner,
    /// `anthropic-beta`
    pub(super) beta: Option<&'a str>,
    /// The query of its path.
    pub(super) query: Option<&'a str>,
}

impl Call<'_> {
    /// The model of this name.
    pub(super) fn model(&self, name: &str) -> Result<&MockModel, Failure> {
        let found = self.provider.models.iter().find(|(known, _)| known == name);
        found.map(|(_, model)| model).ok_or_else(|| Failure::no_model(name))
    }

    /// A good answer.
    pub(super) fn json(&self, value: &Value) -> Answered {
        typed(Response::new(Either::Left(Full::from(value.to_string()))), "application/json")
    }

    /// A good answer that comes in pieces.
    pub(super) fn events(&self, script: Script) -> Answered {
        typed(Response::new(Either::Right(script)), "text/event-stream; charset=utf-8")
    }

    /// One or the other.
    pub(super) fn result(&self, result: Result<Value, Failure>) -> Answered {
        result.map_or_else(|failure| self.failure(&failure), |value| self.json(&value))
    }

    /// An error.
    pub(super) fn failure(&self, failure: &Failure) -> Answered {
        let mut answered = self.json(&failure.body(self.dialect, &format!("req_{}", self.id)));
        *answered.status_mut() = StatusCode::from_u16(failure.status).unwrap_or_default();
        if let Some(seconds) = failure.retry_after {
            answered.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answered
    }
}

fn typed(mut answered: Answered, content_type: &'static str) -> Answered {
    answered.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answered
}
