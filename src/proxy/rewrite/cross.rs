//! A request written anew for a provider of another dialect: the decision was applied in the caller's own words, and what comes out
//! is translated; then what only the provider's API knows is written into it.
//!
//! Serves rewrite and shadows. Of the caller's head nothing goes along that means something in its own dialect alone.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use smallvec::SmallVec;

use super::head::target_of;
use crate::clock;
use crate::config::{ProviderKind, known_target, translation_target};
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::identify::Place;
use crate::snapshot::{ModelPlan, ProviderPlan};
use crate::wire::translate::{self, Memory, Refused, Stamp, Target, Translated};
use crate::wire::{Edits, Endpoint, ErrorCode, Fit, Frames, ParamEdit, RequestView};

/// The version of the Messages API in which translated requests are written.
pub(super) const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Whom a request is translated for.
#[derive(Debug)]
pub(super) struct Foreign<'a> {
    /// In which call it was asked.
    pub(super) from: Endpoint,
    /// In which call it is to be asked.
    pub(super) to: Endpoint,
    pub(super) provider: &'a ProviderPlan,
    /// The declared model; `None`: one that `[models]` does not know.
    pub(super) model: Option<&'a ModelPlan>,
    /// The app asked for it itself.
    pub(super) as_sent: bool,
    /// Parameters that apply.
    pub(super) params: &'a [ParamEdit],
    /// The request's id: what an answer gets that has none.
    pub(super) id: &'a str,
    /// See [`RequestView::read`].
    pub(super) touched: &'a [String],
}

/// A translated request.
#[derive(Debug)]
pub(super) struct Crossed {
    pub(super) frames: Frames,
    pub(super) memory: Memory,
}

/// So many names that came with the request are told.
const OWN_TOLD: usize = 16;

/// What does not come along.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// Names of the configuration and of the dialects' tables.
    pub(crate) known: Vec<String>,
    /// Names that came with the request: said to its caller, and counted as `other`.
    pub(crate) own: Vec<String>,
}

impl Dropped {
    /// All of them, for the answer's header; `None`: nothing was lost. A request may bring more than a header can name.
    pub(crate) fn names(&self) -> Option<String> {
        let names: SmallVec<[&str; 8]> =
            self.known.iter().chain(self.own.iter().take(OWN_TOLD)).map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Notes names of fields that were lost in translation.
    fn lose(&mut self, names: Vec<Cow<'static, str>>) {
        for name in names {
            let all = match &name {
                Cow::Borrowed(_) => &mut self.known,
                Cow::Owned(_) => &mut self.own,
            };
            if !all.iter().any(|one| *one == name) {
                all.push(name.into_owned());
            }
        }
    }
}

impl Foreign<'_> {
    /// Parameters that have a place in the caller's API are written before the request is translated, and cross as any field does.
    pub(super) fn params_before(&self) -> SmallVec<[ParamEdit; 2]> {
        self.params.iter().filter(|edit| self.is_before(edit)).cloned().collect()
    }

    fn is_before(&self, edit: &ParamEdit) -> bool {
        edit.has_place(self.from) || !edit.has_place(self.to)
    }

    /// Translates the body, to which everything was applied that is said in the caller's words.
    pub(super) fn write(&self, body: Bytes, dropped: &mut Dropped) -> Result<Crossed, ProxyError> {
        let Translated { body, dropped: lost, memory } = self.translate(body, dropped)?;
        dropped.lose(lost);
        let body = Bytes::from(body);
        let fit = self.model.map(|plan| &plan.model.fit).filter(|fit| **fit != Fit::default());
        let after: SmallVec<[ParamEdit; 2]> =
            self.params.iter().filter(|edit| !self.is_before(edit)).cloned().collect();
        if fit.is_none() && after.is_empty() {
            let len = body.len() as u64;
            return Ok(Crossed { frames: Frames { parts: vec![body], len }, memory });
        }
        let view = RequestView::read(self.to, &body, self.touched).map_err(ProxyError::bad_json)?;
        let mut edits = Edits::new(&view, &body);
        edits.params(&after, false, &mut dropped.known);
        if let Some(fit) = fit {
            edits.fit(fit, &mut dropped.known);
        }
        Ok(Crossed { frames: edits.frames(), memory })
    }

