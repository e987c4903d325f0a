//! Who hears of it when the tools change, and how often?

use super::demo::demo;
use super::peer::{ALL, LEGACY, MODERN, Peer, modern_meta, serve, turnstile, until};
use super::schema::Schema;
use mcp_blocking::{Handle, NoArgs, Server, Tool};
use serde_json::{Value, json};

const SUB: &str = "io.modelcontextprotocol/subscriptionId";
const CHANGED: &str = "notifications/tools/list_changed";
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

fn add(handle: &Handle, name: &str) {
    let added = handle.edit(|registry| registry.add_tool(Tool::new(name, "New"), |_ctx, NoArgs| Ok("new")));
    added.expect("a good tool");
}

/// Opens a subscription with that id; returns what is honored.
fn listen(peer: &mut Peer, id: &Value, filter: Value) -> Value {
    let params = json!({ "notifications": filter, "_meta": modern_meta(json!({})) });
    peer.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "subscriptions/listen", "params": params }));
    let first = peer.next();
    assert_eq!(first["method"], ACKNOWLEDGED, "{first}");
    assert_eq!(first["params"]["_meta"][SUB], *id, "{first}");
    Schema::of(MODERN).check_message(&first, None);
    first["params"]["notifications"].clone()
}

#[test]
fn each_edit_is_one_notice_to_each_who_wants_it() {
    let running = serve(demo());
    let handle = running.handle();
    let mut sessions = LEGACY.map(|revision| Peer::of(&running, revision));
    let mut listener = Peer::of(&running, MODERN);
    assert_eq!(
        listen(&mut listener, &json!("l"), json!({ "toolsListChanged": true })),
        json!({ "toolsListChanged": true })
    );
    let mut indifferent = Peer::of(&running, MODERN);
    assert_eq!(listen(&mut indifferent, &json!("l"), json!({ "toolsListChanged": false })), json!({}));
    let mut stranger = Peer::of(&running, MODERN);
    let mut uninitialized = Peer::connect(&running);
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {} });
    assert!(uninitialized.request("initialize", params)["result"].is_object());
    let edits: [fn(&Handle); 4] = [
        |handle| add(handle, "one"),
        |handle| {
            // Several changes in one edit are one change.
            handle.edit(|registry| {
                registry.remove_tool("one");
                for name in ["two", "three"] {
                    registry.add_tool(Tool::new(name, "New"), |_ctx, NoArgs| Ok("new")).expect("a good tool");
                }
            });
        },
        |handle| assert!(handle.edit(|registry| registry.remove_tool("two"))),
        Handle::tools_changed,
    ];
    for edit in edits {
        edit(&handle);
        for session in &mut sessions {
            let notice = session.next();
            assert_eq!(notice, json!({ "jsonrpc": "2.0", "method": CHANGED }));
            Schema::of(session.revision).check_message(&notice, None);
        }
        let notice = listener.next();
        Schema::of(MODERN).check_message(&notice, None);
        assert_eq!((&notice["method"], &notice["params"]["_meta"][SUB]), (&json!(CHANGED), &json!("l")));
    }
    for peer in sessions.iter_mut().chain([&mut listener, &mut indifferent, &mut stranger, &mut uninitialized]) {
        peer.assert_silent();
    }
}

#[test]
fn an_edit_that_changes_nothing_is_no_news() {
    let running = serve(demo());
    let mut session = Peer::of(&running, "2025-11-25");
    let mut listener = Peer::of(&running, MODERN);
    listen(&mut listener, &json!(1), json!({ "toolsListChanged": true }));
    let handle = running.handle();
    assert!(!handle.edit(|registry| registry.remove_tool("missing")));
    let bad = handle.edit(|registry| registry.add_tool(Tool::new("a b", "Bad"), |_ctx, NoArgs| Ok("")));
    let problem = bad.expect_err("a bad name").to_string();
    assert!(problem.contains("a b") && problem.contains("changes.rs"), "{problem}");
    assert_eq!(handle.edit(|registry| registry.tool_names().count()), 8);
    session.assert_silent();
    listener.assert_silent();
}

#[test]
fn what_was_edited_is_listed_and_called_at_once() {
    let running = serve(demo());
    let handle = running.handle();
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        assert_eq!(peer.call_error("extra", json!({}))["code"], -32602);
        add(&handle, "extra");
        assert_eq!(peer.call("extra", json!({}))["content"][0]["text"], "new");
        let replaced =
            handle.edit(|registry| registry.add_tool(Tool::new("extra", "Newer"), |_ctx, NoArgs| Ok("newer")));
        replaced.expect("a good tool");
        assert_eq!(peer.call("extra", json!({}))["content"][0]["text"], "newer");
        let tools = peer.request("tools/list", json!({}))["result"]["tools"].clone();
        let extra: Vec<_> = tools.as_array().expect("an array").iter().filter(|tool| tool["name"] == "extra").collect();
        assert_eq!((extra.len(), &extra[0]["description"]), (1, &json!("Newer")));
        assert!(handle.edit(|registry| registry.remove_tool("extra")));
        assert_eq!(peer.call_error("extra", json!({}))["code"], -32602);
    }
}

