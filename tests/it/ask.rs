//! Questions in the middle of a handler: the same handlers with clients of both eras.

use crate::demo::demo;
use crate::neighbor::{beside, beside_with, exposed};
use crate::peer::{MODERN, PATIENCE, Peer, serve, until};
use crate::web::Web;
use mcp_blocking::ask::{Form, Roots, Sampling};
use mcp_blocking::{Answer, NoArgs, Running, Server, Tool, ToolError, ToolResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The revisions with forms.
const WITH_FORMS: [&str; 3] = ["2025-06-18", "2025-11-25", MODERN];

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct City {
    city: String,
}

#[derive(Deserialize, Serialize, JsonSchema, Debug)]
struct Order {
    /// How many.
    #[schemars(range(min = 1, max = 9))]
    count: u32,
    size: Size,
    gift: Option<bool>,
}

#[derive(Deserialize, Serialize, JsonSchema, Debug)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

fn all() -> Value {
    json!({ "elicitation": { "form": {}, "url": {} }, "sampling": { "tools": {} }, "roots": {} })
}

fn asking() -> Server {
    demo()
        .tool("greet", "Asks for a name and a city", |ctx, NoArgs| {
            let name: Answer<Name> = ctx.ask("name", "What is your name?")?;
            let Answer::Accept(Name { name }) = name else { return Ok(format!("nobody: {}", name.action())) };
            let City { city } = ctx.ask("city", format!("Where do you live, {name}?"))?.accepted()?;
            Ok(format!("{name} of {city}"))
        })
        .tool("order", "Asks for an order", |ctx, NoArgs| {
            let order: Order = ctx.ask("order", "What do you want?")?.accepted()?;
            Ok(serde_json::to_string(&order)?)
        })
        .tool("visit", "Asks to open a page", |ctx, NoArgs| {
            Ok(ctx.ask_url("page", "Please sign in", "https://example.com/sign-in")?.action())
        })
        .tool("all", "Asks three things at once", |ctx, NoArgs| {
            let questions = (
                Form::<Name>::new("name", "What is your name?"),
                Sampling::new("greeting", "Say hello").max_tokens(50),
                Roots::new("roots"),
            );
            let (name, greeting, roots) = ctx.ask_all(questions)?;
            let uris: Vec<_> = roots.iter().map(|root| root.uri.as_str()).collect();
            Ok(format!("{}, {} {}", greeting.text(), name.accepted()?.name, uris.join(" ")))
        })
        .tool("twice", "Uses a key twice", |ctx, NoArgs| {
            let _: Answer<Name> = ctx.ask("key", "One?")?;
            let _: Answer<Name> = ctx.ask("key", "Another?")?;
            Ok("not reached")
        })
}

/// What somebody who says yes to everything answers.
fn agreeable(method: &str, params: &Value) -> Value {
    match method {
        "sampling/createMessage" => json!({
            "role": "assistant", "content": { "type": "text", "text": "hello" }, "model": "test", "stopReason": "endTurn",
        }),
        "roots/list" => json!({ "roots": [{ "uri": "file:///home", "name": "home" }] }),
        _ => {
            let mut content = json!({});
            for (field, _) in params["requestedSchema"]["properties"].as_object().into_iter().flatten() {
                content[field] = match field.as_str() {
                    "name" => "Ada".into(),
                    "city" => "London".into(),
                    "count" => 3.into(),
                    "size" => "large".into(),
                    "gift" => true.into(),
                    other => panic!("an unknown field {other}"),
                };
            }
            json!({ "action": "accept", "content": content })
        }
    }
}

/// Calls a tool and answers its questions, in the way of the peer's era; the last answer, a whole message.
fn play(peer: &mut Peer, tool: &str, answer: impl Fn(&str, &Value) -> Value) -> Value {
    play_with(peer, json!({ "name": tool, "arguments": {} }), answer)
}

pub fn play_with(peer: &mut Peer, mut params: Value, answer: impl Fn(&str, &Value) -> Value) -> Value {
    let mut id = peer.start("tools/call", params.clone());
    loop {
        let message = peer.next();
        if let Some(method) = message["method"].as_str() {
            assert!(!peer.is_modern(), "a modern client is sent no requests: {message}");
            let result = answer(method, &message["params"]);
            peer.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }));
            continue;
        }
        assert_eq!(message["id"], id, "{message}");
        if message["result"]["resultType"] != "input_required" {
            return message;
        }
        assert!(peer.is_modern());
        let mut responses = json!({});
        for (key, request) in message["result"]["inputRequests"].as_object().expect("questions") {
            assert!(request.get("id").is_none() && request.get("jsonrpc").is_none(), "{request}");
            responses[key] = answer(request["method"].as_str().expect("a method"), &request["params"]);
        }
        params["inputResponses"] = responses;
        params["requestState"] = message["result"]["requestState"].clone();
        id = peer.start("tools/call", params.clone());
    }
}

