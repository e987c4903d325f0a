//! Methods and notifications of an author's own, and layers around everything, in both eras.

use crate::peer::{ALL, LEGACY, MODERN, PATIENCE, Peer, modern_meta, serve, turnstile, until};
use crate::web::Web;
use mcp_blocking::schemars::JsonSchema;
use mcp_blocking::serde_json::value::RawValue;
use mcp_blocking::{
    ConcurrencyLimit, Error, LogRequests, Next, NoArgs, Reply, Request, Running, Server, Tool, ToolError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Hits {
    items: Vec<String>,
}

fn with_tools() -> Server {
    Server::new("custom", "1.0.0")
        .tool("echo", "Sends the text back", |_ctx, Text { text }| Ok(text))
        .tool_with(Tool::new("quick", "Likewise, at once").quick(), |_ctx, Text { text }| Ok(text))
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().expect("a text")
}

#[test]
fn a_custom_method_answers_in_both_eras() {
    let server = with_tools().method("acme/search", |ctx, Text { text }| {
        ctx.progress(1.0, 2.0)?;
        Ok(Hits { items: vec![text] })
    });
    let running = serve(server);
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let result = peer.request("acme/search", json!({ "text": "x" }))["result"].clone();
        assert_eq!(result["items"], json!(["x"]));
        assert_eq!(result.get("resultType").is_some(), revision == MODERN);
        let wrong = peer.request("acme/search", json!({ "text": 5 }))["error"].clone();
        assert_eq!(wrong["code"], -32602);
        assert!(wrong["message"].as_str().is_some_and(|message| message.contains("`/text`")), "{wrong}");
        assert_eq!(peer.request("acme/other", json!({}))["error"]["code"], -32601);
    }
}

#[test]
fn errors_of_a_method_are_errors_of_the_protocol() {
    let server = with_tools()
        .method("fail", |_ctx, NoArgs| -> Result<Hits, ToolError> { Err(ToolError::new("no such luck")) })
        .method("rpc", |_ctx, NoArgs| -> Result<Hits, ToolError> { Err(ToolError::rpc(-7, "seven")) })
        .method("panic", |_ctx, NoArgs| -> Result<Hits, ToolError> { panic!("asked to") })
        .method("number", |_ctx, NoArgs| Ok(7));
    let running = serve(server);
    for revision in [LEGACY[3], MODERN] {
        let mut peer = Peer::of(&running, revision);
        let mut error = |method: &str| peer.request(method, json!({}))["error"].clone();
        assert_eq!(
            (error("fail")["code"].clone(), error("fail")["message"].clone()),
            (json!(-32603), json!("no such luck"))
        );
        assert_eq!(error("rpc"), json!({ "code": -7, "message": "seven" }));
        assert!(error("panic")["message"].as_str().is_some_and(|message| message.contains("incident")));
        assert_eq!(error("number")["code"], -32603);
    }
}

#[test]
fn a_method_is_cancelled_and_timed_out_like_a_tool() {
    let (enter, keeper) = turnstile();
    let server = with_tools().limits(|limits| limits.handler_deadline = Duration::from_millis(200)).method(
        "sleep",
        move |ctx, NoArgs| {
            enter.pass();
            ctx.sleep(Duration::from_secs(60))?;
            Ok(Hits { items: vec![] })
        },
    );
    let running = serve(server);
    drop(keeper);
    let mut peer = Peer::of(&running, MODERN);
    let late = peer.request("sleep", json!({}))["error"].clone();
    assert_eq!(late["code"], -32603);
    let id = peer.start("sleep", json!({}));
    peer.cancel(&id);
    peer.assert_silent();
    let handle = running.handle();
    until("nothing is under way", || handle.status().calls_in_flight == 0);
}

#[test]
fn a_custom_notification_is_heard_and_may_be_answered_by_another() {
    let (heard, notes) = channel();
    let heard = Mutex::new(heard);
    let server = with_tools().notification("acme/seen", move |ctx, note: Text| {
        let _ = ctx.client().notify("acme/ack", &json!({ "text": note.text }));
        let _ = heard.lock().map(|heard| heard.send(note.text));
    });
    let running = serve(server);
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        peer.notify("acme/seen", json!({ "text": revision }));
        assert_eq!(notes.recv_timeout(PATIENCE).as_deref(), Ok(revision));
        if revision != MODERN {
            assert_eq!(peer.notice("acme/ack")["params"]["text"], revision);
        }
        // Neither what does not fit nor what nobody knows is answered.
        peer.notify("acme/seen", json!({ "text": 5 }));
        peer.notify("acme/unheard", json!({}));
        peer.assert_silent();
    }
}

