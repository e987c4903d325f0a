//! The streams of a session: one for what belongs to no request, and one for each request whose answer has become a stream. What is sent over
//! them is numbered and kept for a while, so that a client that lost a connection can go on where it was.

use super::event_id::EventId;
use super::store::{Memory, Outgoing, Store, Stored, Worth, size_of};
use crate::engine::Core;
use crate::engine::budget::Budget;
use crate::engine::here::Working;
use crate::engine::lane::Lane;
use crate::engine::outbox::{Body, Flush, Refused};
use crate::engine::pool::{Busy, Work};
use crate::engine::timer::Tick;
use crate::http::event::Event;
use crate::http::head::Head;
use crate::mcp::Mcp;
use crate::transport::http::exchange::Exchange;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// The stream of what belongs to no request; for a request: that its answer is no stream so far.
const GENERAL: u64 = 0;
/// Deadlines that are nearer than this are not left to a session's regular look.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

pub(crate) struct Streams {
    state: Mutex<State>,
    core: Arc<Core>,
    mcp: Weak<Mcp>,
    /// What all sessions together may keep.
    share: Arc<Budget>,
    /// Who looks after the session's deadlines.
    watch: OnceLock<Weak<dyn Tick>>,
}

struct State {
    /// Stands in the ids of its events.
    tag: u32,
    /// The last number of an event, and of a request's stream.
    events: u64,
    streams: u64,
    /// The connection that carries what belongs to no request, while there is one, and what waits for it.
    general: Option<Arc<Exchange>>,
    waiting: VecDeque<(Outgoing, Memory)>,
    waiting_bytes: usize,
    /// The streams of requests.
    lines: HashMap<u64, Line>,
    /// What was sent, and what those streams have to be sent.
    store: Store,
    closed: bool,
}

/// The stream of one request.
struct Line {
    /// The connection that carries it, while there is one.
    live: Option<Arc<Exchange>>,
    /// When the answer came.
    ended: Option<Instant>,
}

/// Nothing is kept of a stream, if there ever was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknown;

impl Streams {
    /// `tag` stands in the ids of the events.
    pub(crate) fn new(mcp: &Arc<Mcp>, tag: u32) -> Arc<Self> {
        let limits = mcp.limits();
        let state = State {
            tag,
            events: 0,
            streams: GENERAL,
            general: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            lines: HashMap::new(),
            store: Store::new(limits.events_per_session, limits.event_bytes_per_session),
            closed: false,
        };
        let (core, share) = (Arc::clone(&mcp.core), Arc::clone(mcp.sessions.share()));
        let (state, watch) = (Mutex::new(state), OnceLock::new());
        Arc::new(Self { state, core, mcp: Arc::downgrade(mcp), share, watch })
    }

    /// Who is to be told of deadlines. Called once.
    pub(crate) fn set_watch(&self, watch: Weak<dyn Tick>) {
        let _ = self.watch.set(watch);
    }

    /// Sends a message that belongs to no request, or keeps it until there is a stream. Those with the same key other than 0 replace each other.
    ///
    /// # Errors
    /// The session is over, or too much waits: a client that opens no stream misses what comes then.
    pub(crate) fn send(&self, json: Body, key: u64, flush: Flush) -> Result<(), Refused> {
        let memory = self.reserve(&json);
        let event = Outgoing { stream: GENERAL, json, key, worth: Worth::Message };
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        // Under the lock, so that messages keep their order; nothing in there blocks, and nothing is written to a socket.
        if let Some(live) = state.general.clone() {
            let number = state.next();
            if event.send(&live, state.tag, number, gathered(flush)).is_ok() {
                state.keep(event, number, true, memory);
                drop(state);
                write(&live, flush);
                return Ok(());
            }
            state.general = None;
        }
        if key != 0
            && let Some(at) = state.waiting.iter().position(|(waiting, _)| waiting.key == key)
            && let Some((old, _)) = state.waiting.remove(at)
        {
            state.waiting_bytes -= size_of(&old.json);
        }
        let (size, limits) = (size_of(&event.json), &self.core.limits);
        if state.waiting.len() >= limits.events_per_session || state.waiting_bytes + size > limits.outbox_bytes {
            return Err(Refused::Full);
        }
        let memory = memory.ok_or(Refused::Exhausted)?;
        state.waiting_bytes += size;
        state.waiting.push_back((event, memory));
        Ok(())
    }

