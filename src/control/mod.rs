//! CONTROL PLANE: what changes the snapshot, and what tells how the gateway is.
//!
//! Writes snapshots, reads measurements; never on the way of a request, and knows nothing of `proxy`.

mod admin;
pub mod api;
mod breakers;
mod loader;
mod pages;
mod rollback;
mod served;
mod shares;
mod switchboard;
mod targets;
#[cfg(test)]
mod tests;
mod traffic;
mod upkeep;
pub mod webhooks;

pub use admin::{Admin, Readiness};
pub use api::{Api, Pulse};
pub use loader::{Exposed, LoadError, Loader, Reloaded};
pub use rollback::Rollbacks;
pub use switchboard::{Actor, Killed, Switchboard, Unchanged};
pub use traffic::{Explainer, Traffic};
pub use upkeep::Upkeep;
