//! What is left for others, however many connections one client opens? It and the others have addresses of their own.

use crate::demo::demo;
use crate::peer::dial_from;
use crate::peer::{Keeper, LEGACY, MODERN, Peer, serve, turnstile, until};
use crate::raw::{CONTINUATION, FIN, PING, PONG, Raw, TEXT, head, masked};
use crate::web::Web;
use mcp_blocking::{Limits, NoArgs, Running};
use serde_json::{Value, json};
use std::time::Duration;

const GREEDY: &str = "a-token-of-good-length";
const HONEST: &str = "another-token-of-good-length";
/// The last parts of their addresses.
const BAD: u8 = 2;
const GOOD: u8 = 3;

/// A server with a tool `held` that waits to be let go, and two tokens or none.
fn held(tokens: bool, limits: impl FnOnce(&mut Limits)) -> (Running, Keeper) {
    let (turnstile, keeper) = turnstile();
    let server = demo().limits(|all| {
        all.limit_loopback = true;
        limits(all);
    });
    let server = server.tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("let go")
    });
    let server = if tokens { server.bearer_token("greedy", GREEDY).bearer_token("honest", HONEST) } else { server };
    (serve(server), keeper)
}

/// Where a client comes from, and what it shows. With tokens all come from one place.
fn credentials(tokens: bool, honest: bool) -> (u8, Option<&'static str>) {
    match (tokens, honest) {
        (false, false) => (BAD, None),
        (false, true) => (GOOD, None),
        (true, false) => (BAD, Some(GREEDY)),
        (true, true) => (BAD, Some(HONEST)),
    }
}

fn peer(running: &Running, (last, token): (u8, Option<&str>), revision: &'static str) -> Peer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    let address = running.addr();
    Peer::over(Box::new(dial_from(last, address)), &address.to_string(), &headers).speaking(revision)
}

/// The same over HTTP.
fn web(running: &Running, (last, token): (u8, Option<&str>), revision: &'static str) -> Web {
    let address = running.addr();
    let mut web = Web::over(Box::new(dial_from(last, address)), address);
    web.fields.extend(token.map(|token| ("Authorization", format!("Bearer {token}"))));
    web.speaking(revision)
}