#[test]
fn a_fallback_answers_what_nothing_else_does() {
    let server = with_tools().fallback(|_ctx, method: &str, params: &RawValue| match method {
        "acme/anything" => Ok(json!({ "method": method, "params": params })),
        _ => Err(ToolError::rpc(-32601, format!("no method {method}"))),
    });
    let running = serve(server);
    let mut peer = Peer::of(&running, LEGACY[2]);
    let result = peer.request("acme/anything", json!({ "a": [1] }))["result"].clone();
    assert_eq!(result, json!({ "method": "acme/anything", "params": { "a": [1] } }));
    assert_eq!(peer.request("acme/else", json!({}))["error"]["message"], "no method acme/else");
    // What the protocol knows and this server does not offer is not the fallback's.
    assert!(peer.request("resources/list", json!({}))["error"]["message"].as_str() != Some("no method resources/list"));
}

#[test]
fn a_layer_refuses_delays_and_rewrites() {
    let guard = |request: &Request<'_>, next: Next<'_>| -> Reply {
        match request.arguments() {
            text if text.contains("secret") => ToolError::denied("not for you").into(),
            text if text.contains("old") => next.run(&request.with_arguments(&json!({ "text": "new" })).expect("JSON")),
            text => {
                std::thread::sleep(Duration::from_millis(if text.contains("slow") { 50 } else { 0 }));
                next.run(request)
            }
        }
    };
    let running = serve(with_tools().layer(guard));
    for revision in [LEGACY[0], MODERN] {
        for tool in ["echo", "quick"] {
            let mut peer = Peer::of(&running, revision);
            assert_eq!(text(&peer.call(tool, json!({ "text": "as it is" }))), "as it is");
            assert_eq!(text(&peer.call(tool, json!({ "text": "old" }))), "new");
            let refused = peer.call(tool, json!({ "text": "secret" }));
            assert_eq!((text(&refused), &refused["isError"]), ("denied: not for you", &json!(true)));
            let begun = Instant::now();
            assert_eq!(text(&peer.call(tool, json!({ "text": "slow" }))), "slow");
            assert!(begun.elapsed() >= Duration::from_millis(50));
        }
    }
}

#[test]
fn layers_see_everything_from_the_outermost_on() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let spy = |name: &'static str| {
        let seen = Arc::clone(&seen);
        move |request: &Request<'_>, next: Next<'_>| {
            let reply = next.run(request);
            let outcome = if reply.is_error() { "error" } else { "ok" };
            let what = format!("{name} {} {} {outcome}", request.method(), request.tool().unwrap_or("-"));
            if let Ok(mut seen) = seen.lock() {
                seen.push(what);
            }
            reply
        }
    };
    let server = with_tools()
        .method("acme/m", |_ctx, NoArgs| Ok(json!({})))
        .notification("acme/n", |_ctx, NoArgs| {})
        .layer(spy("outer"))
        .layer(spy("inner"))
        .layer(LogRequests);
    let running = serve(server);
    let mut peer = Peer::of(&running, LEGACY[3]);
    peer.request("ping", json!({}));
    peer.request("tools/list", json!({ "cursor": "bad" }));
    peer.call("echo", json!({ "text": "x" }));
    peer.request("acme/m", json!({}));
    peer.notify("acme/n", json!({}));
    let expected =
        ["initialize - ok", "ping - ok", "tools/list - error", "tools/call echo ok", "acme/m - ok", "acme/n - ok"];
    let lines = || seen.lock().map(|seen| seen.clone()).unwrap_or_default();
    until("all are seen", || lines().last().is_some_and(|last| last == "outer acme/n - ok"));
    let mut lines = lines();
    // The peer pings on its own account, too.
    lines.retain(|line| !line.contains("ping"));
    let expected = expected.iter().filter(|expected| !expected.starts_with("ping"));
    for (pair, expected) in lines.chunks(2).zip(expected) {
        assert_eq!(pair, [format!("inner {expected}"), format!("outer {expected}")]);
    }
}

