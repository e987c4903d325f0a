//! What is under way for one connection, and what of it waits for a worker.

use super::budget::Reservation;
use super::here::Here;
use super::pool::{Abandon, Work};
use super::share::Share;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The work of one connection.
pub(crate) struct Lane {
    pub(super) state: Mutex<LaneState>,
    /// What its connection's own thread does: neither counted nor waited for.
    here: Here,
    pub(super) most: usize,
}

pub(super) struct LaneState {
    pub(super) waiting: VecDeque<Waiting>,
    /// All that is under way, waiting or running; the place in here is its key.
    pub(super) live: Vec<Option<Arc<dyn Work>>>,
    vacant: Vec<usize>,
    pub(super) running: usize,
    /// A ticket of this lane is in the channel.
    pub(super) ticket: bool,
    /// The shares that wake the lane when there is room for work of theirs that waits here.
    pub(super) kept: Vec<Arc<Share>>,
    /// Of whom the next work will be.
    share: Arc<Share>,
}

/// Work that has not begun.
pub(super) struct Waiting {
    pub(super) key: usize,
    pub(super) work: Arc<dyn Work>,
    pub(super) since: Instant,
    pub(super) share: Arc<Share>,
    pub(super) _memory: Reservation,
}

impl Lane {
    /// A lane of that client, which takes no more than `most` pieces of work at once.
    pub(crate) fn new(most: usize, share: Arc<Share>) -> Arc<Self> {
        let (waiting, live, vacant) = (VecDeque::new(), Vec::new(), Vec::new());
        let state = Mutex::new(LaneState { waiting, live, vacant, running: 0, ticket: false, kept: Vec::new(), share });
        Arc::new(Self { state, here: Here::default(), most })
    }

    /// On whose account its next work is.
    pub(crate) fn share(&self) -> Arc<Share> {
        Arc::clone(&self.state.lock().share)
    }

    /// What comes from here on is on that account.
    pub(crate) fn set_share(&self, share: Arc<Share>) {
        let before = std::mem::replace(&mut self.state.lock().share, share);
        drop(before);
    }

    /// How much is under way.
    pub(crate) fn live(&self) -> usize {
        self.state.lock().live()
    }

    /// Ends what is past its deadline; returns the next deadline.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for work in self.all() {
            let deadline = work.deadline();
            if deadline <= now {
                work.expire();
            } else {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
            }
        }
        next
    }

    /// Tells all that is under way that it is given up. What has not begun still passes through a worker, which finds
    /// nothing to do.
    pub(crate) fn abandon(&self, why: Abandon) {
        for work in self.all() {
            work.abandon(why);
        }
    }

    fn all(&self) -> Vec<Arc<dyn Work>> {
        let mut all: Vec<_> = self.state.lock().live.iter().flatten().cloned().collect();
        all.extend(self.here.all());
        all
    }

    pub(super) fn here(&self) -> &Here {
        &self.here
    }
}

impl LaneState {
    pub(super) fn live(&self) -> usize {
        self.live.len() - self.vacant.len()
    }

    /// Takes the first work of which its client may have more: several clients may have come over one connection. The lane is kept by
    /// the shares of the others.
    pub(super) fn take(&mut self, lane: &Arc<Lane>) -> Option<Waiting> {
        let at = self.waiting.iter().position(|next| {
            if self.kept.iter().any(|share| Arc::ptr_eq(share, &next.share)) {
                return false;
            }
            let enters = next.share.enter(lane);
            if !enters {
                self.kept.push(Arc::clone(&next.share));
            }
            enters
        });
        at.and_then(|at| self.waiting.remove(at))
    }

    /// Whether something waits that no share keeps the lane for.
    pub(super) fn may_go_on(&self) -> bool {
        let is_kept = |next: &Waiting| self.kept.iter().any(|share| Arc::ptr_eq(share, &next.share));
        self.waiting.iter().any(|next| !is_kept(next))
    }

    pub(super) fn insert(&mut self, work: Arc<dyn Work>) -> usize {
        match self.vacant.pop() {
            Some(key) => {
                if let Some(place) = self.live.get_mut(key) {
                    *place = Some(work);
                }
                key
            }
            None => {
                self.live.push(Some(work));
                self.live.len() - 1
            }
        }
    }

    pub(super) fn remove(&mut self, key: usize) {
        if self.live.get_mut(key).and_then(Option::take).is_some() {
            self.vacant.push(key);
        }
        if self.vacant.len() == self.live.len() {
            // A burst leaves no memory behind.
            self.live = Vec::new();
            self.vacant = Vec::new();
        }
    }
}
