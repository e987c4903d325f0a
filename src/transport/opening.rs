//! The first moments of a connection: its request head under one deadline, the gate, the upgrade; then its life as a
//! WebSocket, and the clearing away.

use super::accept::{Door, Seat, Throttle};
use super::gate::{Admitted, Passed};
use super::websocket::frames::WebSocketFraming;
use super::{http, websocket};
use crate::engine::connection::Connection;
use crate::engine::link::{Failure, Link, ReadHalf};
use crate::engine::outbox::{Flush, Frame, Outbox};
use crate::engine::reading;
use crate::engine::settle::settle;
use crate::guard::address::ClientAddr;
use crate::guard::text::Escaped;
use crate::http::head::{Head, HeadErrorKind};
use crate::http::reader::{HeadLimits, HeadReader, Progress};
use crate::http::refusal::Refusal;
use crate::http::upgrade;
use crate::principal::Principal;
use crate::service::{Ended, MessageLimits, Peer, SessionBox};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The life of a connection's thread.
pub(crate) fn run(link: Link, peer: ClientAddr, mut seat: Seat, accepted: Instant) {
    reading::begin();
    let door = seat.door();
    let Link { mut read, write, endpoint } = link;
    let outbox = door.core.outbox(write, endpoint);
    read.attach(&outbox);
    let limits = &door.core.limits;
    let head_limits = HeadLimits::from(limits);
    let head = read_head(&mut *read, head_limits, accepted + limits.head_deadline, &door.tls_log);
    // What is asked for is known: whatever comes of it, it is no handshake that might never end.
    seat.opened();
    let certificate = read.certificate();
    let mut address = peer;
    let passed = head.and_then(|read| {
        let Some((head, ahead)) = read else { return Ok(None) };
        address = seat.client(peer, &head)?;
        match check(&door, &head, address, certificate.as_ref())? {
            Admitted::WebSocket(_) if !ahead.is_empty() => Err(early_bytes()),
            Admitted::WebSocket(_) if door.core.audit.refuses() => Err(unrecorded()),
            admitted => Ok(Some((admitted, head, ahead))),
        }
    });
    match passed {
        Ok(Some((Admitted::Answered(answer), ..))) => finish(read, &outbox, answer, &door),
        Ok(Some((Admitted::WebSocket(passed), ..))) if read.set_timeout(None).is_ok() => {
            upgraded(read, &outbox, address, passed, &door);
        }
        Ok(Some((Admitted::Http(passed), head, ahead))) => {
            http::serve(read, &outbox, (peer, address), (head, passed), ahead, &mut seat);
        }
        Ok(_) => match read.failure() {
            // Gone without having said anything worth an answer.
            None => outbox.close(),
            Some(Failure::Plain) => refuse(read, &outbox, address, &plain_text(), &door),
            Some(Failure::Handshake { reason, certificate }) => {
                if certificate && !door.gate.proxies.trusts(peer) {
                    door.core.rates.failed_to_log_in(peer);
                }
                log_failed_handshake(&door, address, &reason, certificate);
                outbox.push_last(None, false, Flush::Now);
                websocket::finish(read, &outbox, limits.close_deadline);
            }
        },
        Err(refusal) => refuse(read, &outbox, address, &refusal, &door),
    }
}

/// Asks the gate. An author's authentication that panics lets nobody in.
pub(crate) fn check(
    door: &Door,
    head: &Head,
    address: ClientAddr,
    certificate: Option<&Principal>,
) -> Result<Admitted, Refusal> {
    catch_unwind(AssertUnwindSafe(|| door.gate.check(head, address, certificate))).unwrap_or_else(|_| {
        log::error!(target: "mcp_blocking::gate", "the authentication panicked at a caller from {address}");
        Err(Refusal::new(500, "auth", "the server could not find out who this is"))
    })
}

/// Reads one head, and what has come with it. `None` if the peer left before it was complete.
pub(crate) fn read_head(
    read: &mut dyn ReadHalf,
    limits: HeadLimits,
    deadline: Instant,
    log: &Throttle,
) -> Result<Option<(Head, Vec<u8>)>, Refusal> {
    let mut reader = HeadReader::new(limits);
    let mut buffer = [0; 2 << 10];
    loop {
        let Some(count) = read_until(read, &mut buffer, deadline)? else { return Ok(None) };
        let bytes = buffer.get(..count).unwrap_or_default();
        match reader.push(bytes) {
            Ok(Progress::More) => {}
            Ok(Progress::Done { head, used }) => {
                return Ok(Some((head, bytes.get(used..).unwrap_or_default().to_vec())));
            }
            Err(error) => {
                if error.kind == HeadErrorKind::Tls && log.turn().is_some() {
                    log::warn!(target: "mcp_blocking::gate", "a client speaks TLS to this port, which is plain: use ws://, not wss://");
                }
                return Err(error.into());
            }
        }
    }
}

/// To who may send nothing behind a head (RFC 6455, 4.1: not before the answer to its handshake).
pub(crate) fn early_bytes() -> Refusal {
    Refusal::new(400, "early-bytes", "send nothing behind the request head before it is answered")
}

/// To who speaks plain text to a port that encrypts.
fn plain_text() -> Refusal {
    Refusal::new(400, "plain-on-tls", "this port speaks TLS: use wss:// or https://")
}

/// Reads some bytes of a head. `None` at the end.
///
/// # Errors
/// 408 if there are none before the deadline.
pub(crate) fn read_until(
    read: &mut dyn ReadHalf,
    buffer: &mut [u8],
    deadline: Instant,
) -> Result<Option<usize>, Refusal> {
    loop {
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Err(Refusal::new(408, "head-deadline", "send the request head faster"));
        }
        if read.set_timeout(Some(time)).is_err() {
            return Ok(None);
        }
        match read.read(buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => return Ok(Some(count)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(_) => return Ok(None),
        }
    }
}

