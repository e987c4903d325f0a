//! Requests of the server to its clients, and the hooks that tell of clients.

use crate::demo::{Echo, demo};
use crate::neighbor::{beside, exposed};
use crate::peer::{ALL, LEGACY, MODERN, Peer, serve, until};
use crate::web::Web;
use mcp_blocking::{Client, NoArgs, RequestError, Server, Tool, ToolError, ToolResult};
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// Asks the caller for something, and tells what came of it.
fn ask(client: &Client, patience: Duration) -> ToolResult<String> {
    let answer: Result<Value, _> = client.request("acme/ask", &json!({ "n": 7 }), patience);
    answer.map(|answer| answer["word"].to_string()).map_err(ToolError::from)
}

fn asking() -> Server {
    demo()
        .tool("ask", "Asks the client", |ctx, NoArgs| ask(&ctx.client(), LONG))
        .tool("ask_briefly", "Asks the client", |ctx, NoArgs| ask(&ctx.client(), Duration::from_millis(20)))
        .tool_with(Tool::new("ask_quick", "Asks the client").quick(), |ctx, NoArgs| ask(&ctx.client(), LONG))
}

/// The text of a result that is an error.
#[track_caller]
fn failure(result: &Value) -> String {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().expect("a text").to_owned()
}

#[test]
fn a_handler_asks_its_client_and_has_the_answer_in_hand() {
    let running = serve(asking());
    for revision in LEGACY {
        let mut peer = Peer::of(&running, revision);
        let call = peer.start_call("ask", json!({}));
        let question = peer.notice("acme/ask");
        assert_eq!(question["params"], json!({ "n": 7 }), "{question}");
        assert!(question["id"].is_u64(), "{question}");
        // It is read while the handler waits, and so is everything else.
        assert_eq!(peer.call("echo", json!({ "text": "beside" }))["content"][0]["text"], "beside");
        peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "word": "yes" } }));
        assert_eq!(peer.result(&call)["content"][0]["text"], "\"yes\"");
        // An answer that nobody waits for is let pass, a second one of the same, too.
        peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "word": "again" } }));
        peer.send(&json!({ "jsonrpc": "2.0", "id": "other", "result": {} }));
        peer.assert_silent();
    }
}

#[test]
fn what_goes_wrong_with_a_question_is_told_to_who_asked() {
    let running = serve(asking());
    let mut peer = Peer::of(&running, "2025-06-18");
    for (answer, message) in [
        (json!({ "error": { "code": -1, "message": "no thanks" } }), "error -1: no thanks"),
        (json!({ "error": { "code": "x" } }), "no JSON-RPC error"),
        (json!({ "result": "yes" }), "no JSON object"),
    ] {
        let call = peer.start_call("ask", json!({}));
        let mut answer = answer;
        answer["jsonrpc"] = "2.0".into();
        answer["id"] = peer.notice("acme/ask")["id"].clone();
        peer.send(&answer);
        let text = failure(&peer.result(&call));
        assert!(text.contains(message), "{text}");
    }
    // Nobody waits any more: the client is told.
    let call = peer.start_call("ask_briefly", json!({}));
    let question = peer.notice("acme/ask");
    assert!(failure(&peer.result(&call)).contains("in time"));
    assert_eq!(peer.notice("notifications/cancelled")["params"]["requestId"], question["id"]);
    // On the thread that reads, the answer could not arrive.
    assert!(failure(&peer.call("ask_quick", json!({}))).contains("reads a connection"));
    assert_eq!(running.handle().status().workers_parked, 0);
}

