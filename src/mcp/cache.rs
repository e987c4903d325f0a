//! How long, and by whom, what a server says may be kept (2026-07-28, server/utilities/caching).

use crate::protocol::encode::CacheScope;
use std::time::Duration;

/// For how many milliseconds, and by whom.
pub(crate) type Hint = (u64, CacheScope);

pub(crate) fn hint(time: Duration, scope: CacheScope) -> Hint {
    // Beyond this numbers are not exact in every reader; it is longer than anybody waits.
    const MOST: u64 = (1 << 53) - 1;
    (u64::try_from(time.as_millis()).unwrap_or(MOST).min(MOST), scope)
}

/// What not everybody may see is for whoever asked alone, whatever its author has said.
pub(crate) fn narrowed((time, scope): Hint, guarded: bool) -> Hint {
    (time, if guarded { CacheScope::Private } else { scope })
}

/// What clients of 2026-07-28 are told how long to keep, for [`Server::cache_of`](crate::Server::cache_of).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cacheable {
    /// What the server is and offers (`server/discover`).
    Discover,
    /// The list of tools, all pages of it.
    Tools,
    /// The list of resources.
    Resources,
    /// The list of templates.
    Templates,
    /// The list of prompts.
    Prompts,
    /// What is read from resources, unless its handler says otherwise ([`Ctx::cache`](crate::Ctx::cache)).
    Contents,
}

/// What an author has said of that. Without a word everything is stale at once, and private.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cache {
    all: Hint,
    own: [Option<Hint>; 6],
}

impl Cache {
    /// Says it of lists and contents that nothing else was said of.
    pub(crate) fn set_all(&mut self, hint: Hint) {
        self.all = hint;
    }

    pub(crate) fn set(&mut self, what: Cacheable, hint: Hint) {
        if let Some(own) = self.own.get_mut(what as usize) {
            *own = Some(hint);
        }
    }

    pub(crate) fn of(&self, what: Cacheable) -> Hint {
        let general = match what {
            // It says what is offered, which may change at any time without a notice.
            Cacheable::Discover => Hint::default(),
            _ => self.all,
        };
        self.own.get(what as usize).copied().flatten().unwrap_or(general)
    }
}
