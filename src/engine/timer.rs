//! The `mcp-timer` thread: calls those whose time has come. What it calls marks and shuts down; it never writes to a
//! socket and never waits for one.

use parking_lot::{Condvar, Mutex};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

/// Something with deadlines.
pub(crate) trait Tick: Send + Sync {
    /// Does what is due; returns when to be called again, `None` for never.
    fn tick(&self, now: Instant) -> Option<Instant>;
}

/// The timer; cheap to clone.
#[derive(Clone)]
pub(crate) struct Timer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    entries: BinaryHeap<Entry>,
    sequence: u64,
    stopped: bool,
}

struct Entry {
    at: Instant,
    sequence: u64,
    /// Called once, whatever it returns.
    once: bool,
    who: Weak<dyn Tick>,
}

impl Timer {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<(Self, JoinHandle<()>)> {
        let state = State { entries: BinaryHeap::new(), sequence: 0, stopped: false };
        let timer = Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }));
        let shared = Arc::clone(&timer.0);
        let thread =
            std::thread::Builder::new().name("mcp-timer".into()).stack_size(256 << 10).spawn(move || shared.run())?;
        Ok((timer, thread))
    }

    /// Calls `who` at that time, and then when it says.
    pub(crate) fn add(&self, at: Instant, who: Weak<dyn Tick>) {
        self.0.add(at, who, false);
    }

    /// Calls `who` at that time besides.
    pub(crate) fn nudge(&self, at: Instant, who: Weak<dyn Tick>) {
        self.0.add(at, who, true);
    }

    /// How many calls are outstanding.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.0.state.lock().entries.len()
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.0.state.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

impl Shared {
    fn add(&self, at: Instant, who: Weak<dyn Tick>, once: bool) {
        let first = {
            let mut state = self.state.lock();
            let first = state.entries.peek().is_none_or(|entry| at < entry.at);
            state.sequence += 1;
            let sequence = state.sequence;
            state.entries.push(Entry { at, sequence, once, who });
            first
        };
        if first {
            self.changed.notify_one();
        }
    }

    fn run(&self) {
        let mut state = self.state.lock();
        while !state.stopped {
            let now = Instant::now();
            match state.entries.peek().map(|entry| entry.at) {
                None => self.changed.wait(&mut state),
                Some(at) if at > now => {
                    self.changed.wait_until(&mut state, at);
                }
                Some(_) => {
                    let Some(entry) = state.entries.pop() else { continue };
                    // Not under the lock: it may add entries of its own.
                    parking_lot::MutexGuard::unlocked(&mut state, || {
                        let who = entry.who.upgrade()?;
                        // One that panics is not called again; the others are.
                        let next = catch_unwind(AssertUnwindSafe(|| who.tick(now))).unwrap_or_else(|_| {
                            log::error!(target: "mcp_blocking::timer", "a tick panicked");
                            None
                        })?;
                        if !entry.once {
                            self.add(next, entry.who, false);
                        }
                        Some(())
                    });
                }
            }
        }
        state.entries.clear();
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, for the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

#[cfg(test)]
#[path = "timer_tests.rs"]
mod tests;
