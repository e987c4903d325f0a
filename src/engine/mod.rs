//! Threads and queues: who is connected, who runs handlers, who writes, who watches the time. Knows messages, no protocol.
//!
//! Lock order. Taken while another is held:
//! a task's birth (MCP) → all that its call takes; the table of tasks → a task's state, the lanes; a call's state → its task's state → its link's
//! pending requests, its batch, its session's streams (HTTP), its exchange (HTTP), the outbox's queue, and through a full queue the client table (read), the
//! timer and the logger, and for memory the session table (read) and one session's streams, each alone; a
//! session's streams → their exchanges → the outbox's queue; an exchange → the seats of the listeners; the outbox's writer → its queue; a worker's seat → its client's share and its lane, each alone; a lane → a share of its work, alone; what holds a connection or a session → the table of shares; the tokens' change → the tokens that are known, alone; what is
//! known of a call's questions → the logger; the outbox's writer and its queue → the state machine of its TLS; the watch over certificates' files → those
//! that are served, and the logger; the watch over a file of keys → the keys, and the logger. Everything else is taken alone. No lock is held while a handler, a layer or a hook runs; socket calls run under the outbox's writer only, which
//! nobody waits for and whose calls never block.

pub(crate) mod budget;
pub(crate) mod connection;
pub(crate) mod drain;
pub(crate) mod ending;
pub(crate) mod framing;
pub(crate) mod here;
pub(crate) mod lane;
pub(crate) mod link;
#[cfg(feature = "tls")]
pub(crate) mod link_tls;
pub(crate) mod outbox;
pub(crate) mod pool;
pub(crate) mod rates;
pub(crate) mod reading;
pub(crate) mod settle;
pub(crate) mod share;
pub(crate) mod timer;

use crate::access::{Access, Ticket, TicketError};
use crate::audit::Auditor;
use crate::error::{Error, Problem};
use crate::guard::address::ClientAddr;
use crate::guard::policy::Texts;
use crate::limits::Limits;
use crate::metrics::Counters;
use crate::principal::Principal;
use crate::tls::Tls;
use budget::Budget;
use connection::Connection;
use drain::Drain;
use lane::Lane;
use link::Endpoint;
use outbox::{Outbox, OutboxLimits};
use parking_lot::{Condvar, Mutex, RwLock};
use pool::{Abandon, Busy, Pool, PoolSizes, Work};
use rates::Rates;
use share::Shares;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use timer::Timer;

/// The number of a connection, unique for the life of the process's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// What all threads of a server share.
pub(crate) struct Core {
    pub(crate) limits: Limits,
    pub(crate) memory: Arc<Budget>,
    /// What one client may have of it, and of the workers.
    pub(crate) shares: Arc<Shares>,
    pub(crate) threads: Arc<Budget>,
    /// How many tasks there are.
    pub(crate) tasks: Arc<Budget>,
    pub(crate) timer: Timer,
    pub(crate) drain: Drain,
    /// Runs calls.
    pub(crate) pool: Arc<Pool>,
    /// Runs tasks, which may take hours: apart, so that no number of them leaves calls without a thread.
    pub(crate) task_pool: Arc<Pool>,
    /// How often a connection is looked at when nothing is due earlier.
    pub(crate) tick: Duration,
    pub(crate) counters: Counters,
    /// How often who may ask.
    pub(crate) rates: Arc<Rates>,
    /// For the connections of its listeners, if they are encrypted.
    pub(crate) tls: Option<Tls>,
    clients: RwLock<HashMap<ConnectionId, Arc<Connection>>>,
    /// Lanes of those who have no connection of their own.
    lanes: RwLock<HashMap<ConnectionId, Arc<Lane>>>,
    /// By age, with whom they count among.
    openings: Mutex<BTreeMap<Moment, Handshake>>,
    ids: AtomicU64,
    opening_ids: AtomicU64,
    /// Told of what has to be recorded.
    pub(crate) audit: Arc<Auditor>,
    /// Tokens and tickets, where there is a gate.
    pub(crate) access: OnceLock<Arc<Access>>,
    start: Instant,
    stopping: AtomicBool,
    sealed: AtomicBool,
    pub(crate) stop: Stop,
    /// What is done with characters that honest text does not have.
    pub(crate) texts: OnceLock<Texts>,
    /// Connection threads that run, and a signal when one ends.
    serving: (Mutex<usize>, Condvar),
}

