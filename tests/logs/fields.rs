//! What is read of a head only where a setting wants it, and what is said to the health address.

use super::{server, server_with, settings};
use crate::corpus::{each, http};
use crate::peer::{serve, until};
use mcp_blocking::Running;

const PAGE: &str = "https://app.example";
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn start() -> Running {
    let settings = settings().trusted_proxies(["127.0.0.2"]).ticket_endpoint().allow_origin(PAGE);
    serve(server_with(settings.bearer_token("alice", "a-token-of-good-length")))
}

#[test]
fn what_a_trusted_proxy_says_of_its_client_stays_on_its_line() {
    each(
        start,
        |running, value, _| {
            let post = |headers: &[(&str, &[u8])]| http(running.addr(), b"POST /mcp", headers, PING);
            let client: &[u8] = b"192.0.2.7";
            let within = |before: &[u8], behind: &[u8]| [before, value, behind].concat();
            for field in
                [value.to_vec(), within(b"192.0.2.7, ", b""), within(b"", b", 192.0.2.7"), within(b"[", b"]:80")]
            {
                post(&[("X-Forwarded-For", &field)]);
            }
            for field in [
                value.to_vec(),
                within(b"for=", b""),
                within(b"for=\"", b"\""),
                within(b"for=192.0.2.7;proto=\"", b"\""),
                within(b"for=192.0.2.7;by=_x;host=\"", b"\";proto=http"),
                within(b"for=192.0.2.7, for=\"[", b"]:1\""),
            ] {
                post(&[("Forwarded", &field)]);
            }
            post(&[("X-Forwarded-For", client), ("Forwarded", &within(b"for=\"", b"\""))]);
            post(&[("X-Forwarded-For", client), ("X-Forwarded-Proto", value), ("X-Forwarded-Host", value)]);
            // Whoever is behind it is turned away by name.
            post(&[("X-Forwarded-For", client), ("Host", value)]);
        },
        &["192.0.2.7 refused with 4", "refused with 400"],
    );
}

#[test]
fn what_a_page_asks_for_stays_on_its_line() {
    each(
        start,
        |running, value, _| {
            let (address, page) = (running.addr(), PAGE.as_bytes());
            let preflight = |headers: &[(&str, &[u8])]| http(address, b"OPTIONS /mcp", headers, b"");
            let (method, names) = ("Access-Control-Request-Method", "Access-Control-Request-Headers");
            preflight(&[("Origin", page), (method, value), (names, value)]);
            preflight(&[("Origin", value), (method, b"POST"), (names, b"accept")]);
            preflight(&[("Origin", page), (method, b"POST"), (method, value)]);
            preflight(&[("Origin", page), (method, b"POST"), ("Access-Control-Request-Private-Network", value)]);
            let ticket = |line: &[u8], headers: &[(&str, &[u8])], body: &[u8]| http(address, line, headers, body);
            ticket(b"POST /mcp/ticket", &[("Origin", page)], value);
            ticket(b"POST /mcp/ticket", &[("Origin", value)], b"");
            ticket(b"POST /mcp/ticket", &[("Origin", page), ("Authorization", value)], b"");
            ticket(b"POST /mcp/ticket", &[("Origin", page), ("Authorization", &[b"Bearer ", value].concat())], b"");
            ticket(b"POST /mcp/ticket", &[("Origin", page), ("Content-Type", value)], b"{}");
            ticket(&[b"POST /mcp/ticket?", value].concat(), &[("Origin", page)], b"");
            ticket(&[b"POST /mcp/ticket", value].concat(), &[("Origin", page)], b"");
            ticket(&[value, b" /mcp/ticket"].concat(), &[("Origin", page)], b"");
            let offered = [b"mcp, mcp.ticket.", value].concat();
            let upgrade: [(&str, &[u8]); 3] =
                [("Upgrade", b"websocket"), ("Origin", page), ("Sec-WebSocket-Protocol", &offered)];
            http(address, b"GET /mcp", &upgrade, b"");
        },
        &["refused with 400", "refused with 401", "refused with 403"],
    );
}

#[test]
fn what_is_said_to_the_health_address_stays_on_its_line() {
    let start = || {
        let bound = server().bind("127.0.0.1:0").and_then(|bound| bound.health("127.0.0.1:0")).expect("binds");
        bound.start().expect("it starts")
    };
    each(
        start,
        |running, value, _| {
            let address = running.health_addr().expect("a health address");
            let get = |name: &str| http(address, b"GET /health", &[(name, value)], b"");
            ["Host", "Origin", "Content-Length", "Transfer-Encoding", "Expect", "Accept", "User-Agent"]
                .into_iter()
                .for_each(get);
            for line in [
                [b"GET /", value].concat(),
                [b"GET /metrics?", value].concat(),
                [value, b" /health"].concat(),
                [b"GET http://", value, b"/health"].concat(),
            ] {
                http(address, &line, &[], b"");
            }
            http(address, b"GET /health", &[(&String::from_utf8_lossy(value), b"x")], b"");
            http(address, b"GET /health", &[], value);
            let handle = running.handle();
            until("all probes are over", || handle.status().connections == 0);
        },
        &["probe from 127.0.0.2", "refused with 403", "refused with 400"],
    );
}
