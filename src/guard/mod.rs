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
//! | [`challenge`] | what is said to a caller that has to authenticate, or to bring more? |
//! | [`address`] | may one more connection come from this address? |
//! | [`forwarded`] | whose request does a proxy hand on? |
//! | [`rate`] | is this one too many in too short a time? |
//! | [`buckets`] | who has taken how much lately, of as many clients as there may be? |
//! | [`failures`] | has this address failed to say who it is too often? |
//! | [`text`] | how is a peer's text shown without doing harm? |
//! | [`config`] | what is wrong with a setting of the author's? |

#![allow(
    dead_code,
    reason = "complete and tested as a unit; what nothing asks for yet stands ready for the transports to come"
)]

pub(crate) mod address;
pub(crate) mod authority;
pub(crate) mod bearer;
pub(crate) mod buckets;
pub(crate) mod challenge;
pub(crate) mod config;
pub(crate) mod failures;
pub(crate) mod forwarded;
pub(crate) mod origin;
pub(crate) mod rate;
pub(crate) mod text;

#[cfg(test)]
mod mutation_tests;
