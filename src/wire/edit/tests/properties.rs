//! Edits of generated requests against a reference that works on parsed values, and the promise that every byte
//! outside an edit stays.

use std::collections::HashSet;

use bytes::Bytes;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value, json};

use super::apply;
use crate::wire::json::generate::{member, number, object, space, spelled, text, value};
use crate::wire::{Edits, Endpoint, Fit, PromptMode, RequestView};

/// A generated request, with what has to come out unchanged.
#[derive(Clone, Debug)]
struct Request {
    endpoint: Endpoint,
    body: String,
    /// Top-level members with the white space around them.
    chunks: Vec<String>,
    /// The messages without the white space around them.
    messages: Vec<String>,
}

/// Edits as they are asked for.
#[derive(Clone, Debug)]
struct Wish {
    model: Option<String>,
    prompt: Option<(PromptMode, String)>,
    usage: bool,
    fit: Fit,
}

/// What `fit` may name in these tests.
const FITTED: [&str; 8] = [
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "stream_options",
    "system",
    "é\"x",
];

fn named(name: &'static str, value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    member(spelled(name).boxed(), value.boxed()).boxed()
}

/// An object of members that are there or not, in any order.
fn object_of(members: Vec<BoxedStrategy<String>>) -> BoxedStrategy<String> {
    let unknown = member(text().boxed(), value()).boxed();
    let optional: Vec<_> = members.into_iter().chain([unknown]).map(option::of).collect();
    let shuffled =
        optional.prop_flat_map(|drawn| Just(drawn.into_iter().flatten().collect::<Vec<_>>()).prop_shuffle());
    (shuffled, space()).prop_map(|(present, space)| object(&present, &space)).boxed()
}

fn quoted_text() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("\"{text}\""))
}

fn marker() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("{ \"type\":\"ephemeral\" }".to_owned()),
        1 => Just("{\"type\":\"ephemeral\",\"ttl\" :\"1h\"}".to_owned()),
        1 => Just("null".to_owned()),
    ]
}

fn block() -> BoxedStrategy<String> {
    object_of(vec![
        named("type", Just("\"text\"".to_owned())),
        named("text", quoted_text()),
        named("cache_control", marker()),
        named("prompt_cache_breakpoint", marker()),
    ])
}

fn list(of: BoxedStrategy<String>) -> impl Strategy<Value = (String, Vec<String>)> {
    let spaced = (space(), of, space());
    (proptest::collection::vec(spaced, 0..4), space()).prop_map(|(elements, space)| {
        let inside: Vec<_> =
            elements.iter().map(|(before, element, after)| format!("{before}{element}{after}")).collect();
        let text = if inside.is_empty() { space } else { inside.join(",") };
        (format!("[{text}]"), elements.into_iter().map(|(_, element, _)| element).collect())
    })
}

fn message() -> BoxedStrategy<String> {
    let roles = ["\"system\"", "\"sys\\u0074em\"", "\"developer\"", "\"user\"", "\"assistant\""];
    let content =
        prop_oneof![quoted_text(), Just("null".to_owned()), list(block()).prop_map(|(list, _)| list)];
    let with_role = (
        proptest::sample::select(roles.to_vec()),
        object_of(vec![
            named("content", content),
            named("name", quoted_text()),
            named("cache_control", marker()),
        ]),
    );
    let message = with_role.prop_map(|(role, object)| match object.strip_prefix('{') {
        Some(rest) if rest.trim_start().starts_with('}') => format!("{{\"role\":{role}}}"),
        Some(rest) => format!("{{ \"role\" :{role},{rest}"),
        None => object,
    });
    prop_oneof![8 => message, 1 => value()].boxed()
}

