//! What becomes of a call when its handler panics, is late, is cancelled, or its client has gone?

use super::demo::{Echo, demo};
use super::neighbor::{beside, exposed};
use super::peer::{ALL, LEGACY, MODERN, PATIENCE, Peer, modern_meta, serve, turnstile, until};
use super::raw::{CLOSE, FIN, Raw, TEXT};
use super::web::Web;
use mcp_blocking::crossbeam_channel::{Sender, select, unbounded};
use mcp_blocking::{Ctx, NoArgs, Server, Tool, ToolError, ToolResult};
use serde_json::{Value, json};
use std::io;
use std::time::{Duration, Instant};

#[test]
fn a_panic_is_answered_with_an_incident_number_and_the_server_lives() {
    let running = exposed(demo());
    let _honest = beside(&running);
    for (number, revision) in ALL.into_iter().enumerate() {
        let mut peer = Peer::of(&running, revision);
        let error = peer.call_error("panic", json!({}));
        assert_eq!(error["code"], -32603, "{revision}: {error}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("incident"), "{message}");
        assert!(!message.contains("secret"), "{message}");
        assert_eq!(running.handle().status().panics, number as u64 + 1);
        assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    }
    let mut peer = Peer::of(&running, MODERN);
    let mut incident = || peer.call_error("panic", json!({}))["message"].clone();
    assert_ne!(incident(), incident());
}

#[test]
fn a_panic_of_a_quick_tool_leaves_its_connection_alone() {
    let running = serve(demo().tool_with(Tool::new("quick_panic", "Panics").quick(), |_ctx, NoArgs| {
        if std::env::args().count() > 0 {
            panic!("at once");
        }
        Ok("never")
    }));
    let mut peer = Peer::of(&running, "2025-06-18");
    for _ in 0..3 {
        assert_eq!(peer.call_error("quick_panic", json!({}))["code"], -32603);
    }
    assert_eq!(peer.call("quick", json!({ "text": "x" }))["content"][0]["text"], "x");
    peer.vanish();
    running.shutdown(PATIENCE).expect("a handler's panic is no panic of the server");
}

/// A tool that is marked quick and is not: it says which thread it runs on, or sleeps.
fn marked_quick(tool: impl Fn(Tool) -> Tool, hangs: Sender<()>) -> Server {
    demo().tool_with(tool(Tool::new("hangs", "Is not quick at all").quick()), move |ctx, Echo { text }| {
        if text == "hang" {
            let _ = hangs.send(());
            ctx.sleep(PATIENCE * 2)?;
        }
        Ok(std::thread::current().name().unwrap_or_default().to_owned())
    })
}

#[test]
fn a_quick_tool_that_hangs_is_answered_at_its_deadline_and_quick_no_more() {
    const DEADLINE: Duration = Duration::from_millis(200);
    for own in [true, false] {
        for (revision, http) in [("2025-11-25", false), (MODERN, false), ("2025-11-25", true), (MODERN, true)] {
            let server = marked_quick(|tool| if own { tool.deadline(DEADLINE) } else { tool }, unbounded().0);
            let running = serve(server.limits(|limits| {
                if !own {
                    limits.handler_deadline = DEADLINE;
                }
            }));
            let mut other = Peer::of(&running, MODERN);
            let mut client: Box<dyn FnMut(&str) -> Value> = if http {
                let mut web = Web::of(&running, revision);
                Box::new(move |text| web.call("hangs", json!({ "text": text })))
            } else {
                let mut peer = Peer::of(&running, revision);
                Box::new(move |text| peer.call("hangs", json!({ "text": text })))
            };
            let text = |result: &Value| result["content"][0]["text"].as_str().expect("a text").to_owned();
            for _ in 0..3 {
                assert!(text(&client("")).starts_with("mcp-conn"), "{revision}");
            }
            let begun = Instant::now();
            let stopped = client("hang");
            assert!(begun.elapsed() >= DEADLINE && begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
            assert_eq!(stopped["isError"], true, "{revision}: {stopped}");
            assert!(text(&stopped).contains("did not finish within 200ms"), "{stopped}");
            assert_eq!(other.call("quick", json!({ "text": "x" }))["content"][0]["text"], "x");
            assert!(text(&client("")).starts_with("mcp-worker"), "{revision}");
            assert_eq!(running.handle().status().timeouts, 1);
        }
    }
}

#[test]
fn a_quick_tool_that_hangs_does_not_hold_a_stop_up() {
    let (hangs, hanging) = unbounded();
    let running = serve(marked_quick(|tool| tool, hangs));
    let mut peer = Peer::of(&running, MODERN);
    let id = peer.start_call("hangs", json!({ "text": "hang" }));
    hanging.recv_timeout(PATIENCE).expect("it is under way");
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || running.shutdown(Duration::ZERO));
    assert_eq!(peer.error(&id)["code"], -31001);
    peer.closed();
    stopping.join().expect("no panic").expect("a clean end");
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[test]
fn errors_of_handlers_are_results_that_a_model_can_read() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("could not load the plan")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let running = serve(
        Server::new("errors", "1")
            .tool("chain", "Fails with a source", |_ctx, NoArgs| -> ToolResult<String> {
                Err(Outer(io::Error::other("the disk is full")))?
            })
            .tool("denied", "Is denied", |_ctx, NoArgs| -> ToolResult<String> { Err(ToolError::denied("not you")) })
            .tool("busy", "Is busy", |_ctx, NoArgs| -> ToolResult<String> {
                Err(ToolError::busy(Duration::from_millis(1_500)))
            })
            .tool("rpc", "Fails by code", |_ctx, NoArgs| -> ToolResult<String> {
                Err(ToolError::rpc_with_data(42, "the answer", &json!({ "a": 1 })))
            }),
    );
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let failed = |result: Value| {
            assert_eq!(result["isError"], true, "{result}");
            result["content"][0]["text"].as_str().expect("a text").to_owned()
        };
        assert_eq!(failed(peer.call("chain", json!({}))), "could not load the plan: the disk is full");
        assert_eq!(failed(peer.call("denied", json!({}))), "denied: not you");
        let error = peer.call_error("rpc", json!({}));
        assert_eq!(error, json!({ "code": 42, "message": "the answer", "data": { "a": 1 } }));
        let error = peer.call_error("busy", json!({}));
        assert_eq!(error["code"], -31001, "{error}");
        assert_eq!(error["data"], json!({ "reason": "busy", "retryAfterMs": 1500 }));
    }
}

