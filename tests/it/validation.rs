//! Arguments and results against their schemas: in all revisions, over WebSocket and HTTP.
#![cfg(feature = "validation")]

use crate::everywhere::each;
use crate::neighbor::{beside, exposed};
use crate::peer::{ALL, MODERN, PATIENCE, Peer, serve};
use mcp_blocking::content::ToolOutput;
use mcp_blocking::{Json, NoArgs, Server, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn raw(schema: Value) -> Server {
    Server::new("raw", "1").tool_raw(Tool::new("raw", "Raw"), &schema, |_ctx, arguments| Ok(format!("got {arguments}")))
}

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

#[test]
fn faults_are_named_by_pointer_several_at_once() {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$" },
            "whole": { "type": "integer" }, "count": { "type": "integer", "minimum": 1, "exclusiveMaximum": 10, "multipleOf": 2 },
            "sort": { "enum": ["up", "down"] }, "version": { "const": 2 },
            "tags": { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 2, "uniqueItems": true },
            "deep": { "type": "object", "properties": { "a/b": { "type": ["boolean", "null"] } }, "required": ["a/b"] },
        },
        "required": ["name"], "additionalProperties": false,
    });
    each(raw(schema), json!({}), |client| {
        for (arguments, says) in [
            (json!({}), "`/name`: is missing"),
            (json!({ "name": 5 }), "`/name`: has to be a string, and is a number"),
            (json!({ "name": "a" }), "`/name`: is too short: it has to have at least 2 characters"),
            (json!({ "name": "abcdef" }), "`/name`: is too long: it may have 5 characters"),
            (json!({ "name": "A1" }), "`/name`: has to match the pattern `^[a-z]+$`"),
            (json!({ "name": "ab", "count": 0 }), "`/count`: has to be at least 1"),
            (json!({ "name": "ab", "count": 10 }), "`/count`: has to be less than 10"),
            (json!({ "name": "ab", "count": 3 }), "`/count`: has to be a multiple of 2"),
            (json!({ "name": "ab", "whole": 2.5 }), "`/whole`: has to be an integer, and is a number"),
            (json!({ "name": "ab", "sort": "left" }), "`/sort`: has to be one of \"up\", \"down\""),
            (json!({ "name": "ab", "version": 1 }), "`/version`: has to be 2"),
            (json!({ "name": "ab", "tags": [] }), "`/tags`: has to have at least 1 elements"),
            (json!({ "name": "ab", "tags": ["a", "b", "c"] }), "`/tags`: may have 2 elements at the most"),
            (json!({ "name": "ab", "tags": ["a", "a"] }), "`/tags`: has the same element twice"),
            (json!({ "name": "ab", "tags": ["a", 1] }), "`/tags/1`: has to be a string, and is a number"),
            (json!({ "name": "ab", "deep": {} }), "`/deep/a~1b`: is missing"),
            (
                json!({ "name": "ab", "deep": { "a/b": 1 } }),
                "`/deep/a~1b`: has to be null or a boolean, and is a number",
            ),
            (json!({ "name": "ab", "surplus": 1 }), "`/surplus`: is not known here"),
        ] {
            let text = client.failure("raw", arguments.clone());
            assert_eq!(text, format!("invalid arguments: {says}"), "{arguments}");
        }
        let text = client.failure("raw", json!({ "count": "x", "sort": 1, "tags": [1, 2], "x": 1 }));
        assert_eq!(text.lines().next(), Some("invalid arguments:"));
        for place in ["- `/name`: ", "- `/count`: ", "- `/sort`: ", "- `/tags/0`: ", "- `/tags/1`: ", "- `/x`: "] {
            assert_eq!(text.matches(place).count(), 1, "{text}");
        }
        let good =
            json!({ "name": "ab", "count": 2, "sort": "up", "version": 2.0, "tags": ["a"], "deep": { "a/b": null } });
        assert!(client.call("raw", good)["isError"].is_null());
    });
}

