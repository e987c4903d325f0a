//! Streamable HTTP: both eras, sessions, streams, and what is refused.

use crate::demo::{Echo, demo};
use crate::neighbor::{HONEST, beside, beside_with, exposed};
use crate::peer::{MODERN, PATIENCE, Peer, dial_from, modern_meta, serve, turnstile, until};
use crate::web::{BOTH, Web};
use mcp_blocking::{Answer, NoArgs, Running, Server, Tool, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::mpsc::channel;
use std::time::Duration;

/// The revisions that HTTP has.
const ALL: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", MODERN];
const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[test]
fn tools_are_called_in_all_revisions_over_one_connection() {
    let running = serve(demo());
    for revision in ALL {
        let mut web = Web::of(&running, revision);
        assert_eq!(web.session.is_some(), revision != MODERN);
        for n in 0..3 {
            assert_eq!(web.call("echo", json!({ "text": n.to_string() }))["content"][0]["text"], n.to_string());
            assert_eq!(web.call("quick", json!({ "text": "q" }))["content"][0]["text"], "q");
        }
        let listed = web.request("tools/list", json!({}))["result"]["tools"].as_array().map(Vec::len);
        assert_eq!(listed, Some(8));
        assert_eq!(web.call("fail", json!({}))["isError"], true);
    }
    // The old client asks for what HTTP never had; it is served as what it asks for.
    let mut old = Web::of(&running, "2024-11-05");
    assert_eq!(old.call("echo", json!({ "text": "old" }))["content"][0]["text"], "old");
}

#[test]
fn a_websocket_is_opened_at_the_same_place() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, MODERN);
    let mut web = Web::of(&running, MODERN);
    assert_eq!(peer.call("echo", json!({ "text": "ws" }))["content"][0]["text"], "ws");
    assert_eq!(web.call("echo", json!({ "text": "http" }))["content"][0]["text"], "http");
}

#[test]
fn an_answer_is_json_until_there_is_something_to_say_before_it() {
    let running = serve(demo());
    for revision in ALL {
        let mut web = Web::of(&running, revision);
        let (head, _) = web.request_all("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
        let counting = json!({ "name": "count", "arguments": { "to": 3 }, "_meta": { "progressToken": 7 } });
        let (head, messages) = web.request_all("tools/call", counting.clone());
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!((head.header("x-accel-buffering"), head.header("cache-control")), (Some("no"), Some("no-cache")));
        let progress: Vec<_> = messages.iter().filter_map(|message| message["params"]["progress"].as_f64()).collect();
        assert!(progress.last() == Some(&3.0) && progress.is_sorted(), "{messages:?}");
        assert_eq!(messages.last().expect("an answer")["result"]["content"][0]["text"], "counted to 3");
        // A client that reads no streams gets the answer alone, one that reads nothing else gets a stream.
        let message = web.make("tools/call", counting.clone());
        web.post(&message, &[("Accept", "application/json")]);
        assert_eq!(web.json().0, 200);
        let message = web.make("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
        web.post(&message, &[("Accept", "text/event-stream")]);
        let head = web.head();
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(web.messages(&head).len(), 1);
        web.post(&message, &[("Accept", "text/html")]);
        assert_eq!(web.json().0, 406);
    }
}

#[test]
fn modern_requests_need_headers_that_agree_with_them() {
    let header =
        json!({ "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } });
    let server =
        demo().tool_raw(Tool::new("region", "Says where"), &header, |_ctx, arguments: Value| Ok(arguments.to_string()));
    let running = serve(server);
    let mut web = Web::of(&running, MODERN);
    let (json_type, version) = (("Content-Type", "application/json"), ("MCP-Protocol-Version", MODERN));
    let call = |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments, "_meta": modern_meta(json!({})) });
        json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params }).to_string()
    };
    let echo = call("echo", json!({ "text": "x" }));
    let method = ("Mcp-Method", "tools/call");
    for (headers, body, expected) in [
        (vec![json_type, version, method, ("mcp-NAME", " echo ")], &echo, Ok(())),
        (vec![json_type, version, method, ("Mcp-Name", "=?base64?ZWNobw==?=")], &echo, Ok(())),
        (vec![json_type, method, ("Mcp-Name", "echo")], &echo, Err((400, -32020))),
        (
            vec![json_type, ("MCP-Protocol-Version", "2025-11-25"), method, ("Mcp-Name", "echo")],
            &echo,
            Err((400, -32020)),
        ),
        (vec![json_type, version, ("Mcp-Name", "echo")], &echo, Err((400, -32020))),
        (vec![json_type, version, ("Mcp-Method", "Tools/Call"), ("Mcp-Name", "echo")], &echo, Err((400, -32020))),
        (vec![json_type, version, method], &echo, Err((400, -32020))),
        (vec![json_type, version, method, ("Mcp-Name", "fail")], &echo, Err((400, -32020))),
        (vec![json_type, version, method, ("Mcp-Name", "=?base64?ZWNobw?=")], &echo, Err((400, -32020))),
        (
            vec![json_type, version, method, ("Mcp-Name", "region")],
            &call("region", json!({ "region": "eu" })),
            Err((400, -32020)),
        ),
        (
            vec![json_type, version, method, ("Mcp-Name", "region"), ("Mcp-Param-Region", "us")],
            &call("region", json!({ "region": "eu" })),
            Err((400, -32020)),
        ),
        (
            vec![json_type, version, method, ("Mcp-Name", "region"), ("Mcp-Param-Region", "eu")],
            &call("region", json!({ "region": "eu" })),
            Ok(()),
        ),
        (vec![json_type, version, method, ("Mcp-Name", "region")], &call("region", json!({})), Ok(())),
    ] {
        web.ask("POST", &headers, body);
        let (status, answer) = web.json();
        match expected {
            Ok(()) => assert!(status == 200 && answer["result"].is_object(), "{headers:?}: {status} {answer}"),
            Err((wanted, code)) => {
                assert_eq!(
                    (status, &answer["error"]["code"], &answer["id"]),
                    (wanted, &json!(code), &json!(5)),
                    "{headers:?} {answer}"
                );
            }
        }
    }
}

