//! A server's life: its sockets open, its threads running, its end.

use crate::doctor::{self, Case, Diagnosis, Offered, Severity};
use crate::engine::Core;
use crate::engine::outbox::Flush;
use crate::error::{Error, Problem};
use crate::handle::Handle;
use crate::health::listener::HealthListener;
use crate::health::ready::Checks;
use crate::health::{Health, Identity};
use crate::limits::clamp_time;
use crate::service::AnyService;
use crate::settings::Settings;
use crate::tls::Tls;
use crate::transport::accept::{self, Acceptor, Door};
use crate::transport::discovery::{Metadata, TicketDesk};
use crate::transport::gate::{Gate, Route};
use crate::transport::lines::{self, Pipe};
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a [`Running`] that is dropped lets its handlers finish.
const DROP_GRACE: Duration = Duration::from_secs(5);

/// A server whose sockets are open and whose ports are known. Nobody is served yet: who connects waits.
///
/// `H` is what [`Running::handle`] will give: a [`Handle`] for MCP, [`Peers`](crate::Peers) for other protocols.
#[must_use = "a bound server serves nobody until it is started"]
pub struct Bound<H = Handle> {
    settings: Settings,
    offered: Offered,
    tls: Option<Tls>,
    make: Make<H>,
    listeners: Vec<(TcpListener, SocketAddr, Origin)>,
    identity: Identity,
    health: Option<(TcpListener, SocketAddr)>,
    pipes: Vec<Pipes>,
}

/// Streams to be served beside sockets.
enum Pipes {
    Standard,
    Pair(Pipe),
}

/// Whose a listening socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// We opened it.
    Ours,
    /// It was handed over, and somebody may go on using it.
    HandedOver,
}

/// Makes the services, once there are threads to serve them.
type Make<H> = Box<dyn FnOnce(&Arc<Core>) -> (Vec<Route>, H) + Send>;

impl<H> Bound<H> {
    pub(crate) fn new(
        mut settings: Settings,
        offered: Offered,
        problems: Vec<Problem>,
        identity: Identity,
        make: impl FnOnce(&Arc<Core>) -> (Vec<Route>, H) + Send + 'static,
    ) -> Result<Self, Error> {
        let mut problems = settings.prepare(&offered, problems);
        let tls = settings.tls.clone().and_then(|(config, location)| {
            let wrong = |wrong: Vec<Problem>| problems.extend(wrong.into_iter().map(|problem| problem.at(location)));
            Tls::new(config).map_err(wrong).ok()
        });
        if !problems.is_empty() {
            return Err(Error::Setup(problems));
        }
        let make = Box::new(make);
        Ok(Self { settings, offered, tls, make, listeners: Vec::new(), identity, health: None, pipes: Vec::new() })
    }

