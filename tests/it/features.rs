//! Resources, templates, prompts and completion: in all revisions, over WebSocket and HTTP, each answer valid by its schema.

use crate::everywhere;
use crate::peer::{LEGACY, MODERN, Peer, serve, until};
use crate::schema::Schema;
use mcp_blocking::content::{
    Annotations, Blob, Content, Icon, PromptMessage, PromptOutput, ResourceContents, ResourceLink, Role,
};
use mcp_blocking::{CacheScope, Cacheable, NoArgs, Prompt, Running, Server, TaskSupport, Tool, ToolError, ToolResult};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Deserialize)]
struct Note {
    id: u32,
}

#[derive(Deserialize)]
struct File {
    path: String,
}

#[derive(Deserialize, JsonSchema)]
struct Review {
    /// What to look at.
    code: String,
    language: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

fn library() -> Server {
    let mut info =
        ResourceLink::new("config://app", "app config").title("Configuration").description("How it is set up");
    info = info.mime_type("application/json").size(2).icon(Icon::new("https://example.com/i.png"));
    info.annotations = {
        let mut annotations = Annotations::default();
        annotations.audience = vec![Role::User];
        annotations.priority = Some(0.5);
        annotations.last_modified = Some("2026-01-01T00:00:00Z".into());
        annotations
    };
    info.meta = Some(json!({ "acme/x": 1 }).as_object().expect("an object").clone());
    Server::new("library", "1.0.0")
        .resource_with(info, |_ctx| Ok("{}"))
        .resource("data://bytes", "bytes", "application/octet-stream", |_ctx| Ok(vec![1_u8, 2, 3]))
        .resource("data://several", "several", "text/plain", |_ctx| {
            Ok(vec![
                ResourceContents::text("data://several/1", "one"),
                ResourceContents::blob("data://several/2", Blob::from(vec![2])),
            ])
        })
        .resource("data://none", "none", "text/plain", |_ctx| Ok(Vec::<ResourceContents>::new()))
        .resource("data://broken", "broken", "text/plain", |_ctx| -> ToolResult<String> {
            Err(ToolError::new("the disk is gone"))
        })
        .resource("data://asks", "asks", "text/plain", |ctx| {
            Ok(ctx.ask::<Name>("name", "Your name?")?.accepted()?.name)
        })
        .template("note://{id}", "a note", "text/markdown", |_ctx, Note { id }| Ok(format!("# {id}")))
        .template("file:///{+path}", "a file", "text/plain", |_ctx, File { path }| Ok(path))
        .resource("note://7", "the seventh", "text/plain", |_ctx| Ok("seven"))
        .complete_template("note://{id}", "id", |_ctx, prefix| {
            Ok((0..300).map(|n| format!("{}{n}", &**prefix)).collect())
        })
        .prompt_with(
            Prompt::new("review", "Ask for a review").title("Review").meta("acme/y", 2),
            |_ctx, Review { code, language }| Ok(format!("Review this {}: {code}", language.unwrap_or_default())),
        )
        .prompt("talk", "A conversation", |_ctx, NoArgs| {
            let image = Content::image(vec![0_u8; 3], "image/png");
            let messages = [PromptMessage::user(image), PromptMessage::assistant("I see")];
            Ok(PromptOutput::new(messages).description("About an image"))
        })
        .prompt("asks", "Asks first", |ctx, NoArgs| {
            Ok(format!("Hello {}", ctx.ask::<Name>("name", "Your name?")?.accepted()?.name))
        })
        .complete_prompt("review", "language", |_ctx, prefix| {
            let code = prefix.argument("code").unwrap_or("-").to_owned();
            Ok(["rust", "ruby"]
                .into_iter()
                .filter(|name| name.starts_with(&**prefix))
                .map(str::to_owned)
                .chain([code])
                .collect())
        })
}

fn capabilities() -> Value {
    json!({ "elicitation": {} })
}

/// Runs a test for each revision with a client of each transport.
fn everywhere(server: fn() -> Server, test: impl Fn(&str, &mut dyn FnMut(&str, Value) -> Value)) {
    everywhere::each(server(), capabilities(), |client| {
        let revision = client.revision();
        test(revision, &mut |method, params| client.ask(method, params));
    });
}

#[test]
fn resources_are_listed_and_read() {
    everywhere(library, |revision, ask| {
        let modern = revision == MODERN;
        let list = ask("resources/list", json!({}))["result"].clone();
        let uris: Vec<_> = list["resources"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["uri"].as_str().expect("a uri").to_owned())
            .collect();
        assert_eq!(
            uris,
            [
                "config://app",
                "data://asks",
                "data://broken",
                "data://bytes",
                "data://none",
                "data://several",
                "note://7"
            ]
        );
        let hints = if modern { (json!(0), json!("private")) } else { (Value::Null, Value::Null) };
        assert_eq!((list["ttlMs"].clone(), list["cacheScope"].clone()), hints);
        let config = &list["resources"][0];
        assert_eq!(config["title"].is_string(), revision >= "2025-06-18", "{config}");
        assert_eq!(config["icons"].is_array(), revision >= "2025-11-25");
        assert_eq!(config["annotations"]["lastModified"].is_string(), revision >= "2025-06-18");
        assert_eq!((&config["size"], &config["annotations"]["priority"]), (&json!(2), &json!(0.5)));
        let templates = ask("resources/templates/list", json!({}))["result"]["resourceTemplates"].clone();
        assert_eq!(
            (&templates[0]["uriTemplate"], &templates[1]["uriTemplate"]),
            (&json!("file:///{+path}"), &json!("note://{id}"))
        );
        let mut read = |uri: &str| ask("resources/read", json!({ "uri": uri }));
        assert_eq!(
            read("config://app")["result"]["contents"],
            json!([{ "uri": "config://app", "mimeType": "application/json", "text": "{}" }])
        );
        assert_eq!(read("data://bytes")["result"]["contents"][0]["blob"], "AQID");
        assert_eq!(read("data://several")["result"]["contents"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            read("note://12")["result"]["contents"][0],
            json!({ "uri": "note://12", "mimeType": "text/markdown", "text": "# 12" })
        );
        assert_eq!(read("note://7")["result"]["contents"][0]["text"], "seven");
        assert_eq!(read("file:///a/b%20c")["result"]["contents"][0]["text"], "a/b c");
        assert_eq!(read("data://broken")["error"]["code"], -32603);
        for missing in ["x://y", "note://text", "note://", "data://none", "note://1/2", "no uri"] {
            let error = read(missing)["error"].clone();
            assert_eq!(
                (&error["code"], &error["data"]["uri"]),
                (&json!(if modern { -32602 } else { -32002 }), &json!(missing)),
                "{error}"
            );
        }
        assert_eq!(ask("resources/read", json!({}))["error"]["code"], -32602);
    });
}

#[test]
fn prompts_are_listed_and_filled() {
    everywhere(library, |revision, ask| {
        let list = ask("prompts/list", json!({}))["result"]["prompts"].clone();
        assert_eq!(list[1]["name"], "review");
        assert_eq!(list[1]["title"].is_string(), revision >= "2025-06-18");
        assert_eq!(
            list[1]["arguments"],
            json!([
                { "name": "code", "description": "What to look at.", "required": true }, { "name": "language", "required": false },
            ])
        );
        let mut get =
            |name: &str, arguments: Value| ask("prompts/get", json!({ "name": name, "arguments": arguments }));
        let review = get("review", json!({ "code": "x", "language": "rust" }));
        assert_eq!(
            review["result"]["messages"],
            json!([{ "role": "user", "content": { "type": "text", "text": "Review this rust: x" } }])
        );
        let talk = get("talk", json!({}))["result"].clone();
        assert_eq!(
            (&talk["description"], &talk["messages"][1]["role"]),
            (&json!("About an image"), &json!("assistant"))
        );
        assert_eq!(talk["messages"][0]["content"]["type"], "image");
        let missing = get("review", json!({ "language": "rust" }))["error"].clone();
        assert_eq!(missing["code"], -32602);
        assert!(missing["message"].as_str().expect("a text").contains("`code`"), "{missing}");
        assert_eq!(get("nothing", json!({}))["error"]["code"], -32602);
        assert_eq!(get("review", json!([]))["error"]["code"], -32602);
    });
}

#[test]
fn arguments_and_variables_are_completed() {
    everywhere(library, |revision, ask| {
        let mut complete = |reference: Value, name: &str, value: &str, context: Value| {
            let mut params = json!({ "ref": reference, "argument": { "name": name, "value": value } });
            if revision >= "2025-06-18" {
                params["context"] = context;
            }
            ask("completion/complete", params)
        };
        let prompt = || json!({ "type": "ref/prompt", "name": "review" });
        let found =
            complete(prompt(), "language", "rus", json!({ "arguments": { "code": "c" } }))["result"]["completion"]
                .clone();
        let known = if revision >= "2025-06-18" { "c" } else { "-" };
        assert_eq!((&found["values"], &found["hasMore"]), (&json!(["rust", known]), &json!(false)));
        assert_eq!(complete(prompt(), "code", "x", json!({}))["result"]["completion"]["values"], json!([]));
        let template = json!({ "type": "ref/resource", "uri": "note://{id}" });
        let many = complete(template, "id", "1", json!({}))["result"]["completion"].clone();
        assert_eq!(many["values"].as_array().map(Vec::len), Some(100));
        assert_eq!((&many["total"], &many["hasMore"]), (&json!(300), &json!(true)));
        for reference in [
            json!({ "type": "ref/prompt", "name": "none" }),
            json!({ "type": "ref/resource", "uri": "x://{y}" }),
            json!({ "type": "x" }),
            json!(5),
        ] {
            assert_eq!(complete(reference, "a", "b", json!({}))["error"]["code"], -32602);
        }
    });
}

#[test]
fn what_is_not_offered_does_not_exist() {
    fn bare() -> Server {
        Server::new("bare", "1.0.0").prompt("only", "A prompt", |_ctx, NoArgs| Ok("text"))
    }
    everywhere(bare, |revision, ask| {
        for method in [
            "tools/list",
            "tools/call",
            "resources/list",
            "resources/templates/list",
            "resources/read",
            "completion/complete",
        ] {
            assert_eq!(
                ask(
                    method,
                    if method == "resources/read" { json!({ "uri": "x://y" }) } else { json!({ "name": "x" }) }
                )["error"]["code"],
                -32601,
                "{method} {revision}"
            );
        }
        assert_eq!(ask("prompts/list", json!({}))["result"]["prompts"].as_array().map(Vec::len), Some(1));
        if revision == MODERN {
            let offered = ask("server/discover", json!({}))["result"]["capabilities"].clone();
            assert_eq!(offered, json!({ "logging": {}, "prompts": { "listChanged": true } }));
        }
    });
}

#[test]
fn each_method_is_there_in_its_revisions_and_in_no_other() {
    /// Each with its first and its last revision.
    const METHODS: [(&str, &str, &str); 20] = [
        ("initialize", "2024-11-05", "2025-11-25"),
        ("server/discover", MODERN, MODERN),
        ("ping", "2024-11-05", "2025-11-25"),
        ("tools/list", "2024-11-05", MODERN),
        ("tools/call", "2024-11-05", MODERN),
        ("resources/list", "2024-11-05", MODERN),
        ("resources/templates/list", "2024-11-05", MODERN),
        ("resources/read", "2024-11-05", MODERN),
        ("resources/subscribe", "2024-11-05", "2025-11-25"),
        ("resources/unsubscribe", "2024-11-05", "2025-11-25"),
        ("prompts/list", "2024-11-05", MODERN),
        ("prompts/get", "2024-11-05", MODERN),
        ("completion/complete", "2024-11-05", MODERN),
        ("logging/setLevel", "2024-11-05", "2025-11-25"),
        ("subscriptions/listen", MODERN, MODERN),
        ("tasks/get", "2025-11-25", MODERN),
        ("tasks/cancel", "2025-11-25", MODERN),
        ("tasks/result", "2025-11-25", "2025-11-25"),
        ("tasks/list", "2025-11-25", "2025-11-25"),
        ("tasks/update", MODERN, MODERN),
    ];
    let server = || {
        let long = Tool::new("long", "Takes long").task(TaskSupport::Optional);
        library().tool_with(long, |_ctx, NoArgs| Ok("done"))
    };
    everywhere(server, |revision, ask| {
        for (method, first, last) in METHODS {
            let answer = ask(method, json!({}));
            let unknown = answer["error"]["code"] == -32601;
            assert_eq!(unknown, !(first..=last).contains(&revision), "{method} in {revision}: {answer}");
        }
    });
}

#[test]
fn lists_come_in_pages_and_may_be_kept() {
    fn many() -> Server {
        let server = (0..7).fold(Server::new("many", "1.0.0"), |server, n| {
            server
                .resource(format!("r://{n}"), "r", "text/plain", |_ctx| Ok("x"))
                .template(format!("t{n}://{{id}}"), "t", "text/plain", |_ctx, _: Value| Ok("x"))
                .prompt(format!("p{n}"), "p", |_ctx, NoArgs| Ok("x"))
        });
        server.cache(Duration::from_secs(60), CacheScope::Public).limits(|limits| limits.page_size = 3)
    }
    everywhere(many, |revision, ask| {
        for (method, key) in [
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
            ("prompts/list", "prompts"),
        ] {
            let (mut sizes, mut params) = (Vec::new(), json!({}));
            loop {
                let page = ask(method, params)["result"].clone();
                if revision == MODERN {
                    assert_eq!((&page["ttlMs"], &page["cacheScope"]), (&json!(60_000), &json!("public")));
                }
                sizes.push(page[key].as_array().map_or(0, Vec::len));
                match page["nextCursor"].as_str() {
                    Some(cursor) => params = json!({ "cursor": cursor }),
                    None => break,
                }
            }
            assert_eq!(sizes, [3, 3, 1], "{method}");
            assert_eq!(ask(method, json!({ "cursor": "garbage" }))["error"]["code"], -32602);
        }
        if revision == MODERN {
            assert_eq!(ask("resources/read", json!({ "uri": "r://1" }))["result"]["ttlMs"], 60_000);
        }
    });
}

#[test]
fn each_list_and_each_resource_may_be_kept_for_a_time_of_its_own() {
    fn kept() -> Server {
        let seconds = Duration::from_secs;
        let server = Server::new("kept", "1.0.0")
            .cache_of(Cacheable::Discover, seconds(1), CacheScope::Public)
            .cache_of(Cacheable::Tools, seconds(2), CacheScope::Public)
            .cache_of(Cacheable::Contents, seconds(3), CacheScope::Private)
            .cache(seconds(4), CacheScope::Private)
            .cache_of(Cacheable::Prompts, Duration::MAX, CacheScope::Public);
        server
            .tool("t", "A tool", |_ctx, NoArgs| Ok("x"))
            .prompt("p", "A prompt", |_ctx, NoArgs| Ok("x"))
            .resource("r://plain", "r", "text/plain", |_ctx| Ok("x"))
            .template("r://own/{n}", "r", "text/plain", |ctx, variables: Value| {
                ctx.cache(Duration::from_millis(1_500), CacheScope::Public);
                Ok(variables.to_string())
            })
            .resource("r://asks", "r", "text/plain", |ctx| {
                ctx.cache(Duration::from_secs(9), CacheScope::Public);
                Ok(ctx.ask::<Name>("name", "Your name?")?.accepted()?.name)
            })
    }
    everywhere(kept, |revision, ask| {
        for (method, params, time, scope) in [
            ("server/discover", json!({}), 1_000, "public"),
            ("tools/list", json!({}), 2_000, "public"),
            ("resources/list", json!({}), 4_000, "private"),
            ("resources/templates/list", json!({}), 4_000, "private"),
            ("prompts/list", json!({}), 9_007_199_254_740_991_u64, "public"),
            ("resources/read", json!({ "uri": "r://plain" }), 3_000, "private"),
            ("resources/read", json!({ "uri": "r://own/1" }), 1_500, "public"),
        ] {
            if revision != MODERN && method == "server/discover" {
                continue;
            }
            let result = ask(method, params)["result"].clone();
            let (found, wanted) = ((result.get("ttlMs"), result.get("cacheScope")), (json!(time), json!(scope)));
            match revision == MODERN {
                true => assert_eq!(found, (Some(&wanted.0), Some(&wanted.1)), "{method}"),
                false => assert_eq!(found, (None, None), "{method} {revision}"),
            }
        }
        if revision == MODERN {
            let asked = ask("resources/read", json!({ "uri": "r://asks" }))["result"].clone();
            assert_eq!((&asked["resultType"], asked.get("ttlMs")), (&json!("input_required"), None));
        }
    });
}

#[test]
fn arguments_of_a_prompt_have_titles() {
    #[derive(Deserialize, JsonSchema)]
    struct Titled {
        #[schemars(title = "The code")]
        code: String,
    }
    let server = || Server::new("titled", "1").prompt("p", "A prompt", |_ctx, Titled { code }| Ok(code));
    everywhere(server, |revision, ask| {
        let argument = ask("prompts/list", json!({}))["result"]["prompts"][0]["arguments"][0].clone();
        let title = (revision >= "2025-06-18").then(|| json!("The code"));
        assert_eq!((argument["name"].as_str(), argument.get("title")), (Some("code"), title.as_ref()), "{argument}");
    });
}

#[test]
fn prompts_and_resources_ask_like_tools() {
    let running = serve(library());
    let accept = json!({ "action": "accept", "content": { "name": "Ada" } });
    for (method, params) in
        [("prompts/get", json!({ "name": "asks" })), ("resources/read", json!({ "uri": "data://asks" }))]
    {
        let text = |answer: &Value| {
            let result = &answer["result"];
            result["messages"][0]["content"]["text"]
                .as_str()
                .or(result["contents"][0]["text"].as_str())
                .map(str::to_owned)
        };
        let mut peer = Peer::able(&running, "2025-11-25", capabilities());
        let id = peer.start(method, params.clone());
        let question = peer.notice("elicitation/create");
        peer.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": accept }));
        assert!(text(&peer.answer(&id)).is_some_and(|text| text.ends_with("Ada")));
        let mut peer = Peer::able(&running, MODERN, capabilities());
        let first = peer.request(method, params.clone())["result"].clone();
        assert_eq!(first["resultType"], "input_required", "{first}");
        let mut again = params;
        again["requestState"] = first["requestState"].clone();
        again["inputResponses"] = json!({ "name": accept });
        assert!(text(&peer.request(method, again)).is_some_and(|text| text.ends_with("Ada")));
    }
}

fn changes(running: &Running) {
    let handle = running.handle();
    handle
        .edit(|registry| registry.add_prompt(Prompt::new("new", "New"), |_ctx, NoArgs| Ok("x")))
        .expect("a good prompt");
    handle.edit(|registry| registry.remove_resource("data://none"));
    handle.resource_updated("config://app");
    handle.resource_updated("data://bytes");
}

#[test]
fn what_a_session_watches_is_taken_from_the_memory_of_the_server() {
    let server = Server::new("watched", "1.0.0").template("x://{id}", "x", "text/plain", |_ctx, _: Value| Ok("x"));
    let running = serve(server.limits(|limits| (limits.memory_bytes, limits.message_bytes) = (1 << 20, 16 << 10)));
    let memory = || running.handle().status().memory_used;
    let uri = |at: usize| format!("x://{at}{}", "a".repeat(3_000));
    let mut peer = Peer::of(&running, "2025-11-25");
    let before = memory();
    let refused = (0..1_000).find_map(|at| {
        let answer = peer.request("resources/subscribe", json!({ "uri": uri(at) }));
        (!answer["error"].is_null()).then(|| (at, answer["error"]["code"].clone()))
    });
    let Some((watched, code)) = refused else { panic!("there is no bound") };
    assert!((100..350).contains(&watched) && code == -31001, "{watched} {code}");
    assert!(memory() > before + watched * 3_000);
    for at in 0..watched {
        peer.request("resources/unsubscribe", json!({ "uri": uri(at) }));
    }
    until("it is given back", || memory() <= before + 4_096);
    // Again and again is once.
    for _ in 0..500 {
        assert_eq!(peer.request("resources/subscribe", json!({ "uri": uri(0) }))["result"], json!({}));
    }
    drop(peer);
    until("its end gives it back", || memory() == 0);
}

#[test]
fn changes_are_told_to_those_who_want_to_know() {
    for revision in LEGACY {
        let running = serve(library());
        let schema = Schema::of(revision);
        let mut peer = Peer::of(&running, revision);
        assert_eq!(peer.request("resources/subscribe", json!({ "uri": "config://app" }))["result"], json!({}));
        assert_eq!(peer.request("resources/subscribe", json!({ "uri": "x://none" }))["error"]["code"], -32002);
        changes(&running);
        peer.barrier();
        let told = peer.take_held();
        told.iter().for_each(|notice| schema.check_message(notice, None));
        let methods: Vec<_> = told.iter().map(|notice| notice["method"].as_str().expect("a method")).collect();
        assert_eq!(
            methods,
            [
                "notifications/prompts/list_changed",
                "notifications/resources/list_changed",
                "notifications/resources/updated"
            ]
        );
        assert_eq!(told[2]["params"]["uri"], "config://app");
        assert_eq!(peer.request("resources/unsubscribe", json!({ "uri": "config://app" }))["result"], json!({}));
        running.handle().resource_updated("config://app");
        peer.assert_silent();
    }
    let running = serve(library());
    let schema = Schema::of(MODERN);
    let mut peer = Peer::of(&running, MODERN);
    let filter = json!({ "promptsListChanged": true, "resourceSubscriptions": ["config://app"] });
    let id = peer.start("subscriptions/listen", json!({ "notifications": filter }));
    assert_eq!(peer.notice("notifications/subscriptions/acknowledged")["params"]["notifications"], filter);
    changes(&running);
    peer.barrier();
    let told = peer.take_held();
    told.iter().for_each(|notice| schema.check_message(notice, None));
    let methods: Vec<_> = told.iter().map(|notice| notice["method"].as_str().expect("a method")).collect();
    assert_eq!(methods, ["notifications/prompts/list_changed", "notifications/resources/updated"]);
    assert!(told.iter().all(|notice| notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == id));
    assert_eq!(peer.request("resources/subscribe", json!({ "uri": "config://app" }))["error"]["code"], -32601);
}

#[test]
fn what_cannot_be_served_is_reported_all_at_once() {
    #[derive(Deserialize, JsonSchema)]
    struct Number {
        #[allow(dead_code, reason = "only its schema is looked at")]
        n: u32,
    }
    #[derive(JsonSchema)]
    struct Library {
        #[allow(dead_code, reason = "only its schema is looked at")]
        books: Vec<String>,
    }
    let server = Server::new("wrong", "1.0.0")
        .resource("no uri", "x", "text/plain", |_ctx| Ok("x"))
        .resource("a://b", "x", "text/plain", |_ctx| Ok("x"))
        .resource("a://b", "x", "text/plain", |_ctx| Ok("x"))
        .template("t://{", "x", "text/plain", |_ctx, _: Value| Ok("x"))
        .prompt("number", "Wants a number", |_ctx, Number { n: _ }| Ok("x"))
        .prompt("", "Has no name", |_ctx, NoArgs| Ok("x"))
        .prompt("same", "One", |_ctx, NoArgs| Ok("x"))
        .prompt("same", "Another", |_ctx, NoArgs| Ok("x"))
        .template("same://{x}", "x", "text/plain", |_ctx, _: Value| Ok("x"))
        .template("same://{x}", "x", "text/plain", |_ctx, _: Value| Ok("x"))
        .complete_prompt("same", "x", |_ctx, _prefix| Ok(Vec::new()))
        .complete_prompt("same", "x", |_ctx, _prefix| Ok(Vec::new()))
        .form::<Name>()
        .form::<Library>();
    let problems = server.bind("127.0.0.1:0").expect_err("problems").to_string();
    for what in [
        "resource `no uri`",
        "its address is taken",
        "template `t://{`",
        "argument `n` has to be a text",
        "prompt ``",
        "prompt `same`: its name is taken",
        "template `same://{x}`: it is registered twice",
        "completion of `x` in `same`: it is registered twice",
        "form `Library`: field `books` is a list of something else than choices",
    ] {
        assert!(problems.contains(what), "{what}: {problems}");
    }
    assert!(problems.contains("features.rs"), "the place of each: {problems}");
}

#[test]
fn completions_of_what_is_not_there_are_reported() {
    let none = |_: &mcp_blocking::Ctx, _: &mcp_blocking::Prefix| -> ToolResult<Vec<String>> { Ok(Vec::new()) };
    let server = || {
        Server::new("wrong", "1.0.0")
            .complete_prompt("greet", "name", none)
            .complete_template("note://{id}", "id", none)
            .prompt("greet", "Greets", |_ctx, Name { name }| Ok(name))
            .template("note://{id}", "Notes", "text/plain", |_ctx, _: Value| Ok("x"))
    };
    // In any order.
    let _ = server().bind("127.0.0.1:0").expect("nothing is wrong");
    let server = server()
        .complete_prompt("great", "name", none)
        .complete_prompt("greet", "nam", none)
        .complete_template("note://{nr}", "nr", none)
        .complete_template("note://{id}", "nr", none);
    let problems = server.bind("127.0.0.1:0").expect_err("problems").to_string();
    for what in [
        "completion of `name` in `great`: there is no such prompt",
        "completion of `nam` in `greet`: the prompt has no such argument",
        "completion of `nr` in `note://{nr}`: there is no such template",
        "completion of `nr` in `note://{id}`: the template has no such variable",
    ] {
        assert!(problems.contains(what), "{what}: {problems}");
    }
    assert_eq!(problems.matches("features.rs").count(), 4, "the place of each: {problems}");
}
