//! What is waiting to be written to one connection, and who writes it.
//!
//! Everybody who has something to send pushes it here; whoever finds that nobody is writing takes the *token* and
//! writes all that is queued, without ever blocking. What a full socket does not take goes, with the token, to the
//! drain thread. So no thread waits for a peer, frames are never interleaved, and nobody needs a thread for writing.

use super::budget::Budget;
use super::drain::Drain;
use super::link::{Endpoint, WriteHalf};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes that one holder of the token writes before it passes the token on, so that one reader's thread is not held
/// by another's stream.
const QUANTUM: usize = 256 << 10;
/// Parts handed to the kernel in one call.
const PARTS: usize = 128;
/// Queued bytes at which a connection's own thread stops gathering and writes.
pub(crate) const GATHER: usize = 16 << 10;

/// The bytes of one frame behind its head.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Owned(Vec<u8>),
    /// Written to many: encoded once.
    Shared(Arc<[u8]>),
}

impl Body {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    fn cost(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.capacity(),
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

/// One frame: a head of at most ten bytes and what follows it.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    head: [u8; 10],
    head_len: u8,
    body: Body,
    /// Frames with the same key other than 0 replace each other while they wait.
    key: u64,
    /// The frame takes its place at the end of the queue, not that of the one it replaces.
    behind: bool,
}

impl Frame {
    pub(crate) fn new(head: &[u8], body: Body) -> Self {
        let mut fixed = [0; 10];
        let head_len = head.len().min(fixed.len());
        fixed[..head_len].copy_from_slice(&head[..head_len]);
        Self { head: fixed, head_len: head_len as u8, body, key: 0, behind: false }
    }

    pub(crate) fn raw(bytes: Vec<u8>) -> Self {
        Self::new(&[], Body::Owned(bytes))
    }

    pub(crate) fn keyed(mut self, key: u64) -> Self {
        self.key = key;
        self
    }

    /// Keyed, and sent behind all that waits: for frames that are numbered in the order in which they are pushed.
    pub(crate) fn keyed_behind(mut self, key: u64) -> Self {
        self.behind = true;
        self.keyed(key)
    }

    fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    fn len(&self) -> usize {
        self.head().len() + self.body.bytes().len()
    }

    /// What it counts for in the budgets.
    fn cost(&self) -> usize {
        size_of::<Self>() + self.body.cost()
    }
}

/// Who writes what has just been pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// The pushing thread, if nobody is writing.
    Now,
    /// Nobody yet: the connection's own thread, which flushes before it blocks.
    Later,
    /// The drain thread: for those who must not spend time in a socket call.
    Elsewhere,
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The connection is closed or closing.
    Closed,
    /// The connection's own queue is full.
    Full,
    /// The process's budget is used up.
    Exhausted,
}

/// How far the end of the connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// The last frame is queued; nothing may follow it.
    CloseQueued,
    /// The last frame is written and the sending side is shut down.
    Draining,
    Closed,
}

/// The bounds of one outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboxLimits {
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
    pub(crate) write_deadline: Duration,
}

/// What came of one turn of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// All is written and the token given back.
    Done,
    /// The socket takes no more; the caller still has the token.
    Blocked,
    /// There is more to write; the caller still has the token.
    More,
    /// The connection is lost.
    Dead,
}

pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Locked by the holder of the token, for a turn that never blocks, and by who closes.
    writer: Mutex<Writer>,
    /// Signalled when the token is given back, and at the end.
    idle: Condvar,
    endpoint: Mutex<Option<Arc<dyn Endpoint>>>,
    cost: AtomicUsize,
    count: AtomicUsize,
    /// Whole frames written, for telling a slow reader from a stuck one.
    written: AtomicUsize,
    limits: OutboxLimits,
    budget: Arc<Budget>,
    drain: Drain,
}

struct Queue {
    frames: VecDeque<Frame>,
    /// Somebody has the token.
    writing: bool,
    phase: Phase,
    /// When the last frame was written.
    drained: Option<Instant>,
    /// The holder of the token has to drop the whole frames that it took and has not begun.
    cut: bool,
}

struct Writer {
    half: Option<Box<dyn WriteHalf>>,
    batch: VecDeque<Frame>,
    /// How much of the first frame of the batch is written.
    offset: usize,
    /// The half has been told that nothing follows.
    ended: bool,
}

/// What the holder of the token does next.
enum Next {
    Write,
    Flush,
    Over(Turn),
}

