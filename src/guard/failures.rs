//! Has this address failed to say who it is too often?
//!
//! After a number of failures every further attempt from the same address is turned away for a time that doubles, before its
//! credentials are looked at: so guessing is slow, and what looking costs (a signature, an author's data base) is bounded.
//!
//! **Honest clients behind the same address** (one NAT, one proxy): credentials that were good from there are remembered, as keyed hashes,
//! and are let through to be looked at as ever. That is no oracle: what was not accepted from there before is turned away unseen, whether it
//! is right or wrong, so an attacker learns of no guess. Who comes there for the first time meanwhile has to wait like the attacker.
//!
//! A credential that nobody can guess need not be one that was there before: see [`Failures::may_renew`] for signed tokens; tickets are let through by
//! who knows them.

use super::rate::{Debt, Pace, RetryAfter};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// The first wait; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// A failure is forgiven after so long without one.
const FORGIVEN: Duration = Duration::from_secs(30);
/// Doubled so often at the most.
const DOUBLINGS: u32 = 20;
/// Things that are remembered of each kind; newer ones take the places of older ones.
const REMEMBERED: usize = 4_096;
/// Of these, the places that are a principal's own, whatever others bring. Where more are free, he may take them: one token of many clients is good from many addresses.
const OWN: usize = 16;
/// Signed tokens that were not there before, of principals that were: looked at from one address that waits, a second and at once.
const RENEWED: (u64, u64) = (5, 20);

/// Counts failed logins. A plain struct without a clock: the caller locks it and says what time it is.
///
/// Its memory is bounded: when the table is full, the half that has failed least makes room. To have its own failures forgotten, an attacker
/// needs as many other addresses as the table has places, all of which have failed more.
#[derive(Debug)]
pub(crate) struct Failures {
    free: u32,
    longest: Duration,
    most: usize,
    failed: HashMap<IpAddr, Failed>,
    credentials: Remembered,
    principals: Remembered,
    addresses: Remembered,
}

#[derive(Debug, Clone, Default)]
struct Failed {
    count: u32,
    /// When the last one came, or the wait for it is over.
    since: Duration,
    renewed: Debt,
}

impl Failures {
    /// The first `free` failures of an address cost nothing, 0 means that none ever does; no wait is longer than `longest`.
    #[must_use]
    pub(crate) fn new(free: u32, longest: Duration, most: usize) -> Self {
        let [credentials, principals, addresses] = [(); 3].map(|()| Remembered::default());
        Self { free, longest, most: most.max(2), failed: HashMap::new(), credentials, principals, addresses }
    }

    /// Whether whatever comes from that address may be looked at.
    ///
    /// # Errors
    ///
    /// It has to wait, unless it [is known](Self::knows) or [may be renewed](Self::may_renew).
    pub(crate) fn check(&self, group: IpAddr, now: Duration) -> Result<(), RetryAfter> {
        self.wait(group, now).map_or(Ok(()), Err)
    }

    /// Whether these credentials were good from that address.
    pub(crate) fn knows(&self, group: IpAddr, credentials: &impl Hash) -> bool {
        self.credentials.knows(&(group, credentials))
    }

    /// Whether a token may be looked at, while that address waits, which says that it is of this principal. Only for what nobody can guess: a signature.
    ///
    /// The principal was there before, with another token perhaps: those are renewed each hour, and whoever has one would be locked out for as long as
    /// somebody else goes on failing. What it costs to look at what others sign with that name is bounded for each address.
    pub(crate) fn may_renew(&mut self, group: IpAddr, principal: &str, now: Duration) -> bool {
        let (rate, burst) = RENEWED;
        self.principals.knows(&(group, principal))
            && self
                .failed
                .get_mut(&group)
                .is_none_or(|failed| failed.renewed.take(Pace::per_second(rate, burst), now, 1).is_ok())
    }

    /// Whether a connection from that address may be taken at all: not while it has to wait, unless somebody was let in from there.
    ///
    /// # Errors
    ///
    /// It has to wait.
    pub(crate) fn check_address(&self, group: IpAddr, now: Duration) -> Result<(), RetryAfter> {
        match self.wait(group, now) {
            Some(wait) if !self.addresses.knows(&group) => Err(wait),
            _ => Ok(()),
        }
    }

