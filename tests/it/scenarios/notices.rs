//! What the server says unasked: log messages, progress, changes; and how a client has it stop.

use super::client::{Client, text};
use super::{Row, row};
use serde_json::{Value, json};

const CHANGES: &str = "changes of lists and resources (`subscriptions/listen`)";

pub const ROWS: &[Row] = &[
    row("logging-set-level", set_level).legacy().shows("log messages by level"),
    row("tools-call-with-logging", logging).shows("log messages by level"),
    row("tools-call-with-progress", progress).shows("progress"),
    row("cancellation", cancellation).shows("cancellation"),
    row("cancellation: of nothing", cancellation_of_nothing),
    row("resources-subscribe", subscribe).legacy().shows(CHANGES),
    row("resources-unsubscribe", unsubscribe).legacy().shows(CHANGES),
    row("lists change", lists_change).legacy().shows(CHANGES),
    row("server-stateless: a subscription begins with its acknowledgement", listen).modern().shows(CHANGES),
    row("server-stateless: subscriptions side by side", listen_twice).modern().shows(CHANGES),
];

const UPDATED: &str = "notifications/resources/updated";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// Calls the tool that logs three times, with these members of `_meta`; what it has logged.
fn logged(client: &mut Client, meta: Value) -> Vec<Value> {
    client.result("tools/call", json!({ "name": "test_tool_with_logging", "_meta": meta }));
    let messages = client.take("notifications/message");
    messages.iter().map(|message| message["params"].clone()).collect()
}

fn set_level(client: &mut Client) {
    for level in ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"] {
        assert_eq!(client.result("logging/setLevel", json!({ "level": level })), json!({}), "{level}");
    }
    assert_eq!(client.error("logging/setLevel", json!({ "level": "loud" }))["code"], -32602);
    // `emergency` was the last: what the tool says is less than that.
    assert_eq!(logged(client, json!({})), Vec::<Value>::new());
    client.result("logging/setLevel", json!({ "level": "info" }));
    assert_eq!(logged(client, json!({})).len(), 3);
}

fn logging(client: &mut Client) {
    const LEVEL: &str = "io.modelcontextprotocol/logLevel";
    let mut meta = json!({});
    if client.is_modern() {
        // Nothing is said to those who do not ask for it, or for something worse.
        assert_eq!(logged(client, json!({})), Vec::<Value>::new());
        assert_eq!(logged(client, json!({ LEVEL: "warning" })), Vec::<Value>::new());
        let wrong = json!({ "name": "test_logging_tool", "_meta": { LEVEL: "loud" } });
        assert_eq!(client.error("tools/call", wrong)["code"], -32602);
        meta[LEVEL] = json!("info");
    }
    let messages = logged(client, meta);
    assert!(messages.iter().all(|message| message["level"] == "info"), "{messages:?}");
    let texts: Vec<_> = messages.iter().map(|message| message["data"].clone()).collect();
    assert_eq!(texts, ["Tool execution started", "Tool processing data", "Tool execution completed"]);
}

fn progress(client: &mut Client) {
    for token in [json!("a token"), json!(7)] {
        let params = json!({ "name": "test_tool_with_progress", "_meta": { "progressToken": token } });
        client.result("tools/call", params);
        let reports = client.take("notifications/progress");
        assert!(reports.iter().all(|report| report["params"]["progressToken"] == token), "{reports:?}");
        let values: Vec<_> = reports.iter().map(|report| report["params"]["progress"].as_f64()).collect();
        assert_eq!(values, [Some(0.0), Some(50.0), Some(100.0)]);
    }
    client.call("test_tool_with_progress", json!({}));
    assert!(client.take("notifications/progress").is_empty(), "nobody has asked for it");
}

fn cancellation(client: &mut Client) {
    let params = json!({ "name": "slow", "arguments": { "ms": 600_000 }, "_meta": { "progressToken": "slow" } });
    let id = client.start("tools/call", params);
    client.notice("notifications/progress");
    client.cancel(&id);
    assert_eq!(text(&client.call("echo", json!({ "text": "on" }))), "on");
    // All that still comes is looked at when the client says goodbye: an answer would be one too many.
}

