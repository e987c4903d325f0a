//! Layers: what runs around the requests and notifications that are served.

use super::client::Client;
use super::ctx::Ctx;
use super::product::Product;
use super::session::{Done, Session};
use super::tool_error::{ToolError, ToolResult};
use crate::audit::Party;
use crate::protocol::envelope;
use crate::protocol::error::RpcError;
use crate::protocol::method;
use crate::protocol::revision::Revision;
use serde::Serialize;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Something that runs around each request and notification that is served: it may look, refuse, delay, or change the arguments.
///
/// Closures of this shape are layers:
///
/// ```
/// # use mcp_blocking::{Next, Reply, Request, Server};
/// let server = Server::new("notes", "1.0.0").layer(|request: &Request<'_>, next: Next<'_>| -> Reply {
///     let started = std::time::Instant::now();
///     let reply = next.run(request);
///     log::info!("{} {:?}", request.method(), started.elapsed());
///     reply
/// });
/// ```
///
/// Around a call of a tool or of a custom method a layer runs on the handler's thread, around everything else (lists, `initialize`, `ping`, …) on the
/// client's own thread, where it must not take long. A panic is answered like one of a handler.
///
/// What is refused before it is served passes no layer: messages that cannot be read, are beyond the client's rate or name a version that is not served;
/// requests for a tool, a resource, a prompt, a completion or a method that is not there or not for this client, with params that cannot be read, or
/// without room for one more call; and of the notifications all that no handler is registered for. [`Settings::audit`](crate::Settings::audit) tells of
/// calls that are refused, too, and [`Status`](crate::Status) counts them.
#[doc(alias = "middleware")]
#[doc(alias = "interceptor")]
pub trait Layer: Send + Sync + 'static {
    /// Deals with one request or notification, by `next` or without.
    fn call(&self, request: &Request<'_>, next: Next<'_>) -> Reply;
}

impl<F: Fn(&Request<'_>, Next<'_>) -> Reply + Send + Sync + 'static> Layer for F {
    fn call(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        self(request, next)
    }
}

/// The layers of a server, the outermost first.
pub(crate) type Layers = Arc<[Arc<dyn Layer>]>;

/// What a client asks for or tells, as a layer sees it.
pub struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) arguments: Cow<'a, str>,
    pub(crate) notification: bool,
    pub(crate) client: &'a Client,
    pub(crate) party: Party<'a>,
    pub(crate) revision: Option<Revision>,
    pub(crate) ctx: Option<&'a Ctx>,
}

impl<'a> Request<'a> {
    /// The JSON-RPC method, say `tools/call`.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The tool that is called, for `tools/call`.
    pub fn tool(&self) -> Option<&'a str> {
        self.name.filter(|_| self.method == method::TOOLS_CALL)
    }

    /// The tool that is called, the prompt that is asked for, or the address of the resource that is read.
    pub fn name(&self) -> Option<&'a str> {
        self.name
    }

    /// The arguments of a tool, or the params of a custom method, as JSON text; `{}` for everything else.
    pub fn arguments(&self) -> &str {
        &self.arguments
    }

    /// Whether this is a notification: it is not answered, whatever comes back.
    pub fn is_notification(&self) -> bool {
        self.notification
    }

    /// Who sent it.
    pub fn client(&self) -> &'a Client {
        self.client
    }

    /// The protocol revision it is in; `None` before there is one.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// The handler's context, for calls of tools and custom methods.
    pub fn ctx(&self) -> Option<&'a Ctx> {
        self.ctx
    }

    /// The same request with other arguments, for [`Next::run`].
    ///
    /// # Errors
    /// If the arguments cannot be written as JSON.
    pub fn with_arguments(&self, arguments: &impl Serialize) -> Result<Self, serde_json::Error> {
        let arguments = Cow::Owned(serde_json::to_string(arguments)?);
        let Self { method, name, notification, client, party, revision, ctx, .. } = *self;
        Ok(Self { method, name, arguments, notification, client, party, revision, ctx })
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("tool", &self.name).finish_non_exhaustive()
    }
}

/// The rest of the way: the layers further in, and at last the handler.
pub struct Next<'a> {
    layers: &'a [Arc<dyn Layer>],
    end: &'a dyn Fn(&Request<'_>) -> Reply,
}

