//! Is this ticket one of ours, unused and in time?
//!
//! A ticket lets one page open one WebSocket. It is bound to the page's origin and to a principal, and to the certificate that it was asked for with if there was one;
//! it works once, and not for long. Kept are hashes.

use super::origin::Origin;
use crate::principal::Principal;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How many tickets there may be that nobody has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TicketLimits {
    pub(crate) total: usize,
    pub(crate) per_principal: usize,
    pub(crate) lifetime: Duration,
}

/// The tickets that were issued and not used. Reads no clock: `now` is the time since some fixed moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tickets {
    by_hash: HashMap<[u8; 32], Entry>,
}

/// Whose a ticket is.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) principal: Principal,
    pub(crate) origin: Origin,
    /// The principal of the certificate that has to come with it.
    pub(crate) certificate: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Entry {
    holder: Holder,
    until: Duration,
}

/// Why there is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTicket {
    /// The principal has as many as it may have.
    TooMany,
    /// There are as many as there may be.
    Full,
}

impl Tickets {
    /// Takes a ticket in, of which `hash` is kept.
    ///
    /// # Errors
    /// There are too many already. None is dropped for it: somebody may be about to use it.
    pub(crate) fn issue(
        &mut self,
        hash: [u8; 32],
        holder: Holder,
        now: Duration,
        limits: TicketLimits,
    ) -> Result<(), NoTicket> {
        let is_own = |entry: &&Entry| entry.holder.principal.id() == holder.principal.id();
        let own = |tickets: &Self| tickets.by_hash.values().filter(is_own).count();
        if self.by_hash.len() >= limits.total || own(self) >= limits.per_principal {
            self.expire(now);
        }
        if own(self) >= limits.per_principal {
            return Err(NoTicket::TooMany);
        }
        if self.by_hash.len() >= limits.total {
            return Err(NoTicket::Full);
        }
        let until = now.saturating_add(limits.lifetime);
        self.by_hash.insert(hash, Entry { holder, until });
        Ok(())
    }

    /// Whether somebody was given that ticket and has not used it. Nothing is said of its time and its page.
    pub(crate) fn has(&self, hash: &[u8; 32]) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// Whom a ticket lets in. It is used up, whatever comes of it: one that is seen in wrong hands is worth nothing to anybody.
    pub(crate) fn redeem(
        &mut self,
        hash: &[u8; 32],
        (origin, certificate): (&Origin, Option<&str>),
        now: Duration,
    ) -> Option<Principal> {
        // A lookup by hash takes a time that tells of the hash, and that says nothing of the ticket.
        let Entry { holder, until } = self.by_hash.remove(hash)?;
        if self.by_hash.is_empty() {
            self.by_hash.shrink_to_fit();
        }
        let certified = holder.certificate.is_none_or(|own| certificate == Some(&*own));
        (now < until && certified && holder.origin.is(origin)).then_some(holder.principal)
    }

    /// Forgets those whose time is over.
    fn expire(&mut self, now: Duration) {
        self.by_hash.retain(|_, entry| now < entry.until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TicketLimits = TicketLimits { total: 4, per_principal: 3, lifetime: Duration::from_secs(30) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn page(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    fn issue(tickets: &mut Tickets, number: u8, principal: &str, now: u64) -> Result<(), NoTicket> {
        let origin = page("https://a.example");
        tickets.issue(
            [number; 32],
            Holder { principal: Principal::new(principal), origin, certificate: None },
            at(now),
            LIMITS,
        )
    }

    fn redeem(tickets: &mut Tickets, number: u8, origin: &str, now: u64) -> Option<String> {
        tickets.redeem(&[number; 32], (&page(origin), None), at(now)).map(|principal| principal.id().to_owned())
    }

    #[test]
    fn a_ticket_works_once_for_its_page_and_in_time() {
        let mut tickets = Tickets::default();
        for number in 0..3 {
            issue(&mut tickets, number, "ada", 0).unwrap();
        }
        assert_eq!(redeem(&mut tickets, 9, "https://a.example", 0), None);
        assert_eq!(redeem(&mut tickets, 0, "https://a.example:443", 29), Some("ada".into()));
        assert_eq!(redeem(&mut tickets, 0, "https://a.example", 29), None);
        assert_eq!(redeem(&mut tickets, 1, "https://b.example", 29), None);
        // Whoever has shown it in the wrong place has used it up.
        assert_eq!(redeem(&mut tickets, 1, "https://a.example", 29), None);
        assert_eq!(redeem(&mut tickets, 2, "https://a.example", 30), None);
    }

    #[test]
    fn their_number_is_bounded_and_nobody_loses_one() {
        let mut tickets = Tickets::default();
        for number in 0..3 {
            issue(&mut tickets, number, "ada", 0).unwrap();
        }
        assert_eq!(issue(&mut tickets, 3, "ada", 29), Err(NoTicket::TooMany));
        assert_eq!(issue(&mut tickets, 3, "bob", 29), Ok(()));
        assert_eq!(issue(&mut tickets, 4, "eve", 29), Err(NoTicket::Full));
        assert_eq!(redeem(&mut tickets, 0, "https://a.example", 29), Some("ada".into()));
        assert_eq!(issue(&mut tickets, 4, "eve", 29), Ok(()));
        // The time of the first ones is over.
        assert_eq!(issue(&mut tickets, 5, "ada", 30), Ok(()));
        assert_eq!(redeem(&mut tickets, 3, "https://a.example", 30), Some("bob".into()));
    }
}
