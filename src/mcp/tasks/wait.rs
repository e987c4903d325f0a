//! Who waits for the result of a task (`tasks/result`, 2025-11-25): no thread, but an entry among the client's requests.

use super::stored::{Outcome, StoredTask};
use crate::engine::budget::Reservation;
use crate::engine::outbox::Flush;
use crate::mcp::batch::Reply;
use crate::mcp::client::Link;
use crate::metrics::{self, Method};
use crate::protocol::id::RequestId;
use crate::protocol::{method, tasks};
use crate::transport::http::exchange::Exchange;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// One request that is answered when a task has ended.
pub(crate) struct Wait {
    link: Weak<Link>,
    id: RequestId,
    reply: Reply,
    task: Weak<StoredTask>,
    received: Instant,
    _memory: Reservation,
}

impl Wait {
    /// `None` if there is no memory for it.
    pub(super) fn new(link: &Arc<Link>, id: RequestId, reply: Reply, task: &Arc<StoredTask>) -> Option<Arc<Self>> {
        let memory = link.core.memory.reserve(size_of::<Self>() + 2 * id.heap_bytes() + 128)?;
        let (link, task, received) = (Arc::downgrade(link), Arc::downgrade(task), Instant::now());
        Some(Arc::new(Self { link, id, reply, task, received, _memory: memory }))
    }

    /// The task has ended.
    pub(super) fn answer(&self, outcome: &Outcome) {
        // Unless its client has stopped waiting.
        let Some(link) = self.link.upgrade().filter(|link| link.finish_wait(&self.id, self)) else { return };
        let mut json = Vec::with_capacity(outcome.json.len() + self.id.heap_bytes() + 64);
        tasks::write_outcome(&mut json, &self.id, &outcome.json, outcome.is_error);
        let what = if outcome.is_error { metrics::Outcome::Error } else { metrics::Outcome::Ok };
        link.core.counters.request(Method::of(method::TASKS_RESULT), what, self.received.elapsed());
        self.reply.deliver(&link, Some(json), 200, Flush::Elsewhere);
    }

    /// Its client does not want the answer any more.
    pub(crate) fn cancel(&self) {
        self.leave();
        if let Some(link) = self.link.upgrade() {
            let what = metrics::Outcome::Cancelled;
            link.core.counters.request(Method::of(method::TASKS_RESULT), what, self.received.elapsed());
            self.reply.deliver(&link, None, 202, Flush::Later);
        }
    }

    /// Nobody is there any more who could be answered.
    pub(crate) fn leave(&self) {
        if let Some(task) = self.task.upgrade() {
            task.leave(self);
        }
    }

    /// Whether messages of the task can be sent on the way to whoever waits: one of its own.
    pub(super) fn is_stream(&self) -> bool {
        self.reply.is_stream()
    }

    /// Sends one there that may be lost.
    pub(super) fn notice(&self, link: &Link, json: Vec<u8>, key: u64) {
        self.reply.notice(link, json, key);
    }

    /// Sends one there that must not be lost; false if it did not get on its way.
    pub(super) fn send(&self, link: &Link, json: &[u8], key: u64) -> bool {
        self.reply.send(link, json.to_vec(), key, Flush::Now).is_ok()
    }

    /// Whether its answer would go there.
    pub(crate) fn goes_to(&self, exchange: &Arc<Exchange>) -> bool {
        self.reply.goes_to(exchange)
    }
}