fn request() -> impl Strategy<Value = Request> {
    let system = prop_oneof![
        quoted_text(),
        Just("\"\"".to_owned()),
        Just("null".to_owned()),
        list(prop_oneof![5 => block(), 1 => value()].boxed()).prop_map(|(list, _)| list),
    ];
    let options = prop_oneof![
        object_of(vec![named(
            "include_usage",
            prop_oneof![Just("true".to_owned()), Just("false".to_owned())]
        )]),
        Just("null".to_owned()),
    ];
    let optional = vec![
        option::of(named("model", quoted_text())).boxed(),
        option::of(named("system", system)).boxed(),
        option::of(named("stream_options", options)).boxed(),
        option::of(named("temperature", number())).boxed(),
        option::of(named("stop", value())).boxed(),
        option::of(named("max_tokens", number())).boxed(),
        option::of(named("max_completion_tokens", prop_oneof![number(), value()])).boxed(),
        option::of(member(text().boxed(), value())).boxed(),
        option::of(member(text().boxed(), value())).boxed(),
    ];
    let messages =
        list(message()).prop_flat_map(|(array, messages)| (named("messages", Just(array)), Just(messages)));
    let endpoint = prop_oneof![Just(Endpoint::Chat), Just(Endpoint::Messages)];
    (endpoint, optional, messages, space(), space()).prop_flat_map(
        |(endpoint, optional, messages, before, after)| {
            let (array, messages) = messages;
            let chunks: Vec<String> = optional.into_iter().flatten().chain([array]).collect();
            Just(chunks).prop_shuffle().prop_map(move |chunks| Request {
                endpoint,
                body: format!("{before}{}{after}", object(&chunks, "")),
                chunks,
                messages: messages.clone(),
            })
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    let modes = [PromptMode::Replace, PromptMode::Prepend, PromptMode::Append, PromptMode::IfAbsent];
    let name = || proptest::sample::select(&FITTED).prop_map(str::to_owned);
    let fit = (
        proptest::collection::vec(name(), 0..4),
        proptest::collection::vec((name(), name()), 0..3),
        proptest::collection::vec((name(), value()), 0..3),
        option::of(0_u64..5000),
    );
    let fit = prop_oneof![
        1 => Just(Fit::default()),
        3 => fit.prop_map(|(drop, rename, set, cap_max_tokens)| Fit { drop, rename, set, cap_max_tokens }),
    ];
    let prompt = option::of((proptest::sample::select(modes.to_vec()), "[a-z ]{1,9}(\\\\n|\\\\\"|é)?"));
    (option::of("[a-z0-9-]{1,9}"), prompt, any::<bool>(), fit).prop_map(|(model, prompt, usage, fit)| Wish {
        model,
        prompt,
        usage,
        fit,
    })
}

impl Wish {
    fn ask(&self, edits: &mut Edits, dropped: &mut Vec<String>) {
        if let Some(model) = &self.model {
            edits.model(Bytes::from(format!("\"{model}\"")));
        }
        if let Some((mode, text)) = &self.prompt {
            edits.system_prompt(*mode, &Bytes::from(text.clone())).unwrap();
        }
        if self.usage {
            edits.include_usage();
        }
        edits.fit(&self.fit, dropped);
    }

    /// The top-level fields that may change.
    fn touched(&self) -> HashSet<String> {
        let mut names: HashSet<String> = HashSet::new();
        names.extend(self.model.is_some().then(|| "model".to_owned()));
        names.extend(self.usage.then(|| "stream_options".to_owned()));
        if self.prompt.is_some() {
            names.extend(["messages".to_owned(), "system".to_owned()]);
        }
        if self.fit.cap_max_tokens.is_some() {
            names.extend(["max_tokens".to_owned(), "max_completion_tokens".to_owned()]);
        }
        names.extend(self.fit.drop.iter().cloned());
        names.extend(self.fit.rename.iter().flat_map(|(from, to)| [from.clone(), to.clone()]));
        names.extend(self.fit.set.iter().map(|(name, _)| name.clone()));
        names
    }
}

/// The same edits on parsed values.
fn reference(request: &Request, wish: &Wish) -> (Value, Vec<String>) {
    let mut body: Map<String, Value> = serde_json::from_str(&request.body).unwrap();
    let mut sent: HashSet<String> = body.keys().cloned().collect();
    if let Some(model) = &wish.model {
        body.insert("model".into(), json!(model));
    }
    if let Some((mode, text)) = &wish.prompt {
        let text: Value = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        reference_prompt(request.endpoint, &mut body, *mode, text.as_str().unwrap());
    }
    if wish.usage && request.endpoint == Endpoint::Chat {
        let options = body.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = json!(true);
    }
    let mut dropped = Vec::new();
    for name in &wish.fit.drop {
        if body.remove(name).is_some() && sent.remove(name) {
            dropped.push(name.clone());
        }
    }
    for (from, to) in wish.fit.rename.iter().filter(|(from, to)| from != to) {
        let Some(moved) = body.remove(from) else { continue };
        let was_sent = sent.remove(from);
        if body.get(to).is_none_or(Value::is_null) {
            body.insert(to.clone(), moved);
            sent.extend(was_sent.then(|| to.clone()));
        } else if was_sent {
            dropped.push(from.clone());
        }
    }
    for (name, value) in &wish.fit.set {
        body.insert(name.clone(), serde_json::from_str(value).unwrap());
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some((cap, Value::Number(number))) = wish.fit.cap_max_tokens.zip(body.get(name)) else {
            continue;
        };
        if number.as_f64().unwrap() > cap as f64 {
            body.insert(name.into(), json!(cap));
        }
    }
    (Value::Object(body), dropped)
}

fn reference_prompt(endpoint: Endpoint, body: &mut Map<String, Value>, mode: PromptMode, text: &str) {
    let is_system = |message: &Value| {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        role == "system" || (role == "developer" && endpoint == Endpoint::Chat)
    };
    let messages = body["messages"].as_array().unwrap().clone();
    let count = messages.iter().take_while(|message| is_system(message)).count();
    let (leading, rest) = messages.split_at(count);
    let new_message = |role: &Value| json!({"role": role, "content": text});
    if endpoint == Endpoint::Chat {
        let role = |first: Option<&Value>| first.map_or(json!("system"), |message| message["role"].clone());
        let leading = match mode {
            _ if leading.is_empty() => vec![new_message(&json!("system"))],
            PromptMode::IfAbsent => leading.to_vec(),
            PromptMode::Prepend => [&[new_message(&role(leading.first()))], leading].concat(),
            PromptMode::Append => [leading, &[new_message(&role(leading.last()))]].concat(),
            PromptMode::Replace => vec![reference_replaced(leading, text)],
        };
        body.insert("messages".into(), [leading.as_slice(), rest].concat().into());
        return;
    }
    let system =
        body.get("system").cloned().filter(|system| ![json!(null), json!(""), json!([])].contains(system));
    let block = json!({"type": "text", "text": text});
    let new = match (mode, &system) {
        (PromptMode::IfAbsent, system) if system.is_some() || count > 0 => return,
        (PromptMode::Append, _) if count > 0 => {
            let all = [leading, &[new_message(&json!("system"))], rest].concat();
            body.insert("messages".into(), all.into());
            return;
        }
        (PromptMode::Replace, _) => {
            body.insert("messages".into(), rest.into());
            let blocks = system.as_ref().and_then(Value::as_array).cloned();
            let own = blocks.as_deref().and_then(reference_marked);
            match leading.iter().filter_map(reference_marker).next_back().map(|(_, fields)| fields).or(own) {
                Some(fields) => json!([merged(block, &fields)]),
                None if blocks.is_some() => json!([block]),
                None => json!(text),
            }
        }
        (_, None) => json!(text),
        (PromptMode::Prepend, Some(Value::String(own))) => json!(format!("{text}\n\n{own}")),
        (_, Some(Value::String(own))) => json!(format!("{own}\n\n{text}")),
        (PromptMode::Prepend, Some(own)) => [&[block], own.as_array().unwrap().as_slice()].concat().into(),
        (_, Some(own)) => [own.as_array().unwrap().as_slice(), &[block]].concat().into(),
    };
    body.insert("system".into(), new);
}

/// The first leading message of a chat with the text of all.
fn reference_replaced(leading: &[Value], text: &str) -> Value {
    let mut first = leading[0].clone();
    let had_parts = first.get("content").is_some_and(Value::is_array);
    let object = first.as_object_mut().unwrap();
    object.remove("cache_control");
    object.remove("prompt_cache_breakpoint");
    let part = json!({"type": "text", "text": text});
    let plain = if had_parts { json!([part]) } else { json!(text) };
    let content = match leading.iter().filter_map(reference_marker).next_back() {
        Some((true, fields)) => {
            object.extend(fields);
            plain
        }
        Some((false, fields)) => json!([merged(part, &fields)]),
        None => plain,
    };
    object.insert("content".into(), content);
    first
}

fn merged(mut block: Value, fields: &Map<String, Value>) -> Value {
    block.as_object_mut().unwrap().extend(fields.clone());
    block
}

/// The marker of a message, and whether it stands on the message itself.
fn reference_marker(message: &Value) -> Option<(bool, Map<String, Value>)> {
    let on_part = || reference_marked(message.get("content")?.as_array()?).map(|fields| (false, fields));
    reference_marked(std::slice::from_ref(message)).map(|fields| (true, fields)).or_else(on_part)
}

fn reference_marked(blocks: &[Value]) -> Option<Map<String, Value>> {
    blocks.iter().rev().find_map(|block| {
        let fields = ["cache_control", "prompt_cache_breakpoint"].into_iter().filter_map(|name| {
            Some((name.to_owned(), block.get(name).filter(|value| !value.is_null())?.clone()))
        });
        Some(fields.collect::<Map<_, _>>()).filter(|fields| !fields.is_empty())
    })
}

/// Whether the parts stand in `text` in this order, without overlapping.
fn in_order<'p>(mut text: &str, parts: impl IntoIterator<Item = &'p String>) -> Result<(), &'p str> {
    for part in parts {
        let (_, after) = text.split_once(part.as_str()).ok_or(part.as_str())?;
        text = after;
    }
    Ok(())
}

