//! The `mcp-accept` threads: take connections, keep their number in bounds, and never end before the server does.

use super::opening;
use crate::engine::budget::Reservation;
use crate::engine::link;
use crate::engine::{Core, Opening};
use crate::guard::address::{self, AddressCounter, AddressLimits, ClientAddr};
use crate::guard::rate::RetryAfter;
use crate::http::head::Head;
use crate::http::refusal::Refusal;
use crate::http::response::Response;
use crate::transport::gate::Gate;
use parking_lot::Mutex;
use socket2::SockRef;
use std::fmt;
use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What waits to be accepted; the standard library's 128 overflow in a burst, and each overflow costs a client a second.
const BACKLOG: i32 = 1_024;
/// The stack of a connection's thread; handlers have larger ones. Only what is touched takes memory: this much is for what a quick tool's
/// arguments are checked with, in a build for debugging.
const STACK: usize = 512 << 10;

const CONNECT_RATE: &str = "too many connections have been opened from this address lately (`limits.connect_rate`)";
/// What is said to who has to wait for another attempt to log in.
pub(crate) const FAILED_LOGINS: &str =
    "too many attempts to log in have failed from this address (`limits.failed_logins`)";

/// What all connections of a server share.
pub(crate) struct Door {
    pub(crate) core: Arc<Core>,
    pub(crate) gate: Gate,
    seats: Mutex<AddressCounter>,
    pub(crate) log: Throttle,
    /// For the hint that a client speaks TLS to a plain port.
    pub(crate) tls_log: Throttle,
}

impl Door {
    pub(crate) fn new(core: Arc<Core>, gate: Gate) -> Arc<Self> {
        let limits = &core.limits;
        // Each connection is a thread, and the process aborts where threads end.
        let most =
            limits.connections.min(core.threads.limit().saturating_sub(limits.workers.saturating_add(16))).max(1);
        let seats = AddressCounter::new(AddressLimits {
            total: most,
            half_open: limits.half_open,
            per_address: limits.connections_per_address,
            loopback: limits.limit_loopback,
        });
        Arc::new(Self { core, gate, seats: Mutex::new(seats), log: Throttle::new(), tls_log: Throttle::new() })
    }
}

/// Opens a listening socket.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Windows the option means something else: to take a port away from its owner.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A running accept thread.
pub(crate) struct Acceptor {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    /// Nobody else uses the socket.
    ours: bool,
    thread: JoinHandle<()>,
}

impl Acceptor {
    pub(crate) fn start(listener: TcpListener, ours: bool, door: Arc<Door>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = Arc::new(listener);
        let thread = std::thread::Builder::new().name("mcp-accept".into()).stack_size(STACK).spawn({
            let listener = Arc::clone(&listener);
            move || {
                accept_until(
                    &listener,
                    &door.log,
                    || door.core.stopping(),
                    |stream, address| admit(stream, address, &door),
                );
            }
        })?;
        Ok(Self { address, listener, ours, thread })
    }

    /// Ends the thread, once the core is stopping. Blocks until it has ended. Returns whether it ended without a panic.
    pub(crate) fn stop(self) -> bool {
        wake(&self.listener, self.address, self.ours);
        self.thread.join().is_ok()
    }
}

/// Has an accept that waits on this socket return. `ours` says that nobody else uses the socket.
pub(crate) fn wake(listener: &TcpListener, address: SocketAddr, ours: bool) {
    // Linux: wakes the accept, but ends the socket for everybody who has it. Elsewhere, and then, a connection of our own
    // wakes it.
    let woken = ours && cfg!(target_os = "linux") && SockRef::from(listener).shutdown(Shutdown::Both).is_ok();
    if !woken {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let _ = TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), Duration::from_millis(200));
    }
}