#[test]
fn modern_errors_have_their_status() {
    let running = serve(demo());
    let mut web = Web::of(&running, MODERN);
    let mut ask = |method: &str, params: Value, version: &str| {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let headers = [("Content-Type", "application/json"), ("MCP-Protocol-Version", version), ("Mcp-Method", method)];
        web.ask("POST", &headers, &message.to_string());
        let (status, answer) = web.json();
        (status, answer["error"]["code"].as_i64())
    };
    let meta = || json!({ "_meta": modern_meta(json!({})) });
    assert_eq!(ask("server/discover", meta(), MODERN), (200, None));
    assert_eq!(ask("acme/unknown", meta(), MODERN), (404, Some(-32601)));
    assert_eq!(ask("initialize", meta(), MODERN), (404, Some(-32601)));
    assert_eq!(ask("tools/list", json!({}), MODERN), (400, Some(-32602)));
    let version = |version: &str| json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {} } });
    assert_eq!(ask("tools/list", version("v999"), "v999"), (400, Some(-32022)));
    assert_eq!(ask("tools/list", version("v999"), MODERN), (400, Some(-32020)));
    // An error of a method that ran is an answer like any other.
    assert_eq!(
        ask("tools/list", json!({ "cursor": "bad", "_meta": modern_meta(json!({})) }), MODERN),
        (200, Some(-32602))
    );
}

#[test]
fn a_modern_client_cancels_by_leaving_and_a_legacy_one_does_not() {
    for revision in [MODERN, "2025-11-25"] {
        let (told, ended) = channel();
        let (turnstile, keeper) = turnstile();
        let told = std::sync::Mutex::new(told);
        let server = demo().tool("wait", "Waits", move |ctx, NoArgs| {
            turnstile.pass();
            let slept = ctx.sleep(Duration::from_millis(300));
            let cancelled = slept.as_ref().is_err_and(ToolError::is_cancelled);
            told.lock().expect("no panic").send(cancelled).expect("somebody listens");
            slept.map(|()| "waited")
        });
        let running = serve(server);
        let mut web = Web::of(&running, revision);
        web.start("tools/call", json!({ "name": "wait", "arguments": {} }));
        keeper.wait_entered();
        web.vanish();
        keeper.release();
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(revision == MODERN), "{revision}");
        let handle = running.handle();
        until("nothing is under way", || handle.status().calls_in_flight == 0);
    }
}

#[test]
fn a_legacy_call_is_cancelled_by_a_notice_on_another_connection() {
    let running = serve(demo());
    let mut web = Web::of(&running, "2025-11-25");
    let id = web.start("tools/call", json!({ "name": "sleep", "arguments": {} }));
    let mut other = web.again();
    let handle = running.handle();
    until("it is under way", || handle.status().calls_in_flight == 1);
    other.post(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }), &[]);
    assert_eq!(other.empty(), 202);
    // The request has an end, though no answer; the connection goes on.
    assert_eq!(web.empty(), 202);
    assert_eq!(web.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
}

