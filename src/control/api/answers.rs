//! What answers each operation of the admin API.

use std::future::Future;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{UserIds, with_percents};
use crate::control::api::operations::Id;
use crate::control::api::refusal::Refusal;
use crate::control::api::shapes::{
    Aim, Audit, Breakers, Done, ExplainAsk, Flags, Kills, RollbackAsk, Rollbacks, SetPercent, WebhookTested,
    WebhooksTested, Why,
};
use crate::control::api::views::Standing;
use crate::control::api::{Api, Call, openapi, plan, records, reports, shadow, views};
use crate::control::switchboard::{Actor, Unchanged};
use crate::control::{breakers, targets};
use crate::names::KillTarget;
use crate::record::{Hasher, Pieces};
use crate::report::request;
use crate::state::Origin;
use crate::units::Percent;

/// An answer that is not a refusal.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content: Content,
}

/// Its body.
pub(super) enum Content {
    Json(Vec<u8>),
    Toml(String),
    /// HTML.
    Page(String),
    /// Lines of JSON: the first piece, and those that come.
    Lines(Option<Bytes>, Pieces),
}

pub(super) type Answered = Result<Answer, Refusal>;

/// More of a reason than this is a document.
const REASON_MAX: usize = 2000;
/// Audit entries of one answer, unless it says otherwise, and at most.
const AUDIT_LIMIT: usize = 100;
const AUDIT_LIMIT_MAX: usize = 1000;

/// Answers a call. What it changes goes on to its end, also when the caller leaves meanwhile.
pub(super) async fn answer(api: Arc<Api>, call: Call) -> Answered {
    match call.operation.id {
        Id::ListFlags => list_flags(&api),
        Id::ExportFlags => export(&api),
        Id::ReadFlag => flag(&api, first(&call)),
        Id::ListKills => json(&Kills { kills: api.standing().kills() }),
        Id::ListRollbacks => json(&Rollbacks { rollbacks: api.rollbacks.list() }),
        Id::ReadRollback => read_rollback(&api, first(&call)),
        Id::ListBreakers => json(&Breakers { breakers: breakers::list(&api.breakers) }),
        Id::Explain => explain(&api, &call).await,
        Id::Plan => plan::plan(&api, call).await,
        Id::ReadImpact => json(&reports::of_flag(&api, &call, first(&call)).await?),
        Id::ReadAdoption => json(&reports::of_route(&api, &call, first(&call)).await?),
        Id::ReadAudit => audit(&api, &call).await,
        Id::ReadRecords => records::status(&api).await,
        Id::ExportRecords => records::take_out(&api, &call).await,
        Id::ForgetRecords => to_its_end(async move { records::forget(&api, &call).await }).await,
        Id::ReadConfig => json(&views::config(&api.store.load_full(), &api.file)),
        Id::ListShadows => shadow::list(&api, &call).await,
        Id::ReadShadow => shadow::read(&api, &call).await,
        Id::ReadShadowPairs => shadow::pairs(&api, &call).await,
        Id::ReadShadowPage => shadow::page(&api, &call).await,
        Id::ReadOpenApi => json(&openapi::document()),
        Id::TestWebhooks => to_its_end(async move { test_webhooks(&api, &call).await }).await,
        Id::PreviewPercent => plan::preview(&api, &call).await,
        Id::SetPercent => to_its_end(async move { set_percent(&api, &call).await }).await,
        Id::ResetPercent => to_its_end(async move { reset_percent(&api, &call).await }).await,
        Id::Kill => to_its_end(async move { kill(&api, &call).await }).await,
        Id::Revive => to_its_end(async move { revive(&api, &call).await }).await,
        Id::RollBack => to_its_end(async move { roll_back(&api, &call).await }).await,
        Id::ResetBreaker => to_its_end(async move { reset_breaker(&api, &call).await }).await,
    }
}

/// Runs on its own: a caller that hangs up drops its request, and must not leave a change half made.
async fn to_its_end(work: impl Future<Output = Answered> + Send + 'static) -> Answered {
    match tokio::spawn(work).await {
        Ok(answered) => answered,
        Err(_) => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this ended by a defect of dimmer; see the log, and `dimmer kills` for what holds",
        )),
    }
}

fn list_flags(api: &Api) -> Answered {
    let view = api.store.load_full();
    let standing = api.standing();
    let flags = view.config.flags.iter().map(|flag| standing.flag(&view.config, flag));
    json(&Flags { flags: flags.collect() })
}

fn flag(api: &Api, key: &str) -> Answered {
    let view = api.store.load_full();
    let flag = targets::flag(&view.config, key).map_err(Refusal::not_found)?;
    json(&api.standing().flag(&view.config, flag))
}