#[test]
fn what_a_peer_sends_is_told_in_bounds() {
    let schema = json!({ "type": "object", "properties": { "list": { "type": "array", "items": { "type": "string" } } },
        "additionalProperties": false });
    let running = serve(raw(schema));
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let many: Vec<_> = (0..100).collect();
        let text = |result: Value| result["content"][0]["text"].as_str().expect("a text").to_owned();
        let told = text(peer.call("raw", json!({ "list": many })));
        assert!(told.lines().count() == 10 && told.ends_with("- and more"), "{told}");
        let odd = format!("\u{1b}[31m\u{202e}{}", "x".repeat(100_000));
        let told = text(peer.call("raw", json!({ odd.as_str(): 1, "list": odd })));
        assert!(told.len() < 1_000 && !told.contains(['\u{1b}', '\u{202e}']), "{told}");
    }
}

#[test]
fn the_form_that_was_meant_is_explained() {
    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "camelCase")]
    enum Shape {
        Circle { radius: f64 },
        Square { side: f64 },
    }
    #[derive(Deserialize, JsonSchema)]
    enum Change {
        Clear,
        Rename(String),
        Move { to: u32 },
    }
    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    enum Id {
        Number(u64),
        Name(String),
    }
    #[derive(Deserialize, JsonSchema)]
    struct Draw {
        shape: Option<Shape>,
        change: Option<Change>,
        id: Option<Id>,
    }
    let server = || {
        Server::new("draw", "1").tool("draw", "Draws", |_ctx, Draw { shape, change, id }| {
            let shape = shape.map(|shape| match shape {
                Shape::Circle { radius: size } | Shape::Square { side: size } => size,
            });
            let change = change.map(|change| match change {
                Change::Clear => "clear".to_owned(),
                Change::Rename(name) => name,
                Change::Move { to } => to.to_string(),
            });
            let id = id.map(|id| match id {
                Id::Number(number) => number.to_string(),
                Id::Name(name) => name,
            });
            Ok(format!("{shape:?} {change:?} {id:?}"))
        })
    };
    each(server(), json!({}), |client| {
        for (arguments, says) in [
            (
                json!({ "shape": { "kind": "circle", "radius": "1" } }),
                "`/shape/radius`: has to be a number, and is a string",
            ),
            (json!({ "shape": { "kind": "square", "radius": 1 } }), "`/shape/side`: is missing"),
            (json!({ "shape": { "kind": "line" } }), "`/shape/kind`: has to be one of \"circle\", \"square\""),
            (json!({ "change": { "Move": { "to": -1 } } }), "`/change/Move/to`: has to be at least 0"),
            (json!({ "change": { "Rename": 5 } }), "`/change/Rename`: has to be a string, and is a number"),
            (json!({ "id": true }), "`/id`: has to be an integer or a string, and is a boolean"),
        ] {
            assert_eq!(client.failure("draw", arguments.clone()), format!("invalid arguments: {says}"), "{arguments}");
        }
        let told = client.failure("draw", json!({ "change": { "Jump": 1 } }));
        assert!(told.starts_with("invalid arguments: `/change`: fits none of the "), "{told}");
        // Null stands for nothing, though the schema that clients see does not say so.
        let good = json!({ "shape": null, "change": { "Rename": "x" }, "id": 7 });
        assert_eq!(client.call("draw", good)["content"][0]["text"], "None Some(\"x\") Some(\"7\")");
        assert!(
            client.call("draw", json!({ "change": "Clear", "shape": { "kind": "circle", "radius": 1 } }))["isError"]
                .is_null()
        );
    });
}

#[test]
fn constraints_that_a_type_does_not_have_hold_all_the_same() {
    #[derive(Deserialize, JsonSchema)]
    struct Pick {
        #[schemars(range(min = 1, max = 5))]
        stars: i64,
        #[schemars(length(max = 3), inner(length(max = 4)))]
        words: Vec<String>,
    }
    let server = || {
        Server::new("pick", "1").tool("pick", "Picks", |_ctx, Pick { stars, words }| Ok(format!("{stars} {words:?}")))
    };
    each(server(), json!({}), |client| {
        let told = client.failure("pick", json!({ "stars": 6, "words": ["a", "b", "c", "d", "long one"] }));
        for says in
            ["`/stars`: may be 5 at the most", "`/words`: may have 3 elements at the most", "`/words/4`: is too long"]
        {
            assert!(told.contains(says), "{told}");
        }
        assert_eq!(client.call("pick", json!({ "stars": 5, "words": ["a"] }))["content"][0]["text"], "5 [\"a\"]");
    });
}

