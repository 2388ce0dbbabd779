//! Parameters: one vocabulary for all APIs, and where each API keeps what it names.
//!
//! Serves config (which values fit), rewrite (what is written) and `docs/parameters.md`, whose table a test makes from
//! [`PARAMS`]. The names are Chat Completions' own wherever it has one, because they are the widest known.

mod apply;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

pub use value::ParamValue;

use self::Place::{EitherOf, Idle, Inside, Member, Nowhere, Same};
use super::Endpoint;
use value::{Form, Kind};

/// A parameter of the vocabulary.
#[derive(Debug)]
pub struct Param {
    /// What the configuration and `x-dimmer-dropped` call it.
    pub name: &'static str,
    kind: Kind,
    /// How a value is spelled where the APIs spell it differently.
    form: Form,
    /// By [`Family`].
    places: [Place; FAMILIES],
    /// Which of the calls that count or shorten take it as well, at the place where their API's generation has it.
    counting: &'static [Endpoint],
    /// Anthropic refuses it from [`NO_SAMPLING_FROM`] on.
    sampling: bool,
    /// It means something only where the request brings tools, and OpenAI refuses it elsewhere.
    of_tools: bool,
}

/// Where an API keeps a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The member of the same name.
    Same,
    /// A member of another name.
    Member(&'static str),
    /// The ones of these two that the request has; the second where it has none.
    EitherOf(&'static str, &'static str),
    /// A member of a member.
    Inside(&'static str, &'static str),
    /// It has none: what would be written is dropped, and this is said.
    Nowhere,
    /// The call generates nothing, and what it does is the same without.
    Idle,
}

/// The generation calls, as places in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Chat,
    Completions,
    Responses,
    Messages,
}

const FAMILIES: usize = 4;

/// What a decision does with one parameter. Each part is given, or is the request's own affair.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamEdit {
    /// Which.
    pub param: &'static Param,
    /// Written whatever the request says.
    pub set: Option<Arc<ParamValue>>,
    /// Written where the request says nothing, or `null`.
    pub default: Option<Arc<ParamValue>>,
    /// What is above becomes it.
    pub max: Option<Arc<ParamValue>>,
}

/// The vocabulary. The places are Chat Completions, Completions, Responses, Messages.
pub static PARAMS: &[Param] = &[
    Param {
        sampling: true,
        form: Form::UpToOne,
        ..param("temperature", Kind::Number(0, 2), [Same; FAMILIES])
    },
    Param { sampling: true, ..param("top_p", Kind::Number(0, 1), [Same; FAMILIES]) },
    Param { sampling: true, ..param("top_k", Kind::Count(COUNT_MAX), [Nowhere, Nowhere, Nowhere, Same]) },
    param(
        "max_tokens",
        Kind::Count(COUNT_MAX),
        [EitherOf("max_completion_tokens", "max_tokens"), Same, Member("max_output_tokens"), Same],
    ),
    Param { form: Form::Stop, ..param("stop", Kind::Stop, [Same, Same, Nowhere, Member("stop_sequences")]) },
    param("seed", Kind::Whole, [Same, Same, Nowhere, Nowhere]),
    param("frequency_penalty", Kind::Number(-2, 2), [Same, Same, Nowhere, Nowhere]),
    param("presence_penalty", Kind::Number(-2, 2), [Same, Same, Nowhere, Nowhere]),
    param("logit_bias", Kind::Bias, [Same, Same, Nowhere, Nowhere]),
    param("n", Kind::Count(128), [Same, Same, Nowhere, Nowhere]),
    Param {
        form: Form::Effort,
        counting: COUNTS,
        ..param(
            "reasoning_effort",
            Kind::Text,
            [Same, Nowhere, Inside("reasoning", "effort"), Inside("output_config", "effort")],
        )
    },
    Param {
        counting: &[Endpoint::InputTokens],
        ..param("verbosity", Kind::Text, [Same, Nowhere, Inside("text", "verbosity"), Nowhere])
    },
    Param {
        form: Form::Tier,
        counting: &[Endpoint::Compact],
        ..param("service_tier", Kind::Text, [Same, Nowhere, Same, Same])
    },
    Param {
        form: Form::Not,
        counting: COUNTS,
        of_tools: true,
        ..param(
            "parallel_tool_calls",
            Kind::Bool,
            [Same, Nowhere, Same, Inside("tool_choice", "disable_parallel_tool_use")],
        )
    },
    Param {
        form: Form::Format,
        counting: COUNTS,
        ..param(
            "response_format",
            Kind::Format,
            [Same, Nowhere, Inside("text", "format"), Inside("output_config", "format")],
        )
    },
    Param {
        counting: &[Endpoint::Compact],
        ..param("prompt_cache_key", Kind::Text, [Same, Nowhere, Same, Nowhere])
    },
    param("store", Kind::Bool, [Same, Nowhere, Same, Nowhere]),
];

