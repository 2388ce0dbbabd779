//! Who gets which variant of a configuration's flags, for contexts that were noted: by the function that serves.

use std::collections::HashSet;

use crate::config::Config;
use crate::flags::{
    Attribute, AttributeValue, By, Context, Flag, FlagState, Rule, VariantIndex, evaluate, open_rule,
};
use crate::names::KillTarget;
use crate::record::NotedContext;
use crate::state::RunState;
use crate::units::Percent;

/// A configuration's flags, with what was set and killed at run time.
pub(super) struct Side<'c> {
    config: &'c Config,
    flags: Vec<SideFlag<'c>>,
}

/// One of them.
pub(super) struct SideFlag<'c> {
    pub(super) flag: &'c Flag,
    /// The routes whose generation requests it decides.
    pub(super) routes: HashSet<&'c str>,
    /// By rule: what replaces the file's percentage.
    pub(super) percents: Vec<Option<Percent>>,
    pub(super) killed: bool,
}

/// What a flag gives somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Assigned {
    /// It decides nothing where they ask.
    NotAsked,
    /// Nobody can tell: the place of the rule that depends on what was not noted.
    Open(usize),
    /// This variant, by the rule at this place.
    Is(VariantIndex, Option<u16>),
}

impl<'c> Side<'c> {
    /// Of a configuration. Overrides count as long as the file says what they replaced, and kills always.
    pub(super) fn new(config: &'c Config, state: &RunState) -> Self {
        let flags = config.flags.iter().map(|flag| SideFlag {
            flag,
            routes: routes(config, flag),
            percents: flag.rules.iter().map(|rule| overriding(flag, rule, state)).collect(),
            killed: state.kills.contains_key(&KillTarget::Flag(flag.key.clone())),
        });
        Self { config, flags: flags.collect() }
    }

    pub(super) fn flag(&self, key: &str) -> Option<&SideFlag<'c>> {
        self.flags.iter().find(|one| one.flag.key.as_str() == key)
    }

    pub(super) fn flags(&self) -> &[SideFlag<'c>] {
        &self.flags
    }

    /// The same with another percentage of one rule.
    pub(super) fn with_percent(mut self, key: &str, place: usize, percent: Percent) -> Self {
        let flags = self.flags.iter_mut().filter(|one| one.flag.key.as_str() == key);
        for slot in flags.filter_map(|one| one.percents.get_mut(place)) {
            *slot = Some(percent);
        }
        self
    }

    /// A context that was noted, as this configuration sees it.
    pub(super) fn recall<'n>(&self, noted: &'n NotedContext) -> Recalled<'n>
    where
        'c: 'n,
    {
        let kept = noted.attributes.iter().zip(&noted.shape.attributes);
        let declared = &self.config.context.attributes;
        let found =
            declared.iter().map(|spec| kept.clone().find(|(_, of)| of.means(spec)).map(|(kept, _)| kept));
        let mut custom: Vec<Option<AttributeValue<'n>>> = Vec::with_capacity(declared.len());
        let mut known = Vec::with_capacity(declared.len());
        for kept in found {
            custom.push(kept.and_then(|kept| Some(kept.value()?.as_value())));
            known.push(kept.is_some_and(|kept| kept.is_known()));
        }
        let client = noted.client.as_deref();
        let client = self.config.clients.iter().find(|one| Some(one.name.as_str()) == client);
        for (place, value) in client.iter().flat_map(|client| &client.attributes) {
            let place = usize::from(*place);
            if let (Some(slot), Some(known)) = (custom.get_mut(place), known.get_mut(place)) {
                (*slot, *known) = (Some(value.as_value()), true);
            }
        }
        Recalled { noted, custom, known }
    }
}

/// A context that was noted, for one configuration.
pub(super) struct Recalled<'n> {
    noted: &'n NotedContext,
    custom: Vec<Option<AttributeValue<'n>>>,
    known: Vec<bool>,
}

