//! A connected MCP client: the connection with what MCP knows of it.

use super::asked::Asked;
use super::call::Call;
use super::http::streams::{RequestStream, Streams};
use super::listen::Listen;
use super::tasks::wait::Wait;
use super::texts;
use crate::audit::Party;
use crate::engine::budget::Reservation;
use crate::engine::connection::Connection;
use crate::engine::here::Working;
use crate::engine::lane::Lane;
use crate::engine::outbox::{Body, Flush, Refused};
use crate::engine::pool::{Busy, Work};
use crate::engine::{ConnectionId, Core};
use crate::guard::address::ClientAddr;
use crate::guard::rate::TokenBucket;
use crate::guard::scopes::Grant;
use crate::principal::Principal;
use crate::protocol::capabilities::{ClientCapabilities, ClientInfo, LogLevel, ServerCapabilities};
use crate::protocol::encode;
use crate::protocol::id::RequestId;
use crate::protocol::notify::ListKind;
use crate::protocol::revision::Revision;
use crate::service::SendError;
use crate::transport::http::exchange::Exchange;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// A resource that a session watches.
pub(crate) struct Watched {
    /// What the client might use when it asked for that.
    pub(crate) grant: Grant,
    /// The memory of its address and its place in the table.
    pub(crate) _memory: Reservation,
}

impl Watched {
    /// What the memory for an address is, about: a table may be half empty.
    pub(crate) fn cost(uri: &str) -> usize {
        uri.len() + 2 * size_of::<(Box<str>, Self)>()
    }
}

/// What `initialize` has settled for the rest of the connection.
pub(crate) struct Legacy {
    pub(crate) revision: Revision,
    pub(crate) capabilities: Arc<ClientCapabilities>,
    pub(crate) info: ClientInfo,
    /// What was offered in the answer.
    pub(crate) offered: ServerCapabilities,
    /// The resources that it watches.
    pub(crate) watched: Mutex<HashMap<Box<str>, Watched>>,
    level: AtomicU8,
    initialized: AtomicBool,
}

impl Legacy {
    pub(crate) fn new(
        revision: Revision,
        capabilities: ClientCapabilities,
        info: ClientInfo,
        offered: ServerCapabilities,
    ) -> Self {
        // Without `logging/setLevel` the choice is the server's (2025-11-25, server/utilities/logging).
        let level = AtomicU8::new(LogLevel::Info as u8);
        let capabilities = Arc::new(capabilities);
        Self {
            revision,
            capabilities,
            info,
            offered,
            watched: Mutex::default(),
            level,
            initialized: AtomicBool::new(false),
        }
    }

    /// Whether a list of that kind was offered.
    pub(crate) fn offers(&self, kind: ListKind) -> bool {
        match kind {
            ListKind::Tools => self.offered.tools.is_some(),
            ListKind::Prompts => self.offered.prompts.is_some(),
            ListKind::Resources => self.offered.resources.is_some(),
        }
    }

    pub(crate) fn wants(&self, level: LogLevel) -> bool {
        level as u8 >= self.level.load(Ordering::Relaxed)
    }

    pub(crate) fn set_level(&self, level: LogLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// The client has said that it is ready. Before that it is sent nothing unasked
    /// (2025-11-25, basic/lifecycle).
    pub(crate) fn is_initialized(&self) -> bool {
        self.initialized.load(Ordering::Acquire)
    }

    /// False if it had been.
    pub(crate) fn set_initialized(&self) -> bool {
        !self.initialized.swap(true, Ordering::AcqRel)
    }
}

/// A request that is under way.
#[derive(Clone)]
pub(crate) enum Pending {
    Call(Arc<Call>),
    Listen(Arc<Listen>),
    /// For the end of a task.
    Wait(Arc<Wait>),
}

/// Which way messages take that belong to no request.
pub(crate) enum Outlet {
    /// The one socket, which carries everything (WebSocket).
    Socket(Arc<Connection>),
    /// None: what is asked over this connection is answered, and nothing else (HTTP without a session).
    Answers(Arc<Connection>),
    /// The stream that the client has opened for that, or will open (HTTP with a session).
    Session(Arc<Streams>),
    /// None, and there is no connection (a task of 2026-07-28).
    Nowhere,
}

/// Who has sent one request, where each brings credentials of its own over a connection of its own, and those may be others than those of its session.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) address: ClientAddr,
    pub(crate) principal: Option<Principal>,
}

