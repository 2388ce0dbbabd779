//! `docs/rewriting.md` and `docs/parameters.md`, held to their word.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::apply;
use crate::wire::{Edits, Endpoint, Fit, PARAMS, Param, ParamEdit, PromptMode};

const PAGE: &str = include_str!("../../../../docs/rewriting.md");
const PARAMETERS: &str = include_str!("../../../../docs/parameters.md");
const PROMPT: &[u8] = b"Answer briefly.";

/// What an example sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    model: Option<String>,
    system_prompt: Option<Prompt>,
    #[serde(default)]
    fit: FitTable,
    #[serde(default)]
    params: toml::Table,
    #[serde(default)]
    tools: Tools,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tools {
    deny: Vec<Box<str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prompt {
    mode: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FitTable {
    drop: Vec<String>,
    rename: toml::Table,
    set: toml::Table,
    cap_max_tokens: Option<u64>,
}

impl Setting {
    fn apply(&self, edits: &mut Edits) {
        if let Some(model) = &self.model {
            edits.model(Bytes::from(format!("{model:?}")));
        }
        if let Some(prompt) = &self.system_prompt {
            let mode = match prompt.mode.as_str() {
                "replace" => PromptMode::Replace,
                "prepend" => PromptMode::Prepend,
                "append" => PromptMode::Append,
                "if_absent" => PromptMode::IfAbsent,
                other => panic!("no mode: {other}"),
            };
            assert!(edits.system_prompt(mode, &Bytes::from_static(PROMPT)).unwrap());
        }
        let written = |param: &Param| self.params.get_key_value(param.name);
        let params: Vec<ParamEdit> = PARAMS.iter().filter_map(written).map(param).collect();
        assert_eq!(params.len(), self.params.len(), "{:?}", self.params);
        edits.params(&params, false, &mut Vec::new());
        edits.deny_tools(&self.tools.deny, &mut Vec::new());
        let rename = self.fit.rename.iter().map(|(from, to)| (from.clone(), to.as_str().unwrap().to_owned()));
        let set =
            self.fit.set.iter().map(|(name, value)| (name.clone(), serde_json::to_string(value).unwrap()));
        let fit = Fit {
            drop: self.fit.drop.clone(),
            rename: rename.collect(),
            set: set.collect(),
            cap_max_tokens: self.fit.cap_max_tokens,
        };
        edits.fit(&fit, &mut Vec::new());
    }
}

/// As the configuration reads it, but for flags.
fn param((name, value): (&String, &toml::Value)) -> ParamEdit {
    let param = Param::named(name).unwrap();
    let parts = value.as_table().filter(|table| table.contains_key("default") || table.contains_key("max"));
    let read = |value: &toml::Value| {
        let json = serde_json::to_value(value).unwrap();
        Arc::new(param.value(&json).unwrap())
    };
    let part = |name: &str| parts.and_then(|table| table.get(name)).map(read);
    let set = parts.is_none().then(|| read(value));
    ParamEdit { param, set, default: part("default"), max: part("max") }
}

#[test]
fn every_example_of_the_pages_holds() {
    assert!(examples(PAGE) >= 20, "the page lost its examples");
    assert!(examples(PARAMETERS) >= 9, "the page lost its examples");
}

/// Holds each request, setting and result that stand together; tells how many there are.
fn examples(page: &str) -> usize {
    let fences: Vec<(&str, &str)> = page
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|fence| fence.split_once('\n').unwrap())
        .map(|(info, text)| (info, text.trim_end()))
        .collect();
    let is_result = |(info, _): &&(&str, &str)| *info == "json result";
    let results = fences.iter().filter(is_result).count();
    let mut held = 0;
    for example in fences.windows(3) {
        let [(request, body), ("toml", setting), ("json result", expected)] = example else { continue };
        let endpoint = match *request {
            "json chat request" => Endpoint::Chat,
            "json messages request" => Endpoint::Messages,
            "json responses request" => Endpoint::Responses,
            other => panic!("no request: {other}"),
        };
        let setting: Setting = toml::from_str(setting).unwrap();
        let (result, _) = apply(endpoint, body, |edits, _| setting.apply(edits));
        assert_eq!(&result, expected, "of {body}");
        held += 1;
    }
    assert_eq!(held, results, "each result has its request and its setting");
    held
}
