//! The loader against good files and bad ones, each error with its exact text.

mod environment;
mod errors;
mod fallback;
mod flags;
mod judges;
mod keeping;
mod keys;
mod params;
mod properties;
mod secrets;
mod shadows;
mod spec;
mod telemetry;
mod values;
mod watch;