#[derive(Serialize, JsonSchema)]
struct Reading {
    degrees: f64,
    #[schemars(length(max = 3))]
    names: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Of {
    degrees: f64,
    names: usize,
}

#[test]
fn results_that_break_their_schema_do_not_leave() {
    let reading = |_ctx: &_, Of { degrees, names }| {
        let degrees = if degrees < 0.0 { f64::NAN } else { degrees };
        Ok(Json(Reading { degrees, names: vec!["x".into(); names] }))
    };
    let own = object(json!({ "sum": { "type": "integer" } }));
    let server = || {
        Server::new("weather", "1")
            .tool("typed", "Typed", reading)
            .tool_with(Tool::new("unchecked", "The same, unchecked").unchecked(), reading)
            .tool_raw(
                Tool::new("raw", "Raw").output_schema(own.clone()),
                &json!({ "type": "object" }),
                |_ctx, arguments| {
                    Ok(match arguments.get("result") {
                        Some(result) => ToolOutput::structured(result)?,
                        None if arguments.get("fail").is_some() => ToolOutput::error("it failed"),
                        None => ToolOutput::text("nothing structured"),
                    })
                },
            )
    };
    each(server(), json!({}), |client| {
        let structured = client.revision() >= "2025-06-18";
        let good = client.call("typed", json!({ "degrees": 1.5, "names": 1 }));
        assert_eq!(good.get("structuredContent").is_some(), structured);
        let tools = client.ask("tools/list", json!({}))["result"]["tools"].clone();
        assert_eq!(tools[0]["outputSchema"] == own, structured, "{tools}");
        for (tool, arguments) in [
            ("typed", json!({ "degrees": -1, "names": 1 })),
            ("typed", json!({ "degrees": 1, "names": 4 })),
            ("raw", json!({ "result": { "sum": "x" } })),
            ("raw", json!({ "result": [1] })),
            ("raw", json!({})),
        ] {
            let error = client.ask("tools/call", json!({ "name": tool, "arguments": arguments }))["error"].clone();
            assert_eq!(error["code"], -32603, "{tool} {arguments}: {error}");
            let message = error["message"].as_str().expect("a text");
            assert!(message.starts_with("internal error, incident ") && message.len() < 60, "{message}");
        }
        assert_eq!(client.call("raw", json!({ "result": { "sum": 3 } }))["content"][0]["text"], "{\"sum\":3}");
        assert_eq!(client.failure("raw", json!({ "fail": 1 })), "it failed");
        assert!(client.call("unchecked", json!({ "degrees": -1, "names": 4 }))["isError"].is_null());
    });
}

#[test]
fn an_unchecked_tool_takes_what_its_type_takes() {
    let schema = object(json!({ "a": { "type": "string" } }));
    let server =
        Server::new("unchecked", "1")
            .tool_raw(Tool::new("raw", "Raw").unchecked(), &schema, |_ctx, arguments| Ok(format!("got {arguments}")));
    each(server, json!({}), |client| {
        assert_eq!(client.call("raw", json!({ "a": 5 }))["content"][0]["text"], "got {\"a\":5}");
    });
}

#[test]
fn schemas_that_cannot_be_served_are_reported_all_at_once() {
    let tool = |server: Server, name: &str, schema: Value| {
        server.tool_raw(Tool::new(name, "Bad"), &schema, |_ctx, _arguments| Ok("never"))
    };
    let bad = [
        ("not-an-object", json!({ "type": "array" }), "\"type\": \"object\""),
        (
            "wrong-type",
            object(json!({ "a": { "type": "text" } })),
            "its inputSchema is not valid in its dialect: `/properties/a/type`: ",
        ),
        ("wrong-bound", object(json!({ "a": { "minLength": -1 } })), "`/properties/a/minLength`: has to be at least 0"),
        ("dialect", json!({ "type": "object", "$schema": "https://example.com/dialect" }), "leave it out"),
        ("network", object(json!({ "a": { "$ref": "https://example.com/a.json" } })), "nothing is fetched"),
        ("file", object(json!({ "a": { "$ref": "file:///etc/passwd" } })), "nothing is fetched"),
        ("unresolved", object(json!({ "a": { "$ref": "#/$defs/a" } })), "which is not there"),
        ("looking-behind", object(json!({ "a": { "pattern": "(?<=a)b" } })), "linear time"),
        ("back-reference", object(json!({ "a": { "pattern": "(a)\\1" } })), "linear time"),
        ("broken-pattern", object(json!({ "a": { "pattern": "(" } })), "/properties/a/pattern"),
        ("huge-pattern", object(json!({ "a": { "pattern": "(?:[a-z]{1000}x){1000}" } })), "/properties/a/pattern"),
        ("endless", json!({ "type": "object", "allOf": [{ "$ref": "#" }] }), "refers to itself"),
    ];
    let server =
        bad.iter().fold(Server::new("bad", "1"), |server, (name, schema, _)| tool(server, name, schema.clone()));
    let promises = Tool::new("promises", "Bad").output_schema(json!({ "type": 5 }));
    let server = server.tool_with(promises, |_ctx, NoArgs| Ok(ToolOutput::text("never")));
    let problems = server.bind("127.0.0.1:0").expect_err("problems").to_string();
    assert_eq!(problems.lines().count(), bad.len() + 2, "{problems}");
    for (name, _, says) in bad.iter().cloned().chain([("promises", json!({}), "its outputSchema is not valid")]) {
        let line = problems.lines().find(|line| line.contains(&format!("tool `{name}`"))).expect("a line");
        assert!(line.contains(says) && line.contains("validation.rs"), "{line}");
    }
}

#[test]
fn older_dialects_and_references_within_are_served() {
    let draft7 = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
        "definitions": { "pair": { "type": "array", "items": [{ "type": "string" }, { "type": "integer" }], "additionalItems": false } },
        "properties": { "pair": { "$ref": "#/definitions/pair" } }, "dependencies": { "pair": ["name"] },
    });
    each(raw(draft7.clone()), json!({}), |client| {
        assert_eq!(client.ask("tools/list", json!({}))["result"]["tools"][0]["inputSchema"], draft7);
        let told = client.failure("raw", json!({ "pair": ["a", "b"], "name": 1 }));
        assert_eq!(told, "invalid arguments: `/pair/1`: has to be an integer, and is a string");
        assert_eq!(client.failure("raw", json!({ "pair": ["a", 1] })), "invalid arguments: `/name`: is missing");
        assert!(client.failure("raw", json!({ "pair": ["a", 1, 2], "name": 1 })).contains("more elements"));
        assert!(client.call("raw", json!({ "pair": ["a", 1], "name": 1 }))["isError"].is_null());
    });
    // `format` explains, and does not constrain.
    each(raw(object(json!({ "a": { "type": "string", "format": "email" } }))), json!({}), |client| {
        assert!(client.call("raw", json!({ "a": "no address" }))["isError"].is_null());
    });
}

