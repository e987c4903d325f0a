//! Sessions over HTTP (2025-03-26 to 2025-11-25, basic/transports): who has one, how it is found, when it ends.

use super::streams::{LOOK, Streams};
use crate::engine::budget::Budget;
use crate::engine::pool::Abandon;
use crate::engine::timer::Tick;
use crate::guard::address::ClientAddr;
use crate::mcp::Mcp;
use crate::mcp::client::{Legacy, Link};
use crate::mcp::hooks::Hooks;
use crate::mcp::session::Session;
use crate::principal::Principal;
use crate::random;
use crate::service::Ended;
use crate::transport::accept::Throttle;
use parking_lot::RwLock;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) struct HttpSession {
    /// What the client names it by: 32 letters of the system's random source.
    pub(crate) id: Box<str>,
    pub(crate) session: Session,
    pub(crate) streams: Arc<Streams>,
    mcp: Weak<Mcp>,
    own: Weak<Self>,
    /// Requests and streams that are open.
    open: AtomicUsize,
    /// When it was last used, in milliseconds on the core's clock.
    used: AtomicU64,
}

/// The sessions of a server.
pub(crate) struct Sessions {
    /// Its lock is held for the table alone: who reads it may hold others (`engine/mod.rs`).
    by_id: RwLock<HashMap<Box<str>, Arc<HttpSession>>>,
    /// What they may keep of what was sent and is to be sent, all together.
    share: Arc<Budget>,
    log: Throttle,
}

/// Whose sessions are counted together.
#[derive(PartialEq, Eq, Hash)]
enum Owner<'a> {
    Principal(&'a str),
    Address(IpAddr),
}

impl Sessions {
    /// `memory` is what the whole process has.
    pub(crate) fn new(memory: usize) -> Self {
        // A quarter: clients that do not come back must not take the room of those that are there.
        Self { by_id: RwLock::default(), share: Budget::new(memory / 4), log: Throttle::new() }
    }

    pub(crate) fn share(&self) -> &Arc<Budget> {
        &self.share
    }

    /// The session that keeps most forgets it: the memory is wanted for another.
    pub(crate) fn relieve(&self) {
        if self.share.used() == 0 {
            return;
        }
        let all = self.all();
        let Some(fullest) = all.iter().max_by_key(|session| session.streams.kept_bytes()) else { return };
        fullest.streams.forget();
        let id = fullest.session.link().id;
        if let Some(missed) = self.log.turn() {
            log::warn!(
                target: "mcp_blocking::session", connection = id.0;
                "session {id}: what it had not fetched is dropped, the memory for that is used up and it held most of it{missed}"
            );
        }
    }

    /// The session of that id, if it belongs to this principal: to everybody else it does not exist.
    pub(crate) fn find(&self, id: &str, principal: Option<&Principal>) -> Option<Arc<HttpSession>> {
        let session = self.by_id.read().get(id).cloned()?;
        let owner = session.session.link().principal.as_ref().map(Principal::id);
        (owner == principal.map(Principal::id)).then_some(session)
    }

    /// Whether there is one of that id, whoever it belongs to.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.read().contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.read().len()
    }

    fn all(&self) -> Vec<Arc<HttpSession>> {
        self.by_id.read().values().cloned().collect()
    }

    /// The one that makes room for another: not one in use; one of the client that has most of them; rather one that its client has not gone on
    /// with, or has not used for longest. So who opens many pushes out his own.
    fn expendable(&self) -> Option<Arc<HttpSession>> {
        // Ranked behind the lock: whether one has tasks is known under that of the tasks, where others may wait for this table.
        let all = self.all();
        let mut owned: HashMap<Owner<'_>, usize> = HashMap::new();
        for session in &all {
            *owned.entry(session.owner()).or_default() += 1;
        }
        let rank = |session: &HttpSession| {
            let begun = session.session.link().legacy().is_some_and(Legacy::is_initialized);
            let used = session.used.load(Ordering::Relaxed);
            // Those that have tasks last: these are kept for their time, if it can be done.
            (owned.get(&session.owner()).copied(), Reverse((session.has_tasks(), begun, used)))
        };
        all.iter().filter(|session| session.is_idle()).max_by_key(|session| rank(session)).cloned()
    }

    /// Ends a session, if it has not ended. The author is told of it on the calling thread.
    pub(crate) fn end(&self, session: &HttpSession, ended: Ended) {
        if let Some(mcp) = session.mcp.upgrade().filter(|_| self.remove(session)) {
            session.close(&mcp, ended);
            mcp.hooks.disconnected(session.session.link(), ended);
        }
    }

    /// The same for who must not wait for the author. False if so many ends wait to be told that this one has to.
    fn end_soon(&self, mcp: &Arc<Mcp>, session: &HttpSession, ended: Ended) -> bool {
        // As many as may be there: who blocks in his hooks keeps their memory.
        let room = mcp.hooks.untold() < mcp.limits().sessions;
        if room && self.remove(session) {
            session.close(mcp, ended);
            Hooks::disconnected_soon(mcp, session.session.link(), ended);
        }
        room
    }

    /// Takes a session out of the table; false if it has ended.
    fn remove(&self, session: &HttpSession) -> bool {
        let gone = {
            let mut by_id = self.by_id.write();
            let gone = by_id.remove(&session.id);
            if by_id.capacity() > 64 && by_id.len() < by_id.capacity() / 4 {
                by_id.shrink_to_fit();
            }
            gone
        };
        gone.is_some()
    }

    /// Ends all of them.
    pub(crate) fn end_all(&self) {
        for session in self.all() {
            self.end(&session, Ended::ByServer);
        }
    }
}

