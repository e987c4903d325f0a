//! What a task's client is asked: in 2026-07-28 questions that the task carries until they are answered, and then a run of the handler from its
//! top; in 2025-11-25 requests, while the handler waits.

use super::Charge;
use super::stored::{End, State, StoredTask};
use super::wait::Wait;
use crate::engine::connection::key;
use crate::engine::outbox::{Body, Flush, Refused};
use crate::engine::pool::Work;
use crate::mcp::Mcp;
use crate::mcp::ask::flow::Flow;
use crate::mcp::ask::question::Rendered;
use crate::mcp::bounds::Permit;
use crate::protocol::error::RpcError;
use crate::protocol::json;
use crate::protocol::tasks::TaskStatus;
use serde_json::value::RawValue;
use std::sync::{Arc, Weak};

/// What an answer holds besides its text.
const ANSWER: usize = size_of::<Answered>() + 32;

/// A question, from when it is asked until all of its round are answered.
pub(super) struct Open {
    /// What the client knows it by.
    pub(super) name: Box<str>,
    /// What the handler calls it.
    pub(super) key: String,
    pub(super) question: Rendered,
    pub(super) answer: Option<Answered>,
}

/// An answer that has counted, with the memory that it holds: who takes it back gives that back.
pub(super) struct Answered {
    answer: Box<RawValue>,
    charge: Charge,
}

impl StoredTask {
    /// A run of its handler begins, with all that is known so far and its place among those of its tool. `None` if the task has ended.
    pub(crate) fn begin_run(&self) -> Option<(Flow, Option<Permit>)> {
        // For the moment in which the client's answer is queued.
        drop(self.born.lock());
        let mut state = self.state.lock();
        if state.status.is_terminal() {
            return None;
        }
        let mut flow = state.flow.take().unwrap_or_default();
        for Open { key, question, answer, .. } in std::mem::take(&mut state.open) {
            if let Some(Answered { answer, charge }) = answer {
                state.held.push(charge);
                flow.record(key, &question, answer);
            }
        }
        Some((flow.of_task(), self.permit.lock().take()))
    }

    /// A run has ended with questions (2026-07-28). When they are answered, there is another.
    pub(crate) fn suspend(&self, flow: Flow, questions: Vec<(String, Rendered)>) {
        {
            let mut state = self.state.lock();
            if state.status.is_terminal() {
                return;
            }
            // What it works with now takes the place of what it worked with.
            state.held.clear();
            let asked = questions.iter().map(|(key, question)| 2 * key.len() + question.params.get().len() + 128);
            let recipe = state.recipe.as_ref().map_or(0, |recipe| recipe.bytes());
            if let Ok(charge) = self.purse.charge(recipe + flow.bytes() + asked.sum::<usize>()) {
                state.held.push(charge);
                state.flow = Some(flow);
                state.run = Weak::new();
                for (key, question) in questions {
                    let name = state.name_for(&key);
                    state.open.push(Open { name, key, question, answer: None });
                }
                return self.enter(&mut state, TaskStatus::InputRequired);
            }
        }
        self.settle(End::no_memory());
    }

    /// Its client has answered some of its questions (2026-07-28). What is no answer to an open question is ignored.
    ///
    /// # Errors
    /// An answer does not fit its question (-32602), or the handler cannot be run now (busy): then none of them has counted.
    pub(super) fn answer(self: &Arc<Self>, mcp: &Arc<Mcp>, responses: &RawValue) -> Result<(), RpcError> {
        let mut state = self.state.lock();
        let (mut given, mut wrong, mut full) = (Vec::new(), None, None);
        let whole = json::for_each_member(responses.get(), |name, answer| {
            if let Some(open) = state.open.iter_mut().find(|open| *open.name == *name && open.answer.is_none()) {
                match open.question.fits(answer) {
                    // What is refused in any case is not copied any more.
                    Ok(()) if wrong.is_some() || full.is_some() => {}
                    Ok(()) => match self.purse.charge(answer.get().len() + ANSWER) {
                        Ok(charge) => {
                            open.answer = Some(Answered { answer: answer.to_owned(), charge });
                            given.push(open.name.clone());
                        }
                        Err(busy) => full = Some(busy),
                    },
                    Err(what) => wrong = wrong.take().or(Some((open.name.clone(), what))),
                }
            }
        });
        let refused = match wrong {
            _ if !whole => Some(RpcError::invalid_params("params.inputResponses must be an object")),
            Some((name, what)) => Some(RpcError::invalid_params(format!(
                "params.inputResponses: the answer to `{}` does not fit: {what}",
                name.escape_debug()
            ))),
            None => full.map(|busy| mcp.tasks.busy(busy)),
        };
        if let Some(refused) = refused {
            state.take_back(&given);
            return Err(refused);
        }
        if given.is_empty() {
            return Ok(());
        }
        let Some(recipe) = state.recipe.clone().filter(|_| state.open.iter().all(|open| open.answer.is_some())) else {
            let status = state.status;
            self.enter(&mut state, status);
            return Ok(());
        };
        match self.turn.as_ref().map(|turn| turn.enter(&mcp.core, recipe.party())).transpose() {
            Ok(permit) => *self.permit.lock() = permit,
            Err(busy) => {
                state.take_back(&given);
                return Err(busy);
            }
        }
        let run = recipe.run(mcp, self);
        state.run = Arc::downgrade(&run);
        self.enter(&mut state, TaskStatus::Working);
        drop(state);
        let bytes = run.cost();
        mcp.tasks.spawn(&self.account, run as Arc<dyn Work>, bytes).map_err(|busy| {
            let mut state = self.state.lock();
            drop(self.permit.lock().take());
            state.take_back(&given);
            state.run = Weak::new();
            if !state.status.is_terminal() {
                self.enter(&mut state, TaskStatus::InputRequired);
            }
            drop(state);
            mcp.tasks.busy(busy)
        })
    }