/// An expression that contains itself by more ways than one: looked at without care, each level doubles the work.
fn expression() -> Value {
    let node = |name: &str| {
        json!({ "type": "object", "properties": { "left": { "$ref": "#/$defs/node" }, "right": { "$ref": "#/$defs/node" }, "type": { "const": name } },
            "required": ["left", "type"] })
    };
    json!({
        "type": "object", "properties": { "root": { "$ref": "#/$defs/node" } },
        "$defs": { "node": { "anyOf": [node("add"), node("multiply"), { "type": "number" }, { "$ref": "#/$defs/call" }] },
            "call": { "type": "object", "properties": { "arguments": { "type": "array", "items": { "$ref": "#/$defs/node" } } },
                "required": ["arguments"], "additionalProperties": false } },
    })
}

fn nested(levels: usize, innermost: Value) -> Value {
    (0..levels).fold(innermost, |inner, _| json!({ "left": inner, "right": 1, "type": "multiply" }))
}

#[test]
fn a_schema_that_contains_itself_is_checked_and_explained_in_no_time() {
    let running = exposed(raw(expression()));
    let _honest = beside(&running);
    let mut peer = Peer::of(&running, MODERN);
    let begun = Instant::now();
    for levels in [1, 5, 20, 50] {
        let good = peer.call("raw", json!({ "root": nested(levels, json!(1)) }));
        assert!(good["isError"].is_null(), "{good}");
        let bad = peer.call("raw", json!({ "root": nested(levels, json!("x")) }));
        let place = format!("`/root{}`", "/left".repeat(levels));
        let told = bad["content"][0]["text"].as_str().expect("a text");
        // A long way is cut.
        assert!(told.contains(place.get(..190).unwrap_or(&place)), "{told}");
    }
    let told = peer.call("raw", json!({ "root": { "arguments": [1, { "arguments": [{ "type": "add" }] }] } }));
    let told = told["content"][0]["text"].as_str().expect("a text");
    assert_eq!(told, "invalid arguments: `/root/arguments/1/arguments/0/left`: is missing");
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn the_work_of_a_check_is_bounded() {
    let schema = object(json!({
        "pattern": { "pattern": "^(a+)+$" }, "unique": { "uniqueItems": true }, "numbers": { "items": { "type": "integer" } },
        "choices": { "items": { "anyOf": [{ "type": "object", "required": ["a"] }, { "type": "array" }, { "enum": ["x"] }] } },
        "deep": { "$ref": "#/$defs/deep" },
    }));
    let mut schema = schema;
    schema["$defs"] = json!({ "deep": { "type": "object", "additionalProperties": { "$ref": "#/$defs/deep" } } });
    let running = exposed(raw(schema).limits(|limits| limits.json_nodes = 1 << 20));
    let _honest = beside(&running);
    let mut peer = Peer::of(&running, MODERN);
    let half = 500_000;
    let (many, words): (Vec<_>, Vec<_>) = (0..half / 4).map(|n| (n % 10, format!("{n:05x}"))).unzip();
    for (arguments, fits) in [
        (json!({ "pattern": format!("{}!", "a".repeat(half)) }), false),
        (json!({ "unique": words }), true),
        (json!({ "unique": many }), false),
        (json!({ "numbers": many }), true),
        (json!({ "numbers": words }), false),
        (json!({ "choices": words }), false),
        (json!({ "choices": vec![json!({}); half / 4] }), false),
        (json!({ "deep": (0..55).fold(json!({}), |inner, _| json!({ "x": inner })) }), true),
    ] {
        let begun = Instant::now();
        let result = peer.call("raw", arguments);
        assert_eq!(result["isError"].is_null(), fits, "{}", result["content"][0]["text"]);
        let text = result["content"][0]["text"].as_str().expect("a text");
        assert!(fits || text.len() < 2_000, "{text}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[test]
fn values_that_take_many_times_their_text_are_within_the_memory_budget() {
    #[derive(Deserialize, JsonSchema)]
    struct Nested {
        list: Vec<std::collections::BTreeMap<String, Vec<u8>>>,
    }
    let server = raw(object(json!({ "list": { "type": "array", "items": { "type": "object" } } })))
        .tool("typed", "Typed", |_ctx, Nested { list }| Ok(list.len().to_string()))
        .limits(|limits| (limits.memory_bytes, limits.json_nodes) = (16 << 20, 1 << 20));
    let running = serve(server);
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        for tool in ["raw", "typed"] {
            let many = json!({ "list": vec![json!({ "a": [] }); 50_000] });
            assert_eq!(peer.call_error(tool, many)["code"], -31001, "{revision} {tool}");
            let fewer = json!({ "list": vec![json!({ "a": [] }); 1_000] });
            assert!(peer.call(tool, fewer)["isError"].is_null());
        }
    }
}

#[test]
fn arguments_come_once_and_keep_their_numbers() {
    #[derive(Deserialize, JsonSchema)]
    struct Numbers {
        #[serde(default)]
        big: i128,
        #[serde(default)]
        real: f64,
        #[serde(default)]
        list: Vec<std::collections::BTreeMap<String, i64>>,
    }
    let server = || {
        raw(json!({ "type": "object" }))
            .tool("typed", "Typed", |_ctx, Numbers { big, real, list }| Ok(format!("{big} {real} {list:?}")))
    };
    each(server(), json!({}), |client| {
        let mut call = |tool: &str, arguments: &str| {
            let params = json!({ "name": tool, "arguments": "@" });
            let result =
                client.ask_with("tools/call", params, |text| text.replace("\"@\"", arguments))["result"].clone();
            (result["isError"] == true, result["content"][0]["text"].as_str().expect("a text").to_owned())
        };
        for (arguments, says) in [
            (r#"{"a":1,"a":2}"#, "`/a`: is there twice"),
            (r#"{"a":[{"b":1,"\u0062":2}]}"#, "`/a/0/b`: is there twice"),
            (r#"{"a":18446744073709551616}"#, "`/a`: is a whole number of more than 64 bits"),
            (r#"{"a":[-9223372036854775809]}"#, "`/a/0`: is a whole number of more than 64 bits"),
        ] {
            assert_eq!(call("raw", arguments), (true, format!("invalid arguments: {says}")), "{arguments}");
        }
        // What a build of serde_json with numbers of any size keeps, another one refuses.
        let (refused, text) = call("raw", r#"{"a":1e400}"#);
        assert!(
            if refused {
                text.contains("number out of range")
            } else {
                text == r#"got {"a":1e+400}"# || text.contains("1e400")
            },
            "{text}"
        );
        for number in ["18446744073709551615", "-9223372036854775808", "0.1", "-0.0", "1e300"] {
            let (refused, text) = call("raw", &format!(r#"{{"a":{number}}}"#));
            let kept: Value = serde_json::from_str(text.strip_prefix("got ").expect("what it got")).expect("JSON");
            let meant: Value = serde_json::from_str(number).expect("JSON");
            assert!(!refused && kept["a"] == meant, "{text}");
        }
        // A type that holds it gets it as it is.
        assert_eq!(
            call("typed", r#"{"big":-170141183460469231731687303715884105728}"#),
            (false, "-170141183460469231731687303715884105728 0 []".into())
        );
        assert_eq!(call("typed", r#"{"real":-0.0}"#), (false, "0 -0 []".into()));
        for (arguments, place) in [
            (r#"{"big":1,"big":2}"#, "`/big`: is there twice"),
            (r#"{"list":[{"a":1,"a":2}]}"#, "`/list/0/a`: is there twice"),
            (r#"{"list":[{"a":9223372036854775808}]}"#, "`/list/0/a`"),
            (r#"{"big":1.5}"#, "`/big`: has to be an integer"),
        ] {
            let (refused, text) = call("typed", arguments);
            assert!(refused && text.contains(place), "{arguments}: {text}");
        }
        let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
        let params = json!({ "name": "raw", "arguments": "@" });
        let answer = client.ask_with("tools/call", params, |text| text.replace("\"@\"", &format!(r#"{{"a":{deep}}}"#)));
        assert_eq!(answer["error"]["code"], -32600, "{answer}");
    });
}

/// A schema that speaks of one value as many times in a row as it may, and of its member `x` again.
fn row(length: usize) -> Value {
    let inner = json!({ "type": "object", "properties": { "x": { "$ref": "#" } } });
    let row = (2..length).fold(inner, |inner, _| json!({ "allOf": [{ "minProperties": 0 }, inner] }));
    json!({ "type": "object", "anyOf": [row, { "required": ["never"] }] })
}

#[test]
fn nothing_is_harmed_by_depth() {
    let tool = |name: &str| Tool::new(name, "Deep");
    let server = Server::new("quick", "1")
        .tool_raw(tool("quick").quick(), &expression(), |_ctx, _arguments| Ok("done"))
        .tool_raw(tool("pooled"), &expression(), |_ctx, _arguments| Ok("done"))
        .tool_raw(tool("quick-row").quick(), &row(30), |_ctx, _arguments| Ok("done"))
        .tool_raw(tool("pooled-row"), &row(30), |_ctx, _arguments| Ok("done"));
    each(server, json!({}), |client| {
        let shallow = json!({ "root": nested(10, json!(1)) });
        let deep = json!({ "root": nested(55, json!(1)) });
        let wrong = json!({ "root": nested(55, json!("x")) });
        assert!(client.call("quick", shallow)["isError"].is_null());
        assert_eq!(client.failure("quick", deep.clone()), "invalid arguments: is nested too deep to be checked");
        assert!(client.call("pooled", deep)["isError"].is_null());
        assert!(client.failure("pooled", wrong).contains("/root/left"));
        let chain = |levels: usize, innermost: Value| (1..levels).fold(innermost, |inner, _| json!({ "x": inner }));
        // As deep as it may be; then one more.
        for (tool, levels) in [("quick-row", 2), ("pooled-row", 16)] {
            assert!(client.call(tool, chain(levels, json!({})))["isError"].is_null());
            let told = client.failure(tool, chain(levels, json!({ "x": 5 })));
            assert!(told.contains("/x") || told.contains("too deep"), "{told}");
            let told = client.failure(tool, chain(levels, json!(5)));
            assert!(told.contains("/x`: has to be an object"), "{told}");
            assert!(client.failure(tool, chain(levels + 2, json!({}))).ends_with("too deep to be checked"));
        }
    });
}
