//! Model Context Protocol servers on plain threads: WebSocket, Streamable HTTP and stdio, no async runtime, secure with nothing configured.
//!
//! ```
//! use mcp_blocking::Server;
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! # use std::time::Duration;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Add {
//!     a: f64,
//!     b: f64,
//! }
//!
//! fn main() -> Result<(), mcp_blocking::Error> {
//!     let server = Server::new("calculator", "1.0.0")
//!         .tool("add", "Add two numbers", |_ctx, Add { a, b }| Ok(format!("{}", a + b)));
//!     let running = server.bind("127.0.0.1:0")?.start()?;
//!     println!("listening on ws://{}/mcp", running.addr());
//! #   running.handle().stop(Duration::ZERO);
//!     running.join()
//! }
//! ```
//!
//! # Why synchronous
//!
//! Many programs have no async runtime and want none: games, desktop applications, plug-ins, database engines, command-line tools, small
//! devices. A handler here is a closure that may block; a client is a thread that reads. A few thousand clients are well within what threads can do, and everything that could block for long is bounded
//! by a deadline.
//!
//! # Where to go
//!
//! - [`Server`]: what an MCP server is made of; [`Tool`]: what can be said of a tool; [`Ctx`]: what a handler is given
//! - [`Json`], [`ToolOutput`](content::ToolOutput), [`Content`](content::Content): what a handler returns; [`ToolError`]: how it fails
//! - [`Server::resource`], [`Server::template`], [`Server::prompt`]: what else can be offered; [`Ctx::ask`], [`Ctx::sample`]: questions to the client
//! - [`Server::bind`], [`Server::run_stdio`], [`Server::serve_on`]: WebSocket and HTTP on one port, standard input and output, any pair of streams
//! - [`Server::in_memory`], [`testing`]: a client in the same process, to test a server in both eras
//! - [`Server::method`], [`Layer`]: methods of your own, and what runs around all requests
//! - [`Bound`], [`Running`], [`Handle`]: the life of a server; [`Bound::health`]: probes and metrics
//! - [`Settings`], [`Limits`]: who is let in, and how much of everything, each with its default and the reason for it
//! - [`Server::doctor`], [`doctor`]: what is open, weak or missing in a setup
//! - [`audit`]: a log of what has happened that nobody can change afterwards without being found out
//! - [`Listener`], [`Service`], [`Peer`]: message protocols other than MCP on the same threads
//!
//! # What happens on which thread
//!
//! Handlers run on a pool of threads that grows as they block; a panic is caught, answered with an incident number, and logged. A tool that is marked
//! [`quick`](Tool::quick) runs on its client's own thread. Each client is read by a thread of its own, which never waits for a handler: so a cancellation reaches a
//! handler that is at work. Nothing that sends ever waits for a client to read: what a socket does not take is queued within bounds, and a client that does not read is closed.
//!
//! # Logs
//!
//! The crate logs through the [`log`](https://docs.rs/log) facade, with key-values and with ids in the text, under targets that begin with `mcp_blocking`; it never installs a
//! logger. What peers send is escaped and cut before it reaches a line; tokens never do. Keep the target `tungstenite` below `trace`: at that level the WebSocket
//! library prints what peers send as it is.
//!
//! # Features
//!
//! | feature | default | what | crates more |
//! | --- | --- | --- | --- |
//! | `validation` | on | arguments and results of tools are checked against their schemas, beyond what their types do (the `jsonschema` crate: no network, no files) | 42 |
//! | `tls` | off | `wss://` and `https://`, client certificates: `Settings::tls` (rustls with ring, which needs a C compiler to build) | 9 |
//! | `jwt` | off | OAuth access tokens that are JWTs: `Settings::jwt` (ring verifies; keys by rustls from where the issuer publishes them, trusting the authorities of `webpki-roots`); with `tls` | 10 |
//!
//! Everything else is always there. Features whose names begin with `_` are internal to the tests of this crate, and may change or go with any release.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(unreachable_pub, missing_debug_implementations)]

mod access;
pub mod audit;
mod cancel;
mod clock;
pub mod doctor;
mod engine;
mod error;
mod file_mode;
#[cfg(feature = "_fuzz")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod handle;
mod health;
mod http;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(not(feature = "jwt"))]
#[path = "jwt/absent.rs"]
mod jwt;
mod limits;
mod listener;
mod mcp;
mod metrics;
mod principal;
mod protected_resource;
mod protocol;
mod random;
mod root_dir;
mod running;
mod server;
mod service;
mod settings;
mod status;
mod task;
pub mod testing;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls/absent.rs"]
mod tls;
mod token;
mod transport;

/// What a tool can return, a resource hold and a prompt say.
pub mod content {
    pub use crate::protocol::content::{
        Annotations, Blob, Content, EmbeddedResource, Icon, MediaContent, MetaMap, ResourceBody, ResourceContents,
        ResourceLink, Role, TextContent, Theme, ToolOutput,
    };
    pub use crate::protocol::prompt::{PromptMessage, PromptOutput};
}

/// What a client, its user and its model can be asked: see [`Ctx::ask`].
pub mod ask {
    pub use crate::mcp::ask::form::{Answer, Form, OpenUrl};
    pub use crate::mcp::ask::question::{Question, Questions};
    pub use crate::mcp::ask::sampling::{Root, Roots, Sampled, SampledContent, Sampling};
}

pub use access::{Ticket, TicketError};
pub use ask::Answer;
pub use cancel::Never;
pub use crossbeam_channel;
pub use engine::{ConnectionId, Reloaded};
pub use error::{Error, Problem};
pub use guard::address::ClientAddr;
pub use guard::policy::{TextAction, TextClass, TextPolicy};
pub use handle::Handle;
pub use limits::Limits;
pub use listener::{Listener, Peers};
pub use mcp::asked::RequestError;
pub use mcp::cache::Cacheable;
pub use mcp::client::{Client, NotifyError};
pub use mcp::complete::Prefix;
pub use mcp::ctx::Ctx;
pub use mcp::layer::{ConcurrencyLimit, Layer, LogRequests, Next, Reply, Request};
pub use mcp::method::Method;
pub use mcp::output::{IntoToolOutput, Json};
pub use mcp::prompt::{IntoPrompt, Prompt};
pub use mcp::rate_limit::RateLimit;
pub use mcp::registry::Registry;
pub use mcp::resource::{IntoResource, Resource};
pub use mcp::tool::{NoArgs, Tool};
pub use mcp::tool_error::{ToolError, ToolResult};
pub use mcp::trace::{Baggage, TraceContext};
pub use principal::Principal;
pub use protected_resource::ProtectedResource;
pub use protocol::capabilities::{ClientCapabilities, LogLevel};
pub use protocol::content::TaskSupport;
pub use protocol::encode::CacheScope;
pub use protocol::revision::{Era, Revision};
pub use root_dir::{PathError, RootDir};
pub use running::{Bound, Running};
pub use schemars;
pub use serde;
pub use serde_json;
pub use server::Server;
pub use service::{Binary, ClosedBy, Ended, Message, MessageLimits, Peer, SendError, Service, Text};
pub use settings::Settings;
pub use status::Status;
pub use task::{SpawnError, Task};
#[cfg(feature = "tls")]
pub use tls::{ClientCertificate, TlsConfig};
pub use token::Token;
pub use transport::request_head::{Denied, RequestHead};

/// The examples of the README, compiled with the documentation's.
#[cfg(all(doctest, feature = "jwt"))]
#[doc = include_str!("../README.md")]
mod readme {}
