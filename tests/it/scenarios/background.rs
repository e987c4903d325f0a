//! Calls that outlast what they came over: tools that run as tasks, and streams to which a client comes back.

use super::client::{Client, able, text};
use super::wire::Transport;
use super::{Row, row};
use crate::peer::PATIENCE;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const TASKS: &str = "tools that run as tasks";
const R4: &str = "2025-11-25";

pub const ROWS: &[Row] = &[
    row("tasks-lifecycle", lifecycle).modern().shows(TASKS),
    row("tasks-lifecycle:2025-11-25", lifecycle_of_2025_11_25).since(R4).until(R4).shows(TASKS),
    row("tasks-lifecycle:before there were tasks", no_tasks).until("2025-06-18"),
    row("tasks-capability-negotiation", negotiation).modern(),
    row("tasks-required-task-error", required).modern(),
    row("tasks-dispatch-and-envelope", envelope).modern(),
    row("tasks-wire-fields", fields).modern(),
    row("tasks-request-state-removal", no_state).modern(),
    row("tasks-mrtr-input", input).modern(),
    row("tasks-mrtr-composition", composition).modern(),
    row("tasks-status-notifications", notifications).modern(),
    row("tasks-request-headers", headers).modern().over(&[Transport::Http]),
    row("server-sse-polling", polling).since(R4).until(R4).over(&[Transport::Http]),
    row("server-sse-polling:a connection that is lost", resumption)
        .legacy()
        .over(&[Transport::Http])
        .shows("streams that can be resumed (`Last-Event-ID`)"),
];

