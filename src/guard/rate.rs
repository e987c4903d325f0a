//! Is this one too many in too short a time?

use std::fmt;
use std::time::Duration;

/// How much in how much time: so many `per` some time in the long run, `burst` at once.
///
/// Counted in parts, so that refilling is exact in whole numbers and nothing drifts however often it is asked: one request is as
/// many parts as the time has nanoseconds, and each nanosecond brings back as many parts as requests are allowed in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Parts that come back in a nanosecond; 0 means **no limit**.
    refill: u64,
    /// Parts of one request.
    whole: u64,
    burst: u64,
}

impl Pace {
    /// `rate` of 0 means **no limit**; a `burst` of 0 counts as 1, since nothing would ever pass otherwise.
    #[must_use]
    pub(crate) fn per_second(rate: u64, burst: u64) -> Self {
        Self::new(rate, Duration::from_secs(1), burst)
    }

    /// So many in so much time, which may come at once.
    #[must_use]
    pub(crate) fn per(count: u64, time: Duration) -> Self {
        Self::new(count, time, count)
    }

    fn new(refill: u64, time: Duration, burst: u64) -> Self {
        let whole = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { refill, whole, burst: burst.max(1) }
    }

    /// Whether everything passes.
    #[must_use]
    pub(crate) const fn is_unlimited(&self) -> bool {
        self.refill == 0
    }
}

/// What one client has taken and not got back yet. Small and without a pace of its own, for tables that have many.
///
/// Reads no clock: every call says what time it is, as the duration since some fixed moment (the server's start). Time that
/// goes backwards counts as standing still.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Debt {
    /// Parts that were taken and have not come back by `seen`.
    owed: u128,
    seen: Duration,
}

impl Debt {
    /// Takes `n` at time `now`.
    ///
    /// More than the burst at once is let through to who owes nothing only, and is paid off
    /// before anything else: the long-run rate holds, and no request is refused for ever.
    ///
    /// # Errors
    ///
    /// Not enough is left. Nothing was taken; after the returned time `n` will fit, if nobody
    /// takes meanwhile.
    pub(crate) fn take(&mut self, pace: Pace, now: Duration, n: u64) -> Result<(), RetryAfter> {
        if pace.is_unlimited() {
            return Ok(());
        }
        self.refill(pace, now);
        let wanted = u128::from(n).saturating_mul(pace.whole.into());
        let full = u128::from(pace.burst).saturating_mul(pace.whole.into());
        // How much may be owed at most for this to fit.
        let room = full.saturating_sub(wanted);
        let excess = self.owed.saturating_sub(room);
        if excess == 0 {
            self.owed = self.owed.saturating_add(wanted);
            return Ok(());
        }
        let nanoseconds = excess.div_ceil(u128::from(pace.refill));
        Err(RetryAfter(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))))
    }

    /// Takes `n` whether it is there or not; at most as much again as the burst is owed for it.
    pub(crate) fn charge(&mut self, pace: Pace, now: Duration, n: u64) {
        self.refill(pace, now);
        let (charged, full) = (u128::from(n), u128::from(pace.burst));
        let most = full.saturating_mul(2).saturating_mul(pace.whole.into());
        self.owed = self.owed.saturating_add(charged.saturating_mul(pace.whole.into())).min(most);
    }

    /// What was taken is not used after all.
    pub(crate) fn give_back(&mut self, pace: Pace, n: u64) {
        self.owed = self.owed.saturating_sub(u128::from(n).saturating_mul(pace.whole.into()));
    }

    /// Whether nothing is owed at time `now`: forgetting it then changes nothing, which is
    /// how a table of debts stays small.
    #[must_use]
    pub(crate) fn is_paid(&mut self, pace: Pace, now: Duration) -> bool {
        self.refill(pace, now);
        self.owed == 0
    }

    fn refill(&mut self, pace: Pace, now: Duration) {
        let passed = now.saturating_sub(self.seen);
        self.seen = self.seen.max(now);
        // Saturating is right: so long a gap fills any bucket.
        self.owed = self.owed.saturating_sub(passed.as_nanos().saturating_mul(u128::from(pace.refill)));
    }
}

/// A token bucket: a pace, and what one client has taken.
#[derive(Debug, Clone)]
pub(crate) struct TokenBucket {
    pace: Pace,
    debt: Debt,
}

impl TokenBucket {
    /// A full bucket. `rate_per_s` of 0 means **no limit**; a `burst` of 0 counts as 1.
    #[must_use]
    pub(crate) fn new(rate_per_s: u64, burst: u64) -> Self {
        Self { pace: Pace::per_second(rate_per_s, burst), debt: Debt::default() }
    }

    /// [`Debt::take`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn take(&mut self, now: Duration, n: u64) -> Result<(), RetryAfter> {
        self.debt.take(self.pace, now, n)
    }

    /// [`Debt::give_back`].
    pub(crate) fn give_back(&mut self, n: u64) {
        self.debt.give_back(self.pace, n);
    }
}

/// How long to wait before trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryAfter(pub Duration);

