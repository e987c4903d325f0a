//! Control characters, changes of direction and hidden text: what comes in, and what goes out.

use crate::everywhere::each;
use crate::neighbor::{beside, exposed};
use crate::peer::{ALL, MODERN, Peer, serve};
use crate::tasks::{begin, reach};
use mcp_blocking::content::{Content, PromptMessage, ToolOutput};
use mcp_blocking::{
    Answer, Ctx, Json, LogLevel, NoArgs, Server, Settings, TaskSupport, TextAction, TextClass, TextPolicy, Tool,
    ToolResult,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Told {
    told: String,
}

/// Text with something of each class.
const HOSTILE: &str = "a\u{1b}[31mred\u{1b}[0m \u{202e}evil\u{202c} hi\u{e0049}\u{e0067}\u{e006e} pass\u{200b}word";
const CLEAN: &str = "ared evil hi password";
const HONEST: [&str; 6] = [
    "می\u{200c}خواهم کتاب\u{200c}ها را بخوانم",
    "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} 🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "क्\u{200d}ष, עברית\u{200f} (5-3)",
    "ភាសា\u{200b}ខ្មែរ 葛\u{e0100}城市",
    "Hello \u{2068}علي\u{2069}",
    "line\n\ttab\r\n\u{c}page",
];

fn hidden(text: &str) -> bool {
    let acts = |letter: char| letter.is_control() && !"\t\n\r\u{c}".contains(letter);
    text.chars().any(|letter| {
        acts(letter) || matches!(letter, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{e0041}'..='\u{e0050}')
    })
}

/// Whether any string in it holds something hidden.
fn any_hidden(value: &Value) -> bool {
    match value {
        Value::String(text) => hidden(text),
        Value::Array(all) => all.iter().any(any_hidden),
        Value::Object(all) => all.iter().any(|(name, value)| hidden(name) || any_hidden(value)),
        _ => false,
    }
}

fn asks(ctx: &Ctx, _: NoArgs) -> ToolResult<String> {
    match ctx.ask::<Told>("name", format!("Who? {HOSTILE}"))? {
        Answer::Accept(Told { told }) => Ok(told),
        _ => Ok("no".into()),
    }
}

fn server() -> Server {
    let open = TextPolicy::all(TextAction::Allow);
    let described = |name: &str| Tool::new(name, format!("Echoes {HOSTILE}")).title(HOSTILE);
    Server::new("texts", "1")
        .instructions(HOSTILE)
        .tool_with(described("echo"), |_ctx, Text { text }| Ok(text))
        .tool_with(Tool::new("open", "Takes and gives all").text_in(open).text_out(open), |_ctx, Text { text }| {
            Ok(text)
        })
        .tool_with(Tool::new("takes", "Takes all").text_in(open), |_ctx, Text { text }| Ok(text))
        .tool_with(Tool::new("strips", "Strips").text_in(TextPolicy::all(TextAction::Strip)), |_ctx, Text { text }| {
            Ok(format!("{} {text}", text.chars().count()))
        })
        .tool_with(
            Tool::new("marks", "Marks").text_out(TextPolicy::outgoing().with(TextClass::Direction, TextAction::Mark)),
            |_ctx, NoArgs| Ok(HOSTILE),
        )
        .tool_with(Tool::new("refuses", "Refuses").text_out(TextPolicy::all(TextAction::Reject)), |_ctx, NoArgs| {
            Ok(HOSTILE)
        })
        .tool_raw(Tool::new("raw", "Raw"), &json!({ "type": "object" }), |_ctx, arguments| Ok(arguments.to_string()))
        .tool("structured", "Structured", |_ctx, NoArgs| Ok(Json(Told { told: HOSTILE.into() })))
        .tool("many", "Several blocks", |_ctx, NoArgs| {
            let link = Content::link("test://x", HOSTILE);
            Ok(ToolOutput::from(vec![Content::text(HOSTILE), link, Content::image(HOSTILE.as_bytes(), "image/png")]))
        })
        .tool("fails", "Fails", |_ctx, NoArgs| -> ToolResult<String> { Err(mcp_blocking::ToolError::new(HOSTILE)) })
        .tool("reports", "Reports", |ctx, NoArgs| {
            ctx.report(1.0, Some(2.0), Some(HOSTILE))?;
            ctx.log(LogLevel::Error, json!({ "said": HOSTILE }));
            Ok("done")
        })
        .tool("asks", "Asks", asks)
        .tool_with(Tool::new("asks-in-a-task", "Asks").task(TaskSupport::Optional), asks)
        .tool_with(
            Tool::new("refuses-in-a-task", "Asks")
                .task(TaskSupport::Optional)
                .text_out(TextPolicy::all(TextAction::Reject)),
            asks,
        )
        .resource("test://note", HOSTILE, "text/plain", |_ctx| Ok(HOSTILE))
        .template("test://by/{text}", "By text", "text/plain", |_ctx, Text { text }| Ok(text))
        .prompt("say", HOSTILE, |_ctx, Text { text }| Ok(vec![PromptMessage::user(format!("{text}{HOSTILE}"))]))
        .complete_prompt("say", "text", |_ctx, prefix| Ok(vec![format!("{}{HOSTILE}", &**prefix)]))
        .method("acme/say", |_ctx, Text { text }| Ok(json!({ "text": format!("{text}{HOSTILE}") })))
}

#[test]
fn what_a_client_hides_is_refused_with_its_place() {
    each(server(), json!({}), |client| {
        for (text, says) in [
            ("a\u{1b}[31m", "holds a control character, U+001B"),
            ("a\u{0}", "holds a control character, U+0000"),
            ("\u{9b}31m", "holds a control character, U+009B"),
            ("a\u{202e}b", "holds a character that turns text around, U+202E"),
            ("\u{2066}x\n\u{2069}", "holds a character that turns text around, U+2066"),
            ("x\u{e0041}", "holds a tag character, which nobody sees, U+E0041"),
        ] {
            for tool in ["echo", "raw"] {
                let told = client.failure(tool, json!({ "text": text }));
                assert_eq!(told, format!("invalid arguments: `/text`: {says}"));
            }
            let asked = json!({ "name": "say", "arguments": { "text": text } });
            let refused = client.ask("prompts/get", asked);
            assert_eq!(refused["error"]["code"], -32602, "{refused}");
            let reference = json!({ "type": "ref/prompt", "name": "say" });
            let asked = json!({ "ref": reference, "argument": { "name": "text", "value": text } });
            assert_eq!(client.ask("completion/complete", asked)["error"]["code"], -32602);
        }
        // However it is written.
        for escaped in ["\\u202e", "\\uDB40\\uDC41", "\\u001B", "\\b"] {
            let asked = json!({ "name": "raw", "arguments": { "a": [{ "b": "@" }] } });
            let answer = client.ask_with("tools/call", asked, |text| text.replace('@', escaped));
            let told = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
            assert!(told.starts_with("invalid arguments: `/a/0/b`: holds"), "{answer}");
        }
        // The name of a member is text, too.
        let told = client.failure("raw", json!({ "x\u{202e}": 1 }));
        assert!(told.contains("`/x\\u{202e}`: holds"), "{told}");
        for uri in ["test://by/a%1b", "test://by/%E2%80%AE"] {
            let refused = client.ask("resources/read", json!({ "uri": uri }));
            assert_eq!(refused["error"]["code"], -32602, "{refused}");
        }
    });
}

#[test]
fn honest_text_of_real_languages_goes_both_ways() {
    each(server(), json!({}), |client| {
        for text in HONEST {
            assert_eq!(client.call("echo", json!({ "text": text }))["content"][0]["text"], text, "{text}");
        }
        // What one pastes without knowing may come in; it does not go out again.
        assert_eq!(client.call("echo", json!({ "text": "pass\u{200b}word" }))["content"][0]["text"], "password");
    });
}

#[test]
fn nothing_hidden_goes_out_by_any_way() {
    each(server(), json!({}), |client| {
        for (method, params) in [
            ("tools/list", json!({})),
            ("prompts/list", json!({})),
            ("resources/list", json!({})),
            ("resources/templates/list", json!({})),
            ("resources/read", json!({ "uri": "test://note" })),
            ("prompts/get", json!({ "name": "say", "arguments": { "text": "x" } })),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/prompt", "name": "say" }, "argument": { "name": "text", "value": "x" } }),
            ),
            ("tools/call", json!({ "name": "structured" })),
            ("tools/call", json!({ "name": "many" })),
            ("tools/call", json!({ "name": "fails" })),
            ("tools/call", json!({ "name": "takes", "arguments": { "text": HOSTILE } })),
        ] {
            let answer = client.ask(method, params);
            assert!(answer["result"].is_object() && !any_hidden(&answer), "{method}: {answer}");
        }
        assert_eq!(client.call("many", json!({}))["content"][0]["text"], CLEAN);
        // What is no text is left alone.
        let picture = client.call("many", json!({}))["content"][2]["data"].clone();
        assert_eq!(picture, data_encoding_of(HOSTILE.as_bytes()));
    });
}

/// Base64, as it would be sent.
fn data_encoding_of(bytes: &[u8]) -> Value {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let six = (number >> (18 - 6 * place)) & 63;
            out.push(if place <= three.len() { char::from(LETTERS[six as usize]) } else { '=' });
        }
    }
    out.into()
}

