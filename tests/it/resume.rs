//! Streams of HTTP sessions that outlive their connections: event ids, what is kept, how a client goes on, and how a handler lets go.

use crate::demo::demo;
use crate::neighbor::{beside, beside_with, exposed};
use crate::peer::{MODERN, PATIENCE, Peer, Turnstile, serve, turnstile, until};
use crate::web::Web;
use mcp_blocking::{Answer, Ctx, Era, NoArgs, Running, Server, ToolResult};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::mpsc::channel;
use std::time::Duration;

const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
const POLLING: &str = "2025-11-25";

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Steps {
    to: u32,
    #[serde(default)]
    size: usize,
}

/// A server with a tool that says something, waits at the turnstile, says something more and answers.
fn stepping(turnstile: Turnstile) -> Server {
    demo().tool("step", "Reports, waits, reports, answers", move |ctx, Steps { to, size }| {
        ctx.log(mcp_blocking::LogLevel::Info, "begun");
        turnstile.pass();
        for step in 1..=to {
            ctx.log(mcp_blocking::LogLevel::Info, step);
        }
        Ok("x".repeat(size) + "done")
    })
}

fn step(to: u32) -> Value {
    json!({ "name": "step", "arguments": { "to": to } })
}

/// The texts of log messages and answers, in their order.
fn told(messages: impl IntoIterator<Item = Value>) -> Vec<String> {
    let text = |message: &Value| match message["params"]["data"].clone() {
        Value::Null => message["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned(),
        Value::String(data) => data,
        data => data.to_string(),
    };
    messages.into_iter().map(|message| text(&message)).collect()
}

fn rest(web: &mut Web) -> Vec<String> {
    told(std::iter::from_fn(|| web.event()))
}

/// Loses the connection, and waits until the server knows.
fn lose(running: &Running, web: Web) {
    let (handle, connections) = (running.handle(), running.handle().status().connections);
    web.vanish();
    until("the server knows", || handle.status().connections < connections);
}

#[track_caller]
fn assert_unknown(web: &Web, id: &str) {
    let mut other = web.again();
    other.get(Some(id));
    let (status, answer) = other.json();
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32600)), "{id:?}: {answer}");
}

