//! The audit log: what has happened, in a file of JSON lines that nobody can change afterwards without being found out.
//!
//! ```no_run
//! use mcp_blocking::Server;
//! use mcp_blocking::audit::Audit;
//!
//! # fn main() -> Result<(), mcp_blocking::Error> {
//! let server = Server::new("notes", "1.0.0").audit(Audit::to_file("/var/log/notes/audit.log").key_file("/etc/notes/audit.key"));
//! # let _ = server;
//! # Ok(())
//! # }
//! ```
//!
//! # What stands in it
//!
//! One event a line, each with its number `seq`, its time (UTC) and `mac`:
//!
//! | `event` | when | beside `connection`, `address` and `principal` |
//! | --- | --- | --- |
//! | `start`, `stop` | a process begins and ends to write | `run`, `server`, `version`, `pid` |
//! | `connection`, `disconnection` | a client has been let in, and has gone | `transport`, `path`; `reason` |
//! | `authentication` | a caller is known, or is refused, also for a certificate; a ticket was issued | `outcome`, `reason`, `status`; `origin` |
//! | `authorization` | a caller may not do something: a foreign `Host` or `Origin`, somebody else's session, [`ToolError::denied`](crate::ToolError::denied) | `outcome`, `reason` |
//! | `session` | `initialize` was answered | `revision`; `client` and `version`, which are what the client says of itself |
//! | `call` | a tool, a resource, a prompt, a completion or a method of your own was called | `method`, `tool` or `name`, `scope`, `outcome`, `duration_us`, `arguments` |
//! | `task` | a task has ended; its `call` is recorded when it begins | `task` (the beginning of its id), `tool`, `outcome`, `duration_us`, `arguments` |
//! | `limit` | something was refused because there was too much of it | `limit`, `status` |
//! | `refusal` | a request was refused because it made no sense | `reason`, `status` |
//! | `reload` | tools and the like, certificates, tokens or the keys of an issuer were changed while the server runs, or the log was reopened | `what`; `issuer` |
//! | `shutdown` | the server begins to stop | `grace_ms` |
//! | `file` | a new file begins | what is needed to verify it without those before it |
//! | `lost` | events are missing here, as they could not be written | `count`, `torn` |
//!
//! `connection` is the number of the connection, or of the session where HTTP has those (up to 2025-11-25): its `session` line has the same one. `address`, `principal` and `token` (the
//! token's name) are those of the request, also where somebody else has opened the session. Who was let do something has no line of its own: `scope` in a `call` are the scopes that it takes as it was registered, which
//! its caller has. `time` is that of the event, `seq` the
//! order of the writing.
//!
//! Arguments are never written, nor are results or tokens: `arguments` is a keyed digest, so that the same arguments can be recognized within a
//! run, and none can be guessed from it. What a peer has a say in is escaped and cut to 120 characters; names that are cut, such as those of principals, end with the beginning of their SHA-256, so that no two look alike. Refusals and limits that repeat are summed up once a
//! second for each address (IPv6: /64) or client after the first five, as one event with a `count`: nobody fills the disk with those.
//!
//! # What it proves
//!
//! Each `mac` is an HMAC-SHA256 over the line and the `mac` of the line before; its key is made from the one before it, which is then gone. With the author's key
//! [`verify`] finds each line that was changed, is missing, or stands in another place. Two things it cannot know:
//!
//! - **The end.** Whoever cuts lines off at the end of the file leaves a shorter log that is whole. So the *head*, the last line's `mac`, is told in
//!   the log of the program at the start, at the end and with each new file, in [`Status::audit`](crate::Status::audit) and in `/metrics`. Keep it somewhere else, and give it to [`verify`]
//!   as a head that has to be there.
//! - **The process itself.** A program that was taken over can stop to log, can drop what was not written yet, and can write what it likes from that moment on, with the
//!   numbers that follow. It cannot change what it had written before, nor cut lines out of it and go on with their numbers, in the same file or in a new one: the
//!   keys of those numbers are gone.
//!
//! And one thing you have to know: **the beginning**. Old files are deleted beyond [`keep`](Audit::keep), so a log whose older files somebody has deleted looks the same. [`Report::first`] says
//! with which line it begins; files that were copied elsewhere, or an older head, say whether it has to.
//!
//! That holds if the key is not where the program can read it while it runs. Without [`key`](Audit::key) or [`key_file`](Audit::key_file), a key is made beside
//! the log, `<log>.key`: good enough against a damaged disk. Move it elsewhere, name it with `key_file`, and let a supervisor take it away once the server runs: it is read at the
//! start only.
//!
//! # When the disk is full
//!
//! Callers never wait for the disk: a thread of its own writes, from a queue of 8 MiB, some 20,000 events. [`WhenFailing`] says what happens when it cannot.

