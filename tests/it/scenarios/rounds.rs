//! Requests that come back with answers (2026-07-28, basic/patterns/mrtr), and that older clients answer in between.

use super::client::{Client, text};
use super::questions::{FORMS, agreeable};
use super::{Row, row};
use serde_json::{Value, json};

const ROUNDS: &str = "… in rounds, with a sealed state";

pub const ROWS: &[Row] = &[
    row("input-required-result-basic-elicitation", basic_elicitation).modern().shows(ROUNDS),
    row("input-required-result-basic-sampling", basic_sampling).modern().shows(ROUNDS),
    row("input-required-result-basic-list-roots", basic_roots).modern().shows(ROUNDS),
    row("input-required-result-request-state", request_state).modern().shows(ROUNDS),
    row("input-required-result-multiple-input-requests", several_at_once).modern().shows(ROUNDS),
    row("input-required-result-multi-round", several_rounds).modern().shows(ROUNDS),
    row("input-required-result-missing-input-response", wrong_key).modern().shows(ROUNDS),
    row("input-required-result-non-tool-request", prompt).modern().shows(ROUNDS),
    row("input-required-result-result-type", result_type).modern().shows(ROUNDS),
    row("input-required-result-unsupported-methods", other_methods).modern().shows(ROUNDS),
    row("input-required-result-tampered-state", tampered).modern().shows(ROUNDS),
    row("input-required-result-capability-check", capabilities).modern().shows(ROUNDS),
    row("input-required-result-ignore-extra-params", extra_keys).modern().shows(ROUNDS),
    row("input-required-result-validate-input", malformed).modern().shows(ROUNDS),
    row("a state belongs to its request", elsewhere).modern().shows(ROUNDS),
    row("one handler asks in both eras", both_eras).since("2025-06-18").shows(FORMS),
];

fn accept(content: Value) -> Value {
    json!({ "action": "accept", "content": content })
}

/// The first round of a tool: its questions, and the state that goes with them.
#[track_caller]
fn begin(client: &mut Client, tool: &str) -> (Value, Value) {
    asked(client.call(tool, json!({})))
}

#[track_caller]
fn asked(result: Value) -> (Value, Value) {
    assert_eq!(result["resultType"], "input_required", "{result}");
    (result["inputRequests"].clone(), result["requestState"].clone())
}

/// The next round; the whole answer.
#[track_caller]
fn answer(client: &mut Client, tool: &str, state: &Value, responses: Value) -> Value {
    let mut params = json!({ "name": tool, "arguments": {}, "inputResponses": responses });
    if !state.is_null() {
        params["requestState"] = state.clone();
    }
    client.request("tools/call", params)
}

/// The text of a result that is the last one.
#[track_caller]
fn complete(answer: &Value) -> &str {
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    assert!(answer["result"].get("isError").is_none(), "{answer}");
    text(&answer["result"])
}

const ELICITATION: &str = "test_input_required_result_elicitation";

fn basic_elicitation(client: &mut Client) {
    let (questions, state) = begin(client, ELICITATION);
    let question = &questions["user_name"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["message"], "What is your name?");
    assert_eq!(question["params"]["requestedSchema"]["required"], json!(["name"]));
    let responses = json!({ "user_name": accept(json!({ "name": "Alice" })) });
    assert_eq!(complete(&answer(client, ELICITATION, &state, responses.clone())), "Hello, Alice!");
    // Who knows what will be asked may say so at once.
    assert_eq!(complete(&answer(client, ELICITATION, &Value::Null, responses)), "Hello, Alice!");
    let declined = answer(client, ELICITATION, &state, json!({ "user_name": { "action": "decline" } }));
    assert_eq!(declined["result"]["isError"], true, "{declined}");
}

fn basic_sampling(client: &mut Client) {
    let tool = "test_input_required_result_sampling";
    let (questions, state) = begin(client, tool);
    let question = &questions["capital_question"];
    assert_eq!(
        (&question["method"], &question["params"]["maxTokens"]),
        (&json!("sampling/createMessage"), &json!(100))
    );
    let responses = json!({ "capital_question": agreeable("sampling/createMessage", &Value::Null) });
    assert_eq!(complete(&answer(client, tool, &state, responses)), "Paris");
}

fn basic_roots(client: &mut Client) {
    let tool = "test_input_required_result_list_roots";
    let (questions, state) = begin(client, tool);
    assert_eq!(questions["client_roots"]["method"], "roots/list");
    let responses = json!({ "client_roots": agreeable("roots/list", &Value::Null) });
    assert_eq!(complete(&answer(client, tool, &state, responses)), "The client has 1 roots");
}

fn request_state(client: &mut Client) {
    let tool = "test_input_required_result_request_state";
    let (questions, state) = begin(client, tool);
    assert_eq!(questions["confirm"]["params"]["requestedSchema"]["properties"]["ok"]["type"], "boolean");
    assert!(state.as_str().is_some_and(|state| !state.is_empty()), "{state}");
    let done = answer(client, tool, &state, json!({ "confirm": accept(json!({ "ok": true })) }));
    assert!(complete(&done).contains("state-ok"), "{done}");
}

