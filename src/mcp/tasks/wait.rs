//! Who waits for the result of a task (`tasks/result`, 2025-11-25): no thread, but an entry among the client's requests.

use super::stored::{Outcome, StoredTask};
use crate::engine::budget::Reservation;
use crate::engine::outbox::{Body, Flush};
use crate::mcp::batch::Reply;
use crate::mcp::client::Link;
use crate::mcp::http::streams::RequestStream;
use crate::metrics::{self, Method};
use crate::protocol::id::RequestId;
use crate::protocol::{method, tasks};
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

    /// Sends a message of the task on the way to whoever waits, if that is a way of its own; false if it is not.
    pub(super) fn send(&self, json: &[u8], key: u64, may_be_lost: bool) -> bool {
        let Reply::Stream(stream) = &self.reply else { return false };
        stream.send(Body::Owned(json.to_vec()), key, may_be_lost, Flush::Now).is_ok()
    }

    /// Whether messages can be sent on that way.
    pub(super) fn is_stream(&self) -> bool {
        matches!(&self.reply, Reply::Stream(stream) if stream.reads_events())
    }

    /// Whether its answer would go there.
    pub(crate) fn is_over(&self, stream: &Arc<RequestStream>) -> bool {
        matches!(&self.reply, Reply::Stream(own) if Arc::ptr_eq(own, stream))
    }
}
