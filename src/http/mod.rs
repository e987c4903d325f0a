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
//! | [`response`] | what does a short answer look like on the wire? |
//! | [`refusal`] | why is a request turned away, and what would allow it? |
//! | [`upgrade`] | is this a correct WebSocket opening handshake? |

pub mod framing;
pub mod head;
pub mod reader;
pub mod refusal;
pub mod response;
pub mod upgrade;

pub use framing::BodyLength;
pub use head::{Head, HeadError, HeadErrorKind};
pub use reader::{HeadLimits, HeadReader, Progress};
pub use refusal::Refusal;
pub use response::Response;
pub use upgrade::Upgrade;
