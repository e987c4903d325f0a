//! Which era does a message belong to, which revision does a session get, and what does either offer?

use super::demo::demo;
use super::peer::{ALL, LEGACY, MODERN, Peer, modern_meta, serve};
use super::schema::Schema;
use mcp_blocking::{NoArgs, Server};
use serde_json::{Value, json};

const PV: &str = "io.modelcontextprotocol/protocolVersion";
const CC: &str = "io.modelcontextprotocol/clientCapabilities";
const LL: &str = "io.modelcontextprotocol/logLevel";
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

fn initialize(peer: &mut Peer, version: &str) -> Value {
    let info = json!({ "name": "test", "version": "1" });
    peer.request("initialize", json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": info }))
}

#[test]
fn each_legacy_revision_is_granted_as_asked() {
    let running = serve(demo().instructions("Try add."));
    for revision in LEGACY {
        let mut peer = Peer::connect(&running);
        let result = initialize(&mut peer, revision)["result"].clone();
        Schema::of(revision).check("InitializeResult", &result);
        assert_eq!(result["protocolVersion"], revision);
        assert_eq!(result["serverInfo"], json!({ "name": "demo", "version": "1.0.0" }));
        assert_eq!(result["capabilities"], json!({ "tools": { "listChanged": true }, "logging": {} }));
        assert_eq!(result["instructions"], "Try add.");
    }
}

#[test]
fn an_unknown_version_is_answered_with_the_latest_legacy_one_and_never_a_modern_one() {
    let running = serve(demo());
    for version in ["1999-01-01", "2027-01-01", "", "draft", MODERN, "2025-11-25 "] {
        let mut peer = Peer::connect(&running);
        let answer = initialize(&mut peer, version);
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{version}: {answer}");
        peer.notify("notifications/initialized", json!({}));
        peer.assert_silent();
    }
}

#[test]
fn initialize_has_to_say_version_and_capabilities() {
    let running = serve(demo());
    let mut peer = Peer::connect(&running);
    for params in [
        json!({}),
        json!({ "capabilities": {} }),
        json!({ "protocolVersion": 5, "capabilities": {} }),
        json!({ "protocolVersion": "2025-06-18" }),
        json!({ "protocolVersion": "2025-06-18", "capabilities": [] }),
        json!({ "protocolVersion": "2025-06-18", "capabilities": null }),
    ] {
        let answer = peer.request("initialize", params.clone());
        assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
    }
    // None of them has opened a session, and none stands in the way of one.
    peer.initialize("2025-06-18");
}

#[test]
fn members_that_nobody_knows_are_ignored() {
    let running = serve(demo());
    let mut peer = Peer::connect(&running);
    let answer = peer.request(
        "initialize",
        json!({
            "protocolVersion": "2025-11-25", "clientInfo": { "name": "x", "version": "1", "mood": "good" },
            "capabilities": { "sampling": {}, "telepathy": { "deep": true }, "experimental": { "x": {} } },
            "_meta": { "com.example/a": [1] }, "future": null,
        }),
    );
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
    peer.send(&json!({ "jsonrpc": "2.0", "id": "x", "method": "ping", "params": { "a": 1 }, "extra": [{}] }));
    assert_eq!(peer.answer(&json!("x"))["result"], json!({}));
}

#[test]
fn a_second_initialize_is_refused_and_the_session_goes_on() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, "2025-03-26");
    let answer = initialize(&mut peer, "2025-11-25");
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
    // Still 2025-03-26: batches are answered.
    peer.send(&json!([{ "jsonrpc": "2.0", "id": 77, "method": "ping" }]));
    assert_eq!(peer.next(), json!([{ "jsonrpc": "2.0", "id": 77, "result": {} }]));
}

#[test]
fn before_initialize_only_a_ping_is_answered_and_errors_name_the_versions() {
    let running = serve(demo());
    let mut peer = Peer::connect(&running);
    peer.barrier();
    for method in ["tools/list", "tools/call", "logging/setLevel", "resources/list", "no/such", "server/discover"] {
        let error = peer.request(method, json!({ "name": "echo" }))["error"].clone();
        assert_eq!(error["code"], -32600, "{method}: {error}");
        assert_eq!(error["data"]["supported"][0], MODERN, "{error}");
        assert_eq!(error["data"]["supported"].as_array().map(Vec::len), Some(5), "{error}");
    }
    peer.initialize("2024-11-05");
}

