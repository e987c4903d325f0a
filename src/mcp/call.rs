//! One call of a tool or of a custom method: from its arguments to exactly one answer, or none if it was cancelled.

use super::Mcp;
use super::ask::flow::{Flow, Round, arguments_of};
use super::batch::Reply;
use super::bounds::Permit;
use super::client::Link;
use super::complete::encode_completion;
use super::ctx::Ctx;
use super::fault::Faults;
use super::layer::{self, Layers};
use super::product::Product;
use super::registry::Entry;
use super::speech::Speech;
use super::target::{Arguments, Job, Target};
use super::tasks::stored::End;
use super::texts;
use super::tool_error::{Kind, ToolError, ToolResult};
use super::trace::TraceContext;
use crate::audit::{Called, Digest, Party};
use crate::cancel::Cancel;
use crate::engine::outbox::Flush;
use crate::engine::pool::{Abandon, Work};
use crate::guard::scopes::{Grant, Required};
use crate::guard::text::{Escaped, logged_id};
use crate::metrics::{Method, Outcome};
use crate::principal::Principal;
use crate::protocol::content::{Implementation, ToolOutput};
use crate::protocol::encode;
use crate::protocol::error::{BusyReason, RpcError, codes};
use crate::protocol::id::RequestId;
use crate::protocol::params::meta_keys;
use crate::protocol::prompt::encode_prompt_result;
use crate::protocol::revision::Revision;
use crate::protocol::sealed::Binding;
use crate::service::SendError;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long after a stop, and for want of memory, a caller is asked to wait before it tries again.
const AFTER_STOP: u64 = 1_000;

pub(crate) struct Call {
    pub(crate) mcp: Arc<Mcp>,
    pub(crate) link: Arc<Link>,
    pub(crate) speech: Speech,
    pub(crate) id: RequestId,
    pub(super) target: Target,
    pub(super) layers: Layers,
    pub(super) arguments: Arguments,
    pub(super) reply: Reply,
    received: Instant,
    /// What stands for the arguments in the audit log.
    pub(super) digest: Option<Digest>,
    /// Its place among those of its tool that may run at once; given back when its handler has ended.
    permit: Mutex<Option<Permit>>,
    /// The deadline, in milliseconds after `received`.
    time: AtomicU64,
    /// Milliseconds in which it waited for its client.
    paused: AtomicU64,
    /// Tells the handler to stop.
    cancel: Cancel,
    pub(super) state: Mutex<State>,
    /// What coalesces its progress reports; taken when the first is sent.
    pub(super) key: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    /// The answer is out, or there will be none: nothing may be sent for this request any more.
    pub(super) over: bool,
    pub(super) progress: Option<f64>,
}

impl Call {
    pub(crate) fn new(mcp: Arc<Mcp>, link: Arc<Link>, speech: Speech, id: RequestId, job: Job) -> Arc<Self> {
        let Job { target, layers, arguments, reply } = job;
        let time = match &reply {
            // Its own time begins when it finds a thread.
            Reply::Task(task) => task.patience(),
            _ => target.deadline().unwrap_or(mcp.limits().handler_deadline),
        };
        let time = millis(time);
        let digest = mcp.core.audit.digest(target.subject(&arguments));
        Arc::new(Self {
            mcp,
            link,
            speech,
            id,
            target,
            layers,
            arguments,
            reply,
            received: Instant::now(),
            digest,
            permit: Mutex::new(None),
            time: AtomicU64::new(time),
            paused: AtomicU64::new(0),
            cancel: Cancel::default(),
            state: Mutex::new(State::default()),
            key: AtomicU64::new(0),
        })
    }

    /// Gives it the place that it takes.
    pub(super) fn hold(&self, permit: Option<Permit>) {
        *self.permit.lock() = permit;
    }

    pub(super) fn take_permit(&self) -> Option<Permit> {
        self.permit.lock().take()
    }