#[track_caller]
fn assert_served(mut honest: Peer) {
    assert_eq!(honest.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
}

#[test]
fn calls_over_many_connections_leave_workers_to_other_clients() {
    for tokens in [false, true] {
        let (running, keeper) = held(tokens, |limits| limits.workers = 8);
        // Two workers at the most for one connection, and six for one client.
        let mut greedy: Vec<_> =
            (0..5).map(|at| peer(&running, credentials(tokens, false), [MODERN, LEGACY[2]][at % 2])).collect();
        let calls: Vec<[Value; 2]> =
            greedy.iter_mut().map(|peer| [(); 2].map(|()| peer.start_call("held", json!({})))).collect();
        (0..6).for_each(|_| keeper.wait_entered());
        greedy.iter_mut().for_each(Peer::barrier);
        for revision in [LEGACY[0], MODERN] {
            assert_served(peer(&running, credentials(tokens, true), revision));
            let mut honest = web(&running, credentials(tokens, true), revision);
            assert_eq!(honest.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
        }
        assert_eq!(keeper.entered(), 0, "a seventh call of one client runs");
        // One goes, the next comes; and in the end all of them.
        keeper.release();
        keeper.wait_entered();
        drop(keeper);
        for (peer, calls) in greedy.iter_mut().zip(&calls) {
            calls.iter().for_each(|id| assert_eq!(peer.result(id)["content"][0]["text"], "let go"));
        }
    }
}

#[test]
fn requests_over_many_http_connections_leave_workers_to_other_clients() {
    for (tokens, revision) in [(true, MODERN), (false, MODERN), (true, LEGACY[3]), (false, LEGACY[3])] {
        let (running, keeper) = held(tokens, |limits| limits.workers = 4);
        let mut greedy: Vec<_> = (0..6).map(|_| web(&running, credentials(tokens, false), revision)).collect();
        for web in &mut greedy {
            web.start("tools/call", json!({ "name": "held", "arguments": {} }));
        }
        (0..3).for_each(|_| keeper.wait_entered());
        let handle = running.handle();
        until("all have come", || handle.status().calls_in_flight == 6);
        let mut honest = web(&running, credentials(tokens, true), revision);
        assert_eq!(honest.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
        assert_served(peer(&running, credentials(tokens, true), MODERN));
        assert_eq!(keeper.entered(), 0, "a fourth call of one client runs");
        drop(keeper);
        for web in &mut greedy {
            let head = web.head();
            let messages = web.messages(&head);
            let answer = messages.last().expect("an answer");
            assert_eq!(answer["result"]["content"][0]["text"], "let go", "{answer}");
        }
    }
}

#[test]
fn work_that_one_client_has_left_on_a_connection_does_not_keep_the_next_one_who_uses_it() {
    // As a proxy does it that keeps its connections for whoever comes next.
    let (turnstile, keeper) = turnstile();
    let server = demo()
        .limits(|limits| limits.workers = 4)
        .bearer_token("greedy", GREEDY)
        .bearer_token("honest", HONEST)
        .notification("acme/noted", |_ctx, _params: Value| {})
        .tool("held", "Waits to be let go", move |_ctx, NoArgs| {
            turnstile.pass();
            Ok("let go")
        });
    let running = serve(server);
    let mut greedy: Vec<_> = (0..3).map(|_| web(&running, credentials(true, false), MODERN)).collect();
    for web in &mut greedy {
        web.start("tools/call", json!({ "name": "held", "arguments": {} }));
        keeper.wait_entered();
    }
    let mut kept = web(&running, credentials(true, false), MODERN);
    kept.post(&json!({ "jsonrpc": "2.0", "method": "acme/noted", "params": {} }), &[]);
    assert_eq!(kept.empty(), 202);
    kept.fields = vec![("Authorization", format!("Bearer {HONEST}"))];
    assert_eq!(kept.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    let handle = running.handle();
    until("the notification and the three calls are left", || handle.status().calls_in_flight == 4);
    drop(keeper);
    for web in &mut greedy {
        let head = web.head();
        assert_eq!(web.messages(&head).last().expect("an answer")["result"]["content"][0]["text"], "let go");
    }
    until("the notification is done, too", || handle.status().calls_in_flight == 0);
}

#[test]
fn small_messages_are_heard_though_no_memory_is_left_for_those_under_way() {
    const MIB: usize = 1 << 20;
    let (running, _keeper) = held(false, |limits| (limits.memory_bytes, limits.message_bytes) = (4 * MIB, MIB));
    let _greedy: Vec<_> = [(BAD, MIB), (BAD, MIB / 2), (4, MIB / 2)]
        .into_iter()
        .map(|(last, length)| {
            let mut raw = Raw::connect_from(last, running.addr()).upgrade(running.addr());
            raw.send(&[masked(TEXT, &vec![b' '; length]), masked(FIN | PING, b"here")].concat());
            assert_eq!(raw.read_frame(), Some((FIN | PONG, b"here".to_vec())));
            raw
        })
        .collect();
    let good = credentials(false, true);
    assert_served(peer(&running, good, MODERN));
    assert_eq!(web(&running, good, MODERN).call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    // A large one is told to come back.
    let mut large = web(&running, good, MODERN);
    large.start("tools/call", json!({ "name": "echo", "arguments": { "text": "x".repeat(100_000) } }));
    assert_eq!(large.status(), 503);
}

#[test]
fn waiting_calls_of_many_connections_leave_places_in_the_queue_to_other_clients() {
    for tokens in [false, true] {
        let (running, keeper) = held(tokens, |limits| (limits.workers, limits.queued_calls) = (4, 8));
        let mut greedy: Vec<_> = (0..3).map(|_| peer(&running, credentials(tokens, false), MODERN)).collect();
        let mut calls = Vec::new();
        for peer in &mut greedy {
            calls.push(peer.start_call("held", json!({})));
            keeper.wait_entered();
        }
        for _ in 0..2 {
            calls.extend(greedy.iter_mut().map(|peer| peer.start_call("held", json!({}))));
        }
        greedy.iter_mut().for_each(Peer::barrier);
        let error = greedy[0].call_error("echo", json!({ "text": "x" }));
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-31001), &json!("busy")), "{error}");
        assert_served(peer(&running, credentials(tokens, true), MODERN));
        drop(keeper);
        for (at, id) in calls.iter().enumerate() {
            assert_eq!(greedy[at % 3].result(id)["content"][0]["text"], "let go");
        }
    }
}

#[test]
fn messages_that_never_end_leave_memory_to_other_clients() {
    const MIB: usize = 1 << 20;
    for tokens in [false, true] {
        let (running, _keeper) = held(tokens, |limits| (limits.memory_bytes, limits.message_bytes) = (4 * MIB, MIB));
        // 2 MiB are for messages under way, 1.5 of that for one client.
        let (last, token) = credentials(tokens, false);
        let mut greedy: Vec<_> = (0..4)
            .map(|_| {
                let mut raw = Raw::connect_from(last, running.addr());
                let mut head = crate::raw::Head::new(running.addr());
                if let Some(token) = token {
                    head = head.add("Authorization", &format!("Bearer {token}"));
                }
                raw.send(&head.bytes());
                raw.answer().expect(101);
                raw
            })
            .collect();
        // The first has room: it has come so far when its ping is answered.
        greedy[0].send(&[masked(TEXT, &vec![b' '; MIB - 100]), masked(FIN | PING, b"here")].concat());
        assert_eq!(greedy[0].read_frame(), Some((FIN | PONG, b"here".to_vec())));
        for raw in greedy.iter_mut().skip(1) {
            raw.send(&[head(TEXT, MIB as u64 - 100, true), vec![0; 4]].concat());
            assert_eq!(raw.close_code(), Some(1013));
        }
        let text = "x".repeat(MIB / 4);
        for mut honest in [MODERN, LEGACY[3]].map(|revision| peer(&running, credentials(tokens, true), revision)) {
            assert_eq!(honest.call("echo", json!({ "text": text }))["content"][0]["text"], *text);
        }
        let mut honest = web(&running, credentials(tokens, true), MODERN);
        assert_eq!(honest.call("echo", json!({ "text": text }))["content"][0]["text"], *text);
    }
}

#[test]
fn a_message_that_does_not_come_to_its_end_closes_its_connection() {
    let limits = |limits: &mut Limits| limits.body_deadline = Duration::from_millis(300);
    let (running, _keeper) = held(false, limits);
    let mut honest = peer(&running, credentials(false, true), MODERN);
    let mut raw = Raw::connect_from(BAD, running.addr()).upgrade(running.addr());
    // No frame is late, and the peer shows signs of life.
    raw.send(&[masked(TEXT, b"{\"jsonrpc\""), masked(FIN | PING, b"here"), masked(CONTINUATION, b":")].concat());
    assert_eq!(raw.close_code(), Some(1008));
    honest.barrier();
    // Whoever comes to the end in time may begin another.
    let mut raw = Raw::connect_from(BAD, running.addr()).upgrade(running.addr());
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let (first, rest) = ping.as_bytes().split_at(9);
    for _ in 0..3 {
        raw.send(&[masked(TEXT, first), masked(FIN | CONTINUATION, rest)].concat());
        let (first, answer) = raw.read_frame().expect("an answer");
        assert_eq!((first, answer.is_empty()), (FIN | TEXT, false));
    }
}
