//! The client for tests: the same server, call and answers in either era.

use crate::demo::demo;
use crate::peer::PATIENCE;
use mcp_blocking::ask::{Form, Roots, Sampling};
use mcp_blocking::testing::{Called, ClientError};
use mcp_blocking::{Answer, Era, Error, NoArgs, Revision, Server, TaskSupport, Tool, ToolError, ToolResult};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const BOTH: [Era; 2] = [Era::Legacy, Era::Modern];

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

fn asking() -> Server {
    demo()
        .tool("greet", "Asks twice", |ctx, NoArgs| {
            let Answer::Accept(Name { name }) = ctx.ask("name", "What is your name?")? else {
                return Ok("nobody".into());
            };
            let again: Answer<Name> = ctx.ask("other", format!("And who is with you, {name}?"))?;
            Ok(format!("{name} and {}", again.accepted()?.name))
        })
        .tool("visit", "Asks to open a page", |ctx, NoArgs| {
            Ok(ctx.ask_url("page", "Please sign in", "https://example.com/")?.action())
        })
        .tool("all", "Asks three things at once", |ctx, NoArgs| {
            let questions = (
                Form::<Name>::new("name", "What is your name?"),
                Sampling::new("greeting", "Say hello").max_tokens(50),
                Roots::new("roots"),
            );
            let (name, greeting, roots) = ctx.ask_all(questions)?;
            Ok(format!("{} {} {}", greeting.text(), name.accepted()?.name, roots.len()))
        })
}

