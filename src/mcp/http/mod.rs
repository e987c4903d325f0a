//! MCP over Streamable HTTP (2025-03-26 to 2026-07-28, basic/transports): each message in a POST of its own.

pub(crate) mod headers;
pub(crate) mod sessions;
pub(crate) mod stream;

use super::Mcp;
use super::batch::Reply;
use super::client::Link;
use super::session::{Rate, Session};
use crate::audit::Party;
use crate::engine::outbox::Flush;
use crate::http::head::Head;
use crate::principal::Principal;
use crate::protocol::encode;
use crate::protocol::envelope::{self, Incoming, ParseLimits};
use crate::protocol::error::{BusyReason, RpcError};
use crate::protocol::id::RequestId;
use crate::protocol::method;
use crate::service::{Ended, Text};
use crate::transport::http::exchange::Exchange;
use crate::transport::http::{HttpConnection, HttpService};
use sessions::HttpSession;
use std::sync::Arc;

const SESSION: &str = "mcp-session-id";
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
        Box::new(Conversation { mcp: Arc::clone(&self.mcp), modern: None, rate: None, stream: None })
    }
}

/// What belongs to one connection.
struct Conversation {
    mcp: Arc<Mcp>,
    /// The request that is served without a session.
    modern: Option<Arc<Link>>,
    /// The rate of those is that of the connection.
    rate: Option<Rate>,
    /// The stream of a session that this connection carries.
    stream: Option<(Arc<HttpSession>, Arc<Exchange>)>,
}

impl HttpConnection for Conversation {
    fn request(&mut self, principal: Option<Principal>, body: Vec<u8>, exchange: &Arc<Exchange>) {
        let refused = match exchange.head().method.as_str() {
            "POST" => self.post(principal, body, exchange),
            "GET" => self.get(principal.as_ref(), exchange),
            _ => self.delete(principal.as_ref(), exchange),
        };
        if let Err((status, error)) = refused {
            refuse(exchange, status, None, &error);
        }
    }

    fn over(&mut self) {
        if let Some(link) = self.modern.take() {
            self.mcp.remove_link(link.id);
            drop(link.take_listens());
        }
        if let Some((session, exchange)) = self.stream.take() {
            session.stream.detach(&exchange);
            exchange.finish(200, Flush::Later);
        }
    }
}

type Refused = Result<(), (u16, RpcError)>;

impl Conversation {
    fn post(&mut self, principal: Option<Principal>, body: Vec<u8>, exchange: &Arc<Exchange>) -> Refused {
        let head = exchange.head();
        let kind =
            head.header("content-type").map(|value| value.split(|byte| *byte == b';').next().unwrap_or_default());
        if !kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/json")) {
            return Err((415, RpcError::invalid_request("send the message as Content-Type: application/json")));
        }
        let accepts = exchange.accepts();
        if !accepts.json && !accepts.events {
            let what = "accept application/json or text/event-stream";
            return Err((406, RpcError::invalid_request(what)));
        }
        let Ok(body) = String::from_utf8(body) else { return Err((400, RpcError::parse_error())) };
        let text = Text::from(body);
        let limits = ParseLimits { max_depth: self.mcp.limits().json_depth };
        let incoming = match envelope::parse(&text, &limits) {
            Ok(incoming) => incoming,
            Err(malformed) => {
                refuse(exchange, 400, malformed.id.as_ref(), &malformed.error);
                return Ok(());
            }
        };
        match &incoming {
            Incoming::Request(request) if headers::is_modern(&request.params, head) => {
                self.modern(principal, &text, incoming, exchange);
                Ok(())
            }
            Incoming::Request(request) if request.method == method::INITIALIZE => {
                self.initialize(principal, &text, incoming, exchange)
            }
            Incoming::Notification(notification) if headers::is_modern(&notification.params, head) => {
                // No header rules are given for these, and a cancellation is the end of its connection.
                self.modern(principal, &text, incoming, exchange);
                exchange.finish(202, Flush::Later);
                Ok(())
            }
            _ if headers::head_is_modern(head) => {
                Err((400, RpcError::invalid_request("2026-07-28 has neither batches nor responses of clients")))
            }
            _ => {
                let session = self.session(principal.as_ref(), exchange)?;
                exchange.hold(session.enter());
                let (notification, response) =
                    (matches!(incoming, Incoming::Notification(_)), matches!(incoming, Incoming::Response(_)));
                if response {
                    // First: what comes of it, on another connection, may have the client leave at once.
                    exchange.finish(202, Flush::Now);
                }
                session.session.receive_over(&text, incoming, &Reply::Exchange(Arc::clone(exchange)));
                if notification {
                    exchange.finish(202, Flush::Later);
                }
                Ok(())
            }
        }
    }

    /// A message that brings with it all that has to be known.
    fn modern(&mut self, principal: Option<Principal>, text: &Text, incoming: Incoming<'_>, exchange: &Arc<Exchange>) {
        let link = Link::of_request(exchange.connection(), principal);
        let rate = self.rate.get_or_insert_with(|| Session::rate(&self.mcp));
        let session = Session::with_rate(Arc::clone(&self.mcp), Arc::clone(&link), Arc::clone(rate));
        // Before the request is served: what it listens for may happen at once.
        self.mcp.add_link(&link);
        self.modern = Some(link);
        session.receive_over(text, incoming, &Reply::Exchange(Arc::clone(exchange)));
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
        let address = exchange.connection().address;
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
        session.publish(&self.mcp);
        exchange.answer_with(200, json, &[("Mcp-Session-Id", &session.id)], Flush::Later);
        Ok(())
    }

    /// The stream of what belongs to no request.
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
        exchange.hold(session.enter());
        if !exchange.stream(&[], Flush::Later) || !session.stream.attach(exchange) {
            return Err(unknown_session());
        }
        exchange.keep_alive();
        self.stream = Some((session, Arc::clone(exchange)));
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
            self.mcp.core.audit.foreign_session(Party { principal, ..exchange.connection().party() });
        }
        found.ok_or_else(unknown_session)
    }
}

fn single<'h>(head: &'h Head, name: &str) -> Result<Option<&'h str>, (u16, RpcError)> {
    head.single(name).map_err(|error| (400, RpcError::invalid_request(error.reason)))
}

/// 404: the client begins a new session (2025-11-25, basic/transports).
fn unknown_session() -> (u16, RpcError) {
    (404, RpcError::invalid_request("there is no such session; send initialize without a session id"))
}

fn refuse(exchange: &Exchange, status: u16, id: Option<&RequestId>, error: &RpcError) {
    let mut json = Vec::with_capacity(128);
    encode::write_error(&mut json, id, error, None);
    match status {
        405 => exchange.answer_with(status, json, &[("Allow", "POST")], Flush::Later),
        _ => exchange.answer(status, json, Flush::Later),
    }
}
