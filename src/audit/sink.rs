//! What does the rest of the crate tell the audit log? One short call for each event, which never waits and does nothing without a log.

use super::chain::{Chain, Key, Mac, digest, hex};
use super::event::{Event, Members};
use super::repeats::{Repeats, What, Who};
use super::writer::Order;
use super::{AuditStatus, WhenFailing};
use crate::engine::ConnectionId;
use crate::guard::address::ClientAddr;
use crate::metrics::{OUTCOMES, Outcome};
use crate::principal::Principal;
use crate::protocol::method;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of events that wait for the disk: some 20,000 calls. None is larger than 4 KiB.
const QUEUE: usize = 8 << 20;
/// With so much waiting no new call is let in, if calls are to be refused rather than lost: room for those under way.
const QUEUE_HIGH: usize = QUEUE / 2;
/// How long the end of the server waits for the last lines.
const LAST: Duration = Duration::from_secs(5);

/// What the threads of a server and the one that writes have in common.
pub(super) struct Shared {
    pub(super) written: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) failing: AtomicBool,
    /// Bytes in the queue.
    queued: AtomicUsize,
    pub(super) head: Mutex<Head>,
    pub(super) repeats: Mutex<Repeats>,
    pub(super) start: Instant,
}

/// The last line that was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) mac: Mac,
}

impl Head {
    pub(super) fn of(chain: &Chain) -> Self {
        Self { seq: chain.seq() - 1, mac: *chain.head() }
    }
}

impl Shared {
    pub(super) fn new(chain: &Chain) -> Arc<Self> {
        Arc::new(Self {
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            queued: AtomicUsize::new(0),
            head: Mutex::new(Head::of(chain)),
            repeats: Mutex::new(Repeats::default()),
            start: Instant::now(),
        })
    }

    /// An event has left the queue.
    pub(super) fn taken(&self, event: &Event) {
        self.queued.fetch_sub(event.bytes(), Ordering::Relaxed);
    }
}

/// An audit log that is being written.
pub(crate) struct Sink {
    pub(super) events: Sender<Event>,
    pub(super) orders: Sender<Order>,
    pub(super) shared: Arc<Shared>,
    pub(super) when_failing: WhenFailing,
    pub(super) digest_key: Key,
    /// Disconnected when the thread has ended.
    pub(super) ended: Receiver<Infallible>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sink {
    fn push(&self, event: Event) {
        let bytes = event.bytes();
        // The queue has no bound of its own, so that an event costs what it holds.
        if self.shared.queued.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE {
            self.shared.queued.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        } else if self.events.send(event).is_err() {
            // The log has ended, or its thread panicked.
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            self.shared.failing.store(true, Ordering::Release);
        }
    }

    /// The same for what anybody can bring about as often as they like.
    fn push_some(&self, what: What, who: Who, members: impl FnOnce(&mut Members<'_>)) {
        if self.shared.repeats.lock().pass(what, who, self.shared.start.elapsed()) {
            self.push(Event::new(what.event, |event| {
                reason(event, what);
                members(event);
            }));
        }
    }

    fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Acquire)
    }
}

/// The audit log of a server, if it has one.
#[derive(Default)]
pub(crate) struct Auditor(OnceLock<Sink>);

/// Who does something.
#[derive(Clone, Copy)]
pub(crate) struct Party<'a> {
    /// The connection, or the session where one has a number of its own.
    pub(crate) id: ConnectionId,
    pub(crate) address: ClientAddr,
    pub(crate) principal: Option<&'a Principal>,
}

/// A call that has come to its end.
pub(crate) struct Called<'a> {
    pub(crate) method: &'a str,
    /// The tool, or whatever of the method was asked for; never an argument.
    pub(crate) name: Option<&'a str>,
    /// Whether that is registered. Else it is what a peer has made up.
    pub(crate) known: bool,
    /// The scopes that it takes: whoever was let call has them.
    pub(crate) scopes: &'a [Box<str>],
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    pub(crate) arguments: Option<Digest>,
}

/// What stands for arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digest([u8; 16]);

impl Auditor {
    /// From here on there is a log. Only the first counts.
    pub(crate) fn set(&self, sink: Sink) {
        let _ = self.0.set(sink);
    }

    /// Whether nothing may be begun because it could not be recorded.
    pub(crate) fn refuses(&self) -> bool {
        let full = |sink: &Sink| sink.is_failing() || sink.shared.queued.load(Ordering::Relaxed) >= QUEUE_HIGH;
        self.0.get().is_some_and(|sink| sink.when_failing == WhenFailing::Refuse && full(sink))
    }

    /// What will stand for these arguments.
    pub(crate) fn digest(&self, arguments: &str) -> Option<Digest> {
        self.0.get().map(|sink| Digest(digest(&sink.digest_key, arguments)))
    }

