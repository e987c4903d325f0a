//! The threads that run handlers.
//!
//! Work waits in a *lane* per connection; a ticket in the channel says that a lane has work. A lane has one ticket at
//! the most, and gets a new one at the back of the channel when something of it was taken: so the connections
//! take turns, however much one of them sends. A lane holds no more than a quarter of the workers, and all lanes of one client
//! no more than its [`Share`] says.
//!
//! A worker whose handler waits for a person is *parked*: it does not count, and another may take its place.

use super::budget::Budget;
use super::lane::{Lane, LaneState, Waiting};
use super::share::Share;
use super::timer::{Tick, Timer};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use parking_lot::{Condvar, Mutex};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Work that has waited this long while no worker came free asks for one more worker.
const WAIT: Duration = Duration::from_millis(5);
/// An idle worker ends after this time.
const IDLE: Duration = Duration::from_secs(10);
/// How often running work is looked at for being past its deadline.
const LOOK: Duration = Duration::from_millis(250);
/// Grace between the deadline, when the client is answered, and the worker being written off.
const GRACE: Duration = Duration::from_secs(1);

/// A piece of work for a worker thread.
pub(crate) trait Work: Send + Sync {
    /// Does it. Called once, or never if it was abandoned before.
    fn run(self: Arc<Self>);
    /// When it has to be over. May move while it runs.
    fn deadline(&self) -> Instant;
    /// The deadline has come: answers the client and tells the handler to stop. May be called more than once.
    fn expire(&self);
    /// Nobody waits for it any more, or nobody will run it. May be called more than once.
    fn abandon(&self, why: Abandon);
    /// For the log.
    fn describe(&self) -> String;
}

/// Why work is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abandon {
    /// The client has gone.
    Disconnected,
    /// The server is stopping.
    Stopping,
}

/// Why there is no place for more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// The connection has as much under way as it may.
    Connection,
    /// The client has, over all of its connections.
    Client,
    /// Too much waits, over all connections, or the memory for it is used up.
    Overloaded,
    /// The server is stopping.
    Stopping,
}

/// Numbers for health and metrics.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PoolNumbers {
    pub(crate) workers: usize,
    pub(crate) idle: usize,
    pub(crate) waiting: usize,
    pub(crate) live: usize,
    pub(crate) parked: usize,
    pub(crate) written_off: usize,
    pub(crate) written_off_ever: u64,
}

thread_local! {
    /// What this worker thread works on.
    static HERE: RefCell<Option<(Weak<Pool>, Arc<Seat>)>> = const { RefCell::new(None) };
}

/// The calling thread is about to wait for somebody outside. If it is a worker, it does not count until the guard is dropped: neither
/// against the number of workers nor against its lane's share. Other threads get a guard that does nothing.
///
/// # Errors
/// [`Busy::Overloaded`] if as many workers are parked as may be.
pub(crate) fn park() -> Result<Parked, Busy> {
    let here = HERE.with_borrow(Clone::clone);
    match here.and_then(|(pool, seat)| Some((pool.upgrade()?, seat))) {
        Some((pool, seat)) => pool.park(seat),
        None => Ok(Parked(None)),
    }
}

/// A worker that waits; back at work when dropped.
pub(crate) struct Parked(Option<(Arc<Pool>, Arc<Seat>)>);

impl Drop for Parked {
    fn drop(&mut self) {
        if let Some((pool, seat)) = self.0.take() {
            pool.unpark(&seat);
        }
    }
}

/// How many of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolSizes {
    /// What the threads are called, ahead of their numbers.
    pub(crate) name: &'static str,
    /// Workers that run.
    pub(crate) most: usize,
    /// Workers that are parked, besides.
    pub(crate) most_parked: usize,
    /// Work that waits for a worker.
    pub(crate) queue: usize,
}

