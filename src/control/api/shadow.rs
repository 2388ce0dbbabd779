//! What the records say of shadows: reports, pairs, the page.

use std::time::Duration;

use http::StatusCode;

use crate::clock;
use crate::config::{Bodies, Role, did_you_mean};
use crate::control::api::answers::{Answer, Answered, Content, first, json, two};
use crate::control::api::records::moment;
use crate::control::api::refusal::Refusal;
use crate::control::api::shapes::{ShadowView, Shadows};
use crate::control::api::{Api, Call};
use crate::record::StoreError;
use crate::report::shadow::{self, Asked, Pairs, Report};

/// Unless the question says otherwise.
const SINCE: Duration = Duration::from_secs(7 * 24 * 3600);
const PAIRS: usize = 10;
/// Each may be two answers of 20,000 characters.
const PAIRS_MAX: usize = 100;

/// Which shadows of a route there is anything to say of.
pub(super) async fn list(api: &Api, call: &Call) -> Answered {
    let route = first(call).to_owned();
    let since_us = since_us(call)?;
    let asked = route.clone();
    let found = api.records.reader.read(move |store| shadow::list(store, &asked, since_us)).await;
    let found = found.map_err(|error| unread(&error))?;
    if found.is_empty() {
        known(api, &route)?;
    }
    let shown = |one: shadow::Found| ShadowView {
        shadow: one.shadow,
        eligible: one.eligible,
        answered: one.answered,
    };
    json(&Shadows { shadows: found.into_iter().map(shown).collect() })
}

/// The report.
pub(super) async fn read(api: &Api, call: &Call) -> Answered {
    json(&report(api, call).await?)
}

/// The report as a page.
pub(super) async fn page(api: &Api, call: &Call) -> Answered {
    let report = report(api, call).await?;
    Ok(Answer { status: StatusCode::OK, content: Content::Page(shadow::page(&report)) })
}

/// Pairs side by side. Texts are prompts' answers: for operators only.
pub(super) async fn pairs(api: &Api, call: &Call) -> Answered {
    let asked = asked(call)?;
    let limit = match query(call, "limit") {
        None => PAIRS,
        Some(text) => {
            text.parse().map_err(|_| Refusal::bad(format!("limit: must be a whole number, not {text:?}")))?
        }
    };
    let limit = limit.min(PAIRS_MAX);
    let texts = call.role == Role::Operator;
    let pairs = api.records.reader.read(move |store| shadow::pairs(store, &asked, limit, texts)).await;
    let pairs = pairs.map_err(|error| unread(&error))?;
    let without = pairs.iter().all(|pair| pair.primary.text.is_none() && pair.candidate.text.is_none());
    let note = match (texts, api.records.spec.bodies) {
        _ if !without || pairs.is_empty() => None,
        (false, _) => Some("the texts are shown to tokens of the role operator only"),
        (true, Bodies::None) => Some(
            "no texts are kept: write records.bodies = \"shadow\" into the configuration to keep those of pairs",
        ),
        (true, Bodies::Shadow | Bodies::All) => Some(
            "the texts of these pairs are not kept any more, or were made before records.bodies asked for them",
        ),
    };
    json(&Pairs { pairs, note: note.map(str::to_owned) })
}

async fn report(api: &Api, call: &Call) -> Result<Report, Refusal> {
    let asked = asked(call)?;
    let route = asked.route.clone();
    let report = api.records.reader.read(move |store| shadow::read(store, &asked)).await;
    let report = report.map_err(|error| unread(&error))?;
    if report.coverage.eligible == 0 {
        known(api, &route)?;
    }
    Ok(report)
}

fn asked(call: &Call) -> Result<Asked, Refusal> {
    let [route, shadow] = two(call);
    Ok(Asked {
        route: route.to_owned(),
        shadow: shadow.to_owned(),
        since_us: since_us(call)?,
        now_us: clock::unix_us(),
    })
}

fn query<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    call.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// From when on.
fn since_us(call: &Call) -> Result<u64, Refusal> {
    let usual = || Ok(clock::micros(clock::unix_time().saturating_sub(SINCE)));
    query(call, "since").map_or_else(usual, |text| moment("since", text))
}

/// A route of which nothing is recorded is a slip, where the configuration has none of that name.
fn known(api: &Api, route: &str) -> Result<(), Refusal> {
    let view = api.store.load_full();
    let names: Vec<&str> = view.config.routes.iter().map(|route| route.name.as_str()).collect();
    if names.contains(&route) {
        return Ok(());
    }
    Err(Refusal::not_found(format!(
        "no route is named {route:?}; there are {}{}",
        names.join(", "),
        did_you_mean(route, names.iter().copied())
    )))
}

fn unread(error: &StoreError) -> Refusal {
    Refusal::unavailable("unavailable", format!("the records cannot be read now: {error}"))
}
