//! Tasks: calls of tools that go on in the background, to be looked after by their clients (2025-11-25, basic/utilities/tasks; the extension
//! `io.modelcontextprotocol/tasks` of 2026-07-28). Not to be confused with [`Task`](crate::Task), work of a message service.
//!
//! | file | question |
//! | --- | --- |
//! | this one | which tasks are there, whose are they, and when are they forgotten? |
//! | `stored` | where does one task stand, and who is told? |
//! | `asking` | what is its client asked? |
//! | `begin`, `run` | how does a call become a task, and how does its handler run? |
//! | `wait` | who waits for a result? |
//! | `methods` | what is a client answered? |
//!
//! All of it is in the memory of this process, and ends with it.

pub(crate) mod asking;
pub(crate) mod begin;
pub(crate) mod methods;
pub(crate) mod run;
pub(crate) mod stored;
pub(crate) mod wait;

use super::client::Link;
use crate::audit::Party;
use crate::engine::budget::{Budget, Reservation};
use crate::engine::lane::Lane;
use crate::engine::pool::{Busy, Work};
use crate::engine::share::Share;
use crate::engine::timer::Tick;
use crate::engine::{ConnectionId, Core};
use crate::principal::Payer;
use crate::protocol::error::{BusyReason, RpcError};
use crate::protocol::revision::Revision;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use stored::{Due, StoredTask};

/// How often tasks are looked at, if nothing is due earlier.
const LOOK: Duration = Duration::from_secs(5);
/// … and at the most.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a client that finds no room for its task is asked to wait.
const BUSY_MS: u64 = 1_000;

/// Whose a task is. To everybody else it does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A session (2025-11-25), and it ends with it.
    Session(ConnectionId),
    /// A principal (2026-07-28), whichever way it comes.
    Principal(Box<str>),
    /// Whoever knows its id, where nobody has to say who it is (2026-07-28).
    Anybody,
}

impl Owner {
    /// Whose a task is that is asked for in that revision.
    fn of(link: &Link, revision: Revision) -> Self {
        match &link.principal {
            // Both eras may come over one connection.
            _ if !revision.is_modern() => Self::Session(link.id),
            Some(principal) => Self::Principal(principal.id().into()),
            None => Self::Anybody,
        }
    }
}

/// What one client has.
struct Account {
    count: Arc<Budget>,
    memory: Arc<Budget>,
    /// Where its tasks wait for threads.
    lane: Arc<Lane>,
    /// What the core knows the lane by.
    number: ConnectionId,
}

impl Account {
    fn is_closed(&self) -> bool {
        self.count.used() == 0 && self.lane.live() == 0
    }
}

/// From which a task pays for what it holds.
struct Purse {
    own: Arc<Budget>,
    all: Arc<Budget>,
    process: Arc<Budget>,
}

/// Memory that a task holds, until this is dropped.
struct Charge {
    _parts: [Reservation; 3],
}

impl Purse {
    fn charge(&self, bytes: usize) -> Result<Charge, Busy> {
        let own = self.own.reserve(bytes).ok_or(Busy::Connection)?;
        let all = self.all.reserve(bytes).ok_or(Busy::Overloaded)?;
        let process = self.process.reserve(bytes).ok_or(Busy::Overloaded)?;
        Ok(Charge { _parts: [own, all, process] })
    }
}

/// The tasks of a server.
pub(crate) struct TaskStore {
    core: Arc<Core>,
    memory: Arc<Budget>,
    state: Mutex<State>,
    own: Weak<Self>,
}

#[derive(Default)]
struct State {
    tasks: HashMap<Arc<str>, Arc<StoredTask>>,
    accounts: HashMap<Payer, Arc<Account>>,
    /// How many there are of each session that has some.
    sessions: HashMap<ConnectionId, usize>,
    /// The timer calls.
    watching: bool,
}

impl State {
    /// A task of that owner is there no more.
    fn left(&mut self, owner: &Owner) {
        if let Owner::Session(id) = owner
            && let Some(count) = self.sessions.get_mut(id)
        {
            *count -= 1;
            if *count == 0 {
                self.sessions.remove(id);
            }
        }
    }
}

/// A place for one more task.
struct Place {
    account: Arc<Account>,
    purse: Purse,
    seats: [Reservation; 2],
}

