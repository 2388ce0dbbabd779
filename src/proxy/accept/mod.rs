//! 1: connections come in, under limits, and requests come out of them.
//!
//! Owns every socket on the data side. Must never look into a body.

mod connection;
mod guarded_io;
mod listen;
mod tls;

pub(crate) use connection::ConnectionState;
pub use listen::serve;
