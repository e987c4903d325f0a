//! How much of one tool may be called: how often, at what cost, and how much at once.

use super::registry::Entry;
use super::session::{Session, rate_limited};
use crate::audit::Party;
use crate::engine::Core;
use crate::engine::rates::{CLIENTS, TooMany};
use crate::guard::buckets::Buckets;
use crate::guard::rate::Pace;
use crate::limits::Limits;
use crate::principal::Payer;
use crate::protocol::error::{BusyReason, RpcError};
use crate::protocol::time::rfc3339;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a client is asked to wait for a call of others, or of its own, to end.
const BUSY_MS: u64 = 250;

/// What an author has said of a tool.
#[derive(Debug, Clone, Default)]
pub(crate) struct BoundsPlan {
    pub(crate) cost: Option<u32>,
    pub(crate) rate: Option<(u32, Duration)>,
    pub(crate) in_flight: Option<usize>,
    pub(crate) in_flight_per_client: Option<usize>,
}

/// The same for a tool that is served.
#[derive(Default)]
pub(crate) struct Bounds {
    /// What a call costs beyond what its message has.
    more: u64,
    rate: Option<Arc<Mutex<Buckets<Payer>>>>,
    in_flight: Option<Arc<InFlight>>,
    /// The calls of its rate.
    calls: Option<u32>,
}

/// What was taken for a call that is about to begin; given back when dropped, unless it was spent.
#[must_use = "it is given back at once"]
pub(crate) struct Charge<'s> {
    session: &'s Session,
    /// When it was taken.
    now: Duration,
    rate: Option<Arc<Mutex<Buckets<Payer>>>>,
    more: u64,
    /// The day that so many were taken of.
    day: Option<(u64, u64)>,
}

/// The calls of a tool that are under way. As many entries as calls at the most.
struct InFlight {
    most: usize,
    most_each: usize,
    running: Mutex<(usize, HashMap<Payer, usize>)>,
}

/// A place among the calls of a tool that may be under way; given back when dropped.
pub(crate) struct Permit {
    of: Arc<InFlight>,
    payer: Payer,
}

impl BoundsPlan {
    /// # Errors
    /// It cannot be meant as written.
    pub(crate) fn build(self) -> Result<Bounds, String> {
        if self.cost == Some(0) {
            return Err("its calls have to cost 1 or more: a message is never free".into());
        }
        if self.rate.is_some_and(|(count, per)| count == 0 || per.is_zero()) {
            return Err("its rate has to be one call or more in some time".into());
        }
        if self.in_flight == Some(0) || self.in_flight_per_client == Some(0) {
            return Err("one call or more has to be possible at once".into());
        }
        let (most, most_each) = (self.in_flight, self.in_flight_per_client);
        let in_flight = (most.is_some() || most_each.is_some()).then(|| {
            let (most, most_each) = (most.unwrap_or(usize::MAX), most_each.unwrap_or(usize::MAX));
            Arc::new(InFlight { most, most_each, running: Mutex::default() })
        });
        let rate = self.rate.map(|(count, per)| Mutex::new(Buckets::new(Pace::per(count.into(), per), CLIENTS)));
        let calls = self.rate.map(|(count, _)| count);
        Ok(Bounds { more: u64::from(self.cost.unwrap_or(1) - 1), rate: rate.map(Arc::new), in_flight, calls })
    }
}

impl Bounds {
    /// How many calls its rate lets a client begin at once, if it has one.
    pub(crate) fn calls(&self) -> Option<u32> {
        self.calls
    }

    /// Why each call would be refused, if no client ever has as much as it costs.
    pub(crate) fn unaffordable(&self, limits: &Limits) -> Option<String> {
        if self.more == 0 {
            return None;
        }
        let cost = self.more + 1;
        let most = [
            ("burst", limits.rate > 0, u64::from(limits.burst)),
            ("principal_burst", limits.principal_rate > 0, limits.principal_burst.into()),
            ("address_burst", limits.address_rate > 0, limits.address_burst.into()),
            ("calls_per_day", limits.calls_per_day > 0, limits.calls_per_day),
        ];
        let (name, _, most) = most.into_iter().filter(|(_, is_on, _)| *is_on).min_by_key(|(.., most)| *most)?;
        (cost > most).then(|| {
            format!("its cost of {cost} is more than the limit `{name}` of {most}: lower `Tool::cost`, or raise `Limits::{name}`")
        })
    }
}

impl Charge<'_> {
    /// The call has begun.
    pub(crate) fn spent(mut self) {
        (self.rate, self.more, self.day) = (None, 0, None);
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if self.rate.is_none() && self.more == 0 && self.day.is_none() {
            return;
        }
        let (rates, party) = (&self.session.mcp().core.rates, self.session.party());
        let payer = || Payer::of(party.principal, party.address);
        if let Some(rate) = self.rate.take() {
            rate.lock().give_back(payer(), self.now, 1);
        }
        if self.more > 0 {
            rates.give_back(self.session.own_rate(), party.principal, party.address, self.more);
        }
        if let Some((day, n)) = self.day {
            rates.give_back_of_day(payer, day, n);
        }
    }
}

