//! The `mcp-audit` thread: takes events from the queue, makes lines of them and has them written. Nobody else waits for the disk.

use super::chain::{Chain, Mac, RunId, hex};
use super::event::Event;
use super::file::LogFile;
use super::repeats::PAUSE;
use super::sink::{Head, Shared};
use super::{SyncPolicy, sink};
use crossbeam_channel::{Receiver, Sender, select};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Events that are written in one go, at the most.
const BATCH: usize = 1_024;
/// Bytes that are.
const BATCH_BYTES: u64 = 256 << 10;
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a failure that lasts is logged, and a file tried anew that could not be renamed.
const REMIND: Duration = Duration::from_secs(60);
/// How long it sleeps when nothing is to come.
const IDLE: Duration = Duration::from_secs(3_600);

/// What the thread is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Look whether the file is still in its place.
    Reopen,
    /// Write what has come so far, and end.
    End,
}

/// What this process writes, as lines say it.
pub(super) struct Run {
    pub(super) id: RunId,
    /// The MAC of the line before it.
    pub(super) origin: Mac,
    /// The number of its first line.
    pub(super) first: u64,
}

/// When to sync, and when to begin a new file.
pub(super) struct Plan {
    pub(super) sync: SyncPolicy,
    pub(super) file_bytes: u64,
    pub(super) keep: usize,
}

pub(super) struct Writer {
    file: LogFile,
    chain: Chain,
    run: Run,
    plan: Plan,
    shared: Arc<Shared>,
    /// What waits to be written, beside the queue.
    pending: VecDeque<Event>,
    /// The file is a new one, and nothing in it says of which run it is.
    unnamed: bool,
    /// How many of the lost events a line tells of.
    lost_told: u64,
    /// Something was written since the last sync.
    dirty: bool,
    synced: Instant,
    failing: Option<Failing>,
    /// The first line is written.
    begun: bool,
    /// Not before this moment is the file renamed.
    rotate_from: Instant,
}

struct Failing {
    next: Instant,
    logged: Instant,
}

impl Writer {
    /// `start` is the first line.
    pub(super) fn new(file: LogFile, chain: Chain, run: Run, plan: Plan, shared: Arc<Shared>, start: Event) -> Self {
        let now = Instant::now();
        Self {
            file,
            chain,
            run,
            plan,
            shared,
            pending: VecDeque::from([start]),
            unnamed: false,
            lost_told: 0,
            dirty: false,
            synced: now,
            failing: None,
            begun: false,
            rotate_from: now,
        }
    }

    /// The thread. `_ended` tells its end by being dropped.
    pub(super) fn run(mut self, events: &Receiver<Event>, orders: &Receiver<Order>, _ended: Sender<Infallible>) {
        self.write();
        loop {
            let order = self.wait(events, orders);
            while self.pending.len() < BATCH
                && let Ok(event) = events.try_recv()
            {
                self.take(event);
            }
            self.sum_up(false);
            if order == Some(Order::End) {
                return self.end(events);
            }
            if order == Some(Order::Reopen) {
                self.failing_is_over();
            }
            self.write();
        }
    }

    /// Waits for something to do. Blocks for as long.
    fn wait(&mut self, events: &Receiver<Event>, orders: &Receiver<Order>) -> Option<Order> {
        let now = Instant::now();
        if let Some(failing) = &self.failing {
            // The queue holds what comes meanwhile.
            return match orders.recv_deadline(failing.next) {
                Ok(order) => Some(order),
                Err(error) if error.is_timeout() => None,
                Err(_) => Some(Order::End),
            };
        }
        let mut time = IDLE;
        if let (SyncPolicy::Every(every), true) = (self.plan.sync, self.dirty) {
            time = time.min((self.synced + every).saturating_duration_since(now));
        }
        if !self.shared.repeats.lock().is_empty() {
            time = time.min(PAUSE);
        }
        select! {
            recv(events) -> event => match event {
                Ok(event) => {
                    self.take(event);
                    None
                }
                Err(_) => Some(Order::End),
            },
            recv(orders) -> order => Some(order.unwrap_or(Order::End)),
            default(time) => None,
        }
    }

    fn take(&mut self, event: Event) {
        self.shared.taken(&event);
        self.pending.push_back(event);
    }

    /// Makes events of what was held back.
    fn sum_up(&mut self, all: bool) {
        let due = self.shared.repeats.lock().due(self.shared.start.elapsed(), all);
        self.pending.extend(due.into_iter().map(|(what, who, count)| sink::summary(what, who, count)));
    }

