//! Tools as clients see them: arguments, results of every kind, lists.

use super::demo::demo;
use super::peer::{ALL, LEGACY, MODERN, Peer, serve};
use super::schema::Schema;
use mcp_blocking::content::{Content, Icon, ResourceContents, ResourceLink, Role};
use mcp_blocking::{Json, NoArgs, Server, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Order {
    items: Vec<Item>,
    note: Option<String>,
    ship_by: Option<u8>,
}

#[derive(Deserialize, JsonSchema)]
struct Item {
    name: String,
    price: u32,
}

fn shop() -> Server {
    demo().tool("order", "Orders", |_ctx, Order { items, note, ship_by }| {
        let names: Vec<_> = items.iter().map(|item| format!("{} at {}", item.name, item.price)).collect();
        Ok(format!("{} ({note:?}, {ship_by:?})", names.join(", ")))
    })
}

#[test]
fn wrong_arguments_are_a_result_that_names_the_field() {
    let running = serve(shop());
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        for (arguments, named) in [
            (json!({}), "items"),
            (json!({ "items": 5 }), "items"),
            (json!({ "items": [{ "name": "a", "price": 1 }, { "name": "b", "price": "two" }] }), "`/items/1/price`"),
            (json!({ "items": [{ "name": "a", "price": -1 }] }), "`/items/0/price`"),
            (json!({ "items": [{ "name": "a" }] }), "price"),
            (json!({ "items": [], "shipBy": 256 }), "shipBy"),
            (json!({ "items": [], "note": ["x"] }), "note"),
        ] {
            let result = peer.call("order", arguments.clone());
            assert_eq!(result["isError"], true, "{revision} {arguments}: {result}");
            let text = result["content"][0]["text"].as_str().expect("a text");
            assert!(text.contains(named), "{arguments}: {text}");
            assert!(!text.contains(" at line "), "{text}");
        }
        let long = peer.call("order", json!({ "items": [{ "name": "a", "price": "x".repeat(50_000) }] }));
        let text = long["content"][0]["text"].as_str().expect("a text");
        assert!(text.len() < 2_000 && text.contains("`/items/0/price`"), "{text}");
        let good = json!({ "items": [{ "name": "tea", "price": 3 }], "future": true });
        assert_eq!(peer.call("order", good)["content"][0]["text"], "tea at 3 (None, None)");
    }
}

#[test]
fn arguments_are_an_object_or_nothing() {
    let running = serve(demo().tool("none", "Takes nothing", |_ctx, NoArgs| Ok("done")));
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        for arguments in [json!([]), json!("x"), json!(5), json!(true), json!([{}])] {
            for tool in ["none", "echo"] {
                assert_eq!(peer.call_error(tool, arguments.clone())["code"], -32602, "{revision} {tool} {arguments}");
            }
        }
        for params in [
            json!({ "name": "none" }),
            json!({ "name": "none", "arguments": {} }),
            json!({ "name": "none", "arguments": null }),
            json!({ "name": "none", "arguments": { "surplus": [1] } }),
        ] {
            let answer = peer.request("tools/call", params.clone());
            assert_eq!(answer["result"]["content"][0]["text"], "done", "{params}: {answer}");
        }
    }
}

#[test]
fn an_unknown_tool_is_an_error_that_says_so() {
    let running = serve(demo());
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        for name in ["missing", "", "Echo", "echo ", "é\u{202e}\n", &"x".repeat(5_000)] {
            let error = peer.call_error(name, json!({}));
            assert_eq!(error["code"], -32602, "{revision} {name}: {error}");
            let message = error["message"].as_str().expect("a message");
            assert!(message.len() < 1_000 && !message.contains(['\n', '\u{202e}']), "{message:?}");
        }
        assert_eq!(peer.request("tools/call", json!({}))["error"]["code"], -32602);
    }
}

#[test]
fn a_schema_of_ones_own_reaches_the_client_unchanged() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "$defs": { "a": { "$anchor": "b", "type": "string" } }, "properties": { "x": { "$ref": "#/$defs/a" } },
        "allOf": [{ "anyOf": [{ "required": ["x"] }] }], "if": { "required": ["x"] }, "then": {}, "else": false,
        "additionalProperties": false, "x-own": [1, 2.5, null],
    });
    let running = serve(
        Server::new("own", "1")
            .tool_raw(Tool::new("raw", "Raw"), &schema, |_ctx, arguments| Ok(format!("got {arguments}"))),
    );
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let list = peer.request("tools/list", json!({}))["result"].clone();
        assert_eq!(list["tools"][0]["inputSchema"], schema, "{revision}");
        let text = peer.call("raw", json!({ "x": "é" }))["content"][0]["text"].clone();
        assert_eq!(text, "got {\"x\":\"é\"}");
    }
}