pub(crate) struct Pool {
    tickets: Mutex<Option<Sender<Arc<Lane>>>>,
    receiver: Receiver<Arc<Lane>>,
    seats: Mutex<Vec<Arc<Seat>>>,
    size: AtomicUsize,
    /// Who submits counts up `waiting` and then looks at `idle`, a worker counts down `idle` and then looks at `waiting`: in
    /// one order for all (`SeqCst`), so that at least one of them sees the other and watches for a stall.
    idle: AtomicUsize,
    waiting: AtomicUsize,
    live: AtomicUsize,
    /// For who waits until nothing is under way.
    quiet: (Mutex<()>, Condvar),
    parked: AtomicUsize,
    most_parked: usize,
    written_off: AtomicUsize,
    written_off_ever: AtomicU64,
    /// Pieces of work taken so far: a sign that workers come free.
    taken: AtomicU64,
    started: AtomicU64,
    /// The number of `taken` when the stall timer was set.
    stall: Mutex<Option<u64>>,
    stall_check: Arc<StallCheck>,
    looking: AtomicBool,
    /// The operating system gives no threads at the moment.
    failing: AtomicBool,
    name: &'static str,
    most: usize,
    queue: usize,
    idle_time: Duration,
    threads: Arc<Budget>,
    timer: Timer,
    own: Weak<Pool>,
}

/// One worker's place.
struct Seat {
    number: u64,
    state: Mutex<SeatState>,
}

enum SeatState {
    Free,
    Running {
        work: Arc<dyn Work>,
        lane: Arc<Lane>,
        share: Arc<Share>,
        key: usize,
        parked: bool,
    },
    /// Its work is past the deadline: the thread is not counted any more and ends when the work does.
    WrittenOff,
}

impl Pool {
    pub(crate) fn new(sizes: PoolSizes, threads: Arc<Budget>, timer: Timer) -> Arc<Self> {
        Self::with_idle(sizes, threads, timer, IDLE)
    }

    fn with_idle(
        PoolSizes { name, most, most_parked, queue }: PoolSizes,
        threads: Arc<Budget>,
        timer: Timer,
        idle_time: Duration,
    ) -> Arc<Self> {
        let (sender, receiver) = unbounded();
        Arc::new_cyclic(|own| Self {
            tickets: Mutex::new(Some(sender)),
            receiver,
            seats: Mutex::new(Vec::new()),
            size: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            quiet: (Mutex::new(()), Condvar::new()),
            parked: AtomicUsize::new(0),
            most_parked,
            written_off: AtomicUsize::new(0),
            written_off_ever: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            started: AtomicU64::new(0),
            stall: Mutex::new(None),
            stall_check: Arc::new(StallCheck(own.clone())),
            looking: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            name,
            most: most.max(1),
            queue,
            idle_time,
            threads,
            timer,
            own: own.clone(),
        })
    }