    /// What it holds of the memory budget while it is under way.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>() + self.arguments.cost() + self.id.heap_bytes() + self.speech.bytes()
    }

    /// The name of the tool or method.
    pub(crate) fn name(&self) -> &str {
        self.target.name()
    }

    /// Where the request stands in a trace.
    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.speech.meta.as_ref()?.trace.as_ref()
    }

    /// Who has sent the request.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.party().principal
    }

    /// The same, with where it came from.
    pub(crate) fn party(&self) -> Party<'_> {
        self.link.party(self.speech.sender.as_ref())
    }

    /// What the sender may use.
    fn grant(&self) -> Grant {
        self.link.grant(&self.mcp.access, self.speech.sender.as_ref())
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.mcp.access.has_scope(&self.grant(), scope)
    }

    /// The sender may not go on without these scopes: all that it takes, with those that it has come so far with.
    pub(crate) fn lacks(&self, scopes: &[&str]) -> ToolError {
        let mut required = self.target.required().cloned().unwrap_or_default();
        scopes.iter().for_each(|scope| required.add(*scope));
        self.mcp.forbidden(self.party(), self.recorded(), required.scopes());
        ToolError::from_rpc(RpcError::insufficient_scope(required.scopes()))
    }

    fn trace_id(&self) -> &str {
        self.trace().map_or("", TraceContext::trace_id)
    }

    pub(crate) fn stopped(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub(crate) fn cancel_signal(&self) -> &Cancel {
        &self.cancel
    }

    /// Runs the handler and answers. The flush says who writes the answer.
    pub(crate) fn execute(self: &Arc<Self>, flush: Flush) {
        // A notice may be in the lane of a connection that has gone, where the end of the server does not find it.
        if self.stopped() || self.is_notice() && self.link.core.sealed() {
            return;
        }
        let flow = match self.task() {
            Some(task) => {
                let Some((flow, permit)) = task.begin_run() else { return };
                self.hold(permit);
                self.time.store(millis(self.received.elapsed() + self.task_time()), Ordering::Release);
                self.mcp.tasks.watch(self.deadline());
                Ok(flow)
            }
            None => Flow::open(&self.speech.given, &self.mcp.keys, || self.binding()),
        };
        let result = flow.and_then(|flow| {
            let ctx = Ctx::new(Arc::clone(self), flow);
            match catch_unwind(AssertUnwindSafe(|| self.produce(&ctx))) {
                Ok(result) => {
                    let behind = self.behind_run(&ctx, result, flush);
                    behind.map(|product| product.map(|product| product.with_meta(ctx.take_meta())))
                }
                Err(panic) => Err(self.panicked(&*panic)).map(Some),
            }
        });
        // Before the answer leaves: the client may call again as soon as it has seen it.
        drop(self.take_permit());
        let Some(result) = result.transpose() else { return };
        let outcome = if result.is_ok() { "ok" } else { "failed" };
        log::debug!(
            target: "mcp_blocking::call", connection = self.link.id.0, tool:% = Escaped::short(self.name()), trace = self.trace_id(), outcome;
            "{} {outcome} after {:?}", self.label(), self.received.elapsed()
        );
        self.answer(result, flush);
    }

    /// What the run of a handler has come to; `None` if the request is dealt with.
    fn behind_run(
        self: &Arc<Self>,
        ctx: &Ctx,
        result: ToolResult<Product>,
        flush: Flush,
    ) -> ToolResult<Option<Product>> {
        let mut flow = ctx.flow.lock();
        if let Some(task) = self.task() {
            let mut questions = flow.take_questions();
            if !questions.is_empty() {
                for (_, question) in &mut questions {
                    // What its answer belongs to is still the question as the handler has it.
                    question.params = self.clean_question(&question.params)?.into_owned();
                }
                let next = flow.next_run()?;
                drop(flow);
                // Nothing runs until there are answers, and they may come at once.
                drop(self.take_permit());
                self.suspend(|| task.suspend(next, questions));
                return Ok(None);
            }
            return result.map(Some);
        }
        // A question that is open goes out, whatever the handler has made of the error.
        let lifetime = self.mcp.limits().state_lifetime;
        if let Some(round) = flow.take_open(&self.mcp.keys, lifetime, || self.binding())? {
            return Ok(Some(Product::Questions(round)));
        }
        // So is a task begun; but a result is better.
        if flow.detaches() && result.is_err() {
            let next = flow.next_run()?;
            drop(flow);
            return self.detach(next, flush).map(|()| None);
        }
        result.map(Some)
    }

    /// What a sealed state of this request belongs to.
    fn binding(&self) -> Binding {
        Self::binding_of(&self.link, self.target.what(), &self.arguments)
    }

    /// What a sealed state of such a request belongs to: its method and what of it, and its arguments.
    pub(crate) fn binding_of(link: &Link, (method, name): (&str, Option<&str>), arguments: &Arguments) -> Binding {
        let principal = link.principal.as_ref().map(|principal| principal.id());
        Binding::new(principal, method, name, &arguments_of(arguments.text()))
    }

    pub(crate) fn is_retried(&self) -> bool {
        self.target.is_retried()
    }

    /// Whether it is a notification, to which there is no answer.
    pub(crate) fn is_notice(&self) -> bool {
        matches!(self.reply, Reply::Nowhere)
    }

    /// Gives the handler more time while it waits for its client, and takes back what was not needed.
    pub(crate) fn pause(&self, most: Duration) -> Pause<'_> {
        self.time.fetch_add(millis(most), Ordering::AcqRel);
        Pause { call: self, most, since: Instant::now() }
    }

    /// Sends a request of the server that belongs to this one.
    pub(crate) fn send_request(&self, json: Vec<u8>) -> Result<(), SendError> {
        let state = self.state.lock();
        if state.over {
            return Err(SendError::Closed);
        }
        self.reply.send(&self.link, json, 0, Flush::Now).map_err(SendError::from)
    }

    /// Lets go of the connection that the request came over, where the client comes back for the answer.
    pub(crate) fn release(&self, come_back_after: Duration) -> bool {
        let state = self.state.lock();
        !state.over && self.reply.release(come_back_after)
    }

    /// Runs the layers, and within them the handler.
    fn produce(&self, ctx: &Ctx) -> ToolResult<Product> {
        let screened = self.screened()?;
        let arguments = screened.as_deref().unwrap_or(self.arguments.text());
        if self.layers.is_empty() {
            return self.target.run(ctx, arguments);
        }
        let client = ctx.client();
        let (method, name) = self.target.what();
        let request = layer::Request {
            method,
            name,
            arguments: arguments.into(),
            notification: self.is_notice(),
            client: &client,
            party: self.party(),
            revision: Some(self.speech.revision),
            ctx: Some(ctx),
        };
        let end = |request: &layer::Request<'_>| {
            layer::Reply(layer::Kind::Handler(self.target.run(ctx, request.arguments())))
        };
        match layer::Next::new(&self.layers, &end).run(&request).0 {
            layer::Kind::Handler(result) => result,
            // A layer cannot make one of these itself, and here nobody else does.
            layer::Kind::Protocol(_) => Err(ToolError::new("a layer kept the reply of another request")),
        }
    }

    /// The one answer. Whoever comes second is too late, and is not heard.
    fn answer(&self, result: ToolResult<Product>, flush: Flush) {
        // Sized at once: a buffer that doubles to twice a large answer stays with the allocator as that.
        let size = match &result {
            Ok(Product::Output(output)) => encode::tool_result_size(output),
            Ok(Product::Object(object)) => object.get().len() + 256,
            Ok(Product::Questions(round)) => round.state.len() + 1_024,
            Ok(Product::Contents(contents, ..)) => contents.iter().map(encode::contents_size).sum::<usize>() + 256,
            Ok(Product::Prompt(_) | Product::Completion(..)) => 1_024,
            Ok(Product::Nothing) | Err(_) => 256,
        };
        if result.as_ref().is_err_and(ToolError::is_denied) {
            let (method, name) = self.recorded();
            self.mcp.core.audit.denied(self.party(), method, name);
        }
        let mut json = Vec::with_capacity(size);
        let tool = matches!(self.target, Target::Tool(_));
        let mut status = 200;
        let outcome = match result.map_err(ToolError::into_kind) {
            Ok(Product::Output(output)) => self.write_output(&mut json, output),
            Ok(Product::Object(object)) => {
                let (revision, server) = (self.speech.revision, self.server());
                self.write_result(&mut json, |out| encode::encode_object_result(out, &object, revision, server))
            }
            Ok(Product::Questions(round)) => self.write_questions(&mut json, &round),
            Ok(Product::Contents(contents, cache, meta)) => {
                let (revision, server) = (self.speech.revision, self.server());
                self.write_result(&mut json, |out| {
                    encode::encode_read_result(out, &contents, revision, cache, server, meta.as_ref());
                })
            }
            Ok(Product::Prompt(prompt)) => {
                let (revision, server) = (self.speech.revision, self.server());
                self.write_result(&mut json, |out| encode_prompt_result(out, &prompt, revision, server))
            }
            Ok(Product::Completion(values, meta)) => {
                let (revision, server) = (self.speech.revision, self.server());
                self.write_result(&mut json, |out| {
                    encode_completion(out, &values, revision, server, meta.as_ref());
                })
            }
            Ok(Product::Nothing) => Outcome::Ok,
            Err(Kind::Rpc(error)) => {
                self.mcp.challenge(&error, &self.reply);
                status = http_status(&error, self.speech.revision);
                self.reply.come_back_after(&error);
                self.write_error(&mut json, &error)
            }
            Err(Kind::Capability(required)) if self.speech.revision.is_modern() => {
                let error = RpcError::missing_capability(&required);
                status = http_status(&error, self.speech.revision);
                self.write_error(&mut json, &error)
            }
            // Somebody has answered, or nobody may; unless the handler made the error up.
            Err(Kind::Stopped) if self.stopped() => return,
            Err(failure) => {
                let message = match failure {
                    Kind::Failed(message) | Kind::Denied(message) => message,
                    Kind::Capability(required) => format!("this client lacks a capability that is needed: {required}"),
                    Kind::Stopped | Kind::Asked | Kind::Detached | Kind::Rpc(_) => "the handler gave up".into(),
                };
                match tool {
                    true => self.write_output(&mut json, ToolOutput::error(message)),
                    // No model reads this: it is an error for the client's program.
                    false => self.write_error(&mut json, &RpcError::internal(message)),
                }
            }
        };
        self.conclude(Some(json), status, outcome, flush);
    }

    fn server(&self) -> Option<&Implementation> {
        self.speech.revision.is_modern().then_some(&self.mcp.identity)
    }

    fn write_output(&self, json: &mut Vec<u8>, mut output: ToolOutput) -> Outcome {
        let (revision, server) = (self.speech.revision, self.server());
        if let (Some(task), false) = (self.task(), revision.is_modern()) {
            output = output.meta(meta_keys::RELATED_TASK, serde_json::json!({ "taskId": &*task.id }));
        }
        match self.write_result(json, |out| encode::encode_tool_result(out, &output, revision, server)) {
            Outcome::Ok if output.is_error => Outcome::ToolError,
            outcome => outcome,
        }
    }

    fn write_questions(&self, json: &mut Vec<u8>, round: &Round) -> Outcome {
        self.write_result(json, |out| {
            encode::encode_input_required(out, round.questions(), &round.state, self.speech.revision, self.server());
        })
    }

    /// Writes a result, as far as it may be sent.
    fn write_result(&self, json: &mut Vec<u8>, result: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        let mut cleaned = Ok(());
        let clean = |out: &mut Vec<u8>| {
            let from = out.len();
            result(out);
            cleaned = self.clean(out, from);
        };
        match self.task() {
            // Of a task the result alone is kept: who asks for it does so with another id.
            Some(_) => clean(json),
            None => encode::write_response(json, &self.id, clean),
        }
        match cleaned {
            Ok(()) => Outcome::Ok,
            Err(error) => {
                json.clear();
                self.write_error(json, &error)
            }
        }
    }

    fn write_error(&self, json: &mut Vec<u8>, error: &RpcError) -> Outcome {
        let error = &*texts::error(&self.mcp.core, error);
        match self.task() {
            Some(_) => error.write_to(json),
            None => encode::write_error(json, Some(&self.id), error, Some(self.speech.revision)),
        }
        if error.code == codes::RATE_LIMITED { Outcome::RateLimited } else { Outcome::Error }
    }

    /// Makes this the end of the request. False if it had ended.
    pub(super) fn conclude(&self, json: Option<Vec<u8>>, status: u16, outcome: Outcome, flush: Flush) -> bool {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.over, true) {
            return false;
        }
        // Before the answer leaves, too: whoever has seen it finds it counted.
        let counters = &self.mcp.core.counters;
        match outcome {
            Outcome::Timeout => counters.timeouts.fetch_add(1, Ordering::Relaxed),
            Outcome::Cancelled => counters.cancelled.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        if let Some(task) = self.task() {
            task.settle(End::of(outcome, json));
            return true;
        }
        let method = match self.target {
            Target::Tool(_) => Method::TOOLS_CALL,
            Target::Method(_) => Method::OTHER,
            _ => Method::of(self.target.what().0),
        };
        let took = self.received.elapsed();
        counters.request(method, outcome, took);
        self.record(outcome, took);
        // Before the answer leaves: the client may use the id again as soon as it has seen it.
        if !matches!(self.reply, Reply::Nowhere) {
            self.link.finish(&self.id);
        }
        // Under the lock, so that no progress report can follow it.
        self.reply.deliver(&self.link, json, status, flush);
        true
    }

    /// Tells the audit log of the end of the request.
    fn record(&self, outcome: Outcome, took: Duration) {
        let (method, name) = self.recorded();
        let scopes = self.target.required().map_or(&[][..], Required::scopes);
        let call = Called { method, name, known: true, scopes, outcome, took, arguments: self.digest };
        self.mcp.core.audit.called(self.party(), &call);
    }

    /// What the audit log says of what was called. The address of a resource that a template has found holds arguments.
    fn recorded(&self) -> (&str, Option<&str>) {
        let (method, name) = self.target.what();
        let holds_arguments = matches!(self.target, Target::Resource { .. }) && self.arguments.text() != "{}";
        (method, name.filter(|_| !holds_arguments))
    }

    /// Tells the handler to stop and makes this the end of the request.
    pub(super) fn stop(&self, json: Option<Vec<u8>>, outcome: Outcome, flush: Flush) -> bool {
        // In this order: a handler that returns at once when it is told to stop would otherwise be the first to answer.
        let first = self.conclude(json, 200, outcome, flush);
        self.cancel.cancel();
        first
    }

    /// The client has cancelled it: no answer, and nothing else for it any more.
    pub(crate) fn cancel(&self, reason: Option<&str>) {
        if self.stop(None, Outcome::Cancelled, Flush::Later) {
            log::debug!(
                target: "mcp_blocking::call", connection = self.link.id.0, tool:% = Escaped::short(self.name()), trace = self.trace_id();
                "{} cancelled by the client: {}", self.label(), Escaped::short(reason.unwrap_or("no reason given"))
            );
        }
    }

    /// There is no memory for a value of this call.
    pub(crate) fn has_no_room(&self) -> ToolError {
        self.mcp.core.counters.busy.fetch_add(1, Ordering::Relaxed);
        ToolError::from_rpc(RpcError::busy(BusyReason::Overloaded, AFTER_STOP))
    }

    /// The handler returned what its tool does not promise: a fault of the server, which no model can mend.
    pub(crate) fn broke_its_word(&self, faults: &Faults) -> ToolError {
        let incident = self.mcp.incident();
        log::error!(
            target: "mcp_blocking::call", connection = self.link.id.0, tool:% = Escaped::short(self.name()), trace = self.trace_id(),
            incident = incident.as_str();
            "{} returned what its outputSchema does not allow, incident {incident}:{faults:#}", self.label()
        );
        ToolError::rpc(codes::INTERNAL_ERROR, format!("internal error, incident {incident}"))
    }

    fn panicked(&self, panic: &(dyn std::any::Any + Send)) -> ToolError {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let incident = self.mcp.panic_incident();
        log::error!(
            target: "mcp_blocking::call", connection = self.link.id.0, tool:% = Escaped::short(self.name()), trace = self.trace_id(),
            incident = incident.as_str();
            "{} panicked, incident {incident}: {}", self.label(), Escaped::short(text.unwrap_or("no message"))
        );
        ToolError::rpc(codes::INTERNAL_ERROR, format!("internal error, incident {incident}"))
    }

    /// Progress gives the time anew, up to the limit; a tool's own deadline stays, and so does a task's.
    pub(super) fn extend(&self) {
        if self.target.deadline().is_none() && self.task().is_none() {
            let limits = self.mcp.limits();
            let paused = self.paused.load(Ordering::Acquire);
            let most = millis(limits.handler_deadline_extended.max(limits.handler_deadline)).saturating_add(paused);
            let time = millis(self.received.elapsed()).saturating_add(millis(limits.handler_deadline)).min(most);
            self.time.fetch_max(time, Ordering::AcqRel);
        }
    }

    pub(crate) fn is_quick(&self) -> bool {
        // A user is asked on the pool.
        matches!(&self.target, Target::Tool(entry) if entry.is_quick() && self.asks_first().is_none())
    }

    /// The tool whose user is asked before it runs.
    pub(super) fn asks_first(&self) -> Option<&Entry> {
        match &self.target {
            Target::Tool(entry) if entry.asks_first(self.mcp.access.confirm_destructive) => Some(entry),
            _ => None,
        }
    }

    /// Runs a quick tool on the connection's own thread.
    pub(crate) fn execute_here(self: &Arc<Self>) {
        if !self.layers.is_empty() {
            // What an author does in a layer may take its time; what is answered already need not wait for that.
            self.link.flush();
        }
        let working = self.link.work_here(Arc::clone(self) as Arc<dyn Work>);
        self.execute(Flush::Later);
        drop(working);
        let took = self.received.elapsed();
        if let Target::Tool(entry) = &self.target
            && entry.called_here(took)
        {
            log::warn!(
                target: "mcp_blocking::call", tool:% = Escaped::short(self.name());
                "tool {} is marked quick and took {took:?}, not for the first time: it runs on the pool from now on", self.name()
            );
        }
    }
}

