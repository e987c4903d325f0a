//! The library at its public API, over real sockets on loopback.

mod admission;
mod ask;
mod asked;
mod batches;
mod changes;
mod custom;
mod demo;
mod eras;
mod extremes;
mod fairness;
mod gate;
mod handlers;
mod heads;
mod life;
mod malformed;
mod messages;
mod peer;
mod raw;
mod reports;
mod schema;
mod services;
mod stories;
mod tools;
mod two;
mod websocket;
