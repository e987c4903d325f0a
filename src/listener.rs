//! A server of other message protocols than MCP, on the same threads, gate and limits.

use crate::access::{Access, Ticket, TicketError};
use crate::doctor::{Diagnosis, Offered};
use crate::engine::connection::Connection;
use crate::engine::framing::Framing;
use crate::engine::outbox::{Body, Flush, Frame};
use crate::engine::{ConnectionId, Core, Reloaded};
use crate::error::{Error, Problem};
use crate::health::Identity;
use crate::principal::Principal;
use crate::running::Bound;
use crate::service::{AnyService, Peer, Service};
use crate::settings::Settings;
use crate::status::Status;
use crate::token::Token;
use crate::transport::gate::Route;
use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Services, each at a path of its own.
///
/// ```
/// use mcp_blocking::{ClosedBy, Listener, Message, Peer, Service};
/// use std::time::Duration;
///
/// struct Echo;
///
/// impl Service for Echo {
///     type Session = ();
///
///     fn open(&self, _peer: &Peer) -> Result<(), ClosedBy> {
///         Ok(())
///     }
///
///     fn message(&self, (): &mut (), peer: &Peer, message: Message) {
///         // A peer that is gone or does not read is the listener's business.
///         let _ = match message {
///             Message::Text(text) => peer.send(&*text),
///             Message::Binary(bytes) => peer.send_binary(&*bytes),
///         };
///     }
/// }
///
/// # fn main() -> Result<(), mcp_blocking::Error> {
/// let running = Listener::new().service("/echo", Echo).bind("127.0.0.1:0")?.start()?;
/// println!("ws://{}/echo", running.addr());
/// running.shutdown(Duration::from_secs(1))?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a listener does nothing until it is bound and started"]
#[derive(Default)]
pub struct Listener {
    settings: Settings,
    services: Vec<(String, Arc<dyn AnyService>)>,
    problems: Vec<Problem>,
}

impl Listener {
    /// A listener without services.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a protocol at a path, say `/chat`.
    #[track_caller]
    pub fn service(mut self, path: impl Into<String>, service: impl Service) -> Self {
        let path = path.into();
        let location = Location::caller();
        let problem = |what| Problem::new(format!("path `{}`", path.escape_debug()), what).at(location);
        if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
            self.problems.push(problem("write it as `/name`"));
        }
        if self.services.iter().any(|(other, _)| *other == path) {
            self.problems.push(problem("it is taken by another service"));
        }
        self.services.push((path, Arc::new(service)));
        self
    }

    /// Takes guards and limits.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Opens a listening socket. Port 0 takes any free port.
    ///
    /// # Errors
    /// As for [`Server::bind`](crate::Server::bind).
    pub fn bind(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Bound<Peers>, Error> {
        self.into_bound()?.and_bind(address)
    }

    /// Serves on a socket that is listening already.
    ///
    /// # Errors
    /// As for [`Server::bind`](crate::Server::bind).
    pub fn bind_listener(self, listener: TcpListener) -> Result<Bound<Peers>, Error> {
        self.into_bound()?.and_listener(listener)
    }

    /// What is open, weak or missing if this is served on loopback, as [`Server::doctor`](crate::Server::doctor) finds it.
    #[must_use]
    pub fn doctor(&self) -> Diagnosis {
        self.doctor_at(&[([127, 0, 0, 1], 0).into()], None)
    }

    /// The same for these addresses, as [`Server::doctor_at`](crate::Server::doctor_at) finds it.
    #[must_use]
    pub fn doctor_at(&self, addresses: &[SocketAddr], health: Option<SocketAddr>) -> Diagnosis {
        self.settings.clone().diagnose(&self.offered(), addresses, health, self.problems.clone())
    }

    fn offered(&self) -> Offered {
        Offered::Services(self.services.iter().map(|(path, _)| path.clone()).collect())
    }

    fn into_bound(self) -> Result<Bound<Peers>, Error> {
        let offered = self.offered();
        let Self { settings, services, problems } = self;
        Bound::new(settings, offered, problems, Identity::of_library(), move |core| {
            let routes =
                services.into_iter().map(|(path, service)| Route { path: path.into(), service, http: None }).collect();
            (routes, Peers { core: Arc::clone(core), path: None })
        })
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.services.iter().map(|(path, _)| path).collect();
        f.debug_struct("Listener").field("paths", &paths).finish_non_exhaustive()
    }
}

