//! JSON-RPC batches: only sessions of 2025-03-26 have them.

use super::demo::demo;
use super::peer::{ALL, Peer, modern_meta, serve, turnstile};
use super::schema::Schema;
use super::web::Web;
use mcp_blocking::NoArgs;
use serde_json::{Value, json};

const REVISION: &str = "2025-03-26";

fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    request(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// Sends a batch; the answers by id.
fn ask(peer: &mut Peer, batch: &Value) -> Vec<Value> {
    peer.send(batch);
    let mut answers = peer.next().as_array().expect("an array").clone();
    answers.sort_by_key(|answer| answer["id"].to_string());
    answers
}

#[test]
fn a_mixed_batch_is_answered_with_one_array() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, REVISION);
    let batch = json!([
        request(1, "ping", json!({})),
        notification("notifications/roots/list_changed", json!({})),
        call(2, "echo", json!({ "text": "pooled" })),
        call(3, "quick", json!({ "text": "quick" })),
        request(4, "no/such", json!({})),
        call(5, "panic", json!({})),
        { "jsonrpc": "2.0", "id": 99, "result": {} },
    ]);
    let answers = ask(&mut peer, &batch);
    Schema::of(REVISION).check("JSONRPCMessage", &json!(answers));
    assert_eq!(answers.len(), 5, "{answers:?}");
    assert_eq!(answers[0]["result"], json!({}));
    assert_eq!(answers[1]["result"]["content"][0]["text"], "pooled");
    assert_eq!(answers[2]["result"]["content"][0]["text"], "quick");
    assert_eq!(answers[3]["error"]["code"], -32601);
    assert_eq!(answers[4]["error"]["code"], -32603);
    peer.assert_silent();
}

#[test]
fn a_batch_of_notifications_is_not_answered() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, REVISION);
    peer.send(&json!([notification("notifications/initialized", json!({})), notification("no/such", json!({}))]));
    peer.send(&json!([notification("notifications/cancelled", json!({ "requestId": 5 }))]));
    peer.assert_silent();
}

#[test]
fn an_empty_batch_is_an_invalid_request() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, REVISION);
    peer.send_text("[]");
    let answer = peer.next();
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
    peer.assert_silent();
}

#[test]
fn invalid_entries_are_answered_one_by_one() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, REVISION);
    peer.send_text(r#"[1, "x", null, [], {}, {"jsonrpc":"2.0","id":1,"method":"ping"}, {"id":2,"method":"ping"}]"#);
    let answers = peer.next().as_array().expect("an array").clone();
    assert_eq!(answers.len(), 7, "{answers:?}");
    let of = |id: Value| answers.iter().filter(|answer| answer["id"] == id).collect::<Vec<_>>();
    assert_eq!(of(json!(null)).len(), 5, "{answers:?}");
    assert!(of(json!(null)).iter().all(|answer| answer["error"]["code"] == -32600), "{answers:?}");
    assert_eq!(of(json!(1))[0]["result"], json!({}));
    assert_eq!(of(json!(2))[0]["error"]["code"], -32600);
}

#[test]
fn initialize_is_refused_within_a_batch() {
    let running = serve(demo());
    let initialize = request(
        1,
        "initialize",
        json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } }),
    );
    let batch = json!([initialize, request(2, "ping", json!({}))]);
    let mut peer = Peer::of(&running, REVISION);
    let answers = ask(&mut peer, &batch);
    assert_eq!(answers[0]["error"]["code"], -32600, "{answers:?}");
    assert_eq!(answers[1]["result"], json!({}));
    // Nor does one open a session.
    let mut peer = Peer::connect(&running);
    peer.send(&batch);
    assert_eq!(peer.next()["error"]["code"], -32600);
    assert_eq!(peer.request("tools/list", json!({}))["error"]["code"], -32600);
}

