//! The same texts in every field that a peer fills in, over every transport.

use super::{capture, check, is_dangerous, lines, server};
use crate::peer::{Peer, modern_meta, serve};
use crate::raw::Raw;
use mcp_blocking::Running;
use mcp_blocking::audit::Audit;
use serde_json::json;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// What is put into every field: as bytes, as some fields take anything.
pub fn corpus() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "\u{202e}evil\u{2066}",
        "\u{e0041}\u{200b}\u{feff}tags",
        "\u{9b}31mred",
        "%0d%0a12:00:00%20[INFO]%20forged%1b[31m",
        "\t tab",
        "\r\n12:00:00 [INFO] forged",
        "\u{1b}[31mred\u{1b}]0;title\u{7}",
        "\u{2028}12:00:00 [INFO] forged\u{2029}\0\u{7f}",
        "password=gG4zQ9planted api_key:gG4zQ9planted Bearer gG4zQ9planted my-pin=gG4zQ9planted acme_live_gG4zQ9planted",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    all.extend([b"\xff\xfe\xc0\x80\xed\xa0\x80".to_vec(), b"A".repeat(7_000)]);
    all
}

/// Runs a test with each value, as bytes and as a text, and with a server of its own: a server keeps back what comes too thick.
/// All lines are looked at in the end, and something in them has to say each of those words.
pub fn each(start: impl Fn() -> Running, test: impl Fn(&Running, &[u8], &str), wanted: &[&str]) {
    capture();
    let mut last = None;
    for value in corpus() {
        let running = start();
        test(&running, &value, &String::from_utf8_lossy(&value));
        if let Some(earlier) = last.replace(running) {
            Running::shutdown(earlier, Duration::from_millis(100)).expect("a good end");
        }
    }
    check(last.expect("there are values"), wanted);
    assert_no_secrets();
}

/// What was planted in a text as a secret is nowhere.
fn assert_no_secrets() {
    for line in lines() {
        assert!(!line.contains("gG4zQ9planted"), "{line}");
    }
}

/// One HTTP request as bytes; what is answered does not matter.
pub fn http(address: SocketAddr, line: &[u8], headers: &[(&str, &[u8])], body: &[u8]) {
    let mut bytes = [line, b" HTTP/1.1\r\n"].concat();
    let length = body.len().to_string();
    let host = address.to_string();
    let usual: [(&str, &[u8]); 5] = [
        ("Host", host.as_bytes()),
        ("Content-Type", b"application/json"),
        ("Accept", b"application/json, text/event-stream"),
        ("Authorization", b"Bearer a-token-of-good-length"),
        ("Content-Length", length.as_bytes()),
    ];
    let given = |name: &str| headers.iter().any(|(other, _)| *other == name);
    for (name, value) in usual.iter().filter(|(name, _)| !given(name)).chain(headers) {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend(b"Connection: close\r\n\r\n");
    bytes.extend(body);
    let mut raw = Raw::connect(address);
    raw.try_send(&bytes);
    raw.wait_end();
}

/// Fields of a head that decide something, or look as if they did.
const FIELDS: [&str; 19] = [
    "Host",
    "Origin",
    "Authorization",
    "Content-Type",
    "Accept",
    "Content-Length",
    "Transfer-Encoding",
    "Mcp-Session-Id",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Param-Text",
    "Last-Event-ID",
    "Cookie",
    "User-Agent",
    "Forwarded",
    "X-Forwarded-For",
    "Sec-WebSocket-Protocol",
    "Access-Control-Request-Headers",
];

/// Sends a value in each of these fields.
fn fields(address: SocketAddr, value: &[u8], names: &[&str]) {
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    for name in names {
        for method in ["POST", "GET"] {
            http(address, format!("{method} /mcp").as_bytes(), &[(name, value)], ping.as_bytes());
        }
    }
}

/// Messages with a text in each field that a client fills in.
fn messages(text: &str) -> Vec<serde_json::Value> {
    let request = |method: &str, params: serde_json::Value| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let info = json!({ "name": text, "version": text });
    // What panics is printed by the standard library, too.
    let short: String = text.chars().take(1_000).collect();
    let mut all = vec![
        request("initialize", json!({ "protocolVersion": text, "capabilities": { text: {} }, "clientInfo": info })),
        request("initialize", json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info })),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        request(text, json!({ text: text })),
        json!({ "jsonrpc": "2.0", "id": text, "method": "ping" }),
        json!({ "jsonrpc": text, "id": 1, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "method": text, "params": { text: text } }),
        json!({ "jsonrpc": "2.0", "id": text, "result": { text: text } }),
        json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": 1, "message": text, "data": text } }),
        json!({ text: text }),
        json!(text),
        request("tools/call", json!({ "name": text, "arguments": { text: text } })),
        request(
            "tools/call",
            json!({ "name": "fail", "arguments": { "text": text, text: 1 }, "_meta": { "progressToken": text, "traceparent": text, text: text } }),
        ),
        request("tools/call", json!({ "name": "panic", "arguments": { "text": short } })),
        request("prompts/get", json!({ "name": text, "arguments": { text: text } })),
        request("resources/read", json!({ "uri": text })),
        request("resources/subscribe", json!({ "uri": text })),
        request(
            "completion/complete",
            json!({ "ref": { "type": text, "name": text }, "argument": { "name": text, "value": text } }),
        ),
        request("tools/list", json!({ "cursor": text })),
        request("logging/setLevel", json!({ "level": text })),
        request("tasks/get", json!({ "taskId": text })),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": text, "reason": text } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": text, "message": text } }),
    ];
    let mut meta = modern_meta(json!({ "extensions": { text: { text: text } } }));
    meta["io.modelcontextprotocol/clientInfo"] = info;
    meta["io.modelcontextprotocol/logLevel"] = json!(text);
    all.push(request("tools/call", json!({ "name": "fail", "arguments": { "text": text }, "requestState": text, "inputResponses": { text: text }, "_meta": meta })));
    let mut meta = modern_meta(json!({}));
    meta["io.modelcontextprotocol/protocolVersion"] = json!(text);
    all.push(request("tools/list", json!({ "_meta": meta })));
    all
}

