//! Web pages, which cannot send an `Authorization` header with a WebSocket: one-time tickets, and tokens as subprotocols.

use super::demo::demo;
use super::neighbor::{beside_with, exposed};
use super::peer::{MODERN, Peer, serve, until};
use super::raw::{Answer, Head};
use super::web::Web;
use mcp_blocking::{Principal, Running, Server, Settings, TicketError, Token};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const TOKEN: &str = "correct-horse-battery-staple";
const OTHER: &str = "another-token-of-good-length";
const PAGE: &str = "https://app.example";
const ELSEWHERE: &str = "https://other.example";

fn server() -> Server {
    demo().settings(
        Settings::new()
            .token(Token::new("ada", TOKEN))
            .token(Token::new("bob", OTHER))
            .ticket_endpoint()
            .allow_origin(PAGE)
            .allow_origin(ELSEWHERE),
    )
}

fn handshake(running: &Running, origin: &str, offered: &str) -> Head {
    Head::new(running.addr()).add("Origin", origin).add("Sec-WebSocket-Protocol", offered)
}

fn open(running: &Running, origin: &str, ticket: &str) -> Answer {
    handshake(running, origin, &format!("mcp, mcp.ticket.{ticket}")).ask(running.addr())
}

fn issue(running: &Running) -> String {
    running.handle().issue_ticket(&Principal::new("ada"), PAGE).expect("a ticket").as_str().to_owned()
}

/// Asks for a ticket over HTTP.
fn ask(running: &Running, method: &str, headers: &[(&str, &str)]) -> (super::web::Head, Vec<u8>) {
    let mut web = Web::connect(running);
    let mut text = format!("{method} /mcp/ticket HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n", running.addr());
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    web.send(format!("{text}\r\n"));
    let head = web.head();
    let body = web.body(&head);
    (head, body)
}

#[test]
fn a_page_opens_one_websocket_with_a_ticket() {
    let running = serve(server());
    let ticket = running.handle().issue_ticket(&Principal::new("ada"), PAGE).expect("a ticket");
    assert_eq!((ticket.as_str().len(), ticket.expires_in()), (43, Duration::from_secs(30)));
    assert!(!format!("{ticket:?}").contains(ticket.as_str()));
    let offered = ticket.subprotocols().join(", ");
    let headers = [("Origin", PAGE), ("Sec-WebSocket-Protocol", offered.as_str())];
    let mut peer = Peer::connect_to(running.addr(), &headers).speaking(MODERN);
    assert_eq!(peer.protocol.as_deref(), Some("mcp"));
    assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    assert_eq!(running.handle().clients()[0].principal().map(Principal::id), Some("ada"));
    // Once.
    let again = handshake(&running, PAGE, &offered).ask(running.addr()).expect(401);
    assert!(!format!("{again:?}").contains(ticket.as_str()) && again.body.contains("works once"), "{again:?}");
    peer.barrier();
}

#[test]
fn a_ticket_in_the_wrong_hands_opens_nothing_and_hurts_nobody() {
    // Guessing is not slowed down here: each guess is to be told the same.
    let running = exposed(server().limits(|limits| limits.failed_logins = 1_000));
    let _honest = beside_with(&running, TOKEN);
    let (stolen, honest) = (issue(&running), issue(&running));
    let before = running.handle().status().connections_refused;
    open(&running, ELSEWHERE, &stolen).expect(401);
    // It was seen elsewhere: it is worth nothing to anybody.
    open(&running, PAGE, &stolen).expect(401);
    open(&running, "https://evil.example", &honest).expect(403);
    Head::new(running.addr())
        .add("Sec-WebSocket-Protocol", &format!("mcp, mcp.ticket.{}", issue(&running)))
        .ask(running.addr())
        .expect(401);
    for guess in ["0123456789abcdef", &"A".repeat(43), &"-".repeat(128)] {
        open(&running, PAGE, guess).expect(401);
    }
    let two = format!("mcp, mcp.ticket.{}, mcp.ticket.{}", issue(&running), issue(&running));
    for offered in
        [two.as_str(), "mcp, mcp.ticket.", "mcp, mcp.ticket.a.b", "mcp, mcp.ticket.0123456789abcdef, mcp.auth.x"]
    {
        handshake(&running, PAGE, offered).ask(running.addr()).expect(400);
    }
    // The token of another principal beside it.
    let other = handshake(&running, PAGE, &format!("mcp, mcp.ticket.{}", issue(&running)));
    other.add("Authorization", &format!("Bearer {OTHER}")).ask(running.addr()).expect(401);
    assert_eq!(running.handle().status().connections_refused - before, 12);
    // A URL is no place for it.
    let query = Head::new(running.addr()).line(&format!("GET /mcp?ticket={} HTTP/1.1", issue(&running)));
    let answer = query.add("Origin", PAGE).ask(running.addr()).expect(401);
    assert!(answer.body.contains("URL"), "{answer:?}");
    open(&running, PAGE, &honest).expect(101);
}