    /// What cannot be said is left out where the model's `fit` drops it.
    fn translate(&self, mut body: Bytes, dropped: &mut Dropped) -> Result<Translated, ProxyError> {
        let target = self.target(&body);
        let stamp = Stamp { id: self.id, created_s: clock::unix_seconds() };
        loop {
            let refused = match translate::request(self.from, &body, &target, &stamp) {
                Ok(translated) => return Ok(translated),
                Err(refused) => refused,
            };
            match self.without(&refused.field, &body)? {
                Some(rest) => {
                    dropped.known.push(refused.field.into_owned());
                    body = rest;
                }
                None => return Err(self.cannot(&refused)),
            }
        }
    }

    fn target(&self, body: &[u8]) -> Target {
        match self.model {
            Some(plan) => translation_target(&plan.model, self.to),
            None => {
                let view = RequestView::read(self.from, body, &[]).ok();
                let name = view.and_then(|view| view.model(body).map(Cow::into_owned)).unwrap_or_default();
                known_target(self.provider.provider.kind, &name, self.to)
            }
        }
    }

    /// The body without this top-level field; `None`: nobody said that it may go, or it has gone already.
    fn without(&self, field: &str, body: &Bytes) -> Result<Option<Bytes>, ProxyError> {
        let fit = self.model.map(|plan| &plan.model.fit);
        let Some(name) = fit.and_then(|fit| fit.drop.iter().find(|name| **name == field)) else {
            return Ok(None);
        };
        let view = RequestView::read(self.from, body, self.touched).map_err(ProxyError::bad_json)?;
        let mut edits = Edits::new(&view, body);
        let mut gone = Vec::new();
        edits.fit(&Fit { drop: vec![name.clone()], ..Fit::default() }, &mut gone);
        Ok((!gone.is_empty()).then(|| edits.frames().concat()))
    }

    /// As the caller is told. Who chose the model is at fault: the app, or the operator.
    fn cannot(&self, refused: &Refused) -> ProxyError {
        let blame = if self.as_sent { ProxyError::caller } else { ProxyError::internal };
        let (field, why) = (&refused.field, &refused.why);
        let dialect = self.to.dialect().as_str();
        let whom = match self.model {
            Some(plan) => format!("the model `{}`", plan.model.name),
            None => format!("the provider `{}`", self.provider.provider.name),
        };
        let message = format!(
            "`{field}` cannot be translated for {whom}, which is asked through {dialect}'s API: {why}"
        );
        // The SDKs go on without a thread when they are told so.
        let thread = self.from == Endpoint::Messages && field.split('.').next() == Some("thread");
        let code = if thread { ErrorCode::ThreadUnsupported } else { refused.code };
        blame(code, Phase::Rewrite, message).param(refused.field.clone())
    }
}

/// In which call the provider is asked. What dimmer knows nothing of goes on as it came.
pub(super) fn spoken(endpoint: Endpoint, provider: &ProviderPlan) -> Result<Endpoint, ProxyError> {
    match provider.provider.kind.asked_in(endpoint) {
        Some(spoken) => Ok(spoken),
        None if endpoint.generation() => Err(unspoken(endpoint, provider)),
        None => Ok(endpoint),
    }
}

/// Nothing of the provider's API means what the call asks.
fn unspoken(endpoint: Endpoint, provider: &ProviderPlan) -> ProxyError {
    let (name, call) = (&provider.provider.name, endpoint.as_str());
    if endpoint.counts() {
        // Agents estimate for themselves then; a count by another model's tokenizer would be a wrong one.
        let message = format!(
            "what serves this route is at the provider `{name}`, whose API has no call like `{call}`; estimate the tokens yourself"
        );
        return ProxyError::internal(ErrorCode::NothingToCount, Phase::Rewrite, message);
    }
    let message = format!(
        "the provider `{name}` speaks another API, and `{call}` cannot be translated; call it in its own"
    );
    ProxyError::internal(ErrorCode::CannotTranslate, Phase::Rewrite, message).param("model")
}

