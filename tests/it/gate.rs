//! Which handshakes are let in, and what are the others told?

use super::demo::demo;
use super::neighbor::{beside, beside_with, exposed};
use super::peer::{Peer, serve};
use super::raw::{Answer, Head, Raw};
use mcp_blocking::{Error, NoArgs, Running, Server};
use serde_json::json;

const TOKEN: &str = "correct-horse-battery-staple";

#[test]
fn hosts_of_loopback_are_let_in() {
    let running = serve(demo());
    let address = running.addr();
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "localhost:1", "[::1]", "[::1]:8080", "127.0.0.2:80"] {
        Head::new(address).set("Host", host).ask(address).expect(101);
    }
}

#[test]
fn foreign_hosts_are_refused_by_the_name_of_the_setting() {
    let running = exposed(demo());
    let _honest = beside(&running);
    let address = running.addr();
    let port = address.port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        "localhost.evil.example".into(),
        "127.0.0.1.nip.io".into(),
        "192.168.1.5".into(),
        "[fd00::1]".into(),
        "[::ffff:8.8.8.8]".into(),
        "localhostt".into(),
    ] {
        let answer = Head::new(address).set("Host", &host).ask(address).expect(403);
        assert!(answer.body.contains("allow_host"), "{host}: {answer:?}");
    }
    // Other spellings of 127.0.0.1 are nobody's name.
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0"] {
        let status = Head::new(address).set("Host", host).ask(address).status;
        assert!([400, 403].contains(&status), "{host}: {status}");
    }
}

#[test]
fn a_host_is_named_once_and_well() {
    let running = exposed(demo());
    let _honest = beside(&running);
    let address = running.addr();
    let head = Head::new(address);
    head.clone().without("Host").ask(address).expect(400);
    head.clone().add("Host", "localhost").ask(address).expect(400);
    head.clone().add("hOST", &address.to_string()).ask(address).expect(400);
    for host in [
        "",
        "a b",
        "http://localhost",
        "user@localhost",
        "localhost:99999",
        "localhost:",
        "[::1",
        "localhost/",
        "lo\u{e9}",
    ] {
        let status = head.clone().set("Host", host).ask(address).status;
        // An empty port is the default port (RFC 3986, 3.2.3): that one may pass.
        assert!(status == 400 || (host == "localhost:" && status == 101), "{host:?}: {status}");
    }
}

#[test]
fn hosts_that_the_author_names_are_let_in() {
    let running =
        serve(demo().allow_host("mcp.example.com").allow_host("*.example.org").allow_host("ported.example:8443"));
    let address = running.addr();
    let ask = |host: &str| Head::new(address).set("Host", host).ask(address).status;
    for host in ["mcp.example.com", "MCP.Example.COM:443", "a.example.org", "a.b.example.org:1", "ported.example:8443"]
    {
        assert_eq!(ask(host), 101, "{host}");
    }
    for host in ["example.com", "x.mcp.example.com", "example.org", "aexample.org", "ported.example:8444"] {
        assert_eq!(ask(host), 403, "{host}");
    }
}

#[test]
fn pages_of_other_origins_are_refused_by_the_name_of_the_setting() {
    let running = exposed(demo());
    let _honest = beside(&running);
    let address = running.addr();
    let (own, port) = (format!("http://{address}"), address.port());
    Head::new(address).add("Origin", &own).ask(address).expect(101);
    for origin in [
        "http://evil.example".to_owned(),
        "https://evil.example".into(),
        "null".into(),
        format!("http://127.0.0.1:{}", port.wrapping_add(1).max(1)),
        "http://127.0.0.1".into(),
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1.evil.example:{port}"),
        format!("ftp://{address}"),
        "chrome-extension://abcdefghijklmnop".into(),
    ] {
        let answer = Head::new(address).add("Origin", &origin).ask(address).expect(403);
        assert!(answer.body.contains("allow_origin"), "{origin}: {answer:?}");
    }
    for origin in [format!("{own}/"), format!("{own} {own}"), format!("//{address}"), "x".into(), format!("{own}/mcp")]
    {
        Head::new(address).add("Origin", &origin).ask(address).expect(403);
    }
    Head::new(address).add("Origin", &own).add("Origin", &own).ask(address).expect(400);
    // A rebound name: both headers agree, and neither is ours.
    Head::new(address).set("Host", "evil.example").add("Origin", "http://evil.example").ask(address).expect(403);
}