#[derive(Serialize, JsonSchema)]
struct Weather {
    degrees: f64,
    sky: String,
}

#[test]
fn structured_results_are_shaped_by_the_revision() {
    let running = serve(
        Server::new("structured", "1")
            .tool("weather", "An object", |_ctx, NoArgs| Ok(Json(Weather { degrees: 21.5, sky: "blue".into() })))
            .tool("primes", "An array", |_ctx, NoArgs| Ok(Json(vec![2, 3, 5]))),
    );
    for revision in ALL {
        let schema = Schema::of(revision);
        let mut peer = Peer::of(&running, revision);
        let list = peer.request("tools/list", json!({}))["result"].clone();
        schema.check("ListToolsResult", &list);
        let has_schema = |at: usize| list["tools"][at].get("outputSchema").is_some();
        let (objects, anything) = (revision >= "2025-06-18", revision == MODERN);
        assert_eq!((has_schema(1), has_schema(0)), (objects, anything), "{revision}: {list}");
        let weather = peer.call("weather", json!({}));
        schema.check("CallToolResult", &weather);
        let structured = json!({ "degrees": 21.5, "sky": "blue" });
        assert_eq!(weather.get("structuredContent"), objects.then_some(&structured), "{revision}");
        let text = weather["content"][0]["text"].as_str().expect("the text beside it");
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), structured);
        let primes = peer.call("primes", json!({}));
        schema.check("CallToolResult", &primes);
        assert_eq!(primes.get("structuredContent"), anything.then_some(&json!([2, 3, 5])), "{revision}");
        assert_eq!(primes["content"][0]["text"], "[2,3,5]");
        if objects {
            let output = &list["tools"][1]["outputSchema"];
            assert!(jsonschema::is_valid(output, &weather["structuredContent"]), "{output}");
        }
    }
}

#[test]
fn every_kind_of_content_is_valid_in_every_revision() {
    let running = serve(Server::new("contents", "1").tool("all", "Returns everything", |_ctx, NoArgs| {
        Ok(vec![
            Content::text("plain").audience([Role::User]).priority(2.0).last_modified("2025-01-12T15:00:58Z"),
            Content::image(b"\x89PNG", "image/png"),
            Content::audio(b"RIFF", "audio/wav"),
            Content::from(ResourceLink::new("file:///a", "a").title("A").mime_type("text/plain").size(3)),
            Content::resource(ResourceContents::text("file:///b", "b").mime_type("text/plain")),
            Content::resource(ResourceContents::blob("file:///c", b"c")).meta("com.example/x", 1),
        ])
    }));
    for revision in ALL {
        let result = Peer::of(&running, revision).call("all", json!({}));
        Schema::of(revision).check("CallToolResult", &result);
        let content = result["content"].as_array().expect("an array");
        let kinds: Vec<_> = content.iter().map(|block| block["type"].as_str().expect("a type")).collect();
        let (audio, link) = match revision {
            "2024-11-05" => ("text", "text"),
            "2025-03-26" => ("audio", "text"),
            _ => ("audio", "resource_link"),
        };
        assert_eq!(kinds, ["text", "image", audio, link, "resource", "resource"], "{revision}");
        assert_eq!(content[0]["annotations"]["priority"].as_f64(), Some(1.0));
        assert_eq!(content[0]["annotations"].get("lastModified").is_some(), revision >= "2025-06-18", "{revision}");
        assert_eq!(content[1]["data"], "iVBORw==");
        if link == "text" {
            assert!(content[3]["text"].as_str().is_some_and(|text| text.contains("file:///a")), "{result}");
        }
        assert_eq!(content[5]["resource"]["blob"], "Yw==");
        assert_eq!(content[5].get("_meta").is_some(), revision >= "2025-06-18", "{revision}");
    }
}

