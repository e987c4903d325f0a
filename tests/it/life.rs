//! How a server begins, how it ends, and what its handle can do meanwhile and afterwards.

use super::demo::demo;
use super::peer::{ALL, LEGACY, MODERN, PATIENCE, Peer, serve, turnstile, until};
use super::raw::{Head, Raw};
use super::web::{BOTH, Web};
use mcp_blocking::{Error, NoArgs, NotifyError, Running, Server, Settings, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

fn shut_down(running: Running, grace: Duration) -> JoinHandle<Result<(), Error>> {
    std::thread::spawn(move || running.shutdown(grace))
}

#[track_caller]
fn joined(thread: JoinHandle<Result<(), Error>>) {
    until("the shutdown is over", || thread.is_finished());
    thread.join().expect("no panic").expect("a good end");
}

const STOPPING: &str = "server is stopping";

#[test]
fn a_shutdown_lets_calls_finish_and_refuses_new_ones() {
    for revision in [LEGACY[1], MODERN] {
        let (turnstile, keeper) = turnstile();
        let running = serve(demo().tool("held", "Waits to be let go", move |_ctx, NoArgs| {
            turnstile.pass();
            Ok("let go")
        }));
        let (address, handle) = (running.addr(), running.handle());
        let mut peer = Peer::of(&running, revision);
        let mut idle = Peer::of(&running, revision);
        let id = peer.start_call("held", json!({}));
        keeper.wait_entered();
        let stopping = shut_down(running, PATIENCE);
        let refused = loop {
            let answer = peer.request("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
            if answer["error"].is_object() {
                break answer["error"].clone();
            }
        };
        assert_eq!(
            (&refused["code"], &refused["data"]["reason"]),
            (&json!(-31001), &json!("shutting down")),
            "{refused}"
        );
        assert!(refused["data"]["retryAfterMs"].is_u64(), "{refused}");
        until("nobody is let in", || std::net::TcpStream::connect(address).is_err());
        assert!(!stopping.is_finished());
        peer.barrier();
        keeper.release();
        assert_eq!(peer.result(&id)["content"][0]["text"], "let go");
        assert_eq!(peer.closed(), Some((1001, STOPPING.into())));
        assert_eq!(idle.closed(), Some((1001, STOPPING.into())));
        joined(stopping);
        assert_eq!(handle.status().connections, 0);
    }
}

#[test]
fn new_requests_are_refused_while_stopping_also_for_quick_tools() {
    let (turnstile, keeper) = turnstile();
    let running = serve(demo().tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("let go")
    }));
    let mut peer = Peer::of(&running, "2025-06-18");
    let id = peer.start_call("held", json!({}));
    keeper.wait_entered();
    let stopping = shut_down(running, PATIENCE);
    while peer.request("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }))["error"].is_null() {}
    let quick = peer.request("tools/call", json!({ "name": "quick", "arguments": { "text": "x" } }));
    keeper.release();
    peer.result(&id);
    joined(stopping);
    assert_eq!(quick["error"]["code"], -31001, "{quick}");
}

#[test]
fn a_shutdown_cancels_what_is_not_done_within_the_grace_and_answers_it() {
    for revision in ALL {
        let running = serve(demo());
        let mut peer = Peer::of(&running, revision);
        let id = peer.start_call("sleep", json!({}));
        let handle = running.handle();
        until("the call is under way", || handle.status().calls_in_flight == 1);
        let begun = Instant::now();
        let stopping = shut_down(running, Duration::from_millis(200));
        let error = peer.error(&id);
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-31001), &json!("shutting down")), "{revision}");
        assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
        assert_eq!(peer.closed(), Some((1001, STOPPING.into())));
        joined(stopping);
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        assert!(peer.take_held().is_empty());
    }
}

#[test]
fn a_handler_that_ignores_the_end_is_answered_for_and_left_behind() {
    let (turnstile, keeper) = turnstile();
    let running = serve(demo().tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("let go")
    }));
    let mut peer = Peer::of(&running, MODERN);
    let id = peer.start_call("held", json!({}));
    keeper.wait_entered();
    let begun = Instant::now();
    let stopping = shut_down(running, Duration::from_millis(50));
    assert_eq!(peer.error(&id)["code"], -31001);
    assert_eq!(peer.closed().map(|(code, _)| code), Some(1001));
    joined(stopping);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    keeper.release();
}

