//! Tools: what is said of them, and what they return.

use super::client::{Client, text};
use super::{Row, row};
use crate::peer::{MODERN, PATIENCE};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Instant;

const TOOLS: &str = "tools, with every kind of content and schema";

pub const ROWS: &[Row] = &[
    row("tools-list", list).shows(TOOLS),
    row("tools-call-simple-text", simple_text).shows(TOOLS),
    row("tools-call-image", image).shows(TOOLS),
    row("tools-call-audio", audio).shows(TOOLS),
    row("tools-call-embedded-resource", embedded_resource).shows(TOOLS),
    row("tools-call-mixed-content", mixed_content).shows(TOOLS),
    row("tools-call-error", error).shows(TOOLS),
    row("a tool that is not there, and one that panics", no_result).shows(TOOLS),
    row("json-schema-2020-12", schema).shows(TOOLS),
    row("structured output", structured).since("2025-06-18").shows("… structured output"),
    row("structured output: as text", structured_as_text).until("2025-03-26"),
    row("lists in pages", pages).with(&["--page-size", "2"]).shows("lists in pages"),
    row("a method of the author's", own_method).shows("methods and notifications of your own"),
];

fn list(client: &mut Client) {
    let tools = client.list("tools/list", "tools");
    assert_eq!(tools[0]["name"], "test_simple_text", "one of the suite's scenarios calls the first one");
    for tool in &tools {
        let name = tool["name"].as_str().expect("a name");
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
        assert!((1..=64).contains(&name.len()) && name.bytes().all(is_good), "{name}");
        assert!(tool["description"].as_str().is_some_and(|text| !text.is_empty()), "{tool}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
    }
    let hints = tools.iter().find(|tool| tool["name"] == "echo").expect("it is there")["annotations"].clone();
    assert_eq!(hints["readOnlyHint"].as_bool(), (client.revision() >= "2025-03-26").then_some(true));
    // Neither the connection nor the time makes a difference.
    assert_eq!(client.list("tools/list", "tools"), tools);
}

fn simple_text(client: &mut Client) {
    let told = "This is a simple text response for testing.";
    assert_eq!(text(&client.result("tools/call", json!({ "name": "test_simple_text" }))), told);
    let result = client.call("test_simple_text", json!({}));
    assert_eq!((text(&result), result.get("isError")), (told, None));
    assert_eq!(text(&client.call("echo", json!({ "text": "\u{1f44b}\n\"\t" }))), "\u{1f44b}\n\"\t");
}

fn image(client: &mut Client) {
    let block = client.call("test_image_content", json!({}))["content"][0].clone();
    assert_eq!((&block["type"], &block["mimeType"]), (&json!("image"), &json!("image/png")));
    assert!(block["data"].as_str().is_some_and(|data| data.starts_with("iVBORw0KGgo")), "{block}");
}

fn audio(client: &mut Client) {
    let block = client.call("test_audio_content", json!({}))["content"][0].clone();
    if client.revision() == "2024-11-05" {
        // It has no sounds.
        assert!(block["text"].as_str().is_some_and(|text| text.contains("audio/wav")), "{block}");
    } else {
        assert_eq!((&block["type"], &block["mimeType"]), (&json!("audio"), &json!("audio/wav")));
        assert!(block["data"].as_str().is_some_and(|data| data.starts_with("UklGR")), "{block}");
    }
}

fn embedded_resource(client: &mut Client) {
    let resource = json!({
        "uri": "test://embedded-resource", "mimeType": "text/plain", "text": "This is an embedded resource content.",
    });
    let content = client.call("test_embedded_resource", json!({}))["content"].clone();
    assert_eq!(content, json!([{ "type": "resource", "resource": resource }]));
}

fn mixed_content(client: &mut Client) {
    let content = client.call("test_multiple_content_types", json!({}))["content"].clone();
    let kinds: Vec<_> = content.as_array().expect("a list").iter().map(|block| block["type"].clone()).collect();
    assert_eq!(kinds, ["text", "image", "resource"]);
    assert_eq!(content[0]["text"], "Multiple content types test:");
    let resource = json!({
        "uri": "test://mixed-content-resource", "mimeType": "application/json", "text": r#"{"test":"data","value":123}"#,
    });
    assert_eq!(content[2]["resource"], resource);
}

fn error(client: &mut Client) {
    let result = client.call("test_error_handling", json!({}));
    assert_eq!(result["isError"], true);
    assert_eq!(text(&result), "This tool intentionally returns an error for testing");
    // What a model can mend is a result, too.
    let result = client.call("echo", json!({ "text": 5 }));
    assert_eq!(result["isError"], true);
    assert!(text(&result).contains("text"), "{result}");
    client.assert_status(200);
}

fn no_result(client: &mut Client) {
    assert_eq!(client.error("tools/call", json!({ "name": "no such tool" }))["code"], -32602);
    assert_eq!(client.error("tools/call", json!({ "name": 5 }))["code"], -32602);
    let error = client.error("tools/call", json!({ "name": "panic" }));
    assert_eq!(error["code"], -32603);
    assert!(!error.to_string().contains("asked to"), "{error}");
    simple_text(client);
    let status = if client.is_modern() { 404 } else { 200 };
    assert_eq!(client.error("no/such/method", json!({}))["code"], -32601);
    client.assert_status(status);
}

fn schema(client: &mut Client) {
    let tools = client.list("tools/list", "tools");
    let tool = tools.iter().find(|tool| tool["name"] == "json_schema_2020_12_tool").expect("it is there");
    let schema = &tool["inputSchema"];
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["$defs"]["address"]["$anchor"], "addressDef");
    assert_eq!(schema["properties"]["address"], json!({ "$ref": "#/$defs/address" }));
    assert_eq!(schema["allOf"], json!([{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }]));
    for keyword in ["if", "then", "else"] {
        assert!(schema[keyword].is_object(), "{keyword}");
    }
    assert_eq!(schema["additionalProperties"], false);
    let given = json!({ "name": "Ada", "contactMethod": "email", "email": "ada@example.com" });
    assert!(client.call("json_schema_2020_12_tool", given).get("isError").is_none());
}

