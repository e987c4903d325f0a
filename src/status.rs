//! Numbers of the moment.

use crate::audit::AuditStatus;
use crate::engine::Core;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a server is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Time since the start.
    pub uptime: Duration,
    /// Clients that are connected.
    pub connections: usize,
    /// Calls under way, waiting or running.
    pub calls_in_flight: usize,
    /// Calls that wait for a worker.
    pub calls_waiting: usize,
    /// Worker threads.
    pub workers: usize,
    /// Of these, those that have nothing to do.
    pub workers_idle: usize,
    /// Threads whose handler waits for a client's answer; they do not count among the workers.
    pub workers_parked: usize,
    /// Threads whose handler ignores its deadline, at this moment.
    pub workers_written_off: usize,
    /// The same, since the start.
    pub workers_written_off_ever: u64,
    /// Tasks that are under way, or are kept for their clients.
    pub tasks: usize,
    /// Of these, those whose handler runs, or waits for a thread.
    pub tasks_in_flight: usize,
    /// Bytes of queued requests and outgoing frames, and of what HTTP sessions keep for their clients.
    pub memory_used: usize,
    /// The bound of that.
    pub memory_limit: usize,
    /// Connections since the start.
    pub connections_accepted: u64,
    /// Of these, those that were turned away.
    pub connections_refused: u64,
    /// Requests since the start.
    pub requests: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Calls stopped at their deadline.
    pub timeouts: u64,
    /// Calls cancelled by their client, or because it has gone.
    pub cancelled: u64,
    /// Messages beyond the rate.
    pub rate_limited: u64,
    /// Requests answered "busy".
    pub busy: u64,
    /// Requests not served because their sender lacks a scope.
    pub forbidden: u64,
    /// The audit log, if one is kept.
    pub audit: Option<AuditStatus>,
}

impl Status {
    pub(crate) fn of(core: &Core) -> Self {
        let (pool, tasks, counters) = (core.pool.numbers(), core.task_pool.numbers(), &core.counters);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            uptime: core.uptime(),
            connections: core.connected(),
            calls_in_flight: pool.live,
            calls_waiting: pool.waiting,
            workers: pool.workers,
            workers_idle: pool.idle,
            workers_parked: pool.parked + tasks.parked,
            workers_written_off: pool.written_off + tasks.written_off,
            workers_written_off_ever: pool.written_off_ever + tasks.written_off_ever,
            tasks: core.tasks.used(),
            tasks_in_flight: tasks.live,
            memory_used: core.memory.used(),
            memory_limit: core.memory.limit(),
            connections_accepted: read(&counters.accepted),
            connections_refused: counters.refused(),
            requests: read(&counters.requests),
            panics: read(&counters.panics),
            timeouts: read(&counters.timeouts),
            cancelled: read(&counters.cancelled),
            rate_limited: read(&counters.rate_limited),
            busy: read(&counters.busy),
            forbidden: read(&counters.forbidden),
            audit: core.audit.status(),
        }
    }
}
