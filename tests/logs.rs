//! What stands in the log when a peer does its worst? A binary of its own, for the logger is one for the process.

#[cfg(feature = "tls")]
#[allow(dead_code, reason = "likewise")]
#[path = "it/certs.rs"]
mod certs;
#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "it/peer.rs"]
mod peer;
#[allow(dead_code, reason = "likewise")]
#[path = "it/raw.rs"]
mod raw;

use log::kv::{Key, Value as Field, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use mcp_blocking::audit::Audit;
use mcp_blocking::content::ToolOutput;
use mcp_blocking::{NoArgs, Principal, Running, Server, Settings, TextAction, TextPolicy, Token, Tool, ToolResult};
use peer::{MODERN, PATIENCE, Peer, modern_meta, serve, until};
use raw::{BINARY, CLOSE, FIN, Head, Raw, TEXT};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use simplelog::{Config, WriteLogger};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex, Once};
use std::time::{Duration, SystemTime};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What simplelog makes of the same.
static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SIMPLE: LazyLock<Box<WriteLogger<Written>>> =
    LazyLock::new(|| WriteLogger::new(LevelFilter::Trace, Config::default(), Written));

struct Written;

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        WRITTEN.lock().expect("no panic under the lock").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps the lines of the library, with their key-values.
struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mcp_blocking")
    }

    fn log(&self, record: &Record<'_>) {
        struct Append<'a>(&'a mut String);
        impl<'kvs> VisitSource<'kvs> for Append<'_> {
            fn visit_pair(&mut self, key: Key<'kvs>, value: Field<'kvs>) -> Result<(), log::kv::Error> {
                self.0.push_str(&format!(" {key}={value}"));
                Ok(())
            }
        }
        if self.enabled(record.metadata()) {
            let mut line = format!("{} {}: {}", record.level(), record.target(), record.args());
            record.key_values().visit(&mut Append(&mut line)).expect("it never fails");
            LINES.lock().expect("no panic under the lock").push(line);
            SIMPLE.log(record);
        }
    }

    fn flush(&self) {}
}

fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Capture).expect("the first logger");
        log::set_max_level(LevelFilter::Trace);
    });
}

fn lines() -> Vec<String> {
    LINES.lock().expect("no panic under the lock").clone()
}

/// Ends the server, so that all is logged, and looks at every line so far.
#[track_caller]
fn check(running: Running, wanted: &[&str]) {
    running.shutdown(Duration::from_millis(100)).expect("a good end");
    let lines = lines();
    for line in &lines {
        let bad = line.chars().find(|letter| is_dangerous(*letter));
        assert!(bad.is_none(), "{bad:?} in {line:?}");
        assert!(line.len() < 2_000, "{} bytes: {}…", line.len(), line.chars().take(200).collect::<String>());
    }
    let written = WRITTEN.lock().expect("no panic under the lock").clone();
    let written = String::from_utf8(written).expect("UTF-8");
    // The last one may not be whole yet.
    for line in written.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line = line.trim_end_matches('\n');
        let time = line.get(..8).is_some_and(|time| time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'));
        assert!(time && line.get(8..10) == Some(" ["), "it does not begin as a line of the log: {line:?}");
        assert!(!line.contains(is_dangerous) && line.len() < 2_000, "{line:?}");
    }
    for words in wanted {
        assert!(lines.iter().any(|line| line.contains(words)), "nothing says {words:?} in {lines:#?}");
    }
}

