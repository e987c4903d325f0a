//! A server with one tool for everything the library can do: what the conformance suite asks for, and tools to try
//! limits, cancellation and broadcasts with.
//!
//! Run it with `cargo run --release --example everything -- --listen 127.0.0.1:8080`; `--help` lists the options.
//! When it is ready it prints one line for each endpoint to standard output; it logs to standard error.

mod fixtures;
#[path = "../shared/options.rs"]
mod options;
#[path = "../shared/process.rs"]
mod process;
mod workload;

use mcp_blocking::Server;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let options = match options::Options::parse("everything", std::env::args().skip(1)) {
        Ok(options) => options,
        Err((text, complaint)) => {
            if complaint {
                eprintln!("everything: {text}");
                return ExitCode::from(2);
            }
            print!("{text}");
            return ExitCode::SUCCESS;
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("everything: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(options: &options::Options) -> Result<(), Box<dyn Error>> {
    process::log_to_stderr(options.log, "everything")?;
    let mut addresses = options.listen.iter();
    let first = addresses.next().ok_or("no address to listen on")?;
    let mut bound = options.apply(server())?.bind(first.as_str())?;
    for address in addresses {
        bound = bound.and_bind(address.as_str())?;
    }
    let running = bound.start()?;
    process::stop_on_signals(running.handle(), Duration::from_secs(2))?;
    let mut out = std::io::stdout().lock();
    for address in running.addrs() {
        writeln!(out, "websocket ws://{address}/mcp")?;
    }
    out.flush()?;
    drop(out);
    running.join()?;
    Ok(())
}

fn server() -> Server {
    let server = Server::new("everything", env!("CARGO_PKG_VERSION"))
        .title("Everything")
        .instructions("Tools for trying out an MCP client. Start with test_simple_text.");
    workload::register(fixtures::register(server))
}
