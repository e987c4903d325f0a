//! The answers to a JSON-RPC batch (2025-03-26 only): collected, and sent as one array when the last is there.

use super::client::Link;
use crate::engine::budget::{Budget, Reservation};
use crate::engine::connection::Connection;
use crate::engine::outbox::Flush;
use crate::protocol::encode;
use parking_lot::Mutex;
use std::sync::Arc;

/// Where an answer goes.
#[derive(Clone)]
pub(crate) enum Reply {
    /// On its own.
    Direct,
    /// Into the array of its batch.
    Batch(Arc<Batch>),
    /// Nowhere: to a notification there is none.
    Nowhere,
}

impl Reply {
    /// Delivers an answer, or the fact that there will be none.
    pub(crate) fn deliver(&self, link: &Link, answer: Option<Vec<u8>>, flush: Flush) {
        match (self, answer) {
            (Self::Direct, Some(json)) => link.send(json, flush),
            (Self::Direct, None) | (Self::Nowhere, _) => {}
            (Self::Batch(batch), answer) => batch.add(link, answer, flush),
        }
    }
}

pub(crate) struct Batch {
    state: Mutex<State>,
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
    pub(crate) fn new(connection: &Connection) -> Arc<Self> {
        let state = State { answers: Vec::new(), missing: 1, memory: Vec::new(), bytes: 0, too_large: false };
        let (memory, most) = (Arc::clone(&connection.core.memory), connection.core.limits.outbox_bytes);
        Arc::new(Self { state: Mutex::new(state), memory, most })
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
                link.connection.close(1013, "the answers to a batch are too large", flush);
                return;
            }
            std::mem::take(&mut state.answers)
        };
        // Notifications alone are not answered at all.
        let mut json = Vec::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 2);
        if encode::write_batch(&mut json, &answers) {
            link.send(json, flush);
        }
    }
}
