//! What must never stand in the log, or in what a program shows of its server.

use super::{capture, check, lines, server};
use crate::peer::{MODERN, Peer, serve, until};
use crate::raw::Head;
use mcp_blocking::{Principal, Server, Settings, Token};
use serde_json::json;
use std::time::SystemTime;

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