#[test]
fn subscriptions_are_streams() {
    let running = serve(demo().limits(|limits| limits.ping_interval = Duration::from_millis(30)));
    let mut web = Web::of(&running, MODERN);
    let id = web.start("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
    let head = web.head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let acknowledged = web.event().expect("an acknowledgement");
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id);
    // It is kept alive by comments.
    assert_eq!(web.chunk().expect("a comment"), b":\n\n");
    running.handle().tools_changed();
    assert_eq!(web.event().expect("a notice")["method"], "notifications/tools/list_changed");
    // Without a client that reads streams there is none.
    let mut deaf = web.again();
    let message = deaf.make("subscriptions/listen", json!({ "notifications": {} }));
    deaf.post(&message, &[("Accept", "application/json")]);
    assert_eq!(deaf.json().1["error"]["code"], -32600);
    // The end by the server: the result, and the end of the stream.
    let stopping = std::thread::spawn(move || running.shutdown(Duration::from_secs(5)));
    let result = std::iter::from_fn(|| web.event()).last().expect("a result");
    assert_eq!((&result["id"], &result["result"]["resultType"]), (&id, &json!("complete")));
    stopping.join().expect("no panic").expect("a clean end");
}

#[test]
fn subscriptions_end_with_their_connection() {
    let running = serve(demo());
    for _ in 0..20 {
        let mut web = Web::of(&running, MODERN);
        web.start("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
        web.head();
        web.event();
        web.vanish();
    }
    let handle = running.handle();
    until("all are gone", || handle.status().connections == 0);
    handle.tools_changed();
    assert_eq!(handle.status().memory_used, 0);
}

#[test]
fn a_session_is_found_by_its_id_and_ends_when_it_is_told_to() {
    let (told, gone) = channel();
    let told = std::sync::Mutex::new(told);
    let server = demo().on_disconnect(move |client, ended| {
        told.lock()
            .expect("no panic")
            .send(format!("{:?} {ended}", client.revision().map(|r| r.as_str())))
            .expect("sent");
    });
    let running = serve(server);
    for revision in LEGACY {
        let mut web = Web::of(&running, revision);
        let id = web.session.clone().expect("a session");
        assert!(id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
        let mut other = web.again();
        assert_eq!(other.call("echo", json!({ "text": "same" }))["content"][0]["text"], "same");
        assert_eq!(running.handle().clients().len(), 1);
        // Unknown, missing, and with a version that nobody knows.
        other.session = Some("unknown".into());
        let ping = other.make("ping", json!({}));
        other.post(&ping, &[]);
        assert_eq!(other.json().0, 404);
        other.session = None;
        other.post(&ping, &[]);
        assert_eq!(other.json().0, 400);
        other.ask(
            "POST",
            &[("Content-Type", "application/json"), ("Mcp-Session-Id", &id), ("MCP-Protocol-Version", "1999-01-01")],
            &ping.to_string(),
        );
        let (status, answer) = other.json();
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32022)));
        // A second handshake in the same session changes nothing.
        web.post(&json!({ "jsonrpc": "2.0", "id": 9, "method": "initialize", "params": {} }), &[]);
        assert_eq!(web.json().0, 400);
        web.ask("DELETE", &[("Mcp-Session-Id", &id)], "");
        assert_eq!(web.empty(), 204);
        web.post(&ping, &[]);
        assert_eq!(web.json().0, 404);
        assert_eq!(gone.recv_timeout(PATIENCE).expect("told"), format!("Some({revision:?}) closed by the peer"));
        assert!(running.handle().clients().is_empty());
    }
}

#[test]
fn a_session_belongs_to_its_principal() {
    let server = demo().bearer_token("ada", "0123456789abcdef-ada").bearer_token("bob", "0123456789abcdef-bob");
    let running = exposed(server);
    let _honest = beside_with(&running, "0123456789abcdef-ada");
    let auth = |who: &str| format!("Bearer 0123456789abcdef-{who}");
    let mut web = Web::connect(&running);
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
    web.post(&hello, &[("Authorization", &auth("ada"))]);
    let head = web.head();
    web.body(&head);
    web.session = head.header("mcp-session-id").map(str::to_owned);
    let ping = web.make("ping", json!({}));
    for (who, status) in [("ada", 200), ("bob", 404), ("ada", 200)] {
        web.post(&ping, &[("Authorization", &auth(who))]);
        assert_eq!(web.json().0, status, "{who}");
    }
    web.post(&ping, &[]);
    assert_eq!(web.status(), 401);
    web.assert_closed();
}

