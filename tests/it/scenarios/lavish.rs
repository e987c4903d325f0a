//! A server that says all there is to say, in a random selection: each revision is told what it knows, all of it and nothing else.
//!
//! That each message is valid, with no member that its schema does not name, is what [`Client`] sees to; here is counted what comes at
//! all, against a list that was not made from the schemas.

use super::client::{Client, able};
use super::wire::Transport;
use super::{Place, questions};
use crate::peer::{ALL, MODERN, serve};
use mcp_blocking::ask::{Form, OpenUrl, Roots, Sampling};
use mcp_blocking::content::{
    Annotations, Content, Icon, MetaMap, PromptMessage, PromptOutput, ResourceContents, ResourceLink, Role, Theme,
    ToolOutput,
};
use mcp_blocking::{CacheScope, Json, LogLevel, NoArgs, Prompt, Server, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What came with a revision, and went with another: names of members, and kinds of content.
const WORDS: [(&str, &str, &str); 25] = [
    ("\"audio\"", ALL[1], MODERN),
    ("\"resource_link\"", ALL[2], MODERN),
    ("cacheScope", MODERN, MODERN),
    ("completions", ALL[1], MODERN),
    ("default", ALL[2], MODERN),
    ("elicitationId", ALL[3], ALL[3]),
    ("enumNames", ALL[2], ALL[2]),
    ("icons", ALL[3], MODERN),
    ("inputRequests", MODERN, MODERN),
    ("io.modelcontextprotocol/serverInfo", MODERN, MODERN),
    ("io.modelcontextprotocol/subscriptionId", MODERN, MODERN),
    ("lastModified", ALL[2], MODERN),
    ("mode", ALL[3], MODERN),
    ("oneOf", ALL[3], MODERN),
    ("outputSchema", ALL[2], MODERN),
    ("priority", ALL[0], MODERN),
    ("protocolVersion", ALL[0], ALL[3]),
    ("readOnlyHint", ALL[1], MODERN),
    ("requestedSchema", ALL[2], MODERN),
    ("resultType", MODERN, MODERN),
    ("size", ALL[0], MODERN),
    ("structuredContent", ALL[2], MODERN),
    ("title", ALL[1], MODERN),
    ("ttlMs", MODERN, MODERN),
    ("websiteUrl", ALL[3], MODERN),
];

/// A generator of numbers that are random enough, and the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % most
    }

    fn maybe(&mut self) -> bool {
        self.below(2) == 0
    }

    /// The thing as it is, or changed.
    fn perhaps<T>(&mut self, thing: T, change: impl FnOnce(T) -> T) -> T {
        if self.maybe() { change(thing) } else { thing }
    }
}

fn icon() -> Icon {
    Icon::new("https://example.com/icon.png").mime_type("image/png").size("48x48").theme(Theme::Dark)
}

fn meta() -> MetaMap {
    MetaMap::from_iter([("example.com/extra".to_owned(), json!(1))])
}

fn annotations(dice: &mut Dice) -> Annotations {
    let mut annotations = Annotations::default();
    annotations.audience = if dice.maybe() { vec![Role::Assistant, Role::User] } else { Vec::new() };
    annotations.priority = dice.maybe().then_some(0.25);
    annotations.last_modified = dice.maybe().then(|| "2025-01-12T15:00:58Z".to_owned());
    annotations
}

fn link(dice: &mut Dice, uri: &str, name: &str) -> ResourceLink {
    let mut link = ResourceLink::new(uri, name);
    link = dice.perhaps(link, |link| link.title("A title"));
    link = dice.perhaps(link, |link| link.description("What it is"));
    link = dice.perhaps(link, |link| link.mime_type("text/plain"));
    link = dice.perhaps(link, |link| link.size(7));
    link = dice.perhaps(link, |link| link.icon(icon()));
    link.annotations = annotations(dice);
    link.meta = dice.maybe().then(meta);
    link
}

fn contents(dice: &mut Dice, uri: &str) -> ResourceContents {
    let contents =
        if dice.maybe() { ResourceContents::text(uri, "text") } else { ResourceContents::blob(uri, b"\x01\x02") };
    let contents = dice.perhaps(contents, |contents| contents.mime_type("text/plain"));
    dice.perhaps(contents, |contents| contents.meta("example.com/extra", 1))
}

fn block(dice: &mut Dice) -> Content {
    let mut block = match dice.below(5) {
        0 => Content::text("text"),
        1 => Content::image(b"\x89PNG", "image/png"),
        2 => Content::audio(b"RIFF", "audio/wav"),
        3 => Content::from(link(dice, "test://linked", "linked")),
        _ => Content::resource(contents(dice, "test://embedded")),
    };
    *block.annotations_mut() = annotations(dice);
    *block.meta_mut() = dice.maybe().then(meta);
    block
}