/// A handler that waits for its client.
pub(crate) struct Pause<'c> {
    call: &'c Call,
    most: Duration,
    since: Instant,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let (most, took) = (millis(self.most), millis(self.since.elapsed()));
        self.call.paused.fetch_add(took, Ordering::AcqRel);
        self.call.time.fetch_sub(most.saturating_sub(took), Ordering::AcqRel);
    }
}

impl Work for Call {
    fn run(self: Arc<Self>) {
        self.execute(Flush::Now);
    }

    fn deadline(&self) -> Instant {
        self.received + Duration::from_millis(self.time.load(Ordering::Acquire))
    }

    fn expire(&self) {
        if self.stopped() {
            return;
        }
        let time = match self.task() {
            // Without what it has waited for a thread.
            Some(_) => self.task_time(),
            None => Duration::from_millis(self.time.load(Ordering::Acquire)),
        };
        let message = format!("did not finish within {time:?} and was stopped");
        let mut json = Vec::new();
        match self.target {
            Target::Tool(_) => self.write_output(&mut json, ToolOutput::error(format!("the tool {message}"))),
            _ => self.write_error(&mut json, &RpcError::internal(format!("the request {message}"))),
        };
        // Before the answer is out: its client may call again at once.
        let lost_mark = match &self.target {
            Target::Tool(entry) => self.is_quick() && self.task().is_none() && entry.lose_mark(),
            _ => false,
        };
        if self.stop(Some(json), Outcome::Timeout, Flush::Elsewhere) {
            log::warn!(
                target: "mcp_blocking::call", connection = self.link.id.0, tool:% = Escaped::short(self.name()), trace = self.trace_id();
                "{} stopped after {time:?}", self.label()
            );
        }
        if lost_mark {
            // It may go on for as long as it likes, and the next would hold another connection's thread.
            log::warn!(
                target: "mcp_blocking::call", tool:% = Escaped::short(self.name());
                "tool {} is marked quick and was not done by its deadline: it runs on the pool from now on", self.name()
            );
        }
    }

