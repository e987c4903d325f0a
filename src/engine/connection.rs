//! One connected peer: its outbox, its work, its deadlines.

use super::ending::Ending;
use super::framing::Framing;
use super::here::Working;
use super::lane::Lane;
use super::outbox::{Body, Flush, Frame, Outbox, Refused};
use super::pool::{Abandon, Busy, Work};
use super::timer::Tick;
use super::{ConnectionId, Core};
use crate::audit::Party;
use crate::guard::address::ClientAddr;
use crate::principal::Principal;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

/// Keys of outgoing frames that replace each other while they wait.
pub(crate) mod key {
    pub(crate) const PING: u64 = 1;
    pub(crate) const TOOLS_CHANGED: u64 = 2;
    pub(crate) const PROMPTS_CHANGED: u64 = 3;
    pub(crate) const RESOURCES_CHANGED: u64 = 4;
    /// Others count from here.
    pub(crate) const FIRST_FREE: u64 = 1 << 32;

    /// The key of what has two numbers; of another range than those that are counted.
    pub(crate) fn pair(one: u64, other: u64) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (one, other).hash(&mut hasher);
        hasher.finish() | 1 << 63
    }
}

/// Why the server ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mark {
    None = 0,
    /// A frame was begun and not finished in time.
    FrameDeadline,
    /// A message was.
    MessageDeadline,
    /// No sign of life.
    Silent,
    /// The peer did not answer our close frame.
    CloseDeadline,
    /// Whoever has sent the request under way may not be here any more (HTTP).
    RightEnded,
}

/// What bytes that have come have done to a frame or a message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// One ended in them.
    pub(crate) finished: bool,
    /// One has begun and not ended.
    pub(crate) under_way: bool,
}

/// Where a stream of frames stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    pub(crate) frame: Progress,
    pub(crate) message: Progress,
}

/// A connection, shared by its own thread, the workers, the timer and the author.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) address: ClientAddr,
    pub(crate) principal: Option<Principal>,
    /// The path it came to: which of the services it talks to.
    pub(crate) path: Arc<str>,
    pub(crate) since: SystemTime,
    pub(crate) framing: &'static dyn Framing,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) core: Arc<Core>,
    /// Milliseconds on the core's clock: when the last bytes came.
    heard: AtomicU64,
    /// When the frame that is not finished was begun; 0 if none is.
    frame_since: AtomicU64,
    /// When the message that is not finished was begun, likewise.
    message_since: AtomicU64,
    pinged: AtomicU64,
    /// A ping is out and nothing has come since.
    awaiting: AtomicBool,
    missed: AtomicU32,
    /// Our close frame is queued.
    closing: AtomicBool,
    flooded: AtomicBool,
    mark: AtomicU8,
    gone: AtomicBool,
    pub(super) ending: Ending,
    own: Weak<Connection>,
}

impl Connection {
    pub(crate) fn new(
        core: Arc<Core>,
        framing: &'static dyn Framing,
        outbox: Arc<Outbox>,
        address: ClientAddr,
        principal: Option<Principal>,
        path: Arc<str>,
    ) -> Arc<Self> {
        let now = core.now();
        let share = core.shares.of(principal.as_ref(), address);
        Arc::new_cyclic(|own| Self {
            id: core.next_id(),
            address,
            principal,
            path,
            since: SystemTime::now(),
            framing,
            outbox,
            lane: Lane::new(core.limits.calls_per_connection, share),
            heard: AtomicU64::new(now),
            frame_since: AtomicU64::new(0),
            message_since: AtomicU64::new(0),
            pinged: AtomicU64::new(now),
            awaiting: AtomicBool::new(false),
            missed: AtomicU32::new(0),
            closing: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            mark: AtomicU8::new(0),
            gone: AtomicBool::new(false),
            ending: Ending::default(),
            core,
            own: own.clone(),
        })
    }

    /// Queues one text message. A queue that is full closes the connection: a client that does not read may not hold
    /// memory for ever.
    pub(crate) fn send_text(&self, text: Body, flush: Flush) -> Result<(), Refused> {
        self.send(self.framing.text(text), flush)
    }

