//! What is counted since the start, for `/metrics`, [`Status`](crate::Status) and tests.
//!
//! All of it is fixed tables of atomics: counting takes no lock, allocates nothing and orders nothing, so it may stand on
//! every path. What a peer says never becomes a label: it is looked up in these tables and is `other` if it is not there.

use crate::protocol::method;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The methods that are told apart, the busiest first; the last stands for all others.
pub(crate) const METHODS: [&str; 21] = [
    method::TOOLS_CALL,
    method::TOOLS_LIST,
    method::PING,
    method::INITIALIZE,
    method::DISCOVER,
    method::LISTEN,
    method::SET_LEVEL,
    method::RESOURCES_LIST,
    method::RESOURCE_TEMPLATES_LIST,
    method::RESOURCES_READ,
    method::RESOURCES_SUBSCRIBE,
    method::RESOURCES_UNSUBSCRIBE,
    method::PROMPTS_LIST,
    method::PROMPTS_GET,
    method::COMPLETE,
    method::TASKS_GET,
    method::TASKS_RESULT,
    method::TASKS_LIST,
    method::TASKS_CANCEL,
    method::TASKS_UPDATE,
    OTHER,
];

/// Why connections are turned away: the labels of all refusals; the last stands for those that are not in the list.
pub(crate) const REASONS: &[&str] = &[
    "host",
    "origin",
    "auth",
    "expired",
    "revoked",
    "ticket",
    "keys",
    "login-backoff",
    "forwarded",
    "path",
    "method",
    "upgrade",
    "head",
    "head-size",
    "head-deadline",
    "early-bytes",
    "body-size",
    "body-deadline",
    "memory",
    "unsupported",
    "tls-on-plain",
    "plain-on-tls",
    "tls",
    "certificate",
    "max-connections",
    "max-half-open",
    "max-per-address",
    "connect-rate",
    "threads",
    "audit",
    "lifetime",
    OTHER,
];

/// What became of requests, in the order of [`Outcome`].
pub(crate) const OUTCOMES: [&str; 7] = ["ok", "error", "tool_error", "cancelled", "timeout", "busy", "rate_limited"];

/// Upper bounds of the latency buckets, in milliseconds; one more bucket is for what takes longer.
pub(crate) const BOUNDS_MS: [u64; 15] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

const OTHER: &str = "other";

/// One of [`METHODS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method(usize);

impl Method {
    pub(crate) const TOOLS_CALL: Self = Self(0);
    pub(crate) const OTHER: Self = Self(METHODS.len() - 1);

    pub(crate) fn of(name: &str) -> Self {
        Self(place(&METHODS, name))
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was answered with a result.
    Ok,
    /// It was answered with a JSON-RPC error.
    Error,
    /// The tool's result says that it failed.
    ToolError,
    /// The client cancelled it, or has gone.
    Cancelled,
    /// It was stopped at its deadline.
    Timeout,
    /// It was not begun, or given up at the server's end: answered "busy".
    Busy,
    /// It came beyond the client's rate.
    RateLimited,
}

/// What became of a probe on the health address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeOutcome {
    /// Answered with what it asked for, or with what is wrong with its question.
    Answered,
    /// Its head, host or origin was not accepted.
    Refused,
    /// Cut, or not taken, to make room for others.
    Cut,
}

/// The labels of [`ProbeOutcome`].
pub(crate) const PROBE_OUTCOMES: [&str; 3] = ["answered", "refused", "cut"];

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) forbidden: AtomicU64,
    pub(crate) connection_panics: AtomicUsize,
    refusals: [AtomicU64; REASONS.len()],
    probes: [AtomicU64; PROBE_OUTCOMES.len()],
    methods: [Row; METHODS.len()],
}

/// One method. Rows of different methods share no cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Row {
    outcomes: [AtomicU64; OUTCOMES.len()],
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    nanos: AtomicU64,
}

/// The numbers of one method at a moment.
#[derive(Debug)]
pub(crate) struct MethodNumbers {
    pub(crate) method: &'static str,
    /// In the order of [`OUTCOMES`].
    pub(crate) outcomes: [u64; OUTCOMES.len()],
    /// Requests that took no longer than the bound of the same place; the last has no bound. Not added up.
    pub(crate) buckets: [u64; BOUNDS_MS.len() + 1],
    /// The time of all of them together.
    pub(crate) total: Duration,
}

