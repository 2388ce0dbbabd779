//! Any parameters and any denied tools on any request: valid JSON comes out, nothing outside of the members in question
//! changes, and a second time changes nothing more.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value, json};

use crate::wire::json::generate::{member, object, space, spelled, text, value};
use crate::wire::{Edits, Endpoint, Fit, PARAMS, Param, ParamEdit, PromptMode, RequestView};

const ENDPOINTS: [Endpoint; 7] = [
    Endpoint::Chat,
    Endpoint::Completions,
    Endpoint::Responses,
    Endpoint::InputTokens,
    Endpoint::Compact,
    Endpoint::Messages,
    Endpoint::CountTokens,
];

/// What tools may touch.
const OF_TOOLS: [&str; 7] =
    ["tools", "functions", "mcp_servers", "tool_choice", "function_call", "parallel_tool_calls", "input"];

fn good_value(param: &'static Param) -> BoxedStrategy<Value> {
    match param.name {
        "temperature" => select(vec![json!(0), json!(0.7), json!(1.5)]).boxed(),
        "top_p" => select(vec![json!(0.25), json!(1)]).boxed(),
        "frequency_penalty" | "presence_penalty" => select(vec![json!(-1.5), json!(2)]).boxed(),
        "max_tokens" | "top_k" | "n" => (1_u64..100).prop_map(Value::from).boxed(),
        "seed" => any::<i64>().prop_map(Value::from).boxed(),
        "stop" => select(vec![json!("x"), json!(["\n", "y"]), json!(["é\"", "z"])]).boxed(),
        "logit_bias" => Just(json!({ "5": 7 })).boxed(),
        "parallel_tool_calls" | "store" => any::<bool>().prop_map(Value::from).boxed(),
        "response_format" => select(vec![
            json!({ "type": "text" }),
            json!({ "type": "json_object" }),
            json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": { "type": "object" } } }),
        ])
        .boxed(),
        _ => select(vec![json!("none"), json!("low"), json!("auto"), json!("default")]).boxed(),
    }
}

fn edit() -> impl Strategy<Value = ParamEdit> {
    select(PARAMS.iter().collect::<Vec<_>>()).prop_flat_map(|param: &'static Param| {
        let part = || {
            option::of(good_value(param)).prop_map(move |json| Some(Arc::new(param.value(&json?).unwrap())))
        };
        (part(), part(), part()).prop_map(move |(set, default, max)| ParamEdit {
            param,
            set,
            default,
            max: max.filter(|_| param.has_order()),
        })
    })
}

/// At most one edit for each parameter, in the vocabulary's order.
fn edits() -> impl Strategy<Value = Vec<ParamEdit>> {
    proptest::collection::vec(edit(), 0..6).prop_map(|mut edits| {
        edits.sort_by_key(|edit| PARAMS.iter().position(|param| param == edit.param));
        edits.dedup_by(|one, other| one.param == other.param);
        edits
    })
}

fn named(name: &'static str, of: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    member(spelled(name).boxed(), of.boxed()).boxed()
}

/// An object of some of these members.
fn object_of(members: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    let optional: Vec<_> = members.into_iter().map(option::of).collect();
    let shuffled =
        optional.prop_flat_map(|drawn| Just(drawn.into_iter().flatten().collect::<Vec<_>>()).prop_shuffle());
    (shuffled, space()).prop_map(|(present, space)| object(&present, &space)).boxed()
}

fn list_of(element: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let spaced = (space(), element, space()).prop_map(|(before, element, after)| before + &element + &after);
    (proptest::collection::vec(spaced, 0..4), space())
        .prop_map(|(elements, space)| match elements.is_empty() {
            true => format!("[{space}]"),
            false => format!("[{}]", elements.join(",")),
        })
        .boxed()
}

fn word(words: &'static [&'static str]) -> BoxedStrategy<String> {
    select(words).prop_map(|word| format!("\"{word}\"")).boxed()
}

