//! Integration tests: one binary, one module per feature.

#[cfg(test)]
mod clients;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod passthrough;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod review;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod upstreams;
#[cfg(test)]
mod usage;
