//! What a handler has come to, before it is written for somebody's revision.

use super::ask::flow::Round;
use super::tool_error::{ToolError, ToolResult};
use crate::protocol::content::{ResourceContents, ToolOutput};
use crate::protocol::encode::CacheScope;
use crate::protocol::prompt::PromptOutput;
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) enum Product {
    /// Of a tool.
    Output(ToolOutput),
    /// Of a custom method: a JSON object.
    Object(Box<RawValue>),
    /// Of a resource, with how long it may be kept.
    Contents(Vec<ResourceContents>, (u64, CacheScope)),
    /// Of a prompt.
    Prompt(PromptOutput),
    /// Of a completion.
    Completion(Vec<String>),
    /// Questions to the client, instead of an answer.
    Questions(Round),
    /// Of a notification.
    Nothing,
}

impl Product {
    /// A custom method's result.
    pub(crate) fn object(value: &impl Serialize) -> ToolResult<Self> {
        let raw = serde_json::value::to_raw_value(value)
            .map_err(|error| ToolError::new(format!("the result cannot be written as JSON: {error}")))?;
        if raw.get().starts_with('{') {
            return Ok(Self::Object(raw));
        }
        Err(ToolError::new("the result of a method has to be a JSON object"))
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Output(output) if output.is_error)
    }
}
