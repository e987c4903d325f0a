//! One task: where it stands, what it has come to, and who is told.

use super::asking::Open;
use super::begin::Recipe;
use super::run::Record;
use super::wait::Wait;
use super::{Account, Charge, Owner, Place, Purse};
use crate::clock;
use crate::engine::budget::Reservation;
use crate::engine::outbox::{Body, Flush};
use crate::engine::pool::Busy;
use crate::mcp::ask::flow::Flow;
use crate::mcp::bounds::{Permit, Turn};
use crate::mcp::call::Call;
use crate::mcp::client::Link;
use crate::mcp::listen::Listen;
use crate::metrics;
use crate::protocol::error::RpcError;
use crate::protocol::revision::Revision;
use crate::protocol::tasks::{self, Detail, TaskStatus, TaskView};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a result is kept at the least, whatever time its task had left.
const KEPT: Duration = Duration::from_secs(60);
/// Bounds of how often a client is told to look, in milliseconds. Between them it is a tenth of the task's age: who has waited for a minute
/// does not mind six seconds more.
const POLL: (u64, u64) = (500, 10_000);
/// What a task holds, besides what it works with.
const BASE: usize = size_of::<StoredTask>() + 256;

/// One task.
pub(crate) struct StoredTask {
    /// 32 letters of the system's random source: who knows it may have no other right to it.
    pub(crate) id: Arc<str>,
    pub(super) owner: Owner,
    pub(super) account: Arc<Account>,
    pub(super) purse: Purse,
    revision: Revision,
    /// Who is told of it unasked (2025-11-25).
    pub(super) session: Weak<Link>,
    /// In milliseconds since 1970.
    created: u64,
    begun: Instant,
    ttl: Duration,
    /// Its own among the keys of outgoing messages.
    pub(super) key: u64,
    /// Held until its client's answer is queued: nothing may be sent about a task that nobody has heard of.
    pub(super) born: Mutex<()>,
    pub(super) state: Mutex<State>,
    /// The place of its next run among those of its tool that may run at once. Taken under the lock of the state: a task that has ended has none.
    pub(super) permit: Mutex<Option<Permit>>,
    /// How a run after that one comes to its place.
    pub(super) turn: Option<Turn>,
    _base: Charge,
    _seats: [Reservation; 2],
}

pub(super) struct State {
    pub(super) status: TaskStatus,
    pub(super) message: Option<Box<str>>,
    /// In milliseconds since 1970.
    pub(super) updated: u64,
    pub(super) ended: Option<Instant>,
    /// What runs now, or will.
    pub(super) run: Weak<Call>,
    /// How its handler is run once more (2026-07-28).
    pub(super) recipe: Option<Arc<Recipe>>,
    /// What its next run begins with.
    pub(super) flow: Option<Flow>,
    /// What its client is asked (2026-07-28).
    pub(super) open: Vec<Open>,
    /// All names that questions have had: none is used twice (the extension: MUST).
    pub(super) issued: HashSet<Box<str>>,
    /// Questions that have gone to a session, so far and while they are open.
    pub(super) sent: u64,
    pub(super) unanswered: Vec<u64>,
    pub(super) outcome: Option<Arc<Outcome>>,
    pub(super) waits: Vec<Arc<Wait>>,
    pub(super) listeners: Vec<Weak<Listen>>,
    /// For the audit log, until the task ends.
    record: Option<Record>,
    /// For what it works with, and then for what it has come to.
    pub(super) held: Vec<Charge>,
}

/// What a task has come to: the JSON of a result, or of an error.
pub(crate) struct Outcome {
    pub(crate) json: Vec<u8>,
    pub(crate) is_error: bool,
}

/// How a task ends.
pub(crate) enum End {
    /// With the result of its tool, which may have failed or been stopped.
    Result { json: Vec<u8>, outcome: metrics::Outcome },
    /// With the JSON of an error.
    Error(Vec<u8>),
    /// It is given up, and this is why.
    Cancelled(&'static str),
}

impl End {
    fn error(error: &RpcError) -> Self {
        let mut json = Vec::with_capacity(128);
        error.write_to(&mut json);
        Self::Error(json)
    }

