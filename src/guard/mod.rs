//! The decisions of the gate: who may talk to this server, and how much.
//!
//! Pure functions and plain structs. They open no socket, start no thread and read no clock
//! (time is an argument); the transports ask them in the order Host → Origin →
//! authentication → limits. So every decision runs in a unit test and in a fuzzer.
//!
//! | file | question |
//! | --- | --- |
//! | [`authority`] | which host and port does this text name? |
//! | [`origin`] | is this `Host` ours, and may this `Origin` drive it? |
//! | [`mod@bearer`] | which token came, and is it one of ours? |
//! | [`address`] | may one more connection come from this address? |
//! | [`rate`] | is this one too many in too short a time? |
//! | [`text`] | how is a peer's text shown without doing harm? |
//! | [`config`] | what is wrong with a setting of the author's? |

pub mod address;
pub mod authority;
pub mod bearer;
pub mod config;
pub mod origin;
pub mod rate;
pub mod text;

#[cfg(test)]
mod mutation_tests;

pub use crate::http::refusal::Refusal;
pub use address::{AddressCounter, AddressLimits, ClientAddr, Refused, Seat};
pub use authority::{Authority, AuthorityError, Host};
pub use bearer::{Tokens, bearer};
pub use config::ConfigError;
pub use origin::{HostPattern, HostPolicy, Origin, OriginPattern, OriginPolicy};
pub use rate::{RetryAfter, TokenBucket};
pub use text::Escaped;
