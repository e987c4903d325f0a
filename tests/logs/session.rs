//! What a session says, of itself and in its calls.

use super::{capture, check, hostile, server};
use crate::peer::{MODERN, Peer, modern_meta, serve};
use serde_json::json;

#[cfg(feature = "validation")]
#[test]
fn a_call_is_logged_with_its_trace() {
    capture();
    let running = serve(server());
    let mut peer = Peer::of(&running, MODERN);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let meta = json!({ "traceparent": format!("00-{trace}-00f067aa0ba902b7-01") });
    let mut call = |tool: &str, arguments: serde_json::Value| {
        peer.request("tools/call", json!({ "name": tool, "arguments": arguments, "_meta": meta }))
    };
    call("fail", json!({ "text": "x" }));
    call("panic", json!({ "text": "x" }));
    call("late", json!({}));
    let name = format!("promise-{}", "x".repeat(60));
    let broken = json!({ hostile("a-member"): 1, hostile("another"): 2, "third": 3 });
    let error = call(&name, broken)["error"].clone();
    let incident =
        error["message"].as_str().and_then(|text| text.split_once("incident ")).map(|(_, incident)| incident);
    let incident = incident.unwrap_or_else(|| panic!("{error}")).to_owned();
    let wanted = [
        format!("tool fail (request 1) in trace {trace} failed"),
        format!("tool panic (request 2) in trace {trace} panicked"),
        format!("tool late (request 3) in trace {trace} stopped"),
        format!("returned what its outputSchema does not allow, incident {incident}"),
        format!("trace={trace}"),
        format!("the name of tool {name} has 68 letters"),
    ];
    check(running, &wanted.each_ref().map(String::as_str));
}

#[test]
fn what_a_session_says_stays_on_its_line() {
    capture();
    let running = serve(server());
    let mut peer = Peer::connect(&running);
    let info = json!({ "name": hostile("the-name"), "version": hostile("the-version") });
    let params = json!({ "protocolVersion": hostile("the-revision"), "capabilities": {}, "clientInfo": info });
    assert!(peer.request("initialize", params)["result"].is_object());
    for method in [hostile("the-method"), hostile("notifications/")] {
        peer.request(&method, json!({}));
        peer.notify(&method, json!({}));
    }
    for tool in ["panic", "fail"] {
        let arguments = json!({ "text": hostile("the-text") });
        let params = json!({ "name": tool, "arguments": arguments });
        // An id is cut to what is taken as one.
        let id = json!(hostile("the-id").chars().take(60).collect::<String>());
        peer.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }));
        peer.answer(&id);
    }
    peer.request("tools/call", json!({ "name": hostile("the-tool"), "arguments": {} }));
    // What becomes the name of a call, in its fields too.
    peer.request("resources/read", json!({ "uri": format!("x://{}", hostile("the-address")) }));
    peer.request("tools/list", json!({ "cursor": hostile("the-cursor") }));
    peer.request("logging/setLevel", json!({ "level": hostile("the-level") }));
    peer.call("late", json!({}));
    let id = json!(hostile("another-id").chars().take(60).collect::<String>());
    peer.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "sleep" } }));
    peer.notify("notifications/cancelled", json!({ "requestId": id, "reason": hostile("the-reason") }));
    for text in
        [hostile("not-json"), json!(hostile("a-string")).to_string(), json!({ hostile("a-key"): 1 }).to_string()]
    {
        peer.send_text(&text);
        peer.next();
    }
    peer.send(&json!({ "jsonrpc": "2.0", "id": hostile("answer-to-nothing"), "result": {} }));
    peer.barrier();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": hostile("a-version") });
    peer.request("tools/list", json!({ "_meta": meta }));
    let mut meta = modern_meta(json!({ "extensions": { hostile("an-extension"): {} } }));
    meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": hostile("who"), "version": hostile("which") });
    meta["progressToken"] = json!(hostile("a-token"));
    peer.request("server/discover", json!({ "_meta": meta }));
    peer.close(1000, "the-close\r\n\u{1b}[31m\u{202e}");
    peer.closed();
    check(running, &["the-name", "the-version", "the-reason", "the-id", "panicked, incident", "the-text", "malformed"]);
}
