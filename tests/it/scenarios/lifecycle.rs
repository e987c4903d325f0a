//! How a client and the server get to know each other.

use super::client::Client;
use super::wire::Transport::{Http, Stdio, WebSocket};
use super::{Place, Row, row};
use crate::peer::{ALL, LEGACY, MODERN, modern_meta};
use serde_json::{Value, json};

/// Shared with the rows of requests that stand alone.
pub const ACQUAINTANCE: &str = "`initialize` and `ping`; `server/discover` and requests that stand alone";

pub const ROWS: &[Row] = &[
    row("server-initialize", initialize).legacy().shows(ACQUAINTANCE),
    row("ping", ping).legacy().shows(ACQUAINTANCE),
    row("server-stateless: discover", discover).modern().shows(ACQUAINTANCE),
    row("server-session-lifecycle", session_lifecycle).legacy().over(&[Http]).shows("sessions (`Mcp-Session-Id`)"),
    row("another version is answered with the latest one", another_version).legacy(),
    row("initialize comes first, and once", first_and_once).legacy(),
    row("both eras at once", both_eras).shows("both eras at once, in any order"),
    row("server-sse-multiple-streams", side_by_side),
];

/// What the example offers, in every revision.
#[track_caller]
fn assert_offers(capabilities: &Value, revision: &str) {
    let mut all = json!({
        "logging": {}, "completions": {}, "prompts": { "listChanged": true }, "tools": { "listChanged": true },
        "resources": { "subscribe": true, "listChanged": true },
    });
    if revision == "2024-11-05" {
        all.as_object_mut().expect("an object").remove("completions");
    }
    for (name, offered) in all.as_object().expect("an object") {
        assert_eq!(capabilities[name], *offered, "{name}: {capabilities}");
    }
}

fn initialize(client: &mut Client) {
    let revision = client.revision();
    let hello = &client.hello;
    assert_eq!(hello["protocolVersion"], revision);
    assert_eq!(hello["serverInfo"]["name"], "everything");
    assert_eq!(hello["serverInfo"]["title"].is_string(), revision >= "2025-06-18");
    assert!(hello["instructions"].is_string());
    assert_offers(&hello["capabilities"], revision);
    if client.is_over(Http) {
        // Before the version is agreed on, its header may be there or not.
        for headers in [&[][..], &[("MCP-Protocol-Version", revision)]] {
            let mut other = Client::silent(&client.place);
            let mut hello = other.make("initialize", json!({ "protocolVersion": revision, "capabilities": {} }));
            hello["params"]["clientInfo"] = json!({ "name": "raw", "version": "1" });
            other.send_with(&hello, headers);
            assert_eq!(other.answer(&hello["id"])["result"]["protocolVersion"], revision);
            assert!(other.head.as_ref().and_then(|head| head.header("mcp-session-id")).is_some());
            other.end();
        }
    }
}

fn ping(client: &mut Client) {
    assert_eq!(client.result("ping", json!({})), json!({}));
    client.assert_status(200);
}

fn discover(client: &mut Client) {
    let result = client.result("server/discover", json!({}));
    let mut versions = ALL;
    versions.reverse();
    assert_eq!(result["supportedVersions"], json!(versions));
    assert_offers(&result["capabilities"], MODERN);
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "everything");
    // What is declared is there, and the other way round.
    for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
        client.result(method, json!({}));
        client.assert_status(200);
    }
}

fn session_lifecycle(client: &mut Client) {
    let mut web = client.web();
    web.initialize();
    let session = web.session.clone().expect("a session");
    let headers = [("Mcp-Session-Id", &*session), ("MCP-Protocol-Version", client.revision())];
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    web.post(&ping, &[]);
    assert_eq!(web.json().0, 200);
    web.ask("DELETE", &headers, "");
    assert_eq!(web.empty(), 204);
    for _ in 0..2 {
        web.post(&ping, &[]);
        assert_eq!(web.json().0, 404);
    }
    web.session = None;
    web.post(&ping, &[]);
    assert_eq!(web.json().0, 400);
}

fn another_version(client: &mut Client) {
    // What is said is of the version that it gets.
    let place = Place { revision: LEGACY[3], ..client.place.clone() };
    for wanted in ["1999-12-31", MODERN, ""] {
        let mut other = Client::silent(&place);
        other.initialize(wanted);
        assert_eq!(other.hello["protocolVersion"], LEGACY[3], "{wanted}");
        other.end();
    }
}

fn first_and_once(client: &mut Client) {
    let hello = json!({ "protocolVersion": client.revision(), "capabilities": {} });
    assert_eq!(client.error("initialize", hello)["code"], -32600);
    client.assert_status(400);
    client.result("ping", json!({}));
    let mut silent = Client::silent(&client.place);
    assert_eq!(silent.error("tools/list", json!({}))["code"], -32600);
    silent.assert_status(400);
    if client.is_over(WebSocket) || client.is_over(Stdio) {
        assert_eq!(silent.result("ping", json!({})), json!({}));
    }
    silent.end();
}

fn both_eras(client: &mut Client) {
    if !client.is_modern() {
        return turn_about(client);
    }
    // One that has asked for 2026-07-28 first, and changes its mind.
    let mut other = Client::silent(&Place { revision: LEGACY[3], ..client.place.clone() });
    let params = json!({ "_meta": modern_meta(json!({})) });
    other.send(&json!({ "jsonrpc": "2.0", "id": "probe", "method": "server/discover", "params": params }));
    assert_eq!(other.answer(&json!("probe"))["result"]["resultType"], "complete");
    other.initialize(LEGACY[3]);
    turn_about(&mut other);
    other.end();
}

fn turn_about(client: &mut Client) {
    for round in 0..3 {
        let mut modern = json!({ "name": "echo", "arguments": { "text": "modern" } });
        modern["_meta"] = modern_meta(json!({}));
        let id = json!(format!("modern {round}"));
        client.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": modern }));
        let legacy = client.start("tools/call", json!({ "name": "echo", "arguments": { "text": "legacy" } }));
        let result = client.answer(&id)["result"].clone();
        assert_eq!((&result["resultType"], &result["content"][0]["text"]), (&json!("complete"), &json!("modern")));
        let result = client.answer(&legacy)["result"].clone();
        assert_eq!((&result["resultType"], &result["content"][0]["text"]), (&Value::Null, &json!("legacy")));
    }
}

fn side_by_side(client: &mut Client) {
    let ids = [(); 3].map(|()| client.start("tools/list", json!({})));
    for id in ids.iter().rev() {
        let answer = client.answer(id);
        assert!(answer["result"]["tools"].as_array().is_some_and(|tools| !tools.is_empty()), "{answer}");
    }
}
