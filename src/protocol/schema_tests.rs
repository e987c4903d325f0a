//! What is encoded is valid by the protocol's own schemas, in every revision.

use crate::protocol::capabilities::*;
use crate::protocol::notify::*;
use serde_json::{Value, json};

use crate::protocol::capabilities::{LogLevel, ServerCapabilities};
use crate::protocol::content::{
    Content, Icon, Implementation, ResourceContents, ResourceLink, Role, TaskSupport, Theme, ToolInfo, ToolOutput,
};
use crate::protocol::convert::encode_tool_info;
use crate::protocol::encode::tests::encode_tools_page;
use crate::protocol::encode::*;
use crate::protocol::error::{BusyReason, RpcError};
use crate::protocol::id::RequestId;
use crate::protocol::json;
use crate::protocol::revision::{Era, Revision};
use crate::protocol::subscribe::ListenFilter;

const SCHEMAS: [(Revision, &str); 5] = [
    (Revision::R2024_11_05, include_str!("../../tests/schemas/2024-11-05.schema.json")),
    (Revision::R2025_03_26, include_str!("../../tests/schemas/2025-03-26.schema.json")),
    (Revision::R2025_06_18, include_str!("../../tests/schemas/2025-06-18.schema.json")),
    (Revision::R2025_11_25, include_str!("../../tests/schemas/2025-11-25.schema.json")),
    (Revision::R2026_07_28, include_str!("../../tests/schemas/2026-07-28.schema.json")),
];

struct Checker {
    revision: Revision,
    schema: Value,
    definitions: &'static str,
}

impl Checker {
    fn all() -> Vec<Self> {
        let checker = |(revision, text)| {
            let schema: Value = serde_json::from_str(text).unwrap();
            let definitions = if schema.get("$defs").is_some() { "$defs" } else { "definitions" };
            Self { revision, schema, definitions }
        };
        SCHEMAS.into_iter().map(checker).collect()
    }

    /// Panics unless what is written is valid and strict: blocks may match one definition only.
    fn check(&self, definition: &str, write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&mut out);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert!(self.has(definition), "no definition of {definition} in {}", self.revision);
        let mut schema = self.schema.clone();
        schema["$ref"] = json!(format!("#/{}/{definition}", self.definitions));
        let validator = jsonschema::validator_for(&schema).unwrap();
        let problems: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{} {definition}: {problems:?}\n{value:#}", self.revision);
        value
    }

    fn has(&self, definition: &str) -> bool {
        self.schema[self.definitions].get(definition).is_some()
    }
}

fn raw(value: Value) -> Box<serde_json::value::RawValue> {
    json::to_raw(&value).unwrap()
}

fn server() -> Implementation {
    let mut server = Implementation::new("demo", "1.0.0");
    server.title = Some("Demo".into());
    server.description = Some("Shows".into());
    server.website_url = Some("https://example.com".into());
    server.icons = vec![icon()];
    server
}

fn icon() -> Icon {
    Icon::new("https://example.com/a.png").mime_type("image/png").size("48x48").theme(Theme::Light)
}

fn every_block() -> Vec<Content> {
    let plain = [
        Content::text("a \"text\"\n\u{1}"),
        Content::image(b"\x89PNG", "image/png"),
        Content::audio(b"RIFF", "audio/wav"),
        Content::from(
            ResourceLink::new("file:///a", "a")
                .title("A")
                .description("d")
                .mime_type("text/plain")
                .size(7)
                .icon(icon()),
        ),
        Content::link("file:///b", "b"),
        Content::resource(ResourceContents::text("file:///c", "c").mime_type("text/plain").meta("a/b", 1)),
        Content::resource(ResourceContents::blob("file:///d", b"d")),
    ];
    let rich = plain.clone().map(|block| {
        block
            .audience([Role::User, Role::Assistant])
            .priority(0.25)
            .last_modified("2025-01-12T15:00:58Z")
            .meta("x.y/z", json!({"a": [1]}))
    });
    plain.into_iter().chain(rich).collect()
}

fn tools() -> Vec<ToolInfo> {
    let plain = ToolInfo::new("plain", raw(json!({"type": "object"})));
    let mut rich = ToolInfo::new(
        "rich",
        raw(json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "properties": {"any": true, "s": {"type": "string"}}, "required": ["s"], "$defs": {"x": false}})),
    );
    rich.title = Some("Rich".into());
    rich.description = Some("does all".into());
    rich.output_schema = Some(raw(json!({"type": "object", "properties": {"any": true}})));
    rich.annotations.title = Some("R".into());
    rich.annotations.read_only = Some(false);
    rich.annotations.destructive = Some(true);
    rich.annotations.idempotent = Some(true);
    rich.annotations.open_world = Some(false);
    rich.task_support = TaskSupport::Required;
    rich.icons = vec![icon()];
    rich.meta = Some(serde_json::Map::from_iter([("a.b/c".to_owned(), json!(1))]));
    let mut list = ToolInfo::new("list", raw(json!({"type": "object", "anyOf": [{"required": ["a"]}, {}]})));
    list.output_schema = Some(raw(json!({"type": "array"})));
    vec![plain, rich, list]
}

fn capabilities() -> ServerCapabilities {
    let mut all = ServerCapabilities { logging: true, completions: true, ..ServerCapabilities::default() };
    all.tools = Some(ListCapability { list_changed: true });
    all.prompts = Some(ListCapability { list_changed: false });
    all.resources = Some(ResourcesCapability { subscribe: true, list_changed: true });
    all.tasks = true;
    all.extensions.insert("io.modelcontextprotocol/ui".into(), json!({}));
    all.experimental.insert("x".into(), json!({"y": 1}));
    all
}

