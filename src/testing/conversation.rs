//! One client's messages: requests with what their revision asks for, questions on the way, and answers.

use super::{ClientError, How};
use crate::content::MetaMap;
use crate::handle::Handle;
use crate::protocol::revision::Revision;
use crate::running::Running;
use crate::server::Server;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Pieces of at most 16 KiB that wait for a client that does not look.
const PIECES: usize = 1_024;
/// Notifications that wait to be taken.
const MOST_NOTIFICATIONS: usize = 10_000;
/// Most rounds of questions in one request; a server of ours stops at ten.
const MOST_ROUNDS: usize = 100;

/// The open conversation. What the fields are dropped in is their order: the end of the server's input comes before its stop.
pub(super) struct Conversation {
    to_server: Sender<Vec<u8>>,
    from_server: Receiver<Vec<u8>>,
    revision: Revision,
    capabilities: Value,
    /// What was read behind the last message.
    rest: Vec<u8>,
    notifications: VecDeque<Value>,
    last_id: u64,
    running: Running,
}

/// Where an answer is waited for until when.
pub(super) struct Wait {
    until: Instant,
    patience: Duration,
}

impl Conversation {
    pub(super) fn open(server: Server, how: &How) -> Result<Self, ClientError> {
        let (to_server, server_reads) = bounded(PIECES);
        let (server_writes, from_server) = bounded(PIECES);
        let read = PieceReader { pieces: server_reads, current: io::Cursor::new(Vec::new()) };
        let running = server.unbound()?.pipe(read, PieceWriter(server_writes)).start()?;
        let mut conversation = Self {
            to_server,
            from_server,
            revision: how.revision,
            capabilities: how.declared(),
            rest: Vec::new(),
            notifications: VecDeque::new(),
            last_id: 0,
            running,
        };
        if !conversation.revision.is_modern() {
            conversation.initialize(how)?;
        }
        Ok(conversation)
    }

    fn initialize(&mut self, how: &How) -> Result<(), ClientError> {
        let mut hello = MetaMap::new();
        hello.insert("protocolVersion".into(), self.revision.as_str().into());
        hello.insert("capabilities".into(), self.capabilities.clone());
        hello.insert("clientInfo".into(), client_info());
        let result = self.request(how, "initialize", hello)?;
        if result.get("protocolVersion").is_none_or(|version| version != self.revision.as_str()) {
            return Err(ClientError::Unexpected(format!("another revision than {}: {result}", self.revision)));
        }
        self.notify(how, "notifications/initialized", MetaMap::new())
    }

    pub(super) fn handle(&self) -> Handle {
        self.running.handle()
    }

    /// Sends a request, answers what is asked about it, and returns its result.
    pub(super) fn request(&mut self, how: &How, method: &str, mut params: MetaMap) -> Result<Value, ClientError> {
        let wait = Wait::of(how);
        for _ in 0..MOST_ROUNDS {
            let id = self.send_request(&wait, method, params.clone())?;
            let mut result = self.answer_to(how, &wait, id)?;
            let asks = result.get("resultType").is_some_and(|kind| kind == "input_required");
            if !asks || !self.revision.is_modern() {
                return Ok(result);
            }
            // The same again, with answers to the latest questions alone (2026-07-28, basic/patterns/mrtr).
            params.remove("inputResponses");
            params.remove("requestState");
            if let Some(Value::Object(questions)) = result.get("inputRequests") {
                let mut responses = MetaMap::new();
                for (key, question) in questions {
                    responses.insert(key.clone(), answer(how, Some(key), question)?);
                }
                params.insert("inputResponses".into(), responses.into());
            }
            if let Some(state) = result.get_mut("requestState") {
                params.insert("requestState".into(), state.take());
            }
        }
        Err(ClientError::Unexpected(format!("{method} asks again and again")))
    }

