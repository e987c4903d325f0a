//! What a handler asks the client, its user or its model: one handler for both eras.

use super::client::{Client, text};
use super::{Row, row};
use serde_json::{Value, json};

pub const FORMS: &str = "… elicitation by form";

pub const ROWS: &[Row] = &[
    row("tools-call-sampling", sampling).shows("questions from a handler: sampling"),
    row("sampling with tools", sampling_with_tools).since("2025-11-25").shows("… sampling with tools"),
    row("roots", roots).shows("… roots"),
    row("tools-call-elicitation", elicitation).since("2025-06-18").shows(FORMS),
    row("elicitation-sep1034-defaults", defaults).since("2025-06-18").shows(FORMS),
    row("elicitation-sep1330-enums", enums).since("2025-11-25").shows("… with a choice of several"),
    row("elicitation-sep1330-enums: what cannot be said", choices_that_cannot_be_said)
        .since("2025-06-18")
        .until("2025-06-18"),
    row("elicitation by URL", page).since("2025-11-25").shows("… elicitation by URL"),
    row("a client is not asked what it cannot answer", incapable),
];

/// What a client says that is asked for a text of its model, for its roots, or its user for a form.
pub fn agreeable(method: &str, params: &Value) -> Value {
    match method {
        "sampling/createMessage" => json!({
            "role": "assistant", "content": { "type": "text", "text": "Paris" }, "model": "test", "stopReason": "endTurn",
        }),
        "roots/list" => json!({ "roots": [{ "uri": "file:///home/ada", "name": "home" }] }),
        "elicitation/create" => {
            let fields = params["requestedSchema"]["properties"].as_object().into_iter().flatten();
            let content = fields.map(|(name, field)| (name.clone(), filled(name, field)));
            json!({ "action": "accept", "content": Value::Object(content.collect()) })
        }
        other => panic!("what is {other}?"),
    }
}

fn filled(name: &str, field: &Value) -> Value {
    match (name, field["type"].as_str()) {
        ("name", _) => json!("Ada"),
        ("color", _) => json!("blue"),
        ("email", _) => json!("ada@example.com"),
        (_, Some("boolean")) => json!(true),
        (_, Some("string")) => json!(format!("a {name}")),
        other => panic!("what is {other:?}?"),
    }
}

fn sampling(client: &mut Client) {
    let result = client.talk_to("test_sampling", json!({ "prompt": "Capital of France?" }), |method, params| {
        assert_eq!((method, &params["maxTokens"]), ("sampling/createMessage", &json!(100)));
        let asked = json!([{ "role": "user", "content": { "type": "text", "text": "Capital of France?" } }]);
        assert_eq!(params["messages"], asked);
        agreeable(method, params)
    });
    assert_eq!(text(&result), "LLM response: Paris");
}

