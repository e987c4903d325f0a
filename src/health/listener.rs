//! Who takes probes on an address of their own, and why can none of them hold up another?
//!
//! The `mcp-health` thread accepts; each probe has one of 16 threads to itself. When all are taken, the one that
//! gives the least reason to wait for it is cut: one that has its answer and lingers; else the oldest that has sent a part of its
//! head, for honest ones send it whole; else the oldest that has sent nothing for 10 ms; else one that does not take its answer. A
//! probe whose first bytes wait for its thread is never cut: so silent and dripping clients, however many, cost an honest one
//! milliseconds.

use super::Health;
use super::answer::Answer;
use super::crew::Crew;
use crate::engine::budget::Reservation;
use crate::engine::link::{self, Endpoint, Link, ReadHalf};
use crate::guard::address::ClientAddr;
use crate::guard::text::Escaped;
use crate::http::head::Head;
use crate::http::reader::HeadLimits;
use crate::http::refusal::Refusal;
use crate::metrics::ProbeOutcome;
use crate::transport::accept::{Door, Throttle, accept_until, send_last, wake};
use crate::transport::opening::{early_bytes, read_head};
use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Probes at once.
const MOST: usize = 16;
/// Time for a request head.
const HEAD: Duration = Duration::from_secs(2);
/// Time for the peer to take its answer.
const WRITE: Duration = Duration::from_secs(1);
/// Time for the peer to close, once it has its answer.
const LINGER: Duration = Duration::from_millis(250);
/// What is read away meanwhile: a socket closed with unread bytes resets, and the answer is lost.
const LINGER_BYTES: usize = 64 << 10;
/// A probe that is younger is not cut: its head may be on its way. Longer would let a crowd of silent ones fill the backlog.
const YOUNG: Duration = Duration::from_millis(10);
/// An answer whose peer has not taken it after so long is not being read; a thread that was cut ends sooner.
const STUCK: Duration = Duration::from_millis(100);
/// How long the accepting thread waits for a place before it turns a probe away.
const PATIENCE: Duration = Duration::from_millis(500);

/// The running health address.
pub(crate) struct HealthListener {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    stop: Arc<AtomicBool>,
    desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

impl HealthListener {
    pub(crate) fn start(listener: TcpListener, door: &Arc<Door>, health: &Arc<Health>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let listener = Arc::new(listener);
        let stop = Arc::new(AtomicBool::new(false));
        // For as long as it runs: a probe must find a thread when connections have taken all others.
        let threads = door.core.threads.reserve(MOST).ok_or(io::ErrorKind::OutOfMemory)?;
        let desk = Arc::new(Desk {
            door: Arc::clone(door),
            health: Arc::clone(health),
            log: Throttle::new(),
            probes: Mutex::new(Vec::with_capacity(MOST)),
            left: Condvar::new(),
            crew: Crew::new(MOST),
            _threads: threads,
        });
        let thread = std::thread::Builder::new().name("mcp-health".into()).spawn({
            let (listener, stop, desk) = (Arc::clone(&listener), Arc::clone(&stop), Arc::clone(&desk));
            move || {
                let stopped = || stop.load(Ordering::Acquire);
                accept_until(&listener, &desk.log, stopped, |stream, address| desk.admit(stream, address));
            }
        })?;
        Ok(Self { address, listener, stop, desk, thread })
    }

    /// Ends the thread and the probes. Blocks until they have ended, 500 ms at the most for one whose check does not
    /// return. Returns whether the thread ended without a panic.
    pub(crate) fn stop(self) -> bool {
        self.stop.store(true, Ordering::Release);
        wake(&self.listener, self.address, true);
        let well = self.thread.join().is_ok();
        self.desk.close();
        well
    }
}

/// Where a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Its head is not complete.
    HalfOpen = 0,
    /// Its answer is being made; the author's checks may be running.
    Answering,
    /// Its answer is being written.
    Writing,
    /// It has its answer.
    Leaving,
    /// Its socket has been shut down.
    Cut,
}

/// One probe.
struct Probe {
    endpoint: Arc<dyn Endpoint>,
    since: Instant,
    phase: AtomicU8,
    /// Its thread has read something.
    heard: AtomicBool,
}

