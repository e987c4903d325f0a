//! Work that a connection's own thread does, where the timer finds it when it takes too long. Cheap when it does not, which is the rule: one
//! lock that is the connection's own, and a call of the timer only once in the time of a short deadline.

use super::lane::Lane;
use super::pool::Work;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is done for one lane by the threads of its connections: as many pieces as there are such threads at the most.
#[derive(Default)]
pub(super) struct Here(Mutex<State>);

#[derive(Default)]
struct State {
    works: Vec<Arc<dyn Work>>,
    /// When the timer looks besides its regular look.
    wake: Option<Instant>,
}

/// A piece of work on the calling thread; over when dropped.
pub(crate) struct Working<'l> {
    lane: &'l Lane,
    work: Arc<dyn Work>,
}

impl Here {
    pub(super) fn all(&self) -> Vec<Arc<dyn Work>> {
        self.0.lock().works.clone()
    }
}

impl State {
    /// Whether the timer has to be told of a deadline that its regular look, every `look`, comes too late for.
    fn wake_at(&mut self, deadline: Instant, now: Instant, look: Duration) -> bool {
        let wake = deadline < now + look && self.wake.is_none_or(|at| deadline < at);
        if wake {
            self.wake = Some(deadline);
        }
        wake
    }
}

impl Lane {
    /// The calling thread does this itself. `wake` has the timer look at that time, which it does every `look` anyway.
    pub(crate) fn work_here(&self, work: Arc<dyn Work>, look: Duration, wake: impl FnOnce(Instant)) -> Working<'_> {
        let deadline = work.deadline();
        let wakes = {
            let mut state = self.here().0.lock();
            state.works.push(Arc::clone(&work));
            state.wake_at(deadline, Instant::now(), look)
        };
        if wakes {
            wake(deadline);
        }
        Working { lane: self, work }
    }

    /// The timer has looked. When it has to look besides its regular look, for what is still done here.
    pub(crate) fn look_again(&self, now: Instant, look: Duration) -> Option<Instant> {
        let mut state = self.here().0.lock();
        state.wake = state.wake.filter(|at| *at > now);
        let next = state.works.iter().map(|work| work.deadline()).filter(|deadline| *deadline > now).min()?;
        state.wake_at(next, now, look).then_some(next)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut state = self.lane.here().0.lock();
        let own = Arc::as_ptr(&self.work);
        if let Some(at) = state.works.iter().position(|work| std::ptr::addr_eq(Arc::as_ptr(work), own)) {
            state.works.swap_remove(at);
        }
    }
}
