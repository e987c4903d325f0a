//! The `mcp-drain` thread: finishes what did not fit into a socket, and holds the write deadlines.

use super::link::Endpoint;
use super::outbox::{Outbox, Turn};
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The way to hand an outbox over; cheap to clone.
///
/// Every outbox holds one, and authors may keep a client's handle for as long as they like; so the thread ends when it
/// is told to, not when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Drain {
    sender: Sender<Order>,
    wake: Arc<wake::Waker>,
}

#[derive(Debug)]
enum Order {
    Write(Handed, Turn),
    Stop,
}

/// An outbox with its token, on its way to the thread. If the thread has ended meanwhile nobody will write it any more: then
/// it is ended, so that nobody waits for it.
#[derive(Debug)]
struct Handed(Option<Arc<Outbox>>);

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(outbox) = self.0.take() {
            give_up(&outbox);
        }
    }
}

/// Ends an outbox whose token is held here, and lets go of the token and of what was taken with it.
fn give_up(outbox: &Outbox) {
    outbox.abort();
    outbox.write_some();
}

impl Drain {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = unbounded();
        let (waker, sleeper) = wake::pair()?;
        let thread = std::thread::Builder::new()
            .name("mcp-drain".into())
            .stack_size(256 << 10)
            .spawn(move || run(&receiver, &sleeper))?;
        Ok((Self { sender, wake: Arc::new(waker) }, thread))
    }

    /// Takes the outbox with its token.
    pub(crate) fn take_over(&self, outbox: Arc<Outbox>, turn: Turn) {
        // An order that cannot be sent is dropped, which ends the outbox.
        if self.sender.send(Order::Write(Handed(Some(outbox)), turn)).is_ok() {
            self.wake.wake();
        }
    }

    /// Ends the thread; what is still blocked is cut.
    pub(crate) fn stop(&self) {
        if self.sender.send(Order::Stop).is_ok() {
            self.wake.wake();
        }
    }
}

struct Blocked {
    outbox: Arc<Outbox>,
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing is polled there"))]
    endpoint: Option<Arc<dyn Endpoint>>,
    deadline: Instant,
    /// Whole frames that had been written when the deadline was set.
    written: usize,
    /// It can be written to at once.
    ready: bool,
}

impl Blocked {
    fn new(outbox: Arc<Outbox>, ready: bool) -> Self {
        let deadline = Instant::now() + outbox.write_deadline();
        let (endpoint, written) = (outbox.endpoint(), outbox.frames_written());
        // Closed on its way here: there is nothing to poll, only something to let go of.
        let ready = ready || endpoint.is_none();
        Self { outbox, endpoint, deadline, written, ready }
    }
}

fn run(receiver: &Receiver<Order>, sleeper: &wake::Sleeper) {
    let mut blocked: Vec<Blocked> = Vec::new();
    loop {
        loop {
            match receiver.try_recv() {
                Ok(Order::Write(mut handed, turn)) => {
                    blocked.extend(handed.0.take().map(|outbox| Blocked::new(outbox, turn == Turn::More)));
                }
                // Without anybody who could give orders, nobody could wake it, either.
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => {
                    return blocked.iter().for_each(|one| give_up(&one.outbox));
                }
                Err(TryRecvError::Empty) => break,
            }
        }
        let timeout = if blocked.iter().any(|one| one.ready) {
            Some(Duration::ZERO)
        } else {
            let now = Instant::now();
            blocked.iter().map(|one| one.deadline.saturating_duration_since(now)).min()
        };
        wait(&mut blocked, sleeper, timeout);
        blocked.retain_mut(serve);
    }
}

/// Gives one outbox its turn; false when it is off this thread's hands.
fn serve(one: &mut Blocked) -> bool {
    let now = Instant::now();
    if one.ready {
        one.ready = false;
        match one.outbox.write_some() {
            Turn::Done | Turn::Dead => return false,
            Turn::More => one.ready = true,
            Turn::Blocked => {}
        }
        // A whole frame got through: it is slow, not stuck. The next frame has the full time again.
        let written = one.outbox.frames_written();
        if written != one.written {
            one.written = written;
            one.deadline = now + one.outbox.write_deadline();
        }
    }
    if now >= one.deadline {
        log::warn!(target: "mcp_blocking::connection", "a peer does not read: {} bytes dropped, connection cut", one.outbox.queued().0);
        give_up(&one.outbox);
        return false;
    }
    true
}

