//! Who may use what: scopes that callers have, or have not.

use crate::caller::{Caller, each, guarded, said};
use crate::demo::demo;
use crate::neighbor::{beside_with, exposed, from_there};
use crate::peer::{ALL, MODERN, serve};
use crate::tasks::{R4, reach};
use mcp_blocking::content::ResourceLink;
use mcp_blocking::{
    CacheScope, Ctx, Denied, Error, Method, NoArgs, Principal, Prompt, Server, Settings, TaskSupport, Tool, ToolResult,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

const KINDS: [&str; 4] = ["tools", "resources", "templates", "prompts"];

#[derive(Deserialize, JsonSchema)]
struct Id {
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Copy {
    #[serde(default)]
    overwrite: bool,
    #[serde(default)]
    report: bool,
}

fn done(_: &Ctx, _: NoArgs) -> ToolResult<&'static str> {
    Ok("done")
}

/// One of each kind for everybody, one for `files.read`, one for `files.write` and `disk`.
fn files() -> Server {
    files_with(
        guarded().scope_implies("files", ["files.read", "files.write"]).scope_implies("admin", ["files", "disk"]),
    )
}

fn files_with(settings: Settings) -> Server {
    Server::new("files", "1.0.0")
        .settings(settings)
        .tool("open", "For everybody", done)
        .tool_with(Tool::new("read", "Reads").scope("files.read"), done)
        .tool_with(Tool::new("write", "Writes").scope("files.write").scope("disk"), done)
        .resource("a://open", "open", "text/plain", |_ctx| Ok("open"))
        .resource_with(ResourceLink::new("a://read", "read").scope("files.read"), |_ctx| Ok("read"))
        .resource_with(ResourceLink::new("a://write", "write").scope("files.write").scope("disk"), |_ctx| Ok("write"))
        .template("t://open/{id}", "open", "text/plain", |_ctx, Id { id }| Ok(id))
        .template_with(ResourceLink::new("t://read/{id}", "read").scope("files.read"), |_ctx, Id { id }| Ok(id))
        .template_with(
            ResourceLink::new("t://write/{id}", "write").scope("files.write").scope("disk"),
            |_ctx, Id { id }| Ok(id),
        )
        .complete_template("t://read/{id}", "id", |_ctx, _| Ok(vec!["1".into()]))
        .prompt("open", "For everybody", |_ctx, NoArgs| Ok("open"))
        .prompt_with(Prompt::new("read", "Reads").scope("files.read"), |_ctx, Id { id }| Ok(id))
        .prompt_with(Prompt::new("write", "Writes").scope("files.write").scope("disk"), |_ctx, NoArgs| Ok("write"))
        .complete_prompt("read", "id", |_ctx, _| Ok(vec!["1".into()]))
        .method("acme/open", |_ctx, NoArgs| Ok(json!({})))
        .method_with(Method::new("acme/read").scope("files.read"), |_ctx, NoArgs| Ok(json!({})))
}

/// The last part of each name.
fn short(names: &[String]) -> Vec<&str> {
    names.iter().map(|name| name.trim_end_matches("/{id}").rsplit('/').next().unwrap_or_default()).collect()
}

#[test]
fn lists_show_what_the_caller_may_use_and_broader_scopes_imply_narrower_ones() {
    let running = serve(files());
    let cases: [(&str, &[&str]); 7] = [
        ("none", &["open"]),
        ("files.read", &["open", "read"]),
        ("files.write/other", &["open"]),
        ("files", &["open", "read"]),
        ("files.write/disk", &["open", "write"]),
        ("admin", &["open", "read", "write"]),
        ("all", &["open", "read", "write"]),
    ];
    for (token, seen) in cases {
        each(&running, token, |caller| {
            for kind in KINDS {
                assert_eq!(short(&caller.list(kind)), seen, "{kind} for {token} in {}", caller.revision());
            }
            for name in ["open", "read", "write"] {
                let allowed = seen.contains(&name);
                assert_eq!(caller.call(name) == "done", allowed, "{name} for {token} in {}", caller.revision());
                for uri in [format!("a://{name}"), format!("t://{name}/1")] {
                    let answer = caller.ask("resources/read", json!({ "uri": uri }));
                    assert_eq!(answer["error"].is_null(), allowed, "{uri} for {token}: {answer}");
                }
            }
        });
    }
}

#[test]
fn what_a_caller_may_not_use_is_answered_like_what_does_not_exist() {
    let running = serve(files());
    // The same request with a name that nobody has registered.
    let twins: [(&str, Value, Value); 7] = [
        ("tools/call", json!({ "name": "read" }), json!({ "name": "reed" })),
        ("prompts/get", json!({ "name": "read" }), json!({ "name": "reed" })),
        ("resources/read", json!({ "uri": "a://read" }), json!({ "uri": "a://reed" })),
        ("resources/read", json!({ "uri": "t://read/1" }), json!({ "uri": "t://reed/1" })),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "read" }, "argument": { "name": "id", "value": "" } }),
            json!({ "ref": { "type": "ref/prompt", "name": "reed" }, "argument": { "name": "id", "value": "" } }),
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/resource", "uri": "t://read/{id}" }, "argument": { "name": "id", "value": "" } }),
            json!({ "ref": { "type": "ref/resource", "uri": "t://reed/{id}" }, "argument": { "name": "id", "value": "" } }),
        ),
        ("acme/read", json!({}), json!({})),
    ];
    each(&running, "files.write", |caller| {
        for (method, hidden, unknown) in &twins {
            let (head, mut answer) = caller.ask_all(method, hidden.clone());
            let (other_head, mut other) = caller.ask_all(&method.replace("acme/read", "acme/reed"), unknown.clone());
            let (answer, other) = (answer.pop().expect("an answer"), other.pop().expect("an answer"));
            assert!(!answer["error"].is_null(), "{method} in {}: {answer}", caller.revision());
            let renamed =
                answer["error"].to_string().replace("read", "reed").replace("resources/reed", "resources/read");
            assert_eq!(renamed, other["error"].to_string(), "{method} in {}", caller.revision());
            let status = |head: Option<crate::web::Head>| {
                head.map(|head| (head.status, head.header("www-authenticate").is_some()))
            };
            assert_eq!(status(head), status(other_head));
        }
        if !caller.is_modern() {
            let watch = |caller: &mut Caller, uri: &str| {
                caller.ask("resources/subscribe", json!({ "uri": uri }))["error"].clone()
            };
            let hidden = watch(caller, "a://read").to_string().replace("read", "reed");
            assert_eq!(hidden, watch(caller, "a://reed").to_string());
            assert!(watch(caller, "a://open").is_null());
        }
    });
    // Who may use them is answered.
    each(&running, "files.read", |caller| {
        for (method, known, _) in &twins {
            let mut known = known.clone();
            if *method == "prompts/get" {
                known["arguments"] = json!({ "id": "1" });
            }
            let answer = caller.ask(method, known);
            assert!(answer["error"].is_null(), "{method} in {}: {answer}", caller.revision());
        }
    });
}

