//! A server with one tool for everything the library can do: what the conformance suite asks for, and tools to try
//! limits, cancellation and broadcasts with.
//!
//! Run it with `cargo run --release --example everything -- --listen 127.0.0.1:8080`; `--help` lists the options.
//! When it is ready it prints one line for each endpoint to standard output; it logs to standard error.

mod fixtures;
mod library;
#[path = "../shared/options.rs"]
mod options;
#[path = "../shared/process.rs"]
mod process;
mod questions;
mod tasks;
mod workload;

use mcp_blocking::Server;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    process::main("everything", run)
}

fn run(options: &options::Options) -> Result<(), Box<dyn Error>> {
    let server = server().settings(options.settings()?);
    let server = options.state_keys()?.iter().fold(server, |server, key| server.state_key(key));
    if options.doctor() {
        return process::examine(options, |addresses, health| server.doctor_at(addresses, health));
    }
    let mut bound = process::open(server.unbound()?, &options.addresses(), options)?;
    if options.stdio() {
        bound = bound.stdio();
    }
    let running = bound.start()?;
    let handle = running.handle();
    process::renew_on_hangup(options, &handle)?;
    process::stop_on_signals(move || handle.stop(process::GRACE))?;
    let (websocket, http) = (options.websocket(), options.http());
    let endpoints = running
        .addrs()
        .iter()
        .flat_map(|address| [format!("websocket {websocket}://{address}/mcp"), format!("http {http}://{address}/mcp")]);
    let health = running.health_addr().map(|address| format!("health http://{address}/health"));
    if options.stdio() {
        // Standard output is for messages alone.
        endpoints.chain(health).for_each(|line| log::info!("{line}"));
    } else {
        process::announce(endpoints.chain(health))?;
    }
    running.join()?;
    Ok(())
}

fn server() -> Server {
    let server = Server::new("everything", env!("CARGO_PKG_VERSION"))
        .title("Everything")
        .instructions("Tools for trying out an MCP client. Start with test_simple_text.");
    let server = library::register(fixtures::register(server));
    workload::register(tasks::register(questions::register(server)))
}
