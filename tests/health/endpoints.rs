//! What is said where, in which form, to whom.

use super::client::{Client, ask, exchange, exchange_bytes, get, probe, probe_address, serve};
use mcp_blocking::{ClosedBy, Error, Listener, Message, Peer, Server, Service, Settings};
use std::time::Duration;

const TEXT: &str = "text/plain; charset=utf-8";

#[test]
fn health_says_what_the_server_is_and_does() {
    let running = serve(Server::new("notes", "1.2.3"));
    let address = probe_address(&running);
    let _client = Client::connect(running.addr());
    let answer = get(address, "/health");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let report = answer.json();
    assert_eq!(report["status"], "ok");
    assert_eq!((&report["server"]["name"], &report["server"]["version"]), (&"notes".into(), &"1.2.3".into()));
    assert_eq!(report["clients"], 1);
    for number in ["inFlight", "queueDepth", "workersWrittenOff"] {
        assert_eq!(report[number], 0, "{number}: {report}");
    }
    assert!(report["uptimeSeconds"].as_f64().expect("a number") > 0.0);
    assert!(report["workers"].is_u64());
    assert!(report["memory"]["limitBytes"].as_u64() > report["memory"]["usedBytes"].as_u64());
    running.shutdown(Duration::from_secs(5)).expect("ends");
}

#[test]
fn health_and_ready_can_be_had_as_text() {
    let running = serve(Server::new("notes", "1.2.3"));
    let address = probe_address(&running);
    for answer in [get(address, "/health?format=text"), ask(address, "GET", "/health", &["Accept: text/plain"])] {
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(TEXT)));
        let lines: Vec<_> = answer.body.lines().collect();
        assert_eq!(lines[..2], ["ok", "server: notes 1.2.3"]);
        assert!(lines.contains(&"clients: 0") && lines.contains(&"workers written off: 0"), "{lines:?}");
    }
    assert_eq!(get(address, "/ready?format=text").body, "ready\n");
    let ready = get(address, "/ready");
    assert_eq!((ready.status, ready.json()), (200, serde_json::json!({ "ready": true })));
}

#[test]
fn head_has_the_same_head_and_no_body() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    for path in ["/ready", "/health?format=text", "/metrics"] {
        let (get, head) = (get(address, path), ask(address, "HEAD", path, &[]));
        assert_eq!(head.status, 200);
        assert_eq!(head.body, "");
        assert_eq!(head.header("Content-Type"), get.header("Content-Type"));
        let length: usize = get.header("Content-Length").expect("a length").parse().expect("a number");
        assert_eq!(length, get.body.len());
        assert!(head.header("Content-Length").is_some());
    }
    let refused = ask(address, "HEAD", "/nothing", &[]);
    assert_eq!((refused.status, refused.body.as_str()), (404, ""));
}

#[test]
fn metrics_have_the_content_type_of_their_format() {
    let running = serve(Server::new("notes", "1"));
    let answer = get(probe_address(&running), "/metrics");
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
}

#[test]
fn other_methods_and_paths_are_told_what_there_is() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "BREW"] {
        let answer = ask(address, method, "/health", &[]);
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, HEAD")), "{method}");
        assert_eq!(answer.body, "ask with GET or HEAD\n");
    }
    for path in ["/", "/healthz", "/health/", "/Health", "/%68ealth", "//health", "/mcp"] {
        let answer = get(address, path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, "nothing is here; try /health, /ready or /metrics\n");
    }
}