/// Whether a terminal or a log reader could be misled by it.
fn is_dangerous(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Begins a line of its own, colors it, turns it around, and goes on for a long time.
fn hostile(mark: &str) -> String {
    format!(
        "{mark}\r\n2026-01-01 ERROR forged\u{1b}[31mred\u{1b}]0;title\u{7}\u{202e}dlrow\u{2066}\u{9b}\0\u{7f}\u{2028}{}",
        "A".repeat(100_000)
    )
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

/// A tool whose result has to be what nobody sends, with a name that some clients cannot take.
fn promising() -> Tool {
    let schema = json!({ "type": "object", "properties": { "one": true }, "additionalProperties": false });
    Tool::new(format!("promise-{}", "x".repeat(60)), "Sends its arguments back").output_schema(schema)
}

fn server() -> Server {
    // All of it is to reach the handlers, and what they make of it.
    let open = TextPolicy::all(TextAction::Allow);
    Server::new("logged", "1")
        .settings(Settings::new().text_in(open).text_out(open).redact_key("pin").redact_pattern("acme_live_*"))
        .limits(|limits| limits.close_deadline = Duration::from_millis(200))
        .tool("panic", "Panics with the text", |_ctx, Text { text }| -> ToolResult<String> { panic!("{text}") })
        .tool("fail", "Fails with the text", |_ctx, Text { text }| -> ToolResult<String> {
            Err(mcp_blocking::ToolError::new(text))
        })
        .tool_raw(promising(), &json!({ "type": "object" }), |_ctx, arguments| Ok(ToolOutput::structured(&arguments)?))
        .tool("sleep", "Sleeps", |ctx, NoArgs| {
            ctx.sleep(PATIENCE)?;
            Ok("slept")
        })
        .template("x://{+text}", "any", "text/plain", |_ctx, Text { text }| Ok(text))
        .fallback(|_ctx, _method, _params| Ok(json!({})))
        .tool_with(Tool::new("late", "Is late").deadline(Duration::from_millis(50)), |ctx, NoArgs| {
            ctx.sleep(PATIENCE)?;
            Ok("slept")
        })
}

#[cfg(feature = "validation")]
#[test]
fn a_call_is_logged_with_its_trace() {
    capture();
    let running = serve(server());
    let mut peer = Peer::of(&running, MODERN);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let meta = json!({ "traceparent": format!("00-{trace}-00f067aa0ba902b7-01") });
    let mut call = |tool: &str, arguments: serde_json::Value| {
        peer.request("tools/call", json!({ "name": tool, "arguments": arguments, "_meta": meta }))
    };
    call("fail", json!({ "text": "x" }));
    call("panic", json!({ "text": "x" }));
    call("late", json!({}));
    let name = format!("promise-{}", "x".repeat(60));
    let broken = json!({ hostile("a-member"): 1, hostile("another"): 2, "third": 3 });
    let error = call(&name, broken)["error"].clone();
    let incident =
        error["message"].as_str().and_then(|text| text.split_once("incident ")).map(|(_, incident)| incident);
    let incident = incident.unwrap_or_else(|| panic!("{error}")).to_owned();
    let wanted = [
        format!("tool fail (request 1) in trace {trace} failed"),
        format!("tool panic (request 2) in trace {trace} panicked"),
        format!("tool late (request 3) in trace {trace} stopped"),
        format!("returned what its outputSchema does not allow, incident {incident}"),
        format!("trace={trace}"),
        format!("the name of tool {name} has 68 letters"),
    ];
    check(running, &wanted.each_ref().map(String::as_str));
}

#[test]
fn what_a_session_says_stays_on_its_line() {
    capture();
    let running = serve(server());
    let mut peer = Peer::connect(&running);
    let info = json!({ "name": hostile("the-name"), "version": hostile("the-version") });
    let params = json!({ "protocolVersion": hostile("the-revision"), "capabilities": {}, "clientInfo": info });
    assert!(peer.request("initialize", params)["result"].is_object());
    for method in [hostile("the-method"), hostile("notifications/")] {
        peer.request(&method, json!({}));
        peer.notify(&method, json!({}));
    }
    for tool in ["panic", "fail"] {
        let arguments = json!({ "text": hostile("the-text") });
        let params = json!({ "name": tool, "arguments": arguments });
        // An id is cut to what is taken as one.
        let id = json!(hostile("the-id").chars().take(60).collect::<String>());
        peer.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
        peer.answer(&id);
    }
    peer.request("tools/call", json!({ "name": hostile("the-tool"), "arguments": {} }));
    // What becomes the name of a call, in its fields too.
    peer.request("resources/read", json!({ "uri": format!("x://{}", hostile("the-address")) }));
    peer.request("tools/list", json!({ "cursor": hostile("the-cursor") }));
    peer.request("logging/setLevel", json!({ "level": hostile("the-level") }));
    peer.call("late", json!({}));
    let id = json!(hostile("another-id").chars().take(60).collect::<String>());
    peer.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "sleep" } }));
    peer.notify("notifications/cancelled", json!({ "requestId": id, "reason": hostile("the-reason") }));
    for text in
        [hostile("not-json"), json!(hostile("a-string")).to_string(), json!({ hostile("a-key"): 1 }).to_string()]
    {
        peer.send_text(&text);
        peer.next();
    }
    peer.send(&json!({ "jsonrpc": "2.0", "id": hostile("answer-to-nothing"), "result": {} }));
    peer.barrier();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": hostile("a-version") });
    peer.request("tools/list", json!({ "_meta": meta }));
    let mut meta = modern_meta(json!({ "extensions": { hostile("an-extension"): {} } }));
    meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": hostile("who"), "version": hostile("which") });
    meta["progressToken"] = json!(hostile("a-token"));
    peer.request("server/discover", json!({ "_meta": meta }));
    peer.close(1000, "the-close\r\n\u{1b}[31m\u{202e}");
    peer.closed();
    check(running, &["the-name", "the-version", "the-reason", "the-id", "panicked, incident", "the-text", "malformed"]);
}

