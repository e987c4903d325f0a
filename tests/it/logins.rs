//! What counts as a failed login, and who is let in while an address waits for some. Attackers and honest clients have addresses of their own: 127.0.0.2 and up.

use crate::demo::demo;
use crate::peer::dial_from;
use crate::peer::{MODERN, Peer, serve, until};
use crate::rates::local;
use crate::raw::{Answer, Head, Raw};
use crate::web::Web;
use mcp_blocking::{Denied, Principal, Running, Server, Settings};
use serde_json::{Value, json};
use std::net::SocketAddr;

const TOKEN: &str = "a-token-of-good-length";
const OTHER: &str = "another-token-of-good-length";
const WRONG: &str = "a-token-that-is-wrong";
const PAGE: &str = "https://app.example";
/// Addresses of an attacker, and of somebody honest.
const BAD: u8 = 2;
const GOOD: u8 = 3;

/// A server on which the second failure costs a second.
fn guarded(settings: Settings) -> Server {
    let settings = settings.limits(|limits| (limits.failed_logins, limits.connect_rate) = (1, 0));
    local(demo().settings(settings))
}

/// A handshake from 127.0.0.`last`, with these fields besides.
fn open(last: u8, address: SocketAddr, fields: &[(&str, &str)]) -> Answer {
    let head = fields.iter().fold(Head::new(address), |head, (name, value)| head.add(name, value));
    let mut raw = Raw::connect_from(last, address);
    // A connection may be turned away before anything is read.
    let _ = raw.try_send(&head.bytes());
    raw.answer()
}

/// The same with that token.
fn login(last: u8, running: &Running, token: &str) -> u16 {
    open(last, running.addr(), &[("Authorization", &format!("Bearer {token}"))]).status
}

/// Fails from there until the address has to wait for some seconds.
fn fail(last: u8, running: &Running) {
    for _ in 0..5 {
        until("it may try again", || login(last, running, WRONG) == 401);
    }
    assert_eq!(login(last, running, WRONG), 429);
}

#[test]
fn a_header_that_nobody_reads_makes_no_attempt_of_a_request() {
    let by_token = Settings::new().bearer_token("alice", TOKEN);
    let by_author = Settings::new().authenticate(|head| match head.bearer() {
        Some(TOKEN) => Ok(Principal::new("alice")),
        _ => Err(Denied),
    });
    for settings in [by_token, by_author] {
        let running = serve(guarded(settings));
        for (name, value) in [("Cookie", "x=1"), ("X-Api-Key", "y"), ("X-Auth-Token", "z")].repeat(4) {
            open(BAD, running.addr(), &[(name, value)]).expect(401);
        }
        assert_eq!(login(BAD, &running, TOKEN), 101);
        // What is read counts, beside them, too; and what was good is good with other ones beside it.
        fail(BAD, &running);
        open(BAD, running.addr(), &[("Authorization", &format!("Bearer {TOKEN}")), ("Cookie", "x=2")]).expect(101);
    }
}

#[test]
fn what_an_authors_own_authentication_reads_is_an_attempt() {
    let sessions = Settings::new().authenticate(|head| {
        let known = head.header("Cookie") == Some("session=sesame");
        known.then(|| Principal::new("ali")).ok_or(Denied)
    });
    let running = serve(guarded(sessions));
    let ask = |last: u8, cookie: &str| open(last, running.addr(), &[("Cookie", cookie)]).status;
    assert_eq!(ask(BAD, "session=sesame"), 101);
    for _ in 0..4 {
        open(BAD, running.addr(), &[]).expect(401);
    }
    assert_eq!(["a", "b", "c"].map(|cookie| ask(BAD, cookie)), [401, 401, 429]);
    assert_eq!(ask(BAD, "session=sesame"), 101);
    assert_eq!(ask(GOOD, "session=sesame"), 101);
}

#[test]
fn one_credential_in_many_spellings_does_not_have_those_of_others_forgotten() {
    const HONEST: usize = 20;
    let token = |number: usize| format!("an-honest-token-number-{number}");
    let settings = (0..HONEST).fold(Settings::new().bearer_token("eve", OTHER), |settings, number| {
        settings.bearer_token(format!("honest {number}"), &token(number))
    });
    let settings = settings.limits(|limits| (limits.rate, limits.principal_rate, limits.address_rate) = (0, 0, 0));
    let running = serve(guarded(settings));
    for number in 0..HONEST {
        assert_eq!(login(GOOD, &running, &token(number)), 101);
    }
    let mut eve = Web::over(Box::new(dial_from(BAD, running.addr())), running.addr());
    eve.revision = MODERN;
    for number in 0..3_000_usize {
        let upper = |at: usize| number >> at & 1 == 1;
        let letters = "bearer".char_indices();
        let spelled: String =
            letters.map(|(at, letter)| if upper(at) { letter.to_ascii_uppercase() } else { letter }).collect();
        let bearer = format!("{spelled}{}{OTHER}", " ".repeat(1 + number % 7));
        let message = eve.make("tools/list", json!({}));
        eve.post(&message, &[("Authorization", &bearer), ("Cookie", &format!("n={number}")), ("X-Api-Key", "eve")]);
        assert_eq!(eve.status(), 200);
    }
    fail(GOOD, &running);
    let refused = (0..HONEST).filter(|number| login(GOOD, &running, &token(*number)) != 101).count();
    assert_eq!(refused, 0, "those were good from there");
}

