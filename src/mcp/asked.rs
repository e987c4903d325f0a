//! Requests of the server to a client, and their answers (2024-11-05 to 2025-11-25; later revisions have none).

use super::call::Call;
use super::client::{Client, Legacy, Link};
use super::texts;
use crate::engine::outbox::{Body, Flush};
use crate::engine::{pool, reading};
use crate::protocol::encode;
use crate::protocol::envelope::Response;
use crate::protocol::id::RequestId;
use crate::protocol::json;
use crate::protocol::notify;
use crate::service::SendError;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What a client has answered.
pub(crate) type Outcome = Result<Box<RawValue>, RequestError>;

/// The questions to one client that are not answered yet.
#[derive(Default)]
pub(crate) struct Asked {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    waiting: HashMap<u64, Waiting>,
    /// The client has gone.
    closed: bool,
}

struct Waiting {
    answer: Sender<Outcome>,
    /// What the handler calls the question: it is not sent, and a client in this process looks it up.
    key: Option<Box<str>>,
}

impl Asked {
    /// Takes a number for a question, and the place where its answer will come.
    fn open(&self, key: Option<&str>, most: usize) -> Result<(u64, Receiver<Outcome>), RequestError> {
        let (sender, receiver) = bounded(1);
        let mut state = self.state.lock();
        if state.closed {
            return Err(RequestError::Disconnected);
        }
        if state.waiting.len() >= most {
            return Err(RequestError::Busy);
        }
        state.last += 1;
        let number = state.last;
        state.waiting.insert(number, Waiting { answer: sender, key: key.map(Box::from) });
        Ok((number, receiver))
    }

    /// The key of a question that waits for its answer, if it has one.
    pub(crate) fn key_of(&self, number: u64) -> Option<Box<str>> {
        self.state.lock().waiting.get(&number)?.key.clone()
    }

    fn forget(&self, number: u64) -> bool {
        self.state.lock().waiting.remove(&number).is_some()
    }

    /// An answer has come. False if nobody waits for one of this id.
    pub(crate) fn answered(&self, response: &Response<'_>) -> bool {
        self.settle(&response.id, || match response.outcome {
            _ if response.repeats => Err(RequestError::Result("a member is there twice".into())),
            Ok(result) if json::is_object(result) => Ok(result.to_owned()),
            Ok(_) => Err(RequestError::Result("the result is no JSON object".into())),
            Err(error) => Err(RequestError::of_wire(error)),
        })
    }

    /// What should be an answer has come, and cannot be used. Likewise.
    pub(crate) fn refused(&self, id: &RequestId, why: &str) -> bool {
        self.settle(id, || Err(RequestError::Result(why.to_owned())))
    }

    fn settle(&self, id: &RequestId, outcome: impl FnOnce() -> Outcome) -> bool {
        let Some(waiting) = id.as_u64().and_then(|number| self.state.lock().waiting.remove(&number)) else {
            return false;
        };
        // Who has stopped waiting has taken its place away as well, or is about to.
        let _ = waiting.answer.send(outcome());
        true
    }

    /// The client has gone: nobody will answer.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        for question in waiting.into_values() {
            let _ = question.answer.send(Err(RequestError::Disconnected));
        }
    }
}

/// A question that is out. When it is dropped without an answer, the client is told that nobody waits any more.
pub(crate) struct Question {
    link: Arc<Link>,
    /// The request that it belongs to, if it does.
    call: Option<Arc<Call>>,
    number: u64,
    pub(crate) answer: Receiver<Outcome>,
}