#[test]
fn origins_that_the_author_names_are_let_in() {
    let running = serve(demo().allow_origin("https://app.example.com").allow_origin("https://*.example.org"));
    let address = running.addr();
    let ask = |origin: &str| Head::new(address).add("Origin", origin).ask(address).status;
    for origin in ["https://app.example.com", "https://app.example.com:443", "https://a.example.org"] {
        assert_eq!(ask(origin), 101, "{origin}");
    }
    for origin in ["http://app.example.com", "https://app.example.com:8443", "https://example.org", "null"] {
        assert_eq!(ask(origin), 403, "{origin}");
    }
}

/// A page that knocks from 127.0.0.2, over WebSocket and over HTTP; the same is said to both.
#[track_caller]
fn knock(running: &Running, host: Option<&str>, origin: &str) -> Answer {
    let address = running.addr();
    let own = address.to_string();
    let head = Head::new(address).set("Host", host.unwrap_or(&own)).add("Origin", origin);
    let ask = |bytes: Vec<u8>| {
        let mut raw = Raw::connect(address);
        raw.send(&bytes);
        raw.answer()
    };
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "page", "version": "1" } } });
    let hello = hello.to_string();
    let post = head.clone().line("POST /mcp HTTP/1.1").without("Upgrade").set("Connection", "close");
    let post = post.add("Content-Type", "application/json").add("Content-Length", &hello.len().to_string());
    let (socket, http) = (ask(head.bytes()), ask([post.bytes(), hello.into_bytes()].concat()));
    let expected = if socket.status == 101 { 200 } else { socket.status };
    assert_eq!(http.status, expected, "{origin} at {host:?}: {socket:?}, {http:?}");
    http
}

#[test]
fn origins_are_told_apart_to_the_letter_over_both_transports() {
    let server = demo().allow_origin("http://localhost:3000").allow_origin("https://*.example.org");
    let server = server.allow_origin("https://[2001:db8::7]:8443").allow_origin("https://xn--bcher-kva.example");
    let running = exposed(
        server.allow_host("[2001:db8::5]:8443").allow_host("xn--strae-oqa.example").allow_host("*.example.net"),
    );
    let mut honest = beside(&running);
    for origin in [
        "http://localhost:3000",
        "https://a.example.org",
        "https://a.b.example.org:443",
        "https://[2001:db8::7]:8443",
        "https://[2001:DB8:0:0::7]:8443",
        "https://xn--bcher-kva.example",
        "https://XN--BCHER-KVA.example:443",
    ] {
        let answer = knock(&running, None, origin).expect(200);
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some(origin));
    }
    for origin in [
        "null",
        "http://localhost",
        "http://localhost:3001",
        "https://localhost:3000",
        "https://example.org",
        "https://evilexample.org",
        "https://a.example.org:8443",
        "https://a.example.org.evil.example",
        "https://[2001:db8::7]",
        "https://[2001:db8::8]:8443",
        "http://[2001:db8::7]:8443",
        "https://2001:db8::7:8443",
        "https://[::ffff:127.0.0.1]",
        "https://bucher.example",
        "https://b\u{fc}cher.example",
        "https://xn--bcher-kva.example.evil.example",
        "https://xn--bcher-kva.example:8443",
    ] {
        let answer = knock(&running, None, origin).expect(403);
        assert_eq!(answer.field("Access-Control-Allow-Origin"), None, "{origin}");
        honest.assert_served();
    }
    // The server's own pages, by all of its names.
    for host in ["[2001:db8::5]:8443", "[2001:DB8::0:5]:8443", "xn--strae-oqa.example", "a.example.net:8443"] {
        knock(&running, Some(host), &format!("https://{host}")).expect(200);
        knock(&running, Some(host), "null").expect(403);
    }
    for host in ["[2001:db8::6]:8443", "[2001:db8::5]:8444", "strasse.example", "example.net", "evilexample.net"] {
        knock(&running, Some(host), &format!("https://{host}")).expect(403);
    }
}

