//! The message seam: what a message protocol is to the threads and sockets below it. MCP is one implementation.

use crate::engine::ConnectionId;
use crate::engine::connection::Connection;
use crate::engine::outbox::{Body, Flush, Refused};
use crate::guard::address::ClientAddr;
use crate::limits::Limits;
use crate::listener::Peers;
use crate::principal::Principal;
use crate::task::{self, SpawnError, Task};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

/// A message protocol, served behind the same listener, gate, limits, client table and outboxes as MCP.
///
/// `open`, `message` and `close` run on the connection's own thread, one at a time for each connection: they may take
/// microseconds, not more, for nothing else of that client is read meanwhile. Work that takes longer belongs on another thread;
/// a [`Peer`] can be cloned and sent there.
pub trait Service: Send + Sync + 'static {
    /// What belongs to one connection. Owned by its thread.
    type Session: Send + 'static;

    /// A peer has passed the gate and its WebSocket is open.
    ///
    /// # Errors
    /// A [`Refusal`](ClosedBy) closes the connection with its code and reason; `close` is not called then.
    fn open(&self, peer: &Peer) -> Result<Self::Session, ClosedBy>;

    /// A message has come whole: its fragments joined, its text checked for UTF-8, within the limits.
    fn message(&self, session: &mut Self::Session, peer: &Peer, message: Message);

    /// The connection has ended, for whatever reason. Nothing can be sent any more.
    fn close(&self, session: Self::Session, peer: &Peer, ended: Ended) {
        let _ = (session, peer, ended);
    }

    /// The WebSocket subprotocols this service speaks; the first one that the client offers too is chosen, none if it
    /// offers none.
    fn subprotocols(&self) -> &[&str] {
        &[]
    }

    /// The server is stopping: a chance for last words, before the connections are closed.
    fn stopping(&self) {}

    /// Message sizes of this service where they differ from the server's [`Limits`].
    fn message_limits(&self, limits: &mut MessageLimits) {
        let _ = limits;
    }
}

/// Sizes of incoming messages, as in [`Limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageLimits {
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// Fragments of one message.
    pub fragments: usize,
    /// Control frames a second.
    pub control_frames_per_second: u32,
}

impl From<&Limits> for MessageLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            message_bytes: limits.message_bytes,
            frame_bytes: limits.frame_bytes.unwrap_or(limits.message_bytes),
            fragments: limits.fragments,
            control_frames_per_second: limits.control_frames_per_second,
        }
    }
}

/// A close code with its reason, for ending a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedBy {
    /// The WebSocket close code (RFC 6455, section 7.4), say 1008 for a breach of policy.
    pub code: u16,
    /// A few words for the peer; at most 123 bytes are sent.
    pub reason: String,
}

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text, checked UTF-8.
    Text(Text),
    /// Bytes.
    Binary(Binary),
}

impl Message {
    pub(crate) fn from_text(text: tungstenite::Utf8Bytes) -> Self {
        Self::Text(Text(text))
    }

    pub(crate) fn from_binary(bytes: tungstenite::Bytes) -> Self {
        Self::Binary(Binary(bytes))
    }
}

/// The text of a message. Cheap to clone; it shares the buffer that it was read into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(tungstenite::Utf8Bytes);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

/// The bytes of a message, likewise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary(tungstenite::Bytes);

impl Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The peer sent a close frame, with that code if any.
    ByPeer(Option<u16>),
    /// The server closed it: at its end, by the author, or because the peer read too slowly.
    ByServer,
    /// The connection broke, or the peer left without a close frame.
    Lost,
    /// The peer gave no sign of life for the time of several pings.
    Silent,
    /// A breach of RFC 6455; closed with 1002.
    Protocol,
    /// Text that is not UTF-8; closed with 1007.
    NotUtf8,
    /// A message or frame beyond the limit; closed with 1009.
    TooLarge,
    /// A message in too many fragments; closed with 1008.
    TooManyFragments,
    /// Too many pings and pongs; closed with 1008.
    TooManyControlFrames,
    /// Far more messages than [`Limits::rate`](crate::Limits::rate) allows; closed with 1008.
    TooManyMessages,
    /// A frame was begun and not finished in time; closed with 1008.
    FrameDeadline,
    /// A message was begun and not finished in time ([`Limits::body_deadline`](crate::Limits::body_deadline)); closed with 1008.
    MessageDeadline,
    /// There was no memory for its message within the budget; closed with 1013.
    Overloaded,
}

impl Ended {
    /// What the peer is told, where it has not been told already.
    pub(crate) fn close_code(self) -> Option<(u16, &'static str)> {
        match self {
            Self::ByPeer(_) | Self::ByServer | Self::Lost | Self::Silent => None,
            Self::Protocol => Some((1002, "protocol error")),
            Self::NotUtf8 => Some((1007, "text is not UTF-8")),
            Self::TooLarge => Some((1009, "message too large")),
            Self::TooManyFragments => Some((1008, "too many fragments")),
            Self::TooManyControlFrames => Some((1008, "too many control frames")),
            Self::TooManyMessages => Some((1008, "too many messages")),
            Self::FrameDeadline => Some((1008, "frame not finished in time")),
            Self::MessageDeadline => Some((1008, "message not finished in time")),
            Self::Overloaded => Some((1013, "the server has no memory for this message")),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer(Some(code)) => write!(f, "closed by the peer ({code})"),
            Self::ByPeer(None) => f.write_str("closed by the peer"),
            Self::ByServer => f.write_str("closed by the server"),
            Self::Lost => f.write_str("lost"),
            Self::Silent => f.write_str("silent peer"),
            other => f.write_str(other.close_code().map_or("ended", |(_, reason)| reason)),
        }
    }
}

