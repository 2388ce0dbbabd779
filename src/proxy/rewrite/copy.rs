//! A copy of a request, for a candidate: what the caller's provider gets, but for what the candidate's shadow names.
//!
//! Serves shadows. Noted on the request's own thread by reference; written out on the shadows' thread. What is copied says that
//! nobody will ask for it again: it is not kept by its provider.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use smallvec::SmallVec;

use super::cross::{self, Dropped, Foreign};
use super::head::{Going, Said, target_of};
use super::refuses_sampling;
use crate::config::ForeignReasoning;
use crate::proxy::body::RequestBody;
use crate::proxy::decide::{Answerer, Decision};
use crate::proxy::error::ProxyError;
use crate::proxy::exchange::Exchange;
use crate::proxy::identify::{Held, Identified, Place};
use crate::proxy::worker::RequestId;
use crate::snapshot::{ModelPlan, ProviderKey, ProviderPlan, View};
use crate::wire::{Edits, Endpoint, Frames, Param, ParamEdit, PromptMode, RequestView};

/// A request as it came, and what was decided of it for its caller.
#[derive(Debug)]
pub(crate) struct Original {
    /// What it sees.
    pub(crate) snapshot: Arc<View>,
    /// Its id.
    id: RequestId,
    /// Which call it is.
    pub(crate) endpoint: Endpoint,
    /// A stream was asked for.
    pub(crate) stream: bool,
    /// Its body, without a coding.
    pub(crate) body: Bytes,
    /// Where things stand in it.
    pub(crate) view: RequestView,
    decoded: bool,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    place: Place,
    hops: u8,
    refuses_sampling: bool,
    prompt: Option<(Bytes, PromptMode)>,
    params: SmallVec<[ParamEdit; 2]>,
    denied_tools: Option<Arc<[Box<str>]>>,
    strips: bool,
    /// The route takes reasoning out that another model has signed.
    strips_foreign: bool,
    /// The model that was chosen for the caller.
    chosen: Option<Arc<ModelPlan>>,
}

/// Who gets the copy.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Where it is.
    pub(crate) provider: Arc<ProviderPlan>,
    /// The declared model; `None`: the one that the request names, which `[models]` does not know.
    pub(crate) model: Option<Arc<ModelPlan>>,
    /// The request's own choice.
    as_sent: bool,
}

/// What a copy says otherwise.
#[derive(Debug)]
pub(crate) struct Changes {
    /// The system prompt, as escaped JSON text, and how it is written.
    pub(crate) prompt: Option<(Bytes, PromptMode)>,
    /// All parameters that are written.
    pub(crate) params: SmallVec<[ParamEdit; 2]>,
}

impl Candidate {
    /// `model`, or whoever was chosen for the caller. `None`: nobody was.
    pub(crate) fn of(model: Option<&Arc<ModelPlan>>, decision: &Decision) -> Option<Self> {
        if let Some(model) = model {
            let provider = Arc::clone(&model.provider);
            return Some(Self { provider, model: Some(Arc::clone(model)), as_sent: false });
        }
        match &decision.answerer {
            Answerer::Model { plan, as_sent } => Some(Self {
                provider: Arc::clone(&plan.provider),
                model: Some(Arc::clone(plan)),
                as_sent: *as_sent,
            }),
            Answerer::Unknown { provider } => {
                Some(Self { provider: Arc::clone(provider), model: None, as_sent: true })
            }
            Answerer::Reply(_) | Answerer::Nobody | Answerer::PassThrough { .. } => None,
        }
    }

    /// In which call it is asked what a request to `endpoint` asks; that one where nobody has found out that it cannot be.
    pub(crate) fn asked_in(&self, endpoint: Endpoint) -> Endpoint {
        self.provider.provider.kind.asked_in(endpoint).unwrap_or(endpoint)
    }

    /// The candidate's name in records: the configuration's, or `other`.
    pub(crate) fn label(&self) -> &str {
        self.model.as_ref().map_or("other", |plan| &plan.model.name)
    }
}