#[test]
fn what_a_handshake_or_a_frame_says_stays_on_its_line() {
    capture();
    let running = serve(server().bearer_token("alice\r\nroot\u{1b}[31m", "a-token-of-good-length"));
    let address = running.addr();
    let head = || Head::new(address).add("Authorization", "Bearer a-token-of-good-length");
    // What no line of a head can hold is refused; what it can hold is tried everywhere.
    for value in ["\u{202e}evil.example", "evil.example\u{9b}31m", "evil.example\t", "%0d%0aevil", "\u{feff}"] {
        for name in [
            "Host",
            "Origin",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Key",
            "User-Agent",
            "Upgrade",
            "X-Forwarded-For",
        ] {
            let _ = head().set(name, value).ask(address);
        }
        let _ = head().line(&format!("GET /{value} HTTP/1.1")).ask(address);
        let _ = head().line(&format!("{value} /mcp HTTP/1.1")).ask(address);
    }
    let _ = head().set("Host", &"a".repeat(250)).ask(address);
    for bytes in [
        &b"\x16\x03\x01\x00"[..],
        b"\x1b[31mGET / HTTP/1.1\r\n\r\n",
        b"GET /mcp HTTP/1.1\r\nX\x1b[31m: a\r\n\r\n",
        b"\n\n\n\n",
    ] {
        let mut raw = Raw::connect(address);
        raw.send(bytes);
        raw.answer();
    }
    let upgraded = || {
        let mut raw = Raw::connect(address);
        raw.send(&head().bytes());
        raw.answer().expect(101);
        raw
    };
    let frames = |first: u8, payload: &[u8]| {
        let mut raw = upgraded();
        raw.frame(first, payload);
        raw.wait_end();
    };
    frames(FIN | CLOSE, b"\x03\xe8the-close\r\n\x1b[31m\xe2\x80\xae");
    frames(FIN | BINARY, b"\r\n\x1b[31m");
    frames(FIN | TEXT, b"\xff\r\n\x1b[31m");
    frames(FIN | 0x40 | TEXT, b"\r\n\x1b[31m");
    check(
        running,
        &["refused with 403", "refused with 400", "speaks TLS", "opened by", "ended: closed by the peer (1000)"],
    );
}

#[cfg(feature = "tls")]
#[test]
fn why_a_tls_handshake_fails_is_said_in_one_line_of_its_own() {
    use certs::{Authority, Client, Files};
    use rcgen::{DnType, date_time_ymd};
    capture();
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let files = Files::new();
    let expired = authority.issue_with(&["expired.example"], |params| params.not_after = date_time_ymd(2021, 1, 1));
    let good = authority.issue(&["localhost"]);
    let config = files.put(&good).and_pem(&expired.chain, &expired.key).client_ca_pem(clients.pem());
    let running = serve(server().tls(config.look_every(Duration::ZERO)));
    let address = running.addr();
    let odd =
        clients.issue_with(&[], |params| params.distinguished_name.push(DnType::CommonName, "\u{202e}alice\u{200f}"));
    let stranger =
        authority.issue_with(&[], |params| params.distinguished_name.push(DnType::CommonName, "\u{202e}mallory"));
    let with = |own| Client::with(&authority, &certs::VERSIONS, own);
    let mut peer = Peer::over(Box::new(with(Some(&odd)).connect(address)), "localhost", &[]);
    peer.barrier();
    for client in [with(None), with(Some(&stranger)), with(Some(&odd)).named("expired.example")] {
        client.try_connect(address).expect_err("refused");
    }
    let told = |bytes: &[u8]| {
        let mut raw = Raw::connect(address);
        raw.send(bytes);
        raw.wait_end();
    };
    told(b"GET / HTTP/1.1\r\n\x1b[31m\r\n\r\n");
    told(b"\x16\x03\x01\x00\x05\x1b[31m");
    files.write("key.pem", &expired.key);
    peer.barrier();
    assert!(running.handle().reload_tls().is_err());
    let _ = files.put(&authority.issue(&["localhost"]));
    assert_eq!(running.handle().reload_tls().expect("good files").len(), 2);
    check(
        running,
        &[
            "INFO mcp_blocking::tls: certificate in `",
            "for localhost, valid until 4096-01-01",
            "the certificate in PEM in memory for expired.example has expired, on 2021-01-01 00:00:00 UTC: clients will refuse it",
            "refused in the TLS handshake: the client has sent no certificate",
            "refused in the TLS handshake: the client's certificate is not accepted: ",
            "refused in the TLS handshake: the client does not accept the server's certificate (CertificateExpired)",
            "refused with 400: this port speaks TLS",
            "refused in the TLS handshake: received corrupt message",
            "opened by cert:cn:\\u{202e}alice",
            "the old certificates stay: `",
            "new certificates are in use, from `",
        ],
    );
    // Keys are never shown.
    let secret = good.key.lines().nth(1).expect("a line of base64");
    assert!(lines().iter().all(|line| !line.contains(secret)));
}