#[test]
fn a_call_goes_on_though_its_tool_is_removed() {
    let (turnstile, keeper) = turnstile();
    let running = serve(demo().tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("let go")
    }));
    let mut peer = Peer::of(&running, MODERN);
    let id = peer.start_call("held", json!({}));
    keeper.wait_entered();
    assert!(running.handle().edit(|registry| registry.remove_tool("held")));
    assert_eq!(peer.call_error("held", json!({}))["code"], -32602);
    keeper.release();
    assert_eq!(peer.result(&id)["content"][0]["text"], "let go");
}

#[test]
fn a_handler_can_change_the_tools_itself() {
    let running = serve(demo().tool("grow", "Adds a tool", |ctx, NoArgs| {
        add(&ctx.handle(), "grown");
        Ok("grown")
    }));
    let mut peer = Peer::of(&running, "2025-03-26");
    assert_eq!(peer.call("grow", json!({}))["content"][0]["text"], "grown");
    assert_eq!(peer.notice(CHANGED)["method"], CHANGED);
    assert_eq!(peer.call("grown", json!({}))["content"][0]["text"], "new");
}

#[test]
fn an_edit_that_panics_changes_nothing_and_harms_nobody() {
    let running = serve(demo());
    let handle = running.handle();
    let mut peer = Peer::of(&running, "2025-11-25");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        handle.edit(|registry| {
            registry.remove_tool("echo");
            panic!("in the middle");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(peer.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
    peer.assert_silent();
    add(&handle, "later");
    assert_eq!(peer.next()["method"], CHANGED);
}

#[test]
fn a_session_that_was_offered_no_tools_is_not_told_of_them() {
    let running = serve(Server::new("empty", "1"));
    let mut peer = Peer::of(&running, "2025-06-18");
    add(&running.handle(), "first");
    peer.assert_silent();
    let mut later = Peer::of(&running, "2025-06-18");
    add(&running.handle(), "second");
    assert_eq!(later.next()["method"], CHANGED);
    peer.assert_silent();
}

#[test]
fn subscriptions_are_tagged_with_their_id_as_it_was_sent() {
    let running = serve(demo());
    let handle = running.handle();
    let mut peer = Peer::of(&running, MODERN);
    let ids = [json!(0), json!(""), json!("0"), json!(-7), json!("a\n\u{202e}b")];
    let filter = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["file:///a"], "futureKind": true,
    });
    for id in &ids {
        assert_eq!(listen(&mut peer, id, filter.clone()), json!({ "toolsListChanged": true }));
    }
    add(&handle, "new");
    let mut notices: Vec<Value> = ids.iter().map(|_| peer.next()["params"]["_meta"][SUB].clone()).collect();
    for id in &ids {
        let at = notices.iter().position(|tag| tag == id).expect("each gets a copy of its own");
        notices.remove(at);
    }
    // A cancelled one hears nothing more, and its id is free.
    peer.cancel(&ids[1]);
    peer.barrier();
    handle.tools_changed();
    let tags: Vec<Value> = (1..ids.len()).map(|_| peer.next()["params"]["_meta"][SUB].clone()).collect();
    assert!(!tags.contains(&ids[1]), "{tags:?}");
    listen(&mut peer, &ids[1], filter);
    peer.assert_silent();
}

#[test]
fn calls_report_beside_a_subscription_never_on_it() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, MODERN);
    listen(&mut peer, &json!("l"), json!({ "toolsListChanged": true }));
    let mut meta = modern_meta(json!({}));
    meta["progressToken"] = json!("p");
    meta["io.modelcontextprotocol/logLevel"] = json!("debug");
    for (tool, arguments) in [("count", json!({ "to": 3 })), ("log", json!({}))] {
        let id = peer.start("tools/call", json!({ "name": tool, "arguments": arguments, "_meta": meta }));
        peer.result(&id);
        for message in peer.take_held() {
            assert!(message["params"]["_meta"].get(SUB).is_none(), "{message}");
        }
    }
}