/// The calls that count, in either API.
const COUNTS: &[Endpoint] = &[Endpoint::InputTokens, Endpoint::CountTokens];

/// More tokens than any model writes: a larger number is a mistake.
const COUNT_MAX: u64 = 1_000_000_000;

const fn param(name: &'static str, kind: Kind, places: [Place; FAMILIES]) -> Param {
    Param { name, kind, form: Form::Plain, places, counting: &[], sampling: false, of_tools: false }
}

impl PartialEq for Param {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Param {}

impl Param {
    /// The parameter called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        PARAMS.iter().find(|param| param.name == name)
    }

    /// Whether its values have an order, so that `max` means something.
    pub fn has_order(&self) -> bool {
        matches!(self.kind, Kind::Number(..) | Kind::Count(_))
    }

    /// Whether its values are tables.
    pub fn is_table(&self) -> bool {
        matches!(self.kind, Kind::Bias | Kind::Format)
    }

    /// Top-level members that it may write, in any API.
    pub fn members(&self) -> impl Iterator<Item = &'static str> {
        let of_place = |place: Place| match place {
            Same => [Some(self.name), None],
            Member(name) | Inside(name, _) => [Some(name), None],
            EitherOf(one, other) => [Some(one), Some(other)],
            Nowhere | Idle => [None, None],
        };
        self.places.into_iter().flat_map(of_place).flatten()
    }

    /// Whether the call that `endpoint` names knows it.
    pub fn has_place(&self, endpoint: Endpoint) -> bool {
        !matches!(self.place(endpoint), Nowhere | Idle)
    }

    fn place(&self, endpoint: Endpoint) -> Place {
        let generates = endpoint.answers() || self.counting.contains(&endpoint);
        match Family::of(endpoint).filter(|_| generates) {
            Some(family) => self.places.get(family as usize).copied().unwrap_or(Idle),
            None => Idle,
        }
    }
}

impl Family {
    fn of(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::Chat => Some(Self::Chat),
            Endpoint::Completions => Some(Self::Completions),
            Endpoint::Responses | Endpoint::InputTokens | Endpoint::Compact => Some(Self::Responses),
            Endpoint::Messages | Endpoint::CountTokens => Some(Self::Messages),
            Endpoint::Embeddings | Endpoint::Other(_) => None,
        }
    }
}

/// The first `anthropic-version` under which sampling parameters are a 400.
const NO_SAMPLING_FROM: (u16, u8, u8) = (2026, 10, 21);

/// Whether Anthropic refuses sampling parameters under this `anthropic-version`. What is no date forbids nothing: what it
/// means is the provider's affair.
pub fn refuses_sampling(version: &str) -> bool {
    date(version.trim()).is_some_and(|date| date >= NO_SAMPLING_FROM)
}

/// `2026-10-21`
fn date(text: &str) -> Option<(u16, u8, u8)> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let sound = digits(year, 4) && digits(month, 2) && digits(day, 2) && parts.next().is_none();
    sound.then_some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))
}
