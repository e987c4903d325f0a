//! Tasks: calls that go on in the background, in both eras and over every transport.

use crate::demo::{Echo, demo};
use crate::peer::{MODERN, PATIENCE, Peer, Turnstile, modern_meta, serve, turnstile, until};
use crate::schema::Schema;
use crate::web::Web;
use mcp_blocking::testing::{ClientError, InMemory};
use mcp_blocking::{NoArgs, Revision, Server, TaskSupport, Tool, ToolError, ToolResult};
use serde_json::{Value, json};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

pub const R4: &str = "2025-11-25";
const BEFORE: [&str; 3] = ["2024-11-05", "2025-03-26", "2025-06-18"];
pub const RELATED: &str = "io.modelcontextprotocol/related-task";

/// A client of any transport that asks and is answered, whole messages.
pub trait Client {
    fn ask(&mut self, method: &str, params: Value) -> Value;
}

impl Client for Peer {
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.request(method, params)
    }
}

impl Client for Web {
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.request(method, params)
    }
}

impl Client for InMemory {
    fn ask(&mut self, method: &str, params: Value) -> Value {
        match self.request(method, params) {
            Ok(result) => json!({ "result": result }),
            Err(ClientError::Rpc { code, message, data }) => {
                json!({ "error": { "code": code, "message": message, "data": data } })
            }
            Err(error) => panic!("{method}: {error}"),
        }
    }
}

/// What a client says that knows the extension, and can be asked everything.
pub fn knowing() -> Value {
    json!({
        "extensions": { "io.modelcontextprotocol/tasks": {} },
        "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {},
    })
}

/// The same client over each transport.
fn everywhere(server: impl Fn() -> Server, revision: &'static str, test: impl Fn(&mut dyn Client)) {
    let running = serve(server());
    test(&mut Peer::able(&running, revision, knowing()));
    test(&mut Web::able(&running, revision, knowing()));
    running.shutdown(PATIENCE).expect("a clean end");
    let revision = Revision::parse(revision).expect("a revision");
    test(&mut server().in_memory().in_revision(revision).capabilities(knowing()));
}

/// The call of a tool as a client of that revision makes it who wants a task.
pub fn call(revision: &str, tool: &str, arguments: Value) -> Value {
    let mut params = json!({ "name": tool, "arguments": arguments });
    if revision != MODERN {
        params["task"] = json!({});
    }
    params
}

/// Begins a task; its id.
#[track_caller]
pub fn begin(client: &mut (impl Client + ?Sized), revision: &str, tool: &str, arguments: Value) -> String {
    let answer = client.ask("tools/call", call(revision, tool, arguments));
    let task = if revision == MODERN { &answer["result"] } else { &answer["result"]["task"] };
    assert_eq!(task["status"], "working", "{answer}");
    task["taskId"].as_str().unwrap_or_else(|| panic!("no id: {answer}")).to_owned()
}

#[track_caller]
pub fn get(client: &mut (impl Client + ?Sized), id: &str) -> Value {
    let answer = client.ask("tasks/get", json!({ "taskId": id }));
    assert_eq!(answer["result"]["taskId"], id, "{answer}");
    answer["result"].clone()
}

