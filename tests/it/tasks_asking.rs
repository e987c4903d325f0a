//! Questions of a task: the same handlers as anywhere, with the task in between.

use crate::demo::demo;
use crate::peer::{MODERN, PATIENCE, Peer, serve, until};
use crate::schema::Schema;
use crate::tasks::{Client, R4, RELATED, begin, call, code, get, knowing, reach};
use crate::web::Web;
use mcp_blocking::ask::{Form, Roots, Sampling};
use mcp_blocking::{Answer, NoArgs, Server, TaskSupport, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Deserialize, JsonSchema)]
struct Name {
    #[schemars(length(min = 2))]
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Sure {
    sure: bool,
}

fn tool(name: &str) -> Tool {
    Tool::new(name, "Asks").task(TaskSupport::Optional)
}

fn asking() -> Server {
    demo()
        .tool_with(tool("greet"), |ctx, NoArgs| {
            let name: Answer<Name> = ctx.ask("name", "What is your name?")?;
            let Answer::Accept(Name { name }) = name else { return Ok(format!("nobody: {}", name.action())) };
            let Sure { sure } = ctx.ask("sure", format!("Are you sure, {name}?"))?.accepted()?;
            Ok(format!("{name} is sure: {sure}"))
        })
        .tool_with(tool("three"), |ctx, NoArgs| {
            let (name, sampled, roots) = ctx.ask_all((
                Form::<Name>::new("name", "What is your name?"),
                Sampling::new("word", "Say a word"),
                Roots::new("roots"),
            ))?;
            Ok(format!("{} {} {}", name.accepted()?.name, sampled.text(), roots.len()))
        })
}

fn accept(content: Value) -> Value {
    json!({ "action": "accept", "content": content })
}

fn update(client: &mut (impl Client + ?Sized), id: &str, responses: Value) -> Value {
    client.ask("tasks/update", json!({ "taskId": id, "inputResponses": responses }))
}

/// The names of the questions that are open.
fn open(task: &Value) -> Vec<&str> {
    let open = task["inputRequests"].as_object().unwrap_or_else(|| panic!("no questions: {task}"));
    // In no order: which one it is depends on how JSON objects are kept.
    let mut names: Vec<_> = open.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_task_of_2026_07_28_carries_its_questions_and_goes_on_when_they_are_answered() {
    let schema = Schema::of("ext-tasks");
    let running = serve(asking());
    let clients: [&mut dyn Client; 2] =
        [&mut Peer::able(&running, MODERN, knowing()), &mut Web::able(&running, MODERN, knowing())];
    for client in clients {
        let id = begin(client, MODERN, "greet", json!({}));
        let asking = reach(client, &id, "input_required");
        schema.check("GetTaskResult", &asking);
        schema.check("InputRequiredTask", &asking);
        assert_eq!(open(&asking), ["name"]);
        let question = &asking["inputRequests"]["name"];
        assert_eq!((&question["method"], &question["params"]["mode"]), (&json!("elicitation/create"), &json!("form")));
        let acknowledged = update(client, &id, json!({ "name": accept(json!({ "name": "Ada" })) }))["result"].clone();
        schema.check("UpdateTaskResult", &acknowledged);
        assert_eq!(acknowledged["resultType"], "complete");
        let asking = reach(client, &id, "input_required");
        assert_eq!(open(&asking), ["sure"]);
        assert_eq!(asking["inputRequests"]["sure"]["params"]["message"], "Are you sure, Ada?");
        update(client, &id, json!({ "sure": accept(json!({ "sure": true })) }));
        assert_eq!(reach(client, &id, "completed")["result"]["content"][0]["text"], "Ada is sure: true");
        // Somebody who says no is heard as well.
        let id = begin(client, MODERN, "greet", json!({}));
        reach(client, &id, "input_required");
        update(client, &id, json!({ "name": { "action": "decline" } }));
        assert_eq!(reach(client, &id, "completed")["result"]["content"][0]["text"], "nobody: decline");
    }
}

#[test]
fn answers_may_come_one_by_one_and_have_to_fit() {
    let running = serve(asking());
    let mut peer = Peer::able(&running, MODERN, knowing());
    let id = begin(&mut peer, MODERN, "three", json!({}));
    let asking = reach(&mut peer, &id, "input_required");
    assert_eq!(open(&asking), ["name", "roots", "word"]);
    // What nobody has asked for is ignored.
    assert!(update(&mut peer, &id, json!({ "who": { "ignored": true } }))["error"].is_null());
    assert_eq!(get(&mut peer, &id)["inputRequests"], asking["inputRequests"]);
    // What does not fit is refused, and with it all that came with it.
    for wrong in [
        json!({ "roots": { "roots": [] }, "name": 5 }),
        json!({ "roots": { "roots": [] }, "name": accept(json!({ "name": "A" })) }),
        json!({ "roots": { "roots": [] }, "name": accept(json!({})) }),
        json!({ "word": { "role": "assistant" } }),
        json!({ "roots": { "roots": [{ "uri": "http://x" }] } }),
        json!(5),
    ] {
        assert_eq!(code(&update(&mut peer, &id, wrong.clone())), -32602, "{wrong}");
        assert_eq!(open(&get(&mut peer, &id)).len(), 3, "{wrong}");
    }
    assert_eq!(code(&peer.request("tasks/update", json!({ "taskId": id }))), -32602);
    update(&mut peer, &id, json!({ "name": accept(json!({ "name": "Ada", "more": 1 })) }));
    assert_eq!(open(&get(&mut peer, &id)), ["roots", "word"]);
    // An answer stays: a second one is ignored.
    update(&mut peer, &id, json!({ "roots": { "roots": [] }, "name": accept(json!({ "name": "Bob" })) }));
    let task = get(&mut peer, &id);
    assert_eq!((open(&task), &task["status"]), (vec!["word"], &json!("input_required")));
    let sampled = json!({ "role": "assistant", "content": { "type": "text", "text": "so" }, "model": "m" });
    update(&mut peer, &id, json!({ "word": sampled }));
    assert_eq!(reach(&mut peer, &id, "completed")["result"]["content"][0]["text"], "Ada so 0");
    assert!(update(&mut peer, &id, json!({ "word": sampled }))["error"].is_null(), "it has ended");
}

#[test]
fn what_a_task_remembers_is_done_once_and_no_name_of_a_question_is_used_twice() {
    let (runs, orders) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, order) = (Arc::clone(&runs), Arc::clone(&orders));
    let running = serve(demo().tool_with(tool("order"), move |ctx, NoArgs| {
        let run = count.fetch_add(1, Ordering::SeqCst);
        let flow = ctx.flow_id()?;
        let known: String = ctx.remember("order", || {
            order.fetch_add(1, Ordering::SeqCst);
            Ok(flow.clone())
        })?;
        assert_eq!(known, flow, "the flow is the same through all runs");
        // Its text changes between the runs, so that its answer does not count.
        let text = if run < 2 { "First text" } else { "Second text" };
        let Name { name } = ctx.ask("name", text)?.accepted()?;
        ctx.once()?;
        let Sure { sure } = ctx.ask("sure", "Sure?")?.accepted()?;
        ctx.once()?;
        Ok(format!("{name} {sure}"))
    }));
    let mut peer = Peer::able(&running, MODERN, knowing());
    let id = begin(&mut peer, MODERN, "order", json!({}));
    reach(&mut peer, &id, "input_required");
    update(&mut peer, &id, json!({ "name": accept(json!({ "name": "Ada" })) }));
    let asking = reach(&mut peer, &id, "input_required");
    assert_eq!(open(&asking), ["sure"]);
    update(&mut peer, &id, json!({ "sure": accept(json!({ "sure": true })) }));
    let asking = reach(&mut peer, &id, "input_required");
    let [again] = open(&asking)[..] else { panic!("{asking}") };
    assert_ne!(again, "name");
    assert_eq!(asking["inputRequests"][again]["params"]["message"], "Second text");
    // The old name means nothing any more.
    update(&mut peer, &id, json!({ "name": accept(json!({ "name": "Eve" })) }));
    let mut responses = json!({});
    responses[again] = accept(json!({ "name": "Bob" }));
    update(&mut peer, &id, responses);
    // The answer to the other question was given in a run that did not come to it, and holds.
    assert_eq!(reach(&mut peer, &id, "completed")["result"]["content"][0]["text"], "Bob true");
    assert_eq!((runs.load(Ordering::SeqCst), orders.load(Ordering::SeqCst)), (4, 1));
}

#[test]
fn a_task_of_2025_11_25_asks_over_its_connection() {
    let schema = Schema::of(R4);
    let running = serve(asking());
    let mut peer = Peer::able(&running, R4, knowing());
    let id = begin(&mut peer, R4, "greet", json!({}));
    let related = json!({ RELATED: { "taskId": id } });
    for (message, content) in
        [("What is your name?", json!({ "name": "Ada" })), ("Are you sure, Ada?", json!({ "sure": true }))]
    {
        told(&mut peer, "input_required");
        let question = peer.notice("elicitation/create");
        schema.check("ElicitRequest", &question);
        assert_eq!((&question["params"]["message"], &question["params"]["_meta"]), (&json!(message), &related));
        let task = get(&mut peer, &id);
        schema.check("GetTaskResult", &task);
        assert_eq!(task["status"], "input_required");
        peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": accept(content) }));
    }
    let result = peer.request("tasks/result", json!({ "taskId": id }))["result"].clone();
    assert_eq!((&result["content"][0]["text"], &result["_meta"]), (&json!("Ada is sure: true"), &related));
    told(&mut peer, "completed");
}

/// Waits until the client of a session is told of that status. A newer notice may have taken the place of one that waited.
#[track_caller]
fn told(peer: &mut Peer, status: &str) {
    loop {
        let notice = peer.notice("notifications/tasks/status");
        Schema::of(R4).check_message(&notice, None);
        assert_eq!(notice["params"].get("_meta"), None);
        if notice["params"]["status"] == status {
            return;
        }
        assert_eq!(notice["params"]["status"], "working");
    }
}

#[test]
fn over_http_a_task_of_2025_11_25_asks_who_waits_for_its_result() {
    let running = serve(asking());
    let mut web = Web::able(&running, R4, knowing());
    let mut other = web.again();
    let id = begin(&mut web, R4, "greet", json!({}));
    // Nobody has opened a stream: the first question waits for whoever asks for the result.
    reach(&mut web, &id, "input_required");
    let waiting = web.start("tasks/result", json!({ "taskId": id }));
    let head = web.head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    for content in [json!({ "name": "Ada" }), json!({ "sure": true })] {
        let question = loop {
            let message = web.event().expect("a message");
            if message["method"] == "elicitation/create" {
                break message;
            }
        };
        assert_eq!(question["params"]["_meta"][RELATED]["taskId"], id.as_str());
        other.post(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": accept(content) }), &[]);
        assert_eq!(other.empty(), 202);
    }
    let answer = std::iter::from_fn(|| web.event()).last().expect("an answer");
    assert_eq!((&answer["id"], &answer["result"]["content"][0]["text"]), (&waiting, &json!("Ada is sure: true")));
}

#[test]
fn over_http_a_task_of_2025_11_25_asks_on_the_open_stream() {
    let running = serve(asking());
    let mut web = Web::able(&running, R4, knowing());
    let mut stream = web.again();
    let session = web.session.clone().expect("a session");
    stream.ask("GET", &[("Mcp-Session-Id", &session), ("Accept", "text/event-stream")], "");
    assert_eq!(stream.head().status, 200);
    let id = begin(&mut web, R4, "greet", json!({}));
    let mut seen = Vec::new();
    for content in [json!({ "name": "Ada" }), json!({ "sure": true })] {
        let question = loop {
            let message = stream.event().expect("a message");
            match message["method"].as_str() {
                Some("elicitation/create") => break message,
                Some("notifications/tasks/status") => seen.push(message["params"]["status"].clone()),
                _ => panic!("{message}"),
            }
        };
        web.post(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": accept(content) }), &[]);
        assert_eq!(web.empty(), 202);
    }
    while seen.last() != Some(&json!("completed")) {
        seen.push(stream.event().expect("a message")["params"]["status"].clone());
    }
    assert_eq!(seen.first(), Some(&json!("input_required")));
    assert_eq!(
        web.request("tasks/result", json!({ "taskId": id }))["result"]["content"][0]["text"],
        "Ada is sure: true"
    );
}

#[test]
fn a_client_that_cannot_be_asked_is_an_error_of_the_task() {
    let running = serve(asking());
    let mut new = Peer::able(&running, MODERN, json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }));
    let id = begin(&mut new, MODERN, "greet", json!({}));
    assert_eq!(reach(&mut new, &id, "failed")["error"]["code"], -32021);
    let mut old = Peer::of(&running, R4);
    let id = begin(&mut old, R4, "greet", json!({}));
    assert!(reach(&mut old, &id, "failed")["statusMessage"].as_str().expect("why").contains("elicitation"));
}

/// A tool that asks before there is a task, and in it.
fn printing(runs: &Arc<AtomicUsize>) -> Server {
    let runs = Arc::clone(runs);
    demo().tool_with(Tool::new("print", "Prints").task(TaskSupport::Required).detaches(), move |ctx, NoArgs| {
        let Answer::Accept(Name { name }) = ctx.ask("name", "Whose?")? else { return Ok("nothing to print".into()) };
        let order: usize = ctx.remember("order", || Ok(runs.fetch_add(1, Ordering::SeqCst)))?;
        ctx.detach()?;
        assert!(ctx.is_task());
        let Sure { sure } = ctx.ask("sure", "Sure?")?.accepted()?;
        Ok(format!("{name} {sure} {order}"))
    })
}

#[test]
fn what_has_to_be_known_first_is_asked_before_there_is_a_task() {
    let runs = Arc::new(AtomicUsize::new(0));
    let running = serve(printing(&runs));
    let mut web = Web::able(&running, MODERN, knowing());
    let round = web.call("print", json!({}));
    Schema::of(MODERN).check("InputRequiredResult", &round);
    assert!(round.get("taskId").is_none());
    let handle = running.handle();
    assert_eq!((handle.status().tasks, runs.load(Ordering::SeqCst)), (0, 0));
    let mut params = json!({ "name": "print", "arguments": {}, "requestState": round["requestState"] });
    params["inputResponses"] = json!({ "name": accept(json!({ "name": "Ada" })) });
    let created = web.request("tools/call", params.clone())["result"].clone();
    Schema::of("ext-tasks").check("CreateTaskResult", &created);
    assert!(created.get("requestState").is_none() && created.get("inputRequests").is_none(), "{created}");
    let id = created["taskId"].as_str().expect("an id");
    let asking = reach(&mut web, id, "input_required");
    assert_eq!((open(&asking), asking.get("requestState")), (vec!["sure"], None));
    update(&mut web, id, json!({ "sure": accept(json!({ "sure": true })) }));
    assert_eq!(reach(&mut web, id, "completed")["result"]["content"][0]["text"], "Ada true 0");
    assert_eq!(runs.load(Ordering::SeqCst), 1, "it is remembered");
    // Without a task after all.
    params["inputResponses"] = json!({ "name": { "action": "decline" } });
    let answer = web.request("tools/call", params)["result"].clone();
    assert_eq!(
        (&answer["resultType"], &answer["content"][0]["text"]),
        (&json!("complete"), &json!("nothing to print"))
    );
    assert_eq!(handle.status().tasks, 1);
}

#[test]
fn a_task_that_a_client_of_2025_11_25_asks_for_begins_at_once() {
    let running = serve(printing(&Arc::default()));
    let mut peer = Peer::able(&running, R4, knowing());
    let id = begin(&mut peer, R4, "print", json!({}));
    for content in [json!({ "name": "Ada" }), json!({ "sure": true })] {
        let question = peer.notice("elicitation/create");
        peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": accept(content) }));
    }
    let result = peer.request("tasks/result", json!({ "taskId": id }));
    assert_eq!(result["result"]["content"][0]["text"], "Ada true 0");
}

#[test]
fn a_guard_against_repetition_holds_in_a_task_too() {
    let running =
        serve(demo().tool_with(Tool::new("pay", "Pays").task(TaskSupport::Required).detaches(), |ctx, NoArgs| {
            let Name { name } = ctx.ask("name", "Who pays?")?.accepted()?;
            ctx.detach()?;
            ctx.once()?;
            let Sure { sure } = ctx.ask("sure", "Sure?")?.accepted()?;
            Ok(format!("{name} has paid: {sure}"))
        }));
    let mut peer = Peer::able(&running, MODERN, knowing());
    let round = peer.call("pay", json!({}));
    let mut params = json!({ "name": "pay", "arguments": {}, "requestState": round["requestState"] });
    params["inputResponses"] = json!({ "name": accept(json!({ "name": "Ada" })) });
    let mut ids = [(); 2].map(|()| {
        let created = peer.request("tools/call", params.clone())["result"].clone();
        created["taskId"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
    });
    // Either of them is the first.
    until("both have gone as far as they can", || running.handle().status().tasks_in_flight == 0);
    ids.sort_by_key(|id| get(&mut peer, id)["status"] == "failed");
    let [first, second] = ids;
    assert_eq!(get(&mut peer, &second)["error"]["code"], -32602);
    update(&mut peer, &first, json!({ "sure": accept(json!({ "sure": true })) }));
    assert_eq!(reach(&mut peer, &first, "completed")["result"]["content"][0]["text"], "Ada has paid: true");
}

#[test]
fn a_state_that_was_changed_is_an_error_of_the_call() {
    let running = serve(asking());
    let mut peer = Peer::able(&running, MODERN, knowing());
    let mut params = call(MODERN, "greet", json!({}));
    params["requestState"] = json!("v1.made-up");
    assert_eq!(code(&peer.request("tools/call", params)), -32602);
    assert_eq!(running.handle().status().tasks, 0);
    // Answers that come with the call itself count.
    let mut params = call(MODERN, "greet", json!({}));
    params["inputResponses"] = json!({ "name": accept(json!({ "name": "Ada" })) });
    let id = peer.request("tools/call", params)["result"]["taskId"].as_str().expect("a task").to_owned();
    assert_eq!(open(&reach(&mut peer, &id, "input_required")), ["sure"]);
}

#[test]
fn a_question_that_is_open_at_the_end_of_a_session_holds_nothing_up() {
    let running = serve(asking());
    let mut peer = Peer::able(&running, R4, knowing());
    begin(&mut peer, R4, "greet", json!({}));
    peer.notice("elicitation/create");
    peer.vanish();
    until("the handler is over", || running.handle().status().tasks_in_flight == 0);
    let mut modern = Peer::able(&running, MODERN, knowing());
    let id = begin(&mut modern, MODERN, "greet", json!({}));
    reach(&mut modern, &id, "input_required");
    assert_eq!(running.handle().status().workers_parked, 0, "nobody waits");
    running.shutdown(PATIENCE).expect("a clean end");
}