#[test]
fn an_answer_that_cannot_be_used_is_the_end_of_the_question() {
    let running = serve(asking());
    let mut peer = Peer::of(&running, "2025-11-25");
    let mut web = Web::of(&running, "2025-11-25");
    let mut stream = web.listen(None);
    let error = json!({ "code": -1, "message": "no thanks" });
    for (answer, outcome) in [
        // Both members, and null for the one that is not meant.
        (json!({ "jsonrpc": "2.0", "result": { "word": "yes" }, "error": null }), Ok("\"yes\"")),
        (json!({ "jsonrpc": "2.0", "result": null, "error": error }), Err("error -1: no thanks")),
        (json!({ "jsonrpc": "2.0", "result": null, "error": null }), Err("no JSON object")),
        (json!({ "jsonrpc": "2.0", "error": null }), Err("no JSON-RPC error")),
        (json!({ "jsonrpc": "2.0", "result": {}, "error": error }), Err("both result and error")),
        (json!({ "jsonrpc": "1.0", "result": {} }), Err("jsonrpc must be")),
        (json!({ "jsonrpc": "2.0", "method": null, "result": {} }), Err("method must be a string")),
    ] {
        let mut answer = answer;
        let came_to = |result: &Value| match outcome {
            Ok(text) => assert_eq!(result["content"][0]["text"], text),
            Err(what) => assert!(failure(result).contains(what), "{result}"),
        };
        let call = peer.start_call("ask", json!({}));
        answer["id"] = peer.notice("acme/ask")["id"].clone();
        peer.send(&answer);
        came_to(&peer.result(&call));
        web.start("tools/call", json!({ "name": "ask", "arguments": {} }));
        answer["id"] = stream.event().expect("a question")["id"].clone();
        let mut other = web.again();
        other.post(&answer, &[]);
        assert!([202, 400].contains(&other.status()));
        let head = web.head();
        came_to(&web.messages(&head)[0]["result"]);
    }
    peer.assert_silent();
}

#[test]
fn clients_without_a_session_are_sent_no_requests() {
    let running = serve(asking());
    let mut peer = Peer::of(&running, MODERN);
    assert!(failure(&peer.call("ask", json!({}))).contains("no session"));
    let handle = running.handle();
    let [client] = &handle.clients()[..] else { panic!("one client") };
    assert!(matches!(client.request::<Value>("a/b", &json!({}), LONG), Err(RequestError::NoSession)));
    // One that has not said that it is ready has none yet, either.
    let mut other = Peer::connect(&running);
    let params =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    other.request("initialize", params);
    let client = handle.clients().into_iter().next_back().expect("two clients");
    assert!(matches!(client.request::<Value>("a/b", &json!({}), LONG), Err(RequestError::NoSession)));
}

#[test]
fn any_thread_may_ask_any_client() {
    let running = serve(demo());
    let mut peers = [Peer::of(&running, "2025-11-25"), Peer::of(&running, "2024-11-05")];
    let clients = running.handle().clients();
    assert!(matches!(clients[0].request::<Value>("a/b", &[1], LONG), Err(RequestError::Params(_))));
    std::thread::scope(|scope| {
        let asked: Vec<_> = clients
            .iter()
            .map(|client| scope.spawn(|| client.request::<Value>("acme/who", &json!({}), LONG).expect("an answer")))
            .collect();
        for (number, peer) in peers.iter_mut().enumerate() {
            let question = peer.notice("acme/who");
            peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "number": number } }));
        }
        for (number, asked) in asked.into_iter().enumerate() {
            assert_eq!(asked.join().expect("no panic"), json!({ "number": number }));
        }
    });
}

#[test]
fn a_client_that_goes_answers_nothing_and_nobody_waits_for_it() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, "2025-11-25");
    let client = running.handle().clients().remove(0);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| client.request::<Value>("acme/who", &json!({}), LONG));
        peer.notice("acme/who");
        peer.vanish();
        assert!(matches!(asked.join().expect("no panic"), Err(RequestError::Disconnected)));
    });
    let again = client.request::<Value>("acme/who", &json!({}), LONG);
    assert!(matches!(again, Err(RequestError::Disconnected | RequestError::Send(_))), "{again:?}");
}

#[test]
fn handlers_that_wait_for_clients_do_not_keep_others_from_working() {
    let server = asking().limits(|limits| (limits.workers, limits.parked_calls) = (2, 24));
    let running = serve(server);
    let mut asked: Vec<_> = (0..4).map(|_| Peer::of(&running, "2025-11-25")).collect();
    let mut calls = Vec::new();
    for peer in &mut asked {
        calls.push([(); 6].map(|()| peer.start_call("ask", json!({}))));
    }
    let handle = running.handle();
    until("all wait for answers", || handle.status().workers_parked == 24);
    let mut other = Peer::of(&running, "2025-11-25");
    for _ in 0..20 {
        assert_eq!(other.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    }
    // One more is refused at once.
    assert!(failure(&other.call("ask", json!({}))).contains("too many"));
    for (peer, calls) in asked.iter_mut().zip(calls) {
        for _ in &calls {
            let question = peer.notice("acme/ask");
            peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "word": "go" } }));
        }
        for call in calls {
            assert_eq!(peer.result(&call)["content"][0]["text"], "\"go\"");
        }
    }
    until("nobody waits", || handle.status().workers_parked == 0);
    until("the workers are as many as may be", || handle.status().workers <= 2);
}

