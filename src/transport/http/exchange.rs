//! The answer to one HTTP request: as JSON, or as a stream of events from the first one on.

use crate::audit::Party;
use crate::engine::connection::{Connection, key};
use crate::engine::outbox::{Flush, Frame, Refused};
use crate::guard::address::ClientAddr;
use crate::guard::challenge::Challenge;
use crate::http::event::{self, Event};
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use crate::http::response::Response;
use crate::principal::Principal;
use parking_lot::{Condvar, Mutex};
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One request's way back to its client. Anybody may use it from any thread; nothing blocks. Who is not on the connection's own thread must
/// not leave what it sends for [later](Flush::Later): nobody else would write it.
pub(crate) struct Exchange {
    connection: Arc<Connection>,
    head: Head,
    /// Who asks: behind a proxy that may be somebody else for each request of a connection.
    address: ClientAddr,
    accepts: Accepts,
    /// What is said of scopes that are missing, and once it is known: of which.
    challenge: Challenge,
    missing: OnceLock<String>,
    /// Headers of every answer: CORS.
    headers: Vec<(&'static str, String)>,
    /// What the last head has said of it.
    keep_alive: AtomicBool,
    state: Mutex<State>,
    over: Condvar,
    /// Seconds for the header `Retry-After`, if the answer has one.
    retry_after: AtomicU64,
    /// Dropped when the exchange is over.
    held: Mutex<Vec<Box<dyn Any + Send>>>,
}

/// What the client can read (RFC 9110, 12.5.1, as far as it matters here: weights are not looked at).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub(crate) json: bool,
    pub(crate) events: bool,
}

impl Accepts {
    /// Without the header everything is accepted.
    pub(crate) fn of(head: &Head) -> Self {
        let types: Vec<&str> =
            head.list("accept").map(|entry| entry.split(';').next().unwrap_or_default().trim()).collect();
        let has = |kind: &str, group: &str| {
            types.is_empty()
                || types
                    .iter()
                    .any(|one| *one == "*/*" || one.eq_ignore_ascii_case(kind) || one.eq_ignore_ascii_case(group))
        };
        Self { json: has("application/json", "application/*"), events: has("text/event-stream", "text/*") }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is sent: status and form are open.
    Waiting,
    Streaming,
    Over,
}

impl Exchange {
    pub(crate) fn new(
        connection: Arc<Connection>,
        head: Head,
        address: ClientAddr,
        headers: Vec<(&'static str, String)>,
        challenge: Challenge,
    ) -> Arc<Self> {
        let (accepts, keep_alive) = (Accepts::of(&head), AtomicBool::new(!head.wants_close()));
        let (state, over) = (Mutex::new(State::Waiting), Condvar::new());
        let (held, retry_after) = (Mutex::new(Vec::new()), AtomicU64::new(1));
        let missing = OnceLock::new();
        Arc::new(Self {
            connection,
            head,
            address,
            accepts,
            challenge,
            missing,
            headers,
            keep_alive,
            state,
            over,
            retry_after,
            held,
        })
    }

    /// What the answer will say if its status is 403: that these scopes are missing.
    pub(crate) fn challenge(&self, scopes: &[String]) {
        let _ = self.missing.set(self.challenge.insufficient(scopes));
    }

    /// Keeps something until the exchange is over.
    pub(crate) fn hold(&self, what: impl Any + Send) {
        self.held.lock().push(Box::new(what));
        if self.is_over() {
            self.let_go();
        }
    }

    fn let_go(&self) {
        drop(std::mem::take(&mut *self.held.lock()));
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn address(&self) -> ClientAddr {
        self.address
    }

    /// Who asks, for the audit log.
    pub(crate) fn party<'p>(&self, principal: Option<&'p Principal>) -> Party<'p> {
        self.connection.party_of(principal, self.address)
    }

    /// What an answer of 429 or 503 says of when to come back, in seconds; 1 unless this was called.
    pub(crate) fn come_back_after(&self, seconds: u64) {
        self.retry_after.store(seconds, Ordering::Relaxed);
    }

    pub(crate) fn accepts(&self) -> Accepts {
        self.accepts
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.state.lock() == State::Over
    }

    /// Waits for the end; false if it did not come in that time. Blocks the caller.
    pub(crate) fn wait_over(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if *state != State::Over {
            self.over.wait_for(&mut state, time);
        }
        *state == State::Over
    }

    /// The answer, with that status if it can still be chosen. Nothing happens if there was one.
    pub(crate) fn answer(&self, status: u16, json: Vec<u8>, flush: Flush) {
        self.answer_with(status, json, &[], flush);
    }