    /// Queues one frame, likewise.
    pub(crate) fn send(&self, frame: Frame, flush: Flush) -> Result<(), Refused> {
        let sent = match self.outbox.push(frame, flush) {
            Err((Refused::Exhausted, frame)) if self.core.relieve(self.id) => self.outbox.push(frame, flush),
            sent => sent,
        };
        let sent = sent.map_err(|(why, _)| why);
        let why = match sent {
            Err(Refused::Full) => "it does not read",
            Err(Refused::Exhausted) => "the memory budget is used up",
            Ok(()) | Err(Refused::Closed) => return sent,
        };
        let (bytes, frames) = self.outbox.queued();
        if self.overflow() {
            log::warn!(
                target: "mcp_blocking::connection", connection = self.id.0;
                "connection {}: closed, {why}: {bytes} bytes in {frames} frames wait", self.id
            );
        }
        sent
    }

    /// Queues a frame that is dropped when there is no room: progress, changes, pings.
    pub(crate) fn send_notice(&self, frame: Frame, flush: Flush) -> Result<(), Refused> {
        self.outbox.push(frame, flush).map_err(|(why, _)| why)
    }

    /// Closes for being too slow; what waits and has not begun is dropped.
    pub(crate) fn overflow(&self) -> bool {
        self.close_with(1013, "too slow", true, Flush::Elsewhere)
    }

    /// Begins the closing handshake. Returns false if that had been done.
    pub(crate) fn close(&self, code: u16, reason: &str, flush: Flush) -> bool {
        self.close_with(code, reason, false, flush)
    }

    fn close_with(&self, code: u16, reason: &str, cut: bool, flush: Flush) -> bool {
        let first = self.outbox.push_last(self.framing.close(code, reason), cut, flush);
        if first {
            self.closing.store(true, Ordering::Release);
            self.core.timer.nudge(Instant::now() + self.core.limits.close_deadline, self.own.clone());
        }
        first
    }

    /// Far more comes than may: it is not worth the reading.
    pub(crate) fn set_flooded(&self) {
        self.flooded.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Our close frame is queued: nothing can be answered any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Hands work to the pool.
    pub(crate) fn spawn(&self, work: Arc<dyn Work>, bytes: usize) -> Result<(), Busy> {
        let deadline = self.core.submit(&self.core.pool, &self.lane, work, bytes)?;
        // The regular look comes in time for everything but short deadlines.
        if deadline < Instant::now() + self.core.tick {
            self.core.timer.nudge(deadline, self.own.clone());
        }
        Ok(())
    }

    /// Does work on the connection's own thread, until the value is dropped.
    pub(crate) fn work_here(&self, work: Arc<dyn Work>) -> Working<'_> {
        self.lane.work_here(work, self.core.tick, |at| self.core.timer.nudge(at, self.own.clone()))
    }

