//! Which events are one too many of the same kind? What anybody can bring about without being let in must not fill the disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// So many of the same kind are written one by one.
const BURST: u32 = 5;
/// So many kinds are told apart; the rest is counted together.
const MOST: usize = 256;
/// How often the others are told of, with their number.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// After so long without any, the next ones are written one by one again.
const QUIET: Duration = Duration::from_secs(10);

/// What has happened, of a few things that can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct What {
    pub(super) event: &'static str,
    pub(super) reason: &'static str,
    pub(super) status: u16,
}

/// Who brought it about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// Somebody from that address, or from the IPv6 /64 that begins with it.
    Address(IpAddr),
    /// The client of that number.
    Client(u64),
    /// More than are told apart.
    Several,
}

/// Counts what is not written. Reads no clock: `now` is the time since some fixed moment.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    kinds: HashMap<(What, Who), Kind>,
}

#[derive(Debug, Default)]
struct Kind {
    written: u32,
    held: u64,
    /// When the last one came.
    last: Duration,
    /// When the last number was told.
    told: Duration,
}

impl Repeats {
    /// Whether to write this one by itself. Otherwise it is in the number that [`due`](Self::due) tells.
    pub(super) fn pass(&mut self, what: What, who: Who, now: Duration) -> bool {
        let room = self.kinds.len() < MOST || self.kinds.contains_key(&(what, who));
        let kind = self.kinds.entry((what, if room { who } else { Who::Several })).or_default();
        kind.last = now;
        if kind.written < BURST {
            kind.written += 1;
            return true;
        }
        if kind.held == 0 {
            kind.told = kind.told.max(now.saturating_sub(PAUSE));
        }
        kind.held += 1;
        false
    }

    /// What was held back and has waited for long enough, with its number; all of it if `all`.
    pub(super) fn due(&mut self, now: Duration, all: bool) -> Vec<(What, Who, u64)> {
        let mut due = Vec::new();
        self.kinds.retain(|(what, who), kind| {
            if kind.held > 0 && (all || now.saturating_sub(kind.told) >= PAUSE) {
                due.push((*what, *who, std::mem::take(&mut kind.held)));
                kind.told = now;
            }
            kind.held > 0 || now.saturating_sub(kind.last) < QUIET
        });
        if self.kinds.is_empty() {
            self.kinds.shrink_to_fit();
        }
        due
    }

    /// Nothing is held back, and nothing is to be forgotten.
    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHAT: What = What { event: "limit", reason: "max-connections", status: 503 };

    fn who(last: u8) -> Who {
        Who::Address(IpAddr::from([192, 0, 2, last]))
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_burst_is_written_and_the_rest_is_summed_up_once_a_second() {
        let mut repeats = Repeats::default();
        let passed = (0..100).filter(|_| repeats.pass(WHAT, who(1), seconds(0.0))).count();
        assert_eq!(passed, BURST as usize);
        assert!(repeats.pass(WHAT, who(2), seconds(0.0)));
        assert!(repeats.pass(What { reason: "threads", ..WHAT }, who(1), seconds(0.0)));
        let (mut told, mut lines) = (0, 0);
        for tick in 0..50 {
            let now = seconds(f64::from(tick) * 0.1);
            assert!(!repeats.pass(WHAT, who(1), now));
            for (what, from, count) in repeats.due(now, false) {
                assert_eq!((what, from), (WHAT, who(1)));
                told += count;
                lines += 1;
            }
        }
        assert!((4..=6).contains(&lines), "{lines}");
        told += repeats.due(seconds(5.0), true).iter().map(|(_, _, count)| count).sum::<u64>();
        assert_eq!(told, 95 + 50);
    }

    #[test]
    fn who_has_been_quiet_is_forgotten_and_heard_anew() {
        let mut repeats = Repeats::default();
        for _ in 0..10 {
            repeats.pass(WHAT, who(1), seconds(0.0));
        }
        assert_eq!(repeats.due(seconds(1.0), false), [(WHAT, who(1), 5)]);
        assert!(!repeats.is_empty());
        assert!(repeats.due(seconds(11.0), false).is_empty());
        assert!(repeats.is_empty());
        assert!(repeats.pass(WHAT, who(1), seconds(11.0)));
    }

    #[test]
    fn a_crowd_of_many_addresses_is_counted_together() {
        let mut repeats = Repeats::default();
        let mut passed = 0;
        for n in 0..100_000_u32 {
            let who = Who::Address(IpAddr::from(n.to_be_bytes()));
            passed += usize::from(repeats.pass(WHAT, who, seconds(0.5)));
        }
        assert_eq!(repeats.kinds.len(), MOST + 1);
        assert_eq!(passed, MOST + BURST as usize);
        let due = repeats.due(seconds(2.0), false);
        assert_eq!(due, [(WHAT, Who::Several, 100_000 - passed as u64)]);
    }
}