fn refuse(read: Box<dyn ReadHalf>, outbox: &Arc<Outbox>, address: ClientAddr, refusal: &Refusal, door: &Door) {
    log_refusal(door, address, refusal);
    finish(read, outbox, refusal.to_response().to_bytes(), door);
}

/// Counts a refusal and logs it, if there are not too many.
pub(crate) fn log_refusal(door: &Door, address: ClientAddr, refusal: &Refusal) {
    door.core.counters.refuse(refusal.label);
    door.core.audit.refused(address, refusal.label, refusal.status, refusal.about.as_deref());
    if let Some(missed) = door.log.turn() {
        log::warn!(
            target: "mcp_blocking::gate", address:% = address, status = refusal.status, reason = refusal.label;
            "{address}{} refused with {}: {}{missed}", About(refusal.about.as_deref()), refusal.status, Escaped::short(&refusal.reason)
        );
    }
}

/// Whom a refusal is about, if that is known.
struct About<'a>(Option<&'a str>);

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |who| write!(f, " ({})", Escaped::short(who)))
    }
}

/// The same for a client that cannot be answered: its alert has been sent. `certificate` says that it has shown one that is not accepted.
fn log_failed_handshake(door: &Door, address: ClientAddr, reason: &str, certificate: bool) {
    let label = if certificate { "certificate" } else { "tls" };
    door.core.counters.refuse(label);
    door.core.audit.refused(address, label, 0, None);
    if let Some(missed) = door.log.turn() {
        log::warn!(
            target: "mcp_blocking::gate", address:% = address, reason = label;
            "{address} refused in the TLS handshake: {}{missed}", Escaped::short(reason)
        );
    }
}

/// To who would begin something that cannot be recorded.
fn unrecorded() -> Refusal {
    Refusal::new(503, "audit", "the server cannot write its audit log, and begins nothing meanwhile")
        .header("Retry-After", "1")
}

/// Sends the one answer that there will be, and ends the connection so that it arrives.
fn finish(read: Box<dyn ReadHalf>, outbox: &Arc<Outbox>, answer: Vec<u8>, door: &Door) {
    outbox.push_last(Some(Frame::raw(answer)), false, Flush::Now);
    websocket::finish(read, outbox, door.core.limits.close_deadline);
}

/// Takes the connection out of the table and gives its work up, also when its session panics.
struct Entered(Arc<Connection>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.end();
        self.0.core.leave(self.0.id);
        self.0.outbox.close();
    }
}

fn upgraded(read: Box<dyn ReadHalf>, outbox: &Arc<Outbox>, address: ClientAddr, passed: Passed, door: &Arc<Door>) {
    let core = &door.core;
    let connection = Connection::new(
        Arc::clone(core),
        &WebSocketFraming,
        Arc::clone(outbox),
        address,
        passed.principal,
        passed.path,
    );
    let id = connection.id;
    let answer = upgrade::switching_protocols(&passed.accept, passed.protocol.as_deref());
    // Queued before anybody can find the connection, written when everybody can.
    if connection.send(Frame::raw(answer), Flush::Later).is_err() {
        return outbox.close();
    }
    core.enter(&connection);
    let entered = Entered(Arc::clone(&connection));
    connection.limit_life();
    connection.watch();
    let who = connection.principal.as_ref().map_or("anonymous", |principal| principal.id());
    let shown = Escaped::short(who).distinct();
    let token = connection.principal.as_ref().and_then(Principal::token_name);
    log::info!(
        target: "mcp_blocking::connection", connection = id.0, address:% = address, principal:% = shown;
        "connection {id} from {address} opened by {shown}{}", About(token)
    );
    core.audit.connected(connection.party(), "websocket", &connection.path);
    let mut limits = MessageLimits::from(&core.limits);
    passed.service.message_limits(&mut limits);
    // A panic in the author's service ends this connection and nothing else.
    let opened = catch_unwind(AssertUnwindSafe(|| passed.service.open(&Peer::new(&connection))));
    let mut session = match opened {
        Ok(Ok(session)) => session,
        Ok(Err(closed)) => {
            connection.close(closed.code, &closed.reason, Flush::Now);
            SessionBox::empty()
        }
        Err(_) => {
            panicked(&connection);
            SessionBox::empty()
        }
    };
    outbox.flush();
    // A stop that began before this connection was in the table has not seen it.
    if core.stopping() {
        connection.close(1001, "server is stopping", Flush::Now);
    }
    let ended = catch_unwind(AssertUnwindSafe(|| websocket::serve(read, &connection, &limits, &mut session)));
    let ended = ended.unwrap_or_else(|_| {
        panicked(&connection);
        connection.outbox.wait_written(Instant::now() + core.limits.close_deadline);
        Ended::ByServer
    });
    connection.end();
    if catch_unwind(AssertUnwindSafe(|| session.close(ended))).is_err() {
        panicked(&connection);
    }
    drop(entered);
    settle(64 << 10);
    let level = match ended {
        Ended::ByPeer(_) | Ended::ByServer | Ended::Lost => log::Level::Info,
        _ => log::Level::Warn,
    };
    log::log!(target: "mcp_blocking::connection", level, connection = id.0; "connection {id} ended: {ended}");
    core.audit.disconnected(connection.party(), &ended.to_string());
}

/// Takes note of a panic in the service, and closes with 1011.
pub(super) fn panicked(connection: &Connection) {
    connection.core.counters.connection_panics.fetch_add(1, Ordering::Relaxed);
    let id = connection.id;
    log::error!(target: "mcp_blocking::connection", connection = id.0; "connection {id} is closed: its session panicked");
    connection.close(1011, "internal error", Flush::Now);
}