/// Looks until the task has that status.
#[track_caller]
pub fn reach(client: &mut (impl Client + ?Sized), id: &str, status: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let task = get(client, id);
        if task["status"] == status {
            return task;
        }
        assert!(Instant::now() < deadline, "it does not become {status}: {task}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
pub fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

/// A tool that stands at a turnstile.
fn held(turnstile: Turnstile) -> Server {
    demo().tool_with(
        Tool::new("held", "Waits to be let go").task(TaskSupport::Optional).immediate_response("It goes on."),
        move |ctx, Echo { text }| {
            ctx.task_status("standing in line");
            turnstile.pass();
            Ok(text)
        },
    )
}

/// Tools that can be tasks.
fn tasks() -> Server {
    demo()
        .tool_with(Tool::new("forward", "Sends the text back").task(TaskSupport::Optional), |_ctx, Echo { text }| {
            Ok(text)
        })
        .tool_with(Tool::new("only", "Is a task only").task(TaskSupport::Required), |ctx, Echo { text }| {
            assert!(ctx.is_task());
            Ok(text)
        })
        .tool_with(Tool::new("fails", "Fails").task(TaskSupport::Optional), |_ctx, NoArgs| -> ToolResult<String> {
            Err(ToolError::new("it did not work"))
        })
        .tool_with(
            Tool::new("breaks", "Is an error").task(TaskSupport::Optional),
            |_ctx, NoArgs| -> ToolResult<String> { Err(ToolError::rpc(-5, "it broke")) },
        )
        .tool_with(Tool::new("panics", "Panics").task(TaskSupport::Optional), |_ctx, NoArgs| -> ToolResult<String> {
            panic!("a secret of the handler")
        })
        .tool_with(Tool::new("naps", "Sleeps until it is cancelled").task(TaskSupport::Optional), |ctx, NoArgs| {
            ctx.sleep(Duration::from_secs(600))?;
            Ok("slept well")
        })
}

#[test]
fn a_task_of_2026_07_28_goes_its_way_over_every_transport() {
    let schema = Schema::of("ext-tasks");
    let (turnstile, keeper) = turnstile();
    everywhere(
        || held(turnstile.clone()),
        MODERN,
        |client| {
            let created = client.ask("tools/call", call(MODERN, "held", json!({ "text": "gone" })))["result"].clone();
            schema.check("CreateTaskResult", &created);
            assert_eq!((&created["resultType"], &created["ttlMs"]), (&json!("task"), &json!(3_600_000)));
            assert!(created["taskId"].as_str().is_some_and(|id| id.len() == 32), "{created}");
            for absent in ["task", "ttl", "pollInterval", "requestState", "result", "inputRequests"] {
                assert!(created.get(absent).is_none(), "{absent}: {created}");
            }
            let id = created["taskId"].as_str().expect("an id");
            keeper.wait_entered();
            let working = get(client, id);
            schema.check("GetTaskResult", &working);
            assert_eq!(
                (&working["resultType"], &working["status"], &working["statusMessage"]),
                (&json!("complete"), &json!("working"), &json!("standing in line"))
            );
            keeper.release();
            let done = reach(client, id, "completed");
            schema.check("GetTaskResult", &done);
            schema.check("CompletedTask", &done);
            Schema::of(MODERN).check("CallToolResult", &done["result"]);
            assert_eq!(done["result"]["content"][0]["text"], "gone");
            assert!(done["result"]["_meta"].get(RELATED).is_none() && done.get("statusMessage").is_none(), "{done}");
            // It has ended: nothing changes that any more, and the answer is the same.
            let acknowledged = client.ask("tasks/cancel", json!({ "taskId": id }))["result"].clone();
            schema.check("CancelTaskResult", &acknowledged);
            assert_eq!(acknowledged.as_object().map(|result| result.len()), Some(2), "{acknowledged}");
            assert_eq!(get(client, id), done);
            for gone in ["tasks/result", "tasks/list"] {
                assert_eq!(code(&client.ask(gone, json!({ "taskId": id }))), -32601);
            }
        },
    );
}

#[test]
fn a_task_of_2025_11_25_goes_its_way_over_every_transport() {
    let schema = Schema::of(R4);
    let (turnstile, keeper) = turnstile();
    everywhere(
        || held(turnstile.clone()),
        R4,
        |client| {
            let mut params = call(R4, "held", json!({ "text": "gone" }));
            params["task"]["ttl"] = json!(60_000);
            let created = client.ask("tools/call", params)["result"].clone();
            schema.check("CreateTaskResult", &created);
            let id = created["task"]["taskId"].as_str().expect("an id").to_owned();
            assert_eq!(created["task"]["ttl"], 60_000);
            assert_eq!(created["_meta"][RELATED]["taskId"], id.as_str());
            assert_eq!(created["_meta"]["io.modelcontextprotocol/model-immediate-response"], "It goes on.");
            keeper.wait_entered();
            let working = get(client, &id);
            schema.check("GetTaskResult", &working);
            assert_eq!(
                (&working["status"], &working["statusMessage"]),
                (&json!("working"), &json!("standing in line"))
            );
            assert!(working.get("resultType").is_none() && working.get("_meta").is_none(), "{working}");
            let list = client.ask("tasks/list", json!({}))["result"].clone();
            schema.check("ListTasksResult", &list);
            assert_eq!(list["tasks"], json!([working]));
            keeper.release();
            // Answered when the task has ended.
            let result = client.ask("tasks/result", json!({ "taskId": id }))["result"].clone();
            schema.check("CallToolResult", &result);
            assert_eq!(result["content"][0]["text"], "gone");
            assert_eq!(result["_meta"][RELATED], json!({ "taskId": id }));
            assert_eq!(get(client, &id)["status"], "completed");
            // As often as it is asked for.
            assert_eq!(client.ask("tasks/result", json!({ "taskId": id }))["result"], result);
            assert_eq!(code(&client.ask("tasks/cancel", json!({ "taskId": id }))), -32602);
            assert_eq!(code(&client.ask("tasks/update", json!({ "taskId": id, "inputResponses": {} }))), -32601);
        },
    );
}

#[test]
fn who_does_not_know_tasks_gets_the_result() {
    for revision in [BEFORE[0], BEFORE[1], BEFORE[2], R4, MODERN] {
        let running = serve(tasks());
        let mut peer = Peer::of(&running, revision);
        let mut params = json!({ "name": "forward", "arguments": { "text": "plain" } });
        if revision != R4 {
            // There, this means nothing.
            params["task"] = json!({ "ttl": 5 });
        }
        assert_eq!(peer.request("tools/call", params)["result"]["content"][0]["text"], "plain", "{revision}");
        assert_eq!(running.handle().status().tasks, 0);
        let refused = peer.call_error("only", json!({ "text": "plain" }));
        let expected = if revision == MODERN {
            -32021
        } else if revision == R4 {
            -32601
        } else {
            -32602
        };
        assert_eq!(refused["code"], expected, "{refused}");
        if revision == MODERN {
            let required = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
            assert_eq!(refused["data"], json!({ "requiredCapabilities": required }));
        }
        assert!(refused["message"].as_str().is_some_and(|message| !message.is_empty()), "{refused}");
    }
}

#[test]
fn the_methods_are_for_who_knows_tasks() {
    let running = serve(tasks());
    let mut web = Web::of(&running, MODERN);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        web.start(method, json!({ "taskId": "x", "inputResponses": {} }));
        let (status, answer) = web.json();
        assert_eq!((status, code(&answer)), (400, -32021), "{answer}");
    }
    let listening = json!({ "notifications": { "taskIds": ["x"] } });
    assert_eq!(code(&web.request("subscriptions/listen", listening)), -32021);
    for revision in BEFORE {
        let mut peer = Peer::of(&running, revision);
        for method in ["tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "tasks/update"] {
            assert_eq!(code(&peer.request(method, json!({ "taskId": "x" }))), -32601, "{revision} {method}");
        }
    }
    for revision in [R4, MODERN] {
        let mut peer = Peer::able(&running, revision, knowing());
        for method in ["tasks/get", "tasks/cancel", if revision == R4 { "tasks/result" } else { "tasks/update" }] {
            assert_eq!(code(&peer.request(method, json!({ "inputResponses": {} }))), -32602, "no id");
            let unknown = json!({ "taskId": "no-such-task", "inputResponses": {} });
            assert_eq!(code(&peer.request(method, unknown)), -32602);
        }
    }
    // Without a tool that can be a task, there are none.
    let running = serve(demo());
    for revision in [R4, MODERN] {
        let mut peer = Peer::able(&running, revision, knowing());
        assert_eq!(code(&peer.request("tasks/get", json!({ "taskId": "x" }))), -32601);
        let echo = peer.request("tools/call", call(revision, "echo", json!({ "text": "x" })));
        assert_eq!(echo["result"]["content"][0]["text"], "x", "the field is ignored: {echo}");
    }
}

#[test]
fn each_era_is_offered_its_own_tasks() {
    let offered = |server: Server, revision: &'static str| {
        let running = serve(server);
        let mut peer = Peer::connect(&running);
        let (result, definition) = if revision == MODERN {
            (
                peer.request("server/discover", json!({ "_meta": modern_meta(json!({})) }))["result"].clone(),
                "DiscoverResult",
            )
        } else {
            (peer.initialize(revision), "InitializeResult")
        };
        Schema::of(revision).check(definition, &result);
        if revision == MODERN {
            peer.revision = MODERN;
        }
        (result["capabilities"].clone(), peer.request("tools/list", json!({}))["result"].clone())
    };
    for revision in BEFORE.into_iter().chain([R4, MODERN]) {
        let (none, _) = offered(demo(), revision);
        assert!(none.get("tasks").is_none() && none.get("extensions").is_none(), "{none}");
        let (some, list) = offered(tasks(), revision);
        Schema::of(revision).check("ListToolsResult", &list);
        let declared = json!({ "list": {}, "cancel": {}, "requests": { "tools": { "call": {} } } });
        assert_eq!(some.get("tasks"), Some(&declared).filter(|_| revision == R4), "{revision}");
        let extension = json!({ "io.modelcontextprotocol/tasks": {} });
        assert_eq!(some.get("extensions"), Some(&extension).filter(|_| revision == MODERN), "{revision}");
        for tool in list["tools"].as_array().expect("tools") {
            let support = match tool["name"].as_str() {
                Some("only") => Some("required"),
                Some("forward" | "fails" | "breaks" | "panics" | "naps") => Some("optional"),
                _ => None,
            };
            let expected = support.filter(|_| revision == R4).map(|support| json!({ "taskSupport": support }));
            assert_eq!(tool.get("execution"), expected.as_ref(), "{revision}: {tool}");
        }
    }
}

