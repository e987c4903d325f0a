//! Resources, prompts, completion, and how long what is read may be kept.

use super::client::Client;
use super::{Row, row};
use serde_json::{Value, json};

const RESOURCES: &str = "resources, templates";
const PROMPTS: &str = "prompts";

pub const ROWS: &[Row] = &[
    row("resources-list", list).shows(RESOURCES),
    row("resources-read-text", read_text).shows(RESOURCES),
    row("resources-read-binary", read_binary).shows(RESOURCES),
    row("resources-templates-read", read_template).shows(RESOURCES),
    row("sep-2164-resource-not-found", not_found).modern().shows(RESOURCES),
    row("sep-2164-resource-not-found: in older revisions", not_found).legacy().shows(RESOURCES),
    row("prompts-list", prompts).shows(PROMPTS),
    row("prompts-get-simple", simple_prompt).shows(PROMPTS),
    row("prompts-get-with-args", prompt_with_arguments).shows(PROMPTS),
    row("prompts-get-embedded-resource", prompt_with_resource).shows(PROMPTS),
    row("prompts-get-with-image", prompt_with_image).shows(PROMPTS),
    row("completion-complete", complete).shows("completion"),
    row("caching", caching).modern().shows("hints for caches"),
];

fn list(client: &mut Client) {
    let resources = client.list("resources/list", "resources");
    for resource in &resources {
        for member in ["uri", "name", "description"] {
            assert!(resource[member].as_str().is_some_and(|text| !text.is_empty()), "{resource}");
        }
    }
    let uris: Vec<_> = resources.iter().map(|resource| resource["uri"].clone()).collect();
    assert_eq!(uris, ["test://static-binary", "test://static-text", "test://watched-resource"]);
    let templates = client.list("resources/templates/list", "resourceTemplates");
    assert_eq!(templates[0]["uriTemplate"], "test://template/{id}/data");
}

#[track_caller]
fn read(client: &mut Client, uri: &str) -> Value {
    let contents = client.result("resources/read", json!({ "uri": uri }))["contents"].clone();
    assert_eq!((contents.as_array().map(Vec::len), &contents[0]["uri"]), (Some(1), &json!(uri)));
    contents[0].clone()
}

fn read_text(client: &mut Client) {
    let contents = read(client, "test://static-text");
    assert_eq!(contents["mimeType"], "text/plain");
    assert_eq!(contents["text"], "This is the content of the static text resource.");
}

fn read_binary(client: &mut Client) {
    let contents = read(client, "test://static-binary");
    assert_eq!(contents["mimeType"], "image/png");
    assert!(contents["blob"].as_str().is_some_and(|blob| blob.starts_with("iVBORw0KGgo")), "{contents}");
}

fn read_template(client: &mut Client) {
    for (written, id) in [("123", "123"), ("a%20b", "a b"), ("%C3%A4", "\u{e4}")] {
        let contents = read(client, &format!("test://template/{written}/data"));
        assert_eq!(contents["mimeType"], "application/json");
        let data: Value = serde_json::from_str(contents["text"].as_str().expect("a text")).expect("JSON");
        assert_eq!(data, json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }));
    }
}

fn not_found(client: &mut Client) {
    for uri in ["test://nonexistent-resource", "test://template/a/b/data", "not an address"] {
        let error = client.error("resources/read", json!({ "uri": uri }));
        let code = if client.is_modern() { -32602 } else { -32002 };
        assert_eq!((&error["code"], &error["data"]["uri"]), (&json!(code), &json!(uri)), "{error}");
        client.assert_status(200);
    }
}

fn prompts(client: &mut Client) {
    let prompts = client.list("prompts/list", "prompts");
    for prompt in &prompts {
        assert!(prompt["name"].is_string() && prompt["description"].is_string(), "{prompt}");
    }
    let with = prompts.iter().find(|prompt| prompt["name"] == "test_prompt_with_arguments").expect("it is there");
    let names: Vec<_> = with["arguments"].as_array().expect("a list").iter().collect();
    assert_eq!((&names[0]["name"], &names[1]["name"]), (&json!("arg1"), &json!("arg2")));
    assert!(names.iter().all(|argument| argument["required"] == true && argument["description"].is_string()));
}

