//! Requests that stand alone (2026-07-28): what each has to bring with it, and what is no longer there.

use super::client::{Client, text};
use super::lifecycle::ACQUAINTANCE;
use super::wire::Transport::Http;
use super::{Row, row};
use crate::peer::{MODERN, modern_meta};
use serde_json::{Value, json};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

pub const ROWS: &[Row] = &[
    row("server-stateless: metadata", metadata).modern().shows(ACQUAINTANCE),
    row("server-stateless: versions", versions).modern().shows(ACQUAINTANCE),
    row("server-stateless: an undeclared capability", undeclared).modern().shows(ACQUAINTANCE),
    row("server-stateless: methods that are gone", removed).modern().shows(ACQUAINTANCE),
    row("server-stateless: a stream before the answer", stream).modern().shows(ACQUAINTANCE),
    row("server-stateless: nothing is learned from earlier requests", forgetful).modern().shows(ACQUAINTANCE),
];

/// The error of a request with exactly that `_meta`, or with none.
#[track_caller]
fn refused(client: &mut Client, method: &str, meta: Option<Value>) -> Value {
    let mut message = client.make(method, json!({}));
    let params = message["params"].as_object_mut().expect("an object");
    params.remove("_meta");
    params.extend(meta.map(|meta| ("_meta".to_owned(), meta)));
    client.send(&message);
    let answer = client.answer(&message["id"]);
    assert!(answer["error"].is_object(), "{answer}");
    answer["error"].clone()
}

fn metadata(client: &mut Client) {
    let without = |key: &str| {
        let mut meta = modern_meta(json!({}));
        meta.as_object_mut().expect("an object").remove(key);
        Some(meta)
    };
    let wrong = |key: &str, value: Value| {
        let mut meta = modern_meta(json!({}));
        meta[key] = value;
        Some(meta)
    };
    for meta in [without(CAPABILITIES), wrong(VERSION, json!(5)), wrong(CAPABILITIES, json!("all"))] {
        assert_eq!(refused(client, "server/discover", meta)["code"], -32602);
        client.assert_status(400);
    }
    // Without a version it is over HTTP one of 2026-07-28, by its header, and elsewhere one of an older session that is not there.
    let code = if client.is_over(Http) { -32602 } else { -32600 };
    for meta in [None, Some(json!({})), without(VERSION)] {
        assert_eq!(refused(client, "server/discover", meta)["code"], code);
        client.assert_status(400);
    }
    // Who the client is need not be said, and may.
    let info = json!({ "io.modelcontextprotocol/clientInfo": { "name": "scenarios", "version": "1" } });
    for meta in [json!({}), info, json!({ "acme/x": [1], "traceparent": "00-0-0-00" })] {
        client.result("server/discover", json!({ "_meta": meta }));
        client.assert_status(200);
    }
}

fn versions(client: &mut Client) {
    let known = client.result("server/discover", json!({}))["supportedVersions"].clone();
    let known = known.as_array().expect("a list");
    let params = json!({ "_meta": { VERSION: "v999.0.0", CAPABILITIES: {} } });
    let message = json!({ "jsonrpc": "2.0", "id": 301, "method": "server/discover", "params": params });
    let error = if client.is_over(Http) {
        let mut error = Value::Null;
        for (header, code) in [(MODERN, -32020), ("v999.0.0", -32022)] {
            let mut web = client.web();
            let headers = [
                ("Content-Type", "application/json"),
                ("Accept", "application/json, text/event-stream"),
                ("MCP-Protocol-Version", header),
                ("Mcp-Method", "server/discover"),
            ];
            web.ask("POST", &headers, &message.to_string());
            let (status, answer) = web.json();
            assert_eq!((status, &answer["error"]["code"], &answer["id"]), (400, &json!(code), &json!(301)));
            error = answer["error"].clone();
        }
        error
    } else {
        client.send(&message);
        client.answer(&message["id"])["error"].clone()
    };
    assert_eq!((&error["code"], &error["data"]["requested"]), (&json!(-32022), &json!("v999.0.0")));
    let supported = error["data"]["supported"].as_array().expect("a list");
    assert!(!supported.is_empty() && supported.iter().all(|version| known.contains(version)), "{error}");
}

fn undeclared(client: &mut Client) {
    let mut other = client.again(json!({}));
    let error = other.error("tools/call", json!({ "name": "test_missing_capability" }));
    let needed = json!({ "requiredCapabilities": { "sampling": {} } });
    assert_eq!((&error["code"], &error["data"]), (&json!(-32021), &needed));
    other.assert_status(400);
    other.end();
    assert_eq!(text(&client.call("test_missing_capability", json!({}))), "The client can sample");
}

fn removed(client: &mut Client) {
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "unknown/method",
        "tasks/result",
        "tasks/list",
    ] {
        assert_eq!(client.error(method, json!({ "uri": "test://watched-resource", "level": "info" }))["code"], -32601);
        client.assert_status(404);
    }
}

fn stream(client: &mut Client) {
    let params = json!({ "name": "test_streaming_elicitation", "_meta": { "progressToken": 1 } });
    assert_eq!(text(&client.result("tools/call", params)), "Nothing to ask");
    assert_eq!(client.take("notifications/progress").len(), 1);
}

fn forgetful(client: &mut Client) {
    // One request can do everything, the next one nothing.
    client.result("tools/call", json!({ "name": "test_missing_capability" }));
    let able = std::mem::replace(&mut client.capabilities, json!({}));
    let error = client.error("tools/call", json!({ "name": "test_missing_capability" }));
    assert_eq!(error["code"], -32021);
    client.capabilities = able;
    client.result("tools/call", json!({ "name": "test_missing_capability" }));
    // The level of one request is not that of the next.
    let loud = json!({ "name": "test_logging_tool", "_meta": { "io.modelcontextprotocol/logLevel": "debug" } });
    client.result("tools/call", loud);
    assert_eq!(client.take("notifications/message").len(), 3);
    client.call("test_logging_tool", json!({}));
    assert!(client.take("notifications/message").is_empty(), "nobody has asked for it");
}
