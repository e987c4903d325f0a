//! The outbox under stress, against a scripted half and against real sockets.

use super::*;
use crate::engine::link::{self, Link, ReadHalf};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// What no test should ever need.
const LONG: Duration = Duration::from_secs(20);

fn soon() -> Instant {
    Instant::now() + LONG
}

/// Waits for what has no event of its own.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = soon();
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below.max(1)
    }
}

type Seen = Arc<Mutex<Vec<u8>>>;

/// A half that takes as many bytes of those offered as its script says.
struct Scripted<F> {
    script: F,
    seen: Seen,
    _alive: Arc<()>,
}

impl<F: FnMut(usize) -> io::Result<usize> + Send> WriteHalf for Scripted<F> {
    fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered = parts.iter().map(|part| part.len()).sum();
        let taken = (self.script)(offered)?.min(offered);
        let mut left = taken;
        let mut seen = self.seen.lock();
        for part in parts {
            let step = part.len().min(left);
            seen.extend_from_slice(&part[..step]);
            left -= step;
        }
        Ok(taken)
    }
}

/// An endpoint that remembers how it was shut down.
#[derive(Default)]
struct Recorded {
    /// What the drain polls.
    socket: Option<TcpStream>,
    _peer: Option<TcpStream>,
    shut: Mutex<Vec<Shutdown>>,
    /// Told when the sending side is shut down; that takes until the answer comes, or 100 ms.
    slow: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

impl Recorded {
    fn new((socket, peer): (TcpStream, TcpStream)) -> Arc<Self> {
        Arc::new(Self { socket: Some(socket), _peer: Some(peer), ..Self::default() })
    }

    /// One whose socket is full.
    fn full() -> Arc<Self> {
        let (ours, theirs) = pair();
        while link::send_without_blocking(&ours, &[IoSlice::new(&[0; 4 << 10])]).is_ok() {}
        Self::new((ours, theirs))
    }
}

impl Endpoint for Recorded {
    fn shutdown(&self, how: Shutdown) {
        self.shut.lock().push(how);
        if let Some(socket) = &self.socket {
            let _ = socket.shutdown(how);
        }
        if how != Shutdown::Write {
            return;
        }
        if let Some((told, answer)) = &*self.slow.lock() {
            told.send(()).unwrap();
            let _ = answer.recv_timeout(Duration::from_millis(100));
        }
    }

    fn socket(&self) -> Option<&TcpStream> {
        self.socket.as_ref()
    }
}

const ROOMY: OutboxLimits = OutboxLimits { bytes: 64 << 20, frames: 1 << 20, write_deadline: LONG };

/// An outbox with all around it.
struct Bench {
    outbox: Arc<Outbox>,
    budget: Arc<Budget>,
    drain: Drain,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    fn new(half: Box<dyn WriteHalf>, endpoint: Arc<dyn Endpoint>, limits: OutboxLimits) -> Self {
        Self::with_budget(half, endpoint, limits, 1 << 30)
    }

    fn with_budget(half: Box<dyn WriteHalf>, endpoint: Arc<dyn Endpoint>, limits: OutboxLimits, budget: usize) -> Self {
        let (drain, thread) = Drain::start().unwrap();
        let budget = Budget::new(budget);
        let outbox = Outbox::new(half, endpoint, limits, Arc::clone(&budget), drain.clone());
        Self { outbox, budget, drain, thread: Some(thread) }
    }

    /// A half with a script. Polling its endpoint always says "writable".
    fn scripted(
        limits: OutboxLimits,
        script: impl FnMut(usize) -> io::Result<usize> + Send + 'static,
    ) -> (Self, Seen, Arc<Recorded>) {
        Self::scripted_at(limits, Recorded::new(pair()), script)
    }

    /// One that takes nothing, and whose endpoint never becomes writable.
    fn stuck(limits: OutboxLimits) -> Self {
        Self::scripted_at(limits, Recorded::full(), |_| Err(io::ErrorKind::WouldBlock.into())).0
    }

