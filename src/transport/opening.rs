//! The first moments of a connection: its request head under one deadline, the gate, the upgrade; then its life as a
//! WebSocket, and the clearing away.

use super::accept::{Door, Seat};
use super::gate::Passed;
use super::websocket;
use crate::engine::connection::Connection;
use crate::engine::link::{Link, ReadHalf};
use crate::engine::outbox::{Flush, Frame, Outbox};
use crate::guard::address::ClientAddr;
use crate::guard::text::Escaped;
use crate::http::head::{Head, HeadErrorKind};
use crate::http::reader::{HeadLimits, HeadReader, Progress};
use crate::http::refusal::Refusal;
use crate::http::upgrade;
use crate::service::{Ended, MessageLimits, Peer, SessionBox};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The life of a connection's thread.
pub(crate) fn run(link: Link, address: ClientAddr, mut seat: Seat, accepted: Instant) {
    let door = seat.door();
    let Link { mut read, write, endpoint } = link;
    let outbox = door.core.outbox(write, endpoint);
    read.attach(&outbox);
    let head = read_head(&mut *read, &door, accepted);
    let passed = head.and_then(|head| head.map(|head| door.gate.check(&head, address)).transpose());
    match passed {
        Ok(Some(passed)) if read.set_timeout(None).is_ok() => {
            seat.established();
            upgraded(read, &outbox, address, passed, &door);
        }
        // Gone without having said anything worth an answer.
        Ok(_) => outbox.close(),
        Err(refusal) => refuse(read, &outbox, address, &refusal, &door),
    }
}

/// Reads one head. `None` if the peer left before it was complete.
fn read_head(read: &mut dyn ReadHalf, door: &Door, accepted: Instant) -> Result<Option<Head>, Refusal> {
    let limits = &door.core.limits;
    let deadline = accepted + limits.head_deadline;
    let mut reader = HeadReader::new(HeadLimits { bytes: limits.head_bytes, lines: limits.head_lines });
    let mut buffer = [0; 2 << 10];
    loop {
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Err(Refusal::new(408, "head-deadline", "send the request head faster"));
        }
        if read.set_timeout(Some(time)).is_err() {
            return Ok(None);
        }
        let count = match read.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
            Err(_) => return Ok(None),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        match reader.push(bytes) {
            Ok(Progress::More) => {}
            Ok(Progress::Done { used, .. }) if used < count => {
                // RFC 6455, 4.1: the client sends nothing before the answer to its handshake.
                return Err(Refusal::new(
                    400,
                    "early-bytes",
                    "send nothing behind the request head before it is answered",
                ));
            }
            Ok(Progress::Done { head, .. }) => return Ok(Some(head)),
            Err(error) => {
                if error.kind == HeadErrorKind::Tls {
                    log::warn!(target: "mcp_blocking::gate", "a client speaks TLS to this port, which is plain: use ws://, not wss://");
                }
                return Err(error.into());
            }
        }
    }
}

fn refuse(read: Box<dyn ReadHalf>, outbox: &Arc<Outbox>, address: ClientAddr, refusal: &Refusal, door: &Door) {
    door.core.counters.refused.fetch_add(1, Ordering::Relaxed);
    log::warn!(
        target: "mcp_blocking::gate", address:% = address, status = refusal.status, reason = refusal.label;
        "{address} refused with {}: {}", refusal.status, Escaped::short(&refusal.reason)
    );
    outbox.push_last(Some(Frame::raw(refusal.to_response().to_bytes())), false, Flush::Now);
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
    let connection = Connection::new(Arc::clone(core), Arc::clone(outbox), address, passed.principal);
    let id = connection.id;
    let answer = upgrade::switching_protocols(&passed.accept, passed.protocol.as_deref());
    if connection.send(Frame::raw(answer), Flush::Now).is_err() {
        return outbox.close();
    }
    core.enter(&connection);
    let entered = Entered(Arc::clone(&connection));
    connection.watch();
    let who = connection.principal.as_ref().map_or("anonymous", |principal| principal.id());
    log::info!(
        target: "mcp_blocking::connection", connection = id.0, address:% = address, principal:% = Escaped::short(who);
        "connection {id} from {address} opened by {}", Escaped::short(who)
    );
    let mut limits = MessageLimits::from(&core.limits);
    passed.service.message_limits(&mut limits);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let mut session = match passed.service.open(&Peer::new(&connection)) {
            Ok(session) => session,
            Err(closed) => {
                connection.close(closed.code, &closed.reason, Flush::Now);
                let mut nobody = SessionBox::empty();
                return websocket::serve(read, &connection, &limits, &mut nobody);
            }
        };
        // A stop that began before this connection was in the table has not seen it.
        if core.stopping() {
            connection.close(1001, "server is stopping", Flush::Now);
        }
        let ended = websocket::serve(read, &connection, &limits, &mut session);
        connection.end();
        session.close(ended);
        ended
    }));
    drop(entered);
    match ended {
        Ok(ended @ (Ended::ByPeer(_) | Ended::ByServer | Ended::Lost)) => log::info!(
            target: "mcp_blocking::connection", connection = id.0;
            "connection {id} ended: {ended}"
        ),
        Ok(ended) => log::warn!(
            target: "mcp_blocking::connection", connection = id.0;
            "connection {id} ended: {ended}"
        ),
        Err(_) => {
            core.counters.connection_panics.fetch_add(1, Ordering::Relaxed);
            log::error!(target: "mcp_blocking::connection", connection = id.0; "connection {id} ended: its session panicked");
        }
    }
}
