//! What a message may cost before it is read: bytes, depth, values, strings; and that it says each thing once.

use crate::everywhere::each;
use mcp_blocking::{NoArgs, Server, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Deserialize, JsonSchema)]
struct Open {
    #[serde(flatten)]
    members: BTreeMap<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    count: i64,
}

#[derive(Deserialize, JsonSchema)]
struct Word {
    word: String,
}

fn server() -> Server {
    Server::new("budgets", "1")
        .tool("none", "Takes nothing", |_ctx, NoArgs| Ok("done"))
        .tool("count", "Takes a number", |_ctx, Count { count }| Ok(count.to_string()))
        .tool_with(Tool::new("unchecked", "Takes anything").unchecked(), |_ctx, Open { members }| {
            Ok(json!(members).to_string())
        })
        .tool_raw(Tool::new("raw", "Takes anything"), &json!({ "type": "object" }), |_ctx, all| Ok(all.to_string()))
        .prompt("say", "Says a word", |_ctx, Word { word }| Ok(word))
}

fn call(arguments: Value) -> Value {
    json!({ "name": "raw", "arguments": arguments })
}

#[test]
fn values_and_strings_are_counted_before_they_are_read() {
    let server = server().limits(|limits| {
        limits.json_nodes = 500;
        limits.json_string_bytes = Some(2_000);
    });
    each(server, json!({}), |client| {
        // The same bytes in one string are one value.
        let text = "0,".repeat(900);
        assert!(client.call("raw", json!({ "a": text }))["isError"].is_null());
        assert!(client.call("raw", json!({ "a": vec![0; 400] }))["isError"].is_null());
        let members: BTreeMap<String, u8> = (0..300).map(|n| (format!("m{n}"), 0)).collect();
        for (arguments, limit) in [
            (json!({ "a": vec![0; 501] }), "json_nodes"),
            (json!(members), "json_nodes"),
            (json!({ "a": [[[vec![json!({}); 501]]]] }), "json_nodes"),
            (json!({ "a": "x".repeat(2_001) }), "json_string_bytes"),
            (json!({ "a": "\u{1}".repeat(334) }), "json_string_bytes"),
            (json!({ "x".repeat(2_001): 1 }), "json_string_bytes"),
            ((0..80).fold(json!({}), |inner, _| json!({ "a": inner })), "json_depth"),
        ] {
            let refused = client.ask("tools/call", call(arguments));
            assert_eq!(refused["error"]["code"], -32600, "{refused}");
            assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains(limit)), "{refused}");
            // The client goes on.
            assert_eq!(client.call("none", json!({}))["content"][0]["text"], "done");
        }
    });
}

#[test]
fn each_thing_is_said_once_at_every_level() {
    each(server(), json!({}), |client| {
        let twice = |text: &str| text.replace("\"@\"", "1,\"a\":2");
        for tool in ["unchecked", "raw"] {
            for (arguments, place) in
                [(json!({ "a": "@" }), "/a"), (json!({ "b": { "c": [0, { "a": "@" }] } }), "/b/c/1/a")]
            {
                let answer = client.ask_with("tools/call", json!({ "name": tool, "arguments": arguments }), twice);
                let told = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
                assert_eq!(told, format!("invalid arguments: `{place}`: is there twice"), "{answer}");
            }
        }
        let prompt = json!({ "name": "say", "arguments": { "word": "w", "a": "@" } });
        assert_eq!(client.ask_with("prompts/get", prompt, twice)["error"]["code"], -32602);
        for params in [json!({ "name": "none", "other": { "a": "@" } }), json!({ "name": "none", "a": "@" })] {
            let refused = client.ask_with("tools/call", params, twice);
            assert_eq!(refused["error"]["code"], -32600, "{refused}");
            assert!(
                refused["error"]["message"].as_str().is_some_and(|text| text.contains("is there twice")),
                "{refused}"
            );
        }
        // Escapes do not hide it, and a name may come again in another object.
        let hidden = json!({ "name": "raw", "arguments": { "a": "@" } });
        let answer = client.ask_with("tools/call", hidden, |text| text.replace("\"@\"", "1,\"\\u0061\":2"));
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert!(client.call("raw", json!({ "a": { "a": [{ "a": 1 }, { "a": 2 }] } }))["isError"].is_null());
    });
}

#[test]
fn numbers_are_kept_as_they_are_or_refused() {
    each(server(), json!({}), |client| {
        let mut with = |tool: &str, name: &str, number: &str| {
            let params = json!({ "name": tool, "arguments": { name: "@" } });
            client.ask_with("tools/call", params, |text| text.replace("\"@\"", number))["result"].clone()
        };
        for number in ["1180591620717411303424", "-9223372036854775809", "1e400", "-1e400"] {
            // With `arbitrary_precision` serde_json keeps what no f64 holds, to the letter.
            match number.contains("e400") && serde_json::from_str::<Value>(number).is_ok() {
                true => {
                    let told = with("raw", "n", number)["content"][0]["text"].clone();
                    assert!(
                        told.as_str().is_some_and(|told| told.to_ascii_lowercase().replace('+', "").contains(number)),
                        "{told}"
                    );
                }
                false => assert_eq!(with("raw", "n", number)["isError"], true, "{number}"),
            }
            assert_eq!(with("count", "count", number)["isError"], true, "{number}");
        }
        for number in ["18446744073709551615", "-9223372036854775808", "0.1", "1e300"] {
            let told = with("raw", "n", number)["content"][0]["text"].clone();
            let told: Value = serde_json::from_str(told.as_str().expect("a text")).expect("JSON");
            assert_eq!(told["n"], serde_json::from_str::<Value>(number).expect("a number"));
        }
        assert_eq!(with("count", "count", "9007199254740993")["content"][0]["text"], "9007199254740993");
    });
}