    /// That principal was let in from there, by these credentials if they can be used again. What others have failed is not forgotten by it.
    pub(crate) fn passed(&mut self, group: IpAddr, principal: &str, credentials: Option<&impl Hash>) {
        if let Some(credentials) = credentials {
            self.credentials.add(principal, &(group, credentials));
        }
        self.principals.add(principal, &(group, principal));
        self.addresses.add(principal, &group);
    }

    /// An attempt has failed. What fails while the address waits counts for nothing: it had begun before, or was looked at because it had been good, and
    /// a program that repeats a token that is good no more must not keep everybody else out.
    pub(crate) fn failed(&mut self, group: IpAddr, now: Duration) {
        if self.free == 0 || self.wait(group, now).is_some() {
            return;
        }
        if self.failed.len() >= self.most && !self.failed.contains_key(&group) {
            self.make_room(now);
        }
        let (free, longest) = (self.free, self.longest);
        let failed = self.failed.entry(group).or_default();
        failed.count = failed.left(now).saturating_add(1).min(free.saturating_add(DOUBLINGS));
        failed.since = now + failed.wait(free, longest);
    }

    fn wait(&self, group: IpAddr, now: Duration) -> Option<RetryAfter> {
        let failed = self.failed.get(&group).filter(|failed| failed.since > now)?;
        Some(RetryAfter(failed.since - now))
    }

    fn make_room(&mut self, now: Duration) {
        self.failed.retain(|_, failed| failed.left(now) > 0);
        if self.failed.len() < self.most {
            return;
        }
        let mut counts: Vec<_> = self.failed.values().map(|failed| failed.left(now)).collect();
        let half = counts.len() / 2;
        let (_, middle, _) = counts.select_nth_unstable(half);
        let middle = *middle;
        let mut of_the_middle = half;
        self.failed.retain(|_, failed| {
            let left = failed.left(now);
            // At least half goes, also where all have failed as often.
            let goes = left < middle || left == middle && of_the_middle > 0;
            of_the_middle = of_the_middle.saturating_sub(usize::from(goes));
            !goes
        });
    }
}

impl Failed {
    /// What is not forgiven.
    fn left(&self, now: Duration) -> u32 {
        let forgiven = now.saturating_sub(self.since).as_secs() / FORGIVEN.as_secs();
        self.count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    /// What so many failures cost.
    fn wait(&self, free: u32, longest: Duration) -> Duration {
        match self.count.checked_sub(free.saturating_add(1)) {
            None => Duration::ZERO,
            Some(doubled) => (FIRST * 2_u32.saturating_pow(doubled.min(DOUBLINGS))).min(longest),
        }
    }
}

/// Whether something was there before: a fixed number of keyed hashes. It may forget, and takes no more memory.
///
/// Each is somebody's, who takes the next free place behind where his own [`OWN`] begin. When there is no free one, he gets only one of those, and what others have
/// put there because they needed more than their own goes first: so nobody can have what is others' forgotten by bringing more and more.
#[derive(Debug, Default)]
struct Remembered {
    hasher: RandomState,
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    /// 0 if it is free.
    owner: u64,
    what: u64,
}

impl Remembered {
    fn add(&mut self, owner: &str, what: &impl Hash) {
        if self.places.is_empty() {
            self.places = vec![Place::default(); REMEMBERED];
        }
        let (owner, what) = (self.hasher.hash_one(owner) | 1, self.hasher.hash_one(what));
        let new = Place { owner, what };
        // Places are taken in this order and never given back: behind a free one there is nothing that belongs before it.
        let (before, behind) = self.places.split_at(begin(owner));
        let mut way = behind.iter().chain(before);
        let place =
            way.position(|place| *place == new || place.owner == 0).map(|steps| (begin(owner) + steps) % REMEMBERED);
        let place = place.or_else(|| {
            let rank = |at: &usize| match self.places.get(*at).map_or(0, |place| place.owner) {
                other if !own(other).any(|own| own == *at) => 0,
                other if other == owner => 1,
                _ => 2,
            };
            // Which one of several gives way does not matter, only that it is another one each time.
            let turn = usize::try_from(what % OWN as u64).unwrap_or(0);
            own(owner).cycle().skip(turn).take(OWN).min_by_key(rank)
        });
        if let Some(place) = place.and_then(|place| self.places.get_mut(place)) {
            *place = new;
        }
    }

