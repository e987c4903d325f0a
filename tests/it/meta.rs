//! `_meta`: what a request says reaches its handler, and what a handler or an author says reaches the client.

use crate::everywhere::each;
use crate::peer::{ALL, MODERN, Peer, serve};
use mcp_blocking::content::{Content, PromptMessage, PromptOutput, ResourceContents, ResourceLink, ToolOutput};
use mcp_blocking::{Ctx, NoArgs, Prompt, Server, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What can be completed.
#[derive(Deserialize, JsonSchema)]
struct Hint {
    x: Option<String>,
}

/// All that a handler is told.
fn told(ctx: &Ctx) -> String {
    let trace = ctx.trace().map(|trace| {
        json!([trace.trace_id(), trace.parent_id(), trace.is_sampled(), trace.traceparent(), trace.tracestate()])
    });
    let baggage = ctx.baggage().map(|baggage| {
        let all: Vec<_> = baggage.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        json!([baggage.as_str(), all, baggage.get("user")])
    });
    json!({ "trace": trace, "baggage": baggage, "meta": ctx.meta() }).to_string()
}

fn echo() -> Server {
    Server::new("echo", "1")
        .tool("pooled", "Says what it is told", |ctx, NoArgs| Ok(told(ctx)))
        .tool_with(Tool::new("quick", "The same").quick(), |ctx, NoArgs| Ok(told(ctx)))
        .resource("echo://it", "it", "text/plain", |ctx| Ok(told(ctx)))
        .prompt("echo", "The same", |ctx, Hint { x: _x }| Ok(told(ctx)))
        .method("acme/echo", |ctx, _: Value| Ok(json!({ "told": told(ctx) })))
        .complete_prompt("echo", "x", |ctx, _prefix| Ok(vec![told(ctx)]))
}

/// Asks each kind of handler with that `_meta`; what they are told has to be the same.
fn asked(ask: &mut dyn FnMut(&str, Value) -> Value, meta: &Value) -> Value {
    let reference = json!({ "type": "ref/prompt", "name": "echo" });
    let mut all = Vec::new();
    for (method, mut params, pointer) in [
        ("tools/call", json!({ "name": "pooled" }), "/content/0/text"),
        ("tools/call", json!({ "name": "quick" }), "/content/0/text"),
        ("resources/read", json!({ "uri": "echo://it" }), "/contents/0/text"),
        ("prompts/get", json!({ "name": "echo" }), "/messages/0/content/text"),
        (
            "completion/complete",
            json!({ "ref": reference, "argument": { "name": "x", "value": "" } }),
            "/completion/values/0",
        ),
    ] {
        params["_meta"] = meta.clone();
        let answer = ask(method, params);
        let text = answer["result"].pointer(pointer).and_then(Value::as_str);
        all.push(serde_json::from_str::<Value>(text.unwrap_or_else(|| panic!("{answer}"))).expect("JSON"));
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]), "{all:?}");
    all.swap_remove(0)
}

#[test]
fn what_a_request_says_reaches_every_kind_of_handler() {
    each(echo(), json!({}), |client| {
        let ask: &mut dyn FnMut(&str, Value) -> Value = &mut |method, params| client.ask(method, params);
        assert_eq!(asked(ask, &json!({})), json!({ "trace": null, "baggage": null, "meta": {} }));
        let meta = json!({
            "progressToken": 7, "traceparent": PARENT, "tracestate": "a=1,b=2", "baggage": "user=al%20ice;p,x=y",
            "com.example/key": { "deep": [1, "é\n"] }, "plain": null,
        });
        assert_eq!(
            asked(ask, &meta),
            json!({
                "trace": ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", true, PARENT, "a=1,b=2"],
                "baggage": ["user=al%20ice;p,x=y", ["user: al ice", "x: y"], "al ice"],
                "meta": { "com.example/key": { "deep": [1, "é\n"] }, "plain": null },
            })
        );
        // Baggage may come alone, and a state may not.
        let alone = asked(ask, &json!({ "baggage": "user=bob", "tracestate": "a=1" }));
        assert_eq!((&alone["trace"], &alone["baggage"][2]), (&Value::Null, &json!("bob")));
    });
}