/// Takes note of a probe's first bytes.
struct Noting {
    read: Box<dyn ReadHalf>,
    probe: Arc<Probe>,
}

impl ReadHalf for Noting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(buffer)?;
        self.probe.heard.store(true, Ordering::Release);
        Ok(count)
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.read.set_timeout(timeout)
    }
}

impl Probe {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::HalfOpen,
            1 => Phase::Answering,
            2 => Phase::Writing,
            3 => Phase::Leaving,
            _ => Phase::Cut,
        }
    }

    /// Once cut, a probe stays that.
    fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    fn cut(&self) {
        self.enter(Phase::Cut);
        self.endpoint.shutdown(Shutdown::Both);
    }
}

/// Where probes are dealt with.
struct Desk {
    door: Arc<Door>,
    health: Arc<Health>,
    log: Throttle,
    /// The oldest first.
    probes: Mutex<Vec<Arc<Probe>>>,
    left: Condvar,
    crew: Arc<Crew>,
    _threads: Reservation,
}

/// A probe's place; free again when dropped.
struct Place {
    desk: Arc<Desk>,
    probe: Arc<Probe>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.desk.probes.lock().retain(|probe| !Arc::ptr_eq(probe, &self.probe));
        self.desk.left.notify_all();
    }
}

impl Desk {
    /// Gives a probe its thread. Runs on the accepting thread; waits for a place, but never for a peer.
    fn admit(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let since = Instant::now();
        if !self.make_room(since + PATIENCE) {
            self.door.core.counters.probe(ProbeOutcome::Cut);
            let answer = Answer::text(503, "too many probes at once\n".into()).header("Retry-After", "1");
            return send_last(&stream, &answer.to_bytes());
        }
        let _ = stream.set_nodelay(true);
        let Link { read, endpoint, .. } = link::plain(Arc::new(stream));
        let probe =
            Arc::new(Probe { endpoint, since: Instant::now(), phase: AtomicU8::new(0), heard: AtomicBool::new(false) });
        self.probes.lock().push(Arc::clone(&probe));
        let place = Place { desk: Arc::clone(self), probe };
        let taken = self.crew.run(Box::new(move || {
            place.desk.serve(Noting { read, probe: Arc::clone(&place.probe) }, &place.probe, address);
        }));
        if let Err(error) = taken {
            // Place and socket went with the job.
            self.door.core.counters.probe(ProbeOutcome::Cut);
            if let Some(missed) = self.log.turn() {
                log::error!(target: "mcp_blocking::health", "no thread for a probe: {error}{missed}");
            }
        }
    }

