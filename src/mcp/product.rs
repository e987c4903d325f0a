//! What a handler has come to, before it is written for somebody's revision.

use super::ask::flow::Round;
use super::cache::Hint;
use super::tool_error::{ToolError, ToolResult};
use crate::protocol::content::{MetaMap, ResourceContents, ToolOutput};
use crate::protocol::json;
use crate::protocol::prompt::PromptOutput;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) enum Product {
    /// Of a tool.
    Output(ToolOutput),
    /// Of a custom method: a JSON object.
    Object(Box<RawValue>),
    /// Of a resource, with how long it may be kept.
    Contents(Vec<ResourceContents>, Hint, Option<MetaMap>),
    /// Of a prompt.
    Prompt(PromptOutput),
    /// Of a completion.
    Completion(Vec<String>, Option<MetaMap>),
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

    /// Adds what the handler has said of its result. What is in the result already stays.
    pub(crate) fn with_meta(mut self, meta: MetaMap) -> Self {
        if meta.is_empty() {
            return self;
        }
        match &mut self {
            Self::Output(ToolOutput { meta: own, .. })
            | Self::Prompt(PromptOutput { meta: own, .. })
            | Self::Contents(.., own)
            | Self::Completion(_, own) => add(own.get_or_insert_default(), meta),
            Self::Object(object) => {
                if let Ok(mut members) = serde_json::from_str::<MetaMap>(object.get())
                    && let Value::Object(own) = members.entry("_meta").or_insert_with(|| MetaMap::new().into())
                {
                    add(own, meta);
                    *object = json::to_raw(&members).unwrap_or_else(|_| std::mem::take(object));
                }
            }
            Self::Questions(_) | Self::Nothing => {}
        }
        self
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Output(output) if output.is_error)
    }
}

fn add(own: &mut MetaMap, more: MetaMap) {
    for (key, value) in more {
        own.entry(key).or_insert(value);
    }
}