#[test]
fn behind_a_proxy_that_ends_tls_a_plain_page_of_the_same_name_is_foreign() {
    let proxied = || demo().plaintext_behind_proxy().allow_host("mcp.example.com");
    let running = serve(proxied());
    let host = Some("mcp.example.com");
    knock(&running, host, "https://mcp.example.com").expect(200);
    let refused = knock(&running, host, "http://mcp.example.com").expect(403);
    assert!(refused.body.contains("allow_origin(\"http://mcp.example.com\")"), "{refused:?}");
    // Where the front is plain after all, its author says so.
    let plain = serve(proxied().allow_origin("http://mcp.example.com"));
    knock(&plain, host, "http://mcp.example.com").expect(200);
    // Without a proxy nothing is said of TLS.
    let local = serve(demo());
    knock(&local, None, &format!("http://{}", local.addr())).expect(200);
}

#[test]
fn names_beyond_ascii_are_let_in_as_browsers_write_them() {
    let named = |name: &str| demo().allow_host(name).allow_origin(&format!("https://{name}"));
    let running = exposed(named("xn--bcher-kva.example"));
    let _honest = beside(&running);
    let page = "https://xn--bcher-kva.example";
    for host in [None, Some("xn--bcher-kva.example")] {
        let answer = knock(&running, host, page).expect(200);
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some(page));
        // A Cyrillic letter in it is another name, and looks the same.
        for foreign in ["https://b\u{fc}cher.example", "https://xn--bher-kva0w.example", "https://bucher.example"] {
            knock(&running, host, foreign).expect(403);
        }
    }
    knock(&running, Some("b\u{fc}cher.example"), page).expect(400);
    // Who writes it as it is read is told how to write it.
    let error = named("b\u{fc}cher.example").bind("127.0.0.1:0").expect_err("no name as browsers write it").to_string();
    for setting in ["allow_host", "allow_origin"] {
        assert!(error.contains(setting), "{error}");
    }
    assert_eq!(error.matches("xn--").count(), 2, "{error}");
}

#[test]
fn pages_without_an_origin_of_their_own_come_in_where_the_author_says_so() {
    let bare = demo().allow_origin("null").bind("127.0.0.1:0").expect_err("every page is nobody's").to_string();
    assert!(bare.contains("allow_origin: `null` lets in every web page"), "{bare}");
    // Who asks is known some other way, and what is asked for here is open to all.
    let running = exposed(demo().allow_origin("null").authenticate(|_| Ok(mcp_blocking::Principal::new("somebody"))));
    let answer = knock(&running, None, "null").expect(200);
    assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("null"));
    for origin in ["NULL", "Null", "null null", "https://null", "http://evil.example"] {
        knock(&running, None, origin).expect(403);
    }
    knock(&running, None, &format!("http://{}", running.addr())).expect(200);
}

#[test]
fn tokens_open_the_door_and_nothing_else_does() {
    // Guessing is not slowed down here: each guess is to be told the same.
    let running = exposed(demo().bearer_token("alice", TOKEN).limits(|limits| limits.failed_logins = 1_000));
    let _honest = beside_with(&running, TOKEN);
    let address = running.addr();
    let ask = |value: &str| Head::new(address).add("Authorization", value).ask(address);
    ask(&format!("Bearer {TOKEN}")).expect(101);
    ask(&format!("bearer {TOKEN}")).expect(101);
    let answer = Head::new(address).ask(address).expect(401);
    let challenge = answer.field("WWW-Authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer") && !challenge.contains("error"), "{challenge}");
    let near_miss = TOKEN.replace('e', "f");
    for value in [
        format!("Bearer {}", &TOKEN[1..]),
        format!("Bearer {near_miss}"),
        format!("Bearer {TOKEN}x"),
        format!("Bearer {}", TOKEN.to_uppercase()),
        "Bearer YWxpY2U6eA==".into(),
    ] {
        let answer = ask(&value).expect(401);
        let challenge = answer.field("WWW-Authenticate").expect("a challenge");
        assert!(challenge.contains("invalid_token"), "{challenge}");
        assert!(!format!("{answer:?}").contains(&TOKEN[1..]), "{answer:?}");
    }
    for value in [format!("Basic {TOKEN}"), TOKEN.to_owned(), format!("Token {TOKEN}")] {
        ask(&value).expect(401);
    }
    for value in ["Bearer".to_owned(), "Bearer ".into(), format!("Bearer {TOKEN} {TOKEN}"), format!("Bearer {TOKEN},x")]
    {
        let status = ask(&value).status;
        assert!([400, 401].contains(&status), "{value}: {status}");
    }
    let twice = Head::new(address).add("Authorization", &format!("Bearer {TOKEN}"));
    twice.add("authorization", &format!("Bearer {TOKEN}")).ask(address).expect(400);
    for target in [format!("/mcp?access_token={TOKEN}"), format!("/mcp?token={TOKEN}")] {
        Head::new(address).line(&format!("GET {target} HTTP/1.1")).ask(address).expect(401);
    }
    Head::new(address).add("Sec-WebSocket-Protocol", &format!("mcp, {TOKEN}")).ask(address).expect(401);
    Head::new(address).add("Cookie", &format!("token={TOKEN}")).ask(address).expect(401);
}

