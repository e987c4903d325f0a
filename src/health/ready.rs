//! What do the author's own checks say, and how often are they asked?
//!
//! One thread at a time runs them, and what they said holds for a second: so probes, however many, cannot be used to
//! hammer a database. Those who come meanwhile wait a moment for the outcome, a few of them; a check that does not return is a
//! failing check.

use parking_lot::{Condvar, Mutex};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an outcome holds.
const FRESH: Duration = Duration::from_secs(1);
/// How long a probe waits for checks that another one runs.
const WAIT: Duration = Duration::from_millis(500);
/// How many probes do so at once; the others are answered at once, so that waiting takes few of the threads.
const WAITERS: usize = 4;

/// A check of the author's: is what the server depends on there?
#[derive(Clone)]
pub(crate) struct Check {
    name: String,
    run: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Check {
    pub(crate) fn new(name: String, run: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { name, run: Arc::new(run) }
    }

    /// What is wrong, if something is.
    fn failure(&self) -> Option<String> {
        let name = &self.name;
        match catch_unwind(AssertUnwindSafe(|| (self.run)())) {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(format!("{name}: {why}")),
            Err(_) => {
                log::error!(target: "mcp_blocking::health", "the check {name:?} panicked");
                Some(format!("{name}: the check panicked"))
            }
        }
    }
}

/// All checks, and what they said last.
pub(crate) struct Checks {
    checks: Vec<Check>,
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    last: Option<(Instant, Vec<String>)>,
    /// Which one runs, since when.
    running: Option<(usize, Instant)>,
    waiters: usize,
}

impl State {
    fn fresh(&self) -> Option<Vec<String>> {
        let (_, failures) = self.last.as_ref().filter(|(at, _)| at.elapsed() < FRESH)?;
        Some(failures.clone())
    }
}

impl Checks {
    pub(crate) fn new(checks: Vec<Check>) -> Self {
        Self { checks, state: Mutex::new(State::default()), done: Condvar::new() }
    }

    /// What is wrong, a line for each failing check. Runs the checks, unless they were asked in the last second or
    /// somebody is asking them.
    pub(crate) fn failures(&self) -> Vec<String> {
        if self.checks.is_empty() {
            return Vec::new();
        }
        let mut state = self.state.lock();
        if let Some(failures) = state.fresh() {
            return failures;
        }
        if state.running.is_none() {
            state.running = Some((0, Instant::now()));
            drop(state);
            return self.run();
        }
        if state.waiters < WAITERS {
            state.waiters += 1;
            let deadline = Instant::now() + WAIT;
            while state.running.is_some() && !self.done.wait_until(&mut state, deadline).timed_out() {}
            state.waiters -= 1;
        }
        match (state.fresh(), state.running) {
            (Some(failures), _) => failures,
            (None, Some((number, since))) => {
                let name = self.checks.get(number).map_or("a check", |check| &check.name);
                vec![format!("{name}: the check has not returned for {} ms", since.elapsed().as_millis())]
            }
            (None, None) => vec!["the checks have only just ended; ask again".into()],
        }
    }

    /// Runs them without any lock.
    fn run(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (number, check) in self.checks.iter().enumerate() {
            self.state.lock().running = Some((number, Instant::now()));
            failures.extend(check.failure());
        }
        let mut state = self.state.lock();
        state.running = None;
        state.last = Some((Instant::now(), failures.clone()));
        self.done.notify_all();
        failures
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| &check.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn an_outcome_holds_for_a_second() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let check = Check::new("db".into(), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Err("gone".into())
        });
        let checks = Checks::new(vec![check, Check::new("fine".into(), || Ok(()))]);
        for _ in 0..1_000 {
            assert_eq!(checks.failures(), ["db: gone"]);
        }
        // A machine that is busy may take more than a second for a thousand of them.
        assert!(runs.load(Ordering::Relaxed) < 20);
        let past = Instant::now().checked_sub(FRESH).unwrap();
        let before = runs.load(Ordering::Relaxed);
        checks.state.lock().last.as_mut().unwrap().0 = past;
        checks.failures();
        assert_eq!(runs.load(Ordering::Relaxed), before + 1);
    }

    #[test]
    fn a_panic_is_a_failure() {
        let checks = Checks::new(vec![Check::new("db".into(), || panic!("on purpose"))]);
        assert_eq!(checks.failures(), ["db: the check panicked"]);
    }

    #[test]
    fn a_check_that_does_not_return_fails_and_holds_up_nobody_for_long() {
        let (release, released) = unbounded::<()>();
        let (begin, begun) = unbounded();
        let check = Check::new("slow".into(), move || {
            begin.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        });
        let checks = Arc::new(Checks::new(vec![check]));
        let first = std::thread::spawn({
            let checks = Arc::clone(&checks);
            move || checks.failures()
        });
        begun.recv_timeout(Duration::from_secs(20)).unwrap();
        let failures = checks.failures();
        assert!(failures[0].starts_with("slow: the check has not returned for "), "{failures:?}");
        drop(release);
        assert!(first.join().unwrap().is_empty());
        assert!(checks.failures().is_empty());
    }
}
