//! dimmer: a reverse proxy for LLM APIs whose first-class object is the flag.
//!
//! The rooms stand in reading order; `src/README.md` tells a request's way through them, `ARCHITECTURE.md` what may
//! never be.

pub mod names;
pub mod units;

pub mod flags;
pub mod rollout;
pub mod stats;
pub mod wire;

pub mod clock;
pub mod config;
pub mod observe;
pub mod threads;

pub mod mock;
pub mod record;
pub mod report;
pub mod snapshot;
pub mod state;

pub mod control;
pub mod proxy;

pub mod explain;

pub mod app;
pub mod cli;
pub mod demo;