impl Original {
    /// Of a request that was decided and is about to be sent.
    pub(crate) fn of(
        exchange: &Exchange,
        identified: &Identified,
        parts: &Parts,
        held: &Held,
        view: &RequestView,
    ) -> Option<Self> {
        let decision = exchange.decision.as_ref()?;
        let strips = exchange
            .conversation
            .as_ref()
            .is_some_and(|conversation| decision.strips_reasoning(conversation, view, &held.bytes));
        Some(Self {
            snapshot: Arc::clone(&exchange.snapshot),
            id: exchange.id,
            endpoint: exchange.endpoint,
            stream: exchange.stream,
            body: held.bytes.clone(),
            view: view.clone(),
            decoded: held.decoded,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            place: identified.place.clone(),
            hops: exchange.hops,
            refuses_sampling: refuses_sampling(exchange, &parts.headers),
            prompt: decision.prompt.clone(),
            params: decision.params.clone(),
            denied_tools: decision.denied_tools.clone(),
            strips,
            strips_foreign: exchange
                .route
                .as_ref()
                .is_some_and(|route| route.route.foreign_reasoning == ForeignReasoning::Strip),
            chosen: match &decision.answerer {
                Answerer::Model { plan, .. } => Some(Arc::clone(plan)),
                _ => None,
            },
        })
    }

    /// Gateways that the request has passed.
    pub(crate) fn hops(&self) -> u8 {
        self.hops
    }

    /// What a copy says that has this prompt and these parameters in place of the caller's.
    pub(crate) fn changes(&self, prompt: Option<&(Bytes, PromptMode)>, params: &[ParamEdit]) -> Changes {
        let kept = self.params.iter().filter(|edit| !params.iter().any(|own| own.param == edit.param));
        let mut all: SmallVec<[ParamEdit; 2]> = kept.chain(params).cloned().collect();
        if self.view.is_kept(&self.body, &all)
            && let Some(param) = Param::named("store")
            && let Ok(no) = param.value(&false.into())
        {
            all.retain(|edit| edit.param != param);
            all.push(ParamEdit { param, set: Some(Arc::new(no)), default: None, max: None });
        }
        Changes { prompt: prompt.or(self.prompt.as_ref()).cloned(), params: all }
    }

    /// Whether such a copy is what the caller's own model gets anyway: the same prompt and the same parameters.
    pub(crate) fn same(&self, prompt: Option<&(Bytes, PromptMode)>, params: &[ParamEdit]) -> bool {
        let is_there = |own: &ParamEdit| self.params.iter().any(|edit| edit == own);
        prompt.is_none_or(|prompt| self.prompt.as_ref() == Some(prompt)) && params.iter().all(is_there)
    }

