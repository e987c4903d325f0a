//! Who deals with probes? A few threads that are started when there is work and end when there has been none for a while.
//!
//! Not a thread for each probe: one that has answered takes a moment to end, and a crowd of short probes would then have more threads
//! than there are places.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(1);
/// The author's checks run on these threads.
const STACK: usize = 1 << 20;

type Job = Box<dyn FnOnce() + Send>;

/// At most so many threads as it was made for, never one more.
pub(super) struct Crew {
    most: usize,
    state: Mutex<State>,
    work: Condvar,
    gone: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait for work.
    idle: usize,
    /// Threads that there are.
    live: usize,
    closed: bool,
}

/// A thread of the crew; counted until it is dropped, also by a panic.
struct Member(Arc<Crew>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.state.lock().live -= 1;
        self.0.gone.notify_all();
    }
}

impl Crew {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default(), work: Condvar::new(), gone: Condvar::new() })
    }

    /// Has a job done by the next thread that is free. The caller bounds how many wait.
    ///
    /// # Errors
    /// There is no thread, and none can be started; the job is dropped.
    pub(super) fn run(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.state.lock();
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle || state.live >= self.most {
            drop(state);
            self.work.notify_one();
            return Ok(());
        }
        state.live += 1;
        drop(state);
        let member = Member(Arc::clone(self));
        let spawned =
            std::thread::Builder::new().name("mcp-probe".into()).stack_size(STACK).spawn(move || member.0.serve());
        // The closure went with its member, which is not counted any more. Those who are there take the job; if nobody is, nobody will.
        match spawned {
            Err(error) if self.state.lock().live == 0 => {
                let jobs = std::mem::take(&mut self.state.lock().jobs);
                drop(jobs);
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Ends the threads as soon as they have no work. Blocks until they have ended or the deadline; whether they have.
    pub(super) fn close(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        state.closed = true;
        self.work.notify_all();
        while state.live > 0 {
            if self.gone.wait_until(&mut state, deadline).timed_out() {
                return state.live == 0;
            }
        }
        true
    }

    /// The life of a thread.
    fn serve(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
                continue;
            }
            if state.closed {
                return;
            }
            state.idle += 1;
            let idle = self.work.wait_for(&mut state, IDLE);
            state.idle -= 1;
            if idle.timed_out() && state.jobs.is_empty() {
                return;
            }
        }
    }
}