/// What the connection's thread, the workers and the handles share of one client.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) address: ClientAddr,
    pub(crate) principal: Option<Principal>,
    /// Whether it had to say who it is, where the server asks.
    pub(crate) guarded: bool,
    pub(crate) since: SystemTime,
    pub(crate) core: Arc<Core>,
    /// Its work, and how much of it there may be.
    pub(crate) lane: Arc<Lane>,
    pub(crate) outlet: Outlet,
    legacy: OnceLock<Legacy>,
    pending: Mutex<HashMap<RequestId, Pending>>,
    /// What the client was asked.
    pub(crate) asked: Asked,
    /// How much it is sent of what handlers log.
    logs: Mutex<TokenBucket>,
}

impl Link {
    /// Of a connection that carries everything.
    pub(crate) fn of_connection(connection: &Arc<Connection>) -> Arc<Self> {
        let principal = connection.principal.clone();
        Arc::new(Self::on(connection, connection.address, principal, Outlet::Socket(Arc::clone(connection))))
    }

    /// Of one request that is served by itself.
    pub(crate) fn of_request(exchange: &Exchange, principal: Option<Principal>) -> Arc<Self> {
        let connection = exchange.connection();
        Arc::new(Self::on(connection, exchange.address(), principal, Outlet::Answers(Arc::clone(connection))))
    }

    /// Of a client that may have left: who it was, without the way to it.
    pub(crate) fn of_nobody(other: &Self) -> Arc<Self> {
        let (core, lane, principal) = (Arc::clone(&other.core), Arc::clone(&other.lane), other.principal.clone());
        let link = Self::with(other.id, other.address, principal, other.since, core, lane, Outlet::Nowhere);
        Arc::new(Self { guarded: other.guarded, ..link })
    }

    fn on(connection: &Arc<Connection>, address: ClientAddr, principal: Option<Principal>, outlet: Outlet) -> Self {
        let (core, lane) = (Arc::clone(&connection.core), Arc::clone(&connection.lane));
        let link = Self::with(connection.id, address, principal, connection.since, core, lane, outlet);
        Self { guarded: connection.framing.is_guarded(), ..link }
    }

    /// Whether the client is there between its requests.
    pub(crate) fn stays(&self) -> bool {
        !matches!(self.outlet, Outlet::Answers(_) | Outlet::Nowhere)
    }

    /// Who it is, for the audit log and for what is counted; of a request with a sender of its own, who has sent that.
    pub(crate) fn party<'p>(&'p self, sender: Option<&'p Sender>) -> Party<'p> {
        let address = sender.map_or(self.address, |sender| sender.address);
        let principal = sender.and_then(|sender| sender.principal.as_ref()).or(self.principal.as_ref());
        Party { id: self.id, address, principal }
    }

    /// Of a session that outlives its connections.
    pub(crate) fn of_session(
        core: &Arc<Core>,
        address: ClientAddr,
        principal: Option<Principal>,
        streams: Arc<Streams>,
    ) -> Self {
        let lane = Lane::new(core.limits.calls_per_connection, core.shares.of(principal.as_ref(), address));
        Self::with(
            core.next_id(),
            address,
            principal,
            SystemTime::now(),
            Arc::clone(core),
            lane,
            Outlet::Session(streams),
        )
    }

