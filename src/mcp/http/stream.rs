//! Messages of an HTTP session that belong to no request: what waits for them, and the stream that the client reads them from.

use crate::engine::Core;
use crate::engine::budget::{Budget, Reservation};
use crate::engine::outbox::{Body, Flush, Refused};
use crate::engine::pool::{Busy, Lane, Work};
use crate::engine::timer::Tick;
use crate::transport::http::exchange::Exchange;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Most messages that wait while there is no stream.
const MOST: usize = 256;
/// How often a session is looked at, if nothing is due earlier.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

pub(crate) struct Stream {
    state: Mutex<State>,
    memory: Arc<Budget>,
    /// Bytes that may wait.
    most: usize,
    /// Who looks after the session's deadlines.
    watch: OnceLock<Weak<dyn Tick>>,
}

#[derive(Default)]
struct State {
    /// The answer to the client's GET, while it is open.
    live: Option<Arc<Exchange>>,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

struct Waiting {
    key: u64,
    body: Body,
    _memory: Reservation,
}

impl Stream {
    pub(crate) fn new(core: &Core) -> Arc<Self> {
        let (memory, most) = (Arc::clone(&core.memory), core.limits.outbox_bytes);
        Arc::new(Self { state: Mutex::default(), memory, most, watch: OnceLock::new() })
    }

    /// Who is to be told of deadlines. Called once.
    pub(crate) fn set_watch(&self, watch: Weak<dyn Tick>) {
        let _ = self.watch.set(watch);
    }

    /// Sends a message, or keeps it until there is a stream. Those with the same key other than 0 replace each other.
    ///
    /// # Errors
    /// The session is over, or too much waits: a client that opens no stream misses what comes then.
    pub(crate) fn send(&self, body: Body, key: u64, flush: Flush) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        // Under the lock, so that messages keep their order; nothing in there blocks.
        if let Some(live) = &state.live {
            if live.event(body.bytes(), key, false, flush).is_ok() {
                return Ok(());
            }
            state.live = None;
        }
        if key != 0
            && let Some(at) = state.waiting.iter().position(|waiting| waiting.key == key)
            && let Some(old) = state.waiting.remove(at)
        {
            state.bytes -= old.body.bytes().len();
        }
        let size = body.bytes().len();
        if state.waiting.len() >= MOST || state.bytes + size > self.most {
            return Err(Refused::Full);
        }
        let memory = self.memory.reserve(size + 64).ok_or(Refused::Exhausted)?;
        state.bytes += size;
        state.waiting.push_back(Waiting { key, body, _memory: memory });
        Ok(())
    }

    /// Takes a message of that key back that waits for the stream.
    pub(crate) fn take_back(&self, key: u64) -> Option<Body> {
        let mut state = self.state.lock();
        let at = state.waiting.iter().position(|waiting| waiting.key == key)?;
        let waiting = state.waiting.remove(at)?;
        state.bytes -= waiting.body.bytes().len();
        Some(waiting.body)
    }

    /// The client has opened its stream; one that was open is ended. False if the session is over.
    pub(crate) fn attach(&self, exchange: &Arc<Exchange>) -> bool {
        let old = {
            let mut state = self.state.lock();
            if state.closed {
                return false;
            }
            let old = state.live.replace(Arc::clone(exchange));
            state.bytes = 0;
            for waiting in std::mem::take(&mut state.waiting) {
                let _ = exchange.event(waiting.body.bytes(), waiting.key, false, Flush::Later);
            }
            old
        };
        if let Some(old) = old {
            old.finish(200, Flush::Now);
        }
        true
    }

    /// That stream is gone.
    pub(crate) fn detach(&self, exchange: &Arc<Exchange>) {
        let mut state = self.state.lock();
        if state.live.as_ref().is_some_and(|live| Arc::ptr_eq(live, exchange)) {
            state.live = None;
        }
    }

    /// The session is over.
    pub(crate) fn close(&self) {
        let state = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut *state)
        };
        self.state.lock().closed = true;
        if let Some(live) = state.live {
            live.finish(200, Flush::Now);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().live.is_some()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Hands work of the session to the pool.
    pub(crate) fn spawn(&self, core: &Core, lane: &Arc<Lane>, work: Arc<dyn Work>, bytes: usize) -> Result<(), Busy> {
        let deadline = core.submit(&core.pool, lane, work, bytes)?;
        if let Some(watch) = self.watch.get().filter(|_| deadline < Instant::now() + LOOK) {
            core.timer.nudge(deadline, watch.clone());
        }
        Ok(())
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("open", &self.is_open()).finish_non_exhaustive()
    }
}
