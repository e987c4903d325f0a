//! The policy `confirm`: the user is asked before something is destroyed.

use crate::ask::play_with;
use crate::caller::said;
use crate::neighbor::{beside, exposed};
use crate::peer::{ALL, MODERN, Peer, serve};
use crate::tasks::{R4, begin, knowing, reach};
use crate::web::Web;
use mcp_blocking::testing::ClientError;
use mcp_blocking::{
    Answer, Ctx, Era, Next, NoArgs, Reply, Request, Running, Server, Settings, TaskSupport, TextAction, TextPolicy,
    Tool, ToolResult,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the question is known by.
const KEY: &str = "mcp-blocking/confirm";
/// The revisions with forms.
const WITH_FORMS: [&str; 3] = ["2025-06-18", R4, MODERN];
const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

#[derive(Deserialize, JsonSchema)]
struct Path {
    path: String,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// How often each tool has run.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A handler that is counted.
    fn handler<A, F>(&self, of: F) -> impl Fn(&Ctx, A) -> ToolResult<String> + Send + Sync + use<A, F>
    where
        F: Fn(A) -> String + Send + Sync,
    {
        let runs = self.clone();
        move |_ctx, arguments| {
            runs.0.fetch_add(1, Ordering::SeqCst);
            Ok(of(arguments))
        }
    }
}

fn disk(settings: Settings) -> (Server, Runs) {
    let runs = Runs::default();
    let gone = |NoArgs| "gone".to_owned();
    let server = Server::new("disk", "1.0.0")
        .settings(settings)
        .tool_with(Tool::new("wipe", "Deletes").destructive(), runs.handler(|Path { path }| format!("wiped {path}")))
        .tool_with(Tool::new("quick", "Deletes at once").destructive().quick(), runs.handler(gone))
        .tool_with(Tool::new("trusted", "Deletes").destructive().without_confirmation(), runs.handler(gone))
        .tool_with(Tool::new("reads", "Says both").destructive().read_only(), runs.handler(gone))
        .tool_with(Tool::new("adds", "Adds").additive(), runs.handler(gone))
        .tool_with(Tool::new("mail", "Sends a mail").confirm(), runs.handler(gone))
        .tool("plain", "Says nothing of itself", runs.handler(gone));
    (server, runs)
}

fn asking() -> Settings {
    Settings::new().confirm_destructive()
}

fn able() -> Value {
    json!({ "elicitation": { "form": {} } })
}

fn yes() -> Value {
    json!({ "action": "accept", "content": { "run": true } })
}

/// Calls a tool over HTTP and answers its questions; the answer, a whole message.
fn play_web(web: &mut Web, mut params: Value, answer: impl Fn(&Value) -> Value) -> Value {
    loop {
        web.start("tools/call", params.clone());
        let head = web.head();
        if web.revision == MODERN {
            let message = web.messages(&head).pop().expect("an answer");
            if message["result"]["resultType"] != "input_required" {
                return message;
            }
            let mut responses = json!({});
            for (key, request) in message["result"]["inputRequests"].as_object().expect("questions") {
                responses[key] = answer(&request["params"]);
            }
            params["inputResponses"] = responses;
            params["requestState"] = message["result"]["requestState"].clone();
            continue;
        }
        if head.header("content-type") != Some("text/event-stream") {
            return web.messages(&head).pop().expect("an answer");
        }
        let mut last = None;
        while let Some(message) = web.event() {
            if message["method"].is_string() {
                let mut other = web.again();
                other
                    .post(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": answer(&message["params"]) }), &[]);
                assert_eq!(other.empty(), 202);
            } else {
                last = Some(message);
            }
        }
        return last.expect("an answer");
    }
}

/// Calls a tool over each transport in each revision that has forms, answers what is asked, and looks at what came of it.
fn everywhere(running: &Running, params: &Value, answer: impl Fn(&Value) -> Value, look: impl Fn(&str, &Value)) {
    for revision in WITH_FORMS {
        let mut peer = Peer::able(running, revision, able());
        look(revision, &play_with(&mut peer, params.clone(), |_, question| answer(question)));
        let mut web = Web::able(running, revision, able());
        look(revision, &play_web(&mut web, params.clone(), &answer));
    }
}

#[test]
fn the_user_is_shown_what_would_be_done_and_it_is_done_once_when_they_agree() {
    let anything = TextPolicy::all(TextAction::Allow);
    let (server, runs) = disk(asking().text_in(anything).text_out(anything));
    let running = serve(server);
    let params = json!({ "name": "wipe", "arguments": { "path": "/home\n\u{202e}" } });
    let questions = AtomicUsize::new(0);
    let agree = |question: &Value| {
        questions.fetch_add(1, Ordering::SeqCst);
        let message = question["message"].as_str().expect("a message");
        assert!(message.contains("wipe") && message.contains(r#"path: "/home\n\u{202e}""#), "{message}");
        assert_eq!(question["requestedSchema"]["required"], json!(["run"]), "{question}");
        yes()
    };
    let done = AtomicUsize::new(0);
    everywhere(&running, &params, agree, |revision, answer| {
        assert_eq!(said(answer), "wiped /home\n\u{202e}", "{revision}: {answer}");
        assert_eq!(runs.count(), done.fetch_add(1, Ordering::SeqCst) + 1);
    });
    assert_eq!(questions.load(Ordering::SeqCst), 6);
}

#[test]
fn whoever_does_not_agree_is_told_that_nothing_was_done() {
    let (server, runs) = disk(asking());
    let running = exposed(server);
    let _honest = beside(&running);
    let params = json!({ "name": "wipe", "arguments": { "path": "/" } });
    let refusals = [
        (json!({ "action": "decline" }), "denied: the user declined, and wipe was not run"),
        (json!({ "action": "accept", "content": { "run": false } }), "denied: the user declined, and wipe was not run"),
        (json!({ "action": "cancel" }), "denied: the user did not answer, and wipe was not run"),
    ];
    for (refusal, text) in refusals {
        everywhere(
            &running,
            &params,
            |_| refusal.clone(),
            |revision, answer| {
                assert_eq!((said(answer).as_str(), &answer["result"]["isError"]), (text, &json!(true)), "{revision}");
            },
        );
    }
    // What says neither is no answer.
    for wrong in [json!({ "action": "accept" }), json!({ "action": "accept", "content": { "run": "true" } }), json!({})]
    {
        everywhere(
            &running,
            &params,
            |_| wrong.clone(),
            |revision, answer| {
                assert!(!answer["error"].is_null() || answer["result"]["isError"] == true, "{revision}: {answer}");
            },
        );
    }
    assert_eq!(runs.count(), 0);
}

#[test]
fn only_what_destroys_is_asked_about_and_each_tool_can_say_otherwise() {
    let asked = |settings: Settings, tool: &str, era| {
        let client = disk(settings).0.in_memory().in_era(era);
        match client.call(tool, json!({ "path": "/" })) {
            Ok(_) => false,
            Err(ClientError::Unanswered { question, .. }) => {
                assert_eq!(question, KEY);
                true
            }
            Err(error) => panic!("{tool}: {error}"),
        }
    };
    for era in ERAS {
        for (tool, by_policy, always) in [
            ("wipe", true, false),
            ("quick", true, false),
            ("trusted", false, false),
            ("reads", false, false),
            ("adds", false, false),
            ("plain", false, false),
            ("mail", true, true),
        ] {
            assert_eq!(asked(asking(), tool, era), by_policy, "{tool}");
            assert_eq!(asked(Settings::new(), tool, era), always, "{tool}");
        }
    }
}

#[test]
fn a_client_that_cannot_ask_its_user_is_refused() {
    let (server, runs) = disk(asking());
    let running = exposed(server);
    let _honest = beside(&running);
    for revision in ALL {
        let mut peer = Peer::able(&running, revision, json!({ "sampling": {}, "elicitation": { "url": {} } }));
        let answer = peer.request("tools/call", json!({ "name": "wipe", "arguments": { "path": "/" } }));
        if revision == MODERN {
            assert_eq!(answer["error"]["code"], -32021, "{answer}");
            assert_eq!(answer["error"]["data"]["requiredCapabilities"], able());
        } else {
            assert_eq!(answer["result"]["isError"], true, "{revision}: {answer}");
            assert!(said(&answer).contains("this client cannot ask"), "{answer}");
        }
        // The others are there for it.
        assert_eq!(said(&json!({ "result": peer.call("adds", json!({})) })), "gone");
    }
    assert_eq!(runs.count(), ALL.len());
}

#[test]
fn an_answer_counts_for_the_call_that_was_asked_about_and_once() {
    let (server, runs) = disk(asking());
    let running = exposed(server);
    let _honest = beside(&running);
    let mut web = Web::able(&running, MODERN, able());
    let call = |path: &str| json!({ "name": "wipe", "arguments": { "path": path } });
    let with = |mut params: Value, state: Option<&Value>| {
        params["inputResponses"] = json!({ KEY: yes() });
        if let Some(state) = state {
            params["requestState"] = state.clone();
        }
        params
    };
    // Before anybody has asked.
    let asked = web.request("tools/call", with(call("/tmp/a"), None));
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let state = asked["result"]["requestState"].clone();
    // For something else: other arguments, another tool, a state of one's own making.
    for other in [
        with(call("/"), Some(&state)),
        with(json!({ "name": "mail", "arguments": { "path": "/tmp/a" } }), Some(&state)),
    ] {
        let refused = web.request("tools/call", other);
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    assert_eq!(web.request("tools/call", with(call("/tmp/a"), Some(&json!("made up"))))["error"]["code"], -32602);
    assert_eq!(runs.count(), 0);
    // For what it was asked, in whatever order its members come; and not twice.
    assert_eq!(said(&web.request("tools/call", with(call("/tmp/a"), Some(&state)))), "wiped /tmp/a");
    let again = web.request("tools/call", with(call("/tmp/a"), Some(&state)));
    assert!(said(&again).contains("has been used"), "{again}");
    assert_eq!(runs.count(), 1);
    // An honest client asks once more.
    assert_eq!(said(&play_web(&mut web, call("/tmp/a"), |_| yes())), "wiped /tmp/a");
}

#[test]
fn questions_of_the_handler_come_behind_and_one_consent_is_one_run() {
    let runs = Runs::default();
    let count = runs.clone();
    let server = || {
        let count = count.clone();
        Server::new("disk", "1.0.0").settings(asking()).tool_with(
            Tool::new("wipe", "Deletes").destructive(),
            move |ctx, NoArgs| {
                let Answer::Accept(Name { name }) = ctx.ask("name", "Who are you?")? else {
                    return Ok("nobody".into());
                };
                // Twice is once in the same run.
                ctx.once()?;
                ctx.once()?;
                count.0.fetch_add(1, Ordering::SeqCst);
                Ok(format!("wiped for {name}"))
            },
        )
    };
    for era in ERAS {
        let client = || server().in_memory().in_era(era);
        let wiped =
            client().answer(KEY, json!({ "run": true })).answer("name", json!({ "name": "Ada" })).call("wipe", ());
        assert_eq!(wiped.expect("a result"), "wiped for Ada");
        let declined =
            client().decline(KEY).answer("name", json!({ "name": "Ada" })).call("wipe", ()).expect("a result");
        assert!(declined.is_error() && declined.text().contains("the user declined"));
    }
    assert_eq!(runs.count(), 2);
    // The last round cannot be repeated, either.
    let running = serve(server());
    let mut peer = Peer::able(&running, MODERN, able());
    let call = |peer: &mut Peer, last: &Value, responses: Value| {
        let state = &last["result"]["requestState"];
        peer.request(
            "tools/call",
            json!({ "name": "wipe", "arguments": {}, "requestState": state, "inputResponses": responses }),
        )
    };
    let first = peer.request("tools/call", json!({ "name": "wipe", "arguments": {} }));
    let second = call(&mut peer, &first, json!({ KEY: yes() }));
    assert!(second["result"]["inputRequests"]["name"].is_object(), "{second}");
    let name = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    assert_eq!(said(&call(&mut peer, &second, name.clone())), "wiped for Ada");
    assert!(said(&call(&mut peer, &second, name)).contains("has been used"));
    assert_eq!(runs.count(), 3);
}

#[test]
fn a_question_of_the_handler_with_the_same_key_is_a_mistake_and_runs_nothing() {
    let server = Server::new("disk", "1.0.0").settings(asking()).tool_with(
        Tool::new("wipe", "Deletes").destructive(),
        |ctx, NoArgs| {
            let _: Answer<Name> = ctx.ask(KEY, "Who are you?")?;
            Ok("not reached")
        },
    );
    let called = server.in_memory().answer(KEY, json!({ "run": true })).call("wipe", ()).expect("a result");
    assert!(called.is_error() && called.text().contains("two different questions"), "{called:?}");
}

#[test]
fn a_task_asks_before_its_handler_runs() {
    let tool = |name: &str| Tool::new(name, "Deletes").destructive().task(TaskSupport::Optional);
    let runs = Runs::default();
    let server = || {
        let detaching = runs.clone();
        Server::new("disk", "1.0.0")
            .settings(asking())
            .tool_with(tool("wipe"), runs.handler(|NoArgs| "wiped".into()))
            .tool_with(tool("later").detaches(), move |ctx, NoArgs| {
                ctx.detach()?;
                assert!(ctx.is_task());
                detaching.0.fetch_add(1, Ordering::SeqCst);
                Ok("wiped later")
            })
    };
    let agreed = |era| server().in_memory().in_era(era).tasks().answer(KEY, json!({ "run": true }));
    for (number, era) in ERAS.into_iter().enumerate() {
        assert_eq!(agreed(era).call("wipe", ()).expect("a result"), "wiped");
        assert_eq!(agreed(era).call("later", ()).expect("a result"), "wiped later");
        let declined = server().in_memory().in_era(era).tasks().decline(KEY).call("wipe", ());
        // 2025-11-25 has a task fail whose result is a failure.
        assert!(declined.expect("a result").is_error());
        assert_eq!(runs.count(), 2 * number + 2);
    }
    // It says that it waits, and takes no answer for its question from the call that began it.
    let running = serve(server());
    let mut peer = Peer::able(&running, MODERN, knowing());
    let created =
        peer.request("tools/call", json!({ "name": "wipe", "arguments": {}, "inputResponses": { KEY: yes() } }));
    let id = created["result"]["taskId"].as_str().expect("a task").to_owned();
    let waiting = reach(&mut peer, &id, "input_required");
    assert!(waiting["inputRequests"][KEY].is_object(), "{waiting}");
    peer.request("tasks/update", json!({ "taskId": id, "inputResponses": { KEY: yes() } }));
    assert_eq!(reach(&mut peer, &id, "completed")["result"]["content"][0]["text"], "wiped");
    let id = begin(&mut peer, MODERN, "wipe", json!({}));
    reach(&mut peer, &id, "input_required");
    peer.request("tasks/update", json!({ "taskId": id, "inputResponses": { KEY: { "action": "decline" } } }));
    assert_eq!(reach(&mut peer, &id, "completed")["result"]["isError"], true);
    assert_eq!(runs.count(), 5);
}

#[test]
fn a_quick_tool_waits_for_its_user_on_the_pool() {
    let (server, runs) = disk(asking());
    let running = serve(server);
    for revision in WITH_FORMS {
        let mut peer = Peer::able(&running, revision, able());
        assert_eq!(said(&play_with(&mut peer, json!({ "name": "quick", "arguments": {} }), |_, _| yes())), "gone");
    }
    assert_eq!(runs.count(), WITH_FORMS.len());
}

#[test]
fn nobody_is_asked_about_arguments_that_do_not_fit() {
    for era in ERAS {
        let (server, runs) = disk(asking());
        let called = server.in_memory().in_era(era).call("wipe", json!({ "path": 5 })).expect("a result");
        assert!(called.is_error() && called.text().contains("/path"), "{called:?}");
        assert_eq!(runs.count(), 0);
    }
}

#[test]
fn nobody_is_asked_about_what_cannot_be_shown() {
    for era in ERAS {
        let (server, runs) = disk(asking());
        let client = server.in_memory().in_era(era);
        let many: serde_json::Map<_, _> = (0..20).map(|n| (format!("a{n}"), json!(n))).collect();
        let mut crowd = Value::Object(many);
        crowd["path"] = json!("/");
        for (arguments, why) in
            [(crowd, "21 arguments"), (json!({ "path": "x".repeat(2_001) }), "the argument path is longer")]
        {
            let called = client.call("wipe", arguments).expect("a result");
            assert!(called.is_error() && called.text().contains(why), "{called:?}");
            assert!(called.text().contains("too much to be shown to the user"), "{called:?}");
        }
        let error = client.call("wipe", json!({ "path": "cookie: x; rm -rf ~" })).expect_err("it is asked");
        let ClientError::Unanswered { message, .. } = error else { panic!("{error}") };
        assert!(message.contains("cookie: x; rm -rf ~"), "{message}");
        assert_eq!(runs.count(), 0);
    }
}

#[test]
fn what_is_shown_is_what_a_layer_has_made_of_it() {
    for era in ERAS {
        let (server, _) = disk(asking());
        let server = server.layer(|request: &Request<'_>, next: Next<'_>| -> Reply {
            match request.with_arguments(&json!({ "path": "/changed" })) {
                Ok(changed) if request.tool().is_some() => next.run(&changed),
                _ => next.run(request),
            }
        });
        let error = server.in_memory().in_era(era).call("wipe", json!({ "path": "/given" })).expect_err("it is asked");
        let ClientError::Unanswered { message, .. } = error else { panic!("{error}") };
        assert!(message.contains("/changed") && !message.contains("/given"), "{message}");
    }
}

#[test]
fn a_raw_tool_asks_as_well() {
    let schema = json!({ "type": "object", "properties": { "path": { "type": "string" } } });
    for era in ERAS {
        let tool = Tool::new("wipe", "Deletes").destructive();
        let server = Server::new("disk", "1.0.0")
            .settings(asking())
            .tool_raw(tool, &schema, |_ctx, arguments| Ok(arguments.to_string()));
        let client = server.in_memory().in_era(era).decline(KEY);
        assert!(client.call("wipe", json!({ "path": "/" })).expect("a result").is_error());
    }
}
