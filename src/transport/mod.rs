//! Sockets: who is let in, and what is spoken over them.

pub(crate) mod accept;
pub(crate) mod authenticator;
pub(crate) mod discovery;
pub(crate) mod gate;
pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod opening;
pub(crate) mod request_head;
pub(crate) mod websocket;
