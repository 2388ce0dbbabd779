//! What is kept of requests: what there is, one user's rows taken out, all of it for a warehouse.

use std::sync::Arc;

use http::StatusCode;

use crate::clock;
use crate::control::api::answers::{Answer, Answered, Content, body, json, person};
use crate::control::api::refusal::Refusal;
use crate::control::api::shapes::{ForgetAsk, Forgotten, LostView, RecordsView, TableView};
use crate::control::api::{Api, Call};
use crate::record::{Kind, RecordStore, Span, StoreError, What, export};

/// `GET /records`
pub(super) async fn status(api: &Api) -> Answered {
    let records = &api.records;
    let (status, trouble) = match records.reader.is_on() {
        false => (None, None),
        true => match records.reader.read(|store: &mut dyn RecordStore| store.status()).await {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error.message)),
        },
    };
    let status = status.unwrap_or_default();
    let time = |at_us: Option<u64>| at_us.map(|at_us| clock::rfc3339(at_us / 1000));
    json(&RecordsView {
        url: records.spec.place.shown(),
        sink: records.spec.place.sink().to_owned(),
        trouble,
        tables: status
            .rows
            .into_iter()
            .map(|(table, rows)| TableView { table: table.to_owned(), rows })
            .collect(),
        oldest: time(status.oldest_us),
        newest: time(status.newest_us),
        bytes: status.bytes,
        queued: u64::try_from(records.recorder.waiting()).unwrap_or(u64::MAX),
        lost: Kind::ALL
            .map(|kind| LostView { kind: kind.as_str().to_owned(), records: records.lost(kind) })
            .to_vec(),
    })
}

/// `POST /records/forget`: the user is named in the body only, and in the audit as records name them.
pub(super) async fn forget(api: &Api, call: &Call) -> Answered {
    let ask: ForgetAsk = body(call)?;
    if ask.user.is_empty() {
        return Err(Refusal::bad("user: is empty; give the targeting key that the app sends for them"));
    }
    let actor = person(call, ask.reason)?;
    let hashed = api.records.hasher.hashed(&ask.user);
    let requests = api.records.recorder.forget(&ask.user).await.map_err(|error| unavailable(&error))?;
    let to = format!("{requests} requests");
    let noted = api.switchboard.note("records_forgotten", hashed.clone(), &actor, "", &to);
    if let Err(error) = noted.await {
        tracing::warn!(%error, "a user's records were deleted, and the audit could not say so");
    }
    json(&Forgotten { user: hashed, requests })
}

/// `GET /records/export`
pub(super) async fn take_out(api: &Arc<Api>, call: &Call) -> Answered {
    let asked =
        |name: &str| call.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let what = asked("what").unwrap_or(What::Exposures.as_str());
    let what = What::parse(what).ok_or_else(|| {
        let all = What::ALL.map(What::as_str).join(", ");
        Refusal::bad(format!("what: {what:?} is not exported; there are {all}"))
    })?;
    let time = |name: &str| asked(name).map(|text| moment(name, text)).transpose();
    let span = Span {
        since_us: time("since")?.unwrap_or_default(),
        until_us: time("until")?.unwrap_or_default(),
        route: asked("route").map(str::to_owned),
        flag: asked("flag").map(str::to_owned),
        shadow: asked("shadow").map(str::to_owned),
        limit: 0,
    };
    let pieces = api.records.reader.export(move |store, give| export(store, what, &span, give));
    let mut pieces = pieces.map_err(|error| unavailable(&error))?;
    // What goes wrong at once is said by a status.
    let first = pieces.recv().await.transpose().map_err(|error| unavailable(&error))?;
    Ok(Answer { status: StatusCode::OK, content: Content::Lines(first, pieces) })
}

fn unavailable(error: &StoreError) -> Refusal {
    Refusal::unavailable("unavailable", error.message.clone())
}

/// A time, or how long ago it is, in microseconds since 1970.
pub(super) fn moment(name: &str, text: &str) -> Result<u64, Refusal> {
    if let Ok(ago) = crate::config::parse_duration(text) {
        return Ok(clock::micros(clock::unix_time().saturating_sub(ago)));
    }
    clock::unix_us_of(text).ok_or_else(|| {
        Refusal::bad(format!("{name}: {text:?} is no time; write how long ago, such as 7d, or 2027-03-31 or 2027-03-31T14:00:00Z"))
    })
}