    fn with(
        id: ConnectionId,
        address: ClientAddr,
        principal: Option<Principal>,
        since: SystemTime,
        core: Arc<Core>,
        lane: Arc<Lane>,
        outlet: Outlet,
    ) -> Self {
        let (legacy, pending, asked) = (OnceLock::new(), Mutex::new(HashMap::new()), Asked::default());
        let rate = u64::from(core.limits.log_rate);
        let logs = Mutex::new(TokenBucket::new(rate, rate * 10));
        let guarded = true;
        Self { id, address, principal, guarded, since, core, lane, outlet, legacy, pending, asked, logs }
    }

    /// Takes one log message from what the client may be sent. False if it is not to be sent.
    pub(crate) fn may_log(&self) -> bool {
        self.logs.lock().take(self.core.uptime(), 1).is_ok()
    }

    /// The legacy session, once `initialize` was answered.
    pub(crate) fn legacy(&self) -> Option<&Legacy> {
        self.legacy.get()
    }

    /// Opens the legacy session; false if there is one.
    pub(crate) fn open_legacy(&self, legacy: Legacy) -> bool {
        self.legacy.set(legacy).is_ok()
    }

    /// Sends one JSON-RPC message that belongs to no request, or over a socket that carries everything. Those with the same key other
    /// than 0 replace each other while they wait.
    pub(crate) fn send(&self, json: Body, key: u64, flush: Flush) -> Result<(), Refused> {
        match &self.outlet {
            // A connection that takes no more is being closed; who waits for this learns it from that.
            Outlet::Socket(connection) => connection.send(connection.framing.text(json).keyed(key), flush),
            Outlet::Answers(_) | Outlet::Nowhere => Err(Refused::Closed),
            Outlet::Session(streams) => streams.send(json, key, flush),
        }
    }

    /// The same for what may be lost when there is no room.
    pub(crate) fn send_notice(&self, json: Body, key: u64, flush: Flush) -> Result<(), Refused> {
        match &self.outlet {
            Outlet::Socket(connection) => connection.send_notice(connection.framing.text(json).keyed(key), flush),
            Outlet::Answers(_) | Outlet::Session(_) | Outlet::Nowhere => self.send(json, key, flush),
        }
    }

    /// Hands work to the pool.
    pub(crate) fn spawn(&self, work: Arc<dyn Work>, bytes: usize) -> Result<(), Busy> {
        match &self.outlet {
            Outlet::Socket(connection) | Outlet::Answers(connection) => connection.spawn(work, bytes),
            Outlet::Session(streams) => streams.spawn(&self.core, &self.lane, work, bytes),
            // Tasks have a place of their own, and begin no calls.
            Outlet::Nowhere => Err(Busy::Overloaded),
        }
    }