    /// Bytes have come, at that time on the core's clock.
    pub(crate) fn heard(&self, now: u64, standing: Standing) {
        self.heard.store(now, Ordering::Relaxed);
        if self.awaiting.load(Ordering::Acquire) {
            self.awaiting.store(false, Ordering::Release);
            self.missed.store(0, Ordering::Relaxed);
        }
        let Standing { frame, message } = standing;
        for (since, part) in [(&self.frame_since, frame), (&self.message_since, message)] {
            let begun = since.load(Ordering::Relaxed);
            if !part.under_way {
                if begun != 0 {
                    since.store(0, Ordering::Relaxed);
                }
            } else if part.finished || begun == 0 {
                since.store(now.max(1), Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        match self.mark.load(Ordering::Acquire) {
            1 => Mark::FrameDeadline,
            2 => Mark::MessageDeadline,
            3 => Mark::Silent,
            4 => Mark::CloseDeadline,
            5 => Mark::RightEnded,
            _ => Mark::None,
        }
    }

    /// The connection's thread has ended its loop: nobody will be read from or written to any more.
    pub(crate) fn end(&self) {
        self.gone.store(true, Ordering::Release);
        self.lane.abandon(Abandon::Disconnected);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Who is on the other side, for the audit log.
    pub(crate) fn party(&self) -> Party<'_> {
        self.party_of(self.principal.as_ref(), self.address)
    }

    /// The same for who is known otherwise: over HTTP each request may be somebody else's, from elsewhere.
    pub(crate) fn party_of<'p>(&self, principal: Option<&'p Principal>, address: ClientAddr) -> Party<'p> {
        Party { id: self.id, address, principal }
    }

    /// The timer takes an interest from here on.
    pub(crate) fn watch(&self) {
        self.core.timer.add(Instant::now() + self.core.tick.min(self.ends_in()), self.own.clone());
    }

    pub(super) fn own(&self) -> Weak<Self> {
        self.own.clone()
    }

    /// When the last bytes came, in milliseconds on the core's clock.
    pub(super) fn last_heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    pub(super) fn set_mark(&self, mark: Mark, how: Shutdown) {
        if self.mark.compare_exchange(0, mark as u8, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.outbox.shutdown(how);
        }
    }

    /// Pings a silent peer, gives up one that stays silent. Returns when to look again.
    fn keep_alive(&self, now: u64) -> u64 {
        let limits = &self.core.limits;
        let interval = millis(limits.ping_interval);
        let due = self.heard.load(Ordering::Relaxed).max(self.pinged.load(Ordering::Relaxed)) + interval;
        if now < due {
            return due;
        }
        self.pinged.store(now, Ordering::Relaxed);
        if self.outbox.queued().1 > 0 {
            // It is reading what came before a ping could reach it; the write deadline watches over that.
            return now + interval;
        }
        let Some(ping) = self.framing.ping() else { return now + interval };
        // Before the ping is out: its answer may be quick.
        if self.awaiting.swap(true, Ordering::AcqRel)
            && self.missed.fetch_add(1, Ordering::Relaxed) + 1 >= limits.missed_pings
        {
            self.set_mark(Mark::Silent, Shutdown::Both);
            return now + interval;
        }
        let _ = self.send_notice(ping.keyed(key::PING), Flush::Elsewhere);
        now + interval
    }
}

impl Tick for Connection {
    fn tick(&self, now: Instant) -> Option<Instant> {
        if self.is_gone() {
            return None;
        }
        let clock = self.core.now();
        let mut next = clock + millis(self.core.tick);
        if self.is_closing() {
            // Until the close frame is written, the write deadline watches.
            let patience = self.core.limits.close_deadline;
            match self.outbox.drained_at().map(|at| at + patience) {
                Some(by) if now >= by => self.set_mark(Mark::CloseDeadline, Shutdown::Both),
                Some(by) => next = next.min(clock + millis(by - now)),
                None => next = next.min(clock + millis(patience)),
            }
        } else {
            next = next.min(self.keep_alive(clock)).min(self.look_at_end(clock));
            let limits = &self.core.limits;
            for (since, patience, mark) in [
                (&self.frame_since, limits.frame_deadline, Mark::FrameDeadline),
                (&self.message_since, limits.body_deadline, Mark::MessageDeadline),
            ] {
                let since = since.load(Ordering::Relaxed);
                let by = since.saturating_add(millis(patience));
                if since != 0 && clock >= by {
                    // Only the reading side: the reason still has to be told.
                    self.set_mark(mark, Shutdown::Read);
                } else if since != 0 {
                    next = next.min(by);
                }
            }
        }
        let mut at = now + Duration::from_millis(next.saturating_sub(clock).max(1));
        if let Some(deadline) = self.lane.expire(now) {
            at = at.min(deadline);
        }
        if let Some(deadline) = self.lane.look_again(now, self.core.tick) {
            self.core.timer.nudge(deadline, self.own.clone());
        }
        Some(at)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).field("address", &self.address).finish_non_exhaustive()
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}