    fn scripted_at(
        limits: OutboxLimits,
        endpoint: Arc<Recorded>,
        script: impl FnMut(usize) -> io::Result<usize> + Send + 'static,
    ) -> (Self, Seen, Arc<Recorded>) {
        let seen = Seen::default();
        let half = Scripted { script, seen: Arc::clone(&seen), _alive: Arc::new(()) };
        (Self::new(Box::new(half), Arc::clone(&endpoint) as Arc<dyn Endpoint>, limits), seen, endpoint)
    }

    /// A real connection with small buffers; the other end is returned, and our reading half.
    fn socket(limits: OutboxLimits) -> (Self, TcpStream, Box<dyn ReadHalf>) {
        let (ours, theirs) = pair();
        socket2::SockRef::from(&ours).set_send_buffer_size(16 << 10).unwrap();
        let Link { read, write, endpoint } = link::plain(Arc::new(ours));
        (Self::new(write, endpoint, limits), theirs, read)
    }

    fn push(&self, frame: Frame, flush: Flush) {
        self.outbox.push(frame, flush).unwrap();
    }

    fn refused(&self, frame: Frame) -> Option<Refused> {
        self.outbox.push(frame, Flush::Now).err().map(|(why, _)| why)
    }

    /// All is written, the token is given back and nothing is accounted any more.
    #[track_caller]
    fn assert_empty(&self) {
        let phase = self.outbox.wait_written(soon());
        until("the token", || !self.outbox.queue.lock().writing);
        assert_eq!((phase, self.outbox.queued(), self.budget.used()), (phase, (0, 0), 0));
        assert!(self.outbox.writer.lock().batch.is_empty());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.drain.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// A loopback connection; the second end has a small buffer for what it receives.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(16 << 10).unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = listener.accept().unwrap().0;
    theirs.set_read_timeout(Some(LONG)).unwrap();
    (ours, theirs)
}

/// A frame that says who sent it, which of his it is, and how long it is.
fn numbered(thread: usize, number: usize, length: usize) -> Frame {
    let mut head = [0; 10];
    head[..2].copy_from_slice(&(thread as u16).to_be_bytes());
    head[2..6].copy_from_slice(&(number as u32).to_be_bytes());
    head[6..].copy_from_slice(&(length as u32).to_be_bytes());
    Frame::new(&head, Body::Owned(vec![thread as u8 ^ number as u8; length]))
}

/// Takes such frames apart again: who, which, how long. Fails if one is not whole.
#[track_caller]
fn frames_in(mut bytes: &[u8]) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(10).expect("a whole head");
        let thread = usize::from(u16::from_be_bytes([head[0], head[1]]));
        let number = u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize;
        let length = u32::from_be_bytes([head[6], head[7], head[8], head[9]]) as usize;
        let (body, rest) = rest.split_at_checked(length).expect("a whole body");
        assert!(body.iter().all(|byte| *byte == thread as u8 ^ number as u8), "frames are mixed up");
        found.push((thread, number, length));
        bytes = rest;
    }
    found
}

/// Every thread's frames are all there, in their order.
#[track_caller]
fn assert_complete(frames: &[(usize, usize, usize)], threads: usize, each: usize) {
    assert_eq!(frames.len(), threads * each);
    let mut next = vec![0; threads];
    for (thread, number, _) in frames {
        assert_eq!(*number, next[*thread], "order of thread {thread}");
        next[*thread] += 1;
    }
}

/// Many threads push frames of random length in random ways, and flush at the end as a connection's thread does.
fn push_from_many(outbox: &Arc<Outbox>, threads: usize, each: usize, longest: usize) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut dice = Dice(thread as u64 * 77 + 5);
                for number in 0..each {
                    let flush = [Flush::Now, Flush::Now, Flush::Later, Flush::Elsewhere][dice.next(4)];
                    let length = dice.next(longest) * usize::from(dice.next(3) > 0);
                    outbox.push(numbered(thread, number, length), flush).unwrap();
                    match dice.next(8) {
                        0 => outbox.flush(),
                        1 => outbox.kick(),
                        2 => std::thread::yield_now(),
                        _ => {}
                    }
                }
                outbox.flush();
            });
        }
    });
}

