//! The total life of a connection: it ends gently, and not all at once.

use super::demo::demo;
use super::peer::{ALL, MODERN, Peer, serve, turnstile, until};
use super::web::Web;
use mcp_blocking::{NoArgs, Server};
use serde_json::json;
use std::time::{Duration, Instant};

const LIFE: Duration = Duration::from_millis(800);

fn short(server: Server) -> Server {
    // Those that never let go of it send many messages.
    server.limits(|limits| (limits.connection_lifetime, limits.rate) = (LIFE, 0))
}

#[test]
fn a_websocket_ends_with_1001_between_two_calls() {
    for revision in ALL {
        let running = serve(short(demo()));
        let since = Instant::now();
        let mut peer = Peer::of(&running, revision);
        assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
        assert_eq!(peer.closed().map(|(code, _)| code), Some(1001), "{revision}");
        assert!(since.elapsed() >= LIFE * 3 / 4);
        // Whoever comes back is served.
        Peer::of(&running, revision).call("echo", json!({ "text": "x" }));
    }
}

#[test]
fn a_call_under_way_is_finished_first_and_new_ones_are_answered() {
    let (turn, keeper) = turnstile();
    let server = demo().tool("wait", "Waits", move |_ctx, NoArgs| {
        turn.pass();
        Ok("done")
    });
    let running = serve(short(server));
    let since = Instant::now();
    let mut peer = Peer::of(&running, MODERN);
    let call = peer.start_call("wait", json!({}));
    keeper.wait_entered();
    while since.elapsed() < LIFE * 2 {
        assert_eq!(peer.call("quick", json!({ "text": "x" }))["content"][0]["text"], "x");
    }
    keeper.release();
    assert_eq!(peer.result(&call)["content"][0]["text"], "done");
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
}

#[test]
fn a_call_that_takes_all_its_time_is_answered_and_does_not_hold_the_connection() {
    let running = serve(short(demo()).limits(|limits| {
        (limits.handler_deadline, limits.handler_deadline_extended) =
            (Duration::from_millis(300), Duration::from_millis(300));
    }));
    let mut peer = Peer::of(&running, MODERN);
    let end = Instant::now() + LIFE;
    // One after the other, so that there is never a lull.
    while Instant::now() < end {
        peer.call("quick", json!({ "text": "x" }));
    }
    let call = peer.start_call("sleep", json!({}));
    assert!(!peer.answer(&call).is_null());
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
}

#[test]
fn an_http_connection_is_closed_behind_an_answer_that_says_so() {
    let running = serve(short(demo()));
    let since = Instant::now();
    let mut web = Web::of(&running, MODERN);
    let mut kept = 0;
    loop {
        web.start("tools/list", json!({}));
        let head = web.head();
        assert_eq!(head.status, 200);
        web.body(&head);
        match head.header("connection") {
            None => kept += 1,
            other => {
                assert_eq!(other, Some("close"));
                break;
            }
        }
    }
    web.assert_closed();
    assert!(kept > 0 && since.elapsed() >= LIFE * 3 / 4);
    // One that is idle is closed, too, before its keep-alive is over.
    let mut idle = Web::of(&running, MODERN);
    idle.request("tools/list", json!({}));
    idle.assert_closed();
    assert!(since.elapsed() < Duration::from_secs(14));
}

#[test]
fn streams_over_http_end_and_can_be_gone_on_with() {
    let (turn, keeper) = turnstile();
    let server = demo().tool("wait", "Waits", move |_ctx, NoArgs| {
        turn.pass();
        Ok("done")
    });
    let running = serve(short(server));
    let web = Web::of(&running, "2025-11-25");
    let mut stream = web.listen(None);
    while stream.any_event().is_some() {}
    let event = stream.last_event.clone().expect("an id");
    stream.assert_closed();
    let mut stream = web.listen(Some(&event));
    running.handle().edit(|registry| registry.remove_tool("fail"));
    assert_eq!(stream.event().expect("a notice")["method"], "notifications/tools/list_changed");
    // A subscription has its result.
    let mut modern = Web::of(&running, MODERN);
    modern.start("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
    let head = modern.head();
    let messages = modern.messages(&head);
    assert!(messages.last().is_some_and(|last| last["result"].is_object()), "{messages:?}");
    modern.assert_closed();
    // A call is finished.
    let mut caller = Web::of(&running, MODERN);
    let since = Instant::now();
    caller.start("tools/call", json!({ "name": "wait", "arguments": {} }));
    keeper.wait_entered();
    until("its connection has lived long enough", || since.elapsed() > LIFE);
    keeper.release();
    let head = caller.head();
    assert_eq!((head.status, head.header("connection")), (200, Some("close")));
    caller.body(&head);
    caller.assert_closed();
}

#[test]
fn connections_do_not_end_at_once() {
    let running = serve(demo().limits(|limits| limits.connection_lifetime = Duration::from_secs(2)));
    let since = Instant::now();
    let peers: Vec<_> = (0..24).map(|_| Peer::connect(&running)).collect();
    let opened = since.elapsed();
    let ends: Vec<_> = std::thread::scope(|scope| {
        let wait = |mut peer: Peer| {
            scope.spawn(move || {
                assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
                since.elapsed()
            })
        };
        let waiting: Vec<_> = peers.into_iter().map(wait).collect();
        waiting.into_iter().map(|end| end.join().expect("no panic")).collect()
    });
    let (first, last) = (ends.iter().min().expect("one"), ends.iter().max().expect("one"));
    assert!(*first >= Duration::from_millis(1_500), "{first:?}");
    assert!(*last - *first >= Duration::from_millis(100), "{first:?} {last:?} {opened:?}");
}

#[test]
fn without_a_limit_nothing_ends() {
    let running = serve(demo().limits(|limits| limits.connection_lifetime = Duration::ZERO));
    Peer::of(&running, MODERN).assert_silent();
}
