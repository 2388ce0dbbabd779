//! Which state that a provider holds a request goes on with, and whether its answer is kept to be gone on with.
//!
//! Serves the stage decide: such a request has to go where the state is. Reads the few fields that name it and nothing of
//! what was said.

use std::borrow::Cow;

use super::RequestView;
use crate::wire::json::{Kind, Span, find, string_is, unescape};
use crate::wire::{Endpoint, ParamEdit};

/// What names a provider's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldKind {
    /// Responses: `previous_response_id`.
    PreviousResponse,
    /// Responses: `conversation`, or a conversation's id in the path.
    Conversation,
    /// Messages: `thread` of type `continue`.
    Thread,
    /// The id of a stored answer in the path.
    Stored,
}

impl RequestView {
    /// The state that this request goes on with, and its id.
    pub fn continues<'b>(&self, body: &'b [u8]) -> Option<(HeldKind, Cow<'b, str>)> {
        match self.endpoint {
            Endpoint::Responses | Endpoint::InputTokens | Endpoint::Compact => {
                let previous = self.value(body, "previous_response_id").and_then(|id| text(body, id));
                let conversation = || {
                    let value = self.value(body, "conversation")?;
                    text(body, value).or_else(|| text(body, find(body, value, "id")?))
                };
                previous
                    .map(|id| (HeldKind::PreviousResponse, id))
                    .or_else(|| Some((HeldKind::Conversation, conversation()?)))
            }
            Endpoint::Messages | Endpoint::CountTokens => {
                let thread = self.value(body, "thread")?;
                let goes_on =
                    find(body, thread, "type").is_some_and(|kind| string_is(body, kind, "continue"));
                let id = find(body, thread, "previous_message_id").filter(|_| goes_on)?;
                Some((HeldKind::Thread, text(body, id)?))
            }
            Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings | Endpoint::Other(_) => None,
        }
    }

    /// Whether the provider keeps the answer under its id, when `params` have been brought into the request: Responses unless
    /// `store` is false, Chat Completions where it is true, Messages in a thread.
    pub fn is_kept(&self, body: &[u8], params: &[ParamEdit]) -> bool {
        match self.endpoint {
            Endpoint::Responses => self.store(body, params) != Some(false),
            Endpoint::Chat => self.store(body, params) == Some(true),
            Endpoint::Messages => {
                self.value(body, "thread").is_some_and(|thread| Kind::of(thread.of(body)) == Kind::Object)
            }
            Endpoint::Completions
            | Endpoint::InputTokens
            | Endpoint::Compact
            | Endpoint::CountTokens
            | Endpoint::Embeddings
            | Endpoint::Other(_) => false,
        }
    }

    /// What `store` says when the request leaves.
    fn store(&self, body: &[u8], params: &[ParamEdit]) -> Option<bool> {
        let sent = self.value(body, "store").map(|at| at.of(body)).filter(|sent| *sent != b"null");
        let param = params.iter().find(|edit| edit.param.name == "store");
        let default = |edit: &'_ ParamEdit| edit.default.clone().filter(|_| sent.is_none());
        match param.and_then(|edit| edit.set.clone().or_else(|| default(edit))) {
            Some(value) => value.json().as_bool(),
            None => sent.and_then(|sent| match sent {
                b"true" => Some(true),
                b"false" => Some(false),
                _ => None,
            }),
        }
    }
}