#[test]
fn one_client_has_a_bounded_number_of_open_questions() {
    let running = exposed(asking().limits(|limits| limits.questions_per_client = 2));
    let _honest = beside(&running);
    let mut peer = Peer::of(&running, "2025-11-25");
    let calls = [(); 2].map(|()| peer.start_call("ask", json!({})));
    let questions = [(); 2].map(|()| peer.notice("acme/ask"));
    assert!(failure(&peer.call("ask", json!({}))).contains("too many"));
    for question in questions {
        peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": {} }));
    }
    for call in calls {
        peer.result(&call);
    }
}

#[test]
fn a_stop_ends_the_waiting() {
    let running = serve(asking());
    let mut peer = Peer::of(&running, "2025-11-25");
    let call = peer.start_call("ask", json!({}));
    peer.notice("acme/ask");
    let stopping = std::thread::spawn(move || running.shutdown(Duration::ZERO));
    assert_eq!(peer.answer(&call)["error"]["code"], -31001);
    peer.closed();
    stopping.join().expect("no panic").expect("a clean end");
}

fn told(server: Server) -> (Server, Receiver<String>) {
    let (events, told) = channel();
    let tell = move |events: &Sender<String>, what: String| {
        let _ = events.send(what);
    };
    let (a, b, c) = (events.clone(), events.clone(), events);
    let server = server
        .on_connect(|_| panic!("a hook that panics harms nobody"))
        .on_connect(move |client| tell(&a, format!("{} connects, {:?}", client.id(), client.revision())))
        .on_initialized(move |client| {
            let (name, _) = client.name_and_version().expect("a name");
            client.notify("acme/welcome", &json!({ "name": name })).expect("it has a session");
            tell(&b, format!("{} has a session of {:?}", client.id(), client.revision().expect("a revision").as_str()));
        })
        .on_disconnect(move |client, ended| tell(&c, format!("{} goes: {ended}", client.id())));
    (server, told)
}

#[test]
fn hooks_tell_of_clients_that_come_and_go() {
    let (server, told) = told(demo());
    let running = serve(server);
    for (number, revision) in ALL.into_iter().enumerate() {
        let mut peer = Peer::of(&running, revision);
        let id = number + 1;
        let next = || told.recv_timeout(crate::peer::PATIENCE).expect("an event");
        assert_eq!(next(), format!("c{id} connects, None"));
        if revision != MODERN {
            assert_eq!(next(), format!("c{id} has a session of {revision:?}"));
            assert_eq!(peer.notice("acme/welcome")["params"], json!({ "name": "test" }));
            // Once, however often it is said.
            peer.notify("notifications/initialized", json!({}));
        }
        peer.assert_silent();
        match number % 2 {
            0 => {
                peer.close(1000, "bye");
                peer.closed();
                assert_eq!(next(), format!("c{id} goes: closed by the peer (1000)"));
            }
            _ => {
                peer.vanish();
                assert_eq!(next(), format!("c{id} goes: lost"));
            }
        }
    }
    let mut last = Peer::of(&running, MODERN);
    assert_eq!(told.recv().expect("an event"), "c6 connects, None");
    let stopping = std::thread::spawn(move || running.shutdown(LONG));
    last.closed();
    stopping.join().expect("no panic").expect("a clean end");
    assert_eq!(told.recv().expect("an event"), "c6 goes: closed by the server");
    assert!(told.recv().is_err(), "each is told of once");
}

#[test]
fn a_hook_cannot_wait_for_its_own_client() {
    let (events, told) = channel();
    let server = demo().on_initialized(move |client| {
        let _ = events.send(client.request::<Value>("acme/ask", &json!({}), LONG).expect_err("it would wait for ever"));
    });
    let running = serve(server);
    let mut peer = Peer::of(&running, "2025-11-25");
    assert!(matches!(told.recv(), Ok(RequestError::WouldBlock)));
    let echo = Echo { text: "still here".into() };
    assert_eq!(peer.call("echo", json!({ "text": echo.text }))["content"][0]["text"], echo.text);
}
