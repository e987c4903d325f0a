//! Extensions of an author's own: declared by both sides, or off.

use crate::everywhere::{Anyone, each};
use crate::peer::MODERN;
use crate::web::Web;
use mcp_blocking::{NoArgs, Server};
use serde_json::{Value, json};

const ID: &str = "com.example/units";

fn maps() -> Server {
    Server::new("maps", "1")
        .extension(ID, json!({ "units": ["m", "ft"] }))
        .extension("com.example.mcp/other", json!({}))
        .tool("height", "In the unit that the client likes", |ctx, NoArgs| {
            let declared = ctx.capabilities().extension(ID).is_some();
            Ok(match ctx.extension(ID) {
                Some(settings) => format!("in {}", settings.get("unit").unwrap_or(&Value::Null)),
                None => format!("in any unit ({declared})"),
            })
        })
        .tool("needs", "Needs it", |ctx, NoArgs| Ok(Value::from(ctx.require_extension(ID)?).to_string()))
        .tool("undeclared", "Looks for what the server has not declared", |ctx, NoArgs| {
            Ok(format!("{:?}", ctx.extension("com.example/undeclared")))
        })
}

fn with(extensions: Value) -> Value {
    json!({ "extensions": extensions })
}

/// Whether the client's revision has extensions.
fn has_them(client: &Anyone) -> bool {
    client.revision() >= "2025-11-25"
}

#[test]
fn a_server_says_what_it_extends() {
    let declared = json!({ ID: { "units": ["m", "ft"] }, "com.example.mcp/other": {} });
    each(maps(), json!({}), |client| {
        if client.revision() == MODERN {
            assert_eq!(client.ask("server/discover", json!({}))["result"]["capabilities"]["extensions"], declared);
        }
    });
    let running = crate::peer::serve(maps());
    for revision in crate::peer::LEGACY {
        let result = crate::peer::Peer::connect(&running).initialize(revision);
        let shown = (revision == "2025-11-25").then_some(&declared);
        assert_eq!(result["capabilities"].get("extensions"), shown, "{revision}");
    }
}

#[test]
fn an_extension_is_on_if_both_declare_it() {
    each(maps(), with(json!({ ID: { "unit": "ft" }, "com.example/undeclared": {} })), |client| {
        let text = client.call("height", json!({}))["content"][0]["text"].clone();
        if has_them(client) {
            assert_eq!(text, "in \"ft\"");
            assert_eq!(client.call("needs", json!({}))["content"][0]["text"], "{\"unit\":\"ft\"}");
        } else {
            assert_eq!(text, "in any unit (true)");
            assert!(client.failure("needs", json!({})).contains(ID));
        }
        assert_eq!(client.call("undeclared", json!({}))["content"][0]["text"], "None");
    });
}

#[test]
fn without_it_a_client_is_served_as_ever_or_told_what_is_missing() {
    for declared in [
        json!({}),
        with(json!({})),
        with(json!({ "com.example/UNITS": {} })),
        with(json!({ ID: null })),
        with(json!([ID])),
    ] {
        each(maps(), declared, |client| {
            assert_eq!(client.call("height", json!({}))["content"][0]["text"], "in any unit (false)");
            if client.revision() != MODERN {
                assert!(client.failure("needs", json!({})).contains(ID));
                return;
            }
            let error = client.ask("tools/call", json!({ "name": "needs" }))["error"].clone();
            assert_eq!(
                (&error["code"], &error["data"]["requiredCapabilities"]),
                (&json!(-32021), &with(json!({ ID: {} })))
            );
        });
    }
    let running = crate::peer::serve(maps());
    let mut web = Web::of(&running, MODERN);
    web.start("tools/call", json!({ "name": "needs" }));
    assert_eq!(web.head().status, 400);
}

#[test]
fn nothing_is_remembered_of_what_another_request_has_declared() {
    let running = crate::peer::serve(maps());
    let mut peer = crate::peer::Peer::able(&running, MODERN, with(json!({ ID: { "unit": "m" } })));
    assert_eq!(peer.call("height", json!({}))["content"][0]["text"], "in \"m\"");
    peer.capabilities = json!({});
    assert_eq!(peer.call("height", json!({}))["content"][0]["text"], "in any unit (false)");
}

#[test]
fn what_cannot_be_declared_is_reported() {
    let server = ["units", "/units", "com.example/", "com example/x", "a/b/c"]
        .iter()
        .fold(Server::new("bad", "1"), |server, id| server.extension(*id, json!({})))
        .extension("com.example/list", json!([]))
        .extension("com.example/twice", json!({}))
        .extension("com.example/twice", json!({}));
    let problems = server.bind("127.0.0.1:0").expect_err("problems").to_string();
    for says in [
        "`units`: its id",
        "`a/b/c`",
        "`com.example/list`: its settings have to be an object",
        "`com.example/twice`: it is declared twice",
    ] {
        assert!(problems.contains(&format!("extension {says}")), "{problems}");
    }
    assert!(problems.lines().count() == 8 && problems.contains("extensions.rs"), "{problems}");
}