#[test]
fn results_are_valid() {
    for checker in Checker::all() {
        let revision = checker.revision;
        for server in [None, Some(server())] {
            let server = server.as_ref();
            checker.check("EmptyResult", |out| encode_empty_result(out, revision, server));
            for output in [
                ToolOutput::default(),
                ToolOutput::error("no"),
                ToolOutput::structured(&json!({"a": 1})).unwrap(),
                ToolOutput::structured(&json!([1, 2])).unwrap(),
                ToolOutput::structured(&json!(null)).unwrap(),
                ToolOutput::from(every_block()).meta("a.b/c", 1),
            ] {
                checker.check("CallToolResult", |out| encode_tool_result(out, &output, revision, server));
            }
            for cursor in [None, Some("c")] {
                checker.check("ListToolsResult", |out| {
                    encode_tools_page(out, &tools(), cursor, revision, 5, CacheScope::Private, server)
                });
            }
            checker.check("ListToolsResult", |out| {
                encode_tools_page(out, &[], None, revision, 0, CacheScope::Public, server)
            });
        }
        for tool in tools() {
            checker.check("Tool", |out| encode_tool_info(out, &tool, revision));
        }
        checker.check("Implementation", |out| encode_implementation(out, &server(), revision));
        checker.check("ServerCapabilities", |out| capabilities().write_to(out, revision));
        if revision.is_modern() {
            checker.check("DiscoverResult", |out| {
                encode_discover_result(out, &capabilities(), Some(&server()), Some("i"), 1, CacheScope::Public)
            });
            checker.check("SubscriptionsListenResult", |out| {
                encode_listen_result(out, &RequestId::from(0_u64), Some(&server()))
            });
        } else {
            checker.check("InitializeResult", |out| {
                encode_initialize_result(out, revision, &capabilities(), &server(), Some("i"))
            });
        }
    }
}

#[test]
fn blocks_have_types_of_their_revision() {
    for checker in Checker::all() {
        for block in every_block() {
            let value = checker.check("CallToolResult", |out| {
                encode_tool_result(out, &ToolOutput::from(block.clone()), checker.revision, None);
            });
            let kind = value["content"][0]["type"].as_str().unwrap();
            let definition = match kind {
                "text" => "TextContent",
                "image" => "ImageContent",
                "audio" => "AudioContent",
                "resource" => "EmbeddedResource",
                _ => "ResourceLink",
            };
            checker.check(definition, |out| encode_content(out, &block, checker.revision));
        }
    }
}

#[test]
fn notifications_are_valid() {
    let id = RequestId::from("sub");
    let data = raw(json!({"a": 1}));
    let filter = ListenFilter {
        tools_list_changed: true,
        resource_subscriptions: vec!["a://b".into()],
        ..ListenFilter::default()
    };
    for checker in Checker::all() {
        let revision = checker.revision;
        let subscription = revision.is_modern().then_some(&id);
        for (definition, kind) in [
            ("ToolListChangedNotification", ListKind::Tools),
            ("PromptListChangedNotification", ListKind::Prompts),
            ("ResourceListChangedNotification", ListKind::Resources),
        ] {
            checker.check(definition, |out| write_list_changed(out, kind, subscription));
        }
        checker.check("ResourceUpdatedNotification", |out| write_resource_updated(out, "a://b", subscription));
        checker
            .check("ProgressNotification", |out| write_progress(out, &id, 1.5, Some(3.0), Some("m"), revision, None));
        for level in LogLevel::ALL {
            checker.check("LoggingMessageNotification", |out| write_log_message(out, level, Some("l"), &data, None));
        }
        checker.check("CancelledNotification", |out| write_cancelled(out, &id, Some("r")));
        if revision.is_modern() {
            checker.check("SubscriptionsAcknowledgedNotification", |out| write_acknowledged(out, &id, &filter));
        }
    }
}

#[test]
fn responses_and_errors_are_valid() {
    for checker in Checker::all() {
        let revision = checker.revision;
        let id = RequestId::from(7_u64);
        let response = if checker.has("JSONRPCResultResponse") { "JSONRPCResultResponse" } else { "JSONRPCResponse" };
        checker.check(response, |out| write_response(out, &id, |out| encode_empty_result(out, revision, None)));
        let error = if checker.has("JSONRPCErrorResponse") { "JSONRPCErrorResponse" } else { "JSONRPCError" };
        for problem in [
            RpcError::parse_error(),
            RpcError::method_not_found("x"),
            RpcError::busy(BusyReason::Overloaded, 5),
            RpcError::rate_limited(5),
            RpcError::resource_not_found("a://b", Era::Legacy),
            RpcError::before_initialize(),
        ] {
            checker.check(error, |out| write_error(out, Some(&id), &problem, Some(revision)));
        }
        if revision >= Revision::R2025_11_25 {
            checker.check(error, |out| write_error(out, None, &RpcError::parse_error(), Some(revision)));
        }
        if revision.is_modern() {
            let needs = RpcError::missing_capability(&json!({"sampling": {}}));
            checker.check("MissingRequiredClientCapabilityError", |out| {
                write_error(out, Some(&id), &needs, Some(revision))
            });
            for problem in
                [RpcError::unsupported_version("1900-01-01"), RpcError::version_needs_initialize("2025-11-25")]
            {
                checker.check("UnsupportedProtocolVersionError", |out| {
                    write_error(out, Some(&id), &problem, Some(revision))
                });
            }
        }
    }
}