fn output(dice: &mut Dice) -> ToolOutput {
    let blocks: Vec<_> = (0..dice.below(6)).map(|_| block(dice)).collect();
    let mut output = if dice.maybe() { ToolOutput::from(blocks) } else { structured(dice) };
    output.is_error = dice.below(4) == 0;
    dice.perhaps(output, |output| output.meta("example.com/extra", 1))
}

fn structured(dice: &mut Dice) -> ToolOutput {
    let values = [json!({ "a": 1 }), json!([1, 2]), json!(null), json!("text"), json!(5), json!(true)];
    ToolOutput::structured(&values[dice.below(6) as usize]).expect("JSON")
}

#[derive(Serialize, JsonSchema)]
struct Found {
    /// An object, so that older revisions have it, too.
    found: Vec<u32>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Topic {
    /// What it is about.
    #[allow(dead_code, reason = "only its schema is looked at")]
    topic: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Details {
    /// What to be called.
    #[schemars(default = "nobody", length(max = 50))]
    #[allow(dead_code, reason = "only its schema is looked at")]
    name: String,
    #[allow(dead_code, reason = "only its schema is looked at")]
    color: Color,
    /// Whether to remember it.
    #[schemars(default)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    remember: bool,
}

fn nobody() -> String {
    "nobody".into()
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Color {
    /// Like the sky.
    Blue,
    /// Like grass.
    Green,
}

fn lavish(seed: u64) -> Server {
    let mut dice = Dice(seed);
    let dice = &mut dice;
    let mut server = Server::new("lavish", "1.0.0").instructions("Ask for anything.");
    server = server.title("Lavish").description("Says a lot").website("https://example.com").icon(icon());
    server = dice.perhaps(server, |server| server.cache(Duration::from_secs(60), CacheScope::Public));
    for number in 0..10 {
        let mut tool = Tool::new(format!("tool-{number}"), "Returns what it was made with");
        tool = dice.perhaps(tool, |tool| tool.title("A title"));
        tool = dice.perhaps(tool, Tool::read_only);
        tool = dice.perhaps(tool, Tool::idempotent);
        tool = dice.perhaps(tool, Tool::closed_world);
        tool = dice.perhaps(tool, |tool| tool.icon(icon()));
        tool = dice.perhaps(tool, |tool| tool.meta("example.com/extra", 1));
        tool = dice.perhaps(tool, Tool::quick);
        let output = output(dice);
        server = server.tool_with(tool, move |_ctx, NoArgs| Ok(output.clone()));
        let uri = format!("test://{number}");
        let (resource, read) = (link(dice, &uri, "one"), contents(dice, &uri));
        server = server.resource_with(resource, move |_ctx| Ok(read.clone()));
        let template = link(dice, &format!("test-{number}://{{id}}"), "many");
        server = server.template_with(template, |_ctx, Id { id }| Ok(id));
        let mut prompt = Prompt::new(format!("prompt-{number}"), "Says what it was made with");
        prompt = dice.perhaps(prompt, |prompt| prompt.title("A title"));
        prompt = dice.perhaps(prompt, |prompt| prompt.icon(icon()));
        prompt = dice.perhaps(prompt, |prompt| prompt.meta("example.com/extra", 1));
        let said = PromptOutput::new((0..1 + dice.below(4)).map(|_| PromptMessage::user(block(dice))));
        let said = dice.perhaps(said, |said| said.description("What was said"));
        server = server.prompt_with(prompt, move |_ctx, _: Topic| Ok(said.clone()));
    }
    asking(server)
        .tool("found", "Returns an object", |_ctx, NoArgs| Ok(Json(Found { found: vec![1, 2] })))
        .tool("list", "Returns a list", |_ctx, NoArgs| Ok(Json(vec![1, 2])))
        .tool("reports", "Reports and logs", |ctx, NoArgs| {
            ctx.report(1.0, Some(2.0), Some("half of it"))?;
            ctx.log(LogLevel::Error, json!({ "any": ["thing"] }));
            ctx.report(2.0, None, None)?;
            Ok("done")
        })
        .tool("change", "Changes everything", |ctx, NoArgs| {
            let handle = ctx.handle();
            handle.tools_changed();
            handle.prompts_changed();
            handle.resources_changed();
            handle.resource_updated("test://0");
            Ok("changed")
        })
        .complete_prompt("prompt-0", "topic", |_ctx, _prefix| Ok(vec!["rain".to_owned()]))
}

fn asking(server: Server) -> Server {
    server
        .tool("form", "Asks the user", |ctx, NoArgs| {
            Ok(ctx.put(Form::<Details>::new("details", "Who are you?"))?.action())
        })
        .tool("page", "Asks to open a page", |ctx, NoArgs| {
            Ok(ctx.put(OpenUrl::new("page", "Please sign in", "https://example.com/"))?.action())
        })
        .tool("model", "Asks the model and for the roots", |ctx, NoArgs| {
            let question = Sampling::new("model", "Say it").system("Be brief").temperature(0.5).stop_at(["."]);
            let preferences = json!({ "hints": [{ "name": "small" }], "speedPriority": 1 });
            let question = question.model_preferences(preferences);
            let (sampled, roots) = ctx.ask_all((question, Roots::new("roots")))?;
            Ok(format!("{} {}", sampled.text(), roots.len()))
        })
}

/// Has everything said that can be said to this client.
fn listen_to_all(client: &mut Client) {
    let tools = client.list("tools/list", "tools");
    let resources = client.list("resources/list", "resources");
    let templates = client.list("resources/templates/list", "resourceTemplates");
    let prompts = client.list("prompts/list", "prompts");
    assert_eq!((resources.len(), templates.len(), prompts.len()), (10, 10, 10));
    let watched = json!({ "uri": "test://0" });
    if client.is_modern() {
        client.result("server/discover", json!({}));
        let everything = json!({
            "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
            "resourceSubscriptions": ["test://0"],
        });
        client.start("subscriptions/listen", json!({ "notifications": everything }));
        client.notice("notifications/subscriptions/acknowledged");
    } else {
        client.result("resources/subscribe", watched);
    }
    for tool in &tools {
        let level = json!("debug");
        let meta = json!({ "progressToken": tool["name"], "io.modelcontextprotocol/logLevel": level });
        let answer =
            client.talk("tools/call", json!({ "name": tool["name"], "_meta": meta }), |method, params| {
                match (method, params["mode"].as_str()) {
                    ("elicitation/create", Some("url")) => json!({ "action": "accept" }),
                    ("elicitation/create", _) => json!({ "action": "decline" }),
                    _ => questions::agreeable(method, params),
                }
            });
        // What the revision cannot ask is a result that says so.
        assert!(answer.get("result").is_some(), "{answer}");
    }
    for notice in ["tools/list_changed", "prompts/list_changed", "resources/list_changed", "resources/updated"] {
        client.notice(&format!("notifications/{notice}"));
    }
    for resource in &resources {
        client.result("resources/read", json!({ "uri": resource["uri"] }));
    }
    client.result("resources/read", json!({ "uri": "test-3://id" }));
    client.error("resources/read", json!({ "uri": "test://none" }));
    for prompt in &prompts {
        client.result("prompts/get", json!({ "name": prompt["name"] }));
    }
    let topic =
        json!({ "ref": { "type": "ref/prompt", "name": "prompt-0" }, "argument": { "name": "topic", "value": "" } });
    client.result("completion/complete", topic);
    client.error("no/such/method", json!({}));
}

/// The names of all members, and the values of `type`; but for what is the author's own.
fn words(message: &Value, words: &mut BTreeSet<String>) {
    match message {
        Value::Object(object) => {
            for (name, value) in object {
                words.insert(name.clone());
                if name == "type" {
                    words.insert(value.to_string());
                }
                if !["inputSchema", "outputSchema", "structuredContent"].contains(&name.as_str()) {
                    self::words(value, words);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| self::words(item, words)),
        _ => {}
    }
}

#[test]
fn each_revision_is_told_all_that_it_knows_and_nothing_else() {
    let mut heard = ALL.map(|_| BTreeSet::new());
    for seed in [0x5eed, 0x0dd5, 0xd1ce] {
        let running = serve(lavish(seed));
        for (revision, heard) in ALL.into_iter().zip(&mut heard) {
            for transport in [Transport::WebSocket, Transport::Http] {
                let place = Place { transport, revision, address: Some(running.addr()), options: Vec::new() };
                let mut client = Client::with(&place, able(revision));
                listen_to_all(&mut client);
                client.end().iter().for_each(|message| words(message, heard));
            }
        }
    }
    for (revision, heard) in ALL.into_iter().zip(&heard) {
        for (word, since, until) in WORDS {
            let known = (since..=until).contains(&revision);
            assert_eq!(heard.contains(word), known, "{word} in {revision}");
        }
    }
}