impl RetryAfter {
    /// Whole milliseconds, rounded up.
    #[must_use]
    pub(crate) fn ms(self) -> u64 {
        u64::try_from(self.0.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// Whole seconds, rounded up and at least 1, for a `Retry-After` header (RFC 9110, 10.2.3).
    #[must_use]
    pub(crate) fn seconds(self) -> u64 {
        self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0)).max(1)
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many requests; try again in {} ms", self.ms())
    }
}

impl std::error::Error for RetryAfter {}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = TokenBucket::new(10, 5);
        for _ in 0..5 {
            assert_eq!(bucket.take(ms(0), 1), Ok(()));
        }
        assert_eq!(bucket.take(ms(0), 1), Err(RetryAfter(ms(100))));
        assert_eq!(bucket.take(ms(60), 1), Err(RetryAfter(ms(40))));
        assert_eq!(bucket.take(ms(100), 1), Ok(()));
        assert_eq!(bucket.take(ms(100), 2), Err(RetryAfter(ms(200))));
    }

    #[test]
    fn the_promised_wait_is_enough_and_one_nanosecond_less_is_not() {
        for rate in [1, 3, 7, 999, 1000, 1_000_003, 3_000_000_000] {
            let mut bucket = TokenBucket::new(rate, 1);
            bucket.take(ms(0), 1).unwrap();
            let RetryAfter(wait) = bucket.take(ms(0), 1).unwrap_err();
            assert!(bucket.clone().take(wait - Duration::from_nanos(1), 1).is_err(), "{rate}");
            assert_eq!(bucket.take(wait, 1), Ok(()), "{rate}");
        }
    }

    #[test]
    fn odd_rates_do_not_drift() {
        // Asked every 7 µs for 10 s: exactly rate * time + burst pass, give or take the last one.
        for rate in [3_u64, 7, 333, 997] {
            let mut bucket = TokenBucket::new(rate, 2);
            let step = Duration::from_micros(7);
            let mut now = Duration::ZERO;
            let mut passed = 0_u64;
            while now < Duration::from_secs(10) {
                passed += u64::from(bucket.take(now, 1).is_ok());
                now += step;
            }
            assert!((rate * 10 + 1..=rate * 10 + 2).contains(&passed), "{rate}: {passed}");
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut bucket = TokenBucket::new(u64::MAX, u64::MAX);
        assert_eq!(bucket.take(Duration::MAX, u64::MAX), Ok(()));
        assert!(bucket.take(Duration::MAX, u64::MAX).is_err());
        let mut slow = TokenBucket::new(1, 1);
        assert_eq!(slow.take(Duration::ZERO, u64::MAX), Ok(()));
        assert_eq!(slow.take(Duration::ZERO, u64::MAX), Err(RetryAfter(Duration::from_nanos(u64::MAX))));
        assert_eq!(slow.take(Duration::MAX, 1), Ok(()));
    }

    #[test]
    fn time_that_goes_backwards_stands_still() {
        let mut bucket = TokenBucket::new(10, 1);
        bucket.take(ms(1000), 1).unwrap();
        assert!(bucket.take(ms(0), 1).is_err());
        assert!(bucket.take(ms(1000), 1).is_err());
        assert_eq!(bucket.take(ms(1100), 1), Ok(()));
    }

    #[test]
    fn more_than_a_burst_waits_for_a_full_bucket_and_is_paid_off() {
        let mut bucket = TokenBucket::new(10, 5);
        bucket.take(ms(0), 1).unwrap();
        assert_eq!(bucket.take(ms(0), 20), Err(RetryAfter(ms(100))));
        assert_eq!(bucket.take(ms(100), 20), Ok(()));
        assert_eq!(bucket.take(ms(100), 1), Err(RetryAfter(ms(1600))));
        assert!(!bucket.debt.is_paid(bucket.pace, ms(2099)));
        assert!(bucket.debt.is_paid(bucket.pace, ms(2100)));
    }

    #[test]
    fn zero_rate_is_no_limit_and_zero_burst_is_one() {
        let mut free = TokenBucket::new(0, 0);
        assert!((0..1000).all(|_| free.take(Duration::ZERO, u64::MAX).is_ok()));
        let mut one = TokenBucket::new(1, 0);
        assert_eq!(one.take(Duration::ZERO, 1), Ok(()));
        assert!(one.take(Duration::ZERO, 1).is_err());
    }

    #[test]
    fn a_pace_may_be_slower_than_one_in_a_second() {
        let pace = Pace::per(2, Duration::from_secs(3_600));
        let mut debt = Debt::default();
        assert!(debt.take(pace, ms(0), 1).is_ok() && debt.take(pace, ms(0), 1).is_ok());
        assert_eq!(debt.take(pace, ms(0), 1), Err(RetryAfter(Duration::from_secs(1_800))));
        debt.give_back(pace, 1);
        assert_eq!(debt.take(pace, ms(0), 1), Ok(()));
        assert!(!debt.is_paid(pace, ms(3_599_999)));
        assert!(debt.is_paid(pace, ms(3_600_000)));
    }

    #[test]
    fn retry_after_is_whole_seconds() {
        assert_eq!(RetryAfter(ms(1)).seconds(), 1);
        assert_eq!(RetryAfter(ms(1000)).seconds(), 1);
        assert_eq!(RetryAfter(ms(1001)).seconds(), 2);
        assert_eq!(RetryAfter(Duration::MAX).seconds(), u64::MAX);
    }
}
