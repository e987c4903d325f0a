//! Arguments that a header says again (`x-mcp-header`): over HTTP in 2026-07-28, and nowhere else.

use crate::peer::{ALL, MODERN, Peer, serve};
use crate::web::Web;
use mcp_blocking::{NoArgs, Server, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize, JsonSchema)]
struct Target {
    cluster: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Deploy {
    region: Option<String>,
    #[schemars(extend("x-mcp-header" = "Count"))]
    count: Option<i64>,
    force: Option<bool>,
    target: Option<Target>,
}

fn server() -> Server {
    let deploy = Tool::new("deploy", "Deploys").header("region", "Region").header("force", "Force");
    Server::new("mirrored", "1").tool_with(deploy.header("target/cluster", "Cluster-Name"), |_ctx, deploy: Deploy| {
        let Deploy { region, count, force, target } = deploy;
        Ok(format!("{region:?} {count:?} {force:?} {:?}", target.and_then(|target| target.cluster)))
    })
}

#[test]
fn the_schema_that_clients_see_names_the_headers() {
    let running = serve(server());
    for revision in ALL {
        let mut peer = Peer::of(&running, revision);
        let schema = peer.request("tools/list", json!({}))["result"]["tools"][0]["inputSchema"].clone();
        let property = |name: &str| schema["properties"][name].clone();
        assert_eq!(property("region"), json!({ "type": "string", "x-mcp-header": "Region" }));
        assert_eq!(property("count"), json!({ "type": "integer", "x-mcp-header": "Count" }));
        assert_eq!(property("target")["properties"]["cluster"]["x-mcp-header"], "Cluster-Name");
        // No header, no matter: there are none here.
        assert!(peer.call("deploy", json!({ "region": "eu" }))["isError"].is_null());
    }
}

#[test]
fn a_call_is_served_if_its_headers_say_what_its_arguments_say() {
    let running = serve(server());
    let mut web = Web::of(&running, MODERN);
    let mut call = |headers: &[(&str, &str)], arguments: &Value| {
        let message = web.make("tools/call", json!({ "name": "deploy", "arguments": arguments }));
        web.post(&message, headers);
        let (status, answer) = web.json();
        assert_eq!(answer["id"], message["id"]);
        (status, answer)
    };
    for (headers, arguments) in [
        (vec![], json!({})),
        (vec![], json!({ "region": null, "target": {} })),
        (vec![("Mcp-Param-Region", "for nothing")], json!({})),
        (vec![("Mcp-Param-Unknown", "x")], json!({})),
        (vec![("Mcp-Param-Region", "eu-west")], json!({ "region": "eu-west" })),
        (vec![("mcp-param-REGION", " \t eu-west \t ")], json!({ "region": "eu-west" })),
        (vec![("Mcp-Param-Region", "")], json!({ "region": "" })),
        (vec![("Mcp-Param-Region", "=?base64?Z3LDvG4=?=")], json!({ "region": "grün" })),
        (vec![("Mcp-Param-Region", "=?base64?IGV1IA==?=")], json!({ "region": " eu " })),
        (vec![("Mcp-Param-Region", "=?base64?Z3LDvG4=")], json!({ "region": "=?base64?Z3LDvG4=" })),
        (vec![("Mcp-Param-Region", "Z3LDvG4=?=")], json!({ "region": "Z3LDvG4=?=" })),
        (vec![("Mcp-Param-Region", "=?BASE64?Z3LDvG4=?=")], json!({ "region": "=?BASE64?Z3LDvG4=?=" })),
        (vec![("Mcp-Param-Count", "42")], json!({ "count": 42 })),
        (vec![("Mcp-Param-Count", "42.0")], json!({ "count": 42 })),
        (vec![("Mcp-Param-Count", "-9007199254740991")], json!({ "count": -9007199254740991_i64 })),
        (vec![("Mcp-Param-Force", "true")], json!({ "force": true })),
        (vec![("Mcp-Param-Cluster-Name", "a")], json!({ "target": { "cluster": "a" } })),
        (
            vec![
                ("Mcp-Param-Region", "eu"),
                ("Mcp-Param-Count", "1"),
                ("Mcp-Param-Force", "false"),
                ("Mcp-Param-Cluster-Name", "b"),
            ],
            json!({ "region": "eu", "count": 1, "force": false, "target": { "cluster": "b" } }),
        ),
    ] {
        let (status, answer) = call(&headers, &arguments);
        assert_eq!((status, answer["result"]["isError"].is_null()), (200, true), "{headers:?} {arguments}: {answer}");
        assert!(answer["result"].is_object(), "{headers:?} {arguments}: {answer}");
    }
    for (headers, arguments) in [
        (vec![], json!({ "region": "eu" })),
        (vec![], json!({ "region": "" })),
        (vec![("Mcp-Param-Region", "EU")], json!({ "region": "eu" })),
        (vec![("Mcp-Param-Region", "eu"), ("Mcp-Param-Region", "eu")], json!({ "region": "eu" })),
        (vec![("Mcp-Param-Region", "=?base64?Z3LDvG4?=")], json!({ "region": "grün" })),
        (vec![("Mcp-Param-Region", "=?base64?Z3L*vG4=?=")], json!({ "region": "grün" })),
        (vec![("Mcp-Param-Region", "=?base64?/w==?=")], json!({ "region": "\u{ff}" })),
        (vec![("Mcp-Param-Region", "grün")], json!({ "region": "grün" })),
        (vec![("Mcp-Param-Count", "43")], json!({ "count": 42 })),
        (vec![("Mcp-Param-Count", "forty-two")], json!({ "count": 42 })),
        (vec![("Mcp-Param-Count", "9007199254740992")], json!({ "count": 9007199254740993_i64 })),
        (vec![("Mcp-Param-Count", "9007199254740993")], json!({ "count": 9007199254740993_i64 })),
        (vec![("Mcp-Param-Force", "True")], json!({ "force": true })),
        (vec![("Mcp-Param-Force", "1")], json!({ "force": true })),
        (vec![], json!({ "target": { "cluster": "a" } })),
        (vec![("Mcp-Param-Region", "eu")], json!({ "region": "eu", "target": { "cluster": "a" } })),
    ] {
        let (status, answer) = call(&headers, &arguments);
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32020)), "{headers:?} {arguments}: {answer}");
    }
    // An argument of a wrong type is for the tool to complain of.
    let (status, answer) = call(&[("Mcp-Param-Region", "5")], &json!({ "region": [5] }));
    assert_eq!((status, &answer["result"]["isError"]), (200, &json!(true)), "{answer}");
}

