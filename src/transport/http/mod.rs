//! One connection that speaks HTTP: request after request, each answered by whoever serves it, while this thread
//! goes on reading: so the end of the peer is seen while a handler computes.

pub(crate) mod body;
pub(crate) mod exchange;

use super::accept::{Claim, Door, Seat};
use super::gate::{Admitted, HttpPassed};
use super::{opening, websocket};
use crate::engine::connection::{Connection, Mark};
use crate::engine::ending::LULL;
use crate::engine::framing::Framing;
use crate::engine::link::ReadHalf;
use crate::engine::outbox::{self, Flush, Frame, Outbox, Phase};
use crate::engine::pool::Abandon;
use crate::engine::settle::settle;
use crate::guard::address::ClientAddr;
use crate::http::framing::BodyLength;
use crate::http::head::Head;
use crate::http::reader::{HeadLimits, HeadReader, Progress};
use crate::http::refusal::Refusal;
use crate::principal::Principal;
use body::Body;
use exchange::Exchange;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// A body that leaves something behind with the allocator.
const LARGE: usize = 16 << 10;
/// What may wait of requests that come before the answer to the one ahead of them.
const AHEAD: usize = 64 << 10;
/// How often a client that sends ahead is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// A protocol that is served over HTTP.
pub(crate) trait HttpService: Send + Sync {
    /// For a new connection.
    fn connection(&self) -> Box<dyn HttpConnection>;
}

/// What belongs to one connection, on its thread.
pub(crate) trait HttpConnection {
    /// Serves a request, or has it served by somebody else: does not wait.
    fn request(&mut self, principal: Option<Principal>, body: Vec<u8>, exchange: &Arc<Exchange>);
    /// The request is still under way, and the time has come for a sign of life.
    fn takes_long(&mut self, exchange: &Exchange);
    /// The connection has lived long enough: what has no end of its own is ended.
    fn retire(&mut self, exchange: &Exchange);
    /// The request is over, or the client has gone before that.
    fn over(&mut self);
}

/// HTTP, as seen by the engine, which has nothing to say of its own on such a connection.
struct HttpFraming;

impl Framing for HttpFraming {
    fn text(&self, body: outbox::Body) -> Frame {
        Frame::new(&[], body)
    }

    fn binary(&self, body: outbox::Body) -> Frame {
        Frame::new(&[], body)
    }

    fn ping(&self) -> Option<Frame> {
        None
    }

    fn close(&self, _code: u16, _reason: &str) -> Option<Frame> {
        None
    }
}

/// Takes the connection out of the table, also when its service panics.
struct Entered(Arc<Connection>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.end();
        self.0.core.leave(self.0.id);
    }
}

