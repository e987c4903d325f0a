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
mod peer;
#[allow(dead_code, reason = "shared with the tests of the examples, which use all of it")]
mod process;
mod raw;
mod reports;
mod scenarios;
mod schema;
mod services;
mod stories;
mod tools;
mod two;
mod web;
mod websocket;