impl Recalled<'_> {
    fn context(&self) -> Context<'_> {
        let noted = self.noted;
        Context {
            targeting_key: Some(&noted.key),
            conversation: noted.conversation.value().map(|text| &**text),
            client: noted.client.as_deref(),
            request_id: "",
            route: &noted.route,
            request_model: noted.model.value().map(|text| &**text),
            request_dialect: noted.endpoint.dialect().as_str(),
            request_endpoint: noted.endpoint.as_str(),
            request_stream: noted.stream.value().copied(),
            request_tools: noted.tools.value().map(Vec::as_slice),
            custom: &self.custom,
        }
    }

    fn knows(&self, attribute: Attribute) -> bool {
        let noted = self.noted;
        match attribute {
            Attribute::TargetingKey
            | Attribute::Client
            | Attribute::Route
            | Attribute::RequestDialect
            | Attribute::RequestEndpoint => true,
            Attribute::Conversation => noted.conversation.is_known(),
            Attribute::RequestModel => noted.model.is_known(),
            Attribute::RequestStream => noted.stream.is_known(),
            Attribute::RequestTools => noted.tools.is_known(),
            Attribute::Custom(place) => self.known.get(usize::from(place)).copied().unwrap_or(false),
        }
    }

    /// What the flag gives them; `None` stands for a flag that the configuration does not have.
    pub(super) fn assigned(&self, flag: Option<&SideFlag<'_>>) -> Assigned {
        let Some(flag) = flag.filter(|flag| flag.routes.contains(self.noted.route.as_str())) else {
            return Assigned::NotAsked;
        };
        let state = FlagState { killed: flag.killed, percents: &flag.percents, pinned: None };
        let context = self.context();
        match open_rule(flag.flag, &context, &state, &|attribute| self.knows(attribute)) {
            Some(place) => Assigned::Open(place),
            None => {
                let evaluation = evaluate(flag.flag, &context, &state);
                Assigned::Is(evaluation.variant, evaluation.rule)
            }
        }
    }

    /// Which of the attributes that the rule needs are not known, in the words of the configuration.
    pub(super) fn missing(&self, config: &Config, rule: &Rule) -> Vec<String> {
        let mut names = Vec::new();
        let mut look = |attribute: Attribute| {
            if !self.knows(attribute) {
                let name = name_of(config, attribute);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        };
        rule.when.attributes(&mut look);
        match rule.by {
            By::Attribute(place) => look(Attribute::Custom(place)),
            By::Conversation => look(Attribute::Conversation),
            By::TargetingKey | By::Client | By::Request => {}
        }
        names
    }
}

fn name_of(config: &Config, attribute: Attribute) -> String {
    let name = match attribute {
        Attribute::TargetingKey => "targeting_key",
        Attribute::Conversation => "conversation",
        Attribute::Client => "client",
        Attribute::Route => "route",
        Attribute::RequestModel => "request.model",
        Attribute::RequestDialect => "request.dialect",
        Attribute::RequestEndpoint => "request.endpoint",
        Attribute::RequestStream => "request.stream",
        Attribute::RequestTools => "request.tools",
        Attribute::Custom(place) => {
            let spec = config.context.attributes.get(usize::from(place));
            return spec.map_or_else(String::new, |spec| spec.name.to_string());
        }
    };
    name.to_owned()
}

/// Embeddings are not noted: a flag that chooses their model decides for nobody here.
fn routes<'c>(config: &'c Config, flag: &Flag) -> HashSet<&'c str> {
    let uses = config.routes.iter().filter(|route| {
        let slots = route.flagged_slots();
        slots.iter().any(|(slot, one)| one.key == flag.key && slot != "embeddings.model")
    });
    uses.map(|route| route.name.as_str()).collect()
}

fn overriding(flag: &Flag, rule: &Rule, state: &RunState) -> Option<Percent> {
    let set = state.overrides.get(&(flag.key.clone(), rule.name.clone()))?;
    (set.replaced == rule.serve.percent()).then_some(set.percent)
}
