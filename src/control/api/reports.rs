//! What may be said of the records: the impact of a flag, the adoption of a route; and what may be tidied up.

use std::time::Duration;

use crate::clock;
use crate::config::{Better, Config, parse_duration};
use crate::control::api::refusal::Refusal;
use crate::control::api::{Api, Call};
use crate::control::targets;
use crate::flags::{Flag, Rule, Serve};
use crate::record::{RecordStore, Seen, Span, StoreError};
use crate::report::adoption::{Adoption, Counting};
use crate::report::hygiene::{FULL_FOR, Hygiene, Kind, Patience, QUIET_FOR};
use crate::report::impact::{ALPHA, Asked, Impact, RuleNow, impact};
use crate::units::Percent;

/// A report looks back so far, unless it says otherwise.
const SINCE: Duration = Duration::from_secs(7 * 86_400);
/// Audit entries that are looked through for the last change of a percentage.
const AUDIT_PAGE: usize = 1_000;
const AUDIT_PAGES_MAX: usize = 64;

/// `GET /impact/{flag}`
pub(super) async fn of_flag(api: &Api, call: &Call, key: &str) -> Result<Impact, Refusal> {
    let view = api.store.load_full();
    let flag = targets::flag(&view.config, key).map_err(Refusal::not_found)?;
    let (since_us, now_us) = span(call)?;
    are_kept(api)?;
    let stands_since_ms = view.at_ms.max(last_change_ms(api, flag).await);
    let asked = Asked {
        flag: flag.key.to_string(),
        default: flag.variant(flag.default).map_or_else(String::new, |one| one.name.to_string()),
        variants: flag.variants.iter().map(|one| one.name.to_string()).collect(),
        rules: rules(api, flag, stands_since_ms.saturating_mul(1_000)),
        feedback: feedback(&view.config),
        since_us,
        now_us,
        alpha: ALPHA,
    };
    let span = Span { since_us, until_us: now_us, flag: Some(asked.flag.clone()), ..Span::default() };
    read(api, move |store| impact(&asked, &mut |each: &mut dyn FnMut(Seen)| store.exposures(&span, each)))
        .await
}

/// `GET /adoption/{route}`
pub(super) async fn of_route(api: &Api, call: &Call, name: &str) -> Result<Adoption, Refusal> {
    let view = api.store.load_full();
    targets::route(&view.config, name).map_err(Refusal::not_found)?;
    let (since_us, now_us) = span(call)?;
    are_kept(api)?;
    let route = name.to_owned();
    let span = Span { since_us, until_us: now_us, route: Some(route.clone()), ..Span::default() };
    read(api, move |store| {
        let mut counting = Counting::default();
        store.exposures(&span, &mut |seen| counting.take(&seen))?;
        Ok(counting.report(&route, since_us, now_us))
    })
    .await
}

/// `GET /hygiene`
pub(super) async fn hygiene(api: &Api, call: &Call) -> Result<Hygiene, Refusal> {
    let asked =
        |name: &str| call.query.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
    let long = |name: &str, usual: Duration| {
        asked(name)
            .map_or(Ok(usual), parse_duration)
            .map_err(|wrong| Refusal::bad(format!("{name}: {wrong}")))
    };
    let patience =
        Patience { full_for: long("full_for", FULL_FOR)?, quiet_for: long("quiet_for", QUIET_FOR)? };
    let only = asked("kind").map(|text| {
        let kinds = Kind::ALL.map(Kind::as_str).join(", ");
        Kind::parse(text)
            .ok_or_else(|| Refusal::bad(format!("kind: there is no {text:?}; write one of {kinds}")))
    });
    let only = only.transpose()?;
    let mut hygiene = api.upkeep.findings(patience).await;
    hygiene.findings.retain(|finding| only.is_none_or(|kind| finding.kind == kind));
    Ok(hygiene)
}

async fn read<T: Send + 'static>(
    api: &Api,
    ask: impl FnOnce(&mut dyn RecordStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let found = api.records.reader.read(ask).await;
    found.map_err(|error| Refusal::unavailable("unavailable", error.message))
}

fn are_kept(api: &Api) -> Result<(), Refusal> {
    if api.records.reader.is_on() {
        return Ok(());
    }
    let message = "no records are kept, so that there is nothing to report: set url in [records] of the configuration, for example \
                   url = \"sqlite:records.db\", and restart";
    Err(Refusal::unavailable("unavailable", message))
}

/// From when on, and now, in microseconds.
fn span(call: &Call) -> Result<(u64, u64), Refusal> {
    let text = call.query.iter().find(|(name, _)| name == "since").map(|(_, text)| text.as_str());
    let back =
        text.map_or(Ok(SINCE), parse_duration).map_err(|wrong| Refusal::bad(format!("since: {wrong}")))?;
    if back.is_zero() {
        return Err(Refusal::bad(
            "since: nothing happens in no time; write how far to look back, such as \"7d\"",
        ));
    }
    let now = clock::unix_time();
    Ok((clock::micros(now.saturating_sub(back)), clock::micros(now)))
}

fn feedback(config: &Config) -> Vec<(String, bool)> {
    config.feedback.iter().map(|one| (one.name.to_string(), one.better == Better::Higher)).collect()
}

/// The rules' shares as they stand, file and run time together.
fn rules(api: &Api, flag: &Flag, since_us: u64) -> Vec<RuleNow> {
    let state = api.switchboard.state();
    let percent = |rule: &Rule| {
        let file = rule.serve.percent();
        let set = state.overrides.get(&(flag.key.clone(), rule.name.clone()));
        set.filter(|set| set.replaced == file).map_or(file, |set| set.percent)
    };
    let rule = |rule: &Rule| RuleNow {
        name: rule.name.to_string(),
        shares: shares(flag, rule, percent(rule)),
        since_us,
    };
    flag.rules.iter().map(rule).collect()
}

fn shares(flag: &Flag, rule: &Rule, percent: Percent) -> Vec<(String, f64)> {
    let name = |variant| flag.variant(variant).map_or_else(String::new, |one| one.name.to_string());
    let covered = f64::from(percent.ppm()) / 1e6;
    match &rule.serve {
        Serve::One { variant, .. } => vec![(name(*variant), covered)],
        Serve::Split { slices, .. } => {
            slices.iter().map(|slice| (name(slice.variant), f64::from(slice.width) / 1e6 * covered)).collect()
        }
    }
}

/// When somebody last set or reset a percentage of the flag, in milliseconds since 1970. What cannot be read now, was not: the
/// check of the sample ratio may then see two shares as one, and says so by an alarm rather than by silence.
async fn last_change_ms(api: &Api, flag: &Flag) -> u64 {
    let (mut last, mut after) = (0, 0);
    let ours = format!("flag:{}#", flag.key);
    for _ in 0..AUDIT_PAGES_MAX {
        let Ok(entries) = api.switchboard.keeper().audit(after, AUDIT_PAGE).await else { break };
        let Some(newest) = entries.last().map(|entry| entry.number) else { break };
        after = newest;
        let of_flag = entries.iter().filter(|entry| entry.draft.what.starts_with(&ours));
        last = of_flag.map(|entry| entry.draft.at_ms).fold(last, u64::max);
        if entries.len() < AUDIT_PAGE {
            break;
        }
    }
    last
}
