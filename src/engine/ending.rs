//! When has a connection to end, though nothing is wrong with it? When its client's right to be here ends, and when it has lived long enough.

use super::connection::{Connection, Mark};
use super::outbox::Flush;
use super::pool::Abandon;
use crate::audit::Party;
use crate::guard::address::ClientAddr;
use crate::principal::{Principal, RightEnded};
use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A connection that has lived long enough is ended when it has been silent for so long, and nothing is under way.
pub(crate) const LULL: Duration = Duration::from_millis(250);
/// How often it is looked whether it is.
const GLANCE: u64 = 50;
/// No end.
const NEVER: u64 = u64::MAX / 4;

/// What is known of a connection's end.
#[derive(Debug)]
pub(super) struct Ending {
    /// Whom the request is of that is under way, over HTTP, and where it comes from.
    tenant: Mutex<Option<(Principal, ClientAddr)>>,
    /// When it has lived long enough, in milliseconds on the core's clock.
    retires: AtomicU64,
    /// Nothing more is begun for it.
    over: AtomicBool,
}

impl Default for Ending {
    fn default() -> Self {
        Self { tenant: Mutex::default(), retires: AtomicU64::new(NEVER), over: AtomicBool::new(false) }
    }
}

impl Connection {
    /// From here on its life has a limit.
    pub(crate) fn limit_life(&self) {
        let lifetime = super::connection::millis(self.core.limits.connection_lifetime);
        if lifetime > 0 {
            // Hash keys are random, for each value others.
            let random = RandomState::new().hash_one(self.id);
            let life = lifetime - random % (lifetime / 4 + 1);
            self.ending.retires.store(self.core.now().saturating_add(life), Ordering::Relaxed);
        }
    }

    /// It has lived long enough: it should end as soon as that hurts nobody.
    pub(crate) fn is_retiring(&self) -> bool {
        self.core.now() >= self.ending.retires.load(Ordering::Relaxed)
    }

    /// How long until then; zero behind it.
    pub(crate) fn retires_in(&self) -> Duration {
        Duration::from_millis(self.ending.retires.load(Ordering::Relaxed).saturating_sub(self.core.now()))
    }

    /// What is under way has had all the time there is for it.
    pub(crate) fn is_overdue(&self) -> bool {
        self.core.now() >= self.overdue_at()
    }

    fn overdue_at(&self) -> u64 {
        let limits = &self.core.limits;
        let longest = limits.handler_deadline.max(limits.handler_deadline_extended);
        self.ending.retires.load(Ordering::Relaxed).saturating_add(super::connection::millis(longest))
    }

    /// Whether what has come may be begun: not behind the end of the client's right to be here, nor behind a close frame that was sent for the
    /// connection's age.
    pub(crate) fn may_begin(&self) -> bool {
        if let Some(ended) = self.principal.as_ref().and_then(|principal| principal.ended(SystemTime::now())) {
            self.end_right(ended, self.party());
        }
        !self.ending.over.load(Ordering::Acquire)
    }

    /// A request of that caller, from there, is under way (HTTP), or none is.
    pub(crate) fn set_tenant(&self, tenant: Option<(Principal, ClientAddr)>) {
        let ends = tenant.as_ref().and_then(|(principal, _)| principal.expiry());
        *self.ending.tenant.lock() = tenant;
        let left = ends.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        // The regular look comes in time for what is further away.
        if let Some(left) = left.filter(|left| *left < self.core.tick) {
            self.core.timer.nudge(Instant::now() + left, self.own());
        }
    }

    /// Why the request under way was ended by the timer, if so.
    pub(crate) fn right_ended(&self) -> Option<(Principal, RightEnded)> {
        let (tenant, _) = self.ending.tenant.lock().clone().filter(|_| self.mark() == Mark::RightEnded)?;
        let ended = tenant.ended(SystemTime::now())?;
        Some((tenant, ended))
    }

    /// How long until it may have to end.
    pub(super) fn ends_in(&self) -> Duration {
        let expiry = self.principal.as_ref().and_then(Principal::expiry);
        let left = expiry.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        left.unwrap_or(Duration::MAX).min(self.retires_in())
    }

    /// Has the timer look at it now.
    pub(crate) fn look_now(&self) {
        self.core.timer.nudge(Instant::now(), self.own());
    }

    /// For the timer: ends what has come to its end. When to look again, on the core's clock; it is `clock` there.
    pub(super) fn look_at_end(&self, clock: u64) -> u64 {
        let now = SystemTime::now();
        let tenant = self.ending.tenant.lock().clone();
        let mut next = NEVER;
        let party = match &tenant {
            Some((principal, address)) if self.principal.is_none() => self.party_of(Some(principal), *address),
            _ => self.party(),
        };
        if let Some(principal) = party.principal {
            if let Some(ended) = principal.ended(now) {
                self.end_right(ended, party);
                return NEVER;
            }
            let left = principal.expiry().and_then(|at| at.duration_since(now).ok());
            // To the millisecond behind it, or it would be looked at in vain.
            next = left.map_or(NEVER, |left| clock + super::connection::millis(left) + 1);
        }
        next.min(self.retire(clock))
    }

    /// The client may not be here any more: nothing more is begun for it, and what is under way is given up.
    fn end_right(&self, ended: RightEnded, party: Party<'_>) {
        if self.ending.over.swap(true, Ordering::AcqRel) {
            return;
        }
        log::info!(
            target: "mcp_blocking::connection", connection = self.id.0, reason = ended.label();
            "connection {}: ended, {}", self.id, ended.reason()
        );
        self.core.audit.right_ended(party, ended.label());
        if self.principal.is_none() {
            // Its own thread says so, to the request that is under way, and ends it.
            return self.set_mark(Mark::RightEnded, Shutdown::Read);
        }
        self.close(1008, ended.reason(), Flush::Elsewhere);
        self.lane.abandon(Abandon::Disconnected);
    }

    /// Ends a connection that has lived long enough: between two calls, or when there is no more time to wait for that. Those without a close
    /// frame are left to their own threads.
    fn retire(&self, clock: u64) -> u64 {
        const REASON: &str = "this connection has lived long enough, open another";
        let retires = self.ending.retires.load(Ordering::Relaxed);
        if clock < retires {
            return retires;
        }
        if self.framing.close(1001, REASON).is_none() {
            return NEVER;
        }
        let lull = self.lane.live() == 0 && clock.saturating_sub(self.last_heard()) >= super::connection::millis(LULL);
        if !lull && clock < self.overdue_at() {
            return clock + GLANCE;
        }
        self.ending.over.store(true, Ordering::Release);
        // What is under way all the same is answered.
        self.lane.abandon(Abandon::Stopping);
        self.close(1001, REASON, Flush::Elsewhere);
        log::info!(target: "mcp_blocking::connection", connection = self.id.0; "connection {}: has lived long enough", self.id);
        NEVER
    }
}