#[test]
fn a_tool_may_have_a_policy_of_its_own() {
    each(server(), json!({}), |client| {
        assert_eq!(client.call("open", json!({ "text": HOSTILE }))["content"][0]["text"], HOSTILE);
        assert_eq!(
            client.call("strips", json!({ "text": HOSTILE }))["content"][0]["text"],
            format!("{} {CLEAN}", CLEAN.len())
        );
        let marked = client.call("marks", json!({}))["content"][0]["text"].clone();
        assert_eq!(marked, "ared \\u{202e}evil\\u{202c} hi password");
        let refused = client.ask("tools/call", json!({ "name": "refuses" }));
        assert_eq!(refused["error"]["code"], -32603, "{refused}");
        assert!(refused["error"]["message"].as_str().is_some_and(|text| text.starts_with("internal error, incident ")));
    });
}

#[test]
fn a_server_may_have_other_policies() {
    let settings = Settings::new()
        .text_in(TextPolicy::incoming().with(TextClass::Direction, TextAction::Strip))
        .text_out(TextPolicy::all(TextAction::Reject));
    each(server().settings(settings), json!({}), |client| {
        let refused = client.ask("tools/call", json!({ "name": "echo", "arguments": { "text": "a\u{200b}" } }));
        assert_eq!(refused["error"]["code"], -32603);
        assert_eq!(client.call("echo", json!({ "text": "a\u{202e}b" }))["content"][0]["text"], "ab");
        assert_eq!(client.call("open", json!({ "text": HOSTILE }))["content"][0]["text"], HOSTILE);
        // Two names that become one.
        let told = client.failure("raw", json!({ "a": 1, "a\u{202e}": 2 }));
        assert_eq!(told, "invalid arguments: `/a`: is there twice");
        // A list that is refused would help nobody.
        assert!(!any_hidden(&client.ask("tools/list", json!({}))["result"]));
    });
}

