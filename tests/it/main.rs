//! The library at its public API, over real sockets on loopback.

mod batches;
mod demo;
mod eras;
mod malformed;
mod peer;
mod raw;
mod schema;
mod stories;
