//! The library at its public API, over real sockets on loopback.

mod admission;
mod ask;
mod asked;
mod batches;
mod changes;
mod custom;
mod demo;
mod eras;
mod everywhere;
mod extensions;
mod extremes;
mod fairness;
mod features;
mod gate;
mod handlers;
mod heads;
mod http;
mod in_memory;
mod life;
mod lines;
mod malformed;
mod messages;
mod meta;
mod mirrored;
mod peer;
mod raw;
mod reports;
mod schema;
mod services;
// They hold what the checks of arguments say.
#[cfg(feature = "validation")]
mod stories;
mod tools;
mod two;
mod validation;
mod web;
mod websocket;