/// Accepts until `stopped` says so; never ends before, never spins. Whoever wants it to stop has to [`wake`] it, too.
pub(crate) fn accept_until(
    listener: &TcpListener,
    log: &Throttle,
    stopped: impl Fn() -> bool,
    mut admit: impl FnMut(TcpStream, SocketAddr),
) {
    let mut pause = Duration::from_millis(10);
    while !stopped() {
        match listener.accept() {
            Ok((stream, address)) => {
                pause = Duration::from_millis(10);
                if !stopped() {
                    admit(stream, address);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if stopped() => return,
            Err(error) => {
                // Out of descriptors or memory, or the peer has gone already. Ending would lose the port for good, trying
                // again at once would take a core for nothing.
                if let Some(missed) = log.turn() {
                    log::warn!(target: "mcp_blocking::accept", "accept failed, trying on: {error}{missed}");
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(100));
            }
        }
    }
}

/// A counted place; given back when dropped.
pub(crate) struct Seat {
    door: Arc<Door>,
    /// Until it is known what comes of it.
    opening: Option<Opening>,
    /// Taken when it is given back.
    place: Option<address::Seat>,
    /// Behind a proxy.
    claim: Option<Claim>,
    _thread: Reservation,
}

impl Seat {
    /// A seat for a connection that a test has accepted itself.
    #[cfg(feature = "_fuzz")]
    pub(crate) fn take(door: &Arc<Door>, address: ClientAddr) -> Self {
        let place = door.seats.lock().try_admit(address).ok();
        Self {
            door: Arc::clone(door),
            opening: None,
            place,
            claim: None,
            _thread: door.core.threads.reserve(1).expect("a thread"),
        }
    }

    pub(crate) fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }

    /// Who sends that request: the peer, or whoever a trusted proxy says. What a proxy brings counts for that client.
    ///
    /// # Errors
    /// 400 if the proxy contradicts itself, 429 and 503 if the client has opened too much.
    pub(crate) fn client(&mut self, peer: ClientAddr, head: &Head) -> Result<ClientAddr, Refusal> {
        let origin = self.door.gate.proxies.client(peer, head)?;
        if !origin.by_proxy {
            return Ok(peer);
        }
        if head.wants_upgrade() {
            let retry = |retry: RetryAfter| retry.seconds().to_string();
            let opened = self.door.core.rates.connect(origin.address);
            opened
                .map_err(|wait| Refusal::new(429, "connect-rate", CONNECT_RATE).header("Retry-After", retry(wait)))?;
        }
        let counted = self.door.seats.lock().count(Some(origin.address));
        let group = counted
            .map_err(|refused| Refusal::new(503, refused.label(), refused.to_string()).header("Retry-After", "1"))?;
        self.claim = Some(Claim { door: Arc::clone(&self.door), group });
        Ok(origin.address)
    }

    /// What the client of a proxy has of its address's places, for who serves its request to keep for that time. A WebSocket leaves it here.
    pub(crate) fn take_claim(&mut self) -> Option<Claim> {
        self.claim.take()
    }

    /// What the peer wants is known, or that it wants nothing: it counts among the handshakes no longer, and is not cut for others any more.
    pub(crate) fn opened(&mut self) {
        self.opening = None;
        if let Some(place) = &mut self.place {
            self.door.seats.lock().established(place);
        }
    }
}

/// A place among those of a client's address, taken through a proxy; given back when dropped.
pub(crate) struct Claim {
    door: Arc<Door>,
    group: Option<IpAddr>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.door.seats.lock().leave(self.group);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.door.seats.lock().release(place);
        }
    }
}