#[test]
fn what_is_malformed_is_not_there_and_harms_nobody() {
    each(echo(), json!({}), |client| {
        let ask: &mut dyn FnMut(&str, Value) -> Value = &mut |method, params| client.ask(method, params);
        for meta in [
            json!({ "traceparent": 5, "tracestate": [], "baggage": {} }),
            json!({ "traceparent": null, "baggage": null }),
            json!({ "traceparent": "00-1-2-3", "tracestate": "a=1", "baggage": "no pair" }),
            json!({ "traceparent": format!("{PARENT}\r\nX: y"), "baggage": "a=b\r\nX: y" }),
            json!({ "traceparent": "x".repeat(100_000), "baggage": format!("a={}", "x".repeat(100_000)) }),
        ] {
            let found = asked(ask, &meta);
            assert_eq!((&found["trace"], &found["baggage"]), (&Value::Null, &Value::Null), "{meta}");
        }
        let found = asked(ask, &json!({ "traceparent": PARENT, "tracestate": "A=1" }));
        assert_eq!(found["trace"][4], Value::Null);
        // More members than anybody needs.
        let many: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("k{n}"), json!(n))).collect();
        assert_eq!(asked(ask, &many.into())["meta"].as_object().map(serde_json::Map::len), Some(64));
        // One that is there twice.
        let twice = json!({ "name": "pooled", "_meta": { "@": 1 } });
        let answer = client.ask_with("tools/call", twice, |text| text.replace("\"@\"", "\"x\":1,\"x\""));
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        // A number that cannot be held.
        let large = json!({ "name": "pooled", "_meta": { "a": "@", "b": 1 } });
        let answer = client.ask_with("tools/call", large, |text| text.replace("\"@\"", "1e400"));
        let text = answer["result"]["content"][0]["text"].as_str().expect("a text");
        assert_eq!(
            serde_json::from_str::<Value>(text).map(|told| told["meta"]["b"].clone()).ok(),
            Some(json!(1)),
            "{text}"
        );
    });
}

#[test]
fn methods_and_notifications_of_ones_own_are_told_too() {
    let (heard_in, heard) = mcp_blocking::crossbeam_channel::unbounded();
    let running = serve(echo().notification("acme/note", move |ctx, _: Value| _ = heard_in.send(told(ctx))));
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let meta = json!({ "traceparent": PARENT, "own": 1 });
        let result = peer.request("acme/echo", json!({ "_meta": meta }))["result"].clone();
        let told: Value = serde_json::from_str(result["told"].as_str().expect("a text")).expect("JSON");
        assert_eq!((&told["trace"][3], &told["meta"]), (&json!(PARENT), &json!({ "own": 1 })));
        if revision != MODERN {
            peer.notify("acme/note", json!({ "_meta": meta }));
            let told = heard.recv_timeout(crate::peer::PATIENCE).expect("it is heard");
            assert!(told.contains(PARENT) && told.contains("\"own\":1"), "{told}");
        }
    }
}

fn saying() -> Server {
    let say = |ctx: &Ctx| -> mcp_blocking::ToolResult<()> {
        assert!(ctx.set_meta("not a key", 1).is_err());
        ctx.set_meta("com.example/said", "first")?;
        ctx.set_meta("com.example/said", json!({ "n": 1 }))?;
        ctx.set_meta("own", 2)
    };
    Server::new("saying", "1")
        .tool("tool", "Says something", move |ctx, NoArgs| {
            say(ctx)?;
            Ok(ToolOutput::text("x")
                .meta("own", "mine")
                .meta("a b", "no key")
                .meta("io.modelcontextprotocol/serverInfo", 5))
        })
        .tool("fails", "Fails", move |ctx, NoArgs| {
            say(ctx)?;
            Err::<&str, _>(mcp_blocking::ToolError::new("no"))
        })
        .resource("say://it", "it", "text/plain", move |ctx| say(ctx).map(|()| "x"))
        .prompt("prompt", "Says something", move |ctx, Hint { x: _x }| {
            say(ctx)?;
            Ok(PromptOutput::new([PromptMessage::user("x")]).meta("own", "mine"))
        })
        .method("acme/say", move |ctx, _: Value| say(ctx).map(|()| json!({ "_meta": { "own": "mine" }, "x": 1 })))
        .method("acme/bare", move |ctx, _: Value| say(ctx).map(|()| json!({})))
        .complete_prompt("prompt", "x", move |ctx, _prefix| say(ctx).map(|()| vec!["x".into()]))
}

