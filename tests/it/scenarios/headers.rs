//! What HTTP says beside the messages: who asks, from where, and what the message is about.

use super::client::{Client, text};
use super::wire::Transport::{Http, WebSocket};
use super::{Row, row};
use crate::peer::{MODERN, modern_meta};
use crate::web::BOTH;
use serde_json::{Value, json};

const MIRRORED: &str = "headers that repeat the message";

pub const ROWS: &[Row] = &[
    row("dns-rebinding-protection", rebinding).over(&[WebSocket, Http]).shows("foreign `Host` and `Origin` refused"),
    row("http-header-validation", standard).modern().over(&[Http]).shows(MIRRORED),
    row("http-custom-header-server-validation", custom).modern().over(&[Http]).shows(MIRRORED),
];

fn rebinding(client: &mut Client) {
    let address = client.place.address.expect("a server with sockets");
    let foreign = "evil.example.com";
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    for (host, origin, allowed) in [
        (foreign, Some(format!("http://{foreign}")), false),
        (foreign, None, false),
        (&*address.to_string(), Some(format!("http://{foreign}")), false),
        (&*address.to_string(), Some("null".to_owned()), false),
        (&*address.to_string(), Some(format!("http://{address}")), true),
        (&*format!("localhost:{}", address.port()), None, true),
    ] {
        let mut head = format!("Host: {host}\r\n");
        if let Some(origin) = origin {
            head.push_str(&format!("Origin: {origin}\r\n"));
        }
        let mut web = client.web();
        let expected = match (allowed, client.is_over(WebSocket)) {
            (false, _) => 403,
            (true, true) => 101,
            // It is let in, and has no session.
            (true, false) => 400,
        };
        if client.is_over(WebSocket) {
            web.send(format!(
                "GET /mcp HTTP/1.1\r\n{head}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ));
        } else {
            web.send(format!(
                "POST /mcp HTTP/1.1\r\n{head}Content-Type: application/json\r\nAccept: {BOTH}\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
        assert_eq!(web.head().status, expected, "{head}");
    }
}

/// Posts with exactly these headers beside those that are always there.
fn post(client: &Client, message: &Value, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut web = client.web();
    let always = [("Content-Type", "application/json"), ("Accept", BOTH), ("mcp-PROTOCOL-version", MODERN)];
    web.ask("POST", &[&always, headers].concat(), &message.to_string());
    web.json()
}

#[track_caller]
fn assert_mismatch(answer: (u16, Value), message: &Value) {
    let (status, answer) = answer;
    assert_eq!((status, &answer["error"]["code"], &answer["id"]), (400, &json!(-32020), &message["id"]), "{answer}");
}

fn standard(client: &mut Client) {
    let list = client.make("tools/list", json!({}));
    for headers in [&[("Mcp-Method", "prompts/list")][..], &[], &[("Mcp-Method", "TOOLS/LIST")]] {
        assert_mismatch(post(client, &list, headers), &list);
    }
    assert_eq!(post(client, &list, &[("MCP-METHOD", "tools/list")]).0, 200);
    let call = client.make("tools/call", json!({ "name": "test_simple_text", "arguments": {} }));
    let method = ("mcp-method", "tools/call");
    for headers in
        [&[method][..], &[method, ("Mcp-Name", "wrong_tool_name")], &[method, ("Mcp-Name", "TEST_SIMPLE_TEXT")]]
    {
        assert_mismatch(post(client, &call, headers), &call);
    }
    for name in ["test_simple_text", "  test_simple_text \t", "=?base64?dGVzdF9zaW1wbGVfdGV4dA==?="] {
        let (status, answer) = post(client, &call, &[method, ("mcp-name", name)]);
        assert_eq!((status, answer["error"].clone()), (200, Value::Null), "{name}");
    }
    let read = client.make("resources/read", json!({ "uri": "test://static-text" }));
    assert_mismatch(post(client, &read, &[("Mcp-Method", "resources/read")]), &read);
    assert_eq!(post(client, &read, &[("Mcp-Method", "resources/read"), ("Mcp-Name", "test://static-text")]).0, 200);
}

fn custom(client: &mut Client) {
    for (value, header, good) in [
        ("us-west1", Some("us-west1"), true),
        ("Hello", Some("=?base64?SGVsbG8=?="), true),
        ("Hello, \u{4e16}\u{754c}", Some("=?base64?SGVsbG8sIOS4lueVjA==?="), true),
        ("SGVsbG8=", Some("SGVsbG8="), true),
        ("=?base64?SGVsbG8=", Some("=?base64?SGVsbG8="), true),
        ("Hello", Some("=?base64?SGVsbG8?="), false),
        ("Hello", Some("=?base64?SGVs!!!bG8=?="), false),
        ("us-west1", Some("us-east1"), false),
        ("us-west1", Some("US-WEST1"), false),
        ("us-west1", None, false),
    ] {
        let mut message =
            client.make("tools/call", json!({ "name": "test_header_tool", "arguments": { "region": value } }));
        message["params"]["_meta"] = modern_meta(json!({}));
        let mut headers =
            vec![("Mcp-Method", "tools/call"), ("Mcp-Name", "test_header_tool"), ("Mcp-Param-Other", "x")];
        headers.extend(header.map(|header| ("Mcp-Param-Region", header)));
        let answer = post(client, &message, &headers);
        if good {
            assert_eq!((answer.0, answer.1["error"].clone()), (200, Value::Null), "{value} {header:?}");
            let told: Value =
                serde_json::from_str(text(&answer.1["result"]).trim_start_matches("Called with ")).expect("JSON");
            assert_eq!(told["region"], value);
        } else {
            assert_mismatch(answer, &message);
        }
    }
    // What is not there has no header.
    for arguments in [json!({}), json!({ "region": null })] {
        let message = client.make("tools/call", json!({ "name": "test_header_tool", "arguments": arguments }));
        let answer = post(client, &message, &[("Mcp-Method", "tools/call"), ("Mcp-Name", "test_header_tool")]);
        assert_eq!(answer.0, 200, "{}", answer.1);
    }
}