/// The stream of a session, if there is one.
fn stream_of(web: &Web) -> Option<Web> {
    let mut stream = web.again();
    stream.ask("GET", &[("Accept", "text/event-stream"), ("Mcp-Session-Id", web.session.as_deref()?)], "");
    (stream.head().status == 200).then_some(stream)
}

#[test]
fn sessions_that_nobody_uses_are_forgotten() {
    let running = serve(demo());
    let (used, idle) = (Web::of(&running, "2025-11-25"), Web::of(&running, "2025-11-25"));
    assert_eq!(running.handle().clients().len(), 2);
    drop((used, idle));
    let running = serve(demo().limits(|limits| limits.session_idle = Duration::from_millis(60)));
    let mut forgotten = Web::of(&running, "2025-11-25");
    let handle = running.handle();
    until("it is forgotten", || handle.clients().is_empty());
    let ping = forgotten.make("ping", json!({}));
    forgotten.post(&ping, &[]);
    assert_eq!(forgotten.json().0, 404);
}

#[test]
fn sessions_are_bounded_and_those_in_use_are_kept() {
    let running = serve(demo().limits(|limits| limits.sessions = 2));
    let mut used = Web::of(&running, "2025-11-25");
    let _stream = stream_of(&used).expect("a stream");
    let idle = Web::of(&running, "2025-11-25");
    // One more takes the place of the one that is not in use.
    let third = Web::of(&running, "2025-06-18");
    assert!(stream_of(&idle).is_none());
    let _third = stream_of(&third).expect("a stream");
    let mut fourth = Web::connect(&running);
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
    fourth.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }), &[]);
    let head = fourth.head();
    assert_eq!((head.status, head.header("retry-after")), (503, Some("1")));
    let answer: Value = serde_json::from_slice(&fourth.body(&head)).expect("JSON");
    assert_eq!(answer["error"]["code"], -31001);
    assert_eq!(used.call("echo", json!({ "text": "kept" }))["content"][0]["text"], "kept");
}

/// A session for who has that token, as far as `initialize`.
fn session_of(running: &Running, token: &str) -> Web {
    let mut web = Web::connect(running);
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    web.post(&hello, &[("Authorization", &format!("Bearer {token}"))]);
    let head = web.head();
    assert_eq!(head.status, 200);
    web.body(&head);
    (web.session, web.revision) = (head.header("mcp-session-id").map(str::to_owned), "2025-11-25");
    web
}

#[test]
fn who_opens_many_sessions_pushes_out_his_own() {
    let running = serve(demo().limits(|limits| limits.sessions = 3));
    let _honest = beside(&running);
    let mut honest = Web::over(Box::new(dial_from(HONEST, running.addr())), running.addr()).speaking("2025-11-25");
    // Nobody goes on with these.
    let crowd: Vec<_> = (0..20).map(|_| session_of(&running, "0")).collect();
    assert_eq!(honest.call("echo", json!({ "text": "kept" }))["content"][0]["text"], "kept");
    drop(crowd);

    let [ada, bob] = ["0123456789abcdef-ada", "0123456789abcdef-bob"];
    let server = demo().bearer_token("ada", ada).bearer_token("bob", bob);
    let running = serve(server.limits(|limits| limits.sessions = 3));
    let mut honest = session_of(&running, ada);
    for _ in 0..20 {
        // In use for longer than the other.
        let mut web = session_of(&running, bob);
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        web.post(&ready, &[("Authorization", &format!("Bearer {bob}"))]);
        assert_eq!(web.empty(), 202);
    }
    let ping = honest.make("ping", json!({}));
    honest.post(&ping, &[("Authorization", &format!("Bearer {ada}"))]);
    assert_eq!(honest.json().0, 200);
}

#[test]
fn handshakes_and_streams_count_as_messages_do() {
    let running = exposed(demo().limits(|limits| (limits.rate, limits.burst) = (1, 4)));
    let _honest = beside(&running);
    let mut web = Web::of(&running, "2025-11-25");
    let mut other = web.again();
    let statuses: Vec<_> = (0..8)
        .map(|_| {
            let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
            other.session = None;
            other.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }), &[]);
            other.status()
        })
        .collect();
    assert!(statuses[0] == 200 && statuses.contains(&429), "{statuses:?}");
    let refused = (0..8).find_map(|_| {
        let mut stream = web.again();
        stream.get(None);
        let head = stream.head();
        (head.status != 200).then_some(head)
    });
    let head = refused.expect("too many");
    assert_eq!((head.status, head.header("retry-after")), (429, Some("1")));
    // It was that session and that connection, and nobody else.
    web = Web::of(&running, "2025-11-25");
    assert_eq!(web.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
}