    /// The same with more headers, which are lost if the stream has begun.
    pub(crate) fn answer_with(&self, status: u16, json: Vec<u8>, headers: &[(&'static str, &str)], flush: Flush) {
        let mut state = self.state.lock();
        if *state != State::Over {
            // Before the client can have seen the end.
            self.let_go();
        }
        match *state {
            State::Over => return,
            State::Waiting if self.accepts.json || status != 200 => {
                let mut response = self.response(status).json(json);
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                if let Some(missing) = self.missing.get().filter(|_| status == 403) {
                    response = response.header("WWW-Authenticate", missing);
                }
                if matches!(status, 429 | 503) {
                    // The message has it to the millisecond.
                    response = response.header("Retry-After", self.retry_after.load(Ordering::Relaxed).to_string());
                }
                self.send(response.to_bytes(), flush);
            }
            State::Waiting => {
                self.begin(headers, Flush::Later);
                self.last_event(&json, flush);
            }
            State::Streaming => self.last_event(&json, flush),
        }
        self.end(&mut state, flush);
    }

    /// An answer without a body: 202 to what needs none, or the end of a stream whose request was cancelled.
    pub(crate) fn finish(&self, status: u16, flush: Flush) {
        let mut state = self.state.lock();
        if *state != State::Over {
            // Before the client can have seen the end.
            self.let_go();
        }
        match *state {
            State::Over => return,
            State::Waiting => self.send(self.response(status).to_bytes(), flush),
            State::Streaming => self.send(event::END.to_vec(), flush),
        }
        self.end(&mut state, flush);
    }

    /// The client has left: nothing is sent any more.
    pub(crate) fn give_up(&self) {
        *self.state.lock() = State::Over;
        self.let_go();
        self.over.notify_all();
    }

    /// Ends it without its answer: with a refusal if nothing is sent yet, or else with the end of the stream.
    pub(crate) fn refuse(&self, refusal: &Refusal) {
        let mut state = self.state.lock();
        if *state != State::Over {
            self.let_go();
        }
        match *state {
            State::Over => return,
            State::Waiting => {
                self.send(refusal.clone().with(self.headers.clone()).to_response().to_bytes(), Flush::Later);
            }
            State::Streaming => self.send(event::END.to_vec(), Flush::Later),
        }
        *state = State::Over;
        self.over.notify_all();
    }

    /// Begins the stream, if the client can read one and nothing is sent yet.
    pub(crate) fn stream(&self, headers: &[(&'static str, &str)], flush: Flush) -> bool {
        let mut state = self.state.lock();
        if *state == State::Waiting && self.accepts.events {
            self.begin(headers, flush);
            *state = State::Streaming;
        }
        *state == State::Streaming
    }

    /// Sends an event ahead of the answer. Those with the same key other than 0 replace each other while they wait; those with an id keep their
    /// order all the same. An event that may be lost is dropped when the queue is full; any other closes the connection then.
    ///
    /// # Errors
    /// The client cannot read events, or the exchange is over.
    pub(crate) fn event(&self, event: Event<'_>, key: u64, may_be_lost: bool, flush: Flush) -> Result<(), Refused> {
        let mut state = self.state.lock();
        match *state {
            State::Waiting if self.accepts.events => {
                self.begin(&[], Flush::Later);
                *state = State::Streaming;
            }
            State::Streaming => {}
            State::Waiting | State::Over => return Err(Refused::Closed),
        }
        let frame = Frame::raw(event.to_chunk(false));
        let frame = if event.id.is_some() { frame.keyed_behind(key) } else { frame.keyed(key) };
        match may_be_lost {
            true => self.connection.send_notice(frame, flush),
            false => self.connection.send(frame, flush),
        }
    }

    /// A sign of life, if this is a stream by now: proxies close what is silent for long.
    pub(crate) fn comment(&self, flush: Flush) {
        let state = self.state.lock();
        if *state == State::Streaming {
            let _ = self.connection.send_notice(Frame::raw(event::COMMENT.to_vec()).keyed(key::PING), flush);
        }
    }

    fn begin(&self, headers: &[(&'static str, &str)], flush: Flush) {
        let mut response = self.response(200).header("X-Accel-Buffering", "no");
        for (name, value) in headers {
            response = response.header(name, value);
        }
        self.send(response.event_stream(), flush);
    }

    fn last_event(&self, json: &[u8], flush: Flush) {
        let _ = self.connection.send(Frame::raw(Event::of(json).to_chunk(true)), flush);
    }

    fn response(&self, status: u16) -> Response {
        // A connection that should end does so behind this answer.
        let keep_alive = self.keep_alive.load(Ordering::Relaxed) && !self.connection.is_retiring();
        self.keep_alive.store(keep_alive, Ordering::Relaxed);
        let response = Response::new(status).keep_alive(keep_alive);
        self.headers.iter().fold(response, |response, (name, value)| response.header(name, value.as_str()))
    }

    fn send(&self, bytes: Vec<u8>, flush: Flush) {
        // A connection that takes no more is being closed: the client learns it from that.
        let _ = self.connection.send(Frame::raw(bytes), flush);
    }

    fn end(&self, state: &mut State, flush: Flush) {
        *state = State::Over;
        if !self.keep_alive.load(Ordering::Relaxed) {
            self.connection.close(1000, "", flush);
        }
        self.over.notify_all();
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("head", &self.head).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Core;
    use crate::engine::link::{Endpoint, WriteHalf};
    use crate::guard::address::ClientAddr;
    use crate::http::head::tests::head;
    use crate::limits::Limits;
    use std::io::{self, IoSlice};
    use std::net::{Shutdown, SocketAddr, TcpStream};

    type Writes = Arc<Mutex<Vec<String>>>;

    /// Takes everything, and keeps it write by write.
    struct Kept(Writes);

    impl WriteHalf for Kept {
        fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            self.0.lock().push(String::from_utf8_lossy(&bytes).into_owned());
            Ok(bytes.len())
        }
    }

    struct Nowhere;

    impl Endpoint for Nowhere {
        fn shutdown(&self, _: Shutdown) {}

        fn socket(&self) -> Option<&TcpStream> {
            None
        }
    }

    /// What is written of an answer that is made by `act`.
    fn writes(accept: &str, act: impl FnOnce(&Exchange)) -> Vec<String> {
        let (core, _) = Core::start(Limits::default(), None).unwrap();
        let writes = Writes::default();
        let outbox = core.outbox(Box::new(Kept(Arc::clone(&writes))), Arc::new(Nowhere));
        let address = ClientAddr::from(SocketAddr::from(([127, 0, 0, 1], 1)));
        let connection =
            Connection::new(core, &crate::transport::http::HttpFraming, outbox, address, None, "/mcp".into());
        let head = head(&["POST /mcp HTTP/1.1", accept]);
        let exchange = Exchange::new(connection, head, address, Vec::new(), Challenge::default());
        act(&exchange);
        exchange.connection.outbox.flush();
        drop(exchange);
        Arc::try_unwrap(writes).map_or_else(|shared| shared.lock().clone(), Mutex::into_inner)
    }

    const BOTH: &str = "Accept: application/json, text/event-stream";

    #[test]
    fn an_answer_leaves_in_one_write() {
        let answer = |exchange: &Exchange| exchange.answer(200, vec![b'1'; 100_000], Flush::Now);
        let json = writes(BOTH, answer);
        assert_eq!(json.len(), 1);
        assert!(json[0].starts_with("HTTP/1.1 200 OK\r\n") && json[0].ends_with("1111"));
        let stream = writes("Accept: text/event-stream", |exchange| exchange.answer(200, b"{}".to_vec(), Flush::Now));
        assert_eq!(stream.len(), 1);
        assert!(
            stream[0].contains("text/event-stream") && stream[0].ends_with("data: {}\n\n\r\n0\r\n\r\n"),
            "{stream:?}"
        );
        assert_eq!(writes(BOTH, |exchange| exchange.finish(202, Flush::Now)).len(), 1);
    }

    #[test]
    fn a_stream_begins_with_its_first_event_and_ends_with_its_answer() {
        let all = writes(BOTH, |exchange| {
            exchange.event(Event::of(b"1"), 0, true, Flush::Now).unwrap();
            exchange.event(Event::of(b"2"), 0, true, Flush::Now).unwrap();
            exchange.answer(200, b"3".to_vec(), Flush::Now);
            // Nothing follows it.
            assert!(exchange.event(Event::of(b"4"), 0, true, Flush::Now).is_err());
            exchange.comment(Flush::Now);
            exchange.answer(200, b"5".to_vec(), Flush::Now);
        });
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].starts_with("HTTP/1.1 200 OK\r\n") && all[0].ends_with("data: 1\n\n\r\n"), "{all:?}");
        assert!(all[2].ends_with("data: 3\n\n\r\n0\r\n\r\n"), "{all:?}");
    }

    #[test]
    fn a_client_that_has_left_is_told_nothing() {
        let all = writes(BOTH, |exchange| {
            exchange.give_up();
            exchange.answer(200, b"1".to_vec(), Flush::Now);
            exchange.finish(200, Flush::Now);
            assert!(exchange.is_over() && exchange.event(Event::of(b"2"), 0, false, Flush::Now).is_err());
        });
        assert!(all.is_empty(), "{all:?}");
    }
}
