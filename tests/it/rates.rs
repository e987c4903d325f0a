//! How often may whom ask? Attackers and honest clients have addresses of their own: 127.0.0.2 and up.

use crate::demo::demo;
use crate::peer::{ALL, MODERN, Peer, dial_from, serve, turnstile, until};
use crate::raw::{Answer, Head, Raw};
use crate::tasks::{begin, knowing, reach};
use crate::web::Web;
use mcp_blocking::{NoArgs, RateLimit, Running, Server, TaskSupport, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

const TOKEN: &str = "a-token-of-good-length";
const OTHER: &str = "another-token-of-good-length";
const RATE_LIMITED: i64 = -31002;
const BUSY: i64 = -31001;
/// Addresses of an attacker, and of somebody honest.
const BAD: u8 = 2;
const GOOD: u8 = 3;
const HOUR: Duration = Duration::from_secs(3_600);

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A WebSocket from 127.0.0.`last`.
fn peer(last: u8, address: SocketAddr, token: Option<&str>) -> Peer {
    let bearer = token.map(bearer);
    let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    Peer::over(Box::new(dial_from(last, address)), &address.to_string(), &headers)
}

fn web(last: u8, address: SocketAddr) -> Web {
    Web::over(Box::new(dial_from(last, address)), address)
}

/// The status of a handshake from 127.0.0.`last`, with that token.
fn handshake(last: u8, address: SocketAddr, token: Option<&str>) -> Answer {
    let head = Head::new(address);
    let head = token.map_or(head.clone(), |token| head.add("Authorization", &bearer(token)));
    head.ask_from(last, address)
}

/// Sends pings until one is refused; how many were answered, and the error.
fn flood(peer: &mut Peer, most: usize) -> (usize, Value) {
    for count in 0..most {
        let answer = peer.request("ping", json!({}));
        if !answer["error"].is_null() {
            return (count, answer["error"].clone());
        }
    }
    panic!("{most} pings, and no limit")
}

fn echoes(peer: &mut Peer) {
    assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
}

#[track_caller]
fn assert_delayed(error: &Value) {
    assert_eq!(error["code"], RATE_LIMITED, "{error}");
    assert!(error["data"]["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0), "{error}");
}

#[test]
fn a_websocket_that_sends_far_too_much_is_closed_and_its_neighbor_is_not_hurt() {
    let running = serve(demo().limits(|limits| (limits.rate, limits.burst) = (1, 20)));
    let address = running.addr();
    for revision in ["2025-11-25", MODERN] {
        let mut good = peer(GOOD, address, None).speaking(revision);
        // Too much for a while is borne: each request is answered.
        let mut hasty = peer(BAD, address, None).speaking(revision);
        let answers: Vec<_> = (0..32).map(|_| hasty.request("tools/list", json!({}))["error"].clone()).collect();
        assert!(answers.iter().filter(|error| !error.is_null()).inspect(|error| assert_delayed(error)).count() > 10);
        let mut bad = peer(BAD, address, None).speaking(revision);
        for _ in 0..150 {
            bad.try_send(&json!({ "jsonrpc": "2.0", "method": "notifications/acme" }));
        }
        let closed = bad.closed();
        assert!(
            closed.as_ref().is_some_and(|(code, reason)| *code == 1008 && reason.contains("too many")),
            "{closed:?}"
        );
        echoes(&mut good);
        assert!(hasty.request("tools/list", json!({})).is_object());
    }
}

#[test]
fn a_flood_of_messages_counts_as_many_new_connections_of_its_address() {
    let running = serve(local(demo()).limits(|limits| {
        (limits.rate, limits.burst) = (1, 20);
        (limits.connect_rate, limits.connect_burst) = (1, 25);
    }));
    let address = running.addr();
    let mut bad = peer(BAD, address, None).speaking("2025-11-25");
    for _ in 0..150 {
        bad.try_send(&json!({ "jsonrpc": "2.0", "method": "notifications/acme" }));
    }
    assert_eq!(bad.closed().map(|(code, _)| code), Some(1008));
    // Without the flood, all of these would be let in.
    assert!((0..18).any(|_| handshake(BAD, address, None).status == 429));
    handshake(GOOD, address, None).expect(101);
}

#[test]
fn a_principal_has_one_rate_over_all_of_its_connections_and_others_have_their_own() {
    let server = demo().bearer_token("alice", TOKEN).bearer_token("bob", OTHER);
    let running = serve(server.limits(|limits| (limits.principal_rate, limits.principal_burst) = (1, 60)));
    let address = running.addr();
    let mut first = peer(BAD, address, Some(TOKEN)).speaking("2025-11-25");
    let (answered, error) = flood(&mut first, 80);
    assert!(answered >= 40, "{answered}");
    assert_delayed(&error);
    // Neither another connection nor another address, transport or era of hers has more.
    let mut second = peer(GOOD, address, Some(TOKEN));
    assert!((0..10).any(|_| !second.request("ping", json!({}))["error"].is_null()));
    let mut third = web(GOOD, address);
    third.revision = MODERN;
    let refused = (0..10).any(|_| {
        let message = third.make("tools/list", json!({}));
        third.post(&message, &[("Authorization", &bearer(TOKEN))]);
        let head = third.head();
        let answers = third.messages(&head);
        if head.status == 429 {
            assert!(head.header("retry-after").is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time >= 1)));
            assert_delayed(&answers[0]["error"]);
        }
        head.status == 429
    });
    assert!(refused);
    // Somebody else is not hurt, at the same address.
    for revision in ALL {
        let mut bob = peer(BAD, address, Some(OTHER)).speaking(revision);
        echoes(&mut bob);
    }
}

/// Counts what comes from 127.0.0.1 and its like, too.
pub fn local(server: Server) -> Server {
    server.limits(|limits| limits.limit_loopback = true)
}

#[test]
fn an_address_has_one_rate_whatever_it_sends_and_its_neighbor_is_not_hurt() {
    let server = local(demo()).limits(|limits| (limits.address_rate, limits.address_burst) = (1, 100));
    let running = serve(server);
    let address = running.addr();
    for revision in ["2025-06-18", MODERN] {
        let mut good = peer(GOOD, address, None).speaking(revision);
        echoes(&mut good);
    }
    // Notifications and malformed messages are worth as much as requests.
    let mut bad = peer(BAD, address, None).speaking("2025-06-18");
    for _ in 0..50 {
        bad.notify("notifications/nothing", json!({}));
        bad.send_text("{}");
    }
    assert!((0..5).any(|_| !bad.request("ping", json!({}))["error"].is_null()));
    // Nor does HTTP help, also where nothing could be read or there is no session.
    let mut bad = web(BAD, address);
    let statuses: Vec<_> = (0..10)
        .map(|number| {
            let headers =
                [("Content-Type", "application/json"), ("Mcp-Session-Id", "nobody"), ("Accept", crate::web::BOTH)];
            bad.ask(
                "POST",
                &headers,
                if number % 2 == 0 { "{" } else { r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"# },
            );
            bad.status()
        })
        .collect();
    assert!(statuses.contains(&429) && statuses.iter().all(|status| [400, 404, 429].contains(status)), "{statuses:?}");
    for revision in ["2025-06-18", MODERN] {
        let mut good = peer(GOOD, address, None).speaking(revision);
        echoes(&mut good);
        let mut good = web(GOOD, address).speaking(revision);
        assert_eq!(good.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    }
    assert!(running.handle().status().rate_limited > 0);
}

#[test]
fn an_address_opens_so_many_connections_and_no_more_and_its_neighbor_is_let_in() {
    let server = local(demo()).limits(|limits| (limits.connect_rate, limits.connect_burst) = (1, 20));
    let running = serve(server);
    let address = running.addr();
    let answers: Vec<_> = (0..32).map(|_| handshake(BAD, address, None)).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers.iter().filter(|answer| answer.status == 101).count() >= 20 && !refused.is_empty());
    assert!(refused.iter().all(|answer| answer.field("Retry-After").is_some()), "{refused:?}");
    assert!(refused[0].body.contains("limits.connect_rate"), "{refused:?}");
    for revision in ALL {
        echoes(&mut peer(GOOD, address, None).speaking(revision));
    }
}

#[test]
fn local_clients_are_not_limited_for_their_address_by_default() {
    let server = demo().bearer_token("alice", TOKEN).limits(|limits| {
        (limits.connect_rate, limits.connect_burst, limits.failed_logins) = (1, 1, 1);
        (limits.address_rate, limits.address_burst, limits.connections_per_address) = (1, 1, 1);
    });
    let running = serve(server);
    let _all: Vec<_> = (0..20)
        .map(|_| {
            handshake(1, running.addr(), Some(OTHER)).expect(401);
            let mut peer = peer(1, running.addr(), Some(TOKEN)).speaking("2025-11-25");
            echoes(&mut peer);
            peer
        })
        .collect();
}

fn guarded(failed_logins: u32) -> Running {
    let server = local(demo()).bearer_token("alice", TOKEN).bearer_token("bob", OTHER);
    serve(server.limits(|limits| (limits.failed_logins, limits.connect_rate) = (failed_logins, 0)))
}

#[test]
fn who_fails_to_log_in_has_to_wait_and_learns_of_no_guess() {
    let running = guarded(3);
    let address = running.addr();
    // Who was accepted from there before is not locked out by it.
    echoes(&mut peer(BAD, address, Some(OTHER)).speaking("2025-11-25"));
    let mut open = peer(BAD, address, Some(OTHER)).speaking("2025-11-25");
    let post = |token: &str| {
        let mut web = web(BAD, address);
        web.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }), &[("Authorization", &bearer(token))]);
        web.head()
    };
    for _ in 0..2 {
        handshake(BAD, address, Some("a-token-that-is-wrong")).expect(401);
        assert_eq!(post("a-token-that-is-wrong-too").status, 401);
    }
    // Right or wrong, over both transports.
    for token in [TOKEN, "a-token-that-is-wrong"] {
        let answer = handshake(BAD, address, Some(token)).expect(429);
        assert!(answer.field("Retry-After").is_some() && answer.body.contains("limits.failed_logins"), "{answer:?}");
        let head = post(token);
        assert!(head.status == 429 && head.header("retry-after").is_some(), "{head:?}");
    }
    echoes(&mut open);
    echoes(&mut peer(BAD, address, Some(OTHER)).speaking(MODERN));
    for revision in ALL {
        echoes(&mut peer(GOOD, address, Some(TOKEN)).speaking(revision));
    }
    // A second later it may try again, and a success forgives nothing.
    until("the wait is over", || handshake(BAD, address, Some(TOKEN)).status == 101);
    handshake(BAD, address, Some("a-token-that-is-wrong")).expect(401);
    handshake(BAD, address, Some("a-token-that-is-wrong-too")).expect(429);
}

