//! The smallest server: one tool, over WebSocket.
//!
//! Run it with `cargo run --example hello`, then connect an MCP client to `ws://127.0.0.1:8080/mcp`.

use mcp_blocking::Server;
use mcp_blocking::schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: f64,
    b: f64,
}

fn main() -> Result<(), mcp_blocking::Error> {
    let server =
        Server::new("hello", "1.0.0").tool("add", "Add two numbers", |_ctx, Add { a, b }| Ok(format!("{}", a + b)));
    let running = server.bind("127.0.0.1:8080")?.start()?;
    println!("websocket ws://{}/mcp", running.addr());
    running.join()
}
