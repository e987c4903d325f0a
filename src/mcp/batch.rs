//! The answers to a JSON-RPC batch (2025-03-26 only): collected, and sent as one array when the last is there.

use super::client::Link;
use super::http::streams::RequestStream;
use super::tasks::stored::StoredTask;
use crate::engine::Core;
use crate::engine::budget::{Budget, Reservation};
use crate::engine::outbox::{Body, Flush, Refused};
use crate::http::event::Event;
use crate::http::head::Head;
use crate::protocol::encode;
use crate::protocol::error::RpcError;
use crate::transport::http::exchange::Exchange;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Where an answer goes.
#[derive(Clone)]
pub(crate) enum Reply {
    /// On its own.
    Direct,
    /// Into the array of its batch.
    Batch(Arc<Batch>),
    /// Into the answer to an HTTP request that stands alone.
    Exchange(Arc<Exchange>),
    /// Into the answer to one of a session, which may outlive its connection.
    Stream(Arc<RequestStream>),
    /// Into a task, for its client to fetch.
    Task(Arc<StoredTask>),
    /// Nowhere: to a notification there is none.
    Nowhere,
}

impl Reply {
    /// Delivers an answer with its HTTP status, or the fact that there will be none.
    pub(crate) fn deliver(&self, link: &Link, answer: Option<Vec<u8>>, status: u16, flush: Flush) {
        match (self, answer) {
            // A connection that takes no more is being closed; who waits for this answer learns it from that.
            (Self::Direct, Some(json)) => drop(link.send(Body::Owned(json), 0, flush)),
            // A task is told what it has come to, not what would be sent.
            (Self::Direct, None) | (Self::Nowhere | Self::Task(_), _) => {}
            (Self::Batch(batch), answer) => batch.add(link, answer, flush),
            (Self::Exchange(exchange), Some(json)) => exchange.answer(status, json, at_once(flush)),
            // Cancelled: there is nothing to wait for.
            (Self::Exchange(exchange), None) => exchange.finish(202, at_once(flush)),
            (Self::Stream(stream), answer) => stream.answer(status, answer, flush),
        }
    }

    /// What an error says of when to come back, for the head of an HTTP answer.
    pub(crate) fn come_back_after(&self, error: &RpcError) {
        match (self, error.retry_after_s()) {
            (Self::Exchange(exchange), Some(seconds)) => exchange.come_back_after(seconds),
            (Self::Stream(stream), Some(seconds)) => stream.come_back_after(seconds),
            _ => {}
        }
    }

    /// Sends a notice that belongs to the request and may be lost.
    pub(crate) fn notice(&self, link: &Link, json: Vec<u8>, key: u64) {
        let _ = match self {
            Self::Exchange(exchange) => exchange.event(Event::of(&json), key, true, Flush::Now),
            Self::Stream(stream) => stream.send(Body::Owned(json), key, true, Flush::Now),
            Self::Batch(batch) => return batch.reply.notice(link, json, key),
            Self::Task(task) => return task.send_notice(json, key),
            Self::Direct | Self::Nowhere => link.send_notice(Body::Owned(json), key, Flush::Now),
        };
    }

    /// Sends what belongs to the request and must not be lost.
    pub(crate) fn send(&self, link: &Link, json: Vec<u8>, key: u64, flush: Flush) -> Result<(), Refused> {
        match self {
            Self::Exchange(exchange) => exchange.event(Event::of(&json), key, false, flush),
            Self::Stream(stream) => stream.send(Body::Owned(json), key, false, flush),
            Self::Batch(batch) => batch.reply.send(link, json, key, flush),
            Self::Task(task) => task.send_request(json),
            Self::Direct | Self::Nowhere => link.send(Body::Owned(json), key, flush),
        }
    }

    /// The head of the HTTP request, if it came in one of its own.
    pub(crate) fn head(&self) -> Option<&Head> {
        match self {
            Self::Exchange(exchange) => Some(exchange.head()),
            Self::Stream(stream) => Some(stream.head()),
            Self::Direct | Self::Batch(_) | Self::Task(_) | Self::Nowhere => None,
        }
    }

    /// What the answer will say if it is that these scopes are missing, where there is a place for that.
    pub(crate) fn challenge(&self, scopes: &[String]) {
        match self {
            Self::Exchange(exchange) => exchange.challenge(scopes),
            Self::Stream(stream) => stream.challenge(scopes),
            // Others may have what they asked for.
            Self::Batch(_) | Self::Direct | Self::Task(_) | Self::Nowhere => {}
        }
    }

    /// Lets go of the connection that the request came over, where the client comes back for its answer. False elsewhere.
    pub(crate) fn release(&self, come_back_after: Duration) -> bool {
        match self {
            Self::Stream(stream) => stream.release(come_back_after),
            Self::Direct | Self::Batch(_) | Self::Exchange(_) | Self::Task(_) | Self::Nowhere => false,
        }
    }
}

/// An answer may come from a thread that belongs to another connection: nobody else would write it.
fn at_once(flush: Flush) -> Flush {
    if flush == Flush::Later { Flush::Now } else { flush }
}

pub(crate) struct Batch {
    state: Mutex<State>,
    /// Where the array goes.
    reply: Reply,
    memory: Arc<Budget>,
    /// Bytes of all answers together.
    most: usize,
}

struct State {
    answers: Vec<Vec<u8>>,
    missing: usize,
    /// What the answers hold of the memory budget.
    memory: Vec<Reservation>,
    bytes: usize,
    /// Some answers had no place.
    too_large: bool,
}

impl Batch {
    /// A batch whose entries are still being looked at: that counts as one missing answer.
    pub(crate) fn new(core: &Core, reply: Reply) -> Arc<Self> {
        let state = State { answers: Vec::new(), missing: 1, memory: Vec::new(), bytes: 0, too_large: false };
        let (memory, most) = (Arc::clone(&core.memory), core.limits.outbox_bytes);
        Arc::new(Self { state: Mutex::new(state), reply, memory, most })
    }

    /// One more answer will come.
    pub(crate) fn expect(&self) {
        self.state.lock().missing += 1;
    }

    /// An answer has come, or is known not to come.
    pub(crate) fn add(&self, link: &Link, answer: Option<Vec<u8>>, flush: Flush) {
        let answers = {
            let mut state = self.state.lock();
            if let Some(answer) = answer {
                // Twice: the answers, and the array that is made of them.
                let cost = answer.capacity() * 2;
                let fits = state.bytes.saturating_add(answer.len()) <= self.most;
                match self.memory.reserve(cost).filter(|_| fits) {
                    Some(memory) => {
                        state.bytes += answer.len();
                        state.memory.push(memory);
                        state.answers.push(answer);
                    }
                    None => state.too_large = true,
                }
            }
            state.missing = state.missing.saturating_sub(1);
            if state.missing > 0 {
                return;
            }
            if state.too_large {
                // Half of a batch would leave its sender waiting for the rest.
                drop(state);
                link.close(1013, "the answers to a batch are too large", flush);
                return self.reply.deliver(link, None, 202, flush);
            }
            std::mem::take(&mut state.answers)
        };
        // Notifications alone are not answered at all.
        let mut json = Vec::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 2);
        let any = encode::write_batch(&mut json, &answers);
        self.reply.deliver(link, any.then_some(json), 200, flush);
    }
}
