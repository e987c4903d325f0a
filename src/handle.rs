//! What other threads can do with a running server: tell its clients, change what it offers, have it read its files again.

use crate::access::{Access, Ticket, TicketError};
use crate::engine::Reloaded;
use crate::error::Error;
use crate::mcp::Mcp;
use crate::mcp::client::{Client, NotifyError, notification};
use crate::mcp::registry::Registry;
use crate::principal::Principal;
use crate::protocol::notify::ListKind;
use crate::status::Status;
use crate::token::Token;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A way to a running server from anywhere. Cheap to clone and to send; all clones are the same server. It may outlive
/// the server: then there is simply nobody connected.
#[derive(Clone)]
pub struct Handle {
    mcp: Arc<Mcp>,
}

impl Handle {
    pub(crate) fn of(mcp: Arc<Mcp>) -> Self {
        Self { mcp }
    }

    /// Asks the server to stop with that grace. Returns at once; [`Running::join`](crate::Running::join) returns when it is done.
    pub fn stop(&self, grace: Duration) {
        self.mcp.core.stop.ask(grace);
    }

    /// The clients that are connected at this moment, the oldest first.
    pub fn clients(&self) -> Vec<Client> {
        self.mcp.links().into_iter().filter(|link| link.stays()).map(Client).collect()
    }

    /// Sends a notification to all clients with a session (2024-11-05 to 2025-11-25), written once for all. Clients of
    /// 2026-07-28 get only what they listen for. Returns how many queues took it; one that is full closes its client. Never blocks.
    ///
    /// # Errors
    /// [`NotifyError::Params`] if the parameters are no JSON object.
    pub fn broadcast(&self, method: &str, params: &impl Serialize) -> Result<usize, NotifyError> {
        Ok(self.mcp.broadcast(notification(&self.mcp.core, method, params)?))
    }

    /// Changes what is registered, in one step for all clients, and tells those that want to know with one `list_changed`.
    ///
    /// ```
    /// # use mcp_blocking::{Server, Tool, NoArgs};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let running = Server::new("s", "1").bind("127.0.0.1:0")?.start()?;
    /// running.handle().edit(|registry| {
    ///     registry.remove_tool("old");
    ///     registry.add_tool(Tool::new("new", "A new tool"), |_ctx, NoArgs| Ok("done"))
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// One edit at a time: another one waits, on its own thread, until the closure has returned.
    ///
    /// # Panics
    /// If the closure itself calls this: it would wait for itself. What panics within the closure is handed on, and nothing is changed.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> T {
        self.mcp.edit(change)
    }

    /// Tells the clients that the list of tools has changed, though it has not: for tools whose behavior depends on
    /// something else.
    pub fn tools_changed(&self) {
        self.mcp.announce(ListKind::Tools);
    }

    /// The same for the list of prompts.
    pub fn prompts_changed(&self) {
        self.mcp.announce(ListKind::Prompts);
    }

    /// The same for the list of resources.
    pub fn resources_changed(&self) {
        self.mcp.announce(ListKind::Resources);
    }

    /// Tells the clients that watch a resource that it has changed. While one reads slowly, notices of the same resource become one.
    pub fn resource_updated(&self, uri: &str) {
        self.mcp.resource_updated(uri);
    }

    /// Reads all again that is read while the server runs, as SIGHUP has many programs do: the audit log is looked for at its path
    /// ([`reopen_audit`](Self::reopen_audit)), and the files of tokens ([`reload_tokens`](Self::reload_tokens)) and certificates
    /// (`reload_tls`, with feature `tls`) are read. All of it is tried, also if one fails. Blocks while files are read.
    ///
    /// # Errors
    /// [`Error::Reload`] with all that could not be used: what was there before stays in its place.
    pub fn reload(&self) -> Result<Reloaded, Error> {
        self.mcp.core.reload()
    }

    /// Has the audit log looked for at its path anew, and begun there if it was renamed: for tools like logrotate. Returns at once.
    pub fn reopen_audit(&self) {
        self.mcp.core.audit.reopen();
    }

    /// Reads the files of [`Settings::token_file`](crate::Settings::token_file) again, now. A token that has gone, or has other rights or another end than before, is worth
    /// nothing any more: WebSockets that came with it are closed with 1008, requests over HTTP are ended, as when it had expired. Connections of tokens
    /// that are still there notice nothing. Returns how many have come and how many have gone. Blocks while files are read.
    ///
    /// # Errors
    /// [`Error::Tokens`] if a file cannot be used: then the old tokens stay.
    pub fn reload_tokens(&self) -> Result<(usize, usize), Error> {
        self.mcp.core.change_tokens(Access::read_files)
    }

    /// The same with these tokens in place of all others: those that were set in code or stood in files.
    ///
    /// # Errors
    /// [`Error::Tokens`] if one cannot be used: then the old tokens stay.
    pub fn set_tokens(&self, tokens: impl IntoIterator<Item = Token>) -> Result<(usize, usize), Error> {
        self.mcp.core.change_tokens(|access| access.replace(tokens))
    }

    /// Issues a one-time ticket with which a page of that origin opens a WebSocket as that principal: see [`Settings::tickets`](crate::Settings::tickets). For programs
    /// that know their users by a login of their own. The connection ends where the principal's right to be here does.
    ///
    /// # Errors
    /// [`TicketError`] if the server takes no tickets, the origin is none of a page, or there are too many that nobody has used.
    pub fn issue_ticket(&self, principal: &Principal, origin: &str) -> Result<Ticket, TicketError> {
        self.mcp.core.issue_ticket(principal, origin)
    }

    /// Numbers of the moment.
    pub fn status(&self) -> Status {
        Status::of(&self.mcp.core)
    }

    /// Reads the files of [`Settings::tls`](crate::Settings::tls) again, now, for connections to come; those that are open go on as they began. Returns the files that
    /// have changed: none, also, if the server has no TLS or its certificates come out of memory. Blocks while files are read.
    ///
    /// # Errors
    /// [`Error::Certificates`] if the files cannot be used: then the old certificates stay.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<Vec<std::path::PathBuf>, Error> {
        self.mcp.core.reload_tls()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("server", &self.mcp).finish()
    }
}