/// Requests beyond the rate have a status of their own.
#[test]
fn the_rate_holds_over_http() {
    let running = exposed(demo().limits(|limits| (limits.rate, limits.burst) = (1, 4)));
    let _honest = beside(&running);
    let mut web = Web::of(&running, MODERN);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let message = web.make("tools/list", json!({}));
        web.post(&message, &[]);
        let head = web.head();
        let answer: Value = serde_json::from_slice(&web.body(&head)).expect("JSON");
        assert_eq!(answer["error"]["code"] == -31002, head.status == 429, "{answer}");
        statuses.push(head.status);
    }
    assert!(statuses.starts_with(&[200, 200, 200]) && statuses.contains(&429), "{statuses:?}");
}

#[test]
fn what_belongs_to_no_request_comes_over_the_stream_of_the_session() {
    let running = serve(demo());
    for revision in LEGACY {
        let web = Web::of(&running, revision);
        let id = web.session.clone().expect("a session");
        let handle = running.handle();
        // Before there is a stream it waits.
        assert_eq!(handle.broadcast("acme/first", &json!({})).expect("an object"), 1);
        handle.tools_changed();
        handle.tools_changed();
        let mut stream = web.again();
        let get = [("Accept", "text/event-stream"), ("Mcp-Session-Id", id.as_str())];
        stream.ask("GET", &get, "");
        assert_eq!(stream.head().status, 200);
        assert_eq!(stream.event().expect("an event")["method"], "acme/first");
        assert_eq!(stream.event().expect("an event")["method"], "notifications/tools/list_changed");
        handle.clients()[0].notify("acme/second", &json!({ "n": 2 })).expect("it has a session");
        assert_eq!(stream.event().expect("an event")["params"]["n"], 2);
        // A second stream takes its place.
        let mut newer = web.again();
        newer.ask("GET", &get, "");
        assert_eq!(newer.head().status, 200);
        assert_eq!(stream.event(), None);
        handle.broadcast("acme/third", &json!({})).expect("an object");
        assert_eq!(newer.event().expect("an event")["method"], "acme/third");
        let mut end = web.again();
        end.ask("DELETE", &[("Mcp-Session-Id", &id)], "");
        assert_eq!(end.empty(), 204);
        assert_eq!(newer.event(), None);
    }
}