mod chain;
mod event;
mod file;
mod judge;
mod key;
mod repeats;
mod report;
mod sink;
mod verify;
#[cfg(test)]
mod verify_tests;
mod writer;

pub use key::read_key;
pub use report::{Finding, FindingKind, Report};
pub(crate) use sink::{Auditor, Called, Digest, Party, Sink};
pub use verify::{Expect, verify, verify_files};

use crate::error::{Error, Problem};
use crate::file_mode;
use crate::protocol::sealed;
use crate::random;
use chain::{Chain, Master, NO_LINE, RunId};
use event::Event;
use file::LogFile;
use key::KeySource;
use parking_lot::Mutex;
use sink::Shared;
use std::fmt;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use writer::{Plan, Run, Writer};

/// Shortest key, in bytes.
pub(crate) const MIN_KEY: usize = sealed::MIN_KEY;
/// The smallest size at which a new file is begun: room for the longest line.
const MIN_FILE: u64 = 4 << 10;
/// Requests to reopen that wait.
const ORDERS: usize = 16;

/// An audit log to be written: where, with which key, and what to do when the disk fails. See [the module](self) for what it is.
#[derive(Clone)]
#[must_use = "an audit log is written if a server or its settings take it"]
pub struct Audit {
    path: PathBuf,
    key: KeySource,
    sync: SyncPolicy,
    file_bytes: u64,
    keep: usize,
    when_failing: WhenFailing,
    problem: Option<Problem>,
}

/// When what was written has to be on the disk, and not only with the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// When the operating system likes. A crash of the program loses nothing; one of the machine may lose half a minute.
    Never,
    /// After that time at the latest. The default is a second: a machine seldom crashes, and a disk can bear it.
    Every(Duration),
    /// After each piece that is written: all that came in the moment before. Costs a wait for the disk each time, in the writing thread only.
    Always,
}

impl Default for SyncPolicy {
    fn default() -> Self {
        Self::Every(Duration::from_secs(1))
    }
}

/// What happens when the log cannot be written: the disk is full, or it does not answer and the queue is full.
///
/// In both cases it is tried again once a second, `/health`, `/metrics` and [`Status::audit`](crate::Status::audit) tell of it, and the program's log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFailing {
    /// The server goes on. The queue holds some 20,000 events; those beyond it are lost, and a `lost` line says how many as soon as lines can be
    /// written again.
    ///
    /// The default: a server that stops because of its log could be stopped by anybody who can fill the disk, and that events are missing cannot be hidden.
    #[default]
    Count,
    /// Nothing is begun that could not be recorded: new calls are answered busy (-31001, reason `audit`), new WebSockets with 503, and `/ready` is red. Calls that are
    /// under way are finished; the queue has room for them. For those to whom a gap is worse than a halt.
    Refuse,
}

/// What an audit log is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditStatus {
    /// Events written since the start of this process.
    pub events: u64,
    /// Events lost since then.
    pub lost: u64,
    /// Lines cannot be written at the moment.
    pub failing: bool,
    /// The number of the last line.
    pub seq: u64,
    /// Its `mac`: the head of the chain, 64 hexadecimal digits. Not a secret.
    pub head: String,
}