#[test]
fn pages_are_full_and_lists_with_scopes_in_them_are_for_one_caller_alone() {
    let mut server = Server::new("many", "1.0.0")
        .settings(guarded().limits(|limits| limits.page_size = 3))
        .cache(Duration::from_secs(60), CacheScope::Public)
        .resource("a://open", "open", "text/plain", |_ctx| Ok("open"))
        .resource_with(ResourceLink::new("b://secret", "secret").scope("b"), |ctx| {
            ctx.cache(Duration::from_secs(60), CacheScope::Public);
            Ok("secret")
        })
        .resource("c://looks", "looks", "text/plain", |ctx| Ok(if ctx.has_scope("b") { "more" } else { "less" }))
        .prompt("open", "For everybody", |_ctx, NoArgs| Ok("open"));
    for number in 0..20 {
        let tool = Tool::new(format!("tool-{number:02}"), "A tool");
        // Each third is for everybody, and so is the last.
        server = server.tool_with(if number % 3 == 1 { tool } else { tool.scope("b") }, done);
    }
    let running = serve(server);
    each(&running, "none", |caller| {
        let pages = caller.pages("tools");
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1], "{pages:?}");
        let names: Vec<_> =
            (0..20).filter(|number| number % 3 == 1).map(|number| format!("tool-{number:02}")).collect();
        assert_eq!(pages.concat(), names);
        if caller.is_modern() {
            let scope = |caller: &mut Caller, method: &str, params: Value| {
                caller.ask(method, params)["result"]["cacheScope"].clone()
            };
            assert_eq!(scope(caller, "tools/list", json!({})), "private");
            assert_eq!(scope(caller, "resources/list", json!({})), "private");
            assert_eq!(scope(caller, "prompts/list", json!({})), "public");
            assert_eq!(scope(caller, "resources/read", json!({ "uri": "a://open" })), "public");
            assert_eq!(scope(caller, "resources/read", json!({ "uri": "c://looks" })), "private");
        }
    });
    each(&running, "b", |caller| {
        let sizes: Vec<_> = caller.pages("tools").iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3, 3, 3, 3, 3, 2]);
        if caller.is_modern() {
            let secret = caller.ask("resources/read", json!({ "uri": "b://secret" }));
            assert_eq!(secret["result"]["cacheScope"], "private", "{secret}");
        }
    });
}