    /// Takes a message of that key back that waits for the stream.
    pub(crate) fn take_back(&self, key: u64) -> Option<Body> {
        let mut state = self.state.lock();
        let at = state.waiting.iter().position(|(waiting, _)| waiting.key == key)?;
        let (waiting, _) = state.waiting.remove(at)?;
        state.waiting_bytes -= size_of(&waiting.json);
        Some(waiting.json)
    }

    /// Whether the client has opened the stream of what belongs to no request.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().general.is_some()
    }

    /// The client has opened the stream of what belongs to no request; one that was open is ended. False if the session is over, or the client
    /// cannot read streams.
    pub(crate) fn open(&self, exchange: &Arc<Exchange>, polls: bool) -> bool {
        let old = {
            let mut state = self.state.lock();
            if state.closed || !exchange.stream(&[], Flush::Later) {
                return false;
            }
            if polls {
                state.prime(GENERAL, exchange, self.core.limits.reconnect_delay);
            }
            state.go_on(exchange)
        };
        finish(old);
        true
    }

    /// The client comes back to a stream and says what it has had of it: it is sent the rest, and what is yet to come. A connection that
    /// carried the stream is ended.
    ///
    /// # Errors
    /// Nothing is kept of that stream, or the client cannot read streams; nothing is sent then.
    pub(crate) fn resume(&self, id: EventId, exchange: &Arc<Exchange>) -> Result<(), Unknown> {
        let old = {
            let mut state = self.state.lock();
            let known = !state.closed && (id.stream == GENERAL || state.lines.contains_key(&id.stream));
            // A number that was never given out is not from here.
            if id.tag != state.tag || id.number > state.events || !known || !exchange.stream(&[], Flush::Later) {
                return Err(Unknown);
            }
            let State { tag, store, lines, .. } = &mut *state;
            for event in store.behind(id.stream, id.number) {
                // One that does not get through is there for the next connection.
                event.sent |= event.out.send(exchange, *tag, event.number, Flush::Later).is_ok();
            }
            match lines.get_mut(&id.stream) {
                Some(line) if line.ended.is_some() => {
                    exchange.finish(200, Flush::Later);
                    None
                }
                Some(line) => line.live.replace(Arc::clone(exchange)),
                None => state.go_on(exchange),
            }
        };
        finish(old);
        Ok(())
    }

    /// That connection carries its stream no more.
    pub(crate) fn detach(&self, exchange: &Arc<Exchange>) {
        let mut state = self.state.lock();
        let State { general, lines, .. } = &mut *state;
        for live in std::iter::once(general).chain(lines.values_mut().map(|line| &mut line.live)) {
            if live.as_ref().is_some_and(|live| Arc::ptr_eq(live, exchange)) {
                *live = None;
            }
        }
        exchange.give_up();
    }

    /// The session is over.
    pub(crate) fn close(&self) {
        let live: Vec<_> = {
            let mut state = self.state.lock();
            state.closed = true;
            state.forget();
            let general = state.general.take();
            state.lines.drain().filter_map(|(_, line)| line.live).chain(general).collect()
        };
        for exchange in live {
            exchange.finish(200, Flush::Now);
        }
        if let Some(watch) = self.watch.get() {
            // It may have been the author who has closed it: the session is still in the table.
            self.core.timer.nudge(Instant::now(), watch.clone());
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Bytes of messages that wait for the client to open its stream.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.state.lock().waiting_bytes
    }

    /// All bytes that are kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        let state = self.state.lock();
        state.waiting_bytes + state.store.bytes()
    }

    /// Drops what has been kept for long enough.
    pub(crate) fn expire(&self, now: Instant) {
        let lifetime = self.core.limits.event_lifetime;
        let is_over = |since: Instant| now.saturating_duration_since(since) >= lifetime;
        let mut state = self.state.lock();
        let State { lines, store, .. } = &mut *state;
        lines.retain(|_, line| !line.ended.is_some_and(is_over));
        store.retain(|event| match event.out.stream {
            GENERAL => !is_over(event.at),
            stream => lines.contains_key(&stream),
        });
    }

    /// Drops all that is kept for later: the memory is wanted elsewhere.
    pub(crate) fn forget(&self) {
        self.state.lock().forget();
    }

    /// Hands work of the session to the pool.
    pub(crate) fn spawn(&self, core: &Core, lane: &Arc<Lane>, work: Arc<dyn Work>, bytes: usize) -> Result<(), Busy> {
        let deadline = core.submit(&core.pool, lane, work, bytes)?;
        if let Some(watch) = self.watch.get().filter(|_| deadline < Instant::now() + LOOK) {
            core.timer.nudge(deadline, watch.clone());
        }
        Ok(())
    }

    /// Does work on the thread of one of the session's connections, until the value is dropped.
    pub(crate) fn work_here<'l>(&self, lane: &'l Lane, work: Arc<dyn Work>) -> Working<'l> {
        lane.work_here(work, LOOK, |at| {
            self.watch.get().into_iter().for_each(|watch| self.core.timer.nudge(at, watch.clone()));
        })
    }

    /// Memory for an event. If there is none, the session that keeps most forgets it: not under a session's lock, for it may be that one.
    fn reserve(&self, json: &Body) -> Option<Memory> {
        let size = size_of(json);
        let take = || Some((self.core.memory.reserve(size)?, self.share.reserve(size)?));
        take().or_else(|| {
            self.mcp.upgrade()?.sessions.relieve();
            take()
        })
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    /// The number of a request's stream, which is begun if it is none so far. `None` if it cannot be begun.
    fn begin(&mut self, request: &RequestStream, retry: Duration) -> Option<u64> {
        if let Some(stream) = request.begun() {
            return Some(stream);
        }
        if self.closed || !request.exchange.stream(&[], Flush::Later) {
            return None;
        }
        self.streams += 1;
        let stream = self.streams;
        request.number.store(stream, Ordering::Relaxed);
        self.lines.insert(stream, Line { live: Some(Arc::clone(&request.exchange)), ended: None });
        if request.polls {
            self.prime(stream, &request.exchange, retry);
        }
        Some(stream)
    }

    /// Gives a client an id to come back with, before there is anything else to send (2025-11-25, basic/transports: "the server SHOULD immediately
    /// send an SSE event consisting of an event ID and an empty data field").
    fn prime(&mut self, stream: u64, live: &Exchange, retry: Duration) {
        let id = EventId { tag: self.tag, stream, number: self.next() }.to_string();
        let event = Event { id: Some(&id), retry: Some(retry), data: Some(b"") };
        // A connection that takes no more is being closed: whoever sends next learns it.
        let _ = live.event(event, 0, false, Flush::Later);
    }

    /// From here on that connection carries what belongs to no request. Returns the one that did.
    fn go_on(&mut self, exchange: &Arc<Exchange>) -> Option<Arc<Exchange>> {
        while let Some((event, memory)) = self.waiting.pop_front() {
            let number = self.next();
            if event.send(exchange, self.tag, number, Flush::Later).is_err() {
                self.waiting.push_front((event, memory));
                return self.general.take();
            }
            self.waiting_bytes -= size_of(&event.json);
            self.keep(event, number, true, Some(memory));
        }
        self.general.replace(Arc::clone(exchange))
    }

    /// Keeps an event; false if there is no room.
    fn keep(&mut self, out: Outgoing, number: u64, sent: bool, memory: Option<Memory>) -> bool {
        let Some(memory) = memory else { return false };
        let mut gone = Vec::new();
        let kept = self.store.push(Stored { out, number, sent, at: Instant::now(), _memory: memory }, &mut gone);
        for stream in gone {
            self.lines.remove(&stream);
        }
        kept
    }

    fn drop_line(&mut self, stream: u64) {
        self.lines.remove(&stream);
        self.store.retain(|event| event.out.stream != stream);
    }

    fn forget(&mut self) {
        self.waiting = VecDeque::new();
        self.waiting_bytes = 0;
        self.lines.retain(|_, line| line.ended.is_none());
        self.store.retain(|_| false);
    }
}