#[test]
fn a_lost_stream_goes_on_where_it_was() {
    for revision in LEGACY {
        let (turnstile, keeper) = turnstile();
        let running = serve(stepping(turnstile));
        let owner = Web::of(&running, revision);
        let mut web = owner.again();
        web.start("tools/call", step(2));
        web.head();
        assert_eq!(told(web.event()), ["begun"]);
        let seen = web.last_event.clone().expect("an id");
        keeper.wait_entered();
        lose(&running, web);
        // It is no cancellation: the handler goes on, and what it says waits.
        assert_eq!(running.handle().status().calls_in_flight, 1);
        keeper.release();
        let handle = running.handle();
        until("it has answered", || handle.status().calls_in_flight == 0);
        let mut back = owner.listen(Some(&seen));
        assert_eq!(rest(&mut back), ["1", "2", "done"], "{revision}");
        // As often as it wants, and from wherever it was.
        assert_eq!(rest(&mut owner.listen(Some(&seen))), ["1", "2", "done"]);
        let last = back.last_event.clone().expect("an id");
        assert_eq!(rest(&mut owner.listen(Some(&last))), [""; 0]);
        // The connection is there for the next request.
        assert_eq!(back.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    }
}

#[test]
fn a_client_that_is_back_before_the_answer_gets_the_rest_as_it_comes() {
    for revision in LEGACY {
        let (turnstile, keeper) = turnstile();
        let running = serve(stepping(turnstile));
        let owner = Web::of(&running, revision);
        let mut web = owner.again();
        web.start("tools/call", step(1));
        web.head();
        web.event();
        keeper.wait_entered();
        let mut back = owner.listen(web.last_event.as_deref());
        // The connection that it comes back with takes the place of the other, whether that is known to be lost or not.
        assert_eq!(web.event(), None);
        keeper.release();
        assert_eq!(rest(&mut back), ["1", "done"]);
    }
}

#[test]
fn only_that_stream_is_replayed() {
    let (turnstile, keeper) = turnstile();
    let running = serve(stepping(turnstile));
    let owner = Web::of(&running, POLLING);
    let general = owner.listen(None);
    // One from the other, so that their requests have ids of their own.
    let mut calls: Vec<_> = std::iter::successors(Some(owner.again()), |web| Some(web.again())).take(3).collect();
    for call in &mut calls {
        call.start("tools/call", step(2));
        call.head();
        call.event();
    }
    running.handle().broadcast("acme/news", &json!({ "n": 1 })).expect("an object");
    drop(keeper);
    let firsts: Vec<_> = calls.iter().map(|call| call.last_event.clone().expect("an id")).collect();
    let mut ids: HashSet<_> = firsts.iter().cloned().collect();
    for call in &mut calls {
        while call.event().is_some() {
            assert!(ids.insert(call.last_event.clone().expect("an id")), "an id comes twice: {:?}", call.last_event);
        }
    }
    for first in &firsts {
        let mut back = owner.listen(Some(first));
        assert_eq!(rest(&mut back), ["1", "2", "done"]);
        assert!(ids.contains(&back.last_event.expect("an id")), "a replayed event has the id that it had");
    }
    let mut general = general;
    assert_eq!(general.event().expect("an event")["method"], "acme/news");
    assert!(ids.insert(general.last_event.expect("an id")));
}

#[test]
fn a_client_is_given_an_id_and_a_delay_at_once_where_it_knows_what_to_do_with_them() {
    let running = serve(demo().limits(|limits| limits.reconnect_delay = Duration::from_millis(1_234)));
    for revision in LEGACY {
        let owner = Web::of(&running, revision);
        let mut call = owner.again();
        call.start("tools/call", json!({ "name": "log", "arguments": {} }));
        call.head();
        let mut general = owner.listen(None);
        running.handle().tools_changed();
        for stream in [&mut call, &mut general] {
            let first = stream.any_event().expect("an event");
            assert_eq!((first.is_empty(), stream.retry.is_some()), (revision == POLLING, revision == POLLING));
            assert!(stream.last_event.is_some());
            if revision == POLLING {
                assert_eq!(stream.retry, Some(1_234));
                assert!(!stream.any_event().expect("an event").is_empty());
            }
        }
        // An answer alone needs neither.
        let (head, _) = call.again().request_all("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
        assert_eq!(head.header("content-type"), Some("application/json"));
    }
    let mut modern = Web::of(&running, MODERN);
    modern.request_all(
        "tools/call",
        json!({ "name": "count", "arguments": { "to": 2 }, "_meta": { "progressToken": 1 } }),
    );
    assert_eq!((&modern.last_event, modern.retry), (&None, None));
}

#[test]
fn a_first_id_is_enough_to_come_back_with() {
    let (turnstile, keeper) = turnstile();
    let running = serve(stepping(turnstile));
    let owner = Web::of(&running, POLLING);
    let mut call = owner.again();
    call.start("tools/call", step(1));
    call.head();
    assert_eq!(call.any_event().as_deref(), Some(""));
    let (first, mut general) = (call.last_event.clone(), owner.listen(None));
    assert_eq!(general.any_event().as_deref(), Some(""));
    keeper.release();
    assert_eq!(rest(&mut owner.listen(first.as_deref())), ["begun", "1", "done"]);
    let id = general.last_event.clone();
    running.handle().broadcast("acme/news", &json!({})).expect("an object");
    assert_eq!(general.event().expect("an event")["method"], "acme/news");
    lose(&running, general);
    assert_eq!(owner.listen(id.as_deref()).event().expect("an event")["method"], "acme/news");
}

/// Lets go, and answers when it may.
fn polled(turnstile: Turnstile) -> Server {
    demo().tool("polled", "Lets go of the connection", move |ctx, NoArgs| {
        let released = ctx.release_connection(Duration::from_millis(77));
        turnstile.pass();
        ctx.progress(1.0, 2.0)?;
        Ok(format!("released: {released}"))
    })
}

#[test]
fn a_handler_lets_go_of_its_connection_and_the_client_comes_back_for_the_answer() {
    let (turnstile, keeper) = turnstile();
    let running = serve(polled(turnstile));
    let mut web = Web::of(&running, POLLING);
    let params = json!({ "name": "polled", "arguments": {}, "_meta": { "progressToken": 1 } });
    let (head, messages) = web.request_all("tools/call", params.clone());
    assert_eq!((head.status, head.header("content-type"), messages.len()), (200, Some("text/event-stream"), 0));
    assert_eq!(web.retry, Some(77));
    // The handler goes on; the connection serves other requests.
    keeper.wait_entered();
    assert_eq!(running.handle().status().calls_in_flight, 1);
    assert_eq!(web.call("quick", json!({ "text": "meanwhile" }))["content"][0]["text"], "meanwhile");
    let id = web.last_event.clone();
    web.get(id.as_deref());
    assert_eq!(web.head().status, 200);
    keeper.release();
    assert_eq!(web.event().expect("progress")["params"]["progress"], 1.0);
    assert_eq!(told(web.event()), ["released: true"]);
    assert_eq!(web.event(), None);
    // It may also come when all is over.
    web.request_all("tools/call", params);
    keeper.release();
    let (id, handle) = (web.last_event.clone(), running.handle());
    until("it has answered", || handle.status().calls_in_flight == 0);
    let mut back = web.listen(id.as_deref());
    assert_eq!(back.event().expect("progress")["params"]["progress"], 1.0);
    assert_eq!(rest(&mut back), ["released: true"]);
}

#[test]
fn where_no_client_would_come_back_nothing_is_let_go() {
    let (turnstile, keeper) = turnstile();
    drop(keeper);
    let server = || polled(turnstile.clone());
    let running = serve(server());
    for revision in ["2025-03-26", "2025-06-18", MODERN] {
        assert_eq!(Web::of(&running, revision).call("polled", json!({}))["content"][0]["text"], "released: false");
    }
    for revision in crate::peer::ALL {
        assert_eq!(Peer::of(&running, revision).call("polled", json!({}))["content"][0]["text"], "released: false");
    }
    for era in [Era::Legacy, Era::Modern] {
        assert_eq!(server().in_memory().in_era(era).call("polled", ()).expect("a result"), "released: false");
    }
    // Nor for a client that reads no streams.
    let mut web = Web::of(&running, POLLING);
    let message = web.make("tools/call", json!({ "name": "polled", "arguments": {} }));
    web.post(&message, &[("Accept", "application/json")]);
    assert_eq!(web.json().1["result"]["content"][0]["text"], "released: false");
}

#[test]
fn a_connection_can_be_let_go_of_again() {
    let (turnstile, keeper) = turnstile();
    let server = demo().tool("twice", "Lets go twice", move |ctx, NoArgs| {
        let first = ctx.release_connection(Duration::from_millis(1));
        let nobody = ctx.release_connection(Duration::from_millis(2));
        turnstile.pass();
        let second = ctx.release_connection(Duration::from_millis(3));
        turnstile.pass();
        Ok(format!("{first} {nobody} {second}"))
    });
    let running = serve(server);
    let mut web = Web::of(&running, POLLING);
    web.request_all("tools/call", json!({ "name": "twice", "arguments": {} }));
    assert_eq!(web.retry, Some(1));
    keeper.wait_entered();
    let mut back = web.listen(web.last_event.as_deref());
    keeper.release();
    assert_eq!(rest(&mut back), [""; 0]);
    assert_eq!((back.retry, &back.last_event), (Some(3), &None));
    keeper.release();
    assert_eq!(rest(&mut web.listen(web.last_event.as_deref())), ["true false true"]);
}

#[test]
fn questions_survive_a_lost_connection() {
    for revision in ["2025-06-18", "2025-11-25"] {
        let (turnstile, keeper) = turnstile();
        let server = demo().tool("greet", "Asks for a name", move |ctx, NoArgs| {
            ctx.log(mcp_blocking::LogLevel::Info, "begun");
            turnstile.pass();
            let Answer::Accept(Name { name }) = ctx.ask("name", "Your name?")? else { return Ok("nobody".into()) };
            Ok(format!("hello {name}"))
        });
        let running = serve(server);
        let owner = Web::able(&running, revision, json!({ "elicitation": {} }));
        let mut web = owner.again();
        web.start("tools/call", json!({ "name": "greet", "arguments": {} }));
        web.head();
        web.event();
        let seen = web.last_event.clone();
        lose(&running, web);
        keeper.release();
        let handle = running.handle();
        until("it waits for an answer", || handle.status().workers_parked == 1);
        // The question is there for who comes back, and for who comes back once more.
        let question = owner.listen(seen.as_deref()).event().expect("a question");
        let mut back = owner.listen(seen.as_deref());
        assert_eq!(back.event().expect("a question"), question);
        let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
        let mut other = owner.again();
        other.post(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }), &[]);
        assert_eq!(other.empty(), 202);
        assert_eq!(rest(&mut back), ["hello Ada"]);
    }
}