#[test]
fn tokens_never_appear() {
    capture();
    const SECRETS: [&str; 4] =
        ["gG4zQ9right-token-Kk3", "gG4zQ9wrong-token-Kk3", "gG4zQ9query-token-Kk3", "gG4zQ9protocol-token-Kk3"];
    let [right, wrong, query, protocol] = SECRETS;
    let running = serve(server().bearer_token("alice", right));
    let address = running.addr();
    let with = |value: &str| Head::new(address).add("Authorization", value);
    with(&format!("Bearer {wrong}")).ask(address).expect(401);
    with(&format!("Basic {wrong}")).ask(address).expect(401);
    with(&format!("Bearer {right} {wrong}")).ask(address).expect(400);
    with(wrong).ask(address).expect(401);
    with(&format!("Bearer {right}")).add("Authorization", &format!("Bearer {wrong}")).ask(address).expect(400);
    with(&format!("Bearer {right}")).line(&format!("GET /{query} HTTP/1.1")).ask(address).expect(404);
    with(&format!("Bearer {right}")).line(&format!("GET /mcp?token={query} HTTP/1.1")).ask(address).expect(101);
    Head::new(address).line(&format!("GET /mcp?access_token={query} HTTP/1.1")).ask(address).expect(401);
    let offered = format!("mcp, mcp.auth.{protocol}");
    with(&format!("Bearer {right}")).add("Sec-WebSocket-Protocol", &offered).ask(address).expect(101);
    Head::new(address).add("Sec-WebSocket-Protocol", &format!("mcp, {protocol}, {protocol}")).ask(address).expect(401);
    with(&format!("Bearer {right}"))
        .add("Cookie", &format!("session={query}"))
        .set("Host", "evil")
        .ask(address)
        .expect(403);
    let mut peer = Peer::connect_to(address, &[("Authorization", &format!("Bearer {right}"))]);
    peer.revision = MODERN;
    assert_eq!(peer.call_error("panic", json!({ "text": "x" }))["code"], -32603);
    let handle = running.handle();
    let shown = format!("{handle:?} {running:?} {:?}", handle.clients());
    peer.vanish();
    until("all are gone", || handle.status().connections == 0);
    check(running, &["refused with 401", "opened by alice"]);
    for secret in SECRETS {
        // Nor a part of one.
        for part in [secret, &secret[..12], &secret[6..]] {
            let told = lines().into_iter().find(|line| line.contains(part));
            assert!(told.is_none(), "{part} in {told:?}");
            assert!(!shown.contains(part), "{part} in {shown}");
        }
    }
    let setup = server().bearer_token("bob", "tooshort-secret").bind("127.0.0.1:0").expect_err("too short");
    assert!(!format!("{setup} {setup:?}").contains("tooshort"), "{setup}");
}

