//! What a client is answered about tasks, in either era. Runs on the connection's thread.

use super::Owner;
use super::begin::Recipe;
use super::stored::StoredTask;
use super::wait::Wait;
use crate::engine::outbox::Flush;
use crate::engine::pool::Busy;
use crate::mcp::ask::flow::Flow;
use crate::mcp::batch::Reply;
use crate::mcp::bounds::Permit;
use crate::mcp::call::Call;
use crate::mcp::client::{Legacy, Pending};
use crate::mcp::registry::Entry;
use crate::mcp::session::{Caller, Done, Session};
use crate::mcp::speech::Speech;
use crate::mcp::target::Arguments;
use crate::mcp::tool_error::ToolError;
use crate::metrics::{Method, Outcome};
use crate::protocol::classify::ModernRequest;
use crate::protocol::content::TaskSupport;
use crate::protocol::cursor;
use crate::protocol::encode::{self, CacheScope};
use crate::protocol::envelope::Request;
use crate::protocol::error::{RpcError, codes};
use crate::protocol::method;
use crate::protocol::revision::Revision;
use crate::protocol::tasks;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Instant;

/// Why a task was cancelled by its client.
const UNWANTED: &str = "its client does not want it any more";

/// How a call of a tool is run.
pub(crate) enum Way {
    /// Its result is the answer.
    Call,
    /// As a task, kept for as long as its client wants, in milliseconds.
    Task(Option<u64>),
}

impl Way {
    /// How this call is run, by what its tool allows and its client knows.
    ///
    /// # Errors
    /// The tool runs as a task only and the client knows none, or the other way round.
    pub(crate) fn of(entry: &Entry, caller: &Caller<'_>, task: Option<&RawValue>) -> Result<Self, RpcError> {
        let support = entry.info.task_support;
        match caller {
            // The server alone decides (extension `io.modelcontextprotocol/tasks`); what older clients say is ignored.
            Caller::Modern(modern) => match (support, knows_tasks(modern)) {
                (TaskSupport::Forbidden, _) | (TaskSupport::Optional, false) => Ok(Self::Call),
                (TaskSupport::Required, false) => Err(lacks_extension()),
                (TaskSupport::Optional | TaskSupport::Required, true) if entry.task.detaches => Ok(Self::Call),
                (TaskSupport::Optional | TaskSupport::Required, true) => Ok(Self::Task(None)),
            },
            Caller::Legacy(legacy) => match (support, task.filter(|_| has_tasks(legacy))) {
                // 2025-11-25, basic/utilities/tasks: SHOULD for the first, MUST for the second.
                (TaskSupport::Forbidden, Some(_)) => Err(not_so(entry, "cannot be run as a task")),
                (TaskSupport::Required, None) if has_tasks(legacy) => {
                    Err(not_so(entry, "can only be run as a task: say so with params.task"))
                }
                (TaskSupport::Required, None) => Err(RpcError::invalid_params(format!(
                    "the tool {} can only be run as a task, and this session has none",
                    entry.name()
                ))),
                (_, Some(task)) => tasks::requested_ttl(task).map(Self::Task),
                (_, None) => Ok(Self::Call),
            },
        }
    }
}

fn not_so(entry: &Entry, what: &str) -> RpcError {
    RpcError::new(codes::METHOD_NOT_FOUND, format!("the tool {} {what}", entry.name()))
}

/// Whether tasks belong to what this session was offered.
fn has_tasks(legacy: &Legacy) -> bool {
    legacy.revision == Revision::R2025_11_25 && legacy.offered.tasks
}

fn knows_tasks(modern: &ModernRequest) -> bool {
    modern.capabilities.has_extension(tasks::EXTENSION)
}

fn lacks_extension() -> RpcError {
    RpcError::missing_capability(&json!({ "extensions": { tasks::EXTENSION: {} } }))
}