    /// Queues work of a lane that holds `bytes` of memory. Never blocks.
    pub(crate) fn submit(&self, lane: &Arc<Lane>, work: Arc<dyn Work>, bytes: usize) -> Result<(), Busy> {
        let share = lane.share();
        let memory = share.reserve(bytes)?;
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= self.queue {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(Busy::Overloaded);
        }
        if let Err(busy) = share.queue() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(busy);
        }
        let (key, ticket) = {
            let mut state = lane.state.lock();
            if state.live() >= lane.most {
                drop(state);
                share.unqueue();
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return Err(Busy::Connection);
            }
            self.live.fetch_add(1, Ordering::AcqRel);
            let key = state.insert(Arc::clone(&work));
            let share = Arc::clone(&share);
            state.waiting.push_back(Waiting { key, work, since: Instant::now(), share, _memory: memory });
            (key, self.wants_ticket(&mut state))
        };
        if ticket && !self.send_ticket(lane) {
            let mut state = lane.state.lock();
            state.waiting.retain(|waiting| waiting.key != key);
            state.remove(key);
            drop(state);
            share.unqueue();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            self.gone();
            return Err(Busy::Stopping);
        }
        if self.idle.load(Ordering::SeqCst) == 0 {
            if self.size.load(Ordering::Acquire) == 0 {
                self.grow();
            }
            self.watch_for_stall();
        }
        Ok(())
    }

    /// Waits until nothing is under way; false if that did not come before the deadline. Blocks the caller.
    pub(crate) fn wait_quiet(&self, deadline: Instant) -> bool {
        let mut guard = self.quiet.0.lock();
        while self.live.load(Ordering::Acquire) > 0 {
            if self.quiet.1.wait_until(&mut guard, deadline).timed_out() {
                return self.live.load(Ordering::Acquire) == 0;
            }
        }
        true
    }

    /// Lets the workers end when they have nothing to do.
    pub(crate) fn stop(&self) {
        *self.tickets.lock() = None;
    }

    pub(crate) fn numbers(&self) -> PoolNumbers {
        PoolNumbers {
            workers: self.size.load(Ordering::Relaxed),
            idle: self.idle.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            live: self.live.load(Ordering::Relaxed),
            parked: self.parked.load(Ordering::Relaxed),
            written_off: self.written_off.load(Ordering::Relaxed),
            written_off_ever: self.written_off_ever.load(Ordering::Relaxed),
        }
    }

    /// Waits until all workers that are counted have ended. Blocks the caller up to the deadline.
    pub(crate) fn wait_ended(&self, deadline: Instant) {
        let mut guard = self.quiet.0.lock();
        while self.size.load(Ordering::Acquire) > 0 && !self.quiet.1.wait_until(&mut guard, deadline).timed_out() {}
    }

    /// What runs now, for the log at the end.
    pub(crate) fn running(&self) -> Vec<String> {
        self.at_work().iter().map(|work| work.describe()).collect()
    }

    /// Tells all that runs that it is given up, also what is in the lane of a connection that has gone.
    pub(crate) fn abandon(&self, why: Abandon) {
        for work in self.at_work() {
            work.abandon(why);
        }
    }

    fn at_work(&self) -> Vec<Arc<dyn Work>> {
        let seats = self.seats.lock().clone();
        seats
            .iter()
            .filter_map(|seat| match &*seat.state.lock() {
                SeatState::Running { work, .. } => Some(Arc::clone(work)),
                SeatState::Free | SeatState::WrittenOff => None,
            })
            .collect()
    }

    fn share(&self) -> usize {
        (self.most / 4).max(1)
    }

    fn wants_ticket(&self, state: &mut LaneState) -> bool {
        let wants = !state.ticket && state.running < self.share() && state.may_go_on();
        state.ticket |= wants;
        wants
    }

    fn send_ticket(&self, lane: &Arc<Lane>) -> bool {
        let sender = self.tickets.lock();
        sender.as_ref().is_some_and(|sender| sender.send(Arc::clone(lane)).is_ok())
    }

    /// One worker fewer works for that client: a lane of it that has waited for this goes on.
    fn leave_share(&self, share: &Share) {
        share.leave();
        while let Some(lane) = share.next_lane() {
            let ticket = {
                let mut state = lane.state.lock();
                state.kept.retain(|by| !std::ptr::eq(&**by, share));
                self.wants_ticket(&mut state)
            };
            // Without it the lane has nothing to do now, and another may.
            if ticket {
                if !self.send_ticket(&lane) {
                    share.forget_lanes();
                }
                return;
            }
        }
    }

    /// Sees to it that somebody looks in 5 ms whether work was taken meanwhile.
    fn watch_for_stall(&self) {
        if self.size.load(Ordering::Acquire) >= self.most {
            return;
        }
        let mut stall = self.stall.lock();
        if stall.is_none() {
            *stall = Some(self.taken.load(Ordering::Acquire));
            drop(stall);
            let wait = if self.failing.load(Ordering::Acquire) { LOOK } else { WAIT };
            let check: Weak<StallCheck> = Arc::downgrade(&self.stall_check);
            self.timer.nudge(Instant::now() + wait, check);
        }
    }

    /// Starts one more worker, if there may be one.
    fn grow(&self) {
        let grown =
            self.size.fetch_update(Ordering::AcqRel, Ordering::Acquire, |size| (size < self.most).then_some(size + 1));
        if grown.is_err() {
            return;
        }
        let (Some(pool), Some(slot)) = (self.own.upgrade(), self.threads.reserve(1)) else {
            self.size.fetch_sub(1, Ordering::AcqRel);
            return;
        };
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat { number, state: Mutex::new(SeatState::Free) });
        self.seats.lock().push(Arc::clone(&seat));
        let spawned = std::thread::Builder::new().name(format!("{}-{number}", self.name)).stack_size(2 << 20).spawn({
            let seat = Arc::clone(&seat);
            move || {
                let _slot = slot;
                pool.work(&seat);
            }
        });
        if let Err(error) = spawned {
            // It is tried again as long as work waits; one line for each run of failures is enough.
            if !self.failing.swap(true, Ordering::AcqRel) {
                log::error!(target: "mcp_blocking::pool", "no thread for a worker, trying on: {error}");
            }
            self.size.fetch_sub(1, Ordering::AcqRel);
            self.leave(&seat);
        } else {
            self.failing.store(false, Ordering::Release);
        }
    }

    fn leave(&self, seat: &Arc<Seat>) {
        self.seats.lock().retain(|other| !Arc::ptr_eq(other, seat));
    }

    fn park(self: Arc<Self>, seat: Arc<Seat>) -> Result<Parked, Busy> {
        if self.parked.fetch_add(1, Ordering::AcqRel) >= self.most_parked {
            self.parked.fetch_sub(1, Ordering::AcqRel);
            return Err(Busy::Overloaded);
        }
        let counted = match &mut *seat.state.lock() {
            SeatState::Running { lane, share, parked, .. } if !*parked => share.park().map(|()| {
                *parked = true;
                Some((Arc::clone(lane), Arc::clone(share)))
            }),
            // Parked already, or not counted any more.
            _ => Ok(None),
        };
        if !matches!(counted, Ok(Some(_))) {
            self.parked.fetch_sub(1, Ordering::AcqRel);
        }
        let Some((lane, share)) = counted? else { return Ok(Parked(None)) };
        self.size.fetch_sub(1, Ordering::AcqRel);
        self.stands_aside(&lane, &share, None);
        if self.waiting.load(Ordering::SeqCst) > 0 && self.idle.load(Ordering::SeqCst) == 0 {
            self.grow();
        }
        Ok(Parked(Some((self, seat))))
    }

    fn unpark(&self, seat: &Seat) {
        // For a moment there may be one worker more than may run: the first that has nothing to do ends.
        self.size.fetch_add(1, Ordering::AcqRel);
        self.parked.fetch_sub(1, Ordering::AcqRel);
        // Under the lock: whoever writes the worker off from here on takes away what is counted here.
        if let SeatState::Running { lane, share, parked, .. } = &mut *seat.state.lock() {
            share.unpark();
            lane.state.lock().running += 1;
            *parked = false;
        }
    }

    /// A worker does not count for its lane and its client any more: for the time being, or for good if its work is over.
    fn stands_aside(&self, lane: &Arc<Lane>, share: &Share, over: Option<usize>) {
        let ticket = {
            let mut state = lane.state.lock();
            if let Some(key) = over {
                state.remove(key);
            }
            state.running = state.running.saturating_sub(1);
            self.wants_ticket(&mut state)
        };
        if ticket {
            self.send_ticket(lane);
        }
        self.leave_share(share);
    }

    /// The life of a worker.
    fn work(&self, seat: &Arc<Seat>) {
        HERE.set(Some((self.own.clone(), Arc::clone(seat))));
        loop {
            let surplus = self
                .size
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |size| (size > self.most).then(|| size - 1));
            if surplus.is_ok() {
                drop(self.quiet.0.lock());
                self.quiet.1.notify_all();
                return self.leave(seat);
            }
            self.idle.fetch_add(1, Ordering::SeqCst);
            let ticket = self.receiver.recv_timeout(self.idle_time);
            self.idle.fetch_sub(1, Ordering::SeqCst);
            match ticket {
                Ok(lane) => {
                    if !self.serve(seat, lane) {
                        self.written_off.fetch_sub(1, Ordering::AcqRel);
                        log::warn!(target: "mcp_blocking::pool", "worker {} has come back after it was written off", seat.number);
                        return self.leave(seat);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    // One stays, so that a single client finds a worker that is awake.
                    let retired = self
                        .size
                        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |size| (size > 1).then(|| size - 1));
                    if retired.is_ok() {
                        self.leave(seat);
                        // Who submitted in the moment between has counted on this worker, and watches for nothing.
                        if self.waiting.load(Ordering::SeqCst) > 0 {
                            self.watch_for_stall();
                        }
                        return;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.leave(seat);
                    let _quiet = self.quiet.0.lock();
                    self.size.fetch_sub(1, Ordering::AcqRel);
                    self.quiet.1.notify_all();
                    return;
                }
            }
        }
    }

    /// Runs one piece of work of the lane; false if the worker was written off meanwhile.
    fn serve(&self, seat: &Arc<Seat>, lane: Arc<Lane>) -> bool {
        let (waiting, ticket) = {
            let mut state = lane.state.lock();
            state.ticket = false;
            let waiting = state.take(&lane);
            state.running += usize::from(waiting.is_some());
            (waiting, self.wants_ticket(&mut state))
        };
        if ticket {
            self.send_ticket(&lane);
        }
        let Some(waiting) = waiting else { return true };
        waiting.share.unqueue();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.taken.fetch_add(1, Ordering::AcqRel);
        let more_waits = self.idle.load(Ordering::SeqCst) == 0 && self.waiting.load(Ordering::SeqCst) > 0;
        if more_waits {
            if waiting.since.elapsed() > WAIT {
                self.grow();
            } else {
                self.watch_for_stall();
            }
        }
        *seat.state.lock() = SeatState::Running {
            work: Arc::clone(&waiting.work),
            lane: Arc::clone(&lane),
            share: Arc::clone(&waiting.share),
            key: waiting.key,
            parked: false,
        };
        if !self.looking.swap(true, Ordering::AcqRel) {
            self.timer.add(Instant::now() + LOOK, self.own.clone());
        }
        // The work itself catches what its handler does; this is for a mistake of ours, so that the worker lives on.
        if catch_unwind(AssertUnwindSafe(|| Arc::clone(&waiting.work).run())).is_err() {
            log::error!(target: "mcp_blocking::pool", "{} panicked outside its handler", waiting.work.describe());
        }
        let state = std::mem::replace(&mut *seat.state.lock(), SeatState::Free);
        if matches!(state, SeatState::WrittenOff) {
            return false;
        }
        self.finished(&lane, &waiting.share, waiting.key);
        true
    }

    fn gone(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            drop(self.quiet.0.lock());
            self.quiet.1.notify_all();
        }
    }

    fn finished(&self, lane: &Arc<Lane>, share: &Share, key: usize) {
        self.stands_aside(lane, share, Some(key));
        self.gone();
    }

    /// Tells work that is past its deadline, if its connection has not, and writes off the workers of what does not listen; returns
    /// whether any works at all.
    fn look(&self, now: Instant) -> bool {
        let seats = self.seats.lock().clone();
        let mut busy = false;
        for seat in seats {
            let mut state = seat.state.lock();
            let SeatState::Running { work, lane, share, key, parked } = &*state else { continue };
            busy = true;
            // A parked worker waits with a limit of its own, and is not counted anyhow.
            let deadline = work.deadline();
            if *parked || now < deadline {
                continue;
            }
            if now < deadline + GRACE {
                let work = Arc::clone(work);
                drop(state);
                work.expire();
                continue;
            }
            let (what, lane, share, key) = (work.describe(), Arc::clone(lane), Arc::clone(share), *key);
            *state = SeatState::WrittenOff;
            drop(state);
            log::error!(target: "mcp_blocking::pool", "worker {} is written off: {what} ignores its deadline", seat.number);
            self.written_off.fetch_add(1, Ordering::AcqRel);
            self.written_off_ever.fetch_add(1, Ordering::AcqRel);
            self.size.fetch_sub(1, Ordering::AcqRel);
            self.finished(&lane, &share, key);
            if self.waiting.load(Ordering::SeqCst) > 0 {
                self.grow();
            }
        }
        busy
    }

    /// Starts a worker if nothing was taken since the watch began, though something waits.
    fn check_stall(&self) {
        let since = self.stall.lock().take();
        let waits = self.waiting.load(Ordering::SeqCst) > 0 && self.idle.load(Ordering::SeqCst) == 0;
        if let Some(taken) = since
            && waits
        {
            if taken == self.taken.load(Ordering::Acquire) {
                self.grow();
            }
            self.watch_for_stall();
        }
    }
}

/// What the timer calls 5 ms after work has found no idle worker. Not the pool itself: that call is for the stuck work, and
/// its one entry in the timer must neither be doubled nor lost by this one.
struct StallCheck(Weak<Pool>);

impl Tick for StallCheck {
    fn tick(&self, _now: Instant) -> Option<Instant> {
        self.0.upgrade()?.check_stall();
        None
    }
}

impl Tick for Pool {
    fn tick(&self, now: Instant) -> Option<Instant> {
        if self.look(now) {
            return Some(now + LOOK);
        }
        self.looking.store(false, Ordering::Release);
        // Work may have begun between the look and the mark.
        (self.look(now) && !self.looking.swap(true, Ordering::AcqRel)).then(|| now + LOOK)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("numbers", &self.numbers()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