#[test]
fn a_late_handler_is_answered_at_its_deadline_and_written_off() {
    let (turnstile, keeper) = turnstile();
    let late = Tool::new("late", "Ignores its deadline").deadline(Duration::from_millis(200));
    let server = demo().limits(|limits| limits.workers = 1).tool_with(late, move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("too late")
    });
    let running = exposed(server);
    let _honest = beside(&running);
    let handle = running.handle();
    let mut peer = Peer::of(&running, "2025-11-25");
    let begun = Instant::now();
    let id = peer.start_call("late", json!({}));
    keeper.wait_entered();
    // The one worker is held, so this has to wait for another.
    let waiting = peer.start_call("echo", json!({ "text": "next" }));
    let result = peer.result(&id);
    let took = begun.elapsed();
    assert_eq!(result["isError"], true, "{result}");
    assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("200ms")), "{result}");
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(3), "{took:?}");
    assert_eq!(handle.status().timeouts, 1);
    // After the grace the pool goes on without that thread.
    assert_eq!(peer.result(&waiting)["content"][0]["text"], "next");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let status = handle.status();
    assert_eq!((status.workers_written_off, status.workers_written_off_ever), (1, 1), "{status:?}");
    until("no call is under way", || handle.status().calls_in_flight == 0);
    keeper.release();
    until("the written off worker has come back", || handle.status().workers_written_off == 0);
    assert_eq!(handle.status().workers_written_off_ever, 1);
    // What it returned in the end is heard by nobody.
    peer.assert_silent();
}

#[test]
fn a_handler_that_listens_is_woken_at_its_deadline_and_not_written_off() {
    let (ended, end) = unbounded();
    let slow = Tool::new("slow", "Sleeps").deadline(Duration::from_millis(100));
    let running = serve(demo().tool_with(slow, move |ctx, NoArgs| {
        let slept = ctx.sleep(PATIENCE);
        let _ = ended.send(slept.as_ref().is_err_and(ToolError::is_cancelled));
        slept.map(|()| "slept")
    }));
    for revision in [LEGACY[0], MODERN] {
        let mut peer = Peer::of(&running, revision);
        let result = peer.call("slow", json!({}));
        assert_eq!(result["isError"], true, "{result}");
        assert_eq!(end.recv_timeout(PATIENCE), Ok(true));
    }
    let status = running.handle().status();
    assert_eq!((status.timeouts, status.workers_written_off_ever), (2, 0), "{status:?}");
}