#[test]
fn a_page_that_ends_with_the_last_of_what_is_seen_has_no_cursor() {
    let mut server = Server::new("many", "1.0.0").settings(guarded().limits(|limits| limits.page_size = 2));
    for number in 0..4 {
        server = server.tool(format!("a-{number}"), "For everybody", done);
        server = server.tool_with(Tool::new(format!("b-{number}"), "Not for everybody").scope("b"), done);
    }
    let running = serve(server);
    let mut caller = Caller::over_http(&running, MODERN, "none");
    assert_eq!(caller.pages("tools").iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

/// A server that shows all it has, and what a handler may find out only when it runs.
fn stepping_up() -> Server {
    let settings = guarded().scope_implies("files", ["files.read", "files.write"]);
    Server::new("files", "1.0.0")
        .settings(settings)
        .tool_with(Tool::new("save", "Saves").scope("files.read").scope("files.write").step_up(), done)
        .tool_with(Tool::new("secret", "Not shown").scope("files.write"), done)
        .tool_with(Tool::new("copy", "Copies").scope("files.read").step_up(), |ctx, Copy { overwrite, report }| {
            if report {
                ctx.progress(1.0, 2.0)?;
            }
            if overwrite {
                ctx.require_scopes(&["files.write", "disk"])?;
            }
            Ok("copied")
        })
        .resource_with(ResourceLink::new("a://read", "read").scope("files.read").step_up(), |_ctx| Ok("read"))
        .template_with(ResourceLink::new("t://{id}", "read").scope("files.read").step_up(), |_ctx, Id { id }| Ok(id))
        .prompt_with(Prompt::new("read", "Reads").scope("files.read").step_up(), |_ctx, NoArgs| Ok("read"))
        .method_with(Method::new("acme/read").scope("files.read").step_up(), |_ctx, NoArgs| Ok(json!({})))
}

#[test]
fn step_up_names_all_scopes_that_are_needed_with_403_or_in_the_error() {
    let running = serve(stepping_up());
    each(&running, "none", |caller| {
        assert_eq!(caller.list("tools"), ["copy", "save"]);
        let cases = [
            ("tools/call", json!({ "name": "save", "arguments": {} }), "files.read files.write"),
            ("tools/call", json!({ "name": "copy", "arguments": {} }), "files.read"),
            ("resources/read", json!({ "uri": "a://read" }), "files.read"),
            ("resources/read", json!({ "uri": "t://1" }), "files.read"),
            ("prompts/get", json!({ "name": "read" }), "files.read"),
            ("acme/read", json!({}), "files.read"),
        ];
        for (method, params, scopes) in cases {
            challenged(caller, method, params, scopes);
        }
        assert_eq!(caller.call("secret"), "-32602 unknown tool: secret");
    });
    each(&running, "files.read", |caller| {
        assert_eq!(caller.call("copy"), "copied");
        let arguments = json!({ "overwrite": true });
        challenged(
            caller,
            "tools/call",
            json!({ "name": "copy", "arguments": arguments }),
            "files.read files.write disk",
        );
    });
    each(&running, "files/disk", |caller| {
        assert_eq!(
            said(&caller.ask("tools/call", json!({ "name": "copy", "arguments": { "overwrite": true } }))),
            "copied"
        );
        assert_eq!(caller.call("save"), "done");
    });
}

#[track_caller]
fn challenged(caller: &mut Caller, method: &str, params: Value, scopes: &str) {
    let (head, mut messages) = caller.ask_all(method, params);
    let error = messages.pop().expect("an answer")["error"].clone();
    let wanted = json!({ "error": "insufficient_scope", "scope": scopes });
    assert_eq!((&error["code"], &error["data"]), (&json!(-31003), &wanted), "{method} in {}", caller.revision());
    if let Some(head) = head {
        assert_eq!(head.status, 403, "{head:?}");
        let header = format!("Bearer realm=\"mcp\", error=\"insufficient_scope\", scope=\"{scopes}\"");
        assert_eq!(head.header("www-authenticate"), Some(&*header));
    }
}

#[test]
fn a_status_that_is_out_is_out_and_the_error_says_it_all() {
    let running = exposed(stepping_up());
    let _honest = beside_with(&running, "none");
    let mut caller = Caller::over_http(&running, MODERN, "files.read");
    let mut params = json!({ "name": "copy", "arguments": { "overwrite": true, "report": true } });
    params["_meta"] = json!({ "progressToken": "p" });
    let (head, messages) = caller.ask_all("tools/call", params);
    assert_eq!(head.expect("a head").status, 200);
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1]["error"]["data"]["scope"], "files.read files.write disk");
}

