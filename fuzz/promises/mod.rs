//! What holds for every input. The fuzz targets look for one that breaks it; `tests/it/corpora.rs` runs what they found before.

mod asked;
pub(crate) mod body_splice;
pub(crate) mod configuration;
mod environment;
pub(crate) mod event_stream;
pub(crate) mod head_framing;
mod parameters;
pub(crate) mod rule_evaluation;
pub(crate) mod translation;