#[test]
fn bodies_and_smuggling_are_refused_and_the_connection_is_closed() {
    let running = serve(Server::new("notes", "1"));
    let address = probe_address(&running);
    let second = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let requests = [
        ("a body", "Content-Length: 5\r\n\r\nhello".to_owned()),
        ("a body that does not come", "Content-Length: 5\r\n\r\n".into()),
        ("a chunked body", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        ("both", format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}")),
        ("both, the other way around", format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{second}")),
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: 44\r\n\r\n{second}")),
        ("the same length twice", format!("Content-Length: 0\r\nContent-Length: 0\r\n\r\n{second}")),
        ("a list of lengths", format!("Content-Length: 0, 0\r\n\r\n{second}")),
        ("a signed length", format!("Content-Length: +0\r\n\r\n{second}")),
        ("a folded line", format!("X: a\r\n Content-Length: 44\r\n\r\n{second}")),
        ("a folded coding", format!("Transfer-Encoding:\r\n chunked\r\n\r\n{second}")),
        ("a blank before the colon", format!("Transfer-Encoding : chunked\r\n\r\n{second}")),
        ("a bare line feed", format!("X: a\nContent-Length: 44\r\n\r\n{second}")),
        ("bare line feeds at the end", format!("X: a\n\n{second}")),
        ("a bare carriage return", format!("X: a\rContent-Length: 44\r\n\r\n{second}")),
        ("a NUL", format!("X: a\0\r\n\r\n{second}")),
        ("a second request", format!("\r\n{second}")),
        ("a second host", "Host: localhost\r\n\r\n".into()),
    ];
    for (what, rest) in requests {
        for path in ["/health", "/nothing"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{rest}");
            let answer = exchange(address, &request);
            assert_eq!(answer.status, 400, "{what}: {answer:?}");
            assert!(!answer.body.contains("HTTP/1.1"), "{what}: two answers");
        }
    }
    assert_eq!(exchange(address, "GET /health HTTP/1.1\r\n\r\n").status, 400, "no host");
    assert_eq!(exchange(address, "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").status, 505);
    assert_eq!(ask(address, "GET", "/health", &["Content-Length: 0"]).status, 200, "an empty body is none");
    let tls = exchange_bytes(address, &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]);
    assert!(tls.starts_with(b"HTTP/1.1 400 "), "TLS on a plain port");
}

#[test]
fn foreign_hosts_and_origins_are_refused_by_the_rules_of_the_main_port() {
    let server = || Server::new("notes", "1").allow_host("probe.example").allow_origin("https://status.example");
    let running = serve(server());
    let address = probe_address(&running);
    probe(address);
    for host in ["attacker.example", "127.0.0.1.attacker.example", "10.0.0.1"] {
        let answer = exchange(address, &format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert!(matches!(answer.status, 403 | 421), "{host}: {answer:?}");
        assert!(answer.body.contains("allow_host"), "{answer:?}");
    }
    for origin in ["https://attacker.example", "null", "http://localhost:1"] {
        let answer = ask(address, "GET", "/health", &[&format!("Origin: {origin}")]);
        assert_eq!(answer.status, 403, "{origin}");
    }
    probe(address);
    for host in [format!("localhost:{}", address.port()), "localhost".into(), "probe.example".into()] {
        assert_eq!(exchange(address, &format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n")).status, 200, "{host}");
    }
    for origin in [format!("http://{address}"), "https://status.example".into()] {
        assert_eq!(ask(address, "GET", "/health", &[&format!("Origin: {origin}")]).status, 200, "{origin}");
    }
}

#[test]
fn an_address_beyond_loopback_needs_the_same_settings_as_the_main_one() {
    let bound = || Server::new("notes", "1").bind("127.0.0.1:0").expect("binds");
    assert!(matches!(bound().health("0.0.0.0:0"), Err(Error::Exposed { .. })));
    assert!(matches!(bound().health("no address"), Err(Error::Address { .. })));
    let settings = Settings::new().dangerous_allow_anonymous().plaintext_behind_proxy();
    let server = Server::new("notes", "1").settings(settings);
    let running =
        server.bind("127.0.0.1:0").expect("binds").health("0.0.0.0:0").expect("binds").start().expect("starts");
    let port = probe_address(&running).port();
    assert_eq!(get(([127, 0, 0, 1], port).into(), "/health").status, 200);
}

#[test]
fn without_being_asked_for_there_is_no_health_address() {
    let bound = Server::new("notes", "1").bind("127.0.0.1:0").expect("binds");
    assert_eq!(bound.health_addr(), None);
    let running = bound.start().expect("starts");
    assert_eq!(running.health_addr(), None);
    assert_eq!(get(running.addr(), "/health").status, 404);
}

#[test]
fn the_main_port_answers_behind_the_gate_if_it_is_asked_to() {
    let token = "a-token-that-is-long-enough-for-anybody";
    let bound = Server::new("notes", "1").health_on_main().bearer_token("probe", token).bind("127.0.0.1:0");
    let running = bound.expect("binds").start().expect("starts");
    let address = running.addr();
    let bearer = format!("Authorization: Bearer {token}");
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(get(address, path).status, 401, "{path}");
        assert_eq!(ask(address, "GET", path, &[&bearer]).status, 200, "{path}");
        assert_eq!(ask(address, "HEAD", path, &[&bearer]).body, "");
        assert_eq!(ask(address, "POST", path, &[&bearer]).status, 405);
        assert_eq!(ask(address, "GET", path, &[&bearer, "Content-Length: 3"]).status, 400);
        assert_eq!(ask(address, "GET", path, &[&bearer, "Origin: https://attacker.example"]).status, 403);
    }
    let elsewhere = format!("GET /health HTTP/1.1\r\nHost: attacker.example\r\n{bearer}\r\n\r\n");
    assert!(matches!(exchange(address, &elsewhere).status, 403 | 421));
    assert_eq!(ask(address, "GET", "/nothing", &[&bearer]).status, 404);
    running.shutdown(Duration::from_secs(5)).expect("ends");
}

struct Quiet;

impl Service for Quiet {
    type Session = ();

    fn open(&self, _peer: &Peer) -> Result<(), ClosedBy> {
        Ok(())
    }

    fn message(&self, (): &mut (), _peer: &Peer, _message: Message) {}
}

#[test]
fn a_listener_of_other_protocols_has_it_too() {
    let listener = Listener::new().service("/quiet", Quiet).settings(Settings::new().health_on_main());
    let bound = listener.bind("127.0.0.1:0").expect("binds").health("127.0.0.1:0").expect("binds");
    let running = bound.start().expect("starts");
    for address in [probe_address_of(&running), running.addr()] {
        let report = get(address, "/health").json();
        assert_eq!(report["server"]["name"], "mcp-blocking");
        assert_eq!(get(address, "/ready").status, 200);
    }
    running.shutdown(Duration::from_secs(5)).expect("ends");
}

fn probe_address_of<H>(running: &mcp_blocking::Running<H>) -> std::net::SocketAddr {
    running.health_addr().expect("a health address")
}
