//! The examples as processes: what they print, what they serve, and how they end.
#![cfg(unix)]

#[cfg(feature = "tls")]
#[allow(dead_code, reason = "likewise")]
#[path = "it/certs.rs"]
mod certs;
#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "it/peer.rs"]
mod peer;
#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "it/process.rs"]
mod process;

use peer::{ALL, MODERN, PATIENCE, Peer, modern_meta};
use process::{Process, example};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;

fn everything() -> (Process, SocketAddr) {
    let process = Process::start("everything", &["--listen", "127.0.0.1:0", "--log", "debug"]);
    let address = process.address();
    (process, address)
}

fn connect(address: SocketAddr, revision: &'static str) -> Peer {
    Peer::connect_to(address, &[]).speaking(revision)
}

fn text(peer: &mut Peer, tool: &str, arguments: Value) -> String {
    let result = peer.call(tool, arguments);
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}")).to_owned()
}

#[test]
fn hello_builds() {
    // It listens on a fixed port, so it is not run here.
    assert!(example("hello").is_file());
}

#[test]
fn everything_serves_every_revision_and_ends_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut process, address) = everything();
        let mut peers = ALL.map(|revision| connect(address, revision));
        for peer in &mut peers {
            for tool in ["echo", "echo_pooled"] {
                assert_eq!(text(peer, tool, json!({ "text": "hi \u{1f44b}" })), "hi \u{1f44b}");
            }
        }
        process.signal(signal);
        for peer in &mut peers {
            assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
        }
        let (status, err) = process.end();
        assert_eq!(status.code(), Some(0), "{signal:?}: {err}");
        assert!(err.contains("stopped"), "{err}");
        assert!(process.out.recv().is_err(), "more than its endpoint on standard output");
    }
}

#[test]
fn everything_ends_with_2_for_a_value_that_it_cannot_read() {
    for arguments in [["--rate", "many"], ["--ping-interval", "-1"]] {
        let mut process = Process::start("everything", &arguments);
        let (status, err) = process.end();
        assert!(err.contains(arguments[0]) && err.contains(arguments[1]), "{err}");
        assert_eq!(status.code(), Some(2), "{arguments:?}: {err}");
    }
}

#[test]
fn everything_says_what_is_wrong_with_its_options() {
    for arguments in [&["--no-such-option"][..], &["--listen"], &["--log", "loud"], &["surplus"]] {
        let mut process = Process::start("everything", arguments);
        let (status, err) = process.end();
        assert_eq!(status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.starts_with("everything: "), "{err}");
    }
    let mut process = Process::start("everything", &["--help"]);
    assert_eq!(process.end().0.code(), Some(0));
    assert!(process.line().starts_with("usage: everything"));
    for arguments in
        [&["--listen", "0.0.0.0:0"][..], &["--listen", "nonsense"], &["--listen", "127.0.0.1:0", "--workers", "0"]]
    {
        let mut process = Process::start("everything", arguments);
        let (status, err) = process.end();
        assert_eq!(status.code(), Some(1), "{arguments:?}: {err}");
    }
}

#[test]
fn everything_has_an_option_for_each_limit_and_says_its_default() {
    let help = |arguments: &[String]| {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
        let mut process = Process::start("everything", &arguments);
        let (status, err) = process.end();
        assert_eq!(status.code(), Some(0), "{err}");
        process.out.iter().collect::<Vec<_>>()
    };
    let lines = help(&[]);
    let limits = format!("{:#?}", mcp_blocking::Limits::default());
    let limits = limits.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(": "));
    let mut given = Vec::new();
    for (field, default) in limits {
        let name = field.replace('_', "-");
        let is_option = |line: &&String| {
            let option = line.split_whitespace().next().and_then(|word| word.strip_prefix("--"));
            option.is_some_and(|option| option.strip_prefix("max-").unwrap_or(option) == name)
        };
        let line = lines.iter().find(is_option).unwrap_or_else(|| panic!("no option for {field}"));
        let option = line.split_whitespace().next().unwrap_or_default();
        // A time is written `30s`.
        let (value, shown) = match default {
            "false" => {
                given.push(option.to_owned());
                continue;
            }
            "None" => ("4096", "as --message-bytes"),
            other => (other.trim_end_matches('s'), other.trim_end_matches('s')),
        };
        assert!(line.ends_with(&format!("(default {shown})")), "{field} is {default}: {line}");
        given.push(format!("{option}={value}"));
    }
    assert!(given.len() > 60, "{given:?}");
    // And each is taken.
    assert_eq!(help(&given), lines);
}