    /// Waits until there is a place, and cuts others for it. False if they all are being answered.
    fn make_room(&self, deadline: Instant) -> bool {
        let mut cut: Option<Instant> = None;
        loop {
            let probes = {
                let probes = self.probes.lock();
                if probes.len() < MOST {
                    return true;
                }
                probes.clone()
            };
            // A thread that is to end does so in a moment: one at a time is enough.
            if cut.is_none_or(|since| since.elapsed() >= STUCK)
                && let Some(victim) = least_promising(&probes)
            {
                self.door.core.counters.probe(ProbeOutcome::Cut);
                victim.cut();
                cut = Some(Instant::now());
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            let mut probes = self.probes.lock();
            if probes.len() >= MOST {
                self.left.wait_until(&mut probes, deadline.min(now + Duration::from_millis(1)));
            }
        }
    }

    /// The life of a probe's thread.
    fn serve(&self, mut read: Noting, probe: &Probe, address: SocketAddr) {
        let limits = &self.door.core.limits;
        let head_limits = HeadLimits::from(limits);
        let head = read_head(&mut read, head_limits, probe.since + HEAD.min(limits.head_deadline), &self.log);
        let head = head.and_then(|read| match read {
            Some((_, ahead)) if !ahead.is_empty() => Err(early_bytes()),
            read => Ok(read.map(|(head, _)| head)),
        });
        if probe.phase() == Phase::Cut {
            return;
        }
        probe.enter(Phase::Answering);
        let answer = match head {
            Ok(Some(head)) => match self.door.gate.check_source(&head) {
                Ok(()) => {
                    self.door.core.counters.probe(ProbeOutcome::Answered);
                    self.health.answer(&head)
                }
                Err(refusal) => self.refuse(&refusal, Some(&head), address),
            },
            // Gone without having said anything worth an answer.
            Ok(None) => return,
            Err(refusal) => self.refuse(&refusal, None, address),
        };
        let Some(socket) = probe.endpoint.socket() else { return };
        probe.enter(Phase::Writing);
        if write_all(socket, &answer.to_bytes(), Instant::now() + WRITE).is_err() {
            return;
        }
        probe.enter(Phase::Leaving);
        probe.endpoint.shutdown(Shutdown::Write);
        read_away(&mut read, Instant::now() + LINGER);
    }

    fn refuse(&self, refusal: &Refusal, head: Option<&Head>, address: SocketAddr) -> Answer {
        self.door.core.counters.probe(ProbeOutcome::Refused);
        self.door.core.audit.refused(ClientAddr::from(address), refusal.label, refusal.status, None);
        if let Some(missed) = self.log.turn() {
            log::warn!(
                target: "mcp_blocking::health", status = refusal.status, reason = refusal.label;
                "probe from {address} refused with {}: {}{missed}",
                refusal.status, Escaped::short(&refusal.reason)
            );
        }
        Answer::from(refusal).without_body(head.is_some_and(|head| head.method == "HEAD"))
    }

    /// Cuts the probes that are not being answered, and waits until they have ended. Blocks for 500 ms at the most.
    fn close(&self) {
        let probes = self.probes.lock().clone();
        for probe in probes.iter().filter(|probe| matches!(probe.phase(), Phase::HalfOpen | Phase::Leaving)) {
            probe.cut();
        }
        if !self.crew.close(Instant::now() + PATIENCE) {
            let probes = self.probes.lock();
            probes.iter().for_each(|probe| probe.cut());
            log::error!(target: "mcp_blocking::health", "{} probes are left behind", probes.len());
        }
    }
}

/// Which of the probes to cut for another one. `probes` has the oldest first.
fn least_promising(probes: &[Arc<Probe>]) -> Option<&Arc<Probe>> {
    let of = |phase| probes.iter().filter(move |probe| probe.phase() == phase);
    let begun = || {
        let mut begun = of(Phase::HalfOpen).filter(|probe| probe.heard.load(Ordering::Acquire));
        begun.find(|probe| probe.since.elapsed() >= YOUNG)
    };
    let silent = || {
        let waiting: Vec<_> = of(Phase::HalfOpen).filter(|probe| probe.since.elapsed() >= YOUNG).collect();
        let unread = unread(&waiting);
        waiting.into_iter().zip(unread).find(|(_, unread)| !unread).map(|(probe, _)| probe)
    };
    of(Phase::Leaving)
        .next()
        .or_else(begun)
        .or_else(silent)
        .or_else(|| of(Phase::Writing).find(|probe| probe.since.elapsed() >= STUCK))
}

/// For each probe, whether bytes have come that its thread has not read.
fn unread(probes: &[&Arc<Probe>]) -> Vec<bool> {
    let sockets: Vec<_> = probes.iter().filter_map(|probe| probe.endpoint.socket()).collect();
    let mut fds: Vec<_> = sockets.iter().map(|socket| PollFd::new(*socket, PollFlags::IN)).collect();
    // On failure nothing is known to be unread.
    let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    let mut unread: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    unread.resize(probes.len(), false);
    unread
}

/// Writes all of it by the deadline.
fn write_all(mut socket: &TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // For each write anew, as a timeout alone would let a peer take one byte in a second for ever.
        socket.set_write_timeout(Some(time.max(Duration::from_millis(1))))?;
        match socket.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until the peer closes, the deadline, or [`LINGER_BYTES`].
fn read_away(read: &mut dyn ReadHalf, deadline: Instant) {
    let mut buffer = [0; 4 << 10];
    let mut left = LINGER_BYTES;
    loop {
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() || left == 0 || read.set_timeout(Some(time)).is_err() {
            return;
        }
        match read.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
