//! What one client holds, over all of its connections, of what everybody shares: workers, places in the queue, memory. No client gets
//! more than three quarters of any of it, so that the others find some however many connections it opens.
//!
//! A client is a principal, or where nobody has to say who it is an address (of an IPv6 network all of a /64). Programs of this machine
//! cannot be told apart by their address: where addresses of loopback do not count, each of their connections is a client.

use super::budget::{Budget, Reservation};
use super::lane::Lane;
use super::pool::Busy;
use crate::guard::address::ClientAddr;
use crate::limits::Limits;
use crate::principal::{Payer, Principal};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

/// What has come of a message that is smaller counts for nothing: it is part of what a connection costs anyway, and must always be heard.
pub(crate) const SMALL: usize = 16 << 10;

/// What a share has of a whole: enough for a server whose clients all have one token, and not everything.
fn most_of(whole: usize) -> usize {
    (whole - whole / 4).max(1)
}

/// The shares of all clients that are there.
pub(crate) struct Shares {
    sizes: Sizes,
    memory: Arc<Budget>,
    /// For messages that have not come completely: whoever sends none to its end leaves the rest to those who do.
    reading: Arc<Budget>,
    /// Whether addresses of loopback are clients.
    loopback: bool,
    by_client: Mutex<HashMap<Payer, Weak<Share>>>,
    own: Weak<Shares>,
}

/// How much a share has of what.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    running: usize,
    queued: usize,
    parked: usize,
    memory: usize,
    reading: usize,
}

/// What one client may hold, and holds.
pub(crate) struct Share {
    sizes: Sizes,
    held: Mutex<Held>,
    /// For calls that wait.
    memory: Arc<Budget>,
    /// For messages that have not come completely.
    pub(crate) reading: Arc<Budget>,
    client: Option<(Weak<Shares>, Payer)>,
}

#[derive(Default)]
struct Held {
    running: usize,
    queued: usize,
    parked: usize,
    /// Lanes whose turn came when as many workers ran as may. Each is here once, and knows it.
    lanes: VecDeque<Arc<Lane>>,
}

impl Shares {
    pub(crate) fn new(limits: &Limits, memory: &Arc<Budget>) -> Arc<Self> {
        // One message has to have room, and a second one beside it.
        let reading = (limits.memory_bytes / 2).max(limits.message_bytes.saturating_mul(2)).min(limits.memory_bytes);
        let sizes = Sizes {
            running: most_of(limits.workers),
            queued: most_of(limits.queued_calls),
            parked: most_of(limits.parked_calls),
            memory: most_of(limits.memory_bytes),
            reading: most_of(reading).max(limits.message_bytes),
        };
        Arc::new_cyclic(|own| Self {
            sizes,
            memory: Arc::clone(memory),
            reading: memory.part(reading),
            loopback: limits.limit_loopback,
            by_client: Mutex::default(),
            own: own.clone(),
        })
    }

    /// Who that is, if it can be told from others.
    fn client(&self, principal: Option<&Principal>, address: ClientAddr) -> Option<Payer> {
        let told = principal.is_some() || self.loopback || !address.is_loopback();
        told.then(|| Payer::of(principal, address))
    }

    /// The share of that client.
    pub(crate) fn of(&self, principal: Option<&Principal>, address: ClientAddr) -> Arc<Share> {
        let Some(client) = self.client(principal, address) else { return self.open(None) };
        let mut by_client = self.by_client.lock();
        if let Some(share) = by_client.get(&client).and_then(Weak::upgrade) {
            return share;
        }
        let share = self.open(Some((self.own.clone(), client.clone())));
        by_client.insert(client, Arc::downgrade(&share));
        share
    }

