//! Pages of other origins: those that are allowed may use the server and read its answers, also those that turn them away.

use crate::demo::demo;
use crate::neighbor::{beside, exposed};
use crate::peer::{MODERN, serve};
use crate::web::{Head, Web};
use mcp_blocking::Running;
use serde_json::json;

const PAGE: &str = "https://app.example";
const SENT: [&str; 9] = [
    "Content-Type",
    "Accept",
    "Authorization",
    "Last-Event-ID",
    "MCP-Protocol-Version",
    "Mcp-Session-Id",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Param-Region",
];

fn page() -> Running {
    exposed(demo().allow_origin(PAGE).limits(|limits| limits.message_bytes = 4_096))
}

fn ask(running: &Running, method: &str, headers: &[(&str, &str)], body: &str) -> Head {
    let mut web = Web::connect(running);
    web.ask(method, headers, body);
    web.head()
}

fn listed(head: &Head, name: &str) -> Vec<String> {
    let value = head.header(name).unwrap_or_default();
    value.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

#[test]
fn a_browser_is_told_what_a_page_may_send() {
    let running = page();
    let _honest = beside(&running);
    let asked = format!("{}, mcp-param-x, MCP-FUTURE, x-other, mcp param, mcp-param-\u{e4}", SENT.join(","));
    let preflight = |origin: &str| {
        let headers =
            [("Origin", origin), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", &asked)];
        ask(&running, "OPTIONS", &headers, "")
    };
    let head = preflight(PAGE);
    assert_eq!((head.status, head.header("access-control-allow-origin")), (204, Some(PAGE)));
    assert_eq!(listed(&head, "access-control-allow-methods"), ["get", "post", "delete"]);
    let allowed = listed(&head, "access-control-allow-headers");
    for name in SENT.iter().chain(&["mcp-param-x", "mcp-future"]) {
        assert!(allowed.contains(&name.to_ascii_lowercase()), "{name}: {allowed:?}");
    }
    assert!(
        !allowed.iter().any(|name| name.contains("other") || name.contains(' ') || !name.is_ascii()),
        "{allowed:?}"
    );
    assert!(head.header("access-control-max-age").is_some());
    // Credentials of the browser's own are none of this server's: no cookies.
    assert_eq!(head.header("access-control-allow-credentials"), None);
    for foreign in ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null"] {
        let head = preflight(foreign);
        assert_eq!((head.status, head.header("access-control-allow-origin")), (403, None), "{foreign}");
    }
}

#[test]
fn a_page_reads_answers_streams_and_refusals() {
    let running = page();
    let _honest = beside(&running);
    let json_type = ("Content-Type", "application/json");
    let origin = ("Origin", PAGE);
    let readable = |head: &Head, status: u16| {
        assert_eq!((head.status, head.header("access-control-allow-origin")), (status, Some(PAGE)), "{head:?}");
        assert_eq!(head.header("vary"), Some("Origin"));
        let exposed = listed(head, "access-control-expose-headers");
        for name in ["mcp-session-id", "www-authenticate", "retry-after"] {
            assert!(exposed.iter().any(|one| one == name), "{exposed:?}");
        }
    };
    let hello =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }).to_string();
    let head = ask(&running, "POST", &[origin, json_type], &hello);
    readable(&head, 200);
    let session = ("Mcp-Session-Id", head.header("mcp-session-id").expect("a session"));
    let stream = ("Accept", "text/event-stream");
    readable(&ask(&running, "GET", &[origin, stream, session], ""), 200);
    readable(&ask(&running, "GET", &[origin, stream, session, ("Last-Event-ID", "x")], ""), 400);
    readable(&ask(&running, "DELETE", &[origin, session], ""), 204);
    readable(&ask(&running, "DELETE", &[origin, session], ""), 404);
    readable(&ask(&running, "PUT", &[origin], ""), 405);
    readable(&ask(&running, "POST", &[origin, json_type], "{"), 400);
    readable(&ask(&running, "POST", &[origin], "{}"), 415);
    readable(&ask(&running, "POST", &[origin, json_type], &"x".repeat(5_000)), 413);
    readable(&ask(&running, "POST", &[origin, json_type, ("Expect", "tea")], "{}"), 417);
    let mut modern = Web::of(&running, MODERN);
    let message = modern.make("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
    modern.post(&message, &[origin]);
    readable(&modern.head(), 200);
    let mut elsewhere = Web::connect(&running);
    elsewhere.send(format!("GET /nothing HTTP/1.1\r\nHost: {}\r\nOrigin: {PAGE}\r\n\r\n", running.addr()));
    readable(&elsewhere.head(), 404);
    // A page that may not use the server learns nothing of it, and who is no page needs no leave.
    assert_eq!(
        ask(&running, "PUT", &[("Origin", "https://evil.example")], "").header("access-control-allow-origin"),
        None
    );
    assert_eq!(ask(&running, "PUT", &[], "").header("access-control-allow-origin"), None);
}

#[test]
fn a_page_is_told_how_to_authenticate() {
    let running = serve(demo().allow_origin(PAGE).bearer_token("ada", "0123456789abcdef-ada"));
    let head = ask(&running, "POST", &[("Origin", PAGE), ("Content-Type", "application/json")], "{}");
    assert_eq!((head.status, head.header("access-control-allow-origin")), (401, Some(PAGE)));
    assert!(head.header("www-authenticate").is_some() && listed(&head, "access-control-expose-headers").len() >= 3);
    // The browser asks first, without credentials.
    let headers = [("Origin", PAGE), ("Access-Control-Request-Method", "POST")];
    assert_eq!(ask(&running, "OPTIONS", &headers, "").status, 204);
}
