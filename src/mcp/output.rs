//! What a handler may return.

use super::schema;
use super::tool_error::{ToolError, ToolResult};
use crate::protocol::content::{Content, ToolOutput};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

/// Something that a tool can return.
pub trait IntoToolOutput {
    /// The output as content.
    ///
    /// # Errors
    /// What cannot be serialized is a failure of the tool.
    fn into_tool_output(self) -> ToolResult<ToolOutput>;

    /// The JSON Schema of the structured part, for the tool's `outputSchema`.
    #[doc(hidden)]
    fn output_schema() -> Option<Result<Box<RawValue>, String>> {
        None
    }
}

impl IntoToolOutput for ToolOutput {
    fn into_tool_output(self) -> ToolResult<ToolOutput> {
        Ok(self)
    }
}

impl IntoToolOutput for String {
    fn into_tool_output(self) -> ToolResult<ToolOutput> {
        Ok(ToolOutput::text(self))
    }
}

impl IntoToolOutput for &str {
    fn into_tool_output(self) -> ToolResult<ToolOutput> {
        Ok(ToolOutput::text(self))
    }
}

impl IntoToolOutput for () {
    fn into_tool_output(self) -> ToolResult<ToolOutput> {
        Ok(ToolOutput::default())
    }
}

impl IntoToolOutput for Content {
    fn into_tool_output(self) -> ToolResult<ToolOutput> {
        Ok(ToolOutput::from(vec![self]))
    }
}

impl IntoToolOutput for Vec<Content> {
    fn into_tool_output(self) -> ToolResult<ToolOutput> {
        Ok(ToolOutput::from(self))
    }
}

/// Structured output: the value goes out as `structuredContent` and, for clients that do not read that, as a block of
/// text; its schema is the tool's `outputSchema`.
///
/// A value that is not a JSON object reaches clients older than 2026-07-28 as text only, as their revisions ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize + JsonSchema> IntoToolOutput for Json<T> {
    fn into_tool_output(self) -> ToolResult<ToolOutput> {
        ToolOutput::structured(&self.0)
            .map_err(|error| ToolError::new(format!("the result cannot be written as JSON: {error}")))
    }

    fn output_schema() -> Option<Result<Box<RawValue>, String>> {
        Some(schema::of_output::<T>())
    }
}