/// Serves a connection whose first request was let in. Blocks for as long as it lasts. `ahead` is what was read behind
/// the head.
pub(crate) fn serve(
    mut read: Box<dyn ReadHalf>,
    outbox: &Arc<Outbox>,
    (peer, mut address): (ClientAddr, ClientAddr),
    first: (Head, HttpPassed),
    mut ahead: Vec<u8>,
    seat: &mut Seat,
) {
    let door = &seat.door();
    let core = &door.core;
    let path = Arc::clone(&first.1.path);
    let connection = Connection::new(Arc::clone(core), &HttpFraming, Arc::clone(outbox), address, None, path);
    core.enter(&connection);
    let entered = Entered(Arc::clone(&connection));
    connection.limit_life();
    connection.watch();
    let id = connection.id;
    log::debug!(target: "mcp_blocking::connection", connection = id.0, address:% = address; "connection {id} from {address} speaks HTTP");
    // Each request may come from somebody else, and from elsewhere; told is who is new, or new from there.
    let mut known = (first.1.principal.clone(), address);
    core.audit.connected(connection.party_of(known.0.as_ref(), known.1), "http", &connection.path);
    let mut service = first.1.service.connection();
    let mut next = Some(first);
    while let Some((head, passed)) = next.take() {
        let was = (known.0.as_ref().map(Principal::id), known.1.ip());
        if (passed.principal.as_ref().map(Principal::id), address.ip()) != was {
            known = (passed.principal.clone(), address);
            if known.0.is_some() {
                core.audit.authenticated(connection.party_of(known.0.as_ref(), known.1));
            }
        }
        let cors = passed.headers.clone();
        let from = (address, seat.take_claim());
        match request(&mut *read, &connection, &mut *service, (head, from), passed, &mut ahead, door) {
            Ok(true) if !core.stopping() && !connection.is_closing() => {}
            Ok(_) => break,
            Err(refusal) => {
                // What was read of the body, if anything, says nothing about where the next request begins.
                turn_away(&connection, door, address, &refusal.with(cors));
                break;
            }
        }
        let asked = next_head(&mut *read, &mut ahead, door).and_then(|head| {
            let Some(head) = head else { return Ok(None) };
            address = seat.client(peer, &head)?;
            match opening::check(door, &head, address, read.certificate().as_ref())? {
                Admitted::Http(passed) => Ok(Some((head, passed))),
                Admitted::Answered(answer) => {
                    let _ = connection.send(Frame::raw(answer), Flush::Later);
                    Ok(None)
                }
                Admitted::WebSocket(_) => {
                    Err(Refusal::new(400, "upgrade", "open a WebSocket on a connection of its own"))
                }
            }
        });
        next = asked.unwrap_or_else(|refusal| {
            turn_away(&connection, door, address, &refusal);
            None
        });
    }
    connection.close(1000, "", Flush::Now);
    drop(service);
    websocket::finish(read, outbox, core.limits.close_deadline);
    drop(entered);
    log::debug!(target: "mcp_blocking::connection", connection = id.0; "connection {id} ended");
    core.audit.disconnected(connection.party_of(known.0.as_ref(), known.1), "ended");
}

/// Answers a request that is not served, and behind which the connection ends.
fn turn_away(connection: &Connection, door: &Door, address: ClientAddr, refusal: &Refusal) {
    opening::log_refusal(door, address, refusal);
    let _ = connection.send(Frame::raw(refusal.to_response().to_bytes()), Flush::Later);
}

/// Serves one request to its end. False if the connection is over.
fn request(
    read: &mut dyn ReadHalf,
    connection: &Arc<Connection>,
    service: &mut dyn HttpConnection,
    (head, (address, claim)): (Head, (ClientAddr, Option<Claim>)),
    passed: HttpPassed,
    ahead: &mut Vec<u8>,
    door: &Door,
) -> Result<bool, Refusal> {
    let core = &connection.core;
    let limits = &core.limits;
    let length = head.body()?;
    if head.expects_continue()? && !length.is_empty() && ahead.is_empty() {
        if matches!(length, BodyLength::Length(length) if length > limits.message_bytes as u64) {
            return Err(Refusal::new(413, "body-size", format!("send at most {} bytes", limits.message_bytes)));
        }
        let _ = connection.send(Frame::raw(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()), Flush::Now);
    }
    let deadline = Instant::now() + limits.body_deadline;
    core.shares.move_to(&connection.lane, passed.principal.as_ref(), address);
    let memory = &connection.lane.share().reading;
    let body = body::read_body(read, ahead, length, limits.message_bytes, deadline, memory)?;
    let Some(Body { bytes, memory }) = body else { return Ok(false) };
    // The body may have taken its time.
    if let Some(principal) = &passed.principal {
        door.gate.authenticator.challenge.still_valid(principal, SystemTime::now())?;
    }
    let size = bytes.capacity();
    // Whoever may not be here any more before it is answered gets no answer.
    connection.set_tenant(passed.principal.clone().map(|principal| (principal, address)));
    let exchange = Exchange::new(Arc::clone(connection), head, address, passed.headers, passed.challenge);
    claim.into_iter().for_each(|claim| exchange.hold(claim));
    let served = catch_unwind(AssertUnwindSafe(|| service.request(passed.principal, bytes, &exchange)));
    // What is under way counts for itself.
    drop(memory);
    if served.is_err() {
        core.counters.connection_panics.fetch_add(1, Ordering::Relaxed);
        log::error!(target: "mcp_blocking::connection", connection = connection.id.0; "connection {}: its service panicked", connection.id);
        exchange.finish(500, Flush::Later);
    }
    connection.outbox.flush();
    if size > LARGE {
        settle(size);
    }
    let goes_on = wait_over(read, connection, service, &exchange, ahead);
    if !goes_on && !exchange.is_over() {
        // Who has closed only the sending side cannot be told from who has left, and is not told that its request is over.
        match connection.right_ended() {
            Some((principal, ended)) => {
                core.counters.refuse(ended.label());
                exchange.refuse(&door.gate.authenticator.challenge.ended(&principal, ended));
            }
            None if connection.is_overdue() => {
                let refusal = overdue();
                core.counters.refuse(refusal.label);
                exchange.refuse(&refusal);
            }
            None => exchange.give_up(),
        }
        // In the modern era that is how a client cancels (2026-07-28, basic/patterns/cancellation); work of a session goes on,
        // as it is not in this connection's lane.
        connection.lane.abandon(Abandon::Disconnected);
    }
    service.over();
    connection.set_tenant(None);
    Ok(goes_on)
}