impl Audit {
    /// Writes to that file, or goes on with it. It is opened when the server starts, readable for its owner only.
    pub fn to_file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            key: KeySource::Beside,
            sync: SyncPolicy::default(),
            file_bytes: 64 << 20,
            keep: 10,
            when_failing: WhenFailing::default(),
            problem: None,
        }
    }

    /// The key of the chain: at least 32 random bytes, known to whoever verifies the log and to nobody else. It is used when the server
    /// starts, and then dropped.
    #[track_caller]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        let key = key.into();
        if key.len() < MIN_KEY {
            let what = format!("it has {} bytes, and has to have {MIN_KEY} or more", key.len());
            self.problem = Some(Problem::new("audit key", what).at(Location::caller()));
        }
        self.key = KeySource::Bytes(key);
        self
    }

    /// A file with the key, in hexadecimal (`openssl rand -hex 32`). It is read when the server starts, and not needed afterwards.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key = KeySource::File(path.into());
        self
    }

    /// When lines have to be on the disk. Default: after a second.
    pub fn sync(mut self, sync: SyncPolicy) -> Self {
        self.sync = sync;
        self
    }

    /// At that size a file is renamed to `<log>.<number of its first line>` and a new one begun; the chain goes on over the files. Default 64 MiB, some 200,000 calls;
    /// at least 4 KiB. Tools like logrotate are not needed; who uses one calls [`Handle::reopen_audit`](crate::Handle::reopen_audit), as a server that finds neither its
    /// file nor renamed ones when it starts begins a new chain.
    pub fn file_bytes(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes.max(MIN_FILE);
        self
    }

    /// So many renamed files are kept, older ones are deleted. Default 10, so that the disk cannot be filled; `usize::MAX` keeps all. Whoever is let in can
    /// push lines out of the oldest file by calling much: copy the files elsewhere if that matters.
    pub fn keep(mut self, files: usize) -> Self {
        self.keep = files;
        self
    }

    /// What happens when the log cannot be written. Default: [`WhenFailing::Count`].
    pub fn when_failing(mut self, what: WhenFailing) -> Self {
        self.when_failing = what;
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of its key, if it has one, and whether that is beside the log for want of another.
    pub(crate) fn key_path(&self) -> Option<(PathBuf, bool)> {
        match &self.key {
            KeySource::Bytes(_) => None,
            KeySource::File(path) => Some((path.clone(), false)),
            KeySource::Beside => Some((key::beside(&self.path), true)),
        }
    }

    pub(crate) fn fails_by(&self) -> WhenFailing {
        self.when_failing
    }

    /// What stands against using it.
    pub(crate) fn take_problems(&mut self) -> Vec<Problem> {
        let key = self.key_path().map(|(path, _)| ("audit key", path));
        let files = std::iter::once(("audit log", self.path.clone())).chain(key);
        let open = files.filter_map(|(what, path)| {
            let refusal = file_mode::refusal(&path)?;
            Some(Problem::new(format!("{what} `{}`", path.display()), refusal))
        });
        self.problem.take().into_iter().chain(open.collect::<Vec<_>>()).collect()
    }

    /// Opens the log and starts its thread.
    pub(crate) fn start(mut self, server: &str, version: &str) -> Result<Sink, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Audit { path, source }
        };
        let (file, tail) = LogFile::open(self.path.clone()).map_err(failed(&self.path))?;
        let master = self.master(tail.head.is_some())?;
        let id: RunId = random::bytes().map_err(io::Error::other).map_err(failed(&self.path))?;
        let (seq, origin) = tail.head.map_or((0, NO_LINE), |head| head);
        let run = Run { id, origin, first: seq + 1 };
        let key = master.run(&id, &origin, run.first);
        let digest_key = key.digest_key();
        let keys = key.lines(0).ok_or_else(|| io::ErrorKind::InvalidData.into()).map_err(failed(&self.path))?;
        let chain = Chain::begin(keys, origin, run.first);
        let start = Event::new("start", |event| {
            event.hex("run", &id);
            event.hex("prev", &origin);
            event.text("server", server);
            event.text("version", version);
            event.word("library", env!("CARGO_PKG_VERSION"));
            event.number("pid", std::process::id().into());
            if tail.torn > 0 {
                event.number("torn", tail.torn);
            }
        });
        let shared = Shared::new(&chain);
        let plan = Plan { sync: self.sync, file_bytes: self.file_bytes, keep: self.keep };
        let writer = Writer::new(file, chain, run, plan, Arc::clone(&shared), start);
        let (events, queue) = crossbeam_channel::unbounded();
        let (orders, told) = crossbeam_channel::bounded(ORDERS);
        let (alive, ended) = crossbeam_channel::bounded(0);
        let thread = std::thread::Builder::new()
            .name("mcp-audit".into())
            .spawn(move || writer.run(&queue, &told, alive))
            .map_err(|source| Error::System { what: "a thread", source })?;
        let (when_failing, thread) = (self.when_failing, Mutex::new(Some(thread)));
        Ok(Sink { events, orders, shared, when_failing, digest_key, ended, thread })
    }

    /// The key, as it is used. `begun` says that there are lines already.
    fn master(&mut self, begun: bool) -> Result<Master, Error> {
        let beside = key::beside(&self.path);
        let read = match &mut self.key {
            KeySource::Bytes(key) => {
                let master = Master::new(key);
                chain::forget(key);
                return Ok(master);
            }
            KeySource::File(path) => key::read_key(&*path).map_err(|source| (&*path, source)),
            // A new key would leave the lines that there are without one, and nobody would notice.
            KeySource::Beside if begun => key::read_key(&beside).map_err(|source| (&beside, source)),
            KeySource::Beside => key::read_or_create(&beside).map_err(|source| (&beside, source)),
        };
        let mut key = read.map_err(|(path, source)| Error::Audit { path: path.clone(), source })?;
        let master = Master::new(&key);
        chain::forget(&mut key);
        Ok(master)
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.debug_struct("Audit")
            .field("path", &self.path)
            .field("sync", &self.sync)
            .field("file_bytes", &self.file_bytes)
            .field("keep", &self.keep)
            .field("when_failing", &self.when_failing)
            .finish_non_exhaustive()
    }
}