/// A string that is not empty.
fn text(body: &[u8], value: Span) -> Option<Cow<'_, str>> {
    let told = (Kind::of(value.of(body)) == Kind::String).then(|| unescape(value.inside().of(body)))?;
    (!told.is_empty()).then_some(told)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::{JsonFault, Param};

    fn view(endpoint: Endpoint, body: &str) -> RequestView {
        RequestView::read(endpoint, body.as_bytes(), &[]).expect("a request")
    }

    #[test]
    fn the_state_is_found_where_each_api_names_it() {
        let check = |endpoint: Endpoint, body: &str, want: Option<(HeldKind, &str)>| {
            let found = view(endpoint, body).continues(body.as_bytes());
            assert_eq!(found, want.map(|(kind, id)| (kind, Cow::Borrowed(id))), "{body}");
        };
        let responses = Endpoint::Responses;
        let previous = Some((HeldKind::PreviousResponse, "resp_1"));
        let conversation = Some((HeldKind::Conversation, "conv_1"));
        let thread = Some((HeldKind::Thread, "msg_1"));
        check(responses, r#"{"input":"x","previous_response_id":"resp_1"}"#, previous);
        check(responses, r#"{"previous_\u0072esponse_id":"resp_\u0031","conversation":null}"#, previous);
        check(Endpoint::InputTokens, r#"{"previous_response_id":"resp_1"}"#, previous);
        check(Endpoint::Compact, r#"{"previous_response_id":"resp_1"}"#, previous);
        check(responses, r#"{"previous_response_id":"","conversation":"conv_1"}"#, conversation);
        check(responses, r#"{"previous_response_id":null,"conversation":{"id":"conv_1"}}"#, conversation);
        check(responses, r#"{"conversation":{"id":7}}"#, None);
        check(responses, r#"{"previous_response_id":7}"#, None);
        check(responses, r#"{"input":"previous_response_id"}"#, None);
        check(Endpoint::Chat, r#"{"previous_response_id":"resp_1"}"#, None);
        let goes_on = r#"{"thread":{"type":"continue","previous_message_id":"msg_1"}}"#;
        check(Endpoint::Messages, goes_on, thread);
        check(Endpoint::CountTokens, goes_on, thread);
        check(Endpoint::Messages, r#"{"thread":{"type":"create"}}"#, None);
        check(Endpoint::Messages, r#"{"thread":{"previous_message_id":"msg_1"}}"#, None);
        check(Endpoint::Messages, r#"{"thread":{"type":"continue"}}"#, None);
        check(Endpoint::Messages, r#"{"thread":"continue"}"#, None);
    }

    #[test]
    fn what_is_kept_is_each_apis_own_default() {
        let check = |endpoint: Endpoint, body: &str, want: bool| {
            assert_eq!(view(endpoint, body).is_kept(body.as_bytes(), &[]), want, "{endpoint:?} {body}");
        };
        check(Endpoint::Responses, "{}", true);
        check(Endpoint::Responses, r#"{"store":null}"#, true);
        check(Endpoint::Responses, r#"{"store":true,"background":true}"#, true);
        check(Endpoint::Responses, r#"{"store":false}"#, false);
        check(Endpoint::InputTokens, "{}", false);
        check(Endpoint::Chat, "{}", false);
        check(Endpoint::Chat, r#"{"store":true}"#, true);
        check(Endpoint::Messages, "{}", false);
        check(Endpoint::Messages, r#"{"thread":null}"#, false);
        check(Endpoint::Messages, r#"{"thread":{"type":"create"}}"#, true);
        check(Endpoint::Completions, r#"{"store":true}"#, false);
    }

    #[test]
    fn what_params_write_decides() {
        let param = Param::named("store").expect("a parameter");
        let value = |store: Option<bool>| {
            store.map(|store| Arc::new(param.value(&store.into()).expect("it takes true and false")))
        };
        let check = |endpoint: Endpoint, body: &str, set, default, want: bool| {
            let edit = ParamEdit { param, set: value(set), default: value(default), max: None };
            assert_eq!(view(endpoint, body).is_kept(body.as_bytes(), &[edit]), want, "{endpoint:?} {body}");
        };
        let says = |store: bool| format!("{{\"store\":{store}}}");
        check(Endpoint::Responses, &says(false), Some(true), None, true);
        check(Endpoint::Responses, "{}", Some(false), None, false);
        check(Endpoint::Responses, r#"{"store":null}"#, None, Some(false), false);
        check(Endpoint::Responses, &says(true), None, Some(false), true);
        check(Endpoint::Chat, "{}", None, Some(true), true);
        check(Endpoint::Chat, &says(false), None, Some(true), false);
        check(Endpoint::Messages, "{}", Some(true), None, false);
    }

    #[test]
    fn state_that_is_named_twice_is_refused() {
        let check = |endpoint: Endpoint, body: &str| {
            let refused = RequestView::read(endpoint, body.as_bytes(), &[]).map_err(|error| error.what);
            assert_eq!(refused.err(), Some(JsonFault::Duplicate), "{body}");
        };
        check(Endpoint::Responses, r#"{"conversation":{"id":"conv_1","id":"conv_2"}}"#);
        check(Endpoint::Responses, r#"{"conversation":{"id":"conv_1","\u0069d":"conv_2"}}"#);
        check(Endpoint::Messages, r#"{"thread":{"type":"create","type":"continue"}}"#);
        check(Endpoint::CountTokens, r#"{"thread":{"previous_message_id":"a","previous_message_id":"b"}}"#);
    }
}