#[track_caller]
fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

/// The result of the first round, for a modern peer.
#[track_caller]
fn first_round(peer: &mut Peer, tool: &str) -> Value {
    let result = peer.call(tool, json!({}));
    assert_eq!(result["resultType"], "input_required", "{result}");
    result
}

/// The next round with these answers.
fn next_round(peer: &mut Peer, tool: &str, state: &Value, responses: Value) -> Value {
    let mut params = json!({ "name": tool, "arguments": {}, "inputResponses": responses });
    if !state.is_null() {
        params["requestState"] = state.clone();
    }
    peer.request("tools/call", params)
}

#[test]
fn one_handler_asks_clients_of_both_eras() {
    let running = serve(asking());
    for revision in WITH_FORMS {
        let mut peer = Peer::able(&running, revision, all());
        assert_eq!(text(&play(&mut peer, "greet", agreeable)), "Ada of London", "{revision}");
        let declined = play(&mut peer, "greet", |_, _| json!({ "action": "decline" }));
        assert_eq!(text(&declined), "nobody: decline");
        let halfway = play(&mut peer, "greet", |_, params| {
            let first = params["message"] == "What is your name?";
            if first {
                json!({ "action": "accept", "content": { "name": "Ada" } })
            } else {
                json!({ "action": "cancel" })
            }
        });
        assert_eq!((halfway["result"]["isError"].clone(), text(&halfway)), (json!(true), "the user cancelled"));
        assert_eq!(text(&play(&mut peer, "order", agreeable)), r#"{"count":3,"size":"large","gift":true}"#);
        assert_eq!(text(&play(&mut peer, "all", agreeable)), "hello, Ada file:///home");
    }
    // Roots and sampling are older than forms.
    let mut old = Peer::able(&running, "2024-11-05", json!({ "sampling": {}, "roots": {} }));
    assert!(text(&old.request("tools/call", json!({ "name": "greet" }))).contains("elicitation"));
}

#[test]
fn a_form_goes_out_as_the_revision_knows_it() {
    let running = serve(asking());
    for revision in WITH_FORMS {
        let mut peer = Peer::able(&running, revision, all());
        let answer = play(&mut peer, "order", |method, params| {
            assert_eq!(method, "elicitation/create");
            assert_eq!(params["message"], "What do you want?");
            assert_eq!(params.get("mode").is_some(), revision != "2025-06-18", "{params}");
            assert_eq!(
                params["requestedSchema"],
                json!({
                    "type": "object",
                    "properties": {
                        "count": { "type": "integer", "description": "How many.", "minimum": 1, "maximum": 9 },
                        "size": { "type": "string", "enum": ["small", "large"] },
                        "gift": { "type": "boolean" },
                    },
                    "required": ["count", "size"],
                })
            );
            agreeable(method, params)
        });
        assert_eq!(answer["result"]["isError"], Value::Null, "{answer}");
    }
}

#[test]
fn a_page_can_be_opened_since_2025_11_25() {
    let running = serve(asking());
    for revision in ["2025-11-25", MODERN] {
        let mut peer = Peer::able(&running, revision, all());
        let answer = play(&mut peer, "visit", |_, params| {
            assert_eq!(params["mode"], "url");
            assert_eq!(params["url"], "https://example.com/sign-in");
            // Removed again in 2026-07-28.
            assert_eq!(params.get("elicitationId").is_some(), revision != MODERN, "{params}");
            json!({ "action": "accept" })
        });
        assert_eq!(text(&answer), "accept");
    }
}

#[test]
fn a_client_without_the_capability_is_not_asked() {
    let running = serve(asking());
    for (tool, capabilities, needed) in [
        ("greet", json!({}), json!({ "elicitation": { "form": {} } })),
        ("greet", json!({ "elicitation": { "url": {} } }), json!({ "elicitation": { "form": {} } })),
        ("visit", json!({ "elicitation": {} }), json!({ "elicitation": { "url": {} } })),
        ("all", json!({ "elicitation": {}, "roots": {} }), json!({ "sampling": {} })),
    ] {
        let mut peer = Peer::able(&running, MODERN, capabilities.clone());
        let error = peer.call_error(tool, json!({}));
        assert_eq!((&error["code"], &error["data"]["requiredCapabilities"]), (&json!(-32021), &needed));
        let mut peer = Peer::able(&running, "2025-11-25", capabilities);
        let result = peer.call(tool, json!({}));
        assert_eq!(result["isError"], true, "{result}");
        peer.assert_silent();
    }
}

#[test]
fn answers_that_do_not_fit_never_complete_a_call() {
    let running = serve(asking());
    let wrong = [
        json!(12345),
        json!({ "action": "maybe" }),
        json!({ "action": "accept" }),
        json!({ "action": "accept", "content": { "name": 5 } }),
        json!({ "action": "accept", "content": [] }),
    ];
    for answer in wrong {
        let mut peer = Peer::able(&running, MODERN, all());
        let refused = play(&mut peer, "greet", |_, _| answer.clone());
        assert_eq!(refused["error"]["code"], -32602, "{answer}: {refused}");
        assert!(refused["error"]["message"].as_str().expect("a text").contains("`name`"), "{refused}");
        let mut peer = Peer::able(&running, "2025-11-25", all());
        let refused = play(&mut peer, "greet", |_, _| answer.clone());
        assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    }
    let mut peer = Peer::able(&running, MODERN, all());
    for responses in [json!(null), json!([]), json!("x")] {
        let answer = next_round(&mut peer, "greet", &Value::Null, responses);
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    let outside =
        play(&mut peer, "order", |_, _| json!({ "action": "accept", "content": { "count": 10, "size": "large" } }));
    assert!(outside["error"]["message"].as_str().expect("a text").contains("`count` is too large"), "{outside}");
}

#[test]
fn answers_may_come_before_they_are_asked_for_and_beside_others() {
    let running = serve(asking());
    let mut peer = Peer::able(&running, MODERN, all());
    let accept = |content: Value| json!({ "action": "accept", "content": content });
    let both = json!({
        "name": accept(json!({ "name": "Ada" })), "city": accept(json!({ "city": "London" })), "nobody asked": 5,
    });
    assert_eq!(text(&next_round(&mut peer, "greet", &Value::Null, both)), "Ada of London");
    // Something else than what was asked for: it is asked again.
    let again = next_round(&mut peer, "greet", &Value::Null, json!({ "wrong_key": accept(json!({ "name": "Ada" })) }));
    assert_eq!(again["result"]["resultType"], "input_required");
    assert!(again["result"]["inputRequests"]["name"].is_object(), "{again}");
}

#[test]
fn earlier_answers_are_carried_in_the_state_and_count_for_the_same_question_only() {
    let running = serve(asking().tool("moody", "Asks differently each time", {
        let times = AtomicUsize::new(0);
        move |ctx, NoArgs| {
            let time = times.fetch_add(1, Ordering::Relaxed);
            let Name { name } = ctx.ask("name", format!("Name, for the {time}. time?"))?.accepted()?;
            Ok(name)
        }
    }));
    let mut peer = Peer::able(&running, MODERN, all());
    let first = first_round(&mut peer, "greet");
    let accept = |content: Value| json!({ "action": "accept", "content": content });
    let second =
        next_round(&mut peer, "greet", &first["requestState"], json!({ "name": accept(json!({ "name": "Ada" })) }));
    assert_eq!(second["result"]["inputRequests"]["city"]["params"]["message"], "Where do you live, Ada?");
    assert_ne!(second["result"]["requestState"], first["requestState"]);
    // The name is not repeated; one that is sent again does not replace what was said.
    let responses = json!({ "city": accept(json!({ "city": "Paris" })), "name": accept(json!({ "name": "Eve" })) });
    let last = next_round(&mut peer, "greet", &second["result"]["requestState"], responses);
    assert_eq!(text(&last), "Ada of Paris");
    // A question that has changed is asked again.
    let first = first_round(&mut peer, "moody");
    let again =
        next_round(&mut peer, "moody", &first["requestState"], json!({ "name": accept(json!({ "name": "Ada" })) }));
    assert_eq!(again["result"]["inputRequests"]["name"]["params"]["message"], "Name, for the 1. time?");
}

#[test]
fn a_state_that_was_changed_or_belongs_elsewhere_is_refused() {
    let running = exposed(asking().limits(|limits| limits.state_lifetime = Duration::from_secs(3_600)));
    let _honest = beside(&running);
    let mut peer = Peer::able(&running, MODERN, all());
    let state = first_round(&mut peer, "greet")["requestState"].clone();
    let sealed = state.as_str().expect("a text");
    let responses = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    for wrong in
        [format!("{sealed}-TAMPERED"), sealed[..sealed.len() - 1].to_owned(), "v1.e30.e30".into(), String::new()]
    {
        let refused = next_round(&mut peer, "greet", &json!(wrong), responses.clone());
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        assert!(refused["error"]["message"].as_str().expect("a text").contains("requestState"), "{refused}");
    }
    // Another tool, other arguments.
    assert_eq!(next_round(&mut peer, "order", &state, responses.clone())["error"]["code"], -32602);
    let other = json!({ "name": "greet", "arguments": { "x": 1 }, "inputResponses": responses, "requestState": state });
    assert_eq!(peer.request("tools/call", other)["error"]["code"], -32602);
    // Another server, which has another key.
    let stranger = serve(asking());
    let mut elsewhere = Peer::able(&stranger, MODERN, all());
    assert_eq!(next_round(&mut elsewhere, "greet", &state, responses.clone())["error"]["code"], -32602);
    // The right one still goes on.
    assert_eq!(next_round(&mut peer, "greet", &state, responses)["result"]["resultType"], "input_required");
}

#[test]
fn a_state_belongs_to_its_principal() {
    let server = asking().bearer_token("ada", "0123456789abcdef-ada").bearer_token("bob", "0123456789abcdef-bob");
    let running = exposed(server);
    let _honest = beside_with(&running, "0123456789abcdef-ada");
    let of = |token: &str| {
        let header = format!("Bearer {token}");
        let mut peer = Peer::connect_to(running.addr(), &[("Authorization", &header)]);
        (peer.revision, peer.capabilities) = (MODERN, all());
        peer
    };
    let (mut ada, mut bob) = (of("0123456789abcdef-ada"), of("0123456789abcdef-bob"));
    let state = first_round(&mut ada, "greet")["requestState"].clone();
    let responses = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    assert_eq!(next_round(&mut bob, "greet", &state, responses.clone())["error"]["code"], -32602);
    assert_eq!(next_round(&mut ada, "greet", &state, responses)["result"]["resultType"], "input_required");
}

#[test]
fn any_server_with_the_key_takes_the_next_round() {
    let (old, new) = ([1_u8; 32], [2_u8; 32]);
    let one = serve(asking().state_key(&old));
    let two = serve(asking().state_key(&new).state_key(&old));
    let mut first = Peer::able(&one, MODERN, all());
    let state = first_round(&mut first, "greet")["requestState"].clone();
    drop(one);
    let mut second = Peer::able(&two, MODERN, all());
    let responses = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    let result = next_round(&mut second, "greet", &state, responses)["result"].clone();
    let responses = json!({ "city": { "action": "accept", "content": { "city": "London" } } });
    assert_eq!(text(&next_round(&mut second, "greet", &result["requestState"], responses)), "Ada of London");
    let refused = asking().state_key(b"short").bind("127.0.0.1:0").expect_err("a short key");
    assert!(refused.to_string().contains("state key"), "{refused}");
}

#[test]
fn a_state_expires() {
    let running = exposed(asking().limits(|limits| limits.state_lifetime = Duration::from_secs(1)));
    let _honest = beside(&running);
    let mut peer = Peer::able(&running, MODERN, all());
    let state = first_round(&mut peer, "greet")["requestState"].clone();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = next_round(&mut peer, "greet", &state, json!({}));
        if answer["error"]["code"] == -32602 {
            assert!(answer["error"]["message"].as_str().expect("a text").contains("time is over"), "{answer}");
            break;
        }
        assert!(Instant::now() < deadline, "it does not expire");
    }
}

#[test]
fn what_is_remembered_is_done_once() {
    let made = Arc::new(AtomicUsize::new(0));
    let running = serve(demo().tool("order", "Orders, then asks", {
        let made = Arc::clone(&made);
        move |ctx, NoArgs| {
            let order = ctx.remember("order", || Ok(format!("order-{}", made.fetch_add(1, Ordering::SeqCst))))?;
            let flow = ctx.flow_id()?;
            let Name { name } = ctx.ask("name", format!("Who pays {order}?"))?.accepted()?;
            let City { city } = ctx.ask("city", format!("Where to, in {flow}?"))?.accepted()?;
            Ok(format!("{order} for {name} in {city}"))
        }
    }));
    for (number, revision) in WITH_FORMS.into_iter().enumerate() {
        let mut peer = Peer::able(&running, revision, all());
        assert_eq!(text(&play(&mut peer, "order", agreeable)), format!("order-{number} for Ada in London"));
    }
    assert_eq!(made.load(Ordering::SeqCst), 3);
}

fn paying() -> Server {
    demo().tool("pay", "Pays, once", |ctx, NoArgs| {
        let Name { name } = ctx.ask("name", "Who pays?")?.accepted()?;
        ctx.once()?;
        Ok(format!("{name} has paid"))
    })
}

#[test]
fn what_may_happen_once_happens_once() {
    let own: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let shared = {
        let own = Arc::clone(&own);
        move |id: &str, lifetime: Duration| {
            assert!(lifetime > Duration::from_secs(3_000));
            let mut used = own.lock().expect("no panic");
            let first = !used.iter().any(|other| other == id);
            used.push(id.to_owned());
            first
        }
    };
    for running in [serve(paying()), serve(paying().replay_guard(shared))] {
        let mut peer = Peer::able(&running, MODERN, all());
        let state = first_round(&mut peer, "pay")["requestState"].clone();
        let responses = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
        assert_eq!(text(&next_round(&mut peer, "pay", &state, responses.clone())), "Ada has paid");
        let again = next_round(&mut peer, "pay", &state, responses);
        assert_eq!(again["error"]["code"], -32602, "{again}");
        let mut legacy = Peer::able(&running, "2025-11-25", all());
        assert_eq!(text(&play(&mut legacy, "pay", agreeable)), "Ada has paid");
    }
    assert_eq!(own.lock().expect("no panic").len(), 2);
}

#[test]
fn a_swallowed_question_goes_out_unless_it_is_withdrawn() {
    let ask = |ctx: &mcp_blocking::Ctx| ctx.ask::<Name>("name", "Your name?").and_then(Answer::accepted);
    let server = demo()
        .tool("careless", "Swallows the error", move |ctx, NoArgs| {
            Ok(ask(ctx).map_or_else(|_| "nobody".to_owned(), |Name { name }| name))
        })
        .tool("content", "Can do without", move |ctx, NoArgs| {
            Ok(ask(ctx).map_or_else(
                |error| {
                    assert!(error.is_asking());
                    ctx.withdraw();
                    "nobody".to_owned()
                },
                |Name { name }| name,
            ))
        });
    let running = serve(server);
    let mut peer = Peer::able(&running, MODERN, all());
    assert_eq!(text(&play(&mut peer, "careless", agreeable)), "Ada");
    assert_eq!(text(&play(&mut peer, "content", agreeable)), "nobody");
}

#[test]
fn two_questions_under_one_key_are_a_mistake_that_names_it() {
    let running = serve(asking());
    for revision in WITH_FORMS {
        let mut peer = Peer::able(&running, revision, all());
        let answer = play(&mut peer, "twice", agreeable);
        assert!(text(&answer).contains("`key`"), "{answer}");
    }
}

#[test]
fn there_is_an_end_to_asking() {
    let running = serve(demo().tool("endless", "Asks for ever", |ctx, NoArgs| -> ToolResult<String> {
        for round in 0.. {
            let _: Answer<Name> = ctx.ask(format!("key {round}"), "Again?")?;
        }
        Ok("not reached".into())
    }));
    let mut peer = Peer::able(&running, MODERN, all());
    let answer = play(&mut peer, "endless", agreeable);
    assert!(text(&answer).contains("too many rounds"), "{answer}");
}

#[test]
fn only_what_a_client_repeats_can_ask() {
    let server = demo()
        .tool_with(Tool::new("quick_ask", "Asks at once").quick(), |ctx, NoArgs| {
            ctx.ask::<Name>("name", "Your name?")?.accepted().map(|name| name.name)
        })
        .method("acme/ask", |ctx, _: Value| -> ToolResult<Value> {
            let Name { name } = ctx.ask("name", "Your name?")?.accepted()?;
            Ok(json!({ "name": name }))
        });
    let running = serve(server);
    for revision in WITH_FORMS {
        let mut peer = Peer::able(&running, revision, all());
        let answer = play(&mut peer, "quick_ask", agreeable);
        assert!(text(&answer).contains("quick"), "{answer}");
        let id = peer.start("acme/ask", json!({}));
        if revision == MODERN {
            let error = peer.error(&id);
            assert!(error["message"].as_str().expect("a text").contains("only tools"), "{error}");
        } else {
            let question = peer.notice("elicitation/create");
            let result = agreeable("elicitation/create", &question["params"]);
            peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }));
            assert_eq!(peer.result(&id)["name"], "Ada");
        }
    }
}

