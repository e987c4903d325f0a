//! A server's life: its sockets open, its threads running, its end.

use crate::engine::Core;
use crate::engine::outbox::Flush;
use crate::engine::pool::Abandon;
use crate::error::Error;
use crate::mcp::Mcp;
use crate::mcp::client::{Client, NotifyError, notification};
use crate::mcp::registry::Registry;
use crate::server::{Guards, Server};
use crate::service::AnyService;
use crate::transport::accept::{self, Acceptor, Door};
use crate::transport::gate::{Gate, Route};
use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a [`Running`] that is dropped lets its handlers finish.
const DROP_GRACE: Duration = Duration::from_secs(5);

/// A server whose sockets are open and whose ports are known. Nobody is served yet: who connects waits.
#[must_use = "a bound server serves nobody until it is started"]
pub struct Bound {
    server: Server,
    listeners: Vec<(TcpListener, SocketAddr)>,
}

impl Bound {
    pub(crate) fn new(mut server: Server) -> Result<Self, Error> {
        let problems = server.take_problems();
        if problems.is_empty() { Ok(Self { server, listeners: Vec::new() }) } else { Err(Error::Setup(problems)) }
    }

    /// Opens one more address for the same server.
    ///
    /// # Errors
    /// As for [`Server::bind`].
    pub fn and_bind(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Self, Error> {
        let unclear = |source| Error::Address { address: format!("{address:?}"), source };
        let addresses: Vec<_> = address.to_socket_addrs().map_err(unclear)?.collect();
        let mut failed = None;
        for address in addresses {
            self.check_exposed(address)?;
            match accept::listen(address) {
                Ok(listener) => return self.and_listener(listener),
                // A name may stand for several addresses; one that works will do.
                Err(source) => failed = Some(Error::Bind { address, source }),
            }
        }
        Err(failed.unwrap_or_else(|| unclear(std::io::ErrorKind::NotFound.into())))
    }

    /// Serves on one more socket that is listening already.
    ///
    /// # Errors
    /// [`Error::Exposed`], or [`Error::System`] if the socket does not tell its address.
    pub fn and_listener(mut self, listener: TcpListener) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(|source| Error::System { what: "a listener's address", source })?;
        self.check_exposed(address)?;
        // It may come from a program that does not block.
        listener.set_nonblocking(false).map_err(|source| Error::System { what: "a blocking listener", source })?;
        self.listeners.push((listener, address));
        Ok(self)
    }

    /// The first address, with the port that was given.
    pub fn addr(&self) -> SocketAddr {
        first(&self.addrs())
    }