    /// The share of that client for a lane that has one: another only if it is of somebody else.
    pub(crate) fn move_to(&self, lane: &Lane, principal: Option<&Principal>, address: ClientAddr) {
        if lane.share().client.as_ref().map(|(_, client)| client) != self.client(principal, address).as_ref() {
            lane.set_share(self.of(principal, address));
        }
    }

    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.by_client.lock().len()
    }

    fn open(&self, client: Option<(Weak<Self>, Payer)>) -> Arc<Share> {
        let (memory, reading) = (self.memory.part(self.sizes.memory), self.reading.part(self.sizes.reading));
        Arc::new(Share { sizes: self.sizes, held: Mutex::default(), memory, reading, client })
    }
}

impl Share {
    /// Of somebody whose workers and memory are counted elsewhere: of the handlers that wait for answers it has as many as may be.
    pub(crate) fn of_tasks(limits: &Limits, memory: &Arc<Budget>) -> Arc<Self> {
        Self::open(most_of(limits.parked_calls), memory)
    }

    /// Of somebody who may have everything.
    #[cfg(test)]
    pub(super) fn whole(memory: &Arc<Budget>) -> Arc<Self> {
        Self::open(usize::MAX, memory)
    }

    fn open(parked: usize, memory: &Arc<Budget>) -> Arc<Self> {
        let most = usize::MAX;
        let sizes = Sizes { running: most, queued: most, parked, memory: most, reading: most };
        let (memory, reading) = (Arc::clone(memory), Arc::clone(memory));
        Arc::new(Self { sizes, held: Mutex::default(), memory, reading, client: None })
    }

    /// Takes memory for a call that waits.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reservation, Busy> {
        self.memory.reserve(bytes).ok_or_else(|| {
            let own = self.memory.used().saturating_add(bytes) > self.memory.limit();
            if own && self.client.is_some() { Busy::Client } else { Busy::Overloaded }
        })
    }

    /// Takes a place in the queue.
    pub(super) fn queue(&self) -> Result<(), Busy> {
        let mut held = self.held.lock();
        if held.queued >= self.sizes.queued {
            return Err(Busy::Client);
        }
        held.queued += 1;
        Ok(())
    }

    pub(super) fn unqueue(&self) {
        let mut held = self.held.lock();
        held.queued = held.queued.saturating_sub(1);
    }

    /// Takes a worker, or keeps the lane, which it does not keep yet, until one comes free.
    pub(super) fn enter(&self, lane: &Arc<Lane>) -> bool {
        let mut held = self.held.lock();
        let enters = held.running < self.sizes.running;
        if enters {
            held.running += 1;
        } else {
            held.lanes.push_back(Arc::clone(lane));
        }
        enters
    }

    /// Gives a worker back.
    pub(super) fn leave(&self) {
        let mut held = self.held.lock();
        held.running = held.running.saturating_sub(1);
    }

    /// The lane that has waited for longest, if there is room for its work now.
    pub(super) fn next_lane(&self) -> Option<Arc<Lane>> {
        let mut held = self.held.lock();
        if held.running < self.sizes.running { held.lanes.pop_front() } else { None }
    }

    /// One of its workers is about to wait for somebody outside.
    pub(super) fn park(&self) -> Result<(), Busy> {
        let mut held = self.held.lock();
        if held.parked >= self.sizes.parked {
            return Err(Busy::Client);
        }
        held.parked += 1;
        Ok(())
    }

    /// It goes on, even if that is one more than may run.
    pub(super) fn unpark(&self) {
        let mut held = self.held.lock();
        held.parked = held.parked.saturating_sub(1);
        held.running += 1;
    }

    /// Nothing will go on.
    pub(super) fn forget_lanes(&self) {
        let lanes = std::mem::take(&mut self.held.lock().lanes);
        drop(lanes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((shares, client)) = self.client.take() else { return };
        let Some(shares) = shares.upgrade() else { return };
        let mut by_client = shares.by_client.lock();
        // Another may have taken its place already.
        if by_client.get(&client).is_some_and(|share| share.strong_count() == 0) {
            by_client.remove(&client);
        }
        if by_client.capacity() > 64 && by_client.len() < by_client.capacity() / 4 {
            by_client.shrink_to_fit();
        }
    }
}
