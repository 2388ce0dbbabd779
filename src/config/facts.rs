//! What well-known models take and cost: facts of a day, shipped with the program. They make warnings of `check`, pass over a model of a
//! fallback that certainly cannot take a request, and price what has no price in the file.
//!
//! A model whose facts are not known is never compared and never passed over. What the app or a flag asks for itself is called
//! whatever is known of it, and no byte of a request is changed; a request that is translated is written as its model takes it.

mod prices;
mod target;

use std::sync::OnceLock;

use serde::Deserialize;
use toml::value::Datetime;

use crate::config::{Model, ProviderKind};
use crate::names::Pattern;

pub use prices::shipped_price;
pub use target::{known_target, translation_target};

/// All that is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    /// The day on which it was true.
    pub(crate) as_of: Datetime,
    models: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    names: Vec<String>,
    #[serde(skip)]
    patterns: Vec<Pattern>,
    #[serde(flatten)]
    facts: ModelFacts,
}

/// What one model takes. The head of `facts/models.toml` says what each means.
#[derive(Debug, Deserialize)]
pub(crate) struct ModelFacts {
    pub(crate) api: Api,
    #[serde(default = "yes")]
    pub(crate) sampling: bool,
    #[serde(default = "yes")]
    pub(crate) max_tokens: bool,
    #[serde(default = "yes")]
    pub(crate) prefill: bool,
    #[serde(default = "yes")]
    pub(crate) forced_tools: bool,
    #[serde(default = "yes")]
    pub(crate) images: bool,
    #[serde(default = "yes")]
    pub(crate) tools: bool,
    #[serde(default = "yes")]
    pub(crate) schema: bool,
    pub(crate) context: u64,
    pub(crate) context_asked: Option<u64>,
    pub(crate) output: u64,
    pub(crate) ends: Option<Datetime>,
}

/// What a model cannot take, whoever asks: what a fallback is passed over by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelLimits {
    /// The most tokens that it reads.
    pub context: u64,
    /// The most tokens that it writes, where a request that wants more is refused.
    pub output: Option<u64>,
    /// It calls tools.
    pub tools: bool,
    /// It can be made to call one.
    pub forced_tools: bool,
}

impl ModelLimits {
    /// Of a model at its maker's own API. At Azure a name is the operator's, and says nothing; what is simulated has no limits.
    pub fn of(model: &Model) -> Option<Self> {
        let api = match model.provider.kind {
            ProviderKind::OpenAi => Api::OpenAi,
            ProviderKind::Anthropic => Api::Anthropic,
            ProviderKind::AzureOpenAi | ProviderKind::Mock => return None,
        };
        let known = facts()?.of(&model.upstream_model).filter(|known| known.api == api)?;
        let fit = &model.fit;
        let mentions = |name: &String| MAX_TOKENS.contains(&name.as_str());
        // A `fit` of these is the operator's own word on it.
        let mended = fit.cap_max_tokens.is_some()
            || fit.drop.iter().any(mentions)
            || fit.set.iter().any(|(name, _)| mentions(name));
        Some(Self {
            context: known.context_asked.unwrap_or(known.context),
            output: (!mended).then_some(known.output),
            tools: known.tools,
            forced_tools: known.forced_tools,
        })
    }
}

const MAX_TOKENS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Whose API a model is made for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    OpenAi,
    Anthropic,
}

fn yes() -> bool {
    true
}

/// The shipped facts; none where the shipped file cannot be read, which a test rules out.
pub(crate) fn facts() -> Option<&'static Facts> {
    static FACTS: OnceLock<Option<Facts>> = OnceLock::new();
    FACTS.get_or_init(|| Facts::read(SHIPPED).ok()).as_ref()
}

const SHIPPED: &str = include_str!("facts/models.toml");

impl Facts {
    fn read(text: &str) -> Result<Self, toml::de::Error> {
        let mut facts: Self = toml::from_str(text)?;
        for entry in &mut facts.models {
            entry.patterns = entry.names.iter().map(|name| Pattern::new(name)).collect();
        }
        Ok(facts)
    }

    /// What is known of the model that its maker calls so.
    pub(crate) fn of(&self, upstream_model: &str) -> Option<&ModelFacts> {
        let known = |entry: &&Entry| entry.patterns.iter().any(|pattern| pattern.matches(upstream_model));
        self.models.iter().find(known).map(|entry| &entry.facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_facts_are_readable_and_each_name_stands_once() {
        let facts = Facts::read(SHIPPED).unwrap();
        assert!(facts.as_of.date.is_some() && facts.as_of.time.is_none());
        let mut names: Vec<_> = facts.models.iter().flat_map(|entry| &entry.names).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for entry in &facts.models {
            assert!(entry.facts.output <= entry.facts.context, "{:?}", entry.names);
            for name in &entry.names {
                let found = facts.of(&name.replace('*', "2026-01-01")).unwrap();
                assert_eq!(found.context, entry.facts.context, "{name} is taken by an entry above it");
            }
        }
    }

    #[test]
    fn a_dated_name_is_found_by_its_own_entry_first() {
        let facts = facts().unwrap();
        assert!(!facts.of("gpt-4o-2024-05-13").unwrap().schema);
        assert!(facts.of("gpt-4o").unwrap().schema);
        assert!(facts.of("my-own-model").is_none());
    }
}