#[test]
fn a_handler_asks_over_the_stream_of_its_request() {
    let server = demo().tool("greet", "Asks for a name", |ctx, NoArgs| {
        let Answer::Accept(Name { name }) = ctx.ask("name", "Your name?")? else { return Ok("nobody".into()) };
        Ok(format!("hello {name}"))
    });
    let running = serve(server);
    let accept = || json!({ "action": "accept", "content": { "name": "Ada" } });
    for revision in ["2025-06-18", "2025-11-25"] {
        let mut web = Web::able(&running, revision, json!({ "elicitation": {} }));
        web.start("tools/call", json!({ "name": "greet", "arguments": {} }));
        assert_eq!(web.head().status, 200);
        let question = web.event().expect("a question");
        assert_eq!(question["method"], "elicitation/create");
        let mut other = web.again();
        other.post(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": accept() }), &[]);
        assert_eq!(other.empty(), 202);
        assert_eq!(web.event().expect("an answer")["result"]["content"][0]["text"], "hello Ada");
        assert_eq!(web.event(), None);
    }
    let mut web = Web::able(&running, MODERN, json!({ "elicitation": {} }));
    let first = web.call("greet", json!({}));
    assert_eq!(first["resultType"], "input_required");
    let params = json!({ "name": "greet", "arguments": {}, "requestState": first["requestState"], "inputResponses": { "name": accept() } });
    assert_eq!(web.request("tools/call", params)["result"]["content"][0]["text"], "hello Ada");
}

#[test]
fn batches_are_answered_where_they_belong() {
    let running = serve(demo());
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "ping" },
        { "jsonrpc": "2.0", "method": "notifications/roots/list_changed" },
        { "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "echo", "arguments": { "text": "b" } } },
    ]);
    let mut web = Web::of(&running, "2025-03-26");
    web.post(&batch, &[]);
    let (status, answers) = web.json();
    assert_eq!((status, answers.as_array().map(Vec::len)), (200, Some(2)), "{answers}");
    web.post(&json!([{ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" }]), &[]);
    assert_eq!(web.empty(), 202);
    for revision in ["2025-06-18", "2025-11-25"] {
        let mut web = Web::of(&running, revision);
        web.post(&batch, &[]);
        assert_eq!(web.json().0, 400);
    }
    let mut web = Web::of(&running, MODERN);
    web.post(&batch, &[]);
    assert_eq!(web.json().0, 400);
}

#[test]
fn requests_that_come_ahead_are_answered_in_order() {
    let running = serve(demo());
    let mut web = Web::of(&running, MODERN);
    let ids: Vec<_> = (0..20)
        .map(|n| web.start("tools/call", json!({ "name": "echo", "arguments": { "text": n.to_string() } })))
        .collect();
    for (n, id) in ids.iter().enumerate() {
        let (status, answer) = web.json();
        assert_eq!((status, &answer["id"], &answer["result"]["content"][0]["text"]), (200, id, &json!(n.to_string())));
    }
}

#[test]
fn bodies_may_be_chunked_and_waited_for() {
    let running = serve(demo());
    let mut web = Web::of(&running, MODERN);
    let message = web.make("tools/call", json!({ "name": "echo", "arguments": { "text": "chunked" } })).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json; charset=utf-8\r\nMCP-Protocol-Version: {MODERN}\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n",
        running.addr()
    );
    let (one, two) = message.split_at(10);
    let chunks = format!("{:x}\r\n{one}\r\n{:X}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
    web.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}"));
    assert_eq!(web.json().1["result"]["content"][0]["text"], "chunked");
    web.send(format!("{head}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n", message.len()));
    assert_eq!(web.head().status, 100);
    web.send(&message);
    assert_eq!(web.json().1["result"]["content"][0]["text"], "chunked");
    web.send(format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{message}", message.len()));
    let answer = web.head();
    assert_eq!(answer.header("connection"), Some("close"));
    web.body(&answer);
    web.assert_closed();
}

#[test]
fn what_is_no_message_is_refused_with_its_status() {
    let running = serve(demo().limits(|limits| limits.message_bytes = 4_096));
    let json_type = ("Content-Type", "application/json");
    for (method, headers, body, status) in [
        ("POST", vec![json_type], "{".to_owned(), 400),
        ("POST", vec![json_type], "[]".to_owned(), 400),
        ("POST", vec![json_type], "\"text\"".to_owned(), 400),
        ("POST", vec![("Content-Type", "text/plain")], "{}".to_owned(), 415),
        ("POST", vec![], "{}".to_owned(), 415),
        ("POST", vec![json_type], "x".repeat(4_097), 413),
        ("PUT", vec![json_type], String::new(), 405),
        ("GET", vec![("Accept", "text/event-stream")], String::new(), 400),
        ("GET", vec![("Accept", "text/event-stream"), ("MCP-Protocol-Version", MODERN)], String::new(), 405),
        ("DELETE", vec![("MCP-Protocol-Version", MODERN)], String::new(), 405),
        ("DELETE", vec![("Mcp-Session-Id", "nobody")], String::new(), 404),
        ("GET", vec![], String::new(), 426),
    ] {
        let mut web = Web::connect(&running);
        web.ask(method, &headers, &body);
        assert_eq!(web.status(), status, "{method} {headers:?} {body:.20}");
    }
    let mut web = Web::connect(&running);
    web.send(
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n\xff\xff",
    );
    assert_eq!(web.json().1["error"]["code"], -32700);
}

#[test]
fn pages_of_allowed_origins_may_read_the_answers() {
    let running = serve(demo().allow_origin("https://app.example"));
    let mut web = Web::of(&running, MODERN);
    let message = web.make("tools/list", json!({}));
    web.post(&message, &[("Origin", "https://app.example")]);
    let head = web.head();
    web.body(&head);
    assert_eq!(head.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(head.header("vary"), Some("Origin"));
    web.post(&message, &[]);
    let head = web.head();
    web.body(&head);
    assert_eq!(head.header("access-control-allow-origin"), None);
    let preflight = |origin: &str| {
        let mut web = Web::connect(&running);
        let asked = "content-type, mcp-param-region, x-other";
        web.ask(
            "OPTIONS",
            &[("Origin", origin), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", asked)],
            "",
        );
        web.head()
    };
    let head = preflight("https://app.example");
    assert_eq!(head.status, 204);
    let allowed = head.header("access-control-allow-headers").expect("a list");
    assert!(
        allowed.contains("Mcp-Session-Id") && allowed.contains("mcp-param-region") && !allowed.contains("x-other"),
        "{allowed}"
    );
    assert_eq!(preflight("https://evil.example").status, 403);
}

fn post(running: &Running, rest: &str) -> Web {
    let mut web = Web::connect(running);
    web.send(format!("POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{rest}", running.addr()));
    web
}

#[test]
fn requests_that_two_servers_could_read_differently_are_refused() {
    let running = serve(demo());
    let second = "GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for rest in [
        format!("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{{}}{second}"),
        format!("Content-Length: 2\r\nContent-Length: 40\r\n\r\n{{}}{second}"),
        format!("Content-Length: +2\r\n\r\n{{}}{second}"),
        format!("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n{second}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{second}"),
        format!("Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{{}}\r\n0\r\n\r\n{second}"),
        format!("Transfer-Encoding: chunked\r\n\r\n2\n{{}}\n0\n\n{second}"),
        format!("Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nX: y\r\n\r\n{second}"),
        format!("Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n{{}}{second}"),
        format!("X: a\r\n Content-Length: 2\r\n\r\n{{}}{second}"),
        format!("X: a\nContent-Length: 2\r\n\r\n{{}}{second}"),
        format!("Host: evil.example\r\nContent-Length: 2\r\n\r\n{{}}{second}"),
    ] {
        let mut web = post(&running, &rest);
        assert_eq!(web.status(), 400, "{rest:?}");
        // The second request was not taken for one.
        web.assert_closed();
    }
    let many = "X-Many: y\r\n".repeat(1_000);
    let mut web = post(&running, &format!("{many}\r\n"));
    assert_eq!(web.status(), 431);
    web.assert_closed();
}

#[test]
fn bodies_that_do_not_come_or_do_not_end_are_given_up() {
    let limits = |server: Server| {
        server.limits(|limits| {
            limits.body_deadline = Duration::from_millis(150);
            limits.message_bytes = 8_192;
        })
    };
    let running = serve(limits(demo()));
    let mut honest = Web::of(&running, MODERN);
    let mut slow = post(&running, "Content-Length: 100\r\n\r\n{");
    assert_eq!(slow.status(), 408);
    slow.assert_closed();
    let mut endless = post(&running, "Transfer-Encoding: chunked\r\n\r\n");
    for _ in 0..9 {
        endless.send(format!("400\r\n{}\r\n", " ".repeat(1_024)));
    }
    assert_eq!(endless.status(), 413);
    let half = post(&running, "Content-Length: 100\r\n\r\n{");
    half.half_close();
    let mut half = half;
    half.assert_closed();
    assert_eq!(honest.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    let handle = running.handle();
    until("only the honest one is left", || handle.status().connections == 1);
}

#[test]
fn idle_connections_are_closed() {
    let running = exposed(demo().limits(|limits| limits.keep_alive = Duration::from_millis(40)));
    let _honest = beside(&running);
    let mut web = Web::of(&running, MODERN);
    web.call("echo", json!({ "text": "once" }));
    web.assert_closed();
    let handle = running.handle();
    until("it is gone, and the other is not", || handle.status().connections == 1);
}

#[test]
fn a_call_that_takes_long_is_not_an_idle_connection() {
    let running = serve(demo().limits(|limits| limits.keep_alive = Duration::from_millis(20)).tool(
        "nap",
        "Sleeps",
        |ctx, NoArgs| {
            ctx.sleep(Duration::from_millis(200))?;
            Ok("slept")
        },
    ));
    for revision in ALL {
        assert_eq!(Web::of(&running, revision).call("nap", json!({}))["content"][0]["text"], "slept");
    }
}

#[test]
fn deadlines_hold_over_http() {
    let server =
        demo().tool_with(Tool::new("hasty", "Has no time").deadline(Duration::from_millis(50)), |ctx, NoArgs| {
            ctx.sleep(PATIENCE)?;
            Ok("not reached")
        });
    let running = exposed(server);
    let _honest = beside(&running);
    for revision in ALL {
        let result = Web::of(&running, revision).call("hasty", json!({}));
        assert_eq!(result["isError"], true, "{revision} {result}");
    }
}

#[test]
fn a_stop_answers_what_is_under_way_and_waits_for_no_idle_client() {
    let running = serve(demo());
    let mut calling: Vec<_> = ALL.iter().map(|revision| Web::of(&running, revision)).collect();
    let _idle = Web::of(&running, MODERN);
    for web in &mut calling {
        web.start("tools/call", json!({ "name": "sleep", "arguments": {} }));
    }
    let handle = running.handle();
    until("all are under way", || handle.status().calls_in_flight == ALL.len());
    let stopping = std::thread::spawn(move || running.shutdown(Duration::ZERO));
    for web in &mut calling {
        let head = web.head();
        assert_eq!(web.messages(&head).pop().expect("an answer")["error"]["code"], -31001);
        web.assert_closed();
    }
    stopping.join().expect("no panic").expect("a clean end");
}

#[test]
fn a_panic_of_a_handler_is_an_answer() {
    let running = exposed(demo());
    let _honest = beside(&running);
    for revision in ALL {
        let mut web = Web::of(&running, revision);
        let answer = web.request("tools/call", json!({ "name": "panic", "arguments": {} }));
        assert_eq!(answer["error"]["code"], -32603);
        let echo = Echo { text: "still here".into() };
        assert_eq!(web.call("echo", json!({ "text": echo.text }))["content"][0]["text"], echo.text);
    }
}

#[test]
fn accept_is_read_with_lenience() {
    let running = serve(demo());
    let mut web = Web::of(&running, MODERN);
    for accept in ["*/*", "application/*;q=0.5", BOTH, "text/html, application/json;q=0.1"] {
        let message = web.make("tools/list", json!({}));
        web.post(&message, &[("Accept", accept)]);
        assert_eq!(web.json().0, 200, "{accept}");
    }
}

#[test]
fn a_hook_that_blocks_at_the_end_of_a_session_holds_no_deadline_up() {
    let (told, gone) = channel();
    let told = std::sync::Mutex::new(told);
    let (turnstile, keeper) = turnstile();
    let slow = Tool::new("slow", "Sleeps").deadline(Duration::from_millis(200));
    let server = demo()
        .tool_with(slow, |ctx, NoArgs| ctx.sleep(PATIENCE * 2).map(|()| "slept"))
        .limits(|limits| limits.sessions = 2)
        .on_disconnect(move |client, ended| {
            if client.revision().is_some() {
                turnstile.pass();
                let thread = std::thread::current().name().unwrap_or_default().to_owned();
                told.lock().expect("no panic").send((client.id(), format!("{ended} {thread}"))).expect("sent");
            }
        });
    let running = serve(server);
    let mut peer = Peer::of(&running, MODERN);
    let [_first, second] = [(); 2].map(|()| Web::of(&running, "2025-11-25"));
    let sessions: Vec<_> =
        running.handle().clients().into_iter().filter(|client| client.revision().is_some()).collect();
    // One is closed by the author, one has to make room.
    sessions[0].close(1000, "enough");
    keeper.wait_entered();
    let begun = std::time::Instant::now();
    assert_eq!(peer.call("slow", json!({}))["isError"], true);
    until("there is room", || running.handle().clients().len() == 2);
    let third = Web::of(&running, "2025-11-25");
    let _fourth = Web::of(&running, "2025-11-25");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    keeper.release();
    keeper.wait_entered();
    keeper.release();
    let mut ends = [(); 2].map(|()| gone.recv_timeout(PATIENCE).expect("told"));
    ends.sort();
    assert_eq!(ends.clone().map(|(id, _)| id), [sessions[0].id(), sessions[1].id()]);
    assert!(ends.iter().all(|(_, how)| how.ends_with("mcp-hooks")), "{ends:?}");
    // The others go with the server, each once.
    drop((second, third));
    let stopping = std::thread::spawn(move || running.shutdown(Duration::ZERO));
    for _ in 0..2 {
        keeper.wait_entered();
        keeper.release();
    }
    stopping.join().expect("no panic").expect("a clean end");
    assert_eq!(gone.iter().count(), 2);
}

#[test]
fn a_request_that_names_an_older_revision_is_told_what_is_wrong_with_that() {
    let running = serve(demo());
    let message = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2025-11-25", "io.modelcontextprotocol/clientCapabilities": {} } } });
    let mut web = Web::connect(&running);
    for (version, code) in [(Some(MODERN), -32020), (Some("2025-11-25"), -32022), (None, -32022)] {
        let headers: Vec<_> = version.map(|version| ("MCP-Protocol-Version", version)).into_iter().collect();
        web.post(&message, &[&headers[..], &[("Mcp-Method", "tools/list")]].concat());
        let (status, answer) = web.json();
        assert_eq!((status, &answer["error"]["code"], &answer["id"]), (400, &json!(code), &json!(7)), "{answer}");
    }
    let mut peer = Peer::connect(&running);
    peer.send(&message);
    assert_eq!(peer.error(&json!(7))["code"], -32022, "as over WebSocket");
    // In a session it changes nothing.
    let mut web = Web::of(&running, "2025-11-25");
    web.post(&message, &[]);
    assert!(web.json().1["result"]["tools"].is_array());
}