    /// A connection is open.
    pub(crate) fn connected(&self, party: Party<'_>, transport: &'static str, path: &str) {
        if party.principal.is_some() {
            self.authenticated(party);
        }
        self.tell("connection", party, |event| {
            event.word("transport", transport);
            event.text("path", path);
        });
    }

    /// A caller has said who it is, and is believed.
    pub(crate) fn authenticated(&self, party: Party<'_>) {
        self.tell("authentication", party, |event| event.word("outcome", "ok"));
    }

    /// Somebody was given a ticket for that page.
    pub(crate) fn ticket_issued(&self, principal: &Principal, origin: &str) {
        if let Some(sink) = self.0.get() {
            sink.push(Event::new("authentication", |event| {
                event.word("outcome", "issued");
                event.word("reason", "ticket");
                known(event, principal);
                event.text("origin", origin);
            }));
        }
    }

    /// A caller who had been let in may not be here any more.
    pub(crate) fn right_ended(&self, party: Party<'_>, why: &'static str) {
        self.tell("authentication", party, |event| {
            event.word("outcome", "ended");
            event.word("reason", why);
        });
    }

    /// A connection has ended.
    pub(crate) fn disconnected(&self, party: Party<'_>, why: &str) {
        self.tell("disconnection", party, |event| event.text("reason", why));
    }

    /// A client has opened a session, and has said what it is: nothing vouches for that.
    pub(crate) fn session(&self, party: Party<'_>, revision: &str, client: (&str, &str)) {
        self.tell("session", party, |event| {
            event.word("revision", revision);
            event.text("client", client.0);
            event.text("version", client.1);
        });
    }

    /// Somebody was turned away before there was a connection to speak of. `label` is one of the labels of refusals.
    /// `about` is whom it is about, where that is known.
    pub(crate) fn refused(&self, address: ClientAddr, label: &'static str, status: u16, about: Option<&str>) {
        let Some(sink) = self.0.get() else { return };
        let event = match label {
            "auth" | "certificate" | "expired" | "revoked" | "ticket" => "authentication",
            "host" | "origin" => "authorization",
            "connect-rate" | "login-backoff" | "head-size" | "head-deadline" | "body-size" | "body-deadline"
            | "memory" | "threads" | "audit" => "limit",
            label if label.starts_with("max-") => "limit",
            _ => "refusal",
        };
        let what = What { event, reason: label, status };
        sink.push_some(what, Who::Address(address.group()), |event| {
            event.word("address", &address.to_string());
            if let Some(about) = about {
                event.name("about", about);
            }
        });
    }

    /// Something was not allowed to somebody who had been let in.
    pub(crate) fn denied(&self, party: Party<'_>, method: &str, name: Option<&str>) {
        self.tell("authorization", party, |event| {
            event.word("outcome", "refused");
            event.word("reason", "denied");
            event.text("method", method);
            called(event, (method, name), true);
        });
    }

    /// Somebody lacks a scope that something needs. `name` is what it was registered as.
    pub(crate) fn forbidden(&self, party: Party<'_>, (method, name): (&str, Option<&str>), scopes: &str) {
        let Some(sink) = self.0.get() else { return };
        let what = What { event: "authorization", reason: "scope", status: 0 };
        sink.push_some(what, Who::Client(party.id.0), |event| {
            party.write(event);
            event.text("method", method);
            called(event, (method, name), true);
            event.name("scope", scopes);
        });
    }

    /// Somebody has named a session of somebody else's.
    pub(crate) fn foreign_session(&self, party: Party<'_>) {
        let Some(sink) = self.0.get() else { return };
        let what = What { event: "authorization", reason: "session", status: 404 };
        sink.push_some(what, Who::Address(party.address.group()), |event| party.write(event));
    }

    /// A client has met a limit of its own.
    pub(crate) fn limited(&self, party: Party<'_>, limit: &'static str) {
        let Some(sink) = self.0.get() else { return };
        let what = What { event: "limit", reason: limit, status: 0 };
        sink.push_some(what, Who::Client(party.id.0), |event| party.write(event));
    }

    /// A call was answered, or is known to get no answer.
    pub(crate) fn called(&self, party: Party<'_>, call: &Called<'_>) {
        self.tell("call", party, |event| {
            event.text("method", call.method);
            call.write(event);
        });
    }

    /// A task has ended, whose call was answered when it began. `task` is the beginning of its id.
    pub(crate) fn task_ended(&self, party: Party<'_>, task: &str, call: &Called<'_>) {
        self.tell("task", party, |event| {
            event.text("task", task);
            call.write(event);
        });
    }