/// The same number in any way of writing it.
#[track_caller]
fn assert_sum(value: &Value) {
    assert_eq!(value["sum"].as_f64(), Some(5.5), "{value}");
}

fn structured(client: &mut Client) {
    let result = client.call("add", json!({ "a": 2, "b": 3.5 }));
    assert_sum(&result["structuredContent"]);
    assert_sum(&serde_json::from_str(text(&result)).expect("the same as text"));
    let tools = client.list("tools/list", "tools");
    let tool = tools.iter().find(|tool| tool["name"] == "add").expect("it is there");
    assert_eq!(tool["outputSchema"]["properties"]["sum"]["type"], "number", "{tool}");
}

fn structured_as_text(client: &mut Client) {
    let result = client.call("add", json!({ "a": 2, "b": 3.5 }));
    assert_sum(&serde_json::from_str(text(&result)).expect("JSON"));
    assert_eq!(result.get("structuredContent"), None);
}

fn pages(client: &mut Client) {
    for (method, key, name) in [
        ("tools/list", "tools", "name"),
        ("prompts/list", "prompts", "name"),
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    ] {
        let first = client.result(method, json!({}));
        let all = client.list(method, key);
        let names: HashSet<_> = all.iter().map(|item| item[name].to_string()).collect();
        assert_eq!(names.len(), all.len(), "{method}");
        assert_eq!(first[key].as_array().map(Vec::len), Some(all.len().min(2)));
        assert_eq!(first["nextCursor"].is_string(), all.len() > 2, "{method}");
        assert_eq!(client.error(method, json!({ "cursor": "no such page" }))["code"], -32602);
    }
}

fn own_method(client: &mut Client) {
    let word = format!("{} {}", client.place.transport.name(), client.revision());
    let mut seen = json!({ "text": word, "ack": !client.is_modern() });
    if client.is_modern() {
        // It has to say which revision it belongs to; an older session knows.
        seen["_meta"] = client.make("", json!({}))["params"]["_meta"].clone();
    }
    client.notify("acme/seen", seen);
    if client.revision() != MODERN {
        assert_eq!(client.notice("acme/ack")["params"], json!({ "text": word }));
    }
    // Its handler may still be at it.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = client.result("acme/search", json!({ "query": word }));
        if found["items"] == json!([word]) {
            break;
        }
        assert!(Instant::now() < deadline, "{found}");
    }
}