#[test]
fn the_same_methods_exist_for_a_session_as_its_revision_says() {
    let running = serve(demo());
    for revision in LEGACY {
        let mut peer = Peer::of(&running, revision);
        for method in [
            "server/discover",
            "subscriptions/listen",
            "resources/list",
            "resources/read",
            "prompts/list",
            "prompts/get",
            "completion/complete",
            "tasks/list",
            "Tools/list",
            "tools/list ",
            "",
            "rpc.discover",
        ] {
            let params = json!({ "uri": "a:b", "name": "x", "notifications": {} });
            let error = peer.request(method, params)["error"].clone();
            assert_eq!(error["code"], -32601, "{revision} {method}: {error}");
        }
        peer.assert_silent();
    }
}

#[test]
fn methods_of_sessions_do_not_exist_for_modern_requests() {
    let running = serve(demo());
    let mut peer = Peer::of(&running, MODERN);
    for method in
        ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/result"]
    {
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "level": "info", "uri": "a:b" });
        let error = peer.request(method, params)["error"].clone();
        assert_eq!(error["code"], -32601, "{method}: {error}");
    }
}

#[test]
fn discover_says_everything_about_the_server() {
    let running = serve(demo().title("Demo").website("https://example.com").instructions("Try add."));
    let result = Peer::of(&running, MODERN).request("server/discover", json!({}))["result"].clone();
    Schema::of(MODERN).check("DiscoverResult", &result);
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"], json!([MODERN, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]));
    assert_eq!(result["capabilities"], json!({ "tools": { "listChanged": true }, "logging": {} }));
    assert_eq!(result["instructions"], "Try add.");
    assert!(result["ttlMs"].is_u64() && result["cacheScope"] == "private", "{result}");
    let identity = json!({
        "name": "demo", "version": "1.0.0", "title": "Demo", "websiteUrl": "https://example.com"
    });
    assert_eq!(result["_meta"][SERVER_INFO], identity);
    assert!(result.get("serverInfo").is_none(), "{result}");
}

#[test]
fn a_server_without_tools_offers_none() {
    let running = serve(Server::new("empty", "1"));
    let mut peer = Peer::of(&running, MODERN);
    let result = peer.request("server/discover", json!({}))["result"].clone();
    assert_eq!(result["capabilities"], json!({ "logging": {} }));
    for (method, params) in [
        ("tools/list", json!({})),
        ("tools/call", json!({ "name": "x" })),
        ("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } })),
    ] {
        assert_eq!(peer.request(method, params)["error"]["code"], -32601, "{method}");
    }
    let mut peer = Peer::connect(&running);
    assert_eq!(initialize(&mut peer, "2025-06-18")["result"]["capabilities"], json!({ "logging": {} }));
    assert_eq!(peer.request("tools/list", json!({}))["error"]["code"], -32601);
}

#[test]
fn modern_requests_need_version_and_capabilities() {
    let running = serve(demo());
    let mut peer = Peer::connect(&running);
    for meta in [
        json!({ PV: MODERN }),
        json!({ PV: MODERN, CC: null }),
        json!({ PV: MODERN, CC: [] }),
        json!({ PV: MODERN, CC: "all" }),
        json!({ PV: null, CC: {} }),
        json!({ PV: 20260728, CC: {} }),
        json!({ PV: {}, CC: {} }),
        json!({ PV: true }),
    ] {
        let answer = peer.request("server/discover", json!({ "_meta": meta }));
        assert_eq!(answer["error"]["code"], -32602, "{meta}: {answer}");
    }
    // Who the client is may be left out, or be nonsense: nothing is decided on it.
    for info in [json!(null), json!({ "name": "x" }), json!([])] {
        let mut meta = modern_meta(json!({}));
        meta["io.modelcontextprotocol/clientInfo"] = info;
        assert!(peer.request("server/discover", json!({ "_meta": meta }))["result"].is_object());
    }
}

#[test]
fn an_unsupported_version_is_answered_with_those_that_discover_names() {
    let running = serve(demo());
    let mut peer = Peer::connect(&running);
    for version in ["2027-01-01", "", "2026-07-28 ", "DRAFT-2026"] {
        for method in ["server/discover", "tools/list", "initialize", "no/such"] {
            let meta = json!({ PV: version, CC: {} });
            let error = peer.request(method, json!({ "_meta": meta }))["error"].clone();
            assert_eq!(error["code"], -32022, "{version} {method}: {error}");
            assert_eq!(error["data"]["requested"], version);
            assert_eq!(error["data"]["supported"], json!(ALL.iter().rev().collect::<Vec<_>>()));
        }
    }
    // A revision that only a handshake can select is not served without one.
    let error = peer.request("tools/list", json!({ "_meta": { PV: "2025-06-18", CC: {} } }))["error"].clone();
    assert_eq!(error["code"], -32022, "{error}");
    // Nothing of this has opened or barred anything.
    peer.initialize("2025-06-18");
}

#[test]
fn nothing_is_remembered_between_modern_requests() {
    let running = serve(demo().tool("needs_sampling", "Needs a client that samples", |ctx, NoArgs| {
        ctx.require_sampling()?;
        Ok("it can")
    }));
    let mut peer = Peer::of(&running, MODERN);
    let call = |peer: &mut Peer, capabilities: Value| {
        let meta = modern_meta(capabilities);
        peer.request("tools/call", json!({ "name": "needs_sampling", "arguments": {}, "_meta": meta }))
    };
    assert_eq!(call(&mut peer, json!({ "sampling": {} }))["result"]["content"][0]["text"], "it can");
    let error = call(&mut peer, json!({}))["error"].clone();
    assert_eq!(error["code"], -32021, "{error}");
    assert_eq!(error["data"], json!({ "requiredCapabilities": { "sampling": {} } }));
    // A log level holds for its own request only.
    let logged = |peer: &mut Peer, level: Option<&str>| {
        let mut meta = modern_meta(json!({}));
        if let Some(level) = level {
            meta[LL] = json!(level);
        }
        let id = peer.start("tools/call", json!({ "name": "log", "arguments": {}, "_meta": meta }));
        peer.result(&id);
        peer.take_held().len()
    };
    assert_eq!((logged(&mut peer, Some("debug")), logged(&mut peer, None)), (8, 0));
}

#[test]
fn a_missing_capability_is_a_readable_result_in_older_revisions() {
    let running = serve(demo().tool("needs_sampling", "Needs a client that samples", |ctx, NoArgs| {
        ctx.require_sampling()?;
        Ok("it can")
    }));
    for revision in LEGACY {
        let result = Peer::of(&running, revision).call("needs_sampling", json!({}));
        assert_eq!(result["isError"], true, "{revision}: {result}");
        assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("sampling")), "{result}");
    }
}