/// What was read again: see [`Handle::reload`](crate::Handle::reload).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// The files of certificates and keys that have changed.
    pub certificates: Vec<std::path::PathBuf>,
    /// How many tokens have come.
    pub tokens_come: usize,
    /// How many have gone: whoever was here with one of those is not any more.
    pub tokens_gone: usize,
}

impl Core {
    /// Starts the timer and the drain; the pool starts its threads when there is work.
    pub(crate) fn start(limits: Limits, tls: Option<Tls>) -> io::Result<(Arc<Self>, Vec<JoinHandle<()>>)> {
        let limits = limits.clamped();
        let memory = Budget::new(limits.memory_bytes);
        let threads = Budget::new(budget::thread_limit());
        let task_count = Budget::new(limits.tasks);
        let (timer, timer_thread) = Timer::start()?;
        let (drain, drain_thread) = match Drain::start() {
            Ok(drain) => drain,
            Err(error) => {
                timer.stop();
                return Err(error);
            }
        };
        // Timer, drain, the accept loops and the health thread.
        threads.overdraw(8);
        let (most_parked, queue) = (limits.parked_calls, limits.queued_calls);
        let pool = |name, most| {
            let sizes = PoolSizes { name, most, most_parked, queue };
            Pool::new(sizes, Arc::clone(&threads), timer.clone())
        };
        let (calls, tasks) = (pool("mcp-worker", limits.workers), pool("mcp-task", limits.task_workers));
        let shortest = limits.ping_interval.min(limits.frame_deadline);
        let tick = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
        let rates = Arc::new(Rates::new(&limits));
        let shares = Shares::new(&limits, &memory);
        let core = Self {
            limits,
            memory,
            shares,
            threads,
            tasks: task_count,
            timer,
            drain,
            pool: calls,
            task_pool: tasks,
            tick,
            counters: Counters::default(),
            rates,
            tls,
            clients: RwLock::new(HashMap::new()),
            lanes: RwLock::new(HashMap::new()),
            openings: Mutex::default(),
            ids: AtomicU64::new(1),
            opening_ids: AtomicU64::new(0),
            audit: Arc::default(),
            access: OnceLock::new(),
            start: Instant::now(),
            stopping: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            stop: Stop::default(),
            texts: OnceLock::new(),
            serving: (Mutex::new(0), Condvar::new()),
        };
        Ok((Arc::new(core), vec![timer_thread, drain_thread]))
    }

