//! Parameters and denied tools in any body: each parameter is where it belongs with the value that was decided, no denied tool is
//! left, and a second time changes nothing more.

use std::sync::Arc;

use bytes::Bytes;
use dimmer::wire::{Edits, Endpoint, PARAMS, Param, ParamEdit, RequestView};
use serde_json::{Value, json};

use super::body_splice::whole;

/// What two bytes of the input ask for.
pub(super) struct Wishes {
    pub(super) edits: Vec<ParamEdit>,
    pub(super) denied: Vec<Box<str>>,
    pub(super) refuses_sampling: bool,
    pub(super) fits_written: bool,
}

/// What tools may touch.
pub(super) const OF_TOOLS: [&str; 6] =
    ["tools", "functions", "mcp_servers", "tool_choice", "function_call", "parallel_tool_calls"];

/// Names, labels and types by which a tool may be denied.
const DENIABLE: [&str; 4] = ["shell", "search", "mcp", "a\"é"];

impl Wishes {
    pub(super) fn of(parameters: u8, tools: u8) -> Self {
        let mut draws = Draws(u32::from(parameters));
        let edits = PARAMS.iter().filter_map(|param| edit(param, &mut draws)).collect();
        let denied = DENIABLE.iter().enumerate().filter(|(at, _)| tools >> at & 1 != 0);
        Self {
            edits,
            denied: denied.map(|(_, name)| Box::from(*name)).collect(),
            refuses_sampling: tools & 64 != 0,
            fits_written: tools & 128 != 0,
        }
    }
}

/// A small generator: what a mutated byte asks for is something else entirely.
struct Draws(u32);

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (self.0 >> 16) as usize % end
    }
}

/// Every second parameter is left alone.
fn edit(param: &'static Param, draws: &mut Draws) -> Option<ParamEdit> {
    let which = draws.below(8);
    let mut part = |is_given: bool| {
        let values = values(param);
        let value = values.get(draws.below(values.len()))?;
        is_given.then(|| Arc::new(param.value(value).unwrap()))
    };
    let (set, default, max) = (part(which & 1 != 0), part(which & 2 != 0), part(which != 1));
    (which < 4).then_some(ParamEdit { param, set, default, max: max.filter(|_| param.has_order()) })
}

fn values(param: &Param) -> Vec<Value> {
    match param.name {
        "temperature" => vec![json!(0), json!(0.7), json!(1.5)],
        "top_p" => vec![json!(0.25), json!(1)],
        "frequency_penalty" | "presence_penalty" => vec![json!(-1.5), json!(2)],
        "max_tokens" | "top_k" | "n" => vec![json!(1), json!(100)],
        "seed" => vec![json!(-1), json!(i64::MAX)],
        "stop" => vec![json!("x"), json!(["\n", "y"]), json!(["é\"", "z"])],
        "logit_bias" => vec![json!({}), json!({ "5": 7 })],
        "parallel_tool_calls" | "store" => vec![json!(true), json!(false)],
        "response_format" => vec![
            json!({ "type": "text" }),
            json!({ "type": "json_object" }),
            json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": { "type": "object" } } }),
        ],
        _ => vec![json!("none"), json!("low"), json!("auto")],
    }
}

pub(super) fn hold(view: &RequestView, body: &Bytes, touched: &[String], wishes: &Wishes) {
    let result = apply(view, body, wishes);
    let again = RequestView::read(view.endpoint(), &result, touched);
    assert!(again.is_ok(), "{again:?}: {}", String::from_utf8_lossy(&result));
    let again = again.unwrap();
    assert_eq!(apply(&again, &result, wishes), result, "a second time changes nothing");
    let (Some(before), Some(after)) = (whole(body), whole(&result)) else { return };
    for edit in &wishes.edits {
        if let Some(place) = place(view.endpoint(), edit.param, &before) {
            let (was, is) = (before.pointer(&place), after.pointer(&place));
            let wanted = wanted(edit, was.filter(|was| !was.is_null()));
            assert_eq!(is, wanted.as_ref().or(was), "{} of {before}", edit.param.name);
        }
    }
}

fn apply(view: &RequestView, body: &Bytes, wishes: &Wishes) -> Bytes {
    let mut edits = Edits::new(view, body);
    edits.params(&wishes.edits, wishes.refuses_sampling, &mut Vec::new());
    edits.frames().concat()
}

/// Where the API keeps a parameter that it spells as the configuration does; none where it has no place in this request.
fn place(endpoint: Endpoint, param: &Param, request: &Value) -> Option<String> {
    let tools = request["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let inside = |object: &str, field: &str| {
        let open = request.get(object).is_none_or(|value| value.is_object() || value.is_null());
        open.then(|| format!("/{object}/{field}"))
    };
    let items = endpoint == Endpoint::Responses;
    match (endpoint, param.name) {
        (Endpoint::Chat, "max_tokens" | "top_k") | (Endpoint::Responses, "response_format") => None,
        (Endpoint::Responses, "reasoning_effort") => inside("reasoning", "effort"),
        (Endpoint::Responses, "verbosity") => inside("text", "verbosity"),
        (Endpoint::Responses, "max_tokens") => Some("/max_output_tokens".to_owned()),
        (Endpoint::Chat | Endpoint::Responses, "parallel_tool_calls") if !tools => None,
        (Endpoint::Chat | Endpoint::Responses, name) => {
            let only_chat =
                ["top_k", "stop", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "n"];
            (!items || !only_chat.contains(&name)).then(|| format!("/{name}"))
        }
        _ => None,
    }
}

/// What is written; none where the request keeps its own.
fn wanted(edit: &ParamEdit, was: Option<&Value>) -> Option<Value> {
    let given = edit.set.as_ref().or(edit.default.as_ref().filter(|_| was.is_none()));
    let given = given.map(|value| value.json().clone());
    let present = given.as_ref().or(was);
    match (present.and_then(Value::as_f64), &edit.max) {
        (Some(number), Some(max)) if max.number().is_some_and(|max| number > max) => Some(max.json().clone()),
        _ => given,
    }
}

pub(super) fn hold_tools(view: &RequestView, body: &Bytes, touched: &[String], wishes: &Wishes) {
    let result = deny(view, body, wishes);
    let again = RequestView::read(view.endpoint(), &result, touched);
    assert!(again.is_ok(), "{again:?}: {}", String::from_utf8_lossy(&result));
    let again = again.unwrap();
    let left = again.tool_names(&result);
    let is_denied = |name: &String| wishes.denied.iter().any(|denied| **denied == **name);
    assert!(!left.iter().any(is_denied), "{left:?} are left of {:?}", view.tool_names(body));
    assert_eq!(deny(&again, &result, wishes), result, "a second time changes nothing");
    if wishes.denied.is_empty() {
        assert_eq!(result, body, "nothing is denied");
    }
    let (Some(before), Some(after)) = (whole(body), whole(&result)) else { return };
    for list in ["tools", "functions", "mcp_servers"] {
        let (Some(before), Some(after)) = (before[list].as_array(), after[list].as_array()) else { continue };
        // Of a namespace, inner tools may go.
        let plain = |tool: &&Value| tool["type"] != "namespace";
        let mut rest = before.iter().filter(plain);
        assert!(
            after.iter().filter(plain).all(|tool| rest.any(|sent| sent == tool)),
            "{list} keeps what is left"
        );
    }
}

fn deny(view: &RequestView, body: &Bytes, wishes: &Wishes) -> Bytes {
    let mut edits = Edits::new(view, body);
    edits.deny_tools(&wishes.denied, &mut Vec::new());
    edits.frames().concat()
}