#[test]
fn tools_are_called_in_all_revisions() {
    for &revision in Revision::ALL {
        let client = demo().in_memory().in_revision(revision);
        assert_eq!(client.call("echo", json!({ "text": "a\nb" })).expect("an answer"), "a\nb");
        assert_eq!(client.list_tools().expect("a list").len(), 8);
        let sum = client.call("add", json!({ "a": 1, "b": 2 })).expect("an answer");
        let structured = (revision >= Revision::R2025_06_18).then(|| json!({ "sum": 3 }));
        assert_eq!((sum.text(), sum.structured()), (r#"{"sum":3}"#, structured.as_ref()), "{revision}");
        let session = client.handle().expect("it runs").clients()[0].revision();
        assert_eq!(session, (!revision.is_modern()).then_some(revision));
    }
}

#[test]
fn a_tool_that_fails_is_no_text() {
    for era in BOTH {
        let client = demo().in_memory().in_era(era);
        let failed = client.call("fail", ()).expect("a result");
        assert!(failed.is_error());
        assert_eq!(failed.text(), "it did not work");
        assert_ne!(failed, "it did not work");
        assert_eq!(failed.result()["content"][0]["type"], "text");
        let error = client.call("no such tool", ()).expect_err("an error");
        assert!(matches!(error, ClientError::Rpc { code: -32602, .. }), "{error}");
        let error = client.call("panic", ()).expect_err("an error");
        assert!(matches!(error, ClientError::Rpc { code: -32603, .. }), "{error}");
        assert!(matches!(client.request("ping", 5), Err(ClientError::Params(_))));
        // None of that was the end.
        assert_eq!(client.call("quick", json!({ "text": "on" })).expect("an answer"), "on");
    }
}

#[test]
fn lists_are_read_to_their_end() {
    for era in BOTH {
        let client = demo().limits(|limits| limits.page_size = 3).in_memory().in_era(era);
        let tools = client.list_tools().expect("a list");
        let names: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
        assert_eq!(names, ["add", "count", "echo", "fail", "log", "panic", "quick", "sleep"]);
    }
}

#[test]
fn questions_are_answered_by_their_keys() {
    for era in BOTH {
        let client = asking()
            .in_memory()
            .in_era(era)
            .answer("name", json!({ "name": "Ada" }))
            .answer("other", json!({ "name": "Bob" }))
            .answer("page", Value::Null)
            .answer("greeting", "hello")
            .answer("roots", json!([{ "uri": "file:///home" }]));
        assert_eq!(client.call("greet", ()).expect("an answer"), "Ada and Bob", "{era:?}");
        assert_eq!(client.call("visit", ()).expect("an answer"), "accept");
        assert_eq!(client.call("all", ()).expect("an answer"), "hello Ada 1");
    }
}

#[test]
fn questions_are_answered_by_what_they_say_and_by_their_methods() {
    for era in BOTH {
        let client = asking()
            .in_memory()
            .in_era(era)
            .answer("elicitation/create", json!({ "name": "anybody" }))
            .answer("And who is with you, anybody?", json!({ "name": "Bob" }))
            .answer(
                "sampling/createMessage",
                json!({
                    "role": "assistant", "content": { "type": "text", "text": "good day" }, "model": "m",
                }),
            )
            .answer("roots/list", json!([]));
        assert_eq!(client.call("greet", ()).expect("an answer"), "anybody and Bob", "{era:?}");
        assert_eq!(client.call("all", ()).expect("an answer"), "good day anybody 0");
    }
}

#[test]
fn questions_are_declined_and_cancelled() {
    for era in BOTH {
        let client = asking().in_memory().in_era(era).decline("name").cancel("page");
        assert_eq!(client.call("greet", ()).expect("an answer"), "nobody");
        assert_eq!(client.call("visit", ()).expect("an answer"), "cancel");
    }
}

#[test]
fn a_question_without_an_answer_is_named() {
    for era in BOTH {
        let client = asking().in_memory().in_era(era).answer("name", json!({ "name": "Ada" }));
        match client.call("greet", ()) {
            Err(ClientError::Unanswered { question, message }) => {
                assert_eq!((&*question, &*message), ("other", "And who is with you, Ada?"), "{era:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.call("echo", json!({ "text": "on" })).expect("an answer"), "on");
    }
}

#[test]
fn a_client_without_the_capability_is_not_asked() {
    for era in BOTH {
        let client = asking().in_memory().in_era(era).capabilities(json!({})).answer("name", json!({ "name": "Ada" }));
        match (era, client.call("greet", ())) {
            (Era::Legacy, Ok(failed)) => assert!(failed.is_error(), "{failed:?}"),
            (Era::Modern, Err(ClientError::Rpc { code, data, .. })) => {
                assert_eq!(code, -32021);
                assert_eq!(data.expect("data")["requiredCapabilities"], json!({ "elicitation": { "form": {} } }));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_reported_on_the_way_is_kept() {
    for era in BOTH {
        let client = demo().in_memory().in_era(era);
        assert_eq!(client.call("count", json!({ "to": 2 })).expect("an answer"), "counted to 2");
        let seen = client.notifications().expect("they are read");
        let last = seen.last().expect("a report");
        assert_eq!(
            (&last["method"], last["params"]["progress"].as_f64()),
            (&json!("notifications/progress"), Some(2.0))
        );
        client.call("log", ()).expect("an answer");
        let seen = client.notifications().expect("they are read");
        let levels: Vec<_> = seen.iter().filter_map(|message| message["params"]["level"].as_str()).collect();
        assert_eq!(levels.first(), Some(&"info"), "{era:?}");
        assert_eq!(client.notifications().expect("they are read"), Vec::<Value>::new());
    }
}

#[test]
fn changes_are_seen_in_both_eras() {
    for era in BOTH {
        let client = demo().resource("note://one", "one", "text/plain", |_| Ok("text")).in_memory().in_era(era);
        client
            .listen(json!({ "toolsListChanged": true, "resourceSubscriptions": ["note://one"] }))
            .expect("it listens");
        let handle = client.handle().expect("it runs");
        handle.resource_updated("note://one");
        handle.edit(|registry| registry.add_tool(Tool::new("new", "New"), |_ctx, NoArgs| Ok("new"))).expect("added");
        let seen = client.notifications().expect("they are read");
        let methods: Vec<_> = seen.iter().filter_map(|message| message["method"].as_str()).collect();
        assert_eq!(methods, ["notifications/resources/updated", "notifications/tools/list_changed"], "{era:?}");
        assert_eq!(client.call("new", ()).expect("an answer"), "new");
        let read = client.request("resources/read", json!({ "uri": "note://one" })).expect("a result");
        assert_eq!(read["contents"][0]["text"], "text");
    }
}

#[test]
fn a_notification_of_ones_own_is_heard() {
    for era in BOTH {
        let (heard, hears) = mcp_blocking::crossbeam_channel::unbounded();
        let client = demo()
            .notification("acme/seen", move |_ctx, Name { name }| {
                let _ = heard.send(name);
            })
            .in_memory()
            .in_era(era);
        client.notify("acme/seen", json!({ "name": "Ada" })).expect("sent");
        assert_eq!(hears.recv_timeout(PATIENCE).expect("heard"), "Ada");
    }
}

#[test]
fn patience_has_an_end_and_cancels() {
    for era in BOTH {
        let client = demo().in_memory().in_era(era);
        let handle = client.handle().expect("it runs");
        // A busy machine may take its time for everything else.
        let client = client.patience(Duration::from_millis(300));
        assert!(matches!(client.call("sleep", ()), Err(ClientError::TimedOut(_))));
        crate::peer::until("it is cancelled", || handle.status().calls_in_flight == 0);
        let client = client.patience(PATIENCE);
        assert_eq!(client.call("echo", json!({ "text": "on" })).expect("an answer"), "on");
    }
}

#[test]
fn a_server_that_cannot_be_served_says_so_at_the_first_request() {
    let twice = demo().tool("echo", "Again", |_ctx, NoArgs| Ok("x"));
    let client = twice.in_memory();
    assert!(matches!(client.call("echo", ()), Err(ClientError::Server(Error::Setup(_)))));
    assert!(matches!(client.call("echo", ()), Err(ClientError::Closed)));
}

#[test]
fn the_end_of_the_server_is_an_error_and_not_a_wait() {
    for era in BOTH {
        let client = demo().in_memory().in_era(era);
        client.call("echo", json!({ "text": "x" })).expect("an answer");
        client.handle().expect("it runs").clients()[0].close(1000, "enough");
        let began = Instant::now();
        let error = client.call("echo", json!({ "text": "x" })).expect_err("it has ended");
        assert!(matches!(error, ClientError::Closed), "{error}");
        assert!(began.elapsed() < PATIENCE);
    }
}

#[test]
fn threads_take_turns_and_a_message_that_is_too_long_is_an_error() {
    let client = demo().limits(|limits| limits.message_bytes = 10_000).in_memory();
    std::thread::scope(|threads| {
        for text in ["one", "two", "three", "four"] {
            let client = &client;
            threads.spawn(move || {
                for _ in 0..20 {
                    let echoed: Called = client.call("echo", json!({ "text": text })).expect("an answer");
                    assert_eq!(echoed, text);
                }
            });
        }
    });
    let error = client.call("echo", json!({ "text": "x".repeat(20_000) })).expect_err("it is too long");
    assert!(matches!(error, ClientError::Rpc { code: -32700, .. }), "{error}");
    assert_eq!(client.call("echo", json!({ "text": "on" })).expect("an answer"), "on");
}

#[test]
fn tools_are_called_as_tasks_and_answered_in_both_eras() {
    let server = || {
        demo()
            .tool_with(Tool::new("greet", "Asks").task(TaskSupport::Required), |ctx, NoArgs| {
                let Name { name } = ctx.ask("name", "What is your name?")?.accepted()?;
                let (more, again) = ctx.ask_all((
                    Form::<Name>::new("more", format!("And more, {name}?")),
                    Form::<Name>::new("again", "And again?"),
                ))?;
                assert!(ctx.is_task());
                Ok(format!("{name}, {}, {}", more.accepted()?.name, again.accepted()?.name))
            })
            .tool_with(
                Tool::new("breaks", "Is an error").task(TaskSupport::Optional),
                |_ctx, NoArgs| -> ToolResult<String> { Err(ToolError::rpc(-5, "it broke")) },
            )
    };
    for era in BOTH {
        let client = server().in_memory().in_era(era).tasks().answer("name", json!({ "name": "Ada" }));
        // Nobody has said what to answer to the rest.
        assert!(matches!(client.call("greet", ()), Err(ClientError::Unanswered { .. })), "{era:?}");
        let client = server().in_memory().in_era(era).tasks().answer("name", json!({ "name": "Ada" }));
        let client = client.answer("more", json!({ "name": "Bob" })).answer("again", json!({ "name": "Cy" }));
        for _ in 0..100 {
            assert_eq!(client.call("greet", ()).expect("a result"), "Ada, Bob, Cy");
        }
        assert_eq!(client.call("echo", json!({ "text": "no task" })).expect("a result"), "no task");
        assert!(matches!(client.call("breaks", ()), Err(ClientError::Rpc { code: -5, .. })));
        assert_eq!(client.handle().expect("it runs").status().tasks, 101);
    }
    let old = server().in_memory().in_revision(Revision::R2025_06_18).tasks();
    assert!(matches!(old.call("greet", ()), Err(ClientError::Rpc { code: -32602, .. })));
    assert!(matches!(old.call("breaks", ()), Err(ClientError::Rpc { code: -5, .. })));
}