#[test]
fn a_setting_has_everything_step_up() {
    let settings = guarded().step_up();
    let tool = |name| Tool::new(name, "A tool");
    let server = Server::new("files", "1.0.0").settings(settings).tool_with(tool("save").scope("files.write"), done);
    let running = serve(server);
    each(&running, "none", |caller| {
        assert_eq!(caller.list("tools"), ["save"]);
        challenged(caller, "tools/call", json!({ "name": "save" }), "files.write");
    });
}

#[test]
fn in_a_session_over_http_each_request_may_do_what_its_own_token_may() {
    let running = exposed(files());
    let _honest = beside_with(&running, "none");
    for revision in ALL.into_iter().filter(|revision| *revision != "2024-11-05") {
        let mut caller = Caller::over_http(&running, revision, "none");
        assert_eq!(caller.call("read"), "-32602 unknown tool: read");
        assert_eq!(caller.with("files.read").call("read"), "done", "{revision}");
        assert_eq!(short(&caller.list("tools")), ["open", "read"]);
        assert_eq!(caller.with("files.write/disk").call("read"), "-32602 unknown tool: read");
        assert_eq!(short(&caller.list("resources")), ["open", "write"]);
    }
}

#[test]
fn what_handlers_see_of_a_principal_is_that_of_the_request() {
    let scopes = |ctx: &Ctx, _: NoArgs| {
        let scopes = ctx.principal().and_then(Principal::scopes).map(|scopes| scopes.collect::<Vec<_>>().join(" "));
        Ok(format!("{} {}", scopes.unwrap_or_else(|| "all".into()), ctx.has_scope("files.read")))
    };
    let running = serve(files().tool("scopes", "Says them", scopes));
    for revision in [R4, MODERN] {
        let mut caller = Caller::over_http(&running, revision, "none");
        assert_eq!(caller.call("scopes"), " false");
        assert_eq!(caller.with("files").call("scopes"), "files true");
        assert_eq!(caller.with("all").call("scopes"), "all true");
    }
}

#[test]
fn a_notification_may_do_what_its_own_token_may() {
    let (sender, seen) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let server = files().notification("acme/seen", move |ctx, NoArgs| {
        sender.lock().expect("not poisoned").send(ctx.has_scope("files.read")).expect("somebody waits");
    });
    let running = exposed(server);
    let _honest = beside_with(&running, "none");
    let mut caller = Caller::over_http(&running, R4, "none");
    for (token, has) in [("none", false), ("files", true), ("none", false)] {
        caller.with(token).tell("acme/seen");
        assert_eq!(seen.recv_timeout(crate::peer::PATIENCE), Ok(has));
    }
}