impl<'a> Next<'a> {
    pub(crate) fn new(layers: &'a [Arc<dyn Layer>], end: &'a dyn Fn(&Request<'_>) -> Reply) -> Self {
        Self { layers, end }
    }

    /// Goes on with this request. Blocks for as long as its handler does.
    pub fn run(self, request: &Request<'_>) -> Reply {
        match self.layers.split_first() {
            Some((layer, layers)) => layer.call(request, Next { layers, end: self.end }),
            None => (self.end)(request),
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

/// What came of a request. Opaque: it is not yet JSON, and for a layer it is enough to know whether it is an error.
#[must_use = "a reply that is dropped is not sent"]
pub struct Reply(pub(crate) Kind);

pub(crate) enum Kind {
    Handler(ToolResult<Product>),
    Protocol(Result<Done, RpcError>),
}

impl Reply {
    /// An error in place of an answer: for a tool it is a result that the model can read, unless it was made with
    /// [`ToolError::rpc`]; for all else it is a JSON-RPC error.
    pub fn error(error: impl Into<ToolError>) -> Self {
        Self(Kind::Handler(Err(error.into())))
    }

    /// Whether it is an error, of the protocol or of the tool.
    pub fn is_error(&self) -> bool {
        match &self.0 {
            Kind::Handler(Ok(product)) => product.is_error(),
            // A question is an answer of its own kind, and so is a task.
            Kind::Handler(Err(error)) => !error.is_asking() && !error.is_detaching(),
            Kind::Protocol(result) => result.is_err(),
        }
    }
}

impl From<ToolError> for Reply {
    fn from(error: ToolError) -> Self {
        Self(Kind::Handler(Err(error)))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("error", &self.is_error()).finish_non_exhaustive()
    }
}

impl Session {
    /// Runs the layers around what this thread answers itself; tools and custom methods have theirs around the handler.
    pub(super) fn layered(
        &self,
        request: &envelope::Request<'_>,
        revision: Option<Revision>,
        serve: impl FnOnce() -> Result<Done, RpcError>,
    ) -> Result<Done, RpcError> {
        let registry = self.mcp().registry();
        let called = [method::TOOLS_CALL, method::RESOURCES_READ, method::PROMPTS_GET, method::COMPLETE];
        let around_handler = called.contains(&&*request.method) || !method::is_known(&request.method);
        if registry.layers.is_empty() || around_handler {
            return serve();
        }
        // What is answered already need not wait for an author's code.
        self.link().flush();
        let client = Client(Arc::clone(self.link()));
        let seen = Request {
            method: &request.method,
            name: None,
            arguments: "{}".into(),
            notification: false,
            client: &client,
            party: self.party(),
            revision,
            ctx: None,
        };
        let serve = Cell::new(Some(serve));
        let end = |_: &Request<'_>| match serve.take() {
            Some(serve) => Reply(Kind::Protocol(serve())),
            // `Next` is gone once it has run, so that this is a `Next` of another request.
            None => Reply::error(ToolError::new("this request has been dealt with")),
        };
        let reply = catch_unwind(AssertUnwindSafe(|| Next::new(&registry.layers, &end).run(&seen)));
        match reply.map(|reply| reply.0) {
            Ok(Kind::Protocol(done)) => done,
            Ok(Kind::Handler(Err(error))) => {
                if error.is_denied() {
                    self.mcp().core.audit.denied(self.party(), &request.method, None);
                }
                Err(error.into_rpc())
            }
            Ok(Kind::Handler(Ok(_))) => Err(RpcError::internal("a layer kept the reply of another request")),
            Err(_) => {
                let incident = self.mcp().panic_incident();
                log::error!(
                    target: "mcp_blocking::session", connection = self.link().id.0, incident = incident.as_str();
                    "{}: a layer panicked at {}, incident {incident}", self.link().id, request.method
                );
                Err(RpcError::internal(format!("internal error, incident {incident}")))
            }
        }
    }
}

/// A layer that logs every request that is served with its outcome and time, at level `info`, target `mcp_blocking::request`. What is refused before
/// it passes a layer is not among them: [`Layer`] says what that is, and where it is found.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogRequests;

impl Layer for LogRequests {
    fn call(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        use crate::guard::text::Escaped;
        let started = Instant::now();
        let reply = next.run(request);
        let outcome = if reply.is_error() { "error" } else { "ok" };
        let trace = request.ctx.and_then(Ctx::trace).map_or("", |trace| trace.trace_id());
        log::info!(
            target: "mcp_blocking::request", connection = request.client.id().0, trace, outcome;
            "{}: {} {} {outcome} {:?}",
            request.client.id(), Escaped::short(request.method), Escaped::short(request.name.unwrap_or("-")), started.elapsed()
        );
        reply
    }
}

/// A layer that lets no more than a number of tool calls run at once; more are answered "busy" (-31001) at once.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    most: usize,
    tool: Option<String>,
    running: AtomicUsize,
}

impl ConcurrencyLimit {
    /// For all tools together.
    pub fn new(most: usize) -> Self {
        Self { most, tool: None, running: AtomicUsize::new(0) }
    }

    /// For one tool.
    pub fn of_tool(tool: impl Into<String>, most: usize) -> Self {
        Self { most, tool: Some(tool.into()), running: AtomicUsize::new(0) }
    }
}

impl Layer for ConcurrencyLimit {
    fn call(&self, request: &Request<'_>, next: Next<'_>) -> Reply {
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        let concerned = request.tool().is_some_and(|tool| self.tool.as_deref().is_none_or(|only| only == tool));
        if !concerned {
            return next.run(request);
        }
        let before = self.running.fetch_add(1, Ordering::AcqRel);
        let _leave = Leave(&self.running);
        if before >= self.most { ToolError::busy(Duration::from_millis(100)).into() } else { next.run(request) }
    }
}
