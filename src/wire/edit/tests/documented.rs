//! `docs/rewriting.md`, held to its word.

use bytes::Bytes;
use serde::Deserialize;

use super::apply;
use crate::wire::{Edits, Endpoint, Fit, PromptMode};

const PAGE: &str = include_str!("../../../../docs/rewriting.md");
const PROMPT: &[u8] = b"Answer briefly.";

/// What an example sets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    model: Option<String>,
    system_prompt: Option<Prompt>,
    #[serde(default)]
    fit: FitTable,
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

#[test]
fn every_example_of_the_page_holds() {
    let fences: Vec<(&str, &str)> = PAGE
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|fence| fence.split_once('\n').unwrap())
        .map(|(info, text)| (info, text.trim_end()))
        .collect();
    assert_eq!(fences.len() % 3, 0);
    assert!(fences.len() / 3 >= 20, "the page lost its examples");
    for example in fences.chunks(3) {
        let [(request, body), ("toml", setting), ("json result", expected)] = example else {
            panic!("not request, setting, result: {example:?}");
        };
        let endpoint = match *request {
            "json chat request" => Endpoint::Chat,
            "json messages request" => Endpoint::Messages,
            "json responses request" => Endpoint::Responses,
            other => panic!("no request: {other}"),
        };
        let setting: Setting = toml::from_str(setting).unwrap();
        let (result, _) = apply(endpoint, body, |edits, _| setting.apply(edits));
        assert_eq!(&result, expected, "of {body}");
    }
}