/// One connected peer. Cheap to clone, and may outlive the connection: then sending is an error.
#[derive(Clone)]
pub struct Peer(Arc<Connection>);

impl Peer {
    pub(crate) fn new(connection: &Arc<Connection>) -> Self {
        Self(Arc::clone(connection))
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.0
    }

    /// The connection's number.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// Where it connects from.
    pub fn address(&self) -> ClientAddr {
        self.0.address
    }

    /// Who it is, if the server authenticates.
    pub fn principal(&self) -> Option<&Principal> {
        self.0.principal.as_ref()
    }

    /// All peers of the same service, this one among them.
    pub fn everybody(&self) -> Peers {
        Peers::beside(&self.0)
    }

    /// When it connected.
    pub fn connected_since(&self) -> SystemTime {
        self.0.since
    }

    /// Bytes that wait because the peer does not read fast enough.
    pub fn queued_bytes(&self) -> usize {
        self.0.outbox.queued().0
    }

    /// Sends a text message. Never blocks: it is queued, and written as the peer reads.
    ///
    /// # Errors
    /// [`SendError`] if the connection is closed, or if the queue is full; then the connection is being closed, too.
    pub fn send(&self, text: impl Into<String>) -> Result<(), SendError> {
        let body = Body::Owned(text.into().into_bytes());
        self.0.send_text(body, Flush::Now).map_err(SendError::from)
    }

    /// Sends a binary message, likewise.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_binary(&self, bytes: impl Into<Vec<u8>>) -> Result<(), SendError> {
        self.0.send(self.0.framing.binary(Body::Owned(bytes.into())), Flush::Now).map_err(SendError::from)
    }

    /// Runs a closure on the handler pool, for work that takes longer than a message may hold the connection's thread.
    /// Peers take turns there, and one of them holds at most a quarter of the threads.
    ///
    /// It has the time of [`Limits::handler_deadline`], from now on; then its [`Task`] says that it has to stop. A panic is
    /// caught and logged.
    ///
    /// # Errors
    /// [`SpawnError`] if too much is under way; never waits.
    pub fn spawn(&self, work: impl FnOnce(&Task) + Send + 'static) -> Result<(), SpawnError> {
        let bytes = size_of_val(&work) + 512;
        task::spawn(&self.0, self.0.core.limits.handler_deadline, bytes, Box::new(work))
    }

    /// Closes the connection: what is queued is sent, then a close frame with that code. Returns at once.
    pub fn close(&self, code: u16, reason: &str) {
        self.0.close(code, reason, Flush::Now);
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("id", &self.0.id).field("address", &self.0.address).finish_non_exhaustive()
    }
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closed or closing. Stop sending to this client.
    #[error("the connection is closed")]
    Closed,
    /// The client does not read fast enough and its queue is full; it is being closed.
    #[error("the client's queue is full")]
    Full,
}

impl From<Refused> for SendError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => Self::Closed,
            Refused::Full | Refused::Exhausted => Self::Full,
        }
    }
}

/// A service without its session type, for the connection threads.
pub(crate) trait AnyService: Send + Sync {
    fn open(self: Arc<Self>, peer: &Peer) -> Result<SessionBox, ClosedBy>;
    fn subprotocols(&self) -> &[&str];
    fn message_limits(&self, limits: &mut MessageLimits);
    fn stopping(&self);
}

/// An open session with its service.
pub(crate) struct SessionBox(Option<Box<dyn AnySession>>);

trait AnySession: Send {
    fn message(&mut self, message: Message);
    fn close(self: Box<Self>, ended: Ended);
}

struct Open<S: Service> {
    service: Arc<S>,
    session: S::Session,
    peer: Peer,
}

impl<S: Service> AnyService for S {
    fn open(self: Arc<Self>, peer: &Peer) -> Result<SessionBox, ClosedBy> {
        let session = Service::open(&*self, peer)?;
        Ok(SessionBox(Some(Box::new(Open { service: self, session, peer: peer.clone() }))))
    }

    fn subprotocols(&self) -> &[&str] {
        Service::subprotocols(self)
    }

    fn message_limits(&self, limits: &mut MessageLimits) {
        Service::message_limits(self, limits);
    }

    fn stopping(&self) {
        Service::stopping(self);
    }
}

impl<S: Service> AnySession for Open<S> {
    fn message(&mut self, message: Message) {
        self.service.message(&mut self.session, &self.peer, message);
    }

    fn close(self: Box<Self>, ended: Ended) {
        self.service.close(self.session, &self.peer, ended);
    }
}

impl SessionBox {
    /// For a connection that was refused after its upgrade: it is only read until its end.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    pub(crate) fn message(&mut self, connection: &Connection, message: Message) {
        // Once the end is announced nothing can be answered, so nothing is begun.
        if let (Some(session), false) = (self.0.as_mut(), connection.is_closing()) {
            session.message(message);
        }
    }

    pub(crate) fn close(mut self, ended: Ended) {
        if let Some(session) = self.0.take() {
            session.close(ended);
        }
    }
}