impl Counters {
    /// A request has been answered, or is known to get no answer. What was turned away for the load is counted, but its
    /// time is not: it would make a server look fast that does nothing.
    pub(crate) fn request(&self, method: Method, outcome: Outcome, took: Duration) {
        let Some(row) = self.methods.get(method.0) else { return };
        add(&row.outcomes, outcome as usize);
        if !matches!(outcome, Outcome::Busy | Outcome::RateLimited) {
            add(&row.buckets, BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < took));
            row.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// A connection has been turned away for this reason.
    pub(crate) fn refuse(&self, label: &str) {
        debug_assert!(REASONS.contains(&label), "{label} has no row");
        add(&self.refusals, place(REASONS, label));
    }

    pub(crate) fn probe(&self, outcome: ProbeOutcome) {
        add(&self.probes, outcome as usize);
    }

    /// Connections turned away, for all reasons together.
    pub(crate) fn refused(&self) -> u64 {
        self.refusals.iter().map(read).sum()
    }

    /// The reasons and how often each came up.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.iter().copied().zip(self.refusals.iter().map(read))
    }

    pub(crate) fn probes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        PROBE_OUTCOMES.into_iter().zip(self.probes.iter().map(read))
    }

    /// The methods that were asked for at least once.
    pub(crate) fn methods(&self) -> impl Iterator<Item = MethodNumbers> {
        let numbers = |(method, row): (&'static str, &Row)| MethodNumbers {
            method,
            outcomes: row.outcomes.each_ref().map(read),
            buckets: row.buckets.each_ref().map(read),
            total: Duration::from_nanos(read(&row.nanos)),
        };
        let asked = |numbers: &MethodNumbers| numbers.outcomes.iter().any(|count| *count > 0);
        METHODS.into_iter().zip(&self.methods).map(numbers).filter(asked)
    }
}

fn add(table: &[AtomicU64], place: usize) {
    if let Some(count) = table.get(place) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// Where a word stands in a table; the last place if it does not.
fn place(table: &[&str], word: &str) -> usize {
    table.iter().position(|known| *known == word).unwrap_or(table.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_with_its_method_and_outcome_and_in_one_bucket() {
        let counters = Counters::default();
        counters.request(Method::TOOLS_CALL, Outcome::Ok, Duration::from_millis(1));
        counters.request(Method::of("tools/call"), Outcome::ToolError, Duration::from_micros(1_001));
        counters.request(Method::of("tools/call"), Outcome::Timeout, Duration::from_secs(61));
        counters.request(Method::of("Tools/Call"), Outcome::Error, Duration::ZERO);
        let methods: Vec<_> = counters.methods().collect();
        assert_eq!(methods.iter().map(|numbers| numbers.method).collect::<Vec<_>>(), ["tools/call", "other"]);
        let calls = &methods[0];
        assert_eq!(calls.outcomes, [1, 0, 1, 0, 1, 0, 0]);
        assert_eq!((calls.buckets[0], calls.buckets[1], calls.buckets[BOUNDS_MS.len()]), (1, 1, 1));
        assert_eq!(calls.buckets.iter().sum::<u64>(), 3);
        assert_eq!(calls.total, Duration::from_micros(61_002_001));
    }

    #[test]
    fn the_time_of_what_was_turned_away_does_not_count() {
        let counters = Counters::default();
        counters.request(Method::of("ping"), Outcome::RateLimited, Duration::ZERO);
        counters.request(Method::of("ping"), Outcome::Busy, Duration::ZERO);
        let ping = counters.methods().next().unwrap();
        assert_eq!(ping.outcomes, [0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(ping.buckets.iter().sum::<u64>(), 0);
    }

    #[test]
    fn reasons_are_counted_each_by_itself_and_what_nobody_has_heard_of_has_the_last_row() {
        let counters = Counters::default();
        for label in ["host", "lifetime", "host"] {
            counters.refuse(label);
        }
        let refusals: Vec<_> = counters.refusals().filter(|(_, count)| *count > 0).collect();
        assert_eq!(refusals, [("host", 2), ("lifetime", 1)]);
        assert_eq!(counters.refused(), 3);
        assert_eq!(REASONS[place(REASONS, "no-such-reason")], "other");
    }

    #[test]
    fn every_request_of_the_protocol_has_a_row_of_its_own() {
        let mut requests = method::requests().collect::<Vec<_>>();
        requests.iter().for_each(|name| assert_eq!(METHODS[Method::of(name).0], *name));
        let mut rows = METHODS[..METHODS.len() - 1].to_vec();
        requests.sort_unstable();
        rows.sort_unstable();
        assert_eq!(rows, requests);
    }
}