impl InFlight {
    /// The word for the limit that is reached, if one is.
    fn enter(self: &Arc<Self>, payer: &Payer) -> Result<Permit, &'static str> {
        let (all, each) = &mut *self.running.lock();
        if *all >= self.most {
            return Err("tool-in-flight");
        }
        let own = each.get(payer).copied().unwrap_or(0);
        if own >= self.most_each {
            return Err("tool-in-flight-per-client");
        }
        each.insert(payer.clone(), own + 1);
        *all += 1;
        Ok(Permit { of: Arc::clone(self), payer: payer.clone() })
    }
}

/// Whose calls take places, for one more that comes later.
pub(super) struct Turn {
    of: Arc<InFlight>,
    payer: Payer,
}

impl Permit {
    pub(super) fn turn(&self) -> Turn {
        Turn { of: Arc::clone(&self.of), payer: self.payer.clone() }
    }
}

impl Turn {
    /// Takes a place again, on the same account.
    ///
    /// # Errors
    /// -31001: there is none.
    pub(super) fn enter(&self, core: &Core, party: Party<'_>) -> Result<Permit, RpcError> {
        self.of.enter(&self.payer).map_err(|limit| no_place(core, party, limit))
    }
}

fn no_place(core: &Core, party: Party<'_>, limit: &'static str) -> RpcError {
    core.counters.busy.fetch_add(1, Ordering::Relaxed);
    core.audit.limited(party, limit);
    RpcError::busy(BusyReason::Busy, BUSY_MS)
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (all, each) = &mut *self.of.running.lock();
        *all = all.saturating_sub(1);
        if let Some(own) = each.get_mut(&self.payer) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                each.remove(&self.payer);
            }
        }
    }
}

impl Session {
    /// Takes a call of that tool from all that bounds it.
    ///
    /// # Errors
    /// -31001 or -31002 with the delay; nothing was taken then.
    pub(super) fn within_bounds(&self, entry: &Entry) -> Result<(Option<Permit>, Charge<'_>), RpcError> {
        let (core, party) = (&self.mcp().core, self.party());
        let Bounds { more, rate, in_flight, .. } = &entry.bounds;
        let payer = || Payer::of(party.principal, party.address);
        let entered = in_flight.as_ref().map(|in_flight| in_flight.enter(&payer())).transpose();
        let permit = entered.map_err(|limit| no_place(core, party, limit))?;
        let now = core.uptime();
        // What is refused further down gives back what it holds by then.
        let mut charge = Charge { session: self, now, rate: None, more: 0, day: None };
        if let Some(rate) = rate {
            let taken = rate.lock().take(payer(), now, 1);
            taken.map_err(|retry| rate_limited(core, party, TooMany { limit: "tool-rate", retry }))?;
            charge.rate = Some(Arc::clone(rate));
        }
        if *more > 0 {
            let taken = core.rates.take(self.own_rate(), party.principal, party.address, *more);
            taken.map_err(|too_many| rate_limited(core, party, too_many))?;
            charge.more = *more;
        }
        let day = core.rates.take_of_day(payer, more + 1).map_err(|used_up| {
            let retry = used_up.retry.ms();
            let _ = rate_limited(core, party, TooMany { limit: "calls-per-day", retry: used_up.retry });
            RpcError::used_up(used_up.most, retry, &rfc3339(used_up.renews))
        })?;
        charge.day = day.map(|day| (day, more + 1));
        Ok((permit, charge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_nobody_is_remembered() {
        let plan = BoundsPlan { in_flight: Some(3), in_flight_per_client: Some(2), ..BoundsPlan::default() };
        let in_flight = plan.build().unwrap().in_flight.unwrap();
        let [alice, bob] = ["alice", "bob"].map(|name| Payer::Principal(name.into()));
        let one = in_flight.enter(&alice).unwrap();
        let two = in_flight.enter(&alice).unwrap();
        assert_eq!(in_flight.enter(&alice).err(), Some("tool-in-flight-per-client"));
        let three = in_flight.enter(&bob).unwrap();
        assert_eq!(in_flight.enter(&bob).err(), Some("tool-in-flight"));
        drop((one, two));
        let four = in_flight.enter(&bob).unwrap();
        drop((three, four));
        let running = in_flight.running.lock();
        assert_eq!((running.0, running.1.len()), (0, 0));
    }

    #[test]
    fn what_cannot_be_meant_is_said_so() {
        let second = Duration::from_secs(1);
        let bad = [
            BoundsPlan { cost: Some(0), ..BoundsPlan::default() },
            BoundsPlan { rate: Some((0, second)), ..BoundsPlan::default() },
            BoundsPlan { rate: Some((1, Duration::ZERO)), ..BoundsPlan::default() },
            BoundsPlan { in_flight: Some(0), ..BoundsPlan::default() },
            BoundsPlan { in_flight_per_client: Some(0), ..BoundsPlan::default() },
        ];
        assert!(bad.into_iter().all(|plan| plan.build().is_err()));
        assert!(BoundsPlan::default().build().is_ok());
    }
}