    /// The handler waits for its client (2025-11-25), until the value is dropped.
    pub(crate) fn wait_for_client(&self) -> Waiting<'_> {
        let mut state = self.state.lock();
        if state.status == TaskStatus::Working {
            self.enter(&mut state, TaskStatus::InputRequired);
        }
        Waiting(self)
    }

    /// Sends a message that belongs to the task, and may be lost (2025-11-25).
    pub(crate) fn send_notice(&self, json: Vec<u8>, key: u64) {
        let Some(link) = self.session.upgrade() else { return };
        let state = self.state.lock();
        if !state.waiting().any(|wait| wait.send(&json, key, true)) && link.is_listening() {
            let _ = link.send_notice(Body::Owned(json), key, Flush::Now);
        }
    }

    /// Asks its client something (2025-11-25): on the stream of somebody who waits for the result, or where there is room for what belongs to
    /// no request. Who waits for the result later gets it then.
    pub(crate) fn send_request(&self, json: Vec<u8>) -> Result<(), Refused> {
        let link = self.session.upgrade().ok_or(Refused::Closed)?;
        let mut state = self.state.lock();
        if state.waiting().any(|wait| wait.send(&json, 0, false)) {
            return Ok(());
        }
        state.sent += 1;
        // Each has its own: they must not replace each other.
        let key = key::pair(self.key, state.sent);
        state.unanswered.push(key);
        link.send(Body::Owned(json), key, Flush::Now)
    }

    /// Somebody waits for the result. Told at once if it is there.
    pub(super) fn wait(&self, wait: &Arc<Wait>) {
        let outcome = {
            let mut state = self.state.lock();
            match &state.outcome {
                Some(outcome) => Arc::clone(outcome),
                None => {
                    if let Some(link) = self.session.upgrade().filter(|_| wait.is_stream()) {
                        // A client that has not opened its stream finds here what it is asked.
                        state.unanswered.retain(|key| {
                            let Some(question) = link.take_back(*key) else { return false };
                            let sent = wait.send(question.bytes(), 0, false);
                            !sent && link.send(question, *key, Flush::Later).is_ok()
                        });
                    }
                    return state.waits.push(Arc::clone(wait));
                }
            }
        };
        wait.answer(&outcome);
    }
}

impl State {
    /// A name for a question that no other has had in this task.
    fn name_for(&mut self, key: &str) -> Box<str> {
        let mut name: Box<str> = key.into();
        let mut number = 1_u64;
        while !self.issued.insert(name.clone()) {
            number += 1;
            name = format!("{key}#{number}").into();
        }
        name
    }

    /// Those who wait for the result; the newest first, who is there for certain.
    fn waiting(&self) -> impl Iterator<Item = &Arc<Wait>> {
        self.waits.iter().rev()
    }

    fn take_back(&mut self, given: &[Box<str>]) {
        for open in self.open.iter_mut().filter(|open| given.contains(&open.name)) {
            open.answer = None;
        }
    }
}

/// A handler that waits for its client.
pub(crate) struct Waiting<'t>(&'t StoredTask);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.unanswered.clear();
        if state.status == TaskStatus::InputRequired {
            self.0.enter(&mut state, TaskStatus::Working);
        }
    }
}
