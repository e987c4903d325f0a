//! Who asks how often, over all of its connections: what the limits for principals and for addresses are counted with.
//!
//! Every lock here is taken alone and for one look into a table.

use crate::clock;
use crate::guard::address::ClientAddr;
use crate::guard::buckets::{Buckets, Table};
use crate::guard::failures::Failures;
use crate::guard::rate::{Pace, RetryAfter, TokenBucket};
use crate::limits::Limits;
use crate::principal::{Payer, Principal};
use parking_lot::Mutex;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients that each table has a place for: some 2 MiB in all when every table is full. What happens beyond: see `guard/buckets.rs`.
pub(crate) const CLIENTS: usize = 16_384;
const DAY: u64 = 86_400;

/// The counts of a server.
pub(crate) struct Rates {
    start: Instant,
    /// Whether addresses of loopback are limited like others.
    loopback: bool,
    principals: Option<Mutex<Buckets<Arc<str>>>>,
    addresses: Option<Mutex<Buckets<IpAddr>>>,
    connects: Option<Mutex<Buckets<IpAddr>>>,
    failures: Mutex<Failures>,
    quota: Option<Quota>,
}

/// What was too much, and for how long.
#[derive(Debug)]
pub(crate) struct TooMany {
    /// A short word for the audit log.
    pub(crate) limit: &'static str,
    pub(crate) retry: RetryAfter,
}

/// Calls of a day (UTC), for each client.
struct Quota {
    most: u64,
    today: Mutex<(u64, Table<Payer, u64>)>,
}

/// A day's calls are used up.
#[derive(Debug)]
pub(crate) struct UsedUp {
    pub(crate) most: u64,
    pub(crate) retry: RetryAfter,
    /// When there are new ones, in milliseconds since 1970.
    pub(crate) renews: u64,
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Self {
        fn table<K: Hash + Eq>(rate: u32, burst: u32) -> Option<Mutex<Buckets<K>>> {
            let pace = Pace::per_second(rate.into(), burst.into());
            (!pace.is_unlimited()).then(|| Mutex::new(Buckets::new(pace, CLIENTS)))
        }
        let quota = (limits.calls_per_day > 0)
            .then(|| Quota { most: limits.calls_per_day, today: Mutex::new((0, Table::new(CLIENTS))) });
        Self {
            start: Instant::now(),
            loopback: limits.limit_loopback,
            principals: table(limits.principal_rate, limits.principal_burst),
            addresses: table(limits.address_rate, limits.address_burst),
            connects: table(limits.connect_rate, limits.connect_burst),
            failures: Mutex::new(Failures::new(limits.failed_logins, limits.failed_login_wait, CLIENTS)),
            quota,
        }
    }

    /// Takes `n` messages: from what this client's connection or session has, its principal, and its address. All or nothing.
    pub(crate) fn take(
        &self,
        own: &Mutex<TokenBucket>,
        principal: Option<&Principal>,
        address: ClientAddr,
        n: u64,
    ) -> Result<(), TooMany> {
        let now = self.start.elapsed();
        own.lock().take(now, n).map_err(|retry| TooMany { limit: "rate", retry })?;
        let principals = self.principals.as_ref().and_then(|table| Some((table, principal?)));
        if let Some((table, principal)) = principals
            && let Err(retry) = table.lock().take(principal.shared_id(), now, n)
        {
            own.lock().give_back(n);
            return Err(TooMany { limit: "principal-rate", retry });
        }
        if let Some((table, group)) = self.addresses.as_ref().zip(self.counted(address))
            && let Err(retry) = table.lock().take(group, now, n)
        {
            own.lock().give_back(n);
            if let Some((table, principal)) = principals {
                table.lock().give_back(principal.shared_id(), now, n);
            }
            return Err(TooMany { limit: "address-rate", retry });
        }
        Ok(())
    }

    /// What [`take`](Self::take) has taken is not used after all.
    pub(crate) fn give_back(
        &self,
        own: &Mutex<TokenBucket>,
        principal: Option<&Principal>,
        address: ClientAddr,
        n: u64,
    ) {
        let now = self.start.elapsed();
        own.lock().give_back(n);
        if let Some((table, principal)) = self.principals.as_ref().zip(principal) {
            table.lock().give_back(principal.shared_id(), now, n);
        }
        if let Some((table, group)) = self.addresses.as_ref().zip(self.counted(address)) {
            table.lock().give_back(group, now, n);
        }
    }

    /// One more connection from that address.
    pub(crate) fn connect(&self, address: ClientAddr) -> Result<(), RetryAfter> {
        match self.connects.as_ref().zip(self.counted(address)) {
            Some((table, group)) => table.lock().take(group, self.start.elapsed(), 1),
            None => Ok(()),
        }
    }

    /// A connection from that address was ended for what it sent: it counts for as many as may come in a second.
    pub(crate) fn flooded(&self, address: ClientAddr) {
        const WORTH: u64 = 20;
        if let Some((table, group)) = self.connects.as_ref().zip(self.counted(address)) {
            table.lock().charge(group, self.start.elapsed(), WORTH);
        }
    }

    /// Whether anything is counted for that address.
    pub(crate) fn counts(&self, address: ClientAddr) -> bool {
        self.counted(address).is_some()
    }