#[test]
fn nobody_can_hold_a_shutdown_up() {
    let running = serve(demo().limits(|limits| {
        limits.close_deadline = Duration::from_millis(200);
        limits.write_deadline = Duration::from_millis(300);
    }));
    let address = running.addr();
    // One has not said anything, one is in the middle of its head, one never answers the close frame, one is in the
    // middle of a frame.
    let _silent = Raw::connect(address);
    let mut half = Raw::connect(address);
    half.send(&Head::new(address).bytes()[..20]);
    let mut rude = Raw::upgraded(address);
    let mut middle = Raw::upgraded(address);
    middle.send(&[0x81, 0xfe, 0x10]);
    until("all are there", || running.handle().status().connections_accepted == 4);
    let begun = Instant::now();
    running.shutdown(PATIENCE).expect("a good end");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(rude.close_code(), Some(1001));
    assert_eq!(middle.close_code(), Some(1001));
}

#[test]
fn a_server_that_is_dropped_says_goodbye() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, "2025-06-18");
    let dropping = std::thread::spawn(move || drop(running));
    assert_eq!(peer.closed(), Some((1001, STOPPING.into())));
    until("it is dropped", || dropping.is_finished());
    dropping.join().expect("no panic");
}

#[test]
fn whoever_waits_in_join_is_woken_by_a_stop() {
    let running = serve(demo());
    let (handle, mut peer) = (running.handle(), Peer::of(&running, MODERN));
    let waiting = std::thread::spawn(move || running.join());
    peer.barrier();
    assert!(!waiting.is_finished());
    handle.clone().stop(Duration::from_secs(1));
    handle.stop(PATIENCE);
    assert_eq!(peer.closed(), Some((1001, STOPPING.into())));
    joined(waiting);
    // Asked for before anybody waits, it is not forgotten.
    let running = serve(demo());
    running.handle().stop(Duration::ZERO);
    joined(std::thread::spawn(move || running.join()));
}

#[test]
fn a_tool_can_stop_the_server_and_is_still_answered() {
    let running = serve(demo().tool("stop", "Stops the server", |ctx, NoArgs| {
        ctx.handle().stop(PATIENCE);
        Ok("stopping")
    }));
    let mut peer = Peer::of(&running, "2025-11-25");
    let waiting = std::thread::spawn(move || running.join());
    assert_eq!(peer.call("stop", json!({}))["content"][0]["text"], "stopping");
    assert_eq!(peer.closed(), Some((1001, STOPPING.into())));
    joined(waiting);
}

#[test]
fn a_broadcast_reaches_initialized_sessions_only_and_counts_them() {
    let running = serve(demo());
    let handle = running.handle();
    let mut sessions = LEGACY.map(|revision| Peer::of(&running, revision));
    let mut modern = Peer::of(&running, MODERN);
    let mut stranger = Peer::connect(&running);
    let mut uninitialized = Peer::connect(&running);
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {} });
    assert!(uninitialized.request("initialize", params)["result"].is_object());
    modern.barrier();
    stranger.barrier();
    let message = json!({ "level": "info", "data": "hello \u{1f44b}" });
    assert_eq!(handle.broadcast("notifications/message", &message).expect("an object"), 4);
    for peer in &mut sessions {
        let expected = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": message });
        assert_eq!(peer.next(), expected);
        peer.assert_silent();
    }
    for peer in [&mut modern, &mut stranger, &mut uninitialized] {
        peer.assert_silent();
    }
    for wrong in [json!([1]), json!("x"), json!(null)] {
        assert!(matches!(handle.broadcast("x", &wrong), Err(NotifyError::Params(_))), "{wrong}");
    }
    sessions.into_iter().for_each(Peer::vanish);
    until("the sessions are gone", || handle.status().connections == 3);
    assert_eq!(handle.broadcast("notifications/message", &message).expect("an object"), 0);
}