#[cfg(unix)]
fn wait(blocked: &mut [Blocked], sleeper: &wake::Sleeper, timeout: Option<Duration>) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = timeout.map(|time| {
        // Rounded up to a millisecond, so that a deadline just ahead is not polled for in a spin.
        let time = if time.is_zero() { time } else { time + Duration::from_millis(1) };
        Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() }
    });
    let woken: Vec<bool> = {
        let mut fds = Vec::with_capacity(blocked.len() + 1);
        fds.push(PollFd::new(sleeper.socket(), PollFlags::IN));
        for one in blocked.iter() {
            // One without a socket, or one that is ready anyway, keeps its place with no events asked for.
            let events = if one.ready { PollFlags::empty() } else { PollFlags::OUT };
            match one.endpoint.as_deref().and_then(Endpoint::pollable) {
                Some(socket) => fds.push(PollFd::from_borrowed_fd(socket, events)),
                None => fds.push(PollFd::new(sleeper.socket(), PollFlags::empty())),
            }
        }
        if poll(&mut fds, timeout.as_ref()).is_err() {
            // Interrupted, or out of memory for a moment: a short pause, so that this never spins.
            std::thread::sleep(Duration::from_millis(1));
        }
        fds.iter().map(|fd| !fd.revents().is_empty()).collect()
    };
    let mut woken = woken.into_iter();
    if woken.next() == Some(true) {
        sleeper.clear();
    }
    for (one, writable) in blocked.iter_mut().zip(woken) {
        one.ready |= writable;
    }
}

/// Without a way to poll sockets together with the wake-up: look every 10 ms while something is blocked.
#[cfg(not(unix))]
fn wait(blocked: &mut [Blocked], sleeper: &wake::Sleeper, timeout: Option<Duration>) {
    let most = if blocked.is_empty() { None } else { Some(Duration::from_millis(10).min(timeout.unwrap_or_default())) };
    sleeper.sleep(most);
    for one in blocked {
        one.ready = true;
    }
}

#[cfg(unix)]
mod wake {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Debug)]
    pub(super) struct Waker {
        socket: UnixStream,
        pending: Arc<AtomicBool>,
    }

    pub(super) struct Sleeper {
        socket: UnixStream,
        pending: Arc<AtomicBool>,
    }

    pub(super) fn pair() -> std::io::Result<(Waker, Sleeper)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let pending = Arc::new(AtomicBool::new(false));
        Ok((Waker { socket: ours, pending: Arc::clone(&pending) }, Sleeper { socket: theirs, pending }))
    }

    impl Waker {
        pub(super) fn wake(&self) {
            if !self.pending.swap(true, Ordering::AcqRel) {
                // Full means that a wake-up is under way already.
                let _ = (&self.socket).write(&[1]);
            }
        }
    }

    impl Sleeper {
        pub(super) fn socket(&self) -> &UnixStream {
            &self.socket
        }

        pub(super) fn clear(&self) {
            let mut buffer = [0; 16];
            // Empty is fine: then somebody is about to write.
            let _ = (&self.socket).read(&mut buffer);
            // After the read and before the orders are looked at: who wakes later writes again.
            self.pending.store(false, Ordering::Release);
        }
    }
}

#[cfg(not(unix))]
mod wake {
    use crossbeam_channel::{Receiver, Sender, bounded};
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Waker(Sender<()>);
    pub(super) struct Sleeper(Receiver<()>);

    pub(super) fn pair() -> std::io::Result<(Waker, Sleeper)> {
        let (sender, receiver) = bounded(1);
        Ok((Waker(sender), Sleeper(receiver)))
    }

    impl Waker {
        pub(super) fn wake(&self) {
            let _ = self.0.try_send(());
        }
    }

    impl Sleeper {
        pub(super) fn sleep(&self, most: Option<Duration>) {
            let _ = match most {
                Some(time) => self.0.recv_timeout(time).is_ok(),
                None => self.0.recv().is_ok(),
            };
        }
    }
}