#[test]
fn time_for_an_answer_does_not_count_against_the_handler() {
    let server = asking().limits(|limits| limits.handler_deadline = Duration::from_millis(80));
    let running = serve(server);
    let mut peer = Peer::able(&running, "2025-11-25", all());
    let call = peer.start_call("greet", json!({}));
    for content in [json!({ "name": "Ada" }), json!({ "city": "London" })] {
        let question = peer.notice("elicitation/create");
        // Longer than the handler has for itself.
        let until_late = Instant::now() + Duration::from_millis(150);
        until("some time has gone", || Instant::now() >= until_late);
        let result = json!({ "action": "accept", "content": content });
        peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }));
    }
    assert_eq!(peer.result(&call)["content"][0]["text"], "Ada of London");
}

#[test]
fn a_question_ends_with_its_time_its_call_or_its_client() {
    let server = asking().limits(|limits| limits.question_deadline = Duration::from_millis(30));
    let running = serve(server);
    let mut peer = Peer::able(&running, "2025-11-25", all());
    let call = peer.start_call("greet", json!({}));
    let question = peer.notice("elicitation/create");
    let answer = peer.answer(&call);
    assert!(text(&answer).contains("in time"), "{answer}");
    assert_eq!(peer.notice("notifications/cancelled")["params"]["requestId"], question["id"]);

    let running = serve(asking());
    let mut peer = Peer::able(&running, "2025-11-25", all());
    let call = peer.start_call("greet", json!({}));
    let question = peer.notice("elicitation/create");
    peer.cancel(&call);
    assert_eq!(peer.notice("notifications/cancelled")["params"]["requestId"], question["id"]);
    peer.start_call("greet", json!({}));
    peer.notice("elicitation/create");
    peer.vanish();
    let handle = running.handle();
    until("nobody waits", || handle.status().workers_parked == 0 && handle.status().calls_in_flight == 0);
}

