//! The protocol itself: JSON-RPC, the five revisions, the two eras, and how every value looks on the wire.
//!
//! Nothing in here opens a socket, spawns a thread, reads a clock or takes a lock. All of it takes text or
//! values and gives back values or bytes, so that it runs in a unit test and in a fuzzer.
//!
//! | file | question |
//! | --- | --- |
//! | `revision` | which revisions are there, and which one does a handshake get? |
//! | `meta_key` | what may a key of `_meta`, or the id of an extension, be? |
//! | `method` | which methods are there, and which parameters do they read? |
//! | `json` | how is JSON text walked through and written? |
//! | `exact` | does JSON text say each thing once, in numbers that can be kept, and in bounds? |
//! | `letters` | which characters act, turn text around, or cannot be seen? |
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
//! | `form` | which forms may a user be asked to fill in, and does an answer fit? |
//! | `sealed` | what does a client carry between the rounds of a request? |
//! | `percent` | what does text with `%` escapes say? |
//! | `prompt` | what is a prompt, and what does it say? |
//! | `uri_template` | does a URI fit a template, and what do its variables say? |
//! | `cursor` | what is a page cursor? |
//! | `subscribe` | what does a `subscriptions/listen` ask for? |
//! | `tasks` | how does a task look? |
//! | `time` | how is a moment written? |

pub(crate) mod capabilities;
pub(crate) mod classify;
pub(crate) mod content;
pub(crate) mod convert;
pub(crate) mod cursor;
pub(crate) mod encode;
pub(crate) mod envelope;
pub(crate) mod error;
pub(crate) mod exact;
pub(crate) mod form;
pub(crate) mod id;
pub(crate) mod json;
pub(crate) mod letters;
pub(crate) mod meta_key;
pub(crate) mod method;
pub(crate) mod notify;
pub(crate) mod params;
pub(crate) mod percent;
pub(crate) mod prompt;
pub(crate) mod revision;
pub(crate) mod sealed;
pub(crate) mod show;
pub(crate) mod subscribe;
pub(crate) mod tasks;
pub(crate) mod time;
pub(crate) mod uri_template;

#[cfg(any(test, feature = "_fuzz"))]
pub(crate) mod exercise;
#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod schema_tests;
