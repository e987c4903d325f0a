//! Several messages in one: a thing of 2025-03-26 alone.

use super::client::Client;
use super::{Row, row};
use serde_json::{Value, json};

const ONLY: &str = "2025-03-26";

pub const ROWS: &[Row] = &[
    row("batches", batches).since(ONLY).until(ONLY).shows("batches"),
    row("batches: what cannot be in one", not_in_one).since(ONLY).until(ONLY).shows("batches"),
    row("batches: before their time", refused).until("2024-11-05"),
    row("batches: after their time", refused).since("2025-06-18"),
];

/// The answers to a batch, which come in one, too.
#[track_caller]
fn exchange(client: &mut Client, batch: Value) -> Vec<Value> {
    client.send(&batch);
    let answers = client.wait_for("the answers to a batch", Value::is_array);
    answers.as_array().expect("a list").clone()
}

fn batches(client: &mut Client) {
    let echo = |client: &mut Client, tool: &str| {
        client.make("tools/call", json!({ "name": tool, "arguments": { "text": tool } }))
    };
    let (quick, pooled) = (echo(client, "echo"), echo(client, "echo_pooled"));
    let ping = client.make("ping", json!({}));
    let nothing = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    let answers = exchange(client, json!([quick, nothing, pooled, ping]));
    assert_eq!(answers.len(), 3);
    for (request, told) in [(&quick, Some("echo")), (&pooled, Some("echo_pooled")), (&ping, None)] {
        let answer = answers.iter().find(|answer| answer["id"] == request["id"]).expect("it is answered");
        assert_eq!(answer["result"]["content"][0]["text"].as_str(), told, "{answer}");
    }
    // Nothing is said to those who ask nothing.
    client.send(&json!([nothing, nothing]));
    client.result("ping", json!({}));
}

fn not_in_one(client: &mut Client) {
    client.send(&json!([]));
    assert_eq!(client.answer(&Value::Null)["error"]["code"], -32600);
    let hello = client.make("initialize", json!({ "protocolVersion": ONLY, "capabilities": {} }));
    let ping = client.make("ping", json!({}));
    let answers = exchange(client, json!([ping, hello, 5]));
    let code = |id: &Value| {
        let answer = answers.iter().find(|answer| answer["id"] == *id).expect("it is answered");
        answer["error"]["code"].clone()
    };
    assert_eq!(
        (code(&ping["id"]), code(&hello["id"]), code(&Value::Null)),
        (Value::Null, json!(-32600), json!(-32600))
    );
    client.result("ping", json!({}));
}

fn refused(client: &mut Client) {
    let ping = client.make("ping", json!({}));
    client.send(&json!([ping]));
    // What is in it is not looked at.
    client.expect_no_answer(&ping["id"]);
    assert_eq!(client.answer(&Value::Null)["error"]["code"], -32600);
    client.assert_status(400);
    client.call("test_simple_text", json!({}));
}