/// A server whose handlers may wait for 200 people, on the workers that there are by default.
fn patient() -> Running {
    serve(asking().limits(|limits| limits.parked_calls = 200))
}

/// With 200 calls that wait, others are served, and one more question fails at once.
fn others_are_served(running: &Running) {
    let handle = running.handle();
    until("all wait", || handle.status().workers_parked == 200);
    let busy = |error: &Value| {
        assert_eq!(error["code"], -31001, "{error}");
        assert!(error["data"]["retryAfterMs"].as_u64().is_some(), "{error}");
        assert_eq!(handle.status().workers_parked, 200, "it has not waited for a place");
    };
    let mut other = Peer::able(running, "2025-11-25", all());
    let mut web = Web::able(running, "2025-11-25", all());
    for _ in 0..50 {
        assert_eq!(other.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
        assert_eq!(web.call("echo", json!({ "text": "on" }))["content"][0]["text"], "on");
    }
    busy(&other.call_error("greet", json!({})));
    busy(&web.request("tools/call", json!({ "name": "greet" }))["error"]);
    // A modern client's question waits nowhere.
    let mut modern = Peer::able(running, MODERN, all());
    assert_eq!(text(&play(&mut modern, "greet", agreeable)), "Ada of London");
    let mut modern = Web::able(running, MODERN, all());
    assert_eq!(modern.call("greet", json!({}))["resultType"], "input_required");
}

#[test]
fn two_hundred_calls_that_wait_do_not_stop_the_others() {
    let running = patient();
    let mut waiting: Vec<_> = (0..4).map(|_| Peer::able(&running, "2025-11-25", all())).collect();
    let calls: Vec<Vec<Value>> =
        waiting.iter_mut().map(|peer| (0..50).map(|_| peer.start_call("greet", json!({}))).collect()).collect();
    others_are_served(&running);
    for (peer, calls) in waiting.iter_mut().zip(&calls) {
        for call in calls {
            peer.cancel(call);
        }
    }
    until("nobody waits", || running.handle().status().workers_parked == 0);
}

#[test]
fn two_hundred_calls_that_wait_over_http_do_not_stop_the_others() {
    let running = patient();
    let sessions: Vec<_> = (0..4).map(|_| Web::able(&running, "2025-11-25", all())).collect();
    // Each counts on from the one before: ids are those of the session.
    let connections = |web: &Web| std::iter::successors(Some(web.again()), |last| Some(last.again())).take(50);
    let mut waiting: Vec<_> = sessions.iter().flat_map(connections).collect();
    for web in &mut waiting {
        web.start("tools/call", json!({ "name": "greet" }));
    }
    others_are_served(&running);
    for web in &sessions {
        let mut web = web.again();
        web.ask("DELETE", &[("Mcp-Session-Id", &web.session.clone().expect("a session"))], "");
        assert_eq!(web.empty(), 204);
    }
    until("nobody waits", || running.handle().status().workers_parked == 0);
}

#[test]
fn what_the_model_says_can_be_read() {
    let server = demo().tool("model", "Asks the model", |ctx, NoArgs| {
        let question = Sampling::new("model", "Use a tool")
            .tools(vec![json!({ "name": "t", "inputSchema": { "type": "object" } })]);
        let sampled = ctx.sample(question)?;
        let [(id, name, input)] = sampled.tool_uses().collect::<Vec<_>>()[..] else {
            return Err(ToolError::new("no use of a tool"));
        };
        Ok(format!("{id} {name} {input} {} {}", sampled.model, sampled.stop_reason.as_deref().unwrap_or("-")))
    });
    let running = serve(server);
    for revision in ["2025-11-25", MODERN] {
        let mut peer = Peer::able(&running, revision, all());
        let answer = play(&mut peer, "model", |_, params| {
            assert_eq!(params["maxTokens"], 1_000);
            assert_eq!(
                params["messages"],
                json!([{ "role": "user", "content": { "type": "text", "text": "Use a tool" } }])
            );
            json!({
                "role": "assistant", "model": "m", "stopReason": "toolUse",
                "content": [{ "type": "text", "text": "well" }, { "type": "tool_use", "id": "u1", "name": "t", "input": { "x": 1 } }],
            })
        });
        assert_eq!(text(&answer), r#"u1 t {"x":1} m toolUse"#);
        let refused = play(&mut peer, "model", |_, _| json!({ "role": "assistant", "model": "m" }));
        assert!(refused["error"].is_object() || refused["result"]["isError"] == true, "{refused}");
    }
}