#[test]
fn frames_of_many_threads_arrive_whole_and_in_order_however_the_socket_behaves() {
    for seed in 1..=4 {
        let mut dice = Dice(seed);
        let (bench, seen, _) = Bench::scripted(ROOMY, move |offered| match dice.next(10) {
            0..2 => Err(io::ErrorKind::WouldBlock.into()),
            2 => Err(io::ErrorKind::Interrupted.into()),
            3 => {
                std::thread::yield_now();
                Ok(1)
            }
            4..7 => Ok(1 + dice.next(offered)),
            _ => Ok(offered),
        });
        push_from_many(&bench.outbox, 6, 300, 700);
        bench.assert_empty();
        assert_eq!(bench.outbox.frames_written(), 6 * 300);
        assert_complete(&frames_in(&seen.lock()), 6, 300);
    }
}

#[test]
fn frames_of_many_threads_arrive_whole_and_in_order_over_a_socket_that_fills_up() {
    let (bench, mut theirs, _read) = Bench::socket(ROOMY);
    let reader = std::thread::spawn(move || {
        let (mut all, mut dice) = (Vec::new(), Dice(9));
        let mut buffer = vec![0; 40 << 10];
        loop {
            let most = 1 + dice.next(buffer.len());
            match theirs.read(&mut buffer[..most]).unwrap() {
                0 => return all,
                count => all.extend_from_slice(&buffer[..count]),
            }
        }
    });
    push_from_many(&bench.outbox, 6, 200, 8 << 10);
    assert!(bench.outbox.push_last(None, false, Flush::Now));
    assert_eq!(bench.outbox.wait_written(soon()), Phase::Draining);
    bench.assert_empty();
    assert_complete(&frames_in(&reader.join().unwrap()), 6, 200);
}

#[test]
fn no_wake_up_is_lost_when_a_push_meets_the_end_of_a_turn() {
    // One frame at a time from two threads: each push is as likely as can be to meet the other's last look.
    let (bench, seen, _) = Bench::scripted(ROOMY, Ok);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let outbox = &bench.outbox;
            scope.spawn(move || {
                for number in 0..5_000 {
                    outbox.push(numbered(thread, number, 0), Flush::Now).unwrap();
                    assert!(Instant::now() < soon());
                    assert_eq!(outbox.wait_written(soon()), Phase::Open);
                }
            });
        }
    });
    bench.assert_empty();
    assert_complete(&frames_in(&seen.lock()), 2, 5_000);
}

#[test]
fn keyed_frames_replace_each_other_only_while_they_wait() {
    let (gate, opened) = mpsc::channel::<()>();
    let (begun, began) = mpsc::channel();
    let (bench, seen, _) = Bench::scripted(ROOMY, move |offered| {
        begun.send(()).unwrap();
        opened.recv().unwrap();
        Ok(offered)
    });
    std::thread::scope(|scope| {
        scope.spawn(|| bench.push(numbered(0, 0, 5).keyed(7), Flush::Now));
        began.recv_timeout(LONG).unwrap();
        // The first is being written: it stays. Of those that wait, the last of a key takes the place of the first.
        for (number, key, length) in
            [(1, 7, 50_000), (2, 0, 2), (3, 7, 3), (4, 8, 4), (5, 0, 5), (6, 8, 40_000), (7, 8, 7)]
        {
            bench.push(numbered(0, number, length).keyed(key), Flush::Now);
        }
        let waiting: usize = [3, 2, 7, 5].iter().map(|length| numbered(0, 0, *length).cost()).sum();
        assert_eq!(bench.outbox.queued(), (waiting + numbered(0, 0, 5).cost(), 5));
        assert_eq!(bench.budget.used(), bench.outbox.queued().0);
        gate.send(()).unwrap();
        gate.send(()).unwrap();
    });
    bench.assert_empty();
    let order: Vec<_> = frames_in(&seen.lock()).iter().map(|frame| frame.1).collect();
    assert_eq!(order, [0, 3, 2, 7, 5]);
}