#[test]
fn who_is_not_asked_may_use_everything() {
    let server = || files_with(Settings::new());
    let running = serve(server());
    each(&running, "none", |caller| assert_eq!(caller.call("write"), "done"));
    // In this process and over streams nobody is asked, whatever sockets are.
    for era in [mcp_blocking::Era::Legacy, mcp_blocking::Era::Modern] {
        let client = files().in_memory().in_era(era);
        assert_eq!(client.call("write", ()).expect("a result"), "done");
        assert_eq!(client.list_tools().expect("a list").len(), 3);
    }
}

#[cfg(feature = "tls")]
#[test]
fn who_comes_in_without_a_name_where_others_have_one_may_use_what_needs_no_scope() {
    use crate::certs::{Authority, Client, VERSIONS};
    let (authority, clients) = (Authority::new("server"), Authority::new("clients"));
    let config = authority.issue(&["localhost"]).config().client_ca_pem(clients.pem()).optional_client_certificate();
    let running = serve(files_with(Settings::new().tls(config)));
    let own = clients.issue_with(&["alice.example"], |_| {});
    for revision in ALL {
        let mut nobody = Client::new(&authority).peer(&running, revision);
        assert_eq!(nobody.call("open", json!({}))["content"][0]["text"], "done");
        assert_eq!(nobody.call_error("read", json!({}))["code"], -32602);
        // A certificate says who somebody is, and limits nothing.
        let mut alice = Client::with(&authority, &VERSIONS, Some(&own)).peer(&running, revision);
        assert_eq!(alice.call("write", json!({}))["content"][0]["text"], "done");
    }
}

#[test]
fn an_edit_counts_at_once_for_those_who_are_connected() {
    let running = exposed(files());
    let _honest = beside_with(&running, "none");
    let handle = running.handle();
    let mut callers: Vec<_> = ALL.iter().map(|revision| Caller::over_websocket(&running, revision, "none")).collect();
    for caller in &mut callers {
        assert_eq!(caller.call("open"), "done");
    }
    handle
        .edit(|registry| registry.add_tool(Tool::new("open", "Not for everybody").scope("x"), done))
        .expect("it fits");
    for caller in &mut callers {
        assert_eq!(caller.call("open"), "-32602 unknown tool: open", "{}", caller.revision());
        assert!(caller.list("tools").is_empty());
    }
    handle.edit(|registry| registry.add_tool(Tool::new("open", "For everybody"), done)).expect("it fits");
    for caller in &mut callers {
        assert_eq!(caller.call("open"), "done");
    }
}

#[test]
fn an_address_with_a_scope_is_not_read_by_way_of_a_template_without_one() {
    let running = serve(
        Server::new("files", "1.0.0")
            .settings(guarded())
            .resource_with(ResourceLink::new("f://etc/secret", "secret").scope("s"), |_ctx| Ok("by its name"))
            .template("f://{+id}", "all", "text/plain", |_ctx, Id { id }| Ok(id)),
    );
    each(&running, "none", |caller| {
        let read = |caller: &mut Caller, uri: &str| caller.ask("resources/read", json!({ "uri": uri }));
        assert!(!read(caller, "f://etc/secret")["error"].is_null());
        assert!(read(caller, "f://etc/other")["error"].is_null());
    });
}

#[test]
fn an_address_that_fits_a_template_with_a_scope_is_not_read_by_way_of_one_without() {
    // Listed before and behind it.
    for all in ["hr://{+id}", "hr://{z}/{id}"] {
        let salaries = ResourceLink::new("hr://{id}/salaries", "salaries").scope("files.read");
        let running = serve(
            Server::new("hr", "1.0.0")
                .settings(guarded())
                .template_with(salaries, |_ctx, Id { id }| Ok(format!("salaries of {id}")))
                .template(all, "all", "text/plain", |_ctx, Id { id }| Ok(format!("open {id}"))),
        );
        let read = |caller: &mut Caller, uri: &str| caller.ask("resources/read", json!({ "uri": uri }));
        each(&running, "none", |caller| {
            assert!(!read(caller, "hr://it/salaries")["error"].is_null(), "{all}");
            assert!(read(caller, "hr://it/plans")["error"].is_null(), "{all}");
        });
        each(&running, "files.read", |caller| {
            assert_eq!(read(caller, "hr://it/salaries")["result"]["contents"][0]["text"], "salaries of it", "{all}");
        });
    }
}