#[test]
fn clients_are_listed_with_what_is_known_of_them() {
    let running = serve(demo());
    let handle = running.handle();
    let mut session = Peer::of(&running, "2025-03-26");
    let mut modern = Peer::of(&running, MODERN);
    modern.barrier();
    let clients = handle.clients();
    assert_eq!(clients.len(), 2);
    assert!(clients[0].id() < clients[1].id());
    assert_eq!(clients[0].revision().map(|revision| revision.as_str()), Some("2025-03-26"));
    assert_eq!(clients[0].name_and_version(), Some(("test", "1")));
    assert_eq!((clients[1].revision(), clients[1].name_and_version()), (None, None));
    assert!(clients.iter().all(|client| client.is_connected() && client.address().is_loopback()));
    assert!(clients[0].principal().is_none());
    clients[0].notify("notifications/message", &json!({ "level": "info", "data": 1 })).expect("it has a session");
    assert_eq!(session.next()["params"]["data"], 1);
    let refused = clients[1].notify("notifications/message", &json!({}));
    assert!(matches!(refused, Err(NotifyError::NoSession)), "{refused:?}");
    modern.assert_silent();
    clients[0].close(1000, "done");
    assert_eq!(session.closed(), Some((1000, "done".into())));
    until("it is not connected", || !clients[0].is_connected());
    assert!(matches!(clients[0].notify("x", &json!({})), Err(NotifyError::Send(_))));
}

#[test]
fn a_handle_may_outlive_its_server() {
    let running = serve(demo());
    let handle = running.handle();
    let mut peer = Peer::of(&running, "2025-06-18");
    let client = handle.clients().remove(0);
    let stopping = shut_down(running, Duration::ZERO);
    peer.closed();
    joined(stopping);
    assert!(handle.clients().is_empty() && !client.is_connected());
    assert_eq!(handle.broadcast("notifications/message", &json!({})).expect("an object"), 0);
    assert!(client.notify("x", &json!({})).is_err());
    client.close(1000, "");
    assert!(handle.edit(|registry| registry.remove_tool("echo")));
    handle.tools_changed();
    handle.stop(Duration::ZERO);
    let status = handle.status();
    assert_eq!((status.connections, status.calls_in_flight, status.workers), (0, 0, 0), "{status:?}");
}

#[test]
fn one_server_serves_several_addresses() {
    let bound = demo().bind("127.0.0.1:0").expect("binds").and_bind("127.0.0.2:0").expect("binds");
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.set_nonblocking(true).expect("a setting");
    let running = bound.and_listener(listener).expect("takes it").start().expect("starts");
    let addresses = running.addrs().to_vec();
    assert_eq!(addresses.len(), 3);
    assert_eq!(addresses[0], running.addr());
    let mut peers: Vec<_> = addresses.iter().map(|address| Peer::connect_to(*address, &[])).collect();
    for peer in &mut peers {
        peer.initialize("2025-06-18");
    }
    assert_eq!(running.handle().broadcast("notifications/message", &json!({})).expect("an object"), 3);
    let stopping = shut_down(running, PATIENCE);
    for peer in &mut peers {
        assert_eq!(peer.closed(), Some((1001, STOPPING.into())));
    }
    joined(stopping);
    for address in addresses {
        TcpListener::bind(address).expect("the port is free again");
    }
}

#[test]
fn who_connects_before_the_start_is_served_after_it() {
    let bound = demo().bind("127.0.0.1:0").expect("binds");
    let mut early = Raw::connect(bound.addr());
    early.send(&Head::new(bound.addr()).bytes());
    let _running = bound.start().expect("starts");
    early.answer().expect(101);
}