#[test]
fn numbered_frames_that_replace_each_other_keep_their_order() {
    let (gate, opened) = mpsc::channel::<()>();
    let (begun, began) = mpsc::channel();
    let (bench, seen, _) = Bench::scripted(ROOMY, move |offered| {
        begun.send(()).unwrap();
        opened.recv().unwrap();
        Ok(offered)
    });
    std::thread::scope(|scope| {
        scope.spawn(|| bench.push(numbered(0, 0, 5).keyed_behind(7), Flush::Now));
        began.recv_timeout(LONG).unwrap();
        for (number, key) in [(1, 7), (2, 0), (3, 8), (4, 7), (5, 0), (6, 8), (7, 7)] {
            bench.push(numbered(0, number, 9).keyed_behind(key), Flush::Now);
        }
        assert_eq!(bench.outbox.queued(), (numbered(0, 0, 5).cost() + 4 * numbered(0, 0, 9).cost(), 5));
        assert_eq!(bench.budget.used(), bench.outbox.queued().0);
        gate.send(()).unwrap();
        gate.send(()).unwrap();
    });
    bench.assert_empty();
    let order: Vec<_> = frames_in(&seen.lock()).iter().map(|frame| frame.1).collect();
    assert_eq!(order, [0, 2, 5, 6, 7]);
}

#[test]
fn a_keyed_frame_that_is_to_leave_now_takes_one_that_was_gathered_along() {
    let (bench, seen, _) = Bench::scripted(ROOMY, Ok);
    bench.push(numbered(0, 0, 1).keyed(3), Flush::Later);
    bench.push(numbered(0, 1, 1).keyed(3), Flush::Now);
    assert_eq!(frames_in(&seen.lock()), [(0, 1, 1)]);
    bench.assert_empty();
}

#[test]
fn what_is_for_later_is_gathered_until_a_flush_and_leaves_in_one_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let (bench, seen, _) = Bench::scripted(ROOMY, move |offered| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(offered)
    });
    for number in 0..60 {
        bench.push(numbered(0, number, 16), Flush::Later);
    }
    assert!(seen.lock().is_empty());
    bench.outbox.flush();
    assert_eq!((frames_in(&seen.lock()).len(), calls.load(Ordering::Relaxed)), (60, 1));
    bench.assert_empty();
    // Nothing waits: nothing is called.
    bench.outbox.flush();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_for_later_is_written_when_it_has_grown_large() {
    let (bench, seen, _) = Bench::scripted(ROOMY, Ok);
    for number in 0..15 {
        bench.push(numbered(0, number, 1_000), Flush::Later);
    }
    assert!(seen.lock().is_empty());
    bench.push(numbered(0, 15, 1_000), Flush::Later);
    assert_eq!(frames_in(&seen.lock()).len(), 16);
    bench.assert_empty();
}

#[test]
fn a_full_queue_refuses_by_frames_and_by_bytes_and_hands_the_frame_back() {
    let bench = Bench::stuck(OutboxLimits { frames: 3, ..ROOMY });
    for number in 0..3 {
        bench.push(numbered(0, number, 1), Flush::Now);
    }
    let (why, frame) = bench.outbox.push(numbered(0, 3, 7), Flush::Now).unwrap_err();
    assert_eq!((why, frame.len()), (Refused::Full, 17));

    let bench = Bench::stuck(OutboxLimits { bytes: 10_000, ..ROOMY });
    // One frame that is larger than the queue passes if it is alone.
    bench.push(numbered(0, 0, 20_000), Flush::Later);
    assert_eq!(bench.refused(numbered(0, 1, 1)), Some(Refused::Full));
    let used = bench.budget.used();
    assert_eq!(bench.outbox.queued(), (used, 1));
    bench.outbox.close();
    bench.assert_empty();
    assert_eq!(bench.refused(numbered(0, 2, 1)), Some(Refused::Closed));
}