    /// Whether a connection from that address may be taken, for all that is known of failed logins.
    pub(crate) fn may_connect(&self, address: ClientAddr) -> Result<(), RetryAfter> {
        match self.counted(address) {
            Some(group) => self.failures.lock().check_address(group, self.start.elapsed()),
            None => Ok(()),
        }
    }

    /// Whether that address has to wait for its failed logins.
    pub(crate) fn login_wait(&self, address: ClientAddr) -> Result<(), RetryAfter> {
        let Some(group) = self.counted(address) else { return Ok(()) };
        self.failures.lock().check(group, self.start.elapsed())
    }

    /// Whether these credentials were good from there.
    pub(crate) fn knows(&self, address: ClientAddr, credentials: &impl Hash) -> bool {
        self.failures.lock().knows(address.group(), credentials)
    }

    /// Whether a signed token of that principal may be looked at, which was not there before.
    pub(crate) fn may_renew(&self, address: ClientAddr, principal: &str) -> bool {
        self.failures.lock().may_renew(address.group(), principal, self.start.elapsed())
    }

    /// That principal was let in, by these credentials if they can be used again.
    pub(crate) fn logged_in(&self, address: ClientAddr, principal: &Principal, credentials: Option<&impl Hash>) {
        if let Some(group) = self.counted(address) {
            self.failures.lock().passed(group, principal.id(), credentials);
        }
    }

    /// Somebody was not, with what he has brought.
    pub(crate) fn failed_to_log_in(&self, address: ClientAddr) {
        if let Some(group) = self.counted(address) {
            self.failures.lock().failed(group, self.start.elapsed());
        }
    }

    /// Takes `n` from a client's calls of this day, if there is a limit; then also which day it is.
    pub(crate) fn take_of_day(&self, payer: impl FnOnce() -> Payer, n: u64) -> Result<Option<u64>, UsedUp> {
        let Some(quota) = &self.quota else { return Ok(None) };
        quota.take(payer(), clock::since_1970(), n).map(Some)
    }

    /// What was taken of that day is not used after all.
    pub(crate) fn give_back_of_day(&self, payer: impl FnOnce() -> Payer, day: u64, n: u64) {
        if let Some(quota) = &self.quota {
            quota.give_back(payer(), day, n);
        }
    }

    /// What is counted for that address, if anything is.
    fn counted(&self, address: ClientAddr) -> Option<IpAddr> {
        (self.loopback || !address.is_loopback()).then(|| address.group())
    }
}

impl Quota {
    /// `since` is the time since 1970. Gives back the day.
    fn take(&self, payer: Payer, since: Duration, n: u64) -> Result<u64, UsedUp> {
        let mut today = self.today.lock();
        // A clock that was put back a little begins no day anew; one that had run ahead must not keep everybody out until it is that day.
        let now = since.as_secs() / DAY;
        let day = if now + 1 < today.0 { now } else { now.max(today.0) };
        if day != today.0 {
            *today = (day, Table::new(CLIENTS));
        }
        let taken = today.1.of(payer, since, |_| false);
        match taken.saturating_add(n) {
            sum if sum > self.most => {
                let renews = Duration::from_secs(day.saturating_add(1).saturating_mul(DAY));
                let renews_ms = u64::try_from(renews.as_millis()).unwrap_or(u64::MAX);
                Err(UsedUp { most: self.most, retry: RetryAfter(renews.saturating_sub(since)), renews: renews_ms })
            }
            sum => {
                *taken = sum;
                Ok(day)
            }
        }
    }

    fn give_back(&self, payer: Payer, day: u64, n: u64) {
        let mut today = self.today.lock();
        // A new day has all of its calls anyway.
        if day == today.0 {
            let taken = today.1.of(payer, Duration::ZERO, |_| false);
            *taken = taken.saturating_sub(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_day_has_so_many_calls_and_the_next_one_as_many_again() {
        let quota = Quota { most: 3, today: Mutex::new((0, Table::new(10))) };
        let alice = || Payer::Principal("alice".into());
        let noon = s(20_000 * DAY + DAY / 2);
        assert!(quota.take(alice(), noon, 2).is_ok());
        let used_up = quota.take(alice(), noon, 2).unwrap_err();
        assert_eq!((used_up.most, used_up.retry, used_up.renews), (3, RetryAfter(s(DAY / 2)), 20_001 * DAY * 1_000));
        assert!(quota.take(alice(), noon, 1).is_ok());
        assert!(quota.take(Payer::Principal("bob".into()), noon, 3).is_ok());
        assert!(quota.take(alice(), s(20_000 * DAY), 1).is_err(), "an hour that comes again");
        assert!(quota.take(alice(), s(20_001 * DAY), 3).is_ok());
        assert!(quota.take(alice(), noon, 1).is_err(), "a clock that was put back");
        quota.give_back(alice(), 20_000, 1);
        assert!(quota.take(alice(), noon, 1).is_err(), "a call of another day");
        quota.give_back(alice(), 20_001, 2);
        assert_eq!(quota.take(alice(), noon, 2).ok(), Some(20_001));
        assert!(quota.take(alice(), noon, 1).is_err());
    }
}