/// The same client with the extension.
fn knows_tasks(client: &Client) -> Client {
    let mut capabilities = able(client.revision());
    capabilities["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
    client.again(capabilities)
}

/// Calls a tool that becomes a task; the answer's result.
#[track_caller]
fn begin(client: &mut Client, tool: &str, arguments: Value) -> Value {
    let task = client.call(tool, arguments);
    assert_eq!(task["resultType"], "task", "{task}");
    task
}

fn get(client: &mut Client, task: &Value) -> Value {
    client.result("tasks/get", json!({ "taskId": task["taskId"] }))
}

/// Asks until the task has that status.
#[track_caller]
fn reach(client: &mut Client, task: &Value, status: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = get(client, task);
        if found["status"] == status {
            return found;
        }
        assert!(Instant::now() < deadline, "not {status}: {found}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lifecycle(plain: &mut Client) {
    let client = &mut knows_tasks(plain);
    let task = begin(client, "slow_compute", json!({ "seconds": 1, "label": "sum" }));
    assert_eq!(get(client, &task)["status"], "working");
    let done = reach(client, &task, "completed");
    assert_eq!(text(&done["result"]), "computed sum in 1 s");
    let task = begin(client, "slow_compute", json!({ "seconds": 3_600, "label": "never" }));
    assert_eq!(client.result("tasks/cancel", json!({ "taskId": task["taskId"] }))["resultType"], "complete");
    reach(client, &task, "cancelled");
    // Once more changes nothing.
    client.result("tasks/cancel", json!({ "taskId": task["taskId"] }));
    let failing = begin(client, "failing_job", json!({}));
    let broken = begin(client, "protocol_error_job", json!({}));
    assert_eq!(reach(client, &failing, "completed")["result"]["isError"], true);
    assert_eq!(reach(client, &broken, "failed")["error"]["code"], -32603);
}

fn lifecycle_of_2025_11_25(client: &mut Client) {
    let call =
        |tool: &str, arguments: Value| json!({ "name": tool, "arguments": arguments, "task": { "ttl": 60_000 } });
    let created = client.result("tools/call", call("slow_compute", json!({ "seconds": 1, "label": "sum" })));
    let id = created["task"]["taskId"].clone();
    assert_eq!(client.result("tasks/get", json!({ "taskId": id }))["status"], "working");
    assert!(client.list("tasks/list", "tasks").iter().any(|task| task["taskId"] == id));
    assert_eq!(text(&client.result("tasks/result", json!({ "taskId": id }))), "computed sum in 1 s");
    assert_eq!(client.result("tasks/get", json!({ "taskId": id }))["status"], "completed");
    let created = client.result("tools/call", call("slow_compute", json!({ "seconds": 3_600, "label": "never" })));
    let id = created["task"]["taskId"].clone();
    assert_eq!(client.result("tasks/cancel", json!({ "taskId": id }))["status"], "cancelled");
    assert_eq!(client.error("tasks/cancel", json!({ "taskId": id }))["code"], -32602);
    // What has to be a task cannot be called otherwise, and what cannot be one cannot be called as one.
    let plain = json!({ "name": "failing_job", "arguments": {} });
    assert_eq!(client.error("tools/call", plain)["code"], -32601);
    assert_eq!(client.error("tools/call", call("greet", json!({ "name": "Ada" })))["code"], -32601);
}

fn no_tasks(client: &mut Client) {
    let call = json!({ "name": "slow_compute", "arguments": { "seconds": 0, "label": "x" }, "task": { "ttl": 1 } });
    assert_eq!(text(&client.result("tools/call", call)), "computed x in 0 s");
    assert_eq!(client.error("tasks/get", json!({ "taskId": "x" }))["code"], -32601);
    assert!(client.list("tools/list", "tools").iter().all(|tool| tool.get("execution").is_none()));
}

fn negotiation(plain: &mut Client) {
    let capabilities = plain.result("server/discover", json!({}))["capabilities"].clone();
    assert_eq!(capabilities["extensions"]["io.modelcontextprotocol/tasks"], json!({}), "{capabilities}");
    assert!(capabilities.get("tasks").is_none(), "{capabilities}");
    // Who does not know tasks gets none.
    let result = plain.call("slow_compute", json!({ "seconds": 0, "label": "x" }));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(plain.error("tasks/get", json!({ "taskId": "x" }))["code"], -32021);
    let client = &mut knows_tasks(plain);
    assert_eq!(client.call("greet", json!({ "name": "Ada" }))["resultType"], "complete");
}

fn required(plain: &mut Client) {
    let error = plain.error("tools/call", json!({ "name": "failing_job", "arguments": {} }));
    assert_eq!(error["code"], -32021);
    let missing = &error["data"]["requiredCapabilities"]["extensions"];
    assert_eq!(missing["io.modelcontextprotocol/tasks"], json!({}), "{error}");
    plain.assert_status(400);
}

fn envelope(plain: &mut Client) {
    let client = &mut knows_tasks(plain);
    for method in ["tasks/result", "tasks/list"] {
        assert_eq!(client.error(method, json!({ "taskId": "x" }))["code"], -32601, "{method}");
    }
    for method in ["tasks/get", "tasks/cancel"] {
        assert_eq!(client.error(method, json!({ "taskId": "nobody's" }))["code"], -32602, "{method}");
    }
    // What 2025-11-25 says when it wants a task is ignored.
    let call = json!({ "name": "greet", "arguments": { "name": "Ada" }, "task": { "ttl": 1 } });
    assert_eq!(text(&client.result("tools/call", call)), "Hello, Ada!");
}

fn fields(plain: &mut Client) {
    let client = &mut knows_tasks(plain);
    let task = begin(client, "protocol_error_job", json!({}));
    assert!(task["ttlMs"].is_u64() && task["pollIntervalMs"].is_u64(), "{task}");
    assert!(task["createdAt"].is_string() && task["lastUpdatedAt"].is_string(), "{task}");
    for member in ["task", "ttl", "pollInterval", "requestState", "result"] {
        assert!(task.get(member).is_none(), "{member}: {task}");
    }
    reach(client, &task, "failed");
}

fn no_state(plain: &mut Client) {
    let client = &mut knows_tasks(plain);
    let task = begin(client, "confirm_delete", json!({ "filename": "a" }));
    let waits = reach(client, &task, "input_required");
    assert!(waits.get("requestState").is_none(), "{waits}");
    client.result("tasks/cancel", json!({ "taskId": task["taskId"] }));
}

fn input(plain: &mut Client) {
    let client = &mut knows_tasks(plain);
    let task = begin(client, "multi_input", json!({}));
    let waits = reach(client, &task, "input_required");
    let keys: Vec<_> = waits["inputRequests"].as_object().expect("questions").keys().cloned().collect();
    assert_eq!(keys.len(), 2, "{waits}");
    let answer = |key: &str, name: &str| {
        let answer = json!({ "action": "accept", "content": { "name": name } });
        json!({ "taskId": task["taskId"], "inputResponses": { key: answer, "not asked": {} } })
    };
    client.result("tasks/update", answer(&keys[0], "Ada"));
    let waits = get(client, &task);
    assert_eq!(waits["inputRequests"].as_object().map(serde_json::Map::len), Some(1), "{waits}");
    client.result("tasks/update", answer(&keys[1], "Bo"));
    let done = reach(client, &task, "completed");
    assert!(["Ada and Bo", "Bo and Ada"].contains(&text(&done["result"])), "{done}");
}

fn composition(plain: &mut Client) {
    let client = &mut knows_tasks(plain);
    let answer = |_: &str, _: &Value| json!({ "action": "accept", "content": { "name": "Ada" } });
    let task = client.talk_to("test_tool_with_task", json!({}), answer);
    assert_eq!(task["resultType"], "task", "{task}");
    assert_eq!(text(&reach(client, &task, "completed")["result"]), "A task for Ada is done");
}

fn notifications(plain: &mut Client) {
    let client = &mut knows_tasks(plain);
    let task = begin(client, "slow_compute", json!({ "seconds": 1, "label": "told" }));
    let listen = client.start("subscriptions/listen", json!({ "notifications": { "taskIds": [task["taskId"]] } }));
    let honored = client.notice("notifications/subscriptions/acknowledged");
    assert_eq!(honored["params"]["notifications"]["taskIds"], json!([task["taskId"]]), "{honored}");
    let told = client.wait_for("the end of the task", |message| {
        message["method"] == "notifications/tasks" && message["params"]["status"] == "completed"
    });
    assert_eq!(text(&told["params"]["result"]), "computed told in 1 s");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], listen);
    client.cancel(&listen);
}