#[test]
fn older_clients_know_nothing_of_it() {
    let running = serve(server());
    for revision in &ALL[1..4] {
        let mut web = Web::of(&running, revision);
        let message = web.make("tools/call", json!({ "name": "deploy", "arguments": { "region": "eu" } }));
        web.post(&message, &[("Mcp-Param-Region", "elsewhere")]);
        assert!(web.json().1["result"]["isError"].is_null());
    }
}

#[test]
fn annotations_that_clients_would_drop_the_tool_for_are_reported() {
    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Typed {
        text: String,
        real: f64,
        list: Vec<String>,
    }
    let property = |schema: Value| json!({ "type": "object", "properties": { "a": schema } });
    let marked = |header: Value| json!({ "type": "string", "x-mcp-header": header });
    let raw = [
        ("empty", property(marked(json!(""))), "name of a header"),
        ("blank", property(marked(json!("a b"))), "name of a header"),
        ("control", property(marked(json!("a\n"))), "name of a header"),
        ("colon", property(marked(json!("a:"))), "name of a header"),
        ("umlaut", property(marked(json!("ä"))), "name of a header"),
        ("number", property(marked(json!(5))), "name of a header"),
        ("no-text", property(json!({ "type": "number", "x-mcp-header": "A" })), "string, integer or boolean"),
        (
            "two-types",
            property(json!({ "type": ["string", "null"], "x-mcp-header": "A" })),
            "string, integer or boolean",
        ),
        ("untyped", property(json!({ "x-mcp-header": "A" })), "string, integer or boolean"),
        ("root", json!({ "type": "object", "x-mcp-header": "A" }), "root"),
        ("items", property(json!({ "type": "array", "items": marked(json!("A")) })), "`items`"),
        ("choice", property(json!({ "anyOf": [marked(json!("A"))] })), "`anyOf`"),
        ("condition", json!({ "type": "object", "then": property(marked(json!("A"))) }), "`properties`"),
        ("definition", json!({ "type": "object", "$defs": { "d": marked(json!("A")) } }), "`$defs`"),
        ("names", json!({ "type": "object", "additionalProperties": marked(json!("A")) }), "`additionalProperties`"),
        (
            "twice",
            json!({ "type": "object", "properties": { "a": marked(json!("Same")), "b": { "type": "object", "properties": { "c": marked(json!("SAME")) } } } }),
            "the same `x-mcp-header`",
        ),
    ];
    let server = raw.iter().fold(Server::new("bad", "1"), |server, (name, schema, _)| {
        server.tool_raw(Tool::new(*name, "Bad"), schema, |_ctx, _arguments| Ok("never"))
    });
    let typed = [
        ("absent", "nothing", "A", "no argument `nothing`"),
        ("below", "text/more", "A", "no argument `text/more`"),
        ("real", "real", "A", "string, integer or boolean"),
        ("list", "list", "A", "string, integer or boolean"),
        ("odd", "text", "a b", "name of a header"),
    ];
    let server = typed.iter().fold(server, |server, (name, argument, header, _)| {
        server.tool_with(Tool::new(*name, "Bad").header(*argument, *header), |_ctx, _: Typed| Ok("never"))
    });
    let server = server.tool_with(Tool::new("none", "Bad").header("a", "A"), |_ctx, NoArgs| Ok("never"));
    let problems = server.bind("127.0.0.1:0").expect_err("problems").to_string();
    let typed = typed.iter().map(|(name, _, _, says)| (*name, *says)).chain([("none", "no argument `a`")]);
    for (name, says) in raw.iter().map(|(name, _, says)| (*name, *says)).chain(typed) {
        let line = problems.lines().find(|line| line.contains(&format!("tool `{name}`")));
        assert!(line.is_some_and(|line| line.contains(says)), "{name}: {line:?}");
    }
    // A property of that name is a property.
    let fine = json!({ "type": "object", "properties": { "x-mcp-header": { "type": "array" }, "a": { "default": { "x-mcp-header": 5 } } } });
    assert!(
        Server::new("good", "1")
            .tool_raw(Tool::new("fine", "Fine"), &fine, |_ctx, _arguments| Ok("x"))
            .bind("127.0.0.1:0")
            .is_ok()
    );
}