#[test]
fn an_address_that_has_to_wait_and_knows_nothing_costs_no_thread() {
    let running = guarded(1);
    let address = running.addr();
    (0..2).for_each(|_| drop(handshake(BAD, address, Some("a-token-that-is-wrong")).expect(401)));
    // It has sent nothing yet.
    Raw::connect_from(BAD, address).answer().expect(429);
    echoes(&mut peer(GOOD, address, Some(TOKEN)).speaking(MODERN));
}

#[test]
fn a_request_without_credentials_is_no_attempt() {
    let running = guarded(1);
    for _ in 0..20 {
        handshake(BAD, running.addr(), None).expect(401);
    }
    echoes(&mut peer(BAD, running.addr(), Some(TOKEN)).speaking("2025-11-25"));
}

#[test]
fn an_authors_own_authentication_is_guarded_too() {
    let server = local(demo()).limits(|limits| limits.failed_logins = 2).authenticate(|head| {
        let known = head.header("x-api-key").is_some_and(|key| key == "sesame");
        known.then(|| mcp_blocking::Principal::new("ali")).ok_or(mcp_blocking::Denied)
    });
    let running = serve(server);
    let ask =
        |last: u8, key: &str| Head::new(running.addr()).add("X-Api-Key", key).ask_from(last, running.addr()).status;
    assert_eq!(["a", "b", "c", "sesame"].map(|key| ask(BAD, key)), [401, 401, 401, 429]);
    assert_eq!(ask(GOOD, "sesame"), 101);
}