#[test]
fn descriptions_are_shaped_by_the_revision() {
    let tool = Tool::new("full", "Says all").title("Full").read_only().idempotent().closed_world();
    let tool = tool.icon(Icon::new("https://example.com/a.png").mime_type("image/png")).meta("com.example/x", 1);
    let running = serve(Server::new("described", "1").tool_with(tool, |_ctx, NoArgs| Ok(())));
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let list = peer.request("tools/list", json!({}))["result"].clone();
        Schema::of(revision).check("ListToolsResult", &list);
        let tool = &list["tools"][0];
        let has = |name: &str| tool.get(name).is_some();
        let wanted =
            (revision >= "2025-06-18", revision >= "2025-03-26", revision >= "2025-11-25", revision >= "2025-06-18");
        assert_eq!((has("title"), has("annotations"), has("icons"), has("_meta")), wanted, "{revision}: {tool}");
        if has("annotations") {
            let hints = &tool["annotations"];
            assert_eq!((&hints["readOnlyHint"], &hints["openWorldHint"]), (&json!(true), &json!(false)));
            assert!(hints.get("destructiveHint").is_none(), "{hints}");
        }
        assert_eq!(peer.call("full", json!({}))["content"], json!([]));
    }
}

fn ranked() -> Server {
    let add = |server: Server, name: &str, rank: i32| {
        server.tool_with(Tool::new(name, "A tool").rank(rank), |_ctx, NoArgs| Ok("done"))
    };
    let tools = [("b", 0), ("a", 0), ("z", -1), ("B", 0), ("y", i32::MIN), ("first", i32::MAX), ("a.b/c-d_e", 0)];
    tools.into_iter().fold(Server::new("ranked", "1"), |server, (name, rank)| add(server, name, rank))
}

const ORDER: [&str; 7] = ["y", "z", "B", "a", "a.b/c-d_e", "b", "first"];

fn page(peer: &mut Peer, cursor: Option<&str>) -> (Vec<String>, Option<String>) {
    let params = cursor.map_or(json!({}), |cursor| json!({ "cursor": cursor }));
    let result = peer.request("tools/list", params)["result"].clone();
    let tools = result["tools"].as_array().expect("an array");
    let names = tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect();
    (names, result["nextCursor"].as_str().map(str::to_owned))
}

#[test]
fn a_walk_over_pages_gives_every_tool_once_by_rank_then_name() {
    for size in [1, 2, 3, 7, 8] {
        let running = serve(ranked().limits(|limits| limits.page_size = size));
        for revision in ALL {
            let mut peer = Peer::of(&running, revision);
            let (mut all, mut cursor) = page(&mut peer, None);
            assert_eq!(all.len(), size.min(7));
            while let Some(next) = cursor {
                let (names, after) = page(&mut peer, Some(&next));
                assert!(!names.is_empty() && names.len() <= size, "{names:?}");
                all.extend(names);
                cursor = after;
            }
            assert_eq!(all, ORDER, "{revision}, {size} on a page");
            // An empty cursor is the beginning.
            assert_eq!(page(&mut peer, Some("")).0, ORDER[..size.min(7)]);
        }
    }
}

#[test]
fn a_cursor_survives_changes_of_the_list() {
    let running = serve(ranked().limits(|limits| limits.page_size = 2));
    let mut peer = Peer::of(&running, MODERN);
    let (names, cursor) = page(&mut peer, None);
    assert_eq!(names, ["y", "z"]);
    running.handle().edit(|registry| {
        registry.remove_tool("z");
        registry.add_tool(Tool::new("A", "Comes between"), |_ctx, NoArgs| Ok("done")).expect("a good tool");
        registry.add_tool(Tool::new("x", "Comes before").rank(-2), |_ctx, NoArgs| Ok("done")).expect("a good tool");
    });
    assert_eq!(page(&mut peer, cursor.as_deref()).0, ["A", "B"]);
}

#[test]
fn a_cursor_that_is_not_ours_is_refused() {
    let running = serve(ranked().limits(|limits| limits.page_size = 2));
    for revision in [LEGACY[0], LEGACY[3], MODERN] {
        let mut peer = Peer::of(&running, revision);
        let good = page(&mut peer, None).1.expect("there are more");
        let mut turned = good.clone().into_bytes();
        turned[3] = if turned[3] == b'A' { b'B' } else { b'A' };
        let turned = String::from_utf8(turned).expect("ASCII");
        for cursor in ["x", "2", " ", "%00", &turned, &good[1..], &format!("{good}="), &"A".repeat(20_000)] {
            let error = peer.request("tools/list", json!({ "cursor": cursor }))["error"].clone();
            assert_eq!(error["code"], -32602, "{revision}: {error}");
        }
        assert_eq!(page(&mut peer, Some(&good)).0, ORDER[2..4]);
    }
}
