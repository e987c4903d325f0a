//! MCP over Streamable HTTP (2025-03-26 to 2026-07-28, basic/transports): each message in a POST of its own.

pub(crate) mod event_id;
pub(crate) mod headers;
pub(crate) mod sessions;
mod store;
pub(crate) mod streams;

use super::Mcp;
use super::batch::Reply;
use super::client::{Link, Sender};
use super::session::{self, Rate, Session};
use crate::audit::Party;
use crate::engine::outbox::Flush;
use crate::http::head::Head;
use crate::principal::Principal;
use crate::protocol::classify::classify_request;
use crate::protocol::encode;
use crate::protocol::envelope::{self, Incoming, ParseLimits};
use crate::protocol::error::{BusyReason, RpcError};
use crate::protocol::id::RequestId;
use crate::protocol::method;
use crate::protocol::revision::Revision;
use crate::service::{Ended, Text};
use crate::transport::http::exchange::Exchange;
use crate::transport::http::{HttpConnection, HttpService};
use event_id::EventId;
use sessions::HttpSession;
use std::sync::Arc;
use streams::{RequestStream, Streams, Unknown};

const SESSION: &str = "mcp-session-id";
const LAST_EVENT: &str = "last-event-id";
/// How long a client that finds no room for its session is asked to wait.
const BUSY_MS: u64 = 1_000;

/// MCP for the HTTP side of a listener.
pub(crate) struct McpOverHttp {
    mcp: Arc<Mcp>,
}

impl McpOverHttp {
    pub(crate) fn new(mcp: Arc<Mcp>) -> Self {
        Self { mcp }
    }
}

impl HttpService for McpOverHttp {
    fn connection(&self) -> Box<dyn HttpConnection> {
        Box::new(Conversation { mcp: Arc::clone(&self.mcp), part: None, rate: None, waits: None })
    }
}

/// What belongs to one connection.
struct Conversation {
    mcp: Arc<Mcp>,
    /// What its request is about.
    part: Option<Part>,
    /// The rate of requests without a session is that of the connection.
    rate: Option<Rate>,
    /// A request that waits for the end of a task.
    waits: Option<(Arc<HttpSession>, RequestId)>,
}

/// What a connection has to do with at the moment.
enum Part {
    /// A request that is served without a session.
    Modern(Arc<Link>),
    /// One of a session.
    Request(Arc<RequestStream>),
    /// A stream of a session that the client has opened, or has come back to.
    Stream(Arc<Streams>, Arc<Exchange>),
}

impl HttpConnection for Conversation {
    fn request(&mut self, principal: Option<Principal>, body: Vec<u8>, exchange: &Arc<Exchange>) {
        let refused = match exchange.head().method.as_str() {
            "POST" => self.post(principal.as_ref(), body, exchange),
            "GET" => self.get(principal.as_ref(), exchange),
            _ => self.delete(principal.as_ref(), exchange),
        };
        if let Err((status, error)) = refused {
            let (status, error) = self.counted(status, error, principal.as_ref(), exchange);
            refuse(exchange, status, None, &error, None);
        }
    }

    fn takes_long(&mut self, exchange: &Exchange) {
        if let Some(Part::Request(request)) = &self.part {
            request.takes_long();
        }
        exchange.comment(Flush::Now);
    }

    fn retire(&mut self, exchange: &Exchange) {
        match &self.part {
            Some(Part::Modern(link)) => {
                link.take_listens().iter().for_each(|listen| listen.finish(&self.mcp.identity));
            }
            // The client opens it anew, and misses nothing.
            Some(Part::Stream(..)) => exchange.finish(200, Flush::Now),
            Some(Part::Request(_)) | None => {}
        }
    }

    fn over(&mut self) {
        match self.part.take() {
            Some(Part::Modern(link)) => {
                self.mcp.remove_link(link.id);
                drop(link.take_listens());
            }
            Some(Part::Request(request)) => {
                request.detach();
                // A client that can come back for the answer may do so.
                if let Some((session, id)) = self.waits.take().filter(|_| !request.is_stream()) {
                    session.session.link().hung_up(&id, &request);
                }
            }
            Some(Part::Stream(streams, exchange)) => streams.detach(&exchange),
            None => {}
        }
        self.waits = None;
    }
}

type Refused = Result<(), (u16, RpcError)>;

