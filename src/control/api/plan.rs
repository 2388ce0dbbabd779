//! What another percentage or another file would change: counted over the users seen, and nothing is changed.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock;
use crate::config::{ProcessEnvironment, parse_duration, rehearse};
use crate::control::api::answers::{Answered, body, json, percent, two};
use crate::control::api::refusal::Refusal;
use crate::control::api::shapes::{PlanAsk, PreviewAsk};
use crate::control::api::{Api, Call};
use crate::control::targets;
use crate::record::Look;
use crate::report::plan::{self, Question, Seen, window_words};

/// A preview looks back so far unless it says otherwise: who is there now.
const PREVIEW_WINDOW: Duration = Duration::from_secs(3600);

/// A plan looks back as far as there is something to see.
const PLAN_WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// One at a time: each may hold a large file and some ten thousand contexts.
static TURN: Semaphore = Semaphore::const_new(1);

/// `POST /plan`
pub(super) async fn plan(api: &Api, call: Call) -> Answered {
    let ask: PlanAsk = match call.toml {
        false => body(&call)?,
        true => match String::from_utf8(call.body.into()) {
            Ok(toml) => PlanAsk { toml, ..PlanAsk::default() },
            Err(_) => return Err(Refusal::bad("the body is not UTF-8, which TOML is")),
        },
    };
    let window = window(ask.window.as_deref(), PLAN_WINDOW)?;
    let Ok(_turn) = TURN.acquire().await else {
        return Err(Refusal::unavailable("unavailable", "the process ends"));
    };
    let view = api.store.load_full();
    let state = api.switchboard.state();
    let Looked { mut look, since } = look(api, window);
    let told = aside(move || {
        if let Some(look) = &mut look {
            look.narrow(WORK_MAX / (WORK_LEAST + ask.toml.len()));
        }
        let now_s = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
        let name: String = ask.name.as_deref().unwrap_or("routes.toml").chars().take(NAME_MAX).collect();
        let new = match rehearse(&ask.toml, &name, &ask.files, &ProcessEnvironment { now_s }) {
            Ok(new) => new,
            Err(errors) => return plan::wrong(&errors),
        };
        let seen = Seen {
            users: look.as_ref().map_or(0, |look| look.users),
            of: look.as_ref().map_or(0, |look| look.of),
            whole: look.as_ref().is_some_and(|look| look.whole),
            window: window_words(window),
            since,
        };
        let question = Question { now: &view.config, new: &new, state: &state, look: look.as_ref() };
        plan::plan(&question, seen)
    })
    .await?;
    json(&told)
}

/// Users times the file's bytes: some seconds' work. A file of a usual size is held against all users of the sample, a very large one against
/// fewer, and says so.
const WORK_MAX: usize = 4_000_000_000;
const WORK_LEAST: usize = 10_000;

/// More of a file's name is not said again.
const NAME_MAX: usize = 200;

/// `POST /flags/{key}/rules/{rule}/preview`
pub(super) async fn preview(api: &Api, call: &Call) -> Answered {
    let ask: PreviewAsk = body(call)?;
    let percent = percent(ask.percent)?;
    let window = window(ask.window.as_deref(), PREVIEW_WINDOW)?;
    let [key, rule] = two(call);
    let view = api.store.load_full();
    targets::rule(targets::flag(&view.config, key).map_err(Refusal::not_found)?, rule)
        .map_err(Refusal::not_found)?;
    let Looked { look, since } = look(api, window);
    let state = api.switchboard.state();
    let (key, rule) = (key.to_owned(), rule.to_owned());
    let told = aside(move || {
        let mut told = plan::preview(
            &view.config,
            &state,
            (&key, &rule),
            percent,
            &look.clone().unwrap_or_default(),
            (&window_words(window), since),
        );
        if let (Some(told), None) = (&mut told, &look) {
            told.notes = vec![NOBODY_NOTED.to_owned()];
        }
        told
    })
    .await?;
    json(&told.ok_or_else(|| Refusal::not_found("the rule is gone: the file was loaded again meanwhile"))?)
}

const NOBODY_NOTED: &str = "nobody was counted: without records (records.url = \"none\") no user is noted";

/// Who was seen, and since when that is known.
struct Looked {
    look: Option<Look>,
    since: String,
}

fn look(api: &Api, window: Duration) -> Looked {
    let look = api.records.recorder.contexts().map(|contexts| contexts.look(window, clock::uptime()));
    let back = look.as_ref().map_or(Duration::ZERO, |look| look.back);
    let back_ms = u64::try_from(back.as_millis()).unwrap_or(u64::MAX);
    Looked { look, since: clock::rfc3339(clock::unix_ms().saturating_sub(back_ms)) }
}

fn window(text: Option<&str>, unless: Duration) -> Result<Duration, Refusal> {
    let window = text.map_or(Ok(unless), parse_duration);
    match window.map_err(|wrong| Refusal::bad(format!("window: {wrong}")))? {
        Duration::ZERO => {
            Err(Refusal::bad("window: nobody asks in no time; write how far to look back, such as \"1h\""))
        }
        window => Ok(window),
    }
}

/// On a thread of its own: ten thousand users take some hundredths of a second, for which nobody else is to wait.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Refusal::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this ended by a defect of dimmer; see the log. Nothing was changed",
        )
    })
}
