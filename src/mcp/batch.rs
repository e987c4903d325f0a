//! The answers to a JSON-RPC batch (2025-03-26 only): collected, and sent as one array when the last is there.

use super::client::Link;
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
}

impl Reply {
    /// Delivers an answer, or the fact that there will be none.
    pub(crate) fn deliver(&self, link: &Link, answer: Option<Vec<u8>>, flush: Flush) {
        match (self, answer) {
            (Self::Direct, Some(json)) => link.send(json, flush),
            (Self::Direct, None) => {}
            (Self::Batch(batch), answer) => batch.add(link, answer, flush),
        }
    }
}

pub(crate) struct Batch(Mutex<State>);

struct State {
    answers: Vec<Vec<u8>>,
    missing: usize,
}

impl Batch {
    /// A batch whose entries are still being looked at: that counts as one missing answer.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { answers: Vec::new(), missing: 1 })))
    }

    /// One more answer will come.
    pub(crate) fn expect(&self) {
        self.0.lock().missing += 1;
    }

    /// An answer has come, or is known not to come.
    pub(crate) fn add(&self, link: &Link, answer: Option<Vec<u8>>, flush: Flush) {
        let answers = {
            let mut state = self.0.lock();
            state.answers.extend(answer);
            state.missing = state.missing.saturating_sub(1);
            if state.missing > 0 {
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
