//! States that may be used once only: which ones have been?

use crate::principal::Payer;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

/// Most states that are remembered at once.
const MOST: usize = 65_536;
/// Most that are remembered on the account of one client, so that none can take all the room there is.
const MOST_EACH: usize = MOST / 16;

/// An author's own memory, for servers of several processes.
pub(crate) type Guard = Box<dyn Fn(&str, Duration) -> bool + Send + Sync>;

/// Remembers which states were used, for as long as they could be used again.
#[derive(Default)]
pub(crate) struct Replays {
    own: Option<Guard>,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    /// Whoever brings it: a state is used once, not once by each.
    ids: HashSet<[u8; 16]>,
    /// By when they can be forgotten, so that nobody has to look at all of them.
    ends: BTreeMap<(Instant, [u8; 16]), Payer>,
    each: HashMap<Payer, usize>,
}

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    First,
    Again,
    /// There is no room to remember it.
    Full,
}

impl Replays {
    pub(crate) fn new(own: Option<Guard>) -> Self {
        Self { own, used: Mutex::default() }
    }

    /// Takes note of a use, on somebody's account.
    pub(super) fn note(&self, id: [u8; 16], lifetime: Duration, payer: Payer) -> Use {
        if let Some(own) = &self.own {
            return if own(&data_encoding::HEXLOWER.encode(&id), lifetime) { Use::First } else { Use::Again };
        }
        self.used.lock().note(id, lifetime, payer, Instant::now())
    }
}

impl Used {
    fn note(&mut self, id: [u8; 16], lifetime: Duration, payer: Payer, now: Instant) -> Use {
        while let Some(end) = self.ends.first_entry().filter(|end| end.key().0 <= now) {
            let ((_, id), payer) = end.remove_entry();
            self.ids.remove(&id);
            self.give_back(&payer);
        }
        if self.ids.contains(&id) {
            return Use::Again;
        }
        let own = self.each.get(&payer).copied().unwrap_or(0);
        if self.ids.len() >= MOST || own >= MOST_EACH {
            return Use::Full;
        }
        self.ids.insert(id);
        self.each.insert(payer.clone(), own + 1);
        self.ends.insert((now + lifetime + Duration::from_secs(1), id), payer);
        Use::First
    }

    fn give_back(&mut self, payer: &Payer) {
        if let Some(own) = self.each.get_mut(payer) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.each.remove(payer);
            }
        }
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").field("own", &self.own.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn id(number: u64) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    fn payer(name: usize) -> Payer {
        Payer::Principal(name.to_string().into())
    }

    #[test]
    fn each_is_first_once_and_the_memory_is_bounded() {
        let (mut used, now) = (Used::default(), Instant::now());
        let mut note = |number, who, now| used.note(id(number), HOUR, payer(who), now);
        assert_eq!(note(0, 0, now), Use::First);
        assert_eq!(note(0, 0, now), Use::Again);
        // Nor does it count again for somebody else.
        assert_eq!(note(0, 1, now), Use::Again);
        for number in 1..MOST {
            assert_eq!(note(number as u64, number / MOST_EACH, now), Use::First);
        }
        assert_eq!(note(u64::MAX, 99, now), Use::Full);
        assert_eq!(note(5, 0, now), Use::Again);
        // What could not be used any more makes room.
        assert_eq!(note(u64::MAX, 0, now + HOUR), Use::Full);
        assert_eq!(note(u64::MAX, 0, now + HOUR + Duration::from_secs(1)), Use::First);
        assert_eq!((used.ids.len(), used.ends.len(), used.each.len()), (1, 1, 1));
    }

    #[test]
    fn who_has_used_up_its_share_is_in_nobody_elses_way() {
        let replays = Replays::default();
        for number in 0..MOST_EACH as u64 {
            assert_eq!(replays.note(id(number), HOUR, payer(1)), Use::First);
        }
        assert_eq!(replays.note(id(u64::MAX), HOUR, payer(1)), Use::Full);
        assert_eq!(replays.note(id(u64::MAX), HOUR, payer(2)), Use::First);
    }

    #[test]
    fn an_author_may_bring_a_memory() {
        let replays = Replays::new(Some(Box::new(|id, _| id.starts_with("00"))));
        assert_eq!(replays.note(id(1), HOUR, payer(1)), Use::First);
        assert_eq!(replays.note(id(1), HOUR, payer(1)), Use::First);
        assert_eq!(replays.note([255; 16], HOUR, payer(1)), Use::Again);
    }
}