#[test]
fn a_question_is_taken_back_over_the_stream_that_it_came_over() {
    let server = demo().limits(|limits| limits.question_deadline = Duration::from_millis(50)).tool(
        "impatient",
        "Asks and does not wait",
        |ctx: &Ctx, NoArgs| -> ToolResult<&str> {
            let asked = ctx.ask::<Name>("name", "Your name?");
            Ok(if asked.is_err() { "no answer" } else { "an answer" })
        },
    );
    let running = serve(server);
    let owner = Web::able(&running, POLLING, json!({ "elicitation": {} }));
    let mut web = owner.again();
    web.start("tools/call", json!({ "name": "impatient", "arguments": {} }));
    web.head();
    let question = web.event().expect("a question");
    let taken_back = web.event().expect("a notice");
    assert_eq!(
        (&taken_back["method"], &taken_back["params"]["requestId"]),
        (&json!("notifications/cancelled"), &question["id"])
    );
    assert_eq!(rest(&mut web), ["no answer"]);
}

#[test]
fn ids_that_were_never_given_out_are_refused() {
    let running = serve(demo());
    let (owner, other) = (Web::of(&running, POLLING), Web::of(&running, POLLING));
    let id_in = |web: &Web| {
        let mut call = web.again();
        call.request_all("tools/call", json!({ "name": "log", "arguments": {} }));
        call.last_event.expect("an id")
    };
    let (own, foreign) = (id_in(&owner), id_in(&other));
    let [tag, stream, number] = own.split('-').collect::<Vec<_>>()[..] else { panic!("{own}") };
    for id in [
        "",
        "0",
        "-1",
        "x",
        "null",
        "00000000-0-0",
        "../../etc/passwd",
        "1; DROP TABLE",
        &"9".repeat(4_000),
        &foreign,
        &format!(" , {own}"),
        &format!("{own}0"),
        &format!("{own},{own}"),
        &format!("{tag}-{stream}-99999"),
        &format!("{tag}-7-{number}"),
        &format!("{tag}-0{stream}-{number}"),
        &format!("{tag}-{stream}-+{number}"),
        &format!("{tag}-{stream}-18446744073709551615"),
        &format!("{tag}-18446744073709551616-{number}"),
        &format!("{tag}-{stream}"),
    ] {
        assert_unknown(&owner, id);
    }
    // Two of them are none.
    let mut twice = owner.again();
    let session = owner.session.as_deref().expect("a session");
    let headers = [("Accept", "text/event-stream"), ("Mcp-Session-Id", session)];
    twice.ask("GET", &[headers[0], headers[1], ("Last-Event-ID", &own), ("Last-Event-ID", &own)], "");
    assert_eq!(twice.json().0, 400);
    // Nothing has happened to the stream, nor to the session.
    assert_eq!(rest(&mut owner.listen(Some(&own))), [""; 0]);
    // Those of 2026-07-28 have no streams to come back to, whatever they say.
    let mut modern = owner.again();
    modern.ask("GET", &[headers[0], headers[1], ("Last-Event-ID", &own), ("MCP-Protocol-Version", MODERN)], "");
    assert_eq!(modern.json().0, 405);
    let mut post = Web::of(&running, MODERN);
    let message = post.make("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
    post.post(&message, &[("Last-Event-ID", &own), ("Mcp-Session-Id", session)]);
    assert_eq!(post.json().0, 200);
}

#[test]
fn an_id_opens_no_session_of_somebody_else() {
    let server = demo().bearer_token("ada", "0123456789abcdef-ada").bearer_token("bob", "0123456789abcdef-bob");
    let running = exposed(server);
    let _honest = beside_with(&running, "0123456789abcdef-ada");
    let mut web = Web::connect(&running);
    let ada = ("Authorization", "Bearer 0123456789abcdef-ada");
    web.revision = POLLING;
    let hello =
        json!({ "protocolVersion": POLLING, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    web.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }), &[ada]);
    let head = web.head();
    web.body(&head);
    web.session = head.header("mcp-session-id").map(str::to_owned);
    let message = web.make("tools/call", json!({ "name": "log", "arguments": {} }));
    web.post(&message, &[ada]);
    let head = web.head();
    assert_eq!(web.any_event().as_deref(), Some(""));
    let first = web.last_event.clone().expect("an id");
    let count = web.messages(&head).len();
    for (who, status) in [("bob", 404), ("ada", 200)] {
        let mut back = web.again();
        let (session, token) = (web.session.clone().expect("a session"), format!("Bearer 0123456789abcdef-{who}"));
        let headers = [("Accept", "text/event-stream"), ("Mcp-Session-Id", &session), ("Last-Event-ID", &first)];
        back.ask("GET", &[&headers[..], &[("Authorization", &token)]].concat(), "");
        let head = back.head();
        assert_eq!(head.status, status, "{who}");
        if status == 200 {
            assert_eq!(back.messages(&head).len(), count);
        }
    }
}