#[test]
fn what_stands_in_any_field_stays_on_its_line_over_every_transport() {
    capture();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("corpus-{}.log", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let running = serve(
        server()
            .limits(|limits| limits.message_bytes = 16 << 20)
            .bearer_token("alice", "a-token-of-good-length")
            .audit(Audit::to_file(&path).key([7_u8; 32])),
    );
    let address = running.addr();
    let bearer = "Bearer a-token-of-good-length";
    for value in corpus() {
        let lossy = String::from_utf8_lossy(&value).into_owned();
        for line in [[b"GET /", &*value].concat(), [b"POST /mcp?", &*value].concat(), [&*value, b" /mcp"].concat()] {
            http(address, &line, &[], b"{}");
        }
        fields(address, &value, &FIELDS);
        http(address, b"POST /mcp", &[], &value);
        let longer = if lossy.starts_with('A') { "A".repeat(1_000_000) } else { lossy };
        for message in messages(&longer) {
            let text = message.to_string();
            http(address, b"POST /mcp", &[], text.as_bytes());
            http(
                address,
                b"POST /mcp",
                &[("MCP-Protocol-Version", b"2026-07-28"), ("Mcp-Method", b"tools/call"), ("Mcp-Name", b"fail")],
                text.as_bytes(),
            );
            let mut peer = Peer::connect_to(address, &[("Authorization", bearer)]);
            peer.send_text(&text);
            peer.send(&json!({ "jsonrpc": "2.0", "id": 99, "method": "ping" }));
            peer.answer(&json!(99));
            let reason: String = longer.chars().filter(|letter| *letter != '\0').take(20).collect();
            peer.close(1000, &reason);
        }
    }
    // The same over a pair of streams.
    let (read, mut write) = std::io::pipe().expect("a pipe");
    let lines_of_server =
        server().unbound().map(|bound| bound.pipe(read, std::io::sink())).and_then(mcp_blocking::Bound::start);
    let lines_of_server = lines_of_server.expect("it starts");
    for value in corpus() {
        let text = String::from_utf8_lossy(&value).into_owned();
        for message in messages(&text) {
            writeln!(write, "{message}").expect("written");
        }
        write.write_all(&[&*value, b"\n"].concat()).expect("written");
    }
    drop(write);
    lines_of_server.join().expect("a good end");
    check(running, &["malformed", "refused with", "opened by alice", "[redacted]", "panicked, incident"]);
    assert_no_secrets();
    let audited = std::fs::read_to_string(&path).expect("UTF-8");
    assert!(audited.lines().count() > 100);
    for line in audited.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "{line}");
        assert!(!line.contains(is_dangerous) && line.len() < 4_096, "{line:?}");
        assert!(!line.contains("gG4zQ9planted") && !line.contains("a-token-of-good"), "{line}");
    }
    let _ = std::fs::remove_file(&path);
}

#[test]
fn each_field_of_a_head_stays_on_its_line_where_none_is_kept_back() {
    // Few enough for one server in one go: what comes too thick is not logged.
    for names in FIELDS.chunks(10) {
        each(
            || serve(server().bearer_token("alice", "a-token-of-good-length")),
            |running, value, _| fields(running.addr(), value, names),
            &["refused with 400"],
        );
    }
}