/// One request of a session, with the way for its answer and for what comes before it.
pub(crate) struct RequestStream {
    streams: Arc<Streams>,
    exchange: Arc<Exchange>,
    /// The number of its stream. Read and written under the lock of `streams`.
    number: AtomicU64,
    /// The client knows that a server may close a stream and have it come back.
    polls: bool,
}

impl RequestStream {
    pub(crate) fn new(streams: &Arc<Streams>, exchange: &Arc<Exchange>, polls: bool) -> Arc<Self> {
        let (streams, exchange) = (Arc::clone(streams), Arc::clone(exchange));
        Arc::new(Self { streams, exchange, number: AtomicU64::new(GENERAL), polls })
    }

    /// What the answer will say if it is that these scopes are missing, and it is no stream by then.
    pub(crate) fn challenge(&self, scopes: &[String]) {
        self.exchange.challenge(scopes);
    }

    pub(crate) fn head(&self) -> &Head {
        self.exchange.head()
    }

    /// Whether the client can be sent something ahead of the answer.
    pub(crate) fn reads_events(&self) -> bool {
        self.exchange.accepts().events
    }

    /// Whether its answer has become a stream, to which the client may come back.
    pub(crate) fn is_stream(&self) -> bool {
        let _state = self.streams.state.lock();
        self.begun().is_some()
    }

