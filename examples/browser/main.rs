//! A web page as an MCP client: it connects over WebSocket with a one-time ticket, lists the tools and calls one.
//!
//! Two ports: MCP on one, the page on another. A page cannot send a token with a WebSocket, and should not have one. So the program that
//! serves the page, and knows who is there (by a login, which this example does not have), issues a ticket: it is good for one WebSocket, for 30 s,
//! from pages of this origin. `--page ADDRESS` serves the same page from one more origin, which is not let in: to see that it is refused.
//!
//! Run it with `cargo run --example browser -- --listen 127.0.0.1:8080 --page 127.0.0.1:8000` and open the page that it names.

#[path = "../shared/options.rs"]
mod options;
#[path = "../shared/process.rs"]
mod process;

use mcp_blocking::{Handle, NoArgs, Principal, Server, Tool};
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tiny_http::{Header, Method, Request, Response};

const PAGE: &str = include_str!("page.html");

fn main() -> ExitCode {
    process::main("browser", run)
}

fn run(options: &options::Options) -> Result<(), Box<dyn Error>> {
    let server = Server::new("browser", env!("CARGO_PKG_VERSION")).tool_with(
        Tool::new("time", "Tells the time in seconds since 1970").read_only(),
        |_ctx, NoArgs| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            Ok(format!("{} s since 1970", now.as_secs()))
        },
    );
    let settings = options.settings()?.tickets();
    if options.doctor() {
        // The page's own origin is let in, whichever port it gets.
        let server = server.settings(settings);
        return process::examine(options, |addresses, health| server.doctor_at(addresses, health));
    }
    // The first is the page's own origin; pages of the others ask for tickets, too, and come from elsewhere.
    let pages = options.pages().iter().map(|address| page_server(address)).collect::<Result<Vec<_>, _>>()?;
    let Some((_, own)) = pages.first() else { return Err("name a --page ADDRESS".into()) };
    let origin = format!("http://{own}");
    let server = server.settings(settings.allow_origin(&origin));
    let running = process::open(server.unbound()?, &options.addresses(), options)?.start()?;
    let at = |address: &SocketAddr| format!("{}://{address}/mcp", options.websocket());
    // The one that the page is told to connect to is the first.
    let url = at(&running.addr());
    let health = running.health_addr().map(|address| format!("health http://{address}/health"));
    let endpoints = running.addrs().iter().map(|address| format!("websocket {}", at(address)));
    let lines: Vec<_> = endpoints
        .chain(health)
        .chain(pages.iter().zip(["page", "elsewhere"]).map(|((_, address), name)| format!("{name} http://{address}/")))
        .collect();
    let mut threads = Vec::new();
    for (page, _) in &pages {
        let (page, handle) = (Arc::clone(page), running.handle());
        let (url, origin) = (url.clone(), origin.clone());
        threads.push(std::thread::Builder::new().name("page".into()).spawn(move || {
            for request in page.incoming_requests() {
                if let Err(error) = answer(request, &handle, &url, &origin) {
                    log::warn!("a page could not be sent: {error}");
                }
            }
        })?);
    }
    let handle = running.handle();
    process::renew_on_hangup(options, &handle)?;
    process::stop_on_signals(move || handle.stop(process::GRACE))?;
    process::announce(lines)?;
    running.join()?;
    pages.iter().for_each(|(page, _)| page.unblock());
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

fn page_server(address: &str) -> Result<(Arc<tiny_http::Server>, SocketAddr), Box<dyn Error>> {
    let server = tiny_http::Server::http(address).map_err(|error| format!("could not listen on {address}: {error}"))?;
    let address = server.server_addr().to_ip().ok_or("the page needs an IP address")?;
    Ok((Arc::new(server), address))
}

/// The page, or a ticket for it. A program with a login would ask here who it is.
fn answer(request: Request, handle: &Handle, url: &str, origin: &str) -> Result<(), Box<dyn Error>> {
    let (status, kind, body) = match (request.method(), request.url()) {
        (Method::Get, "/") => (200, "text/html; charset=utf-8", PAGE.to_owned()),
        (Method::Get, "/endpoint") => (200, "text/plain", url.to_owned()),
        // POST: no other page's link or image makes one.
        (Method::Post, "/ticket") => match handle.issue_ticket(&Principal::new("visitor"), origin) {
            Ok(ticket) => (200, "application/json", ticket.to_json()),
            Err(error) => (503, "text/plain", error.to_string()),
        },
        _ => (404, "text/plain", "nothing is here".to_owned()),
    };
    let header = |name: &str, value: &str| Header::from_bytes(name, value).map_err(|()| "not a header");
    let response = Response::from_string(body)
        .with_status_code(status)
        .with_header(header("Content-Type", kind)?)
        .with_header(header("Cache-Control", "no-store")?);
    Ok(request.respond(response)?)
}
