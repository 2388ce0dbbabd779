//! Integration tests: one binary, one module per feature.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod arms;
#[cfg(test)]
mod azure;
#[cfg(test)]
mod breakers;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod context;
#[cfg(test)]
mod corners;
#[cfg(test)]
mod corpora;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod door;
#[cfg(test)]
mod encrypted;
#[cfg(test)]
mod exposures;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feedback;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod heartbeat;
#[cfg(test)]
mod held;
#[cfg(test)]
mod hops;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod http_replies;
#[cfg(test)]
mod hygiene;
#[cfg(test)]
mod impact;
#[cfg(test)]
mod judges;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod limits_of_models;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod models;
#[cfg(test)]
mod names;
#[cfg(test)]
mod page;
#[cfg(test)]
mod passthrough;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod pins;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod planted;
#[cfg(test)]
mod records;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod shadow_report;
#[cfg(test)]
mod state;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod translation;
#[cfg(test)]
mod upstreams;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod webhooks;
