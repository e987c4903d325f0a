//! How much memory and how many threads the whole process may use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes (or threads) that many share.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// What is taken from here is taken from there, too.
    part_of: Option<Arc<Budget>>,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), part_of: None })
    }

    /// A part of it, for those who may never have all.
    pub(crate) fn part(self: &Arc<Self>, limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), part_of: Some(Arc::clone(self)) })
    }

    /// Takes `amount` if that much is left.
    pub(crate) fn take(&self, amount: usize) -> bool {
        let more = |used: usize| used.checked_add(amount).filter(|sum| *sum <= self.limit);
        if self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_err() {
            return false;
        }
        let taken = self.part_of.as_ref().is_none_or(|whole| whole.take(amount));
        if !taken {
            self.give_back_here(amount);
        }
        taken
    }

    /// Takes `amount` whatever is left: for what has to be sent though nothing is left.
    pub(crate) fn overdraw(&self, amount: usize) {
        self.used.fetch_add(amount, Ordering::AcqRel);
        if let Some(whole) = &self.part_of {
            whole.overdraw(amount);
        }
    }

    pub(crate) fn give_back(&self, amount: usize) {
        self.give_back_here(amount);
        if let Some(whole) = &self.part_of {
            whole.give_back(amount);
        }
    }

    fn give_back_here(&self, amount: usize) {
        // Saturating, so that a slip in the accounting can never wrap around to "full for good".
        let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| Some(used.saturating_sub(amount)));
    }

    /// The same as [`take`](Self::take), given back when the returned value is dropped.
    pub(crate) fn reserve(self: &Arc<Self>, amount: usize) -> Option<Reservation> {
        self.take(amount).then(|| Reservation { budget: Arc::clone(self), amount })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

/// A part of a [`Budget`], held until it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    amount: usize,
}

impl Reservation {
    /// How much it is.
    pub(crate) fn amount(&self) -> usize {
        self.amount
    }

    /// Takes `more` besides, if that much is left.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let taken = self.budget.take(more);
        if taken {
            self.amount += more;
        }
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.amount);
    }
}

/// The threads this process can have.
///
/// A Rust thread takes four memory mappings, so that a default Linux (`vm.max_map_count` 65,530) ends at about 16,300
/// threads; and there the process aborts instead of `spawn` returning an error. A quarter of the mappings divided by
/// four again is left to the rest of the program.
pub(crate) fn thread_limit() -> usize {
    const ASSUMED_MAPPINGS: usize = 65_530;
    let mappings = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .unwrap_or(ASSUMED_MAPPINGS);
    (mappings / 4 / 4 * 3).clamp(64, 1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_no_more_than_its_limit_and_takes_back_what_is_dropped() {
        let budget = Budget::new(10);
        let first = budget.reserve(6);
        assert!(first.is_some());
        assert!(budget.reserve(5).is_none());
        assert!(budget.take(4));
        drop(first);
        assert_eq!(budget.used(), 4);
        let mut growing = budget.reserve(0).unwrap();
        assert!(growing.grow(5) && !growing.grow(2));
        assert_eq!((growing.amount(), budget.used()), (5, 9));
        drop(growing);
        assert_eq!(budget.used(), 4);
        budget.give_back(100);
        assert_eq!(budget.used(), 0);
        assert!(!budget.take(usize::MAX));
    }

    #[test]
    fn a_part_has_a_limit_of_its_own_and_takes_from_the_whole() {
        let whole = Budget::new(10);
        let (one, other) = (whole.part(7), whole.part(7));
        assert!(one.take(7) && !one.take(1));
        assert!(!other.take(4) && other.take(3));
        assert_eq!((one.used(), other.used(), whole.used()), (7, 3, 10));
        one.give_back(5);
        assert!(other.take(4) && !other.take(1));
        assert_eq!((one.used(), other.used(), whole.used()), (2, 7, 9));
        other.overdraw(3);
        assert_eq!((other.used(), whole.used()), (10, 12));
    }
}
