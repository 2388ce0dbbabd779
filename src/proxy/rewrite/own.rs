//! A request of dimmer's own for a model's answer. Serves judges; nothing of a caller's head is in it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};

use super::cross::ANTHROPIC_VERSION;
use super::head::{Going, Said, target_of};
use crate::clock;
use crate::proxy::body::RequestBody;
use crate::proxy::error::ProxyError;
use crate::proxy::identify::Place;
use crate::snapshot::{KeyWish, ModelPlan};
use crate::wire::{Edits, Endpoint, RequestView};

/// What dimmer asks of its own accord.
#[derive(Debug)]
pub(crate) struct OwnRequest<'a> {
    /// Who is asked; its `fit` is applied.
    pub(crate) plan: &'a ModelPlan,
    /// In which API.
    pub(crate) endpoint: Endpoint,
    /// How many gateways the request has passed that led to it.
    pub(crate) hops: u8,
}

impl OwnRequest<'_> {
    /// The request with this body.
    pub(crate) fn with(&self, body: Vec<u8>) -> Result<Request<RequestBody>, ProxyError> {
        let Self { plan, endpoint, hops } = *self;
        let provider = &plan.provider;
        let path = if endpoint == Endpoint::Messages { "/messages" } else { "/chat/completions" };
        let place = Place { endpoint, rest: 0..path.len(), stored: None };
        let in_path = provider.version_query.is_some().then_some(plan.model.upstream_model.as_str());
        let target = target_of(&Uri::from_static(path), &place, provider, in_path)?;
        let body = Bytes::from(body);
        let view = RequestView::read(endpoint, &body, &[]).map_err(ProxyError::bad_json)?;
        let mut edits = Edits::new(&view, &body);
        edits.fit(&plan.model.fit, &mut Vec::new());
        let frames = edits.frames();
        let key = provider.keys.choose(KeyWish::Sticky(None), clock::uptime);
        let key = key.and_then(|place| provider.keys.get(place));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if endpoint == Endpoint::Messages {
            headers.insert("anthropic-version", ANTHROPIC_VERSION);
        }
        Going {
            context: &[],
            host: &provider.host,
            key: key.map(|key| (&key.header, &key.value)),
            callers: false,
            hops,
            body: Some(Said { length: frames.len, decoded: false }),
        }
        .apply(&mut headers);
        let mut request = Request::new(RequestBody::held(frames));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        Ok(request)
    }
}