fn name_of(chunk: &str) -> String {
    let (name, _) = serde_json::from_str::<Map<String, Value>>(&format!("{{{chunk}}}"))
        .unwrap()
        .into_iter()
        .next()
        .unwrap();
    name
}

proptest! {
    #[test]
    fn without_an_edit_every_byte_stays(request in request()) {
        let (result, _) = apply(request.endpoint, &request.body, |_, _| ());
        prop_assert_eq!(result, request.body);
    }

    #[test]
    fn edits_mean_what_the_reference_means_and_leave_the_rest(request in request(), wish in wish()) {
        let (result, dropped) = apply(request.endpoint, &request.body, |edits, dropped| wish.ask(edits, dropped));
        let (expected, expected_dropped) = reference(&request, &wish);
        let parsed: Value = serde_json::from_str(&result).unwrap();
        prop_assert_eq!(&parsed, &expected, "{}", result);
        prop_assert_eq!(dropped, expected_dropped);

        let touched = wish.touched();
        let untouched = request.chunks.iter().filter(|chunk| !touched.contains(&name_of(chunk)));
        prop_assert_eq!(in_order(&result, untouched), Ok(()), "{}", result);

        // Messages that are not replaced keep their bytes too.
        let replaces = wish.prompt.as_ref().is_some_and(|(mode, _)| *mode == PromptMode::Replace);
        let sent: Value = serde_json::from_str(&request.body).unwrap();
        let is_leading = |message: &&Value| match message.get("role").and_then(Value::as_str) {
            Some("developer") => request.endpoint == Endpoint::Chat,
            role => role == Some("system"),
        };
        let leading = sent["messages"].as_array().unwrap().iter().take_while(is_leading).count();
        let kept = request.messages.iter().skip(if replaces { leading } else { 0 });
        prop_assert_eq!(in_order(&result, kept), Ok(()), "{}", result);
    }

    #[test]
    fn readers_of_the_first_and_of_the_last_see_the_same(request in request(), wish in wish()) {
        let (result, _) = apply(request.endpoint, &request.body, |edits, dropped| wish.ask(edits, dropped));
        let touched: Vec<String> = wish.touched().into_iter().chain(FITTED.map(str::to_owned)).collect();
        let again = RequestView::read(request.endpoint, result.as_bytes(), &touched);
        prop_assert!(again.is_ok(), "{:?}: {}", again, result);
        let again = again.unwrap();
        if let Some(model) = wish.model {
            let asked = again.model(result.as_bytes()).map(String::from);
            prop_assert_eq!(asked, Some(model));
        }
    }
}