impl Question {
    /// Sends a question; `send` says by which way, and `call` which request of the client it belongs to.
    pub(crate) fn ask(
        link: &Arc<Link>,
        call: Option<&Arc<Call>>,
        key: Option<&str>,
        method: &str,
        params: &RawValue,
        send: impl FnOnce(Vec<u8>) -> Result<(), SendError>,
    ) -> Result<Self, RequestError> {
        let (number, answer) = link.asked.open(key, link.core.limits.questions_per_client)?;
        let question = Self { link: Arc::clone(link), call: call.cloned(), number, answer };
        let mut message = Vec::with_capacity(params.get().len() + method.len() + 64);
        encode::write_request(&mut message, &RequestId::from(number), method, Some(params));
        match send(message) {
            Ok(()) => Ok(question),
            Err(error) => {
                link.asked.forget(number);
                Err(error.into())
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.link.asked.forget(self.number) {
            let id = RequestId::from(self.number);
            let write = |out: &mut Vec<u8>| {
                notify::write_cancelled(out, &id, Some("nobody waits for the answer any more"));
            };
            // The way that the question went, unless that request has its answer: nothing may follow it.
            if !self.call.as_ref().is_some_and(|call| call.notify(0, write)) {
                let mut json = Vec::with_capacity(96);
                write(&mut json);
                let _ = self.link.send_notice(Body::Owned(json), 0, Flush::Now);
            }
        }
    }
}

impl Client {
    /// Sends the client a JSON-RPC request and waits for its answer: for at most `patience`, then the client is told that the
    /// request is cancelled. The params have to become a JSON object. For questions within a handler there are better ways.
    ///
    /// Only for clients with a session (2024-11-05 to 2025-11-25). A server must not ask for what a client has not declared
    /// ([`capabilities`](Self::capabilities)).
    ///
    /// Blocks the calling thread. A handler that waits here does not count as a worker, but its deadline goes on; the number of those is
    /// bounded by [`Limits::parked_calls`](crate::Limits::parked_calls).
    ///
    /// # Errors
    /// [`RequestError`]; at once on a thread that reads a connection (a hook, a quick tool, a layer around a method of the protocol), where the
    /// answer could never arrive.
    pub fn request<R: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
        patience: Duration,
    ) -> Result<R, RequestError> {
        if self.0.legacy().is_none_or(|legacy| !Legacy::is_initialized(legacy)) {
            return Err(RequestError::NoSession);
        }
        if reading::is_reader() {
            return Err(RequestError::WouldBlock);
        }
        let params = json::to_raw(params).map_err(|error| RequestError::Params(error.to_string()))?;
        if !json::is_object(&params) {
            return Err(RequestError::Params("params have to be a JSON object".into()));
        }
        let params = texts::notice_json(&self.0.core, &params);
        let _parked = pool::park().map_err(|_| RequestError::Busy)?;
        let send = |message| self.0.send(Body::Owned(message), 0, Flush::Now).map_err(SendError::from);
        let question = Question::ask(&self.0, None, None, method, &params, send)?;
        let result = match question.answer.recv_timeout(patience) {
            Ok(outcome) => outcome?,
            Err(RecvTimeoutError::Timeout) => return Err(RequestError::TimedOut),
            Err(RecvTimeoutError::Disconnected) => return Err(RequestError::Disconnected),
        };
        serde_json::from_str(result.get()).map_err(|error| RequestError::Result(error.to_string()))
    }
}

/// Why a request to a client has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The client has no initialized session; clients of 2026-07-28 are never sent requests.
    #[error("the client has no session in which it could be sent requests")]
    NoSession,
    /// On this thread the answer could never arrive.
    #[error("this thread reads a connection and must not wait for an answer; ask from a handler on the pool")]
    WouldBlock,
    /// The parameters cannot be written as a JSON object.
    #[error("the request's parameters cannot be sent: {0}")]
    Params(String),
    /// Too many questions wait for an answer.
    #[error("too many requests to clients wait for their answers")]
    Busy,
    /// The connection does not take it.
    #[error(transparent)]
    Send(#[from] SendError),
    /// No answer came in time.
    #[error("the client did not answer in time")]
    TimedOut,
    /// The client has gone.
    #[error("the client has gone")]
    Disconnected,
    /// The client answered with a JSON-RPC error. The message is the client's.
    #[error("the client answered with error {code}: {message}")]
    Rpc {
        /// Its code, say -32601 for a method it does not know.
        code: i64,
        /// Its message, cut to 1,024 characters.
        message: String,
        /// Its `data`, if there was any.
        data: Option<Value>,
    },
    /// The result is not what was expected.
    #[error("the client's result cannot be read: {0}")]
    Result(String),
}

impl RequestError {
    fn of_wire(error: &RawValue) -> Self {
        #[derive(Deserialize)]
        struct Wire {
            code: i64,
            #[serde(default)]
            message: String,
            data: Option<Value>,
        }
        match serde_json::from_str::<Wire>(error.get()) {
            Ok(Wire { code, message, data }) => {
                Self::Rpc { code, message: crate::protocol::show::cut(&message, 1_024).to_owned(), data }
            }
            Err(error) => Self::Result(format!("its error is no JSON-RPC error: {error}")),
        }
    }
}