#[cfg(feature = "tls")]
#[test]
fn certificates_that_are_not_accepted_count_as_failed_logins() {
    use crate::certs::{Authority, Client, VERSIONS};
    let (authority, clients, strangers) =
        (Authority::new("server"), Authority::new("clients"), Authority::new("strangers"));
    let tls = authority.issue(&["localhost"]).config().client_ca_pem(clients.pem());
    let running = serve(local(demo()).tls(tls).limits(|limits| limits.failed_logins = 2));
    let address = running.addr();
    let client = |of: &Authority| Client::with(&authority, &VERSIONS, Some(&of.issue(&["agent.example.com"])));
    let (good, bad) = (client(&clients), client(&strangers));
    let open = |client: &Client, last: u8| {
        Peer::over(Box::new(client.over(dial_from(last, address))), "localhost", &[]).speaking(MODERN)
    };
    for _ in 0..3 {
        let mut refused = bad.over(dial_from(BAD, address));
        let written = std::io::Write::write_all(&mut refused, &Head::new(address).bytes());
        assert!(written.is_err() || std::io::Read::read(&mut refused, &mut [0; 100]).is_err());
    }
    let text = || running.handle().status().connections_refused;
    until("the failures are counted", || text() >= 3);
    // Turned away before any handshake, whatever certificate it would bring.
    let mut refused = good.over(dial_from(BAD, address));
    let written = std::io::Write::write_all(&mut refused, &Head::new(address).bytes());
    assert!(written.is_err() || std::io::Read::read(&mut refused, &mut [0; 100]).is_err());
    echoes(&mut open(&good, GOOD));
}