#[test]
fn the_process_budget_refuses_and_the_last_frame_passes_all_the_same() {
    let half =
        Scripted { script: |_| Err(io::ErrorKind::WouldBlock.into()), seen: Seen::default(), _alive: Arc::default() };
    let bench = Bench::with_budget(Box::new(half), Recorded::full(), ROOMY, 3_000);
    bench.push(numbered(0, 0, 2_000), Flush::Now);
    assert_eq!(bench.refused(numbered(0, 1, 2_000)), Some(Refused::Exhausted));
    assert!(bench.outbox.push_last(Some(numbered(0, 2, 2_000)), false, Flush::Now));
    assert!(bench.budget.used() > 3_000);
    assert_eq!(bench.refused(numbered(0, 3, 0)), Some(Refused::Closed));
    assert!(!bench.outbox.push_last(None, true, Flush::Now), "the end was queued before");
    bench.outbox.close();
    bench.assert_empty();
}

#[test]
fn the_last_frame_comes_behind_all_others_and_then_the_stream_ends() {
    let (bench, mut theirs, _read) = Bench::socket(ROOMY);
    for number in 0..20 {
        bench.push(numbered(0, number, 20_000), Flush::Later);
    }
    assert!(bench.outbox.push_last(Some(numbered(0, 20, 4)), false, Flush::Elsewhere));
    assert_eq!(bench.refused(numbered(0, 21, 1)), Some(Refused::Closed));
    let mut all = Vec::new();
    theirs.read_to_end(&mut all).unwrap();
    assert_complete(&frames_in(&all), 1, 21);
    assert_eq!(bench.outbox.wait_written(soon()), Phase::Draining);
    bench.assert_empty();
}

#[test]
fn a_cut_finishes_the_frame_that_has_begun_and_drops_the_whole_ones_behind_it() {
    let (bench, mut theirs, _read) = Bench::socket(ROOMY);
    bench.push(numbered(0, 0, 6 << 20), Flush::Now);
    for number in 1..50 {
        bench.push(numbered(0, number, 1_000), Flush::Now);
    }
    // Nobody reads: the first frame is on its way, the others wait.
    assert!(bench.outbox.push_last(Some(numbered(0, 50, 4)), true, Flush::Elsewhere));
    assert_eq!(bench.refused(numbered(0, 51, 1)), Some(Refused::Closed));
    let mut all = Vec::new();
    theirs.read_to_end(&mut all).unwrap();
    assert_eq!(frames_in(&all), [(0, 0, 6 << 20), (0, 50, 4)]);
    assert_eq!(bench.outbox.wait_written(soon()), Phase::Draining);
    bench.assert_empty();
}

#[test]
fn a_cut_drops_also_what_the_writer_has_taken_and_not_begun() {
    let (gate, opened) = mpsc::channel();
    let (begun, began) = mpsc::channel();
    let (bench, seen, _) = Bench::scripted(ROOMY, move |_| {
        begun.send(()).unwrap();
        opened.recv().unwrap()
    });
    for number in 0..5 {
        bench.push(numbered(0, number, 20), Flush::Later);
    }
    std::thread::scope(|scope| {
        // All five are in the writer's batch; of the second, a part is written when the end comes.
        scope.spawn(|| bench.outbox.flush());
        began.recv_timeout(LONG).unwrap();
        gate.send(Ok(45)).unwrap();
        began.recv_timeout(LONG).unwrap();
        assert!(bench.outbox.push_last(Some(numbered(0, 5, 1)), true, Flush::Now));
        gate.send(Err(io::ErrorKind::WouldBlock.into())).unwrap();
        for _ in 0..2 {
            began.recv_timeout(LONG).unwrap();
            gate.send(Ok(usize::MAX)).unwrap();
        }
    });
    assert_eq!(bench.outbox.wait_written(soon()), Phase::Draining);
    let order: Vec<_> = frames_in(&seen.lock()).iter().map(|frame| frame.1).collect();
    assert_eq!(order, [0, 1, 5]);
    bench.assert_empty();
}