#[test]
fn an_id_goes_back_as_it_came() {
    let running = exposed(server());
    let _honest = beside(&running);
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let id = json!("id\u{202e}\u{e0041}");
        for (method, mut params) in [("tools/list", json!({})), ("tools/call", json!({ "name": "many" }))] {
            if peer.is_modern() {
                params["_meta"] = crate::peer::modern_meta(json!({}));
            }
            peer.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
            assert!(!any_hidden(&peer.result(&id)));
        }
        let token = json!("token\u{202e}");
        let call = peer.start_call_with_progress("reports", json!({}), token.clone());
        let report = peer.notice("notifications/progress");
        assert_eq!(report["params"]["progressToken"], token);
        assert!(!hidden(report["params"]["message"].as_str().unwrap_or_default()), "{report}");
        peer.result(&call);
        if !peer.is_modern() {
            let call = peer.start_call("reports", json!({}));
            let said = peer.notice("notifications/message");
            assert_eq!(said["params"]["data"]["said"], CLEAN, "{said}");
            peer.result(&call);
        }
        let answer = peer.request("acme/say", json!({ "text": "x" }));
        assert_eq!(answer["result"]["text"], format!("x{CLEAN}"));
        assert_eq!(peer.request("acme/say", json!({ "text": "\u{1b}" }))["error"]["code"], -32602);
    }
}

#[test]
fn answers_to_questions_are_text_too() {
    let running = exposed(server());
    let _honest = beside(&running);
    let accept = |told: &str| json!({ "action": "accept", "content": { "told": told } });
    for (told, fits) in [("bob", true), (HONEST[0], true), ("b\u{1b}]0;x\u{7}", false), ("b\u{202e}", false)] {
        let mut peer = Peer::able(&running, "2025-11-25", json!({ "elicitation": {} }));
        let call = peer.start_call("asks", json!({}));
        let question = peer.next();
        assert_eq!(question["params"]["message"], format!("Who? {CLEAN}"), "{question}");
        peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": accept(told) }));
        let result = peer.result(&call);
        let text = result["content"][0]["text"].as_str().expect("a text");
        assert_eq!(result["isError"] == true, !fits, "{result}");
        assert!(if fits { text == told } else { text.contains("`/content/told`: holds") }, "{result}");

        let mut peer = Peer::able(&running, MODERN, json!({ "elicitation": {} }));
        let first = peer.request("tools/call", json!({ "name": "asks", "arguments": {} }))["result"].clone();
        assert!(!any_hidden(&first), "{first}");
        let answers = json!({ "name": accept(told) });
        let again = json!({ "name": "asks", "arguments": {}, "requestState": first["requestState"], "inputResponses": answers });
        let answer = peer.request("tools/call", again);
        match fits {
            true => assert_eq!(answer["result"]["content"][0]["text"], told, "{answer}"),
            false => assert_eq!(answer["error"]["code"], -32602, "{answer}"),
        }
    }
}

#[test]
fn the_questions_of_a_task_are_text_too() {
    let running = serve(server());
    let capabilities = json!({ "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let mut peer = Peer::able(&running, MODERN, capabilities);
    let id = begin(&mut peer, MODERN, "asks-in-a-task", json!({}));
    let task = reach(&mut peer, &id, "input_required");
    assert_eq!(task["inputRequests"]["name"]["params"]["message"], format!("Who? {CLEAN}"), "{task}");
    // It is still the question that the handler asks.
    let answers = json!({ "name": { "action": "accept", "content": { "told": "bob" } } });
    peer.request("tasks/update", json!({ "taskId": id, "inputResponses": answers }));
    let task = reach(&mut peer, &id, "completed");
    assert_eq!(task["result"]["content"][0]["text"], "bob", "{task}");

    let id = begin(&mut peer, MODERN, "refuses-in-a-task", json!({}));
    let task = reach(&mut peer, &id, "failed");
    assert!(
        !any_hidden(&task) && task["error"]["message"].as_str().is_some_and(|text| text.contains("incident")),
        "{task}"
    );
}