#[test]
fn a_tool_has_a_rate_for_each_client_and_the_others_go_on() {
    let server = demo()
        .bearer_token("alice", TOKEN)
        .bearer_token("bob", OTHER)
        .tool_with(Tool::new("rare", "May be called twice an hour").rate(2, HOUR), |_ctx, NoArgs| Ok("done"));
    let running = serve(server);
    let address = running.addr();
    for (number, revision) in ["2025-11-25", MODERN, "2024-11-05"].into_iter().enumerate() {
        let mut alice = peer(BAD, address, Some(TOKEN)).speaking(revision);
        let mut calls: Vec<_> = (0..3).map(|_| alice.start_call("rare", json!({}))).collect();
        let last = alice.answer(&calls.pop().expect("three"));
        assert_delayed(&last["error"]);
        let passed = calls.iter().filter(|id| alice.answer(id)["error"].is_null()).count();
        assert_eq!(passed, if number == 0 { 2 } else { 0 });
        echoes(&mut alice);
    }
    let mut over_http = web(BAD, address);
    over_http.revision = MODERN;
    let call = over_http.make("tools/call", json!({ "name": "rare", "arguments": {} }));
    over_http.post(&call, &[("Authorization", &bearer(TOKEN))]);
    let head = over_http.head();
    let wait = head.header("retry-after").and_then(|time| time.parse::<u64>().ok());
    assert!(head.status == 429 && wait.is_some_and(|wait| (1_000..=1_800).contains(&wait)), "{head:?}");
    let mut bob = peer(BAD, address, Some(OTHER)).speaking("2025-06-18");
    assert_eq!(bob.call("rare", json!({}))["content"][0]["text"], "done");
}