#[test]
fn a_tool_that_is_no_task_is_none_for_anybody() {
    let running = serve(tasks());
    let mut old = Peer::of(&running, R4);
    assert_eq!(code(&old.request("tools/call", call(R4, "echo", json!({ "text": "x" })))), -32601);
    assert_eq!(code(&old.request("tools/call", json!({ "name": "forward", "task": 5 }))), -32602);
    assert_eq!(code(&old.request("tools/call", json!({ "name": "forward", "task": { "ttl": "5" } }))), -32602);
    assert_eq!(code(&old.request("tools/call", call(R4, "no-such-tool", json!({})))), -32602);
    let mut new = Peer::able(&running, MODERN, knowing());
    assert_eq!(new.call("echo", json!({ "text": "x" }))["resultType"], "complete");
    assert_eq!(running.handle().status().tasks, 0);
}

#[test]
fn failures_have_the_status_of_their_era() {
    let running = serve(tasks());
    for revision in [R4, MODERN] {
        let modern = revision == MODERN;
        let mut peer = Peer::able(&running, revision, knowing());
        let schema = Schema::of(if modern { "ext-tasks" } else { R4 });
        // What a model can read is a result of a task that was completed, or in 2025-11-25 of one that failed.
        for (tool, arguments, says) in
            [("fails", json!({}), "it did not work"), ("forward", json!({ "text": 5 }), "invalid arguments")]
        {
            let id = begin(&mut peer, revision, tool, arguments);
            let task = reach(&mut peer, &id, if modern { "completed" } else { "failed" });
            schema.check("GetTaskResult", &task);
            let result = match modern {
                true => task["result"].clone(),
                false => {
                    assert!(task["statusMessage"].as_str().is_some_and(|text| text.starts_with(says)), "{task}");
                    peer.request("tasks/result", json!({ "taskId": id }))["result"].clone()
                }
            };
            assert_eq!(result["isError"], true);
            assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.starts_with(says)), "{result}");
        }
        for (tool, code, says) in [("breaks", -5, "it broke"), ("panics", -32603, "internal error, incident")] {
            let id = begin(&mut peer, revision, tool, json!({}));
            let task = reach(&mut peer, &id, "failed");
            schema.check("GetTaskResult", &task);
            let error = match modern {
                true => task["error"].clone(),
                false => peer.request("tasks/result", json!({ "taskId": id }))["error"].clone(),
            };
            assert_eq!(error["code"], code, "{error}");
            for text in [&error["message"], &task["statusMessage"]] {
                assert!(text.as_str().is_some_and(|text| text.starts_with(says)), "{task}");
            }
        }
    }
}

