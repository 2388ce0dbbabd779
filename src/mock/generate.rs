//! The four generation calls: what is asked is answered, kept where the API keeps it, and sent at the model's pace.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::sleep_until;

use super::answer::{Answer, answer};
use super::ask::{Ask, flag};
use super::call::{Answered, Call};
use super::failure::Failure;
use super::held::{Stored, Thing};
use super::script::{Pieces, Script};
use super::{chat, completions, messages, responses, stored, threads};

/// `POST /v1/chat/completions`
pub(super) async fn chat(call: &Call<'_>, read: Result<Ask, Failure>) -> Answered {
    let (ask, answer) = match said(call, read).await {
        Ok(said) => said,
        Err(failed) => return failed,
    };
    let created = call.now.as_secs();
    if ask.stream {
        return streamed(call, &answer, chat::stream(&ask, &answer, &call.id, created)).await;
    }
    whole(call, &answer, &chat::whole(&ask, &answer, &call.id, created)).await
}

/// `POST /v1/completions`
pub(super) async fn completion(call: &Call<'_>, read: Result<Ask, Failure>) -> Answered {
    let (ask, answer) = match said(call, read).await {
        Ok(said) => said,
        Err(failed) => return failed,
    };
    let created = call.now.as_secs();
    if ask.stream {
        return streamed(call, &answer, completions::stream(&ask, &answer, &call.id, created)).await;
    }
    whole(call, &answer, &completions::whole(&ask, &answer, &call.id, created)).await
}

/// `POST /v1/messages`, in a thread or not.
pub(super) async fn message(call: &Call<'_>, mut body: Map<String, Value>, weight: usize) -> Answered {
    let thread = match threads::open(&mut body, call.beta, call.held, &call.owner) {
        Ok(thread) => thread,
        Err(failure) => return call.failure(&failure),
    };
    let (ask, answer) = match said(call, messages::read(&body, call.provider.seed, false)).await {
        Ok(said) => said,
        Err(failed) => return failed,
    };
    let message = messages::whole(&ask, &answer, &call.id);
    if let Some(thread) = thread.filter(|_| !(ask.stream && answer.cut_after.is_some())) {
        thread.keep(&message, weight, call.held, &call.owner);
    }
    if ask.stream {
        return streamed(call, &answer, messages::stream(&ask, &answer, &call.id)).await;
    }
    whole(call, &answer, &message).await
}

/// `POST /v1/responses`, following on another one or not, in the background or not.
pub(super) async fn response(call: &Call<'_>, body: Map<String, Value>, weight: usize) -> Answered {
    let (before, carried) = match stored::before(call, &body) {
        Ok(before) => before,
        Err(failure) => return call.failure(&failure),
    };
    let background = flag(&body, "background");
    let store = body.get("store").and_then(Value::as_bool).unwrap_or(true);
    if background && !store {
        let failure = Failure::bad_field("background", "a response in the background must be stored");
        return call.failure(&failure);
    }
    let turn = match responses::read(body, before, &call.id, call.provider.seed) {
        Ok(turn) => turn,
        Err(failure) => return call.failure(&failure),
    };
    let answer = match spoken(call, &turn.ask).await {
        Ok(answer) => answer,
        Err(failed) => return failed,
    };
    let created = call.now.as_secs();
    let object = responses::whole(&turn, &answer, &call.id, created);
    let waits = background && !turn.ask.stream;
    if !(turn.ask.stream && answer.cut_after.is_some()) {
        let items = object.get("output").and_then(Value::as_array).cloned().unwrap_or_default();
        stored::append(call, &turn, &items, weight);
        if store {
            let context = turn.context.iter().cloned().chain(items).collect();
            let done_at = waits.then(|| call.now + answer.pace.whole(answer.output_tokens));
            let kept = Stored { object: object.clone(), given: turn.given.clone(), context, done_at };
            call.held.put(&call.owner, &format!("resp_{}", call.id), Thing::Response(kept), carried + weight);
        }
    }
    if waits {
        return call.json(&responses::unfinished(&turn, &call.id, created, "queued"));
    }
    if turn.ask.stream {
        return streamed(call, &answer, responses::stream(&turn, &answer, &call.id, created)).await;
    }
    whole(call, &answer, &object).await
}

/// What was asked and what the model says, or the failure, when its time has come.
async fn said(call: &Call<'_>, read: Result<Ask, Failure>) -> Result<(Ask, Answer), Answered> {
    let ask = read.map_err(|failure| call.failure(&failure))?;
    let answer = spoken(call, &ask).await?;
    Ok((ask, answer))
}

async fn spoken(call: &Call<'_>, ask: &Ask) -> Result<Answer, Answered> {
    let said = match call.model(&ask.model) {
        Ok(model) => answer(ask, model, call.dialect),
        Err(failure) => Err((failure, Duration::ZERO)),
    };
    match said {
        Ok(answer) => Ok(answer),
        Err((failure, after)) => {
            sleep_until(call.begun + after).await;
            Err(call.failure(&failure))
        }
    }
}

/// A real provider's status comes with its first event.
async fn streamed(call: &Call<'_>, answer: &Answer, pieces: Pieces) -> Answered {
    sleep_until(call.begun + answer.pace.first()).await;
    call.events(Script::new(call.begun, pieces))
}

async fn whole(call: &Call<'_>, answer: &Answer, object: &Value) -> Answered {
    sleep_until(call.begun + answer.pace.whole(answer.output_tokens)).await;
    call.json(object)
}