    fn begun(&self) -> Option<u64> {
        Some(self.number.load(Ordering::Relaxed)).filter(|stream| *stream != GENERAL)
    }

    fn retry(&self) -> Duration {
        self.streams.core.limits.reconnect_delay
    }

    /// Sends a message ahead of the answer: over the request's connection, or the one that the client has come back with; else it is kept until
    /// there is one. One that may be lost is dropped when there is no room.
    ///
    /// # Errors
    /// The client reads no streams, or has left before there was one; or too much is kept for it.
    pub(crate) fn send(&self, json: Body, key: u64, may_be_lost: bool, flush: Flush) -> Result<(), Refused> {
        let memory = self.streams.reserve(&json);
        let mut state = self.streams.state.lock();
        let stream = state.begin(self, self.retry()).ok_or(Refused::Closed)?;
        let (number, tag) = (state.next(), state.tag);
        let line = state.lines.get_mut(&stream).ok_or(Refused::Closed)?;
        let worth = if may_be_lost { Worth::Notice } else { Worth::Message };
        let event = Outgoing { stream, json, key, worth };
        let sent = match &line.live {
            Some(live) => event.send(live, tag, number, gathered(flush)),
            None => Err(Refused::Closed),
        };
        match sent {
            Ok(()) => {
                let live = line.live.clone();
                state.keep(event, number, true, memory);
                drop(state);
                live.iter().for_each(|live| write(live, flush));
                Ok(())
            }
            Err(why) if may_be_lost && why != Refused::Closed => Err(why),
            Err(_) => {
                line.live = None;
                if state.keep(event, number, false, memory) { Ok(()) } else { Err(Refused::Full) }
            }
        }
    }