    /// All addresses.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, address)| *address).collect()
    }

    /// Starts the threads; from here on clients are served.
    ///
    /// # Errors
    /// [`Error::System`] if the operating system gives no thread.
    pub fn start(self) -> Result<Running, Error> {
        let Server { identity, instructions, registry, limits, guards, .. } = self.server;
        let system = |what| move |source| Error::System { what, source };
        let (core, threads) = Core::start(limits).map_err(system("a thread"))?;
        let mcp = Mcp::new(identity, instructions, registry, Arc::clone(&core));
        let Guards { hosts, origins, tokens, .. } = guards;
        let service: Arc<dyn AnyService> = Arc::new(Arc::clone(&mcp));
        let routes = vec![Route { path: "/mcp".into(), service: Arc::clone(&service) }];
        let door = Door::new(Arc::clone(&core), Gate { hosts, origins, tokens, routes });
        let addresses = self.listeners.iter().map(|(_, address)| *address).collect();
        let mut running = Running {
            handle: Handle::of(mcp),
            services: vec![service],
            addresses,
            acceptors: Vec::new(),
            threads,
            core,
        };
        for (listener, _) in self.listeners {
            // On failure `running` is dropped, which ends what was started.
            running.acceptors.push(Acceptor::start(listener, Arc::clone(&door)).map_err(system("a thread"))?);
        }
        Ok(running)
    }

    fn check_exposed(&self, address: SocketAddr) -> Result<(), Error> {
        if address.ip().is_loopback() {
            return Ok(());
        }
        match self.server.guards.missing() {
            Some(missing) => Err(Error::Exposed { address, missing }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("server", &self.server).field("addresses", &self.addrs()).finish()
    }
}

fn first(addresses: &[SocketAddr]) -> SocketAddr {
    // There is one: both ways to a `Bound` add it. The unspecified address stands for none.
    addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// A server that runs. Dropping it shuts it down with a grace of 5 s.
pub struct Running {
    handle: Handle,
    services: Vec<Arc<dyn AnyService>>,
    addresses: Vec<SocketAddr>,
    acceptors: Vec<Acceptor>,
    threads: Vec<JoinHandle<()>>,
    core: Arc<Core>,
}

impl Running {
    /// The first address it listens on.
    pub fn addr(&self) -> SocketAddr {
        first(&self.addresses)
    }

    /// All addresses.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until somebody calls [`Handle::stop`], then shuts down with the grace given there. Blocks for as long as
    /// the server runs.
    ///
    /// # Errors
    /// As for [`shutdown`](Self::shutdown).
    pub fn join(self) -> Result<(), Error> {
        let grace = self.handle.mcp.stop.wait();
        self.shutdown(grace)
    }

    /// Ends the server: no new connections; new requests are refused; those under way may finish within `grace`, then
    /// they are cancelled and answered; listeners get their last result; connections are closed with 1001.
    ///
    /// Blocks until all is done: for `grace` and the write and close deadlines at the most. A handler that ignores its
    /// cancellation is named in the log, and its thread left behind.
    ///
    /// # Errors
    /// [`Error::Panicked`] if a thread of the server's own had panicked.
    pub fn shutdown(mut self, grace: Duration) -> Result<(), Error> {
        self.end(grace)
    }

    fn end(&mut self, grace: Duration) -> Result<(), Error> {
        /// For handlers to notice their cancellation.
        const NOTICE: Duration = Duration::from_millis(500);
        if !self.core.begin_stop() {
            return Ok(());
        }
        let core = Arc::clone(&self.core);
        log::info!(target: "mcp_blocking::server", "stopping: {} connections, {} calls under way", core.connected(), core.pool.numbers().live);
        let mut panicked = None;
        for acceptor in self.acceptors.drain(..) {
            if !acceptor.stop() {
                panicked = Some("mcp-accept");
            }
        }
        if !core.pool.wait_quiet(Instant::now() + grace) {
            for connection in core.clients() {
                connection.lane.abandon(Abandon::Stopping);
            }
            if !core.pool.wait_quiet(Instant::now() + NOTICE) {
                for what in core.pool.running() {
                    log::error!(target: "mcp_blocking::server", "left behind: {what} ignores its cancellation");
                }
            }
        }
        for service in &self.services {
            service.stopping();
        }
        for connection in core.clients() {
            connection.close(1001, "server is stopping", Flush::Elsewhere);
        }
        let patience = core.limits.close_deadline + core.limits.write_deadline + NOTICE;
        if !core.wait_served(Instant::now() + core.limits.close_deadline + NOTICE) {
            // Those that have not answered the close frame, and those still in their handshake.
            for connection in core.clients() {
                if connection.outbox.queued().1 == 0 {
                    connection.outbox.abort();
                }
            }
            if !core.wait_served(Instant::now() + patience) {
                log::error!(target: "mcp_blocking::server", "connections are left behind");
            }
        }
        core.pool.stop();
        core.timer.stop();
        core.drain.stop();
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                log::error!(target: "mcp_blocking::server", "{name} has panicked");
                panicked = Some(if name == "mcp-timer" { "mcp-timer" } else { "mcp-drain" });
            }
        }
        core.pool.wait_ended(Instant::now() + NOTICE);
        if core.counters.connection_panics.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            panicked = panicked.or(Some("mcp-conn"));
        }
        log::info!(target: "mcp_blocking::server", "stopped");
        panicked.map_or(Ok(()), |thread| Err(Error::Panicked { thread: thread.into() }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever wants to know calls `shutdown`; the log has it in any case.
        let _ = self.end(DROP_GRACE);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// A way to a running server from anywhere. Cheap to clone and to send; all clones are the same server. It may outlive
/// the server: then there is simply nobody connected.
#[derive(Clone)]
pub struct Handle {
    mcp: Arc<Mcp>,
}

/// Somebody's wish that the server ends.
#[derive(Default)]
pub(crate) struct Stop {
    grace: Mutex<Option<Duration>>,
    asked: Condvar,
}

impl Stop {
    fn wait(&self) -> Duration {
        let mut grace = self.grace.lock();
        loop {
            match *grace {
                Some(grace) => return grace,
                None => self.asked.wait(&mut grace),
            }
        }
    }
}

impl Handle {
    pub(crate) fn of(mcp: Arc<Mcp>) -> Self {
        Self { mcp }
    }

    /// Asks the server to stop with that grace. Returns at once; [`Running::join`] returns when it is done.
    pub fn stop(&self, grace: Duration) {
        self.mcp.stop.grace.lock().get_or_insert(grace);
        self.mcp.stop.asked.notify_all();
    }

    /// The clients that are connected at this moment, the oldest first.
    pub fn clients(&self) -> Vec<Client> {
        self.mcp.links().into_iter().map(Client).collect()
    }

    /// Sends a notification to all clients with a session (2024-11-05 to 2025-11-25), written once for all. Clients of
    /// 2026-07-28 get only what they listen for. Returns how many queues took it; one that is full closes its client. Never blocks.
    ///
    /// # Errors
    /// [`NotifyError::Params`] if the parameters are no JSON object.
    pub fn broadcast(&self, method: &str, params: &impl Serialize) -> Result<usize, NotifyError> {
        Ok(self.mcp.broadcast(notification(method, params)?))
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
    pub fn edit<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> T {
        self.mcp.edit(change)
    }

    /// Tells the clients that the list of tools has changed, though it has not: for tools whose behavior depends on
    /// something else.
    pub fn tools_changed(&self) {
        self.mcp.announce_tools();
    }

    /// Numbers of the moment.
    pub fn status(&self) -> Status {
        let core = &self.mcp.core;
        let (pool, counters) = (core.pool.numbers(), &core.counters);
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        Status {
            uptime: core.uptime(),
            connections: core.connected(),
            calls_in_flight: pool.live,
            calls_waiting: pool.waiting,
            workers: pool.workers,
            workers_idle: pool.idle,
            workers_written_off: pool.written_off,
            workers_written_off_ever: pool.written_off_ever,
            memory_used: core.memory.used(),
            memory_limit: core.memory.limit(),
            connections_accepted: read(&counters.accepted),
            connections_refused: read(&counters.refused),
            requests: read(&counters.requests),
            panics: read(&counters.panics),
            timeouts: read(&counters.timeouts),
            cancelled: read(&counters.cancelled),
            rate_limited: read(&counters.rate_limited),
            busy: read(&counters.busy),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("server", &self.mcp).finish()
    }
}

/// What a server is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Time since the start.
    pub uptime: Duration,
    /// Clients that are connected.
    pub connections: usize,
    /// Calls under way, waiting or running.
    pub calls_in_flight: usize,
    /// Calls that wait for a worker.
    pub calls_waiting: usize,
    /// Worker threads.
    pub workers: usize,
    /// Of these, those that have nothing to do.
    pub workers_idle: usize,
    /// Threads whose handler ignores its deadline, at this moment.
    pub workers_written_off: usize,
    /// The same, since the start.
    pub workers_written_off_ever: u64,
    /// Bytes of queued requests and outgoing frames.
    pub memory_used: usize,
    /// The bound of that.
    pub memory_limit: usize,
    /// Connections since the start.
    pub connections_accepted: u64,
    /// Of these, those that were turned away.
    pub connections_refused: u64,
    /// Requests since the start.
    pub requests: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Calls stopped at their deadline.
    pub timeouts: u64,
    /// Calls cancelled by their client.
    pub cancelled: u64,
    /// Messages beyond the rate.
    pub rate_limited: u64,
    /// Requests answered "busy".
    pub busy: u64,
}