    /// Something about the server has changed while it runs.
    pub(crate) fn reloaded(&self, what: &str) {
        if let Some(sink) = self.0.get() {
            sink.push(Event::new("reload", |event| event.word("what", what)));
        }
    }

    /// An issuer of tokens has other keys than before.
    #[cfg(feature = "jwt")]
    pub(crate) fn keys_taken(&self, issuer: &str) {
        if let Some(sink) = self.0.get() {
            sink.push(Event::new("reload", |event| {
                event.word("what", "jwt");
                event.name("issuer", issuer);
            }));
        }
    }

    /// The server begins to stop.
    pub(crate) fn stopping(&self, grace: Duration) {
        if let Some(sink) = self.0.get() {
            let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            sink.push(Event::new("shutdown", |event| event.number("grace_ms", grace)));
        }
    }

    /// Has the thread look for the file anew.
    pub(crate) fn reopen(&self) {
        if let Some(sink) = self.0.get() {
            self.reloaded("audit");
            // If there is no room, others have asked already.
            let _ = sink.orders.try_send(Order::Reopen);
        }
    }

    /// Writes the last lines. Blocks for 5 s at the most. False if the thread had panicked.
    pub(crate) fn finish(&self) -> bool {
        let Some(sink) = self.0.get() else { return true };
        let Some(thread) = sink.thread.lock().take() else { return true };
        let deadline = Instant::now() + LAST;
        let told = sink.orders.send_deadline(Order::End, deadline).is_ok() || thread.is_finished();
        if !told || sink.ended.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
            log::error!(target: "mcp_blocking::audit", "the audit log is left behind: the disk does not answer");
            return true;
        }
        thread.join().is_ok()
    }

    /// Numbers of the moment.
    pub(crate) fn status(&self) -> Option<AuditStatus> {
        let sink = self.0.get()?;
        let head = *sink.shared.head.lock();
        Some(AuditStatus {
            events: sink.shared.written.load(Ordering::Relaxed),
            lost: sink.shared.lost.load(Ordering::Relaxed),
            failing: sink.is_failing(),
            seq: head.seq,
            head: hex(&head.mac),
        })
    }

    fn tell(&self, name: &'static str, party: Party<'_>, members: impl FnOnce(&mut Members<'_>)) {
        if let Some(sink) = self.0.get() {
            sink.push(Event::new(name, |event| {
                party.write(event);
                members(event);
            }));
        }
    }
}

impl Called<'_> {
    fn write(&self, event: &mut Members<'_>) {
        called(event, (self.method, self.name), self.known);
        if !self.scopes.is_empty() {
            event.name("scope", &self.scopes.join(" "));
        }
        event.word("outcome", OUTCOMES.get(self.outcome as usize).copied().unwrap_or_default());
        event.number("duration_us", u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX));
        if let Some(Digest(digest)) = &self.arguments {
            event.hex("arguments", digest);
        }
    }
}

impl Party<'_> {
    fn write(&self, event: &mut Members<'_>) {
        event.word("connection", &self.id.to_string());
        event.word("address", &self.address.to_string());
        if let Some(principal) = self.principal {
            known(event, principal);
        }
    }
}

fn known(event: &mut Members<'_>, principal: &Principal) {
    event.name("principal", principal.id());
    if let Some(token) = principal.token_name() {
        event.name("token", token);
    }
}

fn called(event: &mut Members<'_>, (method, name): (&str, Option<&str>), known: bool) {
    let key = if method == method::TOOLS_CALL { "tool" } else { "name" };
    match name {
        Some(name) if known => event.name(key, name),
        Some(name) => event.text(key, name),
        None => {}
    }
}

fn reason(event: &mut Members<'_>, what: What) {
    let is_limit = what.event == "limit";
    if !is_limit {
        event.word("outcome", "refused");
    }
    event.word(if is_limit { "limit" } else { "reason" }, what.reason);
    if what.status > 0 {
        event.number("status", what.status.into());
    }
}

/// Stands for many events of the same kind.
pub(super) fn summary(what: What, who: Who, count: u64) -> Event {
    Event::new(what.event, |event| {
        reason(event, what);
        match who {
            Who::Address(address @ IpAddr::V4(_)) => event.word("address", &address.to_string()),
            Who::Address(address @ IpAddr::V6(_)) => event.word("address", &format!("{address}/64")),
            Who::Client(id) => event.word("connection", &ConnectionId(id).to_string()),
            Who::Several => event.word("address", "several"),
        }
        event.number("count", count);
    })
}

/// Says what is not in the log: that many events, or a line that was not finished, of so many bytes.
pub(super) fn lost(events: u64, torn: u64) -> Event {
    Event::new("lost", |event| {
        event.number("count", events);
        if torn > 0 {
            event.number("torn", torn);
        }
    })
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auditor").field("status", &self.status()).finish_non_exhaustive()
    }
}