#[test]
fn a_costly_call_takes_as_much_from_its_clients_rate() {
    let server = demo().tool_with(Tool::new("costly", "Costs fifty").cost(50), |_ctx, NoArgs| Ok("done"));
    let running = serve(server.limits(|limits| (limits.rate, limits.burst) = (1, 120)));
    let mut greedy = Peer::of(&running, MODERN);
    let mut results = (0..3).map(|_| greedy.start_call("costly", json!({}))).collect::<Vec<_>>();
    let refused = greedy.error(&results.pop().expect("three"));
    assert_delayed(&refused);
    assert!(refused["data"]["retryAfterMs"].as_u64().is_some_and(|ms| ms > 20_000), "{refused}");
    results.iter().for_each(|id| drop(greedy.result(id)));
    // What was refused has cost its message, and no more: some are left.
    echoes(&mut greedy);
    echoes(&mut Peer::of(&running, "2025-06-18"));
}

#[test]
fn a_tool_is_busy_for_all_or_for_one_client_and_free_again_with_the_answer() {
    let (turnstile, keeper) = turnstile();
    let server = demo().bearer_token("alice", TOKEN).bearer_token("bob", OTHER).tool_with(
        Tool::new("heavy", "Passes a turnstile").in_flight(3).in_flight_per_client(2),
        move |_ctx, NoArgs| {
            turnstile.pass();
            Ok("passed")
        },
    );
    let running = serve(server);
    let address = running.addr();
    let mut alice = peer(BAD, address, Some(TOKEN)).speaking("2025-11-25");
    let mut again = peer(BAD, address, Some(TOKEN)).speaking(MODERN);
    let mut bob = peer(GOOD, address, Some(OTHER)).speaking(MODERN);
    let one = alice.start_call("heavy", json!({}));
    keeper.wait_entered();
    let two = again.start_call("heavy", json!({}));
    keeper.wait_entered();
    // Her third is one too many, over whichever connection.
    for other in [&mut alice, &mut again] {
        let error = other.call_error("heavy", json!({}));
        assert_eq!((&error["code"], error["data"]["retryAfterMs"].as_u64() > Some(0)), (&json!(BUSY), true), "{error}");
        echoes(other);
    }
    let three = bob.start_call("heavy", json!({}));
    keeper.wait_entered();
    assert_eq!(bob.call_error("heavy", json!({}))["code"], BUSY);
    keeper.release();
    keeper.release();
    keeper.release();
    alice.result(&one);
    again.result(&two);
    bob.result(&three);
    for other in [&mut alice, &mut bob] {
        for _ in 0..20 {
            let id = other.start_call("heavy", json!({}));
            keeper.wait_entered();
            keeper.release();
            other.result(&id);
        }
    }
}

