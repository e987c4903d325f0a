//! Who has taken how much lately, of as many clients as there may be?
//!
//! A table that a peer can fill has a bound, and what happens at the bound must not help who has filled it: nobody's debt is
//! forgotten before it is paid. Who is not in a full table shares one of a few common places with others, found by a keyed hash: so
//! an attacker with many addresses slows newcomers down, those that share a place with him, and frees nobody, least of all himself.

use super::rate::{Debt, Pace, RetryAfter};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

/// Places that are shared by those for whom there is none of their own.
const COMMON: usize = 256;
/// How often a full table is looked through for what can be forgotten, at the most.
const PAUSE: Duration = Duration::from_millis(100);
/// How often any table is.
const SWEEP: Duration = Duration::from_secs(10);

/// A bounded table of what clients owe. A plain struct without a clock: the caller locks it and says what time it is.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    known: HashMap<K, V>,
    most: usize,
    common: Vec<V>,
    swept: Duration,
}

impl<K: Hash + Eq, V: Default> Table<K, V> {
    /// For that many clients.
    #[must_use]
    pub(crate) fn new(most: usize) -> Self {
        Self { known: HashMap::new(), most, common: Vec::new(), swept: Duration::ZERO }
    }

    /// The place of a client. `is_over` says of a place whether forgetting it changes nothing.
    pub(crate) fn of(&mut self, key: K, now: Duration, is_over: impl Fn(&mut V) -> bool) -> &mut V {
        let full = self.known.len() >= self.most && !self.known.contains_key(&key);
        if now.saturating_sub(self.swept) >= if full { PAUSE } else { SWEEP } {
            self.sweep(now, is_over);
        }
        let room = self.known.len() < self.most;
        let hash = if room { 0 } else { self.known.hasher().hash_one(&key) };
        match self.known.entry(key) {
            Entry::Occupied(place) => place.into_mut(),
            Entry::Vacant(place) if room => place.insert(V::default()),
            Entry::Vacant(_) => {
                if self.common.is_empty() {
                    self.common.resize_with(COMMON, V::default);
                }
                // Below the length, whatever the hash is.
                let place = usize::try_from(hash % COMMON as u64).unwrap_or(0);
                &mut self.common[place]
            }
        }
    }

    fn sweep(&mut self, now: Duration, is_over: impl Fn(&mut V) -> bool) {
        self.swept = now;
        self.known.retain(|_, place| !is_over(place));
        if self.known.capacity() > 64 && self.known.len() < self.known.capacity() / 4 {
            // A crowd that has left leaves no memory behind.
            self.known.shrink_to_fit();
        }
        if self.common.iter_mut().all(&is_over) {
            self.common = Vec::new();
        }
    }

    /// How many have a place of their own.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

/// A token bucket for each client, all of the same pace.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    pace: Pace,
    table: Table<K, Debt>,
}

impl<K: Hash + Eq> Buckets<K> {
    /// For that many clients.
    #[must_use]
    pub(crate) fn new(pace: Pace, most: usize) -> Self {
        Self { pace, table: Table::new(most) }
    }

    /// Takes `n` for a client at time `now`; see [`Debt::take`].
    ///
    /// # Errors
    ///
    /// Not enough is left; nothing was taken.
    pub(crate) fn take(&mut self, key: K, now: Duration, n: u64) -> Result<(), RetryAfter> {
        let pace = self.pace;
        if pace.is_unlimited() {
            return Ok(());
        }
        self.of(key, now).take(pace, now, n)
    }

    /// Takes `n` for a client, whether it is there or not; see [`Debt::charge`].
    pub(crate) fn charge(&mut self, key: K, now: Duration, n: u64) {
        let pace = self.pace;
        if !pace.is_unlimited() {
            self.of(key, now).charge(pace, now, n);
        }
    }

    /// What was taken is not used after all.
    pub(crate) fn give_back(&mut self, key: K, now: Duration, n: u64) {
        let pace = self.pace;
        self.of(key, now).give_back(pace, n);
    }

    fn of(&mut self, key: K, now: Duration) -> &mut Debt {
        let pace = self.pace;
        self.table.of(key, now, |debt| debt.is_paid(pace, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn each_client_has_a_bucket_of_its_own() {
        let mut buckets = Buckets::new(Pace::per_second(10, 2), 100);
        for key in ["a", "b"] {
            assert!(buckets.take(key, ms(0), 1).is_ok() && buckets.take(key, ms(0), 1).is_ok());
            assert_eq!(buckets.take(key, ms(0), 1), Err(RetryAfter(ms(100))));
        }
        buckets.give_back("a", ms(0), 1);
        assert!(buckets.take("a", ms(0), 1).is_ok() && buckets.take("b", ms(0), 1).is_err());
    }

    #[test]
    fn who_owes_nothing_is_forgotten_and_nobody_else() {
        let mut buckets = Buckets::new(Pace::per_second(1, 10), 4);
        for key in 0..4 {
            buckets.take(key, ms(0), if key == 0 { 10 } else { 1 }).unwrap();
        }
        assert_eq!(buckets.table.len(), 4);
        // The debts of three are paid, and make room for others.
        buckets.take(7, ms(1_000), 1).unwrap();
        assert_eq!(buckets.table.len(), 2);
        assert_eq!(buckets.take(0, ms(1_000), 2), Err(RetryAfter(ms(1_000))));
    }

    #[test]
    fn a_crowd_of_addresses_frees_nobody_of_a_debt_and_takes_no_more_memory() {
        let mut buckets = Buckets::new(Pace::per_second(1, 3), 1_000);
        buckets.take(0, ms(0), 3).unwrap();
        for round in 0..20 {
            for key in 1..10_000_u32 {
                let _ = buckets.take(key, ms(round), 1);
            }
        }
        assert_eq!((buckets.table.len(), buckets.table.common.len()), (1_000, COMMON));
        assert!(buckets.take(0, ms(20), 1).is_err(), "it still owes");
        // Those without a place share a few: they cannot take more than these have.
        let passed = (10_000..100_000_u32).filter(|key| buckets.take(*key, ms(20), 1).is_ok()).count();
        assert!(passed <= COMMON * 3, "{passed}");
        // One that has a place is not slowed down by them.
        assert!(buckets.take(0, ms(1_000), 1).is_ok());
    }

    #[test]
    fn memory_comes_back_when_the_crowd_has_left() {
        let mut buckets = Buckets::new(Pace::per_second(10, 1), 10_000);
        for key in 0..20_000_u32 {
            let _ = buckets.take(key, ms(0), 1);
        }
        buckets.take(0, ms(20_000), 1).unwrap();
        assert_eq!((buckets.table.len(), buckets.table.common.len()), (1, 0));
        assert!(buckets.table.known.capacity() < 100);
    }

    #[test]
    fn no_limit_takes_no_place() {
        let mut buckets = Buckets::new(Pace::per_second(0, 1), 10);
        assert!((0..100).all(|key| buckets.take(key, ms(0), 1_000).is_ok()));
        assert_eq!(buckets.table.len(), 0);
    }
}