#[test]
fn the_stream_of_what_belongs_to_no_request_can_be_resumed() {
    let running = serve(demo());
    for revision in LEGACY {
        let owner = Web::of(&running, revision);
        let tell = |n: u32| running.handle().broadcast("acme/news", &json!({ "n": n })).expect("an object");
        let next = |web: &mut Web| web.event().expect("an event")["params"]["n"].clone();
        let mut stream = owner.listen(None);
        (1..=3).for_each(|n| assert_eq!(tell(n), 1));
        assert_eq!(next(&mut stream), 1);
        let seen = stream.last_event.clone();
        lose(&running, stream);
        // Those that were under way come again, then those that waited, then those that come.
        tell(4);
        let mut back = owner.listen(seen.as_deref());
        tell(5);
        (2..=5).for_each(|n| assert_eq!(next(&mut back), n));
        // Without an id a client gets what it has not been sent.
        lose(&running, back);
        tell(6);
        let mut fresh = owner.listen(None);
        assert_eq!(next(&mut fresh), 6);
        let mut end = owner.again();
        end.ask("DELETE", &[("Mcp-Session-Id", owner.session.as_deref().expect("a session"))], "");
        assert_eq!(end.empty(), 204);
    }
    let handle = running.handle();
    until("nothing is left", || handle.status().memory_used == 0);
}