#[test]
fn notices_of_a_resource_go_to_those_who_may_read_it() {
    let running = exposed(files());
    let _honest = beside_with(&running, "none");
    let handle = running.handle();
    let listen = |caller: &mut Caller| {
        let uris = json!({ "resourceSubscriptions": ["a://read", "a://open"] });
        caller.peer().start("subscriptions/listen", json!({ "notifications": uris }));
        caller.peer().notice("notifications/subscriptions/acknowledged")
    };
    let [mut reader, mut other] = ["files", "files.write"].map(|token| Caller::over_websocket(&running, MODERN, token));
    // What one may not know of is listened for in vain, as what does not exist is.
    assert_eq!(listen(&mut reader)["params"]["notifications"], listen(&mut other)["params"]["notifications"]);
    let mut legacy = Caller::over_websocket(&running, R4, "files.read");
    for uri in ["a://read", "a://open"] {
        assert!(legacy.ask("resources/subscribe", json!({ "uri": uri }))["error"].is_null());
    }
    let told = |caller: &mut Caller| caller.peer().notice("notifications/resources/updated")["params"]["uri"].clone();
    handle.resource_updated("a://read");
    handle.resource_updated("a://open");
    for caller in [&mut reader, &mut legacy] {
        assert_eq!([told(caller), told(caller)], ["a://read", "a://open"]);
    }
    assert_eq!(told(&mut other), "a://open");
    // It takes more from now on.
    let guarded = ResourceLink::new("a://read", "read").scope("more");
    handle.edit(|registry| registry.add_resource(guarded, |_ctx| Ok("read"))).expect("it fits");
    handle.resource_updated("a://read");
    handle.resource_updated("a://open");
    for caller in [&mut reader, &mut legacy, &mut other] {
        assert_eq!(told(caller), "a://open");
    }
}

