//! Integration tests: one binary, one module per feature.

#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod tidy;