    pub(super) fn notify(&mut self, how: &How, method: &str, params: MetaMap) -> Result<(), ClientError> {
        self.send(&Wait::of(how), &json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    }

    pub(super) fn listen(&mut self, how: &How, filter: MetaMap) -> Result<(), ClientError> {
        if !self.revision.is_modern() {
            let Some(Value::Array(uris)) = filter.get("resourceSubscriptions") else { return Ok(()) };
            for uri in uris {
                let mut params = MetaMap::new();
                params.insert("uri".into(), uri.clone());
                self.request(how, "resources/subscribe", params)?;
            }
            return Ok(());
        }
        let wait = Wait::of(how);
        let mut params = MetaMap::new();
        params.insert("notifications".into(), filter.into());
        let id = self.send_request(&wait, "subscriptions/listen", params)?;
        loop {
            let message = self.next(&wait)?;
            if message.get("method").is_some_and(|method| method == "notifications/subscriptions/acknowledged")
                && message.pointer("/params/_meta/io.modelcontextprotocol~1subscriptionId") == Some(&json!(id))
            {
                return Ok(());
            }
            if let Some(outcome) = self.sort(message, id) {
                // Its result is its end.
                return outcome.map(drop);
            }
        }
    }

    pub(super) fn notifications(&mut self, how: &How) -> Result<Vec<Value>, ClientError> {
        // What was sent before comes before the answer.
        self.request(how, if self.revision.is_modern() { "server/discover" } else { "ping" }, MetaMap::new())?;
        Ok(std::mem::take(&mut self.notifications).into())
    }

    pub(super) fn send_request(&mut self, wait: &Wait, method: &str, mut params: MetaMap) -> Result<u64, ClientError> {
        self.last_id += 1;
        if method != "initialize"
            && let Value::Object(meta) = params.entry("_meta").or_insert_with(|| json!({}))
        {
            meta.entry("progressToken").or_insert(self.last_id.into());
            if self.revision.is_modern() {
                let name = |name: &str| format!("io.modelcontextprotocol/{name}");
                meta.entry(name("protocolVersion")).or_insert(self.revision.as_str().into());
                meta.entry(name("clientCapabilities")).or_insert_with(|| self.capabilities.clone());
                meta.entry(name("clientInfo")).or_insert_with(client_info);
                // What a session has from the beginning.
                meta.entry(name("logLevel")).or_insert("info".into());
            }
        }
        self.send(wait, &json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params }))?;
        Ok(self.last_id)
    }

    /// Waits for the answer to a request, and answers the server's.
    fn answer_to(&mut self, how: &How, wait: &Wait, id: u64) -> Result<Value, ClientError> {
        let mut unanswered = None;
        loop {
            let message = match self.next(wait) {
                Err(error @ ClientError::TimedOut(_)) => {
                    let cancelled = json!({ "requestId": id, "reason": "no answer came in time" });
                    let notice = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled });
                    // At once or not at all: there is no patience left.
                    let _ = self.to_server.try_send(line(&notice));
                    return Err(error);
                }
                message => message?,
            };
            let (Some(asked), true) = (message.get("id"), message.get("method").is_some()) else {
                match self.sort(message, id) {
                    // The handler was told that there is no answer; the test is told why.
                    Some(outcome) => return unanswered.map_or(outcome, Err),
                    None => continue,
                }
            };
            let reply = if message.get("method").is_some_and(|method| method == "ping") {
                json!({ "jsonrpc": "2.0", "id": asked, "result": {} })
            } else {
                match answer(how, self.key_of(asked).as_deref(), &message) {
                    Ok(result) => json!({ "jsonrpc": "2.0", "id": asked, "result": result }),
                    Err(error) => {
                        let reply = json!({ "code": -32601, "message": error.to_string() });
                        unanswered.get_or_insert(error);
                        json!({ "jsonrpc": "2.0", "id": asked, "error": reply })
                    }
                }
            };
            self.send(wait, &reply)?;
        }
    }

    /// What the handler calls a question that has come as a request, which does not say so.
    fn key_of(&self, id: &Value) -> Option<Box<str>> {
        self.handle().clients().first()?.0.asked.key_of(id.as_u64()?)
    }

    /// The next state of a task that a subscription tells of.
    pub(super) fn change_of(&mut self, wait: &Wait, task: &Value, subscription: u64) -> Result<Value, ClientError> {
        loop {
            let told = self.notifications.iter().position(|notice| {
                notice.get("method").is_some_and(|method| method == "notifications/tasks")
                    && notice.pointer("/params/taskId") == Some(task)
            });
            if let Some(params) = told.and_then(|at| self.notifications.remove(at)?.get_mut("params").map(Value::take))
            {
                return Ok(params);
            }
            let message = self.next(wait)?;
            if let Some(outcome) = self.sort(message, subscription) {
                // Its result is its end.
                return outcome.and(Err(ClientError::Closed));
            }
        }
    }

    /// Keeps a notification; returns the outcome of the request with this id.
    fn sort(&mut self, mut message: Value, id: u64) -> Option<Result<Value, ClientError>> {
        if message.get("method").is_some() {
            if self.notifications.len() == MOST_NOTIFICATIONS {
                self.notifications.pop_front();
            }
            self.notifications.push_back(message);
            return None;
        }
        // An error without id is about what was sent last: it could not even be read.
        let about = message.get("id").and_then(Value::as_u64);
        if let Some(error) = message.get_mut("error").filter(|_| about.is_none_or(|about| about == id)) {
            return Some(Err(rpc(error)));
        }
        // Others belong to requests that were given up, or to a subscription that has ended.
        (about == Some(id)).then(|| match message.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(ClientError::Unexpected(message.to_string())),
        })
    }

    fn send(&self, wait: &Wait, message: &Value) -> Result<(), ClientError> {
        use crossbeam_channel::SendTimeoutError;
        self.to_server.send_deadline(line(message), wait.until).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => ClientError::TimedOut(wait.patience),
            SendTimeoutError::Disconnected(_) => ClientError::Closed,
        })
    }

    /// The next message.
    fn next(&mut self, wait: &Wait) -> Result<Value, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let message: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&message)
                    .map_err(|error| ClientError::Unexpected(format!("a line that is no message: {error}")));
            }
            match self.from_server.recv_deadline(wait.until) {
                Ok(piece) => self.rest.extend_from_slice(&piece),
                Err(RecvTimeoutError::Timeout) => return Err(ClientError::TimedOut(wait.patience)),
                Err(RecvTimeoutError::Disconnected) => return Err(ClientError::Closed),
            }
        }
    }
}