fn export(api: &Api) -> Answered {
    let view = api.store.load_full();
    let state = api.switchboard.state();
    let set = state.overrides.into_iter().filter_map(|((key, name), set)| {
        let file = targets::rule(targets::flag(&view.config, &key).ok()?, &name).ok()?.serve.percent();
        (file == set.replaced).then_some((key, name, set.percent))
    });
    let set: Vec<_> = set.collect();
    match with_percents(&api.file, &set) {
        Ok(text) => Ok(Answer { status: StatusCode::OK, content: Content::Toml(text) }),
        Err(message) => Err(Refusal::unavailable("unavailable", message)),
    }
}

async fn set_percent(api: &Api, call: &Call) -> Answered {
    let ask: SetPercent = body(call)?;
    let percent = percent(ask.percent)?;
    let actor = person(call, ask.reason)?;
    let [key, rule] = two(call);
    api.switchboard.set_percent(key, rule, percent, &actor).await?;
    flag(api, key)
}

pub(super) fn percent(number: f64) -> Result<Percent, Refusal> {
    Percent::from_percent(number).ok_or_else(|| {
        Refusal::bad(format!("percent: must be a number from 0 to 100 in steps of 0.0001, not {number}"))
    })
}

async fn reset_percent(api: &Api, call: &Call) -> Answered {
    let reason = call.query.iter().find(|(name, _)| name == "reason").map(|(_, value)| value.clone());
    let actor = person(call, reason.unwrap_or_default())?;
    let [key, rule] = two(call);
    api.switchboard.reset(key, rule, &actor).await?;
    flag(api, key)
}

async fn kill(api: &Api, call: &Call) -> Answered {
    let ask: Aim = body(call)?;
    let target = target(&ask.target)?;
    let killed = api.switchboard.kill(&target, &person(call, ask.reason)?).await?;
    let done = Done {
        target: target.to_string(),
        durable: killed.durable,
        replicas_reached: 1,
        served: api.switchboard.served(&target),
    };
    with_status(if killed.durable { StatusCode::OK } else { StatusCode::ACCEPTED }, &done)
}

async fn revive(api: &Api, call: &Call) -> Answered {
    let ask: Aim = body(call)?;
    let target = target(&ask.target)?;
    api.switchboard.revive(&target, &person(call, ask.reason)?).await?;
    // A breaker that led to the kill would open at its next look at what it has measured.
    api.breakers.revived(&target);
    let mut served = api.switchboard.served(&target);
    served.extend(breakers::cooling(&api.breakers, &api.store.load().snapshot, &target));
    json(&Done { target: target.to_string(), durable: true, replicas_reached: 1, served })
}

async fn roll_back(api: &Api, call: &Call) -> Answered {
    let ask: RollbackAsk = body(call)?;
    let target = target(&ask.target)?;
    if !matches!(target, KillTarget::Route(_) | KillTarget::Flag(_) | KillTarget::Variant(..)) {
        return Err(Refusal::bad(format!(
            "target: {target} cannot be rolled back; route:ROUTE, flag:FLAG and flag:FLAG/VARIANT can. To stop {target}, kill it"
        )));
    }
    let actor = Actor { origin: Origin::Rollback, ..person(call, ask.reason.clone())? };
    if ask.dry_run {
        targets::known(&api.store.load().snapshot, &target).map_err(Refusal::not_found)?;
        return json(&api.rollbacks.plan(&target, &ask, &actor.who));
    }
    let record = api.rollbacks.begin(target, &ask, actor).await?;
    with_status(StatusCode::ACCEPTED, &record)
}

fn read_rollback(api: &Api, id: &str) -> Answered {
    let found = id.parse().ok().and_then(|id| api.rollbacks.read(id));
    let missing = || {
        Refusal::not_found(format!("no roll-back has the number {id:?}; GET /api/v1/rollbacks lists them"))
    };
    json(&found.ok_or_else(missing)?)
}

async fn reset_breaker(api: &Api, call: &Call) -> Answered {
    let ask: Why = body(call)?;
    let actor = person(call, ask.reason)?;
    let id = first(call);
    let before = breakers::find(&api.breakers, id).map_err(Refusal::not_found)?;
    let noted = api.switchboard.note("breaker_reset", id.to_owned(), &actor, &before.state, "closed").await;
    noted.map_err(|error| not_stored(&error.message))?;
    let target = api.breakers.reset(id).map(|breaker| breaker.kill_target());
    let killed = target.filter(|target| api.switchboard.state().kills.contains_key(target));
    let served = vec![match killed {
        // A trip's kill outlives its breaker.
        Some(target) => {
            format!("{id} is closed, and its target is killed all the same: `dimmer revive {target}`")
        }
        None => format!("{id} is closed: its target is tried again"),
    }];
    json(&Done { target: id.to_owned(), durable: true, replicas_reached: 1, served })
}