/// Where a translated request goes. The query is of the caller's API, and stays behind.
pub(super) fn target(to: Endpoint, provider: &ProviderPlan, model: Option<&str>) -> Result<Uri, ProxyError> {
    let path = translate::path(to).unwrap_or_default();
    let place = Place { endpoint: to, rest: 0..path.len(), stored: None };
    target_of(&Uri::from_static(path), &place, provider, model)
}

/// Takes out what is of the caller's dialect, and puts in what the target's wants. A beta that was asked for by header is lost with a
/// signal; what the SDKs always send is none.
pub(super) fn headers(headers: &mut HeaderMap, to: Endpoint, dropped: &mut Vec<String>) {
    let of_dialect: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| is_of_a_dialect(name.as_str())).cloned().collect();
    for name in &of_dialect {
        headers.remove(name);
        if BETAS.contains(&name.as_str()) {
            dropped.push(name.as_str().to_owned());
        }
    }
    if to == Endpoint::Messages {
        headers.insert(VERSION, ANTHROPIC_VERSION);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const BETAS: [&str; 2] = ["anthropic-beta", "openai-beta"];

fn is_of_a_dialect(name: &str) -> bool {
    name.starts_with("anthropic-") || name.starts_with("openai-")
}

/// The caller's own key, in the form in which the provider's API takes one.
pub(super) fn callers_key(headers: &HeaderMap, kind: ProviderKind) -> Option<(HeaderName, HeaderValue)> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer =
        text(&header::AUTHORIZATION).and_then(|value| value.split_once(' ')).map(|(_, key)| key.trim());
    let key = bearer.or_else(|| text(&X_API_KEY)).or_else(|| text(&API_KEY))?;
    let (name, value) = match kind {
        ProviderKind::Anthropic => (X_API_KEY, HeaderValue::from_str(key)),
        ProviderKind::AzureOpenAi => (API_KEY, HeaderValue::from_str(key)),
        ProviderKind::OpenAi | ProviderKind::Mock => {
            (header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}")))
        }
    };
    let mut value = value.ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The key, in the place of whatever the walk over the head has left of one.
pub(super) fn put_key(headers: &mut HeaderMap, key: Option<(HeaderName, HeaderValue)>) {
    for name in [header::AUTHORIZATION, X_API_KEY, API_KEY] {
        headers.remove(name);
    }
    if let Some((name, value)) = key {
        headers.insert(name, value);
    }
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_is_of_one_dialect_stays_behind() {
        let mut messages = head(&[
            ("anthropic-version", "2026-10-21"),
            ("anthropic-beta", "effort-2025-11-24"),
            ("anthropic-dangerous-direct-browser-access", "true"),
            ("content-type", "application/json; charset=utf-8"),
            ("user-agent", "x"),
        ]);
        let mut dropped = Vec::new();
        headers(&mut messages, Endpoint::Chat, &mut dropped);
        assert_eq!(messages, head(&[("user-agent", "x"), ("content-type", "application/json")]));
        assert_eq!(dropped, ["anthropic-beta"]);
        let mut chat = head(&[("openai-beta", "x"), ("accept", "*/*")]);
        headers(&mut chat, Endpoint::Messages, &mut dropped);
        let expected =
            [("accept", "*/*"), ("anthropic-version", "2023-06-01"), ("content-type", "application/json")];
        assert_eq!(chat, head(&expected));
    }

    #[test]
    fn the_callers_key_takes_the_targets_form() {
        let check = |name: &'static str, value: &'static str, kind: ProviderKind, want: (&str, &str)| {
            let found = callers_key(&head(&[(name, value)]), kind);
            let found =
                found.as_ref().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
            assert_eq!(found, Some(want));
        };
        check("authorization", "Bearer k", ProviderKind::Anthropic, ("x-api-key", "k"));
        check("x-api-key", "k", ProviderKind::Anthropic, ("x-api-key", "k"));
        check("x-api-key", "k", ProviderKind::OpenAi, ("authorization", "Bearer k"));
        check("authorization", "Bearer k", ProviderKind::AzureOpenAi, ("api-key", "k"));
        check("api-key", "k", ProviderKind::OpenAi, ("authorization", "Bearer k"));
        assert_eq!(callers_key(&head(&[("cookie", "k")]), ProviderKind::OpenAi), None);
    }
}
