//! What a request that is translated for a model has to know of it.

use crate::config::facts::facts;
use crate::config::{Model, ProviderKind};
use crate::wire::Endpoint;
use crate::wire::translate::Target;

/// Whom a request is translated for: a declared model, with what is known of it and what its `fit` says.
pub fn translation_target(model: &Model, endpoint: Endpoint) -> Target {
    let target = known_target(model.provider.kind, &model.upstream_model, endpoint);
    Target { max_output: model.fit.cap_max_tokens.or(target.max_output), ..target }
}

/// The same of a model that `[models]` does not know. At Azure a name is the operator's, and says nothing.
pub fn known_target(kind: ProviderKind, name: &str, endpoint: Endpoint) -> Target {
    let target = Target { max_output: Some(OUTPUT_UNKNOWN), ..Target::new(endpoint) };
    let known = facts().filter(|_| kind != ProviderKind::AzureOpenAi).and_then(|facts| facts.of(name));
    let Some(known) = known else { return target };
    Target {
        max_output: Some(known.output),
        sampling: known.sampling,
        // Models that think have given up sampling for a level of effort, at both makers.
        effort: !known.sampling,
        prefill: known.prefill,
        forced_tools: known.forced_tools,
        schema: known.schema,
        images: known.images,
        ..target
    }
}

/// What a request without a limit gets at an API that requires one, for a model of which nothing is known: every model that Anthropic
/// sells today writes as much, and hardly an answer is longer. One that writes less says so in its own 400.
const OUTPUT_UNKNOWN: u64 = 32_000;