#[test]
fn everything_tells_where_tokens_are_and_answers_probes_on_its_port() {
    let arguments = ["--listen=127.0.0.1:0", "--token=a-token-of-good-length", "--health-on-main", "--step-up"];
    let resource =
        ["--protected-resource=https://mcp.example.com/mcp", "--authorization-server=https://auth.example.com"];
    let arguments: Vec<_> = arguments.into_iter().chain(resource).chain(["--resource-scope=notes:read"]).collect();
    let process = Process::start("everything", &arguments);
    let address = process.address();
    let ask = |path: &str| {
        let mut stream = peer::dial(address);
        let token = if path == "/health" { "Authorization: Bearer a-token-of-good-length\r\n" } else { "" };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{token}Connection: close\r\n\r\n").expect("sent");
        std::io::read_to_string(stream).expect("an answer")
    };
    let metadata = ask("/.well-known/oauth-protected-resource/mcp");
    assert!(metadata.starts_with("HTTP/1.1 200 ") && metadata.contains("https://auth.example.com"), "{metadata}");
    let refused = ask("/mcp");
    assert!(refused.starts_with("HTTP/1.1 401 ") && refused.contains("scope=\"notes:read\""), "{refused}");
    assert!(ask("/health").starts_with("HTTP/1.1 200 "));

    let (status, err) = Process::start("everything", &["--authorization-server=https://auth.example.com"]).end();
    assert_eq!(status.code(), Some(2), "{err}");
    assert!(err.contains("name the resource first"), "{err}");
}

#[test]
fn everything_takes_several_addresses_and_settings() {
    let token = "a-token-of-good-length";
    let arguments = ["--listen=127.0.0.1:0", "--listen", "127.0.0.2:0", "--token", "alice:a-token-of-good-length"];
    let process = Process::start("everything", &arguments);
    for address in [process.address(), process.address()] {
        let mut peer = Peer::connect_to(address, &[("Authorization", &format!("Bearer {token}"))]);
        peer.initialize("2025-11-25");
        assert_eq!(text(&mut peer, "echo", json!({ "text": "x" })), "x");
    }
}

#[test]
fn everything_reads_its_tokens_again_on_a_hangup() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("everything-{}.tokens", std::process::id()));
    let write = |text: &str| std::fs::write(&file, text).expect("written");
    write("ada a-token-of-good-length name=laptop\nbob another-token-of-good-length\n");
    let path = file.display().to_string();
    let mut process = Process::start("everything", &["--listen=127.0.0.1:0", "--token-file", &path]);
    let address = process.address();
    let peer =
        |token: &str| Peer::connect_to(address, &[("Authorization", &format!("Bearer {token}"))]).speaking(MODERN);
    let (mut ada, mut bob) = (peer("a-token-of-good-length"), peer("another-token-of-good-length"));
    write("bob another-token-of-good-length\n");
    process.signal(Signal::HUP);
    assert_eq!(ada.closed().map(|(code, _)| code), Some(1008));
    assert_eq!(text(&mut bob, "echo", json!({ "text": "x" })), "x");
    write("bob another-token-of-good-length\neve short");
    process.signal(Signal::HUP);
    assert_eq!(text(&mut bob, "echo", json!({ "text": "x" })), "x");
    process.signal(Signal::TERM);
    let (status, err) = process.end();
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(err.contains("opened by ada (laptop)") && !err.contains("good-length"), "{err}");
    let (status, err) = Process::start("everything", &["--listen=127.0.0.1:0", "--token-file", &path]).end();
    assert_eq!(status.code(), Some(1), "{err}");
    assert!(err.contains("line 2") && !err.contains("short "), "{err}");
    let _ = std::fs::remove_file(&file);
}

