//! Tools to try the server's behavior with: echo, waiting, broadcasting, panicking.

use mcp_blocking::schemars::JsonSchema;
use mcp_blocking::serde_json::json;
use mcp_blocking::{Json, NoArgs, Server, Tool, ToolError};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most notes that are kept; the oldest go first.
const NOTES: usize = 1_000;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to send back.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: f64,
    b: f64,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: f64,
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

#[derive(Deserialize)]
struct Seen {
    /// What was seen.
    text: String,
    /// Whether to say so.
    #[serde(default)]
    ack: bool,
}

#[derive(Deserialize)]
struct Search {
    query: String,
}

/// A method and a notification that MCP does not have: `acme/seen` notes a text, `acme/search` finds it, and the tool `forget` deletes all of them.
fn custom(server: Server) -> Server {
    let notes = Arc::new(Mutex::new(VecDeque::new()));
    let (seen, known) = (Arc::clone(&notes), Arc::clone(&notes));
    server
        .notification("acme/seen", move |ctx, Seen { text, ack }| {
            if ack {
                // A client that has no session, or has gone, cannot be told.
                let _ = ctx.client().notify("acme/ack", &json!({ "text": text }));
            }
            let mut notes = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if notes.len() == NOTES {
                notes.pop_front();
            }
            notes.push_back(text);
        })
        .method("acme/search", move |_ctx, Search { query }| {
            let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            let items: Vec<_> = notes.iter().filter(|note| note.contains(&query)).collect();
            Ok(json!({ "items": items }))
        })
        .tool_with(
            Tool::new("forget", "Delete all texts that were noted").destructive().idempotent().closed_world(),
            move |_ctx, NoArgs| {
                let forgotten = std::mem::take(&mut *known.lock().unwrap_or_else(PoisonError::into_inner)).len();
                Ok(format!("forgot {forgotten} texts"))
            },
        )
}

pub fn register(server: Server) -> Server {
    custom(server)
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
            Tool::new("add", "Add two numbers; the sum is structured output").read_only().closed_world(),
            |_ctx, Add { a, b }| Ok(Json(Sum { sum: a + b })),
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
            Tool::new("status", "Tell how many calls are under way, this one among them, and how many were cancelled")
                .read_only()
                .closed_world(),
            |ctx, NoArgs| {
                let status = ctx.handle().status();
                Ok(json!({ "calls": status.calls_in_flight, "cancelled": status.cancelled }).to_string())
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
            Tool::new("print", "Print a line, which standard output is not for when messages go there").closed_world(),
            |_ctx, Echo { text }| {
                println!("{text}");
                Ok("printed")
            },
        )
        .tool_with(
            Tool::new("panic", "Panic, to see that the server lives on").closed_world(),
            |_ctx, NoArgs| -> Result<String, ToolError> { panic!("asked to") },
        )
}
