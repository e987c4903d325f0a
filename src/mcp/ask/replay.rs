//! States that may be used once only: which ones have been?

use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Most states that are remembered at once.
const MOST: usize = 4_096;

/// An author's own memory, for servers of several processes.
pub(crate) type Guard = Box<dyn Fn(&str, Duration) -> bool + Send + Sync>;

/// Remembers which states were used, for as long as they could be used again.
#[derive(Default)]
pub(crate) struct Replays {
    own: Option<Guard>,
    used: Mutex<HashMap<[u8; 16], Instant>>,
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

    /// Takes note of a use.
    pub(super) fn note(&self, id: [u8; 16], lifetime: Duration) -> Use {
        if let Some(own) = &self.own {
            return if own(&data_encoding::HEXLOWER.encode(&id), lifetime) { Use::First } else { Use::Again };
        }
        let now = Instant::now();
        let mut used = self.used.lock();
        if used.contains_key(&id) {
            return Use::Again;
        }
        if used.len() >= MOST {
            used.retain(|_, until| *until > now);
            if used.len() >= MOST {
                return Use::Full;
            }
        }
        used.insert(id, now + lifetime + Duration::from_secs(1));
        Use::First
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

    #[test]
    fn each_is_first_once_and_the_memory_is_bounded() {
        let replays = Replays::default();
        assert_eq!(replays.note(id(0), HOUR), Use::First);
        assert_eq!(replays.note(id(0), HOUR), Use::Again);
        for number in 1..MOST as u64 {
            assert_eq!(replays.note(id(number), HOUR), Use::First);
        }
        assert_eq!(replays.note(id(u64::MAX), HOUR), Use::Full);
        assert_eq!(replays.note(id(5), HOUR), Use::Again);
        // What could not be used any more makes room.
        replays.used.lock().values_mut().for_each(|until| *until = Instant::now());
        assert_eq!(replays.note(id(u64::MAX), HOUR), Use::First);
    }

    #[test]
    fn an_author_may_bring_a_memory() {
        let replays = Replays::new(Some(Box::new(|id, _| id.starts_with("00"))));
        assert_eq!(replays.note(id(1), HOUR), Use::First);
        assert_eq!(replays.note(id(1), HOUR), Use::First);
        assert_eq!(replays.note([255; 16], HOUR), Use::Again);
    }
}