    /// Opens one more address for the same server.
    ///
    /// # Errors
    /// As for [`Server::bind`](crate::Server::bind).
    pub fn and_bind(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Self, Error> {
        let listener = self.open(address, false)?;
        self.add(listener, Origin::Ours)
    }

    /// Answers probes at an address of their own, on threads that no client can keep busy. A second call replaces the first.
    ///
    /// | path | says |
    /// | --- | --- |
    /// | `/health` | 200 for as long as the server lives, and what it is doing; status `draining` once it is stopping |
    /// | `/ready` | 200, or 503 with the reasons: it is starting, draining or overloaded, or a [`Settings::ready_check`] fails |
    /// | `/metrics` | numbers for Prometheus, in text format 0.0.4 |
    ///
    /// The first two are JSON, or plain text with `Accept: text/plain` or `?format=text`.
    ///
    /// **Nobody is asked for a token here**, so that any supervisor can probe: what is told are numbers, the server's name, and the
    /// texts of failing checks. `Host` and `Origin` are checked as they are for clients: a probe beyond loopback uses a name
    /// that [`Settings::allow_host`] has let in. [`Settings::health_on_main`] answers behind the authentication instead.
    ///
    /// It is never encrypted, also where the main port is: a supervisor should not find a server dead because a certificate is. So beyond loopback it
    /// takes [`Settings::plaintext_behind_proxy`], too.
    ///
    /// ```
    /// # use mcp_blocking::Server;
    /// # fn main() -> Result<(), mcp_blocking::Error> {
    /// let running = Server::new("notes", "1.0.0").bind("127.0.0.1:0")?.health("127.0.0.1:0")?.start()?;
    /// if let Some(address) = running.health_addr() {
    ///     println!("http://{address}/health");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Server::bind`](crate::Server::bind); beyond loopback the same settings are asked for as there.
    pub fn health(mut self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Self, Error> {
        let listener = self.open(address, true)?;
        let address = listener.local_addr().map_err(|source| Error::System { what: "a listener's address", source })?;
        self.health = Some((listener, address));
        Ok(self)
    }

    /// Serves standard input and output, too: a message a line (2025-11-25, `basic/transports`). When the input ends, what was asked is
    /// finished within 2 s; the server goes on if it has sockets, and stops if it has none.
    ///
    /// A thread goes on reading standard input after [`Handle::stop`], until the input ends or the process does: nothing else can read it any more.
    ///
    /// From [`start`](Self::start) to that end, standard output belongs to the messages: what the program prints goes to standard error
    /// (on Windows it does not, and must not print). No `Host`, `Origin` or token is asked for: who can write to the input has started
    /// the program.
    pub fn stdio(mut self) -> Self {
        // There is one of each: asked for twice, it is still served once.
        if !self.pipes.iter().any(|pipes| matches!(pipes, Pipes::Standard)) {
            self.pipes.push(Pipes::Standard);
        }
        self
    }

    /// Serves any pair of streams, likewise: an accepted Unix socket, a serial line, a pipe.
    pub fn pipe(mut self, read: impl Read + Send + 'static, write: impl Write + Send + 'static) -> Self {
        self.pipes.push(Pipes::Pair(Pipe { read: Box::new(read), write: Box::new(write) }));
        self
    }

    /// Opens the first address that works, if it may be served; `plain` says that it is never encrypted.
    fn open(&self, address: impl ToSocketAddrs + fmt::Debug, plain: bool) -> Result<TcpListener, Error> {
        let unclear = |source| Error::Address { address: format!("{address:?}"), source };
        let addresses: Vec<_> = address.to_socket_addrs().map_err(unclear)?.collect();
        let mut failed = None;
        for address in addresses {
            self.settings.check_exposed(address, plain)?;
            match accept::listen(address) {
                Ok(listener) => return Ok(listener),
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
    pub fn and_listener(self, listener: TcpListener) -> Result<Self, Error> {
        self.add(listener, Origin::HandedOver)
    }

    fn add(mut self, listener: TcpListener, origin: Origin) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(|source| Error::System { what: "a listener's address", source })?;
        self.settings.check_exposed(address, false)?;
        // It may come from a program that does not block.
        listener.set_nonblocking(false).map_err(|source| Error::System { what: "a blocking listener", source })?;
        self.listeners.push((listener, address, origin));
        Ok(self)
    }

    /// The first address, with the port that was given; `0.0.0.0:0` if there is none.
    pub fn addr(&self) -> SocketAddr {
        first(&self.addrs())
    }

    /// All addresses.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, address, _)| *address).collect()
    }

    /// The address of [`health`](Self::health), with the port that was given.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref().map(|(_, address)| *address)
    }

    /// What is open, weak or missing, at the addresses that are open by now: see [`doctor`](crate::doctor). Reads the files that are named in the settings, and
    /// opens nothing else.
    ///
    /// ```
    /// # use mcp_blocking::{Error, Server, doctor::Severity};
    /// # fn main() -> Result<(), Error> {
    /// let bound = Server::new("notes", "1.0.0").bind("127.0.0.1:0")?;
    /// let diagnosis = bound.doctor();
    /// if diagnosis.worst() >= Some(Severity::Open) {
    ///     eprint!("{diagnosis}");
    ///     std::process::exit(1);
    /// }
    /// # bound.start()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn doctor(&self) -> Diagnosis {
        // All problems but those of files that have changed since have been told by `bind`.
        doctor::examine(Case {
            settings: &self.settings,
            offered: &self.offered,
            addresses: &self.addrs(),
            health: self.health_addr(),
            problems: Vec::new(),
        })
    }

    /// Starts the threads; from here on clients are served. If [`doctor`](Self::doctor) finds something open, the log says so.
    ///
    /// # Errors
    /// [`Error::System`] if the operating system gives no thread, [`Error::Audit`] if the audit log cannot be opened.
    pub fn start(self) -> Result<Running<H>, Error> {
        let system = |what| move |source| Error::System { what, source };
        self.log_diagnosis();
        let certificate_suffices = self.settings.certificate_suffices();
        let Settings {
            limits,
            hosts,
            mut origins,
            mut authenticator,
            proxies,
            tls,
            checks,
            health_on_main,
            audit,
            resource,
            ticket_endpoint,
            plaintext,
            ..
        } = self.settings;
        // A proxy in front ends TLS: its pages have come over it, too.
        origins.over_tls = tls.is_some() || plaintext;
        authenticator.certificate_suffices = certificate_suffices;
        let audit = audit.map(|audit| audit.start(&self.identity.name, &self.identity.version)).transpose()?;
        let (core, threads) = Core::start(limits, self.tls).map_err(system("a thread"))?;
        audit.into_iter().for_each(|audit| core.audit.set(audit));
        authenticator.issuers.begin(&core.audit);
        let access = Arc::clone(&authenticator.access);
        let _ = core.access.set(Arc::clone(&access));
        let (routes, handle) = (self.make)(&core);
        let first_route = routes.first().map(|route| (Arc::clone(&route.path), Arc::clone(&route.service)));
        let services = routes.iter().map(|route| Arc::clone(&route.service)).collect();
        let health = Health::new(&core, self.identity, Checks::new(checks));
        let on_main = health_on_main.then(|| Arc::clone(&health));
        let metadata = resource.map(|(resource, _)| Metadata::new(&resource));
        let tickets = ticket_endpoint.then_some(TicketDesk { access, audit: Arc::clone(&core.audit) });
        let rates = Arc::clone(&core.rates);
        let gate = Gate { hosts, origins, proxies, authenticator, rates, routes, health: on_main, metadata, tickets };
        let door = Door::new(Arc::clone(&core), gate);
        let addresses = self.listeners.iter().map(|(_, address, _)| *address).collect();
        let health_address = self.health.as_ref().map(|(_, address)| *address);
        let mut running =
            Running { handle, services, addresses, health_address, acceptors: Vec::new(), health: None, threads, core };
        if let Some((listener, _)) = self.health {
            let listener = HealthListener::start(listener, &door, &health);
            running.health = Some(listener.map_err(system("a thread"))?);
        }
        for (listener, _, origin) in self.listeners {
            // On failure `running` is dropped, which ends what was started.
            let acceptor = Acceptor::start(listener, origin == Origin::Ours, Arc::clone(&door));
            running.acceptors.push(acceptor.map_err(system("a thread"))?);
        }
        // Without sockets, nobody can come when the last pair of streams has ended.
        let alone = running.acceptors.is_empty();
        let left = Arc::new(AtomicUsize::new(self.pipes.len()));
        for pipe in self.pipes {
            let (pipe, restore) = match pipe {
                Pipes::Pair(pipe) => (pipe, None),
                Pipes::Standard => {
                    let (write, restore) = lines::take_stdout().map_err(system("standard output"))?;
                    (Pipe { read: Box::new(std::io::stdin()), write }, Some(restore))
                }
            };
            let (core, left) = (Arc::clone(&running.core), Arc::clone(&left));
            let Some((path, service)) = first_route.clone() else { break };
            let serving = core.serving();
            core.threads.overdraw(3);
            let work = move || {
                if let Err(error) = lines::serve(&core, &service, path, pipe) {
                    log::error!(target: "mcp_blocking::server", "a pair of streams cannot be served: {error}");
                }
                drop(restore);
                core.threads.give_back(3);
                if left.fetch_sub(1, Ordering::AcqRel) == 1 && alone {
                    core.abandon_lanes();
                    core.stop.ask(DROP_GRACE);
                }
                drop(serving);
            };
            std::thread::Builder::new().name("mcp-lines".into()).spawn(work).map_err(system("a thread"))?;
        }
        health.set_started();
        Ok(running)
    }

    /// Tells the log how it stands.
    fn log_diagnosis(&self) {
        let diagnosis = self.doctor();
        let (open, weak) = (diagnosis.count(Severity::Open), diagnosis.count(Severity::Weak));
        match (open, weak) {
            (0, 0) => {}
            (0, _) => {
                log::info!(target: "mcp_blocking::doctor", "{weak} weak points: `Bound::doctor` (option --doctor) lists them");
            }
            _ => log::warn!(
                target: "mcp_blocking::doctor",
                "{weak} weak points, {open} of them open: run `Bound::doctor` (option --doctor), which lists them with what to change"
            ),
        }
    }
}

impl<H> fmt::Debug for Bound<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("settings", &self.settings)
            .field("addresses", &self.addrs())
            .field("health", &self.health_addr())
            .finish_non_exhaustive()
    }
}