#[track_caller]
fn messages(client: &mut Client, prompt: &str, arguments: Value) -> Value {
    client.result("prompts/get", json!({ "name": prompt, "arguments": arguments }))["messages"].clone()
}

fn simple_prompt(client: &mut Client) {
    let told =
        json!([{ "role": "user", "content": { "type": "text", "text": "This is a simple prompt for testing." } }]);
    assert_eq!(messages(client, "test_simple_prompt", json!({})), told);
    assert_eq!(client.result("prompts/get", json!({ "name": "test_simple_prompt" }))["messages"], told);
    assert_eq!(client.error("prompts/get", json!({ "name": "no such prompt" }))["code"], -32602);
}

fn prompt_with_arguments(client: &mut Client) {
    let filled = messages(client, "test_prompt_with_arguments", json!({ "arg1": "hello", "arg2": "world" }));
    assert_eq!(filled[0]["content"]["text"], "Prompt with arguments: arg1='hello', arg2='world'");
    let missing = json!({ "name": "test_prompt_with_arguments", "arguments": { "arg1": "hello" } });
    let error = client.error("prompts/get", missing);
    assert_eq!(error["code"], -32602);
    assert!(error["message"].as_str().is_some_and(|text| text.contains("arg2")), "{error}");
}

fn prompt_with_resource(client: &mut Client) {
    let uri = "test://example-resource";
    let filled = messages(client, "test_prompt_with_embedded_resource", json!({ "resourceUri": uri }));
    let resource = json!({ "uri": uri, "mimeType": "text/plain", "text": "Embedded resource content for testing." });
    assert_eq!(filled[0], json!({ "role": "user", "content": { "type": "resource", "resource": resource } }));
    assert_eq!(filled[1]["content"]["text"], "Please process the embedded resource above.");
}

fn prompt_with_image(client: &mut Client) {
    let filled = messages(client, "test_prompt_with_image", json!({}));
    let image = &filled[0]["content"];
    assert_eq!((&image["type"], &image["mimeType"]), (&json!("image"), &json!("image/png")));
    assert_eq!(filled[1]["content"]["text"], "Please analyze the image above.");
}

fn complete(client: &mut Client) {
    let mut complete = |reference: Value, name: &str, value: &str| {
        client.request("completion/complete", json!({ "ref": reference, "argument": { "name": name, "value": value } }))
    };
    let prompt = json!({ "type": "ref/prompt", "name": "test_prompt_with_arguments" });
    let found = complete(prompt.clone(), "arg1", "test")["result"]["completion"].clone();
    assert_eq!(found["values"], json!(["test", "testing", "tested"]));
    assert_eq!(complete(prompt, "arg2", "x")["result"]["completion"]["values"], json!([]));
    let template = json!({ "type": "ref/resource", "uri": "test://template/{id}/data" });
    assert_eq!(complete(template, "id", "12")["result"]["completion"]["values"], json!(["123", "124"]));
    let none = json!({ "type": "ref/prompt", "name": "no such prompt" });
    assert_eq!(complete(none, "arg1", "")["error"]["code"], -32602);
}

fn caching(client: &mut Client) {
    for (method, params) in [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({ "uri": "test://static-text" })),
    ] {
        let result = client.result(method, params);
        assert!(result["ttlMs"].as_u64().is_some(), "{method}: {result}");
        assert_eq!(result["cacheScope"], "private", "{method}: nobody has said that others may see it");
    }
    // Nothing else may be kept.
    for result in
        [client.call("echo", json!({ "text": "x" })), client.call("test_input_required_result_sampling", json!({}))]
    {
        assert_eq!((result.get("ttlMs"), result.get("cacheScope")), (None, None), "{result}");
    }
}
