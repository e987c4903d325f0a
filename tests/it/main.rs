//! The library at its public API, over real sockets on loopback.

mod admission;
mod ask;
mod asked;
mod audit;
mod batches;
mod budgets;
mod caller;
#[cfg(feature = "tls")]
mod certificates;
#[cfg(feature = "tls")]
mod certs;
mod changes;
mod confirm;
mod cors;
mod custom;
mod demo;
mod doctor;
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
mod http_attacks;
mod in_memory;
#[cfg(feature = "jwt")]
mod issuer;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "jwt")]
mod jwt_keys;
mod life;
mod lifetime;
mod lines;
mod logins;
mod malformed;
mod messages;
mod meta;
mod metadata;
mod mirrored;
mod neighbor;
mod peer;
#[allow(dead_code, reason = "shared with the tests of the examples, which use all of it")]
mod process;
mod proxied;
mod rates;
mod raw;
mod recorded;
mod reports;
mod resume;
mod root_dir;
mod scenarios;
mod schema;
mod scopes;
mod services;
mod shares;
// They hold what the checks of arguments say.
#[cfg(feature = "validation")]
mod stories;
mod tasks;
mod tasks_asking;
mod tasks_bounds;
mod texts;
mod tickets;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
mod tools;
mod traits;
mod two;
mod validation;
mod web;
mod websocket;