impl Conversation {
    fn post(&mut self, principal: Option<&Principal>, body: Vec<u8>, exchange: &Arc<Exchange>) -> Refused {
        let head = exchange.head();
        let kind = single(head, "content-type")?.and_then(|value| value.split(';').next());
        if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err((415, RpcError::invalid_request("send the message as Content-Type: application/json")));
        }
        let accepts = exchange.accepts();
        if !accepts.json && !accepts.events {
            let what = "accept application/json or text/event-stream";
            return Err((406, RpcError::invalid_request(what)));
        }
        let Ok(body) = String::from_utf8(body) else { return Err((400, RpcError::parse_error())) };
        let text = Text::from(body);
        let limits = ParseLimits::from(self.mcp.limits());
        let incoming = match envelope::parse(&text, &limits) {
            Ok(incoming) => incoming,
            Err(malformed) => {
                // As over every transport: what an error without an id looks like is the session's.
                let session = self.session(principal, exchange).ok();
                session.iter().for_each(|session| session.session.fail_question(&malformed));
                let revision = session.and_then(|session| session.session.link().legacy().map(|own| own.revision));
                let (status, error) = self.counted(400, malformed.error, principal, exchange);
                refuse(exchange, status, malformed.id.as_ref(), &error, revision);
                return Ok(());
            }
        };
        let id = match &incoming {
            Incoming::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        if let Err((status, error)) = self.serve(principal.cloned(), &text, incoming, exchange) {
            let (status, error) = self.counted(status, error, principal, exchange);
            refuse(exchange, status, id.as_ref(), &error, None);
        }
        Ok(())
    }

    /// A message that could be read.
    fn serve(
        &mut self,
        principal: Option<Principal>,
        text: &Text,
        incoming: Incoming<'_>,
        exchange: &Arc<Exchange>,
    ) -> Refused {
        let head = exchange.head();
        match &incoming {
            Incoming::Request(request) if headers::is_modern(&request.params, head) => {
                self.modern(principal, text, incoming, exchange);
                Ok(())
            }
            Incoming::Request(request) if request.method == method::INITIALIZE => {
                self.initialize(principal, text, incoming, exchange)
            }
            Incoming::Notification(notification) if headers::is_modern(&notification.params, head) => {
                // No header rules are given for these, and a cancellation is the end of its connection.
                self.modern(principal, text, incoming, exchange);
                exchange.finish(202, Flush::Later);
                Ok(())
            }
            _ if headers::head_is_modern(head) => {
                Err((400, RpcError::invalid_request("2026-07-28 has neither batches nor responses of clients")))
            }
            _ => {
                if let (Incoming::Request(request), None) = (&incoming, head.header(SESSION)) {
                    // What is wrong with it wherever it comes is said first: it names a version that takes a session.
                    classify_request(request, None).map_err(|error| (400, error))?;
                }
                let session = self.session(principal.as_ref(), exchange)?;
                exchange.hold(session.enter());
                let (notification, response) =
                    (matches!(incoming, Incoming::Notification(_)), matches!(incoming, Incoming::Response(_)));
                if let Incoming::Request(request) = &incoming
                    && request.method == method::TASKS_RESULT
                {
                    self.waits = Some((Arc::clone(&session), request.id.clone()));
                }
                if response {
                    // First: what comes of it, on another connection, may have the client leave at once.
                    exchange.finish(202, Flush::Now);
                }
                let request = RequestStream::new(&session.streams, exchange, session.polls());
                self.part = Some(Part::Request(Arc::clone(&request)));
                let sender = Sender { address: exchange.address(), principal };
                session.session.sent_by(sender).receive_over(text, incoming, &Reply::Stream(request));
                if notification {
                    exchange.finish(202, Flush::Later);
                }
                Ok(())
            }
        }
    }

    /// A message that brings with it all that has to be known.
    fn modern(&mut self, principal: Option<Principal>, text: &Text, incoming: Incoming<'_>, exchange: &Arc<Exchange>) {
        let link = Link::of_request(exchange, principal);
        let session = Session::with_rate(Arc::clone(&self.mcp), Arc::clone(&link), self.rate());
        // Before the request is served: what it listens for may happen at once.
        self.mcp.add_link(&link);
        self.part = Some(Part::Modern(link));
        session.receive_over(text, incoming, &Reply::Exchange(Arc::clone(exchange)));
    }

    /// What becomes of a request that is refused: it costs as much as any other, so that one beyond the rate is told that.
    fn counted(
        &mut self,
        status: u16,
        error: RpcError,
        principal: Option<&Principal>,
        exchange: &Exchange,
    ) -> (u16, RpcError) {
        match within(&self.rate(), &self.mcp, exchange.party(principal)) {
            Err(too_many) if status != 429 => too_many,
            _ => (status, error),
        }
    }

    /// The rate of this connection.
    fn rate(&mut self) -> Rate {
        Arc::clone(self.rate.get_or_insert_with(|| Session::rate(&self.mcp)))
    }

