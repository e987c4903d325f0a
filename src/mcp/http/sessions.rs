//! Sessions over HTTP (2025-03-26 to 2025-11-25, basic/transports): who has one, how it is found, when it ends.

use super::stream::{LOOK, Stream};
use crate::engine::pool::Abandon;
use crate::engine::timer::Tick;
use crate::guard::address::ClientAddr;
use crate::mcp::Mcp;
use crate::mcp::client::Link;
use crate::mcp::session::Session;
use crate::principal::Principal;
use crate::service::Ended;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) struct HttpSession {
    /// What the client names it by: 32 letters of the system's random source.
    pub(crate) id: Box<str>,
    pub(crate) session: Session,
    pub(crate) stream: Arc<Stream>,
    mcp: Weak<Mcp>,
    /// Requests and streams that are open.
    open: AtomicUsize,
    /// When it was last used, in milliseconds on the core's clock.
    used: AtomicU64,
}

/// The sessions of a server.
#[derive(Default)]
pub(crate) struct Sessions {
    by_id: RwLock<HashMap<Box<str>, Arc<HttpSession>>>,
}

impl Sessions {
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

    /// The one that has not been used for longest, and is not in use.
    fn idlest(&self) -> Option<Arc<HttpSession>> {
        let by_id = self.by_id.read();
        let idle = by_id.values().filter(|session| session.is_idle());
        idle.min_by_key(|session| session.used.load(Ordering::Relaxed)).cloned()
    }

    /// Ends a session, if it has not ended.
    pub(crate) fn end(&self, session: &Arc<HttpSession>, ended: Ended) {
        let gone = {
            let mut by_id = self.by_id.write();
            let gone = by_id.remove(&session.id);
            if by_id.capacity() > 64 && by_id.len() < by_id.capacity() / 4 {
                by_id.shrink_to_fit();
            }
            gone
        };
        if gone.is_some() {
            session.ended(ended);
        }
    }

    /// Ends all of them.
    pub(crate) fn end_all(&self) {
        let all: Vec<_> = std::mem::take(&mut *self.by_id.write()).into_values().collect();
        for session in all {
            session.ended(Ended::ByServer);
        }
    }
}

impl HttpSession {
    /// A session that nobody can find yet; one that is not in use may have to make room for it. `None` if all are in use, or there are
    /// no random numbers.
    pub(crate) fn prepare(mcp: &Arc<Mcp>, address: ClientAddr, principal: Option<Principal>) -> Option<Arc<Self>> {
        if mcp.sessions.len() >= mcp.limits().sessions {
            mcp.sessions.end(&mcp.sessions.idlest()?, Ended::Silent);
        }
        let mut random = [0; 24];
        getrandom::fill(&mut random).ok()?;
        let id = data_encoding::BASE64URL_NOPAD.encode(&random).into();
        let stream = Stream::new(&mcp.core);
        let link = Arc::new(Link::of_stream(&mcp.core, address, principal, Arc::clone(&stream)));
        let session = Session::new(Arc::clone(mcp), link);
        let (open, used) = (AtomicUsize::new(0), AtomicU64::new(mcp.core.now()));
        Some(Arc::new(Self { id, session, stream, mcp: Arc::downgrade(mcp), open, used }))
    }

    /// Nothing of it is open or under way.
    fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0 && self.session.link().lane.live() == 0
    }

    /// From here on it can be found.
    pub(crate) fn publish(self: &Arc<Self>, mcp: &Mcp) {
        let link = self.session.link();
        mcp.core.add_lane(link.id, &link.lane);
        mcp.sessions.by_id.write().insert(self.id.clone(), Arc::clone(self));
        mcp.add_link(link);
        mcp.hooks.connected(link);
        let own: Weak<Self> = Arc::downgrade(self);
        self.stream.set_watch(own.clone());
        mcp.core.timer.add(Instant::now() + LOOK.min(mcp.limits().session_idle), own);
    }

    fn ended(&self, ended: Ended) {
        let Some(mcp) = self.mcp.upgrade() else { return };
        let link = self.session.link();
        link.lane.abandon(Abandon::Disconnected);
        mcp.core.remove_lane(link.id);
        mcp.remove_link(link.id);
        link.asked.close();
        self.stream.close();
        mcp.hooks.disconnected(link, ended);
        log::info!(target: "mcp_blocking::session", connection = link.id.0; "session {} ended: {ended}", link.id);
    }

    /// A request or stream begins; it is over when the value is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Visit {
        self.open.fetch_add(1, Ordering::AcqRel);
        Visit(Arc::clone(self))
    }
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
        if self.stream.is_closed() {
            // Closed by the author: the table still has it.
            let session = mcp.sessions.by_id.read().get(&self.id).cloned();
            if let Some(session) = session {
                mcp.sessions.end(&session, Ended::ByServer);
            }
            return None;
        }
        let next = self.session.link().lane.expire(now);
        let idle = mcp.core.now().saturating_sub(self.used.load(Ordering::Relaxed));
        let limit = u64::try_from(mcp.limits().session_idle.as_millis()).unwrap_or(u64::MAX);
        if self.is_idle() && idle >= limit {
            let session = mcp.sessions.by_id.read().get(&self.id).cloned();
            if let Some(session) = session {
                mcp.sessions.end(&session, Ended::Silent);
            }
            return None;
        }
        let look = now + LOOK.min(mcp.limits().session_idle / 4).max(Duration::from_millis(10));
        Some(next.map_or(look, |next| next.min(look)))
    }
}