fn tool() -> BoxedStrategy<String> {
    let name = || named("name", word(&["a", "shell", "search"]));
    let flat = || {
        object_of(vec![
            named("type", word(&["function", "custom", "search", "mcp", "tool", "auto", "none"])),
            name(),
            named("function", object_of(vec![name()])),
            named("server_label", word(&["a", "search"])),
            named(
                "disable_parallel_tool_use",
                prop_oneof![Just("true".to_owned()), Just("false".to_owned())],
            ),
        ])
    };
    let namespace = list_of(flat()).prop_map(|tools| format!(r#"{{"type":"namespace", "tools" :{tools}}}"#));
    prop_oneof![8 => flat(), 1 => namespace, 1 => value()].boxed()
}

fn choice() -> BoxedStrategy<String> {
    let allowed = list_of(tool()).prop_map(|tools| {
        [
            format!(r#"{{"type":"allowed_tools","tools": {tools}}}"#),
            format!(r#"{{"allowed_tools":{{"tools":{tools}}}}}"#),
        ]
    });
    let allowed =
        (allowed, 0_usize..2).prop_map(|([one, other], which)| if which == 0 { one } else { other });
    prop_oneof![2 => word(&["auto", "required"]), 4 => tool(), 2 => allowed].boxed()
}

/// What is said in a request: messages, and items that bring tools.
fn item() -> BoxedStrategy<String> {
    let message = object_of(vec![
        named("role", word(&["system", "developer", "user"])),
        named("content", value()),
        named("cache_control", value()),
    ]);
    let brings = object_of(vec![
        named("type", word(&["additional_tools", "tool_search_output", "message"])),
        named("role", word(&["developer"])),
        named("tools", list_of(tool())),
    ]);
    prop_oneof![3 => message, 2 => brings, 1 => value()].boxed()
}

/// A request: its text, and its top-level members as they stand there.
fn request() -> impl Strategy<Value = (String, Vec<String>)> {
    let scalar =
        || prop_oneof![Just("null".to_owned()), Just("1e+05".to_owned()), Just("0.70".to_owned()), value()];
    let inner = |names: &[&'static str]| {
        let members = names.iter().map(|name| named(name, value())).collect();
        prop_oneof![6 => object_of(members), 1 => Just("null".to_owned()), 1 => value()]
    };
    let plain =
        ["temperature", "top_p", "max_tokens", "max_completion_tokens", "max_output_tokens", "stop", "seed"];
    let mut members: Vec<BoxedStrategy<String>> = plain.map(|name| named(name, scalar())).to_vec();
    members.extend([
        named("reasoning", inner(&["effort", "summary"])),
        named("text", inner(&["format", "verbosity"])),
        named("output_config", inner(&["effort", "format"])),
        named("response_format", value()),
        named("parallel_tool_calls", value()),
        named("tools", list_of(tool())),
        named("functions", list_of(tool())),
        named("mcp_servers", list_of(tool())),
        named("tool_choice", choice()),
        named("function_call", choice()),
        named("input", list_of(item())),
        named("messages", list_of(item())),
        named("instructions", scalar()),
        named("system", scalar()),
        named("stream_options", inner(&["include_usage"])),
        member(text().boxed(), value()).boxed(),
    ]);
    let optional: Vec<_> = members.into_iter().map(option::of).collect();
    let shuffled =
        optional.prop_flat_map(|drawn| Just(drawn.into_iter().flatten().collect::<Vec<_>>()).prop_shuffle());
    (shuffled, space()).prop_map(|(chunks, space)| (object(&chunks, &space), chunks))
}

fn apply(endpoint: Endpoint, body: &str, edits: &[ParamEdit], denied: &[Box<str>]) -> Option<String> {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let touched: Vec<String> = PARAMS.iter().flat_map(Param::members).map(str::to_owned).collect();
    let view = RequestView::read(endpoint, &bytes, &touched).ok()?;
    let mut changes = Edits::new(&view, &bytes);
    changes.params(edits, false, &mut Vec::new());
    changes.deny_tools(denied, &mut Vec::new());
    String::from_utf8(changes.frames().concat().to_vec()).ok()
}

/// Every kind of change at once, in the order of the stage rewrite.
fn apply_all(
    endpoint: Endpoint,
    body: &str,
    edits: &[ParamEdit],
    denied: &[Box<str>],
    mode: PromptMode,
    fit: &Fit,
) -> Option<String> {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let mut touched: Vec<String> = PARAMS.iter().flat_map(Param::members).map(str::to_owned).collect();
    touched.extend(fit.drop.iter().cloned());
    touched.extend(fit.rename.iter().flat_map(|(from, to)| [from.clone(), to.clone()]));
    let view = RequestView::read(endpoint, &bytes, &touched).ok()?;
    let mut changes = Edits::new(&view, &bytes);
    changes.model(Bytes::from_static(b"\"m\""));
    changes.system_prompt(mode, &Bytes::from_static(b"p\\n")).ok()?;
    changes.params(edits, false, &mut Vec::new());
    changes.deny_tools(denied, &mut Vec::new());
    changes.fit(fit, &mut Vec::new());
    changes.include_usage();
    String::from_utf8(changes.frames().concat().to_vec()).ok()
}

fn fit() -> impl Strategy<Value = Fit> {
    const NAMES: &[&str] = &[
        "temperature",
        "max_tokens",
        "max_completion_tokens",
        "text",
        "tool_choice",
        "tools",
        "input",
        "messages",
        "system",
        "stream_options",
        "z",
    ];
    let name = || select(NAMES).prop_map(str::to_owned);
    let drop = proptest::collection::vec(name(), 0..3);
    let rename = proptest::collection::vec((name(), name()), 0..3);
    let set = proptest::collection::vec((name(), Just("{\"s\":1}".to_owned())), 0..2);
    (drop, rename, set, option::of(1_u64..50)).prop_map(|(drop, rename, set, cap_max_tokens)| Fit {
        drop,
        rename,
        set,
        cap_max_tokens,
    })
}

fn name_of(chunk: &str) -> String {
    let members = serde_json::from_str::<Map<String, Value>>(&format!("{{{chunk}}}")).unwrap();
    members.into_iter().next().unwrap().0
}

proptest! {
    #[test]
    fn only_what_is_named_changes_and_only_once(
        endpoint in select(&ENDPOINTS[..]),
        (body, chunks) in request(),
        edits in edits(),
        denied in proptest::collection::vec(select(&["shell", "search", "mcp"][..]).prop_map(Box::<str>::from), 0..3),
    ) {
        // A name that stands twice by chance is refused: nothing to see here.
        let Some(result) = apply(endpoint, &body, &edits, &denied) else { return Ok(()) };
        let parsed: Result<Map<String, Value>, _> = serde_json::from_str(&result);
        prop_assert!(parsed.is_ok(), "{} became {}", body, result);
        let mut touched: HashSet<&str> = edits.iter().flat_map(|edit| edit.param.members()).collect();
        if !denied.is_empty() {
            touched.extend(OF_TOOLS);
        }
        let mut rest = result.as_str();
        for chunk in chunks.iter().filter(|chunk| !touched.contains(name_of(chunk).as_str())) {
            let found = rest.split_once(chunk.as_str());
            prop_assert!(found.is_some(), "{} is not in {}", chunk, rest);
            rest = found.unwrap().1;
        }
        let again = apply(endpoint, &result, &edits, &denied);
        prop_assert_eq!(again.as_ref(), Some(&result), "of {}", body);
    }

    #[test]
    fn all_changes_together_make_valid_json(
        endpoint in select(&ENDPOINTS[..]),
        (body, chunks) in request(),
        edits in edits(),
        denied in proptest::collection::vec(select(&["shell", "search", "mcp"][..]).prop_map(Box::<str>::from), 0..3),
        mode in select(vec![PromptMode::Replace, PromptMode::Prepend, PromptMode::Append, PromptMode::IfAbsent]),
        fit in fit(),
    ) {
        let Some(result) = apply_all(endpoint, &body, &edits, &denied, mode, &fit) else { return Ok(()) };
        let parsed: Result<Map<String, Value>, _> = serde_json::from_str(&result);
        prop_assert!(parsed.is_ok(), "{} became {}", body, result);
        let mut touched: HashSet<&str> = edits.iter().flat_map(|edit| edit.param.members()).collect();
        touched.extend(OF_TOOLS);
        touched.extend(["model", "messages", "instructions", "system", "stream_options", "max_output_tokens"]);
        touched.extend(["max_tokens", "max_completion_tokens"]);
        let names = fit.rename.iter().flat_map(|(from, to)| [from, to]).chain(&fit.drop);
        touched.extend(names.chain(fit.set.iter().map(|(name, _)| name)).map(String::as_str));
        let mut rest = result.as_str();
        for chunk in chunks.iter().filter(|chunk| !touched.contains(name_of(chunk).as_str())) {
            let found = rest.split_once(chunk.as_str());
            prop_assert!(found.is_some(), "{} is not in {}", chunk, rest);
            rest = found.unwrap().1;
        }
    }
}