#[test]
fn a_cancelled_task_stays_cancelled_and_its_handler_is_told() {
    let (events, told) = channel();
    let (turnstile, keeper) = turnstile();
    let running = serve(
        tasks()
            .tool_with(Tool::new("listens", "Stops when it is told").task(TaskSupport::Optional), move |ctx, NoArgs| {
                let _ = events.send("begun");
                let stopped = ctx.sleep(Duration::from_secs(600));
                let _ = events.send("told");
                stopped.map(|()| "slept")
            })
            .tool_with(Tool::new("stubborn", "Goes on").task(TaskSupport::Optional), move |_ctx, NoArgs| {
                turnstile.pass();
                Ok("all the same")
            }),
    );
    for revision in [R4, MODERN] {
        let mut peer = Peer::able(&running, revision, knowing());
        let id = begin(&mut peer, revision, "listens", json!({}));
        assert_eq!(told.recv_timeout(PATIENCE), Ok("begun"));
        let answer = peer.request("tasks/cancel", json!({ "taskId": id }))["result"].clone();
        if revision == R4 {
            Schema::of(R4).check("CancelTaskResult", &answer);
            assert_eq!(answer["status"], "cancelled");
            assert!(answer["statusMessage"].is_string());
            // There is no result, and there will be none.
            assert_eq!(code(&peer.request("tasks/result", json!({ "taskId": id }))), -32603);
        } else {
            Schema::of("ext-tasks").check("CancelTaskResult", &answer);
            let task = get(&mut peer, &id);
            Schema::of("ext-tasks").check("CancelledTask", &task);
            assert!(task.get("result").is_none() && task.get("error").is_none(), "{task}");
        }
        assert_eq!(told.recv_timeout(PATIENCE), Ok("told"));
        let id = begin(&mut peer, revision, "stubborn", json!({}));
        keeper.wait_entered();
        peer.request("tasks/cancel", json!({ "taskId": id }));
        keeper.release();
        until("the handler is over", || running.handle().status().tasks_in_flight == 0);
        assert_eq!(get(&mut peer, &id)["status"], "cancelled");
        let again = peer.request("tasks/cancel", json!({ "taskId": id }));
        assert_eq!(again["error"].is_null(), revision == MODERN, "{again}");
    }
}