fn sampling_with_tools(client: &mut Client) {
    let used = json!({ "type": "tool_use", "id": "use-1", "name": "roll", "input": { "sides": 6 } });
    let result = client.talk_to("test_sampling_with_tools", json!({ "prompt": "Roll a die" }), |_, params| {
        assert_eq!(
            (&params["tools"][0]["name"], &params["toolChoice"]),
            (&json!("roll"), &json!({ "mode": "required" }))
        );
        json!({ "role": "assistant", "content": [used], "model": "test", "stopReason": "toolUse" })
    });
    assert_eq!(text(&result), r#"LLM uses: roll {"sides":6}"#);
    // A model can take part without using tools.
    let mut other = client.again(json!({ "sampling": {} }));
    let answer =
        other.request("tools/call", json!({ "name": "test_sampling_with_tools", "arguments": { "prompt": "x" } }));
    assert!(answer["error"]["code"] == -32021 || answer["result"]["isError"] == true, "{answer}");
    other.end();
}

fn roots(client: &mut Client) {
    let result = client.talk_to("test_input_required_result_list_roots", json!({}), |method, params| {
        assert_eq!(method, "roots/list");
        agreeable(method, params)
    });
    assert_eq!(text(&result), "The client has 1 roots");
}

fn elicitation(client: &mut Client) {
    for (answer, told) in [
        (
            json!({ "action": "accept", "content": { "username": "ada", "email": "ada@example.com" } }),
            r#"action=accept, content={"email":"ada@example.com","username":"ada"}"#,
        ),
        (json!({ "action": "decline" }), "action=decline, content={}"),
        (json!({ "action": "cancel" }), "action=cancel, content={}"),
    ] {
        let result = client.talk_to("test_elicitation", json!({ "message": "Who are you?" }), |method, params| {
            assert_eq!((method, &params["message"]), ("elicitation/create", &json!("Who are you?")));
            let schema = &params["requestedSchema"];
            assert_eq!(schema["required"], json!(["username", "email"]));
            for field in ["username", "email"] {
                assert_eq!(schema["properties"][field]["type"], "string", "{schema}");
            }
            answer.clone()
        });
        assert_eq!(sorted(text(&result)), sorted(&format!("User response: {told}")));
    }
}

/// Its letters in order: members of an object may be written in any.
fn sorted(text: &str) -> String {
    let mut letters: Vec<_> = text.chars().collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

fn defaults(client: &mut Client) {
    let all = client.revision() >= "2025-11-25";
    let result = client.talk_to("test_elicitation_sep1034_defaults", json!({}), |_, params| {
        let fields = &params["requestedSchema"]["properties"];
        for (name, kind, default) in [
            ("name", "string", json!("John Doe")),
            ("age", "integer", json!(30)),
            ("score", "number", json!(95.5)),
            ("status", "string", json!("active")),
            ("verified", "boolean", json!(true)),
        ] {
            assert_eq!(fields[name]["type"], kind);
            // 2025-06-18 has a default for yes or no only.
            let known = all || kind == "boolean";
            assert_eq!(fields[name].get("default"), Some(&default).filter(|_| known), "{name}");
        }
        assert_eq!(fields["status"]["enum"], json!(["active", "inactive", "pending"]));
        json!({ "action": "accept", "content": { "name": "Jane", "age": 31, "status": "inactive", "verified": false } })
    });
    assert!(text(&result).starts_with("Elicitation completed: action=accept, content={"), "{result}");
    assert!(text(&result).contains(r#""age":31"#), "{result}");
}

fn enums(client: &mut Client) {
    let chosen = json!({
        "untitledSingle": "option1", "titledSingle": "value2", "legacyEnum": "opt3", "untitledMulti": ["option1", "option3"],
        "titledMulti": [],
    });
    let result = client.talk_to("test_elicitation_sep1330_enums", json!({}), |_, params| {
        let fields = &params["requestedSchema"]["properties"];
        assert_eq!(fields["untitledSingle"]["enum"], json!(["option1", "option2", "option3"]));
        assert_eq!(fields["titledSingle"]["oneOf"][1], json!({ "const": "value2", "title": "Second Option" }));
        assert_eq!(fields["legacyEnum"]["enumNames"], json!(["Option One", "Option Two", "Option Three"]));
        assert_eq!(fields["untitledMulti"]["items"]["enum"], json!(["option1", "option2", "option3"]));
        assert_eq!(fields["titledMulti"]["items"]["anyOf"][2], json!({ "const": "value3", "title": "Third Choice" }));
        json!({ "action": "accept", "content": chosen })
    });
    assert!(text(&result).starts_with("Elicitation completed: action=accept"), "{result}");
}

fn choices_that_cannot_be_said(client: &mut Client) {
    let result = client.call("test_elicitation_sep1330_enums", json!({}));
    assert_eq!(result["isError"], true);
    assert!(text(&result).contains("Multi"), "{result}");
}

fn page(client: &mut Client) {
    let modern = client.is_modern();
    for action in ["accept", "decline", "cancel"] {
        let result = client.talk_to("open_page", json!({}), |method, params| {
            assert_eq!((method, &params["mode"]), ("elicitation/create", &json!("url")));
            assert_eq!(params["url"], "https://example.com/sign-in");
            assert_eq!(params["elicitationId"].is_string(), !modern, "{params}");
            json!({ "action": action })
        });
        assert_eq!(text(&result), format!("The user's answer: {action}"));
    }
}

fn incapable(client: &mut Client) {
    let mut other = client.again(json!({}));
    for (tool, arguments, needed) in [
        ("test_sampling", json!({ "prompt": "x" }), json!({ "sampling": {} })),
        ("test_elicitation", json!({ "message": "x" }), json!({ "elicitation": { "form": {} } })),
        ("open_page", json!({}), json!({ "elicitation": { "url": {} } })),
        ("test_input_required_result_list_roots", json!({}), json!({ "roots": {} })),
    ] {
        let params = json!({ "name": tool, "arguments": arguments });
        if other.is_modern() {
            let error = other.error("tools/call", params);
            assert_eq!((&error["code"], &error["data"]["requiredCapabilities"]), (&json!(-32021), &needed));
            other.assert_status(400);
        } else {
            // Nothing is asked: the first that comes is the answer.
            assert_eq!(other.result("tools/call", params)["isError"], true);
        }
    }
    other.end();
}