    /// Writes what is pending, and syncs if it is time. False if it could not, or may not try yet.
    fn write(&mut self) -> bool {
        if self.failing.as_ref().is_some_and(|failing| Instant::now() < failing.next) {
            return false;
        }
        match self.try_write().and_then(|()| self.sync(false)) {
            Ok(()) => {
                self.recovered();
                if !std::mem::replace(&mut self.begun, true) {
                    self.log_head("begun");
                    self.sync_names();
                }
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn try_write(&mut self) -> io::Result<()> {
        if !self.file.is_in_place() {
            // It was renamed, or deleted with all that was in it.
            self.file.reopen(self.chain.seq())?;
            self.unnamed = true;
        }
        let torn = self.file.settle()?;
        if torn > 0 {
            self.pending.push_front(sink::lost(0, torn));
        }
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost > self.lost_told {
            self.pending.push_back(sink::lost(lost - self.lost_told, 0));
            self.lost_told = lost;
        }
        while !self.pending.is_empty() {
            if self.file.room(self.plan.file_bytes) == 0 && !self.file.is_empty() && Instant::now() >= self.rotate_from
            {
                self.rotate();
            }
            self.write_some()?;
        }
        Ok(())
    }

    /// Writes as much as fits into the file, one event at the least.
    fn write_some(&mut self) -> io::Result<()> {
        let room = self.file.room(self.plan.file_bytes).min(BATCH_BYTES);
        let (mut lines, mut chain, mut taken) = (Vec::new(), self.chain.clone(), 0);
        if self.unnamed {
            self.file_line().write(&mut lines, &mut chain);
        }
        for event in &self.pending {
            let before = (lines.len(), chain.clone());
            event.write(&mut lines, &mut chain);
            taken += 1;
            if taken > 1 && lines.len() as u64 > room {
                // One too many: it begins the next piece.
                lines.truncate(before.0);
                (chain, taken) = (before.1, taken - 1);
                break;
            }
            if lines.len() as u64 >= room {
                break;
            }
        }
        self.file.append(&lines)?;
        // Only now: what was not written has not happened.
        self.chain = chain;
        self.unnamed = false;
        self.pending.drain(..taken);
        self.shared.written.fetch_add(taken as u64, Ordering::Relaxed);
        *self.shared.head.lock() = Head::of(&self.chain);
        self.dirty = true;
        Ok(())
    }

    /// Tells what has to be known of a file to verify it without the ones before it.
    fn file_line(&self) -> Event {
        Event::new("file", |event| {
            event.hex("run", &self.run.id);
            event.number("first", self.run.first);
            event.hex("origin", &self.run.origin);
            event.hex("prev", self.chain.head());
        })
    }

    /// Begins a new file. If that cannot be done, the old one grows on.
    fn rotate(&mut self) {
        let rotated = self.sync(true).and_then(|()| self.file.rotate(self.chain.seq()));
        if let Err(error) = rotated {
            self.rotate_from = Instant::now() + REMIND;
            log::error!(target: "mcp_blocking::audit", "the audit log {} cannot be renamed: {error}", self.file.path().display());
            return;
        }
        self.unnamed = true;
        self.log_head("goes on in a new file");
        if let Err(error) = self.file.prune(self.plan.keep) {
            log::error!(target: "mcp_blocking::audit", "an old audit log cannot be deleted: {error}");
        }
        self.sync_names();
    }

    fn sync_names(&self) {
        if self.plan.sync != SyncPolicy::Never {
            self.file.sync_names();
        }
    }

    /// Syncs, if the policy and the time ask for it, or at once.
    fn sync(&mut self, at_once: bool) -> io::Result<()> {
        let due = match self.plan.sync {
            SyncPolicy::Never => false,
            SyncPolicy::Every(every) => at_once || self.synced.elapsed() >= every,
            SyncPolicy::Always => true,
        };
        if self.dirty && due {
            self.file.sync()?;
            (self.dirty, self.synced) = (false, Instant::now());
        }
        Ok(())
    }

    fn failed(&mut self, error: &io::Error) {
        let now = Instant::now();
        let path = self.file.path().display();
        let logged = match &self.failing {
            Some(failing) if now < failing.logged + REMIND => failing.logged,
            _ => {
                log::error!(target: "mcp_blocking::audit", "the audit log {path} cannot be written, trying on: {error}");
                now
            }
        };
        self.failing = Some(Failing { next: now + RETRY, logged });
        self.shared.failing.store(true, Ordering::Release);
    }

    fn recovered(&mut self) {
        if self.failing.take().is_some() {
            self.shared.failing.store(false, Ordering::Release);
            let lost = self.lost_told;
            log::warn!(target: "mcp_blocking::audit", "the audit log can be written again; {lost} events were lost so far");
        }
    }

    /// The next attempt may be made at once.
    fn failing_is_over(&mut self) {
        if let Some(failing) = &mut self.failing {
            failing.next = Instant::now();
        }
    }

    /// The last lines.
    fn end(mut self, events: &Receiver<Event>) {
        self.failing_is_over();
        self.sum_up(true);
        // Those that are there now: threads that were left behind may go on.
        events.try_iter().take(events.len()).for_each(|event| self.take(event));
        let count = self.pending.len() as u64;
        self.pending.push_back(Event::new("stop", |_| {}));
        if self.write() && self.sync(true).is_ok() {
            return self.log_head("ended");
        }
        self.shared.lost.fetch_add(count, Ordering::Relaxed);
        log::error!(target: "mcp_blocking::audit", "the audit log ended without its last {count} events");
        self.log_head("broken off");
    }

    /// For those who keep the head elsewhere: whoever changes the file cannot change what they have seen.
    fn log_head(&self, what: &str) {
        let head = Head::of(&self.chain);
        log::info!(
            target: "mcp_blocking::audit", seq = head.seq, head = hex(&head.mac).as_str();
            "audit log {} {what}: {} lines, head {}", self.file.path().display(), head.seq, hex(&head.mac)
        );
    }
}
