//! Tools that ask the client, its user or its model something before they answer.

use mcp_blocking::ask::{Form, Roots, Sampling};
use mcp_blocking::schemars::JsonSchema;
use mcp_blocking::serde_json::{Value, json};
use mcp_blocking::{Answer, NoArgs, Server, ToolResult};
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Prompt {
    /// What to ask the model.
    prompt: String,
}

#[derive(Deserialize, JsonSchema)]
struct Message {
    /// What to tell the user.
    message: String,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Color {
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirm {
    ok: bool,
}

pub fn register(server: Server) -> Server {
    rounds(server)
        .tool("test_sampling", "Asks the client's model", |ctx, Prompt { prompt }| {
            let sampled = ctx.sample(Sampling::new("prompt", prompt).max_tokens(100))?;
            Ok(format!("LLM response: {}", sampled.text()))
        })
        .tool("test_sampling_with_tools", "Asks the client's model to use a tool", |ctx, Prompt { prompt }| {
            let roll = json!({ "name": "roll", "inputSchema": { "type": "object" } });
            let sampled = ctx.sample(Sampling::new("prompt", prompt).tools(vec![roll]).tool_choice("required"))?;
            let uses: Vec<_> = sampled.tool_uses().map(|(_id, name, input)| format!("{name} {input}")).collect();
            Ok(format!("LLM uses: {}", uses.join(", ")))
        })
        .tool("test_elicitation", "Asks the user for a name and an address", |ctx, Message { message }| {
            let schema = json!({
                "type": "object",
                "properties": {
                    "username": { "type": "string", "description": "User's response" },
                    "email": { "type": "string", "description": "User's email address" },
                },
                "required": ["username", "email"],
            });
            let answer = ctx.put(Form::raw("user", message, &schema))?;
            Ok(told("User response", &answer))
        })
        .tool("open_page", "Asks the user to open a page", |ctx, NoArgs| {
            let answer = ctx.ask_url("page", "Please sign in", "https://example.com/sign-in")?;
            Ok(format!("The user's answer: {}", answer.action()))
        })
        .tool("test_elicitation_sep1034_defaults", "Asks with a default for every kind of field", |ctx, NoArgs| {
            let answer = ctx.put(Form::raw("defaults", "Please review these values", &defaults()))?;
            Ok(told("Elicitation completed", &answer))
        })
        .tool("test_elicitation_sep1330_enums", "Asks with every kind of choice", |ctx, NoArgs| {
            let answer = ctx.put(Form::raw("enums", "Please choose", &enums()))?;
            Ok(told("Elicitation completed", &answer))
        })
}

/// Tools for clients that come back with their answers (2026-07-28); older ones are asked in between.
fn rounds(server: Server) -> Server {
    server
        .tool("test_input_required_result_elicitation", "Asks for a name", |ctx, NoArgs| {
            let Name { name } = ctx.ask("user_name", "What is your name?")?.accepted()?;
            Ok(format!("Hello, {name}!"))
        })
        .tool("test_input_required_result_sampling", "Asks the model", |ctx, NoArgs| {
            let question = Sampling::new("capital_question", "What is the capital of France?").max_tokens(100);
            Ok(ctx.sample(question)?.text())
        })
        .tool("test_input_required_result_list_roots", "Asks for the roots", |ctx, NoArgs| {
            let roots = ctx.roots("client_roots")?;
            Ok(format!("The client has {} roots", roots.len()))
        })
        .tool("test_input_required_result_request_state", "Asks to confirm", |ctx, NoArgs| {
            let Confirm { ok } = ctx.ask("confirm", "Please confirm")?.accepted()?;
            Ok(format!("state-ok, confirmed: {ok}"))
        })
        .tool("test_input_required_result_multiple_inputs", "Asks three things at once", |ctx, NoArgs| {
            let (name, greeting, roots) = ctx.ask_all((
                Form::<Name>::new("user_name", "What is your name?"),
                Sampling::new("greeting", "Generate a greeting").max_tokens(50),
                Roots::new("client_roots"),
            ))?;
            Ok(format!("{} {}, with {} roots", greeting.text(), name.accepted()?.name, roots.len()))
        })
        .tool("test_input_required_result_multi_round", "Asks two things, one after the other", |ctx, NoArgs| {
            let Name { name } = ctx.ask("step1", "Step 1: What is your name?")?.accepted()?;
            let Color { color } =
                ctx.ask("step2", format!("Step 2: What is your favorite color, {name}?"))?.accepted()?;
            Ok(format!("{name} likes {color}"))
        })
        .tool(
            "test_input_required_result_tampered_state",
            "Asks, with a state that must not be changed",
            |ctx, NoArgs| {
                let Confirm { ok } = ctx.ask("confirm", "Please confirm")?.accepted()?;
                Ok(format!("confirmed: {ok}"))
            },
        )
        .tool(
            "test_input_required_result_capabilities",
            "Asks what the client can answer",
            |ctx, NoArgs| -> ToolResult<String> {
                let can = ctx.capabilities();
                let name = can.elicitation_form.then(|| Form::<Name>::new("user_name", "What is your name?"));
                let greeting = can.sampling.then(|| Sampling::new("greeting", "Generate a greeting").max_tokens(50));
                match (name, greeting) {
                    (Some(name), Some(greeting)) => {
                        let (name, greeting) = ctx.ask_all((name, greeting))?;
                        Ok(format!("{} {}", greeting.text(), name.accepted()?.name))
                    }
                    (Some(name), None) => Ok(ctx.put(name)?.accepted()?.name),
                    (None, Some(greeting)) => Ok(ctx.put(greeting)?.text()),
                    (None, None) => Ok("This client can be asked nothing".into()),
                }
            },
        )
}

fn told(what: &str, answer: &Answer<Value>) -> String {
    let content = match answer {
        Answer::Accept(content) => content.clone(),
        Answer::Decline | Answer::Cancel => json!({}),
    };
    format!("{what}: action={}, content={content}", answer.action())
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "User name", "default": "John Doe" },
            "age": { "type": "integer", "description": "User age", "default": 30 },
            "score": { "type": "number", "description": "User score", "default": 95.5 },
            "status": {
                "type": "string",
                "description": "User status",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": { "type": "boolean", "description": "Verification status", "default": true },
        },
        "required": [],
    })
}

fn enums() -> Value {
    let options = ["option1", "option2", "option3"];
    let titled = |what: &str| {
        let choice = |(value, place)| json!({ "const": value, "title": format!("{place} {what}") });
        [("value1", "First"), ("value2", "Second"), ("value3", "Third")].map(choice)
    };
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": options },
            "titledSingle": { "type": "string", "oneOf": titled("Option") },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
        },
        "required": [],
    })
}
