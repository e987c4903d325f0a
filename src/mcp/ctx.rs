//! What a handler is given: everything about this one request.

use super::ask::flow::Flow;
use super::cache::{self, Hint};
use super::call::Call;
use super::client::Client;
use super::texts;
use super::tool_error::{ToolError, ToolResult};
use super::trace::{Baggage, TraceContext};
use crate::cancel::Never;
use crate::guard::address::ClientAddr;
use crate::handle::Handle;
use crate::principal::Principal;
use crate::protocol::capabilities::{ClientCapabilities, LogLevel};
use crate::protocol::content::MetaMap;
use crate::protocol::encode::CacheScope;
use crate::protocol::meta_key;
use crate::protocol::revision::Revision;
use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The request that a handler works on: who asks, progress, cancellation, log messages.
///
/// A request ends early when the client cancels it, its connection is lost, its deadline comes, or the server stops.
/// Then [`check`](Self::check), [`sleep`](Self::sleep) and [`progress`](Self::progress) return an error that `?` carries out of
/// the handler, and [`cancelled`](Self::cancelled) is disconnected. A handler that looks at none of them is not interrupted: its
/// answer is dropped, and its thread is written off if it goes on for long.
pub struct Ctx {
    call: Arc<Call>,
    pub(crate) flow: Mutex<Flow>,
    /// The request's `_meta`, once it was looked at.
    meta: OnceLock<MetaMap>,
    /// That of its result.
    result_meta: Mutex<MetaMap>,
    /// How long its result may be kept.
    cache: Mutex<Option<Hint>>,
    /// Its result may depend on who asks.
    scopes: AtomicBool,
}

impl Ctx {
    pub(crate) fn new(call: Arc<Call>, flow: Flow) -> Self {
        Self {
            call,
            flow: Mutex::new(flow),
            meta: OnceLock::new(),
            result_meta: Mutex::default(),
            cache: Mutex::default(),
            scopes: AtomicBool::new(false),
        }
    }

    /// Whether its handler has asked for scopes.
    pub(crate) fn has_looked_at_scopes(&self) -> bool {
        self.scopes.load(Ordering::Relaxed)
    }

    pub(crate) fn cache_hint(&self) -> Option<Hint> {
        *self.cache.lock()
    }

    pub(crate) fn take_meta(&self) -> MetaMap {
        std::mem::take(&mut *self.result_meta.lock())
    }

    pub(crate) fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// An error if the request has ended. Costs next to nothing.
    ///
    /// # Errors
    /// The request was cancelled, or its time is over.
    pub fn check(&self) -> ToolResult<()> {
        if self.call.stopped() { Err(ToolError::stopped()) } else { Ok(()) }
    }