#[test]
fn a_wrong_filter_is_refused_and_too_many_subscriptions_as_well() {
    let running = serve(demo().limits(|limits| limits.listens_per_connection = 3));
    let mut peer = Peer::of(&running, MODERN);
    for params in [
        json!({}),
        json!({ "notifications": [] }),
        json!({ "notifications": { "toolsListChanged": "yes" } }),
        json!({ "notifications": { "resourceSubscriptions": "file:///a" } }),
        json!({ "notifications": { "resourceSubscriptions": [5] } }),
    ] {
        let answer = peer.request("subscriptions/listen", params.clone());
        assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
    }
    for id in 100..103 {
        listen(&mut peer, &json!(id), json!({ "toolsListChanged": true }));
    }
    let error = peer.request("subscriptions/listen", json!({ "notifications": {} }))["error"].clone();
    assert_eq!(error["code"], -32603, "{error}");
    let twice = json!({ "notifications": {}, "_meta": modern_meta(json!({})) });
    peer.send(&json!({ "jsonrpc": "2.0", "id": 101, "method": "subscriptions/listen", "params": twice }));
    assert_eq!(peer.error(&json!(101))["code"], -32600);
    peer.cancel(&json!(101));
    listen(&mut peer, &json!(101), json!({ "toolsListChanged": true }));
    // The connections' ends free them.
    peer.vanish();
    let handle = running.handle();
    until("the connection is gone", || handle.status().connections == 0);
    handle.tools_changed();
}

#[test]
fn notices_that_wait_for_a_slow_client_are_one_of_each_kind() {
    const LARGE: usize = 12 << 20;
    let server = demo()
        .limits(|limits| limits.outbox_bytes = 2 * LARGE)
        .tool("large", "More than a socket takes", |_ctx, NoArgs| Ok("x".repeat(LARGE)))
        .prompt("prompt", "A prompt", |_ctx, NoArgs| Ok("x"))
        .resource("a://one", "one", "text/plain", |_ctx| Ok("x"))
        .resource("a://two", "two", "text/plain", |_ctx| Ok("x"));
    let running = serve(server);
    let handle = running.handle();
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let watched = ["a://one", "a://two"];
        if revision == MODERN {
            let all = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
                "resourceSubscriptions": watched });
            listen(&mut peer, &json!("l"), all);
        } else {
            watched.iter().for_each(|uri| _ = peer.request("resources/subscribe", json!({ "uri": uri })));
        }
        let id = peer.start_call("large", json!({}));
        until("the socket is full", || handle.clients().iter().any(|client| client.queued_bytes() > LARGE / 4));
        for _ in 0..50 {
            handle.tools_changed();
            handle.prompts_changed();
            handle.resources_changed();
            watched.iter().for_each(|uri| handle.resource_updated(uri));
        }
        peer.result(&id);
        peer.barrier();
        let mut told: Vec<_> = peer
            .take_held()
            .iter()
            .map(|notice| {
                format!(
                    "{} {}",
                    notice["method"].as_str().unwrap_or_default(),
                    notice["params"]["uri"].as_str().unwrap_or_default()
                )
            })
            .collect();
        told.sort();
        // What the writer has taken by then, behind the large answer, nothing replaces any more.
        assert!(told.windows(3).all(|same| same[0] != same[2]), "{revision}: {told:?}");
        told.dedup();
        assert_eq!(
            told,
            [
                "notifications/prompts/list_changed ",
                "notifications/resources/list_changed ",
                "notifications/resources/updated a://one",
                "notifications/resources/updated a://two",
                "notifications/tools/list_changed ",
            ],
            "{revision}"
        );
        peer.vanish();
        until("it is gone", || handle.clients().is_empty());
    }
}

#[test]
fn an_edit_within_an_edit_says_what_to_change_and_harms_no_other() {
    let running = serve(demo());
    let handle = running.handle();
    let inner = handle.clone();
    let nested = std::thread::spawn(move || {
        inner.clone().edit(|registry| {
            registry.remove_tool("echo");
            inner.edit(|registry| registry.remove_tool("quick"))
        })
    });
    until("it has come to an end", || nested.is_finished());
    let panic = nested.join().expect_err("a panic");
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).expect("a text");
    assert!(said.contains("within the closure of Handle::edit"), "{said}");
    // Nothing was changed, and others go on. One that comes from another thread waits for its turn.
    let (turnstile, keeper) = turnstile();
    let (slow, quick) = (handle.clone(), handle.clone());
    let slow = std::thread::spawn(move || {
        slow.edit(|registry| {
            turnstile.pass();
            registry.remove_tool("echo")
        })
    });
    keeper.wait_entered();
    let quick = std::thread::spawn(move || quick.edit(|registry| registry.remove_tool("quick")));
    keeper.release();
    assert_eq!([slow.join().expect("no panic"), quick.join().expect("no panic")], [true, true]);
    let listed = Peer::of(&running, MODERN).request("tools/list", json!({}));
    assert!(!listed.to_string().contains("\"quick\""), "{listed}");
}
