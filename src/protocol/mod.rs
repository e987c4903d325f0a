//! The protocol itself: JSON-RPC, the five revisions, the two eras, and how every value looks on the wire.
//!
//! Nothing in here opens a socket, spawns a thread, reads a clock or takes a lock. All of it takes text or
//! values and gives back values or bytes, so that it runs in a unit test and in a fuzzer.
//!
//! | file | question |
//! | --- | --- |
//! | `revision` | which revisions are there, and which one does a handshake get? |
//! | `method` | which methods belong to which revision? |
//! | `json` | how is JSON text checked, walked through and written? |
//! | `show` | how is a peer's text shown to a person without doing harm? |
//! | `id` | what is a request id? |
//! | `error` | how does a JSON-RPC error look, and which code means what? |
//! | `envelope` | what did the peer send: a request, a notification, a response, a batch? |
//! | `params` | which parameters came with it? |
//! | `classify` | which era does a message belong to, and may it go on? |
//! | `capabilities` | what can the client do, what does the server offer? |
//! | `content` | what can a tool return, and how is a tool described? |
//! | `encode` | how is a message or a result written for a revision? |
//! | `convert` | how is a content block or a tool described to an older revision? |
//! | `notify` | how does a notification from the server look? |
//! | `cursor` | what is a page cursor? |
//! | `subscribe` | what does a `subscriptions/listen` ask for? |

pub mod capabilities;
pub mod classify;
pub mod content;
pub mod convert;
pub mod cursor;
pub mod encode;
pub mod envelope;
pub mod error;
pub mod id;
pub mod json;
pub mod method;
pub mod notify;
pub mod params;
pub mod revision;
pub mod show;
pub mod subscribe;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod schema_tests;
