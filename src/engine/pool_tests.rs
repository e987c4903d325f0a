//! The pool: turns, shares, growth, caps, stuck work, and that nothing is lost.

use super::*;
use crate::engine::share::Shares;
use crate::guard::address::ClientAddr;
use crate::limits::Limits;
use crate::principal::Principal;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::thread::JoinHandle;

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

/// Work that runs a closure.
struct Job<F> {
    run: F,
    deadline: Instant,
    runs: AtomicUsize,
    expired: AtomicUsize,
    abandoned: Mutex<Vec<Abandon>>,
}

impl<F: Fn() + Send + Sync + 'static> Job<F> {
    fn new(run: F) -> Arc<Self> {
        Self::within(LONG * 10, run)
    }

    fn within(time: Duration, run: F) -> Arc<Self> {
        let (runs, expired) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { run, deadline: Instant::now() + time, runs, expired, abandoned: Mutex::default() })
    }
}

impl<F: Fn() + Send + Sync> Work for Job<F> {
    fn run(self: Arc<Self>) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        (self.run)();
    }
    fn deadline(&self) -> Instant {
        self.deadline
    }
    fn expire(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }
    fn abandon(&self, why: Abandon) {
        self.abandoned.lock().push(why);
    }
    fn describe(&self) -> String {
        "a job".into()
    }
}

/// A pool with all around it. It is stopped at the end, and must not leave a worker behind.
struct Bench {
    pool: Arc<Pool>,
    threads: Arc<Budget>,
    memory: Arc<Budget>,
    timer: Timer,
    thread: Option<JoinHandle<()>>,
}

impl Bench {
    fn new(workers: usize, queue: usize) -> Self {
        Self::idling(workers, queue, IDLE)
    }

    fn idling(workers: usize, queue: usize, idle: Duration) -> Self {
        let (timer, thread) = Timer::start().unwrap();
        let (threads, memory) = (Budget::new(1_000), Budget::new(1_000_000));
        let sizes = PoolSizes { name: "mcp-test", most: workers, most_parked: 4, queue };
        let pool = Pool::with_idle(sizes, Arc::clone(&threads), timer.clone(), idle);
        Self { pool, threads, memory, timer, thread: Some(thread) }
    }

    /// A lane of somebody who may have everything.
    fn lane(&self, most: usize) -> Arc<Lane> {
        Lane::new(most, Share::whole(&self.memory))
    }

    fn submit(&self, lane: &Arc<Lane>, run: impl Fn() + Send + Sync + 'static) {
        self.pool.submit(lane, Job::new(run), 10).unwrap();
    }

    /// Blocks a worker; that it has begun is told by the receiver, it goes on when the sender is dropped.
    fn block(&self, lane: &Arc<Lane>) -> Blocker {
        let blocker = Blocker::new();
        self.submit(lane, blocker.run());
        blocker
    }

