//! Integration tests: one binary, one module per feature.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that meets the unexpected fails at that line"
)]

mod harness;
mod upstreams;

mod faults;
mod limits;
mod passthrough;
mod streaming;