#[test]
fn a_cut_without_anything_begun_leaves_the_last_frame_alone() {
    let (bench, seen, endpoint) = Bench::scripted(ROOMY, Ok);
    bench.push(numbered(0, 0, 20), Flush::Later);
    assert!(bench.outbox.push_last(Some(numbered(0, 1, 1)), true, Flush::Now));
    assert_eq!(frames_in(&seen.lock()), [(0, 1, 1)]);
    assert_eq!(*endpoint.shut.lock(), [Shutdown::Write]);
    bench.assert_empty();
}

#[test]
fn waiting_for_the_last_byte_ends_at_its_deadline() {
    let bench = Bench::stuck(ROOMY);
    bench.push(numbered(0, 0, 1), Flush::Now);
    let begin = Instant::now();
    assert_eq!(bench.outbox.wait_written(begin + Duration::from_millis(20)), Phase::Open);
    assert!(begin.elapsed() >= Duration::from_millis(20));
    bench.outbox.abort();
    assert_eq!(bench.outbox.wait_written(soon()), Phase::Closed);
}

#[test]
fn a_write_error_ends_the_connection_and_gives_everything_back() {
    for outcome in [Ok(0), Err(io::ErrorKind::BrokenPipe)] {
        let mut turns = 0;
        let (bench, _, endpoint) = Bench::scripted(ROOMY, move |_| {
            turns += 1;
            if turns < 3 { Ok(15) } else { outcome.map_err(io::Error::from) }
        });
        for number in 0..5 {
            bench.push(numbered(0, number, 30), Flush::Later);
        }
        bench.outbox.flush();
        assert_eq!(bench.outbox.phase(), Phase::Closed);
        assert!(endpoint.shut.lock().contains(&Shutdown::Both));
        assert_eq!(bench.refused(numbered(0, 9, 1)), Some(Refused::Closed));
        bench.assert_empty();
    }
}

#[test]
fn closing_frees_the_descriptor_though_the_outbox_is_still_held() {
    // Idle, and with the token in the hands of the drain.
    for stuck in [false, true] {
        let (bench, _theirs, read) = Bench::socket(ROOMY);
        let descriptor = Arc::downgrade(&bench.outbox.endpoint().unwrap());
        if stuck {
            bench.push(numbered(0, 0, 8 << 20), Flush::Now);
        }
        drop(read);
        bench.outbox.close();
        until("the end of the descriptor", || descriptor.strong_count() == 0);
        bench.assert_empty();
        assert_eq!(bench.outbox.phase(), Phase::Closed);
    }
}

#[test]
fn closing_while_the_last_turn_ends_frees_the_descriptor_too() {
    let alive = Arc::new(());
    let half = Scripted { script: Ok, seen: Seen::default(), _alive: Arc::clone(&alive) };
    let endpoint = Recorded::new(pair());
    let (told, begun) = mpsc::channel();
    let (_answer, answered) = mpsc::channel();
    *endpoint.slow.lock() = Some((told, answered));
    let bench = Bench::new(Box::new(half), Arc::clone(&endpoint) as Arc<dyn Endpoint>, ROOMY);
    assert!(bench.outbox.push_last(Some(numbered(0, 0, 1)), false, Flush::Elsewhere));
    // The drain has given the token back and is just shutting down the sending side.
    begun.recv_timeout(LONG).unwrap();
    bench.outbox.close();
    assert_eq!(Arc::strong_count(&alive), 1, "the half is kept as long as the outbox");
}

