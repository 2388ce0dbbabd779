//! What another percentage or another file would change: counted over the users seen, and nothing is changed.

use std::time::Duration;

use crate::clock;
use crate::config::parse_duration;
use crate::control::api::answers::{Answered, body, json, percent, two};
use crate::control::api::refusal::Refusal;
use crate::control::api::shapes::PreviewAsk;
use crate::control::api::{Api, Call};
use crate::control::targets;
use crate::record::Look;
use crate::report::plan::{self, window_words};

/// A preview looks back so far unless it says otherwise: who is there now.
const PREVIEW_WINDOW: Duration = Duration::from_secs(3600);

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