    fn initialize(
        &mut self,
        principal: Option<Principal>,
        text: &Text,
        incoming: Incoming<'_>,
        exchange: &Arc<Exchange>,
    ) -> Refused {
        if let Some(id) = single(exchange.head(), SESSION)? {
            // Undefined in every revision; the session is unharmed.
            self.find(id, principal.as_ref(), exchange)?;
            return Err((400, RpcError::already_initialized()));
        }
        // Its own rate begins with the session, and would be a new one for each.
        within(&self.rate(), &self.mcp, exchange.party(principal.as_ref()))?;
        let stopping = || (503, RpcError::busy(BusyReason::ShuttingDown, BUSY_MS));
        if self.mcp.core.stopping() {
            return Err(stopping());
        }
        let address = exchange.address();
        let Some(session) = HttpSession::prepare(&self.mcp, address, principal) else {
            return Err((503, RpcError::busy(BusyReason::Overloaded, BUSY_MS)));
        };
        exchange.hold(session.enter());
        let Incoming::Request(request) = incoming else { return Ok(()) };
        let json = session.session.answer(text, &request);
        if session.session.link().legacy().is_none() {
            exchange.answer(200, json, Flush::Later);
            return Ok(());
        }
        // Before its id is known: the next request may come on another connection at once.
        if !session.publish(&self.mcp) {
            return Err(stopping());
        }
        exchange.answer_with(200, json, &[("Mcp-Session-Id", &session.id)], Flush::Later);
        Ok(())
    }

    /// The stream of what belongs to no request, or any one that the client has lost.
    fn get(&mut self, principal: Option<&Principal>, exchange: &Arc<Exchange>) -> Refused {
        let head = exchange.head();
        if headers::head_is_modern(head) {
            return Err((
                405,
                RpcError::invalid_request("2026-07-28 has no stream of its own; use subscriptions/listen"),
            ));
        }
        if !exchange.accepts().events {
            return Err((406, RpcError::invalid_request("accept text/event-stream")));
        }
        let session = self.session(principal, exchange)?;
        // What is replayed may be a lot.
        let sender = Sender { address: exchange.address(), principal: principal.cloned() };
        within(session.session.own_rate(), &self.mcp, session.session.link().party(Some(&sender)))?;
        exchange.hold(session.enter());
        match single(head, LAST_EVENT)? {
            Some(id) => {
                let known = EventId::parse(id).ok_or(Unknown).and_then(|id| session.streams.resume(id, exchange));
                known.map_err(|Unknown| unknown_event())?;
            }
            None if session.streams.open(exchange, session.polls()) => {}
            None => return Err(unknown_session()),
        }
        self.part = Some(Part::Stream(Arc::clone(&session.streams), Arc::clone(exchange)));
        Ok(())
    }

    fn delete(&mut self, principal: Option<&Principal>, exchange: &Arc<Exchange>) -> Refused {
        if headers::head_is_modern(exchange.head()) {
            return Err((405, RpcError::invalid_request("2026-07-28 has no sessions")));
        }
        let session = self.session(principal, exchange)?;
        self.mcp.sessions.end(&session, Ended::ByPeer(None));
        exchange.finish(204, Flush::Later);
        Ok(())
    }

    /// The session that a request names.
    fn session(&self, principal: Option<&Principal>, exchange: &Exchange) -> Result<Arc<HttpSession>, (u16, RpcError)> {
        let head = exchange.head();
        headers::check_legacy_version(head).map_err(|error| (400, error))?;
        let Some(id) = single(head, SESSION)? else { return Err((400, RpcError::before_initialize())) };
        self.find(id, principal, exchange)
    }

    fn find(
        &self,
        id: &str,
        principal: Option<&Principal>,
        exchange: &Exchange,
    ) -> Result<Arc<HttpSession>, (u16, RpcError)> {
        let found = self.mcp.sessions.find(id, principal);
        if found.is_none() && self.mcp.sessions.contains(id) {
            self.mcp.core.audit.foreign_session(exchange.party(principal));
        }
        found.ok_or_else(unknown_session)
    }
}

/// Takes a request from a client's rate.
fn within(rate: &Rate, mcp: &Mcp, party: Party<'_>) -> Refused {
    session::take(rate, mcp, party).map_err(|error| (429, error))
}

fn single<'h>(head: &'h Head, name: &str) -> Result<Option<&'h str>, (u16, RpcError)> {
    head.single(name).map_err(|error| (400, RpcError::invalid_request(error.reason)))
}

/// 404: the client begins a new session (2025-11-25, basic/transports).
fn unknown_session() -> (u16, RpcError) {
    (404, RpcError::invalid_request("there is no such session; send initialize without a session id"))
}

/// Not 404, which would have the client give its session up.
fn unknown_event() -> (u16, RpcError) {
    (400, RpcError::invalid_request("nothing is kept of that Last-Event-ID; open a stream without one"))
}

fn refuse(exchange: &Exchange, status: u16, id: Option<&RequestId>, error: &RpcError, revision: Option<Revision>) {
    let mut json = Vec::with_capacity(128);
    encode::write_error(&mut json, id, error, revision);
    error.retry_after_s().into_iter().for_each(|seconds| exchange.come_back_after(seconds));
    match status {
        405 => exchange.answer_with(status, json, &[("Allow", "POST")], Flush::Later),
        _ => exchange.answer(status, json, Flush::Later),
    }
}