    pub(super) fn no_memory() -> Self {
        Self::error(&RpcError::internal("there is no memory left for what this task has to remember"))
    }
}

/// What the time will do to a task.
pub(super) enum Due {
    /// It is forgotten then.
    Forget(Instant),
    /// It ends then, if nobody answers it.
    GiveUp(Instant),
    /// Nothing: its handler has a deadline of its own.
    Runs,
}

impl StoredTask {
    /// A task that begins now, not yet to be found.
    pub(super) fn new(place: Place, owner: Owner, new: New) -> Result<Arc<Self>, Busy> {
        let Place { account, purse, seats } = place;
        let base = purse.charge(BASE)?;
        let created = millis(clock::since_1970());
        let state = State {
            status: TaskStatus::Working,
            message: None,
            updated: created,
            ended: None,
            run: Weak::new(),
            recipe: None,
            flow: Some(new.flow),
            open: Vec::new(),
            issued: HashSet::new(),
            sent: 0,
            unanswered: Vec::new(),
            outcome: None,
            waits: Vec::new(),
            listeners: Vec::new(),
            record: None,
            held: Vec::new(),
        };
        Ok(Arc::new(Self {
            id: new.id,
            owner,
            account,
            purse,
            revision: new.revision,
            session: new.session,
            created,
            begun: Instant::now(),
            ttl: new.ttl,
            key: new.key,
            born: Mutex::new(()),
            state: Mutex::new(state),
            turn: new.permit.as_ref().map(Permit::turn),
            permit: Mutex::new(new.permit),
            _base: base,
            _seats: seats,
        }))
    }

    /// What sorts it among the tasks of its owner.
    pub(super) fn position(&self) -> (u64, &str) {
        (self.created, &self.id)
    }

    /// For the log: enough to find it, too little to use it.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or_default()
    }

    /// Does something with what there is to tell of it.
    pub(super) fn look<T>(&self, look: impl FnOnce(TaskView<'_>, &Detail<'_>) -> T) -> T {
        let state = self.state.lock();
        look(self.view(&state), &state.detail())
    }

    fn view<'t>(&'t self, state: &'t State) -> TaskView<'t> {
        let age = millis(self.begun.elapsed());
        TaskView {
            id: &self.id,
            status: state.status,
            message: state.message.as_deref(),
            created: self.created,
            updated: state.updated,
            ttl: millis(self.ttl),
            poll_interval: (age / 10).clamp(POLL.0, POLL.1),
        }
    }

    /// When it is forgotten, if it ends before.
    pub(super) fn forget_by(&self) -> Instant {
        self.begun + self.ttl
    }

    pub(super) fn due(&self) -> Due {
        let state = self.state.lock();
        match state.ended {
            Some(ended) => Due::Forget(self.forget_by().max(ended + KEPT.min(self.ttl))),
            None if state.run.strong_count() == 0 => Due::GiveUp(self.forget_by()),
            None => Due::Runs,
        }
    }

    /// Its time is over while it waits.
    pub(super) fn give_up(&self) {
        self.settle(End::error(&RpcError::internal("the task was not answered in time")));
    }

    /// How long it may wait for a thread: no longer than it would be kept.
    pub(crate) fn patience(&self) -> Duration {
        self.forget_by().saturating_duration_since(Instant::now())
    }

    /// This is its run from here on, and how it is run again, if it can be.
    pub(super) fn set_run(&self, run: &Arc<Call>, recipe: Option<Arc<Recipe>>, bytes: usize) -> Result<(), Busy> {
        let charge = self.purse.charge(bytes)?;
        let mut state = self.state.lock();
        state.run = Arc::downgrade(run);
        state.record = run.record_of_task();
        state.recipe = recipe;
        state.held.push(charge);
        Ok(())
    }

    /// Its client was never told of it, so that nothing is recorded of its end.
    pub(super) fn forget_record(&self) {
        self.state.lock().record = None;
    }

    /// Does something before anything else happens to it: its first run waits.
    pub(super) fn being_born<T>(&self, work: impl FnOnce() -> T) -> T {
        let _born = self.born.lock();
        work()
    }

    /// Gives the task up; false if it had ended. Its handler is told to stop.
    pub(crate) fn cancel(&self, why: &'static str) -> bool {
        let first = self.settle(End::Cancelled(why));
        // Behind that, there is no other run.
        let run = self.state.lock().run.upgrade();
        if let Some(run) = run {
            run.give_up();
        }
        first
    }

