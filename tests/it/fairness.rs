//! How much may one client ask for, and what do the others notice of it?

use super::demo::demo;
use super::neighbor::{beside, exposed, from_there};
use super::peer::{ALL, Keeper, LEGACY, MODERN, PATIENCE, Peer, serve, turnstile, until};
use mcp_blocking::crossbeam_channel::unbounded;
use mcp_blocking::{Limits, LogLevel, NoArgs, Running, ToolError};
use serde_json::json;
use std::time::{Duration, Instant};

/// A server with tools `held` and `other` that wait to be let go.
fn held(limits: impl FnOnce(&mut Limits)) -> (Running, Keeper, Keeper) {
    let ((first, keeper), (second, other)) = (turnstile(), turnstile());
    let server = demo()
        .limits(limits)
        .tool("held", "Waits to be let go", move |_ctx, NoArgs| {
            first.pass();
            Ok("let go")
        })
        .tool("other", "Waits to be let go", move |_ctx, NoArgs| {
            second.pass();
            Ok("let go")
        });
    (exposed(server), keeper, other)
}

#[test]
fn more_calls_than_a_connection_may_have_are_busy_and_pings_are_still_answered() {
    for revision in [LEGACY[0], MODERN] {
        let (running, keeper, _other) = held(|limits| limits.calls_per_connection = 2);
        let mut peer = Peer::of(&running, revision);
        let calls = [peer.start_call("held", json!({})), peer.start_call("held", json!({}))];
        (0..2).for_each(|_| keeper.wait_entered());
        let error = peer.call_error("echo", json!({ "text": "x" }));
        assert_eq!(error["code"], -31001, "{error}");
        assert_eq!(error["data"]["reason"], "busy", "{error}");
        assert!(error["data"]["retryAfterMs"].as_u64().is_some_and(|after| after > 0), "{error}");
        assert_eq!(running.handle().status().busy, 1);
        peer.barrier();
        // Quick tools take no worker, and another client has calls of its own.
        assert_eq!(peer.call("quick", json!({ "text": "x" }))["content"][0]["text"], "x");
        let mut other = from_there(running.addr(), &[]).speaking(revision);
        assert_eq!(other.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
        keeper.release();
        keeper.release();
        for id in calls {
            assert_eq!(peer.result(&id)["content"][0]["text"], "let go");
        }
        let handle = running.handle();
        until("the calls are over", || handle.status().calls_in_flight == 0);
        assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    }
}

#[test]
fn a_full_queue_of_the_server_is_overloaded() {
    let (running, keeper, _other) = held(|limits| {
        limits.workers = 1;
        limits.queued_calls = 2;
    });
    let mut peer = Peer::of(&running, "2025-06-18");
    let first = peer.start_call("held", json!({}));
    keeper.wait_entered();
    let waiting = [(); 2].map(|()| peer.start_call("echo", json!({ "text": "waited" })));
    let error = Peer::of(&running, MODERN).call_error("echo", json!({ "text": "x" }));
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-31001), &json!("overloaded")), "{error}");
    keeper.release();
    peer.result(&first);
    for id in waiting {
        assert_eq!(peer.result(&id)["content"][0]["text"], "waited");
    }
}