fn several_at_once(client: &mut Client) {
    let tool = "test_input_required_result_multiple_inputs";
    let (questions, state) = begin(client, tool);
    let methods = json!({
        "user_name": "elicitation/create", "greeting": "sampling/createMessage", "client_roots": "roots/list",
    });
    let mut responses = json!({});
    for (key, question) in questions.as_object().expect("questions") {
        assert_eq!(question["method"], methods[key], "{key}");
        responses[key] = agreeable(question["method"].as_str().expect("a method"), &question["params"]);
    }
    assert_eq!(responses.as_object().map(serde_json::Map::len), Some(3));
    assert_eq!(complete(&answer(client, tool, &state, responses)), "Paris Ada, with 1 roots");
}

fn several_rounds(client: &mut Client) {
    let tool = "test_input_required_result_multi_round";
    let (questions, first) = begin(client, tool);
    assert!(questions.get("step1").is_some() && questions.get("step2").is_none(), "{questions}");
    let responses = json!({ "step1": accept(json!({ "name": "Alice" })) });
    let (questions, second) = asked(answer(client, tool, &first, responses)["result"].clone());
    assert!(questions.get("step2").is_some() && questions.get("step1").is_none(), "{questions}");
    assert_ne!(first, second);
    // The first answer is not repeated.
    let done = answer(client, tool, &second, json!({ "step2": accept(json!({ "color": "blue" })) }));
    assert_eq!(complete(&done), "Alice likes blue");
}

fn wrong_key(client: &mut Client) {
    let responses = json!({ "wrong_key": accept(json!({ "name": "Alice" })) });
    let (questions, _) = asked(answer(client, ELICITATION, &Value::Null, responses)["result"].clone());
    assert!(questions.get("user_name").is_some(), "{questions}");
}

fn prompt(client: &mut Client) {
    let mut params = json!({ "name": "test_input_required_result_prompt" });
    let (questions, state) = asked(client.result("prompts/get", params.clone()));
    assert_eq!(questions["user_context"]["params"]["message"], "What context should the prompt use?");
    params["inputResponses"] = json!({ "user_context": accept(json!({ "context": "a test" })) });
    params["requestState"] = state;
    let result = client.result("prompts/get", params);
    assert_eq!(result["messages"][0]["content"]["text"], "Use this context: a test");
}

fn result_type(client: &mut Client) {
    assert_eq!(client.call(ELICITATION, json!({}))["resultType"], "input_required");
    assert_eq!(client.call("echo", json!({ "text": "x" }))["resultType"], "complete");
}

fn other_methods(client: &mut Client) {
    for method in ["tools/list", "prompts/list", "resources/list", "server/discover"] {
        let result = client.result(method, json!({ "inputResponses": {} }));
        assert_eq!(result["resultType"], "complete", "{method}");
    }
}

fn tampered(client: &mut Client) {
    let tool = "test_input_required_result_tampered_state";
    let (_, state) = begin(client, tool);
    let sealed = state.as_str().expect("a text");
    let responses = json!({ "confirm": accept(json!({ "ok": true })) });
    for wrong in [format!("{sealed}-TAMPERED"), sealed.to_uppercase(), String::new(), "x".repeat(10_000)] {
        let refused = answer(client, tool, &json!(wrong), responses.clone());
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    assert_eq!(complete(&answer(client, tool, &state, responses)), "confirmed: true");
}

fn capabilities(client: &mut Client) {
    let tool = "test_input_required_result_capabilities";
    for (able, keys) in [
        (json!({ "sampling": {} }), &["greeting"][..]),
        (json!({ "elicitation": {} }), &["user_name"]),
        (json!({ "elicitation": { "form": {} }, "sampling": {} }), &["greeting", "user_name"]),
    ] {
        let mut other = client.again(able);
        let (questions, _) = begin(&mut other, tool);
        let mut asked: Vec<_> = questions.as_object().expect("questions").keys().collect();
        asked.sort();
        assert_eq!(asked, keys);
        other.end();
    }
}

fn extra_keys(client: &mut Client) {
    let (_, state) = begin(client, ELICITATION);
    let responses = json!({
        "user_name": accept(json!({ "name": "Alice", "age": 5 })), "nobody_asked": accept(json!({})), "": 5, "x": null,
    });
    assert_eq!(complete(&answer(client, ELICITATION, &state, responses)), "Hello, Alice!");
}

fn malformed(client: &mut Client) {
    let mut all = vec![json!(null), json!([]), json!("text")];
    for wrong in [json!(12345), json!(null), json!({}), json!({ "action": "maybe" }), accept(json!({ "name": 5 }))] {
        all.push(json!({ "user_name": wrong }));
    }
    for responses in all {
        let refused = answer(client, ELICITATION, &Value::Null, responses.clone());
        let again = refused["result"]["resultType"] == "input_required";
        assert!(again || refused["error"]["code"] == -32602, "{responses}: {refused}");
    }
}

fn elsewhere(client: &mut Client) {
    let (_, state) = begin(client, "test_input_required_result_request_state");
    let responses = json!({ "confirm": accept(json!({ "ok": true })) });
    // The same question, of another tool.
    let refused = answer(client, "test_input_required_result_tampered_state", &state, responses.clone());
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let mut params = json!({ "name": "test_input_required_result_request_state", "arguments": { "other": 1 } });
    params["inputResponses"] = responses;
    params["requestState"] = state;
    assert_eq!(client.error("tools/call", params)["code"], -32602);
}

fn both_eras(client: &mut Client) {
    let result = client.talk_to("test_input_required_result_multi_round", json!({}), agreeable);
    assert_eq!(text(&result), "Ada likes blue");
    let result = client.talk_to("test_input_required_result_multiple_inputs", json!({}), agreeable);
    assert_eq!(text(&result), "Paris Ada, with 1 roots");
}