#[test]
fn a_call_that_waits_for_a_worker_is_answered_at_its_deadline_too() {
    let (turnstile, keeper) = turnstile();
    let server = demo()
        .limits(|limits| limits.workers = 1)
        .tool("held", "Waits to be let go", move |_ctx, NoArgs| {
            turnstile.pass();
            Ok("let go")
        })
        .tool_with(Tool::new("late", "Never runs").deadline(Duration::from_millis(150)), |_ctx, NoArgs| Ok("ran"));
    let running = serve(server);
    let mut peer = Peer::of(&running, "2025-06-18");
    let held = peer.start_call("held", json!({}));
    keeper.wait_entered();
    assert_eq!(peer.call("late", json!({}))["isError"], true);
    keeper.release();
    assert_eq!(peer.result(&held)["content"][0]["text"], "let go");
    peer.assert_silent();
}

#[test]
fn progress_extends_the_time_of_a_handler_up_to_a_limit() {
    fn report(ctx: &Ctx, times: u32) -> ToolResult<String> {
        for done in 1..=times {
            ctx.progress(f64::from(done), f64::from(times))?;
            ctx.sleep(Duration::from_millis(100))?;
        }
        Ok("done".into())
    }
    let own = Tool::new("own", "Has a deadline of its own").deadline(Duration::from_millis(500));
    let server = demo()
        .limits(|limits| {
            limits.handler_deadline = Duration::from_millis(700);
            limits.handler_deadline_extended = Duration::from_millis(2_500);
        })
        .tool("works", "Works for longer than its deadline", |ctx, NoArgs| report(ctx, 12))
        .tool("endless", "Works for ever", |ctx, NoArgs| report(ctx, 1_000))
        .tool_with(own, |ctx, NoArgs| report(ctx, 1_000));
    let running = serve(server);
    let mut peer = Peer::of(&running, "2025-06-18");
    let begun = Instant::now();
    let works = peer.start_call("works", json!({}));
    let endless = peer.start_call("endless", json!({}));
    let own = peer.start_call("own", json!({}));
    assert_eq!(peer.result(&own)["isError"], true);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let result = peer.result(&works);
    assert_eq!(result["content"][0]["text"], "done", "{result}");
    assert_eq!(peer.result(&endless)["isError"], true);
    assert!(begun.elapsed() >= Duration::from_millis(2_500), "{:?}", begun.elapsed());
}

/// A server whose tools tell when they have begun, and when they have seen their cancellation.
fn cancellable(begun: &Sender<()>, seen: &Sender<&'static str>) -> Server {
    let tool = |way: &'static str, wait: fn(&Ctx) -> ToolResult<()>| {
        let (begun, seen) = (begun.clone(), seen.clone());
        move |ctx: &Ctx, NoArgs| {
            let _ = begun.send(());
            let waited = wait(ctx);
            if waited.as_ref().is_err_and(ToolError::is_cancelled) {
                let _ = seen.send(way);
            }
            waited.map(|()| "not cancelled")
        }
    };
    let check = |ctx: &Ctx| -> ToolResult<()> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            ctx.check()?;
            std::thread::yield_now();
        }
        Ok(())
    };
    let channel = |ctx: &Ctx| -> ToolResult<()> {
        let never = mcp_blocking::crossbeam_channel::after(PATIENCE);
        select! {
            recv(ctx.cancelled()) -> _ => ctx.check(),
            recv(never) -> _ => Ok(()),
        }
    };
    let progress = |ctx: &Ctx| -> ToolResult<()> {
        let until = Instant::now() + PATIENCE;
        let mut done = 0.0;
        while Instant::now() < until {
            done += 1.0;
            ctx.progress(done, 1e12)?;
            std::thread::yield_now();
        }
        Ok(())
    };
    demo()
        .tool("by_sleep", "Sleeps", tool("sleep", |ctx| ctx.sleep(PATIENCE)))
        .tool("by_check", "Checks", tool("check", check))
        .tool("by_channel", "Selects", tool("channel", channel))
        .tool("by_progress", "Reports", tool("progress", progress))
}

#[test]
fn a_cancellation_reaches_the_handler_at_once_whichever_way_it_looks() {
    let ((begun, has_begun), (seen, has_seen)) = (unbounded(), unbounded());
    let running = serve(cancellable(&begun, &seen));
    for revision in [LEGACY[3], MODERN] {
        for way in ["sleep", "check", "channel", "progress"] {
            let mut peer = Peer::of(&running, revision);
            let id = peer.start_call_with_progress(&format!("by_{way}"), json!({}), json!("t"));
            has_begun.recv_timeout(PATIENCE).expect("the handler begins");
            let asked = Instant::now();
            peer.cancel(&id);
            assert_eq!(has_seen.recv_timeout(PATIENCE), Ok(way));
            assert!(asked.elapsed() < Duration::from_secs(2), "{way}: {:?}", asked.elapsed());
            // What was on its way before may still come; from here on nothing does.
            peer.barrier();
            let late = peer.take_held();
            assert!(late.iter().all(|message| message["method"] == "notifications/progress"), "{late:?}");
            peer.assert_silent();
        }
    }
    assert_eq!(running.handle().status().cancelled, 8);
}

