//! Is the server alive, ready, and what is it doing? Answers for supervisors, load balancers and monitoring.
//!
//! | file | question |
//! | --- | --- |
//! | [`listener`] | who takes probes on an address of their own, and why can none of them hold up another? |
//! | [`crew`] | which threads deal with them? |
//! | [`ready`] | what do the author's own checks say, and how often are they asked? |
//! | [`report`] | what do `/health` and `/ready` say? |
//! | [`exposition`] | what does `/metrics` say? |
//! | [`answer`] | what does an answer look like on the wire? |
//!
//! [`Health`] knows no socket: a request head goes in, an answer comes out. So the address of its own and the main port
//! say the same.

pub(crate) mod answer;
mod crew;
mod exposition;
pub(crate) mod listener;
pub(crate) mod ready;
mod report;

use crate::engine::Core;
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use answer::Answer;
use ready::Checks;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the answers are.
const PATHS: [&str; 3] = ["/health", "/ready", "/metrics"];

/// The name and version under which a server reports.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Identity {
    /// Of a server without a name of its own.
    pub(crate) fn of_library() -> Self {
        Self { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// What answers probes.
pub(crate) struct Health {
    core: Arc<Core>,
    identity: Identity,
    checks: Checks,
    started: AtomicBool,
}

impl Health {
    pub(crate) fn new(core: &Arc<Core>, identity: Identity, checks: Checks) -> Arc<Self> {
        Arc::new(Self { core: Arc::clone(core), identity, checks, started: AtomicBool::new(false) })
    }

    /// Everything runs: from here on the server may be ready.
    pub(crate) fn set_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Whether there is an answer at this path.
    pub(crate) fn is_at(path: &str) -> bool {
        PATHS.contains(&path)
    }

    /// The answer to a request that the gate has let in. May run the author's checks.
    pub(crate) fn answer(&self, head: &Head) -> Answer {
        let answer = self.page(head).unwrap_or_else(|refusal| Answer::from(&refusal));
        answer.without_body(head.method == "HEAD")
    }

    fn page(&self, head: &Head) -> Result<Answer, Refusal> {
        // Whoever sends a body here means something else, and what follows it is not a request of ours.
        if !head.body()?.is_empty() {
            return Err(Refusal::new(400, "body", "ask without a request body"));
        }
        let path = head.path();
        if !Self::is_at(path) {
            let [health, ready, metrics] = PATHS;
            return Err(Refusal::new(404, "path", format!("nothing is here; try {health}, {ready} or {metrics}")));
        }
        if !matches!(head.method.as_str(), "GET" | "HEAD") {
            return Err(Refusal::new(405, "method", "ask with GET or HEAD").header("Allow", "GET, HEAD"));
        }
        Ok(match path {
            "/ready" => report::ready(&self.not_ready(), report::wants_text(head)),
            "/metrics" => exposition::metrics(&self.core, &self.identity),
            _ => report::health(&self.core, &self.identity, report::wants_text(head)),
        })
    }

    /// Why no more work should be sent here; nothing if it may.
    fn not_ready(&self) -> Vec<String> {
        let core = &self.core;
        // Neither is worth asking anybody else about.
        if core.stopping() {
            return vec!["draining: the server is stopping".into()];
        }
        if !self.started.load(Ordering::Acquire) {
            return vec!["starting".into()];
        }
        let mut reasons = Vec::new();
        let waiting = core.pool.numbers().waiting;
        if waiting >= core.limits.queued_calls {
            reasons.push(format!("overloaded: {waiting} calls wait for a worker, which is the limit"));
        }
        let (used, limit) = (core.memory.used(), core.memory.limit());
        if used >= limit / 100 * 95 {
            reasons.push(format!("overloaded: {used} of {limit} bytes of the memory budget are used"));
        }
        if core.audit.refuses() {
            reasons.push("audit: the log cannot be written".into());
        }
        reasons.extend(self.checks.failures());
        reasons
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("identity", &self.identity).field("checks", &self.checks).finish_non_exhaustive()
    }
}