    /// Does work on the calling thread, which is that of a connection of this client, until the value is dropped.
    pub(crate) fn work_here(&self, work: Arc<dyn Work>) -> Working<'_> {
        match &self.outlet {
            Outlet::Socket(connection) | Outlet::Answers(connection) => connection.work_here(work),
            Outlet::Session(streams) => streams.work_here(&self.lane, work),
            // Tasks run elsewhere.
            Outlet::Nowhere => self.lane.work_here(work, Duration::ZERO, |_| {}),
        }
    }

    /// Whether what belongs to no request would reach the client now.
    pub(crate) fn is_listening(&self) -> bool {
        match &self.outlet {
            Outlet::Socket(_) => true,
            Outlet::Answers(_) | Outlet::Nowhere => false,
            Outlet::Session(streams) => streams.is_open(),
        }
    }

    /// Takes a message of that key back that still waits for its client to open a streams.
    pub(crate) fn take_back(&self, key: u64) -> Option<Body> {
        match &self.outlet {
            Outlet::Session(streams) => streams.take_back(key),
            Outlet::Socket(_) | Outlet::Answers(_) | Outlet::Nowhere => None,
        }
    }

    /// Writes what waits, before something that takes its time.
    pub(crate) fn flush(&self) {
        match &self.outlet {
            Outlet::Socket(connection) | Outlet::Answers(connection) => connection.outbox.flush(),
            Outlet::Session(_) | Outlet::Nowhere => {}
        }
    }

    /// It sends far more than it may: ends a socket that carries everything, unless it is of a peer that somebody vouches for.
    pub(crate) fn flooded(&self) {
        if let Outlet::Socket(connection) = &self.outlet
            && self.guarded
        {
            connection.set_flooded();
            // It may well come back for more.
            self.core.rates.flooded(self.address);
        }
    }

    /// Ends the client's connection or session.
    pub(crate) fn close(&self, code: u16, reason: &str, flush: Flush) {
        match &self.outlet {
            Outlet::Socket(connection) | Outlet::Answers(connection) => {
                connection.close(code, reason, flush);
            }
            Outlet::Session(streams) => streams.close(),
            Outlet::Nowhere => {}
        }
    }

    fn queued_bytes(&self) -> usize {
        match &self.outlet {
            Outlet::Socket(connection) | Outlet::Answers(connection) => connection.outbox.queued().0,
            Outlet::Session(streams) => streams.queued_bytes(),
            Outlet::Nowhere => 0,
        }
    }

    fn is_connected(&self) -> bool {
        match &self.outlet {
            Outlet::Socket(connection) | Outlet::Answers(connection) => {
                !connection.is_gone() && !connection.is_closing()
            }
            Outlet::Session(streams) => !streams.is_closed(),
            Outlet::Nowhere => false,
        }
    }

    /// Takes note of a request; false if one with this id is under way.
    pub(crate) fn begin(&self, id: &RequestId, what: Pending) -> bool {
        use std::collections::hash_map::Entry;
        match self.pending.lock().entry(id.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(what);
                true
            }
        }
    }

    pub(crate) fn is_pending(&self, id: &RequestId) -> bool {
        let pending = self.pending.lock();
        !pending.is_empty() && pending.contains_key(id)
    }

    /// The request is answered or given up.
    pub(crate) fn finish(&self, id: &RequestId) -> Option<Pending> {
        let mut pending = self.pending.lock();
        let found = pending.remove(id);
        if pending.is_empty() && pending.capacity() > 64 {
            pending.shrink_to_fit();
        }
        found
    }

    pub(crate) fn listens(&self) -> Vec<Arc<Listen>> {
        let listen = |pending: &Pending| match pending {
            Pending::Listen(listen) => Some(Arc::clone(listen)),
            Pending::Call(_) | Pending::Wait(_) => None,
        };
        self.pending.lock().values().filter_map(listen).collect()
    }

    /// Ends all listening: no change is reported any more.
    pub(crate) fn take_listens(&self) -> Vec<Arc<Listen>> {
        let mut listens = Vec::new();
        self.pending.lock().retain(|_, pending| match pending {
            Pending::Listen(listen) => {
                listens.push(Arc::clone(listen));
                false
            }
            Pending::Call(_) | Pending::Wait(_) => true,
        });
        listens
    }

    /// How many of its requests wait for the end of a task.
    pub(crate) fn waits(&self) -> usize {
        self.pending.lock().values().filter(|pending| matches!(pending, Pending::Wait(_))).count()
    }

    /// A request that waited for the end of a task is over; false if it was before.
    pub(crate) fn finish_wait(&self, id: &RequestId, wait: &Wait) -> bool {
        self.take_wait(id, |other| std::ptr::eq(other, wait)).is_some()
    }

    /// A client that waited for the end of a task has hung up.
    pub(crate) fn hung_up(&self, id: &RequestId, stream: &Arc<RequestStream>) {
        if let Some(wait) = self.take_wait(id, |wait| wait.is_over(stream)) {
            wait.leave();
        }
    }

    fn take_wait(&self, id: &RequestId, which: impl FnOnce(&Wait) -> bool) -> Option<Arc<Wait>> {
        let mut pending = self.pending.lock();
        match pending.get(id) {
            // Its client may use the id again as soon as it has seen the answer.
            Some(Pending::Wait(wait)) if which(wait) => {
                let wait = Arc::clone(wait);
                pending.remove(id);
                Some(wait)
            }
            _ => None,
        }
    }
}

