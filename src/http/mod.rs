//! The part of HTTP/1.1 that the gate needs: request heads in, short answers out.
//!
//! Nothing here opens a socket or reads a clock. Bytes are pushed in, decisions and
//! bytes come out, so all of it runs in a unit test and in a fuzzer.
//!
//! | file | question |
//! | --- | --- |
//! | [`reader`] | where does a head end, and is every byte of it allowed? |
//! | [`head`] | what does the head say? |
//! | [`framing`] | how long is the body that follows? |
//! | [`chunked`] | where does a body in chunks end? |
//! | [`response`] | what does a short answer look like on the wire? |
//! | [`event`] | what does an event of a stream look like? |
//! | [`refusal`] | why is a request turned away, and what would allow it? |
//! | [`upgrade`] | is this a correct WebSocket opening handshake? |

pub(crate) mod chunked;
pub(crate) mod event;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod reader;
pub(crate) mod refusal;
pub(crate) mod response;
pub(crate) mod upgrade;