/// Whether its user is asked first.
#[derive(Deserialize, JsonSchema)]
struct Asks {
    asks: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Fine {
    fine: bool,
}

#[test]
fn a_task_takes_a_place_while_its_handler_runs_and_none_while_it_waits_for_answers() {
    let (turnstile, keeper) = turnstile();
    let tool = Tool::new("heavy", "Passes a turnstile").task(TaskSupport::Optional).in_flight(1);
    let running = serve(demo().tool_with(tool, move |ctx, Asks { asks }| {
        if asks {
            let Fine { fine } = ctx.ask("fine", "Is it fine?")?.accepted()?;
            assert!(fine);
        }
        turnstile.pass();
        Ok("passed")
    }));
    let mut peer = Peer::able(&running, MODERN, knowing());
    let busy = |peer: &mut Peer| {
        let error = peer.call_error("heavy", json!({ "asks": false }));
        assert_eq!(error["code"], BUSY, "{error}");
    };
    // Cancelled, its handler runs on.
    let id = begin(&mut peer, MODERN, "heavy", json!({ "asks": false }));
    keeper.wait_entered();
    busy(&mut peer);
    peer.request("tasks/cancel", json!({ "taskId": id }));
    reach(&mut peer, &id, "cancelled");
    busy(&mut peer);
    keeper.release();
    until("its place is free", || running.handle().status().tasks_in_flight == 0);
    // Several may wait for answers, and somebody else goes on.
    let asking = [(); 2].map(|()| {
        let id = begin(&mut peer, MODERN, "heavy", json!({ "asks": true }));
        reach(&mut peer, &id, "input_required");
        id
    });
    let other = begin(&mut peer, MODERN, "heavy", json!({ "asks": false }));
    keeper.wait_entered();
    let answers = json!({ "fine": { "action": "accept", "content": { "fine": true } } });
    let answer = |peer: &mut Peer, id: &str| {
        peer.request("tasks/update", json!({ "taskId": id, "inputResponses": answers }))["error"]["code"].clone()
    };
    assert_eq!(answer(&mut peer, &asking[0]), BUSY);
    reach(&mut peer, &asking[0], "input_required");
    keeper.release();
    reach(&mut peer, &other, "completed");
    // The same answers count now.
    for id in &asking {
        assert_eq!(answer(&mut peer, id), Value::Null);
        keeper.wait_entered();
        busy(&mut peer);
        keeper.release();
        reach(&mut peer, id, "completed");
    }
}

#[test]
fn a_day_has_so_many_calls_for_each_principal() {
    let server = demo().bearer_token("alice", TOKEN).bearer_token("bob", OTHER);
    let running = serve(server.limits(|limits| limits.calls_per_day = 5));
    let address = running.addr();
    let mut alice = peer(BAD, address, Some(TOKEN)).speaking("2025-11-25");
    (0..5).for_each(|_| echoes(&mut alice));
    let mut alice = peer(GOOD, address, Some(TOKEN)).speaking(MODERN);
    let error = alice.call_error("echo", json!({ "text": "x" }));
    assert_delayed(&error);
    let renews = error["data"]["renewsAt"].as_str().expect("a time");
    assert!(renews.contains("T00:00:00") && error["message"].as_str().expect("a text").contains(renews), "{error}");
    assert_eq!(alice.request("tools/list", json!({}))["error"], Value::Null);
    echoes(&mut peer(BAD, address, Some(OTHER)).speaking(MODERN));
}

#[test]
fn a_call_that_is_not_begun_takes_nothing_from_its_tools_rate_and_the_day() {
    let (turnstile, keeper) = turnstile();
    let server = demo()
        .tool_with(Tool::new("rare", "May be called twice an hour").rate(2, HOUR).cost(50), |_ctx, NoArgs| Ok("done"))
        .tool("held", "Passes a turnstile", move |_ctx, NoArgs| {
            turnstile.pass();
            Ok("passed")
        });
    let running = serve(server.limits(|limits| {
        limits.calls_per_connection = 1;
        limits.calls_per_day = 101;
    }));
    let mut peer = Peer::of(&running, "2025-11-25");
    let held = peer.start_call("held", json!({}));
    keeper.wait_entered();
    for _ in 0..10 {
        assert_eq!(peer.call_error("rare", json!({}))["code"], BUSY);
    }
    keeper.release();
    peer.result(&held);
    let bad = json!({ "name": "rare", "arguments": {}, "_meta": { "progressToken": {} } });
    for _ in 0..10 {
        assert_eq!(peer.request("tools/call", bad.clone())["error"]["code"], -32602);
    }
    let mut passed = 0;
    until("both calls have passed", || {
        let id = peer.start_call("rare", json!({}));
        let answer = peer.answer(&id);
        // The place of the call before may be given back a moment after its answer.
        assert!(answer["error"].is_null() || answer["error"]["code"] == BUSY, "{answer}");
        passed += usize::from(answer["error"].is_null());
        passed == 2
    });
    // Of the day all is used up.
    let error = peer.call_error("echo", json!({ "text": "x" }));
    assert!(error["data"]["renewsAt"].is_string(), "{error}");
    assert_eq!(peer.request("ping", json!({}))["result"], json!({}));
}

#[test]
fn what_the_day_refuses_takes_no_more_than_its_message() {
    let server = demo().tool_with(Tool::new("costly", "Costs fifty").cost(50), |_ctx, NoArgs| Ok("done"));
    let running = serve(server.limits(|limits| {
        limits.calls_per_day = 50;
        (limits.rate, limits.burst) = (1, 150);
    }));
    let mut peer = Peer::of(&running, MODERN);
    peer.call("costly", json!({}));
    for _ in 0..20 {
        let error = peer.call_error("costly", json!({}));
        assert!(error["data"]["renewsAt"].is_string(), "{error}");
    }
}

#[test]
fn a_layer_limits_each_client_around_handlers_and_methods() {
    let server = demo().bearer_token("alice", TOKEN).bearer_token("bob", OTHER);
    let running = serve(server.layer(RateLimit::per_client(8, HOUR)));
    let address = running.addr();
    let mut alice = peer(BAD, address, Some(TOKEN)).speaking(MODERN);
    (0..4).for_each(|_| echoes(&mut alice));
    (0..4).for_each(|_| assert!(alice.request("tools/list", json!({}))["error"].is_null()));
    assert_delayed(&alice.call_error("echo", json!({ "text": "x" })));
    assert_delayed(&alice.request("tools/list", json!({}))["error"]);
    let mut bob = peer(BAD, address, Some(OTHER)).speaking(MODERN);
    (0..8).for_each(|_| echoes(&mut bob));

    let running = serve(demo().layer(RateLimit::per_client(1, HOUR).of_tool("echo")));
    let mut web = Web::of(&running, "2025-11-25");
    web.call("echo", json!({ "text": "x" }));
    web.start("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
    let (status, answer) = web.json();
    assert_eq!(status, 429);
    assert_delayed(&answer["error"]);
    web.call("quick", json!({ "text": "x" }));
}

#[test]
fn what_cannot_be_meant_is_reported_by_bind() {
    let tool = |tool: Tool| demo().tool_with(tool, |_ctx, NoArgs| Ok("")).bind("127.0.0.1:0").unwrap_err().to_string();
    assert!(tool(Tool::new("t", "").cost(0)).contains("cost"));
    assert!(tool(Tool::new("t", "").rate(0, HOUR)).contains("rate"));
    let costly = tool(Tool::new("t", "").cost(2_001));
    assert!(costly.contains("cost of 2001") && costly.contains("`burst` of 2000"), "{costly}");
    let of_day = demo().limits(|limits| limits.calls_per_day = 9);
    let of_day = of_day.tool_with(Tool::new("t", "").cost(10), |_ctx, NoArgs| Ok("")).bind("127.0.0.1:0").unwrap_err();
    assert!(of_day.to_string().contains("calls_per_day"), "{of_day}");
    let unlimited = demo().limits(|limits| (limits.rate, limits.principal_rate, limits.address_rate) = (0, 0, 0));
    let unlimited = unlimited.tool_with(Tool::new("t", "").cost(u32::MAX), |_ctx, NoArgs| Ok("")).bind("127.0.0.1:0");
    assert!(unlimited.is_ok());
    assert!(tool(Tool::new("t", "").in_flight(0)).contains("at once"));
    let bad = demo().limits(|limits| limits.address_burst = 0).bind("127.0.0.1:0").unwrap_err().to_string();
    assert!(bad.contains("address_burst"), "{bad}");
}
