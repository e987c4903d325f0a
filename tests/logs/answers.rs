//! What a client says when it is asked, and what it says of tasks.

use super::server;
use crate::corpus::each;
use crate::peer::{LEGACY, MODERN, Peer, serve, until};
use mcp_blocking::ask::{Form, Roots, Sampling};
use mcp_blocking::{NoArgs, Running, TaskSupport, Tool, ToolResult};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

fn start() -> Running {
    let tool =
        Tool::new("ask", "Asks all that can be asked, and panics with what is answered").task(TaskSupport::Optional);
    serve(server().tool_with(tool, |ctx, NoArgs| -> ToolResult<String> {
        let (name, sampled, roots) = ctx.ask_all((
            Form::<Name>::new("name", "What is your name?"),
            Sampling::new("word", "Say a word"),
            Roots::new("roots"),
        ))?;
        let name = name.accepted()?.name;
        // What panics is printed by the standard library, too.
        panic!("told {name:.200} {:.200} {:.200}", sampled.text(), roots[0].name.as_deref().unwrap_or_default())
    }))
}

fn capabilities() -> Value {
    json!({
        "extensions": { "io.modelcontextprotocol/tasks": {} },
        "elicitation": { "form": {} }, "sampling": {}, "roots": {},
    })
}

/// Good answers with that text in them: to a form, from a model, of folders.
fn good(text: &str) -> [Value; 3] {
    [
        json!({ "action": "accept", "content": { "name": text }, "_meta": { text: text } }),
        json!({ "role": "assistant", "model": text, "stopReason": text, "content": { "type": "text", "text": text } }),
        json!({ "roots": [{ "uri": "file:///a", "name": text }] }),
    ]
}

/// Bad ones.
fn bad(text: &str) -> [[Value; 3]; 3] {
    [
        [
            json!({ "action": text, "content": text }),
            json!({ "role": text, "content": { "type": text, text: text } }),
            json!({ "roots": text }),
        ],
        [
            json!({ "action": "accept", "content": { text: text } }),
            json!({ "role": "assistant", "model": text, "content": [{ "type": text }] }),
            json!({ "roots": [{ "uri": text, "name": text }] }),
        ],
        [(); 3].map(|()| json!({ text: { text: text } })),
    ]
}

fn all(text: &str) -> impl Iterator<Item = [Value; 3]> {
    bad(text).into_iter().chain([good(text)])
}

/// Which of the answers a question is for.
fn place(question: &Value) -> usize {
    match question["method"].as_str() {
        Some("elicitation/create") => 0,
        Some("sampling/createMessage") => 1,
        Some("roots/list") => 2,
        _ => panic!("no question: {question}"),
    }
}

/// Waits for the answer to a call; what is asked until then is answered with that.
fn play(peer: &mut Peer, id: &Value, answer: impl Fn(usize) -> Value) {
    loop {
        let message = peer.next();
        if message["id"] == *id && message["method"].is_null() {
            return;
        }
        if !message["id"].is_null() {
            let mut response = answer(place(&message));
            response["jsonrpc"] = json!("2.0");
            response["id"] = message["id"].clone();
            peer.send(&response);
        }
    }
}

#[test]
fn answers_to_questions_stay_on_their_line() {
    each(
        start,
        |running, _, text| {
            for revision in [LEGACY[2], LEGACY[3]] {
                let mut peer = Peer::able(running, revision, capabilities());
                for answers in all(text) {
                    let id = peer.start_call("ask", json!({}));
                    play(&mut peer, &id, |place| json!({ "result": answers[place] }));
                }
                let id = peer.start_call("ask", json!({}));
                play(&mut peer, &id, |_| json!({ "error": { "code": -1, "message": text, "data": { text: text } } }));
            }
            let mut peer =
                Peer::able(running, MODERN, json!({ "elicitation": { "form": {} }, "sampling": {}, "roots": {} }));
            for [name, word, roots] in all(text) {
                let state = peer.call("ask", json!({}))["requestState"].clone();
                let responses = json!({ "name": name, "word": word, "roots": roots, text: { text: text } });
                let params =
                    json!({ "name": "ask", "arguments": {}, "requestState": state, "inputResponses": responses });
                peer.request("tools/call", params);
            }
        },
        &["told \\u{202e}evil", "told password=[redacted]"],
    );
}

#[test]
fn what_is_said_of_tasks_stays_on_its_line() {
    each(
        start,
        |running, _, text| {
            let mut peer = Peer::able(running, MODERN, capabilities());
            for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
                peer.request(method, json!({ "taskId": text, text: text, "inputResponses": { text: text } }));
            }
            for answers in all(text) {
                let id = peer.call("ask", json!({}))["taskId"].clone();
                let mut ask = |method: &str, params: Value| peer.request(method, params)["result"].clone();
                until("it asks", || ask("tasks/get", json!({ "taskId": id }))["status"] == "input_required");
                ask("tasks/update", json!({ "taskId": id, "inputResponses": { text: { text: text } } }));
                let [name, word, roots] = answers;
                ask(
                    "tasks/update",
                    json!({ "taskId": id, "inputResponses": { "name": name, "word": word, "roots": roots } }),
                );
                ask("tasks/cancel", json!({ "taskId": id, "reason": text }));
            }
            let mut session = Peer::able(running, LEGACY[3], capabilities());
            for peer in [&mut peer, &mut session] {
                for method in
                    ["notifications/tasks", "notifications/tasks/status", "notifications/elicitation/complete"]
                {
                    let task = json!({ "taskId": text, "status": text, "statusMessage": text, "elicitationId": text });
                    peer.notify(method, task);
                }
                peer.barrier();
            }
            for method in ["tasks/get", "tasks/result", "tasks/list", "tasks/cancel"] {
                session.request(method, json!({ "taskId": text, "cursor": text }));
            }
            session
                .request("tools/call", json!({ "name": "ask", "arguments": {}, "task": { "ttl": text, text: text } }));
        },
        &["task "],
    );
}