    fn abandon(&self, why: Abandon) {
        match why {
            // It was accepted, and nothing of it is the connection's any more.
            Abandon::Disconnected if self.is_notice() && !self.link.stays() => {}
            Abandon::Disconnected => {
                self.stop(None, Outcome::Cancelled, Flush::Later);
            }
            Abandon::Stopping => {
                let mut json = Vec::new();
                self.write_error(&mut json, &RpcError::busy(BusyReason::ShuttingDown, AFTER_STOP));
                self.stop(Some(json), Outcome::Busy, Flush::Elsewhere);
            }
        }
    }

    fn describe(&self) -> String {
        self.label()
    }
}

impl Call {
    /// What the log calls it.
    pub(super) fn label(&self) -> String {
        let mut text = match (&self.target, self.task()) {
            (Target::Tool(_), Some(task)) => {
                format!("{}: tool {} (task {})", self.link.id, self.name(), task.short_id())
            }
            (Target::Tool(_), None) => {
                format!("{}: tool {} (request {})", self.link.id, self.name(), logged_id(&self.id))
            }
            _ => {
                let (method, name) = self.target.what();
                format!("{}: {} {}", self.link.id, Escaped::short(method), Escaped::short(name.unwrap_or_default()))
            }
        };
        if let Some(trace) = self.trace() {
            text.push_str(" in trace ");
            text.push_str(trace.trace_id());
        }
        text
    }
}

/// The HTTP status of an error of a request that was served (2026-07-28, basic/transports/streamable-http).
pub(crate) fn http_status(error: &RpcError, revision: Revision) -> u16 {
    match error.code {
        // What a transport's client looks for when it wants a token that may do more (2025-11-25, basic/authorization).
        codes::INSUFFICIENT_SCOPE => 403,
        // Older clients take anything but 200 for a failure of the transport.
        codes::RATE_LIMITED => 429,
        _ if !revision.is_modern() => 200,
        codes::METHOD_NOT_FOUND => 404,
        codes::HEADER_MISMATCH | codes::MISSING_CAPABILITY | codes::UNSUPPORTED_VERSION => 400,
        _ => 200,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}