#[test]
fn what_a_handler_says_reaches_the_client() {
    each(saying(), json!({}), |client| {
        let modern = client.revision() == MODERN;
        let reference = json!({ "type": "ref/prompt", "name": "prompt" });
        for (method, params, own) in [
            ("tools/call", json!({ "name": "tool" }), json!("mine")),
            ("resources/read", json!({ "uri": "say://it" }), json!(2)),
            ("prompts/get", json!({ "name": "prompt" }), json!("mine")),
            ("completion/complete", json!({ "ref": reference, "argument": { "name": "x", "value": "" } }), json!(2)),
        ] {
            let answer = client.ask(method, params);
            let mut meta = answer["result"]["_meta"].as_object().unwrap_or_else(|| panic!("{answer}")).clone();
            let server = meta.remove("io.modelcontextprotocol/serverInfo");
            assert_eq!(server.map(|server| server["name"].clone()), modern.then(|| json!("saying")));
            assert_eq!(Value::Object(meta), json!({ "com.example/said": { "n": 1 }, "own": own }), "{method}");
        }
        // What failed says nothing more.
        let failed = client.call("fails", json!({}));
        assert_eq!((failed["isError"] == true, failed["_meta"].get("own")), (true, None));
    });
    let running = serve(saying());
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        for (method, own) in [("acme/say", json!("mine")), ("acme/bare", json!(2))] {
            let result = peer.request(method, json!({}))["result"].clone();
            assert_eq!(
                (&result["_meta"]["own"], &result["_meta"]["com.example/said"]["n"]),
                (&own, &json!(1)),
                "{result}"
            );
        }
    }
}

#[test]
fn what_an_author_says_of_things_is_shown_in_revisions_that_have_a_place_for_it() {
    let link = |uri: &str| {
        ResourceLink::new(uri, "x").meta("com.example/x", 1).priority(7.0).last_modified("2026-01-01T00:00:00Z")
    };
    let server = || {
        Server::new("described", "1")
            .tool_with(Tool::new("tool", "x").meta("com.example/x", 1), move |_ctx, NoArgs| {
                let contents = ResourceContents::text("a://b", "x").meta("com.example/x", 1).meta("no key", 2);
                Ok(vec![
                    Content::text("x").meta("com.example/x", 1).meta("no key", 2),
                    Content::image(b"x", "image/png").meta("com.example/x", 1),
                    Content::resource(contents),
                ])
            })
            .resource_with(link("a://b"), |_ctx| Ok(ResourceContents::text("a://b", "x").meta("com.example/x", 1)))
            .template_with(link("a://{c}/d"), |_ctx, _: Value| Ok("x"))
            .prompt_with(Prompt::new("prompt", "x").meta("com.example/x", 1), |_ctx, NoArgs| Ok("x"))
    };
    each(server(), json!({}), |client| {
        let shown = (client.revision() >= "2025-06-18").then(|| json!({ "com.example/x": 1 }));
        for (method, params, pointers) in [
            ("tools/list", json!({}), vec!["/tools/0"]),
            ("tools/call", json!({ "name": "tool" }), vec!["/content/0", "/content/1", "/content/2/resource"]),
            ("resources/list", json!({}), vec!["/resources/0"]),
            ("resources/templates/list", json!({}), vec!["/resourceTemplates/0"]),
            ("resources/read", json!({ "uri": "a://b" }), vec!["/contents/0"]),
            ("prompts/list", json!({}), vec!["/prompts/0"]),
        ] {
            let answer = client.ask(method, params);
            for pointer in pointers {
                let one = answer["result"].pointer(pointer).unwrap_or_else(|| panic!("{method} {pointer}: {answer}"));
                assert_eq!(one.get("_meta"), shown.as_ref(), "{method} {pointer}: {one}");
                if pointer.starts_with("/resource") {
                    assert_eq!(one["annotations"]["priority"], 1, "{one}");
                }
            }
        }
    });
}

#[test]
fn keys_that_the_protocol_does_not_allow_are_reported() {
    let server = Server::new("bad", "1")
        .tool_with(Tool::new("tool", "x").meta("a b", 1), |_ctx, NoArgs| Ok("x"))
        .resource_with(ResourceLink::new("a://b", "x").meta("/x", 1), |_ctx| Ok("x"))
        .template_with(ResourceLink::new("a://{b}", "x").meta("1.a/x", 1), |_ctx, _: Value| Ok("x"))
        .prompt_with(Prompt::new("prompt", "x").meta("x-", 1), |_ctx, NoArgs| Ok("x"));
    let problems = server.bind("127.0.0.1:0").expect_err("problems").to_string();
    for says in [
        "tool `tool`: the `_meta` key `a b`",
        "resource `a://b`: the `_meta` key `/x`",
        "template `a://{b}`",
        "prompt `prompt`",
    ] {
        assert!(problems.contains(says), "{says}: {problems}");
    }
    assert_eq!(problems.lines().count(), 5, "{problems}");
}