impl Session {
    /// Begins a task, and tells its client.
    pub(crate) fn begin_task(
        &self,
        request: &Request<'_>,
        speech: Speech,
        (entry, arguments, ttl, permit): (Arc<Entry>, Arguments, Option<u64>, Option<Permit>),
        reply: &Reply,
    ) -> Result<Done, RpcError> {
        let (mcp, link, received) = (self.mcp(), self.link(), Instant::now());
        let binding = || Call::binding_of(link, (method::TOOLS_CALL, Some(entry.name())), &arguments);
        // What is wrong with what the client brings is an error of this request, not of a task.
        let flow = Flow::open(&speech.given, &mcp.keys, binding).map_err(ToolError::into_rpc)?;
        let (link, layers) = (Arc::clone(link), Arc::clone(&mcp.registry().layers));
        let recipe = Recipe { link, speech: speech.of_task(), id: request.id.clone(), entry, layers, arguments };
        mcp.tasks.begin(mcp, recipe, (flow, permit), ttl, |json| {
            // Before the answer leaves: whoever has seen it finds it counted.
            mcp.core.counters.request(Method::TOOLS_CALL, Outcome::Ok, received.elapsed());
            self.record(request, Outcome::Ok, received.elapsed());
            reply.deliver(self.link(), Some(json), 200, Flush::Later);
            true
        })?;
        Ok(Done::Elsewhere)
    }

    /// `tasks/get`, `tasks/update` and `tasks/cancel` of the extension.
    pub(crate) fn modern_task(&self, request: &Request<'_>, modern: &ModernRequest) -> Result<Done, RpcError> {
        let mcp = self.mcp();
        if !mcp.offers_tasks() {
            return Err(RpcError::method_not_found(&request.method));
        }
        let id = task_id(request)?;
        let responses = request.params.input_responses;
        if request.method == method::TASKS_UPDATE && responses.is_none() {
            return Err(RpcError::invalid_params("params.inputResponses must be an object"));
        }
        if !knows_tasks(modern) {
            return Err(lacks_extension());
        }
        let (revision, server) = (modern.revision, Some(&mcp.identity));
        let task = self.task(id, revision)?;
        match (&*request.method, responses) {
            (method::TASKS_UPDATE, Some(responses)) => task.answer(mcp, responses)?,
            (method::TASKS_CANCEL, _) => {
                // One that has ended stays as it is, and the answer is the same.
                task.cancel(UNWANTED);
            }
            _ => return Ok(Done::Answer(self.told(request, &task, revision))),
        }
        let mut json = Vec::with_capacity(192);
        encode::write_response(&mut json, &request.id, |out| encode::encode_empty_result(out, revision, server));
        Ok(Done::Answer(json))
    }

    /// The four methods of 2025-11-25.
    pub(crate) fn legacy_task(&self, request: &Request<'_>, legacy: &Legacy, reply: &Reply) -> Result<Done, RpcError> {
        if !has_tasks(legacy) {
            return Err(RpcError::method_not_found(&request.method));
        }
        if request.method == method::TASKS_LIST {
            return self.list_tasks(request, legacy.revision).map(Done::Answer);
        }
        let task = self.task(task_id(request)?, legacy.revision)?;
        match &*request.method {
            method::TASKS_RESULT => return self.wait_for(request, &task, reply),
            method::TASKS_CANCEL if !task.cancel(UNWANTED) => {
                return Err(RpcError::invalid_params("the task has ended, and cannot be cancelled any more"));
            }
            _ => {}
        }
        Ok(Done::Answer(self.told(request, &task, legacy.revision)))
    }

    /// What there is to tell of a task.
    fn told(&self, request: &Request<'_>, task: &StoredTask, revision: Revision) -> Vec<u8> {
        let server = revision.is_modern().then_some(&self.mcp().identity);
        task.look(|view, detail| {
            let payload = match detail {
                tasks::Detail::Result(json) | tasks::Detail::Error(json) => json.len(),
                tasks::Detail::Questions(_) | tasks::Detail::None => 512,
            };
            let mut json = Vec::with_capacity(payload + 512);
            encode::write_response(&mut json, &request.id, |out| {
                tasks::encode_task(out, view, detail, revision, server);
            });
            json
        })
    }