fn headers(plain: &mut Client) {
    let client = &mut knows_tasks(plain);
    let task = begin(client, "slow_compute", json!({ "seconds": 1, "label": "x" }));
    let request = client.make("tasks/get", json!({ "taskId": task["taskId"] }));
    client.send_with(&request, &[("Mcp-Name", "another")]);
    assert_eq!(client.answer(&request["id"])["error"]["code"], -32020);
    client.assert_status(400);
    client.result("tasks/cancel", json!({ "taskId": task["taskId"] }));
}

fn polling(client: &mut Client) {
    let mut web = client.web().speaking(client.revision());
    web.start("tools/call", json!({ "name": "test_reconnection", "arguments": {} }));
    assert_eq!(web.head().status, 200);
    assert_eq!(web.any_event().as_deref(), Some(""), "an id, and nothing else");
    assert!(web.event().is_none(), "the server lets go");
    assert!(web.retry.is_some(), "and says when to come back");
    let last = web.last_event.clone().expect("an id");
    let answer = web.listen(Some(&last)).event().expect("the answer");
    assert_eq!(text(&answer["result"]), "This answer was there for you when you came back");
}

fn resumption(client: &mut Client) {
    let mut lost = client.web().speaking(client.revision());
    let params = json!({ "name": "test_tool_with_progress", "arguments": {}, "_meta": { "progressToken": 1 } });
    let id = lost.start("tools/call", params);
    assert_eq!(lost.head().status, 200);
    assert_eq!(lost.event().expect("a report")["params"]["progress"].as_f64(), Some(0.0));
    let last = lost.last_event.clone().expect("an id");
    let mut back = lost.again();
    lost.vanish();
    back.get(Some(&last));
    let head = back.head();
    let rest = back.messages(&head);
    let values: Vec<_> = rest.iter().filter_map(|message| message["params"]["progress"].as_f64()).collect();
    assert_eq!(values, [50.0, 100.0]);
    assert_eq!(rest.last().expect("the answer")["id"], id);
}