    #[track_caller]
    fn assert_quiet(&self) {
        assert!(self.pool.wait_quiet(soon()), "{:?}", self.pool);
        let numbers = self.pool.numbers();
        assert_eq!((numbers.live, numbers.waiting), (0, 0));
        // A piece of work is gone a moment before the memory that it held.
        until("the memory", || self.memory.used() == 0);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.pool.stop();
        self.pool.wait_ended(soon());
        if !std::thread::panicking() {
            assert_eq!(self.pool.numbers().workers, 0);
            until("the end of the threads", || self.threads.used() == 0);
            assert!(self.pool.seats.lock().is_empty());
        }
        self.timer.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

struct Blocker {
    begun: (Sender<()>, Receiver<()>),
    gate: Option<Sender<()>>,
    opened: Receiver<()>,
}

impl Blocker {
    fn new() -> Self {
        let (gate, opened) = unbounded();
        Self { begun: unbounded(), gate: Some(gate), opened }
    }

    fn run(&self) -> impl Fn() + Send + Sync + 'static {
        let (begun, opened) = (self.begun.0.clone(), self.opened.clone());
        move || {
            begun.send(()).unwrap();
            let _ = opened.recv();
        }
    }

    #[track_caller]
    fn wait(&self) {
        self.begun.1.recv_timeout(LONG).expect("work to begin");
    }

    fn has_begun(&self) -> bool {
        !self.begun.1.is_empty()
    }

    fn open(&mut self) {
        self.gate = None;
    }
}

#[test]
fn lanes_take_turns_however_much_one_of_them_sends() {
    let bench = Bench::new(1, 100);
    let lanes: Vec<_> = (0..3).map(|_| bench.lane(100)).collect();
    let mut blocker = bench.block(&lanes[0]);
    blocker.wait();
    let (ran, order) = unbounded();
    for (lane, number) in [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (2, 1)] {
        let ran = ran.clone();
        bench.submit(&lanes[lane], move || ran.send((lane, number)).unwrap());
    }
    blocker.open();
    bench.assert_quiet();
    let order: Vec<_> = order.try_iter().collect();
    assert_eq!(order, [(1, 1), (2, 1), (0, 1), (1, 2), (0, 2), (0, 3), (0, 4)]);
}

#[test]
fn one_lane_holds_a_quarter_of_the_workers_and_the_others_go_on() {
    let bench = Bench::new(8, 100);
    let (greedy, modest) = (bench.lane(100), bench.lane(100));
    let mut blockers: Vec<_> = (0..6).map(|_| bench.block(&greedy)).collect();
    until("two of them", || blockers.iter().filter(|blocker| blocker.has_begun()).count() == 2);
    // Other lanes find workers, though the first one has four more pieces waiting.
    for _ in 0..20 {
        let (done, over) = unbounded();
        bench.submit(&modest, move || done.send(()).unwrap());
        over.recv_timeout(LONG).unwrap();
    }
    assert_eq!(blockers.iter().filter(|blocker| blocker.has_begun()).count(), 2);
    assert_eq!((greedy.live(), modest.live() <= 1), (6, true));
    blockers.iter_mut().for_each(Blocker::open);
    bench.assert_quiet();
    assert!(blockers.iter().all(Blocker::has_begun));
}

#[test]
fn work_that_waits_behind_long_work_gets_a_worker_of_its_own() {
    let bench = Bench::new(40, 100);
    let lanes: Vec<_> = (0..12).map(|_| bench.lane(10)).collect();
    let mut blockers: Vec<_> = lanes.iter().map(|lane| bench.block(lane)).collect();
    blockers.iter().for_each(Blocker::wait);
    assert!((12..=40).contains(&bench.pool.numbers().workers));
    assert_eq!(bench.threads.used(), bench.pool.numbers().workers);
    assert_eq!(bench.pool.running().len(), 12);
    blockers.iter_mut().for_each(Blocker::open);
    bench.assert_quiet();
}

#[test]
fn there_are_never_more_workers_than_the_cap_or_the_thread_budget_allow() {
    let bench = Bench::new(3, 1_000);
    bench.threads.overdraw(998);
    let lanes: Vec<_> = (0..6).map(|_| bench.lane(10)).collect();
    let mut blockers: Vec<_> = lanes.iter().map(|lane| bench.block(lane)).collect();
    until("two of them", || blockers.iter().filter(|blocker| blocker.has_begun()).count() == 2);
    assert_eq!((bench.pool.numbers().workers, bench.threads.used()), (2, 1_000));
    bench.threads.give_back(998);
    until("the third", || blockers.iter().filter(|blocker| blocker.has_begun()).count() == 3);
    assert_eq!(bench.pool.numbers().workers, 3);
    blockers.iter_mut().for_each(Blocker::open);
    bench.assert_quiet();
    assert_eq!(bench.pool.numbers().workers, 3);
}

#[test]
fn the_caps_of_lane_queue_and_memory_refuse_and_leave_nothing_behind() {
    let bench = Bench::new(1, 4);
    let (lane, other) = (bench.lane(3), bench.lane(100));
    let mut blocker = bench.block(&lane);
    blocker.wait();
    for _ in 0..2 {
        bench.submit(&lane, || {});
    }
    assert_eq!(bench.pool.submit(&lane, Job::new(|| {}), 10), Err(Busy::Connection));
    for _ in 0..2 {
        bench.submit(&other, || {});
    }
    assert_eq!(bench.pool.submit(&other, Job::new(|| {}), 10), Err(Busy::Overloaded));
    assert_eq!(bench.pool.submit(&other, Job::new(|| {}), 2_000_000), Err(Busy::Overloaded));
    let numbers = bench.pool.numbers();
    assert_eq!((numbers.waiting, numbers.live, bench.memory.used()), (4, 5, 50));
    blocker.open();
    bench.assert_quiet();
    assert_eq!((lane.live(), other.live()), (0, 0));
}

#[test]
fn waiting_for_quiet_ends_at_its_deadline() {
    let bench = Bench::new(2, 10);
    assert!(bench.pool.wait_quiet(Instant::now()));
    let mut blocker = bench.block(&bench.lane(1));
    assert!(!bench.pool.wait_quiet(Instant::now() + Duration::from_millis(10)));
    let waiting = std::thread::spawn({
        let pool = Arc::clone(&bench.pool);
        move || pool.wait_quiet(soon())
    });
    blocker.open();
    assert!(waiting.join().unwrap());
    bench.assert_quiet();
}

/// The shares of clients of a pool with eight workers.
fn shares(bench: &Bench) -> Arc<Shares> {
    let limits = Limits { workers: 8, queued_calls: 1_000_000, memory_bytes: 1_000_000, ..Limits::default() };
    Shares::new(&limits, &bench.memory)
}

fn client(shares: &Shares, name: &str) -> Arc<Share> {
    shares.of(Some(&Principal::new(name)), ClientAddr::new(([10, 0, 0, 1], 1).into()))
}

#[test]
fn all_lanes_of_one_client_hold_three_quarters_of_the_workers_and_nobody_is_remembered() {
    let bench = Bench::new(8, 100);
    let shares = shares(&bench);
    let greedy: Vec<_> = (0..8).map(|_| Lane::new(100, client(&shares, "greedy"))).collect();
    let mut held: Vec<_> = greedy.iter().map(|lane| bench.block(lane)).collect();
    until("six of them", || held.iter().filter(|blocker| blocker.has_begun()).count() == 6);
    let modest = Lane::new(100, client(&shares, "modest"));
    for _ in 0..3 {
        let mut blocker = bench.block(&modest);
        blocker.wait();
        blocker.open();
    }
    assert_eq!(held.iter().filter(|blocker| blocker.has_begun()).count(), 6);
    held.iter_mut().for_each(Blocker::open);
    bench.assert_quiet();
    assert_eq!(shares.clients(), 2);
    drop((greedy, modest));
    until("the shares are gone", || shares.clients() == 0);
}

#[test]
fn nothing_is_lost_or_run_twice_under_stress() {
    let bench = Bench::new(8, 1_000_000);
    let shares = shares(&bench);
    let share = |number: usize| match number % 3 {
        0 => Share::whole(&bench.memory),
        1 => client(&shares, "one"),
        _ => client(&shares, "two"),
    };
    let lanes: Vec<_> = (0..12).map(|number| Lane::new(100_000, share(number))).collect();
    let jobs: Vec<Vec<Arc<Job<_>>>> = std::thread::scope(|scope| {
        let (bench, lanes) = (&bench, &lanes);
        let submitters: Vec<_> = (0..6_usize)
            .map(|thread| {
                scope.spawn(move || {
                    (0..1_500_usize)
                        .map(|number| {
                            let job = Job::new(move || match number % 50 {
                                0 => std::thread::sleep(Duration::from_micros(300)),
                                1..20 => std::thread::yield_now(),
                                _ => {}
                            });
                            let lane = &lanes[(thread * 7 + number * number) % lanes.len()];
                            bench.pool.submit(lane, Arc::clone(&job) as Arc<dyn Work>, 10).unwrap();
                            if number % 97 == 0 {
                                // The pool falls idle now and then.
                                bench.pool.wait_quiet(Instant::now() + Duration::from_millis(1));
                            }
                            job
                        })
                        .collect()
                })
            })
            .collect();
        submitters.into_iter().map(|submitter| submitter.join().unwrap()).collect()
    });
    bench.assert_quiet();
    assert!(jobs.iter().flatten().all(|job| job.runs.load(Ordering::Relaxed) == 1));
    assert!(lanes.iter().all(|lane| lane.live() == 0 && lane.state.lock().live.capacity() == 0));
}

#[test]
fn stuck_work_is_written_off_and_its_worker_replaced() {
    let bench = Bench::new(1, 10);
    let (stuck, next) = (bench.lane(4), bench.lane(4));
    let mut blocker = Blocker::new();
    let job = Job::within(Duration::from_millis(5), blocker.run());
    bench.pool.submit(&stuck, Arc::clone(&job) as Arc<dyn Work>, 10).unwrap();
    blocker.wait();
    let mut second = bench.block(&next);
    // It only begins when the first worker is given up.
    second.wait();
    let numbers = bench.pool.numbers();
    assert_eq!((numbers.workers, numbers.written_off, numbers.written_off_ever, numbers.live), (1, 1, 1, 1));
    assert_eq!((stuck.live(), bench.threads.used()), (0, 2));
    blocker.open();
    until("its return", || bench.pool.numbers().written_off == 0);
    until("the end of its thread", || bench.threads.used() == 1);
    second.open();
    bench.assert_quiet();
    assert_eq!(bench.pool.numbers().written_off_ever, 1);
    assert_eq!(bench.pool.numbers().workers, 1);
}

#[test]
fn the_watch_for_stuck_work_is_one_entry_however_often_growth_is_considered() {
    let bench = Bench::new(2, 1_000);
    let lanes: Vec<_> = (0..3).map(|_| bench.lane(10)).collect();
    let mut most = 0;
    for _ in 0..25 {
        // Two workers are busy and the third piece waits: somebody looks in 5 ms, when there is nothing left.
        let mut blockers: Vec<_> = lanes.iter().map(|lane| bench.block(lane)).collect();
        blockers[0].wait();
        blockers.iter_mut().for_each(Blocker::open);
        bench.assert_quiet();
        until("the look", || bench.pool.stall.lock().is_none());
        most = most.max(bench.timer.entries());
    }
    assert!(most <= 2, "{most} entries in the timer");
}

#[test]
fn a_panic_in_work_costs_neither_the_worker_nor_the_count() {
    let bench = Bench::new(1, 10);
    let lane = bench.lane(4);
    for _ in 0..3 {
        bench.submit(&lane, || std::panic::panic_any("a mistake"));
    }
    bench.assert_quiet();
    assert_eq!((lane.live(), bench.pool.numbers().workers), (0, 1));
}

#[test]
fn a_lane_expires_what_is_due_and_tells_the_next_deadline() {
    let bench = Bench::new(1, 10);
    let lane = bench.lane(8);
    let mut blocker = bench.block(&lane);
    blocker.wait();
    let jobs: Vec<_> = [0, 1_000, 2_000].map(|ms| Job::within(Duration::from_millis(ms), || {})).into();
    for job in &jobs {
        bench.pool.submit(&lane, Arc::clone(job) as Arc<dyn Work>, 1).unwrap();
    }
    let now = jobs[0].deadline;
    assert_eq!(lane.expire(now), Some(jobs[1].deadline));
    assert_eq!(jobs.iter().map(|job| job.expired.load(Ordering::Relaxed)).collect::<Vec<_>>(), [1, 0, 0]);
    lane.abandon(Abandon::Disconnected);
    assert!(jobs.iter().all(|job| *job.abandoned.lock() == [Abandon::Disconnected]));
    blocker.open();
    bench.assert_quiet();
    assert_eq!(lane.expire(now), None);
}

#[test]
fn after_the_stop_nothing_is_taken_and_the_workers_end() {
    let bench = Bench::new(4, 10);
    let lane = bench.lane(8);
    let mut blocker = bench.block(&lane);
    blocker.wait();
    bench.pool.stop();
    assert_eq!(bench.pool.submit(&bench.lane(8), Job::new(|| {}), 10), Err(Busy::Stopping));
    bench.pool.wait_ended(Instant::now() + Duration::from_millis(10));
    assert_eq!(bench.pool.numbers().workers, 1, "it still works");
    blocker.open();
    bench.pool.wait_ended(soon());
    assert_eq!((bench.pool.numbers().workers, lane.live(), bench.memory.used()), (0, 0, 0));
}

#[test]
fn work_that_meets_a_worker_who_is_just_retiring_is_not_left_alone() {
    let idle = Duration::from_millis(2);
    let bench = Bench::idling(8, 10, idle);
    let lane = bench.lane(8);
    let mut blocker = bench.block(&bench.lane(1));
    blocker.wait();
    for round in 0..400_u32 {
        let (done, over) = unbounded();
        bench.submit(&lane, move || done.send(()).unwrap());
        over.recv_timeout(Duration::from_secs(3)).unwrap_or_else(|_| panic!("lost in round {round}"));
        // The only free worker ends about now.
        let at = Instant::now() + idle + Duration::from_micros(u64::from(round * 37 % 150));
        while Instant::now() < at {
            std::hint::spin_loop();
        }
    }
    blocker.open();
    bench.assert_quiet();
}