    /// Milliseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX / 4)
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.ids.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The stop has waited for what was under way: whatever begins now comes too late.
    pub(crate) fn sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
    }

    /// From here on new work is refused.
    pub(crate) fn begin_stop(&self) -> bool {
        !self.stopping.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn outbox(
        &self,
        link_write: Box<dyn link::WriteHalf>,
        endpoint: Arc<dyn link::Endpoint>,
    ) -> Arc<Outbox> {
        let limits = OutboxLimits {
            bytes: self.limits.outbox_bytes,
            frames: self.limits.outbox_frames,
            write_deadline: self.limits.write_deadline,
        };
        Outbox::new(link_write, endpoint, limits, Arc::clone(&self.memory), self.drain.clone())
    }

    pub(crate) fn enter(&self, connection: &Arc<Connection>) {
        self.clients.write().insert(connection.id, Arc::clone(connection));
    }

    pub(crate) fn leave(&self, id: ConnectionId) {
        let mut clients = self.clients.write();
        clients.remove(&id);
        if clients.capacity() > 64 && clients.len() < clients.capacity() / 4 {
            // A crowd that has left leaves no memory behind.
            clients.shrink_to_fit();
        }
    }

    pub(crate) fn client(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.clients.read().get(&id).cloned()
    }

    /// All connections at this moment, the oldest first.
    pub(crate) fn clients(&self) -> Vec<Arc<Connection>> {
        let mut all: Vec<_> = self.clients.read().values().cloned().collect();
        all.sort_unstable_by_key(|connection| connection.id);
        all
    }

    /// A lane that belongs to no connection, so that the end of the server reaches it.
    pub(crate) fn add_lane(&self, id: ConnectionId, lane: &Arc<Lane>) {
        self.lanes.write().insert(id, Arc::clone(lane));
    }

    pub(crate) fn remove_lane(&self, id: ConnectionId) {
        let mut lanes = self.lanes.write();
        lanes.remove(&id);
        if lanes.capacity() > 64 && lanes.len() < lanes.capacity() / 4 {
            lanes.shrink_to_fit();
        }
    }

    /// The server stops: gives all work up.
    pub(crate) fn abandon_all(&self) {
        let lanes: Vec<_> = self.lanes.read().values().cloned().collect();
        for lane in self.clients().iter().map(|connection| &connection.lane).chain(&lanes) {
            lane.abandon(Abandon::Stopping);
        }
        self.pool.abandon(Abandon::Stopping);
    }

    /// Work of those who have no connection of their own is given up: nobody is left who could come back for it.
    pub(crate) fn abandon_lanes(&self) {
        let lanes: Vec<_> = self.lanes.read().values().cloned().collect();
        for lane in lanes {
            lane.abandon(Abandon::Stopping);
        }
    }

    /// Hands work of a lane to a pool; returns its deadline.
    pub(crate) fn submit(
        &self,
        pool: &Pool,
        lane: &Arc<Lane>,
        work: Arc<dyn Work>,
        bytes: usize,
    ) -> Result<Instant, Busy> {
        if self.stopping() {
            return Err(Busy::Stopping);
        }
        let deadline = work.deadline();
        pool.submit(lane, Arc::clone(&work), bytes)?;
        if self.sealed() {
            // The stop has waited for all that it knew of, and this was not among it.
            work.abandon(Abandon::Stopping);
        }
        Ok(deadline)
    }

    /// Waits until nothing is under way; false if that did not come before the deadline. Blocks the caller.
    pub(crate) fn wait_quiet(&self, deadline: Instant) -> bool {
        // Both, whatever comes of the first.
        let calls = self.pool.wait_quiet(deadline);
        self.task_pool.wait_quiet(deadline) && calls
    }

    pub(crate) fn connected(&self) -> usize {
        self.clients.read().len()
    }

    /// Bytes that wait to be written, over all connections.
    pub(crate) fn outbox_bytes(&self) -> usize {
        self.clients.read().values().map(|connection| connection.outbox.queued().0).sum()
    }

    /// Makes room in the memory budget: cuts the connection with the fullest outbox. False if that is the asking one.
    pub(crate) fn relieve(&self, asking: ConnectionId) -> bool {
        let fullest = self
            .clients
            .read()
            .values()
            .filter(|connection| connection.outbox.queued().0 > 0)
            .max_by_key(|connection| connection.outbox.queued().0)
            .cloned();
        let Some(fullest) = fullest.filter(|fullest| fullest.id != asking) else { return false };
        let (bytes, frames) = fullest.outbox.queued();
        // Not the closing handshake: its memory is wanted now.
        fullest.outbox.abort();
        log::warn!(
            target: "mcp_blocking::connection", connection = fullest.id.0;
            "connection {}: cut, the memory budget is used up and its queue is the fullest: {bytes} bytes in {frames} frames",
            fullest.id
        );
        true
    }

    /// Reads all again that is read while the server runs.
    pub(crate) fn reload(&self) -> Result<Reloaded, Error> {
        self.audit.reopen();
        let tokens = self.change_tokens(Access::read_files);
        #[cfg(feature = "tls")]
        let certificates = self.reload_tls();
        #[cfg(not(feature = "tls"))]
        let certificates = Ok::<_, Error>(Vec::new());
        match (tokens, certificates) {
            (Ok((come, gone)), Ok(certificates)) => Ok(Reloaded { certificates, tokens_come: come, tokens_gone: gone }),
            (tokens, certificates) => Err(Error::Reload(tokens.err().into_iter().chain(certificates.err()).collect())),
        }
    }

    /// Reads the certificates' files again; which of them have changed.
    #[cfg(feature = "tls")]
    pub(crate) fn reload_tls(&self) -> Result<Vec<std::path::PathBuf>, crate::Error> {
        let Some(tls) = &self.tls else { return Ok(Vec::new()) };
        let changed = tls.reload();
        self.record_certificates(tls);
        changed
    }

    /// Tells the audit log if the certificates have changed.
    pub(crate) fn record_certificates(&self, tls: &Tls) {
        if tls.has_changed() {
            self.audit.reloaded("tls");
        }
    }

    /// Issues a ticket for a page of that origin.
    pub(crate) fn issue_ticket(&self, principal: &Principal, origin: &str) -> Result<Ticket, TicketError> {
        self.access.get().ok_or(TicketError::Disabled)?.issue_for(principal, origin, &self.audit)
    }

    /// Changes the tokens, and has all connections looked at whose right to be here may have ended thereby.
    pub(crate) fn change_tokens(
        &self,
        change: impl FnOnce(&Access) -> Result<(usize, usize), Problem>,
    ) -> Result<(usize, usize), Error> {
        let Some(access) = self.access.get() else { return Ok((0, 0)) };
        let changed = change(access).map_err(|problem| {
            log::error!(target: "mcp_blocking::server", "the old tokens stay: {problem}");
            Error::Tokens(problem)
        })?;
        let (come, gone) = changed;
        if changed != (0, 0) {
            log::info!(target: "mcp_blocking::server", "tokens have changed: {come} have come, {gone} have gone");
            self.audit.reloaded("tokens");
        }
        if gone > 0 {
            self.clients().iter().for_each(|connection| connection.look_now());
        }
        Ok(changed)
    }

    /// A connection that has not finished its handshake, so that a stop can cut it short, and those who come after it can.
    pub(crate) fn opening(self: &Arc<Self>, endpoint: Arc<dyn Endpoint>, from: ClientAddr) -> Opening {
        let moment = (Instant::now(), self.opening_ids.fetch_add(1, Ordering::Relaxed));
        self.openings.lock().insert(moment, (from.group(), Arc::clone(&endpoint)));
        if self.stopping() {
            endpoint.shutdown(Shutdown::Both);
        }
        Opening { core: Arc::clone(self), moment }
    }

    /// Cuts the connections that have not finished their handshake.
    pub(crate) fn cut_openings(&self) {
        let openings: Vec<_> = self.openings.lock().values().map(|(_, endpoint)| Arc::clone(endpoint)).collect();
        for endpoint in openings {
            endpoint.shutdown(Shutdown::Both);
        }
    }

    /// Cuts one of them to make room: the oldest of the address that has most. An honest handshake is over in milliseconds, so
    /// that it is hardly ever the oldest. False if there is none.
    pub(crate) fn cut_an_opening(&self) -> bool {
        let mut openings = self.openings.lock();
        let mut count = HashMap::<IpAddr, usize>::new();
        for (from, _) in openings.values() {
            *count.entry(*from).or_default() += 1;
        }
        let most = count.values().max().copied().unwrap_or_default();
        let oldest = openings.iter().find(|(_, (from, _))| count.get(from) == Some(&most)).map(|(moment, _)| *moment);
        let cut = oldest.and_then(|moment| openings.remove(&moment));
        drop(openings);
        cut.is_some_and(|(_, endpoint)| {
            endpoint.shutdown(Shutdown::Both);
            true
        })
    }

    /// A connection thread begins.
    pub(crate) fn serving(self: &Arc<Self>) -> Serving {
        *self.serving.0.lock() += 1;
        Serving(Arc::clone(self))
    }

    /// Waits until all connection threads have ended; false if the deadline came before. Blocks the caller.
    pub(crate) fn wait_served(&self, deadline: Instant) -> bool {
        let mut count = self.serving.0.lock();
        while *count > 0 {
            if self.serving.1.wait_until(&mut count, deadline).timed_out() {
                return *count == 0;
            }
        }
        true
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Somebody's wish that the server ends, with a grace for what is under way.
#[derive(Default)]
pub(crate) struct Stop {
    grace: Mutex<Option<Duration>>,
    asked: Condvar,
}

impl Stop {
    pub(crate) fn ask(&self, grace: Duration) {
        self.grace.lock().get_or_insert(grace);
        self.asked.notify_all();
    }

    /// Blocks until somebody has asked.
    pub(crate) fn wait(&self) -> Duration {
        let mut grace = self.grace.lock();
        loop {
            match *grace {
                Some(grace) => return grace,
                None => self.asked.wait(&mut grace),
            }
        }
    }
}

/// When a connection came, and a number of its own.
type Moment = (Instant, u64);
/// Whom a connection counts for whose handshake is under way, and how to end it.
type Handshake = (IpAddr, Arc<dyn Endpoint>);

/// A handshake under way; over when dropped.
pub(crate) struct Opening {
    core: Arc<Core>,
    moment: Moment,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.core.openings.lock().remove(&self.moment);
    }
}

/// A running connection thread.
pub(crate) struct Serving(Arc<Core>);

impl Drop for Serving {
    fn drop(&mut self) {
        *self.0.serving.0.lock() -= 1;
        self.0.serving.1.notify_all();
    }
}