/// A connected client, as handlers and [`Handle::clients`](crate::Handle::clients) see it. Cheap to clone; it may outlive the
/// connection.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Link>);

impl Client {
    /// The number of its connection.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// Where it connects from.
    pub fn address(&self) -> ClientAddr {
        self.0.address
    }

    /// Who it is, if the server authenticates.
    pub fn principal(&self) -> Option<&Principal> {
        self.0.principal.as_ref()
    }

    /// The protocol revision of its session. `None` for a client that has not initialized one: clients of 2026-07-28
    /// name the revision in each request instead ([`Ctx::revision`](crate::Ctx::revision)).
    pub fn revision(&self) -> Option<Revision> {
        self.0.legacy().map(|legacy| legacy.revision)
    }

    /// The name and version it gave with `initialize`. For display: nothing vouches for it.
    pub fn name_and_version(&self) -> Option<(&str, &str)> {
        self.0.legacy().map(|legacy| (legacy.info.name.as_str(), legacy.info.version.as_str()))
    }

    /// What it declared with `initialize`. `None` as for [`revision`](Self::revision).
    pub fn capabilities(&self) -> Option<&ClientCapabilities> {
        self.0.legacy().map(|legacy| &*legacy.capabilities)
    }

    /// When it connected.
    pub fn connected_since(&self) -> SystemTime {
        self.0.since
    }

    /// Bytes that wait because it does not read fast enough.
    pub fn queued_bytes(&self) -> usize {
        self.0.queued_bytes()
    }

    /// Calls that are under way.
    pub fn in_flight(&self) -> usize {
        self.0.lane.live()
    }

    /// Whether the connection is still there.
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Sends a JSON-RPC notification. Never blocks.
    ///
    /// Revision 2026-07-28 has no notifications outside of requests, so that a client without a session is not sent
    /// any.
    ///
    /// # Errors
    /// [`NotifyError`] if the client has no session, its connection is closed or full, or the parameters cannot be
    /// written as a JSON object.
    pub fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), NotifyError> {
        let legacy = self.0.legacy().ok_or(NotifyError::NoSession)?;
        if !legacy.is_initialized() {
            return Err(NotifyError::NoSession);
        }
        let json = notification(&self.0.core, method, params)?;
        self.0.send(Body::Owned(json), 0, Flush::Now).map_err(SendError::from)?;
        Ok(())
    }

    /// Closes the connection: what is queued is sent, then a close frame with that code. Over HTTP it is the session that ends, and the code
    /// tells nobody. Returns at once.
    pub fn close(&self, code: u16, reason: &str) {
        self.0.close(code, reason, Flush::Now);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id()).field("address", &self.address()).finish_non_exhaustive()
    }
}

/// A notification as text. `params` has to become a JSON object.
pub(crate) fn notification(core: &Core, method: &str, params: &impl Serialize) -> Result<Vec<u8>, NotifyError> {
    let params = serde_json::value::to_raw_value(params).map_err(|error| NotifyError::Params(error.to_string()))?;
    if !params.get().starts_with('{') {
        return Err(NotifyError::Params("params have to be a JSON object".into()));
    }
    let params = texts::notice_json(core, &params);
    let mut json = Vec::with_capacity(params.get().len() + method.len() + 48);
    encode::write_notification(&mut json, method, Some(&params));
    Ok(json)
}

/// Why a notification was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The client has no initialized session, so that its revision has no such notifications.
    #[error("the client has no session that notifications could belong to")]
    NoSession,
    /// The parameters cannot be written as a JSON object.
    #[error("the notification's parameters cannot be sent: {0}")]
    Params(String),
    /// The connection does not take it.
    #[error(transparent)]
    Send(#[from] SendError),
}