impl Outbox {
    pub(crate) fn new(
        half: Box<dyn WriteHalf>,
        endpoint: Arc<dyn Endpoint>,
        limits: OutboxLimits,
        budget: Arc<Budget>,
        drain: Drain,
    ) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue {
                frames: VecDeque::new(),
                writing: false,
                phase: Phase::Open,
                drained: None,
                cut: false,
            }),
            writer: Mutex::new(Writer { half: Some(half), batch: VecDeque::new(), offset: 0, ended: false }),
            idle: Condvar::new(),
            endpoint: Mutex::new(Some(endpoint)),
            cost: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            limits,
            budget,
            drain,
        })
    }

    /// Queues a frame, or hands it back. Never blocks.
    pub(crate) fn push(self: &Arc<Self>, frame: Frame, flush: Flush) -> Result<(), (Refused, Frame)> {
        let cost = frame.cost();
        let token = {
            let mut queue = self.queue.lock();
            if queue.phase != Phase::Open {
                return Err((Refused::Closed, frame));
            }
            let is_same = |waiting: &Frame| waiting.key == frame.key;
            let waiting = (frame.key != 0).then(|| queue.frames.iter().position(is_same)).flatten();
            match waiting.and_then(|at| queue.frames.get_mut(at)) {
                // The one that waits is out of date: the new one takes its place in the queue. It was admitted
                // with about the same size, so only the difference is accounted.
                Some(waiting) if !frame.behind => {
                    let old = waiting.cost();
                    *waiting = frame;
                    self.account(cost);
                    self.release(old, 0);
                }
                _ => {
                    if let Some(old) = waiting.and_then(|at| queue.frames.remove(at)) {
                        self.release(old.cost(), 1);
                    }
                    self.admit(&mut queue, frame)?;
                }
            }
            // A frame that replaces another that was only gathered still leaves when its sender says.
            let gathering = flush == Flush::Later && self.cost.load(Ordering::Relaxed) < GATHER;
            !gathering && self.take_token(&mut queue)
        };
        if token {
            self.write_or_pass_on(flush);
        }
        Ok(())
    }

    /// Puts a frame at the end of the queue, if there is room.
    fn admit(&self, queue: &mut Queue, frame: Frame) -> Result<(), (Refused, Frame)> {
        let cost = frame.cost();
        // One message larger than the bound may wait behind what is within it: it is the answer of an honest tool.
        let queued = self.cost.load(Ordering::Relaxed);
        let full = self.count.load(Ordering::Relaxed) >= self.limits.frames
            || queued >= self.limits.bytes
            || (cost <= self.limits.bytes && queued + cost > self.limits.bytes);
        if full {
            return Err((Refused::Full, frame));
        }
        if !self.budget.take(cost) {
            return Err((Refused::Exhausted, frame));
        }
        self.cost.fetch_add(cost, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        queue.frames.push_back(frame);
        Ok(())
    }

    /// Queues the last frame; everything pushed later is refused. With `cut`, frames that are queued and not begun are
    /// dropped first. Returns false if the end had been queued before.
    pub(crate) fn push_last(self: &Arc<Self>, frame: Option<Frame>, cut: bool, flush: Flush) -> bool {
        let token = {
            let mut queue = self.queue.lock();
            if queue.phase != Phase::Open {
                return false;
            }
            queue.phase = Phase::CloseQueued;
            if cut {
                queue.cut = true;
                let dropped = std::mem::take(&mut queue.frames);
                self.release(dropped.iter().map(Frame::cost).sum(), dropped.len());
            }
            if let Some(frame) = frame {
                // Beyond the limits: the close frame always has a place.
                self.account(frame.cost());
                self.count.fetch_add(1, Ordering::Relaxed);
                queue.frames.push_back(frame);
            }
            self.take_token(&mut queue)
        };
        if token {
            self.write_or_pass_on(flush);
        } else if cut {
            self.cut_batch();
        }
        true
    }

    /// Drops what the holder of the token has taken and not begun. The drain holds the token of a blocked socket for
    /// long, but not the writer's lock.
    fn cut_batch(&self) {
        if let Some(mut writer) = self.writer.try_lock() {
            let phase = self.queue.lock().phase;
            self.truncate(&mut writer, phase);
        }
    }

    fn truncate(&self, writer: &mut Writer, phase: Phase) {
        let keep = usize::from(writer.offset > 0 && phase != Phase::Closed);
        let cost = writer.batch.iter().skip(keep).map(Frame::cost).sum();
        let frames = writer.batch.len().saturating_sub(keep);
        writer.batch.truncate(keep);
        self.release(cost, frames);
    }

    /// Writes what waits, unless somebody does so already. Never blocks.
    pub(crate) fn flush(self: &Arc<Self>) {
        let token = {
            let mut queue = self.queue.lock();
            !queue.frames.is_empty() && self.take_token(&mut queue)
        };
        if token {
            self.write_or_pass_on(Flush::Now);
        }
    }

    /// Lets the write half send what it has of its own (TLS records that answer the peer's).
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only TLS has something of its own to send"))]
    pub(crate) fn kick(self: &Arc<Self>) {
        let token = self.take_token(&mut self.queue.lock());
        if token {
            self.write_or_pass_on(Flush::Now);
        }
    }

    /// Bytes and frames that wait.
    pub(crate) fn queued(&self) -> (usize, usize) {
        (self.cost.load(Ordering::Relaxed), self.count.load(Ordering::Relaxed))
    }

    /// Whole frames written since the beginning.
    pub(crate) fn frames_written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn write_deadline(&self) -> Duration {
        self.limits.write_deadline
    }

    pub(crate) fn phase(&self) -> Phase {
        self.queue.lock().phase
    }

    /// When the last frame was written and the sending side shut down.
    pub(crate) fn drained_at(&self) -> Option<Instant> {
        self.queue.lock().drained
    }

    /// Shuts the socket down in a direction; both frees a reader and a writer that are blocked in it.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        let endpoint = self.endpoint.lock().clone();
        if let Some(endpoint) = endpoint {
            endpoint.shutdown(how);
        }
    }

    pub(crate) fn endpoint(&self) -> Option<Arc<dyn Endpoint>> {
        self.endpoint.lock().clone()
    }

    /// Waits until the last frame is written, the connection is lost, or the deadline has come. Blocks the caller.
    pub(crate) fn wait_written(&self, deadline: Instant) -> Phase {
        let mut queue = self.queue.lock();
        while queue.phase < Phase::Draining
            && !(queue.phase == Phase::Open && !queue.writing && queue.frames.is_empty())
        {
            if self.idle.wait_until(&mut queue, deadline).timed_out() {
                break;
            }
        }
        queue.phase
    }

    /// Ends it now: what waits is dropped, the socket is shut down.
    pub(crate) fn abort(&self) {
        self.end();
        self.shutdown(Shutdown::Both);
    }

    /// The same as [`abort`](Self::abort), and lets go of the socket and of all frames, so that the descriptor and the
    /// memory are free though somebody still holds this outbox.
    pub(crate) fn close(&self) {
        self.abort();
        *self.endpoint.lock() = None;
        // Waits for a turn that is just ending, which never blocks; whoever has the token later finds nothing left.
        let mut writer = self.writer.lock();
        writer.half = None;
        let batch = std::mem::take(&mut writer.batch);
        drop(writer);
        self.release(batch.iter().map(Frame::cost).sum(), batch.len());
    }

    fn end(&self) {
        let dropped = {
            let mut queue = self.queue.lock();
            queue.phase = Phase::Closed;
            queue.cut = true;
            std::mem::take(&mut queue.frames)
        };
        self.release(dropped.iter().map(Frame::cost).sum(), dropped.len());
        self.cut_batch();
        self.idle.notify_all();
    }

    fn take_token(&self, queue: &mut Queue) -> bool {
        !std::mem::replace(&mut queue.writing, true)
    }

    fn write_or_pass_on(self: &Arc<Self>, flush: Flush) {
        if flush == Flush::Elsewhere {
            self.drain.take_over(Arc::clone(self), Turn::More);
            return;
        }
        match self.write_some() {
            Turn::Done | Turn::Dead => {}
            turn @ (Turn::Blocked | Turn::More) => self.drain.take_over(Arc::clone(self), turn),
        }
    }

    /// Writes up to [`QUANTUM`] bytes without blocking. Only for the holder of the token.
    pub(crate) fn write_some(&self) -> Turn {
        let mut writer = self.writer.lock();
        let mut sent = 0;
        loop {
            match self.refill(&mut writer) {
                Next::Write => {}
                Next::Flush => match writer.half.as_mut().map_or(Ok(()), |half| half.flush()) {
                    Ok(()) => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Turn::Blocked,
                    Err(_) => return self.lost(writer),
                },
                Next::Over(turn) => {
                    drop(writer);
                    if turn == Turn::Dead {
                        self.shutdown(Shutdown::Both);
                    }
                    return turn;
                }
            }
            match writer.write_batch() {
                Ok(0) => return self.lost(writer),
                Ok(count) => {
                    sent += count;
                    let (cost, frames) = writer.advance(count);
                    self.release(cost, frames);
                    self.written.fetch_add(frames, Ordering::Relaxed);
                    if sent >= QUANTUM {
                        return Turn::More;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Turn::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.lost(writer),
            }
        }
    }

    /// Sees to it that the writer has something to write, or gives the token back.
    fn refill(&self, writer: &mut Writer) -> Next {
        let mut queue = self.queue.lock();
        if queue.cut {
            queue.cut = false;
            self.truncate(writer, queue.phase);
        }
        if queue.phase == Phase::Closed {
            queue.writing = false;
            writer.half = None;
            self.idle.notify_all();
            return Next::Over(Turn::Dead);
        }
        if !writer.batch.is_empty() {
            return Next::Write;
        }
        if !queue.frames.is_empty() {
            std::mem::swap(&mut queue.frames, &mut writer.batch);
            writer.offset = 0;
            return Next::Write;
        }
        if queue.phase == Phase::CloseQueued && !std::mem::replace(&mut writer.ended, true) {
            writer.half.iter_mut().for_each(|half| half.end());
        }
        // Under the queue's lock: who pushes or kicks now either finds the token free or what it left is seen here.
        if writer.half.as_ref().is_some_and(|half| half.pending()) {
            return Next::Flush;
        }
        queue.writing = false;
        if queue.phase == Phase::CloseQueued {
            queue.phase = Phase::Draining;
            queue.drained = Some(Instant::now());
            drop(queue);
            self.shutdown(Shutdown::Write);
        }
        self.idle.notify_all();
        Next::Over(Turn::Done)
    }

    fn lost(&self, mut writer: parking_lot::MutexGuard<'_, Writer>) -> Turn {
        let cost = writer.batch.iter().map(Frame::cost).sum();
        let frames = writer.batch.len();
        writer.batch.clear();
        writer.half = None;
        drop(writer);
        self.release(cost, frames);
        self.queue.lock().writing = false;
        self.abort();
        Turn::Dead
    }

    fn account(&self, cost: usize) {
        // Without asking: what is accounted here has been admitted already or has to be.
        if !self.budget.take(cost) {
            self.budget.overdraw(cost);
        }
        self.cost.fetch_add(cost, Ordering::Relaxed);
    }

    fn release(&self, cost: usize, frames: usize) {
        if cost > 0 || frames > 0 {
            self.cost.fetch_sub(cost, Ordering::Relaxed);
            self.count.fetch_sub(frames, Ordering::Relaxed);
            self.budget.give_back(cost);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.budget.give_back(self.cost.load(Ordering::Relaxed));
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("cost", &self.cost).field("frames", &self.count).finish_non_exhaustive()
    }
}

impl Writer {
    fn write_batch(&mut self) -> io::Result<usize> {
        let Self { half, batch, offset, .. } = self;
        let half = half.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let size: usize = batch.iter().map(Frame::len).take(PARTS * 4).sum();
        if batch.len() <= PARTS * 4 && size <= GATHER {
            // One piece of memory: the kernel takes it faster than hundreds of small parts.
            let mut all = Vec::with_capacity(size);
            for frame in batch.iter() {
                all.extend_from_slice(frame.head());
                all.extend_from_slice(frame.body.bytes());
            }
            return half.try_write(&[IoSlice::new(all.get(*offset..).unwrap_or_default())]);
        }
        let mut parts = [IoSlice::new(&[]); PARTS];
        let mut used = 0;
        let mut skip = *offset;
        for frame in batch.iter() {
            for part in [frame.head(), frame.body.bytes()] {
                let rest = part.get(skip..).unwrap_or_default();
                skip = skip.saturating_sub(part.len());
                if !rest.is_empty() && used < PARTS {
                    parts[used] = IoSlice::new(rest);
                    used += 1;
                }
            }
            if used + 1 >= PARTS {
                break;
            }
        }
        half.try_write(&parts[..used])
    }

    /// Drops what is written; returns the cost and the number of the frames that are finished.
    fn advance(&mut self, count: usize) -> (usize, usize) {
        let (mut cost, mut frames) = (0, 0);
        self.offset += count;
        while let Some(frame) = self.batch.front() {
            if self.offset < frame.len() {
                break;
            }
            self.offset -= frame.len();
            cost += frame.cost();
            frames += 1;
            self.batch.pop_front();
        }
        (cost, frames)
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