#[derive(Deserialize, JsonSchema)]
struct Tuple(#[expect(dead_code, reason = "its schema is what matters")] u8, u8);

#[test]
fn settings_that_would_replace_what_was_set_before_stop_the_start() {
    let token = "a-token-of-good-length";
    let lost = [
        ("bearer_token", demo().bearer_token("alice", token).settings(Settings::new())),
        ("limits", demo().limits(|limits| limits.workers = 2).bearer_token("alice", token).settings(Settings::new())),
        ("settings", demo().settings(Settings::new().bearer_token("alice", token)).settings(Settings::new())),
    ];
    for (method, server) in lost {
        assert!(server.doctor().to_string().contains(method), "{}", server.doctor());
        let error = server.bind("127.0.0.1:0").expect_err("it would be open").to_string();
        assert!(error.contains(&format!("`{method}`")) && error.contains("life.rs:"), "{error}");
    }
    let kept = serve(demo().settings(Settings::new()).bearer_token("alice", token).limits(|limits| limits.workers = 2));
    Head::new(kept.addr()).ask(kept.addr()).expect(401);
}

#[test]
fn problems_of_the_setup_are_reported_all_at_once_with_their_places() {
    let server = demo()
        .tool("echo", "Is there already", |_ctx, NoArgs| Ok("x"))
        .tool("a name", "Has a blank", |_ctx, NoArgs| Ok("x"))
        .tool("", "Has no name", |_ctx, NoArgs| Ok("x"))
        .tool("n".repeat(129), "Has a long name", |_ctx, NoArgs| Ok("x"))
        .tool("number", "Takes a number", |_ctx, _number: u32| Ok("x"))
        .tool("tuple", "Takes a tuple", |_ctx, Tuple(_, last)| Ok(format!("{last}")))
        .tool_raw(Tool::new("raw", "Takes an array"), &json!({ "type": "array" }), |_ctx, _| Ok("x"))
        .allow_host("http://example.com")
        .allow_origin("example.com")
        .bearer_token("alice", "short")
        .limits(|limits| (limits.workers, limits.page_size) = (0, 0));
    let error = server.bind("127.0.0.1:0").expect_err("nothing of this can be served");
    let Error::Setup(problems) = &error else { panic!("{error:?}") };
    assert_eq!(problems.len(), 12, "{error}");
    let text = error.to_string();
    for word in [
        "`echo`",
        "a name",
        "`number`",
        "`tuple`",
        "`raw`",
        "allow_host",
        "allow_origin",
        "token",
        "workers",
        "page_size",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains("short\""), "{text}");
    let here = problems.iter().filter(|problem| problem.to_string().contains(concat!("tests/it/", "life.rs:")));
    assert_eq!(here.count(), 10, "{error}");
}

#[test]
fn an_address_that_cannot_be_had_is_an_error_that_names_it() {
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:99999", ""] {
        match demo().bind(address) {
            Err(Error::Address { address: named, .. }) => assert!(named.contains(address), "{named}"),
            other => panic!("{address}: {other:?}"),
        }
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("an address");
    match demo().bind(address) {
        Err(Error::Bind { address: named, .. }) => assert_eq!(named, address),
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_servers_may_run_in_one_process() {
    let servers: Vec<_> =
        (0..4).map(|number| serve(Server::new(format!("server-{number}"), "1").instructions("x"))).collect();
    for (number, running) in servers.iter().enumerate() {
        let result = Peer::connect(running).initialize("2025-06-18");
        assert_eq!(result["serverInfo"]["name"], format!("server-{number}"));
    }
}

#[test]
fn a_session_that_is_opened_while_the_server_ends_ends_with_it() {
    let held = Arc::new(());
    let left = Arc::downgrade(&held);
    let running = serve(demo().tool("held", "Holds something", move |_ctx, NoArgs| {
        let _held = &held;
        Ok("held")
    }));
    let mut peer = Peer::of(&running, MODERN);
    let mut web = Web::connect(&running);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "late", "version": "1" } } });
    let body = body.to_string();
    let (one, other) = body.split_at(body.len() / 2);
    let (address, length) = (running.addr(), body.len());
    web.send(format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: {BOTH}\r\nContent-Length: {length}\r\n\r\n{one}"
    ));
    until("its head is read", || running.handle().status().connections == 2);
    let stopping = shut_down(running, Duration::ZERO);
    // Behind the end of all sessions that there were.
    assert_eq!(peer.closed(), Some((1001, STOPPING.to_owned())));
    let _ = web.try_send(other);
    joined(stopping);
    until("nothing is left of the server", || left.strong_count() == 0);
}