#[test]
fn both_eras_are_served_interleaved_on_one_connection() {
    let running = serve(demo());
    let mut peer = Peer::connect(&running);
    let modern = |peer: &mut Peer, method: &str, mut params: Value| {
        params["_meta"] = modern_meta(json!({}));
        peer.request(method, params)["result"].clone()
    };
    // A probe first, then a session, then both in turns.
    assert_eq!(modern(&mut peer, "server/discover", json!({}))["resultType"], "complete");
    peer.initialize("2025-03-26");
    for round in 0..3 {
        let call = json!({ "name": "echo", "arguments": { "text": format!("{round}") } });
        let result = modern(&mut peer, "tools/call", call);
        assert_eq!(result["resultType"], "complete", "{result}");
        let result = peer.call("echo", json!({ "text": "x" }));
        assert!(result.get("resultType").is_none() && result.get("_meta").is_none(), "{result}");
    }
    assert_eq!(peer.request("server/discover", json!({}))["error"]["code"], -32601);
    // Cancelling works whatever the era of the request was.
    let mut request = peer.make("tools/call", json!({ "name": "sleep", "_meta": modern_meta(json!({})) }));
    request["id"] = json!("modern sleeper");
    peer.send(&request);
    let legacy = peer.start_call("sleep", json!({}));
    peer.cancel(&json!("modern sleeper"));
    peer.cancel(&legacy);
    peer.assert_silent();
}

#[test]
fn modern_members_never_reach_a_session_and_always_a_modern_client() {
    let running = serve(demo());
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let list = peer.request("tools/list", json!({}));
        let results = [
            list["result"].clone(),
            peer.call("echo", json!({ "text": "x" })),
            peer.call("fail", json!({})),
            peer.call("add", json!({ "a": 1, "b": 2 })),
        ];
        for (position, result) in results.iter().enumerate() {
            let modern = peer.is_modern();
            assert_eq!(result.get("resultType").is_some(), modern, "{revision}: {result}");
            assert_eq!(result["_meta"].get(SERVER_INFO).is_some(), modern, "{revision}: {result}");
            assert_eq!(result.get("ttlMs").is_some(), modern && position == 0, "{revision}: {result}");
            assert_eq!(result.get("cacheScope").is_some(), modern && position == 0, "{revision}: {result}");
        }
    }
}

#[test]
fn ids_come_back_with_their_type_and_value() {
    let running = serve(demo());
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        for id in [
            "0",
            "-1",
            "\"\"",
            "\"0\"",
            "18446744073709551615",
            "-9223372036854775808",
            "\"\\u0000é\\n\"",
            "9007199254740993",
        ] {
            let request = peer.make("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
            let text = request.to_string().replacen(&format!("\"id\":{}", request["id"]), &format!("\"id\":{id}"), 1);
            peer.send_text(&text);
            let expected: Value = serde_json::from_str(id).expect("JSON");
            peer.result(&expected);
            assert!(!peer.text.contains("\"id\":null"), "{}", peer.text);
        }
    }
}
