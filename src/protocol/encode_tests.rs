use super::*;
use crate::protocol::capabilities::LogLevel;
use crate::protocol::capabilities::*;
use crate::protocol::content::{Content, ToolInfo};
use crate::protocol::convert::encode_tool_info;
use crate::protocol::error::RpcError;
use crate::protocol::notify::*;
use crate::protocol::revision::Era;
use crate::protocol::subscribe::ListenFilter;
use serde_json::{Value, json};

use Revision::{R2024_11_05 as R1, R2025_03_26 as R2, R2025_06_18 as R3, R2025_11_25 as R4, R2026_07_28 as R5};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

fn server() -> Implementation {
    Implementation::new("demo", "1.0")
}

const INFO: &str = "io.modelcontextprotocol/serverInfo";
const SUB: &str = "io.modelcontextprotocol/subscriptionId";

/// Appends the result of `tools/list`.
pub(crate) fn encode_tools_page<'t>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = &'t ToolInfo>,
    next_cursor: Option<&str>,
    revision: Revision,
    ttl_ms: u64,
    scope: CacheScope,
    server: Option<&Implementation>,
) {
    encode_page(out, Page { key: "tools", next_cursor, revision, ttl_ms, scope, server }, items, |out, tool| {
        encode_tool_info(out, tool, revision);
    });
}

#[test]
fn responses_echo_the_id() {
    for id in [RequestId::from("a\"b"), RequestId::from(0_u64), RequestId::from(-1_i64), RequestId::from("")] {
        let value = written(|out| write_response(out, &id, |out| out.extend_from_slice(b"{}")));
        assert_eq!(value, json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    }
}

#[test]
fn an_unreadable_id_is_null_in_old_revisions_and_left_out_in_new_ones() {
    let error = RpcError::parse_error();
    for (revision, has_null) in
        [(Some(R1), true), (Some(R2), true), (Some(R3), true), (Some(R4), false), (Some(R5), false), (None, false)]
    {
        let value = written(|out| write_error(out, None, &error, revision));
        assert_eq!(value.get("id"), has_null.then_some(&Value::Null));
        assert_eq!(value["error"]["code"], -32700);
        let value = written(|out| write_error(out, Some(&RequestId::from(1_u64)), &error, revision));
        assert_eq!(value["id"], 1);
    }
}

#[test]
fn requests_notifications_and_batches_are_framed() {
    let params = json::to_raw(&json!({"a": 1})).unwrap();
    let id = RequestId::from(4_u64);
    assert_eq!(
        written(|out| write_request(out, &id, "roots/list", None)),
        json!({"jsonrpc": "2.0", "id": 4, "method": "roots/list"})
    );
    assert_eq!(written(|out| write_request(out, &id, "x", Some(&params)))["params"], json!({"a": 1}));
    assert_eq!(
        written(|out| write_notification(out, "a\"", Some(&params))),
        json!({"jsonrpc": "2.0", "method": "a\"", "params": {"a": 1}})
    );
    assert_eq!(written(|out| write_notification(out, "a", None)), json!({"jsonrpc": "2.0", "method": "a"}));
    assert_eq!(written(|out| assert!(write_batch(out, [&b"1"[..], b"2"]))), json!([1, 2]));
    let mut out = Vec::new();
    assert!(!write_batch::<&[u8]>(&mut out, []) && out.is_empty());
}

fn result(output: &ToolOutput, revision: Revision) -> Value {
    written(|out| encode_tool_result(out, output, revision, Some(&server())))
}

#[test]
fn only_modern_results_have_a_type_and_say_who_answers() {
    let modern = json!({"resultType": "complete", "_meta": {INFO: {"name": "demo", "version": "1.0"}}});
    for &revision in Revision::ALL {
        let expected = if revision.is_modern() { modern.clone() } else { json!({}) };
        assert_eq!(written(|out| encode_empty_result(out, revision, Some(&server()))), expected);
        let expected = if revision.is_modern() { json!({"resultType": "complete"}) } else { json!({}) };
        assert_eq!(written(|out| encode_empty_result(out, revision, None)), expected);
    }
    assert_eq!(result(&ToolOutput::text("t"), R4), json!({"content": [{"type": "text", "text": "t"}]}));
    let mine = ToolOutput::text("t").meta(INFO, "forged").meta("x/y", 2);
    assert_eq!(result(&mine, R5)["_meta"], json!({INFO: {"name": "demo", "version": "1.0"}, "x/y": 2}));
    assert_eq!(result(&mine, R1)["_meta"], json!({"x/y": 2}));
}

#[test]
fn structured_content_comes_with_a_text_and_as_data_where_it_can() {
    let object = ToolOutput::structured(&json!({"n": 1.5})).unwrap();
    let list = ToolOutput::structured(&json!([1])).unwrap();
    let null = ToolOutput::structured(&Value::Null).unwrap();
    for &revision in Revision::ALL {
        let value = result(&object, revision);
        assert_eq!(value["content"], json!([{"type": "text", "text": "{\"n\":1.5}"}]));
        assert_eq!(value.get("structuredContent"), (revision >= R3).then_some(&json!({"n": 1.5})));
        assert_eq!(result(&list, revision).get("structuredContent"), (revision == R5).then_some(&json!([1])));
        assert_eq!(result(&null, revision).get("structuredContent"), (revision == R5).then_some(&Value::Null));
    }
    let both = ToolOutput { content: vec![Content::text("own")], ..object };
    assert_eq!(result(&both, R5)["content"], json!([{"type": "text", "text": "own"}]));
    assert_eq!(result(&ToolOutput::default(), R5)["content"], json!([]));
}

#[test]
fn a_failed_tool_says_so() {
    assert_eq!(
        result(&ToolOutput::error("no"), R3),
        json!({"content": [{"type": "text", "text": "no"}], "isError": true})
    );
    assert!(result(&ToolOutput::text("yes"), R3).get("isError").is_none());
}

#[test]
fn pages_have_cache_hints_in_the_modern_era_only() {
    let tools = ["a", "b"].map(|name| ToolInfo::new(name, json::to_raw(&json!({"type": "object"})).unwrap()));
    let page = |cursor, revision| {
        written(|out| encode_tools_page(out, &tools, cursor, revision, 60_000, CacheScope::Public, None))
    };
    let tools_shown =
        json!([{"name": "a", "inputSchema": {"type": "object"}}, {"name": "b", "inputSchema": {"type": "object"}}]);
    assert_eq!(page(Some("c"), R2), json!({"tools": tools_shown, "nextCursor": "c"}));
    let modern = json!({"resultType": "complete", "tools": tools_shown, "ttlMs": 60000, "cacheScope": "public"});
    assert_eq!(page(None, R5), modern);
    assert_eq!(CacheScope::default().as_str(), "private");
}

#[test]
fn a_handshake_and_a_discovery_tell_the_same_in_their_own_way() {
    let tools = Some(ListCapability { list_changed: true });
    let capabilities = ServerCapabilities { tools, ..Default::default() };
    let value = written(|out| encode_initialize_result(out, R3, &capabilities, &server(), Some("read me")));
    assert_eq!(
        value,
        json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": true}},
        "serverInfo": {"name": "demo", "version": "1.0"}, "instructions": "read me"})
    );
    let value =
        written(|out| encode_discover_result(out, &capabilities, Some(&server()), None, 0, CacheScope::Private));
    assert_eq!(
        value,
        json!({"resultType": "complete", "supportedVersions": supported_versions(),
        "capabilities": {"tools": {"listChanged": true}}, "ttlMs": 0, "cacheScope": "private",
        "_meta": {INFO: {"name": "demo", "version": "1.0"}}})
    );
}