#[test]
fn a_closed_outbox_that_the_drain_gets_is_let_go_at_once() {
    let (gate, opened) = mpsc::channel::<()>();
    let (begun, began) = mpsc::channel();
    let (bench, _, _) = Bench::scripted(ROOMY, move |_| {
        begun.send(()).unwrap();
        let _ = opened.recv();
        Err(io::ErrorKind::WouldBlock.into())
    });
    std::thread::scope(|scope| {
        scope.spawn(|| bench.push(numbered(0, 0, 1), Flush::Now));
        began.recv_timeout(LONG).unwrap();
        let closing = scope.spawn(|| bench.outbox.close());
        until("the end", || bench.outbox.endpoint().is_none());
        gate.send(()).unwrap();
        closing.join().unwrap();
    });
    bench.assert_empty();
}

#[test]
fn a_long_stream_is_handed_to_the_drain_after_a_quantum() {
    let by_thread = Arc::new(Mutex::new((0, 0)));
    let count = Arc::clone(&by_thread);
    let (bench, seen, _) = Bench::scripted(ROOMY, move |offered| {
        let taken = offered.min(50_000);
        let mut count = count.lock();
        match std::thread::current().name() {
            Some("mcp-drain") => count.1 += taken,
            _ => count.0 += taken,
        }
        Ok(taken)
    });
    bench.push(numbered(0, 0, 2 << 20), Flush::Now);
    bench.assert_empty();
    assert_complete(&frames_in(&seen.lock()), 1, 1);
    let (own, drain) = *by_thread.lock();
    assert!((QUANTUM..QUANTUM + 50_000).contains(&own), "{own} and {drain}");
    assert_eq!(own + drain, (2 << 20) + 10);
}

#[test]
fn a_peer_that_never_reads_is_cut_at_the_write_deadline() {
    let deadline = Duration::from_millis(150);
    let (bench, _theirs, mut read) = Bench::socket(OutboxLimits { write_deadline: deadline, ..ROOMY });
    let begin = Instant::now();
    bench.push(numbered(0, 0, 8 << 20), Flush::Now);
    bench.push(numbered(0, 1, 10), Flush::Now);
    // A read that is blocked in the same socket is freed by it.
    assert!(matches!(read.read(&mut [0; 10]), Ok(0) | Err(_)));
    assert!((deadline..deadline * 10).contains(&begin.elapsed()), "cut after {:?}", begin.elapsed());
    bench.assert_empty();
    assert_eq!(bench.refused(numbered(0, 2, 1)), Some(Refused::Closed));
}