    fn list_tasks(&self, request: &Request<'_>, revision: Revision) -> Result<Vec<u8>, RpcError> {
        let all = self.mcp().tasks.all_of(&Owner::of(self.link(), revision));
        let after = request.params.cursor.as_deref().map(cursor::decode_cursor).transpose()?.unwrap_or_default();
        let from = match after.is_empty() {
            true => 0,
            false => {
                let wrong = || RpcError::invalid_params("params.cursor is not a cursor of this server");
                let (created, id) = after.split_once(' ').ok_or_else(wrong)?;
                let after = (created.parse().map_err(|_| wrong())?, id);
                all.partition_point(|task| task.position() <= after)
            }
        };
        let rest = all.get(from..).unwrap_or_default();
        let page = rest.get(..self.mcp().limits().page_size).unwrap_or(rest);
        let next = page.last().filter(|_| page.len() < rest.len()).map(|last| {
            let (created, id) = last.position();
            cursor::encode_cursor(&format!("{created} {id}"))
        });
        let mut json = Vec::with_capacity(128 + page.len() * 256);
        encode::write_response(&mut json, &request.id, |out| {
            let page_of = encode::Page {
                key: "tasks",
                next_cursor: next.as_deref(),
                revision,
                ttl_ms: 0,
                scope: CacheScope::Private,
                server: None,
            };
            encode::encode_page(out, page_of, page, |out, task| {
                task.look(|view, _| tasks::write_task(out, view, revision));
            });
        });
        Ok(json)
    }

    /// `tasks/result`: answered when the task has ended, without a thread that waits.
    fn wait_for(&self, request: &Request<'_>, task: &Arc<StoredTask>, reply: &Reply) -> Result<Done, RpcError> {
        if let Some(outcome) = task.outcome() {
            let mut json = Vec::with_capacity(outcome.json.len() + 64);
            tasks::write_outcome(&mut json, &request.id, &outcome.json, outcome.is_error);
            return Ok(Done::Answer(json));
        }
        let link = self.link();
        if link.waits() >= self.mcp().limits().calls_per_connection {
            return Err(self.busy(Busy::Connection));
        }
        let wait = Wait::new(link, request.id.clone(), reply.clone(), task);
        let wait = wait.ok_or_else(|| self.busy(Busy::Overloaded))?;
        if !link.begin(&request.id, Pending::Wait(Arc::clone(&wait))) {
            return Err(RpcError::invalid_request("a request with this id is under way"));
        }
        if let Reply::Stream(stream) = reply {
            // The handler may ask something meanwhile, and a client that has lost its connection may come back.
            stream.takes_long();
        }
        task.wait(&wait);
        Ok(Done::Elsewhere)
    }

    fn task(&self, id: &str, revision: Revision) -> Result<Arc<StoredTask>, RpcError> {
        let found = self.mcp().tasks.find(id, &Owner::of(self.link(), revision));
        found.ok_or_else(|| RpcError::unknown("task", id))
    }

    /// The tasks that a subscription may hear of, among those that it asks for.
    ///
    /// # Errors
    /// It asks for some, and its client has not declared the extension (-32021).
    pub(crate) fn tasks_to_tell(
        &self,
        ids: &[String],
        modern: &ModernRequest,
    ) -> Result<Vec<Arc<StoredTask>>, RpcError> {
        if ids.is_empty() || !self.mcp().offers_tasks() {
            return Ok(Vec::new());
        }
        if !knows_tasks(modern) {
            return Err(lacks_extension());
        }
        let seeker = Owner::of(self.link(), modern.revision);
        Ok(ids.iter().filter_map(|id| self.mcp().tasks.find(id, &seeker)).collect())
    }
}

fn task_id<'r>(request: &'r Request<'_>) -> Result<&'r str, RpcError> {
    request.params.task_id.as_deref().ok_or_else(|| RpcError::invalid_params("params.taskId must be a string"))
}