#[test]
fn notices_of_a_subscription_carry_its_id_with_its_type() {
    for id in [RequestId::from(0_u64), RequestId::from(""), RequestId::from("7")] {
        for kind in [ListKind::Tools, ListKind::Prompts, ListKind::Resources] {
            let value = written(|out| write_list_changed(out, kind, Some(&id)));
            assert_eq!(value, json!({"jsonrpc": "2.0", "method": kind.method(), "params": {"_meta": {SUB: id}}}));
            assert_eq!(
                written(|out| write_list_changed(out, kind, None)),
                json!({"jsonrpc": "2.0", "method": kind.method()})
            );
        }
        let value = written(|out| write_resource_updated(out, "a://b", Some(&id)));
        assert_eq!(value["params"], json!({"uri": "a://b", "_meta": {SUB: id}}));
        let filter = ListenFilter { tools_list_changed: true, ..ListenFilter::default() };
        let value = written(|out| write_acknowledged(out, &id, &filter));
        assert_eq!(
            value,
            json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": {"notifications": {"toolsListChanged": true}, "_meta": {SUB: id}}})
        );
        let value = written(|out| encode_listen_result(out, &id, None));
        assert_eq!(value, json!({"resultType": "complete", "_meta": {SUB: id}}));
    }
    assert_eq!(written(|out| write_resource_updated(out, "a://b", None))["params"], json!({"uri": "a://b"}));
}

#[test]
fn progress_has_a_message_from_the_second_revision_on() {
    let token = RequestId::from("t");
    for &revision in Revision::ALL {
        let value = written(|out| write_progress(out, &token, 1.0, Some(2.5), Some("half"), revision, None));
        let mut expected = json!({"progressToken": "t", "progress": 1, "total": 2.5, "message": "half"});
        if revision == R1 {
            expected.as_object_mut().unwrap().remove("message");
        }
        assert_eq!(value["params"], expected);
    }
    let value = written(|out| write_progress(out, &token, f64::NAN, None, None, R5, None));
    assert_eq!(value["params"], json!({"progressToken": "t", "progress": 0}));
}

#[test]
fn log_messages_and_cancellations_are_written() {
    let data = json::to_raw(&json!({"k": [1]})).unwrap();
    let value = written(|out| write_log_message(out, LogLevel::Warning, Some("db"), &data, None));
    assert_eq!(
        value,
        json!({"jsonrpc": "2.0", "method": "notifications/message",
        "params": {"level": "warning", "logger": "db", "data": {"k": [1]}}})
    );
    let value = written(|out| write_cancelled(out, &RequestId::from(3_u64), Some("time is up")));
    assert_eq!(
        value,
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3, "reason": "time is up"}})
    );
}

#[test]
fn several_messages_share_a_buffer() {
    let mut out = Vec::new();
    write_response(&mut out, &RequestId::from(1_u64), |out| encode_empty_result(out, R4, None));
    out.push(b'\n');
    write_error(&mut out, Some(&RequestId::from(2_u64)), &RpcError::resource_not_found("a", Era::Legacy), Some(R4));
    let lines: Vec<Value> =
        out.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!((&lines[0]["id"], &lines[1]["error"]["code"]), (&json!(1), &json!(-32002)));
}