/// A way to a running [`Listener`] from anywhere: who is connected, and messages to all of them. Cheap to clone; it may
/// outlive the server.
#[derive(Clone)]
pub struct Peers {
    core: Arc<Core>,
    /// Those of one service only.
    path: Option<Arc<str>>,
}

impl Peers {
    /// The peers of the service that a connection talks to.
    pub(crate) fn beside(connection: &Connection) -> Self {
        Self { core: Arc::clone(&connection.core), path: Some(Arc::clone(&connection.path)) }
    }

    /// Those of the service at that path only.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self { core: Arc::clone(&self.core), path: Some(path.into()) }
    }

    /// The peers that are connected at this moment, the oldest first.
    pub fn all(&self) -> Vec<Peer> {
        self.connections().iter().map(Peer::new).collect()
    }

    /// The peer with that number, if it is still connected.
    pub fn get(&self, id: ConnectionId) -> Option<Peer> {
        self.core.client(id).as_ref().filter(|connection| self.has(connection)).map(Peer::new)
    }

    /// Sends a text message to all peers, framed once for all. Returns how many queues took it; one that is full closes its peer.
    /// Never blocks.
    pub fn broadcast(&self, text: impl Into<String>) -> usize {
        let body: Arc<[u8]> = text.into().into_bytes().into();
        self.to_all(|framing| framing.text(Body::Shared(Arc::clone(&body))))
    }

    /// Sends a binary message to all peers, likewise.
    pub fn broadcast_binary(&self, bytes: impl Into<Vec<u8>>) -> usize {
        let body: Arc<[u8]> = bytes.into().into();
        self.to_all(|framing| framing.binary(Body::Shared(Arc::clone(&body))))
    }

    /// Numbers of the moment.
    pub fn status(&self) -> Status {
        Status::of(&self.core)
    }

    /// Reads the certificates' files again: see [`Handle::reload_tls`](crate::Handle::reload_tls).
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<Vec<std::path::PathBuf>, Error> {
        self.core.reload_tls()
    }

    /// Reads the files of tokens again: see [`Handle::reload_tokens`](crate::Handle::reload_tokens).
    ///
    /// # Errors
    /// As there.
    pub fn reload_tokens(&self) -> Result<(usize, usize), Error> {
        self.core.change_tokens(Access::read_files)
    }

    /// Takes these tokens in place of all others: see [`Handle::set_tokens`](crate::Handle::set_tokens).
    ///
    /// # Errors
    /// As there.
    pub fn set_tokens(&self, tokens: impl IntoIterator<Item = Token>) -> Result<(usize, usize), Error> {
        self.core.change_tokens(|access| access.replace(tokens))
    }

    /// Issues a one-time ticket with which a page of that origin opens a WebSocket as that principal, to any of the services: see
    /// [`Handle::issue_ticket`](crate::Handle::issue_ticket). The page offers it as a subprotocol, `mcp.ticket.<ticket>`, beside those of the service; what
    /// [`Ticket::subprotocols`] says is for MCP.
    ///
    /// # Errors
    /// As there.
    pub fn issue_ticket(&self, principal: &Principal, origin: &str) -> Result<Ticket, TicketError> {
        self.core.issue_ticket(principal, origin)
    }

    /// Asks the server to stop with that grace. Returns at once; [`Running::join`](crate::Running::join) returns when it
    /// is done.
    pub fn stop(&self, grace: Duration) {
        self.core.stop.ask(grace);
    }

    /// Reads all again that is read while the server runs: see [`Handle::reload`](crate::Handle::reload).
    ///
    /// # Errors
    /// As there.
    pub fn reload(&self) -> Result<Reloaded, Error> {
        self.core.reload()
    }

    /// Has the audit log looked for at its path anew, as [`Handle::reopen_audit`](crate::Handle::reopen_audit) does.
    pub fn reopen_audit(&self) {
        self.core.audit.reopen();
    }

    fn to_all(&self, frame: impl Fn(&dyn Framing) -> Frame) -> usize {
        let sent = |connection: &&Arc<Connection>| connection.send(frame(connection.framing), Flush::Now).is_ok();
        self.connections().iter().filter(sent).count()
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        let mut connections = self.core.clients();
        connections.retain(|connection| self.has(connection));
        connections
    }

    fn has(&self, connection: &Connection) -> bool {
        self.path.as_ref().is_none_or(|path| *path == connection.path)
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("path", &self.path).finish_non_exhaustive()
    }
}