#[test]
fn a_task_of_2026_07_28_does_not_care_for_its_connection() {
    let (turnstile, keeper) = turnstile();
    let running = serve(held(turnstile));
    for number in 0..2 {
        let id = if number == 0 {
            let mut peer = Peer::able(&running, MODERN, knowing());
            let id = begin(&mut peer, MODERN, "held", json!({ "text": "found" }));
            keeper.wait_entered();
            peer.vanish();
            id
        } else {
            let mut web = Web::able(&running, MODERN, knowing());
            let id = begin(&mut web, MODERN, "held", json!({ "text": "found" }));
            keeper.wait_entered();
            web.vanish();
            id
        };
        until("the connection is gone", || running.handle().status().connections == 0);
        keeper.release();
        let mut other = Web::able(&running, MODERN, knowing());
        assert_eq!(reach(&mut other, &id, "completed")["result"]["content"][0]["text"], "found");
        other.vanish();
        until("the other one is gone, too", || running.handle().status().connections == 0);
    }
}

#[test]
fn a_task_of_2025_11_25_ends_with_its_session() {
    let (events, told) = channel();
    let server = move || {
        let events = events.clone();
        demo().tool_with(Tool::new("waits", "Waits").task(TaskSupport::Optional), move |ctx, NoArgs| {
            let _ = events.send("begun");
            let ended = ctx.sleep(Duration::from_secs(600));
            let _ = events.send("told");
            ended.map(|()| "slept")
        })
    };
    let running = serve(server());
    let mut peer = Peer::of(&running, R4);
    begin(&mut peer, R4, "waits", json!({}));
    assert_eq!(told.recv_timeout(PATIENCE), Ok("begun"));
    peer.vanish();
    assert_eq!(told.recv_timeout(PATIENCE), Ok("told"));
    let mut web = Web::of(&running, R4);
    let id = begin(&mut web, R4, "waits", json!({}));
    assert_eq!(told.recv_timeout(PATIENCE), Ok("begun"));
    // The session outlives its connections.
    let mut again = web.again();
    web.vanish();
    assert_eq!(get(&mut again, &id)["status"], "working");
    let session = again.session.clone().expect("a session");
    again.ask("DELETE", &[("Mcp-Session-Id", &session)], "");
    assert_eq!(again.empty(), 204);
    assert_eq!(told.recv_timeout(PATIENCE), Ok("told"));
    until("nothing is kept", || running.handle().status().tasks == 0);
}