#[test]
fn a_ticket_does_not_live_long() {
    let running = exposed(server().limits(|limits| limits.ticket_lifetime = Duration::from_millis(1)));
    let _honest = beside_with(&running, TOKEN);
    let ticket = issue(&running);
    let issued = SystemTime::now();
    until("its time is over", || issued.elapsed().is_ok_and(|time| time > Duration::from_millis(2)));
    open(&running, PAGE, &ticket).expect(401);
}

#[test]
fn a_connection_by_ticket_ends_with_its_principal() {
    let running = serve(server());
    let soon = SystemTime::now() + Duration::from_millis(500);
    let ticket = running.handle().issue_ticket(&Principal::new("ada").expiring(soon), PAGE).expect("a ticket");
    let offered = ticket.subprotocols().join(", ");
    let mut peer = Peer::connect_to(running.addr(), &[("Origin", PAGE), ("Sec-WebSocket-Protocol", &offered)]);
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1008));
}

#[test]
fn a_page_with_a_token_gets_a_ticket_over_http() {
    let running = exposed(server());
    let _honest = beside_with(&running, TOKEN);
    let bearer = format!("Bearer {TOKEN}");
    let (head, body) = ask(&running, "POST", &[("Origin", PAGE), ("Authorization", &bearer)]);
    assert_eq!(head.status, 200);
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!((head.header("access-control-allow-origin"), head.header("vary")), (Some(PAGE), Some("Origin")));
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    let ticket = answer["ticket"].as_str().expect("a ticket");
    assert_eq!(answer["expires_in"], 30);
    assert_eq!(answer["subprotocols"], json!(["mcp", format!("mcp.ticket.{ticket}")]));
    open(&running, PAGE, ticket).expect(101);
    for (status, method, headers) in [
        (401, "POST", vec![("Origin", PAGE)]),
        (401, "POST", vec![("Origin", PAGE), ("Authorization", "Bearer wrong-token-of-good-length")]),
        (403, "POST", vec![("Origin", "https://evil.example"), ("Authorization", &bearer)]),
        (400, "POST", vec![("Authorization", &bearer)]),
        (405, "GET", vec![("Origin", PAGE), ("Authorization", &bearer)]),
    ] {
        assert_eq!(ask(&running, method, &headers).0.status, status, "{method} {headers:?}");
    }
    let preflight = [
        ("Origin", PAGE),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    assert_eq!(ask(&running, "OPTIONS", &preflight).0.status, 204);
}

#[test]
fn a_ticket_is_worth_as_much_as_the_token_it_was_got_with() {
    let running = serve(server());
    let got = || {
        let (head, body) = ask(&running, "POST", &[("Origin", PAGE), ("Authorization", &format!("Bearer {TOKEN}"))]);
        assert_eq!(head.status, 200);
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        answer["ticket"].as_str().expect("a ticket").to_owned()
    };
    let offered = format!("mcp, mcp.ticket.{}", got());
    let headers = [("Origin", PAGE), ("Sec-WebSocket-Protocol", offered.as_str())];
    let mut page = Peer::connect_to(running.addr(), &headers).speaking(MODERN);
    let unused = got();
    let mut bob = Peer::connect_to(running.addr(), &[("Authorization", &format!("Bearer {OTHER}"))]).speaking(MODERN);
    assert_eq!(running.handle().set_tokens([Token::new("bob", OTHER)]).expect("a good token"), (0, 1));
    let (code, reason) = page.closed().expect("a close frame");
    assert!(code == 1008 && reason.contains("not accepted"), "{code} {reason}");
    open(&running, PAGE, &unused).expect(401);
    assert_eq!(bob.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
}

#[test]
fn tickets_are_bounded_for_each_principal_and_in_all() {
    let running = exposed(server().limits(|limits| (limits.tickets, limits.tickets_per_principal) = (3, 2)));
    let _honest = beside_with(&running, TOKEN);
    let handle = running.handle();
    let mine = issue(&running);
    issue(&running);
    assert_eq!(handle.issue_ticket(&Principal::new("ada"), PAGE), Err(TicketError::TooMany));
    let (head, _) = ask(&running, "POST", &[("Origin", PAGE), ("Authorization", &format!("Bearer {TOKEN}"))]);
    assert_eq!((head.status, head.header("retry-after")), (429, Some("5")));
    let bob = handle.issue_ticket(&Principal::new("bob"), PAGE).expect("a ticket");
    assert_eq!(handle.issue_ticket(&Principal::new("eve"), PAGE), Err(TicketError::Full));
    open(&running, PAGE, bob.as_str()).expect(101);
    open(&running, PAGE, &mine).expect(101);
    issue(&running);
}

#[test]
fn tickets_are_taken_where_they_are_turned_on_and_for_pages() {
    let running = serve(server());
    for origin in ["null", "", "app.example", "https://a.example/x", "*"] {
        assert_eq!(running.handle().issue_ticket(&Principal::new("ada"), origin), Err(TicketError::Origin), "{origin}");
    }
    let without = serve(demo().bearer_token("ada", TOKEN).allow_origin(PAGE));
    assert_eq!(without.handle().issue_ticket(&Principal::new("ada"), PAGE), Err(TicketError::Disabled));
    let (head, _) = ask(&without, "POST", &[("Origin", PAGE), ("Authorization", &format!("Bearer {TOKEN}"))]);
    assert_eq!(head.status, 404);
    // With tickets alone, nobody else gets in.
    let alone = serve(demo().settings(Settings::new().tickets().allow_origin(PAGE)));
    Head::new(alone.addr()).ask(alone.addr()).expect(401);
    handshake(&alone, PAGE, "mcp").ask(alone.addr()).expect(401);
    open(&alone, PAGE, &issue(&alone)).expect(101);
}

#[test]
fn a_token_as_a_subprotocol_counts_where_that_is_allowed() {
    let encoded = "a-token/with+slash=";
    let settings = Settings::new().bearer_token("ada", TOKEN).bearer_token("bob", encoded);
    let running = exposed(demo().settings(settings.token_as_subprotocol()));
    let _honest = beside_with(&running, TOKEN);
    let ask = |offered: &str| handshake(&running, &format!("http://{}", running.addr()), offered).ask(running.addr());
    let answer = ask(&format!("mcp.auth.{TOKEN}, mcp")).expect(101);
    assert_eq!(answer.field("Sec-WebSocket-Protocol"), Some("mcp"));
    ask("mcp, mcp.auth64.YS10b2tlbi93aXRoK3NsYXNoPQ").expect(101);
    ask(&format!("mcp, mcp.auth.{OTHER}")).expect(401);
    ask(&format!("mcp, mcp.auth.{TOKEN}, mcp.auth64.YS10b2tlbi93aXRoK3NsYXNoPQ")).expect(400);
    ask("mcp, mcp.auth.").expect(400);
    let both = handshake(&running, &format!("http://{}", running.addr()), &format!("mcp, mcp.auth.{TOKEN}"));
    both.add("Authorization", &format!("Bearer {TOKEN}")).ask(running.addr()).expect(400);
    // An author's own authentication finds it where it finds the others.
    let own = Settings::new().token_as_subprotocol().authenticate(|head| match head.bearer() {
        Some(TOKEN) => Ok(Principal::new("ada")),
        _ => Err(mcp_blocking::Denied),
    });
    let own = serve(demo().settings(own));
    let ask = |offered: &str| Head::new(own.addr()).add("Sec-WebSocket-Protocol", offered).ask(own.addr());
    ask(&format!("mcp, mcp.auth.{TOKEN}")).expect(101);
    ask(&format!("mcp, mcp.auth.{OTHER}")).expect(401);
    // Elsewhere it does not count, and is no reason to turn anybody away.
    let without = serve(demo().bearer_token("ada", TOKEN));
    let offered = Head::new(without.addr()).add("Sec-WebSocket-Protocol", &format!("mcp, mcp.auth.{TOKEN}"));
    let answer = offered.clone().ask(without.addr()).expect(401);
    assert!(answer.body.contains("token_as_subprotocol") && !answer.body.contains(TOKEN), "{answer:?}");
    offered.add("Authorization", &format!("Bearer {TOKEN}")).ask(without.addr()).expect(101);
}