fn cancellation_of_nothing(client: &mut Client) {
    for params in
        [json!({ "requestId": 12345 }), json!({ "requestId": [] }), json!({}), json!({ "requestId": "x", "y": 1 })]
    {
        client.notify("notifications/cancelled", params);
    }
    let done = client.start("tools/call", json!({ "name": "echo", "arguments": { "text": "done" } }));
    client.answer(&done);
    client.cancel(&done);
    assert_eq!(text(&client.call("echo", json!({ "text": "on" }))), "on");
}

fn subscribe(client: &mut Client) {
    let watched = json!({ "uri": "test://watched-resource" });
    assert_eq!(client.result("resources/subscribe", watched.clone()), json!({}));
    client.call("update_watched_resource", json!({}));
    assert_eq!(client.notice(UPDATED)["params"], watched);
    assert_eq!(client.error("resources/subscribe", json!({ "uri": "test://no-such-resource" }))["code"], -32002);
}

fn unsubscribe(client: &mut Client) {
    let watched = json!({ "uri": "test://watched-resource" });
    client.call("update_watched_resource", json!({}));
    client.result("resources/subscribe", watched.clone());
    assert_eq!(client.result("resources/unsubscribe", watched), json!({}));
    client.call("update_watched_resource", json!({}));
    // What is told of in any case comes behind what is not.
    client.call("test_trigger_tool_change", json!({}));
    client.notice(TOOLS_CHANGED);
    assert!(client.take(UPDATED).is_empty(), "it is not watched");
}

fn lists_change(client: &mut Client) {
    for (tool, notice) in [("test_trigger_tool_change", TOOLS_CHANGED), ("test_trigger_prompt_change", PROMPTS_CHANGED)]
    {
        client.call(tool, json!({}));
        client.notice(notice);
    }
}

/// Subscribes, and waits for the acknowledgement.
#[track_caller]
fn listening(client: &mut Client, wanted: Value, granted: &Value) -> Value {
    let id = client.start("subscriptions/listen", json!({ "notifications": wanted }));
    let first = client.wait_for("something on the subscription", |message| tag(message) == Some(&id));
    assert_eq!((&first["method"], &first["params"]["notifications"]), (&json!(ACKNOWLEDGED), granted));
    id
}

/// The subscription that a notice is for.
fn tag(message: &Value) -> Option<&Value> {
    message["params"]["_meta"].get("io.modelcontextprotocol/subscriptionId")
}

fn listen(client: &mut Client) {
    let wanted = json!({ "toolsListChanged": true, "promptsListChanged": false, "somethingElse": true });
    let id = listening(client, wanted, &json!({ "toolsListChanged": true }));
    // What was not asked for would come before what was.
    client.call("test_trigger_prompt_change", json!({}));
    client.call("update_watched_resource", json!({}));
    client.call("test_trigger_tool_change", json!({}));
    let notice = client.wait_for("a change", |message| tag(message) == Some(&id));
    assert_eq!(notice["method"], TOOLS_CHANGED);
    client.cancel(&id);
    client.call("test_trigger_tool_change", json!({}));
    assert_eq!(text(&client.call("echo", json!({ "text": "on" }))), "on");
}

fn listen_twice(client: &mut Client) {
    let watched = json!({ "resourceSubscriptions": ["test://watched-resource"] });
    let both = json!({ "resourceSubscriptions": ["test://watched-resource"], "promptsListChanged": true });
    let one = listening(client, watched.clone(), &watched);
    let two = listening(client, both.clone(), &both);
    client.call("test_trigger_prompt_change", json!({}));
    client.call("update_watched_resource", json!({}));
    for (id, methods) in [(&one, &[UPDATED][..]), (&two, &[PROMPTS_CHANGED, UPDATED])] {
        for method in methods {
            let notice = client.wait_for("a change", |message| tag(message) == Some(id));
            assert_eq!(notice["method"], *method);
        }
    }
}