    /// Looks through all of them, as it is not known yet whose it would be: a few microseconds, and only while somebody has to wait.
    fn knows(&self, what: &impl Hash) -> bool {
        let what = self.hasher.hash_one(what);
        self.places.iter().any(|place| place.what == what && place.owner != 0)
    }
}

/// Where the places of that owner begin.
fn begin(owner: u64) -> usize {
    usize::try_from((owner >> 8) % REMEMBERED as u64).unwrap_or(0)
}

/// Those that are its own.
fn own(owner: u64) -> impl Iterator<Item = usize> + Clone {
    let begin = begin(owner);
    (begin..begin + OWN).map(|place| place % REMEMBERED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(300);

    fn group(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn failures(free: u32) -> Failures {
        Failures::new(free, LONGEST, 1_000)
    }

    #[test]
    fn a_few_are_free_and_then_the_wait_doubles() {
        let mut failures = failures(3);
        for _ in 0..3 {
            failures.failed(group(1), s(0));
            assert!(failures.check(group(1), s(0)).is_ok());
        }
        let mut now = s(0);
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            failures.failed(group(1), now);
            assert_eq!(failures.check(group(1), now), Err(RetryAfter(s(wait))));
            assert_eq!(failures.check_address(group(1), now), Err(RetryAfter(s(wait))));
            now += s(wait);
            assert!(failures.check(group(1), now).is_ok());
        }
        assert!(failures.check(group(2), s(0)).is_ok(), "another address is not concerned");
    }

    #[test]
    fn failures_are_forgiven_with_time() {
        let mut failures = failures(2);
        (0..4).for_each(|_| failures.failed(group(1), s(0)));
        // The third is over the free ones and costs 1 s, whatever comes with it; the next one 2 s. Then one is forgiven each half minute.
        assert!(failures.check(group(1), s(1)).is_ok());
        failures.failed(group(1), s(1));
        assert!(failures.check(group(1), s(2)).is_err() && failures.check(group(1), s(3)).is_ok());
        failures.failed(group(1), s(3 + 4 * 30));
        assert!(failures.check(group(1), s(3 + 4 * 30)).is_ok());
        let mut slow = Failures::new(1, LONGEST, 10);
        for minute in 0..1_000 {
            slow.failed(group(1), s(minute * 60));
            assert!(slow.check(group(1), s(minute * 60)).is_ok());
        }
    }

    /// Whether these may be looked at.
    fn passes(failures: &Failures, last: u8, credentials: &str) -> bool {
        failures.check(group(last), s(0)).is_ok() || failures.knows(group(last), &credentials)
    }

    #[test]
    fn what_was_good_before_is_let_through_and_nothing_else_of_that_address() {
        let mut failures = failures(1);
        failures.passed(group(1), "ada", Some(&"good"));
        (0..5).for_each(|_| failures.failed(group(1), s(0)));
        assert!(passes(&failures, 1, "good") && !passes(&failures, 1, "gooD") && !passes(&failures, 1, ""));
        assert!(failures.check_address(group(1), s(0)).is_ok(), "what was good may come");
        // A success elsewhere is none here, and resets nothing.
        (0..5).for_each(|_| failures.failed(group(2), s(0)));
        assert!(!passes(&failures, 2, "good") && failures.check_address(group(2), s(0)).is_err());
        failures.passed(group(2), "bob", Some(&"other"));
        assert!(!passes(&failures, 2, "good") && passes(&failures, 2, "other"));
    }

    #[test]
    fn nobody_has_what_is_others_forgotten_by_bringing_more_of_his_own() {
        let mut failures = failures(1);
        let names: Vec<_> = (0..100).map(|number| format!("honest {number}")).collect();
        for name in &names {
            failures.passed(group(1), name, Some(name));
        }
        for number in 0..20_000_u32 {
            let from = IpAddr::from((number | 0x0a00_0000).to_be_bytes());
            failures.passed(from, "eve", Some(&number));
        }
        (0..5).for_each(|_| failures.failed(group(1), s(0)));
        assert!(names.iter().all(|name| failures.knows(group(1), name)));
        assert!(failures.check_address(group(1), s(0)).is_ok());
        // Of his own he is known with the newest.
        let last = IpAddr::from((19_999 | 0x0a00_0000_u32).to_be_bytes());
        assert!(failures.knows(last, &19_999_u32));
    }

    #[test]
    fn one_token_of_many_addresses_is_known_at_all_of_them() {
        let mut failures = failures(1);
        let all: Vec<_> = (0..1_000_u32).map(|number| IpAddr::from((number | 0x0a00_0000).to_be_bytes())).collect();
        for _ in 0..2 {
            all.iter().for_each(|from| failures.passed(*from, "shared", Some(&"token")));
        }
        assert!(all.iter().all(|from| failures.knows(*from, &"token") && failures.addresses.knows(from)));
        let taken = failures.credentials.places.iter().filter(|place| place.owner != 0).count();
        assert_eq!(taken, all.len(), "each is there once");
    }

    #[test]
    fn who_comes_to_a_full_table_has_places_of_his_own() {
        let mut failures = failures(1);
        for number in 0..5_000_u32 {
            failures.passed(IpAddr::from((number | 0x0a00_0000).to_be_bytes()), "eve", Some(&number));
        }
        // Names and places are keyed anew each time: some of these may share theirs.
        let names = ["ada", "bob", "carol", "dan"];
        let at = |name: usize, last: u8| IpAddr::from([198, 51, u8::try_from(name).unwrap_or(0), last]);
        for last in 0..16 {
            (0..4).for_each(|name| failures.passed(at(name, last), names[name], Some(&names[name])));
        }
        let known = (0..4).map(|name| (0..16).filter(|last| failures.knows(at(name, *last), &names[name])).count());
        assert!(known.sum::<usize>() >= 32);
        for number in 5_000..6_000_u32 {
            failures.passed(IpAddr::from((number | 0x0a00_0000).to_be_bytes()), "eve", Some(&number));
        }
        let known = (0..4).map(|name| (0..16).filter(|last| failures.knows(at(name, *last), &names[name])).count());
        assert!(known.sum::<usize>() >= 32, "nor does she have them forgotten");
    }

    #[test]
    fn a_renewed_token_is_looked_at_from_where_its_principal_was_and_not_too_often() {
        let mut failures = failures(1);
        failures.passed(group(1), "ada", None::<&&str>);
        (0..5).for_each(|_| failures.failed(group(1), s(0)));
        assert!(!failures.may_renew(group(1), "bob", s(0)) && !failures.may_renew(group(2), "ada", s(0)));
        assert_eq!((0..100).filter(|_| failures.may_renew(group(1), "ada", s(0))).count(), 20);
        assert_eq!((0..100).filter(|_| failures.may_renew(group(1), "ada", s(1))).count(), 5);
    }

    #[test]
    fn a_crowd_takes_no_more_memory_and_does_not_free_who_has_failed_more() {
        let mut failures = Failures::new(2, LONGEST, 100);
        // It comes back as soon as it may.
        let (mut now, mut next) = (s(0), s(0));
        for _ in 0..10 {
            now = next;
            failures.failed(group(1), now);
            if let Err(RetryAfter(wait)) = failures.check(group(1), now) {
                next = now + wait;
            }
        }
        for n in 0..100_000_u32 {
            failures.failed(IpAddr::from((n | 0x0a00_0000).to_be_bytes()), now);
            assert!(failures.failed.len() <= 100);
        }
        assert!(failures.check(group(1), now + s(1)).is_err());
        // Nor does it stop those who have not failed.
        assert!(failures.check(group(2), now + s(1)).is_ok());
    }

    #[test]
    fn no_wait_is_longer_than_the_longest_however_many_fail_at_once() {
        let mut failures = failures(2);
        failures.passed(group(1), "ada", Some(&"good once"));
        for second in 0..10_000 {
            (0..100).for_each(|_| failures.failed(group(1), s(second)));
            if let Err(RetryAfter(wait)) = failures.check(group(1), s(second)) {
                assert!(wait <= LONGEST, "{wait:?}");
            }
        }
    }

    #[test]
    fn without_a_number_nothing_is_counted() {
        let mut failures = failures(0);
        (0..100).for_each(|_| failures.failed(group(1), s(0)));
        assert!(failures.check(group(1), s(0)).is_ok() && failures.failed.is_empty());
    }
}
