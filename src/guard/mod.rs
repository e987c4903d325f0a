//! The decisions of the gate: who may talk to this server, and how much.
//!
//! Pure functions and plain structs. They open no socket, start no thread and read no clock
//! (time is an argument; the rules of redaction are the process's, as its logger is); the transports ask them in the order Host → Origin →
//! authentication → limits. So every decision runs in a unit test and in a fuzzer.
//!
//! | file | question |
//! | --- | --- |
//! | [`authority`] | which host and port does this text name? |
//! | [`origin`] | is this `Host` ours, and may this `Origin` drive it? |
//! | [`mod@bearer`] | which token came, and is it one of ours? |
//! | [`offer`] | which credential does a browser's WebSocket bring along? |
//! | [`ticket`] | is this ticket one of ours, unused and in time? |
//! | [`challenge`] | what is said to a caller that has to authenticate, or to bring more? |
//! | [`address`] | may one more connection come from this address? |
//! | [`public`] | is this an address of the internet, or one behind somebody's walls? |
//! | [`scopes`] | which scopes does something need, and does a caller have them? |
//! | [`forwarded`] | whose request does a proxy hand on? |
//! | [`rate`] | is this one too many in too short a time? |
//! | [`buckets`] | who has taken how much lately, of as many clients as there may be? |
//! | [`failures`] | has this address failed to say who it is too often? |
//! | [`text`] | how is a peer's text shown without doing harm? |
//! | [`redact`] | where in a text does a secret stand? |
//! | [`policy`] | what is done with characters that honest text does not have? |
//! | [`sanitize`] | is there any in this text, and what is it without them? |
//! | [`config`] | what is wrong with a setting of the author's? |

pub(crate) mod address;
pub(crate) mod authority;
pub(crate) mod bearer;
pub(crate) mod buckets;
pub(crate) mod challenge;
pub(crate) mod config;
pub(crate) mod failures;
pub(crate) mod forwarded;
pub(crate) mod offer;
pub(crate) mod origin;
pub(crate) mod policy;
#[cfg(feature = "jwt")]
pub(crate) mod public;
pub(crate) mod rate;
pub(crate) mod redact;
pub(crate) mod sanitize;
pub(crate) mod scopes;
pub(crate) mod text;
pub(crate) mod ticket;

#[cfg(test)]
mod mutation_tests;
