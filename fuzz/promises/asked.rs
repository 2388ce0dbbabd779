//! What is asked of a body, answered again from the whole JSON, in which the last of two members of one name counts.

use dimmer::wire::{Endpoint, HeldKind, RequestView};
use serde_json::Value;

use super::body_splice::whole;

pub(super) fn hold(view: &RequestView, body: &[u8]) {
    let _ = (view.wants_json(body), view.forces_tool(body), view.has_assistant_turn(body));
    let _ = view.text_at(body, &["metadata".to_owned(), "user_id".to_owned()]);
    let key = Some("u1");
    assert_eq!(view.conversation_hash(body, key), view.conversation_hash(body, key));
    let (model, stream) = (view.model(body), view.stream(body));
    let (wants_usage, tools) = (view.wants_usage(body), view.tool_names(body));
    let (continues, is_kept) = (view.continues(body), view.is_kept(body, &[]));

    let Some(json) = whole(body) else { return };
    assert_eq!(model.as_deref(), json["model"].as_str(), "model");
    assert_eq!(stream, json["stream"] == true, "stream");
    if view.endpoint().usage_on_request() {
        assert_eq!(wants_usage, json["stream_options"]["include_usage"] == true, "usage");
    }
    let known = continues.as_ref().map(|(kind, id)| (*kind, &**id));
    assert_eq!(known, held(view.endpoint(), &json), "the state that is gone on with");
    assert_eq!(is_kept, kept(view.endpoint(), &json), "whether the answer is kept");
    if view.endpoint() == Endpoint::Chat {
        assert_eq!(tools, named(&json), "the names of tools");
    }
}

fn held(endpoint: Endpoint, json: &Value) -> Option<(HeldKind, &str)> {
    let said = |value: &'_ Value| value.as_str().is_some_and(|text| !text.is_empty());
    let of = |kind, value: &'_ Value| said(value).then_some(kind);
    match endpoint {
        Endpoint::Responses | Endpoint::InputTokens | Endpoint::Compact => {
            let (previous, conversation) = (&json["previous_response_id"], &json["conversation"]);
            let id = if conversation.is_string() { conversation } else { &conversation["id"] };
            of(HeldKind::PreviousResponse, previous)
                .and_then(|kind| Some((kind, previous.as_str()?)))
                .or_else(|| Some((of(HeldKind::Conversation, id)?, id.as_str()?)))
        }
        Endpoint::Messages | Endpoint::CountTokens if json["thread"]["type"] == "continue" => {
            let id = &json["thread"]["previous_message_id"];
            Some((of(HeldKind::Thread, id)?, id.as_str()?))
        }
        _ => None,
    }
}

fn kept(endpoint: Endpoint, json: &Value) -> bool {
    match endpoint {
        Endpoint::Responses => json["store"] != false,
        Endpoint::Chat => json["store"] == true,
        Endpoint::Messages => json["thread"].is_object(),
        _ => false,
    }
}

/// `name`, or else `function.name`.
fn named(json: &Value) -> Vec<String> {
    let lists = ["tools", "functions"].into_iter().filter_map(|list| json[list].as_array());
    let name =
        |tool: &Value| tool.get("name").unwrap_or(&tool["function"]["name"]).as_str().map(str::to_owned);
    lists.flatten().filter_map(name).collect()
}