#[test]
fn what_is_kept_has_bounds_and_the_answer_is_in_it() {
    let (turnstile, keeper) = turnstile();
    let running = exposed(stepping(turnstile).limits(|limits| {
        limits.events_per_session = 8;
        limits.event_bytes_per_session = 4_096;
    }));
    let honest = beside(&running);
    let owner = Web::of(&running, POLLING);
    let lost = |params: Value| {
        let mut web = owner.again();
        web.start("tools/call", params);
        web.head();
        web.event();
        let seen = web.last_event.clone();
        keeper.wait_entered();
        lose(&running, web);
        keeper.release();
        let handle = running.handle();
        until("it has answered", || handle.status().calls_in_flight == 0);
        seen.expect("an id")
    };
    // Those that may be lost are not kept beyond that; the oldest of what was sent have gone already.
    let first = lost(step(100));
    assert_eq!(rest(&mut owner.listen(Some(&first))), ["2", "3", "4", "5", "6", "7", "8", "done"]);
    let handle = running.handle();
    assert!(handle.status().memory_used <= 8 * 1_024, "{}", handle.status().memory_used);
    // One answer after the other: older ones give way, and those who come for them are told.
    let streams: Vec<_> = (0..12).map(|_| lost(step(0))).collect();
    assert!(handle.status().memory_used <= 8 * 1_024, "{}", handle.status().memory_used);
    for (at, id) in streams.iter().enumerate() {
        match at < 4 {
            true => assert_unknown(&owner, id),
            false => assert_eq!(rest(&mut owner.listen(Some(id))), ["done"], "{at}"),
        }
    }
    // One that is larger than all that is kept is kept alone, until it is fetched.
    let large = lost(json!({ "name": "step", "arguments": { "to": 0, "size": 100_000 } }));
    assert_unknown(&owner, &streams[11]);
    let answer = owner.listen(Some(&large)).event().expect("an answer");
    assert_eq!(answer["result"]["content"][0]["text"].as_str().map(str::len), Some(100_004));
    let next = lost(step(0));
    assert_unknown(&owner, &large);
    assert_eq!(rest(&mut owner.listen(Some(&next))), ["done"]);
    drop(honest);
    handle.clients().iter().for_each(|client| client.close(1000, ""));
    until("nothing is left", || handle.status().memory_used == 0 && handle.clients().is_empty());
}