    /// The copy, written out.
    pub(crate) fn request(
        &self,
        candidate: &Candidate,
        changes: &Changes,
        key: Option<&ProviderKey>,
    ) -> Result<Request<RequestBody>, ProxyError> {
        let provider = &candidate.provider;
        let asked = self.view.model(&self.body);
        let written = self.written(candidate, asked.as_deref());
        let model = match written {
            Some(plan) => Some(Cow::Borrowed(plan.model.upstream_model.as_str())),
            None => asked.clone(),
        };
        let in_path = model.as_deref().filter(|_| provider.version_query.is_some());
        let spoken = candidate.asked_in(self.endpoint);
        let crosses = spoken != self.endpoint;
        let target = match crosses {
            false => target_of(&self.uri, &self.place, provider, in_path)?,
            true => cross::target(spoken, provider, in_path)?,
        };
        let frames = match crosses {
            false => self.splice(candidate, changes, asked.as_deref(), written)?,
            true => self.translated(candidate, changes, spoken, written)?,
        };
        let mut headers = self.headers.clone();
        if crosses {
            cross::headers(&mut headers, spoken, &mut Vec::new());
        }
        Going {
            context: self.snapshot.context_headers.as_slice(),
            host: &provider.host,
            key: key.map(|key| (&key.header, &key.value)),
            callers: false,
            hops: self.hops,
            body: Some(Said { length: frames.len, decoded: self.decoded }),
        }
        .apply(&mut headers);
        // It is another request: where both go to the same account, neither must pass for the other.
        headers.remove("idempotency-key");
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut request = Request::new(RequestBody::held(frames));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// The model whose name is written into the copy, where it is not what the request says already.
    fn written<'c>(&self, candidate: &'c Candidate, asked: Option<&str>) -> Option<&'c ModelPlan> {
        let plan = candidate.model.as_deref()?;
        let asked = asked.unwrap_or_default();
        // One of the model's other names is the app's own choice of a version.
        let other_name = candidate.as_sent && asked != plan.model.name.as_str();
        (asked != plan.model.upstream_model && !other_name).then_some(plan)
    }

    /// Reasoning that the conversation has so far is most likely that of the model that was chosen for the caller.
    fn strips_for(&self, candidate: &Candidate) -> bool {
        let place = |plan: &Option<Arc<ModelPlan>>| plan.as_ref().map(|plan| plan.place);
        self.strips_foreign
            && place(&candidate.model) != place(&self.chosen)
            && self.view.has_reasoning(&self.body)
    }

    fn splice(
        &self,
        candidate: &Candidate,
        changes: &Changes,
        asked: Option<&str>,
        written: Option<&ModelPlan>,
    ) -> Result<Frames, ProxyError> {
        // The caller was told of what its own request cannot take; of a copy nobody is.
        let mut dropped = Vec::new();
        let params = (&*changes.params, self.refuses_sampling);
        let mut edits = self.edits(candidate, changes, params, written)?;
        if let Some(plan) = &candidate.model {
            let is_its_own = candidate.as_sent
                || asked.is_some_and(|name| {
                    name == plan.model.name.as_str()
                        || self.snapshot.model(name).is_some_and(|own| Arc::ptr_eq(own, plan))
                });
            if !is_its_own {
                edits.fit(&plan.model.fit, &mut dropped);
            } else if !changes.params.is_empty() {
                edits.fit_written(&plan.model.fit, &mut dropped);
            }
        }
        if self.stream && self.endpoint.usage_on_request() {
            edits.include_usage();
        }
        Ok(edits.frames())
    }

    /// The same as another dialect says it.
    fn translated(
        &self,
        candidate: &Candidate,
        changes: &Changes,
        to: Endpoint,
        written: Option<&ModelPlan>,
    ) -> Result<Frames, ProxyError> {
        let foreign = Foreign {
            from: self.endpoint,
            to,
            provider: &candidate.provider,
            model: candidate.model.as_deref(),
            as_sent: candidate.as_sent,
            params: &changes.params,
            id: self.id.unique(),
            touched: &self.snapshot.touched_members,
        };
        let params = foreign.params_before();
        let edits = self.edits(candidate, changes, (&params, false), written)?;
        let crossed = foreign.write(edits.frames().concat(), &mut Dropped::default())?;
        Ok(crossed.frames)
    }

    /// What the copy says otherwise, and what the caller's own request says otherwise too, written.
    fn edits(
        &self,
        candidate: &Candidate,
        changes: &Changes,
        (params, refuses_sampling): (&[ParamEdit], bool),
        written: Option<&ModelPlan>,
    ) -> Result<Edits<'_>, ProxyError> {
        let mut edits = Edits::new(&self.view, &self.body);
        let mut dropped = Vec::new();
        if let Some(plan) = written {
            edits.model(plan.model.upstream_json.clone());
        }
        if let Some((text, mode)) = &changes.prompt {
            edits.system_prompt(*mode, text).map_err(ProxyError::bad_json)?;
        }
        if !params.is_empty() {
            edits.params(params, refuses_sampling, &mut dropped);
        }
        if let Some(names) = &self.denied_tools {
            edits.deny_tools(names, &mut dropped);
        }
        if self.strips || self.strips_for(candidate) {
            edits.strip_reasoning(&mut dropped);
        }
        Ok(edits)
    }
}