impl TaskStore {
    pub(crate) fn new(core: &Arc<Core>) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            core: Arc::clone(core),
            memory: Budget::new(core.limits.task_bytes),
            state: Mutex::default(),
            own: own.clone(),
        })
    }

    /// The task of that id, if whoever asks may see it.
    pub(crate) fn find(&self, id: &str, seeker: &Owner) -> Option<Arc<StoredTask>> {
        self.state.lock().tasks.get(id).filter(|task| task.owner == *seeker).cloned()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().tasks.is_empty()
    }

    /// Whether there is a task of this session.
    pub(crate) fn any_of_session(&self, id: ConnectionId) -> bool {
        self.state.lock().sessions.contains_key(&id)
    }

    /// A session is over, and with it its tasks.
    pub(crate) fn end_session(&self, id: ConnectionId) {
        let owner = Owner::Session(id);
        let gone: Vec<_> = {
            let mut state = self.state.lock();
            if state.sessions.remove(&id).is_none() {
                return;
            }
            state.tasks.extract_if(|_, task| task.owner == owner).map(|(_, task)| task).collect()
        };
        for task in gone {
            task.cancel("its session has ended");
        }
    }

    /// The tasks of an owner in the order they began in.
    fn all_of(&self, owner: &Owner) -> Vec<Arc<StoredTask>> {
        let mut tasks: Vec<_> = self.state.lock().tasks.values().filter(|task| task.owner == *owner).cloned().collect();
        tasks.sort_unstable_by(|a, b| a.position().cmp(&b.position()));
        tasks
    }

    /// Takes a place for one more task of that client.
    ///
    /// # Errors
    /// There is none.
    fn place(&self, party: Party<'_>) -> Result<Place, RpcError> {
        let payer = Payer::of(party.principal, party.address);
        // What is kept no longer than it has to be makes room first.
        self.seat(&payer)
            .or_else(|_| {
                self.sweep(Instant::now());
                self.seat(&payer)
            })
            .map_err(|busy| {
                self.core.audit.limited(party, "tasks");
                self.busy(busy)
            })
    }

    fn seat(&self, payer: &Payer) -> Result<Place, Busy> {
        let mut state = self.state.lock();
        let all = self.core.tasks.reserve(1).ok_or(Busy::Overloaded)?;
        let account = state.accounts.entry(payer.clone()).or_insert_with(|| self.open_account());
        let own = account.count.reserve(1).ok_or(Busy::Connection)?;
        let (memory, process) = (Arc::clone(&self.memory), Arc::clone(&self.core.memory));
        let purse = Purse { own: Arc::clone(&account.memory), all: memory, process };
        Ok(Place { account: Arc::clone(account), purse, seats: [all, own] })
    }

    fn open_account(&self) -> Arc<Account> {
        let limits = &self.core.limits;
        let (count, memory) = (Budget::new(limits.tasks_per_client), Budget::new(limits.task_bytes / 4));
        // Every task can wait in there: how many there may be is counted elsewhere.
        let (lane, number) = (Lane::new(usize::MAX, Share::of_tasks(limits, &self.core.memory)), self.core.next_id());
        self.core.add_lane(number, &lane);
        Arc::new(Account { count, memory, lane, number })
    }

    fn insert(&self, task: &Arc<StoredTask>) {
        {
            let mut state = self.state.lock();
            state.tasks.insert(Arc::clone(&task.id), Arc::clone(task));
            if let Owner::Session(id) = task.owner {
                *state.sessions.entry(id).or_default() += 1;
            }
        }
        self.watch(task.forget_by());
    }

    /// Forgets a task.
    fn remove(&self, task: &StoredTask) {
        let mut state = self.state.lock();
        if state.tasks.remove(&task.id).is_some() {
            state.left(&task.owner);
        }
    }

    /// Hands a run of a task's handler to the pool.
    fn spawn(&self, account: &Account, work: Arc<dyn Work>, bytes: usize) -> Result<(), Busy> {
        let deadline = self.core.submit(&self.core.task_pool, &account.lane, work, bytes)?;
        self.watch(deadline);
        Ok(())
    }

    fn busy(&self, busy: Busy) -> RpcError {
        self.core.counters.busy.fetch_add(1, Ordering::Relaxed);
        let (reason, message) = match busy {
            Busy::Connection | Busy::Client => {
                (BusyReason::Busy, "this client has as many tasks as it may, or they hold as much memory")
            }
            Busy::Overloaded => (BusyReason::Overloaded, "the server has as many tasks as it may"),
            Busy::Stopping => (BusyReason::ShuttingDown, "the server is shutting down"),
        };
        RpcError { message: message.into(), ..RpcError::busy(reason, BUSY_MS) }
    }

    /// Sees to it that somebody looks at that time.
    pub(crate) fn watch(&self, at: Instant) {
        let look = Instant::now() + LOOK;
        if !std::mem::replace(&mut self.state.lock().watching, true) {
            self.core.timer.add(at.min(look), self.own.clone());
        } else if at < look {
            self.core.timer.nudge(at, self.own.clone());
        }
    }

    /// Ends and forgets what has been there for long enough. Returns when there is more to do.
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut sooner = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        let (mut tired, mut closed) = (Vec::new(), Vec::new());
        let gone: Vec<_> = {
            let mut state = self.state.lock();
            let gone = state.tasks.extract_if(|_, task| match task.due() {
                Due::Forget(at) if at <= now => true,
                Due::GiveUp(at) if at <= now => {
                    tired.push(Arc::clone(task));
                    false
                }
                Due::Forget(at) | Due::GiveUp(at) => {
                    sooner(at);
                    false
                }
                Due::Runs => false,
            });
            let gone: Vec<_> = gone.map(|(_, task)| task).collect();
            gone.iter().for_each(|task| state.left(&task.owner));
            state.accounts.retain(|_, account| {
                let open = !account.is_closed();
                if !open {
                    closed.push(account.number);
                }
                open
            });
            if state.tasks.capacity() > 64 && state.tasks.len() < state.tasks.capacity() / 4 {
                // A crowd that has left leaves no memory behind.
                state.tasks.shrink_to_fit();
                state.accounts.shrink_to_fit();
                state.sessions.shrink_to_fit();
            }
            gone
        };
        drop(gone);
        for number in closed {
            self.core.remove_lane(number);
        }
        for task in tired {
            task.give_up();
            if let Due::Forget(at) = task.due() {
                sooner(at);
            }
        }
        next
    }
}

impl Tick for TaskStore {
    fn tick(&self, now: Instant) -> Option<Instant> {
        let lanes: Vec<_> = self.state.lock().accounts.values().map(|account| Arc::clone(&account.lane)).collect();
        let deadline = lanes.iter().filter_map(|lane| lane.expire(now)).min();
        let next = self.sweep(now);
        {
            let mut state = self.state.lock();
            if state.tasks.is_empty() && state.accounts.is_empty() {
                state.watching = false;
                return None;
            }
        }
        let next = [next, deadline].into_iter().flatten().fold(now + LOOK, Instant::min);
        Some(next.max(now + PAUSE))
    }
}

impl std::fmt::Debug for TaskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskStore").field("count", &self.core.tasks.used()).finish_non_exhaustive()
    }
}