/// To whose request the connection has no more time for.
fn overdue() -> Refusal {
    Refusal::new(503, "lifetime", "this connection has lived long enough: ask again over another")
        .header("Retry-After", "1")
}

/// Waits until the request is answered and the next one begins. False if there will be none.
fn wait_over(
    read: &mut dyn ReadHalf,
    connection: &Connection,
    service: &mut dyn HttpConnection,
    exchange: &Exchange,
    ahead: &mut Vec<u8>,
) -> bool {
    let (idle, interval) = (connection.core.limits.keep_alive, connection.core.limits.ping_interval);
    let mut sign = Instant::now() + interval;
    let mut idle_since = None;
    let mut retired = false;
    let mut buffer = [0; 4 << 10];
    loop {
        if connection.is_retiring() && !retired {
            retired = true;
            service.retire(exchange);
            connection.outbox.flush();
        }
        // Who has sent ahead as much as may wait is not read, so that its end is seen here alone.
        if connection.mark() == Mark::RightEnded || connection.outbox.phase() == Phase::Closed {
            return false;
        }
        let over = exchange.is_over();
        if over && !ahead.is_empty() {
            return true;
        }
        if over {
            idle_since.get_or_insert_with(Instant::now);
        }
        // Not at once: the client may have been told that it can send another request.
        let lull = retired && idle_since.is_some_and(|since: Instant| since.elapsed() >= LULL);
        if over && (connection.is_closing() || connection.core.stopping() || lull) || connection.is_overdue() {
            return false;
        }
        let now = Instant::now();
        if !over && now >= sign {
            sign = now + interval;
            service.takes_long(exchange);
        }
        // Who sends ahead is looked at now and then; everybody else wakes this thread by sending, or by leaving.
        let patience = match ahead.is_empty() {
            true if over => idle,
            true => idle.min(sign - now),
            false => Duration::from_millis(1),
        };
        let patience = patience.min(if retired { LULL } else { connection.retires_in() }).max(Duration::from_millis(1));
        if !ahead.is_empty() && exchange.wait_over(GLANCE) {
            continue;
        }
        if ahead.len() >= AHEAD {
            continue;
        }
        if read.set_timeout(Some(patience)).is_err() {
            return false;
        }
        match read.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => ahead.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            // A read may end before its time, for something that is TLS's own business.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                if ahead.is_empty() && idle_since.is_some_and(|since: Instant| since.elapsed() >= idle - idle / 8) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
}

/// Reads the next head: its first bytes are there already. `None` if the peer left.
fn next_head(read: &mut dyn ReadHalf, ahead: &mut Vec<u8>, door: &Door) -> Result<Option<Head>, Refusal> {
    let limits = &door.core.limits;
    let mut reader = HeadReader::new(HeadLimits::from(limits));
    let deadline = Instant::now() + limits.head_deadline;
    let mut buffer = [0; 2 << 10];
    loop {
        match reader.push(ahead)? {
            Progress::Done { head, used } => {
                ahead.drain(..used.min(ahead.len()));
                return Ok(Some(head));
            }
            Progress::More => ahead.clear(),
        }
        match opening::read_until(read, &mut buffer, deadline)? {
            Some(count) => ahead.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            None => return Ok(None),
        }
    }
}
