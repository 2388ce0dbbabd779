//! What is noted of the contexts that are seen: what some rule of some flag looks at or is cut by, and nothing else of a user.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::flags::{Attribute, By};
use crate::record::{Shape, ShapeOf};

/// Of this configuration.
pub(super) fn shape(config: &Config) -> Shape {
    let mut shape = Shape::default();
    let mut places = BTreeSet::new();
    let mut look = |attribute: Attribute| match attribute {
        Attribute::Custom(place) => places.extend([place]),
        Attribute::Conversation => shape.conversation = true,
        Attribute::RequestModel => shape.model = true,
        Attribute::RequestTools => shape.tools = true,
        // Names of the configuration and of APIs, which are always noted.
        Attribute::TargetingKey
        | Attribute::Client
        | Attribute::Route
        | Attribute::RequestDialect
        | Attribute::RequestEndpoint
        | Attribute::RequestStream => {}
    };
    for rule in config.flags.iter().flat_map(|flag| &flag.rules) {
        rule.when.attributes(&mut look);
        match rule.by {
            By::Attribute(place) => look(Attribute::Custom(place)),
            By::Conversation => look(Attribute::Conversation),
            By::TargetingKey | By::Client | By::Request => {}
        }
    }
    let declared = |place: u16| config.context.attributes.get(usize::from(place));
    let attributes = places.into_iter();
    shape.attributes =
        attributes.filter_map(|place| Some(ShapeOf { place, spec: declared(place)?.clone() })).collect();
    shape
}
