//! The timer thread: order, repetition, and what it keeps.

use super::*;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// Which bell was rung, and when.
type Call = (usize, Instant);

/// Tells its name when it is called, and asks to be called again as its list says.
struct Bell {
    name: usize,
    rung: Sender<Call>,
    again: Mutex<Vec<Duration>>,
}

impl Tick for Bell {
    fn tick(&self, now: Instant) -> Option<Instant> {
        let _ = self.rung.send((self.name, now));
        self.again.lock().pop().map(|after| now + after)
    }
}

/// A running timer, stopped and joined at the end.
struct Bench {
    timer: Timer,
    thread: Option<JoinHandle<()>>,
    told: Sender<Call>,
    heard: Receiver<Call>,
}

impl Bench {
    fn new() -> Self {
        let (timer, thread) = Timer::start().unwrap();
        let (told, heard) = unbounded();
        Self { timer, thread: Some(thread), told, heard }
    }

    fn bell(&self, name: usize, again: &[Duration]) -> Arc<Bell> {
        let again = Mutex::new(again.iter().rev().copied().collect());
        Arc::new(Bell { name, rung: self.told.clone(), again })
    }

    fn next(&self) -> (usize, Instant) {
        self.heard.recv_timeout(LONG).expect("a call of the timer")
    }

    /// Waits until all that was asked for before has been done.
    fn pass(&self) {
        let last = self.bell(usize::MAX, &[]);
        self.timer.nudge(Instant::now(), Arc::downgrade(&last) as Weak<dyn Tick>);
        while self.next().0 != usize::MAX {}
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.timer.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn weak(bell: &Arc<Bell>) -> Weak<dyn Tick> {
    Arc::downgrade(bell) as Weak<dyn Tick>
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn the_earliest_comes_first_and_none_comes_early() {
    let bench = Bench::new();
    let start = Instant::now();
    let bells: Vec<_> = (0..4).map(|name| bench.bell(name, &[])).collect();
    // The later ones first, so that each new one is earlier than what the thread waits for.
    for (name, after) in [(2, 40), (3, 40), (1, 20), (0, 0)] {
        bench.timer.add(start + ms(after), weak(&bells[name]));
    }
    for (name, after) in [(0, 0), (1, 20), (2, 40), (3, 40)] {
        let (rung, at) = bench.next();
        assert_eq!(rung, name, "equal times keep the order of asking");
        assert!(at >= start + ms(after));
    }
}

#[test]
fn what_asks_for_another_time_is_called_again_and_a_nudge_comes_besides() {
    let bench = Bench::new();
    let start = Instant::now();
    let bell = bench.bell(0, &[ms(5), ms(10)]);
    bench.timer.add(start, weak(&bell));
    let times = [bench.next().1, bench.next().1, bench.next().1];
    assert!(times[1] >= times[0] + ms(5) && times[2] >= times[1] + ms(10));
    // A nudge is one call, whatever it returns.
    let nudged = bench.bell(1, &[ms(0), ms(0)]);
    bench.timer.nudge(Instant::now(), weak(&nudged));
    assert_eq!(bench.next().0, 1);
    bench.pass();
    assert_eq!((nudged.again.lock().len(), bench.timer.entries()), (1, 0));
}

#[test]
fn who_is_gone_is_forgotten() {
    let bench = Bench::new();
    let bell = bench.bell(0, &[ms(0); 3]);
    bench.timer.add(Instant::now() + ms(5), weak(&bell));
    drop(bell);
    let later = bench.bell(1, &[]);
    bench.timer.add(Instant::now() + ms(10), weak(&later));
    assert_eq!(bench.next().0, 1);
    bench.pass();
    assert_eq!(bench.timer.entries(), 0);
}

#[test]
fn thousands_of_entries_from_many_threads_are_all_called_once_and_in_order() {
    let bench = Bench::new();
    let start = Instant::now() + ms(60);
    let bells: Vec<_> = (0..8_000).map(|name| bench.bell(name, &[])).collect();
    std::thread::scope(|scope| {
        for quarter in bells.chunks(2_000) {
            let timer = &bench.timer;
            scope.spawn(move || {
                for bell in quarter {
                    // Spread over 50 ms, in a jumble.
                    timer.add(start + Duration::from_micros(bell.name as u64 * 7_919 % 50_000), weak(bell));
                }
            });
        }
    });
    let mut called = vec![0; bells.len()];
    for _ in 0..bells.len() {
        let (name, at) = bench.next();
        assert!(at >= start + Duration::from_micros(name as u64 * 7_919 % 50_000));
        called[name] += 1;
    }
    assert!(called.iter().all(|count| *count == 1));
    assert_eq!(bench.timer.entries(), 0);
}

#[test]
fn a_tick_may_use_the_timer_and_stopping_drops_what_waits() {
    struct Chain(Timer, Sender<()>, Mutex<Option<Arc<Chain>>>);
    impl Tick for Chain {
        fn tick(&self, now: Instant) -> Option<Instant> {
            if let Some(next) = &*self.2.lock() {
                self.0.add(now, Arc::downgrade(next) as Weak<dyn Tick>);
            }
            let _ = self.1.send(());
            None
        }
    }
    let bench = Bench::new();
    let (told, heard) = unbounded();
    let second = Arc::new(Chain(bench.timer.clone(), told.clone(), Mutex::new(None)));
    let first = Arc::new(Chain(bench.timer.clone(), told, Mutex::new(Some(second))));
    bench.timer.add(Instant::now(), Arc::downgrade(&first) as Weak<dyn Tick>);
    heard.recv_timeout(LONG).unwrap();
    heard.recv_timeout(LONG).unwrap();

    let timer = bench.timer.clone();
    let far = bench.bell(0, &[]);
    timer.add(Instant::now() + LONG * 100, weak(&far));
    drop(bench);
    assert_eq!(timer.entries(), 0);
    timer.add(Instant::now(), weak(&far));
    assert_eq!(Arc::strong_count(&far), 1);
}
