//! Model Context Protocol servers on plain threads.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(unreachable_pub, missing_debug_implementations)]

mod cancel;
mod engine;
mod error;
mod guard;
mod http;
mod limits;
mod listener;
mod mcp;
mod principal;
mod protocol;
mod running;
mod server;
mod service;
mod settings;
mod status;
mod task;
mod transport;

/// What a tool can return, and how tools and servers are described.
pub mod content {
    pub use crate::protocol::content::*;
}

pub use cancel::Never;
pub use crossbeam_channel;
pub use engine::ConnectionId;
pub use error::{Error, Problem};
pub use guard::address::ClientAddr;
pub use limits::Limits;
pub use listener::{Listener, Peers};
pub use mcp::client::{Client, NotifyError};
pub use mcp::ctx::Ctx;
pub use mcp::output::{IntoToolOutput, Json};
pub use mcp::registry::Registry;
pub use mcp::tool::{NoArgs, Tool};
pub use mcp::tool_error::{ToolError, ToolResult};
pub use principal::Principal;
pub use protocol::capabilities::{ClientCapabilities, LogLevel};
pub use protocol::revision::{Era, Revision};
pub use running::{Bound, Handle, Running};
pub use schemars;
pub use serde;
pub use serde_json;
pub use server::Server;
pub use service::{Binary, ClosedBy, Ended, Message, MessageLimits, Peer, SendError, Service, Text};
pub use settings::Settings;
pub use status::Status;
pub use task::{SpawnError, Task};
pub use transport::request_head::{Denied, RequestHead};