#[test]
fn other_revisions_have_no_batches() {
    let running = serve(demo());
    for revision in ALL.into_iter().filter(|revision| *revision != REVISION) {
        let mut peer = Peer::of(&running, revision);
        for batch in [json!([request(1, "ping", json!({}))]), json!([]), json!([notification("x", json!({}))])] {
            peer.send(&batch);
            let answer = peer.next();
            assert_eq!(answer["error"]["code"], -32600, "{revision} {batch}: {answer}");
            assert!(answer["id"].is_null(), "{answer}");
        }
        peer.assert_silent();
    }
}

#[test]
fn a_cancelled_entry_is_left_out_of_the_answer() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, REVISION);
    peer.send(&json!([call(1, "sleep", json!({})), request(2, "ping", json!({}))]));
    peer.cancel(&json!(1));
    assert_eq!(peer.next(), json!([{ "jsonrpc": "2.0", "id": 2, "result": {} }]));
    // When nothing is left to say, nothing is said.
    peer.send(&json!([call(3, "sleep", json!({}))]));
    peer.cancel(&json!(3));
    peer.assert_silent();
}

#[test]
fn an_id_that_comes_twice_in_a_batch_is_refused_the_second_time() {
    let (turnstile, keeper) = turnstile();
    let running = serve(demo().tool("held", "Waits to be let go", move |_ctx, NoArgs| {
        turnstile.pass();
        Ok("let go")
    }));
    let mut peer = Peer::of(&running, REVISION);
    peer.send(&json!([call(7, "held", json!({})), call(7, "echo", json!({ "text": "x" }))]));
    keeper.wait_entered();
    // The second has been looked at before the first is let go.
    peer.barrier();
    keeper.release();
    let answers = peer.next().as_array().expect("an array").clone();
    assert_eq!(answers.len(), 2, "{answers:?}");
    let refused = answers.iter().find(|answer| answer["error"].is_object()).expect("one is refused");
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(7), &json!(-32600)));
    let served = answers.iter().find(|answer| answer["result"].is_object()).expect("one is served");
    assert_eq!(served["result"]["content"][0]["text"], "let go");
}

#[test]
fn a_modern_request_within_a_batch_does_not_hold_the_other_answers_back() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, REVISION);
    let listen = json!({ "notifications": { "toolsListChanged": true }, "_meta": modern_meta(json!({})) });
    peer.send(&json!([request("ears", "subscriptions/listen", listen), request(2, "ping", json!({}))]));
    // Whether it is served or refused: the ping behind it is answered.
    peer.barrier();
    let came = peer.take_held();
    let ping = came.iter().filter_map(Value::as_array).flatten().find(|answer| answer["id"] == 2);
    assert!(ping.is_some(), "the ping of the batch is not answered: {came:?}");
}

#[test]
fn a_batch_of_too_many_messages_is_refused_as_a_whole() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, REVISION);
    let many: Vec<_> = (0..1_025).map(|id| request(id, "ping", json!({}))).collect();
    peer.send(&json!(many));
    assert_eq!(peer.next()["error"]["code"], -32600);
    let answers = ask(&mut peer, &json!(many[..128]));
    assert_eq!(answers.len(), 128);
    peer.assert_silent();
}

#[test]
fn a_batch_that_is_refused_costs_as_much_as_any_message_and_is_answered_over_http() {
    let running = serve(demo().limits(|limits| (limits.rate, limits.burst) = (1, 6)));
    for revision in ["2025-11-25", REVISION] {
        let mut web = Web::of(&running, revision);
        // One that 2025-11-25 does not know, and one that is too long.
        let count = if revision == REVISION { 200 } else { 1 };
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        let batch = Value::Array(vec![ping; count]);
        let head = loop {
            web.post(&batch, &[]);
            let head = web.head();
            let [answer] = &web.messages(&head)[..] else { panic!("{head:?}") };
            match head.status {
                400 => assert_eq!(answer["error"]["code"], -32600, "{answer}"),
                _ => {
                    assert_eq!((head.status, &answer["error"]["code"]), (429, &json!(-31002)), "{answer}");
                    break head;
                }
            }
        };
        assert!(head.header("retry-after").is_some(), "{head:?}");
    }
}