impl Wait {
    pub(super) fn of(how: &How) -> Self {
        let now = Instant::now();
        // A patience beyond what the clock can tell is one of a day.
        let until = now.checked_add(how.patience).unwrap_or(now + Duration::from_secs(86_400));
        Self { until, patience: how.patience }
    }
}

fn client_info() -> Value {
    json!({ "name": "in-memory", "version": env!("CARGO_PKG_VERSION") })
}

/// What the test says to a question, an object with `method` and `params`.
pub(super) fn answer(how: &How, key: Option<&str>, question: &Value) -> Result<Value, ClientError> {
    let method = question.get("method").and_then(Value::as_str).unwrap_or_default();
    let params = question.get("params").unwrap_or(&Value::Null);
    how.answers.result(key, method, params).ok_or_else(|| ClientError::Unanswered {
        question: key.unwrap_or(method).to_owned(),
        message: params.get("message").and_then(Value::as_str).unwrap_or(method).to_owned(),
    })
}

pub(super) fn rpc(error: &mut Value) -> ClientError {
    let Some(code) = error.get("code").and_then(Value::as_i64) else {
        return ClientError::Unexpected(format!("an error without a code: {error}"));
    };
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    ClientError::Rpc { code, message, data: error.get_mut("data").map(Value::take) }
}

fn line(message: &Value) -> Vec<u8> {
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The server's input.
struct PieceReader {
    pieces: Receiver<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.current.read(buffer)? {
                0 if !buffer.is_empty() => match self.pieces.recv() {
                    Ok(piece) => self.current = io::Cursor::new(piece),
                    // The client has gone.
                    Err(_) => return Ok(0),
                },
                count => return Ok(count),
            }
        }
    }
}

/// The server's output.
struct PieceWriter(Sender<Vec<u8>>);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.send(bytes.to_vec()) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
