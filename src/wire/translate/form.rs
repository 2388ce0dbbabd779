//! One row for each API: how it is read into the vocabulary and written from it.

use super::answer::{Answers, Reads, Streams, Tell};
use super::ask::Ask;
use super::fields::{Losses, Shape};
use super::node::Node;
use super::{Memory, Refused, Target, chat, messages, responses};
use crate::wire::Endpoint;

/// What an API can be asked to do.
pub(super) struct Form {
    pub(super) endpoint: Endpoint,
    /// Behind the base URL of a provider.
    pub(super) path: &'static str,
    /// As documentation calls it.
    pub(super) title: &'static str,
    /// What becomes of each field of its requests.
    pub(super) shapes: &'static [Shape],
    pub(super) names: &'static Names,
    /// A request of its own becomes the vocabulary's.
    pub(super) read: for<'a> fn(Node<'a>, &mut Losses) -> Result<Ask<'a>, Refused>,
    /// What it writes its answers with.
    pub(super) answers: fn(&Memory) -> Box<dyn Answers>,
    /// The same as a stream.
    pub(super) streams: fn(&Memory) -> Box<dyn Streams>,
    /// Where requests can be sent to it.
    pub(super) provider: Option<Provider>,
}

/// How a provider of this API is spoken to and understood.
pub(super) struct Provider {
    pub(super) write: fn(&Ask<'_>, &Writing<'_>, &mut Losses, &mut Vec<u8>) -> Result<(), Refused>,
    /// Reads a whole answer.
    pub(super) read: for<'a> fn(Node<'a>, Tell<'_>) -> Option<()>,
    /// Reads a stream.
    pub(super) events: fn() -> Box<dyn Reads>,
}

/// For whom a request is written, and whose words its refusals speak.
pub(super) struct Writing<'w> {
    pub(super) target: &'w Target,
    pub(super) names: &'static Names,
}

/// What an API calls what the vocabulary has: for refusals and losses that show only when the request is written.
pub(super) struct Names {
    pub(super) turns: &'static str,
    pub(super) schema: &'static str,
    pub(super) strict: &'static str,
    pub(super) choice: &'static str,
    pub(super) max_output: &'static str,
    pub(super) temperature: &'static str,
    pub(super) top_p: &'static str,
    pub(super) stops: &'static str,
    pub(super) format: &'static str,
    pub(super) effort: &'static str,
    /// That it thinks at all, however much.
    pub(super) thinking: &'static str,
    pub(super) image: &'static str,
    pub(super) detail: &'static str,
    pub(super) document: &'static str,
    pub(super) cached: &'static str,
    /// Its models go on with a last message of the assistant.
    pub(super) prefills: bool,
}

pub(super) static FORMS: [&Form; 3] = [&chat::FORM, &responses::FORM, &messages::FORM];

/// The row of this API.
pub(super) fn form(endpoint: Endpoint) -> Option<&'static Form> {
    FORMS.into_iter().find(|form| form.endpoint == endpoint)
}
