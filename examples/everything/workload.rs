//! Tools to try the server's behavior with: echo, waiting, broadcasting, panicking.

use mcp_blocking::schemars::JsonSchema;
use mcp_blocking::serde_json::json;
use mcp_blocking::{NoArgs, Server, Tool, ToolError};
use serde::Deserialize;
use std::time::{Duration, Instant};

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to send back.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Slow {
    /// How long to take, in milliseconds.
    ms: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Broadcast {
    /// What to tell every client.
    text: String,
}

pub fn register(server: Server) -> Server {
    server
        .tool_with(
            Tool::new("echo", "Send the text back, from the connection's own thread")
                .read_only()
                .closed_world()
                .quick(),
            |_ctx, Echo { text }| Ok(text),
        )
        .tool_with(
            Tool::new("echo_pooled", "Send the text back, from a worker thread").read_only().closed_world(),
            |_ctx, Echo { text }| Ok(text),
        )
        .tool_with(
            Tool::new("slow", "Take some time, reporting progress; can be cancelled").read_only().closed_world(),
            |ctx, Slow { ms }| {
                const STEP: u64 = 50;
                let begun = Instant::now();
                let mut done = 0;
                while done < ms {
                    // Deadlines, not a sum of sleeps: those drift.
                    let until = begun + Duration::from_millis((done + STEP).min(ms));
                    ctx.sleep(until.saturating_duration_since(Instant::now()))?;
                    done = (done + STEP).min(ms);
                    ctx.progress(done as f64, ms as f64)?;
                }
                Ok(format!("took {ms} ms"))
            },
        )
        .tool_with(
            Tool::new("broadcast", "Send a log message to every client that has a session").closed_world(),
            |ctx, Broadcast { text }| {
                let message = json!({ "level": "info", "logger": "broadcast", "data": text });
                let reached = ctx.handle().broadcast("notifications/message", &message)?;
                Ok(format!("sent to {reached} clients"))
            },
        )
        .tool_with(
            Tool::new("panic", "Panic, to see that the server lives on").closed_world(),
            |_ctx, NoArgs| -> Result<String, ToolError> { panic!("asked to") },
        )
}