async fn explain(api: &Api, call: &Call) -> Answered {
    let ask: ExplainAsk = body(call)?;
    match ask.request_id {
        Some(id) => explain_request(api, id).await,
        None => json(&api.explainer.explain(&ask).map_err(Refusal::bad)?),
    }
}

/// A request that was answered, by dimmer's id or the answer's.
async fn explain_request(api: &Api, id: String) -> Answered {
    let asked = id.clone();
    let found = api.records.reader.read(move |store| store.exposure(&asked)).await;
    let found = found.map_err(|error| Refusal::unavailable("unavailable", error.message))?;
    let Some(seen) = found else {
        let message = format!(
            "there is no request {id:?} in the record: it is written a second after its end, and kept for records.retention; only calls \
             that generate are kept"
        );
        return Err(Refusal::not_found(message));
    };
    let plain = api.records.spec.user_ids == UserIds::Plain;
    json(&request(
        &seen,
        |user| if plain || !is_hashed(user) { EXPLAINED.written(user) } else { user.to_owned() },
    ))
}

/// Nobody is shown who a user is, also where the store keeps that: the same user looks the same, and no more.
static EXPLAINED: LazyLock<Hasher> = LazyLock::new(|| Hasher::keyed(b"dimmer explain --request"));

/// As [`Hasher`] writes a user.
fn is_hashed(user: &str) -> bool {
    user.len() == 32 && user.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn audit(api: &Api, call: &Call) -> Answered {
    let number = |name: &str| -> Result<Option<u64>, Refusal> {
        let Some((_, text)) = call.query.iter().find(|(known, _)| known == name) else { return Ok(None) };
        let wrong = |_| Refusal::bad(format!("{name}: must be a whole number, not {text:?}"));
        text.parse().map(Some).map_err(wrong)
    };
    let after = number("after")?.unwrap_or(0);
    let limit = number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(AUDIT_LIMIT);
    match api.switchboard.keeper().audit(after, limit.min(AUDIT_LIMIT_MAX)).await {
        Ok(entries) => json(&Audit { entries: entries.into_iter().map(views::audit).collect() }),
        Err(error) => {
            Err(Refusal::unavailable("unavailable", format!("the audit cannot be read now: {error}")))
        }
    }
}

async fn test_webhooks(api: &Api, call: &Call) -> Answered {
    let _: crate::control::api::shapes::Nothing = body(call)?;
    let results = api.switchboard.webhooks().test().await.into_iter();
    let webhooks = results.map(|one| WebhookTested {
        webhook: one.webhook,
        format: one.format,
        ok: one.ok,
        status: one.status,
        detail: one.detail,
    });
    json(&WebhooksTested { webhooks: webhooks.collect() })
}

impl Api {
    fn standing(&self) -> Standing {
        Standing { state: self.switchboard.state(), unstored: self.switchboard.unstored() }
    }
}

/// The body as what is expected: nothing missing, nothing unknown, nothing behind it.
pub(super) fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    serde_json::from_slice(&call.body).map_err(|error| {
        Refusal::bad(format!(
            "the body is not what was expected: {error}; /api/v1/openapi.json describes it under {}",
            call.operation.name
        ))
    })
}

fn target(text: &str) -> Result<KillTarget, Refusal> {
    text.parse().map_err(|error| Refusal::bad(format!("target: {error}")))
}

pub(super) fn person(call: &Call, why: String) -> Result<Actor, Refusal> {
    if why.chars().count() > REASON_MAX {
        return Err(Refusal::bad(format!(
            "reason: {REASON_MAX} characters at most; put the rest where it can be linked to"
        )));
    }
    Ok(Actor { who: call.who.clone(), origin: Origin::Person, why })
}

pub(super) fn first(call: &Call) -> &str {
    call.within.first().map_or("", String::as_str)
}

pub(super) fn two(call: &Call) -> [&str; 2] {
    [first(call), call.within.get(1).map_or("", String::as_str)]
}

pub(super) fn json(value: &impl Serialize) -> Answered {
    with_status(StatusCode::OK, value)
}

fn with_status(status: StatusCode, value: &impl Serialize) -> Answered {
    let mut bytes = serde_json::to_vec(value).map_err(|error| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("the answer could not be written: {error}"),
        )
    })?;
    // For those who read it in a terminal.
    bytes.push(b'\n');
    Ok(Answer { status, content: Content::Json(bytes) })
}

fn not_stored(message: &str) -> Refusal {
    Refusal::unavailable(
        "not_stored",
        format!("nothing was changed, because it could not be stored: {message}"),
    )
}

impl From<Unchanged> for Refusal {
    fn from(unchanged: Unchanged) -> Self {
        match unchanged {
            Unchanged::Unknown(message) => Self::not_found(message),
            Unchanged::NotStored(error) => not_stored(&error.message),
        }
    }
}
