//! Calls that run as tasks: begun, answered on the way, and waited for.

use super::conversation::{Conversation, Wait, answer, rpc};
use super::{ClientError, How};
use crate::content::MetaMap;
use crate::protocol::error::codes;
use crate::protocol::revision::Revision;
use crate::protocol::tasks;
use serde_json::{Value, json};

impl How {
    /// What the client declares.
    pub(super) fn declared(&self) -> Value {
        let mut capabilities = self.capabilities.clone();
        if let (Value::Object(all), true) = (&mut capabilities, self.tasks && self.revision.is_modern())
            && let Value::Object(extensions) = all.entry("extensions").or_insert_with(|| json!({}))
        {
            extensions.insert(tasks::EXTENSION.into(), json!({}));
        }
        capabilities
    }
}

impl Conversation {
    /// Calls a tool. If that is a task, its result is waited for.
    pub(super) fn call(&mut self, how: &How, mut params: MetaMap) -> Result<Value, ClientError> {
        if how.tasks && how.revision == Revision::R2025_11_25 {
            params.insert("task".into(), json!({}));
            match self.request(how, "tools/call", params.clone()) {
                // This tool is none. What could be one has not run by then.
                Err(ClientError::Rpc { code: codes::METHOD_NOT_FOUND, .. }) => drop(params.remove("task")),
                Ok(created) => {
                    return match created.pointer("/task/taskId") {
                        Some(id) => self.request(how, "tasks/result", of_task(id)),
                        None => Ok(created),
                    };
                }
                error => return error,
            }
        }
        let result = self.request(how, "tools/call", params)?;
        match result.get("taskId").filter(|_| result.get("resultType").is_some_and(|kind| kind == "task")) {
            Some(id) => self.follow(how, id),
            None => Ok(result),
        }
    }

    /// Waits for the end of a task of 2026-07-28, and answers its questions.
    fn follow(&mut self, how: &How, id: &Value) -> Result<Value, ClientError> {
        let wait = Wait::of(how);
        let mut listen = MetaMap::new();
        listen.insert("notifications".into(), json!({ "taskIds": [id] }));
        let subscription = self.send_request(&wait, "subscriptions/listen", listen)?;
        let mut outcome = Ok(None);
        while matches!(outcome, Ok(None)) {
            outcome = match self.change_of(&wait, id, subscription) {
                Ok(mut task) => self.look(how, id, &mut task),
                Err(error) => Err(error),
            };
        }
        if outcome.is_err() {
            // At once or not at all: there may be no patience left.
            let _ = self.send_request(&wait, "tasks/cancel", of_task(id));
        }
        let mut cancelled = MetaMap::new();
        cancelled.insert("requestId".into(), subscription.into());
        let _ = self.notify(how, "notifications/cancelled", cancelled);
        outcome?.ok_or(ClientError::Closed)
    }

    /// What a task has come to, if it has come to its end; what it asks is answered.
    fn look(&mut self, how: &How, id: &Value, task: &mut Value) -> Result<Option<Value>, ClientError> {
        let status = task.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
        let member = |task: &mut Value, name: &str| {
            let missing = || ClientError::Unexpected(format!("a task that is {status} without `{name}`"));
            task.get_mut(name).map(Value::take).ok_or_else(missing)
        };
        match &*status {
            "completed" => member(task, "result").map(Some),
            "failed" => Err(rpc(&mut member(task, "error")?)),
            "cancelled" => Err(ClientError::Unexpected(format!("the task was cancelled: {task}"))),
            "input_required" => {
                let mut responses = MetaMap::new();
                for (key, question) in member(task, "inputRequests")?.as_object().into_iter().flatten() {
                    responses.insert(key.clone(), answer(how, Some(key), question)?);
                }
                let mut params = of_task(id);
                params.insert("inputResponses".into(), responses.into());
                self.request(how, "tasks/update", params).map(|_| None)
            }
            _ => Ok(None),
        }
    }
}

fn of_task(id: &Value) -> MetaMap {
    let mut params = MetaMap::new();
    params.insert("taskId".into(), id.clone());
    params
}