#[test]
fn a_peer_that_drips_within_one_frame_is_cut_all_the_same() {
    let deadline = Duration::from_millis(150);
    let (bench, mut theirs, mut read) = Bench::socket(OutboxLimits { write_deadline: deadline, ..ROOMY });
    let begin = Instant::now();
    bench.push(numbered(0, 0, 64 << 20 >> 1), Flush::Now);
    let dripping = std::thread::spawn(move || {
        let mut buffer = vec![0; 8 << 10];
        while begin.elapsed() < LONG && matches!(theirs.read(&mut buffer), Ok(1..)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(matches!(read.read(&mut [0; 10]), Ok(0) | Err(_)));
    assert!((deadline..deadline * 10).contains(&begin.elapsed()), "cut after {:?}", begin.elapsed());
    bench.assert_empty();
    drop((read, bench));
    dripping.join().unwrap();
}

#[test]
fn a_slow_peer_that_finishes_frames_is_not_cut() {
    let deadline = Duration::from_millis(250);
    let (bench, mut theirs, _read) = Bench::socket(OutboxLimits { write_deadline: deadline, ..ROOMY });
    for number in 0..40 {
        bench.push(numbered(0, number, 64 << 10), Flush::Now);
    }
    assert!(bench.outbox.push_last(None, false, Flush::Now));
    let begin = Instant::now();
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match theirs.read(&mut buffer).unwrap() {
            0 => break,
            count => all.extend_from_slice(&buffer[..count]),
        }
        // Its pace: far beyond the deadline for all of it, well within for each frame.
        let due = Duration::from_millis(800).mul_f64(all.len() as f64 / (40 << 16) as f64);
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    assert!(begin.elapsed() > deadline * 2);
    assert_complete(&frames_in(&all), 1, 40);
    assert_eq!(bench.outbox.wait_written(soon()), Phase::Draining);
    bench.assert_empty();
}

#[test]
fn one_blocked_peer_delays_no_other() {
    let (drain, thread) = Drain::start().unwrap();
    let budget = Budget::new(1 << 30);
    let open = || {
        let (ours, theirs) = pair();
        let Link { write, endpoint, .. } = link::plain(Arc::new(ours));
        (Outbox::new(write, endpoint, ROOMY, Arc::clone(&budget), drain.clone()), theirs)
    };
    let ((deaf, _deaf_end), (good, mut good_end)) = (open(), open());
    deaf.push(numbered(0, 0, 16 << 20), Flush::Elsewhere).unwrap();
    good.push(numbered(0, 0, 16 << 20), Flush::Elsewhere).unwrap();
    good.push_last(None, false, Flush::Elsewhere);
    let mut all = Vec::new();
    good_end.read_to_end(&mut all).unwrap();
    assert_complete(&frames_in(&all), 1, 1);
    assert_eq!(deaf.phase(), Phase::Open);
    drain.stop();
    thread.join().unwrap();
    assert_eq!(deaf.phase(), Phase::Closed);
    assert_eq!(deaf.queued(), (0, 0));
    assert_eq!(budget.used(), 0);
}

#[test]
fn what_is_handed_over_while_the_drain_stops_is_ended_and_not_forgotten() {
    for round in 0..300 {
        let (mut bench, seen, _) = Bench::scripted(ROOMY, Ok);
        let outbox = Arc::clone(&bench.outbox);
        let pushing = std::thread::spawn(move || {
            for number in 0..round % 4 + 1 {
                if outbox.push(numbered(0, number, 10), Flush::Elsewhere).is_err() {
                    break;
                }
            }
        });
        bench.drain.stop();
        bench.thread.take().unwrap().join().unwrap();
        pushing.join().unwrap();
        let all_written = bench.outbox.wait_written(Instant::now()) == Phase::Open && bench.outbox.queued() == (0, 0);
        assert!(all_written || bench.outbox.phase() == Phase::Closed, "round {round}");
        assert_eq!((bench.outbox.queued(), bench.budget.used()), ((0, 0), 0), "round {round}");
        frames_in(&seen.lock());
        bench.thread = Some(std::thread::spawn(|| {}));
    }
}

#[test]
fn what_the_half_keeps_back_is_flushed_before_the_token_is_given_back() {
    /// Keeps every byte until it is flushed, as TLS does.
    struct Keeping {
        kept: Vec<u8>,
        blocked: Arc<AtomicUsize>,
        seen: Seen,
    }
    impl WriteHalf for Keeping {
        fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            parts.iter().for_each(|part| self.kept.extend_from_slice(part));
            Ok(parts.iter().map(|part| part.len()).sum())
        }
        fn pending(&self) -> bool {
            !self.kept.is_empty()
        }
        fn flush(&mut self) -> io::Result<()> {
            if self.blocked.load(Ordering::Relaxed) > 0 {
                self.blocked.fetch_sub(1, Ordering::Relaxed);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.seen.lock().append(&mut self.kept);
            Ok(())
        }
    }
    let (seen, blocked) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
    let half = Keeping { kept: Vec::new(), blocked: Arc::clone(&blocked), seen: Arc::clone(&seen) };
    let bench = Bench::new(Box::new(half), Recorded::new(pair()), ROOMY);
    for number in 0..100 {
        blocked.store(number % 3, Ordering::Relaxed);
        bench.push(numbered(0, number, 10), Flush::Now);
        bench.assert_empty();
        assert_complete(&frames_in(&seen.lock()), 1, number + 1);
    }
}