#[test]
fn browser_serves_a_page_and_gives_it_a_ticket() {
    let addresses = ["--listen=127.0.0.1:0", "--listen=127.0.0.1:0", "--page=127.0.0.1:0", "--page=127.0.0.1:0"];
    let mut process = Process::start("browser", &addresses);
    let address = |name: &str, scheme: &str, rest: &str| -> SocketAddr {
        let line = process.line();
        let address = line.strip_prefix(&format!("{name} {scheme}://")).and_then(|line| line.strip_suffix(rest));
        address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("not an endpoint: {line}"))
    };
    // Each is served; a ticket is good at all of them.
    let servers = [(); 2].map(|()| address("websocket", "ws", "/mcp"));
    let (own, other) = (address("page", "http", "/"), address("elsewhere", "http", "/"));
    let ask = |page: SocketAddr, line: &str| {
        let mut stream = peer::dial(page);
        write!(stream, "{line} HTTP/1.1\r\nHost: {page}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .expect("sent");
        std::io::read_to_string(stream).expect("an answer")
    };
    assert!(ask(own, "GET /").contains("id=\"state\""));
    for (page, server, works) in [(own, servers[0], true), (own, servers[1], true), (other, servers[0], false)] {
        let answer = ask(page, "POST /ticket");
        let ticket: Value = serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
        let offered = format!("mcp, mcp.ticket.{}", ticket["ticket"].as_str().expect("a ticket"));
        let mut stream = peer::dial(server);
        let handshake = format!(
            "GET /mcp HTTP/1.1\r\nHost: {server}\r\nOrigin: http://{page}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {offered}\r\n\r\n"
        );
        stream.write_all(handshake.as_bytes()).expect("sent");
        let mut answer = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut answer).expect("an answer");
        assert_eq!(&answer, if works { b"HTTP/1.1 101" } else { b"HTTP/1.1 403" });
    }
    process.signal(Signal::TERM);
    assert_eq!(process.end().0.code(), Some(0));
}

#[cfg(feature = "tls")]
#[test]
fn everything_speaks_tls_and_takes_new_certificates_on_a_hangup() {
    let authority = certs::Authority::new("test");
    let [old, new, other] = [["localhost"], ["localhost"], ["other.example"]].map(|names| authority.issue(&names));
    let (files, others) = (certs::Files::new(), certs::Files::new());
    for (files, identity) in [(&files, &old), (&others, &other)] {
        let _ = files.put(identity);
    }
    files.write("clients.pem", &authority.pem());
    let path = |files: &certs::Files, name: &str| files.path(name).display().to_string();
    let arguments = [
        "--listen=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", path(&files, "chain.pem")),
        format!("--tls-key={}", path(&files, "key.pem")),
        format!("--tls-cert={}", path(&others, "chain.pem")),
        format!("--tls-key={}", path(&others, "key.pem")),
        format!("--client-ca={}", path(&files, "clients.pem")),
        "--optional-client-certificate".to_owned(),
    ];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut process = Process::start("everything", &arguments);
    let address = process.address_of("wss", "https");
    let client = certs::Client::new(&authority);
    let shown = |client: &certs::Client| {
        let stream = client.try_connect(address).expect("a session");
        stream.conn.peer_certificates().expect("a certificate")[0].clone()
    };
    assert_eq!(shown(&client), old.der());
    assert_eq!(shown(&client.named("other.example")), other.der());
    let mut peer = Peer::over(Box::new(client.connect(address)), "localhost", &[]).speaking(MODERN);
    assert_eq!(text(&mut peer, "echo", json!({ "text": "x" })), "x");
    let _ = files.put(&new);
    process.signal(Signal::HUP);
    peer::until("the new certificate is shown", || shown(&client) == new.der());
    assert_eq!(text(&mut peer, "echo", json!({ "text": "x" })), "x");
    // The files are as they were: that is said, and nothing else happens.
    process.signal(Signal::HUP);
    process.signal(Signal::TERM);
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
    let (status, err) = process.end();
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(err.contains("new certificates are in use, from") && err.contains("valid until"), "{err}");

    for (arguments, words, code) in [
        (&["--tls-cert", "chain.pem"][..], "one --tls-key for each --tls-cert", 2),
        (&["--client-ca", "clients.pem"], "need a certificate of the server's own", 1),
        (
            &["--tls-cert", "no-such-chain.pem", "--tls-key", "no-such-key.pem"],
            "no-such-key.pem`: there is no such file",
            1,
        ),
    ] {
        let (status, err) = Process::start("everything", arguments).end();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {err}");
        assert!(err.contains(words), "{err}");
    }
}

