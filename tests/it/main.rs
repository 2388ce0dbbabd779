//! Integration tests: one binary, one module per feature.

#[cfg(test)]
mod gateway;
#[cfg(test)]
mod sdk;