/// What is put into every field: as bytes, as some fields take anything.
fn corpus() -> Vec<Vec<u8>> {
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

/// One HTTP request as bytes; what is answered does not matter.
fn http(address: SocketAddr, line: &[u8], headers: &[(&str, &[u8])], body: &[u8]) {
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
    for (name, value) in usual.iter().filter(|(name, _)| !headers.iter().any(|(other, _)| other == name)).chain(headers)
    {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend(b"Connection: close\r\n\r\n");
    bytes.extend(body);
    let mut raw = Raw::connect(address);
    raw.try_send(&bytes);
    raw.wait_end();
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
        for name in [
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
        ] {
            for method in ["POST", "GET"] {
                let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
                http(address, format!("{method} /mcp").as_bytes(), &[(name, &value)], ping.as_bytes());
            }
        }
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
    for line in lines() {
        assert!(!line.contains("gG4zQ9planted"), "{line}");
    }
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
fn secrets_in_texts_are_kept_out() {
    capture();
    const SECRETS: [&str; 5] = ["kQ7first", "kQ7second", "kQ7third-99", "acme_live_kQ7fourth", "kQ7fifth"];
    let [first, second, third, fourth, fifth] = SECRETS;
    let running = serve(server());
    let mut peer = Peer::connect(&running);
    let info = json!({ "name": format!("tool --token={first}"), "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    assert!(peer.request("initialize", params)["result"].is_object());
    peer.request(
        "tools/call",
        json!({ "name": "panic", "arguments": { "text": format!("db: {{\"password\":\"{second}\"}}") } }),
    );
    let id = peer.start_call("sleep", json!({}));
    let reason = format!("sent Bearer {third} by mistake");
    peer.notify("notifications/cancelled", json!({ "requestId": id, "reason": reason }));
    peer.request(
        "tools/call",
        json!({ "name": "panic", "arguments": { "text": format!("{fourth} and the card-pin: {fifth}") } }),
    );
    peer.barrier();
    check(
        running,
        &[
            "--token=[redacted]",
            "\"password\":\"[redacted]",
            "sent Bearer [redacted] by mistake",
            "[redacted] and the card-pin: [redacted]",
        ],
    );
    for line in lines() {
        let told = SECRETS.iter().find(|secret| line.contains(*secret));
        assert!(told.is_none(), "{told:?} in {line}");
    }
}

#[test]
fn tickets_never_appear_and_neither_do_tokens_among_subprotocols() {
    capture();
    const TOKEN: &str = "hH5zQ9laptop-token-Kk3";
    const PAGE: &str = "https://app.example";
    let expired = Token::new("carol", "hH5zQ9expired-token-Kk3").named("old desk").expires(SystemTime::UNIX_EPOCH);
    let settings = Settings::new().token(Token::new("alice", TOKEN).named("laptop")).token(expired);
    let running = serve(
        Server::new("logged", "1").settings(settings.ticket_endpoint().token_as_subprotocol().allow_origin(PAGE)),
    );
    let address = running.addr();
    let issue = || running.handle().issue_ticket(&Principal::new("bob"), PAGE).expect("a ticket").as_str().to_owned();
    let tickets = [issue(), issue(), issue()];
    let offer = |offered: &str| Head::new(address).add("Origin", PAGE).add("Sec-WebSocket-Protocol", offered);
    offer(&format!("mcp, mcp.ticket.{}", tickets[0])).ask(address).expect(101);
    offer(&format!("mcp, mcp.ticket.{}", tickets[0])).ask(address).expect(401);
    offer(&format!("mcp, mcp.ticket.{}, mcp.auth.{TOKEN}", tickets[1])).ask(address).expect(400);
    Head::new(address).line(&format!("GET /mcp?ticket={} HTTP/1.1", tickets[2])).ask(address).expect(401);
    offer(&format!("mcp, mcp.auth.{TOKEN}")).ask(address).expect(101);
    offer("mcp, mcp.auth.hH5zQ9wrong-token-Kk3").ask(address).expect(401);
    offer("mcp, mcp.auth.hH5zQ9expired-token-Kk3").ask(address).expect(401);
    let post = Head::new(address).line("POST /mcp/ticket HTTP/1.1").without("Upgrade").without("Connection");
    let answer = post.add("Origin", PAGE).add("Authorization", &format!("Bearer {TOKEN}")).ask(address).expect(200);
    let answer: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let issued = answer["ticket"].as_str().expect("a ticket").to_owned();
    let handle = running.handle();
    let shown = format!("{handle:?} {running:?} {:?}", handle.clients());
    until("all are gone", || handle.status().connections == 0);
    check(running, &["opened by alice (laptop)", "opened by bob", "(carol (token old desk)) refused with 401"]);
    for secret in tickets.iter().map(String::as_str).chain([issued.as_str(), "hH5zQ9"]) {
        for part in [secret, secret.get(..12).unwrap_or(secret)] {
            let told = lines().into_iter().find(|line| line.contains(part));
            assert!(told.is_none() && !shown.contains(part), "{part} in {told:?} or {shown}");
        }
    }
}