    /// The end of the task; false if it had ended. A status that is the end of a task is never left.
    pub(crate) fn settle(&self, end: End) -> bool {
        let (outcome, waits) = {
            let mut state = self.state.lock();
            if state.status.is_terminal() {
                return false;
            }
            // Before anybody hears of it. A handler that runs keeps its place until it has returned.
            drop(self.permit.lock().take());
            // What it worked with makes room for what it has come to.
            (state.recipe, state.flow) = (None, None);
            state.open = Vec::new();
            state.held = Vec::new();
            let end = match &end {
                End::Result { json, .. } | End::Error(json) => match self.purse.charge(json.len()) {
                    Ok(charge) => {
                        state.held.push(charge);
                        end
                    }
                    Err(_) => End::no_memory(),
                },
                End::Cancelled(_) => end,
            };
            let became = match &end {
                End::Result { outcome, .. } => *outcome,
                End::Error(_) => metrics::Outcome::Error,
                End::Cancelled(_) => metrics::Outcome::Cancelled,
            };
            let (status, json, is_error) = match end {
                // A tool that failed is a task that failed in 2025-11-25, and one that was completed in the extension.
                End::Result { json, .. } if became != metrics::Outcome::Ok && !self.revision.is_modern() => {
                    (TaskStatus::Failed, json, false)
                }
                End::Result { json, .. } => (TaskStatus::Completed, json, false),
                End::Error(json) => (TaskStatus::Failed, json, true),
                End::Cancelled(why) => {
                    let mut json = Vec::with_capacity(96);
                    RpcError::internal(format!("the task was cancelled: {why}")).write_to(&mut json);
                    (TaskStatus::Cancelled, json, true)
                }
            };
            let message = if status == TaskStatus::Completed { None } else { tasks::failure_message(&json) };
            let outcome = Arc::new(Outcome { json, is_error });
            state.outcome = Some(Arc::clone(&outcome));
            state.ended = Some(Instant::now());
            if let Some(record) = state.record.take() {
                // Before anybody hears of it.
                record.ended(self, became, self.begun.elapsed());
            }
            self.enter_saying(&mut state, status, message);
            state.listeners = Vec::new();
            (outcome, std::mem::take(&mut state.waits))
        };
        log::debug!(target: "mcp_blocking::call", "task {} has ended", self.short_id());
        for wait in waits {
            wait.answer(&outcome);
        }
        true
    }

    /// Says what the task is doing.
    pub(crate) fn say(&self, message: &str) {
        let message = tasks::cut_message(message);
        let mut state = self.state.lock();
        if !state.status.is_terminal() && state.message.as_deref() != Some(message) {
            let status = state.status;
            self.enter_saying(&mut state, status, Some(message.to_owned()));
        }
    }

    /// Somebody does not wait any more.
    pub(super) fn leave(&self, wait: &Wait) {
        self.state.lock().waits.retain(|other| !std::ptr::eq(&**other, wait));
    }

    /// What the task has come to, if it has.
    pub(super) fn outcome(&self) -> Option<Arc<Outcome>> {
        self.state.lock().outcome.clone()
    }

    /// A subscription wants to be told of its changes. What has changed since it began is told at once: its client may not have seen it.
    pub(crate) fn tell(&self, listen: &Arc<Listen>) {
        let mut state = self.state.lock();
        if state.status != TaskStatus::Working || state.message.is_some() {
            listen.task_changed(self.key, self.view(&state), &state.detail());
        }
        if !state.status.is_terminal() {
            state.listeners.retain(|listener| listener.strong_count() > 0);
            state.listeners.push(Arc::downgrade(listen));
        }
    }

    /// Another status, or something else to tell. What was said of the one before is past.
    pub(super) fn enter(&self, state: &mut State, status: TaskStatus) {
        self.enter_saying(state, status, None);
    }

    fn enter_saying(&self, state: &mut State, status: TaskStatus, message: Option<String>) {
        state.message = message.map(Into::into);
        state.status = status;
        // The clock of the machine may be set back.
        state.updated = millis(clock::since_1970()).max(state.updated);
        let (view, detail) = (self.view(state), state.detail());
        for listen in state.listeners.iter().filter_map(Weak::upgrade) {
            listen.task_changed(self.key, view, &detail);
        }
        if let Some(link) = self.session.upgrade().filter(|link| link.is_listening()) {
            let mut json = Vec::with_capacity(256);
            tasks::write_status(&mut json, view);
            // The timer may be who has ended it, and never writes.
            let _ = link.send_notice(Body::Owned(json), self.key, Flush::Elsewhere);
        }
    }
}

impl State {
    fn detail(&self) -> Detail<'_> {
        match (self.status, &self.outcome) {
            (TaskStatus::InputRequired, _) => {
                let open = self.open.iter().filter(|open| open.answer.is_none());
                Detail::Questions(
                    open.map(|open| (&*open.name, open.question.method, &*open.question.params)).collect(),
                )
            }
            (TaskStatus::Completed, Some(outcome)) => Detail::Result(&outcome.json),
            (TaskStatus::Failed, Some(outcome)) => Detail::Error(&outcome.json),
            _ => Detail::None,
        }
    }
}

/// What a new task is made of.
pub(super) struct New {
    pub(super) id: Arc<str>,
    pub(super) revision: Revision,
    pub(super) session: Weak<Link>,
    pub(super) ttl: Duration,
    pub(super) key: u64,
    pub(super) flow: Flow,
    pub(super) permit: Option<Permit>,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}