#[test]
fn clients_that_do_not_come_back_take_no_room_from_those_that_do() {
    let (turnstile, keeper) = turnstile();
    drop(keeper);
    let running = serve(stepping(turnstile).limits(|limits| limits.memory_bytes = 4 << 20));
    let leave = |owner: &Web| {
        let mut web = owner.again();
        web.start("tools/call", json!({ "name": "step", "arguments": { "to": 1, "size": 200_000 } }));
        web.head();
        web.event();
        let seen = web.last_event.clone();
        web.vanish();
        seen.expect("an id")
    };
    let handle = running.handle();
    let crowd: Vec<_> = (0..12).map(|_| Web::of(&running, POLLING)).collect();
    for owner in &crowd {
        leave(owner);
        until("it is over", || handle.status().calls_in_flight == 0 && handle.status().connections <= 12);
        assert!(handle.status().memory_used <= 1 << 20, "{}", handle.status().memory_used);
    }
    let honest = Web::of(&running, POLLING);
    let id = leave(&honest);
    until("it is over", || handle.status().calls_in_flight == 0);
    assert_eq!(rest(&mut honest.listen(Some(&id))).last().map(String::len), Some(200_004));
    assert_eq!(handle.status().busy, 0);
}

#[test]
fn a_stream_is_forgotten_some_time_after_its_answer() {
    let running = serve(demo().limits(|limits| limits.event_lifetime = Duration::from_millis(60)));
    let owner = Web::of(&running, POLLING);
    let mut web = owner.again();
    web.request_all("tools/call", json!({ "name": "log", "arguments": {} }));
    let handle = running.handle();
    until("it is forgotten", || handle.status().memory_used == 0);
    assert_unknown(&owner, &web.last_event.expect("an id"));
    assert_eq!(handle.clients().len(), 1);
}

#[test]
fn a_cancelled_request_leaves_no_stream_behind() {
    let (turnstile, keeper) = turnstile();
    let running = serve(stepping(turnstile));
    let owner = Web::of(&running, POLLING);
    let mut web = owner.again();
    let id = web.start("tools/call", step(1));
    web.head();
    web.event();
    let seen = web.last_event.clone().expect("an id");
    let mut other = owner.again();
    other.post(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }), &[]);
    assert_eq!(other.empty(), 202);
    assert_eq!(web.event(), None);
    keeper.release();
    assert_unknown(&owner, &seen);
    let handle = running.handle();
    until("nothing is left", || handle.status().memory_used == 0);
}

#[test]
fn the_end_of_a_session_ends_its_streams() {
    let (turnstile, keeper) = turnstile();
    let running = serve(stepping(turnstile));
    let owner = Web::of(&running, POLLING);
    let mut web = owner.again();
    web.start("tools/call", step(1));
    web.head();
    web.event();
    let mut back = owner.listen(web.last_event.as_deref());
    let mut end = owner.again();
    end.ask("DELETE", &[("Mcp-Session-Id", owner.session.as_deref().expect("a session"))], "");
    assert_eq!(end.empty(), 204);
    assert_eq!(back.event(), None);
    keeper.release();
    back.get(web.last_event.as_deref());
    assert_eq!(back.json().0, 404);
    let handle = running.handle();
    until("nothing is left", || handle.status().calls_in_flight == 0 && handle.status().memory_used == 0);
}