#[test]
fn a_lost_connection_cancels_its_calls() {
    let ((begun, has_begun), (seen, has_seen)) = (unbounded(), unbounded());
    let running = serve(cancellable(&begun, &seen));
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        peer.start_call("by_sleep", json!({}));
        has_begun.recv_timeout(PATIENCE).expect("the handler begins");
        peer.vanish();
        assert_eq!(has_seen.recv_timeout(PATIENCE), Ok("sleep"), "{revision}: vanished");
        let mut peer = Peer::of(&running, revision);
        peer.start_call("by_channel", json!({}));
        has_begun.recv_timeout(PATIENCE).expect("the handler begins");
        peer.close(1000, "done");
        peer.closed();
        assert_eq!(has_seen.recv_timeout(PATIENCE), Ok("channel"), "{revision}: closed");
    }
    let handle = running.handle();
    until("all connections are gone", || handle.status().connections == 0 && handle.status().calls_in_flight == 0);
}

#[test]
fn a_client_that_says_goodbye_cancels_its_calls_though_it_reads_nothing_more() {
    let ((begun, has_begun), (seen, has_seen)) = (unbounded(), unbounded());
    let running = serve(cancellable(&begun, &seen).limits(|limits| {
        limits.outbox_bytes = 64 << 20;
        limits.write_deadline = Duration::from_secs(12);
    }));
    let address = running.addr();
    let mut raw = Raw::connect_narrow(address).upgrade(address);
    let mut call = |id: u64, tool: &str, text: &str| {
        let params = json!({ "name": tool, "arguments": { "text": text }, "_meta": modern_meta(json!({})) });
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        raw.frame(FIN | TEXT, request.to_string().as_bytes());
    };
    call(0, "by_sleep", "");
    has_begun.recv_timeout(PATIENCE).expect("the handler begins");
    // More than the sockets hold, so that the answer to the close frame has to wait.
    let text = "x".repeat(200 << 10);
    (1..40).for_each(|id| call(id, "quick", &text));
    let handle = running.handle();
    until("answers wait", || handle.clients()[0].queued_bytes() > 1 << 20);
    raw.frame(FIN | CLOSE, &1000_u16.to_be_bytes());
    let asked = Instant::now();
    assert_eq!(has_seen.recv_timeout(PATIENCE), Ok("sleep"));
    assert!(asked.elapsed() < Duration::from_secs(3), "cancelled only after {:?}", asked.elapsed());
}

#[test]
fn a_cancelled_call_that_waits_never_begins() {
    let (turnstile, keeper) = turnstile();
    let server = demo().limits(|limits| limits.workers = 1).tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("let go")
    });
    let running = serve(server);
    let mut peer = Peer::of(&running, "2025-06-18");
    let first = peer.start_call("held", json!({}));
    keeper.wait_entered();
    let second = peer.start_call("held", json!({}));
    peer.cancel(&second);
    peer.barrier();
    keeper.release();
    assert_eq!(peer.result(&first)["content"][0]["text"], "let go");
    // Behind it in the queue, so that it had its turn when this is answered.
    peer.call("echo", json!({ "text": "x" }));
    assert_eq!(keeper.entered(), 0);
    peer.assert_silent();
}

#[test]
fn a_cancelled_id_can_be_used_again_though_its_handler_goes_on() {
    let (turnstile, keeper) = turnstile();
    let running = serve(demo().tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("the first")
    }));
    let mut peer = Peer::of(&running, "2025-11-25");
    let id = peer.start_call("held", json!({}));
    keeper.wait_entered();
    peer.cancel(&id);
    let mut again = peer.make("tools/call", json!({ "name": "sleep", "arguments": {} }));
    again["id"] = id.clone();
    peer.send(&again);
    peer.barrier();
    keeper.release();
    let handle = running.handle();
    until("the first handler has ended", || handle.status().calls_in_flight == 1);
    // The end of the first has not taken the second's id away: it can be cancelled.
    peer.cancel(&id);
    until("the second handler has ended", || handle.status().calls_in_flight == 0);
    assert_eq!(handle.status().cancelled, 2);
    peer.assert_silent();
}
