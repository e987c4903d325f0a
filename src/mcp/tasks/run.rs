//! A call that is a run of a task's handler, or becomes a task.

use super::begin::Recipe;
use super::stored::{End, StoredTask};
use crate::audit::{Called, Digest};
use crate::engine::outbox::Flush;
use crate::mcp::ask::flow::Flow;
use crate::mcp::batch::Reply;
use crate::mcp::call::Call;
use crate::mcp::client::{Link, Sender};
use crate::mcp::registry::Entry;
use crate::mcp::target::Target;
use crate::mcp::tool_error::{ToolError, ToolResult};
use crate::metrics::Outcome;
use crate::protocol::content::TaskSupport;
use crate::protocol::method;
use crate::protocol::tasks;
use std::sync::Arc;
use std::time::Duration;

/// Whose a task is, and what was called.
pub(super) struct Record {
    link: Arc<Link>,
    sender: Option<Sender>,
    tool: Arc<Entry>,
    arguments: Digest,
}

impl Record {
    /// Tells the audit log of the end of the task.
    pub(super) fn ended(self, task: &StoredTask, outcome: Outcome, took: Duration) {
        let (method, name, arguments) = (method::TOOLS_CALL, Some(self.tool.name()), Some(self.arguments));
        let scopes = self.tool.required.scopes();
        let call = Called { method, name, known: true, scopes, outcome, took, arguments };
        self.link.core.audit.task_ended(self.link.party(self.sender.as_ref()), task.short_id(), &call);
    }
}

impl Call {
    /// The task that this is a run of.
    pub(crate) fn task(&self) -> Option<&Arc<StoredTask>> {
        match &self.reply {
            Reply::Task(task) => Some(task),
            _ => None,
        }
    }

    /// How long the handler of a task may run.
    pub(crate) fn task_time(&self) -> Duration {
        self.target.deadline().unwrap_or(self.mcp.limits().task_deadline)
    }

    /// Whether it could go on as a task: its tool allows it, and its client knows what that is.
    pub(crate) fn can_detach(&self) -> bool {
        let Target::Tool(entry) = &self.target else { return false };
        self.task().is_none()
            && entry.info.task_support != TaskSupport::Forbidden
            && self.speech.revision.is_modern()
            && self.speech.capabilities.has_extension(tasks::EXTENSION)
    }

    /// From here on the request is a task, whose handler runs anew with all that is known.
    pub(crate) fn detach(self: &Arc<Self>, flow: Flow, flush: Flush) -> ToolResult<()> {
        let Target::Tool(entry) = &self.target else { return Err(ToolError::new("only tools can go on as tasks")) };
        let recipe = Recipe {
            link: Arc::clone(&self.link),
            speech: self.speech.of_task(),
            id: self.id.clone(),
            entry: Arc::clone(entry),
            layers: Arc::clone(&self.layers),
            arguments: self.arguments.clone(),
        };
        let answer = |json| self.conclude(Some(json), 200, Outcome::Ok, flush);
        self.mcp.tasks.begin(&self.mcp, recipe, (flow, self.take_permit()), None, answer).map_err(ToolError::from_rpc)
    }

    /// This run is over, and another will follow.
    pub(crate) fn suspend(&self, task: impl FnOnce()) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.over, true) {
            task();
        }
    }

    /// What the audit log is told when its task ends, if there is one.
    pub(super) fn record_of_task(&self) -> Option<Record> {
        let Target::Tool(entry) = &self.target else { return None };
        let digest = self.digest?;
        let (link, sender, tool) = (Arc::clone(&self.link), self.speech.sender.clone(), Arc::clone(entry));
        Some(Record { link, sender, tool, arguments: digest })
    }

    /// Its task was given up.
    pub(crate) fn give_up(&self) {
        self.stop(None, Outcome::Cancelled, Flush::Later);
    }
}

impl End {
    /// What a run has come to: the JSON of a result or of an error, or nothing. The call itself was answered, and counted, when the task began.
    pub(crate) fn of(outcome: Outcome, json: Option<Vec<u8>>) -> Self {
        match (outcome, json) {
            (Outcome::Error | Outcome::Busy | Outcome::RateLimited, Some(json)) => Self::Error(json),
            (outcome, Some(json)) => Self::Result { json, outcome },
            (_, None) => Self::Cancelled("nobody is left who could want it"),
        }
    }
}