fn admit(stream: TcpStream, address: SocketAddr, door: &Arc<Door>) {
    let core = &door.core;
    core.counters.accepted.fetch_add(1, Ordering::Relaxed);
    let address = ClientAddr::from(address);
    // Of a proxy it is known later for whom it has come.
    let known = (!door.gate.proxies.trusts(address)).then_some(address);
    if let Some(address) = known {
        if let Err(retry) = core.rates.connect(address) {
            return turn_away(&stream, address, door, ("connect-rate", 429, retry), CONNECT_RATE);
        }
        if let Err(retry) = core.rates.may_connect(address) {
            return turn_away(&stream, address, door, ("login-backoff", 429, retry), FAILED_LOGINS);
        }
    }
    let soon = RetryAfter(Duration::from_secs(1));
    let admitted = door.seats.lock().try_admit(known);
    let admitted = match admitted {
        // Who has been at it for longest makes room, or else whoever says nothing could keep everybody out.
        Err(address::Refused::HalfOpen { .. }) if core.cut_an_opening() => {
            core.counters.refuse("max-half-open");
            door.seats.lock().try_admit_instead(known)
        }
        admitted => admitted,
    };
    let place = match admitted {
        Ok(place) => place,
        Err(refused) => {
            return turn_away(&stream, address, door, (refused.label(), 503, soon), &refused.to_string());
        }
    };
    let Some(thread) = core.threads.reserve(1) else {
        door.seats.lock().release(place);
        return turn_away(&stream, address, door, ("threads", 503, soon), "the server has as many threads as it can");
    };
    // Before there is a thread for it: whoever comes next may need its place.
    let stream = Arc::new(stream);
    let opening = core.opening(Arc::<TcpStream>::clone(&stream), address);
    let seat =
        Seat { door: Arc::clone(door), opening: Some(opening), place: Some(place), claim: None, _thread: thread };
    // Answers leave at once; without this each small one waits for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let number = core.counters.accepted.load(Ordering::Relaxed);
    let serving = core.serving();
    let accepted = Instant::now();
    let spawned = std::thread::Builder::new().name(format!("mcp-conn-{number}")).stack_size(STACK).spawn(move || {
        let core = &seat.door().core;
        let link = match &core.tls {
            None => Ok(link::plain(stream)),
            Some(tls) => {
                let link = tls.link(stream);
                // It has looked for new ones.
                core.record_certificates(tls);
                link
            }
        };
        match link {
            Ok(link) => opening::run(link, address, seat, accepted),
            Err(error) => log::error!(target: "mcp_blocking::accept", "no TLS for {address}: {error}"),
        }
        drop(serving);
    });
    if let Err(error) = spawned {
        // The seat and the socket went with the closure.
        core.counters.refuse("threads");
        core.audit.refused(address, "threads", 0, None);
        if let Some(missed) = door.log.turn() {
            log::error!(target: "mcp_blocking::accept", "no thread for {address}: {error}{missed}");
        }
    }
}

/// Answers 503 or 429 without waiting for anything, in the accept thread: a peer cannot hold it.
fn turn_away(
    stream: &TcpStream,
    address: ClientAddr,
    door: &Door,
    (label, status, retry): (&'static str, u16, RetryAfter),
    refused: &str,
) {
    door.core.counters.refuse(label);
    door.core.audit.refused(address, label, status, None);
    if let Some(missed) = door.log.turn() {
        log::warn!(target: "mcp_blocking::accept", reason = label; "{address} refused: {refused}{missed}");
    }
    if door.core.tls.is_some() {
        // It would take an answer in plain text for garbage.
        return send_last(stream, &link::TLS_TURNED_AWAY);
    }
    let answer = Response::new(status)
        .header("Retry-After", retry.seconds().to_string())
        .text(format!("{refused}\n"))
        .to_bytes();
    send_last(stream, &answer);
}

/// Sends an answer and ends the connection, without waiting for anything.
pub(crate) fn send_last(stream: &TcpStream, answer: &[u8]) {
    let _ = link::send_without_blocking(stream, &[IoSlice::new(answer)]);
    let _ = stream.shutdown(Shutdown::Write);
    // What has come already is read away: a socket closed with unread bytes resets, and the answer is lost.
    if stream.set_nonblocking(true).is_ok() {
        let mut buffer = [0; 4 << 10];
        let _ = (&mut &*stream).read(&mut buffer);
    }
}

/// Lets a few log lines a second through, however many there are to write.
#[derive(Debug)]
pub(crate) struct Throttle {
    state: Mutex<(Instant, u32, u64)>,
}

impl Throttle {
    /// Lines a second.
    const LINES: u32 = 20;

    pub(crate) fn new() -> Self {
        Self { state: Mutex::new((Instant::now(), 0, 0)) }
    }

    /// How many lines were kept back since the last one, if this one may be written.
    pub(crate) fn turn(&self) -> Option<Missed> {
        let mut state = self.state.lock();
        let (since, written, missed) = &mut *state;
        if since.elapsed() >= Duration::from_secs(1) {
            (*since, *written) = (Instant::now(), 0);
        }
        if *written >= Self::LINES {
            *missed += 1;
            return None;
        }
        *written += 1;
        Some(Missed(std::mem::take(missed)))
    }
}

/// How many lines were kept back, as the end of the next one.
pub(crate) struct Missed(u64);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            missed => write!(f, " ({missed} more not logged)"),
        }
    }
}