#[cfg(feature = "jwt")]
#[test]
fn everything_asks_for_tokens_of_an_issuer() {
    let files = certs::Files::new();
    let x = "A".repeat(43);
    files.write("keys.json", &json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": x, "y": x }] }).to_string());
    let keys = files.path("keys.json").display().to_string();
    let issuer = ["--jwt-issuer=https://auth.example.com", "--jwt-audience=notes", "--jwt-algorithm=ES256"];
    let jwks = format!("--jwt-jwks={keys}");
    let arguments: Vec<_> = ["--listen=127.0.0.1:0"].into_iter().chain(issuer).chain([jwks.as_str()]).collect();
    let process = Process::start("everything", &arguments);
    let mut stream = peer::dial(process.address());
    stream.write_all(b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a.b.c\r\n\r\n").expect("sent");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("invalid_token"), "{answer}");

    for (arguments, words, code) in [
        (&["--jwt-audience=notes"][..], "name the issuer first", 2),
        (&["--jwt-issuer=https://auth.example.com", "--jwt-algorithm=HS256"], "there is no such algorithm", 1),
        (&["--jwt-issuer=https://auth.example.com", "--jwt-jwks=no-such.json"], "say with `audience`", 1),
    ] {
        let (status, err) = Process::start("everything", arguments).end();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {err}");
        assert!(err.contains(words), "{err}");
    }
}

/// Sends a line and reads one.
fn exchange(process: &mut Process, message: &Value) -> Value {
    let input = process.child.stdin.as_mut().expect("a pipe");
    writeln!(input, "{message}").expect("written");
    let line = process.line();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message on standard output: {line:?}"))
}

#[test]
fn over_stdio_nothing_but_messages_is_on_standard_output() {
    let mut process = Process::start_with("everything", &["--stdio"], Stdio::piped());
    let call = |id: u32, tool: &str| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
            "name": tool, "arguments": { "text": "a line" }, "_meta": modern_meta(json!({})) } })
    };
    assert_eq!(exchange(&mut process, &call(1, "echo"))["result"]["content"][0]["text"], "a line");
    // What a handler prints does not get in between.
    assert_eq!(exchange(&mut process, &call(2, "print"))["result"]["content"][0]["text"], "printed");
    assert_eq!(exchange(&mut process, &call(3, "panic"))["error"]["code"], -32603);
    let hello = json!({ "jsonrpc": "2.0", "id": 4, "method": "initialize", "params": { "protocolVersion": "2025-06-18", "capabilities": {} } });
    assert_eq!(exchange(&mut process, &hello)["result"]["protocolVersion"], "2025-06-18");
    drop(process.child.stdin.take());
    let (status, err) = process.end();
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(err.contains("a line"), "what is printed goes to standard error: {err}");
    assert!(process.out.recv().is_err(), "more on standard output");
}

#[test]
fn over_stdio_a_signal_ends_it_with_and_without_sockets() {
    let mut process = Process::start_with("everything", &["--stdio"], Stdio::piped());
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(exchange(&mut process, &ping)["result"], json!({}));
    process.signal(Signal::TERM);
    assert_eq!(process.end().0.code(), Some(0));
    // With sockets, too, they are told of on standard error.
    let mut process = Process::start_with("everything", &["--stdio", "--listen", "127.0.0.1:0"], Stdio::piped());
    assert_eq!(exchange(&mut process, &ping)["result"], json!({}));
    process.signal(Signal::TERM);
    let (status, err) = process.end();
    assert_eq!(status.code(), Some(0));
    assert!(err.contains("websocket ws://127.0.0.1:") && err.contains("http http://127.0.0.1:"), "{err}");
}

#[test]
fn over_stdio_what_was_asked_before_the_end_of_the_input_is_answered() {
    for (ms, answered) in [(200, true), (600_000, false)] {
        let mut process = Process::start_with("everything", &["--stdio"], Stdio::piped());
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        assert_eq!(exchange(&mut process, &ping)["result"], json!({}));
        let slow = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "slow", "arguments": { "ms": ms }, "_meta": modern_meta(json!({})) } });
        writeln!(process.child.stdin.as_mut().expect("a pipe"), "{slow}").expect("written");
        drop(process.child.stdin.take());
        let (status, err) = process.end();
        assert_eq!(status.code(), Some(0), "{err}");
        let lines: Vec<_> = process.out.iter().collect();
        assert_eq!(lines.len(), usize::from(answered), "{lines:?}");
        assert!(lines.iter().all(|line| line.contains(r#""id":2"#)), "{lines:?}");
    }
}

#[test]
fn over_stdio_a_reader_that_does_not_read_is_given_up() {
    let mut child = Command::new(example("everything"))
        .args(["--stdio", "--write-deadline", "0.3", "--log", "error"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "echo", "arguments": { "text": "x".repeat(100_000) }, "_meta": modern_meta(json!({})) } });
    // More than its outbox, its socket and the pipe hold; it is told to the end, or until nobody listens any more.
    std::thread::spawn(move || (0..200).try_for_each(|_| writeln!(input, "{call}")));
    // Its output stays open and is never read.
    let mut process = Process { child, out: mpsc::channel().1, err: None };
    assert_eq!(process.end().0.code(), Some(0));
}