    /// See [`Exchange::come_back_after`].
    pub(crate) fn come_back_after(&self, seconds: u64) {
        self.exchange.come_back_after(seconds);
    }

    /// The answer, with that status if it can still be chosen; without one the request was cancelled. Nothing follows it.
    pub(crate) fn answer(&self, status: u16, json: Option<Vec<u8>>, flush: Flush) {
        let mut state = self.streams.state.lock();
        let reads_json = self.exchange.accepts().json || status != 200 || json.is_none();
        let stream = if reads_json { self.begun() } else { state.begin(self, self.retry()) };
        let Some(stream) = stream else {
            // Under the lock all the same: nobody may begin the stream meanwhile.
            match json {
                Some(json) => self.exchange.answer(status, json, gathered(flush)),
                None => self.exchange.finish(202, gathered(flush)),
            }
            drop(state);
            return write(&self.exchange, flush);
        };
        let json = json.map(Body::Owned);
        let memory = MutexGuard::unlocked(&mut state, || self.streams.reserve(json.as_ref()?));
        // Otherwise the session is over, or has had to forget it.
        let Some(line) = state.lines.get_mut(&stream) else { return };
        line.ended = Some(Instant::now());
        let live = line.live.take();
        let lost = match json {
            Some(json) => {
                let (number, tag) = (state.next(), state.tag);
                let event = Outgoing { stream, json, key: 0, worth: Worth::Answer };
                let sent = live.as_ref().is_some_and(|live| event.send(live, tag, number, gathered(flush)).is_ok());
                let kept = state.keep(event, number, sent, memory);
                if !kept {
                    state.drop_line(stream);
                }
                !sent && !kept
            }
            None => {
                state.drop_line(stream);
                false
            }
        };
        if let Some(live) = &live {
            live.finish(200, gathered(flush));
        }
        drop(state);
        live.iter().for_each(|live| write(live, flush));
        if lost {
            log::warn!(target: "mcp_blocking::session", "an answer is lost: its client has gone, and there is no room to keep it");
        }
    }

    /// Lets go of the connection: the client is to come back after that time, for what there is then. False if the client would not know what to do, or
    /// there is no connection to let go of.
    pub(crate) fn release(&self, come_back_after: Duration) -> bool {
        let mut state = self.streams.state.lock();
        if !self.polls {
            return false;
        }
        let begun = self.begun().is_some();
        let Some(stream) = state.begin(self, come_back_after) else { return false };
        let Some(live) = state.lines.get_mut(&stream).and_then(|line| line.live.take()) else { return false };
        if begun {
            let event = Event { retry: Some(come_back_after), ..Event::default() };
            let _ = live.event(event, 0, false, Flush::Later);
        }
        live.finish(200, Flush::Later);
        drop(state);
        write(&live, Flush::Now);
        true
    }

    /// The request takes long. Its answer becomes a stream now, which can be kept alive, and be resumed if the client has an id of it.
    pub(crate) fn takes_long(&self) {
        let begun = self.streams.state.lock().begin(self, self.retry());
        if begun.is_some() {
            write(&self.exchange, Flush::Now);
        }
    }

    /// The client has left, or the answer is out.
    pub(crate) fn detach(&self) {
        match self.begun() {
            Some(_) => self.streams.detach(&self.exchange),
            // Nor can it be begun from here on.
            None => self.exchange.give_up(),
        }
    }
}

/// What is pushed under a lock is written behind it, unless another thread does that.
fn gathered(flush: Flush) -> Flush {
    if flush == Flush::Elsewhere { flush } else { Flush::Later }
}

fn write(live: &Exchange, flush: Flush) {
    if flush != Flush::Elsewhere {
        live.connection().outbox.flush();
    }
}

/// Ends a connection's part in a stream that another carries from here on.
fn finish(old: Option<Arc<Exchange>>) {
    if let Some(old) = old {
        old.finish(200, Flush::Now);
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}