#[test]
fn a_token_that_many_addresses_share_is_good_at_each_of_them_while_it_waits() {
    let settings = Settings::new().bearer_token("shared", TOKEN);
    let running = serve(guarded(settings.limits(|limits| limits.principal_rate = 0)));
    let addresses = 10..=60;
    for last in addresses.clone() {
        assert_eq!(login(last, &running, TOKEN), 101);
    }
    for last in addresses {
        until("it has to wait", || login(last, &running, WRONG) == 429);
        assert_eq!(login(last, &running, TOKEN), 101, "it was good from 127.0.0.{last}");
    }
}

/// Asks for a ticket with that token.
fn ticket(last: u8, running: &Running, token: &str) -> (u16, String) {
    let mut web = Web::over(Box::new(dial_from(last, running.addr())), running.addr());
    web.send(format!(
        "POST /mcp/ticket HTTP/1.1\r\nHost: {}\r\nOrigin: {PAGE}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n",
        running.addr()
    ));
    let head = web.head();
    let body: Value = serde_json::from_slice(&web.body(&head)).unwrap_or_default();
    (head.status, body["ticket"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_page_goes_on_by_ticket_while_its_address_waits() {
    let settings = Settings::new().bearer_token("alice", TOKEN).bearer_token("bob", OTHER);
    let running = serve(guarded(settings.ticket_endpoint().allow_origin(PAGE)));
    let address = running.addr();
    let offer = |ticket: &str| format!("mcp, mcp.ticket.{ticket}");
    let by_ticket = |ticket: &str, more: &[(&str, &str)]| {
        let offer = offer(ticket);
        open(BAD, address, &[&[("Origin", PAGE), ("Sec-WebSocket-Protocol", offer.as_str())], more].concat()).status
    };
    assert_eq!(ticket(BAD, &running, TOKEN).0, 200);
    fail(BAD, &running);
    let (status, own) = ticket(BAD, &running, TOKEN);
    assert_eq!(status, 200);
    // Neither guesses of tickets are looked at, nor a guess that comes with a good ticket.
    assert_eq!(by_ticket("0123456789abcdef", &[]), 429);
    for guess in [OTHER, WRONG] {
        assert_eq!(by_ticket(&own, &[("Authorization", &format!("Bearer {guess}"))]), 429);
    }
    let offer = offer(&own);
    let headers = [("Origin", PAGE), ("Sec-WebSocket-Protocol", offer.as_str())];
    let mut peer = Peer::over(Box::new(dial_from(BAD, address)), &address.to_string(), &headers).speaking(MODERN);
    assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    assert_eq!(by_ticket(&own, &[]), 429, "it is used up");
    // With the token beside it that was good from there.
    let (_, own) = ticket(BAD, &running, TOKEN);
    assert_eq!(by_ticket(&own, &[("Authorization", &format!("Bearer {TOKEN}"))]), 101);
}

#[cfg(feature = "jwt")]
#[test]
fn a_renewed_token_of_somebody_known_there_is_looked_at_while_its_address_waits() {
    use crate::certs::Files;
    use crate::issuer::{AUDIENCE, Key, NAME, claims, key_set};
    let (key, files) = (Key::p256("a"), Files::new());
    files.write("keys.json", &key_set(&[&key]));
    let jwt = mcp_blocking::jwt::Jwt::issuer(NAME).audience(AUDIENCE).jwks_file(files.path("keys.json"));
    let running = serve(guarded(Settings::new().jwt(jwt)));
    let of = |subject: &str, number: u32| {
        let mut claims = claims();
        (claims["sub"], claims["jti"]) = (json!(subject), json!(number.to_string()));
        claims
    };
    assert_eq!(login(BAD, &running, &key.token(&of("alice", 1))), 101);
    fail(BAD, &running);
    for number in 2..5 {
        assert_eq!(login(BAD, &running, &key.token(&of("alice", number))), 101, "renewed");
    }
    assert_eq!(login(BAD, &running, &key.token(&of("bob", 1))), 429, "he was not there before");
    // Somebody else who says that name is looked at, not let in, and not often.
    let forger = Key::p256("a");
    let answers: Vec<_> = (0..60).map(|number| login(BAD, &running, &forger.token(&of("alice", number)))).collect();
    assert!(answers.contains(&401) && answers.contains(&429), "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
    // Nor does that hurt whom it is not about.
    assert_eq!(login(GOOD, &running, &key.token(&of("bob", 1))), 101);
}