#[test]
fn the_task_id_stands_in_a_header() {
    let running = serve(tasks());
    let mut web = Web::able(&running, MODERN, knowing());
    let id = begin(&mut web, MODERN, "forward", json!({ "text": "x" }));
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let message = web.make(method, json!({ "taskId": id, "inputResponses": {} }));
        web.post(&message, &[("Mcp-Name", "another")]);
        let (status, answer) = web.json();
        assert_eq!((status, code(&answer)), (400, -32020), "{answer}");
        web.post(&message, &[]);
        assert_eq!(web.json().0, 200);
    }
}

#[test]
fn a_handler_as_a_task_has_its_layers_around_it() {
    let running =
        serve(tasks().layer(
            |request: &mcp_blocking::Request<'_>, next: mcp_blocking::Next<'_>| match request.tool() {
                Some("forward") => ToolError::denied("not today").into(),
                _ => next.run(request),
            },
        ));
    let mut peer = Peer::able(&running, MODERN, knowing());
    let id = begin(&mut peer, MODERN, "forward", json!({ "text": "x" }));
    let task = reach(&mut peer, &id, "completed");
    assert_eq!(
        (&task["result"]["isError"], &task["result"]["content"][0]["text"]),
        (&json!(true), &json!("denied: not today"))
    );
}

#[test]
fn progress_of_a_task_belongs_to_2025_11_25() {
    let (turnstile, keeper) = turnstile();
    let running =
        serve(demo().tool_with(Tool::new("counts", "Counts").task(TaskSupport::Optional), move |ctx, NoArgs| {
            turnstile.pass();
            ctx.log(mcp_blocking::LogLevel::Info, "counting");
            for done in 1..=3 {
                ctx.report(f64::from(done), Some(3.0), Some(&format!("{done} of 3")))?;
            }
            turnstile.pass();
            Ok("counted")
        }));
    for revision in [R4, MODERN] {
        let mut peer = Peer::able(&running, revision, knowing());
        let mut params = call(revision, "counts", json!({}));
        params["_meta"] = json!({ "progressToken": "t", "io.modelcontextprotocol/logLevel": "debug" });
        let answer = peer.request("tools/call", params);
        let id = answer["result"]["taskId"]
            .as_str()
            .or(answer["result"]["task"]["taskId"].as_str())
            .expect("an id")
            .to_owned();
        keeper.wait_entered();
        assert_eq!(peer.take_held(), Vec::<Value>::new(), "nothing comes before the handler runs");
        keeper.release();
        keeper.wait_entered();
        // Behind the answer to the call, in either era.
        assert_eq!(get(&mut peer, &id)["statusMessage"], "3 of 3");
        let related = json!({ RELATED: { "taskId": id } });
        let came = peer.take_held();
        let of = |method: &str| came.iter().filter(|message| message["method"] == method).collect::<Vec<_>>();
        if revision == R4 {
            let schema = Schema::of(R4);
            came.iter().for_each(|message| schema.check_message(message, None));
            let progress = of("notifications/progress");
            assert_eq!(progress.last().expect("progress")["params"]["progress"], 3);
            for message in progress.into_iter().chain(of("notifications/message")) {
                assert_eq!(message["params"]["_meta"], related, "{message}");
            }
            assert_eq!(of("notifications/message").len(), 1);
            assert!(!of("notifications/tasks/status").is_empty());
        } else {
            assert!(came.is_empty(), "{came:?}");
        }
        keeper.release();
        reach(&mut peer, &id, "completed");
    }
}