#[test]
fn what_may_be_known_and_not_read_is_not_listened_for() {
    let running = serve(stepping_up());
    let mut caller = Caller::over_websocket(&running, MODERN, "none");
    let filter = json!({ "resourceSubscriptions": ["a://read", "a://unknown"] });
    caller.peer().start("subscriptions/listen", json!({ "notifications": filter }));
    let acknowledged = caller.peer().notice("notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!(["a://unknown"]));
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[test]
fn scopes_are_looked_at_again_when_an_answer_comes() {
    let tool = Tool::new("greet", "Asks").scope("greet");
    let running = exposed(Server::new("files", "1.0.0").settings(guarded()).tool_with(tool, |ctx, NoArgs| {
        let Name { name } = ctx.ask("name", "What is your name?")?.accepted()?;
        Ok(name)
    }));
    let _honest = beside_with(&running, "none");
    let mut caller = Caller::over_http(&running, MODERN, "greet");
    let asked = caller.ask("tools/call", json!({ "name": "greet", "arguments": {} }))["result"].clone();
    let answered = json!({
        "name": "greet", "arguments": {}, "requestState": asked["requestState"],
        "inputResponses": { "name": { "action": "accept", "content": { "name": "Ada" } } },
    });
    let refused = caller.with("none").ask("tools/call", answered.clone());
    assert_eq!(said(&refused), "-32602 unknown tool: greet");
    assert_eq!(said(&caller.with("greet").ask("tools/call", answered)), "Ada");
}

#[test]
fn a_task_has_the_scopes_of_the_request_that_began_it() {
    let tool = Tool::new("copy", "Copies").scope("a").task(TaskSupport::Required);
    let running = serve(Server::new("files", "1.0.0").settings(guarded()).tool_with(tool, |ctx, NoArgs| {
        let has = (ctx.has_scope("a"), ctx.has_scope("b"));
        ctx.require_scope("b")?;
        Ok(format!("{has:?}"))
    }));
    let capabilities = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let call = |token: &str| {
        let mut caller = Caller::over_websocket(&running, MODERN, token);
        let peer = caller.peer();
        peer.capabilities = capabilities.clone();
        let created = peer.request("tools/call", json!({ "name": "copy", "arguments": {} }));
        let id = created["result"]["taskId"].as_str().map(str::to_owned);
        (caller, id, created)
    };
    let (mut caller, id, _) = call("a/b");
    let ended = reach(caller.peer(), &id.expect("a task"), "completed");
    assert_eq!(ended["result"]["content"][0]["text"], "(true, true)");
    let (mut caller, id, _) = call("a");
    let ended = reach(caller.peer(), &id.expect("a task"), "failed");
    assert_eq!(ended["error"]["data"], json!({ "error": "insufficient_scope", "scope": "a b" }));
    let (_, id, answer) = call("b");
    assert_eq!((id, said(&answer)), (None, "-32602 unknown tool: copy".to_owned()));
    // The same in a session.
    let mut caller = Caller::over_websocket(&running, R4, "a");
    let created = caller.ask("tools/call", json!({ "name": "copy", "arguments": {}, "task": {} }));
    let id = created["result"]["task"]["taskId"].clone();
    let result = caller.ask("tasks/result", json!({ "taskId": id }));
    assert_eq!(result["error"]["data"]["scope"], "a b", "{result}");
}

#[test]
fn a_method_that_a_caller_may_not_use_goes_where_unknown_ones_go() {
    let running = serve(files().fallback(|_ctx, method, _params| Ok(json!({ "fallback": method }))));
    each(&running, "none", |caller| {
        assert_eq!(caller.ask("acme/read", json!({}))["result"]["fallback"], "acme/read");
        assert_eq!(caller.ask("acme/other", json!({}))["result"]["fallback"], "acme/other");
        assert!(caller.ask("acme/open", json!({}))["result"]["fallback"].is_null());
    });
    each(&running, "files.read", |caller| assert!(caller.ask("acme/read", json!({}))["result"]["fallback"].is_null()));
}

#[test]
fn what_is_no_scope_is_reported_all_at_once() {
    let link = |uri| ResourceLink::new(uri, "a");
    let settings = Settings::new()
        .scope_implies("a", ["b", "two words"])
        .scope_implies("b", ["a"])
        .authenticate(|_head| Err(Denied));
    let server = demo()
        .settings(settings)
        .tool_with(Tool::new("t", "A tool").scope("fine").scope("not fine"), done)
        .resource_with(link("r://a").scope("\""), |_ctx| Ok("a"))
        .template_with(link("t://{id}").scope(""), |_ctx, Id { id }| Ok(id))
        .prompt_with(Prompt::new("p", "A prompt").scope("back\\slash"), |_ctx, NoArgs| Ok("a"))
        .method_with(Method::new("acme/m").scope("\u{e4}"), |_ctx, NoArgs| Ok(json!({})));
    let Err(Error::Setup(problems)) = server.bind("127.0.0.1:0") else { panic!("it is bound") };
    let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(problems.len(), 7, "{text}");
    for part in [
        "tool `t`",
        "resource `r://a`",
        "template `t://{id}`",
        "prompt `p`",
        "method `acme/m`",
        "`two words`",
        "`b` cannot imply `a`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(problems.iter().all(|problem| problem.to_string().contains("scopes.rs")), "{text}");
}

#[test]
fn what_was_refused_is_counted_and_the_honest_caller_beside_it_goes_on() {
    let running = serve(files());
    let mut curious = Caller::over_websocket(&running, MODERN, "none");
    let mut honest = from_there(running.addr(), &[("Authorization", "Bearer files.read")]).speaking(MODERN);
    for _ in 0..50 {
        assert_eq!(curious.call("read"), "-32602 unknown tool: read");
        assert_eq!(honest.call("read", json!({}))["content"][0]["text"], "done");
    }
    assert_eq!(running.handle().status().forbidden, 50);
}