#[test]
fn slow_calls_of_one_client_do_not_stop_those_of_another() {
    let (running, keeper, _other) = held(|limits| limits.workers = 4);
    let mut greedy = Peer::of(&running, "2025-06-18");
    let calls = [(); 4].map(|()| greedy.start_call("held", json!({})));
    keeper.wait_entered();
    greedy.barrier();
    let begun = Instant::now();
    let mut modest = from_there(running.addr(), &[]).speaking(MODERN);
    for _ in 0..20 {
        modest.call("echo", json!({ "text": "x" }));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(keeper);
    for id in calls {
        greedy.result(&id);
    }
}

#[test]
fn one_client_holds_at_most_a_quarter_of_the_workers() {
    let (running, keeper, other_keeper) = held(|limits| limits.workers = 8);
    let mut greedy = Peer::of(&running, "2025-06-18");
    let calls = [(); 6].map(|()| greedy.start_call("held", json!({})));
    (0..2).for_each(|_| keeper.wait_entered());
    // Others get workers, of which there were enough for more of the first.
    let mut others = [MODERN, "2024-11-05"].map(|revision| from_there(running.addr(), &[]).speaking(revision));
    for other in &mut others {
        let ids = [other.start_call("other", json!({})), other.start_call("other", json!({}))];
        (0..2).for_each(|_| other_keeper.wait_entered());
        (0..2).for_each(|_| other_keeper.release());
        ids.iter().for_each(|id| drop(other.result(id)));
    }
    assert_eq!(keeper.entered(), 0, "a third call of one client runs");
    assert_eq!(running.handle().clients()[0].in_flight(), 6);
    // One goes, the next comes.
    keeper.release();
    keeper.wait_entered();
    drop(keeper);
    for id in calls {
        greedy.result(&id);
    }
}

#[test]
fn requests_beyond_the_rate_are_refused_with_a_delay() {
    let running = exposed(demo().limits(|limits| (limits.rate, limits.burst) = (2, 10)));
    let _honest = beside(&running);
    for revision in [LEGACY[2], MODERN] {
        let mut peer = Peer::of(&running, revision);
        let error = (0..100)
            .map(|_| peer.request("tools/list", json!({}))["error"].clone())
            .find(|error| !error.is_null())
            .expect("one of them is refused");
        assert_eq!(error["code"], -31002, "{error}");
        let after = error["data"]["retryAfterMs"].as_u64().expect("a delay");
        assert!((1..=501).contains(&after), "{error}");
        // After that time, one is served again.
        std::thread::sleep(Duration::from_millis(after));
        assert!(peer.request("tools/list", json!({}))["result"].is_object());
        assert!(running.handle().status().rate_limited > 0);
    }
}

#[test]
fn notifications_beyond_the_rate_are_dropped_but_for_cancellations() {
    let (ended, end) = unbounded();
    let (begun, begin) = unbounded();
    let server = demo().limits(|limits| (limits.rate, limits.burst) = (1, 4));
    let running = serve(server.tool("sleeper", "Sleeps", move |ctx, NoArgs| {
        let _ = begun.send(());
        let slept = ctx.sleep(PATIENCE);
        let _ = ended.send(slept.as_ref().is_err_and(ToolError::is_cancelled));
        slept.map(|()| "slept")
    }));
    let handle = running.handle();
    let mut peer = Peer::connect(&running);
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {} });
    assert!(peer.request("initialize", params)["result"].is_object());
    let id = peer.start_call("sleeper", json!({}));
    begin.recv_timeout(PATIENCE).expect("it begins");
    while peer.request("ping", json!({}))["error"].is_null() {}
    let before = handle.status().rate_limited;
    // Dropped with many others: the session stays uninitialized. All in one go: the rate is by time, and a busy machine takes some.
    let note = |method: &str, params| json!({ "jsonrpc": "2.0", "method": method, "params": params });
    for _ in 0..20 {
        peer.write(&note("notifications/roots/list_changed", json!({})));
    }
    peer.write(&note("notifications/initialized", json!({})));
    peer.write(&note("notifications/cancelled", json!({ "requestId": id })));
    peer.flush();
    assert_eq!(end.recv_timeout(PATIENCE), Ok(true));
    assert!(handle.status().rate_limited >= before + 9, "{:?}", handle.status());
    assert_eq!(handle.broadcast("notifications/message", &json!({})).expect("an object"), 0);
    assert_eq!(handle.status().connections, 1);
}

#[test]
fn a_rate_of_zero_is_no_limit() {
    let running = serve(demo().limits(|limits| limits.rate = 0));
    let mut peer = Peer::of(&running, "2025-06-18");
    for _ in 0..10 {
        let requests: Vec<_> = (0..300).map(|_| peer.make("ping", json!({}))).collect();
        requests.iter().for_each(|request| peer.write(request));
        peer.flush();
        for request in requests {
            assert_eq!(peer.next()["id"], request["id"]);
        }
    }
    assert_eq!(running.handle().status().rate_limited, 0);
}

#[test]
fn log_messages_beyond_the_rate_are_dropped_and_the_answer_comes() {
    let talkative = |rate| {
        let server = demo().limits(move |limits| limits.log_rate = rate);
        serve(server.tool("talk", "Talks too much", |ctx, NoArgs| {
            (0..900).for_each(|n| ctx.log(LogLevel::Info, n));
            Ok("said")
        }))
    };
    let heard = |running: &Running, revision| {
        let mut peer = Peer::of(running, revision);
        let meta = json!({ "io.modelcontextprotocol/logLevel": "info" });
        let id = peer.start("tools/call", json!({ "name": "talk", "_meta": meta }));
        assert_eq!(peer.result(&id)["content"][0]["text"], "said");
        peer.take_held().len()
    };
    let running = talkative(10);
    for revision in ALL {
        // A burst of ten seconds, and what is refilled meanwhile.
        let heard = heard(&running, revision);
        assert!((100..300).contains(&heard), "{revision}: {heard}");
    }
    assert_eq!(heard(&talkative(0), MODERN), 900);
}