impl HttpSession {
    /// A session that nobody can find yet; one that is not in use may have to make room for it. `None` if all are in use, or there are
    /// no random numbers.
    pub(crate) fn prepare(mcp: &Arc<Mcp>, address: ClientAddr, principal: Option<Principal>) -> Option<Arc<Self>> {
        if mcp.sessions.len() >= mcp.limits().sessions {
            let session = mcp.sessions.expendable()?;
            // A hook that takes its time is no fault of the client that comes.
            if !mcp.sessions.end_soon(mcp, &session, Ended::Silent) {
                mcp.sessions.end(&session, Ended::Silent);
            }
        }
        let id = random::text::<24>().ok()?.into();
        // Not a part of the id, which is a secret: those of events may be told to anybody.
        let streams = Streams::new(mcp, u32::from_le_bytes(random::bytes().ok()?));
        let link = Arc::new(Link::of_session(&mcp.core, address, principal, Arc::clone(&streams)));
        let session = Session::new(Arc::clone(mcp), link);
        let (open, used) = (AtomicUsize::new(0), AtomicU64::new(mcp.core.now()));
        let mcp = Arc::downgrade(mcp);
        Some(Arc::new_cyclic(|own| Self { id, session, streams, mcp, own: own.clone(), open, used }))
    }

    /// Whether its client knows that a server may close a stream and have it come back.
    pub(crate) fn polls(&self) -> bool {
        self.session.link().legacy().is_some_and(|legacy| legacy.revision.has_polling())
    }

    fn owner(&self) -> Owner<'_> {
        let link = self.session.link();
        match &link.principal {
            Some(principal) => Owner::Principal(principal.id()),
            None => Owner::Address(link.address.group()),
        }
    }

    /// Nothing of it is open or under way.
    fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0 && self.session.link().lane.live() == 0
    }

    /// Some are under way, or kept for the client.
    fn has_tasks(&self) -> bool {
        self.mcp.upgrade().is_some_and(|mcp| mcp.tasks.any_of_session(self.session.link().id))
    }

    /// From here on it can be found. False if it comes too late for the end of the server, and has ended with it.
    pub(crate) fn publish(self: &Arc<Self>, mcp: &Mcp) -> bool {
        let link = self.session.link();
        mcp.core.add_lane(link.id, &link.lane);
        mcp.add_link(link);
        mcp.hooks.connected(link);
        self.streams.set_watch(self.own.clone());
        mcp.sessions.by_id.write().insert(self.id.clone(), Arc::clone(self));
        mcp.core.timer.add(Instant::now() + look(mcp), self.own.clone());
        let late = mcp.core.sealed();
        if late {
            // All that were there have been ended, or will be: whoever comes second finds nothing to do.
            mcp.sessions.end(self, Ended::ByServer);
        }
        !late
    }

    /// Ends all that is of it, but for what the author does about it.
    fn close(&self, mcp: &Mcp, ended: Ended) {
        let link = self.session.link();
        link.lane.abandon(Abandon::Disconnected);
        mcp.core.remove_lane(link.id);
        mcp.remove_link(link.id);
        link.asked.close();
        mcp.tasks.end_session(link.id);
        self.streams.close();
        log::info!(target: "mcp_blocking::session", connection = link.id.0; "session {} ended: {ended}", link.id);
    }

    /// Ends it from the timer's thread; when to try again, if it cannot be.
    fn leave(&self, mcp: &Arc<Mcp>, ended: Ended, now: Instant) -> Option<Instant> {
        (!mcp.sessions.end_soon(mcp, self, ended)).then(|| now + look(mcp))
    }

    /// A request or stream begins; it is over when the value is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Visit {
        self.open.fetch_add(1, Ordering::AcqRel);
        Visit(Arc::clone(self))
    }
}

/// How often a session is looked at, if nothing is due earlier.
fn look(mcp: &Mcp) -> Duration {
    let shortest = mcp.limits().session_idle.min(mcp.limits().event_lifetime);
    LOOK.min(shortest / 4).max(Duration::from_millis(10))
}

/// A request or a stream of a session that is open.
pub(crate) struct Visit(Arc<HttpSession>);

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(mcp) = self.0.mcp.upgrade() {
            self.0.used.store(mcp.core.now(), Ordering::Relaxed);
        }
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Tick for HttpSession {
    fn tick(&self, now: Instant) -> Option<Instant> {
        let mcp = self.mcp.upgrade()?;
        if self.streams.is_closed() {
            // Closed by the author: the table still has it.
            return self.leave(&mcp, Ended::ByServer, now);
        }
        self.streams.expire(now);
        let lane = &self.session.link().lane;
        let next = lane.expire(now);
        if let Some(at) = lane.look_again(now, LOOK) {
            mcp.core.timer.nudge(at, self.own.clone());
        }
        let idle = mcp.core.now().saturating_sub(self.used.load(Ordering::Relaxed));
        let limit = u64::try_from(mcp.limits().session_idle.as_millis()).unwrap_or(u64::MAX);
        if self.is_idle() && idle >= limit && !self.has_tasks() {
            return self.leave(&mcp, Ended::Silent, now);
        }
        let look = now + look(&mcp);
        Some(next.map_or(look, |next| next.min(look)))
    }
}