#[test]
fn the_holder_of_a_token_is_the_principal_of_its_calls() {
    let other = "another-token-of-good-length";
    let server = demo().bearer_token("alice", TOKEN).bearer_token("bob", other);
    let running = serve(server.tool("who", "Says who asks", |ctx, NoArgs| {
        let client = ctx.client().principal().map(|principal| principal.id().to_owned());
        Ok(format!("{:?} {client:?} {}", ctx.principal().map(|principal| principal.id()), ctx.address().is_loopback()))
    }));
    for (name, token) in [("alice", TOKEN), ("bob", other)] {
        let mut peer = Peer::connect_to(running.addr(), &[("Authorization", &format!("Bearer {token}"))]);
        peer.initialize("2025-11-25");
        let expected = format!("Some({name:?}) Some({name:?}) true");
        assert_eq!(peer.call("who", json!({}))["content"][0]["text"], expected);
    }
}

#[test]
fn the_checks_come_in_an_order_that_tells_strangers_nothing() {
    let running = exposed(demo().bearer_token("alice", TOKEN));
    let _honest = beside_with(&running, TOKEN);
    let address = running.addr();
    let nowhere = Head::new(address).line("POST /nowhere HTTP/1.1");
    nowhere.clone().set("Host", "evil.example").add("Origin", "http://evil.example").ask(address).expect(403);
    let answer = nowhere.clone().add("Origin", "http://evil.example").ask(address).expect(403);
    assert!(answer.body.contains("allow_origin"), "{answer:?}");
    nowhere.clone().ask(address).expect(401);
    nowhere.add("Authorization", &format!("Bearer {TOKEN}")).ask(address).expect(404);
}

#[test]
fn only_one_path_is_served_and_the_answer_names_it() {
    let running = serve(demo());
    let address = running.addr();
    for target in ["/", "/mcp/", "/MCP", "/mcp2", "/%6dcp", "//mcp", "/./mcp", "/mcp%00", "/?/mcp", "/mcp;x"] {
        let answer = Head::new(address).line(&format!("GET {target} HTTP/1.1")).ask(address).expect(404);
        assert!(answer.body.contains("/mcp"), "{target}: {answer:?}");
    }
    Head::new(address).line("GET /mcp?a=1 HTTP/1.1").ask(address).expect(101);
}