/// Runs an example to its end; its status, and what it said.
fn run(name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(example(name)).args(arguments).output().expect("it starts");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    )
}

#[test]
fn everything_asks_before_it_destroys_something_if_it_is_told_to() {
    let arguments = ["--listen", "127.0.0.1:0", "--confirm-destructive"];
    let asking = Process::start("everything", &arguments);
    let (trusting, address) = everything();
    let mut peer = connect(address, MODERN);
    assert_eq!(text(&mut peer, "forget", json!({})), "forgot 0 texts");
    drop(trusting);
    let mut peer = Peer::connect_to(asking.address(), &[]).speaking(MODERN);
    peer.capabilities = json!({ "elicitation": { "form": {} } });
    let asked = peer.request("tools/call", json!({ "name": "forget", "arguments": {} }))["result"].clone();
    let (key, question) = asked["inputRequests"].as_object().and_then(|all| all.iter().next()).expect("a question");
    assert!(question["params"]["message"].as_str().is_some_and(|message| message.contains("forget")), "{question}");
    let answers = json!({ key: { "action": "accept", "content": { "run": true } } });
    let params =
        json!({ "name": "forget", "arguments": {}, "inputResponses": answers, "requestState": asked["requestState"] });
    assert_eq!(peer.request("tools/call", params)["result"]["content"][0]["text"], "forgot 0 texts");
    assert_eq!(text(&mut peer, "echo", json!({ "text": "unasked" })), "unasked");
}

#[test]
fn everything_keeps_an_audit_log_that_audit_verify_verifies() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("examples-audit-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a directory");
    let path = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let (log, old, key) = (path("audit.log"), path("audit.log.1"), path("audit.log.key"));
    let arguments = ["--listen", "127.0.0.1:0", "--audit", &log, "--audit-sync", "always"];
    let mut process = Process::start("everything", &arguments);
    let mut peer = connect(process.address(), MODERN);
    assert_eq!(text(&mut peer, "echo", json!({ "text": "planted" })), "planted");
    std::fs::rename(&log, &old).expect("renamed");
    process.signal(Signal::HUP);
    peer::until("it is there again", || std::fs::metadata(&log).is_ok_and(|log| log.len() > 0));
    assert_eq!(text(&mut peer, "echo_pooled", json!({ "text": "planted" })), "planted");
    process.signal(Signal::TERM);
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
    let (status, err) = process.end();
    assert_eq!(status.code(), Some(0), "{err}");
    // Told at the beginning and at the end.
    let heads: Vec<_> = err.lines().filter_map(|line| Some(line.rsplit_once(" lines, head ")?.1)).collect();
    assert_eq!(heads.len(), 2, "{err}");
    let head = heads[1];
    let verify = |files: &[&str]| run("audit_verify", &[&["--key", &key, "--expect-head", head][..], files].concat());
    let (code, out) = verify(&[&log, &key, &old]);
    assert_eq!(code, Some(0), "{out}");
    let lines: usize =
        [&old, &log].map(|file| std::fs::read_to_string(file).expect("UTF-8").lines().count()).iter().sum();
    assert_eq!(out, format!("ok: {lines} lines, head {head}\n"));
    let written = std::fs::read_to_string(&log).expect("UTF-8");
    assert!(!written.contains("planted"), "{written}");
    std::fs::write(&log, written.replacen("echo_pooled", "echo_poolef", 1)).expect("written");
    let (code, out) = verify(&[&log, &old]);
    assert!(code == Some(1) && out.contains(": changed: ") && out.contains("not ok: "), "{code:?} {out}");
    let (code, out) = verify(&[&old]);
    assert!(code == Some(1) && out.contains("cut: "), "{code:?} {out}");
    for arguments in [&["--key", &key][..], &[&log], &["--key", &log, &log], &["--expect-head", "x"], &["--nonsense"]] {
        let (code, out) = run("audit_verify", arguments);
        assert!(code == Some(2) && out.starts_with("audit_verify: "), "{code:?} {out}");
    }
    let (code, out) = run("audit_verify", &["--help"]);
    assert!(code == Some(0) && out.starts_with("usage: audit_verify"), "{code:?} {out}");
    let (status, err) = Process::start("everything", &["--audit", &path("no/such/directory")]).end();
    assert!(status.code() == Some(1) && err.contains("the audit log cannot be kept"), "{err}");
    let (status, err) = Process::start("everything", &["--audit-when-failing", "panic"]).end();
    assert!(status.code() == Some(2) && err.contains("no such value"), "{err}");
    std::fs::remove_dir_all(&folder).expect("deleted");
}