#[test]
fn a_layer_that_panics_or_refuses_what_is_no_call_is_answered_in_form() {
    let running = serve(with_tools().layer(|request: &Request<'_>, next: Next<'_>| -> Reply {
        match request.method() {
            "tools/list" => panic!("asked to"),
            "logging/setLevel" => ToolError::rpc(-9, "not here").into(),
            "tools/call" => panic!("asked to"),
            _ => next.run(request),
        }
    }));
    let mut peer = Peer::of(&running, LEGACY[1]);
    for (method, params) in
        [("tools/list", json!({})), ("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }))]
    {
        let error = peer.request(method, params)["error"].clone();
        assert_eq!(error["code"], -32603);
        assert!(error["message"].as_str().is_some_and(|message| message.contains("incident")), "{error}");
    }
    assert_eq!(
        peer.request("logging/setLevel", json!({ "level": "info" }))["error"],
        json!({ "code": -9, "message": "not here" })
    );
    assert_eq!(peer.request("ping", json!({}))["result"], json!({}));
}

#[test]
fn the_concurrency_limit_answers_busy_at_once() {
    let (enter, keeper) = turnstile();
    let server = with_tools()
        .tool("wait", "Waits", move |_ctx, NoArgs| {
            enter.pass();
            Ok("waited")
        })
        .layer(ConcurrencyLimit::of_tool("wait", 1));
    let running = serve(server);
    let mut peer = Peer::of(&running, MODERN);
    let first = peer.start_call("wait", json!({}));
    keeper.wait_entered();
    assert_eq!(peer.call_error("wait", json!({}))["code"], -31001);
    assert_eq!(text(&peer.call("echo", json!({ "text": "others pass" }))), "others pass");
    drop(keeper);
    assert_eq!(text(&peer.result(&first)), "waited");
    assert_eq!(text(&peer.call("wait", json!({}))), "waited");
}

#[test]
fn names_that_are_taken_are_reported() {
    let server = with_tools()
        .method("tools/call", |_ctx, NoArgs| Ok(json!({})))
        .method("twice", |_ctx, NoArgs| Ok(json!({})))
        .method("twice", |_ctx, NoArgs| Ok(json!({})))
        .notification("notifications/cancelled", |_ctx, NoArgs| {})
        .method("", |_ctx, NoArgs| Ok(json!({})));
    match server.bind("127.0.0.1:0") {
        Err(Error::Setup(problems)) => assert_eq!(problems.len(), 4, "{problems:?}"),
        other => panic!("{other:?}"),
    }
}

/// Posts a notification of 2026-07-28 and leaves as soon as it is accepted.
fn note_and_leave(running: &Running, method: &str, text: &str) {
    let mut web = Web::of(running, MODERN);
    let params = json!({ "text": text, "_meta": modern_meta(json!({})) });
    web.post(&json!({ "jsonrpc": "2.0", "method": method, "params": params }), &[]);
    assert_eq!(web.empty(), 202);
    web.vanish();
}

#[test]
fn a_notification_that_was_accepted_over_http_is_heard_when_its_client_has_gone() {
    let (turnstile, keeper) = turnstile();
    let (heard, hears) = channel();
    let server = with_tools()
        .limits(|limits| limits.workers = 1)
        .tool("wait", "Keeps the only worker busy", move |_ctx, NoArgs| {
            turnstile.pass();
            Ok("done")
        })
        .notification("acme/seen", move |_ctx, Text { text }| {
            let _ = heard.send(text);
        });
    let running = serve(server);
    let mut peer = Peer::of(&running, MODERN);
    let call = peer.start_call("wait", json!({}));
    keeper.wait_entered();
    note_and_leave(&running, "acme/seen", "gone");
    let handle = running.handle();
    until("it has gone", || handle.status().connections == 1);
    assert!(hears.try_recv().is_err(), "no worker is free");
    keeper.release();
    assert_eq!(hears.recv_timeout(PATIENCE).expect("it is heard"), "gone");
    peer.result(&call);
}

#[test]
fn a_notification_whose_client_has_gone_ends_with_its_time_and_with_the_server() {
    let (ended, ends) = channel();
    let server = |deadline: Duration| {
        let ended = ended.clone();
        with_tools().limits(|limits| limits.handler_deadline = deadline).notification(
            "acme/slow",
            move |ctx, Text { text: _ }| {
                let slept = ctx.sleep(PATIENCE * 2);
                let _ = ended.send(slept.is_err());
            },
        )
    };
    let running = serve(server(Duration::from_millis(50)));
    note_and_leave(&running, "acme/slow", "x");
    assert!(ends.recv_timeout(PATIENCE).expect("its time ends"));
    assert_eq!(running.handle().status().workers_written_off_ever, 0);
    let running = serve(server(PATIENCE * 2));
    note_and_leave(&running, "acme/slow", "x");
    let handle = running.handle();
    until("it runs, and its client has gone", || {
        let status = handle.status();
        (status.connections, status.calls_in_flight, status.calls_waiting) == (0, 1, 0)
    });
    running.shutdown(Duration::ZERO).expect("a clean end");
    assert!(ends.recv_timeout(PATIENCE).expect("the server ends it"));
}