#[test]
fn a_handshake_that_is_none_is_told_what_to_change() {
    let running = serve(demo());
    let address = running.addr();
    let head = || Head::new(address);
    for method in ["POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "FOO"] {
        let mut raw = Raw::connect(address);
        raw.send(&head().line(&format!("{method} /mcp HTTP/1.1")).bytes());
        // An answer to HEAD has no body; only its head is of interest.
        let answer = if method == "HEAD" { head().line("PUT /mcp HTTP/1.1").ask(address) } else { raw.answer() };
        assert_eq!(answer.expect(405).field("Allow"), Some("GET"), "{method}");
    }
    let answer = head().without("Upgrade").ask(address).expect(426);
    assert_eq!(answer.field("Upgrade"), Some("websocket"));
    head().set("Upgrade", "h2c").ask(address).expect(426);
    head().set("Upgrade", "h2c, WebSocket").ask(address).expect(101);
    head().without("Connection").ask(address).expect(400);
    head().set("Connection", "keep-alive").ask(address).expect(400);
    head().set("Connection", "keep-alive, uPgRaDe").ask(address).expect(101);
    for version in ["12", "14", "013", "", "x"] {
        let answer = head().set("Sec-WebSocket-Version", version).ask(address).expect(426);
        assert_eq!(answer.field("Sec-WebSocket-Version"), Some("13"), "{version}");
    }
    head().without("Sec-WebSocket-Version").ask(address).expect(426);
    for key in [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZR==",
        "!!!!IHNhbXBsZSBub25jZQ==",
    ] {
        head().set("Sec-WebSocket-Key", key).ask(address).expect(400);
    }
    head().without("Sec-WebSocket-Key").ask(address).expect(400);
    head().add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").ask(address).expect(400);
    let answer = head().add("Sec-WebSocket-Extensions", "permessage-deflate").ask(address).expect(101);
    // The example of RFC 6455, 1.3.
    assert_eq!(answer.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.field("Sec-WebSocket-Extensions"), None);
}

#[test]
fn only_our_own_subprotocol_is_ever_echoed() {
    let running = serve(demo());
    let address = running.addr();
    let chosen = |offered: &str| {
        let answer = Head::new(address).add("Sec-WebSocket-Protocol", offered).ask(address).expect(101);
        answer.field("Sec-WebSocket-Protocol").map(str::to_owned)
    };
    assert_eq!(Head::new(address).ask(address).expect(101).field("Sec-WebSocket-Protocol"), None);
    for offered in ["mcp", "mcp, mcp.auth.secret", "mcp.auth.secret,mcp", "x , mcp , y"] {
        assert_eq!(chosen(offered).as_deref(), Some("mcp"), "{offered}");
    }
    for offered in ["MCP", "mcp.auth.secret", "chat, superchat", "mcp2"] {
        assert_eq!(chosen(offered), None, "{offered}");
    }
    let two = Head::new(address).add("Sec-WebSocket-Protocol", "x").add("Sec-WebSocket-Protocol", "mcp");
    assert_eq!(two.ask(address).expect(101).field("Sec-WebSocket-Protocol"), Some("mcp"));
    for offered in ["mcp, mcp", "a b", "m\"cp", ","] {
        Head::new(address).add("Sec-WebSocket-Protocol", offered).ask(address).expect(400);
    }
    assert_eq!(Peer::connect(&running).protocol.as_deref(), Some("mcp"));
}

#[test]
fn a_refused_connection_is_closed_and_its_answer_arrives_whole() {
    let running = serve(demo());
    let address = running.addr();
    for _ in 0..20 {
        let mut raw = Raw::connect(address);
        // More than is read before the answer: closing with unread bytes must not destroy it.
        raw.send(&[Head::new(address).set("Host", "evil.example").bytes(), vec![b'x'; 1_500]].concat());
        let answer = raw.answer();
        assert!([400, 403].contains(&answer.status), "{answer:?}");
        assert_eq!(answer.field("Connection").map(str::to_ascii_lowercase).as_deref(), Some("close"), "{answer:?}");
        raw.wait_end();
    }
    assert_eq!(running.handle().status().connections_refused, 20);
}

#[test]
fn beyond_loopback_it_starts_only_with_authentication_and_tls_or_their_overrides() {
    let missing = |server: Server| match server.bind("0.0.0.0:0") {
        Err(Error::Exposed { missing, .. }) => missing,
        other => panic!("it should be refused: {other:?}"),
    };
    let text = missing(demo());
    assert!(text.contains("bearer_token") && text.contains("dangerous_allow_anonymous"), "{text}");
    missing(demo().plaintext_behind_proxy());
    let text = missing(demo().bearer_token("alice", TOKEN));
    assert!(text.contains("plaintext_behind_proxy"), "{text}");
    missing(demo().dangerous_allow_anonymous());
    for address in ["[::]:0", "192.0.2.1:0", "[2001:db8::1]:0"] {
        assert!(matches!(demo().bind(address), Err(Error::Exposed { .. })), "{address}");
    }
    let also = demo().bind("127.0.0.1:0").expect("loopback is fine").and_bind("0.0.0.0:0");
    assert!(matches!(also, Err(Error::Exposed { .. })), "{also:?}");
}