#[test]
fn a_call_that_says_nothing_for_long_becomes_a_stream_that_is_kept_alive() {
    for revision in [LEGACY[0], LEGACY[1], LEGACY[2], MODERN] {
        let (turnstile, keeper) = turnstile();
        let server = demo().limits(|limits| limits.ping_interval = Duration::from_millis(40));
        let running = serve(server.tool("silent", "Says nothing", move |_ctx, NoArgs| {
            turnstile.pass();
            Ok("done")
        }));
        let owner = Web::of(&running, revision);
        let mut web = owner.again();
        web.start("tools/call", json!({ "name": "silent", "arguments": {} }));
        keeper.wait_entered();
        if revision == MODERN {
            // There the status is open until the handler has something to say.
            let handle = running.handle();
            let later = handle.status().uptime + Duration::from_millis(200);
            until("some intervals have gone by", || handle.status().uptime >= later);
            keeper.release();
            assert_eq!(web.json().1["result"]["content"][0]["text"], "done");
            continue;
        }
        let head = web.head();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        if revision == POLLING {
            assert_eq!(web.any_event().as_deref(), Some(""));
        }
        assert_eq!(web.chunk().expect("a comment"), b":\n\n");
        if revision == POLLING {
            let seen = web.last_event.clone();
            lose(&running, web);
            keeper.release();
            assert_eq!(rest(&mut owner.listen(seen.as_deref())), ["done"]);
        } else {
            keeper.release();
            assert_eq!(rest(&mut web), ["done"]);
        }
    }
}

#[test]
fn the_answers_to_a_batch_can_be_fetched_later() {
    let (turnstile, keeper) = turnstile();
    let running = serve(stepping(turnstile));
    let owner = Web::of(&running, "2025-03-26");
    let mut web = owner.again();
    let call = |id: u32| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": step(1) });
    web.post(&json!([call(1), call(2)]), &[]);
    web.head();
    assert_eq!(told(web.event()), ["begun"]);
    let seen = web.last_event.clone();
    lose(&running, web);
    drop(keeper);
    let handle = running.handle();
    until("both have answered", || handle.status().calls_in_flight == 0);
    let mut back = owner.listen(seen.as_deref());
    let messages: Vec<_> = std::iter::from_fn(|| back.event()).collect();
    let (answers, notices) = messages.split_last().expect("an answer");
    assert_eq!(answers.as_array().map(Vec::len), Some(2), "{answers}");
    assert_eq!(notices.len(), 3);
}

#[test]
fn reports_that_replace_each_other_keep_the_order_of_their_ids() {
    let (told, done) = channel();
    let told = std::sync::Mutex::new(told);
    let server = demo().tool("chatty", "Reports a lot", move |ctx, NoArgs| {
        for step in 0..3_000 {
            ctx.progress(f64::from(step), 3_000.0)?;
            if step % 100 == 0 {
                ctx.log(mcp_blocking::LogLevel::Info, "x".repeat(10_000));
            }
        }
        told.lock().expect("no panic").send(()).expect("somebody listens");
        Ok("done")
    });
    let running = serve(server);
    let owner = Web::of(&running, POLLING);
    let mut web = owner.again();
    web.start("tools/call", json!({ "name": "chatty", "arguments": {}, "_meta": { "progressToken": 1 } }));
    // Nobody reads meanwhile.
    done.recv_timeout(PATIENCE).expect("it never waits for its client");
    web.head();
    let (mut last, mut progress) = (0, -1.0);
    while let Some(message) = web.event() {
        let id = web.last_event.clone().expect("an id");
        let number: u64 = id.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!(number > last, "{number} behind {last}");
        last = number;
        if let Some(done) = message["params"]["progress"].as_f64() {
            assert!(done > progress, "{done} behind {progress}");
            progress = done;
        }
    }
    assert_eq!(progress, 2_999.0);
}