#[test]
fn custom_messages_echoes_broadcasts_and_complains() {
    let mut process = Process::start("custom_messages", &["--listen", "127.0.0.1:0", "--log", "error"]);
    let typed = process.line().strip_prefix("websocket ").expect("an endpoint").to_owned();
    let echo = process.line().strip_prefix("websocket ").expect("an endpoint").to_owned();
    assert!(typed.ends_with('/') && echo.ends_with("/echo"), "{typed} {echo}");
    let connect = |url: &str| {
        let (client, _) = tungstenite::connect(url).expect("let in");
        if let tungstenite::stream::MaybeTlsStream::Plain(stream) = client.get_ref() {
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        }
        client
    };
    let (mut one, mut two, mut plain) = (connect(&typed), connect(&typed), connect(&echo));
    let mut ask = |text: &str| -> Value {
        one.send(tungstenite::Message::text(text)).expect("sent");
        serde_json::from_str(one.read().expect("an answer").to_text().expect("text")).expect("JSON")
    };
    assert_eq!(ask(r#"{"type":"echo","payload":{"n":[1,2]}}"#), json!({ "type": "echo", "payload": { "n": [1, 2] } }));
    assert_eq!(ask(r#"{"type":"broadcast","payload":"hi"}"#), json!({ "type": "broadcast", "payload": "hi" }));
    assert_eq!(ask(r#"{"type":"shout"}"#)["type"], "error");
    assert_eq!(ask("not JSON")["type"], "error");
    assert_eq!(two.read().expect("the broadcast").to_text().expect("text"), r#"{"type":"broadcast","payload":"hi"}"#);
    let large = tungstenite::Message::binary(vec![7; 3 << 20]);
    plain.send(large.clone()).expect("sent");
    assert_eq!(plain.read().expect("the echo"), large);
    process.signal(Signal::TERM);
    drop((one, two, plain));
    assert!(process.end().0.success());
}

#[test]
fn doctor_lists_what_is_open_without_serving_and_while_the_port_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("--listen={}", taken.local_addr().expect("an address"));
    let (code, out) = run("everything", &["--doctor", &listen]);
    assert!(
        code == Some(1) && out.starts_with("open     callers: nobody is asked") && out.contains("`forget`"),
        "{out}"
    );
    let guarded = ["--doctor", &listen, "--token=ada:a-token-of-good-length", "--confirm-destructive"];
    let (code, out) = run("everything", &guarded);
    assert!(code == Some(0) && out.starts_with("note     "), "{code:?} {out}");
    let (code, out) =
        run("everything", &["--doctor", "--listen=0.0.0.0:1", "--workers=0", "--token-file=/no/such/file"]);
    for what in ["refused  0.0.0.0:1: ", "refused  limits: ", "refused  token file /no/such/file: "] {
        assert!(code == Some(1) && out.contains(what), "{what}: {code:?} {out}");
    }
    let (code, out) = run("everything", &["--doctor", "--stdio", "--confirm-destructive"]);
    assert_eq!((code, out.as_str()), (Some(0), "nothing was found\n"));
    let (code, out) = run("custom_messages", &["--doctor", &listen]);
    assert!(code == Some(1) && out.starts_with("weak     callers: ") && out.contains("`/echo`"), "{out}");
    let (code, out) = run("browser", &["--doctor", &listen]);
    assert!(code == Some(0) && out.starts_with("note     "), "{code:?} {out}");
}

#[test]
fn the_log_says_once_at_the_start_that_something_is_open() {
    for (name, level) in [("everything", "[WARN] "), ("custom_messages", "[INFO] ")] {
        let mut process = Process::start(name, &["--listen=127.0.0.1:0"]);
        process.line();
        process.signal(Signal::TERM);
        let (_, err) = process.end();
        let told: Vec<_> = err.lines().filter(|line| line.contains("--doctor")).collect();
        assert!(told.len() == 1 && told[0].contains(level), "{err}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn secure_lets_its_token_see_what_it_is_for_and_does_not_start_when_it_is_open() {
    use std::os::unix::fs::PermissionsExt;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("secure-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(mode)).expect("set");
    };
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("written");
        mode(name, 0o600);
    };
    mode("", 0o755);
    let authority = certs::Authority::new("test");
    let identity = authority.issue_with(&["localhost"], |params| params.not_after = rcgen::date_time_ymd(2090, 1, 1));
    let token = "a-token-of-good-length";
    write("cert.pem", &identity.chain);
    write("key.pem", &identity.key);
    write("audit.key", &"ab".repeat(32));
    write("tokens", &format!("ada {token} name=laptop scopes=notes:read expires=2100-01-01T00:00:00Z\n"));

    let mut process = Process::start_in(&folder, "secure", &["127.0.0.1:0"]);
    let address = process.address_of("wss", "https");
    let client = certs::Client::new(&authority);
    let bearer = format!("Bearer {token}");
    let mut peer =
        Peer::over(Box::new(client.connect(address)), "localhost", &[("Authorization", &bearer)]).speaking(MODERN);
    assert_eq!(text(&mut peer, "list", json!({})), "buy milk\ncall Ada");
    let tools = peer.request("tools/list", json!({}))["result"]["tools"].clone();
    let tools: Vec<_> = tools.as_array().expect("a list").iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(tools, ["list"]);
    assert!(peer.request("tools/call", json!({ "name": "wipe", "arguments": {} }))["error"].is_object());
    let mut stranger = client.connect(address);
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n";
    stranger.write_all(head.as_bytes()).expect("sent");
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut stranger, &mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 401");
    write(
        "tokens",
        &format!("ada {token} name=laptop scopes=notes:read expires=2100-01-01T00:00:00Z\neve another-{token}\n"),
    );
    process.signal(Signal::HUP);
    peer::until("the tokens are read again", || {
        let bearer = format!("Bearer another-{token}");
        let mut stream = client.connect(address);
        let head = format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n");
        let sent = stream.write_all(head.as_bytes());
        sent.is_ok() && std::io::Read::read_exact(&mut stream, &mut answer).is_ok() && &answer != b"HTTP/1.1 401"
    });
    process.signal(Signal::TERM);
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
    let (status, err) = process.end();
    // Nothing above a note.
    assert!(status.code() == Some(0) && err.contains("\nnothing was found\n") && !err.contains(token), "{err}");
    // The last head that was told is that of the whole log.
    let head = err.lines().filter_map(|line| Some(line.rsplit_once(" lines, head ")?.1)).next_back().expect("a head");
    let [key, log] = ["audit.key", "audit.log"].map(|name| folder.join(name).display().to_string());
    let (code, out) = run("audit_verify", &["--key", &key, "--expect-head", head, &log]);
    assert!(code == Some(0) && out.starts_with("ok: "), "{out}");
    let written = std::fs::read(&log).expect("a log");
    std::fs::write(&log, &written[..written.iter().rposition(|byte| *byte == b'{').expect("a line")]).expect("cut");
    let (code, out) = run("audit_verify", &["--key", &key, "--expect-head", head, &log]);
    assert!(code == Some(1) && out.contains("cut: "), "{out}");
    let audit = std::fs::read_to_string(folder.join("audit.log")).expect("an audit log");
    assert!(audit.contains("\"list\"") && audit.contains("ada") && !audit.contains(token), "{audit}");

    // Whoever can write to the folder puts tokens of his own in it.
    mode("", 0o777);
    let (status, err) = Process::start_in(&folder, "secure", &["127.0.0.1:0"]).end();
    assert!(status.code() == Some(1) && err.contains("token file") && err.contains("in its place"), "{err}");
    std::fs::remove_dir_all(&folder).expect("deleted");
}
