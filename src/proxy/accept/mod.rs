//! 1: connections come in, under limits, and requests come out of them.
//!
//! Owns every socket on the data side. Must never look into a body.

mod connection;
mod framing;
mod gate;
mod guarded_io;
mod listen;
mod tls;

#[cfg(test)]
mod tests;

pub(crate) use connection::ConnectionState;
pub use framing::{Fault, Framing, Look};
pub use listen::serve;