fn first(addresses: &[SocketAddr]) -> SocketAddr {
    // There is one: both ways to a `Bound` add it. The unspecified address stands for none.
    addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// A server that runs. Dropping it shuts it down with a grace of 5 s.
#[must_use = "dropping it stops the server: keep it, or `join` it"]
pub struct Running<H = Handle> {
    handle: H,
    services: Vec<Arc<dyn AnyService>>,
    addresses: Vec<SocketAddr>,
    health_address: Option<SocketAddr>,
    acceptors: Vec<Acceptor>,
    health: Option<HealthListener>,
    threads: Vec<JoinHandle<()>>,
    core: Arc<Core>,
}

impl<H> Running<H> {
    /// The first address it listens on; `0.0.0.0:0` if there is none.
    pub fn addr(&self) -> SocketAddr {
        first(&self.addresses)
    }

    /// All addresses.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where probes are answered, if [`Bound::health`] was asked for.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// A handle for other threads.
    pub fn handle(&self) -> H
    where
        H: Clone,
    {
        self.handle.clone()
    }

    /// Waits until somebody calls [`Handle::stop`], then shuts down with the grace given there. Blocks for as long as
    /// the server runs.
    ///
    /// # Errors
    /// As for [`shutdown`](Self::shutdown).
    pub fn join(self) -> Result<(), Error> {
        let grace = self.core.stop.wait();
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
        let grace = clamp_time(grace);
        self.core.audit.stopping(grace);
        self.core.cut_openings();
        let core = Arc::clone(&self.core);
        log::info!(target: "mcp_blocking::server", "stopping: {} connections, {} calls under way", core.connected(), core.pool.numbers().live + core.task_pool.numbers().live);
        let mut panicked = None;
        for acceptor in self.acceptors.drain(..) {
            if !acceptor.stop() {
                panicked = Some("mcp-accept");
            }
        }
        core.wait_quiet(Instant::now() + grace);
        // What was not finished in time, and what began in the moment between the two.
        core.seal();
        core.abandon_all();
        if !core.wait_quiet(Instant::now() + NOTICE) {
            for what in [core.pool.running(), core.task_pool.running()].concat() {
                log::error!(target: "mcp_blocking::server", "left behind: {what} ignores its cancellation");
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
        // Until here it has said that the server is draining.
        if self.health.take().is_some_and(|health| !health.stop()) {
            panicked = Some("mcp-health");
        }
        core.pool.stop();
        core.task_pool.stop();
        core.timer.stop();
        core.drain.stop();
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                log::error!(target: "mcp_blocking::server", "{name} has panicked");
                panicked = Some(if name == "mcp-timer" { "mcp-timer" } else { "mcp-drain" });
            }
        }
        let until = Instant::now() + NOTICE;
        core.pool.wait_ended(until);
        core.task_pool.wait_ended(until);
        if core.counters.connection_panics.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            panicked = panicked.or(Some("mcp-conn"));
        }
        if !core.audit.finish() {
            panicked = Some("mcp-audit");
        }
        log::info!(target: "mcp_blocking::server", "stopped");
        panicked.map_or(Ok(()), |thread| Err(Error::Panicked { thread: thread.into() }))
    }
}

impl<H> Drop for Running<H> {
    fn drop(&mut self) {
        // Whoever wants to know calls `shutdown`; the log has it in any case.
        let _ = self.end(DROP_GRACE);
    }
}

impl<H> fmt::Debug for Running<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
