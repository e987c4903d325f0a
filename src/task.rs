//! Work of a [`Service`](crate::Service) on the handler pool.

use crate::cancel::{Cancel, Never};
use crate::engine::connection::Connection;
use crate::engine::pool::{Abandon, Busy, Work};
use crate::guard::text::Escaped;
use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What a piece of work on the handler pool is told: when it has to stop.
///
/// It has to when its deadline comes, its peer is gone, or the server stops. Work that goes on regardless is not
/// interrupted; its thread is written off a second after the deadline and replaced.
pub struct Task {
    cancel: Arc<Cancel>,
}

impl Task {
    /// Whether it has to stop. Costs next to nothing.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// A channel that is disconnected when it has to stop. Nothing is ever sent on it.
    pub fn cancelled(&self) -> Receiver<Never> {
        self.cancel.channel()
    }

    /// Sleeps; false if it has to stop, which ends the sleep at once.
    pub fn sleep(&self, time: Duration) -> bool {
        self.cancel.sleep(time)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Why the handler pool did not take work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The peer has as much under way as it may ([`Limits::calls_per_connection`](crate::Limits::calls_per_connection)), or as
    /// much waits of its client, over all its connections ([`Limits::queued_calls`](crate::Limits::queued_calls)).
    #[error("the peer has too much under way")]
    Peer,
    /// Too much waits over all peers, or the memory for it is used up. Try again a little later.
    #[error("the server is overloaded")]
    Overloaded,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl From<Busy> for SpawnError {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Connection | Busy::Client => Self::Peer,
            Busy::Overloaded => Self::Overloaded,
            Busy::Stopping => Self::Stopping,
        }
    }
}

type Job = Box<dyn FnOnce(&Task) + Send>;

/// A closure as work.
struct Closure {
    job: Mutex<Option<Job>>,
    cancel: Arc<Cancel>,
    connection: Arc<Connection>,
    deadline: Instant,
}

pub(crate) fn spawn(connection: &Arc<Connection>, time: Duration, bytes: usize, job: Job) -> Result<(), SpawnError> {
    let work = Arc::new(Closure {
        job: Mutex::new(Some(job)),
        cancel: Arc::new(Cancel::default()),
        connection: Arc::clone(connection),
        deadline: Instant::now() + time,
    });
    Ok(connection.spawn(work, bytes)?)
}

impl Work for Closure {
    fn run(self: Arc<Self>) {
        let job = self.job.lock().take();
        if self.cancel.is_cancelled() {
            return;
        }
        let task = Task { cancel: Arc::clone(&self.cancel) };
        if let Some(job) = job
            && let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(&task)))
        {
            let text =
                panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            self.connection.core.counters.panics.fetch_add(1, Ordering::Relaxed);
            log::error!(
                target: "mcp_blocking::task", connection = self.connection.id.0;
                "{} panicked: {}", self.describe(), Escaped::short(text.unwrap_or("no message"))
            );
        }
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn expire(&self) {
        if self.cancel.cancel() {
            self.connection.core.counters.timeouts.fetch_add(1, Ordering::Relaxed);
            log::warn!(
                target: "mcp_blocking::task", connection = self.connection.id.0;
                "{} is told to stop: its deadline has come", self.describe()
            );
        }
    }

    fn abandon(&self, _why: Abandon) {
        self.cancel.cancel();
    }

    fn describe(&self) -> String {
        format!("{}: a task", self.connection.id)
    }
}
