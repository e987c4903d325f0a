//! A message protocol of one's own, without MCP: `{"type": …, "payload": …}` over WebSocket.
//!
//! `echo` comes back to the sender, `broadcast` goes to everybody, any other type is answered with an error. At path
//! `/echo` there is a plain WebSocket echo of text and binary messages besides, of any size.
//!
//! Run it with `cargo run --example custom_messages -- --listen 127.0.0.1:8080`; `--help` lists the options.

mod echo;
#[path = "../shared/options.rs"]
mod options;
#[path = "../shared/process.rs"]
mod process;
mod typed;

use mcp_blocking::Listener;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    process::main("custom_messages", run)
}

fn run(options: &options::Options) -> Result<(), Box<dyn Error>> {
    let listener =
        Listener::new().service("/", typed::TypedMessages).service("/echo", echo::Echo).settings(options.settings()?);
    if options.doctor() {
        return process::examine(options, |addresses, health| listener.doctor_at(addresses, health));
    }
    let addresses = options.addresses();
    let Some((first, more)) = addresses.split_first() else { return Err("name an address: --listen ADDRESS".into()) };
    let running = process::open(listener.bind(*first)?, more, options)?.start()?;
    let handle = running.handle();
    process::renew_on_hangup(options, &handle)?;
    process::stop_on_signals(move || handle.stop(process::GRACE))?;
    let scheme = options.websocket();
    let at =
        |path: &'static str| running.addrs().iter().map(move |address| format!("websocket {scheme}://{address}{path}"));
    let health = running.health_addr().map(|address| format!("health http://{address}/health"));
    process::announce(at("/").chain(at("/echo")).chain(health))?;
    running.join()?;
    Ok(())
}