    /// Sleeps, and wakes at once if the request ends.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn sleep(&self, time: Duration) -> ToolResult<()> {
        if self.call.cancel_signal().sleep(time) { Ok(()) } else { Err(ToolError::stopped()) }
    }

    /// A channel that is disconnected when the request ends: for `select!` beside other channels. Nothing is ever sent on it.
    pub fn cancelled(&self) -> Receiver<Never> {
        self.call.cancel_signal().channel()
    }

    /// Reports that `done` of `total` is done, and gives the handler its time anew
    /// ([`Limits::handler_deadline`](crate::Limits::handler_deadline)).
    ///
    /// Goes out only if the client asked for progress, and only if `done` is more than before; when the client reads
    /// slowly, a newer report replaces one that waits. Nothing follows the answer. Never blocks.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn progress(&self, done: f64, total: f64) -> ToolResult<()> {
        self.report(done, Some(total), None)
    }

    /// Reports progress with words, or without a total. The words reach clients of 2025-03-26 and later; in a task they are its
    /// [`task_status`](Self::task_status), too.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn report(&self, done: f64, total: Option<f64>, message: Option<&str>) -> ToolResult<()> {
        self.check()?;
        self.call.progress(done, total, message);
        Ok(())
    }

    /// Sends the client a log message, if it wants those of this level: what `logging/setLevel` said (2024-11-05 to 2025-11-25; `info`
    /// if nothing was said), or the request's own `logLevel` (2026-07-28; nothing if it says nothing). Never blocks; dropped when the
    /// client's queue is full, and beyond [`Limits::log_rate`](crate::Limits::log_rate). Not for secrets.
    pub fn log(&self, level: LogLevel, data: impl Serialize) {
        if let Ok(data) = serde_json::value::to_raw_value(&data) {
            self.call.log(level, &data, None);
        }
    }

    /// Lets go of the connection that the request came over: the client is to come back for the answer, and for what comes before it, in
    /// that time (in whole milliseconds). For calls that take minutes, over which proxies and mobile clients lose connections anyway, and
    /// which would hold a connection and its thread for nothing.
    ///
    /// Only Streamable HTTP of 2025-11-25 has this ("polling", basic/transports). The handler goes on; its progress, questions and answer are kept
    /// for the client, as far as [`Limits::events_per_session`](crate::Limits::events_per_session) goes, and sent over the connection that it comes
    /// back with; which can be let go of again. A client that never comes back misses the answer. On every other transport, in every
    /// other revision, and while the client has not come back, nothing happens, and false is returned. Never blocks.
    ///
    /// ```
    /// # use mcp_blocking::{NoArgs, Server};
    /// # use std::time::Duration;
    /// let server = Server::new("builds", "1.0.0").tool("build", "Builds everything", |ctx, NoArgs| {
    ///     ctx.release_connection(Duration::from_secs(10));
    ///     // … half an hour later
    ///     Ok("built")
    /// });
    /// ```
    pub fn release_connection(&self, come_back_after: Duration) -> bool {
        self.call.release(come_back_after)
    }

    /// Says what the task is doing, for people and perhaps the model: its `statusMessage`, cut to 256 characters. It holds until something else is said, or the task
    /// waits or has ended. Does nothing in a call that is no task. Never blocks.
    pub fn task_status(&self, message: impl AsRef<str>) {
        if let Some(task) = self.call.task() {
            task.say(&texts::notice(&self.call.mcp.core, message.as_ref()));
        }
    }

    /// Whether this runs as a task ([`Tool::task`](crate::Tool::task)).
    pub fn is_task(&self) -> bool {
        self.call.task().is_some()
    }

    /// From here on the call is a task: for tools that [`detach`](crate::Tool::detaches), behind the questions that their clients have to answer first.
    ///
    /// ```
    /// # use mcp_blocking::{NoArgs, Server, TaskSupport, Tool};
    /// # use schemars::JsonSchema;
    /// # use serde::Deserialize;
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Name { name: String }
    ///
    /// let tool = Tool::new("print", "Print a book").task(TaskSupport::Required).detaches();
    /// let server = Server::new("books", "1.0.0").tool_with(tool, |ctx, NoArgs| {
    ///     let Name { name } = ctx.ask("name", "Whose name goes onto the cover?")?.accepted()?;
    ///     ctx.detach()?;
    ///     Ok(format!("printed for {name}"))
    /// });
    /// ```
    ///
    /// Carried out by `?`, its error ends the call with the answer that there is a task, in which **the handler runs again from its top**, as it does behind a
    /// question ([`ask`](Self::ask)): with the same answers, and with all that [`remember`](Self::remember) keeps. There, and in a call that cannot become a
    /// task, this does nothing.
    ///
    /// # Errors
    /// To be carried out by `?`: the call goes on as a task, or was cancelled.
    pub fn detach(&self) -> ToolResult<()> {
        self.check()?;
        if !self.call.can_detach() {
            return Ok(());
        }
        self.flow.lock().detach();
        Err(ToolError::detaching())
    }

    /// What the request's `_meta` says beside what the protocol itself reads from it (2024-11-05 and later): up to 64
    /// members, whatever a client likes.
    pub fn meta(&self) -> &MetaMap {
        self.meta.get_or_init(|| self.call.speech.meta.as_ref().map(|meta| meta.others()).unwrap_or_default())
    }

    /// Adds a member to the `_meta` of the result, or takes the place of the one of that key. Nothing is added to errors and questions.
    ///
    /// A key is a name of letters, digits, `-`, `_` and `.`, perhaps with a prefix such as `com.example/`; prefixes whose second
    /// word is `modelcontextprotocol` or `mcp` belong to the protocol (2025-06-18 and later, `basic/index`).
    ///
    /// # Errors
    /// The key is no such name, or the value cannot be written as JSON.
    pub fn set_meta(&self, key: impl Into<String>, value: impl Serialize) -> ToolResult<()> {
        let key = key.into();
        meta_key::check(&key).map_err(ToolError::new)?;
        let value = serde_json::to_value(value)?;
        self.result_meta.lock().insert(key, value);
        Ok(())
    }

    /// How long clients of 2026-07-28 may keep what is read from this resource, and who may, in place of what
    /// [`Server::cache`](crate::Server::cache) says. [`CacheScope::Public`] is only for what is the same for everybody. Of no effect in other handlers.
    pub fn cache(&self, time: Duration, scope: CacheScope) {
        *self.cache.lock() = Some(cache::hint(time, scope));
    }

    /// Where the request stands in a distributed trace: `traceparent` and `tracestate` of its `_meta` (W3C Trace Context). `None` if it says nothing,
    /// or nothing that is well-formed. The trace's id stands in the logs of the call, too.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.call.trace()
    }

    /// What its client has packed for all who take part in the trace: `baggage` of its `_meta` (W3C Baggage), likewise.
    pub fn baggage(&self) -> Option<&Baggage> {
        self.call.speech.meta.as_ref()?.baggage.as_ref()
    }

    /// The client.
    pub fn client(&self) -> Client {
        Client(Arc::clone(&self.call.link))
    }

    /// Who asks, if the server authenticates. In a session over HTTP each request says so anew: it is the same caller, perhaps with other scopes than when it
    /// [opened](Client::principal) the session.
    pub fn principal(&self) -> Option<&Principal> {
        self.call.principal()
    }

    /// Whether the caller has this scope, or one that implies it ([`Settings::scope_implies`](crate::Settings::scope_implies)). Always so for those
    /// who may use everything: see [`Tool::scope`](crate::Tool::scope).
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.store(true, Ordering::Relaxed);
        self.call.has_scope(scope)
    }

    /// Goes on only if the caller has this scope: for what depends on arguments.
    ///
    /// ```
    /// # use mcp_blocking::Server;
    /// # use schemars::JsonSchema;
    /// # use serde::Deserialize;
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Copy { from: String, overwrite: bool }
    ///
    /// let server = Server::new("files", "1.0.0").tool("copy", "Copy a file", |ctx, Copy { from, overwrite }| {
    ///     if overwrite {
    ///         ctx.require_scope("files:write")?;
    ///     }
    ///     Ok(format!("copied {from}"))
    /// });
    /// ```
    ///
    /// The answer is that of [`Tool::step_up`](crate::Tool::step_up): it names the scope, with those that were declared where the handler was registered. Call this before anything
    /// else: a request whose answer is a stream by then (progress, a log message) has its status, and in a task it is the task that fails.
    ///
    /// # Errors
    /// To be carried out by `?`: the caller lacks it.
    pub fn require_scope(&self, scope: &str) -> ToolResult<()> {
        self.require_scopes(&[scope])
    }

    /// The same for several scopes that are all needed, so that a caller learns of all of them at once.
    ///
    /// # Errors
    /// As for [`require_scope`](Self::require_scope).
    pub fn require_scopes(&self, scopes: &[&str]) -> ToolResult<()> {
        if scopes.iter().all(|scope| self.has_scope(scope)) { Ok(()) } else { Err(self.call.lacks(scopes)) }
    }

    /// Where the request came from.
    pub fn address(&self) -> ClientAddr {
        self.call.party().address
    }

    /// The protocol revision of this request.
    pub fn revision(&self) -> Revision {
        self.call.speech.revision
    }

    /// What the client says that it can do: for this request (2026-07-28), or for the session.
    pub fn capabilities(&self) -> &ClientCapabilities {
        &self.call.speech.capabilities
    }

    /// An error if the client did not declare sampling: code -32021 (2026-07-28), or a result that says so.
    ///
    /// # Errors
    /// The capability is missing.
    pub fn require_sampling(&self) -> ToolResult<()> {
        if self.capabilities().sampling {
            return Ok(());
        }
        Err(ToolError::missing_capability(serde_json::json!({ "sampling": {} })))
    }

    /// The settings that the client has declared for an extension: for this request (2026-07-28), or for the session (2025-11-25). `None` unless
    /// both sides declare it ([`Server::extension`](crate::Server::extension)): then neither may make use of it.
    pub fn extension(&self, id: &str) -> Option<MetaMap> {
        // Older clients are not told what the server declares.
        let declared = self.revision() >= Revision::R2025_11_25 && self.call.mcp.registry().extensions.contains_key(id);
        self.capabilities().extension(id).filter(|_| declared)
    }

    /// The same for an extension that the handler cannot do without.
    ///
    /// # Errors
    /// The client did not declare it: code -32021 with what is required (2026-07-28), or a result that says so.
    pub fn require_extension(&self, id: &str) -> ToolResult<MetaMap> {
        self.extension(id).ok_or_else(|| ToolError::missing_capability(serde_json::json!({ "extensions": { id: {} } })))
    }

    /// The running server.
    pub fn handle(&self) -> Handle {
        Handle::of(Arc::clone(&self.call.mcp))
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("name", &self.call.name()).field("id", &self.call.id).finish_non_exhaustive()
    }
}
