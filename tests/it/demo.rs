//! The server that most tests talk to: one tool for each thing a handler can do.

use mcp_blocking::{Json, LogLevel, NoArgs, Server, Tool, ToolError, ToolResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Deserialize, JsonSchema)]
pub struct Echo {
    pub text: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct Add {
    pub a: i64,
    pub b: i64,
}

#[derive(Serialize, JsonSchema)]
pub struct Sum {
    pub sum: i64,
}

#[derive(Deserialize, JsonSchema)]
pub struct Count {
    pub to: u32,
}

/// A server named `demo` 1.0.0.
pub fn demo() -> Server {
    Server::new("demo", "1.0.0")
        .tool("add", "Adds two numbers", |_ctx, Add { a, b }| Ok(Json(Sum { sum: a + b })))
        .tool("count", "Counts, with progress", |ctx, Count { to }| {
            for done in 1..=to {
                ctx.report(f64::from(done), Some(f64::from(to)), Some("counting"))?;
            }
            Ok(format!("counted to {to}"))
        })
        .tool("echo", "Sends the text back", |_ctx, Echo { text }| Ok(text))
        .tool("fail", "Fails", |_ctx, NoArgs| -> ToolResult<String> { Err(ToolError::new("it did not work")) })
        .tool("log", "Logs once at every level", |ctx, NoArgs| {
            for level in LogLevel::ALL {
                ctx.log(level, level.as_str());
            }
            Ok("logged")
        })
        .tool("panic", "Panics", |_ctx, NoArgs| -> ToolResult<String> { panic!("a secret of the handler") })
        .tool_with(Tool::new("quick", "Sends the text back, at once").quick().read_only(), |_ctx, Echo { text }| {
            Ok(text)
        })
        .tool("sleep", "Sleeps until it is cancelled", |ctx, NoArgs| {
            ctx.sleep(Duration::from_secs(600))?;
            Ok("slept well")
        })
}
